#!/usr/bin/env bash
# One package URL of a container image, four libraries, four "canonical" texts of it: npm packageurl-js 2.0.1, PyPI
# packageurl-python 0.17.6, Go packageurl-go v0.1.7 and Maven packageurl-java 1.5.0 differ in which of ':' and '/' they write as
# %3A and %2F, and where; of a Debian package with "+" in its version packageurl-js writes the plus as it is, the others %2B.
#
# Expected: purl specification (ECMA-427, "Character encoding"): a colon is not percent-encoded, wherever it stands; a slash
# that is no separator is. So there is one canonical text, and it is Go's. The reason to have one: equality of texts is equality of packages.
# Why it matters: an SBOM made by one tool and a VEX document or an allow-list made by another name the same image, and a look-up
# by text finds nothing; "not affected" is then not applied, or applied to nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
image='pkg:oci/debian@sha256:244fd47e07d1004f0aed9c?repository_url=127.0.0.1:5000/library/debian&tag=latest'
package='pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64'

npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts packageurl-js@2.0.1
cat >run.mjs <<'JS'
import { PackageURL } from 'packageurl-js';
for (const text of process.argv.slice(2)) console.log('packageurl-js', PackageURL.fromString(text).toString());
JS
node run.mjs "$image" "$package" >all.txt

python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install packageurl-python==0.17.6
venv/bin/python -c '
import sys
from packageurl import PackageURL
for text in sys.argv[1:]:
    print("packageurl-python", PackageURL.from_string(text).to_string())' "$image" "$package" >>all.txt

go mod init example/finding >/dev/null 2>&1
go get github.com/package-url/packageurl-go@v0.1.7 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	packageurl "github.com/package-url/packageurl-go"
)

func main() {
	for _, text := range os.Args[1:] {
		purl, err := packageurl.FromString(text)
		if err != nil {
			panic(err)
		}
		fmt.Println("packageurl-go", purl.ToString())
	}
}
GO
go run . "$image" "$package" >>all.txt

cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>example</groupId><artifactId>finding</artifactId><version>1</version><dependencies><dependency>
<groupId>com.github.package-url</groupId><artifactId>packageurl-java</artifactId><version>1.5.0</version>
</dependency></dependencies></project>
XML
mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib >/dev/null
cat >Run.java <<'JAVA'
public class Run {
    public static void main(String[] texts) throws Exception {
        for (String text : texts) {
            System.out.println("packageurl-java " + new com.github.packageurl.PackageURL(text).canonicalize());
        }
    }
}
JAVA
java -cp 'lib/*' Run.java "$image" "$package" >>all.txt

cat all.txt
images=$(grep -c 'pkg:oci' all.txt) different=$(grep 'pkg:oci' all.txt | cut -d' ' -f2 | sort -u | wc -l)
plain=$(grep 'pkg:deb' all.txt | grep -cv '%2Bdeb12u1' || true)
echo "$images libraries, $different texts of the image; $plain of them writes the plus in the Debian version as it is"
[ "$images" = 4 ] && [ "$different" = 4 ] && [ "$plain" = 1 ]
