"""A virtual machine with a Debian kernel and only cgroup v2: qemu's software emulation, an initramfs made here, no disk.

The guest runs guest.sh as its first process and says on the serial line, one line for each of its tests, how that went.
"""

import glob
import gzip
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
BIN = pathlib.Path(os.environ.get("SAMPAN_BIN", SOURCE / "build/bin")).resolve()
GUEST = HERE / "guest.sh"
# In the order of what they want. All but the first two are what criu looks for.
MODULES = ["overlay", "loop", "libcrc32c", "nfnetlink", "nf_tables", "nf_defrag_ipv4", "nf_defrag_ipv6", "nf_conntrack",
           "nf_conntrack_netlink", "veth", "tun", "inet_diag", "unix_diag", "tcp_diag", "udp_diag", "af_packet_diag",
           "netlink_diag", "raw_diag"]


def find_kernel():
    """What scripts/fetch-kernel has fetched: the path of the kernel's image and of its modules."""
    root = SOURCE / "build/vm/root"
    images = glob.glob(f"{root}/boot/vmlinuz-*")
    return (images[0], glob.glob(f"{root}/lib/modules/*")[0]) if images else None


class Initramfs:
    """A cpio archive in the format "newc"; see the kernel's buffer-format.rst."""

    def __init__(self):
        self.data, self.count, self.directories = bytearray(), 0, set()

    def entry(self, name, mode, data=b"", device=(0, 0)):
        self.count += 1
        encoded = name.encode() + b"\0"
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0]
        self.data += b"070701" + b"".join(b"%08X" % value for value in fields) + encoded
        self.data += b"\0" * (-len(self.data) % 4) + data
        self.data += b"\0" * (-len(self.data) % 4)

    def directory(self, name, mode=0o755):
        parts = pathlib.PurePosixPath(name.strip("/")).parts
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path not in self.directories:
                self.directories.add(path)
                self.entry(path, stat.S_IFDIR | mode)

    def file(self, name, source, mode=None):
        data = source if isinstance(source, bytes) else pathlib.Path(source).read_bytes()
        self.directory(os.path.dirname(name))
        self.entry(name.strip("/"), stat.S_IFREG | (mode or 0o755), data)

    def link(self, name, target):
        self.directory(os.path.dirname(name))
        self.entry(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def node(self, name, kind, major, minor):
        self.directory(os.path.dirname(name))
        self.entry(name.strip("/"), kind | 0o666, device=(major, minor))

    def program(self, source, name=None):
        """With the shared libraries that it wants."""
        self.file(name or source, os.path.realpath(source))
        listed = subprocess.run(["ldd", source], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            if library.lstrip("/") not in self.directories:
                self.directories.add(library.lstrip("/"))
                self.file(library, os.path.realpath(library))

    def tree(self, name, source):
        for path in sorted(pathlib.Path(source).rglob("*")):
            inside = f"{name}/{path.relative_to(source)}"
            if path.is_symlink():
                self.link(inside, os.readlink(path))
            elif path.is_dir():
                self.directory(inside, path.stat().st_mode & 0o7777)
            elif path.is_file():
                self.file(inside, path, path.stat().st_mode & 0o7777)

    def finish(self, path):
        self.entry("TRAILER!!!", 0)
        with gzip.open(path, "wb", compresslevel=1) as out:
            out.write(self.data)


def bundles(spec):
    """The configurations of guest.sh's containers, by name."""
    def make(command, change=None):
        one = json.loads(json.dumps(spec))
        one["process"].update(terminal=False, args=["/bin/sh", "-c", command], rlimits=[])
        one["root"]["path"] = "/t/rootfs"
        if change:
            change(one)
        return one

    def resources(**limits):
        return lambda one: one["linux"]["resources"].update(limits)

    def plain_devices(one):
        one["linux"]["resources"]["devices"] = [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"}]  # kmsg
        makes_nodes(one)

    def makes_nodes(one):
        for kind in ("bounding", "effective", "permitted"):
            one["process"]["capabilities"][kind].append("CAP_MKNOD")
        one["root"]["readonly"] = False

    def on_a_terminal(one):
        checkpointable(one)
        one["process"]["terminal"] = True

    def joins_network(one):
        checkpointable(one)
        one["linux"]["namespaces"].append({"type": "network", "path": "/run/network"})
        shares(one)

    def has_empty_network(one):
        checkpointable(one)
        one["linux"]["namespaces"].append({"type": "network"})

    def with_hooks(one):
        checkpointable(one)
        say = "read state; echo {} >> /run/hooks"
        one["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", say.format(kind)], "env": ["PATH=/bin"]}]
                        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")}
        # Those two run inside.
        for kind in ("createContainer", "startContainer"):
            one["hooks"][kind][0]["args"][2] = "exit 0"

    def shares(one, where="/tmp"):
        one["mounts"].append({"destination": where, "type": "bind", "source": "/t/shared", "options": ["rbind", "rw"]})

    def by_path(one, kind, path):
        one["linux"]["namespaces"] = [each for each in one["linux"]["namespaces"] if each["type"] != kind]
        one["linux"]["namespaces"].append({"type": kind, "path": path})
        one.pop("hostname", None)

    def configures_criu(one):
        one["annotations"] = {"org.criu.config": "/run/criu.conf"}

    def grouped(one):
        in_subgroup(one)
        checkpointable(one)

    def in_subgroup(one):
        one["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]})
        one["process"]["noNewPrivileges"] = False

    def checkpointable(one):
        one["linux"]["namespaces"] = [each for each in one["linux"]["namespaces"] if each["type"] not in ("cgroup", "network")]
        one["linux"]["resources"] = {}

    busy = "while :; do :; done"
    sleeping = "while :; do sleep 1000; done"  # criu interrupts what waits
    count = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.2; done"
    return {
        "sleep": make("exec sleep 1000"),
        "echo": make("echo out; echo err >&2; exit 7"),
        "greedy": make("a=x; while :; do a=$a$a; done", resources(memory={"limit": 8 << 20, "swap": 8 << 20})),
        "forks": make("i=0; while [ $i -lt 30 ]; do sleep 3 & i=$((i+1)); done; wait", resources(pids={"limit": 10})),
        "busy": make(busy, resources(cpu={"quota": 10000, "period": 100000, "shares": 512})),
        "limits": make("exec sleep 1000", resources(
            memory={"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}, pids={"limit": 20},
            cpu={"quota": 50000, "period": 100000, "shares": 1024, "cpus": "0"}, unified={"memory.high": "50331648"})),
        "devices": make("exec sleep 1000", plain_devices),
        "denied": make("exec sleep 1000", makes_nodes),
        "stubborn": make("trap '' TERM INT; (trap '' TERM; while :; do sleep 1; done) & (sleep 1000 &) ; " + busy),
        "cgroups": make("cat /proc/self/cgroup; ls -d /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/inner && echo made",
                        in_subgroup),
        "count": make(count, lambda one: (checkpointable(one), shares(one))),
        "networked": make(count, joins_network),
        "offline": make(sleeping, has_empty_network),
        "hooked": make(sleeping, with_hooks),
        "locked": make("exec hold_lock /tmp/lock", lambda one: (checkpointable(one), shares(one))),
        "talking": make("exec talker send /t/shared/talk", lambda one: (checkpointable(one), shares(one, "/t/shared"))),
        "connected": make("exec talker tcp /tmp/heard", lambda one: (has_empty_network(one), shares(one))),
        "grouped": make("mkdir /sys/fs/cgroup/inner; sleep 1000 & echo $! > /sys/fs/cgroup/inner/cgroup.procs; " + sleeping, grouped),
        "named": make(sleeping, lambda one: (checkpointable(one), by_path(one, "uts", "/run/uts"))),
        "numbered": make(sleeping, lambda one: (checkpointable(one), by_path(one, "pid", "/run/pids"))),
        "configured": make("exec hold_lock /tmp/lock", lambda one: (checkpointable(one), shares(one), configures_criu(one))),
        "looped": make("cat /sys/class/net/lo/flags"),
        "typed": make("i=0; while read line; do i=$((i+1)); echo \"$i $line $(tty)\" > /dev/console; done", on_a_terminal),
    }


def build(folder, modules):
    """The initramfs; `folder` keeps nothing but it."""
    image = Initramfs()
    for name in ("proc", "sys", "dev", "run", "tmp", "etc", "root", "new", "var/lib", "t/shared"):
        image.directory(name)
    image.node("dev/console", stat.S_IFCHR, 5, 1)
    image.node("dev/null", stat.S_IFCHR, 1, 3)
    busybox = shutil.which("busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True).stdout.split()
    for root in ("", "t/rootfs/"):
        image.file(f"{root}bin/busybox", busybox)
        for applet in applets:
            if applet not in ("busybox", "tar"):
                image.link(f"{root}bin/{applet}", "busybox")
    for name in ("proc", "sys", "dev", "tmp", "etc"):
        image.directory(f"t/rootfs/{name}")
    for program in ("sampan-oci", "sampan", "sampan-init"):
        image.program(str(BIN / program), f"/bin/{program}")
    for tool, place in (("console_receiver", "bin"), ("hold_lock", "bin"), ("hold_lock", "t/rootfs/bin"), ("talker", "bin"),
                        ("talker", "t/rootfs/bin")):
        subprocess.run(["c++", "-O1", "-static", "-o", folder / tool, HERE / f"{tool}.cc"], check=True)
        image.file(f"{place}/{tool}", folder / tool)
    criu = shutil.which("criu")
    if criu:
        image.program(criu, "/bin/criu")
        image.program("/bin/tar", "/bin/tar")  # by which criu saves what is on a tmpfs
    for module in MODULES:
        for path in glob.glob(f"{modules}/kernel/**/{module}.ko", recursive=True):
            image.file(f"lib/modules/{module}.ko", path, 0o644)
    spec_folder = folder / "spec"
    spec_folder.mkdir()
    subprocess.run([BIN / "sampan-oci", "spec", "--bundle", spec_folder], check=True)
    for name, spec in bundles(json.loads((spec_folder / "config.json").read_text())).items():
        image.file(f"t/{name}/config.json", json.dumps(spec).encode(), 0o644)
    image.file("lib/modules/order", "\n".join(MODULES).encode() + b"\n")
    image.file("t/guest.sh", GUEST)
    image.file("init", b"#!/bin/sh\nexec /bin/sh /t/guest.sh first\n")
    return image


def boot(kernel, initramfs, seconds=int(os.environ.get("VM_SECONDS", 900))):
    """Everything that the guest said until it powered off. VM_TESTS names some tests: only those are run."""
    words = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none",
             "-kernel", kernel, "-initrd", str(initramfs),
             "-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all psi=1 swapaccount=1 tests=" +
             os.environ.get("VM_TESTS", "").replace(" ", ",")]
    try:
        output = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds).stdout
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
    return output.decode(errors="replace")
