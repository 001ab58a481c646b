#!/usr/bin/env bash
# The Link field by which a registry names the next page, in three readers:
#  - PyPI requests 2.34.2 (Response.links, utils.parse_header_links): a ";" in the address cuts it, and rel is lost; so does a comma
#    or ";" in a quoted title that stands before rel;
#  - npm @flowbox/parse-link-header 1.0.0: an address without a scheme and a host is left out;
#  - PyPI linkheader-parser 0.6: rel=next without quotes is left out.
# PyPI weblinking 1.0.0 and npm http-link-header 1.1.4 read all of them.
#
# Expected: RFC 8288 section 3: the target stands in angle brackets and may be relative; a parameter's value is a token or a quoted string.
# RFC 3986 section 3.4 allows ";" in a query. OCI distribution-spec, "Listing Tags": the address may be relative.
# Why it matters: the list ends without an error. Registries send the path only, and a page of referrers filtered by the artifact type
# application/vnd.dev.sigstore.bundle+json;version=0.1 has the ";" in its address.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @flowbox/parse-link-header@1.0.0 http-link-header@1.1.4
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install requests==2.34.2 linkheader-parser==0.6 weblinking==1.0.0
cat >links.txt <<'TEXT'
<http://127.0.0.1/v2/app/tags/list?last=1.0&n=100>; rel="next"
</v2/app/tags/list?last=1.0&n=100>; rel="next"
<http://127.0.0.1/v2/app/tags/list?last=1.0&n=100>; rel=next
<http://127.0.0.1/v2/app/referrers/sha256:00?artifactType=application/vnd.dev.sigstore.bundle%2Bjson;version=0.1&page=2>; rel="next"
<http://127.0.0.1/v2/app/tags/list?last=1.0&n=100>; title="page 2; of 3"; rel="next"
TEXT
cat >run.cjs <<'JS'
const flowbox = require('@flowbox/parse-link-header').default, other = require('http-link-header');
require('node:fs').readFileSync('links.txt', 'utf8').trim().split('\n').forEach((text, at) => {
  const whole = text.slice(1, text.indexOf('>')), word = (found) => (!found ? 'no next page' : found === whole ? 'next' : 'another address');
  console.log(`${at + 1} @flowbox/parse-link-header: ${word(flowbox(text)?.next?.url)}`);
  console.log(`${at + 1} http-link-header: ${word(other.parse(text).rel('next')[0]?.uri)}`);
});
JS
node run.cjs >seen
cat >run.py <<'PY'
import linkheader_parser
import requests
import weblinking
for at, text in enumerate(open("links.txt").read().splitlines(), 1):
    whole = text[1:text.index(">")]
    answer = requests.Response()
    answer.headers["Link"] = text
    for name, found in {
        "requests": answer.links.get("next", {}).get("url"),
        "linkheader-parser": linkheader_parser.parse(text).get("next", {}).get("url"),
        "weblinking": next((link.uri for link in weblinking.find_all(weblinking.parse(text), "next")), None),
    }.items():
        print(f"{at} {name}:", "next" if found == whole else "another address" if found else "no next page")
PY
venv/bin/python run.py >>seen
LC_ALL=C sort -o seen seen
echo "requests 2.34.2, linkheader-parser 0.6, weblinking 1.0.0, @flowbox/parse-link-header 1.0.0, http-link-header 1.1.4, by line of:"
cat links.txt seen
diff seen - <<'SEEN'
1 @flowbox/parse-link-header: next
1 http-link-header: next
1 linkheader-parser: next
1 requests: next
1 weblinking: next
2 @flowbox/parse-link-header: no next page
2 http-link-header: next
2 linkheader-parser: next
2 requests: next
2 weblinking: next
3 @flowbox/parse-link-header: next
3 http-link-header: next
3 linkheader-parser: no next page
3 requests: next
3 weblinking: next
4 @flowbox/parse-link-header: next
4 http-link-header: next
4 linkheader-parser: next
4 requests: no next page
4 weblinking: next
5 @flowbox/parse-link-header: next
5 http-link-header: next
5 linkheader-parser: next
5 requests: no next page
5 weblinking: next
SEEN
