"""volume create, ls, inspect, rm, prune; -v, --mount, --tmpfs, --volumes-from and what the image says about volumes."""

import json
import os
import subprocess

import image as images
import pytest


@pytest.fixture(autouse=True)
def no_volumes(engine):
    yield
    engine.remove_all()
    engine.run("volume", "prune", "-f", "-a")
    assert engine.out("volume", "ls", "-q") == ""


def volume(engine, name):
    return json.loads(engine.out("volume", "inspect", name))[0]


# The volume commands.

def test_create_ls_inspect_rm(engine):
    assert engine.out("volume", "create", "--label", "a=1", "--label", "b", "data") == "data"
    assert engine.out("volume", "create", "data") == "data"  # a second time nothing changes
    told = volume(engine, "data")
    assert told["Labels"] == {"a": "1", "b": ""} and told["Driver"] == "local" and told["Scope"] == "local"
    assert told["Options"] is None and os.path.isdir(told["Mountpoint"]) and told["CreatedAt"].endswith("Z")
    assert engine.out("volume", "ls").split("\n")[0].split() == ["DRIVER", "VOLUME", "NAME"]
    assert engine.out("volume", "ls", "--format", "{{.Name}} {{.Label \"a\"}} {{.Labels}}") == "data 1 a=1,b="
    assert json.loads(engine.out("volume", "ls", "--format", "json"))["Mountpoint"] == told["Mountpoint"]
    assert engine.out("volume", "inspect", "-f", "{{.Name}}", "data") == "data"
    assert engine.out("volume", "rm", "data") == "data"
    assert not os.path.exists(told["Mountpoint"])
    assert "get data: no such volume" in engine.run("volume", "rm", "data", code=1).stderr
    assert "get data: no such volume" in engine.run("volume", "inspect", "data", code=1).stderr
    engine.run("volume", "rm", "-f", "data")


def test_a_volume_without_a_name_is_anonymous(engine):
    name = engine.out("volume", "create")
    assert len(name) == 64 and volume(engine, name)["Labels"] == {"com.docker.volume.anonymous": ""}
    engine.run("volume", "create", "kept")
    engine.run("volume", "prune", "-f")
    assert engine.out("volume", "ls", "-q") == "kept"


def test_filters(engine, busybox):
    engine.run("volume", "create", "--label", "team=red", "one")
    engine.run("volume", "create", "--label", "team=blue", "two")
    engine.run("create", "-v", "two:/data", busybox)
    names = lambda *filters: engine.out("volume", "ls", "-q", *(f"--filter={each}" for each in filters)).split()
    assert names("label=team") == ["one", "two"] and names("label=team=red") == ["one"]
    assert names("name=tw") == ["two"] and names("name=one", "name=two") == ["one", "two"]
    assert names("name=^one$") == ["one"] and names("name=^o$") == [] and names("name=[") == []
    assert names("dangling=true") == ["one"] and names("dangling=false") == ["two"]
    assert names("driver=local", "label=team=blue") == ["two"] and names("driver=other") == []
    assert "invalid filter 'bogus'" in engine.run("volume", "ls", "--filter", "bogus=1", code=1).stderr


def test_a_volume_in_use_stays(engine, busybox):
    first = engine.out("create", "-v", "data:/data", busybox)
    second = engine.out("create", "--mount", "source=data,target=/data", busybox)
    refused = engine.run("volume", "rm", "data", code=1).stderr
    assert "remove data: volume is in use - [" in refused and first in refused and second in refused
    engine.run("volume", "prune", "-f", "-a")
    assert engine.out("volume", "ls", "-q") == "data"
    engine.run("rm", "-v", first, second)  # named ones outlive their containers
    assert engine.out("volume", "rm", "data") == "data"


@pytest.mark.parametrize("words, told", [
    (["-d", "other", "x1"], 'error looking up volume plugin other: plugin "other" not found'),
    (["-o", "bogus=1", "x1"], 'create x1: invalid option: "bogus"'),
    (["-o", "type=tmpfs", "x1"], 'create x1: missing required option: "device"'),
    (["bad/name"], 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'),
])
def test_what_the_local_driver_refuses(engine, words, told):
    assert told in engine.run("volume", "create", *words, code=1).stderr


def test_driver_option_tmpfs(engine, busybox):
    engine.run("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=0700", "ram")
    assert volume(engine, "ram")["Options"] == {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=0700"}
    out = engine.out("run", "--rm", "-v", "ram:/var/www", busybox, "sh", "-c", "df -k /var/www | tail -1; cat /var/www/index.html; stat -c %a /var/www")
    assert "tmpfs" in out and "1024" in out and "<h1>sampan</h1>" in out and out.endswith("700")
    inline = 'type=volume,source=ram2,target=/r,volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=2m,mode=0755"'
    assert "2048" in engine.out("run", "--rm", "--mount", inline, busybox, "df", "-k", "/r")


def test_driver_option_bind(engine, busybox, tmp_path):
    (tmp_path / "file").write_text("bound")
    engine.run("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind", "here")
    assert engine.out("run", "--rm", "-v", "here:/data", busybox, "cat", "/data/file") == "bound"
    engine.run("volume", "rm", "here")
    assert (tmp_path / "file").exists()


def test_driver_option_block_device(engine, busybox, tmp_path):
    disk = tmp_path / "disk"
    subprocess.run(["truncate", "-s", "8M", disk], check=True)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    loop = subprocess.run(["losetup", "-f", "--show", disk], capture_output=True, text=True, check=True).stdout.strip()
    try:
        engine.run("volume", "create", "-o", "type=ext4", "-o", f"device={loop}", "disk")
        engine.run("run", "--rm", "-v", "disk:/data", busybox, "sh", "-c", "grep ' /data ext4 ' /proc/mounts && echo kept > /data/file")
        assert engine.out("run", "--rm", "-v", "disk:/data:ro", busybox, "cat", "/data/file") == "kept"
    finally:
        engine.remove_all()
        subprocess.run(["losetup", "-d", loop], check=True)


# Mounts.

def test_modes_of_v(engine, busybox, tmp_path):
    for mode in ("z", "Z", "ro,z", "rw", "cached", "rslave,ro"):
        engine.run("run", "--rm", "-v", f"{tmp_path}:/data:{mode}", busybox, "true")
    for bad in ("bogus", "ro,rw", "z,Z", "rslave,rshared", ""):
        assert f"invalid mode: {bad}" in engine.run("create", "-v", f"{tmp_path}:/data:{bad}", busybox, code=1).stderr
    assert "field VolumeOptions must not be specified" in engine.run("create", "-v", f"{tmp_path}:/data:nocopy", busybox, code=1).stderr
    assert "field BindOptions must not be specified" in engine.run("create", "-v", "data:/data:rslave", busybox, code=1).stderr


def test_propagation(engine, busybox, tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
    subprocess.run(["mount", "--make-shared", tmp_path], check=True)
    (tmp_path / "sub").mkdir()
    try:
        for mode, seen in (("rslave", "1"), ("rprivate", "0")):
            engine.run("run", "-d", "--name", mode, "-v", f"{tmp_path}:/data:{mode}", busybox, "sleep", "1000")
            subprocess.run(["mount", "-t", "tmpfs", "late", tmp_path / "sub"], check=True)
            out = engine.out("exec", mode, "sh", "-c", "grep -c ' /data/sub ' /proc/mounts || true")
            subprocess.run(["umount", tmp_path / "sub"], check=True)
            assert out == seen, mode
        engine.run("run", "--rm", "--cap-add", "SYS_ADMIN", "-v", f"{tmp_path}:/data:rshared", busybox, "mount", "-t", "tmpfs", "in", "/data/sub")
        assert f" {tmp_path}/sub tmpfs" in open("/proc/mounts").read()
        subprocess.run(["umount", tmp_path / "sub"], check=True)
    finally:
        engine.remove_all()
        subprocess.run(["umount", tmp_path], check=True)


def test_read_only_binds_are_so_all_the_way_down(engine, busybox, tmp_path):
    (tmp_path / "sub").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path / "sub"], check=True)
    touch = lambda *mount: engine.run("run", "--rm", *mount, busybox, "touch", "/data/sub/x", code=None)
    try:
        assert "Read-only file system" in touch("-v", f"{tmp_path}:/data:ro").stderr
        base = f"type=bind,source={tmp_path},target=/data,readonly"
        assert "Read-only file system" in touch("--mount", base).stderr
        assert touch("--mount", base + ",bind-recursive=writable").returncode == 0
        (tmp_path / "sub" / "there").touch()
        out = engine.out("run", "--rm", "--mount", base + ",bind-nonrecursive", busybox, "ls", "/data/sub")
        assert out == ""
    finally:
        subprocess.run(["umount", tmp_path / "sub"], check=True)


def test_idmap_keeps_the_owner(engine, busybox, tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    (source / "old").write_text("x")
    for path in (source, source / "old"):
        os.chown(path, 1234, 2345)
    out = engine.out("run", "--rm", "-v", f"{source}:/src:idmap", busybox, "sh", "-c", "stat -c %u:%g /src/old; touch /src/new; id -u")
    assert out.split() == ["0:0", "0"]
    made = (source / "new").stat()
    assert (made.st_uid, made.st_gid) == (1234, 2345)
    engine.run("run", "--rm", "-u", "77:88", "-v", f"{source}:/src:idmap", busybox, "touch", "/src/other")
    assert ((source / "other").stat().st_uid, (source / "other").stat().st_gid) == (1234, 2345)
    engine.run("run", "--rm", "-v", f"{source}:/src:idmap=uids=1234-5-1;gids=2345-6-1", "-u", "5:6", busybox, "touch", "/src/third")
    assert (source / "third").stat().st_uid == 1234
    assert "invalid idmap" in engine.run("create", "-v", f"{source}:/src:idmap=uids=1-2", busybox, code=1).stderr


def test_subpath(engine, busybox):
    engine.run("run", "--rm", "-v", "data:/d", busybox, "sh", "-c", "mkdir -p /d/a/b; echo deep > /d/a/b/file; ln -s /etc /d/out; ln -s a/b /d/in")
    mount = lambda path: f"type=volume,source=data,target=/here,volume-subpath={path}"
    assert engine.out("run", "--rm", "--mount", mount("a/b"), busybox, "cat", "/here/file") == "deep"
    assert engine.out("run", "--rm", "--mount", mount("a/b/file"), busybox, "cat", "/here") == "deep"
    assert engine.out("run", "--rm", "--mount", mount("in"), busybox, "cat", "/here/file") == "deep"
    # A link out of the volume stays in it: there is no /etc there.
    assert "No such file" in engine.run("run", "--rm", "--mount", mount("out"), busybox, "ls", "/here", code=125).stderr
    assert "No such file" in engine.run("run", "--rm", "--mount", mount("../../x"), busybox, "ls", "/here", code=125).stderr


@pytest.mark.parametrize("mount, told", [
    ("type=bind,target=/b", "field Source must not be empty"),
    ("type=bogus,target=/b", "invalid mount type: bogus"),
    ("type=bind,source=/a,target=/b,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
    ("type=volume,target=/b,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
    ("type=volume,target=/b,bind-propagation=slave", "cannot mix 'bind-*' options with mount type 'volume'"),
    ("type=tmpfs,source=/x,target=/b", "field Source must not be specified"),
    ("type=bind,source=/a,target=/b,bind-recursive=maybe", "invalid value for bind-recursive: maybe"),
    ("type=bind,source=/a,target=/b,bogus=1", "unexpected key 'bogus' in 'bogus=1'"),
    ("type=volume,volume-driver=x,target=/b", 'plugin "x" not found'),
])
def test_mounts_that_are_refused(engine, busybox, mount, told):
    assert told in engine.run("create", "--mount", mount, busybox, code=1).stderr


def test_tmpfs_options(engine, busybox):
    out = engine.out("run", "--rm", "--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770", busybox, "sh", "-c",
                     "df -k /t | tail -1; stat -c %a /t; grep ' /t ' /proc/mounts")
    assert "1024" in out and "1770" in out and "noexec" in out and "nosuid" in out
    assert "noexec" not in engine.out("run", "--rm", "--tmpfs", "/t:exec", busybox, "grep", " /t ", "/proc/mounts")


def test_volumes_from(engine, busybox, tmp_path):
    (tmp_path / "file").write_text("shared")
    engine.run("create", "--name", "donor", "-v", "data:/data", "-v", f"{tmp_path}:/bind", "-v", "/anonymous", "--tmpfs", "/scratch", busybox)
    out = engine.out("run", "--rm", "--volumes-from", "donor", busybox, "sh", "-c", "cat /bind/file; echo x > /data/x; grep -c ' /anonymous ' /proc/mounts; ls -d /scratch 2>&1 || true")
    assert out.startswith("shared1\n") and "/scratch: No such" in out
    done = engine.run("run", "--rm", "--volumes-from", "donor:ro", busybox, "touch", "/data/y", code=1)
    assert "Read-only file system" in done.stderr
    # Its own mount at the same place wins, and --rm leaves the donor's anonymous volume alone.
    assert engine.out("run", "--rm", "--volumes-from", "donor", "-v", "mine:/data", busybox, "ls", "/data") == ""
    assert len(engine.out("volume", "ls", "-q", "--filter", "dangling=false").split()) == 2
    assert "No such container: nobody" in engine.run("create", "--volumes-from", "nobody", busybox, code=1).stderr
    assert "invalid mode: bogus" in engine.run("create", "--volumes-from", "donor:bogus", busybox, code=1).stderr


# What the image says.

@pytest.fixture(scope="module")
def with_volume(registry):
    """VOLUME at a directory that has a file."""
    registry.push("with-volume", "latest", images.busybox_image(config={"Volumes": {"/var/www": {}}}))
    return f"{registry.host}/with-volume"


def test_anonymous_volumes_are_filled_and_removed(engine, with_volume):
    engine.run("run", "--name", "one", with_volume, "cat", "/var/www/index.html")
    names = engine.out("volume", "ls", "-q").split()
    assert len(names) == 1 and len(names[0]) == 64
    assert volume(engine, names[0])["Labels"] == {"com.docker.volume.anonymous": ""}
    assert json.loads(engine.out("inspect", "one"))[0]["Mounts"][0]["Name"] == names[0]
    engine.run("rm", "one")
    assert engine.out("volume", "ls", "-q").split() == names  # only -v takes them along
    engine.run("volume", "prune", "-f")
    engine.run("run", "--rm", with_volume, "true")
    engine.run("run", "--name", "two", with_volume, "true")
    engine.run("rm", "-v", "two")
    assert engine.out("volume", "ls", "-q") == ""


def test_only_an_empty_volume_is_filled(engine, busybox):
    engine.run("run", "--rm", "-v", "www:/mnt", busybox, "sh", "-c", "echo own > /mnt/own")
    assert engine.out("run", "--rm", "-v", "www:/var/www", busybox, "ls", "/var/www") == "own"


# inspect and --explain.

def test_inspect_shows_mounts(engine, busybox, tmp_path):
    engine.run("create", "--name", "shown", "-v", f"{tmp_path}:/bind:ro,z", "-v", "data:/data", "--tmpfs", "/t:size=1m",
               "--mount", f"type=bind,source={tmp_path},target=/m,bind-propagation=rslave", busybox)
    told = json.loads(engine.out("inspect", "shown"))[0]
    assert told["HostConfig"]["Binds"] == [f"{tmp_path}:/bind:ro,z", "data:/data"]
    assert told["HostConfig"]["Tmpfs"] == {"/t": "size=1m"}
    assert told["HostConfig"]["Mounts"] == [{"Type": "bind", "Source": str(tmp_path), "Target": "/m", "BindOptions": {"Propagation": "rslave"}}]
    mounts = {mount["Destination"]: mount for mount in told["Mounts"]}
    assert (mounts["/bind"]["Mode"], mounts["/bind"]["RW"], mounts["/bind"]["Propagation"]) == ("ro,z", False, "rprivate")
    assert mounts["/data"]["Name"] == "data" and mounts["/data"]["Driver"] == "local" and mounts["/data"]["RW"]
    assert mounts["/m"]["Propagation"] == "rslave" and mounts["/t"]["Type"] == "tmpfs"


def test_explain_shows_mounts_and_makes_nothing(engine, busybox):
    engine.run("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "ram")
    out = engine.out("run", "--explain", "-v", "new:/new", "-v", "ram:/ram", "--mount", "source=ram2,target=/s,volume-subpath=a/b", busybox)
    assert "volume new on /new" in out and "mount tmpfs on /ram" in out and "subpath a/b" in out
    assert engine.out("volume", "ls", "-q") == "ram"


def test_a_link_in_the_image_leads_no_copy_out_of_it(engine, registry, tmp_path):
    """CVE-2022-23648: what is copied into a volume comes from the image, wherever the image's links say it lies."""
    (tmp_path / "secret").write_text("the host's")
    layer = images.LayerTar()
    layer.symlink("var/linked", str(tmp_path))
    layer.symlink("var/inside", "/var/www")
    image = images.busybox_image(config={"Volumes": {"/var/linked": {}, "/var/inside": {}}})
    image.layers.append(layer.bytes())
    registry.push("linked-volume", "latest", image)
    out = engine.out("run", "--rm", f"{registry.host}/linked-volume", "sh", "-c", "ls /var/linked; ls /var/inside")
    assert out == "index.html"
    assert os.listdir(tmp_path) == ["secret"]
