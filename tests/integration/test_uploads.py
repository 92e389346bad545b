"""Pushes whose blobs have to be made again, registries that know less or want more, and token servers."""

import base64
import http.client
import json
import pathlib
import random
import subprocess
import urllib.parse

import pytest

import image as images
from conftest import RealRegistry
from image import Image, LayerTar, busybox_image
from test_registry import Front, digest_of, guarded, home, pushed_digest, second  # noqa: F401 (fixtures)

BIN = pathlib.Path(__file__).parents[2] / "build/bin"


@pytest.fixture
def origin(tmp_path):
    """A registry that a test takes away again."""
    server = RealRegistry(tmp_path / "origin")
    yield server
    if server.process.poll() is None:
        server.stop()


def pulled(sampan, origin, image=None):
    origin.push("a", "1", image or busybox_image())
    name = f"{origin.host}/a:1"
    digest = digest_of(name)
    sampan.run("pull", "-q", name)
    return name, digest


def layer_blobs(sampan):
    return sorted((sampan.root / "blobs/sha256").iterdir())


def can_be_pulled(name, folder):
    subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"dir:{folder}"], check=True)


# --- blobs that are gone ---

def test_an_evicted_blob_is_made_again_from_its_layer(sampan, origin, second, home):
    name, digest = pulled(sampan, origin)
    assert layer_blobs(sampan)
    subprocess.run([BIN / "sampan-image", "evict", "--root", sampan.root, "--all"], check=True, capture_output=True)
    assert not layer_blobs(sampan)
    origin.stop()  # nobody else has it
    target = f"{second.host}/again:1"
    sampan.run("tag", name, target)
    assert pushed_digest(sampan.out("push", target)) == digest == digest_of(target)
    can_be_pulled(target, home / "copy")


def test_without_blob_and_recipe_the_layer_is_compressed_anew(sampan, origin, second, home):
    name, digest = pulled(sampan, origin)
    for blob in layer_blobs(sampan):
        blob.unlink()
    origin.stop()
    target = f"{second.host}/anew:1"
    sampan.run("tag", name, target)
    pushed = pushed_digest(sampan.out("push", target))
    assert pushed != digest and pushed == digest_of(target)
    can_be_pulled(target, home / "copy")
    # The same image for whoever pulls it: the same config, the same files.
    other = sampan.out("image", "inspect", "--format", "{{.Id}}", name)
    sampan.run("rmi", name, target)
    sampan.run("pull", "-q", target)
    assert sampan.out("image", "inspect", "--format", "{{.Id}}", target) == other
    assert sampan.out("run", "--rm", target, "cat", "/var/www/index.html") == "<h1>sampan</h1>"


# --- what registries want of an upload ---

def push_large(sampan, origin, front, *flags):
    """1 MB that no compression makes smaller."""
    data = random.Random(4).randbytes(1_000_000)
    name, digest = pulled(sampan, origin, Image([LayerTar().add("data", data).bytes()]))
    target = f"{front.host}/large:1"
    sampan.run("tag", name, target)
    done = sampan.run("push", *flags, target)
    front.shutdown()
    assert pushed_digest(done.stdout) == digest
    return [(command, int(headers.get("Content-Length", 0)), headers.get("Content-Range"))
            for command, path, headers in front.seen if "/uploads/" in path]


def test_chunks_are_as_long_as_the_registry_wants(sampan, origin, second, home):
    def want(request):
        if request.command != "POST":
            return False
        upstream = http.client.HTTPConnection(second.host)
        upstream.request("POST", request.path, headers={"Content-Length": "0"})
        answer = upstream.getresponse()
        answer.read()
        request.send_response(202)
        request.send_header("Location", answer.getheader("Location").replace(second.host, request.server.host))
        request.send_header("OCI-Chunk-Min-Length", "400000")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True
    seen = push_large(sampan, origin, Front(second.host, fault=want), "--chunk-size", "100000")
    sizes = [size for command, size, _ in seen if command == "PATCH" and size > 10_000]
    assert len(sizes) == 3 and sizes[0] == sizes[1] == 400_000 and sizes[2] < 400_000


def test_a_chunk_that_is_out_of_place_goes_where_the_registry_is(sampan, origin, second, home):
    left = [True]

    def refuse(request):
        if request.command != "PATCH" or request.headers.get("Content-Range", "").startswith("0-") or not left:
            return False
        left.pop()
        request.rfile.read(int(request.headers["Content-Length"]))
        request.send_response(416)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True
    seen = push_large(sampan, origin, Front(second.host, fault=refuse), "--chunk-size", "300000")
    assert not left
    asked = [i for i, (command, _, _) in enumerate(seen) if command == "GET"]
    assert len(asked) == 1  # where the upload stands
    ranges = [where for command, size, where in seen if command == "PATCH" and size > 10_000]
    assert ranges.count("300000-599999") == 2 and ranges.count("0-299999") == 1


# --- referrers where the registry keeps none ---

def test_what_refers_to_an_image_is_listed_by_the_client(sampan, origin, second, home):
    """Debian's registry knows no `subject`: the tag in place of its list is ours to write."""
    client = images.Registry(origin.host)
    body, kind = busybox_image().manifest()
    subject = {"mediaType": kind, "digest": images.digest_of(body), "size": len(body)}
    names = []
    for number in (1, 2):
        image = busybox_image(config={"Env": [f"N={number}"]})
        manifest = json.loads(image.manifest()[0])
        for blob, data in image.blobs.items():
            client.push_blob("signed", blob, data)
        manifest.update(subject=subject, artifactType="application/vnd.example.sbom", annotations={"number": str(number)})
        client.push_manifest("signed", str(number), json.dumps(manifest).encode(), images.OCI_MANIFEST)
        names.append(f"{origin.host}/signed:{number}")
    for name in names:
        sampan.run("pull", "-q", name)
    pushed = []
    for name in (*names, names[0]):  # one of them twice
        target = name.replace(origin.host, second.host)
        sampan.run("tag", name, target)
        pushed.append(pushed_digest(sampan.out("push", target)))
    target = f"{second.host}/signed@{subject['digest']}"
    listed = json.loads(sampan.out("manifest", "inspect", "--referrers", target))["manifests"]
    assert [entry["digest"] for entry in listed] == pushed[:2]
    assert listed[0]["artifactType"] == "application/vnd.example.sbom" and listed[1]["annotations"] == {"number": "2"}
    none = sampan.out("manifest", "inspect", "--referrers", "--artifact-type", "application/other", target)
    assert json.loads(none)["manifests"] == []


# --- token servers ---

class TokenServer:
    """In front of a registry: wants tokens, which it gives for `user:secret` or a refresh token."""

    def __init__(self, upstream, *, only_post=False, identity=None):
        self.only_post, self.identity, self.asked, self.token = only_post, identity, [], "good"
        self.front = Front(upstream, fault=self.act)

    def act(self, request):
        if request.path.startswith("/token"):
            return self.give(request)
        if request.headers.get("Authorization") == "Bearer " + self.token:
            del request.headers["Authorization"]
            return False
        size = int(request.headers.get("Content-Length", 0))
        request.rfile.read(size)
        return self.answer(request, 401, {"errors": [{"code": "UNAUTHORIZED", "message": "token wanted"}]},
                           {"WWW-Authenticate": self.challenge()})

    def challenge(self):
        return f'Bearer realm="http://{self.front.host}/token",service="test",scope="repository:a:pull,push"'

    def give(self, request):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        form = {}
        if request.command == "POST":
            form = urllib.parse.parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
        self.asked.append((request.command, query, form, request.headers.get("Authorization")))
        if self.only_post and request.command == "GET":
            return self.answer(request, 404, {})
        basic = "Basic " + base64.b64encode(b"user:secret").decode()
        is_password = form.get("grant_type") == ["password"] and (form["username"], form["password"]) == (["user"], ["secret"])
        is_identity = form.get("grant_type") == ["refresh_token"] and form["refresh_token"] == [self.identity]
        if not is_password and not is_identity and request.headers.get("Authorization") != basic:
            return self.answer(request, 401, {"details": "incorrect username or password"})
        token = {"access_token" if form else "token": self.token, "expires_in": 300}
        offline = query.get("offline_token") == ["true"] or form.get("access_type") == ["offline"]
        if self.identity and offline:
            token["refresh_token"] = self.identity
        return self.answer(request, 200, token)

    @staticmethod
    def answer(request, status, body, headers=None):
        content = json.dumps(body).encode()
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)
        return True


@pytest.mark.parametrize("only_post", [False, True])
def test_a_login_keeps_the_identity_token_in_place_of_the_password(sampan, origin, home, only_post):
    name, digest = pulled(sampan, origin)
    server = TokenServer(origin.host, only_post=only_post, identity="who-i-am")
    host = server.front.host
    assert "Login Succeeded" in sampan.out("login", "-u", "user", "--password-stdin", host, input="secret")
    kept = json.loads((home / ".docker/config.json").read_text())["auths"][host]
    assert kept["identitytoken"] == "who-i-am"
    assert base64.b64decode(kept.get("auth", "")).decode() in ("", "user:")
    login = server.asked[-1]
    assert login[0] == ("POST" if only_post else "GET")
    if only_post:
        assert login[2]["access_type"] == ["offline"] and login[2]["client_id"]
    else:
        assert login[1]["offline_token"] == ["true"]
    server.asked.clear()
    sampan.run("pull", "-q", f"{host}/a:1")
    target = f"{host}/a:2"
    sampan.run("tag", name, target)
    assert pushed_digest(sampan.out("push", target)) == digest
    assert server.asked and all(ask[0] == "POST" and ask[2]["refresh_token"] == ["who-i-am"] and ask[3] is None
                                for ask in server.asked)
    server.front.shutdown()


def test_a_token_that_ends_while_a_layer_is_sent(sampan, origin, second, home):
    """The refusal comes after the body: it is sent again, with a new token."""
    name, digest = pulled(sampan, origin)
    server = TokenServer(second.host)
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(
        json.dumps({"auths": {server.front.host: {"username": "user", "password": "secret"}}}))
    ended, give = [], server.act

    def end_once(request):
        if not ended and request.command == "PUT" and "/uploads/" in request.path:
            ended.append(request.rfile.read(int(request.headers["Content-Length"])))
            server.token = "better"
            return server.answer(request, 401, {}, {"WWW-Authenticate": server.challenge() + ',error="invalid_token"'})
        return give(request)
    server.front.fault = end_once
    target = f"{server.front.host}/a:1"
    sampan.run("tag", name, target)
    assert pushed_digest(sampan.out("push", target)) == digest == digest_of(f"{second.host}/a:1")
    assert len(ended) == 1 and len(server.asked) >= 2
    server.front.shutdown()


def test_a_token_server_that_only_takes_posts(sampan, origin, home):
    pulled(sampan, origin)
    server = TokenServer(origin.host, only_post=True)
    host = server.front.host
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {host: {"username": "user", "password": "secret"}}}))
    sampan.run("pull", "-q", f"{host}/a:1")
    assert [ask[0] for ask in server.asked] == ["GET", "POST"]
    form = server.asked[1][2]
    assert form["grant_type"] == ["password"] and form["scope"] == ["repository:a:pull,push"] and form["service"] == ["test"]
    server.front.shutdown()


# --- where credentials lie ---

def test_credentials_of_podman_and_of_old(sampan, guarded, home, tmp_path, monkeypatch):
    images.Registry(guarded.host, {"Authorization": "Basic " + base64.b64encode(b"user:secret").decode()}).push(
        "team/a", "latest", busybox_image())
    name = f"{guarded.host}/team/a"
    good, bad = (base64.b64encode(text).decode() for text in (b"user:secret", b"user:wrong"))
    assert "no basic auth credentials" in sampan.run("pull", name, code=1).stderr

    def works(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        sampan.run("pull", "-q", name)
        path.unlink()
        sampan.run("pull", "-q", name, code=1)
    works(home / ".config/containers/auth.json", {"auths": {guarded.host: {"auth": good}}})
    works(home / ".dockercfg", {guarded.host: {"auth": good}})
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    # The longest prefix wins, whatever the order.
    works(tmp_path / "run/containers/auth.json", {"auths": {guarded.host: {"auth": bad}, f"{guarded.host}/team": {"auth": good}}})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "mine.json"))
    works(tmp_path / "mine.json", {"auths": {f"https://{guarded.host}/v2/": {"auth": good}}})
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {guarded.host: {"auth": good}}}))
    sampan.run("pull", "-q", name)


# --- other digests ---

def test_sha512_is_refused_by_name(sampan, origin, home):
    pulled(sampan, origin)
    for words in (("pull",), ("manifest", "inspect"), ("run", "--rm")):
        refused = sampan.run(*words, f"{origin.host}/a@sha512:{'a' * 128}", code=None)
        assert refused.returncode != 0 and "sha512" in refused.stderr and "sha256" in refused.stderr, refused.stderr
