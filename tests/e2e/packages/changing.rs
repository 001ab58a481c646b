//! Files changed between the listing and the read: an error with the file's name, for every kind of
//! change, and never an image of half the old and half the new.

use std::fs;
use std::path::Path;

use tokio::time::{Instant, sleep};
use wharf_testkit::processes::Process;

use super::interrupted::{BYTES, POLL, left, scene, staged};
use super::{Workshop, said};
use crate::fixture::PATIENCE;

/// The last file of a run.
const LAST: &str = "root/11";

/// The change to a file during packaging.
type Change<'a> = Box<dyn Fn(&Path) + 'a>;

/// Starts a run, makes a change in the middle of it, and waits for its end; returns exit code and
/// output.
async fn changed_by(shop: &Workshop, change: impl FnOnce(&Path)) -> (Option<i32>, String) {
    let logs = tempfile::TempDir::new().unwrap();
    let mut command = shop.package_command(&["--jobs", "1"]);
    let mut process = Process::spawn("wharf", &mut command, logs.path()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while staged(shop) < BYTES / 12 {
        assert!(Instant::now() < deadline, "nothing is written: {}", process.stderr());
        sleep(POLL).await;
    }
    change(&shop.path(LAST));
    let status = process.wait(PATIENCE).await.unwrap();
    (status.code(), process.stderr())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_packaged_is_an_error_that_names_it() {
    let shop = scene();
    let content = fs::read(shop.path(LAST)).unwrap();
    let other: Vec<u8> = content.iter().map(|byte| !byte).collect();
    let changes: [(&str, Change<'_>); 6] = [
        ("of the same size", Box::new(|path| fs::write(path, &other).unwrap())),
        (
            "of the same size, with its time put back",
            Box::new(|path| {
                let before = fs::metadata(path).unwrap().modified().unwrap();
                fs::write(path, &other).unwrap();
                fs::File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
            }),
        ),
        (
            "replaced by another file",
            Box::new(|path| {
                let beside = path.with_extension("new");
                fs::write(&beside, &content).unwrap();
                fs::rename(beside, path).unwrap();
            }),
        ),
        ("longer", Box::new(|path| fs::write(path, [&content[..], b"more"].concat()).unwrap())),
        ("shorter", Box::new(|path| fs::write(path, &content[1..]).unwrap())),
        ("gone", Box::new(|path| fs::remove_file(path).unwrap())),
    ];
    for (what, change) in changes {
        fs::write(shop.path(LAST), &content).unwrap();
        let (code, text) = changed_by(&shop, change).await;
        assert_eq!(code, Some(2), "{what}: {text}");
        for word in ["plan tide-service", "linux/amd64", "layer 1", LAST] {
            assert!(text.contains(word), "{what}: {word:?} is not in {text}");
        }
        assert_eq!(left(&shop), [] as [&str; 0], "{what}");
    }
    fs::write(shop.path(LAST), &content).unwrap();
    let ran = shop.package(&[]);
    assert!(ran.status.success(), "{}", said(&ran));
}
