#!/usr/bin/env bash
# The JSON schema in OCI's own module github.com/opencontainers/image-spec/schema v1.1.1 refuses a manifest with no layer, and an image's
# configuration in which Env is null, where null in Cmd and Entrypoint is right.
#
# Expected: image-spec v1.1.1, manifest.md, "layers": there SHOULD be at least one entry, for portability; so an empty list is valid. An
# image FROM scratch without files, and a manifest that is its annotations, have none. config.md says of each of the three only that it is
# OPTIONAL.
# Why it matters: a check by the schema turns away what the text allows and registries store (crane's takes it below), and which writers
# in Go make of an empty slice: null.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
CGO_ENABLED=0 GOBIN=$work/bin go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go mod init example/finding >/dev/null 2>&1
go get github.com/opencontainers/image-spec/schema@v1.1.1 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/image-spec/schema"
)

func main() {
	const empty = `{"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
		"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`
	manifest := `{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": ` + empty + `, "layers": [%s]}`
	config := `{"os": "linux", "architecture": "amd64", "config": {%s}, "rootfs": {"type": "layers", "diff_ids": []}}`
	for _, it := range []struct {
		name string
		kind schema.Validator
		text string
	}{
		{"manifest with a layer", schema.ValidatorMediaTypeManifest, fmt.Sprintf(manifest, empty)},
		{"manifest without", schema.ValidatorMediaTypeManifest, fmt.Sprintf(manifest, "")},
		{"configuration, Cmd null", schema.ValidatorMediaTypeImageConfig, fmt.Sprintf(config, `"Cmd": null`)},
		{"configuration, Entrypoint null", schema.ValidatorMediaTypeImageConfig, fmt.Sprintf(config, `"Entrypoint": null`)},
		{"configuration, Env null", schema.ValidatorMediaTypeImageConfig, fmt.Sprintf(config, `"Env": null`)},
	} {
		word := "valid"
		if err := it.kind.Validate(strings.NewReader(it.text)); err != nil {
			word = "refused"
		}
		fmt.Println(it.name+":", word)
		if it.name == "manifest without" {
			_ = os.WriteFile("manifest.json", []byte(it.text), 0o600)
		}
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . >seen
mkdir data
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
bin/crane registry serve --address "127.0.0.1:$port" --disk data >log 2>&1 &
server=$!
for _ in $(seq 50); do curl -sf "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.1; done
curl -s -o /dev/null -w 'manifest without, pushed to crane: %{http_code}\n' -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
  --data-binary @manifest.json "http://127.0.0.1:$port/v2/app/manifests/1" >>seen
echo "image-spec/schema v1.1.1, crane 0.22.1"
cat seen
diff seen - <<'SEEN'
manifest with a layer: valid
manifest without: refused
configuration, Cmd null: valid
configuration, Entrypoint null: valid
configuration, Env null: refused
manifest without, pushed to crane: 201
SEEN
