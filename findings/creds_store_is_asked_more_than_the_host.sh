#!/usr/bin/env bash
# A docker configuration with "credsStore" and a helper that knows one registry, and refuses the rest in words of its own:
#  - crane 0.22.1 asks the helper for HOST/team/app first, takes its refusal for a failure, and ends;
#  - regctl 0.11.7 asks for a list instead of the registry, gets none, and goes without a password: 401.
# oras 1.3.6 and PyPI docker 7.2.0 ask for HOST and get the password. Named in "credHelpers" the same helper serves all four.
#
# Expected: docker's manual of `docker login`, "Credential helper protocol": the actions are store, get and erase (no list); get is sent
# the registry's address; an answer is refused by a status other than 0 and a message. No words for it are laid down there.
# Why it matters: helpers for one cloud are written so, and are put in "credsStore" on build machines, since docker is content with it.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin DOCKER_CONFIG=$work REGCTL_CONFIG=$work/regctl.json
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go install oras.land/oras/cmd/oras@v1.3.6
go install github.com/regclient/regclient/cmd/regctl@v0.11.7
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install docker==7.2.0
cat >server.py <<'PY'
# A registry that asks for a password, and takes any.
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b'{"name": "team/app", "tags": ["1"]}'
        self.send_response(200 if "Authorization" in self.headers else 401)
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
cat >bin/docker-credential-one <<HELPER
#!/bin/sh
asked=
[ "\$1" = list ] || asked=\$(cat)
echo "\$1 \$asked" >>"$work/asked.txt"
[ "\$1" = get ] && [ "\$asked" = "$host" ] && echo '{"ServerURL": "$host", "Username": "user", "Secret": "secret"}' && exit 0
echo "this helper is for $host"
exit 1
HELPER
chmod +x bin/docker-credential-one
export PATH=$work/bin:$PATH
bin/regctl registry set --skip-check --tls disabled "$host"
cat >docker_py.py <<'PY'
import sys
import docker.auth
sys.exit(docker.auth.load_config().resolve_authconfig(sys.argv[1])["Username"] != "user")
PY
# Runs a client ($2...) under the name $1, and prints whether it did its work and what the helper was asked.
client() {
  local name=$1 word=works
  shift
  : >asked.txt
  "$@" >out.txt 2>&1 || word=fails
  echo "$setting $name $word; asked: $(sed "s/$host/HOST/" asked.txt | tr '\n' ';')"
}
for setting in credsStore credHelpers; do
  [ "$setting" = credsStore ] && value='"one"' || value="{\"$host\": \"one\"}"
  echo "{\"$setting\": $value}" >config.json
  client crane bin/crane ls "$host/team/app"
  client regctl bin/regctl tag ls "$host/team/app"
  client oras bin/oras repo tags --plain-http "$host/team/app"
  client docker-py venv/bin/python docker_py.py "$host"
done >seen
echo "crane 0.22.1, regctl 0.11.7, oras 1.3.6, docker (PyPI) 7.2.0"
cat seen
cut -d';' -f1 seen | diff - <(printf '%s\n' 'credsStore crane fails' 'credsStore regctl fails' 'credsStore oras works' \
  'credsStore docker-py works' 'credHelpers crane works' 'credHelpers regctl works' 'credHelpers oras works' 'credHelpers docker-py works')
