//! `kill -9` of a process that works a store, again and again on the same store: what it said that
//! it had done is so, what it had not done left nothing, and the books agree with the disk.
//!
//! `WHARF_CRASH_KILLS` sets how often, `WHARF_CRASH_SEED` repeats a run as far
//! as threads and the clock let it.

mod child;
mod ledger;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wharf_oci::{RepoName, UploadId};
use wharf_store::{
    BlobStore, ManifestStore, NewUpload, Retention, RocksStore, StoreOptions, UploadStore, Usage,
};

use crate::ground::{
    Dice, MIB, digest_of, disk_bytes, files, go_on, hash_of, number_from, say, trial_size, within,
};
use child::{MARK, ORDER};
use ledger::{Ledger, content_of, size_of};

/// What processes come to do, all of it in every run.
const VERBS: [&str; 8] =
    ["fill!", "keep!", "rest!", "resume?", "remove!", "link!", "evict", "scrub"];
/// Of kills, when chance keeps one of these away.
const KILLS_MAX: u64 = 60;

/// How long a process may take to open the store, with what the one before it left.
const OPENING: Duration = Duration::from_secs(30);

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let seed = number_from("WHARF_CRASH_SEED", clock());
    let kills = number_from("WHARF_CRASH_KILLS", trial_size(10, 100));
    say(&format!("{kills} kills with WHARF_CRASH_SEED={seed}"));
    let folder = tempfile::tempdir().unwrap();
    let mut trial = Trial { ledger: Ledger::default(), dice: Dice::new(seed), kill: 0, seed };
    let (begin, most) = (Instant::now(), KILLS_MAX.max(kills));
    for kill in 1..=most {
        trial.kill = kill;
        trial.run_and_kill(folder.path());
        let enough =
            kill >= kills && VERBS.iter().all(|verb| trial.ledger.counts.contains_key(*verb));
        // Else the next process finds what two kills left: the second may fall into its recovery.
        if enough || kill == most || trial.dice.percent(70) {
            trial.check(folder.path());
        }
        if enough {
            break;
        }
    }
    let counts = &trial.ledger.counts;
    say(&format!("{} kills took {:.0?}; lines: {counts:?}", trial.kill, begin.elapsed()));
    for verb in VERBS {
        assert!(counts.contains_key(verb), "no process came to {verb}: {counts:?}");
    }
}

fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}

struct Trial {
    ledger: Ledger,
    dice: Dice,
    seed: u64,
    kill: u64,
}

/// Killed when dropped, so that a failing test leaves no process.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Trial {
    /// Lets a process work for a random time, measured from its start to open the store or from the
    /// moment at which the store is open.
    fn run_and_kill(&mut self, folder: &Path) {
        let order = format!("{} {} {}", self.dice.roll(), self.kill, folder.display());
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child::workload", "--exact", "--nocapture", "--test-threads=1"])
            .env(ORDER, order)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map(Running)
            .unwrap();
        let stderr = process.0.stderr.take().unwrap();
        let words = std::thread::spawn(|| std::io::read_to_string(stderr).unwrap_or_default());
        let lines = read_lines(process.0.stdout.take().unwrap());
        let from = if self.dice.percent(35) { "opening" } else { "opened" };
        let lifetime = Duration::from_millis(self.dice.between(5, 400));
        let ended_early = !self.follow(&lines, from, lifetime);
        drop(process);
        // What was said before the kill is still in the pipe.
        for line in lines {
            self.ledger.take(&line);
        }
        self.ledger.killed();
        let words = words.join().unwrap();
        assert!(!ended_early, "kill {}: the process ended by itself:\n{words}", self.kill);
        let complaints = &self.ledger.complaints;
        assert!(complaints.is_empty(), "kill {}, seed {}: {complaints:#?}", self.kill, self.seed);
    }

    /// Takes lines until the process has lived for `lifetime` after it said `from`; `false` when it
    /// ended before.
    fn follow(&mut self, lines: &Receiver<String>, from: &str, lifetime: Duration) -> bool {
        let mut end = Instant::now() + OPENING;
        let mut begun = false;
        loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if !begun && line.split(' ').nth(1) == Some(from) {
                        (begun, end) = (true, Instant::now() + lifetime);
                    }
                    self.ledger.take(&line);
                }
                Err(RecvTimeoutError::Timeout) => {
                    assert!(begun, "the store did not open within {OPENING:?}");
                    return true;
                }
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn check(&mut self, folder: &Path) {
        let when = format!("after kill {}, seed {}", self.kill, self.seed);
        // Without a limit, so that nothing is evicted while it is looked at.
        let options = StoreOptions { limit_bytes: None, ..child::options() };
        let store = RocksStore::open_with(folder, &options)
            .unwrap_or_else(|error| panic!("{when}: the store does not open: {error:?}"));
        let verified = store.verify(&mut go_on).expect("verify");
        let damaged = verified.damage.iter().filter_map(|damage| damage.digest);
        let stories: Vec<_> = damaged.map(|digest| self.ledger.story_of(&digest)).collect();
        assert!(
            verified.complete && verified.damage.is_empty(),
            "{when}: {verified:?} {stories:?}"
        );
        let sizes = self.check_blobs(&store, &when);
        check_books(&store, &sizes, &when);
        check_disk(&store, folder, &when);
        self.check_uploads(&store, &when);
    }

    /// Each blob is there or not as it must be, whole, and is what its name says. The sizes of all
    /// that are there.
    fn check_blobs(&self, store: &RocksStore, when: &str) -> Vec<u64> {
        let repo: RepoName = "acme/kept".parse().unwrap();
        let mut sizes = Vec::new();
        for (digest, size) in self.ledger.named() {
            let found = store.stat(&digest).expect("stat");
            let Some(info) = found else {
                assert!(!self.ledger.must_be_there(&digest), "{when}: {digest} is lost");
                assert!(store.open(&digest).expect("open").is_none());
                continue;
            };
            assert!(!self.ledger.must_be_gone(&digest), "{when}: {digest} is here");
            assert_eq!(info.size_bytes, size, "{when}: {digest}");
            let hashed = hash_of(store, &digest).expect("read");
            assert_eq!(hashed, Some(digest), "{when}: wrong bytes");
            if self.ledger.must_be_linked(&digest) {
                assert!(store.has_blob(&repo, &digest).expect("has"), "{when}: {digest}");
            }
            sizes.push(size);
        }
        sizes
    }

    fn check_uploads(&mut self, store: &RocksStore, when: &str) {
        let saved = store.saved_uploads().expect("saved uploads");
        let found: BTreeMap<u64, u64> = saved
            .iter()
            .map(|upload| (u64::try_from(upload.id.as_u128()).unwrap(), upload.offset))
            .collect();
        let begun = self.ledger.begun();
        for (item, offset) in &found {
            assert!(begun.contains(item), "{when}: upload {item} was never begun");
            assert!(*offset <= size_of(*item) as u64, "{when}: upload {item} at {offset}");
        }
        for (item, offset) in self.ledger.must_rest() {
            let at = found.get(&item).copied();
            let said = self.ledger.story(item);
            assert!(
                at >= Some(offset),
                "{when}: upload {item} rested at {offset}, is at {at:?}: {said:?}"
            );
        }
        let numbers: Vec<u64> = found.keys().copied().collect();
        if let Some(item) = self.dice.pick(&numbers) {
            look_at_upload(store, item, found[&item], when);
            assert_eq!(store.saved_uploads().expect("saved uploads").len(), saved.len());
        }
        if let Some(item) = self.dice.pick(&numbers) {
            self.finish_upload(store, item, when);
            let left = store.saved_uploads().expect("saved uploads");
            let _ = left; //DBG
        }
    }

    /// The rest of its content brings it to the right digest.
    fn finish_upload(&mut self, store: &RocksStore, item: u64, when: &str) {
        let (content, digest) = (content_of(item), self.ledger.digest(item));
        self.ledger.take(&format!("0 end? {item} "));
        let id = UploadId::from_u128(u128::from(item));
        let mut writer = store.resume_upload(id).expect("resume").expect("it was listed");
        let at = usize::try_from(writer.size_bytes()).unwrap();
        writer.append(content.slice(at..)).expect("append");
        let ready = writer.verify(&digest).expect("verify").unwrap_or_else(|mismatch| {
            panic!("{when}: upload {item} resumed at {at} of {}: {mismatch}", content.len())
        });
        self.ledger.take(&format!("0 fill? {item} "));
        ready.publish(Retention::Cached).expect("publish");
        self.ledger.take(&format!("0 fill! {item} "));
        self.ledger.take(&format!("0 end! {item} "));
        let hashed = hash_of(store, &digest).expect("read");
        assert_eq!(hashed, Some(digest), "{when}: upload {item} reads wrong");
    }
}

fn read_lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (lines, read) = channel();
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = String::new();
        // A line without an end was cut by the kill: nobody said it.
        while from.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            if let Some(said) = line.strip_prefix(MARK)
                && lines.send(said.trim_end_matches('\n').to_owned()).is_err()
            {
                return;
            }
            line.clear();
        }
    });
    read
}

/// An upload at rest has the bytes that its offset says, and resting again changes nothing.
fn look_at_upload(store: &RocksStore, item: u64, offset: u64, when: &str) {
    let content = content_of(item);
    let id = UploadId::from_u128(u128::from(item));
    let writer = store.resume_upload(id).expect("resume").expect("it was listed");
    assert_eq!(writer.size_bytes(), offset, "{when}: upload {item}");
    let in_flight = writer.in_flight();
    let mut at = 0;
    while at < in_flight.visible_bytes() {
        let bytes = in_flight.read_stored(at).expect("read");
        let from = usize::try_from(at).unwrap();
        assert!(content[from..].starts_with(&bytes), "{when}: upload {item} at {at}");
        at += bytes.len() as u64;
    }
    // An upload that somebody reads is not at rest.
    drop(in_flight);
    writer.suspend().expect("suspend");
    let saved = store.saved_uploads().expect("saved uploads");
    let again = saved.iter().find(|upload| upload.id == id).expect("it rests again");
    assert_eq!(again.offset, offset, "{when}: upload {item}");
}

/// The totals are the sums over what is there, and nothing was taken for damaged.
fn check_books(store: &RocksStore, sizes: &[u64], when: &str) {
    let usage = store.usage().expect("usage");
    assert_eq!(usage.blobs, sizes.len() as u64, "{when}: {usage:?}");
    assert_eq!(usage.blob_bytes, sizes.iter().sum::<u64>(), "{when}: {usage:?}");
    assert!(usage.cached_blobs <= usage.blobs, "{when}: {usage:?}");
    assert!(usage.cached_bytes <= usage.blob_bytes, "{when}: {usage:?}");
    assert_eq!(usage.quarantined_blobs, 0, "{when}: {usage:?}");
    assert_eq!(usage.in_flight_bytes, 0, "{when}: {usage:?}");
}

/// What the store says that it takes is what `du` says, once nothing moves.
fn check_disk(store: &RocksStore, folder: &Path, when: &str) {
    within(Duration::from_secs(10), || {
        let usage: Usage = store.usage().expect("usage");
        let (said, found) = (usage.disk_bytes, disk_bytes(folder));
        let allowed = (found / 50).max(MIB as u64);
        if said.abs_diff(found) <= allowed {
            return Ok(());
        }
        let files = files(folder);
        Err(format!("{when}: it says {said} bytes, du {found}: {usage:?}\n{files:?}"))
    });
}

/// However an upload ended, nobody goes on with it: its bytes are about to be freed.
#[test]
fn an_upload_that_ended_cannot_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(folder.path()).unwrap();
    let repo: RepoName = "acme/pushed".parse().unwrap();
    let content = content_of(9);
    let digest = digest_of(&content);
    for number in 0..100 {
        let id = UploadId::from_u128(number);
        let mut writer = store.begin_upload(NewUpload::unowned(id, &repo)).unwrap();
        writer.append(content.clone()).unwrap();
        match number % 3 {
            0 => drop(writer),
            1 => drop(writer.verify(&digest_of(b"something else")).unwrap().err().unwrap()),
            // The first keeps its bytes, the others find them known.
            _ => drop(writer.verify(&digest).unwrap().unwrap().publish(Retention::Kept).unwrap()),
        }
        let resumed = store.resume_upload(id).unwrap();
        assert!(resumed.is_none(), "upload {number} was over and is resumed");
        assert_eq!(store.saved_uploads().unwrap(), []);
    }
    assert_eq!(hash_of(&store, &digest).unwrap(), Some(digest));
}

#[test]
fn lines_are_read_whole_or_not_at_all() {
    let said = "running 1 test\n\n@ 0 fill? 1 \n@ 0 fill! 1";
    let lines: Vec<String> = read_lines(said.as_bytes()).into_iter().collect();
    assert_eq!(lines, ["0 fill? 1 "]);
}
