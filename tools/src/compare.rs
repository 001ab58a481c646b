//! What a layout holds, held against what would be made now: the first place in which they differ,
//! for each platform that does.
//!
//! Invariant: a layer is read beside the one that is made, entry by entry, in bounded memory; one
//! that is the same is not made a second time. Whatever the layout holds, it is never an error here:
//! that it cannot be read is what differs.

mod difference;
mod entries;
mod header;
mod inflate;
mod layers;
mod list;
mod platforms;
mod values;

pub use self::difference::Difference;
pub use self::layers::{Out, Rebuild};
pub use self::platforms::ExpectedImage;
use crate::image::build::BuildError;
use crate::source::Source;

/// Most differences that are named of one plan: one for each platform and each tag.
const DIFFERENCES_MAX: usize = 100;

/// Names the first difference of each platform, and then what else is other. None means the
/// bytes of `index.json` alone are other, or nothing is.
pub fn differences(
    layout: &Source,
    wanted: &ExpectedImage<'_>,
) -> Result<Vec<Difference>, BuildError> {
    let mut found = match list::index_of(layout, wanted.image) {
        None => vec![Difference::whole(None, "the layout lists no index over the platforms")],
        Some(Err(error)) => vec![Difference::whole(Some("index"), error)],
        Some(Ok(index)) => {
            let found = platforms::differences(layout, &index, wanted)?;
            match list::index_document(&index, wanted.image) {
                Some(document) if found.is_empty() => vec![document],
                _ => found,
            }
        }
    };
    let is_explained = !found.is_empty();
    found.extend(list::roots(layout, wanted.image, is_explained));
    found.truncate(DIFFERENCES_MAX);
    Ok(found)
}

#[cfg(test)]
mod tests;
