//! Who is let in, and how much of it: connections, rates of requests, memory; uploads are in
//! `uploads/room.rs`. What the bounds
//! are is in `config/limits.rs`; the answer is 429 with the time to wait.
//!
//! Invariant: nothing waits here. Whoever is past a bound is told so at once, counted, and what others
//! have is not touched.

mod connections;
mod counts;
mod holds;
mod rates;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use crate::Error;
use crate::access::Caller;
use crate::config::Limits;
use crate::forwarded::Unbelieved;
use crate::held::{Held, Purse};
use crate::limits::{PARTY_REQUESTS_MAX, REQUESTS_MAX};
use crate::party::Party;
use crate::route::Route;
use crate::shares::{Share, Shares};

pub(crate) use connections::{Connections, Occupant, Seat};
pub(crate) use counts::{Limit, LimitCounts};
pub(crate) use holds::{HoldOutcome, Holds};
use rates::{Rates, Who};

/// All that is counted.
#[derive(Default)]
pub(crate) struct Admission {
    /// Of clients.
    pub(crate) connections: Connections,
    /// Of operators.
    pub(crate) admin_connections: Connections,
    /// What was turned away.
    pub(crate) counts: Arc<LimitCounts>,
    /// Requests that are held before they are refused.
    pub(crate) holds: Holds,
    /// Who speaks for others without being believed.
    pub(crate) unbelieved: Unbelieved,
    rates: Rates,
    requests: Shares,
}

/// What is used of one bound, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    /// Which bound.
    pub limit: Limit,
    /// What is taken of it.
    pub used: u64,
    /// What there is.
    pub most: u64,
}

/// A request that will take memory piece by piece for as long as it goes on; refused when too much is
/// taken. What others take is reserved when it is known.
pub(crate) fn memory(route: &Route, purse: &Purse) -> Result<(), Error> {
    match route {
        Route::StartUpload { .. } | Route::Blob { head: false, .. } => purse.may_begin(),
        _ => Ok(()),
    }
}

/// Whether a request carries a blob. Such are counted apart: who was let begin with an image is not
/// stopped in its middle by the questions that others ask.
#[must_use]
pub(crate) fn is_transfer(method: &Method, path: &str) -> bool {
    // By its last words: a repository may be called anything.
    let mut words = path.rsplit('/');
    match (method, words.next(), words.next(), words.next()) {
        (&Method::GET, Some(digest), Some("blobs"), _) => digest.starts_with("sha"),
        (&Method::PATCH | &Method::PUT, Some(_), Some("uploads"), Some("blobs")) => true,
        _ => false,
    }
}

impl Admission {
    /// A request from an address, before anything of it is looked at.
    pub(crate) fn address(
        &self,
        client: IpAddr,
        transfer: bool,
        limits: &Limits,
    ) -> Result<(), Error> {
        if transfer || limits.address_requests.per_second == 0 {
            return Ok(());
        }
        let who = Who::Address(Party::behind(client));
        let taken = self.rates.take(who, limits.address_requests, Instant::now());
        taken.map_err(|wait| self.too_often(Limit::AddressRate, wait))
    }

    /// One more request that is being answered for somebody, until its answer is sent.
    pub(crate) fn request(&self, party: Party) -> Result<Share, Error> {
        let share = self.requests.take_within(party, PARTY_REQUESTS_MAX, REQUESTS_MAX);
        share.ok_or_else(|| {
            self.counts.refuse(Limit::Requests);
            Error::TooMany("requests at once")
        })
    }

    /// The same once it is known who asks; for whoever shows nothing, by the address.
    pub(crate) fn caller(
        &self,
        caller: &Caller,
        transfer: bool,
        limits: &Limits,
    ) -> Result<(), Error> {
        let (rate, limit) = if transfer {
            (limits.transfers, Limit::Transfers)
        } else {
            (limits.user_requests, Limit::UserRate)
        };
        if rate.per_second == 0 {
            return Ok(());
        }
        let party = caller.party();
        let who = if transfer { Who::Transfers(party) } else { Who::User(party) };
        let taken = self.rates.take(who, rate, Instant::now());
        taken.map_err(|wait| self.too_often(limit, wait))
    }

    /// What is used of the bounds; of uploads, how many there are and the most of one party.
    pub(crate) fn state(
        &self,
        limits: &Limits,
        held: &Held,
        (uploads, largest_uploads): (usize, usize),
    ) -> Vec<Use> {
        let row =
            |limit, used: usize, most: usize| Use { limit, used: used as u64, most: most as u64 };
        let (connections, largest) = self.connections.state();
        vec![
            row(Limit::Connections, connections, limits.connections),
            row(Limit::AddressConnections, largest, limits.connections_per_address),
            row(Limit::Uploads, uploads, limits.uploads),
            row(Limit::UserUploads, largest_uploads, limits.uploads_per_user),
            Use { limit: Limit::BytesInFlight, used: held.bytes(), most: limits.bytes.most },
            Use { limit: Limit::UserBytesInFlight, used: held.largest(), most: limits.bytes.share },
            row(Limit::UserRate, self.rates.count(), crate::limits::RATES_MAX),
        ]
    }

    fn too_often(&self, limit: Limit, wait: Duration) -> Error {
        self.counts.refuse(limit);
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Error::TooOften { retry_after_seconds: whole.max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_a_blob_is_told_from_a_question() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let blob = format!("/v2/a/blobs/{digest}");
        let rows = [
            (Method::GET, blob.as_str(), true),
            (Method::HEAD, blob.as_str(), false),
            (Method::PATCH, "/v2/a/blobs/uploads/1", true),
            (Method::PUT, "/v2/a/blobs/uploads/1", true),
            (Method::POST, "/v2/a/blobs/uploads/", false),
            (Method::PUT, "/v2/a/manifests/v1", false),
            (Method::GET, "/v2/a/manifests/v1", false),
            (Method::GET, "/v2/", false),
            (Method::GET, "/v2/x/blobs/sha/tags/list", false),
            (Method::PUT, "/v2/a/blobs/uploads/x/manifests/v1", false),
        ];
        for (method, path, expected) in rows {
            assert_eq!(is_transfer(&method, path), expected, "{method} {path}");
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
        assert_eq!(admission.counts.refused(Limit::Requests), 2);
        assert!(ask(4).is_ok());
        drop(hanging);
        assert!(ask(2).is_ok());
        assert_eq!(admission.requests.total(), 0);
    }

    #[test]
    fn rates_are_kept_apart_and_say_how_long_to_wait() {
        let rate = crate::config::Rate { per_second: 1, burst: 2 };
        let limits = Limits { user_requests: rate, address_requests: rate, ..Limits::default() };
        let (admission, caller) = (Admission::default(), Caller::anonymous());
        let client = "10.0.0.1".parse().unwrap();
        let caller = caller.at(client);
        let ask = |transfer| admission.caller(&caller, transfer, &limits);
        assert!(ask(false).is_ok() && ask(false).is_ok());
        let refused = ask(false).unwrap_err();
        assert!(matches!(refused, Error::TooOften { retry_after_seconds: 1 }), "{refused}");
        assert!(ask(true).is_ok(), "transfers have a rate of their own");
        assert!(admission.address(client, false, &limits).is_ok(), "and so have addresses");
        assert!(admission.address(client, true, &limits).is_ok());
        assert_eq!(admission.counts.refused(Limit::UserRate), 1);
    }
}
