//! The origin of a registry's login: none, user and password, or a refresh token, from the
//! configured source. `tokens.rs` exchanges them for access tokens.
//!
//! Invariant: one look-up or exchange at a time, for however many requests wait; a held login
//! belongs to one registry, and an Entra or refresh token is sent to that registry's own address
//! only.

mod docker;
mod entra;
mod source;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Position, Url};
use wharf_oci::{Login, Secret};

use crate::error::{ClientBound, ClientError};
use crate::limits::FLIGHTS_MAX;
use crate::runtime::single_flight::{FlightKind, SingleFlight};
use crate::scope::sensitive;
use crate::settings::{Settings, UnusableLogin};
use crate::traces::Traces;

use docker::DockerLogins;
use entra::EntraLogin;
pub use source::{Application, CredentialSource, ENTRA_SCOPE, Entra, EntraIdentity};

/// The login for a token endpoint, or for a registry without one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum LoginProof {
    /// No login.
    Nothing,
    /// User and password, as a header.
    Basic(HeaderValue),
    /// A refresh token.
    Refresh(Secret),
}

/// A proof and its number: a refused proof is identified by its number.
#[derive(Clone)]
pub(crate) struct NumberedProof {
    pub(crate) proof: LoginProof,
    pub(crate) number: u64,
    pub(crate) until: Option<Instant>,
    /// When it was last looked up after a refusal.
    pub(crate) renewed: Option<Instant>,
}

/// The source of proofs.
pub(crate) enum Origin {
    Fixed(LoginProof),
    Docker(DockerLogins),
    Entra(EntraLogin),
}

/// Work for the login of a registry.
#[derive(Clone, Copy)]
pub(crate) enum LoginWork {
    /// Looking up the login.
    Logins(Traces),
    /// Asking for a token.
    Tokens(Traces),
}

impl FlightKind for LoginWork {
    type Error = ClientError;

    fn too_many(self) -> ClientError {
        ClientError::TooMany(match self {
            Self::Logins(_) => ClientBound::Logins,
            Self::Tokens(_) => ClientBound::TokenRequests,
        })
    }

    fn span(self) -> tracing::Span {
        match self {
            Self::Logins(traces) => (traces.work)("upstream logins"),
            Self::Tokens(traces) => (traces.work)("token"),
        }
    }
}

/// The login of one registry.
pub(crate) struct RegistryCredentials {
    pub(crate) origin: Origin,
    pub(crate) held: Mutex<Option<NumberedProof>>,
    /// Keyed by the refused number; 0 when none was refused.
    pub(crate) flights: SingleFlight<u64, NumberedProof, LoginWork>,
}

impl RegistryCredentials {
    /// The login of a caller, which never changes.
    pub(crate) fn of(login: Login, traces: Traces) -> Self {
        Self::from(Origin::Fixed(LoginProof::of(login)), traces)
    }

    fn from(origin: Origin, traces: Traces) -> Self {
        let flights = SingleFlight::new(FLIGHTS_MAX, LoginWork::Logins(traces));
        Self { origin, held: Mutex::new(None), flights }
    }

    /// Reads the constant part of the login; makes no connection.
    pub(crate) fn new(settings: &Settings) -> Result<Self, UnusableLogin> {
        let origin = match settings.credentials.clone() {
            CredentialSource::Anonymous => Origin::Fixed(LoginProof::Nothing),
            CredentialSource::Password(login) => Origin::Fixed(LoginProof::of(login)),
            CredentialSource::Docker { path, host } => Origin::Docker(DockerLogins { path, host }),
            CredentialSource::Entra(entra) => {
                let login = EntraLogin::new(entra, settings);
                Origin::Entra(login.map_err(UnusableLogin)?)
            }
        };
        Ok(Self::from(origin, settings.traces))
    }
}

impl LoginProof {
    pub(crate) fn of(login: Login) -> Self {
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

/// `HOST[:PORT]`, as registries and Docker name a registry.
pub(crate) fn host(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}
