//! A report: what was looked at, what was found, and what that means. How it is shown is in
//! `report_formats`, but for the text that people read, which is here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::{Finding, Gap, Judgement, Outcome, Rule, Severity, all};
use crate::exit::Exit;
use crate::image::facts::{ImageFacts, PlatformImage, Weight};
use crate::output::{Paint, Style, Table, visible};

use super::image::size;

/// What a command found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The images that were looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageSummary>,
    /// Everything found: by file and line, then in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// How many.
    pub summary: Summary,
    /// What became of each rule.
    pub outcomes: BTreeMap<&'static str, Outcome>,
    /// What was not looked at, and would have been with more input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_looked_at: Vec<Unlooked>,
    /// Whether rules that could not be decided are all that keeps it from passing.
    #[serde(skip)]
    only_unproven: bool,
}

/// Something that was not looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unlooked {
    /// Which input was missing.
    pub gap: Gap,
    /// The same in words.
    pub what: &'static str,
    /// How it can be given.
    pub how: &'static str,
    /// The images that it was missing for, when it was not missing for the whole run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// The rules that were not decided without it.
    pub rules: Vec<&'static str>,
}

/// Numbers of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many rules were looked at.
    pub rules: usize,
    /// Findings that will be refused.
    pub errors: usize,
    /// Findings that may be refused.
    pub warnings: usize,
    /// Findings, counted among the warnings, of rules that could not be decided.
    pub not_proven: usize,
    /// Findings that are waived, which are not counted above.
    pub waived: usize,
    /// Whether everything was decided, and nothing found reaches the asked severity.
    pub passed: bool,
}

/// What is known of the bytes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// Every one is as its digest says, compressed and inflated.
    Proven,
    /// The same, but for layers that were not inflated.
    NotProven,
    /// Some are missing, or others than they should be.
    Damaged,
}

/// An image that was looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSummary {
    /// The plan, when an offer is at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Where it was read.
    pub location: String,
    /// The platform, or the digest when it is not known.
    pub platform: String,
    /// Its manifest.
    pub digest: String,
    /// How many layers it has.
    pub layers: usize,
    /// Bytes that a registry stores.
    pub stored_bytes: u64,
    /// Whether every byte is as its digest says, which was proven.
    pub intact: bool,
    /// The same in three words.
    pub proof: Proof,
}

impl Report {
    /// A report over what the rules came to.
    #[must_use]
    pub fn new(images: Vec<ImageSummary>, judgement: Judgement, fail_on: Severity) -> Self {
        let Judgement { mut findings, outcomes, gaps, mut gap_images } = judgement;
        // Stable: findings of one line stay in the order of the catalogue.
        findings.sort_by(|a, b| {
            let key = |at: &Finding| (at.place.file.clone(), at.place.line, at.place.column);
            key(a).cmp(&key(b))
        });
        let counted = || findings.iter().filter(|finding| finding.waived.is_none());
        let count = |severity| counted().filter(|at| at.severity == severity).count();
        let summary = Summary {
            rules: outcomes.len(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            not_proven: counted().filter(|finding| finding.not_proven).count(),
            waived: findings.len() - counted().count(),
            passed: counted().all(|finding| finding.severity < fail_on && !finding.not_proven),
        };
        let only_unproven = !summary.passed && counted().all(|finding| finding.severity < fail_on);
        let unlooked = |(gap, rules): (Gap, BTreeSet<_>)| Unlooked {
            gap,
            what: gap.what(),
            how: gap.how(),
            images: gap_images.remove(&gap).unwrap_or_default().into_iter().collect(),
            rules: rules.into_iter().collect(),
        };
        let not_looked_at = gaps.into_iter().map(unlooked).collect();
        Self { images, findings, summary, outcomes, not_looked_at, only_unproven }
    }

    /// The rules that were looked at, in the order of the catalogue.
    pub fn rules(&self) -> impl Iterator<Item = (&'static Rule, Outcome)> {
        all().filter_map(|rule| Some((rule, *self.outcomes.get(rule.id)?)))
    }

    /// What the shell is told.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        if self.summary.passed { Exit::Ok } else { Exit::Findings }
    }

    /// The report for people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        if !self.images.is_empty() {
            text.push_str(&self.image_table(paint));
            text.push('\n');
        }
        for finding in &self.findings {
            text.push_str(&finding_text(finding, paint));
        }
        let Summary { rules, errors, warnings, waived, passed, .. } = self.summary;
        let (style, verdict) = match (passed, self.only_unproven) {
            (true, _) => (Style::Good, "passed"),
            (false, true) => (Style::Warning, "not proven"),
            (false, false) => (Style::Error, "failed"),
        };
        let verdict = paint.text(style, verdict);
        let _ = writeln!(
            text,
            "{verdict}: {}, {}{} ({rules} rules)",
            counted(errors, "error"),
            counted(warnings, "warning"),
            if waived == 0 { String::new() } else { format!(", {waived} waived") }
        );
        for Unlooked { what, how, images, rules, .. } in &self.not_looked_at {
            let _ = writeln!(text, "not looked at: {what} ({})", rules.join(", "));
            for image in images {
                let _ = writeln!(text, "    {} {}", paint.text(Style::Dim, "of: "), visible(image));
            }
            let _ = writeln!(text, "    {} {how}", paint.text(Style::Dim, "fix:"));
        }
        text
    }

    fn image_table(&self, paint: Paint) -> String {
        let mut table = Table::new(&["IMAGE", "PLATFORM", "DIGEST", "LAYERS", "SIZE", "INTACT"]);
        for image in &self.images {
            let intact = match image.proof {
                Proof::Proven => (Style::Good, "yes"),
                Proof::NotProven => (Style::Warning, "not proven"),
                Proof::Damaged => (Style::Error, "NO"),
            };
            table.styled_row([
                (Style::Plain, image.plan.clone().unwrap_or_else(|| image.location.clone())),
                (Style::Plain, image.platform.clone()),
                (Style::Plain, image.digest.clone()),
                (Style::Plain, image.layers.to_string()),
                (Style::Plain, size(image.stored_bytes)),
                (intact.0, intact.1.to_owned()),
            ]);
        }
        table.render(paint)
    }
}

/// The platforms of an image as lines of a report.
#[must_use]
pub fn summarise(facts: &ImageFacts, plan: Option<&str>) -> Vec<ImageSummary> {
    let with = |weight| {
        let faults = facts.faults.iter().filter(move |fault| fault.kind.weight() == weight);
        faults.map(|fault| fault.digest).collect::<BTreeSet<_>>()
    };
    let (damaged, unproven) = (with(Weight::Damage), with(Weight::Unproven));
    let proof = |image: &PlatformImage| {
        let config = image.config_descriptor.iter().map(|at| at.digest);
        let layers = image.layers.iter().map(|layer| layer.descriptor.digest);
        let digests: Vec<_> = config.chain(layers).chain([image.descriptor.digest]).collect();
        let is_unread = image.config.is_some()
            && image.layers.iter().any(|layer| layer.uncompressed_bytes.is_none());
        if digests.iter().any(|digest| damaged.contains(digest)) {
            Proof::Damaged
        } else if is_unread || digests.iter().any(|digest| unproven.contains(digest)) {
            Proof::NotProven
        } else {
            Proof::Proven
        }
    };
    let line = |image: &PlatformImage| ImageSummary {
        plan: plan.map(ToOwned::to_owned),
        location: facts.location.clone(),
        platform: image.name(),
        digest: image.descriptor.digest.to_string(),
        layers: image.layers.len(),
        stored_bytes: image.stored_bytes(),
        intact: proof(image) == Proof::Proven,
        proof: proof(image),
    };
    facts.images.iter().map(line).collect()
}

/// `file:line:column: severity[ID]: what`, the key, the fix.
fn finding_text(finding: &Finding, paint: Paint) -> String {
    let place = &finding.place;
    let mut at = place.file.display().to_string();
    for number in [place.line, place.column].into_iter().flatten() {
        let _ = write!(at, ":{number}");
    }
    let (style, word) = match (&finding.waived, finding.severity) {
        (Some(_), _) => (Style::Dim, "waived"),
        (None, Severity::Error) => (Style::Error, "error"),
        (None, Severity::Warning) if finding.not_proven => (Style::Warning, "not proven"),
        (None, Severity::Warning) => (Style::Warning, "warning"),
    };
    let label = format!("{word}[{}]", finding.rule);
    let label = paint.text(style, &label);
    let mut text = format!("{}: {label}: {}\n", visible(&at), visible(&finding.message));
    if let Some(key) = &place.key {
        let _ = writeln!(text, "    {} {}", paint.text(Style::Dim, "at: "), visible(key));
    }
    if let Some(image) = place.image.as_ref().filter(|_| place.key.is_some()) {
        let _ = writeln!(text, "    {} {}", paint.text(Style::Dim, "in: "), visible(image));
    }
    match &finding.waived {
        Some(waived) => {
            let words = visible(&waived.words());
            let _ = writeln!(text, "    {} {words}", paint.text(Style::Dim, "waived:"));
        }
        None => {
            let _ = writeln!(text, "    {} {}", paint.text(Style::Dim, "fix:"), finding.fix);
        }
    }
    text
}

fn counted(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}
