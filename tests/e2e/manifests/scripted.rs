//! A scripted upstream, and `wharfd` in front of it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wharf_testkit::http::{Body, chunked, full, read_to_limit};

use crate::fixture::Wharfd;

/// A request to the upstream.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
}

impl Came {
    /// All lines of a header as one.
    pub(super) fn header(&self, name: &str) -> String {
        let lines = self.headers.get_all(name).iter();
        lines.map(|line| line.to_str().unwrap()).collect::<Vec<_>>().join(", ")
    }
}

/// The scripted response to a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Says {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Without a length.
    pub(super) is_chunked: bool,
}

impl Says {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Script = Arc<dyn Fn(&Came) -> Says + Send + Sync>;

/// `wharfd` before the scripted upstream.
pub(super) struct Scripted {
    pub(super) wharfd: Wharfd,
    came: Arc<Mutex<Vec<Came>>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    /// With these lines in the upstream's part of the configuration.
    pub(super) async fn start(
        lines: &str,
        script: impl Fn(&Came) -> Says + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (came, script): (Arc<Mutex<Vec<Came>>>, Script) = (Arc::default(), Arc::new(script));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&came), script));
        let config = format!("[[upstream]]\nurl = \"http://{addr}\"\n{lines}");
        Self { wharfd: Wharfd::with_config(&config).await, came, _tasks: tasks }
    }

    /// The requests since the last call.
    pub(super) fn came(&self) -> Vec<Came> {
        std::mem::take(&mut self.came.lock().unwrap())
    }
}

async fn serve(listener: TcpListener, came: Arc<Mutex<Vec<Came>>>, script: Script) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (came, script) = (Arc::clone(&came), Arc::clone(&script));
        connections.spawn(async move {
            let service = service_fn(|request| {
                let (came, script) = (Arc::clone(&came), Arc::clone(&script));
                async move { Ok::<_, Infallible>(answer(request, &came, &script).await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    came: &Mutex<Vec<Came>>,
    script: &Script,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let _ = read_to_limit(body, 1 << 20).await;
    let this =
        Came { method: head.method, path: head.uri.path().to_owned(), headers: head.headers };
    came.lock().unwrap().push(this.clone());
    let says = script(&this);
    let body = if says.is_chunked { chunked(vec![says.body.into()]) } else { full(says.body) };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(says.status).unwrap();
    for (name, value) in says.headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}
