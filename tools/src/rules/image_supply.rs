//! Rules about an image's companions: lists of its parts, signatures, attestations; and about
//! manifests too old to have any.

use std::collections::BTreeSet;

use wharf_oci::{Descriptor, Digest};

use super::image::{of_platform, size};
use super::{Check, Findings, ImageView, Rule, Severity};
use crate::image::facts::ArtifactFacts;

/// Larger statements were seen to break pushes to ACR, beginning somewhere below 92 MB.
const STATEMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Words in the types of an SBOM.
const SBOM_TYPES: [&str; 3] = ["spdx", "cyclonedx", "syft"];
/// Types of signatures: cosign's two, Notary's.
const SIGNATURE_TYPES: [&str; 4] = [
    "application/vnd.dev.cosign.artifact.sig.v1+json",
    "application/vnd.dev.cosign.simplesigning.v1+json",
    "application/vnd.dev.sigstore.bundle",
    "application/vnd.cncf.notary.signature",
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-002",
        title: "no manifest is of Docker's first schema",
        severity: Severity::Error,
        source: "ACR/container-registry-image-formats (taken); INFERENCE (containerd 2.1 and later do not pull it)",
        why: "It has no configuration and no sizes, so nothing can be proven of it, and newer nodes refuse it.",
        fix: "pull and push the image with a current docker, or build it again",
        check: Check::Image(|view, judge| {
            for digest in schema_1(view) {
                judge.error("", format!("the manifest {digest} is of schema 1"));
            }
        }),
    },
    Rule {
        id: "SUP-001",
        title: "a list of its parts (SBOM) comes with each platform",
        severity: Severity::Warning,
        source: "ACR/container-registry-manage-artifact",
        why: "Customers and their scanners ask for it, and whoever makes one later can only guess what was built in.",
        fix: "`wharf package` attaches one; else build with `--sbom=true`, or attach one to each platform's digest",
        check: Check::Image(|view, judge| {
            for image in &view.facts.images {
                let digest = image.descriptor.digest;
                let is_listed = about(view, digest).any(is_sbom);
                if !is_listed && !has_companion_tag(view, &digest, "sbom") {
                    judge.within(of_platform(image), |judge| {
                        judge.warning("", "no list of its parts (SBOM) lies beside it");
                    });
                }
            }
            if view.facts.images.is_empty() {
                judge.not_applicable();
            }
        }),
    },
    Rule {
        id: "SUP-002",
        title: "the image is signed, and what is signed is there",
        severity: Severity::Warning,
        source: "ACR/container-registry-content-trust-deprecation (Notation instead)",
        why: "Clusters with a policy take signed images only; a signature of something else signs nothing.",
        fix: "sign the digest of the index with `notation` or `cosign`, after the last change of the image",
        check: Check::Image(signatures),
    },
    Rule {
        id: "SUP-003",
        title: "attestations have at most 32 MiB",
        severity: Severity::Warning,
        source: "ACR issue 866 (pushes broke off at a list of 92 MB)",
        why: "ACR was seen to end pushes of very large ones in their middle.",
        fix: "leave single files out of the list of parts, or compress it",
        check: Check::Image(|view, judge| {
            for artifact in &view.facts.artifacts {
                for blob in artifact.layers.iter().filter(|at| at.size > STATEMENT_BYTES_MAX) {
                    let message = format!(
                        "the statement {} of {} has {}",
                        blob.digest,
                        artifact.descriptor.digest,
                        size(blob.size)
                    );
                    judge.warning("", message);
                }
            }
            if view.facts.artifacts.is_empty() {
                judge.not_applicable();
            }
        }),
    },
];

/// Every listed manifest, readable or not.
fn listed<'a>(view: &'a ImageView<'_>) -> impl Iterator<Item = &'a Descriptor> {
    view.facts.roots.iter().chain(view.facts.indexes.iter().flat_map(|index| &index.children))
}

/// The manifests of Docker's first schema.
pub(super) fn schema_1(view: &ImageView<'_>) -> BTreeSet<Digest> {
    listed(view).filter(|at| at.media_type.is_schema_1()).map(|at| at.digest).collect()
}

fn about<'a>(view: &'a ImageView<'_>, image: Digest) -> impl Iterator<Item = &'a ArtifactFacts> {
    view.facts.artifacts.iter().filter(move |artifact| artifact.subject == Some(image))
}

/// Every word for an artifact's type.
fn types(artifact: &ArtifactFacts) -> impl Iterator<Item = &str> {
    let layers = artifact.layers.iter().map(|layer| layer.media_type.as_str());
    let predicates = artifact.predicate_types.iter().map(String::as_str);
    artifact.artifact_type.as_deref().into_iter().chain(layers).chain(predicates)
}

fn is_sbom(artifact: &ArtifactFacts) -> bool {
    types(artifact).any(|kind| {
        let kind = kind.to_ascii_lowercase();
        SBOM_TYPES.iter().any(|word| kind.contains(word))
    })
}

fn is_signature(artifact: &ArtifactFacts) -> bool {
    types(artifact).any(|kind| SIGNATURE_TYPES.iter().any(|start| kind.starts_with(start)))
}

/// The image is signed when the index or every platform is; also by cosign's tag `sha256-HEX.sig`.
fn signatures(view: &ImageView<'_>, judge: &mut Findings<'_>) {
    let facts = view.facts;
    let roots: BTreeSet<Digest> = facts.roots.iter().map(|root| root.digest).collect();
    let images: BTreeSet<Digest> = facts.images.iter().map(|it| it.descriptor.digest).collect();
    if images.is_empty() {
        return judge.not_applicable();
    }
    let indexes = facts.indexes.iter().map(|index| index.descriptor.digest);
    let known: BTreeSet<Digest> =
        indexes.chain(images.iter().copied()).chain(roots.iter().copied()).collect();
    let mut signed = BTreeSet::new();
    for artifact in facts.artifacts.iter().filter(|artifact| is_signature(artifact)) {
        let digest = artifact.descriptor.digest;
        match artifact.subject {
            Some(subject) if known.contains(&subject) => {
                signed.insert(subject);
            }
            Some(subject) => {
                let message = format!("the signature {digest} is of {subject}, which is not here");
                judge.warning("", message);
            }
            None => {}
        }
    }
    signed.extend(known.iter().copied().filter(|digest| has_companion_tag(view, digest, "sig")));
    let is_root_signed = facts.indexes.iter().any(|index| {
        let digest = index.descriptor.digest;
        roots.contains(&digest) && signed.contains(&digest)
    });
    if !is_root_signed && !images.is_subset(&signed) {
        judge.warning("", "no signature of it lies beside it");
    }
}

/// Whether the repository has cosign's older companion tag, `sha256-HEX.ENDING`.
fn has_companion_tag(view: &ImageView<'_>, digest: &Digest, ending: &str) -> bool {
    let name = format!("{}.{ending}", digest.to_string().replace(':', "-"));
    view.facts.tags.keys().any(|tag| tag.as_str() == name)
}
