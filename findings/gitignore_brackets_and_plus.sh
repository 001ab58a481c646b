#!/usr/bin/env bash
# One line of a .gitignore each, in four libraries that read such files:
#  - "[!a].env" means the opposite in Go go-git v5.19.3 and sabhiram/go-gitignore: it leaves out a.env, and nothing else;
#  - "[[:digit:]].env" leaves out nothing in go-git, PyPI pathspec 1.1.1 and npm fast-ignore 2.0.0 (to them, "one of [ : d i g t", then "]");
#  - in sabhiram/go-gitignore "?" matches nothing, "c++" not even itself, and "sub/*" matches in every folder named sub.
#
# Expected: gitignore(5), "PATTERN FORMAT", and fnmatch(3) and glob(7), which it goes by: [!...] is the complement, [:digit:] a class, "?" any one
# character, and a pattern with a slash in the middle is anchored. `git check-ignore` and npm ignore 7.0.16 say the same.
# Why it matters: Cloud Native Buildpacks' pack filters the application folder with sabhiram/go-gitignore, deployment tools with go-git;
# what is taken for left out goes into the image.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
cat >lines <<'LINES'
[!a].env
[[:digit:]].env
?.env
c++
sub/*
LINES
git init -q tree
mkdir -p tree/sub tree/deep/sub
files='1.env a.env b.env c++ deep/sub/x sub/x'
(cd tree && touch $files)
mkdir go
cat >go/go.mod <<'MOD'
module example/finding
go 1.25
MOD
cat >go/main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	gogit "github.com/go-git/go-git/v5/plumbing/format/gitignore"
	sabhiram "github.com/sabhiram/go-gitignore"
)

func main() {
	line, paths := os.Args[1], os.Args[2:]
	show := func(name string, out func(path string) bool) {
		fmt.Print(" | ", name, ":")
		for _, path := range paths {
			if out(path) {
				fmt.Print(" ", path)
			}
		}
	}
	first := gogit.NewMatcher([]gogit.Pattern{gogit.ParsePattern(line, nil)})
	show("go-git", func(path string) bool {
		parts := strings.Split(path, "/")
		for depth := range parts {
			if first.Match(parts[:depth+1], depth+1 < len(parts)) {
				return true
			}
		}
		return false
	})
	show("sabhiram", sabhiram.CompileIgnoreLines(line).MatchesPath)
}
GO
(cd go && go get github.com/go-git/go-git/v5@v5.19.3 github.com/sabhiram/go-gitignore@v0.0.0-20210923224102-525f6e181f06 2>/dev/null && go build -o ../golib .)
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install pathspec==1.1.1
cat >run.py <<'PY'
import sys, pathspec
spec = pathspec.GitIgnoreSpec.from_lines(sys.argv[1:2])
print(" | pathspec:", *[path for path in sys.argv[2:] if spec.match_file(path)], end="")
PY
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts fast-ignore@2.0.0 ignore@7.0.16
cat >run.mjs <<'JS'
import fast from 'fast-ignore';
import ignore from 'ignore';
const [line, ...paths] = process.argv.slice(2);
const first = fast(line), second = ignore().add(line);
console.log(` | fast-ignore: ${paths.filter((path) => first(path)).join(' ')} | ignore: ${paths.filter((path) => second.ignores(path)).join(' ')}`);
JS
: >seen
while read -r line; do
  printf '%s\n' "$line" >tree/.gitignore
  # shellcheck disable=SC2086
  {
    printf '%s | git: %s' "$line" "$(cd tree && git check-ignore $files | tr '\n' ' ' | sed 's/ $//')"
    ./golib "$line" $files
    venv/bin/python -W ignore run.py "$line" $files
    node run.mjs "$line" $files
  } | sed 's/ *$//' >>seen
done <lines
cat seen
diff seen - <<'SEEN'
[!a].env | git: 1.env b.env | go-git: a.env | sabhiram: a.env | pathspec: 1.env b.env | fast-ignore: 1.env b.env | ignore: 1.env b.env
[[:digit:]].env | git: 1.env | go-git: | sabhiram: 1.env | pathspec: | fast-ignore:  | ignore: 1.env
?.env | git: 1.env a.env b.env | go-git: 1.env a.env b.env | sabhiram: | pathspec: 1.env a.env b.env | fast-ignore: 1.env a.env b.env | ignore: 1.env a.env b.env
c++ | git: c++ | go-git: c++ | sabhiram: | pathspec: c++ | fast-ignore: c++ | ignore: c++
sub/* | git: sub/x | go-git: sub/x | sabhiram: deep/sub/x sub/x | pathspec: sub/x | fast-ignore: sub/x | ignore: sub/x
SEEN
