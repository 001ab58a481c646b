#!/usr/bin/env bash
# Listing tags where the answer has a Link that is not "next": crane 0.22.1, oras 1.3.6 and Debian's skopeo 1.9.3 follow the first Link of
# the first Link field, whatever its rel says, and count what is there as tags; regctl 0.11.7 goes by rel. But regctl does not see
# "next" among two relations (rel="last next"), nor behind REL.
#
# Expected: RFC 8288 section 3: a field may hold several links, and there may be several fields; section 3.3: the relation is what rel says,
# which is a list parted by blanks; a parameter's name is the same in capitals. OCI distribution-spec, "Listing Tags": the Link is as in
# RFC 5988, with rel="next".
# Why it matters: gateways and API platforms add links of their own (rel="help", "service-doc", "deprecation") to every answer. The next
# page is then lost without an error, or a list of something else is taken for tags.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOBIN=$work/bin DOCKER_CONFIG=$work REGCTL_CONFIG=$work/regctl.json
go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
go install oras.land/oras/cmd/oras@v1.3.6
go install github.com/regclient/regclient/cmd/regctl@v0.11.7
apt-get download -qq skopeo=1.9.3+ds1-1+b10
dpkg -x skopeo_*.deb root
cat >server.py <<'PY'
# A registry of tags in two pages, "1 2" and "3 4". Each repository has its own form of Link; the page "about" is no list of its tags.
import http.server, json
about, following = "</v2/{}/tags/list?page=about>", "</v2/{}/tags/list?page=2>"
links = {"plain": [following + '; rel="next"'], "help": [about + '; rel="help", ' + following + '; rel="next"'],
    "fields": [about + '; rel="help"', following + '; rel="next"'], "last": [following + '; rel="last next"'], "capitals": [following + '; REL="next"']}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        repository = (self.path.split("/") + ["", ""])[2]
        page = self.path.partition("page=")[2]
        tags = {"2": ["3", "4"], "about": ["about"]}.get(page, ["1", "2"])
        body = json.dumps({"name": repository, "tags": tags}).encode()
        self.send_response(200)
        for link in [] if page else links.get(repository, []):
            self.send_header("Link", link.format(repository, repository))
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
host=127.0.0.1:$(cat port)
bin/regctl registry set --skip-check --tls disabled "$host"
for repository in plain help fields last capitals; do
  skopeo=$(root/usr/bin/skopeo list-tags --tls-verify=false "docker://$host/$repository" |
    python3 -c 'import json, sys; print(*json.load(sys.stdin)["Tags"])')
  echo "$repository: crane" "$(bin/crane ls "$host/$repository" | xargs)," oras "$(bin/oras repo tags --plain-http "$host/$repository" | xargs)," \
    skopeo "$skopeo," regctl "$(bin/regctl tag ls "$host/$repository" | xargs)"
done >seen
echo "crane 0.22.1, oras 1.3.6, skopeo 1.9.3, regctl 0.11.7, of the tags 1 2 3 4"
cat seen
diff seen - <<'SEEN'
plain: crane 1 2 3 4, oras 1 2 3 4, skopeo 1 2 3 4, regctl 1 2 3 4
help: crane 1 2 about, oras 1 2 about, skopeo 1 2 about, regctl 1 2 3 4
fields: crane 1 2 about, oras 1 2 about, skopeo 1 2 about, regctl 1 2 3 4
last: crane 1 2 3 4, oras 1 2 3 4, skopeo 1 2 3 4, regctl 1 2
capitals: crane 1 2 3 4, oras 1 2 3 4, skopeo 1 2 3 4, regctl 1 2
SEEN
