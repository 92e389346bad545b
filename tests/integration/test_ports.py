"""Published ports beyond the plain ones: both families, ranges, relays, the host's own filter."""

import json
import socket
import subprocess
import sys

import pytest

from conftest import free_port, wait_until
from test_network import PAGE, fetch, other_host, serve

ECHO = ("import socket,sys\ns=socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)\n"
        "print(flush=True)\nwhile True:\n c,a=s.accept()\n c.sendall(a[0].encode())\n c.close()")


def who_am_i(address, port):
    with socket.create_connection((address, port), timeout=5) as connection:
        return connection.recv(100).decode()


@pytest.fixture
def echo(engine):
    """Starts, in a container's network, a server that tells its clients their address."""
    started = []

    def start(container, port, address="0.0.0.0"):
        pid = engine.inspect(container, "{{.State.Pid}}")
        process = subprocess.Popen(["nsenter", "--net", "-t", pid, sys.executable, "-c", ECHO, address, str(port)], stdout=subprocess.PIPE)
        process.stdout.readline()
        started.append(process)

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_both_families_by_default(engine, busybox):
    port = free_port()
    serve(engine, busybox, "both", "-p", f"{port}:80")
    assert engine.out("port", "both").splitlines() == [f"80/tcp -> 0.0.0.0:{port}", f"80/tcp -> [::]:{port}"]
    assert fetch("127.0.0.1", port) == PAGE and fetch("::1", port) == PAGE
    document = json.loads(engine.out("inspect", "both"))[0]
    assert [one["HostIp"] for one in document["NetworkSettings"]["Ports"]["80/tcp"]] == ["0.0.0.0", "::"]


def test_one_address_of_either_family(engine, busybox):
    four, six = free_port(), free_port()
    serve(engine, busybox, "one", "-p", f"127.0.0.1:{four}:80", "-p", f"[::1]:{six}:80")
    assert fetch("127.0.0.1", four) == PAGE and fetch("::1", six) == PAGE
    assert fetch("::1", four) != PAGE and fetch("127.0.0.1", six) != PAGE


def test_a_large_transfer_through_the_relay(engine, busybox):
    port = free_port()
    engine.run("run", "-d", "--name", "large", "-p", f"{port}:80", busybox, "sh", "-c",
               "mkdir /w; dd if=/dev/zero bs=1M count=64 2>/dev/null >/w/file; httpd -f -h /w")
    wait_until(lambda: engine.run("exec", "large", "wget", "-qO", "/dev/null", "http://127.0.0.1/file", code=None).returncode == 0, what="httpd")
    with socket.create_connection(("::1", port), timeout=10) as connection:
        connection.sendall(b"GET /file HTTP/1.0\r\n\r\n")
        size = 0
        while part := connection.recv(1 << 16):
            size += len(part)
    assert size > 64 << 20


def test_the_clients_own_address_arrives(engine, busybox, echo):
    port = free_port()
    engine.run("run", "-d", "--name", "server", "-p", f"{port}:7000", busybox, "sleep", "100")
    echo("server", 7000)
    with other_host() as there:
        code = f"import socket; print(socket.create_connection(('198.51.100.1', {port}), timeout=5).recv(99).decode())"
        assert there("python3", "-c", code).stdout.strip() == "198.51.100.2"


def test_ipv6_all_the_way(engine, busybox, echo):
    port = free_port()
    engine.run("network", "create", "--ipv6", "--subnet", "fd70::/64", "six")
    engine.run("run", "-d", "--name", "server", "--network", "six", "-p", f"{port}:7000", busybox, "sleep", "100")
    echo("server", 7000, "::")
    with other_host() as there:
        subprocess.run(["ip", "addr", "add", "2001:db8::1/64", "dev", "uplink", "nodad"], check=True)
        assert there("ip", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad").returncode == 0
        code = f"import socket; print(socket.create_connection(('2001:db8::1', {port}), timeout=5).recv(99).decode())"
        done = there("python3", "-c", code)
        assert done.stdout.strip() == "2001:db8::2", done.stderr
    assert who_am_i("::1", port)
    engine.remove_all()
    engine.run("network", "rm", "six")


def test_a_range_for_one_port_takes_a_free_one(engine, busybox):
    first = free_port()
    with socket.create_server(("0.0.0.0", first)):
        serve(engine, busybox, "any", "-p", f"{first}-{first + 5}:80")
        port = int(engine.out("port", "any", "80").splitlines()[0].rsplit(":", 1)[1])
        assert first < port <= first + 5 and fetch("127.0.0.1", port) == PAGE


def test_a_thousand_ports(engine, busybox):
    engine.run("run", "-d", "--name", "many", "-p", "20000-20999:20000-20999", busybox, "httpd", "-f", "-p", "20777", "-h", "/var/www")
    wait_until(lambda: fetch("127.0.0.1", 20777) == PAGE, what="httpd")
    assert len(engine.out("port", "many").splitlines()) == 2000
    engine.run("rm", "-f", "many")
    with socket.create_server(("0.0.0.0", 20777)):
        pass


def test_the_hosts_own_filter_is_obeyed_where_asked(sampan, busybox, registry, tmp_path, echo):
    """As ufw does it: a chain of the input hook that drops what is not allowed."""
    config = tmp_path / "config.json"
    config.write_text('{"obey-host-filter": true, "bip": "10.71.0.0/24"}')
    port, other = free_port(), free_port()
    engine = lambda *words: subprocess.run(["env", f"SAMPAN_CONFIG={config}", *sampan.command()[:1], "--config", str(config),
                                            *sampan.command()[1:], *words], capture_output=True, text=True, timeout=60)
    assert engine("pull", "-q", busybox).returncode == 0
    done = engine("run", "-d", "--name", "server", "-p", f"{port}:80", "-p", f"{other}:80", busybox, "httpd", "-f", "-h", "/var/www")
    assert done.returncode == 0, done.stderr
    rules = ("table inet hostfilter {\n chain input {\n type filter hook input priority 0; policy drop;\n iif lo accept\n"
             f"ct state established accept\n tcp dport {port} accept\n }}\n}}\n")
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        with other_host() as there:
            code = "import sys,urllib.request as u; print(u.urlopen(f'http://198.51.100.1:{sys.argv[1]}/', timeout=2).read().decode())"
            assert wait_until(lambda: there("python3", "-c", code, str(port)).stdout.strip() == PAGE, what="an answer")
            assert there("python3", "-c", code, str(other)).returncode != 0
        assert fetch("127.0.0.1", other) == PAGE
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "hostfilter"], check=True)


def test_ports_of_a_running_container_change(engine, busybox):
    first, second = free_port(), free_port()
    serve(engine, busybox, "server", "-p", f"{first}:80")
    engine.run("update", "--publish-add", f"{second}:80", "server")
    assert fetch("127.0.0.1", first) == PAGE and fetch("127.0.0.1", second) == PAGE and fetch("::1", second) == PAGE
    engine.run("update", "--publish-rm", f"{first}:80", "server")
    assert fetch("127.0.0.1", first) != PAGE and fetch("::1", first) != PAGE and fetch("127.0.0.1", second) == PAGE
    with socket.create_server(("0.0.0.0", first)):
        assert "already allocated" in engine.run("update", "--publish-add", f"{first}:80", "server", code=1).stderr
    assert "no public port" in engine.run("update", "--publish-rm", "81", "server", code=1).stderr
    engine.run("restart", "-t", "0", "server")
    wait_until(lambda: fetch("127.0.0.1", second) == PAGE, what="httpd")
    assert engine.out("port", "server").splitlines() == [f"80/tcp -> 0.0.0.0:{second}", f"80/tcp -> [::]:{second}"]


def test_ports_over_a_cni_network(engine, busybox, echo, tmp_path):
    """Relayed by the monitor; by a plugin that has the capability the client's own address arrives."""
    bridge = {"type": "bridge", "bridge": "cni-test1", "isGateway": True, "hairpinMode": True,
              "ipam": {"type": "host-local", "dataDir": str(tmp_path / "leases"), "ranges": [[{"subnet": "10.91.0.0/24"}]],
                       "routes": [{"dst": "0.0.0.0/0"}]}}
    mapping = {"type": "portmap", "capabilities": {"portMappings": True}}
    clients = []
    try:
        for name, plugins in (("relayed", [bridge]), ("mapped", [bridge, mapping])):
            config = tmp_path / f"{name}.conflist"
            config.write_text(json.dumps({"cniVersion": "0.4.0", "name": name, "plugins": plugins}))
            engine.run("network", "create", "--cni-config", str(config), name)
            port, later = free_port(), free_port()
            engine.run("run", "-d", "--name", name, "--network", name, "-p", f"{port}:7000", busybox, "sleep", "100")
            echo(name, 7000)
            assert engine.out("port", name, "7000").splitlines()[0] == f"0.0.0.0:{port}"
            assert who_am_i("127.0.0.1", port)
            with other_host() as there:
                code = f"import socket; print(socket.create_connection(('198.51.100.1', {port}), timeout=5).recv(99).decode())"
                clients.append(there("python3", "-c", code).stdout.strip())
            engine.run("update", "--publish-add", f"{later}:7000", name)
            assert who_am_i("127.0.0.1", later)
            engine.run("rm", "-f", name)
            assert "refused" in fetch("127.0.0.1", port) and "refused" in fetch("127.0.0.1", later)
        assert clients == ["10.91.0.1", "198.51.100.2"]
    finally:
        subprocess.run(["ip", "link", "del", "cni-test1"], capture_output=True)


def test_exposed_ports(engine, busybox):
    engine.run("run", "-d", "--name", "exposed", "--expose", "7000-7001", "--expose", "53/UDP", "-P", busybox, "sleep", "100")
    published = engine.out("port", "exposed").splitlines()
    assert sorted(line.split(" ")[0] for line in published if "0.0.0.0" in line) == ["53/udp", "7000/tcp", "7001/tcp"]
    assert json.loads(engine.inspect("exposed", "{{json .Config.ExposedPorts}}")).keys() == {"53/udp", "7000/tcp", "7001/tcp"}
    engine.run("run", "-d", "--name", "plain", "--expose", "7000", busybox, "sleep", "100")
    assert engine.out("port", "plain") == "" and json.loads(engine.inspect("plain", "{{json .NetworkSettings.Ports}}")) == {"7000/tcp": None}
    engine.run("commit", "plain", "with-port")
    assert json.loads(engine.inspect("with-port", "{{json .Config.ExposedPorts}}")) == {"7000/tcp": {}}
    for bad in ("80-70", "http", "80/ipx", "99999"):
        assert "Invalid" in engine.run("run", "--rm", "--expose", bad, busybox, "true", code=125).stderr
    engine.run("rm", "-f", "exposed", "plain")
    engine.run("rmi", "with-port")
