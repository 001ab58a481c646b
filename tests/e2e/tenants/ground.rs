//! Where cells take place: a registry behind the double, and before it a new `wharfd` for each cell.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tempfile::TempDir;
use wharf_double::{Account, AcrDouble, DoubleConfig, Referrers};
use wharf_testkit::http::Client;
use wharf_testkit::registry::Registry;

use super::content::{Cold, Content};
use super::line::Party;
use super::pools::Pool;
use crate::access::scene::{access_files, password};
use crate::fixture::{Api, How, Wharfd, upstream_lines};

/// The good party, and the hostile two.
pub(super) const GOOD: &str = "alice";
pub(super) const HOSTILE: [&str; 2] = ["bob", "root"];
/// The login of `wharfd` itself, where callers show none to the upstream.
const SERVICE: &str = "publisher";

/// The kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Open,
    Users,
    Passthrough,
}

/// The parties' version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Users => "users",
            Self::Passthrough => "passthrough",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

/// The parts shared by the cells of one test.
pub(super) struct Ground {
    pub(super) access: Access,
    pub(super) protocol: Protocol,
    double: Arc<AcrDouble>,
    registry: Registry,
    files: TempDir,
    cold: Arc<Cold>,
    cells: usize,
}

/// One cell before it begins.
pub(super) struct Scene {
    pub(super) wharfd: Wharfd,
    pub(super) double: Arc<AcrDouble>,
    pub(super) good: Party,
    pub(super) hostile: [Party; 2],
    pub(super) content: Content,
    pub(super) cold: Arc<Cold>,
    /// A number unique to this cell.
    pub(super) number: usize,
}

impl Ground {
    /// `None` without `docker-registry`; `Registry::start` has reported it.
    pub(super) async fn new(access: Access, protocol: Protocol) -> Option<Self> {
        allow_many_files();
        let registry = Registry::start().await.unwrap()?;
        let mut config = DoubleConfig::new(registry.url());
        // The same names and passwords as in the file of users.
        for name in [GOOD, HOSTILE[0], HOSTILE[1]] {
            config = config.account(Account::admin(name, password(name)));
        }
        config = config.account(Account::admin(SERVICE, crate::fixture::PASSWORD));
        config.habits.referrers = Referrers::Kept;
        config.habits.page_size = 1_000;
        let double = Arc::new(AcrDouble::start(config).await.unwrap());
        let cold = Cold::plant(&Api::new(registry.url(), Client::new())).await;
        let (files, cold) = (access_files(), Arc::new(cold));
        Some(Self { access, protocol, double, registry, files, cold, cells: 0 })
    }

    /// A new `wharfd` with the good party's content, and the pool's content at the upstream.
    pub(super) async fn set(&mut self, pool: Pool) -> Scene {
        self.cells += 1;
        let number = self.cells;
        let origin = Api::new(self.registry.url(), Client::new());
        let content = Content::plant(&origin, number).await;
        // As in production: a temporary failure is held before it is refused.
        let variables = vec![("WHARFD_HOLD", "45".to_owned())];
        let how = How { variables, ..How::default() };
        let wharfd = Wharfd::started(&self.lines(pool), how).await;
        let [good, first, second] = [(GOOD, 1), (HOSTILE[0], 2), (HOSTILE[1], 3)]
            .map(|(name, address)| self.party(&wharfd, name, address));
        let (double, cold) = (Arc::clone(&self.double), Arc::clone(&self.cold));
        let hostile = [first, second];
        let scene = Scene { wharfd, double, good, hostile, content, cold, number };
        pool.plant(&scene, &origin, &self.registry).await;
        scene
    }

    /// Takes the faults of a cell back.
    pub(super) fn clear(&self) {
        self.double.clear_faults();
        self.double.release();
        self.double.reset_counts();
    }

    fn party(&self, wharfd: &Wharfd, name: &str, address: u8) -> Party {
        let named = self.access != Access::Open;
        let together = named && self.protocol == Protocol::Http2;
        let last = if together { 1 } else { address };
        Party {
            name: name.to_owned(),
            source: IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)),
            login: named.then(|| (name.to_owned(), password(name))),
            host: wharfd.host(),
            protocol: self.protocol,
        }
    }

    fn lines(&self, pool: Pool) -> String {
        let url = self.double.url();
        let upstream = match self.access {
            Access::Passthrough => format!("[[upstream]]\nurl = \"{url}\"\n"),
            Access::Open | Access::Users => upstream_lines(&url, SERVICE),
        };
        let access = match self.access {
            Access::Open => String::new(),
            Access::Passthrough => "[access]\nkind = \"passthrough\"\n".to_owned(),
            Access::Users => format!(
                "[access]\nkind = \"users\"\nhtpasswd = \"{}\"\n[[access.rule]]\nwho = [\"*\"]\n\
                 repositories = [\"*\"]\nactions = [\"admin\"]\n",
                self.files.path().join("htpasswd").display()
            ),
        };
        let (before, after) = pool.lines();
        format!("{before}{access}{upstream}{after}")
    }
}

/// Two thousand connections are two thousand files, on this side too.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let has = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: has.maximum, maximum: has.maximum };
    setrlimit(Resource::Nofile, wanted).unwrap();
}
