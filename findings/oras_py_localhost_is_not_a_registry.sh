#!/usr/bin/env bash
# PyPI oras 0.2.43: "localhost/team/app:1" is the repository localhost/team/app of the default public registry, and
# "localhost:5000/..." is the registry localhost:5000.
#
# Expected: distribution `reference/normalize.go`: the first component is a domain when it holds a dot or a colon, or when it IS
# "localhost". Go reference v0.6.0, which docker and podman use, says so.
# Why it matters: a push to a registry at port 80 or 443 of this machine, or of podman's local names, goes out to a public one,
# with whatever credentials are stored for it.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install oras==0.2.43
go mod init example/finding >/dev/null 2>&1
go get github.com/distribution/reference@v0.6.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/distribution/reference"
)

func main() {
	for _, text := range []string{"localhost/team/app:1", "localhost:5000/team/app:1"} {
		named, err := reference.ParseNormalizedNamed(text)
		if err != nil {
			panic(err)
		}
		fmt.Println(text, reference.Domain(named), reference.Path(named))
	}
}
GO
go run . >go.txt
cat >run.py <<'PY'
import sys
import oras.container
print("oras 0.2.43")
answers = []
for line in open("go.txt"):
    text, domain, path = line.split()
    it = oras.container.Container(text)
    answers.append((it.registry == domain, it.registry == oras.container.Container("app").registry))
    print(f"  {text}: registry {'(the default one)' if answers[-1][1] else it.registry}, {it.namespace}/{it.repository}; Go: {domain} {path}")
sys.exit(answers != [(False, True), (True, False)])
PY
venv/bin/python run.py
