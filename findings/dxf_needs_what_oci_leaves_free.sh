#!/usr/bin/env bash
# PyPI python-dxf 12.1.1, get_alias(): KeyError 'mediaType' of an OCI manifest that does not repeat its type in its text, and KeyError
# 'platform' of an index with one entry that has no platform, also where one platform is asked for and found behind it. With both
# written out it works. Of two entries for one platform (windows/amd64 of two os.version) only the last is there.
#
# Expected: OCI image-spec, manifest.md and image-index.md: "mediaType" SHOULD be there, the type of the answer is in Content-Type; and
# image-index.md: "platform" of an entry is OPTIONAL; where several match, the first one should be used.
# Why it matters: in image-spec 1.0 the field was only kept free, and tools of that time wrote manifests without it; indexes that hold a
# chart or an SBOM beside the images have entries without a platform. A mirror that lists blobs with dxf ends there.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install python-dxf==12.1.1
cat >server.py <<'PY'
# A registry with one repository of four tags.
import hashlib, http.server, json
oci, kept = "application/vnd.oci.image.", {}
def put(value, kind, tag=None, **more):
    data = json.dumps(value).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    kept[digest] = kept[tag] = data, oci + kind
    return {"mediaType": oci + kind, "digest": digest, "size": len(data), **more}
def image(name, tag=None, **more):
    layer = {"mediaType": oci + "layer.v1.tar", "digest": "sha256:" + hashlib.sha256(name.encode()).hexdigest(), "size": len(name)}
    return put({"schemaVersion": 2, "config": layer, "layers": [layer], **more}, "manifest.v1+json", tag)
def index(tag, *entries):
    put({"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": entries}, "index.v1+json", tag)
typed = {"mediaType": oci + "manifest.v1+json"}
linux, windows = {"os": "linux", "architecture": "amd64"}, {"os": "windows", "architecture": "amd64"}
image("a", "typed", **typed)
image("a", "untyped")
index("platforms", image("a", **typed) | {"platform": linux})
index("mixed", image("chart", **typed), image("a", **typed) | {"platform": linux})
index("windows", *(image(text, **typed) | {"platform": windows | {"os.version": text}} for text in ("10.0.17763.1", "10.0.20348.1")))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        data, kind = kept.get(self.path.rpartition("/")[2], (b"{}", "application/json"))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open("port", "w").write(str(server.server_port))
server.serve_forever()
PY
python3 server.py 2>server.log &
server=$!
for _ in $(seq 50); do [ -s port ] && break; sleep 0.1; done
cat >run.py <<'PY'
import hashlib
import sys
import dxf
names = {"sha256:" + hashlib.sha256(name.encode()).hexdigest(): name for name in ("a", "chart", "10.0.17763.1", "10.0.20348.1")}
client = dxf.DXF("127.0.0.1:" + sys.argv[1], "app", insecure=True)
for tag, platform in [("typed", None), ("untyped", None), ("platforms", "linux/amd64"), ("mixed", "linux/amd64"), ("windows", None)]:
    try:
        found = client.get_alias(tag, platform=platform)
        word = {key: names[value[0]] for key, value in found.items()} if isinstance(found, dict) else names[found[0]]
    except KeyError as error:
        word = f"KeyError {error}"
    print(f"{tag}: {word}")
PY
venv/bin/python run.py "$(cat port)" >seen
echo "python-dxf 12.1.1: the layer of each image is"
cat seen
diff seen - <<'SEEN'
typed: a
untyped: KeyError 'mediaType'
platforms: a
mixed: KeyError 'platform'
windows: {'windows/amd64': '10.0.20348.1'}
SEEN
