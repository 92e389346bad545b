"""podman of Debian with sampan-oci as its runtime."""

import json
import os
import pathlib
import shutil
import tempfile

import pytest
from conftest import wait_until
from oci_engines import FORKS, GREEDY, OCI, Words, assert_nothing_left, cgroup_file, engines, save_image

pytestmark = pytest.mark.skipif(not shutil.which("podman"), reason="needs podman")

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def write_hooks(folder):
    """One hook for each stage that says where and when it ran, for containers with the annotation hooked=yes."""
    (folder / "hooks").mkdir()
    script = folder / "hook.sh"
    # createContainer and startContainer hooks run in the container's namespaces: they see the host's files only before the pivot.
    script.write_text(f'#!/bin/sh\nstate=$(cat)\necho "$1 $state" >> {folder}/hooks.log\n')
    script.chmod(0o755)
    for stage in STAGES:
        if stage == "startContainer":  # found in the container's own root
            path, args = "/bin/sh", ["sh", "-c", "cat > /started-$HOOK"]
        else:
            path, args = str(script), ["hook.sh", stage]
        (folder / "hooks" / f"{stage}.json").write_text(json.dumps({
            "version": "1.0.0", "hook": {"path": path, "args": args, "env": ["HOOK=hook", "PATH=/usr/bin:/bin"]},
            "when": {"annotations": {"^hooked$": "yes"}}, "stages": [stage]}))
    return folder / "hooks"


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sampan-p-", dir="/tmp"))
    engine = engines.PodmanEngine(folder, OCI)
    engine.start("--hooks-dir", write_hooks(folder))
    words = Words(engine)
    words("load", "-q", "-i", save_image(tmp_path_factory.mktemp("image")))
    yield words
    words("rm", "-af", "-t", "0", code=None)
    words("system", "reset", "--force", code=None)
    assert_nothing_left(engine)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def remove_containers(podman):
    yield
    podman("rm", "-af", "-t", "0")


def options(podman):
    return [*podman.engine.ulimit, "--network", "none", "--cgroup-parent", f"/{podman.engine.cgroup}"]


def run(podman, *words, **more):
    return podman("run", *options(podman), *words, **more)


def start(podman, *words, command=("sleep", "300")):
    return run(podman, "-d", *words, "box", *command).stdout.strip()


def test_output_input_and_exit_codes(podman):
    result = run(podman, "--rm", "box", "sh", "-c", "echo out; echo err >&2; exit 5", code=5)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert run(podman, "--rm", "-i", "box", "cat", input="through\n").stdout == "through\n"
    run(podman, "--rm", "box", "nosuch", code=127)
    run(podman, "--rm", "box", "/etc/passwd", code=126)
    run(podman, "--rm", "box", "/etc", code=126)


def test_terminals(podman):
    shown, code = podman.on_terminal("run", *options(podman), "--rm", "-it", "box", "sh", "-c",
                                     "tty; until stty size | grep '30 90'; do sleep 0.05; done; read line; echo got $line; exit 4",
                                     typed=("30 90\r", "hello\r"))
    assert "/dev/pts/0" in shown and "got hello" in shown and code == 4, shown
    name = start(podman)
    shown, code = podman.on_terminal("exec", "-it", name, "sh", "-c", "tty; exit 5")
    assert "/dev/pts/" in shown and code == 5, shown


def test_exec(podman):
    name = start(podman)
    assert podman.out("exec", name, "echo", "inside") == "inside"
    podman("exec", name, "sh", "-c", "exit 4", code=4)
    podman("exec", name, "nosuch", code=127)
    podman("exec", name, "/etc", code=126)
    assert podman.out("exec", "-u", "7:8", "-w", "/tmp", "-e", "X=y", name, "sh", "-c", "id -u; pwd; echo $X").split() == ["7", "/tmp", "y"]
    assert podman("exec", "-i", name, "cat", input="typed").stdout == "typed"
    podman("exec", "-d", name, "touch", "/tmp/there")
    wait_until(lambda: podman("exec", name, "test", "-e", "/tmp/there", code=None).returncode == 0)
    assert int(podman("exec", "--privileged", name, "cat", "/proc/self/status").stdout.split("CapEff:")[1].split()[0], 16) & 1 << 21
    assert "sleep 300" in podman("top", name).stdout


def test_limits_are_set_and_bite(podman):
    name = start(podman, "-m", "60m", "--cpus", "0.5", "--pids-limit", "20", "--cpuset-cpus", "0")
    engine = podman.engine
    assert cgroup_file(engine, name, "memory.limit_in_bytes", "memory.max") == str(60 << 20)
    assert cgroup_file(engine, name, "cpu.cfs_quota_us", "") == "50000"
    assert cgroup_file(engine, name, "pids.max", "pids.max") == "20"
    assert cgroup_file(engine, name, "cpuset.cpus", "cpuset.cpus") == "0"
    assert "can't fork" in podman("exec", name, "sh", "-c", FORKS, code=None).stdout
    run(podman, "--name", "greedy", "-m", "8m", "--memory-swap", "8m", "box", "sh", "-c", GREEDY, code=137)
    busy = start(podman, "--cpus", "0.1", command=("sh", "-c", "while :; do :; done"))
    wait_until(lambda: "nr_throttled 0" not in cgroup_file(engine, busy, "cpu.stat", "cpu.stat"), 10)


def test_statistics(podman):
    name = start(podman, "-m", "64m")
    shown = json.loads(podman.out("stats", "--no-stream", "--format", "json", name))[0]
    assert shown["pids"] == "1" and "67.11MB" in shown["mem_usage"]


def test_update(podman):
    name = start(podman)
    podman("update", "--cpus", "0.25", "-m", "100m", name)
    assert cgroup_file(podman.engine, name, "memory.limit_in_bytes", "memory.max") == str(100 << 20)
    assert cgroup_file(podman.engine, name, "cpu.cfs_quota_us", "") == "25000"


def test_pause_kill_restart(podman):
    name = start(podman, command=("sh", "-c", "trap 'echo usr1' USR1; echo started; while :; do sleep 0.05; done"))
    podman("pause", name)
    assert podman.out("inspect", "-f", "{{.State.Status}}", name) == "paused"
    podman("exec", name, "true", code=255)
    podman("unpause", name)
    wait_until(lambda: "started" in podman("logs", name).stdout)
    podman("kill", "-s", "USR1", name)
    wait_until(lambda: "usr1" in podman("logs", name).stdout)
    podman("restart", "-t", "0", name)
    wait_until(lambda: podman("logs", name).stdout.count("started") == 2)
    podman("stop", "-t", "0", name)
    assert podman.out("inspect", "-f", "{{.State.ExitCode}}", name) == "137"
    podman("start", name)
    podman("kill", name)
    assert podman.out("wait", name) == "137"


def test_hooks(podman):
    name = start(podman, "--annotation", "hooked=yes")
    assert json.loads(podman.out("exec", name, "cat", "/started-hook"))["status"] == "created"
    podman("rm", "-f", "-t", "0", name)
    log = podman.engine.folder.parent / "hooks.log"
    wait_until(lambda: "poststop" in log.read_text())
    ran = [line.split(" ", 1) for line in log.read_text().splitlines()]
    assert [stage for stage, _ in ran] == ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    states = {stage: json.loads(state) for stage, state in ran}
    assert all(state["id"] == name and state["annotations"]["hooked"] == "yes" for state in states.values())
    assert states["poststart"]["status"] == "running" and states["poststart"]["pid"] > 0
    assert states["poststop"]["status"] == "stopped"


def test_security_options(podman):
    def inside(*words, command):
        return run(podman, "--rm", *words, "box", "sh", "-c", command).stdout.strip()
    assert int(inside("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", command="grep CapEff /proc/self/status").split()[1], 16) == 1 << 12
    assert int(inside("--privileged", command="grep CapEff /proc/self/status").split()[1], 16) > 1 << 21
    assert inside("--security-opt", "no-new-privileges", command="grep NoNewPrivs /proc/self/status").split()[1] == "1"
    assert inside(command="grep Seccomp: /proc/self/status").split()[1] == "2"
    run(podman, "--rm", "--read-only", "box", "touch", "/x", code=1)
    assert inside("--umask", "0077", command="umask") == "0077"
    assert inside("--tmpfs", "/t:size=1m", command="df -k /t | tail -1").split()[1] == "1024"
    assert inside("--uidmap", "0:100000:5000", "--gidmap", "0:100000:5000", command="cat /proc/self/uid_map").split() == ["0", "100000", "5000"]


def test_namespaces_and_mounts(podman, tmp_path):
    (tmp_path / "file").write_text("from the host\n")
    assert run(podman, "--rm", "-v", f"{tmp_path}:/data:ro", "box", "cat", "/data/file").stdout == "from the host\n"
    name = start(podman, "--hostname", "first", "--ipc", "shareable")
    listed = podman("run", *podman.engine.ulimit, "--cgroup-parent", f"/{podman.engine.cgroup}", "--rm", "--pid", f"container:{name}",
                    "--network", f"container:{name}", "--ipc", f"container:{name}", "box", "ps").stdout
    assert listed.count("sleep 300") == 1
    podman("cp", tmp_path / "file", f"{name}:/tmp/copied")
    assert podman.out("exec", name, "cat", "/tmp/copied") == "from the host"


def test_logs_wait_and_attach(podman):
    name = start(podman, command=("sh", "-c", "for i in 1 2 3; do echo line $i; done; echo last >&2; exit 9"))
    assert podman.out("wait", name) == "9"
    assert podman("logs", name).stdout.splitlines() == ["line 1", "line 2", "line 3"]
    created = podman.out("create", *options(podman), "box", "sh", "-c", "echo attached; exit 2")
    assert podman("start", "--attach", created, code=2).stdout == "attached\n"


def test_health_checks(podman):
    name = start(podman, "--health-cmd", "test -e /healthy", "--health-interval", "disable")
    podman("healthcheck", "run", name, code=1)
    podman("exec", name, "touch", "/healthy")
    podman("healthcheck", "run", name)


def test_preserved_descriptors(podman, tmp_path):
    (tmp_path / "text").write_text("preserved\n")
    with open(tmp_path / "text") as file:
        os.dup2(file.fileno(), 3)
        result = run(podman, "--rm", "--preserve-fds", "1", "box", "sh", "-c", "cat <&3", pass_fds=(3,))
    assert result.stdout == "preserved\n"
