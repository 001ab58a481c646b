//! Rules IMG-020 to IMG-022: the scanners' findings in the images, the scanned digests, and the
//! scans' age.
//!
//! A report belongs to the image with its digest. A report without a digest is judged by itself; a
//! report with the digest of another image is an error and is not judged.

mod listing;

use super::findings::Site;
use super::{Check, Findings, Gap, ImageView, Rule, Severity};
use crate::image::facts::ImageFacts;
use crate::rules::evidence::Evidence;
use crate::scans::{Cover, Scan, ScanKind};

const DAY_SECONDS: u64 = 86_400;
/// How far clocks may differ.
const SKEW_SECONDS: u64 = 3_600;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-020",
        title: "no vulnerability has a CVSS v3 base score of 7.0 or more",
        severity: Severity::Error,
        source: "CERTFAQ (>= 7.0; K8S-S says > 7)",
        why: "Certification scans the image, and each such finding blocks it, whether a fix exists or \
              not. The score counts, not the scanner's word for it; of several sources the highest.",
        fix: "update the package or the base image, or remove what needs it",
        check: Check::Image(|view, judge| each_report(view, judge, listing::blocking)),
    },
    Rule {
        id: "IMG-021",
        title: "each image has a vulnerability report of its own that is not old",
        severity: Severity::Error,
        source: "CERTFAQ (scan again before each submission)",
        why: "A report says nothing of another image, and new vulnerabilities are published daily.",
        fix: "scan the image that is published, each platform, and give the reports with `--scan`",
        check: Check::Image(|view, judge| {
            each_report(view, judge, |asked, judge| {
                let newest = asked.scans.iter().max_by_key(|scan| scan.made);
                if let Some(newest) = newest {
                    age(newest, asked.evidence, judge);
                }
            });
        }),
    },
    Rule {
        id: "IMG-022",
        title: "vulnerabilities without a CVSS v3 score were looked at",
        severity: Severity::Warning,
        source: "CERTFAQ (\"even lower scores\" are blocked in rare cases)",
        why: "Certification may know a score that the scanner does not.",
        fix: "look the vulnerability up; update the package if there is a fix, else write a waiver",
        check: Check::Image(|view, judge| each_report(view, judge, listing::unscored)),
    },
];

/// The question to the reports about one platform, or about a whole image.
type Ask = fn(&Asked<'_>, &mut Findings<'_>);

/// The reports about one platform or image, with all the evidence.
#[derive(Clone, Copy)]
struct Asked<'a> {
    scans: &'a [&'a Scan],
    evidence: &'a Evidence,
    image: Option<&'a ImageFacts>,
}

/// The question to a report that belongs to none of the images.
pub(super) type AskGiven = fn(&Scan, &[&ImageFacts], &mut Findings<'_>);

/// The same three rules for reports that belong to none of the images.
pub(super) const GIVEN: [(&str, AskGiven); 3] = [
    ("IMG-020", |scan, _, judge| untied(scan, judge, listing::blocking)),
    ("IMG-021", belongs),
    ("IMG-022", |scan, _, judge| untied(scan, judge, listing::unscored)),
];

/// Asks the reports of each platform, and for the image the reports without a platform. A platform
/// without a report was not looked at.
fn each_report(view: &ImageView<'_>, judge: &mut Findings<'_>, ask: Ask) {
    let scans = view.evidence.scans.iter().filter(|scan| scan.kind.is_report());
    let covers: Vec<(&Scan, Cover)> =
        scans.map(|scan| (scan, scan.subject.cover(view.facts))).collect();
    let whole: Vec<&Scan> = covers
        .iter()
        .filter(|(_, cover)| *cover == Cover::SomePlatform)
        .map(|(scan, _)| *scan)
        .collect();
    let (evidence, whole_image) = (view.evidence, Some(view.facts));
    if !whole.is_empty() {
        ask(&Asked { scans: &whole, evidence, image: whole_image }, judge);
    }
    for (place, image) in view.facts.images.iter().enumerate() {
        let of_it = |cover: &Cover| matches!(cover, Cover::Platforms(all) if all.contains(&place));
        let own: Vec<&Scan> =
            covers.iter().filter(|(_, cover)| of_it(cover)).map(|(scan, _)| *scan).collect();
        let site = Site { platform: Some(image.name()), ..Site::default() };
        judge.within(site, |judge| {
            if own.is_empty() {
                judge.not_looked_at(Gap::ScannerReport);
            } else {
                ask(&Asked { scans: &own, evidence, image: whole_image }, judge);
            }
        });
    }
}

fn age(scan: &Scan, evidence: &Evidence, judge: &mut Findings<'_>) {
    let (file, now) = (scan.file.display(), evidence.now.unix_seconds());
    let Some(made) = scan.made else {
        judge.warning("", format!("{file} does not say when it was made"));
        return;
    };
    let most = evidence.report_max_age.0;
    let days = |then: u64| now.saturating_sub(then) / DAY_SECONDS;
    if made.unix_seconds() > now + SKEW_SECONDS {
        judge.warning("", format!("{file} says that it was made at {made}, which is not yet"));
    } else if days(made.unix_seconds()) > u64::from(most) {
        let days = days(made.unix_seconds());
        let message = format!("{file} was made at {made}, {days} days ago; {most} is the most");
        judge.warning("", message);
    } else if let Some(built) = scan.database.filter(|at| days(at.unix_seconds()) > u64::from(most))
    {
        let days = days(built.unix_seconds());
        let message = format!(
            "{file} was made with a list of vulnerabilities of {built}, {days} days old; {most} is the most"
        );
        judge.warning("", message);
    }
    if scan.count == 0 && scan.writes_nothing_as_none() {
        let tool = &scan.tool;
        judge.warning("", format!(
            "{file} lists no vulnerability, and {tool} writes the same where it was not asked for any; see \
             that it was (`--scanners vuln`)"
        ));
    }
    if scan.kind == ScanKind::Summary {
        judge.warning("", format!(
            "{file} is SARIF, which states at most one number of a vulnerability; the JSON of {} has \
             every score",
            scan.tool
        ));
    }
}

fn untied(scan: &Scan, judge: &mut Findings<'_>, ask: Ask) {
    if scan.kind.is_report() && !scan.subject.has_digest() {
        let evidence = Evidence::default();
        ask(&Asked { scans: &[scan], evidence: &evidence, image: None }, judge);
    }
}

/// How many images are named in a message.
const NAMED_MAX: usize = 3;

fn belongs(scan: &Scan, images: &[&ImageFacts], judge: &mut Findings<'_>) {
    if scan.kind == ScanKind::Components {
        let message = "it lists components and no vulnerability, and does not say that any was looked \
                       for; give the JSON of the scanner";
        judge.warning("", message);
    }
    if !scan.kind.is_report() || images.is_empty() {
        return;
    }
    let name = &scan.subject.name;
    if !scan.subject.has_digest() {
        let of = if name.is_empty() { String::new() } else { format!(" of `{name}`") };
        judge.warning(
            "",
            format!(
                "the report{of} of {} names no digest, so nobody can tell which image it is of",
                scan.tool
            ),
        );
        return;
    }
    let covers: Vec<Cover> = images.iter().map(|facts| scan.subject.cover(facts)).collect();
    if covers.iter().all(|cover| *cover == Cover::Nothing) {
        let message = format!(
            "the report is of another image: it names {}{}; here are {}",
            scan.subject.words(),
            if name.is_empty() { String::new() } else { format!(" (`{name}`)") },
            known(images)
        );
        judge.error("", message);
    } else if covers.contains(&Cover::SomePlatform) {
        judge.warning(
            "",
            "the report names only the index, so nobody can tell which platform it is of",
        );
    }
}

/// The digests of the images: manifest and configuration.
fn known(images: &[&ImageFacts]) -> String {
    let all = images.iter().flat_map(|facts| &facts.images).map(|image| {
        let manifest = image.descriptor.digest;
        match &image.config_descriptor {
            Some(config) => format!("{manifest} (configuration {})", config.digest),
            None => manifest.to_string(),
        }
    });
    let all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(NAMED_MAX);
    let shown = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match (shown.is_empty(), more) {
        (true, _) => "none that could be read".to_owned(),
        (false, 0) => shown,
        (false, more) => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
