"""containerd of Debian, its own shim io.containerd.runc.v2, with sampan-oci as the shim's runtime."""

import pathlib
import re
import shutil
import socket
import tempfile

import pytest
from conftest import wait_until
from oci_engines import FORKS, GREEDY, NAME, OCI, Words, assert_nothing_left, cgroup_file, engines, save_image

pytestmark = pytest.mark.skipif(not shutil.which("containerd") or not shutil.which("ctr"), reason="needs containerd")


@pytest.fixture(scope="module")
def ctr(tmp_path_factory):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sampan-c-", dir="/tmp"))
    engine = engines.ContainerdEngine(folder, OCI)
    try:
        engine.start()
        words = Words(engine)
        words("image", "import", "--all-platforms", save_image(tmp_path_factory.mktemp("image")))
        yield words
        for image in words.out("image", "ls", "-q").split():
            words("image", "rm", "--sync", image)
    finally:
        engine.stop()
    assert_nothing_left(engine)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def remove_containers(ctr):
    yield
    for name in ctr.out("task", "ls", "-q").split():
        ctr("task", "kill", "-s", "KILL", name, code=None)
        ctr("task", "rm", "-f", name, code=None)
    for name in ctr.out("container", "ls", "-q").split():
        wait_until(lambda: ctr("container", "rm", name, code=None).returncode == 0)


def flags(ctr):
    return ["--runc-binary", str(OCI), "--runc-root", f"{ctr.engine.folder}/runc"]


def run(ctr, *words, **more):
    return ctr("run", *flags(ctr), *words, **more)


def start(ctr, name, *words, command=("sleep", "300")):
    run(ctr, "-d", *words, NAME, name, *command)
    return name


def status(ctr, name):
    listed = [line.split() for line in ctr("task", "ls").stdout.splitlines()]
    return next((words[2] for words in listed if words[0] == name), "")


def test_output_and_exit_codes(ctr):
    result = run(ctr, "--rm", NAME, "a", "sh", "-c", "echo out; echo err >&2; exit 5", code=5)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    missing = run(ctr, "--rm", NAME, "b", "nosuch", code=1)
    assert 'executable file not found in $PATH' in missing.stderr
    assert list(pathlib.Path(ctr.engine.folder, "runc").rglob("state.json")) == []
    shown = run(ctr, "--rm", "--env", "A=b", "--cwd", "/tmp", NAME, "c", "sh", "-c", "echo $A; pwd").stdout
    assert shown.split() == ["b", "/tmp"]


def test_terminals(ctr):
    shown, code = ctr.on_terminal("run", *flags(ctr), "--rm", "-t", NAME, "a", "sh", "-c",
                                  "tty; until stty size | grep '30 90'; do sleep 0.05; done; read line; echo got $line; exit 4",
                                  typed=("30 90\r", "hello\r"))
    assert "/dev/pts/0" in shown and "got hello" in shown and code == 4, shown
    start(ctr, "b")
    shown, code = ctr.on_terminal("task", "exec", "--exec-id", "x", "-t", "b", "sh", "-c", "tty; exit 5")
    assert "/dev/pts/" in shown and code == 5, shown


def test_exec(ctr):
    start(ctr, "a")
    assert ctr.out("task", "exec", "--exec-id", "x", "a", "echo", "inside") == "inside"
    ctr("task", "exec", "--exec-id", "x", "a", "sh", "-c", "exit 8", code=8)
    assert "executable file not found" in ctr("task", "exec", "--exec-id", "x", "a", "nosuch", code=1).stderr
    assert ctr.out("task", "exec", "--exec-id", "x", "--user", "7", "--cwd", "/tmp", "a", "sh", "-c", "id -u; pwd").split() == ["7", "/tmp"]
    ctr("task", "exec", "--exec-id", "y", "-d", "a", "sleep", "200")
    pids = ctr("task", "ps", "a").stdout.split()[2:]
    assert len([word for word in pids if word.isdigit()]) == 2
    ctr("task", "kill", "--exec-id", "y", "-s", "KILL", "a")
    wait_until(lambda: len([word for word in ctr("task", "ps", "a").stdout.split() if word.isdigit()]) == 1)


def test_limits_are_set_and_bite(ctr):
    start(ctr, "limited", "--memory-limit", str(60 << 20), "--cpus", "0.5")
    assert cgroup_file(ctr.engine, "limited", "memory.limit_in_bytes", "memory.max") == str(60 << 20)
    assert cgroup_file(ctr.engine, "limited", "cpu.cfs_quota_us", "") == "50000"
    run(ctr, "--memory-limit", str(8 << 20), NAME, "greedy", "sh", "-c", GREEDY, code=137)
    start(ctr, "busy", "--cpus", "0.1", command=("sh", "-c", "while :; do :; done"))
    wait_until(lambda: "nr_throttled 0" not in cgroup_file(ctr.engine, "busy", "cpu.stat", "cpu.stat"), 10)


def test_statistics(ctr):
    start(ctr, "a", "--memory-limit", str(64 << 20))
    shown = ctr("task", "metrics", "a").stdout
    assert re.search(r"pids\.current\s+1\b", shown) and re.search(r"memory\.usage_in_bytes\s+[1-9]", shown), shown


def test_pause_and_resume(ctr):
    start(ctr, "a")
    ctr("task", "pause", "a")
    assert status(ctr, "a") == "PAUSED"
    ctr("task", "exec", "--exec-id", "x", "a", "true", code=1)
    ctr("task", "resume", "a")
    assert status(ctr, "a") == "RUNNING"


def test_kill_and_restart(ctr):
    start(ctr, "a", command=("sh", "-c", "trap 'exit 6' USR1; while :; do sleep 0.05; done"))
    ctr("task", "exec", "--exec-id", "x", "a", "true")
    ctr("task", "kill", "-s", "USR1", "a")
    wait_until(lambda: status(ctr, "a") == "STOPPED")
    assert "exit code 6" in ctr("task", "rm", "a").stderr
    ctr("task", "start", "-d", "a")  # the same container, once more
    assert status(ctr, "a") == "RUNNING"
    ctr("task", "kill", "--all", "-s", "KILL", "a")
    wait_until(lambda: status(ctr, "a") == "STOPPED")
    assert "not found" in ctr("task", "kill", "a", code=None).stderr


def test_pid_file(ctr, tmp_path):
    start(ctr, "a", "--pid-file", tmp_path / "pid")
    assert pathlib.Path(f"/proc/{(tmp_path / 'pid').read_text()}/cmdline").read_bytes() == b"sleep\x00300\x00"


def test_security_options(ctr):
    def inside(name, *words, command):
        return run(ctr, "--rm", *words, NAME, name, "sh", "-c", command).stdout.strip()
    assert inside("a", "--seccomp", command="grep Seccomp: /proc/self/status").split()[1] == "2"
    assert int(inside("b", "--privileged", command="grep CapEff /proc/self/status").split()[1], 16) > 1 << 21
    assert int(inside("c", "--cap-add", "CAP_SYS_TIME", command="grep CapEff /proc/self/status").split()[1], 16) & 1 << 25
    run(ctr, "--rm", "--read-only", NAME, "d", "touch", "/x", code=1)
    assert inside("e", "--net-host", command="ls /sys/class/net").split() == sorted(name for _, name in socket.if_nameindex())
    assert inside("f", "--no-pivot", command="ls /").split().count("boot") == 0


def test_mounts(ctr, tmp_path):
    (tmp_path / "file").write_text("from the host\n")
    mount = f"type=bind,src={tmp_path},dst=/data,options=rbind:ro"
    assert run(ctr, "--rm", "--mount", mount, NAME, "a", "cat", "/data/file").stdout == "from the host\n"
    run(ctr, "--rm", "--mount", mount, NAME, "b", "touch", "/data/x", code=1)


def test_processes_do_not_outlive_the_container(ctr):
    start(ctr, "forks", command=("sh", "-c", FORKS + "; sleep 300"))
    ctr("task", "kill", "-s", "KILL", "forks")
    wait_until(lambda: status(ctr, "forks") == "STOPPED")
    ctr("task", "rm", "-f", "forks", code=None)
    assert not [path for top in ctr.engine.cgroups() for path in top.glob("forks")]
