//! The list of the scanners' findings: each vulnerability of a package once, the worst first, in a
//! readable number.

use std::collections::BTreeMap;

use super::super::Findings;
use super::super::finding::{AffectedPackage, AppliedWaiver};
use super::super::findings::Site;
use super::Asked;
use crate::image::facts::ImageFacts;
use crate::rules::evidence::Evidence;
use crate::scans::cvss::BaseScore;
use crate::scans::{Scan, ScannedPackage, Score, VexStatement, Vulnerability};

/// How many vulnerabilities are listed of one platform; the rest is counted.
const LISTED_MAX: usize = 200;

/// Vulnerabilities with a blocking score, and possible ones: numbers of at least 7.0 of an unknown
/// scale.
pub(super) fn blocking(asked: &Asked<'_>, judge: &mut Findings<'_>) {
    let meant = |found: &Vulnerability| match &found.score {
        Score::V3 { score, .. } | Score::Unnamed(score) => score.blocks(),
        Score::None => false,
    };
    list(asked, judge, meant, |judge, found, waived| {
        let (id, package) = (&found.id, &found.package);
        match (&found.score, waived) {
            (Score::V3 { score, source, is_computed }, waived) => {
                let by = if *is_computed { "by the vector of " } else { "" };
                let message = format!(
                    "{id} in {package} has the CVSS v3 base score {score} ({by}{source}); {}",
                    remedy(found)
                );
                match waived {
                    Some(waived) => judge.waived("", message, waived),
                    None => judge.error("", message),
                }
            }
            (Score::Unnamed(score), None) => judge.not_said("", format!(
                "{id} in {package} has the number {score}, and the report does not say whether that is \
                 CVSS v3; {}",
                remedy(found)
            )),
            (Score::Unnamed(_) | Score::None, _) => {}
        }
    });
    for scan in asked.scans.iter().filter(|scan| scan.not_kept > 0) {
        let (file, more) = (scan.file.display(), scan.not_kept);
        judge.error("", format!("{file} lists {more} more that block or have no score"));
    }
}

/// Vulnerabilities without a score of CVSS v3.
pub(super) fn unscored(asked: &Asked<'_>, judge: &mut Findings<'_>) {
    let meant = |found: &Vulnerability| match &found.score {
        Score::None => true,
        Score::Unnamed(score) => !score.blocks(),
        Score::V3 { .. } => false,
    };
    list(asked, judge, meant, |judge, found, waived| {
        if waived.is_some() {
            return;
        }
        let (id, package) = (&found.id, &found.package);
        let label = match (&found.score, &found.label) {
            (Score::Unnamed(score), _) => format!(" (the report says {score})"),
            (_, Some(label)) => format!(" (the scanner says {})", label.to_lowercase()),
            (_, None) => String::new(),
        };
        let message = format!("{id} in {package} has no CVSS v3 score{label}; {}", remedy(found));
        judge.warning("", message);
    });
}

/// Each selected one, with the reason for its harmlessness where a report states one.
fn list(
    asked: &Asked<'_>,
    judge: &mut Findings<'_>,
    meant: impl Fn(&Vulnerability) -> bool,
    mut say: impl FnMut(&mut Findings<'_>, &Vulnerability, Option<AppliedWaiver>),
) {
    let Asked { scans, evidence, image } = *asked;
    let merged = merge(scans);
    let mut found: Vec<&(&Vulnerability, &Scan)> =
        merged.values().filter(|(found, _)| meant(found)).collect();
    // Stable: of one score they stay in the order of their names.
    found.sort_by_key(|(found, _)| std::cmp::Reverse(number(&found.score)));
    let more = found.len().saturating_sub(LISTED_MAX);
    for (found, scan) in found.into_iter().take(LISTED_MAX) {
        let site = Site { vulnerability: Some(affected(found)), ..Site::default() };
        let waived = excuse(found, scan, evidence, image);
        judge.within(site, |judge| say(judge, found, waived));
    }
    if more > 0 {
        let files: Vec<String> = scans.iter().map(|scan| scan.file.display().to_string()).collect();
        let message = format!("{more} more are in {}", files.join(", "));
        match judge.rule_severity() {
            super::Severity::Error => judge.error("", message),
            super::Severity::Warning => judge.warning("", message),
        }
    }
}

/// The findings of several reports, each vulnerability of a package once: with the highest stated
/// score, and harmless only where all its reports agree.
fn merge<'a>(
    scans: &[&'a Scan],
) -> BTreeMap<(&'a str, &'a str, &'a str), (&'a Vulnerability, &'a Scan)> {
    let mut merged = BTreeMap::new();
    for scan in scans {
        for found in &scan.vulnerabilities {
            let ScannedPackage { name, version, .. } = &found.package;
            let key = (found.id.as_str(), name.as_str(), version.as_str());
            let weight = |found: &Vulnerability| (found.excuse.is_none(), number(&found.score));
            let known = merged.entry(key).or_insert((found, *scan));
            if weight(found) > weight(known.0) {
                *known = (found, *scan);
            }
        }
    }
    merged
}

/// The order of findings: scores of v3 above numbers of an unknown scale.
fn number(score: &Score) -> (u8, Option<BaseScore>) {
    match score {
        Score::V3 { score, .. } => (2, Some(*score)),
        Score::Unnamed(score) => (1, Some(*score)),
        Score::None => (0, None),
    }
}

/// Why it does no harm: the report itself may say so, or a list of verdicts beside it.
fn excuse(
    found: &Vulnerability,
    scan: &Scan,
    evidence: &Evidence,
    image: Option<&ImageFacts>,
) -> Option<AppliedWaiver> {
    let waived = |reason: &str, by: &Scan| AppliedWaiver {
        reason: reason.to_owned(),
        expires: None,
        owner: None,
        file: by.file.clone(),
    };
    if let Some(reason) = &found.excuse {
        return Some(waived(reason, scan));
    }
    evidence.scans.iter().find_map(|by| {
        let speaks =
            |said: &&VexStatement| said.id == found.id && by.speaks_of(said, &found.package, image);
        let said = by.statements.iter().find(speaks)?;
        Some(waived(&said.excuse, by))
    })
}

fn affected(found: &Vulnerability) -> AffectedPackage {
    AffectedPackage {
        id: found.id.clone(),
        package: found.package.name.clone(),
        installed: found.package.version.clone(),
        fixed: found.fixed.clone(),
        score: match &found.score {
            Score::V3 { score, .. } => Some(score.to_string()),
            Score::Unnamed(_) | Score::None => None,
        },
    }
}

fn remedy(found: &Vulnerability) -> String {
    match &found.fixed {
        Some(fixed) => format!("fixed in {fixed}"),
        None => "there is no fixed version yet".to_owned(),
    }
}
