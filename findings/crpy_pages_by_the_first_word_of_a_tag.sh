#!/usr/bin/env bash
# PyPI crpy 0.4.0, list_tags() on a registry that answers in pages: of the address in Link it takes the letters, digits and underscores
# behind "last=" (1 of 1.0), asks for the page after that, and so lists some tags twice; what comes behind the second page is left out;
# and where Link has no "n=" it stops after the first.
# And NAME@sha256:DIGEST is the repository "NAME@sha256" with the digest's letters as a tag.
#
# Expected: OCI distribution-spec, "Listing Tags": the next page is at the address in Link, whatever is in it; a tag may hold dots and
# dashes. The reference grammar of distribution: a digest stands behind "@", with its own colon.
# Why it matters: nearly every version has a dot. Clean-up by such a list keeps or deletes by wrong counts, and never sees the newest tags.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install crpy==0.4.0
cat >server.py <<'PY'
# A registry of pages of three tags. Of the repository "plain" the address of the next page has no "n".
import http.server, json
from urllib.parse import parse_qs, urlsplit
tags = ["0.8", "0.9", "1.0", "1.1", "2.0", "2.1", "3.0"]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        asked = urlsplit(self.path)
        last = parse_qs(asked.query).get("last", [""])[0]
        page = [tag for tag in tags if tag > last][:3]
        body = json.dumps({"name": "app", "tags": page}).encode()
        self.send_response(200)
        if page and page[-1] != tags[-1]:
            more = "" if "/plain/" in asked.path else "&n=3"
            self.send_header("Link", f'<{asked.path}?last={page[-1]}{more}>; rel="next"')
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
cat >run.py <<'PY'
import asyncio
import sys
from crpy.registry import RegistryInfo
async def main():
    for name in ("app", "plain"):
        info = RegistryInfo.from_url(f"http://127.0.0.1:{sys.argv[1]}/{name}")
        print(f"{name}:", *await asyncio.wait_for(info.list_tags(), 20))
    info = RegistryInfo.from_url("registry.example/team/app@sha256:" + "ab" * 32)
    print("reference:", info.repository, info.tag[:6])
asyncio.run(main())
PY
HOME=$work venv/bin/python run.py "$(cat port)" >seen
echo "crpy 0.4.0, tags 0.8 0.9 1.0 1.1 2.0 2.1 3.0"
cat seen
diff seen - <<'SEEN'
app: 0.8 0.9 1.0 1.0 1.1 2.0
plain: 0.8 0.9 1.0
reference: team/app@sha256 ababab
SEEN
