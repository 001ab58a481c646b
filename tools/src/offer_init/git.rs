//! Where the source code is, as the configuration of Git says it. Git itself is not called: its
//! files are read, within bounds.
//!
//! Invariant: the address returned is one on the web without user and password.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use url::Url;

use crate::input;
use crate::rules::urls;

/// Largest configuration, in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Largest file with a pointer: `.git` of a worktree, `commondir`.
const POINTER_BYTES_MAX: u64 = 4 * 1024;
/// How many folders above are looked into.
const FOLDERS_MAX: usize = 64;
/// The preferred remote among several.
const USUAL: &str = "origin";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRemote {
    /// Its name: `origin`.
    pub name: String,
    pub address: String,
}

impl GitRemote {
    /// The owner of the repository, by the address: `https://github.com/OWNER/name`. A host a
    /// company runs itself has groups of its own, so only a path of two parts says it.
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        let url = Url::parse(&self.address).ok()?;
        let mut parts = url.path_segments()?;
        match (parts.next(), parts.next(), parts.next()) {
            (Some(owner), Some(name), None) if !owner.is_empty() && !name.is_empty() => {
                Some(decoded(owner))
            }
            _ => None,
        }
    }

    /// The name of the repository, by the address.
    #[must_use]
    pub fn repository(&self) -> Option<String> {
        self.address.rsplit('/').next().map(decoded)
    }
}

/// A part of an address as people write it.
fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// The remote of a folder's working copy; `None` when there is none that people can open.
#[must_use]
pub(super) fn remote(folder: &Path) -> Option<GitRemote> {
    let folder = folder.canonicalize().ok()?;
    let found = folder.ancestors().take(FOLDERS_MAX).find_map(|at| {
        let git = at.join(".git");
        fs::symlink_metadata(&git).is_ok().then_some(git)
    })?;
    let text = read(&common(&found)?.join("config"), CONFIG_BYTES_MAX)?;
    let remotes = remotes(&text);
    let usual = remotes.iter().find(|(name, _)| name == USUAL);
    let (name, written) = usual.or_else(|| remotes.first())?;
    Some(GitRemote { name: name.clone(), address: address(written)? })
}

/// The folder with the configuration: `.git` itself, or the target of a worktree's or submodule's
/// file.
fn common(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = read(git, POINTER_BYTES_MAX)?;
    let target = text.trim_end().strip_prefix("gitdir:")?.trim_start();
    let own = git.parent()?.join(target);
    match read(&own.join("commondir"), POINTER_BYTES_MAX) {
        Some(text) => Some(own.join(text.trim_end())),
        None => Some(own),
    }
}

fn read(path: &Path, bytes_max: u64) -> Option<String> {
    let mut text = String::new();
    let read = input::open(path).ok()?.take(bytes_max + 1).read_to_string(&mut text).ok()?;
    (read as u64 <= bytes_max).then_some(text)
}

/// The remotes with their first addresses, in the order of the file (git-config(1), "Syntax").
fn remotes(config: &str) -> Vec<(String, String)> {
    let mut remotes: Vec<(String, String)> = Vec::new();
    let mut section = None;
    let mut lines = config.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start();
        if let Some(head) = line.strip_prefix('[') {
            let (name, rest) = remote_name(head);
            section = name;
            line = rest.trim_start();
        }
        let Some((key, start)) = line.split_once('=').filter(|_| !is_comment(line)) else {
            continue;
        };
        let value = value(start, &mut lines);
        let Some(name) = &section else { continue };
        let is_known = remotes.iter().any(|(known, _)| known == name);
        if key.trim().eq_ignore_ascii_case("url") && !is_known {
            remotes.push((name.clone(), value));
        }
    }
    remotes
}

fn is_comment(line: &str) -> bool {
    line.starts_with(['#', ';'])
}

/// The name of the remote in the head of a section, `remote "origin"]`, and the text behind it.
fn remote_name(head: &str) -> (Option<String>, &str) {
    let Some((kind, named)) = head.split_once('"') else {
        let (kind, rest) = head.split_once(']').unwrap_or((head, ""));
        // An older way to write it, in lowercase.
        let name = kind.split_once('.').filter(|(kind, _)| kind.eq_ignore_ascii_case("remote"));
        return (name.map(|(_, name)| name.to_ascii_lowercase()), rest);
    };
    if kind.contains(']') {
        return (None, head.split_once(']').map_or("", |(_, rest)| rest));
    }
    let mut name = String::new();
    let mut letters = named.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => name.extend(letters.next()),
            _ => name.push(letter),
        }
    }
    match letters.as_str().trim_start().strip_prefix(']') {
        Some(rest) => (kind.trim().eq_ignore_ascii_case("remote").then_some(name), rest),
        None => (None, ""),
    }
}

/// A value: quotes hold it together, a comment ends it outside of them, and `\` at the end of a line
/// leads on to the next.
fn value<'a>(start: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let (mut value, mut kept) = (String::new(), 0);
    let mut is_quoted = false;
    let mut letters = start.trim_start().chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => is_quoted = !is_quoted,
            '#' | ';' if !is_quoted => break,
            '\\' => match letters.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(other) => value.push(other),
                None => letters = lines.next().unwrap_or_default().chars(),
            },
            _ => value.push(letter),
        }
        // Space at the end counts only within quotes.
        if is_quoted || !letter.is_whitespace() {
            kept = value.len();
        }
    }
    value.truncate(kept);
    value
}

/// The page of a repository from git's fetch address: an address of HTTP or SSH, or
/// `USER@HOST:PATH`.
fn address(written: &str) -> Option<String> {
    let url = match Url::parse(written) {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "ssh" | "git" | "git+ssh") => url,
        Ok(url) if url.has_host() => return None,
        // `host:path` is read as an address of the scheme `host`.
        _ => {
            let (host, path) = written.split_once(':')?;
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            if host.contains('/') || path.starts_with("//") {
                return None;
            }
            Url::parse(&format!("https://{host}/{}", path.trim_start_matches('/'))).ok()?
        }
    };
    let host = url.host_str().filter(|host| host.contains('.'))?;
    // A port of HTTP is part of the address; a port of SSH is another door.
    let port = url.port().filter(|_| url.scheme().starts_with("http"));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let address = format!("https://{host}{port}{path}");
    let is_public = urls::fault(&address).is_none() && urls::unsafe_fault(&address).is_none();
    (is_public && !path.is_empty()).then_some(address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(config: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(".git")).unwrap();
        fs::write(folder.path().join(".git/config"), config).unwrap();
        folder
    }

    #[test]
    fn addresses_lose_their_logins_and_become_pages() {
        for (written, page) in [
            ("https://github.com/quayline/tidepool.git", "https://github.com/quayline/tidepool"),
            ("https://bob:s3cret@github.com/quayline/t.git", "https://github.com/quayline/t"),
            ("https://ghp_token@github.com/quayline/t", "https://github.com/quayline/t"),
            ("git@github.com:quayline/t.git", "https://github.com/quayline/t"),
            ("ssh://git@code.quayline.dev:2222/team/t.git/", "https://code.quayline.dev/team/t"),
            ("http://code.quayline.dev:8080/t", "https://code.quayline.dev:8080/t"),
            ("git://code.quayline.dev/t.git", "https://code.quayline.dev/t"),
        ] {
            assert_eq!(address(written).as_deref(), Some(page), "{written}");
        }
        for written in [
            "",
            "/srv/git/t.git",
            "../t",
            "file:///srv/t",
            "mirror:t.git",
            "git@localhost:t.git",
            "https://127.0.0.1/t.git",
            "https://github.com/",
            "C:\\code",
            "https://u:p@",
            "ext::sh -c x",
            "git@10.0.0.1:t",
        ] {
            assert_eq!(address(written), None, "{written}");
        }
    }

    #[test]
    fn origin_counts_and_else_the_first() {
        let config = "[core]\n\turl = x\n[remote \"fork\"]\n url = git@github.com:me/t.git\n\
                      [remote \"origin\"]\n  URL = https://a:b@github.com/quayline/t.git\n\
                      url = https://github.com/other/t\n[branch \"main\"]\n url = y\n";
        let found = remote(folder(config).path()).unwrap();
        assert_eq!(found.name, "origin");
        assert_eq!(found.address, "https://github.com/quayline/t");
        assert_eq!(found.owner().as_deref(), Some("quayline"));
        let only = "[remote \"fork\"]\nurl = git@git.corp.dev:a/b/c.git\n";
        let found = remote(folder(only).path()).unwrap();
        assert_eq!((found.name.as_str(), found.owner()), ("fork", None));
        assert_eq!(remote(folder("[remote]\nurl = https://a.dev/x\n").path()), None);
    }

    #[test]
    fn configurations_are_read_as_git_reads_them() {
        for (config, name, address) in [
            ("[remote \"origin\"]\nurl = https://a.dev/q/t # mine", "origin", "https://a.dev/q/t"),
            ("[remote \"origin\"]\nurl = https://a.dev/q/t;mine", "origin", "https://a.dev/q/t"),
            ("[remote \"origin\"] url = https://a.dev/q/t\n", "origin", "https://a.dev/q/t"),
            ("[remote \"a]b\"]\nurl = \"https://a.dev/q/t\" ; x", "a]b", "https://a.dev/q/t"),
            ("[remote \"a\\\"b\"]\nurl = https://a.dev/q/t", "a\"b", "https://a.dev/q/t"),
            ("[remote \"x\"] # [core]\nurl=https://a.dev/q/t\r\n", "x", "https://a.dev/q/t"),
            ("[remote \"x\"]\nurl = https://a.dev/\\\nq/t\n", "x", "https://a.dev/q/t"),
            (
                "[remote \"x\"]\n#url = https://b.dev/x\nurl = https://a.dev/q/t",
                "x",
                "https://a.dev/q/t",
            ),
            ("[Remote.Fork]\nurl = https://a.dev/q/t", "fork", "https://a.dev/q/t"),
        ] {
            assert_eq!(remotes(config), [(name.to_owned(), address.to_owned())], "{config}");
        }
        let quoted = "[remote \"x\"]\nurl = \"a # b ; c \" # d\n";
        assert_eq!(remotes(quoted), [("x".to_owned(), "a # b ; c ".to_owned())]);
        for config in ["[remote \"x\nurl", "[", "url = x", "[remote \"x\"]\nurl", "[core] url = x"]
        {
            assert_eq!(remotes(config), [], "{config}");
        }
    }

    #[test]
    fn names_are_told_as_people_write_them() {
        let config = "[remote \"origin\"]\nurl = https://github.com/caf%C3%A9/t%20one.git\n";
        let found = remote(folder(config).path()).unwrap();
        assert_eq!(found.owner().as_deref(), Some("café"));
        assert_eq!(found.repository().as_deref(), Some("t one"));
    }

    #[test]
    fn folders_below_and_worktrees_lead_to_the_configuration() {
        let main = folder("[remote \"origin\"]\nurl = https://github.com/quayline/t\n");
        let below = main.path().join("deploy/offer");
        fs::create_dir_all(&below).unwrap();
        assert!(remote(&below).is_some());
        let own = main.path().join(".git/worktrees/two");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        assert_eq!(remote(tree.path()), remote(main.path()));
        fs::write(tree.path().join(".git"), "gitdir: /nowhere\n").unwrap();
        assert_eq!(remote(tree.path()), None);
    }

    #[test]
    fn a_configuration_that_is_too_large_or_no_text_is_not_read() {
        let start = "[remote \"origin\"]\nurl = https://github.com/quayline/t\n";
        let large = format!("{start}{}", "#".repeat(2 * 1024 * 1024));
        assert_eq!(remote(folder(&large).path()), None);
        let odd = folder(start);
        fs::write(odd.path().join(".git/config"), [0xff, 0xfe]).unwrap();
        assert_eq!(remote(odd.path()), None);
    }
}
