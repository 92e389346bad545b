"""Blobs that docker, podman and skopeo pushed are evicted and made again from the layer, byte for byte (storage/pack/deflate/)."""

import json
import pathlib
import random
import shutil
import sqlite3
import subprocess
import tempfile

import engines
import image as images
import pytest
from conftest import RealRegistry


def make_archive(folder):
    """An image with a layer of text, programs, zeros and what does not compress, larger than the MiB of pgzip's workers."""
    rng = random.Random(5)
    words = ["".join(rng.choice("etaoinshrdlu") for _ in range(rng.randint(2, 9))) for _ in range(4000)]
    layer = images.LayerTar()
    layer.add("text", " ".join(rng.choice(words) for _ in range(400_000)).encode())
    layer.add("program", pathlib.Path("/usr/bin/python3").resolve().read_bytes()[:2_000_000])
    layer.add("zeros", bytes(500_000))
    layer.add("noise", rng.randbytes(300_000))
    for number in range(300):
        layer.add(f"small/{number}", f"{number}: {rng.choice(words)}\n".encode() * rng.randint(1, 60))
    path = pathlib.Path(folder) / "image.tar"
    images.save(images.Image([images.busybox_layer(), layer.bytes()], config={"Cmd": ["sh"]}), "recorded:latest", path)
    return path


def push_with_docker(archive, target):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sampan-d-", dir="/tmp"))  # sockets want short names
    docker = engines.DockerEngine(folder)
    try:
        docker.start(bridge="none", iptables=False)
        engines.run([*docker.base, "load", "-q", "-i", archive])
        engines.run([*docker.base, "tag", "recorded:latest", target])
        engines.run([*docker.base, "push", "-q", target])
    finally:
        docker.stop()
        docker.remove_cgroups()
    shutil.rmtree(folder, ignore_errors=True)


def push_with_podman(archive, target):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sampan-p-", dir="/tmp"))
    podman = engines.PodmanEngine(folder)
    podman.start()
    engines.run([*podman.base, "load", "-q", "-i", archive])
    engines.run([*podman.base, "push", "--tls-verify=false", "localhost/recorded:latest", target])
    engines.run([*podman.base, "rmi", "-af"])
    engines.run(["umount", f"{folder}/podman/root/overlay"], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def push_with_skopeo(archive, target):
    engines.run(["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{archive}", f"docker://{target}"])


WAYS = {"docker": ("dockerd", push_with_docker, "deflate go-6"), "podman": ("podman", push_with_podman, "deflate pgzip-5"),
        "skopeo": ("skopeo", push_with_skopeo, "deflate pgzip-5")}


def blob_rows(sampan):
    database = sqlite3.connect(sampan.root / "sampan.db")
    try:
        return database.execute("SELECT digest,diff_id,size,kept,recipe FROM blobs").fetchall()
    finally:
        database.close()


def manifest_of(registry, name):
    done = subprocess.run(["skopeo", "--insecure-policy", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/{name}"],
                          capture_output=True, check=True)
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_blobs_of_engines_are_made_again(way, sampan, tmp_path):
    program, push, recipe = WAYS[way]
    if not shutil.which(program) or not shutil.which("skopeo"):
        pytest.skip(f"needs {program} and skopeo")
    name = f"recorded-{way}"
    registry = RealRegistry(tmp_path / "registry")  # of its own: what lies there already is not sent
    push(make_archive(tmp_path), f"{registry.host}/{name}:latest")
    sampan.run("pull", "-q", f"{registry.host}/{name}")
    blobs = {pathlib.Path(path).name: path.read_bytes() for path in (sampan.root / "blobs/sha256").iterdir()}
    assert len(blobs) == 2
    sampan.run("system", "prune", "-f", timeout=300)
    assert not list((sampan.root / "blobs/sha256").iterdir())
    for digest, layer, size, kept, found in blob_rows(sampan):
        assert (kept, found) == (0, recipe)
        record = sampan.root / "layers" / layer / f"blob-{digest}"
        print(f"{way}: blob of {size} bytes, record of {record.stat().st_size}")
        assert record.stat().st_size < max(600, size / 1000), "the encoder is known to the bit"
    assert sampan.out("system", "check") == "Everything is as it should be."

    # Where nothing of it is yet, the blobs must come from here.
    other = RealRegistry(tmp_path / "other")
    try:
        sampan.run("tag", f"{registry.host}/{name}", f"{other.host}/again")
        sampan.run("push", f"{other.host}/again", timeout=300)
        manifest = manifest_of(other, "again")
        assert manifest == manifest_of(registry, f"{name}:latest")
        assert {layer["digest"].split(":")[1] for layer in json.loads(manifest)["layers"]} == set(blobs)
        for digest, content in blobs.items():
            stored = next(other.folder.glob(f"data/docker/registry/v2/blobs/sha256/*/{digest}/data"))
            assert stored.read_bytes() == content
    finally:
        other.stop()
        registry.stop()
