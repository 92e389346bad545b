"""Layers made to break: one test for each row of README.md's second table that the rooms' own tests do not have whole."""

import gzip
import json
import os
import subprocess
import tarfile

import pytest

import image as images
from image import Image, LayerTar
from lying import LyingRegistry, pull


@pytest.fixture(scope="module")
def liar():
    server = LyingRegistry()
    yield server
    server.stop()


def serve(liar, *blobs, tars=None):
    """An image of layers that are these bytes as they stand."""
    image = Image([], config={"Cmd": ["x"]})
    layers = [image.blob(blob, images.OCI_LAYER + "+gzip") for blob in blobs]
    config = {"architecture": images.host_architecture(), "os": "linux", "config": {"Cmd": ["x"]},
              "rootfs": {"type": "layers", "diff_ids": [images.digest_of(tar) for tar in (tars or blobs)]}}
    manifest = {"schemaVersion": 2, "mediaType": images.OCI_MANIFEST, "layers": layers, "config": image.blob(json.dumps(config).encode(), images.OCI_CONFIG)}
    image.manifest = lambda: (json.dumps(manifest).encode(), images.OCI_MANIFEST)
    liar.serve(image)


def used(sampan):
    return int(subprocess.run(["du", "-sk", str(sampan.root)], check=True, capture_output=True, text=True).stdout.split()[0])


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_bomb_fizzles(sampan, liar, codec):
    """2.6 GB of zeros in 2.6 MB or less: the limit is 200 times the blob's size, from 1 GiB on."""
    zeros = bytes(64 << 20)
    member = gzip.compress(zeros, 9) if codec == "gzip" else images.compress(zeros, "zstd")
    info = tarfile.TarInfo("zeros")
    info.size = 40 * len(zeros)
    head = info.tobuf()
    first = gzip.compress(head) if codec == "gzip" else images.compress(head, "zstd")
    serve(liar, first + member * 40, tars=[b"whatever"])
    assert "times its size" in pull(sampan, liar, timeout=180).stderr
    assert used(sampan) < 2048


@pytest.mark.parametrize("build", [
    lambda layer: [layer.add("a", b"x")] + [layer.hardlink(f"l{number}", "a") for number in range(66_000)],
    lambda layer: [layer.directory("/".join(["d"] * depth) + "/") for depth in range(1, 600, 7)],
    lambda layer: [layer.symlink("l0", "l0")] + [layer.symlink(f"l{number}", f"l{number - 1}") for number in range(1, 60)] + [layer.add("l59/x", b"x")],
    lambda layer: [layer.add("x" * 256, b"")],
    lambda layer: [layer.add("f", b"x"), layer.hardlink("f", "f")],
    lambda layer: [layer.directory("d/"), layer.hardlink("l", "d")],
    lambda layer: [layer.add(".wh.f", b""), layer.hardlink("l", "f")],
    lambda layer: [layer.add(".wh.", b"")],
    lambda layer: [layer.add("d/.wh...", b"")],
    lambda layer: [layer.add(".", type=tarfile.REGTYPE)],
    lambda layer: [layer.hardlink("./", "f")],
    lambda layer: [layer.add("d", type=tarfile.CHRTYPE, device=(0o7777777, 1))],
    lambda layer: [layer.add("a/../../b", b"x")],
], ids=["too-many-links", "too-deep", "link-chain", "long-name", "link-to-itself", "link-to-directory", "link-to-whiteout", "whiteout-of-nothing",
        "whiteout-of-dots", "root-is-file", "root-is-link", "device-number", "dotdot"])
def test_layers_that_no_tree_can_be_made_of(sampan, liar, build):
    layer = LayerTar()
    build(layer)
    tar = layer.bytes()
    serve(liar, gzip.compress(tar, 1), tars=[tar])
    error = pull(sampan, liar, timeout=120).stderr
    assert "layer " in error, error
    assert used(sampan) < 2048


def test_links_that_name_each_other(sampan, liar):
    """Only over the layers below it is known that neither is there, so the verified layer waits for a later pull."""
    tar = LayerTar().hardlink("a", "b").hardlink("b", "a").bytes()
    serve(liar, gzip.compress(tar), tars=[tar])
    error = sampan.run("pull", f"{liar.host}/x", code=1).stderr
    assert "hard link to" in error and error.count("\n") == 1
    assert sampan.out("images", "-q") == "" and list((sampan.root / "staging").iterdir()) == []


@pytest.mark.parametrize("kind", [b"Z", b"D", b"M", b"N"])
def test_an_unknown_type_is_refused(sampan, liar, kind):
    tar = LayerTar().add("odd", b"x", type=kind).bytes()
    serve(liar, gzip.compress(tar), tars=[tar])
    assert f'odd: unknown type of entry: "{kind.decode()}"' in pull(sampan, liar).stderr


def test_a_socket_in_a_tar_is_left_out(sampan, liar):
    tar = LayerTar().add("socket", type=b"s").add("file", b"x").bytes()
    serve(liar, gzip.compress(tar), tars=[tar])
    pull(sampan, liar, code=0)
    assert os.listdir(next((sampan.root / "layers").iterdir()) / "diff") == ["file"]


def test_a_fifo_or_device_in_the_way_is_not_written_to(sampan, liar):
    layer = (LayerTar().add("x", type=tarfile.FIFOTYPE).hardlink("y", "x").add("x", b"now a file").add("y", b"this too")
             .add("z", type=tarfile.CHRTYPE, device=(1, 3)).add("z", b"and this"))
    tar = layer.bytes()
    serve(liar, gzip.compress(tar), tars=[tar])
    pull(sampan, liar, code=0, timeout=30)
    diff = next((sampan.root / "layers").iterdir()) / "diff"
    assert [(diff / name).read_bytes() for name in "xyz"] == [b"now a file", b"this too", b"and this"]


TAR = LayerTar().add("a", b"content" * 300).add("b", os.urandom(3000)).bytes()
CODECS = {"none": lambda data: data, "gzip": gzip.compress, "members": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
          "zstd": lambda data: images.compress(data, "zstd")}
# What becomes of the blob, and whether it is still a layer: its tar, or None.
DAMAGES = {
    "right": lambda pack: (pack(TAR), TAR),
    "truncated": lambda pack: (pack(TAR)[:-600], None),
    "bit flipped": lambda pack: (flip(pack(TAR)), None),
    "bytes behind the archive": lambda pack: (pack(TAR + b"x" * 5000), TAR + b"x" * 5000),
    "ends inside an entry": lambda pack: (pack(TAR[:1500]), None),
    "no end of archive": lambda pack: (pack(TAR[:TAR.rstrip(b"\0").__len__() // 512 * 512 + 512]), TAR[:TAR.rstrip(b"\0").__len__() // 512 * 512 + 512]),
    "two archives": lambda pack: (pack(TAR) + pack(TAR), TAR + TAR),
    "no tar": lambda pack: (pack(b"#!/bin/sh\n" * 500), None),
}


def flip(data):
    """One bit, beyond the beginning where the format is chosen."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1:]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("codec", CODECS)
def test_compressions_and_their_damage(sampan, liar, codec, damage):
    """Every layer is called gzip here: the bytes decide what it is."""
    blob, tar = DAMAGES[damage](CODECS[codec])
    serve(liar, blob, tars=[tar or TAR])
    pull(sampan, liar, code=1 if tar is None else 0)


@pytest.mark.parametrize("junk", [b"\0" * 700, b"junk behind the last member"], ids=["zeros", "junk"])
def test_what_stands_behind_the_last_gzip_member_is_the_blobs_only(sampan, liar, junk):
    serve(liar, gzip.compress(TAR) + junk, tars=[TAR])
    pull(sampan, liar, code=0)


def test_a_manifest_as_a_layer(sampan, liar):
    serve(liar, json.dumps({"schemaVersion": 2, "layers": []}).encode())
    pull(sampan, liar)


def test_a_sparse_file_larger_than_any_layer(sampan, liar):
    """CVE-2025-58183's family: a few bytes that say 8 EiB."""
    layer = LayerTar().add("./GNUSparseFile.0/huge", b"1\n0\n0\n".ljust(512, b"\0"),
                           pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "huge", "GNU.sparse.realsize": str(1 << 60)})
    tar = layer.bytes()
    serve(liar, gzip.compress(tar), tars=[tar])
    assert "huge" in pull(sampan, liar).stderr


@pytest.mark.parametrize("count", [500, 501])
def test_as_many_layers_as_the_kernel_mounts(sampan, liar, count):
    tars = [images.busybox_layer()] + [LayerTar().add(f"f{number}", b"x").bytes() for number in range(count - 1)]
    serve(liar, *tars)
    if count > 500:
        assert "layers" in pull(sampan, liar, timeout=120).stderr
        return
    pull(sampan, liar, code=0, timeout=120)
    assert sampan.out("run", "--rm", f"{liar.host}/x", "/bin/busybox", "sh", "-c", "ls / | grep -c ^f") == "499"
