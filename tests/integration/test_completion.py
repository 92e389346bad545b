"""Completion in real shells: bash and zsh behind terminals that get a tab, fish by its own `complete -C`."""

import os
import pty
import re
import select
import shlex
import subprocess
import time

import pytest

from conftest import BIN


class Shell:
    """An interactive shell on a terminal, with `sampan` on its PATH and its completion loaded."""

    def __init__(self, words, setup, folder):
        environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "dumb", "PS1": "$ ",
                       "INPUTRC": "/dev/null", "ZDOTDIR": str(folder)}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(words[0], words, environment)
        for line in setup:
            self.write(line + "\n")
        self.write("echo rea''dy\n")
        self.read_until("ready\r\n")

    def write(self, text):
        os.write(self.fd, text.encode())

    def read(self, quiet=0.3, seconds=10):
        """What comes until nothing has come for `quiet` seconds."""
        text, end = "", time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self.fd], [], [], quiet)[0]:
                break
            text += os.read(self.fd, 65536).decode(errors="replace")
        return text

    def read_until(self, mark, seconds=20):
        text, end = "", time.monotonic() + seconds
        while mark not in text:
            assert time.monotonic() < end, text
            if select.select([self.fd], [], [], 0.1)[0]:
                text += os.read(self.fd, 65536).decode(errors="replace")
        return text

    def completed(self, line):
        """The line after one tab, run by the shell as words of printf: what it would have given the command."""
        self.read(0.05)
        self.write(line + "\t")
        text = self.read()
        # To the front of the line: the command becomes an argument of printf, which shows words apart.
        self.write("\x01printf '<%s>' 'wor''ds' \x05; echo e''nd\n")
        text = self.read_until("end\r\n")
        return re.findall(r"<([^>]*)>", text[text.rindex("<words>"):])[1:]

    def offered(self, line):
        """What is shown after tabs, where there are several."""
        self.read(0.05)
        self.write(line + "\t\t")
        text = self.read(0.7)
        self.write("\x15")
        self.read(0.1)
        return text

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def bash(folder):
    return Shell(["bash", "--noprofile", "--norc", "-i"],
                 ["set +o history", "bind 'set bell-style none'", "bind 'set enable-bracketed-paste off'",
                  "bind 'set page-completions off'", "bind 'set completion-query-items 1000'",
                  'eval "$(sampan completion bash)"'], folder)


def zsh(folder):
    return Shell(["zsh", "-f", "-i"],
                 ["unsetopt prompt_cr prompt_sp zle_bracketed_paste; unset zle_bracketed_paste; PROMPT='$ '", "bindkey -e",
                  "autoload -Uz compinit && compinit -D -u", "LISTMAX=1000", 'eval "$(sampan completion zsh)"'], folder)


@pytest.fixture(scope="module")
def things(engine, busybox):
    """Names of each kind in the module's store."""
    engine.run("network", "create", "alpha-net")
    engine.run("volume", "create", "alpha-volume")
    yield engine
    engine.run("volume", "rm", "alpha-volume")
    engine.run("network", "rm", "alpha-net")


@pytest.fixture
def containers(things, busybox):
    things.run("run", "-d", "--name", "alpha-up", busybox, "sleep", "600")
    things.run("create", "--name", "alpha-down", busybox)
    return things


@pytest.fixture(params=[bash, zsh], ids=["bash", "zsh"])
def shell(request, tmp_path):
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "archive file.tar").touch()
    one = request.param(tmp_path)
    yield one
    one.close()


def test_a_shell_completes_what_the_store_has(shell, containers, busybox):
    words = containers.command()  # the program and the words that name the store
    start = "sampan " + shlex.join(words[1:])

    def completed(line):
        found = shell.completed(f"{start} {line}")
        assert found[:len(words)] == ["sampan", *words[1:]], found
        return found[len(words):]

    assert completed("stop al") == ["stop", "alpha-up"]
    assert completed("start al") == ["start", "alpha-down"]
    assert completed("network inspect al") == ["network", "inspect", "alpha-net"]
    assert completed("volume rm al") == ["volume", "rm", "alpha-volume"]
    # Words with : and =, at which bash breaks the line.
    assert completed(f"run --rm {busybox[:-3]}") == ["run", "--rm", busybox + ":latest"]
    assert completed("run --network=al") == ["run", "--network=alpha-net"]
    assert completed("run --network container:alpha-u") == ["run", "--network", "container:alpha-up"]
    assert completed("run --network=container:alpha-d") == ["run", "--network=container:alpha-down"]
    assert completed("run -v alpha-v") == ["run", "-v", "alpha-volume:"]
    # zsh takes the slash away again where a word ends behind it.
    assert completed("cp alpha-up:/etc/hosts a-f")[2].rstrip("/") == "a-folder"
    assert completed("load -i arch") == ["load", "-i", "archive file.tar"]
    assert completed("ps --filter name=alpha-u") == ["ps", "--filter", "name=alpha-up"]
    assert completed("ps --filter=network=al") == ["ps", "--filter=network=alpha-net"]
    both = shell.offered(f"{start} rm alpha-")
    assert "alpha-up" in both and "alpha-down" in both


def test_a_shell_completes_commands_flags_and_their_values(shell):
    assert shell.completed("sampan pau") == ["sampan", "pause"]
    assert shell.completed("sampan container unp") == ["sampan", "container", "unpause"]
    assert shell.completed("sampan run --detach-k") == ["sampan", "run", "--detach-keys"]
    assert shell.completed("sampan run --restart unl") == ["sampan", "run", "--restart", "unless-stopped"]
    assert shell.completed("sampan run --restart=alw") == ["sampan", "run", "--restart=always"]
    assert shell.completed("sampan run --cap-add SYS_PTR") == ["sampan", "run", "--cap-add", "SYS_PTRACE"]
    assert shell.completed("sampan ps --filter stat") == ["sampan", "ps", "--filter", "status="]
    assert shell.completed("sampan ps -f status=pau") == ["sampan", "ps", "-f", "status=paused"]
    assert shell.completed("sampan volume prune --filter=unt") == ["sampan", "volume", "prune", "--filter=until="]
    shown = shell.offered("sampan network ")
    for name in ("connect", "create", "disconnect", "inspect", "ls", "prune", "rm"):
        assert name in shown, shown


def fish(line, folder):
    done = subprocess.run(["fish", "--no-config", "-c", 'sampan completion fish | source; complete -C "$argv"', line],
                          capture_output=True, text=True, timeout=30, cwd=folder,
                          env={"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "dumb"})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return {row.partition("\t")[0]: row.partition("\t")[2] for row in done.stdout.splitlines()}


def test_fish_completes_too(containers, busybox, tmp_path):
    (tmp_path / "a-folder").mkdir()
    start = "sampan " + shlex.join(containers.command()[1:])
    assert fish(f"{start} stop al", tmp_path) == {"alpha-up": busybox}
    assert set(fish(f"{start} rm alpha-", tmp_path)) == {"alpha-up", "alpha-down"}
    assert set(fish(f"{start} run --rm {busybox[:-3]}", tmp_path)) == {busybox + ":latest"}
    assert set(fish(f"{start} run --network=al", tmp_path)) == {"--network=alpha-net"}
    assert "a-folder/" in fish(f"{start} cp alpha-up:/x a-", tmp_path)
    assert fish("sampan pau", tmp_path) == {"pause": "Pause all processes within one or more containers"}
    assert set(fish("sampan run --restart unl", tmp_path)) == {"unless-stopped"}
    assert "--detach-keys" in fish("sampan run --det", tmp_path)
    assert set(fish("sampan network ls --filter d", tmp_path)) == {"dangling=", "driver="}
    assert set(fish("sampan network ls --filter driver=ip", tmp_path)) == {"driver=ipvlan"}
    assert set(fish(f"{start} ps --filter=name=alpha-u", tmp_path)) == {"--filter=name=alpha-up"}


FILTERING = ("ps", "images", "network ls", "volume ls", "events", "container prune", "image prune", "network prune", "volume prune",
             "system prune")


@pytest.mark.parametrize("command", FILTERING)
def test_every_filter_that_is_offered_is_known(sampan, command):
    """And its values: the tables of completion say what the commands do."""
    def offered(typed):
        return [line.partition("\t")[0] for line in sampan.out("__complete", *command.split(), "--filter", typed).splitlines()[:-1]]

    keys = offered("")
    assert "label=" in keys, keys
    rest = {"events": ["--until", "1s"]}.get(command, ["-f"] if "prune" in command else [])
    usual = {"until=": "1h", "exited=": "0"}
    for key in keys:
        for text in offered(key) or [key + usual.get(key, "x")]:
            done = sampan.run(*command.split(), *rest, "--filter", text, code=None)
            assert "invalid" not in done.stderr and "unknown" not in done.stderr, f"{text}: {done.stderr}"
    refused = sampan.run(*command.split(), *rest, "--filter", "bogus=1", code=None)
    assert refused.returncode != 0, refused


def test_completion_neither_makes_a_store_nor_speaks_of_errors(sampan, tmp_path):
    done = sampan.run("__complete", "--root", str(tmp_path / "none"), "rm", "")
    assert done.stdout == ":\n" and done.stderr == ""
    assert not (tmp_path / "none").exists()
    sampan.run("__complete", "--no-such-flag", "rm", "", code=1)
    assert sampan.run("completion", "tcsh", code=1).stderr.startswith("sampan: no completion for \"tcsh\"")


def test_completion_is_quick(containers):
    # CPU time rather than the clock's: other tests run beside this one.
    best = min(cpu_time(containers.command("__complete", *containers.command()[1:], "rm", "")) for _ in range(5))
    assert best < 0.05, best


def cpu_time(command):
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
