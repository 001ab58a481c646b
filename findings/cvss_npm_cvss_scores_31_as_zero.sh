#!/usr/bin/env bash
# npm cvss 1.0.5 answers a CVSS v3.1 vector with the score 0 and the rating "None", without an error; the very same metrics
# with the prefix CVSS:3.0 get their right score.
#
# Expected: CVSS v3.1 specification, section 7.1 (Base Metrics Equations): 9.8 for the vector of an unauthenticated remote
# takeover; or an exception, as for a prefix the library does not know.
# Why it matters: vulnerability reports of container images carry v3.1 vectors. A gate that reads the vector and compares
# the answer with 7.0 lets all of them pass.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts cvss@1.0.5
cat >run.cjs <<'JS'
const cvss = require('cvss');
const metrics = { AV: 'NALP', AC: 'LH', PR: 'NLH', UI: 'NR', S: 'UC', C: 'HLN', I: 'HLN', A: 'HLN' };
let all = [''];
for (const [name, values] of Object.entries(metrics)) all = all.flatMap((v) => [...values].map((x) => `${v}/${name}:${x}`));
const score = (version, metrics) => cvss.getBaseScore(`CVSS:${version}${metrics}`);
const differ = all.filter((m) => score('3.0', m) !== score('3.1', m));
const zero = differ.filter((m) => score('3.1', m) === 0);
const one = '/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H';
console.log('cvss 1.0.5');
for (const version of ['3.0', '3.1']) console.log(`  CVSS:${version}${one}`, JSON.stringify(cvss.getAll(`CVSS:${version}${one}`).base));
console.log(`  ${all.length} base vectors: ${differ.length} have another score as 3.1 than as 3.0; ${zero.length} of them are 0`);
process.exit(score('3.0', one) === 9.8 && score('3.1', one) === 0 && zero.length === differ.length && zero.length > 2000 ? 0 : 1);
JS
node run.cjs
