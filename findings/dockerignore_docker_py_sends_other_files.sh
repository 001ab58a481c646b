#!/usr/bin/env bash
# PyPI docker 7.2.0 (docker-py) makes another build context than docker does of the same .dockerignore:
#  - names are compared without case: "readme*" also leaves out README.md;
#  - "[^a]" means "a or ^" and "[!a]" means "not a", where docker has it the other way;
#  - a backslash is a character of the name, so "\#notes" and "\[x\]" match nothing that docker takes out;
#  - below an excluded folder "!**/keep" and "!*/keep" bring nothing back.
#
# Expected: Docker documentation, ".dockerignore file", "Syntax": "matching is done using Go's filepath.Match rules" ([^a] negates, backslash
# escapes, case counts), "**" in addition, and the last line that matches decides. Go moby/patternmatcher 0.6.1 is what docker uses.
# Why it matters: build tools and test harnesses in Python send contexts with it. The image lacks files, or has some that were
# to stay out, and only there: `docker build` in the same folder makes another image.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install docker==7.2.0
mkdir -p context/build match
touch context/README.md context/readme.txt context/a context/b context/build/keep context/build/other 'context/#notes' 'context/[x]'
cat >match/go.mod <<'MOD'
module example/finding
go 1.24
MOD
cat >match/main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func main() {
	patterns, err := ignorefile.ReadAll(strings.NewReader(os.Args[1]))
	if err != nil {
		panic(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		panic(err)
	}
	for _, path := range os.Args[2:] {
		if out, err := matcher.MatchesOrParentMatches(path); err != nil {
			panic(err)
		} else if !out {
			fmt.Print(path, " ")
		}
	}
}
GO
(cd match && go get github.com/moby/patternmatcher@v0.6.1 2>/dev/null && go build -o ../moby .)
cat >run.py <<'PY'
import os, sys, tarfile
from docker.utils.build import tar
patterns = [line.strip() for line in sys.argv[1].splitlines()]
names = tarfile.open(fileobj=tar("context", exclude=patterns)).getnames()
print(*sorted(name for name in names if os.path.isfile("context/" + name)), end=" ")
PY
files=$(cd context && find . -type f | sed 's#^\./##' | LC_ALL=C sort)
: >seen
while read -r line; do
  ignore=$(printf '%b' "$line")
  # shellcheck disable=SC2086
  echo "$line | docker: $(./moby "$ignore" $files)| docker-py: $(venv/bin/python -W ignore run.py "$ignore")" | sed 's/ *$//' >>seen
done <<'LINES'
readme*
[^a]
[!a]
\\#notes
\\[x\\]
build\n!**/keep
build\n!*/keep
build\n!build/keep
LINES
cat seen
diff seen - <<'SEEN'
readme* | docker: #notes README.md [x] a b build/keep build/other | docker-py: #notes [x] a b build/keep build/other
[^a] | docker: #notes README.md [x] a build/keep build/other readme.txt | docker-py: #notes README.md [x] b build/keep build/other readme.txt
[!a] | docker: #notes README.md [x] b build/keep build/other readme.txt | docker-py: #notes README.md [x] a build/keep build/other readme.txt
\\#notes | docker: README.md [x] a b build/keep build/other readme.txt | docker-py: #notes README.md [x] a b build/keep build/other readme.txt
\\[x\\] | docker: #notes README.md a b build/keep build/other readme.txt | docker-py: #notes README.md [x] a b build/keep build/other readme.txt
build\n!**/keep | docker: #notes README.md [x] a b build/keep readme.txt | docker-py: #notes README.md [x] a b readme.txt
build\n!*/keep | docker: #notes README.md [x] a b build/keep readme.txt | docker-py: #notes README.md [x] a b readme.txt
build\n!build/keep | docker: #notes README.md [x] a b build/keep readme.txt | docker-py: #notes README.md [x] a b build/keep readme.txt
SEEN
