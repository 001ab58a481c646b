#!/usr/bin/env bash
# Debian 12 docker-registry 2.8.2 and distribution v3.0.0: an OCI manifest asked for with "Accept: */*" (what curl and most HTTP
# libraries send) or "application/*" is 404 MANIFEST_UNKNOWN. v3.0.0 sends an index, though, whatever Accept says; 2.8.2 an index
# only to those who name its type.
#
# Expected: RFC 9110 section 12.5.1: */* and application/* match every type of that kind; where nothing acceptable is there, the
# status is 406, or the header is disregarded. 404 says that the tag does not exist.
# Why it matters: scripts that test "is this tag there" push it again or fail, and a cache in front of the registry remembers the
# 404; a multi-platform tag and a single one of the same repository behave differently.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq docker-registry=2.8.2+ds1-1
dpkg -x docker-registry_*.deb root
GOBIN=$work/bin go install github.com/distribution/distribution/v3/cmd/registry@v3.0.0
export OTEL_TRACES_EXPORTER=none

# Starts the registry program $1 and prints the status by Accept, for a manifest and for an index.
try() {
  local port api location digest type accept manifest index
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  cat >config.yml <<YML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/data-$port}}
http: {addr: "127.0.0.1:$port"}
YML
  "$1" serve config.yml >log 2>&1 &
  server=$!
  api=http://127.0.0.1:$port/v2
  for _ in $(seq 50); do curl -sf "$api/" >/dev/null && break; sleep 0.1; done
  "$1" --version
  type=application/vnd.oci.image
  digest=sha256:$(printf '{}' | sha256sum | cut -d' ' -f1)
  location=$(curl -s -D- -o /dev/null -X POST "$api/one/blobs/uploads/" | tr -d '\r' | awk 'tolower($1) == "location:" {print $2}')
  curl -s -X PUT -H 'Content-Type: application/octet-stream' -d '{}' "$location&digest=$digest"
  curl -s -X PUT -H "Content-Type: $type.manifest.v1+json" "$api/one/manifests/manifest" -d '{"schemaVersion": 2, "mediaType": "'$type'.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "'$digest'", "size": 2}, "layers": []}'
  curl -s -X PUT -H "Content-Type: $type.index.v1+json" "$api/one/manifests/index" -d '{"schemaVersion": 2, "mediaType": "'$type'.index.v1+json", "manifests": []}'
  for accept in "$type.manifest.v1+json" '*/*' 'application/*'; do
    manifest=$(curl -s -o /dev/null -w '%{http_code}' -H "Accept: $accept" "$api/one/manifests/manifest")
    index=$(curl -s -o /dev/null -w '%{http_code}' -H "Accept: $accept" "$api/one/manifests/index")
    seen="$seen $manifest/$index"
    echo "  Accept: $accept: manifest $manifest, index $index"
  done
  kill "$server"
  wait "$server" || true
  server=
}
seen=
try root/usr/bin/docker-registry
try bin/registry
[ "$seen" = " 200/404 404/404 404/404 200/200 404/200 404/200" ]
