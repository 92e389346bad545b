"""A full disk at any write: the command says so, the store is as before, and with room again the same command works."""

import pathlib
import random
import shutil
import subprocess

import pytest

from conftest import Sampan, wait_until
from image import Image, LayerTar, busybox_layer

MEGABYTE = 1 << 20


@pytest.fixture
def small(tmp_path):
    """A store on a file system of its own, and what gives that another size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)], check=True)
    store = Sampan(disk / "store", "full")
    store.folder.mkdir()
    try:
        yield store
        store.forget()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def resize(store, extra):
    """The disk has room for `extra` bytes more than what is there, once the janitor has gone home."""
    wait_until(lambda: not any((store.root / "trash").glob("*")), seconds=60, what="an empty trash")
    disk = store.folder.parent
    used = shutil.disk_usage(disk).used
    subprocess.run(["mount", "-o", f"remount,size={(used + extra) // 4096 * 4096}", str(disk)], check=True)


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


@pytest.fixture
def archives(small, registry, tmp_path):
    """An image of 4 MB in docker's archive, and a root file system as a tar."""
    tar = LayerTar().add("noise", noise(4_000_000)).add("more/noise", noise(300_000, 1))
    registry.push("full", "v1", Image([busybox_layer(), tar.bytes()], config={"Cmd": ["wc", "-c", "/noise"]}))
    small.run("pull", "-q", f"{registry.host}/full:v1")
    small.run("tag", f"{registry.host}/full:v1", "full:v1")
    small.run("save", "-o", tmp_path / "image.tar", "full:v1")
    small.run("rmi", "-f", *small.out("images", "-q").split())
    small.run("system", "prune", "-f")
    wait_until(lambda: not list((small.root / "trash").iterdir()), what="the janitor")  # it frees room
    (tmp_path / "root.tar").write_bytes(tar.bytes())
    return tmp_path


def no_room(done, why):
    assert done.returncode != 0 and "o space left on device" in done.stderr, f"{why}: {done.returncode} {done.stdout} {done.stderr}"


def try_with_growing_room(store, words, steps, undone, **more):
    """`words` with less room than they need, in steps, then with enough."""
    failures = 0
    for extra in steps:
        resize(store, extra)
        done = store.run(*words, code=None, **more)
        if done.returncode == 0:
            break
        no_room(done, extra)
        failures += 1
        resize(store, 40 * MEGABYTE)
        assert store.run("system", "check").stdout == "Everything is as it should be.\n", extra
        undone()
    else:
        resize(store, 40 * MEGABYTE)
        store.run(*words, **more)
    assert failures > 1, "there was room from the start"
    resize(store, 40 * MEGABYTE)
    assert store.run("system", "check").stdout == "Everything is as it should be.\n"


STEPS = [0, 4096, 65536, *range(300_000, 9_000_000, 700_000)]


def test_load(small, archives):
    def undone():
        assert small.out("images", "-q") == "" and list((small.root / "staging").iterdir()) == []
    try_with_growing_room(small, ["load", "-q", "-i", archives / "image.tar"], STEPS, undone)
    assert small.out("run", "--rm", "--network", "none", "full:v1") == "4000000 /noise"


def test_import(small, archives):
    def undone():
        assert small.out("images", "-q") == "" and list((small.root / "staging").iterdir()) == []
    try_with_growing_room(small, ["import", archives / "root.tar", "imported:v1"], STEPS, undone)
    assert small.out("images", "--format", "{{.Repository}}:{{.Tag}}") == "imported:v1"


def test_commit(small, archives, busybox):
    small.run("pull", "-q", busybox)
    small.run("run", "--name", "box", "--network", "none", busybox, "sh", "-c", "head -c 3000000 /dev/urandom > /large; echo 1 > /small")

    def undone():
        assert len(small.out("images", "-q").split()) == 1 and list((small.root / "staging").iterdir()) == []
    try_with_growing_room(small, ["commit", "box", "committed"], STEPS, undone)
    assert small.out("run", "--rm", "--network", "none", "committed", "sh", "-c", "wc -c < /large; cat /small").split() == ["3000000", "1"]
    small.run("rm", "box")


def test_copy_into_a_container(small, archives, busybox, tmp_path):
    small.run("pull", "-q", busybox)
    small.run("create", "--name", "box", "--network", "none", busybox, "wc", "-c", "/large")
    (tmp_path / "large").write_bytes(noise(3_000_000, 2))
    try_with_growing_room(small, ["cp", tmp_path / "large", "box:/large"], STEPS, lambda: None)
    assert small.out("start", "-a", "box") == "3000000 /large"
    small.run("rm", "box")


def test_save_where_there_is_no_room(small, archives):
    resize(small, 40 * MEGABYTE)
    small.run("load", "-q", "-i", archives / "image.tar")
    target = pathlib.Path(small.folder.parent) / "saved.tar"
    resize(small, MEGABYTE)
    no_room(small.run("save", "-o", target, "full:v1", code=None), "save")
    assert [path.name for path in target.parent.iterdir()] == ["store"], "no half of an archive is left"
    resize(small, 40 * MEGABYTE)
    small.run("save", "-o", target, "full:v1")
    assert target.stat().st_size > 4_000_000
    target.unlink()


def test_things_can_be_removed_from_a_full_disk(small, archives, busybox):
    resize(small, 40 * MEGABYTE)
    small.run("load", "-q", "-i", archives / "image.tar")
    small.run("run", "--name", "box", "--network", "none", "full:v1")
    resize(small, 0)
    with pytest.raises(OSError, match="No space left"):
        (small.folder.parent / "filler").write_bytes(bytes(MEGABYTE))
    small.run("rm", "box")
    small.run("rmi", "full:v1")
    assert small.out("images", "-q") == "" and small.out("ps", "-aq") == ""
