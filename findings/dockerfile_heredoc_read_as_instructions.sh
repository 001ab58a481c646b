#!/usr/bin/env bash
# PyPI dockerfile-parse 2.0.1 and npm docker-file-parser 1.0.7 read the lines of a here-document as instructions. A line of SQL that
# begins with FROM becomes a second stage, and dockerfile-parse names the table as the base image; a USER or LABEL line of a
# configuration file becomes the image's.
#
# Expected: the Dockerfile reference, "Here-documents": the lines up to the delimiter are part of RUN or COPY (in the stable syntax
# since 1.4, the default of docker build and of Buildah). npm dockerfile-ast 0.7.1 reads it so, and names one base image.
# Why it matters: both libraries tell build services and scanners which base image a build stands on, which decides what is rebuilt
# and whose vulnerabilities are counted. A base that does not exist is asked of the registry; the true one is watched no more.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
cat >Dockerfile <<'DOCKERFILE'
FROM debian:12
RUN <<EOF
report "SELECT id
FROM orders"
EOF
COPY <<conf /etc/service.conf
USER nobody
conf
CMD ["service"]
DOCKERFILE
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install dockerfile-parse==2.0.1
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts docker-file-parser@1.0.7 dockerfile-ast@0.7.1
cat >run.py <<'PY'
from dockerfile_parse import DockerfileParser
read = DockerfileParser(path=".")
words = " ".join(line["instruction"] for line in read.structure)
print(f"dockerfile-parse 2.0.1: base {read.baseimage}, stages on {' '.join(read.parent_images)}: {words}")
PY
cat >run.js <<'JS'
const text = require('fs').readFileSync('Dockerfile', 'utf8');
const lines = require('docker-file-parser').parse(text);
console.log(`docker-file-parser 1.0.7: ${lines.map((line) => line.name).join(' ')}`);
const file = require('dockerfile-ast').DockerfileParser.parse(text);
const stages = file.getFROMs().map((from) => from.getImage()).join(' ');
console.log(`dockerfile-ast 0.7.1: stages on ${stages}: ${file.getInstructions().map((line) => line.getKeyword()).join(' ')}`);
JS
{
  venv/bin/python run.py
  node run.js
} >seen
cat seen
diff seen - <<'SEEN'
dockerfile-parse 2.0.1: base orders, stages on debian:12 orders: FROM RUN REPORT FROM EOF COPY USER CONF CMD
docker-file-parser 1.0.7: FROM RUN REPORT FROM EOF COPY USER CONF CMD
dockerfile-ast 0.7.1: stages on debian:12: FROM RUN COPY CMD
SEEN
