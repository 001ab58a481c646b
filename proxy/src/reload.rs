//! The configuration, read again on SIGHUP: as a whole, or not at all.
//!
//! Invariants: what is wrong is refused before anything of it counts; what was begun under the old
//! configuration ends under it. Keys that need a restart are named and left alone.

use std::sync::Arc;

use tokio::sync::watch;

use crate::bridge::Bridge;
use crate::config::{Config, ConfigSource, Keys, Loaded, needs_restart};
use crate::handlers::App;
use crate::limits::CHANGES_SHOWN_MAX;
use crate::live::Rules;
use crate::upstreams::UpstreamSet;
use crate::{audit, error};

/// Reads the configuration again when it is told to.
pub(crate) struct Reloader {
    pub(crate) app: Arc<App>,
    pub(crate) bridge: Bridge,
    pub(crate) source: ConfigSource,
    /// Keys of the configuration that counts.
    pub(crate) keys: Keys,
    /// Tells the scrub its rate.
    pub(crate) scrub_rate: watch::Sender<Option<u64>>,
}

/// Everything that another configuration needs, made before any of it counts.
struct Prepared {
    loaded: Loaded,
    upstreams: Arc<UpstreamSet>,
}

impl Reloader {
    /// Reads it again each time that `told` changes, until `stop` becomes true.
    pub(crate) async fn serve(
        mut self,
        mut told: watch::Receiver<u64>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                Ok(()) = told.changed() => {}
                else => return,
            }
            self.reload().await;
        }
    }

    async fn reload(&mut self) {
        match self.prepare().await {
            Ok(prepared) => {
                let changes = self.apply(prepared);
                self.app.metrics.reloaded(true);
                audit::reloaded("done", changes);
            }
            Err(reason) => {
                self.app.metrics.reloaded(false);
                tracing::error!(reason, "the configuration is refused, and the old one stays");
                audit::reloaded("refused", 0);
            }
        }
    }

    async fn prepare(&self) -> Result<Prepared, String> {
        let (source, before) = (self.source.clone(), self.app.cache.upstreams.current());
        self.bridge.run(move || prepare(&source, &before)).await
    }

    /// How many keys are another.
    fn apply(&mut self, prepared: Prepared) -> usize {
        let Prepared { loaded: Loaded { config, keys }, upstreams } = prepared;
        let changes = self.keys.changes(&keys);
        let file = self.source.file().map_or_else(String::new, |path| path.display().to_string());
        tracing::info!(file, changes = changes.len(), "the configuration was read again");
        for changed in changes.iter().take(CHANGES_SHOWN_MAX) {
            let change = changed.line.as_str();
            if needs_restart(&changed.key) {
                tracing::warn!("configuration, at the next start only: {change}");
            } else {
                tracing::info!("configuration: {change}");
            }
        }
        if changes.len() > CHANGES_SHOWN_MAX {
            let more = changes.len() - CHANGES_SHOWN_MAX;
            tracing::info!(more, "further keys are others");
        }
        self.replace(&config, upstreams);
        self.keys = keys;
        changes.len()
    }

    fn replace(&self, config: &Config, upstreams: Arc<UpstreamSet>) {
        let app = &self.app;
        app.write_once.replace(config.write_once_tags.clone());
        app.cache.upstreams.replace(Arc::clone(&upstreams));
        app.live.replace(Rules::new(config, upstreams));
        app.cache.reconfigured();
        app.deliveries.reconfigured();
        // Another rate only: the scrub begins anew with one.
        self.scrub_rate.send_if_modified(|rate| {
            let before = std::mem::replace(rate, config.scrub_rate);
            before != config.scrub_rate
        });
        // Certificates are read again here: what holds them hangs on to this place.
    }
}

/// Reads and makes everything that can fail. Blocks.
fn prepare(source: &ConfigSource, before: &UpstreamSet) -> Result<Prepared, String> {
    let said = |error: crate::ConfigError| error::chain(&error);
    let loaded = source.load().map_err(said)?;
    let upstreams = UpstreamSet::new(&loaded.config.upstreams, Some(before)).map_err(said)?;
    // Last, and here: a place that cannot be written refuses the whole. Anew in any case, so that a
    // file that was moved away is let go.
    let audit_log = loaded.config.audit_log.as_deref();
    audit::open(audit_log).map_err(|error| {
        let path = audit_log.map_or_else(String::new, |path| path.display().to_string());
        format!("cannot write the audit log {path}: {error}")
    })?;
    Ok(Prepared { loaded, upstreams: Arc::new(upstreams) })
}
