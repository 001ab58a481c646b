//! The setup of one double: addresses, accounts, and the switches for its habits.
//!
//! | habit of ACR | switch |
//! | --- | --- |
//! | a token holds 75 minutes, a login three hours, a link twenty minutes | `*_life` |
//! | Basic credentials open `/v2/` too; a scope-map token's do not | `basic_credentials` |
//! | other registries: Basic only, or opaque tokens | `basic_only`, `opaque_tokens` |
//! | a user name with a newline at its end is a 500 | `newline_user_fails` |
//! | ABAC: the right to pull from the registry pulls nothing | [`Account::only`] |
//! | a blob's GET and HEAD lead to the storage | `redirects` |
//! | the digest stands on the redirect, not on the storage's answer | `digest_on_*` |
//! | the storage serves ranges and names versions | `storage_ranges`, `storage_etags` |
//! | a page of a list has 100 names | `page_size` |
//! | a registry with keys of its customer has no referrers API | `referrers` |
//! | each upload answer names another Location | `strict_location` |
//! | chunks name their length, and their place as `start-end` | `refuse_chunked`, `strict_content_range` |
//! | a large PUT is 413, or its connection closes; now and then it is 416 | `put_bytes_max`, `close_bytes_max`, `nth_put_fails` |
//! | (other registries) a least size of chunks, an algorithm for each upload | `chunk_bytes_min`, `strict_algorithm` |
//! | a manifest has 4 MiB at most, a layer 200 GiB | `manifest_bytes_max`, `blob_bytes_max` |
//! | a full registry takes no uploads | `registry_bytes_max` |
//! | so many requests in a minute | `quotas` |
//! | a replica learns later of a push | `replica_lag` |
//! | pushed content waits for its scan | `quarantine` |
//!
//! Locks need no switch: everything is open until `/acr/v1/` locks it. Rare events, as a 413 of the
//! token endpoint, are faults (`fault.rs`).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::credentials::Account;
use super::quotas::Quotas;
use super::replicas::Lag;

/// The blob requests with a redirect to the storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// GET and HEAD.
    #[default]
    GetAndHead,
    /// GET. The registry answers HEAD itself.
    GetOnly,
    /// None. The registry serves blobs itself.
    Never,
}

/// The mode of the referrers API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Referrers {
    /// The backing registry answers.
    #[default]
    Backing,
    /// The double answers from the manifests pushed through it.
    Kept,
    /// There is none: 404, and clients use the tag schema.
    Absent,
}

/// Habits of ACR for a test to switch or tighten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Habits {
    /// Only the Location of the last answer continues an upload.
    pub strict_location: bool,
    /// A chunk or blob without `Content-Length` is refused.
    pub refuse_chunked: bool,
    /// Refuses a `Content-Range` in another form than `start-end`, as `bytes 0-9/*`.
    pub strict_content_range: bool,
    /// The largest body of the closing PUT of an upload.
    pub put_bytes_max: Option<u64>,
    /// The largest chunk.
    pub patch_bytes_max: Option<u64>,
    /// The connection of a larger PUT or PATCH of an upload closes after this many bytes.
    pub close_bytes_max: Option<u64>,
    /// The shortest chunk before the last one: said when an upload opens, and no chunk is taken after
    /// a shorter one.
    pub chunk_bytes_min: Option<u64>,
    /// The closing PUT must use the algorithm named at the upload's start.
    pub strict_algorithm: bool,
    /// Each n-th closing PUT of an upload is answered 416, and the upload is gone.
    pub nth_put_fails: Option<u64>,
    /// The largest blob.
    pub blob_bytes_max: u64,
    /// The largest manifest.
    pub manifest_bytes_max: usize,
    /// When clients have uploaded this much, repeated content included, no more is taken.
    pub registry_bytes_max: Option<u64>,
    /// Names in one page of a list; the maximum of `n` for tags too.
    pub page_size: usize,
    /// How long an access token opens `/v2/`.
    pub access_token_life: Duration,
    /// How long a refresh token buys access tokens.
    pub refresh_token_life: Duration,
    /// How long a link to the storage opens its blob.
    pub link_life: Duration,
    /// Basic credentials open `/v2/`, not only the token endpoints.
    pub basic_credentials: bool,
    /// `/v2/` accepts Basic credentials only, as at a registry without a token endpoint.
    pub basic_only: bool,
    /// Access tokens are opaque to their readers.
    pub opaque_tokens: bool,
    /// Basic credentials whose user name ends with a newline are answered 500.
    pub newline_user_fails: bool,
    /// The blob requests with a redirect.
    pub redirects: Redirects,
    /// The redirect says the blob's digest.
    pub digest_on_redirect: bool,
    /// The storage says the blob's digest.
    pub digest_on_storage: bool,
    /// The storage serves parts of blobs; otherwise it ignores Range.
    pub storage_ranges: bool,
    /// The storage says an `ETag`.
    pub storage_etags: bool,
    /// The referrers API.
    pub referrers: Referrers,
    /// How many requests are taken.
    pub quotas: Quotas,
    /// How long a pushed manifest is unknown.
    pub replica_lag: Lag,
    /// Pushed content is in quarantine until a PATCH says `"quarantineState": "Passed"`.
    pub quarantine: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            strict_location: true,
            refuse_chunked: true,
            strict_content_range: true,
            put_bytes_max: Some(20 * 1024 * 1024),
            patch_bytes_max: None,
            close_bytes_max: None,
            chunk_bytes_min: None,
            strict_algorithm: false,
            nth_put_fails: None,
            blob_bytes_max: 200 << 30,
            manifest_bytes_max: 4 << 20,
            registry_bytes_max: None,
            page_size: 100,
            access_token_life: Duration::from_mins(75),
            refresh_token_life: Duration::from_hours(3),
            link_life: Duration::from_mins(20),
            basic_credentials: true,
            basic_only: false,
            opaque_tokens: false,
            newline_user_fails: true,
            redirects: Redirects::default(),
            digest_on_redirect: true,
            digest_on_storage: false,
            storage_ranges: true,
            storage_etags: true,
            referrers: Referrers::default(),
            quotas: Quotas::default(),
            replica_lag: Lag::default(),
            quarantine: false,
        }
    }
}

/// The setup of one double.
#[derive(Clone, Debug)]
pub struct DoubleConfig {
    /// Where the registry listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where the storage listens; port 0 lets the system choose.
    pub storage_listen: SocketAddr,
    /// The listen address of the other host, the target of some redirect faults; with port 0 the
    /// system chooses. The address differs from the registry's, because for some clients a host is
    /// the same at any port.
    pub elsewhere_listen: SocketAddr,
    /// `HOST:PORT` of the storage in links. By default the registry's name as used by the client,
    /// with the storage's port.
    pub storage_public: Option<String>,
    /// The registry behind the double, `http://HOST:PORT`.
    pub backing: String,
    /// The accounts for logins with a password.
    pub accounts: Vec<Account>,
    /// The Entra token for `/oauth2/exchange`.
    pub aad_token: Option<String>,
    /// Whether a caller without credentials gets tokens for pulling.
    pub anonymous_pull: bool,
    /// The habits of the registry.
    pub habits: Habits,
}

impl DoubleConfig {
    /// A double on loopback ports of the system's choice, with ACR's usual habits and no caller.
    pub fn new(backing: impl Into<String>) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any,
            storage_listen: any,
            elsewhere_listen: SocketAddr::from(([127, 0, 0, 2], 0)),
            storage_public: None,
            backing: backing.into(),
            accounts: Vec::new(),
            aad_token: None,
            anonymous_pull: false,
            habits: Habits::default(),
        }
    }

    /// The same with one more account.
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }
}
