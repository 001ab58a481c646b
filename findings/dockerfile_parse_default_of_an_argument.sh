#!/usr/bin/env bash
# PyPI dockerfile-parse 2.0.1 does not know the defaults of variables in a Dockerfile: "FROM debian:${V:-12}" gives a base image named
# "debian::-12}" without a value, "debian:13:-12}" with one; "${V:+slim}" is not known either. "${V}" is read.
#
# Expected: the Dockerfile reference, "Environment replacement": ${name:-word} is the value, or the word without one, and ${name:+word}
# the word where there is a value.
# Why it matters: the usual way to let a publisher choose a base by --build-arg; the name that comes out is no reference, so what asks
# the registry for the base of such a build fails, or skips it.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install dockerfile-parse==2.0.1
cat >run.py <<'PY'
import os
from dockerfile_parse import DockerfileParser
print("dockerfile-parse 2.0.1")
for argument, tag in (("ARG V", "${V:-12}"), ("ARG V=13", "${V:-12}"), ("ARG V=13", "${V:+slim}"), ("ARG V=13", "${V}")):
    os.makedirs("case", exist_ok=True)
    read = DockerfileParser(path="case")
    read.content = f"{argument}\nFROM debian:{tag}\n"
    print(f"  {argument}, debian:{tag} -> {read.baseimage}")
PY
venv/bin/python run.py >seen
cat seen
diff seen - <<'SEEN'
dockerfile-parse 2.0.1
  ARG V, debian:${V:-12} -> debian::-12}
  ARG V=13, debian:${V:-12} -> debian:13:-12}
  ARG V=13, debian:${V:+slim} -> debian:13:+slim}
  ARG V=13, debian:${V} -> debian:13
SEEN
