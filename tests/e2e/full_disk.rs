//! A disk filled by other programs: `wharfd` starts all the same, serves its content, refuses new
//! content, and can be made smaller. The test needs root, to mount a small disk.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::{Wharfd, eventually, noise};
use wharf_testkit::images::sha256;

const MIB: usize = 1024 * 1024;

/// A small disk in memory over a folder; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` with a loud notice for a process without the right to mount; in CI this is a failure.
    fn over(folder: &Path) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=200m", "wharf-full"]).arg(folder);
        let output = command.output().unwrap();
        if output.status.success() {
            return Some(Self(folder.to_owned()));
        }
        let root = rustix::process::getuid().is_root();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!(root && std::env::var_os("CI").is_some()), "no disk could be mounted: {why}");
        wharf_testkit::clients::skipped(&format!("no disk can be mounted ({})", why.trim()));
        None
    }

    /// Takes all remaining space.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("other");
        let mut file = std::fs::File::create(&path).unwrap();
        for piece in [vec![1; MIB], vec![1; 4096]] {
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wharfd_starts_on_a_full_disk_and_serves_what_it_has() {
    let mut wharfd = Wharfd::alone().await;
    assert!(wharfd.stop().await.success());
    let Some(disk) = Disk::over(&wharfd.store()) else { return };
    wharfd.start_again().await;
    let content = noise(1, 5 * MIB);
    let digest = wharfd.api.push_blob("acme/web", content.clone()).await;
    wharfd.kill();
    let other = disk.fill();
    wharfd.start_again().await;
    assert!(wharfd.log().contains("the disk of the store is full"), "{}", wharfd.log());
    assert!(wharfd.api.get_blob("acme/web", &digest).await.body == content);
    let late = noise(2, MIB);
    let pushed = wharfd.api.try_push_blob("acme/web", &sha256(&late), late.clone()).await;
    assert!(pushed.is_err() || pushed.is_ok_and(|answer| answer.status == 507));
    // Beside the server, and alone.
    for _ in 0..2 {
        let evicted = wharfd.store_command("evict", &["--down-to", "0"]).await;
        assert_eq!(evicted.code, 0, "{}", evicted.stderr);
        let stats = wharfd.store_command("stats", &[]).await;
        assert_eq!(stats.code, 0, "{}", stats.stderr);
        wharfd.kill();
    }
    wharfd.start_again().await;
    assert!(wharfd.api.get_blob("acme/web", &digest).await.body == content);
    std::fs::remove_file(other).unwrap();
    let taken = eventually("room again", async || {
        let pushed = wharfd.api.try_push_blob("acme/web", &sha256(&late), late.clone()).await;
        pushed.ok().filter(|answer| answer.status == 201)
    });
    taken.await;
}
