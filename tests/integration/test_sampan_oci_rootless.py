"""sampan-oci as an ordinary user: a single mapped id, no cgroups, state in XDG_RUNTIME_DIR."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from oci_bundle import OCI, make_rootfs

NOBODY = 65534


@pytest.fixture
def user(tmp_path):
    if os.getuid() != 0:
        pytest.skip("becomes another user")
    home = tmp_path / "home"
    make_rootfs(home / "bundle/rootfs")
    (home / "run").mkdir()
    program = shutil.copy(OCI, home / "sampan-oci")
    for folder in [home, *home.rglob("*")]:
        os.chown(folder, NOBODY, NOBODY, follow_symlinks=False)
    for folder in [tmp_path, *tmp_path.parents]:  # the way to it
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)

    def run(*words, check=True, leaves=False):
        if leaves:  # the container has our streams: their end would not come
            subprocess.run([program, *words], cwd=home / "bundle", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=check, user=NOBODY, group=NOBODY, extra_groups=[],
                           env={"XDG_RUNTIME_DIR": str(home / "run"), "PATH": os.environ["PATH"]}, timeout=60)
            return None
        return subprocess.run([program, *words], cwd=home / "bundle", text=True, capture_output=True, check=check, user=NOBODY, group=NOBODY,
                              extra_groups=[], env={"XDG_RUNTIME_DIR": str(home / "run"), "PATH": os.environ["PATH"]}, timeout=60)

    run.home = home
    return run


def write_spec(user, *args):
    if not (user.home / "bundle/config.json").exists():
        user("spec", "--rootless")
    path = user.home / "bundle/config.json"
    spec = json.loads(path.read_text())
    spec["process"]["terminal"] = False
    spec["process"]["args"] = list(args)
    path.write_text(json.dumps(spec))


def test_run(user):
    write_spec(user, "sh", "-c", "id -u; cat /proc/self/uid_map; cat /proc/self/setgroups")
    words = user("run", "one").stdout.split()
    assert words == ["0", "0", str(NOBODY), "1", "deny"]
    assert json.loads(user("list", "-f", "json").stdout or "null") in (None, [])


def test_create_start_exec_kill_delete(user):
    write_spec(user, "sleep", "1000")
    user("create", "one", leaves=True)
    assert (user.home / "run/sampan-oci/one").is_dir()
    user("start", "one")
    assert json.loads(user("state", "one").stdout)["status"] == "running"
    assert user("exec", "one", "id", "-u").stdout == "0\n"
    user("kill", "one", "KILL")
    user("delete", "--force", "one")
    assert not (user.home / "run/sampan-oci/one").exists()


def test_limits_are_refused_by_name(user):
    write_spec(user, "true")
    path = user.home / "bundle/config.json"
    spec = json.loads(path.read_text())
    spec["linux"]["resources"] = {"memory": {"limit": 64 << 20}}
    path.write_text(json.dumps(spec))
    failed = user("run", "one", check=False)
    assert failed.returncode == 1
    assert "linux.resources" in failed.stderr


def processes_with(word):
    """Whose arguments have that word, zombies apart."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("command", ["create", "run"])
def test_killed_at_any_moment_without_cgroups_or_a_pid_namespace(user, command):
    """Nothing but its record and its parent's death find such a process."""
    write_spec(user, "sleep", "98712")
    path = user.home / "bundle/config.json"
    spec = json.loads(path.read_text())
    spec["linux"]["namespaces"] = [each for each in spec["linux"]["namespaces"] if each["type"] != "pid"]
    # A procfs of its own takes a pid namespace of its own.
    spec["mounts"] = [each if each["destination"] != "/proc" else
                      {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]} for each in spec["mounts"]]
    path.write_text(json.dumps(spec))
    lived = 0
    for milliseconds in [*range(0, 40, 2), 60, 100, 300]:
        process = subprocess.Popen([user.home / "sampan-oci", command, "one"], cwd=user.home / "bundle", stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=NOBODY, group=NOBODY, extra_groups=[],
                                   env={"XDG_RUNTIME_DIR": str(user.home / "run"), "PATH": os.environ["PATH"]})
        time.sleep(milliseconds / 1000)
        process.kill()
        process.wait()
        lived += (user.home / "run/sampan-oci/one/state.json").exists()
        user("delete", "--force", "one")
        end = time.monotonic() + 10
        while processes_with("98712") or processes_with("one"):  # a child that sees its parent's end
            assert time.monotonic() < end, (milliseconds, processes_with("98712"), processes_with("one"))
            time.sleep(0.01)
        assert not (user.home / "run/sampan-oci/one").exists()
    assert lived > 0, "none got so far"
