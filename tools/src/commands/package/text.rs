//! The result of `wharf package`, for people.

use std::fmt::Write as _;

use super::outcome::{Packaged, PackagedPlan, State};
use crate::explain;
use crate::output::{Paint, Style, Table, visible};
use crate::rules::image::size;

/// The common advice for differing and missing layouts.
const ADVICE: &str = "run `wharf package` without --check to make them";

pub(super) fn text(result: &Packaged, paint: Paint) -> String {
    let mut table = Table::new(&["PLAN", "PLATFORM", "DIGEST", "SIZE", "LAYERS", "STATE"]);
    for plan in &result.plans {
        let (style, state) = plan.state.text();
        for platform in &plan.platforms {
            table.styled_row([
                (Style::Plain, plan.plan.clone()),
                (Style::Plain, platform.platform.clone()),
                (Style::Plain, platform.digest.short()),
                (Style::Plain, size(platform.size_bytes)),
                (Style::Plain, platform.layers.len().to_string()),
                (style, state.to_owned()),
            ]);
        }
        if plan.platforms.is_empty() {
            let nothing = || (Style::Plain, "-".to_owned());
            table.styled_row([
                (Style::Plain, plan.plan.clone()),
                nothing(),
                nothing(),
                nothing(),
                nothing(),
                (style, state.to_owned()),
            ]);
        }
    }
    let mut text = table.render(paint);
    for plan in &result.plans {
        text.push_str(&places(plan));
    }
    let is_wrong = |plan: &&PackagedPlan| matches!(plan.state, State::Differs | State::Missing);
    if result.plans.iter().any(|plan| is_wrong(&plan)) {
        text.push('\n');
        for plan in result.plans.iter().filter(is_wrong) {
            text.push_str(&differences(plan, paint));
        }
        let _ = writeln!(text, "{} {ADVICE}", paint.text(Style::Strong, "hint:"));
    }
    if let Some(explained) = &result.explained {
        text.push_str(&explain::text(explained, paint));
    }
    text
}

fn places(plan: &PackagedPlan) -> String {
    let index = plan.digest.map_or_else(|| "-".to_owned(), |digest| digest.short());
    let tags = plan.tags.join(", ");
    format!("{}  index {index}  tags {tags}\n", visible(&plan.layout.display().to_string()))
}

fn differences(plan: &PackagedPlan, paint: Paint) -> String {
    let mut text = String::new();
    let name = format!("plan {}", plan.plan);
    if plan.state == State::Missing {
        let layout = visible(&plan.layout.display().to_string());
        let _ = writeln!(text, "{}: nothing is at {layout}", paint.text(Style::Error, &name));
    }
    for difference in &plan.differences {
        let between = if difference.platform.is_some() { ", " } else { ": " };
        let line = paint.wrap(&format!("{name}{between}{difference}"), 4);
        let rest = line.strip_prefix(&name).unwrap_or(&line);
        let _ = writeln!(text, "{}{rest}", paint.text(Style::Error, &name));
    }
    text
}
