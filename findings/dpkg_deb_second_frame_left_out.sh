#!/usr/bin/env bash
# Debian 12 dpkg-deb 1.21.22: of a data.tar.xz that is two xz streams, and of a data.tar.zst that is two zstd frames, it unpacks the
# first alone. Where that ends between two files, `dpkg-deb -x` and `-c` say nothing and exit 0; elsewhere tar finds the end
# missing, and `--fsys-tarfile` still exits 0. A data.tar.gz of two members is unpacked whole.
#
# Expected: .xz file format 1.2.1 section 2: a file is one or more streams; RFC 8878 section 3: data is one or more frames; deb(5) names
# the compressions and no restriction. `xz -dc`, `zstd -dc` and PyPI python-debian 1.1.1 read all of it.
# Why it matters: parallel compressors (pxz, pzstd) and writers that make a file seekable put several into one. A layer that an
# image builder makes of such a package with its own reader has files that are missing where `dpkg -i` made it, or the other way.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install python-debian==1.1.1
mkdir -p root/DEBIAN root/usr/share/doc
printf 'Package: example\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.test>\nDescription: example\n' >root/DEBIAN/control
seq 1000 >root/usr/share/doc/a
seq 2000 >root/usr/share/doc/b
dpkg-deb --root-owner-group -Znone -b root plain.deb >/dev/null
ar x plain.deb
# The cut lies before the header of the last file: what is in front is a tar whose end is missing, as many programs write it.
cut=$(python3 -c 'import tarfile; print(tarfile.open("data.tar").getmember("./usr/share/doc/b").offset)')
head -c "$cut" data.tar >part1
tail -c "+$((cut + 1))" data.tar >part2
dpkg-deb --version | head -1
: >seen
for kind in xz zst gz; do
  case $kind in xz) compress='xz -c' ;; zst) compress='zstd -qc' ;; gz) compress='gzip -nc' ;; esac
  ($compress <part1 && $compress <part2) >data.tar.$kind
  ar rc $kind.deb debian-binary control.tar data.tar.$kind
  dpkg-deb -x $kind.deb $kind && code=0 || code=$?
  names=$(cd $kind/usr/share/doc && echo *)
  python=$(venv/bin/python -c '
import sys, debian.debfile
print(*sorted(n[-1] for n in debian.debfile.DebFile(sys.argv[1]).data.tgz().getnames() if "doc/" in n))' $kind.deb)
  echo "  $kind: dpkg-deb -x exits $code, unpacked: $names; python-debian: $python" | tee -a seen
done
# The same, cut in the middle of a file.
head -c 1024 data.tar | xz -c >data.tar.xz
tail -c +1025 data.tar | xz -c >>data.tar.xz
ar rc middle.deb debian-binary control.tar data.tar.xz
dpkg-deb --fsys-tarfile middle.deb >middle.tar && code=0 || code=$?
echo "  xz, cut elsewhere: --fsys-tarfile exits $code with $(wc -c <middle.tar) of $(wc -c <data.tar) bytes" | tee -a seen
diff seen - <<SEEN
  xz: dpkg-deb -x exits 0, unpacked: a; python-debian: a b
  zst: dpkg-deb -x exits 0, unpacked: a; python-debian: a b
  gz: dpkg-deb -x exits 0, unpacked: a b; python-debian: a b
  xz, cut elsewhere: --fsys-tarfile exits 0 with 1024 of $(wc -c <data.tar) bytes
SEEN
