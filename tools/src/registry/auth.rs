//! Tokens and passwords for one registry: learnt from its challenge, kept until they expire, asked
//! for again when it says 401.
//!
//! Invariant: a password goes only to the registry's token service, over TLS unless the registry
//! itself is spoken to in plain HTTP; neither password nor token ever shows in a message or `Debug`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::Mutex;
use wharf_client::challenge::{self, Challenge};
use wharf_client::limits::{TOKEN_LIFETIME, TOKEN_MARGIN};
use wharf_client::retry::{is_temporary, retry_after};
use wharf_client::token_lifetime;
use wharf_oci::RepoName;

use super::error::RegistryError;
use super::retry::{Budget, Policy};
use super::transport::Transport;
use super::{error_message, network_error};
use crate::credentials::Login;

/// Largest answer of a token service.
const TOKEN_BYTES_MAX: usize = 256 * 1024;

/// How many tokens are kept; one run touches few repositories.
const TOKENS_MAX: usize = 1024;

/// The permissions a request needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TokenScope(Vec<String>);

impl TokenScope {
    /// To read a repository.
    pub(super) fn pull(repo: &RepoName) -> Self {
        Self(vec![format!("repository:{repo}:pull")])
    }

    /// For a request that needs no token.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// To lock what is in a repository; ACR's own action.
    pub(super) fn lock(repo: &RepoName) -> Self {
        Self(vec![format!("repository:{repo}:metadata_write")])
    }

    /// To write to a repository, and to mount from others.
    pub(super) fn push(repo: &RepoName, mount_from: &[RepoName]) -> Self {
        let mut scopes = vec![format!("repository:{repo}:pull,push")];
        scopes.extend(mount_from.iter().map(|from| format!("repository:{from}:pull")));
        Self(scopes)
    }
}

impl std::fmt::Display for TokenScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Our identity towards one registry.
pub(super) struct Authenticator {
    /// The registry as messages call it.
    registry: String,
    plain_http: bool,
    login: Option<Login>,
    policy: Policy,
    /// Held during the fetch of a token, so that many requests fetch it once.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    tokens: BTreeMap<TokenScope, Token>,
}

struct Token {
    header: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Authenticator {
    pub(super) fn new(
        registry: String,
        plain_http: bool,
        login: Option<Login>,
        policy: Policy,
    ) -> Self {
        Self { registry, plain_http, login, policy, state: Mutex::default() }
    }

    /// The header to send, `None` as long as the registry asked for nothing.
    pub(super) async fn header(
        &self,
        transport: &Transport,
        scope: &TokenScope,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let mut state = self.state.lock().await;
        match state.challenge.clone() {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.login.as_ref().and_then(basic_header)),
            Some(Challenge::Bearer { realm, service, .. }) => {
                if let Some(token) = state.tokens.get(scope)
                    && token.until > Instant::now()
                {
                    return Ok(Some(token.header.clone()));
                }
                let token = self.fetch(transport, &realm, service.as_deref(), scope).await?;
                let header = token.header.clone();
                if state.tokens.len() >= TOKENS_MAX {
                    state.tokens.clear();
                }
                state.tokens.insert(scope.clone(), token);
                Ok(Some(header))
            }
        }
    }

    /// Notes a 401: the registry's challenge, and the refusal of this header.
    pub(super) async fn refused(
        &self,
        headers: &HeaderMap,
        scope: &TokenScope,
        used: Option<&HeaderValue>,
    ) -> Result<(), RegistryError> {
        let challenge = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| challenge::parse(value.to_str().ok()?))
            .max_by_key(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let mut state = self.state.lock().await;
        match (challenge, &state.challenge) {
            (Some(challenge), _) => state.challenge = Some(challenge),
            (None, Some(_)) => {}
            (None, None) => {
                return Err(self.unauthorized(scope, "it does not say how to authenticate"));
            }
        }
        // Another request may have fetched a newer token in the meantime.
        if state.tokens.get(scope).is_some_and(|token| Some(&token.header) == used) {
            state.tokens.remove(scope);
        }
        Ok(())
    }

    pub(super) fn unauthorized(&self, scope: &TokenScope, message: &str) -> RegistryError {
        let anonymous = "no credentials were found";
        let message = match (&self.login, message) {
            (None, "") => anonymous.to_owned(),
            (None, message) => format!("{message}; {anonymous}"),
            (Some(_), message) => message.to_owned(),
        };
        let registry = self.registry.clone();
        RegistryError::Unauthorized { registry, scope: scope.to_string(), message }
    }

    async fn fetch(
        &self,
        transport: &Transport,
        realm: &str,
        service: Option<&str>,
        scope: &TokenScope,
    ) -> Result<Token, RegistryError> {
        let protocol = |reason: &str| RegistryError::Protocol {
            url: self.registry.clone(),
            reason: format!("its token service {reason}"),
        };
        let uri: Uri = realm.parse().map_err(|_| protocol("has a malformed address"))?;
        if uri.scheme_str() != Some("https") && !self.plain_http {
            return Err(protocol("is not reached over https"));
        }
        let mut budget = Budget::new(self.policy);
        loop {
            let answer = self.ask(transport, &uri, service, scope).await;
            let (asked, last) = match answer {
                Ok(mut response) if response.status() == StatusCode::OK => {
                    let body = transport.whole(&uri, response.body_mut(), TOKEN_BYTES_MAX).await?;
                    let body = body.ok_or_else(|| protocol("answers without end"))?;
                    return token_of(&body).ok_or_else(|| protocol("gives out no token"));
                }
                Ok(mut response) => {
                    let status = response.status();
                    let message = error_message(transport, &uri, response.body_mut()).await;
                    if !is_temporary(status) {
                        return Err(self.unauthorized(scope, &format!("{status} {message}")));
                    }
                    let asked = retry_after(response.headers());
                    (asked, network_error(&Method::GET, &uri, &format!("{status} {message}")))
                }
                Err(error) if error.is_transient() => (None, error),
                Err(error) => return Err(error),
            };
            let Some(pause) = budget.failed(asked) else {
                return Err(RegistryError::Exhausted {
                    method: Method::GET,
                    url: super::transport::shown(&uri),
                    attempts: budget.tried(),
                    last: last.to_string(),
                });
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One question to the token service: GET with a password, POST with an identity token.
    async fn ask(
        &self,
        transport: &Transport,
        uri: &Uri,
        service: Option<&str>,
        scope: &TokenScope,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut query = String::new();
        let mut add = |name: &str, value: &str| {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            query.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        };
        if let Some(service) = service {
            add("service", service);
        }
        for scope in &scope.0 {
            add("scope", scope);
        }
        let mut headers = HeaderMap::new();
        if let Some(Login::IdentityToken(token)) = &self.login {
            add("grant_type", "refresh_token");
            add("client_id", "wharf");
            add("refresh_token", token.expose());
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
            return transport.send(&Method::POST, uri, headers, Bytes::from(query)).await;
        }
        if let Some(basic) = self.login.as_ref().and_then(basic_header) {
            headers.insert(AUTHORIZATION, basic);
        }
        let separator = if uri.query().is_some() { '&' } else { '?' };
        let asked = format!("{uri}{separator}{query}");
        let asked: Uri = asked.parse().map_err(|_| RegistryError::Protocol {
            url: self.registry.clone(),
            reason: "its token service has a malformed address".to_owned(),
        })?;
        transport.send(&Method::GET, &asked, headers, Bytes::new()).await
    }
}

fn basic_header(login: &Login) -> Option<HeaderValue> {
    let Login::Basic { username, password } = login else { return None };
    let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
    sensitive(&format!("Basic {pair}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn token_of(body: &[u8]) -> Option<Token> {
    let answer: TokenAnswer = serde_json::from_slice(body).ok()?;
    let token = answer.access_token.or(answer.token).filter(|token| !token.is_empty())?;
    // ACR says the end of a token in the token alone.
    let lifetime = answer.expires_in.map(Duration::from_secs).or_else(|| token_lifetime(&token));
    let lifetime = lifetime.unwrap_or(TOKEN_LIFETIME).min(Duration::from_hours(24));
    Some(Token {
        header: sensitive(&format!("Bearer {token}"))?,
        until: Instant::now() + lifetime.saturating_sub(TOKEN_MARGIN),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::SystemTime;

    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    /// For how long a token of this answer is used, in seconds.
    fn used_for(answer: &str) -> u64 {
        let until = token_of(answer.as_bytes()).unwrap().until;
        until.saturating_duration_since(Instant::now()).as_secs()
    }

    #[test]
    fn a_token_is_used_until_shortly_before_the_end_that_it_or_its_service_says() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{}}}", now + 4_500));
        let of_acr = format!("{{\"access_token\":\"e30.{claims}.x\"}}");
        assert!((4_400..4_500).contains(&used_for(&of_acr)), "{}", used_for(&of_acr));
        let said = used_for("{\"token\":\"opaque\",\"expires_in\":300}");
        assert!((200..300).contains(&said), "{said}");
        let unsaid = used_for("{\"token\":\"opaque\"}");
        assert!(unsaid < TOKEN_LIFETIME.as_secs(), "{unsaid}");
    }
}
