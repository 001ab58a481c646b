//! Cancellations of upload sessions at a registry: they run after their client has gone, but are
//! counted, so that a shutdown can wait for them.
//!
//! Invariant: at most one cancellation for each open session.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

/// The number of running cancellations; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Cancellations(Arc<watch::Sender<usize>>);

/// One running cancellation, until it is dropped.
struct Going(Cancellations);

impl Cancellations {
    /// Runs a cancellation in the background; does nothing outside a runtime, which would run it.
    pub(crate) fn say(&self, farewell: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return };
        self.0.send_modify(|going| *going += 1);
        let going = Going(self.clone());
        runtime.spawn(async move {
            farewell.await;
            drop(going);
        });
    }

    /// Waits until all running cancellations end.
    pub(crate) async fn over(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|going| *going == 0).await;
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.0.send_modify(|going| *going -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_over_when_every_farewell_is() {
        let (cancellations, (end, ended)) =
            (Cancellations::default(), tokio::sync::oneshot::channel());
        cancellations.over().await;
        cancellations.say(async move {
            let _ = ended.await;
        });
        let moment = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(moment, cancellations.over()).await.is_err());
        end.send(()).unwrap();
        cancellations.over().await;
    }
}
