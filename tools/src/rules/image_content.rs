//! Rules about the blobs and manifests of an image: whole, of known types, for the right platforms,
//! not too large. Hashing was done before; here the facts are judged.

use std::collections::BTreeSet;

use wharf_oci::{Descriptor, Digest, MANIFEST_SIZE_BYTES_MAX, MediaType};

use super::image::{faults, of_platform, platform_key, size};
use super::image_supply::schema_1;
use super::{Check, Findings, ImageView, Rule, Severity};
use crate::image::facts::{FaultKind, PlatformImage};
use crate::offer::tag_forms::version_of;

const GIB: u64 = 1024 * 1024 * 1024;
/// ACR's largest layer.
const LAYER_BYTES_MAX: u64 = 200 * GIB;
/// Largest image Azure Container Instances starts.
const IMAGE_BYTES_MAX: u64 = 15 * GIB;
/// Marks a child of an index as an attestation.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "TEC-025",
        title: "the layout has exactly the tags of the offer",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration (tags must exist); INFERENCE for extra ones",
        why: "A layout of an older version would be pushed under tags that the offer does not name.",
        fix: "run `wharf package` again",
        check: Check::Image(|view, judge| {
            let Some(plan) = view.plan else { return judge.not_applicable() };
            let wanted: BTreeSet<_> =
                plan.image.expanded_tags.iter().map(|item| &item.tag).collect();
            let actual: BTreeSet<_> = view.facts.tags.keys().collect();
            for missing in wanted.difference(&actual) {
                judge.error("tags", format!("the tag `{missing}` is not in the layout"));
            }
            for extra in actual.difference(&wanted) {
                judge.error("tags", format!("the tag `{extra}` of the layout is not in the offer"));
            }
        }),
    },
    Rule {
        id: "TEC-015",
        title: "`latest` is the highest version",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration (it points to the latest version)",
        why: "Customers who name no version get another one than they read about.",
        fix: "let `latest` and the tags of the newest version point at the same image",
        check: Check::Image(latest),
    },
    Rule {
        id: "IMG-001",
        title: "manifests are of the types that ACR takes",
        severity: Severity::Error,
        source: "ACR/container-registry-image-formats",
        why: "Others cannot be pushed, or not be pulled by every runtime.",
        fix: "build the image as OCI or as Docker schema 2",
        check: Check::Image(manifest_types),
    },
    Rule {
        id: "IMG-003",
        title: "every blob is there, with the size and digest of its descriptor",
        severity: Severity::Error,
        source: "OCI image specification",
        why: "A registry refuses the push, or customers cannot pull.",
        fix: "build the image again; the layout is damaged or incomplete",
        check: Check::Image(|view, judge| {
            faults(view, judge, |kind| {
                matches!(
                    kind,
                    FaultKind::Missing | FaultKind::Size | FaultKind::Digest | FaultKind::Algorithm
                )
            });
        }),
    },
    Rule {
        id: "IMG-004",
        title: "manifests have at most 4 MiB, layers at most 200 GiB",
        severity: Severity::Error,
        source: "ACRLIM",
        why: "ACR takes nothing larger.",
        fix: "split the layer, or shorten the annotations of the manifest",
        check: Check::Image(|view, judge| {
            for manifest in manifests(view) {
                if manifest.size > MANIFEST_SIZE_BYTES_MAX {
                    let message =
                        format!("the manifest {} has {}", manifest.digest, size(manifest.size));
                    judge.error("", message);
                }
            }
            for image in &view.facts.images {
                for layer in image.layers.iter().filter(|at| at.descriptor.size > LAYER_BYTES_MAX) {
                    let Descriptor { digest, size: bytes, .. } = &layer.descriptor;
                    let message = format!("the layer {digest} has {}", size(*bytes));
                    judge.error(&platform_key(view, image), message);
                }
            }
        }),
    },
    Rule {
        id: "IMG-005",
        title: "the image runs on linux/amd64",
        severity: Severity::Error,
        source: "AC-technical-assets-kubernetes; ACI/container-instances-faq",
        why: "Azure Container Instances runs nothing else, and certification starts the image there.",
        fix: "add linux/amd64 to `platforms`",
        check: Check::Image(|view, judge| {
            let mut platforms = view.facts.images.iter().filter_map(PlatformImage::platform);
            if !platforms.any(|platform| platform.os == "linux" && platform.architecture == "amd64")
            {
                judge.error("platforms", "there is no image for linux/amd64");
            }
        }),
    },
    Rule {
        id: "IMG-006",
        title: "an index states the platform of each child as its configuration does",
        severity: Severity::Error,
        source: "INFERENCE",
        why: "Runtimes choose by the index and then cannot start what they chose.",
        fix: "build the index again from the images",
        check: Check::Image(index_platforms),
    },
    Rule {
        id: "IMG-007",
        title: "an index names each platform once",
        severity: Severity::Warning,
        source: "BuildKit practice; INFERENCE",
        why: "Runtimes take the first one; the second is never pulled.",
        fix: "remove the second entry, or give it another variant or os.version",
        check: Check::Image(|view, judge| {
            if view.facts.indexes.is_empty() {
                judge.not_applicable();
            }
            for index in &view.facts.indexes {
                let mut seen = BTreeSet::new();
                for child in index.children.iter().filter(|child| !is_attestation(child)) {
                    let Some(platform) = &child.platform else { continue };
                    if !seen.insert(platform.clone()) {
                        let message =
                            format!("the index {} names {platform} twice", index.descriptor.digest);
                        judge.warning("platforms", message);
                    }
                }
            }
        }),
    },
    Rule {
        id: "IMG-008",
        title: "the image has at most 15 GB",
        severity: Severity::Error,
        source: "ACI/container-instances-faq (it does not say whether compressed)",
        why: "Larger ones may not start in Azure Container Instances.",
        fix: "leave build tools and caches out; use a smaller base",
        check: Check::Image(|view, judge| {
            for image in &view.facts.images {
                let (stored, key) = (image.stored_bytes(), platform_key(view, image));
                let unpacked = image.uncompressed_bytes().filter(|bytes| *bytes > IMAGE_BYTES_MAX);
                if stored > IMAGE_BYTES_MAX {
                    judge.within(of_platform(image), |judge| {
                        judge.error(&key, format!("it has {}", size(stored)));
                    });
                } else if let Some(bytes) = unpacked {
                    judge.within(of_platform(image), |judge| {
                        judge.warning(&key, format!("it has {} unpacked", size(bytes)));
                    });
                }
            }
        }),
    },
    Rule {
        id: "IMG-031",
        title: "no layer has to be fetched from elsewhere",
        severity: Severity::Warning,
        source: "ACR FAQ",
        why: "Registries do not hold foreign layers; customers need access to their source.",
        fix: "push the layer itself, where its licence allows that",
        check: Check::Image(|view, judge| {
            for image in &view.facts.images {
                for layer in &image.layers {
                    let Descriptor { media_type, digest, .. } = &layer.descriptor;
                    if layer.descriptor.may_be_elsewhere() {
                        let message = format!("the layer {digest} is foreign ({media_type})");
                        judge.warning(&platform_key(view, image), message);
                    }
                }
            }
        }),
    },
    Rule {
        id: "IMG-032",
        title: "layers are tars that every engine unpacks",
        severity: Severity::Error,
        source: "INFERENCE (docker, podman and containerd given each case)",
        why: "Names that come twice and hard links to other layers are refused when customers pull.",
        fix: "build the layer again without such entries",
        check: Check::Image(|view, judge| {
            faults(view, judge, |kind| matches!(kind, FaultKind::Tar | FaultKind::Entry(_)));
        }),
    },
    Rule {
        id: "IMG-033",
        title: "layers are compressed as their media type says",
        severity: Severity::Error,
        source: "INFERENCE",
        why: "Runtimes believe the media type and fail on the bytes.",
        fix: "build the image again",
        check: Check::Image(|view, judge| {
            faults(view, judge, |kind| {
                matches!(kind, FaultKind::Compression | FaultKind::Packing(_))
            });
        }),
    },
    Rule {
        id: "IMG-036",
        title: "the configuration names the digest of every uncompressed layer",
        severity: Severity::Error,
        source: "OCI image specification",
        why: "Runtimes check these digests when they unpack.",
        fix: "build the image again",
        check: Check::Image(|view, judge| {
            faults(view, judge, |kind| matches!(kind, FaultKind::DiffId | FaultKind::Unproven));
        }),
    },
    Rule {
        id: "IMG-039",
        title: "the history has no more steps with a layer than there are layers",
        severity: Severity::Error,
        source: "INFERENCE (docker load and pull)",
        why: "Docker refuses the image: \"too many non-empty layers in History section\".",
        fix: "mark the steps that made no layer with `empty_layer`, or leave the history out",
        check: Check::Image(history_fits),
    },
    Rule {
        id: "IMG-049",
        title: "a name stands for one image",
        severity: Severity::Error,
        source: "INFERENCE (skopeo, regctl, oras, ctr and umoci given such a layout)",
        why: "Of two images with one name some clients take the first, others the last, and some none.",
        fix: "give each image a name of its own",
        check: Check::Image(|view, judge| faults(view, judge, |kind| kind == FaultKind::Name)),
    },
];

fn latest(view: &ImageView<'_>, judge: &mut Findings<'_>) {
    let facts = view.facts;
    let versions = facts.tags.iter().filter_map(|(tag, digest)| {
        version_of(tag.as_str()).map(|(version, _)| (version.numbers(), tag, *digest))
    });
    let highest = versions.clone().map(|(numbers, ..)| numbers).max();
    let latest = facts.tags.iter().find(|(tag, _)| tag.as_str() == "latest");
    let (Some(highest), Some((_, latest))) = (highest, latest) else {
        return judge.not_applicable();
    };
    // The image itself, or those of its platforms.
    let parts = |digest: &Digest| -> BTreeSet<Digest> {
        let index = facts.index(digest);
        let children = index.iter().flat_map(|index| &index.children).map(|child| child.digest);
        children.chain([*digest]).collect()
    };
    let newest = parts(latest);
    let mut of_highest = versions.filter(|(numbers, ..)| *numbers == highest).peekable();
    let example = of_highest.peek().map(|(_, tag, _)| *tag);
    if !of_highest.any(|(.., digest)| !parts(&digest).is_disjoint(&newest))
        && let Some(tag) = example
    {
        judge.error("tags", format!("`latest` is another image than `{tag}`"));
    }
}

/// The descriptor of every readable manifest.
fn manifests<'a>(view: &'a ImageView<'_>) -> impl Iterator<Item = &'a Descriptor> {
    let indexes = view.facts.indexes.iter().map(|index| &index.descriptor);
    indexes.chain(view.facts.images.iter().map(|image| &image.descriptor))
}

fn manifest_types(view: &ImageView<'_>, judge: &mut Findings<'_>) {
    const TAKEN: [MediaType; 4] = [
        MediaType::OCI_MANIFEST,
        MediaType::OCI_INDEX,
        MediaType::DOCKER_MANIFEST,
        MediaType::DOCKER_LIST,
    ];
    // Those of Docker's first schema are IMG-002's.
    let old = schema_1(view);
    let faulty = view.facts.faults.iter().filter(|fault| fault.kind == FaultKind::Manifest);
    for fault in faulty.filter(|fault| !old.contains(&fault.digest)) {
        judge.error("", fault.to_string());
    }
    for manifest in manifests(view) {
        if !TAKEN.contains(&manifest.media_type) {
            let message = format!("{} is of the type {}", manifest.digest, manifest.media_type);
            judge.error("", message);
        }
    }
    if view.facts.images.is_empty() && old.is_empty() {
        judge.error("", "there is no image that could be read");
    }
}

fn history_fits(view: &ImageView<'_>, judge: &mut Findings<'_>) {
    for image in &view.facts.images {
        let Some(config) = &image.config else { continue };
        let steps = config.history.iter().filter(|step| !step.empty_layer).count();
        let layers = image.layers.len();
        if steps > layers {
            judge.within(of_platform(image), |judge| {
                let message =
                    format!("the history has {steps} steps with a layer, and {layers} layers");
                judge.error(&platform_key(view, image), message);
            });
        }
    }
}

fn is_attestation(child: &Descriptor) -> bool {
    child.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == "attestation-manifest")
        || child.platform.as_ref().is_some_and(wharf_oci::Platform::is_unknown)
}

fn index_platforms(view: &ImageView<'_>, judge: &mut Findings<'_>) {
    if view.facts.indexes.is_empty() {
        judge.not_applicable();
    }
    for index in &view.facts.indexes {
        for child in index.children.iter().filter(|child| !is_attestation(child)) {
            let image = view.facts.image(&child.digest);
            let Some((image, actual)) = image.and_then(|image| Some((image, image.platform()?)))
            else {
                continue;
            };
            // An empty platform contradicts none; IMG-010 is about it.
            if actual.os.is_empty() || actual.architecture.is_empty() {
                continue;
            }
            let Some(stated) = &child.platform else {
                let message = format!("the index states no platform for {}", child.digest);
                judge.error(&platform_key(view, image), message);
                continue;
            };
            // A variant stated by one side only is the architecture's default one.
            let variants = stated.variant.as_ref().zip(actual.variant.as_ref());
            if stated.os != actual.os
                || stated.architecture != actual.architecture
                || variants.is_some_and(|(stated, actual)| stated != actual)
            {
                let message = format!("the index states {stated}, the configuration {actual}");
                judge.error(&platform_key(view, image), message);
            }
        }
    }
}
