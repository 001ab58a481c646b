//! The evidence besides the offer and the images: reports of scanners, answers of registries, and
//! the time.
//!
//! Invariant: rules ask no clock and read no file; all evidence is here before they run.

use std::collections::BTreeMap;

use crate::chart::helm::Rendering;
use crate::marketplace::diff::TreeDiff;
use crate::published::Published;
use crate::registry_state::RegistryState;
use crate::scans::Scan;
use wharf_oci::Timestamp;

/// The evidence for rules besides the offer and the images.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The present time, for rules.
    pub now: Timestamp,
    pub scans: Vec<Scan>,
    /// How old a report of a scanner may be, in days.
    pub report_max_age: MaxAge,
    /// The registry Microsoft copies from, as Azure has it.
    pub registry: Option<RegistryState>,
    /// The rendered manifests of the charts of Kubernetes plans, by the places of the plans; none
    /// without Helm.
    pub rendered: BTreeMap<usize, Rendering>,
    /// The ledger's state, and the offer's differences from it.
    pub published: Option<Published>,
    /// The payload's changes to a saved resource tree, or the reason for their absence.
    pub tree: Option<Result<TreeDiff, String>>,
}

/// The highest age of a report, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge(pub u32);

impl Default for MaxAge {
    /// Lists of vulnerabilities change daily. A scan keeps its worth for a month in practice:
    /// Defender looks again at images pushed or pulled in the last 30 days
    /// (ACR/scan-images-defender).
    fn default() -> Self {
        Self(30)
    }
}
