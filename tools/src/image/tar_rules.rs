//! Entries of a layer engines refuse, or unpack differently. Names and links are resolved in the
//! image's root, as engines do: absolute names, `..` and climbing links lead nowhere else.
//!
//! Source: docker 20.10, podman 4.3, containerd 1.6 and 2.4 given each case. Invariant: the memory
//! for any layer is bounded.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::facts::EngineRefusal;
use super::tar_walk::{TarEntry, TarEntryKind};

/// How many names of one layer are remembered, about 24 bytes each.
const NAMES_MAX: usize = 2_000_000;

const WHITEOUT: &[u8] = b".wh.";
/// The prefix of whiteouts for no name: those of opaque folders, and AUFS's own files.
const WHITEOUT_META: &[u8] = b".wh..wh.";

/// The kernel's longest path, and longest name in it.
const PATH_BYTES_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 255;

/// The first second the twelve octal digits of a header cannot hold, in the year 2242.
const MTIME_MAX: i64 = 1 << 33;

/// Judges the entries of one layer, in their order.
#[derive(Debug, Default)]
pub struct EntryRules {
    names: HashMap<u64, Seen>,
    hasher: RandomState,
    is_full: bool,
    /// The folder of the last entry, if files can be made in it.
    folder: Option<u64>,
}

/// The fault of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryVerdict {
    /// The kind of fault: one of the same kind is no news.
    pub cause: Cause,
    pub refusal: EngineRefusal,
    /// The end of a sentence with the entry as its subject.
    pub reason: String,
}

/// Kinds of faults of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A name no disk takes.
    Name,
    /// A type engines do not know.
    Type,
    /// A hard link without an earlier target.
    HardLink,
    /// A whiteout after the new entry of its name, or of no name.
    Whiteout,
    /// A name of two entries.
    Twice,
    Device,
    /// A device the overlay file system takes for a whiteout.
    OverlayWhiteout,
    /// A time engines do not keep.
    Time,
    /// An attribute engines do not keep.
    Attribute,
}

impl Cause {
    /// The kind in a few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "a name that no disk takes",
            Self::Type => "an unknown type",
            Self::HardLink => "a hard link to what is not before it",
            Self::Whiteout => "a whiteout of a new name, or of none",
            Self::Twice => "a name that comes twice",
            Self::Device => "a device",
            Self::OverlayWhiteout => "the device 0:0",
            Self::Time => "a time that is not kept",
            Self::Attribute => "an attribute that is not kept",
        }
    }
}

/// The entries seen under a name.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    is_symlink: bool,
    is_folder: bool,
    /// Neither: nothing can lie below it.
    is_file: bool,
    /// How it was spelled: docker and podman take `/x` and `x` for two entries.
    spellings: u8,
}

/// A name in the root: its parts, without `.` and `..`.
struct Resolved<'a> {
    parts: Vec<&'a [u8]>,
    spelling: u8,
}

impl EntryRules {
    /// The worst fault of the next entry.
    pub fn judge(&mut self, entry: &TarEntry<'_>) -> Option<EntryVerdict> {
        let verdict = |cause, refusal, reason| Some(EntryVerdict { cause, refusal, reason });
        let all = |cause, reason: String| verdict(cause, EngineRefusal::All, reason);
        if entry.path.is_empty() || entry.path.contains(&0) {
            return all(Cause::Name, "has no usable name".to_owned());
        }
        if let TarEntryKind::Unknown(flag) = entry.kind {
            let flag = [flag];
            let flag = flag.escape_ascii();
            let reason = format!("has the type `{flag}`, which engines do not unpack");
            return all(Cause::Type, reason);
        }
        let name = resolve(entry.path);
        if is_too_long(&name.parts) {
            let reason = format!(
                "has a path over {PATH_BYTES_MAX} bytes, or a name over {NAME_BYTES_MAX} in it"
            );
            return all(Cause::Name, reason);
        }
        if let Some(fault) = self.place(&name, entry) {
            return Some(fault);
        }
        let refused = match entry.kind {
            TarEntryKind::HardLink => self.hard_link(entry.link).map(|at| (Cause::HardLink, at)),
            _ => self.whiteout(&name).map(|reason| (Cause::Whiteout, reason)),
        };
        if entry.kind != TarEntryKind::Folder && self.folder == Some(self.key(&name.parts)) {
            self.folder = None;
        }
        let is_repeated = self.remember(&name, entry.kind);
        if let Some((cause, reason)) = refused {
            return all(cause, reason);
        }
        if is_repeated {
            let reason = "comes twice in the layer, which docker and podman refuse";
            return verdict(Cause::Twice, EngineRefusal::Some, reason.to_owned());
        }
        let (cause, reason) = remark(entry)?;
        verdict(cause, EngineRefusal::None, reason)
    }

    /// Whether an engine can make the entry where it says it lies.
    fn place(&mut self, name: &Resolved<'_>, entry: &TarEntry<'_>) -> Option<EntryVerdict> {
        let verdict = |cause, refusal, reason| Some(EntryVerdict { cause, refusal, reason });
        if entry.kind == TarEntryKind::Symlink && entry.link.is_empty() {
            let reason = "is a symbolic link to nothing, which no disk takes".to_owned();
            return verdict(Cause::Name, EngineRefusal::All, reason);
        }
        let Some((_, above)) = name.parts.split_last() else {
            let is_refused = entry.kind != TarEntryKind::Folder;
            let reason = "is the root of the image, and no folder; umoci refuses it".to_owned();
            return is_refused.then_some(EntryVerdict {
                cause: Cause::Name,
                refusal: EngineRefusal::Some,
                reason,
            });
        };
        // Most entries follow another of their folder.
        let folder = self.key(above);
        if self.folder == Some(folder) {
            return None;
        }
        let file = (1..=above.len()).filter_map(|length| above.get(..length));
        let file = file.into_iter().find(|parts| self.seen(parts).is_some_and(|at| at.is_file));
        if let Some(parts) = file {
            let shown = parts.join(&b'/');
            let reason = format!("lies below `{}`, which is no folder", shown.escape_ascii());
            return verdict(Cause::Name, EngineRefusal::All, reason);
        }
        self.folder = Some(folder);
        None
    }

    /// Whether there were more names than are remembered; those after them were not compared.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// A hard link needs its target before it, in the same layer: engines with a folder for each
    /// layer do not see other targets.
    fn hard_link(&self, link: &[u8]) -> Option<String> {
        let target = resolve(link);
        match self.seen(&target.parts) {
            Some(seen) if seen.is_folder => {
                Some(format!("is a hard link to the folder `{}`", link.escape_ascii()))
            }
            Some(_) => None,
            None if self.is_full || self.leads_through_symlink(&target.parts) => None,
            None => Some(format!(
                "is a hard link to `{}`, which is not before it in the same layer",
                link.escape_ascii()
            )),
        }
    }

    /// Whether a folder of a path is a link of this layer, so the path leads elsewhere.
    fn leads_through_symlink(&self, parts: &[&[u8]]) -> bool {
        (1..parts.len()).any(|length| {
            let above = parts.get(..length).unwrap_or_default();
            self.seen(above).is_some_and(|seen| seen.is_symlink)
        })
    }

    /// A whiteout hides entries of lower layers, and would remove earlier entries of its own layer.
    fn whiteout(&self, name: &Resolved<'_>) -> Option<String> {
        let (last, above) = name.parts.split_last()?;
        let hidden = last.strip_prefix(WHITEOUT).filter(|_| !last.starts_with(WHITEOUT_META))?;
        if hidden.is_empty() {
            return Some("is a whiteout of no name".to_owned());
        }
        let parts = [above, [hidden].as_slice()].concat();
        self.seen(&parts)?;
        Some("is a whiteout of a name that stands before it in the same layer".to_owned())
    }

    fn seen(&self, parts: &[&[u8]]) -> Option<&Seen> {
        self.names.get(&self.key(parts))
    }

    fn key(&self, parts: &[&[u8]]) -> u64 {
        self.hasher.hash_one(parts)
    }

    /// Takes note of a name; whether it came before in this spelling.
    fn remember(&mut self, name: &Resolved<'_>, kind: TarEntryKind) -> bool {
        let key = self.key(&name.parts);
        if self.names.len() >= NAMES_MAX && !self.names.contains_key(&key) {
            self.is_full = true;
            return false;
        }
        let seen = self.names.entry(key).or_default();
        let is_repeated = seen.spellings & name.spelling != 0;
        seen.spellings |= name.spelling;
        seen.is_symlink = kind == TarEntryKind::Symlink;
        seen.is_folder = kind == TarEntryKind::Folder;
        seen.is_file = !seen.is_symlink && !seen.is_folder;
        is_repeated
    }
}

fn is_too_long(parts: &[&[u8]]) -> bool {
    let bytes: usize = parts.iter().map(|part| part.len() + 1).sum();
    bytes > PATH_BYTES_MAX || parts.iter().any(|part| part.len() > NAME_BYTES_MAX)
}

/// Entries every engine takes, and not every engine keeps whole.
fn remark(entry: &TarEntry<'_>) -> Option<(Cause, String)> {
    match entry.kind {
        TarEntryKind::CharDevice if entry.device == (0, 0) => {
            let reason = "is the device 0:0, which docker and podman take for a whiteout";
            return Some((Cause::OverlayWhiteout, reason.to_owned()));
        }
        TarEntryKind::CharDevice | TarEntryKind::BlockDevice => {
            let reason = "is a device, which few containers may use";
            return Some((Cause::Device, reason.to_owned()));
        }
        _ => {}
    }
    if let Some(name) = entry.trusted() {
        let name = name.escape_ascii();
        let reason = format!("has the attribute `{name}`, which containerd drops");
        return Some((Cause::Attribute, reason));
    }
    if !(0..MTIME_MAX).contains(&entry.mtime) {
        let when = if entry.mtime < 0 { "before 1970" } else { "after 2242" };
        let reason = format!("has a time {when}, of which most engines make 1970");
        return Some((Cause::Time, reason));
    }
    None
}

/// A name as it is found in the root; above the root is the root.
fn resolve(path: &[u8]) -> Resolved<'_> {
    let mut spelling = if path.starts_with(b"/") { 2 } else { 1 };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if parts.pop().is_none() {
                    spelling = 4;
                }
            }
            part => parts.push(part),
        }
    }
    Resolved { parts, spelling }
}

#[cfg(test)]
mod tests {
    use TarEntryKind::{CharDevice, Fifo, File, Folder, HardLink, Symlink, Unknown};

    use super::*;

    fn sample() -> TarEntry<'static> {
        TarEntry {
            path: b"x",
            kind: File,
            link: b"",
            mode: 0o644,
            owner: (0, 0),
            mtime: 0,
            mtime_nanos: 0,
            device: (0, 0),
            attributes: &[],
            sparse_bytes: None,
            map_in_content: false,
            size_bytes: 0,
            content_offset: 0,
        }
    }

    /// Judges a layer of these entries; the last one's verdict.
    fn last(entries: &[(&str, TarEntryKind, &str)]) -> Option<EngineRefusal> {
        let mut rules = EntryRules::default();
        let mut verdict = None;
        for (path, kind, link) in entries {
            let entry = TarEntry {
                path: path.as_bytes(),
                kind: *kind,
                link: link.as_bytes(),
                device: (1, 3),
                ..sample()
            };
            verdict = rules.judge(&entry).map(|verdict| verdict.refusal);
        }
        verdict
    }

    #[test]
    fn what_every_engine_unpacks_is_not_an_issue() {
        for entries in [
            [("/ko-app", Folder, ""), ("/ko-app/server", File, "")].as_slice(),
            &[("/nix/store/0a-x:1/bin", Folder, ""), ("nix/store/0a-x:1", Folder, "")],
            &[("../up", File, "")],
            &[("a/../../up", File, "")],
            &[("bin/x", Symlink, "../../../../etc/passwd")],
            &[("bin/x", Symlink, "/etc/passwd")],
            &[("x", File, ""), ("y", HardLink, "/x")],
            &[("x", File, ""), ("y", HardLink, "../x")],
            &[("a/x", Symlink, "t"), ("y", HardLink, "b/.././a/x")],
            &[("r/x", File, ""), ("s", Symlink, "r"), ("y", HardLink, "s/x")],
            &[("x", File, ""), ("/x", File, "")],
            &[("run/p", Fifo, "")],
            &[("./", Folder, "")],
            &[("d/.wh..wh..opq", File, ""), ("d/new", File, "")],
            &[(".wh.gone", File, "")],
            &[(".wh.d", File, ""), ("d", Folder, "")],
            &[("..x/...", File, "")],
        ] {
            assert_eq!(last(entries), None, "{entries:?}");
        }
    }

    #[test]
    fn what_engines_refuse_is_named_with_how_many_do() {
        let all = Some(EngineRefusal::All);
        for (entries, refusal) in [
            ([("", File, "")].as_slice(), all),
            (&[("x", Unknown(b'7'), "")], all),
            (&[("x", Unknown(b'S'), "")], all),
            (&[("y", HardLink, "x")], all),
            (&[("y", HardLink, "x"), ("x", File, ""), ("z", HardLink, "x")], None),
            (&[("d", Folder, ""), ("y", HardLink, "d")], all),
            (&[("d/x", File, ""), ("d/.wh.x", File, "")], all),
            (&[("x", File, ""), ("./x", File, "")], Some(EngineRefusal::Some)),
            (&[("d/", Folder, ""), ("d", Folder, "")], Some(EngineRefusal::Some)),
            (&[("l", Symlink, "x"), ("l", Folder, "")], Some(EngineRefusal::Some)),
            (&[("dev/null", CharDevice, "")], Some(EngineRefusal::None)),
            (&[("a", File, ""), ("a/b", File, "")], all),
            (&[("a", File, ""), ("a/b/c", Folder, "")], all),
            (&[("d/x", File, ""), ("d/x/y", File, "")], all),
            (&[("d/x", File, ""), ("d/y", File, ""), ("d/x/y", File, "")], all),
            (&[("d", Folder, ""), ("d/x", File, ""), ("d", File, ""), ("d/y", File, "")], all),
            (&[("l", Symlink, "")], all),
            (&[("./", File, "")], Some(EngineRefusal::Some)),
            (&[(".", Symlink, "x")], Some(EngineRefusal::Some)),
        ] {
            assert_eq!(last(entries), refusal, "{entries:?}");
        }
        let long = "n".repeat(256);
        assert_eq!(last(&[(&long, File, "")]), all);
        assert_eq!(last(&[(&"n/".repeat(2100), File, "")]), all);
        assert_eq!(last(&[("d/.wh.", File, "")]), all);
    }

    #[test]
    fn what_engines_take_and_do_not_keep_is_a_remark() {
        let cause = |entry: TarEntry<'_>| {
            let verdict = EntryRules::default().judge(&entry);
            verdict.map(|verdict| (verdict.cause, verdict.refusal))
        };
        let remark = |cause| Some((cause, EngineRefusal::None));
        assert_eq!(cause(TarEntry { mtime: -1, ..sample() }), remark(Cause::Time));
        assert_eq!(cause(TarEntry { mtime: 1 << 34, ..sample() }), remark(Cause::Time));
        assert_eq!(cause(TarEntry { mtime: (1 << 33) - 1, ..sample() }), None);
        let attributes = [(b"trusted.overlay.opaque".to_vec(), b"y".to_vec())];
        let attributes = attributes.as_slice();
        assert_eq!(cause(TarEntry { attributes, ..sample() }), remark(Cause::Attribute));
        let device = TarEntry { kind: CharDevice, ..sample() };
        assert_eq!(cause(device), remark(Cause::OverlayWhiteout));
    }
}
