#!/usr/bin/env bash
# PyPI univers 32.0.1: AlpineLinuxVersion refuses versions with the suffixes _git, _hg, _svn and _cvs, among them the version of
# musl in Alpine 3.19 (1.2.4_git20230717-r4), and versions with a leading zero (087-r1). "_p1" and "_rc1" are taken.
#
# Expected: APKBUILD(5), "pkgver": the suffixes are alpha, beta, pre, rc before and cvs, svn, git, hg, p after the release; and
# apk-tools' own test data for versions, which has "087-r1". Go knqyf263/go-apk-version takes all of them.
# Why it matters: musl is in every Alpine image. Where the ranges of an advisory are evaluated with univers, the most used
# package raises InvalidVersion.
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
	for _, text := range os.Args[1:] {
		fmt.Println(text, version.Valid(text))
	}
}
GO
go run . 1.2.4_git20230717-r4 1.0_hg 1.0_svn 1.0_cvs 087-r1 1.0_p1-r0 1.0_rc1-r0 >go.txt
cat >run.py <<'PY'
import sys
from univers.versions import AlpineLinuxVersion, InvalidVersion
print("univers 32.0.1")
refused = []
for line in open("go.txt"):
    text, valid = line.split()
    try:
        AlpineLinuxVersion(text)
        answer = "taken"
    except InvalidVersion:
        answer = "InvalidVersion"
        refused.append(text)
    print(f"  {text}: {answer}; go-apk-version says valid: {valid}")
    assert valid == "true"
sys.exit(refused != ["1.2.4_git20230717-r4", "1.0_hg", "1.0_svn", "1.0_cvs", "087-r1"])
PY
venv/bin/python run.py
