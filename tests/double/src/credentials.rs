//! Accounts, and what a request says of its caller and of this host. Neither passwords nor tokens appear
//! in Debug output.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::scope::{Action, Rights};

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

/// How a request named its caller. The credentials themselves are never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// No `Authorization` header.
    None,
    Basic,
    Bearer,
    /// Any other scheme.
    Unknown,
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
