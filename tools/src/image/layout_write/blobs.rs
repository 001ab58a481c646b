//! Blobs of a layout from elsewhere, under the digest they have there.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use wharf_oci::{Descriptor, Digest};

use super::{LayoutWriter, Place, WriteError, blob_path};

impl LayoutWriter<'_> {
    /// Whether a blob is in it.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    /// Adds a small blob with proven bytes, under a digest by any algorithm.
    pub fn add_proven(&mut self, blob: &Descriptor, bytes: &[u8]) -> Result<(), WriteError> {
        self.add_blob(blob, |out| match out {
            Some(out) => out.write_all(bytes).map_err(|source| {
                let path = PathBuf::from(blob.digest.to_string());
                WriteError::Write { path, source }
            }),
            None => Ok(()),
        })
    }

    /// Adds a blob, proven and written by `bring` unless the layout is only counted; after a
    /// failure nothing of it stays.
    pub fn add_blob<T, E: From<WriteError>>(
        &mut self,
        blob: &Descriptor,
        bring: impl FnOnce(Option<&mut File>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Place::Staged { staging, .. } = &self.place else {
            let brought = bring(None)?;
            self.blobs.insert(blob.digest, blob.size);
            return Ok(brought);
        };
        let path = staging.path().join("blob.tmp");
        let failed = |path: &Path, source| WriteError::Write { path: path.to_owned(), source };
        let mut file = File::create(&path).map_err(|source| failed(&path, source))?;
        let brought = bring(Some(&mut file))?;
        let place = blob_path(staging.path(), &blob.digest);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(|source| failed(&place, source))?;
        }
        fs::rename(&path, &place).map_err(|source| failed(&place, source))?;
        self.blobs.insert(blob.digest, blob.size);
        Ok(brought)
    }
}

/// A file of a blob's name and size in any layout of a folder, also in a layout under construction.
/// Its bytes are not proven.
#[must_use]
pub fn copy_of(folder: &Path, blob: &Descriptor) -> Option<File> {
    let layouts = fs::read_dir(folder).ok()?;
    let mut copies = layouts.filter_map(Result::ok).map(|at| blob_path(&at.path(), &blob.digest));
    copies.find_map(|path| {
        let found = fs::symlink_metadata(&path).ok()?;
        let fits = found.is_file() && found.len() == blob.size;
        fits.then(|| File::open(&path).ok()).flatten()
    })
}
