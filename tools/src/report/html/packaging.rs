//! The layers shared by plans and the cost of a push, as one page: a bar for each push, the shared
//! bytes of each pair, and a picture of all layers with colours for the shared ones.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, html};
use wharf_oci::Digest;

use super::anchor::id;
use super::page_head;
use super::sharing::{Holding, picture};
use super::treemap::{self, COLOURS, as_float};
use crate::explain::{Before, Cost, Explanation, LayerShare, PlanCost};
use crate::report::anatomy::Tile;
use crate::report::counted;
use crate::rules::image::size;
use crate::shown::visible;

/// How many plans are drawn; the table has them all.
const PLANS_MAX: usize = 40;

/// How many layers of a plan have a tile of their own.
const TILES_MAX: usize = 40;

/// How many shared layers are listed.
const LAYERS_MAX: usize = 100;

/// The colour of one plan's own layers; shared layers have the others.
const ALONE: usize = COLOURS - 1;

/// The whole page.
#[must_use]
pub fn explained_page(explained: &Explanation) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (page_head("wharf package: what plans share and cost"))
            body {
                header.passed {
                    h1 { "wharf package: " span { "what plans share and cost" } }
                    p {
                        (counted(explained.plans.len(), "plan")) " · "
                        (size(explained.together_bytes)) " together in a registry · "
                        (size(explained.apart_bytes)) " each alone"
                    }
                    nav {
                        a href="#pushes" { "Pushes" }
                        a href="#layers" { "Layers" }
                        @if explained.plans.len() > 1 { a href="#sharing" { "Sharing" } }
                    }
                }
                main {
                    (pushes(explained))
                    (layers(explained))
                    @if explained.plans.len() > 1 { (sharing(explained)) }
                }
                footer { "wharf " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

fn pushes(explained: &Explanation) -> Markup {
    let most = explained.plans.iter().map(|plan| plan.bytes).max().unwrap_or_default().max(1);
    html! {
        section #pushes {
            h2 { "What a push sends" }
            p.legend {
                span { (swatch("sent")) " sent" } " "
                span { (swatch("mounted")) " taken from another plan by the registry" } " "
                span { (swatch("there")) " there before" }
            }
            @for plan in explained.plans.iter().take(PLANS_MAX) {
                article #(id("plan", &plan.plan)) {
                    h3 { bdi { (visible(&plan.plan)) } span.total { (size(plan.bytes)) } }
                    (push("First push", &plan.first_push, most))
                    @if plan.attestations.count > 0 {
                        p.caption {
                            (counted(plan.attestations.count, "attestation")) " of "
                            (size(plan.attestations.bytes)) " go along, first and whenever the image changes."
                        }
                    }
                    @if let Some(update) = plan.update {
                        (push(update_name(update.since), &update.cost, most))
                    } @else {
                        p.caption { "No other layout was there before, so there is no update." }
                    }
                }
            }
            @if explained.plans.len() > PLANS_MAX {
                p.more { (explained.plans.len() - PLANS_MAX) " more plans are not drawn." }
            }
        }
    }
}

const fn update_name(since: Before) -> &'static str {
    match since {
        Before::InPlace => "Update of the layout that was in its place",
        Before::Previous => "Update of the layout before this one",
    }
}

fn push(name: &str, cost: &Cost, most: u64) -> Markup {
    let parts =
        [("sent", cost.sent_bytes), ("mounted", cost.mounted_bytes), ("there", cost.there_bytes)];
    let mut at = 0.0;
    let mut drawn = Vec::new();
    for (class, bytes) in parts {
        let width = as_float(bytes) / as_float(most) * 1000.0;
        // A bar of any bytes is visible.
        let width = if bytes > 0 { width.max(3.0) } else { 0.0 };
        drawn.push((class, bytes, at, width));
        at += width;
    }
    let words = format!(
        "{name}: {} sent, {} mounted, {} there, {} requests",
        size(cost.sent_bytes),
        size(cost.mounted_bytes),
        size(cost.there_bytes),
        cost.requests
    );
    html! {
        h4 {
            (name) " "
            span.dim {
                (size(cost.sent_bytes)) " sent"
                @if cost.mounted_bytes > 0 { ", " (size(cost.mounted_bytes)) " mounted" }
                @if cost.there_bytes > 0 { ", " (size(cost.there_bytes)) " there" }
                " · " (cost.requests) " requests"
            }
        }
        svg.push viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label=(words) {
            rect.ground x="0" y="0" width="1000" height="16" {}
            @for (class, bytes, at, width) in drawn {
                @if width > 0.0 {
                    g {
                        title { (size(bytes)) " " (class) }
                        rect class=(class) x=(format!("{at:.1}")) y="0"
                            width=(format!("{width:.1}")) height="16" {}
                    }
                }
            }
        }
    }
}

fn swatch(class: &str) -> Markup {
    html! {
        svg.swatch viewBox="0 0 10 10" aria-hidden="true" {
            rect class=(class) width="10" height="10" rx="2" {}
        }
    }
}

fn layers(explained: &Explanation) -> Markup {
    let colours: BTreeMap<Digest, usize> = explained
        .shared_layers
        .iter()
        .enumerate()
        .map(|(place, layer)| (layer.digest, place % ALONE))
        .collect();
    let colour = |digest: &Digest| colours.get(digest).copied().unwrap_or(ALONE);
    let root = tiles(explained, &colour);
    html! {
        section #layers {
            h2 { "Layers of all plans" }
            @if !explained.shared_layers.is_empty() {
                div.scroll { table.list {
                    thead { tr { th { "shared layer" } th.right { "size" } th { "plans" } } }
                    tbody {
                        @for layer in explained.shared_layers.iter().take(LAYERS_MAX) {
                            tr {
                                td title=(layer.digest) {
                                    (swatch(&format!("tile l{}", colour(&layer.digest)))) " "
                                    bdi { (visible(&layer.source)) }
                                }
                                td.right.nowrap { (size(layer.bytes)) }
                                td { (visible(&layer.plans.join(", "))) }
                            }
                        }
                    }
                } }
                @if explained.shared_layers.len() > LAYERS_MAX {
                    p.more { (explained.shared_layers.len() - LAYERS_MAX) " more shared layers." }
                }
            }
            p.caption {
                "Areas are sizes as a registry stores them. A colour is one layer that several plans \
                 have: it is stored and sent once. Grey is what one plan has alone."
            }
            div.scroll {
                (treemap::draw_named(&root, "Layers of all plans by size", &|tile, _| {
                    let alone = if tile.layer == ALONE { "" } else { ", shared" };
                    format!("{}: {}{alone}", tile.name, size(tile.bytes))
                }))
            }
        }
    }
}

fn tiles(explained: &Explanation, colour: &dyn Fn(&Digest) -> usize) -> Tile {
    let layer = |layer: &LayerShare| Tile {
        name: visible(&layer.source),
        bytes: layer.bytes,
        files: 1,
        layer: colour(&layer.digest),
        parts: Vec::new(),
    };
    let plan = |plan: &PlanCost| {
        let mut parts: Vec<Tile> = plan.layers.iter().map(layer).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        if parts.len() > TILES_MAX {
            let rest = parts.split_off(TILES_MAX);
            parts.push(folder("other layers".to_owned(), rest.iter()));
        }
        Tile { parts: parts.clone(), ..folder(visible(&plan.plan), parts.iter()) }
    };
    let mut parts: Vec<Tile> = explained.plans.iter().take(PLANS_MAX).map(plan).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    Tile { parts: parts.clone(), ..folder(String::new(), parts.iter()) }
}

fn folder<'a>(name: String, parts: impl Iterator<Item = &'a Tile> + Clone) -> Tile {
    Tile {
        name,
        bytes: parts.clone().fold(0, |sum, part| sum.saturating_add(part.bytes)),
        files: parts.count(),
        layer: ALONE,
        parts: Vec::new(),
    }
}

fn sharing(explained: &Explanation) -> Markup {
    let holdings: Vec<Holding<'_>> = explained
        .plans
        .iter()
        .map(|plan| Holding {
            name: &plan.plan,
            layers: plan.layers.iter().map(|layer| (layer.digest, layer.bytes)).collect(),
        })
        .collect();
    let shown = holdings.get(..super::sharing::IMAGES_MAX).unwrap_or(&holdings);
    html! {
        section #sharing {
            h2 { "Who shares how much with whom" }
            div.scroll { (picture(shown)) }
            @if holdings.len() > shown.len() {
                p.more { (holdings.len() - shown.len()) " more are not in the picture." }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::{Attestations, ExplainedPlan, ImagePart, PartKind, PlanContent, explain};
    use wharf_oci::{Algorithm, Digester};

    fn plan(name: &str, layers: &[(&str, u64)]) -> ExplainedPlan {
        let digest = |text: &str| Digester::digest(Algorithm::Sha256, text.as_bytes());
        let part = |(text, bytes): &(&str, u64)| ImagePart {
            digest: digest(text),
            bytes: *bytes,
            kind: PartKind::Layer,
        };
        ExplainedPlan {
            attestations: Attestations { count: 3, bytes: 2048 },
            plan: name.to_owned(),
            repository: name.to_owned(),
            content: PlanContent {
                tags: BTreeMap::from([("1".to_owned(), digest(name))]),
                parts: layers.iter().map(part).collect(),
            },
            sources: layers.iter().map(|(text, _)| (digest(text), (*text).to_owned())).collect(),
            before: None,
        }
    }

    #[test]
    fn the_page_loads_nothing_and_shows_texts_of_strangers_as_texts() {
        let hostile = "dir <script>alert(1)</script>\u{202e}";
        let plans =
            [plan("one", &[("base", 9 << 20), (hostile, 1)]), plan("two", &[("base", 9 << 20)])];
        let page = explained_page(&explain(&plans));
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
        assert!(!page.contains("src=") && !page.contains("http-equiv=\"refresh"), "{page}");
        assert!(page.contains("default-src 'none'"), "{page}");
        // The shared layer has one colour in both plans, a plan's own layer is grey.
        assert_eq!(page.matches("class=\"tile l0\"").count(), 3, "{page}");
        assert!(page.contains("9.0 MiB mounted") && page.contains("9.0 MiB sent"), "{page}");
    }
}
