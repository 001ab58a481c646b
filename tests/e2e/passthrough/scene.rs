//! The stage of the tests of `passthrough`: the double with callers of different rights, and
//! `wharfd` before it, without a login of its own.

use wharf_double::{Account, AcrDouble, DoubleConfig, Entry, Kind};
use wharf_testkit::http::Client;
use wharf_testkit::registry::Registry;

use crate::fixture::{Api, Wharfd};

/// May do everything, in `SHOP` only.
pub(super) const ALICE: (&str, &str) = ("alice", "planted-password-of-alice");
/// May read, in `BANK` only.
pub(super) const BOB: (&str, &str) = ("bob", "planted-password-of-bob");
/// May read everything.
pub(super) const CAROL: (&str, &str) = ("carol", "planted-password-of-carol");
/// May do everything.
pub(super) const ADMIN: (&str, &str) = ("admin", "planted-password-of-admin");

pub(super) const SHOP: &str = "acme/shop";
pub(super) const BANK: &str = "acme/bank";

pub(super) struct Scene {
    pub(super) wharfd: Wharfd,
    pub(super) double: AcrDouble,
    /// The registry behind, past the double.
    pub(super) origin: Api,
    /// Kept for its end.
    _registry: Registry,
}

impl Scene {
    /// `None` without `docker-registry`; `Registry::start` has reported it.
    pub(super) async fn set() -> Option<Self> {
        Self::set_with(|_| {}, "").await
    }

    /// With these lines in the upstream's part of wharfd's configuration.
    pub(super) async fn set_with(
        change: impl FnOnce(&mut DoubleConfig),
        upstream: &str,
    ) -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let mut config = DoubleConfig::new(registry.url());
        config.accounts = vec![
            Account::admin(ALICE.0, ALICE.1).only([SHOP]),
            Account::reader(BOB.0, BOB.1).only([BANK]),
            Account::reader(CAROL.0, CAROL.1),
            Account::admin(ADMIN.0, ADMIN.1),
        ];
        change(&mut config);
        let double = AcrDouble::start(config).await.unwrap();
        let wharfd = Wharfd::logging("trace", &lines(&double.url(), upstream)).await;
        let origin = Api::new(registry.url(), Client::new());
        Some(Self { wharfd, double, origin, _registry: registry })
    }

    /// A caller's client through `wharfd`.
    pub(super) fn by(&self, (user, password): (&str, &str)) -> Api {
        self.wharfd.api.with_password(user, password)
    }

    /// The registry's requests since the start of the counts, without those for tokens.
    pub(super) fn came(&self) -> Vec<Entry> {
        let logins = [Kind::Version, Kind::Token, Kind::Exchange];
        let journal = self.double.journal().into_iter();
        journal.filter(|entry| !logins.contains(&entry.kind)).collect()
    }

    /// Every request to the registry had this login, and there was at least one.
    pub(super) fn assert_only(&self, (user, _): (&str, &str)) {
        let came = self.came();
        let at_storage = [Kind::StorageGet, Kind::StorageHead];
        let named = came.iter().filter(|entry| !at_storage.contains(&entry.kind));
        let named: Vec<_> = named.filter(|entry| entry.status < 400).collect();
        assert!(!named.is_empty(), "nothing came");
        for entry in named {
            assert_eq!(entry.caller.as_deref(), Some(user), "{entry:?}");
        }
    }
}

/// A configuration with access decided by the upstream.
pub(super) fn lines(url: &str, upstream: &str) -> String {
    format!("[access]\nkind = \"passthrough\"\n[[upstream]]\nurl = \"{url}\"\n{upstream}")
}
