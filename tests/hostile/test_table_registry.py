"""Manifests, indexes and answers made to mislead: one test for each row of README.md's first table that the rooms' own tests do not have whole."""

import base64
import gzip
import json
import os
import time

import pytest

import image as images
from lying import liar, pull  # noqa: F401


@pytest.fixture
def image():
    return images.Image([images.LayerTar().add("data", os.urandom(200_000)).bytes()], config={"Cmd": ["x"]})


def serve_body(liar, body, media_type, image=None, tag="latest", **more):
    """A manifest as it is, under a tag and under its digest; with the blobs of an image."""
    body = body if isinstance(body, str) else json.dumps(body)
    blobs = {digest: base64.b64encode(data).decode() for digest, data in (image.blobs if image else {}).items()}
    digest = images.digest_of(body.encode())
    entry = {"body": body, "type": media_type}
    liar.say({"set": {"repositories": {"x": {"manifests": {tag: entry, digest: entry}, "blobs": blobs}}, **more}})
    return digest


def layer_path(manifest, index=0):
    return "/blobs/" + manifest["layers"][index]["digest"]


# CVE-2020-15157

def test_foreign_layers_are_not_fetched_from_elsewhere(sampan, liar, image):
    manifest = json.loads(image.manifest()[0])
    foreign = f"http://127.0.0.1:{liar.ports['other']}/layer"
    manifest["mediaType"] = images.DOCKER_MANIFEST
    manifest["config"]["mediaType"] = images.DOCKER_CONFIG
    manifest["layers"][0].update(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=[foreign])
    blobs = dict(image.blobs)
    del image.blobs[manifest["layers"][0]["digest"]]
    serve_body(liar, manifest, images.DOCKER_MANIFEST, image)
    pull(sampan, liar)
    assert not [request for request in liar.requests() if request["port"] == "other"]
    image.blobs = blobs
    serve_body(liar, manifest, images.DOCKER_MANIFEST, image)
    pull(sampan, liar, code=0)  # the registry itself has it: then it is a layer like others


# CVE-2021-41190: what the header says, what the body says, what it looks like.

@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize("case", ["index-as-manifest", "manifest-as-index", "both", "neither", "body-disagrees", "duplicate-keys"])
def test_a_document_is_one_thing(sampan, liar, image, case, by):
    manifest = json.loads(image.manifest()[0])
    index = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": []}
    body, header = {
        "index-as-manifest": (index, images.OCI_MANIFEST),
        "manifest-as-index": (manifest, images.OCI_INDEX),
        "both": ({**manifest, "manifests": []}, images.OCI_MANIFEST),
        "neither": ({"schemaVersion": 2}, "application/json"),
        "body-disagrees": ({**manifest, "mediaType": images.OCI_INDEX}, images.OCI_MANIFEST),
        "duplicate-keys": (json.dumps(manifest)[:-1] + ', "layers": []}', images.OCI_MANIFEST),
    }[case]
    digest = serve_body(liar, body, header, image)
    if by == "tag":
        pull(sampan, liar)
    else:
        done = sampan.run("pull", f"{liar.host}/x@{digest}", code=1)
        assert done.stderr.count("\n") == 1 and sampan.out("images", "-q") == ""


# CVE-2024-3727

@pytest.mark.parametrize("place", ["layer", "config", "index"])
@pytest.mark.parametrize("digest", ["sha256:../../../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 63 + "\0", "sha256:" + "a" * 2_000_000,
                                    "", "sha256", "../../x", "md5:" + "a" * 32, "sha256:" + "a" * 64 + "/../x"],
                         ids=["dots", "upper-case", "short", "nul", "long", "empty", "no-hex", "path", "md5", "tail"])
def test_digests_are_digests(sampan, liar, image, place, digest):
    manifest = json.loads(image.manifest()[0])
    media_type = images.OCI_MANIFEST
    if place == "layer":
        manifest["layers"][0]["digest"] = digest
    elif place == "config":
        manifest["config"]["digest"] = digest
    else:
        media_type = images.OCI_INDEX
        manifest = {"schemaVersion": 2, "mediaType": media_type, "manifests": [{"mediaType": images.OCI_MANIFEST, "digest": digest, "size": 100,
                                                                                  "platform": {"os": "linux", "architecture": images.host_architecture()}}]}
    serve_body(liar, manifest, media_type, image)
    error = pull(sampan, liar).stderr
    assert len(error) < 2000
    for request in liar.requests():
        assert ".." not in request["path"] and len(request["path"]) < 200


# CVE-2020-1702: bodies without an end or with too much.

@pytest.mark.parametrize("path", ["/blobs/", "token"])
def test_endless_answers(sampan, liar, image, path):
    manifest = liar.serve(image)
    fault = {"path": "/blobs/" + manifest["config"]["digest"], "action": "endless"}
    auth = {}
    if path == "token":
        fault = {}
        auth = {"auth": {"kind": "bearer", "user": "u", "password": "p", "answer": '{"token": "' + "x" * (2 << 20) + '"}'}}
    liar.serve(image, faults=[fault] if fault else [], **auth)
    begin = time.monotonic()
    pull(sampan, liar)
    assert time.monotonic() - begin < 30


DEEP = 400_000


@pytest.mark.parametrize("body", [
    "[" * DEEP, '{"a":' * DEEP, json.dumps({"schemaVersion": 2, "mediaType": images.OCI_MANIFEST, "layers": [{}] * 100_000}),
    json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [{"mediaType": "x", "digest": "sha256:" + "a" * 64, "size": 1}] * 30_000}),
    '{"schemaVersion":2,"mediaType":"' + images.OCI_MANIFEST + '","config":' + "9" * 100_000 + "}", '"\\ud800"', "", "null", "[]", "\0", "{}" * 100_000,
], ids=["arrays", "objects", "layers", "manifests", "number", "surrogate", "empty", "null", "array", "nul", "many"])
def test_odd_documents(sampan, liar, body):
    serve_body(liar, body, images.OCI_INDEX if "image.index" in body else images.OCI_MANIFEST)
    begin = time.monotonic()
    pull(sampan, liar)
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("count", [350_000, 1_000_000])
def test_a_config_with_a_million_variables(sampan, liar, image, count):
    """4 MiB are the limit; below it they are values like others."""
    manifest = json.loads(image.manifest()[0])
    config = {"architecture": images.host_architecture(), "os": "linux", "config": {"Env": [f"A{number}=" for number in range(count)]},
              "rootfs": {"type": "layers", "diff_ids": json.loads(image.blobs[manifest["config"]["digest"]])["rootfs"]["diff_ids"]}}
    manifest["config"] = image.blob(json.dumps(config).encode(), images.OCI_CONFIG)
    serve_body(liar, manifest, images.OCI_MANIFEST, image)
    pull(sampan, liar, code=0 if count < 400_000 else 1)


def test_an_index_that_fans_out(sampan, liar):
    """Six levels of ten children each: a million manifests, if each were looked at."""
    manifests, below = {}, {"mediaType": images.OCI_MANIFEST, "digest": "sha256:" + "a" * 64, "size": 10}
    for level in range(6):
        body = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "annotations": {"level": str(level)}, "manifests": [below] * 10})
        digest = images.digest_of(body.encode())
        manifests[digest] = {"body": body, "type": images.OCI_INDEX}
        below = {"mediaType": images.OCI_INDEX, "digest": digest, "size": len(body)}
    manifests["latest"] = manifests[digest]
    liar.say({"set": {"repositories": {"x": {"manifests": manifests, "blobs": {}}}}})
    pull(sampan, liar)
    assert len(liar.requests()) < 50


@pytest.mark.parametrize("size", [1, 199_000, 10**9, -1, 2**63, 2**64, 1.5, "100", None])
@pytest.mark.parametrize("place", ["layer", "config"])
def test_sizes_that_lie(sampan, liar, image, size, place):
    manifest = json.loads(image.manifest()[0])
    entry = manifest["layers"][0] if place == "layer" else manifest["config"]
    entry["size"] = size
    serve_body(liar, manifest, images.OCI_MANIFEST, image)
    pull(sampan, liar)


def test_a_layer_larger_than_the_disk_is_not_begun(sampan, liar, image):
    manifest = json.loads(image.manifest()[0])
    manifest["layers"][0]["size"] = 1 << 50
    serve_body(liar, manifest, images.OCI_MANIFEST, image, faults=[{"path": layer_path(manifest), "action": "endless"}])
    begin = time.monotonic()
    pull(sampan, liar)
    assert time.monotonic() - begin < 20


# Content that changes between the pieces of one download.

@pytest.mark.parametrize("faults", [
    [{"action": "truncate", "after": 100_000, "times": 1}, {"action": "swap", "skip": 1, "times": 1}],
    [{"action": "truncate", "after": 100_000, "times": 1}, {"action": "wrong_range", "shift": 1, "skip": 1, "times": 1}],
    [{"action": "truncate", "after": 100_000, "times": 1}, {"action": "wrong_range", "total": 999_999, "skip": 1, "times": 1}],
    [{"action": "truncate", "after": 100_000, "times": 1}, {"action": "ignore_range", "skip": 1, "times": 1}],
], ids=["swap", "off-by-one", "other-total", "ignored"])
def test_a_resumed_download_is_whole_or_begun_anew(sampan, liar, image, faults):
    manifest = liar.serve(image)
    liar.serve(image, faults=[{"path": layer_path(manifest), **fault} for fault in faults])
    pull(sampan, liar, code=0)


def test_a_poisoned_mirror_never_wins(sampan, liar, image):
    """Every range comes from another file: the whole is never right, and nothing of it stays."""
    manifest = liar.serve(image)
    liar.serve(image, faults=[{"path": layer_path(manifest), "action": "truncate", "after": 100_000, "times": 1},
                              {"path": layer_path(manifest), "action": "swap", "skip": 1}])
    assert "digest" in pull(sampan, liar, timeout=120).stderr
    liar.serve(image)
    pull(sampan, liar, code=0)


# CVE-2026-50195: only the name on the command line is given.

def test_annotations_and_labels_name_nothing(sampan, liar, image):
    image.config["Labels"] = {"org.opencontainers.image.ref.name": "docker.io/library/alpine:latest"}
    manifest = {**json.loads(image.manifest()[0]), "annotations": {"org.opencontainers.image.ref.name": "alpine", "io.containerd.image.name": "docker.io/library/alpine:latest"}}
    serve_body(liar, manifest, images.OCI_MANIFEST, image)
    pull(sampan, liar, code=0)
    assert sampan.out("images", "--format", "{{.Repository}}:{{.Tag}}") == f"{liar.host}/x:latest"


def test_a_manifest_is_not_looked_for_among_blobs(sampan, liar, image):
    body, _ = image.manifest()
    digest = images.digest_of(body)
    blobs = {**image.blobs, digest: body}
    liar.say({"set": {"repositories": {"x": {"manifests": {}, "blobs": {key: base64.b64encode(data).decode() for key, data in blobs.items()}}}}})
    sampan.run("pull", f"{liar.host}/x@{digest}", code=1)
    assert not [request for request in liar.requests() if "/blobs/" in request["path"]]


def test_an_answer_that_claims_a_content_encoding(sampan, liar, image):
    """A body that would only be right, or would explode, when inflated on the way: we ask for none and take none."""
    bomb = gzip.compress(bytes(50 << 20))
    manifest = json.loads(image.manifest()[0])
    config = manifest["config"]["digest"]
    image.blobs[config] = bomb
    serve_body(liar, manifest, images.OCI_MANIFEST, image, faults=[{"path": config, "action": "headers", "headers": {"Content-Encoding": "gzip"}}])
    pull(sampan, liar)
    assert all(request["headers"].get("accept-encoding", "identity") == "identity" for request in liar.requests())


def test_a_token_servers_redirect_leads_nowhere(sampan, liar, image, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.json").write_text(json.dumps({"auths": {liar.host: {"auth": base64.b64encode(b"user:secret").decode()}}}))
    for target in ("http://169.254.169.254/latest/meta-data", "file:///etc/passwd"):
        liar.serve(image, auth={"kind": "bearer", "user": "user", "password": "secret"}, faults=[{"port": "token", "action": "redirect", "to": target}])
        pull(sampan, liar, env={**os.environ, "DOCKER_CONFIG": str(tmp_path / "config")})


def test_a_slow_drip_is_no_hang(sampan, liar):
    image = images.Image([images.LayerTar().add("data", os.urandom(20_000)).bytes()], config={"Cmd": ["x"]})
    manifest = liar.serve(image)
    liar.serve(image, faults=[{"path": layer_path(manifest), "action": "drip", "size": 4000, "pause": 0.3}])
    pull(sampan, liar, code=0)


# What the config says of the layers.

@pytest.mark.parametrize("case", ["more", "fewer", "order", "no-rootfs", "type", "null"])
def test_layers_and_diff_ids_must_agree(sampan, liar, case):
    image = images.Image([images.LayerTar().add(name, name.encode()).bytes() for name in ("one", "two")], config={"Cmd": ["x"]})
    manifest = json.loads(image.manifest()[0])
    config = json.loads(image.blobs[manifest["config"]["digest"]])
    ids = config["rootfs"]["diff_ids"]
    if case == "more":
        ids.append(ids[0])
    elif case == "fewer":
        ids.pop()
    elif case == "order":
        ids.reverse()
    elif case == "no-rootfs":
        del config["rootfs"]
    elif case == "type":
        config["rootfs"]["type"] = "base+layers"
    else:
        config["rootfs"]["diff_ids"] = None
    manifest["config"] = image.blob(json.dumps(config).encode(), images.OCI_CONFIG)
    serve_body(liar, manifest, images.OCI_MANIFEST, image)
    pull(sampan, liar)


def test_history_decides_nothing(sampan, liar, image):
    manifest = json.loads(image.manifest()[0])
    config = json.loads(image.blobs[manifest["config"]["digest"]])
    config["history"] = [{"empty_layer": False, "created_by": "x"}] * 7 + [{"created": "not a date"}]
    manifest["config"] = image.blob(json.dumps(config).encode(), images.OCI_CONFIG)
    serve_body(liar, manifest, images.OCI_MANIFEST, image)
    done = sampan.run("pull", f"{liar.host}/x", code=None)
    assert done.returncode == 0 or "history" in done.stderr or "date" in done.stderr, done.stderr
