"""Two commands at once on one thing: as if one had come after the other, and neither waits for what the other began."""

import socket
import subprocess
import time

import pytest

from conftest import wait_until

ROUNDS = 10


def at_once(engine, *commands, seconds=15):
    """Exit codes of commands that are started together and must end in time."""
    running = [engine.start(*words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for words in commands]
    end = time.monotonic() + seconds
    codes = []
    try:
        for process, words in zip(running, commands):
            try:
                codes.append(process.wait(max(0.1, end - time.monotonic())))
            except subprocess.TimeoutExpired:
                pytest.fail(f"'{' '.join(words)}' did not end within {seconds} s")
    finally:
        for process in running:
            process.kill()
            process.wait()
    return codes


def bridges():
    return {name for _, name in socket.if_nameindex() if name.startswith("br-")}


@pytest.mark.parametrize("other", [("start", "box"), ("restart", "-t", "0", "box"), ("cp", "box:/bin/sh", "-"), ("network", "connect", "side", "box")],
                         ids=lambda words: words[0])
def test_a_start_and_another_command(engine, busybox, other):
    engine.run("network", "create", "side", code=None)
    engine.run("create", "--name", "box", busybox, "sleep", "1000")
    for _ in range(ROUNDS):
        codes = at_once(engine, ("start", "box"), other)
        assert codes[0] == 0 and (codes[1] == 0 or other[0] == "network")
        wait_until(lambda: engine.inspect("box", "{{.State.Status}}") == "running", what="the start")
        engine.run("stop", "-t", "0", "box")
        engine.run("network", "disconnect", "side", "box", code=None)


def test_a_network_removed_twice(engine):
    for _ in range(ROUNDS):
        engine.run("network", "create", "twice")
        assert sorted(at_once(engine, *[("network", "rm", "twice")] * 3)) == [0, 1, 1]
        assert bridges() == set()


def test_a_network_removed_while_a_container_joins_it(engine, busybox):
    for _ in range(ROUNDS):
        engine.run("network", "create", "brief")
        removed, started = at_once(engine, ("network", "rm", "brief"), ("run", "-d", "--name", "box", "--network", "brief", busybox, "sleep", "1000"))
        assert removed == 0 or started == 0
        if started == 0:
            assert "1 packets received" in engine.out("exec", "box", "ping", "-c", "1", "-W", "2", gateway_of(engine, "brief"))
        engine.run("rm", "-f", "box", code=None)
        engine.run("network", "rm", "brief", code=None)
        assert bridges() == set()


def gateway_of(engine, network):
    return engine.out("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)


@pytest.fixture(autouse=True)
def _no_networks(engine):
    yield
    engine.remove_all()
    engine.run("network", "prune", "-f")
