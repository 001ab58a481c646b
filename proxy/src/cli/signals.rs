//! Signals of the program. SIGTERM and SIGINT: the first one asks for an end, the second one is the
//! end. SIGHUP: the configuration is read again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::EXIT_INTERRUPTED;

/// Catches both signals from here on; the flag goes up at the first. Before this returns, a signal
/// ends the process, so it comes before any message that the program is ready.
pub(crate) fn stop_on_signal() -> io::Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    let terminate = signal(SignalKind::terminate())?;
    tokio::spawn(raise(stop, terminate, signal(SignalKind::interrupt())?));
    Ok(stopped)
}

/// Catches SIGHUP from here on; the number rises with each. Before this returns, it ends the
/// process.
pub(crate) fn reload_on_signal() -> io::Result<watch::Receiver<u64>> {
    let (told, reload) = watch::channel(0);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            told.send_modify(|number| *number += 1);
        }
    });
    Ok(reload)
}

async fn raise(stop: watch::Sender<bool>, mut terminate: Signal, mut interrupt: Signal) {
    for last in [false, true] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if last {
            std::process::exit(EXIT_INTERRUPTED.into());
        }
        tracing::info!("draining");
        stop.send_replace(true);
    }
}
