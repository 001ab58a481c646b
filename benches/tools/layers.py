#!/usr/bin/env python3
"""Makes what benches/tools/run.sh measures, of files of this machine: OCI layouts, and folders to
package.

layers.py FOLDER big        one layer of about 1.2 GiB, by gzip (gz) and by zstd (zst)
layers.py FOLDER files N    one layer of N small files, by gzip (nN)
layers.py FOLDER small N    N images of three layers of 64 KiB (s1 to sN)
layers.py FOLDER tree       an offer of a folder of about 1.2 GiB in 18,000 files (tree)
layers.py FOLDER many N     an offer of a folder of N small files (many)
layers.py FOLDER huge       an offer of a folder with one file of 3 GiB (huge)
"""
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+"
BIG_BYTES = 1_288_490_188
HUGE_BYTES = 3 << 30
OFFER = """version: 1
publisher: quayline
offer: {{ id: bench, alias: Bench, registry: one }}
registries:
  one:
    loginServer: quayline.azurecr.io
    azure:
      subscriptionId: 7c1f2d64-9a0b-4e5d-8f3a-2b6c91d0e7f4
      resourceGroup: bench
      registryName: quayline
    credentials:
      username: {{ env: USER_NAME }}
      password: {{ env: PASSWORD }}
listing:
  title: Bench
  searchSummary: A bench.
  shortDescription: A bench.
  description: A bench.
  keywords: [bench]
  privacyPolicy: https://quayline.dev/privacy
  supportUrl: https://quayline.dev/support
  links: []
  contacts:
    support: {{ name: Support, email: support@quayline.dev, phone: "+1 206 555 0142" }}
    engineering: {{ name: Support, email: support@quayline.dev, phone: "+1 206 555 0142" }}
  assetBaseUrl: https://assets.quayline.dev/t
  logos: {{ large: a.png, medium: a.png, small: a.png, wide: a.png }}
  screenshots: []
legal:
  terms: {{ file: terms.txt }}
properties:
  categories:
    containers: [container-images]
preview:
  subscriptions: []
certificationNotes: None.
plans:
  - id: plan
    name: Plan
    summary: A plan.
    description: A plan.
    licence: byol
    image:
      repository: bench
      version: "1.0.0"
      created: "2026-11-01T00:00:00Z"
      tags: [latest, "{{version}}"]
      platforms:
        - platform: linux/amd64
          layers:
            - {{ dir: {name} }}
      config: {{ cmd: [/x], user: "999:999" }}
    resources: {{ cpu: 1, memoryGb: 1.5 }}
"""


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def layout(folder, layers):
    """A layout of one image; layers are (path, compression, diffID), moved into it."""
    blobs = f"{folder}/blobs/sha256"
    os.makedirs(blobs)

    def put(content, media_type):
        content = json.dumps(content).encode()
        digest = hashlib.sha256(content).hexdigest()
        with open(f"{blobs}/{digest}", "wb") as file:
            file.write(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    described = []
    for path, compression, _ in layers:
        digest = sha256(path)
        size = os.path.getsize(path)
        os.replace(path, f"{blobs}/{digest}")
        described.append(
            {"mediaType": LAYER + compression, "digest": f"sha256:{digest}", "size": size}
        )
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{diff_id}" for _, _, diff_id in layers]}
    config = {"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/x"]}, "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(config, CONFIG),
        "layers": described,
    }
    root = put(manifest, MANIFEST)
    root["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    with open(f"{folder}/oci-layout", "w", encoding="utf-8") as file:
        file.write('{"imageLayoutVersion":"1.0.0"}')
    with open(f"{folder}/index.json", "w", encoding="utf-8") as file:
        json.dump({"schemaVersion": 2, "manifests": [root]}, file)


def add(tar, path, content):
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def big(folder):
    """Programs, libraries and texts, as images hold them, until it is large enough."""
    tar_path = f"{folder}/layer.tar"
    total = 0
    with tarfile.open(tar_path, "w", format=tarfile.GNU_FORMAT) as tar:
        for top in ("/usr/bin", "/usr/share/doc", "/usr/share/perl", "/usr/lib"):
            for parent, _, names in os.walk(top):
                for name in sorted(names):
                    path = os.path.join(parent, name)
                    if os.path.islink(path) or not os.path.isfile(path) or total > BIG_BYTES:
                        continue
                    total += os.path.getsize(path)
                    tar.add(path, recursive=False)
    diff_id = sha256(tar_path)
    subprocess.check_call(["gzip", "-k", "-6", tar_path])
    subprocess.check_call(["zstd", "-q", "-k", "-3", tar_path])
    os.remove(tar_path)
    layout(f"{folder}/gz", [(f"{tar_path}.gz", "gzip", diff_id)])
    layout(f"{folder}/zst", [(f"{tar_path}.zst", "zstd", diff_id)])


def files(folder, count):
    tar_path = f"{folder}/layer.tar"
    with tarfile.open(tar_path, "w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(count):
            path = f"usr/share/application/data/{number // 1000:04d}/resource-{number:07d}.json"
            add(tar, path, b'{"number":%09d}\n' % number)
    diff_id = sha256(tar_path)
    subprocess.check_call(["gzip", "-1", tar_path])
    layout(f"{folder}/n{count}", [(f"{tar_path}.gz", "gzip", diff_id)])


def small(folder, count):
    source = random.Random(7)
    for image in range(1, count + 1):
        layers = []
        for number in range(3):
            tar_path = f"{folder}/layer{number}.tar"
            with tarfile.open(tar_path, "w", format=tarfile.GNU_FORMAT) as tar:
                for name in range(8):
                    add(tar, f"app/{number}/{name}", source.randbytes(8192))
            diff_id = sha256(tar_path)
            subprocess.check_call(["gzip", "-1", tar_path])
            layers.append((f"{tar_path}.gz", "gzip", diff_id))
        layout(f"{folder}/s{image}", layers)


def offer(folder, name):
    with open(f"{folder}/{name}.yaml", "w", encoding="utf-8") as file:
        file.write(OFFER.format(name=name))


def tree(folder):
    """Data, documents, programs and libraries, as images hold them."""
    total = count = 0
    for top, most in (("/usr/share", 17_300), ("/usr/lib", 1 << 30), ("/usr/bin", 1 << 30)):
        for parent, _, names in os.walk(top):
            for name in sorted(names):
                path = os.path.join(parent, name)
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                if total > BIG_BYTES or count >= most:
                    break
                count += 1
                total += os.path.getsize(path)
                copy = f"{folder}/tree{path}"
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copy2(path, copy)
    offer(folder, "tree")


def many(folder, count):
    for number in range(count):
        parent = f"{folder}/many/usr/share/application/data/{number // 1000:04d}"
        if number % 1000 == 0:
            os.makedirs(parent)
        with open(f"{parent}/resource-{number:07d}.json", "wb") as file:
            file.write(b'{"number":%09d}\n' % number)
    offer(folder, "many")


def huge(folder):
    """The programs of this machine, again and again, never at the same place."""
    os.makedirs(f"{folder}/huge")
    with open(f"{folder}/huge/file", "wb") as file:
        while file.tell() < HUGE_BYTES:
            for parent, _, names in os.walk("/usr/bin"):
                for name in sorted(names):
                    path = os.path.join(parent, name)
                    if os.path.isfile(path) and file.tell() < HUGE_BYTES:
                        with open(path, "rb") as source:
                            file.write(source.read(HUGE_BYTES - file.tell()))
            file.write(b"x")
    offer(folder, "huge")


def main():
    folder, what, *rest = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    makers = {"big": big, "files": files, "small": small, "tree": tree, "many": many, "huge": huge}
    makers[what](folder, *map(int, rest))


main()
