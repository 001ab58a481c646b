//! `wharfd` with users, tokens and rules.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use wharf_testkit::processes::product;

use crate::fixture::{Api, Wharfd};

pub(super) const TINY_MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// `NAME-password` of each, with the least allowed cost, so tests do not wait for it.
const HTPASSWD: &str = "\
    alice:$2y$05$abcdefghijklmnopqrstuuZ8x5zyHk/OWcnyt5S3g.ULVoOjZZfR.\n\
    bob:$2y$05$abcdefghijklmnopqrstuub5Q5aGoyEFz.nPwNUAOxddz458tpAM2\n\
    root:$2y$05$abcdefghijklmnopqrstuueHccOM2hq6DJLgrFgY1tl9zDCGZnLGy\n\
";

pub(super) const RULES: &str = r#"
[[access.rule]]
who = ["alice", "ci-*", "github:contoso/*"]
repositories = ["team/*"]
actions = ["pull", "push"]
[[access.rule]]
who = ["bob"]
repositories = ["bob/*"]
actions = ["pull", "push", "delete"]
[[access.rule]]
who = ["alice"]
repositories = ["docker.io/library/*"]
actions = ["pull"]
[[access.rule]]
who = ["*"]
repositories = ["base"]
actions = ["pull"]
[[access.rule]]
who = ["anonymous"]
repositories = ["open/*"]
actions = ["pull"]
[[access.rule]]
who = ["root"]
repositories = ["*"]
actions = ["admin"]
"#;

/// A registry with users.
pub(super) struct Scene {
    pub(super) wharfd: Wharfd,
    pub(super) folder: TempDir,
    /// A long-lived token of `ci-1`.
    pub(super) token: String,
}

/// Runs `wharfd access` with this on standard input; returns its output.
pub(super) fn access_command(arguments: &[&str], input: &str) -> (bool, String, String) {
    let mut command = Command::new(product("wharfd").unwrap());
    command.arg("access").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.success(), text(ended.stdout), text(ended.stderr))
}

/// A folder with the file of passwords.
pub(crate) fn access_files() -> TempDir {
    let folder = TempDir::with_prefix("access-").unwrap();
    std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
    folder
}

impl Scene {
    pub(super) async fn set() -> Self {
        Self::with("", RULES, "").await
    }

    /// With other rules and more.
    pub(super) async fn with(before: &str, rules: &str, after: &str) -> Self {
        let folder = access_files();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (made, token, error) =
            access_command(&["token", "ci-1", "--file", &path("tokens")], "");
        assert!(made, "{error}");
        let lines = format!(
            "{before}\n[access]\nkind = \"users\"\nhtpasswd = \"{}\"\ntokens = \"{}\"\n{rules}\n{after}",
            path("htpasswd"),
            path("tokens")
        );
        let wharfd = Wharfd::with_config(&lines).await;
        Self { wharfd, folder, token: token.trim().to_owned() }
    }

    pub(super) fn nobody(&self) -> &Api {
        &self.wharfd.api
    }

    /// A user with the user's password.
    pub(super) fn user(&self, name: &str) -> Api {
        self.wharfd.api.with_password(name, &password(name))
    }

    pub(super) fn alice(&self) -> Api {
        self.user("alice")
    }

    pub(super) fn bob(&self) -> Api {
        self.user("bob")
    }

    /// The user with all rights.
    pub(super) fn root(&self) -> Api {
        self.user("root")
    }

    /// Puts an image `1.0` there; the digests of its one layer and its manifest.
    pub(super) async fn plant(&self, repo: &str) -> (String, String) {
        let root = self.root();
        let layer = root.push_blob(repo, format!("a layer of {repo}")).await;
        let manifest = tiny_manifest(&layer, format!("a layer of {repo}").len());
        let answer = root.put_manifest(repo, "1.0", TINY_MANIFEST_TYPE, manifest).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        (layer, answer.header("docker-content-digest").to_owned())
    }
}

/// Each user's password.
pub(crate) fn password(name: &str) -> String {
    format!("{name}-password")
}

fn tiny_manifest(layer: &str, size: usize) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{TINY_MANIFEST_TYPE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{layer}","size":{size}}},"layers":[]}}"#
    )
}
