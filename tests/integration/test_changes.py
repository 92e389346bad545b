"""diff and commit of running and stopped containers."""

import json
import os
import re
import signal
import subprocess

import pytest

from conftest import wait_until


@pytest.fixture
def container(engine, busybox):
    """A running container with a volume and a bind below directories of their own."""
    engine.run("run", "-d", "--name", "box", "-v", "/vol", "-v", "named:/deep/er/vol", busybox, "sleep", "1000")
    yield engine
    engine.run("rm", "-f", "-v", "box", code=None)


def sh(engine, script, name="box"):
    return engine.out("exec", name, "sh", "-c", script)


def diff(engine, name="box"):
    return engine.out("diff", name).split("\n") if engine.out("diff", name) else []


def test_nothing_of_the_engines_own_is_a_change(container):
    # Programs know by it that they are in a container.
    assert sh(container, "stat -c '%F %a' /.dockerenv") == "regular empty file 755"
    assert diff(container) == []


def test_changes_are_listed_parents_first(container):
    sh(container, "mkdir /new; echo 1 >/new/f; echo x >>/etc/passwd; rm /bin/cat; echo v >/vol/x; echo v >/deep/er/vol/x")
    assert diff(container) == ["C /bin", "D /bin/cat", "C /etc", "C /etc/passwd", "A /new", "A /new/f"]
    container.run("stop", "-t", "0", "box")
    assert diff(container) == ["C /bin", "D /bin/cat", "C /etc", "C /etc/passwd", "A /new", "A /new/f"]
    sh_after = container.run("diff", "nobody", code=1)
    assert "No such container: nobody" in sh_after.stderr


def test_an_opaque_directory_is_compared_with_what_it_hides(container):
    sh(container, "rm -r /etc; mkdir /etc; echo mine >/etc/group; echo n >/etc/new")
    lines = diff(container)
    assert "C /etc" in lines and "C /etc/group" in lines and "A /etc/new" in lines and "D /etc/passwd" in lines
    assert lines == sorted(lines, key=lambda line: line[2:])


def test_what_was_made_and_removed_leaves_nothing(container):
    sh(container, "mkdir /gone; echo 1 >/gone/f; rm -r /gone; chmod 700 /tmp; mkfifo /tmp/p; mv /bin/busybox /bin/b2 || true")
    lines = diff(container)
    assert not any("gone" in line for line in lines) and "C /tmp" in lines and "A /tmp/p" in lines


def test_inspect_adds_sizes_where_they_are_asked_for(container):
    sizes = "{{.SizeRw}} {{.SizeRootFs}}"
    assert "SizeRw" not in container.out("inspect", "box")
    sh(container, "dd if=/dev/zero of=/big bs=1k count=3000")
    for command in (["inspect"], ["container", "inspect"]):
        written, root = map(int, container.out(*command, "--size", "--format", sizes, "box").split())
        assert 3000 * 1024 <= written < 3200 * 1024
        image = container.out("inspect", "--format", "{{.Image}}", "box")
        assert root == written + int(container.out("image", "inspect", "--format", "{{.Size}}", image))
    names = list(json.loads(container.out("inspect", "-s", "box"))[0])
    assert names[names.index("GraphDriver") + 1:][:3] == ["SizeRw", "SizeRootFs", "Mounts"]
    done = container.run("inspect", "-s", image)
    assert "WARNING: --size ignored for image" in done.stderr and "SizeRw" not in done.stdout


def test_a_container_that_was_never_started_has_no_changes(engine, busybox):
    engine.run("create", "--name", "new", "-v", "/vol", busybox, "true")
    assert engine.out("diff", "new") == ""


COMMITTED = """
mkdir -p /d/empty /opaque; echo one >/d/one; ln /d/one /d/two; ln -s one /d/link; mkfifo /d/fifo
chown 12:34 /d/link /d/empty; chmod 4755 /d/one; chmod 1777 /d/empty; chown 5:6 /d/fifo
rm /bin/cat; rm -r /etc; mkdir /etc; echo root:x:0:0::/root:/bin/sh >/etc/passwd; echo new >/etc/motd
touch -d '2001-02-03 04:05:06' /d/one; echo >"/d/$(printf 'n\\303\\244me')"
"""
LISTING = "ls -lan /d /etc; stat -c '%n %h %a %y' /d/* /etc/motd; test -e /bin/cat || echo no cat"


def listing(text):
    """Without what is the engine's own, the times of the root and of the directory of hosts, and what a layer has not: fractions of seconds."""
    return [re.sub(r"(:\d\d)\.\d{9}", r"\1", line) for line in text.split("\n") if not re.search(r"hosts$|hostname$|resolv.conf$|total | \.\.?$", line)]


def test_a_committed_image_shows_what_the_container_did(container, busybox):
    sh(container, COMMITTED)
    image = container.out("commit", "-m", "words", "-a", "me <me@example.com>", "box", "made:v1")
    assert re.fullmatch("sha256:[0-9a-f]{64}", image)
    again = listing(container.out("run", "--rm", "made:v1", "sh", "-c", LISTING))
    assert again == listing(sh(container, LISTING)) and "no cat" in again
    assert any(re.search(r"/d/one 2 4755 2001-02-03 04:05:06", line) for line in again)
    document = json.loads(container.out("image", "inspect", "made:v1"))[0]
    assert document["Author"] == "me <me@example.com>" and document["Comment"] == "words" and document["Id"] == image
    parent = json.loads(container.out("image", "inspect", busybox))[0]
    assert document["RootFS"]["Layers"][:-1] == parent["RootFS"]["Layers"]
    assert document["Config"]["Cmd"] == ["sleep", "1000"] and document["RepoTags"] == ["made:v1"]
    assert "/vol" in document["Config"]["Volumes"]
    container.run("rmi", "-f", "made:v1")


def test_the_layer_of_unchanged_files_is_the_same_tar_each_time(container):
    sh(container, COMMITTED)
    ids = {tuple(json.loads(container.out("image", "inspect", container.out("commit", "box")))[0]["RootFS"]["Layers"])
           for _ in range(2)}
    assert len(ids) == 1
    for image in container.out("images", "-q", "--filter", "dangling=true").split():
        container.run("rmi", "-f", image)


def test_the_source_date_makes_the_same_image_each_time(container):
    sh(container, "echo new >/new; touch -d '2001-02-03 04:05:06' /old")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1600000000"}
    ids = {container.run("commit", "box", env=environment).stdout.strip() for _ in range(2)}
    assert len(ids) == 1
    image = ids.pop()
    document = json.loads(container.out("image", "inspect", image))[0]
    assert document["Created"] == "2020-09-13T12:26:40Z"
    assert container.out("run", "--rm", image, "stat", "-c", "%Y", "/new", "/old").split() == ["1600000000", "981173106"]
    assert "SOURCE_DATE_EPOCH is no time" in container.run("commit", "box", env={**environment, "SOURCE_DATE_EPOCH": "now"}, code=1).stderr
    container.run("rmi", "-f", image)


def test_without_changes_no_layer_is_added(container, busybox):
    image = container.out("commit", "box", "same")
    layers = lambda name: json.loads(container.out("image", "inspect", name))[0]["RootFS"]["Layers"]
    assert layers(image) == layers(busybox)
    container.run("rmi", "same")


CHANGES = {
    "ENV A=b C=\"d e\"": ("Env", lambda env: "A=b" in env and "C=d e" in env),
    "ENV A b c": ("Env", lambda env: "A=b c" in env),
    "CMD [\"x\", \"y\"]": ("Cmd", ["x", "y"]),
    "CMD x y": ("Cmd", ["/bin/sh", "-c", "x y"]),
    "CMD": ("Cmd", None),
    "entrypoint foo bar": ("Entrypoint", ["/bin/sh", "-c", "foo bar"]),
    "EXPOSE 80 90-91/udp": ("ExposedPorts", {"80/tcp": {}, "90/udp": {}, "91/udp": {}}),
    "LABEL k=v k2=\"a b\"": ("Labels", {"k": "v", "k2": "a b"}),
    "ONBUILD RUN x": ("OnBuild", ["RUN x"]),
    "USER app": ("User", "app"),
    "VOLUME /v1 /v2": ("Volumes", {"/v1": {}, "/v2": {}}),
    "VOLUME [\"/v 3\"]": ("Volumes", {"/v 3": {}}),
    "WORKDIR w/x": ("WorkingDir", "/w/x"),
}


def test_changes_of_the_config(engine, busybox):
    engine.run("create", "--name", "plain", busybox, "true")
    for instruction, (key, wanted) in CHANGES.items():
        config = json.loads(engine.out("image", "inspect", engine.out("commit", "-c", instruction, "plain")))[0]["Config"]
        assert wanted(config[key]) if callable(wanted) else config[key] == wanted, (instruction, config)
    for instruction, words in {"RUN x": "run is not a valid change command", "ENV A": "ENV must have two arguments",
                               "EXPOSE abc": "Invalid containerPort: abc", "USER": "USER requires exactly one argument",
                               "ENV A=b F": "Syntax error - can't find = in \"F\"",
                               "ONBUILD FROM x": "FROM isn't allowed as an ONBUILD trigger"}.items():
        assert words in engine.run("commit", "-c", instruction, "plain", code=1).stderr
    assert "repository name must be lowercase" in engine.run("commit", "plain", "UPPER", code=1).stderr
    for image in engine.out("images", "-q", "--filter", "dangling=true").split():
        engine.run("rmi", "-f", image)


def test_a_commit_that_is_killed_thaws_the_container(container):
    sh(container, "dd if=/dev/zero of=/big bs=1M count=300 2>/dev/null || head -c 300000000 /dev/zero >/big")
    command = subprocess.Popen(container.command("commit", "box", "never"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: container.inspect("box", "{{.State.Status}}") == "paused" or command.poll() is not None)
    assert command.poll() is None, "the commit was too fast to be killed"
    command.send_signal(signal.SIGKILL)
    command.wait()
    wait_until(lambda: container.inspect("box", "{{.State.Status}}") == "running")
    assert sh(container, "echo alive") == "alive"
    container.run("rmi", "-f", "never", code=None)


def test_a_paused_container_stays_paused(container):
    container.run("pause", "box")
    container.run("commit", "box", "p")
    assert container.inspect("box", "{{.State.Status}}") == "paused"
    container.run("unpause", "box")
    container.run("commit", "--pause=false", "box", "p")
    assert container.inspect("box", "{{.State.Status}}") == "running"
    container.run("rmi", "-f", "p")


def test_history_of_a_committed_image(container, busybox):
    sh(container, "echo 1 >/one")
    container.run("commit", "-m", "first", "box", "h:1")
    container.run("run", "--name", "child", "h:1", "sh", "-c", "echo 22 >/two; echo a very long command that does not fit into its column")
    image = container.out("commit", "-m", "second", "child", "h:2")
    lines = container.out("history", "h:2").split("\n")
    assert re.split(r"\s{2,}", lines[0].strip()) == ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
    cells = re.split(r"\s{3,}", lines[1].strip())
    assert cells[0] == image[7:19] and cells[1].endswith("ago") and cells[2].endswith("…") and len(cells[2]) == 45
    assert cells[4] == "second" and "first" in lines[2] and "sleep 1000" in lines[2]
    ids = container.out("history", "-q", "--no-trunc", "h:2").split("\n")
    assert ids[0] == image and ids[1] == json.loads(container.out("image", "inspect", "h:1"))[0]["Id"]
    assert container.out("history", "--format", "{{.Comment}}", "h:2").split("\n")[:2] == ["second", "first"]
    assert container.out("history", "--human=false", "--format", "{{.Size}}", "h:2").split("\n")[0].isdigit()
    assert "No such image" in container.run("history", "nothing", code=1).stderr
    tree = container.out("image", "tree", "h:1")
    assert "shared with" in tree and "h:2" in tree and "└── " in tree
    assert "h:1" in container.out("images", "--tree")
    container.run("rm", "-f", "child")
    container.run("rmi", "h:2", "h:1")


def test_an_image_that_is_mounted_can_be_read_and_stays(container, busybox, tmp_path):
    sh(container, "echo 1 >/one; rm /bin/cat")
    image = container.out("commit", "box", "mounted")
    place = container.out("image", "mount", "mounted")
    assert container.out("image", "mount", "mounted") == place
    try:
        assert open(f"{place}/one").read() == "1\n" and not os.path.lexists(f"{place}/bin/cat")
        with pytest.raises(OSError):
            open(f"{place}/new", "w")
        own = tmp_path / "own"
        own.mkdir()
        assert container.out("image", "mount", busybox, str(own)) == str(own)
        assert (own / "bin/cat").is_symlink()
        listed = container.out("image", "mount").split("\n")
        assert sorted(line.split()[1] for line in listed) == sorted([place, str(own)])
        refused = container.run("rmi", "-f", "mounted", code=1).stderr
        assert "cannot be forced" in refused and f"image is mounted at {place}" in refused
    finally:
        container.run("image", "unmount", "--all", code=None)
    assert container.out("image", "mount") == "" and str(container.root) not in open("/proc/self/mounts").read()
    assert "is not mounted" in container.run("image", "unmount", "mounted", code=1).stderr
    container.run("rmi", "mounted")
    assert image not in container.out("images", "-q", "--no-trunc")


def test_a_mounted_image_of_an_earlier_boot_is_not_mounted(container, busybox):
    """What a boot leaves: the record and the directory, without a mount."""
    container.out("commit", "box", "mounted")
    place = container.out("image", "mount", "mounted")
    record, = (container.root / "mounts").iterdir()
    subprocess.run(["umount", place], check=True)
    boot, rest = record.read_text().split("\n", 1)
    earlier = ("1" if boot[0] != "1" else "2") + boot[1:]
    record.write_text(f"{earlier}\n{rest}")
    assert container.out("image", "mount") == "" and not record.exists()
    assert "is not mounted" in container.run("image", "unmount", "mounted", code=1).stderr
    # The directory that is left is used again; a record of this boot whose mount somebody took away counts as little.
    assert container.out("image", "mount", "mounted") == place and os.path.lexists(f"{place}/bin/sh")
    subprocess.run(["umount", place], check=True)
    assert container.out("image", "mount") == "" and list((container.root / "mounts").iterdir()) == []
    assert container.out("image", "mount", "mounted") == place
    container.run("image", "unmount", "mounted")
    assert not os.path.exists(place)
    container.run("rmi", "mounted")


def test_filters_of_the_list(container, busybox):
    container.run("commit", "box", "fresh")
    names = lambda *flags: container.out("images", "--format", "{{.Repository}}", *flags).split()
    assert "fresh" in names() and "fresh" not in names("--filter", "until=1h") and "fresh" in names("--filter", "until=0s")
    since, before = names("--filter", f"since={busybox}"), names("--filter", "before=fresh")
    assert "fresh" in since and busybox not in since and busybox in before and "fresh" not in before
    container.run("rmi", "fresh")
