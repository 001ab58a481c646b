//! Addresses in the configuration, the command line and the environment.
//!
//! Invariant: an address holds no login, so every log may show it; an address with a login is
//! refused, and no part of it is repeated.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::Deserialize;
use url::{Position, Url};

/// An absolute `http://` or `https://` address with a host, and without a user or a password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(Url);

/// Why a text is no [`Address`]. Never holds a part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not parse.
    #[error("{0}; write https://HOST or http://HOST:PORT")]
    Malformed(url::ParseError),
    /// It is of another scheme, or of none.
    #[error("write https://HOST or http://HOST:PORT")]
    Scheme,
    /// It holds a login.
    #[error(
        "it holds a user or a password, and addresses are shown; take them out: an [[upstream]] has \
         username with password_env or password_file, a collector OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Login,
}

impl Address {
    /// Scheme, host and port: the only parts that an error may repeat. A path or a query may hold a
    /// secret.
    pub(crate) fn origin(&self) -> &str {
        &self.0[..Position::AfterPort]
    }

    /// The address as it is joined with others.
    pub(crate) fn to_url(&self) -> Url {
        self.0.clone()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = match Url::parse(text) {
            Ok(url) => url,
            // The unparsable part may be a password.
            Err(_) if text.contains('@') => return Err(AddressError::Login),
            Err(error) => return Err(AddressError::Malformed(error)),
        };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(AddressError::Scheme);
        }
        if has_login(&url) {
            return Err(AddressError::Login);
        }
        Ok(Self(url))
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl Deref for Address {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

/// Whether an address holds a user or a password.
pub(crate) fn has_login(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The text of a bad address, as far as an error may repeat it.
pub(crate) fn repeatable(text: &str) -> &str {
    if text.contains(['@', '?', '#']) { "(not shown, it may hold a password)" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_no_login() {
        for good in ["https://registry.example.com", "http://127.0.0.1:5000", "https://h/a@b?q=c@d"]
        {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        for wrong in ["registry.example.com", "ftp://h", "/v2/", "", "https://", "https://h:99999"]
        {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("https://HOST"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_login_is_refused_and_no_part_of_it_repeated() {
        for text in [
            "https://user:hunter2@h",
            "https://hunter2@h",
            "https://:hunter2@h",
            "https://user:hun/ter2@h",
            "https://user:hun#hunter2@h",
            "https://user:hunter2@",
            "hunter2:x@h",
            "h?sig=hunter2",
            "h/#hunter2",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            for said in [error.to_string(), format!("{error:?}"), repeatable(text).to_owned()] {
                assert!(!said.contains("hun"), "{text}: {said}");
            }
        }
        let error = "https://u:p@h".parse::<Address>().unwrap_err().to_string();
        assert!(error.contains("password_env"), "{error}");
    }
}
