//! The content under measurement: blobs without a pattern and one image manifest, the paths of both
//! in the registry protocol, and the push of both to a registry.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Digester};

use crate::client::{Answer, Ask, Client};

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;
pub(crate) const GIB: usize = 1024 * MIB;

pub(crate) const REPOSITORY: &str = "bench/app";
pub(crate) const TAG: &str = "v1";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The size of a layer in measurements of requests per second.
pub(crate) const SMALL_BYTES: usize = 4 * KIB;
const LAYERS: usize = 8;

/// Content and its digest.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) content: Bytes,
    pub(crate) digest: Digest,
}

impl Blob {
    pub(crate) fn of(content: Bytes) -> Self {
        let digest = Digester::digest(Algorithm::Sha256, &content);
        Self { content, digest }
    }

    /// So many bytes without a pattern.
    pub(crate) fn noise(size: usize) -> Self {
        Self::of(wharf_benches::noise(size))
    }

    pub(crate) fn path(&self) -> String {
        format!("/v2/{REPOSITORY}/blobs/{}", self.digest)
    }
}

/// An image: blobs and a manifest with their descriptors.
pub(crate) struct Image {
    pub(crate) blobs: Vec<Blob>,
    pub(crate) manifest: Blob,
}

impl Image {
    /// A config and several different layers, each of [`SMALL_BYTES`].
    pub(crate) fn small() -> Self {
        let noise = wharf_benches::noise(LAYERS * SMALL_BYTES);
        let layers = (0..LAYERS).map(|index| index * SMALL_BYTES);
        let mut blobs: Vec<Blob> =
            layers.map(|start| Blob::of(noise.slice(start..start + SMALL_BYTES))).collect();
        let descriptor = |kind: &str, blob: &Blob| {
            let (digest, size) = (&blob.digest, blob.content.len());
            let media = format!("application/vnd.oci.image.{kind}");
            format!(r#"{{"mediaType":"{media}","digest":"{digest}","size":{size}}}"#)
        };
        let layers: Vec<String> =
            blobs.iter().map(|blob| descriptor("layer.v1.tar+gzip", blob)).collect();
        let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}"#;
        let config = Blob::of(Bytes::from_static(config.as_bytes()));
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{},"layers":[{}]}}"#,
            descriptor("config.v1+json", &config),
            layers.join(","),
        );
        blobs.push(config);
        Self { blobs, manifest: Blob::of(manifest.into()) }
    }

    pub(crate) fn by_tag() -> String {
        format!("/v2/{REPOSITORY}/manifests/{TAG}")
    }

    pub(crate) fn by_digest(&self) -> String {
        format!("/v2/{REPOSITORY}/manifests/{}", self.manifest.digest)
    }
}

/// Pushes by POST and PUT, because every registry accepts these two.
pub(crate) fn push_blob(addr: SocketAddr, blob: &Blob) -> anyhow::Result<()> {
    let mut client = Client::connect(addr)?;
    let path = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let answer = client.send(Ask { method: "POST", ..Ask::get(&path) }, &mut |_| {})?;
    ensure!(answer.status == 202, "an upload is refused:\n{}", answer.head);
    let path = ended_as(&place(&answer)?, &blob.digest);
    let headers = "Content-Type: application/octet-stream\r\n";
    let ask = Ask { method: "PUT", path: &path, headers, body: &[&blob.content] };
    let answer = client.send(ask, &mut |_| {})?;
    ensure!(answer.status == 201, "a blob is refused:\n{}", answer.head);
    Ok(())
}

/// Where an upload goes on: the answer says a path, or an address of the same server.
pub(crate) fn place(answer: &Answer) -> anyhow::Result<String> {
    let location = answer.header("location").context("an upload has a location")?;
    let place = location.find("/v2/").and_then(|start| location.get(start..));
    Ok(place.context("an upload's location is under /v2/")?.to_owned())
}

/// The address for the closing PUT of an upload.
pub(crate) fn ended_as(place: &str, digest: &Digest) -> String {
    let mark = if place.contains('?') { '&' } else { '?' };
    format!("{place}{mark}digest={digest}")
}

/// The blobs, then the manifest with its tag.
pub(crate) fn push_image(addr: SocketAddr, image: &Image) -> anyhow::Result<()> {
    image.blobs.iter().try_for_each(|blob| push_blob(addr, blob))?;
    let headers = format!("Content-Type: {MANIFEST_TYPE}\r\n");
    let (path, body) = (Image::by_tag(), image.manifest.content.as_ref());
    let ask = Ask { method: "PUT", path: &path, headers: &headers, body: &[body] };
    let answer = Client::connect(addr)?.send(ask, &mut |_| {})?;
    ensure!(answer.status == 201, "a manifest is refused:\n{}", answer.head);
    Ok(())
}

/// Reads a blob and checks its digest, so a fast server with wrong bytes does not count.
pub(crate) fn prove(addr: SocketAddr, path: &str, blob: &Blob) -> anyhow::Result<()> {
    let mut digester = Digester::new(Algorithm::Sha256);
    let headers = format!("Accept: {MANIFEST_TYPE}, */*\r\n");
    let ask = Ask { headers: &headers, ..Ask::get(path) };
    let answer = Client::connect(addr)?.send(ask, &mut |bytes| digester.update(bytes))?;
    ensure!(answer.status == 200, "{path} at {addr} says\n{}", answer.head);
    let came = digester.finish().digest;
    ensure!(came == blob.digest, "{path} at {addr} is {came}, not {}", blob.digest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_names_its_blobs() {
        let image = Image::small();
        let text = String::from_utf8(image.manifest.content.to_vec()).unwrap();
        assert_eq!(image.blobs.len(), LAYERS + 1);
        assert!(image.blobs.iter().all(|blob| text.contains(&blob.digest.to_string())));
        assert!(image.by_digest().ends_with(&image.manifest.digest.to_string()));
    }
}
