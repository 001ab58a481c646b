//! The content of a layout, each part once, as far as its tags lead to it: the content of a push.

use std::collections::BTreeMap;

use bytes::Bytes;
use wharf_oci::{Descriptor, Digest, Manifest, ManifestKind};

use super::{ImagePart, PartKind, PlanContent};
use crate::image::layout::REF_NAME;
use crate::source::Source;

/// How deep indexes are followed.
const DEPTH_MAX: usize = 4;

/// Of a layout on disk. Unreadable parts are left out.
#[must_use]
pub fn content_of_layout(layout: &Source) -> PlanContent {
    content(layout.roots(), &|descriptor| layout.manifest(descriptor).ok())
}

/// Of a merely counted image.
#[must_use]
pub fn content_of_counted(roots: &[Descriptor], small: &BTreeMap<Digest, Vec<u8>>) -> PlanContent {
    content(roots, &|descriptor| {
        let bytes = Bytes::copy_from_slice(small.get(&descriptor.digest)?);
        Manifest::parse(bytes, Some(&descriptor.media_type)).ok()
    })
}

type Read<'a> = dyn Fn(&Descriptor) -> Option<Manifest> + 'a;

fn content(roots: &[Descriptor], read: &Read<'_>) -> PlanContent {
    let mut content = PlanContent::default();
    for root in roots {
        let Some(tag) = root.annotations.get(REF_NAME) else { continue };
        content.tags.insert(tag.clone(), root.digest);
        add(root, read, &mut content, 0);
    }
    content
}

fn add(descriptor: &Descriptor, read: &Read<'_>, content: &mut PlanContent, depth: usize) {
    if !put(descriptor, PartKind::Manifest, content) || depth == DEPTH_MAX {
        return;
    }
    let Some(manifest) = read(descriptor) else { return };
    match manifest.kind() {
        ManifestKind::Index { manifests } => {
            for child in manifests {
                add(child, read, content, depth + 1);
            }
        }
        ManifestKind::Image { config, layers } => {
            for layer in layers {
                put(layer, PartKind::Layer, content);
            }
            if let Some(config) = config {
                put(config, PartKind::Configuration, content);
            }
        }
        ManifestKind::Opaque => {}
    }
}

/// Whether it is new.
fn put(descriptor: &Descriptor, kind: PartKind, content: &mut PlanContent) -> bool {
    let digest = descriptor.digest;
    let is_new = !content.parts.iter().any(|part| part.digest == digest);
    if is_new {
        content.parts.push(ImagePart { digest, bytes: descriptor.size, kind });
    }
    is_new
}
