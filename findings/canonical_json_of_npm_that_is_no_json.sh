#!/usr/bin/env bash
# Three libraries of npm for "canonical JSON", on plain values:
#  - another-json 0.2.0 writes a control character as \U001F, which no JSON reader takes;
#  - json-canon 1.0.1 writes {,"size":2} where the first member is undefined, which JSON.stringify leaves out;
#  - canonical-json 0.4.0 sorts keys that are numbers as numbers: "9" before "10".
# canonicalize 5.1.0 does as RFC 8785 says.
#
# Expected: RFC 8259 section 7: \u, in a small letter. RFC 8785 section 3.2.3: keys are sorted as text, by UTF-16 units: "10" before "9".
# ECMAScript, SerializeJSONObject: a member without a value is no member.
# Why it matters: digests and signatures are made over this text. Ports and versions are keys that are numbers, an optional field of a
# descriptor is undefined, and a control character comes in with a title; the verifier in another language sees other bytes, or none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts another-json@0.2.0 json-canon@1.0.1 canonical-json@0.4.0 canonicalize@5.1.0
cat >run.mjs <<'JS'
import anotherJson from 'another-json';
import jsonCanon from 'json-canon';
import * as canonicalJson from 'canonical-json';
import canonicalize from 'canonicalize';
const write = { 'another-json': anotherJson.stringify, 'json-canon': jsonCanon, 'canonical-json': canonicalJson.default, canonicalize };
const values = { control: { title: 'unit\u001fseparator' }, ports: { 10: 'b', 9: 'a' } };
const optional = { data: undefined, size: 2 };
for (const [library, stringify] of Object.entries(write)) {
  for (const [name, value] of Object.entries(library === 'another-json' ? values : { ...values, optional })) {
    const text = stringify(value);
    let word = 'JSON';
    try { JSON.parse(text); } catch { word = 'no JSON'; }
    console.log(`${library} ${name}: ${text} (${word})`);
  }
}
JS
node run.mjs >seen
echo "another-json 0.2.0, json-canon 1.0.1, canonical-json 0.4.0, canonicalize 5.1.0"
cat seen
diff seen - <<'SEEN'
another-json control: {"title":"unit\U001Fseparator"} (no JSON)
another-json ports: {"10":"b","9":"a"} (JSON)
json-canon control: {"title":"unit\u001fseparator"} (JSON)
json-canon ports: {"10":"b","9":"a"} (JSON)
json-canon optional: {,"size":2} (no JSON)
canonical-json control: {"title":"unit\u001fseparator"} (JSON)
canonical-json ports: {"9":"a","10":"b"} (JSON)
canonical-json optional: {"size":2} (JSON)
canonicalize control: {"title":"unit\u001fseparator"} (JSON)
canonicalize ports: {"10":"b","9":"a"} (JSON)
canonicalize optional: {"size":2} (JSON)
SEEN
