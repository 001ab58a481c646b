//! The layers shared by plans: a common layer is stored and pulled once.

use std::collections::BTreeMap;

use maud::{Markup, html};
use wharf_oci::Digest;

use super::treemap::as_float;
use crate::report::anatomy::Anatomy;
use crate::rules::image::size;
use crate::shown::visible;

/// How many images are compared with one another; a larger square is not read.
pub(super) const IMAGES_MAX: usize = 16;

/// Side of a cell, and room for the names at its left, in the picture's units.
const CELL: usize = 64;
const NAMES: usize = 190;

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 26;

pub(super) struct Holding<'a> {
    pub(super) name: &'a str,
    pub(super) layers: BTreeMap<Digest, u64>,
}

impl Holding<'_> {
    fn bytes(&self) -> u64 {
        self.layers.values().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    fn shared(&self, other: &Self) -> (usize, u64) {
        let both = self.layers.iter().filter(|(digest, _)| other.layers.contains_key(digest));
        both.fold((0, 0), |(count, sum), (_, bytes)| (count + 1, sum.saturating_add(*bytes)))
    }
}

/// Nothing, unless there are two to compare.
pub(super) fn section(anatomies: &[Anatomy]) -> Option<Markup> {
    let mut holdings: Vec<Holding<'_>> = Vec::new();
    for anatomy in anatomies {
        let layers = anatomy.layers.iter().map(|layer| (layer.digest, layer.stored_bytes));
        match holdings.iter_mut().find(|holding| holding.name == anatomy.name()) {
            Some(holding) => holding.layers.extend(layers),
            None => holdings.push(Holding { name: anatomy.name(), layers: layers.collect() }),
        }
    }
    if holdings.len() < 2 {
        return None;
    }
    let all: BTreeMap<Digest, u64> =
        holdings.iter().flat_map(|holding| holding.layers.clone()).collect();
    let once = all.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
    let apart = holdings.iter().fold(0_u64, |sum, one| sum.saturating_add(one.bytes()));
    let shown = holdings.get(..IMAGES_MAX).unwrap_or(&holdings);
    Some(html! {
        section #sharing {
            h2 { "What plans share" }
            p {
                "Together the layers take " strong { (size(once)) } " in a registry; stored apart they would take "
                (size(apart)) "."
            }
            div.scroll { (picture(shown)) }
            @if holdings.len() > shown.len() {
                p.more { (holdings.len() - shown.len()) " more are not in the picture." }
            }
        }
    })
}

pub(super) fn picture(holdings: &[Holding<'_>]) -> Markup {
    let side = holdings.len() * CELL;
    let view = format!("0 0 {} {}", NAMES + side, side + 24);
    let width = (NAMES + side).min(1000);
    html! {
        svg.sharing viewBox=(view) width=(width) role="img" aria-label="Bytes of layers that plans share" {
            @for (row, one) in holdings.iter().enumerate() {
                text.name x=(NAMES - 10) y=(row * CELL + CELL / 2 + 4) text-anchor="end" {
                    (row + 1) " " (cut(one.name))
                }
                text.name x=(NAMES + row * CELL + CELL / 2) y=(side + 16) text-anchor="middle" {
                    (row + 1)
                }
                @for (column, other) in holdings.iter().enumerate() { (cell(row, column, one, other)) }
            }
        }
    }
}

fn cell(row: usize, column: usize, one: &Holding<'_>, other: &Holding<'_>) -> Markup {
    let (count, bytes) = one.shared(other);
    let least = one.bytes().min(other.bytes()).max(1);
    let share = as_float(bytes) / as_float(least);
    let class = if row == column { "cell own" } else { "cell" };
    let title = if row == column {
        format!("{}: {} in {count} layers", visible(one.name), size(bytes))
    } else {
        let (one, other) = (visible(one.name), visible(other.name));
        format!("{one} and {other} share {} in {count} layers", size(bytes))
    };
    let (x, y) = (NAMES + column * CELL, row * CELL);
    html! {
        g {
            title { (title) }
            rect.ground x=(x + 1) y=(y + 1) width=(CELL - 2) height=(CELL - 2) rx="4" {}
            rect class=(class) x=(x + 1) y=(y + 1) width=(CELL - 2) height=(CELL - 2) rx="4"
                fill-opacity=(format!("{:.2}", if row == column { 0.16 } else { share * 0.5 })) {}
            @if bytes > 0 {
                text.size x=(x + CELL / 2) y=(y + CELL / 2) text-anchor="middle" { (size(bytes)) }
                text.size.dim x=(x + CELL / 2) y=(y + CELL / 2 + 14) text-anchor="middle" {
                    (count) @if count == 1 { " layer" } @else { " layers" }
                }
            }
        }
    }
}

fn cut(name: &str) -> String {
    let name = visible(name);
    if name.chars().count() <= NAME_CHARS_MAX {
        return name;
    }
    // The end of a path says more than its beginning.
    let skipped = name.chars().count() - NAME_CHARS_MAX + 1;
    format!("…{}", name.chars().skip(skipped).collect::<String>())
}
