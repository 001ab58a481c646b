#!/usr/bin/env bash
# oras 1.3.6, regctl 0.11.7 and npm @vercel/fetch-retry 5.1.3, answered 429 with Retry-After: in seconds, they wait; as a date six
# seconds ahead, they ask again within one second. And oras cuts what it is told in seconds to three: of six it waits three.
#
# Expected: RFC 9110 section 10.2.3: the value is a date (of section 5.6.7) or a number of seconds, with one meaning.
# Why it matters: gateways in front of a registry (a web firewall, a maintenance page) answer with a date, and registries that count
# requests per minute name up to 60 seconds. A copy of many images then spends its few tries within a second or a few, and fails.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin DOCKER_CONFIG=$work REGCTL_CONFIG=$work/regctl.json
go install oras.land/oras/cmd/oras@v1.3.6
go install github.com/regclient/regclient/cmd/regctl@v0.11.7
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @vercel/fetch-retry@5.1.3 node-fetch@2.7.0
cat >server.py <<'PY'
# The first request for /v2/FORM/CLIENT/... is answered 429, the second with tags; the seconds between the two go to seen.txt.
import email.utils, http.server, time
first = {}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        now, path = time.time(), self.path.split("?")[0]
        form, client = (path.split("/") + ["", ""])[2:4]
        body, status, more = b'{"name": "a", "tags": ["1"]}', 200, {}
        if client and path not in first:
            first[path] = now
            body, status = b"", 429
            more = {"Retry-After": "6" if form == "seconds" else email.utils.formatdate(now + 6, usegmt=True)}
        elif client:
            with open("seen.txt", "a") as out:
                print(client, form, "%.1f" % (now - first[path]), file=out)
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": len(body), **more}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open("port", "w").write(str(server.server_port))
server.serve_forever()
PY
python3 server.py 2>server.log &
server=$!
for _ in $(seq 50); do [ -s port ] && break; sleep 0.1; done
host=127.0.0.1:$(cat port)
bin/regctl registry set --skip-check --tls disabled "$host"
cat >run.cjs <<'JS'
const fetch = require('@vercel/fetch-retry')(require('node-fetch'));
fetch(process.argv[2]).then((answer) => answer.text());
JS
clients=()
for form in seconds date; do
  bin/oras repo tags --plain-http "$host/$form/oras" >/dev/null & clients+=($!)
  bin/regctl tag ls "$host/$form/regctl" >/dev/null & clients+=($!)
  node run.cjs "http://$host/v2/$form/fetch-retry" & clients+=($!)
done
wait "${clients[@]}"
echo "oras 1.3.6, regctl 0.11.7, @vercel/fetch-retry 5.1.3: told to wait six seconds, they came back after"
sort seen.txt
awk '{ if ($2 == "date") right = $3 < 2; else if ($1 == "oras") right = $3 >= 2 && $3 < 4.5; else right = $3 >= 5.5
       if (right) count++ } END { exit count != 6 || NR != 6 }' seen.txt
