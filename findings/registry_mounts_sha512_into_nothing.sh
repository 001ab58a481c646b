#!/usr/bin/env bash
# Debian 12 docker-registry 2.8.2 and distribution v3.0.0: mounting a blob by its sha512 digest from another repository is answered
# 201 with a Location, and the blob at that Location is 404. The blob is there in the first repository under that digest, and
# mounting it by its sha256 digest works.
#
# Expected: OCI distribution-spec 1.1, "Mounting a blob from another repository": 201 means that the mount succeeded and the blob
# can be pulled at Location; a registry that cannot do it answers 202 and opens an upload.
# Why it matters: a client that got 201 does not send the bytes; the image is pushed (or fails at the manifest) without its layer.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq docker-registry=2.8.2+ds1-1
dpkg -x docker-registry_*.deb root
GOBIN=$work/bin go install github.com/distribution/distribution/v3/cmd/registry@v3.0.0
export OTEL_TRACES_EXPORTER=none
echo 'a layer' >blob

# Starts the registry program $1 and prints four status codes for each algorithm.
try() {
  local port api algorithm digest location put first mount second
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
  for algorithm in sha256 sha512; do
    digest=$algorithm:$(${algorithm}sum blob | cut -d' ' -f1)
    location=$(curl -s -D- -o /dev/null -X POST "$api/one/blobs/uploads/" | tr -d '\r' | awk 'tolower($1) == "location:" {print $2}')
    put=$(curl -s -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Type: application/octet-stream' --data-binary @blob "$location&digest=$digest")
    first=$(curl -s -o /dev/null -w '%{http_code}' "$api/one/blobs/$digest")
    mount=$(curl -s -D headers -o /dev/null -w '%{http_code}' -X POST "$api/two/blobs/uploads/?mount=$digest&from=one")
    location=$(tr -d '\r' <headers | awk 'tolower($1) == "location:" {print $2}')
    second=$(curl -s -o /dev/null -w '%{http_code}' "$location")
    seen="$seen $put $first $mount $second"
    echo "  $algorithm: push to one $put, read from one $first, mount into two $mount, read at its Location $second"
  done
  kill "$server"
  wait "$server" || true
  server=
}
seen=
try root/usr/bin/docker-registry
try bin/registry
[ "$seen" = " 201 200 201 200 201 200 201 404 201 200 201 200 201 200 201 404" ]
