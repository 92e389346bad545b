"""sampan-oci in runc's place: its own commands on a bundle."""

import contextlib
import json
import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import time

import pytest

from oci_bundle import OCI, controller_file, running, runtime, wait_until  # noqa: F401  (a fixture)


def test_run_gives_output_and_exit_code(runtime):
    runtime.write("a", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    result = runtime.run("run", "--bundle", runtime.bundle, "a")
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")
    assert runtime.run("list", "-q").stdout == ""


def test_run_reads_stdin_and_reports_signals(runtime):
    runtime.write("a", "/bin/cat")
    result = subprocess.run(runtime.command("run", "-b", runtime.bundle, "a"), input="through\n", capture_output=True,
                            text=True, timeout=30)
    assert (result.returncode, result.stdout) == (0, "through\n")
    runtime.write("b", "/bin/sleep", "100")
    process = subprocess.Popen(runtime.command("run", "-b", runtime.bundle, "b"))
    wait_until(lambda: runtime.run("list", "-q").stdout == "b\n" and runtime.status("b") == "running")
    runtime.run("kill", "b", "KILL", check=True)
    assert process.wait(10) == 128 + signal.SIGKILL


def test_signals_are_passed_on(runtime):
    runtime.write("a", "/bin/sh", "-c", "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    process = subprocess.Popen(runtime.command("run", "-b", runtime.bundle, "a"), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "got it\n"
    assert process.wait(10) == 3


@pytest.mark.parametrize("program, code, words", [
    ("/bin/nosuch", 127, "no such file or directory"),
    ("nosuch", 127, "executable file not found in $PATH"),
    ("/etc/plain", 126, "permission denied"),
])
def test_run_of_what_can_not_run(runtime, program, code, words):
    (runtime.bundle / "rootfs/etc/plain").write_text("no program")
    runtime.write("a", program)
    result = runtime.run("run", "-b", runtime.bundle, "a")
    assert result.returncode == code
    assert words in result.stderr.lower() or words in result.stderr
    assert result.stderr.count("\n") == 1
    assert runtime.run("list", "-q").stdout == ""


def test_create_start_kill_delete(runtime, tmp_path):
    runtime.write("a", "/bin/sleep", "100")
    pid_file = tmp_path / "pid"
    runtime.run("create", "--pid-file", pid_file, "--bundle", runtime.bundle, "a", check=True)
    state = runtime.state("a")
    assert state["status"] == "created"
    assert state["pid"] == int(pid_file.read_text())
    assert state["bundle"] == str(runtime.bundle)
    assert pathlib.Path(f"/proc/{state['pid']}/exe").resolve() != OCI, "our own binary is in the container's reach"
    assert runtime.run("create", "-b", runtime.bundle, "a").returncode == 1
    assert "exists" in runtime.run("create", "-b", runtime.bundle, "a").stderr
    runtime.run("start", "a", check=True)
    assert runtime.status("a") == "running"
    assert runtime.run("start", "a").returncode == 1
    table = runtime.run("list", check=True).stdout.splitlines()
    assert table[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert table[1].split()[:3] == ["a", str(state["pid"]), "running"]
    assert json.loads(runtime.run("list", "-f", "json").stdout)[0]["id"] == "a"
    refused = runtime.run("delete", "a")
    assert refused.returncode == 1 and "not stopped" in refused.stderr
    runtime.run("kill", "a", "KILL", check=True)
    wait_until(lambda: runtime.status("a") == "stopped")
    assert "container not running" in runtime.run("kill", "a").stderr
    runtime.run("kill", "--all", "a", "9", check=True)
    runtime.run("delete", "a", check=True)
    missing = runtime.run("state", "a")
    assert missing.returncode == 1 and "does not exist" in missing.stderr
    assert runtime.run("delete", "a").returncode == 1
    runtime.run("delete", "--force", "a", check=True)


def test_created_one_is_deleted_without_force(runtime):
    runtime.write("a", "/bin/sleep", "100")
    runtime.run("create", "-b", runtime.bundle, "a", check=True)
    runtime.run("delete", "a", check=True)
    assert runtime.run("list", "-q").stdout == ""


def test_exec(runtime, tmp_path):
    running(runtime)
    result = runtime.run("exec", "a", "/bin/sh", "-c", "echo here; exit 9")
    assert (result.returncode, result.stdout) == (9, "here\n")
    result = runtime.run("exec", "--env", "X=1", "-e", "Y=2", "--cwd", "/tmp", "--user", "5:6", "-g", "7", "-g", "8", "a",
                         "sh", "-c", "echo $X$Y; pwd; id -u; id -g; id -G")
    assert result.stdout.split("\n")[:4] == ["12", "/tmp", "5", "6"]
    assert {"7", "8"} <= set(result.stdout.split("\n")[4].split())
    assert runtime.run("exec", "a", "nosuch").returncode == 127
    process = {"args": ["/bin/sh", "-c", "echo $Z"], "cwd": "/", "env": ["Z=z", "PATH=/bin"], "user": {"uid": 0, "gid": 0}}
    (tmp_path / "process.json").write_text(json.dumps(process))
    assert runtime.run("exec", "--process", tmp_path / "process.json", "a").stdout == "z\n"
    pid_file = tmp_path / "exec.pid"
    runtime.run("exec", "--detach", "--pid-file", pid_file, "a", "/bin/sleep", "50", check=True)
    pid = int(pid_file.read_text())
    assert "sleep\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    assert sorted(json.loads(runtime.run("ps", "-f", "json", "a").stdout)) == sorted([pid, runtime.state("a")["pid"]])
    assert runtime.run("ps", "a").stdout.splitlines()[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    runtime.run("kill", "--all", "a", "KILL", check=True)
    wait_until(lambda: runtime.status("a") == "stopped")
    assert runtime.run("exec", "a", "true").returncode == 255


def test_exec_capabilities_and_privileges(runtime):
    running(runtime)
    status = runtime.run("exec", "--cap", "CAP_CHOWN", "--no-new-privs", "a", "cat", "/proc/self/status").stdout
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert int(fields["CapEff"], 16) & 1 and not int(fields["CapEff"], 16) & 2
    assert fields["NoNewPrivs"].strip() == "1"
    assert runtime.run("exec", "--cap", "CAP_NONSENSE", "a", "true").returncode == 255


def test_pause_and_resume(runtime):
    running(runtime)
    runtime.run("pause", "a", check=True)
    assert runtime.status("a") == "paused"
    assert runtime.run("exec", "a", "true").returncode == 255
    assert runtime.run("pause", "a").returncode == 1
    runtime.run("resume", "a", check=True)
    assert runtime.status("a") == "running"
    runtime.run("pause", "a", check=True)
    runtime.run("delete", "--force", "a", check=True)


def test_update_and_events(runtime, tmp_path):
    running(runtime)
    runtime.run("update", "--memory", "50331648", "--pids-limit", "33", "a", check=True)
    assert controller_file(runtime, "a", "memory.limit_in_bytes", "memory.max").read_text() == "50331648\n"
    (tmp_path / "new.json").write_text('{"pids": {"limit": 44}, "memory": {"limit": 60817408}}')
    runtime.run("update", "--resources", tmp_path / "new.json", "a", check=True)
    event = json.loads(runtime.run("events", "--stats", "a", check=True).stdout)
    assert (event["type"], event["id"]) == ("stats", "a")
    assert event["data"]["pids"] == {"current": 1, "limit": 44}
    assert event["data"]["memory"]["usage"]["limit"] == 60817408
    assert event["data"]["cpu"]["usage"]["total"] > 0
    runtime.run("update", "--memory", "-1", "a", check=True)
    assert runtime.run("update", "--resources", "/nowhere", "a").returncode == 1
    watcher = subprocess.Popen(runtime.command("events", "--interval", "20ms", "a"), stdout=subprocess.PIPE, text=True)
    assert json.loads(watcher.stdout.readline())["type"] == "stats"
    runtime.run("kill", "a", "KILL", check=True)
    watcher.communicate(timeout=10)
    assert watcher.returncode == 0


def test_limits_bite(runtime):
    def tight(spec):
        spec["linux"]["resources"]["memory"] = {"limit": 6 << 20, "swap": 6 << 20}

    runtime.write("a", "/bin/sh", "-c", "a=x; while :; do a=$a$a; done", change=tight)
    assert runtime.run("run", "-b", runtime.bundle, "a").returncode == 137


def test_a_new_network_has_its_loopback(runtime):
    """As with runc. A namespace that somebody else has made is theirs to configure."""
    runtime.write("a", "/bin/cat", "/sys/class/net/lo/flags")
    assert runtime.run("run", "-b", runtime.bundle, "a", check=True).stdout == "0x9\n"  # IFF_UP, IFF_LOOPBACK
    keeper = subprocess.Popen(["unshare", "--net", "sleep", "100"])
    try:
        wait_until(lambda: pathlib.Path(f"/proc/{keeper.pid}/comm").read_text() == "sleep\n")
        path = f"/proc/{keeper.pid}/ns/net"
        runtime.write("a", "/bin/cat", "/sys/class/net/lo/flags", change=lambda spec: [
            each.update(path=path) for each in spec["linux"]["namespaces"] if each["type"] == "network"])
        assert runtime.run("run", "-b", runtime.bundle, "a", check=True).stdout == "0x8\n"
    finally:
        keeper.kill()
        keeper.wait()


def test_seccomp_profile_is_obeyed_and_cached(runtime):
    def filtered(spec):
        spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}
        spec["root"]["readonly"] = False

    for _ in range(2):
        runtime.write("a", "/bin/busybox", "mkdir", "/tmp/x", change=filtered)
        result = runtime.run("run", "-b", runtime.bundle, "a")
        assert result.returncode == 1 and "No space left" in result.stderr
    assert len(list(runtime.root.glob("seccomp cache/*.bpf"))) == 1


def test_terminal_in_the_foreground(runtime):
    runtime.write("a", "/bin/sh", "-c", "tty; stty size; read line; echo got $line",
                  change=lambda spec: spec["process"].update(terminal=True))
    master, slave = pty.openpty()
    subprocess.run(["stty", "rows", "33", "cols", "77"], stdin=slave, check=True)
    process = subprocess.Popen(runtime.command("run", "-b", runtime.bundle, "a"), stdin=slave, stdout=slave, stderr=slave,
                               start_new_session=True)
    os.close(slave)
    shown = b""
    typed = False
    end = time.monotonic() + 15
    while time.monotonic() < end and b"got hello" not in shown:
        if select.select([master], [], [], 0.2)[0]:
            with contextlib.suppress(OSError):
                shown += os.read(master, 4096)
        if not typed and b"33 77" in shown:
            os.write(master, b"hello\r")
            typed = True
    assert process.wait(10) == 0
    assert b"/dev/pts/0" in shown and b"33 77" in shown and b"got hello" in shown, shown
    os.close(master)


def test_terminal_through_a_console_socket(runtime, tmp_path):
    runtime.write("a", "/bin/sh", "-c", "echo on the terminal; sleep 100",
                  change=lambda spec: spec["process"].update(terminal=True))
    assert runtime.run("create", "-b", runtime.bundle, "a").returncode == 1  # nobody would serve it
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen()
        listener.settimeout(10)
        runtime.run("create", "-b", runtime.bundle, "--console-socket", tmp_path / "console", "a", check=True)
        connection, _ = listener.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    runtime.run("start", "a", check=True)
    assert os.isatty(descriptors[0])
    assert b"on the terminal" in os.read(descriptors[0], 4096)
    os.close(descriptors[0])
    runtime.run("delete", "--force", "a", check=True)


def test_our_own_descriptors_stay_ours(runtime):
    """The read-only view of the program, signals, sockets: none of them is a container's or a hook's, and none is preserved."""
    seen = runtime.bundle / "hook.fds"
    hook = runtime.bundle / "hook"
    hook.write_text(f"#!/bin/sh\nls -l /proc/self/fd > {seen}\n")
    hook.chmod(0o755)

    def with_hook(spec):
        spec["hooks"] = {"createRuntime": [{"path": str(hook)}]}

    listing = ["/bin/ls", "-l", "/proc/self/fd"]
    running(runtime, "z")
    outputs = [runtime.run("exec", "z", *listing, check=True).stdout]
    for name, change in (("a", None), ("b", with_hook)):
        runtime.write(name, *listing, change=change)
        outputs.append(runtime.run("run", "-b", runtime.bundle, name, check=True).stdout)
    for output in outputs:
        assert len(output.splitlines()) == 5, output  # "total", three, and the listing's own
    assert " -> " in seen.read_text() and "sampan-oci" not in seen.read_text()
    runtime.write("y", "/bin/true")
    for words in (["run", "--preserve-fds", "1", "-b", runtime.bundle, "y"], ["exec", "--preserve-fds", "1", "z", "true"]):
        assert "descriptor 3 is to be preserved and is not open" in runtime.run(*words).stderr


def test_descriptors_are_passed_on_only_when_asked(runtime, tmp_path):
    (tmp_path / "text").write_text("preserved\n")
    for words, expected in [(["--preserve-fds", "1"], "preserved\n"), ([], "")]:
        runtime.write("a", "/bin/sh", "-c", "cat <&3")
        command = ["sh", "-c", 'exec 3<"$0"; exec "$@"', tmp_path / "text",
                   *runtime.command("run", *words, "-b", runtime.bundle, "a")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert result.stdout == expected, result.stderr


@pytest.mark.parametrize("words", [
    ["checkpoint", "a"], ["update", "a"], ["resume", "a"], ["--rootless", "maybe", "list"], ["events", "a"], ["ps"],
    ["nonsense"], ["kill", "a", "SIGNONSENSE"], ["run", "../a"], ["state", ".."], ["delete", "-f", "a/b"], ["run"], ["exec"],
    ["list", "-f", "xml"], ["run", "--nonsense", "a"], ["--log-format", "yaml", "list"],
])
def test_what_is_not_there_is_refused_in_one_line(runtime, words):
    result = runtime.run(*words)
    assert result.returncode in (1, 255)
    assert result.stderr.startswith("sampan-oci: ") and result.stderr.count("\n") == 1, result.stderr


def test_messages_reach_the_log_file(runtime, tmp_path):
    log = tmp_path / "log.json"
    result = runtime.run("--log", log, "--log-format", "json", "start", "missing")
    assert result.returncode == 1
    line = json.loads(log.read_text())
    assert line["level"] == "error" and "does not exist" in line["msg"]
    runtime.run("--log", tmp_path / "log.txt", "start", "missing")
    assert "level=\"error\"" in (tmp_path / "log.txt").read_text() or "level=error" in (tmp_path / "log.txt").read_text()


def test_spec_and_features(runtime):
    assert runtime.run("spec", "-b", runtime.bundle).returncode == 1  # does not overwrite
    features = json.loads(runtime.run("features", check=True).stdout)
    assert features["linux"]["seccomp"]["enabled"] and features["linux"]["cgroup"]["v1"]
    assert "SCMP_ACT_ERRNO" in features["linux"]["seccomp"]["actions"]
    assert runtime.run("--version").stdout.startswith("sampan-oci version ")


def test_killed_create_is_cleaned_by_forced_delete(runtime):
    for round_number in range(8):
        name = runtime.write(f"k{round_number}", "/bin/sleep", "100")
        process = subprocess.Popen(runtime.command("create", "-b", runtime.bundle, name), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.0005 * round_number * 2)
        process.kill()
        process.wait()
        runtime.run("delete", "--force", name, check=True)
    assert not list(runtime.root.glob("k*"))
