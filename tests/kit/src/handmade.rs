//! Images made entry by entry: a healthy one, and places for a test to break one part of it. Every
//! unbroken part is right: digests, sizes and diffIDs come from the actual content.
//!
//! The same description gives the same bytes on every machine.

mod elf;
mod entries;
mod healthy;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

pub use self::elf::{AARCH64, Program, X86_64};
pub use self::entries::{Entry, archive};
use crate::images::sha256;

/// The types of the blobs of a healthy image.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The same for an index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The same for a configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// An uncompressed tar.
pub const TAR_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// A tar in gzip.
pub const GZIP_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A tar in zstd.
pub const ZSTD_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// An index of images, or one image.
#[derive(Clone, Debug)]
pub struct Handmade {
    /// The images; more than one makes an index.
    pub platforms: Vec<Platform>,
    /// The names of the index in `index.json`.
    pub tags: Vec<String>,
    /// The names of single images in `index.json`.
    pub platform_tags: Vec<(usize, String)>,
    /// Attached manifests about an image, as from scanners and signers.
    pub attached: Vec<Attached>,
    /// Done to the index before it is hashed.
    pub on_index: fn(&mut Value),
    /// Done to `index.json`.
    pub on_top: fn(&mut Value),
    /// Done to the folder when everything is written.
    pub on_folder: fn(&Written) -> io::Result<()>,
}

/// The image of one platform.
#[derive(Clone, Debug)]
pub struct Platform {
    /// The index's fields about the platform.
    pub stated: Value,
    /// Its configuration; `rootfs` is added.
    pub config: Value,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
    /// Done to the configuration, with its diffIDs.
    pub on_config: fn(&mut Value),
    /// Done to the manifest.
    pub on_manifest: fn(&mut Value),
}

/// One layer of an image.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its tar entries.
    pub entries: Vec<Entry>,
    /// How it is compressed.
    pub packing: Packing,
    /// The media type in its descriptor.
    pub media_type: String,
    /// Done to the tar, before it is hashed.
    pub on_tar: fn(&mut Vec<u8>),
    /// Done to the compressed bytes, before they are hashed.
    pub on_blob: fn(&mut Vec<u8>),
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    Gzip,
    Zstd,
}

/// A manifest about another.
#[derive(Clone, Copy, Debug)]
pub struct Attached {
    /// The platform of the subject; `None` for the index.
    pub platform: Option<usize>,
    /// Its artifact type.
    pub artifact_type: &'static str,
    /// The type of its one blob.
    pub media_type: &'static str,
    /// The content of its blob.
    pub content: &'static str,
}

/// A blob in the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its media type.
    pub media_type: String,
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Blob {
    /// The blob's descriptor.
    pub fn json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }
}

/// A written layout, and its blobs.
#[derive(Clone, Debug)]
pub struct Written {
    /// The layout's folder.
    pub folder: PathBuf,
    /// The manifest of each platform.
    pub manifests: Vec<Blob>,
    /// The configuration of each platform.
    pub configs: Vec<Blob>,
    /// The layers of each platform.
    pub layers: Vec<Vec<Blob>>,
    /// The manifest or index of the tags.
    pub top: Blob,
}

impl Written {
    /// Where a blob's file is.
    pub fn path(&self, blob: &Blob) -> PathBuf {
        self.folder.join("blobs").join(blob.digest.replacen(':', "/", 1))
    }

    /// The file of a layer: the platform's number, and the layer's number from the bottom, from 0.
    pub fn layer(&self, platform: usize, number: usize) -> PathBuf {
        let layers = self.layers.get(platform).expect("there is such a platform");
        self.path(layers.get(number).expect("there is such a layer"))
    }
}

impl Layer {
    /// A layer in gzip.
    pub fn new(entries: Vec<Entry>) -> Self {
        Self {
            entries,
            packing: Packing::Gzip,
            media_type: GZIP_TYPE.to_owned(),
            on_tar: |_| (),
            on_blob: |_| (),
        }
    }

    /// Packs it another way, and says so.
    pub fn pack(&mut self, packing: Packing) {
        self.packing = packing;
        let media_type = match packing {
            Packing::Plain => TAR_TYPE,
            Packing::Gzip => GZIP_TYPE,
            Packing::Zstd => ZSTD_TYPE,
        };
        media_type.clone_into(&mut self.media_type);
    }

    /// The entry with this name.
    pub fn entry(&mut self, path: &str) -> &mut Entry {
        let found = self.entries.iter_mut().find(|entry| entry.path == path.as_bytes());
        found.unwrap_or_else(|| panic!("no entry is called {path}"))
    }
}

impl Packing {
    /// These bytes, compressed.
    pub fn pack(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(bytes.to_owned()),
            Self::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
                gzip.write_all(bytes)?;
                gzip.finish()
            }
            Self::Zstd => zstd::encode_all(bytes, 1),
        }
    }
}

impl Platform {
    /// The layer with the program.
    pub fn app(&mut self) -> &mut Layer {
        self.layers.last_mut().expect("an image has layers")
    }

    /// The layer below it.
    pub fn base(&mut self) -> &mut Layer {
        self.layers.first_mut().expect("an image has layers")
    }

    /// How a container starts.
    pub fn run(&mut self) -> &mut Value {
        self.config.get_mut("config").expect("the configuration says how it starts")
    }

    fn write(&self, blobs: &Blobs, written: &mut Written) -> io::Result<()> {
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let mut tar = archive(&layer.entries);
            (layer.on_tar)(&mut tar);
            diff_ids.push(sha256(&tar));
            let mut bytes = layer.packing.pack(&tar)?;
            (layer.on_blob)(&mut bytes);
            layers.push(blobs.write(&layer.media_type, &bytes)?);
        }
        let mut config = self.config.clone();
        set(&mut config, "rootfs", json!({ "type": "layers", "diff_ids": diff_ids }));
        (self.on_config)(&mut config);
        let config = blobs.write(CONFIG_TYPE, config.to_string().as_bytes())?;
        let described: Vec<Value> = layers.iter().map(Blob::json).collect();
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": config.json(), "layers": described,
        });
        (self.on_manifest)(&mut manifest);
        written.manifests.push(blobs.write(MANIFEST_TYPE, manifest.to_string().as_bytes())?);
        written.configs.push(config);
        written.layers.push(layers);
        Ok(())
    }
}

impl Handmade {
    /// Names each image `VERSION-OS-ARCHITECTURE` besides, as offers do.
    pub fn tag_platforms(&mut self) {
        let name = |(place, platform): (usize, &Platform)| {
            let field = |name: &str| platform.config.get(name).and_then(Value::as_str);
            let (os, architecture) = (field("os"), field("architecture"));
            let tag =
                format!("1.4.0-{}-{}", os.unwrap_or_default(), architecture.unwrap_or_default());
            (place, tag)
        };
        self.platform_tags = self.platforms.iter().enumerate().map(name).collect();
    }

    /// Writes the layout.
    pub fn write(&self, folder: &Path) -> io::Result<Written> {
        let blobs = Blobs(folder.join("blobs/sha256"));
        fs::create_dir_all(&blobs.0)?;
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let nothing = Blob { media_type: String::new(), digest: String::new(), size: 0 };
        let mut written = Written {
            folder: folder.to_owned(),
            manifests: Vec::new(),
            configs: Vec::new(),
            layers: Vec::new(),
            top: nothing,
        };
        for platform in &self.platforms {
            platform.write(&blobs, &mut written)?;
        }
        written.top = match written.manifests.as_slice() {
            [only] => only.clone(),
            manifests => self.write_index(&blobs, manifests)?,
        };
        let mut listed = Vec::new();
        for tag in &self.tags {
            let mut entry = written.top.json();
            set(&mut entry, "annotations", json!({ "org.opencontainers.image.ref.name": tag }));
            listed.push(entry);
        }
        for (place, tag) in &self.platform_tags {
            let manifest = written.manifests.get(*place).expect("there is such a platform");
            let mut entry = manifest.json();
            set(&mut entry, "annotations", json!({ "org.opencontainers.image.ref.name": tag }));
            listed.push(entry);
        }
        for attached in &self.attached {
            listed.push(attached.write(&blobs, &written)?);
        }
        let mut top = json!({ "schemaVersion": 2, "manifests": listed });
        (self.on_top)(&mut top);
        fs::write(folder.join("index.json"), top.to_string())?;
        (self.on_folder)(&written)?;
        Ok(written)
    }

    fn write_index(&self, blobs: &Blobs, manifests: &[Blob]) -> io::Result<Blob> {
        let children = manifests.iter().zip(&self.platforms).map(|(manifest, platform)| {
            let mut child = manifest.json();
            set(&mut child, "platform", platform.stated.clone());
            child
        });
        let children: Vec<Value> = children.collect();
        let mut index = json!({
            "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": children,
        });
        (self.on_index)(&mut index);
        blobs.write(INDEX_TYPE, index.to_string().as_bytes())
    }
}

impl Attached {
    /// Writes the manifest; its descriptor.
    fn write(&self, blobs: &Blobs, written: &Written) -> io::Result<Value> {
        let subject = match self.platform {
            Some(place) => written.manifests.get(place).expect("there is such a platform"),
            None => &written.top,
        };
        let empty = blobs.write("application/vnd.oci.empty.v1+json", b"{}")?;
        let content = blobs.write(self.media_type, self.content.as_bytes())?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": self.artifact_type,
            "config": empty.json(), "layers": [content.json()], "subject": subject.json(),
        });
        let mut entry = blobs.write(MANIFEST_TYPE, manifest.to_string().as_bytes())?.json();
        set(&mut entry, "artifactType", self.artifact_type.into());
        Ok(entry)
    }
}

/// The folder of the blobs.
struct Blobs(PathBuf);

impl Blobs {
    fn write(&self, media_type: &str, bytes: &[u8]) -> io::Result<Blob> {
        let digest = sha256(bytes);
        fs::write(self.0.join(digest.trim_start_matches("sha256:")), bytes)?;
        Ok(Blob { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 })
    }
}

/// Sets a member of an object.
pub fn set(object: &mut Value, name: &str, value: Value) {
    object.as_object_mut().expect("it is an object").insert(name.to_owned(), value);
}
