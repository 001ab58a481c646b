#!/usr/bin/env bash
# Four readers of the WWW-Authenticate field, on challenges of registries:
#  - npm www-authenticate 0.6.3 (under docker-registry-client 3.4.0) refuses a quote in a quoted value, realm="the \"team\" one", and a
#    blank before a comma;
#  - PyPI www-authenticate 0.9.2 refuses an empty value in quotes, scope="";
#  - npm auth-header 1.0.0 makes one challenge of "Basic realm=..., Bearer realm=...": Basic, with two realms and Bearer's service.
#  - npm @snyk/docker-registry-v2-client 4.0.5 sees no realm where another parameter stands before it, or the scheme is in small letters.
# PyPI authchallenge 1.0.0 reads them all.
#
# Expected: RFC 9110 section 11.2: a parameter's value is a token or a quoted string, which (5.6.4) may be empty and may hold quotes
# behind backslashes; blanks may stand on both sides of a comma (5.6.1). 11.6.1: one field may hold several challenges.
# The order of parameters means nothing, and 11.1: a scheme's name is the same in capitals and small letters.
# Why it matters: registries that offer Basic beside Bearer, or ask for the empty scope at /v2/, are right, and such a client ends with
# "could not parse", or sends a password where a token was wanted.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts www-authenticate@0.6.3 auth-header@1.0.0 @snyk/docker-registry-v2-client@4.0.5
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install www-authenticate==0.9.2 authchallenge==1.0.0
cat >challenges.txt <<'TEXT'
Bearer realm="http://127.0.0.1/token",service="registry",scope="repository:team/app:pull"
Basic realm="the \"team\" one"
Bearer realm="http://127.0.0.1/token" , service="registry"
Bearer realm="http://127.0.0.1/token",service="registry",scope=""
Basic realm="team", Bearer realm="http://127.0.0.1/token",service="registry"
bearer service="registry",realm="http://127.0.0.1/token"
TEXT
cat >run.mjs <<'JS'
import fs from 'node:fs';
import parsers from 'www-authenticate/lib/parsers.js';
import { parse } from 'auth-header';
import snyk from '@snyk/docker-registry-v2-client/dist/registry-call.js';
fs.readFileSync('challenges.txt', 'utf8').trim().split('\n').forEach((text, at) => {
  const one = new parsers.WWW_Authenticate(text), two = parse(text);
  console.log(`${at + 1} npm www-authenticate: ${one.err ? 'refused' : [one.scheme, ...Object.keys(one.parms)].join(' ')}`);
  const params = Object.entries(two.params).map(([key, value]) => (Array.isArray(value) ? `${key}(${value.length})` : key));
  const [realm] = snyk.parseChallengeHeaders(text);
  if (text.toLowerCase().startsWith('bearer')) console.log(`${at + 1} snyk: ${realm ? 'Bearer realm' : 'no realm'}`);
  console.log(`${at + 1} auth-header: ${[two.scheme, ...params].join(' ')}`);
});
JS
node run.mjs >seen
cat >run.py <<'PY'
import authchallenge
import www_authenticate
for at, text in enumerate(open("challenges.txt").read().splitlines(), 1):
    try:
        found = "; ".join(" ".join([scheme.title(), *params]) for scheme, params in www_authenticate.parse(text).items())
    except ValueError:
        found = "refused"
    print(f"{at} PyPI www-authenticate: {found}")
    print(f"{at} authchallenge:", "; ".join(" ".join([it.scheme.title(), *it.params]) for it in authchallenge.parse_challenges(text)))
PY
venv/bin/python run.py >>seen
echo "npm www-authenticate 0.6.3, auth-header 1.0.0, @snyk/docker-registry-v2-client 4.0.5, PyPI www-authenticate 0.9.2, authchallenge 1.0.0, by line of:"
cat challenges.txt
LC_ALL=C sort -o seen seen
cat seen
diff seen - <<'SEEN'
1 PyPI www-authenticate: Bearer realm service scope
1 auth-header: Bearer realm service scope
1 authchallenge: Bearer realm service scope
1 npm www-authenticate: Bearer realm service scope
1 snyk: Bearer realm
2 PyPI www-authenticate: Basic realm
2 auth-header: Basic realm
2 authchallenge: Basic realm
2 npm www-authenticate: refused
3 PyPI www-authenticate: Bearer realm service
3 auth-header: Bearer realm service
3 authchallenge: Bearer realm service
3 npm www-authenticate: refused
3 snyk: Bearer realm
4 PyPI www-authenticate: refused
4 auth-header: Bearer realm service scope
4 authchallenge: Bearer realm service scope
4 npm www-authenticate: Bearer realm service scope
4 snyk: Bearer realm
5 PyPI www-authenticate: Basic realm; Bearer realm service
5 auth-header: Basic realm(2) service
5 authchallenge: Basic realm; Bearer realm service
5 npm www-authenticate: Basic realm Bearer realm service
6 PyPI www-authenticate: Bearer service realm
6 auth-header: bearer service realm
6 authchallenge: Bearer service realm
6 npm www-authenticate: bearer service realm
6 snyk: no realm
SEEN
