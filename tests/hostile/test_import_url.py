"""`import` of an address: what a web server may do to it, and what it must not reach. The server is the registry that lies, whose blobs are plain files to a GET."""

import base64
import gzip
import os

import pytest

import image as images
from lying import liar  # noqa: F401


@pytest.fixture
def archive(liar):
    """An archive and its address."""
    layer = images.LayerTar().add("data", os.urandom(3_000_000)).bytes()
    digest = images.digest_of(layer)
    blobs = {digest: base64.b64encode(layer).decode()}
    packed = gzip.compress(layer, 1)
    blobs[images.digest_of(packed)] = base64.b64encode(packed).decode()

    def serve(**more):
        liar.say({"set": {"repositories": {"x": {"manifests": {}, "blobs": blobs}}, **more}})
        return f"http://{liar.host}/v2/x/blobs/{digest}"
    serve.packed = f"http://{liar.host}/v2/x/blobs/{images.digest_of(packed)}"
    serve.layer = layer
    return serve


def refused(sampan, url, *words):
    done = sampan.run(*words, "import", url, "made:v1", code=1)
    assert len(done.stderr.strip().split("\n")) == 1 and "\x1b" not in done.stderr, done.stderr
    assert sampan.out("images", "-q") == ""
    for folder in ("layers", "staging"):
        assert not (sampan.root / folder).exists() or not list((sampan.root / folder).iterdir())
    return done.stderr


def data_of(sampan, name):
    sampan.run("create", "--name", "one", name, "x")
    sampan.run("cp", "one:/data", sampan.root.parent / "data")
    sampan.run("rm", "one")
    return (sampan.root.parent / "data").read_bytes()


def test_an_address_is_imported(sampan, liar, archive, tmp_path):
    url = archive()
    (tmp_path / "root.tar").write_bytes(archive.layer)
    done = sampan.run("import", "-c", "ENV A=1", url, "made:v1")
    said, image = done.stdout.split()[:3], done.stdout.split()[-1]
    assert said == ["Downloading", "from", url] and image == sampan.out("images", "-q", "--no-trunc", "made:v1")
    assert sampan.out("history", "--format", "{{.Comment}}", "made:v1") == f"Imported from {url}"
    assert data_of(sampan, "made:v1") in archive.layer
    # The same layer as from a file, and from a compressed archive.
    sampan.run("import", tmp_path / "root.tar", "file:v1")
    sampan.run("import", archive.packed, "packed:v1")
    assert len(list((sampan.root / "layers").iterdir())) == 1
    assert all("authorization" not in request["headers"] for request in liar.requests())


def test_a_transfer_that_breaks_is_resumed_where_the_content_is_the_same(sampan, liar, archive):
    url = archive(faults=[{"action": "etag", "etag": '"one"'}, {"action": "truncate", "after": 1_000_000, "times": 2}])
    sampan.run("import", url, "made:v1")
    ranges = [request["headers"].get("range") for request in liar.requests()]
    assert ranges == [None, "bytes=1000000-", "bytes=2000000-"]
    assert all(request["headers"].get("if-range", '"one"') == '"one"' for request in liar.requests())
    assert data_of(sampan, "made:v1") in archive.layer


@pytest.mark.parametrize("faults", [
    [{"action": "truncate", "after": 1_000_000, "times": 1}],  # nothing says that it stays the same
    [{"action": "etag", "etag": 'W/"weak"'}, {"action": "truncate", "after": 1_000_000, "times": 1}],
    [{"action": "etag", "etag": '"one"', "times": 1}, {"action": "etag", "etag": '"two"', "skip": 1},
     {"action": "truncate", "after": 1_000_000, "times": 1}],
    [{"action": "etag", "etag": '"one"'}, {"action": "truncate", "after": 1_000_000, "times": 1},
     {"action": "wrong_range", "shift": 1}],
    [{"action": "etag", "etag": '"one"'}, {"action": "truncate", "after": 1_000_000, "times": 1}, {"action": "ignore_range"}],
    [{"action": "status", "status": 503, "times": 2}],
], ids=["no-tag", "weak-tag", "other-tag", "wrong-range", "range-ignored", "503"])
def test_a_transfer_is_whole_or_begun_anew(sampan, archive, faults):
    sampan.run("import", archive(faults=faults), "made:v1")
    assert data_of(sampan, "made:v1") in archive.layer


def test_a_transfer_that_always_breaks_ends(sampan, liar, archive):
    assert "download" in refused(sampan, archive(faults=[{"action": "truncate", "after": 2_000_000}]))
    assert len(liar.requests()) < 12


@pytest.mark.parametrize("fault, word", [
    ({"action": "status", "status": 404}, "404"),
    ({"action": "status", "status": 401, "headers": {"WWW-Authenticate": "Basic realm=x"}}, "401"),
    ({"action": "status", "status": 204}, "204"),
    ({"action": "endless"}, "larger than 5000000 bytes"),
    ({"action": "redirect", "to": "file:///etc/passwd"}, "neither http nor https"),
    ({"action": "redirect", "to": "gopher://127.0.0.1/x"}, "neither http nor https"),
    ({"action": "redirect", "to": "http://169.254.169.254/latest/meta-data"}, "nearer"),
    ({"action": "redirect", "to_port": "main"}, "too many"),
    ({"action": "status", "status": 500, "body": "\x1b]0;owned\x07"}, "500"),
], ids=["404", "401", "204", "endless", "file", "gopher", "metadata", "loop", "escapes"])
def test_what_is_no_archive(sampan, liar, archive, tmp_path, fault, word):
    (tmp_path / "config.json").write_text('{"limits": {"layer-size": 5000000}}')
    assert word in refused(sampan, archive(faults=[fault]), "--config", tmp_path / "config.json")


def test_a_redirect_to_another_host_is_followed(sampan, liar, archive):
    sampan.run("import", archive(faults=[{"action": "redirect", "to_port": "other", "port": "main"}]), "made:v1")
    assert [request["port"] for request in liar.requests()] == ["main", "other"]


def test_addresses_that_are_none(sampan, liar):
    assert "user name" in refused(sampan, f"http://user:secret@{liar.host}/x")
    assert refused(sampan, "http://")
    assert refused(sampan, "http://127.0.0.1:1/x")
    liar.say({"set": {"repositories": {"x": {"manifests": {}, "blobs": {images.digest_of(b"junk"): "anVuaw=="}}}}})
    assert refused(sampan, f"http://{liar.host}/v2/x/blobs/{images.digest_of(b'junk')}")
