#!/usr/bin/env bash
# One range over one list of tags, by regsync 0.11.7 (tags: semverRange), Go Masterminds/semver v3.4.0 (Helm, skopeo's images-by-semver) and npm
# semver 7.7.3: regsync copies 2.0.0-rc.1 for ^1.2, all pre-releases of 1.x, and 1.2.3.4; of "1.2" it takes the tag v1.2 and no patch
# release, the others 1.2.3. Masterminds reads the tags 1 and v1.2 as versions, npm does not; for "1.x" regsync ends with an error.
#
# Expected: there is no specification of ranges, and Semantic Versioning 2.0.0 (section 11) orders 2.0.0-rc.1 before 2.0.0. npm's manual,
# by which most know "^": a pre-release is in only where the range names one of the same three numbers; ^1.2 ends before 2.0.0-0.
# Why it matters: a mirror that was to follow 1.x delivers the release candidate of the next major version; and a plan that was checked by
# one tool is carried out with other images by the next.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin DOCKER_CONFIG=$work REGCTL_CONFIG=$work/regctl.json
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go install github.com/regclient/regclient/cmd/regctl@v0.11.7
go install github.com/regclient/regclient/cmd/regsync@v0.11.7
tags=(1 v1.2 1.0.0 1.2.3 1.2.3-rc.1 1.2.3.4 1.10.0 2.0.0-rc.1 2.0.0 latest)
ranges=('^1.2' '>=1.0.0 <2.0.0' '1.2' '1.x')
mkdir data
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
host=127.0.0.1:$port
bin/crane registry serve --address "$host" --disk data >log 2>&1 &
server=$!
for _ in $(seq 50); do curl -sf "http://$host/v2/" >/dev/null && break; sleep 0.1; done
bin/regctl registry set --skip-check --tls disabled "$host"
bin/regctl artifact put --artifact-type application/vnd.example "$host/app:latest" </dev/null
for tag in "${tags[@]}"; do bin/crane tag "$host/app:latest" "$tag" 2>/dev/null; done
at=0
for range in "${ranges[@]}"; do
  at=$((at + 1))
  printf '{version: 1, creds: [{registry: "%s", tls: disabled}], sync: [{source: "%s/app", target: "%s/copy%s", type: repository,
    tags: {semverRange: ["%s"]}}]}\n' "$host" "$host" "$host" "$at" "$range" >regsync.yml
  word=$(bin/regsync -c regsync.yml once 2>&1 | grep -o 'invalid semver range' | head -1 || true)
  # shellcheck disable=SC2046,SC2086
  echo "$range | regsync:" ${word:-$(bin/crane ls "$host/copy$at" | LC_ALL=C sort)}
done >seen
go mod init example/finding >/dev/null 2>&1
go get github.com/Masterminds/semver/v3@v3.4.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/Masterminds/semver/v3"
)

func main() {
	for _, text := range os.Args[2:] {
		rule, err := semver.NewConstraint(text)
		if err != nil {
			panic(err)
		}
		fmt.Print(text, " | Masterminds:")
		for _, tag := range strings.Fields(os.Args[1]) {
			if version, err := semver.NewVersion(tag); err == nil && rule.Check(version) {
				fmt.Print(" ", tag)
			}
		}
		fmt.Println()
	}
}
GO
sorted=$(printf '%s\n' "${tags[@]}" | LC_ALL=C sort | tr '\n' ' ')
go run . "$sorted" "${ranges[@]}" >>seen
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts semver@7.7.3
cat >run.cjs <<'JS'
const { satisfies } = require('semver');
const [tags, ...ranges] = process.argv.slice(2);
for (const range of ranges) console.log(range, '| npm:', ...tags.split(' ').filter((tag) => satisfies(tag, range)));
JS
node run.cjs "$sorted" "${ranges[@]}" >>seen
echo "regsync 0.11.7, Masterminds/semver v3.4.0, semver 7.7.3, of the tags ${tags[*]}"
cat seen
diff seen - <<'SEEN'
^1.2 | regsync: 1.10.0 1.2.3 1.2.3-rc.1 1.2.3.4 2.0.0-rc.1 v1.2
>=1.0.0 <2.0.0 | regsync: 1 1.0.0 1.10.0 1.2.3 1.2.3-rc.1 1.2.3.4 2.0.0-rc.1 v1.2
1.2 | regsync: v1.2
1.x | regsync: invalid semver range
^1.2 | Masterminds: 1.10.0 1.2.3 v1.2
>=1.0.0 <2.0.0 | Masterminds: 1 1.0.0 1.10.0 1.2.3 v1.2
1.2 | Masterminds: 1.2.3 v1.2
1.x | Masterminds: 1 1.0.0 1.10.0 1.2.3 v1.2
^1.2 | npm: 1.10.0 1.2.3
>=1.0.0 <2.0.0 | npm: 1.0.0 1.10.0 1.2.3
1.2 | npm: 1.2.3
1.x | npm: 1.0.0 1.10.0 1.2.3
SEEN
