#!/usr/bin/env bash
# A failing test in a suite inside a suite: PyPI junit2html 31.1.4 draws a report with "Failures 0" and without the test; npm
# test-results-parser 0.4.6 lists neither suite nor test and, where the counters are left out, calls the whole file "SKIP".
#
# Expected: the JUnit XML of Ant, Jenkins and JUnit 5 ("junit-10.xsd": testsuite holds testsuite, testcase, any number, in any order;
# the counters may be left out). PyPI junitparser 5.0.3 and npm junit-to-ctrf 0.0.14 have the test and its failure.
# Why it matters: reports on images nest naturally (offer, image, platform). The page that people look at in CI then says that
# nothing failed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts test-results-parser@0.4.6 junit-to-ctrf@0.0.14
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install junit2html==31.1.4 junitparser==5.0.3
cat >report.xml <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="image">
    <testcase name="IMG-001" classname="rules" time="0.5"/>
    <testsuite name="linux/amd64">
      <testcase name="IMG-018" classname="rules" time="0.5"><failure message="no entrypoint">body</failure></testcase>
    </testsuite>
  </testsuite>
</testsuites>
XML
venv/bin/junit2html report.xml report.html
python3 - >shown.txt <<'PY'
import re
page = re.sub(r"(?s)<style.*?</style>", "", open("report.html").read())
print(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))
PY
echo "junit2html 31.1.4: $(grep -o 'Tests [0-9]* Failures [0-9]*' shown.txt | tr '\n' ' '), nested test shown: $(grep -c 'IMG-018' shown.txt || true)"
venv/bin/python -c '
from junitparser import JUnitXml
cases = [case for suite in JUnitXml.fromfile("report.xml") for case in suite]
print("junitparser 5.0.3:", [(case.name, [type(r).__name__ for r in case.result]) for case in cases])'
npx junit-to-ctrf report.xml -o ctrf.json >/dev/null
cat >run.cjs <<'JS'
const { parse } = require('test-results-parser');
const result = parse({ type: 'junit', files: ['report.xml'] });
const names = result.suites.flatMap((suite) => suite.cases.map((it) => `${it.name} ${it.status}`));
const ctrf = JSON.parse(require('fs').readFileSync('ctrf.json')).results;
console.log('test-results-parser 0.4.6:', result.status, JSON.stringify(names));
console.log('junit-to-ctrf 0.0.14:', JSON.stringify(ctrf.tests.map((it) => `${it.name} ${it.status}`)));
process.exit(result.status === 'SKIP' && names.join() === 'IMG-001 PASS' && ctrf.summary.failed === 1 ? 0 : 1);
JS
node run.cjs
grep -q 'Tests 1 Failures 0' shown.txt
! grep -q 'IMG-018' shown.txt
