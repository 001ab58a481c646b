//! Blobs of a layout that come from elsewhere, under the digest that they have there.

use std::fs::{self, File};
use std::path::PathBuf;

use wharf_oci::{Descriptor, Digest};

use super::{LayoutFolder, LayoutWriter, WriteError};

impl LayoutFolder {
    /// A file of that name and size in any layout of the folder, one that is being written among
    /// them. Whether its bytes are right is not known.
    #[must_use]
    pub fn copy_of(&self, blob: &Descriptor) -> Option<File> {
        let name = blob_name(&blob.digest);
        let layouts = fs::read_dir(&self.path).ok()?;
        let mut copies = layouts.filter_map(Result::ok).map(|layout| layout.path().join(&name));
        copies.find_map(|path| {
            let found = fs::symlink_metadata(&path).ok()?;
            let fits = found.is_file() && found.len() == blob.size;
            fits.then(|| File::open(&path).ok()).flatten()
        })
    }
}

impl<'f> LayoutWriter<'f> {
    /// The folder that its layout goes to.
    #[must_use]
    pub const fn folder(&self) -> &'f LayoutFolder {
        self.folder
    }

    /// Whether a blob is in it.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    /// Adds a blob that `bring` writes and proves. Nothing of it stays when that fails.
    pub fn add_blob<T, E: From<WriteError>>(
        &mut self,
        blob: &Descriptor,
        bring: impl FnOnce(&mut File) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = self.staging.path().join("blob.tmp");
        let failed = |path: &PathBuf, source| WriteError::Write { path: path.clone(), source };
        let mut file = File::create(&path).map_err(|source| failed(&path, source))?;
        let brought = bring(&mut file)?;
        let place = self.staging.path().join(blob_name(&blob.digest));
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(|source| failed(&place, source))?;
        }
        fs::rename(&path, &place).map_err(|source| failed(&place, source))?;
        self.blobs.insert(blob.digest, blob.size);
        Ok(brought)
    }
}

/// Where a blob is in a layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
