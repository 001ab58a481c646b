//! The sources of the configuration, kept so that a reload can read them again: the file, and the
//! command line over it.
//!
//! Invariant: no part of a line that seems to hold a secret is repeated in an error, for any kind
//! of error.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::diff::{ConfigKeys, is_secret};
use super::{Config, FileConfig, Overrides};
use crate::settings::address::AddressError;
use crate::settings::error::ConfigError;

/// A file and a command line.
#[derive(Debug, Clone)]
pub struct ConfigSource {
    file: Option<PathBuf>,
    overrides: Overrides,
}

/// A configuration read from its sources.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The checked configuration.
    pub config: Config,
    /// Every key of the file, for comparison after a reload.
    pub(crate) keys: ConfigKeys,
}

impl ConfigSource {
    /// Without a file only the command line counts.
    #[must_use]
    pub const fn new(file: Option<PathBuf>, overrides: Overrides) -> Self {
        Self { file, overrides }
    }

    /// The file, when there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads and checks. Blocks.
    pub fn load(&self) -> Result<LoadedConfig, ConfigError> {
        let (file, keys) = match &self.file {
            None => (FileConfig::default(), ConfigKeys::default()),
            Some(path) => read(path)?,
        };
        Ok(LoadedConfig { config: Config::new(file, self.overrides.clone())?, keys })
    }
}

/// Reads the file once, for two results of the same text.
fn read(path: &Path) -> Result<(FileConfig, ConfigKeys), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let malformed = |error: &toml::de::Error| ConfigError::Malformed {
        path: path.to_owned(),
        reason: reason(&text, error),
    };
    let file = toml::from_str(&text).map_err(|error| malformed(&error))?;
    let table = toml::from_str(&text).map_err(|error| malformed(&error))?;
    Ok((file, ConfigKeys::of(&table)))
}

/// The parser's message and the line it shows, unless that line may hold a secret.
fn reason(text: &str, error: &toml::de::Error) -> String {
    let span = error.span().unwrap_or(0..0);
    let number = text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1;
    let login = AddressError::Login.to_string();
    if error.message() == login {
        let key = lines_at(text, &span).next().and_then(key_of).unwrap_or("an address");
        return format!("line {number}: {key}: {login}");
    }
    if lines_at(text, &span).any(may_hold_secret) {
        return format!(
            "line {number}: it is wrong here, and not shown because it seems to be about a secret; \
             secrets do not belong into this file"
        );
    }
    error.to_string()
}

/// The name before the first equals sign.
fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    let allowed = |c: char| c.is_ascii_lowercase() || c == '_';
    key.chars().all(allowed).then_some(key)
}

/// Whether a line is about a secret, or has a character that ends a URL's login or starts a query.
fn may_hold_secret(line: &str) -> bool {
    is_secret(line) || line.contains(['@', '?'])
}

/// Every line touched by a span.
fn lines_at<'a>(text: &'a str, span: &Range<usize>) -> impl Iterator<Item = &'a str> {
    let (start, end) = (span.start, span.end.max(span.start + 1));
    let mut at = 0;
    text.split_inclusive('\n').filter(move |line| {
        let begin = at;
        at += line.len();
        begin < end && at > start
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharfd.toml");
        std::fs::write(&path, text).unwrap();
        ConfigSource::new(Some(path), Overrides::default()).load().unwrap_err().to_string()
    }

    #[test]
    fn a_line_about_a_secret_is_not_repeated() {
        for line in [
            "password = \"planted\"",
            "[[upstream]]\nurl = \"https://h\"\nclient_secret = \"planted\"",
            "token_lifetime_seconds = \"planted\"",
            "password_env = planted",
            "proxy = \"http://u:planted@h\"",
            "listen = \"planted:x@h\"",
            "[[upstream]]\nurl = \"https://u:pl/planted@h\"",
            "[[upstream]]\nurl = \"u:planted@h\"",
            "[[upstream]]\nurl = \"https://h\"\nnamespaces = [\n  \"ok.test\",\n  \"u:planted@h\"\n]",
            "[[upstream]]\nurl = \"https://h\"\nprefix = \"https://u:planted@h\"",
            "[telemetry]\notlp_endpoint = \"http://u:planted@h:4318\"",
            "[access]\nkind = \"users\"\npublic_url = \"https://u:planted@h\"",
            "trusted_proxies = [\"u:planted@10.0.0.1\"]",
            "[[upstream]]\nurl = \"h?sig=planted\"",
            "api_key = \"planted\"",
        ] {
            let error = refused(&format!("store = \"s\"\n{line}\n"));
            assert!(!error.contains("planted") && error.contains("line "), "{error}");
        }
        let shown = refused("store = \"s\"\nlisten_on = \"127.0.0.1:1\"\n");
        assert!(shown.contains("line 2") && shown.contains("listen_on"), "{shown}");
    }
}
