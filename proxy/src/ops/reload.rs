//! The configuration, read again on SIGHUP: as a whole, or not at all.
//!
//! Invariants: an invalid configuration is refused before any of it takes effect; work begun under
//! the old configuration ends under it. Keys that need a restart are named and left alone.

use std::sync::Arc;

use tokio::sync::watch;
use wharf_client::chain;

use crate::config::active::RuntimeConfig;
use crate::config::{Config, ConfigKeys, ConfigSource, LoadedConfig, needs_restart};
use crate::http::handlers::App;
use crate::limits::CHANGES_SHOWN_MAX;
use crate::observe::audit_log;
use crate::registries::UpstreamSet;
use crate::runtime::blocking::BlockingPool;

/// Reads the configuration again on a signal.
pub(crate) struct Reloader {
    pub(crate) app: Arc<App>,
    pub(crate) blocking: BlockingPool,
    pub(crate) source: ConfigSource,
    /// Keys of the configuration in force.
    pub(crate) keys: ConfigKeys,
    /// Sends the scrub its rate.
    pub(crate) scrub_rate: watch::Sender<Option<u64>>,
}

/// All parts of a new configuration, made before any of them takes effect.
struct Prepared {
    loaded: LoadedConfig,
    rules: RuntimeConfig,
}

impl Reloader {
    /// Reads the configuration again each time that `told` changes, until `stop` becomes true.
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
                audit_log::reloaded("done", changes);
            }
            Err(reason) => {
                self.app.metrics.reloaded(false);
                tracing::error!(reason, "the configuration is refused, and the old one stays");
                audit_log::reloaded("refused", 0);
            }
        }
    }

    async fn prepare(&self) -> Result<Prepared, String> {
        let (source, app) = (self.source.clone(), Arc::clone(&self.app));
        self.blocking.run(move || prepare(&source, &app)).await
    }

    /// Puts the configuration in force; returns the number of changed keys.
    fn apply(&mut self, prepared: Prepared) -> usize {
        let Prepared { loaded: LoadedConfig { config, keys }, rules } = prepared;
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
        if self.app.tls.is_some() != config.tls.is_some() {
            let word = if config.tls.is_some() { "on" } else { "off" };
            tracing::warn!("configuration, at the next start only: TLS is turned {word}");
        }
        self.replace(&config, rules);
        self.keys = keys;
        changes.len()
    }

    fn replace(&self, config: &Config, rules: RuntimeConfig) {
        let app = &self.app;
        app.active.replace(rules);
        app.cache.share_out(config.limits.fills_per_user);
        app.cache.reconfigured();
        app.outbox.reconfigured();
        // Only for a changed rate: the scrub begins anew with one.
        self.scrub_rate.send_if_modified(|rate| {
            let before = std::mem::replace(rate, config.scrub_rate);
            before != config.scrub_rate
        });
    }
}

/// Reads and makes everything that can fail. Blocks.
fn prepare(source: &ConfigSource, app: &App) -> Result<Prepared, String> {
    let said = |error: crate::ConfigError| chain(&error);
    let loaded = source.load().map_err(said)?;
    let (config, before) = (&loaded.config, app.active.current());
    let (upstreams, tags) = (&config.upstreams, &config.write_once_tags);
    let set = UpstreamSet::new(upstreams, tags, Some(&before.upstreams)).map_err(said)?;
    let rules = RuntimeConfig::new(config, set, Some(&before)).map_err(said)?;
    // TLS turned on or off takes effect at the next start only, and is named then.
    let tls = app.tls.as_ref().zip(config.tls.clone());
    // Last, and here: a path that cannot be written refuses the whole. Opened anew in any case, so
    // that a moved file is let go.
    let path = loaded.config.audit_log.as_deref();
    audit_log::open(path).map_err(|error| {
        let path = path.map_or_else(String::new, |path| path.display().to_string());
        format!("cannot write the audit log {path}: {error}")
    })?;
    if let Some((tls, files)) = tls {
        tls.reload(Some(files)).map_err(said)?;
    }
    Ok(Prepared { loaded, rules })
}
