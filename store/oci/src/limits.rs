//! Bounds of content from clients and upstreams.

/// Largest manifest, in bytes: the least a registry has to accept (distribution-spec), and the most
/// ACR accepts.
pub const MANIFEST_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Largest entry of a list, in bytes of JSON. Annotations beyond it are left out of the list; the
/// manifest has them all.
pub const REFERRER_BYTES_MAX: usize = 64 * 1024;
