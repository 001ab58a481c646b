#!/usr/bin/env bash
# Valid names of images, in Maven testcontainers 2.0.5, jib-core 0.27.3 and docker-java-core 3.7.0, and npm docker-registry-client 3.4.0:
#  - NAME:TAG@DIGEST: testcontainers and docker-registry-client refuse it, docker-java loses the tag and the digest;
#  - a digest of sha512: all three of Maven refuse it;
#  - docker.io/app: jib, which talks to the registry itself, asks for the repository "app"; for it too, "app" alone is "library/app";
#  - [::1]:5000/app:1: jib refuses it; registry.example/a/app:1: docker-registry-client refuses a namespace of one letter.
# Go reference v0.6.0 (docker, podman) reads all five.
#
# Expected: distribution reference grammar (`reference.go`, "Grammar"): name [":" tag] ["@" digest], where a digest has any algorithm and 32
# hexadecimal digits or more, and a domain may be an IPv6 address. `normalize.go`: of docker.io, a name without "/" is in library.
# Why it matters: tools that pin images write NAME:TAG@DIGEST, so that people and machines both read it; a test suite or a build then ends,
# or goes on with another image.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
sha256=sha256:$(printf 'ab%.0s' $(seq 32)) sha512=sha512:$(printf 'ab%.0s' $(seq 64))
names=("registry.example/app:1" "registry.example/app:1@$sha256" "registry.example/app@$sha512"
  docker.io/app '[::1]:5000/app:1' registry.example/a/app:1)
go mod init example/finding >/dev/null 2>&1
go get github.com/distribution/reference@v0.6.0 github.com/opencontainers/go-digest@v1.0.0 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"os"

	"github.com/distribution/reference"
)

func main() {
	for at, text := range os.Args[1:] {
		named, err := reference.ParseNormalizedNamed(text)
		if err != nil {
			panic(err)
		}
		tag, digest := "", ""
		if it, ok := named.(reference.Tagged); ok {
			tag = it.Tag()
		}
		if it, ok := named.(reference.Digested); ok {
			digest = it.Digest().String()[:6]
		}
		fmt.Println(at+1, "reference:", reference.Domain(named), reference.Path(named), tag, digest)
	}
}
GO
go run . "${names[@]}" >seen
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts docker-registry-client@3.4.0
cat >run.cjs <<'JS'
const { parseRepoAndRef } = require('docker-registry-client');
process.argv.slice(2).forEach((text, at) => {
  let word = 'refused';
  try {
    const it = parseRepoAndRef(text);
    word = [it.index.name, it.remoteName, it.tag ?? '', it.digest?.slice(0, 6) ?? ''].join(' ');
  } catch { /* the word says it */ }
  console.log(`${at + 1} docker-registry-client: ${word}`);
});
JS
node run.cjs "${names[@]}" >>seen
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>example</groupId><artifactId>finding</artifactId><version>1</version><dependencies>
<dependency><groupId>org.testcontainers</groupId><artifactId>testcontainers</artifactId><version>2.0.5</version></dependency>
<dependency><groupId>com.google.cloud.tools</groupId><artifactId>jib-core</artifactId><version>0.27.3</version></dependency>
<dependency><groupId>com.github.docker-java</groupId><artifactId>docker-java-core</artifactId><version>3.7.0</version></dependency>
</dependencies></project>
XML
mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib >/dev/null
cat >Run.java <<'JAVA'
import com.github.dockerjava.core.NameParser;
import com.google.cloud.tools.jib.api.ImageReference;
import java.util.concurrent.Callable;
import org.testcontainers.utility.DockerImageName;

public class Run {
    static void show(int at, String library, Callable<String> reader) {
        String word = "refused";
        try {
            word = reader.call();
        } catch (Exception error) {
            // The word says it.
        }
        System.out.println(at + " " + library + ": " + word);
    }

    public static void main(String[] names) {
        for (int at = 1; at <= names.length; at++) {
            String text = names[at - 1];
            show(at, "jib", () -> {
                ImageReference it = ImageReference.parse(text);
                String digest = it.getDigest().map(whole -> whole.substring(0, 6)).orElse("");
                return it.getRegistry() + " " + it.getRepository() + " " + it.getTag().orElse("") + " " + digest;
            });
            show(at, "testcontainers", () -> {
                DockerImageName it = DockerImageName.parse(text);
                it.assertValid();
                String version = it.getVersionPart();
                return it.getRegistry() + " " + it.getRepository() + " " + version.substring(0, Math.min(6, version.length()));
            });
            show(at, "docker-java", () -> {
                NameParser.ReposTag it = NameParser.parseRepositoryTag(text);
                NameParser.HostnameReposName name = NameParser.resolveRepositoryName(it.repos);
                return name.hostname + " " + name.reposName + " " + it.tag;
            });
        }
    }
}
JAVA
java -cp 'lib/*' Run.java "${names[@]}" 2>/dev/null >>seen
sed 's/ *$//' seen | LC_ALL=C sort >sorted
echo "testcontainers 2.0.5, jib-core 0.27.3, docker-java-core 3.7.0, docker-registry-client 3.4.0, reference v0.6.0"
printf '%s\n' "${names[@]}" | cut -c1-60 | cat -n
cat sorted
diff sorted - <<'SEEN'
1 docker-java: registry.example app 1
1 docker-registry-client: registry.example app 1
1 jib: registry.example app 1
1 reference: registry.example app 1
1 testcontainers: registry.example app 1
2 docker-java: registry.example app
2 docker-registry-client: refused
2 jib: registry.example app 1 sha256
2 reference: registry.example app 1 sha256
2 testcontainers: refused
3 docker-java: refused
3 docker-registry-client: registry.example app  sha512
3 jib: refused
3 reference: registry.example app  sha512
3 testcontainers: refused
4 docker-java: docker.io app
4 docker-registry-client: docker.io library/app latest
4 jib: registry-1.docker.io app latest
4 reference: docker.io library/app
4 testcontainers: docker.io app latest
5 docker-java: [::1]:5000 app 1
5 docker-registry-client: [::1]:5000 app 1
5 jib: refused
5 reference: [::1]:5000 app 1
5 testcontainers: [::1]:5000 app 1
6 docker-java: registry.example a/app 1
6 docker-registry-client: refused
6 jib: registry.example a/app 1
6 reference: registry.example a/app 1
6 testcontainers: registry.example a/app 1
SEEN
