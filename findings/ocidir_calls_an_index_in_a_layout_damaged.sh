#!/usr/bin/env bash
# Crate ocidir 0.8.0, an OCI layout whose index.json names an image INDEX (an image for several platforms): fsck() and
# find_manifest_with_tag() end with "serialization error"; open_image_this_platform() finds the image. Of a layout whose index.json
# names the manifest itself all three are right, also with an SBOM beside it (a manifest with a subject and the empty config).
#
# Expected: OCI image-spec, image-index.md, "manifests": implementations SHOULD support an index as an entry ("nested index"); image-layout.md
# shows one in its example of index.json. The tag of an image for several platforms stands at such an entry.
# Why it matters: skopeo copy --all, buildx and crane write multi-platform images so. A build that checks what it made with this fsck
# takes every such layout for broken.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
cat >make.py <<'PY'
import hashlib, io, json, os, tarfile
def put(folder, value, kind, **more):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    os.makedirs(f"{folder}/blobs/sha256", exist_ok=True)
    open(f"{folder}/blobs/sha256/{digest}", "wb").write(data)
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data), **more}
oci = "application/vnd.oci."
out = io.BytesIO()
tarfile.open(fileobj=out, mode="w").close()
layer = out.getvalue()
named = {"annotations": {"org.opencontainers.image.ref.name": "1"}}
for folder in ("manifest", "index"):
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}
    image = put(folder, {"schemaVersion": 2, "mediaType": oci + "image.manifest.v1+json", "config": put(folder, config, oci + "image.config.v1+json"),
        "layers": [put(folder, layer, oci + "image.layer.v1.tar")]}, oci + "image.manifest.v1+json", platform={"architecture": "amd64", "os": "linux"})
    if folder == "index":
        image = put(folder, {"schemaVersion": 2, "mediaType": oci + "image.index.v1+json", "manifests": [image]}, oci + "image.index.v1+json")
    subject = {key: image[key] for key in ("mediaType", "digest", "size")}
    sbom = put(folder, {"schemaVersion": 2, "mediaType": oci + "image.manifest.v1+json", "artifactType": "application/vnd.cyclonedx+json",
        "config": put(folder, b"{}", oci + "empty.v1+json"), "layers": [put(folder, {}, "application/vnd.cyclonedx+json")], "subject": subject},
        oci + "image.manifest.v1+json", artifactType="application/vnd.cyclonedx+json")
    json.dump({"schemaVersion": 2, "mediaType": oci + "image.index.v1+json", "manifests": [image | named, sbom]}, open(folder + "/index.json", "w"))
    json.dump({"imageLayoutVersion": "1.0.0"}, open(folder + "/oci-layout", "w"))
PY
python3 make.py
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2021"
[dependencies]
ocidir = "=0.8.0"
cap-std = "4"
TOML
cat >src/main.rs <<'RS'
use ocidir::OciRead;
fn main() {
    for folder in ["manifest", "index"] {
        let dir = cap_std::fs::Dir::open_ambient_dir(folder, cap_std::ambient_authority()).unwrap();
        let layout = ocidir::OciDir::open(dir).unwrap();
        let word = |result: Result<(), ocidir::Error>| result.map_or_else(|error| error.to_string(), |()| "right".into());
        println!("{folder}: fsck {}, by tag {}, by platform {}", word(layout.fsck().map(|_| ())),
            word(layout.find_manifest_with_tag("1").map(|_| ())), word(layout.open_image_this_platform(Some("1")).map(|_| ())));
    }
}
RS
cargo run -q >seen
cat seen
diff seen - <<'SEEN'
manifest: fsck right, by tag right, by platform right
index: fsck serialization error, by tag serialization error, by platform right
SEEN
