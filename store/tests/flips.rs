//! One bit of a closed store is flipped, anywhere in its sorted files: what is read then is right or
//! an error, never wrong; a scrub finds it, takes the blob away, and it can be published anew.
//!
//! `WHARF_FLIPS` sets how many bits, `WHARF_FLIPS_SEED` which.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use wharf_oci::{Digest, RepoName};
use wharf_store::contract::noise;
use wharf_store::limits::SEGMENT_BYTES;
use wharf_store::{
    BlobStore, ManifestStore, Retention, RocksStore, ScrubPlan, ScrubReport, StoreError,
};

use crate::ground::{Dice, MIB, digest_of, go_on, hash_of, number_from, publish, say, trial_size};

/// The last bytes of a sorted file name its index; RocksDB gives them this size.
const FOOTER_BYTES: u64 = 53;
/// Index, filter and properties of these small files lie in so many bytes before the footer.
const INDEX_BYTES: u64 = 2_000;

/// Content of the store: runs, small blobs and one in the middle of the two.
fn contents() -> Vec<Bytes> {
    let sizes = [2 * MIB, 3 * SEGMENT_BYTES + 1, MIB + 7, 1, 5_000, SEGMENT_BYTES, 200_000];
    (1..).zip(sizes).map(|(seed, size)| noise(size, seed)).collect()
}

fn repo() -> RepoName {
    "acme/base".parse().unwrap()
}

/// A store with everything in sorted files: a backup folds what the log holds into them.
fn closed_store(folder: &Path) {
    let aside = tempfile::tempdir().unwrap();
    let store = RocksStore::open(&aside.path().join("first")).unwrap();
    for (index, content) in contents().iter().enumerate() {
        let retention = if index.is_multiple_of(2) { Retention::Kept } else { Retention::Cached };
        let digest = publish(&store, content, retention).unwrap();
        store.link_blob(&repo(), &digest).unwrap();
    }
    let backup = store.backup(&aside.path().join("backup")).unwrap();
    RocksStore::restore(&backup.folder, folder, &mut go_on).unwrap();
}

/// What a file holds, told by what is in it: the bytes of large blobs, or records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Run,
    Records,
}

fn sorted_files(folder: &Path) -> Vec<(PathBuf, Kind)> {
    let mut files: Vec<(PathBuf, Kind)> = fs::read_dir(folder.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            let large = contents().into_iter().filter(|content| content.len() > 2 * SEGMENT_BYTES);
            // Some bytes of the first segment; keys stand before it.
            let mut starts = large.map(|content| content.slice(64..128));
            let head = &bytes[..bytes.len().min(4_096)];
            let is_run = starts.any(|start| head.windows(64).any(|window| window == start));
            (path, if is_run { Kind::Run } else { Kind::Records })
        })
        .collect();
    files.sort();
    files
}

/// One bit, and what is expected of it.
#[derive(Debug, Clone)]
struct Flip {
    file: PathBuf,
    kind: Kind,
    at: u64,
    bit: u8,
    /// Not in what RocksDB adds at the end, of which it does not need every bit.
    in_data: bool,
    /// Whether a reader comes before the scrub.
    read_first: bool,
}

/// A third each in the data, before the footer and in the footer, over all files.
fn choose(files: &[(PathBuf, Kind)], dice: &mut Dice, index: u64) -> Flip {
    let wanted = if index.is_multiple_of(2) { Kind::Run } else { Kind::Records };
    let of_kind: Vec<usize> = (0..files.len()).filter(|file| files[*file].1 == wanted).collect();
    let (file, kind) = files[dice.pick(&of_kind).expect("a file of each kind")].clone();
    let size = fs::metadata(&file).unwrap().len();
    let footer = size - FOOTER_BYTES;
    let at = match index / 2 % 3 {
        0 => dice.between(0, footer),
        1 => dice.between(footer.saturating_sub(INDEX_BYTES), footer),
        _ => dice.between(footer, size),
    };
    let bit = u8::try_from(dice.between(0, 8)).unwrap();
    let file = PathBuf::from(file.file_name().unwrap());
    let in_data = at < footer.saturating_sub(INDEX_BYTES);
    Flip { file, kind, at, bit, in_data, read_first: dice.percent(50) }
}

fn flip(folder: &Path, flip: &Flip) {
    let path = folder.join("db").join(&flip.file);
    let mut file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(flip.at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0] ^= 1 << flip.bit;
    file.seek(SeekFrom::Start(flip.at)).unwrap();
    file.write_all(&byte).unwrap();
}

fn copy(from: &Path, to: &Path) {
    // Room for a start says nothing, and would be most of what is copied.
    let _ = fs::remove_file(from.join("ballast"));
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success());
}

/// How each blob reads: right, missing or an error. Wrong bytes and wrong sizes are neither.
fn readings(store: &RocksStore, digests: &[(Digest, u64)]) -> Result<Vec<Reading>, String> {
    let mut readings = Vec::new();
    for (digest, size) in digests {
        let size_found = store.stat(digest).map(|found| found.map(|info| info.size_bytes));
        if matches!(size_found, Ok(Some(found)) if found != *size) {
            return Err(format!("{digest} has {size_found:?} bytes instead of {size}"));
        }
        readings.push(match hash_of(store, digest) {
            Ok(Some(found)) if found == *digest => Reading::Right,
            Ok(Some(found)) => return Err(format!("{digest} reads as {found}")),
            Ok(None) => Reading::Missing,
            Err(StoreError::Corrupt { .. }) => Reading::Corrupt,
            Err(error) => return Err(format!("{digest} is not called corrupt: {error:?}")),
        });
        // A link that cannot be read is an error; what matters is that this does not panic.
        let _ = store.has_blob(&repo(), digest);
    }
    Ok(readings)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Right,
    Missing,
    Corrupt,
}

fn scrub(store: &RocksStore) -> Result<ScrubReport, String> {
    let plan = ScrubPlan { from_start: true, quarantine: true, bytes_per_second: None };
    store.scrub(&plan, &mut go_on).map_err(|error| format!("the scrub fails: {error:?}"))
}

/// The whole life of a store with a flipped bit, found by a reader or by a scrub; the error says what
/// is not as it must be, the answer whether anybody noticed.
fn live_with(folder: &Path, flip: &Flip, digests: &[(Digest, u64)]) -> Result<bool, String> {
    let store = RocksStore::open(folder).map_err(|error| format!("OPENING FAILS: {error:?}"))?;
    let noticed = match flip.kind {
        Kind::Run => live_with_a_damaged_run(&store, flip, digests)?,
        Kind::Records => live_with_damaged_records(&store, flip, digests)?,
    };
    if flip.in_data && !noticed {
        return Err("it is in content or records, and nobody noticed".to_owned());
    }
    drop(store);
    let store = RocksStore::open(folder).map_err(|error| format!("REOPENING FAILS: {error:?}"))?;
    let again = readings(&store, digests)?;
    if flip.kind == Kind::Run && again.iter().any(|reading| *reading != Reading::Right) {
        return Err(format!("after reopening {again:?}"));
    }
    Ok(noticed)
}

/// One blob at most is damaged; it goes into quarantine, and can be published anew.
fn live_with_a_damaged_run(
    store: &RocksStore,
    flip: &Flip,
    digests: &[(Digest, u64)],
) -> Result<bool, String> {
    let wrong = if flip.read_first { Reading::Corrupt } else { Reading::Missing };
    let mut damage = Vec::new();
    if !flip.read_first {
        damage = scrub(store)?.damage;
    }
    let found = readings(store, digests)?;
    if flip.read_first {
        damage = scrub(store)?.damage;
        if !damage.is_empty() {
            return Err(format!("the reader left damage behind: {found:?}, {damage:?}"));
        }
    }
    let taken: Vec<usize> = (0..found.len()).filter(|at| found[*at] != Reading::Right).collect();
    if taken.len() > 1 || taken.iter().any(|at| found[*at] != wrong) {
        return Err(format!("one run is damaged, and blobs read {found:?}"));
    }
    let named: Vec<Digest> = damage.iter().filter_map(|damage| damage.digest).collect();
    let expected: Vec<Digest> = taken.iter().map(|at| digests[*at].0).collect();
    if !flip.read_first && (named != expected || damage.iter().any(|damage| !damage.quarantined)) {
        return Err(format!("the scrub says {damage:?}, but {found:?}"));
    }
    check_quarantine(store, digests, &expected)?;
    let contents = contents();
    for at in &taken {
        publish(store, &contents[*at], Retention::Kept)
            .map_err(|error| format!("it cannot be published anew: {error:?}"))?;
    }
    let after = readings(store, digests)?;
    if after.iter().any(|reading| *reading != Reading::Right) {
        return Err(format!("{found:?}, and after publishing anew {after:?}"));
    }
    Ok(!taken.is_empty())
}

/// A damaged record is an error or makes no difference, never an absence; a scrub says that records
/// are damaged, or which small blob.
fn live_with_damaged_records(
    store: &RocksStore,
    flip: &Flip,
    digests: &[(Digest, u64)],
) -> Result<bool, String> {
    let first = if flip.read_first { readings(store, digests)? } else { Vec::new() };
    if first.contains(&Reading::Missing) {
        return Err(format!("a damaged store says that a blob was never here: {first:?}"));
    }
    let damage = scrub(store)?.damage;
    let found = readings(store, digests)?;
    for at in 0..found.len() {
        let named = damage.iter().any(|damage| damage.digest == Some(digests[at].0));
        let taken = named || first.get(at) == Some(&Reading::Corrupt);
        if found[at] == Reading::Missing && !taken {
            return Err(format!("{} is gone without a word: {damage:?}", digests[at].0));
        }
    }
    if found.contains(&Reading::Corrupt) && damage.is_empty() {
        return Err(format!("the scrub finds nothing, but {found:?}"));
    }
    let wrong = first.iter().chain(&found).any(|reading| *reading != Reading::Right);
    Ok(wrong || !damage.is_empty())
}

/// Exactly these are in quarantine, by their answers and by the books.
fn check_quarantine(
    store: &RocksStore,
    digests: &[(Digest, u64)],
    taken: &[Digest],
) -> Result<(), String> {
    for digest in taken {
        let found = store.stat(digest).map_err(|error| format!("stat: {error:?}"))?;
        if found.is_some() {
            return Err(format!("{digest} is in quarantine and still here"));
        }
    }
    let usage = store.usage().map_err(|error| format!("usage: {error:?}"))?;
    let all = (digests.len() - taken.len()) as u64;
    if (usage.quarantined_blobs, usage.blobs) != (taken.len() as u64, all) {
        return Err(format!("{} were taken, the books say {usage:?}", taken.len()));
    }
    Ok(())
}

#[test]
fn a_flipped_bit_is_never_read_as_content() {
    let seed = number_from("WHARF_FLIPS_SEED", 20_251_123);
    let flips = number_from("WHARF_FLIPS", trial_size(20, 60));
    let aside = tempfile::tempdir().unwrap();
    let original = aside.path().join("store");
    closed_store(&original);
    let files = sorted_files(&original);
    let digests: Vec<(Digest, u64)> =
        contents().iter().map(|content| (digest_of(content), content.len() as u64)).collect();
    let mut dice = Dice::new(seed);
    let (mut failures, mut noticed) = (Vec::new(), 0);
    for index in 0..flips {
        let chosen = choose(&files, &mut dice, index);
        let folder = tempfile::tempdir().unwrap();
        copy(&original, folder.path());
        flip(folder.path(), &chosen);
        match live_with(folder.path(), &chosen, &digests) {
            Ok(somebody) => noticed += u64::from(somebody),
            Err(words) => failures.push(format!("{chosen:?}: {words}")),
        }
    }
    say(&format!("{flips} flips with WHARF_FLIPS_SEED={seed}, {noticed} noticed"));
    assert!(failures.is_empty(), "{} of {flips}: {failures:#?}", failures.len());
    assert!(noticed >= flips / 8, "a third of the flips is in data, {noticed} were noticed");
}
