"""sampan-oci killed before each of its system calls, and at random moments: `delete --force` finds all that is left.

SAMPAN_CRASH_ROUNDS sets how many moments of a command are tried, spread over it ("all": every one); SAMPAN_CRASH_SEED repeats a run.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from kill_at_call import libc, run_until_call  # noqa: E402
from oci_bundle import make_rootfs, runtime, wait_until  # noqa: E402, F401

ROUNDS = os.environ.get("SAMPAN_CRASH_ROUNDS", "12")
SEED = int(os.environ.get("SAMPAN_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
MARK = f"SAMPAN_TEST_MARK={uuid.uuid4()}"
PR_SET_CHILD_SUBREAPER = 36
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def marked_processes():
    """Everything that descends from a command of ours carries its environment, or what config.json gives it."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and MARK.encode() in (entry / "environ").read_bytes():
                found.append((entry.name, (entry / "comm").read_text().strip()))
        except OSError:
            pass  # it has ended
    return found


def mount_points():
    return sorted(line.split()[4] for line in open("/proc/self/mountinfo"))


@pytest.fixture(scope="module", autouse=True)
def _reaper():
    """Orphans are ours to reap, in this module only: elsewhere containers would wait for somebody who does not."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Victim:
    """A container of one shape, whose commands are killed."""

    def __init__(self, runtime, shape):
        self.runtime, self.shape, self.count = runtime, shape, 0
        self.environment = {**os.environ, "SAMPAN_TEST_MARK": MARK.split("=")[1]}
        self.before = mount_points()
        self.output = str(runtime.folder / "output")
        # Not below pytest's own folder, which the root of a user namespace may not enter.
        self.home = tempfile.TemporaryDirectory(prefix="sampan-crash-", dir="/tmp")
        pathlib.Path(self.home.name).chmod(0o755)
        self.rootfs = pathlib.Path(self.home.name) / "rootfs"
        make_rootfs(self.rootfs)

    def prepare(self, state):
        """A container that does not exist yet, or is created, running, paused or stopped."""
        self.count += 1
        self.id = self.runtime.write(f"c{self.count}", "/bin/sh", "-c", "sleep 100 & sleep 100", change=self.change)
        self.runtime.ids.remove(self.id)
        run = lambda *words: self.runtime.run(*words, check=True)  # noqa: E731
        if state in ("created", "running", "paused", "stopped"):
            run("create", "-b", self.runtime.bundle, self.id)
        if state in ("running", "paused", "stopped"):
            run("start", self.id)
        if state == "paused":
            run("pause", self.id)
        if state == "stopped":
            run("kill", self.id, "KILL")
            wait_until(lambda: self.runtime.status(self.id) == "stopped")

    def change(self, spec):
        spec["process"]["env"].append(MARK)
        spec["root"]["path"] = str(self.rootfs)
        spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                    "syscalls": [{"names": ["kexec_load"], "action": "SCMP_ACT_ERRNO", "errnoRet": self.count}]}
        SHAPES[self.shape](spec)

    def command(self, words):
        return self.runtime.command(*[{"BUNDLE": self.runtime.bundle, "ID": self.id}.get(word, word) for word in words])

    def left(self):
        """What is there although the container was deleted."""
        found = [f"process {pid} ({name})" for pid, name in marked_processes()]
        found += [f"mount {point}" for point in mount_points() if point not in self.before]
        found += [f"cgroup {path}" for path in [*CGROUPS.glob(f"*{self.runtime.cgroup}/*"), *CGROUPS.glob(f"*/{self.runtime.cgroup}/*")]
                  if path.is_dir()]
        if self.runtime.root.exists():
            found += [f"state {path}" for path in self.runtime.root.iterdir() if path.name != "seccomp cache"]
            found += [f"file {path}" for path in self.runtime.root.glob("seccomp cache/*tmp*")]
        return found

    def delete(self):
        """Orphans are ours to reap: a container's first process does not end before that has happened to all of its namespace."""
        process = subprocess.Popen(self.runtime.command("delete", "--force", self.id), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=open(self.output, "a"))
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)).si_pid != process.pid:
            os.waitpid(ended.si_pid, 0)
        return process.wait()

    def check(self, moment):
        assert self.delete() == 0, (moment, pathlib.Path(self.output).read_text())
        end = time.monotonic() + 5  # what was orphaned half-way ends by itself
        while left := self.left():
            assert time.monotonic() < end, (moment, left)
            time.sleep(0.02)


def join_the_host(spec):
    spec["linux"]["namespaces"] = [item for item in spec["linux"]["namespaces"] if item["type"] != "pid"]


def map_users(spec):
    spec["linux"]["namespaces"].append({"type": "user"})
    for kind in ["uidMappings", "gidMappings"]:
        spec["linux"][kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] not in ("cgroup", "mqueue", "sysfs")]


def add_hooks(spec):
    sleep = {"path": "/bin/sh", "args": ["sh", "-c", "sleep 0.01"], "env": [MARK]}
    spec["hooks"] = {name: [sleep] for name in ["prestart", "createRuntime", "poststart", "poststop"]}


def limit(spec):
    spec["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}, "cpu": {"shares": 512}}


SHAPES = {"plain": lambda spec: None, "host's processes": join_the_host, "user namespace": map_users, "hooks": add_hooks, "limits": limit}

COMMANDS = {
    "create": ("absent", ["create", "-b", "BUNDLE", "ID"]),
    "run": ("absent", ["run", "--detach", "-b", "BUNDLE", "ID"]),
    "start": ("created", ["start", "ID"]),
    "exec": ("running", ["exec", "--detach", "ID", "/bin/sh", "-c", "sleep 50 & sleep 50"]),
    "kill": ("running", ["kill", "--all", "ID", "KILL"]),
    "pause": ("running", ["pause", "ID"]),
    "resume": ("paused", ["resume", "ID"]),
    "update": ("running", ["update", "--memory", "100000000", "--cpu-share", "77", "--pids-limit", "99", "ID"]),
    "delete": ("stopped", ["delete", "ID"]),
    "delete --force": ("running", ["delete", "--force", "ID"]),
    "delete --force paused": ("paused", ["delete", "--force", "ID"]),
}
IN_EVERY_SHAPE = ["create", "run", "start", "exec", "delete --force"]
CASES = [("plain", name) for name in COMMANDS] + [(shape, name) for shape in SHAPES if shape != "plain" for name in IN_EVERY_SHAPE]


def count_calls(victim, state, words):
    """How many system calls the command makes when nobody kills it."""
    low, high = 1, 64
    def ends_by_itself(number):
        victim.prepare(state)
        code = run_until_call(victim.command(words), number, victim.output, victim.environment)
        assert code in (0, None), pathlib.Path(victim.output).read_text()
        victim.check(f"before call {number}")
        return code == 0
    while not ends_by_itself(high):
        low, high = high, high * 2
    while high - low > 8:
        middle = (low + high) // 2
        low, high = (low, middle) if ends_by_itself(middle) else (middle, high)
    return high


@pytest.mark.parametrize("shape,name", CASES, ids=[f"{shape}: {name}" for shape, name in CASES])
def test_killed_before_each_system_call(runtime, shape, name):  # noqa: F811
    victim = Victim(runtime, shape)
    state, words = COMMANDS[name]
    total = count_calls(victim, state, words)
    print(f"SAMPAN_CRASH_SEED={SEED}, {total} system calls")
    numbers = range(1, total + 1)
    if ROUNDS != "all":
        numbers = sorted(random.Random(f"{SEED}{shape}{name}").sample(numbers, min(int(ROUNDS), total)))
    for number in numbers:
        victim.prepare(state)
        run_until_call(victim.command(words), number, victim.output, victim.environment)
        victim.check(f"{shape}: {name}, killed before call {number}")


AT_RANDOM = [(shape, name) for shape in SHAPES for name in ("create", "start", "exec", "delete")] + [
    ("plain", "delete --force"), ("plain", "delete --force paused"), ("hooks", "run"), ("host's processes", "delete --force")]


def how_long(victim, state, words):
    """What the command takes when nobody kills it."""
    victim.prepare(state)
    begin = time.monotonic()
    subprocess.run(victim.command(words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=victim.environment, check=True)
    took = time.monotonic() - begin
    victim.check("not killed")
    return took


@pytest.mark.parametrize("shape,name", AT_RANDOM, ids=[f"{shape}: {name}" for shape, name in AT_RANDOM])
def test_killed_at_random(runtime, shape, name):  # noqa: F811
    """Where the moments differ: the children of the command are not slowed down, and some die with it."""
    print(f"SAMPAN_CRASH_SEED={SEED}")
    rng = random.Random(f"{SEED}{shape}{name}")
    victim = Victim(runtime, shape)
    state, words = COMMANDS[name]
    longest = how_long(victim, state, words) * 1.2
    for round_number in range(60 if ROUNDS == "all" else max(int(ROUNDS) // 2, 1)):
        victim.prepare(state)
        process = subprocess.Popen(victim.command(words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True, env=victim.environment)
        time.sleep(rng.random() * longest)
        (os.killpg if round_number % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        victim.check(f"{shape}: {name}, round {round_number}")
