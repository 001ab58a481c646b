//! An upstream without storage: it takes every push and keeps only digests and sizes, so it costs
//! as little as an upstream can. The sink counts requests and body bytes. It speaks plain HTTP/1.1
//! with one thread for each connection, and checks nothing, because every other test has real
//! registries for checks.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const BUFFER_BYTES: usize = 256 * 1024;

/// It ends with the process; after `drop` it takes no further connection.
pub(crate) struct Sink {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: AtomicU64,
    bytes: AtomicU64,
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    opened: u64,
    /// Received bytes of each open upload.
    uploads: HashMap<u64, u64>,
    /// Sizes by digest.
    blobs: HashMap<String, u64>,
}

/// The parts of a request in use here.
struct Request {
    method: String,
    path: String,
    length: u64,
}

impl Sink {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (addr, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if served.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&served);
                std::thread::spawn(move || {
                    // The client reports a broken connection.
                    let _ = serve(stream, &shared);
                });
            }
        });
        Ok(Self { addr, shared })
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answered requests and received body bytes until now.
    pub(crate) fn counted(&self) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&self.shared.requests), count(&self.shared.bytes))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.addr);
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, stream);
    while let Some(request) = read_head(&mut reader)? {
        let mut left = request.length;
        while left > 0 {
            let here = reader.fill_buf()?.len();
            if here == 0 {
                return Ok(());
            }
            let used = here.min(usize::try_from(left).unwrap_or(usize::MAX));
            reader.consume(used);
            left -= used as u64;
            shared.bytes.fetch_add(used as u64, Ordering::Relaxed);
        }
        shared.requests.fetch_add(1, Ordering::Relaxed);
        answers.write_all(shared.answer(&request).as_bytes())?;
    }
    Ok(())
}

fn read_head(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut head = String::new();
    // No head is longer; a stranger would not be let in here anyway.
    let mut bounded = reader.by_ref().take(64 * 1024);
    while !head.ends_with("\r\n\r\n") {
        if bounded.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let mut words = head.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    Ok(Some(Request { method, path, length: length.unwrap_or(0) }))
}

impl Shared {
    fn answer(&self, request: &Request) -> String {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let digest = parameter("digest").map(|digest| digest.replace("%3A", ":"));
        let last = place.rsplit('/').next().unwrap_or_default();
        let upload = last.parse::<u64>().ok().filter(|id| state.uploads.contains_key(id));
        match (request.method.as_str(), upload) {
            ("GET", None) if place == "/v2/" => ok(""),
            ("HEAD", _) => match state.blobs.get(last) {
                Some(size) => format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"),
                None => status("404 Not Found", ""),
            },
            ("POST", _) if place.ends_with("/uploads/") => {
                let mounted = parameter("mount").map(|digest| digest.replace("%3A", ":"));
                if mounted.is_some_and(|digest| state.blobs.contains_key(&digest)) {
                    return status("201 Created", "Location: /v2/\r\n");
                }
                state.opened += 1;
                let id = state.opened;
                state.uploads.insert(id, 0);
                let headers = format!("Location: {place}{id}\r\nRange: 0-0\r\n");
                status("202 Accepted", &headers)
            }
            ("PATCH", Some(id)) => {
                let size = state.uploads.entry(id).or_default();
                *size += request.length;
                let last = size.saturating_sub(1);
                status("202 Accepted", &format!("Location: {place}\r\nRange: 0-{last}\r\n"))
            }
            ("PUT", Some(id)) => {
                let size = state.uploads.remove(&id).unwrap_or(0) + request.length;
                let digest = digest.unwrap_or_default();
                let headers = format!("Location: /v2/blobs\r\nDocker-Content-Digest: {digest}\r\n");
                state.blobs.insert(digest, size);
                status("201 Created", &headers)
            }
            ("DELETE", Some(id)) => {
                state.uploads.remove(&id);
                "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
            }
            _ => status("404 Not Found", ""),
        }
    }
}

fn ok(headers: &str) -> String {
    status("200 OK", headers)
}

fn status(line: &str, headers: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n{headers}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Ask, Client};
    use crate::content::{Blob, push_blob};

    #[test]
    fn a_push_is_counted_and_known_afterwards() {
        let sink = Sink::start().unwrap();
        let blob = Blob::noise(100_000);
        push_blob(sink.addr(), &blob).unwrap();
        assert_eq!(sink.counted(), (2, 100_000));
        let mut client = Client::connect(sink.addr()).unwrap();
        let mount = format!("/v2/a/blobs/uploads/?mount={}&from=b", blob.digest);
        let ask = Ask { method: "POST", ..Ask::get(&mount) };
        assert_eq!(client.send(ask, &mut |_| {}).unwrap().status, 201);
        assert_eq!(client.get("/v2/unknown").unwrap().status, 404);
    }
}
