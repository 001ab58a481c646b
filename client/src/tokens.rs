//! Fetches a token from the realm of a registry's challenge, and exchanges an Entra token.
//!
//! Invariant: one request for all that wait for the same scope; the text of a token endpoint's
//! answer is never repeated, because it may hold the credentials.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::Response;
use hyper::body::Incoming;
use wharf_oci::{ErrorCode, Secret};

use crate::ClientError;
use crate::auth::{ASKING, Auth, EXCHANGING, Form, refresh_token};
use crate::challenge::Challenge;
use crate::credentials::{LoginProof, host};
use crate::error::failed;
use crate::payload::Payload;
use crate::retry::{self, RetryDecision};
use crate::scope::Scope;
use crate::state::TokenResult;
use crate::transport::{RegistryRequest, Transport};

/// The path where ACR exchanges an Entra token for a refresh token.
const EXCHANGE: &str = "/oauth2/exchange";

impl Transport {
    /// The header to send without a challenge. A token in the last part of its life is renewed in
    /// the background, so that no request waits for it.
    pub(crate) fn shown(&self, scope: &Scope) -> Option<HeaderValue> {
        if let Some(challenge) = self.auth.due(scope) {
            let (wire, scope) = (self.clone(), scope.clone());
            tokio::spawn(async move {
                if let Err(error) = wire.token(challenge, &scope, Want::Newer).await {
                    tracing::debug!(upstream = wire.address(), %error, "a token was not renewed");
                }
            });
        }
        self.auth.header(scope)
    }

    /// The header to send after a 401; `None` when there is no other.
    pub(crate) async fn after_challenge(
        &self,
        challenge: Challenge,
        scope: &Scope,
        shown: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, ClientError> {
        if challenge == Challenge::Basic {
            return self.basic(shown).await;
        }
        let header = self.token(challenge.clone(), scope, Want::Any).await?;
        if Some(&header) != shown {
            return Ok(Some(header));
        }
        // The cached answer was meant for earlier requests.
        self.auth.forget(scope, shown);
        self.token(challenge, scope, Want::Any).await.map(Some)
    }

    /// User and password; a new pair when the current one was refused.
    async fn basic(&self, shown: Option<&HeaderValue>) -> Result<Option<HeaderValue>, ClientError> {
        let is_shown =
            |proof: &LoginProof| matches!(proof, LoginProof::Basic(h) if Some(h) == shown);
        let refused = self.auth.basic().filter(|held| is_shown(&held.proof));
        let held = self.proof(refused.as_ref()).await?;
        match &held.proof {
            LoginProof::Basic(header) if !is_shown(&held.proof) => {
                let header = header.clone();
                self.auth.use_basic(held);
                Ok(Some(header))
            }
            LoginProof::Basic(_) | LoginProof::Nothing | LoginProof::Refresh(_) => Ok(None),
        }
    }

    /// A token for this scope: one request for all that wait for the same.
    async fn token(
        &self,
        challenge: Challenge,
        scope: &Scope,
        want: Want,
    ) -> Result<HeaderValue, ClientError> {
        let (wire, wanted) = (self.clone(), scope.clone());
        let asked = self.token_flights.ask(&self.party, scope.clone(), |promise| async move {
            // Another request may have fetched it since the refusal.
            let known = wire.auth.token(&wanted).filter(|_| want == Want::Any);
            if let Some(header) = known {
                return promise.keep(Ok(header));
            }
            let fetched = wire.fetch_token(&challenge, &wanted).await;
            wire.counts().token(match (&fetched, want) {
                (Ok(_), Want::Any) => TokenResult::Fetched,
                (Ok(_), Want::Newer) => TokenResult::Renewed,
                (Err(_), _) => TokenResult::Failed,
            });
            promise.keep(fetched);
        });
        // Rare, and boxed to keep the futures of senders small.
        Box::pin(asked).await.map(|(header, _)| header)
    }

    /// A token for this scope that is fetched now, regardless of the cache.
    pub(crate) async fn newer_token(
        &self,
        challenge: Challenge,
        scope: &Scope,
    ) -> Result<HeaderValue, ClientError> {
        if self.is_aside {
            // Not as a task of its own: the request ends with its caller's timeout.
            return self.fetch_token(&challenge, scope).await;
        }
        self.token(challenge, scope, Want::Newer).await
    }

    /// Fetches a new token. A refused login is renewed once.
    async fn fetch_token(
        &self,
        challenge: &Challenge,
        scope: &Scope,
    ) -> Result<HeaderValue, ClientError> {
        let held = self.proof(None).await?;
        let first = self.buy_token(challenge, scope, &held.proof).await;
        let Err(refused @ ClientError::Denied { status }) = first else { return first };
        if status == StatusCode::FORBIDDEN {
            return Err(refused);
        }
        let renewed = self.proof(Some(&held)).await?;
        if renewed.number == held.number {
            return Err(refused);
        }
        self.buy_token(challenge, scope, &renewed.proof).await
    }

    async fn buy_token(
        &self,
        challenge: &Challenge,
        scope: &Scope,
        proof: &LoginProof,
    ) -> Result<HeaderValue, ClientError> {
        let token_ask = Auth::token_ask(&self.base, challenge, scope, proof)?;
        let ask = match token_ask.form {
            Some(form) => RegistryRequest::post(token_ask.url, scope.clone(), form),
            None => RegistryRequest::new(Method::GET, token_ask.url, scope.clone()),
        };
        let answer = self.ask_endpoint(&ask, token_ask.authorization, ASKING).await?;
        self.auth.learn(scope, challenge, &answer)
    }

    /// The registry's own refresh token in exchange for an Entra token.
    pub(crate) async fn exchange(
        &self,
        entra: &Secret,
        tenant: Option<&str>,
    ) -> Result<Secret, ClientError> {
        let form = Form::new("access_token").field("service", host(&self.base));
        let form = tenant.into_iter().fold(form, |form, tenant| form.field("tenant", tenant));
        let form = form.field("access_token", entra.expose());
        let ask = RegistryRequest::post(self.url(EXCHANGE), Scope::nothing(), form);
        refresh_token(&self.ask_endpoint(&ask, None, EXCHANGING).await?)
    }

    /// The answer of a token endpoint, after retries.
    async fn ask_endpoint(
        &self,
        ask: &RegistryRequest,
        authorization: Option<HeaderValue>,
        operation: &'static str,
    ) -> Result<Bytes, ClientError> {
        let response = self.in_tries(ask, authorization, operation).await?;
        let status = response.status();
        if status.is_success() {
            return self.collect_short(response, operation).await;
        }
        Err(self.endpoint_refusal(status, operation))
    }

    /// The answer to exactly this request, with any status, after retries.
    pub(crate) async fn in_tries(
        &self,
        ask: &RegistryRequest,
        authorization: Option<HeaderValue>,
        operation: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut tries = 1;
        loop {
            let response = self.once(ask, authorization.clone(), operation).await?;
            let status = response.status();
            match retry::judge(status, response.headers(), tries) {
                RetryDecision::Again(wait) if self.is_aside => {
                    return if retry::is_busy(status, response.headers()) {
                        Err(ClientError::Busy { retry_after_seconds: wait.as_secs().max(1) })
                    } else {
                        Ok(response)
                    };
                }
                RetryDecision::Again(wait) => {
                    tracing::debug!(upstream = self.address(), operation, %status, "trying again");
                    tokio::time::sleep(wait).await;
                }
                RetryDecision::Busy { retry_after_seconds } => {
                    return Err(ClientError::Busy { retry_after_seconds });
                }
                RetryDecision::Stands => return Ok(response),
            }
            tries += 1;
        }
    }

    /// The error for a token endpoint's refusal, from its status alone.
    fn endpoint_refusal(&self, status: StatusCode, operation: &'static str) -> ClientError {
        tracing::debug!(upstream = self.address(), operation, %status, "refused");
        let denied = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        if denied.contains(&status) {
            return ClientError::Denied { status };
        }
        if status.is_server_error() {
            let message = "its token endpoint failed".to_owned();
            return ClientError::Refused { status, code: ErrorCode::Unknown, message };
        }
        failed(operation, format!("its token endpoint answered {status}"))
    }
}

/// The requirement on a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// Any good token.
    Any,
    /// A token that lives longer than the current one.
    Newer,
}

impl RegistryRequest {
    /// A form to a token endpoint.
    fn post(url: url::Url, scope: Scope, form: Form) -> Self {
        let mut ask = Self::new(Method::POST, url, scope);
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        ask.headers.insert(header::CONTENT_TYPE, form_type);
        ask.body = Payload::Bytes(form.finish());
        ask
    }
}
