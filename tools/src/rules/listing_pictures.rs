//! Rules LST-015 to LST-021: logos, screenshots and videos. The pictures were read before; here
//! their numbers are judged.

use super::listing_fields::languages;
use super::{Check, Findings, OfferView, Rule, Severity, urls};
use crate::offer::model::Video;
use crate::pictures::{Border, Picture, PictureContent};

const SCREENSHOTS_MAX: usize = 5;
const VIDEOS_MAX: usize = 5;
const VIDEOS_MAX_NARROW: usize = 4;
/// Width and height of screenshots and of the pictures of videos.
const SCREEN: (u32, u32) = (1280, 720);
/// Below a screenshot is called blurry. Measured: drawn at its size 0.97 to 1.01, softened by half a
/// pixel 0.77, made twice as large 0.40 to 0.53.
const SHARPNESS_MIN: u32 = 550;
/// Least and most of the large logo's sides.
const LARGE_LOGO_SIDES: std::ops::RangeInclusive<u32> = 216..=350;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "LST-015",
        title: "the large logo is square, 216 to 350 pixels",
        severity: Severity::Error,
        source: "INC-logos-appsource-only; LIST",
        why: "The other sizes are made from it.",
        fix: "export the logo as a square PNG of 216 to 350 pixels",
        check: Check::Offer(|view, judge| {
            let key = "listing.logos.large";
            let Some(Picture { width, height, .. }) = picture(view, key) else { return };
            if width != height {
                judge.error(key, format!("the large logo has {width} × {height} pixels"));
            } else if !LARGE_LOGO_SIDES.contains(width) {
                judge.error(key, format!("the large logo has {width} pixels a side"));
            }
        }),
    },
    Rule {
        id: "LST-016",
        title: "the other logos have exactly 90 × 90, 48 × 48 and 255 × 115 pixels",
        severity: Severity::Error,
        source: "PCP (required) against AC-offer-listing, LIST (optional)",
        why: "Older pages require all four; a given one of another size is refused.",
        fix: "export medium as 90 × 90, small as 48 × 48, wide as 255 × 115, all PNG",
        check: Check::Offer(|view, judge| {
            for (name, size) in [("medium", (90, 90)), ("small", (48, 48)), ("wide", (255, 115))] {
                let key = format!("listing.logos.{name}");
                if view.file.has(&key) {
                    exact(view, judge, &key, size);
                } else {
                    judge.narrow(&key, format!("there is no {name} logo; some pages ask for it"));
                }
            }
        }),
    },
    Rule {
        id: "LST-017",
        title: "logos do not stand on plain white or black",
        severity: Severity::Warning,
        source: "INC-graphics-suggestions",
        why: "The marketplace shows logos on light and dark pages.",
        fix: "use a colour of your brand, or a transparent background",
        check: Check::Offer(|view, judge| {
            for name in ["large", "medium", "small", "wide"] {
                let key = format!("listing.logos.{name}");
                let colour = match picture(view, &key).and_then(|picture| picture.border) {
                    Some(Border::White) => "white",
                    Some(Border::Black) => "black",
                    _ => continue,
                };
                judge.warning(&key, format!("the {name} logo stands on {colour}"));
            }
        }),
    },
    Rule {
        id: "LST-018",
        title: "there are 1 to 5 screenshots of 1280 × 720 pixels, each with a caption",
        severity: Severity::Error,
        source: "AC-offer-listing, PLAN (1 to 5) against PCP (0 to 5)",
        why: "Other sizes are refused, and a listing without any is now refused too.",
        fix: "make PNGs of 1280 × 720 pixels and write what each shows",
        check: Check::Offer(screenshots),
    },
    Rule {
        id: "LST-019",
        title: "screenshots are sharp",
        severity: Severity::Warning,
        source: "AC-offer-listing; the measure is INFERENCE",
        why: "Blurry pictures are sent back; most were taken small and made larger.",
        fix: "take the screenshot at 1280 × 720 pixels instead of enlarging it",
        check: Check::Offer(blurry),
    },
    Rule {
        id: "LST-020",
        title: "there are at most 5 videos on YouTube or Vimeo, each with a title and a picture",
        severity: Severity::Error,
        source: "AC-offer-listing, PCP (5) against PLAN (4, YouTube or Vimeo)",
        why: "Pages contradict each other; 4 on one of the two sites passes by all of them.",
        fix: "keep to 4 videos on YouTube or Vimeo, each with a PNG of 1280 × 720 pixels",
        check: Check::Offer(videos),
    },
    Rule {
        id: "LST-021",
        title: "every picture is really a PNG, and whole",
        severity: Severity::Error,
        source: "AC-offer-listing",
        why: "A renamed JPEG or a damaged file is refused late, by a page that does not say why.",
        fix: "export the picture as PNG again",
        check: Check::Offer(|view, judge| {
            for (key, content) in &view.content.pictures {
                if let PictureContent::NotPng(why) = content {
                    judge.error(key, format!("this is not a picture for the marketplace: {why}"));
                }
            }
        }),
    },
];

/// The picture of a key; `None` when the key is absent or the file is no PNG (LST-021 is about it).
fn picture<'a>(view: &'a OfferView<'_>, key: &str) -> Option<&'a Picture> {
    match view.content.pictures.get(key)? {
        PictureContent::Png(picture) => Some(picture),
        PictureContent::NotPng(_) => None,
    }
}

fn exact(view: &OfferView<'_>, judge: &mut Findings<'_>, key: &str, size: (u32, u32)) {
    let Some(Picture { width, height, .. }) = picture(view, key) else { return };
    if (*width, *height) != size {
        let message = format!("it has {width} × {height} pixels, not {} × {}", size.0, size.1);
        judge.error(key, message);
    }
}

fn screenshots(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for texts in languages(view) {
        let count = texts.screenshots.len();
        // A translation without any has those of the first language.
        if count == 0 && texts.translation.is_none() {
            judge.error("listing.screenshots", "there is no screenshot");
        } else if count > SCREENSHOTS_MAX {
            let message = format!("there are {count} screenshots; {SCREENSHOTS_MAX} is the most");
            judge.error(&texts.key("screenshots"), message);
        }
        for (place, screenshot) in texts.screenshots.iter().enumerate() {
            let key = texts.key(&format!("screenshots[{place}]"));
            exact(view, judge, &format!("{key}.file"), SCREEN);
            if screenshot.caption.trim().is_empty() {
                judge.error(&format!("{key}.caption"), "the caption is empty");
            }
        }
    }
}

/// Where a picture was made larger than it was taken, its edges are wide.
fn blurry(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for texts in languages(view) {
        for place in 0..texts.screenshots.len() {
            let key = texts.key(&format!("screenshots[{place}].file"));
            let sharpness = picture(view, &key).and_then(|picture| picture.sharpness);
            if let Some(sharpness) = sharpness.filter(|sharpness| *sharpness < SHARPNESS_MIN) {
                let message = format!(
                    "the screenshot looks blurry: sharpness {}.{:03}, and sharp ones have about 1",
                    sharpness / 1000,
                    sharpness % 1000
                );
                judge.warning(&key, message);
            }
        }
    }
}

fn videos(view: &OfferView<'_>, judge: &mut Findings<'_>) {
    for texts in languages(view) {
        let count = texts.videos.len();
        if count > VIDEOS_MAX {
            let message = format!("there are {count} videos; {VIDEOS_MAX} is the most");
            judge.error(&texts.key("videos"), message);
        } else if count > VIDEOS_MAX_NARROW {
            let message = format!("there are {count} videos; some pages allow {VIDEOS_MAX_NARROW}");
            judge.narrow(&texts.key("videos"), message);
        }
        for (place, Video { title, url, .. }) in texts.videos.iter().enumerate() {
            let key = texts.key(&format!("videos[{place}]"));
            if title.trim().is_empty() {
                judge.error(&format!("{key}.title"), "the title of a video is empty");
            }
            exact(view, judge, &format!("{key}.thumbnail"), SCREEN);
            match urls::fault(url) {
                Some(fault) => judge.error(&format!("{key}.url"), fault),
                None if !is_video_site(url) => {
                    let message = format!("`{url}` is neither on YouTube nor on Vimeo");
                    judge.warning(&format!("{key}.url"), message);
                }
                None => {}
            }
        }
    }
}

fn is_video_site(url: &str) -> bool {
    let host = urls::host(url).unwrap_or_default();
    let site = host.strip_prefix("www.").or_else(|| host.strip_prefix("player.")).unwrap_or(&host);
    matches!(site, "youtube.com" | "youtu.be" | "vimeo.com")
}
