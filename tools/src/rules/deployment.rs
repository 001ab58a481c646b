//! Rules DEP about the image: whether its generated manifests can be as safe as clusters ask.

use super::roots::{Need, each_root};
use super::{Check, Rule, Severity};
use crate::deploy::workload::one_digest;
use crate::image::facts::Weight;
use crate::output::visible;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "DEP-003",
        title: "Kubernetes can prove that the image is not root's: its user is a number",
        severity: Severity::Warning,
        source: "AKS; INFERENCE (runAsNonRoot looks at numbers only)",
        why: "With `runAsNonRoot`, which many clusters demand, a container whose user is a name is not \
              started.",
        fix: "write the number in place of the name: `user: \"UID:GID\"`",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::All, |judge, root| {
                let user = root.config.config.user.as_str();
                let name = user.split(':').next().unwrap_or_default();
                // Root, and a name missing from the user files, are findings of other rules.
                let Some(identity) = root.identity().ok().filter(|it| it.user != 0) else {
                    return false;
                };
                let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
                if !digits.bytes().all(|c| c.is_ascii_digit()) {
                    let (name, number) = (visible(name), identity.user);
                    let message = format!("the user `{name}` is a name; its number is {number}");
                    judge.warning("config.user", message);
                }
                true
            });
        }),
    },
    Rule {
        id: "DEP-004",
        title: "one digest names the image on every platform",
        severity: Severity::Warning,
        source: "ACI advice against `latest`; facts 1.6; INFERENCE",
        why: "Where no index lists all platforms, what is deployed by digest runs on one of them only.",
        fix: "list all platforms in one index: `wharf package` does",
        check: Check::Image(|view, judge| {
            let facts = view.facts;
            // Damage is reported already, and may have hit the index.
            let is_damaged = facts.faults.iter().any(|it| it.kind.weight() >= Weight::Unproven);
            if facts.images.is_empty() || is_damaged {
                judge.not_applicable();
            } else if facts.indexes.is_empty() && one_digest(facts).is_none() {
                // Differing indexes are left to the rules about tags.
                let count = facts.images.len();
                judge.warning("", format!("no index lists all {count} images"));
            }
        }),
    },
];
