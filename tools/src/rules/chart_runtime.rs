//! Rule K8S-010: an installation must not need anything besides the bundle.

use std::sync::LazyLock;

use regex::Regex;

use super::chart::{ChartView, each};
use super::{Check, Findings, Rule, Severity};
use crate::yaml::Spot;

pub(super) const RULES: &[Rule] = &[Rule {
    id: "K8S-010",
    title: "an installation needs nothing from elsewhere, and nothing that only a live cluster knows",
    severity: Severity::Warning,
    source: "AC-technical-assets-kubernetes: no charts or images are downloaded at run time; INFERENCE \
             for `lookup` and hooks",
    why: "What is downloaded was not scanned and may be out of reach; what `lookup` gives is empty when \
          the packaging tool renders; a hook that does not end keeps an extension from being installed.",
    fix: "put what is needed into an image, take what differs from values, and let workloads do what a \
          hook would",
    check: Check::Offer(|view, judge| each(view, judge, look)),
}];

/// The effects a line may have, by its text. ASCII only, as everywhere here.
static SIGNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let signs = [
        (r"\b(?:curl|wget)\b.*https?://", "something is downloaded when it runs"),
        (r"\bkubectl +(?:apply|create|replace) .*https?://", "objects are downloaded when it runs"),
        (r"\bhelm +(?:repo +add|pull|install|upgrade)\b", "a chart is downloaded when it runs"),
        (r"\bgit +clone\b", "sources are downloaded when it runs"),
        (
            r"\b(?:apt-get|apt|apk|yum|dnf|pip|pip3|npm|gem) +(?:-[a-z-]+ +)*(?:install|add)\b",
            "packages are downloaded when it runs",
        ),
        (r"\{\{.*\blookup +[^a-zA-Z]", "`lookup` finds nothing when the bundle is made"),
        (
            "helm\\.sh/hook[\"']?: *[\"']?(?:[a-z-]+, *)*(?:pre|post)-(?:install|upgrade|delete|rollback)",
            "a hook runs outside of what the extension watches",
        ),
    ];
    let made = signs.into_iter().filter_map(|(pattern, what)| {
        // `\b` of bytes: the tables of Unicode are not in the program.
        Some((Regex::new(&pattern.replace(r"\b", r"(?-u:\b)")).ok()?, what))
    });
    made.collect()
});

/// Whether everything a line asks for is in its own pod: a probe, say, and no download.
fn stays_inside(found: &str, line: &str) -> bool {
    let local = ["localhost", "127.0.0.1", "[::1]"];
    let mut hosts = line.split("://").skip(1).peekable();
    let is_request = found.ends_with("://") && hosts.peek().is_some();
    is_request
        && hosts.all(|rest| {
            let rest = local.iter().find_map(|host| rest.strip_prefix(host));
            // The whole name of a host, and not the start of another.
            rest.is_some_and(|rest| {
                !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "-.@".contains(c))
            })
        })
}

fn look(seen: &ChartView<'_>, judge: &mut Findings<'_>) {
    for file in seen.chart.active_templates() {
        let Some(text) = file.text() else { continue };
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with('#') {
                continue;
            }
            for (sign, what) in SIGNS.iter() {
                if let Some(found) = sign.find(line).filter(|at| !stays_inside(at.as_str(), line)) {
                    let column = line.get(..found.start()).unwrap_or_default().chars().count() + 1;
                    let spot =
                        Spot { line: number + 1, column, width: found.as_str().chars().count() };
                    judge.warning_in(&seen.key, &seen.at(&file.path, spot), *what);
                }
            }
        }
    }
}
