//! Every bound of the proxy, in one place: sizes, counts, times. A request
//! that is turned away at one counts as `wharfd_failures_total{fault="load"}`.

use std::time::Duration;

/// Connections open at once; the next one waits to be accepted.
pub const CONNECTIONS_MAX: usize = 1_024;
/// How long the headers of a request may take to arrive.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long transfers may go on after SIGTERM, unless the configuration says otherwise.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(30);

/// How much of a body is read and thrown away after its request was refused, so that a client that is
/// still sending gets to see the refusal. Past it the connection is closed.
pub const REFUSED_BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long that may take.
pub const REFUSED_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Blobs that are fetched from upstreams at once; the next fetch is answered 429.
pub const FILLS_MAX: usize = 256;
/// Manifests and tokens that are asked for at once.
pub const QUESTIONS_MAX: usize = 1_024;
/// Upload sessions open or at rest at once; the next one is answered 429.
pub const UPLOADS_MAX: usize = 1_024;
/// A session that nobody touched for so long is given up, also when it rests in the store.
pub const UPLOAD_IDLE_MAX: Duration = Duration::from_hours(1);
/// How long a stopping server waits for requests to let go of their sessions, so that these can
/// rest in the store.
pub const SUSPEND_DEADLINE: Duration = Duration::from_secs(10);
/// How long a session that goes to rest waits for the upstream to take note.
pub const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections of `wharfd store` to a running server at once; the next one is turned away.
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
/// Entries of a listing when the client names no number, and the most it gets.
pub const PAGE_ENTRIES_MAX: usize = 1_000;
/// Query parameters of a request that are looked at.
pub const QUERY_PARAMETERS_MAX: usize = 32;
/// Tags that one manifest PUT may set (`?tag=`).
pub const TAGS_PER_PUT_MAX: usize = 16;

/// Bytes that are handed to a blocking thread at once, in one direction of one transfer.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Blocking jobs that run or wait at once.
pub const BLOCKING_JOBS_MAX: usize = 256;

/// Body of one PATCH to an upstream, in bytes. ACR may refuse more than about 20 MB in one request
/// (facts: harbor#23015) and counts every PATCH as a write operation.
pub const CHUNK_BYTES: u64 = 8 * 1024 * 1024;
/// A chunk is never made smaller than this, whatever the upstream refuses.
pub const CHUNK_BYTES_MIN: u64 = 1024 * 1024;
/// How long an upstream may take to begin its answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a connection to an upstream may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body from an upstream may stand still.
pub const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Redirects that are followed for one blob.
pub const REDIRECTS_MAX: usize = 5;
/// How often one request to an upstream is tried in all.
pub const TRIES_MAX: u32 = 4;
/// The first pause between tries; it doubles.
pub const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that an upstream's `Retry-After` gets while a client waits.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);
/// Tokens that are remembered.
pub const TOKENS_MAX: usize = 1_024;
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
/// What a client that was turned away is told to wait, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;
