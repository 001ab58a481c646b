//! An operator's view: log, audit log, metrics, traces.

pub(crate) mod audit_log;
pub mod log;
pub(crate) mod metrics;
pub(crate) mod outcome;
pub mod traces;
