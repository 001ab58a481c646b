#!/usr/bin/env bash
# Media types with parameters, in Maven okhttp 4.12.0, npm content-type-parser 1.0.2 and mimeparse 0.1.4: okhttp's MediaType.parse() is null
# where a blank stands before the ";" or a quoted value holds a quote behind a backslash; content-type-parser breaks
# a quoted value at a ";" or a quote in it; mimeparse leaves the quotes in the value, and cuts it at ";". PyPI mediaparse 1.0.0 reads all four.
#
# Expected: RFC 9110 section 5.6.6: blanks may stand on both sides of ";"; 5.6.4: a quoted string may hold ";" and, behind a backslash, a
# quote, and means the same as the token without quotes.
# Why it matters: with null, a client of a registry in Java does not know a manifest's kind from Content-Type; and an Accept or Content-Type
# that a gateway reads and writes again is another one.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >types.txt <<'TEXT'
application/vnd.oci.image.index.v1+json; title=one
application/vnd.oci.image.index.v1+json ; title="one"
application/vnd.oci.image.index.v1+json; title="one; two"
application/vnd.oci.image.index.v1+json; title="the \"first\""
TEXT
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>example</groupId><artifactId>finding</artifactId><version>1</version><dependencies><dependency>
<groupId>com.squareup.okhttp3</groupId><artifactId>okhttp</artifactId><version>4.12.0</version>
</dependency></dependencies></project>
XML
mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib >/dev/null
cat >Run.java <<'JAVA'
import java.nio.file.*;
import okhttp3.MediaType;

public class Run {
    public static void main(String[] none) throws Exception {
        int at = 1;
        for (String text : Files.readAllLines(Path.of("types.txt"))) {
            MediaType it = MediaType.parse(text);
            System.out.println(at++ + " okhttp: " + (it == null ? "null" : it.parameter("title")));
        }
    }
}
JAVA
java -cp 'lib/*' Run.java >seen
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts content-type-parser@1.0.2 mimeparse@0.1.4
cat >run.cjs <<'JS'
const contentType = require('content-type-parser'), mimeparse = require('mimeparse');
require('node:fs').readFileSync('types.txt', 'utf8').trim().split('\n').forEach((text, at) => {
  console.log(`${at + 1} content-type-parser: ${contentType(text)?.toString().split(';').slice(1).join(';').trim() ?? 'null'}`);
  console.log(`${at + 1} mimeparse: ${mimeparse.parseMimeType(text)[2].title}`);
});
JS
node run.cjs >>seen
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install mediaparse==1.0.0
venv/bin/python -c '
import mediaparse
for at, text in enumerate(open("types.txt").read().splitlines(), 1):
    print(at, "mediaparse:", mediaparse.parse(text)[1]["title"])' >>seen
LC_ALL=C sort -o seen seen
echo "okhttp 4.12.0, content-type-parser 1.0.2, mimeparse 0.1.4, mediaparse 1.0.0, the title (content-type-parser: as written back) by line of:"
cat types.txt seen
diff seen - <<'SEEN'
1 content-type-parser: title=one
1 mediaparse: one
1 mimeparse: one
1 okhttp: one
2 content-type-parser: title=one
2 mediaparse: one
2 mimeparse: "one"
2 okhttp: null
3 content-type-parser: title="\"one"; two"
3 mediaparse: one; two
3 mimeparse: "one
3 okhttp: one; two
4 content-type-parser: title="\"the"
4 mediaparse: the "first"
4 mimeparse: "the \"first\""
4 okhttp: null
SEEN
