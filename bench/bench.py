#!/usr/bin/python3
"""Benchmark: sampan beside whichever of docker, podman, containerd, runc and crun are installed.

    bench/bench.py [--runs N] [--pulls N] [--only start,exec,ps,runtime,pull,push,scale] [--containers N] [--peers docker,podman,containerd]

Everything happens in network and mount namespaces of its own, on a fresh loop-mounted journaled ext4. The commands of one row are
run in turn, one after the other, and the medians are printed with their ratios to sampan's. Run it as root, after
`scripts/install-packages bench` and a release build.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(SOURCE / "tools"), str(SOURCE / "bench"), str(SOURCE / "tests")]
from peers import CGROUPS, Floor, Runtime, start_installed  # noqa: E402
from scale import bench_scale  # noqa: E402

BINARIES = pathlib.Path(os.environ.get("SAMPAN_BIN", SOURCE / "build/bin")).resolve()
IDLE = 0.06  # seconds between two runs: what a machine does on its own must not fall into the next one


def enter_namespaces():
    if os.environ.get("SAMPAN_BENCH_INSIDE") == "1":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # As on every Debian, where what lies in /run does not outlive a boot. dockerd and podman have their sockets there, too.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
        # crun 1.8 refuses a hybrid of both versions of cgroups: all engines see the first version only.
        if os.path.ismount("/sys/fs/cgroup/unified"):
            subprocess.run(["umount", "-l", "/sys/fs/cgroup/unified"], check=True)
        return
    os.environ["SAMPAN_BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, *sys.argv])


class Disk:
    """A fresh journaled ext4 in a file, mounted in our mount namespace only."""

    def __init__(self, gigabytes=40):
        self.file = tempfile.mktemp(prefix="sampan-bench-", suffix=".ext4", dir=os.environ.get("TMPDIR", "/var/tmp"))
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="sampan-bench-"))
        with open(self.file, "wb") as file:
            file.truncate(gigabytes << 30)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.file], check=True)
        subprocess.run(["mount", "-o", "loop", self.file, self.path], check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False)
        self.path.rmdir()
        os.unlink(self.file)


def package_files(count, size):
    """Regular files of the installed Debian packages, in the order of their names, until both bounds are reached."""
    lists = sorted(pathlib.Path("/var/lib/dpkg/info").glob("*.list"))
    chosen, total, seen = [], 0, set()
    large = []
    for listing in lists:
        for name in listing.read_text(errors="surrogateescape").split("\n"):
            if name in seen or not name.startswith("/usr/"):
                continue
            seen.add(name)
            try:
                info = os.lstat(name)
            except OSError:
                continue
            if not os.path.isfile(name) or os.path.islink(name):
                continue
            (large if info.st_size > 200_000 else chosen).append((name, info.st_size))
    chosen = chosen[:count]
    total = sum(bytes_ for _, bytes_ in chosen)
    for name, bytes_ in large:
        if total >= size:
            break
        chosen.append((name, bytes_))
        total += bytes_
    return [name for name, _ in chosen], total


def tar_of(files, path):
    with open(path, "wb") as file:
        subprocess.run(["tar", "--create", "--no-recursion", "--null", "--files-from=-", "--transform=s,^/,,", "--absolute-names",
                        "--format=pax", "--pax-option=delete=atime,delete=ctime"], input=b"\0".join(os.fsencode(name) for name in files),
                       stdout=file, stderr=subprocess.DEVNULL, check=True)


def make_images(registry, work, with_large):
    """A small image and, where asked for, one of about 800 MB in 30,000 files and one of 60 layers; returns their names."""
    import image as images
    base = images.busybox_layer()
    command = {"Cmd": ["true"], "Env": ["PATH=/bin"]}
    registry.push("small", "1", images.Image([base], config=command))
    if not with_large:
        return {"small": f"{registry.host}/small:1"}
    files, total = package_files(30_000, 800_000_000)
    tar_of(files, work / "large.tar")
    large = (work / "large.tar").read_bytes()
    registry.push("large", "1", images.Image([base, large], config=command))
    print(f"large image: {len(files)} files, {total / 1e6:.0f} MB; 60 layers: {len(files[:12_000])} files", flush=True)
    del large
    layers = [base]
    for part in range(59):
        tar_of(files[part * 200:(part + 1) * 200], work / "part.tar")
        layers.append((work / "part.tar").read_bytes())
    registry.push("layers", "1", images.Image(layers, config=command))
    return {name: f"{registry.host}/{name}:1" for name in ("small", "large", "layers")}


def timed(words):
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    elapsed = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.returncode}: {done.stderr.decode()[-500:]}")
    return elapsed


def spawn_timed(words):
    """As timed(), without Python's own cost of starting a process through pipes."""
    words = [str(word) for word in words]
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=null)
    _, status = os.waitpid(pid, 0)
    elapsed = time.perf_counter() - start
    if status != 0:
        raise RuntimeError(f"{' '.join(words)}: status {status}")
    return elapsed


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, samples):
        """`samples`: engine -> seconds of each run."""
        ours = statistics.median(samples["sampan"])
        for engine, values in samples.items():
            median = statistics.median(values)
            ordered = sorted(values)
            row = (what, engine, min(values), median, ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], len(values), median / ours)
            self.rows.append(row)
            print(f"{what:<34} {engine:<12} min {row[2] * 1e3:9.2f}  median {median * 1e3:9.2f}  p95 {row[4] * 1e3:9.2f} ms"
                  f"  n={len(values):<3} ratio {median / ours:7.2f}", flush=True)
        if "floor" in samples:
            print(f"{what:<34} sampan takes {ours / statistics.median(samples['floor']):.2f} times the floor", flush=True)

    def add_memory(self, what, kilobytes):
        """`kilobytes`: engine -> its peak."""
        for engine, value in kilobytes.items():
            print(f"{what:<34} {engine:<12} {value:9.0f} KB  ratio {value / kilobytes['sampan']:7.2f}", flush=True)


    def add_cpu(self, what, seconds):
        """`seconds`: engine -> processor time of each run, with all of its processes."""
        for engine, values in seconds.items():
            print(f"{what:<34} {engine:<12} min {min(values) * 1e3:9.2f} ms of CPU  ratio {min(values) / min(seconds['sampan']):7.2f}", flush=True)


def in_turn(runs, commands, before=None):
    """Runs every engine's command in turn, `runs` times after one warm-up; commands: engine -> function giving words."""
    samples = {engine: [] for engine in commands}
    for number in range(runs + 1):
        for engine, words in commands.items():
            if before:
                before(engine)
            time.sleep(IDLE)
            elapsed = spawn_timed(words())
            if number > 0:
                samples[engine].append(elapsed)
    return samples


def bench_start(table, engines, images, runs, floor):
    for network in ("none", "bridge"):
        commands = {}
        for engine in engines:
            if engine.run(network, images["small"], "true") is not None:
                commands[engine.name] = lambda engine=engine: engine.run(network, images["small"], "true")
        subprocess.run(list(map(str, engines[0].run(network, images["small"], "true"))), check=True)  # caches the filter
        if floor:
            commands["floor"] = lambda network=network: floor.run(network, "/bin/true")
        table.add(f"run --rm --network {network}", in_turn(runs, commands))


def bench_exec_and_ps(table, engines, images, runs, only):
    for engine in engines:
        spawn_timed(engine.start_idle(images["small"]))
    try:
        if "exec" in only:
            table.add("exec true", in_turn(runs, {engine.name: engine.exec for engine in engines}))
        if "ps" in only:
            table.add("ps -a", in_turn(runs, {engine.name: engine.ps for engine in engines}))
    finally:
        for engine in engines:
            subprocess.run([str(word) for word in engine.remove_idle()], capture_output=True)


def blobs_of(image, registry):
    """The files in which the registry keeps an image's layers."""
    host, _, rest = image.partition("/")
    name, _, tag = rest.partition(":")
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{tag}", headers={
        "Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"})
    manifest = json.load(urllib.request.urlopen(request))
    folder = registry.folder / "data/docker/registry/v2/blobs/sha256"
    return [folder / layer["digest"][7:9] / layer["digest"][7:] / "data" for layer in manifest["layers"]]


def compile_pull_floor(folder):
    """bench/pull_floor.cc, where a compiler and the headers are installed."""
    words = ["c++", "-std=c++20", "-O2", "-o", folder / "pull_floor", SOURCE / "bench/pull_floor.cc", "-lisal", "-lcrypto", "-pthread"]
    if shutil.which("c++") is None or subprocess.run(words).returncode != 0:
        print("bench/pull_floor.cc can't be compiled: it is left out", flush=True)
        return None
    return folder / "pull_floor"


def time_pull_floor(program, folder, blobs):
    """The blobs are in the page cache; the tree is removed again."""
    for blob in blobs:
        blob.read_bytes()
    tree = folder / "floor-tree"
    tree.mkdir()
    try:
        return timed([program, tree, *blobs])
    finally:
        shutil.rmtree(tree)


def bench_pull(table, engines, images, pulls, registry, folder):
    floor = compile_pull_floor(folder)
    for name in ("large", "layers"):
        samples = {engine.name: [] for engine in engines}
        if floor:
            samples["floor"] = []
            blobs = blobs_of(images[name], registry)
        for _ in range(pulls):
            for engine in engines:
                subprocess.run([str(word) for word in engine.forget(images[name])], capture_output=True)
                time.sleep(0.5)
                os.sync()
                samples[engine.name].append(timed(engine.pull(images[name])))
            if floor:
                os.sync()
                samples["floor"].append(time_pull_floor(floor, folder, blobs))
        table.add(f"pull, {name} image", samples)


def bench_push(table, sampan, image, pushes, folder):
    """An image into an empty registry: sampan out of its store, skopeo out of a layout with the same blobs."""
    from conftest import RealRegistry
    if shutil.which("skopeo") is None:
        print("skopeo is not installed: push is left out", flush=True)
        return
    timed(sampan.pull(image))
    layout = folder / "layout"
    timed(["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{image}", f"oci:{layout}:1"])
    seconds, cpu = {"sampan": [], "skopeo": []}, {"sampan": [], "skopeo": []}
    for _ in range(pushes):
        for engine in seconds:
            target = RealRegistry(folder / "target")
            try:
                name = f"{target.host}/large:1"
                if engine == "sampan":
                    timed(sampan.base + ["tag", image, name])
                    words = sampan.base + ["push", "-q", name]
                else:
                    words = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:1", f"docker://{name}"]
                os.sync()
                time.sleep(0.5)
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                seconds[engine].append(timed(words))
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu[engine].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
                blobs_of(name, target)  # throws where the image is not there
                if engine == "sampan":
                    timed(sampan.base + ["rmi", name])
            finally:
                target.stop()
                shutil.rmtree(folder / "target")
    shutil.rmtree(layout)
    table.add("push, large image", seconds)
    table.add_cpu("push, large image", cpu)


def bench_runtime(table, folder, sampan, bundle, runs, floor):
    """The OCI command lines, each on a bundle with a static `true` and docker's seccomp profile."""
    program = bundle / "rootfs/bin/static-true"
    if compile_program("peak", folder) is None:
        return
    (folder / "true.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-O2", "-static", "-o", program, folder / "true.c"], check=True)
    runtimes = [Runtime(name, binary, folder, bundle) for name, binary in
                (("sampan", BINARIES / "sampan-oci"), ("runc", shutil.which("runc")), ("crun", shutil.which("crun")))
                if binary is not None and os.path.exists(binary)]
    commands = {runtime.name: (lambda runtime=runtime: runtime.run("/bin/static-true")) for runtime in runtimes}
    sampan_words = [*sampan.base, "run", "--rm", "--network", "none", sampan.image, "true"]
    subprocess.run(list(map(str, sampan_words)), check=True)  # caches the filter that the floor loads
    if floor:
        commands["floor"] = lambda: floor.run_bundle("/bin/static-true")
    table.add("OCI runtime: run a bundle", in_turn(runs, commands))
    table.add_memory("OCI runtime: run, peak memory", {name: peak(folder, words()) for name, words in commands.items()})
    started = []
    try:
        for runtime in runtimes:
            spawn_timed(runtime.start_idle())
            started.append(runtime)
        commands = {runtime.name: (lambda runtime=runtime: runtime.exec("/bin/static-true")) for runtime in runtimes}
        table.add("OCI runtime: exec true", in_turn(runs, commands))
        table.add_memory("OCI runtime: exec, peak memory", {name: peak(folder, words()) for name, words in commands.items()})
    finally:
        for runtime in started:
            subprocess.run(list(map(str, runtime.remove_idle())), capture_output=True)


def peak(folder, words, runs=5):
    """The median of the most memory that the command had, in KB."""
    words = [str(word) for word in [folder / "peak", *words]]
    return statistics.median(int(subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout.split()[-1])
                             for _ in range(runs))


def export_bundle(sampan, image, folder):
    bundle = folder / "bundle"
    subprocess.run([*map(str, sampan.base), "bundle", "export", image, str(bundle)], check=True)
    return bundle


def compile_program(name, folder):
    """bench/<name>.c, where a C compiler is installed."""
    if shutil.which("cc") is None:
        print(f"no C compiler: bench/{name}.c is left out", flush=True)
        return None
    subprocess.run(["cc", "-O2", "-static", "-o", folder / name, SOURCE / f"bench/{name}.c"], check=True)
    return folder / name


def remove_cgroup(top):
    """What is left in a group of ours is ended; then it goes, innermost first."""
    for folder, _, files in os.walk(top):
        if "cgroup.procs" in files:
            for pid in pathlib.Path(folder, "cgroup.procs").read_text().split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
    for _ in range(50):
        try:
            for folder, _, _ in os.walk(top, topdown=False):
                os.rmdir(folder)
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)


def remove_leftovers(mine=False):
    """Cgroups and state directories of this run, or (mine=False) of earlier ones that were killed: their names end with the process id."""
    for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/{CGROUPS}-*"):
        pid = path.name.rsplit("-", 1)[-1]
        if pid == str(os.getpid()) if mine else not os.path.exists(f"/proc/{pid}"):
            remove_cgroup(path)
    for path in pathlib.Path("/run").glob(f"{CGROUPS}-*-{os.getpid()}" if mine else f"{CGROUPS}-*"):
        if mine or not os.path.exists(f"/proc/{path.name.rsplit('-', 1)[-1]}"):
            shutil.rmtree(path, ignore_errors=True)


def clean_up(engines, registry, disk):
    """Everything is tried, whatever went wrong before; a second Ctrl-C waits for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    steps = [engine.stop for engine in reversed(engines)]
    steps += [registry.stop] if registry else []
    for step in [*steps, lambda: remove_leftovers(mine=True), disk.close]:
        try:
            step()
        except Exception as error:  # the rest still has to be cleaned up
            print(f"clean up: {error}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--pulls", type=int, default=15)
    parser.add_argument("--only", default="start,exec,ps,runtime,pull,push,scale")
    parser.add_argument("--containers", type=int, default=200)
    parser.add_argument("--peers", default="docker,podman,containerd")
    arguments = parser.parse_args()
    enter_namespaces()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was begun is taken back
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    remove_leftovers()
    from conftest import RealRegistry
    only = set(arguments.only.split(","))
    disk = Disk()
    engines, registry = [], None
    try:
        registry = RealRegistry(disk.path / "registry")
        images = make_images(registry, disk.path, bool(only & {"pull", "push"}))
        start_installed(engines, disk.path, BINARIES, arguments.peers.split(","))
        print("versions: " + ", ".join(f"{engine.name} {engine.version()}" for engine in engines), flush=True)
        table = Table()
        for engine in engines:
            timed(engine.pull(images["small"]))
        engines[0].image = images["small"]
        bundle = export_bundle(engines[0], images["small"], disk.path)
        floor = Floor(disk.path, bundle, engines[0]) if compile_program("floor", disk.path) else None
        if "start" in only:
            bench_start(table, engines, images, arguments.runs, floor)
        if only & {"exec", "ps"}:
            bench_exec_and_ps(table, engines, images, arguments.runs, only)
        if "scale" in only:
            bench_scale(engines, images["small"], arguments.containers)
        if "pull" in only:
            bench_pull(table, engines, images, arguments.pulls, registry, disk.path)
        if "push" in only:
            bench_push(table, engines[0], images["large"], arguments.pulls, disk.path)
        if "runtime" in only:
            bench_runtime(table, disk.path, engines[0], bundle, arguments.runs, floor)
    finally:
        clean_up(engines, registry, disk)


if __name__ == "__main__":
    main()
