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
                let changes = self.apply(prepared).await;
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
        let prepare = move || {
            let loaded = source.load()?;
            let upstreams = UpstreamSet::new(&loaded.config.upstreams, Some(&before))?;
            // Opened here, so that a place that cannot be written refuses the whole, and anew, so that
            // a file that was moved away is let go.
            audit::open(loaded.config.audit_log.as_deref()).map_err(|source| {
                let path = loaded.config.audit_log.clone().unwrap_or_default();
                crate::ConfigError::Unreadable { path, source }
            })?;
            Ok(Prepared { loaded, upstreams: Arc::new(upstreams) })
        };
        let prepared = self.bridge.run(prepare).await;
        prepared.map_err(|error: crate::ConfigError| error::chain(&error))
    }

    /// How many keys are another.
    async fn apply(&mut self, prepared: Prepared) -> usize {
        let Prepared { loaded: Loaded { config, keys }, upstreams } = prepared;
        let changes = self.keys.changes(&keys);
        let file = self.source.file().map_or_else(String::new, |path| path.display().to_string());
        tracing::info!(file, changes = changes.len(), "the configuration was read again");
        for changed in changes.iter().take(CHANGES_SHOWN_MAX) {
            let change = changed.line.as_str();
            if needs_restart(&changed.key) {
                tracing::warn!(change, "a key counts at the next start only");
            } else {
                tracing::info!(change, "a key is another");
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
        self.scrub_rate.send_replace(config.scrub_rate);
        // Certificates are read again here: what holds them hangs on to this place.
    }
}
