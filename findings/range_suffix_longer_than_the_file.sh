#!/usr/bin/env bash
# npm range-parser 1.3.0 (under express and send) and header-range-parser 2.0.0: "the last 1000 bytes" of ten bytes is "unsatisfiable";
# send 1.2.1 answers 416. Python's httprange 1.0.0 and Go's net/http give all ten.
#
# Expected: RFC 9110 section 14.1.2: where the content is shorter than the suffix asked for, the whole of it is meant.
# Why it matters: who reads the end of a layer (the footer of estargz, the directory of a zip or zstd:chunked file) asks for a fixed
# number of bytes, without knowing the size. Of a small blob such a mirror says that nothing is there.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts range-parser@1.3.0 header-range-parser@2.0.0 send@1.2.1
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install httprange==1.0.0
printf 0123456789 >blob
cat >run.cjs <<'JS'
const http = require('node:http');
const rangeParser = require('range-parser'), { parseRange } = require('header-range-parser'), send = require('send');
const text = (ranges) => (Array.isArray(ranges) ? ranges.map((r) => `${r.start}-${r.end}`).join() : `error ${ranges}`);
const server = http.createServer((request, response) => send(request, '/blob', { root: __dirname }).pipe(response));
server.listen(0, '127.0.0.1', async () => {
  for (const last of [4, 1000]) {
    const range = `bytes=-${last}`;
    console.log(`${range} range-parser ${text(rangeParser(10, range))}`);
    console.log(`${range} header-range-parser ${text(parseRange(10, range))}`);
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/blob`, { headers: { Range: range } });
    console.log(`${range} send ${answer.status} ${answer.headers.get('content-range')}`);
  }
  server.close();
  server.closeAllConnections();
});
JS
node run.cjs >seen
cat >run.py <<'PY'
import httprange
for last in (4, 1000):
    print(f"bytes=-{last} httprange", *(f"{part.first}-{part.last}" for part in httprange.resolve_ranges(f"bytes=-{last}", 10)))
PY
venv/bin/python run.py >>seen
go mod init example/finding >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
)

func main() {
	for _, last := range []string{"bytes=-4", "bytes=-1000"} {
		request := httptest.NewRequest("GET", "/blob", nil)
		request.Header.Set("Range", last)
		answer := httptest.NewRecorder()
		http.ServeFile(answer, request, "blob")
		fmt.Println(last, "net/http", answer.Code, answer.Header().Get("Content-Range"))
	}
}
GO
go run . >>seen
echo "range-parser 1.3.0, header-range-parser 2.0.0, send 1.2.1, httprange 1.0.0, $(go env GOVERSION): of a blob of ten bytes"
cat seen
diff <(sort seen) - <<'SEEN'
bytes=-1000 header-range-parser error -1
bytes=-1000 httprange 0-9
bytes=-1000 net/http 206 bytes 0-9/10
bytes=-1000 range-parser error -1
bytes=-1000 send 416 bytes */10
bytes=-4 header-range-parser 6-9
bytes=-4 httprange 6-9
bytes=-4 net/http 206 bytes 6-9/10
bytes=-4 range-parser 6-9
bytes=-4 send 206 bytes 6-9/10
SEEN
