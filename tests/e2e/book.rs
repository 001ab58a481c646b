//! The documents: their links, their sizes, their list, and the generated pages of the reference.
//! `WHARF_WRITE_DOCS=1` writes such a page instead of comparing it; `make reference` does so.

mod commands;
mod examples;
mod links;
mod metrics;
mod rules;

use std::path::{Path, PathBuf};

/// The folder of the documents.
const DOCS: &str = "docs";
/// The most bytes of README, a newcomer's text before the first command.
const README_BYTES_MAX: usize = 6 * 1024;
/// Most bytes of ARCHITECTURE.
const ARCHITECTURE_BYTES_MAX: usize = 10 * 1024;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of the repository with one of these endings, as paths from its root.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let is_ours = name != "target" && !name.starts_with('.');
                open.extend(is_ours.then_some(path));
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Compares a generated page with the file, or writes the file.
fn assert_current(page: &str, content: &str) {
    let path = root().join(DOCS).join("reference").join(page);
    if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
        std::fs::write(&path, content).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let first = written.lines().zip(content.lines()).find(|(written, said)| written != said);
    assert!(
        written == content,
        "docs/reference/{page} is not what the program says; write it with `make reference`.\n{first:?}"
    );
}

/// A text of a program in a page: no character of it is markup.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for part in text.chars() {
        if "<*[]|".contains(part) {
            shown.push('\\');
        }
        shown.push(part);
    }
    shown
}

#[test]
fn readme_and_architecture_are_short() {
    for (file, most) in
        [("README.md", README_BYTES_MAX), ("ARCHITECTURE.md", ARCHITECTURE_BYTES_MAX)]
    {
        let bytes = text(&root().join(file)).len();
        assert!(bytes < most, "{file} has {bytes} bytes; move something into docs/");
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = text(&root().join(DOCS).join("SUMMARY.md"));
    let pages = files(&[".md"]).into_iter().filter_map(|file| {
        let page = file.strip_prefix(DOCS).ok()?.to_str()?.to_owned();
        (page != "SUMMARY.md").then_some(page)
    });
    let missing: Vec<String> =
        pages.filter(|page| !summary.contains(&format!("]({page})"))).collect();
    assert_eq!(missing, [""; 0], "docs/SUMMARY.md does not list these");
}
