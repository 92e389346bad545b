"""Fields of config.json as engines write them, to what a process of the container sees, or to the refusal that names the field."""

import os
import pathlib
import socket
import subprocess

import pytest
from oci_bundle import OCI, controller_file, running, runtime, wait_until  # noqa: F401  (a fixture)


def output(runtime, *args, change=None):  # noqa: F811
    runtime.write("a", *args, change=change)
    result = runtime.run("run", "-b", runtime.bundle, "a")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_devices_of_every_type(runtime):  # noqa: F811
    def change(spec):
        spec["linux"]["devices"] = [
            {"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 12, "gid": 34},
            {"path": "/dev/deep/disk", "type": "b", "major": 7, "minor": 99, "fileMode": 0o600},
            {"path": "/dev/queue", "type": "p", "fileMode": 0o622}]
        spec["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"},
                                                 {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"}]
    said = output(runtime, "/bin/sh", "-c", "stat -c '%n %F %t:%T %a %u:%g' /dev/mine /dev/deep/disk /dev/queue; head -c 3 /dev/mine | wc -c; "
                  "head -c 1 /dev/deep/disk 2>&1; echo x > /dev/mine; true", change=lambda spec: [change(spec), link_applets(runtime)])
    lines = said.splitlines()
    assert lines[:4] == ["/dev/mine character special file 1:5 666 12:34", "/dev/deep/disk block special file 7:63 600 0:0",
                         "/dev/queue fifo 0:0 622 0:0", "3"], said
    assert "not permitted" in lines[4], said


def link_applets(runtime):  # noqa: F811
    for name in ("wc", "grep", "umask", "touch"):
        path = runtime.bundle / "rootfs/bin" / name
        if not path.is_symlink():
            path.symlink_to("busybox")


def test_user_umask_and_groups(runtime):  # noqa: F811
    def change(spec):
        spec["process"]["user"] = {"uid": 1000, "gid": 100, "umask": 0o027, "additionalGids": [7, 4294967294]}
    script = "id -u; id -g; grep Groups /proc/self/status; umask"
    link_applets(runtime)
    assert output(runtime, "/bin/sh", "-c", script, change=change).split() == ["1000", "100", "Groups:", "7", "100", "4294967294", "0027"] or \
        output(runtime, "/bin/sh", "-c", script, change=change).split() == ["1000", "100", "Groups:", "7", "4294967294", "0027"]


def test_groups_of_an_exec(runtime):  # noqa: F811
    running(runtime)
    link_applets(runtime)
    said = runtime.run("exec", "--user", "5:6", "--additional-gids", "8", "-g", "9", "a", "/bin/grep", "-E", "^(Uid|Gid|Groups)", "/proc/self/status",
                       check=True).stdout.split()
    assert said[said.index("Uid:") + 1] == "5" and said[said.index("Gid:") + 1] == "6"
    assert {"8", "9"} <= set(said[said.index("Groups:") + 1:])


def test_oom_score_and_names(runtime):  # noqa: F811
    def change(spec):
        spec["process"]["oomScoreAdj"] = 321
        spec.update(hostname="ship", domainname="harbour")
    said = output(runtime, "/bin/sh", "-c", "cat /proc/self/oom_score_adj /proc/sys/kernel/hostname /proc/sys/kernel/domainname", change=change)
    assert said.split() == ["321", "ship", "harbour"]


def test_console_size(runtime):  # noqa: F811
    where = runtime.folder / "console"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(where))
    listening.listen(1)

    def change(spec):
        spec["process"].update(terminal=True, consoleSize={"height": 33, "width": 101})
    runtime.write("a", "/bin/stty", "size", change=change)
    runtime.run("run", "-d", "--console-socket", where, "-b", runtime.bundle, "a", check=True)
    connection, _ = listening.accept()
    _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    assert os.read(descriptors[0], 100) == b"33 101\r\n"
    os.close(descriptors[0])


def test_state_is_as_the_specification_words_it(runtime):  # noqa: F811
    runtime.write("a", "/bin/sleep", "100", change=lambda spec: spec.update(annotations={"org.example.key": "value", "empty": ""}))
    runtime.run("create", "-b", runtime.bundle, "a", check=True)
    state = runtime.state("a")
    assert state["ociVersion"].startswith("1.") and state["id"] == "a" and state["bundle"] == str(runtime.bundle)
    assert state["annotations"] == {"org.example.key": "value", "empty": ""}
    assert state["status"] == "created" and pathlib.Path(f"/proc/{state['pid']}").exists()
    runtime.run("start", "a", check=True)
    assert runtime.status("a") == "running"
    runtime.run("kill", "a", "KILL", check=True)
    wait_until(lambda: runtime.status("a") == "stopped")
    assert runtime.state("a")["pid"] == 0


# Each limit: the files that hold it on v1 and v2, or the field by which it is refused where this host has no controller for it.
LIMITS = {
    "memory.limit": ({"memory": {"limit": 64 << 20}}, "memory.limit_in_bytes", "memory.max", str(64 << 20)),
    "memory.reservation": ({"memory": {"reservation": 32 << 20}}, "memory.soft_limit_in_bytes", "memory.low", str(32 << 20)),
    "cpu.shares": ({"cpu": {"shares": 512}}, "cpu.shares", "cpu.weight", None),
    "cpu.quota": ({"cpu": {"quota": 20000, "period": 100000}}, "cpu.cfs_quota_us", "cpu.max", "20000"),
    "cpu.cpus": ({"cpu": {"cpus": "0"}}, "cpuset.cpus", "cpuset.cpus", "0"),
    "pids.limit": ({"pids": {"limit": 33}}, "pids.max", "pids.max", "33"),
    "blockIO.weight": ({"blockIO": {"weight": 300}}, "blkio.bfq.weight", "io.bfq.weight", None),
    "hugepageLimits": ({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]}, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max", str(4 << 20)),
    "network.classID": ({"network": {"classID": 1048577}}, "net_cls.classid", "none", "1048577"),
    "network.priorities": ({"network": {"priorities": [{"name": "lo", "priority": 3}]}}, "net_prio.ifpriomap", "none", None),
    "rdma": ({"rdma": {"mlx5_1": {"hcaHandles": 3}}}, "rdma.max", "rdma.max", None),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_set_or_refused_by_name(runtime, name):  # noqa: F811
    resources, v1, v2, value = LIMITS[name]
    runtime.write("a", "/bin/sleep", "100", change=lambda spec: spec["linux"]["resources"].update(resources))
    result = runtime.run("run", "-d", "-b", runtime.bundle, "a")
    if result.returncode == 0:
        text = controller_file(runtime, "a", v1, v2).read_text().split()
        assert value is None or value in text, text
    else:
        # Which the machine of tests/vm and dockers' own hosts have.
        assert name not in ("memory.limit", "pids.limit", "cpu.shares", "cpu.quota", "cpu.cpus"), result.stderr
        assert f"linux.resources.{name}" in result.stderr and result.stderr.count("\n") == 1, result.stderr
        assert not (runtime.root / "a").exists()


def test_ids_of_containers(runtime):  # noqa: F811
    """A name that is a path, an option, or too long for a file never becomes a directory."""
    runtime.write("a", "/bin/true")
    for name in ("", ".", "..", "a/b", "../a", "a b", "a\nb", "é", "x" * 256, "a\x1b[31m"):
        for command in (["run", "-b", runtime.bundle, name], ["state", name], ["delete", "--force", name]):
            result = runtime.run(*command)
            assert result.returncode == 1 and result.stderr.count("\n") == 1, (command, result.stderr)
            assert all(letter.isprintable() or letter == "\n" for letter in result.stderr)
    assert not runtime.root.exists() or not list(runtime.root.glob("*/state.json"))
    name = "Aa0_+.-" + "x" * 200
    runtime.write(name, "/bin/true")
    assert runtime.run("run", "-b", runtime.bundle, name).returncode == 0


@pytest.mark.parametrize("words", [["run", "x"], ["create", "x"], ["exec", "x", "true"], ["spec"], ["checkpoint", "x"], ["restore", "x"]])
def test_a_current_directory_that_is_gone(runtime, words):  # noqa: F811
    gone = runtime.folder / "gone"
    gone.mkdir()
    command = " ".join(runtime.command(*words))
    done = subprocess.run(["sh", "-c", f"rmdir {gone}; exec {command}"], cwd=gone, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert done.returncode == (255 if words[0] == "exec" else 1) and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("root", ["/dev/null/x", "CONFIG", "x" * 5000])
def test_a_root_that_is_none(runtime, root):  # noqa: F811
    root = str(runtime.bundle / "config.json") if root == "CONFIG" else root
    runtime.write("a", "/bin/true")
    for words in (["run", "-b", str(runtime.bundle), "a"], ["state", "a"], ["delete", "a"]):
        done = subprocess.run([str(OCI), "--root", root, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
