"""Detached containers from other processes: ps, logs, exec, stop, kill, wait, rm, inspect, pause."""

import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from conftest import wait_until


def detached(engine, busybox, name, *command, flags=()):
    return engine.out("run", "-d", "--name", name, *flags, busybox, *command)


def test_run_detached_prints_the_id_and_returns(engine, busybox):
    started = time.monotonic()
    container = detached(engine, busybox, "dt", "sleep", "60")
    assert re.fullmatch("[0-9a-f]{64}", container)
    assert time.monotonic() - started < 5
    assert engine.inspect("dt", "{{.State.Status}} {{.State.Running}}") == "running true"


def test_ps_columns(engine, busybox):
    container = detached(engine, busybox, "listed", "sleep", "60", flags=("-p", "8081:80"))
    lines = engine.out("ps").split("\n")
    assert re.split(r"\s{2,}", lines[0]) == ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    cells = re.split(r"\s{2,}", lines[1])
    assert cells[0] == container[:12] and cells[1] == busybox and cells[2] == '"sleep 60"'
    assert cells[3].endswith(" ago") and cells[4].startswith("Up ") and cells[5] == "0.0.0.0:8081->80/tcp, [::]:8081->80/tcp" and cells[6] == "listed"


def test_ps_shows_stopped_ones_only_with_a(engine, busybox):
    engine.run("run", "--name", "done", busybox, "sh", "-c", "exit 3", code=3)
    assert engine.out("ps", "-q") == ""
    assert re.search(r"Exited \(3\) .* ago", engine.out("ps", "-a"))
    assert engine.out("ps", "-aq", "--no-trunc") == engine.inspect("done", "{{.Id}}")


def test_ps_formats_and_filters(engine, busybox):
    detached(engine, busybox, "web-1", "sleep", "60", flags=("--label", "tier=front", "--label", "x"))
    engine.run("run", "--name", "job-1", "--label", "tier=back", busybox, "true")
    assert engine.out("ps", "-a", "--format", "{{.Names}} {{.State}}").split("\n") == ["job-1 exited", "web-1 running"]
    assert json.loads(engine.out("ps", "--format", "json"))["Names"] == "web-1"
    assert engine.out("ps", "--format", '{{.Label "tier"}}') == "front"
    names = lambda *flags: engine.out("ps", "-a", "--format", "{{.Names}}", *flags).split()
    assert names("--filter", "name=web") == ["web-1"]
    assert names("--filter", "status=exited") == ["job-1"]
    assert names("--filter", "exited=0") == ["job-1"]
    assert names("--filter", "label=tier=back") == ["job-1"]
    assert names("--filter", "label=tier") == ["job-1", "web-1"]
    assert names("--filter", f"ancestor={busybox}") == ["job-1", "web-1"]
    assert names("-n", "1") == ["job-1"] and names("-l") == ["job-1"]
    assert "invalid filter" in engine.run("ps", "--filter", "bogus=1", code=1).stderr


def test_names_and_unique_prefixes_of_ids(engine, busybox):
    container = detached(engine, busybox, "known", "sleep", "60")
    for word in (container, container[:12], container[:6], "known"):
        assert engine.inspect(word, "{{.Name}}") == "/known"
    assert "No such container: nope" in engine.run("stop", "nope", code=1).stderr


def test_logs(engine, busybox):
    detached(engine, busybox, "talks", "sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf tail")
    engine.run("wait", "talks")
    done = engine.run("logs", "talks")
    assert done.stdout == "out 1\nout 2\nout 3\ntail" and done.stderr == "err 1\nerr 2\nerr 3\n"
    assert engine.run("logs", "--tail", "1", "talks").stdout == "tail"
    assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z out 1\n", engine.run("logs", "-t", "talks").stdout)
    assert engine.run("logs", "--since", "1h", "talks").stdout.startswith("out 1")
    assert engine.run("logs", "--since", "2038-01-01T00:00:00Z", "talks").stdout == ""


def test_logs_follow_until_the_end(engine, busybox):
    detached(engine, busybox, "slow", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done")
    assert engine.run("logs", "-f", "slow").stdout == "1\n2\n3\n4\n5\n"


def test_a_log_is_bounded_and_rotated(engine, busybox):
    detached(engine, busybox, "chatty", "sh", "-c", "yes 0123456789abcdef0123456789abcdef | head -n 200000",
             flags=("--log-opt", "max-size=1m", "--log-opt", "max-file=3"))
    engine.run("wait", "chatty", timeout=120)
    folder = os.path.dirname(engine.inspect("chatty", "{{.LogPath}}"))
    total = sum(entry.stat().st_size for entry in os.scandir(folder) if "log" in entry.name)
    assert total < 4 << 20
    assert engine.run("logs", "--tail", "2", "chatty").stdout == "0123456789abcdef0123456789abcdef\n" * 2


def test_log_driver_none(engine, busybox):
    detached(engine, busybox, "mute", "echo", "x", flags=("--log-driver", "none"))
    engine.run("wait", "mute")
    assert engine.run("logs", "mute", code=None).stdout == ""


def test_exec(engine, busybox):
    detached(engine, busybox, "host", "sleep", "60", flags=("-e", "A=1", "--hostname", "inner"))
    assert engine.out("exec", "host", "hostname") == "inner"
    assert engine.out("exec", "host", "sh", "-c", "echo $A") == "1"
    assert engine.out("exec", "-e", "A=2", "-w", "/etc", "-u", "app", "host", "sh", "-c", "echo $A $(pwd) $(id -u)") == "2 /etc 1000"
    assert engine.run("exec", "-i", "host", "cat", input="in\n").stdout == "in\n"
    engine.run("exec", "host", "sh", "-c", "exit 9", code=9)
    assert "executable file not found" in engine.run("exec", "host", "no-such", code=127).stderr
    engine.run("exec", "host", "/etc/passwd", code=126)
    assert "no matching entries in passwd file" in engine.run("exec", "-u", "nobody-knows", "host", "true", code=126).stderr
    assert "/nowhere" in engine.run("exec", "-w", "/nowhere", "host", "true", code=126).stderr
    assert {"1", "sleep"} <= set(engine.out("exec", "host", "ps").split())


def test_exec_shares_namespaces_and_limits(engine, busybox):
    detached(engine, busybox, "shared", "sleep", "60", flags=("-m", "64m"))
    links = "for n in mnt pid net uts ipc cgroup; do readlink /proc/self/ns/$n; done"
    first = engine.out("exec", "shared", "sh", "-c", links.replace("self", "1"))
    assert engine.out("exec", "shared", "sh", "-c", links) == first
    assert engine.out("exec", "shared", "sh", "-c", "cat /proc/1/cgroup") == engine.out("exec", "shared", "cat", "/proc/self/cgroup")


def test_exec_detached_with_a_terminal(engine, busybox):
    """It has one, which somebody reads: more output than fits into it stops nobody, and nothing hangs it up."""
    detached(engine, busybox, "tty", "sleep", "60")
    script = "tty >/name; trap 'touch /hung-up' HUP; head -c 500000 /dev/zero | tr '\\0' x; sleep 0.3; [ -t 0 ] && [ -t 1 ] && touch /done"
    engine.run("exec", "-d", "-t", "tty", "sh", "-c", script)
    wait_until(lambda: engine.run("exec", "tty", "test", "-e", "/done", code=None).returncode == 0, what="the end of its output")
    assert engine.out("exec", "tty", "cat", "/name").startswith("/dev/pts/")
    engine.run("exec", "tty", "test", "-e", "/hung-up", code=1)


def test_exec_left_by_the_detach_keys_goes_on(engine, busybox):
    detached(engine, busybox, "left", "sleep", "60")
    master, slave = os.openpty()
    client = engine.start("exec", "-it", "left", "sh", "-c", "trap '' HUP; echo ready; sleep 1; echo still >&1 && touch /alive",
                          stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(master, 100)
    os.write(master, b"\x10\x11")
    assert client.wait(10) == 0
    os.close(master)
    wait_until(lambda: engine.run("exec", "left", "test", "-e", "/alive", code=None).returncode == 0, what="life after the detach")


def test_exec_detached(engine, busybox):
    detached(engine, busybox, "bg", "sleep", "60")
    assert engine.out("exec", "-d", "bg", "sh", "-c", "echo made > /file; sleep 60") == ""
    wait_until(lambda: engine.run("exec", "bg", "cat", "/file", code=None).stdout == "made\n", 10, "the file")


def test_exec_needs_a_running_container(engine, busybox):
    engine.run("create", "--name", "still", busybox)
    assert "is not running" in engine.run("exec", "still", "true", code=1).stderr


def test_stop_sends_sigterm_then_sigkill(engine, busybox):
    detached(engine, busybox, "polite", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done")
    wait_until(lambda: "trap" in engine.out("exec", "polite", "cat", "/proc/1/cmdline"), what="the shell")
    time.sleep(0.2)
    assert engine.out("stop", "polite") == "polite"
    assert engine.inspect("polite", "{{.State.ExitCode}}") == "4"
    # What a first process ignores it never sees; this one sees it and goes on.
    detached(engine, busybox, "stubborn", "sh", "-c", "trap : TERM; while :; do sleep 0.1; done")
    time.sleep(0.3)
    started = time.monotonic()
    engine.run("stop", "-t", "1", "stubborn")
    assert 0.9 < time.monotonic() - started < 5
    assert engine.inspect("stubborn", "{{.State.ExitCode}}") == "137"


def test_stop_signal_and_timeout_of_the_container(engine, busybox):
    detached(engine, busybox, "usr", "sh", "-c", "trap 'exit 5' USR1; while :; do sleep 0.1; done",
             flags=("--stop-signal", "SIGUSR1", "--stop-timeout", "20"))
    time.sleep(0.3)
    engine.run("stop", "usr")
    assert engine.inspect("usr", "{{.State.ExitCode}}") == "5"


def test_kill(engine, busybox):
    detached(engine, busybox, "victim", "sleep", "60")
    assert engine.out("kill", "victim") == "victim"
    assert engine.out("wait", "victim") == "137"
    assert "is not running" in engine.run("kill", "victim", code=1).stderr
    detached(engine, busybox, "hup", "sh", "-c", "trap 'exit 6' HUP; while :; do sleep 0.1; done")
    time.sleep(0.3)
    engine.run("kill", "-s", "HUP", "hup")
    assert engine.out("wait", "hup") == "6"
    assert engine.run("kill", "-s", "BOGUS", "hup", code=1).stderr


def test_wait_from_several_processes(engine, busybox):
    detached(engine, busybox, "ends", "sh", "-c", "sleep 1; exit 11")
    waiters = [engine.start("wait", "ends", stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [waiter.communicate(timeout=20)[0] for waiter in waiters] == ["11\n"] * 3


def test_rm(engine, busybox):
    detached(engine, busybox, "busy", "sleep", "60")
    done = engine.run("rm", "busy", code=1)
    assert "cannot remove" in done.stderr.lower() or "running container" in done.stderr
    assert engine.out("rm", "-f", "busy") == "busy"
    assert engine.out("ps", "-aq") == ""
    assert "No such container: busy" in engine.run("rm", "busy", code=1).stderr
    engine.check_clean()


def test_inspect(engine, busybox):
    container = detached(engine, busybox, "seen", "sleep", "60", flags=("-p", "127.0.0.1:8082:80", "-e", "A=1", "-m", "32m"))
    document = json.loads(engine.out("inspect", "seen"))[0]
    assert document["Id"] == container and document["Name"] == "/seen"
    assert document["Path"] == "sleep" and document["Args"] == ["60"]
    assert document["State"]["Status"] == "running" and document["State"]["Pid"] > 1
    assert document["Config"]["Image"] == busybox and "A=1" in document["Config"]["Env"]
    assert document["HostConfig"]["Memory"] == 32 << 20
    assert document["NetworkSettings"]["Ports"]["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8082"}]
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", document["NetworkSettings"]["IPAddress"])
    assert document["GraphDriver"]["Name"] == "overlay2"
    image = json.loads(engine.out("inspect", busybox))[0]
    assert image["Id"] == document["Image"] and image["Os"] == "linux" and busybox + ":latest" in image["RepoTags"]
    done = engine.run("inspect", "nothing", code=1)
    assert done.stdout.strip() == "[]" and "No such object: nothing" in done.stderr


def test_pause_and_unpause(engine, busybox):
    detached(engine, busybox, "frozen", "sh", "-c", "while :; do echo x; sleep 0.05; done")
    wait_until(lambda: engine.out("logs", "frozen"), what="output")
    engine.run("pause", "frozen")
    assert engine.inspect("frozen", "{{.State.Status}}") == "paused"
    assert "(Paused)" in engine.out("ps")
    time.sleep(0.2)
    before = engine.out("logs", "frozen")
    time.sleep(0.5)
    assert engine.out("logs", "frozen") == before
    engine.run("unpause", "frozen")
    wait_until(lambda: engine.out("logs", "frozen") != before, what="more output")
    engine.run("rm", "-f", "frozen")


def test_restart_and_rename(engine, busybox):
    detached(engine, busybox, "old", "sleep", "60")
    pid = engine.inspect("old", "{{.State.Pid}}")
    engine.run("restart", "-t", "0", "old")
    assert engine.inspect("old", "{{.State.Running}}") == "true" and engine.inspect("old", "{{.State.Pid}}") != pid
    engine.run("rename", "old", "new")
    assert engine.inspect("new", "{{.Name}}") == "/new"
    engine.run("rename", "/new", "/newer")
    assert engine.inspect("/newer", "{{.Name}}") == "/newer"
    for bad, told in (("", "Neither old nor new names may be empty"), ("a b", "Invalid container name (a b)"), ("x\n192.0.2.1 y", "Invalid"),
                      ("newer", "same name as its current name")):
        assert told in engine.run("rename", "newer", bad, code=1).stderr
    assert engine.out("run", "--rm", "--name", "/slashed", busybox, "echo", "ran") == "ran"


def test_attach(engine, busybox):
    detached(engine, busybox, "open", "cat", flags=("-i",))
    process = engine.start("attach", "open", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write("line\n")
    process.stdin.flush()
    assert process.stdout.readline() == "line\n"
    process.stdin.close()  # like docker, which goes on with the output: only the first `run -i` closes its container's stdin
    process.kill()
    process.wait()
    process.stdout.close()
    again = engine.start("attach", "open", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    again.stdin.write("second\n")
    again.stdin.flush()
    assert again.stdout.readline() == "second\n"
    engine.run("kill", "open")
    assert again.wait(10) == 137


def test_a_killed_monitor_is_noticed_by_the_next_command(engine, busybox):
    detached(engine, busybox, "lost", "sleep", "60", flags=("-p", "8083:80"))
    pid = int(engine.inspect("lost", "{{.State.Pid}}"))
    (monitor,) = engine.monitors()
    os.kill(monitor, signal.SIGKILL)
    wait_until(lambda: engine.inspect("lost", "{{.State.Status}}") == "exited", what="the end")
    assert engine.inspect("lost", "{{.State.ExitCode}}") == "137"
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="the end of the process")
    engine.run("start", "lost")
    assert engine.inspect("lost", "{{.State.Running}}") == "true"


def test_the_monitor_is_small(engine, busybox):
    detached(engine, busybox, "idle", "sleep", "60")
    time.sleep(0.5)
    (monitor,) = engine.monitors()
    def private(*kinds):
        return sum(int(line.split()[1]) for line in open(f"/proc/{monitor}/smaps_rollup") if line.startswith(kinds))

    # The program's own pages too, which are clean, and which several monitors share.
    wait_until(lambda: private("Private_Dirty", "Private_Clean") < 2048, what=f"less than 2 MB, not {private('Private_')}")
    assert 0 < private("Private_Dirty") < 1024


def test_fifty_at_once(engine, busybox):
    codes = []

    def one():
        codes.append(engine.run("run", "--rm", busybox, "sh", "-c", "exit 7", code=None, timeout=180).returncode)

    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [7] * 50
    engine.check_clean()


def test_fifty_detached_have_fifty_addresses(engine, busybox):
    threads = [threading.Thread(target=lambda i=i: detached(engine, busybox, f"n{i}", "sleep", "300")) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = engine.out("ps", "--format", "{{.Names}}").split()
    assert len(names) == 50
    addresses = [engine.inspect(name, "{{.NetworkSettings.IPAddress}}") for name in names]
    assert len(set(addresses)) == 50
    engine.run("rm", "-f", *names, timeout=120)
    engine.check_clean()
