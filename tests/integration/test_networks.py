"""Networks of the user's: made, listed, used, isolated from each other, joined and left by containers that run."""

import json
import subprocess

import pytest

from conftest import free_port, wait_until
from test_network import PAGE, fetch, other_host, serve


@pytest.fixture(autouse=True)
def _clean_networks(engine):
    yield
    engine.remove_all()
    engine.run("network", "prune", "-f")


def interfaces(engine, name):
    return engine.out("exec", name, "ip", "-o", "-4", "addr")


def reaches(engine, name, address, port=80):
    done = engine.run("exec", name, "timeout", "2", "wget", "-qO-", f"http://{address}:{port}/", code=None)
    return done.stdout.strip() == PAGE


def address_on(engine, container, network):
    return engine.inspect(container, f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}')


def test_create_list_inspect_remove(engine):
    identity = engine.out("network", "create", "--subnet", "10.50.0.0/24", "--gateway", "10.50.0.254", "--ip-range", "10.50.0.64/26",
                          "--aux-address", "printer=10.50.0.70", "--label", "stage=test", "-o", "com.docker.network.bridge.name=brtest0",
                          "-o", "com.docker.network.driver.mtu=1400", "blue")
    assert len(identity) == 64
    assert engine.out("network", "ls", "--format", "{{.Name}}").split() == ["blue", "bridge", "host", "none"]
    assert engine.out("network", "ls", "-q", "--filter", "label=stage") == identity[:12]
    assert engine.out("network", "ls", "--filter", "driver=null", "--format", "{{.Name}}") == "none"
    assert engine.out("network", "ls", "--filter", "dangling=true", "--format", "{{.Name}}") == "blue"
    found = json.loads(engine.out("network", "inspect", identity[:8]))[0]
    assert found["Name"] == "blue" and found["Driver"] == "bridge" and found["Labels"] == {"stage": "test"}
    assert found["IPAM"]["Config"] == [{"Subnet": "10.50.0.0/24", "IPRange": "10.50.0.64/26", "Gateway": "10.50.0.254",
                                        "AuxiliaryAddresses": {"printer": "10.50.0.70"}}]
    link = subprocess.run(["ip", "-o", "addr", "show", "brtest0"], capture_output=True, text=True).stdout
    assert "10.50.0.254/24" in link
    assert "mtu 1400" in subprocess.run(["ip", "link", "show", "brtest0"], capture_output=True, text=True).stdout
    assert "already exists" in engine.run("network", "create", "blue", code=1).stderr
    assert "overlaps" in engine.run("network", "create", "--subnet", "10.50.0.128/25", "red", code=1).stderr
    assert "pre-defined" in engine.run("network", "rm", "bridge", code=1).stderr
    assert engine.out("network", "rm", "blue") == "blue"
    assert subprocess.run(["ip", "link", "show", "brtest0"], capture_output=True).returncode != 0
    assert "not found" in engine.run("network", "rm", "blue", code=1).stderr
    engine.run("network", "rm", "-f", "blue")


def test_a_container_gets_what_the_network_gives(engine, busybox):
    engine.run("network", "create", "--subnet", "10.51.0.0/24", "--ip-range", "10.51.0.128/25", "--ipv6", "--subnet", "fd51::/64", "green")
    engine.run("run", "-d", "--name", "one", "--network", "green", busybox, "sleep", "100")
    engine.run("run", "-d", "--name", "two", "--network", "green", "--ip", "10.51.0.9", "--ip6", "fd51::99",
               "--mac-address", "92:d0:c6:0a:29:33", busybox, "sleep", "100")
    assert address_on(engine, "one", "green") == "10.51.0.128"
    assert address_on(engine, "two", "green") == "10.51.0.9"
    out = engine.out("exec", "two", "ip", "addr", "show", "eth0")
    assert "92:d0:c6:0a:29:33" in out and "fd51::99/64" in out and "10.51.0.9/24" in out
    assert "1 packets received" in engine.out("exec", "one", "ping", "-c", "1", "-W", "2", "10.51.0.9")
    assert "1 packets received" in engine.out("exec", "one", "ping", "-6", "-c", "1", "-W", "2", "fd51::99")
    assert "Address already in use" in engine.run("run", "--network", "green", "--ip", "10.51.0.9", busybox, "true", code=125).stderr
    users = json.loads(engine.out("network", "inspect", "green"))[0]["Containers"]
    assert sorted(user["Name"] for user in users.values()) == ["one", "two"]
    assert "active endpoints" in engine.run("network", "rm", "green", code=1).stderr
    engine.run("rm", "-f", "one", "two")
    engine.run("network", "rm", "green")
    assert "not found" in engine.run("run", "--rm", "--network", "green", busybox, "true", code=125).stderr


def test_networks_are_isolated_and_a_container_may_be_on_several(engine, busybox):
    for name, subnet in (("left", "10.52.0.0/24"), ("right", "10.53.0.0/24"), ("inner", "10.54.0.0/24")):
        engine.run("network", "create", "--subnet", subnet, *(["--internal"] if name == "inner" else []), name)
    serve(engine, busybox, "server", "--network", "left")
    there = address_on(engine, "server", "left")
    engine.run("run", "-d", "--name", "friend", "--network", "left", busybox, "sleep", "100")
    engine.run("run", "-d", "--name", "stranger", "--network", "right", busybox, "sleep", "100")
    engine.run("run", "-d", "--name", "both", "--network", "right", "--network", "left:ip=10.52.0.77", busybox, "sleep", "100")
    engine.run("run", "-d", "--name", "hermit", "--network", "inner", busybox, "sleep", "100")
    assert reaches(engine, "friend", there) and not reaches(engine, "stranger", there)
    assert reaches(engine, "both", there) and "10.52.0.77" in interfaces(engine, "both")
    assert "default via 10.53.0.1" in engine.out("exec", "both", "ip", "route")
    assert "default" not in engine.out("exec", "hermit", "ip", "route")
    assert engine.run("exec", "hermit", "ip", "route", "add", "default", "via", "10.54.0.1", code=None).returncode != 0

    with other_host():
        ping = lambda name: engine.run("exec", name, "ping", "-c", "1", "-W", "1", "198.51.100.2", code=None).returncode == 0
        assert ping("stranger") and not ping("hermit")


def test_connect_and_disconnect_live(engine, busybox):
    engine.run("network", "create", "--subnet", "10.55.0.0/24", "aside")
    serve(engine, busybox, "server", "--network", "aside")
    there = address_on(engine, "server", "aside")
    engine.run("run", "-d", "--name", "guest", busybox, "sleep", "100")
    assert not reaches(engine, "guest", there)
    engine.run("network", "connect", "--ip", "10.55.0.40", "aside", "guest")
    assert "10.55.0.40" in interfaces(engine, "guest") and reaches(engine, "guest", there)
    assert "already exists in network" in engine.run("network", "connect", "aside", "guest", code=1).stderr
    engine.run("network", "disconnect", "aside", "guest")
    assert "10.55.0.40" not in interfaces(engine, "guest") and not reaches(engine, "guest", there)
    assert "not connected" in engine.run("network", "disconnect", "aside", "guest", code=1).stderr
    # From its network of the beginning to another: the default route follows.
    engine.run("network", "connect", "aside", "guest")
    engine.run("network", "disconnect", "bridge", "guest")
    assert "default via 10.55.0.1" in engine.out("exec", "guest", "ip", "route")
    engine.run("restart", "-t", "0", "guest")
    assert "10.55.0." in interfaces(engine, "guest") and engine.inspect("guest", "{{.HostConfig.NetworkMode}}") == "aside"
    engine.run("create", "--name", "late", busybox, "sleep", "100")
    engine.run("network", "connect", "aside", "late")
    engine.run("start", "late")
    assert "eth1" in interfaces(engine, "late")


def test_network_of_another_container(engine, busybox):
    serve(engine, busybox, "server")
    assert engine.out("run", "--rm", "--network", "container:server", busybox, "wget", "-qO-", "http://127.0.0.1/") == PAGE
    engine.run("stop", "-t", "0", "server")
    assert "non running container" in engine.run("run", "--rm", "--network", "container:server", busybox, "true", code=125).stderr
    assert "No such container" in engine.run("run", "--rm", "--network", "container:nobody", busybox, "true", code=125).stderr


@pytest.mark.parametrize("words, message", [
    (["--link-local-ip", "169.254.1.2"], "link-local"), (["--network", "none", "--ip", "10.0.0.1"], "conflicting options"),
    (["--network", "host", "--network", "bridge"], "conflicting options"), (["--network", "nowhere"], "network nowhere not found"),
    (["--ip", "10.208.0.77"], "user defined networks only"), (["--network", "bridge:nonsense=1"], "invalid field key nonsense"),
    (["--mac-address", "01:00:5e:00:00:01"], "invalid MAC address")])
def test_what_makes_no_sense_is_refused(engine, busybox, words, message):
    assert message in engine.run("run", "--rm", *words, busybox, "true", code=125).stderr


def test_prune_takes_what_nobody_uses(engine, busybox):
    for name in ("old", "kept", "used"):
        engine.run("network", "create", *(["--label", "keep"] if name == "kept" else []), name)
    engine.run("create", "--network", "used", busybox, "true")
    assert engine.out("network", "prune", "-f", "--filter", "label!=keep").split() == ["Deleted", "Networks:", "old"]
    assert engine.out("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").split() == ["kept", "used"]


def test_containers_that_must_not_talk_to_each_other(engine, busybox):
    engine.run("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "quiet")
    serve(engine, busybox, "server", "--network", "quiet")
    there = address_on(engine, "server", "quiet")
    engine.run("run", "-d", "--name", "other", "--network", "quiet", busybox, "sleep", "100")
    assert not reaches(engine, "other", there)
    assert fetch(there, 80) == PAGE, "the host still does"


def test_all_networks_come_back_after_a_flush(engine, busybox):
    """Somebody flushes the host's rules: published ports of every network, isolation and masquerading are put back."""
    engine.run("network", "create", "--subnet", "10.56.0.0/24", "first")
    engine.run("network", "create", "--subnet", "10.57.0.0/24", "second")
    ports = [free_port(), free_port()]
    serve(engine, busybox, "one", "--network", "first", "-p", f"{ports[0]}:80")
    serve(engine, busybox, "two", "--network", "second", "-p", f"{ports[1]}:80")
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    engine.run("ps")
    gateway = "10.56.0.1"
    assert [fetch(gateway, port) for port in ports] == [PAGE, PAGE]
    assert not reaches(engine, "one", address_on(engine, "two", "second"))
