"""save, load, import, export, and images that lie beside no registry: round trips with podman, docker, skopeo and umoci."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

import pytest

import image as images
from engines import DockerEngine, PodmanEngine, run
from image import Image, LayerTar, busybox_image, busybox_layer

POLICY = ["--insecure-policy"]


def second_layer():
    layer = LayerTar().directory("data/", mode=0o751, uid=7, gid=8)
    layer.add("data/file", b"content\n", mode=0o4755, uid=7, gid=8, pax={"SCHILY.xattr.user.colour": "blue"})
    layer.hardlink("data/again", "data/file").symlink("data/link", "file")
    layer.add("etc/.wh.passwd", b"")
    return layer.bytes()


@pytest.fixture(scope="module")
def two_layers(registry):
    """The name of an image of two layers, compressed in its registry."""
    registry.push("two", "v1", Image([busybox_layer(), second_layer()], config={"Cmd": ["cat", "/data/file"], "Env": ["A=b"]}))
    return f"{registry.host}/two:v1"


@pytest.fixture
def other(tmp_path):
    """A second, empty store."""
    from conftest import Sampan
    store = Sampan(tmp_path / "other", f"other{os.getpid()}")
    store.folder.mkdir()
    yield store
    store.forget()


def image_id(store, name):
    return store.inspect(name, "{{.Id}}")


def members(path):
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() if member.isfile() else None for member in tar}


def check_layout(files):
    """Every blob of an archive is what its name says; returns index.json."""
    for name, data in files.items():
        if name.startswith("blobs/sha256/") and data is not None:
            assert hashlib.sha256(data).hexdigest() == name.split("/")[-1], name
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    return json.loads(files["index.json"])


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_we_save_we_load(sampan, other, two_layers, tmp_path, form):
    sampan.run("pull", "-q", two_layers)
    before = sampan.run("inspect", two_layers).stdout
    sampan.run("save", "--format", form, "-o", tmp_path / "x.tar", two_layers)
    index = check_layout(members(tmp_path / "x.tar"))
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]] == [two_layers]
    assert ("manifest.json" in members(tmp_path / "x.tar")) == (form == "docker-archive")
    done = other.run("load", "-i", tmp_path / "x.tar")
    assert done.stdout == f"Loaded image: {two_layers}\n"
    assert json.loads(before)[0]["RootFS"] == json.loads(other.run("inspect", two_layers).stdout)[0]["RootFS"]
    assert image_id(other, two_layers) == image_id(sampan, two_layers)
    assert other.out("run", "--rm", two_layers) == "content"
    assert other.out("run", "--rm", two_layers, "stat", "-c", "%a %u %h", "/data/again") == "4755 7 2"
    again = other.run("load", "-i", tmp_path / "x.tar")
    assert again.stdout == done.stdout
    # Once more from there: the same images give the same bytes.
    other.run("save", "--format", "docker-archive", "-o", tmp_path / "y.tar", two_layers)
    if form == "docker-archive":
        assert (tmp_path / "y.tar").read_bytes() == (tmp_path / "x.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if ".tmp-" in path.name) == []


def test_several_images_and_tags(sampan, other, busybox, two_layers, tmp_path):
    sampan.run("pull", "-q", busybox)
    sampan.run("pull", "-q", two_layers)
    sampan.run("tag", busybox, "one:a")
    sampan.run("tag", busybox, "one:b")
    with open(tmp_path / "x.tar", "wb") as file:
        assert sampan.start("save", "one", two_layers, stdout=file).wait() == 0
    listed = json.loads(members(tmp_path / "x.tar")["manifest.json"])
    assert [entry["RepoTags"] for entry in listed] == [["one:a", "one:b"], [two_layers]]
    done = other.run("load", "-q", stdin=open(tmp_path / "x.tar"))
    assert sorted(done.stdout.splitlines()) == ["Loaded image: " + name for name in [two_layers, "one:a", "one:b"]]
    assert image_id(other, "one:a") == image_id(other, "one:b") == image_id(sampan, busybox)
    assert other.run("inspect", "one:latest", code=1)
    # By its id it has no name.
    sampan.run("save", "-o", tmp_path / "y.tar", image_id(sampan, busybox))
    assert json.loads(members(tmp_path / "y.tar")["manifest.json"])[0]["RepoTags"] is None
    other.run("rmi", "one:a", "one:b")
    assert other.run("load", "-i", tmp_path / "y.tar").stdout == f"Loaded image ID: {image_id(sampan, busybox)}\n"


@pytest.mark.parametrize("program", ["gzip", "zstd", "xz", "bzip2", ""])
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_compressed_archives(sampan, other, busybox, tmp_path, program, way):
    if program and not shutil.which(program):
        pytest.skip(f"no {program}")
    sampan.run("pull", "-q", busybox)
    sampan.run("save", "-o", tmp_path / "x.tar", busybox)
    path = tmp_path / "x.tar"
    if program:
        path = tmp_path / "x.compressed"
        path.write_bytes(subprocess.run([program, "-c", tmp_path / "x.tar"], stdout=subprocess.PIPE, check=True).stdout)
    if way == "file":
        other.run("load", "-i", path)
    else:
        source = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
        other.run("load", stdin=source.stdout)
        assert source.wait() == 0
    assert other.out("run", "--rm", busybox, "echo", "ok") == "ok"
    assert not list((other.root / "staging").iterdir())


def test_an_oci_archive_has_the_registrys_manifest(sampan, registry, other, tmp_path):
    image = Image([busybox_layer()], compression="", config={"Cmd": ["true"]})
    digest = registry.push("plain", "v1", image)
    sampan.run("pull", "-q", f"{registry.host}/plain:v1")
    sampan.run("save", "--format", "oci-archive", "-o", tmp_path / "x.tar", f"{registry.host}/plain:v1")
    assert [entry["digest"] for entry in json.loads(members(tmp_path / "x.tar")["index.json"])["manifests"]] == [digest]


def test_kept_blobs_make_the_identical_archive(sampan, registry, tmp_path):
    digest = registry.push("kept", "v1", busybox_image())
    sampan.run("pull", "-q", f"{registry.host}/kept:v1")
    if not list((sampan.root / "blobs/sha256").iterdir()):
        pytest.fail("the pull kept no blob")
    sampan.run("save", "--format", "oci-archive", "-o", tmp_path / "x.tar", f"{registry.host}/kept:v1")
    index = check_layout(members(tmp_path / "x.tar"))
    assert [entry["digest"] for entry in index["manifests"]] == [digest]


# Other tools.

@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir"])
def test_what_skopeo_writes_we_run(sampan, two_layers, tmp_path, transport):
    target = f"{transport}:{tmp_path}/x" + ("" if transport == "dir" else ":here:v2")
    run(["skopeo", *POLICY, "copy", "--src-tls-verify=false", f"docker://{two_layers}", target])
    assert sampan.out("run", "--rm", target) == "content"
    names = sampan.out("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert names == ("<none>:<none>" if transport == "dir" else "here:v2")
    sampan.run("pull", "-q", two_layers)
    assert image_id(sampan, two_layers) == "sha256:" + sampan.out("images", "--no-trunc", "-q").splitlines()[0].split(":")[-1]
    done = sampan.run("pull", target)
    assert "Status: Image is up to date" in done.stdout or transport == "docker-archive"


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir"])
def test_skopeo_reads_what_we_write(sampan, two_layers, tmp_path, transport):
    sampan.run("pull", "-q", two_layers)
    push_to(sampan, two_layers, f"{transport}:{tmp_path}/x")
    found = json.loads(run(["skopeo", *POLICY, "inspect", "--config", f"{transport}:{tmp_path}/x"]).stdout)
    assert found["config"]["Cmd"] == ["cat", "/data/file"]
    run(["skopeo", *POLICY, "copy", f"{transport}:{tmp_path}/x", f"dir:{tmp_path}/copy"])
    if transport != "docker-archive":  # skopeo makes a manifest of its own for those
        manifest = json.loads((tmp_path / "copy/manifest.json").read_bytes())
        assert manifest["config"]["digest"] == image_id(sampan, two_layers)


def push_to(store, name, target):
    assert store.run("push", "-q", name, target).stdout == f"{target}\n"


def test_a_layout_keeps_its_other_images(sampan, busybox, two_layers, tmp_path):
    sampan.run("pull", "-q", busybox)
    sampan.run("pull", "-q", two_layers)
    for name, tag in [(busybox, "a"), (two_layers, "b"), (two_layers, "a")]:
        push_to(sampan, name, f"oci:{tmp_path}/layout:{tag}")
    index = json.loads((tmp_path / "layout/index.json").read_text())
    names = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in index["manifests"]}
    assert sorted(names) == ["a", "b"] and names["a"] == names["b"]
    error = sampan.run("pull", f"oci:{tmp_path}/layout", code=1).stderr
    assert "several images" in error and "(b, a)" in error
    assert "no image" in sampan.run("pull", f"oci:{tmp_path}/layout:c", code=1).stderr


def test_umoci(sampan, two_layers, tmp_path):
    sampan.run("pull", "-q", two_layers)
    push_to(sampan, two_layers, f"oci:{tmp_path}/layout:mine")
    run(["umoci", "unpack", "--image", f"{tmp_path}/layout:mine", tmp_path / "bundle"])
    assert (tmp_path / "bundle/rootfs/data/file").read_text() == "content\n"
    (tmp_path / "bundle/rootfs/data/new").write_text("by umoci\n")
    run(["umoci", "repack", "--image", f"{tmp_path}/layout:theirs", tmp_path / "bundle"])
    source = f"oci:{tmp_path}/layout:theirs"
    assert sampan.out("run", "--rm", source, "cat", "/data/new", "/data/file") == "by umoci\ncontent"
    assert "theirs" not in sampan.out("images")


def test_the_second_run_of_a_layout_is_cheap(sampan, two_layers, tmp_path):
    run(["skopeo", *POLICY, "copy", "--src-tls-verify=false", f"docker://{two_layers}", f"oci:{tmp_path}/x:v1"])
    assert sampan.out("run", "--rm", f"oci:{tmp_path}/x:v1") == "content"
    # Not even the helper is started: what it would read is gone.
    shutil.rmtree(tmp_path / "x/blobs")
    assert sampan.out("run", "--rm", f"oci:{tmp_path}/x:v1") == "content"
    assert sampan.out("run", "--rm", f"oci:{tmp_path}/x") == "content"
    assert "not in the archive" in sampan.run("run", "--rm", "--pull", "always", f"oci:{tmp_path}/x", code=125).stderr
    sampan.run("rmi", image_id(sampan, sampan.out("images", "-q")))
    assert sampan.run("run", "--rm", "--pull", "never", f"oci:{tmp_path}/x", code=125)


def test_platforms_of_a_layout(sampan, registry, tmp_path):
    mine = images.host_architecture()
    images.Registry(registry.host).push_index("archmulti", "v1", {
        "linux/s390x": busybox_image(config={"Env": ["WHICH=other"]}), f"linux/{mine}": busybox_image(config={"Env": ["WHICH=mine"]})})
    run(["skopeo", *POLICY, "copy", "--all", "--src-tls-verify=false", f"docker://{registry.host}/archmulti:v1", f"oci:{tmp_path}/x:v1"])
    assert sampan.out("run", "--rm", f"oci:{tmp_path}/x:v1", "sh", "-c", "echo $WHICH") == "mine"
    sampan.run("pull", "-q", "--platform", "linux/s390x", f"oci:{tmp_path}/x:v1")
    assert len(sampan.out("images", "-q").split()) == 2
    assert "no matching manifest" in sampan.run("pull", "--platform", "linux/riscv64", f"oci:{tmp_path}/x:v1", code=1).stderr


def test_a_directory_as_an_image(sampan, tmp_path):
    root = tmp_path / "rootfs"
    with tarfile.open(fileobj=io.BytesIO(busybox_layer())) as tar:
        tar.extractall(root)
    os.chmod(root, 0o711)
    os.mkfifo(root / "pipe")
    assert sampan.out("run", "--rm", f"dir:{root}", "stat", "-c", "%a", "/") == "711"
    (root / "new").write_text("1")
    assert sampan.out("run", "--rm", f"dir:{root}", "cat", "/new") == "1"
    assert len(sampan.out("images", "-q").split()) == 2
    assert sampan.out("run", "--rm", f"dir:{root}", "cat", "/new") == "1"
    assert len(sampan.out("images", "-q").split()) == 2  # the same tree is the same image


@pytest.fixture
def podman():
    folder = tempfile.mkdtemp(prefix="sp-")  # podman's paths have to be short
    engine = PodmanEngine(folder)
    engine.start()
    yield engine
    run(engine.base + ["rmi", "-af"], check=False)
    run(["umount", "-l", f"{folder}/podman/root/overlay"], check=False)
    shutil.rmtree(folder)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman(sampan, other, podman, two_layers, tmp_path, form):
    sampan.run("pull", "-q", two_layers)
    sampan.run("save", "--format", form, "-o", tmp_path / "ours.tar", two_layers)
    assert two_layers in run(podman.base + ["load", "-i", tmp_path / "ours.tar"]).stdout
    theirs = json.loads(run(podman.base + ["inspect", "--type=image", two_layers]).stdout)[0]
    assert "sha256:" + theirs["Id"] == image_id(sampan, two_layers)
    run(podman.base + ["save", "--format", form, "-o", tmp_path / "theirs.tar", two_layers])
    assert other.run("load", "-i", tmp_path / "theirs.tar").stdout == f"Loaded image: {two_layers}\n"
    assert image_id(other, two_layers) == image_id(sampan, two_layers)
    assert other.out("run", "--rm", two_layers) == "content"


def test_docker(sampan, other, two_layers, tmp_path):
    sampan.run("pull", "-q", two_layers)
    sampan.run("save", "-o", tmp_path / "ours.tar", two_layers)
    docker = DockerEngine(tmp_path)
    docker.start(bridge="none", iptables=False)
    try:
        assert run(docker.base + ["load", "-i", tmp_path / "ours.tar"]).stdout.strip() == f"Loaded image: {two_layers}"
        assert run(docker.base + ["inspect", "--format", "{{.Id}}", two_layers]).stdout.strip() == image_id(sampan, two_layers)
        run(docker.base + ["save", "-o", tmp_path / "theirs.tar", two_layers])
        run(docker.base + ["create", "--name", "cc", two_layers])
        run(docker.base + ["export", "-o", tmp_path / "theirs-flat.tar", "cc"])
        run(docker.base + ["rm", "cc"])
    finally:
        docker.stop()
        docker.remove_cgroups()
    assert other.run("load", "-i", tmp_path / "theirs.tar").stdout == f"Loaded image: {two_layers}\n"
    assert image_id(other, two_layers) == image_id(sampan, two_layers)
    assert other.out("run", "--rm", two_layers) == "content"
    other.run("import", tmp_path / "theirs-flat.tar", "flat:v1")
    assert other.out("run", "--rm", "flat:v1", "cat", "/data/again") == "content"


def test_archives_of_old_docker_have_links(sampan, tmp_path):
    """Before 2024: one folder for each layer, and symbolic links where two images share one."""
    layer = busybox_layer()
    config = json.dumps({"architecture": images.host_architecture(), "os": "linux", "config": {"Cmd": ["true"]},
                         "rootfs": {"type": "layers", "diff_ids": [images.digest_of(layer)]}}).encode()
    other = config.replace(b'"true"', b'"false"')
    tar = LayerTar().directory("a/").add("a/VERSION", b"1.0").add("a/json", b"{}").add("a/layer.tar", layer)
    tar.directory("b/").symlink("b/layer.tar", "../a/layer.tar").add("one.json", config).add("two.json", other)
    tar.add("manifest.json", json.dumps([
        {"Config": "one.json", "RepoTags": ["old:1"], "Layers": ["a/layer.tar"]},
        {"Config": "two.json", "RepoTags": None, "Layers": ["b/layer.tar"]}]).encode())
    (tmp_path / "old.tar").write_bytes(tar.bytes())
    lines = sampan.run("load", "-i", tmp_path / "old.tar").stdout.splitlines()
    assert lines == ["Loaded image: old:1", f"Loaded image ID: {images.digest_of(other)}"]
    assert len(list((sampan.root / "layers").iterdir())) == 1
    sampan.run("run", "--rm", "old:1")
    sampan.run("run", "--rm", images.digest_of(other), code=1)
    assert "say which" in sampan.run("pull", f"docker-archive:{tmp_path}/old.tar", code=1).stderr
    sampan.run("run", "--rm", f"docker-archive:{tmp_path}/old.tar:@0")
    sampan.run("run", "--rm", f"docker-archive:{tmp_path}/old.tar:old:1")


def test_compressed_layers_in_dockers_archive(sampan, tmp_path):
    layer = busybox_layer()
    config = json.dumps({"architecture": images.host_architecture(), "os": "linux", "config": {"Cmd": ["true"]},
                         "rootfs": {"type": "layers", "diff_ids": [images.digest_of(layer)]}}).encode()
    tar = LayerTar().add("layer.tar.gz", images.compress(layer, "gzip")).add("config.json", config)
    tar.add("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["z:1"], "Layers": ["layer.tar.gz"]}]).encode())
    (tmp_path / "z.tar").write_bytes(tar.bytes())
    assert sampan.run("load", "-i", tmp_path / "z.tar").stdout == "Loaded image: z:1\n"
    sampan.run("run", "--rm", "z:1")


@pytest.mark.parametrize("program", ["xz", "bzip2"])
@pytest.mark.parametrize("form", ["docker-archive", "oci"])
def test_layers_in_compressions_of_archives(sampan, tmp_path, form, program):
    """docker load takes them; no registry has such layers."""
    layer = busybox_layer()
    blob = subprocess.run([program, "-c"], input=layer, capture_output=True, check=True).stdout
    config = json.dumps({"architecture": images.host_architecture(), "os": "linux", "config": {"Cmd": ["true"]},
                         "rootfs": {"type": "layers", "diff_ids": [images.digest_of(layer)]}}).encode()
    if form == "docker-archive":
        tar = LayerTar().add("layer.tar", blob).add("config.json", config)
        tar.add("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["rare:1"], "Layers": ["layer.tar"]}]).encode())
        (tmp_path / "x.tar").write_bytes(tar.bytes())
        assert sampan.run("load", "-i", tmp_path / "x.tar").stdout == "Loaded image: rare:1\n"
    else:
        write_layout(tmp_path / "x", blob, config)
        sampan.run("pull", "-q", f"oci:{tmp_path}/x:rare:1")
    assert [path.name for path in (sampan.root / "layers").iterdir()] == [images.digest_of(layer).split(":")[1]]
    sampan.run("run", "--rm", "rare:1")
    # Saved, it is a plain tar, which everybody reads.
    sampan.run("save", "-o", tmp_path / "again.tar", "rare:1")
    assert layer in members(tmp_path / "again.tar").values()
    assert sampan.run("system", "check").stdout == "Everything is as it should be.\n"
    sampan.run("rmi", "rare:1")
    broken = blob[:len(blob) // 2] + bytes([blob[len(blob) // 2] ^ 1]) + blob[len(blob) // 2 + 1:]
    if form == "docker-archive":
        (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes().replace(blob, broken))
        assert sampan.run("load", "-i", tmp_path / "x.tar", code=1).stderr
    else:
        digest = images.digest_of(blob).split(":")[1]
        (tmp_path / "x/blobs/sha256" / digest).write_bytes(broken)
        assert "is not what its manifest says" in sampan.run("pull", f"oci:{tmp_path}/x:rare:1", code=1).stderr
    assert sampan.out("images", "-q") == "" and not list((sampan.root / "staging").iterdir())


def write_layout(folder, blob, config):
    """An image layout of one image "rare:1" whose media type says gzip, whatever its layer is."""
    def put(data):
        (folder / "blobs/sha256" / images.digest_of(data).split(":")[1]).write_bytes(data)
        return {"digest": images.digest_of(data), "size": len(data)}

    (folder / "blobs/sha256").mkdir(parents=True)
    kind = "application/vnd.oci.image."
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind + "manifest.v1+json", "config": {"mediaType": kind + "config.v1+json", **put(config)},
                           "layers": [{"mediaType": kind + "layer.v1.tar+gzip", **put(blob)}]}).encode()
    entry = {"mediaType": kind + "manifest.v1+json", **put(manifest), "annotations": {"org.opencontainers.image.ref.name": "rare:1"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def test_where_push_does_not_lead(sampan, busybox, tmp_path):
    sampan.run("pull", "-q", busybox)
    assert "no transport" in sampan.run("push", busybox, "elsewhere/name", code=1).stderr
    assert "for registries only" in sampan.run("push", "-a", busybox, f"oci:{tmp_path}/x", code=1).stderr
    assert not (tmp_path / "x").exists()


def test_limits_hold_for_archives_too(sampan, tmp_path):
    layer = LayerTar()
    layer.add("large", os.urandom(300_000))
    (tmp_path / "root.tar").write_bytes(layer.bytes())
    (tmp_path / "config.json").write_text('{"limits": {"layer-size": 100000}}')
    words = ["--config", tmp_path / "config.json"]
    assert "larger than 100000 bytes" in sampan.run(*words, "import", tmp_path / "root.tar", code=1).stderr
    name = sampan.run("import", tmp_path / "root.tar", "large:1").stdout.strip()
    sampan.run("save", "-o", tmp_path / "large.tar", "large:1")
    sampan.run("rmi", "large:1")
    assert "larger than 100000 bytes" in sampan.run(*words, "load", "-i", tmp_path / "large.tar", code=1).stderr
    assert sampan.out("images", "-q") == "" and not list((sampan.root / "staging").iterdir())
    sampan.run("load", "-i", tmp_path / "large.tar")
    assert image_id(sampan, "large:1") == name


# import, export.

def test_import(sampan, tmp_path):
    (tmp_path / "root.tar").write_bytes(busybox_layer())
    done = sampan.run("import", "-c", 'CMD ["echo", "hello"]', "-c", "ENV A=1", "-c", "LABEL x=y", "-m", "by hand", tmp_path / "root.tar", "made:v1")
    assert done.stdout.strip() == image_id(sampan, "made:v1")
    assert sampan.out("run", "--rm", "made:v1") == "hello"
    assert sampan.out("run", "--rm", "made:v1", "sh", "-c", "echo $A") == "1"
    assert sampan.out("history", "--format", "{{.Comment}}", "made:v1") == "by hand"
    with open(tmp_path / "root.tar", "rb") as file:
        plain = subprocess.run(["gzip", "-c"], stdin=file, stdout=subprocess.PIPE, check=True).stdout
    (tmp_path / "root.tar.gz").write_bytes(plain)
    unnamed = sampan.run("import", "-", stdin=open(tmp_path / "root.tar.gz")).stdout.strip()
    assert unnamed.startswith("sha256:") and unnamed != done.stdout.strip()
    assert len(list((sampan.root / "layers").iterdir())) == 1
    (tmp_path / "junk").write_bytes(b"no tar at all" * 100)
    assert sampan.run("import", tmp_path / "junk", code=1).stderr
    assert not list((sampan.root / "staging").iterdir())


def flat(path):
    with tarfile.open(path) as tar:
        return {member.name: member for member in tar}, {
            member.name: tar.extractfile(member).read() for member in tar.getmembers() if member.isreg()}


@pytest.mark.parametrize("state", ["created", "running", "stopped"])
def test_export(sampan, two_layers, tmp_path, state):
    sampan.run("pull", "-q", two_layers)
    script = ("rm /data/link; rm -r /var/www; echo changed > /data/again; mkdir /made; ln /data/again /made/hard; mkfifo /made/pipe; "
              "mknod /made/null c 1 3; truncate -s 3145728 /made/sparse; echo end >> /made/sparse; rm -r /home; mkdir /home; touch /ready; ")
    if state == "created":
        sampan.run("create", "--name", "cc", two_layers)
    else:
        sampan.run("run", "-d", "--name", "cc", "-v", f"{tmp_path}:/mnt", two_layers, "sh", "-c",
                   script + ("sleep 60" if state == "running" else ""))
        if state == "stopped":
            sampan.run("wait", "cc")
        else:
            for _ in range(100):
                if sampan.run("exec", "cc", "test", "-e", "/ready", code=None).returncode == 0:
                    break
    sampan.run("export", "-o", tmp_path / "flat.tar", "cc")
    entries, content = flat(tmp_path / "flat.tar")
    assert not [name for name in entries if ".wh." in name or name.startswith("/") or ".." in name.split("/")]
    assert not [name for name in entries if name.startswith(("proc/", "sys/", "mnt/"))]
    assert "etc/passwd" not in entries  # the image's whiteout
    assert entries["data/file"].uid == 7 or entries["data/again"].uid == 7
    if state == "created":
        assert content["data/again" if entries["data/again"].isreg() else "data/file"] == b"content\n"
        assert {entries["data/file"].islnk(), entries["data/again"].islnk()} == {True, False}
        first = entries["data/again"] if entries["data/again"].isreg() else entries["data/file"]
        assert first.pax_headers["SCHILY.xattr.user.colour"] == "blue" and first.mode == 0o4755
    else:
        assert "data/link" not in entries and "var/www" not in entries and "home" in entries
        assert entries["made/hard"].islnk() or entries["data/again"].islnk() or entries["data/file"].islnk()
        assert entries["made/pipe"].isfifo() and entries["made/null"].ischr()
        assert (entries["made/null"].devmajor, entries["made/null"].devminor) == (1, 3)
        assert content["made/sparse"] == bytes(3 << 20) + b"end\n"
    sampan.run("import", tmp_path / "flat.tar", "again:v1")
    assert sampan.out("run", "--rm", "again:v1", "cat", "/data/again") == ("content" if state == "created" else "changed")
    run(["tar", "tf", tmp_path / "flat.tar"])
    sampan.run("rm", "-f", "cc")


def test_words(sampan, busybox, tmp_path):
    sampan.run("pull", "-q", busybox)
    assert "No such image: nothing" in sampan.run("save", "-o", tmp_path / "x", "nothing", code=1).stderr
    assert not (tmp_path / "x").exists()
    assert "No such container" in sampan.run("export", "-o", tmp_path / "x", "nothing", code=1).stderr
    assert not (tmp_path / "x").exists()
    master, slave = os.openpty()
    done = subprocess.run(sampan.command("save", busybox), stdout=slave, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "cowardly refusing to save to a terminal" in done.stderr
    done = subprocess.run(sampan.command("load"), stdin=slave, capture_output=True, text=True)
    assert done.returncode == 1 and "requested load from stdin" in done.stderr
    os.close(master)
    os.close(slave)
    assert "does not provide the specified platform" in sampan.run(
        "save", "--platform", "linux/s390x", "-o", tmp_path / "x", busybox, code=1).stderr
    assert sampan.run("load", "-i", tmp_path / "nothing", code=1).stderr
    (tmp_path / "empty.tar").write_bytes(LayerTar().add("a", b"b").bytes())
    assert "does not contain a manifest.json" in sampan.run("load", "-i", tmp_path / "empty.tar", code=1).stderr
    with open("/dev/full", "wb") as full:
        assert sampan.start("save", busybox, stdout=full, stderr=subprocess.DEVNULL).wait() == 1
