//! HTTP as an attacker writes it: bytes on a socket, and every response in return, framed only by
//! its own headers.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::PATIENCE;

/// More than any answer of these tests has.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A raw connection.
pub(super) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
    /// Whether responses have no bodies despite their lengths, after HEAD.
    bodiless: bool,
}

/// One answer. Names of headers are in lower case.
#[derive(Debug)]
pub(super) struct RawAnswer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl RawAnswer {
    /// The first header of this name; empty when there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Raw {
    pub(super) async fn connect(host: &str) -> Self {
        let stream = TcpStream::connect(host).await.unwrap();
        Self { stream, read: Vec::new(), bodiless: false }
    }

    /// Sends these bytes, unless the server has closed already.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Closes the sending direction.
    pub(super) async fn end(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next answer; `None` when the server closes before one.
    pub(super) async fn answer(&mut self) -> Option<RawAnswer> {
        self.answer_within(PATIENCE).await.expect("an answer or an end in time")
    }

    /// The same, or an error when there is nothing for so long.
    pub(super) async fn answer_within(
        &mut self,
        time: Duration,
    ) -> Result<Option<RawAnswer>, tokio::time::error::Elapsed> {
        timeout(time, self.next()).await
    }

    /// Everything until the server closes, answer by answer.
    pub(super) async fn answers(mut self) -> Vec<RawAnswer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer().await {
            answers.push(answer);
        }
        assert!(self.read.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(&self.read));
        answers
    }

    async fn next(&mut self) -> Option<RawAnswer> {
        let end = self.find(b"\r\n\r\n").await?;
        let head = String::from_utf8(self.take(end + 4)).expect("heads of answers are text");
        let mut lines = head.lines();
        let status_line = lines.next().unwrap();
        let status: u16 = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(status_line.starts_with("HTTP/1."), "{status_line}");
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?}"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = RawAnswer { status, headers, body: Vec::new() };
        answer.body = self.body(&answer).await;
        Some(answer)
    }

    async fn body(&mut self, answer: &RawAnswer) -> Vec<u8> {
        if self.bodiless {
            return Vec::new();
        }
        if answer.header("transfer-encoding") == "chunked" {
            return self.chunks().await;
        }
        let bytes = answer.header("content-length").parse().unwrap_or(0);
        self.fill(bytes).await;
        self.take(bytes)
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = self.find(b"\r\n").await.expect("a chunk");
            let line = String::from_utf8(self.take(end + 2)).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            self.fill(size + 2).await;
            body.extend(self.take(size));
            self.take(2);
            if size == 0 {
                return body;
            }
        }
    }

    /// Where these bytes are next; `None` when the connection ends before them.
    async fn find(&mut self, wanted: &[u8]) -> Option<usize> {
        loop {
            let found = self.read.windows(wanted.len()).position(|window| window == wanted);
            if found.is_some() {
                return found;
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn fill(&mut self, bytes: usize) {
        while self.read.len() < bytes {
            assert!(self.more().await, "the connection ended within an answer");
        }
    }

    async fn more(&mut self) -> bool {
        assert!(self.read.len() < ANSWER_BYTES_MAX);
        // A reset is an end: the server closed with bytes of ours unread.
        self.stream.read_buf(&mut self.read).await.is_ok_and(|bytes| bytes > 0)
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        self.read.drain(..bytes).collect()
    }
}

/// Every byte of a text percent-encoded.
pub(super) fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02x}");
        encoded
    })
}

/// Sends bytes on a connection of their own; every answer until the server closes.
pub(super) async fn exchange(host: &str, bytes: impl AsRef<[u8]>) -> Vec<RawAnswer> {
    let mut raw = Raw::connect(host).await;
    raw.bodiless = bytes.as_ref().starts_with(b"HEAD ");
    raw.send(bytes).await;
    raw.answers().await
}
