//! The bytes on disk: column families, keys, values, the format marker. No database calls here.
//!
//! Invariant: every decoder is total. Bytes that were not written by the encoder beside it give
//! `None`, never a panic, because a disk may lie.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, MediaType, RepoName};

use crate::manifests::{StoredManifest, TagRecord};
use crate::{Result, StoreError};

/// The format that this program writes; it reads this one and none later.
pub(super) const FORMAT: u32 = 1;
/// The file that makes a folder a store.
const MARKER: &str = "WHARF-STORE";
const MARKER_WORDS: &str = "wharf store format ";

/// `next-number` -> u64: numbers below it may have been given out.
pub(super) const META: &str = "meta";
/// digest -> [`Located`].
pub(super) const BLOBS: &str = "blobs";
/// number -> digest, written with the one above.
pub(super) const NUMBERS: &str = "numbers";
/// number -> [`Place`]: forgotten, but its bytes are not freed yet.
pub(super) const DOOMED: &str = "doomed";
/// number, segment -> bytes of small blobs.
pub(super) const SMALL: &str = "small";
/// repository -> nothing.
pub(super) const REPOS: &str = "repos";
/// repository, digest -> media type, bytes.
pub(super) const MANIFESTS: &str = "manifests";
/// repository, tag -> [`TagRecord`].
pub(super) const TAGS: &str = "tags";
/// repository, digest -> nothing.
pub(super) const LINKS: &str = "links";
/// repository, subject, digest -> descriptor as JSON.
pub(super) const REFERRERS: &str = "referrers";
/// Every family but the epochs.
pub(super) const FAMILIES: [&str; 10] =
    [META, BLOBS, NUMBERS, DOOMED, SMALL, REPOS, MANIFESTS, TAGS, LINKS, REFERRERS];
/// Key in [`META`].
pub(super) const NEXT_NUMBER: &[u8] = b"next-number";
/// Names of the families that hold runs: `epoch-00000001` and on.
const EPOCH_PREFIX: &str = "epoch-";

/// Where the segments of a blob are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In [`SMALL`].
    Small,
    /// In this epoch.
    Epoch(u32),
}

impl Place {
    pub(super) fn family(self) -> String {
        match self {
            Self::Small => SMALL.to_owned(),
            Self::Epoch(epoch) => epoch_family(epoch),
        }
    }

    /// Epochs count from one, so zero is free for the small blobs.
    pub(super) fn encode(self) -> [u8; 4] {
        match self {
            Self::Small => 0_u32.to_be_bytes(),
            Self::Epoch(epoch) => epoch.to_be_bytes(),
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        match u32::from_be_bytes(bytes.try_into().ok()?) {
            0 => Some(Self::Small),
            epoch => Some(Self::Epoch(epoch)),
        }
    }
}

/// Where a published blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) number: u64,
    pub(super) size_bytes: u64,
    pub(super) place: Place,
}

impl Located {
    pub(super) fn encode(self) -> Vec<u8> {
        let number = self.number.to_be_bytes();
        let size = self.size_bytes.to_be_bytes();
        [number.as_slice(), &size, &self.place.encode()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk::<8>()?;
        let (size, place) = rest.split_first_chunk::<8>()?;
        Some(Self {
            number: u64::from_be_bytes(*number),
            size_bytes: u64::from_be_bytes(*size),
            place: Place::decode(place)?,
        })
    }
}

pub(super) fn epoch_family(epoch: u32) -> String {
    format!("{EPOCH_PREFIX}{epoch:08}")
}

pub(super) fn parse_epoch(family: &str) -> Option<u32> {
    family.strip_prefix(EPOCH_PREFIX)?.parse().ok().filter(|epoch| *epoch > 0)
}

/// Rising with number and index, so that the runs of a blob never overlap those of another.
pub(super) fn segment_key(number: u64, index: u64) -> [u8; 16] {
    let mut key = [0_u8; 16];
    let (high, low) = key.split_at_mut(8);
    high.copy_from_slice(&number.to_be_bytes());
    low.copy_from_slice(&index.to_be_bytes());
    key
}

pub(super) fn decode_number(key: &[u8]) -> Option<u64> {
    key.first_chunk::<8>().map(|number| u64::from_be_bytes(*number))
}

pub(super) fn digest_key(digest: &Digest) -> Vec<u8> {
    let algorithm = match digest.algorithm() {
        Algorithm::Sha256 => 1_u8,
        Algorithm::Sha512 => 2_u8,
    };
    [&[algorithm], digest.raw()].concat()
}

pub(super) fn decode_digest(key: &[u8]) -> Option<Digest> {
    match key.split_first()? {
        (1, raw) => Digest::from_raw(Algorithm::Sha256, raw),
        (2, raw) => Digest::from_raw(Algorithm::Sha512, raw),
        _ => None,
    }
}

/// Everything of a repository starts so: a name holds no zero byte, so no name hides another.
pub(super) fn repo_prefix(repo: &RepoName) -> Vec<u8> {
    [repo.as_str().as_bytes(), &[0]].concat()
}

pub(super) fn repo_digest_key(repo: &RepoName, digest: &Digest) -> Vec<u8> {
    [repo_prefix(repo), digest_key(digest)].concat()
}

pub(super) fn referrer_prefix(repo: &RepoName, subject: &Digest) -> Vec<u8> {
    repo_digest_key(repo, subject)
}

pub(super) fn tag_key(repo: &RepoName, tag: &str) -> Vec<u8> {
    [repo_prefix(repo), tag.as_bytes().to_vec()].concat()
}

pub(super) fn encode_tag(record: &TagRecord) -> Vec<u8> {
    [record.checked_ms.to_be_bytes().to_vec(), digest_key(&record.digest)].concat()
}

pub(super) fn decode_tag(bytes: &[u8]) -> Option<TagRecord> {
    let (checked_ms, digest) = bytes.split_first_chunk::<8>()?;
    let checked_ms = u64::from_be_bytes(*checked_ms);
    Some(TagRecord { digest: decode_digest(digest)?, checked_ms })
}

/// The media type ends at the zero byte, which none contains.
pub(super) fn encode_manifest(media_type: &MediaType, bytes: &[u8]) -> Vec<u8> {
    [media_type.as_str().as_bytes(), &[0], bytes].concat()
}

pub(super) fn decode_manifest(digest: Digest, value: &[u8]) -> Option<StoredManifest> {
    let end = value.iter().position(|byte| *byte == 0)?;
    let (media_type, rest) = value.split_at(end);
    let media_type = std::str::from_utf8(media_type).ok()?.parse().ok()?;
    let bytes = Bytes::copy_from_slice(rest.get(1..)?);
    Some(StoredManifest { digest, media_type, bytes })
}

/// Makes sure that `folder` is a store of a format that we know, or makes it one when it is empty.
/// Nothing is written into a folder that is not ours.
pub(super) fn claim(folder: &Path) -> Result<()> {
    let marker = folder.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(text) => return check_marker(folder, &text),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io("reading", marker, error)),
    }
    fs::create_dir_all(folder).map_err(|error| StoreError::io("creating", folder, error))?;
    let mut entries =
        fs::read_dir(folder).map_err(|error| StoreError::io("reading", folder, error))?;
    // A claim that was interrupted leaves its unfinished marker; nothing else of ours comes first.
    let unfinished = format!("{MARKER}.new");
    if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != unfinished.as_str())) {
        return Err(StoreError::NotAStore { path: folder.to_owned() });
    }
    let partial = folder.join(unfinished);
    write_synced(&partial, format!("{MARKER_WORDS}{FORMAT}\n").as_bytes())
        .map_err(|error| StoreError::io("writing", &partial, error))?;
    fs::rename(&partial, &marker).map_err(|error| StoreError::io("renaming", &partial, error))?;
    fs::File::open(folder)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| StoreError::io("syncing", folder, error))
}

fn check_marker(folder: &Path, text: &str) -> Result<()> {
    let found: u32 = text
        .trim_end()
        .strip_prefix(MARKER_WORDS)
        .and_then(|format| format.parse().ok())
        .ok_or_else(|| StoreError::NotAStore { path: folder.to_owned() })?;
    if found > FORMAT {
        return Err(StoreError::NewerFormat { path: folder.to_owned(), found, known: FORMAT });
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_survive_their_encoding(number in any::<u64>(), size in any::<u64>(), epoch in any::<u32>()) {
            let place = if epoch == 0 { Place::Small } else { Place::Epoch(epoch) };
            let located = Located { number, size_bytes: size, place };
            prop_assert_eq!(Located::decode(&located.encode()), Some(located));
            let digest = Digest::from_raw(Algorithm::Sha256, &[7; 32]).unwrap();
            let tag = TagRecord { digest, checked_ms: size };
            prop_assert_eq!(decode_tag(&encode_tag(&tag)), Some(tag));
        }

        #[test]
        fn key_order_is_number_then_index_order(a in any::<(u64, u64)>(), b in any::<(u64, u64)>()) {
            prop_assert_eq!(segment_key(a.0, a.1).cmp(&segment_key(b.0, b.1)), a.cmp(&b));
        }

        #[test]
        fn a_lying_disk_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Located::decode(&bytes);
            let _ = decode_tag(&bytes);
            let _ = decode_digest(&bytes);
            let digest = Digest::from_raw(Algorithm::Sha256, &[7; 32]).unwrap();
            let _ = decode_manifest(digest, &bytes);
        }
    }

    #[test]
    fn a_foreign_folder_is_refused_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("diary.txt"), "dear diary").unwrap();
        assert!(matches!(claim(folder.path()), Err(StoreError::NotAStore { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_newer_format_is_refused_and_a_known_one_taken() {
        let folder = tempfile::tempdir().unwrap();
        claim(folder.path()).unwrap();
        claim(folder.path()).unwrap();
        fs::write(folder.path().join(MARKER), "wharf store format 2\n").unwrap();
        assert!(matches!(claim(folder.path()), Err(StoreError::NewerFormat { found: 2, .. })));
        fs::write(folder.path().join(MARKER), "something else\n").unwrap();
        assert!(matches!(claim(folder.path()), Err(StoreError::NotAStore { .. })));
    }
}
