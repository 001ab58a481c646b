//! The stage for attacks on more than a plain `wharfd`: a `wharfd` with any configuration, options
//! and environment, and an upstream with scripted responses.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wharf_testkit::http::Client;
use wharf_testkit::processes::Process;

use crate::fixture::{Api, START, address_after, command};

/// A running `wharfd` with a folder of its own.
pub(super) struct Daemon {
    pub(super) api: Api,
    pub(super) process: Process,
    pub(super) admin: SocketAddr,
    pub(super) folder: TempDir,
}

/// The parameters of a start. Files are written to the folder first; `FOLDER` stands for it in the
/// configuration.
#[derive(Default)]
pub(super) struct Start<'a> {
    pub(super) config: &'a str,
    pub(super) files: &'a [(&'a str, &'a str)],
    pub(super) arguments: &'a [&'a str],
    pub(super) environment: &'a [(&'a str, &'a str)],
}

impl Daemon {
    pub(super) async fn start(start: Start<'_>) -> Self {
        let folder = TempDir::with_prefix("attacks-").unwrap();
        Self::start_in(folder, start).await
    }

    pub(super) async fn start_in(folder: TempDir, start: Start<'_>) -> Self {
        let at = folder.path().display().to_string();
        for (name, content) in start.files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut config =
            format!("listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstore = \"{at}/store\"\n");
        let _ = write!(config, "{}", start.config.replace("FOLDER", &at));
        let path = folder.path().join("wharfd.toml");
        std::fs::write(&path, config).unwrap();
        let mut command = command(["serve", "--config"]);
        command.arg(&path).args(start.arguments).envs(start.environment.iter().copied());
        let mut process = Process::spawn("wharfd", &mut command, folder.path()).unwrap();
        let listening = |line: &str| address_of(line, "listening on ");
        let addr = process.wait_for_line(START, listening).await.unwrap();
        let admin = process.wait_for_line(START, |line| address_of(line, "admin on ")).await;
        let api = Api::new(format!("http://{addr}"), Client::new());
        Self { api, process, admin: admin.unwrap(), folder }
    }

    pub(super) fn host(&self) -> &str {
        self.api.host()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn log(&self) -> String {
        self.process.stderr()
    }

    pub(super) async fn metrics(&self) -> String {
        Client::new().get(format!("http://{}/metrics", self.admin)).send().await.unwrap().text()
    }
}

/// An address in a log line, of either form of log.
fn address_of(line: &str, words: &str) -> Option<SocketAddr> {
    address_after(line, words).or_else(|| {
        let rest = line.split_once(words)?.1;
        rest.split('"').next()?.parse().ok()
    })
}

/// A server with a scripted response to the head of each request; it closes the connection and
/// keeps the heads.
pub(super) struct Parrot {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Parrot {
    /// The same bytes each time.
    pub(super) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::at(IpAddr::V4(Ipv4Addr::LOCALHOST), move |_| answer.clone()).await
    }

    /// On this address of the machine.
    pub(super) async fn at(
        address: IpAddr,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (answer, heads) = (Arc::new(answer), Arc::<Mutex<Vec<String>>>::default());
        let (mut tasks, kept) = (JoinSet::new(), Arc::clone(&heads));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                connections.spawn(async move { speak(stream, &*answer, &kept).await });
            }
        });
        Self { addr, heads, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The heads of all requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn speak(
    mut stream: TcpStream,
    answer: &(dyn Fn(&str) -> Vec<u8> + Send + Sync),
    kept: &Mutex<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if !stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let bytes = answer(&head);
    kept.lock().unwrap().push(head);
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

/// An HTTP answer as bytes.
pub(super) fn said(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
