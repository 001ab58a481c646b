//! The server as a whole: the order of binding and opening, and the tasks beside requests. Its end is
//! in `ops/drain.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use wharf_store::{RocksStore, StoreError, StoreOptions};

use super::drain;
use super::reload::Reloader;
use crate::config::active::{ActiveConfig, RuntimeConfig};
use crate::http::admission::{Admission, Limit};
use crate::http::handlers::{App, ManifestPuts};
use crate::http::server::{Listeners, Purpose};
use crate::http::tls::Tls;
use crate::maintenance::Maintenance;
use crate::maintenance::control::Control;
use crate::maintenance::readiness::Readiness;
use crate::maintenance::scrubbing;
use crate::pull::Cache;
use crate::push::change_locks::ChangeLocks;
use crate::push::outbox::Outbox;
use crate::push::transfer::Transfers;
use crate::push::uploads::Uploads;
use crate::push::write_once::WriteOnce;
use crate::registries::UpstreamSet;
use crate::runtime::blocking::BlockingPool;
use crate::runtime::clock::now_ms;
use crate::runtime::detached::DetachedTasks;
use crate::runtime::store::Store;

use crate::access;
use crate::config::{Config, ConfigSource, LoadedConfig};
use crate::http::server;
use crate::observe::audit_log;
use crate::settings::error::ConfigError;
use crate::settings::listen::Listen;
use crate::settings::units::ByteSize;

/// How often sessions are checked for expiry.
const EXPIRY_PERIOD: Duration = Duration::from_mins(1);

/// Why the server could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be opened.
    #[error("cannot open the store {}{}", path.display(), advice(source))]
    Store {
        /// The store's folder.
        path: PathBuf,
        /// The store's error.
        source: StoreError,
    },
    /// The signals for the end of the program cannot be caught.
    #[error("signals cannot be caught: {0}")]
    Signals(std::io::Error),
    /// The audit log cannot be opened.
    #[error("cannot write the audit log {}: {source}", path.display())]
    AuditLog {
        /// The log's file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}; choose another with {option}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that sets it.
        option: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
}

/// Advice for the operator, where the cause does not give it itself.
fn advice(error: &StoreError) -> String {
    match error {
        StoreError::Full { .. } => {
            let room = ByteSize(wharf_store::limits::DISK_RESERVE_BYTES);
            format!(", whose disk is full (free {room} there)")
        }
        StoreError::Locked { .. } => ", which belongs to one process at a time".to_owned(),
        _ => String::new(),
    }
}

/// A server with bound ports and an open store.
pub struct Server {
    app: Arc<App>,
    registry: Listeners,
    admin: Option<Listeners>,
    /// The socket for `wharfd store`; none when the folder takes no sockets.
    control: Option<Control>,
    scrub_rate: watch::Sender<Option<u64>>,
    deadline: Duration,
}

/// Signals to a running server.
pub struct Signals {
    /// Becomes true when the server shall stop.
    pub stop: watch::Receiver<bool>,
    /// Changes when the server shall read its configuration again.
    pub reload: watch::Receiver<u64>,
    /// The source of the configuration.
    pub source: ConfigSource,
    /// The configuration of the start.
    pub loaded: LoadedConfig,
}

impl Server {
    /// Binds, then opens the store: a port that is taken leaves the store untouched.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        let registry = listen(&config.listen, "--listen").await?;
        let admin = match &config.admin {
            Some(address) => Some(listen(address, "--admin").await?),
            None => None,
        };
        let blocking = BlockingPool::default();
        open_audit_log(config, &blocking).await?;
        let set = UpstreamSet::new(&config.upstreams, &config.write_once_tags, None)?;
        let tls = load_tls(config, &blocking).await?;
        let rocks = Arc::new(open_store(config, &blocking).await?);
        let segments = Arc::downgrade(&rocks);
        blocking.held().watch(move || segments.upgrade().map_or(0, |store| store.read_bytes()));
        let control = bind_control(config);
        let store: Arc<dyn Store> = Arc::clone(&rocks) as _;
        let detached = DetachedTasks::default();
        let active = Arc::new(ActiveConfig::new(RuntimeConfig::new(config, set, None)?));
        let loaded = {
            let (jobs, blocking, store) = (blocking.clone(), blocking.clone(), Arc::clone(&store));
            let (active, limit) = (Arc::clone(&active), config.store_limit);
            let detached = detached.clone();
            let load = move || {
                let transfers = Arc::new(Transfers::new(blocking, Arc::clone(&store)));
                let senders = Arc::clone(&transfers);
                let outbox = Outbox::load(Arc::clone(&store), active, senders, limit)?;
                let uploads = Uploads::load(store, transfers, outbox.clone(), detached, limit)?;
                Ok((uploads, outbox))
            };
            jobs.run(load).await
        };
        let (uploads, outbox) = loaded.map_err(|source| store_error(config, source))?;
        let write_once = Arc::<WriteOnce>::default();
        let (overrides, config_now) = (Arc::clone(&write_once), Arc::clone(&active));
        let app = App {
            uploads,
            active,
            cache: Cache::new(blocking.clone(), store),
            metrics: Arc::default(),
            maintenance: Maintenance::new(blocking, rocks, outbox.clone(), overrides, config_now),
            outbox,
            turns: ChangeLocks::default(),
            detached,
            puts: ManifestPuts::default(),
            write_once,
            admission: Admission::default(),
            tls,
            readiness: Readiness::default(),
        };
        app.cache.share_out(config.limits.fills_per_user);
        app.metrics.configured();
        let deadline = config.shutdown_deadline;
        let scrub_rate = watch::Sender::new(config.scrub_rate);
        Ok(Self { app: Arc::new(app), registry, admin, control, scrub_rate, deadline })
    }

    /// The addresses for clients: with port 0 in the configuration, the port of the system's
    /// choice.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.registry.addresses()
    }

    /// The addresses for operators.
    #[must_use]
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        self.admin.as_ref().map(Listeners::addresses).unwrap_or_default()
    }

    /// Serves until `stop` becomes true, then drains (`ops/drain.rs`). The admin address answers to the
    /// last.
    pub async fn run(self, told: Signals) {
        let Signals { stop, reload, source, loaded } = told;
        let Self { app, registry, admin, control, scrub_rate, deadline } = self;
        let (over, is_over) = watch::channel(false);
        let admin = admin.map(|admin| {
            let accepting = server::accept(admin, Purpose::Admin, Arc::clone(&app), is_over);
            tokio::spawn(async move {
                let (listener, connections) = accepting.await;
                drain::close(listener, &connections, deadline).await;
            })
        });
        let mut behind = JoinSet::new();
        if let Some(control) = control {
            behind.spawn(control.serve(app.maintenance.clone(), stop.clone()));
        }
        let rates = scrub_rate.subscribe();
        behind.spawn(scrubbing::scrub(app.maintenance.clone(), rates, stop.clone()));
        if let Some(tls) = &app.tls {
            behind.spawn(Arc::clone(tls).watch(app.cache.blocking.clone(), stop.clone()));
        }
        let blocking = app.cache.blocking.clone();
        let keys = loaded.keys;
        let reloader = Reloader { app: Arc::clone(&app), blocking, source, keys, scrub_rate };
        behind.spawn(reloader.serve(reload, stop.clone()));
        app.outbox.start();
        let expiry = tokio::spawn(expire(Arc::clone(&app)));
        let accepting = server::accept(registry, Purpose::Registry, Arc::clone(&app), stop);
        let (listener, connections) = accepting.await;
        drain::drain(&app, listener, &connections, deadline, &expiry.abort_handle()).await;
        behind.join_all().await;
        over.send_replace(true);
        if let Some(admin) = admin {
            let _ = admin.await;
        }
        app.cache.blocking.run(audit_log::close).await;
    }
}

async fn open_audit_log(config: &Config, blocking: &BlockingPool) -> Result<(), ServeError> {
    let wanted = config.audit_log.clone();
    let opened = blocking.run(move || audit_log::open(wanted.as_deref())).await;
    let path = config.audit_log.clone().unwrap_or_default();
    opened.map_err(|source| ServeError::AuditLog { path, source })
}

fn store_error(config: &Config, source: StoreError) -> ServeError {
    ServeError::Store { path: config.store.clone(), source }
}

async fn open_store(config: &Config, blocking: &BlockingPool) -> Result<RocksStore, ServeError> {
    let options = StoreOptions { limit_bytes: config.store_limit, ..StoreOptions::default() };
    let path = config.store.clone();
    let open = move || {
        access::drop_open_key(&path);
        RocksStore::open_with(&path, &options)
    };
    let opened = blocking.run(open).await;
    opened.map_err(|source| store_error(config, source))
}

async fn load_tls(
    config: &Config,
    blocking: &BlockingPool,
) -> Result<Option<Arc<Tls>>, ServeError> {
    let Some(files) = config.tls.clone() else { return Ok(None) };
    Ok(Some(Arc::new(blocking.run(move || Tls::load(files)).await?)))
}

/// A store without a socket is served all the same.
fn bind_control(config: &Config) -> Option<Control> {
    let bound = Control::bind(&config.store);
    let unasked = |error| tracing::warn!(%error, "`wharfd store` cannot reach this server");
    bound.map_err(unasked).ok()
}

async fn listen(listen: &Listen, option: &'static str) -> Result<Listeners, ServeError> {
    let bound = Listeners::bind(listen).await;
    bound.map_err(|(address, source)| ServeError::Listen { address, option, source })
}

async fn expire(app: Arc<App>) {
    loop {
        tokio::time::sleep(EXPIRY_PERIOD).await;
        let displaced = app.uploads.expire(tokio::time::Instant::now(), now_ms()).await;
        for _ in 0..displaced {
            app.admission.counts.refuse(Limit::DisplacedUploads);
        }
        if displaced > 0 {
            tracing::warn!(
                displaced,
                "idle uploads were given up: they had more than their part of the store"
            );
        }
    }
}
