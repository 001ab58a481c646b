#!/usr/bin/env bash
# The last member of an eStargz layer is empty. npm fflate 0.8.3 gunzipSync and PyPI deflate 0.9.0 answer with 0 bytes for the
# whole layer, without an error: they make room for what the last four bytes of the file say (0, the size of the last member)
# and read the first member into it. Any two members give the first one, cut to the size of the last.
#
# Expected: RFC 1952 section 2.2: a gzip file is a series of members, and their contents are to be joined; section 2.3.1: ISIZE is
# the size of its own member alone. An error would do as well. fflate's own streaming class Gunzip is right.
# Why it matters: eStargz layers have media type tar+gzip and are valid for every client; a tool with one of these readers sees an
# empty layer, and finds nothing wrong in it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install deflate==0.9.0
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts fflate@0.8.3
cat >make.py <<'PY'
import gzip, struct
# stargz-snapshotter, docs/estargz.md, "eStargz Footer": 51 bytes, subfield "SG" with the offset of the table of contents.
footer = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", 26) + b"SG" + struct.pack("<H", 22)
footer += b"%016x" % 4096 + b"STARGZ" + b"\x01\x00\x00\xff\xff" + b"\0" * 8
assert len(footer) == 51
chunks = [gzip.compress(b"a" * 6000, mtime=0), gzip.compress(b"b" * 7000, mtime=0)]
open("stargz", "wb").write(b"".join(chunks) + footer)
open("two", "wb").write(gzip.compress(b"a" * 6000, mtime=0) + gzip.compress(b"b" * 70, mtime=0))
PY
python3 make.py
echo "gzip -dc: $(gzip -dc <stargz | wc -c) bytes"
cat >run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { gunzipSync as node } from 'node:zlib';
import { gunzipSync, Gunzip } from 'fflate';
const stargz = readFileSync('stargz'), two = readFileSync('two');
let streamed = 0;
new Gunzip((chunk) => { streamed += chunk.length; }).push(new Uint8Array(stargz), true);
const got = [node(stargz).length, gunzipSync(stargz).length, streamed, gunzipSync(two).length];
console.log(`  node zlib ${got[0]}; fflate gunzipSync ${got[1]}, fflate Gunzip ${got[2]}; two members of 6000 and 70 in gunzipSync ${got[3]}`);
process.exit(got.join() === '13000,0,13000,70' ? 0 : 1);
JS
node run.mjs
cat >run.py <<'PY'
import gzip, sys
import deflate
data = open("stargz", "rb").read()
got = {
    "python gzip": len(gzip.decompress(data)),
    "deflate.gzip_decompress": len(deflate.gzip_decompress(data)),
}
for name, answer in got.items():
    print(f"  {name}: {answer}")
same = got["python gzip"] == 13000 and got["deflate.gzip_decompress"] == 0
sys.exit(not same)
PY
venv/bin/python run.py
