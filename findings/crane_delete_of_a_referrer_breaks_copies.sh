#!/usr/bin/env bash
# crane 0.22.1 (go-containerregistry): `crane delete IMAGE@REFERRER` on a registry without the referrers API deletes the manifest and leaves it in
# the list of referrers under the tag `sha256-HEX`. From then on a copy of the image with its referrers fails as a whole: `oras cp -r` 1.3.6 and
# `regctl image copy --referrers` 0.11.7 end with 404 of the deleted one, and copy no tag.
#
# Expected: distribution-spec 1.1, "Deleting Manifests": a client that deletes an image manifest with a `subject`, where the referrers API answers 404,
# should take its descriptor out of the list under the referrers tag. crane keeps that list itself when it pushes.
# Why it matters: who takes back one outdated SBOM or signature makes the image impossible to promote; `oras discover` still shows it as there.
# The registry is Debian's docker-registry 2.8, which has no referrers API, at 127.0.0.1.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
export GOBIN=$work/bin HOME=$work GOMODCACHE=${GOMODCACHE:-$(go env GOMODCACHE)} GOCACHE=${GOCACHE:-$(go env GOCACHE)} OTEL_TRACES_EXPORTER=none
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1 2>/dev/null
go install oras.land/oras/cmd/oras@v1.3.6 2>/dev/null
go install github.com/regclient/regclient/cmd/regctl@v0.11.7 2>/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >config.yml <<YML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/root}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$port"}
YML
docker-registry serve config.yml >registry.log 2>&1 &
server=$!
for _ in $(seq 50); do curl -fs "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.1; done
host=127.0.0.1:$port
plain="reg=$host,tls=disabled"
docker-registry --version

echo content >app.txt
bin/oras push --plain-http "$host/x/app:1" --artifact-type application/vnd.example.app app.txt >/dev/null
for name in old new; do
    printf '{"sbom": "%s"}' $name >$name.json
    bin/oras attach --plain-http "$host/x/app:1" --artifact-type application/spdx+json "$name.json:application/spdx+json" >/dev/null
done
digest=$(bin/crane digest --insecure "$host/x/app:1")
listed() { bin/crane manifest --insecure "$host/x/app:${digest/:/-}" | grep -o '"digest":"[^"]*"' | cut -d'"' -f4; }
old=$(listed | head -1)

copy() { # copies the image with its referrers by both tools: REPOSITORY
    bin/oras cp -r --from-plain-http --to-plain-http "$host/x/app:1" "$host/$1/oras:1" >oras.txt 2>&1 && oras=0 || oras=$?
    bin/regctl --host "$plain" image copy --referrers "$host/x/app:1" "$host/$1/regctl:1" >regctl.txt 2>&1 && regctl=0 || regctl=$?
    echo "$1: oras cp -r exit $oras, regctl image copy --referrers exit $regctl"
}
copy before
[ $oras = 0 ] && [ $regctl = 0 ]

bin/crane delete --insecure "$host/x/app@$old"
echo "deleted $old; a GET of it: $(curl -s -o /dev/null -w '%{http_code}' -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$host/v2/x/app/manifests/$old")"
listed | grep -q "$old" && echo "the list of referrers still names it"
copy after
grep -o 'Error.*not found' oras.txt
grep -o 'failed to get manifest.*http 404' regctl.txt | head -1
[ $oras != 0 ] && [ $regctl != 0 ]
for tool in oras regctl; do
    [ "$(curl -s -o /dev/null -w '%{http_code}' "http://$host/v2/after/$tool/manifests/1")" = 404 ]
done
