#!/usr/bin/env bash
# Go knqyf263/go-apk-version v0.0.0-20200609155635: an Alpine version whose last number is 0 and which has no "-rN" sorts BEFORE
# its own pre-releases: 1.0 < 1.0_rc1, 10.0 < 10.0_beta. With any other last number, or with "-rN", it is right: 1.1 > 1.1_rc1.
#
# Expected: APKBUILD(5), "pkgver": _alpha, _beta, _pre and _rc are pre-release suffixes, sorted before the release; apk-tools' own
# test data, which lies in the module, says "1.1 > 1.1_alpha1" but has no such line with a 0. PyPI univers 32.0.1 is right.
# Why it matters: scanners of Alpine images compare with this module. A fix named as "1.0" is then not seen to be newer than the
# installed 1.0_rc1, and the finding disappears.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install univers==32.0.1
go mod init example/finding >/dev/null 2>&1
go get github.com/knqyf263/go-apk-version@v0.0.0-20200609155635-041fdbb8563f >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	version "github.com/knqyf263/go-apk-version"
)

func main() {
	for i := 1; i+1 < len(os.Args); i += 2 {
		first, err := version.NewVersion(os.Args[i])
		second, err2 := version.NewVersion(os.Args[i+1])
		if err != nil || err2 != nil {
			panic("not valid")
		}
		sign := map[int]string{-1: "<", 0: "=", 1: ">"}[first.Compare(second)]
		fmt.Println(os.Args[i], sign, os.Args[i+1])
	}
}
GO
go run . 1.0 1.0_rc1 10.0 10.0_beta 1.0.0 1.0.0_alpha1 1.1 1.1_rc1 1.10 1.10_rc1 1.0-r0 1.0_rc1-r0 >go.txt
cat >run.py <<'PY'
import sys
from univers.versions import AlpineLinuxVersion as Alpine
wrong = []
print("go-apk-version v0.0.0-20200609155635-041fdbb8563f, univers 32.0.1")
for line in open("go.txt"):
    first, sign, second = line.split()
    other = "<" if Alpine(first) < Alpine(second) else ">"
    print(f"  {first} {sign} {second}   univers: {other}")
    assert other == ">"
    if sign != other:
        wrong.append(first)
sys.exit(wrong != ["1.0", "10.0", "1.0.0"])
PY
venv/bin/python run.py
