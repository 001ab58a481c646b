//! Rules about secrets and malware in an image: keys, histories, passwords. They look into every
//! layer, because a client pulls a file hidden by an upper layer all the same.

use super::roots::{FILES_SHOWN_MAX, Need, Root, each_root, some_of, words};
use super::secret_files::{SecretFileKind, kind};
use super::{Check, Findings, Rule, Severity};
use crate::image::accounts::{accounts, passwords};
use crate::image::files::{File, FileKind, Magic};

/// Shells of accounts that do not log in.
const NO_SHELLS: [&[u8]; 4] = [b"nologin", b"false", b"true", b"sync"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-018",
        title: "no layer holds private keys, histories or logins",
        severity: Severity::Error,
        source: "MTM (clear histories, remove SSH keys and hosts files)",
        why: "Everyone who pulls the image can read every layer, also what a later step of the build removed.",
        fix: "keep them out of the build (`.dockerignore`, `RUN --mount=type=secret`), build again, and replace every key that was in an image",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::Some, |judge, root| {
                secrets(root, judge);
                true
            });
        }),
    },
    Rule {
        id: "IMG-019",
        title: "nobody can log in with a password that is in the image",
        severity: Severity::Warning,
        source: "MTM (no default users and passwords)",
        why: "Every customer would have the same password, and everybody can try to guess it from its hash.",
        fix: "lock the accounts (`passwd -l`), and let customers set their own",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::All, |judge, root| {
                let Some(shadow) = root.text("etc/shadow") else { return false };
                let passwd = root.text("etc/passwd").unwrap_or_default();
                for password in passwords(shadow) {
                    let Some(shell) = login_shell(root, passwd, password.name) else { continue };
                    let name = words(password.name);
                    match password.hash {
                        [] => judge.warning("", format!("`{name}` has no password, and {shell}")),
                        [b'!' | b'*', ..] => {}
                        hash if is_hash(hash) => {
                            judge.warning("", format!("`{name}` has a password, and {shell}"));
                        }
                        _ => {}
                    }
                }
                true
            });
        }),
    },
    Rule {
        id: "IMG-025",
        title: "no layer holds the test file of virus scanners",
        severity: Severity::Error,
        source: "CERTFAQ (malware blocks)",
        why: "Certification scans every file, and this one is made to be found.",
        fix: "remove the file from the step that brings it",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::Some, |judge, root| {
                for (layer, file) in entries(root) {
                    if file.content().magic == Magic::Eicar {
                        judge.within(root.site(layer, file.path()), |judge| {
                            judge.error("", "it is the EICAR test file");
                        });
                    }
                }
                true
            });
        }),
    },
];

/// Every file entry of every layer, hidden or not.
fn entries<'a>(root: &Root<'a>) -> impl Iterator<Item = (usize, File<'a>)> {
    root.files.layers().iter().enumerate().flat_map(|(place, layer)| {
        layer.entries().filter(|file| file.kind() == FileKind::File).map(move |at| (place, at))
    })
}

/// The gravest are named first, and the merely counted ones weigh as much as the gravest of them: a
/// crowd of histories must not hide a key.
fn secrets(root: &Root<'_>, judge: &mut Findings<'_>) {
    let (mut grave, mut light, mut examples) = (Vec::new(), Vec::new(), Vec::new());
    for (layer, file) in entries(root) {
        match kind(&file) {
            Some(SecretFileKind::Example) => examples.push(file.path()),
            Some(SecretFileKind::Trace(what)) => light.push((layer, file, format!("it is {what}"))),
            Some(SecretFileKind::Key(what)) => {
                grave.push((layer, file, format!("it is a private key ({what})")));
            }
            Some(SecretFileKind::Login(what)) => {
                grave.push((layer, file, format!("it holds {what}")));
            }
            None => {}
        }
    }
    for (severity, found) in [(Severity::Error, grave), (Severity::Warning, light)] {
        let say = |judge: &mut Findings<'_>, message: String| match severity {
            Severity::Error => judge.error("", message),
            Severity::Warning => judge.warning("", message),
        };
        for (layer, file, what) in found.iter().take(FILES_SHOWN_MAX) {
            judge.within(root.site(*layer, file.path()), |judge| {
                say(judge, format!("{what}{}", hidden(root, *layer, file)));
            });
        }
        let more = found.len().saturating_sub(FILES_SHOWN_MAX);
        if more > 0 {
            say(judge, format!("the same of {more} more files"));
        }
    }
    if !examples.is_empty() {
        let (count, paths) = (examples.len(), some_of(examples));
        judge.warning("", format!("{count} private keys of tests and examples: {paths}"));
    }
}

/// Says so when a container does not see the file.
fn hidden(root: &Root<'_>, layer: usize, file: &File<'_>) -> &'static str {
    let visible = root.files.get(file.path());
    if visible.is_some_and(|visible| visible.layer() == layer) {
        return "";
    }
    if root.files.is_complete() {
        "; an upper layer hides it, but it can still be pulled"
    } else {
        ""
    }
}

/// The shell of an account after a login by password; `None` when the account, or the shell, is not
/// there.
fn login_shell(root: &Root<'_>, passwd: &[u8], name: &[u8]) -> Option<String> {
    let account = accounts(passwd).find(|account| account.name == name)?;
    let shell = if account.shell.is_empty() { b"/bin/sh" } else { account.shell };
    let base = shell.rsplit(|c| *c == b'/').next().unwrap_or_default();
    let is_there = root.find(shell).is_some();
    (is_there && !NO_SHELLS.contains(&base)).then(|| format!("the shell {}", words(shell)))
}

/// Whether this is a hash of crypt(3): `$id$…`, or 13 characters of the oldest way.
fn is_hash(text: &[u8]) -> bool {
    let is_old = text.len() == 13
        && text.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'/'));
    is_old || (text.starts_with(b"$") && text.len() > 8) || text.starts_with(b"_")
}
