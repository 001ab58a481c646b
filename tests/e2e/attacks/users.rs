//! The stage of the attacks on access: `wharfd` with users, tokens, rules and an issuer, and
//! clients with any credentials.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_testkit::images::sha256;
use wharf_testkit::processes::product;

use super::raw::{RawAnswer, exchange};
use super::scene::{Daemon, Start};

pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The repository under attack; only alice, ci-1 and root have access.
pub(super) const SECRET: &str = "team/secret";

/// `NAME-password` of each, of the least allowed cost.
const HTPASSWD: &str = "\
    alice:$2y$05$abcdefghijklmnopqrstuuZ8x5zyHk/OWcnyt5S3g.ULVoOjZZfR.\n\
    bob:$2y$05$abcdefghijklmnopqrstuub5Q5aGoyEFz.nPwNUAOxddz458tpAM2\n\
    root:$2y$05$abcdefghijklmnopqrstuueHccOM2hq6DJLgrFgY1tl9zDCGZnLGy\n";

const RULES: &str = "
[[access.rule]]
who = [\"alice\", \"ci-*\", \"idp:alice\"]
repositories = [\"team/*\"]
actions = [\"pull\", \"push\", \"delete\"]
[[access.rule]]
who = [\"bob\", \"idp:bob\"]
repositories = [\"bob/*\"]
actions = [\"pull\", \"push\", \"delete\"]
[[access.rule]]
who = [\"anonymous\"]
repositories = [\"open/*\"]
actions = [\"pull\"]
[[access.rule]]
who = [\"root\"]
repositories = [\"*\"]
actions = [\"admin\"]
";

/// A registry with users.
pub(super) struct Users {
    pub(super) daemon: Daemon,
    /// A long-lived token of `ci-1`.
    pub(super) robot: String,
}

/// How a registry with users differs from the usual one.
pub(super) struct Setup<'a> {
    /// Lines before `[access]`.
    pub(super) before: &'a str,
    pub(super) htpasswd: &'a str,
    /// Further keys of `[access]`.
    pub(super) keys: &'a str,
    /// Lines after the rules.
    pub(super) after: &'a str,
    pub(super) environment: &'a [(&'a str, &'a str)],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { before: "", htpasswd: HTPASSWD, keys: "", after: "", environment: &[] }
    }
}

/// A request's credentials, as a line of its head.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(pub(super) String);

impl Shown {
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    pub(super) fn basic(user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        Self(format!("authorization: Basic {pair}\r\n"))
    }

    /// A user with their password.
    pub(super) fn user(name: &str) -> Self {
        Self::basic(name, &password(name))
    }

    /// The same with more lines in the head.
    pub(super) fn and(&self, lines: &str) -> Self {
        Self(format!("{}{lines}", self.0))
    }

    pub(super) fn bearer(token: &str) -> Self {
        Self(format!("authorization: Bearer {token}\r\n"))
    }
}

pub(super) fn password(name: &str) -> String {
    format!("{name}-password")
}

/// A long-lived token of this name, made by the command, with its line in the file.
pub(super) fn make_token(name: &str, file: &std::path::Path) -> String {
    let mut command = Command::new(product("wharfd").unwrap());
    command.args(["access", "token", name, "--file"]).arg(file);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"").unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap().trim().to_owned()
}

impl Users {
    pub(super) async fn set() -> Self {
        Self::with(Setup::default()).await
    }

    /// With these keys in `[access]`.
    pub(super) async fn with_keys(keys: &str) -> Self {
        Self::with(Setup { keys, ..Setup::default() }).await
    }

    pub(super) async fn with(setup: Setup<'_>) -> Self {
        let Setup { before, htpasswd, keys, after, environment } = setup;
        let folder = TempDir::with_prefix("attacks-").unwrap();
        let robot = make_token("ci-1", &folder.path().join("tokens"));
        let config = format!(
            "{before}\n[access]\nkind = \"users\"\nhtpasswd = \"FOLDER/htpasswd\"\n\
             tokens = \"FOLDER/tokens\"\n{keys}{RULES}{after}"
        );
        let files = [("htpasswd", htpasswd)];
        let start = Start { config: &config, files: &files, environment, ..Start::default() };
        Self { daemon: Daemon::start_in(folder, start).await, robot }
    }

    pub(super) fn host(&self) -> &str {
        self.daemon.host()
    }

    /// Sends a request without a body.
    pub(super) async fn ask(&self, shown: &Shown, method: &str, path: &str) -> RawAnswer {
        self.send(shown, method, path, b"").await
    }

    /// Sends a request with a body.
    pub(super) async fn send(
        &self,
        shown: &Shown,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> RawAnswer {
        let host = self.host();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\
             {}\r\n",
            body.len(),
            shown.0
        );
        let mut answers = exchange(host, [head.as_bytes(), body].concat()).await;
        assert_eq!(answers.len(), 1, "{method} {path}: {answers:?}");
        answers.remove(0)
    }

    /// Pushes a blob with valid credentials.
    pub(super) async fn push_blob(&self, shown: &Shown, repo: &str, content: &[u8]) -> String {
        let digest = sha256(content);
        let path = format!("/v2/{repo}/blobs/uploads/?digest={digest}");
        let put = self.send(shown, "POST", &path, content).await;
        assert_eq!(put.status, 201, "{}", put.text());
        digest
    }

    /// An image `v1` with one layer by root; digests of layer and manifest.
    pub(super) async fn plant(&self, repo: &str, layer: &str) -> (String, String) {
        let root = Shown::user("root");
        let digest = self.push_blob(&root, repo, layer.as_bytes()).await;
        let entry = json!({ "mediaType": "application/x", "digest": digest, "size": layer.len() });
        let manifest = json!({ "schemaVersion": 2, "config": entry, "layers": [] }).to_string();
        let kind = format!("content-type: {MANIFEST_TYPE}\r\n");
        let path = format!("/v2/{repo}/manifests/v1");
        let put = self.send(&root.and(&kind), "PUT", &path, manifest.as_bytes()).await;
        assert_eq!(put.status, 201, "{}", put.text());
        (digest, sha256(manifest.as_bytes()))
    }

    /// A token of ours, for this scope.
    pub(super) async fn token(&self, shown: &Shown, scope: &str) -> String {
        let path = format!("/token?service=wharfd&scope={scope}");
        let answer = self.ask(shown, "GET", &path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        said["token"].as_str().unwrap().to_owned()
    }

    /// Opens an upload with these credentials.
    pub(super) async fn open_upload(&self, shown: &Shown, repo: &str) -> String {
        let answer = self.ask(shown, "POST", &format!("/v2/{repo}/blobs/uploads/")).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.header("location").to_owned()
    }
}
