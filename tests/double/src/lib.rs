//! The ACR double: a facade that gives any OCI registry the habits of Azure Container Registry.
//!
//! It keeps no content of its own. Two ports: the registry (`facade.rs`) and the storage that blob
//! requests are redirected to (`storage.rs`); a third stands for a host that is neither
//! (`elsewhere.rs`). A test sees what came (`counts.rs`) and orders what goes wrong (`fault.rs`,
//! `faults.rs`); another process does the same on `/_double/` (`control.rs`).

mod astray;
mod auth;
mod backing;
mod bodies;
mod broken;
mod call;
mod config;
mod control;
mod counts;
mod elsewhere;
mod facade;
mod fault;
mod faults;
mod heads;
mod holds;
mod listen;
mod locks;
mod manifests;
mod metadata;
mod oauth;
mod paging;
mod quotas;
mod referrers;
mod refusal;
mod replicas;
mod route;
mod scope;
mod shared;
mod signing;
mod storage;
mod token;
mod uploads;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use self::auth::Account;
pub use self::config::{DoubleConfig, Habits, Redirects, Referrers};
pub use self::counts::{Counts, Credentials, Entry, Kind};
pub use self::fault::{Fault, Says};
pub use self::faults::FaultRule;
pub use self::quotas::{Quota, Quotas};
pub use self::replicas::Lag;

use self::backing::Backing;
use self::counts::Recorder;
use self::faults::Faults;
use self::holds::Holds;
use self::locks::Locks;
use self::oauth::Authority;
use self::quotas::Meters;
use self::referrers::Referring;
use self::replicas::Replicas;
use self::shared::Shared;
use self::signing::Signer;
use self::storage::Links;
use self::token::Tokens;
use self::uploads::Uploads;

/// A running double. Dropping it closes its ports and every connection.
#[derive(Debug)]
pub struct AcrDouble {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<Infallible>,
}

impl AcrDouble {
    /// Binds the ports and starts to serve. The backing registry is first asked when a request
    /// needs it.
    pub async fn start(config: DoubleConfig) -> anyhow::Result<Self> {
        let listener = bind(config.listen).await?;
        let storage_listener = bind(config.storage_listen).await?;
        let elsewhere_listener = bind(config.elsewhere_listen).await?;
        let (addr, storage_addr) = (listener.local_addr()?, storage_listener.local_addr()?);
        let elsewhere_addr = elsewhere_listener.local_addr()?;
        let habits = config.habits;
        let tokens =
            Tokens::new(Signer::new()?, habits.access_token_life, habits.refresh_token_life);
        let tokens = tokens.opaque(habits.opaque_tokens);
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
            holds: Holds::default(),
            locks: Locks::default(),
            meters: Meters::new(habits.quotas),
            replicas: Replicas::new(habits.replica_lag),
            referring: Referring::default(),
            recorder: Arc::new(Recorder::default()),
            storage_addr,
            elsewhere_addr,
            storage_public: config.storage_public,
            habits,
        });
        let mut tasks = JoinSet::new();
        let facade = Arc::clone(&shared);
        tasks.spawn(listen::serve(listener, move |request, connection| {
            facade::handle(Arc::clone(&facade), request, connection)
        }));
        let storage = Arc::clone(&shared);
        tasks.spawn(listen::serve(storage_listener, move |request, connection| {
            storage::handle(Arc::clone(&storage), request, connection)
        }));
        let elsewhere = Arc::clone(&shared);
        tasks.spawn(listen::serve(elsewhere_listener, move |request, _connection| {
            elsewhere::handle(Arc::clone(&elsewhere), request)
        }));
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

    /// Where the other host listens that [`Fault::RedirectElsewhere`] leads to.
    pub fn elsewhere_addr(&self) -> SocketAddr {
        self.shared.elsewhere_addr
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

    /// Faults by chance hit from here on what this seed says.
    pub fn seed_faults(&self, seed: u64) {
        self.shared.faults.seed(seed);
    }

    /// Cancels the faults that still wait.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// How many requests of this kind this very fault has hit, whatever came of it.
    pub fn struck(&self, kind: Kind, fault: Fault) -> u64 {
        self.shared.faults.struck(kind, fault)
    }

    /// How many requests any fault has hit.
    pub fn struck_in_all(&self) -> u64 {
        self.shared.faults.struck_in_all()
    }

    /// The faults that still wait.
    pub fn waiting_faults(&self) -> Vec<FaultRule> {
        self.shared.faults.waiting()
    }

    /// How many bodies and answers are held by [`Fault::Stall`] and [`Fault::Hang`].
    pub fn held(&self) -> usize {
        self.shared.holds.held()
    }

    /// Lets go all that is held.
    pub fn release(&self) {
        self.shared.holds.release();
    }

    /// How many uploads are open.
    pub fn open_uploads(&self) -> usize {
        self.shared.uploads.count()
    }

    /// Every token handed out so far is expired.
    pub fn expire_tokens(&self) {
        self.shared.authority.tokens().expire_all();
    }

    /// Lets somebody log in from now on, in place of an account of the same name. Tokens that were
    /// handed out before stay what they are.
    pub fn admit(&self, account: Account) {
        self.shared.authority.admit(account);
    }

    /// Lets nobody of this name log in any more.
    pub fn expel(&self, username: &str) {
        self.shared.authority.expel(username);
    }

    /// Every link to the storage handed out so far is expired.
    pub fn expire_links(&self) {
        self.shared.links.expire_all();
    }

    /// Every bucket of requests is full again.
    pub fn refill(&self) {
        self.shared.meters.refill();
    }

    /// The replica knows everything that was pushed.
    pub fn catch_up(&self) {
        self.shared.replicas.catch_up();
    }

    /// Closes the ports and every connection, and waits until that is done.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))
}
