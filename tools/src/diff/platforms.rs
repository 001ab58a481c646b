//! Pairs the images of both sides by platform.

use crate::image::facts::PlatformImage;
use crate::image::platform::telling_variant;

/// The images of two sides, matched.
pub(super) struct Pairs<'a> {
    /// Images of one platform.
    pub(super) both: Vec<(&'a PlatformImage, &'a PlatformImage)>,
    /// Platforms of the first side alone.
    pub(super) only_before: Vec<&'a PlatformImage>,
    /// Platforms of the second side alone.
    pub(super) only_after: Vec<&'a PlatformImage>,
}

/// Matches by platform, each image once. Where nothing matches and both sides have a single image,
/// these two are meant.
pub(super) fn pairs<'a>(before: &'a [PlatformImage], after: &'a [PlatformImage]) -> Pairs<'a> {
    let mut left: Vec<&PlatformImage> = after.iter().collect();
    let (mut both, mut only_before) = (Vec::new(), Vec::new());
    for image in before {
        let wanted = key(image);
        match left.iter().position(|other| key(other) == wanted) {
            Some(place) => both.push((image, left.remove(place))),
            None => only_before.push(image),
        }
    }
    if let (true, [one], [other]) = (both.is_empty(), only_before.as_slice(), left.as_slice()) {
        return Pairs { both: vec![(one, other)], only_before: Vec::new(), only_after: Vec::new() };
    }
    Pairs { both, only_before, only_after: left }
}

/// A runtime's key of choice. The version of Windows is left out: a new release has a new one.
fn key(image: &PlatformImage) -> (String, String, String) {
    let Some(platform) = image.platform() else { return Default::default() };
    let variant = telling_variant(&platform).unwrap_or_default().to_owned();
    (platform.os, platform.architecture, variant)
}
