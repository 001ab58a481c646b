//! The configuration of `wharfd` under soak, and the accounts of its clients: users with passwords
//! and a program with a long-lived token.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharf_testkit::processes::product;

/// The least limit of a store; less than the pulled content.
pub(crate) const STORE_LIMIT: &str = "256MiB";
/// The login of `wharfd` at its upstream.
pub(crate) const USER: &str = "soak";
pub(crate) const PASSWORD: &str = "soak-password";
pub(crate) const PASSWORD_VARIABLE: &str = "SOAK_PASSWORD";

const USERS: [&str; 2] = ["alice", "bob"];
/// `NAME-password` of each.
const HTPASSWD: &str = "\
    alice:$2y$05$abcdefghijklmnopqrstuuZ8x5zyHk/OWcnyt5S3g.ULVoOjZZfR.\n\
    bob:$2y$05$abcdefghijklmnopqrstuub5Q5aGoyEFz.nPwNUAOxddz458tpAM2\n";

/// Writes the access files; returns the credentials of each kind of client.
pub(crate) fn write_access(folder: &Path) -> anyhow::Result<Vec<String>> {
    fs::write(folder.join("htpasswd"), HTPASSWD)?;
    let mut command = Command::new(product("wharfd")?);
    command.args(["access", "token", "ci", "--file"]).arg(folder.join("tokens"));
    let made = command.output().context("no token is made")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout)?.trim().to_owned();
    let basic =
        |user: &&str| format!("Basic {}", STANDARD.encode(format!("{user}:{user}-password")));
    let mut shown: Vec<String> = USERS.iter().map(basic).collect();
    shown.push(format!("Bearer {token}"));
    Ok(shown)
}

/// A configuration; the number varies the reloadable settings.
pub(crate) fn config_text(folder: &Path, upstream: &str, number: u64) -> String {
    let at = folder.display();
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstore = \"{at}/store\"\n\
         store_limit = \"{STORE_LIMIT}\"\nscrub_rate = \"8MiB\"\n\
         trusted_proxies = [\"10.{}.0.0/16\"]\n[[upstream]]\nurl = \"{upstream}\"\n\
         username = \"{USER}\"\npassword_env = \"{PASSWORD_VARIABLE}\"\ntag_ttl_seconds = 2\n\
         [access]\nkind = \"users\"\nhtpasswd = \"{at}/htpasswd\"\ntokens = \"{at}/tokens\"\n",
        number % 256
    );
    for (who, repositories) in [
        ("\"alice\", \"bob\", \"ci\"".to_owned(), "*".to_owned()),
        (format!("\"user-{number}\""), format!("team-{number}/*")),
    ] {
        let _ = write!(
            text,
            "[[access.rule]]\nwho = [{who}]\nrepositories = [\"{repositories}\"]\n\
             actions = [\"pull\", \"push\", \"delete\"]\n"
        );
    }
    text
}
