//! The source of an upload's bytes: a file, memory, or a blob of another registry. Any part can be
//! read again, because an upload may have to go back.
//!
//! Invariant: bytes of another registry are hashed in their order, and a source with another digest
//! is an error before the upload is ended. An upload that goes on in its middle is proven by its
//! registry alone.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;
use wharf_oci::{Algorithm, Descriptor, Digester, MediaType, RepoName};

use super::Registry;
use super::download::BlobDownload;
use super::error::RegistryError;

/// How much of a blob is read at once.
const PIECE_BYTES: usize = 128 * 1024;

/// The bytes of one blob.
pub enum BlobSource {
    /// In a file, proven before the upload started.
    File(Box<FileSource>),
    /// Made here, in memory.
    Memory { bytes: Bytes, descriptor: Box<Descriptor> },
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

    /// A small blob made here, with its descriptor.
    #[must_use]
    pub fn memory(bytes: Bytes, media_type: MediaType) -> Self {
        let digest = Digester::digest(Algorithm::Sha256, &bytes);
        let descriptor = Box::new(Descriptor::new(media_type, digest, bytes.len() as u64));
        Self::Memory { bytes, descriptor }
    }

    /// A blob of another registry.
    #[must_use]
    pub fn remote(registry: Arc<Registry>, repo: RepoName, descriptor: Descriptor) -> Self {
        let digester = Digester::new(descriptor.digest.algorithm());
        let download = BlobDownload::new(registry, repo, descriptor);
        Self::Remote(Box::new(RemoteSource { download, digester }))
    }

    /// The descriptor of the blob.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Memory { descriptor, .. } => descriptor,
            Self::File(source) => &source.descriptor,
            Self::Remote(source) => source.download.descriptor(),
        }
    }

    /// Gives out this many bytes from an offset on, in pieces. It ends early when nobody takes
    /// them any more.
    pub(super) async fn feed(
        &mut self,
        offset: u64,
        length: u64,
        taker: Sender<Bytes>,
    ) -> Result<(), RegistryError> {
        let end = offset.saturating_add(length).min(self.descriptor().size);
        let mut at = offset;
        while at < end {
            let piece = match self {
                Self::File(source) => source.piece(at, end).await?,
                Self::Remote(source) => source.piece(at, end).await?,
                Self::Memory { bytes, .. } => memory_piece(bytes, at, end),
            };
            at += piece.len() as u64;
            if taker.send(piece).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// How many bytes the next piece has at most.
fn piece_len(offset: u64, end: u64) -> usize {
    usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(PIECE_BYTES)
}

/// A piece of bytes at hand.
fn memory_piece(bytes: &Bytes, offset: u64, end: u64) -> Bytes {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let to = from.saturating_add(piece_len(offset, end)).min(bytes.len());
    bytes.slice(from..to)
}

impl FileSource {
    #[expect(
        clippy::disallowed_methods,
        reason = "tokio's own files do the same; theirs have a position, which blobs of one archive \
                  would share. As many run as blobs are sent at once"
    )]
    async fn piece(&mut self, offset: u64, end: u64) -> Result<Bytes, RegistryError> {
        let digest = self.descriptor.digest;
        let failed = |source: io::Error| RegistryError::Source { digest, source };
        let mut bytes = BytesMut::zeroed(piece_len(offset, end));
        let (file, at) = (Arc::clone(&self.file), self.start.saturating_add(offset));
        // A disk may be slow, and other uploads go on meanwhile.
        let read = spawn_blocking(move || file.read_exact_at(&mut bytes, at).map(|()| bytes));
        let bytes = read.await.map_err(io::Error::from).and_then(|read| read).map_err(failed)?;
        Ok(bytes.freeze())
    }
}

impl RemoteSource {
    /// The last piece of a blob is given out only after the proof of the whole.
    async fn piece(&mut self, offset: u64, end: u64) -> Result<Bytes, RegistryError> {
        self.download.seek(offset);
        let bytes = self.download.next(piece_len(offset, end)).await?;
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
