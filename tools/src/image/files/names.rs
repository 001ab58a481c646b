//! Paths in the root of an image: cleaned, compared, taken apart.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The path in the root: without `.`, `..`, empty parts and slashes at its ends. Above the root is
/// the root.
#[must_use]
pub fn clean(path: &[u8]) -> Cow<'_, [u8]> {
    let trimmed = path.strip_prefix(b"./").unwrap_or(path);
    let trimmed = trimmed.strip_suffix(b"/").unwrap_or(trimmed);
    if parts(trimmed).all(|part| !matches!(part, b"" | b"." | b"..")) || trimmed.is_empty() {
        return Cow::Borrowed(trimmed);
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in parts(path) {
        match part {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    Cow::Owned(kept.join(b"/".as_slice()))
}

/// The names between the slashes.
pub(super) fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// The folder a path lies in; `None` for the root.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or_default();
    path.get(..slash)
}

/// The last part of a path.
pub(super) fn base(path: &[u8]) -> &[u8] {
    parts(path).last().unwrap_or_default()
}

/// Whether a path lies anywhere below a folder.
pub(super) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    if folder.is_empty() {
        return !path.is_empty();
    }
    path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// The order of a walk: a folder, then its entries, then its next sibling.
pub(super) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    // A slash ends a part, so it comes before every byte of a name.
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    match one.iter().zip(other).find(|(one, other)| one != other) {
        Some((one, other)) => rank(*one).cmp(&rank(*other)),
        None => one.len().cmp(&other.len()),
    }
}

/// Where a link leads: from the root when it is absolute, else from the folder it lies in.
pub(super) fn link_target(at: &[u8], link: &[u8]) -> Vec<u8> {
    if link.starts_with(b"/") {
        return clean(link).into_owned();
    }
    let joined = [parent(at).unwrap_or_default(), b"/", link].concat();
    clean(&joined).into_owned()
}

/// A path fit to be shown: bytes outside UTF-8 are escaped.
#[must_use]
pub fn shown(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}
