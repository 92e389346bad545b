"""What the tests of real engines on top of sampan-oci share: an image file, waiting, and looking for what is left."""

import os
import pathlib
import pty
import select
import subprocess
import time

import engines
import image as images
from oci_bundle import OCI

NAME = "docker.io/library/box:latest"
GREEDY = "a=x; while :; do a=$a$a; done"
FORKS = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done 2>&1; wait"


def save_image(folder):
    path = pathlib.Path(folder) / "box.tar"
    images.save(images.busybox_image(), NAME, path)
    return path


class Words:
    """An engine's command line."""

    def __init__(self, engine):
        self.engine = engine

    def __call__(self, *words, code=0, timeout=60, **more):
        done = engines.run([*self.engine.base, *words], check=False, timeout=timeout, **more)
        if code is not None:
            assert done.returncode == code, f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def out(self, *words, **more):
        return self(*words, **more).stdout.strip()

    def on_terminal(self, *words, typed=None, rows=30, columns=90):
        """Runs a command on a terminal of its own; what it showed, and its exit code."""
        master, slave = pty.openpty()
        subprocess.run(["stty", "rows", str(rows), "cols", str(columns)], stdin=slave, check=True)
        process = subprocess.Popen([str(word) for word in [*self.engine.base, *words]], stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True)
        os.close(slave)
        shown, end = b"", time.monotonic() + 30
        while time.monotonic() < end:
            if not select.select([master], [], [], 0.1)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                data = os.read(master, 4096)
            except OSError:
                break
            shown += data
            if typed and typed[0].encode() in shown:
                os.write(master, typed[1].encode())
                typed = None
        os.close(master)
        return shown.decode(errors="replace"), process.wait(10)


def cgroup_file(engine, name, v1, v2):
    """The content of a container's limit, whichever version the host has; `name` is part of the group's own name."""
    for top in engine.cgroups():
        for path in [top, *top.rglob("*")]:
            if path.is_dir() and name in path.name:
                for file in (v1, v2):
                    if file and (path / file).exists():
                        return (path / file).read_text().strip()
    raise AssertionError(f"no group of {name} below {engine.cgroups()} has {v1}")


def processes_of(folder):
    """Processes that name the engine's folder: daemons, shims, monitors."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            pass
    return [pid for pid in found if pid != os.getpid()]


def assert_nothing_left(engine):
    end = time.monotonic() + 10
    while time.monotonic() < end and processes_of(engine.folder):
        time.sleep(0.1)
    assert processes_of(engine.folder) == []

    def mounts():
        return [line.split()[1] for line in open("/proc/mounts") if str(engine.folder) in line]
    while time.monotonic() < end and mounts():
        time.sleep(0.1)
    assert mounts() == []
    for top in engine.cgroups():
        for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            assert not (group / "cgroup.procs").read_text(), f"a process is left in {group}"
            assert group.name == "conmon", f"{group} is left"
    engine.remove_cgroups()


__all__ = ["FORKS", "GREEDY", "NAME", "OCI", "Words", "assert_nothing_left", "cgroup_file", "engines", "save_image"]
