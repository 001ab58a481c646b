//! A secret of a key vault, read through Azure's command line with its current login.
//!
//! Invariant: neither the secret nor the program's other output is in an error.

use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::values::KeyVaultSecret;

/// The program; `WHARF_AZ` names another.
const PROGRAM: &str = "az";
/// How long it may take; it logs in anew now and then.
const PATIENCE: Duration = Duration::from_mins(1);
/// Largest secret; a key vault takes 25 KB.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Why a key vault gives no secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyVaultError {
    /// The program does not start.
    #[error("`{program}` cannot be run; install Azure's command line and log in with `az login`")]
    Start {
        /// Azure's command line.
        program: String,
        source: io::Error,
    },
    /// It did not end.
    #[error("`{0}` did not answer within a minute")]
    Slow(String),
    #[error("`{0} keyvault secret show` failed; try it by hand, and see whether you are logged in")]
    Refused(String),
    /// The program's output is no secret.
    #[error("`{0} keyvault secret show` gave nothing that could be a secret")]
    Empty(String),
}

/// The secret; `variable` looks up the environment.
pub(super) fn secret(
    name: &KeyVaultSecret,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, KeyVaultError> {
    let program = variable("WHARF_AZ").filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| PROGRAM.to_owned());
    let (vault, secret) = name.parts();
    let child = Command::new(&program)
        .args(["keyvault", "secret", "show", "--query", "value", "--output", "tsv"])
        .args(["--vault-name", vault, "--name", secret])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| KeyVaultError::Start { program: program.clone(), source })?;
    let id = Pid::from_child(&child);
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(end_of(child)));
    let Ok(ended) = ended.recv_timeout(PATIENCE) else {
        let _ = kill_process(id, Signal::KILL);
        return Err(KeyVaultError::Slow(program));
    };
    let Some((status, text)) = ended else { return Err(KeyVaultError::Refused(program)) };
    if !status.success() {
        return Err(KeyVaultError::Refused(program));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() { Err(KeyVaultError::Empty(program)) } else { Ok(text.to_owned()) }
}

/// The program's output, after its end.
fn end_of(mut child: Child) -> Option<(ExitStatus, String)> {
    let mut text = String::new();
    let out = child.stdout.take()?;
    let read = out.take(SECRET_BYTES_MAX).read_to_string(&mut text);
    let status = child.wait().ok()?;
    read.ok().map(|_| (status, text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn ask(script: &str) -> Result<String, KeyVaultError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("az");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = program.to_str().unwrap().to_owned();
        let variable = |name: &str| (name == "WHARF_AZ").then(|| program.clone());
        secret(&"quayline-vault/registry-password".parse().unwrap(), &variable)
    }

    #[test]
    fn the_vault_and_the_name_are_asked_for() {
        let said = ask("shift 7; echo \"$*\"").unwrap();
        assert_eq!(said, "--vault-name quayline-vault --name registry-password");
    }

    #[test]
    fn a_program_that_fails_says_nothing_or_is_not_there_is_named() {
        assert!(matches!(ask("echo hidden >&2; exit 3"), Err(KeyVaultError::Refused(_))));
        assert!(matches!(ask("exit 0"), Err(KeyVaultError::Empty(_))));
        let nowhere = |_: &str| Some("/nowhere/az".to_owned());
        let error = secret(&"vault/name".parse().unwrap(), &nowhere).unwrap_err();
        assert!(matches!(error, KeyVaultError::Start { .. }));
    }
}
