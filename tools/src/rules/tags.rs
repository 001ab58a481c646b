//! Rules TEC-009 to TEC-023: the tags of an image, as the offer expands them. Tags of earlier
//! versions (`publishedTags`) count where the marketplace counts them.

use std::collections::BTreeMap;

use wharf_oci::Platform;

use super::{Check, Findings, Gap, OfferView, Rule, Severity, published};
use crate::offer::model::Image;
use crate::offer::tag_forms::{self, TAG_CHARS_MAX, TAGS_MAX, version_of};
use crate::offer::tags::{ExpandedTag, TagTarget};
use crate::offer::values::ImageVersion;
use crate::published::ContradictionTopic;

/// The rule that images are judged by too.
pub(super) const MOVED_ID: &str = "TEC-017";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "TEC-009",
        title: "a plan publishes 1 to 16 tags",
        severity: Severity::Error,
        source: "PLAN; CLI-M",
        why: "The technical configuration takes no more.",
        fix: "remove templates, or tags of old versions from `publishedTags`; `wharf tags OFFER` says \
              which; where one is live, say first that you stop offering it: \
              `wharf offer record OFFER --withdraw PLAN:TAG`",
        check: Check::Offer(|view, judge| {
            each_image(view, |key, image| {
                let count = image.expanded_tags.len() + image.published_tags.len();
                if count > TAGS_MAX {
                    let message = format!("there are {count} tags; {TAGS_MAX} is the most");
                    judge.error(&format!("{key}.tags"), message);
                }
            });
        }),
    },
    Rule {
        id: "TEC-010",
        title: "tags have at most 100 characters",
        severity: Severity::Error,
        source: "OCI distribution specification; CLI-M",
        why: "Registries take 128, the technical configuration 100.",
        fix: "shorten the tag",
        check: Check::Offer(|view, judge| {
            each_tag(view, |key, tag, _| {
                if tag.len() > TAG_CHARS_MAX {
                    judge.error(key, format!("`{tag}` has {} characters", tag.len()));
                }
            });
        }),
    },
    Rule {
        id: "TEC-011",
        title: "there is a tag `latest`, for all platforms",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration",
        why: "The marketplace requires it to point at the newest version on all platforms.",
        fix: "add `latest` to the tags",
        check: Check::Offer(|view, judge| {
            each_image(view, |key, image| {
                let latest = image.expanded_tags.iter().find(|item| item.tag.as_str() == "latest");
                match latest.map(|item| item.target) {
                    Some(TagTarget::Index) => {}
                    Some(TagTarget::Platform(_)) => {
                        let message = "`latest` points at one platform only";
                        judge.error(&format!("{key}.tags"), message);
                    }
                    None => judge.error(&format!("{key}.tags"), "there is no tag `latest`"),
                }
            });
        }),
    },
    Rule {
        id: "TEC-012",
        title: "there is a version tag besides `latest`",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration",
        why: "Customers must be able to stay on a version.",
        fix: "add `{version}` to the tags",
        check: Check::Offer(|view, judge| {
            each_image(view, |key, image| {
                let tags = &image.expanded_tags;
                if !tags.iter().any(|item| version_of(item.tag.as_str()).is_some()) {
                    let message = "no tag starts with a version";
                    judge.error(&format!("{key}.tags"), message);
                }
            });
        }),
    },
    Rule {
        id: "TEC-013",
        title: "tags other than `latest` are X.Y[.Z] or start with X.Y- or X.Y.Z-",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration (dash) against IOT, CPP-update-existing-offer (X.Y.Z)",
        why: "Tags of several platforms must start with the version; whether more must follow is \
              said differently on different pages.",
        fix: "start the tag with `{version}`; for certainty add a tag such as `{version}-all`",
        check: Check::Offer(version_prefix),
    },
    Rule {
        id: "TEC-014",
        title: "every platform behind a listed index has a tag of its own",
        severity: Severity::Error,
        source: "AC-plan-technical-configuration",
        why: "Only images that a listed tag names are copied; the index would point into nothing.",
        fix: "add `{version}-{platform}` to the tags",
        check: Check::Offer(|view, judge| {
            each_image(view, |key, image| {
                for (place, build) in image.platforms.iter().enumerate() {
                    let named = |item: &ExpandedTag| item.target == TagTarget::Platform(place);
                    if !image.expanded_tags.iter().any(named) {
                        let message = format!("no tag names the image of {}", build.platform);
                        judge.error(&format!("{key}.tags"), message);
                    }
                }
            });
        }),
    },
    Rule {
        id: "TEC-016",
        title: "the version is greater than every published one",
        severity: Severity::Error,
        source: "CPP-update-existing-offer",
        why: "An update adds a greater version; published tags never move.",
        fix: "raise `version`",
        check: Check::Offer(greater),
    },
    Rule {
        id: MOVED_ID,
        title: "a published version tag is not written again",
        severity: Severity::Error,
        source: "CPP-update-existing-offer; IOT",
        why: "Version tags that are live must keep their digest.",
        fix: "raise `version`, or remove the tag from `publishedTags` if it was never published",
        check: Check::Offer(|view, judge| {
            say_what_is_published(view, judge);
            published::if_known(view, judge, ContradictionTopic::TagDigest);
            each_image(view, |key, image| {
                for item in &image.expanded_tags {
                    let tag = item.tag.as_str();
                    if version_of(tag).is_some() && image.published_tags.contains(&item.tag) {
                        let message = format!("`{tag}` is published and would be written again");
                        judge.error(&format!("{key}.tags"), message);
                    }
                }
            });
        }),
    },
    Rule {
        id: "TEC-019",
        title: "no two tags differ only in case, and none stands twice",
        severity: Severity::Error,
        source: "INFERENCE",
        why: "People and some file systems take them for one.",
        fix: "remove one of the two",
        check: Check::Offer(|view, judge| {
            each_image(view, |key, image| {
                let mut seen = BTreeMap::new();
                for item in &image.expanded_tags {
                    let folded = item.tag.as_str().to_lowercase();
                    if let Some(other) = seen.insert(folded, &item.tag) {
                        let message = format!("`{}` and `{other}` differ only in case", item.tag);
                        judge.error(&template_key(key, item), message);
                    }
                }
                for (at, tag) in image.published_tags.iter().enumerate() {
                    let other = seen.insert(tag.as_str().to_lowercase(), tag);
                    // A repeated version tag is more than a double: see TEC-017.
                    let again = version_of(tag.as_str()).is_some()
                        && image.expanded_tags.iter().any(|item| item.tag == *tag);
                    if let Some(other) = other.filter(|_| !again) {
                        let message = format!("`{tag}` stands beside `{other}`");
                        judge.error(&format!("{key}.publishedTags[{at}]"), message);
                    }
                }
            });
        }),
    },
    Rule {
        id: "TEC-020",
        title: "there is a test tag",
        severity: Severity::Warning,
        source: "AC-plan-technical-configuration",
        why: "The page advises one, to know the image by while it is tested.",
        fix: "add `{version}-test` to the tags",
        check: Check::Offer(|view, judge| {
            each_image(view, |key, image| {
                let mut tags = image.expanded_tags.iter();
                if !tags.any(|item| tag_forms::is_test_tag(item.tag.as_str())) {
                    judge.warning(&format!("{key}.tags"), "there is no test tag");
                }
            });
        }),
    },
    Rule {
        id: "TEC-021",
        title: "no tag ends like those of continuous patching: `-1` to `-999`, `-patched`",
        severity: Severity::Warning,
        source: "ACR/key-concept-continuous-patching",
        why: "A registry that patches images takes such a tag for its own, and moves it.",
        fix: "end the tag in a word",
        check: Check::Offer(|view, judge| {
            each_tag(view, |key, tag, _| {
                if is_patch_tag(tag) {
                    judge.warning(key, format!("`{tag}` ends like a tag of continuous patching"));
                }
            });
        }),
    },
    Rule {
        id: "TEC-022",
        title: "a tag that names a platform points at that platform",
        severity: Severity::Error,
        source: "INFERENCE from the tags in AC-plan-technical-configuration",
        why: "Customers choose the image by the words in the tag.",
        fix: "use {os}, {arch} or {platform} in the template instead of the words",
        check: Check::Offer(platform_words),
    },
    Rule {
        id: "TEC-023",
        title: "the tags of the next version still fit",
        severity: Severity::Warning,
        source: "PLAN",
        why: "Every version adds its tags, and published ones should stay; 16 are soon used up.",
        fix: "use fewer templates per version",
        check: Check::Offer(|view, judge| {
            each_image(view, |key, image| {
                let fixed = |item: &&ExpandedTag| item.tag.as_str() == "latest";
                let latest = image.expanded_tags.iter().filter(fixed).count();
                let per_version = image.expanded_tags.len() - latest;
                let now = image.expanded_tags.len() + image.published_tags.len();
                if now <= TAGS_MAX && now + per_version > TAGS_MAX {
                    let message = format!(
                        "{now} tags are used and each version adds {per_version}; {TAGS_MAX} is the most"
                    );
                    judge.warning(&format!("{key}.tags"), message);
                }
            });
        }),
    },
];

fn each_image(view: &OfferView<'_>, mut look: impl FnMut(&str, &Image)) {
    for (_, _, plan) in view.offer.image_plans() {
        look(&plan.image.key, &plan.image.image);
    }
}

/// Every tag in the offer, with the key of its template and its target.
fn each_tag(view: &OfferView<'_>, mut look: impl FnMut(&str, &str, Option<&Platform>)) {
    each_image(view, |key, image| {
        for item in &image.expanded_tags {
            let platform = match item.target {
                TagTarget::Index => None,
                TagTarget::Platform(place) => image.platforms.get(place).map(|at| &at.platform),
            };
            look(&template_key(key, item), item.tag.as_str(), platform);
        }
    });
}

fn template_key(image: &str, item: &ExpandedTag) -> String {
    format!("{image}.tags[{}]", item.template)
}

/// Whether ACR's patching would make such a tag: `TAG-1` to `TAG-999`, or `TAG-patched`.
fn is_patch_tag(tag: &str) -> bool {
    let Some((_, end)) = tag.rsplit_once('-') else { return false };
    let is_number = (1..=3).contains(&end.len())
        && end.bytes().all(|c| c.is_ascii_digit())
        && !end.starts_with('0');
    is_number || end == "patched"
}

fn version_prefix(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    each_tag(view, |key, tag, platform| {
        if tag == "latest" {
            return;
        }
        match version_of(tag) {
            None => judge.error(key, format!("`{tag}` does not start with a version")),
            Some((_, "")) if platform.is_none() => {
                let message = format!("`{tag}` is a version with nothing after it");
                judge.narrow(key, message);
            }
            Some(_) => {}
        }
    });
}

/// Without a ledger and any published tag, a first publication cannot be told from a later one.
fn say_what_is_published(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    let mut plans = view.offer.image_plans();
    let has_ledger = view.evidence.published.is_some();
    if !has_ledger && plans.all(|(_, _, plan)| plan.image.image.published_tags.is_empty()) {
        judge.not_looked_at(Gap::Ledger);
    }
}

fn greater(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    say_what_is_published(view, judge);
    published::if_known(view, judge, ContradictionTopic::Version);
    each_image(view, |key, image| {
        // Tags from the ledger were compared with it, and may be of this version.
        if !view.file.has(&format!("{key}.publishedTags")) {
            return;
        }
        let published = image.published_tags.iter().filter_map(|tag| version_of(tag.as_str()));
        let highest = published.map(|(version, _)| version).max_by_key(ImageVersion::numbers);
        if let Some(highest) = highest
            && image.version.numbers() <= highest.numbers()
        {
            let message =
                format!("{} is not greater than {highest}, which is published", image.version);
            judge.error(&format!("{key}.version"), message);
        }
    });
}

fn platform_words(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    each_tag(view, |key, tag, platform| {
        let at = platform.map_or_else(|| "all platforms".to_owned(), Platform::to_string);
        for word in tag_forms::wrong_words(tag, platform) {
            judge.error(key, format!("`{tag}` says {word} but points at {at}"));
        }
    });
}
