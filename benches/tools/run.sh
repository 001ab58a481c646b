#!/usr/bin/env bash
# What `wharf verify` takes, beside the programs that people have, as a table. Needs 6 GiB of disk.
# Each figure is the median of RUNS runs (3), in turns, with the files in the page cache.
#
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
for program in gzip zstd skopeo umoci python3; do
	command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 1; }
done

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

# compare NAME LIMITS OURS THEIRS: a row of medians; LIMITS are the targets, in words.
compare() {
	local name=$1 target=$2 ours=$3 theirs=$4 run
	: >"$bed/ours"
	: >"$bed/theirs"
	for ((run = 0; run < runs; run++)); do
		measure "$theirs" >>"$bed/theirs"
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

layouts gz big
layouts n100000 files 100000
layouts n1000000 files 1000000
layouts s200 small 200
blob() { find "$bed/$1/blobs" -type f -size +1M; }
gz=$(blob gz)
zst=$(blob zst)
images=$(for ((number = 1; number <= 200; number++)); do printf '%s ' "$bed/s$number"; done)
cat "$gz" "$zst" >/dev/null

echo "- date: $(date -u +%F), load $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, runs of each: $runs"
echo "- tar of $(gzip -dc "$gz" | wc -c) bytes: $(stat -c %s "$gz") by gzip -6, $(stat -c %s "$zst") by zstd -3"
echo
echo "| case | wall s | CPU s | MiB | their wall | their CPU | wall ratio | CPU ratio | target |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
compare "1.2 GiB, gzip; \`gzip -dc\`" "wall <= 0.30, CPU <= 0.45" "$wharf verify $bed/gz" "gzip -dc $gz"
compare "1.2 GiB, zstd; \`zstd -dc\`" "wall <= 1.3" "$wharf verify $bed/zst" "zstd -q -dc $zst"
compare "100,000 files; \`gzip -dc\`" "< 96 MiB" "$wharf verify $bed/n100000" "gzip -dc $(blob n100000)"
compare "1,000,000 files; \`gzip -dc\`" "< 256 MiB" "$wharf verify $bed/n1000000" \
	"gzip -dc $(blob n1000000)"
compare "200 images; \`skopeo copy\` and \`umoci unpack\`" "wall <= 0.33" "$wharf verify $images" \
	"for image in $images; do skopeo copy -q oci:\$image:1 dir:$bed/copy; umoci unpack --rootless \
	--image \$image:1 $bed/unpacked; rm -rf $bed/copy $bed/unpacked; done"
