#!/usr/bin/env bash
# PyPI cyclonedx-python-lib 11.12.0: reading a CycloneDX document and writing it again takes "CVSS:3.1/" and "CVSS:4.0/" off every
# vector of a rating. PyPI cvss 3.6 and npm ae-cvss-calculator then refuse the vector.
#
# Expected: CVSS v3.1 section 6 and v4.0 section 7 (Vector String): the string begins with the label and the version; it is part
# of it. CycloneDX says of `vector` only that it is a textual representation of the metrics, and its own examples have the prefix.
# Why it matters: tools that filter, merge or sign SBOM and VEX documents of images use this library; the next reader cannot
# compute the score any more, and 3.0 and 3.1 differ in the environmental equations.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install cyclonedx-python-lib==11.12.0 cvss==3.6
cat >run.py <<'PY'
import json, sys, warnings
from cvss import CVSS3, CVSS4
from cvss.exceptions import CVSSError
from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6

warnings.simplefilter("ignore")
vectors = {"CVSSv31": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
           "CVSSv4": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}
document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "vulnerabilities": [
    {"bom-ref": "v", "id": "CVE-2026-0001", "ratings": [{"method": m, "vector": v} for m, v in vectors.items()]}]}
again = json.loads(JsonV1Dot6(Bom.from_json(document)).output_as_string())
seen = {r["method"]: r["vector"] for r in again["vulnerabilities"][0]["ratings"]}
print("cyclonedx-python-lib 11.12.0")
same = True
for method, vector in vectors.items():
    reader = CVSS3 if method == "CVSSv31" else CVSS4
    try:
        answer = reader(seen[method]).scores()
    except CVSSError as error:
        answer = f"refused: {error}"
    print(f"  {method}: {vector}\n    written as {seen[method]}\n    by PyPI cvss before {reader(vector).scores()}, after: {answer}")
    same &= seen[method] == vector.split("/", 1)[1] and "refused" in str(answer)
sys.exit(not same)
PY
venv/bin/python run.py
