//! HTTP to one upstream: connections, tries, tokens, redirects. The only HTTP client of the proxy
//! but for Entra ID's (`credentials/entra.rs`).
//!
//! Invariant: `Authorization` is sent to the upstream's own address and to nobody else, whatever a
//! redirect or a Location says.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::Response;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;
use wharf_oci::{ErrorBody, ErrorCode};

use super::auth::{Auth, Scope, TokenFlights};
use super::challenge::{self, Challenge};
use super::credentials::Credentials;
use super::retry::{self, Verdict};
use super::{collect, failed, text};
use crate::Error;
use crate::body::Body;
use crate::config::{ConfigError, UpstreamConfig};
use crate::flights::Flights;
use crate::limits::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, QUESTIONS_MAX, REDIRECTS_MAX, TRIES_MAX};

type HttpClient = Client<HttpsConnector<HttpConnector>, Body>;

/// A clone shares connections and tokens.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) base: Url,
    address: String,
    http: HttpClient,
    pub(super) auth: Arc<Auth>,
    pub(super) token_flights: TokenFlights,
}

/// One request, as often as it takes: its body can be sent again.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) scope: Scope,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<Bytes>,
    /// Whether a broken connection or a temporary refusal is answered by sending it again here. A
    /// chunk is not: its sender must first learn how much arrived.
    pub(super) repeat: bool,
}

impl Ask {
    pub(super) fn new(method: Method, url: Url, scope: Scope) -> Self {
        Self { method, url, scope, headers: HeaderMap::new(), body: Vec::new(), repeat: true }
    }
}

/// A header value from text that was parsed before.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl Wire {
    pub(super) fn new(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config.tls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self {
            base: config.url.clone(),
            address: config.url.as_str().trim_end_matches('/').to_owned(),
            http,
            auth: Arc::new(Auth::new(Credentials::new(config)?)),
            token_flights: Arc::new(Flights::new(QUESTIONS_MAX, "token requests")),
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The address of a rendered endpoint.
    pub(super) fn url(&self, path_and_query: &str) -> Url {
        self.base.join(path_and_query).unwrap_or_else(|_| self.base.clone())
    }

    /// Sends a request; every answer but a success is an error. Redirects are not followed.
    pub(super) async fn send(
        &self,
        ask: Ask,
        operation: &'static str,
    ) -> Result<Response<Incoming>, Error> {
        let response = self.answer(&ask, operation).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response, operation).await)
    }

    /// The same for reads, with redirects followed. A redirect link expires, so it is never kept.
    pub(super) async fn follow(
        &self,
        mut ask: Ask,
        operation: &'static str,
    ) -> Result<Response<Incoming>, Error> {
        for _ in 0..=REDIRECTS_MAX {
            let response = self.answer(&ask, operation).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let target =
                text(response.headers(), header::LOCATION).filter(|_| status.is_redirection());
            let Some(target) = target else {
                return Err(self.refusal(response, operation).await);
            };
            let url =
                ask.url.join(target).map_err(|_| failed(operation, "a redirect to no address"))?;
            let downgrade = self.base.scheme() == "https" && url.scheme() != "https";
            if downgrade || !matches!(url.scheme(), "http" | "https") {
                return Err(failed(operation, "a redirect to an address that is not encrypted"));
            }
            ask.url = url;
        }
        Err(failed(operation, "too many redirects"))
    }

    /// The answer, whatever it says, after tokens and repetitions.
    pub(super) async fn answer(
        &self,
        ask: &Ask,
        operation: &'static str,
    ) -> Result<Response<Incoming>, Error> {
        let mut tries = 1;
        loop {
            let (wait, outcome) = match self.authorized(ask, operation).await {
                Err(error @ Error::UpstreamFailed { .. }) if ask.repeat && tries < TRIES_MAX => {
                    (retry::pause(tries), Err(error))
                }
                Err(error) => return Err(error),
                Ok(response) => match retry::judge(response.status(), response.headers(), tries) {
                    Verdict::Again(wait) if ask.repeat => (wait, Ok(response)),
                    // Who may not be repeated here still learns for how long to wait.
                    Verdict::Again(wait) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
                        return Err(Error::UpstreamBusy {
                            retry_after_seconds: wait.as_secs().max(1),
                        });
                    }
                    Verdict::Busy { retry_after_seconds } => {
                        return Err(Error::UpstreamBusy { retry_after_seconds });
                    }
                    Verdict::Stands | Verdict::Again(_) => return Ok(response),
                },
            };
            let reason = match outcome {
                Ok(response) => response.status().to_string(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(upstream = self.address, operation, reason, tries, "trying again");
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    /// One try, with a token fetched and the request repeated once when the upstream asks for it.
    async fn authorized(
        &self,
        ask: &Ask,
        operation: &'static str,
    ) -> Result<Response<Incoming>, Error> {
        if !self.is_own(&ask.url) {
            return self.once(ask, None, operation).await;
        }
        let shown = self.shown(&ask.scope);
        let response = self.once(ask, shown.clone(), operation).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.auth.forget(&ask.scope, shown.as_ref());
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges =
            challenges.iter().filter_map(|value| challenge::parse(value.to_str().ok()?));
        let Some(challenge) = challenges.max_by_key(|c| matches!(c, Challenge::Bearer { .. }))
        else {
            return Ok(response);
        };
        match self.after_challenge(challenge, &ask.scope, shown.as_ref()).await? {
            Some(header) => self.once(ask, Some(header), operation).await,
            None => Ok(response),
        }
    }

    pub(super) async fn once(
        &self,
        ask: &Ask,
        authorization: Option<HeaderValue>,
        operation: &'static str,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::builder().method(ask.method.clone()).uri(ask.url.as_str());
        if let Some(headers) = request.headers_mut() {
            headers.extend(ask.headers.clone());
            headers.insert(header::USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
            headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
            // A length always, even of nothing: ACR refuses bodies without one.
            if !matches!(ask.method, Method::GET | Method::HEAD) {
                let length: usize = ask.body.iter().map(Bytes::len).sum();
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        let request = request
            .body(Body::parts(ask.body.clone()))
            .map_err(|error| failed(operation, error))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.http.request(request)).await;
        let answer = answer.map_err(|_| failed(operation, "no answer in time"))?;
        answer.map_err(|error| failed(operation, chain(&error)))
    }

    /// What a refusal means: credentials, or the upstream's own words.
    pub(super) async fn refusal(
        &self,
        response: Response<Incoming>,
        operation: &'static str,
    ) -> Error {
        let status = response.status();
        tracing::debug!(upstream = self.address, operation, %status, "refused");
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Error::UpstreamDenied { status };
        }
        if !status.is_client_error() && !status.is_server_error() {
            return failed(operation, format!("an answer that makes no sense here: {status}"));
        }
        let body = collect(response, operation).await.unwrap_or_default();
        let entry = ErrorBody::parse(&body).and_then(|body| body.errors.into_iter().next());
        let (code, message) = entry.map_or_else(
            || (ErrorCode::Unknown, "no reason given".to_owned()),
            |entry| (entry.code.parse().unwrap_or(ErrorCode::Unknown), entry.message),
        );
        Error::UpstreamRefused { status, code, message }
    }

    /// Whether an address is the upstream's own: scheme, host and port.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }
}

/// An error with its causes, because the outer one says only "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}
