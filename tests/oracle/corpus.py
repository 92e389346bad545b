"""The stacks as images in one folder that is an OCI layout (for podman and umoci) and what tests/fakes/registry.py serves (for sampan)."""

import gzip
import hashlib
import json
import random
import subprocess

import image as images
import tar

COMPRESSIONS = ("", "gzip", "members", "zstd")


def compress(data, how):
    if how == "members":  # as eStargz and pigz -i write
        return b"".join(gzip.compress(data[at:at + 1536], 1, mtime=0) for at in range(0, len(data), 1536))
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-1", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return gzip.compress(data, 1, mtime=0) if how else data


class Corpus:
    def __init__(self, folder):
        self.folder = folder
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        self.index = []

    def blob(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def add(self, name, stack):
        rng = random.Random(name)
        layers, diff_ids = [], []
        for entries, style in zip(stack.layers, stack.styles):
            data = tar.write(entries, style)
            diff_ids.append(images.digest_of(data))
            how = rng.choice(COMPRESSIONS[:3] if stack.plain else COMPRESSIONS)  # Debian's umoci knows no zstd
            suffix = "" if not how else "+zstd" if how == "zstd" else "+gzip"
            layers.append(self.blob(compress(data, how), images.OCI_LAYER + suffix))
        config = {"architecture": images.host_architecture(), "os": "linux", "config": {"Cmd": ["x"], "Labels": {"stack": name}},
                  "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        body = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_MANIFEST, "layers": layers,
                           "config": self.blob(json.dumps(config).encode(), images.OCI_CONFIG)}).encode()
        entry = self.blob(body, images.OCI_MANIFEST)
        self.index.append({**entry, "annotations": {"org.opencontainers.image.ref.name": name}})
        manifests = self.folder / name / "manifests"
        manifests.mkdir(parents=True)
        (manifests / "latest").write_bytes(body)

    def finish(self):
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.index}))
