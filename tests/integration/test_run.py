"""`run` in the foreground: streams, exit codes, names, environment, users, folders."""

import os
import pty
import re
import signal
import subprocess
import time

import pytest

from conftest import wait_until


def test_hello(engine, busybox):
    done = engine.run("run", "--rm", busybox, "echo", "hello")
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_streams_are_kept_apart(engine, busybox):
    done = engine.run("run", "--rm", busybox, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_stdin_reaches_the_container_only_with_i(engine, busybox):
    assert engine.run("run", "--rm", "-i", busybox, "cat", input="typed\n").stdout == "typed\n"
    assert engine.run("run", "--rm", busybox, "cat", input="typed\n").stdout == ""


def test_large_output_is_complete(engine, busybox):
    done = engine.run("run", "--rm", busybox, "sh", "-c", "yes 0123456789abcdef | head -n 500000")
    assert done.stdout.count("\n") == 500_000


def test_large_input_is_complete(engine, busybox):
    data = "0123456789abcdef" * 65536 * 4
    assert engine.run("run", "--rm", "-i", busybox, "wc", "-c", input=data).stdout.strip() == str(len(data))


@pytest.mark.parametrize("code", [0, 1, 3, 42, 255])
def test_exit_code_is_the_processs_own(engine, busybox, code):
    engine.run("run", "--rm", busybox, "sh", "-c", f"exit {code}", code=code)


def test_exit_code_of_a_signal(engine, busybox):
    engine.run("run", "--rm", busybox, "sh", "-c", "kill -TERM $$; sleep 5", code=None)
    # The first process of a pid namespace ignores what it has no handler for: a child shows the signal.
    engine.run("run", "--rm", busybox, "sh", "-c", "sh -c 'kill -KILL $$'; exit $?", code=137)


def test_missing_executable_is_127(engine, busybox):
    done = engine.run("run", "--rm", busybox, "no-such-program", code=127)
    assert "no-such-program" in done.stderr and "executable file not found" in done.stderr
    assert done.stderr.count("\n") == 1


def test_missing_path_is_127(engine, busybox):
    done = engine.run("run", "--rm", busybox, "/no/such/program", code=127)
    assert "/no/such/program" in done.stderr and "no such file or directory" in done.stderr


def test_a_directory_is_126(engine, busybox):
    done = engine.run("run", "--rm", busybox, "/etc", code=126)
    assert "/etc" in done.stderr


def test_a_file_without_x_is_126(engine, busybox):
    done = engine.run("run", "--rm", busybox, "/etc/passwd", code=126)
    assert "permission denied" in done.stderr


def test_unknown_flag_is_125(engine, busybox):
    done = engine.run("run", "--no-such-flag", busybox, code=125)
    assert "unknown flag: --no-such-flag" in done.stderr


def test_bad_port_is_125(engine, busybox):
    done = engine.run("run", "-p", "x:80", busybox, "true", code=125)
    assert "hostPort" in done.stderr


def test_words_that_are_not_utf8(engine, busybox, tmp_path):
    """They become what docker's JSON makes of them; a path of the host's is refused rather than changed."""
    odd = b"a\xff\xe9z"
    flags = [b"-e", b"A=" + odd, b"--label", b"k=" + odd, b"--hostname", odd, b"--name", b"odd"]
    command = [word.encode() for word in engine.command("run", "--rm")] + flags + [busybox.encode(), b"sh", b"-c", b'echo "$A" "$1"', b"sh", odd]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout.decode() == "a\ufffd\ufffdz a\ufffd\ufffdz\n"
    os.mkdir(os.fsencode(tmp_path) + b"/" + odd)
    for mount in (b"-v" + os.fsencode(tmp_path) + b"/" + odd + b":/m", b"--mount=type=bind,dst=/m,src=" + os.fsencode(tmp_path) + b"/" + odd):
        done = subprocess.run([word.encode() for word in engine.command("run", "--rm")] + [mount, busybox.encode(), b"true"], capture_output=True)
        assert done.returncode == 125 and b"is not UTF-8" in done.stderr, done.stderr
    engine.run("network", "create", "--label", os.fsdecode(b"k=" + odd), "odd")
    assert engine.out("network", "inspect", "-f", "{{.Labels.k}}", "odd") == "a\ufffd\ufffdz"
    engine.run("network", "rm", "odd")


def test_environment(engine, busybox, tmp_path):
    (tmp_path / "env").write_text("# comment\nFROM_FILE=1\nHOME_OF_CALLER\n")
    out = engine.out("run", "--rm", "-e", "A=1", "-e", "B", "--env-file", tmp_path / "env", busybox, "env",
                     env={**os.environ, "B": "two words", "HOME_OF_CALLER": "x"})
    lines = set(out.split("\n"))
    assert {"A=1", "B=two words", "FROM_FILE=1", "HOME_OF_CALLER=x", "HOME=/root"} <= lines
    assert any(re.fullmatch("HOSTNAME=[0-9a-f]{12}", line) for line in lines)
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in lines


def test_nothing_of_the_callers_environment_leaks(engine, busybox):
    out = engine.out("run", "--rm", busybox, "env", env={**os.environ, "SECRET_OF_HOST": "1"})
    assert "SECRET_OF_HOST" not in out


def test_working_directory(engine, busybox):
    assert engine.out("run", "--rm", "-w", "/var/www", busybox, "pwd") == "/var/www"
    assert engine.out("run", "--rm", "-w", "/made/on/the/way", busybox, "pwd") == "/made/on/the/way"


@pytest.mark.parametrize("user, expected", [
    ("app", "uid=1000(app) gid=1000(app) groups=50(staff),1000(app)"),
    ("1000", "uid=1000(app) gid=1000(app) groups=50(staff),1000(app)"),
    ("1000:0", "uid=1000(app) gid=0(root) groups=0(root)"),
    ("12345", "uid=12345 gid=0(root) groups=0(root)"),
    ("12345:54321", "uid=12345 gid=54321 groups=54321"),
    ("app:daemon", "uid=1000(app) gid=1(daemon) groups=1(daemon)"),
])
def test_user(engine, busybox, user, expected):
    shown = engine.out("run", "--rm", "-u", user, busybox, "id")
    names = lambda text: (text.split("groups=")[0], set(text.split("groups=")[1].split(",")) | {re.search("gid=([^ ]+)", text)[1]})
    assert names(shown) == names(expected)


def test_unknown_user(engine, busybox):
    done = engine.run("run", "--rm", "-u", "nobody-such", busybox, "id", code=125)
    assert "unable to find user nobody-such" in done.stderr


@pytest.mark.parametrize("user", ["4294967296", "99999999999", "-1", "2147483648"])
def test_user_ids_that_overflow_are_refused(engine, busybox, user):
    engine.run("run", "--rm", f"--user={user}", busybox, "id", code=125)


def test_entrypoint(engine, busybox):
    assert engine.out("run", "--rm", "--entrypoint", "echo", busybox, "a", "b") == "a b"


def test_hostname(engine, busybox):
    assert engine.out("run", "--rm", "--hostname", "boat", busybox, "cat", "/etc/hostname") == "boat"
    assert engine.out("run", "--rm", "--hostname", "boat", busybox, "hostname") == "boat"
    assert "boat" in engine.out("run", "--rm", "--hostname", "boat", busybox, "cat", "/etc/hosts")


def test_name_is_taken(engine, busybox):
    engine.run("create", "--name", "twin", busybox)
    done = engine.run("run", "--name", "twin", busybox, "true", code=125)
    assert "already in use by container" in done.stderr


def test_cidfile(engine, busybox, tmp_path):
    file = tmp_path / "cid"
    engine.run("run", "--name", "cid", "--cidfile", file, busybox, "true")
    assert file.read_text() == engine.inspect("cid", "{{.Id}}")
    done = engine.run("run", "--rm", "--cidfile", file, busybox, "true", code=125)
    assert "container ID file found" in done.stderr


def test_an_image_that_is_not_here_is_pulled_first(sampan, busybox):
    done = sampan.run("run", "--rm", busybox, "echo", "hi")
    assert done.stdout == "hi\n"
    assert "Pull complete" in done.stderr


def test_pull_never(sampan, busybox):
    done = sampan.run("run", "--rm", "--pull", "never", busybox, "true", code=125)
    assert "No such image" in done.stderr


def test_rm_leaves_nothing(engine, busybox):
    engine.run("run", "--rm", "--name", "gone", busybox, "touch", "/made")
    assert engine.out("ps", "-a", "-q") == ""
    engine.check_clean()


def test_changes_stay_in_the_container(engine, busybox):
    engine.run("run", "--name", "first", busybox, "sh", "-c", "echo 1 > /made; rm /etc/group")
    assert engine.run("run", "--rm", busybox, "ls", "/made", code=1).stdout == ""
    assert "root" in engine.out("run", "--rm", busybox, "cat", "/etc/group")


def test_a_stopped_container_starts_again_with_its_files(engine, busybox):
    engine.run("run", "--name", "again", busybox, "sh", "-c", "echo x >> /log; cat /log")
    for times in range(2, 8):  # at once: the last network namespace may not be gone yet
        assert engine.out("start", "-a", "again") == "\n".join(["x"] * times)


def test_sigint_and_sigterm_are_forwarded(engine, busybox):
    process = engine.start("run", "--rm", "--name", "sig", busybox, "sh", "-c",
                           "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.1; done",
                           stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "got\n"
    assert process.wait(10) == 7


def test_killing_the_command_changes_nothing_for_the_container(engine, busybox):
    process = engine.start("run", "--name", "orphan", busybox, "sh", "-c", "echo one; sleep 1; echo two; sleep 60",
                           stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "one\n"
    process.kill()
    process.wait()
    wait_until(lambda: engine.out("logs", "orphan") == "one\ntwo", 10, "the second line")
    assert engine.inspect("orphan", "{{.State.Running}}") == "true"


def read_pty(master, until, seconds=10):
    data = b""
    end = time.monotonic() + seconds
    while until not in data:
        assert time.monotonic() < end, data
        try:
            data += os.read(master, 4096)
        except OSError:
            break
    return data


def test_tty_is_a_terminal_of_the_right_size(engine, busybox):
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    process = engine.start("run", "--rm", "-it", busybox, "sh", stdin=slave, stdout=slave, stderr=slave,
                           start_new_session=True)
    before = termios.tcgetattr(slave)
    os.write(master, b"tty; stty size; echo done-$?\n")
    shown = read_pty(master, b"done-0")
    assert b"/dev/pts/0" in shown and b"33 77" in shown
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process.send_signal(signal.SIGWINCH)
    time.sleep(0.2)
    os.write(master, b"stty size; exit 5\n")
    assert b"40 120" in read_pty(master, b"40 120")
    assert process.wait(10) == 5
    assert termios.tcgetattr(slave)[3] & termios.ECHO, "raw mode was not restored"
    del before
    os.close(master)
    os.close(slave)


def test_tty_needs_a_terminal(engine, busybox):
    done = engine.run("run", "--rm", "-it", busybox, "true", code=125)
    assert "not a TTY" in done.stderr


def test_detach_keys(engine, busybox):
    master, slave = pty.openpty()
    process = engine.start("run", "-it", "--name", "left", busybox, "sh", stdin=slave, stdout=slave, stderr=slave,
                           start_new_session=True)
    os.write(master, b"echo rea''dy\n")
    read_pty(master, b"ready")
    os.write(master, b"\x10\x11")
    assert process.wait(10) == 0
    assert engine.inspect("left", "{{.State.Running}}") == "true"
    os.close(master)
    os.close(slave)


def test_init_reaps_and_forwards(engine, busybox):
    out = engine.out("run", "--rm", "--init", busybox, "sh", "-c", "cat /proc/1/comm; echo $$")
    assert out.split("\n")[1] != "1"
    engine.run("run", "-d", "--name", "init", "--init", busybox, "sleep", "60")
    started = time.monotonic()
    engine.run("stop", "-t", "10", "init")
    assert time.monotonic() - started < 5
    assert engine.inspect("init", "{{.State.ExitCode}}") == "143"
