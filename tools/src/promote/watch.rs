//! Who watches an apply: a person at a terminal, a program that reads lines, or nobody.

/// Told about an apply on its way.
pub trait Watch: Sync {
    /// An image begins.
    fn begun(&self, _plan: &str) {}
    /// Bytes of blobs were sent.
    fn sent(&self, _bytes: u64) {}
    /// Bytes of blobs are there without being sent: they were, or were mounted.
    fn spared(&self, _bytes: u64) {}
    /// An image has all but `latest`, or stopped.
    fn ended(&self, _plan: &str) {}
}

/// Nobody watches.
impl Watch for () {}
