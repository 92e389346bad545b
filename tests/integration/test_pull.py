"""Pulls from a real registry: names, formats, platforms, credentials, and everything that goes wrong."""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time

import pytest

import image as images
from conftest import RealRegistry, free_port, wait_until
from image import Image, LayerTar, busybox_image, busybox_layer


def push(registry, name, image, tag="latest"):
    registry.push(name, tag, image)
    return f"{registry.host}/{name}:{tag}"


def corrupt_blob(registry, image, index, change):
    """Changes a layer in the registry's own storage after it was pushed."""
    digest = json.loads(image.manifest()[0])["layers"][index]["digest"].split(":")[1]
    path = registry.folder / f"data/docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data"
    path.write_bytes(change(path.read_bytes()))


def test_plain_output(sampan, busybox):
    done = sampan.run("pull", busybox)
    lines = done.stdout.strip().split("\n")
    assert lines[0] == "Using default tag: latest"
    assert re.fullmatch(r"latest: Pulling from busybox", lines[1])
    assert any(re.fullmatch(r"[0-9a-f]{12}: Pull complete", line) for line in lines)
    assert re.fullmatch(r"Digest: sha256:[0-9a-f]{64}", lines[-3])
    assert lines[-2].startswith("Status: Downloaded newer image for ") and lines[-1] == busybox + ":latest"
    again = sampan.run("pull", busybox).stdout
    assert "Image is up to date" in again


def test_quiet_prints_only_the_name(sampan, busybox):
    assert sampan.run("pull", "-q", busybox).stdout == busybox + ":latest\n"


def test_images_and_rmi(sampan, busybox):
    sampan.run("pull", "-q", busybox)
    header, row = sampan.out("images").split("\n")
    assert re.split(r"\s{2,}", header) == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    cells = re.split(r"\s{2,}", row)
    assert cells[0] == busybox and cells[1] == "latest" and cells[3].endswith("ago") and cells[4].endswith("MB")
    assert re.fullmatch("[0-9a-f]{12}", sampan.out("images", "-q"))
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", sampan.out("images", "-q", "--no-trunc"))
    sampan.run("tag", busybox, "mine:1")
    assert "Untagged: mine:1" in sampan.out("rmi", "mine:1")
    out = sampan.out("rmi", busybox)
    assert "Untagged: " in out and "Deleted: sha256:" in out
    assert sampan.out("images", "-q") == ""
    wait_until(lambda: not list((sampan.root / "layers").iterdir()), what="the layers' end")


def janitors(store):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if b"__janitor" in words and str(store.root).encode() in words:
            found.append(int(entry.name))
    return found


def test_rmi_does_not_wait_for_the_files_and_a_killed_janitor_leaks_nothing(sampan, registry, busybox):
    layer = images.LayerTar()
    for number in range(4_000):
        layer.add(f"d{number // 100}/f{number}", b"x")
    name = push(registry, "many", images.Image([layer.bytes()], config={"Cmd": ["x"]}))
    trash = sampan.root / "trash"
    sampan.run("pull", "-q", busybox)
    sampan.run("pull", "-q", name)
    begin = time.monotonic()
    sampan.run("rmi", name)
    took = time.monotonic() - begin
    for pid in janitors(sampan):
        os.kill(pid, signal.SIGKILL)
    assert list(trash.iterdir()), "the kill came in time"
    assert took < 0.15, "as long as a few renames: removing so many files takes longer"
    assert sampan.out("images", "-q", name) == "" and len(list((sampan.root / "layers").iterdir())) == 1
    sampan.run("run", "--rm", busybox, "true")
    wait_until(lambda: not list(trash.iterdir()), seconds=60, what="the end of what the janitor left")


def test_rmi_of_an_image_in_use(sampan, busybox):
    sampan.run("pull", "-q", busybox)
    sampan.run("create", "--name", "user", busybox)
    assert "conflict" in sampan.run("rmi", busybox, code=1).stderr


# Docker's media types have no zstd that the registry accepts.
@pytest.mark.parametrize("docker,compression", [(False, "gzip"), (False, "zstd"), (False, ""), (True, "gzip"), (True, "")])
def test_formats(sampan, registry, docker, compression):
    name = push(registry, f"format-{docker}-{compression or 'plain'}".lower(), busybox_image(docker=docker, compression=compression))
    assert sampan.out("run", "--rm", name, "echo", "ok") == "ok"


@pytest.mark.parametrize("docker", [False, True])
def test_an_index_gives_the_hosts_platform(sampan, registry, docker):
    mine = images.host_architecture()
    wanted = busybox_image(docker=docker, config={"Env": ["WHICH=mine"]})
    other = busybox_image(docker=docker, config={"Env": ["WHICH=other"]})
    registry_name = f"multi-{docker}".lower()
    images.Registry(registry.host).push_index(registry_name, "v1", {"linux/s390x": other, f"linux/{mine}": wanted})
    name = f"{registry.host}/{registry_name}:v1"
    sampan.run("pull", "-q", name)
    assert "WHICH=mine" in sampan.inspect(name, "{{json .Config.Env}}")
    sampan.run("pull", "-q", "--platform", "linux/s390x", name)
    assert "WHICH=other" in sampan.inspect(name, "{{json .Config.Env}}")
    assert "no matching manifest" in sampan.run("pull", "--platform", "linux/riscv64", name, code=1).stderr


def test_by_digest(sampan, registry):
    digest = registry.push("pinned", "v1", busybox_image())
    name = f"{registry.host}/pinned@{digest}"
    sampan.run("pull", "-q", name)
    assert sampan.out("run", "--rm", name, "echo", "ok") == "ok"
    assert "<none>" in sampan.out("images")


def test_layers_are_shared_and_not_fetched_again(sampan, registry):
    base = busybox_layer()
    top = LayerTar().add("only-here", b"1").bytes()
    first = push(registry, "base", Image([base], config={"Cmd": ["sh"]}))
    second = push(registry, "derived", Image([base, top], config={"Cmd": ["sh"]}))
    sampan.run("pull", "-q", first)
    assert "Already exists" in sampan.run("pull", second).stdout
    assert len(list((sampan.root / "layers").iterdir())) == 2
    assert sampan.out("run", "--rm", second, "cat", "/only-here") == "1"


# Layers: section 3 of the facts, seen from inside a container.

@pytest.mark.parametrize("on_top", ["nothing of the root", "another root"])
def test_the_root_has_the_attributes_of_its_topmost_entry(sampan, registry, on_top):
    root = lambda mode, user, value: LayerTar().directory("./", mode, uid=user, gid=user, mtime=1_500_000_000 + user,
                                                          pax={"SCHILY.xattr.user.root": value})
    layers = [busybox_layer(), root(0o701, 7, "below").add("a").bytes()]
    layers.append(LayerTar().add("etc/b").bytes() if on_top == "nothing of the root" else root(0o1711, 8, "above").bytes())
    name = push(registry, "rooted", Image(layers, config={"Cmd": ["sh"]}))
    sampan.run("pull", "-q", name)
    mounted = sampan.out("run", "--rm", "-u", "0", name, "stat", "-c", "%a %u %g", "/")
    assert mounted == ("701 7 7" if on_top == "nothing of the root" else "1711 8 8")
    container = sampan.out("create", name, "sleep", "60")
    sampan.run("start", container)
    upper = next(path for path in (sampan.root / "containers" / container).iterdir() if path.name in ("diff", "upper"))
    assert os.getxattr(upper, "user.root") == (b"below" if on_top == "nothing of the root" else b"above")
    pid = sampan.inspect(container, "{{.State.Pid}}")
    assert os.getxattr(f"/proc/{pid}/root", "user.root") == os.getxattr(upper, "user.root")
    sampan.run("rm", "-f", container)


def test_whiteouts_and_opaque_directories(sampan, registry):
    bottom = LayerTar().directory("d/").add("d/old", b"old").add("gone", b"x").directory("e/").add("e/a", b"a").add("e/b", b"b").bytes()
    top = (LayerTar().add(".wh.gone", b"").directory("d/").add("d/.wh..wh..opq", b"").add("d/new", b"new")
           .directory("e/").add("e/.wh.a", b"").bytes())
    name = push(registry, "whiteouts", Image([busybox_layer(), bottom, top], config={"Cmd": ["sh"]}))
    out = sampan.out("run", "--rm", name, "sh", "-c", "ls /d; ls /e; ls /gone 2>&1; find / -xdev -name '.wh*'")
    assert out.split("\n")[:2] == ["new", "b"] and "No such file" in out and ".wh" not in out


def test_attributes_survive(sampan, registry):
    layer = (LayerTar()
             .add("suid", b"#!", mode=0o4755, uid=12, gid=34, mtime=1234567890)
             .add("xattr", b"x", pax={"SCHILY.xattr.user.color": "blue"})
             .hardlink("linked", "suid")
             .add("fifo", type=tarfile.FIFOTYPE, mode=0o600)
             .add("node", type=tarfile.CHRTYPE, mode=0o666, device=(1, 3))
             .add("implied/parent/file", b"x")
             .directory("sticky/", mode=0o1777, mtime=1_000_000_000).bytes())
    name = push(registry, "attributes", Image([busybox_layer(), layer], config={"Cmd": ["sh"]}))
    out = sampan.out("run", "--rm", name, "sh", "-c",
                     "stat -c '%n %a %u:%g %Y %h' suid; stat -c '%i' suid linked | uniq | wc -l; stat -c '%F %t:%T' node;"
                     "stat -c '%F' fifo; stat -c '%a %Y' sticky; stat -c '%a %u' implied/parent").split("\n")
    assert out == ["suid 4755 12:34 1234567890 2", "1", "character special file 1:3", "fifo", "1777 1000000000", "755 0"]


def test_implied_parents_keep_the_lower_layers_attributes(sampan, registry):
    bottom = LayerTar().directory("opt/", mode=0o711, uid=7, gid=8).bytes()
    top = LayerTar().add("opt/file", b"x").bytes()
    name = push(registry, "implied", Image([busybox_layer(), bottom, top], config={"Cmd": ["sh"]}))
    assert sampan.out("run", "--rm", name, "stat", "-c", "%a %u:%g", "/opt") == "711 7:8"


def test_implied_parents_keep_the_lower_layers_times(sampan, registry):
    """Without a copy where no other image has the layer; with one where it lies over other times."""
    top = LayerTar().add("opt/deep/file", b"x", mtime=1_700_000_000).bytes()
    for name, time in (("times1", 1_500_000_000), ("times2", 1_550_000_000)):
        bottom = LayerTar().directory("opt/", mtime=time).directory("opt/deep/", mtime=time + 1).bytes()
        name = push(registry, name, Image([busybox_layer(), bottom, top], config={"Cmd": ["sh"]}))
        assert sampan.out("run", "--rm", name, "stat", "-c", "%Y", "/opt", "/opt/deep", "/opt/deep/file").split() == [
            str(time), str(time + 1), "1700000000"]
        assert len(list((sampan.root / "layers").iterdir())) == (3 if time == 1_500_000_000 else 5)
    for name in ("times1", "times2"):  # the first image's times did not change
        assert sampan.out("run", "--rm", f"{registry.host}/{name}", "stat", "-c", "%Y", "/opt") == {
            "times1": "1500000000", "times2": "1550000000"}[name]


def test_links_of_aufs_are_files(sampan, registry):
    """As images of docker's first years have them."""
    layer = (LayerTar().directory(".wh..wh.plnk/").add(".wh..wh.plnk/12.34", b"both", uid=7, mode=0o640)
             .hardlink("a", "/.wh..wh.plnk/12.34").hardlink("b", ".wh..wh.plnk/12.34").bytes())
    name = push(registry, "aufs", Image([busybox_layer(), layer], config={"Cmd": ["sh"]}))
    seen = sampan.run("run", "--rm", name, "sh", "-c", "cat /a /b; stat -c ' %u %a %h' /b; ls -a / | grep -c wh; true").stdout.split()
    assert seen == ["bothboth", "7", "640", "2", "0"]


def test_sixty_layers(sampan, registry):
    layers = [busybox_layer()] + [LayerTar().add(f"f{i}", str(i).encode()).bytes() for i in range(60)]
    name = push(registry, "sixty", Image(layers, config={"Cmd": ["sh"]}))
    assert sampan.out("run", "--rm", name, "sh", "-c", "ls / | grep -c '^f[0-9]'") == "60"


# Bad days: one clear line, the right exit code, nothing half-made.

def expect_failure(sampan, name, *words, command=("pull",), code=1, complete=0):
    """`complete`: layers that arrived whole before the failure; they are verified and wait for the next pull."""
    done = sampan.run(*command, name, code=code)
    error = [line for line in done.stderr.strip().split("\n") if not line.startswith(("WARNING", "Unable to find image"))]
    assert len(error) == 1, done.stderr
    for word in words:
        assert word in error[0], error[0]
    assert sampan.out("images", "-q") == ""
    for folder, most in (("layers", complete), ("staging", 0)):
        left = list((sampan.root / folder).iterdir()) if (sampan.root / folder).exists() else []
        assert len(left) <= most, f"{folder}: {left}"


def test_unknown_name(sampan, registry):
    expect_failure(sampan, f"{registry.host}/no-such-image", "no-such-image", "not found")


def test_unknown_tag(sampan, busybox):
    expect_failure(sampan, f"{busybox}:no-such-tag", "no-such-tag", "not found")


@pytest.mark.parametrize("name", ["UPPER", "a//b", "-x/y:", "busybox:bad tag", "x@sha256:123", "https://example/x", ""])
def test_malformed_names(sampan, name):
    done = sampan.run("pull", name, code=None)
    assert done.returncode in (1, 125) and ("invalid reference" in done.stderr or "unknown" in done.stderr)
    assert not (sampan.root / "layers").exists()  # a bad name fails before anything is made


def test_refused_connection(sampan):
    expect_failure(sampan, f"127.0.0.1:{free_port()}/x", "refused")


def test_run_of_a_missing_image_is_125(sampan, registry):
    expect_failure(sampan, f"{registry.host}/no-such-image", "not found", command=("run",), code=125)


def test_a_corrupt_layer(sampan, registry):
    image = busybox_image(config={"Env": ["A=corrupt"]}, compression="")
    image.layers.append(LayerTar().add("c", os.urandom(100_000)).bytes())
    name = push(registry, "corrupt", image)
    corrupt_blob(registry, image, 1, lambda data: data[:50_000] + bytes([data[50_000] ^ 1]) + data[50_001:])
    expect_failure(sampan, name, "digest", complete=1)


def test_a_truncated_layer(sampan, registry):
    image = busybox_image(config={"Env": ["A=truncated"]})
    image.layers.append(LayerTar().add("t", os.urandom(100_000)).bytes())
    name = push(registry, "truncated", image)
    corrupt_blob(registry, image, 1, lambda data: data[:50_000])
    expect_failure(sampan, name, complete=1)


def test_wrong_diff_id(sampan, registry):
    image = busybox_image()
    body, media_type = image.manifest()
    document = json.loads(body)
    config = json.loads(image.blobs[document["config"]["digest"]])
    config["rootfs"]["diff_ids"][0] = "sha256:" + "0" * 64
    document["config"] = image.blob(json.dumps(config).encode(), document["config"]["mediaType"])
    client = images.Registry(registry.host)
    for digest, data in image.blobs.items():
        client.push_blob("wrong-diff", digest, data)
    client.push_manifest("wrong-diff", "latest", json.dumps(document).encode(), media_type)
    expect_failure(sampan, f"{registry.host}/wrong-diff", "digest mismatch")


def test_wrong_architecture(sampan, registry):
    image = busybox_image(architecture="s390x")
    name = push(registry, "foreign", image)
    done = sampan.run("pull", name)
    assert "platform" in done.stderr.lower() and "s390x" in done.stderr
    sampan.run("rmi", name)
    expect_failure(sampan, name, "platform", command=("pull", "--platform", "linux/" + images.host_architecture()))


def test_a_foreign_platform_is_warned_of_in_dockers_words(sampan, registry):
    foreign = "arm64" if images.host_architecture() != "arm64" else "amd64"
    name = push(registry, "claims", busybox_image(architecture=foreign))  # only claims: its program runs here
    warning = (f"WARNING: The requested image's platform (linux/{foreign}) does not match the detected host platform "
               f"(linux/{images.host_architecture()}) and no specific platform was requested\n")
    sampan.run("pull", "-q", name)
    assert sampan.run("run", "--rm", name, "true").stderr == warning
    assert sampan.run("create", name, "true").stderr == warning
    asked_for = sampan.run("run", "--rm", "--platform", f"linux/{foreign}", name, "echo", "on")
    assert (asked_for.stdout, asked_for.stderr) == ("on\n", "")
    other = sampan.run("run", "--rm", "--pull", "never", "--platform", "linux/riscv64", name, "true", code=125)
    assert f"does not match the specified platform: wanted linux/riscv64, actual: linux/{foreign}" in other.stderr


def test_a_binary_of_another_architecture_says_so(sampan, registry):
    elf = bytearray(pathlib.Path("/bin/busybox").read_bytes()[:4096])
    elf[18:20] = (22).to_bytes(2, "little")  # EM_S390
    layer = LayerTar().add("alien", bytes(elf), mode=0o755).bytes()
    name = push(registry, "alien", Image([busybox_layer(), layer], config={"Cmd": ["/alien"]}))
    done = sampan.run("run", "--rm", name, code=126)
    assert "exec format error" in done.stderr


def test_a_missing_interpreter_is_named(sampan, registry):
    layer = LayerTar().add("script", b"#!/no/such/interpreter\n", mode=0o755).bytes()
    name = push(registry, "script", Image([busybox_layer(), layer], config={"Cmd": ["/script"]}))
    done = sampan.run("run", "--rm", name, code=127)
    assert "/no/such/interpreter" in done.stderr


def test_basic_auth(sampan, tmp_path):
    (tmp_path / "htpasswd").write_text(subprocess.run(["htpasswd", "-Bbn", "user", "se:cret"], check=True, capture_output=True, text=True).stdout)
    server = RealRegistry(tmp_path / "private", extra=f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}}}\n")
    try:
        token = base64.b64encode(b"user:se:cret").decode()
        images.Registry(server.host, {"Authorization": "Basic " + token}).push("secret", "latest", busybox_image())
        name = f"{server.host}/secret"
        (tmp_path / "config").mkdir()
        environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "config")}
        done = sampan.run("pull", name, code=1, env=environment)
        assert "denied" in done.stderr or "authenti" in done.stderr.lower() or "unauthorized" in done.stderr.lower()
        (tmp_path / "config/config.json").write_text(json.dumps({"auths": {server.host: {"auth": token}}}))
        sampan.run("pull", "-q", name, env=environment)
    finally:
        server.stop()


def test_https_with_an_unknown_certificate_is_refused_elsewhere_but_loopback_may(sampan, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert"),
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    server = RealRegistry(tmp_path / "tls")
    server.stop()
    config = (tmp_path / "tls/config.yml").read_text().rstrip()
    assert config.endswith("}")
    (tmp_path / "tls/config.yml").write_text(config[:-1] + f", tls: {{certificate: {tmp_path}/cert, key: {tmp_path}/key}}}}\n")
    process = subprocess.Popen(["docker-registry", "serve", str(tmp_path / "tls/config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", server.port)) == 0, what="the registry")
        done = sampan.run("pull", f"127.0.0.1:{server.port}/x", code=1)
        assert "not found" in done.stderr, done.stderr  # TLS was spoken: the answer is the registry's
    finally:
        process.terminate()
        process.wait()


def test_no_space(sampan, registry, tmp_path):
    layer = LayerTar().add("big", os.urandom(30 << 20)).bytes()
    name = push(registry, "big", Image([busybox_layer(), layer], config={"Cmd": ["sh"]}))
    sampan.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(sampan.root)], check=True)
    try:
        done = sampan.run("pull", name, code=1)
        assert "no space" in done.stderr.lower() and done.stderr.count("\n") == 1
        assert sampan.out("images", "-q") == ""
        sampan.run("images")
        used = int(subprocess.run(["du", "-sk", str(sampan.root)], check=True, capture_output=True, text=True).stdout.split()[0])
        assert used < 2048, f"{used} kB stayed"
    finally:
        subprocess.run(["umount", "-l", str(sampan.root)], check=True)


def test_two_pulls_at_once(sampan, registry):
    name = push(registry, "twice", Image([busybox_layer(), LayerTar().add("big", os.urandom(8 << 20)).bytes()], config={"Cmd": ["sh"]}))
    processes = [sampan.start("pull", "-q", name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    assert sampan.out("run", "--rm", name, "sh", "-c", "wc -c < /big") == str(8 << 20)
    assert len(list((sampan.root / "layers").iterdir())) == 2


def test_a_killed_pull_leaves_nothing_that_stays(sampan, registry):
    name = push(registry, "killed", Image([busybox_layer()] + [LayerTar().add(f"big{i}", os.urandom(8 << 20)).bytes() for i in range(3)],
                                          config={"Cmd": ["sh"]}))
    for delay in (0.005, 0.02, 0.05, 0.1, 0.15, 0.2):
        process = sampan.start("pull", "-q", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    sampan.run("pull", "-q", name)
    assert sampan.out("run", "--rm", name, "sh", "-c", "ls / | grep -c big") == "3"
    left = [entry for entry in (sampan.root / "staging").iterdir()] if (sampan.root / "staging").exists() else []
    assert left == []
    assert len(list((sampan.root / "layers").iterdir())) == 4


def test_progress_bars_on_a_terminal(sampan, registry):
    import pty
    name = push(registry, "bars", Image([busybox_layer(), LayerTar().add("big", os.urandom(20 << 20)).bytes()], config={"Cmd": ["sh"]}))
    master, slave = pty.openpty()
    process = sampan.start("pull", name, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    assert process.wait() == 0
    assert b"Pull complete" in shown and b"\x1b[" in shown and (b"Downloading [" in shown or b"Extracting" in shown)
