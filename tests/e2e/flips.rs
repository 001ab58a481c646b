//! One bit of one byte of one blob is flipped: `wharf verify` finds it, in every kind of
//! compression and for every kind of blob.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use wharf_testkit::dice::Dice;
use wharf_testkit::handmade::{Handmade, Packing};
use wharf_testkit::trials;

use crate::corpus::run::{in_parallel, look, program};

/// A byte of a blob, and its new value.
struct Flip {
    packing: Packing,
    blob: usize,
    position: u64,
    bit: u64,
}

#[test]
fn any_flipped_bit_of_a_blob_is_found() {
    let mut dice = Dice::from_env("WHARF_FLIPS_SEED");
    let packings = [Packing::Plain, Packing::Gzip, Packing::Zstd];
    let flips: Vec<Flip> = (0..trials::size(90, 3_000))
        .map(|number| Flip {
            packing: packings[number % packings.len()],
            blob: dice.index(1 << 20),
            position: dice.below(1 << 40),
            bit: dice.below(8),
        })
        .collect();
    let folder = TempDir::with_prefix("flips-").unwrap();
    let missed = in_parallel(&flips, |number, flip| {
        let layout = folder.path().join(number.to_string());
        let what = flip.apply(&layout);
        let said = look(program().args(["--output-format", "json", "verify"]).arg(&layout));
        fs::remove_dir_all(layout).unwrap();
        let is_found = said.code == Some(1) && said.found.iter().any(|(rule, _)| rule == "IMG-003");
        (!is_found).then(|| format!("{what}: {said}"))
    });
    let missed: Vec<String> = missed.into_iter().flatten().collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

impl Flip {
    /// Writes a layout and breaks it; returns a description of the break.
    fn apply(&self, layout: &std::path::Path) -> String {
        let mut image = Handmade::healthy();
        for platform in &mut image.platforms {
            platform.layers.iter_mut().for_each(|layer| layer.pack(self.packing));
        }
        image.write(layout).unwrap();
        let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap();
        let mut blobs: Vec<PathBuf> = blobs.map(|entry| entry.unwrap().path()).collect();
        blobs.sort();
        let blob = &blobs[self.blob % blobs.len()];
        let mut bytes = fs::read(blob).unwrap();
        let position = usize::try_from(self.position % bytes.len() as u64).unwrap();
        bytes[position] ^= 1 << self.bit;
        fs::write(blob, bytes).unwrap();
        let name = blob.file_name().unwrap().to_string_lossy();
        format!("bit {} of byte {position} of {name} ({:?})", self.bit, self.packing)
    }
}
