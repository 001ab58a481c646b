#!/usr/bin/env bash
# npm docker-parse-image 3.0.1: a repository of more than two components behind a registry with a port is read as the official
# image "127.0.0.1" with the tag "5000/team/app/web:1"; without a registry the answer is null.
#
# Expected: distribution reference grammar (`reference.go`, "Grammar"): domain, then any number of path components; a colon
# before a slash belongs to the domain, and a tag holds no slash. Two components (127.0.0.1:5000/team/app:1) are read right.
# Why it matters: registries with projects and folders (Harbor, GitLab, ACR with nested repositories) have three components and
# more; an allow-list or a mirror that is built on `registry` takes them for images of the default registry.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts docker-parse-image@3.0.1 parse-docker-image-name@3.0.0
cat >run.mjs <<'JS'
import parse from 'docker-parse-image';
import other from 'parse-docker-image-name';
console.log('docker-parse-image 3.0.1');
const deep = parse('127.0.0.1:5000/team/app/web:1'), shallow = parse('127.0.0.1:5000/team/app:1'), plain = parse('team/app/web/x:1');
console.log('  127.0.0.1:5000/team/app:1', JSON.stringify(shallow));
console.log('  127.0.0.1:5000/team/app/web:1', JSON.stringify(deep));
console.log('  team/app/web/x:1', JSON.stringify(plain));
console.log('  parse-docker-image-name 3.0.0:', JSON.stringify(other('127.0.0.1:5000/team/app/web:1')));
const same = shallow.registry === '127.0.0.1:5000' && deep.registry === null && deep.repository === '127.0.0.1'
  && deep.tag === '5000/team/app/web:1' && plain === null;
process.exit(same ? 0 : 1);
JS
node run.mjs
