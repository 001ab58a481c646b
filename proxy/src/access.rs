//! Who may do what. The caller of a request is established before anything else of the request is
//! read, and its permissions are checked before the repository is touched. The permission each
//! route needs is in `access/permission.rs`, and users are told apart in `access/users.rs`.
//!
//! Invariant: a refusal looks the same whether the content exists or not.

mod api_tokens;
mod cache_key;
mod caller;
mod challenge;
mod check_queue;
mod credentials;
mod grants;
mod key_file;
mod line_file;
mod login_cache;
mod login_throttle;
mod oidc;
pub(crate) mod options;
mod passthrough;
mod passwords;
mod permission;
mod permission_cache;
mod recent_logins;
mod rules;
mod signatures;
mod token_service;
mod unproven_logins;
mod users;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use wharf_oci::RepoName;

use crate::Error;
use crate::access::options::AccessConfig;
use crate::bound::BoundUsage;
use crate::registries::UpstreamSet;
use crate::settings::error::ConfigError;
use login_throttle::LoginThrottle;
use passthrough::Passthrough;
use users::Users;

pub(crate) use api_tokens::ApiTokens;
pub use api_tokens::new_token;
pub(crate) use caller::Caller;
pub(crate) use challenge::{RequestOrigin, TOKEN_PATH};
pub(crate) use credentials::Credentials;
pub(crate) use grants::{Actions, Grants};
pub(crate) use key_file::{drop_open_key, key_in, read_key};
pub(crate) use line_file::{LineError, read as read_file};
pub(crate) use passwords::Passwords;
pub use passwords::{HashKind, password_line};
pub(crate) use permission::{Action, Permission, RegistryScope};
pub(crate) use rules::{AccessRule, AccessRules, RuleSubject};
pub(crate) use token_service::TokenResponse;

/// Reads a presented `Authorization` header and a token request's scopes, one line each, then lines
/// of the password and token files. For the fuzz target and its corpus.
///
/// # Panics
/// When presented credentials read as none, or a parsed value does not round-trip.
#[doc(hidden)]
pub fn read_login_words(input: &str) {
    let (shown, rest) = input.split_once('\n').unwrap_or((input, ""));
    let (scope, files) = rest.split_once('\n').unwrap_or((rest, ""));
    if let Ok(value) = HeaderValue::from_str(shown) {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::AUTHORIZATION, value);
        let read = Credentials::of(&headers);
        assert!(!matches!(read, Ok(Credentials::Nothing)), "what is shown is never nothing");
        if let Ok(Credentials::Bearer(token)) = read {
            let _ = jsonwebtoken::decode_header(token.expose());
        }
    }
    let asked = Grants::asked(std::iter::once(scope));
    assert_eq!(Grants::of_entries(&asked.entries()), asked, "{scope}");
    let _ = (Passwords::parse(files), ApiTokens::parse(files));
    for time in files.lines().filter_map(api_tokens::read_time) {
        assert_eq!(api_tokens::read_time(&time.to_string()), Some(time));
    }
}

/// The access rules in force.
pub(crate) struct Access {
    kind: Kind,
}

enum Kind {
    /// Every client that reaches the port may do everything.
    Open,
    /// Users and rules of the configuration decide.
    Users(Box<Users>),
    /// The upstream decides for each caller.
    Passthrough(Box<Passthrough>),
}

/// A request to the token endpoint.
pub(crate) struct TokenRequest {
    /// The credentials, in a header or a form.
    pub(crate) shown: Credentials,
    /// A refresh token in place of the credentials.
    pub(crate) refresh: Option<String>,
    /// The scopes asked for.
    pub(crate) grants: Grants,
    /// Whether the client also asks for a refresh token.
    pub(crate) wants_refresh: bool,
}

impl Access {
    /// Builds the rules from the configuration. The store's folder holds the token key unless the
    /// configuration names another. The issuers' keys, the failure counts and the recent logins
    /// carry over from the previous rules; no login stays cached.
    pub(crate) fn new(
        config: &AccessConfig,
        store: &Path,
        upstreams: &Arc<UpstreamSet>,
        before: Option<&Self>,
    ) -> Result<Self, ConfigError> {
        let refused = |reason| ConfigError::Access { place: "[access]".to_owned(), reason };
        let failures = || match before.and_then(Self::failures) {
            Some(failures) => Ok(Arc::clone(failures)),
            None => LoginThrottle::new()
                .map(Arc::new)
                .map_err(|error| refused(format!("no random numbers: {error}"))),
        };
        let kind = match config {
            AccessConfig::Open => Kind::Open,
            AccessConfig::Users(users) => {
                let key = users.token_key.clone().map_or_else(|| key_in(store), Ok);
                let key = key.map_err(refused)?;
                let before = before.and_then(|before| match &before.kind {
                    Kind::Users(users) => Some(&**users),
                    Kind::Open | Kind::Passthrough(_) => None,
                });
                Kind::Users(Box::new(Users::new(users, &key, failures()?, before)?))
            }
            AccessConfig::Passthrough { registry } => {
                let before = before.and_then(|before| match &before.kind {
                    Kind::Passthrough(passthrough) => Some(&**passthrough),
                    Kind::Open | Kind::Users(_) => None,
                });
                let upstreams = Arc::clone(upstreams);
                let passthrough = Passthrough::new(upstreams, registry, failures()?, before);
                Kind::Passthrough(Box::new(passthrough))
            }
        };
        Ok(Self { kind })
    }

    fn failures(&self) -> Option<&Arc<LoginThrottle>> {
        match &self.kind {
            Kind::Open => None,
            Kind::Users(users) => Some(users.failures()),
            Kind::Passthrough(passthrough) => Some(passthrough.failures()),
        }
    }

    /// What is checked or asked at this moment.
    #[must_use]
    pub(crate) fn state(&self) -> Vec<BoundUsage> {
        match &self.kind {
            Kind::Open => Vec::new(),
            Kind::Users(users) => vec![users.state()],
            Kind::Passthrough(passthrough) => passthrough.state().to_vec(),
        }
    }

    /// Whether every client may do everything.
    #[must_use]
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Open)
    }

    /// The caller of a request, from its credentials.
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<Caller, Error> {
        let caller = match &self.kind {
            Kind::Open => Caller::anonymous(),
            Kind::Users(users) => users.authenticate(&Credentials::of(headers)?, client).await?,
            Kind::Passthrough(passthrough) => passthrough.authenticate(headers, client)?,
        };
        Ok(caller.at(client))
    }

    /// Whether the caller may use a route without a repository.
    pub(crate) async fn admit(&self, caller: &Caller, door: RegistryScope) -> Result<(), Error> {
        match &self.kind {
            Kind::Open => Ok(()),
            Kind::Users(_) => Users::admit(caller, door),
            Kind::Passthrough(passthrough) => passthrough.admit(caller, door).await,
        }
    }

    /// Whether the caller has a permission. Every permission of a request is checked before the
    /// request itself is read.
    pub(crate) async fn authorize(&self, caller: &Caller, need: &Permission) -> Result<(), Error> {
        match &self.kind {
            Kind::Open => Ok(()),
            Kind::Users(users) => users.authorize(caller, need),
            Kind::Passthrough(passthrough) => passthrough.authorize(caller, need).await,
        }
    }

    /// Whether the caller's catalog lists this repository.
    #[must_use]
    pub(crate) fn lists(&self, caller: &Caller, repo: &RepoName) -> bool {
        match &self.kind {
            // The right to list a whole registry was checked with the route's scope.
            Kind::Open | Kind::Passthrough(_) => true,
            Kind::Users(users) => users.lists(caller, repo),
        }
    }

    /// Whether the caller may continue an upload begun by this owner. An upload begun anonymously
    /// may be continued by every caller with the right to push.
    #[must_use]
    pub(crate) fn may_go_on(&self, caller: &Caller, owner: Option<&str>, repo: &RepoName) -> bool {
        match &self.kind {
            Kind::Open => true,
            _ if owner.is_none() || owner == caller.somebody() => true,
            Kind::Users(users) => users.administers(caller, repo),
            Kind::Passthrough(_) => false,
        }
    }

    /// Whether this proxy issues tokens at [`TOKEN_PATH`].
    #[must_use]
    pub(crate) const fn gives_tokens(&self) -> bool {
        matches!(self.kind, Kind::Users(_))
    }

    /// A token for a caller entitled to one, with that caller.
    pub(crate) async fn give(
        &self,
        request: TokenRequest,
        client: IpAddr,
    ) -> Result<(Caller, TokenResponse), Error> {
        match &self.kind {
            Kind::Open | Kind::Passthrough(_) => Err(Error::MethodNotAllowed { allowed: "" }),
            Kind::Users(users) => {
                let (caller, given) = users.give(request, client).await?;
                Ok((caller.at(client), given))
            }
        }
    }

    /// The challenge sent with a refusal, so that the client learns how to log in.
    #[must_use]
    pub(crate) fn challenge(&self, error: &Error, way: &RequestOrigin<'_>) -> Option<HeaderValue> {
        match &self.kind {
            Kind::Open => None,
            // No token of this proxy could state the upstream's decision.
            Kind::Passthrough(_) => {
                matches!(error, Error::LoginNeeded { .. } | Error::LoginRefused)
                    .then(challenge::basic)
            }
            Kind::Users(_) if way.uri.path() == TOKEN_PATH => {
                matches!(error, Error::LoginNeeded { .. } | Error::LoginRefused)
                    .then(challenge::basic)
            }
            Kind::Users(users) => challenge::challenge(error, users.public_url.as_deref(), way),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_fuzz_corpus_of_logins_is_read_as_it_says() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/login");
        let files = std::fs::read_dir(folder).unwrap();
        let texts: Vec<_> =
            files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        assert!(!texts.is_empty());
        for text in &texts {
            read_login_words(text);
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read_or_refused_without_panic(
            text in "(Basic |Bearer )?[ -~]{0,60}\n[a-z:,/* ]{0,60}\n\\PC{0,60}",
        ) {
            read_login_words(&text);
        }
    }
}
