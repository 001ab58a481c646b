#!/usr/bin/env bash
# npm vuln-vects 1.1.0: as soon as a CVSS v3 vector has one environmental metric, a Modified Scope that is not given counts
# as "changed" in the impact equation though the vector says S:U, and as "unchanged" for the weight of Privileges Required
# though the vector says S:C. With CR:M alone the score is up to 1.6 off.
#
# Expected: CVSS v3.1 section 4.2: a modified metric that is Not Defined (X) takes the value of the base metric. CR:M, "medium",
# has the weight 1 and changes nothing, so the Environmental Score of VECTOR/CR:M is the Base Score.
# Why it matters: teams re-score an image's findings by how it is deployed (CR, IR, AR, MAV); the result then crosses the limit
# of 7.0 in both directions. PyPI cvss 3.6 and cvsslib 1.0.0, written independently, agree with each other on all of these.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts vuln-vects@1.1.0
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install cvss==3.6 cvsslib==1.0.0
cat >vectors.py <<'PY'
import itertools
from cvss import CVSS3
from cvsslib import cvss31, calculate_vector
metrics = dict(AV="NALP", AC="LH", PR="NLH", UI="NR", S="UC", C="HLN", I="HLN", A="HLN")
for values in itertools.product(*metrics.values()):
    vector = "CVSS:3.1/" + "/".join(f"{k}:{x}" for k, x in zip(metrics, values)) + "/CR:M"
    first, second = float(CVSS3(vector).scores()[2]), float(calculate_vector(vector, cvss31)[2])
    assert first == second, (vector, first, second)
    print(vector, first)
PY
venv/bin/python vectors.py >expected.txt
cat >run.cjs <<'JS'
const { readFileSync } = require('fs');
const { parseCvss3Vector } = require('vuln-vects');
let unchanged = 0, changed = 0, crossed = 0, worst = { by: 0 };
for (const line of readFileSync('expected.txt', 'utf8').trim().split('\n')) {
  const [vector, expected] = line.split(' ');
  const { environmentalScore } = parseCvss3Vector(vector);
  const by = Math.abs(environmentalScore - expected);
  if (by < 1e-9) continue;
  if (vector.includes('/S:U/')) unchanged++; else changed++;
  if ((environmentalScore >= 7) !== (+expected >= 7)) crossed++;
  if (by > worst.by) worst = { by, vector, environmentalScore, expected };
}
console.log('vuln-vects 1.1.0');
console.log(`  wrong with S:U ${unchanged} of 1296, with S:C ${changed} of 1296; on the other side of 7.0: ${crossed}`);
console.log(`  ${worst.vector}: ${worst.environmentalScore}, expected ${worst.expected}`);
process.exit(unchanged > 1000 && changed > 0 && crossed > 100 ? 0 : 1);
JS
node run.cjs
