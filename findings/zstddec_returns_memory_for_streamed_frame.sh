#!/usr/bin/env bash
# npm zstddec 0.3.4: a zstd frame whose header does not tell the content's size (what `zstd` and every streaming writer make
# from a pipe) is answered with about 16 MB, almost all of them zeros, instead of its content; no error. With the size given
# by the caller, or in the header, the answer is right.
#
# Expected: RFC 8878 section 3.1.1.1.4: Frame_Content_Size is optional; a decoder that needs it has to refuse the frame.
# Why it matters: layers of type tar+zstd are compressed while they are written, so most of them have no size in the header. A
# digest taken of the answer, or a tar read from it ("empty archive"), is about something else than the layer.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts zstddec@0.3.4 fzstd@0.1.1
seq 1000 >content
zstd -q content -o sized.zst
zstd -q <content >streamed.zst
cat >run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { ZSTDDecoder } from 'zstddec';
import { decompress } from 'fzstd';
const decoder = new ZSTDDecoder();
await decoder.init();
const content = readFileSync('content');
const right = (bytes) => Buffer.compare(Buffer.from(bytes), content) === 0;
const sized = decoder.decode(readFileSync('sized.zst'));
const streamed = decoder.decode(readFileSync('streamed.zst'));
const told = decoder.decode(readFileSync('streamed.zst'), content.length);
console.log(`zstddec 0.3.4; content has ${content.length} bytes`);
console.log(`  size in the header: ${sized.length} bytes, right: ${right(sized)}`);
console.log(`  no size in the header: ${streamed.length} bytes, of them zero: ${streamed.filter((byte) => byte === 0).length}`);
console.log(`  no size in the header, size given by the caller: ${told.length} bytes, right: ${right(told)}`);
console.log(`  fzstd 0.1.1, no size in the header: right: ${right(decompress(readFileSync('streamed.zst')))}`);
process.exit(right(sized) && right(told) && streamed.length > 1e6 && !right(streamed.subarray(0, content.length)) ? 0 : 1);
JS
node run.mjs
