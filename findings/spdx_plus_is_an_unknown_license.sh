#!/usr/bin/env bash
# "Apache-2.0+" and every other licence with the operator +: PyPI license-expression 30.4.4 calls it an unknown licence, PyPI spdx-tools
# 0.8.5, SPDX's own tool for Python, calls a document with it invalid ("Unrecognized license reference"), and PyPI
# py-spdx-license 0.0.1 throws "Unexpected '+'". "GPL-2.0+" passes, as that is a name of the list.
#
# Expected: SPDX 2.3 Annex D.2 and D.4: simple-expression is license-id, license-id "+", or license-ref; the + stands behind any licence of the
# list. PyPI pyspdx 1.2.0, npm spdx-expression-parse 5.0.0 take it.
# Why it matters: licences from Debian's copyright files are "or later" by a plus (CDDL-1.0+, MPL-1.1+, EPL-1.0+); an SBOM of an image that
# says so is right, and its users' validators refuse the whole document.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install license-expression==30.4.4 spdx-tools==0.8.5 py-spdx-license==0.0.1 pyspdx==1.2.0
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts spdx-expression-parse@5.0.0
cat >run.py <<'PY'
import json
import py_spdx_license, pyspdx
from license_expression import get_spdx_licensing
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
def document(text):
    json.dump({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "image",
        "documentNamespace": "https://registry.example/image", "creationInfo": {"created": "2024-01-01T00:00:00Z", "creators": ["Tool: example"]},
        "packages": [{"name": "package", "SPDXID": "SPDXRef-package", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseDeclared": text, "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION"}],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-package"}]},
        open("image.spdx.json", "w"))
    return [found.validation_message.split(". ")[0] for found in validate_full_spdx_document(parse_file("image.spdx.json"))]
def attempt(read, text):
    try:
        read(text)
        return "taken"
    except Exception as error:
        return str(error)
for text in ("Apache-2.0", "Apache-2.0+", "CDDL-1.0+", "GPL-2.0+"):
    print(f"{text}: license-expression {get_spdx_licensing().validate(text).errors}, spdx-tools {document(text)}, "
          f"py-spdx-license {attempt(py_spdx_license.parse, text)}, pyspdx {attempt(pyspdx.validate, text)}")
PY
venv/bin/python run.py >seen
node -e 'for (const text of ["Apache-2.0+", "CDDL-1.0+"]) console.log(text + ": spdx-expression-parse", JSON.stringify(require("spdx-expression-parse")(text)));' >>seen
cat seen
diff seen - <<'SEEN'
Apache-2.0: license-expression [], spdx-tools [], py-spdx-license taken, pyspdx taken
Apache-2.0+: license-expression ['Unknown license key(s): Apache-2.0+'], spdx-tools ['Unrecognized license reference: Apache-2.0+'], py-spdx-license Unexpected '+', pyspdx taken
CDDL-1.0+: license-expression ['Unknown license key(s): CDDL-1.0+'], spdx-tools ['Unrecognized license reference: CDDL-1.0+'], py-spdx-license Unexpected '+', pyspdx taken
GPL-2.0+: license-expression [], spdx-tools [], py-spdx-license Unexpected '+', pyspdx taken
Apache-2.0+: spdx-expression-parse {"license":"Apache-2.0","plus":true}
CDDL-1.0+: spdx-expression-parse {"license":"CDDL-1.0","plus":true}
SEEN
