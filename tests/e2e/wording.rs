//! The wording of comments: one noun of the field a sentence, so that a sentence about a lock says lock.

use std::path::{Path, PathBuf};

/// Words that stand for a noun instead of saying it.
const RELATIVE: [&str; 6] = ["who", "whom", "whose", "what", "which", "that"];
/// Words that name no component at all.
const VAGUE: [&str; 9] = [
    "nobody",
    "somebody",
    "someone",
    "anybody",
    "anyone",
    "whoever",
    "whatever",
    "whichever",
    "something",
];
/// The most of the first in 1,000 words of a tree's comments.
const RELATIVE_MAX: usize = 30;
/// The most of the second in 10,000.
const VAGUE_MAX: usize = 15;

/// Words of a comment line; what stands in backticks is code.
fn words(line: &str) -> impl Iterator<Item = String> {
    let prose: Vec<&str> = line.split('`').step_by(2).collect();
    let prose = prose.join(" x ").to_lowercase();
    let words: Vec<String> = prose
        .split(|letter: char| !letter.is_alphabetic() && letter != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.into_iter()
}

fn comment(line: &str) -> Option<&str> {
    let text = line.trim_start().strip_prefix("//")?;
    Some(text.trim_start_matches(['/', '!']))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn comments_name_things_by_their_nouns() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for tree in ["store", "client", "proxy", "tools", "tests", "benches", "fuzz"] {
        let mut files = Vec::new();
        sources(&root.join(tree), &mut files);
        let (mut all, mut relative, mut vague) = (0, 0, 0);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for word in text.lines().filter_map(comment).flat_map(words) {
                all += 1;
                relative += usize::from(RELATIVE.contains(&word.as_str()));
                vague += usize::from(VAGUE.contains(&word.as_str()));
            }
        }
        assert!(all > 100, "{tree} has no comments");
        assert!(
            relative * 1_000 <= all * RELATIVE_MAX,
            "{tree}: {relative} relative and question words in {all}; name the component instead"
        );
        assert!(vague * 10_000 <= all * VAGUE_MAX, "{tree}: {vague} words such as \"somebody\"");
    }
}

#[test]
fn words_are_counted_outside_of_code() {
    let line = comment("    /// The lock that `which_one` holds; somebody's.").unwrap();
    let counted: Vec<_> = words(line).collect();
    assert_eq!(counted, ["the", "lock", "that", "x", "holds", "somebody's"]);
    assert_eq!(comment("let a = 1; // that"), None);
}
