//! `JUnit` XML, for pages of test results: a suite for the offer and one for each image, in each a
//! case per rule. Names are the same in every run, for pages with the history of a rule.

use std::fmt::Write as _;
use std::io;

use quick_junit::{NonSuccessKind, Report as Results, TestCase, TestCaseStatus, TestSuite};

use super::frame::Frame;
use super::{ReportPart, Weight};
use crate::rules::{AppliedWaiver, Finding, Outcome, Rule, Subject};
use crate::shown::visible;

pub(super) fn write(frame: &Frame<'_>) -> io::Result<String> {
    let mut results = Results::new(format!("wharf {}", frame.command));
    for part in &frame.report.parts() {
        results.add_test_suite(suite(part, frame));
    }
    for unread in &frame.report.unread {
        let name = visible(&unread.target);
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type("unread").set_message(visible(&unread.error));
        let mut case = TestCase::new("the target can be read", status);
        case.set_classname(format!("wharf.{}.{name}", frame.command.replace(' ', ".")));
        let mut suite = TestSuite::new(format!("wharf {}: {name}", frame.command));
        suite.add_test_case(case);
        results.add_test_suite(suite);
    }
    let skipped = format!(" skipped=\"{}\"", results.skipped);
    let text = results.to_string().map_err(io::Error::other)?;
    // XML 1.0 §2.2 has no place for these two, not even escaped.
    let text = text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    // Suites have this attribute; the readers' schemas have none for the root.
    Ok(text.replacen(&skipped, "", 1))
}

fn suite(part: &ReportPart<'_>, frame: &Frame<'_>) -> TestSuite {
    let name = match part.subject {
        Subject::Offer => "offer".to_owned(),
        Subject::Image { location, plan } => plan.clone().unwrap_or_else(|| location.clone()),
    };
    let name = visible(&name);
    let mut suite = TestSuite::new(format!("wharf {}: {name}", frame.command));
    for (rule, outcome) in &part.rules {
        let findings = part.findings.iter().filter(|finding| finding.rule == rule.id);
        let findings: Vec<&Finding> = findings.copied().collect();
        let mut case = TestCase::new(
            format!("{} {}", rule.id, rule.title),
            status(rule, *outcome, &findings, frame),
        );
        case.set_classname(format!("wharf.{}.{name}", frame.command.replace(' ', ".")));
        // A failure has its lines in itself.
        let others = findings.iter().filter(|at| Weight::of(at) != Weight::Error);
        let others: Vec<&Finding> = others.copied().collect();
        if !others.is_empty() {
            case.set_system_out(lines(&others, rule, frame));
        }
        suite.add_test_case(case);
    }
    suite
}

/// A rule with errors fails; an undecided one, and one without a subject, is skipped.
fn status(
    rule: &Rule,
    outcome: Outcome,
    findings: &[&Finding],
    frame: &Frame<'_>,
) -> TestCaseStatus {
    let errors = findings.iter().filter(|finding| Weight::of(finding) == Weight::Error);
    let errors: Vec<&Finding> = errors.copied().collect();
    if let Some(first) = errors.first() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(rule.id).set_message(visible(&first.message));
        status.set_description(lines(&errors, rule, frame));
        return status;
    }
    let open = findings.iter().find(|finding| Weight::of(finding) == Weight::NotProven);
    let waived = findings.iter().find_map(|finding| finding.waived.as_ref());
    let reason = match (open, outcome) {
        (None, Outcome::Waived) => {
            format!("waived: {}", visible(&waived.map(AppliedWaiver::words).unwrap_or_default()))
        }
        (Some(open), _) => format!("not proven: {}", visible(&open.message)),
        (None, Outcome::NotLookedAt) => {
            let gaps = frame.report.not_looked_at.iter();
            let gaps = gaps.filter(|gap| gap.rules.contains(&rule.id));
            let whats: Vec<&str> = gaps.map(|gap| gap.what).collect();
            format!("not looked at: {}", whats.join(", "))
        }
        (None, Outcome::NotApplicable) => "not applicable".to_owned(),
        _ => return TestCaseStatus::success(),
    };
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason);
    status
}

fn lines(findings: &[&Finding], rule: &Rule, frame: &Frame<'_>) -> String {
    let mut text = String::new();
    for finding in findings {
        let at = visible(&frame.root.at(finding));
        let _ =
            writeln!(text, "{at}: {}: {}", Weight::of(finding).as_str(), visible(&finding.message));
        if let Some(path) = &finding.place.path {
            let _ = writeln!(text, "    path: {}", visible(path));
        }
    }
    let _ = write!(text, "fix: {}", rule.fix);
    text
}
