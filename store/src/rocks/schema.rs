//! The bytes on disk: column families, keys, values. No database and no file system here.
//!
//! Invariant: every decoder is total. Bytes of another origin than its encoder give `None`, never a
//! panic, because a disk may lie.

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, MediaType, RepoName};

use crate::manifests::{StoredManifest, TagRecord};

/// The format this program writes; it reads this one and none later.
pub(super) const FORMAT: u32 = 4;
/// The file name of the marker.
pub(super) const MARKER: &str = "WHARF-STORE";

/// [`NEXT_NUMBER`], [`TOTALS`], [`SCRUB_CURSOR`].
pub(super) const META: &str = "meta";
/// digest -> `BlobRecord`.
pub(super) const BLOBS: &str = "blobs";
/// number -> `NumberRecord`, written with the one above.
pub(super) const NUMBERS: &str = "numbers";
/// order of use, number -> digest: evictable blobs, the first to go first.
pub(super) const RECENCY: &str = "recency";
/// number -> `DoomedRecord`: a forgotten blob with bytes on disk.
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
/// digest, repository -> nothing: the links in the other direction.
pub(super) const HOLDERS: &str = "holders";
/// upload -> `Session`.
pub(super) const SESSIONS: &str = "sessions";
/// number, digest -> `QuarantineRecord`.
pub(super) const QUARANTINE: &str = "quarantine";
/// repository, digest, manifest -> nothing: the parents of a digest.
pub(super) const PARENTS: &str = "parents";
/// repository, subject, digest -> descriptor as JSON.
pub(super) const REFERRERS: &str = "referrers";
/// digest, repository -> `Delivery`: pending deliveries.
pub(super) const JOURNAL: &str = "journal";
/// Every family but the epochs.
pub(super) const FAMILIES: [&str; 16] = [
    META, BLOBS, NUMBERS, RECENCY, DOOMED, SMALL, REPOS, MANIFESTS, TAGS, LINKS, HOLDERS, SESSIONS,
    QUARANTINE, PARENTS, REFERRERS, JOURNAL,
];
/// Key in [`META`] -> u64: all numbers from it on are unused.
pub(super) const NEXT_NUMBER: &[u8] = b"next-number";
/// Key in [`META`] -> `Totals`, merged.
pub(super) const TOTALS: &[u8] = b"totals";
/// Key in [`META`] -> u64: the next number of the scrub.
pub(super) const SCRUB_CURSOR: &[u8] = b"scrub-cursor";
/// Key in [`META`] of a trial write; deleted in the same batch.
pub(super) const PROBE: &[u8] = b"probe";
/// Prefix of the families of runs: `epoch-00000001` and on.
const EPOCH_PREFIX: &str = "epoch-";

/// The place of a blob's segments.
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

pub(super) fn epoch_family(epoch: u32) -> String {
    format!("{EPOCH_PREFIX}{epoch:08}")
}

pub(super) fn parse_epoch(family: &str) -> Option<u32> {
    family.strip_prefix(EPOCH_PREFIX)?.parse().ok().filter(|epoch| *epoch > 0)
}

/// Rises with number and index, so the runs of two blobs never overlap.
pub(super) fn segment_key(number: u64, index: u64) -> [u8; 16] {
    let mut key = [0_u8; 16];
    let (high, low) = key.split_at_mut(8);
    high.copy_from_slice(&number.to_be_bytes());
    low.copy_from_slice(&index.to_be_bytes());
    key
}

pub(super) fn decode_segment(key: &[u8]) -> Option<(u64, u64)> {
    let (number, index) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), u64::from_be_bytes(index.try_into().ok()?)))
}

pub(super) fn decode_number(key: &[u8]) -> Option<u64> {
    key.first_chunk::<8>().map(|number| u64::from_be_bytes(*number))
}

pub(super) const fn algorithm_byte(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Sha256 => 1,
        Algorithm::Sha512 => 2,
    }
}

pub(super) const fn decode_algorithm(byte: u8) -> Option<Algorithm> {
    match byte {
        1 => Some(Algorithm::Sha256),
        2 => Some(Algorithm::Sha512),
        _ => None,
    }
}

pub(super) fn digest_key(digest: &Digest) -> Vec<u8> {
    [&[algorithm_byte(digest.algorithm())], digest.raw()].concat()
}

pub(super) fn decode_digest(key: &[u8]) -> Option<Digest> {
    let (algorithm, raw) = key.split_first()?;
    Digest::from_raw(decode_algorithm(*algorithm)?, raw)
}

/// In the order of use; the number makes it unique.
pub(super) fn recency_key(used: u64, number: u64) -> [u8; 16] {
    segment_key(used, number)
}

pub(super) fn decode_recency(key: &[u8]) -> Option<(u64, u64)> {
    decode_segment(key)
}

pub(super) fn quarantine_key(number: u64, digest: &Digest) -> Vec<u8> {
    [&number.to_be_bytes(), digest_key(digest).as_slice()].concat()
}

pub(super) fn decode_quarantine_key(key: &[u8]) -> Option<(u64, Digest)> {
    let (number, digest) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), decode_digest(digest)?))
}

pub(super) fn holder_key(digest: &Digest, repo: &RepoName) -> Vec<u8> {
    [digest_key(digest).as_slice(), repo.as_str().as_bytes()].concat()
}

/// The digest in a key of [`HOLDERS`] or [`JOURNAL`].
pub(super) fn decode_held(key: &[u8]) -> Option<Digest> {
    decode_digest(key.get(..held_len(key)?)?)
}

/// The repository in a key of [`HOLDERS`] or [`JOURNAL`].
pub(super) fn decode_holder(key: &[u8]) -> Option<RepoName> {
    std::str::from_utf8(key.get(held_len(key)?..)?).ok()?.parse().ok()
}

fn held_len(key: &[u8]) -> Option<usize> {
    Some(match decode_algorithm(*key.first()?)? {
        Algorithm::Sha256 => 33,
        Algorithm::Sha512 => 65,
    })
}

/// Repository and digest, from a key of [`LINKS`].
pub(super) fn decode_link(key: &[u8]) -> Option<(RepoName, Digest)> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let repo = std::str::from_utf8(key.get(..end)?).ok()?.parse().ok()?;
    Some((repo, decode_digest(key.get(end + 1..)?)?))
}

/// The prefix of a repository's keys: a name has no zero byte, so no name hides another.
pub(super) fn repo_prefix(repo: &RepoName) -> Vec<u8> {
    [repo.as_str().as_bytes(), &[0]].concat()
}

pub(super) fn repo_digest_key(repo: &RepoName, digest: &Digest) -> Vec<u8> {
    [repo_prefix(repo), digest_key(digest)].concat()
}

pub(super) fn referrer_prefix(repo: &RepoName, subject: &Digest) -> Vec<u8> {
    repo_digest_key(repo, subject)
}

pub(super) fn referrer_key(repo: &RepoName, subject: &Digest, digest: &Digest) -> Vec<u8> {
    [referrer_prefix(repo, subject), digest_key(digest)].concat()
}

pub(super) fn parent_key(repo: &RepoName, child: &Digest, parent: &Digest) -> Vec<u8> {
    [repo_digest_key(repo, child), digest_key(parent)].concat()
}

/// Repository, digest and manifest, from a key of [`PARENTS`].
pub(super) fn decode_parent(key: &[u8]) -> Option<(RepoName, Digest, Digest)> {
    let start = key.iter().position(|byte| *byte == 0)? + 1;
    let end = start + held_len(key.get(start..)?)?;
    let (repo, child) = decode_link(key.get(..end)?)?;
    Some((repo, child, decode_digest(key.get(end..)?)?))
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

/// The media type ends at the zero byte; no media type has one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn key_order_is_number_then_index_order(a in any::<(u64, u64)>(), b in any::<(u64, u64)>()) {
            prop_assert_eq!(segment_key(a.0, a.1).cmp(&segment_key(b.0, b.1)), a.cmp(&b));
        }
    }
}
