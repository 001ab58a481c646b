//! Bounds of the words whose size the other side decides.

/// Largest manifest, in bytes: what the specification asks a registry to accept at least, and what
/// ACR accepts at most.
pub const MANIFEST_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Largest entry of a list, in bytes of JSON. Annotations that do not fit are left out of the list; the
/// manifest has them all.
pub const REFERRER_BYTES_MAX: usize = 64 * 1024;
