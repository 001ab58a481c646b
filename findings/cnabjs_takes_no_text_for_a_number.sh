#!/usr/bin/env bash
# npm cnabjs 0.0.5, Validator.validateText() of a bundle's parameters: an empty text and blanks are a valid integer and
# number, 0x10 is one too, and Infinity is a number; of an array, an object or a list of types the
# answer is the type's name in place of the promised {isValid, reason}, so `isValid` is undefined, for right values and wrong ones.
#
# Expected: CNAB core 1.0, 101-bundle-json.md, "Definitions": a definition is a JSON schema, whose type may be array, object or a list of
# types; 103-bundle-runtime.md: what is no string is passed as JSON. RFC 8259 section 6: no empty number, no hexadecimal, no Infinity.
# Why it matters: a form for the parameters of a bundle takes an empty field for the port 0, and refuses (or lets pass) each list.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts cnabjs@0.0.5
cat >run.cjs <<'JS'
const { Validator } = require('cnabjs');
const definitions = { port: { type: 'integer' }, share: { type: 'number' }, zones: { type: 'array', items: { type: 'integer' } },
  labels: { type: 'object' }, owner: { type: ['string', 'null'] } };
const parameters = Object.fromEntries(Object.keys(definitions).map((name) => [name, { definition: name, destination: { env: name } }]));
const validator = Validator.forBundle({ schemaVersion: '1.0.0', name: 'pool', version: '1.0.0', invocationImages: [], definitions, parameters });
const asked = [['port', '80'], ['port', '8 0'], ['port', ''], ['port', ' '], ['port', '0x10'], ['share', ''], ['share', 'Infinity'],
  ['zones', '[1, 2]'], ['zones', 'no list'], ['labels', '{}'], ['owner', 'team']];
for (const [name, text] of asked) {
  const answer = validator.validateText(name, text);
  console.log(`${name} "${text}": ${JSON.stringify(answer.isValid === undefined ? answer : answer.isValid)}`);
}
JS
node run.cjs >seen
echo "cnabjs 0.0.5"
cat seen
diff seen - <<'SEEN'
port "80": true
port "8 0": false
port "": true
port " ": true
port "0x10": true
share "": true
share "Infinity": true
zones "[1, 2]": "array"
zones "no list": "array"
labels "{}": "object"
owner "team": ["string","null"]
SEEN
