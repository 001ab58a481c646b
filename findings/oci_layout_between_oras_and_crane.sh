#!/usr/bin/env bash
# An image for two platforms through an OCI layout on disk, oras 1.3.6 and crane 0.22.1:
#  - `oras cp` writes the index and also each image in it into index.json. `crane push` says "layout contains 3 entries, consider --index";
#    with --index the tag gets another digest: that of index.json itself, with the image's index and its images again in it;
#  - `crane pull --format oci` writes no name: the tag is lost, and oras, regctl 0.11.7 and Debian's skopeo 1.9.3 find nothing by it.
# regctl copies from and into both with the digest kept, from oras's by tag.
#
# Expected: OCI image-spec, image-layout.md: index.json is the entry to the images of a layout, and the annotation
# org.opencontainers.image.ref.name names one of them; there may be any number of entries, of either kind.
# Why it matters: an air gap is crossed with such a folder. "Pin the digest, carry it over, deploy by digest" ends with 404 where the two
# tools meet, or with an index of indexes that fewer clients read.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin DOCKER_CONFIG=$work REGCTL_CONFIG=$work/regctl.json
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go install oras.land/oras/cmd/oras@v1.3.6
go install github.com/regclient/regclient/cmd/regctl@v0.11.7
apt-get download -qq skopeo=1.9.3+ds1-1+b10
dpkg -x skopeo_*.deb root
mkdir data
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
host=127.0.0.1:$port
bin/crane registry serve --address "$host" --disk data >log 2>&1 &
server=$!
for _ in $(seq 50); do curl -sf "http://$host/v2/" >/dev/null && break; sleep 0.1; done
bin/regctl registry set --skip-check --tls disabled "$host"
cat >push.py <<'PY'
import hashlib, json, sys, urllib.request
base, oci = f"http://{sys.argv[1]}/v2/app", "application/vnd.oci.image."
def send(method, url, data, kind):
    return urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": kind}, method=method)).headers
def put(value, kind, tag=None, **more):
    data = json.dumps(value).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if "config" in kind:
        place = send("POST", base + "/blobs/uploads/", b"", kind)["Location"]
        send("PUT", urllib.request.urljoin(base, place) + "?digest=" + digest, data, "application/octet-stream")
    else:
        send("PUT", f"{base}/manifests/{tag or digest}", data, kind)
    return {"mediaType": kind, "digest": digest, "size": len(data), **more}
entries = []
for cpu in ("amd64", "arm64"):
    config = put({"os": "linux", "architecture": cpu, "rootfs": {"type": "layers", "diff_ids": []}}, oci + "config.v1+json")
    image = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": []}
    entries.append(put(image, oci + "manifest.v1+json", platform={"os": "linux", "architecture": cpu}))
put({"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": entries}, oci + "index.v1+json", "1")
PY
python3 push.py "$host"
right=$(bin/crane digest "$host/app:1")
bin/oras cp --from-plain-http --to-oci-layout "$host/app:1" by-oras:1 >/dev/null
bin/crane pull --format oci "$host/app:1" by-crane
# Runs a copy ($2...) to HOST/TARGET:1 under the name $1, and prints whether the digest there is the first one.
copy() {
  local name=$1 there
  shift
  there=nothing
  "$@" >out.txt 2>&1 && there=$(bin/crane digest "$host/$target:1")
  [ "$there" = "$right" ] && there="the same digest"
  [ "${there#sha256:}" = "$there" ] || there="another digest, $(bin/crane manifest "$host/$target:1" | grep -o '"digest"' | wc -l) entries"
  echo "$name: $there"
}
at=0
into() { at=$((at + 1)) target=copy$at; }
{
  into; copy "by oras, crane push" bin/crane push by-oras "$host/$target:1"
  into; copy "by oras, crane push --index" bin/crane push --index by-oras "$host/$target:1"
  into; copy "by oras, regctl by tag" bin/regctl image copy ocidir://by-oras:1 "$host/$target:1"
  into; copy "by crane, crane push" bin/crane push by-crane "$host/$target:1"
  into; copy "by crane, oras by tag" bin/oras cp --from-oci-layout --to-plain-http by-crane:1 "$host/$target:1"
  into; copy "by crane, regctl by tag" bin/regctl image copy ocidir://by-crane:1 "$host/$target:1"
  into; copy "by crane, regctl by digest" bin/regctl image copy "ocidir://by-crane@$right" "$host/$target:1"
  into; copy "by crane, skopeo by tag" root/usr/bin/skopeo copy --insecure-policy --all --dest-tls-verify=false oci:by-crane:1 "docker://$host/$target:1"
} >seen
echo "oras 1.3.6, crane 0.22.1, regctl 0.11.7, skopeo 1.9.3"
cat seen
diff seen - <<'SEEN'
by oras, crane push: nothing
by oras, crane push --index: another digest, 3 entries
by oras, regctl by tag: the same digest
by crane, crane push: the same digest
by crane, oras by tag: nothing
by crane, regctl by tag: nothing
by crane, regctl by digest: the same digest
by crane, skopeo by tag: nothing
SEEN
