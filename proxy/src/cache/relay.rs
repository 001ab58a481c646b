//! Bytes that pass by without being kept: a part far ahead of the download that will bring it, and
//! a blob that the store cannot take.
//!
//! Invariants: a whole blob is proven on its way, and its last piece is given only then; the parts
//! that are relayed beside one download are bounded together, so that they never amount to a
//! second one. A relayed part cannot be proven, as no registry's part can: the client has the
//! digest of the whole.

use bytes::Bytes;
use tokio::sync::mpsc;
use wharf_oci::{Digest, Digester, Span};

use super::{Cache, unknown};
use crate::Error;
use crate::body::Piece;
use crate::limits::RELAY_QUEUE;
use crate::upstream::Download;
use crate::upstreams::Remote;

/// What passes by.
pub(crate) struct Relayed {
    /// The size of the whole blob, when the upstream announced it.
    pub(crate) size_bytes: Option<u64>,
    /// The bytes.
    pub(crate) pieces: mpsc::Receiver<Piece>,
}

impl Cache {
    /// A whole blob past the store.
    pub(super) async fn relay_whole(
        &self,
        remote: &Remote,
        digest: &Digest,
    ) -> Result<Relayed, Error> {
        let download = remote.upstream.blob(&remote.repo, digest).await?;
        let download = download.ok_or_else(|| unknown(&remote.repo, digest))?;
        let proof = Proof { digester: Digester::new(digest.algorithm()), digest: *digest };
        Ok(start(download, Some(proof)))
    }

    /// A part past the store; `None` when the upstream sends no parts.
    pub(super) async fn relay_part(
        &self,
        remote: &Remote,
        digest: &Digest,
        part: Span,
    ) -> Result<Option<Relayed>, Error> {
        let download = remote.upstream.blob_part(&remote.repo, digest, part).await?;
        Ok(download.map(|download| start(download, None)))
    }
}

/// What a whole blob must turn out to be.
struct Proof {
    digester: Digester,
    digest: Digest,
}

/// Hands on at the pace of the client; ends with it.
fn start(download: Download, proof: Option<Proof>) -> Relayed {
    let (sender, pieces) = mpsc::channel(RELAY_QUEUE);
    let size_bytes = download.size_bytes();
    tokio::spawn(async move {
        let last = match hand_on(download, proof, &sender).await {
            Ok(()) => Piece::End,
            Err(error) => {
                tracing::warn!(%error, "a relayed blob broke off");
                Piece::Broken(error.to_string())
            }
        };
        let _ = sender.send(last).await;
    });
    Relayed { size_bytes, pieces }
}

async fn hand_on(
    mut download: Download,
    proof: Option<Proof>,
    sender: &mpsc::Sender<Piece>,
) -> Result<(), Error> {
    let Some(Proof { mut digester, digest }) = proof else {
        while let Some(bytes) = download.next().await? {
            if sender.send(Piece::Bytes(bytes)).await.is_err() {
                return Ok(());
            }
        }
        return Ok(());
    };
    let mut held: Option<Bytes> = None;
    while let Some(bytes) = download.next().await? {
        digester.update(&bytes);
        let before = held.replace(bytes).map(Piece::Bytes);
        if let Some(before) = before
            && sender.send(before).await.is_err()
        {
            return Ok(());
        }
    }
    digester.finish().expect(&digest).map_err(Error::UpstreamLied)?;
    if let Some(last) = held {
        let _ = sender.send(Piece::Bytes(last)).await;
    }
    Ok(())
}
