//! Archives without random access: compressed ones, and those from a pipe. They are written,
//! decompressed, to a file without a name, and so are gone at the end of the program.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::error::SourceError;
use super::members::{MemberTable, Members};
use crate::temporary::Temporary;

/// Largest archive, decompressed: four times the limit of the largest image for container
/// instances. A larger one counts as a bomb.
const SPOOLED_BYTES_MAX: u64 = 64 << 30;

/// Writes a tar to a file without a name, and says where its members lie.
pub(super) fn members(location: &str, tar: &mut dyn Read) -> Result<Members, SourceError> {
    bounded(location, tar, SPOOLED_BYTES_MAX)
}

fn bounded(location: &str, tar: &mut dyn Read, limit: u64) -> Result<Members, SourceError> {
    let folder = std::env::temp_dir();
    let failed = |source: io::Error| SourceError::Read {
        location: location.to_owned(),
        source: io::Error::new(
            source.kind(),
            format!(
                "it is kept, decompressed, in {} (TMPDIR says where) while it is read: {source}",
                folder.display()
            ),
        ),
    };
    let mut file = nameless(&folder).map_err(failed)?;
    let mut written = 0;
    let table = MemberTable::read(location, tar, &mut |bytes| {
        written += bytes.len() as u64;
        if written > limit {
            let what = format!("more than {limit} bytes, decompressed");
            return Err(SourceError::TooMuch { location: location.to_owned(), what });
        }
        file.write_all(bytes).map_err(failed)
    })?;
    Ok(Members::new(file, table))
}

/// A file without a name, readable by this user alone.
fn nameless(folder: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if let Ok(file) = options.clone().custom_flags(flags).open(folder) {
        return Ok(file);
    }
    // Not every file system can; then it has a name for a moment.
    let name = format!(".wharf-{}-{:x}", std::process::id(), unique());
    options.create_new(true);
    Temporary::make(folder.join(name), |path| options.open(path)).map(|(_, file)| file)
}

/// A number unique at this moment.
fn unique() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::members::MemberLookup;

    fn tar(content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append_data(&mut header, "./a", content).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_spooled_member_is_read_back_and_a_bomb_ends_early() {
        let bytes = tar(b"content");
        let members = bounded("-", &mut bytes.as_slice(), 1 << 20).unwrap();
        let MemberLookup::File(mut file) = members.open("a") else { panic!("it is a file") };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        let error = bounded("-", &mut bytes.as_slice(), 1000).unwrap_err().to_string();
        assert!(error.contains("more than 1000 bytes"), "{error}");
    }

    #[test]
    fn the_file_has_no_name_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = nameless(folder.path()).unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(nameless(&folder.path().join("gone")).is_err());
    }
}
