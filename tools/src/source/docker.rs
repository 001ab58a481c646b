//! A docker-archive: `manifest.json` names a configuration and layers among the members. Written by
//! `docker save` before 25, `podman save`, crane, jib and others, and by Nix.
//!
//! The archive has no manifest of the image, so this module makes one: the configuration as it is,
//! each plain layer by its diffID, each compressed one by the digest of its bytes. Facts the
//! archive does not keep (a registry's digests of the image) are not made up.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MANIFEST_SIZE_BYTES_MAX, MediaType};

use super::blob::BlobFile;
use super::error::{BlobError, SourceError};
use super::members::{MemberLookup, Members};
use crate::image::config::ImageConfig;
use crate::image::layout::REF_NAME;
use crate::image::zstd;

/// The file to mark a tar as a docker-archive.
pub(super) const MANIFEST_FILE: &str = "manifest.json";

/// How many images one archive may have.
const IMAGES_MAX: usize = 1000;

/// How many layers one image may have. Engines stop at 127; a manifest of these is below 4 MiB.
pub(super) const LAYERS_MAX: usize = 1000;

/// How many layers all images of an archive may list together, and how many names they may have.
const LISTED_MAX: usize = 100_000;
const NAMES_MAX: usize = 1000;

/// How much of a layer is hashed at once.
const BUFFER_BYTES: usize = 256 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An image in `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    pub(super) config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// An archive with manifests for its images.
#[derive(Debug)]
pub(super) struct DockerArchive {
    members: Members,
    manifests: BTreeMap<Digest, Bytes>,
    /// The name of each configuration and layer.
    names: BTreeMap<Digest, String>,
    /// Digests of the hashed members, by their place: each is read once for its hash.
    hashed: BTreeMap<(u64, u64), Digest>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MadeManifest<'a> {
    schema_version: u8,
    media_type: MediaType,
    config: &'a Descriptor,
    layers: &'a [Descriptor],
}

impl DockerImage {
    /// The references it has.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.repo_tags.iter().flatten().map(String::as_str)
    }
}

/// The entries of `manifest.json`.
pub(super) fn entries(location: &str, members: &Members) -> Result<Vec<DockerImage>, SourceError> {
    let wrong = |reason| SourceError::NotADockerArchive { location: location.to_owned(), reason };
    let bytes = small(location, members, MANIFEST_FILE)?;
    let entries: Vec<DockerImage> = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("its {MANIFEST_FILE} cannot be read: {error}")))?;
    if entries.is_empty() {
        return Err(wrong(format!("its {MANIFEST_FILE} lists no image")));
    }
    let is_long = |entry: &DockerImage| entry.layers.as_ref().is_some_and(|l| l.len() > LAYERS_MAX);
    let listed: usize = entries.iter().flat_map(|entry| &entry.layers).map(Vec::len).sum();
    let names: usize = entries.iter().flat_map(|entry| &entry.repo_tags).map(Vec::len).sum();
    if listed > LISTED_MAX || names > NAMES_MAX {
        let what = format!("more than {LISTED_MAX} layers, or {NAMES_MAX} names");
        return Err(SourceError::TooMuch { location: location.to_owned(), what });
    }
    if entries.len() > IMAGES_MAX || entries.iter().any(is_long) {
        let what = format!("more than {IMAGES_MAX} images, or {LAYERS_MAX} layers in one");
        return Err(SourceError::TooMuch { location: location.to_owned(), what });
    }
    Ok(entries)
}

/// Reads a member of at most 4 MiB.
fn small(location: &str, members: &Members, name: &str) -> Result<Vec<u8>, SourceError> {
    let wrong = |reason| SourceError::NotADockerArchive { location: location.to_owned(), reason };
    let file = match members.follow(name) {
        MemberLookup::File(file) => file,
        MemberLookup::NotAFile => return Err(wrong(format!("its {name} is not a file"))),
        MemberLookup::Nothing => return Err(wrong(format!("it has no {name}"))),
    };
    if file.size_bytes() > MANIFEST_SIZE_BYTES_MAX {
        return Err(wrong(format!("its {name} has more than {MANIFEST_SIZE_BYTES_MAX} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(MANIFEST_SIZE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|source| SourceError::Read { location: location.to_owned(), source })?;
    Ok(bytes)
}

impl DockerArchive {
    /// Reads `manifest.json` and makes the manifests; gives back one root for each name, or one for
    /// an image without any.
    pub(super) fn open(
        location: &str,
        members: Members,
    ) -> Result<(Self, Vec<Descriptor>), SourceError> {
        let entries = entries(location, &members)?;
        let (manifests, names) = (BTreeMap::new(), BTreeMap::new());
        let mut archive = Self { members, manifests, names, hashed: BTreeMap::new() };
        let mut roots = Vec::new();
        for entry in &entries {
            let root = archive.image(location, entry)?;
            let before = roots.len();
            roots.extend(entry.names().map(|name| {
                let mut root = root.clone();
                root.annotations.insert(REF_NAME.to_owned(), name.to_owned());
                root
            }));
            if roots.len() == before {
                roots.push(root);
            }
        }
        Ok((archive, roots))
    }

    /// Makes the manifest of an image.
    fn image(&mut self, location: &str, entry: &DockerImage) -> Result<Descriptor, SourceError> {
        let config_bytes = small(location, &self.members, &entry.config)?;
        let config = describe(MediaType::OCI_CONFIG, &config_bytes);
        self.names.insert(config.digest, entry.config.clone());
        // An unreadable configuration is a fault of the image, and the proof of images finds it.
        let diff_ids = serde_json::from_slice::<ImageConfig>(&config_bytes)
            .map(|config| config.rootfs.diff_ids)
            .unwrap_or_default();
        let mut layers = Vec::new();
        for (place, name) in entry.layers.iter().flatten().enumerate() {
            let layer = self.layer(location, name, diff_ids.get(place).copied())?;
            self.names.entry(layer.digest).or_insert_with(|| name.clone());
            layers.push(layer);
        }
        let (config, layers) = (&config, layers.as_slice());
        let media_type = MediaType::OCI_MANIFEST;
        let made = MadeManifest { schema_version: 2, media_type, config, layers };
        let bytes = Bytes::from(serde_json::to_vec(&made).expect("descriptors always serialise"));
        let root = describe(MediaType::OCI_MANIFEST, &bytes);
        self.manifests.insert(root.digest, bytes);
        Ok(root)
    }

    /// Describes a layer. A missing one gets a descriptor too, so the proof finds it missing.
    fn layer(
        &mut self,
        location: &str,
        name: &str,
        diff_id: Option<Digest>,
    ) -> Result<Descriptor, SourceError> {
        let failed = |source| SourceError::Read { location: location.to_owned(), source };
        let MemberLookup::File(file) = self.members.follow(name) else {
            let reason = format!("it has no `{name}`, which its {MANIFEST_FILE} lists as a layer");
            return diff_id
                .map(|diff_id| Descriptor::new(MediaType::OCI_LAYER, diff_id, 0))
                .ok_or(SourceError::NotADockerArchive { location: location.to_owned(), reason });
        };
        let mut start = Vec::new();
        file.clone().take(4).read_to_end(&mut start).map_err(failed)?;
        let size_bytes = file.size_bytes();
        let (media_type, digest) = if start.starts_with(&GZIP_MAGIC) {
            (MediaType::OCI_LAYER_GZIP, None)
        } else if start.starts_with(&zstd::MAGIC) {
            (MediaType::OCI_LAYER_ZSTD, None)
        } else {
            (MediaType::OCI_LAYER, diff_id)
        };
        // Of two files with one diffID at most one is right, so both are read.
        let is_taken = |digest: &Digest| {
            self.names.get(digest).is_some_and(|other| match self.members.follow(other) {
                MemberLookup::File(other) => !other.is_same(&file),
                MemberLookup::NotAFile | MemberLookup::Nothing => true,
            })
        };
        let digest = match digest.filter(|digest| !is_taken(digest)) {
            Some(digest) => digest,
            None => self.hash_once(file).map_err(failed)?,
        };
        Ok(Descriptor::new(media_type, digest, size_bytes))
    }

    fn hash_once(&mut self, file: BlobFile) -> io::Result<Digest> {
        let place = file.place();
        if let Some(known) = self.hashed.get(&place) {
            return Ok(*known);
        }
        let digest = hash(file)?;
        self.hashed.insert(place, digest);
        Ok(digest)
    }

    /// The bytes of a made manifest.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<&Bytes> {
        self.manifests.get(digest)
    }

    /// Opens a configuration or a layer of any size.
    pub(super) fn open_blob(&self, digest: Digest) -> Result<BlobFile, BlobError> {
        let name = self.names.get(&digest).ok_or(BlobError::Missing { digest })?;
        match self.members.follow(name) {
            MemberLookup::File(file) => Ok(file),
            MemberLookup::NotAFile => Err(BlobError::NotAFile { digest }),
            MemberLookup::Nothing => Err(BlobError::MissingMember { digest, name: name.clone() }),
        }
    }
}

fn describe(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    let digest = Digester::digest(Algorithm::Sha256, bytes);
    Descriptor::new(media_type, digest, bytes.len() as u64)
}

fn hash(mut file: BlobFile) -> io::Result<Digest> {
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(digester.finish().digest);
        }
        digester.update(buffer.get(..length).unwrap_or_default());
    }
}
