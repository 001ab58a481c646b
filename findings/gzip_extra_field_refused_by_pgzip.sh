#!/usr/bin/env bash
# PyPI pgzip 0.4.0 and mgzip 0.2.5 fail on gzip data whose header has an "extra field" of somebody else ("Error -3 while
# decompressing data: invalid block type"); they take the field for their own block index.
#
# Expected: RFC 1952 section 2.3.1.1: the extra field is a list of subfields with two letters each; a reader skips those that it
# does not know. Python's gzip, `gzip -dc` do.
# Why it matters: the footer of every eStargz layer is a member with the subfield "SG", and BGZF and other indexed writers put
# theirs in each member: valid layers of type tar+gzip, which these two parallel readers call damaged.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install pgzip==0.4.0 mgzip==0.2.5
cat >make.py <<'PY'
import gzip, struct
# stargz-snapshotter, docs/estargz.md, "eStargz Footer": 51 bytes, subfield "SG" with the offset of the table of contents.
footer = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", 26) + b"SG" + struct.pack("<H", 22)
footer += b"%016x" % 4096 + b"STARGZ" + b"\x01\x00\x00\xff\xff" + b"\0" * 8
assert len(footer) == 51
chunks = [gzip.compress(b"a" * 6000, mtime=0), gzip.compress(b"b" * 7000, mtime=0)]
open("stargz", "wb").write(b"".join(chunks) + footer)
PY
python3 make.py
echo "gzip -dc: $(gzip -dc <stargz | wc -c) bytes"
cat >run.py <<'PY'
import gzip, io, sys, zlib
import mgzip, pgzip
data = open("stargz", "rb").read()
def tried(way):
    try:
        return len(way(data))
    except zlib.error as error:
        return str(error)
got = {
    "python gzip": tried(gzip.decompress),
    "pgzip.open": tried(lambda d: pgzip.open(io.BytesIO(d), "rb").read()),
    "mgzip.open": tried(lambda d: mgzip.open(io.BytesIO(d), "rb").read()),
}
for name, answer in got.items():
    print(f"  {name}: {answer}")
same = got["python gzip"] == 13000
sys.exit(not (same and "Error -3" in str(got["pgzip.open"]) and "Error -3" in str(got["mgzip.open"])))
PY
venv/bin/python run.py
