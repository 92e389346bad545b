"""cp and commit while the container works against them (facts: CVE-2018-15664, CVE-2019-14271, CVE-2026-41567, CVE-2026-42306)."""

import io
import os
import pathlib
import stat
import subprocess
import tarfile
import time

import pytest

SECRET = "the host's"
# Swaps a directory and a link that leads out of it, as fast as a container can.
SWAPPER = """
mkdir -p /w/real /w/out; echo inside >/w/real/f; echo inside >/w/out/f
ln -s {canary} /w/link
while :; do mv -T /w/real /w/t 2>/dev/null; mv -T /w/link /w/real 2>/dev/null; mv -T /w/real /w/link 2>/dev/null; mv -T /w/t /w/real 2>/dev/null; done
"""


@pytest.fixture
def canary(tmp_path):
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "f").write_text(SECRET)
    return folder


def test_a_swapped_link_leads_nowhere(engine, busybox, canary, tmp_path):
    """A thousand copies in each direction while the container swaps the path with a link to the host's file."""
    (tmp_path / "payload").write_text("payload")
    engine.run("run", "-d", "--name", "racer", busybox, "sh", "-c", SWAPPER.format(canary=canary))
    rounds = int(os.environ.get("SAMPAN_COPY_ROUNDS", "1000"))
    seen, refused = set(), 0
    for number in range(rounds // 2):
        out = tmp_path / f"out{number % 7}"
        done = engine.run("cp", "-q", "racer:/w/real/f", str(out), code=None)
        refused += done.returncode != 0
        if done.returncode == 0:
            seen.add(out.read_text())
            assert not out.is_symlink()
        engine.run("cp", "-q", str(tmp_path / "payload"), "racer:/w/real/f", code=None)
    assert SECRET not in seen and seen & {"inside\n", "payload"}
    assert refused > 0, "the container swapped nothing"
    assert sorted(os.listdir(canary)) == ["f"] and (canary / "f").read_text() == SECRET


def test_a_swapped_directory_is_not_left_while_a_tree_is_copied(engine, busybox, canary, tmp_path):
    tree = tmp_path / "tree"
    for name in "abcdefgh":
        (tree / name).mkdir(parents=True)
        (tree / name / "f").write_text("payload")
    engine.run("run", "-d", "--name", "racer", busybox, "sh", "-c",
               f"mkdir -p /w/tree; cd /w/tree; while :; do for d in a b c d e f g h; do rm -rf $d; ln -s {canary} $d; rm -f $d; mkdir $d; done; done")
    for _ in range(60):
        engine.run("cp", "-q", str(tree), "racer:/w", code=None)
        subprocess.run(engine.command("cp", "-", "racer:/w/tree"), input=tar_of(tree), capture_output=True)
        done = subprocess.run(engine.command("cp", "racer:/w/tree", "-"), capture_output=True)
        assert SECRET.encode() not in done.stdout
    assert sorted(os.listdir(canary)) == ["f"] and (canary / "f").read_text() == SECRET


def tar_of(folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, ".")
    return buffer.getvalue()


@pytest.mark.parametrize("running", [True, False])
def test_links_in_the_container_stay_in_it(engine, busybox, canary, tmp_path, running):
    (tmp_path / "f").write_text("payload")
    engine.run("run", "-d", "--name", "links", busybox, "sh", "-c",
               f"ln -s {canary} /abs; ln -s ../../../../../../../../..{canary} /rel; ln -s /proc/1/root{canary} /magic; ln -s /proc/self/cwd /cwd;"
               "mkdir -p /x; exec sleep 1000")
    engine.run("exec", "links", "true")
    if not running:
        engine.run("stop", "-t", "0", "links")
    for link in ("/abs", "/rel", "/magic", "/cwd"):
        engine.run("cp", str(tmp_path / "f"), f"links:{link}/f", code=None)
        engine.run("cp", str(tmp_path / "f"), f"links:{link}", code=None)
        got = tmp_path / "got"
        if engine.run("cp", "-L", f"links:{link}/f", str(got), code=None).returncode == 0:
            assert got.read_text() != SECRET
        subprocess.run(engine.command("cp", "-", f"links:{link}"), input=tar_of(tmp_path / "canary"), capture_output=True)
    assert sorted(os.listdir(canary)) == ["f"] and (canary / "f").read_text() == SECRET


def test_nothing_of_the_image_is_executed_or_loaded(engine, busybox, tmp_path):
    """Trojans at the names that engines were led to: decompressors, name service libraries, a shell."""
    engine.run("run", "-d", "--name", "trojan", busybox, "sh", "-c",
               "mkdir -p /usr/bin /usr/sbin /lib /lib64 /usr/lib/x86_64-linux-gnu /etc; t='#!/bin/sh\\necho done >/pwned; echo done >/tmp/pwned';"
               "for n in unpigz pigz gzip xz zstd tar docker-untar getent sh; do printf \"$t\" >/usr/bin/$n; chmod 755 /usr/bin/$n; done;"
               "for n in libnss_files.so.2 libnss_compat.so.2 libnss_dns.so.2 libc.so.6; do echo trojan >/lib/$n; echo trojan >/usr/lib/x86_64-linux-gnu/$n; done;"
               "echo 'passwd: evil' >/etc/nsswitch.conf; exec sleep 1000")
    subprocess.run(engine.command("cp", "-a", "-", "trojan:/tmp"), check=True, capture_output=True,
                   input=subprocess.run(["gzip", "-c"], input=tar_of(tmp_path), capture_output=True).stdout)
    # Whoever follows the copies to their processes sees only our own programs.
    traced = subprocess.run(["strace", "-f", "-e", "trace=execve,execveat,chroot,setns,pivot_root", "-o", tmp_path / "trace",
                             *engine.command("cp", "trojan:/usr", "-")], capture_output=True)
    assert traced.returncode == 0, traced.stderr
    calls = (tmp_path / "trace").read_text()
    for word in ("chroot(", "setns(", "pivot_root(", "unpigz", "/usr/bin/tar"):
        assert word not in calls
    assert engine.run("exec", "trojan", "/bin/ls", "/pwned", code=None).returncode != 0


def test_a_copy_to_the_host_follows_no_link_of_the_containers(engine, busybox, canary, tmp_path):
    """The container's link comes first, then a file below the same name: it must not go through the link."""
    engine.run("run", "-d", "--name", "src", busybox, "sh", "-c", f"mkdir -p /one /two/evil; ln -s {canary} /one/evil; echo pwned >/two/evil/f; exec sleep 1000")
    time.sleep(0.2)
    target = tmp_path / "target"
    engine.run("cp", "src:/one/.", str(target))
    assert (target / "evil").is_symlink()
    done = engine.run("cp", "src:/two/.", str(target), code=1)
    assert "cannot overwrite non-directory" in done.stderr
    assert (canary / "f").read_text() == SECRET


def test_devices_fifos_and_privileges_do_no_harm_on_the_host(engine, busybox, tmp_path):
    engine.run("run", "-d", "--name", "odd", busybox, "sh", "-c",
               "mkdir /odd; mkfifo /odd/fifo; mknod -m 666 /odd/disk b 8 0; cp /bin/busybox /odd/suid; chown 7:7 /odd/suid; chmod 6755 /odd/suid; exec sleep 1000")
    time.sleep(0.2)
    engine.run("cp", "odd:/odd", str(tmp_path / "odd"), timeout=20)
    suid, disk = (tmp_path / "odd/suid").stat(), (tmp_path / "odd/disk").stat()
    assert stat.S_IMODE(suid.st_mode) == 0o755 and suid.st_uid == os.geteuid()
    assert stat.S_ISBLK(disk.st_mode) and stat.S_IMODE(disk.st_mode) & 0o077 == 0
    assert stat.S_ISFIFO((tmp_path / "odd/fifo").stat().st_mode)


NAMES = [("../escape", tarfile.REGTYPE, None), ("a/../../escape", tarfile.REGTYPE, None), ("hard", tarfile.LNKTYPE, "../../../etc/passwd"),
         ("x" * 256, tarfile.REGTYPE, None), ("hard", tarfile.LNKTYPE, "nothing")]


@pytest.mark.parametrize("name,kind,target", NAMES)
def test_archives_that_no_directory_should_take(engine, busybox, name, kind, target):
    engine.run("run", "-d", "--name", "take", busybox, "sh", "-c", "mkdir -p /d/e; exec sleep 1000")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target or ""
        archive.addfile(member)
    time.sleep(0.1)
    done = subprocess.run(engine.command("cp", "-", "take:/d/e"), input=buffer.getvalue(), capture_output=True)
    assert done.returncode == 1 and b"sampan: " in done.stderr
    assert engine.out("exec", "take", "ls", "-A", "/d") == "e"


def test_a_commit_of_moving_files_is_a_whole_image(engine, busybox, canary):
    """Without a pause: what changes meanwhile is cut, filled or left out, and no link is followed."""
    engine.run("run", "-d", "--name", "moving", busybox, "sh", "-c",
               f"mkdir /m; while :; do head -c 300000 /dev/zero >/m/f; : >/m/f; rm -rf /m/d; ln -s {canary} /m/d; rm /m/d; mkdir -p /m/d; echo x >/m/d/f; done")
    for _ in range(15):
        engine.run("commit", "--pause=false", "moving", "whole")
        assert SECRET not in engine.run("run", "--rm", "whole", "sh", "-c", "cat /m/d/f 2>/dev/null; true").stdout
        engine.run("rmi", "whole")
