//! Placeholder pictures for the publisher's: a plain mark in one of a few colours as logos, and a
//! drawn window as a screenshot. They have the sizes the marketplace takes, no text, no gradient,
//! and edges on single pixels.

/// Red, green, blue.
type Colour = [u8; 3];

/// Colours with contrast on white and on black.
const COLOURS: [Colour; 6] =
    [[11, 95, 144], [24, 121, 78], [126, 58, 140], [178, 73, 30], [70, 88, 165], [0, 122, 128]];
/// The light part of a mark.
const LIGHT: Colour = [236, 242, 246];
/// Paper, ink and lines of the drawn window.
const PAPER: Colour = [246, 248, 250];
const INK: Colour = [52, 62, 74];
const RULE: Colour = [196, 204, 213];
/// How finely an edge is looked at within a pixel, in each direction.
const STEPS: u32 = 4;

/// Where a picture goes, and its bytes.
pub(super) type PictureFile = (&'static str, Vec<u8>);

/// All pictures of an offer with this ID.
#[must_use]
pub(super) fn pictures(id: &str) -> Vec<PictureFile> {
    let colour = colour(id);
    vec![
        ("listing/logo-large.png", logo(280, 280, colour)),
        ("listing/logo-medium.png", logo(90, 90, colour)),
        ("listing/logo-small.png", logo(48, 48, colour)),
        ("listing/logo-wide.png", logo(255, 115, colour)),
        ("listing/screen-first.png", screen(colour)),
    ]
}

/// One of the colours; the same for the same ID.
fn colour(id: &str) -> Colour {
    let sum = id.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
    COLOURS.get(sum % COLOURS.len()).copied().unwrap_or(LIGHT)
}

/// A light ring around a light disc, on the colour.
fn logo(width: u32, height: u32, colour: Colour) -> Vec<u8> {
    let unit = f64::from(height);
    let (middle_x, middle_y) = (f64::from(width) / 2.0, unit / 2.0);
    let is_light = |x: f64, y: f64| {
        let away = (x - middle_x).hypot(y - middle_y) / unit;
        away < 0.09 || (0.22..=0.34).contains(&away)
    };
    let mut canvas = Canvas::new(width, height, colour);
    for y in 0..height {
        for x in 0..width {
            let inside = (0..STEPS * STEPS).filter(|step| {
                let part = |step: u32| (f64::from(step) + 0.5) / f64::from(STEPS);
                is_light(f64::from(x) + part(step % STEPS), f64::from(y) + part(step / STEPS))
            });
            let share = u32::try_from(inside.count()).unwrap_or_default();
            canvas.dot(x, y, mixed(colour, LIGHT, share));
        }
    }
    canvas.png()
}

/// So many of the steps in a pixel have the second colour.
fn mixed(back: Colour, front: Colour, share: u32) -> Colour {
    let most = STEPS * STEPS;
    let mut colour = back;
    for (part, front) in colour.iter_mut().zip(front) {
        let sum = u32::from(*part) * (most - share) + u32::from(front) * share;
        *part = u8::try_from(sum / most).unwrap_or(u8::MAX);
    }
    colour
}

/// A window with a bar, a list, bars of a chart, and lines of illegible writing.
fn screen(colour: Colour) -> Vec<u8> {
    let mut canvas = Canvas::new(1280, 720, PAPER);
    canvas.fill((0, 0), (1280, 57), colour);
    canvas.fill((23, 17), (23, 23), LIGHT);
    writing(&mut canvas, (63, 23), 181, LIGHT);
    canvas.fill((0, 57), (233, 663), [228, 233, 238]);
    for row in 0..11 {
        writing(&mut canvas, (25, 87 + row * 45), 121 + (row * 37) % 61, INK);
    }
    // Cards with a number and a line below.
    for card in 0..3 {
        let left = 265 + card * 331;
        frame(&mut canvas, (left, 87), (307, 115));
        canvas.fill((left + 21, 107), (67 + card * 13, 29), colour);
        writing(&mut canvas, (left + 21, 165), 171 + card * 17, INK);
    }
    frame(&mut canvas, (265, 229), (969, 201));
    for bar in 0..43 {
        let height = 31 + (bar * 53) % 127;
        canvas.fill((287 + bar * 22, 409 - height), (11, height), colour);
    }
    for row in 0..7 {
        let top = 461 + row * 35;
        canvas.fill((265, top + 24), (969, 1), RULE);
        writing(&mut canvas, (267, top), 223 + (row * 71) % 97, INK);
        writing(&mut canvas, (661, top), 151 + (row * 43) % 83, INK);
        writing(&mut canvas, (1043, top), 131, INK);
    }
    canvas.png()
}

/// An empty box with a thin line around it.
fn frame(canvas: &mut Canvas, (left, top): (u32, u32), (width, height): (u32, u32)) {
    canvas.fill((left, top), (width, height), RULE);
    canvas.fill((left + 1, top + 1), (width - 2, height - 2), [255, 255, 255]);
}

/// The look of a line of words from afar: strokes of letters, with gaps between words.
fn writing(canvas: &mut Canvas, (left, top): (u32, u32), width: u32, colour: Colour) {
    let mut at = 0;
    let mut letter = 0;
    while at < width {
        let is_gap = letter % 7 == 5;
        if !is_gap {
            let tall = if letter % 4 == 1 { 13 } else { 9 };
            canvas.fill((left + at, top + 13 - tall), (1, tall), colour);
            canvas.fill((left + at, top + 12 - (letter % 3) * 4), (5, 1), colour);
        }
        at += 7;
        letter += 1;
    }
}

/// Pixels in rows from the top.
struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<Colour>,
}

impl Canvas {
    fn new(width: u32, height: u32, colour: Colour) -> Self {
        let count = usize::try_from(u64::from(width) * u64::from(height)).unwrap_or_default();
        Self { width, height, pixels: vec![colour; count] }
    }

    fn dot(&mut self, x: u32, y: u32, colour: Colour) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = u64::from(y) * u64::from(self.width) + u64::from(x);
        if let Some(pixel) = usize::try_from(at).ok().and_then(|at| self.pixels.get_mut(at)) {
            *pixel = colour;
        }
    }

    fn fill(&mut self, (left, top): (u32, u32), (width, height): (u32, u32), colour: Colour) {
        for y in top..top.saturating_add(height) {
            for x in left..left.saturating_add(width) {
                self.dot(x, y, colour);
            }
        }
    }

    fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("memory takes a header");
        writer
            .write_image_data(self.pixels.as_flattened())
            .expect("there is a pixel for each place");
        writer.finish().expect("memory takes the end");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::{Border, PictureContent, inspect};

    #[test]
    fn every_picture_has_its_size_and_no_plain_border() {
        let sizes = [(280, 280), (90, 90), (48, 48), (255, 115), (1280, 720)];
        for id in ["tidepool", "x", "a-very-long-id_of-50-characters-0123456789-abcdef-gh"] {
            for ((name, bytes), size) in pictures(id).into_iter().zip(sizes) {
                let PictureContent::Png(picture) = inspect(&bytes) else {
                    panic!("{name} is no PNG")
                };
                assert_eq!((picture.width, picture.height), size, "{name}");
                assert_eq!(picture.border, Some(Border::Other), "{name}");
                assert!(bytes.len() < 100_000, "{name} has {} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn the_same_id_has_the_same_pictures_and_others_have_others() {
        assert_eq!(pictures("tidepool"), pictures("tidepool"));
        let colours: std::collections::BTreeSet<_> =
            ["a", "b", "c", "d", "e", "f"].map(colour).into_iter().collect();
        assert_eq!(colours.len(), COLOURS.len());
    }
}
