//! Files of patterns for paths to leave out. A file with a name in `.dockerignore` has Docker's
//! syntax, any other git's; both match against the paths in the folder of the input.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::bytes::Regex;

use crate::image::layer::LayerError;
use crate::input;

/// Most bytes of the file, and most patterns: each is held against every path.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const PATTERNS_MAX: usize = 1000;

/// The patterns of a file.
#[derive(Debug)]
pub(super) enum IgnoreFile {
    /// In git's syntax. Entries of an ignored folder cannot come back.
    Git(Gitignore),
    /// In Docker's: every pattern matches the paths below its own too, and the last one decides.
    Docker(Vec<DockerPattern>),
}

/// A line of a `.dockerignore`.
#[derive(Debug)]
pub(super) struct DockerPattern {
    regex: Regex,
    /// Written with `!`.
    brings_back: bool,
}

impl IgnoreFile {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, LayerError> {
        let failed = |source| LayerError::Read { path: path.to_owned(), source };
        let faulty =
            |line, message| LayerError::IgnoreFile { path: path.to_owned(), line, message };
        let mut text = Vec::new();
        let file = input::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(faulty(1, format!("the file is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = String::from_utf8(text).map_err(|_| faulty(1, "it is not UTF-8".to_owned()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = (1..).zip(text.lines());
        let used = lines.clone().filter(|(_, line)| !line.trim().is_empty()).count();
        if used > PATTERNS_MAX {
            return Err(faulty(1, format!("the file has more than {PATTERNS_MAX} patterns")));
        }
        let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
        if name.ends_with(b".dockerignore") {
            let patterns = lines.map(|(number, line)| {
                docker_pattern(line).map_err(|message| faulty(number, message))
            });
            let patterns: Result<Vec<_>, _> = patterns.collect();
            return Ok(Self::Docker(patterns?.into_iter().flatten().collect()));
        }
        let mut builder = GitignoreBuilder::new("");
        for (number, line) in lines {
            builder
                .add_line(None, &plain_line(line))
                .map_err(|error| faulty(number, error.to_string()))?;
        }
        let built = builder.build().map_err(|error| faulty(1, error.to_string()))?;
        Ok(Self::Git(built))
    }

    /// How many patterns are remembered for each folder.
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Git(_) => 0,
            Self::Docker(patterns) => patterns.len(),
        }
    }

    /// Whether a path stays out; whether an entry in it could still come back; and, for each
    /// pattern, whether it matches the path or a folder above it. `above` has the matches of the
    /// path's folder.
    pub(super) fn judge(
        &self,
        path: &[u8],
        is_folder: bool,
        above: &[bool],
    ) -> (bool, bool, Vec<bool>) {
        match self {
            Self::Git(patterns) => {
                let found = patterns.matched(Path::new(OsStr::from_bytes(path)), is_folder);
                (matches!(found, Match::Ignore(_)), false, Vec::new())
            }
            Self::Docker(patterns) => {
                let above = above.iter().copied().chain(std::iter::repeat(false));
                let meaning = patterns.iter().zip(above);
                let meaning: Vec<bool> =
                    meaning.map(|(one, above)| above || one.regex.is_match(path)).collect();
                let last = patterns.iter().zip(&meaning).rfind(|(_, means)| **means);
                let is_ignored = last.is_some_and(|(pattern, _)| !pattern.brings_back);
                let can_return = patterns.iter().any(|pattern| pattern.brings_back);
                (is_ignored, can_return, meaning)
            }
        }
    }
}

/// A line of git's in the syntax of the crate: there braces are alternatives, and the classes of
/// POSIX (`[[:digit:]]`) are unknown.
fn plain_line(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let (mut is_escaped, mut is_class) = (false, false);
    let mut left = line;
    while let Some(c) = left.chars().next() {
        left = left.get(c.len_utf8()..).unwrap_or_default();
        if is_class && c == '[' && left.starts_with(':') {
            let named = CLASSES
                .iter()
                .find_map(|(name, characters)| Some((left.strip_prefix(name)?, characters)));
            if let Some((rest, characters)) = named {
                plain.push_str(characters);
                left = rest;
                continue;
            }
        }
        match c {
            _ if is_escaped => {}
            '[' if !is_class => {
                is_class = true;
                // A bracket in the first place is one of the characters.
                let rest = left.strip_prefix(['!', '^']).unwrap_or(left);
                let first = left.len() - rest.len() + usize::from(rest.starts_with(']'));
                plain.push(c);
                plain.push_str(left.get(..first).unwrap_or_default());
                left = left.get(first..).unwrap_or_default();
                continue;
            }
            ']' => is_class = false,
            '{' | '}' if !is_class => plain.push('\\'),
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped && !is_class;
        plain.push(c);
    }
    plain
}

/// The classes of POSIX, after their bracket, in the C locale.
const CLASSES: [(&str, &str); 12] = [
    (":alnum:]", "0-9A-Za-z"),
    (":alpha:]", "A-Za-z"),
    (":blank:]", " \t"),
    (":cntrl:]", "\x01-\x1f\x7f"),
    (":digit:]", "0-9"),
    (":graph:]", "!-~"),
    (":lower:]", "a-z"),
    (":print:]", " -~"),
    (":punct:]", "!-/:-@[-`{-~"),
    (":space:]", " \t\n\x0b\x0c\r"),
    (":upper:]", "A-Z"),
    (":xdigit:]", "0-9A-Fa-f"),
];

/// Reads a line as Docker's documentation says; `None` of a line without a pattern.
fn docker_pattern(line: &str) -> Result<Option<DockerPattern>, String> {
    if line.starts_with('#') {
        return Ok(None);
    }
    let line = line.trim();
    let (line, brings_back) = match line.strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (line, false),
    };
    if line.is_empty() {
        return if brings_back { Err("`!` has no pattern".to_owned()) } else { Ok(None) };
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in line.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let regex = docker_regex(&parts.join("/"))?;
    let regex = Regex::new(&regex).map_err(|_| format!("`{line}` is not a pattern"))?;
    Ok(Some(DockerPattern { regex, brings_back }))
}

/// A pattern as a regular expression: the pattern of Go's `filepath.Match`, with `**` for any
/// number of folders.
fn docker_regex(pattern: &str) -> Result<String, String> {
    let faulty = || format!("`{pattern}` is not a pattern");
    let mut regex = "(?s-u)^".to_owned();
    let mut left = pattern.chars().peekable();
    while let Some(c) = left.next() {
        match c {
            '*' if left.peek() == Some(&'*') => {
                left.next();
                if left.peek() == Some(&'/') {
                    left.next();
                }
                regex.push_str(if left.peek().is_none() { ".*" } else { "(?:.*/)?" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("(?u:[^/])"),
            '\\' => push_literal(left.next().ok_or_else(faulty)?, &mut regex),
            '[' => {
                regex.push_str("(?u:[");
                if left.peek() == Some(&'^') {
                    left.next();
                    regex.push('^');
                }
                push_class(&mut left, &mut regex).ok_or_else(faulty)?;
                regex.push_str("])");
            }
            c => push_literal(c, &mut regex),
        }
    }
    regex.push('$');
    Ok(regex)
}

/// The rest of a class: characters and ranges of them, at least one.
fn push_class(
    left: &mut std::iter::Peekable<std::str::Chars<'_>>,
    regex: &mut String,
) -> Option<()> {
    let mut is_empty = true;
    loop {
        match left.next()? {
            ']' | '-' if is_empty => return None,
            ']' => return Some(()),
            '\\' => push_literal(left.next()?, regex),
            '-' => regex.push('-'),
            c => push_literal(c, regex),
        }
        is_empty = false;
    }
}

fn push_literal(c: char, regex: &mut String) {
    regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(name: &str, text: &str) -> Result<IgnoreFile, LayerError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        IgnoreFile::read(&path)
    }

    /// Whether a path is ignored, when its folders are walked from the top.
    fn is_ignored(file: &IgnoreFile, path: &str) -> bool {
        let mut above = vec![false; file.len()];
        let mut is_out = false;
        let ends = path.match_indices('/').map(|(at, _)| (at, true)).chain([(path.len(), false)]);
        for (end, is_folder) in ends {
            let path = path.get(..end).unwrap().as_bytes();
            let (is_ignored, can_return, next) = file.judge(path, is_folder, &above);
            if is_ignored && !(is_folder && can_return) {
                return true;
            }
            (above, is_out) = (next, is_ignored);
        }
        is_out
    }

    #[test]
    fn a_dockerignore_means_what_docker_says() {
        for (text, out, kept) in [
            ("*/temp*", vec!["a/temp", "a/temporary.txt", "a/temp/x"], vec!["temp", "a/b/temp"]),
            ("**/*.go", vec!["a.go", "a/b.go"], vec!["a.gox"]),
            ("/docs", vec!["docs/x"], vec!["a/docs"]),
            ("docs/", vec!["docs", "docs/x"], vec![]),
            (
                "*.md\n!README*.md\nREADME-secret.md",
                vec!["x.md", "README-secret.md"],
                vec!["README.md", "a/x.md"],
            ),
            ("build\n!build/keep", vec!["build/other"], vec!["build/keep", "build/keep/x"]),
            ("# no\n\n  a b  \n./x/../y", vec!["a b", "y"], vec!["# no", "x"]),
            ("[a-c]x\n[^d]y\n\\*z", vec!["bx", "ay", "*z"], vec!["dx", "dy", "az"]),
            ("a.b$", vec!["a.b$"], vec!["axb$", "a.b"]),
            ("a**b", vec!["ab", "axx/b"], vec!["axxb"]),
            ("**", vec!["a", "a/b"], vec![]),
        ] {
            let file = read("x.dockerignore", text).unwrap();
            for path in out {
                assert!(is_ignored(&file, path), "{text:?} {path}");
            }
            for path in kept {
                assert!(!is_ignored(&file, path), "{text:?} {path}");
            }
        }
    }

    #[test]
    fn any_other_name_means_what_git_says() {
        for (text, out, kept) in [
            ("*.o\n!main.o", vec!["a.o", "x/a.o"], vec!["main.o", "x/main.o"]),
            ("/top", vec!["top/x"], vec!["x/top"]),
            ("logs/", vec!["logs/x", "a/logs/x"], vec!["logs"]),
            ("build\n!build/keep", vec!["build/keep"], vec![]),
            ("a/**/z", vec!["a/z", "a/b/c/z"], vec!["z"]),
            ("*.{a,b}\n\\{x\n# c\n\\#d", vec!["x.{a,b}", "{x", "#d"], vec!["x.a", "# c"]),
            ("[!a]x\n[^b]y\n[]z]w", vec!["bx", "ay", "zw", "]w"], vec!["ax", "by"]),
            ("end \nkept\\ ", vec!["end", "kept "], vec!["end ", "kept"]),
        ] {
            let file = read(".gitignore", text).unwrap();
            for path in out {
                assert!(is_ignored(&file, path), "{text:?} {path}");
            }
            for path in kept {
                assert!(!is_ignored(&file, path), "{text:?} {path}");
            }
        }
    }

    #[test]
    fn git_itself_says_the_same() {
        let files = [
            "1.env",
            "a.env",
            "b.env",
            "c++",
            "sub/x",
            "deep/sub/x",
            "deep/x",
            "x.{a,b}",
            "{x",
            "#d",
            "]w",
            "zw",
            "end",
            "a b",
            "-",
            "!x",
            "logs",
            "deep/logs/y",
            "ab/cd/ef",
            "A.env",
        ];
        let lines = [
            "[!a].env",
            "[^a].env",
            "[[:digit:]].env",
            "[[:upper:][:digit:]].env",
            "?.env",
            "c++",
            "sub/*",
            "sub/",
            "/sub",
            "**/x",
            "deep/**",
            "*.{a,b}",
            "\\{x",
            "{x",
            "\\#d",
            "#d",
            "[]z]w",
            "[!]]w",
            "end ",
            "a\\ b",
            "a b",
            "[a-]",
            "[-a]",
            "\\!x",
            "!x",
            "logs",
            "logs/",
            "ab/**/ef",
            "ab/*/ef",
            "ab/*",
            "*/cd",
            "*",
            "*\n!deep",
            "*\n!*/\n!x",
            "**",
            "[a-b]*",
            "/*.env\n!a*",
        ];
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let mut command = std::process::Command::new("git");
            command.current_dir(folder.path()).args(arguments).output()
        };
        if git(&["init", "-q", "."]).is_err() {
            eprintln!("SKIPPED: there is no git to compare with");
            return;
        }
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        for line in lines {
            std::fs::write(folder.path().join(".gitignore"), line).unwrap();
            let ours = IgnoreFile::read(&folder.path().join(".gitignore")).unwrap();
            for file in files {
                let output = git(&["check-ignore", "-q", "--no-index", "--", file]).unwrap();
                let theirs = output.status.code() == Some(0);
                assert_eq!(is_ignored(&ours, file), theirs, "{line:?} {file:?}");
            }
        }
    }

    #[test]
    fn faulty_lines_are_named_by_number() {
        for (text, line) in [("a\n[", 2), ("!", 1), ("a\n\nb\\", 3), ("[]", 1), ("[z-a]", 1)] {
            match read(".dockerignore", text) {
                Err(LayerError::IgnoreFile { line: found, .. }) => assert_eq!(found, line),
                other => panic!("{text:?}: {other:?}"),
            }
        }
        let many = "a\n".repeat(PATTERNS_MAX + 1);
        assert!(read(".gitignore", &many).is_err());
    }
}
