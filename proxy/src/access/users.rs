//! Access by users and rules: from the credentials of a request to its caller and the caller's
//! permissions.
//!
//! Invariant: the rules are checked with every request, also when a token holds a grant; a refusal
//! reveals nothing about existing content.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use wharf_client::runtime::party::Party;
use wharf_oci::{RepoName, Secret, Timestamp};

use super::TokenRequest;
use super::api_tokens;
use super::api_tokens::ApiTokens;
use super::cache_key::CacheKey;
use super::caller::{Caller, CallerKind};
use super::check_queue::CheckQueue;
use super::credentials::Credentials;
use super::login_cache::LoginCache;
use super::login_throttle::{LoginThrottle, TriedLogin};
use super::oidc;
use super::oidc::{Identity, Issuer};
use super::passwords::Passwords;
use super::permission::{Action, Permission, RegistryScope};
use super::rules::AccessRules;
use super::token_service::{AuthMethod, TokenResponse, TokenService};
use crate::Error;
use crate::access::options::UsersConfig;
use crate::bound::{Bound, BoundUsage};
use crate::limits::{PASSWORD_CHECKS_MAX, PASSWORD_CHECKS_WAITING_MAX};
use crate::runtime::blocking::BlockingPool;
use crate::runtime::clock;
use crate::runtime::single_flight::SingleFlight;

/// Users, issuers and rules.
pub(super) struct Users {
    rules: AccessRules,
    passwords: Arc<Passwords>,
    tokens: ApiTokens,
    issuers: Vec<Arc<Issuer>>,
    issuing: TokenService,
    pub(super) public_url: Option<String>,
    verified: LoginCache,
    failures: Arc<LoginThrottle>,
    /// Password checks in progress, by their cache key.
    checks: SingleFlight<CacheKey, bool>,
    places: CheckQueue,
    blocking: BlockingPool,
}

/// One check of a password.
struct Check {
    login: TriedLogin,
    password: Secret,
    party: Party,
    passwords: Arc<Passwords>,
    failures: Arc<LoginThrottle>,
    places: CheckQueue,
    blocking: BlockingPool,
}

impl Check {
    /// Whether it is the user's password: checked on the blocking pool, with a permit of the queue,
    /// unless too many logins failed.
    async fn run(self) -> Result<bool, Error> {
        let Self { login, password, party, passwords, failures, places, blocking } = self;
        let held_back = |_: &Error| audit_held_back(&failures, "password", login.client);
        let attempt = failures.begin(&login).await.inspect_err(held_back)?;
        let (chance, user) = (failures.chance(&login.name), login.name.clone());
        let place = places.enter(&party).await;
        let fits = blocking.run(move || passwords.check(&user, password.expose(), chance)).await;
        drop(place);
        if fits {
            attempt.succeeded();
            audit(&login.name, "password", login.client, "accepted");
        } else {
            attempt.failed();
            audit_refused("password", login.client, "refused");
        }
        Ok(fits)
    }
}

/// A caller, and for how long the proof holds.
struct Proven {
    caller: Caller,
    at_most: Option<Duration>,
}

impl Proven {
    /// `until` is in seconds since 1970.
    fn new(caller: Caller, until: Option<u64>) -> Self {
        let left =
            |until: u64| Duration::from_secs(until.saturating_sub(clock::now().unix_seconds()));
        Self { caller, at_most: until.map(left) }
    }
}

impl Users {
    /// Takes over the issuers' keys of the predecessor.
    pub(super) fn new(
        config: &UsersConfig,
        key: &[u8],
        failures: Arc<LoginThrottle>,
        before: Option<&Self>,
    ) -> Result<Self, crate::ConfigError> {
        let known = before.map_or(&[][..], |before| &before.issuers);
        let issuer = |config| {
            let known = known.iter().find(|issuer| issuer.is_of(config));
            known.map_or_else(|| Issuer::new(config).map(Arc::new), |known| Ok(Arc::clone(known)))
        };
        let issuers = config.issuers.iter().map(issuer).collect::<Result<_, _>>()?;
        Ok(Self {
            rules: config.rules.clone(),
            passwords: Arc::clone(&config.passwords),
            tokens: config.tokens.clone(),
            issuers,
            issuing: TokenService::new(key, config.token_lifetime.as_secs()),
            public_url: config.public_url.clone(),
            verified: LoginCache::default(),
            failures,
            checks: SingleFlight::new(PASSWORD_CHECKS_WAITING_MAX, Bound::PasswordChecks)
                .keeping_a_share_for_known(),
            // One party may use all permits: each check is short, and another party comes next.
            places: CheckQueue::new(PASSWORD_CHECKS_MAX, PASSWORD_CHECKS_MAX),
            blocking: BlockingPool::default(),
        })
    }

    /// Logins that are being tried.
    pub(super) fn state(&self) -> BoundUsage {
        let used = self.checks.count();
        BoundUsage::new(Bound::PasswordChecks, used, PASSWORD_CHECKS_WAITING_MAX)
    }

    /// The counters of failed logins.
    pub(super) const fn failures(&self) -> &Arc<LoginThrottle> {
        &self.failures
    }

    /// The caller of a request.
    pub(super) async fn authenticate(
        &self,
        shown: &Credentials,
        client: IpAddr,
    ) -> Result<Caller, Error> {
        match shown {
            Credentials::Nothing => Ok(Caller::anonymous()),
            Credentials::Basic(user, password) => self.basic(user, password, client).await,
            Credentials::Bearer(token) => self.bearer(token.expose(), client).await,
        }
    }

    /// A user with a password, or with a token in its place.
    async fn basic(&self, user: &str, password: &Secret, client: IpAddr) -> Result<Caller, Error> {
        let words: [&[u8]; 3] = [b"basic", user.as_bytes(), password.expose().as_bytes()];
        let mark = self.failures.marks.from(client, &words);
        if let Some(caller) = self.verified.get(&mark) {
            return Ok(caller);
        }
        let Proven { caller, at_most } = match self.by_token(user, password.expose()).await {
            Some(proven) => {
                audit(proven.caller.name(), proven.caller.kind().as_str(), client, "accepted");
                proven
            }
            None => Proven::new(self.by_password(user, password, client, mark).await?, None),
        };
        self.verified.insert(mark, &caller, at_most);
        Ok(caller)
    }

    /// The owner of a token in the place of a password. Tokens cannot be guessed, so failures are
    /// not counted.
    async fn by_token(&self, user: &str, secret: &str) -> Option<Proven> {
        if api_tokens::is_token(secret) {
            let token =
                self.tokens.find(secret, clock::now()).filter(|token| token.name == user)?;
            let caller = Caller::proven(&token.name, CallerKind::Token);
            return Some(Proven::new(caller, token.expires.map(Timestamp::unix_seconds)));
        }
        if !oidc::is_token(secret) {
            return None;
        }
        let Identity { caller, expires } = oidc::vouched(&self.issuers, secret).await?;
        Some(Proven::new(caller, Some(expires)))
    }

    /// A user with a password. Requests with the same credentials at the same time wait for one
    /// check: they are one login, and one failure.
    async fn by_password(
        &self,
        user: &str,
        password: &Secret,
        client: IpAddr,
        mark: CacheKey,
    ) -> Result<Caller, Error> {
        let login = TriedLogin { name: user.to_owned(), client, mark };
        let held_back = |_: &Error| audit_held_back(&self.failures, "password", client);
        self.failures.allow(&login).inspect_err(held_back)?;
        let party = self.failures.party(&login);
        let check = Check {
            login,
            password: password.clone(),
            party,
            passwords: Arc::clone(&self.passwords),
            failures: Arc::clone(&self.failures),
            places: self.places.clone(),
            blocking: self.blocking.clone(),
        };
        let party = check.party.clone();
        let checked =
            self.checks.ask(&party, mark, |promise| async move { promise.keep(check.run().await) });
        match checked.await? {
            (true, _) => Ok(Caller::proven(user, CallerKind::Password)),
            (false, _) => Err(Error::LoginRefused),
        }
    }

    async fn bearer(&self, token: &str, client: IpAddr) -> Result<Caller, Error> {
        let mark = self.failures.marks.of(&[b"bearer".as_slice(), token.as_bytes()]);
        if let Some(caller) = self.verified.get(&mark) {
            return Ok(caller);
        }
        let Some(Proven { caller, at_most }) = self.read(token).await else {
            tracing::debug!(%client, "a bearer token was refused");
            return Err(Error::LoginRefused);
        };
        if caller.kind() != CallerKind::Issued {
            audit(caller.name(), caller.kind().as_str(), client, "accepted");
        }
        self.verified.insert(mark, &caller, at_most);
        Ok(caller)
    }

    async fn read(&self, token: &str) -> Option<Proven> {
        if api_tokens::is_token(token) {
            let found = self.tokens.find(token, clock::now())?;
            let caller = Caller::proven(&found.name, CallerKind::Token);
            return Some(Proven::new(caller, found.expires.map(Timestamp::unix_seconds)));
        }
        if let Some(claims) = self.issuing.read(token) {
            let still = claims.name().is_none_or(|name| self.knows(name, claims.by));
            return still.then(|| Proven::new(claims.caller(), Some(claims.expires())));
        }
        let Identity { caller, expires } = oidc::vouched(&self.issuers, token).await?;
        Some(Proven::new(caller, Some(expires)))
    }

    /// Whether a name that once logged in this way still could.
    fn knows(&self, name: &str, by: AuthMethod) -> bool {
        match by {
            AuthMethod::Nothing => false,
            AuthMethod::Password => self.passwords.knows(name),
            AuthMethod::Token => self.tokens.knows(name, clock::now()),
            AuthMethod::Issuer => self.issuers.iter().any(|issuer| issuer.knows(name)),
        }
    }

    /// A token for the requested scopes, as far as the rules allow them.
    pub(super) async fn give(
        &self,
        request: TokenRequest,
        client: IpAddr,
    ) -> Result<(Caller, TokenResponse), Error> {
        let TokenRequest { shown, refresh, grants, wants_refresh } = request;
        // A refresh token does not buy another one: it would live for ever.
        let wants_refresh = wants_refresh && refresh.is_none();
        let caller = match refresh {
            Some(refresh) => self.refreshed(&refresh, client)?,
            None => self.authenticate(&shown, client).await?,
        };
        match caller.kind() {
            // A token does not buy another one: it would live for ever.
            CallerKind::Issued => return Err(Error::LoginRefused),
            CallerKind::Anonymous if !self.rules.know_anonymous() => {
                return Err(Error::LoginNeeded { scope: String::new() });
            }
            _ => {}
        }
        let allowed = grants.within(|repo| self.rules.actions(&caller, repo));
        let line = Some(caller.name()).filter(|_| wants_refresh);
        let line = line.filter(|_| caller.kind() == CallerKind::Password);
        let line = line.and_then(|name| self.passwords.line(name));
        let given = self.issuing.give(&caller, &allowed, line.as_deref());
        let given = given.map_err(|error| Error::NoRandomness(error.to_string()))?;
        if let Some(caller) = caller.somebody() {
            let scope = given.scope.as_str();
            tracing::info!(target: "audit", audit = "token", caller, %client, scope, "a token was given");
        }
        Ok((caller, given))
    }

    fn refreshed(&self, token: &str, client: IpAddr) -> Result<Caller, Error> {
        let name = self.issuing.read_refresh(token, |name| self.passwords.line(name));
        let Some(name) = name else {
            // Refresh tokens cannot be guessed, so failures are neither counted nor logged one by
            // one.
            if self.failures.tells_of(client, "refresh") {
                audit_refused("refresh", client, "refused");
            }
            return Err(Error::LoginRefused);
        };
        audit(&name, "refresh", client, "accepted");
        Ok(Caller::proven(&name, CallerKind::Password))
    }

    /// Whether the caller may use the registry at all.
    pub(super) fn admit(caller: &Caller, door: RegistryScope) -> Result<(), Error> {
        let scope = door.scope().to_owned();
        match (caller.grants(), caller.kind()) {
            (None, CallerKind::Anonymous) => Err(Error::LoginNeeded { scope }),
            (Some(grants), _) if door == RegistryScope::Catalog && !grants.has_catalog() => {
                Err(Error::ScopeNeeded { scope })
            }
            _ => Ok(()),
        }
    }

    /// Whether the caller has this permission.
    pub(super) fn authorize(&self, caller: &Caller, need: &Permission) -> Result<(), Error> {
        let Permission { repo, action, source } = need;
        let granted =
            |repo: &RepoName, action| caller.grants().is_none_or(|grants| grants.has(repo, action));
        if granted(repo, *action) && self.rules.allow(caller, repo, *action) {
            // A token for the target alone would turn every mount into an upload; the challenge
            // names a source only if the caller can get a token for it.
            let wants_more = source.as_ref().is_some_and(|source| {
                !granted(source, Action::Pull) && self.rules.allow(caller, source, Action::Pull)
            });
            return if wants_more {
                Err(Error::ScopeNeeded { scope: need.scope() })
            } else {
                Ok(())
            };
        }
        Err(match caller.kind() {
            CallerKind::Anonymous => Error::LoginNeeded { scope: need.scope() },
            CallerKind::Issued => Error::ScopeNeeded { scope: need.scope() },
            CallerKind::Password
            | CallerKind::Token
            | CallerKind::Issuer
            | CallerKind::Passthrough => Error::Denied,
        })
    }

    /// Whether the caller's catalog lists a repository.
    pub(super) fn lists(&self, caller: &Caller, repo: &RepoName) -> bool {
        self.rules.allow(caller, repo, Action::Pull)
    }

    /// Whether the caller may continue uploads begun by others.
    pub(super) fn administers(&self, caller: &Caller, repo: &RepoName) -> bool {
        self.rules.allow(caller, repo, Action::Admin)
    }
}

/// An audit line about a refused login. Its user is unknown: the typed name may be a secret, or the
/// name of another user.
fn audit_refused(by: &str, client: IpAddr, result: &str) {
    audit("unknown", by, client, result);
}

/// Writes an audit line about a delayed login, at most once a minute.
fn audit_held_back(failures: &LoginThrottle, by: &str, client: IpAddr) {
    if failures.tells_of(client, "held back") {
        audit_refused(by, client, "held back");
    }
}

/// A line for the audit log.
fn audit(caller: &str, by: &str, client: IpAddr, result: &str) {
    tracing::info!(target: "audit", audit = "login", caller, by, %client, result, "login");
}

#[cfg(test)]
mod tests;
