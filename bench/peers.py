"""The engines that the benchmark compares: each started with state of its own on the benchmark's file system, and ended by its id."""

import json
import os
import pathlib
import shutil

from engines import ContainerdEngine, DockerEngine, Engine, PodmanEngine, run

CGROUPS = "sampan-bench"  # the cgroups of a run begin with it and end with the process id of bench.py


def cgroup_of(name):
    return f"{CGROUPS}-{name}-{os.getpid()}"


class Sampan(Engine):
    name = "sampan"

    def __init__(self, folder, binaries):
        super().__init__(folder)
        self.base = [f"{binaries}/sampan", "--root", f"{self.folder}/root", "--state", f"/run/sampan-bench-{os.getpid()}",
                     "--cgroup-parent", f"/{cgroup_of('sampan')}"]

    def pull(self, image):
        return self.base + ["pull", "-q", image]

    def forget(self, image):
        return self.base + ["rmi", "-f", image]

    def run(self, network, image, *command):
        return self.base + ["run", "--rm", "--network", network, image, *command]

    def start_idle(self, image):
        return self.base + ["run", "-d", "--name", "idle", "--network", "none", image, "sleep", "3600"]

    def remove_idle(self):
        return self.remove("idle")

    def run_idle(self, image, name):
        return self.base + ["run", "-d", "--name", name, image, "sleep", "3600"]

    def remove(self, *names):
        return self.base + ["rm", "-f", *names]

    def exec(self):
        return self.base + ["exec", "idle", "true"]

    def ps(self):
        return self.base + ["ps", "-a"]

    def version(self):
        return run(self.base + ["version", "--format", "{{.Version}}"]).stdout.strip()

    def stop(self):
        run(self.remove_idle(), check=False)
        shutil.rmtree(f"/run/sampan-bench-{os.getpid()}", ignore_errors=True)


class Docker(DockerEngine):
    def start(self):
        self.cgroup = cgroup_of("docker")
        super().start()

    pull = lambda self, image: self.base + ["pull", "-q", image]
    forget = lambda self, image: self.base + ["rmi", "-f", image]
    run = lambda self, network, image, *command: self.base + ["run", "--rm", "--network", network, image, *command]
    start_idle = lambda self, image: self.base + ["run", "-d", "--name", "idle", "--network", "none", image, "sleep", "3600"]
    remove_idle = lambda self: self.remove("idle")
    run_idle = lambda self, image, name: self.base + ["run", "-d", "--name", name, image, "sleep", "3600"]
    remove = lambda self, *names: self.base + ["rm", "-f", *names]
    exec = lambda self: self.base + ["exec", "idle", "true"]
    ps = lambda self: self.base + ["ps", "-a"]
    version = lambda self: run(self.base + ["version", "--format", "{{.Server.Version}}"]).stdout.strip()


class Podman(PodmanEngine):
    def start(self):
        # crun where it is installed, as Debian's podman chooses by itself; it is also the faster one.
        self.runtime = shutil.which("crun") or shutil.which("runc")
        self.limits = [*self.ulimit, "--cgroup-parent", f"/{cgroup_of('podman')}"]
        super().start()

    def stop(self):
        run(self.remove_idle(), check=False)

    pull = lambda self, image: self.base + ["pull", "-q", "--tls-verify=false", image]
    forget = lambda self, image: self.base + ["rmi", "-f", image]
    run = lambda self, network, image, *command: self.base + ["run", "--rm", *self.limits, "--network", network, image, *command]
    start_idle = lambda self, image: self.base + ["run", "-d", *self.limits, "--name", "idle", "--network", "none", image, "sleep", "3600"]
    remove_idle = lambda self: self.remove("idle")
    run_idle = lambda self, image, name: self.base + ["run", "-d", *self.limits, "--name", name, image, "sleep", "3600"]
    remove = lambda self, *names: self.base + ["rm", "-f", "-t", "0", *names]
    exec = lambda self: self.base + ["exec", "idle", "true"]
    ps = lambda self: self.base + ["ps", "-a"]

    def version(self):
        return run(self.base + ["version", "--format", "{{.Version}}"]).stdout.strip() + f" with {os.path.basename(self.runtime)}"


class Containerd(ContainerdEngine):
    def start(self):
        self.cgroup = cgroup_of("containerd")  # also its namespace, which is what it names groups by
        super().start()

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


class Floor:
    """bench/floor.c: the system calls of a run and nothing around them."""

    def __init__(self, folder, bundle, sampan):
        self.folder, self.bundle, self.sampan = folder, bundle, sampan
        self.cgroup = f"/{cgroup_of('floor')}"
        for name in ("written", "files"):
            (folder / name).mkdir()
        for name in ("resolv.conf", "hostname", "hosts"):
            (folder / "files" / name).write_text("\n")
        for path in pathlib.Path("/sys/fs/cgroup").glob("*/tasks"):
            (path.parent / self.cgroup[1:]).mkdir(exist_ok=True)
        for words in (["link", "add", "floor0", "type", "bridge"], ["addr", "add", "10.253.0.1/16", "dev", "floor0"],
                      ["link", "set", "floor0", "up"]):
            run(["ip", *words])

    def words(self, *more):
        caches = list(pathlib.Path(self.sampan.base[self.sampan.base.index("--state") + 1], "seccomp").glob("*.bpf"))
        return [self.folder / "floor", "--cgroup", self.cgroup, "--filter", caches[0], *more]

    def run(self, network, program):
        bridge = ["--bridge", "floor0"] if network == "bridge" else []
        return self.words(*bridge, "--lower", self.bundle / "rootfs", "--folder", self.folder / "written", "--files",
                          self.folder / "files", program)

    def run_bundle(self, program):
        return self.words("--rootfs", self.bundle / "rootfs", program)


class Runtime:
    """An OCI command line on copies of one bundle's config.json, with state and cgroups of its own."""

    def __init__(self, name, binary, folder, bundle):
        self.name, self.folder, self.bundle = name, folder / f"oci-{name}", bundle
        self.base = [binary, "--root", f"/run/{CGROUPS}-oci-{name}-{os.getpid()}"]

    def config(self, part, arguments):
        """A directory with a config.json that runs `arguments`."""
        place = self.folder / part
        if not place.exists():
            place.mkdir(parents=True)
            config = json.loads((self.bundle / "config.json").read_text())
            config["process"].update(args=arguments, terminal=False)
            config["root"] = {"path": str(self.bundle / "rootfs"), "readonly": True}
            config["linux"]["cgroupsPath"] = f"/{cgroup_of('oci')}/{self.name}-{part}"
            (place / "config.json").write_text(json.dumps(config))
        return place

    run = lambda self, program: self.base + ["run", "--bundle", self.config("run", [program]), f"{self.name}-run"]
    start_idle = lambda self: self.base + ["run", "--detach", "--bundle", self.config("idle", ["sleep", "3600"]), f"{self.name}-idle"]
    exec = lambda self, program: self.base + ["exec", f"{self.name}-idle", program]

    def remove_idle(self):
        return self.base + ["delete", "--force", f"{self.name}-idle"]


def start_installed(engines, folder, binaries, wanted):
    """Appends the engines of `wanted` that this machine has to `engines`, each before it starts."""
    engines.append(Sampan(folder, binaries))
    for kind, program in ((Docker, "/usr/sbin/dockerd"), (Podman, "podman"), (Containerd, "containerd")):
        if kind.name not in wanted or shutil.which(program) is None:
            continue
        engines.append(kind(folder))
        engines[-1].start()
