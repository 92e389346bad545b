"""Terminals: several people attached to one container, detach keys, sizes, and executed shells with a terminal each."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from conftest import wait_until

CTRL_P, CTRL_Q = b"\x10", b"\x11"


class Terminal:
    """A user at a terminal of a size of their own, with one command of sampan's on its other side."""

    def __init__(self, engine, *words, size=(24, 80)):
        self.master, slave = pty.openpty()
        self.resize(*size)
        self.process = subprocess.Popen(engine.command(*words), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data):
        os.write(self.master, data)

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:  # EIO: the other side has gone
                time.sleep(0.01)

    def expect(self, text, seconds=15):
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} in {self.seen!r}"
            self.read(0.05)
        before, _, self.seen = self.seen.partition(text)
        return before

    def ask(self, command, answer):
        """Types a command until it says what it is to say: a new size arrives when it arrives."""
        end = time.monotonic() + 15
        while True:
            self.type(command + b"\n")
            stop = time.monotonic() + 0.5
            while time.monotonic() < stop and answer not in self.seen:
                self.read(0.05)
            if answer in self.seen:
                self.seen = b""
                return
            assert time.monotonic() < end, f"no {answer!r} in {self.seen!r}"

    def wait(self):
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end, self.seen
            self.read(0.05)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def at(engine):
    """Sits users down at terminals."""
    users = []

    def sit_down(*words, **more):
        users.append(Terminal(engine, *words, **more))
        return users[-1]

    yield sit_down
    for user in users:
        user.close()


def start_shell(engine, busybox, name, *flags):
    engine.run("run", "-dit", "--name", name, *flags, busybox, "sh")


def test_several_attached_see_and_type_the_same(engine, busybox, at):
    start_shell(engine, busybox, "shared")
    users = [at("attach", "shared") for _ in range(3)]
    users[0].ask(b"echo re''ady", b"ready")
    for number, user in enumerate(users):
        user.type(f"echo from$((100+{number}))\n".encode())
        for other in users:
            other.expect(f"from{100 + number}".encode())
    users[1].type(CTRL_P + CTRL_Q)
    assert users[1].wait() == 0
    users[2].process.kill()  # nobody else minds
    users[0].ask(b"echo st''ill", b"still")
    users[0].type(b"exit 7\n")
    assert users[0].wait() == 7
    assert engine.inspect("shared", "{{.State.ExitCode}}") == "7"


def test_detach_keys_of_ones_own(engine, busybox, at):
    start_shell(engine, busybox, "keys")
    user = at("attach", "--detach-keys", "ctrl-x,d", "keys")
    user.ask(b"echo on''e", b"one")
    user.type(CTRL_P + CTRL_Q)  # two bytes like any others
    user.type(b"\x15echo t''wo\n")
    user.expect(b"two")
    user.type(b"\x18d")
    assert user.wait() == 0
    assert engine.inspect("keys", "{{.State.Running}}") == "true"


def test_the_container_has_the_size_of_whoever_attached_last(engine, busybox, at):
    start_shell(engine, busybox, "sized")
    first = at("attach", "sized", size=(31, 101))
    first.ask(b"stty size", b"31 101")
    second = at("attach", "sized", size=(42, 87))
    second.ask(b"stty size", b"42 87")
    second.type(CTRL_P + CTRL_Q)
    assert second.wait() == 0
    first.resize(25, 66)
    first.process.send_signal(signal.SIGWINCH)
    first.ask(b"stty size", b"25 66")
    first.type(CTRL_P + CTRL_Q)
    assert first.wait() == 0
    again = at("attach", "sized", size=(50, 120))  # replayed, though nobody resized anything
    again.ask(b"stty size", b"50 120")


def test_each_executed_shell_has_a_terminal_and_a_size_of_its_own(engine, busybox, at):
    start_shell(engine, busybox, "host")
    main = at("attach", "host", size=(24, 80))
    main.ask(b"stty size", b"24 80")
    shells = [at("exec", "-it", "host", "sh", size=size) for size in ((30, 90), (40, 100))]
    shells[0].ask(b"stty size", b"30 90")
    shells[1].ask(b"stty size", b"40 100")
    main.ask(b"stty size", b"24 80")
    shells[0].resize(33, 99)
    shells[0].process.send_signal(signal.SIGWINCH)
    shells[0].ask(b"stty size", b"33 99")
    shells[1].ask(b"stty size", b"40 100")
    names = set()
    for shell in shells:
        shell.type(b"echo [$(tty)]\n")
        shell.expect(b"[/dev/")
        names.add(shell.expect(b"]"))
    assert len(names) == 2
    shells[0].type(b"exit 3\n")
    assert shells[0].wait() == 3
    shells[1].type(CTRL_P + CTRL_Q)
    assert shells[1].wait() == 0
    assert engine.run("exec", "host", "true").returncode == 0
    assert engine.inspect("host", "{{.State.Running}}") == "true"


def test_a_terminal_that_is_not_read_blocks_only_until_it_goes(engine, busybox, at):
    engine.run("run", "-dt", "--name", "loud", busybox, "sh", "-c", "sleep 1; seq 200000; touch /done; sleep 600")
    user = at("attach", "--no-stdin", "loud")
    time.sleep(1.5)
    user.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    user.process.kill()
    wait_until(lambda: engine.run("exec", "loud", "test", "-e", "/done", code=None).returncode == 0, 30, "the end of the output")


def test_attach_without_a_terminal_gets_both_streams_and_the_code(engine, busybox):
    engine.run("run", "-di", "--name", "plain", busybox, "sh", "-c", "read line; echo out $line; echo err $line >&2; exit 9")
    one = engine.start("attach", "--no-stdin", "plain", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.3)
    done = engine.run("attach", "plain", code=9, input="x\n")
    assert done.stdout == "out x\n" and done.stderr == "err x\n"
    assert one.communicate(timeout=20) == ("out x\n", "err x\n") and one.returncode == 9
