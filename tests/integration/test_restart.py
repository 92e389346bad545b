"""Restart policies, health checks, and what comes back after a boot or the death of a monitor."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import wait_until


def state(engine, name, template="{{.State.Status}}"):
    return engine.inspect(name, template)


def restarts(engine, name):
    return int(engine.inspect(name, "{{.RestartCount}}"))


def monitor_of(engine):
    (pid,) = engine.monitors()
    return pid


def private_kilobytes(pid):
    """What nobody else has, nor a file: pages of the program itself are the page cache's, shared with all other monitors."""
    lines = open(f"/proc/{pid}/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Swap:")))


def test_on_failure_gives_up_after_its_retries(engine, busybox):
    engine.run("run", "-d", "--name", "fails", "--restart", "on-failure:2", busybox, "sh", "-c", "echo once; exit 3")
    wait_until(lambda: state(engine, "fails") == "exited", what="the end of the retries")
    assert restarts(engine, "fails") == 2 and engine.inspect("fails", "{{.State.ExitCode}}") == "3"
    assert engine.out("logs", "fails") == "once\nonce\nonce"
    assert engine.inspect("fails", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}") == "on-failure 2"


def test_on_failure_leaves_a_success_alone(engine, busybox):
    engine.run("run", "-d", "--name", "fine", "--restart", "on-failure", busybox, "true")
    wait_until(lambda: state(engine, "fine") == "exited", what="its end")
    time.sleep(0.3)
    assert restarts(engine, "fine") == 0 and state(engine, "fine") == "exited"


def test_always_waits_longer_each_time_and_says_so(engine, busybox):
    engine.run("run", "-d", "--name", "loops", "--restart", "always", busybox, "sh", "-c", "echo x; cut -d' ' -f1 /proc/uptime >>/times; exit 1")
    wait_until(lambda: restarts(engine, "loops") >= 4, what="four restarts")
    assert len(engine.out("logs", "loops").split()) >= 4
    upper = engine.inspect("loops", "{{.GraphDriver.Data.UpperDir}}")
    times = [float(line) for line in open(f"{upper}/times").read().split()]
    waits = [b - a for a, b in zip(times, times[1:])]
    assert all(wait >= 0.09 * 2 ** i for i, wait in enumerate(waits)), waits
    wait_until(lambda: state(engine, "loops") == "restarting", what="a wait")
    assert re.match(r"Restarting \(1\) .* ago", engine.out("ps", "--format", "{{.Status}}", "--filter", "status=restarting"))
    assert engine.inspect("loops", "{{.State.Restarting}} {{.State.Running}} {{.State.Pid}}") == "true true 0"
    assert "is restarting" in engine.run("exec", "loops", "true", code=1).stderr
    assert "restarting container" in engine.run("rm", "loops", code=1).stderr
    started = time.monotonic()
    engine.run("stop", "loops")
    assert time.monotonic() - started < 5, "nobody is there to wait for"
    assert state(engine, "loops") == "exited" and engine.inspect("loops", "{{.State.ExitCode}}") == "1"
    count = restarts(engine, "loops")
    time.sleep(1)
    assert restarts(engine, "loops") == count
    engine.run("start", "loops")
    assert restarts(engine, "loops") < count, "a user's start counts from the beginning"


@pytest.mark.parametrize("command", [("stop", "-t", "0"), ("kill",), ("rm", "-f")])
def test_a_user_ends_it_for_good(engine, busybox, command):
    engine.run("run", "-d", "--name", "up", "--restart", "always", busybox, "sleep", "600")
    engine.run(*command, "up")
    time.sleep(0.5)
    assert engine.out("ps", "-q") == "" and engine.monitors() == []


def test_what_dies_by_itself_comes_back_with_its_address_and_ports(engine, busybox):
    engine.run("run", "-d", "--name", "web", "--restart", "unless-stopped", "-p", "18080:80", busybox,
               "sh", "-c", "mkdir -p /www; echo hello >/www/index.html; httpd -f -p 80 -h /www")
    address = engine.inspect("web", "{{.NetworkSettings.IPAddress}}")
    for _ in range(2):
        before = restarts(engine, "web")
        os.kill(int(engine.inspect("web", "{{.State.Pid}}")), signal.SIGKILL)
        wait_until(lambda: restarts(engine, "web") == before + 1 and state(engine, "web") == "running", what="its return")
        assert engine.inspect("web", "{{.NetworkSettings.IPAddress}}") == address
        assert "18080->80" in engine.out("ps", "--format", "{{.Ports}}")
    assert engine.out("exec", "web", "cat", "/www/index.html") == "hello", "exec works in the new process"


def test_run_in_the_foreground_ends_with_the_first_exit(engine, busybox):
    done = engine.run("run", "--name", "front", "--restart", "always", busybox, "sh", "-c", "echo x; exit 4", code=4)
    assert done.stdout == "x\n"
    wait_until(lambda: restarts(engine, "front") >= 1, what="its restart")
    engine.run("rm", "-f", "front")


def test_rules_that_make_no_sense_are_refused(engine, busybox):
    refuse = lambda *flags: engine.run("create", *flags, busybox, code=None)
    both = refuse("--rm", "--restart", "always")
    assert both.returncode != 0 and "conflicting options" in both.stderr
    assert "unknown policy 'often'" in refuse("--restart", "often").stderr
    assert "maximum retry count can only be used with 'on-failure'" in refuse("--restart", "always:3").stderr
    assert "must be an integer" in refuse("--restart", "on-failure:x").stderr


def test_a_monitor_stays_small_over_restarts(engine, busybox):
    engine.run("run", "-d", "--name", "small", "--restart", "always", busybox, "sleep", "600")
    for count in (1, 2, 3):
        os.kill(int(engine.inspect("small", "{{.State.Pid}}")), signal.SIGKILL)
        wait_until(lambda: restarts(engine, "small") == count and state(engine, "small") == "running", what="its return")
    time.sleep(1.5)
    assert private_kilobytes(monitor_of(engine)) < 2048


# Health.

def health(engine, name):
    return json.loads(engine.inspect(name, "{{json .State.Health}}"))


def test_a_check_makes_it_healthy_and_then_unhealthy(engine, busybox):
    engine.run("run", "-d", "--name", "sick", "--health-cmd", "echo looking; test ! -e /broken", "--health-interval", "200ms",
               "--health-retries", "2", busybox, "sleep", "600")
    assert health(engine, "sick")["Status"] in ("starting", "healthy")
    wait_until(lambda: health(engine, "sick")["Status"] == "healthy", what="health")
    assert "(healthy)" in engine.out("ps", "--format", "{{.Status}}")
    engine.run("exec", "sick", "touch", "/broken")
    wait_until(lambda: health(engine, "sick")["Status"] == "unhealthy", what="sickness")
    seen = health(engine, "sick")
    assert seen["FailingStreak"] >= 2 and seen["Log"][-1]["ExitCode"] == 1 and seen["Log"][-1]["Output"] == "looking\n"
    assert engine.out("ps", "-q", "--filter", "health=unhealthy") != "" and engine.out("ps", "-q", "--filter", "health=healthy") == ""
    wait_until(lambda: len(health(engine, "sick")["Log"]) == 5, what="five entries")
    time.sleep(0.5)
    assert len(health(engine, "sick")["Log"]) == 5
    assert private_kilobytes(monitor_of(engine)) < 2048


def test_output_is_limited_and_a_slow_check_is_killed(engine, busybox):
    engine.run("run", "-d", "--name", "slow", "--health-cmd", "head -c 9000 /dev/zero | tr '\\0' x; sleep 100",
               "--health-interval", "100ms", "--health-timeout", "400ms", "--health-retries", "1", busybox, "sleep", "600")
    wait_until(lambda: health(engine, "slow")["Log"], what="a result")
    entry = health(engine, "slow")["Log"][0]
    assert entry["ExitCode"] == -1 and entry["Output"].startswith("Health check exceeded timeout (400ms): xxx")
    assert 4096 < len(entry["Output"]) < 4200 and entry["Output"].endswith("...")
    assert health(engine, "slow")["Status"] == "unhealthy"


def test_failures_within_the_start_period_do_not_count(engine, busybox):
    engine.run("run", "-d", "--name", "late", "--health-cmd", "false", "--health-interval", "100ms", "--health-retries", "1",
               "--health-start-period", "2s", "--health-start-interval", "100ms", busybox, "sleep", "600")
    wait_until(lambda: len(health(engine, "late")["Log"]) >= 3, what="three results")
    assert health(engine, "late")["Status"] == "starting" and health(engine, "late")["FailingStreak"] == 0
    wait_until(lambda: health(engine, "late")["Status"] == "unhealthy", what="the end of the period")


@pytest.mark.parametrize("action", ["kill", "stop", "restart"])
def test_what_follows_from_bad_health(engine, busybox, action):
    engine.run("run", "-d", "--name", "acts", "--health-cmd", "test -e /fine || test ! -e /bad", "--health-interval", "100ms",
               "--health-retries", "1", "--health-on-failure", action, "--stop-signal", "KILL", busybox, "sleep", "600")
    engine.run("exec", "acts", "touch", "/bad")
    if action == "restart":
        wait_until(lambda: restarts(engine, "acts") == 1, what="a restart")
        engine.run("rm", "-f", "acts")
        return
    wait_until(lambda: state(engine, "acts") == "exited", what="the end")
    assert restarts(engine, "acts") == 0 and engine.inspect("acts", "{{.State.ExitCode}}") == "137"


def test_bad_health_does_not_wait_for_a_program_without_a_handler(engine, busybox):
    engine.run("run", "-d", "--name", "deaf", "--health-cmd", "false", "--health-interval", "1100ms", "--health-retries", "1",
               "--health-on-failure", "stop", "--stop-timeout", "60", busybox, "sleep", "600")
    wait_until(lambda: state(engine, "deaf") == "exited", what="the end")
    assert engine.inspect("deaf", "{{.State.ExitCode}}") == "137"


def test_a_check_can_be_switched_off(engine, busybox):
    engine.run("run", "-d", "--name", "off", "--no-healthcheck", busybox, "sleep", "600")
    assert "health" not in engine.out("ps", "--format", "{{.Status}}") and engine.inspect("off", "{{.Config.Healthcheck.Test}}") == "[NONE]"
    assert "conflicts" in engine.run("create", "--no-healthcheck", "--health-cmd", "x", busybox, code=None).stderr


# Boots and crashes.

def reboot(engine):
    """All processes of the store end at once, and what lies on tmpfs is gone."""
    for pid in engine.monitors():
        os.kill(pid, signal.SIGKILL)
    for folder in engine.cgroups():
        for pid in (folder / "cgroup.procs").read_text().split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
    wait_until(lambda: not any((folder / "cgroup.procs").read_text() for folder in engine.cgroups()), what="the end of all")
    for folder in engine.cgroups():
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
    shutil.rmtree(engine.state)


def test_after_a_boot_what_should_run_does(engine, busybox):
    run = lambda name, policy, *flags: engine.run("run", "-d", "--name", name, "--restart", policy, *flags, busybox, "sleep", "600")
    run("aa", "always", "-p", "18081:80")
    run("uu", "unless-stopped")
    run("stopped-always", "always")
    run("stopped-unless", "unless-stopped")
    run("none", "no")
    engine.run("create", "--name", "never", "--restart", "always", busybox, "sleep", "600")
    engine.run("stop", "-t", "0", "stopped-always", "stopped-unless")
    addresses = {name: engine.inspect(name, "{{.NetworkSettings.IPAddress}}") for name in ("aa", "uu")}
    reboot(engine)
    assert engine.run("system", "start").stderr == ""
    up = set(engine.out("ps", "--format", "{{.Names}}").split())
    assert up == {"aa", "uu", "stopped-always"}
    assert {name: engine.inspect(name, "{{.NetworkSettings.IPAddress}}") for name in ("aa", "uu")} == addresses
    assert "18081->80" in engine.out("ps", "--filter", "name=^aa$", "--format", "{{.Ports}}")
    assert engine.inspect("none", "{{.State.Status}} {{.State.ExitCode}}").startswith("exited")
    assert state(engine, "never") == "created"


def test_the_first_command_after_a_boot_does_as_much_and_the_second_does_not(engine, busybox):
    engine.run("run", "-d", "--name", "back", "--restart", "always", busybox, "sleep", "600")
    reboot(engine)
    assert engine.out("ps", "--format", "{{.Names}}") == "back"
    engine.run("stop", "-t", "0", "back")
    assert engine.out("ps", "--format", "{{.Names}}") == "", "stopped, and it stays so until the next boot"


def test_the_next_command_replaces_a_lost_monitor(engine, busybox):
    engine.run("run", "-d", "--name", "kept", "--restart", "always", busybox, "sleep", "600")
    os.kill(monitor_of(engine), signal.SIGKILL)
    wait_until(lambda: engine.monitors() == [], what="its end")
    assert engine.out("ps", "--format", "{{.Names}} {{.State}}") == "kept running"
    assert engine.out("exec", "kept", "echo", "here") == "here"


def test_a_monitor_that_is_terminated_stops_its_container_until_the_next_start(engine, busybox):
    engine.run("run", "-d", "--name", "down", "--restart", "unless-stopped", "--stop-timeout", "0", busybox, "sleep", "600")
    os.kill(monitor_of(engine), signal.SIGTERM)
    wait_until(lambda: engine.monitors() == [], what="its end")
    assert state(engine, "down") == "exited"
    engine.run("system", "start")
    assert state(engine, "down") == "running"


def test_the_unit_that_is_shipped_is_well_formed(tmp_path):
    unit = pathlib.Path(__file__).resolve().parents[2] / "packaging/sampan.service"
    lines = [line.strip() for line in unit.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert {"[Unit]", "[Service]", "[Install]"} <= set(lines)
    (command,) = [line.split("=", 1)[1] for line in lines if line.startswith("ExecStart=")]
    assert command.split()[0].startswith("/") and command.split()[1:] == ["system", "start"]
    if shutil.which("systemd-analyze"):
        copy = tmp_path / "sampan.service"
        copy.write_text(unit.read_text().replace("/usr/bin/sampan", "/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True)
        assert "sampan.service:" not in done.stderr, done.stderr
