//! Access control on `/v2/`: accounts, the `Authorization` header, and the 401 challenge.
//!
//! The token endpoints live in `oauth.rs`. Neither passwords nor tokens appear in Debug output.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use serde_json::{Value, json};

use super::config::Habits;
use super::counts::Credentials;
use super::oauth::Authority as Issuer;
use super::refusal::Refusal;
use super::scope::{Action, Rights, Scope};
use super::token::TokenKind;

/// The user name of a login with a token as its password, as in `az acr login`.
pub(crate) const TOKEN_USERNAME: &str = "00000000-0000-0000-0000-000000000000";

/// A user name with its password, and the most it may do.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    username: String,
    password: String,
    rights: Rights,
}

impl Account {
    /// An account with all rights, as ACR's admin user.
    pub fn admin(username: impl Into<String>, password: impl Into<String>) -> Self {
        let rights = Rights::everywhere(&[Action::All]);
        Self { username: username.into(), password: password.into(), rights }
    }

    /// An account with the right to pull only.
    pub fn reader(username: impl Into<String>, password: impl Into<String>) -> Self {
        let rights = Rights::everywhere(&[Action::Pull]);
        Self { username: username.into(), password: password.into(), rights }
    }

    /// The same in these repositories only, as ABAC and scope maps have it; without any it can log
    /// in and do nothing.
    #[must_use]
    pub fn only(self, repositories: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let repositories = repositories.into_iter().map(Into::into).collect();
        Self { rights: self.rights.only(repositories), ..self }
    }

    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    pub(crate) fn rights(&self) -> &Rights {
        &self.rights
    }

    pub(crate) fn is(&self, username: &str, password: &str) -> bool {
        self.username == username && self.password == password
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Account")
            .field("username", &self.username)
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

/// The parsed `Authorization` header.
pub(crate) enum Authorization {
    None,
    Basic { username: String, password: String },
    Bearer(String),
    Unknown,
}

impl Authorization {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Self::None;
        };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
            return Self::Unknown;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(rest.trim().to_owned());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Self::Unknown;
        }
        let pair = STANDARD.decode(rest.trim()).ok().and_then(|raw| String::from_utf8(raw).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((username, password)) => {
                Self::Basic { username: username.to_owned(), password: password.to_owned() }
            }
            None => Self::Unknown,
        }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        match self {
            Self::None => Credentials::None,
            Self::Basic { .. } => Credentials::Basic,
            Self::Bearer(_) => Credentials::Bearer,
            Self::Unknown => Credentials::Unknown,
        }
    }
}

/// The host name from the client's request; every address in a response starts with it.
pub(crate) fn host(headers: &HeaderMap) -> Result<String, Refusal> {
    headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<Authority>().ok())
        .map(|authority| authority.as_str().to_owned())
        .ok_or(Refusal::HostMissing)
}

/// Whether Basic credentials have a user name with a newline at its end.
pub(crate) fn has_newline_user(headers: &HeaderMap) -> bool {
    matches!(Authorization::of(headers), Authorization::Basic { username, .. }
        if username.ends_with('\n'))
}

/// Admits a request and returns its caller, or refuses it with a challenge for the needed scopes.
pub(crate) fn admit(
    issuer: &Issuer,
    habits: &Habits,
    headers: &HeaderMap,
    needed: &[Scope],
) -> Result<String, Refusal> {
    let host = host(headers)?;
    let challenge = |error: Option<&str>| {
        if habits.basic_only {
            let challenge = r#"Basic realm="acr-double""#.to_owned();
            return Err(Refusal::Challenge { challenge, detail: Value::Null });
        }
        Err(challenge(&host, needed, error))
    };
    match Authorization::of(headers) {
        Authorization::Bearer(token) if !habits.basic_only => {
            let Some(claims) = issuer.tokens().check(&token, TokenKind::AccessToken, &host) else {
                return challenge(Some("invalid_token"));
            };
            if needed.iter().all(|scope| scope.is_granted_by(&claims.access)) {
                return Ok(claims.sub);
            }
            challenge(Some("insufficient_scope"))
        }
        Authorization::Basic { username, password } if habits.basic_credentials => {
            let Some(account) = issuer.account(&username, &password) else {
                return challenge(None);
            };
            if needed.iter().all(|scope| scope.within(account.rights()) == *scope) {
                return Ok(username);
            }
            challenge(Some("insufficient_scope"))
        }
        Authorization::None
        | Authorization::Basic { .. }
        | Authorization::Bearer(_)
        | Authorization::Unknown => challenge(None),
    }
}

/// The owner of valid credentials.
pub(crate) fn caller(issuer: &Issuer, headers: &HeaderMap) -> Option<String> {
    match Authorization::of(headers) {
        Authorization::Bearer(token) => {
            let claims =
                issuer.tokens().check(&token, TokenKind::AccessToken, &host(headers).ok()?);
            claims.map(|claims| claims.sub)
        }
        Authorization::Basic { username, password } => {
            issuer.account(&username, &password).map(|account| account.username().to_owned())
        }
        Authorization::None | Authorization::Unknown => None,
    }
}

fn challenge(host: &str, needed: &[Scope], error: Option<&str>) -> Refusal {
    let scopes: Vec<String> = needed.iter().map(ToString::to_string).collect();
    let scope = match scopes.as_slice() {
        [] => String::new(),
        scopes => format!(r#",scope="{}""#, scopes.join(" ")),
    };
    let error = error.map(|error| format!(r#",error="{error}""#)).unwrap_or_default();
    let realm = format!("http://{host}/oauth2/token");
    let text = format!(r#"Bearer realm="{realm}",service="{host}"{scope}{error}"#);
    let entries = needed.iter().flat_map(|scope| {
        scope.actions.iter().map(
            |action| json!({ "Type": scope.kind, "Name": scope.name, "Action": action.as_str() }),
        )
    });
    let entries: Vec<Value> = entries.collect();
    let detail = if entries.is_empty() { Value::Null } else { Value::Array(entries) };
    Refusal::Challenge { challenge: text, detail }
}
