//! An upstream with one known login: it refuses others, never answers for users named `slow-…`, and
//! counts the requests to its token endpoint.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The known login.
pub(super) const KNOWN: (&str, &str) = ("dora", "planted-password-of-dora");

/// It ends when this is dropped.
pub(super) struct Gatekeeper {
    url: String,
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Counts {
    /// Requests without a response: the current ones, and their maximum.
    hanging: AtomicUsize,
    hanging_most: AtomicUsize,
    /// Requests with unknown logins.
    guesses: AtomicUsize,
}

impl Gatekeeper {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (mut tasks, counts, base) = (JoinSet::new(), Arc::<Counts>::default(), url.clone());
        let kept = Arc::clone(&counts);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                connections.spawn(serve(stream, base.clone(), Arc::clone(&kept)));
            }
        });
        Self { url, counts, _tasks: tasks }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The maximum of concurrent requests without a response.
    pub(super) fn hanging_most(&self) -> usize {
        self.counts.hanging_most.load(Ordering::SeqCst)
    }

    /// The number of requests with an unknown login.
    pub(super) fn guesses(&self) -> usize {
        self.counts.guesses.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, base: String, counts: Arc<Counts>) {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        if !stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let user = user(&head);
    let answer = if !path.starts_with("/token") {
        of_registry(&path, &head, &base)
    } else if user.as_ref().is_some_and(|(name, _)| name.starts_with("slow-")) {
        counts
            .hanging_most
            .fetch_max(counts.hanging.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Until the client leaves.
        while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
        counts.hanging.fetch_sub(1, Ordering::SeqCst);
        return;
    } else if user.as_ref().is_some_and(|(name, word)| (&**name, &**word) == KNOWN) {
        said("200 OK", "", &json!({ "token": token(&path) }).to_string())
    } else {
        counts.guesses.fetch_add(1, Ordering::SeqCst);
        said("401 Unauthorized", "", "{}")
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn of_registry(path: &str, head: &str, base: &str) -> String {
    if !head.to_ascii_lowercase().contains("authorization: bearer ") {
        let challenge =
            format!("www-authenticate: Bearer realm=\"{base}/token\",service=\"test\"\r\n");
        return said("401 Unauthorized", &challenge, "{}");
    }
    if path.contains("/tags/list") {
        return said("200 OK", "", &json!({ "name": "x", "tags": ["v1"] }).to_string());
    }
    said("404 Not Found", "", "{}")
}

/// User and password of a head.
fn user(head: &str) -> Option<(String, String)> {
    let line =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization: "))?;
    let pair = STANDARD.decode(line.split_once("Basic ")?.1.trim()).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(name, word)| (name.to_owned(), word.to_owned()))
}

/// A token with the right to pull from the requested repository.
fn token(path: &str) -> String {
    let scope = path.split(['?', '&']).find_map(|field| field.strip_prefix("scope="));
    let scope = scope.unwrap_or_default().replace("%3A", ":").replace("%2F", "/");
    let name = scope.split(':').nth(1).unwrap_or_default();
    let access = json!([{ "type": "repository", "name": name, "actions": ["pull"] }]);
    let claims = json!({ "access": access, "exp": 4_000_000_000_u64 }).to_string();
    format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims))
}

fn said(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}
