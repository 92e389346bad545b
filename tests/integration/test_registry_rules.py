"""What the distribution specification leaves to a registry, and a client has to cope with: each answered so by a server in front of Debian's."""

import base64
import http.client
import json
import urllib.parse

import pytest

import image as images
from image import busybox_image
from test_registry import Front, digest_of, guarded, home, pushed_digest, second  # noqa: F401 (fixtures)
from test_uploads import TokenServer


def answer(request, status, body=b"", headers=()):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    request.send_response(status)
    for name, value in headers:
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
    return True


def relay(request, change, path=None, headers=()):
    """Hands the request on; `change` makes other headers of the answer's."""
    body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
    upstream = http.client.HTTPConnection(request.server.upstream)
    upstream.request(request.command, path or request.path, body, {**dict(request.headers), **dict(headers)})
    got = upstream.getresponse()
    content = got.read()
    kept = {name: value for name, value in got.getheaders() if name.lower() not in ("content-length", "connection", "date", "server")}
    upstream.close()
    return answer(request, got.status, content, change(kept).items())


def starts_upload(request):
    return request.command == "POST" and "/blobs/uploads/" in request.path


def is_upload_put(request):
    return request.command == "PUT" and "/uploads/" in request.path


def push_to(sampan, source, host, code=0):
    target = f"{host}/pushed:1"
    sampan.run("tag", source, target)
    return sampan.run("push", target, code=code)


def elsewhere(front, location):
    """The same place at another host."""
    parts = urllib.parse.urlsplit(location)
    return f"http://{front.host}{parts.path}?{parts.query}"


@pytest.fixture
def local(sampan, busybox, home):
    sampan.run("pull", "-q", busybox)
    return busybox


# --- uploads ---

def test_an_upload_goes_on_where_it_is_told_with_all_that_stands_there(sampan, local, second):
    def relative(headers):
        if "Location" not in headers:
            return headers
        parts = urllib.parse.urlsplit(headers["Location"])
        return {**headers, "Location": f"{parts.path}?{parts.query}&keep=a%2Fb"}
    # Also where it stands, for one that is interrupted.
    front = Front(second.host, fault=lambda request: request.command in ("POST", "GET", "PATCH") and "/blobs/uploads/" in request.path
                  and relay(request, relative))
    assert pushed_digest(push_to(sampan, local, front.host).stdout) == digest_of(local)
    front.shutdown()
    puts = [urllib.parse.urlsplit(path) for command, path, _ in front.seen if command == "PUT" and "/uploads/" in path]
    assert puts
    for put in puts:
        query = urllib.parse.parse_qs(put.query)
        assert query["keep"] == ["a/b"] and query["_state"] and query["digest"][0].startswith("sha256:")


def test_an_upload_elsewhere_gets_no_credentials(sampan, local, guarded, home):
    basic = "Basic " + base64.b64encode(b"user:secret").decode()
    given = []

    def act_elsewhere(request):
        given.append(request.headers.get("Authorization"))
        return relay(request, lambda headers: headers, headers={"Authorization": basic})
    other = Front(guarded.host, fault=act_elsewhere)
    front = Front(guarded.host, fault=lambda request: starts_upload(request) and relay(
        request, lambda headers: {**headers, "Location": elsewhere(other, headers["Location"])} if "Location" in headers else headers))
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {front.host: {"username": "user", "password": "secret"}}}))
    assert pushed_digest(push_to(sampan, local, front.host).stdout) == digest_of(local)
    front.shutdown()
    other.shutdown()
    assert given and set(given) == {None}
    assert any(headers.get("Authorization") == basic for _, _, headers in front.seen)


def test_a_redirected_upload_is_sent_again_as_a_whole(sampan, local, second):
    other = Front(second.host)

    def redirect(request):
        if not is_upload_put(request):
            return False
        request.rfile.read(int(request.headers.get("Content-Length", 0)))
        return answer(request, 307, headers=[("Location", f"http://{other.host}{request.path}")])
    front = Front(second.host, fault=redirect)
    assert pushed_digest(push_to(sampan, local, front.host).stdout) == digest_of(local) == digest_of(f"{second.host}/pushed:1")
    front.shutdown()
    other.shutdown()
    assert other.seen and {command for command, _, _ in other.seen} == {"PUT"}


def test_a_mount_that_becomes_an_upload_is_used(sampan, second, home):
    digest = second.push("a", "1", busybox_image())
    mounts = []

    def no_mount(request):
        if "mount=" not in request.path:
            return False
        mounts.append(request.path)
        return relay(request, lambda headers: headers, path=request.path.split("?")[0])
    front = Front(second.host, fault=no_mount)
    sampan.run("pull", "-q", f"{front.host}/a:1")
    assert pushed_digest(push_to(sampan, f"{front.host}/a:1", front.host).stdout) == digest
    front.shutdown()
    assert mounts and all("from=a" in path for path in mounts)
    begun = [path for command, path, _ in front.seen if command == "POST"]
    sent = [path for command, path, _ in front.seen if command == "PUT" and "/uploads/" in path]
    assert len(begun) == len(sent)  # none was begun beside one that the registry had opened


def test_a_mount_asks_for_both_rights(sampan, second, home):
    second.push("a", "1", busybox_image())
    server = TokenServer(second.host)
    host = server.front.host
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {host: {"username": "user", "password": "secret"}}}))
    sampan.run("pull", "-q", f"{host}/a:1")
    server.asked.clear()
    server.token = "next"  # what was given before is not good any more
    output = push_to(sampan, f"{host}/a:1", host).stdout
    server.front.shutdown()
    assert "Mounted from a" in output
    scopes = [set(query.get("scope", [])) for _, query, _, _ in server.asked]
    assert any("repository:pushed:pull,push" in asked and any(scope.startswith("repository:a:pull") for scope in asked) for asked in scopes), scopes


def test_an_upload_that_is_refused_is_abandoned(sampan, local, second):
    def refuse(request):
        if not is_upload_put(request):
            return False
        request.rfile.read(int(request.headers.get("Content-Length", 0)))
        return answer(request, 403, {"errors": [{"code": "DENIED", "message": "quota exceeded"}]})
    front = Front(second.host, fault=refuse)
    assert "denied: quota exceeded" in push_to(sampan, local, front.host, code=1).stderr
    front.shutdown()
    assert [path for command, path, _ in front.seen if command == "DELETE" and "/uploads/" in path]


def test_a_manifest_that_is_too_large_is_said(sampan, local, second):
    front = Front(second.host, fault=lambda request: request.command == "PUT" and "/manifests/" in request.path and answer(request, 413))
    stderr = push_to(sampan, local, front.host, code=1).stderr
    front.shutdown()
    assert "the registry finds its " in stderr and "bytes too large" in stderr


# --- what is pulled ---

def test_manifests_may_be_elsewhere(sampan, guarded, home):
    """Any answer may be a redirect, and no credentials go along."""
    basic = {"Authorization": "Basic " + base64.b64encode(b"user:secret").decode()}
    images.Registry(guarded.host, basic).push("a", "latest", busybox_image())
    other = Front(guarded.host, fault=lambda request: relay(request, lambda headers: headers, headers=basic))
    front = Front(guarded.host, fault=lambda request: "/manifests/" in request.path and "Authorization" in request.headers and
                  answer(request, 307, headers=[("Location", f"http://{other.host}{request.path}")]))
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {front.host: {"username": "user", "password": "secret"}}}))
    sampan.run("pull", "-q", f"{front.host}/a")
    front.shutdown()
    other.shutdown()
    assert other.seen and not any("Authorization" in headers for _, _, headers in other.seen)


def test_what_is_up_to_date_costs_one_head(sampan, second, home):
    front = Front(second.host)
    name = f"{front.host}/a:1"
    digest = second.push("a", "1", busybox_image())
    sampan.run("pull", "-q", name)

    def again():
        front.seen.clear()
        output = sampan.out("pull", name)
        return output, [(command, path) for command, path, _ in front.seen]
    output, requests = again()
    assert f"Digest: {digest}" in output and "Image is up to date" in output
    assert requests == [("HEAD", "/v2/a/manifests/1")]
    # Where HEAD is refused, as well.
    front.fault = lambda request: request.command == "HEAD" and answer(request, 405)
    output, requests = again()
    assert "Image is up to date" in output and all("/manifests/" in path for _, path in requests)
    front.fault = None
    newer = second.push("a", "1", busybox_image(config={"Env": ["A=b"]}))
    output, _ = again()
    assert f"Digest: {newer}" in output and "Downloaded newer image" in output
    second.push("a", "1", busybox_image())
    output, _ = again()
    assert f"Digest: {digest}" in output and "Image is up to date" not in output
    front.shutdown()


def test_a_tag_beside_a_digest_stays_where_it_is(sampan, second, home):
    one = second.push("a", "1", busybox_image())
    sampan.run("pull", "-q", f"{second.host}/a:1")
    two = second.push("a", "2", busybox_image(config={"Env": ["A=b"]}))
    sampan.run("pull", "-q", f"{second.host}/a:1@{two}")
    shown = sampan.out("images", "--digests", "--format", "{{.Tag}} {{.Digest}}", f"{second.host}/a").split("\n")
    assert sorted(shown) == sorted([f"1 {one}", f"<none> {two}"])


# --- lists in pages ---

def pages(prefix, bodies, links, seen):
    """Serves `bodies` one after the other below a path."""
    def act(request):
        if not request.path.startswith(prefix):
            return False
        number = min(len(seen), len(bodies) - 1)
        seen.append(request.path)
        headers = [("Content-Type", "application/vnd.oci.image.index.v1+json"), ("OCI-Filters-Applied", "artifactType")]
        return answer(request, 200, bodies[number], headers + ([("Link", links[number])] if links[number] else []))
    return act


def test_tags_in_pages(sampan, second, home):
    seen, other = [], Front(second.host)
    bodies = [{"name": "many", "tags": ["a", "b"]}, {"name": "many", "tags": ["c"]}, {"name": "many", "tags": None}]
    links = ['</v2/many/tags/list?last=b&n=2>; rel="next"', f'<http://{other.host}/v2/else/tags/list?last=c&n=2>; rel=next', None]
    front = Front(second.host, fault=pages("/v2/many/tags/list", bodies, links, seen))
    listed = sampan.out("search", "--list-tags", f"{front.host}/many").split("\n")[1:]
    assert [line.split()[1] for line in listed] == ["a", "b", "c"]
    assert seen == ["/v2/many/tags/list", "/v2/many/tags/list?last=b&n=2", "/v2/many/tags/list?last=c&n=2"]
    assert not other.seen
    seen.clear()
    front.fault = pages("/v2/many/tags/list", [bodies[0]], ['</v2/many/tags/list?n=2>; rel="next"'], seen)
    assert "have no end" in sampan.run("search", "--list-tags", f"{front.host}/many", code=1).stderr
    assert len(seen) <= 3
    front.shutdown()
    other.shutdown()


def test_referrers_of_a_registry_that_lists_them(sampan, second, home):
    kind = "application/vnd.example.sbom"

    def index(*numbers, artifact=kind):
        return {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [
            {"mediaType": images.OCI_MANIFEST, "digest": images.digest_of(b"%d" % number), "size": 7, "artifactType": artifact} for number in numbers]}
    subject, seen = images.digest_of(b"subject"), []
    prefix = f"/v2/signed/referrers/{subject}"
    front = Front(second.host, fault=pages(prefix, [index(1, 2), index(3)], [f'<{prefix}?page=2>; rel="next"', None], seen))

    def listed(*words):
        found = json.loads(sampan.out("manifest", "inspect", "--referrers", *words, f"{front.host}/signed@{subject}"))["manifests"]
        return [entry["digest"] for entry in found]
    assert listed() == [images.digest_of(b"%d" % number) for number in (1, 2, 3)]
    assert seen == [prefix, f"{prefix}?page=2"]
    # It may filter, or say so and not do it.
    seen.clear()
    mixed = index(1)
    mixed["manifests"] += index(2, artifact="x/other")["manifests"]
    front.fault = pages(prefix, [mixed], [None], seen)
    assert listed("--artifact-type", kind) == [images.digest_of(b"1")]
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(seen[0]).query) == {"artifactType": [kind]}
    seen.clear()
    front.fault = pages(prefix, [index()], [None], seen)
    assert listed() == [] and len(seen) == 1  # an empty list is an answer: no tag is looked for
    front.shutdown()


def test_a_registry_that_keeps_the_list_is_not_helped(sampan, second, home):
    """OCI-Subject in its answer: then the tag in place of the list is none of ours."""
    client = images.Registry(second.host)
    body, kind = busybox_image().manifest()
    image = busybox_image(config={"Env": ["N=1"]})
    manifest = json.loads(image.manifest()[0])
    for blob, data in image.blobs.items():
        client.push_blob("signed", blob, data)
    manifest.update(subject={"mediaType": kind, "digest": images.digest_of(body), "size": len(body)}, artifactType="application/vnd.example.sbom")
    client.push_manifest("signed", "1", json.dumps(manifest).encode(), images.OCI_MANIFEST)
    sampan.run("pull", "-q", f"{second.host}/signed:1")
    front = Front(second.host, fault=lambda request: request.command == "PUT" and "/manifests/" in request.path and relay(
        request, lambda headers: {**headers, "OCI-Subject": images.digest_of(body)}))
    push_to(sampan, f"{second.host}/signed:1", front.host)
    front.shutdown()
    assert [path for command, path, _ in front.seen if command == "PUT" and "/manifests/" in path] == ["/v2/pushed/manifests/1"]
