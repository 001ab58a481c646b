//! The server as a whole, and the reload of its configuration.

pub(crate) mod reload;
pub(crate) mod serve;
