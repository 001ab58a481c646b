"""One push or pull by python-dxf: push FOLDER HOST REPOSITORY:TAG FILE..., or pull with a FOLDER alone."""

import os
import sys

from dxf import DXF

action, folder, host, name, *files = sys.argv[1:]
repository, tag = name.rsplit(":", 1)
registry = DXF(host, repository, insecure=True)
if action == "push":
    registry.set_alias(tag, *[registry.push_blob(os.path.join(folder, file)) for file in files])
else:
    for digest in registry.get_alias(tag):
        path = os.path.join(folder, digest.split(":", 1)[1])
        with open(path, "wb") as file:
            for chunk in registry.pull_blob(digest):
                file.write(chunk)
        print(path)
