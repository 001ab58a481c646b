//! Reads `ar` archives, the outer form of Debian packages, from first byte to last.
//!
//! Source: ar(5) of FreeBSD and deb(5). Names are padded with spaces; GNU ends them with a slash.
//! The reader ignores owners, modes and times of a header. Invariant: the reader holds one header
//! and no content, and reads no more bytes than the header states.

use std::io::{self, Read};

/// First bytes of an archive.
pub const MAGIC: &[u8; 8] = b"!<arch>\n";

const HEADER_BYTES: usize = 60;

/// Most members of an archive. A Debian package has three, or a few more with signatures.
const MEMBERS_MAX: usize = 100;

/// Why bytes are no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// The first bytes are others.
    #[error("it does not begin as an ar archive")]
    NotAnArchive,
    /// The header of a member is malformed.
    #[error("the header of member {number} is malformed")]
    Header {
        /// The member's number, from 1.
        number: usize,
    },
    /// More members than any package has.
    #[error("it has more than {MEMBERS_MAX} members")]
    TooMany,
    /// The bytes end within a member.
    #[error("it ends within `{name}`: {missing_bytes} bytes of it are missing")]
    Truncated {
        name: String,
        /// How many bytes there should be still.
        missing_bytes: u64,
    },
    /// The archive cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
}

/// The fields of a member's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArMember {
    /// The name, without padding.
    pub name: String,
    /// How many bytes it has.
    pub size_bytes: u64,
}

/// An archive, read in its order. Between two calls of [`Archive::next_member`] the archive is a
/// reader of the member's content.
pub struct Archive<R> {
    source: R,
    name: String,
    /// How many bytes of the member were not read yet.
    left: u64,
    /// Whether a byte of padding stands behind it.
    is_odd: bool,
    members: usize,
}

impl<R: Read> Archive<R> {
    /// Reads the first bytes.
    pub fn open(mut source: R) -> Result<Self, ArError> {
        let mut magic = [0; MAGIC.len()];
        let length = fill(&mut source, &mut magic)?;
        if magic.get(..length) != Some(MAGIC) {
            return Err(ArError::NotAnArchive);
        }
        Ok(Self { source, name: String::new(), left: 0, is_odd: false, members: 0 })
    }

    /// Goes on to the next member and skips the unread rest of the last one.
    pub fn next_member(&mut self) -> Result<Option<ArMember>, ArError> {
        let mut rest = (&mut self.source).take(self.left);
        self.left -= io::copy(&mut rest, &mut io::sink())?;
        if self.left > 0 {
            return Err(self.truncated());
        }
        if self.is_odd {
            // Any byte, as dpkg takes it; the last member may lack it.
            fill(&mut self.source, &mut [0])?;
        }
        let mut header = [0; HEADER_BYTES];
        let length = fill(&mut self.source, &mut header)?;
        if length == 0 {
            return Ok(None);
        }
        self.members += 1;
        if self.members > MEMBERS_MAX {
            return Err(ArError::TooMany);
        }
        let malformed = ArError::Header { number: self.members };
        let header = header.get(..length).filter(|_| length == HEADER_BYTES);
        let Some(member) = header.and_then(parse) else { return Err(malformed) };
        self.name.clone_from(&member.name);
        self.left = member.size_bytes;
        self.is_odd = member.size_bytes % 2 == 1;
        Ok(Some(member))
    }

    /// Whether the archive ends here although the member has more bytes; not one of them counts
    /// afterwards.
    pub fn check_cut(&mut self) -> Result<(), ArError> {
        if self.left > 0 && self.read(&mut [0])? == 0 {
            return Err(self.truncated());
        }
        Ok(())
    }

    fn truncated(&self) -> ArError {
        ArError::Truncated { name: self.name.clone(), missing_bytes: self.left }
    }

    /// The source of the archive, at its present position.
    pub fn into_source(self) -> R {
        self.source
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (&mut self.source).take(self.left).read(buffer)?;
        self.left -= length as u64;
        Ok(length)
    }
}

/// Name, time, owner, group, mode, size, end: fixed fields, padded with spaces.
fn parse(header: &[u8]) -> Option<ArMember> {
    let text = |from, to| Some(std::str::from_utf8(header.get(from..to)?).ok()?.trim_end());
    if header.get(58..60)? != b"`\n" {
        return None;
    }
    let name = text(0, 16)?;
    // A name of slashes alone is GNU's table of long names, or of symbols.
    let name = match name.strip_suffix('/') {
        Some(short) if !short.trim_matches('/').is_empty() => short,
        _ => name,
    };
    let size = text(48, 58)?.trim_start();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if !is_name || size.is_empty() || !size.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    Some(ArMember { name: name.to_owned(), size_bytes: size.parse().ok()? })
}

/// Reads until the buffer is full or there is no more.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn header(name: &str, size: &str) -> Vec<u8> {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644").into_bytes()
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            bytes.extend(header(name, &content.len().to_string()));
            bytes.extend_from_slice(content);
            bytes.extend(vec![b'\n'; content.len() % 2]);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArError> {
        let mut archive = Archive::open(bytes)?;
        let mut found = Vec::new();
        while let Some(member) = archive.next_member()? {
            let mut content = Vec::new();
            archive.read_to_end(&mut content)?;
            archive.check_cut()?;
            found.push((member.name, content));
        }
        Ok(found)
    }

    #[test]
    fn names_are_read_with_and_without_a_slash_and_padding_is_passed_over() {
        let bytes = archive(&[("debian-binary", b"2.0\n"), ("odd/", b"abc"), ("_x", b"")]);
        let found = read(&bytes).unwrap();
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["debian-binary", "odd", "_x"]);
        assert_eq!(found[1].1, b"abc");
        // The padding of the last one may be missing.
        let bytes = archive(&[("last", b"abc")]);
        assert_eq!(read(&bytes[..bytes.len() - 1]).unwrap()[0].1, b"abc");
    }

    #[test]
    fn binutils_writes_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one"), "1").unwrap();
        std::fs::write(folder.path().join("two"), "22").unwrap();
        let made = std::process::Command::new("ar")
            .args(["rc", "x.a", "one", "two"])
            .current_dir(folder.path())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            skipped();
            return;
        }
        let found = read(&std::fs::read(folder.path().join("x.a")).unwrap()).unwrap();
        assert_eq!(found, [("one".into(), b"1".to_vec()), ("two".into(), b"22".to_vec())]);
    }

    #[allow(clippy::print_stderr)]
    fn skipped() {
        eprintln!("SKIPPED: there is no `ar` on this machine");
    }

    #[test]
    fn sizes_that_lie_are_told() {
        let mut bytes = archive(&[("data", b"four")]);
        bytes.truncate(bytes.len() - 1);
        let error = read(&bytes).unwrap_err().to_string();
        assert_eq!(error, "it ends within `data`: 1 bytes of it are missing");
        for size in ["9999999999", "-1", "+4", "0x4", "", "4 4"] {
            let bytes = [MAGIC.as_slice(), &header("data", size), b"four"].concat();
            assert!(read(&bytes).is_err(), "{size}");
        }
        // Too small a size makes the rest no header.
        let bytes = [MAGIC.as_slice(), &header("data", "2"), b"four"].concat();
        assert!(matches!(read(&bytes), Err(ArError::Header { number: 2 })));
    }

    #[test]
    fn thousands_of_members_and_other_files_are_refused() {
        let members: Vec<(&str, &[u8])> = vec![("m", b""); 5000];
        assert!(matches!(read(&archive(&members)), Err(ArError::TooMany)));
        assert!(matches!(read(b""), Err(ArError::NotAnArchive)));
        assert!(matches!(read(b"!<thin>\n"), Err(ArError::NotAnArchive)));
        assert_eq!(read(MAGIC).unwrap(), []);
    }

    proptest! {
        #[test]
        fn what_was_put_in_comes_out(
            members in prop::collection::vec(
                ("[a-z][a-z0-9._-]{0,14}", prop::collection::vec(any::<u8>(), 0..40)), 0..6,
            ),
        ) {
            let list: Vec<(&str, &[u8])> =
                members.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
            prop_assert_eq!(read(&archive(&list)).unwrap(), members);
        }

        #[test]
        fn damaged_archives_are_read_without_panic(at in any::<prop::sample::Index>(), value: u8) {
            let mut bytes = archive(&[("debian-binary", b"2.0\n"), ("odd", b"abc")]);
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = read(&bytes);
        }
    }
}
