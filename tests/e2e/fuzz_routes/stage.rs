//! The target of the fuzzing, the clients' knowledge of its content, and their findings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use wharf_double::{Account, AcrDouble, DoubleConfig, Referrers};
use wharf_testkit::registry::Registry;

use super::client::Seen;
use super::shots::Shot;
use crate::access::scene::{access_files, password};
use crate::fixture::{PASSWORD, Wharfd, assert_all_stored_is_right, upstream_lines};

const SERVICE: &str = "publisher";
pub(super) const USERS: [&str; 3] = ["alice", "bob", "root"];
/// The time of the upstream's absence. Requests to it may fail for as long again, because the
/// breaker stays open.
const AWAY: Duration = Duration::from_millis(400);
const GRACE: Duration = Duration::from_secs(12);
/// The most remembered digests and sessions.
const KNOWN_MAX: usize = 200;

const RULES: &str = r#"
[[access.rule]]
who = ["alice"]
repositories = ["team/*", "acme/*"]
actions = ["pull", "push"]
[[access.rule]]
who = ["bob"]
repositories = ["bob/*"]
actions = ["pull", "push", "delete"]
[[access.rule]]
who = ["anonymous"]
repositories = ["open/*"]
actions = ["pull"]
[[access.rule]]
who = ["root"]
repositories = ["*"]
actions = ["admin"]
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Open,
    Users,
    Passthrough,
}

/// The parts behind `wharfd`.
struct Behind {
    /// `None` while it is away.
    double: Option<AcrDouble>,
    config: DoubleConfig,
    registry: Registry,
}

/// A `wharfd` and its surroundings.
pub(super) struct Stage {
    pub(super) access: Access,
    wharfd: Wharfd,
    behind: Option<Behind>,
    reloads: u32,
    /// Kept for its end.
    _files: TempDir,
}

impl Stage {
    /// `None` without `docker-registry`; `Registry::start` has reported it.
    pub(super) async fn set(access: Access, upstream: bool) -> Option<Self> {
        let files = access_files();
        let mut lines = match access {
            Access::Open => String::new(),
            Access::Passthrough => "[access]\nkind = \"passthrough\"\n".to_owned(),
            Access::Users => {
                let passwords = files.path().join("htpasswd");
                let passwords = passwords.display();
                format!("[access]\nkind = \"users\"\nhtpasswd = \"{passwords}\"\n{RULES}")
            }
        };
        let behind = if upstream { Some(behind().await?) } else { None };
        if let Some(double) = behind.as_ref().and_then(|behind| behind.double.as_ref()) {
            match access {
                Access::Passthrough => {
                    let _ = write!(lines, "[[upstream]]\nurl = \"{}\"\n", double.url());
                }
                _ => lines.push_str(&upstream_lines(&double.url(), SERVICE)),
            }
        }
        lines.push_str("[limits]\nurl_bytes = \"8KiB\"\n");
        let wharfd = Wharfd::with_config(&lines).await;
        Some(Self { access, wharfd, behind, reloads: 0, _files: files })
    }

    pub(super) fn has_upstream(&self) -> bool {
        self.behind.is_some()
    }

    /// Changes the configuration and reloads it.
    pub(super) fn reload(&mut self) {
        self.reloads += 1;
        let (old, new) = if self.reloads.is_multiple_of(2) { (9, 8) } else { (8, 9) };
        let line = |size: u32| format!("url_bytes = \"{size}KiB\"");
        self.wharfd.rewrite(|text| text.replace(&line(old), &line(new)));
        self.wharfd.hang_up();
    }

    /// The upstream goes, and comes back at the same place with other keys.
    pub(super) async fn restart_upstream(&mut self, known: &Known) {
        let Some(behind) = &mut self.behind else { return };
        known.expect_failures();
        if let Some(double) = behind.double.take() {
            double.stop().await;
        }
        sleep(AWAY).await;
        behind.double = Some(AcrDouble::start(behind.config.clone()).await.unwrap());
        known.expect_failures();
    }

    /// The process lives, logged no internal error, and stored only right content.
    pub(super) async fn assert_well(mut self) {
        assert_eq!(self.wharfd.admin_get("/healthz").await.0, 200);
        let status = self.wharfd.stop().await;
        assert!(status.success(), "{status}");
        let log = self.wharfd.log();
        let wrong = |line: &&str| line.contains(" ERROR ") || line.contains("panicked");
        let wrong: Vec<_> = log.lines().filter(wrong).take(10).collect();
        assert!(wrong.is_empty(), "it logged:\n{}", wrong.join("\n"));
        let verified = self.wharfd.store_command("verify", &[]).await;
        assert_eq!(verified.code, 0, "{} {}", verified.stdout, verified.stderr);
        if let Some(behind) = self.behind {
            assert_all_stored_is_right(&behind.registry);
        }
    }
}

async fn behind() -> Option<Behind> {
    let registry = Registry::start().await.unwrap()?;
    let mut config = DoubleConfig::new(registry.url());
    config = config
        .account(Account::admin(USERS[0], password(USERS[0])).only(["team/app", "acme/web"]))
        .account(Account::admin(USERS[1], password(USERS[1])).only(["bob/app", "bob/x"]))
        .account(Account::admin(USERS[2], password(USERS[2])))
        .account(Account::admin(SERVICE, PASSWORD));
    config.habits.referrers = Referrers::Kept;
    let double = AcrDouble::start(config.clone()).await.unwrap();
    (config.listen, config.storage_listen) = (double.addr(), double.storage_addr());
    config.elsewhere_listen = double.elsewhere_addr();
    Some(Behind { double: Some(double), config, registry })
}

/// The state shared by the clients.
pub(super) struct Known {
    pub(super) access: Access,
    pub(super) host: String,
    pub(super) upstream: bool,
    /// Blobs for manifests, with their sizes; blobs outside of every manifest; manifests; sessions.
    pub(super) blobs: Few<(String, usize)>,
    pub(super) loose: Few<String>,
    pub(super) manifests: Few<(String, usize)>,
    pub(super) sessions: Few<String>,
    pub(super) tokens: Few<String>,
    findings: Mutex<Vec<String>>,
    statuses: Mutex<BTreeMap<String, usize>>,
    /// Until when the upstream's failures show.
    failing: Mutex<Instant>,
}

/// A bounded list of the latest items.
#[derive(Default)]
pub(super) struct Few<T>(Mutex<Vec<T>>);

impl<T: Clone> Few<T> {
    pub(super) fn add(&self, one: T) {
        let mut all = self.0.lock().unwrap();
        if all.len() >= KNOWN_MAX {
            all.remove(0);
        }
        all.push(one);
    }

    pub(super) fn any(&self, dice: &mut wharf_testkit::dice::Dice) -> Option<T> {
        let all = self.0.lock().unwrap();
        if all.is_empty() { None } else { Some(all[dice.index(all.len())].clone()) }
    }
}

impl Known {
    pub(super) fn new(stage: &Stage) -> Self {
        Self {
            access: stage.access,
            host: stage.wharfd.host(),
            upstream: stage.has_upstream(),
            blobs: Few::default(),
            loose: Few::default(),
            manifests: Few::default(),
            sessions: Few::default(),
            tokens: Few::default(),
            findings: Mutex::default(),
            statuses: Mutex::default(),
            failing: Mutex::new(Instant::now()),
        }
    }

    fn expect_failures(&self) {
        *self.failing.lock().unwrap() = Instant::now() + GRACE;
    }

    /// Judges the response to a request begun at this time.
    pub(super) fn judge(&self, shot: &Shot, began: Instant, seen: &Seen) {
        let word = seen.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *self.statuses.lock().unwrap().entry(word).or_default() += 1;
        let failing = began <= *self.failing.lock().unwrap();
        let what = match seen.status {
            _ if seen.hung => "no answer in time".to_owned(),
            Some(502..=504) if failing => return,
            // A response caused by the upstream is not our fault.
            Some(502) if self.upstream && seen.text().contains("the upstream answered 5") => return,
            Some(status @ 500..) => format!("{status} {}", seen.text()),
            _ => return,
        };
        self.findings.lock().unwrap().push(format!("{what}\n  to {shot}"));
    }

    pub(super) fn findings(&self) -> Vec<String> {
        self.findings.lock().unwrap().clone()
    }

    /// How often each status was answered.
    pub(super) fn counts(&self) -> String {
        let statuses = self.statuses.lock().unwrap();
        let all: usize = statuses.values().sum();
        format!("{all} requests: {statuses:?}")
    }
}
