//! The allow-list for a description: tags, their attributes, and the targets of links.

use super::html::{self, HtmlPiece, PlacedPiece, Tag};
use super::{Findings, urls};
use crate::output::visible;

/// Tags Microsoft's pages and samples use in descriptions.
const TAGS_ALLOWED: [&str; 19] = [
    "p", "br", "b", "i", "u", "em", "strong", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6",
    "div", "span", "a",
];
/// The allowed tags known from samples only, or from no page at all.
const TAGS_DOUBTFUL: [&str; 5] = ["u", "em", "strong", "span", "a"];

/// Tags that load or run content, ask for input, or switch a browser to other rules of reading: a
/// filter sees other tags after them than the browser does.
const TAGS_REFUSED: [&str; 45] = [
    "applet",
    "area",
    "audio",
    "base",
    "bgsound",
    "body",
    "button",
    "canvas",
    "dialog",
    "embed",
    "form",
    "frame",
    "frameset",
    "head",
    "html",
    "iframe",
    "image",
    "img",
    "input",
    "link",
    "map",
    "marquee",
    "math",
    "meta",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "option",
    "param",
    "picture",
    "plaintext",
    "portal",
    "script",
    "select",
    "slot",
    "source",
    "style",
    "svg",
    "template",
    "textarea",
    "title",
    "track",
    "video",
    "xmp",
];

/// Attributes every allowed tag may have.
const ATTRIBUTES_ALLOWED: [&str; 3] = ["dir", "lang", "title"];
/// Attributes a link may have besides.
const ATTRIBUTES_OF_LINKS: [&str; 3] = ["href", "rel", "target"];
/// Attributes with an address to load from or to send to.
const ATTRIBUTES_LOADING: [&str; 14] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "manifest",
    "ping",
    "poster",
    "src",
    "srcset",
    "xlink:href",
];

/// Most findings of one rule about one text; the first ones show the fix.
const FINDINGS_MAX: usize = 20;

/// Writes findings of one text, each with its line, and ends at a bound.
struct Pen<'j, 'a> {
    judge: &'j mut Findings<'a>,
    key: &'j str,
    lines: usize,
    written: usize,
}

impl<'j, 'a> Pen<'j, 'a> {
    fn new(judge: &'j mut Findings<'a>, key: &'j str, html: &str) -> Self {
        Self { judge, key, lines: html.lines().count(), written: 0 }
    }

    fn write(&mut self, line: usize, message: &str, add: fn(&mut Findings<'a>, &str, String)) {
        self.written += 1;
        if self.written > FINDINGS_MAX {
            return;
        }
        let place =
            if self.lines > 1 { format!(", in line {line} of the text") } else { String::new() };
        add(self.judge, self.key, format!("{}{place}", visible(message)));
    }

    fn error(&mut self, line: usize, message: &str) {
        self.write(line, message, Findings::error);
    }

    fn warning(&mut self, line: usize, message: &str) {
        self.write(line, message, Findings::warning);
    }

    fn narrow(&mut self, line: usize, message: &str) {
        self.write(line, message, Findings::narrow);
    }
}

/// Judges whether only allowed tags and attributes stand in a text, each tag closed in order.
pub(super) fn allowed(judge: &mut Findings<'_>, key: &str, html: &str) {
    let mut pen = Pen::new(judge, key, html);
    let mut open: Vec<(String, usize)> = Vec::new();
    for PlacedPiece { piece, line } in html::pieces(html) {
        match piece {
            HtmlPiece::Open(tag) => {
                allowed_tag(&mut pen, &tag, line);
                if !tag.closes_itself && !html::VOID.contains(&tag.name.as_str()) {
                    open.push((tag.name, line));
                }
            }
            HtmlPiece::Close(name) => match open.pop() {
                Some((expected, _)) if expected == name => {}
                Some((expected, _)) => {
                    return pen
                        .warning(line, &format!("</{name}> stands where <{expected}> is open"));
                }
                None => return pen.warning(line, &format!("</{name}> closes nothing")),
            },
            HtmlPiece::Unseen(what) => pen.warning(line, &format!("{what} is not allowed")),
            HtmlPiece::Fault(fault) => pen.warning(line, fault),
            HtmlPiece::Text(_) => {}
        }
    }
    if let Some((name, line)) = open.pop() {
        pen.warning(line, &format!("<{name}> is never closed"));
    }
}

fn allowed_tag(pen: &mut Pen<'_, '_>, tag: &Tag, line: usize) {
    let name = tag.name.as_str();
    if is_refused(name) {
        return;
    }
    if !TAGS_ALLOWED.contains(&name) {
        pen.warning(line, &format!("the tag <{name}> is not allowed"));
        return;
    }
    if TAGS_DOUBTFUL.contains(&name) {
        pen.narrow(line, &format!("the tag <{name}> stands on no list of allowed tags"));
    }
    if tag.closes_itself && !html::VOID.contains(&name) {
        let message = format!("<{name}/> closes nothing for a browser; write </{name}>");
        pen.warning(line, &message);
    }
    for (attribute, _) in &tag.attributes {
        let attribute = attribute.as_str();
        let of_links = name == "a" && ATTRIBUTES_OF_LINKS.contains(&attribute);
        if !of_links && !ATTRIBUTES_ALLOWED.contains(&attribute) && harm(attribute).is_none() {
            pen.warning(line, &format!("the attribute {attribute} of <{name}> is not allowed"));
        }
    }
}

/// Judges whether a text runs or loads content.
pub(super) fn inactive(judge: &mut Findings<'_>, key: &str, html: &str) {
    let mut pen = Pen::new(judge, key, html);
    for PlacedPiece { piece, line } in html::pieces(html) {
        let HtmlPiece::Open(tag) = piece else { continue };
        let name = tag.name.as_str();
        if matches!(name, "img" | "image") {
            pen.error(line, "a picture is loaded from elsewhere");
        } else if is_refused(name) {
            pen.error(line, &format!("the tag <{name}> is refused"));
        }
        for (attribute, value) in &tag.attributes {
            if let Some(harm) = harm(attribute) {
                pen.error(line, &format!("the attribute {attribute} of <{name}> {harm}"));
            } else if urls::is_active(value) {
                pen.error(line, &format!("the attribute {attribute} of <{name}> runs a script"));
            }
        }
    }
}

/// Judges where the links of a text lead.
pub(super) fn links(judge: &mut Findings<'_>, key: &str, html: &str) {
    let mut pen = Pen::new(judge, key, html);
    for PlacedPiece { piece, line } in html::pieces(html) {
        let HtmlPiece::Open(tag) = piece else { continue };
        if is_refused(&tag.name) {
            continue;
        }
        for (_, address) in tag.attributes.iter().filter(|(name, _)| name == "href") {
            // A script is no link target, and is reported as a script.
            if urls::is_active(address) {
                continue;
            }
            if let Some(fault) = urls::link_fault(address) {
                pen.error(line, &format!("a link: {fault}"));
            }
        }
    }
}

fn is_refused(name: &str) -> bool {
    TAGS_REFUSED.contains(&name)
}

/// The harm done by an attribute, if a text may not have it.
fn harm(attribute: &str) -> Option<&'static str> {
    if attribute.starts_with("on") {
        Some("runs a script")
    } else if attribute == "style" {
        Some("is a style, which may cover the page")
    } else if ATTRIBUTES_LOADING.contains(&attribute) || attribute.contains(':') {
        Some("loads from elsewhere or sends there")
    } else {
        None
    }
}
