"""The Debian package: what is in it, its manual pages, and a system on which it is installed, used and removed."""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import SOURCE
from system_view import run_in_view


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    done = subprocess.run([SOURCE / "packaging/make-deb", tmp_path_factory.mktemp("deb")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return pathlib.Path(done.stdout.strip())


@pytest.fixture(scope="module")
def tree(package, tmp_path_factory):
    """The package's files, unpacked and not installed."""
    folder = tmp_path_factory.mktemp("tree")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def manuals(tree):
    pages = sorted(tree.glob("usr/share/man/man[18]/*.gz"))
    for page in pages:
        subprocess.run(["gunzip", "-k", page], check=True)
    return [page.with_suffix("") for page in pages]


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True).stdout.strip()


def test_the_package_says_what_it_needs(package):
    depends = field(package, "Depends")
    # What the programs are linked to, by dpkg-shlibdeps; what they hold themselves is not among it.
    for library in ("libc6 (>=", "libcurl4 (>=", "libarchive13 (>=", "libmnl0 (>=", "libssl3 (>="):
        assert library in depends, depends
    assert "libsqlite3" not in depends and "libstdc++" not in depends, depends
    assert field(package, "Package") == "sampan" and field(package, "Version") == "0.1.0-1"


def test_lintian_finds_no_error(package):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", package],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def commands_of(sampan):
    text = sampan.run("--help").stdout
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", text[text.index("Commands:"):text.index("Global Options:")], re.M)


def test_every_command_has_a_manual_page(sampan, manuals):
    pages = {page.name: page.read_text() for page in manuals}
    commands = commands_of(sampan)
    assert len(commands) > 50
    for command in [*commands, "container ls", "container run", "image ls", "container prune"]:
        name = "sampan-" + command.replace(" ", "-") + ".1"
        assert name in pages, name
        text = pages[name]
        alias = re.fullmatch(r"\.so man1/(\S+)\n", text)
        text = (pages[alias[1]] if alias else text).replace("\\-", "-").replace("\\(dq", '"')
        for flags in re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", sampan.run(*command.split(), "--help").stdout, re.M):
            assert re.search(rf"^\\fB.*{flags}\b", text, re.M), f"{name}: {flags}"
    main = pages["sampan.1"].replace("\\-", "-")
    for command in commands:
        assert f"\n\\fB{command}\\fR\n" in main, command
    assert "sampan-__complete.1" not in pages
    for command in ("create", "start", "exec", "checkpoint"):
        assert f'"COMMAND {command}"' in pages["sampan-oci.8"]


def test_manual_pages_have_no_mistakes(manuals, tree):
    own = [page for page in manuals if not page.read_text().startswith(".so ")]
    assert len(own) > 50
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *own], capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    troff = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", *own], capture_output=True, text=True)
    assert troff.returncode == 0 and troff.stderr == "", troff.stderr
    for page in manuals:  # names of other pages among them
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-P", "cat", page], capture_output=True, text=True,
                              cwd=tree / "usr/share/man", env={**os.environ, "MANPATH": str(tree / "usr/share/man"), "MANWIDTH": "80"})
        assert done.returncode == 0 and done.stderr == "", f"{page.name}: {done.stderr}"
        assert "NAME" in done.stdout and "sampan" in done.stdout, page.name


# In a view of the system (system_view.py), so that the machine's own dpkg never hears of it.
INSIDE = r"""
package=$1 image=$2
mount -t tmpfs none "$root/run"
mkdir -p "$root/mnt/in"
mount -t tmpfs none "$root/mnt/in"
cp "$package" "$root/mnt/in/sampan.deb"
cp -r "$image" "$root/mnt/in/image"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
files() { (cd "$work/upper" && find . \( -path ./var/log -o -path ./var/lib/dpkg -o -path ./var/cache -o -path ./var/lib/systemd \) -prune -o ! -type d -print | sort); }

echo "== install"
inside dpkg -i /mnt/in/sampan.deb
inside dpkg -V sampan
inside dpkg -s sampan | grep Status
[ "$(inside readlink -f /usr/bin/sampan)" = /usr/libexec/sampan/sampan ]
inside sh -c 'command -v sampan; command -v sampan-oci'
inside sampan --version
[ ! -e "$root/var/lib/sampan" ] || { echo "installing made a store"; exit 1; }
inside man -w sampan-run sampan-container-ls sampan-oci
inside bash -c '. /usr/share/bash-completion/completions/sampan && complete -p sampan'
inside systemd-analyze verify /lib/systemd/system/sampan.service 2>&1 || true
[ -L "$root/etc/systemd/system/multi-user.target.wants/sampan.service" ] || { echo "the unit is not enabled"; exit 1; }

echo "== use"
# An overlay can't be the upper directory of another: the store gets a file system of its own.
mkdir -p "$root/var/lib/sampan"
mount -t tmpfs none "$root/var/lib/sampan"
# Its own helpers are found: the archive needs sampan-image, --init needs sampan-init.
group=/sampan-package-$$
inside sampan --cgroup-parent "$group" load -i /mnt/in/image
inside sampan --cgroup-parent "$group" run --rm --init --network none local/busybox echo "said in a container"
inside sampan-oci --version | head -n 1
inside sampan --cgroup-parent "$group" system prune -af > /dev/null
for folder in /sys/fs/cgroup$group /sys/fs/cgroup/*$group; do [ ! -d "$folder" ] || rmdir "$folder"; done

echo "== upgrade"
inside dpkg -i /mnt/in/sampan.deb
[ -e "$root/var/lib/sampan/sampan.db" ]

echo "== remove"
inside dpkg -r sampan
inside sh -c 'command -v sampan || command -v sampan-oci' && exit 1
[ -e "$root/var/lib/sampan/sampan.db" ] || { echo "removing took the images away"; exit 1; }
inside dpkg -P sampan
inside dpkg -s sampan 2> /dev/null | grep Status && exit 1
umount "$root/var/lib/sampan"
rmdir "$root/var/lib/sampan"
echo "== left"
files
"""


def test_it_installs_works_and_goes_without_a_trace(package, sampan, busybox, tmp_path):
    sampan.run("pull", "-q", busybox)
    sampan.run("tag", busybox, "local/busybox")
    sampan.run("save", "-o", str(tmp_path / "image.tar"), "local/busybox")
    done = run_in_view(INSIDE, tmp_path / "system", package, tmp_path / "image.tar", timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    out = done.stdout
    for said in ("install ok installed", "/usr/bin/sampan-oci", "sampan version 0.1.0", "complete -F _sampan sampan",
                 "man8/sampan-oci.8.gz", "said in a container"):
        assert said in out, f"{said} is missing:\n{out}"
    left = out[out.index("== left") + len("== left"):].split()
    assert left == [], left
