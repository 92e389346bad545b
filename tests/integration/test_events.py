"""events, stats, top: what happens to containers and what they use, as it happens."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import wait_until


def events(engine, since, *flags):
    text = engine.out("events", "--since", since, "--until", str(time.time()), "--format", "json", *flags)
    return [json.loads(line) for line in text.splitlines()]


def actions(engine, since, *flags):
    return [event["Action"] for event in events(engine, since, *flags)]


def test_the_life_of_a_container_in_dockers_words(engine, busybox):
    since = str(time.time())
    engine.run("run", "-d", "--name", "told", "--label", "tier=front", busybox, "sleep", "600")
    engine.run("exec", "told", "true")
    engine.run("pause", "told")
    engine.run("unpause", "told")
    engine.run("rename", "told", "tale")
    engine.run("stop", "-t", "0", "tale")
    engine.run("start", "tale")
    engine.run("rm", "-f", "tale")
    seen = [action.split(":")[0] for action in actions(engine, since, "--filter", "type=container")]
    assert seen == ["create", "start", "exec_create", "exec_start", "exec_die", "pause", "unpause", "rename", "kill", "kill",
                    "die", "stop", "start", "kill", "die", "destroy"]
    first = events(engine, since, "--filter", "event=exec_create")[0]
    assert first["Type"] == "container" and first["from"] == busybox and first["status"] == "exec_create: true"
    assert first["Actor"]["Attributes"]["name"] == "told" and first["scope"] == "local"
    assert first["timeNano"] // 10**9 == first["time"]


def test_filters_and_formats_of_events(engine, busybox):
    since = str(time.time())
    engine.run("run", "-d", "--name", "one", "--label", "a=b", busybox, "sleep", "600")
    engine.run("run", "-d", "--name", "two", busybox, "sleep", "600")
    engine.run("exec", "one", "true")
    assert {event["Actor"]["Attributes"]["name"] for event in events(engine, since, "--filter", "container=two")} == {"two"}
    assert {event["Actor"]["Attributes"]["name"] for event in events(engine, since, "--filter", "label=a=b")} == {"one"}
    engine.run("rename", "one", "first")
    engine.run("rm", "-f", "first")
    assert actions(engine, since, "--filter", "label=a=b", "--filter", "type=container") == [
        "create", "start", "exec_create: true", "exec_start: true", "exec_die", "rename", "kill", "die", "destroy"]
    assert actions(engine, since, "--filter", "event=start", "--filter", "container=one") == ["start"]
    assert actions(engine, since, "--filter", "type=volume") == []
    lines = engine.out("events", "--since", since, "--until", str(time.time()), "--filter", "event=start",
                       "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.From}}").splitlines()
    assert lines == [f"container start one {busybox}", f"container start two {busybox}"]
    (line,) = engine.out("events", "--since", since, "--until", str(time.time()), "--filter", "event=start",
                         "--filter", "container=one").splitlines()
    assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) container start [0-9a-f]{64} \(.*name=one.*\)$", line)
    assert "invalid filter" in engine.run("events", "--filter", "x=y", code=1).stderr


def test_who_joins_and_leaves_a_network_is_news_with_its_name(engine, busybox):
    since, network = str(time.time()), engine.out("network", "create", "club")
    container = engine.out("run", "-d", "--name", "one", busybox, "sleep", "600")
    engine.run("network", "connect", "club", "one")
    engine.run("network", "disconnect", "club", "one")
    engine.run("network", "rm", "club")
    for event in events(engine, since, "--filter", "network=club", "--filter", "event=connect", "--filter", "event=disconnect"):
        assert event["Actor"] == {"ID": network, "Attributes": {"container": container, "name": "club", "type": "bridge"}}
    assert actions(engine, since, "--filter", "network=club") == ["create", "connect", "disconnect", "destroy"]


def test_events_are_streamed_as_they_happen(engine, busybox):
    stream = engine.start("events", "--filter", "event=start", "--format", "{{.Actor.Attributes.name}} {{.TimeNano}}",
                          stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    for name in ("s1", "s2", "s3"):
        engine.run("run", "-d", "--name", name, busybox, "sleep", "600")
        shown, happened = stream.stdout.readline().split()
        assert shown == name
        assert time.time() - int(happened) / 1e9 < 1.5
    stream.send_signal(signal.SIGINT)
    stream.wait(10)


def test_a_healthy_container_is_news(engine, busybox):
    since = str(time.time())
    engine.run("run", "-d", "--name", "fit", "--health-cmd", "true", "--health-interval", "100ms", busybox, "sleep", "600")
    wait_until(lambda: "health_status: healthy" in actions(engine, since), what="the event")


def test_stats_shows_what_is_used(engine, busybox):
    engine.run("run", "-d", "--name", "busy", "-m", "64m", busybox, "sh", "-c", "while :; do :; done")
    engine.run("run", "-d", "--name", "idle", busybox, "sleep", "600")
    lines = engine.out("stats", "--no-stream").splitlines()
    assert re.split(r"\s{2,}", lines[0]) == ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
    rows = {row["Name"]: row for row in map(json.loads, engine.out("stats", "--no-stream", "--format", "json", "busy", "idle").splitlines())}
    assert float(rows["busy"]["CPUPerc"].rstrip("%")) > 5 > float(rows["idle"]["CPUPerc"].rstrip("%"))
    assert rows["busy"]["MemUsage"].endswith("/ 64MiB") and rows["busy"]["PIDs"] == "1"
    assert engine.out("stats", "--no-stream", "--format", "{{.Name}}", "idle") == "idle"
    assert "No such container" in engine.run("stats", "--no-stream", "nope", code=1).stderr
    engine.run("create", "--name", "new", busybox, "true")
    assert "new" not in engine.out("stats", "--no-stream", "--format", "{{.Name}}")
    assert "new" in engine.out("stats", "-a", "--no-stream", "--format", "{{.Name}}")


def test_stats_goes_on_until_it_is_ended(engine, busybox):
    engine.run("run", "-d", "--name", "long", busybox, "sleep", "600")
    stream = engine.start("stats", "--format", "{{.Name}}", stdout=subprocess.PIPE)
    seen = b""
    while seen.count(b"long") < 2:
        seen += os.read(stream.stdout.fileno(), 1000)
    stream.send_signal(signal.SIGINT)
    stream.wait(10)


def test_top_lists_the_processes_of_one_container(engine, busybox):
    engine.run("run", "-d", "--name", "here", busybox, "sh", "-c", "sleep 601 & sleep 602")
    engine.run("run", "-d", "--name", "there", busybox, "sleep", "603")
    wait_until(lambda: "sleep 602" in engine.out("top", "here"), what="its processes")
    lines = engine.out("top", "here").splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    commands = {line.split(None, 7)[7] for line in lines[1:]}
    assert {"sleep 601", "sleep 602"} <= commands and not any("603" in command for command in commands)
    assert engine.out("top", "here", "-o", "pid,comm").splitlines()[0].split() == ["PID", "COMMAND"]
    assert "Couldn't find PID field" in engine.run("top", "here", "-o", "comm", code=1).stderr
    engine.run("stop", "-t", "0", "there")
    assert "is not running" in engine.run("top", "there", code=1).stderr


def test_update_changes_limits_and_the_policy_of_a_running_container(engine, busybox):
    engine.run("run", "-d", "--name", "grows", "-m", "64m", busybox, "sleep", "600")
    engine.run("update", "-m", "96m", "--memory-swap", "192m", "--cpus", "0.5", "--pids-limit", "50", "--restart", "always", "grows")
    shown = engine.inspect("grows", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}")
    assert shown == f"{96 << 20} 50 always"
    limits = {path.name: path.read_text().split()[0] for folder in engine.cgroups() for path in folder.glob("*")
              if path.name in ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.cfs_quota_us", "cpu.max")}
    assert str(96 << 20) in (limits.get("memory.limit_in_bytes"), limits.get("memory.max"))
    assert limits["pids.max"] == "50" and "50000" in (limits.get("cpu.cfs_quota_us"), limits.get("cpu.max"))
    os.kill(int(engine.inspect("grows", "{{.State.Pid}}")), signal.SIGKILL)
    wait_until(lambda: engine.inspect("grows", "{{.RestartCount}} {{.State.Status}}") == "1 running", what="the new policy")
    assert "50" in {path.read_text().strip() for folder in engine.cgroups() for path in folder.glob("pids.max")}, "kept"
    assert "one or more flags" in engine.run("update", "grows", code=1).stderr
    engine.run("run", "-d", "--rm", "--name", "gone", busybox, "sleep", "600")
    assert "AutoRemove" in engine.run("update", "--restart", "always", "gone", code=1).stderr


# Stops.

def test_nobody_waits_for_a_process_that_never_sees_the_signal(engine, busybox):
    engine.run("run", "-d", "--name", "deaf", busybox, "sleep", "600")
    started = time.monotonic()
    done = engine.run("--debug", "stop", "deaf")
    assert time.monotonic() - started < 5
    assert "no handler for SIGTERM" in done.stderr
    assert engine.inspect("deaf", "{{.State.ExitCode}}") == "137"


def test_a_process_with_a_handler_gets_its_time(engine, busybox):
    engine.run("run", "-d", "--name", "neat", busybox, "sh", "-c", "trap 'sleep 1; exit 7' TERM; touch /ready; while :; do sleep 0.1; done")
    wait_until(lambda: engine.run("exec", "neat", "test", "-e", "/ready", code=None).returncode == 0, what="its handler")
    engine.run("stop", "neat")
    assert engine.inspect("neat", "{{.State.ExitCode}}") == "7"


# Starts that do not happen.

@pytest.mark.parametrize("script, code, words", [
    ("#!/bin/sh\r\necho x\r\n", 127, "Windows line endings"),
    ("#!/usr/bin/no-such\necho x\n", 127, '"/usr/bin/no-such"'),
    ("echo no interpreter line\n", 126, "exec format error"),
])
def test_a_start_that_fails_says_why(engine, busybox, tmp_path, script, code, words):
    program = tmp_path / "program"
    program.write_text(script)
    program.chmod(0o755)
    done = engine.run("run", "--rm", "-v", f"{program}:/program", busybox, "/program", code=code)
    assert words in done.stderr


def test_a_file_that_may_not_be_executed_says_why(engine, busybox, tmp_path):
    program = tmp_path / "plain"
    program.write_text("#!/bin/sh\necho x\n")
    program.chmod(0o644)
    plain = engine.run("run", "--rm", "-v", f"{program}:/plain", busybox, "/plain", code=126)
    assert "permission denied" in plain.stderr and "chmod +x" in plain.stderr
    program.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", str(tmp_path)], check=True)
    try:
        program.write_text("#!/bin/sh\necho x\n")
        program.chmod(0o755)
        there = engine.run("run", "--rm", "-v", f"{tmp_path}:/there", busybox, "/there/plain", code=126)
        assert "noexec" in there.stderr
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_program_for_other_machines_or_libraries_says_so(engine, busybox, tmp_path):
    program = bytearray(open("/usr/bin/true", "rb").read())
    (tmp_path / "dynamic").write_bytes(program)
    program[18:20] = b"\xf3\x00" if os.uname().machine != "riscv64" else b"\x3e\x00"  # e_machine, elf(5)
    (tmp_path / "foreign").write_bytes(program)
    for name in ("dynamic", "foreign"):
        (tmp_path / name).chmod(0o755)
    run = lambda name, code: engine.run("run", "--rm", "-v", f"{tmp_path}:/there", busybox, f"/there/{name}", code=code).stderr
    assert "/ld-linux" in run("dynamic", 127)
    foreign = run("foreign", 126)
    assert "exec format error" in foreign and "riscv" in foreign.lower() or os.uname().machine == "riscv64"


# Logs.

def test_follow_loses_no_line_while_files_are_rotated_away(engine, busybox):
    count = 400_000
    engine.run("run", "-d", "--name", "flood", "--log-opt", "max-size=1m", "--log-opt", "max-file=3", busybox,
               "sh", "-c", f"until test -e /go; do sleep 0.1; done; seq 1 {count}")
    reader = engine.start("logs", "-f", "flood", stdout=subprocess.PIPE)
    time.sleep(0.5)
    engine.run("exec", "flood", "touch", "/go")
    lines = reader.stdout.read().split()
    assert reader.wait(60) == 0
    assert len(lines) == count and lines[0] == b"1" and lines[-1] == str(count).encode()
    assert all(int(line) == number for number, line in enumerate(lines, 1))


def test_a_reader_that_stands_still_stops_nobody(engine, busybox):
    engine.run("run", "-d", "--name", "goes-on", busybox, "sh", "-c", "until test -e /go; do sleep 0.1; done; seq 1 300000; exit 5")
    reader = engine.start("logs", "-f", "goes-on", stdout=subprocess.PIPE)
    time.sleep(0.5)
    reader.send_signal(signal.SIGSTOP)
    engine.run("exec", "goes-on", "touch", "/go")
    assert engine.run("wait", "goes-on", timeout=60).stdout == "5\n"
    reader.send_signal(signal.SIGCONT)
    assert len(reader.stdout.read().split()) == 300_000
    assert reader.wait(60) == 0
