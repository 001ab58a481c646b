//! Upstreams with a lead into forbidden networks: private ones, the metadata service of a cloud,
//! other schemes. Also the credentials visible to permitted other hosts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, LOCATION, RANGE, WWW_AUTHENTICATE};
use http::{HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wharf_testkit::http::{Answer, Body, full, read_to_limit};
use wharf_testkit::images::sha256;

use crate::fixture::{Wharfd, code, upstream_lines};

const REPO: &str = "acme/web";
const CONTENT: &[u8] = b"content of a blob";
/// Where nothing of this machine or of a network around it may be reached.
const INSIDE: [&str; 8] = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://168.63.129.16/machine",
    "http://10.255.255.1/",
    "http://192.168.255.1/",
    "http://0.0.0.0/",
];
/// Nor by other means.
const OTHER_SCHEMES: [&str; 3] = ["ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1/"];

/// A request to the server.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    shown: Option<String>,
    body: Vec<u8>,
}

/// The server's response by method and path.
type Rule = Arc<dyn Fn(&Came) -> (u16, Vec<(HeaderName, String)>, Vec<u8>) + Send + Sync>;

/// A scripted server of this test; it records its requests.
pub(crate) struct Server {
    addr: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
    rule: Arc<Mutex<Rule>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(
        at: &str,
        rule: impl Fn(&Came) -> (u16, Vec<(HeaderName, String)>, Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let came: Arc<Mutex<Vec<Came>>> = Arc::default();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Arc::new(rule)));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&came), Arc::clone(&rule)));
        Self { addr, came, rule, _tasks: tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn says(
        &self,
        rule: impl Fn(&Came) -> (u16, Vec<(HeaderName, String)>, Vec<u8>) + Send + Sync + 'static,
    ) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }

    fn came(&self) -> Vec<Came> {
        std::mem::take(&mut self.came.lock().unwrap())
    }
}

async fn serve(listener: TcpListener, came: Arc<Mutex<Vec<Came>>>, rule: Arc<Mutex<Rule>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (came, rule) = (Arc::clone(&came), Arc::clone(&rule));
        connections.spawn(async move {
            let service = service_fn(|request| {
                let (came, rule) = (Arc::clone(&came), Arc::clone(&rule));
                async move { Ok::<_, Infallible>(answer(request, &came, &rule).await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    came: &Mutex<Vec<Came>>,
    rule: &Mutex<Rule>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = read_to_limit(body, 1 << 20).await.map(|bytes| bytes.to_vec()).unwrap_or_default();
    let shown = head.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let this = Came { method: head.method, path, query, shown, body };
    came.lock().unwrap().push(this.clone());
    let rule = Arc::clone(&rule.lock().unwrap());
    let (status, headers, body) = rule(&this);
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

fn nothing(_: &Came) -> (u16, Vec<(HeaderName, String)>, Vec<u8>) {
    (404, Vec::new(), Vec::new())
}

/// A registry with a Basic challenge before this response.
fn after_basic(
    say: impl Fn(&Came) -> (u16, Vec<(HeaderName, String)>, Vec<u8>) + Send + Sync + 'static,
) -> impl Fn(&Came) -> (u16, Vec<(HeaderName, String)>, Vec<u8>) + Send + Sync + 'static {
    move |came| match came.shown {
        Some(_) => say(came),
        None => (401, vec![(WWW_AUTHENTICATE, "Basic realm=\"x\"".to_owned())], Vec::new()),
    }
}

/// `wharfd` before this upstream, with a login there.
async fn before(upstream: &Server) -> Wharfd {
    Wharfd::with_config(&upstream_lines(&upstream.url(""), "publisher")).await
}

fn assert_failed_at_once(answer: &Answer, began: Instant, what: &str) {
    assert_eq!((answer.status.as_u16(), code(answer).as_str()), (502, "UNKNOWN"), "{what}");
    // A connection attempt would take as long as the timeout.
    assert!(began.elapsed().as_secs() < 4, "{what}: it was tried");
}

fn assert_log_says_astray(wharfd: &Wharfd, times: usize) {
    let log = wharfd.log();
    assert!(log.matches("leads astray").count() >= times, "{log}");
}

#[tokio::test]
async fn a_redirect_into_a_network_or_to_metadata_is_not_followed() {
    let upstream = Server::start("127.0.0.1", nothing).await;
    let wharfd = before(&upstream).await;
    let targets = INSIDE.iter().chain(&OTHER_SCHEMES);
    for (number, target) in targets.enumerate() {
        upstream
            .says(after_basic(move |_| (307, vec![(LOCATION, (*target).to_owned())], Vec::new())));
        let digest = sha256(number.to_string().as_bytes());
        let began = Instant::now();
        let answer = wharfd.api.get_blob(REPO, &digest).await;
        assert_failed_at_once(&answer, began, target);
        let answer = wharfd.api.get_manifest(REPO, &format!("v{number}")).await;
        assert_failed_at_once(&answer, began, target);
        assert!(!answer.text().contains("169.254"), "{}", answer.text());
    }
    assert_log_says_astray(&wharfd, 2 * (INSIDE.len() + OTHER_SCHEMES.len()));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_followed_without_credentials() {
    let upstream = Server::start("127.0.0.1", nothing).await;
    let other = Server::start("127.0.0.2", |_| (200, Vec::new(), CONTENT.to_vec())).await;
    let wharfd = before(&upstream).await;
    let target = other.url("/blob?sig=1");
    upstream.says(after_basic(move |_| (307, vec![(LOCATION, target.clone())], Vec::new())));
    let answer = wharfd.api.get_blob(REPO, &sha256(CONTENT)).await;
    assert!(answer.status == 200 && answer.body == CONTENT);
    let came = other.came();
    assert_eq!((came.len(), &came[0].shown), (1, &None));
}

#[tokio::test]
async fn a_token_is_not_asked_for_inside_a_network_nor_shown_a_login_elsewhere() {
    let upstream = Server::start("127.0.0.1", nothing).await;
    let other =
        Server::start("127.0.0.2", |_| (200, Vec::new(), b"{\"token\":\"t\"}".to_vec())).await;
    let wharfd = before(&upstream).await;
    let elsewhere = [other.url("/token"), format!("http://localhost:{}/token", other.addr.port())];
    let inside = INSIDE.iter().chain(&OTHER_SCHEMES).map(|target| (*target).to_owned());
    for (number, realm) in inside.chain(elsewhere).enumerate() {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
        upstream.says(move |_| (401, vec![(WWW_AUTHENTICATE, challenge.clone())], Vec::new()));
        let began = Instant::now();
        let answer = wharfd.api.get_manifest(REPO, &format!("v{number}")).await;
        assert_failed_at_once(&answer, began, &realm);
        assert!(upstream.came().iter().all(|came| came.shown.is_none()));
    }
    assert!(other.came().is_empty(), "a login in the clear at another host");
}

#[tokio::test]
async fn an_upload_goes_where_its_location_says_without_credentials_and_not_inside() {
    let upstream = Server::start("127.0.0.1", nothing).await;
    let other = Server::start("127.0.0.2", nothing).await;
    let wharfd = before(&upstream).await;
    let away = other.url("/session");
    let here = away.clone();
    upstream.says(after_basic(move |came| match came.method {
        Method::POST => (202, vec![(LOCATION, away.clone())], Vec::new()),
        _ => (404, Vec::new(), Vec::new()),
    }));
    other.says(move |came| match came.method {
        Method::PATCH => {
            let last = came.body.len().saturating_sub(1);
            let headers = vec![(LOCATION, here.clone()), (RANGE, format!("0-{last}"))];
            (202, headers, Vec::new())
        }
        Method::PUT => (201, vec![(LOCATION, here.clone())], Vec::new()),
        _ => (404, Vec::new(), Vec::new()),
    });
    let digest = wharfd.api.push_blob(REPO, CONTENT).await;
    assert_eq!(digest, sha256(CONTENT));
    let came = other.came();
    let sent: Vec<u8> = came.iter().flat_map(|came| came.body.clone()).collect();
    assert_eq!(sent, CONTENT);
    assert!(came.iter().all(|came| came.shown.is_none()), "{came:?}");
    for target in INSIDE.iter().chain(&OTHER_SCHEMES) {
        upstream.says(after_basic(move |came| match came.method {
            Method::POST => (202, vec![(LOCATION, (*target).to_owned())], Vec::new()),
            _ => (404, Vec::new(), Vec::new()),
        }));
        let began = Instant::now();
        let answer = wharfd.api.try_push_blob(REPO, &sha256(target.as_bytes()), *target).await;
        assert_failed_at_once(&answer.unwrap(), began, target);
    }
}

#[tokio::test]
async fn a_write_that_is_redirected_goes_nowhere_else() {
    let upstream = Server::start("127.0.0.1", nothing).await;
    let other = Server::start("127.0.0.2", |_| (201, Vec::new(), Vec::new())).await;
    let wharfd = before(&upstream).await;
    let target = other.url("/elsewhere");
    upstream.says(after_basic(move |came| match came.method {
        Method::GET | Method::HEAD => (404, Vec::new(), Vec::new()),
        _ => (307, vec![(LOCATION, target.clone())], Vec::new()),
    }));
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let index = "application/vnd.oci.image.index.v1+json";
    let answers = [
        wharfd.api.put_manifest(REPO, "v1", index, manifest).await,
        wharfd.api.post(&format!("/v2/{REPO}/blobs/uploads/")).send().await.unwrap(),
        wharfd.api.delete(&format!("/v2/{REPO}/manifests/v1")).await,
        wharfd.api.delete(&format!("/v2/{REPO}/blobs/{}", sha256(CONTENT))).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    assert!(other.came().is_empty(), "{:?}", other.came());
}

#[tokio::test]
async fn the_login_of_a_caller_goes_no_further_than_the_proxys_own() {
    let upstream = Server::start("127.0.0.1", nothing).await;
    let other =
        Server::start("127.0.0.2", |_| (200, Vec::new(), b"{\"token\":\"t\"}".to_vec())).await;
    let lines =
        format!("[access]\nkind = \"passthrough\"\n[[upstream]]\nurl = \"{}\"\n", upstream.url(""));
    let wharfd = Wharfd::with_config(&lines).await;
    let realm = format!("Bearer realm=\"{}\",service=\"s\"", other.url("/token"));
    upstream.says(move |_| (401, vec![(WWW_AUTHENTICATE, realm.clone())], Vec::new()));
    let alice = wharfd.api.with_password("alice", "planted-password");
    assert_eq!(alice.get("/v2/").await.status, 429);
    assert_eq!(alice.get_manifest(REPO, "v1").await.status, 429);
    assert!(other.came().is_empty(), "a login in the clear at another host");
    assert!(upstream.came().iter().all(|came| came.shown.is_none()));

    // The upstream's own endpoint gets it, storages do not.
    let own = format!("Bearer realm=\"{}\",service=\"s\"", upstream.url("/token"));
    let target = other.url("/blob");
    let wharfd = Wharfd::with_config(&lines).await;
    let access =
        format!(r#"{{"access":[{{"type":"repository","name":"{REPO}","actions":["pull"]}}]}}"#);
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(access);
    upstream.says(move |came| match (came.path.as_str(), &came.shown) {
        ("/token", _) => (200, Vec::new(), format!("{{\"token\":\"e30.{token}.x\"}}").into_bytes()),
        (_, None) => (401, vec![(WWW_AUTHENTICATE, own.clone())], Vec::new()),
        _ => (307, vec![(LOCATION, target.clone())], Vec::new()),
    });
    other.says(|_| (200, Vec::new(), CONTENT.to_vec()));
    let alice = wharfd.api.with_password("alice", "planted-password");
    let answer = alice.get_blob(REPO, &sha256(CONTENT)).await;
    assert!(answer.status == 200 && answer.body == CONTENT, "{}", answer.text());
    assert!(other.came().iter().all(|came| came.shown.is_none()));
    let basic = format!("Basic {}", STANDARD.encode("alice:planted-password"));
    let came = upstream.came();
    let asked: Vec<_> = came.iter().filter(|came| came.path == "/token").collect();
    assert!(asked.iter().all(|came| came.shown.as_deref() == Some(&basic)), "{asked:?}");
    let rest = came.iter().filter(|came| came.path != "/token");
    assert!(rest.filter_map(|came| came.shown.clone()).all(|shown| shown.starts_with("Bearer ")));
}
