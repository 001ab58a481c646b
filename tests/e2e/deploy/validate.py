#!/usr/bin/env python3
"""Validates what `wharf offer deploy` writes, by what others say of it: container groups by the models that
Microsoft generates from the description of its API (azure-mgmt-containerinstance, 2023-05-01), Bicep by two grammars.

    validate.py KIND=FILE...      KIND is group, arm or bicep
    validate.py schemas=FOLDER    puts the JSON schemas of Kubernetes there, as kubeconform reads them

What does not fit is printed, one line each, and the exit code is 1.
"""
import importlib.util
import json
import re
import sys
from pathlib import Path

VERSION = "v1.37.0-local-strict"
KINDS = ["serviceaccount-v1", "service-v1", "deployment-apps-v1", "statefulset-apps-v1",
         "networkpolicy-networking-v1", "poddisruptionbudget-policy-v1"]
TYPE = "Microsoft.ContainerInstance/containerGroups"
API_VERSION = "2023-05-01"
# Limits of the service that its models do not have (resource and quota limits, FAQ).
RESERVED = [(22, 22), (1025, 1027), (3389, 3399), (9999, 9999), (19000, 19000), (19080, 19080), (19100, 19100),
            (19390, 19390), (20000, 30000), (49152, 65534)]
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
VARIABLE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_]{0,61}[A-Za-z0-9])?")
PINNED = re.compile(r"[^/\s]+/[a-z0-9][a-z0-9._/-]*@sha256:[0-9a-f]{64}")


def nested(fields):
    """The fields of a model as JSON has them: `properties.osType` is a mapping in a mapping."""
    tree = {}
    for name, field in fields.items():
        parts = field["key"].replace("\\.", "\0").split(".")
        at = tree
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1].replace("\0", ".")] = (name, field["type"])
    return tree


def fits(value, kind, place):
    """Whether a value is of a type of the models: every key known, every required one there, every enum's word."""
    from azure.mgmt.containerinstance import models

    if kind.startswith("["):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [fault for at, item in enumerate(value) for fault in fits(item, kind[1:-1], f"{place}[{at}]")]
    if kind.startswith("{"):
        good = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        return [] if good else [f"{place} is no map of texts"]
    plain = {"str": str, "int": int, "float": (int, float), "bool": bool, "object": dict}
    if kind in plain:
        is_flag = isinstance(value, bool) and kind != "bool"
        return [] if isinstance(value, plain[kind]) and not is_flag else [f"{place} is no {kind}: {value!r}"]
    model = getattr(models, kind)
    return mapping(value, nested(model._attribute_map), model, place)


def mapping(value, tree, model, place):
    if not isinstance(value, dict):
        return [f"{place} is no mapping"]
    faults = [f"{place} has no field {key}" for key in value.keys() - tree.keys()]
    for key, known in tree.items():
        if isinstance(known, dict):
            faults += mapping(value.get(key, {}), known, model, f"{place}.{key}")
            continue
        name, kind = known
        rules = model._validation.get(name, {})
        if key not in value:
            faults += [f"{place} lacks {key}"] if rules.get("required") and not rules.get("readonly") else []
            continue
        if rules.get("readonly") and key not in ("name", "type"):
            faults.append(f"{place}.{key} is not ours to set")
        faults += fits(value[key], kind, f"{place}.{key}") + word(value[key], model, name, f"{place}.{key}")
    return faults


def word(value, model, name, place):
    """Which words an enum has stands only in the documentation of its model."""
    from azure.mgmt.containerinstance import models

    said = re.search(rf":(?:paramtype|vartype) {name}: str or\s+~azure\.mgmt\.containerinstance\.models\.(\w+)", model.__doc__)
    words = [item.value for item in getattr(models, said.group(1))] if said else None
    return [f"{place}: {value!r} is none of {words}"] if words and value not in words else []


def group(value):
    faults = []
    if (value.get("type"), value.get("apiVersion")) != (TYPE, API_VERSION):
        faults.append(f"{value.get('type')} {value.get('apiVersion')}")
    value = {key: item for key, item in value.items() if key != "apiVersion"}
    faults += fits(value, "ContainerGroup", "group")
    return faults if faults else limits(value["properties"])


def limits(properties):
    faults = []
    containers, volumes = properties["containers"], properties.get("volumes", [])
    if not 1 <= len(containers) <= 60 or len(volumes) > 20:
        faults.append(f"{len(containers)} containers, {len(volumes)} volumes")
    opened = [(at["port"], at["protocol"]) for at in properties.get("ipAddress", {}).get("ports", [])]
    listening = []
    for container in containers:
        said = container["properties"]
        listening += [(at["port"], at["protocol"]) for at in said.get("ports", [])]
        request = said["resources"]["requests"]
        if not NAME.fullmatch(container["name"]):
            faults.append(f"the name {container['name']}")
        if not (1 <= request["cpu"] <= 31 and 1 <= request["memoryInGB"] <= 240):
            faults.append(f"requests {request}")
        names = [at["name"] for at in said.get("environmentVariables", [])]
        faults += [f"the variable {name}" for name in names if not VARIABLE.fullmatch(name)]
        faults += ["a variable twice"] if len(set(names)) < len(names) else []
        known = {at["name"] for at in volumes}
        faults += [f"{at} is of no volume" for at in said.get("volumeMounts", []) if at["name"] not in known]
        if not (PINNED.fullmatch(said["image"]) or said["image"].startswith("[concat(parameters('registryServer'), ")):
            faults.append(f"the image {said['image']}")
    if sorted(opened) != sorted(listening) or len(opened) > 5:
        faults.append(f"{opened} are open, {listening} are listened on")
    for port, _ in opened:
        if not 1 <= port <= 65535 or any(first <= port <= last for first, last in RESERVED):
            faults.append(f"the port {port}")
    for volume in volumes:
        name = volume["name"]
        if not NAME.fullmatch(name) or len(name) < 5 or "--" in name:
            faults.append(f"the volume {name}")
    return faults


def group_file(text):
    import yaml

    return group(yaml.safe_load(text))


def arm(text):
    template = json.loads(text)
    faults = [f"no {key}" for key in ("$schema", "contentVersion", "resources") if key not in template]
    parameters = template["parameters"]
    # What begins with two brackets is a text.
    expressions = re.sub(r'"\[\[.*"', "", text)
    used = set(re.findall(r"parameters\('([^']*)'\)", expressions))
    faults += [f"the parameter {name} is not there" for name in used - parameters.keys()]
    faults += [f"nobody uses {name}" for name in parameters.keys() - used]
    lower = [name.lower() for name in parameters]
    faults += ["two parameters differ by case only"] if len(set(lower)) < len(lower) else []
    (resource,) = template["resources"]
    login = resource["properties"].get("imageRegistryCredentials")
    if isinstance(login, str):
        # An expression with three properties.
        resource["properties"]["imageRegistryCredentials"] = [{"server": "x", "username": "x", "password": "x"}]
        faults += [] if all(f"'{key}'" in login for key in ("server", "username", "password")) else [login]
    return faults + group(resource)


def bicep(text):
    import pycep
    import tree_sitter
    import tree_sitter_bicep

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
    tree = parser.parse(text.encode()).root_node
    if tree.has_error:
        return [f"tree-sitter: {broken(tree)}"]
    # This parser takes `\\'` for a quote that is escaped, and `\${` for an interpolation; other escapes it knows.
    other = text.replace("\\\\", "\\u{5c}").replace("\\${", "\\u{24}{")
    parsed = pycep.BicepParser().parse(text=other)
    (resource,) = parsed["resources"].values()
    value = {"type": resource["type"], "apiVersion": resource["api_version"], **plain(resource["config"])}
    properties = value["properties"]
    login = [{key: "x" for key in ("server", "username", "password")}]
    image = f"${{registryServer}}/${{repository}}@"
    if f"image: '{image}sha256:" not in text or not isinstance(properties["imageRegistryCredentials"], dict):
        return ["the image or who pulls it is no parameter"]
    properties["imageRegistryCredentials"] = login
    for container in properties["containers"]:
        container["properties"]["image"] = f"x/x@sha256:{'0' * 64}"
    return group(value)


def plain(value):
    """What the parser makes of a value: numbers of `json('0.5')` are calls."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("function", {}).get("type") == "json":
        return float(value["function"]["parameters"]["arg_1"])
    return {key: plain(item) for key, item in value.items()}


def broken(node):
    if node.type == "ERROR" or node.is_missing:
        return f"line {node.start_point[0] + 1}: {node.text[:80]!r}"
    found = (broken(child) for child in node.children if child.has_error or child.is_missing)
    return next((fault for fault in found if fault), None)


def schemas(folder):
    """Those of kubernetes-validate name one another by addresses that only it knows."""
    package = Path(importlib.util.find_spec("kubernetes_validate").origin).parent
    folder.mkdir(parents=True, exist_ok=True)
    for name in KINDS + ["_definitions"]:
        text = (package / "kubernetes-json-schema" / VERSION / f"{name}.json").read_text()
        schema = json.loads(text.replace("/api/_definitions.json", "_definitions.json"))
        schema.pop("$id", None)
        (folder / f"{name}.json").write_text(json.dumps(schema))


def main():
    kinds = {"group": group_file, "arm": arm, "bicep": bicep}
    count = 0
    for wanted in sys.argv[1:]:
        kind, _, file = wanted.partition("=")
        if kind == "schemas":
            schemas(Path(file))
            continue
        for fault in kinds[kind](Path(file).read_text()):
            print(f"{file}: {fault}")
            count += 1
    sys.exit(1 if count else 0)


main()
