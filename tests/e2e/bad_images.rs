//! Strange input for `wharf verify` in place of an image, or inside of one. Each run ends with an
//! exit code and a message about its cause: never with a panic, a hang, unbounded memory, a newly
//! created file, or a control sequence for the terminal.

pub(crate) mod hostile_names;
mod sources;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wharf_testkit::clients::require;

use crate::corpus::run::program;

/// The most memory for `wharf`, for any input: a million files in memory would be more.
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// How long one look may take; a hang takes longer.
const TIME_MAX: Duration = Duration::from_mins(2);

/// The end of a `wharf` run, and its output.
struct Ended {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Ended {
    fn text(&self) -> String {
        String::from_utf8_lossy(&[self.stdout.as_slice(), &self.stderr].concat()).into_owned()
    }
}

/// Runs `wharf` with bounded memory and time, in an empty folder of its own; the run must leave the
/// folder empty. No file in `watched` may change.
#[expect(clippy::disallowed_methods, reason = "a poll with a deadline")]
fn run_on<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    stdin: Stdio,
    watched: &Path,
) -> Ended {
    let work = TempDir::with_prefix("bad-images-").unwrap();
    let (here, temporary) = (work.path().join("here"), work.path().join("temporary"));
    fs::create_dir(&here).unwrap();
    fs::create_dir(&temporary).unwrap();
    let before = listing(watched);
    let wharf = program();
    let mut command = match require("prlimit") {
        Some(prlimit) => {
            let mut command = Command::new(prlimit.path());
            command.arg(format!("--data={MEMORY_BYTES_MAX}")).arg("--core=0");
            command.arg(wharf.get_program());
            command
        }
        None => Command::new(wharf.get_program()),
    };
    let (out, err) = (work.path().join("stdout"), work.path().join("stderr"));
    command
        .args(["--color", "never"])
        .args(arguments)
        .current_dir(&here)
        .env("TMPDIR", &temporary)
        .env("HOME", &here)
        .stdin(stdin)
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHARF_") {
            command.env_remove(name);
        }
    }
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + TIME_MAX;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let ended = Ended {
        code: status.code(),
        stdout: fs::read(out).unwrap(),
        stderr: fs::read(err).unwrap(),
    };
    let text = ended.text();
    assert!(!text.contains("panicked"), "{command:?}: {text}");
    assert!(matches!(ended.code, Some(0..=3)), "{command:?} ended with {status}: {text}");
    assert_eq!(listing(&here), BTreeMap::new(), "{command:?} left something");
    assert_eq!(listing(&temporary), BTreeMap::new(), "{command:?} left something");
    assert_eq!(listing(watched), before, "{command:?} changed something");
    ended
}

/// Everything below a folder, with its size and whether it is a file; links are not followed.
fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, bool)> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            if about.is_dir() {
                open.push(entry.path());
            }
            let size = if about.is_file() { about.len() } else { 0 };
            found.insert(entry.path(), (size, about.is_file()));
        }
    }
    found
}

/// A layout as an archive.
fn archived(layout: &Path) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all(".", layout).unwrap();
    archive.into_inner().unwrap()
}
