//! The log on stderr, the audit log and the traces, set up once per process.
//!
//! Invariant: an event is one line, in both forms: a field from an upstream or a client cannot
//! begin another line, nor speak to a terminal.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt as log};

use crate::observe::audit_log::{AuditLines, ExceptAudit};
use crate::observe::traces::Traces;
use crate::runtime::spans;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    Text,
    /// An object per line.
    Json,
}

/// Logs to stderr from now on; `WHARFD_LOG` filters, for instance `WHARFD_LOG=warn`.
pub fn start(form: LogForm, default: &str, traces: Option<Traces>) {
    let filter = EnvFilter::try_from_env("WHARFD_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let spans_elsewhere = filter_fn(|about| !spans::is_span(about));
    let ordinary = filter.and(ExceptAudit).and(spans_elsewhere);
    let traces = traces.map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.into_tracer())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(spans::is_span))
    });
    Registry::default()
        .with(lines(form).with_filter(ordinary))
        .with(AuditLines.with_filter(AuditLines))
        .with(traces)
        .init();
}

fn lines<S>(form: LogForm) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let stderr = std::io::stderr;
    match form {
        LogForm::Json => log::layer().json().with_writer(stderr).with_target(false).boxed(),
        LogForm::Text => {
            let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let fields = debug_fn(write_field).delimited(" ");
            let layer = log::layer().with_writer(stderr).with_target(false).with_ansi(colour);
            layer.fmt_fields(fields).boxed()
        }
    }
}

/// `NAME=VALUE`, and the message without a name; texts in quotes.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(Escaping(writer), "{value:?}")
}

/// Writes letters that would end a line, or move a cursor, as Rust escapes them.
struct Escaping<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_harmful) {
            let (before, from) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut letters = from.chars();
            if let Some(letter) = letters.next() {
                write!(self.0, "{}", letter.escape_default())?;
            }
            rest = letters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Control characters, the other ends of lines, and letters that turn the direction of a text.
fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_on_its_line_and_keeps_its_other_letters() {
        let mut text = String::new();
        let mut writer = Writer::new(&mut text);
        let value = "a\nb\r\u{1b}[31m\u{2028}\u{202e}ä";
        write!(Escaping(&mut writer), "{value}").unwrap();
        assert_eq!(text, "a\\nb\\r\\u{1b}[31m\\u{2028}\\u{202e}ä");
    }
}
