//! The commands: each takes its arguments, calls the library, and says how it ended.

mod bases;
pub mod diff;
mod given;
mod inputs;
pub mod offer;
pub mod package;
pub mod promote;
mod publish;
pub mod push;
mod remote;
pub mod rules;
mod since;
pub mod tags;
mod targets;
pub mod verify;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use crate::cli::GlobalArgs;
use crate::output::Output;
use crate::output_file;
use inputs::Inputs;

/// The context of every command.
#[derive(Debug)]
pub struct Context {
    /// Options of every command.
    pub global: GlobalArgs,
    pub output: Output,
    /// How to go on when it is interrupted.
    pub going_on: GoingOn,
}

/// How to go on with an interrupted command. Commands set it, the end of the program prints it.
#[derive(Debug, Clone, Default)]
pub struct GoingOn(Arc<Mutex<Option<String>>>);

impl GoingOn {
    /// From now on, this is how.
    pub fn set(&self, how: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }

    /// The last advice.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Context {
    /// The context for the global options.
    #[must_use]
    pub fn new(global: GlobalArgs) -> Self {
        let output = Output::new(&global);
        Self { global, output, going_on: GoingOn::default() }
    }
}

/// Looks up a variable of the environment; one outside Unicode counts as not set.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Writes a whole file, readable as the umask allows, and refuses to write over an input.
fn write_file(path: &Path, text: &str, inputs: &Inputs) -> anyhow::Result<()> {
    write_with_mode(path, text, inputs, 0o666)
}

/// Writes a whole file with secrets in it: only the user may read it.
fn write_secret_file(path: &Path, text: &str, inputs: &Inputs) -> anyhow::Result<()> {
    write_with_mode(path, text, inputs, 0o600)
}

fn write_with_mode(path: &Path, text: &str, inputs: &Inputs, mode: u32) -> anyhow::Result<()> {
    inputs.keep(path)?;
    output_file::write(path, text, mode).with_context(|| format!("cannot write {}", path.display()))
}
