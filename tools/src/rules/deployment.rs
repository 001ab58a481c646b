//! Rules DEP about the image: whether what is generated of it can be as safe as clusters ask.

use super::image::each_config_with;
use super::{Check, Rule, Severity};
use crate::deploy::workload::one_digest;
use crate::output::visible;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "DEP-003",
        title: "Kubernetes can prove that the image is not root's",
        severity: Severity::Warning,
        source: "AKS; INFERENCE (runAsNonRoot looks at numbers only)",
        why: "With `runAsNonRoot`, which many clusters demand, a container whose user is a name is not \
              started.",
        fix: "write the number in place of the name: `user: \"UID:GID\"`",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| {
                let user = config.config.user.split(':').next().unwrap_or_default();
                // Root is a finding of its own, and Windows has names only.
                if config.os == "windows" || matches!(user, "" | "root") {
                    return false;
                }
                if !user.bytes().all(|c| c.is_ascii_digit()) {
                    let user = visible(user);
                    judge.warning("config.user", format!("the user `{user}` is a name"));
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
        why: "What is deployed by digest runs on one platform only, where no index lists them all.",
        fix: "list all platforms in one index: `wharf package` does",
        check: Check::Image(|view, judge| {
            if view.facts.images.is_empty() {
                judge.not_applicable();
            } else if one_digest(view.facts).is_none() {
                let count = view.facts.images.len();
                judge.warning("", format!("no index lists all {count} images"));
            }
        }),
    },
];
