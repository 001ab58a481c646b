#!/usr/bin/env bash
# PyPI debian-inspector 31.1.1 refuses versions that end in "~", "+" or "." with "Invalid version string" when nothing but
# an upstream version stands there, or when the revision ends in "+"; "1.0-1~" is taken.
#
# Expected: deb-version(7): the upstream version and the revision may hold letters, digits and + . ~ (and -), with no rule for
# the last one. "(>= 3.1~)" is how Debian's own packages say "3.1 and its backports and release candidates".
# Why it matters: the dependencies in var/lib/dpkg/status of ordinary images are full of such versions, and this is the library
# that image scanners read the file with. `dpkg --validate-version` is the reference here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install debian-inspector==31.1.1
cat >run.py <<'PY'
import subprocess, sys
from debian_inspector.version import Version

def dpkg_takes(version):
    done = subprocess.run(["dpkg", "--validate-version", version], capture_output=True, text=True)
    return done.returncode == 0 and not done.stderr

def library_takes(version):
    try:
        return str(Version.from_string(version)) == version
    except ValueError as error:
        return str(error)

print("debian-inspector 31.1.1")
seen = {}
for version in ("3.1~", "10~", "1:2~", "1.0+", "1.0-1+", "1.0.", "1.0-1~", "1.0~rc1-1"):
    seen[version] = library_takes(version)
    print(f"  {version}: dpkg {dpkg_takes(version)}, library {seen[version]}")
    assert dpkg_takes(version)
refused = {v for v, taken in seen.items() if taken is not True}
sys.exit(refused != {"3.1~", "10~", "1:2~", "1.0+", "1.0-1+", "1.0."})
PY
venv/bin/python run.py
