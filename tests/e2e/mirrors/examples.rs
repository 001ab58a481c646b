//! The ready configurations of `proxy/examples`, as they lie there.
//!
//! Invariant: a test changes only addresses, folders and comment signs, and fails when the text to
//! change is missing. So the tested text is the reader's text.

use std::path::{Path, PathBuf};

/// The folder of all examples.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy/examples")
}

/// The text of one.
pub(super) struct Example(String);

impl Example {
    pub(super) fn read(path: &str) -> Self {
        let path = folder().join(path);
        Self(std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// With a value in every place of a reader's placeholder.
    pub(super) fn with(self, placeholder: &str, value: &str) -> Self {
        assert!(self.0.contains(placeholder), "no {placeholder} in:\n{}", self.0);
        Self(self.0.replace(placeholder, value))
    }

    /// With this commented line uncommented.
    pub(super) fn uncommented(self, line: &str) -> Self {
        self.with(&format!("# {line}"), line)
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Writes it, with the folders above.
    pub(super) fn write(&self, path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &self.0).unwrap();
    }
}
