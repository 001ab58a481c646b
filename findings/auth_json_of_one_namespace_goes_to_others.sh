#!/usr/bin/env bash
# crane 0.22.1 and oras 1.3.6, given an auth.json of podman whose keys are namespaces of a registry: both cut each key down to the host.
# The password of HOST/other is sent for HOST/team/app; and where there is an entry for HOST too, it is taken instead of HOST/team.
# Debian's skopeo 1.9.3 sends the password of HOST/team, and none where only HOST/other has one.
#
# Expected: containers-auth.json(5): a key is a registry or a namespace in it, and the most specific one that covers the image is used:
# of HOST/team/app first HOST/team/app, then HOST/team, then HOST.
# Why it matters: registries with robot accounts by project (Quay, Harbor) are used so. `podman login HOST/team` writes such a file, crane
# looks for it by name, and then pulls with another project's account: 401 or 403, with the right password in the file.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go install oras.land/oras/cmd/oras@v1.3.6
apt-get download -qq skopeo=1.9.3+ds1-1+b10
dpkg -x skopeo_*.deb root
cat >server.py <<'PY'
# A registry that asks for a password, takes any, and writes what it got for the list of tags to user.txt.
import base64, http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        sent = self.headers.get("Authorization", "")
        if "/tags/list" in self.path:
            open("user.txt", "w").write(base64.b64decode(sent[6:]).decode().split(":")[0] or "none")
        body = b'{"name": "team/app", "tags": ["1"]}'
        self.send_response(200 if sent else 401)
        for key, value in {"WWW-Authenticate": 'Basic realm="r"', "Content-Type": "application/json", "Content-Length": len(body)}.items():
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
export HOME=$work/home REGISTRY_AUTH_FILE=$work/auth.json
mkdir home
# Writes an auth.json with the keys HOST$1 ..., each with a user of that name, and prints whom each client is for HOST/team/app.
ask() {
  python3 -c '
import base64, json, sys
host, *keys = sys.argv[1:]
user = lambda key: {"auth": base64.b64encode(f"{key or host}:secret".encode()).decode()}
json.dump({"auths": {host + key: user(key) for key in keys}}, sys.stdout)' "$host" "$@" >auth.json
  local seen=
  for client in 'root/usr/bin/skopeo list-tags --tls-verify=false docker://' 'bin/crane ls ' 'bin/oras repo tags --plain-http --registry-config auth.json '; do
    echo none >user.txt
    # shellcheck disable=SC2086
    ${client% *} ${client##* }"$host/team/app" >/dev/null 2>&1 || true
    seen="$seen $(cut -d: -f1 user.txt)"
  done
  echo "$*:$seen"
}
echo "keys of auth.json beside the host: user by skopeo 1.9.3, crane 0.22.1, oras 1.3.6"
{ ask /other; ask /team ''; } >seen
cat seen
diff seen - <<'SEEN'
/other: none /other /other
/team : /team 127.0.0.1 127.0.0.1
SEEN
