//! The origin of an upstream's login: none, user and password, or a refresh token, from the
//! configured source. `tokens.rs` exchanges them for access tokens.
//!
//! Invariant: one look-up or exchange at a time, for however many requests wait; a held login
//! belongs to one upstream, and an Entra or refresh token is sent to that upstream's own address
//! only.

mod docker;
mod entra;
mod programs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Position, Url};
use wharf_oci::{Login, Secret};

use super::scope::sensitive;
use crate::bound::Bound;
use crate::limits::FLIGHTS_MAX;
use crate::runtime::single_flight::SingleFlight;
use crate::settings::credentials::CredentialSource;
use crate::settings::error::ConfigError;
use crate::settings::upstream::UpstreamConfig;

use docker::DockerLogins;
use entra::EntraLogin;

/// The login for a token endpoint, or for an upstream without one.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum LoginProof {
    /// No login.
    Nothing,
    /// User and password, as a header.
    Basic(HeaderValue),
    /// A refresh token.
    Refresh(Secret),
}

/// A proof and its number: a refused proof is identified by its number.
#[derive(Clone)]
pub(super) struct NumberedProof {
    pub(super) proof: LoginProof,
    pub(super) number: u64,
    pub(super) until: Option<Instant>,
    /// When it was last looked up after a refusal.
    pub(super) renewed: Option<Instant>,
}

/// The source of proofs.
pub(super) enum Origin {
    Fixed(LoginProof),
    Docker(DockerLogins),
    Entra(EntraLogin),
}

/// The login of one upstream.
pub(super) struct UpstreamCredentials {
    pub(super) origin: Origin,
    pub(super) held: Mutex<Option<NumberedProof>>,
    /// Keyed by the refused number; 0 when none was refused.
    pub(super) flights: SingleFlight<u64, NumberedProof>,
}

impl UpstreamCredentials {
    /// The login of a caller, which never changes.
    pub(super) fn of(login: Login) -> Self {
        Self::from(Origin::Fixed(LoginProof::of(login)))
    }

    fn from(origin: Origin) -> Self {
        let flights = SingleFlight::new(FLIGHTS_MAX, Bound::UpstreamLogins);
        Self { origin, held: Mutex::new(None), flights }
    }

    /// Reads the constant part of the login; makes no connection.
    pub(super) fn new(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        let origin = match config.credentials()? {
            CredentialSource::Anonymous => Origin::Fixed(LoginProof::Nothing),
            CredentialSource::Password(login) => Origin::Fixed(LoginProof::of(login)),
            CredentialSource::Docker { path, host } => Origin::Docker(DockerLogins { path, host }),
            CredentialSource::Entra(entra) => {
                let login = EntraLogin::new(entra, config.tls()?, config.egress());
                let url = config.url.to_string();
                Origin::Entra(login.map_err(|reason| ConfigError::Secret { url, reason })?)
            }
        };
        Ok(Self::from(origin))
    }
}

impl LoginProof {
    pub(super) fn of(login: Login) -> Self {
        match login {
            Login::Basic { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                // Base64 is always a header.
                sensitive(&format!("Basic {pair}")).map_or(Self::Nothing, Self::Basic)
            }
            Login::IdentityToken(token) => Self::Refresh(token),
        }
    }
}

/// `HOST[:PORT]`, as registries and Docker name an upstream.
pub(super) fn host(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}
