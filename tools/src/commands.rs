//! The commands: each takes its arguments, calls the library, and says how it ended.

pub mod offer;
pub mod package;
pub mod promote;
pub mod push;
mod remote;
pub mod rules;
pub mod verify;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use crate::cli::{GlobalArgs, JudgeArgs};
use crate::output::Output;
use crate::rules::Rule;
use crate::rules::report::Report;
use crate::rules::report_formats;
use crate::temporary::Temporary;

/// What every command gets.
#[derive(Debug)]
pub struct Context {
    /// Options of every command.
    pub global: GlobalArgs,
    /// Where it writes.
    pub output: Output,
    /// How to go on when it is interrupted.
    pub going_on: GoingOn,
}

/// How to go on with a command that was interrupted. Commands say it, the end of the program tells.
#[derive(Debug, Clone, Default)]
pub struct GoingOn(Arc<Mutex<Option<String>>>);

impl GoingOn {
    /// From now on, this is how.
    pub fn set(&self, how: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }

    /// What was said last.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Context {
    /// What the options ask for.
    #[must_use]
    pub fn new(global: GlobalArgs) -> Self {
        let output = Output::new(&global);
        Self { global, output, going_on: GoingOn::default() }
    }
}

/// Looks up a variable of the environment; one that is not Unicode counts as not set.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Writes the report files that were asked for, then the result.
fn publish(
    report: &Report,
    command: &str,
    rules: &[&'static Rule],
    judge: &JudgeArgs,
    context: &Context,
) -> anyhow::Result<()> {
    for target in &judge.reports {
        let text = report_formats::write(report, command, rules, target.format)?;
        write_file(&target.file, &text)?;
        context.output.detail(&format!("wrote {}", target.file.display()));
    }
    context.output.result(command, report, |paint| report.text(paint))?;
    Ok(())
}

/// Writes a whole file that whom the umask allows may read.
fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    write_with_mode(path, text, 0o666)
}

/// Writes a whole file with secrets in it: only the user may read it.
fn write_secret_file(path: &Path, text: &str) -> anyhow::Result<()> {
    write_with_mode(path, text, 0o600)
}

/// Writes beside the place first, then moves there, so that a reader never sees half a file.
fn write_with_mode(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    // What could not become the file is of no use, and goes.
    let beside = Temporary::new(beside.into());
    let beside = beside.path();
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(beside, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_with_secrets_is_readable_by_its_owner_only_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payload.json");
        std::fs::write(&path, "old").unwrap();
        write_secret_file(&path, "secret").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_file(&folder.path().join("none/x"), "x").is_err());
        assert!(write_file(folder.path(), "x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
