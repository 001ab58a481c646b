//! Layers by size, and the files in them.

use maud::{Markup, html};

use super::anchor::id;
use super::treemap::{self, COLOURS, as_float};
use crate::report::anatomy::{Anatomy, LayerPart};
use crate::report::short;
use crate::rules::image::size;
use crate::shown::visible;

/// How many images are taken apart on a page; more make it too heavy to open.
const IMAGES_MAX: usize = 40;

/// How many layers of an image have a row of their own.
const LAYERS_MAX: usize = 130;

pub(super) fn section(anatomies: &[Anatomy]) -> Markup {
    html! {
        section #images {
            h2 { "Layers, and what is in them" }
            @for anatomy in anatomies.iter().take(IMAGES_MAX) { (image(anatomy)) }
            @if anatomies.len() > IMAGES_MAX {
                p.more { (anatomies.len() - IMAGES_MAX) " more images are not shown here." }
            }
        }
    }
}

fn image(anatomy: &Anatomy) -> Markup {
    let most = anatomy.layers.iter().map(|layer| layer.stored_bytes).max().unwrap_or(1).max(1);
    let name = visible(anatomy.name());
    let platform = visible(&anatomy.platform);
    html! {
        article.image #(id("image", &format!("{name} {platform}"))) {
            h3 {
                bdi { (name) } " " span.dim { (platform) }
                span.total { (size(anatomy.stored_bytes())) " stored" }
            }
            div.scroll {
                table.layers {
                    thead { tr {
                        th { "layer" } th.right { "stored" } th { } th.right { "unpacked" }
                        th.right { "entries" } th { "made by" }
                    } }
                    tbody {
                        @for (at, layer) in anatomy.layers.iter().take(LAYERS_MAX).enumerate() {
                            (row(at, layer, most))
                        }
                    }
                }
            }
            @if anatomy.layers.len() > LAYERS_MAX {
                p.more { (anatomy.layers.len() - LAYERS_MAX) " more layers." }
            }
            @match &anatomy.files {
                Some(root) if root.bytes > 0 => {
                    p.caption {
                        "What a container sees: " (size(root.bytes)) " in " (root.files)
                        " files. Areas are sizes, colours are the layers above."
                    }
                    div.scroll {
                        (treemap::draw(root, &format!("Files of {name} {platform} by size")))
                    }
                }
                Some(_) => p.caption { "There are no files with content." },
                None => p.caption { "Its files were not read." },
            }
        }
    }
}

fn row(at: usize, layer: &LayerPart, most: u64) -> Markup {
    let width = (as_float(layer.stored_bytes) / as_float(most) * 160.0).max(1.0);
    let digest = layer.digest.to_string();
    html! {
        tr {
            td.nowrap title=(digest) {
                svg.swatch viewBox="0 0 10 10" aria-hidden="true" {
                    rect class=(format!("tile l{}", at % COLOURS)) width="10" height="10" rx="2" {}
                }
                " " (at + 1) " " code { (short(&digest)) }
            }
            td.right.nowrap { (size(layer.stored_bytes)) }
            td {
                svg.bar viewBox="0 0 160 10" aria-hidden="true" {
                    rect class=(format!("tile l{}", at % COLOURS)) y="1" height="8" rx="2"
                        width=(format!("{width:.1}")) {}
                }
            }
            td.right.nowrap { @if let Some(bytes) = layer.uncompressed_bytes { (size(bytes)) } }
            td.right { @if let Some(entries) = layer.entries { (entries) } }
            td.made { @if let Some(step) = &layer.created_by { code { bdi { (step) } } } }
        }
    }
}
