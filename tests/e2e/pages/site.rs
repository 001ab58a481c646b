//! A web site with one page, and the page's report: `/loaded` is answered after the test's own
//! action in between, `/done` brings the results of all attempts.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The test's action after the page's load, before the page goes on.
type Meanwhile = Arc<dyn Fn() + Send + Sync>;

pub(super) struct Site {
    pub(super) addr: SocketAddr,
    done: mpsc::UnboundedReceiver<String>,
    _serving: JoinSet<()>,
}

impl Site {
    pub(super) async fn start(
        page: impl FnOnce(SocketAddr) -> String,
        meanwhile: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (told, done) = mpsc::unbounded_channel();
        let (page, meanwhile): (Arc<str>, Meanwhile) = (page(addr).into(), Arc::new(meanwhile));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut asked = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                asked.spawn(answer(
                    stream,
                    Arc::clone(&page),
                    Arc::clone(&meanwhile),
                    told.clone(),
                ));
            }
        });
        Self { addr, done, _serving: serving }
    }

    /// The page's final report.
    pub(super) async fn told(&mut self) -> serde_json::Value {
        let told = tokio::time::timeout(crate::fixture::PATIENCE, self.done.recv()).await;
        serde_json::from_str(&told.expect("the page told nothing in time").unwrap()).unwrap()
    }
}

/// One request of a connection, and its end: the next connection may lead to another server.
async fn answer(
    mut stream: TcpStream,
    page: Arc<str>,
    meanwhile: Meanwhile,
    told: mpsc::UnboundedSender<String>,
) {
    let Some((head, body)) = read(&mut stream).await else { return };
    let content = match head.split(' ').nth(1) {
        Some("/loaded") => {
            meanwhile();
            ""
        }
        Some("/done") => {
            let _ = told.send(body);
            ""
        }
        Some("/") => &page,
        _ => "",
    };
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{content}",
        content.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Its head and its body; nothing, when its client went away before the end.
async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
