#!/usr/bin/env bash
# What `wharf verify`, `wharf package` and `wharf promote` take, beside the programs that people have, as
# tables. Needs 6 GiB of disk, and 12 GiB for `package`. Each figure is the median of RUNS runs (3), in turns, with
# the files in the page cache.
#
# run.sh [verify] [package] [promote]: all without an argument. buildah needs root, or a user namespace.
# WHARF=PROGRAM takes another program than the release build; BENCH_DIR=FOLDER keeps what is made.
set -euo pipefail
cd "$(dirname "$0")/../.."

wharf=${WHARF:-${CARGO_TARGET_DIR:-$PWD/target}/release/wharf}
runs=${RUNS:-3}
here=$PWD/benches/tools
if [ -n "${BENCH_DIR:-}" ]; then
	bed=$BENCH_DIR
	mkdir -p "$bed"
else
	bed=$(mktemp -d)
	trap 'rm -rf "$bed"' EXIT
fi

[ -x "$wharf" ] || { echo "there is no $wharf: cargo build --release -p wharf-tools" >&2; exit 1; }
needs() {
	local program
	for program; do
		command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 1; }
	done
}

# layouts NAME ARGUMENTS...: makes layouts unless they are there.
layouts() {
	local name=$1
	shift
	[ -e "$bed/$name" ] || python3 "$here/layers.py" "$bed" "$@"
}

# measure COMMAND: "wall cpu kib", whatever it exits with.
measure() {
	/usr/bin/time -q -f '%e %U %S %M' -o "$bed/time" bash -c "$1" >/dev/null 2>&1 || true
	awk '{ printf "%.2f %.2f %d\n", $1, $2 + $3, $4 }' "$bed/time"
}

# compare NAME LIMITS OURS THEIRS [BEFORE]: a row of medians; LIMITS are the targets, in words. BEFORE
# comes before each of ours, and is not measured.
compare() {
	local name=$1 target=$2 ours=$3 theirs=$4 before=${5:-:} run
	: >"$bed/ours"
	: >"$bed/theirs"
	for ((run = 0; run < runs; run++)); do
		measure "$theirs" >>"$bed/theirs"
		bash -c "$before" >/dev/null
		measure "$ours" >>"$bed/ours"
	done
	local a b
	a=$(median "$bed/ours")
	b=$(median "$bed/theirs")
	awk -v name="$name" -v target="$target" -v a="$a" -v b="$b" 'BEGIN {
		split(a, o, " "); split(b, t, " ")
		printf "| %s | %.2f | %.2f | %d | %.2f | %.2f | %.2f | %.2f | %s |\n",
			name, o[1], o[2], o[3] / 1024, t[1], t[2], o[1] / t[1], o[2] / t[2], target
	}'
}

# median FILE: of each of the three columns.
median() {
	local column
	for column in 1 2 3; do
		cut -d' ' -f"$column" "$1" | sort -n | sed -n "$(((runs + 1) / 2))p"
	done | tr '\n' ' '
}

heading() {
	echo "- date: $(date -u +%F), load $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, runs of each: $runs"
	[ -z "$1" ] || echo "- $1"
	echo
	echo "| case | wall s | CPU s | MiB | their wall | their CPU | wall ratio | CPU ratio | target |"
	echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
}

# blob LAYOUT: its largest blob.
blob() { find "$bed/$1/blobs" -type f -printf "%s %p\n" | sort -rn | head -n 1 | cut -d" " -f2; }

verify() {
	needs gzip zstd skopeo umoci python3
	layouts gz big
	layouts n100000 files 100000
	layouts n1000000 files 1000000
	layouts s200 small 200
	local gz zst images
	gz=$(blob gz)
	zst=$(blob zst)
	images=$(for ((number = 1; number <= 200; number++)); do printf '%s ' "$bed/s$number"; done)
	cat "$gz" "$zst" >/dev/null
	heading "tar of $(gzip -dc "$gz" | wc -c) bytes: $(stat -c %s "$gz") by gzip -6, $(stat -c %s "$zst") by zstd -3"
	compare "1.2 GiB, gzip; \`gzip -dc\`" "wall <= 0.30, CPU <= 0.45" "$wharf verify $bed/gz" "gzip -dc $gz"
	compare "1.2 GiB, zstd; \`zstd -dc\`" "wall <= 1.3" "$wharf verify $bed/zst" "zstd -q -dc $zst"
	compare "100,000 files; \`gzip -dc\`" "< 96 MiB" "$wharf verify $bed/n100000" "gzip -dc $(blob n100000)"
	compare "1,000,000 files; \`gzip -dc\`" "< 256 MiB" "$wharf verify $bed/n1000000" \
		"gzip -dc $(blob n1000000)"
	compare "200 images; \`skopeo copy\` and \`umoci unpack\`" "wall <= 0.33" "$wharf verify $images" \
		"for image in $images; do skopeo copy -q oci:\$image:1 dir:$bed/copy; umoci unpack --rootless \
		--image \$image:1 $bed/unpacked; rm -rf $bed/copy $bed/unpacked; done"
}

# package: the first run is compared with others, the second with the first.
package() {
	needs gzip python3 pigz umoci buildah
	layouts tree.yaml tree
	layouts many.yaml many 100000
	layouts huge.yaml huge
	local out=$bed/out first pigz umoci buildah case
	first="$wharf package $bed/CASE.yaml --output $out"
	pigz="tar -C $bed/CASE -c . | pigz -6 -p2 >$bed/layer.gz"
	umoci="rm -rf $bed/umoci; umoci init --layout $bed/umoci; umoci new --image $bed/umoci:1; umoci insert --image $bed/umoci:1 $bed/CASE /"
	buildah="name=\$(buildah from scratch); buildah add -q \$name $bed/CASE /; buildah commit -q --rm \$name oci:$bed/buildah; rm -rf $bed/buildah"
	find "$bed/tree" "$bed/huge" -type f -exec cat {} + >/dev/null
	bash -c "${pigz//CASE/tree}; ${first//CASE/tree}" >/dev/null
	heading "$(find "$bed/tree" -type f | wc -l) files, $(du -sb "$bed/tree" | cut -f1) bytes: \
$(stat -c %s "$bed/layer.gz") by pigz -6, $(stat -c %s "$(blob out/plan)") by wharf"
	for case in tree many huge; do
		compare "$case; \`tar \\| pigz -6 -p2\`" "${targets[$case]}" "${first//CASE/$case}" "${pigz//CASE/$case}" "rm -rf $out"
	done
	compare "tree; \`umoci insert\`" "" "${first//CASE/tree}" "${umoci//CASE/tree}" "rm -rf $out"
	compare "tree; \`buildah add\`, \`commit\`" "" "${first//CASE/tree}" "${buildah//CASE/tree}" "rm -rf $out"
	# A file in the middle of the tree gets longer, and the first run is measured again beside it.
	local grown
	grown=$(find "$bed/tree" -type f | LC_ALL=C sort | awk '{ all[NR] = $0 } END { print all[int(NR / 2)] }')
	first=${first//CASE/tree}
	compare "tree again, one file longer; first run" "wall <= 0.15, < 64 MiB" "$first" "rm -rf $out; $first" "echo more >>$grown"
	compare "tree again, nothing changed; first run" "less, < 64 MiB" "$first" "rm -rf $out; $first"
}
# promote: requests are counted in the access logs of two docker-registries. Of these programs, those
# that are installed: regctl and regsync (go install github.com/regclient/regclient/cmd/NAME@v0.11.7), crane
# (github.com/google/go-containerregistry/cmd/crane@v0.22.1), oras (oras.land/oras/cmd/oras@v1.3.6), skopeo.
promote() {
	needs python3 docker-registry
	local go_bin
	go_bin=$(command -v go >/dev/null && go env GOPATH || echo "$HOME/go")/bin
	PATH=$PATH:$go_bin WHARF=$wharf RUNS=$runs python3 "$here/promotion.py" "$bed"
}
declare -A targets=([tree]="wall <= 0.40, < 64 MiB" [many]="< 64 MiB" [huge]="< 64 MiB")

[ $# -gt 0 ] || set -- verify package promote
for part; do
	case $part in
	verify | package | promote) "$part" ;;
	*) echo "no part $part: verify, package, promote" >&2; exit 2 ;;
	esac
	echo
done
