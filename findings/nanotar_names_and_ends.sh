#!/usr/bin/env bash
# npm nanotar 0.3.0, on archives as GNU tar writes them:
#  1. --format=ustar, a path of more than 100 bytes: the folder part (the "prefix" field) is dropped, "etc/.../passwd" is "passwd";
#  2. a symbolic link with a long target: the link is listed under the name of its TARGET, in both the gnu and the pax format;
#  3. a pax path with "=" in it: the name ends at the second "=".
#
# Expected: POSIX pax, "ustar Interchange Format": if prefix is not empty, the path is prefix, slash, name. "pax Extended
# Header": linkpath is the target and path the name of the entry; a record is "LENGTH KEYWORD=VALUE", and the value runs to
# its length.
# Why it matters: whoever looks up files in a layer by path finds none of them, or finds the link where its target should be.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts nanotar@0.3.0
folder=opt/$(printf 'a%.0s' $(seq 60))/$(printf 'b%.0s' $(seq 60))
mkdir -p "$folder"
echo text >"$folder/file"
target=$(printf 'usr/lib/%.0s' $(seq 20))libc.so
ln -s "$target" link
long=$(printf 'x%.0s' $(seq 120))=1
echo text >"$long"
tar --format=ustar -cf prefix.tar "$folder/file"
tar --format=gnu -cf link-gnu.tar link
tar --format=pax -cf link-pax.tar link
tar --format=pax -cf equals.tar "$long"
cat >run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { parseTar } from 'nanotar';
const [, , path, target, long] = process.argv;
const names = (file) => parseTar(readFileSync(file)).map((entry) => entry.name);
const expected = { 'prefix.tar': path, 'link-gnu.tar': 'link', 'link-pax.tar': 'link', 'equals.tar': long };
const known = { 'prefix.tar': 'file', 'link-gnu.tar': target, 'link-pax.tar': target, 'equals.tar': long.split('=')[0] };
console.log('nanotar 0.3.0');
let same = true;
for (const file of Object.keys(expected)) {
  const [name] = names(file);
  console.log(`  ${file}: listed ${name}\n    expected ${expected[file]}`);
  same &&= name.replace(/\0+$/, '') === known[file];
}
process.exit(same ? 0 : 1);
JS
node run.mjs "$folder/file" "$target" "$long"
