//! The minimum rate of a transfer, in both directions: the debt of a peer behind it, and a body
//! read at no less. Only time spent waiting for the peer counts; its bytes reduce the debt, and no
//! credit is saved up for later.
//!
//! Invariant: the debt of a peer at the rate never reaches the window; the debt of a silent peer
//! does, after exactly the window from the last byte, or after the allowed silence when it is
//! shorter.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

/// How slow a transfer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinRate {
    /// The time for which a transfer may be slower, or stand still.
    pub window: Duration,
    /// Bytes per second, as a mean over the window; 0 asks for no rate.
    pub bytes_per_second: u64,
    /// The longest time without a byte, however many came before; without it the window alone
    /// decides.
    pub silence: Option<Duration>,
}

/// The debt of one transfer.
#[derive(Debug, Clone, Copy)]
pub struct RateDebt {
    min_rate: MinRate,
    behind: Duration,
    /// Time waited since the last byte.
    silent: Duration,
}

/// Why a body is read no further.
#[derive(Debug)]
pub enum RateError<E> {
    /// The body came too slowly.
    TooSlow(TooSlow),
    /// The body broke off.
    Broken(E),
}

/// How it was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooSlow {
    /// No byte came for this time.
    Silent(Duration),
    /// The transfer was slower than this rate for too long.
    Behind(MinRate),
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(time) => {
                write!(f, "its body stands still: no byte in {} s", time.as_secs_f64())
            }
            Self::Behind(MinRate { window, bytes_per_second, .. }) => {
                let seconds = window.as_secs_f64();
                write!(
                    f,
                    "its body is slower than {bytes_per_second} bytes a second, by {seconds} s"
                )
            }
        }
    }
}

impl RateDebt {
    /// A debt of zero.
    #[must_use]
    pub const fn new(min_rate: MinRate) -> Self {
        Self { min_rate, behind: Duration::ZERO, silent: Duration::ZERO }
    }

    /// The time left to wait for the peer; `None` when there is no bound.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let MinRate { window, bytes_per_second, silence } = self.min_rate;
        let by_rate = (bytes_per_second > 0).then(|| window.saturating_sub(self.behind));
        let by_silence = silence.map(|silence| silence.saturating_sub(self.silent));
        by_rate.into_iter().chain(by_silence).min()
    }

    /// Adds time spent waiting for the peer. `false` when the peer is too far behind.
    #[must_use]
    pub fn waited(&mut self, time: Duration) -> bool {
        self.behind = self.behind.saturating_add(time);
        self.silent = self.silent.saturating_add(time);
        self.left().is_none_or(|left| !left.is_zero())
    }

    /// Counts bytes of the peer.
    pub fn moved(&mut self, bytes: usize) {
        if bytes > 0 {
            self.silent = Duration::ZERO;
        }
        if self.min_rate.bytes_per_second == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
        let seconds = bytes as f64 / self.min_rate.bytes_per_second as f64;
        // Bytes worth centuries clear the whole debt.
        let worth = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        self.behind = self.behind.saturating_sub(worth);
    }

    /// How the peer is too slow, if it is.
    fn too_slow(&self) -> Option<TooSlow> {
        let is_over = self.left().is_some_and(|left| left.is_zero());
        let silent = self.min_rate.silence.filter(|silence| *silence <= self.silent);
        is_over.then(|| silent.map_or(TooSlow::Behind(self.min_rate), TooSlow::Silent))
    }
}

/// A body read at a minimum rate. A reader's own pause between two reads adds no debt.
pub struct RatedBody<B> {
    body: B,
    debt: RateDebt,
}

impl<B: Body<Data = Bytes> + Unpin> RatedBody<B> {
    /// Counts from the first byte.
    pub const fn new(body: B, min_rate: MinRate) -> Self {
        Self { body, debt: RateDebt::new(min_rate) }
    }

    /// The next bytes; `None` at the end. Safe to give up in the middle.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RateError<B::Error>> {
        loop {
            let began = Instant::now();
            let frame = match self.debt.left() {
                None => Ok(self.body.frame().await),
                Some(left) => timeout(left, self.body.frame()).await,
            };
            let bytes = match frame {
                Err(_) => Bytes::new(),
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => {
                    frame.map_err(RateError::Broken)?.into_data().unwrap_or_default()
                }
            };
            let _ = self.debt.waited(began.elapsed());
            // The latest bytes may make up for the time.
            self.debt.moved(bytes.len());
            if let Some(too_slow) = self.debt.too_slow() {
                return Err(RateError::TooSlow(too_slow));
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use tokio::sync::mpsc;

    const SECOND: Duration = Duration::from_secs(1);
    const RATE: MinRate =
        MinRate { window: Duration::from_secs(10), bytes_per_second: 1_000, silence: None };

    #[test]
    fn who_does_nothing_is_behind_after_the_window_and_not_before() {
        let mut debt = RateDebt::new(RATE);
        assert!((0..9).all(|_| debt.waited(SECOND)));
        assert_eq!(debt.left(), Some(SECOND));
        assert!(!debt.waited(SECOND));
        assert_eq!(debt.too_slow(), Some(TooSlow::Behind(RATE)));
    }

    #[test]
    fn who_keeps_the_rate_is_never_behind_however_it_is_spread() {
        for (times, seconds) in [(1, 1), (100, 9)] {
            let mut debt = RateDebt::new(RATE);
            for _ in 0..times {
                assert!(debt.waited(SECOND * seconds));
                debt.moved(1_000 * seconds as usize);
            }
            assert_eq!(debt.left(), Some(RATE.window));
        }
    }

    #[test]
    fn half_the_rate_is_too_slow_after_about_twice_the_window_and_haste_saves_nothing_up() {
        let mut debt = RateDebt::new(RATE);
        debt.moved(1_000_000);
        let steps = (1..100).find(|_| {
            let good = debt.waited(SECOND);
            debt.moved(500);
            !good
        });
        assert_eq!(steps, Some(19));
    }

    #[test]
    fn without_a_rate_nobody_is_behind() {
        let mut debt = RateDebt::new(MinRate { bytes_per_second: 0, ..RATE });
        assert!(debt.waited(SECOND * 1_000_000) && debt.left().is_none());
        debt.moved(5);
    }

    #[test]
    fn silence_counts_from_the_last_byte_and_is_no_matter_of_the_rate() {
        for bytes_per_second in [0, 1_000] {
            let silence = Some(SECOND * 3);
            let mut debt = RateDebt::new(MinRate { bytes_per_second, silence, ..RATE });
            // However many bytes came before: only the last one counts.
            debt.moved(1_000_000);
            assert!(debt.waited(SECOND * 2));
            debt.moved(2_000);
            assert_eq!(debt.left(), Some(SECOND * 3));
            debt.moved(0);
            assert!(debt.waited(SECOND * 2));
            // An empty frame is no byte.
            debt.moved(0);
            assert_eq!((debt.waited(SECOND), debt.left()), (false, Some(Duration::ZERO)));
            assert_eq!(debt.too_slow(), Some(TooSlow::Silent(SECOND * 3)));
        }
    }

    /// A body with its pieces from a channel.
    struct Pieces(mpsc::Receiver<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(context).map(|bytes| Some(Ok(Frame::data(bytes?))))
        }
    }

    /// Reads a body whose parts come after so many seconds each.
    async fn read(parts: &'static [(u64, usize)], min_rate: MinRate) -> Result<usize, TooSlow> {
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(async move {
            for (seconds, bytes) in parts {
                tokio::time::sleep(Duration::from_secs(*seconds)).await;
                let _ = send.send(Bytes::from(vec![7; *bytes])).await;
            }
        });
        let (mut body, mut bytes) = (RatedBody::new(Pieces(receive), min_rate), 0);
        loop {
            match body.next().await {
                Ok(Some(part)) => bytes += part.len(),
                Ok(None) => return Ok(bytes),
                Err(RateError::TooSlow(how)) => return Err(how),
                Err(RateError::Broken(never)) => match never {},
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_and_steady_and_is_given_up_when_it_falls_silent() {
        let silence = Some(SECOND * 3);
        let min_rate = MinRate { silence, ..RATE };
        assert_eq!(read(&[(2, 2_000); 100], min_rate).await, Ok(200_000));
        let silent = read(&[(1, 1_000_000), (4, 1_000_000)], min_rate).await;
        assert_eq!(silent, Err(TooSlow::Silent(SECOND * 3)));
        assert_eq!(read(&[(1, 500); 100], min_rate).await, Err(TooSlow::Behind(min_rate)));
        assert_eq!(
            read(&[(1, 500); 100], MinRate { bytes_per_second: 0, ..RATE }).await,
            Ok(50_000)
        );
    }
}
