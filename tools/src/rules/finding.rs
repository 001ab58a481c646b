//! What rules find, where, and what became of each rule. Only types; who fills them is in `findings`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use wharf_oci::Digest;

use super::severity::Severity;
use crate::logins;
use crate::offer::source_map::Spot;

/// A breach of a rule, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub rule: &'static str,
    pub severity: Severity,
    pub message: String,
    /// Whether the rule could not be decided: neither kept nor broken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_proven: bool,
    pub fix: &'static str,
    /// The waiver: the finding is shown, and decides nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<AppliedWaiver>,
    /// Whether bytes are missing, or others than they should be. No waiver covers damage: it would
    /// have to declare other bytes right.
    #[serde(skip)]
    pub is_damage: bool,
    #[serde(flatten)]
    pub place: Place,
}

/// Why a finding decides nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedWaiver {
    /// The waiver's reason, in its owner's words.
    pub reason: String,
    /// The waiver's last day, in UTC; a report that calls a vulnerability harmless names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The waiver's owner, if stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The file of the waiver.
    pub file: PathBuf,
}

impl AppliedWaiver {
    /// The same in one line: last day, owner, reason.
    #[must_use]
    pub fn words(&self) -> String {
        let until = self.expires.as_ref().map(|day| format!("until {day}"));
        let owner = self.owner.as_ref().map(|owner| format!("by {owner}"));
        let parts: Vec<String> =
            until.into_iter().chain(owner).chain([self.reason.clone()]).collect();
        parts.join(", ")
    }
}

/// Where a finding is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The offer file, one it names, or the image when there is no offer.
    pub file: PathBuf,
    /// Whether `file` is one the offer names.
    #[serde(skip)]
    pub is_named_file: bool,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, from 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// How many characters from there are meant; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// The line of the file itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
    /// The plan it is about, by its ID; of an image of a chart `PLAN.NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The key (`plans[0].name`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The image, when the finding is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The platforms of the image it is true of, when it is not about all of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// The layer, when it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerPlace>,
    /// The path in the layer or in the merged files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The vulnerability, when it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vulnerability: Option<AffectedPackage>,
}

/// A place in a file the offer names: a template of a chart, the manifest of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPlace {
    /// The file, as it is found from where the user is.
    pub file: PathBuf,
    pub spot: Spot,
    /// The line itself, fit to be shown.
    pub line: String,
}

impl NamedPlace {
    /// This place of a file of this text.
    #[must_use]
    pub fn new(file: &Path, text: &str, spot: Spot) -> Self {
        let line = text.lines().nth(spot.line.saturating_sub(1)).unwrap_or_default();
        Self { file: file.to_owned(), spot, line: logins::cut_line(line).into_owned() }
    }
}

/// A vulnerability and its package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AffectedPackage {
    /// Its name: `CVE-2026-1234`.
    pub id: String,
    /// The name of the package.
    pub package: String,
    /// The package's installed version.
    pub installed: String,
    /// The package's first mended version, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// The highest stated base score of CVSS v3, as `9.8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
}

/// A layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Hash)]
#[serde(rename_all = "camelCase")]
pub struct LayerPlace {
    /// The layer's number from the bottom, from 1.
    pub number: usize,
    /// Its digest, as the manifest has it.
    pub digest: Digest,
}

/// The outcome of a rule. Of two, over two images, the greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// There was nothing the rule is about.
    NotApplicable,
    /// It is kept.
    Passed,
    /// It has findings, and all of them are waived.
    Waived,
    /// The rule was not decided for lack of input: see [`Gap`].
    NotLookedAt,
    /// It has findings, none of them an error.
    Warned,
    /// It was looked at and could not be decided.
    NotProven,
    /// It is broken.
    Failed,
}

impl Outcome {
    /// A rule's outcome by its findings; `None` without findings.
    pub(crate) fn of<'a>(findings: impl Iterator<Item = &'a Finding>) -> Option<Self> {
        let outcome = |finding: &Finding| match finding {
            Finding { waived: Some(_), .. } => Self::Waived,
            Finding { severity: Severity::Error, .. } => Self::Failed,
            Finding { not_proven: true, .. } => Self::NotProven,
            Finding { severity: Severity::Warning, .. } => Self::Warned,
        };
        findings.map(outcome).max()
    }
}

/// Input that this run lacks, so that rules stay undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Gap {
    /// A report of a vulnerability scanner.
    ScannerReport,
    /// The state of the registry, as `az acr show` writes it.
    RegistryState,
    /// The ledger.
    Ledger,
    /// The offer the image belongs to.
    Offer,
    /// The files of an unreadable layer.
    Files,
    /// Details of a registry beyond the output of `az acr show`.
    RegistryDetails,
    /// Helm, for rendering charts.
    Helm,
}

impl Gap {
    /// The gap, in a few words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::ScannerReport => "no vulnerability report",
            Self::RegistryState => "no registry state",
            Self::Ledger => "no record of what was published before",
            Self::Offer => "no offer file",
            Self::Files => "files of layers that could not be read",
            Self::RegistryDetails => {
                "what `az acr show` does not say: policies, locks, replicas, throttling"
            }
            Self::Helm => "no Helm at hand, so no chart was rendered",
        }
    }

    /// How it can be given.
    #[must_use]
    pub const fn how(self) -> &'static str {
        match self {
            Self::ScannerReport => {
                "scan each platform (`trivy image --format json`, `grype -o json`) and give `--scan FILE`"
            }
            Self::RegistryState => {
                "save `az acr show --name NAME -o json` and give `--registry-state FILE`"
            }
            Self::Ledger => {
                "say what you submitted with `wharf offer record OFFER --target live`; it is kept \
                 beside the offer, or give `--ledger FILE`"
            }
            Self::Offer => "verify with `--offer FILE`",
            Self::Files => "build the image with layers that can be read",
            Self::RegistryDetails => {
                "look at the registry: `az policy assignment list`, `az acr replication list`, \
                 `az acr repository show`"
            }
            Self::Helm => "install `helm` (3.x), or name the program in WHARF_HELM",
        }
    }
}

/// The subject of a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The offer file, and the relations between the images of its plans.
    Offer,
    Image {
        location: String,
        /// The plan it belongs to, by its ID or `PLAN.NAME`, when an offer is at hand.
        plan: Option<String>,
    },
}

/// The rules' results over one subject.
#[derive(Debug, Clone)]
pub struct Section {
    pub subject: Subject,
    /// The outcome of each rule.
    pub outcomes: BTreeMap<&'static str, Outcome>,
}

/// The results of a run of rules.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// Everything found, in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// The outcome of each rule in this run.
    pub outcomes: BTreeMap<&'static str, Outcome>,
    /// The same for each subject, in the order of judgement.
    pub sections: Vec<Section>,
    /// The missing inputs, each with its undecided rules.
    pub gaps: BTreeMap<Gap, BTreeSet<&'static str>>,
    /// The images of each missing input.
    pub gap_images: BTreeMap<Gap, BTreeSet<String>>,
}

impl Judgement {
    /// Adds the results of another run.
    pub fn join(&mut self, other: Self) {
        self.findings.extend(other.findings);
        for (rule, outcome) in other.outcomes {
            self.conclude(rule, outcome);
        }
        for section in other.sections {
            // Rules of one subject come one after the other, so it is found at once.
            match self.sections.iter_mut().rev().find(|known| known.subject == section.subject) {
                Some(known) => {
                    for (rule, outcome) in section.outcomes {
                        conclude(&mut known.outcomes, rule, outcome);
                    }
                }
                None => self.sections.push(section),
            }
        }
        for (gap, rules) in other.gaps {
            self.gaps.entry(gap).or_default().extend(rules);
        }
        for (gap, images) in other.gap_images {
            self.gap_images.entry(gap).or_default().extend(images);
        }
    }

    pub(super) fn conclude(&mut self, rule: &'static str, outcome: Outcome) {
        conclude(&mut self.outcomes, rule, outcome);
    }
}

fn conclude(outcomes: &mut BTreeMap<&'static str, Outcome>, rule: &'static str, outcome: Outcome) {
    let known = outcomes.entry(rule).or_insert(outcome);
    *known = outcome.max(*known);
}

impl Finding {
    /// Whether it is about this subject.
    #[must_use]
    pub fn is_about(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Offer => self.place.image.is_none(),
            Subject::Image { location, plan } => {
                self.place.image.as_ref() == Some(location) && self.place.plan == *plan
            }
        }
    }
}
