# What came out, asked of those who know: the reports of the tools, the layouts on disk, Debian's
# registry behind the proxy (not the proxy), and the bytes that came back. Sourced by demo.sh.

# report NAME FILTER [jq options]: from a report of the tools.
report() { jq -r "${@:3}" "$2" "$work/$1.json"; }

plans() { report package '.result.plans[].plan'; }

# tag_of PLAN DIGEST: the tag under which a digest was pushed; never the one that moves.
tag_of() {
    report push 'first(.result.items[] | select(.plan == $plan) | .tags[] |
        select(.digest == $digest and .tag != "latest") | .tag)' --arg plan "$1" --arg digest "$2"
}
# version PLAN: the tag of all its platforms together.
version() {
    local index
    index=$(report package '.result.plans[] | select(.plan == $plan) | .digest' --arg plan "$1")
    tag_of "$1" "$index"
}
# repository PLAN source|destination: the sides of the promotion.
repository() {
    if [ "$2" = source ]; then
        report push '.result.items[] | select(.plan == $plan) | .repository' --arg plan "$1"
    else
        report promotion '.content.items[] | select(.plan == $plan) | .destination' --arg plan "$1"
    fi
}

# held REPOSITORY TAG: the digest of the bytes that the registry behind the proxy keeps.
held() {
    local types=application/vnd.oci.image.index.v1+json
    types+=', application/vnd.oci.image.manifest.v1+json'
    types+=', application/vnd.docker.distribution.manifest.v2+json'
    curl -fsS -H "Accept: $types" "http://$backing/v2/$1/manifests/$2" >"$work/held" || return 0
    printf 'sha256:%s\n' "$(sha256sum <"$work/held" | cut -d' ' -f1)"
}

# blob LAYOUT DIGEST: its file.
blob() { printf '%s/blobs/%s\n' "$1" "${2/://}"; }

# came_back PLAN DIGEST: the digest, when skopeo pulled exactly the bytes that were packaged.
came_back() {
    local digest packaged=$work/out/$1 pulled=$work/pulled/$1
    for digest in "$2" $(jq -r '(.config // empty).digest, (.layers // [])[].digest' \
        "$(blob "$packaged" "$2")"); do
        cmp -s "$(blob "$packaged" "$digest")" "$(blob "$pulled" "$digest")" || return 0
    done
    printf '%s\n' "$2"
}

# verdict PLAN PLATFORM DIGEST: what verify says of an image; of an index, what it says of all.
verdict() {
    report verify '.result | .summary.passed as $passed |
        if $platform == "all" then all(.images[]; .intact)
        else any(.images[] | select(.plan == $plan and .platform == $platform);
            .intact and .digest == $digest)
        end | if . and $passed then "passed" else "FAILED" end' \
        --arg plan "$1" --arg platform "$2" --arg digest "$3"
}

# promoted PLAN DIGEST: the digest, when the ledger says the plan's promotion came to its end.
promoted() {
    report status '.result.items[] | select(.plan == $plan) |
        if .state == "promoted" or .state == "already" then $digest else empty end' \
        --arg plan "$1" --arg digest "$2"
}

# helm_images CHART: the images that a chart renders; one without a digest is wrong.
helm_images() {
    local helm images
    helm=$(command -v helm || printf '%s/bin/helm' "$(go env GOPATH)")
    images=$("$helm" template demo "$1" --kube-version 1.32.0 | sed -nE 's/^ +(- )?image: "?([^"]+)"?$/\2/p' | sort -u)
    printf '%s\n' "$images"
    [ -n "$images" ] && ! grep -qvE '@sha256:[0-9a-f]{64}$' <<<"$images" || wrong=$((wrong + 1))
}

wrong=0
# cell SHOULD_BE IS...: answer becomes yes when all are the same; what is not is counted.
cell() {
    local should_be=$1 is
    answer=yes
    for is in "${@:2}"; do
        [ -n "$should_be" ] && [ "$is" = "$should_be" ] || answer=NO
    done
    [ "$answer" = yes ] || wrong=$((wrong + 1))
}

row='%-23s %-12s %-19s %9s  %-8s %-7s %-9s %s\n'
# print_row PLAN PLATFORM DIGEST BYTES
print_row() {
    local plan=$1 digest=$3 tag verdict pushed promoted
    tag=$(tag_of "$plan" "$digest")
    verdict=$(verdict "$plan" "$2" "$digest")
    [ "$verdict" = passed ] || wrong=$((wrong + 1))
    cell "$digest" "$(held "$(repository "$plan" source)" "$tag")"
    pushed=$answer
    cell "$digest" "$(promoted "$plan" "$digest")" \
        "$(held "$(repository "$plan" destination)" "$tag")"
    promoted=$answer
    cell "$digest" "$(came_back "$plan" "$digest")"
    printf "$row" "$plan" "$2" "${digest:0:19}" "$4" "$verdict" "$pushed" "$promoted" "$answer"
}

table() {
    local rows=0 plan platform digest bytes
    printf "$bold$row$plain" PLAN PLATFORM DIGEST BYTES VERDICT PUSHED PROMOTED 'PULLED BACK EQUAL'
    while read -r plan platform digest bytes; do
        print_row "$plan" "$platform" "$digest" "$bytes"
        rows=$((rows + 1))
    done < <(report package '.result.plans[] | .plan as $plan |
        (.platforms[] | "\($plan) \(.platform) \(.digest) \(.sizeBytes)"),
        "\($plan) all \(.digest) \([.platforms[].sizeBytes] | add)"')
    [ "$rows" -ge 10 ] || die "the table has $rows rows; the example has 2 images of 2 platforms and 2 of one"
    say "docker pull, run, push, and pull again: $docker_answer"
}
