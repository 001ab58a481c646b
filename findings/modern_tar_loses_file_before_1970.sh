#!/usr/bin/env bash
# npm modern-tar 0.8.6: in an archive that `tar --format=gnu` made, a file with a modification time before 1970 is not
# listed; its content is taken for the next header, so that the first line of the file becomes the name of an entry.
# There is no error.
#
# Expected: GNU tar manual, "Extensions to tar format" (base-256 numbers): the number is in two's complement, negative ones
# begin with byte 0xff. The same file in the pax format, and the same archive in npm tar-stream 3.2.2, are right.
# Why it matters: GNU tar writes this for real (clock at 0 minus a time zone, SOURCE_DATE_EPOCH=-1), and a layer's list of files
# is the base of everything else said about it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts modern-tar@0.8.6 tar-stream@3.2.2
echo 'first line of old' >old
touch -d '1969-12-31 23:59:50 UTC' old
echo 'content of new' >new
tar --format=gnu -cf gnu.tar old new
tar --format=pax -cf pax.tar old new
cat >run.mjs <<'JS'
import { readFileSync, createReadStream } from 'node:fs';
import { unpackTar } from 'modern-tar';
import tarStream from 'tar-stream';
const modern = async (file) => (await unpackTar(readFileSync(file))).map((entry) => entry.header.name);
const other = (file) => new Promise((done, fail) => {
  const names = [], extract = tarStream.extract();
  extract.on('entry', (header, stream, next) => { names.push(header.name); stream.on('end', next).resume(); });
  extract.on('finish', () => done(names)).on('error', fail);
  createReadStream(file).pipe(extract);
});
const seen = { gnu: await modern('gnu.tar'), pax: await modern('pax.tar'), tarStream: await other('gnu.tar') };
console.log('modern-tar 0.8.6');
console.log('  gnu archive:', JSON.stringify(seen.gnu), ' pax archive:', JSON.stringify(seen.pax));
console.log('  gnu archive in tar-stream 3.2.2:', JSON.stringify(seen.tarStream));
const right = '["old","new"]';
const same = JSON.stringify(seen.gnu) === '["first line of old\\n","new"]' && JSON.stringify(seen.pax) === right
  && JSON.stringify(seen.tarStream) === right;
process.exit(same ? 0 : 1);
JS
node run.mjs
