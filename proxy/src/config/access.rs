//! `[access]`: who may do what.
//!
//! Invariant: what passed `check` can be kept.

use serde::Deserialize;

use super::{ConfigError, UpstreamConfig, passthrough};

/// The table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessTable {
    /// Who decides.
    kind: AccessKind,
}

/// Who decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AccessKind {
    /// Nobody: everyone may do everything.
    #[default]
    Open,
    /// The upstream.
    Passthrough,
}

/// What is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessConfig {
    /// Everyone may do everything.
    Open,
    /// The upstream decides by the caller's own login.
    Passthrough,
}

impl AccessConfig {
    /// Whether everyone who reaches the port may push.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

impl AccessTable {
    /// What it means, with these upstreams.
    pub(super) fn check(&self, upstreams: &[UpstreamConfig]) -> Result<AccessConfig, ConfigError> {
        match self.kind {
            AccessKind::Open => Ok(AccessConfig::Open),
            AccessKind::Passthrough => {
                let place = "[access] kind = \"passthrough\"".to_owned();
                let refused =
                    |reason: &str| ConfigError::Access { place, reason: reason.to_owned() };
                passthrough::check(upstreams).map_err(refused)?;
                Ok(AccessConfig::Passthrough)
            }
        }
    }
}
