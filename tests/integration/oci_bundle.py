"""A bundle, a state root and a cgroup of a test's own for sampan-oci."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SAMPAN_BIN", SOURCE / "build/bin")).resolve()
OCI = BIN / "sampan-oci"
APPLETS = ["sh", "true", "sleep", "cat", "id", "echo", "ls", "env", "stat", "tty", "kill", "trap", "head", "stty", "test"]


def busybox():
    found = shutil.which("busybox")
    if not found:
        pytest.skip("needs busybox-static")
    return found


def make_rootfs(folder):
    for name in ["bin", "proc", "sys", "dev", "tmp", "etc"]:
        (folder / name).mkdir(parents=True)
    shutil.copy(busybox(), folder / "bin/busybox")
    for name in APPLETS:
        (folder / "bin" / name).symlink_to("busybox")


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come"
        time.sleep(0.02)


class Runtime:
    """sampan-oci with a state root, a bundle and a cgroup of the test's own."""

    def __init__(self, folder):
        self.folder, self.bundle, self.root = folder, folder / "bundle", folder / "state"
        self.cgroup = f"/sampan-dev-test-{os.getpid()}"
        self.ids = []
        make_rootfs(self.bundle / "rootfs")
        self.run("spec", "--bundle", self.bundle, check=True)
        self.spec = json.loads((self.bundle / "config.json").read_text())
        self.spec["process"]["terminal"] = False
        self.spec["process"]["rlimits"] = []

    def command(self, *words):
        return [str(OCI), "--root", str(self.root), *map(str, words)]

    def run(self, *words, check=False, timeout=30):
        # Into files: a created container inherits them, and a pipe would not end before it does.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            result = subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=timeout)
            out.seek(0)
            err.seek(0)
            result.stdout, result.stderr = out.read(), err.read()
        assert not check or result.returncode == 0, (words, result.returncode, result.stderr)
        return result

    def write(self, name, *args, change=None):
        """The bundle for container `name` that runs `args`."""
        spec = json.loads(json.dumps(self.spec))
        spec["process"]["args"] = list(args)
        spec["linux"]["cgroupsPath"] = f"{self.cgroup}/{name}"
        if change:
            change(spec)
        (self.bundle / "config.json").write_text(json.dumps(spec))
        self.ids.append(name)
        return name

    def state(self, name):
        return json.loads(self.run("state", name, check=True).stdout)

    def status(self, name):
        return self.state(name)["status"]

    def close(self):
        for name in self.ids:
            self.run("delete", "--force", name)
        for parent in [*pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.cgroup[1:]}"),
                       pathlib.Path(f"/sys/fs/cgroup{self.cgroup}")]:
            if parent.exists():
                parent.rmdir()  # fails where the group of a container is left
        assert not list(self.root.glob("*/state.json"))


@pytest.fixture
def runtime(tmp_path):
    if not OCI.exists():
        pytest.fail(f"{OCI} is not built")
    instance = Runtime(tmp_path)
    yield instance
    instance.close()


def running(runtime, name="a", *args, change=None):
    runtime.write(name, *(args or ["/bin/sleep", "100"]), change=change)
    runtime.run("run", "--detach", "-b", runtime.bundle, name, check=True)
    return name


def controller_file(runtime, name, v1, v2):
    for path in [*pathlib.Path("/sys/fs/cgroup").glob(f"*/{runtime.cgroup[1:]}/{name}/{v1}"),
                 pathlib.Path(f"/sys/fs/cgroup{runtime.cgroup}/{name}/{v2}")]:
        if path.exists():
            return path
    raise AssertionError(f"neither {v1} nor {v2}")
