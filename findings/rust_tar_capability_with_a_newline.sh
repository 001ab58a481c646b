#!/usr/bin/env bash
# A file capability whose bytes hold 0x0a, as `setcap cap_dac_override,cap_fowner=ep` makes it, in a layer as Go's archive/tar writes it:
#  - crate tar 0.4.46 gives two "malformed pax extension" instead of the attribute, unpack() drops such records by its source, so the
#    capability is lost; the owner (too large for the octal field) is read as 0, root, instead of 3000000; no error;
#  - crate async-tar 0.6.1 refuses the archive with "pax extensions invalid"; astral-tokio-tar 0.7.0 reads both.
#
# Expected: POSIX pax, "pax Extended Header": a record is "%d %s=%s\n" and its LENGTH says where it ends; the value may hold any byte.
# Why it matters: capabilities 1 and 3 together, 9 and 11, 17 and 19 have this byte. A file of a user of a user namespace becomes root's
# when the layer is written anew, and the program in the image lacks its rights.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
mkdir write
cat >write/go.mod <<'MOD'
module example/finding
go 1.24
MOD
cat >write/main.go <<'GO'
package main

import (
	"archive/tar"
	"os"
	"strings"
)

func main() {
	// linux/capability.h, struct vfs_cap_data: revision 2 with the effective bit, then permitted, inheritable, each low and high.
	capability := "\x01\x00\x00\x02" + string(rune(1<<1|1<<3)) + strings.Repeat("\x00", 15)
	writer := tar.NewWriter(os.Stdout)
	for _, attribute := range []string{"SCHILY.xattr.security.capability", "SCHILY.xattr.user.example"} {
		name := attribute[len("SCHILY.xattr."):]
		header := tar.Header{Name: name, Mode: 0o755, Uid: 3000000, Size: 5, PAXRecords: map[string]string{attribute: capability}}
		if strings.HasPrefix(name, "user.") {
			header.PAXRecords[attribute] = "plain"
		}
		if err := writer.WriteHeader(&header); err != nil {
			panic(err)
		}
		writer.Write([]byte("text\n"))
	}
	writer.Close()
}
GO
(cd write && go run .) >layer.tar
echo "GNU tar:"
tar --xattrs --numeric-owner -tvvf layer.tar
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2021"
[dependencies]
tar = "=0.4.46"
async-tar = "=0.6.1"
astral-tokio-tar = "=0.7.0"
tokio = { version = "1", features = ["fs", "macros", "rt"] }
futures = "0.3"
TOML
cat >src/main.rs <<'RS'
use futures::StreamExt;
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let file = || std::fs::File::open("layer.tar").unwrap();
    for entry in tar::Archive::new(file()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let records: Vec<String> = entry.pax_extensions().unwrap().unwrap()
            .map(|record| record.map_or_else(|error| error.to_string(), |record| record.key().unwrap().to_string())).collect();
        println!("tar: {}, owner {}, {records:?}", entry.path().unwrap().display(), entry.header().uid().unwrap());
    }
    let mut archive = async_tar::Archive::new(futures::io::Cursor::new(std::fs::read("layer.tar").unwrap())).entries().unwrap();
    println!("async-tar: {}", archive.next().await.unwrap().map_or_else(|error| error.to_string(), |_| "read".into()));
    let mut archive = tokio_tar::Archive::new(tokio::fs::File::open("layer.tar").await.unwrap());
    let mut entries = archive.entries().unwrap();
    while let Some(entry) = entries.next().await {
        let mut entry = entry.unwrap();
        let owner = entry.header().uid().unwrap();
        let records: Vec<String> = entry.pax_extensions().await.unwrap().unwrap()
            .map(|record| record.map_or_else(|error| error.to_string(), |record| record.key().unwrap().to_string())).collect();
        println!("astral-tokio-tar: owner {owner}, {records:?}");
    }
}
RS
cargo run -q >seen
cat seen
diff seen - <<'SEEN'
tar: security.capability, owner 0, ["malformed pax extension", "malformed pax extension", "uid"]
tar: user.example, owner 3000000, ["SCHILY.xattr.user.example", "uid"]
async-tar: pax extensions invalid
astral-tokio-tar: owner 3000000, ["SCHILY.xattr.security.capability", "uid"]
astral-tokio-tar: owner 3000000, ["SCHILY.xattr.user.example", "uid"]
SEEN
