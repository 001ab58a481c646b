//! The checks between `wharfd` and its upstream: a gate before the double, with a record of every
//! token on its way and scripted responses in the double's place; and an Entra ID of our own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use wharf_testkit::http::{Body, Client, full, read_to_limit};

/// More than any request of these tests has.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The fields of a form.
pub(super) type Form = BTreeMap<String, String>;

fn fields(text: &[u8]) -> Form {
    form_urlencoded::parse(text).into_owned().collect()
}

/// Serves until it is dropped.
async fn serve<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send,
{
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (handler, tls) = (handler.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                None => speak(stream, handler).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        speak(stream, handler).await;
                    }
                }
            }
        });
    }
}

async fn speak<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // A departed peer is of no interest.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn answer(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

#[derive(Default)]
struct Seen {
    /// Every token on its way, in either direction.
    tokens: BTreeSet<String>,
    forms: Vec<(String, Form)>,
    /// Scripted responses in the double's place, by path.
    instead: BTreeMap<String, VecDeque<(u16, String)>>,
    basic_only: bool,
}

/// The gate before a double. It keeps the `Host` of requests, so the double names the gate.
pub(super) struct Gate {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

impl Gate {
    pub(super) async fn before(double: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (shared, client) = (Arc::clone(&seen), Client::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, None, move |request| {
            pass(Arc::clone(&shared), client.clone(), double, request)
        }));
        Self { addr, seen, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(super) fn host(&self) -> String {
        self.addr.to_string()
    }

    /// Answers the next request for this path itself.
    pub(super) fn answer_next(&self, path: &str, status: u16, body: impl Into<String>) {
        let mut seen = self.seen.lock().unwrap();
        seen.instead.entry(path.to_owned()).or_default().push_back((status, body.into()));
    }

    /// Forgets the unused scripted responses.
    pub(super) fn forget_answers(&self) {
        self.seen.lock().unwrap().instead.clear();
    }

    /// Asks for Basic where the double asks for a token.
    pub(super) fn ask_for_basic(&self) {
        self.seen.lock().unwrap().basic_only = true;
    }

    /// The forms received at this path.
    pub(super) fn forms(&self, path: &str) -> Vec<Form> {
        let seen = self.seen.lock().unwrap();
        seen.forms.iter().filter(|(to, _)| to == path).map(|(_, form)| form.clone()).collect()
    }

    /// Every recorded token.
    pub(super) fn tokens(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().tokens.clone()
    }
}

async fn pass(
    seen: Arc<Mutex<Seen>>,
    client: Client,
    double: SocketAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let body = read_to_limit(body, BODY_BYTES_MAX).await.unwrap_or_default_bytes();
    let path = head.uri.path().to_owned();
    let instead = {
        let mut seen = seen.lock().unwrap();
        let shown = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        seen.tokens.extend(shown.and_then(|text| Some(text.split_once(' ')?.1.to_owned())));
        if path.starts_with("/oauth2/") && !body.is_empty() {
            seen.forms.push((path.clone(), fields(&body)));
        }
        seen.instead.get_mut(&path).and_then(VecDeque::pop_front)
    };
    if let Some((status, text)) = instead {
        return answer(status, text);
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    head.uri = format!("http://{double}{target}").parse::<Uri>().unwrap();
    assert!(head.headers.contains_key(HOST));
    let Ok(response) = client.send(Request::from_parts(head, full(body))).await else {
        return answer(502, "");
    };
    let (mut head, body) = response.into_parts();
    let body = read_to_limit(body, BODY_BYTES_MAX).await.unwrap_or_default_bytes();
    let mut seen = seen.lock().unwrap();
    if path.starts_with("/oauth2/") {
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let tokens = ["access_token", "refresh_token"].map(|name| said[name].as_str());
        seen.tokens.extend(tokens.into_iter().flatten().map(str::to_owned));
    }
    if seen.basic_only && head.status == StatusCode::UNAUTHORIZED {
        head.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"double\""));
    }
    Response::from_parts(head, full(body))
}

trait OrNothing {
    fn unwrap_or_default_bytes(self) -> Bytes;
}

impl<E> OrNothing for Result<Bytes, E> {
    /// A broken body is passed on as an empty one.
    fn unwrap_or_default_bytes(self) -> Bytes {
        self.unwrap_or_else(|_| Bytes::new())
    }
}

/// The credentials accepted by an Entra ID, and its token.
#[derive(Clone)]
pub(super) struct Trust {
    /// `client_secret` or `client_assertion`, and `x-identity-header`.
    pub(super) proof: String,
    /// The issued Entra token.
    pub(super) token: String,
}

/// Entra ID over TLS with a certificate of its own, and the identity endpoint of an app service.
pub(super) struct Authority {
    addr: SocketAddr,
    identity: SocketAddr,
    asked: Arc<Mutex<Vec<Form>>>,
    /// The certificate, PEM.
    pub(super) certificate: String,
    _tasks: JoinSet<()>,
}

impl Authority {
    pub(super) async fn start(trust: Trust) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, identity) = (listener.local_addr().unwrap(), plain.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Form>>> = Arc::default();
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private.unwrap())
            .unwrap();
        let mut tasks = JoinSet::new();
        let (books, trusted) = (Arc::clone(&asked), trust.clone());
        let handler = move |request| login(Arc::clone(&books), trusted.clone(), request);
        tasks.spawn(serve(listener, Some(TlsAcceptor::from(Arc::new(tls))), handler));
        let books = Arc::clone(&asked);
        let handler = move |request| std::future::ready(identify(&books, &trust, &request));
        tasks.spawn(serve(plain, None, handler));
        Self { addr, identity, asked, certificate: key.cert.pem(), _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// The address of the identity endpoint.
    pub(super) fn identity_endpoint(&self) -> String {
        format!("http://{}/msi/token", self.identity)
    }

    /// The received forms, over TLS or at the identity endpoint.
    pub(super) fn asked(&self) -> Vec<Form> {
        self.asked.lock().unwrap().clone()
    }
}

/// `POST /TENANT/oauth2/v2.0/token`. Its refusals repeat the refused credentials, as no server
/// should.
async fn login(
    asked: Arc<Mutex<Vec<Form>>>,
    trust: Trust,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let body = read_to_limit(request.into_body(), BODY_BYTES_MAX).await.unwrap_or_default_bytes();
    let mut form = fields(&body);
    let shown = form.get("client_secret").or(form.get("client_assertion")).cloned();
    let shown = shown.unwrap_or_default();
    form.insert("path".to_owned(), path);
    asked.lock().unwrap().push(form);
    if shown != trust.proof {
        let said = json!({
            "error": "invalid_client",
            "error_codes": [7_000_215],
            "error_description": format!("AADSTS7000215: wrong secret {shown}"),
        });
        return answer(401, said.to_string());
    }
    let said = json!({
        "token_type": "Bearer",
        "expires_in": 3_600,
        "ext_expires_in": 3_600,
        "access_token": trust.token,
    });
    answer(200, said.to_string())
}

/// `GET IDENTITY_ENDPOINT?api-version=&resource=`.
fn identify(
    asked: &Mutex<Vec<Form>>,
    trust: &Trust,
    request: &Request<Incoming>,
) -> Response<Body> {
    let query = fields(request.uri().query().unwrap_or_default().as_bytes());
    let resource = query.get("resource").cloned();
    asked.lock().unwrap().push(query);
    let shown = request.headers().get("x-identity-header").and_then(|value| value.to_str().ok());
    if shown != Some(trust.proof.as_str()) {
        return answer(401, format!("wrong header {shown:?}"));
    }
    let end = SystemTime::now() + Duration::from_hours(1);
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let said = json!({
        "token_type": "Bearer",
        "expires_on": end.to_string(),
        "resource": resource,
        "access_token": trust.token,
    });
    answer(200, said.to_string())
}
