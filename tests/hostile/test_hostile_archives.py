"""Archives made to escape, to lie or to exhaust: `load`, `import` and `run` of handmade ones. The host has a canary."""

import io
import json
import os
import tarfile

import pytest

import image as images
from canaries import canary, check  # noqa: F401
from image import LayerTar, busybox_layer, digest_of


def check_empty(sampan):
    """Nothing of a refused archive stays but whole layers, which a sweep takes."""
    assert sampan.out("images", "-aq") == ""
    assert not list((sampan.root / "staging").iterdir())


def config_of(*layers, **more):
    return json.dumps({"architecture": images.host_architecture(), "os": "linux", "config": {"Cmd": ["true"]},
                       "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}, **more}).encode()


LAYER = LayerTar().add("file", b"content").bytes()


def docker_archive(*, config=None, layers=("layer.tar",), tags=("evil:1",), manifest=None, name="config.json", build=None):
    """A valid archive, but for what is said."""
    tar = LayerTar()
    if build:
        build(tar)
    else:
        tar.add("layer.tar", LAYER)
    tar.add("config.json", config or config_of(LAYER))
    if manifest is None:
        manifest = json.dumps([{"Config": name, "RepoTags": list(tags), "Layers": list(layers)}]).encode()
    tar.add("manifest.json", manifest)
    return tar.bytes()


def load(sampan, tmp_path, data, code=1):
    path = tmp_path / "hostile.tar"
    path.write_bytes(data)
    return sampan.run("load", "-i", path, code=code, timeout=120)


def test_the_valid_one_loads(sampan, tmp_path):
    assert load(sampan, tmp_path, docker_archive(), 0).stdout == "Loaded image: evil:1\n"


def climb(path):
    return "../" * 30 + str(path).lstrip("/")


@pytest.mark.parametrize("what", ["layer", "config", "member"])
@pytest.mark.parametrize("where", ["absolute", "climbing"])
def test_names_that_lead_out(sampan, tmp_path, canary, what, where):
    name = str(canary / "canary") if where == "absolute" else climb(canary / "canary")
    if what == "layer":
        data = docker_archive(layers=[name])
    elif what == "config":
        data = docker_archive(name=name)
    else:
        data = docker_archive(layers=[name], build=lambda tar: tar.add(name, LAYER))
    assert "leads out of the archive" in load(sampan, tmp_path, data).stderr
    check(canary)
    check_empty(sampan)


@pytest.mark.parametrize("build,words", [
    (lambda tar, host: tar.symlink("layer.tar", str(host / "canary")), "leads out"),
    (lambda tar, host: tar.symlink("layer.tar", climb(host / "canary")), "leads out"),
    (lambda tar, host: tar.hardlink("layer.tar", str(host / "canary")), "not a regular file"),
    (lambda tar, host: tar.add("real", LAYER).hardlink("layer.tar", "real"), "not a regular file"),
    (lambda tar, host: tar.symlink("a", str(host)).symlink("layer.tar", "a/canary"), "not in the archive"),
    (lambda tar, host: tar.symlink("a", "layer.tar").symlink("layer.tar", "a"), "too many symbolic links"),
    (lambda tar, host: tar.symlink("layer.tar", "layer.tar"), "too many symbolic links"),
    (lambda tar, host: tar.directory("layer.tar"), "not a regular file"),
    (lambda tar, host: tar.add("layer.tar", type=tarfile.FIFOTYPE), "not a regular file"),
    (lambda tar, host: tar.add("layer.tar", type=tarfile.CHRTYPE, device=(1, 5)), "not a regular file"),
    (lambda tar, host: tar.add("layer.tar", LAYER).add("./layer.tar", b"other"), "more than once"),
    (lambda tar, host: tar.add("layer.tar", b"not what the config says"), ""),
    (lambda tar, host: tar.add("layer.tar", LAYER[:-512]), ""),
    (lambda tar, host: tar.add("layer.tar", LAYER + bytes(512)), "mismatch"),
    (lambda tar, host: tar.add("other.tar", LAYER), "not in the archive"),
], ids=["symlink", "climbing-symlink", "hardlink-out", "hardlink", "symlink-through-link", "loop", "self", "directory", "fifo", "device",
        "duplicate", "swapped", "shorter", "longer", "missing"])
def test_layers_that_are_something_else(sampan, tmp_path, canary, build, words):
    done = load(sampan, tmp_path, docker_archive(build=lambda tar: build(tar, canary)))
    assert words in done.stderr
    check(canary)
    check_empty(sampan)


@pytest.mark.parametrize("what", ["manifest.json", "config.json"])
@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo"])
def test_documents_that_are_links(sampan, tmp_path, canary, what, kind):
    tar = LayerTar().add("layer.tar", LAYER)
    documents = {"config.json": config_of(LAYER),
                 "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": ["evil:1"], "Layers": ["layer.tar"]}]).encode()}
    for name, data in documents.items():
        if name != what:
            tar.add(name, data)
        elif kind == "symlink":
            tar.add("real", data).symlink(name, "real")
        elif kind == "hardlink":
            tar.add("real", data).hardlink(name, "real")
        else:
            tar.add(name, type=tarfile.FIFOTYPE)
    assert "not a regular file" in load(sampan, tmp_path, tar.bytes()).stderr
    check_empty(sampan)


@pytest.mark.parametrize("tags", [["../../etc:x"], ["EVIL:1"], ["a@sha256:" + "0" * 64], ["a:" + "b" * 200], ["a b"], ["\x1b]0;x\x07"], [""],
                                  ["https://example.com/a"], ["0" * 64], [1], "evil"])
def test_names_that_are_none(sampan, tmp_path, tags):
    data = docker_archive(manifest=json.dumps([{"Config": "config.json", "RepoTags": tags, "Layers": ["layer.tar"]}]).encode())
    done = load(sampan, tmp_path, data)
    assert "\x1b" not in done.stderr
    check_empty(sampan)


@pytest.mark.parametrize("manifest", [
    b"", b"{}", b"null", b"[{}]", b"[null]", b'["x"]', b"[" * 100_000, b'[{"Config":"config.json","Config":"x","Layers":[]}]',
    json.dumps([{"Config": "config.json", "Layers": ["layer.tar"] * 2}]).encode(),
    json.dumps([{"Config": "config.json", "Layers": []}]).encode(),
    json.dumps([{"Config": "config.json", "Layers": ["layer.tar"] * 501}]).encode(),
    json.dumps([{"Config": "config.json", "RepoTags": ["a:1"], "Layers": ["layer.tar"]}] * 1001).encode(),
    b" " * (5 << 20),
], ids=["empty", "object", "null", "no-config", "null-image", "text", "deep", "twice", "more-layers", "fewer-layers", "501-layers",
        "1001-images", "5MB"])
def test_manifests(sampan, tmp_path, manifest):
    load(sampan, tmp_path, docker_archive(manifest=manifest))
    check_empty(sampan)


def test_a_huge_manifest_is_not_read(sampan, tmp_path):
    """A gigabyte of it, as a hole."""
    path = tmp_path / "huge.tar"
    info = tarfile.TarInfo("manifest.json")
    info.size = 1 << 30
    with open(path, "wb") as file:
        file.write(info.tobuf())
        file.truncate(512 + info.size + 1024)
    assert "larger than" in sampan.run("load", "-i", path, code=1, timeout=20).stderr


@pytest.mark.parametrize("config", [
    config_of(LAYER, os="windows"), config_of(LAYER, LAYER), config_of(busybox_layer()), b"{}", b"[]", b"x",
    json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:../../../etc/passwd"]}}).encode(),
    json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "A" * 64]}}).encode(),
    config_of(LAYER, config={"Env": ["AWS_*"]}),
], ids=["windows", "two-diff-ids", "other-diff-id", "empty", "array", "junk", "path-digest", "upper-case", "env"])
def test_configs(sampan, tmp_path, config):
    load(sampan, tmp_path, docker_archive(config=config))
    check_empty(sampan)


# OCI layouts.

def layout(*, change=None, index=None, layer=LAYER, names=("evil:1",)):
    config = config_of(layer)
    blobs = {}

    def blob(data, media_type):
        blobs[digest_of(data)] = data
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_MANIFEST, "config": blob(config, images.OCI_CONFIG),
                           "layers": [blob(layer, images.OCI_LAYER)]}).encode()
    entries = [{**blob(manifest, images.OCI_MANIFEST), "annotations": {"org.opencontainers.image.ref.name": name}} for name in names]
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
             "index.json": json.dumps({"schemaVersion": 2, "manifests": entries}).encode()}
    files.update({"blobs/sha256/" + digest[7:]: data for digest, data in blobs.items()})
    if change:
        change(files, {"manifest": digest_of(manifest)[7:], "config": digest_of(config)[7:], "layer": digest_of(layer)[7:]})
    return files


def pack(files):
    tar = LayerTar()
    for name, data in files.items():
        tar.add(name, data)
    return tar.bytes()


def test_the_valid_layout_loads(sampan, tmp_path):
    assert load(sampan, tmp_path, pack(layout()), 0).stdout == "Loaded image: evil:1\n"


@pytest.mark.parametrize("which", ["manifest", "config", "layer"])
@pytest.mark.parametrize("how", ["swapped", "longer", "shorter", "missing"])
@pytest.mark.parametrize("way", ["archive", "directory"])
def test_blobs_that_lie(sampan, tmp_path, which, how, way):
    def change(files, digests):
        name = "blobs/sha256/" + digests[which]
        data = files.pop(name)
        if how == "swapped":
            files[name] = data[:-1] + bytes([data[-1] ^ 1])
        elif how == "longer":
            files[name] = data + b" "
        elif how == "shorter":
            files[name] = data[:-1]
    files = layout(change=change)
    if way == "archive":
        load(sampan, tmp_path, pack(files))
    else:
        write_layout(tmp_path / "layout", files)
        assert sampan.run("pull", f"oci:{tmp_path}/layout", code=1).stderr
    check_empty(sampan)


def write_layout(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("index", [
    {"schemaVersion": 2, "manifests": [{"mediaType": images.OCI_MANIFEST, "digest": "sha256:../../../../etc/passwd", "size": 10}]},
    {"schemaVersion": 2, "manifests": [{"mediaType": images.OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": -1}]},
    {"schemaVersion": 2, "manifests": [{"mediaType": images.OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1 << 62}]},
    {"schemaVersion": 2, "manifests": [], "layers": [], "config": {}},
    {"schemaVersion": 1},
], ids=["path", "negative", "huge", "both", "schema1"])
def test_indexes(sampan, tmp_path, index):
    load(sampan, tmp_path, pack(layout(change=lambda files, digests: files.update({"index.json": json.dumps(index).encode()}))))
    check_empty(sampan)


def test_an_index_that_contains_itself_in_ten_ways(sampan, tmp_path):
    def change(files, digests):
        entry = json.loads(files["index.json"])["manifests"][0]
        entry.pop("annotations")
        for _ in range(8):
            data = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [entry] * 10}).encode()
            files["blobs/sha256/" + digest_of(data)[7:]] = data
            entry = {"mediaType": images.OCI_INDEX, "digest": digest_of(data), "size": len(data)}
        files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    assert "nested too deeply" in load(sampan, tmp_path, pack(layout(change=change))).stderr


def test_a_layout_of_links(sampan, tmp_path, canary):
    """Links below the directory are its owner's affair; none leads out of it."""
    files = layout()
    folder = tmp_path / "layout"
    write_layout(folder, files)
    name = next(name for name, data in files.items() if data == LAYER)
    (canary.parent / "outside.tar").write_bytes(LAYER)
    (folder / name).unlink()
    (folder / name).symlink_to(canary.parent / "outside.tar")
    assert "not in the archive" in sampan.run("pull", f"oci:{folder}", code=1).stderr
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "not a regular file" in sampan.run("pull", f"oci:{folder}", code=1, timeout=20).stderr
    check(canary)


@pytest.mark.parametrize("name", ["docker.io/library/alpine:latest", "localhost/trusted:v1"])
def test_only_what_the_user_gave_is_a_name(sampan, tmp_path, name):
    """CVE-2026-50195: a pull from a layout or an archive moves no tag that its files talk of."""
    write_layout(tmp_path / "layout", layout(names=[name]))
    (tmp_path / "x.tar").write_bytes(pack(layout(names=[name])))
    (tmp_path / "y.tar").write_bytes(docker_archive(tags=[name]))
    for source in ["oci:" + str(tmp_path / "layout"), f"oci-archive:{tmp_path}/x.tar", f"docker-archive:{tmp_path}/y.tar"]:
        sampan.run("pull", "-q", source)
        assert sampan.out("images", "--format", "{{.Repository}}") == "<none>"
    sampan.run("pull", "-q", f"oci:{tmp_path}/layout:{name}")
    assert sampan.out("images", "--format", "{{.Repository}}") != "<none>"


# The archive itself.

@pytest.mark.parametrize("compression", ["gzip", "zstd", "xz", "bzip2"])
def test_bombs(sampan, tmp_path, compression):
    import shutil
    import subprocess
    if not shutil.which(compression):
        pytest.skip(f"no {compression}")
    path = tmp_path / "bomb"
    part = subprocess.run([compression, "-c", "-1"], input=bytes(64 << 20), capture_output=True, check=True).stdout
    path.write_bytes(20 * part)  # 1.25 GiB: all four may be put one after the other
    assert path.stat().st_size < 20 << 20
    done = sampan.run("load", "-i", path, code=1, timeout=300)
    assert "decompression bomb" in done.stderr
    assert not list((sampan.root / "staging").iterdir())


@pytest.mark.parametrize("cut", [1, 511, 512, 1000, 5000])
def test_cut_archives(sampan, tmp_path, cut):
    load(sampan, tmp_path, pack(layout(layer=busybox_layer()))[:-(12288 + cut)])
    check_empty(sampan)


def test_an_endless_name(sampan, tmp_path):
    """CVE-2025-58183 and its like: gigabytes of a header's records."""
    path = tmp_path / "endless.tar"
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2 << 30
    with open(path, "wb") as file:
        file.write(info.tobuf())
        file.truncate(512 + info.size + 10240)
    assert sampan.run("load", "-i", path, code=1, timeout=20).stderr


def test_many_members(sampan, tmp_path):
    buffer = io.BytesIO()
    block = tarfile.TarInfo("m").tobuf()
    buffer.write(block * 300_000)
    buffer.write(bytes(1024))
    assert "members" in load(sampan, tmp_path, buffer.getvalue()).stderr


def test_import_cannot_write_outside(sampan, tmp_path, canary):
    layer = LayerTar().symlink("link", str(canary)).add("link/evil", b"x").add(climb(canary) + "/evil", b"x")
    layer.hardlink("hard", str(canary / "canary")).add("hard", b"dead")
    (tmp_path / "root.tar").write_bytes(layer.bytes())
    sampan.run("import", tmp_path / "root.tar", "made:1", code=None)
    check(canary)


def test_export_does_not_follow_links(sampan, busybox, tmp_path, canary):
    sampan.run("run", "--name", "cc", busybox, "sh", "-c", f"ln -s {canary} /out; ln -s {canary}/canary /file; ln -s / /root/all")
    sampan.run("export", "-o", tmp_path / "x.tar", "cc")
    with tarfile.open(tmp_path / "x.tar") as tar:
        names = {member.name: member for member in tar}
    assert names["out"].issym() and names["file"].issym() and names["root/all"].issym()
    assert not [name for name in names if name.startswith(("out/", "root/all/"))]
