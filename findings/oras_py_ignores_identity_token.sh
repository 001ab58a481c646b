#!/usr/bin/env bash
# PyPI oras 0.2.43: of a login that is stored as an identity token (what `az acr login` and `docker login` to registries with OAuth
# write), it sends the user name with an EMPTY password by Basic and never the token. The pull ends as "not authorized".
#
# Expected: distribution "Token Authentication / OAuth2": an identity token is a refresh token; it is exchanged by
# POST grant_type=refresh_token. docker's config.json: "identitytoken" stands beside an "auth" that holds "USER:" only.
# Why it matters: it looks like a missing right; people then store a password where a short-lived token was. Go crane 0.22.1 with
# the same file is shown for comparison. The server is ours, at 127.0.0.1, and gives nothing but tokens.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install oras==0.2.43
GOBIN=$work/bin go install github.com/google/go-containerregistry/cmd/crane@v0.22.1 2>/dev/null
cat >server.py <<'PY'
import base64, http.server, json, urllib.parse

class Registry(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        given = self.headers.get("Authorization", "")
        if self.path.startswith("/token"):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            form = {k: v[0] for k, v in urllib.parse.parse_qs(body).items()}
            basic = base64.b64decode(given[6:]).decode() if given.startswith("Basic ") else ""
            note = f"{self.command} basic={basic} grant_type={form.get('grant_type', '')} refresh_token={form.get('refresh_token', '')}"
            open("asked", "a").write(note + "\n")
            if form.get("refresh_token") == "the-token":
                return self.answer(200, json.dumps({"access_token": "yes", "token": "yes"}).encode(), Content_Type="application/json")
            return self.answer(401, b"{}", Content_Type="application/json")
        if given == "Bearer yes":
            return self.answer(200, json.dumps({"name": "app", "tags": ["1"]}).encode(), Content_Type="application/json")
        realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="test",scope="repository:app:pull"'
        self.answer(401, b"{}", WWW_Authenticate=realm, Content_Type="application/json")

    do_POST = do_HEAD = do_GET

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
open("port.new", "w").write(str(server.server_address[1]))
__import__("os").rename("port.new", "port")
server.serve_forever()
PY
python3 server.py &
server=$!
for _ in $(seq 50); do [ -e port ] && break; sleep 0.1; done
host=127.0.0.1:$(cat port)
mkdir docker
user=00000000-0000-0000-0000-000000000000
printf '{"auths": {"%s": {"auth": "%s", "identitytoken": "the-token"}}}' "$host" "$(printf '%s:' $user | base64 -w0)" >docker/config.json
export DOCKER_CONFIG=$work/docker HOME=$work

: >asked
bin/crane ls --insecure "$host/app" >crane.txt 2>&1 && crane=0 || crane=$?
cp asked crane.asked
echo "crane v0.22.1: exit $crane, tags $(tr '\n' ' ' <crane.txt)"
sed 's/^/  token asked: /' crane.asked

: >asked
cat >run.py <<'PY'
import sys, time
import oras.client
time.sleep = lambda seconds: None  # it repeats a refused token request after 3, 5, 11 and 29 s
client = oras.client.OrasClient(insecure=True, tls_verify=False)
host = sys.argv[1]
try:
    client.auth.load_configs(client.get_container(f"{host}/app:1"), configs=[sys.argv[2]])
    print("tags", client.get_tags(f"{host}/app:1"))
except Exception as error:
    print("error:", str(error).splitlines()[0][:120])
PY
venv/bin/python run.py "$host" docker/config.json >oras.txt 2>&1 || true
echo "oras 0.2.43: $(tail -1 oras.txt)"
sort -u asked | sed 's/^/  token asked: /'
[ "$crane" = 0 ] && grep -q 'refresh_token=the-token' crane.asked
grep -q "basic=$user: " asked && ! grep -q 'the-token' asked && ! grep -q '^tags' oras.txt
