//! Logins to a registry, as `docker login` keeps them: the entries of its `config.json`, and the
//! answer of a credential helper. The caller reads the file and runs the helper.
//!
//! Invariant: a secret shows neither in `Debug` nor in an error; only `Secret::expose` returns it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::ParseError;

/// The user name by which Docker marks a password as an identity token.
const TOKEN_USER: &str = "<token>";

/// A password or a token.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for a request to a registry.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How to log in to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token, to exchange for access tokens.
    IdentityToken(Secret),
}

impl Login {
    /// User and password. A line break after the name, as a file leaves it, is not part of it: ACR
    /// answers such a name with a 500.
    pub fn basic(username: &str, password: Secret) -> Self {
        Self::Basic { username: username.trim_end_matches(['\r', '\n']).to_owned(), password }
    }
}

/// The place of a login after `config.json`.
#[derive(Debug, PartialEq, Eq)]
pub enum StoredLogin<'a> {
    /// In the file.
    Here(Login),
    /// With the program `docker-credential-NAME`.
    Helper(&'a str),
    /// The file knows nothing of this host.
    Nowhere,
}

/// A `config.json` of Docker, or the `auth.json` of podman, as far as it is about logins.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
}

impl DockerConfig {
    /// Reads a file; an empty one knows nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // The message of the parser would quote the value, so the error has the position only.
        serde_json::from_slice(bytes).map_err(|error| ParseError::Login {
            reason: format!("line {} column {} is not as expected", error.line(), error.column()),
        })
    }

    /// The place of the login of exactly this `HOST[:PORT]`.
    pub fn look_up(&self, host: &str) -> Result<StoredLogin<'_>, ParseError> {
        let helper = self.cred_helpers.iter().find(|(key, _)| host_of(key) == host);
        if let Some((_, helper)) = helper {
            return Ok(StoredLogin::Helper(helper));
        }
        let entry = self.auths.iter().find(|(key, _)| host_of(key) == host);
        let login = entry.map(|(_, entry)| entry.login()).transpose();
        let login = login.map_err(|reason| ParseError::Login {
            reason: format!("the entry of {host} {reason}"),
        })?;
        if let Some(login) = login.flatten() {
            return Ok(StoredLogin::Here(login));
        }
        Ok(self.creds_store.as_deref().map_or(StoredLogin::Nowhere, StoredLogin::Helper))
    }
}

/// The host of a key: files hold `host`, `https://host` and `https://host/v1/` alike.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, &'static str> {
        let filled = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_empty());
        if let Some(token) = filled(&self.identitytoken) {
            return Ok(Some(Login::IdentityToken(token)));
        }
        if let Some(auth) = filled(&self.auth) {
            let pair = STANDARD.decode(auth.expose().trim());
            let pair = pair.map_err(|_| "has an `auth` that is not base64")?;
            let pair = String::from_utf8(pair).map_err(|_| "has an `auth` that is not text")?;
            let (username, password) =
                pair.split_once(':').ok_or("has an `auth` without a colon")?;
            // Some versions of Docker pad the pair with NULs.
            let password = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Login::basic(username, password)));
        }
        let username = self.username.as_ref().filter(|username| !username.is_empty());
        let pair = username.zip(filled(&self.password));
        Ok(pair.map(|(username, password)| Login::basic(username, password)))
    }
}

/// Reads the answer of `docker-credential-NAME get`; `None` when it holds no secret.
pub fn parse_helper_answer(bytes: &[u8]) -> Result<Option<Login>, ParseError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        username: String,
        secret: Option<Secret>,
    }
    let malformed = |_| ParseError::Login { reason: "its answer is not as expected".to_owned() };
    let answer: Answer = serde_json::from_slice(bytes).map_err(malformed)?;
    let secret = answer.secret.filter(|secret| !secret.is_empty());
    Ok(secret.map(|secret| match answer.username.as_str() {
        TOKEN_USER => Login::IdentityToken(secret),
        username => Login::basic(username, secret),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn helpers_of_a_host_come_first_then_entries_then_the_store() {
        let auth = STANDARD.encode("user\n:pass:word\0\0");
        let text = format!(
            r#"{{"auths":{{"a":{{"auth":"{auth}"}},"b":{{}},"c":{{"auth":"{auth}"}}}},
               "credHelpers":{{"c":"acr"}},"credsStore":"desktop"}}"#
        );
        let config = DockerConfig::parse(text.as_bytes()).unwrap();
        let found = Login::basic("user", Secret::new("pass:word"));
        assert_eq!(config.look_up("a").unwrap(), StoredLogin::Here(found));
        assert_eq!(config.look_up("b").unwrap(), StoredLogin::Helper("desktop"));
        assert_eq!(config.look_up("c").unwrap(), StoredLogin::Helper("acr"));
        assert_eq!(
            DockerConfig::parse(b" \n").unwrap().look_up("a").unwrap(),
            StoredLogin::Nowhere
        );
    }

    #[test]
    fn an_identity_token_is_told_from_a_password() {
        let config =
            DockerConfig::parse(br#"{"auths":{"a":{"auth":"x","identitytoken":"t"}}}"#).unwrap();
        let token = Login::IdentityToken(Secret::new("t"));
        assert_eq!(config.look_up("a").unwrap(), StoredLogin::Here(token.clone()));
        let answer = parse_helper_answer(br#"{"Username":"<token>","Secret":"t"}"#).unwrap();
        assert_eq!(answer, Some(token));
        let answer = parse_helper_answer(br#"{"Username":"u","Secret":"p"}"#).unwrap();
        assert_eq!(answer, Some(Login::basic("u", Secret::new("p"))));
        assert_eq!(parse_helper_answer(br#"{"Username":"u","Secret":""}"#).unwrap(), None);
    }

    #[test]
    fn neither_errors_nor_debug_output_show_a_secret() {
        let planted = "c2VjcmV0";
        let text = format!(r#"{{"auths":{{"r":{{"auth":"{planted}"}}}}}}"#);
        let config = DockerConfig::parse(text.as_bytes()).unwrap();
        let shown = [
            config.look_up("r").unwrap_err().to_string(),
            DockerConfig::parse(br#"{"auths":"c2VjcmV0"}"#).err().unwrap().to_string(),
            parse_helper_answer(br#"["c2VjcmV0"]"#).unwrap_err().to_string(),
            format!("{:?}", Login::basic("u", Secret::new(planted))),
        ];
        for text in shown {
            assert!(!text.contains(planted) && !text.contains("secret"), "{text}");
        }
    }
}
