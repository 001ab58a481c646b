//! A collector of traces: it takes OTLP requests, and reads the part of the protobuf needed by
//! tests (opentelemetry-proto, `trace/v1/trace.proto`).

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wharf_testkit::http::{Body, full, read_to_limit};

/// More than any batch of these tests has.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A span as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Span {
    pub(super) name: String,
    pub(super) trace: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) parent: Vec<u8>,
    pub(super) attributes: Vec<(String, String)>,
    /// Ids of linked traces.
    pub(super) links: Vec<Vec<u8>>,
}

impl Span {
    pub(super) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct Seen {
    bodies: Vec<Bytes>,
    heads: Vec<String>,
}

/// Listens until it is dropped.
pub(super) struct Collector {
    url: String,
    seen: Arc<Mutex<Seen>>,
    work: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Collector {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Seen>>::default();
        let taken = Arc::clone(&seen);
        let work = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&taken);
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let seen = Arc::clone(&seen);
                        async move { Ok::<_, Infallible>(take(&seen, request).await) }
                    });
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, seen, work }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The received request lines and headers.
    pub(super) fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().heads.clone()
    }

    /// All received bytes, for searches.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bodies.concat()
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let bodies = self.seen.lock().unwrap().bodies.clone();
        bodies.iter().flat_map(|body| spans(body)).collect()
    }
}

async fn take(seen: &Mutex<Seen>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = read_to_limit(body, BODY_BYTES_MAX).await.unwrap();
    let mut seen = seen.lock().unwrap();
    seen.heads.push(format!("{} {} {:?}", parts.method, parts.uri, parts.headers));
    seen.bodies.push(body);
    Response::new(full(""))
}

/// One field of a message: its number, and its bytes or its number.
enum Value<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return value;
        }
        shift += 7;
    }
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, Value::Number(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).unwrap(),
            5 => 4,
            other => panic!("no such kind of a field: {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        bytes = rest;
        found.push((key >> 3, Value::Bytes(value)));
    }
    found
}

fn parts(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let wanted = |(field, value)| match value {
        Value::Bytes(value) if field == number => Some(value),
        _ => None,
    };
    fields(bytes).into_iter().filter_map(wanted).collect()
}

fn first(bytes: &[u8], number: u64) -> &[u8] {
    parts(bytes, number).first().copied().unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A text, or a number as text.
fn any_value(bytes: &[u8]) -> String {
    match fields(bytes).into_iter().next() {
        Some((1, Value::Bytes(value))) => text(value),
        Some((_, Value::Number(value))) => value.to_string(),
        _ => String::new(),
    }
}

/// `ExportTraceServiceRequest` > `ResourceSpans` > `ScopeSpans` > `Span`.
fn spans(body: &[u8]) -> Vec<Span> {
    let scopes = parts(body, 1).into_iter().flat_map(|resource| parts(resource, 2));
    let all = scopes.flat_map(|scope| parts(scope, 2));
    all.map(|span| Span {
        trace: first(span, 1).to_vec(),
        id: first(span, 2).to_vec(),
        parent: first(span, 4).to_vec(),
        name: text(first(span, 5)),
        attributes: parts(span, 9)
            .into_iter()
            .map(|pair| (text(first(pair, 1)), any_value(first(pair, 2))))
            .collect(),
        links: parts(span, 13).into_iter().map(|link| first(link, 1).to_vec()).collect(),
    })
    .collect()
}
