//! The files a command reads: its output may replace none of them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::offer::OfferFile;
use crate::published::LEDGER_NAME;

/// The inputs, existing or not.
#[derive(Debug, Default)]
pub(super) struct Inputs(Vec<PathBuf>);

impl Inputs {
    /// For a command without inputs, or with its input as its output.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The offer, every file it names, and the ledger beside it.
    pub(super) fn of(file: &OfferFile) -> Self {
        let mut files = vec![file.path().to_owned(), file.folder().join(LEDGER_NAME)];
        files.extend(file.named_files());
        Self(files)
    }

    /// Adds these files.
    pub(super) fn and<'a>(mut self, files: impl IntoIterator<Item = &'a Path>) -> Self {
        self.0.extend(files.into_iter().map(Path::to_owned));
        self
    }

    /// Refuses to write over an input, under any name and link. Devices and pipes may be both.
    pub(super) fn keep(&self, output: &Path) -> anyhow::Result<()> {
        let Some(written) = place(output) else { return Ok(()) };
        let same = self.0.iter().find(|input| place(input) == Some(written));
        ensure!(
            same.is_none(),
            "{} is read by this command, so the result would replace it; name another file",
            output.display()
        );
        Ok(())
    }
}

/// An existing file's identity: its file system and its number there.
fn place(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{write_file, write_secret_file};
    use super::*;
    use crate::offer::fixture::{Folder, with_application};

    #[test]
    fn no_file_that_is_read_is_written_over_by_whatever_name() {
        let folder = Folder::new();
        let text = with_application();
        folder.write("offer.yaml", &text);
        folder.write("tree.json", "{}");
        folder.write(LEDGER_NAME, "");
        let (file, _) = folder.load(&text).unwrap();
        let at = |name: &str| folder.path().with_file_name(name);
        std::os::unix::fs::symlink("offer.yaml", at("link")).unwrap();
        let tree = at("tree.json");
        let inputs = Inputs::of(&file).and([tree.as_path()]);
        for name in [
            "offer.yaml",
            "link",
            "tree.json",
            LEDGER_NAME,
            "./description.html",
            "terms.txt",
            "large.png",
            "manifest.yaml",
            "chart/values.yaml",
            "chart/../offer.yaml",
        ] {
            let before = std::fs::read(at(name)).unwrap();
            let said = write_file(&at(name), "gone", &inputs).unwrap_err().to_string();
            assert!(said.contains("is read by this command"), "{said}");
            assert!(write_secret_file(&at(name), "gone", &inputs).is_err(), "{name}");
            assert_eq!(std::fs::read(at(name)).unwrap(), before, "{name}");
        }
        for name in ["new.json", "payload.json"] {
            write_file(&at(name), "once", &inputs).unwrap();
            write_file(&at(name), "again", &inputs).unwrap();
        }
        write_file(Path::new("/dev/null"), "", &inputs.and([Path::new("/dev/null")])).unwrap();
    }
}
