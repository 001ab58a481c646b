#!/usr/bin/env bash
# One zstd stream of two frames, content "first..." and "second...", in libraries that read such streams whole elsewhere:
#  - PyPI zstd 1.5.7.2 gives both frames when the first tells its size, and only the first, without an error, when it does not;
#  - PyPI zstandard 0.23.0 gives both by copy_stream and stream_reader().read(), and the first alone by read_to_iter and
#    stream_reader().read(n); with a skippable frame in front, read_to_iter gives nothing at all;
#  - npm zstd-codec 0.1.5 gives null from Simple.decompress and both frames from Streaming.decompress;
#  - npm @bokuweb/zstd-wasm 0.0.27 throws "Failed to compress with code -70" while it decompresses, unless no size is told.
#
# Expected: RFC 8878 section 3: data is one or more frames, independent of each other, and decompressing gives the
# concatenation of their contents; skippable frames (3.1.2) are skipped. `zstd -dc` does so.
# Why it matters: zstd:chunked layers are many frames with skippable ones; parallel compressors write several. A reader that
# stops after the first finds a valid, shorter tar and calls the layer intact.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install zstd==1.5.7.2 zstandard==0.23.0
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts zstd-codec@0.1.5 @bokuweb/zstd-wasm@0.0.27
printf 'first %.0s' $(seq 1000) >a
printf 'second %.0s' $(seq 1000) >b
zstd -q a -o a.zst
zstd -q b -o b.zst
cat a.zst b.zst >sized
(zstd -q <a && zstd -q <b) >streamed
(printf '\x50\x2a\x4d\x18\x04\x00\x00\x00skip' && cat a.zst) >skipfirst
for file in sized streamed skipfirst; do echo "zstd -dc $file: $(zstd -q -dc <$file | wc -c) bytes"; done

cat >run.py <<'PY'
import io, sys
import zstandard, zstd

def copied(data):
    out = io.BytesIO()
    zstandard.ZstdDecompressor().copy_stream(io.BytesIO(data), out)
    return out.getvalue()

ways = {
    "zstd.decompress": zstd.decompress,
    "zstandard copy_stream": copied,
    "zstandard stream_reader().read()": lambda d: zstandard.ZstdDecompressor().stream_reader(io.BytesIO(d)).read(),
    "zstandard stream_reader().read(99999)": lambda d: zstandard.ZstdDecompressor().stream_reader(io.BytesIO(d)).read(99999),
    "zstandard read_to_iter": lambda d: b"".join(zstandard.ZstdDecompressor().read_to_iter(io.BytesIO(d))),
}
known = {
    "zstd.decompress": [13000, 6000, 6000],
    "zstandard copy_stream": [13000, 13000, 6000],
    "zstandard stream_reader().read()": [13000, 13000, 6000],
    "zstandard stream_reader().read(99999)": [6000, 6000, None],
    "zstandard read_to_iter": [6000, 6000, 0],
}
same = True
for name, way in ways.items():
    got = [len(way(open(file, "rb").read())) for file in ("sized", "streamed", "skipfirst")]
    print(f"  {name}: sized {got[0]}, streamed {got[1]}, skipfirst {got[2]}")
    same &= all(k is None or k == g for k, g in zip(known[name], got))
sys.exit(not same)
PY
venv/bin/python run.py
cat >run.cjs <<'JS'
const { readFileSync } = require('fs');
const { ZstdCodec } = require('zstd-codec');
const wasm = require('@bokuweb/zstd-wasm');
const read = (file) => new Uint8Array(readFileSync(file));
ZstdCodec.run(async (zstd) => {
  const simple = new zstd.Simple().decompress(read('sized'));
  const streaming = new zstd.Streaming().decompress(read('sized'));
  await wasm.init();
  let error;
  try { wasm.decompress(read('sized')); } catch (e) { error = e.message; }
  const unsized = wasm.decompress(read('streamed')).length;
  console.log(`  zstd-codec 0.1.5: Simple ${simple}, Streaming ${streaming.length}`);
  console.log(`  @bokuweb/zstd-wasm 0.0.27: sized "${error}", streamed ${unsized}`);
  process.exit(simple === null && streaming.length === 13000 && /compress with code -70/.test(error) && unsized === 13000 ? 0 : 1);
});
JS
node run.cjs
