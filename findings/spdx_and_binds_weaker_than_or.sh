#!/usr/bin/env bash
# npm license-expressions 0.8.0 reads "MIT AND ISC OR Zlib" as MIT AND (ISC OR Zlib), and its normalize() writes it
# so: "MIT AND (ISC OR Zlib)", another licence. npm spdx 0.5.2 gets the order right, but drops the document of
# "DocumentRef-other:LicenseRef-1".
#
# Expected: SPDX 2.3 Annex D.4, "Order of precedence and parentheses": +, WITH, AND, OR, from strong to weak; D.3 and Annex D's grammar:
# "DocumentRef-..:" is part of the reference. npm spdx-expression-parse 5.0.0 does both, PyPI license-expression 30.4.4 the first.
# Why it matters: SBOMs of images have such expressions from package metadata; a policy that allows Zlib alone must let
# (MIT AND ISC) OR Zlib pass and sees an obligation for MIT instead, or the other way round.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts license-expressions@0.8.0 spdx@0.5.2 spdx-expression-parse@5.0.0
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install license-expression==30.4.4
cat >run.cjs <<'JS'
const texts = ['MIT AND ISC OR Zlib', 'MIT OR ISC AND Zlib', 'DocumentRef-other:LicenseRef-1'];
const show = (node) => node.conjunction
  ? `(${show(node.left)} ${node.conjunction} ${show(node.right)})`
  : [node.documentRef, node.license ?? node.licenseRef].filter(Boolean).join(':');
const { parse, normalize } = require('license-expressions');
for (const [name, read] of [['license-expressions', parse], ['spdx', require('spdx').parse], ['spdx-expression-parse', require('spdx-expression-parse')]])
  for (const text of texts) console.log(`${name}: ${text} = ${show(read(text))}`);
console.log(`license-expressions, normalize: ${normalize(texts[0])}`);
JS
node run.cjs >seen
venv/bin/python -c '
from license_expression import get_spdx_licensing
print("license-expression: MIT AND ISC OR Zlib =", get_spdx_licensing().parse("MIT AND ISC OR Zlib"))' >>seen
cat seen
diff seen - <<'SEEN'
license-expressions: MIT AND ISC OR Zlib = (MIT and (ISC or Zlib))
license-expressions: MIT OR ISC AND Zlib = (MIT or (ISC and Zlib))
license-expressions: DocumentRef-other:LicenseRef-1 = DocumentRef-other:LicenseRef-1
spdx: MIT AND ISC OR Zlib = ((MIT and ISC) or Zlib)
spdx: MIT OR ISC AND Zlib = (MIT or (ISC and Zlib))
spdx: DocumentRef-other:LicenseRef-1 = LicenseRef-1
spdx-expression-parse: MIT AND ISC OR Zlib = ((MIT and ISC) or Zlib)
spdx-expression-parse: MIT OR ISC AND Zlib = (MIT or (ISC and Zlib))
spdx-expression-parse: DocumentRef-other:LicenseRef-1 = DocumentRef-other:LicenseRef-1
license-expressions, normalize: MIT AND (ISC OR Zlib)
license-expression: MIT AND ISC OR Zlib = (MIT AND ISC) OR Zlib
SEEN
