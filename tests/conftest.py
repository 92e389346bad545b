"""Tests of the built programs against a real registry, as root, in a network namespace of their own.

The whole pytest process moves into new network and mount namespaces: its "host" is that namespace, so bridges, published
ports and registries of a test never meet those of the machine.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tools"))
BIN = pathlib.Path(os.environ.get("SAMPAN_BIN", SOURCE / "build/bin")).resolve()

import image as images  # noqa: E402  (tools/image.py)


def pytest_configure(config):
    for ignored in (signal.SIGINT, signal.SIGQUIT):  # by a script that runs us in the background; what we start must hear them
        if signal.getsignal(ignored) == signal.SIG_IGN:
            signal.signal(ignored, signal.SIG_DFL)
    if os.geteuid() != 0:
        if os.environ.get("REQUIRE_E2E"):
            pytest.exit("integration tests need root", returncode=1)
        return
    if os.environ.get("SAMPAN_TEST_NAMESPACE") != "1":
        os.environ["SAMPAN_TEST_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private",
                              sys.executable, "-m", "pytest", *sys.argv[1:]])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With REQUIRE_E2E (./run-tests) a skip fails, unless the kernel is the reason: then nothing can be installed."""
    report = (yield).get_result()
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if os.environ.get("REQUIRE_E2E") and reason and not reason.startswith("Skipped: a kernel "):
        report.outcome, report.longrepr = "failed", f"{item.name}: {reason}"


def wait_until(condition, seconds=10, what="condition"):
    """Polls until `condition` gives something true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.02)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class RealRegistry:
    """Debian's docker-registry on loopback."""

    def __init__(self, folder, *, extra=""):
        self.folder, self.port = pathlib.Path(folder), free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: \"{self.host}\"}}\n{extra}")
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=self.log, stderr=self.log)
        wait_until(self.answers, 15, "the registry")

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def push(self, repository, tag, image):
        return images.Registry(self.host).push(repository, tag, image)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Sampan:
    """One store with its commands; check_clean() says what a finished store left on the machine."""

    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        self.root, self.state = self.folder / "root", self.folder / "state"
        self.cgroup = f"/sampan-test-{os.getpid()}-{name}"

    def command(self, *words):
        return [str(BIN / "sampan"), "--root", str(self.root), "--state", str(self.state), "--cgroup-parent",
                self.cgroup, *map(str, words)]

    def run(self, *words, code=0, timeout=60, **more):
        """Runs one command; fails unless it exits with `code` (None: any)."""
        more.setdefault("stdin", subprocess.DEVNULL)
        if "input" in more:
            del more["stdin"]
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=timeout, **more)
        if code is not None:
            assert done.returncode == code, f"sampan {' '.join(map(str, words))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def out(self, *words, **more):
        return self.run(*words, **more).stdout.strip()

    def start(self, *words, **more):
        """A command that goes on; the caller ends it."""
        return subprocess.Popen(self.command(*words), **more)

    def inspect(self, name, template):
        return self.out("inspect", "--format", template, name)

    def remove_all(self):
        for name in self.out("ps", "-aq").split():
            self.run("rm", "-f", name)

    def cgroups(self):
        return [path for path in pathlib.Path("/sys/fs/cgroup").glob("*" + self.cgroup + "/*") if path.is_dir()]

    def monitors(self):
        """Processes of this store: their command line names its state folder."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"__monitor" in words and any(str(self.folder).encode() in word for word in words):
                found.append(int(entry.name))
        return found

    def leaks(self):
        """What is left of containers: mounts, cgroups, links, monitors, run directories, firewall elements."""
        left = [f"mount {line.split()[1]}" for line in open("/proc/mounts") if str(self.folder) in line]
        left += [f"cgroup {path}" for path in self.cgroups()]
        left += [f"link {name}" for _, name in socket.if_nameindex() if name.startswith("ve")]
        left += [f"monitor {pid}" for pid in self.monitors()]
        if (self.root / "containers").exists():
            left += [f"container directory {name}" for name in os.listdir(self.root / "containers")]
        return left

    def check_clean(self):
        """After everything is removed nothing may be left; the janitors behind a command get a moment."""
        end = time.monotonic() + 15
        while self.leaks() and time.monotonic() < end:
            time.sleep(0.05)
        assert self.leaks() == []

    def forget(self):
        """The end of a test: everything removed, whatever state the test left."""
        if not self.root.exists():
            return
        for pid in self.monitors():
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.remove_all()
        try:
            self.check_clean()
        finally:
            for path in sorted(pathlib.Path("/sys/fs/cgroup").glob("*" + self.cgroup), reverse=True):
                try:
                    path.rmdir()
                except OSError:
                    pass
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    server = RealRegistry(tmp_path_factory.mktemp("registry"))
    server.push("busybox", "latest", images.busybox_image())
    yield server
    server.stop()


@pytest.fixture(scope="session")
def busybox(registry):
    """The name of a small image with a shell."""
    return f"{registry.host}/busybox"


@pytest.fixture
def sampan(tmp_path, request):
    """An empty store."""
    store = Sampan(tmp_path / "store", request.node.name[:20].replace("/", "-").replace("[", "-").replace("]", ""))
    store.folder.mkdir()
    yield store
    store.forget()


@pytest.fixture(scope="module")
def engine(tmp_path_factory, busybox, request):
    """A store that already has busybox, shared by a module's tests; each test's containers are removed after it."""
    store = Sampan(tmp_path_factory.mktemp("engine"), request.module.__name__[-12:])
    store.run("pull", "-q", busybox)
    yield store
    store.forget()


@pytest.fixture(scope="module", autouse=True)
def _clean_host():
    """A bridge and a table outlive their containers, as docker's do: no module sees those of another's stores."""
    yield
    if os.geteuid() != 0:
        return
    for _, name in socket.if_nameindex():
        if name.startswith(("sp-", "br-")):
            subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)
    for line in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.splitlines():
        if "sampan" in line:
            subprocess.run(["nft", "delete", *line.split()], capture_output=True, check=False)


@pytest.fixture(autouse=True)
def _clean_engine(request):
    yield
    if "engine" in request.fixturenames:
        store = request.getfixturevalue("engine")
        store.remove_all()
        store.check_clean()
