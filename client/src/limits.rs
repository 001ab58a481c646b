//! Every bound of the client, in one place: sizes, counts, times.

use std::time::Duration;

/// One party's part of a shared bound, unless the configuration says otherwise: one fourth, so that
/// no two parties take all.
pub const SHARES: usize = 4;
/// A body without a length is reserved in steps of at least this many bytes.
pub const COLLECT_STEP_BYTES: usize = 64 * 1024;
/// Requests for manifests and tokens at once.
pub const FLIGHTS_MAX: usize = 1_024;
/// How long a download or a request without a waiting client keeps its place before another caller
/// may displace it.
pub const UNWANTED_GRACE: Duration = Duration::from_secs(5);
/// Largest blob, in bytes: ACR's limit of 200 GiB.
pub const BLOB_BYTES_MAX: u64 = 200 * 1024 * 1024 * 1024;
/// Largest JSON answer of a registry read into memory, in bytes: lists, tokens, errors.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest token or refusal, in bytes; such answers are not counted.
pub const SHORT_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Pages of a registry's list read for one answer, of which no more than one is in memory.
pub const LIST_PAGES_MAX: usize = 32;
/// Manifest types in a client's `Accept` that a registry is asked for beside the types known here;
/// further ones are left out.
pub const ACCEPT_TYPES_MAX: usize = 16;
/// Entity tags in `If-Match` and `If-None-Match`.
pub const ENTITY_TAGS_MAX: usize = 64;
/// Body of one PATCH to a registry at first, in bytes. ACR may refuse more than about 20 MB in one
/// request (harbor#23015) and counts every PATCH as a write operation.
pub const CHUNK_BYTES: u64 = 8 * 1024 * 1024;
/// The smallest chunk, in bytes, whatever the registry refuses.
pub const CHUNK_BYTES_MIN: u64 = 1024 * 1024;
/// The largest chunk, in bytes, even for a registry that accepts more: a lost end costs one chunk
/// sent again.
pub const CHUNK_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The longest time of a chunk after which chunks still grow.
pub const CHUNK_TIME_MAX: Duration = Duration::from_secs(10);
/// For how long a chunk size refused by a registry is not tried again.
pub const CHUNK_REFUSED_TIME: Duration = Duration::from_mins(10);
/// For how long a missing blob is believed to be missing, so that an upload need not ask first.
pub const MISSED_TIME: Duration = Duration::from_mins(1);
/// The longest wait for the answer to a write to begin: a registry begins it after the whole chunk.
pub const WRITE_TIMEOUT: Duration = Duration::from_mins(2);
/// The longest wait for the answer to a brief request: its caller has another answer at hand.
pub const REVALIDATE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection to a registry may take, unless the configuration says otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Challenges of one request that are answered with a token.
pub const CHALLENGES_MAX: usize = 3;
/// Redirects followed for one blob.
pub const REDIRECTS_MAX: usize = 5;
/// How often a useless redirect link is fetched anew.
pub const LINKS_MAX: usize = 3;
/// Idle connections kept to one host of a registry.
pub const IDLE_CONNECTIONS_MAX: usize = 32;
/// Receive window of one HTTP/2 body from a registry, in bytes; also the most that one such body
/// holds in memory.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same for one HTTP/2 connection, in bytes: as much as all its bodies together may have, so
/// that clients with a relay they do not read hold up no other answers.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 512 * 1024 * 1024;
/// How often one download is resumed in all; see `TRIES_MAX` for how often in a row.
pub const RESUMES_MAX: u32 = 64;
/// Bytes of progress after which a failure is the first of a new row.
pub const RESUME_PROGRESS_BYTES: u64 = 1024 * 1024;
/// One caller's part of either window, where access is `passthrough`: one fourth.
pub const CALLER_WINDOW_SHARE: u32 = 4;
/// Requests that queue for one registry's window; the next one is answered 429.
pub const UPSTREAM_WAITING_MAX: usize = 2_048;
/// Of these queued requests, those of one party.
pub const PARTY_UPSTREAM_WAITING_MAX: usize = UPSTREAM_WAITING_MAX / SHARES;
/// How long a request queues for a window: for other requests, and for pauses that each are short
/// enough.
pub const WINDOW_WAIT_MAX: Duration = Duration::from_mins(1);
/// The same when a stale answer is at hand.
pub const TURN_WAIT_BRIEF: Duration = Duration::from_millis(500);
/// The smallest window.
pub const WINDOW_MIN: u32 = 4;
/// The smallest window that is divided between parties.
pub const SHARED_WINDOW_MIN: u32 = 16;
/// The shortest time between two cuts of a window: refusals that come together are one.
pub const QUOTA_CUT_PERIOD: Duration = Duration::from_secs(1);
/// The longest `Retry-After` that keeps all requests away from a registry.
pub const QUOTA_WAIT_MAX: Duration = Duration::from_mins(2);
/// Failures in a row before a registry is probed: one request makes this many tries and has one
/// left.
pub const BREAKER_FAILURES: u32 = 3;
/// After this time without another failure, a failure is the first of a row.
pub const BREAKER_ROW_TIME: Duration = Duration::from_mins(1);
/// Repositories without an answer in one row after which their callers leave a registry alone
/// although its probe is answered: the answer then comes from a gateway with nothing behind it.
pub const BREAKER_REPOSITORIES: usize = 4;
/// Parties refused in that way; further parties try the registry themselves.
pub const BREAKER_PARTIES_MAX: usize = 1_024;
/// How long the probe of a registry may take.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer to the probe is believed.
pub const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// For how long a path that fails while its registry is up counts for nothing.
pub const FAILING_PATH_TIME: Duration = Duration::from_secs(10);
/// Such failing paths remembered.
pub const FAILING_PATHS_MAX: usize = 1_024;
/// The breaker's first pause for a registry; it doubles.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause. It costs one probe without an owner, so held requests go on soon after
/// the registry is back.
pub const BREAKER_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Tries of one request to a registry in all.
pub const TRIES_MAX: u32 = 4;
/// The first pause between tries; it doubles.
pub const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a write is tried beyond `TRIES_MAX` during an outage of the registry: a refused client
/// would send everything again.
pub const OUTAGE_PATIENCE: Duration = Duration::from_secs(15);
/// The same while the registry answers 429, and how long such a request queues for a window.
pub const BUSY_PATIENCE: Duration = Duration::from_mins(3);
/// The most tries in either case.
pub const PATIENT_TRIES_MAX: u32 = 32;
/// The longest `Retry-After` of a registry obeyed while a client waits.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);
/// Tokens remembered.
pub const TOKENS_MAX: usize = 1_024;
/// The same for one caller, where access is `passthrough`; past it the tokens with the earliest end
/// are forgotten.
pub const CALLER_TOKENS_MAX: usize = 64;
/// How long a registry's permission for a caller is believed without another request, and never
/// longer than the token behind it lives.
pub const PERMIT_TIME: Duration = Duration::from_mins(1);
/// How long the registry may take for the probe of a login; less when its answers have less time.
pub const STRANGER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the address of a registry's token server is believed.
pub const CHALLENGE_TIME: Duration = Duration::from_mins(10);
/// How often a request that joined another caller's work tries again by itself, after that work
/// failed for a reason of its owner only.
pub const JOINS_MAX: u32 = 8;
/// How long a token without an `expires_in` counts as valid (Docker token specification).
pub const TOKEN_LIFETIME: Duration = Duration::from_mins(1);
/// A token is not used in its last seconds.
pub const TOKEN_MARGIN: Duration = Duration::from_secs(15);
/// A token used in the last fifth of its life is renewed in the background.
pub const TOKEN_PARTS: u32 = 5;
/// Longest token kept and sent, in bytes. ACR's have a few thousand.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// How long a refresh token without an expiry counts as valid; ACR's live three hours.
pub const REFRESH_LIFETIME: Duration = Duration::from_hours(1);
/// How long a login from Docker's configuration or a credential helper is used before the next
/// look-up: helpers hand out short-lived tokens without their lifetime.
pub const LOGIN_LIFETIME: Duration = Duration::from_mins(5);
/// The least time between two look-ups of a refused login.
pub const RENEW_PAUSE: Duration = Duration::from_secs(10);
/// How long Entra ID may take to issue a token, all tries together.
pub const ENTRA_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a credential helper or `az` may take.
pub const PROGRAM_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of such a program's output.
pub const PROGRAM_OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes read of Docker's `config.json`.
pub const DOCKER_CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Blobs remembered as absent at one registry.
pub const MISSED_MAX: usize = 10_000;
/// `Retry-After` for a refused client, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;
