//! The ACR double: a facade that gives any OCI registry the habits of Azure Container Registry.
//!
//! The double keeps no content of its own. It has two ports: the registry (`facade.rs`) and the
//! storage as the target of blob redirects (`storage.rs`). A third port stands for an unrelated
//! host (`elsewhere.rs`). A test reads the requests (`counts.rs`) and orders faults (`fault.rs`,
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
mod credentials;
mod elsewhere;
mod facade;
mod fault;
mod faults;
mod heads;
mod holds;
mod kind;
mod links;
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
mod upload_sessions;
mod uploads;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use self::config::{DoubleConfig, Habits, Redirects, Referrers};
pub use self::counts::{Counts, Entry};
pub use self::credentials::{Account, Credentials};
pub use self::fault::{Fault, Says};
pub use self::faults::FaultRule;
pub use self::kind::Kind;
pub use self::quotas::{Quota, Quotas};
pub use self::replicas::Lag;

use self::backing::Backing;
use self::counts::Recorder;
use self::faults::Faults;
use self::holds::Holds;
use self::links::Links;
use self::locks::Locks;
use self::oauth::Authority;
use self::quotas::Meters;
use self::referrers::Referring;
use self::replicas::Replicas;
use self::shared::Shared;
use self::signing::Signer;
use self::token::Tokens;
use self::upload_sessions::Uploads;

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

    /// The address of the other host, the target of [`Fault::RedirectElsewhere`].
    pub fn elsewhere_addr(&self) -> SocketAddr {
        self.shared.elsewhere_addr
    }

    /// The registry's base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The requests so far.
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

    /// From here on faults by chance follow this seed.
    pub fn seed_faults(&self, seed: u64) {
        self.shared.faults.seed(seed);
    }

    /// Cancels the waiting faults.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The number of requests of this kind hit by exactly this fault, with any outcome.
    pub fn struck(&self, kind: Kind, fault: Fault) -> u64 {
        self.shared.faults.struck(kind, fault)
    }

    /// How many requests any fault has hit.
    pub fn struck_in_all(&self) -> u64 {
        self.shared.faults.struck_in_all()
    }

    /// The waiting faults.
    pub fn waiting_faults(&self) -> Vec<FaultRule> {
        self.shared.faults.waiting()
    }

    /// How many bodies and answers are held by [`Fault::Stall`] and [`Fault::Hang`].
    pub fn held(&self) -> usize {
        self.shared.holds.held()
    }

    /// Releases every held response.
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

    /// Adds an account, in place of an account of the same name. Earlier tokens stay as they are.
    pub fn admit(&self, account: Account) {
        self.shared.authority.admit(account);
    }

    /// Removes the account of this name, so its logins fail.
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

    /// The replica knows everything pushed so far.
    pub fn catch_up(&self) {
        self.shared.replicas.catch_up();
    }

    /// Closes the ports and every connection, and waits for their end.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))
}
