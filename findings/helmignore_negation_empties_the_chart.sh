#!/usr/bin/env bash
# A `!` in a .helmignore takes everything else away, in Helm 3.19.2: with the one line "!Chart.yaml" the folder
# templates is left out, and `helm template`, `helm lint` and `helm package` succeed with an empty chart, without a word.
#
# Expected: Helm's page on .helmignore calls the syntax that of .gitignore with differences, and "!" there brings back what
# an earlier line left out (gitignore(5)); with no earlier line nothing should be left out.
# Why it matters: a publisher who writes "!" as in Git packs a bundle that installs nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
CGO_ENABLED=0 GOBIN=$work/bin go install helm.sh/helm/v3/cmd/helm@v3.19.2
helm=$work/bin/helm
mkdir -p pool/templates
printf 'apiVersion: v2\nname: pool\nversion: 1.0.0\n' >pool/Chart.yaml
printf 'a: 1\n' >pool/values.yaml
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pool}\n' >pool/templates/map.yaml
count() { "$helm" template release pool | grep -c '^kind:' || true; }
echo "objects without .helmignore: $(count)"
printf '!Chart.yaml\n' >pool/.helmignore
left=$(count)
echo "objects with the line !Chart.yaml: $left"
go version -m "$helm" | grep helm.sh/helm
if [ "$left" != 0 ]; then
    echo "CHANGED: something is left" >&2
    exit 1
fi
echo "seen: nothing is left, and Helm says nothing"
