//! Files that are secrets, by their content and by the names programs give them. Few and certain
//! ones: a false alarm is an error and stops a release.

use crate::image::files::{File, Magic};
use crate::secret_patterns::looks_secret;

/// The kind of a file that should not be given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretFileKind {
    /// A private key, with the name of its form.
    Key(&'static str),
    /// A file with a login that works elsewhere.
    Login(&'static str),
    /// A file left behind by people and tools.
    Trace(&'static str),
    /// A well-known private key: of tests, of documentation.
    Example,
}

/// Ends of paths of files with logins, and the expected part of the text when it is at hand.
const LOGINS: [(&str, &[&str], &str); 22] = [
    (".aws/credentials", &["aws_secret_access_key", "aws_session_token"], "a login of AWS"),
    (".azure/accessTokens.json", &["oken"], "a login of Azure"),
    (".azure/msal_token_cache.json", &["secret"], "a login of Azure"),
    (".azure/service_principal_entries.json", &["secret", "certificate"], "a login of Azure"),
    (".config/gcloud/credentials.db", &[], "a login of Google Cloud"),
    (".config/gcloud/access_tokens.db", &[], "a login of Google Cloud"),
    (
        ".config/gcloud/application_default_credentials.json",
        &["refresh_token", "private_key"],
        "a login of Google Cloud",
    ),
    (
        ".docker/config.json",
        &["\"auth\"", "identitytoken", "registrytoken"],
        "a login of a registry",
    ),
    (".dockercfg", &["\"auth\"", "identitytoken"], "a login of a registry"),
    ("containers/auth.json", &["\"auth\"", "identitytoken"], "a login of a registry"),
    ("containers/0/auth.json", &["\"auth\"", "identitytoken"], "a login of a registry"),
    (".m2/settings.xml", &["<password>"], "a login of a package registry"),
    ("pip.conf", &["@"], "a login of a package registry"),
    (".git/config", &["@"], "a login of a Git server"),
    (".kube/config", &["token:", "client-key-data:", "password:"], "a login of a cluster"),
    (".netrc", &["password"], "a login"),
    (".npmrc", &["_authToken", "_password", "_auth="], "a login of a package registry"),
    (".pypirc", &["password"], "a login of a package registry"),
    (".git-credentials", &["@"], "a login of a Git server"),
    (".config/gh/hosts.yml", &["oauth_token"], "a login of a Git server"),
    (".terraform.d/credentials.tfrc.json", &["token"], "a login of Terraform"),
    (".pgpass", &[":"], "a login of a database"),
];

/// Names of files left behind by people and tools.
const TRACES: [(&str, &str); 14] = [
    (".bash_history", "the history of a shell"),
    (".ash_history", "the history of a shell"),
    (".zsh_history", "the history of a shell"),
    (".sh_history", "the history of a shell"),
    (".history", "the history of a shell"),
    (".python_history", "the history of a shell"),
    (".node_repl_history", "the history of a shell"),
    (".psql_history", "the history of a database shell"),
    (".mysql_history", "the history of a database shell"),
    (".rediscli_history", "the history of a database shell"),
    (".sqlite_history", "the history of a database shell"),
    (".viminfo", "the history of an editor"),
    (".lesshst", "the history of a pager"),
    (".wget-hsts", "the history of a program"),
];

/// Names of folders with public keys.
const PUBLIC_FOLDERS: [&str; 19] = [
    "test",
    "tests",
    "testing",
    "testdata",
    "test_data",
    "test-data",
    "testutils",
    "fixtures",
    "example",
    "examples",
    "sample",
    "samples",
    "demo",
    "demos",
    "doc",
    "docs",
    "spec",
    "__tests__",
    "mocks",
];

/// The kind of a file that should not be given away; `None` for all others.
pub(super) fn kind(file: &File<'_>) -> Option<SecretFileKind> {
    if file.size_bytes() == 0 {
        return None;
    }
    let path = String::from_utf8_lossy(file.path());
    let (folder, base) = path.rsplit_once('/').unwrap_or(("", &path));
    let is_public = || !is_of_somebody(folder) && folder.split('/').any(is_public_folder);
    let key = match file.content().magic {
        Magic::PrivateKey(form) => Some(form),
        _ if is_host_key(folder, base) => Some("host key of SSH"),
        _ => None,
    };
    if let Some(form) = key {
        let is_named_so = base.contains("example") && !is_of_somebody(folder);
        let is_example = is_public() || base.contains("snakeoil") || is_named_so;
        return Some(if is_example { SecretFileKind::Example } else { SecretFileKind::Key(form) });
    }
    match other(file, &path, folder, base)? {
        // A package's test keys open no door; the publisher has to look at the others.
        SecretFileKind::Login(what) if is_public() => {
            (!folder.starts_with("usr/")).then_some(SecretFileKind::Trace(what))
        }
        SecretFileKind::Trace(_) if is_public() => None,
        kind => Some(kind),
    }
}

/// Whether a folder is of an account or of the system's settings, under any name.
fn is_of_somebody(folder: &str) -> bool {
    let mut parts = folder.split('/');
    parts.clone().any(|part| part == ".ssh")
        || matches!(parts.next(), Some("root" | "home" | "etc"))
}

/// The kind of a file other than a key.
fn other(file: &File<'_>, path: &str, folder: &str, base: &str) -> Option<SecretFileKind> {
    let text = file.content().text.as_deref().map(String::from_utf8_lossy);
    if let Some(kind) = login(path, text.as_deref()) {
        return kind;
    }
    if let Some((_, what)) = TRACES.iter().find(|(name, _)| *name == base) {
        return Some(SecretFileKind::Trace(what));
    }
    if is_environment(base) {
        return Some(environment(text.as_deref().unwrap_or_default()));
    }
    let parent = folder.rsplit('/').next().unwrap_or_default();
    match (parent, base) {
        (".git", "HEAD") => Some(SecretFileKind::Trace("the head of a whole Git repository")),
        (".ssh", name) if !name.contains(".pub") => {
            Some(SecretFileKind::Trace("a file of somebody's SSH"))
        }
        _ => None,
    }
}

fn is_public_folder(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    PUBLIC_FOLDERS.contains(&lower.as_str())
        || lower.ends_with("_test")
        || lower.ends_with("-tests")
        || lower.ends_with("_tests")
}

fn is_host_key(folder: &str, base: &str) -> bool {
    let name = base.strip_prefix("ssh_host_").and_then(|rest| rest.strip_suffix("_key"));
    name.is_some() && (folder == "etc/ssh" || folder.ends_with("/etc/ssh"))
}

/// `Some(None)` for a login file without a login.
#[expect(clippy::option_option, reason = "not such a file, such a file without, one with a login")]
fn login(path: &str, text: Option<&str>) -> Option<Option<SecretFileKind>> {
    let ends = |end: &str| {
        path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    let (_, marks, what) = LOGINS.iter().find(|(end, ..)| ends(end))?;
    let holds = match text {
        Some(text) => {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with(['#', ';']));
            let mut lines = lines.filter(|line| !line.contains("${"));
            lines.any(|line| marks.is_empty() || marks.iter().any(|mark| line.contains(mark)))
        }
        // The text is unknown; a program's file at this path is a login.
        None if marks.is_empty() => true,
        None => return Some(Some(SecretFileKind::Trace("a file that programs keep logins in"))),
    };
    Some(holds.then_some(SecretFileKind::Login(what)))
}

/// `.env` and `.env.production`, not the examples shipped with programs.
fn is_environment(base: &str) -> bool {
    const MODELS: [&str; 6] = ["example", "sample", "template", "dist", "defaults", "schema"];
    let Some(rest) = base.strip_prefix(".env") else { return false };
    rest.is_empty()
        || rest
            .strip_prefix('.')
            .is_some_and(|name| !name.split('.').any(|at| MODELS.contains(&at)))
}

fn environment(text: &str) -> SecretFileKind {
    // Only values in the shape of a secret: names alone stand before harmless defaults too.
    match text.lines().find_map(|line| looks_secret(None, line)) {
        Some(_) => SecretFileKind::Login("a token or a key"),
        None => SecretFileKind::Trace("a file of settings that often holds secrets"),
    }
}
