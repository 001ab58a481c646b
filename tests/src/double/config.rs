//! How one double is set up: addresses, callers, and the habits that can be switched.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::auth::Account;

/// Habits of ACR that a test may switch or tighten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Only the Location of the last answer continues an upload.
    pub strict_location: bool,
    /// A chunk or blob without `Content-Length` is refused.
    pub refuse_chunked: bool,
    /// The largest body of the PUT that ends an upload.
    pub put_bytes_max: Option<u64>,
    /// The largest chunk.
    pub patch_bytes_max: Option<u64>,
    /// Names in one page of a list; for tags also the most that can be asked for.
    pub page_size: usize,
    /// How long an access token opens `/v2/`.
    pub access_token_life: Duration,
    /// How long a refresh token buys access tokens.
    pub refresh_token_life: Duration,
    /// How long a link to the storage opens its blob.
    pub link_life: Duration,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            strict_location: true,
            refuse_chunked: true,
            put_bytes_max: Some(20 * 1024 * 1024),
            patch_bytes_max: None,
            page_size: 100,
            access_token_life: Duration::from_mins(75),
            refresh_token_life: Duration::from_hours(3),
            link_life: Duration::from_mins(20),
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
    /// Where the other host listens that faults redirect to; port 0 lets the system choose. Another
    /// address than the registry's, because some clients take a host for itself at any port.
    pub elsewhere_listen: SocketAddr,
    /// `HOST:PORT` of the storage in links. When absent, the name under which the client reached
    /// the registry, with the storage's port.
    pub storage_public: Option<String>,
    /// The registry behind the double, `http://HOST:PORT`.
    pub backing: String,
    /// Who may log in with a password.
    pub accounts: Vec<Account>,
    /// The Entra token that `/oauth2/exchange` accepts.
    pub aad_token: Option<String>,
    /// Whether a caller without credentials gets tokens for pulling.
    pub anonymous_pull: bool,
    /// Switches.
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
