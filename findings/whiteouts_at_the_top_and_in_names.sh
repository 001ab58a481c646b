#!/usr/bin/env bash
# An image of two layers in the form of `docker save`; the upper one removes the file /top, the folder /old and the file /etc/a:
#  - PyPI docker-tartare 0.2.0 `list` still shows /top, /old and /old/file, and /wh.top and /wh.old as files; /.env is shown as /env,
#    and `extract` of /.env says that there is no such file. Only /etc/a is gone.
#  - PyPI oci-squash 0.1.0 leaves out a file named "note.wh.txt", which it takes for a mark.
#
# Expected: OCI image-spec, layer.md, "Whiteouts": the name with the PREFIX ".wh." marks the path, at any depth; a folder goes with all in it.
# PyPI undocker 7 unpacks the same archive right.
# Why it matters: such listings are what people look at to see whether the secret is really gone from the image, or a file is in it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install docker-tartare==0.2.0 oci-squash==0.1.0 undocker==7
cat >make.py <<'PY'
import hashlib, io, json, tarfile
def layer(*names):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mode = 0o644
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
    return out.getvalue()
layers = [layer(".env", "etc/", "etc/a", "note.wh.txt", "old/", "old/file", "top"), layer(".wh.old", ".wh.top", "etc/", "etc/.wh.a")]
with tarfile.open("image.tar", "w") as tar:
    def add(name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    add("config.json", json.dumps({"architecture": "amd64", "os": "linux", "history": [{"created_by": "lower"}, {"created_by": "upper"}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers]}}).encode())
    for number, data in enumerate(layers):
        add(f"{number}/layer.tar", data)
        add(f"{number}/json", json.dumps({"id": str(number), **({"parent": "0"} if number else {})}).encode())
    add("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["image:1"], "Layers": ["0/layer.tar", "1/layer.tar"]}]).encode())
    add("repositories", json.dumps({"image": {"1": "1"}}).encode())
PY
python3 make.py
venv/bin/undocker -o undocker <image.tar
venv/bin/oci-squash image.tar -o squashed.tar >/dev/null 2>&1
mkdir squash squashed
tar -C squashed -xf squashed.tar
tar -C squash -xf squashed/squashed/layer.tar
tree() { (cd "$1" && find . -mindepth 1 | sed 's#^\.##' | LC_ALL=C sort | tr '\n' ' '); }
{
  echo "undocker: $(tree undocker)"
  echo "docker-tartare: $(venv/bin/docker-tartare list image.tar | LC_ALL=C sort | tr '\n' ' ')"
  echo "docker-tartare, extract: $(venv/bin/docker-tartare extract image.tar /.env out 2>&1 | tail -1)"
  echo "oci-squash: $(tree squash)"
} | sed 's/ *$//' >seen
cat seen
diff seen - <<'SEEN'
undocker: /.env /etc /note.wh.txt
docker-tartare: /env /etc/ /note.wh.txt /old/ /old/file /top /wh.old /wh.top
docker-tartare, extract: FileNotFoundError: Not found in any layer
oci-squash: /.env /etc
SEEN
