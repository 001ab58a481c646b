#!/usr/bin/env bash
# TUF metadata that names a target with an emoji beside one with a presentation form (U+FB33): signed by PyPI tuf 7.0.1, npm
# @tufjs/models 4.1.1 (the TUF client of npm and of sigstore-js) says "signed by 0/1 keys". Of names below U+D800 it verifies the same.
#
# Expected: the specification (TUF 1.0, sections 4.1 and 4.2) signs the canonical JSON of OLPC, whose object members stand in lexicographic
# order of their keys. Python's order is that of code points, Go's cjson has the same; JavaScript sorts UTF-16 units, where U+1F600 is
# D83D DE00 and comes before FB33. (RFC 8785 wants just that order, and so is no help: it says so, TUF does not.)
# Why it matters: the keys are paths of files and names of repositories, of users' own choosing; one more name breaks the metadata for
# clients in one language, and their message tells of keys.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install tuf==7.0.1 'securesystemslib[crypto]==1.6.0'
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @tufjs/models@4.1.1
go mod init example/finding >/dev/null 2>&1
go get github.com/secure-systems-lab/go-securesystemslib@v0.11.1 >/dev/null 2>&1
cat >sign.py <<'PY'
import datetime
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root, TargetFile, Targets
names = {"below": ["a.json", "\u05d3.json", "\ub2e4.json"], "above": ["a.json", "\ufb33.json", "\U0001f600.json"]}
signer, root = CryptoSigner.generate_ed25519(), Root()
for role in ("root", "snapshot", "timestamp", "targets"):
    root.add_key(signer.public_key, role)
Metadata(root).to_file("root.json")
for name, files in names.items():
    targets = Targets(expires=datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc))
    targets.targets = {file: TargetFile.from_data(file, b"content") for file in files}
    signed = Metadata(targets)
    signed.sign(signer)
    root.verify_delegate("targets", signed.signed_bytes, signed.signatures)
    signed.to_file(name + ".json")
    open(name + ".canonical", "w").write(encode_canonical(targets.to_dict()))
    print(name, "tuf (Python): verified")
PY
venv/bin/python sign.py >seen
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
)

func main() {
	for _, name := range []string{"below", "above"} {
		text, err := os.ReadFile(name + ".json")
		if err != nil {
			panic(err)
		}
		var document struct{ Signed any }
		if err := json.Unmarshal(text, &document); err != nil {
			panic(err)
		}
		mine, err := cjson.EncodeCanonical(document.Signed)
		if err != nil {
			panic(err)
		}
		theirs, _ := os.ReadFile(name + ".canonical")
		fmt.Println(name, "cjson (Go): the same bytes as Python:", string(mine) == string(theirs))
	}
}
GO
go run . >>seen
cat >run.cjs <<'JS'
const fs = require('node:fs');
const { Metadata, MetadataKind } = require('@tufjs/models');
const read = (kind, name) => Metadata.fromJSON(kind, JSON.parse(fs.readFileSync(name + '.json', 'utf8')));
const root = read(MetadataKind.Root, 'root');
for (const name of ['below', 'above']) {
  let word = 'verified';
  try { root.verifyDelegate('targets', read(MetadataKind.Targets, name)); } catch (error) { word = error.message; }
  console.log(name, '@tufjs/models:', word);
}
JS
node run.cjs >>seen
echo "tuf 7.0.1, go-securesystemslib v0.11.1, @tufjs/models 4.1.1: names below U+D800, and above"
cat seen
diff seen - <<'SEEN'
below tuf (Python): verified
above tuf (Python): verified
below cjson (Go): the same bytes as Python: true
above cjson (Go): the same bytes as Python: true
below @tufjs/models: verified
above @tufjs/models: targets was signed by 0/1 keys
SEEN
