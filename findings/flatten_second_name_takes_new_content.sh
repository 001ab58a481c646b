#!/usr/bin/env bash
# A file with two names in the lower layer (the second one a hard link), and an upper layer that replaces the FIRST name: the
# second name must keep the old content. Go crane 0.22.1 (`export`, and `flatten` with it), PyPI oci-squash 0.1.0 and undocker 7
# give it the NEW content, without an error. Where the upper layer removes the first name, crane writes a link to nothing, on
# which tar stops, and oci-squash drops the second name.
#
# Expected: OCI image-spec, layer.md, "Changeset over existing files": where an entry meets an existing path that is no directory, do the
# equivalent of unlink(2) and create it anew; unlink leaves other names alone. Debian 12 umoci 0.4.7 does, and so do the engines.
# Why it matters: git, busybox and perl come with hard links; "flatten the base and put it into one layer"
# then changes files that no layer ever touched, and the new digest is signed as if it were the same image.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install oci-squash==0.1.0 undocker==7
GOBIN=$work/bin GOFLAGS=-modcacherw go install github.com/google/go-containerregistry/cmd/crane@v0.22.1 2>/dev/null
apt-get download -qq umoci=0.4.7+ds-3+b7
dpkg -x umoci_*.deb root
cat >make.py <<'PY'
import hashlib, io, json, os, tarfile
blobs = "layout/blobs/sha256"
os.makedirs(blobs)
def put(data, media_type):
    digest = hashlib.sha256(data).hexdigest()
    open(f"{blobs}/{digest}", "wb").write(data)
    return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}
def layer(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content, target in entries:
            info = tarfile.TarInfo(name)
            info.mtime, info.size = 1700000000, len(content)
            if target:
                info.type, info.linkname = tarfile.LNKTYPE, target
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
layers = [layer(("first", b"old", None), ("second", b"", "first"), ("third", b"kept", None), ("fourth", b"", "third")),
          layer(("first", b"new", None), (".wh.third", b"", None))]
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "history": [{"created_by": "lower"}, {"created_by": "upper"}],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers]}}).encode()
manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": put(config, "application/vnd.oci.image.config.v1+json"),
    "layers": [put(data, "application/vnd.oci.image.layer.v1.tar") for data in layers]}
described = put(json.dumps(manifest).encode(), manifest["mediaType"])
described["annotations"] = {"org.opencontainers.image.ref.name": "1"}
json.dump({"schemaVersion": 2, "manifests": [described]}, open("layout/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open("layout/oci-layout", "w"))
with tarfile.open("oci.tar", "w") as tar:
    tar.add("layout", arcname="")
# The same as `docker save` wrote it before engine 25, for the tools that read that.
with tarfile.open("docker.tar", "w") as tar:
    def add(name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    add("config.json", config)
    for number, data in enumerate(layers):
        add(f"{number}/layer.tar", data)
        add(f"{number}/json", json.dumps({"id": str(number), **({"parent": "0"} if number else {})}).encode())
    add("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": ["0/layer.tar", "1/layer.tar"]}]).encode())
    add("repositories", json.dumps({"image": {"1": "1"}}).encode())
PY
python3 make.py
root/usr/bin/umoci unpack --rootless --image layout:1 bundle 2>/dev/null
mkdir crane squash squashed
bin/crane export - - <docker.tar | tar -C crane -xf - 2>crane.txt || true
venv/bin/oci-squash oci.tar -o squashed.tar >/dev/null 2>&1
tar -C squashed -xf squashed.tar
tar -C squash -xf squashed/squashed/layer.tar
venv/bin/undocker -o undocker <docker.tar
show() { for name in first second third fourth; do printf '%s=%s ' $name "$(cat "$1/$name" 2>/dev/null || echo -)"; done; }
for tree in bundle/rootfs crane squash undocker; do echo "  $tree: $(show $tree)"; done
sed 's/^/  crane, then tar: /' crane.txt
[ "$(show bundle/rootfs)" = 'first=new second=old third=- fourth=kept ' ] && [ "$(show crane)" = 'first=new second=new third=- fourth=- ' ] &&
  [ "$(show squash)" = 'first=new second=new third=- fourth=- ' ] && [ "$(show undocker)" = 'first=new second=new third=- fourth=kept ' ]
