//! The verdict for each subject and each group of rules, as a table of signs. A sign is told by its
//! form, its word and its colour.

use maud::{Markup, html};

use super::anchor::id;
use crate::report::{Report, ReportPart};
use crate::rules::Outcome;
use crate::shown::visible;

/// Groups of rules, by the beginning of their IDs.
const GROUPS: [(&str, &str); 10] = [
    ("OFR", "offer"),
    ("LST", "listing"),
    ("PLN", "plans"),
    ("TEC", "registry, tags"),
    ("IMG", "image"),
    ("SUP", "supply chain"),
    ("REG", "registry state"),
    ("DEP", "deployment"),
    ("K8S", "Kubernetes"),
    ("WVR", "waivers"),
];

/// How many rows there are; the list of findings has all of them.
const PARTS_MAX: usize = 200;

fn group(rule: &str) -> &str {
    rule.split('-').next().unwrap_or(rule)
}

pub(super) fn section(report: &Report, parts: &[ReportPart<'_>]) -> Markup {
    let mut groups: Vec<&str> = Vec::new();
    for (rule, _) in report.rules() {
        if !groups.contains(&group(rule.id)) {
            groups.push(group(rule.id));
        }
    }
    html! {
        section #verdicts {
            h2 { "Verdict" }
            div.scroll {
                table.matrix {
                    thead { tr {
                        th { }
                        @for group in &groups { th title=(group) { (title(group)) } }
                    } }
                    tbody {
                        @for part in parts.iter().take(PARTS_MAX) {
                            tr {
                                th {
                                    @if part.findings.is_empty() {
                                        bdi { (visible(&part.name)) }
                                    } @else {
                                        a href=(format!("#{}", id("part", &part.name))) {
                                            bdi { (visible(&part.name)) }
                                        }
                                    }
                                }
                                @for group in &groups { td { (cell(part, group)) } }
                            }
                        }
                    }
                }
            }
            @if parts.len() > PARTS_MAX {
                p.more { (parts.len() - PARTS_MAX) " more are not in the table." }
            }
            (legend())
        }
    }
}

fn title(wanted: &str) -> &str {
    GROUPS.iter().find(|(group, _)| *group == wanted).map_or(wanted, |(_, title)| title)
}

/// The gravest outcome of a group, and how many rules have it.
fn cell(part: &ReportPart<'_>, wanted: &str) -> Markup {
    let outcomes: Vec<Outcome> = part
        .rules
        .iter()
        .filter(|(rule, _)| group(rule.id) == wanted)
        .map(|(_, outcome)| *outcome)
        .collect();
    let Some(gravest) = outcomes.iter().max().copied() else { return html! {} };
    let count = outcomes.iter().filter(|outcome| **outcome == gravest).count();
    let title = format!("{} of {} rules: {}", count, outcomes.len(), word(gravest));
    html! {
        span.verdict title=(title) {
            (sign(gravest))
            @if !matches!(gravest, Outcome::Passed | Outcome::NotApplicable) {
                " " (count)
            }
        }
    }
}

pub(super) const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotApplicable => "not applicable",
        Outcome::Passed => "passed",
        Outcome::Waived => "waived",
        Outcome::NotLookedAt => "not looked at",
        Outcome::Warned => "warned",
        Outcome::NotProven => "not proven",
        Outcome::Failed => "failed",
    }
}

/// The sign of an outcome, sixteen units wide.
pub(super) fn sign(outcome: Outcome) -> Markup {
    let (class, ground, line) = match outcome {
        Outcome::Failed => ("failed", "M5 1h6l4 4v6l-4 4H5l-4-4V5z", "M5.5 5.5l5 5m0-5l-5 5"),
        Outcome::NotProven => (
            "unproven",
            "M8 1a7 7 0 100 14A7 7 0 008 1z",
            "M6 6.2c.2-2.6 4-2.5 4 0 0 1.500-2 1.600-2 3.200M8 11.800v.1",
        ),
        Outcome::Warned => ("warned", "M8 1.200L15.500 14.600H.5z", "M8 6v4.200M8 12.300v.1"),
        Outcome::Waived => ("waived", "M8 1a7 7 0 100 14A7 7 0 008 1z", "M4.500 8h7"),
        Outcome::NotLookedAt => ("unlooked", "M8 2a6 6 0 100 12A6 6 0 008 2z", ""),
        Outcome::Passed => {
            ("passed", "M8 1a7 7 0 100 14A7 7 0 008 1z", "M4.800 8.300l2.200 2.200 4.200-4.600")
        }
        Outcome::NotApplicable => ("nothing", "", "M6 8h4"),
    };
    html! {
        svg class=(format!("sign {class}")) viewBox="0 0 16 16" role="img" aria-label=(word(outcome)) {
            @if !ground.is_empty() { path.ground d=(ground) {} }
            @if !line.is_empty() { path.line d=(line) {} }
        }
    }
}

fn legend() -> Markup {
    let all = [
        Outcome::Failed,
        Outcome::NotProven,
        Outcome::Warned,
        Outcome::NotLookedAt,
        Outcome::Waived,
        Outcome::Passed,
        Outcome::NotApplicable,
    ];
    html! {
        p.legend { @for outcome in all { span { (sign(outcome)) " " (word(outcome)) } " " } }
    }
}
