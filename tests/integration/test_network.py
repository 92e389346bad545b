"""The bridge: addresses, published ports from everywhere, none and host, names of hosts files."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time

import pytest

from conftest import free_port, wait_until

PAGE = "<h1>sampan</h1>"


def serve(engine, busybox, name, *flags):
    engine.run("run", "-d", "--name", name, *flags, busybox, "httpd", "-f", "-h", "/var/www")
    wait_until(lambda: engine.run("exec", name, "wget", "-qO-", "http://127.0.0.1/", code=None).stdout.strip() == PAGE, what="httpd")


def fetch(address, port):
    """One page over TCP, or the failure as text."""
    try:
        with socket.create_connection((address, port), timeout=3) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while chunk := connection.recv(4096):
                data += chunk
            return data.decode().strip().split("\n")[-1]
    except OSError as error:
        return str(error)


@contextlib.contextmanager
def other_host(address="198.51.100.2", gateway="198.51.100.1"):
    """Another machine: a network namespace behind a veth pair; yields a function that runs a program there."""
    name = f"spt{os.getpid()}"
    # `ip netns` wants a folder that this mount namespace shares with nobody.
    os.makedirs("/run/netns", exist_ok=True)
    run = lambda *words: subprocess.run(words, check=True, capture_output=True, text=True)
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "addr", "add", f"{gateway}/24", "dev", "uplink")
        run("ip", "link", "set", "uplink", "up")
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "route", "add", "default", "via", gateway)
        yield lambda *words, **more: subprocess.run(["ip", "netns", "exec", name, *words], capture_output=True, text=True, timeout=20, **more)
    finally:
        subprocess.run(["ip", "link", "del", "uplink"], capture_output=True)
        run("ip", "netns", "del", name)


def test_address_route_and_loopback(engine, busybox):
    out = engine.out("run", "--rm", busybox, "sh", "-c", "ip -o -4 addr; ip route; ip link")
    address = re.search(r"eth0\s+inet (\d+\.\d+\.\d+\.\d+)/(\d+)", out)
    assert address and re.search(r"lo\s+inet 127.0.0.1/8", out)
    assert re.search(r"default via \d+\.\d+\.\d+\.\d+ dev eth0", out)
    assert "LOWER_UP" in out


def nft(*words):
    return subprocess.run(["nft", *words], capture_output=True, text=True).stdout


def table_with(port):
    """The firewall's table of the store that has published it; other tests' stores have left their own."""
    tables = [line.split()[2] for line in nft("list", "tables").splitlines() if "sampan" in line]
    found = [table for table in tables if f"{port}" in nft("list", "table", "inet", table)]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("flush, command", [
    (["flush", "ruleset"], "ps"), (["flush", "ruleset"], "exec"), (["flush", "ruleset"], "run"),
    (["delete", "table"], "ps"), (["flush", "chain"], "ps")])
def test_a_flushed_firewall_is_put_back_by_the_next_command(engine, busybox, flush, command):
    """Somebody restarts the host's own firewall; containers that run get back what they had, without a restart."""
    ports = [free_port(), free_port()]
    serve(engine, busybox, "first", "-p", f"{ports[0]}:80")
    serve(engine, busybox, "second", "-p", f"127.0.0.1:{ports[1]}:80")
    table = table_with(ports[0])
    subject = {"delete": ["inet", table], "flush": ["inet", table, "published"]}[flush[0]] if flush[1] != "ruleset" else []
    from_there = f"import urllib.request as u; print(u.urlopen('http://198.51.100.1:{ports[0]}/', timeout=1).read().decode())"
    echo = "import socket\ns=socket.create_server(('198.51.100.2',7000))\nwhile True:\n c,a=s.accept()\n c.sendall(a[0].encode())\n c.close()"
    with other_host() as there:
        page = lambda: there("python3", "-c", from_there).stdout.strip()
        server = subprocess.Popen(["ip", "netns", "exec", f"spt{os.getpid()}", "python3", "-c", echo])
        try:
            assert page() == PAGE
            subprocess.run(["nft", *flush, *subject], check=True)
            assert page() != PAGE
            engine.run(*{"ps": ["ps", "-q"], "exec": ["exec", "first", "true"], "run": ["run", "--rm", busybox, "true"]}[command])
            assert [fetch("127.0.0.1", port) for port in ports] == [PAGE, PAGE] and page() == PAGE
            assert engine.out("exec", "first", "nc", "-w", "2", "198.51.100.2", "7000") == "198.51.100.1", "masquerading"
        finally:
            server.kill()
            server.wait()
    engine.run("rm", "-f", "first", "second")
    for ports in ("ports_of_address", "ports_of_any_address", "ports_of_address6", "ports_of_any_address6"):
        assert "elements" not in nft("list", "map", "inet", table, ports)


def test_containers_reach_each_other_and_the_host(engine, busybox):
    serve(engine, busybox, "server")
    address = engine.inspect("server", "{{.NetworkSettings.IPAddress}}")
    assert fetch(address, 80) == PAGE
    assert engine.out("run", "--rm", busybox, "wget", "-qO-", f"http://{address}/") == PAGE
    gateway = engine.inspect("server", "{{.NetworkSettings.Gateway}}")
    assert "1 packets received" in engine.out("run", "--rm", busybox, "ping", "-c", "1", "-W", "2", gateway)


def test_a_published_port_is_reachable_from_everywhere(engine, busybox):
    port = free_port()
    serve(engine, busybox, "public", "-p", f"{port}:80")
    gateway = engine.inspect("public", "{{.NetworkSettings.Gateway}}")
    assert fetch("127.0.0.1", port) == PAGE, "from the host's loopback"
    assert fetch(gateway, port) == PAGE, "from the host by the bridge's address"
    assert engine.out("run", "--rm", busybox, "wget", "-qO-", f"http://{gateway}:{port}/") == PAGE, "from another container"
    assert engine.out("exec", "public", "wget", "-qO-", f"http://{gateway}:{port}/") == PAGE, "from the container itself"
    with other_host() as there:
        done = there("python3", "-c", f"import urllib.request as u; print(u.urlopen('http://198.51.100.1:{port}/', timeout=5).read().decode())")
        assert PAGE in done.stdout, done.stderr


def test_what_is_not_published_is_not_reachable_from_other_hosts(engine, busybox):
    serve(engine, busybox, "private")
    address = engine.inspect("private", "{{.NetworkSettings.IPAddress}}")
    with other_host() as there:
        code = f"import socket; socket.create_connection(('{address}', 80), timeout=2)"
        assert there("python3", "-c", code).returncode != 0


def test_containers_reach_other_hosts_under_the_hosts_address(engine, busybox):
    with other_host() as there:
        server = subprocess.Popen(["ip", "netns", "exec", f"spt{os.getpid()}", "python3", "-c",
                                   "import socket\ns=socket.create_server(('198.51.100.2',7000))\nc,a=s.accept()\nc.sendall(a[0].encode())\nc.close()"])
        try:
            out = wait_until(lambda: engine.run("run", "--rm", busybox, "nc", "-w", "2", "198.51.100.2", "7000", code=None).stdout, what="an answer")
            assert out == "198.51.100.1"
        finally:
            server.kill()
            server.wait()


def test_a_port_on_one_address_is_only_there(engine, busybox):
    port = free_port()
    serve(engine, busybox, "local", "-p", f"127.0.0.1:{port}:80")
    assert fetch("127.0.0.1", port) == PAGE
    with other_host() as there:
        code = f"import socket; socket.create_connection(('198.51.100.1', {port}), timeout=2)"
        assert there("python3", "-c", code).returncode != 0


def test_udp(engine, busybox):
    port = free_port()
    engine.run("run", "-d", "--name", "udp", "-p", f"{port}:7/udp", busybox, "sleep", "60")
    # busybox has no UDP server: the echo is a program of the host that stands in the container's network namespace.
    echo = subprocess.Popen(["nsenter", "--net", "-t", engine.inspect("udp", "{{.State.Pid}}"), sys.executable, "-c",
                             "import socket\ns=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 7))\nprint(flush=True)\n"
                             "while True:\n d,a=s.recvfrom(100)\n s.sendto(d,a)"], stdout=subprocess.PIPE)
    try:
        echo.stdout.readline()
        for address in (engine.inspect("udp", "{{.NetworkSettings.Gateway}}"), "127.0.0.1"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.settimeout(5)
                sender.sendto(b"ping", (address, port))
                assert sender.recvfrom(100) == (b"ping", (address, port))
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()


def test_a_taken_port_is_a_clear_error(engine, busybox):
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        done = engine.run("run", "--name", "late", "-p", f"{port}:80", busybox, "true", code=125)
        assert f"{port}" in done.stderr and "already" in done.stderr
    port = free_port()
    serve(engine, busybox, "first", "-p", f"{port}:80")
    done = engine.run("run", "-d", "--name", "second", "-p", f"{port}:80", busybox, "true", code=125)
    assert "port is already allocated" in done.stderr
    engine.run("rm", "-f", "first")
    serve(engine, busybox, "third", "-p", f"{port}:80")
    assert fetch("127.0.0.1", port) == PAGE


def test_random_ports_and_port_command(engine, busybox):
    serve(engine, busybox, "random", "-p", "80")
    shown = engine.out("port", "random", "80")
    assert fetch("127.0.0.1", int(shown.rsplit(":", 1)[1])) == PAGE


def test_a_port_is_free_again_after_the_container(engine, busybox):
    port = free_port()
    for _ in range(3):
        serve(engine, busybox, "again", "-p", f"{port}:80")
        assert fetch("127.0.0.1", port) == PAGE
        engine.run("rm", "-f", "again")
    assert "refused" in fetch("127.0.0.1", port)


def test_none_has_only_loopback(engine, busybox):
    assert engine.out("run", "--rm", "--network", "none", busybox, "sh", "-c", "ls /sys/class/net; ping -c 1 127.0.0.1 | grep -c '1 packets received'").split() == ["lo", "1"]


def test_host_network_is_the_hosts(engine, busybox):
    assert engine.out("run", "--rm", "--network", "host", busybox, "readlink", "/proc/self/ns/net") == os.readlink("/proc/self/ns/net")
    told = engine.run("run", "--rm", "--network", "host", "-p", "8080:80", busybox, "true").stderr
    assert told == "WARNING: Published ports are discarded when using host network mode\n"


def test_stopping_frees_links_and_addresses(engine, busybox):
    engine.run("run", "-d", "--name", "one", busybox, "sleep", "60")
    engine.run("rm", "-f", "one")
    engine.check_clean()


def test_the_subnet_avoids_the_hosts_routes(sampan, busybox):
    subprocess.run(["ip", "link", "add", "taken", "type", "veth", "peer", "name", "taken-peer"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", "172.17.0.1/16", "dev", "taken"], check=True)
        subprocess.run(["ip", "link", "set", "taken", "up"], check=True)
        out = sampan.out("run", "--rm", busybox, "ip", "-o", "-4", "addr", "show", "eth0")
        assert "172.17." not in out and "inet" in out
    finally:
        subprocess.run(["ip", "link", "del", "taken"], check=True)


def test_a_flushed_firewall_is_put_back(engine, busybox):
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    port = free_port()
    serve(engine, busybox, "after", "-p", f"{port}:80")
    assert fetch("127.0.0.1", port) == PAGE


def test_one_table_of_ours_and_ports_are_elements(engine, busybox):
    port = free_port()
    serve(engine, busybox, "element", "-p", f"{port}:80")
    ruleset = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    assert str(port) in ruleset
    rules_before = ruleset.count("dnat")
    serve(engine, busybox, "element2", "-p", f"{free_port()}:80")
    after = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    assert after.count("dnat") == rules_before
