//! Who may do what: who asks is found out before anything else of a request is looked at, and whether
//! they may before anything of the repository is. What a route needs is in `access/permission.rs`, how users
//! are told apart in `access/users.rs`.
//!
//! Invariant: what is refused looks the same whether the thing is there or not.

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
mod timestamp;
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

/// What a client shows and what it asks a token for, on a line each, then lines of the files of
/// passwords and tokens. For the fuzz target and its corpus.
///
/// # Panics
/// When something is read as what it does not say.
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
    for time in files.lines().filter_map(timestamp::parse) {
        assert_eq!(timestamp::parse(&timestamp::write(time)), Some(time));
    }
}

/// The rules that are in force.
pub(crate) struct Access {
    kind: Kind,
}

enum Kind {
    /// Everyone who reaches the port may do everything.
    Open,
    /// Users, as files and rules say.
    Users(Box<Users>),
    /// Whoever the upstream lets in.
    Passthrough(Box<Passthrough>),
}

/// What somebody asks for who wants a token.
pub(crate) struct TokenRequest {
    /// The credentials, in a header or a form.
    pub(crate) shown: Credentials,
    /// A refresh token in their place.
    pub(crate) refresh: Option<String>,
    /// For what.
    pub(crate) grants: Grants,
    /// Whether a refresh token is wanted too.
    pub(crate) wants_refresh: bool,
}

impl Access {
    /// What the configuration says. The folder of the store holds the key of our tokens, when no other
    /// is named. Of rules that were in force before, the keys of issuers stay, the count of failures and
    /// which logins were right lately; nobody stays logged in.
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

    /// What is checked or asked at this moment: what it is, how much of it, and the most.
    #[must_use]
    pub(crate) fn state(&self) -> Vec<(&'static str, usize, usize)> {
        match &self.kind {
            Kind::Open => Vec::new(),
            Kind::Users(users) => vec![users.state()],
            Kind::Passthrough(passthrough) => passthrough.state().to_vec(),
        }
    }

    /// Whether everyone may do everything.
    #[must_use]
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Open)
    }

    /// Who asks, by what the request shows.
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

    /// Whether they may come in at all, where no repository is asked for.
    pub(crate) async fn admit(&self, caller: &Caller, door: RegistryScope) -> Result<(), Error> {
        match &self.kind {
            Kind::Open => Ok(()),
            Kind::Users(_) => Users::admit(caller, door),
            Kind::Passthrough(passthrough) => passthrough.admit(caller, door).await,
        }
    }

    /// Whether they may do this; asked for each need of a request before the request is looked at.
    pub(crate) async fn authorize(&self, caller: &Caller, need: &Permission) -> Result<(), Error> {
        match &self.kind {
            Kind::Open => Ok(()),
            Kind::Users(users) => users.authorize(caller, need),
            Kind::Passthrough(passthrough) => passthrough.authorize(caller, need).await,
        }
    }

    /// Whether they see this repository among all.
    #[must_use]
    pub(crate) fn lists(&self, caller: &Caller, repo: &RepoName) -> bool {
        match &self.kind {
            // Who may list a whole registry was found out at the door.
            Kind::Open | Kind::Passthrough(_) => true,
            Kind::Users(users) => users.lists(caller, repo),
        }
    }

    /// Whether they may go on with an upload that this owner began. What nobody in particular began,
    /// everyone may go on with who may push.
    #[must_use]
    pub(crate) fn may_go_on(&self, caller: &Caller, owner: Option<&str>, repo: &RepoName) -> bool {
        match &self.kind {
            Kind::Open => true,
            _ if owner.is_none() || owner == caller.somebody() => true,
            Kind::Users(users) => users.administers(caller, repo),
            Kind::Passthrough(_) => false,
        }
    }

    /// Whether tokens are given out at [`TOKEN_PATH`].
    #[must_use]
    pub(crate) const fn gives_tokens(&self) -> bool {
        matches!(self.kind, Kind::Users(_))
    }

    /// A token for who may have one, and who that is.
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

    /// What goes with a refusal, so that the client learns how to log in.
    #[must_use]
    pub(crate) fn challenge(&self, error: &Error, way: &RequestOrigin<'_>) -> Option<HeaderValue> {
        match &self.kind {
            Kind::Open => None,
            // There is no token of ours that would say what the upstream will say.
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
