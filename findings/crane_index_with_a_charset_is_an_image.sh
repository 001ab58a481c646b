#!/usr/bin/env bash
# crane 0.22.1 and an index whose Content-Type has a parameter (application/vnd.oci.image.index.v1+json; charset=utf-8) or capitals in it:
# it is taken for one image. `crane config` asks for the blob ":", and `crane copy` ends well with the index alone, without the images in it.
# Of a manifest for one image with the same field all is right. oras 1.3.6, regctl 0.11.7 and Debian's skopeo 1.9.3 read both.
#
# Expected: RFC 9110 section 8.3.1: a media type may be followed by parameters, and its name is the same in capitals and small letters.
# The text says "mediaType" too, and OCI image-spec, image-index.md, wants that it is an index then.
# Why it matters: web servers and gateways in front of a registry add a charset to all that ends in json. The copy of a multi-platform
# image seems to have worked, and nobody can pull it (a registry that looks for what an index names refuses it instead).
set -euo pipefail
work=$(mktemp -d)
server='' copies=''
trap 'for it in $server $copies; do kill "$it"; done; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin DOCKER_CONFIG=$work REGCTL_CONFIG=$work/regctl.json
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go install oras.land/oras/cmd/oras@v1.3.6
go install github.com/regclient/regclient/cmd/regctl@v0.11.7
apt-get download -qq skopeo=1.9.3+ds1-1+b10
dpkg -x skopeo_*.deb root
cat >server.py <<'PY'
# A registry with an image and an index of it, in three repositories that write Content-Type in their own way.
import hashlib, http.server, json
oci, kept = "application/vnd.oci.image.", {}
def put(value, kind, tag=None, **more):
    data = json.dumps(value).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    kept[digest] = kept[tag] = data, kind
    return {"mediaType": kind, "digest": digest, "size": len(data), **more}
linux = {"os": "linux", "architecture": "amd64"}
config = put(linux | {"rootfs": {"type": "layers", "diff_ids": []}}, oci + "config.v1+json")
manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": []}
image = put(manifest, manifest["mediaType"], "image", platform=linux)
put({"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": [image]}, oci + "index.v1+json", "index")
print(image["digest"], file=open("digest", "w"))
form = {"plain": str, "charset": lambda kind: kind + "; charset=utf-8", "capitals": lambda kind: kind.replace("application", "Application")}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        parts = self.path.split("/")
        data, kind = kept.get(parts[-1], (b"{}", "application/json"))
        self.send_response(200 if parts[-1] in kept or self.path == "/v2/" else 404)
        self.send_header("Content-Type", form[parts[2]](kind) if "/manifests/" in self.path else kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)
    do_HEAD = do_GET
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open("port", "w").write(str(server.server_port))
server.serve_forever()
PY
python3 server.py 2>server.log &
server=$!
mkdir data
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
bin/crane registry serve --address "127.0.0.1:$port" --disk data >log 2>&1 &
copies=$!
for _ in $(seq 50); do [ -s port ] && curl -sf "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.1; done
host=127.0.0.1:$(cat port)
bin/regctl registry set --skip-check --tls disabled "$host"
# Prints whether the configuration of an image is what the command answers.
read_by() { "$@" 2>/dev/null | grep -q rootfs && echo right || echo wrong; }
for form in plain charset capitals; do
  for tag in image index; do
    it=$host/$form:$tag
    bin/crane copy "$it" "127.0.0.1:$port/$form-$tag:1" >/dev/null 2>&1 && word='done' || word=failed
    there=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/v2/$form-$tag/manifests/$(cat digest)")
    echo "$form $tag: crane $(read_by bin/crane config "$it")," \
      "oras $(read_by bin/oras manifest fetch-config --plain-http --platform linux/amd64 "$it")," \
      "regctl $(read_by bin/regctl image config -p linux/amd64 "$it")," \
      "skopeo $(read_by root/usr/bin/skopeo inspect --config --tls-verify=false "docker://$it"); crane copy $word, image there: $there"
  done
done >seen
echo "crane 0.22.1, oras 1.3.6, regctl 0.11.7, skopeo 1.9.3"
cat seen
diff seen - <<'SEEN'
plain image: crane right, oras right, regctl right, skopeo right; crane copy done, image there: 200
plain index: crane right, oras right, regctl right, skopeo right; crane copy done, image there: 200
charset image: crane right, oras right, regctl right, skopeo right; crane copy done, image there: 200
charset index: crane wrong, oras right, regctl right, skopeo right; crane copy done, image there: 404
capitals image: crane right, oras right, regctl right, skopeo right; crane copy done, image there: 200
capitals index: crane wrong, oras right, regctl right, skopeo right; crane copy done, image there: 404
SEEN
