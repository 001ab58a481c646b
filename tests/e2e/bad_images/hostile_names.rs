//! Names chosen by strangers, in every report: no control sequence for a terminal, no character
//! with an effect on the order of others, and no line taken for a command by a CI service.

use std::fs;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use wharf_testkit::handmade::{Entry, Handmade, set};

use super::run_on;

/// A title of the window, a command line for a CI service, characters from right to left, and
/// markup.
const NAMES: [&str; 5] = [
    "\u{1b}]0;tide\u{7}",
    "a\n::error::tide\n##vso[task.setvariable variable=tide]high",
    "\u{202e}edit\u{2066}",
    "<img src=x onerror=alert(1)>|`tide`",
    "\u{9b}31m\u{85}\u{feff}",
];

/// Characters forbidden in visible text: controls, and characters with an effect on the display of
/// others.
fn is_obeyed(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn no_report_repeats_what_a_terminal_or_a_service_obeys() {
    let folder = TempDir::with_prefix("hostile-").unwrap();
    // The name of the target is a stranger's too.
    let target = folder.path().join("\u{1b}[2J\u{202e}edit\n::error::tide");
    hostile().write(&target).unwrap();
    let reports = folder.path().join("reports");
    fs::create_dir(&reports).unwrap();
    let formats = ["text", "json", "junit", "sarif", "markdown", "github", "azure"];
    for format in formats {
        let report = reports.join(format);
        let wanted = format!("{format}={}", report.display());
        // The report is outside of the watched folder.
        let arguments =
            ["verify".into(), "--report".into(), wanted.into(), target.as_os_str().to_owned()];
        let ended = run_on(arguments, Stdio::null(), &target);
        assert_eq!(ended.code, Some(1), "{format}: {}", ended.text());
        for (from, bytes) in [
            ("stdout", ended.stdout),
            ("stderr", ended.stderr),
            (format, fs::read(&report).unwrap()),
        ] {
            let text = String::from_utf8(bytes).unwrap();
            assert_ne!((from, text.len()), (format, 0), "an empty report");
            // Programs read SARIF and JSON, and know an escape from a character; XML is shown by
            // its reader.
            let found: Vec<char> = text.chars().filter(|c| is_obeyed(*c)).collect();
            assert!(found.is_empty(), "{from}: {found:?} in {text:?}");
            for line in text.lines() {
                let is_command =
                    line.starts_with("::error::tide") || line.starts_with("##vso[task.setvariable");
                assert!(!is_command, "{from}: {line:?}");
            }
        }
    }
}

/// An image with a hostile name in every field for a name.
pub(crate) fn hostile() -> Handmade {
    let mut image = Handmade::healthy_alone();
    let platform = &mut image.platforms[0];
    for name in NAMES {
        let entry = Entry::file(format!("srv/tide/{name}"), "");
        platform.app().entries.extend([entry.clone(), entry]);
    }
    let run = platform.run();
    let variables = NAMES.iter().map(|name| format!("_{name}=1"));
    set(run, "Env", variables.collect());
    set(run, "Entrypoint", json!([format!("/srv/tide/{}", NAMES[0])]));
    set(run, "WorkingDir", format!("/{}", NAMES[1]).into());
    set(run, "User", NAMES[2].into());
    set(run, "ExposedPorts", json!({ NAMES[0]: {}, NAMES[3]: {} }));
    set(run, "StopSignal", NAMES[1].into());
    set(run, "Labels", json!({ NAMES[4]: format!("AK{}", "IA7TIDE8TIDE9TIDE0") }));
    set(&mut platform.config, "architecture", NAMES[1].into());
    set(&mut platform.config, "created", NAMES[2].into());
    image
}
