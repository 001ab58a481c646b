#!/usr/bin/env bash
# A file with holes, archived by GNU tar --sparse in the pax format (its default there, sparse version 1.0): npm tar 7.5.23,
# tar-stream 3.2.2, modern-tar 0.8.6, tar-iterator 3.3.11 and PyPI fastar 0.12.0 give another file: its name is "GNUSparseFile.PID/disk",
# its content the map in digits and then the parts without the holes. In the gnu format npm tar leaves the file out, and the
# other three of npm but tar-iterator give the parts only. None of them says anything.
#
# Expected: GNU tar manual, "Sparse Formats": GNU.sparse.name and GNU.sparse.realsize are the name and the size, the map says where the parts
# lie; a reader that does not know them can at most refuse. Python's tarfile and GNU tar give the file back in all forms.
# Why it matters: databases, disk images and core files are sparse, and `tar -S` is what people use for them; a layer made from such an
# archive has a broken file under a name nobody asked for, and all digests agree.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts tar@7.5.23 tar-stream@3.2.2 modern-tar@0.8.6 tar-iterator@3.3.11
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install fastar==0.12.0
printf 'start' >disk
printf 'end' | dd of=disk bs=1 seek=1000000 conv=notrunc status=none
truncate -s 2000000 disk
tar --format=pax --sparse -cf pax.tar disk
tar --format=gnu --sparse -cf gnu.tar disk
cat >run.mjs <<'JS'
import { createReadStream, mkdtempSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { Parser } from 'tar';
import tarStream from 'tar-stream';
import { unpackTar } from 'modern-tar';
import TarIterator from 'tar-iterator';
const size = async (stream) => { let bytes = 0; for await (const part of stream) bytes += part.length; return bytes; };
for (const format of ['pax', 'gnu']) {
  const show = (library, found) => console.log(`${format} ${library}: ${found.map(([name, bytes]) => `${name.replace(/\d+/, 'PID')} ${bytes}`).join(', ') || 'nothing'}`);
  let found = [];
  const parser = new Parser();
  parser.on('entry', (entry) => found.push(size(entry).then((bytes) => [entry.path, bytes])));
  parser.end(readFileSync(`${format}.tar`));
  show('tar', await Promise.all(found));
  found = [];
  await new Promise((done) => createReadStream(`${format}.tar`).pipe(tarStream.extract()
    .on('entry', (header, stream, next) => size(stream).then((bytes) => { found.push([header.name, bytes]); next(); })).on('finish', done)));
  show('tar-stream', found);
  show('modern-tar', (await unpackTar(readFileSync(`${format}.tar`))).map(({ header, data }) => [header.name, data.length]));
  found = [];
  for await (const entry of new TarIterator(createReadStream(`${format}.tar`))) {
    const folder = mkdtempSync('iterator-');
    await entry.create(folder);
    found.push([entry.path, statSync(`${folder}/${entry.path}`).size]);
  }
  show('tar-iterator', found);
}
JS
node run.mjs >seen
cat >run.py <<'PY'
import os, re, tarfile, fastar
for kind in ("pax", "gnu"):
    with fastar.open(kind + ".tar", "r") as archive:
        archive.unpack("out-" + kind)
    for folder, _, names in os.walk("out-" + kind):
        for name in names:
            path = os.path.join(folder, name)
            print(kind, "fastar:", re.sub(r"\d+", "PID", os.path.relpath(path, "out-" + kind)), os.path.getsize(path))
    member = next(iter(tarfile.open(kind + ".tar")))
    print(kind, "tarfile:", member.name, len(tarfile.open(kind + ".tar").extractfile(member).read()))
PY
venv/bin/python run.py >>seen
cat seen
diff seen - <<'SEEN'
pax tar: ./GNUSparseFile.PID/disk 8704
pax tar-stream: ./GNUSparseFile.PID/disk 8704
pax modern-tar: ./GNUSparseFile.PID/disk 8704
pax tar-iterator: ./GNUSparseFile.PID/disk 8704
gnu tar: nothing
gnu tar-stream: disk 8192
gnu modern-tar: disk 8192
gnu tar-iterator: disk 2000000
pax fastar: GNUSparseFile.PID/disk 8704
pax tarfile: disk 2000000
gnu fastar: disk 2000000
gnu tarfile: disk 2000000
SEEN
