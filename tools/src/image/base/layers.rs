//! The layers of a base image, brought into a layout under construction.

use std::fs::File;
use std::sync::Arc;

use wharf_oci::{Descriptor, MediaType};

use super::{BaseError, BaseImage, Bases, LayerRequest};
use crate::image::files::LayerFiles;
use crate::image::layout_write::LayoutWriter;

/// Layer types with a name of their own in Docker's schema, and OCI's name for the same bytes.
const NAMES: [(&str, &str); 5] = [
    (
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    ),
    ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
    (
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
    ),
];

/// How an OCI manifest points at a layer: the same bytes under OCI's name for them.
pub(in crate::image) fn as_oci(layer: &Descriptor) -> Descriptor {
    let said = layer.media_type.as_str();
    let name = NAMES.iter().find(|(docker, _)| *docker == said).map(|(_, oci)| *oci);
    let media_type: Option<MediaType> = name.and_then(|name| name.parse().ok());
    match media_type {
        Some(media_type) => Descriptor { media_type, ..layer.clone() },
        None => layer.clone(),
    }
}

/// Brings all layers into a layout. For a counted layout it fetches only the layers needed for a
/// look at their files. It returns those files if `look` is set.
pub(in crate::image) fn lay(
    bases: &dyn Bases,
    base: &BaseImage,
    look: bool,
    writer: &mut LayoutWriter<'_>,
) -> Result<Vec<Arc<LayerFiles>>, BaseError> {
    let mut files = Vec::new();
    for (place, layer) in base.layers.iter().enumerate() {
        let bring = |out: Option<&mut File>| bases.layer(base, place, LayerRequest { out, look });
        let found =
            if writer.has(&layer.digest) { bring(None) } else { writer.add_blob(layer, bring) };
        files.extend(found?);
    }
    Ok(files)
}
