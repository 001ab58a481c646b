#!/usr/bin/env bash
# PyPI univers 32.0.1: Debian versions that differ in a leading zero only (1.0 and 1.00) are neither less, nor equal, nor
# greater; both "<=" and ">=" hold. So 1.0 lies in vers:deb/<=1.00 and in vers:deb/>=1.00, but not in vers:deb/1.00.
#
# Expected: deb-version(7): runs of digits are compared as numbers, so the two are the same version ("dpkg --compare-versions
# 1.0 eq 1.00" holds), and the VERS specification, "=" by the versioning scheme's comparison. "<" and ">" here do that; "=="
# compares the text.
# Why it matters: univers is the reference for VERS ranges, in which advisories say which packages of an image are affected;
# an advisory for exactly one version then misses the package. python-debian 1.1.1 says equal.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install univers==32.0.1 python-debian==1.1.1
cat >run.py <<'PY'
import subprocess, sys
from debian.debian_support import NativeVersion
from univers.version_range import VersionRange
from univers.versions import DebianVersion

installed = DebianVersion("1.0")
inside = {text: installed in VersionRange.from_string(text)
          for text in ("vers:deb/1.00", "vers:deb/<=1.00", "vers:deb/>=1.00", "vers:deb/<1.00", "vers:deb/>1.00")}
other = DebianVersion("1.00")
order = dict(lt=installed < other, eq=installed == other, gt=installed > other, le=installed <= other, ge=installed >= other)
dpkg = subprocess.run(["dpkg", "--compare-versions", "1.0", "eq", "1.00"]).returncode == 0
print("univers 32.0.1")
print("  1.0 against 1.00:", order, "dpkg: equal" if dpkg else "dpkg: not equal",
      "python-debian: equal" if NativeVersion("1.0") == NativeVersion("1.00") else "python-debian: not equal")
for text, answer in inside.items():
    print(f"  1.0 in {text}: {answer}")
same = (dpkg and NativeVersion("1.0") == NativeVersion("1.00")
        and order == dict(lt=False, eq=False, gt=False, le=True, ge=True)
        and list(inside.values()) == [False, True, True, False, False])
sys.exit(not same)
PY
venv/bin/python run.py
