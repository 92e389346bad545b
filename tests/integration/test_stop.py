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


@pytest.mark.parametrize("command, seconds", [
    (("cat", "/silent/file"), 10),  # which never sees SIGTERM: nobody waits for it
    (("sh", "-c", "trap 'exit 3' TERM; cat /silent/file & wait"), 3),  # ends, and its namespace does not
])
def test_an_uninterruptible_process_is_an_error_and_not_a_hang(engine, busybox, silent, command, seconds):
    pid = start_stuck(engine, busybox, silent, "stuck", *command)
    begin = time.monotonic()
    done = engine.run("stop", "-t", seconds, "stuck", code=1, timeout=30)
    assert time.monotonic() - begin < 10, done.stderr
    assert "does not end, not even of SIGKILL" in done.stderr
    assert "(cat) is in an uninterruptible sleep" in done.stderr
    for words in (("kill", "stuck"), ("ps",), ("inspect", "stuck"), ("logs", "stuck")):
        begin = time.monotonic()
        engine.run(*words, code=None, timeout=20)
        assert time.monotonic() - begin < 12, words
    assert "uninterruptible" in engine.run("rm", "-f", "stuck", code=1, timeout=30).stderr
    assert os.path.exists(f"/proc/{pid}")
    silent.close()
    assert engine.run("wait", "stuck", timeout=30).stdout.strip() in ("137", "3")
    engine.run("rm", "-f", "stuck")


def test_a_monitor_that_stands_still_is_named(engine, busybox):
    engine.run("run", "-d", "--name", "orphaned", busybox, "sleep", "600")
    (monitor,) = engine.monitors()
    os.kill(monitor, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        done = engine.run("stop", "-t", "1", "orphaned", code=1, timeout=60)
        assert time.monotonic() - begin < 20
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
