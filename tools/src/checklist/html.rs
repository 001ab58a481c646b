//! The checklist as one page: pictures first, as customers will see them, then page by page each
//! field and its value. It loads nothing and runs nothing; a click on a value selects all of it.

mod customers;

use maud::{DOCTYPE, Markup, html};

use super::seen::seen;
use super::{Checklist, empty_fields, heading};
use crate::marketplace::form::{ELSEWHERE, FieldItem, FieldValue, FillMethod, FormField, Sheet};
use crate::report::page_head_with;
use crate::shown::visible;

const STYLE: &str = include_str!("html/style.css");

/// Writes the page.
#[must_use]
pub fn write(checklist: &Checklist<'_>) -> String {
    let title = &checklist.offer.listing.title;
    let (fields, by_hand) = checklist.counts();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (page_head_with(&format!("{}: checklist for Partner Center", visible(title)), STYLE, "data:"))
            body {
                header.passed {
                    h1 { bdi { (visible(title)) } }
                    p {
                        "Checklist for Partner Center · " (fields) " fields, " strong { (by_hand) " by hand" }
                    }
                    nav {
                        a href="#customers" { "As customers see it" }
                        @for (place, sheet) in checklist.form.sheets.iter().enumerate() {
                            a href={ "#page-" (place) } { (visible(&heading(sheet))) }
                        }
                    }
                }
                main {
                    (customers::section(checklist))
                    section #pages {
                        h2 { "Page by page" }
                        p.caption {
                            "A click on a value selects it. " (badge(FillMethod::Api))
                            " is filled by the payload of wharf offer render; "
                            (badge(FillMethod::Hand(""))) " is entered by you."
                        }
                        @for (place, sheet) in checklist.form.sheets.iter().enumerate() {
                            (page(checklist, place, sheet))
                        }
                    }
                    (elsewhere())
                }
                footer { "wharf " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

fn page(checklist: &Checklist<'_>, place: usize, sheet: &Sheet) -> Markup {
    let empty = empty_fields(sheet);
    let filled = || sheet.fields.iter().filter(|field| !field.value.is_nothing());
    let by_hand = filled().filter(|field| matches!(field.way, FillMethod::Hand(_))).count();
    html! {
        article #{ "page-" (place) } {
            h3 {
                (sheet.page.title())
                @if let Some(of) = &sheet.of { " " span.dim { bdi { (visible(of)) } } }
                @if by_hand > 0 { span.total { (by_hand) " by hand" } }
            }
            @for (number, field) in filled().enumerate() {
                (row(checklist, &format!("field-{place}-{number}"), field))
            }
            @if !empty.is_empty() { p.caption { "Left empty: " (empty.join(", ")) "." } }
        }
    }
}

fn row(checklist: &Checklist<'_>, id: &str, field: &FormField) -> Markup {
    html! {
        div.row {
            input type="checkbox" id=(id);
            div.field {
                p.what {
                    label for=(id) { (visible(&field.label)) }
                    " " (badge(field.way))
                }
                (value(checklist, field))
                @if let FillMethod::Hand(why) = field.way { p.caption { "By hand: " (why) "." } }
            }
        }
    }
}

fn badge(way: FillMethod) -> Markup {
    match way {
        FillMethod::Api => html! { span.badge { "API" } },
        FillMethod::Hand(_) => html! { span.badge.hand { "by hand" } },
    }
}

fn value(checklist: &Checklist<'_>, field: &FormField) -> Markup {
    match &field.value {
        FieldValue::Text(text) => html! { code.copy { bdi { (visible(text)) } } },
        FieldValue::List(values) => html! {
            ul.values {
                @for FieldItem { value, beside } in values {
                    li {
                        code.copy { bdi { (visible(value)) } }
                        @if !beside.is_empty() { " " code.copy { bdi { (visible(beside)) } } }
                    }
                }
            }
        },
        FieldValue::Long(text) => html! {
            pre.copy { @for line in text.lines() { (visible(line)) "\n" } }
            @if field.key.ends_with("description") {
                details { summary { "As customers see it" } div.seen { (seen(text)) } }
            }
        },
        FieldValue::Picture(path) => html! {
            code.copy { bdi { (visible(path)) } }
            @if let Some(picture) = checklist.pictures.get(&field.key) {
                " " span.dim { (picture.width) " × " (picture.height) }
            } @else {
                " " span.dim { "not shown here: larger than 2 MiB, or no PNG" }
            }
        },
        FieldValue::Nothing => html! {},
    }
}

fn elsewhere() -> Markup {
    html! {
        section #elsewhere {
            h2 { "Not entered in Partner Center" }
            article {
                dl.elsewhere {
                    @for (key, where_to) in ELSEWHERE { dt { code { (key) } } dd { (where_to) } }
                }
            }
        }
    }
}
