"""Images made to escape: links where the engine mounts and writes, names that climb, ids that overflow. The host has a canary."""

import errno
import json
import os
import subprocess
import tarfile

import pytest

import image as images
from canaries import canary, check  # noqa: F401
from image import Image, LayerTar, busybox_layer


def push(registry, layer, config=None, name="hostile", extra=()):
    image = Image([busybox_layer(), *extra, layer.bytes()], config={"Cmd": ["true"], **(config or {})})
    registry.push(name, "latest", image)
    return f"{registry.host}/{name}"


def climb(path):
    return "../" * 30 + str(path).lstrip("/")


@pytest.mark.parametrize("build", [
    lambda layer, host: layer.add(climb(host) + "/evil", b"x"),
    lambda layer, host: layer.add(str(host) + "/evil", b"x"),
    lambda layer, host: layer.symlink("link", str(host)).add("link/evil", b"x"),
    lambda layer, host: layer.symlink("link", climb(host)).add("link/evil", b"x"),
    lambda layer, host: layer.hardlink("link", str(host) + "/canary").add("link", b"dead"),
    lambda layer, host: layer.symlink("a", "b").symlink("b", climb(host)).add("a/evil", b"x"),
    lambda layer, host: layer.directory("foo/tmp/").add("foo/tmp/x", b"1").symlink("foo", climb(host)).add("foo/evil", b"2"),
    lambda layer, host: layer.symlink("d", climb(host)).add("d/.wh.canary", b""),
    lambda layer, host: layer.symlink("d", climb(host)).add("d/.wh..wh..opq", b""),
    lambda layer, host: layer.symlink("f", climb(host) + "/canary").add("f", b"dead"),
    lambda layer, host: layer.add(".", type=tarfile.SYMTYPE, link=str(host)).add("evil", b"x"),
    lambda layer, host: layer.symlink("x", "/proc/self/root" + str(host)).add("x/evil", b"x"),
], ids=["dotdot", "absolute", "symlink", "climbing-symlink", "hardlink", "chain", "replaced-parent", "whiteout", "opaque", "over-symlink",
        "root-is-link", "proc-root"])
def test_layers_cannot_write_outside(sampan, registry, canary, build):
    name = push(registry, build(LayerTar(), canary))
    sampan.run("pull", "-q", name, code=None)
    check(canary)


@pytest.mark.parametrize("place", ["dev", "proc", "sys", "etc", "etc/hosts", "etc/resolv.conf", "etc/hostname", "dev/null", "dev/console",
                                   "dev/pts", "dev/shm", "sys/fs", "sys/fs/cgroup", "proc/sys"])
@pytest.mark.parametrize("kind", ["absolute", "climbing"])
def test_links_where_the_engine_mounts(sampan, registry, canary, place, kind):
    layer = LayerTar()
    if "/" not in place or place.startswith("etc/"):
        layer.add(os.path.join(os.path.dirname(place), ".wh." + os.path.basename(place)), b"")
    layer.symlink(place, str(canary) if kind == "absolute" else climb(canary))
    name = push(registry, layer, name=f"links-{place.replace('/', '-').replace('.', '')}-{kind}")
    sampan.run("run", "--rm", name, "true", code=None)
    sampan.run("run", "--rm", "-t", name, "true", code=None)
    check(canary)


@pytest.mark.parametrize("config", [
    {"WorkingDir": "/link/made"},
    {"Volumes": {"/link/made": {}}},
    {"WorkingDir": "/proc/self/fd/3"},
    {"WorkingDir": "/proc/self/fd/7/../../.."},
    {"Volumes": {"/../../../../etc": {}}},
], ids=["workdir", "volume", "fd3", "fd7", "climbing-volume"])
def test_paths_of_the_configuration(sampan, registry, canary, config):
    layer = LayerTar().symlink("link", climb(canary))
    name = push(registry, layer, config, name="paths")
    done = sampan.run("run", "--rm", name, "sh", "-c", "pwd; ls -a", code=None)
    assert "canary" not in done.stdout
    check(canary)
    sampan.run("rmi", "-f", name, code=None)


@pytest.mark.parametrize("fd", range(3, 20))
def test_no_descriptor_leads_out(engine, busybox, fd):
    """CVE-2024-21626: a working directory through a descriptor that the engine left open."""
    done = engine.run("run", "--rm", "-w", f"/proc/self/fd/{fd}", busybox, "sh", "-c", "ls -d ../../../../../../etc/sampan-host 2>/dev/null; pwd", code=None)
    assert done.returncode != 0 or done.stdout.strip().startswith("/")
    engine.run("run", "-d", "--name", "target", busybox, "sleep", "30")
    done = engine.run("exec", "-w", f"/proc/self/fd/{fd}", "target", "pwd", code=None)
    assert done.returncode != 0 or done.stdout.strip().startswith("/")


@pytest.mark.parametrize("user", ["4294967296", "4294967295", "2147483648", "99999999999999999999", "-1", "root\n", "1:4294967296"])
def test_users_of_the_configuration(sampan, registry, user):
    layer = LayerTar().add("etc/passwd", f"root:x:0:0::/:/bin/sh\n{user.split(':')[0]}:x:0:0::/:/bin/sh\n".encode())
    name = push(registry, layer, {"User": user}, name="users")
    sampan.run("run", "--rm", name, "id", code=125)
    sampan.run("rmi", "-f", name)


@pytest.mark.parametrize("env", [["HOME"], ["AWS_*"], ["=x"], ["PATH*"]])
def test_environment_of_the_configuration(sampan, registry, env):
    """CVE-2026-57231's family: an entry without `=` must not be looked up on the host."""
    name = push(registry, LayerTar().add("e", b""), {"Env": env}, name="env")
    done = sampan.run("run", "--rm", name, "env", code=None, env={**os.environ, "AWS_SECRET": "leaked"})
    assert "leaked" not in done.stdout and os.environ.get("HOME", "/root") + "\nleak" not in done.stdout
    assert done.returncode == 125 or "AWS" not in done.stdout


ACCOUNTS = {"etc/passwd": b"x:x:1:1::/:\n", "etc/group": b"x:x:1:\n"}


def strange_file(path, content):
    layer = LayerTar()
    if content == "fifo":
        return layer.add(path, type=tarfile.FIFOTYPE)
    if content == "device":
        return layer.add(path, type=tarfile.CHRTYPE, device=(1, 5))
    if content == "link":
        return layer.symlink(path, climb("/etc/shadow"))
    return layer.add(path, {"huge": ACCOUNTS[path] * ((40 << 20) // len(ACCOUNTS[path])), "endless-line": b"a" * (20 << 20),
                            "many-members": b"big:x:7:" + b"root," * (4 << 20) + b"\n"}[content])


@pytest.mark.parametrize("path, content", [
    *((path, content) for path in ACCOUNTS for content in ("fifo", "huge", "device", "link", "endless-line")),
    ("etc/group", "many-members")])
def test_strange_files_of_accounts(sampan, registry, canary, path, content):
    """CVE-2026-47262: what is read of an image for a user. A name is not found there, and a number needs nothing of it."""
    name = push(registry, strange_file(path, content), name="accounts")
    named = ["-u", "someone"] if path == "etc/passwd" else ["-u", "0:nobodys"]
    for words in (named, ["--group-add", "nobodys"]):
        sampan.run("run", "--rm", *words, name, "true", code=125, timeout=30)
    # Not by `id`, which reads the files itself.
    done = sampan.run("run", "--rm", "-u", "1000:1000", "--group-add", "55", name, "grep", "Groups:", "/proc/self/status", code=None, timeout=30)
    assert done.returncode == 125 or "55" in done.stdout.split(), (done.stdout, done.stderr)
    sampan.run("rmi", "-f", name)


def test_no_socket_of_the_engine_has_an_abstract_name(engine, busybox):
    """CVE-2020-15257: whoever shares the host's network could reach it."""
    def names():
        return {line.split()[-1] for line in open("/proc/net/unix") if " @" in line}
    before = names()
    engine.run("run", "-d", "-i", "--network", "host", "--name", "shares", busybox, "sleep", "30")
    engine.run("exec", "shares", "true")
    assert names() == before
    assert engine.out("exec", "shares", "grep", "-c", " @", "/proc/net/unix", code=None).strip() == str(len(before))
    engine.run("rm", "-f", "shares")


def test_no_crypto_sockets(engine, busybox, tmp_path):
    """CVE-2026-31431 needs a socket of AF_ALG, which the kernel has and docker's profile leaves out."""
    source = tmp_path / "crypto.c"
    source.write_text("#include <sys/socket.h>\n#include <errno.h>\nint main(void) { return socket(38, SOCK_SEQPACKET, 0) < 0 ? errno : 0; }\n")
    subprocess.run(["cc", "-static", "-o", tmp_path / "crypto", source], check=True)
    run = lambda *words: engine.run("run", "--rm", "-v", f"{tmp_path}:/t:ro", *words, busybox, "/t/crypto", code=None).returncode  # noqa: E731
    assert run() == errno.EPERM
    assert run("--security-opt", "seccomp=unconfined") in (0, errno.EAFNOSUPPORT)


def test_labels_and_annotations_drive_nothing(sampan, registry, canary):
    labels = {"containerd.io/restart.loguri": f"binary:///bin/touch?{canary}/evil", "run.oci.hooks": "x", "io.podman.annotations.init": "1",
              "org.systemd.property.ExecStart": f"/bin/touch {canary}/evil", "\u001b]0;x\u0007": "\u001b[2J"}
    name = push(registry, LayerTar().add("l", b""), {"Labels": labels}, name="labels")
    sampan.run("run", "-d", "--name", "labelled", name, "sleep", "30")
    assert "\x1b" not in sampan.run("ps", "--format", "table {{.Names}}\t{{.Labels}}").stdout
    check(canary)


def test_a_mount_target_swapped_while_mounting(sampan, registry, canary, tmp_path):
    """CVE-2021-30465's family: the target is a link in a shared volume that somebody keeps swapping."""
    shared = tmp_path / "shared"
    (shared / "real").mkdir(parents=True)
    name = push(registry, LayerTar().add("s", b""), name="swap")
    sampan.run("pull", "-q", name)
    swapper = sampan.start("run", "--rm", "--name", "swapper", "-v", f"{shared}:/s", name, "sh", "-c",
                           f"cd /s; while :; do mv real kept 2>/dev/null; ln -s {climb(canary)} real; rm real; mv kept real; done")
    try:
        for _ in range(12):
            sampan.run("run", "--rm", "-v", f"{shared}:/s", "--tmpfs", "/s/real/inner", name, "sh", "-c", "touch /s/real/inner/x", code=None)
            check(canary)
    finally:
        sampan.run("rm", "-f", "swapper", code=None)
        swapper.wait(20)
