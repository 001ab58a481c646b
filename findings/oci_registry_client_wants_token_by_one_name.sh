#!/usr/bin/env bash
# npm oci-registry-client 0.2.0, at a registry whose token server answers {"access_token": "..."}: it ends with "did not include a token" over
# an answer that has one. With {"token": "..."} it lists the tags. PyPI crpy 0.4.0 reads both.
#
# Expected: distribution's token specification ("Token Response Fields"): token and access_token are two names for one thing, and at least
# one of them is there; RFC 6749 section 5.1 knows access_token only.
# Why it matters: Azure Container Registry, and what is built on an OAuth 2 server, answer with access_token alone.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts oci-registry-client@0.2.0
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install crpy==0.4.0
cat >server.py <<'PY'
# A registry with the repositories team/token and team/access_token, each with a token under its own name.
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        host, status = self.headers["Host"], 200
        if self.path.startswith("/token"):
            answer = {"access_token" if "access_token" in self.path else "token": "ticket"}
        elif self.headers.get("Authorization") == "Bearer ticket":
            answer = {"name": "app", "tags": ["1.0"]}
        else:
            answer, status = {"errors": [{"code": "UNAUTHORIZED", "message": "log in"}]}, 401
        name = "access_token" if "access_token" in self.path else "token"
        body = json.dumps(answer).encode()
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", f'Bearer realm="http://{host}/token",service="registry",scope="repository:team/{name}:pull"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
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
cat >run.cjs <<'JS'
const { RegistryClientV2 } = require('oci-registry-client');
(async () => {
  for (const name of ['token', 'access_token']) {
    const client = new RegistryClientV2({ name: `http://127.0.0.1:${process.argv[2]}/team/${name}`, insecure: true });
    const word = await client.listTags().then((found) => found.tags.join(), (error) => error.message);
    console.log(`${name}: oci-registry-client ${word}`);
  }
})();
JS
node run.cjs "$(cat port)" 2>/dev/null >seen
cat >run.py <<'PY'
import asyncio
import sys
from crpy.registry import RegistryInfo
for name in ("token", "access_token"):
    found = asyncio.run(RegistryInfo.from_url(f"http://127.0.0.1:{sys.argv[1]}/team/{name}").list_tags())
    print(f"{name}: crpy", *found)
PY
HOME=$work venv/bin/python run.py "$(cat port)" 2>/dev/null | grep crpy >>seen
echo "oci-registry-client 0.2.0, crpy 0.4.0"
cat seen
diff seen - <<'SEEN'
token: oci-registry-client 1.0
access_token: oci-registry-client authorization server did not include a token in the response
{"access_token": "ticket"}
token: crpy 1.0
access_token: crpy 1.0
SEEN
