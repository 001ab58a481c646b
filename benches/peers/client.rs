//! The client of every measurement: one blocking socket, one buffer of 256 KiB, and plain reads
//! into the same buffer. The client parses only the head of a response, so it costs the same with
//! every server.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use rustls::{ClientConnection, StreamOwned};

const BUFFER_BYTES: usize = 256 * 1024;
/// How long one read may take.
const STALL: Duration = Duration::from_mins(2);

/// A keep-alive connection.
pub(crate) struct Client {
    addr: SocketAddr,
    stream: Stream,
    buffer: Vec<u8>,
}

enum Stream {
    Clear(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Clear(stream) => stream.write_all(bytes),
            Self::Encrypted(stream) => stream.write_all(bytes),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

/// One HTTP request.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Further header lines, each ended by CRLF.
    pub(crate) headers: &'a str,
    /// One after the other.
    pub(crate) body: &'a [&'a [u8]],
}

impl<'a> Ask<'a> {
    pub(crate) const fn get(path: &'a str) -> Self {
        Self { method: "GET", path, headers: "", body: &[] }
    }
}

/// One HTTP response, without its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers as they came.
    pub(crate) head: String,
    pub(crate) bytes: u64,
    /// From sending the request to the first byte of the body.
    pub(crate) first: Duration,
    /// From sending the request to the last byte of the body.
    pub(crate) whole: Duration,
}

impl Answer {
    /// A header's value; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { addr, stream: Stream::Clear(open(addr)?), buffer: vec![0; BUFFER_BYTES] })
    }

    /// The same over TLS; the handshake is done when this returns.
    pub(crate) fn connect_encrypted(
        addr: SocketAddr,
        mut session: ClientConnection,
    ) -> anyhow::Result<Self> {
        let mut stream = open(addr)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream).context("the handshake failed")?;
        }
        let stream = Stream::Encrypted(Box::new(StreamOwned::new(session, stream)));
        Ok(Self { addr, stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Reads a body and throws it away.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send(Ask::get(path), &mut |_| {})
    }

    /// Asks for headers only.
    pub(crate) fn head(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send(Ask { method: "HEAD", ..Ask::get(path) }, &mut |_| {})
    }

    /// Sends a request; `take` is shown the body of the answer.
    pub(crate) fn send(
        &mut self,
        ask: Ask<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> anyhow::Result<Answer> {
        let Ask { method, path, headers, body } = ask;
        let host = self.addr;
        let length = match method {
            "GET" | "HEAD" => String::new(),
            _ => {
                let length: usize = body.iter().map(|part| part.len()).sum();
                format!("Content-Length: {length}\r\n")
            }
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}{headers}\r\n");
        let begin = Instant::now();
        self.stream.write_all(head.as_bytes())?;
        body.iter().try_for_each(|part| self.stream.write_all(part))?;
        self.answer(begin, method == "HEAD", take)
            .with_context(|| format!("{method} {path} at {host}"))
    }

    fn answer(
        &mut self,
        begin: Instant,
        head_only: bool,
        take: &mut dyn FnMut(&[u8]),
    ) -> anyhow::Result<Answer> {
        let mut filled = 0;
        let end = loop {
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let read = self.stream.read(room)?;
            ensure!(read > 0, "the connection ended before the answer");
            filled += read;
            let seen = self.buffer.get(..filled).unwrap_or_default();
            if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = self.buffer.get(..end).unwrap_or_default();
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        let status = status.context("no status")?;
        let size: u64 = match header(&head, "content-length") {
            _ if head_only => 0,
            Some(text) => text.parse()?,
            None if status == 204 || status == 304 => 0,
            None => anyhow::bail!("no Content-Length in\n{head}"),
        };
        let body = self.buffer.get(end..filled).unwrap_or_default();
        let mut bytes = body.len() as u64;
        take(body);
        let mut first = (bytes > 0).then(|| begin.elapsed());
        while bytes < size {
            let read = self.stream.read(&mut self.buffer)?;
            ensure!(read > 0, "the connection ended after {bytes} of {size} bytes");
            first.get_or_insert_with(|| begin.elapsed());
            bytes += read as u64;
            take(self.buffer.get(..read).unwrap_or_default());
        }
        ensure!(bytes == size, "{bytes} bytes came, {size} were announced");
        let whole = begin.elapsed();
        Ok(Answer { status, head, bytes, first: first.unwrap_or(whole), whole })
    }
}

fn open(addr: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(addr).with_context(|| format!("cannot reach {addr}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))?;
    Ok(stream)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
}

/// Opens a TLS connection to one address.
pub(crate) fn connect_tls(
    addr: SocketAddr,
    config: &Arc<rustls::ClientConfig>,
) -> anyhow::Result<Client> {
    let name = rustls::pki_types::ServerName::from(addr.ip());
    let session = ClientConnection::new(Arc::clone(config), name);
    let session = session.map_err(|error| anyhow!("no TLS session: {error}"))?;
    Client::connect_encrypted(addr, session)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection once with these bytes.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
        });
        addr
    }

    #[test]
    fn a_whole_answer_is_taken_and_counted() {
        let addr = server(b"HTTP/1.1 200 OK\r\nContent-LENGTH: 5\r\nwharf-cache: hit\r\n\r\nhello");
        let mut body = Vec::new();
        let mut take = |bytes: &[u8]| body.extend_from_slice(bytes);
        let answer = Client::connect(addr).unwrap().send(Ask::get("/"), &mut take).unwrap();
        assert_eq!((answer.status, answer.bytes), (200, 5));
        assert_eq!(answer.header("wharf-cache"), Some("hit"));
        assert_eq!(body, b"hello");
    }

    #[test]
    fn a_short_body_is_an_error() {
        let addr = server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
        let error = Client::connect(addr).unwrap().get("/").map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("after 5 of 9 bytes"), "{error:#}");
    }
}
