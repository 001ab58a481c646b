//! `wharf package` ended in the middle, and a full disk: no half-written folder is taken for a
//! layout, the earlier layout stays, and the next run gives its usual result.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};
use wharf_testkit::clients::skipped;
use wharf_testkit::images::noise;
use wharf_testkit::offers::PLAN;
use wharf_testkit::processes::Process;

use super::{Workshop, bytes_of, one_platform, said};
use crate::fixture::PATIENCE;

/// How much the folder holds: its compression takes long enough to be met in the middle.
pub(super) const BYTES: u64 = 48 << 20;
const FILES: u64 = 12;
pub(super) const POLL: Duration = Duration::from_millis(2);

/// An offer with a large folder, for a long run.
pub(super) fn scene() -> Workshop {
    let shop = Workshop::new(&one_platform("{ dir: root }"));
    fs::create_dir(shop.path("root")).unwrap();
    for number in 0..FILES {
        let mut file = fs::File::create(shop.path("root").join(format!("{number:02}"))).unwrap();
        std::io::copy(&mut noise(number, BYTES / FILES), &mut file).unwrap();
    }
    shop
}

/// The content of the folder of layouts, without the caches for the next run.
pub(super) fn left(shop: &Workshop) -> Vec<String> {
    let Ok(entries) = fs::read_dir(shop.path("out")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().display().to_string());
    let mut names: Vec<String> = names.filter(|name| name != ".wharf").collect();
    names.sort();
    names
}

/// The bytes in temporary folders of a run.
pub(super) fn staged(shop: &Workshop) -> u64 {
    // Layers are made here before layouts take them.
    size_of(&shop.path("out/.wharf/layers.tmp"))
}

fn size_of(path: &Path) -> u64 {
    // Files come and go while this looks.
    let Ok(about) = fs::symlink_metadata(path) else { return 0 };
    if !about.is_dir() {
        return about.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path())).sum()
}

/// Starts a run, and ends it by `end` when so much is written.
async fn ended_at(shop: &Workshop, bytes: u64, end: Signal) -> (std::process::ExitStatus, String) {
    let logs = TempDir::new().unwrap();
    let mut command = shop.package_command(&["--jobs", "2"]);
    let mut process = Process::spawn("wharf", &mut command, logs.path()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while staged(shop) < bytes {
        assert!(Instant::now() < deadline, "nothing is written: {}", process.stderr());
        sleep(POLL).await;
    }
    process.signal(end).unwrap();
    let status = process.wait(PATIENCE).await.unwrap();
    (status, process.stderr())
}

/// The layout of an undisturbed run.
fn undisturbed(shop: &Workshop) -> BTreeMap<String, String> {
    let output = TempDir::with_prefix("undisturbed-").unwrap();
    let ran = shop.package(&["--output", &output.path().display().to_string()]);
    assert!(ran.status.success(), "{}", said(&ran));
    bytes_of(&output.path().join(PLAN))
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_leaves_nothing_that_is_taken_for_a_layout() {
    let shop = scene();
    let expected = undisturbed(&shop);
    for part in [0, 1, 3, 6, 9] {
        let (status, _) = ended_at(&shop, BYTES / 12 * part + 1, Signal::KILL).await;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
        assert!(!shop.layout().exists(), "a layout stands there although it was not finished");
    }
    shop.packaged();
    assert_eq!(bytes_of(&shop.layout()), expected);
    assert_eq!(left(&shop), [PLAN]);
    // Over an existing layout: the layout stays, whole.
    fs::write(shop.path("root/new"), "new\n").unwrap();
    for part in [0, 4, 8] {
        ended_at(&shop, BYTES / 12 * part + 1, Signal::KILL).await;
        assert_eq!(bytes_of(&shop.layout()), expected, "the earlier layout");
    }
    shop.packaged();
    assert_eq!(bytes_of(&shop.layout()), undisturbed(&shop));
    assert_eq!(left(&shop), [PLAN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_removes_what_was_begun_and_says_so() {
    let shop = scene();
    for end in [Signal::INT, Signal::TERM] {
        let (status, stderr) = ended_at(&shop, BYTES / 3, end).await;
        assert_eq!(status.code(), Some(130), "{status} {stderr}");
        assert!(stderr.contains("interrupted"), "{stderr}");
        assert_eq!(left(&shop), [] as [&str; 0]);
    }
    let expected = undisturbed(&shop);
    shop.packaged();
    fs::write(shop.path("root/00"), "another\n").unwrap();
    let (status, _) = ended_at(&shop, BYTES / 3, Signal::INT).await;
    assert_eq!(status.code(), Some(130));
    assert_eq!(left(&shop), [PLAN]);
    assert_eq!(bytes_of(&shop.layout()), expected, "the earlier layout");
}

/// A small disk in memory; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` with a loud notice for a process without the right to mount; in CI this is a failure.
    fn over(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "wharf-small"]).arg(folder);
        let output = command.output().unwrap();
        if output.status.success() {
            return Some(Self(folder.to_owned()));
        }
        let root = rustix::process::getuid().is_root();
        assert!(!(root && std::env::var_os("CI").is_some()), "no disk: {}", said(&output));
        skipped(&format!("no disk can be mounted ({})", said(&output).trim()));
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_the_earlier_layout_stays() {
    let shop = scene();
    let Some(_disk) = Disk::over(&shop.path("out"), "20m") else { return };
    let full = || {
        let ran = shop.package(&[]);
        let text = said(&ran);
        assert_eq!(ran.status.code(), Some(2), "{text}");
        for word in ["No space left on device", "plan tide-service", "linux/amd64", "layer 1"] {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    };
    full();
    assert_eq!(left(&shop), [] as [&str; 0], "what was begun is gone, and its bytes are free");
    // With less in the folder there is room, once.
    let rest = shop.path("rest");
    fs::create_dir(&rest).unwrap();
    for number in 2..FILES {
        let name = format!("{number:02}");
        fs::rename(shop.path("root").join(&name), rest.join(&name)).unwrap();
    }
    let expected = undisturbed(&shop);
    shop.packaged();
    assert_eq!(bytes_of(&shop.layout()), expected);
    for number in 2..FILES {
        let name = format!("{number:02}");
        fs::rename(rest.join(&name), shop.path("root").join(&name)).unwrap();
    }
    full();
    assert_eq!(bytes_of(&shop.layout()), expected, "the earlier layout");
    assert_eq!(left(&shop), [PLAN]);
}
