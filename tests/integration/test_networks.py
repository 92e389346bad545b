"""Networks of the user's: made, listed, used, isolated from each other, joined and left by containers that run."""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time

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
    named = lambda expression: engine.out("network", "ls", "--filter", f"name={expression}", "--format", "{{.Name}}").split()
    assert named("^bl") == ["blue"] and named("^bl$") == [] and named("[") == [] and named("b.+e") == ["blue", "bridge"]
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


def routes(engine, name):
    return [line.strip() for line in engine.out("exec", name, "ip", "route").splitlines() if line.startswith("default")]


@pytest.fixture
def two_ways_out(engine):
    engine.run("network", "create", "--subnet", "10.56.0.0/24", "first")
    engine.run("network", "create", "--subnet", "10.57.0.0/24", "second")
    engine.run("network", "create", "--subnet", "10.58.0.0/24", "--internal", "closed")
    yield engine
    engine.run("rm", "-f", "routed", code=None)
    for name in ("first", "second", "closed"):
        engine.run("network", "rm", name)


FIRST, SECOND = ["default via 10.56.0.1 dev eth0"], ["default via 10.57.0.1 dev eth1"]


@pytest.mark.parametrize("first, second, expected", [
    ("", "", FIRST), ("", ",gw-priority=1", SECOND), (",gw-priority=2", ",gw-priority=1", FIRST), (",gw-priority=-1", "", SECOND),
    (",gw-priority=7", ",gw-priority=7", FIRST)])
def test_the_highest_priority_has_the_default_route(two_ways_out, busybox, first, second, expected):
    engine = two_ways_out
    engine.run("run", "-d", "--name", "routed", "--network", f"name=first{first}", "--network", f"name=second{second}",
               "--network", "name=closed,gw-priority=100", busybox, "sleep", "600")
    assert routes(engine, "routed") == expected
    priority = engine.inspect("routed", "{{.NetworkSettings.Networks.second.GwPriority}}")
    assert priority == (second.partition("=")[2] or "0")
    # The next start is told the same.
    engine.run("restart", "-t", "0", "routed")
    assert routes(engine, "routed") == expected


def test_the_default_route_and_the_ports_move_to_a_network_of_higher_priority(two_ways_out, busybox):
    engine = two_ways_out
    port = free_port()
    serve(engine, busybox, "routed", "--network", "first", "-p", f"{port}:80")
    assert fetch("127.0.0.1", port) == PAGE
    engine.run("network", "connect", "second", "routed")
    assert routes(engine, "routed") == FIRST
    engine.run("network", "disconnect", "second", "routed")
    engine.run("network", "connect", "--gw-priority", "10", "second", "routed")
    assert routes(engine, "routed") == SECOND
    assert fetch("127.0.0.1", port) == PAGE
    # Nobody else but the network of the highest priority publishes.
    table = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    published = re.findall(rf"tcp \. {port} [^,]*: (\d+\.\d+\.\d+)\.\d+ \. 80", table)
    assert published == ["10.57.0"], table
    engine.run("network", "connect", "--gw-priority", "50", "closed", "routed")
    assert routes(engine, "routed") == SECOND
    engine.run("network", "disconnect", "second", "routed")
    assert routes(engine, "routed") == FIRST
    assert fetch("127.0.0.1", port) == PAGE
    engine.run("network", "connect", "--gw-priority", "x", "second", "routed", code=125)
    assert "invalid gw-priority (x)" in engine.run("run", "--network", "name=first,gw-priority=x", busybox, code=125).stderr


def test_a_container_on_a_dozen_networks(engine, busybox):
    names = [f"many{number}" for number in range(13)]
    for name in names:
        engine.run("network", "create", name)
    engine.run("run", "-d", "--name", "all", *[word for name in names[:11] for word in ("--network", name)], busybox, "sleep", "600")
    engine.run("network", "connect", names[11], "all")
    engine.run("network", "connect", names[12], "all")
    addresses = interfaces(engine, "all").splitlines()
    assert {line.split()[1] for line in addresses} == {"lo", *(f"eth{number}" for number in range(13))}
    engine.run("restart", "-t", "0", "all")
    assert len(interfaces(engine, "all").splitlines()) == 14


def test_network_of_another_container(engine, busybox):
    serve(engine, busybox, "server")
    assert engine.out("run", "--rm", "--network", "container:server", busybox, "wget", "-qO-", "http://127.0.0.1/") == PAGE
    engine.run("stop", "-t", "0", "server")
    assert "non running container" in engine.run("run", "--rm", "--network", "container:server", busybox, "true", code=125).stderr
    assert "No such container" in engine.run("run", "--rm", "--network", "container:nobody", busybox, "true", code=125).stderr


def end_by_stop(engine):
    engine.run("stop", "-t", "0", "owner")


def end_by_a_killed_monitor(engine):
    monitor = sqlite3.connect(f"file:{engine.root}/sampan.db?mode=ro", uri=True).execute(
        "SELECT monitor_pid FROM containers WHERE name = 'owner'").fetchone()[0]
    os.kill(monitor, signal.SIGKILL)
    wait_until(lambda: engine.inspect("owner", "{{.State.Running}}") == "false", what="the sweep")


@pytest.mark.parametrize("end", [end_by_stop, end_by_a_killed_monitor])
@pytest.mark.parametrize("driver", [[], ["-d", "macvlan", "-o", "parent=uplink"]], ids=["bridge", "macvlan"])
def test_who_shares_a_network_keeps_no_address_of_an_owner_that_ended(engine, busybox, driver, end):
    with other_host():
        for number, name in enumerate(("first", "second")):
            engine.run("network", "create", *driver, "--subnet", f"10.58.{number}.0/24", "--ip-range", f"10.58.{number}.64/32", name)
        engine.run("run", "-d", "--name", "owner", "--network", "first", "--network", "second", busybox, "sleep", "1000")
        engine.run("run", "-d", "--name", "guest", "--network", "container:owner", busybox, "sleep", "1000")
        engine.run("run", "-d", "--name", "guests-guest", "--network", "container:guest", busybox, "sleep", "1000")
        assert all("10.58.0.64" in interfaces(engine, name) and "10.58.1.64" in interfaces(engine, name) for name in ("guest", "guests-guest"))
        end(engine)
        assert all("eth" not in interfaces(engine, name) and "lo" in interfaces(engine, name) for name in ("guest", "guests-guest"))
        # The only address of the range is free: nobody answers for it but the next to have it.
        serve(engine, busybox, "next", "--network", "first")
        engine.run("run", "-d", "--name", "friend", "--network", "first", "--ip", "10.58.0.9", busybox, "sleep", "100")
        assert reaches(engine, "friend", "10.58.0.64")
        engine.remove_all()


def test_an_owner_that_ends_while_others_join(engine, busybox):
    """Each that came to run has no link left when the owner's end is over, however the two met."""
    joined = 0
    for turn in range(8):
        engine.run("run", "-d", "--name", "owner", busybox, "sleep", "1000")
        guests = [engine.start("run", "-d", "--name", f"guest{number}", "--network", "container:owner", busybox, "sleep", "1000",
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for number in range(4)]
        time.sleep(turn * 0.004)
        engine.run("rm", "-f", "owner")
        for guest in guests:
            guest.wait(30)
        for name in engine.out("ps", "--format", "{{.Names}}").split():
            joined += 1
            assert "eth0" not in interfaces(engine, name), (turn, name)
        engine.remove_all()
    assert joined > 0


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


def system_calls(engine, tmp_path, *words):
    """How many the command and the monitor it starts need until the container has ended."""
    log = tmp_path / "calls"
    subprocess.run(["strace", "-f", "-c", "-U", "calls,name", "-o", str(log), *engine.command(*words)], check=True, capture_output=True, timeout=60)
    calls, total = log.read_text().splitlines()[-1].split()
    assert total == "total"
    return int(calls)


def test_a_start_costs_the_same_beside_a_hundred_networks_a_thousand_leases_and_ports(engine, busybox, tmp_path):
    start = lambda: min(system_calls(engine, tmp_path, "run", "--rm", "--network", "first", "-p", f"{free_port()}:80", busybox, "true")
                        for _ in range(3))
    engine.run("network", "create", "--subnet", "10.80.0.0/16", "first")
    start()
    before = start()
    for number in range(99):
        engine.run("network", "create", "--subnet", f"10.81.{number}.0/24", f"more{number}")
    with sqlite3.connect(engine.root / "sampan.db") as database:
        database.executemany("INSERT INTO leases VALUES('first',?,?)", [((10 << 24) + (80 << 16) + 5000 + i, f"x{i}") for i in range(1000)])
    database.close()
    engine.run("run", "-d", "--name", "many", "-p", "20000-20999:20000-20999", busybox, "sleep", "100")
    after = start()
    assert after <= before * 1.3, f"{before} system calls, then {after}"


def test_cni_plugins_make_a_network(engine, busybox, tmp_path):
    """Debian's plugins, as a cluster configures them: a bridge with addresses from host-local."""
    leases = tmp_path / "leases"
    config = tmp_path / "net.conflist"
    config.write_text(json.dumps({"cniVersion": "0.4.0", "name": "cluster", "plugins": [
        {"type": "bridge", "bridge": "cni-test0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
         "ipam": {"type": "host-local", "dataDir": str(leases), "ranges": [[{"subnet": "10.90.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.accept_redirects": "0"}}]}))
    held = lambda: sorted(path.name for path in (leases / "cluster").glob("10.*"))
    try:
        engine.run("network", "create", "--cni-config", str(config), "cluster")
        serve(engine, busybox, "server", "--network", "cluster")
        assert address_on(engine, "server", "cluster") == held()[0] == "10.90.0.2"
        assert engine.out("run", "--rm", "--network", "cluster", busybox, "wget", "-qO-", "http://10.90.0.2/") == PAGE
        assert wait_until(lambda: held() == ["10.90.0.2"], what="DEL at the end")
        engine.run("run", "-d", "--name", "killed", "--network", "cluster", busybox, "sleep", "100")
        assert len(held()) == 2
        for pid in engine.monitors():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: engine.run("ps") and not held(), what="DEL by the next command")
        broken = json.loads(config.read_text())
        broken["plugins"].append({"type": "tuning", "sysctl": {"net.no.such.thing": "1"}})
        config.write_text(json.dumps(broken))
        engine.run("network", "create", "--cni-config", str(config), "broken")
        assert "CNI: plugin \"tuning\" failed (ADD)" in engine.run("run", "--rm", "--network", "broken", busybox, "true", code=125).stderr
        assert held() == [], "what the first plugins made is taken back"
        broken["plugins"] = [{"type": "nosuchplugin"}]
        config.write_text(json.dumps(broken))
        assert "nosuchplugin" in engine.run("network", "create", "--cni-config", str(config), "worse", code=1).stderr
    finally:
        subprocess.run(["ip", "link", "del", "cni-test0"], capture_output=True)


def test_macvlan_makes_containers_hosts_of_the_parents_network(engine, busybox):
    with other_host() as there:
        for name in ("macvlan", "ipvlan"):
            engine.run("network", "create", "-d", name, "-o", "parent=uplink", "--subnet", "198.51.100.0/24", "--gateway", "198.51.100.2",
                       "--ip-range", "198.51.100.128/25", "lan")
            done = engine.run("run", "--rm", "--network", "lan", busybox, "sh", "-c", "ip -o addr; ping -c 1 -W 3 198.51.100.2", code=None)
            engine.run("network", "rm", "lan")
            if name == "ipvlan" and "Unknown device type" in done.stderr:
                continue  # this kernel is built without
            assert done.returncode == 0 and "198.51.100.1" in done.stdout and "1 packets received" in done.stdout, (name, done.stderr)
    assert "parent interface nothing0" in engine.run("network", "create", "-d", "macvlan", "-o", "parent=nothing0", "lan", code=1).stderr
    assert "not found" in engine.run("network", "inspect", "lan", code=1).stderr


def test_vxlan_spans_hosts(engine, busybox):
    """Two hosts (network namespaces) with a cable; the tunnel's other end is made by hand, as another machine would."""
    with other_host() as there:
        engine.run("network", "create", "-d", "vxlan", "-o", "vni=42", "-o", "peers=198.51.100.2", "-o", "local=198.51.100.1",
                   "--subnet", "10.95.0.0/24", "--ip-range", "10.95.0.64/26", "wide")
        for words in ("link add vx mtu 1450 type vxlan id 42 dstport 4789 local 198.51.100.2 remote 198.51.100.1",
                      "addr add 10.95.0.200/24 dev vx", "link set vx up"):
            done = there("ip", *words.split())
            assert done.returncode == 0, done.stderr
        serve(engine, busybox, "server", "--network", "wide")
        address = address_on(engine, "server", "wide")
        assert "1 packets received" in engine.out("exec", "server", "ping", "-c", "1", "-W", "3", "10.95.0.200")
        code = f"import urllib.request as u; print(u.urlopen('http://{address}/', timeout=3).read().decode())"
        assert there("python3", "-c", code).stdout.strip() == PAGE
        engine.run("rm", "-f", "server")
        engine.run("network", "rm", "wide")
        assert "vx-" not in subprocess.run(["ip", "link"], capture_output=True, text=True).stdout


def test_what_kills_leave_is_swept(engine, busybox):
    """kill -9 of commands and monitors at any moment: no links, leases, names or elements stay."""
    engine.run("network", "create", "--subnet", "10.97.0.0/24", "torn")
    links = lambda: sorted(line.split()[1] for line in subprocess.run(["ip", "-o", "link", "show", "type", "veth"], capture_output=True, text=True).stdout.splitlines())
    before = links()
    seed = int(time.time())
    rng = random.Random(seed)
    print("seed", seed)
    for round_number in range(12):
        port = free_port()
        process = engine.start("run", "-d", "--name", f"k{round_number}", "--network", "torn", "-p", f"{port}:80", busybox, "sleep", "100",
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 0.08))
        victims = [process.pid] if round_number % 2 else list(engine.monitors())
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        engine.run("ps")
    engine.remove_all()
    wait_until(lambda: links() == before, what=f"no link left (seed {seed})")
    with sqlite3.connect(engine.root / "sampan.db") as database:
        assert database.execute("SELECT count(*) FROM hosts").fetchone() == (0,), seed
        assert database.execute("SELECT count(*) FROM leases WHERE network='torn'").fetchone() == (0,), seed
    database.close()
    table = [line.split()[2] for line in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.splitlines() if "sampan" in line]
    for name in table:
        for kind in ("ports_of_any_address", "ports_of_any_address6"):
            listed = subprocess.run(["nft", "list", "map", "inet", name, kind], capture_output=True, text=True).stdout
            assert "elements" not in listed, seed
    engine.run("network", "rm", "torn")
