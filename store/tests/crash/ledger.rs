//! What a killed process said that it did, and what a store must therefore have. Reads lines, knows
//! no store.
//!
//! Invariant: an operation without an answer ends at the kill, and may or may not have happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use wharf_oci::Digest;
use wharf_store::contract::noise;
use wharf_store::limits::SEGMENT_BYTES;

use crate::ground::{MIB, digest_of};

/// Blobs below this may be published as kept; they are few enough to fit into the limit together.
pub(super) const KEPT_ITEMS: u64 = 28;
/// Blobs below this are filled; all together are more than the limit.
pub(super) const ITEMS: u64 = 168;
/// Uploads are numbered from here, so that their content is nobody else's.
pub(super) const FIRST_UPLOAD: u64 = 100_000;

/// How many lines are remembered.
const LAST_LEN_MAX: usize = 5_000;
/// What a content repeats.
const PAGE: usize = 64 * 1024;
/// Where something changes: segments, small blobs, runs.
const SIZES: [usize; 14] = [
    1,
    100,
    4096,
    SEGMENT_BYTES - 1,
    SEGMENT_BYTES,
    SEGMENT_BYTES + 1,
    2 * SEGMENT_BYTES,
    2 * SEGMENT_BYTES + 1,
    3 * SEGMENT_BYTES + 5,
    5 * SEGMENT_BYTES,
    3 * MIB,
    20 * SEGMENT_BYTES + 17,
    6 * MIB,
    20 * MIB,
];

/// The size of a numbered content.
pub(super) fn size_of(item: u64) -> usize {
    SIZES[usize::try_from(item).unwrap() % SIZES.len()]
}

/// A numbered content: the same in every process, and made fast, because a process that makes content
/// does nothing to its store. Those of one byte are all the same.
pub(super) fn content_of(item: u64) -> Bytes {
    let page = noise(PAGE.min(size_of(item)), item + 1);
    let mut content = Vec::with_capacity(size_of(item) + PAGE);
    while content.len() < size_of(item) {
        // Pages differ, or a wrong order of segments would hash right.
        content.extend_from_slice(&(content.len() as u64).to_le_bytes()[..8.min(page.len())]);
        content.extend_from_slice(&page);
    }
    content.truncate(size_of(item));
    Bytes::from(content)
}

/// One operation on a blob, as positions in the order of lines.
#[derive(Debug, Clone, Copy)]
struct Step {
    what: What,
    begin: usize,
    /// Answered here, or killed here.
    end: Option<usize>,
    answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Fill,
    Keep,
    Remove,
    /// To the repository that is looked at after a kill.
    Link,
    LinkElsewhere,
}

/// What is known of an upload.
#[derive(Debug, Clone, Copy, Default)]
struct Upload {
    /// It rested with so many bytes: it is there, with at least these.
    rested: Option<u64>,
    /// It is being finished or forgotten, or was.
    ending: bool,
}

/// Everything that was said so far.
#[derive(Default)]
pub(super) struct Ledger {
    position: usize,
    steps: BTreeMap<Digest, Vec<Step>>,
    /// The step that each thread is in.
    open: BTreeMap<u64, (Digest, usize)>,
    digests: BTreeMap<u64, Digest>,
    uploads: BTreeMap<u64, Upload>,
    /// The last lines, for whoever looks into a failure.
    last: VecDeque<String>,
    /// What went wrong in the process itself.
    pub(super) complaints: Vec<String>,
    pub(super) counts: BTreeMap<String, u64>,
}

impl Ledger {
    /// Takes a line `thread verb number rest`.
    pub(super) fn take(&mut self, line: &str) {
        self.position += 1;
        self.note(line);
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or_default();
        let (thread, verb, item, rest) = (next(), next(), next(), next());
        let (thread, item) = (thread.parse().unwrap(), item.parse::<u64>().unwrap_or_default());
        *self.counts.entry(verb.to_owned()).or_default() += 1;
        match verb {
            "fill?" => self.begin(thread, item, What::Fill),
            "keep?" => self.begin(thread, item, What::Keep),
            "remove?" => self.begin(thread, item, What::Remove),
            "link?" if item < KEPT_ITEMS => self.begin(thread, item, What::Link),
            "link?" => self.begin(thread, item, What::LinkElsewhere),
            "fill!" | "keep!" | "remove!" | "link!" => self.answer(thread),
            "upload?" => drop(self.uploads.entry(item).or_default()),
            "rest!" => self.upload(item).rested = Some(rest.parse().unwrap()),
            "end?" => self.upload(item).ending = true,
            "error" => self.complaints.push(line.to_owned()),
            "full" | "opening" | "opened" | "evict" | "scrub" | "read" | "resume?" | "end!" => {}
            _ => panic!("a line that nobody writes: {line:?}"),
        }
    }

    /// The process is gone, and with it what it had not answered.
    pub(super) fn killed(&mut self) {
        self.position += 1;
        self.note("killed");
        for (digest, step) in std::mem::take(&mut self.open).into_values() {
            self.steps.get_mut(&digest).unwrap()[step].end = Some(self.position);
        }
    }

    pub(super) fn digest(&mut self, item: u64) -> Digest {
        *self.digests.entry(item).or_insert_with(|| digest_of(&content_of(item)))
    }

    /// Every blob that was ever named, and its size.
    pub(super) fn named(&self) -> BTreeMap<Digest, u64> {
        let named = self.digests.iter();
        named.map(|(item, digest)| (*digest, size_of(*item) as u64)).collect()
    }

    fn note(&mut self, line: &str) {
        self.last.push_back(format!("{} {line}", self.position));
        if self.last.len() > LAST_LEN_MAX {
            self.last.pop_front();
        }
    }

    /// The last lines about a numbered blob or upload, and which kills fell between.
    pub(super) fn story(&self, item: u64) -> Vec<&str> {
        let item = item.to_string();
        let about = |line: &&String| {
            line.ends_with("killed") || line.split(' ').nth(3) == Some(item.as_str())
        };
        self.last.iter().filter(about).map(String::as_str).collect()
    }

    /// The last lines about a blob, under each of its numbers.
    pub(super) fn story_of(&self, digest: &Digest) -> Vec<Vec<&str>> {
        let numbers = self.digests.iter().filter(|(_, named)| *named == digest);
        numbers.map(|(item, _)| self.story(*item)).collect()
    }

    fn begin(&mut self, thread: u64, item: u64, what: What) {
        let digest = self.digest(item);
        let step = Step { what, begin: self.position, end: None, answered: false };
        let steps = self.steps.entry(digest).or_default();
        steps.push(step);
        self.open.insert(thread, (digest, steps.len() - 1));
    }

    fn answer(&mut self, thread: u64) {
        let (digest, step) = self.open.remove(&thread).expect("an answer without a question");
        let step = &mut self.steps.get_mut(&digest).unwrap()[step];
        (step.end, step.answered) = (Some(self.position), true);
    }

    fn upload(&mut self, item: u64) -> &mut Upload {
        self.uploads.get_mut(&item).expect("an upload that was begun")
    }

    /// It was published as kept, and not removed since.
    pub(super) fn must_be_there(&self, digest: &Digest) -> bool {
        self.kept_at(digest).is_some()
    }

    /// When it was published as kept for the first time since the last removal.
    fn kept_at(&self, digest: &Digest) -> Option<usize> {
        let steps = self.steps_of(digest);
        let last_removal = last_end(steps, |what| what == What::Remove);
        let kept = steps.iter().filter(|step| step.what == What::Keep && step.answered);
        kept.filter(|step| Some(step.begin) > last_removal).filter_map(|step| step.end).min()
    }

    fn steps_of(&self, digest: &Digest) -> &[Step] {
        self.steps.get(digest).map_or(&[], Vec::as_slice)
    }

    /// It was never published, or removed with no publishing that could have come later.
    pub(super) fn must_be_gone(&self, digest: &Digest) -> bool {
        let steps = self.steps_of(digest);
        let Some(last) = last_end(steps, |what| matches!(what, What::Fill | What::Keep)) else {
            return true;
        };
        let mut removals = steps.iter().filter(|step| step.what == What::Remove && step.answered);
        removals.any(|step| step.begin > last)
    }

    /// Linked after it was kept, and not removed since. What was cached may have been evicted before
    /// it was kept, and its links with it.
    pub(super) fn must_be_linked(&self, digest: &Digest) -> bool {
        let Some(kept) = self.kept_at(digest) else {
            return false;
        };
        let mut links =
            self.steps_of(digest).iter().filter(|step| step.what == What::Link && step.answered);
        links.any(|step| step.begin > kept)
    }

    /// Uploads that must be at rest, with at least how many bytes.
    pub(super) fn must_rest(&self) -> BTreeMap<u64, u64> {
        let live = self.uploads.iter().filter(|(_, upload)| !upload.ending);
        live.filter_map(|(item, upload)| Some((*item, upload.rested?))).collect()
    }

    /// Uploads that may be at rest. One that ended may be too: that is made durable later.
    pub(super) fn begun(&self) -> BTreeSet<u64> {
        self.uploads.keys().copied().collect()
    }
}

/// When the last step of a kind ended; one that was not answered yet never did.
fn last_end(steps: &[Step], kind: impl Fn(What) -> bool) -> Option<usize> {
    let of_kind = steps.iter().filter(|step| kind(step.what));
    of_kind.map(|step| step.end.unwrap_or(usize::MAX)).max()
}

#[test]
fn what_must_be_follows_from_what_was_said() {
    let mut ledger = Ledger::default();
    let (kept, cached) = (ledger.digest(1), ledger.digest(2));
    assert!(ledger.must_be_gone(&kept) && !ledger.must_be_there(&kept));
    for line in ["0 keep? 1 ", "1 fill? 2 ", "0 keep! 1 ", "1 fill! 2 ", "0 link? 1 ", "0 link! 1 "]
    {
        ledger.take(line);
    }
    assert!(ledger.must_be_linked(&kept) && !ledger.must_be_gone(&kept));
    assert!(!ledger.must_be_there(&cached) && !ledger.must_be_gone(&cached));
    ledger.take("0 remove? 1 ");
    assert!(!ledger.must_be_there(&kept) && !ledger.must_be_gone(&kept));
    // A publishing that overlaps the removal may have come before it or after.
    ledger.take("1 keep? 1 ");
    ledger.take("0 remove! 1 ");
    ledger.take("1 keep! 1 ");
    assert!(!ledger.must_be_there(&kept) && !ledger.must_be_gone(&kept));
    ledger.take("0 remove? 1 ");
    ledger.take("0 remove! 1 ");
    assert!(ledger.must_be_gone(&kept));
    ledger.take("1 keep? 1 ");
    ledger.killed();
    assert!(!ledger.must_be_there(&kept) && !ledger.must_be_gone(&kept));
    ledger.take("1 keep? 1 ");
    ledger.take("1 keep! 1 ");
    assert!(ledger.must_be_there(&kept) && !ledger.must_be_linked(&kept));
}
