"""Multi-platform names, and what is no image: pulled, run, pushed, kept and looked at."""

import base64
import hashlib
import json
import pathlib
import subprocess
import tarfile

import pytest

import image as images
from image import Image, LayerTar, busybox_image
from test_registry import Front, digest_of, home, pushed_digest, second  # noqa: F401 (fixtures)

HOST = images.host_architecture()
OTHER = "s390x" if HOST != "s390x" else "amd64"
NOTE = "Not all multiplatform-content is present and only the available single-platform image was pushed"


def image_for(platform):
    return busybox_image(config={"Env": [f"PLATFORM={platform}", "PATH=/bin"]})


@pytest.fixture
def index(registry, request):
    """A name with two platforms and its index's digest."""
    repository = f"indexes/{request.node.name.replace('[', '-').replace(']', '')}"
    both = {f"linux/{name}": image_for(name) for name in (OTHER, HOST)}
    digest = images.Registry(registry.host).push_index(repository, "1", both)
    return f"{registry.host}/{repository}:1", digest


def run_env(sampan, name, *flags):
    return sampan.out("run", "--rm", *flags, name, "sh", "-c", "echo $PLATFORM")


def test_platforms_side_by_side(sampan, index, home):
    name, digest = index
    sampan.run("pull", "-q", "--platform", f"linux/{OTHER}", name)
    sampan.run("pull", "-q", name)
    assert "Total reclaimed space: 0B" in sampan.out("image", "prune", "-f")
    assert run_env(sampan, name, "--pull", "never") == HOST
    # The other one is found without a registry and without a tag of its own.
    assert run_env(sampan, name, "--pull", "never", "--platform", f"linux/{OTHER}") == OTHER
    assert len(sampan.out("images", "-q", "-a").split()) == 2
    assert digest in sampan.out("image", "inspect", "--format", "{{json .RepoDigests}}", name)
    # Without the tag nobody needs the other platform any more.
    sampan.run("rmi", name)
    assert len(sampan.out("images", "-q", "-a").split()) == 1
    sampan.run("image", "prune", "-f")
    assert sampan.out("images", "-q", "-a") == ""


def env_of(sampan, name, *flags):
    return sampan.out("image", "inspect", *flags, "--format", "{{index .Config.Env 0}}", name)


def test_a_platform_is_looked_at_by_name(sampan, index, home):
    name, _ = index
    sampan.run("pull", "-q", "--platform", f"linux/{OTHER}", name)
    error = f"image with reference {name} was found but does not provide the specified platform (linux/{HOST})"
    for command in ("inspect", "history", "rm"):
        assert error in sampan.run("image", command, "--platform", f"linux/{HOST}", name, code=1).stderr
        assert "No such image" in sampan.run("image", command, "--platform", f"linux/{HOST}", "absent", code=1).stderr
    sampan.run("pull", "-q", name)
    for platform in (HOST, OTHER):
        assert env_of(sampan, name, "--platform", f"linux/{platform}") == f"PLATFORM={platform}"
        ids = sampan.out("image", "inspect", "--platform", platform, "--format", "{{.Id}}", name)
        assert sampan.out("history", "-q", "--no-trunc", "--platform", platform, name).split()[0] == ids
    # What is saved is that platform's, under the name.
    for platform in (HOST, OTHER):
        sampan.run("save", "--platform", platform, "-o", home / f"{platform}.tar", name)
        with tarfile.open(home / f"{platform}.tar") as archive:
            (entry,) = json.load(archive.extractfile("manifest.json"))
            config = json.load(archive.extractfile(entry["Config"]))
        assert config["architecture"] == platform and entry["RepoTags"] == [name]
    # Its own id names that image and no other one.
    assert env_of(sampan, ids, "--platform", OTHER) == f"PLATFORM={OTHER}"
    assert "does not provide" in sampan.run("image", "inspect", "--platform", HOST, ids, code=1).stderr
    assert env_of(sampan, name) == f"PLATFORM={HOST}"


@pytest.mark.parametrize("first", [HOST, OTHER])
def test_a_platform_is_removed_alone(sampan, index, home, first):
    name, digest = index
    second_ = OTHER if first == HOST else HOST
    for platform in (OTHER, HOST):
        sampan.run("pull", "-q", "--platform", platform, name)
    gone = sampan.out("image", "inspect", "--platform", first, "--format", "{{.Id}}", name)
    sampan.run("create", "--name", "user", "--platform", first, name)
    assert "must be forced" in sampan.run("rmi", "--platform", first, name, code=1).stderr
    assert env_of(sampan, name) == f"PLATFORM={HOST}"  # a refusal changes nothing
    sampan.run("rm", "user")
    # All or none of several.
    sampan.run("rmi", "--platform", f"{first},riscv64", name, code=1)
    assert len(sampan.out("images", "-q", "-a").split()) == 2
    done = sampan.out("rmi", "--platform", first, name)
    assert f"Deleted: {gone}" in done and f"Untagged: {name}" not in done
    # The name and the index's digest are the other one's now.
    assert env_of(sampan, name) == f"PLATFORM={second_}"
    assert digest in sampan.out("image", "inspect", "--format", "{{json .RepoDigests}}", name)
    assert len(sampan.out("images", "-q", "-a").split()) == 1
    done = sampan.out("rmi", "--platform", second_, name)
    assert f"Untagged: {name}" in done and "Deleted: " in done
    assert sampan.out("images", "-q", "-a") == ""


def test_all_platforms_are_removed_at_once_by_id_or_name(sampan, index, home):
    name, _ = index
    for way in ("{{.Id}}", name):
        for platform in (OTHER, HOST):
            sampan.run("pull", "-q", "--platform", platform, name)
        word = sampan.out("image", "inspect", "--format", way, name)
        sampan.run("rmi", "--platform", HOST, "--platform", OTHER, word)
        assert sampan.out("images", "-q", "-a") == ""


def test_an_index_goes_back_as_it_was(sampan, index, second, home):
    name, digest = index
    for platform in (OTHER, HOST):
        sampan.run("pull", "-q", "--platform", f"linux/{platform}", name)
    copy = f"{second.host}/copy:1"
    sampan.run("tag", name, copy)
    done = sampan.run("push", copy)
    assert pushed_digest(done.stdout) == digest and NOTE not in done.stderr
    raw = subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{copy}"],
                         check=True, capture_output=True).stdout
    assert "sha256:" + hashlib.sha256(raw).hexdigest() == digest
    # All of it is there.
    subprocess.run(["skopeo", "copy", "-q", "--all", "--src-tls-verify=false", f"docker://{copy}", f"dir:{home}/all"], check=True)
    alone = f"{second.host}/alone:1"
    sampan.run("tag", name, alone)
    pushed = pushed_digest(sampan.out("push", "--platform", f"linux/{OTHER}", alone))
    assert pushed in raw.decode() and pushed != digest
    assert "does not provide the specified platform (linux/riscv64)" in sampan.run(
        "push", "--platform", "linux/riscv64", alone, code=1).stderr


def test_one_platform_goes_alone_unless_the_rest_is_there(sampan, index, second, registry, home):
    name, digest = index
    sampan.run("pull", "-q", name)
    copy = f"{second.host}/copy:1"
    sampan.run("tag", name, copy)
    done = sampan.run("push", copy)
    assert NOTE in done.stderr and pushed_digest(done.stdout) != digest
    # Another tag of the repository that it came from: everything is there already.
    sampan.run("tag", name, name + ".1")
    done = sampan.run("push", name + ".1")
    assert NOTE not in done.stderr and pushed_digest(done.stdout) == digest


def test_attestations_go_along(sampan, registry, second, home):
    client = images.Registry(registry.host)
    image = image_for(HOST)
    image.architecture = HOST
    body, kind = image.manifest()
    for blob, data in image.blobs.items():
        client.push_blob("attested", blob, data)
    entries = [{"mediaType": kind, "digest": client.push_manifest("attested", images.digest_of(body), body, kind),
                "size": len(body), "platform": {"os": "linux", "architecture": HOST}}]
    statement, config = b'{"_type": "statement"}', b'{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}'
    attestation = json.dumps({
        "schemaVersion": 2, "mediaType": images.OCI_MANIFEST,
        "config": {"mediaType": images.OCI_CONFIG, "digest": images.digest_of(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": images.digest_of(statement), "size": len(statement)}],
    }).encode()
    for data in (statement, config):
        client.push_blob("attested", images.digest_of(data), data)
    client.push_manifest("attested", images.digest_of(attestation), attestation, images.OCI_MANIFEST)
    entries.append({"mediaType": images.OCI_MANIFEST, "digest": images.digest_of(attestation), "size": len(attestation),
                    "platform": {"os": "unknown", "architecture": "unknown"},
                    "annotations": {"vnd.docker.reference.type": "attestation-manifest",
                                    "vnd.docker.reference.digest": entries[0]["digest"]}})
    index = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": entries}).encode()
    digest = client.push_manifest("attested", "1", index, images.OCI_INDEX)
    sampan.run("pull", "-q", f"{registry.host}/attested:1")
    for target in (f"{second.host}/attested:1", f"{registry.host}/attested-copy:1"):  # sent, and mounted
        sampan.run("tag", f"{registry.host}/attested:1", target)
        assert pushed_digest(sampan.out("push", target)) == digest
        subprocess.run(["skopeo", "copy", "-q", "--all", "--src-tls-verify=false", f"docker://{target}",
                        f"dir:{home}/{target.split('/')[1]}"], check=True)


# --- artifacts ---

def push_artifact(registry):
    client = images.Registry(registry.host)
    chart = b"a chart"
    for data in (b"{}", chart):
        client.push_blob("chart", images.digest_of(data), data)
    body = json.dumps({
        "schemaVersion": 2, "mediaType": images.OCI_MANIFEST, "artifactType": "application/vnd.example.chart",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": images.digest_of(b"{}"), "size": 2},
        "layers": [{"mediaType": "application/vnd.example.chart.v1", "digest": images.digest_of(chart), "size": len(chart)}],
    }).encode()
    return client.push_manifest("chart", "1", body, images.OCI_MANIFEST), body


def test_artifacts_are_refused_by_name_and_shown(sampan, registry, home):
    digest, body = push_artifact(registry)
    name = f"{registry.host}/chart:1"
    for words in (("pull", name), ("run", "--rm", name)):
        stderr = sampan.run(*words, code=None).stderr
        assert f'{name} is an artifact of type "application/vnd.example.chart", no image that can be run' in stderr
        assert "sampan manifest inspect" in stderr
    assert sampan.out("images", "-q") == ""
    assert json.loads(sampan.out("manifest", "inspect", name)) == json.loads(body)
    shown = json.loads(sampan.out("manifest", "inspect", "-v", name))
    assert shown["Descriptor"]["digest"] == digest


# --- short names ---

@pytest.fixture
def registries_conf(tmp_path, monkeypatch):
    def write(text):
        path = tmp_path / "registries.conf"
        path.write_text(text)
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(path))
    return write


def test_short_names_follow_registries_conf(sampan, registry, second, home, registries_conf):
    image = busybox_image()
    registry.push("team/short", "latest", image)
    second.push("team/both", "latest", image)
    registry.push("team/both", "latest", busybox_image(config={"Env": ["A=b"]}))
    registries_conf(f'unqualified-search-registries = ["{second.host}", "{registry.host}"]\n'
                    f'[aliases]\n"nick" = "{registry.host}/team/short"\n')
    assert sampan.out("pull", "-q", "team/short") == f"{registry.host}/team/short:latest"
    assert sampan.out("pull", "-q", "team/both") == f"{second.host}/team/both:latest"  # the file's order
    lines = sampan.out("pull", "nick").split("\n")
    assert lines[:2] == ["Using default tag: latest", "latest: Pulling from team/short"]
    assert lines[-2:] == [f"Status: Image is up to date for {registry.host}/team/short:latest",
                          f"{registry.host}/team/short:latest"]
    # Where it is here already, no registry is asked.
    second.stop()
    assert sampan.out("run", "--rm", "team/both", "echo", "here") == "here"
    refused = sampan.run("pull", "team/none", code=1).stderr
    assert f"{second.host}/team/none:latest: " in refused and f"{registry.host}/team/none:latest: " in refused
    assert "none of its registries (registries.conf) has it" in refused and len(refused.strip().split("\n")) == 1
    assert json.loads(sampan.out("manifest", "inspect", "nick"))["schemaVersion"] == 2
    assert f"{registry.host}/team/short:latest" in sampan.out("pull", "-a", "nick")


# --- foreign layers ---

def test_foreign_layers_need_leave(sampan, second, home, tmp_path):
    """The layer is nowhere but at an address in the manifest: another server, to which nothing of ours goes."""
    layer = LayerTar().add("hello", b"hello").bytes()
    image = Image([layer], config={"Cmd": ["sh"]})
    manifest = json.loads(image.manifest()[0])
    blob = manifest["layers"][0]
    images.Registry(second.host).push_blob("elsewhere", blob["digest"], image.blobs[blob["digest"]])
    wants_credentials = [False]

    def refuse(request):
        if wants_credentials[0]:
            request.send_response(401)
            request.send_header("WWW-Authenticate", f'Bearer realm="http://{request.server.host}/token",service="a"')
            request.send_header("Content-Length", "0")
            request.end_headers()
        return wants_credentials[0]
    other = Front(second.host, fault=refuse)
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {other.host: {"auth": "dXNlcjpzZWNyZXQ="}}}))
    blob["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    blob["urls"] = [f"http://{other.host}/v2/elsewhere/blobs/{blob['digest']}"]
    config = manifest["config"]["digest"]
    # Debian's registry takes no such manifest.
    repositories = {"foreign": {"manifests": {"1": {"body": json.dumps(manifest), "type": images.OCI_MANIFEST}},
                                "blobs": {config: base64.b64encode(image.blobs[config]).decode()}}}
    fake = subprocess.Popen(["/usr/bin/python3", pathlib.Path(__file__).parents[1] / "fakes/registry.py"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        ports = json.loads(fake.stdout.readline())
        fake.stdin.write(json.dumps({"set": {"repositories": repositories}}) + "\n")
        fake.stdin.flush()
        fake.stdout.readline()
        name = f"127.0.0.1:{ports['main']}/foreign:1"
        refused = sampan.run("pull", name, code=1).stderr
        assert blob["urls"][0] in refused and '"allow-foreign-urls"' in refused
        settings = tmp_path / "config.json"
        settings.write_text('{"allow-foreign-urls": true}')
        permitted = ("--config", settings, "pull", "-q", name)
        refused = sampan.run(*permitted, code=1).stderr
        assert "is not fetched: no https" in refused and not other.seen
        settings.write_text(json.dumps({"allow-foreign-urls": True, "insecure-registries": [other.host]}))
        wants_credentials[0] = True
        assert "401" in sampan.run(*permitted, code=1).stderr
        wants_credentials[0] = False
        sampan.run(*permitted)
        # Nor does it go anywhere when the image is pushed.
        target = f"{second.host}/foreign:1"
        sampan.run("tag", name, target)
        assert "Skipped foreign layer" in sampan.run("push", target, code=None).stdout
    finally:
        fake.stdin.close()
        fake.wait()
        other.shutdown()
    assert other.seen and all(path.startswith("/v2/elsewhere/blobs/") and "Authorization" not in headers
                              for _, path, headers in other.seen)
