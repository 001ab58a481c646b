//! Refused and cut off clients, by the bound.
//!
//! Invariant: the labels are the words of [`Limit`], and never a client's text.

use std::sync::atomic::{AtomicU64, Ordering};

use wharf_client::MemoryOwner;
use wharf_oci::ParseError;

use crate::Error;
use crate::bound::Bound;

/// A bound that refuses or cuts off clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Connections in all.
    Connections,
    /// Connections of one address.
    AddressConnections,
    /// The time for a TLS handshake.
    Handshake,
    /// The time for the head of a request.
    HeadersTime,
    /// The time without a request.
    IdleTime,
    /// The size or number of header lines.
    Headers,
    /// The length of a path.
    Url,
    /// The size of a manifest, a blob or a form.
    BodySize,
    /// The rate of a sending client.
    SlowSender,
    /// The rate of a receiving client.
    SlowReceiver,
    /// Upload sessions in all.
    Uploads,
    /// Upload sessions of one caller.
    UserUploads,
    /// Bytes in memory.
    BytesInFlight,
    /// Bytes in memory of one caller.
    UserBytesInFlight,
    /// Bytes in memory that wait on one connection.
    ConnectionBytesInFlight,
    /// Requests of one caller.
    UserRate,
    /// Requests from one address.
    AddressRate,
    /// Transfers of one caller.
    Transfers,
    /// Requests of one caller at once.
    Requests,
    /// Logins that failed.
    Logins,
    /// Bytes read from a client after its last answer.
    Linger,
    /// Idle connections displaced by other clients' connections.
    Displaced,
    /// The same of upload sessions.
    DisplacedUploads,
}

/// Every word of [`Limit`], in the order of its variants.
const WORDS: [&str; 23] = [
    "connections",
    "address_connections",
    "handshake_time",
    "headers_time",
    "idle_time",
    "headers",
    "url",
    "body_size",
    "slow_sender",
    "slow_receiver",
    "uploads",
    "user_uploads",
    "bytes_in_flight",
    "user_bytes_in_flight",
    "connection_bytes_in_flight",
    "user_rate",
    "address_rate",
    "transfers",
    "requests",
    "logins",
    "linger",
    "displaced",
    "displaced_uploads",
];

/// The rates with a queue.
const RATES: [Limit; 3] = [Limit::UserRate, Limit::AddressRate, Limit::Transfers];

/// Counters of one process.
#[derive(Default)]
pub(crate) struct LimitCounts {
    refused: [AtomicU64; WORDS.len()],
    waited: [AtomicU64; RATES.len()],
}

impl Limit {
    /// The bound behind an error's answer; `None` when there is none, or when the refusing
    /// component has counted it.
    #[must_use]
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::UrlTooLong { .. } => Some(Self::Url),
            Error::TooManyHeaders { .. } => Some(Self::Headers),
            Error::BodyTooSlow => Some(Self::SlowSender),
            Error::BlobTooLarge { .. } | Error::Parse(ParseError::ManifestTooLarge { .. }) => {
                Some(Self::BodySize)
            }
            Error::TooManyBytes(MemoryOwner::All) => Some(Self::BytesInFlight),
            Error::TooManyBytes(MemoryOwner::Party) => Some(Self::UserBytesInFlight),
            Error::TooManyBytes(MemoryOwner::Connection) => Some(Self::ConnectionBytesInFlight),
            Error::TooManyLogins { .. } => Some(Self::Logins),
            // Every try of a held request finds no room, and only the last one is counted.
            Error::TooMany(Bound::Uploads) => Some(Self::Uploads),
            Error::TooMany(Bound::UserUploads) => Some(Self::UserUploads),
            Error::TooMany(Bound::Requests) => Some(Self::Requests),
            _ => None,
        }
    }

    /// The word, as metrics have it.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        WORDS.get(self as usize).copied().unwrap_or("other")
    }
}

impl LimitCounts {
    /// Counts a client refused at a bound.
    pub(crate) fn refuse(&self, limit: Limit) {
        if let Some(counter) = self.refused.get(limit as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a request that queued at a rate, and was admitted.
    pub(crate) fn waited(&self, limit: Limit) {
        let of_rate = RATES.iter().zip(&self.waited).find(|(rate, _)| **rate == limit);
        if let Some((_, counter)) = of_rate {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each rate with the number of its queued requests.
    pub(crate) fn waits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.waited.iter().map(|counter| counter.load(Ordering::Relaxed));
        RATES.iter().map(|rate| rate.as_str()).zip(counts)
    }

    /// Each bound with its number.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        WORDS
            .iter()
            .copied()
            .zip(self.refused.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }

    /// The number of one.
    #[cfg(test)]
    pub(crate) fn refused(&self, limit: Limit) -> u64 {
        self.refused[limit as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_has_its_own_word_and_number() {
        let counts = LimitCounts::default();
        counts.refuse(Limit::Transfers);
        counts.refuse(Limit::Url);
        counts.refuse(Limit::Url);
        let rows: Vec<_> = counts.rows().filter(|(_, count)| *count > 0).collect();
        assert_eq!(rows, [("url", 2), ("transfers", 1)]);
        assert_eq!(Limit::DisplacedUploads as usize + 1, WORDS.len());
    }
}
