//! The source of an upload's bytes: a file, memory, or a blob of another registry. Any part can be
//! read again, because an upload may have to go back.
//!
//! Invariant: bytes of another registry are hashed in their order, and a source with another digest
//! is an error before the upload is ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::spawn_blocking;
use wharf_oci::{Descriptor, Digester, RepoName};

use super::Registry;
use super::download::BlobDownload;
use super::error::RegistryError;

/// The bytes of one blob.
pub enum BlobSource {
    /// In a file, proven before the upload started.
    File(Box<FileSource>),
    /// On another registry.
    Remote(Box<RemoteSource>),
}

/// A part of a file.
pub struct FileSource {
    file: Arc<File>,
    start: u64,
    descriptor: Descriptor,
}

/// A blob, downloaded during its upload.
pub struct RemoteSource {
    download: BlobDownload,
    /// Everything from the start to here was hashed.
    digester: Digester,
}

impl BlobSource {
    /// A blob at this offset of a file; others may read the file too.
    #[must_use]
    pub fn file(file: Arc<File>, start: u64, descriptor: Descriptor) -> Self {
        Self::File(Box::new(FileSource { file, start, descriptor }))
    }

    /// A blob of another registry.
    #[must_use]
    pub fn remote(registry: Arc<Registry>, repo: RepoName, descriptor: Descriptor) -> Self {
        let digester = Digester::new(descriptor.digest.algorithm());
        let download = BlobDownload::new(registry, repo, descriptor);
        Self::Remote(Box::new(RemoteSource { download, digester }))
    }

    /// The descriptor of the blob.
    pub(super) fn descriptor(&self) -> &Descriptor {
        match self {
            Self::File(source) => &source.descriptor,
            Self::Remote(source) => source.download.descriptor(),
        }
    }

    /// The bytes from an offset on, at most this many; fewer only at the end of the blob.
    pub(super) async fn chunk(
        &mut self,
        offset: u64,
        at_most: u64,
    ) -> Result<Bytes, RegistryError> {
        match self {
            Self::File(source) => source.chunk(offset, at_most).await,
            Self::Remote(source) => source.chunk(offset, at_most).await,
        }
    }
}

/// How many bytes a chunk at this offset has.
fn chunk_len(descriptor: &Descriptor, offset: u64, at_most: u64) -> usize {
    let left = descriptor.size.saturating_sub(offset).min(at_most);
    usize::try_from(left).unwrap_or(usize::MAX)
}

impl FileSource {
    #[expect(
        clippy::disallowed_methods,
        reason = "tokio's own files do the same; theirs have a position, which blobs of one archive \
                  would share. As many run as blobs are sent at once"
    )]
    async fn chunk(&mut self, offset: u64, at_most: u64) -> Result<Bytes, RegistryError> {
        let digest = self.descriptor.digest;
        let failed = |source: io::Error| RegistryError::Source { digest, source };
        let mut bytes = BytesMut::zeroed(chunk_len(&self.descriptor, offset, at_most));
        let (file, at) = (Arc::clone(&self.file), self.start.saturating_add(offset));
        // A disk may be slow, and other uploads go on meanwhile.
        let read = spawn_blocking(move || file.read_exact_at(&mut bytes, at).map(|()| bytes));
        let bytes = read.await.map_err(io::Error::from).and_then(|read| read).map_err(failed)?;
        Ok(bytes.freeze())
    }
}

impl RemoteSource {
    async fn chunk(&mut self, offset: u64, at_most: u64) -> Result<Bytes, RegistryError> {
        let wanted = chunk_len(self.download.descriptor(), offset, at_most);
        let mut bytes = BytesMut::with_capacity(wanted);
        self.download.seek(offset);
        while bytes.len() < wanted {
            bytes.extend_from_slice(&self.download.next(wanted - bytes.len()).await?);
        }
        let bytes = bytes.freeze();
        self.prove(offset, &bytes)?;
        Ok(bytes)
    }

    /// Hashes the new bytes, and compares the digest at the end.
    fn prove(&mut self, offset: u64, bytes: &Bytes) -> Result<(), RegistryError> {
        let hashed = self.digester.size_bytes();
        let known = usize::try_from(hashed.saturating_sub(offset)).unwrap_or(usize::MAX);
        if let Some(fresh) = bytes.get(known..)
            && hashed >= offset
        {
            self.digester.update(fresh);
        }
        if self.digester.size_bytes() < self.download.descriptor().size {
            return Ok(());
        }
        let expected = self.download.descriptor().digest;
        self.digester.clone().finish().expect(&expected).map_err(|mismatch| {
            let (url, reason) = (self.download.place(), mismatch.to_string());
            RegistryError::Content { url, expected, reason }
        })
    }
}
