//! The process that is killed: threads that do to a store whatever can be done to it, and say so
//! before and after. Checks nothing but what it reads itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use wharf_oci::{Digest, RepoName, UploadId};
use wharf_store::{
    BlobStore, BlobWriter, Eviction, ManifestStore, NewUpload, Result, Retention, RocksStore,
    ScrubPlan, StoreError, StoreOptions, UploadStore, limits,
};

use super::ledger::{FIRST_UPLOAD, ITEMS, KEPT_ITEMS, content_of, size_of};
use crate::ground::{Dice, MIB, PIECE, digest_of, go_on, hash_of};

/// `seed`, `kill` and the folder of the store, one space between them.
pub(super) const ORDER: &str = "WHARF_CRASH_CHILD";
/// What lines for the parent begin with; the test harness writes others.
pub(super) const MARK: &str = "@ ";
const THREADS: u64 = 4;
/// Uploads at rest are not evicted: more of them would leave no room for blobs.
const RESTING_MAX: usize = 5;
/// Longer than any parent waits: then there is no parent any more.
const LIFE: Duration = Duration::from_secs(30);

pub(super) fn options() -> StoreOptions {
    let limit_bytes = Some(limits::LIMIT_BYTES_MIN);
    StoreOptions { limit_bytes, hot_bytes: 8 * MIB as u64, ..StoreOptions::default() }
}

/// Not a test by itself: without an order it has nothing to do.
#[test]
fn workload() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let mut words = order.splitn(3, ' ');
    let mut next = || words.next().expect("seed, kill, folder");
    let (seed, kill) = (next().parse::<u64>().unwrap(), next().parse::<u64>().unwrap());
    let folder = PathBuf::from(next());
    say(0, "opening", 0, "");
    let store = RocksStore::open_with(&folder, &options()).expect("open");
    say(0, "opened", 0, "");
    let first_upload = FIRST_UPLOAD + kill * 10_000;
    let shared = Shared {
        store,
        busy: Mutex::new(BTreeSet::new()),
        next_upload: AtomicU64::new(first_upload),
        digests: Mutex::default(),
        end: Instant::now() + LIFE,
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let dice = Dice::new(seed.wrapping_mul(31).wrapping_add(thread));
            let mut worker = Worker { shared: &shared, thread, dice };
            scope.spawn(move || worker.work());
        }
    });
}

struct Shared {
    store: RocksStore,
    /// Uploads that a thread has in hand.
    busy: Mutex<BTreeSet<u64>>,
    next_upload: AtomicU64,
    digests: Mutex<BTreeMap<u64, Digest>>,
    end: Instant,
}

impl Shared {
    fn digest(&self, item: u64) -> Digest {
        let mut digests = self.digests.lock().unwrap();
        *digests.entry(item).or_insert_with(|| digest_of(&content_of(item)))
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    thread: u64,
    dice: Dice,
}

/// One line in one write, so that a kill leaves it whole or not at all.
fn say(thread: u64, verb: &str, item: u64, rest: &str) {
    let rest = rest.replace('\n', " ");
    let line = format!("\n{MARK}{thread} {verb} {item} {rest}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).expect("the parent listens");
    out.flush().expect("the parent listens");
}

impl Worker<'_> {
    fn say(&self, verb: &str, item: u64, rest: &str) {
        say(self.thread, verb, item, rest);
    }

    fn work(&mut self) {
        while Instant::now() < self.shared.end {
            match self.act() {
                Ok(()) => {}
                Err(StoreError::Full { .. }) => self.say("full", 0, ""),
                Err(error) => self.say("error", 0, &format!("{error:?}")),
            }
        }
        self.say("error", 0, "nobody killed this process");
    }

    fn act(&mut self) -> Result<()> {
        match self.dice.between(0, 100) {
            0..45 => self.fill(),
            45..50 => self.give_up(),
            50..68 => self.upload(),
            68..76 => self.remove(),
            76..82 => self.evict(),
            82..85 => self.scrub(),
            85..92 => self.read(),
            _ => self.link(),
        }
    }

    fn item(&mut self) -> u64 {
        let items = if self.dice.percent(40) { KEPT_ITEMS } else { ITEMS };
        self.dice.between(0, items)
    }

    fn append(&mut self, writer: &mut BlobWriter, content: &Bytes, up_to: usize) -> Result<()> {
        let at = usize::try_from(writer.size_bytes()).unwrap();
        let mut rest = content.slice(at..up_to);
        while !rest.is_empty() {
            let piece = self.dice.pick(&[1000, PIECE, 5 * PIECE]).unwrap_or(PIECE);
            writer.append(rest.split_to(piece.min(rest.len())))?;
        }
        Ok(())
    }

    /// A pull or a push.
    fn fill(&mut self) -> Result<()> {
        let item = self.item();
        let keep = item < KEPT_ITEMS && self.dice.percent(50);
        let (retention, verb) =
            if keep { (Retention::Kept, "keep") } else { (Retention::Cached, "fill") };
        let content = content_of(item);
        let mut writer = self.shared.store.begin()?;
        self.append(&mut writer, &content, content.len())?;
        let ready = writer.verify(&digest_of(&content))?.expect("the digest is right");
        self.say(&format!("{verb}?"), item, "");
        let published = ready.publish(retention);
        if published.is_ok() {
            self.say(&format!("{verb}!"), item, "");
        }
        published.map(|_| ())
    }

    /// A writer that goes away in the middle, or turns out to be wrong.
    fn give_up(&mut self) -> Result<()> {
        let item = self.item();
        let mut writer = self.shared.store.begin()?;
        let up_to = self.dice.between(0, size_of(item) as u64 + 1);
        self.append(&mut writer, &content_of(item), usize::try_from(up_to).unwrap())?;
        if self.dice.percent(50) {
            assert!(writer.verify(&digest_of(b"something else"))?.is_err());
        }
        Ok(())
    }

    fn upload(&mut self) -> Result<()> {
        let store = &self.shared.store;
        let resting = store.saved_uploads()?;
        let resume = resting.len() >= RESTING_MAX || self.dice.percent(60);
        let (item, writer) = if resume {
            let numbers: Vec<u64> =
                resting.iter().map(|upload| u64::try_from(upload.id.as_u128()).unwrap()).collect();
            let Some(item) = self.dice.pick(&numbers) else {
                return Ok(());
            };
            if !self.shared.busy.lock().unwrap().insert(item) {
                return Ok(());
            }
            self.say("resume?", item, "");
            let Some(writer) = store.resume_upload(UploadId::from_u128(u128::from(item)))? else {
                // Another thread ended it since it was listed.
                self.shared.busy.lock().unwrap().remove(&item);
                return Ok(());
            };
            (item, writer)
        } else {
            let item = self.shared.next_upload.fetch_add(1, Ordering::Relaxed);
            self.shared.busy.lock().unwrap().insert(item);
            self.say("upload?", item, "");
            let repo: RepoName = "acme/pushed".parse().unwrap();
            (
                item,
                store.begin_upload(NewUpload::unowned(
                    UploadId::from_u128(u128::from(item)),
                    &repo,
                ))?,
            )
        };
        self.go_on_with(item, writer)
    }

    /// Some more bytes, then one of the ways in which an upload ends or waits.
    fn go_on_with(&mut self, item: u64, mut writer: BlobWriter) -> Result<()> {
        let content = content_of(item);
        let up_to = self.dice.between(writer.size_bytes(), content.len() as u64 + 1);
        if let Err(error) = self.append(&mut writer, &content, usize::try_from(up_to).unwrap()) {
            // The writer is dropped by this, and the upload with it.
            self.say("end?", item, "");
            return Err(error);
        }
        match self.dice.between(0, 100) {
            0..45 => {
                let rests = writer.suspend();
                let verb = if rests.is_ok() { "rest!" } else { "end?" };
                self.say(verb, item, &up_to.to_string());
                rests?;
                self.shared.busy.lock().unwrap().remove(&item);
            }
            // Nothing is said to the store, and the upload stays in hand: as when it is killed.
            45..60 => std::mem::forget(writer),
            60..70 => {
                self.say("end?", item, "");
                drop(writer);
                self.say("end!", item, "");
            }
            _ => {
                self.say("end?", item, "");
                self.append(&mut writer, &content, content.len())?;
                let ready = writer.verify(&digest_of(&content))?.expect("the digest is right");
                self.say("fill?", item, "");
                ready.publish(Retention::Cached)?;
                self.say("fill!", item, "");
                self.say("end!", item, "");
            }
        }
        Ok(())
    }

    fn remove(&mut self) -> Result<()> {
        let item = self.item();
        let digest = self.shared.digest(item);
        self.say("remove?", item, "");
        self.shared.store.remove(&digest)?;
        self.say("remove!", item, "");
        Ok(())
    }

    fn evict(&mut self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let ms = u64::try_from(now).unwrap() - self.dice.between(0, 3_000);
        let disk_bytes = self.dice.between(64, 256) * MIB as u64;
        let eviction = match self.dice.between(0, 3) {
            0 => Eviction::DownTo { disk_bytes },
            1 => Eviction::UnusedSince { ms },
            _ => Eviction::Repository("acme/cached".parse().unwrap()),
        };
        self.say("evict", 0, "");
        self.shared.store.evict(&eviction, &mut go_on).map(|_| ())
    }

    fn scrub(&mut self) -> Result<()> {
        self.say("scrub", 0, "");
        let from_start = self.dice.percent(20);
        let plan = ScrubPlan { from_start, quarantine: true, bytes_per_second: None };
        let scrubbed = self.shared.store.scrub(&plan, &mut go_on)?;
        for damage in scrubbed.damage {
            self.say("error", 0, &format!("{damage:?}"));
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let item = self.item();
        let digest = self.shared.digest(item);
        self.say("read", item, "");
        if hash_of(&self.shared.store, &digest)?.is_some_and(|found| found != digest) {
            self.say("error", item, "wrong bytes");
        }
        Ok(())
    }

    fn link(&mut self) -> Result<()> {
        let item = self.item();
        let digest = self.shared.digest(item);
        // Only what is linked to the first is asked for after the kill; the other is evicted.
        let repo = if item < KEPT_ITEMS { "acme/kept" } else { "acme/cached" };
        let repo = repo.parse::<RepoName>().unwrap();
        if self.shared.store.stat(&digest)?.is_some() {
            self.say("link?", item, "");
            self.shared.store.link_blob(&repo, &digest)?;
            self.say("link!", item, "");
        }
        Ok(())
    }
}
