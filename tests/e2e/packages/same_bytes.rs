//! The same offer gives the same bytes on any machine, for any number of jobs, umask, locale, time
//! zone, home, user, order of files, file system and folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use wharf_testkit::clients::{require, skipped};
use wharf_testkit::images::noise;
use wharf_testkit::offers::PLAN;
use wharf_testkit::processes::product;

use super::{bytes_of, offer, said};

const IMAGE: &str = "      platforms:
        - platform: linux/amd64
          layers:
            - { dir: root }
            - { dir: above, into: /srv/data, owner: \"12:34\" }
        - platform: linux/arm64
          layers: [{ dir: root }]
";

/// Names with a different order in each locale, and in the order of their creation.
const NAMES: [&str; 8] = ["a", "B", "ä", "Z", "z.d", "İ", "i", "ıx"];

/// Writes the offer with its folders, the files in this order.
fn write(folder: &Path, backwards: bool) {
    offer(IMAGE).write(folder).unwrap();
    let mut names = NAMES.to_vec();
    if backwards {
        names.reverse();
    }
    for name in names {
        let below = folder.join("root").join(name);
        fs::create_dir_all(&below).unwrap();
        let number = NAMES.iter().position(|at| *at == name).unwrap() as u64;
        let mut content = Vec::new();
        // Larger than a block, and not a multiple of one.
        std::io::copy(&mut noise(number, 700_000 + number), &mut content).unwrap();
        fs::write(below.join("content"), content).unwrap();
        let program = below.join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("content", below.join("link")).unwrap();
        fs::create_dir_all(folder.join("above")).unwrap();
        fs::write(folder.join("above").join(name), name).unwrap();
    }
}

/// `wharf package` on an offer, with nothing of this machine in its environment but `PATH`.
fn package(offer: &Path, change: impl FnOnce(&mut Command)) -> BTreeMap<String, String> {
    let output = TempDir::with_prefix("layouts-").unwrap();
    package_into(offer, output.path(), change)
}

/// The same into a folder with an optional earlier layout.
fn package_into(
    offer: &Path,
    output: &Path,
    change: impl FnOnce(&mut Command),
) -> BTreeMap<String, String> {
    let mut command = Command::new(product("wharf").unwrap());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["--color=never", "package", "offer.yaml", "--output"]).arg(output);
    command.current_dir(offer);
    // Another user needs the permission to enter.
    fs::set_permissions(output, fs::Permissions::from_mode(0o777)).unwrap();
    change(&mut command);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", said(&ran));
    let files = bytes_of(&output.join(PLAN));
    assert!(files.len() > 6, "{files:?}");
    files
}

/// An unchanged offer, and its layout.
fn first() -> (TempDir, BTreeMap<String, String>) {
    let folder = TempDir::with_prefix("same-").unwrap();
    write(folder.path(), false);
    let expected = package(folder.path(), |_| {});
    (folder, expected)
}

#[test]
fn for_any_number_of_jobs() {
    let (folder, expected) = first();
    for jobs in ["1", "2", "3", "8"] {
        let made = package(folder.path(), |command| {
            command.args(["--jobs", jobs]);
        });
        assert_eq!(made, expected, "--jobs {jobs}");
    }
}

#[test]
fn in_any_locale_time_zone_and_home() {
    let (folder, expected) = first();
    let home = TempDir::new().unwrap();
    for (name, value) in [
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("LC_ALL", "C"),
        ("LANG", "de_DE.ISO-8859-1"),
        ("TZ", "Pacific/Kiritimati"),
        ("TZ", "America/St_Johns"),
        ("TZ", ":nonsense"),
        ("HOME", "/nonexistent"),
        ("HOME", home.path().to_str().unwrap()),
        ("TMPDIR", home.path().to_str().unwrap()),
        ("USER", "somebody"),
    ] {
        let made = package(folder.path(), |command| {
            command.env(name, value);
        });
        assert_eq!(made, expected, "{name}={value}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "nothing is left there");
}

#[test]
fn under_any_umask_and_for_another_user() {
    let (folder, expected) = first();
    let program = product("wharf").unwrap();
    for umask in ["000", "022", "027", "077"] {
        let made = package(folder.path(), |command| under_umask(command, umask, &program));
        assert_eq!(made, expected, "umask {umask}");
    }
    if !rustix::process::getuid().is_root() {
        return skipped("only root becomes somebody else");
    }
    let Some(setpriv) = require("setpriv") else { return };
    // A temporary folder is for its owner alone.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The program's folder may be closed to other users.
    let place = TempDir::with_prefix("program-").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copied = place.path().join("wharf");
    fs::copy(&program, &copied).unwrap();
    let made = package(folder.path(), |command| {
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut other = Command::new(setpriv.path());
        other.env_clear().args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        other.arg(&copied).args(arguments).current_dir(folder.path());
        *command = other;
    });
    assert_eq!(made, expected, "another user");
}

/// The same command under a umask.
fn under_umask(command: &mut Command, umask: &str, program: &Path) {
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let folder = command.get_current_dir().unwrap().to_owned();
    let mut other = Command::new("sh");
    other.env_clear().current_dir(folder);
    other
        .args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")])
        .arg(program)
        .args(arguments);
    *command = other;
}

#[test]
fn of_one_commit_that_is_checked_out_under_three_umasks() {
    let Some(git) = require("git") else { return };
    let (folder, expected) = first();
    let run = |folder: &Path, arguments: &[&str], umask: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")]).arg(git.path());
        command.args(["-c", "user.name=A", "-c", "user.email=a@quayline.dev"]);
        command.args(["-c", "init.defaultBranch=main", "-c", "core.autocrlf=false"]);
        let output = command.args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    };
    run(folder.path(), &["init", "--quiet"], "022");
    run(folder.path(), &["add", "."], "022");
    run(folder.path(), &["commit", "--quiet", "--message=One"], "022");
    let mut modes = Vec::new();
    for umask in ["022", "027", "077"] {
        let clones = TempDir::with_prefix("clones-").unwrap();
        let from = folder.path().display().to_string();
        run(clones.path(), &["clone", "--quiet", &from, "clone"], umask);
        let clone = clones.path().join("clone");
        modes.push(fs::metadata(clone.join("root/a/content")).unwrap().mode() & 0o777);
        assert_eq!(package(&clone, |_| {}), expected, "umask {umask}");
    }
    assert_eq!(modes, [0o644, 0o640, 0o600], "git does as the umask says");
}

#[test]
fn in_another_place_on_another_file_system_and_written_backwards() {
    let (_folder, expected) = first();
    let shared = PathBuf::from("/dev/shm");
    for place in [std::env::temp_dir(), shared] {
        let Ok(folder) = TempDir::with_prefix_in("a rather longer name ", &place) else {
            skipped(&format!("{} cannot be written", place.display()));
            continue;
        };
        write(folder.path(), true);
        assert_eq!(package(folder.path(), |_| {}), expected, "in {}", place.display());
        // Named from elsewhere.
        let made = package(folder.path(), |command| {
            let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let mut other = Command::new(command.get_program());
            other.env_clear().current_dir("/");
            for argument in arguments {
                let is_offer = argument == "offer.yaml";
                other.arg(if is_offer { folder.path().join(argument).into() } else { argument });
            }
            *command = other;
        });
        assert_eq!(made, expected, "named from elsewhere");
    }
}

#[test]
fn a_run_over_an_earlier_one_gives_the_same_as_a_run_into_nothing() {
    let (folder, expected) = first();
    let output = TempDir::with_prefix("again-").unwrap();
    let again = || package_into(folder.path(), output.path(), |_| {});
    assert_eq!(again(), expected);
    assert_eq!(again(), expected, "nothing changed");
    // A change and its reversal leave no trace, also in the caches for the next run.
    let file = folder.path().join("root/a/content");
    let content = fs::read(&file).unwrap();
    let mut other = content.clone();
    other[350_000] ^= 1;
    fs::write(&file, other).unwrap();
    assert_ne!(again(), expected);
    fs::write(&file, content).unwrap();
    assert_eq!(again(), expected, "changed back");
    let kept = output.path().join(".wharf");
    if kept.exists() {
        fs::remove_dir_all(kept).unwrap();
    }
    assert_eq!(again(), expected, "without what was kept");
}
