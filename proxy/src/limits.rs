//! Every bound of the proxy, in one place: sizes, counts, times; those of its requests to upstreams are in
//! `limits.rs` of `wharf-client`. A request refused at a bound
//! counts as `wharfd_failures_total{fault="load"}`. `[limits]` lets an operator move some of them
//! (`settings/limits.rs`); their defaults are here.

use std::time::Duration;

pub use wharf_client::limits::{
    BLOB_BYTES_MAX, CHUNK_BYTES, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CONNECT_TIMEOUT, FLIGHTS_MAX,
    LIST_PAGES_MAX, PERMIT_TIME, QUOTA_WAIT_MAX, RETRY_AFTER_MAX, RETRY_AFTER_SECONDS, RETRY_PAUSE,
    RETRY_PAUSE_MAX, SHARES,
};

/// Connections of clients open at once. The next connection displaces an idle one of the party with
/// the most connections, or is answered 429 and closed. One address without trust as a proxy has a
/// share.
pub const CONNECTIONS_MAX: usize = 2_048;
/// Open files that the process asks the system for: connections of clients and to upstreams, and
/// the store.
pub const OPEN_FILES_WANTED: u64 = 16_384;
/// Connections past the limit that are answered at once; more than these are closed without an
/// answer.
pub const REFUSALS_MAX: usize = 64;
/// Of these refusals, those for one address.
pub const PARTY_REFUSALS_MAX: usize = REFUSALS_MAX / SHARES;
/// How long such a refusal may take, the handshake included.
pub const REFUSAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Connections to the admin address at once; past it as for clients.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Of these connections, those from one address.
pub const PARTY_ADMIN_CONNECTIONS_MAX: usize = ADMIN_CONNECTIONS_MAX / SHARES;
/// Send buffer of the kernel for one client on this machine, in bytes. Left to itself the kernel
/// takes megabytes, and the CPU's cache drops them before the client reads them: up to twice the
/// time per byte. Clients further away keep the kernel's own choice for their distance.
pub const LOOPBACK_SEND_BYTES: usize = 512 * 1024;
/// Unsent bytes that the kernel buffers for one client, beyond those already on their way: a slow
/// client takes less memory, and the proxy notices its slowness sooner.
pub const UNSENT_BYTES_MAX: u32 = 256 * 1024;
/// Bytes read from one client at a time; also the longest head of a request. Left to itself a
/// buffer grows to 400 KiB, and every piece of a body keeps one of that size.
pub const CLIENT_READ_BYTES: usize = 32 * 1024;
/// Header lines of a request.
pub const HEADERS_MAX: usize = 100;
/// Longest path with its query, in bytes.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the head of a request may take to arrive, from the begin of a connection or from its first
/// byte.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may be without a request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a connection may take to end after the server asked it to.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests at once on one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 128;
/// Requests on one HTTP/2 connection that the client reset before the server looked at them; with
/// more of them the connection is closed (rapid reset, CVE-2023-44487).
pub const HTTP2_RESETS_PENDING_MAX: usize = 20;
/// Requests on one HTTP/2 connection that violate the protocol; with more of them the connection is
/// closed.
pub const HTTP2_RESETS_LOCAL_MAX: usize = 256;
/// Receive window of one HTTP/2 connection, in bytes: for one request, and in all. No memory budget
/// counts these bytes, and every connection may fill its window: a thousand connections take 128
/// MiB.
pub const HTTP2_CLIENT_WINDOW_BYTES: u32 = 128 * 1024;
/// How often the server pings a silent HTTP/2 connection.
pub const HTTP2_PING_PERIOD: Duration = Duration::from_secs(30);
/// How long the answer to such a ping may take.
pub const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest piece of a body passed to an HTTP/2 connection at once, in bytes. With the head of its
/// frame it fills a TLS record exactly: one byte more, and each frame would cost a second, tiny
/// record.
pub const HTTP2_PIECE_BYTES: usize = 16 * 1024 - 9;
/// The least rate of a client that sends or takes a body, in bytes per second, as a mean over
/// `STALL_TIMEOUT`.
pub const CLIENT_BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// Largest form at the token endpoint, in bytes.
pub const FORM_BYTES_MAX: u64 = 64 * 1024;
/// Bytes in memory on their way in or out, beside the store's shared memory: bodies held whole, and
/// segments that only readers still keep. Past this bound the proxy answers 429 to whole bodies and
/// to new uploads and downloads. One party has a share for whole bodies; past its share a party
/// also begins no download while more than half of the bound is taken.
pub const BYTES_IN_FLIGHT_MAX: u64 = 96 * 1024 * 1024;
/// One connection has this part of its party's bytes in flight: one half.
pub const CONNECTION_BYTES_PART: u64 = 2;
/// Past this number of bytes in flight, bodies read ahead a segment instead of a batch.
pub const BYTES_IN_FLIGHT_SHORT: u64 = 24 * 1024 * 1024;
/// Answers up to this size are not counted, in bytes: their connection takes more.
pub const SMALL_BODY_BYTES: u64 = 1024;
/// Manifests from this size on are in memory once, for all answers that wait with them, in bytes.
pub const SHARED_MANIFEST_BYTES: usize = 64 * 1024;
/// The most that one manifest counts during its parsing, in multiples of its length, so that the
/// largest manifest still fits into a connection's part. A manifest of mostly descriptors takes
/// more: four lengths, or ten with the shortest descriptors.
pub const MANIFEST_COUNTED_LENGTHS_MAX: u64 = 3;
/// Manifests read from the store at once while their sizes are unknown.
pub const MANIFEST_READS_MAX: usize = 4;
/// Documents up to this size are parsed and hashed on the async thread, in bytes; larger ones
/// become a blocking job.
pub const READ_HERE_BYTES: usize = 64 * 1024;
/// Requests in progress at once: each takes some 20 KiB.
pub const REQUESTS_MAX: usize = 8_192;
/// Of these requests, those of one party.
pub const PARTY_REQUESTS_MAX: usize = REQUESTS_MAX / SHARES;
/// For how long a request is held before its refusal, for clients known to wait for an answer to
/// begin: all of these waited for 50 s when measured (docs/explanation/clients.md). An operator may
/// move it.
pub const HOLD_MAX: Duration = Duration::from_secs(45);
/// The most seconds that an operator may configure for it.
pub const HOLD_SECONDS_MAX: u64 = 600;
/// The same for containerd, which hangs up after 30 s, and for unknown clients.
pub const HOLD_HASTY: Duration = Duration::from_secs(25);
/// The same before the first byte of an upload's body is read: the client of an upload has no
/// second try.
pub const HOLD_UPLOAD_MAX: Duration = Duration::from_mins(3);
/// The first pause before the next try of a held request, unless an upstream names one; it doubles.
pub const HOLD_PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
pub const HOLD_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How many tries in a row a held request skips for want of memory, as long as no memory was given
/// back.
pub const HOLD_PASSED_OVER_MAX: u32 = 4;
/// `Retry-After` for a request held in vain, in seconds: the client's next request is held again.
pub const HOLD_RETRY_SECONDS: u64 = 1;
/// How long a stopping server may still try a held request.
pub const HOLD_DRAIN_TIME: Duration = Duration::from_secs(1);
/// The same for a request not held before.
pub const HOLD_DRAIN_FIRST_TIME: Duration = Duration::from_secs(15);
/// Requests held at once, each with some 30 KiB; the next one is refused at once.
pub const HELD_MAX: usize = 2_048;
/// Of these held requests, those of one party.
pub const PARTY_HELD_MAX: usize = HELD_MAX / SHARES;
/// For how long the result of an upload or of a manifest put is remembered when its client has not
/// received it: the same request then finds the result.
pub const RECENT_COMMITS_TIME: Duration = Duration::from_mins(2);
/// Such results remembered.
pub const RECENT_COMMITS_MAX: usize = 4_096;
/// Manifest puts at once.
pub const PUTS_MAX: usize = 1_024;
/// Callers and addresses with a rate bucket of their own; those beyond share one.
pub const RATES_MAX: usize = 16_384;
/// Requests over a rate that queue, in all; the next one is answered 429. Each takes some 20 KiB.
pub const RATE_WAITING_MAX: usize = 1_024;
/// Of these queued requests, those of one party.
pub const PARTY_RATE_WAITING_MAX: usize = RATE_WAITING_MAX / SHARES;
/// How long a burst may last without a configured size, in seconds at the rate.
pub const BURST_SECONDS: u32 = 10;
/// How often the files of the certificate are checked for changes.
pub const TLS_FILES_PERIOD: Duration = Duration::from_secs(2);
/// Largest such file, in bytes.
pub const TLS_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Certificates in such a file.
pub const TLS_CERTIFICATES_MAX: usize = 1_024;
/// Bytes encrypted ahead for one connection: eight records, sent together.
pub const TLS_SEND_BYTES: usize = 128 * 1024;
/// Longest subject of a client's certificate in the log.
pub const SUBJECT_CHARS_MAX: usize = 256;
/// How long transfers may go on after SIGTERM, unless the configuration says otherwise.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of an unread body that are read and thrown away before the answer, so that its connection
/// can go on. With more, the answer goes out at once and the connection ends in stages.
pub const REFUSED_BODY_BYTES_MAX: u64 = 256 * 1024;
/// How long this reading may take.
pub const REFUSED_BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the server reads from a client that is still sending after its last answer, so that the
/// client sees the answer.
pub const LINGER_TIME: Duration = Duration::from_secs(30);
/// The same while the client sends nothing and does not close.
pub const LINGER_QUIET_TIME: Duration = Duration::from_secs(5);
/// How many bytes it reads then.
pub const LINGER_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Blobs fetched from upstreams at once; the next fetch is answered 429.
pub const FILLS_MAX: usize = 256;
/// Bodies relayed past the store at once. These are blobs that the store refuses or that exceed
/// their caller's share of downloads, of which the next one is answered 429, and parts far ahead of
/// a download, which then wait for the download.
pub const BYPASSES_MAX: usize = 256;
/// How long the head of an answer waits for a blob's first bytes: a failure before them has a
/// status of its own.
pub const ARRIVAL_WAIT: Duration = Duration::from_millis(500);
/// How often readers see bytes of an unfilled segment, while no more arrive.
pub const SHOW_PERIOD: Duration = Duration::from_millis(200);
/// Upload sessions open or suspended at once. The next session displaces the longest idle one of
/// the party with the most sessions, or is answered 429. One caller has a share.
pub const UPLOADS_MAX: usize = 1_024;
/// How long an idle session is kept, also when it is suspended in the store.
pub const UPLOAD_IDLE_MAX: Duration = Duration::from_hours(1);
/// The same for a session without a byte: opening one again costs nothing.
pub const UPLOAD_EMPTY_IDLE_MAX: Duration = Duration::from_mins(5);
/// Idle sessions have at most this part of the store's limit: their bytes are not evicted for others.
pub const IDLE_UPLOAD_BYTES_SHARE: u64 = 4;
/// A session left for less than this is not idle yet: its client may be between two pieces.
pub const UPLOAD_RECENT: Duration = Duration::from_mins(1);
/// How long a stopping server waits, after its transfers, for work that others depend on: the end
/// of an upload, a manifest and its lock, a deletion.
pub const FINISHING_DEADLINE: Duration = Duration::from_secs(10);
/// How long a stopping server waits for its last answers to leave, and for sending clients to see
/// them.
pub const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a stopping server waits for requests to release their sessions, so that these can be
/// suspended in the store.
pub const SUSPEND_DEADLINE: Duration = Duration::from_secs(10);
/// How long the suspension of a session waits for the upstream's answer to its cancellation.
pub const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of all blobs in the outbox, or half of the store's limit when that is less; the next blob
/// is answered 507. The store's `DELIVERIES_MAX` bounds their number; past that, 429.
pub const PENDING_BYTES_MAX: u64 = 256 * 1024 * 1024 * 1024;
/// One party has a share of both, or more while half of all is free. A blob refused by its upstream
/// makes room for others this long after a client has heard of the refusal.
pub const REFUSED_TOLD_TIME: Duration = Duration::from_mins(15);
/// The same when no client asks for the blob.
pub const REFUSED_TIME: Duration = Duration::from_hours(1);
/// Blobs delivered to one upstream at once.
pub const DELIVERY_WORKERS_MAX: usize = 4;
/// Further deliveries, one for each party without a running delivery to that upstream.
pub const DELIVERY_WORKERS_SPARE: usize = 4;
/// The outbox's first pause for an upstream after a failed delivery; it doubles.
pub const DELIVERY_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause, unless the upstream asks for more.
pub const DELIVERY_PAUSE_MAX: Duration = Duration::from_mins(1);
/// Refused blobs that `wharfd push status` lists one by one.
pub const REFUSALS_SHOWN_MAX: usize = 1_000;
/// How many characters of the reason are kept with a failed delivery.
pub const TROUBLE_CHARS_MAX: usize = 500;
/// Manifests that wait for their blobs at once; the next one is answered 429.
pub const BARRIER_WAITERS_MAX: usize = 2_048;
/// Of these manifests, those of one party.
pub const PARTY_BARRIER_WAITERS_MAX: usize = BARRIER_WAITERS_MAX / SHARES;
/// How long a manifest waits for its blobs while a transfer makes progress.
pub const BARRIER_WAIT_MAX: Duration = Duration::from_mins(10);
/// How long it waits without progress; longer than one chunk may take.
pub const BARRIER_STALL_MAX: Duration = Duration::from_mins(3);
/// How long it waits while the upstream fails.
pub const BARRIER_OUTAGE_MAX: Duration = Duration::from_secs(15);
/// The longest pause of deliveries after a failure while a manifest waits for them.
pub const BARRIER_HASTE: Duration = Duration::from_secs(2);
/// `Retry-After` for the client of such a manifest, unless the upstream asks for more, in seconds.
pub const BARRIER_RETRY_SECONDS: u64 = 5;

/// Connections of `wharfd store` and `wharfd push` to a running server at once; the next one is
/// refused.
pub const CONTROL_CONNECTIONS_MAX: usize = 8;
/// How many of these connections wait to be accepted or refused; past it, connecting fails.
pub const CONTROL_BACKLOG: u32 = 128;
/// Longest line of a request on such a connection, in bytes: a command with a path.
pub const CONTROL_REQUEST_BYTES_MAX: u64 = 16 * 1024;
/// Longest line of a reply, in bytes: a result with every reported damage.
pub const CONTROL_REPLY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How long either side waits for the first line of the other.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the progress of a command is reported.
pub const PROGRESS_PERIOD: Duration = Duration::from_millis(100);

/// The longest time between two reports of the scrub in the background.
pub const SCRUB_SLICE: Duration = Duration::from_mins(1);
/// Its pause between the end of one pass and the begin of the next.
pub const SCRUB_PAUSE: Duration = Duration::from_hours(1);
/// Damages in the scrub's memory, so that each is logged once.
pub const SCRUB_REMEMBERED_MAX: usize = 10_000;

/// Entries of a listing when the client names no number, and the most it gets.
pub const PAGE_ENTRIES_MAX: usize = 1_000;
/// Largest page of a list of referrers, in bytes; a `Link` leads to the rest. One entry has
/// `REFERRER_BYTES_MAX` of `wharf-oci` at most.
pub const REFERRERS_PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of such a page outside its entries: the index around them.
pub const REFERRERS_INDEX_BYTES: usize = 1024;
/// Referrers in the store but not in the upstream's list that one page asks the upstream about, one
/// by one.
pub const REFERRERS_ASKED_MAX: usize = 16;
/// Query parameters read from a request.
pub const QUERY_PARAMETERS_MAX: usize = 32;
/// Tags that one manifest PUT may set (`?tag=`).
pub const TAGS_PER_PUT_MAX: usize = 16;

/// Recommended length of an upload's chunks, in bytes: each chunk is a request here, and a broken
/// upload is safe up to the end of its last chunk. Shorter chunks are accepted.
pub const UPLOAD_CHUNK_BYTES: u64 = 1024 * 1024;
/// Entries read from `Forwarded` or `X-Forwarded-For`, from the right.
pub const FORWARDED_HOPS_MAX: usize = 16;
/// Untrusted peers with such headers that the log names.
pub const UNTRUSTED_FORWARDERS_MAX: usize = 16;
/// Counters of changes, shared by all repositories.
pub const GENERATIONS: usize = 256;
/// Change locks on tags, manifests and blobs, held or waited for at once; the next change is
/// answered 429.
pub const CHANGE_LOCKS_MAX: usize = 4_096;
/// Of these locks, those of one party.
pub const PARTY_CHANGE_LOCKS_MAX: usize = CHANGE_LOCKS_MAX / SHARES;
/// How long a change waits for its locks.
pub const CHANGE_LOCK_WAIT_MAX: Duration = Duration::from_mins(1);
/// How long an exclusive request for the lock of a manifest or a blob keeps out later shared ones;
/// after that time they go before it.
pub const CHANGE_LOCK_QUEUE_MAX: Duration = Duration::from_secs(2);
/// Tags of a repository that an upstream is asked about before a manifest of it is deleted, where
/// some tags are write-once; with more tags the manifest is not deleted.
pub const TAGS_ASKED_MAX: usize = 1_000;
/// Manifests that reach the content of a deletion, directly or through others, where some tags are
/// write-once; with more of them the content is not deleted.
pub const REACHING_MAX: usize = 10_000;
/// Bytes of these manifests read for that check.
pub const REACHING_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Overrides of write-once tags that are granted and not yet used.
pub const OVERRIDES_MAX: usize = 1_000;
/// The longest life of such an override.
pub const OVERRIDE_TIME_MAX: Duration = Duration::from_hours(24);
/// Pieces of one manifest that an upstream is asked about at once.
pub const PART_QUESTIONS_MAX: usize = 16;
/// Missing pieces of a manifest named in one answer; past it the search stops.
pub const MISSING_NAMED_MAX: usize = 100;

/// Bytes handed to a blocking thread at once, in one direction of one transfer; a segment while
/// writers wait for a slot.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Write slots: blobs that arrive at once with content in memory and not yet on disk; the next ones
/// wait for a slot. With `TURN_BYTES` for each, they fit into the store's memory for segments.
pub const WRITERS_MAX: usize = 16;
/// Bytes that a writer takes before it passes its slot on to a waiting one. These bytes become a
/// run of their own on disk: smaller runs cost more each, larger ones make other writers wait.
pub const TURN_BYTES: u64 = 4 * 1024 * 1024;
/// How long a writer may stand still while others wait.
pub const WRITE_SLOT_IDLE_MAX: Duration = Duration::from_millis(100);
/// How long a writer may keep its slot while others wait, however little it sends.
pub const WRITE_SLOT_TIME_MAX: Duration = Duration::from_secs(1);
/// Bytes in memory of a blob without a write slot: a small blob never waits.
pub const UNPLACED_BYTES_MAX: usize = 32 * 1024;
/// Arenas of the C library's allocator. Left to itself it keeps eight for each core, and each keeps
/// holes: 60 MiB with 256 uploads at once on two cores.
pub const ARENAS_MAX: u32 = 2;
/// From this size on the allocator takes memory from the system and gives it back at once, in
/// bytes. Left to itself the allocator keeps the memory of bodies of megabytes.
pub const MAPPED_BYTES_MIN: u64 = 1024 * 1024;
/// Free bytes kept at the end of an arena: segments come and go.
pub const TRIMMED_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Batches read ahead of their clients, in all.
pub const BATCHES_AHEAD_MAX: usize = 32;
/// Blocking jobs at once; the next ones wait.
pub const BLOCKING_JOBS_MAX: usize = 256;
/// Of these jobs, those of one party once half of all run.
pub const PARTY_BLOCKING_JOBS_MAX: usize = BLOCKING_JOBS_MAX / SHARES;

/// A part is the tail of a blob, read first by lazy pullers, when it begins in the last eighth and
/// has at most a sixteenth of the blob.
pub const TAIL_BEGIN_SHARE: u64 = 8;

/// The same: the largest size of a tail, as a share.
pub const TAIL_PART_SHARE: u64 = 16;

/// Distance of a tail from the download's position, in bytes, from which it gets a request of its
/// own; a nearer tail arrives sooner than another answer would.
pub const TAIL_AHEAD_BYTES: u64 = 1024 * 1024;

/// The same for any part of a blob during its download: a part gets a request of its own when it
/// would wait for this many bytes.
pub const BYPASS_AHEAD_BYTES: u64 = 32 * 1024 * 1024;
/// The largest such part, in bytes. Larger ones join: a layer fetched in a few parallel parts is
/// downloaded once. Lazy pullers ask for spans of up to 4 MiB.
pub const BYPASS_PART_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// All such parts together may have this share of the blob's bytes: one fourth.
pub const BYPASS_SHARE: u64 = 4;
/// Pieces of a relayed body that wait for the client.
pub const RELAY_QUEUE: usize = 1;
/// The most bytes still to come for which a part is held back until the whole blob is proven.
pub const PROOF_WAIT_BYTES: u64 = 32 * 1024 * 1024;
/// Largest blob of an unknown size, in bytes.
pub const UNSIZED_BLOB_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// For how long a blob refused by the store is not offered to it again.
pub const UNSTORABLE_TIME: Duration = Duration::from_mins(1);
/// For how long a tag served stale may be put again only while it is still the same: a client that
/// reads the tag to write it back needs no longer, even with a password prompt in between.
pub const READ_STALE_TIME: Duration = Duration::from_mins(10);
/// Pieces lost by an upstream and delivered again for one push of a manifest.
pub const REDELIVERED_MAX: usize = 1_000;
/// How many of these pieces are sent at once.
pub const REDELIVERIES_AT_ONCE: usize = 4;
/// How deep redelivery looks into indexes within indexes.
pub const REDELIVERY_DEPTH_MAX: usize = 4;
/// How long the whole redelivery may take. The next push delivers the rest.
pub const REDELIVERY_TIME_MAX: Duration = Duration::from_mins(10);
/// For how long a stale answer is served without a request, after the upstream did not answer.
pub const STALE_TIME: Duration = Duration::from_secs(2);

/// For how long an upload goes on trying while the upstream takes nothing of it.
pub const TRANSFER_RETRY_TIME: Duration = Duration::from_mins(1);
/// The same for a staged blob, which is taken up again later.
pub const DELIVERY_RETRY_TIME: Duration = Duration::from_secs(5);
/// How often an upstream may refuse a request of one upload with an error that another try can
/// mend, without having taken a byte meanwhile.
pub const TRANSFER_REFUSALS_MAX: u32 = 6;
/// How often one upload is sent anew from its first byte.
pub const TRANSFER_RESTARTS_MAX: u32 = 6;
/// How long an upload waits for another upload of the same bytes without progress.
pub const COALESCING_WAIT: Duration = Duration::from_secs(10);
/// Nor does it wait for one that lags by this many bytes, or by more than an eighth of the blob.
pub const COALESCING_BEHIND_BYTES: u64 = 32 * 1024 * 1024;
/// Repositories asked to lend a blob (`mount`) before its bytes are sent.
pub const MOUNTS_MAX: usize = 2;
/// How long an upstream may take to begin its answer, unless the configuration says otherwise.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a body may be slower than its least rate; of a client's, also how long it may stand
/// still.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body from an upstream may stand still, counted from its last byte, unless the
/// configuration says otherwise; then it is requested again. Clients wait for 20 s and more.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// The least rate of a body from an upstream, unless the configuration says otherwise.
pub const BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// Read requests in flight to one upstream, unless the configuration says otherwise; the window
/// shrinks when the upstream answers 429.
pub const UPSTREAM_READS_MAX: u32 = 128;
/// The same for write requests.
pub const UPSTREAM_WRITES_MAX: u32 = 64;
/// Callers with remembered tokens, where access is `passthrough`; past it the least recently seen
/// callers are forgotten.
pub const CALLERS_MAX: usize = 1_024;
/// How long an unseen caller is remembered, checked when a new one comes.
pub const CALLER_IDLE_MAX: Duration = Duration::from_hours(1);
/// The same for a refusal.
pub const REFUSAL_TIME: Duration = Duration::from_secs(3);
/// Unknown logins probed at one upstream at once, where access is `passthrough`.
pub const STRANGERS_MAX: usize = 8;
/// Of these logins, those from one address: a quarter.
pub const STRANGERS_EACH_MAX: usize = 2;
/// Unknown logins probed or queued for a probe; the next one is answered 429. A quarter for one
/// address.
pub const STRANGERS_WAITING_MAX: usize = 256;
/// How long one of them queues.
pub const STRANGER_WAIT_MAX: Duration = Duration::from_secs(10);
/// Permissions remembered, and as many refusals.
pub const PERMITS_MAX: usize = 16_384;
/// Longest user name of a login, in bytes.
pub const USER_BYTES_MAX: usize = 255;

/// How long a tag is served without a request to the upstream, unless the configuration says
/// otherwise.
pub const TAG_TTL: Duration = Duration::from_secs(10);
/// Manifests and tags kept in memory.
pub const RECENT_MANIFESTS_MAX: usize = 4_096;
/// Bytes of the manifests kept in memory.
pub const RECENT_MANIFESTS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a 404 is believed, unless the configuration says otherwise: enough for a herd.
pub const NEGATIVE_TTL: Duration = Duration::from_secs(2);
/// Names remembered as absent.
pub const NEGATIVES_MAX: usize = 10_000;
/// Registries that one pattern of hosts may come to stand for.
pub const TEMPLATE_HOSTS_MAX: usize = 64;

/// Longest name of a caller, in characters; a longer subject of an issuer is refused.
pub const CALLER_NAME_CHARS_MAX: usize = 256;
/// Largest file of passwords or tokens, in bytes.
pub const ACCESS_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest `Authorization` read, in bytes: tokens of some issuers list many groups.
pub const SHOWN_BYTES_MAX: usize = 16 * 1024;
/// Longest host repeated to clients, in characters.
pub const HOST_CHARS_MAX: usize = 262;
/// Scopes of one token request; the rest is not granted.
pub const TOKEN_SCOPES_MAX: usize = 64;
/// Lifetime of the proxy's own tokens, unless the configuration says otherwise.
pub const ISSUED_LIFETIME: Duration = Duration::from_mins(5);
/// The shortest configurable lifetime. Clients take less than a minute for nonsense.
pub const ISSUED_LIFETIME_MIN: Duration = Duration::from_mins(1);
/// The longest configurable lifetime.
pub const ISSUED_LIFETIME_MAX: Duration = Duration::from_hours(1);
/// How long a refresh token stands for an unchanged password.
pub const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_hours(90 * 24);
/// How far other machines' clocks may be from ours.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(15);
/// Shortest key for signing tokens, in bytes.
pub const TOKEN_KEY_BYTES_MIN: usize = 32;
/// The cost of bcrypt hashes made by the proxy.
pub const BCRYPT_COST: u32 = 11;
/// The least accepted cost: `htpasswd -B` makes hashes with it.
pub const BCRYPT_COST_MIN: u32 = 5;
/// The greatest accepted cost: one check takes seconds.
pub const BCRYPT_COST_MAX: u32 = 16;
/// Memory of one argon2 check, in KiB.
pub const ARGON2_KIB_MAX: u32 = 256 * 1024;
/// Passes of one argon2 check.
pub const ARGON2_PASSES_MAX: u32 = 16;
/// Password checks at once: each takes a core.
pub const PASSWORD_CHECKS_MAX: usize = 2;
/// Password checks running or queued; the next login is answered 429. A quarter for one address.
pub const PASSWORD_CHECKS_WAITING_MAX: usize = 256;
/// For how long a successful login is believed without a check.
pub const VERIFIED_TIME: Duration = Duration::from_mins(5);
/// Such logins remembered.
pub const VERIFIED_MAX: usize = 8_192;
/// Counters of failed logins.
pub const LOGIN_COUNTERS: usize = 16_384;
/// Failed logins in a row for one name from one address; after them one in each period.
pub const LOGIN_FAILURES_BURST: u32 = 10;
/// The period for one name from one address.
pub const LOGIN_FAILURES_PERIOD: Duration = Duration::from_secs(6);
/// Failed logins in a row for all names from one address.
pub const LOGIN_FAILURES_BURST_ADDRESS: u32 = 60;
/// The period for all names from one address.
pub const LOGIN_FAILURES_PERIOD_ADDRESS: Duration = Duration::from_secs(1);
/// How long the audit log does not repeat that a network is throttled or sends invalid tokens.
pub const AUDIT_REPEAT_TIME: Duration = Duration::from_mins(1);
/// For how long a successful login is exempt from the throttle for other clients' failures.
pub const LOGINS_KNOWN_TIME: Duration = Duration::from_hours(12);
/// For how long an upstream's confirmation of a login counts. After it the upstream is asked again,
/// among its known logins. A login revoked meanwhile loses its owner then.
pub const LOGINS_PROVEN_TIME: Duration = Duration::from_mins(15);
/// Logins, and names of logins, remembered as confirmed.
pub const LOGINS_KNOWN_MAX: usize = 16_384;
/// Keys read from one issuer.
pub const ISSUER_KEYS_MAX: usize = 128;
/// Largest document of an issuer, in bytes.
pub const KEYS_BYTES_MAX: usize = 1024 * 1024;
/// How long fetching the keys of an issuer may take.
pub const KEYS_FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// The least time between two fetches from one issuer.
pub const KEYS_FETCH_PAUSE: Duration = Duration::from_secs(10);
/// Age of keys after which they are fetched anew in the background.
pub const KEYS_YOUNG: Duration = Duration::from_mins(5);
/// Age of keys after which they do not count: an issuer that is down cannot revoke one.
pub const KEYS_AGE_MAX: Duration = Duration::from_hours(24);
/// Repositories with a blob that are searched for one the caller may pull.
pub const MOUNT_SOURCES_MAX: usize = 1_000;
/// Repositories scanned for one page of a partial catalog.
pub const CATALOG_SCANNED_MAX: usize = 50_000;

/// Lines of the audit log that wait to be written; past it lines are lost, and counted.
pub const AUDIT_LINES_MAX: usize = 4_096;
/// How long the end of the program waits for these lines.
pub const AUDIT_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Spans that wait for the collector of traces; past it spans are lost, and counted.
pub const SPANS_MAX: usize = 4_096;
/// Spans sent to the collector at once.
pub const SPANS_PER_BATCH: usize = 512;
/// How long a span waits for more before it is sent.
pub const SPANS_PERIOD: Duration = Duration::from_secs(1);
/// How long the collector may take for one batch.
pub const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long a failed collector is sent nothing; meanwhile spans are lost.
pub const COLLECTOR_PAUSE: Duration = Duration::from_secs(10);
/// Bytes read of the collector's answers.
pub const COLLECTOR_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The shortest time between two checks of the store for `/readyz`.
pub const READY_PERIOD: Duration = Duration::from_secs(2);
/// How long such a check may take before it counts as a failure.
pub const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// Changed keys that a reload logs one by one.
pub const CHANGES_SHOWN_MAX: usize = 200;
/// Characters of a value shown with its key.
pub const CHANGE_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests;
