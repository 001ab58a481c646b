//! A registry without storage: it takes uploads and throws their bytes away, as the upstream of the
//! double in tests of the push itself. It knows the received size of each blob, and has no content.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wharf_testkit::http::{Body, empty};

/// A running sink. Dropping it closes its port and every connection.
pub(super) struct Sink {
    addr: SocketAddr,
    taken: Arc<Taken>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Taken {
    /// Bytes of every upload, under its number.
    uploads: Mutex<Vec<u64>>,
    /// Sizes of completed uploads, by digest.
    blobs: Mutex<BTreeMap<String, u64>>,
}

impl Sink {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, taken) = (listener.local_addr().unwrap(), Arc::<Taken>::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&taken)));
        Self { addr, taken, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The completed uploads: the size of each digest.
    pub(super) fn blobs(&self) -> BTreeMap<String, u64> {
        self.taken.blobs.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, taken: Arc<Taken>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, Arc::clone(&taken)));
    }
}

async fn connection(stream: TcpStream, taken: Arc<Taken>) {
    let service = service_fn(|request| {
        let taken = Arc::clone(&taken);
        async move { Ok::<_, Infallible>(taken.answer(request).await) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    // A departed client is of no interest here.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

impl Taken {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Some((repo, upload)) = parts.uri.path().split_once("/blobs/uploads/") else {
            return answer(StatusCode::NOT_FOUND, &[]);
        };
        if parts.method == Method::POST {
            let mut uploads = self.uploads.lock().unwrap();
            uploads.push(0);
            let location = format!("{repo}/blobs/uploads/{}", uploads.len() - 1);
            return answer(StatusCode::ACCEPTED, &[("location", &location), ("range", "0-0")]);
        }
        let Ok(number) = upload.parse::<usize>() else {
            return answer(StatusCode::NOT_FOUND, &[]);
        };
        let Some(bytes) = drained(body).await else {
            return answer(StatusCode::BAD_REQUEST, &[]);
        };
        let size = {
            let mut uploads = self.uploads.lock().unwrap();
            uploads[number] += bytes;
            uploads[number]
        };
        let range = format!("0-{}", size.saturating_sub(1));
        let go_on = [("location", parts.uri.path()), ("range", range.as_str())];
        match parts.method {
            Method::PATCH => answer(StatusCode::ACCEPTED, &go_on),
            Method::GET => answer(StatusCode::NO_CONTENT, &go_on),
            Method::PUT => {
                let query = parts.uri.query().unwrap_or_default();
                let digest = form_urlencoded::parse(query.as_bytes())
                    .find_map(|(name, value)| (name == "digest").then(|| value.into_owned()));
                let digest = digest.unwrap_or_default();
                let location = format!("{repo}/blobs/{digest}");
                self.blobs.lock().unwrap().insert(digest, size);
                answer(StatusCode::CREATED, &[("location", &location)])
            }
            _ => answer(StatusCode::NO_CONTENT, &[]),
        }
    }
}

/// The size of a complete body.
async fn drained(mut body: Incoming) -> Option<u64> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.ok()?.into_data().map_or(0, |data| data.len() as u64);
    }
    Some(bytes)
}

fn answer(status: StatusCode, headers: &[(&str, &str)]) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(empty()).unwrap()
}
