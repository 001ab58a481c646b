//! The images that templates name, as they are written: which of them come from `global.azure.images`,
//! and which are written out or come from elsewhere. What they come to is for `rendered`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use regex::Regex;

use super::actions::{self, Token, actions, tokens};
use super::yaml::Mark;
use super::{Chart, ChartFile};

/// Most findings of one chart; who has more has one cause.
const USES_MAX: usize = 200;
/// How deep named templates may include one another here.
const DEPTH_MAX: usize = 12;

/// An image of a template that is not one of `global.azure.images`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// The file, by its path in the chart.
    pub file: String,
    /// Where in it.
    pub mark: Mark,
    /// What is written there.
    pub what: What,
    /// Whether it is not the image of a container for sure: in a text, or in a variable.
    pub is_unsure: bool,
}

/// What an image is made of instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A text of the template.
    Literal(String),
    /// Another value.
    Elsewhere(String),
}

/// Every stray image of the templates, in the order of files and lines, each once.
#[must_use]
pub fn strays(chart: &Chart) -> Vec<Stray> {
    let texts: Vec<(&ChartFile, String)> = chart
        .templates()
        .filter_map(|file| Some((file, actions::without_comments(file.text()?))))
        .collect();
    let mut defines = BTreeMap::new();
    for (file, text) in &texts {
        for (name, range) in actions::defines(text) {
            defines.insert(name, Piece { file: &file.path, text, range });
        }
    }
    let mut look = Look { defines, seen: BTreeSet::new(), found: BTreeSet::new() };
    for (file, text) in &texts {
        look.file(&file.path, text);
    }
    look.found.into_iter().take(USES_MAX).collect()
}

/// Which names under `global.azure.images` templates use: a name that is not among them is not used.
#[must_use]
pub fn uses(chart: &Chart, name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let texts = chart.templates().filter_map(ChartFile::text).map(actions::without_comments);
    let (dotted, quoted) = (format!(".{name}"), format!("\"{name}\""));
    texts.into_iter().any(|text| {
        text.contains(&quoted)
            || text.match_indices(&dotted).any(|(at, found)| {
                let rest = text.get(at + found.len()..).unwrap_or_default();
                !rest.starts_with(is_letter)
            })
    })
}

/// A piece of a template.
#[derive(Clone)]
struct Piece<'a> {
    file: &'a str,
    text: &'a str,
    range: Range<usize>,
}

impl<'a> Piece<'a> {
    fn str(&self) -> &'a str {
        self.text.get(self.range.clone()).unwrap_or_default()
    }

    /// Where a part of it is, which starts that many bytes behind its start.
    fn mark(&self, offset: usize, width: usize) -> Mark {
        let before = self.text.get(..self.range.start + offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Mark { line, column, width: width.max(1) }
    }
}

struct Look<'a> {
    defines: BTreeMap<String, Piece<'a>>,
    seen: BTreeSet<String>,
    found: BTreeSet<Stray>,
}

impl<'a> Look<'a> {
    fn file(&mut self, file: &'a str, text: &'a str) {
        let mut block: Option<usize> = None;
        let mut wanted: Option<(usize, bool)> = None;
        let mut is_image_variable = false;
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let (at, bare) = (start, line.trim_end());
            start += line.len();
            let indent = bare.len() - bare.trim_start().len();
            let trimmed = bare.trim_start();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            if block.is_some_and(|above| indent <= above) {
                block = None;
            }
            let is_unsure = block.is_some();
            let piece =
                |range: Range<usize>| Piece { file, text, range: at + range.start..at + range.end };
            // The value of a key `image` whose value stands on the next line.
            if let Some((above, is_unsure)) = wanted.take()
                && indent > above
            {
                self.value(&piece(indent..bare.len()), is_unsure, 0);
                continue;
            }
            for range in image_values(bare) {
                let value = bare.get(range.clone()).unwrap_or_default();
                if value.starts_with(['|', '>']) {
                    wanted = Some((indent, is_unsure));
                } else if !value.starts_with(['{', '[', '&', '*']) || value.starts_with("{{") {
                    self.value(&piece(range), is_unsure, 0);
                }
            }
            if wanted.is_none() && block.is_none() && opens_block(bare) {
                block = Some(indent);
            }
            self.besides(&piece(0..bare.len()), is_image_variable);
            is_image_variable = names_image_variable(trimmed);
        }
    }

    /// What an image is made of: texts outside of actions, and the words of actions.
    fn value(&mut self, piece: &Piece<'a>, is_unsure: bool, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        let text = piece.str();
        let mut from = 0;
        let mut literals = Vec::new();
        for action in actions(text) {
            literals.push(from..action.range.start);
            self.action(piece, &action, is_unsure, depth);
            from = action.range.end;
        }
        literals.push(from..text.len());
        for range in literals {
            let literal = text.get(range.clone()).unwrap_or_default();
            let shown = literal
                .trim_matches(|letter: char| letter.is_whitespace() || "\"'".contains(letter));
            if shown.contains(|letter: char| letter.is_ascii_alphanumeric()) {
                let offset = range.start + literal.find(shown).unwrap_or_default();
                let mark = piece.mark(offset, shown.chars().count());
                self.add(piece.file, mark, What::Literal(shown.to_owned()), is_unsure);
            }
        }
    }

    fn action(
        &mut self,
        piece: &Piece<'a>,
        action: &actions::Action<'a>,
        is_unsure: bool,
        depth: usize,
    ) {
        let tokens = tokens(action.body);
        if let Some(Token::Word("if" | "else" | "end" | "range" | "with" | "fail")) = tokens.first()
        {
            return;
        }
        let mark = piece.mark(action.range.start, action.range.len());
        let mut function = "";
        let mut is_start = true;
        for token in tokens {
            match token {
                Token::Mark(_) => {
                    function = "";
                    is_start = true;
                    continue;
                }
                Token::Word(word) if word.starts_with(['.', '$']) => {
                    if let Some(other) = elsewhere(word) {
                        self.add(piece.file, mark, What::Elsewhere(other), is_unsure);
                    } else if let Some(name) = word.strip_prefix('$') {
                        self.variable(piece, name, is_unsure, depth);
                    }
                }
                Token::Word(word) if is_start => function = word,
                Token::Word(_) => {}
                Token::Text(name) if matches!(function, "include" | "template") => {
                    let target = self.defines.get(name).cloned();
                    if let Some(target) = target
                        && self.seen.insert(name.to_owned())
                    {
                        self.value(&target, is_unsure, depth + 1);
                    }
                }
                Token::Text(text) => {
                    if let Some(literal) = literal_of(function, is_start, text) {
                        self.add(piece.file, mark, What::Literal(literal), is_unsure);
                    }
                }
            }
            is_start = false;
        }
    }

    /// What a variable was given in the same file.
    fn variable(&mut self, piece: &Piece<'a>, name: &str, is_unsure: bool, depth: usize) {
        let name = name.split('.').next().unwrap_or_default();
        if name.is_empty()
            || depth > DEPTH_MAX
            || !self.seen.insert(format!("{} ${name}", piece.file))
        {
            return;
        }
        let whole = Piece { file: piece.file, text: piece.text, range: 0..piece.text.len() };
        for action in actions(piece.text) {
            let given = action.body.strip_prefix('$').and_then(|rest| rest.strip_prefix(name));
            let given = given
                .map(str::trim_start)
                .and_then(|rest| rest.strip_prefix(":=").or_else(|| rest.strip_prefix('=')));
            if let Some(body) = given {
                let given = actions::Action { range: action.range.clone(), body };
                self.action(&whole, &given, is_unsure, depth + 1);
            }
        }
    }

    /// References that stand in a line besides those of `image`: in arguments, variables, texts.
    fn besides(&mut self, piece: &Piece<'a>, is_image_variable: bool) {
        let line = piece.str();
        if !image_values(line).is_empty() {
            return;
        }
        let reference = regex(
            r#"(?:^|[\s"'=])((?:[a-z0-9-]+\.)+[a-z]{2,}(?::[0-9]+)?/[a-z0-9._/-]+(?::[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64}))(?:$|[\s"',])"#,
        );
        let found = reference.and_then(|reference| reference.captures(line)?.get(1));
        let given = || {
            let value = line.trim_start().strip_prefix("value:")?.trim();
            let value = value.trim_matches(['"', '\'']);
            (!value.is_empty() && !value.contains("{{")).then_some(value)
        };
        let literal =
            found.map(|found| found.as_str()).or_else(|| given().filter(|_| is_image_variable));
        if let Some(literal) = literal {
            let offset = line.find(literal).unwrap_or_default();
            let mark = piece.mark(offset, literal.chars().count());
            self.add(piece.file, mark, What::Literal(literal.to_owned()), true);
        }
    }

    fn add(&mut self, file: &str, mark: Mark, what: What, is_unsure: bool) {
        self.found.insert(Stray { file: file.to_owned(), mark, what, is_unsure });
    }
}

/// The value that an image is made of instead of one of `global.azure.images`.
fn elsewhere(word: &str) -> Option<String> {
    let path = word.strip_prefix('$').unwrap_or(word);
    let path = path.trim_end_matches('.');
    if path == ".Chart" || path.starts_with(".Chart.") {
        return Some(path.to_owned());
    }
    let below = path.strip_prefix(".Values.")?;
    let wanted = ["global", "azure", "images"];
    let is_ours = below.split('.').zip(wanted).all(|(part, wanted)| part == wanted);
    (!is_ours).then(|| path.to_owned())
}

/// What of a text in an action becomes a part of an image.
fn literal_of(function: &str, is_start: bool, text: &str) -> Option<String> {
    let is_part =
        is_start || matches!(function, "default" | "coalesce" | "ternary" | "print" | "cat");
    let is_format = matches!(function, "printf" | "tpl");
    let rest = if is_format {
        text.replace("%s", "").replace("%v", "").replace("%d", "")
    } else {
        text.to_owned()
    };
    let has_letters = rest.contains(|letter: char| letter.is_ascii_alphanumeric());
    ((is_part || is_format) && has_letters).then(|| text.to_owned())
}

/// The values of the keys `image` of a line, without what stands behind them.
fn image_values(line: &str) -> Vec<Range<usize>> {
    let Some(key) = regex(r#"(?:^|[\s{,-])["']?image["']?:(?:\s+|$)"#) else { return Vec::new() };
    let ranges = key.find_iter(line).map(|found| {
        let rest = line.get(found.end()..).unwrap_or_default();
        let is_in_braces =
            line.get(..found.start() + 1).unwrap_or_default().trim_end().ends_with(['{', ',']);
        let end = value_end(rest, is_in_braces);
        found.end()..found.end() + end
    });
    ranges.filter(|range| !range.is_empty()).collect()
}

/// Where a value ends: before a comment, and in braces before what closes or follows.
fn value_end(rest: &str, is_in_braces: bool) -> usize {
    let found = actions(rest);
    let is_in_action = |at: usize| found.iter().any(|action| action.range.contains(&at));
    let mut before = ' ';
    for (at, letter) in rest.char_indices() {
        if !is_in_action(at) {
            let is_comment = letter == '#' && before.is_whitespace();
            if is_comment || (is_in_braces && matches!(letter, ',' | '}')) {
                return rest.get(..at).unwrap_or_default().trim_end().len();
            }
        }
        before = letter;
    }
    rest.trim_end().len()
}

/// Whether a block of text starts behind this line.
fn opens_block(line: &str) -> bool {
    regex(r":\s+[|>][0-9+-]*\s*$").is_some_and(|block| block.is_match(line))
}

/// Whether a line names a variable that operators take images from.
fn names_image_variable(line: &str) -> bool {
    regex(r#"^-?\s*name:\s*["']?(?:[A-Z0-9_]*_)?IMAGE(?:_[A-Z0-9_]*)?["']?$"#)
        .is_some_and(|name| name.is_match(line))
}

/// The patterns here are fixed, and tests use each of them. Patterns are kept: each is compiled once.
fn regex(pattern: &'static str) -> Option<Regex> {
    use std::sync::{Mutex, PoisonError};
    static KNOWN: Mutex<BTreeMap<&str, Regex>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(pattern) {
        return Some(found.clone());
    }
    let ascii = pattern.replace(r"[\s", r"[ \t").replace(r"\s", r"[ \t]");
    let made = Regex::new(&ascii).ok()?;
    known.insert(pattern, made.clone());
    Some(made)
}

#[cfg(test)]
mod tests;
