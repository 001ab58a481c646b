#!/usr/bin/env bash
# The whole journey of one offer with the real commands: lint, package, verify, push through the
# proxy, pull back, promote, pin, lay out, deploy, record, render. Each command is printed before it runs. The last table is made
# of what the tools report *and* of what Debian's own registry behind the proxy holds; a cell that
# is not right makes the exit code 1. Everything lives in one temporary folder and ends with it.
#
#   tools/examples/demo.sh [--keep]     --keep leaves the folder for a look
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/examples/demo/services.sh
. tools/examples/demo/table.sh

keep=
case "${1:-}" in
"") ;;
--keep) keep=1 ;;
*) die "usage: tools/examples/demo.sh [--keep]" ;;
esac
example=tools/examples/tidepool-cache
offer=$example/offer.yaml
export PATH=${CARGO_TARGET_DIR:-$PWD/target}/release:$PATH

step "Prepare: tools, programs, and the packages of the example"
run tests/setup.sh demo
[ -x "${CARGO_TARGET_DIR:-$PWD/target}/release/wharfd" ] ||
    say "The first build compiles RocksDB and 400 crates: about ten minutes on two cores, 1 GB of disk."
run cargo build --release --locked -p wharf-proxy -p wharf-tools -p wharf-double --bins
run $example/fetch.sh
started=$SECONDS
make_work_folder

step "Start: Debian's registry, ACR's habits before it, and wharfd before both"
start_registry
start_double
start_wharfd
export WHARF_REGISTRY_STAGING=$proxy WHARF_REGISTRY_PRODUCTION=$proxy WHARF_PLAIN_HTTP=true
say "WHARF_REGISTRY_STAGING=$proxy WHARF_REGISTRY_PRODUCTION=$proxy WHARF_PLAIN_HTTP=true"

step "Check the offer, build its images, and check them before Microsoft does"
run wharf offer lint $offer
run wharf package $offer --output "$work/out"
say "The same input gives the same digests:"
run_to package.json wharf package $offer --output "$work/out" --check --output-format json
run wharf verify --offer $offer --layouts "$work/out" --report "json=$work/verify.json"

step "Push every plan through the proxy; a second push has nothing to send"
run wharf push $offer --to staging --layouts "$work/out"
run_to push.json wharf push $offer --to staging --layouts "$work/out" --output-format json

step "Pull everything back with skopeo"
for plan in $(plans); do
    run skopeo --insecure-policy copy --quiet --all --preserve-digests --src-tls-verify=false \
        "docker://$proxy/$(repository "$plan" source):$(version "$plan")" "oci:$work/pulled/$plan"
done

step "Promote from staging to production, by digest"
run wharf promote plan $offer --from staging --to production --output "$work/promotion.json"
run wharf promote apply "$work/promotion.json" --ledger "$work/promotion.ledger"
run_to status.json wharf promote status "$work/promotion.ledger" --output-format json

step "Pin the chart of the Kubernetes plan, and lay out what Microsoft's packaging tool takes (on a copy)"
own=$work/offer
mkdir "$own"
cp -r $example/offer.yaml $example/cluster $example/legal $example/listing $example/pictures "$own"
run wharf offer pin "$own/offer.yaml" --layouts "$work/out"
run wharf offer bundle "$own/offer.yaml" --output "$work/bundle"
say "Images that Helm renders of it:"
helm_images "$own/cluster/chart"

step "Write what runs each plan, and remember what was submitted"
run wharf offer deploy aci $offer --plan cache-server --layouts "$work/out" --output "$work/group.yaml"
run wharf offer deploy aks $offer --plan health-probe --layouts "$work/out" --output "$work/objects.yaml"
run wharf offer record "$own/offer.yaml" --target live --layouts "$work/out"
run wharf offer published "$own/offer.yaml"

step "Render what Microsoft's Product Ingestion API is given"
run wharf offer render $offer --output "$work/payload.json"
jq -r '[.resources[]."$schema" | split("/")[-2]] | group_by(.) |
    map("\(length) \(.[0])") | join(", ")' "$work/payload.json"

step "Docker, through the same proxy"
docker_round_trip

step "What happened"
table
say "$((SECONDS - started)) seconds, without building and fetching"
[ "$wrong" -eq 0 ] || die "$wrong cells are wrong"
