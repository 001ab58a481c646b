//! From an event with a field `audit` to a line of JSON in the audit log. Without such a file the
//! event is a line of the ordinary log, as every other.
//!
//! Invariant: one event is one line, for any content of its fields.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Filter, Layer};

use super::{has_file, write};

/// Takes events with a field `audit` to the file, when there is one.
#[derive(Debug, Default)]
pub(crate) struct AuditLines;

/// Keeps such events from the ordinary log while there is a file.
#[derive(Debug, Default)]
pub(crate) struct ExceptAudit;

/// Whether it is an event for the audit log.
fn is_audit(about: &Metadata<'_>) -> bool {
    about.is_event() && about.fields().field("audit").is_some()
}

impl<S: Subscriber> Layer<S> for AuditLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if has_file() {
            write(line(event));
        }
    }
}

/// For the layer above.
impl<S> Filter<S> for AuditLines {
    fn enabled(&self, about: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        is_audit(about)
    }

    fn callsite_enabled(&self, about: &'static Metadata<'static>) -> Interest {
        if is_audit(about) { Interest::always() } else { Interest::never() }
    }
}

impl<S> Filter<S> for ExceptAudit {
    fn enabled(&self, about: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        !is_audit(about) || !has_file()
    }

    fn callsite_enabled(&self, about: &'static Metadata<'static>) -> Interest {
        if is_audit(about) { Interest::sometimes() } else { Interest::always() }
    }
}

fn line(event: &Event<'_>) -> String {
    let mut fields = Fields(Map::new());
    let mut time = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    fields.0.insert("time".to_owned(), Value::String(time));
    event.record(&mut fields);
    Value::Object(fields.0).to_string()
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
