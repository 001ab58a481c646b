//! Work that goes on to its end after its client went away, because other parties may have done
//! their share already: ends of uploads, puts of manifests, deletions. A stopping server waits for
//! it.
//!
//! Invariant: a task begun here counts until it is over, even when no caller waits for its result.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use wharf_client::runtime::party;

/// All detached tasks.
#[derive(Clone, Default)]
pub(crate) struct DetachedTasks {
    count: Arc<watch::Sender<usize>>,
}

/// One task; over when dropped.
struct DetachedTask(Arc<watch::Sender<usize>>);

impl DetachedTasks {
    /// Runs work to its end and waits for it. When the caller goes away the work goes on; a panic
    /// in the work continues in the caller.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.count.send_modify(|count| *count += 1);
        let piece = DetachedTask(Arc::clone(&self.count));
        let work = tokio::spawn(party::hand_on(async move {
            let _piece = piece;
            work.await
        }));
        match work.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Waits until no task is left, at most this long; returns the number of tasks left.
    pub(crate) async fn settled(&self, at_most: Duration) -> usize {
        let mut count = self.count.subscribe();
        // The sender lives as long as `self`.
        let _ = timeout(at_most, count.wait_for(|count| *count == 0)).await;
        *self.count.borrow()
    }
}

impl Drop for DetachedTask {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_waited_for_at_the_end() {
        let detached = DetachedTasks::default();
        assert_eq!(detached.settled(Duration::ZERO).await, 0);
        assert_eq!(detached.run(async { 5 }).await, 5);
        let (go_on, told) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let run = detached.run(async move {
            let _ = told.await;
            let _ = done.send(());
        });
        // The client goes away once the work has begun.
        assert!(timeout(Duration::from_secs(1), run).await.is_err());
        assert_eq!(detached.settled(Duration::from_secs(1)).await, 1);
        go_on.send(()).unwrap();
        is_done.await.unwrap();
        assert_eq!(detached.settled(Duration::from_secs(1)).await, 0);
    }
}
