//! A caller's rights at a registry, found by requests with the caller's login. For `passthrough`
//! access only; `access/passthrough.rs` decides how long an answer counts.
//!
//! Invariant: only the registry's answer grants a right: a token that names the right, or a
//! successful request that needs it. "Not found" grants nothing: some registries answer it for
//! hidden content.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use wharf_oci::{Endpoint, RepoName};

use crate::ClientError;
use crate::challenge::{self, Challenge};
use crate::client::Client;
use crate::client::Urgency;
use crate::error::failed;
use crate::limits::PERMIT_TIME;
use crate::scope::{Scope, ScopeAction};
use crate::transport::{RegistryRequest, Transport};

const ASKING: &str = "asking for leave";

/// The right a caller needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RequestedRight {
    /// To log in.
    Login,
    /// To list repositories.
    Catalog,
    /// An action on a repository, by its name at the registry.
    Repo(RepoName, ScopeAction),
}

/// The registry's answer about a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbedRight {
    /// The caller has the right.
    Granted,
    /// The registry knows the caller, who lacks the right.
    Denied,
    /// The repository is missing, or hidden from the caller.
    Absent,
    /// The registry does not know the caller.
    Stranger,
}

impl RequestedRight {
    fn scope(&self) -> Scope {
        match self {
            Self::Login => Scope::nothing(),
            Self::Catalog => Scope::catalog(),
            Self::Repo(repo, access) => Scope::repo(repo, *access),
        }
    }
}

impl Client {
    /// Whether the login of this view has a right, and for how long at most the answer holds.
    pub async fn permit(
        &self,
        wish: &RequestedRight,
    ) -> Result<(ProbedRight, Duration), ClientError> {
        let challenge = self.wire.challenge().await?;
        let scope = wish.scope();
        let Challenge::Bearer { .. } = &challenge else {
            // The login is sent from the first request on: an anonymous success would not prove the
            // login.
            self.wire.after_challenge(Challenge::Basic, &scope, None).await?;
            let permit = self.prove(wish, &challenge).await?;
            return Ok((permit, PERMIT_TIME));
        };
        match self.wire.token_anew(&challenge, &scope).await {
            Ok(token) => {
                let permit = match (wish, granted(&token, wish)) {
                    // A login has no right beyond receiving a token.
                    (RequestedRight::Login, _) | (_, Some(true)) => ProbedRight::Granted,
                    (_, Some(false)) => ProbedRight::Denied,
                    (_, None) => self.prove(wish, &challenge).await?,
                };
                if permit != ProbedRight::Granted {
                    self.wire.auth.forget(&scope, Some(&token));
                }
                let life = match permit {
                    ProbedRight::Granted => self.wire.auth.remaining(&scope).min(PERMIT_TIME),
                    ProbedRight::Denied | ProbedRight::Absent | ProbedRight::Stranger => {
                        PERMIT_TIME
                    }
                };
                Ok((permit, life))
            }
            Err(ClientError::Denied { .. }) => {
                self.wire.auth.forget_all(&scope);
                let permit = match wish {
                    RequestedRight::Login => ProbedRight::Stranger,
                    RequestedRight::Catalog | RequestedRight::Repo(..) => {
                        self.refused(&challenge).await?
                    }
                };
                Ok((permit, PERMIT_TIME))
            }
            Err(error) => Err(error),
        }
    }

    /// Explains a refusal: the registry does not know the login, or denies it the right.
    async fn refused(&self, challenge: &Challenge) -> Result<ProbedRight, ClientError> {
        let known = match challenge {
            Challenge::Basic => self.status(Method::GET, "/v2/", Scope::nothing()).await?,
            Challenge::Bearer { .. } => {
                match self.wire.token_anew(challenge, &Scope::nothing()).await {
                    Ok(_) => StatusCode::OK,
                    Err(ClientError::Denied { status }) => status,
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(if known.is_success() { ProbedRight::Denied } else { ProbedRight::Stranger })
    }

    /// Sends a request to the registry that needs the right. A deletion cannot be tried, so a
    /// caller with the right to read passes, and the registry decides at the deletion itself.
    async fn prove(
        &self,
        wish: &RequestedRight,
        challenge: &Challenge,
    ) -> Result<ProbedRight, ClientError> {
        let scope = wish.scope();
        let status = match wish {
            RequestedRight::Login => self.status(Method::GET, "/v2/", scope).await?,
            // Some registries answer every caller with the repositories visible to it; this program
            // lists all.
            RequestedRight::Catalog => return Ok(ProbedRight::Denied),
            RequestedRight::Repo(repo, ScopeAction::Push) => self.try_upload(repo).await?,
            RequestedRight::Repo(
                repo,
                ScopeAction::Pull | ScopeAction::Delete | ScopeAction::Metadata,
            ) => {
                let endpoint = Endpoint::Tags { repo: repo.clone() };
                let scope = Scope::repo(repo, ScopeAction::Pull);
                self.status(Method::GET, &format!("{endpoint}?n=1"), scope).await?
            }
        };
        match status {
            status if status.is_success() => Ok(ProbedRight::Granted),
            StatusCode::NOT_FOUND if *wish != RequestedRight::Login => Ok(ProbedRight::Absent),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if *wish == RequestedRight::Login => {
                Ok(ProbedRight::Stranger)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.refused(challenge).await,
            status => Err(failed(ASKING, format!("an answer that says neither: {status}"))),
        }
    }

    /// The status of an answer, with its body discarded.
    async fn status(
        &self,
        method: Method,
        path: &str,
        scope: Scope,
    ) -> Result<StatusCode, ClientError> {
        let ask = RegistryRequest::new(method, self.wire.url(path), scope);
        match self.wire.answer(&ask, ASKING).await {
            Ok(response) => {
                let status = response.status();
                self.wire.drain(response, ASKING).await?;
                Ok(status)
            }
            Err(ClientError::Denied { status }) => Ok(status),
            Err(error) => Err(error),
        }
    }

    /// Opens an upload and cancels it.
    async fn try_upload(&self, repo: &RepoName) -> Result<StatusCode, ClientError> {
        match self.open_upload(repo, None, Urgency::Patient).await {
            Ok(push) => {
                push.cancel().await;
                Ok(StatusCode::ACCEPTED)
            }
            Err(ClientError::Denied { status } | ClientError::Refused { status, .. }) => Ok(status),
            Err(error) => Err(error),
        }
    }
}

impl Transport {
    /// The registry's challenge to a request without credentials.
    async fn challenge(&self) -> Result<Challenge, ClientError> {
        if let Some(known) = self.known_challenge() {
            return Ok(known);
        }
        let ask = RegistryRequest::new(Method::GET, self.url("/v2/"), Scope::nothing());
        let response = self.guarded(ask.url.path(), self.in_tries(&ask, None, ASKING)).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => {}
            status if status.is_success() => {
                return Err(failed(ASKING, "it wants no login, so callers cannot be told apart"));
            }
            _ => return Err(self.refusal(response, ASKING).await),
        }
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
        let challenges = challenges.filter_map(|value| challenge::parse(value.to_str().ok()?));
        let wanted = challenges.max_by_key(|c| matches!(c, Challenge::Bearer { .. }));
        let wanted = wanted.ok_or_else(|| failed(ASKING, "it wants a login of an unknown kind"))?;
        self.learn_challenge(&wanted);
        Ok(wanted)
    }

    /// A new token, even when a valid one is cached.
    async fn token_anew(
        &self,
        challenge: &Challenge,
        scope: &Scope,
    ) -> Result<HeaderValue, ClientError> {
        let path = match challenge {
            Challenge::Bearer { realm, .. } => realm,
            Challenge::Basic => "/v2/",
        };
        self.guarded(path, self.newer_token(challenge.clone(), scope)).await
    }
}

/// Whether a token names the requested right; `None` when the token is opaque. Its signature is not
/// verified: it comes from the registry itself.
fn granted(header: &HeaderValue, wish: &RequestedRight) -> Option<bool> {
    #[derive(Deserialize)]
    struct Claims {
        access: Vec<Grant>,
    }
    #[derive(Deserialize)]
    struct Grant {
        #[serde(rename = "type", alias = "Type")]
        kind: String,
        #[serde(alias = "Name")]
        name: String,
        #[serde(default, alias = "Actions")]
        actions: Vec<String>,
    }
    let token = header.to_str().ok()?.strip_prefix("Bearer ")?;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let (kind, name, action) = match wish {
        RequestedRight::Login => return Some(true),
        RequestedRight::Catalog => ("registry", "catalog", "*"),
        RequestedRight::Repo(repo, access) => ("repository", repo.as_str(), access.as_action()),
    };
    let about = |grant: &&Grant| grant.kind == kind && grant.name == name;
    let allows = |grant: &Grant| grant.actions.iter().any(|one| one == action || one == "*");
    Some(claims.access.iter().filter(about).any(allows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> HeaderValue {
        let text = format!("Bearer e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        HeaderValue::from_str(&text).unwrap()
    }

    fn wish(access: ScopeAction) -> RequestedRight {
        RequestedRight::Repo("acme/web".parse().unwrap(), access)
    }

    #[test]
    fn a_token_is_read_in_the_words_of_acr_and_of_docker() {
        let docker = r#"{"access":[{"type":"repository","name":"acme/web","actions":["pull"]}]}"#;
        let acr = r#"{"access":[{"Type":"repository","Name":"acme/web","Actions":["pull"]}]}"#;
        for claims in [docker, acr] {
            let token = token(claims);
            assert_eq!(granted(&token, &wish(ScopeAction::Pull)), Some(true));
            assert_eq!(granted(&token, &wish(ScopeAction::Push)), Some(false));
            assert_eq!(granted(&token, &RequestedRight::Catalog), Some(false));
            let other = RequestedRight::Repo("acme/we".parse().unwrap(), ScopeAction::Pull);
            assert_eq!(granted(&token, &other), Some(false));
        }
        let all = r#"{"access":[{"type":"registry","name":"catalog","actions":["*"]},
            {"type":"repository","name":"acme/web","actions":["*"]}]}"#;
        assert_eq!(granted(&token(all), &RequestedRight::Catalog), Some(true));
        assert_eq!(granted(&token(all), &wish(ScopeAction::Delete)), Some(true));
        assert_eq!(granted(&token(r#"{"access":[]}"#), &wish(ScopeAction::Pull)), Some(false));
    }

    #[test]
    fn a_token_that_does_not_say_is_no_answer() {
        for claims in ["{}", r#"{"access":null}"#, r#"{"access":"all"}"#, "[]", "rubbish"] {
            assert_eq!(granted(&token(claims), &wish(ScopeAction::Pull)), None, "{claims}");
        }
        let opaque = HeaderValue::from_static("Bearer opaque");
        assert_eq!(granted(&opaque, &wish(ScopeAction::Pull)), None);
    }
}
