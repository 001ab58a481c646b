//! The parts of a template between `{{` and `}}`, and the words in them. Not a parser of the
//! language: enough to see the values and texts behind an image.

use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action<'a> {
    pub(super) range: Range<usize>,
    /// Without the braces, and without the dashes for trimming blanks.
    pub(super) body: &'a str,
}

/// A word of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, a number, a path: `include`, `.Values.a`, `$x`.
    Word(&'a str),
    /// A text in quotes.
    Text(&'a str),
    /// `|`, `(`, `)`, `,`, `=` and the like.
    Mark(char),
}

/// The actions of a text, in their order. An unclosed one is left out; Helm has a better message.
pub(super) fn actions(text: &str) -> Vec<Action<'_>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text.get(from..).and_then(|rest| rest.find("{{")).map(|at| from + at) {
        let inner = text.get(start + 2..).unwrap_or_default();
        let Some(length) = end_of(inner) else { break };
        let body = inner.get(..length).unwrap_or_default();
        let body = body.strip_prefix('-').unwrap_or(body);
        let body = body.strip_suffix('-').unwrap_or(body).trim();
        from = start + length + 4;
        found.push(Action { range: start..from, body });
    }
    found
}

/// Where the closing braces are: not those in quotes, and in a comment only those behind it.
fn end_of(text: &str) -> Option<usize> {
    let trimmed = text.strip_prefix('-').unwrap_or(text).trim_start();
    if trimmed.starts_with("/*") {
        let closed = text.find("*/")? + 2;
        return text.get(closed..)?.find("}}").map(|at| closed + at);
    }
    let mut quote: Option<char> = None;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match quote {
            Some('"') if letter == '\\' => {
                letters.next();
            }
            Some(open) if open == letter => quote = None,
            None if matches!(letter, '"' | '`' | '\'') => quote = Some(letter),
            None if letter == '}' && letters.peek().is_some_and(|(_, next)| *next == '}') => {
                return Some(at);
            }
            Some(_) | None => {}
        }
    }
    None
}

/// The words of an action.
pub(super) fn tokens(body: &str) -> Vec<Token<'_>> {
    let is_word = |letter: char| letter.is_alphanumeric() || "._$-+".contains(letter);
    let mut tokens = Vec::new();
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '`' | '\'' => {
                let inner = rest.get(1..).unwrap_or_default();
                let end = text_end(inner, first);
                tokens.push(Token::Text(inner.get(..end).unwrap_or_default()));
                end + 2
            }
            _ if is_word(first) => {
                let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest.get(..end).unwrap_or_default()));
                end
            }
            _ => {
                if !first.is_whitespace() {
                    tokens.push(Token::Mark(first));
                }
                first.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

fn text_end(inner: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in inner.char_indices() {
        if letter == quote && !is_escaped {
            return at;
        }
        is_escaped = quote == '"' && letter == '\\' && !is_escaped;
    }
    inner.len()
}

/// The text with comments of the template made blank; every other letter stays at its place.
pub(super) fn without_comments(text: &str) -> String {
    let mut bare = text.to_owned();
    for Action { range, body } in actions(text) {
        if body.starts_with("/*") {
            let blank = |letter: char| {
                if letter == '\n' { "\n".to_owned() } else { " ".repeat(letter.len_utf8()) }
            };
            let blank: String =
                text.get(range.clone()).unwrap_or_default().chars().map(blank).collect();
            bare.replace_range(range, &blank);
        }
    }
    bare
}

/// The named templates: their names and bodies, with the body's place in the text.
pub(super) fn defines(text: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    let mut open: Vec<Option<(String, usize)>> = Vec::new();
    for action in actions(text) {
        let tokens = tokens(action.body);
        let Some(Token::Word(word)) = tokens.first() else { continue };
        match *word {
            "define" | "block" => {
                let name = tokens.iter().find_map(|token| match token {
                    Token::Text(name) => Some((*name).to_owned()),
                    _ => None,
                });
                open.push(name.map(|name| (name, action.range.end)));
            }
            "if" | "range" | "with" => open.push(None),
            "end" => {
                if let Some(Some((name, start))) = open.pop() {
                    found.push((name, start..action.range.start));
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_end_outside_of_quotes_and_comments() {
        let text = "a {{- .X | default \"}}\" -}} b {{/* {{ x }} */}} {{ `}}` }} {{ open";
        let bodies: Vec<&str> = actions(text).iter().map(|at| at.body).collect();
        assert_eq!(bodies, [".X | default \"}}\"", "/* {{ x }} */", "`}}`"]);
        assert_eq!(
            without_comments("x{{/* é\n */}}y"),
            format!("x{}\n{}y", " ".repeat(7), " ".repeat(5))
        );
    }

    #[test]
    fn words_texts_and_marks_are_told_apart() {
        let found = tokens("printf \"%s\\\"\" .Values.a-b | quote");
        let expected = [
            Token::Word("printf"),
            Token::Text("%s\\\""),
            Token::Word(".Values.a-b"),
            Token::Mark('|'),
            Token::Word("quote"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_named_template_ends_at_its_own_end() {
        let text = "{{ define \"a\" }}x{{ if .y }}z{{ end }}{{ end }}{{ define \"b\" }}{{ end }}";
        let found = defines(text);
        assert_eq!(found.len(), 2);
        assert_eq!(text.get(found[0].1.clone()), Some("x{{ if .y }}z{{ end }}"));
    }
}
