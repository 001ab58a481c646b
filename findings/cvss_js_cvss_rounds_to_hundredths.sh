#!/usr/bin/env bash
# npm @pandatix/js-cvss 0.4.4 answers CVSS v3.0 and v3.1 scores with two decimals, and others that are 0.1 too low.
#
# Expected: CVSS v3.1 Appendix A, "Roundup": the smallest number, to ONE decimal place, that is not below the input. So
# 7.46 is 7.5. The library tests "input * 100000 modulo 1000" where the appendix says 10000, so that 7.46 is left alone.
# Its Temporal Score starts from that Base Score and is then off by a whole tenth (6.2 for 6.3), and 6.9 for 7.0 happens.
# Why it matters: image gates compare scores with a limit ("7.0 and above blocks") and reports are compared with each other.
# Checked against PyPI cvss 3.6, an implementation with decimal arithmetic, over all 2592 base vectors of each version.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @pandatix/js-cvss@0.4.4
# The package's files import each other without the ending .js, which Node does not take.
sed -i -E "s#from '(\./[a-z0-9]+)'#from '\1.js'#" node_modules/@pandatix/js-cvss/dist/*.js
echo '{"type":"module"}' >node_modules/@pandatix/js-cvss/dist/package.json
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install cvss==3.6

cat >vectors.py <<'PY'
import itertools
from cvss import CVSS3
metrics = dict(AV="NALP", AC="LH", PR="NLH", UI="NR", S="UC", C="HLN", I="HLN", A="HLN")
extra = ["CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:C/C:H/I:H/A:N/E:P/RL:T/RC:U",
         "CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:C/C:H/I:N/A:H/E:H/RL:T/RC:R"]
every = [f"CVSS:{v}/" + "/".join(f"{k}:{x}" for k, x in zip(metrics, values))
         for v in ("3.0", "3.1") for values in itertools.product(*metrics.values())]
for vector in every + extra:
    scores = CVSS3(vector).scores()
    print(vector, float(scores[0]), float(scores[1]))
PY
venv/bin/python vectors.py >expected.txt

cat >run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { CVSS30, CVSS31 } from './node_modules/@pandatix/js-cvss/dist/index.js';
const seen = [];
for (const line of readFileSync('expected.txt', 'utf8').trim().split('\n')) {
  const [vector, base, temporal] = line.split(' ');
  const it = vector.startsWith('CVSS:3.0') ? new CVSS30(vector) : new CVSS31(vector);
  if (it.BaseScore() !== +base || it.TemporalScore() !== +temporal) {
    seen.push(`${vector} base ${it.BaseScore()} (expected ${base}) temporal ${it.TemporalScore()} (expected ${temporal})`);
  }
}
console.log('@pandatix/js-cvss 0.4.4');
seen.forEach((line) => console.log('  ' + line));
const base = seen.filter((line) => / base 7\.46 \(expected 7\.5\)/.test(line));
const temporal = seen.some((line) => /temporal 6\.2 \(expected 6\.3\)/.test(line));
const gate = seen.some((line) => /temporal 6\.9 \(expected 7\)/.test(line) || /temporal 6\.9 \(expected 7\.0\)/.test(line));
console.log(`${base.length} vectors with a Base Score of 7.46; Temporal Score a tenth low: ${temporal}; below the limit of 7.0: ${gate}`);
process.exit(base.length >= 6 && temporal && gate ? 0 : 1);
JS
node run.mjs
