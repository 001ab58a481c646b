#!/usr/bin/env bash
# PyPI contenttype 0.1.3: parse() ends with ValueError on every media type of OCI, docker and Helm, since their names have more than one
# dot: application/vnd.oci.image.manifest.v1+json. PyPI mediatype 0.1.6 reads them, but writes the values of parameters in small letters,
# and cuts a quoted value off at a quote behind a backslash.
#
# Expected: RFC 6838 section 4.2: a name may hold any number of dots; what stands before the first one is the tree ("vnd"). RFC 9110
# section 8.3.1: whether a parameter's value is the same in other letters depends on the parameter; 5.6.4: quoted pairs.
# Why it matters: a server or a proxy that looks at Content-Type with it answers 500 to each manifest, and takes "application/json".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install contenttype==0.1.3 mediatype==0.1.6
cat >run.py <<'PY'
import contenttype
import mediatype
for text in ["application/json", "application/vnd.in-toto+json", "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.empty.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.cncf.helm.config.v1+json",
        'application/vnd.example+json;title="Blue \\"A\\""']:
    try:
        one = contenttype.parse(text)
        word = f"prefix {one.prefix}, subtype {one.subtype}"
    except ValueError as error:
        word = f"ValueError: {error}"
    two = mediatype.parse(text)
    print(f"{text}\n  contenttype: {word}\n  mediatype: {two.subtype}", *filter(None, [two.parameters]))
PY
venv/bin/python run.py >seen
echo "contenttype 0.1.3, mediatype 0.1.6"
cat seen
diff seen - <<'SEEN'
application/json
  contenttype: prefix None, subtype json
  mediatype: json
application/vnd.in-toto+json
  contenttype: prefix vnd, subtype in-toto
  mediatype: vnd.in-toto
application/vnd.oci.image.manifest.v1+json
  contenttype: ValueError: too many values to unpack (expected 2)
  mediatype: vnd.oci.image.manifest.v1
application/vnd.oci.empty.v1+json
  contenttype: ValueError: too many values to unpack (expected 2)
  mediatype: vnd.oci.empty.v1
application/vnd.docker.distribution.manifest.list.v2+json
  contenttype: ValueError: too many values to unpack (expected 2)
  mediatype: vnd.docker.distribution.manifest.list.v2
application/vnd.cncf.helm.config.v1+json
  contenttype: ValueError: too many values to unpack (expected 2)
  mediatype: vnd.cncf.helm.config.v1
application/vnd.example+json;title="Blue \"A\""
  contenttype: prefix vnd, subtype example
  mediatype: vnd.example {'title': 'blue \\'}
SEEN
