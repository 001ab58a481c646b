//! What an operator changes while the server runs.

pub(crate) mod reload;
pub(crate) mod serve;
