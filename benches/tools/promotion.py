#!/usr/bin/env python3
"""Measures `wharf promote` beside other programs that copy images between registries: requests by
method and bytes from the access logs of docker-registry, wall and CPU seconds, peak memory.

promotion.py FOLDER [CASE...]    same (one registry), two, nothing (done before); all without a name

The corpus has the shape of what people mirror (39 repositories, 51 tags, 131 manifests, 570 distinct
blobs, 738 MB): multi-platform images that share base layers, a few large layers, many small ones. It
is made once, in FOLDER. Programs that are not there are left out. WHARF=PROGRAM is what is measured.
"""
import collections
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURES = ["amd64", "arm64", "s390x"]
REPOSITORIES, SHARED, OWN, TOTAL_BYTES = 39, 94, 375, 738_000_000
CASES = ["same", "two", "nothing"]
RUNS = int(os.environ.get("RUNS", "3"))


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sizes(dice):
    """Of all layers: 18 large ones among the shared, the others as a long tail."""
    weights = [dice.lognormvariate(0, 1.6) for _ in range(SHARED + OWN)]
    large = [30_000_000 if at < 6 else 14_000_000 for at in range(18)]
    rest = TOTAL_BYTES - sum(large)
    scale = rest / sum(weights[18:])
    return large + [max(200, min(12_000_000, int(weight * scale))) for weight in weights[18:]]


class Registry:
    """docker-registry on a port of the system's choice, with its access log."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.log = os.path.join(folder, "log")
        config = os.path.join(folder, "config.yml")
        with open(config, "w") as file:
            file.write(
                "version: 0.1\nlog:\n  accesslog:\n    disabled: true\n  level: info\n"
                f"storage:\n  filesystem:\n    rootdirectory: {folder}/root\n"
                "http:\n  addr: 127.0.0.1:0\n"
            )
        env = dict(os.environ, OTEL_TRACES_EXPORTER="none")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log, env=env)
        while True:
            found = re.search(r"listening on ([0-9.]+:[0-9]+)", open(self.log).read())
            if found:
                break
            time.sleep(0.02)
        self.host = found.group(1)

    def requests(self):
        """Requests so far by method, and bytes of blobs that were read."""
        counts, read = collections.Counter(), 0
        for line in open(self.log, errors="replace"):
            if "response completed" not in line:
                continue
            method = re.search(r"http.request.method=(\S+)", line).group(1)
            counts[method] += 1
            written = re.search(r"http.response.written=(\d+)", line)
            if method == "GET" and "/blobs/" in line and written:
                read += int(written.group(1))
        return counts, read

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Filler:
    def __init__(self, host):
        self.connection = http.client.HTTPConnection(host)

    def call(self, method, path, body=None, kind=None):
        headers = {"Content-Type": kind} if kind else {}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status < 300, (method, path, answer.status)
        return answer.getheader("Location")

    def blob(self, repo, data, known):
        if (repo, digest(data)) in known:
            return
        from_ = next((at for at, name in known if name == digest(data)), None)
        path = f"/v2/{repo}/blobs/uploads/"
        if from_:
            self.call("POST", f"{path}?mount={digest(data)}&from={from_}")
        else:
            location = self.call("POST", path)
            location = location[location.index("/v2/"):]
            self.call("PUT", f"{location}&digest={digest(data)}", data, "application/octet-stream")
        known[(repo, digest(data))] = True


def fill(host):
    """Puts the corpus into a registry; returns repository and tag of each image."""
    dice, filler, known = random.Random(20), Filler(host), {}
    all_sizes = sizes(dice)
    layers = [dice.randbytes(size) for size in all_sizes]
    shared, own = layers[:SHARED], layers[SHARED:]
    images, tags, manifests = 0, [], set()
    # 28 repositories have indexes, two of them two; 11 have single images.
    versions = []
    for number in range(REPOSITORIES):
        count = 2 if number < 6 else 1
        for version in range(count):
            versions.append((number, version))
    children_of = [3] * 26 + [2] * 4 + [1] * 15
    total = sum(children_of)
    own_of = [len(own) * (at + 1) // total - len(own) * at // total for at in range(total)]
    for (number, version), children in zip(versions, children_of):
        repo, entries = f"team/image-{number:02}", []
        for architecture in ARCHITECTURES[:children]:
            count = own_of[images]
            mine, own = own[:count], own[count:]
            base = [shared[(images * 3 + step * 23) % SHARED] for step in range(4)]
            config = json.dumps({"architecture": architecture, "os": "linux", "n": images}).encode()
            images += 1
            for data in [config, *base, *mine]:
                filler.blob(repo, data, known)
            describe = lambda kind, data: {"mediaType": kind, "digest": digest(data), "size": len(data)}
            manifest = json.dumps({
                "schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, config),
                "layers": [describe(LAYER, data) for data in dict.fromkeys([*base, *mine])],
            }).encode()
            manifests.add(digest(manifest))
            filler.call("PUT", f"/v2/{repo}/manifests/{digest(manifest)}", manifest, MANIFEST)
            entries.append(dict(describe(MANIFEST, manifest), platform={"os": "linux", "architecture": architecture}))
        kind, root = MANIFEST, manifest
        if children > 1:
            kind = INDEX
            root = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
            manifests.add(digest(root))
        names = [f"1.{version}"] + (["latest"] if 6 <= number < 12 else [])
        for tag in names:
            filler.call("PUT", f"/v2/{repo}/manifests/{tag}", root, kind)
            tags.append((repo, tag))
    distinct = {name for _, name in known}
    print(
        f"- corpus: {REPOSITORIES} repositories, {len(tags)} tags, {len(manifests)} manifests, "
        f"{len(distinct)} distinct blobs in {len(known)} places, {sum(all_sizes) / 1e6:.0f} MB", flush=True,
    )
    return tags


def commands(program, tags, source, destination, prefix, folder):
    """The commands with which a program copies everything."""
    pairs = [(f"{source}/{repo}:{tag}", f"{destination}/{prefix}{repo}:{tag}") for repo, tag in tags]
    if program == "wharf":
        by_repo = collections.defaultdict(list)
        for repo, tag in tags:
            by_repo[repo].append(tag)
        lines = [
            "version: 1", "registries:", f'  a: {{ loginServer: "{source}", plainHttp: true }}',
            f'  b: {{ loginServer: "{destination}", plainHttp: true }}', "images:",
            *(f"  - {{ repository: {repo}, tags: {json.dumps(names)}, to: [{prefix}{repo}] }}" for repo, names in by_repo.items()),
        ]
        images, plan = f"{folder}/images.yaml", f"{folder}/plan.json"
        with open(images, "w") as file:
            file.write("\n".join(lines) + "\n")
        for name in (plan, plan + ".ledger"):
            if os.path.exists(name):
                os.remove(name)
        wharf = os.environ.get("WHARF", "target/release/wharf")
        return [
            [wharf, "promote", "plan", "--images", images, "--from", "a", "--to", "b", "--output", plan],
            [wharf, "promote", "apply", plan],
        ]
    if program == "regsync":
        path = f"{folder}/regsync.yaml"
        config = {
            "version": 1,
            "creds": [{"registry": host, "tls": "disabled"} for host in sorted({source, destination})],
            "defaults": {"parallel": 4},
            "sync": [{"source": a, "target": b, "type": "image"} for a, b in pairs],
        }
        with open(path, "w") as file:
            json.dump(config, file)
        return [["regsync", "once", "-c", path, "-v", "error"]]
    copy = {
        "skopeo": lambda a, b: ["skopeo", "copy", "-q", "--all", "--preserve-digests", "--src-tls-verify=false",
                                "--dest-tls-verify=false", f"docker://{a}", f"docker://{b}"],
        "crane": lambda a, b: ["crane", "copy", "--insecure", a, b],
        "regctl": lambda a, b: ["regctl", "--host", f"reg={source},tls=disabled", "--host",
                                f"reg={destination},tls=disabled", "-v", "error", "image", "copy", a, b],
        "oras": lambda a, b: ["oras", "cp", "--from-plain-http", "--to-plain-http", "--no-tty", a, b],
    }[program]
    return [copy(a, b) for a, b in pairs]


def run(all_commands):
    """Wall and CPU seconds, and the largest memory of one process in MiB."""
    began, cpu, memory = time.monotonic(), 0.0, 0
    for command in all_commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {process.returncode}\n{errors.decode()}")
        cpu += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss // 1024)
    return time.monotonic() - began, cpu, memory


def measure(case, program, bed):
    """One row: the median of the runs by wall time."""
    rows = []
    for _ in range(1 if case == "nothing" else RUNS):
        folder = os.path.join(bed, "run")
        shutil.rmtree(folder, ignore_errors=True)
        # Hard links: the registry never writes into a finished blob.
        os.makedirs(f"{folder}/a")
        subprocess.run(["cp", "-al", f"{bed}/corpus/root", f"{folder}/a/root"], check=True)
        registries = [Registry(f"{folder}/a")]
        if case != "same":
            registries.append(Registry(f"{folder}/b"))
        with open(f"{bed}/corpus/tags.json") as file:
            tags = [tuple(pair) for pair in json.load(file)]
        prefix = "shop/" if case == "same" else ""
        make = lambda: commands(program, tags, registries[0].host, registries[-1].host, prefix, folder)
        if case == "nothing":
            run(make())
        before = [registry.requests() for registry in registries]
        row = run(make())
        counts, read = collections.Counter(), 0
        for registry, (old, old_read) in zip(registries, before):
            new, new_read = registry.requests()
            counts += new - old
            read += new_read - old_read
        [registry.stop() for registry in registries]
        rows.append((row, counts, read))
    rows.sort(key=lambda row: row[0][0])
    (wall, cpu, memory), counts, read = rows[len(rows) // 2]
    methods = ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
    print(
        f"| {case} | {program} | {sum(counts.values())} | {methods} | {read / 1e6:.0f} | {wall:.2f} | {cpu:.2f} | {memory} |",
        flush=True,
    )


def main():
    bed, cases = sys.argv[1], sys.argv[2:] or CASES
    if not os.path.exists(f"{bed}/corpus/tags.json"):
        shutil.rmtree(f"{bed}/corpus", ignore_errors=True)
        registry = Registry(f"{bed}/corpus")
        tags = fill(registry.host)
        registry.stop()
        with open(f"{bed}/corpus/tags.json", "w") as file:
            json.dump(tags, file)
    names = os.environ.get("PROGRAMS", "wharf regctl regsync crane skopeo oras").split()
    programs = [name for name in names if name == "wharf" or shutil.which(name)]
    print(f"- left out: {', '.join(set(names) - set(programs)) or 'nothing'}; runs of each: {RUNS}\n")
    print("| case | program | requests | by method | MB read | wall s | CPU s | MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for case in cases:
        for program in programs:
            measure(case, program, bed)


main()
