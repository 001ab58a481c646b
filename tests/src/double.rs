//! The ACR double: a facade that gives any OCI registry the habits of Azure Container Registry.
//!
//! It keeps no content of its own. Two ports: the registry (`facade.rs`) and the storage that blob
//! requests are redirected to (`storage.rs`). A test sees what came (`counts.rs`) and orders what
//! goes wrong (`faults.rs`); another process does the same on `/_double/` (`control.rs`).

mod auth;
mod backing;
mod bodies;
mod config;
mod control;
mod counts;
mod facade;
mod faults;
mod listen;
mod oauth;
mod paging;
mod refusal;
mod route;
mod scope;
mod shared;
mod signing;
mod storage;
mod token;
mod uploads;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use self::auth::Account;
pub use self::config::{DoubleConfig, Habits};
pub use self::counts::{Counts, Credentials, Entry, Kind};
pub use self::faults::{Fault, FaultRule};

use self::backing::Backing;
use self::counts::Recorder;
use self::faults::Faults;
use self::oauth::Authority;
use self::shared::Shared;
use self::signing::Signer;
use self::storage::Links;
use self::token::Tokens;
use self::uploads::Uploads;

/// A running double. Dropping it closes both ports and every connection.
#[derive(Debug)]
pub struct AcrDouble {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl AcrDouble {
    /// Binds both ports and starts to serve. The backing registry is first asked when a request
    /// needs it.
    pub async fn start(config: DoubleConfig) -> anyhow::Result<Self> {
        let listener = bind(config.listen).await?;
        let storage_listener = bind(config.storage_listen).await?;
        let (addr, storage_addr) = (listener.local_addr()?, storage_listener.local_addr()?);
        let habits = config.habits;
        let tokens =
            Tokens::new(Signer::new()?, habits.access_token_life, habits.refresh_token_life);
        let shared = Arc::new(Shared {
            backing: Backing::new(&config.backing)?,
            authority: Authority::new(
                config.accounts,
                config.aad_token,
                config.anonymous_pull,
                tokens,
            ),
            links: Links::new(Signer::new()?, habits.link_life),
            uploads: Uploads::new(Signer::new()?),
            faults: Faults::default(),
            recorder: Arc::new(Recorder::default()),
            storage_addr,
            storage_public: config.storage_public,
            habits,
        });
        let mut tasks = JoinSet::new();
        let facade = Arc::clone(&shared);
        tasks.spawn(async move {
            let handler =
                move |request, connection| facade::handle(Arc::clone(&facade), request, connection);
            match listen::serve(listener, handler).await {}
        });
        let storage = Arc::clone(&shared);
        tasks.spawn(async move {
            let handler = move |request, connection| {
                storage::handle(Arc::clone(&storage), request, connection)
            };
            match listen::serve(storage_listener, handler).await {}
        });
        Ok(Self { addr, shared, tasks })
    }

    /// Where the registry listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the storage listens.
    pub fn storage_addr(&self) -> SocketAddr {
        self.shared.storage_addr
    }

    /// The registry's base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What has come so far.
    pub fn counts(&self) -> Counts {
        self.shared.recorder.counts()
    }

    /// The last requests, oldest first.
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.recorder.journal()
    }

    /// Forgets counts and journal.
    pub fn reset_counts(&self) {
        self.shared.recorder.reset();
    }

    /// Orders a fault. More than a few hundred waiting ones are a broken test.
    pub fn set_fault(&self, rule: FaultRule) {
        assert!(self.shared.faults.add(rule), "too many faults wait, or this one hits nothing");
    }

    /// Cancels the faults that still wait.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The faults that still wait.
    pub fn waiting_faults(&self) -> Vec<FaultRule> {
        self.shared.faults.waiting()
    }

    /// Every token handed out so far is expired.
    pub fn expire_tokens(&self) {
        self.shared.authority.tokens().expire_all();
    }

    /// Every link to the storage handed out so far is expired.
    pub fn expire_links(&self) {
        self.shared.links.expire_all();
    }

    /// Closes both ports and every connection, and waits until that is done.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))
}
