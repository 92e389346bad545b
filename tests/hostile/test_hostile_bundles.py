"""Bundles and containers that mean harm to sampan-oci: it refuses in one line, or ends them, in bounded time."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from oci_bundle import running, runtime, wait_until  # noqa: E402, F401

FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")
BASE = '"ociVersion":"1.0.2","root":{"path":"rootfs"}'
PROCESS = '"process":{"args":["/bin/true"],"cwd":"/"}'

MALFORMED = {
    "empty": "",
    "nothing but blanks": " \n\t ",
    "no object": "[1, 2]",
    "cut short": "{" + BASE + ',"process":{"args":["/bin/tr',
    "not UTF-8": b'{"ociVersion":"\xff\xfe"}',
    "binary": bytes(range(256)) * 64,
    "more than one": "{" + BASE + "," + PROCESS + "}{}",
    "a million brackets": "[" * 1_000_000,
    "a million objects": '{"a":' * 1_000_000,
    "twenty megabytes": "{" + BASE + "," + PROCESS + ',"annotations":{"a":"' + "x" * (20 << 20) + '"}}',
    "a number beyond all": "{" + BASE + ',"process":{"args":["/bin/true"],"cwd":"/","oomScoreAdj":1e400}}',
    "a negative user": "{" + BASE + ',"process":{"args":["/bin/true"],"cwd":"/","user":{"uid":-1,"gid":0}}}',
    "a user beyond 32 bits": "{" + BASE + ',"process":{"args":["/bin/true"],"cwd":"/","user":{"uid":4294967296,"gid":0}}}',
    "words for numbers": "{" + BASE + ',"process":{"args":["/bin/true"],"cwd":"/","user":{"uid":"root","gid":0}}}',
    "null for a list": "{" + BASE + ',"process":{"args":null,"cwd":"/"}}',
    "no arguments": "{" + BASE + ',"process":{"args":[],"cwd":"/"}}',
    "no process": "{" + BASE + "}",
    "no root": '{"ociVersion":"1.0.2",' + PROCESS + "}",
    "no version": '{"root":{"path":"rootfs"},' + PROCESS + "}",
    "a version of the future": '{"ociVersion":"9.0.0","root":{"path":"rootfs"},' + PROCESS + "}",
    "a relative directory": "{" + BASE + ',"process":{"args":["/bin/true"],"cwd":"tmp"}}',
    "a zero byte in a path": "{" + BASE + "," + PROCESS + ',"mounts":[{"destination":"/a\\u0000b","type":"tmpfs"}]}',
    "a line break in a name": "{" + BASE + "," + PROCESS + ',"linux":{"sysctl":{"kernel.a\\nb":"1"}}}',
}


def contradict(path, value):
    def change(spec):
        at = spec
        for key in path[:-1]:
            at = at.setdefault(key, {})
        at[path[-1]] = value
    return change


def without(kind):
    def change(spec):
        spec["linux"]["namespaces"] = [item for item in spec["linux"]["namespaces"] if item["type"] != kind]
    return change


def both(*changes):
    return lambda spec: [change(spec) for change in changes]


CONTRADICTORY = {
    "the same namespace twice": lambda spec: spec["linux"]["namespaces"].append({"type": "pid"}),
    "an unknown namespace": lambda spec: spec["linux"]["namespaces"].append({"type": "planet"}),
    "a namespace of another type": lambda spec: spec["linux"]["namespaces"].__setitem__(0, {"type": "pid", "path": "/proc/self/ns/net"}),
    "mounts without a mount namespace": without("mount"),
    "a hostname without a namespace": without("uts"),
    "mappings without a user namespace": contradict(["linux", "uidMappings"], [{"containerID": 0, "hostID": 1, "size": 1}]),
    "a user namespace without mappings": lambda spec: spec["linux"]["namespaces"].append({"type": "user"}),
    "clocks without a time namespace": contradict(["linux", "timeOffsets"], {"boottime": {"secs": 1, "nanosecs": 0}}),
    "devices for the host's network": both(without("network"), contradict(["linux", "netDevices"], {"eth9": {}})),
    "less swap than memory": contradict(["linux", "resources", "memory"], {"limit": 64 << 20, "swap": 32 << 20}),
    "a CPU that nobody has": contradict(["linux", "resources", "cpu"], {"cpus": "4000-4001"}),
    "a soft limit above the hard one": contradict(["process", "rlimits"], [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 8}]),
    "the same limit twice": contradict(["process", "rlimits"], [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2),
    "an unknown capability": contradict(["process", "capabilities"], {"bounding": ["CAP_FLY"]}),
    "a label without its module": contradict(["process", "selinuxLabel"], "system_u:system_r:container_t:s0"),
    "a cgroup that climbs": contradict(["linux", "cgroupsPath"], "/a/../../b"),
    "an unknown filter action": contradict(["linux", "seccomp"], {"defaultAction": "SCMP_ACT_DANCE"}),
    "a root that is not there": contradict(["root", "path"], "nowhere"),
    "a root that is a file": contradict(["root", "path"], "config.json"),
    "a mount over everything": lambda spec: spec["mounts"].append({"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": ["nonsense"]}),
    "a relative hook": contradict(["hooks"], {"createRuntime": [{"path": "bin/true"}]}),
    "an impossible propagation": contradict(["linux", "rootfsPropagation"], "upwards"),
    "an unknown personality": contradict(["linux", "personality"], {"domain": "VMS"}),
    "resctrl that is not mounted": contradict(["linux", "intelRdt"], {"closID": "gold"}),
}


def refused_in_one_line(runtime, limit=10):  # noqa: F811
    begin = time.monotonic()
    result = runtime.run("run", "-b", runtime.bundle, "bad", timeout=limit + 20)
    assert time.monotonic() - begin < limit
    assert result.returncode == 1, result.stderr
    assert result.stdout == "" and result.stderr.count("\n") == 1 and len(result.stderr) < 2000, result.stderr[:4000]
    assert all(letter.isprintable() or letter == "\n" for letter in result.stderr), repr(result.stderr)
    assert not (runtime.root / "bad").exists()
    return result.stderr


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_configurations_are_refused_in_one_line(runtime, name):  # noqa: F811
    text = MALFORMED[name]
    (runtime.bundle / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused_in_one_line(runtime)


@pytest.mark.parametrize("name", CONTRADICTORY)
def test_contradictory_configurations_are_refused_in_one_line(runtime, name):  # noqa: F811
    runtime.write("bad", "/bin/true", change=CONTRADICTORY[name])
    refused_in_one_line(runtime)


def first_process(runtime, name):  # noqa: F811
    return runtime.state(name)["pid"]


def freezer_group(path):
    if not (FREEZER / "cgroup.procs").exists():
        pytest.skip("a kernel without the freezer of cgroup v1: on v2 there is cgroup.kill (tests/vm)")
    path.mkdir()
    return path


def test_processes_that_a_nested_engine_froze_are_deleted(runtime):  # noqa: F811
    """A frozen process does not take a signal before it is thawed, and thawing the container's group does not thaw those below."""
    running(runtime)
    below = freezer_group(FREEZER / runtime.cgroup[1:] / "a/inner")
    (below / "cgroup.procs").write_text(str(first_process(runtime, "a")))
    (below / "freezer.state").write_text("FROZEN")
    wait_until(lambda: (below / "freezer.state").read_text() == "FROZEN\n")
    begin = time.monotonic()
    runtime.run("delete", "--force", "a", check=True)
    assert time.monotonic() - begin < 5
    assert not below.exists()


def test_a_process_that_nothing_can_end(runtime):  # noqa: F811
    """As in uninterruptible sleep: frozen by somebody else, in a group that is not ours. An error in bounded time, and later it works."""
    running(runtime)
    elsewhere = freezer_group(FREEZER / f"sampan-dev-stuck-{os.getpid()}")
    pid = first_process(runtime, "a")
    (elsewhere / "cgroup.procs").write_text(str(pid))
    (elsewhere / "freezer.state").write_text("FROZEN")
    try:
        begin = time.monotonic()
        result = runtime.run("delete", "--force", "a", timeout=60)
        assert time.monotonic() - begin < 30
        assert result.returncode == 1 and "does not end" in result.stderr and result.stderr.count("\n") == 1, result.stderr
        assert runtime.state("a")["id"] == "a", "what could not be ended is still on record"
    finally:
        (elsewhere / "freezer.state").write_text("THAWED")
    runtime.run("delete", "--force", "a", check=True)
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists() or not (elsewhere / "cgroup.procs").read_text())
    elsewhere.rmdir()


def test_a_stopped_first_process(runtime):  # noqa: F811
    runtime.write("a", "/bin/sh", "-c", "trap '' TERM; (trap '' TERM; kill -STOP $$; sleep 100) & wait; sleep 100")
    runtime.run("run", "--detach", "-b", runtime.bundle, "a", check=True)
    runtime.run("kill", "a", "STOP", check=True)
    runtime.run("kill", "a", "TERM", check=True)
    begin = time.monotonic()
    runtime.run("delete", "--force", "a", check=True)
    assert time.monotonic() - begin < 5


def test_a_fork_bomb_without_limits_is_deleted(runtime):  # noqa: F811
    runtime.write("a", "/bin/sh", "-c", "b() { while :; do (exec sleep 5) & done; }; for i in 1 2 3 4; do b & done; wait",
                  change=lambda spec: spec["linux"].update(resources={"pids": {"limit": 400}}))
    runtime.run("run", "--detach", "-b", runtime.bundle, "a", check=True)
    wait_until(lambda: runtime.run("ps", "--format", "json", "a").stdout.count(",") > 300, 30)
    begin = time.monotonic()
    exec_result = runtime.run("exec", "a", "/bin/true", timeout=60)
    assert exec_result.returncode in (0, 255) and exec_result.stderr.count("\n") == (exec_result.returncode != 0)
    runtime.run("delete", "--force", "a", check=True, timeout=60)
    assert time.monotonic() - begin < 30


def test_a_fork_bomb_in_the_hosts_pid_namespace_is_deleted(runtime):  # noqa: F811
    """There the first process takes nobody along."""
    def change(spec):
        without("pid")(spec)
        spec["linux"]["resources"] = {"pids": {"limit": 200}}

    runtime.write("a", "/bin/sh", "-c", "while :; do sleep 5 & done", change=change)
    runtime.run("run", "--detach", "-b", runtime.bundle, "a", check=True)
    time.sleep(0.5)
    begin = time.monotonic()
    runtime.run("delete", "--force", "a", check=True, timeout=60)
    assert time.monotonic() - begin < 15
    assert not list(pathlib.Path("/sys/fs/cgroup").glob(f"*/{runtime.cgroup[1:]}/a"))


def test_a_first_process_that_ignores_sigterm(runtime):  # noqa: F811
    runtime.write("a", "/bin/sh", "-c", "trap '' TERM INT HUP QUIT; while :; do sleep 1; done")
    runtime.run("run", "--detach", "-b", runtime.bundle, "a", check=True)
    time.sleep(0.2)
    runtime.run("kill", "a", check=True)
    time.sleep(0.2)
    assert runtime.status("a") == "running"
    refused = runtime.run("delete", "a")
    assert refused.returncode == 1 and "not stopped" in refused.stderr
    runtime.run("delete", "--force", "a", check=True)


def test_exec_into_a_paused_container(runtime):  # noqa: F811
    running(runtime)
    runtime.run("pause", "a", check=True)
    begin = time.monotonic()
    result = runtime.run("exec", "a", "/bin/true")
    assert time.monotonic() - begin < 5
    assert result.returncode == 255 and "cannot exec in a paused container" in result.stderr
    patient = subprocess.Popen(runtime.command("exec", "--ignore-paused", "a", "/bin/sh", "-c", "exit 7"), stdin=subprocess.DEVNULL)
    time.sleep(0.3)
    assert patient.poll() is None, "it waits until the container goes on"
    runtime.run("resume", "a", check=True)
    assert patient.wait(10) == 7
    # One that is deleted meanwhile takes the waiting command along.
    runtime.run("pause", "a", check=True)
    patient = subprocess.Popen(runtime.command("exec", "--ignore-paused", "a", "/bin/sleep", "100"), stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    time.sleep(0.3)
    runtime.run("delete", "--force", "a", check=True)
    assert patient.wait(10) != 0
    assert patient.stderr.read().count("\n") <= 1


def test_exec_into_dying_containers(runtime):  # noqa: F811
    """Whenever the container ends, exec ends soon: with the process's code, 137 among them, or one line."""
    for delay in range(12):
        name = running(runtime, f"a{delay}")
        process = subprocess.Popen(runtime.command("exec", name, "/bin/sleep", "100"), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True)
        time.sleep(delay / 400)
        os.kill(first_process(runtime, name), signal.SIGKILL)
        code = process.wait(10)
        said = process.stderr.read()
        assert (code == 137 and said == "") or (code == 255 and said.count("\n") == 1), (delay, code, said)
        again = runtime.run("exec", name, "/bin/true")
        assert again.returncode == 255 and again.stderr.count("\n") == 1
        runtime.run("delete", "--force", name, check=True)


def test_thousands_of_mounts(runtime):  # noqa: F811
    def change(spec):
        spec["mounts"] += [{"destination": f"/many/{i}", "type": "tmpfs", "source": "tmpfs", "options": ["size=4k"]} for i in range(3000)]

    runtime.write("a", "/bin/sh", "-c", "cat /proc/mounts", change=change)
    begin = time.monotonic()
    result = runtime.run("run", "-b", runtime.bundle, "a", timeout=90)
    assert time.monotonic() - begin < 60
    assert result.returncode == 0 and result.stdout.count("/many/") == 3000


def test_a_state_file_that_was_damaged(runtime):  # noqa: F811
    """Whoever wrote it: an error that names it, and the others are still listed."""
    running(runtime)
    running(runtime, "b")
    good = (runtime.root / "b/state.json").read_bytes()
    for text in [b"", b"{", b"\0" * 4096, b'{"pid":"x"}', b"[" * 100_000]:
        (runtime.root / "b/state.json").write_bytes(text)
        result = runtime.run("state", "b")
        assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
        assert "a" in runtime.run("list", "-q").stdout.split()
    (runtime.root / "b/state.json").write_bytes(good)
    assert json.loads(runtime.run("state", "b", check=True).stdout)["status"] == "running"
