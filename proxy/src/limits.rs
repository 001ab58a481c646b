//! Every bound of the proxy, in one place: sizes, counts, times. A request
//! that is turned away at one counts as `wharfd_failures_total{fault="load"}`. An operator may move
//! those that `[limits]` names (`settings/limits.rs`); here are their defaults.

use std::time::Duration;

/// What one party gets of what all share, unless the configuration says otherwise: one in so many parts,
/// so that no two take all.
pub const SHARES: usize = 4;
/// Connections of clients open at once; the next one takes the place of an idle one of whoever has most,
/// or is answered 429 and closed. From one address that is not a trusted proxy, a share.
pub const CONNECTIONS_MAX: usize = 2_048;
/// Files that the process asks to have open: connections of clients and to upstreams, and the store.
pub const OPEN_FILES_WANTED: u64 = 16_384;
/// Connections past the limit that are answered at once; more than these are closed without a word.
pub const REFUSALS_MAX: usize = 64;
/// Of these, from one address.
pub const PARTY_REFUSALS_MAX: usize = REFUSALS_MAX / SHARES;
/// How long such an answer may take, the handshake included.
pub const REFUSAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Connections to the admin address at once; past it as for clients.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Of these, from one address.
pub const PARTY_ADMIN_CONNECTIONS_MAX: usize = ADMIN_CONNECTIONS_MAX / SHARES;
/// What the kernel keeps for one client on this machine, in bytes. Left to itself it takes megabytes,
/// which fall out of the CPU's cache before the client reads them: up to twice the time per byte.
/// Clients that are further away get what the kernel finds right for their distance.
pub const LOOPBACK_SEND_BYTES: usize = 512 * 1024;
/// How much the kernel keeps for one client beyond what is on its way to it, in bytes: so much less
/// memory of a slow one, and so soon it is seen to be slow.
pub const UNSENT_BYTES_MAX: u32 = 256 * 1024;
/// What is read from one client at a time, in bytes; also the longest head of a request. Left to itself
/// a buffer grows to 400 KiB, and pieces of a body each keep one of that size.
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
/// How long a connection that was told to end may take for that.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests at once on one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 128;
/// Requests on one HTTP/2 connection that were taken back before they were looked at; with more of them
/// it is closed (rapid reset, CVE-2023-44487).
pub const HTTP2_RESETS_PENDING_MAX: usize = 20;
/// Requests on one HTTP/2 connection that were against the protocol; with more of them it is closed.
pub const HTTP2_RESETS_LOCAL_MAX: usize = 256;
/// What one HTTP/2 connection may send us before it is read, in bytes: for one request, and in all. It is
/// in no account, and every connection may fill it: a thousand of them 128 MiB.
pub const HTTP2_CLIENT_WINDOW_BYTES: u32 = 128 * 1024;
/// How often an HTTP/2 connection that says nothing is asked whether it is there.
pub const HTTP2_PING_PERIOD: Duration = Duration::from_secs(30);
/// How long it may take to say so.
pub const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest piece of a body that is given to an HTTP/2 connection at once, in bytes. With the head of its
/// frame it fills a TLS record exactly: one byte more, and each frame would cost a second, tiny record.
pub const HTTP2_PIECE_BYTES: usize = 16 * 1024 - 9;
/// The least rate of a client that sends or takes a body, in bytes per second, as a mean over
/// `STALL_TIMEOUT`.
pub const CLIENT_BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// Largest form at the token endpoint, in bytes.
pub const FORM_BYTES_MAX: u64 = 64 * 1024;
/// Bytes in memory that are on their way in or out, beside what the store keeps for all: bodies that are
/// held whole, and segments that only readers have any more. Past it, whole bodies, and uploads and
/// downloads that begin, are answered 429. One party has a share for whole bodies; past that it also begins
/// no download while more than half of all is taken.
pub const BYTES_IN_FLIGHT_MAX: u64 = 96 * 1024 * 1024;
/// Of a party's bytes in flight, one connection has one in so many.
pub const CONNECTION_BYTES_PART: u64 = 2;
/// Past so many bytes in flight, bodies read ahead a segment instead of a batch.
pub const BYTES_IN_FLIGHT_SHORT: u64 = 24 * 1024 * 1024;
/// Answers up to this size are not counted, in bytes: their connection takes more.
pub const SMALL_BODY_BYTES: u64 = 1024;
/// Manifests from this size on are in memory once, however many answers wait with them, in bytes.
pub const SHARED_MANIFEST_BYTES: usize = 64 * 1024;
/// What one manifest counts at most while it is read, in its lengths: the largest has room on a connection
/// then. One that is mostly descriptors takes more: four lengths, or ten where they are the shortest.
pub const MANIFEST_COUNTED_LENGTHS_MAX: u64 = 3;
/// Manifests that are read from the store at once, before it is known how large they are.
pub const MANIFEST_READS_MAX: usize = 4;
/// Documents up to this size are parsed and hashed where they arrive, in bytes; larger ones are a job of
/// their own.
pub const READ_HERE_BYTES: usize = 64 * 1024;
/// A body without a length is reserved in steps of at least so many bytes.
pub const COLLECT_STEP_BYTES: usize = 64 * 1024;
/// Requests that are being answered at once: each takes some 20 KiB.
pub const REQUESTS_MAX: usize = 8_192;
/// Of these, of one party.
pub const PARTY_REQUESTS_MAX: usize = REQUESTS_MAX / SHARES;
/// For how long a request is held before it is refused, where its client is known to wait for an answer to
/// begin: all of these were seen to wait for 50 s (docs/explanation/clients.md). An operator may move it.
pub const HOLD_MAX: Duration = Duration::from_secs(45);
/// The most seconds that an operator may say.
pub const HOLD_SECONDS_MAX: u64 = 600;
/// The same for containerd, which hangs up after 30 s, and for clients that are not known.
pub const HOLD_HASTY: Duration = Duration::from_secs(25);
/// The same before the first byte of an upload's body is taken: who sends one has no second try.
pub const HOLD_UPLOAD_MAX: Duration = Duration::from_mins(3);
/// The first pause before a held request is tried again, where nobody said one; it doubles.
pub const HOLD_PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
pub const HOLD_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often in a row a held request that found no memory is not tried, while no memory was given back.
pub const HOLD_PASSED_OVER_MAX: u32 = 4;
/// What the client of a request that was held in vain is told to wait, in seconds: it is held again.
pub const HOLD_RETRY_SECONDS: u64 = 1;
/// How long a held request may still be tried for when the server stops.
pub const HOLD_DRAIN_TIME: Duration = Duration::from_secs(1);
/// The same for a request that was not held before.
pub const HOLD_DRAIN_FIRST_TIME: Duration = Duration::from_secs(15);
/// Requests that are held at once, each with some 30 KiB; the next one is refused at once.
pub const HELD_MAX: usize = 2_048;
/// Of these, of one party.
pub const PARTY_HELD_MAX: usize = HELD_MAX / SHARES;
/// For how long the end of an upload, or the put of a manifest, is remembered that its client did not
/// hear of: the same request finds it.
pub const UNHEARD_TIME: Duration = Duration::from_mins(2);
/// Such ends that are remembered.
pub const UNHEARD_MAX: usize = 4_096;
/// Manifests that are put at once.
pub const PUTS_MAX: usize = 1_024;
/// Callers and addresses whose rate of requests is known; those beyond share one.
pub const RATES_MAX: usize = 16_384;
/// Requests over a rate that wait for their turn, in all; the next one is answered 429. Each takes some
/// 20 KiB.
pub const RATE_WAITING_MAX: usize = 1_024;
/// Of these, of one party.
pub const PARTY_RATE_WAITING_MAX: usize = RATE_WAITING_MAX / SHARES;
/// How long a burst may last that the configuration does not name, in seconds at the rate.
pub const BURST_SECONDS: u32 = 10;
/// How often the files of the certificate are looked at.
pub const TLS_FILES_PERIOD: Duration = Duration::from_secs(2);
/// Largest such file, in bytes.
pub const TLS_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Certificates of such a file.
pub const TLS_CERTIFICATES_MAX: usize = 1_024;
/// What is encrypted ahead for one connection, in bytes: eight records, sent together.
pub const TLS_SEND_BYTES: usize = 128 * 1024;
/// Longest name of a client's certificate in the log.
pub const SUBJECT_CHARS_MAX: usize = 256;
/// How long transfers may go on after SIGTERM, unless the configuration says otherwise.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(30);

/// How much of a body that nobody wants is read and thrown away before the answer, so that its connection
/// can go on. Of more, the answer goes out at once and the connection ends in stages.
pub const REFUSED_BODY_BYTES_MAX: u64 = 256 * 1024;
/// How long that may take.
pub const REFUSED_BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client that is still sending is read from after its last answer, so that it gets to see it.
pub const LINGER_TIME: Duration = Duration::from_secs(30);
/// The same while it sends nothing and does not close.
pub const LINGER_QUIET_TIME: Duration = Duration::from_secs(5);
/// How much of it is read, in bytes.
pub const LINGER_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Blobs that are fetched from upstreams at once; the next fetch is answered 429.
pub const FILLS_MAX: usize = 256;
/// What passes by the store at once: blobs that it does not take or whose downloads are more than the
/// share of whoever wants them, of which the next one is answered 429, and parts far ahead of a download,
/// which then wait for it.
pub const RELAYS_MAX: usize = 256;
/// How long a blob's first bytes are waited for before the head of its answer is sent: what fails
/// before that has a status of its own.
pub const ARRIVAL_WAIT: Duration = Duration::from_millis(500);
/// How often bytes are shown that fill no segment yet, while nothing else comes.
pub const SHOW_PERIOD: Duration = Duration::from_millis(200);
/// Manifests and tokens that are asked for at once.
pub const QUESTIONS_MAX: usize = 1_024;
/// For how long nobody must have wanted a download or a question before it ends for somebody else who
/// needs its place.
pub const UNWANTED_GRACE: Duration = Duration::from_secs(5);
/// Upload sessions open or at rest at once; the next one takes the place of the longest idle one of
/// whoever has most, or is answered 429. By one caller, a share.
pub const UPLOADS_MAX: usize = 1_024;
/// A session that nobody touched for so long is given up, also when it rests in the store.
pub const UPLOAD_IDLE_MAX: Duration = Duration::from_hours(1);
/// The same for one that has no byte yet: opening one again costs nothing.
pub const UPLOAD_EMPTY_IDLE_MAX: Duration = Duration::from_mins(5);
/// How long a stopping server waits, after its transfers, for work that others have a part in: the
/// end of an upload, a manifest and its lock, a deletion.
pub const FINISHING_DEADLINE: Duration = Duration::from_secs(10);
/// How long it waits at its end for its last answers to leave, and clients that still send to see them.
pub const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a stopping server waits for requests to let go of their sessions, so that these can
/// rest in the store.
pub const SUSPEND_DEADLINE: Duration = Duration::from_secs(10);
/// How long a session that goes to rest waits for the upstream to take note.
pub const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Blobs that wait for their upstreams may have so many bytes in all, or half of the store's limit
/// when that is less; the next one is answered 507. How many they may be is `DELIVERIES_MAX` of the
/// store; past that, 429.
pub const PENDING_BYTES_MAX: u64 = 256 * 1024 * 1024 * 1024;
/// Of both, a share for one party, or more while half of all is free. A blob that its upstream refused
/// makes room for others once a client has heard of the refusal for so long.
pub const REFUSED_TOLD_TIME: Duration = Duration::from_mins(15);
/// The same when no client asks for it.
pub const REFUSED_TIME: Duration = Duration::from_hours(1);
/// Blobs that are delivered to one upstream at once.
pub const DELIVERY_WORKERS_MAX: usize = 4;
/// The same besides, one for each party of whom nothing is being delivered there.
pub const DELIVERY_WORKERS_SPARE: usize = 4;
/// How long an upstream is left alone after a delivery failed; it doubles.
pub const DELIVERY_PAUSE: Duration = Duration::from_secs(1);
/// The longest such time, unless the upstream asks for more.
pub const DELIVERY_PAUSE_MAX: Duration = Duration::from_mins(1);
/// Refused blobs that `wharfd push status` lists one by one.
pub const REFUSALS_SHOWN_MAX: usize = 1_000;
/// How much of the reason is kept with a delivery that failed.
pub const TROUBLE_CHARS_MAX: usize = 500;
/// Manifests that wait for their blobs at once; the next one is answered 429.
pub const BARRIER_WAITERS_MAX: usize = 2_048;
/// Of these, of one party.
pub const PARTY_BARRIER_WAITERS_MAX: usize = BARRIER_WAITERS_MAX / SHARES;
/// How long a manifest waits for its blobs while something gets ahead.
pub const BARRIER_WAIT_MAX: Duration = Duration::from_mins(10);
/// How long while nothing does; longer than one chunk may take.
pub const BARRIER_STALL_MAX: Duration = Duration::from_mins(3);
/// How long while the upstream fails.
pub const BARRIER_OUTAGE_MAX: Duration = Duration::from_secs(15);
/// How long deliveries pause at most after a failure while a manifest waits for them.
pub const BARRIER_HASTE: Duration = Duration::from_secs(2);
/// What the client is told to wait then, unless the upstream asks for more, in seconds.
pub const BARRIER_RETRY_SECONDS: u64 = 5;

/// Connections of `wharfd store` and `wharfd push` to a running server at once; the next one is turned away.
pub const CONTROL_CONNECTIONS_MAX: usize = 8;
/// How many wait to be accepted or turned away; past it, connecting fails.
pub const CONTROL_BACKLOG: u32 = 128;
/// Longest line that such a connection may send, in bytes: a command with a path.
pub const CONTROL_REQUEST_BYTES_MAX: u64 = 16 * 1024;
/// Longest line that it gets back, in bytes: a result with every damage that is reported.
pub const CONTROL_REPLY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How long either side waits for the first line of the other.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the progress of a command is told.
pub const PROGRESS_PERIOD: Duration = Duration::from_millis(100);

/// The scrub in the background reports what it found at least so often.
pub const SCRUB_SLICE: Duration = Duration::from_mins(1);
/// Its pause between the end of one pass and the begin of the next.
pub const SCRUB_PAUSE: Duration = Duration::from_hours(1);
/// Damages that it remembers, so that each is logged once.
pub const SCRUB_REMEMBERED_MAX: usize = 10_000;

/// Largest blob, in bytes: ACR's limit of 200 GiB.
pub const BLOB_BYTES_MAX: u64 = 200 * 1024 * 1024 * 1024;
/// Largest JSON answer of an upstream that is read into memory: lists, tokens, errors.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest answer that is a token or a refusal, in bytes; such are not counted.
pub const SHORT_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Entries of a listing when the client names no number, and the most it gets.
pub const PAGE_ENTRIES_MAX: usize = 1_000;
/// Pages of an upstream's list that are read for one answer, of which no more than one is in memory.
pub const LIST_PAGES_MAX: usize = 32;
/// Largest page of a list of referrers, in bytes; what comes after it is behind a `Link`. One entry has
/// `REFERRER_BYTES_MAX` of `wharf-oci` at most.
pub const REFERRERS_PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What of them is not for entries: the index around them.
pub const REFERRERS_INDEX_BYTES: usize = 1024;
/// Referrers that are here but not in the upstream's list, and about which it is asked one by one, for
/// one page.
pub const REFERRERS_ASKED_MAX: usize = 16;
/// Query parameters of a request that are looked at.
pub const QUERY_PARAMETERS_MAX: usize = 32;
/// Manifest types that a client accepts beside those that are known here, and that an upstream is asked
/// for; what a client names beyond them is left out.
pub const ACCEPT_TYPES_MAX: usize = 16;
/// Entity tags in `If-Match` and `If-None-Match`.
pub const ENTITY_TAGS_MAX: usize = 64;
/// Tags that one manifest PUT may set (`?tag=`).
pub const TAGS_PER_PUT_MAX: usize = 16;

/// How long clients are told to make their chunks, in bytes: each is a request here, and the end of
/// each is a border up to which a broken upload is safe. Shorter ones are taken.
pub const UPLOAD_CHUNK_BYTES: u64 = 1024 * 1024;
/// Entries of `Forwarded` or `X-Forwarded-For` that are looked at, from the right.
pub const FORWARDED_HOPS_MAX: usize = 16;
/// Peers that send such headers without being trusted, and are named in the log.
pub const UNBELIEVED_MAX: usize = 16;
/// Counters of changes that all repositories share.
pub const GENERATIONS: usize = 256;
/// Tags, manifests and blobs that are being changed, or wait for that, at once; the next one is
/// answered 429.
pub const TURNS_MAX: usize = 4_096;
/// Of these, by one party.
pub const PARTY_TURNS_MAX: usize = TURNS_MAX / SHARES;
/// Whoever wants a manifest or a blob alone holds up those who share it for no longer than this; then they
/// go before.
pub const TURN_AHEAD_MAX: Duration = Duration::from_secs(2);
/// Tags of a repository about which an upstream is asked before a manifest of it is deleted, where
/// some tags are write-once; with more than that none is deleted.
pub const TAGS_ASKED_MAX: usize = 1_000;
/// Manifests that name what is to be deleted, name those, and so on, where some tags are write-once;
/// with more than that it is not deleted.
pub const REACHING_MAX: usize = 10_000;
/// What is read of them for that, in bytes.
pub const REACHING_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Changes of write-once tags that are allowed and not made yet.
pub const ALLOWANCES_MAX: usize = 1_000;
/// How long such a change may be allowed for.
pub const ALLOWANCE_TIME_MAX: Duration = Duration::from_hours(24);
/// Pieces of one manifest about which an upstream is asked at once.
pub const CONTENT_QUESTIONS_MAX: usize = 16;
/// Missing pieces of a manifest that are named in one answer; past it none is looked for.
pub const MISSING_NAMED_MAX: usize = 100;

/// Bytes that are handed to a blocking thread at once, in one direction of one transfer; a segment while
/// writers wait for a place.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Blobs that arrive at once with content in memory that is not on disk yet; the next ones wait for
/// their turn. With `TURN_BYTES` of each, that fits into the store's memory for segments.
pub const WRITERS_MAX: usize = 16;
/// How much one of them takes before it lets the next one have its place, if one waits, in bytes. It is
/// then a run of its own on disk: smaller ones cost more each, larger ones make the others wait.
pub const TURN_BYTES: u64 = 4 * 1024 * 1024;
/// How long one of them may stand still while others wait.
pub const PLACE_IDLE_MAX: Duration = Duration::from_millis(100);
/// How long one of them may have a place while others wait, however little it sends.
pub const PLACE_TIME_MAX: Duration = Duration::from_secs(1);
/// What each other blob may have in memory, in bytes: a small one never waits.
pub const UNPLACED_BYTES_MAX: usize = 32 * 1024;
/// Arenas of the C library's allocator. Left to itself it keeps eight for each core, and each keeps
/// holes: of 256 uploads at once 60 MiB on two cores.
pub const ARENAS_MAX: u32 = 2;
/// From this size on, memory is taken from the system and given back to it at once, in bytes. Left to itself
/// the allocator keeps what bodies of megabytes left behind.
pub const MAPPED_BYTES_MIN: u64 = 1024 * 1024;
/// So much at the end of an arena is kept, in bytes: segments come and go.
pub const TRIMMED_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Batches that are read before their client asks for them, in all.
pub const BATCHES_AHEAD_MAX: usize = 32;
/// Blocking jobs that run at once; the next ones wait.
pub const BLOCKING_JOBS_MAX: usize = 256;
/// Of these, of one party once half of all run.
pub const PARTY_BLOCKING_JOBS_MAX: usize = BLOCKING_JOBS_MAX / SHARES;

/// A part is the tail of a blob, as lazy pullers read it first, when it begins in the last eighth and has
/// at most a sixteenth of the blob.
pub const TAIL_BEGIN_SHARE: u64 = 8;

/// The same: how large a tail is at most, as a share.
pub const TAIL_PART_SHARE: u64 = 16;

/// A tail that is so far ahead of the download is asked for by itself; one that is nearer is there
/// sooner than another answer, in bytes.
pub const TAIL_AHEAD_BYTES: u64 = 1024 * 1024;

/// A part of a blob that is being fetched is asked for by itself when it would have to wait for so
/// many bytes of the download.
pub const RELAY_AHEAD_BYTES: u64 = 32 * 1024 * 1024;
/// The largest such part. Larger ones join: a layer that is fetched in a few parallel parts is
/// downloaded once. Lazy pullers ask for spans of up to 4 MiB.
pub const RELAY_PART_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// All such parts together may be one in so many bytes of the blob.
pub const RELAY_SHARE: u64 = 4;
/// Pieces of a relayed body that wait for the client.
pub const RELAY_QUEUE: usize = 1;
/// A part is held back until the whole blob is proven when no more than this is still to come.
pub const PROOF_WAIT_BYTES: u64 = 32 * 1024 * 1024;
/// Largest blob whose size the upstream does not say.
pub const UNSIZED_BLOB_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// For how long a blob that the store did not take is not offered to it again.
pub const UNSTORABLE_TIME: Duration = Duration::from_mins(1);
/// For how long a tag that was served old is put again only when it still is that: a client that reads
/// it to write it back needs no longer, also when it asks for a password in between.
pub const READ_STALE_TIME: Duration = Duration::from_mins(10);
/// Pieces that an upstream lost and that are delivered again for one push of a manifest.
pub const REDELIVERED_MAX: usize = 1_000;
/// How many of these are sent at once.
pub const REDELIVERIES_AT_ONCE: usize = 4;
/// How deep indexes within indexes are looked into for that.
pub const REDELIVERY_DEPTH_MAX: usize = 4;
/// How long all of that may take. What is left then is delivered by the next push.
pub const REDELIVERY_TIME_MAX: Duration = Duration::from_mins(10);
/// For how long an old answer is served without asking, after the upstream did not answer.
pub const STALE_TIME: Duration = Duration::from_secs(2);

/// Body of one PATCH to an upstream at first, in bytes. ACR may refuse more than about 20 MB in one
/// request (facts: harbor#23015) and counts every PATCH as a write operation.
pub const CHUNK_BYTES: u64 = 8 * 1024 * 1024;
/// A chunk is never made smaller than this, whatever the upstream refuses.
pub const CHUNK_BYTES_MIN: u64 = 1024 * 1024;
/// Nor larger than this, whatever it takes: so much is sent again when its end gets lost.
pub const CHUNK_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A chunk that took longer is not made larger.
pub const CHUNK_TIME_MAX: Duration = Duration::from_secs(10);
/// For how long a size that an upstream refused is not tried again.
pub const CHUNK_REFUSED_TIME: Duration = Duration::from_mins(10);
/// For how long an upload goes on trying while the upstream takes nothing of it.
pub const SENDING_PATIENCE: Duration = Duration::from_mins(1);
/// The same for a staged blob, which is taken up again later.
pub const DELIVERY_PATIENCE: Duration = Duration::from_secs(5);
/// How often an upstream may refuse a request of one upload in a way that another try can mend,
/// without having taken a byte meanwhile.
pub const SENDING_REFUSALS_MAX: u32 = 6;
/// How often one upload is sent anew from its first byte.
pub const SENDING_RESTARTS_MAX: u32 = 6;
/// How long an upload waits for another one of the same bytes that makes no progress.
pub const JOINT_WAIT: Duration = Duration::from_secs(10);
/// Nor does it wait for one that is so many bytes behind, or more than an eighth of the blob.
pub const JOINT_BEHIND_BYTES: u64 = 32 * 1024 * 1024;
/// Repositories that are asked to lend a blob (`mount`) before its bytes are sent.
pub const MOUNTS_MAX: usize = 2;
/// For how long a client's question whether a blob is there spares us the same question.
pub const MISSED_TIME: Duration = Duration::from_mins(1);
/// How long an upstream may take to begin its answer, unless the configuration says otherwise.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The same for the answer to a write, which begins when all of a chunk is there.
pub const WRITE_TIMEOUT: Duration = Duration::from_mins(2);
/// The same for a question whose old answer can be served.
pub const REVALIDATE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection to an upstream may take, unless the configuration says otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a body may be slower than its least rate; of a client's, also how long it may stand still.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body from an upstream may stand still, counted from its last byte, unless the configuration
/// says otherwise: then it is asked for anew. Clients wait for 20 s and more.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// The least rate of a body from an upstream, unless the configuration says otherwise.
pub const BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// How often one request is answered with a token that it was challenged for.
pub const CHALLENGES_MAX: usize = 3;
/// Redirects that are followed for one blob.
pub const REDIRECTS_MAX: usize = 5;
/// How often a redirect link that turns out to be useless is fetched anew.
pub const LINKS_MAX: usize = 3;
/// Idle connections to one host of an upstream that are kept.
pub const IDLE_CONNECTIONS_MAX: usize = 32;
/// What one HTTP/2 body from an upstream may have under way, in bytes; it is also the most that
/// one such body holds in memory.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same for all bodies of one HTTP/2 connection: as much as all of them together may have, so that
/// clients who do not take what passes by hold up nobody else's answers.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 512 * 1024 * 1024;
/// How often one download is taken up again in all; see `TRIES_MAX` for how often in a row.
pub const RESUMES_MAX: u32 = 64;
/// So much has to arrive for a failure not to count as one in a row.
pub const RESUME_PROGRESS_BYTES: u64 = 1024 * 1024;
/// Requests that read at one upstream and wait for an answer, unless the configuration says
/// otherwise; the window shrinks when the upstream says 429.
pub const UPSTREAM_READS_MAX: u32 = 128;
/// The same for requests that write.
pub const UPSTREAM_WRITES_MAX: u32 = 64;
/// Of either, one caller has one in so many, where access is `passthrough`.
pub const CALLER_WINDOW_SHARE: u32 = 4;
/// Requests that wait for their turn at one upstream; the next one is answered 429.
pub const UPSTREAM_WAITING_MAX: usize = 2_048;
/// Of these, for one party.
pub const PARTY_UPSTREAM_WAITING_MAX: usize = UPSTREAM_WAITING_MAX / SHARES;
/// How long a request waits for its turn: for others, and for pauses that each are short enough.
pub const TURN_WAIT_MAX: Duration = Duration::from_mins(1);
/// The same when an old answer is at hand.
pub const TURN_WAIT_BRIEF: Duration = Duration::from_millis(500);
/// A window is never smaller.
pub const WINDOW_MIN: u32 = 4;
/// Smaller windows are not shared out between parties.
pub const SHARED_WINDOW_MIN: u32 = 16;
/// A window is cut at most so often: refusals that come together are one.
pub const QUOTA_CUT_PERIOD: Duration = Duration::from_secs(1);
/// The longest that `Retry-After` keeps all requests away.
pub const QUOTA_WAIT_MAX: Duration = Duration::from_mins(2);
/// Failures in a row after which an upstream is probed: one request makes so many tries and has one left.
pub const BREAKER_FAILURES: u32 = 3;
/// After so long without another one, a failure is the first of a row.
pub const BREAKER_ROW_TIME: Duration = Duration::from_mins(1);
/// Repositories without an answer in one row after which those who asked for them leave an upstream alone
/// although its probe is answered: by a gateway, then, that has nothing behind it.
pub const BREAKER_REPOSITORIES: usize = 4;
/// Parties that are turned away so; whoever comes after them finds out for itself.
pub const BREAKER_PARTIES_MAX: usize = 1_024;
/// How long the probe of an upstream may take.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer to it is believed.
pub const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// For how long a path that fails while its upstream is there counts for nothing.
pub const FAILING_PATH_TIME: Duration = Duration::from_secs(10);
/// Paths that are known to fail so.
pub const FAILING_PATHS_MAX: usize = 1_024;
/// For how long an upstream is left alone at first; it doubles.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(1);
/// The longest such time: one question without an owner, so that held requests go on soon after it is back.
pub const BREAKER_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often one request to an upstream is tried in all.
pub const TRIES_MAX: u32 = 4;
/// The first pause between tries; it doubles.
pub const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A request that writes is tried beyond `TRIES_MAX` for so long while the upstream is out: a client
/// that is turned away would send everything again.
pub const OUTAGE_PATIENCE: Duration = Duration::from_secs(15);
/// The same while the upstream says 429, and how long such a request waits for its turn.
pub const BUSY_PATIENCE: Duration = Duration::from_mins(3);
/// How often at most, in either case.
pub const PATIENT_TRIES_MAX: u32 = 32;
/// The longest pause that an upstream's `Retry-After` gets while a client waits.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);
/// Tokens that are remembered.
pub const TOKENS_MAX: usize = 1_024;
/// The same for one caller, where access is `passthrough`; past it those that end first are forgotten.
pub const CALLER_TOKENS_MAX: usize = 64;
/// Callers whose tokens are remembered, where access is `passthrough`: past it those who were not seen
/// for longest are forgotten.
pub const CALLERS_MAX: usize = 1_024;
/// And those who were not seen for so long, when somebody new comes.
pub const CALLER_IDLE_MAX: Duration = Duration::from_hours(1);
/// How long an upstream's leave for a caller is believed without asking again, and never longer than
/// the token lives that says so.
pub const PERMIT_TIME: Duration = Duration::from_mins(1);
/// The same for a refusal.
pub const REFUSAL_TIME: Duration = Duration::from_secs(3);
/// Logins about which one upstream is asked at once whether it knows them, where access is `passthrough`.
pub const STRANGERS_MAX: usize = 8;
/// Of these, for one address: a quarter.
pub const STRANGERS_EACH_MAX: usize = 2;
/// Logins that are asked about or wait for that; the next one is answered 429. A quarter for one address.
pub const STRANGERS_WAITING_MAX: usize = 256;
/// How long one of them waits.
pub const STRANGER_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long the upstream may take to say whether it knows one; less when its answers have less time.
pub const STRANGER_TIME_MAX: Duration = Duration::from_secs(10);
/// Leaves that are remembered, and as many refusals.
pub const PERMITS_MAX: usize = 16_384;
/// How long the address at which an upstream hands out tokens is believed.
pub const CHALLENGE_TIME: Duration = Duration::from_mins(10);
/// How often whoever joined what was done for somebody else asks anew, after that failed for a reason
/// that is only theirs.
pub const JOINS_MAX: u32 = 8;
/// Longest name that a caller logs in with, in bytes.
pub const USER_BYTES_MAX: usize = 255;
/// How long a token counts as valid when its server does not say (Docker token specification).
pub const TOKEN_LIFETIME: Duration = Duration::from_mins(1);
/// A token is not used in its last seconds.
pub const TOKEN_MARGIN: Duration = Duration::from_secs(15);
/// A token that is used in the last of so many parts of its life is renewed meanwhile.
pub const TOKEN_PARTS: u32 = 5;
/// Longest token that is kept and sent, in bytes. ACR's have a few thousand.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// How long a refresh token counts as valid when it does not say; ACR's live three hours.
pub const REFRESH_LIFETIME: Duration = Duration::from_hours(1);
/// How long a login of Docker's configuration or of a credential helper is used before it is looked
/// up again: helpers hand out tokens that do not live long, and do not say how long.
pub const LOGIN_LIFETIME: Duration = Duration::from_mins(5);
/// A login that was looked up because it had been refused is not looked up again so soon.
pub const RENEW_PAUSE: Duration = Duration::from_secs(10);
/// How long Entra ID may take to give out a token, all tries together.
pub const ENTRA_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a credential helper or `az` may take.
pub const PROGRAM_TIMEOUT: Duration = Duration::from_secs(30);
/// What it may print, in bytes.
pub const PROGRAM_OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// How much of a `config.json` of Docker is read, in bytes.
pub const DOCKER_CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long a tag is served without asking the upstream, unless the configuration says otherwise.
pub const TAG_TTL: Duration = Duration::from_secs(10);
/// Manifests and tags that are kept in memory, and the bytes of the manifests.
pub const RECENT_MANIFESTS_MAX: usize = 4_096;
/// See above.
pub const RECENT_MANIFESTS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long "not there" is believed, unless the configuration says otherwise: enough for a herd.
pub const NEGATIVE_TTL: Duration = Duration::from_secs(2);
/// Names whose absence is remembered.
pub const NEGATIVES_MAX: usize = 10_000;
/// Registries that one pattern of hosts may come to stand for.
pub const TEMPLATE_HOSTS_MAX: usize = 64;
/// What a client that was turned away is told to wait, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// Longest name of a caller, in characters; a subject of an issuer that is longer is refused.
pub const CALLER_NAME_CHARS_MAX: usize = 256;
/// Largest file of passwords or tokens, in bytes.
pub const ACCESS_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest `Authorization` that is read, in bytes: tokens of some issuers list many groups.
pub const SHOWN_BYTES_MAX: usize = 16 * 1024;
/// Longest host that is repeated to clients.
pub const HOST_CHARS_MAX: usize = 262;
/// Scopes that one token is asked for; the rest is not granted.
pub const TOKEN_SCOPES_MAX: usize = 64;
/// How long our tokens live, unless the configuration says otherwise.
pub const ISSUED_LIFETIME: Duration = Duration::from_mins(5);
/// The least and the most that it may say. Clients take less than a minute for nonsense.
pub const ISSUED_LIFETIME_MIN: Duration = Duration::from_mins(1);
/// See above.
pub const ISSUED_LIFETIME_MAX: Duration = Duration::from_hours(1);
/// How long a refresh token stands for a password that does not change.
pub const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_hours(90 * 24);
/// How far the clocks of others may be from ours.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(15);
/// Shortest key that signs tokens, in bytes.
pub const TOKEN_KEY_BYTES_MIN: usize = 32;
/// The cost of bcrypt hashes that are made here.
pub const BCRYPT_COST: u32 = 11;
/// The least and the most that is taken: `htpasswd -B` makes hashes of the least, and one of the most
/// takes seconds.
pub const BCRYPT_COST_MIN: u32 = 5;
/// See above.
pub const BCRYPT_COST_MAX: u32 = 16;
/// Memory of one argon2 check, in KiB, and its passes.
pub const ARGON2_KIB_MAX: u32 = 256 * 1024;
/// See above.
pub const ARGON2_PASSES_MAX: u32 = 16;
/// Passwords that are checked at once: each takes a core.
pub const PASSWORD_CHECKS_MAX: usize = 2;
/// Passwords that are checked or wait for that; the next login is answered 429. A quarter for one address.
pub const PASSWORD_CHECKS_WAITING_MAX: usize = 256;
/// For how long a login that was good is believed without a check.
pub const VERIFIED_TIME: Duration = Duration::from_mins(5);
/// Logins that are remembered so.
pub const VERIFIED_MAX: usize = 8_192;
/// Counters of failed logins.
pub const LOGIN_COUNTERS: usize = 16_384;
/// Logins that may fail in a row for one name from one address; then one in each period.
pub const LOGIN_FAILURES_BURST: u32 = 10;
/// See above.
pub const LOGIN_FAILURES_PERIOD: Duration = Duration::from_secs(6);
/// The same for all names from one address.
pub const LOGIN_FAILURES_BURST_ADDRESS: u32 = 60;
/// See above.
pub const LOGIN_FAILURES_PERIOD_ADDRESS: Duration = Duration::from_secs(1);
/// For how long the audit log does not repeat that a network is held back, or shows tokens that are none.
pub const AUDIT_REPEAT_TIME: Duration = Duration::from_mins(1);
/// For how long a login that was right is not held back by what others did wrong.
pub const LOGINS_KNOWN_TIME: Duration = Duration::from_hours(12);
/// For how long an upstream's word counts that it knows a login: then it is asked again, beside those whom
/// it knows. A login that it took back meanwhile is somebody's for no longer.
pub const LOGINS_PROVEN_TIME: Duration = Duration::from_mins(15);
/// Logins, and names of such, that are known so.
pub const LOGINS_KNOWN_MAX: usize = 16_384;
/// Keys of one issuer that are looked at.
pub const ISSUER_KEYS_MAX: usize = 128;
/// Largest document of an issuer, in bytes.
pub const KEYS_BYTES_MAX: usize = 1024 * 1024;
/// How long fetching the keys of an issuer may take.
pub const KEYS_FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// The least time between two fetches from one issuer.
pub const KEYS_FETCH_PAUSE: Duration = Duration::from_secs(10);
/// Keys that are older are fetched anew meanwhile.
pub const KEYS_YOUNG: Duration = Duration::from_mins(5);
/// Keys that are older do not count: an issuer that is down cannot take one back.
pub const KEYS_AGE_MAX: Duration = Duration::from_hours(24);
/// Repositories that have a blob, and of which one is looked for that its caller may pull.
pub const MOUNT_SOURCES_MAX: usize = 1_000;
/// Repositories that are looked at for one page of a catalog that does not show all.
pub const CATALOG_SCANNED_MAX: usize = 50_000;

/// Lines of the audit log that wait to be written; past it they are lost, and counted.
pub const AUDIT_LINES_MAX: usize = 4_096;
/// How long the end of the program waits for them.
pub const AUDIT_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Spans that wait for the collector of traces; past it they are lost, and counted.
pub const SPANS_MAX: usize = 4_096;
/// How many of them it is sent at once.
pub const SPANS_PER_BATCH: usize = 512;
/// How long they wait for more.
pub const SPANS_PERIOD: Duration = Duration::from_secs(1);
/// How long the collector may take for them.
pub const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long it is sent nothing after it failed; meanwhile spans are lost.
pub const COLLECTOR_PAUSE: Duration = Duration::from_secs(10);
/// How much of its answers is read, in bytes.
pub const COLLECTOR_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How often the store is tried for `/readyz`, at most.
pub const READY_PERIOD: Duration = Duration::from_secs(2);
/// How long that may take before it counts as a failure.
pub const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// Keys that changed, as a reload writes them down one by one.
pub const CHANGES_SHOWN_MAX: usize = 200;
/// How much of a value is shown with its key, in characters.
pub const CHANGE_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests;
