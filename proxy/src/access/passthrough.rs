//! Access decided by the upstream itself: the proxy sends the caller's credentials upstream, for
//! exactly the permission a request needs. `client/rights.rs` asks the upstream, and this module
//! caches its answers. Whether the upstream knows the login at all is asked first
//! (`unproven_logins.rs`).
//!
//! Invariants: a cached answer applies to its own login alone, for a bounded time. An upstream that
//! cannot answer admits no caller. A caller has a name only while the upstream knows its login.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use serde::Deserialize;
use tokio::time::Instant;
use wharf_client::caller_login::Fingerprints;
use wharf_client::{ProbedRight, RequestedRight, ScopeAction as Right};
use wharf_oci::{Algorithm, Digester};

use super::login_throttle::LoginThrottle;
use super::permission_cache::{PermissionCache, PermissionKey};
use super::unproven_logins::UnprovenLogins;
use super::{Action, Caller, Permission, RegistryScope};
use crate::Error;
use crate::bound::{Bound, BoundUsage};
use crate::limits::{FLIGHTS_MAX, RETRY_AFTER_SECONDS, USER_BYTES_MAX};
use crate::registries::{Target, UpstreamSet};
use crate::runtime::single_flight::SingleFlight;
use crate::upstream::Upstream;

/// The user name that stands for "the password is a token", as `az acr login` has it.
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";
/// Number of hash characters that tell apart two names written the same.
const NAME_MARK_CHARS: usize = 12;
/// Asks upstreams for the permissions of callers.
pub(super) struct Passthrough {
    upstreams: Arc<UpstreamSet>,
    fingerprints: Fingerprints,
    strangers: Arc<UnprovenLogins>,
    permits: Arc<PermissionCache>,
    /// One upstream question for all requests of one caller with the same need.
    asking: SingleFlight<PermissionKey, ProbedRight>,
}

impl Passthrough {
    /// Takes over the known logins of a predecessor for the same registry.
    pub(super) fn new(
        upstreams: Arc<UpstreamSet>,
        registry: &str,
        failures: Arc<LoginThrottle>,
        before: Option<&Self>,
    ) -> Self {
        let strangers = before.map(|before| &before.strangers);
        let strangers = strangers.filter(|strangers| strangers.are_of(registry)).cloned();
        let strangers =
            strangers.unwrap_or_else(|| Arc::new(UnprovenLogins::new(registry, failures)));
        let fingerprints = before.map(|before| before.fingerprints.clone());
        Self {
            upstreams,
            fingerprints: fingerprints.unwrap_or_else(Fingerprints::random),
            strangers,
            permits: Arc::default(),
            asking: SingleFlight::new(FLIGHTS_MAX, Bound::AccessQuestions),
        }
    }

    /// The counters of failed logins.
    pub(super) fn failures(&self) -> &Arc<LoginThrottle> {
        self.strangers.failures()
    }

    /// What is asked at this moment.
    pub(super) fn state(&self) -> [BoundUsage; 2] {
        let asking = BoundUsage::new(Bound::AccessQuestions, self.asking.count(), FLIGHTS_MAX);
        [asking, self.strangers.state()]
    }

    /// Reads the credentials. The first permission check then verifies them.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<Caller, Error> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Err(login_needed());
        }
        let (user, password) = basic(headers).ok_or(Error::LoginRefused)?;
        let login = Arc::new(self.fingerprints.login(&user, &password));
        let caller = Caller::with_login(&name_of(&user, &password), Arc::clone(&login)).at(client);
        let mark = self.strangers.mark(&caller);
        login.set_known(mark.is_some_and(|mark| self.strangers.know(&mark)));
        Ok(caller)
    }

    /// Whether the upstream allows this caller this permission.
    pub(super) async fn authorize(&self, caller: &Caller, need: &Permission) -> Result<(), Error> {
        let Target::Upstream(upstream_repo) = self.upstreams.target(&need.repo)? else {
            return Err(Error::NameUnserved(need.repo.clone()));
        };
        let right = match need.action {
            Action::Pull => Right::Pull,
            Action::Push => Right::Push,
            Action::Delete => Right::Delete,
            Action::Admin => return Err(Error::Denied),
        };
        match self
            .permit(
                &upstream_repo.upstream,
                caller,
                RequestedRight::Repo(upstream_repo.repo, right),
            )
            .await?
        {
            ProbedRight::Granted => Ok(()),
            ProbedRight::Denied => Err(Error::Denied),
            ProbedRight::Absent => Err(Error::NameUnknown(need.repo.clone())),
            ProbedRight::Stranger => Err(Error::LoginRefused),
        }
    }

    /// Whether this caller may use the registry, or list repositories: at every upstream, because
    /// one list has the repositories of all.
    pub(super) async fn admit(&self, caller: &Caller, door: RegistryScope) -> Result<(), Error> {
        let wish = match door {
            RegistryScope::Base => RequestedRight::Login,
            RegistryScope::Catalog => RequestedRight::Catalog,
        };
        for upstream in self.upstreams.all() {
            match self.permit(&upstream, caller, wish.clone()).await? {
                ProbedRight::Granted => {}
                ProbedRight::Stranger => return Err(Error::LoginRefused),
                ProbedRight::Denied | ProbedRight::Absent => return Err(Error::Denied),
            }
        }
        Ok(())
    }

    /// The upstream's answer, asked for or cached. From here on the caller has its name, or loses
    /// it.
    async fn permit(
        &self,
        upstream: &Arc<Upstream>,
        caller: &Caller,
        wish: RequestedRight,
    ) -> Result<ProbedRight, Error> {
        let login = caller.login().ok_or_else(login_needed)?;
        let mark = self.strangers.mark(caller).ok_or_else(login_needed)?;
        let (caller_fingerprint, at) = (login.fingerprint(), upstream.identity());
        if !login.is_known() {
            let began = Instant::now();
            let said = self.strangers.ask(upstream, caller, mark).await.map_err(undecided)?;
            login.set_known(said.is_some());
            let Some(life) = said else { return Ok(ProbedRight::Stranger) };
            if !life.is_zero() {
                let question =
                    PermissionKey { caller_fingerprint, upstream: at, wish: RequestedRight::Login };
                self.permits.insert(question, ProbedRight::Granted, began, life);
            }
        }
        let permit = self
            .ask(upstream, caller, PermissionKey { caller_fingerprint, upstream: at, wish })
            .await?;
        match permit {
            ProbedRight::Granted | ProbedRight::Denied => self.strangers.learn(mark, true),
            ProbedRight::Stranger => {
                self.strangers.learn(mark, false);
                login.set_known(false);
            }
            ProbedRight::Absent => {}
        }
        Ok(permit)
    }

    /// The upstream's decision about a login it knows.
    async fn ask(
        &self,
        upstream: &Arc<Upstream>,
        caller: &Caller,
        question: PermissionKey,
    ) -> Result<ProbedRight, Error> {
        if let Some(known) = self.permits.get(&question) {
            return Ok(known);
        }
        let (permits, upstreams) = (Arc::clone(&self.permits), Arc::clone(&self.upstreams));
        let (upstream, caller, asked) = (Arc::clone(upstream), caller.clone(), question.clone());
        let party = caller.party();
        let answer = self.asking.ask(&party, question, |promise| async move {
            // Another request may have cached the answer since the first look-up.
            if let Some(known) = permits.get(&asked) {
                return promise.keep(Ok(known));
            }
            let Some(login) = caller.login() else { return };
            let began = Instant::now();
            let answer = upstreams.caller_client(&upstream, login).client.permit(&asked.wish).await;
            let answer = answer.map_err(Error::from);
            match &answer {
                Ok((permit, life)) => permits.insert(asked, *permit, began, *life),
                Err(error) => {
                    let upstream = upstream.address();
                    tracing::warn!(upstream, %error, "who may do what cannot be asked");
                }
            }
            promise.keep(answer.map(|(permit, _)| permit));
        });
        answer.await.map(|(permit, _)| permit).map_err(undecided)
    }
}

/// An undecided permission admits no caller. An upstream that answers `Retry-After` names the
/// waiting time.
fn undecided(error: Error) -> Error {
    let retry_after_seconds = match &error {
        Error::UpstreamDown { retry_after_seconds } => *retry_after_seconds,
        Error::UpstreamBusy { .. } | Error::TooMany(_) | Error::TooManyLogins { .. } => {
            return error;
        }
        _ => RETRY_AFTER_SECONDS,
    };
    Error::AccessUndecided { retry_after_seconds }
}

/// Clients must send user and password: no token of this proxy could state the upstream's decision.
fn login_needed() -> Error {
    Error::LoginNeeded { scope: String::new() }
}

/// The user and password of the only `Authorization` header, when both are valid in a header.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (shown.next()?, shown.next()) else { return None };
    let (scheme, pair) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    let is_named = (1..=USER_BYTES_MAX).contains(&user.len());
    let clean = !pair.chars().any(char::is_control);
    (is_named && clean && !password.is_empty()).then(|| (user.to_owned(), password.to_owned()))
}

/// The caller's name in logs and limits once the upstream knows its login. For a token it is the
/// token's subject: a forged token is refused together with its subject. The name never contains a
/// part of a secret. Two names that are equal after escaping differ in their suffix.
fn name_of(user: &str, password: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-._@+/:".contains(c);
    let safe = |text: &str| -> String {
        let safe: String = text.chars().map(|c| if is_safe(c) { c } else { '?' }).collect();
        if safe == text {
            return safe;
        }
        let digest = Digester::digest(Algorithm::Sha256, text.as_bytes()).hex();
        format!("{safe}~{}", digest.get(..NAME_MARK_CHARS).unwrap_or_default())
    };
    if user != TOKEN_USER {
        return safe(user);
    }
    let subject = subject(password).filter(|subject| subject.len() <= USER_BYTES_MAX);
    subject.map_or_else(|| user.to_owned(), |subject| format!("token:{}", safe(&subject)))
}

fn subject(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Some(claims.sub).filter(|subject| !subject.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn shown(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn user_and_password_are_read_from_one_basic_header() {
        let read = |values: &[&str]| basic(&headers(values));
        let pair = Some(("alice".to_owned(), "a:b".to_owned()));
        assert_eq!(read(&[&shown("alice:a:b")]), pair);
        assert_eq!(read(&[&shown("alice:a:b").replace("Basic", "bAsIc")]), pair);
        let long = "u".repeat(USER_BYTES_MAX + 1);
        let refused = ["alice", ":b", "alice:", "al\nice:b", "alice:b\0", &format!("{long}:b")];
        for text in refused {
            assert_eq!(read(&[&shown(text)]), None, "{text:?}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Bearer abc"]), None);
        assert_eq!(read(&["Basic %%%"]), None);
        assert_eq!(read(&[&shown("alice:a:b"), &shown("bob:c")]), None);
    }

    #[test]
    fn a_caller_is_called_by_the_user_or_by_the_subject_of_the_token() {
        assert_eq!(name_of("alice@contoso", "secret"), "alice@contoso");
        let odd = name_of("al ice\u{202e}\"", "secret");
        assert!(odd.starts_with("al?ice??~") && odd.is_ascii(), "{odd}");
        let names = ["é", "ü", "?"].map(|user| name_of(user, "secret"));
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
        let token = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(name_of(TOKEN_USER, &token(r#"{"sub":"4f-1"}"#)), "token:4f-1");
        for password in ["opaque", &token("{}"), &token(r#"{"sub":""}"#)] {
            assert_eq!(name_of(TOKEN_USER, password), TOKEN_USER);
        }
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn passthrough(registry: &str, before: Option<&Passthrough>) -> Passthrough {
        let config = registry.parse().unwrap();
        let upstreams = UpstreamSet::new(&[config], &[], None).unwrap();
        let failures = before.map(|before| Arc::clone(before.failures()));
        let failures = failures.unwrap_or_else(|| Arc::new(LoginThrottle::new().unwrap()));
        Passthrough::new(upstreams, registry, failures, before)
    }

    #[tokio::test]
    async fn nobody_is_let_in_while_the_upstream_cannot_be_asked() {
        let passthrough = passthrough("http://127.0.0.1:1", None);
        let shown = headers(&[&shown("alice:secret")]);
        let caller = passthrough.authenticate(&shown, CLIENT).unwrap();
        let need = Permission::of_one("a/b".parse().unwrap(), Action::Pull);
        for _ in 0..2 {
            let refused = passthrough.authorize(&caller, &need).await.unwrap_err();
            assert!(matches!(refused, Error::AccessUndecided { .. }), "{refused}");
            for door in [RegistryScope::Base, RegistryScope::Catalog] {
                assert!(passthrough.admit(&caller, door).await.is_err());
            }
        }
        assert!(!format!("{caller:?}").contains("secret"));
        assert_eq!(caller.somebody(), None);
    }

    #[tokio::test]
    async fn who_is_known_to_a_registry_is_so_from_there_and_over_reloads_and_to_no_other() {
        let before = passthrough("http://127.0.0.1:1", None);
        let shown = headers(&[&shown("alice:secret")]);
        let name = |passthrough: &Passthrough, client: IpAddr| {
            passthrough.authenticate(&shown, client).unwrap().name().to_owned()
        };
        assert_eq!(name(&before, CLIENT), "-");
        let caller = before.authenticate(&shown, CLIENT).unwrap();
        before.strangers.learn(before.strangers.mark(&caller).unwrap(), true);
        assert_eq!(name(&before, CLIENT), "alice");
        assert_eq!(name(&before, [192, 0, 2, 2].into()), "-");
        let after = passthrough("http://127.0.0.1:1", Some(&before));
        assert_eq!(name(&after, CLIENT), "alice");
        let other = passthrough("http://127.0.0.1:2", Some(&after));
        assert_eq!(name(&other, CLIENT), "-");
        let mark = other.strangers.mark(&caller).unwrap();
        assert_eq!(mark, before.strangers.mark(&caller).unwrap(), "its counters go on");
    }
}
