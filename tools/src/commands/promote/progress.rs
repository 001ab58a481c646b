//! The progress of an apply: a bar on a terminal, a line from time to time elsewhere, or lines of
//! JSON for programs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cli::ProgressForm;
use crate::output::{Output, visible};
use crate::progress::time;
use crate::promote::apply::Apply;
use crate::promote::forecast::Forecast;
use crate::promote::watch::Watch;
use crate::registry::{Quota, Registry};
use crate::rules::image::size;

/// How often the bar moves, a line of JSON is written, and a line for people where there is no bar.
const TICK: Duration = Duration::from_millis(100);
const EVENT: Duration = Duration::from_secs(1);
const LINE: Duration = Duration::from_secs(20);

/// How much must have been sent before it is said how long the rest takes.
const GUESS_BYTES_MIN: u64 = 4 << 20;

/// The requests of an apply.
#[derive(Clone)]
pub(super) struct Asked {
    from: Arc<Registry>,
    to: Arc<Registry>,
}

impl Asked {
    pub(super) fn new(from: &Arc<Registry>, to: &Arc<Registry>) -> Self {
        Self { from: Arc::clone(from), to: Arc::clone(to) }
    }

    /// How many were sent.
    pub(super) fn count(&self) -> u64 {
        let of_source = if Arc::ptr_eq(&self.from, &self.to) { 0 } else { self.from.requests() };
        of_source + self.to.requests()
    }
}

/// The progress of an apply.
pub(super) struct ApplyProgress<'a> {
    output: &'a Output,
    form: Form,
    asked: Asked,
    images: u64,
    expected_bytes: u64,
    expected_requests: u64,
    ended: AtomicU64,
    sent: AtomicU64,
    spared: AtomicU64,
    started: Instant,
    /// When something was shown last.
    shown: Mutex<Instant>,
}

enum Form {
    Bar(ProgressBar),
    Lines,
    Events,
    Nothing,
}

/// A line for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "event")]
enum ProgressEvent<'a> {
    #[serde(rename_all = "camelCase")]
    Progress {
        #[serde(flatten)]
        counts: Counts,
    },
    #[serde(rename_all = "camelCase")]
    Begun { plan: &'a str },
    #[serde(rename_all = "camelCase")]
    Ended { plan: &'a str },
}

/// How far it is.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    images: u64,
    images_ended: u64,
    sent_bytes: u64,
    /// Mounted, or there before.
    spared_bytes: u64,
    expected_bytes: u64,
    requests: u64,
    expected_requests: u64,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_ms: Option<u64>,
}

impl<'a> ApplyProgress<'a> {
    /// Shows the progress of an apply in this form.
    pub(super) fn new(output: &'a Output, form: ProgressForm, apply: &Apply<'_>) -> Self {
        let forecast = Forecast::of(apply.content, Quota::default());
        let form = match form {
            ProgressForm::Json => Form::Events,
            ProgressForm::Auto if output.may_draw() => Form::Bar(drawn(output, &forecast)),
            ProgressForm::Auto if output.may_note() => Form::Lines,
            ProgressForm::Auto | ProgressForm::None => Form::Nothing,
        };
        let now = Instant::now();
        Self {
            output,
            form,
            asked: Asked::new(&apply.from, &apply.to),
            images: apply.content.items.len() as u64,
            expected_bytes: forecast.image_bytes,
            expected_requests: forecast.requests(),
            ended: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            spared: AtomicU64::new(0),
            started: now,
            shown: Mutex::new(now),
        }
    }

    /// The last word before the result.
    pub(super) fn end(&self) {
        match &self.form {
            Form::Bar(_) => self.output.set_bar(None),
            Form::Events => self.output.event(&ProgressEvent::Progress { counts: self.counts() }),
            Form::Lines | Form::Nothing => {}
        }
    }

    fn moved(&self) {
        let pause = match &self.form {
            Form::Bar(_) => TICK,
            Form::Lines => LINE,
            Form::Events => EVENT,
            Form::Nothing => return,
        };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.elapsed() < pause {
            return;
        }
        *shown = Instant::now();
        let counts = self.counts();
        match &self.form {
            Form::Bar(bar) => {
                bar.set_position(counts.passed());
                bar.set_message(counts.text());
            }
            Form::Lines => self.output.note(&format!("promoting: {}", counts.text())),
            Form::Events => self.output.event(&ProgressEvent::Progress { counts }),
            Form::Nothing => {}
        }
    }

    fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let elapsed = self.started.elapsed();
        let mut counts = Counts {
            images: self.images,
            images_ended: load(&self.ended),
            sent_bytes: load(&self.sent),
            spared_bytes: load(&self.spared),
            expected_bytes: self.expected_bytes,
            requests: self.asked.count(),
            expected_requests: self.expected_requests,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            left_ms: None,
        };
        counts.left_ms =
            counts.left(elapsed).map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        counts
    }
}

/// A bar over the bytes of all images.
fn drawn(output: &Output, forecast: &Forecast) -> ProgressBar {
    // Of nothing, a bar would be full.
    let length = Some(forecast.image_bytes.max(1));
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("promoting {bar:24} {wide_msg}") {
        bar.set_style(style.progress_chars("##-"));
    }
    output.set_bar(Some(bar.clone()));
    bar.enable_steady_tick(TICK);
    bar
}

impl Watch for ApplyProgress<'_> {
    fn begun(&self, plan: &str) {
        match &self.form {
            Form::Events => self.output.event(&ProgressEvent::Begun { plan }),
            Form::Lines => self.output.detail(&format!("promoting {}", visible(plan))),
            Form::Bar(_) | Form::Nothing => {}
        }
        self.moved();
    }

    fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.moved();
    }

    fn spared(&self, bytes: u64) {
        self.spared.fetch_add(bytes, Ordering::Relaxed);
        self.moved();
    }

    fn ended(&self, plan: &str) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        if matches!(self.form, Form::Events) {
            self.output.event(&ProgressEvent::Ended { plan });
        }
        self.moved();
    }
}

impl Counts {
    /// Chunks sent a second time do not take the bar over its end.
    const fn passed(&self) -> u64 {
        let passed = self.sent_bytes.saturating_add(self.spared_bytes);
        if passed < self.expected_bytes { passed } else { self.expected_bytes }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} of {} images, {} of {}, {} of about {} requests",
            self.images_ended,
            self.images,
            size(self.passed()),
            size(self.expected_bytes),
            self.requests,
            self.expected_requests,
        );
        let seconds = self.elapsed_ms / 1000;
        if let Some(rate) = self.sent_bytes.checked_div(seconds) {
            text = format!("{text}, {}/s", size(rate));
        }
        if let Some(left) = self.left_ms {
            text = format!("{text}, {} left", time(Duration::from_millis(left)));
        }
        text
    }

    /// The time that the rest takes, at the pace so far.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        if self.sent_bytes < GUESS_BYTES_MIN {
            return None;
        }
        let rest = self.expected_bytes.saturating_sub(self.passed());
        let millis = u128::from(rest) * elapsed.as_millis() / u128::from(self.sent_bytes);
        u64::try_from(millis).ok().map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        images: 39,
        images_ended: 12,
        sent_bytes: 100 << 20,
        spared_bytes: 300 << 20,
        expected_bytes: 700 << 20,
        requests: 800,
        expected_requests: 2000,
        elapsed_ms: 10_000,
        left_ms: Some(30_000),
    };

    #[test]
    fn a_line_tells_images_bytes_requests_rate_and_time_left() {
        assert_eq!(
            COUNTS.text(),
            "12 of 39 images, 400.0 MiB of 700.0 MiB, 800 of about 2000 requests, 10.0 MiB/s, 30 s left"
        );
        assert_eq!(COUNTS.left(Duration::from_secs(10)), Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_is_sent_twice_does_not_pass_the_end() {
        let counts = Counts { sent_bytes: 900 << 20, ..COUNTS };
        assert_eq!(counts.passed(), counts.expected_bytes);
        assert_eq!(counts.left(Duration::from_secs(10)), Some(Duration::ZERO));
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let event = ProgressEvent::Progress { counts: COUNTS };
        let line = serde_json::to_string(&event).unwrap_or_default();
        assert!(line.starts_with(r#"{"event":"progress","images":39,"imagesEnded":12,"#), "{line}");
    }
}
