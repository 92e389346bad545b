"""Names on networks of the user's: who finds whom, and who is asked for the rest."""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time

import pytest

from conftest import wait_until
from test_network import serve

# A name server of the host's: answers A questions for *.example with what it is told, over UDP and TCP.
SERVER = r"""
import socket, struct, sys, threading
address, answer = sys.argv[1], sys.argv[2]
def reply(query):
    end = query.index(b'\0', 12) + 5
    kind = struct.unpack('>H', query[end-4:end-2])[0]
    known = query[12:end].lower().find(b'example') >= 0 and kind == 1
    head = query[:2] + struct.pack('>HHHHH', 0x8180 if known else 0x8183, 1, 1 if known else 0, 0, 0)
    return head + query[12:end] + (b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 9, 4) + socket.inet_aton(answer) if known else b'')
def tcp():
    listener = socket.create_server((address, 53))
    while True:
        c, _ = listener.accept()
        data = c.recv(4096)
        if len(data) > 2:
            a = reply(data[2:])
            c.sendall(struct.pack('>H', len(a)) + a)
        c.close()
threading.Thread(target=tcp, daemon=True).start()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((address, 53))
print('ready', flush=True)
while True:
    q, a = s.recvfrom(4096)
    s.sendto(reply(q), a)
"""


@contextlib.contextmanager
def name_server(address, answer):
    process = subprocess.Popen([sys.executable, "-c", SERVER, address, answer], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def resolv_conf(tmp_path, text):
    """The host's /etc/resolv.conf in this mount namespace."""
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    target = os.path.realpath("/etc/resolv.conf")
    subprocess.run(["mount", "--bind", path, target], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", target], check=True)


@pytest.fixture
def network(engine):
    engine.run("network", "create", "--subnet", "10.60.0.0/24", "--subnet", "fd60::/64", "named")
    yield "named"
    engine.remove_all()
    engine.run("network", "rm", "named")


def ask(engine, container, name, kind=1, tcp=False, server="127.0.0.11"):
    """One question from within the container's network; the addresses and the code of the answer."""
    code = ("import socket,struct,sys\n"
            "name,kind,tcp,server=sys.argv[1],int(sys.argv[2]),sys.argv[3]=='True',sys.argv[4]\n"
            "q=struct.pack('>HHHHHH',77,256,1,0,0,0)+b''.join(bytes([len(p)])+p.encode() for p in name.split('.'))+b'\\0'+struct.pack('>HH',kind,1)\n"
            "s=socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM); s.settimeout(8); s.connect((server,53))\n"
            "s.send(struct.pack('>H',len(q))+q if tcp else q); a=s.recv(4096)\n"
            "a=a[2:] if tcp else a\n"
            "at=len(q); out=[]\n"
            "for i in range(struct.unpack('>H',a[6:8])[0]):\n"
            "  size=struct.unpack('>H',a[at+10:at+12])[0]; d=a[at+12:at+12+size]; at+=12+size\n"
            "  out.append(socket.inet_ntop(socket.AF_INET if size==4 else socket.AF_INET6,d) if size in (4,16) else d.hex())\n"
            "print(a[3]&15, *out)")
    pid = engine.inspect(container, "{{.State.Pid}}")
    done = subprocess.run(["nsenter", "--net", "-t", pid, sys.executable, "-c", code, name, str(kind), str(tcp), server],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    code, *found = done.stdout.split()
    return int(code), found


def address_of(engine, name):
    return engine.inspect(name, '{{(index .NetworkSettings.Networks "named").IPAddress}}')


def test_containers_find_each_other_by_name_alias_and_id(engine, busybox, network):
    engine.run("run", "-d", "--name", "asker", "--network", network, busybox, "sleep", "100")
    identity = engine.out("run", "-d", "--name", "Db.One", "--network", network, "--network-alias", "cache", busybox, "sleep", "100")
    there = address_of(engine, "Db.One")
    for name in ("Db.One", "db.one", "cache", identity[:12], "cache.named"):
        assert ask(engine, "asker", name) == (0, [there]), name
        assert ask(engine, "asker", name, tcp=True) == (0, [there]), name
    code, found = ask(engine, "asker", "cache", kind=28)
    assert code == 0 and found[0].startswith("fd60::")
    assert ask(engine, "asker", "cache", kind=15) == (0, []), "there, but of no such type"
    code, found = ask(engine, "asker", ".".join(reversed(there.split("."))) + ".in-addr.arpa", kind=12)
    assert code == 0 and bytes.fromhex(found[0]).startswith((b"\x06db", b"\x05cache", b"\x02db", bytes([12])))
    assert "1 packets received" in engine.out("exec", "asker", "ping", "-c", "1", "-W", "2", "cache"), "as programs ask"
    assert engine.out("exec", "asker", "cat", "/etc/resolv.conf").startswith("nameserver 127.0.0.11")
    engine.run("rename", "Db.One", "renamed")
    engine.run("stop", "-t", "0", "renamed")
    assert ask(engine, "asker", "cache")[1] == []
    engine.run("start", "renamed")
    assert ask(engine, "asker", "renamed")[1] == [address_of(engine, "renamed")]
    engine.run("rm", "-f", "renamed")
    assert ask(engine, "asker", "renamed")[1] == []


def test_a_container_that_starts_finds_the_others_and_itself_at_once(engine, busybox, network):
    engine.run("run", "-d", "--name", "there", "--network", network, busybox, "sleep", "100")
    assert engine.out("run", "--rm", "--network", network, busybox, "ping", "-c", "1", "-W", "2", "there").count("1 packets received")


def test_several_of_one_alias_take_turns(engine, busybox, network):
    for name in ("a1", "b1", "c1"):
        engine.run("run", "-d", "--name", name, "--network", network, "--network-alias", "all", busybox, "sleep", "100")
    first = {ask(engine, "a1", "all")[1][0] for _ in range(12)}
    assert first == {address_of(engine, name) for name in ("a1", "b1", "c1")}


def test_names_end_at_the_network(engine, busybox, network):
    engine.run("network", "create", "other")
    engine.run("run", "-d", "--name", "asker", "--network", network, busybox, "sleep", "100")
    engine.run("run", "-d", "--name", "stranger", "--network", "other", busybox, "sleep", "100")
    engine.run("run", "-d", "--name", "plain", busybox, "sleep", "100")
    assert ask(engine, "asker", "stranger")[1] == [] and ask(engine, "asker", "plain")[1] == []
    engine.run("network", "connect", "--alias", "guest", network, "stranger")
    assert ask(engine, "asker", "guest")[1] == [address_of(engine, "stranger")]
    assert ask(engine, "stranger", "asker")[1] == [address_of(engine, "asker")]
    engine.run("network", "connect", network, "plain")
    assert ask(engine, "plain", "asker")[1] == [address_of(engine, "asker")], "its names begin with its first such network"
    engine.run("network", "disconnect", network, "stranger")
    assert ask(engine, "asker", "guest")[1] == []
    engine.remove_all()
    engine.run("network", "rm", "other")


def test_the_rest_is_asked_of_the_hosts_servers_as_they_are_now(engine, busybox, network, tmp_path):
    with resolv_conf(tmp_path, "nameserver 127.0.0.53\nsearch corp.example\n") as path, \
            name_server("127.0.0.53", "192.0.2.1"), name_server("127.0.0.54", "192.0.2.2"):
        engine.run("run", "-d", "--name", "asker", "--network", network, busybox, "sleep", "100")
        assert ask(engine, "asker", "www.example") == (0, ["192.0.2.1"]), "a loopback resolver of the host"
        assert ask(engine, "asker", "www.example", tcp=True) == (0, ["192.0.2.1"])
        assert ask(engine, "asker", "nowhere.test")[0] == 3, "the server's own answer"
        assert "search corp.example" in engine.out("exec", "asker", "cat", "/etc/resolv.conf")
        path.write_text("nameserver 127.0.0.54\n")
        assert ask(engine, "asker", "www.example") == (0, ["192.0.2.2"]), "re-read"
        path.write_text("nameserver 127.0.0.99\nnameserver 127.0.0.54\n")
        assert [ask(engine, "asker", "www.example") for _ in range(3)] == [(0, ["192.0.2.2"])] * 3, "past one that is dead"
        engine.run("run", "-d", "--name", "own", "--network", network, "--dns", "127.0.0.53", busybox, "sleep", "100")
        assert ask(engine, "own", "www.example") == (0, ["192.0.2.1"])
        path.write_text("")
        assert ask(engine, "asker", "www.example")[0] == 2


def test_an_internal_network_asks_nobody_outside(engine, busybox, tmp_path):
    engine.run("network", "create", "--internal", "inside")
    with resolv_conf(tmp_path, "nameserver 127.0.0.53\n"), name_server("127.0.0.53", "192.0.2.1"):
        engine.run("run", "-d", "--name", "asker", "--network", "inside", busybox, "sleep", "100")
        assert ask(engine, "asker", "www.example") == (2, [])
        assert ask(engine, "asker", "asker")[0] == 0
    engine.remove_all()
    engine.run("network", "rm", "inside")


def test_a_container_may_have_a_name_server_of_its_own(engine, busybox, network):
    engine.run("run", "-d", "--name", "dns", "--network", network, busybox, "sleep", "100")
    pid = engine.inspect("dns", "{{.State.Pid}}")
    code = ("import socket\nu=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('0.0.0.0', 53))\n"
            "t=socket.create_server(('0.0.0.0', 53)); print('bound')")
    done = subprocess.run(["nsenter", "--net", "-t", pid, sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "bound\n", done.stderr
    assert ask(engine, "dns", "dns")[1] == [address_of(engine, "dns")]


def test_links(engine, busybox, network):
    engine.run("run", "-d", "--name", "target", busybox, "sleep", "100")
    hosts = engine.out("run", "--rm", "--link", "target:database", busybox, "cat", "/etc/hosts")
    assert engine.inspect("target", "{{.NetworkSettings.IPAddress}}") + "\tdatabase " in hosts
    engine.run("run", "-d", "--name", "with-port", "-p", "80", "-e", "SECRET=s", busybox, "sleep", "100")
    address = engine.inspect("with-port", "{{.NetworkSettings.IPAddress}}")
    lines = engine.out("run", "--rm", "--name", "us", "--link", "with-port:my-db", busybox, "env").splitlines()
    assert {f"MY_DB_PORT=tcp://{address}:80", f"MY_DB_PORT_80_TCP=tcp://{address}:80", f"MY_DB_PORT_80_TCP_ADDR={address}",
            "MY_DB_PORT_80_TCP_PORT=80", "MY_DB_PORT_80_TCP_PROTO=tcp", "MY_DB_NAME=/us/my-db", "MY_DB_ENV_SECRET=s"} <= set(lines)
    assert not [line for line in lines if line.startswith("MY_DB_ENV_PATH")]
    engine.run("run", "-d", "--name", "peer", "--network", network, busybox, "sleep", "100")
    engine.run("run", "-d", "--name", "asker", "--network", network, "--link", "peer:friend", busybox, "sleep", "100")
    assert ask(engine, "asker", "friend")[1] == [address_of(engine, "peer")]
    engine.run("stop", "-t", "0", "target")
    assert "Cannot link to a non running container" in engine.run("run", "--rm", "--link", "target:x", busybox, "true", code=125).stderr


def test_garbage_and_many_questions_harm_nobody(engine, busybox, network):
    engine.run("run", "-d", "--name", "asker", "--network", network, busybox, "sleep", "100")
    pid = engine.inspect("asker", "{{.State.Pid}}")
    code = ("import os,random,socket\nrandom.seed(7)\ns=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for i in range(5000): s.sendto(random.randbytes(random.randrange(0,80)), ('127.0.0.11', 53))\n"
            "for i in range(30):\n c=socket.create_connection(('127.0.0.11', 53), timeout=3); c.send(random.randbytes(40))\n")
    subprocess.run(["nsenter", "--net", "-t", pid, sys.executable, "-c", code], check=True)
    assert ask(engine, "asker", "asker")[1] == [address_of(engine, "asker")]
    monitor = next(iter(engine.monitors()))
    private = sum(int(line.split()[1]) for line in open(f"/proc/{monitor}/smaps_rollup") if line.startswith("Private_Dirty"))
    assert private < 2048, f"{private} KiB"
