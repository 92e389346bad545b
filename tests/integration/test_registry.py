"""Everything that is said to a registry beside a pull, against Debian's docker-registry and servers in front of it."""

import http.client
import http.server
import json
import os
import re
import socketserver
import ssl
import stat
import subprocess
import threading

import pytest

import image as images
from conftest import RealRegistry


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of the test's own: nobody's credentials, mirrors or certificates are looked at or changed."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("SAMPAN_CERTS_D", str(tmp_path / "certs.d"))
    for name in ("DOCKER_CONFIG", "DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def second(tmp_path):
    """An empty registry."""
    server = RealRegistry(tmp_path / "second")
    yield server
    server.stop()


@pytest.fixture
def guarded(tmp_path):
    """A registry that wants user:secret."""
    users = tmp_path / "htpasswd"
    users.write_text(subprocess.run(["htpasswd", "-Bbn", "user", "secret"], check=True, capture_output=True, text=True).stdout)
    server = RealRegistry(tmp_path / "guarded", extra=f"auth: {{htpasswd: {{realm: test, path: {users}}}}}\n")
    yield server
    server.stop()


def digest_of(reference, *more):
    done = subprocess.run(["skopeo", "inspect", "--tls-verify=false", *more, "--format", "{{.Digest}}",
                           f"docker://{reference}"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def pushed_digest(output):
    return re.search(r"^\S+: digest: (sha256:[0-9a-f]{64}) size: \d+$", output, re.M).group(1)


# --- push ---

def test_a_pulled_image_goes_back_as_it_was(sampan, busybox, registry, second, home):
    sampan.run("pull", "-q", busybox)
    name = f"{second.host}/team/copy"
    sampan.run("tag", busybox, name)
    output = sampan.out("push", name)
    assert output.split("\n")[:2] == ["Using default tag: latest", f"The push refers to repository [{name}]"]
    assert re.search(r"^[0-9a-f]{12}: Pushed$", output, re.M)
    assert pushed_digest(output) == digest_of(busybox) == digest_of(name)
    again = sampan.out("push", name + ":latest")
    assert re.search(r"^[0-9a-f]{12}: Layer already exists$", again, re.M) and "Pushed" not in again
    assert sampan.out("push", "-q", name) == name + ":latest"
    # What was pushed can be pulled by others.
    subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"dir:{home}/copy"], check=True)


def test_layers_of_another_repository_are_mounted(sampan, busybox, registry, home):
    sampan.run("pull", "-q", busybox)
    name = f"{registry.host}/mounted"
    sampan.run("tag", busybox, name)
    output = sampan.out("push", name)
    assert re.search(r"^[0-9a-f]{12}: Mounted from busybox$", output, re.M), output
    assert digest_of(name) == digest_of(busybox)


def test_all_tags_in_chunks(sampan, busybox, second, home):
    sampan.run("pull", "-q", busybox)
    name = f"{second.host}/many"
    for tag in ("one", "two"):
        sampan.run("tag", busybox, f"{name}:{tag}")
    output = sampan.out("push", "-a", "--chunk-size", "100000", name)
    assert re.findall(r"^(\S+): digest:", output, re.M) == ["one", "two"]
    assert digest_of(name + ":one") == digest_of(name + ":two") == digest_of(busybox)
    listed = sampan.out("search", "--list-tags", name).split("\n")
    assert [line.split() for line in listed] == [["NAME", "TAG"], [name, "one"], [name, "two"]]


def test_a_blob_that_is_gone_is_had_again(sampan, busybox, second, home):
    sampan.run("pull", "-q", busybox)
    blobs = sampan.root / "blobs/sha256"
    for blob in blobs.iterdir() if blobs.exists() else []:
        blob.unlink()
    name = f"{second.host}/again"
    sampan.run("tag", busybox, name)
    assert pushed_digest(sampan.out("push", name)) == digest_of(busybox)


def test_what_can_not_be_pushed(sampan, busybox, guarded, home):
    sampan.run("pull", "-q", busybox)
    assert "An image does not exist locally with the tag: nothing" in sampan.run("push", "nothing", code=1).stderr
    assert "tag does not exist: " in sampan.run("push", busybox + ":other", code=1).stderr
    assert "cannot push a digest reference" in sampan.run("push", busybox + "@sha256:" + "0" * 64, code=1).stderr
    name = f"{guarded.host}/a"
    sampan.run("tag", busybox, name)
    assert "no basic auth credentials" in sampan.run("push", name, code=1).stderr


# --- login ---

def test_login_is_verified_kept_and_forgotten(sampan, busybox, guarded, home):
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{"HttpHeaders": {"X-Keep": "me"}, "auths": {"other": {"auth": "YTpi"}}}')
    refused = sampan.run("login", "-u", "user", "--password-stdin", guarded.host, input="wrong\n", code=1)
    assert "unauthorized" in refused.stderr and guarded.host not in config.read_text()
    done = sampan.run("login", "-u", "user", "--password-stdin", guarded.host, input="secret\n")
    assert done.stdout == "Login Succeeded\n" and "stored unencrypted" in done.stderr
    kept = json.loads(config.read_text())
    assert kept["auths"][guarded.host] == {"auth": "dXNlcjpzZWNyZXQ="} and kept["auths"]["other"] and kept["HttpHeaders"]
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert "existing credentials" in sampan.out("login", guarded.host)
    sampan.run("pull", "-q", busybox)
    name = f"{guarded.host}/a"
    sampan.run("tag", busybox, name)
    assert pushed_digest(sampan.out("push", name)) == digest_of(busybox)
    assert sampan.out("search", guarded.host).split() == ["NAME", name]
    assert sampan.out("logout", guarded.host) == f"Removing login credentials for {guarded.host}"
    assert json.loads(config.read_text())["auths"].keys() == {"other"}
    assert sampan.out("logout", guarded.host) == f"Not logged in to {guarded.host}"


def test_login_with_a_helper(sampan, guarded, home, tmp_path, monkeypatch):
    helper = tmp_path / "bin/docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(f"#!/bin/sh\ncase $1 in store) cat > {tmp_path}/kept;; get) cat {tmp_path}/kept 2>/dev/null ||"
                      f" {{ echo credentials not found in native keychain; exit 1; }};; erase) rm {tmp_path}/kept;; esac\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{"credsStore": "test"}')
    done = sampan.run("login", "-u", "user", "--password-stdin", guarded.host, input="secret")
    assert done.stdout == "Login Succeeded\n" and done.stderr == ""
    kept = json.loads((tmp_path / "kept").read_text())
    assert kept == {"ServerURL": guarded.host, "Username": "user", "Secret": "secret"}
    assert "secret" not in config.read_text() and "auth\"" not in config.read_text()
    assert "existing credentials" in sampan.out("login", guarded.host)
    sampan.run("logout", guarded.host)
    assert not (tmp_path / "kept").exists()


def test_login_asks_nobody_without_a_terminal(sampan, guarded, home):
    assert "non TTY device" in sampan.run("login", guarded.host, code=1).stderr
    assert "Must provide --username" in sampan.run("login", "--password-stdin", guarded.host, code=1).stderr


# --- lists ---

def test_search_and_pull_of_all_tags(sampan, registry, busybox, home):
    for tag in ("a", "b"):
        registry.push("several", tag, images.busybox_image())
    name = f"{registry.host}/several"
    assert name in sampan.out("search", f"{registry.host}/several").split()
    assert busybox not in sampan.out("search", f"{registry.host}/several").split()
    output = sampan.out("pull", "-a", name)
    assert "a: Pulling from several" in output and "b: Pulling from several" in output
    assert "tag can't be used" in sampan.run("pull", "-a", name + ":a", code=1).stderr
    both = sampan.run("pull", "-q", busybox, name + ":a", f"{registry.host}/none", code=1)
    assert both.stdout.split() == [busybox + ":latest", name + ":a"] and "not found" in both.stderr


def test_manifest_inspect(sampan, busybox, home):
    plain = json.loads(sampan.out("manifest", "inspect", busybox))
    assert plain["schemaVersion"] == 2 and plain["layers"]
    verbose = json.loads(sampan.out("manifest", "inspect", "-v", busybox))
    assert verbose["Descriptor"]["digest"] == digest_of(busybox) and verbose["Descriptor"]["platform"]["os"] == "linux"
    assert verbose.get("OCIManifest", verbose.get("SchemaV2Manifest")) == plain
    index = json.loads(sampan.out("manifest", "inspect", "--referrers", busybox))
    assert index["manifests"] == []


# --- mirrors and certificates ---

class Forward(http.server.BaseHTTPRequestHandler):
    """Hands every request on to a registry and remembers it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def forward(self):
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        if self.server.fault and self.server.fault(self):
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPConnection(self.server.upstream)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(key, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward


class Front(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, upstream, context=None, fault=None):
        super().__init__(("127.0.0.1", 0), Forward)
        self.upstream, self.seen, self.fault = upstream, [], fault
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def mirror(registry):
    server = Front(registry.host)
    yield server
    server.shutdown()


def write_hosts(tmp_path, host, text):
    folder = tmp_path / "certs.d" / host
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts.toml").write_text(text)


def test_a_mirror_of_hosts_toml(sampan, mirror, registry, home, tmp_path):
    write_hosts(tmp_path, "docs.example", f'server = "http://{registry.host}"\n[host."http://{mirror.host}"]\n'
                                         'capabilities = ["pull", "resolve"]\n[host."http://' + mirror.host + '".header]\n'
                                         'x-mirror = "yes"\n')
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{"auths": {"docs.example": {"auth": "dXNlcjpzZWNyZXQ="}}}')
    sampan.run("pull", "-q", "docs.example/busybox")
    assert mirror.seen and all("ns=docs.example" in path for _, path, _ in mirror.seen)
    assert all("Authorization" not in headers and headers.get("x-mirror") == "yes" for _, _, headers in mirror.seen)


def test_a_mirror_that_is_down_or_wrong_is_passed_over(sampan, registry, home, tmp_path):
    write_hosts(tmp_path, "docs.example", f'server = "http://{registry.host}"\n[host."http://127.0.0.1:9"]\n')
    sampan.run("pull", "-q", "docs.example/busybox")


def test_a_mirror_may_be_good_for_digests_only(sampan, mirror, registry, home, tmp_path, monkeypatch):
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nprefix = "docs.example/team"\nlocation = "{registry.host}"\ninsecure = true\n'
                    f'[[registry.mirror]]\nlocation = "{mirror.host}"\ninsecure = true\npull-from-mirror = "digest-only"\n'
                    f'[[registry]]\nlocation = "bad.example"\nblocked = true\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    sampan.run("pull", "-q", "docs.example/team/busybox")
    assert mirror.seen and not any("/manifests/latest" in path for _, path, _ in mirror.seen)
    assert "is blocked" in sampan.run("pull", "bad.example/a", code=1).stderr


def make_certificate(folder, name, authority=None):
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def test_own_authority_and_client_certificate(sampan, registry, home, tmp_path):
    certificate, key = make_certificate(tmp_path, "server")
    client, client_key = make_certificate(tmp_path, "client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client)
    context.verify_mode = ssl.CERT_REQUIRED
    front = Front(registry.host, context)
    folder = tmp_path / "certs.d" / front.host
    folder.mkdir(parents=True)
    # Somebody else's authority: on loopback, too, a server is verified once one is named.
    (folder / "ca.crt").write_text(client.read_text())
    assert "certificate" in sampan.run("pull", f"{front.host}/busybox", code=1).stderr
    (folder / "ca.crt").write_text(certificate.read_text())
    sampan.run("pull", "-q", f"{front.host}/busybox", code=1)  # without a client's certificate
    (folder / "client.cert").write_text(client.read_text())
    assert "missing key" in sampan.run("pull", f"{front.host}/busybox", code=1).stderr
    (folder / "client.key").write_text(client_key.read_text())
    (folder / "client.key").chmod(0o600)
    sampan.run("pull", "-q", f"{front.host}/busybox")
    front.shutdown()


# --- uploads that go wrong ---

def push_through(sampan, busybox, front):
    sampan.run("pull", "-q", busybox)
    name = f"{front.host}/lies"
    sampan.run("tag", busybox, name)
    done = sampan.run("push", name, code=None)
    front.shutdown()
    return done


def is_large_put(request):
    return request.command == "PUT" and int(request.headers.get("Content-Length", 0)) > 100_000


def once(fault):
    left = [True]

    def act(request):
        return left and is_large_put(request) and left.pop() and fault(request)
    return act


def test_an_upload_that_breaks_goes_on(sampan, busybox, second, home):
    def cut(request):
        request.rfile.read(65536)
        return True
    front = Front(second.host, fault=once(cut))
    assert pushed_digest(push_through(sampan, busybox, front).stdout) == digest_of(busybox) == digest_of(f"{second.host}/lies")
    assert len([path for command, path, headers in front.seen if command == "PUT" and "/uploads/" in path]) >= 3


def test_what_is_too_large_goes_in_chunks(sampan, busybox, second, home):
    def refuse(request):
        request.rfile.read(int(request.headers["Content-Length"]))
        request.send_error(413)
        return True
    front = Front(second.host, fault=once(refuse))
    assert pushed_digest(push_through(sampan, busybox, front).stdout) == digest_of(f"{second.host}/lies")
    ranges = [headers["Content-Range"] for command, _, headers in front.seen if command == "PATCH"]
    assert ranges and re.fullmatch(r"0-\d+", ranges[0])


def test_no_upload_to_where_a_registry_must_not_send_us(sampan, busybox, second, home):
    def mislead(request):
        if request.command != "POST":
            return False
        request.send_response(202)
        request.send_header("Location", "http://169.254.169.254/latest?a=b")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True
    done = push_through(sampan, busybox, Front(second.host, fault=mislead))
    assert done.returncode == 1 and "refused: a link-local or reserved address" in done.stderr


def test_a_digest_that_the_registry_invents(sampan, busybox, second, home):
    def invent(request):
        if request.command != "PUT" or "/manifests/" not in request.path:
            return False
        request.rfile.read(int(request.headers["Content-Length"]))
        request.send_response(201)
        request.send_header("Docker-Content-Digest", "sha256:" + "0" * 64)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True
    done = push_through(sampan, busybox, Front(second.host, fault=invent))
    assert done.returncode == 1 and "the registry stored sha256:000" in done.stderr
