//! A small reader of HTML: enough to find the tags and attributes in a description, as a browser
//! would split them. It keeps no tree and renders nothing.
//!
//! Invariant: every byte is looked at once, and no text makes it panic or loop.

/// A piece of HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// `<name …>`.
    Open(Tag<'a>),
    /// `</name>`.
    Close(String),
    /// Text between tags, as written.
    Text(&'a str),
    /// A comment, a doctype or something else that shows nothing.
    Other,
    /// A `<` whose tag never ends.
    Unfinished,
}

/// An opening tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Its name in lowercase.
    pub name: String,
    /// Names in lowercase with their values as written, without quotes.
    pub attributes: Vec<(String, &'a str)>,
    /// Whether it ends with `/>`.
    pub closes_itself: bool,
}

/// Tags that have no end tag.
pub const VOID: [&str; 4] = ["br", "hr", "img", "wbr"];

/// The pieces of a text.
#[must_use]
pub fn tokens(html: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        if !text.is_empty() {
            tokens.push(Token::Text(text));
        }
        let (token, after) = one(tag);
        tokens.push(token);
        rest = after;
    }
    if !rest.is_empty() {
        tokens.push(Token::Text(rest));
    }
    tokens
}

/// The text that people see, with tags taken out and white space as it is.
#[must_use]
pub fn plain_text(html: &str) -> String {
    let mut text = String::new();
    for token in tokens(html) {
        match token {
            Token::Text(piece) => text.push_str(piece),
            _ => text.push(' '),
        }
    }
    text
}

/// The piece that starts with the `<` at the start of the text.
fn one(html: &str) -> (Token<'_>, &str) {
    if let Some(comment) = html.strip_prefix("<!--") {
        return match comment.split_once("-->") {
            Some((_, after)) => (Token::Other, after),
            None => (Token::Unfinished, ""),
        };
    }
    let body = html.strip_prefix('<').unwrap_or(html);
    let is_name = |c: char| c.is_ascii_alphabetic();
    if let Some(close) = body.strip_prefix('/').filter(|close| close.starts_with(is_name)) {
        return match close.split_once('>') {
            Some((name, after)) => (Token::Close(name.trim().to_ascii_lowercase()), after),
            None => (Token::Unfinished, ""),
        };
    }
    if body.starts_with(['!', '?']) {
        return match body.split_once('>') {
            Some((_, after)) => (Token::Other, after),
            None => (Token::Unfinished, ""),
        };
    }
    if !body.starts_with(is_name) {
        // A `<` that starts no tag, as in `a < b`, is text.
        let (sign, after) = html.split_at(1);
        return (Token::Text(sign), after);
    }
    let end = body.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
    let (name, rest) = body.split_at(end.unwrap_or(body.len()));
    open(name.to_ascii_lowercase(), rest)
}

/// The attributes up to the `>`.
fn open(name: String, mut rest: &str) -> (Token<'_>, &str) {
    let mut tag = Tag { name, attributes: Vec::new(), closes_itself: false };
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            return (Token::Open(tag), after);
        }
        if let Some(after) = rest.strip_prefix('/') {
            tag.closes_itself = after.starts_with('>');
            rest = after;
            continue;
        }
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/');
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest.get(first..).and_then(|tail| tail.find(ends)).map(|at| at + first);
        let Some(end) = end else { return (Token::Unfinished, "") };
        let (attribute, after) = rest.split_at(end);
        let attribute = attribute.to_ascii_lowercase();
        match after.trim_start().strip_prefix('=') {
            None => {
                tag.attributes.push((attribute, ""));
                rest = after;
            }
            Some(value) => {
                let Some((value, after)) = value_of(value.trim_start()) else {
                    return (Token::Unfinished, "");
                };
                tag.attributes.push((attribute, value));
                rest = after;
            }
        }
    }
}

/// The value of an attribute and what follows it.
fn value_of(text: &str) -> Option<(&str, &str)> {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote);
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>')?;
    Some(text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_attributes_and_text_are_told_apart() {
        let found = tokens("a<P class='x y' hidden id=7>b</p ><br/><!-- <i> -->c");
        let open = Tag {
            name: "p".to_owned(),
            attributes: vec![
                ("class".to_owned(), "x y"),
                ("hidden".to_owned(), ""),
                ("id".to_owned(), "7"),
            ],
            closes_itself: false,
        };
        let line = Tag { name: "br".to_owned(), attributes: Vec::new(), closes_itself: true };
        let expected = [
            Token::Text("a"),
            Token::Open(open),
            Token::Text("b"),
            Token::Close("p".to_owned()),
            Token::Open(line),
            Token::Other,
            Token::Text("c"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_smaller_than_sign_is_text_and_a_cut_tag_is_unfinished() {
        assert_eq!(tokens("<3"), [Token::Text("<"), Token::Text("3")]);
        assert_eq!(tokens("<b"), [Token::Unfinished]);
        assert_eq!(tokens("<b class=\"x"), [Token::Unfinished]);
        assert_eq!(tokens("<!-- x"), [Token::Unfinished]);
        assert_eq!(plain_text("<p>a</p><p>b</p>").trim(), "a  b");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[<>/='\"! a-bé-]{0,60}") {
            let shown: usize = tokens(&text).iter().map(|token| match token {
                Token::Text(text) => text.len(),
                _ => 0,
            }).sum();
            prop_assert!(shown <= text.len());
        }
    }
}
