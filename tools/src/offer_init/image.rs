//! An image's own facts: its labels and annotations (`org.opencontainers.image.*`), its platforms,
//! ports and user.

use std::collections::BTreeMap;
use std::path::Path;

use wharf_oci::{Descriptor, Manifest, ManifestKind, Platform};

use super::error::InitError;
use crate::image::config::ImageConfig;
use crate::logins;
use crate::offer::described::PREFIX;
use crate::rules::urls;
use crate::source::Source;

/// How deep indexes are followed.
const DEPTH_MAX: usize = 4;
/// How many manifests are looked at.
const MANIFESTS_MAX: usize = 100;
/// The flag for an image.
pub(super) const FLAG: &str = "--image";

/// An image an offer is about.
#[derive(Debug, Clone, Default)]
pub struct ImageFound {
    /// How the offer names it, where it is to be taken as it is: a path relative to the offer, or a
    /// reference on a registry. None where the offer builds it.
    pub adopt: Option<String>,
    /// Its repository, where one is known.
    pub repository: Option<String>,
    /// Its platforms; none where it was not read.
    pub platforms: Vec<Platform>,
    /// Its labels, and the equivalent annotations.
    pub labels: BTreeMap<String, String>,
    /// Where it listens: `8080/tcp`.
    pub ports: Vec<String>,
    pub user: String,
    /// The tag it was named by.
    pub tag: Option<String>,
}

impl ImageFound {
    /// A well-known label, by its name without the prefix. A label with a login is not repeated: it
    /// would come into a committed file.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        let label = self.labels.get(&format!("{PREFIX}{name}")).map(String::as_str);
        label.filter(|text| !is_unsafe(text))
    }
}

/// Whether a foreign text holds an address with a login, or a private one.
#[must_use]
pub(super) fn is_unsafe(text: &str) -> bool {
    let bare = |word: &str| {
        let is_around = |c: char| matches!(c, '(' | ')' | '<' | '>' | '"' | '\'' | ',' | ';' | '`');
        word.trim_matches(is_around).to_owned()
    };
    text.split_whitespace()
        .map(bare)
        .any(|word| urls::unsafe_fault(&word).is_some() || logins::is_address(&word))
}

/// Reads the image at a path of this disk.
pub(super) fn read(path: &Path) -> Result<ImageFound, InitError> {
    let failed =
        |reason: String| InitError::Unreadable { flag: FLAG, path: path.to_owned(), reason };
    let source = Source::open_path(path).map_err(|error| failed(error.to_string()))?;
    let mut found = ImageFound::default();
    let mut look = Look { source: &source, found: &mut found, seen: 0 };
    for root in source.roots() {
        look.at(root, DEPTH_MAX);
    }
    if found.platforms.is_empty() {
        return Err(failed("there is no image in it that can be read".to_owned()));
    }
    found.tag = source.tags().map(|(tag, _)| tag.to_string()).find(|tag| tag != "latest");
    Ok(found)
}

struct Look<'a> {
    source: &'a Source,
    found: &'a mut ImageFound,
    seen: usize,
}

impl Look<'_> {
    /// `wharf verify` reports an unreadable image.
    fn at(&mut self, descriptor: &Descriptor, depth: usize) {
        self.seen += 1;
        if depth == 0 || self.seen > MANIFESTS_MAX {
            return;
        }
        let Ok(manifest) = self.source.manifest(descriptor) else { return };
        match manifest.kind() {
            ManifestKind::Index { manifests } => {
                self.annotations(&manifest);
                for child in manifests {
                    self.at(child, depth - 1);
                }
            }
            ManifestKind::Image { config: Some(config), .. } => self.image(&manifest, config),
            ManifestKind::Image { config: None, .. } | ManifestKind::Opaque => {}
        }
    }

    fn annotations(&mut self, manifest: &Manifest) {
        for (key, value) in manifest.annotations() {
            if key.starts_with(PREFIX) {
                self.found.labels.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    fn image(&mut self, manifest: &Manifest, config: &Descriptor) {
        let Ok(bytes) = self.source.small_blob(config) else { return };
        let Ok(config) = serde_json::from_slice::<ImageConfig>(&bytes) else { return };
        // Attestations and charts have no platform.
        if config.os.is_empty() || config.os == "unknown" || config.architecture.is_empty() {
            return;
        }
        let mut platform = format!("{}/{}", config.os, config.architecture);
        if let Some(variant) = config.variant.as_ref().filter(|variant| !variant.is_empty()) {
            platform.push('/');
            platform.push_str(variant);
        }
        let Ok(platform) = platform.parse::<Platform>() else { return };
        if self.found.platforms.contains(&platform) {
            return;
        }
        self.found.platforms.push(platform);
        self.annotations(manifest);
        for (key, value) in config.config.labels {
            self.found.labels.entry(key).or_insert(value);
        }
        if self.found.ports.is_empty() {
            self.found.ports = config.config.exposed_ports.into_keys().collect();
        }
        if self.found.user.is_empty() {
            self.found.user = config.config.user;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fmt::Write as _;
    use std::fs;

    use serde_json::{Value, json};
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn blob(layout: &Path, value: &Value) -> (String, usize) {
        let bytes = serde_json::to_vec(value).unwrap();
        let hex = Sha256::digest(&bytes).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        fs::write(layout.join("blobs/sha256").join(&hex), &bytes).unwrap();
        (format!("sha256:{hex}"), bytes.len())
    }

    /// A layout of one image for each platform, without layers, all with these labels.
    pub(crate) fn layout(at: &Path, platforms: &[&str], labels: &Value) {
        let mut children = Vec::new();
        for platform in platforms {
            let (os, architecture) = platform.split_once('/').unwrap();
            let config = json!({ "os": os, "architecture": architecture,
                "config": { "Labels": labels, "User": "7:7", "Cmd": ["/x"],
                            "ExposedPorts": { "8080/tcp": {} } },
                "rootfs": { "type": "layers", "diff_ids": [] } });
            let (digest, size) = blob(at, &config);
            let manifest = json!({ "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                            "digest": digest, "size": size },
                "layers": [] });
            let (digest, size) = blob(at, &manifest);
            children.push(json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest, "size": size,
                "platform": { "os": os, "architecture": architecture } }));
        }
        let index = json!({ "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children,
            "annotations": { "org.opencontainers.image.authors": "From the index" } });
        let (digest, size) = blob(at, &index);
        let top = json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": size,
            "annotations": { "org.opencontainers.image.ref.name": "1.4.0" } }] });
        fs::write(at.join("index.json"), serde_json::to_vec(&top).unwrap()).unwrap();
        fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }

    #[test]
    fn an_image_says_its_labels_platforms_ports_and_user() {
        let folder = tempfile::tempdir().unwrap();
        let labels = json!({ "org.opencontainers.image.title": "Tidepool", "other": "x" });
        layout(folder.path(), &["linux/amd64", "linux/arm64"], &labels);
        let found = read(folder.path()).unwrap();
        assert_eq!(found.label("title"), Some("Tidepool"));
        assert_eq!(found.label("authors"), Some("From the index"));
        let platforms: Vec<String> = found.platforms.iter().map(ToString::to_string).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        assert_eq!((found.ports, found.user.as_str()), (vec!["8080/tcp".to_owned()], "7:7"));
        assert_eq!(found.tag.as_deref(), Some("1.4.0"));
    }

    #[test]
    fn what_is_no_image_is_an_error_that_names_the_flag() {
        let folder = tempfile::tempdir().unwrap();
        let said = read(folder.path()).unwrap_err().to_string();
        assert!(said.starts_with("--image: "), "{said}");
        layout(folder.path(), &[], &json!({}));
        let said = read(folder.path()).unwrap_err().to_string();
        assert!(said.contains("no image"), "{said}");
    }
}
