//! The body of a bypass: bytes past the store.
//!
//! Invariant: a bypass announces its end; a channel closed without it is an error.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::BodyError;

/// A message of a bypass.
pub(crate) enum RelayFrame {
    /// The next bytes.
    Bytes(Bytes),
    /// The end of the body.
    End,
    /// No more bytes will come, for this reason.
    Broken(String),
}

/// Follows a bypass.
pub(crate) struct RelayedBody {
    pieces: mpsc::Receiver<RelayFrame>,
    /// The length, when it was announced.
    pub(super) left_bytes: Option<u64>,
}

impl RelayedBody {
    pub(super) const fn new(pieces: mpsc::Receiver<RelayFrame>, left_bytes: Option<u64>) -> Self {
        Self { pieces, left_bytes }
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(RelayFrame::Bytes(bytes)) => {
                let left = self.left_bytes.map(|left| left.saturating_sub(bytes.len() as u64));
                self.left_bytes = left;
                Some(Ok(bytes))
            }
            Some(RelayFrame::Broken(reason)) => Some(Err(BodyError::Abandoned(reason))),
            Some(RelayFrame::End) => {
                let short = self.left_bytes.filter(|left| *left > 0);
                short.map(|left| Err(BodyError::Short(left)))
            }
            None => Some(Err(BodyError::Abandoned("its relay went away".to_owned()))),
        })
    }
}
