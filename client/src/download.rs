//! The download of a blob, or a part of one, across broken connections: a broken download resumes
//! in the middle when the registry supports that, and otherwise starts over and discards the
//! received bytes.
//!
//! Invariant: bytes come out in order and once, from `start`, for any behaviour of the registry; a
//! part is continued only by an answer with exactly the requested range, of a blob of the same
//! size. The digest is verified elsewhere.

use bytes::Bytes;
use http::{StatusCode, header};
use hyper::Response;
use hyper::body::Incoming;
use wharf_oci::{ContentRange, Span};

use crate::ClientError;
use crate::error::failed;
use crate::headers::length;
use crate::headers::text;
use crate::headers::value;
use crate::limits::{RESUME_PROGRESS_BYTES, RESUMES_MAX, TRIES_MAX};
use crate::redirects;
use crate::retry;
use crate::runtime::min_rate::RatedBody;
use crate::transport::{RegistryRequest, Transport};

const FETCHING: &str = "fetching a blob";

/// A blob about to arrive.
pub struct Download {
    wire: Transport,
    ask: RegistryRequest,
    body: RatedBody<Incoming>,
    /// The size of the whole blob, when the registry states it.
    size_bytes: Option<u64>,
    /// The next byte to hand on, from the start of the blob.
    at: u64,
    /// The byte after the last wanted one.
    end: Option<u64>,
    /// Bytes to discard, because the registry sends them again.
    skip: u64,
    failures: Failures,
}

/// The number of breaks; received bytes make up for them.
#[derive(Default)]
struct Failures {
    in_a_row: u32,
    in_all: u32,
    since_bytes: u64,
}

impl Download {
    /// Opens the whole blob.
    pub(crate) async fn whole(wire: &Transport, ask: RegistryRequest) -> Result<Self, ClientError> {
        let response = wire.follow(ask.clone(), FETCHING).await?;
        let mut size_bytes = length(response.headers());
        if size_bytes.is_none() {
            // Without a size, an endless body would look like a large one.
            let mut head = ask.clone();
            head.method = http::Method::HEAD;
            let headers = wire.follow(head, FETCHING).await;
            size_bytes = headers.ok().and_then(|answer| length(answer.headers()));
        }
        Ok(Self::new(wire, ask, response, size_bytes, 0, size_bytes))
    }

    /// Opens a part of a blob; `None` when the registry does not support ranges.
    pub(crate) async fn part(
        wire: &Transport,
        ask: RegistryRequest,
        part: Span,
    ) -> Result<Option<Self>, ClientError> {
        let response = wire.follow(ranged(&ask, part.start(), part.end()), FETCHING).await?;
        let Some(size_bytes) = continues(&response, part.start(), part.end()) else {
            return Ok(None);
        };
        let (at, end) = (part.start(), Some(part.end()));
        Ok(Some(Self::new(wire, ask, response, Some(size_bytes), at, end)))
    }

    fn new(
        wire: &Transport,
        ask: RegistryRequest,
        response: Response<Incoming>,
        size_bytes: Option<u64>,
        at: u64,
        end: Option<u64>,
    ) -> Self {
        let body = RatedBody::new(response.into_body(), wire.patience().min_rate);
        let failures = Failures::default();
        Self { wire: wire.clone(), ask, body, size_bytes, at, end, skip: 0, failures }
    }

    /// The size of the whole blob, when the registry announced it.
    #[must_use]
    pub const fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let problem = match redirects::next(&mut self.body, FETCHING).await {
                Ok(Some(bytes)) => match self.take(bytes)? {
                    Some(bytes) => return Ok(Some(bytes)),
                    None => continue,
                },
                Ok(None) if self.end.is_none_or(|end| end == self.at) => return Ok(None),
                Ok(None) => failed(FETCHING, "its body ends too early"),
                Err(error) => error,
            };
            self.resume(problem).await?;
        }
    }

    /// The new part of received bytes, without those already handed on.
    fn take(&mut self, mut bytes: Bytes) -> Result<Option<Bytes>, ClientError> {
        self.wire.counts().received(bytes.len());
        let received = bytes.len() as u64;
        let skipped = self.skip.min(received);
        self.skip -= skipped;
        drop(bytes.split_to(usize::try_from(skipped).unwrap_or(bytes.len())));
        if bytes.is_empty() {
            return Ok(None);
        }
        self.at += bytes.len() as u64;
        self.failures.since_bytes += bytes.len() as u64;
        match self.end {
            Some(end) if self.at > end => Err(failed(FETCHING, "its body is longer than it said")),
            _ => Ok(Some(bytes)),
        }
    }

    /// Resumes after a failure, unless there were too many.
    async fn resume(&mut self, problem: ClientError) -> Result<(), ClientError> {
        let mut problem = problem;
        loop {
            if self.failures.since_bytes >= RESUME_PROGRESS_BYTES {
                self.failures.in_a_row = 0;
            }
            self.failures.since_bytes = 0;
            self.failures.in_a_row += 1;
            self.failures.in_all += 1;
            if self.failures.in_a_row >= TRIES_MAX || self.failures.in_all > RESUMES_MAX {
                return Err(problem);
            }
            let upstream = self.wire.address();
            tracing::warn!(upstream, error = %problem, at = self.at, "a download is resumed");
            self.wire.counts().resumed();
            tokio::time::sleep(retry::pause(self.failures.in_a_row)).await;
            match self.reopen().await {
                Ok(()) => return Ok(()),
                // The registry's statement about the blob itself is final; other failures may pass.
                Err(error) if !error.is_outage() => return Err(error),
                Err(error) => problem = error,
            }
        }
    }

    /// Requests the missing bytes, or the whole blob when the registry does not support ranges.
    async fn reopen(&mut self) -> Result<(), ClientError> {
        if let Some(end) = self.end.filter(|end| self.at > 0 && self.at < *end) {
            let asked = self.wire.follow(ranged(&self.ask, self.at, end), FETCHING).await;
            match asked {
                Ok(response) if continues(&response, self.at, end) == self.size_bytes => {
                    self.go_on_with(response, 0);
                    return Ok(());
                }
                Ok(response) if response.status() == StatusCode::OK => {
                    return self.start_over(response);
                }
                Err(error) if !is_outside(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let response = self.wire.follow(self.ask.clone(), FETCHING).await?;
        self.start_over(response)
    }

    /// Begins again with an answer that holds the whole blob; its size must not have changed.
    fn start_over(&mut self, response: Response<Incoming>) -> Result<(), ClientError> {
        let other = length(response.headers()).is_some_and(|now| Some(now) != self.size_bytes);
        if response.status() != StatusCode::OK || other {
            let status = response.status();
            let reason = format!("a blob that broke off came back as another: {status}");
            return Err(failed(FETCHING, reason));
        }
        let here = self.at;
        self.go_on_with(response, here);
        Ok(())
    }

    fn go_on_with(&mut self, response: Response<Incoming>, skip: u64) {
        self.body = RatedBody::new(response.into_body(), self.wire.patience().min_rate);
        self.skip = skip;
    }
}

fn is_outside(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: StatusCode::RANGE_NOT_SATISFIABLE, .. })
}

fn ranged(ask: &RegistryRequest, start: u64, end: u64) -> RegistryRequest {
    let mut ask = ask.clone();
    let range = format!("bytes={start}-{}", end.saturating_sub(1));
    ask.headers.insert(header::RANGE, value(&range));
    ask
}

/// The size of the whole blob, provided that the answer is exactly the part from `start` to `end`.
fn continues(response: &Response<Incoming>, start: u64, end: u64) -> Option<u64> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return None;
    }
    let range: ContentRange = text(response.headers(), header::CONTENT_RANGE)?.parse().ok()?;
    let exact = range.span.start() == start && range.span.end() == end;
    let length_fits = length(response.headers()).is_none_or(|length| length == end - start);
    (exact && length_fits).then_some(range.size_bytes)
}
