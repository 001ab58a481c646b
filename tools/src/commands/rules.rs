//! `wharf rules`: the catalogue, or one rule of it.

use std::fmt::Write as _;

use anyhow::anyhow;
use serde::Serialize;

use super::Context;
use crate::cli::RulesArgs;
use crate::exit::Exit;
use crate::output::{Paint, Style, Table};
use crate::rules::{self, Check, Rule, Severity};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleResult {
    id: &'static str,
    title: &'static str,
    severity: Severity,
    checks: &'static str,
    source: &'static str,
    why: &'static str,
    fix: &'static str,
}

impl From<&Rule> for RuleResult {
    fn from(rule: &Rule) -> Self {
        let checks = match rule.check {
            Check::Offer(_) => "offer",
            Check::Image(_) => "image",
            Check::Waivers(_) => "waivers",
        };
        let Rule { id, title, severity, source, why, fix, .. } = *rule;
        Self { id, title, severity, checks, source, why, fix }
    }
}

/// Runs the command.
pub fn run(args: &RulesArgs, context: &Context) -> anyhow::Result<Exit> {
    let Some(id) = &args.id else {
        let all: Vec<RuleResult> = rules::all().map(RuleResult::from).collect();
        context.output.result("rules", &all, |paint| list(&all, paint))?;
        return Ok(Exit::Ok);
    };
    let rule = rules::find(id)
        .ok_or_else(|| anyhow!("there is no rule `{id}`; `wharf rules` lists them all"))?;
    let rule = RuleResult::from(rule);
    context.output.result("rules", &rule, |paint| explain(&rule, paint))?;
    Ok(Exit::Ok)
}

fn list(rules: &[RuleResult], paint: Paint) -> String {
    let mut table = Table::new(&["ID", "SEVERITY", "CHECKS", "WHAT MUST HOLD"]);
    for rule in rules {
        let style = match rule.severity {
            Severity::Error => Style::Plain,
            Severity::Warning => Style::Dim,
        };
        table.styled_row(
            [rule.id, rule.severity.as_str(), rule.checks, rule.title]
                .map(|cell| (style, cell.to_owned())),
        );
    }
    table.render(paint)
}

fn explain(rule: &RuleResult, paint: Paint) -> String {
    let mut text = format!("{}: {}\n\n", paint.text(Style::Strong, rule.id), rule.title);
    for (name, value) in [
        ("severity", rule.severity.as_str()),
        ("checks", rule.checks),
        ("source", rule.source),
        ("why", rule.why),
        ("fix", rule.fix),
    ] {
        let _ = writeln!(text, "{name:<9} {value}");
    }
    text
}
