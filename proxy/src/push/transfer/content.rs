//! The content of a transfer: a blob in flight, or one in the store. Both can be read again from
//! any offset, as often as needed.

use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::Bytes;
use wharf_oci::Span;
use wharf_store::{BlobReader, InFlight, Tail};

use super::Stop;
use crate::Error;
use crate::runtime::blocking::BlockingPool;
use crate::runtime::body::{Body, Completion};

/// The bytes of one upload.
#[derive(Clone)]
pub(crate) enum TransferContent {
    /// Bytes present and to come.
    InFlight(InFlight),
    /// All bytes.
    Stored(BlobReader),
}

impl TransferContent {
    /// The number of readable bytes at this moment.
    pub(super) fn visible_bytes(&self) -> u64 {
        match self {
            Self::InFlight(blob) => blob.visible_bytes(),
            Self::Stored(reader) => reader.info().size_bytes,
        }
    }

    /// The size, once it is known.
    pub(super) fn size_bytes(&self) -> Option<u64> {
        match self {
            Self::InFlight(blob) => blob.size_bytes(),
            Self::Stored(reader) => Some(reader.info().size_bytes),
        }
    }

    /// Waits until this many bytes are readable, or all; returns their number.
    pub(super) async fn arrived(&self, bytes: u64) -> Result<u64, Stop> {
        if let (Self::InFlight(blob), Some(last)) = (self, bytes.checked_sub(1))
            && let Tail::Abandoned(reason) = poll_fn(|context| blob.poll_read(last, context)).await
        {
            return Err(Stop::Abandoned(reason));
        }
        Ok(self.visible_bytes())
    }

    /// A readable part.
    pub(super) fn body(&self, blocking: BlockingPool, span: Span) -> Body {
        match self {
            Self::InFlight(blob) => {
                Body::in_flight_part(blocking, blob.clone(), span, Completion::Arrived)
            }
            Self::Stored(reader) => {
                Body::stored(blocking, VecDeque::new(), reader.clone().narrow(span))
            }
        }
    }

    /// The readable bytes from `at` to the end of its segment.
    pub(super) async fn segment(&self, blocking: &BlockingPool, at: u64) -> Result<Bytes, Error> {
        let reader = match self {
            Self::InFlight(blob) => {
                if let Some(Tail::Bytes(bytes)) = blob.try_read(at) {
                    return Ok(bytes);
                }
                let blob = blob.clone();
                return Ok(blocking.run(move || blob.read_stored(at)).await?);
            }
            Self::Stored(reader) => reader.clone(),
        };
        let Some(rest) = Span::new(at, reader.info().size_bytes) else { return Ok(Bytes::new()) };
        let mut reader = reader.narrow(rest);
        Ok(blocking.run(move || reader.next_segment()).await?.unwrap_or_default())
    }
}
