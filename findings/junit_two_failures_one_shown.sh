#!/usr/bin/env bash
# A test case with two failures: Go joshdk/go-junit v1.0.0 and PyPI junit2html 31.1.4 keep the last, npm test-results-parser
# keeps the first; none says that there was another. PyPI junitparser 5.0.3 has both.
#
# Expected: "junit-10.xsd" of Jenkins: a testcase may hold failure any number of times (maxOccurs="unbounded").
# Why it matters: one rule with two findings (two layers, two platforms) is written that way; half of what is to be mended does
# not reach the reader, and which half depends on the tool.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts test-results-parser@0.4.6
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install junit2html==31.1.4 junitparser==5.0.3
go mod init example/finding >/dev/null 2>&1
go get github.com/joshdk/go-junit@v1.0.0 >/dev/null 2>&1
cat >report.xml <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="image" tests="1" failures="1" errors="0" time="0.5">
    <testcase name="IMG-018" classname="rules" time="0.5"><failure message="layer-one"/><failure message="layer-two"/></testcase>
  </testsuite>
</testsuites>
XML
cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/joshdk/go-junit"
)

func main() {
	suites, err := junit.IngestFile("report.xml")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%+v %v\n", suites[0].Tests[0].Message, suites[0].Tests[0].Error)
}
GO
go run . >go.txt
venv/bin/junit2html report.xml report.html
node -e '
const it = require("test-results-parser").parse({ type: "junit", files: ["report.xml"] }).suites[0].cases[0];
console.log(JSON.stringify([it.failure, it.stack_trace]));' >node.txt
venv/bin/python -c '
from junitparser import JUnitXml
print([r.message for suite in JUnitXml.fromfile("report.xml") for case in suite for r in case.result])' >python.txt
sees() { echo "$(grep -c layer-one "$1" || true)$(grep -c layer-two "$1" || true)" | sed 's/[1-9]/y/g; s/0/-/g'; }
echo "first and second failure seen by:"
echo "  go-junit v1.0.0 $(sees go.txt)   junit2html 31.1.4 $(sees report.html)   test-results-parser 0.4.6 $(sees node.txt)   junitparser 5.0.3 $(sees python.txt)"
[ "$(sees go.txt)" = -y ] && [ "$(sees report.html)" = -y ] && [ "$(sees node.txt)" = y- ] && [ "$(cat python.txt)" = "['layer-one', 'layer-two']" ]
