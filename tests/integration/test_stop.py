"""Commands that end containers come back, whatever state the container, its processes or its monitor are in."""

import os
import signal
import time

import pytest

from conftest import wait_until
from fuse_server import SilentFileSystem


@pytest.fixture
def silent(tmp_path):
    """A file system on which every look-up sleeps uninterruptibly."""
    folder = tmp_path / "silent"
    folder.mkdir()
    try:
        server = SilentFileSystem(folder)
    except OSError as error:
        pytest.skip(f"a kernel without FUSE: {error}")
    yield server
    server.close()


def start_stuck(engine, busybox, silent, name, *command):
    engine.run("run", "-d", "--name", name, "-v", f"{silent.path}:/silent", busybox, *command)
    assert silent.asked.wait(10)
    time.sleep(0.1)
    return int(engine.inspect(name, "{{.State.Pid}}"))


def timed(engine, *words, **more):
    begin = time.monotonic()
    return engine.run(*words, timeout=30, **more), time.monotonic() - begin


def check_error(done, name="cat"):
    assert "does not end, not even of SIGKILL" in done.stderr
    assert f"({name}) is in an uninterruptible sleep" in done.stderr


@pytest.mark.parametrize("command, seconds, most", [
    (("cat", "/silent/file"), 10, 3),  # which never sees SIGTERM: nobody waits for it
    (("sh", "-c", "trap 'exit 3' TERM; cat /silent/file & wait"), 2, 3.5),  # ends, and its namespace does not
])
def test_an_uninterruptible_process_is_an_error_and_not_a_hang(engine, busybox, silent, command, seconds, most):
    pid = start_stuck(engine, busybox, silent, "stuck", *command)
    done, passed = timed(engine, "stop", "-t", seconds, "stuck", code=1)
    check_error(done)
    assert passed < most, done.stderr
    for words in (("ps",), ("inspect", "stuck"), ("logs", "stuck")):
        _, passed = timed(engine, *words, code=0)
        assert passed < 2, words
    for words in (("kill", "stuck"), ("rm", "-f", "stuck")):
        done, passed = timed(engine, *words, code=1)
        check_error(done)
        assert passed < 4, words
    assert os.path.exists(f"/proc/{pid}")
    silent.close()
    assert engine.run("wait", "stuck", timeout=30).stdout.strip() in ("137", "3")
    engine.run("rm", "-f", "stuck")


def test_an_uninterruptible_process_of_exec_is_named(engine, busybox, silent):
    engine.run("run", "-d", "--name", "stuck", "-v", f"{silent.path}:/silent", busybox, "sleep", "600")
    engine.run("exec", "-d", "stuck", "cat", "/silent/file")
    assert silent.asked.wait(10)
    done, passed = timed(engine, "stop", "-t", "1", "stuck", code=1)
    check_error(done)
    assert passed < 3
    silent.close()
    engine.run("wait", "stuck", timeout=30)
    engine.run("rm", "-f", "stuck")


def test_a_wait_that_only_sigkill_ends_is_no_error(engine, busybox):
    """A parent of vfork(2) sleeps as "D" until its child executes something: for ever here, but for SIGKILL."""
    script = ("import ctypes, signal, time; signal.signal(signal.SIGTERM, lambda *_: None); "
              "ctypes.CDLL(None).vfork() or time.sleep(600)")
    engine.run("run", "-d", "--name", "vfork", "-v", "/usr:/usr:ro", "-v", "/lib:/lib:ro", "-v", "/lib64:/lib64:ro",
               busybox, "/usr/bin/python3", "-Sc", script)
    pid = int(engine.inspect("vfork", "{{.State.Pid}}"))

    def sleeps():
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] == "D"
    wait_until(sleeps, what="the uninterruptible sleep")
    _, passed = timed(engine, "stop", "-t", "2", "vfork")
    assert 2 <= passed < 5
    assert engine.inspect("vfork", "{{.State.ExitCode}}") == "137"
    engine.run("rm", "vfork")


def test_a_process_that_takes_long_to_die_is_waited_for(engine, busybox):
    """Its memory is given back in a few thousandths of a processor's time."""
    engine.run("run", "-d", "--name", "large", busybox, "dd", "if=/dev/zero", "of=/dev/null", "bs=200M")
    pid = int(engine.inspect("large", "{{.State.Pid}}"))

    def resident():
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    wait_until(lambda: resident() > 190 << 20, 30, "its memory")
    engine.run("update", "--cpu-period", "1000000", "--cpu-quota", "3000", "large")
    _, passed = timed(engine, "stop", "-t", "1", "large")
    assert passed > 1.5, "it took no time to die: this test shows nothing"
    assert engine.inspect("large", "{{.State.ExitCode}}") == "137"
    engine.run("rm", "large")


def test_a_monitor_that_stands_still_is_named(engine, busybox):
    engine.run("run", "-d", "--name", "orphaned", busybox, "sleep", "600")
    (monitor,) = engine.monitors()
    os.kill(monitor, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        done = engine.run("stop", "-t", "1", "orphaned", code=1, timeout=60)
        assert time.monotonic() - begin < 4
        assert f"its monitor, process {monitor}, does not answer" in done.stderr
    finally:
        os.kill(monitor, signal.SIGCONT)
    wait_until(lambda: engine.inspect("orphaned", "{{.State.Status}}") == "exited", what="the end")


def test_a_paused_container_is_stopped_and_killed(engine, busybox):
    for words in (("stop", "-t", "1"), ("kill",), ("rm", "-f")):
        engine.run("run", "-d", "--name", "frozen", busybox, "sleep", "600")
        engine.run("pause", "frozen")
        begin = time.monotonic()
        engine.run(*words, "frozen", timeout=30)
        assert time.monotonic() - begin < 8, words
        engine.run("rm", "-f", "frozen", code=None)


def test_several_are_stopped_at_the_same_time(engine, busybox):
    names = [f"slow{number}" for number in range(4)]
    for name in names:
        engine.run("run", "-d", "--name", name, busybox, "sh", "-c", "trap 'sleep 1; exit 3' TERM; touch /ready; while :; do sleep 0.05; done")
    for name in names:
        wait_until(lambda: engine.run("exec", name, "test", "-e", "/ready", code=None).returncode == 0, what="the handler")
    began = time.monotonic()
    done = engine.run("stop", *names[:2], "nobody", *names[2:], code=1)
    assert time.monotonic() - began < 3.5  # one after the other: over four
    assert done.stdout.split() == names and "No such container: nobody" in done.stderr
    assert [engine.inspect(name, "{{.State.ExitCode}}") for name in names] == ["3"] * 4
