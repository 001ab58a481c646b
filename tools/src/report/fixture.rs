//! Reports for the tests of formats.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use wharf_oci::Digest;

use super::formats;
use super::frame::Frame;
use super::markdown::STEP_SUMMARY_BYTES_MAX;
use super::{Report, ReportRoot};
use crate::cli::ReportFormat;
use crate::rules::finding::LayerPlace;
use crate::rules::{Finding, Gap, Judgement, Outcome, Place, Section, Severity, Subject, all};

/// A text with characters that terminals, XML, HTML, Markdown and agents of CI would obey.
pub(super) const HOSTILE: &str =
    "x\u{1b}[31m\u{202e}<script>&\"'|`@team`\r\n::error::##vso[task.complete]%0A,:;]";

pub(super) fn at_offer(rule: &'static str, severity: Severity, message: &str) -> Finding {
    let place = Place {
        file: "a b/offer.yaml".into(),
        line: Some(7),
        column: Some(7),
        width: Some(3),
        snippet: Some("  id: Big".to_owned()),
        key: Some("offer.id".to_owned()),
        ..Place::default()
    };
    let message = message.to_owned();
    Finding {
        rule,
        severity,
        message,
        not_proven: false,
        fix: "write it",
        waived: None,
        is_damage: false,
        place,
    }
}

pub(super) fn in_image(rule: &'static str, severity: Severity, message: &str) -> Finding {
    let digest: Digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
    let place = Place {
        file: "out/a".into(),
        image: Some("out/a".to_owned()),
        platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
        layer: Some(LayerPlace { number: 2, digest }),
        path: Some("etc/ssh/key".to_owned()),
        ..Place::default()
    };
    let message = message.to_owned();
    Finding {
        rule,
        severity,
        message,
        not_proven: false,
        fix: "take it out",
        waived: None,
        is_damage: false,
        place,
    }
}

pub(super) fn of(findings: Vec<Finding>) -> Report {
    let mut judgement = Judgement::default();
    let image = Subject::Image { location: "out/a".to_owned(), plan: None };
    for (subject, prefix) in [(Subject::Offer, "OFR-"), (image, "IMG-")] {
        let mut outcomes: BTreeMap<_, _> = all()
            .filter(|rule| rule.id.starts_with(prefix))
            .take(4)
            .map(|rule| (rule.id, Outcome::Passed))
            .collect();
        if prefix == "IMG-" {
            outcomes
                .extend([("IMG-033", Outcome::NotLookedAt), ("IMG-036", Outcome::NotApplicable)]);
        }
        for (rule, outcome) in &outcomes {
            judgement.outcomes.insert(rule, *outcome);
        }
        judgement.sections.push(Section { subject, outcomes });
    }
    judgement.gaps.entry(Gap::ScannerReport).or_default().insert("IMG-033");
    judgement.findings = findings;
    Report::new(Vec::new(), judgement, Severity::Error)
}

pub(super) fn written(report: &Report, format: ReportFormat) -> String {
    let root = ReportRoot::around(Path::new("/"), |_| None);
    let bytes_max = STEP_SUMMARY_BYTES_MAX;
    formats::write(&Frame { report, command: "verify", root: &root, bytes_max }, format).unwrap()
}
