#!/usr/bin/env bash
# npm tar-stream 3.2.2: the owner that a pax header gives is not applied. A file of user 3000000 (too large for the octal field,
# which GNU tar then fills with 0) is reported with uid 0, that of root; the time of the entry is likewise the one of the field.
# @remix-run/tar-parser 0.7.1 and it-tar 6.0.6 do the same. The values are there in header.pax.
#
# Expected: POSIX pax, "pax Extended Header": uid, gid and mtime "override" the fields of the following header; tar-stream does
# so for path, linkpath and size.
# Why it matters: user namespaces and domain accounts have such ids. Whoever checks "which setuid files in this layer belong to
# root" gets files that do not, and a layer that is repacked through the library changes hands.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts tar-stream@3.2.2 @remix-run/tar-parser@0.7.1 it-tar@6.0.6 tar@7.5.23
echo text >file
for format in pax gnu; do tar --format=$format --owner=someone:3000000 --group=someone:3000001 --mtime=@1700000000 -cf $format.tar file; done
echo "tar -tv: $(tar --numeric-owner -tvf pax.tar)"
cat >run.mjs <<'JS'
import { createReadStream, readFileSync } from 'node:fs';
import tarStream from 'tar-stream';
import { parseTar } from '@remix-run/tar-parser';
import { extract } from 'it-tar';
import { list } from 'tar';
const stream = (file) => new Promise((done) => createReadStream(file).pipe(tarStream.extract().on('entry', (header) => done(header))));
const seen = {};
for (const format of ['pax', 'gnu']) {
  const header = await stream(`${format}.tar`), ids = { 'tar-stream': header.uid };
  if (format === 'pax') console.log('  tar-stream 3.2.2, header.pax:', JSON.stringify(header.pax));
  await parseTar(new Blob([readFileSync(`${format}.tar`)]).stream(), (entry) => { ids.remix = entry.header.uid; });
  for await (const entry of extract()([readFileSync(`${format}.tar`)])) { ids['it-tar'] = entry.header.uid; for await (const _ of entry.body); }
  list({ file: `${format}.tar`, sync: true, onReadEntry: (entry) => { ids.tar = entry.uid; } });
  console.log(`  ${format} archive:`, JSON.stringify(ids));
  seen[format] = Object.values(ids).join();
}
process.exit(seen.pax === '0,0,0,3000000' && seen.gnu === '3000000,3000000,3000000,3000000' ? 0 : 1);
JS
node run.mjs
