//! One part of a blob in one request, from its source to the registry without a stop in memory: a
//! chunk by PATCH, or the last chunk by the PUT that ends the session.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use wharf_oci::ChunkRange;

use super::super::transport::Pieces;
use super::super::{Call, Registry, RegistryError, network_error};
use super::{BlobSource, CHUNK_BYTES_MIN, Session, TokenScope, UploadWatch, session_call};

/// How many pieces wait between the source and the registry.
const PIECES_AHEAD: usize = 2;

/// What became of a part.
pub(super) enum Progress<'a> {
    /// The registry has more than before.
    Moved,
    /// The session has ended with the blob.
    Done,
    /// To be tried again, after a look at the session.
    Again(Box<Call<'a>>, RegistryError, Option<Duration>),
    /// The registry knows no such session any more.
    Lost(RegistryError),
}

impl Registry {
    /// Sends the next part of a blob.
    pub(super) async fn send_part<'a>(
        &self,
        session: &mut Session,
        source: &mut BlobSource,
        scope: &'a TokenScope,
        watch: &dyn UploadWatch,
    ) -> Result<Progress<'a>, RegistryError> {
        let descriptor = source.descriptor();
        let left = descriptor.size.saturating_sub(session.offset);
        let ends = session.ends_with_chunk && left <= session.chunk_bytes;
        let length = left.min(session.chunk_bytes);
        let call = if ends {
            let end = session.end(&descriptor.digest)?;
            part(session_call(Method::PUT, &end, scope), session.offset, length)
        } else {
            part(session_call(Method::PATCH, &session.location, scope), session.offset, length)
        };
        let from = session.offset;
        let answer = self.stream(&call, source, from, length).await?;
        watch.sent(length);
        match answer {
            Ok(response) if ends && response.status().is_success() => Ok(Progress::Done),
            Ok(response) if !ends && response.status() == StatusCode::ACCEPTED => {
                self.advance(session, &call.uri, &response, from + length)?;
                Ok(Progress::Moved)
            }
            Ok(response) => self.judge(session, call, response, ends).await,
            Err(error) => {
                session.ends_with_chunk &= !ends;
                Ok(Progress::Again(Box::new(call), error, None))
            }
        }
    }

    /// Sends one request with a part of the source as its body. The outer error is the source's.
    async fn stream(
        &self,
        call: &Call<'_>,
        source: &mut BlobSource,
        offset: u64,
        length: u64,
    ) -> Result<Result<Response<Incoming>, RegistryError>, RegistryError> {
        let (taker, pieces) = mpsc::channel(PIECES_AHEAD);
        let sending = self.send_streamed(call, Pieces::streamed(length, pieces));
        let feeding = source.feed(offset, length, taker);
        let (mut sending, mut feeding) = (std::pin::pin!(sending), std::pin::pin!(feeding));
        let mut is_fed = false;
        loop {
            tokio::select! {
                answer = &mut sending => return Ok(answer),
                fed = &mut feeding, if !is_fed => {
                    fed?;
                    is_fed = true;
                }
            }
        }
    }

    /// A streamed body cannot be sent a second time here: a refused token is an error like a broken
    /// connection, and the next try has a new one.
    async fn send_streamed(
        &self,
        call: &Call<'_>,
        body: Pieces,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut headers = call.headers.clone();
        let mut token = None;
        let is_ours = self.is_ours(&call.uri);
        if is_ours {
            token = self.auth.header(&self.transport, call.scope).await?;
            headers.extend(token.clone().map(|token| (AUTHORIZATION, token)));
        }
        let response = self.send(&call.method, &call.uri, headers, body).await?;
        if response.status() == StatusCode::UNAUTHORIZED && is_ours {
            self.auth.refused(response.headers(), call.scope, token.as_ref()).await?;
            return Err(network_error(&call.method, &call.uri, "the token was refused"));
        }
        Ok(response)
    }

    /// Judges an answer to a part that was not taken.
    async fn judge<'a>(
        &self,
        session: &mut Session,
        call: Call<'a>,
        response: Response<Incoming>,
        ends: bool,
    ) -> Result<Progress<'a>, RegistryError> {
        let status = response.status();
        let asked = wharf_client::retry::retry_after(response.headers());
        let error = self.refusal(&call, response).await;
        let again =
            |reason: &RegistryError| network_error(&call.method, &call.uri, &reason.to_string());
        // Of throttling the form of the request is not the cause.
        session.ends_with_chunk &= !ends || status == StatusCode::TOO_MANY_REQUESTS;
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Progress::Lost(error)),
            // A digest mismatch: a byte changed on the way.
            StatusCode::BAD_REQUEST if ends => Ok(Progress::Lost(error)),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let error = again(&error);
                Ok(Progress::Again(Box::new(call), error, asked))
            }
            StatusCode::PAYLOAD_TOO_LARGE if ends || session.chunk_bytes > CHUNK_BYTES_MIN => {
                session.chunk_bytes = (session.chunk_bytes / 2).max(CHUNK_BYTES_MIN);
                let error = again(&error);
                Ok(Progress::Again(Box::new(call), error, asked))
            }
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::LENGTH_REQUIRED if ends => {
                let error = again(&error);
                Ok(Progress::Again(Box::new(call), error, asked))
            }
            _ if error.is_transient() => Ok(Progress::Again(Box::new(call), error, asked)),
            _ => Err(error),
        }
    }
}

/// The request with a body of so many bytes at this offset of the blob.
fn part(mut call: Call<'_>, offset: u64, length: u64) -> Call<'_> {
    let last = offset + length.saturating_sub(1);
    let range = ChunkRange { first: offset, last }.to_string();
    let range = HeaderValue::from_str(&range).expect("digits and a dash are a header value");
    call.headers.insert(CONTENT_RANGE, range);
    call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    call
}
