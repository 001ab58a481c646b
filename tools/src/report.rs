//! A report: its subjects, their findings, and the verdict. The formats are below, one file each;
//! rules know none of them.

pub mod anatomy;
pub mod annotations;
#[cfg(test)]
mod fixture;
pub mod formats;
mod frame;
mod html;
mod images;
mod junit;
mod links;
pub mod markdown;
mod place;
pub mod release;
mod sarif;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::anatomy::Anatomy;
pub use self::frame::Frame;
pub use self::html::explained_page;
pub(crate) use self::html::page_head_with;
pub use self::images::{ImageSummary, Proof, summarise};
pub use self::place::ReportRoot;
use crate::diff::text::DiffForm;
use crate::diff::{self, ReleaseDiff};
use crate::exit::Exit;
use crate::rules::{Finding, Gap, Judgement, Outcome, Rule, Section, Severity, Subject, all};

/// The results of a command.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The verified images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageSummary>,
    /// Everything found: by file and line, then in the order of the catalogue.
    pub findings: Vec<Finding>,
    pub summary: Summary,
    /// The outcome of each rule.
    pub outcomes: BTreeMap<&'static str, Outcome>,
    /// The missing inputs, each with its undecided rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_looked_at: Vec<Omission>,
    /// The changes since another release, when one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<ReleaseDiff>,
    /// The structure of the images, for formats with pictures.
    #[serde(skip)]
    pub anatomies: Vec<Anatomy>,
    /// Unreadable targets; nothing else of the report is about them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadTarget>,
    /// Their exit code.
    #[serde(skip)]
    unread_exit: Exit,
    /// The outcome of each rule, by subject.
    #[serde(skip)]
    sections: Vec<Section>,
    /// Whether undecided rules are the report's only failure.
    #[serde(skip)]
    only_unproven: bool,
}

/// An unreadable target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadTarget {
    pub target: String,
    /// Why, with its causes, on one line.
    pub error: String,
}

/// A missing input.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Omission {
    pub gap: Gap,
    /// The same in words.
    pub what: &'static str,
    /// How it can be given.
    pub how: &'static str,
    /// The images it was missing for, when it was not missing for the whole run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// The rules undecided without it.
    pub rules: Vec<&'static str>,
}

/// Numbers of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many rules were looked at.
    pub rules: usize,
    /// Findings about values that will be refused.
    pub errors: usize,
    /// Findings about values that may be refused.
    pub warnings: usize,
    /// Findings, counted among the warnings, of undecided rules.
    pub not_proven: usize,
    /// Waived findings; the numbers above do not count them.
    pub waived: usize,
    /// Whether everything was decided, and nothing found reaches the asked severity.
    pub passed: bool,
}

/// A report's result in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing counts against it.
    Passed,
    /// Nothing but undecided rules keeps it from passing.
    NotProven,
    /// A finding keeps it from passing.
    Failed,
}

impl Verdict {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::NotProven => "not proven",
            Self::Failed => "failed",
        }
    }
}

/// The findings about one subject.
pub struct ReportPart<'a> {
    /// The offer, or an image.
    pub subject: &'a Subject,
    pub name: String,
    /// The findings, the gravest first.
    pub findings: Vec<&'a Finding>,
    /// The outcome of each rule, in the order of the catalogue.
    pub rules: Vec<(&'static Rule, Outcome)>,
}

impl ReportPart<'_> {
    /// The findings without a waiver, by their weight: errors, and the rest.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |wanted: &[Weight]| {
            self.findings.iter().filter(|at| wanted.contains(&Weight::of(at))).count()
        };
        (count(&[Weight::Error]), count(&[Weight::NotProven, Weight::Warning]))
    }
}

impl Summary {
    /// `1 error, 2 warnings, 1 waived`.
    #[must_use]
    pub fn words(&self) -> String {
        let (errors, warnings) = (counted(self.errors, "error"), counted(self.warnings, "warning"));
        let waived = match self.waived {
            0 => String::new(),
            waived => format!(", {waived} waived"),
        };
        format!("{errors}, {warnings}{waived}")
    }
}

impl Report {
    /// A report over the rules' results.
    #[must_use]
    pub fn new(images: Vec<ImageSummary>, judgement: Judgement, fail_on: Severity) -> Self {
        let Judgement { mut findings, outcomes, sections, gaps, mut gap_images } = judgement;
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
        let unlooked = |(gap, rules): (Gap, BTreeSet<_>)| Omission {
            gap,
            what: gap.what(),
            how: gap.how(),
            images: gap_images.remove(&gap).unwrap_or_default().into_iter().collect(),
            rules: rules.into_iter().collect(),
        };
        let not_looked_at = gaps.into_iter().map(unlooked).collect();
        Self {
            images,
            findings,
            summary,
            outcomes,
            not_looked_at,
            changes: None,
            anatomies: Vec::new(),
            unread: Vec::new(),
            unread_exit: Exit::Ok,
            sections,
            only_unproven,
        }
    }

    /// The same report when some targets could not be read; it has not passed then, and the shell
    /// is told `exit`.
    #[must_use]
    pub fn with_unread(mut self, unread: Vec<UnreadTarget>, exit: Exit) -> Self {
        if !unread.is_empty() {
            self.summary.passed = false;
            self.only_unproven = false;
            self.unread_exit = exit;
        }
        self.unread = unread;
        self
    }

    /// The verdict over all findings.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match (self.summary.passed, self.only_unproven) {
            (true, _) => Verdict::Passed,
            (false, true) => Verdict::NotProven,
            (false, false) => Verdict::Failed,
        }
    }

    /// The rules of this run, in the order of the catalogue.
    pub fn rules(&self) -> impl Iterator<Item = (&'static Rule, Outcome)> {
        all().filter_map(|rule| Some((rule, *self.outcomes.get(rule.id)?)))
    }

    /// The subjects, in their order, each with its findings; findings elsewhere (in a file of
    /// waivers, when there is no offer) come last.
    #[must_use]
    pub fn parts(&self) -> Vec<ReportPart<'_>> {
        let mut parts: Vec<ReportPart<'_>> = self.sections.iter().map(|at| self.part(at)).collect();
        let is_known =
            |finding: &Finding| self.sections.iter().any(|at| finding.is_about(&at.subject));
        let mut others: Vec<&Finding> =
            self.findings.iter().filter(|finding| !is_known(finding)).collect();
        if let Some(first) = others.first() {
            let name = first.place.file.display().to_string();
            others.sort_by_key(|finding| Weight::of(finding));
            let rules = judged(&others, &BTreeMap::new());
            parts.push(ReportPart { subject: &Subject::Offer, name, findings: others, rules });
        }
        parts
    }

    fn part<'a>(&'a self, section: &'a Section) -> ReportPart<'a> {
        let subject = &section.subject;
        let about = self.findings.iter().filter(|finding| finding.is_about(subject));
        let mut findings: Vec<&Finding> = about.collect();
        // Stable: within a weight they stay in the order of the file.
        findings.sort_by_key(|finding| Weight::of(finding));
        let rules = judged(&findings, &section.outcomes);
        ReportPart { subject, name: self.name(subject), findings, rules }
    }

    fn name(&self, subject: &Subject) -> String {
        match subject {
            Subject::Offer => {
                let mut findings = self.findings.iter().filter(|at| !at.place.is_named_file);
                let of_offer = findings.find(|finding| finding.is_about(subject));
                of_offer
                    .map_or_else(|| "offer".to_owned(), |at| at.place.file.display().to_string())
            }
            Subject::Image { location, plan } => match plan {
                Some(plan) if !location.ends_with(&format!("/{plan}")) => {
                    format!("{plan} ({location})")
                }
                _ => location.clone(),
            },
        }
    }

    /// The exit code for the shell.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match (self.unread_exit, self.summary.passed) {
            (Exit::Ok, true) => Exit::Ok,
            (Exit::Ok, false) => Exit::Findings,
            (exit, _) => exit,
        }
    }
}

/// The changes, in words; for one image without the part about several.
fn changes_text(changes: &ReleaseDiff, form: DiffForm) -> String {
    match changes.images.as_slice() {
        [image] if changes.plans_added.is_empty() && changes.plans_removed.is_empty() => {
            diff::text::image(image, form)
        }
        _ => diff::text::release(changes, form),
    }
}

/// The outcomes of rules: a waiver comes after the judgement, and changes the meaning of findings.
fn judged(
    findings: &[&Finding],
    outcomes: &BTreeMap<&'static str, Outcome>,
) -> Vec<(&'static Rule, Outcome)> {
    let outcome = |rule: &'static Rule| {
        let found = findings.iter().filter(|finding| finding.rule == rule.id);
        let found = Outcome::of(found.copied());
        Some((rule, found.or_else(|| outcomes.get(rule.id).copied())?))
    };
    all().filter_map(outcome).collect()
}

/// The meaning of a finding for the report's reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Error,
    NotProven,
    Warning,
    Waived,
}

impl Weight {
    const fn of(finding: &Finding) -> Self {
        match (&finding.waived, finding.severity) {
            (Some(_), _) => Self::Waived,
            (None, Severity::Error) => Self::Error,
            (None, Severity::Warning) if finding.not_proven => Self::NotProven,
            (None, Severity::Warning) => Self::Warning,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::NotProven => "not proven",
            Self::Warning => "warning",
            Self::Waived => "waived",
        }
    }
}

/// `1 error`, `2 errors`.
fn counted(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// A digest for a glance: the algorithm and twelve characters.
fn short(digest: &str) -> &str {
    let end = digest.find(':').map_or(12, |colon| colon + 13);
    digest.get(..end).unwrap_or(digest)
}
