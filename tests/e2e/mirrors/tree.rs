//! A runnable image: `busybox` and a file, in two layers, for the architecture of this machine.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use wharf_testkit::clients::Client;
use wharf_testkit::images::{Blob, Image, Layer, Layout, sha256};

/// The output of its program.
pub(super) const SAYS: &str = "pulled through wharfd";

const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes its layout.
pub(super) fn write(folder: &Path, busybox: &Client) -> Layout {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let program = std::fs::read(busybox.path()).unwrap();
    let layers = vec![
        layer(folder, &[("bin/busybox", 0o755, &program)]),
        layer(folder, &[("etc/said", 0o644, SAYS.as_bytes())]),
    ];
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "os": "linux", "architecture": architecture,
        "config": { "Cmd": ["/bin/busybox", "cat", "/etc/said"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = blob(folder, CONFIG_TYPE, config.to_string().as_bytes());
    let blobs: Vec<Value> = layers.iter().map(|layer| descriptor(&layer.blob)).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": descriptor(&config), "layers": blobs,
    });
    let top = blob(folder, MANIFEST_TYPE, manifest.to_string().as_bytes());
    let (os, architecture) = ("linux".to_owned(), architecture.to_owned());
    let image = Image { os, architecture, manifest: top.clone(), config, layers };
    let (folder, tag) = (folder.to_owned(), "1.0".to_owned());
    Layout { folder, tag, top, index: None, images: vec![image] }
}

fn layer(folder: &Path, files: &[(&str, u32, &[u8])]) -> Layer {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    let archive = builder.into_inner().unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&archive).unwrap();
    Layer { blob: blob(folder, LAYER_TYPE, &gzip.finish().unwrap()), diff_id: sha256(&archive) }
}

fn blob(folder: &Path, media_type: &'static str, bytes: &[u8]) -> Blob {
    let blob = Blob { media_type, digest: sha256(bytes), size: bytes.len() as u64 };
    let name = blob.digest.replace(':', "/");
    std::fs::write(folder.join("blobs").join(name), bytes).unwrap();
    blob
}

fn descriptor(blob: &Blob) -> Value {
    json!({ "mediaType": blob.media_type, "digest": blob.digest, "size": blob.size })
}
