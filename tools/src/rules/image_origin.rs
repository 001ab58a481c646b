//! Rules about the origin of an image: its build, its age, its number of layers, and its
//! annotations.

use std::collections::BTreeSet;

use wharf_oci::Timestamp;

use super::image::{each_config_with, of_platform, platform_key};
use super::{Check, Findings, ImageView, Rule, Severity};
use crate::image::config::ImageConfig;
use crate::image::facts::PlatformImage;
use crate::image::inputs;

/// Most layers docker's storage stacks.
const LAYERS_MAX: usize = 127;
/// More than this is more requests than a pull needs.
const LAYERS_MODERATE: usize = 40;
/// How far clocks of build machines may be ahead.
const CLOCK_SKEW_SECONDS: i64 = 3600;
/// The expected annotations: the end of the OCI key, and the older key of some tools.
const KEYS: [(&str, &str); 5] = [
    ("title", "org.label-schema.name"),
    ("version", "org.label-schema.version"),
    ("vendor", "org.label-schema.vendor"),
    ("licenses", "org.label-schema.license"),
    ("source", "org.label-schema.vcs-url"),
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-028",
        title: "the configuration tells how the image was built",
        severity: Severity::Warning,
        source: "PLAN (images are built from a Dockerfile)",
        why: "The marketplace asks for images that were built from a Dockerfile; an image without history shows no step of a build.",
        fix: "build with a Dockerfile or another tool that writes `history`; do not squash or import a root folder",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| {
                if config.history.is_empty() {
                    judge.warning("", "its configuration has no history");
                }
                true
            });
        }),
    },
    Rule {
        id: "IMG-029",
        title: "labels or annotations say title, version, vendor, licences and source",
        severity: Severity::Warning,
        source: "ACRSWG (annotations of manifests); OCI image specification, annotations; INFERENCE",
        why: "Customers and their scanners read there what the image is, which version, under which terms; what a base image says about itself would be taken for yours.",
        fix: "set the keys `org.opencontainers.image.*`, the version as it is in the tags",
        check: Check::Image(labels),
    },
    Rule {
        id: "IMG-034",
        title: "the image was not created in the future, and says when",
        severity: Severity::Warning,
        source: "OCI image specification (`created`); INFERENCE",
        why: "Tools that sort and clean by age take it for the newest or the oldest image of all.",
        fix: "set the clock of the build machine, or give the build a fixed time (`SOURCE_DATE_EPOCH`)",
        check: Check::Image(|view, judge| {
            let now = i64::try_from(view.evidence.now.unix_seconds()).unwrap_or(i64::MAX);
            each_config_with(view, judge, |judge, config| created(judge, config, now));
        }),
    },
    Rule {
        id: "IMG-035",
        title: "an image has at most 127 layers, better at most 40",
        severity: Severity::Error,
        source: "ACR/container-registry-troubleshoot-performance; limit of docker's storage INFERENCE",
        why: "Docker refuses to stack more; and each layer costs requests of every pull.",
        fix: "join steps of the build that belong together",
        check: Check::Image(|view, judge| {
            for image in &view.facts.images {
                let (count, key) = (image.layers.len(), platform_key(view, image));
                judge.within(of_platform(image), |judge| {
                    if count > LAYERS_MAX {
                        judge.error(
                            &key,
                            format!("it has {count} layers; {LAYERS_MAX} is the most"),
                        );
                    } else if count > LAYERS_MODERATE {
                        judge.warning(&key, format!("it has {count} layers"));
                    }
                });
            }
            if view.facts.images.is_empty() {
                judge.not_applicable();
            }
        }),
    },
    Rule {
        id: "IMG-050",
        title: "the layout was made from what the offer says now",
        severity: Severity::Error,
        source: "INFERENCE",
        why: "What the offer says of the image is not in it, and `wharf push` would refuse it.",
        fix: "run `wharf package` again",
        check: Check::Image(|view, judge| match view.plan {
            Some(plan) if inputs::is_stale(&view.facts.roots, &plan.image) => {
                judge.error("", "it was made from something else than what the offer says now");
            }
            Some(_) => {}
            None => judge.not_applicable(),
        }),
    },
];

/// Judges the creation time; returns whether there is one.
fn created(judge: &mut Findings<'_>, config: &ImageConfig, now: i64) -> bool {
    let Some(text) = &config.created else { return false };
    let Some(seconds) = seconds(text) else {
        judge.warning("", format!("it was created at `{text}`, which is no time"));
        return true;
    };
    let steps = config.history.iter().filter_map(|step| step.created.as_deref());
    if seconds > now.saturating_add(CLOCK_SKEW_SECONDS) {
        judge.warning("", format!("it was created at {text}, in the future"));
    } else if seconds <= 1 && steps.filter_map(self::seconds).any(|step| step > 1) {
        // A reproducible build has this time everywhere.
        judge.warning("", format!("it was created at {text}, but its history has other times"));
    }
    true
}

/// Seconds since 1970; before it for the zero time of Go.
fn seconds(text: &str) -> Option<i64> {
    Timestamp::rfc3339_seconds(text)
}

fn labels(view: &ImageView<'_>, judge: &mut Findings<'_>) {
    let versions = versions(view);
    // The labels of an unreadable configuration are unknown.
    for image in view.facts.images.iter().filter(|image| image.config.is_some()) {
        judge.within(of_platform(image), |judge| {
            let missing: Vec<String> = KEYS
                .iter()
                .filter(|key| said(view, image, key).is_none_or(|value| value.trim().is_empty()))
                .map(|(name, _)| format!("`org.opencontainers.image.{name}`"))
                .collect();
            if !missing.is_empty() {
                let message =
                    format!("neither a label nor an annotation says {}", missing.join(", "));
                judge.warning("config.labels", message);
            }
            let version = KEYS.iter().find(|(name, _)| *name == "version");
            if let Some(stated) = version.and_then(|key| said(view, image, key))
                && !stated.trim().is_empty()
                && !versions.is_empty()
                && !versions.iter().any(|version| same_version(version, stated))
            {
                let tagged: Vec<String> = versions.iter().map(|tag| format!("`{tag}`")).collect();
                let message = format!(
                    "it says that its version is `{stated}`, the tags say {}",
                    tagged.join(", ")
                );
                judge.warning("config.labels", message);
            }
        });
    }
    if view.facts.images.is_empty() {
        judge.not_applicable();
    }
}

/// The image's value of a key: from its manifest, its labels, or its index.
fn said<'a>(
    view: &'a ImageView<'_>,
    image: &'a PlatformImage,
    (name, older): &(&str, &str),
) -> Option<&'a str> {
    let key = format!("org.opencontainers.image.{name}");
    let labels = image.config.as_ref().map(|config| &config.config.labels);
    let indexes =
        view.facts.indexes.iter().filter(|index| {
            index.children.iter().any(|child| child.digest == image.descriptor.digest)
        });
    let maps = [Some(&image.annotations), labels].into_iter().flatten();
    let mut maps = maps.chain(indexes.map(|index| &index.annotations));
    maps.find_map(|map| map.get(&key).or_else(|| map.get(*older))).map(String::as_str)
}

/// The versions the offer or the tags give the image; only those like `1.2`.
fn versions<'a>(view: &'a ImageView<'_>) -> BTreeSet<&'a str> {
    if let Some(plan) = view.plan {
        return BTreeSet::from([plan.image.version.as_str()]);
    }
    let tags = view.facts.tags.keys().map(wharf_oci::Tag::as_str);
    tags.filter(|tag| starts_like_a_version(tag)).collect()
}

fn starts_like_a_version(tag: &str) -> bool {
    let bare = tag.strip_prefix('v').unwrap_or(tag);
    let mut parts = bare.split('.');
    let number = |part: Option<&str>| {
        part.is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()))
    };
    number(parts.next()) && number(parts.next())
}

/// Whether a tag or version fits the stated version: the same, or with a suffix.
fn same_version(tag: &str, stated: &str) -> bool {
    let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
    let (tag, stated) = (bare(tag), bare(stated.trim()));
    tag == stated || tag.strip_prefix(&stated).is_some_and(|rest| rest.starts_with('-'))
}
