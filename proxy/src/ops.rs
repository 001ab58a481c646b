//! The server as a whole: its start, the reload of its configuration, its drain.

pub(crate) mod drain;
pub(crate) mod reload;
pub(crate) mod serve;
