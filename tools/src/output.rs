//! The only file that prints. Results go to stdout, as text for people or as one JSON document;
//! everything about the way there goes to stderr.
//!
//! Invariant: a command's output on stdout is complete or absent: it is made first and written in
//! one go. A reader's early close of the pipe is no error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;

use rustix::termios::tcgetwinsize;
use serde::Serialize;

use crate::characters;
use crate::cli::{ColorChoice, GlobalArgs, OutputFormat};
use crate::exit::Exit;
pub use crate::shown::visible;

/// The version of the JSON envelope and of everything in it.
const SCHEMA_VERSION: u32 = 1;

/// Where and how a command writes.
#[derive(Debug, Clone)]
pub struct Output {
    format: OutputFormat,
    talk: Verbosity,
    stdout: Paint,
    stderr: Paint,
    /// The bar at the bottom of the terminal, while there is one.
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verbosity {
    Errors,
    Notes,
    Details,
}

/// The looks of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// An important text.
    Strong,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// A success.
    Good,
    /// Beside the point.
    Dim,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    schema_version: u32,
    command: &'a str,
    result: &'a T,
}

/// The error in the envelope of a command that has no result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    exit_code: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureEnvelope<'a> {
    schema_version: u32,
    command: &'a str,
    error: Failure<'a>,
}

impl Output {
    /// The output for the global options.
    #[must_use]
    pub fn new(global: &GlobalArgs) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let wanted = |terminal: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !plain,
        };
        Self {
            format: global.output_format,
            talk: match (global.quiet, global.verbose) {
                (true, _) => Verbosity::Errors,
                (false, false) => Verbosity::Notes,
                (false, true) => Verbosity::Details,
            },
            stdout: Paint::on(&io::stdout(), wanted),
            stderr: Paint::on(&io::stderr(), wanted),
            bar: Arc::default(),
        }
    }

    /// Whether a bar may be drawn: for a person at a terminal, without the option for silence.
    #[must_use]
    pub fn may_draw(&self) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        self.talk >= Verbosity::Notes && io::stderr().is_terminal() && !is_set("CI") && !is_dumb
    }

    /// Whether notes are shown.
    #[must_use]
    pub fn may_note(&self) -> bool {
        self.talk >= Verbosity::Notes
    }

    /// From now on this bar is at the bottom of the terminal, and messages stand above it; or no
    /// bar any more.
    pub fn set_bar(&self, bar: Option<ProgressBar>) {
        let before =
            std::mem::replace(&mut *self.bar.lock().unwrap_or_else(PoisonError::into_inner), bar);
        if let Some(before) = before {
            before.finish_and_clear();
        }
    }

    /// How results are written.
    #[must_use]
    pub const fn format(&self) -> OutputFormat {
        self.format
    }

    /// How text for stdout is painted.
    #[must_use]
    pub const fn paint(&self) -> Paint {
        self.stdout
    }

    /// Writes the result of a command: the envelope, or `text`'s form of it.
    pub fn result<T: Serialize>(
        &self,
        command: &str,
        result: &T,
        text: impl FnOnce(Paint) -> String,
    ) -> io::Result<()> {
        match self.format {
            OutputFormat::Json => self.raw(&json(command, result)?),
            OutputFormat::Text => self.raw(&text(self.stdout)),
        }
    }

    /// Writes the text of a result to stderr, where stdout has other content.
    pub fn result_aside(&self, text: impl FnOnce(Paint) -> String) {
        let _ = io::stderr().lock().write_all(text(self.stderr).as_bytes());
    }

    /// Writes exactly these bytes to stdout.
    pub fn raw(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            // A reader of the first lines (`head`) has all the lines it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Prints a remark on the way to the result; `-q` silences it.
    pub fn note(&self, message: &str) {
        if self.talk >= Verbosity::Notes {
            self.complain(message);
        }
    }

    /// Prints a detail for `-v` alone.
    pub fn detail(&self, message: &str) {
        if self.talk == Verbosity::Details {
            self.complain(message);
        }
    }

    /// Prints a line for programs that follow a command; they asked for it.
    pub fn event<T: Serialize>(&self, event: &T) {
        if let Ok(line) = serde_json::to_string(event) {
            self.complain(&escaped(&line));
        }
    }

    /// Prints a warning; `-q` silences it.
    pub fn warning(&self, message: &str) {
        let paint = self.stderr;
        self.note(&format!("{} {message}", paint.text(Style::Warning, "warning:")));
    }

    /// Ends a command without a result: prints the reason, in JSON too where requested.
    pub fn end(&self, command: &str, message: &str, hint: Option<&str>, exit: Exit) {
        self.set_bar(None);
        self.failure(message, hint);
        if self.format == OutputFormat::Json {
            // A closed stdout is no other reason than the printed one.
            let _ = self.raw(&failure_json(command, message, hint, exit));
        }
    }

    /// Prints the command's error and the fix; no option silences it.
    pub fn failure(&self, message: &str, hint: Option<&str>) {
        let paint = self.stderr;
        self.complain(&format!("{} {message}", paint.text(Style::Error, "error:")));
        if let Some(hint) = hint {
            self.complain(&format!("{} {hint}", paint.text(Style::Strong, "hint:")));
        }
    }

    /// A closed stderr is no reason to stop.
    fn complain(&self, message: &str) {
        let write = || {
            let _ = writeln!(io::stderr().lock(), "{message}");
        };
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// The JSON document of a result, with a newline at its end.
pub fn json<T: Serialize>(command: &str, result: &T) -> io::Result<String> {
    let envelope = Envelope { schema_version: SCHEMA_VERSION, command, result };
    let mut text = escaped(&serde_json::to_string_pretty(&envelope)?);
    text.push('\n');
    Ok(text)
}

/// JSON with terminal-active characters escaped: a person may look at it before a program reads it.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !characters::is_hidden(c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// The JSON document of a command without a result.
#[must_use]
pub fn failure_json(command: &str, message: &str, hint: Option<&str>, exit: Exit) -> String {
    let error = Failure { message, hint, exit_code: exit.code() };
    let envelope = FailureEnvelope { schema_version: SCHEMA_VERSION, command, error };
    let text = serde_json::to_string_pretty(&envelope);
    format!("{}\n", escaped(&text.expect("texts and numbers always serialise")))
}

/// Least width for wrapped text, in columns: below it, wrapping makes text worse.
const WIDTH_MIN: usize = 40;

/// How text for people looks.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    coloured: bool,
    width: Option<usize>,
    /// Whether only ASCII is known to be shown.
    is_ascii: bool,
}

impl Paint {
    /// Text without any colour, in lines as long as they get.
    pub const PLAIN: Self = Self { coloured: false, width: None, is_ascii: false };

    /// The style for a stream; `coloured` decides about colours, given whether the stream is a
    /// terminal.
    fn on(stream: &(impl io::IsTerminal + AsFd), coloured: impl Fn(bool) -> bool) -> Self {
        let size = stream.is_terminal().then(|| tcgetwinsize(stream).ok()).flatten();
        let width = size.map(|size| usize::from(size.ws_col)).filter(|width| *width >= WIDTH_MIN);
        let is_ascii = !speaks_unicode(|name| std::env::var(name).ok());
        Self { coloured: coloured(stream.is_terminal()), width, is_ascii }
    }

    /// Whether pictures are drawn with ASCII alone.
    #[must_use]
    pub const fn is_ascii(self) -> bool {
        self.is_ascii
    }

    /// The length of lines, where known.
    #[must_use]
    pub const fn width(self) -> Option<usize> {
        self.width
    }

    /// Whether lines are only so long.
    #[must_use]
    pub const fn is_narrow(self) -> bool {
        self.width.is_some()
    }

    /// The same for lines of at most this many columns.
    #[must_use]
    pub fn at_most(self, width: usize) -> Self {
        Self { width: Some(width), ..self }
    }

    /// The text in lines of the width, where there is one; each but the first begins with `indent`
    /// spaces. Words are never broken.
    #[must_use]
    pub fn wrap(self, text: &str, indent: usize) -> String {
        let Some(width) = self.width else { return text.to_owned() };
        let (mut wrapped, mut column) = (String::with_capacity(text.len()), 0);
        for (at, word) in text.split(' ').enumerate() {
            let length = word.chars().count();
            if column > indent && column + 1 + length > width {
                wrapped.push('\n');
                wrapped.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else if at > 0 {
                wrapped.push(' ');
                column += 1;
            }
            wrapped.push_str(word);
            column += length;
        }
        wrapped
    }

    /// The text in this style.
    #[must_use]
    pub fn text(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => return text.to_owned(),
            Style::Strong => "1",
            Style::Error => "1;31",
            Style::Warning => "1;33",
            Style::Good => "32",
            Style::Dim => "2",
        };
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Whether the locale is one of UTF-8: the first set variable of these decides (POSIX).
fn speaks_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    let locale = set.find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.ends_with("utf-8") || locale.ends_with("utf8")
}

/// Rows of cells in columns as wide as they need; the last column is not padded.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<(Style, String)>>,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        let heading = |text: &&str| (Style::Strong, (*text).to_owned());
        Self { rows: vec![headings.iter().map(heading).collect()] }
    }

    /// Adds a row of plain cells.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.styled_row(cells.into_iter().map(|cell| (Style::Plain, cell.into())));
    }

    /// Adds a row of cells with their styles.
    pub fn styled_row(&mut self, cells: impl IntoIterator<Item = (Style, String)>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text. Control characters in cells are replaced.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, (_, cell)) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            for (place, (style, cell)) in row.iter().enumerate() {
                let width = widths.get(place).copied().unwrap_or_default();
                let gap = if place + 1 == row.len() { 0 } else { width + 2 - cell.chars().count() };
                let _ = write!(text, "{}{}", paint.text(*style, &visible(cell)), " ".repeat(gap));
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["PLAN", "SIZE"]);
        table.row(["cache-server", "1"]);
        table.row(["é\n", "22"]);
        let expected = "PLAN          SIZE\ncache-server  1\né\u{fffd}            22\n";
        assert_eq!(table.render(Paint::PLAIN), expected);
    }

    #[test]
    fn the_envelope_names_version_and_command() {
        let text = json("rules", &[1]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"schemaVersion": 1, "command": "rules", "result": [1]})
        );
    }

    #[test]
    fn an_error_has_the_same_envelope() {
        let text = failure_json("push", "no \"x\"", None, Exit::Network);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let error = serde_json::json!({"message": "no \"x\"", "exitCode": 5});
        let expected = serde_json::json!({"schemaVersion": 1, "command": "push", "error": error});
        assert_eq!(value, expected);
    }

    #[test]
    fn colours_are_used_only_when_asked_for() {
        assert_eq!(Paint::PLAIN.text(Style::Error, "x"), "x");
        let paint = Paint { coloured: true, ..Paint::PLAIN };
        assert_eq!(paint.text(Style::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
    }

    #[test]
    fn pictures_are_ascii_where_the_locale_does_not_say_utf_8() {
        let with = |set: &'static [(&str, &str)]| {
            speaks_unicode(move |name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[("LANG", "en_GB.UTF-8")]) && with(&[("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(with(&[("LC_ALL", ""), ("LANG", "de_DE.UTF-8")]));
        assert!(!with(&[]) && !with(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
    }

    #[test]
    fn lines_are_wrapped_between_words_only_where_there_is_a_width() {
        let text = "one two three-and-four five";
        assert_eq!(Paint::PLAIN.wrap(text, 2), text);
        let wrapped = Paint::PLAIN.at_most(10).wrap(text, 2);
        assert_eq!(wrapped, "one two\n  three-and-four\n  five");
        assert_eq!(Paint::PLAIN.at_most(10).wrap("   = a: b", 2), "   = a: b");
    }
}
