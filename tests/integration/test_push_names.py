"""What a push leaves behind: names by digest, as docker shows them; several names at once; indexes within indexes; layers that gzip(1) made."""

import json
import re
import sqlite3
import subprocess

import pytest

import image as images
from image import Image, LayerTar, busybox_image
from test_indexes import HOST, NOTE, OTHER, image_for, registries_conf, run_env  # noqa: F401 (fixtures)
from test_registry import Front, digest_of, home, pushed_digest, second  # noqa: F401 (fixtures)
from test_uploads import BIN, layer_blobs, origin, pulled  # noqa: F401 (fixtures)


def repo_digests(sampan, name):
    return json.loads(sampan.out("image", "inspect", "--format", "{{json .RepoDigests}}", name))


def shown_digests(sampan, repository):
    return sampan.out("images", "--digests", "--format", "{{.Tag}} {{.Digest}}", repository).split("\n")


# --- names by digest ---

def test_a_push_gives_the_image_a_digest(sampan, second, home, tmp_path):
    (tmp_path / "root.tar").write_bytes(images.busybox_layer())
    name = f"{second.host}/made:1"
    sampan.run("import", tmp_path / "root.tar", name)
    assert repo_digests(sampan, name) == [] and shown_digests(sampan, f"{second.host}/made") == ["1 <none>"]
    digest = pushed_digest(sampan.out("push", name))
    assert digest == digest_of(name)
    assert repo_digests(sampan, name) == [f"{second.host}/made@{digest}"]
    assert shown_digests(sampan, f"{second.host}/made") == [f"1 {digest}"]
    assert sampan.out("run", "--rm", "--pull", "never", f"{second.host}/made@{digest}", "echo", "by digest") == "by digest"
    sampan.run("push", name)  # once more changes nothing
    assert repo_digests(sampan, name) == [f"{second.host}/made@{digest}"]
    events = sampan.out("events", "--since", "1h", "--until", "0s", "--filter", "event=push", "--format", "{{.Type}} {{.Actor.ID}}")
    assert events.split("\n") == [f"image {name}"] * 2
    sampan.run("rmi", name)
    assert sampan.out("images", "-a", "-q") == ""


def test_where_an_image_came_from_and_where_it_went(sampan, busybox, second, home):
    sampan.run("pull", "-q", busybox)
    digest = digest_of(busybox)
    name = f"{second.host}/copy:1"
    sampan.run("tag", busybox, name)
    came_from = f"{busybox.rsplit(':', 1)[0] if busybox.count(':') > 1 else busybox}@{digest}"
    assert repo_digests(sampan, name) == [came_from]
    sampan.run("push", "-q", name)
    assert sorted(repo_digests(sampan, name)) == sorted([came_from, f"{second.host}/copy@{digest}"])
    sampan.run("rmi", name)
    assert repo_digests(sampan, busybox) == [came_from]


def test_a_push_that_fails_gives_no_name(sampan, busybox, second, home):
    sampan.run("pull", "-q", busybox)
    front = Front(second.host, fault=lambda request: request.command == "PUT" and "/manifests/" in request.path
                  and request.send_error(403) is None)
    name = f"{front.host}/copy:1"
    sampan.run("tag", busybox, name)
    sampan.run("push", name, code=1)
    front.shutdown()
    assert not [digest for digest in repo_digests(sampan, name) if front.host in digest]


def test_tags_of_one_image_share_a_push(sampan, busybox, second, home):
    sampan.run("pull", "-q", busybox)
    other = f"{second.host}/other"
    second.push("other", "1", busybox_image(config={"Env": ["A=b"]}))
    sampan.run("pull", "-q", f"{other}:1")
    front = Front(second.host)
    name = f"{front.host}/many"
    for tag in ("one", "three", "two"):
        sampan.run("tag", busybox, f"{name}:{tag}")
    sampan.run("tag", f"{other}:1", f"{name}:else")
    output = sampan.out("push", "-a", name)
    front.shutdown()
    assert re.findall(r"^(\S+): digest:", output, re.M) == ["else", "one", "three", "two"]
    requests = [(command, path.split("?")[0]) for command, path, _ in front.seen]
    uploads = [path for command, path in requests if command == "PUT" and "/uploads/" in path]
    blobs = [path for command, path in requests if command == "HEAD" and "/blobs/" in path]
    # A layer and a config; of the second image a config alone, since it has the same layer. Nothing is asked of twice for one image.
    assert len(uploads) == 3
    assert len(blobs) == 4 and len(set(blobs)) == 3
    assert [path.rsplit("/", 1)[1] for command, path in requests if command == "PUT" and "/manifests/" in path] == ["else", "one", "three", "two"]
    assert {digest_of(f"{second.host}/many:{tag}") for tag in ("one", "two", "three")} == {digest_of(busybox)}
    assert digest_of(f"{second.host}/many:else") == digest_of(f"{other}:1")


# --- indexes in indexes ---

def push_nested(registry):
    """latest -> {inner -> {OTHER}, inner -> inner -> {HOST}}; the digests of all of them, the outermost first."""
    client = images.Registry(registry.host)

    def put(entries):
        body = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": entries}).encode()
        digest = client.push_manifest("nested", images.digest_of(body), body, images.OCI_INDEX)
        return {"mediaType": images.OCI_INDEX, "digest": digest, "size": len(body)}, body

    def put_image(architecture):
        image = image_for(architecture)
        image.architecture = architecture
        body, kind = image.manifest()
        for blob, data in image.blobs.items():
            client.push_blob("nested", blob, data)
        client.push_manifest("nested", images.digest_of(body), body, kind)
        return {"mediaType": kind, "digest": images.digest_of(body), "size": len(body), "platform": {"os": "linux", "architecture": architecture}}
    others, _ = put([put_image(OTHER)])
    innermost, _ = put([put_image(HOST)])
    inner, _ = put([innermost])
    top, body = put([others, inner])
    client.push_manifest("nested", "latest", body, images.OCI_INDEX)
    return [top["digest"], others["digest"], inner["digest"], innermost["digest"]]


def kept_indexes(sampan):
    with sqlite3.connect(sampan.root / "sampan.db") as database:
        return {"sha256:" + row[0] for row in database.execute("SELECT digest FROM indexes")}


def test_indexes_in_an_index_are_kept_and_go_back(sampan, registry, second, home):
    top, others, inner, innermost = push_nested(registry)
    name, copy = f"{registry.host}/nested:latest", f"{second.host}/nested:latest"
    sampan.run("pull", "-q", name)
    assert kept_indexes(sampan) == {top, inner, innermost}
    assert repo_digests(sampan, name) == [f"{registry.host}/nested@{top}"]
    # The other platform's index is neither here nor there.
    sampan.run("tag", name, copy)
    done = sampan.run("push", copy)
    assert NOTE in done.stderr and pushed_digest(done.stdout) != top
    sampan.run("pull", "-q", "--platform", f"linux/{OTHER}", name)
    assert kept_indexes(sampan) == {top, others, inner, innermost}
    sampan.run("pull", "-q", name)
    assert run_env(sampan, name, "--pull", "never") == HOST
    assert run_env(sampan, name, "--pull", "never", "--platform", f"linux/{OTHER}") == OTHER
    sampan.run("tag", name, copy)
    done = sampan.run("push", copy)
    assert NOTE not in done.stderr and pushed_digest(done.stdout) == top
    source, target = images.Registry(registry.host), images.Registry(second.host)
    for digest in (top, others, inner, innermost):
        path = f"/v2/nested/manifests/{digest}"
        bodies = [client.request("GET", path, headers={"Accept": images.OCI_INDEX})[::2] for client in (source, target)]
        assert bodies[0] == bodies[1] and bodies[0][0] == 200
    assert images.digest_of(subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{copy}"],
                                           check=True, capture_output=True).stdout) == top
    sampan.run("rmi", name)
    assert kept_indexes(sampan) == {top, others, inner, innermost}  # the copy's
    sampan.run("rmi", copy)
    assert kept_indexes(sampan) == set()


# --- layers that gzip(1) made ---

class GzippedImage(Image):
    """Its layers are compressed by the program gzip(1), which only it does again."""

    def manifest(self):
        body, kind = super().manifest()
        document = json.loads(body)
        for entry, layer in zip(document["layers"], self.layers):
            del self.blobs[entry["digest"]]
            data = subprocess.run(["gzip", "-n", "-6", "-c"], input=layer, stdout=subprocess.PIPE, check=True).stdout
            entry.update(digest=images.digest_of(data), size=len(data))
            self.blobs[entry["digest"]] = data
        return json.dumps(document).encode(), kind


def gzipped(text):
    layer = LayerTar().add("text", "".join(f"{i * i} {text} {i % 97}\n" for i in range(60_000)).encode()).bytes()
    return GzippedImage([layer], config={"Cmd": ["x"]})


def evict(sampan):
    subprocess.run([BIN / "sampan-image", "evict", "--root", sampan.root, "--all"], check=True, capture_output=True)
    assert not layer_blobs(sampan)
    with sqlite3.connect(sampan.root / "sampan.db") as database:
        recipes = {row[0].split()[0] for row in database.execute("SELECT recipe FROM blobs")}
    assert recipes == {"gzip"}


def test_gzip_makes_its_blobs_again_before_that_is_given_up(sampan, origin, second, home):
    name, digest = pulled(sampan, origin, gzipped("one"))
    evict(sampan)
    origin.stop()  # nobody else has it
    target = f"{second.host}/again:1"
    sampan.run("tag", name, target)
    assert pushed_digest(sampan.out("push", target)) == digest == digest_of(target)
    # What is there is not made again: without the program nothing is missed.
    output = sampan.run("push", target, env={"PATH": "/nowhere", "HOME": str(home)}).stdout
    assert pushed_digest(output) == digest and "Layer already exists" in output


def test_gzip_makes_those_of_an_indexs_other_platforms_too(sampan, origin, second, home):
    both = {f"linux/{OTHER}": gzipped("other"), f"linux/{HOST}": gzipped("host")}
    digest = images.Registry(origin.host).push_index("both", "1", both)
    name, target = f"{origin.host}/both:1", f"{second.host}/both:1"
    for platform in (OTHER, HOST):
        sampan.run("pull", "-q", "--platform", f"linux/{platform}", name)
    evict(sampan)
    origin.stop()
    sampan.run("tag", name, target)
    done = sampan.run("push", target)
    assert pushed_digest(done.stdout) == digest and NOTE not in done.stderr


# --- short names ---

def test_what_is_here_goes_by_its_short_name(sampan, registry, home, registries_conf):
    registry.push("team/short", "latest", busybox_image())
    full = f"{registry.host}/team/short"
    registries_conf(f'unqualified-search-registries = ["{registry.host}"]\n[aliases]\n"nick" = "{full}"\n')
    never = ("run", "--rm", "--pull", "never")
    assert sampan.run(*never, "nick", "true", code=125).stderr.strip().split("\n")[0] == "sampan: No such image: nick:latest"
    sampan.run("pull", "-q", "nick")
    for name in ("nick", "team/short", full):
        assert sampan.out(*never, name, "echo", "here") == "here"
    assert "No such image" in sampan.run(*never, "team/none", "true", code=125).stderr
    assert "does not match the specified platform" in sampan.run(*never, "--platform", f"linux/{OTHER}", full, "true", code=125).stderr
