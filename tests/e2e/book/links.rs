//! Links of the documents, and names of files in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{DOCS, files, root, text};

/// Lines outside of code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Targets of links, without those in code.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(page) {
        // Code may contain the form of a link; a link may contain code in its text.
        let bare: Vec<&str> = line.split('`').step_by(2).collect();
        let bare = bare.join("`");
        let targets = bare.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(targets.map(|(target, _)| target.to_owned()));
    }
    found
}

/// The anchor of a heading: small letters, digits, `-` and `_`; spaces become `-`.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    heading.chars().filter_map(kept).collect()
}

/// Every anchor of a page; the second of a kind has a number.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let headings = headings.filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let numbered = headings.map(|heading| {
        let anchor = anchor(heading.trim());
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
    });
    numbered.collect()
}

/// A path without `.` and `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Why a link of a page leads nowhere.
fn broken(page: &Path, link: &str) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("http://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, a)| (file, Some(a)));
    let folder = page.parent().unwrap();
    let target = if file.is_empty() { page.to_owned() } else { resolved(&folder.join(file)) };
    let fault = |what: &str| Some(format!("{}: {link}: {what}", page.display()));
    if !root().join(&target).exists() {
        return fault("nothing is there");
    }
    // The book holds docs/ alone.
    if page.starts_with(DOCS) && !target.starts_with(DOCS) {
        return fault("leads out of docs/; name the file instead");
    }
    let known = |anchor: &str| anchors(&text(&root().join(&target))).contains(anchor);
    anchor.filter(|anchor| !known(anchor)).and_then(|_| fault("no such heading"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    for page in files(&[".md"]) {
        let links = links(&text(&root().join(&page)));
        faults.extend(links.iter().filter_map(|link| broken(&page, link)));
    }
    assert_eq!(faults, [""; 0]);
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let known: Vec<String> =
        files(&[".rs", ".sh", ".toml"]).iter().map(|path| format!("/{}", path.display())).collect();
    let mut gone = Vec::new();
    for page in files(&[".md"]) {
        let is_about_code = page == Path::new("ARCHITECTURE.md") || page.starts_with(DOCS);
        for line in prose(&text(&root().join(&page))).filter(|_| is_about_code) {
            let words = line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|word| word.strip_suffix(".rs").is_some());
            for word in words.filter(|word| !word.contains(['<', '*', ' '])) {
                if !known.iter().any(|path| path.ends_with(&format!("/{word}"))) {
                    gone.push(format!("{}: {word}", page.display()));
                }
            }
        }
    }
    assert_eq!(gone, [""; 0], "no such file");
}

#[test]
fn anchors_are_those_that_pages_have() {
    let page = "# A `b`: C, d\n## Same\n## Same\n```\n# no heading\n```\n";
    let expected = ["a-b-c-d", "same", "same-1"].map(str::to_owned);
    assert_eq!(anchors(page), BTreeSet::from(expected));
    assert_eq!(links("[a `x](y)` b](c#d) `[e](f)`\n```\n[g](h)\n```\n"), ["c#d"]);
}
