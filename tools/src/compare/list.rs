//! A layout's own list: its index over the platforms, its tags, and the image's referrers.

use std::collections::BTreeMap;

use serde_json::Value;
use wharf_oci::{Descriptor, Manifest, MediaType};

use super::difference::{Difference, cut, short};
use super::values;
use crate::image::build::BuiltImage;
use crate::image::inputs::INPUTS;
use crate::image::layout::REF_NAME;
use crate::source::Source;

/// The layout's index in the place of the new one, or the reason it cannot be read.
pub(super) fn index_of(layout: &Source, image: &BuiltImage) -> Option<Result<Manifest, String>> {
    let tags: Vec<&String> = image
        .roots
        .iter()
        .filter(|root| root.digest == image.index.digest)
        .filter_map(|root| root.annotations.get(REF_NAME))
        .collect();
    let is_index = |root: &&Descriptor| root.media_type == MediaType::OCI_INDEX;
    let is_named = |root: &&Descriptor| {
        root.annotations.get(REF_NAME).is_some_and(|name| tags.contains(&name))
    };
    let roots = || layout.roots().iter().filter(is_index);
    let root = roots()
        .find(|root| root.digest == image.index.digest)
        .or_else(|| roots().find(is_named))
        .or_else(|| roots().next())?;
    Some(layout.manifest(root).map_err(|error| error.to_string()))
}

/// The difference of the index itself, if every platform in it is the same.
pub(super) fn index_document(index: &Manifest, image: &BuiltImage) -> Option<Difference> {
    if index.digest() == image.index.digest {
        return None;
    }
    let what = match image.counted.small.get(&image.index.digest) {
        Some(made) => documents(made, index.bytes(), &[]),
        None => format!("{}, was {}", image.index.digest.short(), index.digest().short()),
    };
    Some(Difference::whole(Some("index"), what))
}

/// The first different value of two documents, or the first byte.
pub(super) fn documents(made: &[u8], was: &[u8], but: &[&str]) -> String {
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let found = match (parsed(made), parsed(was)) {
        (Some(made), Some(was)) => values::first(&made, &was, but),
        _ => None,
    };
    found.unwrap_or_else(|| {
        let at = super::header::first_other(made, was);
        format!("says the same, but is written otherwise from byte {at} on")
    })
}

/// The differences of `index.json`. Changes due to different images are left out, and changed
/// referrers are left out beside any other difference: they follow from the image and the offer.
pub(super) fn roots(layout: &Source, image: &BuiltImage, is_explained: bool) -> Vec<Difference> {
    let (made, was) = (by_name(&image.roots), by_name(layout.roots()));
    let whole = |what: String| Difference::whole(Some("index.json"), what);
    let mut found: Vec<Difference> = annotation(&made, &was).into_iter().collect();
    if !is_explained {
        let moved = made.iter().filter_map(|(name, root)| {
            let old = was.get(name).filter(|old| old.digest != root.digest)?;
            Some(whole(format!("{} leads to {}, was {}", name.text, short(root), short(old))))
        });
        found.extend(moved);
    }
    let only = |is_tag: bool| {
        let of = |one: &ByName<'_>, other: &ByName<'_>, how: &str| -> Vec<Difference> {
            let names =
                one.keys().filter(|name| name.is_tag == is_tag && !other.contains_key(name));
            names.map(|name| whole(format!("{} is {how} the layout", name.text))).collect()
        };
        [of(&made, &was, "not in"), of(&was, &made, "only in")].concat()
    };
    found.extend(only(true));
    if found.is_empty() && !is_explained {
        found.extend(only(false));
    }
    found
}

/// The first different annotation. It is the same at all tags, so it is reported once.
fn annotation(made: &ByName<'_>, was: &ByName<'_>) -> Option<Difference> {
    let none = BTreeMap::new();
    for (name, root) in made {
        let old = was.get(name).map_or(&none, |old| &old.annotations);
        for (key, value) in &root.annotations {
            let what = match old.get(key) {
                Some(old) if old == value => continue,
                _ if !was.contains_key(name) => continue,
                Some(_) if key == INPUTS => {
                    "the image part of the offer is not the one that the layout was made from"
                        .to_owned()
                }
                None if key == INPUTS => {
                    "it does not say what it was made from: an older wharf or another tool made it"
                        .to_owned()
                }
                Some(old) => format!("annotation {key} {:?}, was {:?}", cut(value), cut(old)),
                None => format!("annotation {key} {:?} is not in the layout", cut(value)),
            };
            return Some(Difference::whole(Some("index.json"), what));
        }
        let only = old.keys().find(|key| !root.annotations.contains_key(*key));
        if let Some(key) = only {
            let what = format!("annotation {key} is only in the layout");
            return Some(Difference::whole(Some("index.json"), what));
        }
    }
    None
}

type ByName<'a> = BTreeMap<Name, &'a Descriptor>;

/// The key of a root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    is_tag: bool,
    text: String,
}

fn by_name(roots: &[Descriptor]) -> ByName<'_> {
    let mut named = BTreeMap::new();
    for root in roots {
        let name = match (root.annotations.get(REF_NAME), &root.artifact_type) {
            (Some(tag), _) => Name { is_tag: true, text: format!("tag {tag}") },
            (None, Some(kind)) => {
                let text = format!("{kind} {}", short(root));
                Name { is_tag: false, text }
            }
            (None, None) => Name { is_tag: false, text: short(root) },
        };
        named.insert(name, root);
    }
    named
}
