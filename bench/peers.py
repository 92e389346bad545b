"""The engines that the benchmark compares: each started with state of its own on the benchmark's file system, and ended by its id."""

import os
import pathlib
import shutil

from engines import ContainerdEngine, DockerEngine, Engine, PodmanEngine, run


class Sampan(Engine):
    name = "sampan"

    def __init__(self, folder, binaries):
        super().__init__(folder)
        self.base = [f"{binaries}/sampan", "--root", f"{self.folder}/root", "--state", f"/run/sampan-bench-{os.getpid()}",
                     "--cgroup-parent", f"/sampan-bench-{os.getpid()}"]

    def pull(self, image):
        return self.base + ["pull", "-q", image]

    def forget(self, image):
        return self.base + ["rmi", "-f", image]

    def run(self, network, image, *command):
        return self.base + ["run", "--rm", "--network", network, image, *command]

    def start_idle(self, image):
        return self.base + ["run", "-d", "--name", "idle", "--network", "none", image, "sleep", "3600"]

    def remove_idle(self):
        return self.base + ["rm", "-f", "idle"]

    def exec(self):
        return self.base + ["exec", "idle", "true"]

    def ps(self):
        return self.base + ["ps", "-a"]

    def version(self):
        return run(self.base + ["version", "--format", "{{.Version}}"]).stdout.strip()

    def stop(self):
        shutil.rmtree(f"/run/sampan-bench-{os.getpid()}", ignore_errors=True)
        for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/sampan-bench-{os.getpid()}"):
            try:
                path.rmdir()
            except OSError:
                pass


class Docker(DockerEngine):
    pull = lambda self, image: self.base + ["pull", "-q", image]
    forget = lambda self, image: self.base + ["rmi", "-f", image]
    run = lambda self, network, image, *command: self.base + ["run", "--rm", "--network", network, image, *command]
    start_idle = lambda self, image: self.base + ["run", "-d", "--name", "idle", "--network", "none", image, "sleep", "3600"]
    remove_idle = lambda self: self.base + ["rm", "-f", "idle"]
    exec = lambda self: self.base + ["exec", "idle", "true"]
    ps = lambda self: self.base + ["ps", "-a"]
    version = lambda self: run(self.base + ["version", "--format", "{{.Server.Version}}"]).stdout.strip()


class Podman(PodmanEngine):
    pull = lambda self, image: self.base + ["pull", "-q", "--tls-verify=false", image]
    forget = lambda self, image: self.base + ["rmi", "-f", image]
    run = lambda self, network, image, *command: self.base + ["run", "--rm", *self.ulimit, "--network", network, image, *command]
    start_idle = lambda self, image: self.base + ["run", "-d", *self.ulimit, "--name", "idle", "--network", "none", image, "sleep", "3600"]
    remove_idle = lambda self: self.base + ["rm", "-f", "-t", "0", "idle"]
    exec = lambda self: self.base + ["exec", "idle", "true"]
    ps = lambda self: self.base + ["ps", "-a"]
    version = lambda self: run(self.base + ["version", "--format", "{{.Version}}"]).stdout.strip()


class Containerd(ContainerdEngine):
    pull = lambda self, image: self.base + ["image", "pull", "--plain-http", image]
    forget = lambda self, image: self.base + ["image", "rm", "--sync", image]

    def run(self, network, image, *command):
        if network != "none":
            return None  # ctr knows no bridge
        self.count = getattr(self, "count", 0) + 1
        return self.base + ["run", "--rm", image, f"bench{self.count}", *command]

    start_idle = lambda self, image: self.base + ["run", "-d", image, "idle", "sleep", "3600"]
    remove_idle = lambda self: ["sh", "-c", f"{' '.join(self.base)} task kill -s KILL idle; sleep 0.3; {' '.join(self.base)} task rm idle; {' '.join(self.base)} container rm idle"]

    def exec(self):
        self.count = getattr(self, "count", 0) + 1
        return self.base + ["task", "exec", "--exec-id", f"e{self.count}", "idle", "true"]

    ps = lambda self: self.base + ["task", "ls"]
    version = lambda self: run(["containerd", "--version"]).stdout.split()[2]


def installed(folder, binaries, wanted):
    """The engines of `wanted` that this machine has, started."""
    engines = [Sampan(folder, binaries)]
    for kind, program in ((Docker, "/usr/sbin/dockerd"), (Podman, "podman"), (Containerd, "containerd")):
        if kind.name not in wanted or shutil.which(program) is None:
            continue
        engine = kind(folder)
        engine.start()
        engines.append(engine)
    return engines
