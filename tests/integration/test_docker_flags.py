"""No flag of docker's is forgotten: each is accepted, or docs/compatibility.md says that and why it is missing."""

import pathlib
import re
import shutil
import subprocess

import pytest

TABLE = pathlib.Path(__file__).resolve().parents[2] / "docs/compatibility.md"


def flags_of(text):
    return set(re.findall(r"^\s+(?:-\w, )?(--[a-z0-9-]+)", text, re.M))


def missing_flags(command):
    """Flags in rows that say "missing", with the commands that these rows or their section name."""
    found = set()
    for line in TABLE.read_text().split("\n"):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 5 or cells[2] != "missing":
            continue
        names = re.findall(r"`([a-z ]*?) ?(--[a-z0-9-]+)`", cells[1])
        owner = names[0][0] if names else ""
        for own, flag in names:
            if (own or owner) in ("", command, "container " + command):
                found.add(flag)
    return found


@pytest.mark.skipif(not shutil.which("docker"), reason="needs the docker command")
@pytest.mark.parametrize("command", ["run", "create", "volume create", "volume ls", "volume inspect", "volume rm", "volume prune"])
def test_every_flag_of_dockers_is_known(sampan, command):
    theirs = flags_of(subprocess.run(["docker", *command.split(), "--help"], capture_output=True, text=True, check=True).stdout)
    assert "--help" in theirs or len(theirs) > 0
    ours = flags_of(sampan.run(*command.split(), "--help").stdout) | {"--help"}
    forgotten = theirs - ours - missing_flags(command)
    assert not forgotten, sorted(forgotten)


def test_the_table_is_read_right():
    assert "--use-api-socket" in missing_flags("run") and "--cpus" not in missing_flags("run")
    assert "--cluster" in missing_flags("volume ls") and "--cluster" not in missing_flags("run")
