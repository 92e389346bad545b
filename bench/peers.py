"""The engines that the benchmark compares: each started with state of its own on the benchmark's file system, and ended by its id."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time


def run(words, check=True, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Engine:
    """One engine's words for what is measured; a method that returns None is something it can't do here."""

    name = ""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / self.name
        self.folder.mkdir(parents=True)

    def start(self):
        pass

    def stop(self):
        pass

    def version(self):
        return ""


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


class Docker(Engine):
    name = "docker"

    def start(self):
        config = {"data-root": f"{self.folder}/data", "exec-root": f"{self.folder}/exec", "pidfile": f"{self.folder}/pid",
                  "hosts": [f"unix://{self.folder}/sock"], "insecure-registries": ["127.0.0.0/8"], "storage-driver": "overlay2",
                  "cgroup-parent": f"/sampan-bench-docker-{os.getpid()}"}
        (self.folder / "daemon.json").write_text(json.dumps(config))
        self.log = open(self.folder / "log", "wb")
        self.daemon = subprocess.Popen(["/usr/sbin/dockerd", "--config-file", f"{self.folder}/daemon.json"], stdout=self.log,
                                       stderr=self.log, start_new_session=True)
        client = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"
        self.base = [client, "-H", f"unix://{self.folder}/sock"]
        for _ in range(300):
            if run(self.base + ["version"], check=False).returncode == 0:
                return
            if self.daemon.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError("dockerd: " + (self.folder / "log").read_text()[-2000:])

    def stop(self):
        self.daemon.terminate()
        try:
            self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()
        self.log.close()

    pull = lambda self, image: self.base + ["pull", "-q", image]
    forget = lambda self, image: self.base + ["rmi", "-f", image]
    run = lambda self, network, image, *command: self.base + ["run", "--rm", "--network", network, image, *command]
    start_idle = lambda self, image: self.base + ["run", "-d", "--name", "idle", "--network", "none", image, "sleep", "3600"]
    remove_idle = lambda self: self.base + ["rm", "-f", "idle"]
    exec = lambda self: self.base + ["exec", "idle", "true"]
    ps = lambda self: self.base + ["ps", "-a"]
    version = lambda self: run(self.base + ["version", "--format", "{{.Server.Version}}"]).stdout.strip()


class Podman(Engine):
    name = "podman"

    def start(self):
        # --ulimit: podman raises limits by default, which needs CAP_SYS_RESOURCE.
        self.ulimit = ["--ulimit", "nofile=1024:20000", "--ulimit", "nproc=1024:1024"]
        self.base = ["podman", "--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run", "--tmpdir", f"{self.folder}/tmp",
                     "--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=overlay", "--runtime=/usr/sbin/runc"]
        run(self.base + ["info"])

    pull = lambda self, image: self.base + ["pull", "-q", "--tls-verify=false", image]
    forget = lambda self, image: self.base + ["rmi", "-f", image]
    run = lambda self, network, image, *command: self.base + ["run", "--rm", *self.ulimit, "--network", network, image, *command]
    start_idle = lambda self, image: self.base + ["run", "-d", *self.ulimit, "--name", "idle", "--network", "none", image, "sleep", "3600"]
    remove_idle = lambda self: self.base + ["rm", "-f", "-t", "0", "idle"]
    exec = lambda self: self.base + ["exec", "idle", "true"]
    ps = lambda self: self.base + ["ps", "-a"]
    version = lambda self: run(self.base + ["version", "--format", "{{.Version}}"]).stdout.strip()


class Containerd(Engine):
    name = "containerd"

    def start(self):
        config = self.folder / "config.toml"
        config.write_text(f'version = 2\nroot = "{self.folder}/root"\nstate = "{self.folder}/state"\n'
                          f'[grpc]\naddress = "{self.folder}/sock"\n[debug]\nlevel = "error"\n')
        self.log = open(self.folder / "log", "wb")
        self.daemon = subprocess.Popen(["containerd", "--config", str(config)], stdout=self.log, stderr=self.log, start_new_session=True)
        self.base = ["ctr", "--address", f"{self.folder}/sock"]
        for _ in range(300):
            if run(self.base + ["version"], check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("containerd: " + (self.folder / "log").read_text()[-2000:])

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait(60)
        self.log.close()

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
