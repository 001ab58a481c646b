#!/usr/bin/env bash
# in-toto's own libraries for attestations, PyPI in-toto-attestation 0.9.3 and Go github.com/in-toto/attestation v1.2.0: validate() refuses
# a statement without a predicate, and in Python also one with {}. A statement read and written again has other numbers: 1 is 1.0 in
# Python, and 9007199254740993 is ...992 in both, since the predicate is held in protobuf's Struct.
#
# Expected: in-toto attestation v1, statement.md, "predicate": optional; unset is the same as empty, and it may be left out where its type
# says all. The predicates' own fields (SLSA's parameters) hold any JSON; RFC 8259 section 6 lets integers be of any size.
# Why it matters: "reviewed" or "released" needs no more than its type. Ids of runs and builds are large integers; the DSSE signature is
# over the bytes, so a filter that reads and writes breaks it, or signs another number.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install in-toto-attestation==0.9.3 protobuf==6.33.1
go mod init example/finding >/dev/null 2>&1
go get github.com/in-toto/attestation@v1.2.0 >/dev/null 2>&1
cat >make.py <<'PY'
import json
statement = {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "app", "digest": {"sha256": "ab" * 32}}],
    "predicateType": "https://example.com/released/v1"}
for name, more in {"none": {}, "empty": {"predicate": {}}, "run": {"predicate": {"attempt": 1, "run": 9007199254740993}}}.items():
    json.dump(statement | more, open(name + ".json", "w"))
PY
python3 make.py
cat >run.py <<'PY'
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message
for name in ("none", "empty", "run"):
    message = json_format.Parse(open(name + ".json").read(), Message())
    try:
        Statement.copy_from_pb(message).validate()
        word = "valid"
    except ValueError as error:
        word = str(error)
    text = "".join(json_format.MessageToJson(message, indent=None, sort_keys=True).split())
    print(f"Python {name}: {word};", text.partition('"predicate":')[2].partition("}")[0])
PY
venv/bin/python run.py >seen
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	attestation "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

func main() {
	for _, name := range []string{"none", "empty", "run"} {
		text, err := os.ReadFile(name + ".json")
		if err != nil {
			panic(err)
		}
		var statement attestation.Statement
		if err := protojson.Unmarshal(text, &statement); err != nil {
			panic(err)
		}
		word := "valid"
		if err := statement.Validate(); err != nil {
			word = err.Error()
		}
		again, _ := protojson.Marshal(&statement)
		_, predicate, _ := strings.Cut(strings.ReplaceAll(string(again), " ", ""), `"predicate":`)
		predicate, _, _ = strings.Cut(predicate, "}")
		fmt.Printf("Go %s: %s; %s\n", name, word, predicate)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . >>seen
sed -i 's/; $/;/' seen
echo "in-toto-attestation 0.9.3, github.com/in-toto/attestation v1.2.0"
cat seen
diff seen - <<'SEEN'
Python none: Predicate object required;
Python empty: Predicate object required; {
Python run: valid; {"attempt":1.0,"run":9007199254740992.0
Go none: predicate object required;
Go empty: valid; {
Go run: valid; {"attempt":1,"run":9007199254740992
SEEN
