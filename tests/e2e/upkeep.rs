//! `wharfd store`: the same responses beside a running server and alone, one command at a time, and
//! a store within its limit.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use wharf_testkit::images::sha256;
use wharf_testkit::processes::Process;

use crate::fixture::{
    PATIENCE, START, Stage, Wharfd, address_after, command, disk_bytes, eventually, noise,
    store_command,
};

const REPO: &str = "acme/web";
const JSON: [&str; 2] = ["--output-format", "json"];

/// The output of `stats`, compared with the disk.
async fn stats(wharfd: &Wharfd) -> Value {
    let said = wharfd.store_command("stats", &JSON).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let stats = said.json();
    let (said, found) = (stats["disk_bytes"].as_u64().unwrap(), disk_bytes(&wharfd.store()));
    assert!(said.abs_diff(found) * 50 <= found, "stats: {said}, on disk: {found}");
    stats
}

async fn ok(wharfd: &Wharfd, name: &str, more: &[&str]) -> Value {
    let said = wharfd.store_command(name, &[more, &JSON].concat()).await;
    assert_eq!(said.code, 0, "{name}: {}", said.stderr);
    said.json()
}

#[tokio::test]
async fn every_command_answers_alike_beside_a_server_and_alone() {
    let mut wharfd = Wharfd::alone().await;
    for seed in 0..4 {
        wharfd.api.push_blob(REPO, noise(seed, 70_000_000)).await;
    }
    let small = wharfd.api.push_blob(REPO, "small").await;
    let folder = TempDir::new().unwrap();
    for alone in [false, true] {
        if alone {
            assert!(wharfd.stop().await.success());
        }
        let stats = stats(&wharfd).await;
        assert_eq!(stats["blobs"], 5);
        assert_eq!(stats["blob_bytes"], 280_000_005);
        // Nothing is behind this registry, so nothing may be evicted.
        assert_eq!((&stats["cached_blobs"], &stats["limit_bytes"]), (&0.into(), &Value::Null));
        for name in ["verify", "scrub"] {
            let found = ok(&wharfd, name, &[]).await;
            assert_eq!((&found["blobs"], &found["complete"]), (&5.into(), &true.into()), "{name}");
            assert_eq!(found["damage"], Value::Array(Vec::new()), "{name}");
        }
        let evicted = ok(&wharfd, "evict", &["--down-to", "1MiB"]).await;
        assert_eq!(evicted["blobs"], 0);
        let backup = folder.path().join(format!("backup-{alone}"));
        let copied = ok(&wharfd, "backup", &["--output", backup.to_str().unwrap()]).await;
        assert_eq!(copied["folder"], backup.to_str().unwrap());
        assert!(copied["bytes"].as_u64().unwrap() > 280_000_000, "{copied}");
        let text = wharfd.store_command("stats", &[]).await;
        assert!(text.stdout.contains("blobs                   5\n"), "{}", text.stdout);
        assert_eq!(text.stderr, "", "progress is for terminals");
    }
    let (backup, restored) = (folder.path().join("backup-false"), folder.path().join("restored"));
    let restore = async || {
        let (from, to) = (backup.to_str().unwrap(), restored.to_str().unwrap());
        store_command(["restore", "--from", from, "--store", to]).await
    };
    let said = restore().await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let again = restore().await;
    assert_eq!(again.code, 2, "{}", again.stderr);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
    // The backup serves: everything is in it.
    std::fs::remove_dir_all(wharfd.store()).unwrap();
    std::fs::rename(&restored, wharfd.store()).unwrap();
    wharfd.start_again().await;
    assert_eq!(wharfd.api.get_blob(REPO, &small).await.body, "small");
    let large = wharfd.api.get_blob(REPO, &sha256(&noise(3, 70_000_000))).await;
    assert!(large.body == noise(3, 70_000_000));
}

#[tokio::test]
async fn cached_blobs_are_evicted_by_repository_age_and_size() {
    let Some(stage) = Stage::start().await else { return };
    let wharfd = &stage.wharfd;
    let mut digests = Vec::new();
    for (seed, repo) in [(1, REPO), (2, REPO), (3, "team/other")] {
        let digest = stage.origin.push_blob(repo, noise(seed, 3_000_000)).await;
        assert_eq!(wharfd.api.get_blob(repo, &digest).await.status, 200);
        wharfd.fills_are_over().await;
        digests.push(digest);
    }
    assert_eq!(wharfd.metric("wharfd_store_cached_bytes").await, 9_000_000);
    assert_eq!(ok(wharfd, "evict", &["--unused-for", "1d"]).await["blobs"], 0);
    let evicted = ok(wharfd, "evict", &["--repository", "team/other"]).await;
    assert_eq!((&evicted["blobs"], &evicted["bytes"]), (&1.into(), &3_000_000.into()));
    assert_eq!(wharfd.metric("wharfd_store_evicted_blobs_total").await, 1);
    assert_eq!(wharfd.metric("wharfd_store_evicted_bytes_total").await, 3_000_000);
    assert_eq!(ok(wharfd, "evict", &["--down-to", "0"]).await["blobs"], 2);
    assert_eq!(wharfd.metric("wharfd_store_blobs").await, 0);
    // Evicted blobs are fetched again.
    for (digest, repo) in digests.iter().zip([REPO, REPO, "team/other"]) {
        let again = wharfd.api.get_blob(repo, digest).await;
        assert_eq!((again.header("wharf-cache"), &sha256(&again.body)), ("fill", digest));
    }
    let none = wharfd.store_command("evict", &[]).await;
    assert_eq!(none.code, 2, "{}", none.stderr);
    let both = wharfd.store_command("evict", &["--quarantined", "--unused-for", "1d"]).await;
    assert_eq!(both.code, 2, "{}", both.stderr);
}

#[tokio::test]
async fn the_socket_is_its_owners_and_goes_with_the_server() {
    let mut wharfd = Wharfd::alone().await;
    let socket = wharfd.store().join("control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    wharfd.kill();
    // There is no server behind the socket left by a kill.
    assert!(socket.exists());
    assert_eq!(wharfd.store_command("stats", &[]).await.code, 0);
    wharfd.start_again().await;
    assert_eq!(wharfd.store_command("stats", &[]).await.code, 0);
    // A server without a working socket keeps its store all the same.
    std::fs::remove_file(&socket).unwrap();
    let said = wharfd.store_command("stats", &[]).await;
    assert_eq!(said.code, 5, "{}", said.stdout);
    assert!(said.stderr.contains("in use") && said.stderr.contains("does not answer"));
    wharfd.kill();
    wharfd.start_again().await;
    assert!(socket.exists());
    let stopped = wharfd.stop().await;
    assert!(stopped.success(), "{stopped}: {}", wharfd.log());
    assert!(!socket.exists());
    let device = store_command(["stats", "--store", "/dev/null"]).await;
    assert_eq!(device.code, 5, "{}", device.stderr);
    assert!(device.stderr.contains("/dev/null is not a folder"), "{}", device.stderr);
    let nowhere = store_command(["stats", "--store", "/nonexistent/store"]).await;
    assert_eq!(nowhere.code, 5, "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("no wharf store"), "{}", nowhere.stderr);
    assert!(!Path::new("/nonexistent").exists());
}

/// Runs `wharfd store` as the user "nobody", without any file of its own; returns its exit code and
/// output.
fn as_nobody(wharfd: &Path, arguments: &[&str]) -> (i32, String) {
    let ids = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut command = std::process::Command::new("setpriv");
    let output = command.args(ids).arg(wharfd).arg("store").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("no signal ended it"), said)
}

#[tokio::test]
async fn a_store_of_another_user_cannot_be_used_and_no_server_is_made_up() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let mut wharfd = Wharfd::alone().await;
    // The program is in a folder closed to the user "nobody".
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("wharfd");
    std::fs::copy(command([""; 0]).get_program(), &program).unwrap();
    let copy = folder.path().join("copy");
    assert!(wharfd.stop().await.success(), "{}", wharfd.log());
    let copied = std::process::Command::new("cp").arg("-a").args([&wharfd.store(), &copy]).status();
    assert!(copied.unwrap().success());
    // A dead socket, as in a copied folder, or a socket of another user.
    let socket = copy.join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let store = copy.to_str().unwrap();
    let commands: [&[&str]; 4] =
        [&["stats"], &["evict", "--down-to", "1GiB"], &["verify"], &["scrub"]];
    for mode in [0o700, 0o755] {
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(mode)).unwrap();
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o600)).unwrap();
        for name in commands {
            let (code, said) = as_nobody(&program, &[name, &["--store", store]].concat());
            assert_eq!(code, 5, "{mode:o} {name:?}: {said}");
            assert!(said.contains("ermission denied") && !said.contains("server"), "{said}");
        }
    }
    // All of it is theirs but the socket.
    let given = std::process::Command::new("chown").args(["-R", "65534:65534", store]).status();
    assert!(given.unwrap().success());
    std::os::unix::fs::chown(&socket, Some(0), Some(0)).unwrap();
    for name in commands {
        let (code, said) = as_nobody(&program, &[name, &["--store", store]].concat());
        assert_eq!(code, 0, "{name:?}: {said}");
    }
}

#[tokio::test]
async fn a_folder_with_a_name_longer_than_a_socket_may_have_is_fine() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("s".repeat(200));
    let mut serve = command(["serve", "--listen", "127.0.0.1:0", "--store"]);
    let mut process = Process::spawn("wharfd", serve.arg(&store), folder.path()).unwrap();
    let listening = |line: &str| address_after(line, "listening on ");
    process.wait_for_line(START, listening).await.unwrap();
    let said = store_command(["stats".as_ref(), "--store".as_ref(), store.as_os_str()]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(process.terminate(PATIENCE).await.unwrap().success());
}

/// Starts a scrub of hours in the server, with minutes for each segment, longer than any wait for a
/// stop here; the scrub is running on return.
async fn slow_scrub(wharfd: &Wharfd, folder: &TempDir, number: usize) -> Process {
    let mut slow = command(["store", "scrub", "--from-start", "--rate", "1KiB", "--store"]);
    slow.arg(wharfd.store()).args(JSON);
    let name = format!("scrub-{number}");
    let process = Process::spawn(&name, &mut slow, folder.path()).unwrap();
    let asked =
        async || (wharfd.log().matches("asked of the store").count() >= number).then_some(());
    eventually("the scrub to be asked for", asked).await;
    process
}

#[tokio::test]
async fn one_command_works_at_a_time_and_stops_when_its_client_does() {
    let wharfd = Wharfd::alone().await;
    for seed in 0..3 {
        wharfd.api.push_blob(REPO, noise(seed, 20_000_000)).await;
    }
    let folder = TempDir::new().unwrap();
    let mut scrub = slow_scrub(&wharfd, &folder, 1).await;
    let busy = wharfd.store_command("verify", &[]).await;
    assert_eq!(busy.code, 5, "{}", busy.stdout);
    assert!(busy.stderr.contains("another command"), "{}", busy.stderr);
    assert_eq!(wharfd.store_command("stats", &[]).await.code, 0);
    scrub.signal(Signal::INT).unwrap();
    assert_eq!(scrub.wait(PATIENCE).await.unwrap().code(), Some(130));
    let stopped: Value = serde_json::from_str(&scrub.stdout()).unwrap();
    assert_eq!(stopped["complete"], false);

    let asked = wharfd.log().matches("asked of the store").count();
    let mut killed = slow_scrub(&wharfd, &folder, asked + 1).await;
    killed.kill().unwrap();
    let whole = async || {
        let said = wharfd.store_command("verify", &JSON).await;
        (said.code == 0).then(|| said.json())
    };
    let whole = eventually("the turn of the client that was killed to be over", whole).await;
    assert_eq!(whole["blobs"], 3);
}

#[tokio::test]
async fn an_interrupt_stops_a_scrub_that_works_alone_and_the_next_one_ends_it() {
    let mut wharfd = Wharfd::alone().await;
    for seed in 0..3 {
        wharfd.api.push_blob(REPO, noise(seed, 20_000_000)).await;
    }
    assert!(wharfd.stop().await.success());
    let folder = TempDir::new().unwrap();
    let mut slow = command(["store", "scrub", "--rate", "1KiB", "--store"]);
    slow.arg(wharfd.store()).args(JSON);
    let mut scrub = Process::spawn("scrub", &mut slow, folder.path()).unwrap();
    let lock = wharfd.store().join("db/LOCK");
    let handles = format!("/proc/{}/fd", scrub.pid());
    let open = async || {
        let mut handles = std::fs::read_dir(&handles).ok()?.flatten();
        let opened =
            handles.any(|handle| std::fs::read_link(handle.path()).is_ok_and(|to| to == lock));
        opened.then_some(())
    };
    eventually("the scrub to have the store", open).await;
    scrub.signal(Signal::INT).unwrap();
    assert_eq!(scrub.wait(PATIENCE).await.unwrap().code(), Some(130), "{}", scrub.stderr());
    let stopped: Value = serde_json::from_str(&scrub.stdout()).unwrap();
    assert_eq!(stopped["complete"], false);
    assert_eq!(ok(&wharfd, "scrub", &[]).await["complete"], true);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_command() {
    let mut wharfd = Wharfd::alone().await;
    for seed in 0..3 {
        wharfd.api.push_blob(REPO, noise(seed, 20_000_000)).await;
    }
    let folder = TempDir::new().unwrap();
    let mut scrub = slow_scrub(&wharfd, &folder, 1).await;
    assert!(wharfd.stop().await.success(), "{}", wharfd.log());
    // The server told it.
    assert_eq!(scrub.wait(PATIENCE).await.unwrap().code(), Some(130), "{}", scrub.stderr());
    assert!(scrub.stdout().contains("\"complete\": false"), "{}", scrub.stdout());
}

#[tokio::test]
async fn a_client_that_talks_nonsense_is_told_so_and_many_are_turned_away() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;
    let wharfd = Wharfd::alone().await;
    let socket = wharfd.store().join("control.sock");
    for said in ["nonsense\n", "{\"unknown\":{}}\n", "\n"] {
        let mut client = UnixStream::connect(&socket).await.unwrap();
        client.write_all(said.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("refused"), "{said}: {answer}");
    }
    // A line without an end is not waited for beyond its bound.
    let mut client = UnixStream::connect(&socket).await.unwrap();
    let _ = client.write_all(&vec![b'x'; 100_000]).await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(UnixStream::connect(&socket).await.unwrap());
    }
    let turned_away = wharfd.store_command("stats", &[]).await;
    assert_eq!(turned_away.code, 5, "{}", turned_away.stdout);
    drop(silent);
    let again = async || (wharfd.store_command("stats", &[]).await.code == 0).then_some(());
    eventually("the silent clients to be forgotten", again).await;
}

#[tokio::test]
async fn a_limit_holds_while_much_more_is_pulled_through() {
    const LIMIT: u64 = 256 * 1024 * 1024;
    let lines = "store_limit = \"256MiB\"\n";
    let Some(stage) = Stage::start_with(|setup| setup.lines(lines)).await else { return };
    let store = stage.wharfd.store();
    let (over, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let watcher = std::thread::spawn({
        let (over, most) = (Arc::clone(&over), Arc::clone(&most));
        move || {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(disk_bytes(&store), Ordering::Relaxed);
                std::thread::yield_now();
            }
        }
    });
    // 1.5 GB in blobs of many sizes.
    let mut pulled = 0;
    for seed in 0_u64.. {
        let bytes = [60_000_000, 3_000_000, 200_000, 20_000][usize::try_from(seed % 4).unwrap()];
        let content = noise(seed, bytes);
        let digest = stage.origin.push_blob(REPO, content.clone()).await;
        let answer = stage.api().get_blob(REPO, &digest).await;
        assert!(answer.status == 200 && answer.body == content, "{seed}: {}", answer.status);
        pulled += bytes;
        if pulled >= 1_500_000_000 {
            break;
        }
    }
    stage.wharfd.fills_are_over().await;
    over.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    let most = most.load(Ordering::Relaxed);
    assert!(most <= LIMIT, "{most} bytes were on disk, {} too many", most - LIMIT);
    assert!(most > LIMIT / 2, "the limit is hardly used: {most}");
    assert_eq!(stage.wharfd.metric("wharfd_store_limit_bytes").await, LIMIT);
    assert!(stage.wharfd.metric("wharfd_store_evicted_bytes_total").await > 1_000_000_000);
    stats(&stage.wharfd).await;
    let found = ok(&stage.wharfd, "verify", &[]).await;
    assert_eq!(found["damage"], Value::Array(Vec::new()));
}
