#!/bin/sh
# The C++ compiler, behind ccache when it is installed.
#
# RocksDB has 343 files, and reading the same headers for each takes nine tenths of the time. So its files
# are compiled in a few units: the first file of each stands for all of its unit, and the others become
# empty objects. A unit that does not compile as a whole is compiled file by file, and joined.
set -eu

compile() {
    if command -v ccache >/dev/null 2>&1; then ccache g++ "$@"; else g++ "$@"; fi
}

LIST=rocksdb_lib_sources.txt # of the crate, in whose folder its build runs
FILES_PER_UNIT=43

for source in "$@"; do :; done # the last argument
case "$source" in
rocksdb/*.cc) [ -f "$LIST" ] || { compile "$@"; exit; } ;;
*) compile "$@"; exit ;;
esac

# The files of the unit that this one is in. The crate has a build_version.cc of its own.
unit=$(grep -vx 'util/build_version.cc' "$LIST" | awk -v wanted="${source#rocksdb/}" -v size="$FILES_PER_UNIT" '
    { file[NR] = $1; if ($1 == wanted) at = NR }
    END {
        if (!at) exit
        first = at - (at - 1) % size
        for (n = first; n < first + size && n <= NR; n++) print "rocksdb/" file[n]
    }')
[ -n "$unit" ] || { compile "$@"; exit; }

# Everything but the source, and where the object goes.
count=$#
object=
while [ "$count" -gt 1 ]; do
    [ "$1" != -o ] || object=$2
    set -- "$@" "$1"
    shift
    count=$((count - 1))
done
shift
first=$(printf '%s\n' "$unit" | head -n 1)
if [ "$first" != "$source" ]; then
    exec g++ "$@" -x c++ /dev/null
fi
# Without a file of its own, so that ccache knows the unit from any folder.
others=$(printf '%s\n' "$unit" | tail -n +2 | sed 's/^/-include /')
# shellcheck disable=SC2086 # names without spaces
if compile "$@" $others "$source" 2>"$object.log"; then exit; fi
parts=
for file in $unit; do
    part="$object-$(printf '%s' "$file" | tr / _).o"
    # The last -o counts.
    compile "$@" "$file" -o "$part"
    parts="$parts $part"
done
# shellcheck disable=SC2086 # as above, but for the folder of the object
ld -r -o "$object" $parts
