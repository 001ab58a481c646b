#!/usr/bin/env bash
# An .xz file of two streams, as they are (1) and with four zero bytes of "stream padding" between them (2):
#  - Python 3.11's lzma.decompress, lzma.open and tarfile give both of (1), and of (2) the first alone, without an error;
#  - with padding behind the last stream (3) lzma.decompress and lzma.open raise, though all data is there;
#  - crates xz4rust 0.2.3 and xz-decom 0.2.0 give the first alone of (1) and (2), without an error.
#
# Expected: .xz file format 1.2.1, section 2: one or more streams, and 2.2: Stream Padding of a multiple of four zero bytes MAY follow each;
# a decoder that handles several streams MUST support it. Python's manual promises the concatenation. `xz -dc`, PyPI python-xz
# 0.7.0 give all of it.
# Why it matters: a tar.xz that was written in parts is cut between two files and stays a valid tar: an image that is packaged
# from it lacks the rest, and every digest of it is right.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
printf 'first %.0s' $(seq 1000) >a
printf 'second %.0s' $(seq 1000) >b
zeros() { printf '\0\0\0\0'; }
(xz -c a && xz -c b) >1.xz
(xz -c a && zeros && xz -c b) >2.xz
(xz -c a && zeros) >3.xz
for file in 1 2 3; do echo "xz -dc: $file $(xz -dc $file.xz | wc -c)"; done

python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install python-xz==0.7.0
cat >run.py <<'PY'
import io, lzma, tarfile, sys
import xz
def size(read):
    try:
        return len(read())
    except Exception as error:
        return type(error).__name__
for file in "123":
    name = file + ".xz"
    print("python", file, size(lambda: lzma.decompress(open(name, "rb").read())), size(lambda: lzma.open(name).read()),
          "python-xz", size(lambda: xz.open(name).read()))
def member(name):
    out = io.BytesIO()
    tar = tarfile.open(fileobj=out, mode="w")
    info = tarfile.TarInfo(name)
    info.size = 600
    tar.addfile(info, io.BytesIO(b"x" * 600))
    return out.getvalue()
parts = [lzma.compress(member(name)) for name in ("one", "two")]
open("tar.xz", "wb").write(parts[0] + bytes(4) + parts[1])
print("tarfile", *tarfile.open("tar.xz").getnames())
PY
venv/bin/python run.py >seen
echo "GNU tar: $(tar -tJf tar.xz | tr '\n' ' ')"

mkdir -p crate/src
cat >crate/Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2021"
[dependencies]
xz4rust = "=0.2.3"
xz-decom = "=0.2.0"
TOML
cat >crate/src/main.rs <<'RS'
use std::io::Read;
fn main() {
    for file in ["1", "2", "3"] {
        let data = std::fs::read(format!("{file}.xz")).unwrap();
        let mut content = Vec::new();
        xz4rust::XzReader::new(std::io::Cursor::new(data.clone())).read_to_end(&mut content).unwrap();
        println!("crates {file} {} {}", content.len(), xz_decom::decompress(&data).unwrap().len());
    }
}
RS
cargo run -q --manifest-path crate/Cargo.toml >>seen

cat seen
python3 --version
diff seen - <<SEEN
python 1 13000 13000 python-xz 13000
python 2 6000 6000 python-xz 13000
python 3 LZMAError EOFError python-xz 6000
tarfile one
crates 1 6000 6000
crates 2 6000 6000
crates 3 6000 6000
SEEN
