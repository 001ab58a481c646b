//! The common part of image rules: the key of a platform in the offer, and the words for sizes and
//! descriptors. The rules themselves are in `image_content` and `image_config`.

use std::collections::BTreeMap;

use wharf_oci::Digest;

use super::finding::LayerPlace;
use super::{Findings, ImageView, Site};
use crate::image::config::ImageConfig;
use crate::image::facts::{Fault, FaultKind, PlatformImage, Weight};

/// Of how many platforms a fault of one blob is told.
const SITES_MAX: usize = 50;

/// The key of the platform's entry in the offer, relative to the plan's image.
pub(super) fn platform_key(view: &ImageView<'_>, image: &PlatformImage) -> String {
    let builds = view.plan.map(|plan| plan.image.platforms.as_slice()).unwrap_or_default();
    let platform = image.platform();
    let same = |build: &crate::offer::model::PlatformBuild| {
        platform.as_ref().is_some_and(|platform| {
            platform.os == build.platform.os
                && platform.architecture == build.platform.architecture
                && platform.variant == build.platform.variant
        })
    };
    match builds.iter().position(same) {
        Some(place) => format!("platforms[{place}].platform"),
        None => "platforms".to_owned(),
    }
}

/// Looks at every readable configuration, with the key of its platform.
pub(super) fn each_config(
    view: &ImageView<'_>,
    judge: &mut Findings<'_>,
    mut look: impl FnMut(&mut Findings<'_>, &str, &ImageConfig),
) {
    for image in &view.facts.images {
        if let Some(config) = &image.config {
            let key = platform_key(view, image);
            judge.within(of_platform(image), |judge| look(judge, &key, config));
        }
    }
}

/// The same for a rule about some configurations only: `look` returns whether this was one.
pub(super) fn each_config_with(
    view: &ImageView<'_>,
    judge: &mut Findings<'_>,
    mut look: impl FnMut(&mut Findings<'_>, &ImageConfig) -> bool,
) {
    let mut applies = false;
    each_config(view, judge, |judge, _, config| applies |= look(judge, config));
    if !applies {
        judge.not_applicable();
    }
}

/// The site of a finding that is true of this platform.
pub(super) fn of_platform(image: &PlatformImage) -> Site {
    Site { platform: Some(image.name()), ..Site::default() }
}

/// Reports every fault of these kinds from the engine, at its place: once, with all its platforms.
pub(super) fn faults(
    view: &ImageView<'_>,
    judge: &mut Findings<'_>,
    is_meant: impl Fn(FaultKind) -> bool,
) {
    let meant: Vec<&Fault> = view.facts.faults.iter().filter(|at| is_meant(at.kind)).collect();
    if meant.is_empty() {
        return;
    }
    let sites = sites(view);
    for fault in meant {
        let nowhere = [Site::default()];
        for site in sites.get(&fault.digest).map_or(nowhere.as_slice(), Vec::as_slice) {
            let site = Site { path: fault.path.clone(), ..site.clone() };
            judge.within(site, |judge| match fault.kind.weight() {
                Weight::Remark => judge.warning("", fault.to_string()),
                Weight::Unproven => judge.not_proven("", fault.to_string()),
                Weight::Refused | Weight::Unusable => judge.error("", fault.to_string()),
                Weight::Damage => judge.damage("", fault.to_string()),
            });
        }
    }
}

/// Where each blob of the images is: the platform, and for a layer its number.
fn sites(view: &ImageView<'_>) -> BTreeMap<Digest, Vec<Site>> {
    let mut sites: BTreeMap<Digest, Vec<Site>> = BTreeMap::new();
    for image in &view.facts.images {
        let whole = of_platform(image);
        let mut blobs = BTreeMap::from([(image.descriptor.digest, whole.clone())]);
        blobs.extend(image.config_descriptor.iter().map(|at| (at.digest, whole.clone())));
        for (number, layer) in (1..).zip(&image.layers) {
            let digest = layer.descriptor.digest;
            let layer = Some(LayerPlace { number, digest });
            // A repeated layer has its first place.
            blobs.entry(digest).or_insert_with(|| Site { layer, ..whole.clone() });
        }
        for (digest, site) in blobs {
            let known = sites.entry(digest).or_default();
            if known.len() < SITES_MAX {
                known.push(site);
            }
        }
    }
    sites
}

/// A size as people say it.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = "bytes";
    let mut whole = bytes;
    let mut tenths = 0;
    for next in UNITS {
        if whole < 1024 {
            break;
        }
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit = next;
    }
    if unit == "bytes" { format!("{whole} {unit}") } else { format!("{whole}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_said_in_the_largest_fitting_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (5 * 1024 * 1024, "5.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
