//! Writes through the store to the upstreams: upload sessions, their transfer, the outbox of staged
//! pushes, mounts, locks for changes, write-once tags.

pub(crate) mod change_locks;
pub(crate) mod mount;
pub(crate) mod outbox;
pub(crate) mod transfer;
pub(crate) mod uploads;
pub(crate) mod write_once;
