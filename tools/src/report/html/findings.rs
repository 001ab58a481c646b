//! Findings, by subject.

use maud::{Markup, html};

use super::anchor::id;
use super::verdicts;
use crate::offer::excerpt::Excerpt;
use crate::offer::source_map::Spot;
use crate::report::frame::Frame;
use crate::report::short;
use crate::report::{Omission, Report, ReportPart, Weight, counted, links};
use crate::rules::{Finding, Outcome, find};
use crate::shown::visible;

/// How many findings are on a page; more make it too heavy to open.
const FINDINGS_MAX: usize = 2000;

pub(super) fn section(frame: &Frame<'_>, parts: &[ReportPart<'_>]) -> Markup {
    let mut left = FINDINGS_MAX;
    let mut taken = Vec::new();
    for part in parts.iter().filter(|part| !part.findings.is_empty()) {
        let count = part.findings.len().min(left);
        left -= count;
        taken.push((part, count));
    }
    html! {
        section #findings {
            h2 { "Findings" }
            @if taken.is_empty() { p { "There are none." } }
            @for (part, count) in taken { (group(frame, part, count)) }
        }
    }
}

fn group(frame: &Frame<'_>, part: &ReportPart<'_>, count: usize) -> Markup {
    let (errors, warnings) = part.counts();
    html! {
        article.part #(id("part", &part.name)) {
            h3 {
                bdi { (visible(&part.name)) }
                " " span.dim { (counted(errors, "error")) ", " (counted(warnings, "warning")) }
            }
            @for finding in part.findings.iter().take(count) { (card(frame, finding)) }
            @if part.findings.len() > count {
                p.more { (counted(part.findings.len() - count, "finding")) " more." }
            }
        }
    }
}

fn card(frame: &Frame<'_>, finding: &Finding) -> Markup {
    let weight = Weight::of(finding);
    let (class, outcome) = match weight {
        Weight::Error => ("failed", Outcome::Failed),
        Weight::NotProven => ("unproven", Outcome::NotProven),
        Weight::Warning => ("warned", Outcome::Warned),
        Weight::Waived => ("waived", Outcome::Waived),
    };
    let rule = find(finding.rule);
    html! {
        div class=(format!("finding {class}")) {
            p.what {
                (verdicts::sign(outcome)) " "
                span.weight { (weight.as_str()) } " "
                @match rule {
                    Some(rule) => {
                        a.rule href=(links::page(rule)) rel="noreferrer" { (finding.rule) }
                    }
                    None => span.rule { (finding.rule) },
                }
                " "
                bdi { (visible(&finding.message)) }
            }
            p.where { code { bdi { (visible(&frame.root.at(finding))) } } }
            (snippet(finding))
            dl {
                @for (name, value) in details(finding) {
                    dt { (name) } dd { bdi { (value) } }
                }
                @if let Some(rule) = rule { dt { "why" } dd { (rule.why) } }
            }
        }
    }
}

fn snippet(finding: &Finding) -> Markup {
    let place = &finding.place;
    let (Some(line), Some(text)) = (place.line, &place.snippet) else { return html! {} };
    let (column, width) = (place.column.unwrap_or(1), place.width.unwrap_or(1));
    let excerpt = Excerpt::new(text, Spot { line, column, width });
    let take =
        |from: usize, count: usize| excerpt.text.chars().skip(from).take(count).collect::<String>();
    let after = excerpt.before + excerpt.marks;
    html! {
        pre.snippet {
            span.number { (excerpt.number) }
            (take(0, excerpt.before)) mark { (take(excerpt.before, excerpt.marks)) }
            (take(after, usize::MAX))
        }
    }
}

fn details(finding: &Finding) -> Vec<(&'static str, String)> {
    let place = &finding.place;
    let mut details = Vec::new();
    let mut add = |name, value: Option<String>| {
        details.extend(value.map(|value| (name, visible(&value))));
    };
    add("key", place.key.clone().filter(|key| !key.is_empty()));
    add("image", place.image.clone().filter(|_| place.key.is_some()));
    add("platforms", Some(place.platforms.join(", ")).filter(|all| !all.is_empty()));
    add(
        "layer",
        place.layer.map(|layer| format!("{} ({})", layer.number, short(&layer.digest.to_string()))),
    );
    add("path", place.path.clone());
    match &finding.waived {
        Some(waived) => add("waived", Some(waived.words())),
        None => add("fix", Some(finding.fix.to_owned())),
    }
    details
}

/// The missing inputs, and the outcome of every rule.
pub(super) fn ending(report: &Report) -> Markup {
    html! {
        section #unlooked {
            h2 { "Not looked at" }
            @if report.not_looked_at.is_empty() { p { "Everything was looked at." } }
            ul.unlooked {
                @for Omission { what, how, images, rules, .. } in &report.not_looked_at {
                    li {
                        strong { (what) } " " span.dim { (rules.join(", ")) }
                        br; (how)
                        @for image in images { br; code { bdi { (visible(image)) } } }
                    }
                }
            }
        }
        section #rules {
            details {
                summary { "Every rule, and what became of it" }
                div.scroll {
                    table.rules {
                        @for (rule, outcome) in report.rules() {
                            tr {
                                td.nowrap { (verdicts::sign(outcome)) " " (verdicts::word(outcome)) }
                                td.nowrap {
                                    a href=(links::page(rule)) rel="noreferrer" { (rule.id) }
                                }
                                td { (rule.title) }
                            }
                        }
                    }
                }
            }
        }
    }
}
