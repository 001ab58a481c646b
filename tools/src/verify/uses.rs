//! Whether manifests agree: about a blob several of them use, and with the configuration about the
//! diffIDs of their layers.

use std::collections::{BTreeMap, BTreeSet};

use wharf_oci::{Descriptor, Digest};

use super::layers::CheckedLayer;
use super::packing::same_packing;
use super::read_image::ReadImage;
use crate::image::facts::{EngineRefusal, Fault, FaultKind};
use crate::source::Source;

/// A blob was checked as one manifest describes it; the others have to agree.
pub(super) fn compare_uses(
    image: &ReadImage,
    checked: &BTreeMap<Digest, CheckedLayer>,
    faults: &mut Vec<Fault>,
) {
    for used in image.layers() {
        let Some(first) = checked.get(&used.digest).map(|layer| &layer.descriptor) else {
            continue;
        };
        let mut differs = |kind, message| faults.push(Fault::new(used.digest, kind, message));
        if first.size != used.size {
            let (one, other) = (first.size, used.size);
            let message = format!("one manifest gives it {one} bytes, another {other}");
            differs(FaultKind::Size, message);
        }
        if !same_packing(&first.media_type, &used.media_type) {
            let (one, other) = (&first.media_type, &used.media_type);
            let message = format!("one manifest calls it {one}, another {other}");
            differs(FaultKind::Packing(EngineRefusal::Some), message);
        }
    }
}

/// How two descriptors of one manifest differ, when they do.
pub(super) fn compare_pointers(first: &Descriptor, other: &Descriptor) -> Option<Fault> {
    let (digest, sizes) = (first.digest, (first.size, other.size));
    if sizes.0 != sizes.1 {
        let message = format!("one index gives it {} bytes, another {}", sizes.0, sizes.1);
        return Some(Fault::new(digest, FaultKind::Size, message));
    }
    if first.media_type != other.media_type {
        let (one, other) = (&first.media_type, &other.media_type);
        let message = format!("one index calls it {one}, another {other}");
        return Some(Fault::new(digest, FaultKind::Manifest, message));
    }
    None
}

/// Names of two manifests each: clients differ in the manifest they take.
pub(super) fn compare_names(source: &Source, faults: &mut Vec<Fault>) {
    let mut names: BTreeMap<&str, Digest> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for (name, root) in source.names() {
        let first = *names.entry(name).or_insert(root.digest);
        if first != root.digest && told.insert((name, root.digest)) {
            let message = format!("`{name}` is its name, and that of {first}");
            faults.push(Fault::new(root.digest, FaultKind::Name, message));
        }
    }
}

/// Compares the diffIDs of the layers with those of the configuration.
pub(super) fn compare_diff_ids(
    image: &ReadImage,
    checked: &BTreeMap<Digest, CheckedLayer>,
    faults: &mut Vec<Fault>,
) {
    let Some(config) = &image.config else { return };
    let (layers, diff_ids) = (image.layers(), &config.rootfs.diff_ids);
    let mut fault = |message| {
        faults.push(Fault::new(image.descriptor.digest, FaultKind::DiffId, message));
    };
    let are_known = !image.has_unknown_diff_ids;
    if diff_ids.len() != layers.len() && are_known {
        let (layers, count) = (layers.len(), diff_ids.len());
        return fault(format!(
            "the manifest has {layers} layers, the configuration has {count} diffIDs"
        ));
    }
    if are_known {
        for (place, (layer, expected)) in layers.iter().zip(diff_ids).enumerate() {
            let actual = checked.get(&layer.digest).and_then(|layer| layer.diff_id);
            if let Some(actual) = actual.filter(|actual| actual != expected) {
                let number = place + 1;
                fault(format!("layer {number} inflates to {actual}, its diffID is {expected}"));
            }
        }
    }
    let mut told: BTreeSet<Digest> = BTreeSet::new();
    for layer in layers {
        let found = checked.get(&layer.digest).filter(|found| found.is_unread());
        let Some(found) = found.filter(|found| told.insert(found.descriptor.digest)) else {
            continue;
        };
        let message = format!("{} is not inflated here", found.descriptor.media_type);
        faults.push(Fault::new(layer.digest, FaultKind::Unproven, message));
    }
}
