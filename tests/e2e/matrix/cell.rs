//! One cell of the matrix: a fresh blob, a fault, one client or many, and the result.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::{Instant, sleep, timeout};
use wharf_double::{FaultRule, Kind};
use wharf_testkit::http::{Answer, Client};
use wharf_testkit::images::sha256;

use super::rows::{Row, Times};
use crate::fixture::{Api, PATIENCE, Stage, noise};

const BLOB_BYTES: usize = 2 * 1024 * 1024 + 4_321;
const RANGE: std::ops::Range<usize> = 1_000_000..2_000_000;
const HERD: usize = 32;
/// How often is asked whether a fault is over.
const POLL: Duration = Duration::from_millis(50);
/// The proxy gives up sooner, so a client without a response by then would never get one.
const HUNG: Duration = Duration::from_secs(50);
/// More than any number of requests in one cell.
const EACH_TIME: u64 = 100_000;
/// One download, the tries of one request, and a new link or two; and each as often as it is resumed.
const ASKED_MAX: usize = 16;

/// The shape of the clients' requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Whole,
    Range,
    Herd,
    Digest,
    FirstTag,
    KnownTag,
}

impl Shape {
    /// The shapes of a blob. A range comes from the same download as the whole, so a lasting fault
    /// is tried with the whole only.
    pub(super) const fn of_blobs(times: Times) -> &'static [Self] {
        match times {
            Times::Once => &[Self::Whole, Self::Range, Self::Herd],
            Times::EachTime => &[Self::Whole, Self::Herd],
        }
    }
}

/// One client's result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen {
    /// The requested bytes, and no others.
    Right,
    /// An error status.
    Error(u16),
    /// No end: the connection broke before it.
    Broken,
    /// A response with a complete look and wrong content.
    Wrong(String),
    Hung,
}

impl Seen {
    /// The result of a response, or of none, compared with the right bytes.
    pub(super) fn of(answer: anyhow::Result<Answer>, right: &[u8]) -> Self {
        match answer {
            Ok(answer) if answer.status.as_u16() >= 400 => Self::Error(answer.status.as_u16()),
            Ok(answer) if answer.status.is_success() && answer.body == right => Self::Right,
            Ok(answer) => {
                Self::Wrong(format!("{} with {} bytes", answer.status, answer.body.len()))
            }
            Err(_) => Self::Broken,
        }
    }
}

/// A cell of the table.
pub(super) struct Finding {
    pub(super) fault: String,
    pub(super) times: Times,
    pub(super) shape: Shape,
    /// Whether all clients must get the right bytes.
    pub(super) hidden: bool,
    pub(super) seen: Vec<Seen>,
    /// A client's result after the fault.
    pub(super) after: Result<(), String>,
    /// Requests to the registry and to the storage.
    pub(super) asked: (usize, usize),
}

impl Finding {
    pub(super) fn key(&self) -> (String, Times, Shape) {
        (self.fault.clone(), self.times, self.shape)
    }

    fn client(&self) -> String {
        let mut kinds = BTreeMap::<&Seen, usize>::new();
        for seen in &self.seen {
            *kinds.entry(seen).or_default() += 1;
        }
        let words = kinds.iter().map(|(seen, number)| {
            let word = match seen {
                Seen::Right => "right".to_owned(),
                Seen::Error(status) => format!("error {status}"),
                Seen::Broken => "broken".to_owned(),
                Seen::Wrong(what) => format!("WRONG {what}"),
                Seen::Hung => "HUNG".to_owned(),
            };
            if self.seen.len() == 1 { word } else { format!("{number} {word}") }
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The cell's failure.
    pub(super) fn complaint(&self) -> Option<String> {
        let wrong = |seen: &Seen| matches!(seen, Seen::Wrong(_) | Seen::Hung);
        let reason = if self.seen.iter().any(wrong) {
            "neither right nor a clean error"
        } else if self.hidden && self.seen.iter().any(|seen| *seen != Seen::Right) {
            "should be hidden"
        } else if let Err(after) = &self.after {
            after
        } else if self.shape == Shape::Herd && self.asked.1.max(self.asked.0) > ASKED_MAX {
            "a herd that asks too often"
        } else {
            return None;
        };
        Some(format!("{self} {reason}"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (registry, storage) = self.asked;
        let Self { fault, times, shape, .. } = self;
        let client = self.client();
        write!(f, "| {fault} | {times:?} | {shape:?} | {client} | {registry} | {storage} |")
    }
}

/// Where cells of one lane are tried out.
pub(super) struct Ground {
    pub(super) stage: Stage,
    content: Vec<u8>,
    cells: AtomicU64,
}

impl Ground {
    pub(super) fn new(stage: Stage) -> Self {
        Self { stage, content: noise(1, BLOB_BYTES), cells: AtomicU64::new(0) }
    }

    /// A blob unique to this cell, in a repository of its own.
    async fn plant(&self) -> (String, String, Bytes) {
        let cell = self.cells.fetch_add(1, Ordering::Relaxed);
        let mut content = self.content.clone();
        content[8..16].copy_from_slice(&cell.to_be_bytes());
        let (repo, content) = (format!("matrix/c{cell}"), Bytes::from(content));
        let digest = self.stage.origin.push_blob(&repo, content.clone()).await;
        assert_eq!(digest, sha256(&content));
        (repo, digest, content)
    }

    /// Tries a fault on clients of this shape.
    pub(super) async fn try_out(&self, row: &Row, times: Times, shape: Shape) -> Finding {
        let (repo, digest, content) = self.plant().await;
        for rule in &row.rules {
            self.stage.double.set_fault(Self::aimed(rule, times, &digest));
        }
        let (range, clients) = match shape {
            Shape::Range => (Some(RANGE), 1),
            Shape::Herd => (None, HERD),
            _ => (None, 1),
        };
        let right = range.clone().map_or_else(|| content.clone(), |range| content.slice(range));
        let ask = || {
            let api = Api::new(self.stage.api().base().to_owned(), Client::new());
            let (path, right) = (format!("/v2/{repo}/blobs/{digest}"), right.clone());
            let range = range.clone();
            tokio::spawn(async move {
                let call = api.call(Method::GET, &path);
                let call = match range {
                    Some(range) => {
                        call.header("range", format!("bytes={}-{}", range.start, range.end - 1))
                    }
                    None => call,
                };
                let answer = timeout(HUNG, call.send()).await;
                answer.map_or(Seen::Hung, |answer| Seen::of(answer, &right))
            })
        };
        let asking: Vec<_> = (0..clients).map(|_| ask()).collect();
        let mut seen = Vec::new();
        for client in asking {
            seen.push(client.await.unwrap());
        }
        let asked = (self.asked(Kind::BlobGet, &digest), self.asked(Kind::StorageGet, &digest));
        self.withdraw(&row.rules, times, &digest);
        let after = self.is_right_after(&repo, &digest, &content).await;
        let (fault, hidden) = (row.name.clone(), row.is_hidden(times));
        Finding { fault, times, shape, hidden, seen, after, asked }
    }

    fn aimed(rule: &FaultRule, times: Times, digest: &str) -> FaultRule {
        let rule = rule.clone();
        let rule = if rule.kind == Some(Kind::Token) { rule } else { rule.of_digest(digest) };
        if times == Times::Once { rule } else { rule.times(EACH_TIME) }
    }

    /// Cancels the faults ordered for this cell alone.
    fn withdraw(&self, rules: &[FaultRule], times: Times, digest: &str) {
        let ordered: Vec<_> = rules.iter().map(|rule| Self::aimed(rule, times, digest)).collect();
        let of_all = ordered.iter().any(|rule| rule.digest.is_none());
        let waiting = self.stage.double.waiting_faults();
        self.stage.double.clear_faults();
        let kept = |rule: &FaultRule| {
            rule.digest.as_deref() != Some(digest) && !(of_all && rule.digest.is_none())
        };
        waiting.into_iter().filter(kept).for_each(|rule| self.stage.double.set_fault(rule));
    }

    fn asked(&self, kind: Kind, digest: &str) -> usize {
        let journal = self.stage.double.journal();
        let of_digest = |entry: &&wharf_double::Entry| {
            entry.kind == kind && entry.digest.as_deref() == Some(digest) && entry.status != 401
        };
        journal.iter().filter(of_digest).count()
    }

    /// The right blob comes and is kept. First the earlier download is given up, and a pause
    /// requested by the upstream passes.
    async fn is_right_after(&self, repo: &str, digest: &str, right: &[u8]) -> Result<(), String> {
        let path = format!("/v2/{repo}/blobs/{digest}");
        recovers(right, true, async || self.stage.api().call(Method::GET, &path).send().await).await
    }
}

/// Asks until the right answer comes, and comes from here when it is `kept`. A wrong one ends it.
pub(super) async fn recovers(
    right: &[u8],
    kept: bool,
    ask: impl AsyncFn() -> anyhow::Result<Answer>,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        let hit = answer.as_ref().is_ok_and(|answer| answer.header("wharf-cache") == "hit");
        match Seen::of(answer, right) {
            Seen::Right if hit || !kept => return Ok(()),
            seen @ (Seen::Wrong(_) | Seen::Hung) => return Err(format!("then {seen:?}")),
            seen if Instant::now() >= deadline => return Err(format!("for ever {seen:?}")),
            _ => sleep(POLL).await,
        }
    }
}
