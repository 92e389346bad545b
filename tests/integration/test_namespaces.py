"""Namespaces that are shared or mapped, devices, sockets and groups: --pid, --ipc, --uts, --userns, --device and their like."""

import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest


def link(name, pid="self"):
    return os.readlink(f"/proc/{pid}/ns/{name}")


# pid, ipc, uts.

def test_pid_host(engine, busybox):
    assert engine.out("run", "--rm", "--pid", "host", busybox, "readlink", "/proc/self/ns/pid") == link("pid")
    assert engine.inspect(engine.out("create", "--pid", "host", busybox), "{{.HostConfig.PidMode}}") == "host"


def test_children_end_with_a_container_in_the_hosts_pid_namespace(engine, busybox):
    engine.run("run", "-d", "--name", "parent", "--pid", "host", busybox, "sh", "-c", "sleep 987654 & sleep 0.5")
    assert engine.out("wait", "parent") == "0"
    engine.run("rm", "-f", "parent")
    found = subprocess.run(["pgrep", "-f", "sleep 987654"], capture_output=True, text=True).stdout
    assert found == ""


def test_pid_of_a_container(engine, busybox):
    engine.run("run", "-d", "--name", "donor", busybox, "sleep", "1234")
    out = engine.out("run", "--rm", "--pid", "container:donor", busybox, "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '")
    assert out == "sleep 1234"
    guest = engine.out("create", "--pid", "container:donor", busybox, "true")
    donor = engine.inspect("donor", "{{.Id}}")
    assert engine.inspect(guest, "{{.HostConfig.PidMode}}") == f"container:{donor}"
    engine.run("kill", "donor")
    assert f"cannot join PID of a non running container: {donor}" in engine.run("start", guest, code=1).stderr
    assert "No such container: nobody" in engine.run("create", "--pid", "container:nobody", busybox, code=1).stderr


def test_ipc(engine, busybox):
    inside = lambda *flags: engine.out("run", "--rm", *flags, busybox, "sh", "-c", "readlink /proc/self/ns/ipc; grep -c ' /dev/shm ' /proc/mounts || true").split()
    assert inside("--ipc", "host")[0] == link("ipc")
    assert inside("--ipc", "none")[1] == "0" and inside()[1] == "1"
    assert inside()[0] != link("ipc")


def test_ipc_of_a_container_shares_memory(engine, busybox):
    engine.run("run", "-d", "--name", "donor", "--ipc", "shareable", "--shm-size", "3m", busybox, "sh", "-c", "echo shared > /dev/shm/file; sleep 1000")
    out = engine.out("run", "--rm", "--ipc", "container:donor", busybox, "sh", "-c",
                     "readlink /proc/self/ns/ipc; cat /dev/shm/file; df -k /dev/shm | tail -1; echo back > /dev/shm/answer")
    assert out.split("\n")[:2] == [link("ipc", engine.inspect("donor", "{{.State.Pid}}")), "shared"] and "3072" in out
    assert engine.out("exec", "donor", "cat", "/dev/shm/answer") == "back"
    engine.run("run", "-d", "--name", "private", busybox, "sleep", "1000")
    assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in engine.run(
        "create", "--ipc", "container:private", busybox, code=1).stderr


def test_uts_host(engine, busybox):
    out = engine.out("run", "--rm", "--uts", "host", busybox, "sh", "-c", "readlink /proc/self/ns/uts; hostname; cat /etc/hostname; echo $HOSTNAME")
    assert out.split() == [link("uts")] + [os.uname().nodename] * 3
    assert "conflicting options: hostname and the UTS mode" in engine.run("create", "--uts", "host", "-h", "x", busybox, code=1).stderr


@pytest.mark.parametrize("flags, told", [
    (["--pid", "bogus"], "--pid: invalid PID mode"),
    (["--uts", "bogus"], "--uts: invalid UTS mode"),
    (["--userns", "bogus"], "--userns: invalid USER mode"),
    (["--userns", "auto:size=100000"], "--userns: invalid USER mode"),
    (["--ipc", "bogus"], "invalid IPC mode: bogus"),
    (["--uidmap", "0:1"], "invalid id mapping: 0:1"),
    (["--userns", "auto", "--privileged"], "privileged mode is incompatible with user namespaces"),
    (["--userns", "auto", "--network", "host"], "cannot share the host's network namespace when user namespaces are enabled"),
    (["--userns", "auto", "--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled"),
    (["--device-cgroup-rule", "x 1:1 r"], "invalid device cgroup rule format: 'x 1:1 r'"),
    (["--device-cgroup-rule", "c 1 r"], "invalid device cgroup rule format: 'c 1 r'"),
    (["--gpus", "all"], 'could not select device driver "" with capabilities: [[gpu]]'),
    (["--runtime", "other"], "unknown or invalid runtime name: other"),
    (["--isolation", "hyperv"], "invalid isolation: \"hyperv\" - linux only supports 'default'"),
    (["--volume-driver", "x"], 'error looking up volume plugin x: plugin "x" not found'),
    (["--ipc", "host", "--sysctl", "kernel.msgmax=1"], "sysctl 'kernel.msgmax' not allowed in host ipc namespace"),
    (["--device", "/dev/no-such"], 'error gathering device information while adding custom device "/dev/no-such": no such file or directory'),
    (["--device", "/dev/null:/x:q"], "bad mode specified: q"),
])
def test_modes_that_are_refused(engine, busybox, flags, told):
    done = engine.run("run", "--rm", *flags, busybox, "true", code=125)
    assert told in done.stderr, done.stderr


# User namespaces.

def test_userns_auto_gives_each_its_own_range(engine, busybox):
    maps = []
    for name in ("one", "two"):
        engine.run("run", "-d", "--name", name, "--userns", "auto", busybox, "sleep", "1000")
        pid = engine.inspect(name, "{{.State.Pid}}")
        inside, outside, size = open(f"/proc/{pid}/uid_map").read().split()
        assert (inside, size) == ("0", "65536") and int(outside) >= 65536
        assert os.stat(f"/proc/{pid}").st_uid == int(outside)
        maps.append(int(outside))
    assert abs(maps[0] - maps[1]) >= 65536
    engine.run("restart", "-t", "0", "one")  # keeps what its files belong to
    assert open(f"/proc/{engine.inspect('one', '{{.State.Pid}}')}/uid_map").read().split()[1] == str(maps[0])


def test_the_image_belongs_to_root_of_the_namespace(engine, busybox):
    out = engine.out("run", "--rm", "--userns", "auto", busybox, "sh", "-c",
                     "id -u; stat -c %u:%g /bin/busybox /etc/passwd; touch /new /etc/passwd && stat -c %u /new; echo x >> /etc/hosts && echo changed;"
                     "chown 5:6 /new && stat -c %u:%g /new; cat /proc/self/setgroups")
    assert out.split() == ["0", "0:0", "0:0", "0", "changed", "5:6", "allow"]


def test_volumes_keep_their_owners_across_namespaces(engine, busybox):
    for words in (["--userns", "auto"], ["--userns", "auto"], []):
        out = engine.out("run", "--rm", *words, "-v", "shared:/data", busybox, "sh", "-c",
                         "touch /data/mine && chown 7:8 /data/mine && stat -c %u:%g /data/mine; stat -c %u /data")
        assert out.split() == ["7:8", "0"]
    path = pathlib.Path(json.loads(engine.out("volume", "inspect", "shared"))[0]["Mountpoint"])
    assert ((path / "mine").stat().st_uid, (path / "mine").stat().st_gid) == (7, 8)
    engine.run("volume", "rm", "shared")


def test_a_bind_shows_its_owners_where_asked_to(engine, busybox, tmp_path):
    (tmp_path / "file").write_text("x")
    tmp_path.chmod(0o755)
    stat = ["stat", "-c", "%u", "/data/file"]
    assert engine.out("run", "--rm", "--userns", "auto", "-v", f"{tmp_path}:/data", busybox, *stat) == "65534"
    assert engine.out("run", "--rm", "--userns", "auto", "-v", f"{tmp_path}:/data:idmap", busybox, *stat) == "0"


def test_uidmap(engine, busybox):
    engine.run("run", "-d", "--name", "mapped", "--uidmap", "0:300000:1000", "--gidmap", "0:400000:1000", busybox, "sleep", "1000")
    pid = engine.inspect("mapped", "{{.State.Pid}}")
    assert open(f"/proc/{pid}/uid_map").read().split() == ["0", "300000", "1000"]
    assert open(f"/proc/{pid}/gid_map").read().split() == ["0", "400000", "1000"]
    assert engine.inspect("mapped", "{{.HostConfig.UsernsMode}}") == "private"
    assert engine.out("exec", "mapped", "id", "-u") == "0"
    assert engine.out("run", "--rm", "--userns", "auto:size=2000", busybox, "cat", "/proc/self/uid_map").split()[2] == "2000"


def test_changes_are_seen_but_not_committed(engine, busybox):
    engine.run("run", "--name", "source", "--userns", "auto", busybox, "sh", "-c", "touch /made; chown 5:6 /made; rm /etc/group")
    assert set(engine.out("diff", "source").split("\n")) >= {"A /made", "D /etc/group"}
    # The layer would have the ids that the container's users have outside.
    assert "user namespace" in engine.run("commit", "source", "committed", code=1).stderr


def test_explain_shows_the_mappings(engine, busybox):
    out = engine.out("run", "--explain", "--userns", "auto", busybox)
    assert "idmap" in out and "user" in out


# Devices.

def test_a_directory_of_devices(engine, busybox, tmp_path):
    folder = tmp_path / "snd"
    (folder / "by-path").mkdir(parents=True)
    for name in ("control", "by-path/timer"):
        os.mknod(folder / name, 0o20666, os.makedev(1, 3))
    out = engine.out("run", "--rm", "--device", f"{folder}:/dev/snd:rw", busybox, "sh", "-c",
                     "stat -c '%n %t:%T' /dev/snd/control /dev/snd/by-path/timer; echo x > /dev/snd/control && echo written")
    assert out.split("\n") == ["/dev/snd/control 1:3", "/dev/snd/by-path/timer 1:3", "written"]


def test_device_permissions(engine, busybox):
    open_it = lambda access: engine.run("run", "--rm", "--device", f"/dev/loop-control:/dev/it:{access}", busybox, "sh", "-c",
                                        "exec 3< /dev/it && echo read; exec 3<> /dev/it && echo both", code=None).stdout.split()
    assert open_it("rw") == ["read", "both"] and open_it("r") == ["read"]
    config = json.loads(engine.out("inspect", engine.out("create", "--device", "/dev/null:/dev/x:r", busybox)))[0]["HostConfig"]
    assert config["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]


def test_device_cgroup_rules(engine, busybox):
    make = "mknod /it c 10 237 && head -c 0 < /it"
    assert engine.run("run", "--rm", busybox, "sh", "-c", make, code=None).returncode != 0
    engine.run("run", "--rm", "--device-cgroup-rule", "c 10:* rwm", busybox, "sh", "-c", make)


# Desktop: sockets, variables, groups.

def test_a_socket_bound_in(engine, busybox, tmp_path, monkeypatch):
    """As X11's: the socket's directory or the socket itself, and DISPLAY of whoever runs it."""
    monkeypatch.setenv("DISPLAY", ":7")
    path = tmp_path / "X7"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    heard = []

    def serve():
        client, _ = server.accept()
        heard.append(client.recv(100))
        client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    out = engine.out("run", "--rm", "-e", "DISPLAY", "-e", "NOT_SET", "-v", f"{path}:/tmp/.X11-unix/X7", busybox, "sh", "-c",
                     "echo $DISPLAY; test -S /tmp/.X11-unix/X7 && echo socket; env | grep -c NOT_SET || true")
    assert out.split() == [":7", "socket", "0"]
    with socket.socket(socket.AF_UNIX) as client:  # the listener is still there for the thread to end
        client.connect(str(path))
        client.send(b"hello")
    thread.join(10)
    server.close()
    assert heard == [b"hello"]


def test_group_add(engine, busybox):
    assert set(engine.out("run", "--rm", "--group-add", "staff", "--group-add", "4242", "-u", "app", busybox, "id", "-G").split()) >= {"50", "4242", "1000"}
    assert "unable to find group nogroup-here" in engine.run("run", "--rm", "--group-add", "nogroup-here", busybox, "true", code=125).stderr


def test_capability_all(engine, busybox):
    bounding = lambda *flags: int(engine.out("run", "--rm", *flags, busybox, "grep", "CapBnd", "/proc/self/status").split()[1], 16)
    everything = bounding("--cap-add", "ALL")
    assert everything == bounding("--privileged") and bounding("--cap-add", "ALL", "--cap-drop", "SYS_ADMIN") == everything & ~(1 << 21)


def test_annotations(engine, busybox):
    name = engine.out("create", "--annotation", "org.example.key=value", busybox)
    assert engine.inspect(name, '{{index .HostConfig.Annotations "org.example.key"}}') == "value"
