//! The timeout of an answer, put off while the body of the request makes progress.

use std::time::Duration;

use crate::payload::SentBytes;

/// The answer, unless the timeout passes without an answer and without progress of the body.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = T>,
    longest: Duration,
    sent: &SentBytes,
) -> Option<T> {
    let mut answer = std::pin::pin!(answer);
    let mut before = 0;
    loop {
        if let Ok(answer) = tokio::time::timeout(longest, &mut answer).await {
            return Some(answer);
        }
        let now = sent.bytes();
        if now == before {
            return None;
        }
        before = now;
    }
}
