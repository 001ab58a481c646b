//! `wharfd`: a registry, and a registry proxy in front of Azure Container Registry.
//!
//! A pull crosses: `server` (connection, log line), `route` (URL to [`Route`]), `handlers`
//! (one match), `cache` (hit, join or fill), `bridge` (to the store and back). A miss goes on:
//! `cache/fill`, `upstream`, `upstream/wire` and `upstream/auth`.
//!
//! A push crosses: `server`, `route`, `handlers/uploads`, `uploads` (the session), `bridge` (hash
//! and store) and, at the same time, `uploads/through` and `upstream/push`.
//!
//! Imports point down that list. `error` and `limits` are leaves; `body`, `flights` and
//! `metrics` import little else.

mod body;
mod bridge;
mod cache;
mod config;
mod error;
mod flights;
mod handlers;
pub mod limits;
mod metrics;
mod response;
mod route;
mod server;
mod uploads;
mod upstream;
mod upstreams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use wharf_store::{RocksStore, StoreError};

use bridge::Bridge;
use cache::{Cache, Store};
use handlers::App;
use metrics::Metrics;
use server::Purpose;
use uploads::Uploads;
use upstreams::Upstreams;

pub use config::{Config, ConfigError, Overrides, UpstreamConfig};
pub use error::{Error, Fault, Shown};
pub use route::{Cursor, Route, UploadStart, parse as parse_route, render as render_route};
pub use upstream::challenge::{Challenge, parse as parse_challenge};

/// What this program calls itself towards upstreams.
const USER_AGENT: &str = concat!("wharfd/", env!("CARGO_PKG_VERSION"));

/// How often sessions are looked at for expiry.
const EXPIRY_PERIOD: Duration = Duration::from_mins(1);

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error("cannot open the store {}: {source}", path.display())]
    Store {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The address.
    #[error("cannot listen on {address}: {source}; choose another with {option}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The option that says it.
        option: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// A server whose ports are bound and whose store is open.
pub struct Server {
    app: Arc<App>,
    registry: TcpListener,
    admin: Option<TcpListener>,
    deadline: Duration,
}

impl Server {
    /// Binds, then opens the store: a port that is taken leaves the store untouched.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        let registry = listen(config.listen, "--listen").await?;
        let admin = match config.admin {
            Some(address) => Some(listen(address, "--admin").await?),
            None => None,
        };
        let upstreams = Arc::new(Upstreams::new(&config.upstreams)?);
        let bridge = Bridge::default();
        let path = config.store.clone();
        let opened = bridge.run(move || RocksStore::open(&path)).await;
        let store: Arc<dyn Store> = Arc::new(
            opened.map_err(|source| ServeError::Store { path: config.store.clone(), source })?,
        );
        let app = App {
            cache: Cache::new(bridge.clone(), Arc::clone(&store), upstreams),
            uploads: Uploads::new(bridge, store),
            metrics: Metrics::default(),
        };
        Ok(Self { app: Arc::new(app), registry, admin, deadline: config.shutdown_deadline })
    }

    /// Where clients connect: with port 0 in the configuration, the port that was found.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.registry.local_addr()
    }

    /// Where operators connect.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|admin| admin.local_addr().ok())
    }

    /// Serves until `stop` becomes true, then drains. The admin address answers to the last.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { app, registry, admin, deadline } = self;
        let (over, is_over) = watch::channel(false);
        let admin = admin.map(|admin| {
            let served = server::serve(admin, Purpose::Admin, Arc::clone(&app), is_over, deadline);
            tokio::spawn(served)
        });
        let expiry = tokio::spawn(expire(Arc::clone(&app)));
        server::serve(registry, Purpose::Registry, app, stop, deadline).await;
        expiry.abort();
        over.send_replace(true);
        if let Some(admin) = admin {
            let _ = admin.await;
        }
    }
}

async fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ServeError::Listen { address, option, source })
}

async fn expire(app: Arc<App>) {
    loop {
        tokio::time::sleep(EXPIRY_PERIOD).await;
        app.uploads.expire(tokio::time::Instant::now());
    }
}
