//! Bad input for `wharf package`: each run ends soon, with an error with the names of plan, layer
//! and file, or with a warning where an image is still possible. No output is half-written:
//! existing output stays, and the next run with good input gives its usual result.

mod archives;
mod bases;
mod folders;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use wharf_testkit::clients::require;
use wharf_testkit::offers::PLAN;
use wharf_testkit::processes::Process;

use super::{Workshop, bytes_of, one_platform};
use crate::fixture::PATIENCE;

/// The most memory of a run, for any input.
const MEMORY_BYTES_MAX: u64 = 512 << 20;

/// How one of the table ends.
enum End {
    /// It is refused, with these words besides plan and layer.
    Refused(&'static [&'static str]),
    /// It is refused while the offer is read, with these words.
    NotRead(&'static [&'static str]),
    /// It is made, with these words in a warning.
    Warned(&'static [&'static str]),
}

/// A case of bad input.
struct Case {
    name: &'static str,
    /// Puts it into the folder of the offer.
    make: fn(&Path),
    /// The lines of the image with the bad input.
    image: &'static str,
    end: End,
}

/// One platform with this layer.
macro_rules! layer {
    ($layer:literal) => {
        concat!(
            "      platforms:\n        - platform: linux/amd64\n          layers: [{ dir: good }, ",
            $layer,
            "]\n"
        )
    };
}
use layer;

/// Runs a prepared `wharf package` with bounded memory, within a time.
async fn run(command: Command) -> (Option<i32>, String) {
    let logs = TempDir::new().unwrap();
    let mut bounded = match require("prlimit") {
        Some(prlimit) => {
            let mut bounded = Command::new(prlimit.path());
            bounded.arg(format!("--data={MEMORY_BYTES_MAX}")).arg("--core=0");
            bounded.arg(command.get_program());
            bounded
        }
        None => Command::new(command.get_program()),
    };
    bounded.args(command.get_args().filter(|argument| *argument != "--quiet"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHARF_") || name == "SOURCE_DATE_EPOCH" {
            bounded.env_remove(name);
        }
    }
    let mut process = Process::spawn("wharf", &mut bounded, logs.path()).unwrap();
    let status = process.wait(PATIENCE).await.expect("it ends");
    (status.code(), process.stdout() + &process.stderr())
}

/// Every entry below the folder of layouts, without the caches for the next run.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    let mut files = if folder.exists() { bytes_of(folder) } else { BTreeMap::new() };
    files.retain(|name, _| !name.starts_with(".wharf/"));
    files
}

async fn judge(case: &Case) -> Result<(), String> {
    let shop = Workshop::new(&one_platform("{ dir: good }"));
    fs::create_dir_all(shop.path("good/folder")).unwrap();
    for name in ["good/file", "good/folder/x"] {
        fs::write(shop.path(name), "good\n").unwrap();
    }
    shop.packaged();
    let before = listing(&shop.path("out"));
    let fresh = shop.text("fresh");
    (case.make)(&shop.path(""));
    shop.write_offer(case.image);
    for output in [None, Some(fresh.as_str())] {
        let mut more = vec!["--jobs", "2"];
        more.extend(output.iter().flat_map(|output| ["--output", *output]));
        let (code, text) = run(shop.package_command(&more)).await;
        let place = format!("plan {PLAN}, linux/amd64, layer 2");
        let (wanted, words): (i32, Vec<&str>) = match &case.end {
            End::Refused(words) => (2, words.iter().copied().chain([place.as_str()]).collect()),
            End::NotRead(words) => (2, words.to_vec()),
            End::Warned(words) => (0, words.iter().copied().chain(["warning:"]).collect()),
        };
        let fail = |what: &str| Err(format!("{}: {what}: {code:?} {text}", case.name));
        if code != Some(wanted) {
            return fail("another exit code");
        }
        if let Some(missing) = words.iter().find(|word| !text.contains(**word)) {
            return fail(&format!("does not say {missing:?}"));
        }
        if text.contains("panicked") {
            return fail("a panic");
        }
        if wanted != 0 && output.is_some() && !listing(Path::new(&fresh)).is_empty() {
            return fail("something was left");
        }
        if wanted != 0 && listing(&shop.path("out")) != before {
            return fail("what was there changed");
        }
    }
    shop.write_offer(&one_platform("{ dir: good }"));
    shop.packaged();
    if listing(&shop.path("out")) != before {
        return Err(format!("{}: the next run makes something else", case.name));
    }
    Ok(())
}

async fn judge_all(cases: &[Case]) {
    let mut faults = Vec::new();
    for case in cases {
        if let Err(fault) = judge(case).await {
            faults.push(fault);
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_hold_what_no_layer_may_hold() {
    judge_all(folders::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_lie() {
    judge_all(archives::TARS).await;
    judge_all(archives::PACKAGES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_not_what_the_offer_says() {
    judge_all(bases::CASES).await;
}
