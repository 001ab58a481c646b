#!/usr/bin/env bash
# npm @remix-run/tar-parser 0.7.1: a name or link target of more than 100 bytes in GNU format ends with a NUL character in the
# answer, so that it equals no path that anybody asks for. @obsidize/tar-browserify 6.3.2 does the same.
#
# Expected: GNU tar manual, "Basic Tar Format" (@LongLink): the data of the 'L' and 'K' entries is the name with a terminating
# NUL, which is no part of it. The same path in the pax format comes without.
# Why it matters: `tar --format=gnu` is what Debian's tar writes unless told otherwise, so layers packed by it have such names for
# deep paths; names.has(path) is false for files that are there.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @remix-run/tar-parser@0.7.1 @obsidize/tar-browserify@6.3.2
name=$(printf 'n%.0s' $(seq 120))
target=$(printf 't%.0s' $(seq 120))
echo text >"$name"
ln -s "$target" link
for format in gnu pax; do tar --format=$format -cf $format.tar "$name" link; done
cat >run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { parseTar } from '@remix-run/tar-parser';
import { Archive } from '@obsidize/tar-browserify';
console.log('@remix-run/tar-parser 0.7.1, @obsidize/tar-browserify 6.3.2');
const seen = {};
for (const format of ['gnu', 'pax']) {
  const bytes = new Uint8Array(readFileSync(`${format}.tar`)), remix = [];
  await parseTar(new Blob([bytes]).stream(), (entry) => { remix.push(entry.name, entry.header.linkname ?? ''); });
  const other = (await Archive.extract(bytes)).entries.map((entry) => entry.fileName);
  seen[format] = [remix[0], remix[3], other[0]];
  console.log(`  ${format}: name of ${remix[0].length}, link target of ${remix[3].length}; other library: name of ${other[0].length} characters`);
}
const ends = (text) => text.length === 121 && text.endsWith('\0');
process.exit(seen.gnu.every(ends) && seen.pax.every((text) => text.length === 120) ? 0 : 1);
JS
node run.mjs
