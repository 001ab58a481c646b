#!/usr/bin/env bash
# crane 0.22.1 and oras 1.3.6, "--platform" on an index with images for several variants of one CPU:
#  - asked for linux/amd64 they take linux/amd64/v3 where that entry stands first, though the plain one is there too;
#  - asked for linux/arm64/v8, the full name of what this CPU is, they find nothing in an index that says linux/arm64.
# regctl 0.11.7 takes the plain image, finds arm64, and of an index with v3 alone takes nothing.
#
# Expected: Go's GOAMD64 (and the x86-64 psABI): amd64 without a variant is v1, which every such machine runs; v3 needs AVX2. OCI
# image-spec, image-index.md, "Platform Variants": v8 is the one variant of arm64 in the table. containerd's platforms v1.0.0-rc.5 says both:
# its Normalize drops "v8" of arm64 and "v1" of amd64, and its matcher for linux/amd64 does not match v3.
# Why it matters: what a script copies "for linux/amd64" ends with an illegal instruction on older nodes, and which image it is depends
# on the order of entries; a promotion by two tools takes two images of one tag.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin DOCKER_CONFIG=$work REGCTL_CONFIG=$work/regctl.json
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go install oras.land/oras/cmd/oras@v1.3.6
go install github.com/regclient/regclient/cmd/regctl@v0.11.7
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir data
bin/crane registry serve --address "127.0.0.1:$port" --disk data >log 2>&1 &
server=$!
for _ in $(seq 50); do curl -sf "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.1; done
cat >push.py <<'PY'
import hashlib, json, sys, urllib.request
base = f"http://127.0.0.1:{sys.argv[1]}/v2/app"
oci, names = "application/vnd.oci.image.", {}
def send(method, url, data, kind):
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    return urllib.request.urlopen(request).headers
def put(value, kind, tag=None, **more):
    data = json.dumps(value).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if "manifest" in kind or "index" in kind:
        send("PUT", f"{base}/manifests/{tag or digest}", data, kind)
    else:
        place = send("POST", base + "/blobs/uploads/", b"", kind)["Location"]
        send("PUT", urllib.request.urljoin(base, place) + "?digest=" + digest, data, "application/octet-stream")
    return {"mediaType": kind, "digest": digest, "size": len(data), **more}
for tag, platforms in {"v3-first": ["amd64/v3", "amd64"], "v3-only": ["amd64/v3"], "arm64": ["arm64"]}.items():
    entries = []
    for text in platforms:
        cpu, _, variant = text.partition("/")
        platform = {"os": "linux", "architecture": cpu} | ({"variant": variant} if variant else {})
        config = put(platform | {"rootfs": {"type": "layers", "diff_ids": []}, "author": tag}, oci + "config.v1+json")
        image = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": []}
        entries.append(put(image, oci + "manifest.v1+json", platform=platform))
        names[entries[-1]["digest"]] = text
    put({"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": entries}, oci + "index.v1+json", tag)
json.dump(names, open("names.json", "w"))
PY
python3 push.py "$port"
bin/regctl registry set --skip-check --tls disabled "127.0.0.1:$port"
# Prints the platform of the entry whose digest is in the text on standard input, or "nothing".
name() { python3 -c '
import json, re, sys
digest = re.search("sha256:[0-9a-f]{64}", sys.stdin.read())
print(json.load(open("names.json")).get(digest and digest[0], "nothing"))'; }
for asked in 'v3-first linux/amd64' 'v3-only linux/amd64' 'arm64 linux/arm64/v8'; do
  read -r tag platform <<<"$asked"
  image=127.0.0.1:$port/app:$tag
  echo "$tag, asked for $platform: crane $(bin/crane digest --platform "$platform" "$image" 2>&1 | name)," \
    "oras $(bin/oras manifest fetch --plain-http --descriptor --platform "$platform" "$image" 2>&1 | name)," \
    "regctl $(bin/regctl manifest head -p "$platform" "$image" 2>&1 | name)"
done >seen
echo "crane 0.22.1, oras 1.3.6, regctl 0.11.7"
cat seen
diff seen - <<'SEEN'
v3-first, asked for linux/amd64: crane amd64/v3, oras amd64/v3, regctl amd64
v3-only, asked for linux/amd64: crane amd64/v3, oras amd64/v3, regctl nothing
arm64, asked for linux/arm64/v8: crane nothing, oras nothing, regctl arm64
SEEN
