"""`kill -9` at random moments: nothing that was there is lost, and nothing is left that the next command does not sweep.

SAMPAN_CRASH_ROUNDS sets the rounds of each operation; SAMPAN_CRASH_SEED repeats a run.
"""

import os
import random
import signal
import subprocess
import time

import pytest

import image as images
from conftest import wait_until

ROUNDS = int(os.environ.get("SAMPAN_CRASH_ROUNDS", "12"))
SEED = int(os.environ.get("SAMPAN_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))


@pytest.fixture
def store(engine, busybox):
    """The store with a container that must survive everything: stopped, with a file of its own."""
    engine.run("run", "--name", "keeper", busybox, "sh", "-c", "echo kept > /file")
    return engine


def kill_at_random(store, rng, words, longest):
    process = store.start(*words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(rng.random() * longest)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def check(store, busybox):
    """What must hold after every kill."""
    names = store.out("ps", "-a", "--format", "{{.Names}}").split()
    assert "keeper" in names
    assert store.out("images", "-q") != ""
    others = [name for name in names if name != "keeper"]
    if others:
        store.run("rm", "-f", *others, code=None)
    end = time.monotonic() + 10
    while True:
        store.run("ps", "-a")
        keeper = store.inspect("keeper", "{{.Id}}")
        left = [item for item in store.leaks() if keeper not in item]
        if not left:
            break
        assert time.monotonic() < end, left
        time.sleep(0.1)
    assert store.out("start", "-a", "keeper") == ""
    assert store.out("run", "--rm", busybox, "echo", "works") == "works"


def duration(function):
    start = time.monotonic()
    function()
    return time.monotonic() - start


OPERATIONS = {
    "run --rm": lambda image: ["run", "--rm", image, "true"],
    "run -d": lambda image: ["run", "-d", "-p", "80", image, "sleep", "100"],
    "run": lambda image: ["run", "-v", "data:/data", image, "sleep", "0.1"],
    "create": lambda image: ["create", image, "true"],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_while_it_starts(store, busybox, name):
    print(f"SAMPAN_CRASH_SEED={SEED}")
    rng = random.Random(SEED)
    words = OPERATIONS[name](busybox)
    longest = duration(lambda: store.run(*words)) * 1.2
    for _ in range(ROUNDS):
        kill_at_random(store, rng, words, longest)
        check(store, busybox)


@pytest.mark.parametrize("words", [["stop", "-t", "0"], ["rm", "-f"], ["kill"], ["restart", "-t", "0"]], ids=lambda words: words[0])
def test_killed_while_it_ends(store, busybox, words):
    print(f"SAMPAN_CRASH_SEED={SEED}")
    rng = random.Random(SEED)
    for _ in range(ROUNDS):
        store.run("run", "-d", "--name", "victim", "-p", "80", busybox, "sleep", "100")
        kill_at_random(store, rng, [*words, "victim"], 0.1)
        check(store, busybox)


def test_a_monitor_killed_at_any_moment(store, busybox):
    print(f"SAMPAN_CRASH_SEED={SEED}")
    rng = random.Random(SEED)
    for _ in range(ROUNDS):
        wait_until(lambda: not store.monitors(), what="the end of earlier monitors")
        process = store.start("run", "-p", "80", busybox, "sh", "-c", "while :; do echo x; done", stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        monitors = wait_until(lambda: store.monitors() or process.poll() is not None, what="the monitor")
        time.sleep(rng.random() * 0.1)
        for monitor in monitors if monitors is not True else []:
            try:
                os.kill(monitor, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(20)
        check(store, busybox)


def test_pulls_killed_with_all_their_helpers(store, registry, busybox):
    print(f"SAMPAN_CRASH_SEED={SEED}")
    rng = random.Random(SEED)
    layers = [images.busybox_layer()] + [images.LayerTar().add(f"big{i}", rng.randbytes(2 << 20)).bytes() for i in range(4)]
    registry.push("crash", "latest", images.Image(layers, config={"Cmd": ["sh"]}))
    name = f"{registry.host}/crash"
    longest = duration(lambda: store.run("pull", "-q", name)) * 1.1
    for _ in range(ROUNDS):
        store.run("rmi", "-f", name, code=None)
        process = store.start("pull", "-q", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(rng.random() * longest)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        check(store, busybox)
    store.run("pull", "-q", name)
    assert store.out("run", "--rm", name, "sh", "-c", "ls / | grep -c big") == "4"
    store.run("rmi", "-f", name)
    wait_until(lambda: not list((store.root / "trash").iterdir()) and not list((store.root / "staging").iterdir()), what="the sweep")
