//! The last stage of a connection with a client that is still sending: the answer is out and our
//! side is shut, and arriving bytes are read and thrown away until the client has seen the answer.
//! A close with bytes unread would be a reset (RFC 9112 §9.6), which takes the answer away from a
//! client that has not read it yet.
//!
//! Invariant: it ends, by time and by bytes; nothing is kept.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::{LINGER_BYTES_MAX, LINGER_QUIET_TIME, LINGER_TIME};

/// Bytes of one read.
const PIECE_BYTES: usize = 16 * 1024;

/// The reading after the end.
pub(super) struct Linger {
    /// Whether the client will send more than the bytes already here.
    expects_more: bool,
    left_bytes: u64,
    until: Pin<Box<Sleep>>,
    quiet: Pin<Box<Sleep>>,
}

/// The result of the reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LingerEnd {
    /// The client closed, or has nothing more to send.
    Quietly,
    /// The client went on sending up to the bound.
    AtTheBound,
}

impl Linger {
    /// Begins at once. Without an expectation of more, it reads only as long as bytes are here.
    pub(super) fn new(expects_more: bool) -> Self {
        let now = Instant::now();
        let sleep = |time| Box::pin(tokio::time::sleep_until(now + time));
        let (until, quiet) = (sleep(LINGER_TIME), sleep(LINGER_QUIET_TIME));
        Self { expects_more, left_bytes: LINGER_BYTES_MAX, until, quiet }
    }

    /// Reads until the client closes or a bound is reached.
    pub(super) fn poll_end(
        &mut self,
        mut stream: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
    ) -> Poll<LingerEnd> {
        loop {
            let mut space = [MaybeUninit::uninit(); PIECE_BYTES];
            let mut piece = ReadBuf::uninit(&mut space);
            match stream.as_mut().poll_read(context, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    let read = piece.filled().len() as u64;
                    if read > self.left_bytes || self.until.as_mut().poll(context).is_ready() {
                        return Poll::Ready(LingerEnd::AtTheBound);
                    }
                    self.left_bytes -= read;
                    self.expects_more = true;
                    self.quiet.as_mut().reset(Instant::now() + LINGER_QUIET_TIME);
                }
                Poll::Pending if self.expects_more => {
                    if self.until.as_mut().poll(context).is_ready() {
                        return Poll::Ready(LingerEnd::AtTheBound);
                    }
                    ready!(self.quiet.as_mut().poll(context));
                    return Poll::Ready(LingerEnd::Quietly);
                }
                // Closed, reset, or nothing here from a client not expected to send.
                Poll::Ready(_) | Poll::Pending => return Poll::Ready(LingerEnd::Quietly),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::time::sleep;

    /// The result with this client, and after how many seconds.
    async fn ended(
        expects_more: bool,
        client: impl AsyncFnOnce(tokio::io::DuplexStream),
    ) -> (LingerEnd, u64) {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let (began, mut linger) = (Instant::now(), Linger::new(expects_more));
        let lingered = async {
            let poll = |context: &mut Context<'_>| linger.poll_end(Pin::new(&mut theirs), context);
            (std::future::poll_fn(poll).await, began.elapsed().as_secs())
        };
        tokio::select! {
            ended = lingered => ended,
            () = async { client(ours).await; std::future::pending::<()>().await } => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_on_is_read_from_until_they_close() {
        let told = ended(true, async |mut client| {
            for _ in 0..50 {
                client.write_all(&vec![7; 200_000]).await.unwrap();
                sleep(Duration::from_millis(100)).await;
            }
        });
        assert_eq!(told.await, (LingerEnd::Quietly, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_more_is_waited_for_a_moment_and_not_at_all_when_not_expected_to() {
        let silent = async |_client| sleep(Duration::from_hours(1)).await;
        assert_eq!(ended(true, silent).await, (LingerEnd::Quietly, LINGER_QUIET_TIME.as_secs()));
        assert_eq!(ended(false, silent).await, (LingerEnd::Quietly, 0));
        let late = ended(false, async |mut client| {
            client.write_all(b"the rest of a head").await.unwrap();
            sleep(Duration::from_secs(2)).await;
        });
        // Bytes here at the begin make it wait for the rest.
        let (end, seconds) = late.await;
        assert!(end == LingerEnd::Quietly && seconds <= 2, "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_ends_is_cut_off() {
        let dripping = ended(true, async |mut client| {
            while client.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(dripping.await, (LingerEnd::AtTheBound, LINGER_TIME.as_secs()));
        let flooding = ended(true, async |mut client| {
            let piece = vec![7; 64 * 1024];
            while client.write_all(&piece).await.is_ok() {}
        });
        assert_eq!(flooding.await, (LingerEnd::AtTheBound, 0));
    }
}
