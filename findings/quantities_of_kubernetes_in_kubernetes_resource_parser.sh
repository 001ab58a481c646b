#!/usr/bin/env bash
# npm kubernetes-resource-parser 0.1.0 reads valid quantities of Kubernetes as other numbers, without an error: as CPU "500000000n" (half
# a core, as the metrics API writes it) is 500000000 cores, "1k" and "1u" are 1; as memory "0.5Gi" is 0, "1e3" is 1, and "128974848000m"
# is NaN.
#
# Expected: the Kubernetes API reference, "Quantity": a decimal number with an exponent, or one of n, u, m, k, M, G, T, P, E, or Ki to Ei; the
# page on resource units has 128974848000m as an example of memory. PyPI kubernetes 37.0.2 (parse_quantity) reads all of them.
# Why it matters: what sums the requests of a chart, or compares usage with limits, is wrong by nine orders of magnitude, or has a limit of 0.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts kubernetes-resource-parser@0.1.0
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install kubernetes==37.0.2
cat >run.js <<'JS'
const { cpuParser, memoryParser } = require('kubernetes-resource-parser');
for (const text of ['250m', '500000000n', '1u', '1k']) console.log('cpu', text, cpuParser(text));
for (const text of ['1Ki', '0.5Gi', '1e3', '128974848000m']) console.log('memory', text, memoryParser(text));
JS
cat >run.py <<'PY'
import sys
from kubernetes.utils.quantity import parse_quantity
for line in sys.stdin:
    kind, text, answer = line.split()
    print(f"{kind} {text}: {answer}; kubernetes 37.0.2: {parse_quantity(text):f}")
PY
node run.js | venv/bin/python run.py >seen
cat seen
diff seen - <<'SEEN'
cpu 250m: 0.25; kubernetes 37.0.2: 0.250
cpu 500000000n: 500000000; kubernetes 37.0.2: 0.500000000
cpu 1u: 1; kubernetes 37.0.2: 0.000001
cpu 1k: 1; kubernetes 37.0.2: 1000
memory 1Ki: 1024; kubernetes 37.0.2: 1024
memory 0.5Gi: 0; kubernetes 37.0.2: 536870912.0
memory 1e3: 1; kubernetes 37.0.2: 1000
memory 128974848000m: NaN; kubernetes 37.0.2: 128974848.000
SEEN
