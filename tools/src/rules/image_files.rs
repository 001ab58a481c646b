//! Rules about a container's files: programs with extra rights, the licences, and files broken by
//! an upper layer.

use super::roots::{FILES_SHOWN_MAX, Need, Root, each_root, shown, some_of};
use super::{Check, Findings, Rule, Severity, Site};
use crate::image::files::{File, FileKind, Replacement};

/// Setuid and setgid.
const OTHER_RIGHTS: u32 = 0o6000;
/// Folders of the base system; merged-usr systems have them as links.
const BASE_FOLDERS: [&[u8]; 4] = [b"bin", b"sbin", b"lib", b"lib64"];
/// Beginnings of the names of licence files, in small letters.
const LICENCE_NAMES: [&[u8]; 9] = [
    b"license",
    b"licence",
    b"licenses",
    b"notice",
    b"copying",
    b"copyright",
    b"third-party",
    b"third_party",
    b"thirdparty",
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-026",
        title: "no program runs with the rights of another user",
        severity: Severity::Warning,
        source: "IOT (least privilege); INFERENCE",
        why: "Setuid and setgid programs are how a program that was broken into becomes root.",
        fix: "remove the bits that nothing needs: `chmod a-s FILE` in the build, in the layer that brings the file",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::Some, |judge, root| {
                let is_meant = |file: &File<'_>| {
                    file.kind() == FileKind::File
                        && file.mode() & OTHER_RIGHTS != 0
                        && file.mode() & 0o111 != 0
                };
                let found: Vec<_> = root.files.iter().filter(is_meant).collect();
                if !found.is_empty() {
                    let paths = some_of(found.iter().map(File::path));
                    let message =
                        format!("{} run as another user or group: {paths}", count(found.len()));
                    judge.warning("", message);
                }
                true
            });
        }),
    },
    Rule {
        id: "IMG-030",
        title: "the image holds the licences of what is in it",
        severity: Severity::Warning,
        source: "IOTC (third-party notice)",
        why: "Most licences want their text to go along with every copy, and reviewers look for a notice.",
        fix: "copy LICENSE and a third-party notice into the image; keep /usr/share/doc/*/copyright when you slim it",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::All, |judge, root| {
                let mut files = root
                    .files
                    .iter()
                    .filter(|file| matches!(file.kind(), FileKind::File | FileKind::Symlink));
                if !files.any(|file| is_licence(file.path())) {
                    judge.warning("", "no file in it is named like a licence or a notice");
                }
                true
            });
        }),
    },
    Rule {
        id: "IMG-047",
        title: "no layer turns a folder of the layers below into something else",
        severity: Severity::Error,
        source: "OCI image specification (layers); INFERENCE (docker, podman and containerd tried)",
        why: "What lay behind a link, or in a folder, is gone for every program: `/lib` copied over the link of a merged-usr base takes the loader away.",
        fix: "copy to the place that the link leads to (`/usr/lib`, not `/lib`), or remove the folder in a step of its own",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::All, |judge, root| {
                let mut meant: Vec<_> = root
                    .files
                    .replacements()
                    .iter()
                    .filter_map(|it| Some((it, weight(root, it)?)))
                    .collect();
                // The gravest first: a crowd of harmless replacements must not hide a bad one.
                meant.sort_by_key(|(_, severity)| std::cmp::Reverse(*severity));
                for (replacement, severity) in meant.iter().take(FILES_SHOWN_MAX) {
                    replaced(root, judge, replacement, *severity);
                }
                let more = meant.get(FILES_SHOWN_MAX..).unwrap_or_default();
                let message = format!("the same of {} more paths", more.len());
                match more.first() {
                    Some((_, Severity::Error)) => judge.error("", message),
                    Some((_, Severity::Warning)) => judge.warning("", message),
                    None => {}
                }
                root.image.layers.len() > 1
            });
        }),
    },
];

fn count(files: usize) -> String {
    if files == 1 { "1 program".to_owned() } else { format!("{files} programs") }
}

/// Whether a file is named like terms: by its own name, or in a folder `licenses`.
fn is_licence(path: &[u8]) -> bool {
    let lower = path.to_ascii_lowercase();
    let mut parts = lower.rsplit(|c| *c == b'/');
    let base = parts.next().unwrap_or_default();
    let in_folder = parts.any(|folder| folder == b"licenses");
    let named = LICENCE_NAMES.iter().any(|name| {
        base.strip_prefix(*name).is_some_and(|rest| {
            rest.first().is_none_or(|next| !next.is_ascii_alphanumeric() || name == b"third-party")
        })
    });
    named || in_folder
}

/// How bad a replacement is; `None` when it loses no content of use.
fn weight(root: &Root<'_>, it: &Replacement) -> Option<Severity> {
    let is_base = BASE_FOLDERS.contains(&it.path.as_ref());
    let bad = Some(if is_base { Severity::Error } else { Severity::Warning });
    match (it.lower_kind, it.upper_kind) {
        // A folder replaced by a link to its content's new place, as usrmerge does it.
        (FileKind::Folder, FileKind::Symlink)
            if root.find(&it.path).is_some_and(|at| at.kind() == FileKind::Folder) =>
        {
            None
        }
        // Everything in it, or everything behind the link.
        (FileKind::Folder, _) | (FileKind::Symlink, FileKind::Folder) => bad,
        // Package upgrades replace a link to a file with a file.
        (FileKind::Symlink, _) if is_base => bad,
        _ => None,
    }
}

fn replaced(root: &Root<'_>, judge: &mut Findings<'_>, it: &Replacement, severity: Severity) {
    let (lower, upper) = (it.lower_layer + 1, it.upper_layer + 1);
    let how = if it.is_implied { ", which has only something below it" } else { "" };
    let message = format!(
        "{} is a {} in layer {lower} and a {} in layer {upper}{how}: what was behind it is gone",
        shown(&it.path),
        it.lower_kind.name(),
        it.upper_kind.name()
    );
    let site: Site = root.site(it.upper_layer, &it.path);
    judge.within(site, |judge| match severity {
        Severity::Error => judge.error("", message),
        Severity::Warning => judge.warning("", message),
    });
}

#[cfg(test)]
mod tests {
    use super::is_licence;

    #[test]
    fn licences_are_known_by_their_names() {
        for path in [
            "LICENSE",
            "app/LICENSE.txt",
            "usr/share/doc/tini/copyright",
            "NOTICE-2",
            "COPYING.LIB",
            "THIRD-PARTY-NOTICES",
            "usr/share/licenses/bash/x",
        ] {
            assert!(is_licence(path.as_bytes()), "{path}");
        }
        for path in ["usr/bin/noticed", "licensed.py", "app/main"] {
            assert!(!is_licence(path.as_bytes()), "{path}");
        }
    }
}
