"""--systemd-cgroup: cgroups as transient units, asked for on a real message bus of a service that does what systemd does."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest
from oci_bundle import SOURCE, runtime, wait_until  # noqa: F401  (a fixture)

pytestmark = pytest.mark.skipif(not shutil.which("dbus-daemon"), reason="needs dbus-daemon")

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow own="*"/><allow receive_sender="*"/></policy></busconfig>
"""


class Systemd:
    def __init__(self, folder, own_group=""):
        self.address, self.calls_file = f"unix:path={folder}/bus", folder / "calls"
        self.environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        self.slice = f"sampantest{os.getpid()}"
        (folder / "bus.conf").write_text(CONFIG.format(folder=folder))
        self.daemon = subprocess.Popen(["dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork"])
        wait_until(lambda: (folder / "bus").exists())
        self.service = subprocess.Popen([sys.executable, SOURCE / "tests/fakes/systemd.py", self.calls_file, own_group], env=self.environment)
        wait_until(lambda: self.calls("ready"))

    def calls(self, kind):
        if not self.calls_file.exists():
            return []
        return [call for call in map(json.loads, self.calls_file.read_text().splitlines()) if call["call"] == kind]

    def groups(self):
        return [path for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.slice}.slice/**/*") if path.is_dir()]

    def stop(self):
        for process in (self.service, self.daemon):
            process.terminate()
            process.wait(10)
        for top in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.slice}.slice"):
            for path in sorted([top, *top.rglob("*.slice")], reverse=True):
                path.rmdir()  # fails where a scope is left


@pytest.fixture
def systemd():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sampan-bus-", dir="/tmp"))
    service = Systemd(folder)
    yield service
    service.stop()
    shutil.rmtree(folder)


@contextlib.contextmanager
def on_bus(address, variable="DBUS_SYSTEM_BUS_ADDRESS"):
    before = os.environ.get(variable)
    os.environ[variable] = address
    try:
        yield
    finally:
        del os.environ[variable]
        if before:
            os.environ[variable] = before


def write(runtime, systemd, name, *args, **resources):
    def change(spec):
        spec["linux"]["cgroupsPath"] = f"{systemd.slice}-inner.slice:sampan:{name}"
        spec["linux"]["resources"].update(resources)
    return runtime.write(name, *args, change=change)


def test_a_container_is_a_scope(runtime, systemd):
    write(runtime, systemd, "a", "/bin/sleep", "100", memory={"limit": 64 << 20}, pids={"limit": 20},
          cpu={"quota": 50000, "period": 100000, "shares": 512})
    with on_bus(systemd.address):
        runtime.run("--systemd-cgroup", "run", "-d", "-b", runtime.bundle, "a", check=True)
    started, = systemd.calls("StartTransientUnit")
    assert (started["name"], started["mode"]) == ("sampan-a.scope", "replace")
    properties = started["properties"]
    assert properties["Slice"] == f"{systemd.slice}-inner.slice" and properties["Delegate"] and properties["TasksMax"] == 20
    assert properties["CPUQuotaPerSecUSec"] == 500000 and len(properties["PIDs"]) == 1
    assert properties.get("MemoryLimit", properties.get("MemoryMax")) == 64 << 20
    pid = runtime.state("a")["pid"]
    inside = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
    where = f"/{systemd.slice}.slice/{systemd.slice}-inner.slice/sampan-a.scope"
    for line in inside.splitlines():
        _, controllers, path = line.split(":")
        if controllers in ("", "name=systemd", "memory", "pids", "freezer"):
            assert path == where, line
    assert pathlib.Path(f"/sys/fs/cgroup/memory{where}/memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
    assert not pathlib.Path(f"/proc/{properties['PIDs'][0]}").exists(), "the placeholder is left"
    # exec, limits and pause as with groups of our own, whoever asks: the bus is remembered.
    runtime.run("exec", "-d", "--pid-file", runtime.folder / "exec.pid", "a", "/bin/sleep", "100", check=True)
    assert pathlib.Path(f"/proc/{(runtime.folder / 'exec.pid').read_text()}/cgroup").read_text() == inside
    runtime.run("update", "--memory", "100M", "--pids-limit", "30", "a", check=True)
    changed, = systemd.calls("SetUnitProperties")
    assert changed["runtime"] and changed["properties"]["TasksMax"] == 30
    assert pathlib.Path(f"/sys/fs/cgroup/memory{where}/memory.limit_in_bytes").read_text() == f"{100 << 20}\n"
    runtime.run("pause", "a", check=True)
    runtime.run("resume", "a", check=True)
    runtime.run("delete", "--force", "a", check=True)
    assert systemd.calls("StopUnit")[-1]["name"] == "sampan-a.scope"
    assert not [group for group in systemd.groups() if group.name.endswith(".scope")]


def test_annotations_are_properties_of_the_unit(runtime, systemd):
    write(runtime, systemd, "a", "/bin/true")
    spec = json.loads((runtime.bundle / "config.json").read_text())
    prefix = "org.systemd.property."
    spec["annotations"] = {prefix + "CollectMode": "'inactive-or-failed'", prefix + "TimeoutStopSec": "1.5",
                           prefix + "After": "['a.service', 'b.service']", prefix + "CPUWeight": "uint64 77"}
    (runtime.bundle / "config.json").write_text(json.dumps(spec))
    with on_bus(systemd.address):
        runtime.run("--systemd-cgroup", "run", "-b", runtime.bundle, "a", check=True)
        properties = systemd.calls("StartTransientUnit")[0]["properties"]
        assert properties["CollectMode"] == "inactive-or-failed" and properties["TimeoutStopUSec"] == 1500000
        assert properties["After"] == ["a.service", "b.service"] and properties["CPUWeight"] == 77
        spec["annotations"] = {prefix + "Bad": "word"}
        (runtime.bundle / "config.json").write_text(json.dumps(spec))
        refused = runtime.run("--systemd-cgroup", "run", "-b", runtime.bundle, "a")
    assert refused.returncode == 1 and f"annotations.{prefix}Bad" in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.parametrize("found_by", ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"])
def test_a_users_own_manager(runtime, found_by):
    """Its units are below the group that it is in itself."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sampan-bus-", dir="/tmp"))
    own = f"/sampantest{os.getpid()}.slice/user@0.service"
    systemd = Systemd(folder, own)
    try:
        runtime.write("a", "/bin/sleep", "100", change=lambda spec: spec["linux"].update(cgroupsPath=":sampan:a"))
        with on_bus(systemd.address if found_by.startswith("DBUS") else str(folder), found_by), on_bus("unix:path=/nowhere"):
            runtime.run("--rootless", "true", "--systemd-cgroup", "run", "-d", "-b", runtime.bundle, "a", check=True)
        assert systemd.calls("StartTransientUnit")[0]["properties"]["Slice"] == "user.slice"
        inside = pathlib.Path(f"/proc/{runtime.state('a')['pid']}/cgroup").read_text()
        assert f"name=systemd:{own}/user.slice/sampan-a.scope\n" in inside
        runtime.run("delete", "--force", "a", check=True)
        assert systemd.calls("StopUnit")[-1]["name"] == "sampan-a.scope"
    finally:
        for path in sorted(pathlib.Path("/sys/fs/cgroup").glob(f"*/{own[1:]}/**/*"), reverse=True):
            if path.is_dir():
                path.rmdir()
        for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/{own[1:]}"):
            path.rmdir()
        systemd.stop()
        shutil.rmtree(folder)


def test_without_root_somebody_must_say_where_the_users_systemd_is(runtime):
    runtime.write("a", "/bin/true", change=lambda spec: spec["linux"].update(cgroupsPath=":sampan:a"))
    words = runtime.command("--rootless", "true", "--systemd-cgroup", "run", "-b", runtime.bundle, "a")
    environment = {name: value for name, value in os.environ.items() if name not in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "XDG_RUNTIME_DIR" in done.stderr and done.stderr.count("\n") == 1


def test_in_the_foreground_and_by_create(runtime, systemd):
    write(runtime, systemd, "a", "/bin/sh", "-c", "exit 9")
    with on_bus(systemd.address):
        assert runtime.run("--cgroup-manager", "systemd", "run", "-b", runtime.bundle, "a").returncode == 9
        write(runtime, systemd, "b", "/bin/sleep", "100")
        runtime.run("--systemd-cgroup", "create", "-b", runtime.bundle, "b", check=True)
        assert "exists" in runtime.run("--systemd-cgroup", "create", "-b", runtime.bundle, "b").stderr
    runtime.run("start", "b", check=True)
    runtime.run("kill", "b", "KILL", check=True)
    wait_until(lambda: runtime.status("b") == "stopped")
    runtime.run("delete", "b", check=True)
    assert [call["name"] for call in systemd.calls("StopUnit")] == ["sampan-a.scope", "sampan-b.scope"]
    assert not [group for group in systemd.groups() if group.name.endswith(".scope")]


def test_refusals_are_told_and_leave_nothing(runtime, systemd):
    with on_bus(systemd.address):
        write(runtime, systemd, "refused", "/bin/true")
        result = runtime.run("--systemd-cgroup", "run", "-b", runtime.bundle, "refused")
        assert result.returncode == 1 and 'ended as "failed"' in result.stderr
        write(runtime, systemd, "missing", "/bin/nosuch")
        assert runtime.run("--systemd-cgroup", "run", "-b", runtime.bundle, "missing").returncode == 127
        for path in ("/plain/path", "a.slice:b", "noslice:b:c", "a.slice:b:../c", "a--b.slice:x:y", "-a.slice:x:y", ".slice:x:y", "a.slice:b:"):
            runtime.write("bad", "/bin/true", change=lambda spec, path=path: spec["linux"].update(cgroupsPath=path))
            result = runtime.run("--systemd-cgroup", "run", "-b", runtime.bundle, "bad")
            assert result.returncode == 1 and "cgroupsPath" in result.stderr, (path, result.stderr)
    assert not list(runtime.root.glob("*/state.json"))
    assert not [group for group in systemd.groups() if group.name.endswith(".scope")]


@pytest.mark.skipif("DBUS_SYSTEM_BUS_ADDRESS" in os.environ, reason="somebody names a bus")
def test_systemd_itself_is_asked_where_there_is_no_bus(runtime, tmp_path):
    """By /run/systemd/private, in this test's own mount namespace."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    service = None
    try:
        os.mkdir("/run/systemd")
        calls, top = tmp_path / "calls", f"sampanown{os.getpid()}"
        service = subprocess.Popen([sys.executable, SOURCE / "tests/fakes/systemd.py", calls, "", "/run/systemd/private"])
        wait_until(lambda: calls.exists() and "ready" in calls.read_text())
        runtime.write("a", "/bin/cat", "/proc/self/cgroup", change=lambda spec: spec["linux"].update(cgroupsPath=f"{top}.slice:sampan:a"))
        result = runtime.run("--systemd-cgroup", "run", "-b", runtime.bundle, "a")
        assert result.returncode == 0 and "sampan-a.scope" in result.stdout, result.stderr
        names = [json.loads(line)["call"] for line in calls.read_text().splitlines()]
        assert names == ["ready", "Subscribe", "StartTransientUnit", "StopUnit"] or "AttachProcessesToUnit" in names, names
    finally:
        if service:
            service.terminate()
            service.wait(10)
            for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/{top}.slice"):
                path.rmdir()  # fails where the scope is left
        subprocess.run(["umount", "/run"], check=True)


def test_without_systemd_the_error_says_so(runtime, tmp_path):
    runtime.write("a", "/bin/true", change=lambda spec: spec["linux"].update(cgroupsPath="system.slice:sampan:a"))
    with on_bus(f"unix:path={tmp_path}/nowhere"):
        result = runtime.run("--systemd-cgroup", "run", "-b", runtime.bundle, "a")
    assert result.returncode == 1 and "is systemd running here" in result.stderr and result.stderr.count("\n") == 1
    assert not (runtime.root / "a").exists()
