//! Who asks, once that is proven.
//!
//! Invariant: a caller is made by `access` only, from what was checked; its name is safe to log.

use std::fmt;
use std::sync::Arc;

use crate::upstream::CallerLogin;

/// Who asks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    name: Arc<str>,
    /// Shown to upstreams in their name, where access is `passthrough`.
    login: Option<Arc<CallerLogin>>,
}

impl Caller {
    /// Nobody in particular.
    #[must_use]
    pub(crate) fn anonymous() -> Self {
        Self { name: "-".into(), login: None }
    }

    /// Somebody who is known to upstreams by a login of their own. The name is safe to log.
    pub(super) fn with_login(name: &str, login: Arc<CallerLogin>) -> Self {
        Self { name: name.into(), login: Some(login) }
    }

    /// The login to show to upstreams; none when they are shown this proxy's own.
    #[must_use]
    pub(crate) fn login(&self) -> Option<&CallerLogin> {
        self.login.as_deref()
    }

    /// The name, as logs and limits have it.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
