//! Credentials and tokens for one upstream: none, Basic, or the Docker token flow, whichever the
//! upstream asks for. One token request for many waiters.
//!
//! Invariant: secrets leave this file only as header values marked sensitive; `Debug` never shows
//! them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use wharf_oci::RepoName;

use super::challenge::Challenge;
use crate::Error;
use crate::limits::{TOKEN_LIFETIME, TOKEN_MARGIN, TOKENS_MAX};

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
    /// Deleting.
    Delete,
}

/// What a token must allow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    repo: RepoName,
    access: Access,
    /// A second repository, read: the source of a mount.
    also_pull: Option<RepoName>,
}

impl Scope {
    /// One repository.
    #[must_use]
    pub(crate) fn repo(repo: &RepoName, access: Access) -> Self {
        Self { repo: repo.clone(), access, also_pull: None }
    }

    /// Writing to one repository with blobs of another.
    #[must_use]
    pub(crate) fn mount(repo: &RepoName, from: &RepoName) -> Self {
        Self { repo: repo.clone(), access: Access::Push, also_pull: Some(from.clone()) }
    }

    /// The `scope` parameters of a token request.
    fn parameters(&self) -> Vec<String> {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "delete",
        };
        let mut scopes = vec![format!("repository:{}:{actions}", self.repo)];
        scopes.extend(self.also_pull.as_ref().map(|repo| format!("repository:{repo}:pull")));
        scopes
    }
}

/// User name and password for an upstream.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, …)", self.username)
    }
}

impl Credentials {
    fn header(&self) -> HeaderValue {
        let text = format!("{}:{}", self.username, self.password);
        sensitive(&format!("Basic {}", STANDARD.encode(text)))
    }
}

/// What one upstream has to be shown.
pub(super) struct Auth {
    credentials: Option<Credentials>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Set once the upstream asked for Basic.
    basic: bool,
    tokens: HashMap<Scope, Token>,
}

struct Token {
    header: HeaderValue,
    until: Instant,
}

/// A request for a token, ready to be sent.
pub(super) struct TokenAsk {
    pub(super) url: Url,
    pub(super) authorization: Option<HeaderValue>,
}

impl Auth {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, known: Mutex::default() }
    }

    /// What to send without being asked: what was good before.
    pub(super) fn header(&self, scope: &Scope) -> Option<HeaderValue> {
        let known = self.known();
        if known.basic {
            return self.credentials.as_ref().map(Credentials::header);
        }
        let token = known.tokens.get(scope)?;
        (Instant::now() < token.until).then(|| token.header.clone())
    }

    /// Forgets a token that the upstream refused.
    pub(super) fn forget(&self, scope: &Scope, refused: Option<&HeaderValue>) {
        let mut known = self.known();
        if known.tokens.get(scope).is_some_and(|token| Some(&token.header) == refused) {
            known.tokens.remove(scope);
        }
    }

    /// Remembers that this upstream wants Basic; `false` when we have nothing to show.
    pub(super) fn use_basic(&self) -> bool {
        self.known().basic = self.credentials.is_some();
        self.credentials.is_some()
    }

    /// Where and how to ask for a token.
    ///
    /// Credentials go to the realm that the upstream names, as the Docker token flow has it, but
    /// never from an encrypted upstream to a realm that is not.
    pub(super) fn token_ask(
        &self,
        base: &Url,
        challenge: &Challenge,
        scope: &Scope,
    ) -> Result<TokenAsk, Error> {
        let refused = |reason: &str| Error::UpstreamFailed {
            operation: "asking for a token",
            reason: reason.to_owned(),
        };
        let Challenge::Bearer { realm, service, .. } = challenge else {
            return Err(refused("the upstream does not hand out tokens"));
        };
        let mut url = base.join(realm).map_err(|_| refused("its realm is not an address"))?;
        let secure = url.scheme() == "https" || (url.scheme() == "http" && base.scheme() == "http");
        if !secure {
            return Err(refused("its realm is not encrypted, but it is"));
        }
        url.query_pairs_mut()
            .extend_pairs(service.iter().map(|service| ("service", service.as_str())))
            .extend_pairs(scope.parameters().iter().map(|scope| ("scope", scope.as_str())));
        Ok(TokenAsk { url, authorization: self.credentials.as_ref().map(Credentials::header) })
    }

    /// Keeps the token in an answer.
    pub(super) fn learn(&self, scope: &Scope, answer: &Bytes) -> Result<HeaderValue, Error> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        let malformed = || Error::UpstreamFailed {
            operation: "asking for a token",
            reason: "the answer holds no token".to_owned(),
        };
        let answer: Answer = serde_json::from_slice(answer).map_err(|_| malformed())?;
        let token = answer.access_token.or(answer.token).ok_or_else(malformed)?;
        let lifetime = answer.expires_in.map(Duration::from_secs);
        let lifetime = lifetime.or_else(|| jwt_lifetime(&token)).unwrap_or(TOKEN_LIFETIME);
        let header = sensitive(&format!("Bearer {token}"));
        let mut known = self.known();
        if known.tokens.len() >= TOKENS_MAX {
            let now = Instant::now();
            known.tokens.retain(|_, token| now < token.until);
        }
        if known.tokens.len() < TOKENS_MAX {
            let until = Instant::now() + lifetime.saturating_sub(TOKEN_MARGIN);
            known.tokens.insert(scope.clone(), Token { header: header.clone(), until });
        }
        Ok(header)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left of a token's life, from its `exp` claim: ACR says it nowhere else. The token is not
/// verified; it is ours to use, not to trust.
fn jwt_lifetime(token: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Duration::from_secs(claims.exp).checked_sub(now)
}

/// A header that `Debug` does not show. A token that cannot be a header is sent as an empty one,
/// which the upstream refuses.
fn sensitive(text: &str) -> HeaderValue {
    let mut header = HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// One key for everything that the same token serves.
pub(super) type TokenFlights = Arc<crate::flights::Flights<Scope, HeaderValue>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope::repo(&"a/b".parse().unwrap(), Access::Push)
    }

    fn bearer(realm: &str) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: Some("s".to_owned()), scope: None }
    }

    #[tokio::test]
    async fn a_token_is_used_until_its_expiry_and_forgotten_when_refused() {
        let auth = Auth::new(None);
        assert!(auth.header(&scope()).is_none());
        let answer = Bytes::from_static(b"{\"access_token\":\"t1\",\"expires_in\":60}");
        let header = auth.learn(&scope(), &answer).unwrap();
        assert_eq!(auth.header(&scope()), Some(header.clone()));
        auth.forget(&scope(), Some(&header));
        assert!(auth.header(&scope()).is_none());
        let short = Bytes::from_static(b"{\"token\":\"t2\",\"expires_in\":1}");
        auth.learn(&scope(), &short).unwrap();
        assert!(auth.header(&scope()).is_none());
        assert!(auth.learn(&scope(), &Bytes::from_static(b"{}")).is_err());
    }

    #[test]
    fn credentials_never_leave_an_encrypted_upstream_unencrypted() {
        let auth = Auth::new(Some(Credentials { username: "u".into(), password: "p".into() }));
        let secure = Url::parse("https://r.example").unwrap();
        assert!(auth.token_ask(&secure, &bearer("http://r.example/token"), &scope()).is_err());
        let ask = auth.token_ask(&secure, &bearer("https://t.example/token"), &scope()).unwrap();
        let query = ask.url.query().unwrap();
        assert!(
            query.contains("service=s") && query.contains("scope=repository%3Aa%2Fb%3Apull%2Cpush")
        );
        assert!(ask.authorization.unwrap().is_sensitive());
    }

    #[test]
    fn debug_output_hides_secrets() {
        let credentials = Credentials { username: "u".into(), password: "hunter2".into() };
        assert!(!format!("{credentials:?}").contains("hunter2"));
        assert!(!format!("{:?}", credentials.header()).contains("dTpo"));
    }

    #[test]
    fn the_life_of_an_acr_token_is_in_its_claims() {
        let exp =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
                + 1000;
        let payload = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}"));
        let lifetime = jwt_lifetime(&format!("h.{payload}.s")).unwrap();
        assert!((990..=1000).contains(&lifetime.as_secs()));
        assert_eq!(jwt_lifetime("opaque"), None);
    }
}
