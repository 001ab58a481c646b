//! `wharfd access`: lines for the files of passwords and tokens. The library makes the lines, in
//! `access/passwords.rs` and `access/api_tokens.rs`.
//!
//! Invariant: a secret goes to standard output once, and a password comes from standard input only,
//! because all users of the machine see arguments.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use wharf_proxy::{HashKind, Period, new_token, password_line};

use super::output;
use crate::{EXIT_CONFIG, EXIT_FAILED};

/// The longest password accepted.
const PASSWORD_BYTES_MAX: u64 = 4 * 1024;

#[derive(Args)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    command: Typed,
}

#[derive(Subcommand)]
enum Typed {
    /// Make a long-lived token: its secret, and its line for the file of tokens
    ///
    /// The secret is shown once. It is a password for NAME, and a bearer token. Without --file the line
    /// is printed too, after the secret. wharfd reads the file when it starts, and on SIGHUP.
    Token(Token),
    /// Read a password from standard input and print its line for the file of passwords
    HashPassword(HashPassword),
}

#[derive(Args)]
struct Token {
    /// Whose it is, as rules name it
    #[arg(value_name = "NAME")]
    name: String,
    /// How long it is good, such as 90d; for ever when not given
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Period>,
    /// The file of tokens, to which the line is added
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args)]
struct HashPassword {
    /// Whose it is, as rules name it
    #[arg(value_name = "NAME")]
    name: String,
    /// Kind of the hash
    #[arg(long, value_enum, default_value = "bcrypt")]
    kind: Kind,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Bcrypt,
    Argon2id,
}

/// Why there is no line.
enum Failed {
    Wrong(String),
    Io(String),
}

/// Runs the command; returns its exit code.
pub(crate) fn run(args: AccessArgs) -> ExitCode {
    let made = match args.command {
        Typed::Token(token) => make_token(&token),
        Typed::HashPassword(hash) => hash_password(&hash),
    };
    match made {
        Ok(said) => {
            // A closed pipe is the reader's choice.
            let _ = std::io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Failed::Wrong(reason)) => failed(EXIT_CONFIG, &reason),
        Err(Failed::Io(reason)) => failed(EXIT_FAILED, &reason),
    }
}

fn failed(code: u8, reason: &str) -> ExitCode {
    output::say(&format!("error: {reason}"));
    ExitCode::from(code)
}

fn make_token(token: &Token) -> Result<String, Failed> {
    let lifetime = token.expires_in.map(|span| span.0.as_secs());
    let (secret, line) = new_token(&token.name, lifetime).map_err(Failed::Wrong)?;
    let Some(file) = &token.file else { return Ok(format!("{secret}\n{line}\n")) };
    append(file, &line).map_err(|error| Failed::Io(format!("{}: {error}", file.display())))?;
    Ok(format!("{secret}\n"))
}

/// Adds a line; the file is made for its owner alone.
fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).read(true).mode(0o600).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let begin = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    file.write_all(format!("{begin}{line}\n").as_bytes())?;
    file.sync_all()
}

fn hash_password(hash: &HashPassword) -> Result<String, Failed> {
    let password = read_password().map_err(|error| Failed::Io(format!("no password: {error}")))?;
    let kind = match hash.kind {
        Kind::Bcrypt => HashKind::Bcrypt,
        Kind::Argon2id => HashKind::Argon2id,
    };
    let line = password_line(&hash.name, &password, kind).map_err(Failed::Wrong)?;
    Ok(format!("{line}\n"))
}

/// The first line of standard input, which a terminal does not show.
fn read_password() -> std::io::Result<String> {
    let input = std::io::stdin();
    let shown = if input.is_terminal() { Some(tcgetattr(&input)?) } else { None };
    if let Some(shown) = &shown {
        output::say("Password, then Enter:");
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Flush, &hidden)?;
    }
    let read = read_line(&input);
    if let Some(shown) = &shown {
        tcsetattr(&input, OptionalActions::Flush, shown)?;
    }
    read
}

fn read_line(input: &std::io::Stdin) -> std::io::Result<String> {
    use std::io::BufRead as _;
    let mut line = String::new();
    input.lock().take(PASSWORD_BYTES_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
