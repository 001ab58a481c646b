//! Why nothing was generated.

use std::fmt;

/// A fault that a service would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployFault {
    pub what: String,
    /// The fix.
    pub fix: String,
}

impl DeployFault {
    /// A fault with advice.
    #[must_use]
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// All a service would not take; at least one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployRefusal(pub Vec<DeployFault>);

impl DeployRefusal {
    #[must_use]
    pub fn one(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self(vec![DeployFault::new(what, fix)])
    }
}

impl fmt::Display for DeployRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}\n  {}", fault.what, fault.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for DeployRefusal {}
