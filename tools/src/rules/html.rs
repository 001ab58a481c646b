//! HTML as a browser reads it, in pieces: tags with their attributes decoded, text, and invisible
//! parts. The tokenizer of `html5gum` follows the standard; this module adds the rules' queries
//! only.
//!
//! The tokenizer does not follow elements with other rules of reading (`script`, `title`, `svg`):
//! the rules refuse them, so their content does not count.

use html5gum::{DefaultEmitter, Error, HtmlString, Token, Tokenizer};

/// A piece of HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HtmlPiece {
    /// `<name …>`.
    Open(Tag),
    /// `</name>`.
    Close(String),
    /// Text between tags, with character references decoded.
    Text(String),
    /// A comment, a doctype or an instruction: an invisible part.
    Unseen(&'static str),
    /// An error by the standard; browsers recover from it in a surprising way.
    Fault(&'static str),
}

/// An opening tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    /// Names in lowercase with their decoded values; of two with one name the first.
    pub attributes: Vec<(String, String)>,
    /// Whether it ends with `/>`.
    pub closes_itself: bool,
}

/// A piece and the line where it stands, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedPiece {
    pub piece: HtmlPiece,
    /// The line within the text.
    pub line: usize,
}

/// Tags without an end tag, of the ones allowed in a text.
pub const VOID: [&str; 4] = ["br", "hr", "img", "wbr"];

/// The pieces of a text, in their order.
#[must_use]
pub fn pieces(html: &str) -> Vec<PlacedPiece> {
    let lines: Vec<usize> = html.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: usize| lines.partition_point(|end| *end < at) + 1;
    let tokens = Tokenizer::new_with_emitter(html, DefaultEmitter::<usize>::new_with_span());
    let mut pieces = Vec::new();
    for token in tokens {
        // Reading a text cannot fail.
        let Ok(token) = token;
        let (piece, at) = match token {
            Token::StartTag(tag) => {
                let at = tag.span.start;
                let attributes = tag.attributes.into_iter();
                let attributes = attributes.map(|(name, value)| (text(&name), text(&value)));
                let open = Tag {
                    name: text(&tag.name),
                    attributes: attributes.collect(),
                    closes_itself: tag.self_closing,
                };
                (HtmlPiece::Open(open), at)
            }
            Token::EndTag(tag) => (HtmlPiece::Close(text(&tag.name)), tag.span.start),
            Token::String(words) => (HtmlPiece::Text(text(&words)), words.span.start),
            Token::Comment(comment) => (HtmlPiece::Unseen("a comment"), comment.span.start),
            Token::Doctype(doctype) => (HtmlPiece::Unseen("a doctype"), doctype.span.start),
            Token::Error(error) => (HtmlPiece::Fault(explain(*error)), error.span.start),
        };
        pieces.push(PlacedPiece { piece, line: line(at) });
    }
    pieces
}

/// The visible text, with tags taken out and white space as it is.
#[must_use]
pub fn plain_text(html: &str) -> String {
    let mut seen = String::new();
    for placed in pieces(html) {
        match placed.piece {
            HtmlPiece::Text(piece) => seen.push_str(&piece),
            HtmlPiece::Fault(_) => {}
            _ => seen.push(' '),
        }
    }
    seen
}

/// The part of a text a browser would not show as written; `None` for plain text.
#[must_use]
pub fn markup(plain: &str) -> Option<&'static str> {
    let mut shown = String::new();
    for placed in pieces(plain) {
        match placed.piece {
            HtmlPiece::Open(_) | HtmlPiece::Close(_) => return Some("a tag"),
            HtmlPiece::Unseen(what) => return Some(what),
            HtmlPiece::Text(piece) => shown.push_str(&piece),
            HtmlPiece::Fault(_) => {}
        }
    }
    // Browsers make one of the line breaks of Windows; so it is no difference.
    let as_read = plain.replace("\r\n", "\n").replace('\r', "\n");
    if shown == as_read {
        None
    } else if plain.contains('&') {
        Some("a character reference")
    } else {
        Some("the start of a tag")
    }
}

fn text(bytes: &HtmlString) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The standard's errors in plain words, for frequent ones; the rest by its name there.
fn explain(error: Error) -> &'static str {
    match error {
        Error::DuplicateAttribute => "an attribute stands twice; only the first counts",
        Error::EofInTag | Error::EofBeforeTagName => "a tag has no end",
        Error::EofInComment => "a comment has no end",
        Error::InvalidFirstCharacterOfTagName => "a `<` starts no tag; write &lt;",
        Error::MissingEndTagName => "`</>` closes nothing",
        Error::MissingWhitespaceBetweenAttributes => "two attributes have no space between them",
        Error::UnexpectedSolidusInTag => "a `/` stands within a tag",
        Error::MissingSemicolonAfterCharacterReference => "a character reference has no `;`",
        Error::UnknownNamedCharacterReference => "a character reference has a name nobody knows",
        Error::UnexpectedQuestionMarkInsteadOfTagName => "an instruction (`<?`) is no HTML",
        Error::CdataInHtmlContent => "`<![CDATA[` is no HTML",
        Error::UnexpectedNullCharacter | Error::NullCharacterReference => "there is a NUL",
        Error::EndTagWithAttributes => "an end tag has attributes",
        Error::MissingAttributeValue => "an attribute has a `=` and no value",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn read(html: &str) -> Vec<HtmlPiece> {
        pieces(html).into_iter().map(|placed| placed.piece).collect()
    }

    fn tag(name: &str, attributes: &[(&str, &str)], closes_itself: bool) -> HtmlPiece {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let attributes = attributes.iter().map(owned).collect();
        HtmlPiece::Open(Tag { name: name.to_owned(), attributes, closes_itself })
    }

    fn shown(text: &str) -> HtmlPiece {
        HtmlPiece::Text(text.to_owned())
    }

    #[test]
    fn tags_attributes_and_text_are_told_apart() {
        let expected = [
            shown("a"),
            tag("p", &[("class", "x y"), ("hidden", ""), ("id", "7")], false),
            shown("b"),
            HtmlPiece::Close("p".to_owned()),
            tag("br", &[], true),
            HtmlPiece::Unseen("a comment"),
            shown("c"),
        ];
        assert_eq!(read("a<P class='x y' hidden id=7>b</p ><br/><!-- <i> -->c"), expected);
    }

    #[test]
    fn attributes_are_decoded_and_the_first_of_two_counts() {
        let found = read("<a HREF='java&#x73;cript&colon;x' href=https://b.dev>x &lt;b&gt;</a>");
        let link = tag("a", &[("href", "javascript:x")], false);
        assert!(found.contains(&link), "{found:?}");
        assert!(found.contains(&shown("x <b>")));
        assert!(found.iter().any(|piece| matches!(piece, HtmlPiece::Fault(_))));
    }

    #[test]
    fn what_shows_nothing_is_named() {
        let found =
            |html| read(html).into_iter().filter(|p| matches!(p, HtmlPiece::Unseen(_))).count();
        for html in ["<!doctype html>", "<?xml?>", "<![CDATA[x]]>", "<!-- x", "</ p>", "<!x>"] {
            assert_eq!(found(html), 1, "{html}");
        }
    }

    #[test]
    fn a_smaller_than_sign_is_text_and_a_cut_tag_shows_nothing() {
        assert_eq!(plain_text("<3"), "<3");
        assert_eq!(read("<b"), [HtmlPiece::Fault("a tag has no end")]);
        assert_eq!(read("<b class=\"x"), [HtmlPiece::Fault("a tag has no end")]);
        assert_eq!(plain_text("<p>a &amp; b</p><p>c</p>").trim(), "a & b  c");
    }

    #[test]
    fn pieces_know_their_lines() {
        let lines: Vec<usize> =
            pieces("<p>\n<b>\nx</b>\n</p>").iter().map(|placed| placed.line).collect();
        assert_eq!(lines[0], 1);
        assert_eq!(lines.last(), Some(&4));
        assert!(lines.is_sorted());
    }

    #[test]
    fn markup_is_told_from_plain_text() {
        for plain in ["", "a < b", "<3", "R&D", "fish & chips", "1 > 0", "a\r\nb", "x&y=z"] {
            assert_eq!(markup(plain), None, "{plain}");
        }
        for (text, what) in [
            ("<b>", "a tag"),
            ("a</b>", "a tag"),
            ("Tom &amp; Jerry", "a character reference"),
            ("&#60;b", "a character reference"),
            ("<!-- x -->", "a comment"),
            ("<!DOCTYPE x>", "a doctype"),
            ("<?x", "a comment"),
            ("a <b", "the start of a tag"),
        ] {
            assert_eq!(markup(text), Some(what), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[<>/='\"!&;#x?\\[\\] a-bé\n-]{0,60}") {
            let lines = text.matches('\n').count() + 1;
            for placed in pieces(&text) {
                prop_assert!((1..=lines).contains(&placed.line));
            }
            let _ = markup(&text);
        }

        #[test]
        fn text_without_signs_is_plain(text in "[a-zé ,.!?\n]{0,40}") {
            prop_assert_eq!(markup(&text), None);
            prop_assert_eq!(plain_text(&text), text);
        }
    }
}
