#!/usr/bin/env bash
# npm @sigstore/oci 0.7.2 (under @actions/attest, which puts attestations beside an image), after a `docker login` with a keychain: docker
# leaves {} for the registry beside "credsStore", and the library ends with a TypeError. "credHelpers" it does not read either, nor the
# folder in DOCKER_CONFIG. PyPI docker 7.2.0 finds the user in all of them.
#
# Expected: docker's manual of `docker login`, "Credential stores" and "Credential helpers": what is named there is asked for the password
# of the registry; manual of the docker command: DOCKER_CONFIG names the folder of the configuration.
# Why it matters: build machines with a helper for their cloud, and every desktop, are such; the image is pushed, its attestation is not,
# and the error says nothing of a store.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @sigstore/oci@0.7.2
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install docker==7.2.0
mkdir -p bin home/.docker other
cat >bin/docker-credential-store <<'HELPER'
#!/bin/sh
[ "$1" = get ] && [ "$(cat)" = registry.example ] && echo '{"ServerURL": "registry.example", "Username": "main", "Secret": "secret"}'
HELPER
chmod +x bin/docker-credential-store
cat >run.cjs <<'JS'
const { getRegistryCredentials } = require('@sigstore/oci/dist/credentials.js');
try { console.log(getRegistryCredentials('registry.example/app').username); } catch (error) { console.log(error.name); }
JS
cat >run.py <<'PY'
import docker.auth
found = docker.auth.load_config().resolve_authconfig("registry.example")
print(found.get("username") or found.get("Username"))
PY
# Prints the user by each library, with the configuration $2 in the folder $3, under the name $1.
ask() {
  rm -f home/.docker/config.json other/config.json
  echo "$2" >"$3/config.json"
  local setting=()
  [ "$3" = other ] && setting=(DOCKER_CONFIG="$work/other")
  echo "$1: @sigstore/oci $(env HOME="$work/home" PATH="$work/bin:$PATH" "${setting[@]}" node run.cjs)," \
    "docker $(env HOME="$work/home" PATH="$work/bin:$PATH" "${setting[@]}" venv/bin/python run.py)"
}
main='"registry.example": {"auth": "'$(printf main:secret | base64)'"}'
{
  ask "one key" "{\"auths\": {$main}}" home/.docker
  ask "credsStore" '{"auths": {"registry.example": {}}, "credsStore": "store"}' home/.docker
  ask "credHelpers" '{"credHelpers": {"registry.example": "store"}}' home/.docker
  ask "DOCKER_CONFIG" "{\"auths\": {$main}}" other
} >seen
echo "@sigstore/oci 0.7.2, docker (PyPI) 7.2.0"
cat seen
diff seen - <<'SEEN'
one key: @sigstore/oci main, docker main
credsStore: @sigstore/oci TypeError, docker main
credHelpers: @sigstore/oci Error, docker main
DOCKER_CONFIG: @sigstore/oci Error, docker main
SEEN
