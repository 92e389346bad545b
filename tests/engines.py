"""Debian's container engines, each started with state of its own and ended by its id: for tests that put sampan-oci under
them, and for the benchmark that compares them with sampan."""

import json
import os
import pathlib
import signal
import subprocess
import time

HIERARCHIES = pathlib.Path("/sys/fs/cgroup")


def run(words, check=True, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    if "input" in more:
        del more["stdin"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Engine:
    """One engine below a folder. `base` is how each of its commands begins; `cgroup` the group that holds its containers."""

    name = ""

    def __init__(self, folder, runtime=None):
        self.folder, self.runtime = pathlib.Path(folder) / self.name, runtime
        self.cgroup = f"sampan-{self.name}-{os.getpid()}"
        self.base, self.daemon = [], None
        self.folder.mkdir(parents=True)

    def start(self):
        pass

    def stop(self):
        pass

    def start_daemon(self, *words, ready):
        self.log = open(self.folder / "log", "wb")
        self.daemon = subprocess.Popen(words, stdout=self.log, stderr=self.log, start_new_session=True)
        for _ in range(600):
            if run(ready, check=False).returncode == 0:
                return
            if self.daemon.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"{words[0]}: " + (self.folder / "log").read_text()[-2000:])

    def stop_daemon(self):
        if self.daemon is None:
            return
        self.daemon.terminate()
        try:
            self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()
        self.log.close()

    def cgroups(self):
        return [path for path in [*HIERARCHIES.glob(f"*/{self.cgroup}"), HIERARCHIES / self.cgroup] if path.exists()]

    def remove_cgroups(self):
        """Takes away what engines leave of their parents' groups; a container's that is left makes it fail."""
        for top in self.cgroups():
            if (top / "conmon").exists():  # podman's, of its monitors
                (top / "conmon").rmdir()
            top.rmdir()


class DockerEngine(Engine):
    name = "docker"
    client = "/usr/bin/docker"

    def start(self, **settings):
        config = {"data-root": f"{self.folder}/data", "exec-root": f"{self.folder}/exec", "pidfile": f"{self.folder}/pid",
                  "hosts": [f"unix://{self.folder}/sock"], "insecure-registries": ["127.0.0.0/8"], "storage-driver": "overlay2",
                  "cgroup-parent": f"/{self.cgroup}", **settings}
        if self.runtime:
            config.update({"runtimes": {"sampan": {"path": str(self.runtime)}}, "default-runtime": "sampan"})
        (self.folder / "daemon.json").write_text(json.dumps(config))
        self.base = [self.client if os.path.exists(self.client) else "docker", "-H", f"unix://{self.folder}/sock"]
        self.start_daemon("/usr/sbin/dockerd", "--config-file", f"{self.folder}/daemon.json", ready=self.base + ["version"])

    def stop(self):
        self.stop_daemon()
        # dockerd leaves the network namespace of --network=host mounted.
        run(["umount", "--lazy", f"{self.folder}/exec/netns/default"], check=False)


class PodmanEngine(Engine):
    name = "podman"
    # podman raises limits by default, which needs CAP_SYS_RESOURCE.
    ulimit = ["--ulimit", "nofile=1024:20000", "--ulimit", "nproc=1024:1024"]

    def start(self, *options):
        self.base = ["podman", "--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run", "--tmpdir", f"{self.folder}/tmp",
                     "--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=overlay",
                     f"--runtime={self.runtime or '/usr/sbin/runc'}", *options]
        run(self.base + ["info"])


class ContainerdEngine(Engine):
    name = "containerd"

    def start(self):
        config = self.folder / "config.toml"
        config.write_text(f'version = 2\nroot = "{self.folder}/root"\nstate = "{self.folder}/state"\n'
                          f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                          f'[grpc]\naddress = "{self.folder}/sock"\n[debug]\nlevel = "error"\n')
        self.base = ["ctr", "--address", f"{self.folder}/sock", "--namespace", self.cgroup]
        self.start_daemon("containerd", "--config", str(config), ready=self.base + ["version"])

    def stop(self):
        self.stop_daemon()
