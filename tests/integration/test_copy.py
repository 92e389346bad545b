"""cp by docker's rules: each row of these tables is what dockerd 20.10 answers to the same words."""

import io
import os
import pathlib
import stat
import subprocess
import tarfile

import pytest

SETUP = """
mkdir -p /s/d/e /s/dest; echo 1 >/s/f; echo 2 >/s/d/e/g; echo old >/s/old; ln -s f /s/lf; ln -s d /s/ld; ln -s nowhere /s/dang
ln -s /s/dest /s/lt; ln -s /s/newf /s/ln; chown 5:6 /s/f; chmod 4755 /s/f; echo v >/vol/v
"""


@pytest.fixture
def box(engine, busybox):
    engine.run("run", "-d", "--name", "box", "-v", "/vol", "-v", "named:/ro/vol:ro", busybox, "sleep", "1000")
    engine.run("exec", "box", "sh", "-c", SETUP)
    yield engine
    engine.run("rm", "-f", "-v", "box", code=None)


@pytest.fixture(params=["running", "stopped"])
def state(request, box):
    if request.param == "stopped":
        box.run("stop", "-t", "0", "box")
    return box


@pytest.fixture
def host(tmp_path):
    folder = tmp_path / "host"
    (folder / "dir/s").mkdir(parents=True)
    (folder / "f").write_text("hello")
    (folder / "dir/s/g").write_text("g")
    (folder / "lf").symlink_to("f")
    (folder / "ld").symlink_to("dir")
    (folder / "ex").write_text("e")
    (folder / "exd").mkdir()
    os.chown(folder / "f", 123, 456)
    return folder


def content(path):
    if path.is_symlink():
        return "-> " + os.readlink(path)
    return path.read_text() if path.is_file() else sorted(str(p.relative_to(path)) for p in path.rglob("*"))


# Words of the two arguments; what is then at a path of the host, or a part of the error.
OUT = [
    ("box:/s/f", "o", "o", "1\n"),
    ("box:s/f", "o", "o", "1\n"),
    ("box:/s/f", "exd", "exd/f", "1\n"),
    ("box:/s/f", "ex", "ex", "1\n"),
    ("box:/s/f", "lf", "f", "1\n"),
    ("box:/s/f", "ld", "dir/f", "1\n"),
    ("box:/s/d", "o", "o", ["e", "e/g"]),
    ("box:/s/d", "o/", "o", ["e", "e/g"]),
    ("box:/s/d", "exd", "exd", ["d", "d/e", "d/e/g"]),
    ("box:/s/d/", "exd/", "exd", ["d", "d/e", "d/e/g"]),
    ("box:/s/d/.", "exd", "exd", ["e", "e/g"]),
    ("box:/s/d/.", "o", "o", ["e", "e/g"]),
    ("box:/s/lf", "o", "o", "-> f"),
    ("box:/s/ld", "o", "o", "-> d"),
    ("box:/s/dang", "o", "o", "-> nowhere"),
    ("box:/s/ld/", "o", "o", ["e", "e/g"]),
    ("box:/s/ld/.", "o", "o", ["e", "e/g"]),
    ("-L box:/s/lf", "o", "o", "1\n"),
    ("-L box:/s/ld", "exd", "exd", ["ld", "ld/e", "ld/e/g"]),
    ("box:/vol/v", "o", "o", "v\n"),
    ("box:/s/f", "o/", "no such directory", None),
    ("box:/s/f", "no/x", "invalid output path: directory", None),
    ("box:/s/f/", "o", "not a directory", None),
    ("box:/s/d", "ex", "cannot copy directory", None),
    ("box:/nope", "o", "Could not find the file /nope in container box", None),
    ("box:/s/f", "/dev/null", "must be a directory or a regular file", None),
    ("-L box:/s/dang", "o", "Could not find the file", None),
]


@pytest.mark.parametrize("source,target,where,wanted", OUT, ids=[f"{a}_{b}".replace("/", ":") for a, b, *_ in OUT])
def test_out_of_a_container(box, host, source, target, where, wanted):
    done = box.run("cp", *source.split(), target, cwd=host, code=None)
    if wanted is None:
        assert done.returncode == 1 and where in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert content(host / where) == wanted


IN = [
    ("f", "/s/n", "/s/n", "hello"),
    ("f", "/s/dest", "/s/dest/f", "hello"),
    ("f", "/s/dest/", "/s/dest/f", "hello"),
    ("f", "s/rel", "/s/rel", "hello"),
    ("f", "/s/old", "/s/old", "hello"),
    ("f", "/s/lt", "/s/dest/f", "hello"),
    ("f", "/s/ln", "/s/newf", "hello"),
    ("f", "/s/dang", "/s/nowhere", "hello"),
    ("f", "/vol/n", "/vol/n", "hello"),
    ("dir", "/s/nd", "/s/nd/s/g", "g"),
    ("dir/", "/s/nd", "/s/nd/s/g", "g"),
    ("dir/.", "/s/nd", "/s/nd/s/g", "g"),
    ("dir", "/s/dest", "/s/dest/dir/s/g", "g"),
    ("dir/.", "/s/dest", "/s/dest/s/g", "g"),
    ("dir", "/s/ld", "/s/d/dir/s/g", "g"),
    ("ld/", "/s/nd", "/s/nd/s/g", "g"),
    ("-L lf", "/s/n", "/s/n", "hello"),
    ("-L ld", "/s/dest", "/s/dest/ld/s/g", "g"),
    ("f", "/s/nodir/", "no such directory", None),
    ("f", "/s/dang/", "no such directory", None),
    ("f", "/s/no/x", "Could not find the file /s/no in container box", None),
    ("f/", "/s/dest", "not a directory", None),
    ("dir", "/s/old", "cannot copy directory", None),
    ("dir", "/s/x/y", "Could not find the file /s/x in container box", None),
    ("nope", "/s", "no such file or directory", None),
    ("f", "/ro/vol/x", "mounted volume is marked read-only", None),
    ("f", "", "no such directory", None),
]


@pytest.mark.parametrize("source,target,where,wanted", IN, ids=[f"{a}_{b}".replace("/", ":") for a, b, *_ in IN])
def test_into_a_container(state, host, source, target, where, wanted):
    done = state.run("cp", *source.split(), f"box:{target}", cwd=host, code=None)
    if wanted is None:
        assert done.returncode == 1 and where in done.stderr
        return
    assert done.returncode == 0, done.stderr
    state.run("start", "box")
    assert state.run("exec", "box", "cat", where).stdout == wanted


def test_a_directory_and_a_file_never_replace_each_other(box, host):
    box.run("exec", "box", "sh", "-c", "mkdir /s/dest/f; ln -s /tmp /s/dest/dir")
    assert "cannot overwrite directory" in box.run("cp", "f", "box:/s/dest", cwd=host, code=1).stderr
    assert "cannot overwrite non-directory" in box.run("cp", "dir", "box:/s/dest", cwd=host, code=1).stderr


def test_owners_modes_and_times(box, host):
    os.utime(host / "f", (1_000_000_000, 1_000_000_000))
    os.chmod(host / "f", 0o640)
    box.run("cp", "f", "box:/s/n", cwd=host)
    assert box.out("exec", "box", "stat", "-c", "%u %g %a %Y", "/s/n") == "123 456 640 1000000000"
    box.run("cp", "box:/s/f", "o", cwd=host)
    assert (host / "o").stat().st_uid == os.geteuid() and stat.S_IMODE((host / "o").stat().st_mode) == 0o755
    box.run("cp", "-a", "box:/s/f", "o", cwd=host)
    info = (host / "o").stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (5, 6, 0o4755)


def test_a_setgid_directory_gives_its_group_to_nothing_copied(box, host):
    (host / "dir/f").write_text("f")
    (host / "dir/l").symlink_to("f")
    box.run("exec", "box", "sh", "-c", "mkdir /s/shared; chgrp 50 /s/shared; chmod 2775 /s/shared")
    for source in ("dir/f", "dir/l", "dir"):
        box.run("cp", host / source, "box:/s/shared")
    with tarfile.open(host / "files.tar", "w") as tar:
        tar.add(host / "ex", "from-tar")
    with open(host / "files.tar", "rb") as stream:
        box.run("cp", "-", "box:/s/shared", stdin=stream)
    groups = box.out("exec", "box", "sh", "-c", "stat -c %g /s/shared/* /s/shared/dir/*").split()
    assert len(groups) >= 7 and set(groups) == {"0"}


def test_archive_mode_gives_files_to_the_containers_user(engine, busybox, host):
    engine.run("create", "--name", "own", "--user", "7:8", busybox, "true")
    engine.run("cp", "-a", "f", "own:/tmp/x", cwd=host)
    engine.run("cp", "-a", "own:/tmp/x", "o", cwd=host)
    assert ((host / "o").stat().st_uid, (host / "o").stat().st_gid) == (7, 8)


def test_what_is_said(box, host):
    assert box.run("cp", "f", "box:/s/n", cwd=host).stderr == "Successfully copied 2.05kB to box:/s/n\n"
    assert box.run("cp", "box:/s/n", "o", cwd=host).stderr == "Successfully copied 2.05kB to o\n"
    assert box.run("cp", "-q", "box:/s/n", "o", cwd=host).stderr == ""
    assert "at least one container" in box.run("cp", "f", "g", cwd=host, code=1).stderr
    assert "between containers is not supported" in box.run("cp", "box:/f", "box:/g", code=1).stderr
    assert "No such container: nope" in box.run("cp", "f", "nope:/tmp", cwd=host, code=1).stderr


TREE = ["s/", "s/d/", "s/d/e/", "s/d/e/g", "s/dang", "s/dest/", "s/f", "s/ld", "s/lf", "s/ln", "s/lt", "s/old"]


@pytest.mark.parametrize("source,names", [("/s", TREE), ("/s/", TREE), ("/s/.", ["./" + n[2:] for n in TREE]),
                                          ("/s/f", ["f"]), ("/s/lf", ["lf"]), ("/s/ld/", ["ld/", "ld/e/", "ld/e/g"]),
                                          ("/s/ld/.", ["./", "./e/", "./e/g"])])
def test_a_tar_stream_out(state, source, names):
    done = subprocess.run(state.command("cp", f"box:{source}", "-"), capture_output=True)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    archive = tarfile.open(fileobj=io.BytesIO(done.stdout))
    assert [m.name + ("/" if m.isdir() else "") for m in archive] == names
    for member in archive:
        if member.name.endswith("/f"):
            assert (member.uid, member.gid, member.mode, archive.extractfile(member).read()) == (5, 6, 0o4755, b"1\n")


def make_tar(compression=""):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name, kind, more in [("a/b/file", tarfile.REGTYPE, b"text"), ("a/hard", tarfile.LNKTYPE, "a/b/file"),
                                 ("a/link", tarfile.SYMTYPE, "b/file"), ("a/fifo", tarfile.FIFOTYPE, None),
                                 ("d", tarfile.DIRTYPE, None), ("viald/x", tarfile.REGTYPE, b"x")]:
            member = tarfile.TarInfo(name)
            member.type, member.uid, member.gid, member.mode, member.mtime = kind, 11, 12, 0o751, 1_000_000_001
            data = b""
            if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
                member.linkname = more
            elif more:
                data, member.size = more, len(more)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["", "gz"])
def test_a_tar_stream_in(state, compression):
    done = subprocess.run(state.command("cp", "-", "box:/s/lt"), input=make_tar(compression), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"Successfully copied" in done.stderr
    state.run("start", "box")
    seen = state.out("exec", "box", "sh", "-c", "cd /s/dest; stat -c '%n %F %u %g %a %h' a a/* a/b/* d viald/x; cat a/link")
    assert "a/b/file regular file 11 12 751 2" in seen and "a/hard regular file 11 12 751 2" in seen
    assert "a/link symbolic link 11 12 777 1" in seen and "a/fifo fifo 11 12 751 1" in seen
    assert "a directory 0 0 755" in seen and "d directory 11 12 751" in seen and seen.endswith("text")


@pytest.mark.parametrize("target", ["/s/none", "/s/f", "/s/none/"])
def test_a_tar_stream_goes_into_directories_only(box, target):
    done = subprocess.run(box.command("cp", "-", f"box:{target}"), input=make_tar(), capture_output=True)
    assert done.returncode == 1 and f'destination "box:{target}" must be a directory'.encode() in done.stderr


def test_a_read_only_root_takes_nothing_but_its_volumes_do(engine, busybox, host):
    engine.run("run", "-d", "--name", "ror", "--read-only", "-v", "/vol", busybox, "sleep", "1000")
    for _ in range(2):
        assert "container rootfs is marked read-only" in engine.run("cp", "f", "ror:/tmp/x", cwd=host, code=1).stderr
        engine.run("cp", "f", "ror:/vol/x", cwd=host)
        engine.run("cp", "ror:/vol/x", "o", cwd=host)
        engine.run("stop", "-t", "0", "ror")


def test_volumes_of_a_container_that_never_ran(engine, busybox, host):
    engine.run("create", "--name", "carrier", "-v", "data:/not/there/yet", "-v", f"{host}/exd:/bound", busybox, "true")
    engine.run("cp", "dir", "carrier:/not/there/yet", cwd=host)
    engine.run("cp", "f", "carrier:/bound/f", cwd=host)
    assert (host / "exd/f").read_text() == "hello"
    assert engine.out("run", "--rm", "-v", "data:/d", busybox, "cat", "/d/dir/s/g") == "g"
    engine.run("cp", "carrier:/not/there/yet/dir", "o", cwd=host)
    assert content(host / "o") == ["s", "s/g"]
    assert engine.out("diff", "carrier") == ""


def test_files_of_proc_and_the_engines_own(box, host):
    box.run("cp", "box:/proc/version", "version", cwd=host)
    assert (host / "version").read_text() == pathlib.Path("/proc/version").read_text()
    done = subprocess.run(box.command("cp", "box:/proc/version", "-"), capture_output=True)
    assert tarfile.open(fileobj=io.BytesIO(done.stdout)).next().size == len((host / "version").read_text())
    box.run("cp", "f", "box:/etc/hosts", cwd=host)  # a mount of its own: written in place
    assert box.run("exec", "box", "cat", "/etc/hosts").stdout == "hello"
    assert "must be a directory or a regular file" in box.run("cp", "f", "box:/dev/null", cwd=host, code=1).stderr


def test_big_sparse_and_linked_files(box, host):
    with open(host / "sparse", "wb") as file:
        file.seek(300 << 20)
        file.write(b"end")
    (host / "links").mkdir()
    os.rename(host / "sparse", host / "links/a")
    os.link(host / "links/a", host / "links/b")
    box.run("cp", "links", "box:/s/links", cwd=host)
    seen = box.out("exec", "box", "stat", "-c", "%h %s %b", "/s/links/a").split()
    assert seen[:2] == ["2", str((300 << 20) + 3)] and int(seen[2]) < 1000
    box.run("cp", "box:/s/links", "back", cwd=host)
    info = (host / "back/b").stat()
    assert info.st_nlink == 2 and info.st_blocks < 1000
    assert subprocess.run(["cmp", host / "back/a", host / "links/a"]).returncode == 0


def test_a_killed_cp_leaves_nothing_mounted_and_the_container_starts(box, host):
    (host / "big").write_bytes(os.urandom(1 << 20) * 200)
    box.run("stop", "-t", "0", "box")
    command = box.start("cp", str(host / "big"), "box:/s/big", stderr=subprocess.DEVNULL)
    try:
        command.wait(0.1)
    except subprocess.TimeoutExpired:
        command.kill()
        command.wait()
    assert str(box.root) not in pathlib.Path("/proc/self/mounts").read_text()
    box.run("start", "box")
    assert box.out("exec", "box", "cat", "/s/old") == "old"
