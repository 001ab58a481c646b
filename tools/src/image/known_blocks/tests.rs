#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write as _;
use std::num::NonZeroUsize;

use proptest::prelude::*;

use wharf_oci::{Algorithm, Digester};

use super::*;
use crate::image::compress::samples::{letters, noise, text};
use crate::image::compress::{Sink, Track, with_pool};

/// Compresses, with the known blocks beside these layouts; the last value is the number of blocks
/// taken from there.
fn pack(codec: Codec, layouts: &Path, input: &[u8]) -> (Vec<u8>, Vec<TrackedBlock>, usize) {
    let known = KnownBlocks::open(layouts);
    let (mut out, mut track) = (Vec::new(), Track::default());
    let sink = Sink { track: Some(&mut track), ..Sink::new(&mut out) };
    let compressed = with_pool(NonZeroUsize::new(2).unwrap(), Some(&known), |pool| {
        pool.compress::<io::Error>(codec, sink, |writer| writer.write_all(input))
    })
    .unwrap();
    if let Some(same) = track.same_as {
        assert_eq!(out, b"", "it is not written twice");
        let copy = tempfile::tempdir().unwrap();
        known.link(same, &copy.path().join("it")).unwrap();
        out = fs::read(copy.path().join("it")).unwrap();
    }
    let sha256 = |bytes: &[u8]| Digester::digest(Algorithm::Sha256, bytes);
    assert_eq!((compressed.diff_id, compressed.digest), (sha256(input), sha256(&out)));
    let sizes = (compressed.uncompressed_bytes, compressed.size_bytes);
    assert_eq!(sizes, (input.len() as u64, out.len() as u64));
    let taken = known.taken();
    (out, track.blocks, taken)
}

/// A layout with a layer of this content, and its record.
fn layout(layouts: &Path, codec: Codec, input: &[u8]) -> (PathBuf, PathBuf) {
    let (blob, blocks, _) = pack(codec, layouts, input);
    let digest = Digester::digest(Algorithm::Sha256, &blob);
    let blobs = layouts.join("plan/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(digest.hex()), blob).unwrap();
    keep(layouts, &digest, &blocks).unwrap();
    let record = layouts.join(FOLDER).join(format!("{}{ENDING}", digest.hex()));
    (blobs.join(digest.hex()), record)
}

fn sample() -> Vec<u8> {
    [text(3_000_000), noise(1_000_000), letters(1_500_000)].concat()
}

fn alone(codec: Codec, input: &[u8]) -> Vec<u8> {
    pack(codec, Path::new("/nonexistent"), input).0
}

#[test]
fn blocks_are_taken_where_they_are_the_same_and_with_the_same_codec_only() {
    let folder = tempfile::tempdir().unwrap();
    let input = sample();
    layout(folder.path(), Codec::Gzip, &input);
    let (same, blocks, taken) = pack(Codec::Gzip, folder.path(), &input);
    assert!(same == alone(Codec::Gzip, &input));
    assert_eq!(taken, blocks.len());
    assert!(taken > 5, "{taken}");
    let grown = [&input[..2 << 20], &[7; 512 * 3], &input[2 << 20..]].concat();
    let (bytes, blocks, taken) = pack(Codec::Gzip, folder.path(), &grown);
    assert!(bytes == alone(Codec::Gzip, &grown));
    assert!(taken > 0 && taken < blocks.len() && taken + 4 >= blocks.len(), "{taken}");
    let (zstd, _, taken) = pack(Codec::Zstd, folder.path(), &input);
    assert!(zstd == alone(Codec::Zstd, &input));
    assert_eq!(taken, 0);
}

/// A change to a layer and its record.
type Damage<'d> = &'d dyn Fn(&Path, &Path);

#[test]
fn whatever_is_wrong_with_a_record_or_a_layer_only_costs_time() {
    let input = sample();
    let expected = alone(Codec::Gzip, &input);
    let damage: [(&str, Damage<'_>); 8] = [
        ("a layer that was cut", &|blob, _| cut(blob, 1000)),
        ("a layer with a wrong byte", &|blob, _| flip(blob, 500_000)),
        ("a layer that is gone", &|blob, _| fs::remove_file(blob).unwrap()),
        ("another layer", &|blob, _| fs::write(blob, noise(3_000_000)).unwrap()),
        ("a record that was cut", &|_, record| cut(record, 200)),
        ("a record with a wrong byte", &|_, record| flip(record, 90)),
        ("something else as a record", &|_, record| fs::write(record, "mine").unwrap()),
        ("a link for a record", &|_, record| {
            fs::remove_file(record).unwrap();
            std::os::unix::fs::symlink("/dev/zero", record).unwrap();
        }),
    ];
    for (what, damage) in damage {
        let folder = tempfile::tempdir().unwrap();
        let (blob, record) = layout(folder.path(), Codec::Gzip, &input);
        damage(&blob, &record);
        let (bytes, blocks, taken) = pack(Codec::Gzip, folder.path(), &input);
        assert!(bytes == expected, "{what}");
        assert!(taken < blocks.len(), "{what}");
    }
}

#[test]
fn a_folder_of_records_that_is_none_is_left_alone() {
    for is_link in [false, true] {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let records = folder.path().join(FOLDER);
        if is_link {
            std::os::unix::fs::symlink(other.path(), &records).unwrap();
        } else {
            fs::write(&records, "mine").unwrap();
        }
        let digest = Digester::digest(Algorithm::Sha256, b"");
        assert!(keep(folder.path(), &digest, &[]).is_err());
        tidy(folder.path());
        assert_eq!(KnownBlocks::open(folder.path()).layers.len(), 0);
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
        assert!(fs::symlink_metadata(&records).is_ok());
    }
}

#[test]
fn records_go_with_their_layers_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let (first, first_record) = layout(folder.path(), Codec::Gzip, b"one");
    let (_, second_record) = layout(folder.path(), Codec::Gzip, b"two");
    let records = folder.path().join(FOLDER);
    let killed = records.join(format!("{}{WRITING}", "0".repeat(64)));
    let (mine, folder_in_it) = (records.join("notes.txt"), records.join("x.blocks"));
    fs::write(&killed, "half").unwrap();
    fs::write(&mine, "mine").unwrap();
    fs::create_dir(&folder_in_it).unwrap();
    fs::remove_file(first).unwrap();
    tidy(folder.path());
    assert!(!first_record.exists() && !killed.exists());
    assert!(second_record.exists() && mine.exists() && folder_in_it.exists());
}

fn cut(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// A change of a stream: at a place, take so many bytes away and put these in.
type Edit = (prop::sample::Index, usize, Vec<u8>);

fn edit() -> impl Strategy<Value = Edit> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..4000);
    (any::<prop::sample::Index>(), 0_usize..3000, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn with_what_is_known_the_bytes_are_those_without(
        edits in proptest::collection::vec(edit(), 0..4),
        flipped in proptest::option::of((any::<prop::sample::Index>(), any::<bool>())),
        zstd in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let codec = if zstd { Codec::Zstd } else { Codec::Gzip };
        let mut input = [text(1_500_000), letters(800_000), noise(300_000)].concat();
        let (blob, record) = layout(folder.path(), codec, &input);
        for (at, removed, added) in edits {
            let at = at.index(input.len());
            let end = input.len().min(at + removed);
            input.splice(at..end, added);
        }
        if let Some((at, in_record)) = flipped {
            let path = if in_record { record } else { blob };
            let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
            flip(&path, at.index(length));
        }
        prop_assert!(pack(codec, folder.path(), &input).0 == alone(codec, &input));
    }
}
