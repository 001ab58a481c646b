#!/usr/bin/env bash
# Go cyclonedx-go v0.12.0, reading a valid VEX document and writing it again:
#  - an affected version without `status` is written with "status": "", which the CycloneDX JSON schema refuses;
#  - a rating with score 0, written as XML, has no score any more (in JSON it has).
#
# Expected: CycloneDX 1.6, vulnerabilities[].affects[].versions[].status: optional, one of affected, unaffected, unknown, by
# default "affected"; so leave it out. ratings[].score: a number; 0 is the score of "none".
# Why it matters: scanners of images write their reports with this library, and a filter that reads, drops a finding and writes
# makes a document that validators, and stores that validate, turn away; "score 0" is how a vendor says that nothing is to be done.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install 'cyclonedx-python-lib[validation]==11.12.0'
go mod init example/finding >/dev/null 2>&1
go get github.com/CycloneDX/cyclonedx-go@v0.12.0 >/dev/null 2>&1
cat >vex.json <<'JSON'
{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
 "components": [{"type": "library", "bom-ref": "lib", "name": "openssl", "version": "3.0.15"}],
 "vulnerabilities": [{"bom-ref": "v", "id": "CVE-2026-0001",
  "ratings": [{"score": 0, "severity": "none", "method": "CVSSv31", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}],
  "affects": [{"ref": "lib", "versions": [{"version": "3.0.15"}]}]}]}
JSON
cat >main.go <<'GO'
package main

import (
	"os"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	source, err := os.Open("vex.json")
	check(err)
	bom := new(cdx.BOM)
	check(cdx.NewBOMDecoder(source, cdx.BOMFileFormatJSON).Decode(bom))
	for name, format := range map[string]cdx.BOMFileFormat{"again.json": cdx.BOMFileFormatJSON, "again.xml": cdx.BOMFileFormatXML} {
		out, err := os.Create(name)
		check(err)
		check(cdx.NewBOMEncoder(out, format).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6))
		check(out.Close())
	}
}
GO
go run .
cat >run.py <<'PY'
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

def fault(name):
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(name).read())
    return None if error is None else str(error.data.message)

before, after = fault("vex.json"), fault("again.json")
xml = open("again.xml").read()
rating = xml[xml.index("<rating>"):xml.index("</rating>")]
print("cyclonedx-go v0.12.0")
print("  schema's word on the document:", before, "  on what was written:", after)
print("  rating in XML:", " ".join(rating.split()))
sys.exit(not (before is None and after and "''" in after and "<score>" not in rating and "<severity>none" in rating))
PY
venv/bin/python run.py
