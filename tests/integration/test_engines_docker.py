"""dockerd of Debian with sampan-oci as its runtime."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest
from conftest import wait_until
from oci_engines import FORKS, GREEDY, OCI, Words, assert_nothing_left, cgroup_file, engines, save_image

pytestmark = pytest.mark.skipif(not shutil.which("dockerd") or not shutil.which("docker"), reason="needs docker.io")


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    # Sockets want short names.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sampan-d-", dir="/tmp"))
    engine = engines.DockerEngine(folder, OCI)
    try:
        engine.start(bridge="none", iptables=False)
        words = Words(engine)
        words("load", "-q", "-i", save_image(tmp_path_factory.mktemp("image")))
        yield words
        left = words.out("ps", "-aq").split()
        if left:
            words("rm", "-f", *left)
    finally:
        engine.stop()
    assert_nothing_left(engine)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def remove_containers(docker):
    yield
    left = docker.out("ps", "-aq").split()
    if left:
        docker("rm", "-f", *left)


def start(docker, *options, command=("sleep", "300")):
    return docker.out("run", "-d", *options, "box", *command)


def test_output_input_and_exit_codes(docker):
    result = docker("run", "--rm", "box", "sh", "-c", "echo out; echo err >&2; exit 3", code=3)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert docker("run", "--rm", "-i", "box", "cat", input="through\n").stdout == "through\n"
    assert "not found" in docker("run", "--rm", "box", "nosuch", code=127).stderr
    docker("run", "--rm", "box", "/etc", code=126)
    docker("run", "--rm", "box", "/etc/passwd", code=126)
    assert docker("run", "--rm", "-w", "/work/dir", "-u", "5:6", "-e", "A=b", "box", "sh", "-c", "pwd; id -u; id -g; echo $A"
                  ).stdout.split() == ["/work/dir", "5", "6", "b"]


def test_terminals(docker):
    shown, code = docker.on_terminal("run", "--rm", "-it", "box", "sh", "-c", 
                                     "tty; until stty size | grep '30 90'; do sleep 0.05; done; read line; echo got $line; exit 4",
                                     typed=("30 90\r", "hello\r"))
    assert "/dev/pts/0" in shown and "got hello" in shown and code == 4, shown
    name = start(docker)
    shown, code = docker.on_terminal("exec", "-it", name, "sh", "-c", "tty; exit 5")
    assert "/dev/pts/" in shown and code == 5, shown
    detached = docker.out("run", "-dt", "box", "sh", "-c", "tty; sleep 300")
    wait_until(lambda: "/dev/pts/0" in docker("logs", detached).stdout)


def test_exec(docker):
    name = start(docker)
    assert docker.out("exec", name, "echo", "inside") == "inside"
    docker("exec", name, "sh", "-c", "exit 8", code=8)
    # 126 for both: so this version of docker does with runc, too.
    assert "executable file not found" in docker("exec", name, "nosuch", code=126).stdout
    assert "permission denied" in docker("exec", name, "/etc", code=126).stdout
    assert docker.out("exec", "-u", "7", "-w", "/tmp", "-e", "X=y", name, "sh", "-c", "id -u; pwd; echo $X").split() == ["7", "/tmp", "y"]
    assert docker("exec", "-i", name, "cat", input="typed").stdout == "typed"
    docker("exec", "-d", name, "touch", "/tmp/there")
    wait_until(lambda: docker("exec", name, "test", "-e", "/tmp/there", code=None).returncode == 0)
    status = docker("exec", "--privileged", name, "cat", "/proc/self/status").stdout
    assert int(status.split("CapEff:")[1].split()[0], 16) & (1 << 21), "exec --privileged gives CAP_SYS_ADMIN"
    assert "sleep 300" in docker("top", name).stdout
    assert docker("top", name, "-o", "pid,comm").stdout.split()[:2] == ["PID", "COMMAND"]


def test_limits_are_set_and_bite(docker):
    name = start(docker, "-m", "60m", "--memory-swap", "60m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "20",
                 "--cpuset-cpus", "0", "--memory-reservation", "30m")
    engine = docker.engine
    assert cgroup_file(engine, name, "memory.limit_in_bytes", "memory.max") == str(60 << 20)
    assert cgroup_file(engine, name, "cpu.cfs_quota_us", "") == "50000"
    assert cgroup_file(engine, name, "cpu.shares", "") == "512"
    assert cgroup_file(engine, name, "pids.max", "pids.max") == "20"
    assert cgroup_file(engine, name, "cpuset.cpus", "cpuset.cpus") == "0"
    assert "can't fork" in docker("exec", name, "sh", "-c", FORKS, code=None).stdout
    # On a busy machine containerd's shim, which waits for both, may tell dockerd of the end before it tells of the memory.
    for number in range(5):
        docker("run", "--name", f"greedy{number}", "-m", "8m", "--memory-swap", "8m", "box", "sh", "-c", GREEDY, code=137)
        told = docker.out("inspect", "-f", "{{.State.OOMKilled}}", f"greedy{number}") == "true"
        if told:
            break
    assert told
    busy = start(docker, "--cpus", "0.1", command=("sh", "-c", "while :; do :; done"))
    wait_until(lambda: "nr_throttled 0" not in cgroup_file(engine, busy, "cpu.stat", "cpu.stat"), 10)


def test_update(docker):
    name = start(docker)
    docker("update", "-m", "100m", "--memory-swap", "200m", "--cpus", "0.25", "--pids-limit", "33", name)
    assert cgroup_file(docker.engine, name, "memory.limit_in_bytes", "memory.max") == str(100 << 20)
    assert cgroup_file(docker.engine, name, "cpu.cfs_quota_us", "") == "25000"
    assert cgroup_file(docker.engine, name, "pids.max", "pids.max") == "33"
    docker("update", "--cpuset-cpus", "0", name)  # of a controller that it had no limit of
    assert cgroup_file(docker.engine, name, "cpuset.cpus", "cpuset.cpus") == "0"
    assert docker.out("exec", name, "grep", "Cpus_allowed_list", "/proc/self/status").split()[1] == "0"


def test_statistics(docker):
    name = start(docker, "-m", "64m")
    shown = json.loads(docker.out("stats", "--no-stream", "--format", "{{json .}}", name))
    assert shown["MemUsage"].endswith("/ 64MiB") and shown["PIDs"] == "1"


def test_pause_kill_restart(docker):
    name = start(docker, command=("sh", "-c", "trap 'echo usr1' USR1; echo started; while :; do sleep 0.05; done"))
    docker("pause", name)
    assert docker.out("inspect", "-f", "{{.State.Status}}", name) == "paused"
    assert "is paused" in docker("exec", name, "true", code=1).stderr
    docker("unpause", name)
    wait_until(lambda: "started" in docker("logs", name).stdout)
    docker("kill", "-s", "USR1", name)
    wait_until(lambda: "usr1" in docker("logs", name).stdout)
    docker("restart", "-t", "0", name)
    wait_until(lambda: docker("logs", name).stdout.count("started") == 2)
    docker("stop", "-t", "0", name)
    assert docker.out("inspect", "-f", "{{.State.ExitCode}}", name) == "137"
    docker("start", name)
    docker("kill", name)
    assert docker.out("wait", name) == "137"
    paused = start(docker)
    docker("pause", paused)
    docker("rm", "-f", paused)


def test_restart_policy(docker):
    name = start(docker, "--restart", "on-failure:2", command=("sh", "-c", "echo again; exit 1"))
    wait_until(lambda: docker.out("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", name) == "exited 2", 20)
    assert docker("logs", name).stdout.count("again") == 3


def test_security_options(docker):
    def inside(*options, command):
        return docker.out("run", "--rm", *options, "box", "sh", "-c", command)

    def effective(*options):
        return int(inside(*options, command="grep CapEff /proc/self/status").split()[1], 16)
    assert effective("--cap-drop", "ALL", "--cap-add", "NET_ADMIN") == 1 << 12
    assert effective("--privileged") > 1 << 21
    assert inside("--security-opt", "no-new-privileges", command="grep NoNewPrivs /proc/self/status").split()[1] == "1"
    assert inside(command="grep Seccomp: /proc/self/status").split()[1] == "2"
    assert inside("--security-opt", "seccomp=unconfined", command="grep Seccomp: /proc/self/status").split()[1] == "0"
    docker("run", "--rm", "--read-only", "box", "touch", "/x", code=1)
    assert inside("--sysctl", "net.ipv4.ip_forward=1", "--network", "none", command="cat /proc/sys/net/ipv4/ip_forward") == "1"
    assert inside("--ulimit", "nofile=123:456", command="ulimit -n; ulimit -Hn").split() == ["123", "456"]
    assert inside("--device", "/dev/full:/dev/xfull", command="echo x > /dev/xfull || echo refused").endswith("refused")
    assert inside("--tmpfs", "/t:size=1m", command="df -k /t | tail -1").split()[1] == "1024"


def test_namespaces_and_mounts(docker, tmp_path):
    (tmp_path / "file").write_text("from the host\n")
    assert docker.out("run", "--rm", "-v", f"{tmp_path}:/data:ro", "box", "cat", "/data/file") == "from the host"
    docker("run", "--rm", "-v", f"{tmp_path}:/data:ro", "box", "touch", "/data/x", code=1)
    docker("run", "--rm", "-v", "volume:/v", "box", "touch", "/v/kept")
    assert docker.out("run", "--rm", "-v", "volume:/v", "box", "ls", "/v") == "kept"
    name = start(docker, "--hostname", "first", "--ipc", "shareable")
    assert docker.out("run", "--rm", "--pid", f"container:{name}", "box", "ps").count("sleep 300") == 1
    assert docker.out("run", "--rm", "--network", f"container:{name}", "--ipc", f"container:{name}", "box", "hostname")
    assert docker.out("run", "--rm", "--pid", "host", "--uts", "host", "--network", "host", "box", "hostname") == \
        subprocess.run(["hostname"], capture_output=True, text=True).stdout.strip()
    docker("cp", tmp_path / "file", f"{name}:/tmp/copied")
    assert docker.out("exec", name, "cat", "/tmp/copied") == "from the host"


def test_health_checks(docker):
    name = start(docker, "--health-cmd", "true", "--health-interval", "100ms")
    wait_until(lambda: docker.out("inspect", "-f", "{{.State.Health.Status}}", name) == "healthy", 20)


def test_logs_and_wait(docker):
    name = start(docker, command=("sh", "-c", "for i in 1 2 3; do echo line $i; done; echo last >&2; exit 9"))
    assert docker.out("wait", name) == "9"
    result = docker("logs", name)
    assert result.stdout.splitlines() == ["line 1", "line 2", "line 3"] and result.stderr == "last\n"


def test_failed_start_is_told_and_leaves_nothing(docker):
    result = docker("run", "--name", "bad", "--device", "/dev/zero:/proc/self/x", "box", "true", code=None)
    assert result.returncode != 0
    assert docker.out("inspect", "-f", "{{.State.Status}}", "bad") == "created"
    time.sleep(0.1)
    assert not [top for top in docker.engine.cgroups() for path in top.iterdir() if path.is_dir()]
