//! What an upstream is shown to get access tokens: nothing, user and password, or a refresh token,
//! from wherever the configuration says. How they buy access tokens is in `tokens.rs`.
//!
//! Invariant: one look-up or exchange at a time, for however many wait; what is held belongs to one
//! upstream, and an Entra or refresh token is sent to that upstream's own address only.

mod docker;
mod entra;
mod programs;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Position, Url};
use wharf_oci::{Login, Secret};

use super::auth::{lifetime, sensitive};
use super::wire::Wire;
use crate::Error;
use crate::config::{ConfigError, Source, UpstreamConfig};
use crate::flights::Flights;
use crate::limits::{LOGIN_LIFETIME, QUESTIONS_MAX, REFRESH_LIFETIME, RENEW_PAUSE, TOKEN_MARGIN};
use crate::party::Party;

use docker::DockerLogins;
use entra::EntraLogin;

/// What is shown to a token endpoint, or to an upstream that has none.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing.
    Nothing,
    /// User and password, as a header.
    Basic(HeaderValue),
    /// A refresh token.
    Refresh(Secret),
}

/// A proof, and which one it is: a refused one is named by its number.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) proof: Proof,
    pub(super) number: u64,
    until: Option<Instant>,
    /// When it was last looked up because it had been refused.
    renewed: Option<Instant>,
}

/// Where proofs come from.
enum Origin {
    Fixed(Proof),
    Docker(DockerLogins),
    Entra(EntraLogin),
}

/// The login of one upstream.
pub(super) struct Credentials {
    origin: Origin,
    held: Mutex<Option<Held>>,
    /// By the number that was refused; 0 when none was.
    flights: Flights<u64, Held>,
}

impl Credentials {
    /// Of a caller.
    pub(super) fn of(login: Login) -> Self {
        Self::from(Origin::Fixed(Proof::of(login)))
    }

    fn from(origin: Origin) -> Self {
        let flights = Flights::new(QUESTIONS_MAX, "logins");
        Self { origin, held: Mutex::new(None), flights }
    }

    /// Reads what stays the same; connects to nobody.
    pub(super) fn new(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        let origin = match config.credentials()? {
            Source::Anonymous => Origin::Fixed(Proof::Nothing),
            Source::Password(login) => Origin::Fixed(Proof::of(login)),
            Source::Docker { path, host } => Origin::Docker(DockerLogins { path, host }),
            Source::Entra(entra) => {
                let login = EntraLogin::new(entra, config.tls()?, config.egress());
                let url = config.url.to_string();
                Origin::Entra(login.map_err(|reason| ConfigError::Secret { url, reason })?)
            }
        };
        Ok(Self::from(origin))
    }
}

impl Proof {
    fn of(login: Login) -> Self {
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

impl Wire {
    /// What to show; after a refusal, what there is instead, which may be the same.
    pub(super) async fn proof(&self, refused: Option<&Held>) -> Result<Held, Error> {
        if let Origin::Fixed(proof) = &self.auth.credentials.origin {
            let proof = proof.clone();
            return Ok(Held { proof, number: 1, until: None, renewed: None });
        }
        let number = refused.map_or(0, |held| held.number);
        let wire = self.clone();
        let asked =
            self.auth.credentials.flights.ask(&Party::Ourselves, number, |promise| async move {
                promise.keep(wire.held_after(number).await);
            });
        asked.await.map(|(held, _)| held)
    }

    /// What is held while it is good and not the refused one; else a new one.
    async fn held_after(&self, refused: u64) -> Result<Held, Error> {
        let mut slot = self.auth.credentials.held.lock().await;
        let mut number = 1;
        let mut renewed = None;
        if let Some(held) = &*slot {
            let now = Instant::now();
            let is_good = held.until.is_none_or(|until| now < until);
            // Who is refused again right after is refused for good, and asking costs.
            let just_renewed = held.renewed.is_some_and(|at| now < at + RENEW_PAUSE);
            if is_good && (held.number != refused || just_renewed) {
                return Ok(held.clone());
            }
            number = held.number + 1;
            renewed = (held.number == refused).then_some(now);
        }
        let (proof, life) = self.look_up().await?;
        if let Some(held) = slot.as_ref().filter(|held| held.proof == proof) {
            number = held.number;
        }
        let until = Some(Instant::now() + life);
        let held = Held { proof, number, until, renewed };
        *slot = Some(held.clone());
        Ok(held)
    }

    /// A proof from its origin, and for how long it is good.
    async fn look_up(&self) -> Result<(Proof, Duration), Error> {
        match &self.auth.credentials.origin {
            Origin::Fixed(proof) => Ok((proof.clone(), LOGIN_LIFETIME)),
            Origin::Docker(logins) => {
                tracing::debug!(upstream = self.address(), "looking up the login");
                Ok((Proof::of(logins.look_up().await?), LOGIN_LIFETIME))
            }
            Origin::Entra(login) => {
                tracing::debug!(upstream = self.address(), "exchanging an Entra token");
                let token = login.token().await?;
                let refresh = self.exchange(&token, login.tenant()).await?;
                let life = lifetime(refresh.expose()).unwrap_or(REFRESH_LIFETIME);
                Ok((Proof::Refresh(refresh), life.saturating_sub(TOKEN_MARGIN)))
            }
        }
    }
}
