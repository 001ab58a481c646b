//! The images in templates, as written: the ones from `global.azure.images`, literal ones, and ones
//! from elsewhere. Their rendered form is for `rendered`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use self::calls::Calls;
use self::lines::{image_values, image_variable, joined, opens_block, reference};
use super::actions::{self, Action, Token, actions, tokens};
use super::images::is_image_variable;
use super::{Chart, ChartFile};
use crate::yaml::Spot;

mod calls;
mod lines;

/// Most findings of one chart; more of them have one cause.
const USES_MAX: usize = 200;
/// How deep named templates may include one another here.
const DEPTH_MAX: usize = 12;

/// An image of a template from outside `global.azure.images`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// The file, by its path in the chart.
    pub file: String,
    pub spot: Spot,
    pub what: StrayKind,
    /// How certain it is that an image is made of it.
    pub certainty: Certainty,
}

/// How certain it is that an image is made of a word; the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The whole image of a container is written out.
    Whole,
    /// It is a part of the image of a container, where the part of the template is used.
    Part,
    /// It is an argument of a function, or a default for a missing value.
    Maybe,
    /// It looks like an image, in a text or in a variable.
    Suspected,
}

/// The source of an image instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StrayKind {
    /// A text of the template.
    Literal(String),
    Elsewhere(String),
}

/// Every stray image of the templates, in the order of files and lines, each once.
#[must_use]
pub fn strays(chart: &Chart) -> Vec<Stray> {
    let texts: Vec<(&ChartFile, String)> = chart
        .active_templates()
        .filter_map(|file| Some((file, actions::without_comments(file.text()?))))
        .collect();
    let sources: Vec<Source<'_>> =
        texts.iter().map(|(file, text)| Source::of(&file.path, text)).collect();
    let mut defines = BTreeMap::new();
    for source in &sources {
        for (name, range) in actions::defines(source.text) {
            defines.insert(name, Piece { source, range });
        }
    }
    let mut look = Look { defines, seen: BTreeSet::new(), found: BTreeSet::new(), counts: [0; 4] };
    for source in &sources {
        look.file(source);
    }
    let mut found: Vec<Stray> = look.found.into_iter().collect();
    // The surest comes first.
    found.dedup_by(|next, kept| {
        (&next.file, next.spot, &next.what) == (&kept.file, kept.spot, &kept.what)
    });
    found.truncate(USES_MAX);
    found
}

/// Whether a template uses this name of `global.azure.images`.
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

/// A template, with its answers to repeated queries.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
    lines: Vec<usize>,
    /// The assignments of variables, by their names.
    given: BTreeMap<&'a str, Vec<Action<'a>>>,
}

impl<'a> Source<'a> {
    fn of(file: &'a str, text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        let mut given: BTreeMap<&str, Vec<Action<'_>>> = BTreeMap::new();
        for action in actions(text) {
            let Some((name, body)) = action.body.strip_prefix('$').and_then(assignment) else {
                continue;
            };
            given.entry(name).or_default().push(Action { range: action.range, body });
        }
        Self { file, text, lines, given }
    }
}

/// The name of a variable, and its value.
fn assignment(body: &str) -> Option<(&str, &str)> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let end = body.find(|letter| !is_name(letter))?;
    let (name, rest) = body.split_at_checked(end)?;
    let rest = rest.trim_start();
    Some((name, rest.strip_prefix(":=").or_else(|| rest.strip_prefix('='))?))
}

/// A piece of a template.
#[derive(Clone)]
struct Piece<'a> {
    source: &'a Source<'a>,
    range: Range<usize>,
}

impl<'a> Piece<'a> {
    /// A part of it, by the bytes behind its start.
    fn part(&self, range: Range<usize>) -> Self {
        let range = self.range.start + range.start..self.range.start + range.end;
        Self { range, ..self.clone() }
    }

    fn str(&self) -> &'a str {
        self.source.text.get(self.range.clone()).unwrap_or_default()
    }

    /// The place of a part of it, by the part's offset in bytes.
    fn spot(&self, offset: usize, width: usize) -> Spot {
        let Source { text, lines, .. } = self.source;
        let at = self.range.start + offset;
        let line = lines.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|line| lines.get(line)).copied();
        let before = text.get(start.unwrap_or_default()..at).unwrap_or_default();
        let column = before.chars().count() + 1;
        Spot { line, column, width: width.max(1) }
    }
}

struct Look<'a> {
    defines: BTreeMap<String, Piece<'a>>,
    seen: BTreeSet<(String, Certainty)>,
    found: BTreeSet<Stray>,
    /// How many of each certainty were found.
    counts: [usize; 4],
}

/// The state of a file up to some line.
#[derive(Default)]
struct Above {
    /// The indentation of a text block's first line.
    block: Option<usize>,
    /// The same of a key `image` with its value on the next line.
    wanted: Option<(usize, Certainty)>,
    kind: Kind,
    /// The variable with an image for operators, when the line before names one.
    variable: Option<String>,
    /// The indentation of the line of annotations.
    annotations: Option<usize>,
}

/// The meaning of the key `image` in an object.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The image of a container.
    #[default]
    Container,
    /// Plain data: its reader gives it a meaning.
    Data,
    /// The name of a property.
    Description,
}

impl Above {
    /// Takes note of a line with an object's kind.
    fn heed(&mut self, line: &str) {
        if line.starts_with("---") {
            self.kind = Kind::Container;
        } else if let Some(kind) = line.strip_prefix("kind:") {
            self.kind = match kind.trim() {
                "ConfigMap" | "Secret" => Kind::Data,
                "CustomResourceDefinition" => Kind::Description,
                _ => Kind::Container,
            };
        }
    }
}

impl<'a> Look<'a> {
    fn file(&mut self, source: &'a Source<'a>) {
        let text = source.text;
        let mut above = Above::default();
        for range in joined(text) {
            let whole = text.get(range.clone()).unwrap_or_default();
            let bare = whole.trim_end();
            let trimmed = bare.trim_start();
            above.heed(bare);
            if trimmed.is_empty() || trimmed.starts_with('#') || above.kind == Kind::Description {
                continue;
            }
            let piece = Piece { source, range: range.start..range.start + bare.len() };
            self.line(&piece, &mut above);
        }
    }

    fn line(&mut self, piece: &Piece<'a>, above: &mut Above) {
        let line = piece.str();
        let indent = line.len() - line.trim_start().len();
        if above.block.is_some_and(|of_block| indent <= of_block) {
            above.block = None;
        }
        let is_text = above.block.is_some() || above.kind == Kind::Data;
        let certainty = if is_text { Certainty::Suspected } else { Certainty::Part };
        if let Some((of_key, certainty)) = above.wanted.take()
            && indent > of_key
        {
            self.value(&piece.part(indent..line.len()), certainty, 0);
            return;
        }
        let values = image_values(line);
        for range in values.iter().cloned() {
            let value = line.get(range.clone()).unwrap_or_default();
            if value.starts_with(['|', '>']) {
                above.wanted = Some((indent, certainty));
            } else if !value.starts_with(['{', '[', '&', '*']) || value.starts_with("{{") {
                self.value(&piece.part(range), certainty, 0);
            }
        }
        if above.wanted.is_none() && above.block.is_none() && opens_block(line) {
            above.block = Some(indent);
        }
        if above.annotations.is_some_and(|of_key| indent <= of_key) {
            above.annotations = None;
        }
        if values.is_empty() && above.annotations.is_none() {
            self.besides(piece, above.variable.as_deref());
        }
        if line.trim_start() == "annotations:" {
            above.annotations = Some(indent);
        }
        above.variable = image_variable(line.trim_start()).map(str::to_owned);
    }

    /// The sources of an image: texts outside of actions, and the words of actions.
    fn value(&mut self, piece: &Piece<'a>, certainty: Certainty, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        let text = piece.str();
        let found = actions(text);
        let is_whole = found.is_empty() && depth == 0 && certainty == Certainty::Part;
        let mut from = 0;
        let mut literals = Vec::new();
        let mut open = Vec::new();
        for action in &found {
            let is_conditional = open.contains(&true);
            literals.push((from..action.range.start, is_conditional));
            let weaker = if is_conditional { Certainty::Maybe } else { Certainty::Part };
            self.action(piece, action, certainty.max(weaker), depth);
            match action.body.split_whitespace().next() {
                Some("if") => open.push(true),
                Some("range" | "with" | "define" | "block") => open.push(false),
                Some("end") => {
                    open.pop();
                }
                _ => {}
            }
            from = action.range.end;
        }
        literals.push((from..text.len(), open.contains(&true)));
        for (range, is_conditional) in literals {
            let literal = text.get(range.clone()).unwrap_or_default();
            let shown = literal
                .trim_matches(|letter: char| letter.is_whitespace() || "\"'".contains(letter));
            if !has_words(shown) {
                continue;
            }
            let certainty = match (is_whole, is_conditional && is_tag(shown)) {
                (true, _) => Certainty::Whole,
                (false, true) => certainty.max(Certainty::Maybe),
                (false, false) => certainty,
            };
            let offset = range.start + literal.find(shown).unwrap_or_default();
            let place = (offset, shown.chars().count());
            self.add(piece, place, StrayKind::Literal(shown.to_owned()), certainty);
        }
    }

    fn action(&mut self, piece: &Piece<'a>, action: &Action<'a>, base: Certainty, depth: usize) {
        let tokens = tokens(action.body);
        if let Some(Token::Word("if" | "else" | "end" | "range" | "with" | "fail")) = tokens.first()
        {
            return;
        }
        // An assignment makes no image; the variable's use is looked at.
        if let [Token::Word(name), Token::Mark(':' | '='), ..] = tokens.as_slice()
            && name.starts_with('$')
        {
            return;
        }
        let place = (action.range.start, action.range.len());
        let mut calls = Calls::default();
        for token in tokens {
            let certainty = if calls.is_argument() { base.max(Certainty::Maybe) } else { base };
            let fallback = if calls.is_fallback() { base.max(Certainty::Maybe) } else { certainty };
            match token {
                Token::Mark(mark) => {
                    calls.mark(mark);
                    continue;
                }
                Token::Word(word) if word.starts_with(['.', '$']) => {
                    if let Some(other) = elsewhere(word) {
                        let of_chart = other.starts_with(".Chart");
                        let certainty = if of_chart { fallback } else { certainty };
                        self.add(piece, place, StrayKind::Elsewhere(other), certainty);
                    } else if let Some(name) = word.strip_prefix('$') {
                        self.variable(piece, name, certainty, depth);
                    }
                }
                Token::Word(word) => calls.word(word),
                Token::Text(name) if calls.names_template() => self.include(name, base, depth),
                Token::Text(text) => {
                    if let Some(literal) = literal_of(calls.function(), calls.is_start(), text) {
                        let certainty = if is_tag(&literal) { fallback } else { certainty };
                        self.add(piece, place, StrayKind::Literal(literal), certainty);
                    }
                }
            }
            calls.argument();
        }
    }

    /// The output of a named template.
    fn include(&mut self, name: &str, certainty: Certainty, depth: usize) {
        let target = self.defines.get(name).cloned();
        if let Some(target) = target
            && self.seen.insert((name.to_owned(), certainty))
        {
            self.value(&target, certainty, depth + 1);
        }
    }

    /// The values of a variable in the same file.
    fn variable(&mut self, piece: &Piece<'a>, name: &str, certainty: Certainty, depth: usize) {
        let name = name.split('.').next().unwrap_or_default();
        if name.is_empty()
            || depth > DEPTH_MAX
            || !self.seen.insert((format!("{} ${name}", piece.source.file), certainty))
        {
            return;
        }
        let source = piece.source;
        let whole = Piece { source, range: 0..source.text.len() };
        for given in source.given.get(name).into_iter().flatten() {
            self.action(&whole, given, certainty, depth + 1);
        }
    }

    /// References in a line besides the ones of `image`: in arguments, variables, texts.
    fn besides(&mut self, piece: &Piece<'a>, variable: Option<&str>) {
        let line = piece.str();
        let given = || {
            let value = line.trim_start().strip_prefix("value:")?.trim();
            let value = value.trim_matches(['"', '\'']);
            let is_image = variable.is_some_and(|name| is_image_variable(name, value));
            (is_image && !value.is_empty() && !value.contains("{{")).then_some(value)
        };
        let literal = reference(line).or_else(given);
        if let Some(literal) = literal {
            let offset = line.find(literal).unwrap_or_default();
            let place = (offset, literal.chars().count());
            let what = StrayKind::Literal(literal.to_owned());
            self.add(piece, place, what, Certainty::Suspected);
        }
    }

    /// Takes note of one, at this many bytes behind the start of the piece and this many letters wide.
    fn add(
        &mut self,
        piece: &Piece<'a>,
        place: (usize, usize),
        what: StrayKind,
        certainty: Certainty,
    ) {
        // A further one of the same kind adds no information.
        let Some(count) = self.counts.get_mut(certainty as usize) else { return };
        if *count >= USES_MAX {
            return;
        }
        let (offset, width) = place;
        let (file, spot) = (piece.source.file.to_owned(), piece.spot(offset, width));
        if self.found.insert(Stray { file, spot, what, certainty }) {
            *count += 1;
        }
    }
}

/// The value an image is made of instead of one of `global.azure.images`.
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

/// The part of an action's text within an image.
fn literal_of(function: &str, is_start: bool, text: &str) -> Option<String> {
    let is_part = is_start
        || matches!(function, "default" | "coalesce" | "ternary" | "print" | "cat" | "printf");
    let is_template = function == "tpl";
    let mut rest = text.to_owned();
    if is_template {
        for action in actions(text).iter().rev() {
            rest.replace_range(action.range.clone(), "");
        }
    }
    if function == "printf" {
        rest = rest.replace("%s", "").replace("%v", "").replace("%d", "");
    }
    ((is_part || is_template) && has_words(&rest)).then(|| text.to_owned())
}

/// Whether a text has a name in it: the algorithm of a digest alone is none.
fn has_words(text: &str) -> bool {
    text.replace("sha256:", "").contains(|letter: char| letter.is_ascii_alphanumeric())
}

/// Whether a text can be a tag and no more.
fn is_tag(text: &str) -> bool {
    !text.trim_start_matches([':', '@']).contains(['/', ':'])
}

#[cfg(test)]
mod tests;
