#!/usr/bin/env bash
# npm @balena/dockerignore 1.0.2 and @zeit/dockerignore 0.0.5: a name with + ( ) | or ^ in a .dockerignore is taken as a regular
# expression: "gtk+-3.0" leaves out gtk-3.0 instead of gtk+-3.0, "copy(1)" leaves out copy1, "a|b" everything that begins with a or ends
# with b, and "libstdc++.a" throws "Nothing to repeat".
#
# Expected: Docker documentation, ".dockerignore file", "Syntax": Go's filepath.Match, in which only * ? [ ] \ have a meaning, and **.
# Go moby/patternmatcher 0.6.1, what docker uses, and PyPI e2b-dockerfile-utils 0.1.1 take such names as they are.
# Why it matters: builders that send contexts from Node (balena's CLI, AWS CDK's image assets) put secrets and caches with such
# names into the image, or leave out files that should be there.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @balena/dockerignore@1.0.2 @zeit/dockerignore@0.0.5
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install e2b-dockerfile-utils==0.1.1
cat >cases.json <<'JSON'
{"paths": ["gtk+-3.0", "gtk-3.0", "libstdc++.a", "copy(1)", "copy1", "a|b", "alpha", "web"],
 "ignores": ["gtk+-3.0", "libstdc++.a", "copy(1)", "a|b"]}
JSON
mkdir match
cat >match/go.mod <<'MOD'
module example/finding
go 1.24
MOD
cat >match/main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func main() {
	var cases struct{ Paths, Ignores []string }
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	for _, ignore := range cases.Ignores {
		patterns, err := ignorefile.ReadAll(strings.NewReader(ignore))
		if err != nil {
			panic(err)
		}
		matcher, err := patternmatcher.New(patterns)
		if err != nil {
			panic(err)
		}
		fmt.Printf("docker %q:", ignore)
		for _, path := range cases.Paths {
			if out, _ := matcher.MatchesOrParentMatches(path); out {
				fmt.Print(" ", path)
			}
		}
		fmt.Println()
	}
}
GO
(cd match && go get github.com/moby/patternmatcher@v0.6.1 2>/dev/null && go run . <../cases.json) >seen
cat >run.cjs <<'JS'
const { paths, ignores } = require('./cases.json');
for (const name of ['@balena/dockerignore', '@zeit/dockerignore']) {
  for (const text of ignores) {
    let out;
    try {
      const rules = require(name)({ ignorecase: false }).add(text);
      out = paths.filter((path) => rules.ignores(path)).join(' ');
    } catch (error) {
      out = error.message;
    }
    console.log(`${name} ${JSON.stringify(text)}: ${out}`);
  }
}
JS
node run.cjs >>seen
cat >run.py <<'PY'
import json
from e2b_dockerfile_utils.dockerignore import PatternMatcher
cases = json.load(open("cases.json"))
for text in cases["ignores"]:
    matcher = PatternMatcher(text.splitlines())
    print(f"e2b {json.dumps(text)}:", *[path for path in cases["paths"] if matcher.matches(path)])
PY
venv/bin/python run.py >>seen
cat seen
diff seen - <<'SEEN'
docker "gtk+-3.0": gtk+-3.0
docker "libstdc++.a": libstdc++.a
docker "copy(1)": copy(1)
docker "a|b": a|b
@balena/dockerignore "gtk+-3.0": gtk-3.0
@balena/dockerignore "libstdc++.a": Invalid regular expression: /^libstdc++\.a$/: Nothing to repeat
@balena/dockerignore "copy(1)": copy1
@balena/dockerignore "a|b": a|b alpha web
@zeit/dockerignore "gtk+-3.0": gtk-3.0
@zeit/dockerignore "libstdc++.a": Invalid regular expression: /^libstdc++\.a$/i: Nothing to repeat
@zeit/dockerignore "copy(1)": copy1
@zeit/dockerignore "a|b": a|b alpha web
e2b "gtk+-3.0": gtk+-3.0
e2b "libstdc++.a": libstdc++.a
e2b "copy(1)": copy(1)
e2b "a|b": a|b
SEEN
