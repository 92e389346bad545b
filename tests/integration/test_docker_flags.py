"""docs/compatibility.md is complete and true: its tables are compared with the help of docker and of sampan."""

import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import BIN

TABLE = pathlib.Path(__file__).resolve().parents[2] / "docs/compatibility.md"
FAMILIES = ("container", "image", "network", "volume", "system")
STATES = {"same", "differs", "missing", "ours"}
TABLE_VERSION = 28  # of docker, which the tables are about

needs_docker = pytest.mark.skipif(not shutil.which("docker"), reason="needs the docker command")


def read_table(text):
    """The states of commands, and of (command, flag)."""
    commands, flags, above = {}, {}, []
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.split(" | ")]
        spans = re.findall(r"`([^`]+)`", cells[0]) if line.startswith("| `") else []
        if not spans:
            continue
        assert len(cells) == 3 and cells[1] in STATES, line
        assert cells[1] in ("same", "ours") or cells[2].rstrip(" |"), f"no note: {line}"
        if not spans[0].startswith("-"):
            above = spans
            for command in spans:
                commands[command] = cells[1]
            continue
        for flag in spans:
            for command in above:
                assert (command, flag) not in flags, f"twice: {command} {flag}"
                flags[command, flag] = cells[1]
    return commands, flags


def help_of(program, *words):
    done = subprocess.run([program, *words, "--help"], capture_output=True, text=True)
    # docker answers the help of the family where it does not know the command.
    return done.stdout if done.returncode == 0 else None


def flags_of(text):
    return set(re.findall(r"^\s+(?:-\w, )?(--[a-z0-9-]+)", text, re.M)) - {"--help"}


def docker_commands():
    for family in FAMILIES:
        text = help_of("docker", family)
        for verb in re.findall(r"^  ([a-z]+)\*? ", text[text.index("Commands:"):], re.M):
            yield f"{family} {verb}"


def sampan_commands():
    """Those of the families, as completion offers them."""
    for family in FAMILIES:
        done = subprocess.run([BIN / "sampan", "__complete", family, ""], capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines()[:-1]:
            yield f"{family} {line.split(chr(9))[0]}"


@pytest.fixture(scope="module")
def table():
    return read_table(TABLE.read_text())


@pytest.fixture(scope="module")
def docker():
    """docker's commands and their flags."""
    return {command: flags_of(help_of("docker", *command.split())) for command in docker_commands()}


@pytest.fixture(scope="module")
def ours():
    return {command: flags_of(help_of(BIN / "sampan", *command.split())) for command in sampan_commands()}


def docker_version():
    text = subprocess.run(["docker", "--version"], capture_output=True, text=True).stdout
    return int(re.search(r"version (\d+)", text)[1])


@needs_docker
def test_every_command_and_flag_of_dockers_is_in_the_tables(table, docker):
    commands, flags = table
    assert len(docker) > 50
    for command, known in docker.items():
        assert commands.get(command) in ("same", "differs", "missing"), command
        if commands[command] == "missing":
            continue
        forgotten = {flag for flag in known if flags.get((command, flag)) not in ("same", "differs", "missing")}
        assert not forgotten, f"{command}: {sorted(forgotten)}"


def test_what_the_tables_say_of_us_is_true(table, ours):
    commands, flags = table
    for command, state in commands.items():
        known = help_of(BIN / "sampan", *command.split())
        assert (known is None) == (state == "missing"), f"{command}: {state}"
    for (command, flag), state in flags.items():
        known = flags_of(help_of(BIN / "sampan", *command.split()))
        assert (flag in known) == (state != "missing"), f"{command} {flag}: {state}"
    for command, known in ours.items():
        assert command in commands, f"{command} is not in the tables"
        forgotten = {flag for flag in known if (command, flag) not in flags}
        assert not forgotten, f"{command}: {sorted(forgotten)}"


@needs_docker
def test_the_tables_speak_of_nothing_that_nobody_has(table, docker):
    commands, flags = table
    if docker_version() < TABLE_VERSION:
        return  # an older one lacks what the tables know
    for command, state in commands.items():
        if command.split()[0] in FAMILIES and " " in command:
            assert (command in docker) == (state != "ours"), f"{command}: {state}"
    for (command, flag), state in flags.items():
        if command in docker:
            assert (flag in docker[command]) == (state != "ours"), f"{command} {flag}: {state}"


@needs_docker
def test_dockers_other_names_are_known(docker, table):
    """"Aliases:" in docker's help."""
    for command in docker:
        if table[0][command] == "missing":
            continue
        aliases = re.search(r"Aliases:\n  (.*)", help_of("docker", *command.split()))
        for alias in aliases[1].split(", ") if aliases else []:
            words = alias.split()[1:]
            assert help_of(BIN / "sampan", *words) is not None, " ".join(words)


def test_the_tables_are_read_right(table):
    commands, flags = table
    assert commands["container run"] == "same" and commands["image build"] == "missing" and commands["system check"] == "ours"
    assert flags["run", "--use-api-socket"] == "missing" and flags["container create", "--cpus"] == "same"
    assert ("container run", "--explain") in flags and ("container create", "--explain") not in flags
    assert ("volume ls", "--cluster") in flags and ("run", "--cluster") not in flags
    with pytest.raises(AssertionError):
        read_table("| `x` | same | |\n| `--a` | same | |\n| `--a` | missing | why |")
    with pytest.raises(AssertionError):
        read_table("| `x` | missing | |")
