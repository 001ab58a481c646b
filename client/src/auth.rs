//! The login sent to one registry with each request: none, Basic, or an access token per scope, as
//! the registry demands; and the request for an access token. Pure: `tokens.rs` fetches the tokens.
//!
//! Invariant: secrets leave this file only as header values marked sensitive and as the form of a
//! token request, and that form goes only to a trusted address.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use serde::Deserialize;
use tokio::time::Instant;
use url::{Url, form_urlencoded};
use wharf_oci::Secret;

use crate::ClientError;
use crate::challenge::Challenge;
use crate::credentials::{LoginProof, LoginWork, NumberedProof, RegistryCredentials, host};
use crate::limits::{
    CALLER_TOKENS_MAX, TOKEN_BYTES_MAX, TOKEN_LIFETIME, TOKEN_MARGIN, TOKEN_PARTS, TOKENS_MAX,
};
use crate::runtime::mutex::Mutex;
use crate::runtime::single_flight::SingleFlight;
use crate::scope::{Scope, lifetime, sensitive};

/// The operation at the token endpoint, as errors name it.
pub(crate) const ASKING: &str = "asking for a token";
/// The operation at the exchange endpoint, as errors name it.
pub(crate) const EXCHANGING: &str = "exchanging an Entra token";

/// The login of one registry.
pub(crate) struct Auth {
    pub(crate) credentials: RegistryCredentials,
    known: Mutex<Known>,
    /// The most tokens that it remembers.
    tokens_max: usize,
}

#[derive(Default)]
struct Known {
    /// Set once the registry demanded Basic.
    basic: Option<NumberedProof>,
    /// The registry's last Bearer challenge, with its token endpoint.
    challenge: Option<Challenge>,
    tokens: HashMap<Scope, Token>,
}

struct Token {
    header: HeaderValue,
    until: Instant,
    /// When the next user of the token renews it; none once a renewal runs.
    due: Option<Instant>,
}

/// A request for a token, ready to be sent.
#[derive(Debug)]
pub(crate) struct ScopedTokenRequest {
    pub(crate) url: Url,
    pub(crate) authorization: Option<HeaderValue>,
    /// The fields of a form that is sent by POST; without a form the address has everything.
    pub(crate) form: Option<Form>,
}

/// A form that hides its fields from `Debug`.
pub(crate) struct Form(String);

impl Form {
    pub(crate) fn new(grant_type: &str) -> Self {
        Self(String::new()).field("grant_type", grant_type)
    }

    pub(crate) fn field(self, name: &str, value: &str) -> Self {
        Self(form_urlencoded::Serializer::new(self.0).append_pair(name, value).finish())
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.into()
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Form(…)")
    }
}

impl Auth {
    pub(crate) fn new(credentials: RegistryCredentials) -> Self {
        Self { credentials, known: Mutex::default(), tokens_max: TOKENS_MAX }
    }

    /// The login of one caller among many, which remembers fewer tokens.
    pub(crate) fn of_caller(credentials: RegistryCredentials) -> Self {
        Self { credentials, known: Mutex::default(), tokens_max: CALLER_TOKENS_MAX }
    }

    /// The header to send without a challenge: the last good one.
    pub(crate) fn header(&self, scope: &Scope) -> Option<HeaderValue> {
        if let Some(NumberedProof { proof: LoginProof::Basic(header), .. }) =
            &self.known.lock().basic
        {
            return Some(header.clone());
        }
        self.token(scope)
    }

    /// The access token of a scope, while it is valid.
    pub(crate) fn token(&self, scope: &Scope) -> Option<HeaderValue> {
        let known = self.known.lock();
        let token = known.tokens.get(scope)?;
        (Instant::now() < token.until).then(|| token.header.clone())
    }

    /// The challenge that renews the token of a scope, when the token is in the last part of its
    /// life. Returned once per token.
    pub(crate) fn due(&self, scope: &Scope) -> Option<Challenge> {
        let mut known = self.known.lock();
        let token = known.tokens.get_mut(scope)?;
        let now = Instant::now();
        let is_due = now < token.until && token.due.is_some_and(|due| due <= now);
        if is_due {
            token.due = None;
        }
        is_due.then(|| known.challenge.clone()).flatten()
    }

    /// Forgets a token refused by the registry.
    pub(crate) fn forget(&self, scope: &Scope, refused: Option<&HeaderValue>) {
        let mut known = self.known.lock();
        if known.tokens.get(scope).is_some_and(|token| Some(&token.header) == refused) {
            known.tokens.remove(scope);
        }
    }

    /// Forgets the token of a scope, whether refused or not.
    pub(crate) fn forget_all(&self, scope: &Scope) {
        self.known.lock().tokens.remove(scope);
    }

    /// The rest of the lifetime of a scope's token; zero without a token.
    pub(crate) fn remaining(&self, scope: &Scope) -> Duration {
        let known = self.known.lock();
        let until = known.tokens.get(scope).map(|token| token.until);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The proof for Basic at this registry.
    pub(crate) fn basic(&self) -> Option<NumberedProof> {
        self.known.lock().basic.clone()
    }

    /// Records that this registry demands Basic.
    pub(crate) fn use_basic(&self, held: NumberedProof) {
        self.known.lock().basic = Some(held);
    }

    /// The address and form of a token request.
    ///
    /// User and password go to the realm named by the registry, as the Docker token flow has it: to
    /// its own host over the same kind of connection, to other hosts only encrypted. A refresh
    /// token goes to the registry's own address and nowhere else.
    pub(crate) fn token_ask(
        base: &Url,
        challenge: &Challenge,
        scope: &Scope,
        proof: &LoginProof,
    ) -> Result<ScopedTokenRequest, ClientError> {
        let Challenge::Bearer { realm, service, .. } = challenge else {
            let reason = "the registry does not hand out tokens".to_owned();
            return Err(ClientError::Failed { operation: ASKING, reason });
        };
        let refused =
            |reason: &str| ClientError::Astray { operation: ASKING, reason: reason.to_owned() };
        let mut url = base.join(realm).map_err(|_| refused("its realm is not an address"))?;
        let plain_too = base.scheme() == "http" && matches!(url.scheme(), "http" | "https");
        if url.scheme() != "https" && !plain_too {
            return Err(refused("its realm is not encrypted, but it is"));
        }
        if let LoginProof::Refresh(token) = proof {
            if url.origin() != base.origin() {
                return Err(refused("its realm is elsewhere, and a refresh token stays with it"));
            }
            let service = service.as_deref().unwrap_or_else(|| host(base));
            let form = Form::new("refresh_token").field("service", service);
            let form = scope.parameters().iter().fold(form, |form, one| form.field("scope", one));
            let form = form.field("refresh_token", token.expose());
            return Ok(ScopedTokenRequest { url, authorization: None, form: Some(form) });
        }
        let authorization = match proof {
            LoginProof::Basic(header) => Some(header.clone()),
            LoginProof::Nothing | LoginProof::Refresh(_) => None,
        };
        let elsewhere = url.host_str() != base.host_str();
        if authorization.is_some() && elsewhere && url.scheme() != "https" {
            return Err(refused("its realm is elsewhere and not encrypted"));
        }
        url.query_pairs_mut()
            .extend_pairs(service.iter().map(|service| ("service", service.as_str())))
            .extend_pairs(scope.parameters().iter().map(|scope| ("scope", scope.as_str())));
        Ok(ScopedTokenRequest { url, authorization, form: None })
    }

    /// Remembers the token in an answer, and the challenge that led to it.
    pub(crate) fn learn(
        &self,
        scope: &Scope,
        challenge: &Challenge,
        answer: &Bytes,
    ) -> Result<HeaderValue, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<Secret>,
            access_token: Option<Secret>,
            expires_in: Option<u64>,
        }
        let answer: Answer = serde_json::from_slice(answer).map_err(|_| no_token(ASKING))?;
        let token = answer.access_token.or(answer.token).ok_or_else(|| no_token(ASKING))?;
        let header = Some(token.expose()).filter(|text| is_token(text));
        let header = header.and_then(|text| sensitive(&format!("Bearer {text}")));
        let header = header.ok_or_else(|| no_token(ASKING))?;
        let life = answer.expires_in.map(Duration::from_secs);
        let life = life.or_else(|| lifetime(token.expose())).unwrap_or(TOKEN_LIFETIME);
        let mut known = self.known.lock();
        known.challenge = Some(challenge.clone());
        known.basic = None;
        if known.tokens.len() >= self.tokens_max {
            let now = Instant::now();
            known.tokens.retain(|_, token| now < token.until);
        }
        if known.tokens.len() >= self.tokens_max && !known.tokens.contains_key(scope) {
            let first = known.tokens.iter().min_by_key(|(_, token)| token.until);
            if let Some(first) = first.map(|(scope, _)| scope.clone()) {
                known.tokens.remove(&first);
            }
        }
        let token = Token::new(header.clone(), Instant::now(), life);
        known.tokens.insert(scope.clone(), token);
        Ok(header)
    }
}

impl Token {
    /// A token with this lifetime from now on. A very short-lived token is not renewed ahead of its
    /// end: that would double the requests.
    fn new(header: HeaderValue, now: Instant, life: Duration) -> Self {
        let used = life.saturating_sub(TOKEN_MARGIN);
        // A lifetime beyond the clock's range counts as a day.
        let end = |part: Duration| now.checked_add(part).unwrap_or(now + Duration::from_hours(24));
        let due = used.saturating_sub(life / TOKEN_PARTS);
        let due = Some(end(due)).filter(|_| !due.is_zero());
        Self { header, until: end(used), due }
    }
}

/// The refresh token in an answer of the exchange.
pub(crate) fn refresh_token(answer: &Bytes) -> Result<Secret, ClientError> {
    #[derive(Deserialize)]
    struct Answer {
        refresh_token: Secret,
    }
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| no_token(EXCHANGING))?;
    let token = answer.refresh_token;
    if is_token(token.expose()) { Ok(token) } else { Err(no_token(EXCHANGING)) }
}

fn no_token(operation: &'static str) -> ClientError {
    ClientError::Failed { operation, reason: "the answer holds no token".to_owned() }
}

/// Whether a text is a well-formed token.
fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Single-flight of token requests, keyed by scope.
pub(crate) type TokenFlights = Arc<SingleFlight<Scope, HeaderValue, LoginWork>>;

#[cfg(test)]
mod tests;
