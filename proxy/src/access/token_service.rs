//! The tokens issued by this proxy: short-lived ones with the granted actions (Docker's token
//! specification), and refresh tokens in place of a password.
//!
//! Invariant: a holder of the key can pose as any user, so the key is read from a place closed to
//! others (`key_file.rs`); a token without our signature, for another audience, or past its expiry,
//! proves nothing.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wharf_oci::Timestamp;

use super::api_tokens::hex;
use super::caller::{Caller, CallerKind};
use super::grants::{Entry, Grants};
use super::signatures;
use crate::limits::{CLOCK_LEEWAY, REFRESH_TOKEN_LIFETIME};
use crate::runtime::clock;

/// Our name in tokens: their issuer and their audience.
pub(crate) const SERVICE: &str = "wharfd";
/// The audience of refresh tokens: no route accepts it.
const REFRESH: &str = "wharfd/token";

/// Issues tokens, and verifies them.
pub(crate) struct TokenService {
    signing: EncodingKey,
    verifying: DecodingKey,
    lifetime_seconds: u64,
}

/// An issued token.
#[derive(Serialize)]
pub(crate) struct TokenResponse {
    pub(crate) token: String,
    /// The same token, under RFC 6749's name.
    pub(crate) access_token: String,
    pub(crate) scope: String,
    pub(crate) expires_in: u64,
    pub(crate) issued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
}

/// How the token's owner had authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthMethod {
    Nothing,
    Password,
    Token,
    Issuer,
}

#[derive(Serialize, Deserialize)]
struct Common {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: String,
}

/// The claims of a short-lived token.
#[derive(Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(flatten)]
    common: Common,
    access: Vec<Entry>,
    /// How the token's owner had authenticated.
    pub(super) by: AuthMethod,
}

/// The claims of a refresh token.
#[derive(Serialize, Deserialize)]
struct RefreshClaims {
    #[serde(flatten)]
    common: Common,
    /// A digest of the user's line in the password file: a new password changes it.
    line: String,
}

impl Claims {
    /// The token owner's name; none for an anonymous caller.
    pub(super) fn name(&self) -> Option<&str> {
        Some(self.common.sub.as_str()).filter(|_| self.by != AuthMethod::Nothing)
    }

    /// The caller of a request with this token.
    pub(super) fn caller(&self) -> Caller {
        Caller::with_token(self.name(), Grants::of_entries(&self.access))
    }

    /// The expiry, in seconds since 1970.
    pub(super) const fn expires(&self) -> u64 {
        self.common.exp
    }
}

impl TokenService {
    pub(super) fn new(key: &[u8], lifetime_seconds: u64) -> Self {
        signatures::install();
        let (signing, verifying) = (EncodingKey::from_secret(key), DecodingKey::from_secret(key));
        Self { signing, verifying, lifetime_seconds }
    }

    /// Issues a token to a caller; `line` is the digest of the password's line, for a refresh
    /// token.
    pub(super) fn give(
        &self,
        caller: &Caller,
        grants: &Grants,
        line: Option<&str>,
    ) -> std::io::Result<TokenResponse> {
        let issued_at = clock::now();
        let name = caller.somebody().unwrap_or_default();
        let common = common(name, SERVICE, issued_at, self.lifetime_seconds)?;
        let by = match caller.kind() {
            CallerKind::Password => AuthMethod::Password,
            CallerKind::Token => AuthMethod::Token,
            CallerKind::Issuer => AuthMethod::Issuer,
            CallerKind::Anonymous | CallerKind::Issued | CallerKind::Passthrough => {
                AuthMethod::Nothing
            }
        };
        let claims = Claims { common, access: grants.entries(), by };
        let token = self.sign(&claims)?;
        let refresh_token = line.map(|line| self.give_refresh(caller.name(), line)).transpose()?;
        Ok(TokenResponse {
            access_token: token.clone(),
            token,
            scope: grants.scope(),
            expires_in: self.lifetime_seconds,
            issued_at,
            refresh_token,
        })
    }

    fn give_refresh(&self, name: &str, line: &str) -> std::io::Result<String> {
        let common = common(name, REFRESH, clock::now(), REFRESH_TOKEN_LIFETIME.as_secs())?;
        self.sign(&RefreshClaims { common, line: digest(line) })
    }

    /// The claims of one of our tokens.
    pub(super) fn read(&self, token: &str) -> Option<Claims> {
        self.verify(token, SERVICE)
    }

    /// The user of a refresh token, provided the password's line is still the same.
    pub(super) fn read_refresh(
        &self,
        token: &str,
        line_of: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let RefreshClaims { common, line } = self.verify(token, REFRESH)?;
        let same = line_of(&common.sub).is_some_and(|now| digest(&now) == line);
        same.then_some(common.sub)
    }

    fn sign(&self, claims: &impl Serialize) -> std::io::Result<String> {
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(std::io::Error::other)
    }

    fn verify<C: DeserializeOwned>(&self, token: &str, audience: &str) -> Option<C> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = CLOCK_LEEWAY.as_secs();
        rules.validate_nbf = true;
        rules.set_issuer(&[SERVICE]);
        rules.set_audience(&[audience]);
        rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        let read = jsonwebtoken::decode::<C>(token, &self.verifying, &rules);
        read.ok().map(|data| data.claims)
    }
}

fn common(
    subject: &str,
    audience: &str,
    now: Timestamp,
    lifetime_seconds: u64,
) -> std::io::Result<Common> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let now = now.unix_seconds();
    Ok(Common {
        iss: SERVICE.to_owned(),
        sub: subject.to_owned(),
        aud: audience.to_owned(),
        exp: now.saturating_add(lifetime_seconds),
        nbf: now,
        iat: now,
        jti: hex(&random),
    })
}

fn digest(text: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn alice() -> Caller {
        Caller::proven("alice", CallerKind::Password)
    }

    fn grants() -> Grants {
        Grants::asked(["repository:a/b:pull"].into_iter())
    }

    fn signed(key: &[u8], claims: &serde_json::Value) -> String {
        let key = EncodingKey::from_secret(key);
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    }

    fn claims() -> serde_json::Value {
        let now = clock::now().unix_seconds();
        serde_json::json!({
            "iss": SERVICE, "sub": "alice", "aud": SERVICE, "exp": now + 60, "nbf": now, "iat": now,
            "jti": "1", "by": "password",
            "access": [{"type": "repository", "name": "a/b", "actions": ["pull"]}],
        })
    }

    #[test]
    fn a_token_says_what_it_was_given_for() {
        let issuing = TokenService::new(KEY, 300);
        let given = issuing.give(&alice(), &grants(), None).unwrap();
        assert_eq!((given.expires_in, given.scope.as_str()), (300, "repository:a/b:pull"));
        assert!(given.refresh_token.is_none());
        let read = issuing.read(&given.token).unwrap();
        assert_eq!((read.name(), read.by), (Some("alice"), AuthMethod::Password));
        assert_eq!(read.caller().grants(), Some(&grants()));
        assert!(
            TokenService::new(b"another key, which is also 32 long", 300)
                .read(&given.token)
                .is_none()
        );
        let nobody = issuing.give(&Caller::anonymous(), &grants(), None).unwrap();
        assert_eq!(issuing.read(&nobody.token).unwrap().name(), None);
    }

    #[test]
    fn a_token_that_is_forged_over_or_for_others_says_nothing() {
        let issuing = TokenService::new(KEY, 300);
        assert!(issuing.read(&signed(KEY, &claims())).is_some());
        assert!(issuing.read(&signed(b"wrong", &claims())).is_none());
        let now = clock::now().unix_seconds();
        let far = CLOCK_LEEWAY.as_secs() + 2;
        let changes = [
            ("exp", serde_json::json!(now - far)),
            ("nbf", serde_json::json!(now + far)),
            ("aud", "somebody-else".into()),
            ("aud", REFRESH.into()),
            ("iss", "somebody-else".into()),
            ("exp", "soon".into()),
            ("exp", serde_json::Value::Null),
        ];
        for (name, value) in changes {
            let mut claims = claims();
            claims[name] = value;
            assert!(issuing.read(&signed(KEY, &claims)).is_none(), "{claims}");
        }
        let token = signed(KEY, &claims());
        let (_, rest) = token.split_once('.').unwrap();
        let (payload, signature) = rest.split_once('.').unwrap();
        // {"alg":"none"}, and {"alg":"HS512"}.
        for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzUxMiJ9"] {
            for signature in ["", signature] {
                assert!(issuing.read(&format!("{header}.{payload}.{signature}")).is_none());
            }
        }
        for wrong in ["", "a", "a.b.c", "..", &token[..token.len() - 1]] {
            assert!(issuing.read(wrong).is_none());
        }
    }

    #[test]
    fn a_refresh_token_stands_for_one_password_and_opens_no_route() {
        let issuing = TokenService::new(KEY, 300);
        let given = issuing.give(&alice(), &grants(), Some("alice:hash")).unwrap();
        let refresh = given.refresh_token.unwrap();
        let line =
            |line: &'static str| move |name: &str| (name == "alice").then(|| line.to_owned());
        assert_eq!(issuing.read_refresh(&refresh, line("alice:hash")).unwrap(), "alice");
        assert!(issuing.read_refresh(&refresh, line("alice:other")).is_none());
        assert!(issuing.read_refresh(&refresh, |_| None).is_none());
        assert!(issuing.read_refresh(&given.token, line("alice:hash")).is_none());
        assert!(issuing.read(&refresh).is_none());
    }
}
