//! The privacy of a store: with any umask of the program, and over any earlier store's modes, only
//! the owner can read the store and its backups.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use wharf_testkit::clients;
use wharf_testkit::http::Client;
use wharf_testkit::processes::Process;

use crate::fixture::{Api, PATIENCE, START, address_after, command, noise};

const MENDED: &str = "others on this machine could read a store; now its owner alone can";
const LEFT: &str = "others on this machine may read a store, and that cannot be mended here";

/// `wharfd` started with an empty umask.
fn unmasked<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
    let wharfd = command(arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(wharfd.get_program());
    shell.args(wharfd.get_args());
    for (name, value) in wharfd.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

async fn serve(folder: &Path) -> (Process, Api) {
    let store = folder.join("store");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store"].map(OsStr::new);
    let mut command = unmasked(&[&serve[..], &[store.as_os_str()]].concat());
    let mut process = Process::spawn("wharfd", &mut command, folder).unwrap();
    let addr = process.wait_for_line(START, |line| address_after(line, "listening on ")).await;
    (process, Api::new(format!("http://{}", addr.unwrap()), Client::new()))
}

/// Runs `wharfd store` with these arguments to success; returns its output.
async fn store_command(folder: &Path, arguments: &[&OsStr]) -> String {
    let mut command = unmasked(&[&[OsStr::new("store")], arguments].concat());
    let mut process = Process::spawn("store", &mut command, folder).unwrap();
    let status = process.wait(PATIENCE).await.unwrap();
    assert!(status.success(), "{}", process.stderr());
    process.stderr()
}

/// Copies the store in a folder.
async fn back_up(folder: &Path, to: &Path) {
    let store = folder.join("store");
    let words = ["backup", "--store"].map(OsStr::new);
    let places = [store.as_os_str(), OsStr::new("--output"), to.as_os_str()];
    store_command(folder, &[&words[..], &places].concat()).await;
}

/// A folder and all of its content.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(all(&path)) } else { found.push(path) }
    }
    found
}

fn widen(folder: &Path) {
    for path in all(folder) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn assert_private(folder: &Path, least: usize) {
    let found = all(folder);
    assert!(found.len() >= least, "{found:?}");
    for path in found {
        let mode = std::fs::symlink_metadata(&path).unwrap().mode() & 0o777;
        let right = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, right, "{} has {mode:o}", path.display());
    }
}

#[tokio::test]
async fn a_store_and_its_backups_are_their_owner_s_whatever_made_or_left_them() {
    let folder = TempDir::with_prefix("private-").unwrap();
    let (store, at) = (folder.path().join("store"), |name: &str| folder.path().join(name));
    let (mut wharfd, api) = serve(folder.path()).await;
    let digest = api.push_blob("team/app", noise(1, 6 << 20)).await;
    let location = api.open_upload("team/app").await;
    api.patch(&location).bytes(noise(2, 1 << 20)).send().await.unwrap();
    assert_private(&store, 12);
    assert!(!wharfd.stderr().contains("others on this machine"), "{}", wharfd.stderr());
    // By the server, and by a program of its own.
    back_up(folder.path(), &at("beside")).await;
    assert!(wharfd.terminate(PATIENCE).await.unwrap().success(), "{}", wharfd.stderr());
    assert_private(&store, 12);
    back_up(folder.path(), &at("alone")).await;
    // Runs are linked and not copied, so both have the same.
    for copy in ["beside", "alone"] {
        assert_private(&at(copy), 6);
    }
    for copy in ["beside", "alone"] {
        widen(&at(copy));
        let words = [OsStr::new("restore"), OsStr::new("--from")];
        let (from, to) = (at(copy), at(&format!("{copy}-again")));
        let places = [from.as_os_str(), OsStr::new("--store"), to.as_os_str()];
        let said = store_command(folder.path(), &[&words[..], &places].concat()).await;
        assert_private(&to, 6);
        assert!(said.contains(MENDED), "{said}");
    }
    widen(&store);
    let (mut wharfd, api) = serve(folder.path()).await;
    assert_private(&store, 12);
    let log = wharfd.stderr();
    let line = log.lines().find(|line| line.contains(MENDED)).unwrap();
    assert!(line.contains("WARN") && line.contains(&store.display().to_string()), "{line}");
    assert!(api.get_blob("team/app", &digest).await.body == noise(1, 6 << 20));
    assert!(wharfd.terminate(PATIENCE).await.unwrap().success());
    let (wharfd, _) = serve(folder.path()).await;
    assert!(!wharfd.stderr().contains("others on this machine"), "{}", wharfd.stderr());
}

/// A volume of Kubernetes with `fsGroup` belongs to the superuser and a group.
#[tokio::test]
async fn a_folder_that_is_a_group_s_is_said_and_used() {
    if !rustix::process::getuid().is_root() {
        return clients::skipped("only the superuser can give a folder away");
    }
    let Some(setpriv) = clients::require("setpriv") else { return };
    let folder = TempDir::with_prefix("private-").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (program, store) = (folder.path().join("wharfd"), folder.path().join("store"));
    std::fs::copy(command([""; 0]).get_program(), &program).unwrap();
    std::fs::create_dir(&store).unwrap();
    std::os::unix::fs::chown(&store, Some(0), Some(65_534)).unwrap();
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o2770)).unwrap();
    let mut command = Command::new(setpriv.path());
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(&store);
    let mut wharfd = Process::spawn("wharfd", &mut command, folder.path()).unwrap();
    let addr = wharfd.wait_for_line(START, |line| address_after(line, "listening on ")).await;
    let api = Api::new(format!("http://{}", addr.unwrap()), Client::new());
    let digest = api.push_blob("team/app", "content").await;
    assert_eq!(api.get_blob("team/app", &digest).await.body, "content");
    let log = wharfd.stderr();
    let line = log.lines().find(|line| line.contains(LEFT)).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&store.display().to_string()) && line.contains("mode 700"), "{line}");
    for path in all(&store).into_iter().skip(1) {
        let about = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!((about.mode() & 0o077, about.uid()), (0, 65_534), "{}", path.display());
    }
    assert!(wharfd.terminate(PATIENCE).await.unwrap().success(), "{}", wharfd.stderr());
    // `wharfd store` as root refuses another user's store, because the owner could not read files
    // made by root.
    let words = ["store", "evict", "--quarantined", "--store"].map(OsStr::new);
    let mut evict = unmasked(&[&words[..], &[store.as_os_str()]].concat());
    let mut evict = Process::spawn("store", &mut evict, folder.path()).unwrap();
    assert!(!evict.wait(PATIENCE).await.unwrap().success());
    assert!(evict.stderr().contains("run this as that user"), "{}", evict.stderr());
    for path in all(&store).into_iter().skip(1) {
        let about = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!((about.mode() & 0o077, about.uid()), (0, 65_534), "{}", path.display());
    }
}
