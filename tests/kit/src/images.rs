//! Small deterministic images, written as OCI layouts.
//!
//! The same recipe gives the same digests on every machine. Layers are real gzipped tar archives of
//! incompressible bytes, with true diffIDs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The time in every archive and config.
const CREATED: &str = "2020-01-01T00:00:00Z";
const CREATED_UNIX: u64 = 1_577_836_800;

/// The recipe of an image: per platform, one layer per size.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Different seeds make different images.
    pub seed: u64,
    /// The content of each layer, in bytes before archiving.
    pub layer_bytes: Vec<u64>,
    /// `(os, architecture)` of each image; more than one makes an index.
    pub platforms: Vec<(String, String)>,
}

impl Recipe {
    /// One linux/amd64 image with layers of these sizes.
    pub fn new(seed: u64, layer_bytes: &[u64]) -> Self {
        let platforms = vec![("linux".to_owned(), "amd64".to_owned())];
        Self { seed, layer_bytes: layer_bytes.to_vec(), platforms }
    }

    /// The same for linux on several architectures, under one index.
    #[must_use]
    pub fn architectures(mut self, architectures: &[&str]) -> Self {
        let platform = |name: &&str| ("linux".to_owned(), (*name).to_owned());
        self.platforms = architectures.iter().map(platform).collect();
        self
    }

    /// Writes the layout, with the image or index tagged `tag`.
    pub fn write(&self, folder: &Path, tag: &str) -> anyhow::Result<Layout> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut images = Vec::new();
        for (number, (os, architecture)) in (0..).zip(&self.platforms) {
            images.push(self.write_image(&blobs, number, os, architecture)?);
        }
        let (top, index) = match images.as_slice() {
            [only] => (only.manifest.clone(), None),
            several => {
                let manifests: Vec<Value> = several.iter().map(Image::index_entry).collect();
                let value = json!({
                    "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests,
                });
                let index = write_json(&blobs, INDEX_TYPE, &value)?;
                (index.clone(), Some(index))
            }
        };
        let mut entry = top.json();
        if let Some(fields) = entry.as_object_mut() {
            let name = json!({ "org.opencontainers.image.ref.name": tag });
            fields.insert("annotations".to_owned(), name);
        }
        let value = json!({ "schemaVersion": 2, "manifests": [entry] });
        fs::write(folder.join("index.json"), value.to_string())?;
        Ok(Layout { folder: folder.to_owned(), tag: tag.to_owned(), top, index, images })
    }

    fn write_image(
        &self,
        blobs: &Path,
        number: u64,
        os: &str,
        architecture: &str,
    ) -> anyhow::Result<Image> {
        let mut layers = Vec::new();
        for (position, bytes) in (0..).zip(&self.layer_bytes) {
            let seed = self.seed.wrapping_mul(1_000_003) ^ (number << 32) ^ (position << 16);
            layers.push(write_layer(blobs, seed, *bytes)?);
        }
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "created": CREATED, "os": os, "architecture": architecture,
            "config": { "Env": [format!("SEED={}", self.seed)] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = write_json(blobs, CONFIG_TYPE, &config)?;
        let blobs_of_layers: Vec<Value> = layers.iter().map(|layer| layer.blob.json()).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": config.json(), "layers": blobs_of_layers,
        });
        let manifest = write_json(blobs, MANIFEST_TYPE, &manifest)?;
        let (os, architecture) = (os.to_owned(), architecture.to_owned());
        Ok(Image { os, architecture, manifest, config, layers })
    }
}

/// One blob of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its media type.
    pub media_type: &'static str,
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Blob {
    fn json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The gzipped archive.
    pub blob: Blob,
    /// The digest of the archive before gzip.
    pub diff_id: String,
}

/// One image of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its operating system.
    pub os: String,
    pub architecture: String,
    pub manifest: Blob,
    pub config: Blob,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
}

impl Image {
    fn index_entry(&self) -> Value {
        let mut entry = self.manifest.json();
        if let Some(fields) = entry.as_object_mut() {
            let platform = json!({ "os": self.os, "architecture": self.architecture });
            fields.insert("platform".to_owned(), platform);
        }
        entry
    }
}

/// A written layout.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Where it is.
    pub folder: PathBuf,
    /// The tag of its one entry.
    pub tag: String,
    /// The tag's target: the index, or the only image's manifest.
    pub top: Blob,
    /// The index, when there are several images.
    pub index: Option<Blob>,
    pub images: Vec<Image>,
}

impl Layout {
    /// The layout as skopeo and podman name it.
    pub fn reference(&self) -> String {
        format!("oci:{}:{}", self.folder.display(), self.tag)
    }

    /// Where a blob's file is.
    pub fn path(&self, blob: &Blob) -> PathBuf {
        self.folder.join("blobs/sha256").join(blob.digest.trim_start_matches("sha256:"))
    }

    /// A blob's bytes.
    pub fn read(&self, blob: &Blob) -> anyhow::Result<Vec<u8>> {
        let path = self.path(blob);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Every config and layer.
    pub fn content(&self) -> impl Iterator<Item = &Blob> {
        self.images.iter().flat_map(|image| {
            std::iter::once(&image.config).chain(image.layers.iter().map(|layer| &layer.blob))
        })
    }
}

/// `sha256:…` of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    name_of(Sha256::new_with_prefix(bytes))
}

/// This many incompressible bytes, the same for the same seed.
pub fn noise(seed: u64, bytes: u64) -> impl Read {
    Noise { state: seed ^ 0x9e37_79b9_7f4a_7c15, word: [0; 8], used: 8 }.take(bytes)
}

/// The splitmix64 sequence.
struct Noise {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            if self.used == self.word.len() {
                self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                self.word = (mixed ^ (mixed >> 31)).to_le_bytes();
                self.used = 0;
            }
            *byte = self.word.get(self.used).copied().unwrap_or_default();
            self.used += 1;
        }
        Ok(buffer.len())
    }
}

fn name_of(hash: Sha256) -> String {
    let digits = hash.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    format!("sha256:{}", digits.collect::<String>())
}

fn write_json(blobs: &Path, media_type: &'static str, value: &Value) -> anyhow::Result<Blob> {
    let bytes = serde_json::to_vec(value)?;
    let blob = Blob { media_type, digest: sha256(&bytes), size: bytes.len() as u64 };
    fs::write(blobs.join(blob.digest.trim_start_matches("sha256:")), bytes)?;
    Ok(blob)
}

fn write_layer(blobs: &Path, seed: u64, bytes: u64) -> anyhow::Result<Layer> {
    let unnamed = tempfile::NamedTempFile::new_in(blobs)?;
    let file = Hashed::new(BufWriter::new(unnamed.reopen()?));
    let gzip = GzEncoder::new(file, Compression::fast());
    let mut archive = tar::Builder::new(Hashed::new(gzip));
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_mtime(CREATED_UNIX);
    archive.append_data(&mut header, format!("data/{seed:016x}.bin"), noise(seed, bytes))?;
    let inner = archive.into_inner()?;
    let diff_id = name_of(inner.hash);
    let mut file = inner.inner.finish()?;
    file.flush()?;
    let (digest, size) = (name_of(file.hash), file.size);
    persist(unnamed, &blobs.join(digest.trim_start_matches("sha256:")))?;
    Ok(Layer { blob: Blob { media_type: LAYER_TYPE, digest, size }, diff_id })
}

fn persist(unnamed: tempfile::NamedTempFile, path: &Path) -> anyhow::Result<()> {
    let file: File = unnamed.persist(path)?;
    // Temporary files are private, but a layout is read by the client's user.
    Ok(file.set_permissions(fs::Permissions::from_mode(0o644))?)
}

/// Hashes and counts the bytes written through it.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn the_same_recipe_gives_the_same_digests_and_another_seed_does_not() {
        let write = |seed| {
            let folder = tempfile::tempdir().unwrap();
            let recipe = Recipe::new(seed, &[1000, 70_000]).architectures(&["amd64", "arm64"]);
            recipe.write(folder.path(), "v1").unwrap().top
        };
        assert_eq!(write(1), write(1));
        assert_ne!(write(1), write(2));
    }

    #[test]
    fn every_blob_has_its_digest_and_every_layer_its_diff_id() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe::new(3, &[0, 100_000]).architectures(&["amd64", "arm64"]);
        let layout = recipe.write(folder.path(), "v1").unwrap();
        assert_eq!(layout.index.as_ref(), Some(&layout.top));
        let manifests = layout.images.iter().map(|image| &image.manifest);
        for blob in layout.content().chain(manifests).chain([&layout.top]) {
            let bytes = layout.read(blob).unwrap();
            assert_eq!(sha256(&bytes), blob.digest);
            assert_eq!(bytes.len() as u64, blob.size);
        }
        for layer in layout.images.iter().flat_map(|image| &image.layers) {
            let mut archive = Vec::new();
            let gzip = layout.read(&layer.blob).unwrap();
            GzDecoder::new(gzip.as_slice()).read_to_end(&mut archive).unwrap();
            assert_eq!(sha256(&archive), layer.diff_id);
            let mut archive = tar::Archive::new(archive.as_slice());
            assert_eq!(archive.entries().unwrap().count(), 1);
        }
        let digests: std::collections::BTreeSet<_> =
            layout.content().map(|blob| &blob.digest).collect();
        assert_eq!(digests.len(), 6, "no layer of one platform equals one of the other");
    }
}
