#!/usr/bin/env bash
# A file capability with a byte above 0x7f (cap_setuid is bit 7, 0x80: what newuidmap has in Fedora) in a layer that is read
# and written again, entry by entry: npm tar-stream 3.2.2, npm modern-tar 0.8.6 and Maven commons-compress 1.28.0 write 22 bytes, the
# UTF-8 text of U+FFFD in place of the byte, without an error. Python's tarfile keeps the 20 bytes.
#
# Expected: POSIX pax, "pax Extended Header": path, linkpath, uname, gname are text; the keyword is SCHILY's, whose value is the bytes of
# the attribute (star(5), "SCHILY.xattr"). Linux takes a capability of 12, 20 or 24 bytes only.
# Why it matters: containers inside of containers need newuidmap with this right. What adds a file to a layer or drops one
# through these libraries breaks it, and unpacking the layer as root fails at that file, or goes on without the attribute.
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
	capability := "\x01\x00\x00\x02\x80" + strings.Repeat("\x00", 15)
	writer := tar.NewWriter(os.Stdout)
	header := tar.Header{Name: "usr/bin/newuidmap", Mode: 0o755, Size: 5, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}}
	if err := writer.WriteHeader(&header); err != nil {
		panic(err)
	}
	writer.Write([]byte("text\n"))
	writer.Close()
}
GO
(cd write && go run .) >layer.tar
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts tar-stream@3.2.2 modern-tar@0.8.6
cat >run.mjs <<'JS'
import { createReadStream, createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import tarStream from 'tar-stream';
import { packTar, unpackTar } from 'modern-tar';
const pack = tarStream.pack(), extract = tarStream.extract();
extract.on('entry', (header, stream, next) => stream.pipe(pack.entry(header, next))).on('finish', () => pack.finalize());
createReadStream('layer.tar').pipe(extract);
pack.pipe(createWriteStream('tar-stream.tar'));
const entries = await unpackTar(readFileSync('layer.tar'));
writeFileSync('modern-tar.tar', await packTar(entries.map(({ header, data }) => ({ header, body: data }))));
JS
node run.mjs
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>example</groupId><artifactId>finding</artifactId><version>1</version><dependencies><dependency>
<groupId>org.apache.commons</groupId><artifactId>commons-compress</artifactId><version>1.28.0</version>
</dependency></dependencies></project>
XML
mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib >/dev/null
cat >Run.java <<'JAVA'
import java.io.*;
import org.apache.commons.compress.archivers.tar.*;

public class Run {
    public static void main(String[] none) throws Exception {
        try (TarArchiveInputStream in = new TarArchiveInputStream(new FileInputStream("layer.tar"));
                TarArchiveOutputStream out = new TarArchiveOutputStream(new FileOutputStream("commons-compress.tar"))) {
            for (TarArchiveEntry entry; (entry = in.getNextEntry()) != null; out.closeArchiveEntry()) {
                out.putArchiveEntry(entry);
                in.transferTo(out);
            }
        }
    }
}
JAVA
java -cp 'lib/*' Run.java
python3 - >seen <<'PY'
import tarfile
with tarfile.open("layer.tar") as source, tarfile.open("tarfile.tar", "w", format=tarfile.PAX_FORMAT) as target:
    for member in source:
        target.addfile(member, source.extractfile(member))
for name in ("layer", "tarfile", "tar-stream", "modern-tar", "commons-compress"):
    value = tarfile.open(name + ".tar").getmember("usr/bin/newuidmap").pax_headers["SCHILY.xattr.security.capability"]
    value = value.encode("utf-8", "surrogateescape")
    print(f"{name}: {len(value)} bytes, {value[:8].hex()}")
PY
cat seen
diff seen - <<'SEEN'
layer: 20 bytes, 0100000280000000
tarfile: 20 bytes, 0100000280000000
tar-stream: 22 bytes, 01000002efbfbd00
modern-tar: 22 bytes, 01000002efbfbd00
commons-compress: 22 bytes, 01000002efbfbd00
SEEN
