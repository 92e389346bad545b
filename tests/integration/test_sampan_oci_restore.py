"""checkpoint and restore as far as they are ours: what criu is asked for, the groups, hooks and networks of what it brings back. Its
own work is not done here but by a service that speaks as it does; tests/vm has the real one, for which this kernel may not be enough.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from oci_bundle import SOURCE, running, runtime, wait_until  # noqa: F401  (a fixture)
from test_sampan_oci_systemd import on_bus, systemd  # noqa: F401  (a fixture)

pytest.importorskip("pycriu")


class Criu:
    def __init__(self, runtime, folder):
        self.runtime, self.folder, self.program, self.images = runtime, folder, folder / "criu", folder / "images"
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} {SOURCE}/tests/fakes/criu.py {folder} "$@"\n')
        self.program.chmod(0o755)

    def run(self, *words, check=True, before=()):
        return self.runtime.run("--criu", self.program, *before, words[0], "--image-path", self.images, *words[1:], check=check)

    def restore(self, name, *words, check=True, before=()):
        self.runtime.ids.append(name)
        return self.run("restore", "-d", "-b", self.runtime.bundle, *words, name, check=check, before=before)

    def requests(self, kind):
        every = map(json.loads, (self.folder / "requests").read_text().splitlines())
        return [request["opts"] for request in every if request["type"] == kind]


@pytest.fixture
def criu(runtime, tmp_path):  # noqa: F811
    folder = tmp_path / "criu"
    folder.mkdir()
    return Criu(runtime, folder)


def groups_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}


def checkpointed(runtime, criu, change=None):  # noqa: F811
    running(runtime, "a", change=change)
    criu.run("checkpoint", "a")


@pytest.mark.parametrize("user", [False, True], ids=["the system's", "a user's"])
def test_restored_ones_are_in_a_scope(runtime, systemd, criu, user):  # noqa: F811
    name = f"{systemd.slice}-inner.slice"
    limits = {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}

    def change(spec):
        spec["linux"]["cgroupsPath"] = f"{name}:sampan:a"
        spec["linux"]["resources"].update(limits)
    runtime.write("a", "/bin/sleep", "100", change=change)
    # A user's manager is asked over the user's bus; here it is in the root group, as the system's is.
    words = ["--rootless", "true", "--systemd-cgroup"] if user else ["--systemd-cgroup"]
    with on_bus(systemd.address, "DBUS_SESSION_BUS_ADDRESS" if user else "DBUS_SYSTEM_BUS_ADDRESS"):
        runtime.run(*words, "run", "-d", "-b", runtime.bundle, "a", check=True)
        criu.run("checkpoint", "a", before=words)
        criu.restore("b", before=words)
        pid = runtime.state("b")["pid"]
        inside = groups_of(pid)
        where = f"/{systemd.slice}.slice/{name}/sampan-a.scope"
        for controllers in ("memory", "pids", "freezer", "name=systemd", ""):
            assert inside.get(controllers, where) == where, inside
        assert pathlib.Path(f"/sys/fs/cgroup/memory{where}/memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
        started = systemd.calls("StartTransientUnit")[-1]
        assert started["name"] == "sampan-a.scope" and started["properties"]["TasksMax"] == 20
        assert not pathlib.Path(f"/proc/{started['properties']['PIDs'][0]}").exists(), "the placeholder is left"
        # We ourselves are where we were.
        assert groups_of("self") == groups_of(os.getpid())
        runtime.run("update", "--pids-limit", "30", "b", check=True)
        assert systemd.calls("SetUnitProperties")[-1]["properties"]["TasksMax"] == 30
        runtime.run("delete", "--force", "b", check=True)
    assert len(systemd.calls("StopUnit")) == 2
    assert not [group for group in systemd.groups() if group.name.endswith(".scope")]


def test_a_restore_that_failed_leaves_no_scope(runtime, systemd, criu):  # noqa: F811
    runtime.write("a", "/bin/sleep", "100", change=lambda spec: spec["linux"].update(cgroupsPath=f"{systemd.slice}.slice:sampan:a"))
    with on_bus(systemd.address):
        runtime.run("--systemd-cgroup", "run", "-d", "-b", runtime.bundle, "a", check=True)
        criu.run("checkpoint", "a")
        (criu.folder / "fail").touch()
        result = criu.restore("b", check=False, before=["--systemd-cgroup"])
        assert result.returncode == 1 and "criu restore failed" in result.stderr and result.stderr.count("\n") == 1
    assert len(systemd.calls("StartTransientUnit")) == 2 and len(systemd.calls("StopUnit")) == 2
    assert not (runtime.root / "b").exists()
    assert not [group for group in systemd.groups() if group.name.endswith(".scope")]


def test_every_option_reaches_criu(runtime, criu):  # noqa: F811
    running(runtime)
    flags = ["--tcp-established", "--tcp-skip-in-flight", "--ext-unix-sk", "--shell-job", "--file-locks", "--link-remap", "--auto-dedup"]
    criu.run("checkpoint", "--leave-running", "--manage-cgroups-mode", "full", "--empty-ns", "network", *flags, "a")
    asked, = criu.requests("DUMP")
    for flag in ["--leave-running", *flags]:
        assert asked[flag[2:].replace("-", "_")] is True, flag
    assert asked["manage_cgroups_mode"] == "FULL" and asked["empty_ns"] == 0x40000000
    assert asked["config_file"] == "/etc/criu/runc.conf" and asked["root"] == str(runtime.bundle / "rootfs")
    frozen = pathlib.Path(asked["freeze_cgroup"])
    assert frozen.parts[-2:] == (runtime.cgroup[1:], "a") and any((frozen / name).exists() for name in ("freezer.state", "cgroup.freeze"))
    criu.run("checkpoint", "a")
    plain = criu.requests("DUMP")[1]
    assert not [flag for flag in ["--leave-running", *flags] if flag[2:].replace("-", "_") in plain]
    flags = [flag for flag in flags if flag not in ("--tcp-skip-in-flight", "--link-remap")]
    (runtime.bundle / "config.json").write_text((runtime.bundle / "config.json").read_text().replace(f"{runtime.cgroup}/a", f"{runtime.cgroup}/b"))
    criu.restore("b", *flags, "--manage-cgroups-mode", "strict", "--lsm-profile", "selinux:x", "--lsm-mount-context", "y")
    asked, = criu.requests("RESTORE")
    for flag in flags:
        assert asked[flag[2:].replace("-", "_")] is True, flag
    assert asked["manage_cgroups_mode"] == "STRICT" and asked["lsm_profile"] == "selinux:x" and asked["lsm_mount_context"] == "y"
    # Groups that criu makes go below the new container's, not where the old one's were.
    assert f"{runtime.cgroup}/b" in [root["path"] for root in asked["cg_root"]]
    assert f"{runtime.cgroup}/a" not in [root["path"] for root in asked["cg_root"]]


@pytest.mark.parametrize("value,expected", [("/etc/mine.conf", "/etc/mine.conf"), ("", None)])
def test_an_annotation_names_the_configuration_of_criu(runtime, criu, value, expected):  # noqa: F811
    checkpointed(runtime, criu, lambda spec: spec.update(annotations={"org.criu.config": value}))
    criu.restore("b")
    assert [criu.requests(kind)[0].get("config_file") for kind in ("DUMP", "RESTORE")] == [expected] * 2


def test_hooks_of_the_runtimes_namespaces_run_at_restore(runtime, criu):  # noqa: F811
    """As with runc, whose other two do not: what they did inside is part of what was saved."""
    said = runtime.folder / "hooks"
    kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]

    def change(spec):
        say = {kind: ["sh", "-c", f"read state; echo {kind} $state >> {said}"] for kind in kinds}
        spec["hooks"] = {kind: [{"path": "/bin/sh", "args": say[kind]}] for kind in kinds if not kind.endswith("Container")}
        inside = {"path": "/bin/sh", "args": ["sh", "-c", "exit 0"]}
        spec["hooks"].update({"createContainer": [inside], "startContainer": [inside]})
    checkpointed(runtime, criu, change)
    said.unlink()
    # These would fail: nobody runs them.
    spec = json.loads((runtime.bundle / "config.json").read_text())
    for kind in ("createContainer", "startContainer"):
        spec["hooks"][kind] = [{"path": "/bin/false"}]
    (runtime.bundle / "config.json").write_text(json.dumps(spec))
    criu.restore("b")
    lines = [line.split(" ", 1) for line in said.read_text().splitlines()]
    assert [kind for kind, _ in lines] == ["prestart", "createRuntime", "poststart"]
    pid = runtime.state("b")["pid"]
    assert [json.loads(state)["pid"] for _, state in lines] == [pid] * 3
    runtime.run("delete", "--force", "b", check=True)
    assert said.read_text().splitlines()[-1].startswith("poststop ")
    stat = pathlib.Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_a_restored_network_has_its_loopback(runtime, criu):  # noqa: F811
    checkpointed(runtime, criu)
    criu.restore("b")
    pid = runtime.state("b")["pid"]
    shown = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-o", "link", "show", "lo"], capture_output=True, text=True).stdout
    assert "LOOPBACK,UP" in shown, shown


def test_namespaces_by_path(runtime, criu):  # noqa: F811
    """A network or process namespace that somebody else keeps is not criu's to save; others of the host's it joins."""
    keeper = subprocess.Popen(["unshare", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "sleep", "1000"])
    try:
        children = pathlib.Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children")
        wait_until(lambda: children.read_text() and pathlib.Path(f"/proc/{children.read_text().split()[0]}/comm").read_text() == "sleep\n")
        folder = pathlib.Path(f"/proc/{children.read_text().split()[0]}/ns")

        def change(spec):
            for each in spec["linux"]["namespaces"]:
                file = {"network": "net"}.get(each["type"], each["type"])
                if file in ("net", "uts", "ipc", "pid"):
                    each["path"] = str(folder / file)
        checkpointed(runtime, criu, change)
        asked, = criu.requests("DUMP")
        assert {f"net[{os.stat(folder / 'net').st_ino}]:network", f"pid[{os.stat(folder / 'pid').st_ino}]:extRootPidNS"} <= set(asked["external"])
        criu.restore("b")
        asked, = criu.requests("RESTORE")
        assert {"network", "extRootPidNS"} <= {pair["key"] for pair in asked["inherit_fd"]}
        assert sorted((each["ns"], each["ns_file"]) for each in asked["join_ns"]) == [("ipc", str(folder / "ipc")), ("uts", str(folder / "uts"))]
    finally:
        keeper.kill()  # and with it all of its namespace
        keeper.wait(10)


def test_features_say_whether_criu_works(runtime, criu):  # noqa: F811
    def enabled():
        features = json.loads(criu.runtime.run("--criu", criu.program, "features", check=True).stdout)
        return features["annotations"]["org.opencontainers.runc.checkpoint.enabled"]
    assert enabled() == "true"
    (criu.folder / "fail").touch()
    assert enabled() == "false"
    criu.program.unlink()
    assert enabled() == "false"


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"mounts": 1, "masked": [], "cgroups": [], "descriptors": []}', "\0" * 100, "[" * 100_000])
def test_a_damaged_checkpoint_is_refused_in_one_line(runtime, criu, text):  # noqa: F811
    checkpointed(runtime, criu)
    (criu.images / "sampan.json").write_text(text)
    result = criu.restore("b", check=False)
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and len(result.stderr) < 1000, result.stderr
    assert not (runtime.root / "b").exists() and not criu.requests("DUMP")[1:]
