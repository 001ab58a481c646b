//! The folders and the time of layer making, and the layers below one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::entries::LayerEntries;
use crate::image::layout::LAYOUT_FILE;
use crate::offer::layers::LayerInput;
use wharf_oci::Timestamp;

/// The common setting of all layers of an image.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Where the paths of the offer start.
    pub offer_folder: &'a Path,
    /// Where layouts are written to: never input, wherever it lies.
    pub output: &'a Path,
    /// The time of every entry.
    pub created: Timestamp,
}

impl Setting<'_> {
    /// Device and inode of the output folder; `None` when it is not there.
    pub(super) fn output_identity(&self) -> Option<(u64, u64)> {
        let metadata = fs::metadata(self.output).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Whether a folder is the output folder, or within a layout there.
    pub(super) fn is_output(&self, folder: &Path) -> bool {
        let (Ok(folder), Ok(output)) = (folder.canonicalize(), self.output.canonicalize()) else {
            return false;
        };
        let Ok(within) = folder.strip_prefix(&output) else { return false };
        let Some(first) = within.components().next() else { return true };
        let first = first.as_os_str();
        first.as_encoded_bytes().starts_with(b".") || output.join(first).join(LAYOUT_FILE).exists()
    }

    /// Notes when an input does not lie in the folder of the offer.
    pub(super) fn tell_of_place(&self, input: &LayerInput, entries: &mut LayerEntries<'_>) {
        let path = self.offer_folder.join(input.path().as_str());
        let (Ok(real), Ok(folder)) = (path.canonicalize(), self.offer_folder.canonicalize()) else {
            return;
        };
        if !real.starts_with(&folder) {
            let message = format!(
                "it lies outside the folder of the offer, at {}; a checkout of the offer alone does \
                 not have it",
                real.display()
            );
            entries.note(input.path().as_str(), message);
        }
    }
}
