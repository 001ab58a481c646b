//! Bearer tokens of OIDC issuers (`OpenID` Connect): their signature, audience and subject. The
//! keys are in `oidc/keys.rs`, and fetched by `oidc/fetch.rs`.
//!
//! Invariant: no claim counts before the token's signature fits a key of its issuer, by a
//! public-key algorithm that fits the key; a name that is unsafe in a log identifies no caller.

mod fetch;
mod keys;

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::{Map, Value};

use super::caller::{Caller, CallerKind};
use crate::access::options::IssuerConfig;
use crate::limits::CLOCK_LEEWAY;
use crate::settings::error::ConfigError;

use keys::IssuerKeys;

/// A trusted issuer.
pub(super) struct Issuer {
    config: IssuerConfig,
    keys: IssuerKeys,
}

/// The identity in a valid token.
pub(super) struct Identity {
    pub(super) caller: Caller,
    /// The expiry, in seconds since 1970.
    pub(super) expires: u64,
}

/// Whether a text has the form of a token: three parts, the first of them JSON.
pub(super) fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl Issuer {
    /// Makes the issuer's HTTP client; sends no request.
    pub(super) fn new(config: &IssuerConfig) -> Result<Self, ConfigError> {
        Ok(Self { keys: IssuerKeys::new(config)?, config: config.clone() })
    }

    /// Whether the issuer was built from this configuration.
    pub(super) fn is_of(&self, config: &IssuerConfig) -> bool {
        self.config == *config
    }

    /// Whether a caller's name belongs to this issuer.
    pub(super) fn knows(&self, name: &str) -> bool {
        name.split_once(':').is_some_and(|(issuer, _)| issuer == self.config.name)
    }
}

/// The identity in a token, when one of the issuers signed it.
pub(super) async fn vouched(issuers: &[Arc<Issuer>], token: &str) -> Option<Identity> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    if !is_public(header.alg) {
        return None;
    }
    // The unverified claim selects the issuer's keys; the signature then proves it.
    let said: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    let said = said.get("iss")?.as_str()?;
    for issuer in issuers.iter().filter(|issuer| issuer.config.issuer == said) {
        if let Some(vouched) = issuer.vouch(&header, token).await {
            return Some(vouched);
        }
    }
    None
}

impl Issuer {
    async fn vouch(&self, header: &Header, token: &str) -> Option<Identity> {
        let keys = self.keys.fitting(header).await;
        let rules = self.rules(header.alg);
        let claims = keys.iter().find_map(|key| {
            let read = jsonwebtoken::decode::<Map<String, Value>>(token, key, &rules);
            read.map(|data| data.claims).ok()
        });
        let vouched = claims.and_then(|claims| self.read(&claims));
        if vouched.is_none() {
            let issuer = &self.config.name;
            tracing::debug!(issuer, keys = keys.len(), "a token of this issuer was refused");
        }
        vouched
    }

    fn rules(&self, algorithm: Algorithm) -> Validation {
        let mut rules = Validation::new(algorithm);
        rules.leeway = CLOCK_LEEWAY.as_secs();
        rules.validate_nbf = true;
        rules.set_issuer(&[&self.config.issuer]);
        rules.set_audience(&self.config.audience);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules
    }

    /// The identity in the claims, when every required claim matches.
    fn read(&self, claims: &Map<String, Value>) -> Option<Identity> {
        let as_required = |(name, value): (&String, &Value)| match claims.get(name) {
            Some(Value::Array(found)) => found.contains(value),
            found => found == Some(value),
        };
        if !self.config.require.iter().all(as_required) {
            return None;
        }
        let subject = claims.get(&self.config.subject)?.as_str().filter(|s| !s.is_empty())?;
        let name = format!("{}:{subject}", self.config.name);
        let caller = Caller::proven(&name, CallerKind::Issuer);
        let expires = claims.get("exp")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let expires = expires.as_u64().or_else(|| expires.as_f64().map(|exp| exp as u64))?;
        (caller.name() == name).then_some(Identity { caller, expires })
    }
}

const fn is_public(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512
            | Algorithm::ES256
            | Algorithm::ES384
            | Algorithm::EdDSA
    )
}

#[cfg(test)]
mod tests;
