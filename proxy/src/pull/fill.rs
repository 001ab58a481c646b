//! A download into the store with any number of clients following it.
//!
//! Invariants: one download per digest at a time; it outlives the client that caused it; only
//! content of exactly the digest is kept, and no follower ever sees a whole wrong blob.
//! `fill/fetch.rs` does its work.

mod fetch;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wharf_client::runtime::party;
use wharf_client::runtime::party::Party;
use wharf_oci::{ByteRange, ContentRange, Digest, RepoName};
use wharf_store::{BlobInfo, InFlight, Tail};

use super::generations::Generation;
use super::{ArrivingBlob, Cache, ReadOutcome, ServedBlob, link_unless_removed};
use crate::Error;
use crate::limits::{
    BYPASS_AHEAD_BYTES, BYPASS_PART_BYTES_MAX, BYPASS_SHARE, PROOF_WAIT_BYTES, TAIL_AHEAD_BYTES,
    TAIL_BEGIN_SHARE, TAIL_PART_SHARE,
};
use crate::observe::outcome::Outcome;
use crate::registries::UpstreamRepo;
use crate::runtime::body::Completion;
use crate::runtime::single_flight::{FlightAnswer, OnBehalfOf};
use fetch::Fill;

/// A running download.
#[derive(Clone)]
pub(super) struct RunningFill {
    blob: InFlight,
    size_bytes: Option<u64>,
    /// The repository that began the download; it is known to have the blob.
    repo: RepoName,
    /// The repository's generation at the beginning.
    since: Generation,
    /// Bytes of parts bypassed beside the download.
    relayed_bytes: Arc<AtomicU64>,
}

/// A requested part of a blob.
#[derive(Clone, Copy)]
struct Part {
    content: ContentRange,
    /// Whether the client looks what the blob is before it wants the rest.
    is_tail: bool,
}

impl Cache {
    /// Follows the download of this digest; begins it when there is none.
    pub(super) async fn fill(
        &self,
        repo: &RepoName,
        digest: &Digest,
        asked: (&UpstreamRepo, &Party),
        range: Option<ByteRange>,
    ) -> Result<(ServedBlob, ReadOutcome), Error> {
        let (upstream_repo, party) = asked;
        if self.unstorable.contains(digest) {
            return self.bypass(asked, digest).await;
        }
        let since = self.generations.now(repo);
        let fill = Fill {
            blocking: self.blocking.clone(),
            store: Arc::clone(&self.store),
            upstream_repo: upstream_repo.clone(),
            repo: repo.clone(),
            digest: *digest,
            unstorable: Arc::clone(&self.unstorable),
            generations: Arc::clone(&self.generations),
            since,
        };
        let caller_fingerprint = OnBehalfOf {
            login: upstream_repo.upstream.caller_fingerprint(),
            repo: Some(repo.clone()),
        };
        // Callers that trust different registries share no download.
        let key = (upstream_repo.upstream.identity(), *digest);
        let work = |promise| fill.clone().run(promise, party.clone());
        let found = match self.fills.ask_to_stay(party, caller_fingerprint, key, work).await {
            Ok(found) => found,
            Err(error) if passes_by(&error, digest, party) => {
                return self.bypass(asked, digest).await;
            }
            Err(error) => return Err(error),
        };
        let FlightAnswer { value: filling, joined, subscription } = found;
        // Facts about the repository from before a removal do not count after it.
        let is_old = since.is_past_a_removal_since(&filling.since);
        if joined && (filling.repo != *repo || is_old) {
            self.check_access(repo, digest, upstream_repo).await?;
            self.link_after(since, repo, digest, &filling);
        }
        let part = filling.part(range)?;
        // A party at its bypass limit waits for the download.
        if let Some(Part { content, .. }) = part.filter(|part| filling.is_far_ahead(part))
            && let Some(room) = self.bypass_limit.take(party)
        {
            match self.relay_part(upstream_repo, digest, content.span, room).await {
                Ok(Some(bypassed)) => {
                    let bypassed = ServedBlob::Bypassed(bypassed, Some(content));
                    return Ok((bypassed, Outcome::Bypass.into()));
                }
                // The upstream would send the whole blob each time: one such answer is enough.
                Ok(None) => filling.relay_no_more(),
                // The download continues all the same, and brings this part too.
                Err(error) if error.is_outage() => {
                    tracing::debug!(%error, %digest, "a part waits for its download");
                }
                Err(error) => return Err(error),
            }
        }
        let came = match joined {
            true if filling.repo != *repo => ReadOutcome::from_another(Outcome::Join),
            true => Outcome::Join.into(),
            false => Outcome::Fill.into(),
        };
        let ending = part.map_or(Completion::Arrived, |part| filling.ending(&part));
        let part = part.map(|part| part.content);
        let RunningFill { blob, size_bytes, .. } = filling;
        Ok((
            ServedBlob::Arriving(ArrivingBlob { blob, subscription, size_bytes, part, ending }),
            came,
        ))
    }

    /// The size of a blob whose upstream does not announce it: only a download tells.
    pub(super) async fn info_of_filled(
        &self,
        repo: &RepoName,
        digest: &Digest,
        asked: (&UpstreamRepo, &Party),
    ) -> Result<(BlobInfo, ReadOutcome), Error> {
        let (served, came) = self.fill(repo, digest, asked, None).await?;
        let size_bytes = match served {
            ServedBlob::Stored(_) => {
                self.look_up(repo, digest).await?.1.map(|info| info.size_bytes)
            }
            ServedBlob::Bypassed(bypassed, _) => bypassed.size_bytes,
            ServedBlob::Arriving(ArrivingBlob { size_bytes: Some(size_bytes), .. }) => {
                Some(size_bytes)
            }
            ServedBlob::Arriving(ArrivingBlob { blob, subscription, .. }) => {
                let _wanted = subscription;
                Some(arrived_bytes(&blob).await?)
            }
        };
        let size_bytes = size_bytes.ok_or_else(|| Error::UpstreamFailed {
            operation: "asking for a blob",
            reason: "it does not say its size, and the blob cannot be kept".to_owned(),
        })?;
        Ok((BlobInfo { digest: *digest, size_bytes }, came))
    }

    /// Serves a blob past the store, when the store refused it or has no room at the moment.
    async fn bypass(
        &self,
        asked: (&UpstreamRepo, &Party),
        digest: &Digest,
    ) -> Result<(ServedBlob, ReadOutcome), Error> {
        let bypassed = self.relay_whole(asked, digest).await?;
        Ok((ServedBlob::Bypassed(bypassed, None), Outcome::Bypass.into()))
    }

    /// Links a repository that joined another repository's download, once the download succeeded.
    fn link_after(
        &self,
        since: Generation,
        repo: &RepoName,
        digest: &Digest,
        filling: &RunningFill,
    ) {
        let (blocking, store) = (self.blocking.clone(), Arc::clone(&self.store));
        let generations = Arc::clone(&self.generations);
        let (repo, digest, blob) = (repo.clone(), *digest, filling.blob.clone());
        tokio::spawn(party::hand_on(async move {
            let end = u64::MAX;
            let tail = poll_fn(|context| blob.poll_read(end, context)).await;
            if matches!(tail, Tail::End) {
                let link =
                    move || link_unless_removed(&*store, &generations, since, &repo, &digest);
                let linked = blocking.run(link).await;
                if let Err(error) = linked {
                    tracing::warn!(%error, "a repository was not linked to its blob");
                }
            }
        }));
    }
}

/// Whether a blob passes by the store after this error of its download, and logs it.
fn passes_by(error: &Error, digest: &Digest, party: &Party) -> bool {
    match error {
        Error::Store(fault) if fault.full => {
            tracing::warn!(%digest, "the store has no room for a blob; it passes by");
        }
        Error::Store(_) => tracing::error!(%error, %digest, "a blob passes by the store"),
        Error::TooMany(_) => {
            tracing::debug!(%party, %digest, "no room to keep a blob; it passes by the store");
        }
        _ => return false,
    }
    true
}

/// The size of a download that succeeded.
async fn arrived_bytes(blob: &InFlight) -> Result<u64, Error> {
    match poll_fn(|context| blob.poll_read(u64::MAX, context)).await {
        Tail::Abandoned(reason) => {
            Err(Error::UpstreamFailed { operation: "fetching a blob", reason })
        }
        Tail::End | Tail::Bytes(_) | Tail::Stored => Ok(blob.visible_bytes()),
    }
}

impl RunningFill {
    /// The meaning of a range for this blob. Without a size there is no `Content-Range`; a server
    /// may then ignore the header.
    fn part(&self, range: Option<ByteRange>) -> Result<Option<Part>, Error> {
        let (Some(range), Some(size_bytes)) = (range, self.size_bytes) else { return Ok(None) };
        let span = range.resolve(size_bytes).ok_or(Error::RangeUnsatisfiable { size_bytes })?;
        Ok(Some(Part::new(range, ContentRange { span, size_bytes })))
    }

    /// Whether a part would wait for so much of the download that fetching it alone is better. All
    /// parts together get a share of the blob, so that they do not become a second download.
    fn is_far_ahead(&self, part: &Part) -> bool {
        let (bytes, end) = (part.content.span.size_bytes(), part.content.span.end());
        let ahead = end.saturating_sub(self.blob.visible_bytes());
        let far = if part.is_tail { TAIL_AHEAD_BYTES } else { BYPASS_AHEAD_BYTES };
        if bytes > BYPASS_PART_BYTES_MAX || ahead < far {
            return false;
        }
        let before = self.relayed_bytes.fetch_add(bytes, Ordering::Relaxed);
        before + bytes <= part.content.size_bytes / BYPASS_SHARE
    }

    /// The upstream sends no parts.
    fn relay_no_more(&self) {
        self.relayed_bytes.store(u64::MAX / 2, Ordering::Relaxed);
    }

    /// A part is held back until the whole is verified, when the verification is near, or when the
    /// part is so large that the wait costs little: wrong bytes are never a complete answer then. A
    /// small part of a large blob, and a tail, are sent as any registry sends them.
    fn ending(&self, part: &Part) -> Completion {
        let ContentRange { span, size_bytes } = part.content;
        let to_come = size_bytes.saturating_sub(self.blob.visible_bytes());
        let is_near = to_come <= PROOF_WAIT_BYTES && !part.is_tail;
        if is_near || span.size_bytes() > BYPASS_PART_BYTES_MAX {
            Completion::Proven
        } else {
            Completion::Arrived
        }
    }
}

impl Part {
    /// A tail is where lazy pullers read a layer's contents before they fetch any of it: the
    /// footers and tables of contents of eStargz and zstd:chunked. A range without an end continues
    /// a whole download that broke off.
    fn new(range: ByteRange, content: ContentRange) -> Self {
        let ContentRange { span, size_bytes } = content;
        let is_closed = !matches!(range, ByteRange::From { .. });
        let is_last = span.start() >= size_bytes - size_bytes / TAIL_BEGIN_SHARE;
        let is_small = span.size_bytes() <= size_bytes / TAIL_PART_SHARE;
        Self { content, is_tail: is_closed && is_last && is_small }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_a_small_part_at_the_end_that_says_where_it_ends() {
        const SIZE: u64 = 8_000_000;
        let is_tail = |range: &str| {
            let range: ByteRange = range.parse().unwrap();
            let content = ContentRange { span: range.resolve(SIZE).unwrap(), size_bytes: SIZE };
            Part::new(range, content).is_tail
        };
        for tail in ["bytes=-51", "bytes=7999949-7999999", "bytes=7000000-7499999", "bytes=-500000"]
        {
            assert!(is_tail(tail), "{tail}");
        }
        for other in [
            "bytes=0-50",
            "bytes=7999949-",
            "bytes=6999999-7000050",
            "bytes=-500001",
            "bytes=7000000-7999999",
            "bytes=-8000000",
        ] {
            assert!(!is_tail(other), "{other}");
        }
        let tiny =
            ContentRange { span: ByteRange::Last { count: 1 }.resolve(1).unwrap(), size_bytes: 1 };
        assert!(!Part::new(ByteRange::Last { count: 1 }, tiny).is_tail);
    }
}
