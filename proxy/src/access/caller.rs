//! Who asks, once that is proven.
//!
//! Invariant: a caller is made by `access` only, from what was checked; its name is safe to log.

use std::fmt;
use std::sync::Arc;

/// Who asks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    name: Arc<str>,
}

impl Caller {
    /// Nobody in particular.
    #[must_use]
    pub(crate) fn anonymous() -> Self {
        Self { name: "-".into() }
    }

    /// The name, as logs and limits have it.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
