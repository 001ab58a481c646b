//! `[limits]`: the limits that an operator may change. Their defaults, and all fixed limits, are in
//! `limits.rs`.
//!
//! Invariant: `Limits` that exist were checked: none is zero where zero would refuse every client.

use std::time::Duration;

use serde::Deserialize;
use wharf_client::runtime::min_rate::MinRate;
use wharf_oci::MANIFEST_SIZE_BYTES_MAX;

use crate::limits;
use crate::runtime::memory_gauge::MemoryBounds;
use crate::settings::error::ConfigError;
use crate::settings::units::ByteSize;

/// The limits in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connections open at once.
    pub(crate) connections: usize,
    /// Of these, from one address.
    pub(crate) connections_per_address: usize,
    /// Requests at once on one HTTP/2 connection.
    pub(crate) http2_streams: u32,
    /// Longest head of a request, in bytes.
    pub(crate) header_bytes: usize,
    /// Most header lines of a request.
    pub(crate) headers: usize,
    /// Longest path with its query, in bytes.
    pub(crate) url_bytes: usize,
    /// How long a TLS handshake may take.
    pub(crate) handshake_timeout: Duration,
    /// How long the head of a request may take.
    pub(crate) headers_timeout: Duration,
    /// How long a connection may be without a request.
    pub(crate) idle_timeout: Duration,
    /// For how long a request is held at most before it is refused; zero refuses at once.
    pub(crate) hold: Duration,
    /// The least rate of a client, in both directions.
    pub(crate) min_rate: MinRate,
    /// Size of the largest accepted manifest, in bytes.
    pub(crate) manifest_bytes: u64,
    /// Size of the largest accepted blob, in bytes.
    pub(crate) blob_bytes: u64,
    /// Largest form at the token endpoint, in bytes.
    pub(crate) form_bytes: u64,
    /// Upload sessions at once.
    pub(crate) uploads: usize,
    /// Of these, by one caller.
    pub(crate) uploads_per_user: usize,
    /// Concurrent blob downloads for one caller.
    pub(crate) fills_per_user: usize,
    /// Bytes in memory on their way in or out, in all and of one caller.
    pub(crate) bytes: MemoryBounds,
    /// Requests of one caller.
    pub(crate) user_requests: Rate,
    /// Requests from one address.
    pub(crate) address_requests: Rate,
    /// Transfers of blobs of one caller.
    pub(crate) transfers: Rate,
}

/// How often an operation is allowed; without a limit when `per_second` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The rate in the long run.
    pub(crate) per_second: u32,
    /// The number at once, after a pause.
    pub(crate) burst: u32,
}

/// What clients may use. A client past a limit is answered 429 `TOOMANYREQUESTS` with `Retry-After`, or
/// as its key says. The refusal is counted in `wharfd_limit_refusals_total{limit}` (the label is in
/// parentheses below) and disturbs no other client. `wharfd_limit_used{limit}` and
/// `wharfd_limit_most{limit}` show how much of some limits is taken. The admin address has connections of
/// its own, so health stays green. One party (a proven name, else an address) gets a quarter of what all
/// share: [bounds](limits.md).
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsFile {
    /// Connections open at once. Past it the longest idle connection of the address with most connections
    /// ends for an address with fewer, `trusted_proxies` last (`displaced`). With no idle connection, the
    /// new one is answered 429 and closed (`connections`). A connection with an answer under way is never
    /// ended for another.
    connections: Option<usize>,
    /// Connections of one address; a quarter of `connections` when not given. Past it: 429 and closed
    /// (`address_connections`). An IPv6 network of 64 bits is one address; `trusted_proxies` have no share.
    connections_per_address: Option<usize>,
    /// Requests at once on one HTTP/2 connection. Announced to the client; more are refused by the protocol.
    http2_streams: Option<u32>,
    /// Longest head of a request. Past it: 431 (`headers`).
    header_bytes: Option<ByteSize>,
    /// Most header lines of a request. Past it: 431 (`headers`).
    headers: Option<usize>,
    /// Longest path with its query. Past it: 414 (`url`).
    url_bytes: Option<ByteSize>,
    /// Time for a TLS handshake. Past it the connection is closed (`handshake_time`).
    handshake_timeout_seconds: Option<u64>,
    /// Time for the head of a request, from the begin of a connection or from the first byte of the head.
    /// Past it the connection is closed (`headers_time`).
    headers_timeout_seconds: Option<u64>,
    /// Time that a connection may be without a request. Past it the connection is closed (`idle_time`).
    idle_timeout_seconds: Option<u64>,
    /// Longest time that a request is held before it is refused; less for hasty clients ([what clients
    /// do](../explanation/clients.md)). 0 refuses at once. `--hold` wins. Counted in `wharfd_holds_total`.
    hold_seconds: Option<u64>,
    /// Least rate of a client in bytes a second, for bodies that it sends and that it receives; 0 is no
    /// rate. Only the wait for the client counts.
    min_bytes_per_second: Option<ByteSize>,
    /// A client that is this far behind `min_bytes_per_second` is answered 408 when it sends (`slow_sender`;
    /// the upload stays), and cut off when it receives (`slow_receiver`).
    slow_timeout_seconds: Option<u64>,
    /// Largest manifest. Past it: 413 (`body_size`).
    manifest_bytes: Option<ByteSize>,
    /// Largest blob. Past it: 413 (`body_size`).
    blob_bytes: Option<ByteSize>,
    /// Largest form at the token endpoint. Past it: 413 (`body_size`).
    form_bytes: Option<ByteSize>,
    /// Upload sessions, open or at rest, and blobs in one request. Past it the longest idle session of the
    /// party with most sessions is given up for a party with fewer, a session at rest without an owner
    /// first (`displaced_uploads`); with no idle session 429 (`uploads`). A session expires an hour after
    /// its last byte, one without a byte after 5 minutes. Sessions idle for a minute hold a quarter of
    /// `store_limit` at most; past it the longest idle of the party with most bytes is given up.
    uploads: Option<usize>,
    /// Upload sessions of one caller, or of one address for callers without a login; a quarter of `uploads`
    /// when not given. Past it: 429 (`user_uploads`).
    uploads_per_user: Option<usize>,
    /// Downloads from upstreams for one caller or address, of 256 in all. Further ones pass by the store and
    /// are not kept, up to 64 more; then 429 (bound `relayed downloads`). Joining a download costs nothing.
    fills_per_user: Option<usize>,
    /// Bytes in memory for clients: bodies that are held whole, and pieces on their way. Past it: 429 for
    /// uploads and downloads that begin, and for manifests, lists, tokens and answers of upstreams without
    /// room (`bytes_in_flight`). An announced body is reserved before it is read; a body that several
    /// clients share counts once.
    bytes_in_flight: Option<ByteSize>,
    /// The same for one caller or address; a quarter when not given (`user_bytes_in_flight`). Downloads and
    /// uploads past it begin while no more than half of all is taken. One connection has half of this
    /// (`connection_bytes_in_flight`).
    bytes_in_flight_per_user: Option<ByteSize>,
    /// Requests a second of one caller; 0 is no rate. A request past it waits for its turn while requests
    /// are held; then 429 (`user_rate`).
    requests_per_second: Option<u32>,
    /// Requests of one caller at once after a pause; ten seconds' worth when not given.
    requests_burst: Option<u32>,
    /// Requests a second from one address, before any login; 0 is no rate. Past it: as above
    /// (`address_rate`).
    address_requests_per_second: Option<u32>,
    /// Requests from one address at once after a pause; ten seconds' worth when not given.
    address_requests_burst: Option<u32>,
    /// Requests a second of one caller for the bytes of blobs, which the two rates above leave alone; 0 is
    /// no rate. Past it a download is answered as above, and bytes of an upload wait for as long as it takes
    /// (`transfers`).
    transfers_per_second: Option<u32>,
    /// Such requests at once after a pause; ten seconds' worth when not given.
    transfers_burst: Option<u32>,
}

impl LimitsFile {
    /// Applies the command line's setting.
    pub(crate) fn holding(self, seconds: Option<u64>) -> Self {
        Self { hold_seconds: seconds.or(self.hold_seconds), ..self }
    }

    /// Checks every number.
    pub(crate) fn check(self) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        self.counts(&mut limits)?;
        self.sizes(&mut limits)?;
        self.times(&mut limits)?;
        limits.user_requests = Rate::new(self.requests_per_second, self.requests_burst);
        limits.address_requests =
            Rate::new(self.address_requests_per_second, self.address_requests_burst);
        limits.transfers = Rate::new(self.transfers_per_second, self.transfers_burst);
        Ok(limits)
    }

    fn counts(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        set(&mut limits.connections, "connections", self.connections, 1..=65_536)?;
        set(&mut limits.uploads, "uploads", self.uploads, 1..=limits::UPLOADS_MAX)?;
        limits.connections_per_address = share(limits.connections);
        limits.uploads_per_user = share(limits.uploads);
        let each = &mut limits.connections_per_address;
        set(each, "connections_per_address", self.connections_per_address, 1..=65_536)?;
        set(&mut limits.uploads_per_user, "uploads_per_user", self.uploads_per_user, 1..=65_536)?;
        let fills = &mut limits.fills_per_user;
        set(fills, "fills_per_user", self.fills_per_user, 1..=limits::FILLS_MAX)?;
        set(&mut limits.http2_streams, "http2_streams", self.http2_streams, 1..=1_000)?;
        set(&mut limits.headers, "headers", self.headers, 8..=1_000)
    }

    fn sizes(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        let size = |given: Option<ByteSize>| given.map(|size| size.0);
        let short =
            |given: Option<ByteSize>| given.map(|size| usize::try_from(size.0).unwrap_or(0));
        let manifest_range = 1_024..=MANIFEST_SIZE_BYTES_MAX;
        set(
            &mut limits.manifest_bytes,
            "manifest_bytes",
            size(self.manifest_bytes),
            manifest_range,
        )?;
        let blob_range = 1..=limits::BLOB_BYTES_MAX;
        set(&mut limits.blob_bytes, "blob_bytes", size(self.blob_bytes), blob_range)?;
        set(&mut limits.form_bytes, "form_bytes", size(self.form_bytes), 1_024..=1_048_576)?;
        let flight = 1_048_576..=u64::MAX;
        let (all, each) = (size(self.bytes_in_flight), size(self.bytes_in_flight_per_user));
        set(&mut limits.bytes.most, "bytes_in_flight", all, flight.clone())?;
        limits.bytes.share = limits.bytes.most / limits::SHARES as u64;
        let range = limits.bytes.share.min(*flight.start())..=u64::MAX;
        set(&mut limits.bytes.share, "bytes_in_flight_per_user", each, range)?;
        let rate = &mut limits.min_rate.bytes_per_second;
        set(rate, "min_bytes_per_second", size(self.min_bytes_per_second), 0..=u64::MAX)?;
        let head_range = 8_192..=1_048_576;
        set(&mut limits.header_bytes, "header_bytes", short(self.header_bytes), head_range)?;
        set(&mut limits.url_bytes, "url_bytes", short(self.url_bytes), 1_024..=65_534)
    }

    fn times(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        let mut hold = limits.hold.as_secs();
        set(&mut hold, "hold_seconds", self.hold_seconds, 0..=limits::HOLD_SECONDS_MAX)?;
        limits.hold = Duration::from_secs(hold);
        let range = || Duration::from_secs(1)..=Duration::from_hours(24);
        for (place, key, given) in [
            (
                &mut limits.handshake_timeout,
                "handshake_timeout_seconds",
                self.handshake_timeout_seconds,
            ),
            (&mut limits.headers_timeout, "headers_timeout_seconds", self.headers_timeout_seconds),
            (&mut limits.idle_timeout, "idle_timeout_seconds", self.idle_timeout_seconds),
            (&mut limits.min_rate.window, "slow_timeout_seconds", self.slow_timeout_seconds),
        ] {
            let given = given.map(Duration::from_secs);
            *place = given.unwrap_or(*place);
            if !range().contains(place) {
                let reason = "give a number of seconds, at least 1 and at most a day".to_owned();
                return Err(ConfigError::Limit { key, reason });
            }
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            connections_per_address: share(limits::CONNECTIONS_MAX),
            http2_streams: limits::HTTP2_STREAMS_MAX,
            header_bytes: limits::CLIENT_READ_BYTES,
            headers: limits::HEADERS_MAX,
            url_bytes: limits::URL_BYTES_MAX,
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            headers_timeout: limits::HEADERS_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            hold: limits::HOLD_MAX,
            min_rate: MinRate {
                window: limits::STALL_TIMEOUT,
                bytes_per_second: limits::CLIENT_BYTES_PER_SECOND_MIN,
                silence: None,
            },
            manifest_bytes: MANIFEST_SIZE_BYTES_MAX,
            blob_bytes: limits::BLOB_BYTES_MAX,
            form_bytes: limits::FORM_BYTES_MAX,
            uploads: limits::UPLOADS_MAX,
            uploads_per_user: share(limits::UPLOADS_MAX),
            fills_per_user: share(limits::FILLS_MAX),
            bytes: MemoryBounds {
                most: limits::BYTES_IN_FLIGHT_MAX,
                share: limits::BYTES_IN_FLIGHT_MAX / limits::SHARES as u64,
            },
            user_requests: Rate::new(None, None),
            address_requests: Rate::new(None, None),
            transfers: Rate::new(None, None),
        }
    }
}

impl Rate {
    /// The default burst lasts ten seconds.
    fn new(per_second: Option<u32>, burst: Option<u32>) -> Self {
        let per_second = per_second.unwrap_or(0);
        let burst = burst.unwrap_or(per_second.saturating_mul(limits::BURST_SECONDS)).max(1);
        Self { per_second, burst }
    }
}

/// The default share of one party.
const fn share(whole: usize) -> usize {
    whole.div_ceil(limits::SHARES)
}

/// Replaces the default with a configured value that is within the range.
fn set<T: Copy + PartialOrd + std::fmt::Display>(
    place: &mut T,
    key: &'static str,
    given: Option<T>,
    range: std::ops::RangeInclusive<T>,
) -> Result<(), ConfigError> {
    *place = given.unwrap_or(*place);
    if range.contains(place) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(ConfigError::Limit { key, reason: format!("give a number from {least} to {most}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Limits, String> {
        let file: LimitsFile = toml::from_str(text).map_err(|error| error.to_string())?;
        file.check().map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_within_their_ranges_and_no_rate_is_asked() {
        let limits = Limits::default();
        assert_eq!(limits, read("").unwrap());
        for rate in [limits.user_requests, limits.address_requests, limits.transfers] {
            assert_eq!(rate.per_second, 0);
        }
    }

    #[test]
    fn what_is_written_counts_and_a_share_is_a_quarter_unless_it_is_written() {
        let limits = read(
            "connections = 30\nuploads = 2\nslow_timeout_seconds = 1\nmin_bytes_per_second = \"1KiB\"\n\
             requests_per_second = 5\ntransfers_per_second = 2\ntransfers_burst = 7\n",
        )
        .unwrap();
        assert_eq!((limits.connections, limits.connections_per_address), (30, 8));
        assert_eq!((limits.uploads, limits.uploads_per_user), (2, 1));
        let given = read("uploads = 5\nuploads_per_user = 5\nconnections_per_address = 9").unwrap();
        assert_eq!((given.uploads_per_user, given.connections_per_address), (5, 9));
        let bytes = read("bytes_in_flight = \"2MiB\"").unwrap().bytes;
        assert_eq!(bytes, MemoryBounds { most: 2 << 20, share: 1 << 19 });
        let bytes = read("bytes_in_flight_per_user = \"2MiB\"").unwrap().bytes;
        assert_eq!(bytes, MemoryBounds { share: 2 << 20, ..Limits::default().bytes });
        assert_eq!((limits.min_rate.window.as_secs(), limits.min_rate.bytes_per_second), (1, 1024));
        assert_eq!(
            (limits.hold.as_secs(), read("hold_seconds = 0").unwrap().hold.as_secs()),
            (45, 0)
        );
        assert_eq!(limits.user_requests, Rate { per_second: 5, burst: 50 });
        assert_eq!(limits.transfers, Rate { per_second: 2, burst: 7 });
    }

    #[test]
    fn what_would_shut_everyone_out_is_refused_by_its_key() {
        for text in [
            "connections = 0",
            "hold_seconds = 601",
            "headers_timeout_seconds = 0",
            "uploads_per_user = 0",
            "fills_per_user = 0",
            "header_bytes = \"1KiB\"",
            "manifest_bytes = \"5MiB\"",
            "bytes_in_flight = 5",
            "bytes_in_flight_per_user = 5",
            "http2_streams = 100000",
        ] {
            let key = text.split(' ').next().unwrap();
            let said = read(text).unwrap_err();
            assert!(said.contains(key) && said.contains("give a number"), "{said}");
        }
        assert!(read("connection = 5").unwrap_err().contains("connection"));
    }
}
