//! A description as customers will see it: only the tags the marketplace keeps, each closed, and
//! none of their attributes, for any text.

use maud::{Markup, PreEscaped};

use crate::rules::html::{HtmlPiece, pieces};
use crate::shown::visible;

/// The marketplace's kept tags (INC-long-description-3).
const KEPT: [&str; 15] =
    ["p", "b", "i", "u", "em", "ul", "ol", "li", "div", "h1", "h2", "h3", "h4", "h5", "h6"];

/// The description as markup of ours.
pub(super) fn seen(description: &str) -> Markup {
    let mut markup = String::new();
    let mut open: Vec<&'static str> = Vec::new();
    for placed in pieces(description) {
        match placed.piece {
            HtmlPiece::Text(text) => {
                let text: Vec<String> = text.split('\n').map(visible).collect();
                markup.push_str(&maud::html! { (text.join("\n")) }.into_string());
            }
            HtmlPiece::Open(tag) if tag.name == "br" => markup.push_str("<br>"),
            HtmlPiece::Open(tag) => {
                if let Some(name) = kept(&tag.name) {
                    markup.extend(["<", name, ">"]);
                    open.push(name);
                }
            }
            HtmlPiece::Close(name) => {
                // The tags inside are closed with it; an end without a start closes nothing.
                if open.iter().any(|known| *known == name) {
                    while let Some(known) = open.pop() {
                        markup.extend(["</", known, ">"]);
                        if known == name {
                            break;
                        }
                    }
                }
            }
            HtmlPiece::Unseen(_) | HtmlPiece::Fault(_) => {}
        }
    }
    while let Some(name) = open.pop() {
        markup.extend(["</", name, ">"]);
    }
    PreEscaped(markup)
}

fn kept(name: &str) -> Option<&'static str> {
    KEPT.into_iter().find(|kept| *kept == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_of_ours_are_left_and_each_is_closed() {
        for (given, shown) in [
            ("<p class=x onclick='x()'>a & b</p>", "<p>a &amp; b</p>"),
            ("<ul><li>a", "<ul><li>a</li></ul>"),
            ("<b><i>a</b></i>c", "<b><i>a</i></b>c"),
            ("</div></p>a<br/>", "a<br>"),
            ("<a href=//x>a</a><img src=x>", "a"),
            ("a\u{202e}b\nc", "a\u{fffd}b\nc"),
        ] {
            assert_eq!(seen(given).into_string(), shown, "{given}");
        }
        let hostile = seen("<svg><script>alert(1)</script><p>x").into_string();
        assert!(!hostile.contains("<s"), "{hostile}");
    }
}
