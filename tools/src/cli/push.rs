//! `wharf push`, and the login of its destination.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Args, Command};

use crate::offer::values::{KeyVaultSecret, LoginServer, PlanId, RegistryName};

/// `wharf push`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("target").required(true).args(["reference", "to"])))]
pub struct PushArgs {
    /// The offer file (with --to), or an image in any form that `verify` reads (with a reference):
    /// a layout, an archive, `-` for an archive on stdin, or an image on another registry
    #[arg(value_name = "OFFER|IMAGE")]
    pub source: PathBuf,
    /// Where one image goes: REGISTRY/REPOSITORY:TAG
    pub reference: Option<String>,
    /// The registry of the offer that all its plans go to
    #[arg(long, value_name = "NAME")]
    pub to: Option<RegistryName>,
    /// Only this plan (repeat for more)
    #[arg(long = "plan", value_name = "ID", requires = "to")]
    pub plans: Vec<PlanId>,
    /// Where the layouts of the offer are [default: `out` beside the offer]
    #[arg(long, env = "WHARF_LAYOUTS", value_name = "DIR", requires = "to")]
    pub layouts: Option<PathBuf>,
    /// Send everything to this proxy instead of the registry's login server
    #[arg(long, value_name = "HOST:PORT", requires = "to")]
    pub through: Option<LoginServer>,
    /// Move tags that point elsewhere; without this only `latest` moves
    #[arg(long)]
    pub allow_tag_move: bool,
    /// Lock every tag but `latest`, and the manifests, as Azure Container Registry can
    #[arg(long, env = "WHARF_LOCK")]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub lock: bool,
    /// The login of the destination.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// A login from the command line, before those of the offer and of files.
#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("password").args(["password_stdin", "password_from"])))]
pub struct LoginArgs {
    /// Log in to the destination as this user
    #[arg(long, env = "WHARF_USERNAME", value_name = "USER", requires = "password")]
    pub username: Option<String>,
    /// Take the password from the first line of stdin
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// Take the password from `env:NAME`, `file:PATH` (its first line) or `keyVault:VAULT/NAME`
    #[arg(long, env = "WHARF_PASSWORD_FROM", value_name = "PLACE", requires = "username")]
    #[arg(value_parser = PasswordPlaceParser)]
    pub password_from: Option<PasswordPlace>,
}

/// Where a password stands, never the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordPlace {
    /// In this environment variable.
    Env(String),
    /// In the first line of this file.
    File(PathBuf),
    /// In this key vault of Azure.
    KeyVault(KeyVaultSecret),
}

impl PasswordPlace {
    fn read(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty())?;
        match kind {
            "env" => Some(Self::Env(name.to_owned())),
            "file" => Some(Self::File(PathBuf::from(name))),
            "keyVault" => name.parse().ok().map(Self::KeyVault),
            _ => None,
        }
    }
}

/// Reads the place of a password. Its error does not repeat the text, which may be a password.
#[derive(Clone)]
struct PasswordPlaceParser;

impl TypedValueParser for PasswordPlaceParser {
    type Value = PasswordPlace;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        value.to_str().and_then(PasswordPlace::read).ok_or_else(|| {
            let message = "--password-from takes env:NAME, file:PATH or keyVault:VAULT/NAME; a \
                           password itself never stands on the command line\n";
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;

    use crate::cli::Cli;

    fn parse(more: &[&str]) -> Result<Cli, clap::Error> {
        let push = ["wharf", "push", "out/a", "r.example/a:1", "--username", "ann"];
        Cli::try_parse_from(push.iter().chain(more))
    }

    #[test]
    fn a_password_by_mistake_is_not_repeated() {
        let error = parse(&["--password-from", "hunter2"]).unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("env:NAME"), "{error}");
        for place in ["env:P", "file:p.txt", "keyVault:quayline-vault/acr"] {
            assert!(parse(&["--password-from", place]).is_ok(), "{place}");
        }
    }

    #[test]
    fn a_user_has_one_password() {
        assert!(parse(&[]).is_err());
        assert!(parse(&["--password-stdin", "--password-from", "env:P"]).is_err());
        assert!(parse(&["--password-stdin"]).is_ok());
    }
}
