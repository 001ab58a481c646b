#!/usr/bin/env python3
"""Makes the OCI layouts that benches/tools/run.sh measures, of files of this machine.

layers.py FOLDER big        one layer of about 1.2 GiB, by gzip (gz) and by zstd (zst)
layers.py FOLDER files N    one layer of N small files, by gzip (nN)
layers.py FOLDER small N    N images of three layers of 64 KiB (s1 to sN)
"""
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+"
BIG_BYTES = 1_288_490_188


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


def main():
    folder, what, *rest = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    if what == "big":
        big(folder)
    else:
        {"files": files, "small": small}[what](folder, int(rest[0]))


main()
