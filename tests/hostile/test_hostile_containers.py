"""Running containers that mean harm to whoever enters them with sampan-oci, and images that mean it to whoever creates them: links where
the runtime works, its own program as a prize. Each has a canary on the host that nothing may touch."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from canaries import canary, check  # noqa: E402, F401
from oci_bundle import OCI, running, runtime, wait_until  # noqa: E402, F401

BUSYBOX = ["mount", "umount", "ln", "mkdir", "rm", "ps", "pwd", "readlink", "printf", "chmod", "mv", "grep", "touch", "cp"]


def climb(path):
    return "../" * 30 + str(path).lstrip("/")


def rootfs(runtime):  # noqa: F811
    folder = runtime.bundle / "rootfs"
    for name in BUSYBOX:
        if not (folder / "bin" / name).is_symlink():
            (folder / "bin" / name).symlink_to("busybox")
    return folder


def allow(*names):
    def change(spec):
        for kind in ("bounding", "effective", "permitted"):
            spec["process"]["capabilities"][kind] += names
    return change


def writable(spec):
    spec["root"]["readonly"] = False


def entering(runtime, *args, **fields):  # noqa: F811
    """A file for exec --process."""
    process = {**runtime.spec["process"], "terminal": False, "args": list(args), **fields}
    path = runtime.folder / "process.json"
    path.write_text(json.dumps(process))
    return path


def hostile(runtime, script, *changes):  # noqa: F811
    """A container that runs the script and then waits, told by a file that it has."""
    rootfs(runtime)
    running(runtime, "a", "/bin/sh", "-c", f"{script}; touch /tmp/done; exec sleep 1000",
            change=lambda spec: [change(spec) for change in (writable, allow("CAP_SYS_ADMIN"), *changes)])
    wait_until(lambda: (runtime.bundle / "rootfs/tmp/done").exists())


# CVE-2025-52881, CVE-2019-16884, CVE-2019-19921: what is written to procfs must get there.

def test_a_swapped_procfs_gets_nothing_of_an_exec(runtime, canary):  # noqa: F811
    """The container's /proc is a tmpfs full of links to a file of its own that would tell what was written."""
    links = " ".join(["oom_score_adj", "uid_map", "setgroups", "attr/exec", "attr/apparmor/exec", "attr/keycreate", "timens_offsets"])
    hostile(runtime, f"umount -l /proc/sys /proc/* 2>/dev/null; mount -t tmpfs t /proc; mkdir -p /proc/self/attr/apparmor /proc/sys; "
                     f"for f in {links}; do ln -s /tmp/caught /proc/self/$f; done; touch /tmp/caught")
    done = runtime.folder / "pid"
    runtime.run("exec", "-d", "--pid-file", done, "--process", entering(runtime, "/bin/sleep", "1000", oomScoreAdj=777), "a", check=True)
    pid = done.read_text()
    assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text() == "777\n"
    assert pathlib.Path(f"/proc/{pid}/root/tmp/caught").read_text() == ""


def test_sysctls_reach_the_kernel_whatever_the_images_proc_is(runtime, canary):  # noqa: F811
    """No procfs is mounted by the configuration: the image brings files and links in its place."""
    folder = rootfs(runtime)
    (folder / "proc/sys/kernel").mkdir(parents=True)
    (folder / "proc/sys/kernel/shm_rmid_forced").symlink_to(climb(canary) + "/canary")
    (folder / "proc/sys/fs").symlink_to("/tmp")
    before = pathlib.Path("/proc/sys/kernel/shm_rmid_forced").read_text()

    def change(spec):
        spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] != "/proc"]
        spec["linux"].update(sysctl={"kernel.shm_rmid_forced": "1"}, maskedPaths=[], readonlyPaths=[])
        allow("CAP_SYS_ADMIN")(spec)
    runtime.write("a", "/bin/sh", "-c", "mount -t proc p /tmp && cat /tmp/sys/kernel/shm_rmid_forced", change=change)
    result = runtime.run("run", "-b", runtime.bundle, "a")
    assert result.stdout == "1\n", result.stderr
    assert pathlib.Path("/proc/sys/kernel/shm_rmid_forced").read_text() == before
    check(canary)


@pytest.mark.parametrize("kind", ["bind", "tmpfs", "below"])
def test_what_is_mounted_on_proc_gets_no_sysctl(runtime, canary, kind):  # noqa: F811
    """A directory of the attacker's in procfs' place, or over a part of it, is refused or written past."""
    fake = runtime.folder / "fake"
    (fake / "kernel").mkdir(parents=True)
    (fake / "sys/kernel").mkdir(parents=True)
    for path in (fake / "kernel/shm_rmid_forced", fake / "sys/kernel/shm_rmid_forced"):
        path.symlink_to(canary / "canary")
    rootfs(runtime)

    def change(spec):
        extra = {"bind": {"destination": "/proc", "type": "bind", "source": str(fake), "options": ["bind"]},
                 "tmpfs": {"destination": "/proc", "type": "tmpfs", "source": "tmpfs"},
                 "below": {"destination": "/proc/sys", "type": "bind", "source": str(fake), "options": ["bind"]}}[kind]
        spec["mounts"].append(extra)
        spec["linux"]["sysctl"] = {"kernel.shm_rmid_forced": "1"}
    runtime.write("a", "/bin/true", change=change)
    result = runtime.run("run", "-b", runtime.bundle, "a")
    assert result.returncode == 1 and "/proc" in result.stderr and result.stderr.count("\n") == 1, result.stderr
    check(canary)


# CVE-2025-31133: masks.

@pytest.mark.parametrize("target", ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "CANARY"])
def test_masks_are_of_the_hosts_null(runtime, canary, target):  # noqa: F811
    """The image's /dev/null is a link or a file of its own, in a /dev that no mount covers; masks of links mask what is inside."""
    folder = rootfs(runtime)
    (folder / "dev/null").symlink_to(climb(canary) + "/canary" if target == "CANARY" else target)
    (folder / "secret").write_text("secret\n")
    (folder / "link").symlink_to("/secret")
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()

    def change(spec):
        spec["mounts"] = [mount for mount in spec["mounts"] if not mount["destination"].startswith("/dev")]
        spec["linux"]["maskedPaths"] = ["/secret", "/proc/kcore", "/link"]
    runtime.write("a", "/bin/sh", "-c", "cat /secret /link | wc -c; echo evil > /proc/kcore; echo evil > /secret", change=change)
    result = runtime.run("run", "-b", runtime.bundle, "a")
    # With such a /dev no devices can be made: nothing runs. Nobody takes the link for a device either way.
    assert result.returncode != 0 and "secret" not in result.stdout
    assert "/dev/null" in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == pattern
    check(canary)


def test_masks_hold_while_the_image_swaps_null(runtime, canary):  # noqa: F811
    """Somebody who shares the directory that becomes /dev swaps its `null` all the time."""
    rootfs(runtime)
    shared = runtime.folder / "shared"
    shared.mkdir()
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            for target in (str(canary / "canary"), "/proc/sys/kernel/core_pattern"):
                temporary = shared / "next"
                temporary.unlink(missing_ok=True)
                temporary.symlink_to(target)
                os.replace(temporary, shared / "null")
            (shared / "null").unlink(missing_ok=True)
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        def change(spec):
            spec["mounts"] = [mount for mount in spec["mounts"] if not mount["destination"].startswith("/dev")]
            spec["mounts"].append({"destination": "/dev", "type": "bind", "source": str(shared), "options": ["bind"]})
            spec["linux"]["maskedPaths"] = ["/proc/kcore", "/proc/timer_list"]
        runtime.write("a", "/bin/sh", "-c", "cat /proc/timer_list /proc/kcore | head -c 1; echo evil > /dev/null; true", change=change)
        runtime.ids.remove("a")
        for _ in range(25):
            result = runtime.run("run", "-b", runtime.bundle, "a")
            assert result.stdout == "" and result.stderr.count("\n") <= 2, (result.stdout, result.stderr)
            check(canary)
    finally:
        stop.set()
        swapper.join()
    assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == pattern


# CVE-2025-52565: terminals.

def receive_console(path):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)
    return listening


@pytest.mark.parametrize("place", ["/dev/pts/ptmx", "/dev/pts", "/dev/ptmx"])
def test_exec_opens_no_terminal_but_a_devpts(runtime, canary, place):  # noqa: F811
    """The container has put something else where its terminals come from."""
    shared = climb(canary) + "/canary"
    scripts = {"/dev/pts/ptmx": f"umount -l /dev/pts; ln -s {shared} /dev/pts/ptmx; for i in 0 1 2; do ln -s {shared} /dev/pts/$i; done",
               "/dev/pts": "umount -l /dev/pts; rm -r /dev/pts; ln -s /tmp /dev/pts; touch /tmp/ptmx /tmp/0",
               "/dev/ptmx": f"rm /dev/ptmx; ln -s {shared} /dev/ptmx"}
    hostile(runtime, scripts[place])
    where = runtime.folder / "console"
    listening = receive_console(where)
    result = runtime.run("exec", "-d", "--tty", "--console-socket", where, "a", "/bin/sh", "-c", "echo here; sleep 100")
    listening.settimeout(0.2)
    if place == "/dev/ptmx":  # which is not asked
        assert result.returncode == 0, result.stderr
        connection, _ = listening.accept()
        _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
        assert os.read(descriptors[0], 6) == b"here\r\n"
        os.close(descriptors[0])
    else:
        assert result.returncode == 255 and "terminal" in result.stderr and result.stderr.count("\n") == 1, result.stderr
    check(canary)


# CVE-2024-21626 and links as working directories.

LINKS = {"fd": "/proc/self/fd/{fd}", "deeper": "/proc/self/fd/{fd}/../..", "root": "/proc/1/root", "cwd": "/proc/self/cwd/../../..",
         "out": "{out}"}


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize("by", ["link", "path"])
def test_no_working_directory_leads_out(runtime, canary, kind, by):  # noqa: F811
    """Named in the configuration or a link of the image, while the caller leaves a directory of the host open for us."""
    folder = rootfs(runtime)
    outside = os.open(canary, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(outside, True)
    try:
        for fd in sorted({*range(3, 12), outside}):
            target = LINKS[kind].format(fd=fd, out=climb(canary))
            (folder / "work").unlink(missing_ok=True)
            (folder / "work").symlink_to(target)
            where = "/work" if by == "link" else os.path.join("/", target)
            for command in ("run", "exec"):
                name = f"{command}{fd}"
                runtime.write(name, "/bin/sh", "-c", "ls -a . ..; exec sleep 100" if command == "exec" else "ls -a . ..",
                              change=lambda spec: spec["process"].update(cwd=where if command == "run" else "/"))
                words = runtime.command("run", *(["-d"] if command == "exec" else []), "-b", runtime.bundle, name)
                with open(runtime.folder / "out", "w+") as out:
                    subprocess.run(words, pass_fds=[outside], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=30)
                    if command == "exec":
                        subprocess.run(runtime.command("exec", "--cwd", where, name, "ls", "-a", ".", ".."), pass_fds=[outside],
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=30)
                said = (runtime.folder / "out").read_text()
                assert "canary" not in said.replace(str(canary), ""), (where, said)
                runtime.run("delete", "--force", name)
    finally:
        os.close(outside)
    check(canary)


# CVE-2019-5736: the program itself.

@pytest.mark.parametrize("where", ["own processes", "host's processes"])
def test_the_program_cannot_be_written_from_inside(runtime, where):  # noqa: F811
    """Whoever enters a container is looked for there by one that may trace: by its program, mapped files and descriptors."""
    own = runtime.folder / "program"
    shutil.copy(OCI, own)
    before = own.read_bytes()
    folder = rootfs(runtime)
    (folder / "bin/evil").write_text("#!/proc/self/exe --log=/tmp/fifo\n")  # where it waits
    (folder / "bin/evil").chmod(0o755)
    command = lambda *words: [str(own), "--root", str(runtime.root), *map(str, words)]  # noqa: E731

    def change(spec):
        writable(spec)
        allow("CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN")(spec)
        if where == "host's processes":
            spec["linux"]["namespaces"] = [each for each in spec["linux"]["namespaces"] if each["type"] != "pid"]
    # A program that runs can't be written to; whoever has it open waits until it ends. In sight are programs of the test's machine, too.
    script = ("attack() { i=0; while [ $i -lt 100 ]; do echo x >> /proc/self/fd/3 && exit; sleep 0.02; i=$((i+1)); done; }; "
              "while :; do for p in /proc/[0-9]*; do case $(readlink $p/exe) in */program|/) attack 3< $p/exe & ;; esac; done; sleep 0.05; done "
              "2>/dev/null")
    runtime.write("a", "/bin/sh", "-c", script, change=change)
    subprocess.run(command("run", "-d", "-b", runtime.bundle, "a"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    os.mkfifo(folder / "tmp/fifo")
    for _ in range(4):
        for args in (["/bin/evil"], ["/bin/true"], ["/proc/self/exe"]):
            process = subprocess.Popen(command("exec", "a", *args), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.3)
            with contextlib.suppress(OSError):  # whoever waits for a reader goes on, and ends
                os.close(os.open(folder / "tmp/fifo", os.O_RDONLY | os.O_NONBLOCK))
            process.wait(10)
            time.sleep(0.1)
    assert own.read_bytes() == before


def test_no_socket_has_an_abstract_name(runtime):  # noqa: F811
    """CVE-2020-15257: whoever shares the host's network could reach it."""
    def names():
        return {line.split()[-1] for line in open("/proc/net/unix") if " @" in line}
    before = names()
    (runtime.bundle / "rootfs/etc/motd").write_text("x")
    where = runtime.folder / "console"
    listening = receive_console(where)
    rootfs(runtime)
    runtime.write("a", "/bin/sleep", "100", change=lambda spec: spec["process"].update(terminal=True))
    runtime.run("create", "--console-socket", where, "-b", runtime.bundle, "a", check=True)
    during = names()
    runtime.run("start", "a", check=True)
    assert names() | during == before
    listening.close()
