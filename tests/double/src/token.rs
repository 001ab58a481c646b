//! Refresh and access tokens: issued here, checked here, shaped like ACR's (a JWT).
//!
//! Clients read `exp` from the payload and treat the rest as opaque; the double checks signature,
//! audience, kind, serial number and expiry on each use.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::scope::{Rights, Scope};
use super::signing::{Signer, unix_now};

/// The use of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenKind {
    /// Buys access tokens at `/oauth2/token`.
    RefreshToken,
    /// For requests on `/v2/`.
    AccessToken,
}

/// The payload of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    jti: u64,
    pub(crate) sub: String,
    aud: String,
    iss: String,
    iat: u64,
    nbf: u64,
    pub(crate) exp: u64,
    grant_type: TokenKind,
    /// The scopes of an access token.
    pub(crate) access: Vec<Scope>,
    /// The most rights of a refresh token's exchange.
    pub(crate) permissions: Rights,
}

/// Issues and checks tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    signer: Signer,
    access_life: Duration,
    refresh_life: Duration,
    /// Access tokens cannot be read.
    opaque: bool,
}

/// Takes the place of the points in an opaque token.
const OPAQUE: char = '~';

impl Tokens {
    pub(crate) fn new(signer: Signer, access_life: Duration, refresh_life: Duration) -> Self {
        Self { signer, access_life, refresh_life, opaque: false }
    }

    /// The same issuer with opaque or readable access tokens.
    pub(crate) fn opaque(self, opaque: bool) -> Self {
        Self { opaque, ..self }
    }

    pub(crate) fn access(&self, host: &str, subject: &str, access: Vec<Scope>) -> String {
        let claims = self.claims(host, subject, TokenKind::AccessToken, self.access_life);
        let token = self.seal(&Claims { access, ..claims });
        if self.opaque { token.replace('.', &OPAQUE.to_string()) } else { token }
    }

    pub(crate) fn refresh(&self, host: &str, subject: &str, permissions: Rights) -> String {
        let claims = self.claims(host, subject, TokenKind::RefreshToken, self.refresh_life);
        self.seal(&Claims { permissions, ..claims })
    }

    /// The claims of a token of this kind for this host; `None` when it is forged, expired, meant
    /// for another host or of the other kind.
    pub(crate) fn check(&self, token: &str, kind: TokenKind, host: &str) -> Option<Claims> {
        let token = token.replace(OPAQUE, ".");
        let (signed, signature) = token.rsplit_once('.')?;
        if !self.signer.is_signature(signed, signature) {
            return None;
        }
        let (_, payload) = signed.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        let good = claims.grant_type == kind
            && claims.aud == host
            && unix_now() < claims.exp
            && self.signer.honours(claims.jti);
        good.then_some(claims)
    }

    pub(crate) fn expire_all(&self) {
        self.signer.expire_all();
    }

    fn claims(&self, host: &str, subject: &str, kind: TokenKind, life: Duration) -> Claims {
        let now = unix_now();
        Claims {
            jti: self.signer.next_serial(),
            sub: subject.to_owned(),
            aud: host.to_owned(),
            iss: "acr-double".to_owned(),
            iat: now,
            nbf: now,
            exp: now + life.as_secs(),
            grant_type: kind,
            access: Vec::new(),
            permissions: Rights::default(),
        }
    }

    fn seal(&self, claims: &Claims) -> String {
        let payload = serde_json::to_vec(claims).expect("claims hold only texts and numbers");
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = self.signer.sign(&signed);
        format!("{signed}.{signature}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::super::scope::Action;
    use super::*;

    fn tokens(access_s: u64) -> Tokens {
        let life = Duration::from_secs(access_s);
        Tokens::new(Signer::new().unwrap(), life, Duration::from_mins(1))
    }

    #[test]
    fn a_token_opens_its_own_host_and_kind_only() {
        let tokens = tokens(60);
        let token = tokens.access("a:1", "me", vec![Scope::repository("x", &[Action::Pull])]);
        let claims = tokens.check(&token, TokenKind::AccessToken, "a:1").unwrap();
        assert_eq!(claims.access[0].to_string(), "repository:x:pull");
        assert!(tokens.check(&token, TokenKind::AccessToken, "b:1").is_none());
        assert!(tokens.check(&token, TokenKind::RefreshToken, "a:1").is_none());
    }

    #[test]
    fn an_expired_or_altered_token_is_refused() {
        let expired = tokens(0);
        let token = expired.access("a:1", "me", Vec::new());
        assert!(expired.check(&token, TokenKind::AccessToken, "a:1").is_none());

        let tokens = tokens(60);
        let token = tokens.access("a:1", "me", Vec::new());
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        parts[1] = URL_SAFE_NO_PAD.encode(
            String::from_utf8(URL_SAFE_NO_PAD.decode(&parts[1]).unwrap())
                .unwrap()
                .replace("\"me\"", "\"you\""),
        );
        assert!(tokens.check(&parts.join("."), TokenKind::AccessToken, "a:1").is_none());
        assert!(tokens.check(&token, TokenKind::AccessToken, "a:1").is_some());
        tokens.expire_all();
        assert!(tokens.check(&token, TokenKind::AccessToken, "a:1").is_none());
    }
}
