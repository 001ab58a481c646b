#!/usr/bin/env bash
# npm dotignore 0.1.2, which reads .gitignore files: a line that is commented out ("#keys" or "# keys") still leaves out
# the file keys; "build/" leaves out nothing, neither the folder nor what is in it; "*" lets files that begin with a dot through, and
# "**/keys" the one at the top. dotgitignore 2.1.0, which carries a copy of it, does the last three.
#
# Expected: gitignore(5), "PATTERN FORMAT": a line starting with # serves as a comment; a separator at the end: only directories; an asterisk
# matches anything except a slash; a leading "**/" means match in all directories, foo the same as "**/foo".
# Why it matters: packagers of Node programs filter what goes into the layer with it: a rule that was switched off leaves a file out of
# the image, "build/" and "*" let caches and .env in. `git check-ignore` is the reference here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts dotignore@0.1.2 dotgitignore@2.1.0
git init -q tree
mkdir -p tree/build tree/deep
files='.env build/cache deep/keys keys'
(cd tree && touch $files)
cat >run.cjs <<'JS'
const { writeFileSync } = require('node:fs');
const [ignore, ...paths] = process.argv.slice(2);
process.chdir('tree');
writeFileSync('.gitignore', `${ignore}\n`);
const matcher = require('dotignore').createMatcher(`${ignore}\n`), found = require('dotgitignore')();
const show = (test) => paths.filter(test).join(' ') || '-';
console.log(`dotignore: ${show((path) => matcher.shouldIgnore(path))} | dotgitignore: ${show((path) => found.ignore(path))}`);
JS
: >seen
for ignore in '#keys' '# keys' 'build/' '*' '**/keys' 'keys'; do
  # shellcheck disable=SC2086
  {
    libraries=$(node run.cjs "$ignore" $files)
    git=$(cd tree && git check-ignore $files | tr '\n' ' ' || true)
    echo "$ignore | git: ${git:-- }| $libraries" >>seen
  }
done
cat seen
diff seen - <<'SEEN'
#keys | git: - | dotignore: deep/keys keys | dotgitignore: -
# keys | git: - | dotignore: deep/keys keys | dotgitignore: -
build/ | git: build/cache | dotignore: - | dotgitignore: -
* | git: .env build/cache deep/keys keys | dotignore: build/cache deep/keys keys | dotgitignore: build/cache deep/keys keys
**/keys | git: deep/keys keys | dotignore: deep/keys | dotgitignore: deep/keys
keys | git: deep/keys keys | dotignore: deep/keys keys | dotgitignore: deep/keys keys
SEEN
