//! The words of an OCI image layout: file names and annotations. Who reads one is `source`, who
//! writes one is `layout_write`.

/// The annotation that names a tag in `index.json`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation in which containerd and docker keep the whole reference.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// The file that makes a folder a layout, and what it says.
pub const LAYOUT_FILE: &str = "oci-layout";

/// The only version of the format.
pub const LAYOUT_VERSION: &str = "1.0.0";

/// The file that lists what a layout holds.
pub const INDEX_FILE: &str = "index.json";

/// The annotation of an `index.json` with one image: the digest of an index of what refers to it.
/// Programs that are given no name take an image only where nothing else is listed.
pub const REFERRERS: &str = "wharf.referrers";
