"""Log drivers: what each writes, that `logs` reads them all alike, and that no line is lost when much is written fast."""

import gzip
import hashlib
import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import wait_until

SCRIPT = "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.01; done; printf 'no end'"
JOURNALD = "/lib/systemd/systemd-journald"


def folder_of(engine, name):
    return engine.root / "containers" / engine.inspect(name, "{{.Id}}")


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """systemd's journal, run where nobody but this test sees it: pytest has a mount namespace of its own."""
    if not os.path.exists(JOURNALD) or not shutil.which("journalctl"):
        pytest.skip("needs systemd's journal")
    for folder in ("/run/systemd", "/run/log", "/var/log"):
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    os.makedirs("/run/systemd/journal")
    os.makedirs("/run/log/journal")
    log = open(tmp_path_factory.mktemp("journal") / "log", "wb")
    process = subprocess.Popen([JOURNALD], stdout=log, stderr=log)
    try:
        wait_until(lambda: os.path.exists("/run/systemd/journal/socket"), what="the journal")
        yield
    finally:
        process.terminate()
        process.wait()
        for folder in ("/run/systemd", "/run/log", "/var/log"):
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("driver", ["json-file", "local", "journald"])
def test_logs_reads_every_driver_alike(engine, busybox, driver, request):
    if driver == "journald":
        request.getfixturevalue("journal")
    engine.run("run", "-d", "--name", "talks", "--log-driver", driver, busybox, "sh", "-c", SCRIPT)
    engine.run("wait", "talks")
    done = engine.run("logs", "talks")
    assert done.stdout == "out 1\nout 2\nout 3\nno end" and done.stderr == "err 1\nerr 2\nerr 3\n"
    both = subprocess.run(engine.command("logs", "talks"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    assert both == "".join(f"out {i}\nerr {i}\n" for i in (1, 2, 3)) + "no end"
    assert engine.run("logs", "--tail", "1", "talks").stdout == "no end"
    assert engine.run("logs", "--tail", "0", "talks").stdout == ""
    stamped = engine.run("logs", "-t", "talks").stdout.splitlines()
    assert stamped[0].endswith("Z out 1") and len(stamped[0]) == len("2026-11-22T11:58:20.917859948Z out 1")
    second = stamped[1].split()[0]
    assert engine.run("logs", "--since", second, "talks").stdout.startswith("out 2\n")
    assert engine.run("logs", "--until", second, "talks").stdout == "out 1\nout 2\n"
    assert engine.run("logs", "--since", "2038-01-01T00:00:00Z", "talks").stdout == ""
    engine.run("start", "talks")
    engine.run("wait", "talks")
    assert engine.run("logs", "talks").stdout.count("out 1\n") == 2


@pytest.mark.parametrize("driver", ["json-file", "local", "journald"])
def test_every_driver_is_followed_to_the_end(engine, busybox, driver, request):
    if driver == "journald":
        request.getfixturevalue("journal")
    engine.run("run", "-d", "--name", "slow", "--log-driver", driver, busybox, "sh", "-c",
               "echo 0; sleep 0.5; for i in 1 2 3 4 5; do echo $i; sleep 0.2; done")
    followers = [engine.start("logs", "-f", *flags, "slow", stdout=subprocess.PIPE, text=True) for flags in ((), ("--tail", "0"))]
    time.sleep(0.3)
    assert followers[0].communicate(timeout=30)[0] == "0\n1\n2\n3\n4\n5\n"
    assert followers[1].communicate(timeout=30)[0].endswith("1\n2\n3\n4\n5\n")
    assert [follower.returncode for follower in followers] == [0, 0]


def test_the_journal_has_dockers_fields(engine, busybox, journal):
    container = engine.out("run", "-d", "--name", "fields", "--log-driver", "journald", "--log-opt", "tag={{.Name}}-{{.ImageName}}",
                           "--log-opt", "labels=tier", "--log-opt", "env=QQ", "-l", "tier=front", "-e", "QQ=1", busybox, "echo", "hello")
    engine.run("wait", "fields")
    subprocess.run(["journalctl", "--sync"], check=True)
    fields = dict(line.split("=", 1) for line in subprocess.run(
        ["journalctl", "-q", "-o", "export", "CONTAINER_NAME=fields"], capture_output=True, text=True, check=True).stdout.split("\n") if "=" in line)
    assert fields["MESSAGE"] == "hello" and fields["PRIORITY"] == "6"
    assert fields["CONTAINER_ID_FULL"] == container and fields["CONTAINER_ID"] == container[:12]
    assert fields["CONTAINER_TAG"] == fields["SYSLOG_IDENTIFIER"] == f"fields-{busybox}"
    assert fields["TIER"] == "front" and fields["QQ"] == "1" and fields["IMAGE_NAME"] == busybox


def test_without_a_journal_the_driver_is_refused_by_name(engine, busybox):
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run/systemd"], check=True)  # in pytest's own mount namespace
    try:
        done = engine.run("run", "--name", "refused", "--log-driver", "journald", busybox, "true", code=125)
    finally:
        subprocess.run(["umount", "/run/systemd"], check=True)
    assert "journald is not enabled on this host: /run/systemd/journal/socket is not there" in done.stderr
    assert engine.run("ps", "-aq").stdout == ""


@pytest.mark.parametrize("flags, words", [
    (("--log-driver", "xx"), "no log driver named 'xx'"),
    (("--log-opt", "foo=bar"), "unknown log opt 'foo' for json-file log driver"),
    (("--log-driver", "local", "--log-opt", "max-file=1"), "compression cannot be enabled when max file count is 1"),
    (("--log-driver", "none", "--log-opt", "max-size=1k"), "invalid logging opts for driver none"),
    (("--log-opt", "tag={{.Bad}}"), "Bad"),
])
def test_what_makes_no_sense_is_refused(engine, busybox, flags, words):
    assert words in engine.run("run", *flags, busybox, "true", code=125).stderr


def test_details_are_what_labels_env_and_tag_chose(engine, busybox):
    engine.run("run", "-d", "--name", "details", "--log-opt", "labels=a,zz", "--log-opt", "env-regex=^Q", "--log-opt",
               "tag={{.Name}} {{.Command}}", "-l", "a=b", "-l", "c=d", "-e", "QQ=1", busybox, "echo", "hi")
    engine.run("wait", "details")
    assert engine.run("logs", "--details", "details").stdout == "QQ=1,a=b,tag=details+echo+hi hi\n"
    assert engine.run("logs", "details").stdout == "hi\n"
    assert '"attrs":{"QQ":"1","a":"b","tag":"details echo hi"}' in open(engine.inspect("details", "{{.LogPath}}")).read()


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_rotated_files_are_compressed_and_still_read(engine, busybox, driver):
    engine.run("run", "-d", "--name", "packed", "--log-driver", driver, "--log-opt", "max-size=100k", "--log-opt", "max-file=4",
               "--log-opt", "compress=true", busybox, "sh", "-c", "for i in $(seq 20); do seq 3000; sleep 0.1; done; echo end; sleep 600")
    folder = folder_of(engine, "packed")
    wait_until(lambda: engine.run("logs", "--tail", "1", "packed").stdout == "end\n", 30, "the end")
    wait_until(lambda: len([name for name in os.listdir(folder) if name.endswith(".gz")]) == 3, 20, "compressed files")
    assert not any(name.endswith("partial") for name in os.listdir(folder))
    with gzip.open(next(folder / name for name in os.listdir(folder) if name.endswith(".gz"))) as file:
        assert len(file.read()) <= 100 << 10
    lines = engine.run("logs", "packed").stdout.split()
    assert len(lines) > 3000 and lines.pop() == "end"
    assert all(int(b) == int(a) % 3000 + 1 for a, b in zip(lines, lines[1:]))
    assert sum((folder / name).stat().st_size for name in os.listdir(folder) if ".log" in name) < 410 << 10


# Much, and fast.

LINES, LENGTH, ROUNDS = 1_000_000, 100, 3


@pytest.fixture(scope="module")
def flood(tmp_path_factory):
    """100 MB of numbered lines; `cat` writes them as fast as somebody takes them."""
    path = tmp_path_factory.mktemp("flood") / "lines"
    with open(path, "w") as file:
        for start in range(0, LINES, 10_000):
            file.write("".join(f"{number:09d} {'x' * (LENGTH - 11)}\n" for number in range(start, start + 10_000)))
    yield path
    path.unlink()


def start_flood(engine, busybox, flood, name, *flags):
    engine.run("run", "-d", "--name", name, *flags, "-v", f"{flood}:/lines", busybox, "sh", "-c",
               f"until test -e /go; do sleep 0.05; done; {'cat /lines;' * ROUNDS} touch /done; sleep 600")


def processor_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("flags", [
    ("--log-opt", "max-size=10m", "--log-opt", "max-file=3"),
    ("--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"),
])
def test_a_follower_loses_no_line_of_a_fast_writer(engine, busybox, flood, flags):
    start_flood(engine, busybox, flood, "flood", *flags)
    reader = engine.start("logs", "-f", "flood", stdout=subprocess.PIPE)
    time.sleep(0.5)
    expected = hashlib.sha256(open(flood, "rb").read() * ROUNDS).hexdigest()
    (monitor,) = engine.monitors()
    before = processor_seconds(monitor)
    engine.run("exec", "flood", "touch", "/go")
    seen, size = hashlib.sha256(), 0
    while size < ROUNDS * LINES * LENGTH:
        data = reader.stdout.read1(1 << 20)
        assert data, f"the follower ended after {size} bytes"
        seen.update(data)
        size += len(data)
    assert seen.hexdigest() == expected
    # 100 MB/s of output take less than one processor, however busy the machine is with others.
    megabytes = ROUNDS * LINES * LENGTH / 1e6
    assert (processor_seconds(monitor) - before) / megabytes < 0.01
    engine.run("kill", "flood")
    assert reader.stdout.read() == b"" and reader.wait(30) == 0


def test_a_follower_that_is_stopped_blocks_nobody(engine, busybox, flood):
    start_flood(engine, busybox, flood, "goes-on", "--log-opt", "max-size=10m", "--log-opt", "max-file=3")
    reader = engine.start("logs", "-f", "goes-on", stdout=subprocess.PIPE)
    time.sleep(0.5)
    reader.send_signal(signal.SIGSTOP)
    engine.run("exec", "goes-on", "touch", "/go")
    wait_until(lambda: engine.run("exec", "goes-on", "test", "-e", "/done", code=None).returncode == 0, 90, "the end of the writer")
    assert engine.run("logs", "--tail", "1", "goes-on").stdout.startswith(f"{LINES - 1:09d} ")
    reader.send_signal(signal.SIGCONT)
    reader.terminate()
    reader.wait()


def test_a_slow_follower_gets_every_line_later(engine, busybox, flood):
    """What is rotated away before its turn waits for it, and the container does not."""
    start_flood(engine, busybox, flood, "patient", "--log-opt", "max-size=10m", "--log-opt", "max-file=3")
    reader = engine.start("logs", "-f", "patient", stdout=subprocess.PIPE)
    time.sleep(0.5)
    engine.run("exec", "patient", "touch", "/go")
    seen, size, was_behind = hashlib.sha256(), 0, False
    while size < ROUNDS * LINES * LENGTH:
        data = reader.stdout.read1(1 << 20)
        assert data, f"the follower ended after {size} bytes"
        seen.update(data)
        size += len(data)
        time.sleep(len(data) / 60e6)
        if not was_behind and size > 2 * LINES * LENGTH:
            was_behind = engine.run("exec", "patient", "test", "-e", "/done", code=None).returncode == 0
    assert seen.hexdigest() == hashlib.sha256(open(flood, "rb").read() * ROUNDS).hexdigest()
    assert was_behind
    engine.run("kill", "patient")
    assert reader.wait(30) == 0


@pytest.mark.parametrize("begins, flags", [
    ("before", ("--log-opt", "max-size=5m", "--log-opt", "max-file=1")),
    ("within", ("--log-opt", "max-size=10m", "--log-opt", "max-file=3", "--log-opt", "compress=true")),
    ("before", ("--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=3")),
])
def test_a_follower_whose_reader_stands_still_gets_every_line_later(engine, busybox, flood, begins, flags):
    """Nobody takes a byte until the container has written all; it is not held up by that."""
    start_flood(engine, busybox, flood, "unread", *flags)
    if begins == "within":  # the follower stands still while it shows what was there at its start
        engine.run("exec", "unread", "sh", "-c", "head -n 10000 /lines > /proc/1/fd/1")
    reader = engine.start("logs", "-f", "unread", stdout=subprocess.PIPE)
    time.sleep(0.5)
    begin = time.monotonic()
    engine.run("exec", "unread", "touch", "/go")
    wait_until(lambda: engine.run("exec", "unread", "test", "-e", "/done", code=None).returncode == 0, 90, "the end of the writer")
    assert time.monotonic() - begin < 60
    engine.run("kill", "unread")
    content = open(flood, "rb").read()
    expected = hashlib.sha256((content[:10_000 * LENGTH] if begins == "within" else b"") + content * ROUNDS).hexdigest()
    seen, size = hashlib.sha256(), 0
    while data := reader.stdout.read1(1 << 20):
        seen.update(data)
        size += len(data)
    assert reader.wait(30) == 0
    assert seen.hexdigest() == expected, f"{size} bytes"


def test_a_monitor_is_small_again_after_a_flood(engine, busybox, flood):
    start_flood(engine, busybox, flood, "large")
    engine.run("exec", "large", "touch", "/go")
    wait_until(lambda: engine.run("exec", "large", "test", "-e", "/done", code=None).returncode == 0, 90, "the end of the writer")
    time.sleep(1.5)
    (monitor,) = engine.monitors()
    values = dict(line.split(":") for line in open(f"/proc/{monitor}/smaps_rollup") if line.startswith("Private_"))
    private = {name: int(value.split()[0]) for name, value in values.items()}
    assert private["Private_Dirty"] < 1024 and sum(private.values()) < 2048, private
