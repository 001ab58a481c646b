//! HTTP to one registry: tries and tokens. Redirects are in `redirects.rs`, connections in
//! `connect.rs`; Entra ID has a client of its own (`credentials/entra.rs`).
//!
//! Invariant: `Authorization` is sent to the registry's own address only, regardless of redirects
//! and Locations.

mod in_time;
mod login;
pub(crate) mod probe;
mod request;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::Response;
use hyper::body::Incoming;
use tokio::time::Instant;
use tracing::Instrument as _;
use url::Url;
use wharf_oci::{ErrorBody, ErrorCode, Login, RepoName};

use in_time::in_time;
pub(crate) use request::{RegistryRequest, RetryEffort};

use crate::ClientError;
use crate::auth::{Auth, TokenFlights};
use crate::breaker::{Breaker, FailedTry, FailureKind};
use crate::cancellations::Cancellations;
use crate::challenge::{self, Challenge};
use crate::chunks::ChunkSizes;
use crate::concurrency::{ConcurrencyLimit, ConcurrencyPermit, RequestClass};
use crate::connect::{self, HttpClient};
use crate::credentials::{LoginWork, RegistryCredentials};
use crate::egress;
use crate::egress::{EgressPolicy, Forbidden};
use crate::error::chain;
use crate::error::failed;
use crate::limits::{
    CALLER_WINDOW_SHARE, CHALLENGE_TIME, CHALLENGES_MAX, FLIGHTS_MAX, RETRY_AFTER_MAX,
    REVALIDATE_TIMEOUT, WRITE_TIMEOUT,
};
use crate::payload::Payload;
use crate::retry::{self, RetryDecision};
use crate::runtime::mutex::Mutex;
use crate::runtime::party::Party;
use crate::runtime::single_flight::SingleFlight;
use crate::settings::{Settings, Timeouts, UnusableLogin};
use crate::state::{ClientState, Counts};
use crate::traces::{self, Traces};

/// A clone shares connections, tokens and the registry's recorded state.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) base: Url,
    pub(crate) address: Arc<str>,
    http: HttpClient,
    /// The hosts that the registry may lead to.
    reach: EgressPolicy,
    pub(crate) auth: Arc<Auth>,
    pub(crate) token_flights: TokenFlights,
    pub(crate) patience: Timeouts,
    user_agent: HeaderValue,
    traces: Traces,
    health: Arc<Health>,
    /// The concurrency limit of a caller's login.
    own_quota: Option<Arc<ConcurrencyLimit>>,
    /// The party of the requests.
    pub(crate) party: Party,
    /// Whether requests bypass the shared windows and breaker: sent once, without waiting, and
    /// without effect on the registry's recorded state.
    pub(crate) is_aside: bool,
}

/// The recorded state of the registry; shared by all its clients.
struct Health {
    quota: ConcurrencyLimit,
    breaker: Breaker,
    counts: Counts,
    chunks: ChunkSizes,
    cancellations: Cancellations,
    /// The registry's last challenge, and its expiry.
    challenge: Mutex<Option<(Challenge, Instant)>>,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, UnusableLogin> {
        let patience = settings.timeouts;
        let health = Health {
            quota: ConcurrencyLimit::new(patience.reads_max, patience.writes_max),
            breaker: Breaker::default(),
            counts: Counts::default(),
            chunks: ChunkSizes::default(),
            cancellations: Cancellations::default(),
            challenge: Mutex::default(),
        };
        let (reach, traces) = (EgressPolicy::new(&settings), settings.traces);
        Ok(Self {
            address: settings.address.trim_end_matches('/').into(),
            http: connect::client(&settings, reach.clone()),
            reach,
            auth: Arc::new(Auth::new(RegistryCredentials::new(&settings)?)),
            token_flights: token_flights(traces),
            user_agent: HeaderValue::from_static(settings.user_agent),
            traces,
            base: settings.url,
            patience,
            health: Arc::new(health),
            own_quota: None,
            party: Party::Ourselves,
            is_aside: false,
        })
    }

    /// A transport to the same registry with another login: tokens of one login are never sent for
    /// the other.
    pub(crate) fn with_login(&self, login: Login) -> Self {
        let credentials = RegistryCredentials::of(login, self.traces);
        let auth = Arc::new(Auth::of_caller(credentials));
        let token_flights = token_flights(self.traces);
        let Timeouts { reads_max, writes_max, .. } = self.patience;
        let share = |most: u32| most.div_ceil(CALLER_WINDOW_SHARE);
        let own_quota = ConcurrencyLimit::of_one(share(reads_max), share(writes_max));
        Self { auth, token_flights, own_quota: Some(Arc::new(own_quota)), ..self.clone() }
    }

    /// A transport for one party: each party has a share of the waiting requests.
    pub(crate) fn for_party(&self, party: Party) -> Self {
        Self { party, ..self.clone() }
    }

    /// The same transport, apart from the shared windows and breaker.
    pub(crate) fn aside(self) -> Self {
        Self { is_aside: true, ..self }
    }

    /// A number shared by all logins at one registry, and unique to the registry.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.health).addr()
    }

    pub(crate) fn known_challenge(&self) -> Option<Challenge> {
        let known = self.health.challenge.lock();
        let (challenge, until) = known.as_ref()?;
        (Instant::now() < *until).then(|| challenge.clone())
    }

    pub(crate) fn learn_challenge(&self, challenge: &Challenge) {
        let mut known = self.health.challenge.lock();
        *known = Some((challenge.clone(), Instant::now() + CHALLENGE_TIME));
    }

    /// Whether it sends a caller's login.
    pub(crate) const fn is_of_caller(&self) -> bool {
        self.own_quota.is_some()
    }

    pub(crate) const fn patience(&self) -> &Timeouts {
        &self.patience
    }

    pub(crate) fn quota(&self) -> &ConcurrencyLimit {
        &self.health.quota
    }

    pub(crate) fn breaker(&self) -> &Breaker {
        &self.health.breaker
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.health.counts
    }

    pub(crate) fn cancellations(&self) -> &Cancellations {
        &self.health.cancellations
    }

    pub(crate) fn chunks(&self) -> &ChunkSizes {
        &self.health.chunks
    }

    pub(crate) fn state(&self) -> ClientState {
        let [reads, writes] = self.health.quota.states();
        let chunk_bytes = self.health.chunks.size_bytes();
        let (breaker, counts) = (self.health.breaker.known(), self.counts().read(chunk_bytes));
        ClientState { reads, writes, breaker, counts }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The address that a rendered endpoint has at this registry.
    pub(crate) fn url(&self, path_and_query: &str) -> Url {
        self.base.join(path_and_query).unwrap_or_else(|_| self.base.clone())
    }

    /// Sends a request; every answer but a success is an error. Redirects are not followed.
    pub(crate) async fn send(
        &self,
        ask: RegistryRequest,
        operation: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        let response = self.answer(&ask, operation).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response, operation).await)
    }

    /// The answer, with any status, after tokens and retries.
    pub(crate) async fn answer(
        &self,
        ask: &RegistryRequest,
        operation: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        let (began, budget) = (Instant::now(), ask.budget());
        let (mut tries, mut waited) = (1, Duration::ZERO);
        let mut failed = None;
        loop {
            let attempted = Instant::now();
            let answered = self.attempt(ask, operation).await;
            waited += attempted.elapsed();
            let so_far = (tries, began.elapsed());
            let verdict = match &answered {
                Ok(response) => retry::judge_within(budget, so_far, response),
                // After one answer that did not come in time there is one more try.
                Err(ClientError::Failed { .. }) if waited < self.patience.answer * 2 => {
                    retry::judge_failure(so_far, budget)
                }
                Err(ClientError::Down { retry_after_seconds }) => {
                    retry::judge_down(so_far, budget, Duration::from_secs(*retry_after_seconds))
                }
                Err(_) => RetryDecision::Stands,
            };
            let effort = if self.is_aside { RetryEffort::Once } else { ask.effort };
            let wait = match (verdict, effort) {
                // A try's own error says more than the breaker's refusal of the next one.
                (RetryDecision::Stands, _) => match (answered, failed) {
                    (Err(ClientError::Down { .. }), Some(failed)) => return Err(failed),
                    (answered, _) => return answered,
                },
                (RetryDecision::Busy { retry_after_seconds }, _) => {
                    return Err(ClientError::Busy { retry_after_seconds });
                }
                (RetryDecision::Again(wait), RetryEffort::Patient | RetryEffort::Long) => wait,
                // A request that is not retried here still tells its client how long to wait.
                (RetryDecision::Again(wait), RetryEffort::Once | RetryEffort::Brief) => {
                    return answered.and_then(|response| {
                        if retry::is_busy(response.status(), response.headers()) {
                            let retry_after_seconds = wait.as_secs().max(1);
                            return Err(ClientError::Busy { retry_after_seconds });
                        }
                        Ok(response)
                    });
                }
            };
            let reason = match answered {
                Ok(response) => response.status().to_string(),
                Err(error) => {
                    let reason = error.to_string();
                    failed = Some(error).filter(|error| !matches!(error, ClientError::Down { .. }));
                    reason
                }
            };
            tracing::warn!(upstream = &*self.address, operation, reason, tries, "trying again");
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    /// One try, with a permit and when the breaker is closed. Other addresses, the targets of
    /// redirects, have neither limit nor breaker: they are not the registry.
    async fn attempt(
        &self,
        ask: &RegistryRequest,
        operation: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        if !self.is_own(&ask.url) {
            return self.once(ask, None, operation).await;
        }
        if self.is_aside {
            self.look_whether_back().await?;
            return self.authorized(ask, operation).await;
        }
        let class = RequestClass::of(&ask.method);
        let own = self.own_turn(class, ask.longest_wait()).await?;
        let pass = self.health.quota.enter(class, ask.longest_wait(), &self.party).await?;
        let leave = self.leave().await?;
        let began = Instant::now();
        let answered = self.authorized(ask, operation).await;
        if let Ok(response) = &answered {
            pass.left(response.headers());
        }
        let failed = match &answered {
            Ok(response) => retry::is_down(response.status()),
            Err(error) => probe::failure(error),
        };
        if let Some(kind) = failed {
            let late = began.elapsed() >= self.patience.answer;
            let kind = if late { FailureKind::Late } else { kind };
            let repo = ask.scope.repository().map(RepoName::as_str);
            // The probe takes a permit of its own.
            drop((own, pass));
            let (path, party) = (ask.url.path(), &self.party);
            self.doubt(leave, &FailedTry { path, repo, party, kind }).await;
            return answered;
        }
        match &answered {
            Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
                let pause = retry::retry_after(response.headers());
                // The registry counts each caller apart, so other callers need not wait.
                let told = own.as_ref().inspect(|_| pass.noted()).unwrap_or(&pass);
                if told.throttled(pause) {
                    tracing::warn!(upstream = &*self.address, ?pause, "too many requests there");
                }
                leave.answered();
            }
            // A failed login says nothing about the registry's health.
            Err(ClientError::LoginFailed { .. }) => {}
            Ok(_) | Err(_) => {
                if let Some(own) = &own {
                    own.answered();
                }
                pass.answered();
                leave.answered();
            }
        }
        answered
    }

    /// A permit among the requests of the same caller.
    async fn own_turn(
        &self,
        class: RequestClass,
        patience: Duration,
    ) -> Result<Option<ConcurrencyPermit>, ClientError> {
        match &self.own_quota {
            Some(quota) => quota.enter(class, patience, &self.party).await.map(Some),
            None => Ok(None),
        }
    }

    /// A request outside the usual path, with a permit and when the breaker is closed; `path` is
    /// its target.
    pub(crate) async fn guarded<T>(
        &self,
        path: &str,
        question: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        if self.is_aside {
            self.look_whether_back().await?;
            return question.await;
        }
        let own = self.own_turn(RequestClass::Read, RETRY_AFTER_MAX).await?;
        let pass =
            self.health.quota.enter(RequestClass::Read, RETRY_AFTER_MAX, &self.party).await?;
        let leave = self.leave().await?;
        let answered = question.await;
        if let Some(kind) = answered.as_ref().err().and_then(probe::failure) {
            drop((own, pass));
            let party = &self.party;
            self.doubt(leave, &FailedTry { path, repo: None, party, kind }).await;
        } else {
            pass.answered();
            leave.answered();
        }
        answered
    }

    /// One try, with a token fetched and the request repeated once after a challenge.
    pub(crate) async fn authorized(
        &self,
        ask: &RegistryRequest,
        operation: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        if !self.is_own(&ask.url) {
            return self.once(ask, None, operation).await;
        }
        let mut shown = self.shown(&ask.scope);
        let mut response = self.once(ask, shown.clone(), operation).await?;
        for round in 0..CHALLENGES_MAX {
            if response.status() != StatusCode::UNAUTHORIZED {
                break;
            }
            let challenges = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
            let challenges: Vec<_> = challenges.filter_map(|value| value.to_str().ok()).collect();
            // A just fetched token is fetched again only when it expired meanwhile.
            if round > 0 && !challenges.iter().any(|text| text.contains("invalid_token")) {
                break;
            }
            self.auth.forget(&ask.scope, shown.as_ref());
            let challenges = challenges.into_iter().filter_map(challenge::parse);
            let wanted = challenges.max_by_key(|c| matches!(c, Challenge::Bearer { .. }));
            let Some(wanted) = wanted else { break };
            let header = self.after_challenge(wanted, &ask.scope, shown.as_ref()).await?;
            let Some(header) = header else { break };
            response = self.once(ask, Some(header.clone()), operation).await?;
            shown = Some(header);
        }
        Ok(response)
    }

    pub(crate) async fn once(
        &self,
        ask: &RegistryRequest,
        authorization: Option<HeaderValue>,
        operation: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        let led_astray =
            |astray: Forbidden| ClientError::Astray { operation, reason: astray.to_string() };
        if !self.is_own(&ask.url) || self.reach.judges_own() {
            self.reach.check(&ask.url).map_err(led_astray)?;
        }
        let mut request = Request::builder().method(ask.method.clone()).uri(ask.url.as_str());
        if let Some(headers) = request.headers_mut() {
            headers.extend(ask.headers.clone());
            headers.insert(header::USER_AGENT, self.user_agent.clone());
            headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
            // A length always, even for an empty body: ACR refuses a body without one.
            if !matches!(ask.method, Method::GET | Method::HEAD) {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(ask.body.size_bytes()));
            }
        }
        let (body, sent) = ask.body.outgoing();
        let mut request = request.body(body).map_err(|error| failed(operation, error))?;
        let own = if self.is_own(&ask.url) { &*self.address } else { "elsewhere" };
        let span = traces::request(&ask.method, own, operation);
        if self.is_own(&ask.url) {
            (self.traces.propagate)(&span, request.headers_mut());
        }
        self.counts().asked();
        let longest = match (ask.effort, RequestClass::of(&ask.method)) {
            (RetryEffort::Brief, _) => self.patience.answer.min(REVALIDATE_TIMEOUT),
            (_, RequestClass::Read) => self.patience.answer,
            (_, RequestClass::Write) => self.patience.answer.max(WRITE_TIMEOUT),
        };
        let answering = in_time(self.http.request(request), longest, &sent);
        let answer = answering.instrument(span.clone()).await;
        let status = answer.as_ref().and_then(|answer| Some(answer.as_ref().ok()?.status()));
        traces::end_request(&span, status);
        if matches!(ask.body, Payload::Made { .. }) {
            self.counts().sent(sent.bytes());
        }
        let answer = answer.ok_or_else(|| failed(operation, "no answer in time"))?;
        let answer = answer.map_err(|error| match egress::astray(&error) {
            Some(astray) => led_astray(astray),
            None => failed(operation, chain(&error)),
        })?;
        if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(failed(operation, "the proxy on the way wants another login (407)"));
        }
        Ok(answer)
    }

    /// The error for a refusal: the credentials, or the registry's own message.
    pub(crate) async fn refusal(
        &self,
        response: Response<Incoming>,
        operation: &'static str,
    ) -> ClientError {
        let status = response.status();
        tracing::debug!(upstream = &*self.address, operation, %status, "refused");
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return ClientError::Denied { status };
        }
        if !status.is_client_error() && !status.is_server_error() {
            return failed(operation, format!("an answer that makes no sense here: {status}"));
        }
        let body = self.collect_short(response, operation).await.unwrap_or_default();
        let entry = ErrorBody::parse(&body).and_then(|body| body.errors.into_iter().next());
        let (code, message) = entry.map_or_else(
            || (ErrorCode::Unknown, "no reason given".to_owned()),
            |entry| (entry.code.parse().unwrap_or(ErrorCode::Unknown), entry.message),
        );
        ClientError::Refused { status, code, message }
    }

    /// Whether an address is the registry's own: scheme, host and port.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }
}

fn token_flights(traces: Traces) -> TokenFlights {
    Arc::new(SingleFlight::new(FLIGHTS_MAX, LoginWork::Tokens(traces)))
}
