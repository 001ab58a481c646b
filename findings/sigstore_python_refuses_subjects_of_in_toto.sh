#!/usr/bin/env bash
# PyPI sigstore 4.5.1, dsse.Statement (what it reads from a bundle with an attestation): a subject without a name is "malformed", and so is
# one with any digest beside sha256, sha384, sha512 and three of sha3: gitCommit, sha1, also where sha256 stands next to it.
# A predicate may be left out.
#
# Expected: in-toto attestation v1, statement.md: a subject's name without meaning is left unset. digest_set.md: gitCommit and sha1 are
# among the named algorithms, others may be used, and a consumer MUST ignore those that it does not know or accept.
# Why it matters: statements on a commit (source provenance) have gitCommit alone, a scan may leave the name away,
# and builders add sha1 for older stores. A check in Python ends with an error about the whole statement, however good its signature.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install sigstore==4.5.1
cat >run.py <<'PY'
import json
from sigstore.dsse import Statement
from sigstore.errors import Error
sha256, commit = "ab" * 32, "cd" * 20
subjects = {
    "name, sha256": {"name": "app", "digest": {"sha256": sha256}},
    "sha256": {"digest": {"sha256": sha256}},
    'name "_", sha256': {"name": "_", "digest": {"sha256": sha256}},
    "name, sha256, sha1": {"name": "app", "digest": {"sha256": sha256, "sha1": commit}},
    "name, gitCommit": {"name": "app", "digest": {"gitCommit": commit}},
}
for name, subject in subjects.items():
    statement = {"_type": "https://in-toto.io/Statement/v1", "subject": [subject], "predicateType": "https://example.com/reviewed/v1"}
    try:
        Statement(json.dumps(statement).encode())
        word = "taken"
    except Error as error:
        word = "refused, " + str(error).splitlines()[1]
    print(f"subject with {name}: {word}")
PY
venv/bin/python run.py >seen
echo "sigstore 4.5.1"
cat seen
diff seen - <<'SEEN'
subject with name, sha256: taken
subject with sha256: refused, subject.0.name
subject with name "_", sha256: taken
subject with name, sha256, sha1: refused, subject.0.digest.sha1.[key]
subject with name, gitCommit: refused, subject.0.digest.gitCommit.[key]
SEEN
