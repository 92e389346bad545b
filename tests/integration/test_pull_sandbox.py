"""While a pull is under way: who has which rights, what is open, how much memory it takes; and what a full disk leaves."""

import json
import os
import pathlib
import re
import subprocess
import threading

import pytest

import image as images
from conftest import BIN, RealRegistry, wait_until
from hostile.lying import LyingRegistry
from test_registry import Front

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def registry_of_lies():
    server = LyingRegistry()
    yield server
    server.stop()


def random_layer(size):
    return images.LayerTar().add("data", os.urandom(size)).bytes()


def processes_below(pid):
    """Every process that `pid` has started, and those that they have."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # a thread that has ended meanwhile
            continue
        for child in children:
            found += [int(child), *processes_below(child)]
    return found


def find_program(pid, name):
    for child in processes_below(pid):
        try:
            if os.readlink(f"/proc/{child}/exe") == str(BIN / name):
                return child
        except OSError:
            pass
    return None


def field(pid, name):
    return re.search(rf"^{name}:[ \t]*(.*)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1].split()


def open_files(pid):
    """Paths of what a process has open, with the flags."""
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            flags = int(re.search(r"^flags:\s*(\d+)", pathlib.Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text(), re.M)[1], 8)
            yield os.readlink(entry), flags
        except OSError:
            pass


def test_the_process_that_talks_has_no_rights(sampan, registry_of_lies):
    registry_of_lies.serve(images.Image([random_layer(2_000_000)]),
                           faults=[{"path": "/blobs/", "action": "drip", "size": 20_000, "pause": 0.05, "skip": 1}])
    process = sampan.start("pull", f"{registry_of_lies.host}/x", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        partial = sampan.root / "blobs/partial"
        wait_until(lambda: partial.exists() and any(entry.stat().st_size for entry in partial.iterdir()), what="the first bytes")
        talker, unpacker = find_program(process.pid, "sampan-registry"), find_program(process.pid, "sampan-image")
        assert talker and unpacker
        assert field(talker, "Uid") == field(talker, "Gid") == ["65534"] * 4
        assert field(talker, "Groups") == []
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(field(talker, name)[0], 16) == 0, name
        for pid in (talker, unpacker):
            assert field(pid, "Seccomp") == ["2"] and field(pid, "NoNewPrivs") == ["1"]
        assert not [path for path, _ in open_files(talker) if path.startswith(str(sampan.root))]
        assert not [path for path, flags in open_files(talker) if path.startswith("/") and flags & os.O_ACCMODE
                    and not path.startswith("/dev/null")]
        assert not [path for path, _ in open_files(unpacker) if path.startswith("socket:") and is_internet(unpacker, path)]
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{talker}"), what="the end of sampan-registry")


def test_a_push_has_no_rights_either(sampan, registry, tmp_path):
    """The registry takes its time; meanwhile whoever reads the layers can start nothing and reach nobody."""
    registry.push("push", "1", images.Image([random_layer(500_000)]))
    sampan.run("pull", "-q", f"{registry.host}/push:1")
    waiting, done = threading.Event(), threading.Event()

    def hold(request):
        if request.command == "PUT" and "/uploads/" in request.path:
            waiting.set()
            done.wait(30)
        return False
    second = RealRegistry(tmp_path / "second")
    front = Front(second.host, fault=hold)
    sampan.run("tag", f"{registry.host}/push:1", f"{front.host}/push:1")
    process = sampan.start("push", f"{front.host}/push:1", stdout=subprocess.DEVNULL)
    try:
        assert waiting.wait(30)
        talker, reader = find_program(process.pid, "sampan-registry"), find_program(process.pid, "sampan-image")
        assert field(talker, "CapPrm") == field(talker, "CapBnd") == ["0" * 16]
        for pid in (talker, reader):
            assert field(pid, "Seccomp") == ["2"] and field(pid, "NoNewPrivs") == ["1"]
        # CAP_SETUID, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_MODULE
        assert not any(int(field(reader, "CapPrm")[0], 16) >> bit & 1 for bit in (7, 12, 19, 16))
        assert not [path for path, _ in open_files(reader) if path.startswith("socket:") and is_internet(reader, path)]
        done.set()
        assert process.wait(30) == 0
    finally:
        done.set()
        process.kill()
        process.wait()
        front.shutdown()
        second.stop()


def is_internet(pid, link):
    inode = link.split("[")[1].rstrip("]")
    return any(inode in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().split() for table in ("tcp", "tcp6", "udp", "udp6"))


def test_memory_does_not_grow_with_the_image(sampan, registry):
    """All processes together stay below 64 MB: eight layers at a time, 200 MB in all."""
    registry.push("memory", "1", images.Image([random_layer(25_000_000) for _ in range(8)], compression="zstd"))
    process = sampan.start("pull", f"{registry.host}/memory:1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        total = 0
        for pid in [process.pid, *processes_below(process.pid)]:
            try:
                total += int(field(pid, "RssAnon")[0]) + int(field(pid, "RssShmem")[0])
            except (OSError, TypeError):
                pass
        peak = max(peak, total)
    assert process.returncode == 0
    assert 0 < peak < 64 * 1024, peak


@pytest.mark.parametrize("megabytes", (3, 9, 20, 33))
def test_a_full_disk_leaves_the_store_as_it_was(sampan, registry, tmp_path, megabytes):
    """The disk is full at different moments: before the database, in the layer, or where blob and layer do not fit both; then the blob may be done without."""
    registry.push("full", "1", images.Image([random_layer(12_000_000), random_layer(1_000_000)]))
    sampan.root.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", sampan.root], check=True)
    try:
        done = sampan.run("pull", f"{registry.host}/full:1", code=None)
        assert done.returncode != 0 if megabytes < 12 else done.returncode == 0 or megabytes < 33
        if done.returncode != 0:
            assert "no space left" in done.stderr.lower(), done.stderr
            subprocess.run(["mount", "-o", "remount,size=100m", sampan.root], check=True)
            assert sampan.out("images", "-q") == ""
            assert not list((sampan.root / "staging").glob("*"))
            done = sampan.run("pull", f"{registry.host}/full:1", code=None)
        assert done.returncode == 0, done.stderr
        assert sampan.out("images", "-q") != ""
    finally:
        sampan.remove_all()
        subprocess.run(["umount", "-l", sampan.root], check=True)


def test_limits_of_the_config_file(sampan, registry, tmp_path):
    registry.push("limited", "1", images.Image([random_layer(300_000)]))
    config = tmp_path / "config.json"
    for limits, words in (({"layer-size": 100_000}, "layer is larger than 100000 bytes"),
                          ({"manifest-size": 100}, "its manifest is larger than 100 bytes"),
                          ({"path-depth": 0}, "limits.path-depth: not a positive number"),
                          ({"colour": 1}, 'unknown key "limits.colour"')):
        config.write_text(json.dumps({"limits": limits, "keep-blobs": False}))
        done = sampan.run("--config", config, "pull", f"{registry.host}/limited:1", code=1)
        assert words in done.stderr
    config.write_text('{"keep-blobs": false}')
    sampan.run("--config", config, "pull", f"{registry.host}/limited:1")
    assert not list((sampan.root / "blobs/sha256").iterdir()) and not list((sampan.root / "blobs/partial").iterdir())
