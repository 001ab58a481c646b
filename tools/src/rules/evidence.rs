//! What was given besides the offer and the images: what scanners and registries said, and the time.
//!
//! Invariant: rules ask no clock and read no file; all of that is here before they run.

use std::collections::BTreeMap;

use crate::chart::helm::Rendering;
use crate::marketplace::diff::TreeDiff;
use crate::offer::timestamp::Timestamp;
use crate::published::Published;
use crate::registry_state::RegistryState;
use crate::scans::Scan;

/// What rules may rely on besides the offer and the images.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The time that counts as now.
    pub now: Timestamp,
    pub scans: Vec<Scan>,
    /// How old a report of a scanner may be, in days.
    pub report_max_age: MaxAge,
    /// The registry Microsoft copies from, as Azure has it.
    pub registry: Option<RegistryState>,
    /// What the charts of Kubernetes plans render to, by the places of the plans; none without Helm.
    pub rendered: BTreeMap<usize, Rendering>,
    /// What was published before, and what the offer says against it.
    pub published: Option<Published>,
    /// What the payload changes against a saved resource tree, or why that is not known.
    pub tree: Option<Result<TreeDiff, String>>,
}

/// How old something may be, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge(pub u32);

impl Default for MaxAge {
    /// Lists of vulnerabilities change daily. A month is what a scan is worth in practice: Defender
    /// looks again at what was pushed or pulled in the last 30 days (ACR/scan-images-defender).
    fn default() -> Self {
        Self(30)
    }
}
