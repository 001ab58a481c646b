//! The words of an OCI image layout: file names and annotations. Its reader is `source`, its writer
//! `layout_write`.

/// The annotation for a tag in `index.json`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation for the whole reference, as containerd and docker keep it.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// The file to mark a folder as a layout, and its content.
pub const LAYOUT_FILE: &str = "oci-layout";

/// The only version of the format.
pub const LAYOUT_VERSION: &str = "1.0.0";

/// The file with the list of a layout's manifests.
pub const INDEX_FILE: &str = "index.json";

/// The annotation of an `index.json` with one image: the digest of an index of its referrers.
/// Programs called without a name take an image only if the layout lists nothing else.
pub const REFERRERS: &str = "wharf.referrers";
