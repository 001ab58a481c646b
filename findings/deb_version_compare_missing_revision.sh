#!/usr/bin/env bash
# npm deb-version-compare 1.2.1 holds "1.0" and "1.0-1" for equal, yet "1.0-1" for later than "1.0": the order of the two
# arguments decides. It also puts a revision that begins with a letter before one that begins with a digit.
#
# Expected: deb-version(7), "Sorting algorithm": an absent Debian revision is the same as 0, so 1.0 is earlier than 1.0-1
# whichever is named first; the initial non-digit part is compared first, and an empty one sorts before a letter.
# Why it matters: "is the package in this image older than the fixed version" is asked with exactly this call, and the fixed
# version of a native package often stands beside one with a revision. `dpkg --compare-versions` is the reference here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts deb-version-compare@1.2.1
cat >run.cjs <<'JS'
const { spawnSync } = require('child_process');
const compare = require('deb-version-compare');
const is = (a, op, b) => spawnSync('dpkg', ['--compare-versions', a, op, b]).status === 0;
const dpkg = (a, b) => (is(a, 'lt', b) ? -1 : is(a, 'eq', b) ? 0 : 1);
const pairs = [['1.0', '1.0-1'], ['1.0-1', '1.0'], ['20230311', '20230311-0.1'], ['1.0-1', '1.0-a'], ['1.0-1', '1.0-1+deb12u1']];
console.log('deb-version-compare 1.2.1');
const answers = pairs.map(([a, b]) => {
  const got = Math.sign(compare(a, b)), expected = dpkg(a, b);
  console.log(`  ${a} ${b}: ${got}, dpkg ${expected}`);
  return `${got}/${expected}`;
});
process.exit(answers.join(' ') === '0/-1 1/1 0/-1 1/-1 -1/-1' ? 0 : 1);
JS
node run.cjs
