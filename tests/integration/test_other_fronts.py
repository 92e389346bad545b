"""podman-compose and distrobox, as Debian ships them, with sampan behind the name of the engine that they call."""

import os
import shutil
import subprocess
import urllib.request

import pytest

from conftest import BIN, free_port, wait_until
from system_view import run_in_view

COMPOSE = """
version: "3"
services:
  web:
    image: {image}
    command: httpd -f -p 80 -h /pages
    ports: ["127.0.0.1:{port}:80"]
    environment: {{GREETING: hello from compose}}
    volumes: ["./pages:/pages:ro", "kept:/kept"]
    depends_on: [data]
    networks: [front, back]
    restart: on-failure
    healthcheck: {{test: ["CMD-SHELL", "wget -qO /dev/null 127.0.0.1"], interval: 1s, retries: 3}}
    ulimits: {{nofile: {{soft: 512, hard: 1024}}}}
    labels: [role=front]
  data:
    image: {image}
    entrypoint: ["sh", "-c"]
    command: ["echo data is here; exec httpd -f -p 9000 -h /etc"]
    networks: [back]
    read_only: true
    cap_drop: [NET_RAW]
    tmpfs: [/tmp]
    logging: {{driver: json-file, options: {{max-size: 1m}}}}
networks: {{front: {{}}, back: {{internal: true}}}}
volumes: {{kept: {{}}}}
"""


def name_as(sampan, name, folder):
    """A program of that name in a directory of its own, which is sampan with this test's store."""
    folder.mkdir()
    program = folder / name
    program.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in sampan.command()) + ' "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.skipif(not shutil.which("podman-compose"), reason="needs podman-compose")
def test_podman_compose_brings_a_project_up_and_down(sampan, busybox, tmp_path):
    sampan.run("pull", "-q", busybox)
    project = tmp_path / "shop"
    (project / "pages").mkdir(parents=True)
    (project / "pages/index.html").write_text("a page of the shop\n")
    port = free_port()
    (project / "docker-compose.yml").write_text(COMPOSE.format(image=busybox, port=port))
    environment = name_as(sampan, "podman", tmp_path / "bin")

    def compose(*words, code=0):
        done = subprocess.run(["podman-compose", *words], cwd=project, env=environment, capture_output=True, text=True,
                              timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"{words}: {done.stdout}\n{done.stderr}"
        assert "unknown" not in done.stderr and "not a sampan command" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    try:
        compose("up", "-d")
        assert sampan.out("ps", "--format", "{{.Names}}", "--filter", "label=role=front") == "shop_web_1"
        page = wait_until(lambda: fetch(port), 10, "the page")
        assert page == "a page of the shop\n"
        # The service's name is one on the network that they share.
        assert "root:" in compose("exec", "-T", "web", "wget", "-qO-", "http://data:9000/passwd")
        assert "hello from compose" in compose("exec", "-T", "web", "printenv", "GREETING")
        assert "data is here" in compose("logs", "data")
        assert sampan.inspect("shop_web_1", "{{.HostConfig.RestartPolicy.Name}}") == "on-failure"
        wait_until(lambda: sampan.inspect("shop_web_1", "{{.State.Health.Status}}") == "healthy", 20, "health")
        assert sampan.out("exec", "shop_web_1", "sh", "-c", "ulimit -n; ulimit -Hn").split() == ["512", "1024"]
        assert sorted(sampan.inspect("shop_web_1", "{{range $n, $c := .NetworkSettings.Networks}}{{$n}} {{end}}").split()) == \
            ["shop_back", "shop_front"]
        assert "shop_web_1" in compose("ps")

        sampan.run("exec", "shop_web_1", "sh", "-c", "echo kept > /kept/file")
        compose("stop", "web")
        assert sampan.inspect("shop_web_1", "{{.State.Status}}") == "exited"
        compose("start", "web")
        compose("restart", "web")
        assert sampan.out("exec", "shop_web_1", "cat", "/kept/file") == "kept"
        assert "one more" in compose("run", "--rm", "-T", "data", "echo one more")

        compose("down", "-v")
        assert sampan.out("ps", "-aq") == "" and sampan.out("volume", "ls", "-q") == ""
    finally:
        sampan.remove_all()
        for network in ("shop_front", "shop_back"):
            sampan.run("network", "rm", "-f", network, code=None)
    sampan.check_clean()


def fetch(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).read().decode()
    except OSError:
        return None


# distrobox puts the whole host into its containers. So that whatever it does ends with the test, its host is a view of the
# machine's system (system_view.py).
DISTROBOX = r"""
image=$1 programs=$2
for folder in /run /tmp /home /root /var/lib; do mount -t tmpfs none "$root$folder"; done
mkdir "$root/run/programs" "$root/run/bin"
cp "$image" "$root/run/image.tar"
cp "$programs"/sampan* "$root/run/programs"
cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
mount --make-rshared /
group=/sampan-distrobox-$$
cat > /run/bin/docker <<SCRIPT
#!/bin/sh
exec /run/programs/sampan --cgroup-parent $group "\$@"
SCRIPT
# distrobox refuses root, and would call sudo for everything.
cat > /run/bin/id <<'SCRIPT'
#!/bin/sh
[ "$*" = -u ] && echo 1000 || exec /usr/bin/id "$@"
SCRIPT
chmod 755 /run/bin/docker /run/bin/id
export PATH=/run/bin:$PATH HOME=/root USER=root SHELL=/bin/bash DBX_CONTAINER_MANAGER=docker DBX_NON_INTERACTIVE=1 LC_ALL=C
unset XDG_RUNTIME_DIR SUDO_USER
docker import -q /run/image.tar local/box > /dev/null 2>&1 || docker import /run/image.tar local/box > /dev/null
trap 'docker rm -f box copy > /dev/null 2>&1 || true; rmdir /sys/fs/cgroup$group /sys/fs/cgroup/*$group 2> /dev/null || true' EXIT
echo "host-file-$$" > /root/from-the-host
echo 'echo "in $CONTAINER_ID as $(id -un)"; cat /root/from-the-host; test -d /run/host/etc && echo sees-the-host' > /root/look

echo "== create"; distrobox-create --image local/box --name box --no-entry --yes 2>&1
echo "== list"; distrobox-list --no-color 2>&1
echo "== enter"; distrobox-enter --name box --no-tty -- sh /root/look 2>&1
echo "== again"; distrobox-enter --name box --no-tty -- touch /root/from-the-box 2>&1
[ -e /root/from-the-box ] && echo written-outside
echo "== stop"; distrobox-stop --yes box 2>&1
docker inspect --format '{{.State.Status}}' box
echo "== clone"; distrobox-create --clone box --name copy --no-entry --yes 2>&1
echo "== remove"; distrobox-rm --force box 2>&1
distrobox-rm --force copy 2>&1
docker ps -aq | wc -l
"""

# What distrobox-init calls in the container, and what it only wants to be there.
CALLED = ("bash", "mount", "umount", "findmnt", "useradd", "usermod", "groupadd", "getent")
WANTED = ("sudo", "pinentry", "curl", "lsof", "passwd", "chpasswd")


def box_image(folder):
    """A root with busybox, and those programs of the machine's that it lacks, with their libraries."""
    root = folder / "box"
    for path in ("bin", "etc", "root", "tmp", "var/log", "run", "usr/bin", "lib64", "proc", "sys", "dev"):
        (root / path).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for name in CALLED:
        program = shutil.which(name)
        (root / "bin" / name).unlink(missing_ok=True)
        shutil.copy(program, root / "bin" / name)
        for word in subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split():
            if word.startswith("/"):
                target = root / word.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, target)
    for name in WANTED:
        (root / "bin" / name).unlink(missing_ok=True)
        (root / "bin" / name).write_text("#!/bin/sh\n")
        (root / "bin" / name).chmod(0o755)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/shadow").write_text("root:*:1::::::\n")
    archive = folder / "box.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    return archive


@pytest.mark.skipif(not shutil.which("distrobox-create"), reason="needs distrobox")
def test_distrobox_makes_enters_and_removes_a_box(tmp_path):
    done = run_in_view(DISTROBOX, tmp_path / "system", box_image(tmp_path), BIN, timeout=180)
    out = done.stdout
    assert done.returncode == 0, out[-6000:] + done.stderr[-3000:]
    part = dict(zip(("create", "list", "enter", "again", "stop", "clone", "remove"), out.split("== ")[1:]))
    assert "successfully created" in part["create"], out
    assert "box" in part["list"] and "local/box" in part["list"], out
    assert "in box as root" in part["enter"] and "host-file-" in part["enter"] and "sees-the-host" in part["enter"], out
    assert "written-outside" in part["again"], out
    assert part["stop"].rstrip().endswith("exited"), out
    assert "successfully created" in part["clone"], out
    assert part["remove"].rstrip().endswith("0"), out
