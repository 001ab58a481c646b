#!/usr/bin/env bash
# PyPI docker 7.2.0, a config.json as docker reads it: of an entry with "username" and "password" instead of "auth" it takes nothing, and goes
# without a login; and one entry with "auth": "" (also beside a user and password) ends with ValueError, for each registry in the file.
# Docker's own reader, Go github.com/docker/cli v29.9.3, finds the user in all of them.
#
# Expected: docker/cli's reader (config/configfile, LoadFromReader): "auth" is decoded where it is not empty; else username and password
# are taken as they are. Kubernetes' manual writes secrets for pulls with all of username, password and auth.
# Why it matters: secrets made by hand or by a template engine leave "auth" away or empty. docker pulls with them, and a tool in Python on
# the same machine is anonymous, or fails for registries that have a right entry.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install docker==7.2.0
cat >make.py <<'PY'
import base64, json, os
auth = {"auth": base64.b64encode(b"user:secret").decode()}
plain = {"username": "user", "password": "secret"}
for name, entries in {"auth": {"registry.example": auth}, "plain": {"registry.example": plain}, "both": {"registry.example": plain | auth},
        "plain, auth empty": {"registry.example": plain | {"auth": ""}},
        "another one's auth empty": {"other.example": {"auth": ""}, "registry.example": auth}}.items():
    os.makedirs("configs/" + name)
    json.dump({"auths": entries}, open(f"configs/{name}/config.json", "w"))
PY
python3 make.py
cat >run.py <<'PY'
import os
import docker.auth
for name in sorted(os.listdir("configs")):
    try:
        found = docker.auth.load_config(f"configs/{name}/config.json").resolve_authconfig("registry.example")
        word = found.get("username", "nobody")
    except ValueError:
        word = "ValueError"
    print(f"{name}: docker (Python) {word}")
PY
venv/bin/python run.py >seen
go mod init example/finding >/dev/null 2>&1
go get github.com/docker/cli@v29.9.3+incompatible >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/docker/cli/cli/config"
)

func main() {
	folders, err := os.ReadDir("configs")
	if err != nil {
		panic(err)
	}
	for _, folder := range folders {
		file, err := config.Load("configs/" + folder.Name())
		if err != nil {
			panic(err)
		}
		found, err := file.GetAuthConfig("registry.example")
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: docker/cli (Go) %s\n", folder.Name(), found.Username)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . >>seen
LC_ALL=C sort -o seen seen
echo "docker (PyPI) 7.2.0, github.com/docker/cli v29.9.3: the user by what the entry has"
cat seen
diff seen - <<'SEEN'
another one's auth empty: docker (Python) ValueError
another one's auth empty: docker/cli (Go) user
auth: docker (Python) user
auth: docker/cli (Go) user
both: docker (Python) user
both: docker/cli (Go) user
plain, auth empty: docker (Python) ValueError
plain, auth empty: docker/cli (Go) user
plain: docker (Python) nobody
plain: docker/cli (Go) user
SEEN
