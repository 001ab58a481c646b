//! A registry in memory with real HTTP on port 0 and scripted faults: each fault is used once, by
//! the first request with its method. Real registries are in the end-to-end tests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use wharf_oci::{Algorithm, Digester};

/// A scripted fault.
pub(crate) enum Fault {
    /// This answer, and nothing done.
    Answer(Method, u16, Vec<(&'static str, String)>),
    /// The same for a request with this in its path.
    At(Method, &'static str, u16),
    /// Everything is done, then the connection breaks before the answer.
    BreakAfter(Method),
    /// The connection breaks before anything is done.
    BreakBefore(Method),
    /// Only so many bytes of a chunk are taken.
    TakeOnly(usize),
    /// All sessions are forgotten before the request is looked at.
    ForgetSessions(Method),
    /// The tokens given out so far are no longer good.
    ExpireTokens(Method),
    /// A byte of the chunk is changed on the way.
    Corrupt,
}

impl Fault {
    fn fits(&self, method: &Method, path: &str) -> bool {
        match self {
            Self::At(m, part, _) => m == method && path.contains(part),
            Self::Answer(m, ..)
            | Self::BreakAfter(m)
            | Self::BreakBefore(m)
            | Self::ForgetSessions(m)
            | Self::ExpireTokens(m) => m == method,
            Self::TakeOnly(_) | Self::Corrupt => *method == Method::PATCH,
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
}

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) seen: Vec<RecordedRequest>,
    pub(crate) blobs: BTreeMap<(String, String), Bytes>,
    pub(crate) manifests: BTreeMap<(String, String), (String, Bytes)>,
    pub(crate) mounts: bool,
    /// Whether a token is asked for, and how many were given out.
    pub(crate) tokens: Option<u32>,
    /// Blobs are read from this address.
    pub(crate) redirect: Option<String>,
    pub(crate) sessions: BTreeMap<u32, Vec<u8>>,
    pub(crate) next_session: u32,
    pub(crate) valid_token: u32,
    pub(crate) address: String,
    /// The answer to everything below `/acr/`.
    pub(crate) acr: Option<(u16, Bytes)>,
}

pub(crate) type Shared = Arc<Mutex<Fake>>;

/// Starts the fake; it ends with the test's runtime.
pub(crate) async fn start(fake: Fake) -> (Shared, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shared = Arc::new(Mutex::new(Fake { address: address.clone(), ..fake }));
    let state = Arc::clone(&shared);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                let service = service_fn(move |request| serve(Arc::clone(&state), request));
                let builder = hyper::server::conn::http1::Builder::new();
                // Some tests want a broken connection.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (shared, address)
}

type Answer = Response<Full<Bytes>>;

async fn serve(state: Shared, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut fake = state.lock().unwrap();
    let asked = RecordedRequest {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.clone(),
    };
    fake.seen.push(asked.clone());
    if head.uri.path() == "/token" {
        return Ok(fake.token());
    }
    if let Some((status, body)) = fake.acr.clone().filter(|_| head.uri.path().starts_with("/acr/"))
    {
        return Ok(reply(status, &[], body));
    }
    if head.uri.path().starts_with("/elsewhere/") {
        let bytes = fake.blobs.values().next().cloned().unwrap_or_default();
        return Ok(reply(200, &[("content-length", bytes.len().to_string())], bytes));
    }
    let place = fake.faults.iter().position(|fault| fault.fits(&head.method, head.uri.path()));
    let mut fault = place.and_then(|place| fake.faults.remove(place));
    match &fault {
        Some(Fault::ForgetSessions(_)) => fake.sessions.clear(),
        Some(Fault::ExpireTokens(_)) => fake.valid_token = u32::MAX,
        Some(Fault::BreakBefore(_)) => return Err(std::io::ErrorKind::ConnectionReset.into()),
        _ => {}
    }
    if let Some(refusal) = fake.ask_for_token(&head.headers) {
        return Ok(refusal);
    }
    if let Some(Fault::Answer(_, status, headers)) =
        fault.take_if(|f| matches!(f, Fault::Answer(..)))
    {
        let body = Bytes::from_static(br#"{"errors":[{"code":"UNKNOWN"}]}"#);
        return Ok(reply(status, &headers, body));
    }
    if let Some(Fault::At(_, _, status)) = fault {
        return Ok(reply(status, &[], Bytes::from_static(br#"{"errors":[{"code":"UNKNOWN"}]}"#)));
    }
    let answer = fake.route(&asked, body, fault.as_ref());
    match fault {
        Some(Fault::BreakAfter(_)) => Err(std::io::ErrorKind::ConnectionReset.into()),
        _ => Ok(answer),
    }
}

fn reply(status: u16, headers: &[(&str, String)], body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

impl Fake {
    fn token(&mut self) -> Answer {
        let number = self.tokens.map_or(1, |count| count + 1);
        self.tokens = Some(number);
        self.valid_token = number;
        let body = format!(r#"{{"access_token":"token-{number}"}}"#);
        reply(200, &[], Bytes::from(body))
    }

    fn ask_for_token(&self, headers: &HeaderMap) -> Option<Answer> {
        self.tokens?;
        let expected = format!("Bearer token-{}", self.valid_token);
        if headers.get("authorization").is_some_and(|value| value == expected.as_str()) {
            return None;
        }
        let challenge = format!(r#"Bearer realm="http://{}/token",service="fake""#, self.address);
        Some(reply(401, &[("www-authenticate", challenge)], Bytes::new()))
    }

    fn route(&mut self, asked: &RecordedRequest, body: Bytes, fault: Option<&Fault>) -> Answer {
        let rest = asked.path.strip_prefix("/v2/").unwrap_or_default();
        if let Some(repo) = rest.strip_suffix("/tags/list") {
            return self.tags(repo);
        }
        if let Some((repo, reference)) = rest.split_once("/manifests/") {
            return self.manifest(asked, (repo, reference), body);
        }
        if let Some((repo, _)) = rest.split_once("/blobs/uploads/") {
            if asked.method == Method::POST {
                return self.open(repo, &asked.query);
            }
            return self.session(asked, repo, &body, fault);
        }
        let Some((repo, digest)) = rest.split_once("/blobs/") else {
            return reply(404, &[], Bytes::new());
        };
        let key = (repo.to_owned(), digest.to_owned());
        let Some(bytes) = self.blobs.get(&key).cloned() else {
            return reply(404, &[], Bytes::new());
        };
        if let Some(elsewhere) = self.redirect.as_ref().filter(|_| asked.method == Method::GET) {
            return reply(307, &[("location", elsewhere.clone())], Bytes::new());
        }
        reply(200, &[("content-length", bytes.len().to_string())], bytes)
    }

    fn tags(&self, repo: &str) -> Answer {
        let names = self.manifests.keys().filter(|(at, _)| at == repo).map(|(_, name)| name);
        let tags: Vec<&String> = names.filter(|name| !name.contains(':')).collect();
        if tags.is_empty() {
            return reply(404, &[], Bytes::new());
        }
        reply(200, &[], Bytes::from(serde_json::json!({"name": repo, "tags": tags}).to_string()))
    }

    fn manifest(
        &mut self,
        asked: &RecordedRequest,
        (repo, reference): (&str, &str),
        body: Bytes,
    ) -> Answer {
        let key = (repo.to_owned(), reference.to_owned());
        if asked.method == Method::PUT {
            let media_type = asked.headers["content-type"].to_str().unwrap().to_owned();
            let digest = Digester::digest(Algorithm::Sha256, &body).to_string();
            self.manifests.insert((repo.to_owned(), digest), (media_type.clone(), body.clone()));
            self.manifests.insert(key, (media_type, body));
            return reply(201, &[], Bytes::new());
        }
        let Some((media_type, bytes)) = self.manifests.get(&key) else {
            return reply(404, &[], Bytes::new());
        };
        let digest = Digester::digest(Algorithm::Sha256, bytes).to_string();
        let headers = [
            ("content-type", media_type.clone()),
            ("docker-content-digest", digest),
            ("content-length", bytes.len().to_string()),
        ];
        reply(200, &headers, bytes.clone())
    }

    fn open(&mut self, repo: &str, query: &str) -> Answer {
        let field = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        if let (true, Some(digest), Some(from)) = (self.mounts, field("mount"), field("from"))
            && let Some(bytes) = self.blobs.get(&(from.to_owned(), digest.to_owned())).cloned()
        {
            self.blobs.insert((repo.to_owned(), digest.to_owned()), bytes);
            return reply(201, &[], Bytes::new());
        }
        self.next_session += 1;
        self.sessions.insert(self.next_session, Vec::new());
        // Relative, with a query the client has to send back.
        let location = format!("/v2/{repo}/blobs/uploads/{}?_state=s0", self.next_session);
        reply(202, &[("location", location)], Bytes::new())
    }

    fn session(
        &mut self,
        asked: &RecordedRequest,
        repo: &str,
        body: &Bytes,
        fault: Option<&Fault>,
    ) -> Answer {
        let RecordedRequest { method, path, query, headers } = asked;
        let id: u32 = path.rsplit('/').next().unwrap().parse().unwrap();
        let Some(session) = self.sessions.get_mut(&id) else {
            return reply(404, &[], Bytes::new());
        };
        assert!(query.contains("_state=s"), "the query of the Location is kept");
        match *method {
            Method::PATCH => {
                assert_eq!(headers["content-length"], body.len().to_string().as_str());
                let range = headers["content-range"].to_str().unwrap();
                let (first, last) = range.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                if first != session.len() || last + 1 - first != body.len() {
                    return reply(416, &[], Bytes::new());
                }
                let mut taken = body.to_vec();
                match fault {
                    Some(Fault::TakeOnly(count)) => taken.truncate(*count),
                    Some(Fault::Corrupt) => taken[0] ^= 1,
                    _ => {}
                }
                session.extend_from_slice(&taken);
                let size = session.len();
                let address = &self.address;
                // Absolute, and another one after each chunk.
                let location =
                    format!("http://{address}/v2/{repo}/blobs/uploads/{id}?_state=s{size}");
                reply(202, &[("location", location), ("range", range_of(size))], Bytes::new())
            }
            Method::GET => reply(204, &[("range", range_of(session.len()))], Bytes::new()),
            Method::DELETE => {
                self.sessions.remove(&id);
                reply(204, &[], Bytes::new())
            }
            _ => {
                assert_eq!(headers["content-length"], body.len().to_string().as_str());
                let digest = query.rsplit("digest=").next().unwrap().to_owned();
                let mut whole = self.sessions.remove(&id).unwrap();
                whole.extend_from_slice(body);
                let bytes = Bytes::from(whole);
                if Digester::digest(Algorithm::Sha256, &bytes).to_string() != digest {
                    return reply(
                        400,
                        &[],
                        Bytes::from_static(br#"{"errors":[{"code":"DIGEST_INVALID"}]}"#),
                    );
                }
                self.blobs.insert((repo.to_owned(), digest), bytes);
                reply(201, &[], Bytes::new())
            }
        }
    }

    /// How many sessions are open.
    pub(crate) fn open_sessions(&self) -> usize {
        self.sessions.len()
    }
}

fn range_of(size: usize) -> String {
    format!("0-{}", size.saturating_sub(1))
}
