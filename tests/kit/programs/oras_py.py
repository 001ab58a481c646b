"""One push or pull by oras-py: push FOLDER HOST REPOSITORY:TAG FILE..., or pull with a FOLDER alone."""

import os
import sys

import oras.client

action, folder, host, name, *files = sys.argv[1:]
client = oras.client.OrasClient(hostname=host, insecure=True)
target = f"{host}/{name}"
if action == "push":
    os.chdir(folder)
    client.push(target=target, files=files, disable_path_validation=True)
else:
    for path in client.pull(target=target, outdir=folder):
        print(path)
