#!/usr/bin/env bash
# Helm 3.19.2 as `go install` builds it renders for Kubernetes v1.20.0, and refuses charts that want what is current.
#
# Expected: the module's own k8s.io/client-go is of Kubernetes 1.34, and Helm's releases say so; their Makefile puts the version in
# with a flag of the linker, which `go install` does not know.
# Why it matters: `helm template` in CI judges branches of a chart by the version of the cluster. A chart with
# `kubeVersion: ">=1.27.0-0"` does not render at all, and one without renders what nobody's cluster gets. Say `--kube-version`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
CGO_ENABLED=0 GOBIN=$work/bin go install helm.sh/helm/v3/cmd/helm@v3.19.2
go version -m bin/helm | grep -E 'helm.sh/helm|k8s.io/client-go'
mkdir -p pool/templates
printf 'apiVersion: v2\nname: pool\nversion: 1.0.0\n' >pool/Chart.yaml
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pool}\ndata: {version: "{{ .Capabilities.KubeVersion.Version }}"}\n' \
    >pool/templates/map.yaml
bin/helm template release pool | tee rendered.yaml
printf 'kubeVersion: ">=1.27.0-0"\n' >>pool/Chart.yaml
refused=
bin/helm template release pool 2>refusal.txt || refused=1
cat refusal.txt
if [ -z "$refused" ] || ! grep -q 'v1\.20\.0' rendered.yaml; then
    echo "CHANGED: it renders for another version" >&2
    exit 1
fi
echo "seen: it renders for v1.20.0, and refuses what needs 1.27"
