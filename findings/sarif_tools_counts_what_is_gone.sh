#!/usr/bin/env bash
# PyPI sarif-tools 3.0.5: `sarif --check error summary` counts results that are no longer there (baselineState "absent") and results
# that are suppressed and accepted as errors, and fails the build for them; and one result that names its rule by `rule.id`
# instead of `ruleId` ends every command with KeyError: 'ruleId'.
#
# Expected: SARIF 2.1.0 section 3.27.24: "absent": the result was in the baseline and is not in this run; 3.35.1 and 3.27.23: a
# suppression without a status, or with "accepted", suppresses; 3.27.5: ruleId MAY be absent when rule.id is there.
# Why it matters: a report that carries waivers and a baseline can only be gated by a tool that reads them; otherwise everything
# that a team has mended or waived in an image blocks its release.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install sarif-tools==3.0.5
report() {
  cat <<JSON
{"\$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{"tool": {"driver": {"name": "checker",
 "rules": [{"id": "R1"}]}}, "results": [{"level": "error", "message": {"text": "text"}, $1}]}]}
JSON
}
report '"ruleId": "R1", "baselineState": "absent"' >absent.sarif
report '"ruleId": "R1", "suppressions": [{"kind": "external", "status": "accepted", "justification": "waived"}]' >suppressed.sarif
report '"rule": {"id": "R1", "index": 0}' >reference.sarif
echo "sarif-tools 3.0.5"
for name in absent suppressed reference; do
  venv/bin/sarif --check error summary $name.sarif >$name.txt 2>&1 && code=0 || code=$?
  echo "  $name: exit $code, $(grep -E '^error:|KeyError' $name.txt)"
  echo "$code" >$name.code
done
[ "$(cat absent.code)" = 1 ] && grep -q '^error: 1' absent.txt
[ "$(cat suppressed.code)" = 1 ] && grep -q '^error: 1' suppressed.txt
[ "$(cat reference.code)" = 1 ] && grep -q "KeyError: 'ruleId'" reference.txt
