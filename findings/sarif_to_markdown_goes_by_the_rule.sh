#!/usr/bin/env bash
# npm @security-alert/sarif-to-markdown 1.11.1: results of a rule without `defaultConfiguration` are left out ("Nothing here."),
# even with "level": "error"; and a result with a level of its own is shown under that of its rule.
#
# Expected: SARIF 2.1.0 section 3.27.10: the level of a result is its own; where absent that of the rule; where that is absent too,
# "warning". 3.50.3: the rule's default is "warning".
# Why it matters: checkers of images give one rule another weight by platform or plan, and many leave the default away. The comment
# in the pull request then says that nothing was found, or shows an error as a note.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @security-alert/sarif-to-markdown@1.11.1
cat >run.cjs <<'JS'
const { sarifToMarkdown } = require('@security-alert/sarif-to-markdown');
const options = { owner: 'o', repo: 'r', branch: 'b', sourceRoot: '', suppressedResults: [], severities: ['warning', 'error', 'note', 'none'] };
const shown = (rule, result) => {
  const report = { version: '2.1.0', runs: [{ tool: { driver: { name: 'checker', rules: [{ id: 'R1', ...rule }] } },
    results: [{ ruleId: 'R1', message: { text: 'text' }, ...result,
      locations: [{ physicalLocation: { artifactLocation: { uri: 'offer.yaml' }, region: { startLine: 3 } } }] }] }] };
  const body = sarifToMarkdown(options)(report)[0].body.split('## Suppressed')[0];
  return (body.match(/\*\*\[(\w*)\]\*\* \*\*\[R1\]/) ?? [null, body.includes('Nothing here.') ? 'nothing' : '?'])[1];
};
const seen = [
  shown({ defaultConfiguration: { level: 'error' } }, {}),
  shown({}, { level: 'error' }),
  shown({}, {}),
  shown({ defaultConfiguration: { level: 'note' } }, { level: 'error' }),
];
console.log('@security-alert/sarif-to-markdown 1.11.1');
console.log(`  rule error: ${seen[0]}; result error, rule silent: ${seen[1]}; both silent: ${seen[2]}; result error, rule note: ${seen[3]}`);
process.exit(seen.join() === 'ERROR,nothing,nothing,NOTE' ? 0 : 1);
JS
node run.cjs
