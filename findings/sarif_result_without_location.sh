#!/usr/bin/env bash
# A SARIF result without `locations`: npm sarif-junit 1.1.4 stops with a TypeError and writes no JUnit file, for none of the results.
# sarif-multitool 5.7.0 finds nothing wrong with the report, PyPI sarif-tools 3.0.5 lists both results.
#
# Expected: SARIF 2.1.0 section 3.27.12: "locations" MAY be absent or empty, where there is no place to point at.
# Why it matters: a finding about an image, its configuration or its registry has no file in the repository; CI then fails for
# another reason than the finding, and the page of test results stays as it was.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts sarif-junit@1.1.4 @microsoft/sarif-multitool@5.7.0
chmod +x node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install sarif-tools==3.0.5
cat >report.sarif <<'JSON'
{"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{
  "tool": {"driver": {"name": "checker", "version": "1.0.0", "informationUri": "https://checker.example", "rules": [
    {"id": "R1", "defaultConfiguration": {"level": "error"}}, {"id": "R2", "defaultConfiguration": {"level": "error"}}]}},
  "results": [
    {"ruleId": "R1", "ruleIndex": 0, "level": "error", "message": {"text": "in a file"},
     "locations": [{"physicalLocation": {"artifactLocation": {"uri": "offer.yaml"}, "region": {"startLine": 3}}}]},
    {"ruleId": "R2", "ruleIndex": 1, "level": "error", "message": {"text": "in the image"}}]}]}
JSON
echo "sarif-multitool 5.7.0: $(npx sarif-multitool validate report.sarif | grep -c ' error ' || true) errors in the report"
venv/bin/sarif csv report.sarif -o report.csv >/dev/null
echo "sarif-tools 3.0.5: $(grep -c 'error,R' report.csv) errors"
if npx sarif-junit -i report.sarif -o report.xml >junit.txt 2>&1; then junit=done; else junit=$(grep -o 'TypeError.*' junit.txt); fi
echo "sarif-junit 1.1.4: $junit"
case $junit in TypeError*) ;; *) exit 1 ;; esac
[ ! -e report.xml ]
[ "$(grep -c 'error,R' report.csv)" = 2 ]
