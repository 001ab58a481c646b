//! Rules K8S: the common part of an application's files, and the view of them for rules. The rules
//! about each file are in `application_manifest`, `application_template` and `application_ui`.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::{Check, Findings, NamedPlace, OfferView, Rule, Severity};
use crate::application::{Application, SourceFile};
use crate::offer::model::{Cluster, KubernetesPlan, Offer};
use crate::offer::source_map::Spot;

/// Most findings of one rule about one plan: a fault repeated a thousand times is reported a few
/// times.
const FINDINGS_MAX: usize = 20;
/// Longest type of a cluster extension, in characters.
const EXTENSION_TYPE_CHARS_MAX: usize = 50;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "K8S-013",
        title: "manifest, UI definition and ARM template are plain YAML and JSON",
        severity: Severity::Error,
        source: "RFC 8259; AC-technical-assets-kubernetes (INFERENCE: the packaging tool reads \
                 standard JSON)",
        why: "Comments, byte order marks, commas before an end and keys that stand twice are read \
              by some programs and not by others.",
        fix: "save the file as UTF-8 without comments, each key once",
        check: Check::Offer(|view, judge| {
            each(view, judge, |seen, judge| {
                let Application { manifest, ui, template } = seen.application;
                for fault in &manifest.faults {
                    seen.manifest(judge, fault.spot, &fault.message);
                }
                for fault in &ui.faults {
                    seen.ui(judge, fault.spot, &fault.message);
                }
                for fault in &template.faults {
                    seen.template(judge, fault.spot, &fault.message);
                }
            });
        }),
    },
    Rule {
        id: "K8S-017",
        title: "an extension type is `Publisher.Application` in 1 to 50 letters, dots and dashes, \
                and each plan has its own",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration-kubernetes; CLI-M `^[a-zA-Z\\.-]{1,50}$`",
        why: "It is unique over all offers, has no digits, and can never change once the offer was \
              in preview.",
        fix: "write the publisher, a dot and the application in letters, dots and dashes",
        check: Check::Offer(extension_types),
    },
    Rule {
        id: "K8S-019",
        title: "offer, manifest and ARM template name the same kinds of clusters",
        severity: Severity::Error,
        source: "K8S-S; Learn (one kind for an offer) against an older sample (both)",
        why: "An application that is installed where its manifest does not support it is refused \
              by the cluster.",
        fix: "name the same kinds in `clusters`, in `supportedClusterTypes`, and in the scope of \
              the extension",
        check: Check::Offer(clusters),
    },
];

/// A plan under check, with its files.
pub(super) struct PlanView<'a> {
    pub(super) place: usize,
    pub(super) offer: &'a Offer,
    pub(super) plan: &'a KubernetesPlan,
    pub(super) application: &'a Application,
    told: Cell<usize>,
}

/// Looks at each Kubernetes plan; without one there is nothing the rule is about.
pub(super) fn each(
    view: &OfferView<'_>,
    judge: &mut Findings<'_>,
    mut look: impl FnMut(&PlanView<'_>, &mut Findings<'_>),
) {
    let mut any = false;
    for (place, _, plan) in view.offer.kubernetes_plans() {
        let Some(application) = view.content.applications.get(&place) else { continue };
        any = true;
        let told = Cell::new(0);
        look(&PlanView { place, offer: view.offer, plan, application, told }, judge);
    }
    if !any {
        judge.not_applicable();
    }
}

impl PlanView<'_> {
    /// The path of a key of the plan in the offer.
    pub(super) fn key(&self, key: &str) -> String {
        format!("plans[{}].{key}", self.place)
    }

    /// An error in the manifest.
    pub(super) fn manifest(
        &self,
        judge: &mut Findings<'_>,
        spot: Spot,
        message: impl Into<String>,
    ) {
        if let Some(at) = self.at(&self.application.manifest, spot) {
            judge.error_in(&self.key("manifest"), &at, message);
        }
    }

    /// A warning about the manifest.
    pub(super) fn doubt_manifest(&self, judge: &mut Findings<'_>, spot: Spot, message: &str) {
        if let Some(at) = self.at(&self.application.manifest, spot) {
            judge.warning_in(&self.key("manifest"), &at, message);
        }
    }

    /// An error in the UI definition.
    pub(super) fn ui(&self, judge: &mut Findings<'_>, spot: Spot, message: impl Into<String>) {
        if let Some(at) = self.at(&self.application.ui, spot) {
            judge.error_in(&self.key("uiDefinition"), &at, message);
        }
    }

    /// A warning about the UI definition.
    pub(super) fn doubt_ui(&self, judge: &mut Findings<'_>, spot: Spot, message: &str) {
        if let Some(at) = self.at(&self.application.ui, spot) {
            judge.warning_in(&self.key("uiDefinition"), &at, message);
        }
    }

    /// An error in the ARM template.
    pub(super) fn template(
        &self,
        judge: &mut Findings<'_>,
        spot: Spot,
        message: impl Into<String>,
    ) {
        if let Some(at) = self.at(&self.application.template, spot) {
            judge.error_in(&self.key("armTemplate"), &at, message);
        }
    }

    /// A warning about the ARM template.
    pub(super) fn doubt_template(&self, judge: &mut Findings<'_>, spot: Spot, message: &str) {
        if let Some(at) = self.at(&self.application.template, spot) {
            judge.warning_in(&self.key("armTemplate"), &at, message);
        }
    }

    /// The place of one more finding; none when enough was told.
    fn at<T>(&self, source: &SourceFile<T>, spot: Spot) -> Option<NamedPlace> {
        self.told.set(self.told.get() + 1);
        let is_enough = self.told.get() > FINDINGS_MAX;
        (!is_enough).then(|| NamedPlace::new(&source.path, &source.text, spot))
    }
}

fn extension_types(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let mut known = BTreeSet::new();
    each(view, judge, |seen, judge| {
        let text = seen.plan.extension_type.as_str();
        let key = seen.key("extensionType");
        let count = text.chars().count();
        let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '.' | '-');
        if let Some(other) = text.chars().find(|c| !is_letter(*c)) {
            judge.error(&key, format!("the extension type has {other:?}, which it cannot have"));
        } else if count == 0 || count > EXTENSION_TYPE_CHARS_MAX {
            let message = format!(
                "the extension type has {count} characters; it has 1 to {EXTENSION_TYPE_CHARS_MAX}"
            );
            judge.error(&key, message);
        } else if text.split('.').count() < 2 || text.split('.').any(str::is_empty) {
            let message = format!("`{text}` is not of the form `Publisher.Application`");
            judge.error(&key, message);
        }
        if !known.insert(text.to_ascii_lowercase()) {
            judge.error(&key, format!("another plan has the extension type `{text}`"));
        }
    });
}

fn clusters(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    each(view, judge, |seen, judge| {
        let wanted = &seen.plan.clusters;
        let key = seen.key("clusters");
        if wanted.is_empty() {
            judge.error(&key, "no kind of cluster is named");
        }
        supported(seen, judge);
        scoped(seen, judge);
    });
}

/// The cluster kinds in the manifest; a manifest without the key supports AKS.
fn supported(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(manifest) = &seen.application.manifest.content else { return };
    let wanted = &seen.plan.clusters;
    let Some(types) = &manifest.clusters else {
        if wanted.contains(&Cluster::Arc) {
            let message = "without `supportedClusterTypes` only managed clusters are supported, and \
                           the offer names `arc`";
            seen.manifest(judge, manifest.registration.unwrap_or(Spot::START), message);
        }
        return;
    };
    for kind in types {
        let Some(cluster) = kind.cluster().filter(|_| kind.is_supported) else { continue };
        if !wanted.contains(&cluster) {
            let message = format!(
                "`{}` is supported, and the offer's `clusters` has it not",
                kind.kind.value
            );
            seen.manifest(judge, kind.kind.spot, message);
        }
    }
    for cluster in wanted {
        let is_it = |at: &&crate::application::manifest::SupportedClusters| {
            at.is_supported && at.cluster() == Some(*cluster)
        };
        if !types.iter().any(|at| is_it(&at)) {
            let message = format!("{} is not supported, and the offer names it", words(*cluster));
            let spot = types.first().map_or(Spot::START, |at| at.kind.spot);
            seen.manifest(judge, spot, message);
        }
    }
}

/// The scope of the extension in the ARM template, where its text states one.
fn scoped(seen: &PlanView<'_>, judge: &mut Findings<'_>) {
    let Some(template) = &seen.application.template.content else { return };
    for extension in &template.extensions {
        let Some(of) = &extension.of else { continue };
        let text = of.value.to_ascii_lowercase();
        let found: Vec<Cluster> =
            [("managedclusters", Cluster::Aks), ("connectedclusters", Cluster::Arc)]
                .into_iter()
                .filter(|(word, _)| text.contains(word))
                .map(|(_, cluster)| cluster)
                .collect();
        if found.is_empty() {
            // The kind is a parameter of the template.
            continue;
        }
        for cluster in &seen.plan.clusters {
            if !found.contains(cluster) {
                let message = format!("the extension is never installed in {}", words(*cluster));
                seen.template(judge, of.spot, message);
            }
        }
        for cluster in found {
            if !seen.plan.clusters.contains(&cluster) {
                let message = format!(
                    "the extension is installed in {}, which the offer does not name",
                    words(cluster)
                );
                seen.template(judge, of.spot, message);
            }
        }
    }
}

const fn words(cluster: Cluster) -> &'static str {
    match cluster {
        Cluster::Aks => "`managedClusters` (aks)",
        Cluster::Arc => "`connectedClusters` (arc)",
    }
}
