//! Pictures of an offer: whether the bytes are really a PNG, its size, the colour of its border,
//! and its sharpness. The marketplace takes no other format.
//!
//! Invariant: a picture is read whole, so a wrong checksum in any chunk is found, and never more
//! than a bounded number of bytes and pixels is held.

use std::io::{BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};

use crate::input;

/// Largest picture file, in bytes.
pub const PICTURE_SIZE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Most memory for decoding: 4096 × 4096 pixels of four bytes.
const DECODED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Least difference over two pixels at an edge, in levels of grey.
const EDGE_LEVELS_MIN: u32 = 32;

/// With fewer pixels at edges the sharpness stays undecided.
const EDGES_MIN: u64 = 200;

/// The first bytes of every PNG.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// A picture in PNG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The one colour of the whole border, if it has one.
    pub border: Option<Border>,
    /// How sharp its edges are, in thousandths: see [`sharpness`].
    pub sharpness: Option<u32>,
}

/// The outermost pixels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// All opaque and white.
    White,
    /// All opaque and black.
    Black,
    /// Any other request.
    Other,
}

/// Why a file is no picture for the marketplace.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// It is not there.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
}

/// The kind of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureContent {
    /// A PNG without faults.
    Png(Picture),
    /// Another format, or a damaged PNG; in words.
    NotPng(String),
}

/// Reads a picture. A file of another format is not an error: a rule reports it.
pub fn read(path: &Path) -> Result<PictureContent, PictureError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => PictureError::Missing(path.to_owned()),
        _ => PictureError::Read { path: path.to_owned(), source },
    };
    let mut bytes = Vec::new();
    let file = BufReader::new(input::open(path).map_err(failed)?);
    file.take(PICTURE_SIZE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > PICTURE_SIZE_BYTES_MAX {
        return Ok(PictureContent::NotPng("it is larger than 16 MiB".to_owned()));
    }
    Ok(inspect(&bytes))
}

/// The content of these bytes.
#[must_use]
pub fn inspect(bytes: &[u8]) -> PictureContent {
    if !bytes.starts_with(&SIGNATURE) {
        return PictureContent::NotPng(format!("it is {}, not PNG", kind(bytes)));
    }
    match decode(bytes) {
        Ok(picture) => PictureContent::Png(picture),
        Err(error) => PictureContent::NotPng(format!("it starts as a PNG but is damaged: {error}")),
    }
}

/// The likely format of bytes without the PNG signature.
fn kind(bytes: &[u8]) -> &'static str {
    const KINDS: [(&[u8], &str); 5] = [
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF8", "GIF"),
        (b"RIFF", "WebP"),
        (b"BM", "BMP"),
        (b"<", "SVG or HTML"),
    ];
    if bytes.is_empty() {
        return "empty";
    }
    KINDS.iter().find(|(start, _)| bytes.starts_with(start)).map_or("something else", |kind| kind.1)
}

fn decode(bytes: &[u8]) -> Result<Picture, png::DecodingError> {
    let limits = png::Limits { bytes: DECODED_BYTES_MAX };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.ignore_checksums(false);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let (width, height) = (reader.info().width, reader.info().height);
    let size = reader.output_buffer_size().filter(|size| *size <= DECODED_BYTES_MAX);
    let mut pixels = vec![0; size.ok_or(png::DecodingError::LimitsExceeded)?];
    let frame = reader.next_frame(&mut pixels)?;
    reader.finish()?;
    let samples = frame.color_type.samples();
    let border = border(&pixels, width as usize, samples);
    let sharpness = sharpness(&pixels, width as usize, samples);
    Ok(Picture { width, height, border, sharpness })
}

/// The sharpness of a picture's edges: the strength of its second derivative (the Laplacian) over
/// the strength of its first, summed over the pixels with a strong first one. About 1000 where an
/// edge is one pixel wide, a half where it is two; `None` where there are hardly any edges. A flat
/// picture is not blurry, so a plain variance of the Laplacian would judge it wrongly.
fn sharpness(pixels: &[u8], width: usize, samples: usize) -> Option<u32> {
    let grey = greys(pixels, width, samples)?;
    let rows: Vec<&[i32]> = grey.chunks_exact(width.max(1)).collect();
    let (mut edges, mut first, mut second) = (0_u64, 0_u64, 0_u64);
    for window in rows.windows(3) {
        let [above, row, below] = window else { continue };
        if above == row && row == below && is_flat(row) {
            continue;
        }
        for ((up, line), down) in above.iter().skip(1).zip(row.windows(3)).zip(below.iter().skip(1))
        {
            let [left, here, right] = line else { continue };
            let slope = (right - left).unsigned_abs().max((down - up).unsigned_abs());
            if slope >= EDGE_LEVELS_MIN {
                edges += 1;
                first += u64::from(slope);
                second += u64::from((left + right + up + down - 4 * here).unsigned_abs());
            }
        }
    }
    (edges >= EDGES_MIN).then(|| u32::try_from(second * 1000 / first.max(1)).unwrap_or(u32::MAX))
}

/// The brightness of every pixel. Rows are often like the one above, and then not worked out again.
fn greys(pixels: &[u8], width: usize, samples: usize) -> Option<Vec<i32>> {
    let mut greys: Vec<i32> = Vec::with_capacity(pixels.len().checked_div(samples)?);
    let mut above: Option<&[u8]> = None;
    for row in pixels.chunks_exact(width.checked_mul(samples).filter(|bytes| *bytes > 0)?) {
        if above == Some(row) {
            greys.extend_from_within(greys.len().checked_sub(width)?..);
        } else {
            greys.extend(row.chunks_exact(samples).map(brightness));
        }
        above = Some(row);
    }
    Some(greys)
}

/// Whether a row has one brightness only.
fn is_flat(row: &[i32]) -> bool {
    matches!((row.split_first(), row.split_last()), (Some((_, after)), Some((_, before))) if after == before)
}

/// The brightness of a pixel, without its alpha.
fn brightness(pixel: &[u8]) -> i32 {
    match pixel {
        [red, green, blue, ..] => {
            (299 * i32::from(*red) + 587 * i32::from(*green) + 114 * i32::from(*blue)) / 1000
        }
        [grey, ..] => i32::from(*grey),
        [] => 0,
    }
}

fn border(pixels: &[u8], width: usize, samples: usize) -> Option<Border> {
    let rows: Vec<&[u8]> = pixels.chunks_exact(width.checked_mul(samples)?).collect();
    let (first, last) = (rows.first()?, rows.last()?);
    let sides = rows.iter().flat_map(|row| {
        row.chunks_exact(samples).take(1).chain(row.rchunks_exact(samples).take(1))
    });
    let mut outermost = first.chunks_exact(samples).chain(last.chunks_exact(samples)).chain(sides);
    let kind = colour(outermost.next()?);
    Some(if outermost.all(|pixel| colour(pixel) == kind) { kind } else { Border::Other })
}

/// Grey, grey with alpha, RGB or RGB with alpha, eight bits each.
fn colour(pixel: &[u8]) -> Border {
    let (colours, alpha) = match pixel {
        [colours @ .., alpha] if pixel.len().is_multiple_of(2) => (colours, *alpha),
        colours => (colours, u8::MAX),
    };
    if alpha < 250 {
        return Border::Other;
    }
    if colours.iter().all(|value| *value >= 250) {
        Border::White
    } else if colours.iter().all(|value| *value <= 5) {
        Border::Black
    } else {
        Border::Other
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// A PNG of one colour.
    pub(crate) fn png(width: u32, height: u32, rgb: [u8; 3]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        let pixels = rgb.repeat((width * height) as usize);
        writer.write_image_data(&pixels).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn a_png_tells_its_size_and_border() {
        for (rgb, border) in [
            ([255, 255, 255], Border::White),
            ([0, 0, 0], Border::Black),
            ([20, 90, 160], Border::Other),
        ] {
            let PictureContent::Png(picture) = inspect(&png(48, 30, rgb)) else {
                panic!("not a PNG")
            };
            assert_eq!((picture.width, picture.height), (48, 30));
            assert_eq!(picture.border, Some(border));
        }
    }

    /// A PNG of black and white stripes with edges of this width in pixels.
    pub(crate) fn stripes(width: u32, height: u32, edge: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        let level = |x: u32| {
            let (at, edge) = (x % 64, edge.max(1));
            let rise = |from: u32| ((at - from + 1) * 255 / edge).min(255);
            if at < 32 { rise(0) } else { 255 - rise(32) }
        };
        let row: Vec<u8> = (0..width).map(|x| u8::try_from(level(x)).unwrap()).collect();
        writer.write_image_data(&row.repeat(height as usize)).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn sharpness_is_one_over_the_width_of_edges() {
        let of = |bytes: Vec<u8>| match inspect(&bytes) {
            PictureContent::Png(picture) => picture.sharpness,
            PictureContent::NotPng(why) => panic!("{why}"),
        };
        for (edge, least, most) in [(1, 950, 1050), (2, 450, 550), (4, 200, 300)] {
            let sharpness = of(stripes(640, 40, edge)).unwrap();
            assert!((least..=most).contains(&sharpness), "{edge} pixels: {sharpness}");
        }
        assert_eq!(of(png(640, 40, [20, 90, 160])), None);
        assert_eq!(of(png(1, 1, [20, 90, 160])), None);
    }

    #[test]
    fn other_formats_are_named() {
        for (bytes, name) in [
            (&b"\xff\xd8\xff\xe0"[..], "JPEG"),
            (b"GIF89a", "GIF"),
            (b"<svg/>", "SVG"),
            (b"", "empty"),
            (b"hello", "something else"),
        ] {
            let PictureContent::NotPng(why) = inspect(bytes) else { panic!("{name}") };
            assert!(why.contains(name), "{why}");
        }
    }

    #[test]
    fn every_flipped_byte_after_the_signature_and_every_cut_is_found() {
        let good = png(6, 5, [9, 9, 9]);
        for place in 8..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x20;
            assert!(matches!(inspect(&bad), PictureContent::NotPng(_)), "byte {place}");
        }
        for len in 0..good.len() - 12 {
            assert!(matches!(inspect(&good[..len]), PictureContent::NotPng(_)), "cut at {len}");
        }
    }

    #[test]
    fn a_picture_that_claims_a_huge_size_is_refused_without_memory() {
        let mut bytes = png(6, 5, [9, 9, 9]);
        bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(inspect(&bytes), PictureContent::NotPng(_)));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }
}
