"""Random stacks of layers: what is seen of them is compared, name by name, with the model, and the model with podman and umoci.

SAMPAN_ORACLE_STACKS sets how many (300), SAMPAN_ORACLE_SEED repeats a run, SAMPAN_ORACLE_ONLY=INDEX shows one stack.
"""

import json
import os
import random
import re
import subprocess
import sys
import time

import pytest

import theirs
import view
from conftest import SOURCE
from corpus import Corpus
from model import flatten
from stacks import Generator

STACKS = int(os.environ.get("SAMPAN_ORACLE_STACKS", "300"))
SEED = int(os.environ.get("SAMPAN_ORACLE_SEED", str(random.SystemRandom().randrange(1 << 32))))
ONLY = os.environ.get("SAMPAN_ORACLE_ONLY")
IN_CONTAINERS = 12  # every twelfth stack is looked at from a container as well
PLAIN = 6  # every sixth has only what other engines accept


@pytest.fixture(scope="module")
def stacks():
    print(f"SAMPAN_ORACLE_SEED={SEED}")
    indices = [int(ONLY)] if ONLY else range(STACKS)
    return {f"s{index}": Generator(SEED, index, plain=index % PLAIN == 0).stack() for index in indices}


@pytest.fixture(scope="module")
def corpus(stacks, tmp_path_factory):
    corpus = Corpus(tmp_path_factory.mktemp("corpus"))
    for name, stack in stacks.items():
        corpus.add(name, stack)
    corpus.finish()
    return corpus


@pytest.fixture(scope="module")
def registry_host(corpus):
    server = subprocess.Popen([sys.executable, str(SOURCE / "tests/fakes/registry.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ports = json.loads(server.stdout.readline())
    server.stdin.write(json.dumps({"set": {"directory": str(corpus.folder)}}) + "\n")
    server.stdin.flush()
    server.stdout.readline()
    yield f"127.0.0.1:{ports['main']}"
    server.stdin.close()
    server.wait(20)


@pytest.fixture(scope="module")
def oracle_store(engine, registry_host, stacks):
    """Two pulls at a time, as two users would."""
    names = [f"{registry_host}/{name}" for name in stacks]
    while names:
        pulls = [(name, engine.start("pull", "-q", name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) for name in names[:2]]
        del names[:2]
        for name, process in pulls:
            error = process.communicate(timeout=60)[1]
            short = name.rpartition("/")[2]
            assert process.returncode == 0, f"{view.story(stacks[short])}\nSAMPAN_ORACLE_SEED={SEED} SAMPAN_ORACLE_ONLY={short[1:]}\n{error}"
    return engine


def judge(name, stack, shown, where):
    found = view.differences(flatten(stack.root), shown)
    text = "\n".join(f"  {path!r}: {field}: {wanted!r}, but {where} shows {seen!r}" for path, field, wanted, seen in found)
    assert not found, f"{view.story(stack)}\nSAMPAN_ORACLE_SEED={SEED} SAMPAN_ORACLE_ONLY={name[1:]}\n{text}"


def planned_layers(store, image):
    """Of the overlay that `run` would mount, topmost first."""
    plan = store.out("run", "--explain", "--network", "none", image)
    step = re.search(r"mount overlay on / \((.*)\)", plan).group(1)
    assert step.endswith("index=off,metacopy=off,redirect_dir=nofollow"), step
    return [word.removeprefix("lowerdir+=").encode() for word in step.split(",") if word.startswith("lowerdir+=")]


def test_the_planned_overlay_shows_what_the_specification_says(oracle_store, registry_host, stacks, tmp_path):
    target, nothing = tmp_path / "view", tmp_path / "nothing"
    target.mkdir()
    nothing.mkdir()
    for name, stack in stacks.items():
        lower = planned_layers(oracle_store, f"{registry_host}/{name}")
        view.mount_overlay([*lower, os.fsencode(nothing)], os.fsencode(target))
        try:
            judge(name, stack, view.look(os.fsencode(target)), "the overlay")
        finally:
            view.unmount(os.fsencode(target))


# What the engine puts into every container; no stack has these names.
ENGINES_OWN = (b"proc", b"sys", b"dev", b"etc", b".dockerenv")


def test_containers_see_it_too(oracle_store, registry_host, stacks):
    for name, stack in list(stacks.items())[::IN_CONTAINERS]:
        container = oracle_store.out("run", "-d", "--network", "none", "-v", "/bin/busybox:/dev/busybox", "--entrypoint", "/dev/busybox",
                                     f"{registry_host}/{name}", "sleep", "60")
        try:
            pid = oracle_store.inspect(container, "{{.State.Pid}}")
            shown = view.look(f"/proc/{pid}/root/.".encode(), skip=ENGINES_OWN)
            # Mount points were made in it.
            shown[b""]["mtime"] = stack.root.mtime
            judge(name, stack, shown, "the container")
        finally:
            oracle_store.run("rm", "-f", container)


@pytest.mark.parametrize("make, every", [(theirs.Podman, 2 * PLAIN), (theirs.Umoci, PLAIN)], ids=["podman", "umoci"])
def test_other_engines_agree_but_for_what_is_known(make, every, corpus, stacks):
    """The model against engines written by others: a rule that they follow and the model does not is found here."""
    begin = time.time_ns() - 10_000_000_000
    engine, explained, compared = make(corpus.folder), {}, 0
    try:
        for name, stack in stacks.items():
            if int(name[1:]) % every:
                continue
            shown, model = engine.look(name), flatten(stack.root)
            if isinstance(shown, str):
                known = [note for who, words, note in theirs.REFUSALS if who == engine.name and words in shown and note in stack.notes]
                assert known, f"{view.story(stack)}\nSAMPAN_ORACLE_SEED={SEED} SAMPAN_ORACLE_ONLY={name[1:]}\n{shown}"
                explained["refused"] = explained.get("refused", 0) + 1
                continue
            compared += 1
            for difference in view.differences(model, shown):
                rules = theirs.explain(engine.name, model, difference, begin)
                assert rules, f"{view.story(stack)}\nSAMPAN_ORACLE_SEED={SEED} SAMPAN_ORACLE_ONLY={name[1:]}\n{difference}"
                explained[rules[0]] = explained.get(rules[0], 0) + 1
    finally:
        engine.close()
    print(f"{engine.name}: {compared} stacks compared", *(f"  {count:5} {what}" for what, count in sorted(explained.items())), sep="\n")
    assert compared > 0
