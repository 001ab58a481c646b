//! Bearer tokens of others (`OpenID` Connect): who signed them, for whom, and whom they name. The keys are
//! in `issuers/keys.rs`, and fetched by `issuers/fetch.rs`.
//!
//! Invariant: nothing in a token counts before its signature fits a key of its issuer, by an algorithm
//! of public keys that fits the key; a name that could not stand in a log is nobody.

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

/// One issuer that is trusted.
pub(super) struct Issuer {
    config: IssuerConfig,
    keys: IssuerKeys,
}

/// What a good token says.
pub(super) struct Identity {
    pub(super) caller: Caller,
    /// When it is over, in seconds since 1970.
    pub(super) expires: u64,
}

/// Whether a text may be a token of somebody: three parts, the first of which is JSON.
pub(super) fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl Issuer {
    /// Makes its client; asks nobody.
    pub(super) fn new(config: &IssuerConfig) -> Result<Self, ConfigError> {
        Ok(Self { keys: IssuerKeys::new(config)?, config: config.clone() })
    }

    /// Whether this is the one of a configuration.
    pub(super) fn is_of(&self, config: &IssuerConfig) -> bool {
        self.config == *config
    }

    /// Whether a caller of this name is one of its.
    pub(super) fn knows(&self, name: &str) -> bool {
        name.split_once(':').is_some_and(|(issuer, _)| issuer == self.config.name)
    }
}

/// Whom a token names, when one of the issuers vouches for it.
pub(super) async fn vouched(issuers: &[Arc<Issuer>], token: &str) -> Option<Identity> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    if !is_public(header.alg) {
        return None;
    }
    // Which issuer's keys to try; it is proven by the signature.
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

    /// Whom the claims name, when they are as they must be.
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
