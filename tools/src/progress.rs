//! Progress as a person sees it: a bar at a terminal, a line from time to time where there is none.
//!
//! Invariant: progress never goes to stdout, and no result depends on it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::image::progress::Progress;
use crate::output::{Output, visible};
use crate::rules::image::size;

/// How often the bar moves, and how often a line is written where there is no bar.
const TICK: Duration = Duration::from_millis(100);
const LINE: Duration = Duration::from_secs(20);

/// How often numbers become text at most.
const LOOK_MILLIS: u64 = 50;

/// How much must have been done before it is said how long the rest takes.
const GUESS_BYTES_MIN: u64 = 8 << 20;

/// Whether, and how, progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    Bar,
    Lines,
    Nothing,
}

impl Show {
    /// The kind for the stream and the option.
    #[must_use]
    pub fn on(output: &Output, wanted: bool) -> Self {
        match (wanted && output.may_draw(), output.may_note()) {
            (true, _) => Self::Bar,
            (false, true) => Self::Lines,
            (false, false) => Self::Nothing,
        }
    }
}

/// The progress of `wharf package`.
pub struct TerminalProgress<'a> {
    output: &'a Output,
    show: Show,
    bar: ProgressBar,
    /// The word for a plan's beginning: `packaging`, `checking`.
    doing: &'static str,
    plans: usize,
    begun: AtomicUsize,
    done: AtomicUsize,
    expected: AtomicU64,
    written: AtomicU64,
    spared: AtomicU64,
    started: Instant,
    /// When it was looked at last, in milliseconds since the start.
    looked: AtomicU64,
    /// When a line was written last.
    said: Mutex<Instant>,
}

impl<'a> TerminalProgress<'a> {
    /// Shows progress over so many plans.
    #[must_use]
    pub fn new(output: &'a Output, show: Show, doing: &'static str, plans: usize) -> Self {
        let bar = match show {
            Show::Bar => ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr()),
            Show::Lines | Show::Nothing => ProgressBar::hidden(),
        };
        if show == Show::Bar {
            if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {wide_msg}") {
                bar.set_style(style.progress_chars("##-"));
            }
            output.set_bar(Some(bar.clone()));
            bar.enable_steady_tick(TICK);
        }
        let now = Instant::now();
        Self {
            output,
            show,
            bar,
            doing,
            plans,
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            expected: AtomicU64::new(0),
            written: AtomicU64::new(0),
            spared: AtomicU64::new(0),
            started: now,
            looked: AtomicU64::new(0),
            said: Mutex::new(now),
        }
    }

    /// Bytes come in many pieces, too often for a person's eye.
    fn moved(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let before = self.looked.load(Ordering::Relaxed);
        if now >= before.saturating_add(LOOK_MILLIS) {
            self.looked.store(now, Ordering::Relaxed);
            self.show();
        }
    }

    fn show(&self) {
        let counts = self.counts();
        match self.show {
            Show::Nothing => {}
            Show::Bar => {
                // Of nothing, a bar would be full.
                self.bar.set_length(counts.expected.max(1));
                self.bar.set_position(counts.passed());
                self.bar.set_message(counts.text(self.started.elapsed()));
            }
            Show::Lines => {
                let Ok(mut said) = self.said.try_lock() else { return };
                if said.elapsed() >= LINE {
                    *said = Instant::now();
                    let text = counts.text(self.started.elapsed());
                    self.output.note(&format!("{}: {text}", self.doing));
                }
            }
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            plans: self.plans,
            begun: self.begun.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            expected: self.expected.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            spared: self.spared.load(Ordering::Relaxed),
        }
    }
}

impl Progress for TerminalProgress<'_> {
    fn plan_begun(&self, plan: &str) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let text = format!("{} {}", self.doing, visible(plan));
        match self.show {
            Show::Bar => self.bar.set_prefix(text),
            Show::Lines => self.output.note(&text),
            Show::Nothing => {}
        }
        self.show();
    }

    fn expected(&self, bytes: u64) {
        self.expected.fetch_add(bytes, Ordering::Relaxed);
        self.moved();
    }

    fn written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
        self.moved();
    }

    fn spared(&self, bytes: u64) {
        self.spared.fetch_add(bytes, Ordering::Relaxed);
        self.moved();
    }

    fn plan_done(&self, _plan: &str) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.moved();
    }
}

impl Drop for TerminalProgress<'_> {
    fn drop(&mut self) {
        let _said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if self.show == Show::Bar {
            self.output.set_bar(None);
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
struct Counts {
    plans: usize,
    begun: usize,
    done: usize,
    expected: u64,
    written: u64,
    spared: u64,
}

impl Counts {
    const fn passed(&self) -> u64 {
        self.written.saturating_add(self.spared)
    }

    fn text(&self, elapsed: Duration) -> String {
        let plans = if self.plans == 1 { "plan" } else { "plans" };
        let mut text = format!("{} of {} {plans} done", self.done, self.plans);
        if self.expected > 0 {
            let passed = self.passed().min(self.expected);
            text = format!("{} of {}, {text}", size(passed), size(self.expected));
        }
        if let Some(left) = self.left(elapsed) {
            // The content of the later plans is unknown.
            let more = if self.begun < self.plans { ", then the next plan" } else { "" };
            text = format!("{text}, {} left{more}", time(left));
        }
        text
    }

    /// The time that the known rest takes, at the pace so far.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        if self.written < GUESS_BYTES_MIN {
            return None;
        }
        let rest = self.expected.saturating_sub(self.passed());
        let millis = u128::from(rest) * elapsed.as_millis() / u128::from(self.written);
        u64::try_from(millis).ok().map(Duration::from_millis)
    }
}

/// A time as people say it.
pub(crate) fn time(left: Duration) -> String {
    match left.as_secs() {
        0 => "under 1 s".to_owned(),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        plans: 3,
        begun: 2,
        done: 1,
        expected: 400 << 20,
        written: 50 << 20,
        spared: 150 << 20,
    };

    #[test]
    fn bytes_plans_and_the_time_left_are_told() {
        // 50 MiB took 10 s, so 200 MiB more take 40 s; spared bytes took no time.
        let text = COUNTS.text(Duration::from_secs(10));
        assert_eq!(
            text,
            "200.0 MiB of 400.0 MiB, 1 of 3 plans done, 40 s left, then the next plan"
        );
        let last = Counts { begun: 3, ..COUNTS }.text(Duration::from_secs(10));
        assert!(last.ends_with("40 s left"), "{last}");
    }

    #[test]
    fn nothing_is_guessed_from_little_and_nothing_is_over_the_whole() {
        let little = Counts { written: 1, spared: 0, ..COUNTS };
        assert!(!little.text(Duration::from_secs(9)).contains("left"));
        let over = Counts { written: 900 << 20, spared: 0, ..COUNTS };
        let text = over.text(Duration::from_secs(9));
        assert!(
            text.starts_with("400.0 MiB of 400.0 MiB") && text.contains("under 1 s left"),
            "{text}"
        );
        let empty = Counts { expected: 0, written: 0, spared: 0, plans: 1, begun: 1, done: 0 };
        assert_eq!(empty.text(Duration::ZERO), "0 of 1 plan done");
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        let said = |seconds| time(Duration::from_secs(seconds));
        assert_eq!([said(0), said(59), said(61)], ["under 1 s", "59 s", "1 min 01 s"]);
        assert_eq!(said(7260), "2 h 01 min");
    }
}
