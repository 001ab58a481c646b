//! The state of reading a report: possibly harmful vulnerabilities are kept up to a bound, the rest
//! is counted. A package at several places is one.

use std::collections::BTreeMap;
use std::path::Path;

use super::cvss::{BaseScore, Vector};
use super::scan::{KEPT_MAX, Scan, ScanKind, ScannedPackage, Score, VexStatement, Vulnerability};
use super::subject::ScanSubject;
use super::text::short;
use wharf_oci::Timestamp;

/// A report's content so far.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub tool: String,
    pub subject: ScanSubject,
    pub made: Option<Timestamp>,
    pub database: Option<Timestamp>,
    pub kind: ScanKind,
    found: BTreeMap<(String, ScannedPackage), Vulnerability>,
    count: usize,
    not_kept: usize,
    statements: Vec<VexStatement>,
}

impl Collector {
    /// Nothing yet, said by this tool.
    pub(super) fn of(tool: &str) -> Self {
        Self { tool: tool.to_owned(), ..Self::default() }
    }

    /// Takes one vulnerability of one package.
    pub(super) fn add(&mut self, mut found: Vulnerability) {
        self.count += 1;
        if found.score.is_harmless() {
            return;
        }
        for text in [&mut found.id, &mut found.package.name, &mut found.package.version] {
            *text = short(text);
        }
        found.package.purl = short(&found.package.purl);
        found.fixed = found.fixed.map(|text| short(&text)).filter(|text| !text.is_empty());
        found.label = found.label.map(|text| short(&text)).filter(|text| !text.is_empty());
        found.excuse = found.excuse.map(|text| short(&text));
        let key = (found.id.clone(), found.package.clone());
        let is_full = self.found.len() >= KEPT_MAX;
        match self.found.get_mut(&key) {
            Some(known) => {
                // Harmless only where it is so at every place.
                let excuse = known.excuse.take().filter(|_| found.excuse.is_some());
                if known.score.rank() < found.score.rank() {
                    *known = found;
                }
                known.excuse = excuse;
            }
            None if is_full => self.not_kept += 1,
            None => {
                self.found.insert(key, found);
            }
        }
    }

    /// Takes a verdict on other reports' vulnerabilities.
    pub(super) fn state(&mut self, statement: &VexStatement) {
        if self.statements.len() < KEPT_MAX {
            let affects = statement.affects.iter().map(|text| short(text)).collect();
            let (id, excuse) = (short(&statement.id), short(&statement.excuse));
            self.statements.push(VexStatement { id, affects, excuse });
        } else {
            self.not_kept += 1;
        }
    }

    pub(super) fn into_scan(self, file: &Path) -> Scan {
        Scan {
            file: file.to_owned(),
            tool: short(&self.tool),
            subject: self.subject,
            made: self.made,
            database: self.database,
            kind: self.kind,
            vulnerabilities: self.found.into_values().collect(),
            count: self.count,
            not_kept: self.not_kept,
            statements: self.statements,
        }
    }
}

/// The highest score of v3 of several sources.
#[derive(Debug, Default)]
pub(super) struct Highest(Option<(BaseScore, String, bool)>);

impl Highest {
    /// Takes a source's score. An invalid score counts as none; beside a vector, the stated score
    /// counts, because other programs decide by it.
    pub(super) fn add(&mut self, source: &str, number: Option<f64>, vector: Option<&str>) {
        // Zero is how some writers leave the number out; a vector of no harm comes to it itself.
        let stated = number.filter(|number| *number > 0.0);
        let computed = || Some(vector?.parse::<Vector>().ok()?.base_score());
        let (score, is_computed) = match stated.and_then(BaseScore::from_number) {
            Some(score) => (score, false),
            None => match computed() {
                Some(score) => (score, true),
                None => return,
            },
        };
        if self.0.as_ref().is_none_or(|(known, ..)| *known < score) {
            self.0 = Some((score, short(source), is_computed));
        }
    }

    pub(super) fn score(self) -> Score {
        match self.0 {
            Some((score, source, is_computed)) => Score::V3 { score, source, is_computed },
            None => Score::None,
        }
    }
}
