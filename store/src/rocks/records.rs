//! The values of records: of a blob, a number, a session, a blob in quarantine. Keys and families
//! are in `schema.rs`. No database calls here.
//!
//! Invariant: every decoder is total. Bytes of another origin than its encoder give `None`, never a
//! panic, because a disk may lie.

use wharf_oci::{Digest, HashState, RepoName, UploadId};

use super::schema::{self, Place};
use crate::blob_info::Retention;
use crate::journal::{Delivery, Destination, Errand, LastError, Refusal};

/// The record of a published blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlobRecord {
    pub(super) number: u64,
    pub(super) size_bytes: u64,
    pub(super) place: Place,
    /// Size of its run files; none for a small blob.
    pub(super) run_bytes: u64,
    pub(super) retention: Retention,
}

impl BlobRecord {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(29);
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.size_bytes.to_be_bytes());
        bytes.extend(self.place.encode());
        bytes.extend(self.run_bytes.to_be_bytes());
        bytes.push(match self.retention {
            Retention::Kept => 0,
            Retention::Cached => 1,
            Retention::Pending => 2,
        });
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let blob = Self {
            number: fields.u64()?,
            size_bytes: fields.u64()?,
            place: Place::decode(fields.take(4)?)?,
            run_bytes: fields.u64()?,
            retention: match fields.u8()? {
                0 => Retention::Kept,
                1 => Retention::Cached,
                2 => Retention::Pending,
                _ => return None,
            },
        };
        fields.end(blob)
    }

    /// Format 1 had neither the size of runs nor the retention.
    pub(super) fn decode_format_1(bytes: &[u8]) -> Option<(u64, u64, Place)> {
        let mut fields = Fields(bytes);
        let blob = (fields.u64()?, fields.u64()?, Place::decode(fields.take(4)?)?);
        fields.end(blob)
    }
}

/// The owner of a number, and its position in the order of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NumberRecord {
    /// Its position in the order of use; zero for a protected blob.
    pub(super) used: u64,
    pub(super) digest: Digest,
}

impl NumberRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.used.to_be_bytes(), schema::digest_key(&self.digest).as_slice()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self { used: fields.u64()?, digest: schema::decode_digest(fields.0)? })
    }
}

/// The record of forgotten bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DoomedRecord {
    pub(super) place: Place,
    /// Their size: of run files, or of the segments of a small blob.
    pub(super) bytes: u64,
}

impl DoomedRecord {
    pub(super) const fn of(blob: &BlobRecord) -> Self {
        let bytes = match blob.place {
            Place::Small => blob.size_bytes,
            Place::Epoch(_) => blob.run_bytes,
        };
        Self { place: blob.place, bytes }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        [self.place.encode().as_slice(), &self.bytes.to_be_bytes()].concat()
    }

    /// Format 1 had the place alone.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let place = Place::decode(fields.take(4)?)?;
        let bytes = if fields.0.is_empty() { 0 } else { fields.u64()? };
        fields.end(Self { place, bytes })
    }
}

/// The record of a damaged blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuarantineRecord {
    pub(super) blob: BlobRecord,
    /// The time of the discovery, in milliseconds since 1970.
    pub(super) found_ms: u64,
    pub(super) reason: String,
}

impl QuarantineRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.blob.encode();
        bytes.extend(self.found_ms.to_be_bytes());
        bytes.extend(self.reason.as_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            blob: BlobRecord::decode(fields.take(29)?)?,
            found_ms: fields.u64()?,
            reason: String::from_utf8(fields.0.to_vec()).ok()?,
        })
    }
}

/// Flag beside the algorithm of a [`Session`]: its owner follows the repository.
const OWNED: u8 = 0x10;

/// The durable state of an upload: the segments of its number below `segments`, with the hash state
/// `hash`, then `tail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) id: UploadId,
    pub(super) repo: RepoName,
    /// The name of the one caller allowed to continue the upload, if it has an owner; never empty.
    pub(super) owner: Option<String>,
    pub(super) number: u64,
    /// Absent before the first ingest.
    pub(super) place: Option<Place>,
    pub(super) run_bytes: u64,
    pub(super) segments: u64,
    pub(super) saved_ms: u64,
    pub(super) hash: HashState,
    /// Bytes after the last whole segment.
    pub(super) tail: Vec<u8>,
}

impl Session {
    /// The key is the identifier.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.tail.len());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.place.unwrap_or(Place::Small).encode());
        bytes.extend(self.run_bytes.to_be_bytes());
        bytes.extend(self.segments.to_be_bytes());
        bytes.extend(self.saved_ms.to_be_bytes());
        // Without an owner the record equals one of format 2.
        let mark = if self.owner.is_some() { OWNED } else { 0 };
        bytes.push(schema::algorithm_byte(self.hash.algorithm) | mark);
        bytes.extend(self.hash.size_bytes.to_be_bytes());
        let owner = self.owner.as_ref().map(String::as_bytes);
        let parts = [self.hash.bytes.as_slice(), self.repo.as_str().as_bytes()];
        for part in parts.into_iter().chain(owner) {
            // All are shorter than 300 bytes by their own rules.
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(part);
        }
        bytes.extend(&self.tail);
        bytes
    }

    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let id = UploadId::from_u128(u128::from_be_bytes(key.try_into().ok()?));
        let mut fields = Fields(value);
        let number = fields.u64()?;
        let place = Place::decode(fields.take(4)?)?;
        let (run_bytes, segments, saved_ms) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let marks = fields.u8()?;
        let algorithm = schema::decode_algorithm(marks & !OWNED)?;
        let size_bytes = fields.u64()?;
        let bytes = fields.counted()?.to_vec();
        let repo = std::str::from_utf8(fields.counted()?).ok()?.parse().ok()?;
        let owner = if marks & OWNED == 0 {
            None
        } else {
            Some(fields.text().filter(|owner| !owner.is_empty())?)
        };
        Some(Self {
            id,
            repo,
            owner,
            number,
            place: (place != Place::Small).then_some(place),
            run_bytes,
            segments,
            saved_ms,
            hash: HashState { algorithm, size_bytes, bytes },
            tail: fields.0.to_vec(),
        })
    }
}

impl Delivery {
    /// The key is the digest and the repository here.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Errand { repo: _, id, since_ms, to } = &self.errand;
        let mut bytes = Vec::with_capacity(128);
        for number in [self.size_bytes, *id, *since_ms] {
            bytes.extend(number.to_be_bytes());
        }
        let from = to.from.as_ref().map_or("", RepoName::as_str);
        for part in [to.upstream.as_str(), to.repo.as_str(), from] {
            put_counted(&mut bytes, part);
        }
        let Some(trouble) = &self.trouble else {
            bytes.push(0);
            return bytes;
        };
        bytes.push(1 + u8::from(trouble.refused.is_some()));
        bytes.extend(trouble.at_ms.to_be_bytes());
        bytes.extend(u64::from(trouble.tries).to_be_bytes());
        put_counted(&mut bytes, &trouble.reason);
        if let Some(Refusal { status, code }) = &trouble.refused {
            bytes.extend(u64::from(*status).to_be_bytes());
            put_counted(&mut bytes, code);
        }
        bytes
    }

    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let (digest, repo) = (schema::decode_held(key)?, schema::decode_holder(key)?);
        let mut fields = Fields(value);
        let (size_bytes, id, since_ms) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (upstream, there, from) = (fields.text()?, fields.text()?, fields.text()?);
        let from = if from.is_empty() { None } else { Some(from.parse().ok()?) };
        let to = Destination { upstream, repo: there.parse().ok()?, from };
        let tried = fields.u8()?;
        let trouble = match tried {
            0 => None,
            1 | 2 => Some(LastError {
                at_ms: fields.u64()?,
                tries: fields.u64()?.try_into().ok()?,
                reason: fields.text()?,
                refused: if tried == 2 { Some(fields.refused()?) } else { None },
            }),
            _ => return None,
        };
        let errand = Errand { repo, id, since_ms, to };
        fields.end(Self { errand, digest, size_bytes, trouble })
    }
}

/// Appends a text after its length.
fn put_counted(bytes: &mut Vec<u8>, text: &str) {
    // Names and addresses are shorter than 300 bytes, and reasons are cut by the caller.
    bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(text.as_bytes());
}

/// The sums over published blobs. Stored as a merge of changes, so writers need no common lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) blobs: i64,
    pub(super) bytes: i64,
    pub(super) cached_blobs: i64,
    pub(super) cached_bytes: i64,
}

impl Totals {
    /// The share of one blob.
    pub(super) fn of(blob: &BlobRecord) -> Self {
        let bytes = i64::try_from(blob.size_bytes).unwrap_or(i64::MAX);
        let cached = i64::from(blob.retention == Retention::Cached);
        Self { blobs: 1, bytes, cached_blobs: cached, cached_bytes: cached.saturating_mul(bytes) }
    }

    pub(super) const fn negative(self) -> Self {
        Self {
            blobs: self.blobs.saturating_neg(),
            bytes: self.bytes.saturating_neg(),
            cached_blobs: self.cached_blobs.saturating_neg(),
            cached_bytes: self.cached_bytes.saturating_neg(),
        }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            blobs: self.blobs.saturating_add(other.blobs),
            bytes: self.bytes.saturating_add(other.bytes),
            cached_blobs: self.cached_blobs.saturating_add(other.cached_blobs),
            cached_bytes: self.cached_bytes.saturating_add(other.cached_bytes),
        }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let fields = [self.blobs, self.bytes, self.cached_blobs, self.cached_bytes];
        fields.iter().flat_map(|field| field.to_be_bytes()).collect()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let mut next = || fields.u64().map(u64::cast_signed);
        let totals =
            Self { blobs: next()?, bytes: next()?, cached_blobs: next()?, cached_bytes: next()? };
        fields.end(totals)
    }
}

/// Cuts a value into fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let count = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        self.take(usize::try_from(count).ok()?)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.counted()?.to_vec()).ok()
    }

    fn refused(&mut self) -> Option<Refusal> {
        Some(Refusal { status: self.u64()?.try_into().ok()?, code: self.text()? })
    }

    /// The value, when no bytes are left.
    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// Decodes bytes as every kind of record in turn, for the fuzz targets: a decoded record must
/// encode to the same bytes.
#[cfg(any(test, feature = "test-util"))]
pub(crate) fn decode_anything(key: &[u8], value: &[u8]) {
    if let Some(blob) = BlobRecord::decode(value) {
        assert_eq!(blob.encode(), value);
    }
    if let Some(numbered) = NumberRecord::decode(value) {
        assert_eq!(numbered.encode(), value);
    }
    if let Some(quarantined) = QuarantineRecord::decode(value) {
        assert_eq!(quarantined.encode(), value);
    }
    if let Some(session) = Session::decode(key, value) {
        assert_eq!(session.encode(), value);
    }
    if let Some(delivery) = Delivery::decode(key, value) {
        assert_eq!(delivery.encode(), value);
    }
    if let Some(totals) = Totals::decode(value) {
        assert_eq!(totals.encode(), value);
    }
    if let Some(digest) = schema::decode_digest(key) {
        assert_eq!(schema::digest_key(&digest), key);
        if let Some(stored) = schema::decode_manifest(digest, value) {
            assert_eq!(schema::encode_manifest(&stored.media_type, &stored.bytes), value);
        }
    }
    if let Some(record) = schema::decode_tag(value) {
        assert_eq!(schema::encode_tag(&record), value);
    }
    let _ = (DoomedRecord::decode(value), BlobRecord::decode_format_1(value));
    let _ = (schema::decode_number(key), schema::decode_recency(key), schema::decode_link(key));
    let _ = (schema::decode_holder(key), schema::decode_quarantine_key(key));
    if let Some((repo, child, parent)) = schema::decode_parent(key) {
        assert_eq!(schema::parent_key(&repo, &child, &parent), key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wharf_oci::Algorithm;

    fn place(epoch: u32) -> Place {
        if epoch == 0 { Place::Small } else { Place::Epoch(epoch) }
    }

    proptest! {
        #[test]
        fn records_survive_their_encoding(
            number in any::<u64>(),
            size_bytes in any::<u64>(),
            epoch in any::<u32>(),
            run_bytes in any::<u64>(),
            rank in any::<u8>(),
            reason in ".{0,40}",
            tail in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let retention = [Retention::Cached, Retention::Pending, Retention::Kept][usize::from(rank % 3)];
            let place = place(epoch);
            let blob = BlobRecord { number, size_bytes, place, run_bytes, retention };
            prop_assert_eq!(BlobRecord::decode(&blob.encode()), Some(blob));
            let doomed = DoomedRecord { place, bytes: run_bytes };
            prop_assert_eq!(DoomedRecord::decode(&doomed.encode()), Some(doomed));
            let quarantined = QuarantineRecord { blob, found_ms: size_bytes, reason: reason.clone() };
            prop_assert_eq!(QuarantineRecord::decode(&quarantined.encode()), Some(quarantined));
            let digest = Digest::from_raw(Algorithm::Sha512, &[7; 64]).unwrap();
            let numbered = NumberRecord { used: size_bytes, digest };
            prop_assert_eq!(NumberRecord::decode(&numbered.encode()), Some(numbered));
            let hash = HashState { algorithm: Algorithm::Sha256, size_bytes, bytes: tail.clone() };
            let id = UploadId::from_u128(u128::from(number) << 7);
            let session = Session {
                id,
                repo: "acme/base".parse().unwrap(),
                owner: Some(reason.clone()).filter(|owner| !owner.is_empty()),
                number,
                place: (epoch != 0).then_some(place),
                run_bytes,
                segments: size_bytes,
                saved_ms: number,
                hash,
                tail,
            };
            let key = id.as_u128().to_be_bytes();
            prop_assert_eq!(Session::decode(&key, &session.encode()), Some(session.clone()));
            let unowned = Session { owner: None, ..session };
            prop_assert_eq!(Session::decode(&key, &unowned.encode()), Some(unowned));
            let refused = Refusal { status: 403, code: reason.clone() };
            let trouble = LastError { at_ms: number, tries: 7, reason, refused: Some(refused) };
            for trouble in [None, Some(trouble.clone()), Some(LastError { refused: None, ..trouble })] {
                let to = Destination {
                    upstream: "https://acme.azurecr.io".to_owned(),
                    repo: "base".parse().unwrap(),
                    from: trouble.as_ref().map(|_| "other".parse().unwrap()),
                };
                let repo: RepoName = "acme/base".parse().unwrap();
                let key = schema::holder_key(&digest, &repo);
                let errand = Errand { repo, id: size_bytes, since_ms: number, to };
                let delivery = Delivery { errand, digest, size_bytes, trouble };
                prop_assert_eq!(Delivery::decode(&key, &delivery.encode()), Some(delivery));
            }
            let totals = Totals::of(&blob);
            prop_assert_eq!(Totals::decode(&totals.encode()), Some(totals));
            prop_assert_eq!(totals.plus(totals.negative()), Totals::default());
        }

        #[test]
        fn a_lying_disk_is_refused_without_panic(
            key in proptest::collection::vec(any::<u8>(), 0..80),
            value in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            decode_anything(&key, &value);
        }
    }
}
