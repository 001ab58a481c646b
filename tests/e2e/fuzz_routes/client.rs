//! Sends the random requests unchanged, and reads the responses.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use wharf_testkit::http::{Body, chunked, empty, full};

use super::shots::{Framing, Shot};

/// Longer than any of these responses takes, also the response to an endless body.
const HUNG: Duration = Duration::from_secs(75);
/// The kept part of a response.
const KEPT_BYTES: usize = 64 * 1024;
const PART_BYTES: usize = 16 * 1024;

/// The response to a request.
#[derive(Default)]
pub(super) struct Seen {
    /// `None` when the connection closed without an answer.
    pub(super) status: Option<u16>,
    pub(super) location: String,
    pub(super) body: Vec<u8>,
    pub(super) hung: bool,
}

impl Seen {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }

    pub(super) fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }
}

/// One request on a connection of its own.
pub(super) async fn send(host: &str, shot: &Shot, http2: bool) -> Seen {
    let request = if http2 { shot.request(host) } else { None };
    let sent = async {
        match request {
            Some(request) => second(host, shot, request).await,
            None => first(host, shot).await,
        }
    };
    match timeout(HUNG, sent).await {
        Ok(seen) => seen.unwrap_or_default(),
        Err(_) => Seen { hung: true, ..Seen::default() },
    }
}

async fn connect(host: &str, shot: &Shot) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, shot.source), 0)))?;
    socket.connect(host.parse().unwrap()).await
}

async fn first(host: &str, shot: &Shot) -> std::io::Result<Seen> {
    let (mut from, mut to) = connect(host, shot).await?.into_split();
    let bytes = shot.bytes(host);
    let part = shot.framing == Framing::Short;
    let write = async {
        // After its response a server may refuse the rest.
        let _ = to.write_all(&bytes).await;
        if part {
            let _ = to.shutdown().await;
        }
        to
    };
    let read = async {
        let (mut kept, mut part) = (Vec::new(), vec![0; PART_BYTES]);
        while let Ok(read @ 1..) = from.read(&mut part).await {
            if kept.len() < KEPT_BYTES {
                kept.extend_from_slice(&part[..read]);
            }
        }
        kept
    };
    let (_open, answer) = tokio::join!(write, read);
    Ok(parse(&answer))
}

/// The first response with a status other than 1xx.
fn parse(answer: &[u8]) -> Seen {
    let mut rest = answer;
    loop {
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Seen::default();
        };
        let head = String::from_utf8_lossy(&rest[..end]);
        rest = &rest[end + 4..];
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        if status.is_some_and(|status: u16| status < 200) {
            continue;
        }
        let location = head.lines().find_map(|line| line.strip_prefix("location: "));
        let location = location.unwrap_or_default().to_owned();
        return Seen { status, location, body: rest.to_vec(), hung: false };
    }
}

async fn second(host: &str, shot: &Shot, request: http::request::Builder) -> std::io::Result<Seen> {
    let io = TokioIo::new(connect(host, shot).await?);
    let Ok((mut sender, driver)) = http2::handshake::<_, _, Body>(TokioExecutor::new(), io).await
    else {
        return Ok(Seen::default());
    };
    let driver = tokio::spawn(driver);
    let body = match shot.framing {
        _ if shot.body.is_empty() => empty(),
        Framing::Chunked => {
            chunked(shot.body.chunks(50_000).map(bytes::Bytes::copy_from_slice).collect())
        }
        _ => full(shot.body.clone()),
    };
    let Ok(request) = request.body(body) else { return Ok(Seen::default()) };
    let answer = sender.send_request(request).await;
    let Ok(answer) = answer else {
        driver.abort();
        return Ok(Seen::default());
    };
    let (parts, mut body) = answer.into_parts();
    let location = parts.headers.get("location").and_then(|value| value.to_str().ok());
    let mut seen = Seen {
        status: Some(parts.status.as_u16()),
        location: location.unwrap_or_default().to_owned(),
        ..Seen::default()
    };
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref().filter(|_| seen.body.len() < KEPT_BYTES) {
            seen.body.extend_from_slice(data);
        }
    }
    driver.abort();
    Ok(seen)
}
