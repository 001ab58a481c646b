//! Bounds on clients: connections, rates of requests, memory; uploads are in
//! `push/uploads/session_permit.rs`. The sizes of the bounds are in `settings/limits.rs`; the
//! refusal is 429 with the time to wait.
//!
//! Invariant: only a request over its rate waits here, in a bounded queue (`rates.rs`). A client
//! past another bound is refused at once and counted, and other clients' permits are not touched.

mod connections;
mod counts;
mod holds;
mod rates;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;
use wharf_client::runtime::party::Party;

use crate::Error;
use crate::access::Caller;
use crate::bound::{Bound, BoundUsage};
use crate::http::forwarded::UntrustedForwarders;
use crate::http::route::Route;
use crate::limits::{PARTY_REQUESTS_MAX, RATE_WAITING_MAX, REQUESTS_MAX};
use crate::runtime::memory_gauge::{MemoryBudget, MemoryGauge};
use crate::runtime::shares::{Share, Shares, SharesUsage};
use crate::settings::limits::{Limits, Rate};

pub(crate) use connections::{ConnectionBounds, ConnectionPermit, Connections, Occupant};
pub(crate) use counts::{Limit, LimitCounts};
pub(crate) use holds::{HoldOutcome, Holds};
use rates::{RateKey, RateRefusal, Rates};

/// The state of all bounds.
#[derive(Default)]
pub(crate) struct Admission {
    /// Of clients.
    pub(crate) connections: Connections,
    /// Of operators.
    pub(crate) admin_connections: Connections,
    /// Refusals by bound.
    pub(crate) counts: Arc<LimitCounts>,
    /// Requests held before their refusal.
    pub(crate) holds: Holds,
    /// Peers that forward for clients without trust.
    pub(crate) unbelieved: UntrustedForwarders,
    rates: Rates,
    requests: Shares,
}

/// The usage of one bound, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitUsage {
    pub limit: Limit,
    pub used: u64,
    /// The bound's size.
    pub most: u64,
}

/// Admits a request that will take memory piece by piece for as long as it goes on; refused when
/// too much is taken. The memory of other requests is reserved when it is known.
pub(crate) fn memory(route: &Route, budget: &MemoryBudget) -> Result<(), Error> {
    match route {
        Route::StartUpload { .. } | Route::Blob { head: false, .. } => Ok(budget.may_begin()?),
        _ => Ok(()),
    }
}

/// The demand of a request on a rate. Transfers of blobs are counted apart: other requests do not
/// stop an image in its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// It carries no blob.
    Question,
    /// It downloads a blob.
    Download,
    /// It brings bytes of a blob. They are never refused by a rate: hardly any client sends them
    /// twice.
    Upload,
}

impl Demand {
    /// Of a request, by its head.
    #[must_use]
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        // By its last words: a repository may have any name.
        let mut words = path.rsplit('/');
        match (method, words.next(), words.next(), words.next()) {
            (&Method::GET, Some(digest), Some("blobs"), _) if digest.starts_with("sha") => {
                Self::Download
            }
            (&Method::PATCH | &Method::PUT, Some(_), Some("uploads"), Some("blobs")) => {
                Self::Upload
            }
            _ => Self::Question,
        }
    }

    /// Until when the request queues.
    fn latest(self, latest: Instant) -> Option<Instant> {
        (self != Self::Upload).then_some(latest)
    }
}

impl Admission {
    /// A request from an address, before anything of it is parsed: queues for its rate, not after
    /// `latest`. Returns how long that took.
    pub(crate) async fn address(
        &self,
        client: IpAddr,
        demand: Demand,
        limits: &Limits,
        latest: Instant,
    ) -> Result<Duration, Error> {
        if demand != Demand::Question {
            return Ok(Duration::ZERO);
        }
        let turn =
            Turn { who: RateKey::Address(Party::behind(client)), rate: limits.address_requests };
        self.turn(Limit::AddressRate, turn, Some(latest)).await
    }

    /// One more request in progress of a party, until its answer is sent.
    pub(crate) fn request(&self, party: Party) -> Result<Share, Error> {
        let share = self.requests.take_within(party, PARTY_REQUESTS_MAX, REQUESTS_MAX);
        share.ok_or(Error::TooMany(Bound::Requests))
    }

    /// A request once its caller is known; without credentials, by the address. Queues as above,
    /// and bytes of an upload for as long as it takes.
    pub(crate) async fn caller(
        &self,
        caller: &Caller,
        demand: Demand,
        limits: &Limits,
        latest: Instant,
    ) -> Result<Duration, Error> {
        let party = caller.party();
        let (limit, turn) = match demand {
            Demand::Question => {
                let turn = Turn { who: RateKey::User(party), rate: limits.user_requests };
                (Limit::UserRate, turn)
            }
            Demand::Download | Demand::Upload => {
                let turn = Turn { who: RateKey::Transfers(party), rate: limits.transfers };
                (Limit::Transfers, turn)
            }
        };
        self.turn(limit, turn, demand.latest(latest)).await
    }

    async fn turn(
        &self,
        limit: Limit,
        Turn { who, rate }: Turn,
        latest: Option<Instant>,
    ) -> Result<Duration, Error> {
        if rate.per_second == 0 {
            return Ok(Duration::ZERO);
        }
        let waited = self.rates.turn(who, rate, latest).await.map_err(|refused| {
            self.counts.refuse(limit);
            match refused {
                RateRefusal::TooLate(wait) => {
                    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                    Error::TooOften { retry_after_seconds: whole.max(1) }
                }
                RateRefusal::Full => Error::TooMany(Bound::RequestsWaiting),
            }
        })?;
        if !waited.is_zero() {
            tracing::debug!(limit = limit.as_str(), ?waited, "a request waited for its turn");
            self.counts.waited(limit);
        }
        Ok(waited)
    }

    /// Requests that wait for their turn.
    pub(crate) fn waiting(&self) -> BoundUsage {
        BoundUsage::new(Bound::RequestsWaiting, self.rates.waiting(), RATE_WAITING_MAX)
    }

    /// The usage of the bounds.
    pub(crate) fn state(
        &self,
        limits: &Limits,
        held: &MemoryGauge,
        uploads: SharesUsage,
    ) -> Vec<LimitUsage> {
        let row = |limit, used: usize, most: usize| LimitUsage {
            limit,
            used: used as u64,
            most: most as u64,
        };
        let (connections, largest) = self.connections.state();
        vec![
            row(Limit::Connections, connections, limits.connections),
            row(Limit::AddressConnections, largest, limits.connections_per_address),
            row(Limit::Uploads, uploads.total, limits.uploads),
            row(Limit::UserUploads, uploads.largest, limits.uploads_per_user),
            LimitUsage { limit: Limit::BytesInFlight, used: held.bytes(), most: limits.bytes.most },
            LimitUsage {
                limit: Limit::UserBytesInFlight,
                used: held.largest(),
                most: limits.bytes.share,
            },
            row(Limit::UserRate, self.rates.count(), crate::limits::RATES_MAX),
        ]
    }
}

/// The bucket of a request, and its rate.
struct Turn {
    who: RateKey,
    rate: Rate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_a_blob_is_told_from_a_question() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let blob = format!("/v2/a/blobs/{digest}");
        let rows = [
            (Method::GET, blob.as_str(), Demand::Download),
            (Method::HEAD, blob.as_str(), Demand::Question),
            (Method::PATCH, "/v2/a/blobs/uploads/1", Demand::Upload),
            (Method::PUT, "/v2/a/blobs/uploads/1", Demand::Upload),
            (Method::POST, "/v2/a/blobs/uploads/", Demand::Question),
            (Method::PUT, "/v2/a/manifests/v1", Demand::Question),
            (Method::GET, "/v2/a/manifests/v1", Demand::Question),
            (Method::GET, "/v2/", Demand::Question),
            (Method::GET, "/v2/x/blobs/sha/tags/list", Demand::Question),
            (Method::PUT, "/v2/a/blobs/uploads/x/manifests/v1", Demand::Question),
        ];
        for (method, path, expected) in rows {
            assert_eq!(Demand::of(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn two_whose_requests_hang_leave_a_third_its_own() {
        let admission = Admission::default();
        let ask = |last: u8| admission.request(Party::behind([127, 0, 0, last].into()));
        let hanging: Vec<_> = [2, 3]
            .into_iter()
            .flat_map(|last| std::iter::from_fn(move || ask(last).ok()))
            .collect();
        assert_eq!(hanging.len(), 2 * PARTY_REQUESTS_MAX);
        assert_eq!(ask(2).err().and_then(|error| Limit::of(&error)), Some(Limit::Requests));
        assert!(ask(4).is_ok());
        drop(hanging);
        assert!(ask(2).is_ok());
        assert_eq!(admission.requests.total(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn rates_are_kept_apart_and_say_how_long_to_wait() {
        let rate = crate::settings::limits::Rate { per_second: 1, burst: 2 };
        let limits = Limits { user_requests: rate, address_requests: rate, ..Limits::default() };
        let (admission, caller) = (Admission::default(), Caller::anonymous());
        let client = "10.0.0.1".parse().unwrap();
        let (caller, now) = (caller.at(client), Instant::now());
        let ask = |demand, latest| admission.caller(&caller, demand, &limits, latest);
        for _ in 0..2 {
            assert!(ask(Demand::Question, now).await.unwrap().is_zero());
        }
        let refused = ask(Demand::Question, now).await.unwrap_err();
        assert!(matches!(refused, Error::TooOften { retry_after_seconds: 1 }), "{refused}");
        for demand in [Demand::Download, Demand::Upload] {
            assert!(ask(demand, now).await.is_ok(), "transfers have a rate of their own");
            assert!(admission.address(client, demand, &limits, now).await.is_ok());
        }
        let question = Demand::Question;
        assert!(
            admission.address(client, question, &limits, now).await.is_ok(),
            "and so have addresses"
        );
        assert_eq!(admission.counts.refused(Limit::UserRate), 1);
        // With time the request queues.
        assert!(!ask(question, now + Duration::from_secs(5)).await.unwrap().is_zero());
        assert_eq!(admission.counts.refused(Limit::UserRate), 1);
        let waited = admission.counts.waits().find(|(limit, _)| *limit == "user_rate");
        assert_eq!(waited, Some(("user_rate", 1)));
        assert_eq!(admission.waiting().used, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_an_upload_wait_for_as_long_as_it_takes_and_downloads_do_not() {
        let rate = crate::settings::limits::Rate { per_second: 1, burst: 1 };
        let limits = Limits { transfers: rate, ..Limits::default() };
        let (admission, caller) = (Admission::default(), Caller::anonymous());
        let latest = Instant::now() + Duration::from_secs(3);
        let ask = |demand| admission.caller(&caller, demand, &limits, latest);
        let uploads = async {
            for _ in 0..10 {
                assert!(ask(Demand::Upload).await.is_ok());
            }
        };
        uploads.await;
        assert!(Instant::now() > latest);
        assert!(matches!(ask(Demand::Download).await, Err(Error::TooOften { .. })));
    }
}
