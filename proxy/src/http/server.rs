//! Connections: accept, admit. Their drain is in `ops/drain.rs`. One connection is in `http/server/connection.rs`, its
//! timeouts in `http/server/timeouts.rs`; the record of each request is in `http/access_log.rs`.
//!
//! Invariant: the accept loop waits for no client. A stopping server accepts no connection, and
//! open connections may finish until the deadline.

mod answer_body;
mod connection;
mod head_checks;
mod hold_policy;
mod linger;
mod listeners;
mod same_origin;
mod stream;
mod timeouts;
mod unread_body;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::Instrument as _;
use wharf_client::MemoryOwner;
use wharf_client::runtime::party::Party;

use crate::Error;
use crate::access::{Caller, RequestOrigin, TOKEN_PATH};
use crate::bound::Bound;
use crate::config::active::RuntimeConfig;
use crate::context::RequestContext;
use crate::error::Fault;
use crate::http::access_log::{RecordedBody, RequestFacts, RequestRecord};
use crate::http::admission;
use crate::http::admission::{
    ConnectionBounds, ConnectionPermit, Connections, Demand, HoldOutcome, Limit,
};
use crate::http::handlers;
use crate::http::handlers::{App, Call, RequestBody};
use crate::http::response;
use crate::http::response::{API_VERSION, Answer};
use crate::http::route;
use crate::limits::{ADMIN_CONNECTIONS_MAX, HOLD_PASSED_OVER_MAX, PARTY_ADMIN_CONNECTIONS_MAX};
use crate::runtime::memory_gauge::MemoryBudget;

use answer_body::AnswerBody;
use hold_policy::{HoldPolicy, NextTry};
use linger::LingerEnd;
use timeouts::{ConnectionTimeouts, RequestGuard};
use unread_body::UnreadBody;

pub(crate) use listeners::Listeners;

/// The API of a listener.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The registry.
    Registry,
    /// Health and metrics.
    Admin,
}

/// Accepts until `stop` is set; from then on the open connections end after their request. Returns
/// them, with the listener to be closed.
pub(crate) async fn accept(
    mut listener: Listeners,
    purpose: Purpose,
    app: Arc<App>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> (Listeners, Connections) {
    let connections = match purpose {
        Purpose::Registry => app.admission.connections.clone(),
        Purpose::Admin => app.admission.admin_connections.clone(),
    };
    let stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (app, stop) = (Arc::clone(&app), stopping.clone());
                let connection = Connection { purpose, app, stop, peer, subject: None };
                connection.admit(stream, &connections);
            }
            Err(error) => {
                // Out of file handles, most often: this pause lets some close.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    (listener, connections)
}

/// How far a request came: the next try does not repeat passed checks.
#[derive(Default)]
struct Admitted {
    /// The request's demand on rates; its head and its address are then known to be good.
    demand: Option<Demand>,
    caller: Option<Caller>,
    call: Option<Call>,
    /// The memory budget that was full.
    full: Option<FullMemory>,
}

/// A memory budget without room. A try reads from the store or an upstream before it knows how much
/// memory it needs, so it is repeated only after memory was given back, or now and then.
struct FullMemory {
    of: MemoryOwner,
    taken: u64,
    passed_over: u32,
}

impl FullMemory {
    fn found(error: &Error, call: Option<&Call>) -> Option<Self> {
        let (Error::TooManyBytes(of), Some(call)) = (error, call) else { return None };
        Some(Self { of: *of, taken: call.context.budget.taken(*of), passed_over: 0 })
    }

    /// Whether a try would be in vain.
    fn is_still(&mut self, budget: &MemoryBudget) -> bool {
        self.passed_over += 1;
        budget.taken(self.of) >= self.taken && self.passed_over <= HOLD_PASSED_OVER_MAX
    }
}

/// A request's head, and the configuration in force when the request came.
#[derive(Clone, Copy)]
struct RequestHead<'a> {
    parts: &'a Parts,
    rules: &'a Arc<RuntimeConfig>,
}

#[derive(Clone)]
struct Connection {
    purpose: Purpose,
    app: Arc<App>,
    stop: tokio::sync::watch::Receiver<bool>,
    peer: SocketAddr,
    /// The subject of the client's certificate, if the client sent one.
    subject: Option<Arc<str>>,
}

impl Connection {
    /// Serves the connection in a task of its own, or refuses it for want of room.
    fn admit(self, stream: TcpStream, connections: &Connections) {
        let rules = self.app.active.current();
        let limits = Arc::clone(&rules.limits);
        let watch = ConnectionTimeouts::new(&limits, Arc::clone(&self.app.admission.counts));
        match self.subscription(connections, &rules, Arc::clone(&watch)) {
            Ok(subscription) => {
                tokio::spawn(self.serve(stream, limits, watch, subscription));
            }
            Err(limit) => {
                self.app.admission.counts.refuse(limit);
                tracing::debug!(peer = %self.peer, limit = limit.as_str(), "no connection");
                if let Some(subscription) = connections.refuse(Party::behind(self.peer.ip())) {
                    tokio::spawn(self.refuse(stream, limits, watch, subscription));
                }
            }
        }
    }

    fn subscription(
        &self,
        connections: &Connections,
        rules: &RuntimeConfig,
        watch: Arc<ConnectionTimeouts>,
    ) -> Result<ConnectionPermit, Limit> {
        let address = self.peer.ip();
        let bounds = match self.purpose {
            Purpose::Admin => {
                let share = Some(PARTY_ADMIN_CONNECTIONS_MAX);
                ConnectionBounds { most: ADMIN_CONNECTIONS_MAX, share }
            }
            Purpose::Registry => {
                let share = rules.limits.connections_per_address;
                // A trusted proxy may have many connections for its many clients.
                let share = (!rules.proxies.has(address)).then_some(share);
                ConnectionBounds { most: rules.limits.connections, share }
            }
        };
        connections.enter(Party::behind(address), bounds, watch)
    }

    /// Answers a request; it is open until all of its answer is sent.
    async fn answer(
        &self,
        request: Request<Incoming>,
        watch: Arc<ConnectionTimeouts>,
    ) -> Response<RecordedBody<AnswerBody<RequestGuard>>> {
        let (parts, body) = request.into_parts();
        let mut body = RequestBody::new(body);
        let open = watch.open(parts.version);
        let (is_http2, is_last) = (parts.version == Version::HTTP_2, head_checks::is_last(&parts));
        let watched = |mut answer: Answer, budget: MemoryBudget| {
            if is_last && !is_http2 {
                response::close(&mut answer);
            }
            response::fit(&parts.method, &mut answer);
            answer.map(|body| watch.answer_body(body, open, is_http2, &budget))
        };
        let rules = self.app.active.current();
        let request = RequestHead { parts: &parts, rules: &rules };
        if self.purpose == Purpose::Admin {
            let answer = match self.guard(request) {
                Ok(()) => handlers::admin(&self.app, &parts.method, parts.uri.path()).await,
                Err(error) => response::error(&error),
            };
            return watched(answer, self.app.own_budget()).map(RecordedBody::nobodys);
        }
        let client = rules.proxies.client(self.peer.ip(), &parts.headers);
        let trusted = rules.proxies.trusts(self.peer.ip());
        if !trusted {
            self.app.admission.unbelieved.hear(self.peer.ip(), &parts.headers);
        }
        let mut record = RequestRecord::open(&self.app.metrics, &parts, self.peer, client, trusted);
        record.facts.certificate.clone_from(&self.subject);
        let span = record.span();
        // Until the caller is known, the address stands for it.
        let budget = self.app.budget(Party::behind(client), &rules.limits);
        record.facts.budget = Some(budget.clone().on(watch.bytes()));
        let work = self.work(request, &mut body, &mut record);
        let (answer, leftover) = work.instrument(span).await;
        match leftover {
            UnreadBody::Nothing => {}
            // The stream is reset when this task is over, or by the client before. The task also
            // ends with its connection.
            UnreadBody::Unread if is_http2 => {
                let watch = Arc::clone(&watch);
                tokio::spawn(async move {
                    if unread_body::linger(body.into_rest()).await == LingerEnd::AtTheBound {
                        watch.lingered();
                    }
                });
            }
            UnreadBody::Unread => watch.expect_more(),
        }
        let budget = record.facts.budget.take().unwrap_or(budget);
        record.answered(watched(answer, budget))
    }

    async fn work(
        &self,
        request: RequestHead<'_>,
        body: &mut RequestBody,
        record: &mut RequestRecord,
    ) -> (Answer, UnreadBody) {
        let RequestHead { parts, rules } = request;
        let deadline = HoldPolicy::new(parts, &rules.limits, body.came());
        let told = deadline.told();
        let answered = self.hold(request, body, record, deadline).await;
        let answered = answered.and_then(|answer| counted(answer, parts, record));
        let ends = answered.as_ref().is_err_and(Error::ends_connection);
        let leftover = UnreadBody::of(parts, body.rest(), answered.as_ref().err()).await;
        let mut answer = answered.unwrap_or_else(|error| {
            let bound = match &error {
                Error::TooMany(what) => Some(*what),
                Error::TooManyBytes(_) => Some(Bound::BytesInFlight),
                _ => None,
            };
            self.app.metrics.fault(error.fault(), bound);
            if let Some(limit) = Limit::of(&error) {
                self.app.admission.counts.refuse(limit);
            }
            let id = record.id();
            // A refusal stands in the access log line of the request; the throttle that found the
            // client logs it once.
            match error.fault() {
                _ if error.is_refusal() => tracing::debug!(id, %error, "refused"),
                Fault::Client => tracing::debug!(id, %error, "refused"),
                Fault::Upstream | Fault::Load => tracing::warn!(id, %error, "failed"),
                Fault::Store | Fault::System => tracing::error!(id, %error, "failed"),
            }
            let mut shown = self.shown(&error, request);
            told.fit(&error, record.facts.held.is_some(), &mut shown);
            if let Some(budget) = &record.facts.budget {
                shown.body_mut().count_anyway(budget);
            }
            shown
        });
        if (ends || leftover == UnreadBody::Unread) && parts.version < Version::HTTP_2 {
            response::close(&mut answer);
        }
        (answer, leftover)
    }

    /// Answers a request. Repeats the try while the obstacle can pass by itself and the client
    /// waits.
    async fn hold(
        &self,
        request: RequestHead<'_>,
        body: &mut RequestBody,
        record: &mut RequestRecord,
        mut deadline: HoldPolicy,
    ) -> Result<Answer, Error> {
        let (mut admitted, mut held) = (Admitted::default(), None);
        let mut stop = self.stop.clone();
        let (answered, outcome) = loop {
            // On the heap: a handler's state is large, and is dropped while the request is held.
            let latest = deadline.latest();
            let attempt = Box::pin(self.attempt(request, body, record, &mut admitted, latest));
            let answered = deadline.bound(attempt, held.is_some(), &mut stop).await;
            let Err(error) = answered else { break (answered, HoldOutcome::Answered) };
            if admitted.full.is_none() {
                admitted.full = FullMemory::found(&error, admitted.call.as_ref());
            }
            let again = match deadline.after(&error, body.can_come_again()) {
                NextTry::Stands => break (Err(error), HoldOutcome::Answered),
                NextTry::Expired => break (Err(error), HoldOutcome::Expired),
                NextTry::Again(at) => at,
            };
            if held.is_none() {
                let on_behalf_of = record.facts.caller.as_ref().map(Caller::party);
                let on_behalf_of = on_behalf_of.unwrap_or_else(|| Party::behind(record.client()));
                let Some(begun) = self.app.admission.holds.begin(on_behalf_of, deadline.agent())
                else {
                    return Err(error);
                };
                tracing::debug!(id = record.id(), %error, "held");
                (held, record.facts.held) = (Some(begun), Some(Instant::now()));
            }
            tokio::select! {
                () = tokio::time::sleep_until(again) => {}
                _ = stop.wait_for(|stop| *stop) => break (Err(error), HoldOutcome::Drained),
            }
        };
        if let Some(held) = held {
            held.ended(outcome);
        }
        answered
    }

    /// One try: from the head to a call, without the checks passed before, and to the answer.
    async fn attempt(
        &self,
        request: RequestHead<'_>,
        body: &mut RequestBody,
        record: &mut RequestRecord,
        admitted: &mut Admitted,
        latest: Instant,
    ) -> Result<Answer, Error> {
        let RequestHead { parts, rules } = request;
        let client = record.client();
        let demand = match admitted.demand {
            Some(demand) => demand,
            None => *admitted.demand.insert(self.gate(request, client, latest).await?),
        };
        if parts.uri.path() == TOKEN_PATH && rules.access.gives_tokens() {
            let facts = &mut record.facts;
            return handlers::token(&self.app, rules, parts, body, client, facts).await;
        }
        let caller = if let Some(caller) = admitted.caller.take() {
            caller
        } else {
            let caller = rules.access.authenticate(&parts.headers, client).await?;
            record.facts.caller = Some(caller.clone());
            self.app.admission.caller(&caller, demand, &rules.limits, latest).await?;
            caller
        };
        let caller = admitted.caller.insert(caller);
        let call = match admitted.call.take() {
            Some(call) => call,
            None => self.call(request, record, caller)?,
        };
        let call = admitted.call.insert(call);
        if let Some(full) = &mut admitted.full
            && full.is_still(&call.context.budget)
        {
            return Err(Error::TooManyBytes(full.of));
        }
        admitted.full = None;
        admission::memory(&call.route, &call.context.budget)?;
        handlers::dispatch(&self.app, call, body, &mut record.facts).await
    }

    /// A known caller's call, within the caller's bound of requests at once.
    fn call(
        &self,
        RequestHead { parts, rules }: RequestHead<'_>,
        record: &mut RequestRecord,
        caller: &Caller,
    ) -> Result<Call, Error> {
        record.facts.open = Some(self.app.admission.request(caller.party())?);
        let mut budget = self.app.budget(caller.party(), &rules.limits);
        if let Some(by_address) = record.facts.budget.take() {
            budget = budget.beside(&by_address);
        }
        record.facts.budget = Some(budget.clone());
        let route = route::parse(&parts.method, parts.uri.path(), parts.uri.query())?;
        record.facts.route = RequestFacts::class(&route);
        let namespace = route::namespace(parts.uri.query())?;
        record.facts.namespace.clone_from(&namespace);
        let (client, config) = (record.client(), Arc::clone(rules));
        let context = RequestContext::new(client, caller.clone(), budget, config);
        Ok(Call::new(context, route, namespace, parts.headers.clone()))
    }

    /// The checks before authentication: the head, and the rate of the client's address, with a
    /// wait until `latest`. Returns the request's demand on rates.
    async fn gate(
        &self,
        request: RequestHead<'_>,
        client: IpAddr,
        latest: Instant,
    ) -> Result<Demand, Error> {
        self.guard(request)?;
        let demand = Demand::of(&request.parts.method, request.parts.uri.path());
        self.app.admission.address(client, demand, &request.rules.limits, latest).await?;
        Ok(demand)
    }

    /// The head must name one host plainly, and must not come from a foreign web page.
    fn guard(&self, RequestHead { parts, rules }: RequestHead<'_>) -> Result<(), Error> {
        head_checks::check(parts, &rules.limits)?;
        let is_public = self.purpose == Purpose::Admin || rules.access.is_open();
        let hosts = if self.purpose == Purpose::Admin { &rules.admin_hosts } else { &rules.hosts };
        let tls = self.app.tls.as_deref().filter(|_| self.purpose == Purpose::Registry);
        let (peer, headers) = (self.peer.ip(), &parts.headers);
        let is_encrypted = rules.proxies.is_encrypted(peer, tls.is_some(), headers);
        same_origin::check(
            parts,
            &same_origin::OriginPolicy { is_public, is_encrypted, hosts, tls },
        )
    }

    /// An error's answer, with a challenge when a login would mend it.
    fn shown(&self, error: &Error, request: RequestHead<'_>) -> Answer {
        let RequestHead { parts, rules } = request;
        let mut answer = response::error(error);
        let is_encrypted =
            rules.proxies.is_encrypted(self.peer.ip(), self.app.tls.is_some(), &parts.headers);
        let (uri, headers) = (&parts.uri, &parts.headers);
        let way = RequestOrigin { is_encrypted, may_be_plain: rules.may_be_plain, uri, headers };
        if let Some(challenge) = rules.access.challenge(error, &way) {
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            let (version, this) = API_VERSION;
            answer.headers_mut().insert(version, HeaderValue::from_static(this));
        }
        answer
    }
}

/// Counts the memory of a whole answer from here on, or refuses it for want of room. The answer to
/// HEAD sends nothing of it.
fn counted(mut answer: Answer, parts: &Parts, record: &RequestRecord) -> Result<Answer, Error> {
    if let Some(budget) = record.facts.budget.as_ref().filter(|_| parts.method != Method::HEAD) {
        answer.body_mut().count(budget)?;
    }
    Ok(answer)
}
