//! A tree of tiles as a picture: rectangles in proportion to the bytes, each folder around its
//! content, as square as they can be (the squarified treemap of Bruls, Huizing and van Wijk).

use maud::{Markup, html};

use crate::report::anatomy::Tile;
use crate::rules::image::size;

/// Size of the picture, in its own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 520.0;

/// Room for the name of a folder above its content, and the frame around it.
const HEAD: f64 = 16.0;
const FRAME: f64 = 2.0;

/// Least tile that is divided further, and least tile with a name in it.
const DIVIDED: (f64, f64) = (46.0, 40.0);
const NAMED: (f64, f64) = (34.0, 14.0);

/// Width of a character of a name.
const CHARACTER: f64 = 7.0;

/// Colours of layers; after these they begin again.
pub(super) const COLOURS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Frame {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The description of a tile by its path.
type Describe<'a> = dyn Fn(&Tile, &str) -> String + 'a;

/// Draws files, each with the layer that most of its bytes come from.
pub(super) fn draw(root: &Tile, title: &str) -> Markup {
    draw_named(root, title, &|part, path| {
        let files =
            if part.files == 1 { "1 file".to_owned() } else { format!("{} files", part.files) };
        format!("{path}: {}, {files}, mostly of layer {}", size(part.bytes), part.layer + 1)
    })
}

/// Draws any other tree with sizes.
pub(super) fn draw_named(root: &Tile, title: &str, describe: &Describe<'_>) -> Markup {
    let mut tiles = Vec::new();
    let whole = Frame { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT };
    place(&root.parts, whole, "", &mut tiles, describe);
    html! {
        svg.treemap viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
            @for tile in &tiles { (tile) }
        }
    }
}

fn place(
    parts: &[Tile],
    frame: Frame,
    above: &str,
    tiles: &mut Vec<Markup>,
    describe: &Describe<'_>,
) {
    let sizes: Vec<f64> = parts.iter().map(|part| as_float(part.bytes)).collect();
    for (part, frame) in parts.iter().zip(squarify(&sizes, frame)) {
        let path = format!("{above}/{}", part.name);
        tiles.push(tile(part, frame, &describe(part, &path)));
        if !part.parts.is_empty() && frame.width > DIVIDED.0 && frame.height > DIVIDED.1 {
            let inside = Frame {
                x: frame.x + FRAME,
                y: frame.y + HEAD,
                width: frame.width - 2.0 * FRAME,
                height: frame.height - HEAD - FRAME,
            };
            place(&part.parts, inside, &path, tiles, describe);
        }
    }
}

fn tile(part: &Tile, frame: Frame, title: &str) -> Markup {
    let number = |value: f64| format!("{value:.1}");
    let is_divided = !part.parts.is_empty() && frame.width > DIVIDED.0 && frame.height > DIVIDED.1;
    let class =
        if is_divided { "folder".to_owned() } else { format!("tile l{}", part.layer % COLOURS) };
    let name = label(&part.name, frame.width);
    html! {
        g {
            title { (title) }
            rect class=(class) x=(number(frame.x)) y=(number(frame.y))
                width=(number(frame.width)) height=(number(frame.height)) rx="1.5" {}
            @if let Some(name) = name.filter(|_| frame.height > NAMED.1) {
                text.name x=(number(frame.x + 4.0)) y=(number(frame.y + 12.0)) { (name) }
                @if !is_divided && frame.height > 30.0 && frame.width > 56.0 {
                    text.size x=(number(frame.x + 4.0)) y=(number(frame.y + 25.0)) {
                        (size(part.bytes))
                    }
                }
            }
        }
    }
}

/// The name, as far as it fits.
fn label(name: &str, width: f64) -> Option<String> {
    if width < NAMED.0 {
        return None;
    }
    let room = (width - 8.0) / CHARACTER;
    let length = name.chars().count();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 160")]
    let room = room as usize;
    if length <= room {
        return Some(name.to_owned());
    }
    let kept: String = name.chars().take(room.saturating_sub(1)).collect();
    Some(format!("{kept}…")).filter(|_| room > 3)
}

/// Rectangles in a frame with areas in proportion to falling sizes. Rows are laid along the shorter
/// side, each extended while its worst rectangle becomes squarer.
fn squarify(sizes: &[f64], frame: Frame) -> Vec<Frame> {
    let total: f64 = sizes.iter().sum();
    let mut placed = Vec::with_capacity(sizes.len());
    if total <= 0.0 || frame.width <= 0.0 || frame.height <= 0.0 {
        placed.resize(sizes.len(), Frame { width: 0.0, height: 0.0, ..frame });
        return placed;
    }
    let scale = frame.width * frame.height / total;
    let areas: Vec<f64> = sizes.iter().map(|size| size * scale).collect();
    let (mut left, mut rest) = (frame, areas.as_slice());
    while !rest.is_empty() {
        let side = left.width.min(left.height);
        let mut count = 1;
        while count < rest.len() && worst(rest, count + 1, side) <= worst(rest, count, side) {
            count += 1;
        }
        let (row, after) = rest.split_at(count);
        left = lay(row, left, &mut placed);
        rest = after;
    }
    placed
}

/// The worst ratio of sides in a row of the first `count` areas.
fn worst(areas: &[f64], count: usize, side: f64) -> f64 {
    let row = areas.get(..count).unwrap_or(areas);
    let sum: f64 = row.iter().sum();
    let (most, least) = row
        .iter()
        .fold((0.0_f64, f64::INFINITY), |(most, least), area| (most.max(*area), least.min(*area)));
    let (square, sum) = (side * side, sum * sum);
    (square * most / sum).max(sum / (square * least.max(f64::MIN_POSITIVE)))
}

/// Lays a row along the shorter side; returns the rest of the frame.
fn lay(row: &[f64], left: Frame, placed: &mut Vec<Frame>) -> Frame {
    let sum: f64 = row.iter().sum();
    let is_wide = left.width >= left.height;
    let thick = if is_wide { sum / left.height } else { sum / left.width };
    let mut at = 0.0;
    for area in row {
        let long = if thick > 0.0 { area / thick } else { 0.0 };
        placed.push(if is_wide {
            Frame { x: left.x, y: left.y + at, width: thick, height: long }
        } else {
            Frame { x: left.x + at, y: left.y, width: long, height: thick }
        });
        at += long;
    }
    if is_wide {
        Frame { x: left.x + thick, width: (left.width - thick).max(0.0), ..left }
    } else {
        Frame { y: left.y + thick, height: (left.height - thick).max(0.0), ..left }
    }
}

/// Sizes of pictures need no more than 52 bits.
#[expect(clippy::cast_precision_loss, reason = "a picture shows no single bytes")]
pub(super) const fn as_float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn rectangles_fill_the_frame_in_proportion_and_stay_near_squares() {
        let sizes = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0];
        let frame = Frame { x: 10.0, y: 20.0, width: 60.0, height: 40.0 };
        let placed = squarify(&sizes, frame);
        for (size, tile) in sizes.iter().zip(&placed) {
            assert!((tile.width * tile.height - size * 100.0).abs() < 0.01, "{tile:?}");
            assert!(tile.x >= 9.99 && tile.x + tile.width <= 70.01, "{tile:?}");
            assert!(tile.y >= 19.99 && tile.y + tile.height <= 60.01, "{tile:?}");
            let ratio = (tile.width / tile.height).max(tile.height / tile.width);
            assert!(ratio < 3.0, "{tile:?}");
        }
        assert!((placed[0].width - 30.0).abs() < 0.01 && (placed[0].height - 20.0).abs() < 0.01);
    }

    #[test]
    fn nothing_has_no_area() {
        let frame = Frame { x: 0.0, y: 0.0, width: 60.0, height: 40.0 };
        assert!(squarify(&[], frame).is_empty());
        assert_eq!(squarify(&[0.0, 0.0], frame).len(), 2);
    }
}
