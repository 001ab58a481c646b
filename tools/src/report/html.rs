//! One page with everything: verdicts, findings, the content of the images, their shared layers,
//! the changes. It loads nothing, runs nothing, and shows foreign texts as texts.
//!
//! Invariant: the policy of the page allows its own style sheet, by hash, and nothing else; every
//! text goes through `visible` and is escaped by `maud`.

mod anchor;
mod changes;
mod findings;
mod layers;
mod packaging;
mod sharing;
mod treemap;
mod verdicts;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

pub use self::packaging::explained_page;
use super::frame::Frame;
use super::{Proof, Report, Verdict, counted, short};
use crate::rules::image::size;
use crate::shown::visible;

const STYLE: &str = include_str!("html/style.css");

/// How many rows the table of images has.
const IMAGES_MAX: usize = 200;

pub(super) fn write(frame: &Frame<'_>) -> String {
    let report = frame.report;
    let parts = report.parts();
    let sharing = sharing::section(&report.anatomies);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(frame))
            body {
                (top(frame))
                main {
                    @for unread in &report.unread {
                        p.unread {
                            strong { "Not read: " } code { bdi { (visible(&unread.target)) } }
                            " " bdi { (visible(&unread.error)) }
                        }
                    }
                    (verdicts::section(report, &parts))
                    @if !report.images.is_empty() { (images(report)) }
                    (findings::section(frame, &parts))
                    @if let Some(changes) = &report.changes { (changes::section(changes)) }
                    @if !report.anatomies.is_empty() { (layers::section(&report.anatomies)) }
                    @if let Some(sharing) = sharing { (sharing) }
                    (findings::ending(report))
                }
                footer { "wharf " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

fn head(frame: &Frame<'_>) -> Markup {
    page_head(&format!("wharf {}: {}", frame.command, frame.report.verdict().as_str()))
}

/// The head of a page without any loading or running parts.
fn page_head(title: &str) -> Markup {
    page_head_with(title, "", "")
}

/// The same with more style, and with sources of pictures as the policy writes them (`data:`).
pub(crate) fn page_head_with(title: &str, more: &str, pictures: &str) -> Markup {
    let style = format!("{STYLE}{more}");
    let hash = STANDARD.encode(Sha256::digest(&style));
    let pictures =
        if pictures.is_empty() { String::new() } else { format!(" img-src {pictures};") };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}';{pictures} base-uri 'none'; form-action 'none'"
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (title) }
            style { (PreEscaped(&style)) }
        }
    }
}

fn top(frame: &Frame<'_>) -> Markup {
    let report = frame.report;
    let class = match report.verdict() {
        Verdict::Passed => "passed",
        Verdict::NotProven => "unproven",
        Verdict::Failed => "failed",
    };
    html! {
        header class=(class) {
            h1 { "wharf " (frame.command) ": " span { (report.verdict().as_str()) } }
            p {
                (report.summary.words()) " · " (counted(report.summary.rules, "rule"))
                @if !report.not_looked_at.is_empty() {
                    " · "
                    a href="#unlooked" { (counted(report.not_looked_at.len(), "thing")) " not looked at" }
                }
            }
            nav {
                a href="#verdicts" { "Verdict" }
                a href="#findings" { "Findings" }
                @if report.changes.is_some() { a href="#changes" { "Changes" } }
                @if !report.anatomies.is_empty() { a href="#images" { "Layers" } }
                a href="#unlooked" { "Not looked at" }
            }
        }
    }
}

fn images(report: &Report) -> Markup {
    html! {
        section #list {
            h2 { "Images" }
            div.scroll {
                table.list {
                    thead { tr {
                        th { "image" } th { "platform" } th { "digest" } th.right { "layers" }
                        th.right { "size" } th { "intact" }
                    } }
                    tbody {
                        @for image in report.images.iter().take(IMAGES_MAX) {
                            tr {
                                td {
                                    bdi { (visible(image.plan.as_ref().unwrap_or(&image.location))) }
                                }
                                td.nowrap { (visible(short(&image.platform))) }
                                td title=(image.digest) { code { (short(&image.digest)) } }
                                td.right { (image.layers) }
                                td.right.nowrap { (size(image.stored_bytes)) }
                                @match image.proof {
                                    Proof::Proven => td.good { "yes" },
                                    Proof::NotProven => td.doubt { "not proven" },
                                    Proof::Damaged => td.bad { "no" },
                                }
                            }
                        }
                    }
                }
            }
            @if report.images.len() > IMAGES_MAX {
                p.more { (report.images.len() - IMAGES_MAX) " more." }
            }
        }
    }
}

#[cfg(test)]
mod tests;
