//! The seam for writing: a backend takes the segments of one blob and publishes them.
//!
//! Invariant: a backend never hashes, and gets hashed bytes only.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{HashResult, HashState, RepoName};

use crate::Result;
use crate::blob_info::{BlobInfo, Retention};
use crate::journal::Errand;
use crate::part_key::PartKey;
use crate::segment_cache::Pressure;
use crate::source::Source;

/// The mode of a publication.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PublishAs<'a> {
    /// With this retention; with a link when there is a repository.
    Retained(Retention, Option<&'a RepoName>),
    /// Pending: linked, and protected until its delivery to an upstream.
    Pending(&'a Errand),
}

impl PublishAs<'_> {
    /// The retention of the published blob.
    pub(crate) const fn retention(self) -> Retention {
        match self {
            Self::Retained(Retention::Cached, _) => Retention::Cached,
            Self::Retained(Retention::Pending | Retention::Kept, _) => Retention::Kept,
            Self::Pending(_) => Retention::Pending,
        }
    }
}

/// The result of a publication.
pub(crate) struct Published {
    pub(crate) info: BlobInfo,
    /// Whether the bytes of this writer are the stored ones; `false` when another writer published
    /// the same content first.
    pub(crate) own: bool,
}

/// The segments of one blob on their way to a backend; all but the last have exactly
/// [`SEGMENT_BYTES`](crate::limits::SEGMENT_BYTES).
pub(crate) trait Sink: Send {
    /// Takes the next segment.
    fn put(&mut self, segment: Bytes) -> Result<()>;

    /// Reserves space for so many bytes to come, so that no segment of them finds the store full.
    fn make_room(&mut self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// Whether the run is large enough to be ended; smaller under memory pressure.
    fn is_full(&self, _pressure: Pressure) -> bool {
        false
    }

    /// Whether an upload stays resumable after the process. Only such a sink gets the hash state of the
    /// segments with the end of a run.
    fn is_resumable(&self) -> bool {
        false
    }

    /// Starts to make the segments of the run readable. A resumable sink stores `hash`, the state after all
    /// segments, together with the run.
    fn end_run(&mut self, _hash: Option<HashState>) -> Result<()> {
        Ok(())
    }

    /// Makes all segments readable and frees their memory. `size_bytes` is the size of the content,
    /// once it is complete.
    fn flush_run(&mut self, _hash: Option<HashState>, _size_bytes: Option<u64>) -> Result<()> {
        Ok(())
    }

    /// The number of segments readable from [`Sink::source`].
    fn stored_segments(&self) -> u64;

    /// The source of the stored segments.
    fn source(&self) -> Arc<dyn Source>;

    /// Makes the content durable and visible under its digest, in one step.
    fn publish(self: Box<Self>, hashed: HashResult, how: PublishAs<'_>) -> Result<Published>;

    /// Makes an upload durable: all segments, then `tail`. The caller drops the sink next, and the
    /// saved upload stays.
    fn suspend(&mut self, _hash: HashState, _tail: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Makes all segments readable, with their hash state, and keeps them as the part of `key`;
    /// `size_bytes` is the size of the content. The caller drops the sink next.
    fn lay_down(&mut self, _hash: HashState, _key: PartKey, _size_bytes: u64) -> Result<()> {
        Ok(())
    }

    /// The caller drops the sink next; the durable state of an upload stays as it is.
    fn leave(&mut self) {}
}
