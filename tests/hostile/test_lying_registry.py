"""`pull` from a registry that lies on demand: one clear line, the right exit code, nothing half-made, and no password to strangers."""

import base64
import json
import os

import pytest

import image as images
from lying import liar, pull  # noqa: F401


@pytest.fixture
def image():
    return images.Image([images.LayerTar().add("data", os.urandom(400_000)).bytes()], config={"Cmd": ["x"]})


BLOB = "/blobs/"


def layer_path(manifest):
    return BLOB + manifest["layers"][0]["digest"]


@pytest.mark.parametrize("action, word", [
    ({"action": "swap"}, "digest"),
    ({"action": "truncate", "after": 1000}, ""),
    ({"action": "short", "after": 1000}, ""),
    ({"action": "longer", "extra": 1000}, ""),
    ({"action": "endless"}, ""),
    ({"action": "status", "status": 404, "body": "{}"}, "404"),
    ({"action": "status", "status": 500, "body": "{}"}, "500"),
    ({"action": "redirect", "to": "file:///etc/passwd"}, ""),
    ({"action": "redirect", "to": "gopher://127.0.0.1:1/"}, ""),
    ({"action": "close"}, ""),
], ids=lambda value: value["action"] + str(value.get("to", value.get("status", ""))) if isinstance(value, dict) else "")
def test_a_layer_that_never_comes_right(sampan, liar, image, action, word):
    manifest = liar.serve(image)
    liar.serve(image, faults=[{"path": layer_path(manifest), **action}])
    assert word in pull(sampan, liar, timeout=120).stderr


@pytest.mark.parametrize("action", [
    {"action": "truncate", "after": 1000, "times": 1},
    {"action": "close", "times": 1},
    {"action": "status", "status": 503, "body": "", "times": 1},
    {"action": "status", "status": 429, "body": "", "headers": {"Retry-After": "0"}, "times": 1},
    {"action": "redirect", "to_port": "other", "times": 1},
], ids=lambda action: action["action"] + str(action.get("status", "")))
def test_a_layer_that_comes_right_at_last(sampan, liar, image, action):
    manifest = liar.serve(image)
    liar.serve(image, faults=[{"path": layer_path(manifest), **action}])
    pull(sampan, liar, code=0)


def test_a_broken_transfer_is_resumed_not_repeated(sampan, liar, image):
    manifest = liar.serve(image)
    liar.serve(image, faults=[{"path": layer_path(manifest), "action": "truncate", "after": 100_000, "times": 1}])
    pull(sampan, liar, code=0)
    ranges = [request["headers"].get("range") for request in liar.requests() if layer_path(manifest) in request["path"]]
    assert ranges == [None, "bytes=100000-"]


def test_a_redirect_loop_ends(sampan, liar, image):
    manifest = liar.serve(image)
    liar.serve(image, faults=[{"path": layer_path(manifest), "action": "redirect", "to_port": "main"}])
    pull(sampan, liar)
    assert len(liar.requests()) < 100


def test_an_endless_manifest(sampan, liar, image):
    liar.serve(image, faults=[{"path": "/manifests/", "action": "endless"}])
    pull(sampan, liar, timeout=120)


def credentials(tmp_path, host):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.json").write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(b"user:secret").decode()}}}))
    return {**os.environ, "DOCKER_CONFIG": str(tmp_path / "config")}


def test_credentials_stay_with_their_host(sampan, liar, image, tmp_path):
    """A redirect to another host, which then asks for a password itself (CVE-2020-15157's family)."""
    environment = credentials(tmp_path, liar.host)
    manifest = liar.serve(image)
    liar.serve(image, auth={"kind": "basic", "user": "user", "password": "secret"},
               faults=[{"path": layer_path(manifest), "port": "main", "action": "redirect", "to_port": "other"},
                       {"path": layer_path(manifest), "port": "other", "times": 1, "action": "status", "status": 401, "body": "",
                        "headers": {"WWW-Authenticate": "Basic realm=\"give\""}}])
    sampan.run("pull", f"{liar.host}/x", code=None, env=environment, timeout=120)
    seen = liar.requests()
    assert any("authorization" in request["headers"] for request in seen if request["port"] == "main")
    assert any(request["port"] == "other" for request in seen)
    assert not any("authorization" in request["headers"] for request in seen if request["port"] == "other")


def test_bearer_tokens(sampan, liar, image, tmp_path):
    environment = credentials(tmp_path, liar.host)
    liar.serve(image, auth={"kind": "bearer", "user": "user", "password": "secret"})
    sampan.run("pull", "-q", f"{liar.host}/x", env=environment)
    assert any(request["headers"].get("authorization", "").startswith("Bearer ") for request in liar.requests())


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "gopher://127.0.0.1:1/", "http://169.254.169.254/latest", "http://192.0.2.1/token"])
def test_a_realm_that_leads_elsewhere_gets_nothing(sampan, liar, image, tmp_path, realm):
    environment = credentials(tmp_path, liar.host)
    liar.serve(image, auth={"kind": "bearer", "user": "user", "password": "secret", "realm": realm})
    pull(sampan, liar, env=environment)


def test_unauthorized_is_said(sampan, liar, image):
    liar.serve(image, auth={"kind": "basic", "user": "user", "password": "secret"})
    error = pull(sampan, liar).stderr.lower()
    assert "denied" in error or "unauthorized" in error or "authentication" in error


def test_what_a_registry_says_cannot_drive_the_terminal(sampan, liar, image):
    body = json.dumps({"errors": [{"code": "DENIED", "message": "\u001b]0;owned\u0007\u009b31m"}]})
    liar.serve(image, faults=[{"path": "/manifests/", "action": "status", "status": 403, "body": body}])
    error = pull(sampan, liar).stderr
    assert "\x1b" not in error and "\x07" not in error and "\x9b" not in error
