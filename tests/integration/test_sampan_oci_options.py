"""The options of sampan-oci that engines and service managers use, as runc has them."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid

import pytest
from oci_bundle import OCI, SOURCE, controller_file, running, runtime, wait_until  # noqa: F401  (a fixture)


def test_listening_sockets_are_passed_on(runtime, tmp_path):
    (tmp_path / "text").write_text("listening\n")
    runtime.write("a", "/bin/sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3")
    script = 'exec 3<"$0"; LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web exec "$@"'
    result = subprocess.run(["sh", "-c", script, tmp_path / "text", *runtime.command("run", "-b", runtime.bundle, "a")],
                            capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert result.stdout == "1 1 web\nlistening\n", result.stderr
    # They were meant for somebody else.
    runtime.write("b", "/bin/sh", "-c", "echo none: $LISTEN_FDS")
    result = subprocess.run(runtime.command("run", "-b", runtime.bundle, "b"), capture_output=True, text=True, timeout=30,
                            env={**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": "1"}, stdin=subprocess.DEVNULL)
    assert result.stdout == "none:\n", result.stderr


class Manager:
    """A service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path, self.messages = path, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self):
        while not self.messages or not self.messages[-1].startswith("BARRIER"):
            message, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 1)
            for descriptor in descriptors:
                os.close(descriptor)
            self.messages.append(message.decode())

    def close(self):
        self.thread.join()
        self.socket.close()


def say(path, text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.connect(str(path))
        client.send(text.encode())


@pytest.mark.parametrize("way", ["run", "create"])
def test_readiness_reaches_the_service_manager(runtime, tmp_path, way):
    runtime.write("a", "/bin/sh", "-c", "echo at $NOTIFY_SOCKET; test -S $NOTIFY_SOCKET && echo there; sleep 100")
    manager = Manager(tmp_path / "manager")
    environment = {**os.environ, "NOTIFY_SOCKET": str(manager.path)}
    with open(tmp_path / "out", "wb") as out:
        if way == "create":
            subprocess.run(runtime.command("create", "-b", runtime.bundle, "a"), env=environment, check=True, stdout=out,
                           stdin=subprocess.DEVNULL, timeout=30)
        words = ["start", "a"] if way == "create" else ["run", "-d", "-b", runtime.bundle, "a"]
        process = subprocess.Popen(runtime.command(*words), env=environment, stdout=out, stdin=subprocess.DEVNULL)
    inside = runtime.root / "a/notify/notify.sock"
    wait_until(lambda: "there" in (tmp_path / "out").read_text())
    assert (tmp_path / "out").read_text() == "at /run/notify/notify.sock\nthere\n"
    say(inside, "STATUS=still starting\n")
    assert process.poll() is None, "came back before the container was ready"
    say(inside, "STATUS=done\nREADY=1\n")
    assert process.wait(10) == 0
    manager.close()
    assert manager.messages == ["READY=1\n", f"MAINPID={runtime.state('a')['pid']}\n", "BARRIER=1"]
    runtime.run("delete", "--force", "a", check=True)
    assert not (runtime.root / "a").exists()


def test_a_service_that_ends_before_it_is_ready(runtime, tmp_path):
    runtime.write("a", "/bin/true")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "manager"))
        result = subprocess.run(runtime.command("run", "-b", runtime.bundle, "a"), timeout=30, stdin=subprocess.DEVNULL,
                                env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "manager")})
        assert result.returncode == 0
    failed = subprocess.run(runtime.command("run", "-b", runtime.bundle / "nowhere", "c"), timeout=30, stderr=subprocess.PIPE,
                            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "manager")})
    assert failed.returncode == 1 and not (runtime.root / "c").exists()


def unheard_of(name):
    """An id that no other container has: /proc/keys shows keyrings of all, also of those that ended and wait to be collected."""
    return f"{name}-{uuid.uuid4().hex}"


def test_session_keyring(runtime):
    if not pathlib.Path("/proc/keys").exists():
        pytest.skip("a kernel without keyrings")

    def show_proc(spec):
        spec["linux"]["maskedPaths"] = []

    name = runtime.write(unheard_of("a"), "/bin/cat", "/proc/keys", change=show_proc)
    own = runtime.run("run", "-b", runtime.bundle, name, check=True).stdout
    assert re.search(rf"keyring\s+_ses\.{name}:", own), own
    name = runtime.write(unheard_of("b"), "/bin/cat", "/proc/keys", change=show_proc)
    inherited = runtime.run("run", "--no-new-keyring", "-b", runtime.bundle, name, check=True).stdout
    assert f"_ses.{name}" not in inherited


def test_exec_shares_the_session_keyring(runtime):
    if not pathlib.Path("/proc/keys").exists():
        pytest.skip("a kernel without keyrings")
    name = running(runtime, unheard_of("a"), change=lambda spec: spec["linux"].update(maskedPaths=[]))
    shown = [runtime.run("exec", name, "cat", "/proc/keys", check=True).stdout for _ in "12"]
    listed = [re.findall(rf"^(\w+) .*_ses\.{name}:", each, re.M) for each in shown]
    assert len(listed[0]) == 1 and listed[0] == listed[1], "exec made another keyring than the container's"


def test_no_pivot(runtime):
    runtime.write("a", "/bin/sh", "-c", "ls /; cat /proc/mounts")
    pivoted = runtime.run("run", "-b", runtime.bundle, "a", check=True).stdout
    runtime.write("b", "/bin/sh", "-c", "ls /; cat /proc/mounts")
    moved = runtime.run("run", "--no-pivot", "-b", runtime.bundle, "b", check=True).stdout
    assert moved == pivoted
    running(runtime, "c")
    runtime.write("d", "/bin/sleep", "100")
    runtime.run("run", "-d", "--no-pivot", "-b", runtime.bundle, "d", check=True)
    assert runtime.run("exec", "d", "ls", "/", check=True).stdout == runtime.run("exec", "c", "ls", "/", check=True).stdout


def test_hooks_are_found_where_the_runtime_is(runtime, tmp_path):
    """In a chroot, whose files the root of the mount namespace does not have at these paths."""
    root = tmp_path / "root"
    for folder in ("bin", "proc", "sys/fs/cgroup", "dev", "bundle", "only-here"):
        (root / folder).mkdir(parents=True)
    shutil.copy(OCI, root / "bin/sampan-oci")
    shutil.copy(shutil.which("busybox"), root / "only-here/busybox")

    def hook(word):
        return [{"path": "/only-here/busybox", "args": ["sh", "-c", f"echo {word} >> /only-here/said"]}]
    runtime.write("a", "/bin/sh", "-c", "ls /", change=lambda spec: (spec.update(hooks={
        "createRuntime": hook("createRuntime"), "createContainer": hook("createContainer"), "poststop": hook("poststop")})))
    shutil.copytree(runtime.bundle, root / "bundle", dirs_exist_ok=True, symlinks=True)
    script = f"""mount --bind {root} {root} && cd {root} && mount --rbind /proc proc && mount --rbind /sys sys && mount --rbind /dev dev &&
                 exec chroot . /bin/sampan-oci --root /state run -b /bundle a"""
    result = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], text=True, capture_output=True, timeout=60)
    assert result.returncode == 0 and "only-here" not in result.stdout, result.stderr
    assert (root / "only-here/said").read_text().split() == ["createRuntime", "createContainer", "poststop"]


def test_other_config_file(runtime, tmp_path):
    runtime.write("a", "/bin/sleep", "100", change=lambda spec: spec["process"].update(env=["FROM=other", "PATH=/bin"]))
    (runtime.bundle / "config.json").rename(runtime.bundle / "other.json")
    runtime.run("run", "-d", "-f", "other.json", "-b", runtime.bundle, "a", check=True)
    assert runtime.run("exec", "a", "sh", "-c", "echo $FROM", check=True).stdout == "other\n"
    assert runtime.state("a")["rootfs"] == str(runtime.bundle / "rootfs")


def test_regular_expressions_name_many(runtime):
    for name in ["x1", "x2", "y1"]:
        running(runtime, name)
    runtime.run("kill", "--regex", "^x", "KILL", check=True)
    wait_until(lambda: [runtime.status(name) for name in ("x1", "x2", "y1")] == ["stopped", "stopped", "running"])
    runtime.run("delete", "-r", "^x.$", check=True)
    assert runtime.run("list", "-q").stdout == "y1\n"
    assert runtime.run("delete", "-r", "(").returncode == 1


def test_ps_takes_options_of_ps(runtime):
    running(runtime)
    pid = runtime.state("a")["pid"]
    lines = runtime.run("ps", "a", "-o", "pid,comm", check=True).stdout.splitlines()
    assert [line.split() for line in lines] == [["PID", "COMMAND"], [str(pid), "sleep"]]
    assert runtime.run("ps", "-f", "table", "a", "-eo", "comm").returncode == 1  # no column of pids
    assert json.loads(runtime.run("ps", "--format", "json", "a").stdout) == [pid]


def test_update_options(runtime):
    running(runtime)
    runtime.run("update", "--memory", "64M", "--memory-swap", "128m", "--memory-reservation", "0.5MiB", "a", check=True)
    assert controller_file(runtime, "a", "memory.limit_in_bytes", "memory.max").read_text() == f"{64 << 20}\n"
    assert controller_file(runtime, "a", "memory.soft_limit_in_bytes", "memory.low").read_text() == f"{512 << 10}\n"
    runtime.run("update", "--cpu-period", "50000", "--cpu-quota", "25000", "--cpu-share", "512", "a", check=True)
    if (quota := pathlib.Path("/sys/fs/cgroup/cpu")).exists():
        assert controller_file(runtime, "a", "cpu.cfs_quota_us", "").read_text() == "25000\n"
        assert controller_file(runtime, "a", "cpu.shares", "").read_text() == "512\n"
    runtime.run("update", "--cpuset-cpus", "0", "--cpuset-mems", "0", "a", check=True)
    assert controller_file(runtime, "a", "cpuset.cpus", "cpuset.cpus").read_text() == "0\n"
    runtime.run("update", "--pids-limit", "7", "a", check=True)
    runtime.run("update", "--pids-limit", "0", "--cpu-share", "0", "a", check=True)  # 0: as it is
    assert controller_file(runtime, "a", "pids.max", "pids.max").read_text() == "7\n"
    runtime.run("update", "--pids-limit", "-1", "--memory-swap", "-1", "a", check=True)
    assert controller_file(runtime, "a", "pids.max", "pids.max").read_text() == "max\n"
    piped = subprocess.run(runtime.command("update", "-r", "-", "a"), input='{"pids": {"limit": 21}, "cpu": {"shares": 300}}',
                           text=True, timeout=30)
    assert piped.returncode == 0
    assert controller_file(runtime, "a", "pids.max", "pids.max").read_text() == "21\n"
    for words in (["--memory", "lots"], ["--memory", "5X"], ["--blkio-weight", "70000"], ["--cpu-quota", "x"],
                  ["--l3-cache-schema", "L3:0=f"]):
        refused = runtime.run("update", *words, "a")
        assert refused.returncode == 1 and refused.stderr.count("\n") == 1, refused.stderr


def test_events_tell_an_oom_kill_at_once(runtime):
    def tight(spec):
        spec["linux"]["resources"]["memory"] = {"limit": 8 << 20, "swap": 8 << 20}

    running(runtime, "a", "/bin/sh", "-c", "sleep 100 & wait", change=tight)
    watcher = subprocess.Popen(runtime.command("events", "--interval", "30s", "a"), stdout=subprocess.PIPE, text=True)
    wait_until(lambda: pathlib.Path(f"/proc/{watcher.pid}/fd").exists() and len(os.listdir(f"/proc/{watcher.pid}/fd")) > 4)
    for _ in range(10):  # the kernel tells of it before it counts the kill: either may be seen first
        begin = time.monotonic()
        runtime.run("exec", "a", "sh", "-c", "a=x; while :; do a=$a$a; done")
        assert json.loads(watcher.stdout.readline()) == {"type": "oom", "id": "a"}
        assert time.monotonic() - begin < 10
    runtime.run("kill", "--all", "a", "KILL", check=True)
    watcher.communicate(timeout=10)


def test_events_have_the_fields_of_runc(runtime):
    running(runtime)
    data = json.loads(runtime.run("events", "--stats", "a", check=True).stdout)["data"]
    assert set(data) == {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"}
    assert data["cpuset"]["cpus"] and set(data["memory"]) >= {"usage", "swap", "raw"}
    if pathlib.Path("/sys/fs/cgroup/memory/memory.kmem.limit_in_bytes").exists():
        assert {"kernel", "kernelTCP"} <= set(data["memory"])
        assert data["memory"]["usage"]["limit"] == 9223372036854771712


def test_exec_in_a_group_below(runtime):
    running(runtime)
    groups = [*pathlib.Path("/sys/fs/cgroup").glob(f"*/{runtime.cgroup[1:]}/a")]
    for group in groups:
        (group / "below").mkdir(exist_ok=True)
    def groups_of(*words):
        text = runtime.run("exec", *words, "a", "cat", "/proc/self/cgroup", check=True).stdout
        return {line.split(":")[1]: line.split(":")[2] for line in text.splitlines()}
    assert groups_of("--cgroup", "below")["memory"].endswith("/below")
    some = groups_of("--cgroup", "memory:below")
    assert some["memory"].endswith("/below") and not some["pids"].endswith("/below")
    assert runtime.run("exec", "--cgroup", "missing", "a", "true").returncode == 255
    assert runtime.run("exec", "--cgroup", "nosuch:below", "a", "true").returncode == 255
    assert not groups_of("--cgroup", "../../..")["memory"].count("..")
    for group in groups:
        (group / "below").rmdir()


def test_exec_words_for_engines(runtime):
    running(runtime)
    runtime.run("pause", "a", check=True)
    assert "cannot exec in a paused container (use --ignore-paused to override)" in runtime.run("exec", "a", "true").stderr
    # It may be started, and runs once the container goes on.
    waiting = subprocess.Popen(runtime.command("exec", "--ignore-paused", "a", "true"), stdin=subprocess.DEVNULL)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    runtime.run("resume", "a", check=True)
    assert waiting.wait(10) == 0
    assert "container not paused" in runtime.run("resume", "a").stderr
    runtime.run("kill", "a", "KILL", check=True)
    wait_until(lambda: runtime.status("a") == "stopped")
    for words, expected in ((["exec", "a", "true"], "cannot exec in a stopped container"),
                            (["pause", "a"], "container not running"), (["update", "--memory", "50M", "a"], "container not running"),
                            (["events", "a"], "is not running"), (["kill", "a"], "container not running")):
        assert expected in runtime.run(*words).stderr


def test_exec_on_a_terminal_of_its_own(runtime, tmp_path):
    running(runtime)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen()
        listener.settimeout(10)
        pid_file = tmp_path / "pid"
        runtime.run("exec", "--tty", "--detach", "--console-socket", tmp_path / "console", "--pid-file", pid_file, "a", "sh",
                    "-c", "tty; sleep 100", check=True)
        connection, _ = listener.accept()
        with connection:
            name, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    assert os.isatty(descriptors[0]) and name
    wait_until(lambda: b"/dev/pts/" in os.read(descriptors[0], 4096))
    os.close(descriptors[0])
    assert runtime.run("exec", "--tty", "--detach", "a", "true").returncode == 255


def test_detached_run_is_kept_and_keep_keeps(runtime):
    runtime.write("a", "/bin/sh", "-c", "exit 6")
    assert runtime.run("run", "--keep", "-b", runtime.bundle, "a").returncode == 6
    assert runtime.status("a") == "stopped"
    runtime.run("delete", "a", check=True)


@pytest.mark.parametrize("value", ["auto", "true", "false"])
def test_rootless_may_be_said(runtime, value):
    runtime.write("a", "/bin/true")
    assert runtime.run("--rootless", value, "run", "-b", runtime.bundle, "a").returncode == 0
    runtime.write("b", "/bin/true")
    assert runtime.run(f"--rootless={value}", "--cgroup-manager", "cgroupfs", "run", "-b", runtime.bundle, "b").returncode == 0


def test_spec_for_users_without_root(runtime, tmp_path):
    runtime.run("spec", "--rootless", "--bundle", tmp_path, "-f", "rootless.json", check=True)
    spec = json.loads((tmp_path / "rootless.json").read_text())
    kinds = {each["type"] for each in spec["linux"]["namespaces"]}
    assert "user" in kinds and "network" not in kinds
    assert spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 0, "size": 1}]
    assert not any("gid=5" in mount.get("options", []) for mount in spec["mounts"])


def same_shape(ours, theirs, where=""):
    """Every member of `theirs` is in `ours` with a value of its kind."""
    for name, value in theirs.items():
        assert name in ours, f"{where}.{name} is missing"
        assert type(ours[name]) is type(value), f"{where}.{name}"
        if isinstance(value, dict):
            same_shape(ours[name], value, f"{where}.{name}")


@pytest.mark.skipif(not shutil.which("runc"), reason="needs runc")
def test_output_has_the_shape_of_runcs(runtime, tmp_path):
    running(runtime)
    theirs = ["runc", "--root", str(tmp_path / "runc")]
    spec = json.loads((runtime.bundle / "config.json").read_text())
    spec["linux"]["cgroupsPath"] = f"{runtime.cgroup}/of-runc"
    (runtime.bundle / "config.json").write_text(json.dumps(spec))
    subprocess.run([*theirs, "run", "-d", "-b", runtime.bundle, "a"], check=True, stdin=subprocess.DEVNULL, timeout=30,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for words in (["state", "a"], ["events", "--stats", "a"], ["features"]):
            expected = json.loads(subprocess.run([*theirs, *words], capture_output=True, check=True, timeout=30).stdout)
            ours = json.loads(runtime.run(*words, check=True).stdout)
            for each in (expected, ours):
                each.get("data", {}).get("memory", {}).pop("raw", None)
                each.get("data", {}).get("cpu", {}).get("usage", {}).pop("percpu_kernel", None)
                each.get("data", {}).get("cpu", {}).get("usage", {}).pop("percpu_user", None)
                each.pop("annotations", None)
            same_shape(ours, expected, words[0])
        for words in (["list"], ["ps", "a"]):
            expected = subprocess.run([*theirs, *words], capture_output=True, check=True, text=True, timeout=30).stdout
            assert runtime.run(*words, check=True).stdout.split("\n")[0].split() == expected.split("\n")[0].split()
        listed = json.loads(subprocess.run([*theirs, "list", "-f", "json"], capture_output=True, check=True, timeout=30).stdout)
        same_shape(json.loads(runtime.run("list", "-f", "json").stdout)[0], listed[0])
    finally:
        subprocess.run([*theirs, "delete", "--force", "a"], timeout=30)


def at_once(runtime, *words, count=8):
    """Exit codes and messages of so many of the same command."""
    processes = [subprocess.Popen(runtime.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=open(runtime.folder / f"said-{i}", "w")) for i in range(count)]
    codes = sorted(process.wait(60) for process in processes)
    return codes, {(runtime.folder / f"said-{i}").read_text().strip() for i in range(count)} - {""}


def test_commands_at_the_same_time(runtime):
    """One of them wins, the others say what they found."""
    one_wins = [0, *[1] * 7]
    for _ in range(3):
        runtime.write("a", "/bin/sleep", "1000")
        for words, expected in ((["create", "-b", runtime.bundle], "exists already"), (["start"], "only a created one can start"),
                                (["pause"], "is paused"), (["resume"], "not paused")):
            codes, said = at_once(runtime, *words, "a")
            # Two that pause it together have both done so.
            won = codes == one_wins or (words[0] in ("pause", "resume") and codes[0] == 0)
            assert won and all(expected in each for each in said), (words, codes, said)
        entering = [subprocess.Popen(runtime.command("exec", "a", "true"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True) for _ in range(6)]
        assert at_once(runtime, "delete", "--force", "a") == ([0] * 8, set())
        for process in entering:
            said = process.communicate(timeout=60)[1].strip()
            # Frozen: so that nothing escapes the signal, which may hit the new process before the first one.
            ended = re.search("does not exist|cannot exec in a (stopped|paused) container|ended while it entered the container", said)
            assert process.returncode == 0 or (process.returncode == 137 and not said) or (process.returncode == 255 and ended), said
        assert not os.listdir(runtime.root)


def test_a_full_disk(runtime):
    """Of --root: what can't be recorded is not made."""
    runtime.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", runtime.root], check=True)
    try:
        failed = 0
        for size in range(0, 16385, 2048):
            for words in (["create"], ["run", "--detach"], ["run"]):
                with contextlib.suppress(OSError):
                    (runtime.root / "seccomp cache").mkdir(exist_ok=True)
                    (runtime.root / "seccomp cache/fill").write_bytes(b"x" * size)
                runtime.write("a", "/bin/sleep", "0" if words == ["run"] else "1000")
                result = runtime.run(*words, "-b", runtime.bundle, "a")
                if result.returncode:
                    failed += 1
                    assert "No space left on device" in result.stderr and result.stderr.count("\n") == 1, result.stderr
                    assert not (runtime.root / "a").exists()
                else:
                    runtime.run("delete", "--force", "a", check=True)
                shutil.rmtree(runtime.root / "seccomp cache", ignore_errors=True)
        assert failed
        assert not [path for path in pathlib.Path("/sys/fs/cgroup").glob(f"*{runtime.cgroup}/a")]
    finally:
        subprocess.run(["umount", runtime.root], check=True)


# What each does to which container; "missing" is none.
SIDE_BY_SIDE = """
nosuch
state missing
state
start missing
kill missing
kill missing KILL
delete missing
delete --force missing
pause missing
resume missing
ps missing
update --pids-limit 20 missing
events --stats missing
exec missing true
run --bundle nowhere missing
create --bundle nowhere missing
run --nosuch missing
create bad/id
start running
delete running
kill running NOSUCH
kill running 0
kill running 99
kill running WINCH
kill running SIGWINCH
kill --all running 28
resume running
exec running
exec running sh -c 'exit 9'
exec running sh -c 'kill -9 $$'
exec running nosuch
exec running /dev
exec --cwd /nosuch running true
exec --user 5:6 running true
exec --env A=b running sh -c 'exit $A'
update --memory 1x running
update --resources /nowhere running
events --interval 0s running
ps --format odd running
ps --format json running
checkpoint missing
list --format odd
list --quiet
pause running
pause running
exec running true
kill running WINCH
resume running
kill running KILL
""".strip().splitlines()
AFTER_ITS_END = """
kill running
kill running KILL
exec running true
start running
pause running
update --pids-limit 20 running
events --stats running
ps running
delete running
delete running
""".strip().splitlines()


@pytest.mark.skipif(not shutil.which("runc"), reason="needs runc")
def test_exit_codes_are_runcs(runtime, tmp_path):
    """The same words to both; where they differ, the difference is one that we want."""
    wanted = {"nosuch": (1, 3),  # its library of options has a number of its own
              # As crun and docker have it.
              "exec running nosuch": (127, 255), "exec running /dev": (126, 255)}
    runtime.write("running", "/bin/sleep", "1000")
    config = json.loads((runtime.bundle / "config.json").read_text())
    codes = {}
    for name, program in (("ours", [str(OCI), "--root", str(tmp_path / "ours")]), ("runc", ["runc", "--root", str(tmp_path / "runc")])):
        config["linux"]["cgroupsPath"] = f"{runtime.cgroup}/{name}"
        (runtime.bundle / "config.json").write_text(json.dumps(config))

        def run(words, leaves=False):
            with open(tmp_path / "out", "w") as out:
                done = subprocess.run(["sh", "-c", " ".join([*program, words])], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60)
            return done.returncode
        assert run(f"run --detach --bundle {runtime.bundle} running") == 0
        codes[name] = [(words, run(words)) for words in SIDE_BY_SIDE]
        wait_until(lambda: "stopped" in subprocess.run([*program, "state", "running"], capture_output=True, text=True).stdout)
        codes[name] += [(words + " (stopped)", run(words)) for words in AFTER_ITS_END]
    different = {ours[0]: (ours[1], theirs[1]) for ours, theirs in zip(codes["ours"], codes["runc"]) if ours != theirs}
    assert different == wanted


def test_documented_commands(tmp_path):
    """Those of docs/oci-runtime.md, as they stand there."""
    block = re.search(r"## By hand\n\n```sh\n(.*?)```", (SOURCE / "docs/oci-runtime.md").read_text(), re.S)[1]
    (tmp_path / "sampan-oci").write_text(f'#!/bin/sh\nexec {OCI} --root {tmp_path}/state "$@"\n')
    (tmp_path / "sampan-oci").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with open(tmp_path / "out", "w+") as out:  # the container has it, too
        done = subprocess.run(["sh", "-ec", block], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60)
    said = (tmp_path / "out").read_text()
    assert done.returncode == 0, said
    assert "inside\n" in said and '"pids":{"current":' in said and re.search(r"^ *1\W.*\n(.*\n)*.*exec", said, re.M), said
    assert not list((tmp_path / "state").glob("*/state.json"))


def test_features_are_true(runtime):
    features = json.loads(runtime.run("features", check=True).stdout)
    for option in features["mountOptions"]:
        assert isinstance(option, str)
    supported = features["linux"]["seccomp"]["supportedFlags"]
    for flag in ("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"):
        assert flag in supported

        def filtered(spec):
            spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag]}
        runtime.write("a", "/bin/true", change=filtered)
        runtime.run("run", "-b", runtime.bundle, "a", check=True)
    # criu itself is asked, not only looked for: test_sampan_oci_restore.py.
    checkpoint = features["annotations"]["org.opencontainers.runc.checkpoint.enabled"]
    assert checkpoint == "true" if criu_works() else checkpoint in (["true", "false"] if shutil.which("criu") else ["false"])
    assert {"org.criu.config", "org.systemd.property."} == set(features["potentiallyUnsafeConfigAnnotations"])


def test_all_signals_reach_the_process(runtime):
    names = ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "WINCH", "CONT"]
    traps = "; ".join(f"trap 'echo {name}' {name}" for name in names)
    runtime.write("a", "/bin/sh", "-c", f"{traps}; echo ready; while :; do sleep 0.05; done")
    process = subprocess.Popen(runtime.command("run", "-b", runtime.bundle, "a"), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    for name in names:
        process.send_signal(getattr(signal, "SIG" + name))
        assert process.stdout.readline() == name + "\n"
    runtime.run("kill", "a", "KILL", check=True)
    assert process.wait(10) == 137
    process.stdout.close()


def criu_works():
    return bool(shutil.which("criu")) and subprocess.run(["criu", "check"], capture_output=True).returncode == 0


def options_of(program, *command):
    """The long options that its help names."""
    done = subprocess.run([program, *command, "--help"], capture_output=True, text=True)
    return set(re.findall(r"(?:^|[\s,])(--[a-z][a-z0-9-]+)", done.stdout, re.M))


COMMANDS = ["", "create", "run", "start", "exec", "kill", "delete", "pause", "resume", "update", "state", "list", "ps", "events", "spec",
            "features", "checkpoint", "restore"]
NEVER = {"--usage"}  # of crun's parser of options: help for those who know it


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("other", ["runc", "crun"])
def test_every_option_of_runc_and_crun_is_known(other, command):
    program = shutil.which(other) or pytest.skip(f"needs {other}")
    words = [command] if command else []
    theirs = options_of(program, *words)
    assert theirs or command not in ("", "create", "run", "exec", "update"), f"{other} {command} has no help"
    assert theirs - options_of(str(OCI), *words) - NEVER == set()


@pytest.mark.skipif(not shutil.which("criu"), reason="needs criu")
@pytest.mark.skipif(criu_works(), reason="criu works here: tests/vm has the test of that")
def test_checkpoint_tells_what_criu_says_of_this_kernel(runtime, tmp_path):
    running(runtime)
    result = runtime.run("checkpoint", "--image-path", tmp_path / "images", "--work-path", tmp_path / "work", "--tcp-established",
                         "--file-locks", "--shell-job", "--ext-unix-sk", "--manage-cgroups-mode", "soft", "--empty-ns", "network", "a")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "criu dump failed: Error (" in result.stderr and f"see {tmp_path}/work/dump.log" in result.stderr
    assert runtime.status("a") == "running", "a checkpoint that failed does no harm"


def test_checkpoint_options(runtime, tmp_path):
    running(runtime)
    images = ["--image-path", tmp_path / "images"]
    for words, expected in ((["--criu", "/nowhere/criu", "checkpoint", *images, "a"], "/nowhere/criu"),
                            (["--criu", "no-criu", "checkpoint", *images, "a"], "no no-criu here: install it"),
                            (["checkpoint", *images, "--manage-cgroups-mode", "odd", "a"], "manage-cgroups-mode"),
                            (["checkpoint", *images, "--parent-path", "/abs", "a"], "--parent-path"),
                            (["checkpoint", *images, "--parent-path", "nowhere", "a"], "--parent-path"),
                            (["checkpoint", *images, "--empty-ns", "uts", "a"], "--empty-ns uts"),
                            (["checkpoint", *images, "--lazy-pages", "a"], "--page-server"),
                            (["checkpoint", *images, "--page-server", "nowhere", "a"], "ADDRESS:PORT"),
                            (["checkpoint", *images, "--status-fd", "x", "a"], "status-fd"),
                            (["checkpoint", *images, "missing"], "does not exist"),
                            (["restore", *images, "-b", runtime.bundle, "b"], "no checkpoint of ours")):
        result = runtime.run(*words)
        assert result.returncode == 1 and expected in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert runtime.status("a") == "running"
    assert not (runtime.root / "b").exists()
