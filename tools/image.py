"""Images for demonstrations, tests and benchmarks: built from files, pushed to a registry, with Python's standard library only.

    image.py busybox REGISTRY/NAME:TAG      a small image made of Debian's busybox-static
    image.py tree REGISTRY/NAME:TAG DIR...  one layer for each directory, bottom first
"""

import gzip
import hashlib
import http.client
import io
import json
import os
import sys
import tarfile
from dataclasses import dataclass, field

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

BUSYBOX = "/bin/busybox"
BUSYBOX_APPLETS = (
    "[ ash awk base64 basename cat chgrp chmod chown chroot cp cut date dd df dirname du echo env expr false find free "
    "getopt grep gunzip gzip head hexdump hostname httpd id ifconfig ip kill killall ln ls md5sum mkdir mkfifo mknod mktemp "
    "more mount mv nc netstat nice nohup nproc nslookup od passwd ping pidof printenv printf ps pwd readlink realpath "
    "renice reset rm rmdir route sed seq setsid sh sha256sum sleep sort stat stty su sync sysctl tail tar tee telnet test "
    "time timeout top touch tr traceroute true truncate tty uname uniq unlink uptime usleep vi watch wc wget which whoami "
    "xargs yes").split()


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class LayerTar:
    """One layer's tar, entry by entry; every attribute is explicit, so the same calls give the same bytes."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, data=None, *, type=tarfile.REGTYPE, mode=0o644, uid=0, gid=0, mtime=1_600_000_000, link="",
            device=(0, 0), pax=None):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.mtime, info.linkname = type, mode, uid, gid, mtime, link
        info.devmajor, info.devminor = device
        info.pax_headers = dict(pax or {})
        if data is not None:
            info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data) if data is not None else None)
        return self

    def directory(self, name, mode=0o755, **more):
        return self.add(name, type=tarfile.DIRTYPE, mode=mode, **more)

    def symlink(self, name, target, **more):
        return self.add(name, type=tarfile.SYMTYPE, mode=0o777, link=target, **more)

    def hardlink(self, name, target, **more):
        return self.add(name, type=tarfile.LNKTYPE, link=target, **more)

    def tree(self, path):
        """Everything below a directory of this machine, as it is, sorted."""
        def clean(info):
            info.uname = info.gname = ""
            info.mtime = int(info.mtime)
            return info
        for name in sorted(os.listdir(path)):
            self.tar.add(os.path.join(path, name), arcname=name, filter=clean)
        return self

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


def compress(data, how):
    if how == "gzip":
        return gzip.compress(data, compresslevel=6, mtime=0)
    if how == "zstd":
        import subprocess
        return subprocess.run(["zstd", "-q", "-3", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    assert how == "", how
    return data


@dataclass
class Image:
    """Layers (tar bytes, bottom first) with the configuration of an image."""
    layers: list
    config: dict = field(default_factory=dict)  # Cmd, Entrypoint, Env, …
    compression: str = "gzip"
    architecture: str = ""
    docker: bool = False
    created: str = "2026-01-02T03:04:05Z"
    blobs: dict = field(default_factory=dict)

    def blob(self, data, media_type):
        digest = digest_of(data)
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def manifest(self):
        """The manifest's bytes and media type; fills `blobs` on the way."""
        base = DOCKER_LAYER if self.docker else OCI_LAYER
        join = "." if self.docker else "+"
        suffix = join + self.compression if self.compression else ""
        layers = [self.blob(compress(layer, self.compression), base + suffix) for layer in self.layers]
        config = {
            "created": self.created,
            "architecture": self.architecture or host_architecture(),
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in self.layers]},
            "history": [{"created": self.created, "created_by": "tools/image.py"} for _ in self.layers],
        }
        media_type = DOCKER_MANIFEST if self.docker else OCI_MANIFEST
        body = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": self.blob(json.dumps(config).encode(), DOCKER_CONFIG if self.docker else OCI_CONFIG),
            "layers": layers,
        }
        return json.dumps(body).encode(), media_type


def host_architecture():
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


class Registry:
    """Enough of the distribution protocol to push to a registry on loopback."""

    def __init__(self, host, headers=None):
        self.host, self.headers = host, dict(headers or {})
        self.connection = http.client.HTTPConnection(host, timeout=60)

    def request(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body=body, headers={**self.headers, **(headers or {})})
        answer = self.connection.getresponse()
        content = answer.read()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, content

    def expect(self, status, method, path, **more):
        got, headers, content = self.request(method, path, **more)
        if got != status:
            raise RuntimeError(f"{method} {path}: HTTP {got}: {content[:300]!r}")
        return headers

    def push_blob(self, repository, digest, data):
        if self.request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            return
        location = self.expect(202, "POST", f"/v2/{repository}/blobs/uploads/")["location"]
        location = location.split(self.host, 1)[-1]
        separator = "&" if "?" in location else "?"
        self.expect(201, "PUT", f"{location}{separator}digest={digest}", body=data,
                    headers={"Content-Type": "application/octet-stream"})

    def push_manifest(self, repository, tag, body, media_type):
        self.expect(201, "PUT", f"/v2/{repository}/manifests/{tag}", body=body, headers={"Content-Type": media_type})
        return digest_of(body)

    def push(self, repository, tag, image):
        """Pushes one image; returns its manifest's digest."""
        body, media_type = image.manifest()
        for digest, data in image.blobs.items():
            self.push_blob(repository, digest, data)
        return self.push_manifest(repository, tag, body, media_type)

    def push_index(self, repository, tag, images):
        """Pushes images for several platforms ("linux/arm64/v8") under one tag; returns the index's digest."""
        entries = []
        docker = any(image.docker for image in images.values())
        for platform, image in images.items():
            system, architecture, *variant = platform.split("/")
            image.architecture = architecture
            body, media_type = image.manifest()
            for digest, data in image.blobs.items():
                self.push_blob(repository, digest, data)
            digest = self.push_manifest(repository, digest_of(body), body, media_type)
            entries.append({"mediaType": media_type, "digest": digest, "size": len(body),
                            "platform": {"os": system, "architecture": architecture,
                                         **({"variant": variant[0]} if variant else {})}})
        media_type = DOCKER_LIST if docker else OCI_INDEX
        body = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()
        return self.push_manifest(repository, tag, body, media_type)


def busybox_layer():
    with open(BUSYBOX, "rb") as file:
        program = file.read()
    layer = LayerTar()
    for name in ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "var", "var/www"):
        layer.directory(name + "/", mode=0o700 if name == "root" else 0o755)
    layer.directory("tmp/", mode=0o1777)
    layer.add("bin/busybox", program, mode=0o755)
    for applet in BUSYBOX_APPLETS:
        layer.symlink("bin/" + applet, "busybox")
    layer.add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                            b"app:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n")
    layer.add("etc/group", b"root:x:0:\ndaemon:x:1:\nstaff:x:50:app\napp:x:1000:\nnogroup:x:65534:\n")
    layer.add("var/www/index.html", b"<h1>sampan</h1>\n")
    return layer.bytes()


def busybox_image(**more):
    config = {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    config.update(more.pop("config", {}))
    return Image([busybox_layer()], config=config, **more)


def save(image, name, path):
    """Writes the image in the format of `docker save`, which every engine loads."""
    config = json.loads(image.manifest()[0])["config"]["digest"]
    with tarfile.open(path, "w") as tar:
        def add(entry, data):
            info = tarfile.TarInfo(entry)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        hexes = [digest_of(layer).split(":")[1] for layer in image.layers]
        for digest, layer in zip(hexes, image.layers):
            add(f"{digest}/layer.tar", layer)
        add(config.split(":")[1] + ".json", image.blobs[config])
        add("manifest.json", json.dumps([{"Config": config.split(":")[1] + ".json", "RepoTags": [name],
                                          "Layers": [f"{digest}/layer.tar" for digest in hexes]}]).encode())


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    kind, name, *paths = arguments
    host, rest = name.split("/", 1)
    repository, tag = rest.rsplit(":", 1)
    if kind == "busybox":
        image = busybox_image()
    elif kind == "tree" and paths:
        image = Image([LayerTar().tree(path).bytes() for path in paths], config={"Cmd": ["sh"]})
    else:
        sys.exit(__doc__)
    print(Registry(host).push(repository, tag, image))


if __name__ == "__main__":
    main(sys.argv[1:])
