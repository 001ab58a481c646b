//! Reports for other programs, validated by the schemas of their formats: of an image without
//! faults, of the whole corpus, and of hostile names.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;
use wharf_testkit::clients::skipped;
use wharf_testkit::handmade::Handmade;
use wharf_testkit::offers::Offer;

use crate::bad_images::hostile_names::hostile;
use crate::corpus::run::{in_parallel, program};
use crate::corpus::{Case, Make, cases};

/// Formats with a schema.
const FORMATS: [&str; 2] = ["sarif", "junit"];

/// Where `tests/setup.sh` put the validators, or why it could not.
pub(crate) fn validators() -> Result<PathBuf, &'static str> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    let folder = cache.unwrap_or_default().join("wharf/schemas-3");
    if folder.join("complete").is_file() {
        return Ok(folder);
    }
    let tried = folder.with_added_extension("unreachable").exists();
    assert!(tried || std::env::var_os("CI").is_none(), "no schemas, and CI must not skip");
    Err(if tried { "the schemas could not be had" } else { "the schemas are not installed" })
}

#[tokio::test]
async fn reports_for_programs_fit_the_schemas_of_their_formats() {
    let validators = match validators() {
        Ok(validators) => validators,
        Err(why) => return skipped(&format!("{why} (see tests/setup.sh)")),
    };
    let folder = TempDir::with_prefix("schemas-").unwrap();
    let reports = folder.path().join("reports");
    fs::create_dir(&reports).unwrap();
    Handmade::healthy().write(&folder.path().join("healthy")).unwrap();
    report_on(&folder.path().join("healthy"), &reports, "healthy");
    let names = folder.path().join("<&\">\u{1b}\u{202e} %41\u{fffe}");
    hostile().write(&names).unwrap();
    report_on(&names, &reports, "hostile");
    let all: Vec<&Case> = cases().collect();
    in_parallel(&all, |number, case| {
        let at = folder.path().join(number.to_string());
        match case.make {
            Make::Image(change) => {
                let mut image = Handmade::healthy();
                change(&mut image);
                image.write(&at).unwrap();
                report_on(&at, &reports, &number.to_string());
            }
            Make::Offer(change) | Make::Unrendered(change) => {
                let mut offer = Offer::healthy();
                change(&mut offer);
                let file = offer.write(&at).unwrap();
                report(&["offer", "lint"], &file, &reports, &number.to_string());
            }
            Make::Both(_)
            | Make::Scanned(_)
            | Make::Registry(_)
            | Make::Waived(..)
            | Make::Recorded(..)
            | Make::Live(_) => {}
        }
        let _ = fs::remove_dir_all(at);
    });
    let mut wanted = Vec::new();
    for file in fs::read_dir(&reports).unwrap() {
        let path = file.unwrap().path();
        let kind = path.extension().unwrap().to_string_lossy().into_owned();
        wanted.push(format!("{kind}={}", path.display()));
    }
    assert!(wanted.len() >= 300, "{} reports", wanted.len());
    validate(&validators, &wanted).await;
}

/// Panics with every mismatch.
pub(crate) async fn validate(validators: &Path, wanted: &[String]) {
    let python = validators.join("bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/schemas/validate.py");
    let output =
        Command::new(python).arg(script).arg(validators).args(wanted).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
}

fn report_on(layout: &Path, reports: &Path, name: &str) {
    report(&["verify"], layout, reports, name);
}

/// Writes a report in every format with a schema.
fn report(command: &[&str], target: &Path, reports: &Path, name: &str) {
    let mut wharf = program();
    wharf.args(command).arg(target);
    for format in FORMATS {
        let file = reports.join(format!("{name}.{format}"));
        wharf.arg("--report").arg(format!("{format}={}", file.display()));
    }
    let output = wharf.output().unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{name}: {code:?} {output:?}");
}
