//! The seam for writing: how a backend takes segments, and publishes them.
//!
//! Invariant: a backend never hashes and never sees bytes that were not hashed.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{HashResult, HashState, RepoName};

use crate::Result;
use crate::blob_info::{BlobInfo, Retention};
use crate::journal::Errand;
use crate::part_key::PartKey;
use crate::segment_cache::Pressure;
use crate::source::Source;

/// How a blob is published.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PublishAs<'a> {
    /// As the retention says; linked to the repository, when there is one.
    Retained(Retention, Option<&'a RepoName>),
    /// Owed to an upstream: linked, and kept until it is delivered.
    Pending(&'a Errand),
}

impl PublishAs<'_> {
    /// What keeps the blob from then on.
    pub(crate) const fn retention(self) -> Retention {
        match self {
            Self::Retained(Retention::Cached, _) => Retention::Cached,
            Self::Retained(Retention::Pending | Retention::Kept, _) => Retention::Kept,
            Self::Pending(_) => Retention::Pending,
        }
    }
}

/// What publishing came to.
pub(crate) struct Published {
    pub(crate) info: BlobInfo,
    /// Whether the bytes of this writer are the ones that are kept; `false` when another writer
    /// published the same content first.
    pub(crate) own: bool,
}

/// Where a backend takes segments; all but the last have exactly [`SEGMENT_BYTES`](crate::limits::SEGMENT_BYTES).
pub(crate) trait Sink: Send {
    /// Takes the next segment.
    fn put(&mut self, segment: Bytes) -> Result<()>;

    /// Whether what it took should be made readable now; under pressure sooner.
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

    /// Makes readable all it took and keeps no memory for it. `size_bytes` is that of the whole
    /// content, once everything is here.
    fn flush_run(&mut self, _hash: Option<HashState>, _size_bytes: Option<u64>) -> Result<()> {
        Ok(())
    }

    /// How many segments the source of [`Sink::source`] can give.
    fn stored_segments(&self) -> u64;

    /// How readers get at stored segments.
    fn source(&self) -> Arc<dyn Source>;

    /// Makes everything durable and visible under its digest, at once or not at all.
    fn publish(self: Box<Self>, hashed: HashResult, how: PublishAs<'_>) -> Result<Published>;

    /// Makes everything taken, and `tail` after it, durable for an upload that is to rest. The sink is
    /// dropped next, and what it saved stays.
    fn suspend(&mut self, _hash: HashState, _tail: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Makes readable all it took, of which `hash` is, and keeps it for whoever takes up `key`, with
    /// the size of the whole. The sink is dropped next.
    fn lay_down(&mut self, _hash: HashState, _key: PartKey, _size_bytes: u64) -> Result<()> {
        Ok(())
    }

    /// The sink is dropped next, and what is durable of an upload that is to rest stays as it is.
    fn leave(&mut self) {}
}
