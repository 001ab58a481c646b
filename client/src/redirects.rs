//! Complete reads: following redirects, and reading whole answers.
//!
//! Invariants: a redirect never leads from an encrypted address to a plain one; a link is never
//! cached, and a rejected link is fetched again; a whole answer is bounded.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use hyper::Response;
use hyper::body::Incoming;
use url::Url;

use crate::ClientError;
use crate::error::failed;
use crate::headers::length;
use crate::headers::text;
use crate::limits::{
    ANSWER_BYTES_MAX, LINKS_MAX, REDIRECTS_MAX, SHORT_ANSWER_BYTES_MAX, TRIES_MAX,
};
use crate::memory::{CollectedBytes, MemoryBudget};
use crate::retry;
use crate::runtime::min_rate::{RateError, RatedBody};
use crate::transport::{RegistryRequest, RetryEffort, Transport};

/// The next bytes of a body; `None` at its end.
pub(crate) async fn next(
    body: &mut RatedBody<Incoming>,
    operation: &'static str,
) -> Result<Option<Bytes>, ClientError> {
    body.next().await.map_err(|error| match error {
        RateError::TooSlow(how) => failed(operation, how),
        RateError::Broken(error) => failed(operation, error),
    })
}

impl Transport {
    /// Sends a read and follows redirects; every answer but a success is an error.
    pub(crate) async fn follow(
        &self,
        ask: RegistryRequest,
        operation: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut links = 1;
        loop {
            let (response, elsewhere) = self.chase(ask.clone(), operation).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let useless = elsewhere && is_useless_link(response.status());
            if !useless {
                return Err(self.refusal(response, operation).await);
            }
            if links >= LINKS_MAX || ask.effort == RetryEffort::Brief {
                let reason = format!("its links to the storage are refused: {}", response.status());
                return Err(failed(operation, reason));
            }
            tracing::debug!(upstream = &*self.address, status = %response.status(), "a new link");
            links += 1;
        }
    }

    /// A whole answer, bounded; requested again when its body breaks off and there is time.
    pub(crate) async fn fetch<M: MemoryBudget>(
        &self,
        ask: RegistryRequest,
        operation: &'static str,
        budget: &M,
    ) -> Result<(HeaderMap, (Bytes, M::Reservation)), ClientError> {
        let mut tries = 1;
        loop {
            let response = self.follow(ask.clone(), operation).await?;
            let headers = response.headers().clone();
            // Another try brings neither a shorter answer nor more room.
            let too_long = length(&headers).is_some_and(|bytes| bytes > ANSWER_BYTES_MAX as u64);
            match self.collect(response, operation, budget).await {
                Ok(collected) => return Ok((headers, collected)),
                Err(error) if too_long || matches!(error, ClientError::MemoryFull(_)) => {
                    return Err(error);
                }
                Err(error) if ask.effort != RetryEffort::Patient || tries >= TRIES_MAX => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(upstream = &*self.address, %error, tries, "trying again");
                    tokio::time::sleep(retry::pause(tries)).await;
                    tries += 1;
                }
            }
        }
    }

    /// A whole body, bounded, and its memory reservation, made before the read.
    pub(crate) async fn collect<M: MemoryBudget>(
        &self,
        response: Response<Incoming>,
        operation: &'static str,
        budget: &M,
    ) -> Result<(Bytes, M::Reservation), ClientError> {
        let announced = length(response.headers()).unwrap_or(0);
        if announced > ANSWER_BYTES_MAX as u64 {
            return Err(failed(operation, format!("it exceeds {ANSWER_BYTES_MAX} bytes")));
        }
        let mut hold = budget.take(announced)?;
        let mut collected = CollectedBytes::with_room(announced);
        let mut body = RatedBody::new(response.into_body(), self.patience().min_rate);
        while let Some(bytes) = next(&mut body, operation).await? {
            if collected.len() + bytes.len() > ANSWER_BYTES_MAX {
                let reason = format!("its answer exceeds {ANSWER_BYTES_MAX} bytes");
                return Err(failed(operation, reason));
            }
            self.counts().received(bytes.len());
            collected.push(&bytes, ANSWER_BYTES_MAX, &mut hold)?;
        }
        Ok((collected.into_bytes(), hold))
    }

    /// A short answer: a token, or the reason of a refusal. It never fails for lack of memory.
    pub(crate) async fn collect_short(
        &self,
        response: Response<Incoming>,
        operation: &'static str,
    ) -> Result<Bytes, ClientError> {
        let mut body = RatedBody::new(response.into_body(), self.patience().min_rate);
        let mut collected = bytes::BytesMut::new();
        while let Some(bytes) = next(&mut body, operation).await? {
            if collected.len() + bytes.len() > SHORT_ANSWER_BYTES_MAX {
                let reason = format!("its answer exceeds {SHORT_ANSWER_BYTES_MAX} bytes");
                return Err(failed(operation, reason));
            }
            self.counts().received(bytes.len());
            collected.extend_from_slice(&bytes);
        }
        Ok(collected.freeze())
    }

    /// Reads the body of an answer to its end and discards it, so that its connection can be
    /// reused.
    pub(crate) async fn drain(
        &self,
        response: Response<Incoming>,
        operation: &'static str,
    ) -> Result<(), ClientError> {
        let mut body = RatedBody::new(response.into_body(), self.patience().min_rate);
        let mut seen = 0;
        while let Some(bytes) = next(&mut body, operation).await? {
            seen += bytes.len();
            if seen > ANSWER_BYTES_MAX {
                let reason = format!("its answer exceeds {ANSWER_BYTES_MAX} bytes");
                return Err(failed(operation, reason));
            }
            self.counts().received(bytes.len());
        }
        Ok(())
    }

    /// The first answer that is not a redirect, and whether it is from another address.
    async fn chase(
        &self,
        mut ask: RegistryRequest,
        operation: &'static str,
    ) -> Result<(Response<Incoming>, bool), ClientError> {
        for _ in 0..=REDIRECTS_MAX {
            let response = self.answer(&ask, operation).await?;
            let status = response.status();
            let target =
                text(response.headers(), header::LOCATION).filter(|_| status.is_redirection());
            let Some(target) = target else {
                let elsewhere = !self.is_own(&ask.url);
                return Ok((response, elsewhere));
            };
            ask.url = self.led_to(&ask.url, target, operation)?;
        }
        Err(failed(operation, "too many redirects"))
    }

    /// The target of a redirect or a Location. `egress.rs` checks the target's address at the time
    /// of connecting.
    pub(crate) fn led_to(
        &self,
        from: &Url,
        target: &str,
        operation: &'static str,
    ) -> Result<Url, ClientError> {
        let astray = |reason: &str| ClientError::Astray { operation, reason: reason.to_owned() };
        let url = from.join(target).map_err(|_| astray("what it names is not an address"))?;
        let encrypted = [&self.base, from].iter().any(|url| url.scheme() == "https");
        match url.scheme() {
            "https" => Ok(url),
            "http" if !encrypted => Ok(url),
            "http" => Err(astray("from an encrypted address to one that is not encrypted")),
            _ => Err(astray("to an address that is neither http nor https")),
        }
    }
}

/// A storage's refusal of a link that a new link may resolve: expired, not yet known, for another
/// place.
fn is_useless_link(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403 | 410)
}
