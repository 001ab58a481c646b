#!/usr/bin/env bash
# Debian 12 git 2.39.5: the line "foo**/bar" in a .gitignore leaves out foobar and foo/deep/bar, as if "**/" stood at the beginning of
# the pattern, behind the letters foo. With a wildcard in front, "fo?**/bar", it leaves out none of them, only foo/bar and foox/bar.
#
# Expected: gitignore(5), "PATTERN FORMAT": "**" has its meaning between slashes and at the ends only; "Other consecutive asterisks are considered
# regular asterisks", so the first line means foo*/bar. npm ignore 7.0.16 and PyPI pathspec 1.1.1 read it by the manual.
# Why it matters: a builder that reads .gitignore for itself, by the manual, puts files into an image that `git status` and
# `git check-ignore` say are ignored, and the folder of a fresh clone does not have.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq git=1:2.39.5-0+deb12u3
dpkg -x git_*.deb root
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install pathspec==1.1.1
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts ignore@7.0.16
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git() { "$work/root/usr/bin/git" --exec-path="$work/root/usr/lib/git-core" "$@"; }
git --version
git init -q --template= tree
mkdir -p tree/foo/deep tree/foox
files='foo/bar foo/deep/bar foobar foox/bar'
(cd tree && touch $files)
: >seen
for line in 'foo**/bar' 'fo?**/bar' 'foo*/bar'; do
  echo "$line" >tree/.gitignore
  # shellcheck disable=SC2086
  {
    echo "$line | git: $(cd tree && git check-ignore $files | tr '\n' ' ')| pathspec: $(venv/bin/python -c '
import sys, pathspec
spec = pathspec.GitIgnoreSpec.from_lines(sys.argv[1:2])
print(*filter(spec.match_file, sys.argv[2:]))' "$line" $files) | ignore: $(node -e '
const [line, ...paths] = process.argv.slice(1);
console.log(paths.filter((path) => require("ignore")().add(line).ignores(path)).join(" "));' "$line" $files)" >>seen
  }
done
cat seen
diff seen - <<'SEEN'
foo**/bar | git: foo/bar foo/deep/bar foobar foox/bar | pathspec: foo/bar foox/bar | ignore: foo/bar foox/bar
fo?**/bar | git: foo/bar foox/bar | pathspec: foo/bar foox/bar | ignore: foo/bar foox/bar
foo*/bar | git: foo/bar foox/bar | pathspec: foo/bar foox/bar | ignore: foo/bar foox/bar
SEEN
