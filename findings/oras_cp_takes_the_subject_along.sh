#!/usr/bin/env bash
# oras 1.3.6, `oras cp` of one SBOM (a manifest with a subject), without --recursive: the whole image that it is about is copied along;
# and where that image is not in the registry, the copy fails: "not found". crane 0.22.1 and regctl 0.11.7 copy the SBOM in both cases.
#
# Expected: OCI image-spec, manifest.md, "subject": a weak association; distribution-spec, "Pushing Manifests": a registry
# MUST take a manifest whose subject is not there. So an SBOM without its image is a valid thing to hold and to copy.
# Why it matters: an archive of SBOMs and signatures apart from the images (kept longer, or pushed before the image) cannot be copied
# with oras, and a copy of "just the signature" to a small store brings gigabytes of layers.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin DOCKER_CONFIG=$work REGCTL_CONFIG=$work/regctl.json
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go install oras.land/oras/cmd/oras@v1.3.6
go install github.com/regclient/regclient/cmd/regctl@v0.11.7
mkdir data
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
bin/crane registry serve --address "127.0.0.1:$port" --disk data >log 2>&1 &
server=$!
for _ in $(seq 50); do curl -sf "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.1; done
bin/regctl registry set --skip-check --tls disabled "127.0.0.1:$port"
cat >push.py <<'PY'
# Pushes an image and an SBOM of it to "full", and the SBOM alone to "lone"; prints the image's digest.
import hashlib, json, sys, urllib.request
def send(method, url, data, kind):
    return urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": kind}, method=method)).headers
def put(repository, value, kind, tag=None):
    base, data = f"http://127.0.0.1:{sys.argv[1]}/v2/{repository}", json.dumps(value).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if "manifest" in kind:
        send("PUT", f"{base}/manifests/{tag}", data, kind)
    else:
        place = send("POST", base + "/blobs/uploads/", b"", kind)["Location"]
        send("PUT", urllib.request.urljoin(base, place) + "?digest=" + digest, data, "application/octet-stream")
    return {"mediaType": kind, "digest": digest, "size": len(data)}
oci = "application/vnd.oci."
manifest = {"schemaVersion": 2, "mediaType": oci + "image.manifest.v1+json"}
config = put("full", {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}, oci + "image.config.v1+json")
image = put("full", {**manifest, "config": config, "layers": []}, manifest["mediaType"], "image")
for repository in ("full", "lone"):
    sbom = {**manifest, "artifactType": "application/vnd.cyclonedx+json", "config": put(repository, {}, oci + "empty.v1+json"),
        "layers": [put(repository, {"bomFormat": "CycloneDX"}, "application/vnd.cyclonedx+json")], "subject": image}
    put(repository, sbom, manifest["mediaType"], "sbom")
print(image["digest"])
PY
image=$(python3 push.py "$port")
for source in full lone; do
  for client in 'oras cp --from-plain-http --to-plain-http' 'crane copy' 'regctl image copy'; do
    name=${client%% *} word=copied
    # shellcheck disable=SC2086
    bin/$client "127.0.0.1:$port/$source:sbom" "127.0.0.1:$port/$source-$name:sbom" >out.txt 2>&1 || word="failed ($(grep -o 'not found' out.txt))"
    there=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/v2/$source-$name/manifests/$image")
    echo "$source $name: SBOM $word, its image $([ "$there" = 200 ] && echo there || echo 'not there')"
  done
done >seen
echo "oras 1.3.6, crane 0.22.1, regctl 0.11.7"
cat seen
diff seen - <<'SEEN'
full oras: SBOM copied, its image there
full crane: SBOM copied, its image not there
full regctl: SBOM copied, its image not there
lone oras: SBOM failed (not found), its image not there
lone crane: SBOM copied, its image not there
lone regctl: SBOM copied, its image not there
SEEN
