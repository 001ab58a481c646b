//! Rules REG-001 to REG-014: whether the registry is as Microsoft's copy, a push and a promotion
//! need it. They read its state from Azure; without the state they are not decided.
//!
//! Microsoft copies the images of image plans as the admin user.

use super::image::size;
use super::{Check, Findings, Gap, ImageView, OfferView, Rule, Severity};
use crate::offer::tags::TagTarget;
use crate::registry_state::{Network, RegistryState, Tier};

const GIB: u64 = 1024 * 1024 * 1024;
/// How many manifests `az acr import` takes of one image.
const IMPORT_MANIFESTS_MAX: usize = 50;
/// The bytes of one request of a chunked push.
const CHUNK_BYTES: u64 = 8 * 1024 * 1024;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "REG-001",
        title: "the registry has its admin user, and is ready",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration (`adminUserEnabled`)",
        why: "Microsoft copies the image of an image plan as the admin user.",
        fix: "run `az acr update --name NAME --admin-enabled true`",
        check: Check::Offer(|view, judge| {
            state(view, judge, &["adminUserEnabled"], |state, key, judge| {
                if !state.has_admin_user && !state.unstated.contains(&"adminUserEnabled") {
                    judge.error(key, "the admin user is disabled");
                }
                if let Some(word) = state.provisioning.as_ref().filter(|at| *at != "Succeeded") {
                    judge.error(key, format!("Azure says `{word}` of the registry's last change"));
                }
            });
        }),
    },
    Rule {
        id: "REG-002",
        title: "no policy forbids the admin user",
        severity: Severity::Error,
        source: "ACR/container-registry-faq (three built-in policies deny local admin accounts)",
        why: "A policy switches the admin user off again, and the copy fails.",
        fix: "exempt the registry from the policy",
        check: Check::Offer(unseen),
    },
    Rule {
        id: "REG-003",
        title: "AcrPull is enough to pull",
        severity: Severity::Warning,
        source: "ACR/container-registry-rbac-abac-repository-permissions; INFERENCE for the marketplace",
        why: "With roles of repositories, AcrPull, AcrPush and AcrDelete count for nothing: pipelines lose \
              access, and the copy of a Kubernetes plan, which is made with AcrPull, fails.",
        fix: "assign Container Registry Repository Reader instead of AcrPull",
        check: Check::Offer(|view, judge| {
            state(view, judge, &[], |state, key, judge| {
                if state.uses_abac {
                    let message = "roles of repositories count here (`roleAssignmentMode`), and AcrPull \
                                   does not";
                    judge.warning(key, message);
                }
            });
        }),
    },
    Rule {
        id: "REG-004",
        title: "Microsoft reaches the registry",
        severity: Severity::Error,
        source: "ACR/container-registry-import-images; INFERENCE for the marketplace",
        why: "The copy comes from Microsoft's network, not from yours.",
        fix: "allow public access while an offer is published: `az acr update --public-network-enabled \
              true --default-action Allow`",
        check: Check::Offer(|view, judge| {
            state(view, judge, &["publicNetworkAccess"], |state, key, judge| {
                match state.network {
                    Network::Open => {}
                    Network::Trusted => judge.warning(
                        key,
                        "only trusted services of Azure reach it from outside; whether the marketplace \
                         is one is not documented",
                    ),
                    Network::Closed => {
                        judge.error(key, "neither the public nor services of Azure reach it");
                    }
                }
                if !state.may_export {
                    judge.warning(key, "its export policy forbids to copy content out of it");
                }
            });
        }),
    },
    Rule {
        id: "REG-005",
        title: "images are not in quarantine",
        severity: Severity::Error,
        source: "ACRGH/preview/quarantine; INFERENCE for the marketplace",
        why: "What was pushed is invisible until somebody passes it.",
        fix: "pass the image, or switch the quarantine policy off",
        check: Check::Offer(|view, judge| {
            state(view, judge, &["policies"], |state, key, judge| {
                if state.has_quarantine {
                    let message = "the quarantine policy is on, and nothing here says whether the images \
                                   have passed";
                    judge.not_said(key, message);
                }
            });
        }),
    },
    Rule {
        id: "REG-006",
        title: "retention deletes nothing that customers pull",
        severity: Severity::Warning,
        source: "ACR/container-registry-retention-policy",
        why: "Untagged manifests are deleted for good, also those behind an index and those that are \
              pinned by digest.",
        fix: "give each platform a tag, or lock the manifests",
        check: Check::Offer(|view, judge| {
            state(view, judge, &["policies"], |state, key, judge| {
                let Some(days) = state.retention_days else { return };
                for plan in view.offer.images().filter(|plan| has_untagged(plan)) {
                    let message = format!(
                        "untagged manifests are deleted after {days} days, and platforms of the plan \
                         `{}` have no tag of their own",
                        plan.id
                    );
                    judge.warning(key, message);
                }
            });
        }),
    },
    Rule {
        id: "REG-007",
        title: "soft delete goes with what else is on",
        severity: Severity::Warning,
        source: "ACR/container-registry-soft-delete-policy",
        why: "It is not supported together with retention, replicas or the artifact cache.",
        fix: "switch one of the two off",
        check: Check::Offer(|view, judge| {
            state(view, judge, &["policies"], |state, key, judge| {
                if state.soft_delete_days.is_none() {
                    return;
                }
                if state.retention_days.is_some() {
                    judge.warning(key, "soft delete and retention are both on");
                }
                if state.tier == Tier::Premium {
                    judge.not_looked_at(Gap::RegistryDetails);
                }
            });
        }),
    },
    Rule {
        id: "REG-008",
        title: "a push goes to one replica",
        severity: Severity::Warning,
        source: "ACR/container-registry-geo-replication",
        why: "A push whose requests reach two replicas fails with errors about manifests.",
        fix: "push to the endpoint of one region",
        check: Check::Offer(|view, judge| {
            state(view, judge, &[], |state, _, judge| match state.tier {
                Tier::Premium | Tier::Unknown => judge.not_looked_at(Gap::RegistryDetails),
                Tier::Basic | Tier::Standard => judge.not_applicable(),
            });
        }),
    },
    Rule {
        id: "REG-009",
        title: "published tags and manifests are locked",
        severity: Severity::Warning,
        source: "ACR/container-registry-image-lock",
        why: "What is published must never change, and anybody who may push can change it.",
        fix: "run `az acr repository update --image NAME:TAG --write-enabled false`, for the tag and the \
              manifest",
        check: Check::Offer(unseen),
    },
    Rule {
        id: "REG-010",
        title: "a push of the image fits into a minute of the registry",
        severity: Severity::Warning,
        source: "ACR/container-registry-skus (writes per identity)",
        why: "Past it the registry says 429, and the push takes minutes longer.",
        fix: "push fewer images at once, or move to a higher tier",
        check: Check::Image(|view, judge| {
            of_image(view, judge, |state, judge| {
                let (requests, most) = (writes(view), writes_per_minute(state.tier));
                if requests > most {
                    let tier = state.tier.as_str();
                    judge.warning("", format!(
                        "a push of it takes about {requests} requests that write; {tier} takes {most} a \
                         minute of one identity"
                    ));
                }
            });
        }),
    },
    Rule {
        id: "REG-011",
        title: "`az acr import` takes the image",
        severity: Severity::Warning,
        source: "ACR/container-registry-import-images",
        why: "It takes at most 50 manifests of one image.",
        fix: "promote with `wharf promote`, or publish fewer platforms and attestations in one index",
        check: Check::Image(|view, judge| {
            for index in &view.facts.indexes {
                let count = index.children.len();
                if count > IMPORT_MANIFESTS_MAX {
                    let message = format!(
                        "the index lists {count} manifests; {IMPORT_MANIFESTS_MAX} is the most"
                    );
                    judge.warning("", message);
                }
            }
        }),
    },
    Rule {
        id: "REG-012",
        title: "the registry lists what refers to an image",
        severity: Severity::Warning,
        source: "ACR/container-registry-manage-artifact",
        why: "With a key of your own there is no referrers API: signatures and lists of components are \
              found only by the tag that stands for it.",
        fix: "use clients that write and read the tag `sha256-HEX`; `wharf promote` does",
        check: Check::Offer(|view, judge| {
            state(view, judge, &[], |state, key, judge| {
                if state.has_own_key {
                    judge.warning(key, "it is encrypted with a key of your own");
                }
            });
        }),
    },
    Rule {
        id: "REG-013",
        title: "the image fits into the storage of the tier",
        severity: Severity::Warning,
        source: "ACRLIM",
        why: "What is stored beyond it is paid for by the gigabyte.",
        fix: "make the image smaller, or move to a higher tier",
        check: Check::Image(|view, judge| {
            of_image(view, judge, |state, judge| {
                let Some(most) = included_bytes(state.tier) else { return };
                let images = &view.facts.images;
                let layers = images.iter().flat_map(|image| &image.layers);
                let blobs: std::collections::BTreeMap<_, _> =
                    layers.map(|at| (at.descriptor.digest, at.descriptor.size)).collect();
                let stored = blobs.into_values().fold(0, u64::saturating_add);
                if stored > most {
                    let (tier, stored, most) = (state.tier.as_str(), size(stored), size(most));
                    let message = format!("its layers have {stored}; {tier} includes {most}");
                    judge.warning("", message);
                }
            });
        }),
    },
    Rule {
        id: "REG-014",
        title: "the tier has what the registry is set to",
        severity: Severity::Error,
        source: "ACRLIM",
        why: "On a lower tier the setting does nothing, or the next change of the registry fails.",
        fix: "move to Premium, or switch the setting off",
        check: Check::Offer(|view, judge| {
            state(view, judge, &["sku"], |state, key, judge| {
                for feature in beyond(state) {
                    let tier = state.tier.as_str();
                    judge.error(key, format!("{feature} is on, which {tier} does not have"));
                }
            });
        }),
    },
    Rule {
        id: "REG-015",
        title: "the registry is where the offer says",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration",
        why: "Microsoft looks for it in that subscription and resource group, and pushes go to its login \
              server.",
        fix: "copy `loginServer`, `resourceGroup` and the subscription from `az acr show`",
        check: Check::Offer(place),
    },
];

/// Looks at the state of the registry Microsoft copies from, with its key in the offer. A rule is
/// not decided where the state lacks one of the keys it needs, but may still be broken.
fn state(
    view: &OfferView<'_>,
    judge: &mut Findings<'_>,
    needs: &[&str],
    look: impl FnOnce(&RegistryState, &str, &mut Findings<'_>),
) {
    match &view.evidence.registry {
        Some(state) => {
            if needs.iter().any(|key| state.unstated.contains(key)) {
                judge.not_looked_at(Gap::RegistryDetails);
            }
            look(state, &format!("registries.{}", view.offer.offer.registry), judge);
        }
        None => judge.not_looked_at(Gap::RegistryState),
    }
}

/// Facts absent from every state of a registry.
fn unseen(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    state(view, judge, &[], |_, _, judge| judge.not_looked_at(Gap::RegistryDetails));
}

/// The same for an image: without an offer there is no registry it goes to.
fn of_image(
    view: &ImageView<'_>,
    judge: &mut Findings<'_>,
    look: impl FnOnce(&RegistryState, &mut Findings<'_>),
) {
    match (&view.evidence.registry, view.plan) {
        (Some(state), _) => look(state, judge),
        (None, Some(_)) => judge.not_looked_at(Gap::RegistryState),
        (None, None) => judge.not_applicable(),
    }
}

/// Whether a platform has no tag of its own.
fn has_untagged(plan: &crate::offer::model::PlanImage) -> bool {
    let tags = &plan.image.expanded_tags;
    let platforms = 0..plan.image.platforms.len();
    let is_tagged = |place| tags.iter().any(|item| item.target == TagTarget::Platform(place));
    plan.image.platforms.len() > 1 && !platforms.into_iter().all(is_tagged)
}

/// Requests to write: opening, sending and closing each blob, and each manifest.
fn writes(view: &ImageView<'_>) -> u64 {
    let images = &view.facts.images;
    let layers = images.iter().flat_map(|image| &image.layers).map(|layer| &layer.descriptor);
    let configs = images.iter().filter_map(|image| image.config_descriptor.as_ref());
    let blobs: std::collections::BTreeMap<_, _> =
        layers.chain(configs).map(|at| (at.digest, at.size)).collect();
    let of_blobs = blobs.values().map(|bytes| bytes.div_ceil(CHUNK_BYTES).saturating_add(2));
    let manifests = images.len() + view.facts.indexes.len() + view.facts.tags.len();
    of_blobs.fold(manifests as u64, u64::saturating_add)
}

/// ACR/container-registry-skus of 2026: writes of one identity in a minute. Best-effort numbers.
const fn writes_per_minute(tier: Tier) -> u64 {
    match tier {
        Tier::Premium => 2_000,
        Tier::Basic | Tier::Standard | Tier::Unknown => 1_000,
    }
}

const fn included_bytes(tier: Tier) -> Option<u64> {
    match tier {
        Tier::Basic => Some(10 * GIB),
        Tier::Standard => Some(100 * GIB),
        Tier::Premium => Some(500 * GIB),
        Tier::Unknown => None,
    }
}

/// The registry's enabled features of a higher tier.
fn beyond(state: &RegistryState) -> Vec<&'static str> {
    let is_premium = matches!(state.tier, Tier::Premium | Tier::Unknown);
    let premium = [
        (state.network != Network::Open, "a firewall"),
        (state.retention_days.is_some(), "retention"),
        (state.has_own_key, "a key of your own"),
        (state.has_data_endpoint, "a dedicated data endpoint"),
        (state.has_content_trust, "content trust"),
    ];
    let anonymous = (state.is_anonymous && state.tier == Tier::Basic, "anonymous pull");
    let premium = premium.into_iter().filter(|_| !is_premium);
    premium.chain([anonymous]).filter(|(is_on, _)| *is_on).map(|(_, what)| what).collect()
}

fn place(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    state(view, judge, &[], |state, key, judge| {
        let Some(entry) = view.offer.registries.get(&view.offer.offer.registry) else { return };
        let mut compare = |key: String, name: &str, written: &str, actual: &str| {
            if !actual.is_empty() && !written.eq_ignore_ascii_case(actual) {
                let message = format!("the {name} is `{actual}`, the offer says `{written}`");
                judge.error(&key, message);
            }
        };
        let (written, actual) = (entry.login_server.as_str(), state.login_server.as_str());
        compare(format!("{key}.loginServer"), "login server", written, actual);
        if let Some(azure) = &entry.azure {
            if let Some(actual) = &state.resource_group {
                let key = format!("{key}.azure.resourceGroup");
                compare(key, "resource group", &azure.resource_group, actual);
            }
            if let Some(actual) = &state.subscription {
                let key = format!("{key}.azure.subscriptionId");
                compare(key, "subscription", &azure.subscription_id, actual);
            }
        }
    });
}

#[cfg(test)]
mod tests;
