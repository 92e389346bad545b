"""Limits of a container: what the control groups say, what bites, what is refused in docker's words. Cgroup v1; v2 in tests/vm."""

import json
import os
import pathlib
import re
import subprocess
import time

import pytest

V1 = not os.path.exists("/sys/fs/cgroup/cgroup.controllers")
on_v1 = pytest.mark.skipif(not V1, reason="a kernel with cgroup v2: tests/vm covers it")


def group(engine, name, controller):
    """The container's own group in a v1 hierarchy."""
    pid = engine.inspect(name, "{{.State.Pid}}")
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().split("\n"):
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if controller in controllers.split(","):
            return pathlib.Path("/sys/fs/cgroup") / controller / path.strip("/")
    raise AssertionError(f"no {controller} group")


@on_v1
def test_limits_are_in_the_files(engine, busybox):
    engine.run("run", "-d", "--name", "limited", "-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "--memory-swappiness", "10",
               "--oom-kill-disable", "--cpu-shares", "512", "--cpu-period", "50000", "--cpu-quota", "25000", "--cpuset-cpus", "0",
               "--cpuset-mems", "0", "--pids-limit", "50", busybox, "sleep", "1000")
    read = lambda controller, file: (group(engine, "limited", controller) / file).read_text().strip()
    assert read("memory", "memory.limit_in_bytes") == str(64 << 20)
    assert read("memory", "memory.memsw.limit_in_bytes") == str(96 << 20)
    assert read("memory", "memory.soft_limit_in_bytes") == str(32 << 20)
    assert read("memory", "memory.swappiness") == "10"
    assert "oom_kill_disable 1" in read("memory", "memory.oom_control")
    assert read("cpu", "cpu.shares") == "512"
    assert (read("cpu", "cpu.cfs_period_us"), read("cpu", "cpu.cfs_quota_us")) == ("50000", "25000")
    assert (read("cpuset", "cpuset.cpus"), read("cpuset", "cpuset.mems")) == ("0", "0")
    assert read("pids", "pids.max") == "50"
    config = json.loads(engine.out("inspect", "limited"))[0]["HostConfig"]
    assert {key: config[key] for key in ("Memory", "MemorySwap", "MemoryReservation", "MemorySwappiness", "OomKillDisable", "CpuShares",
                                         "CpuPeriod", "CpuQuota", "CpusetCpus", "CpusetMems", "PidsLimit")} == {
        "Memory": 64 << 20, "MemorySwap": 96 << 20, "MemoryReservation": 32 << 20, "MemorySwappiness": 10, "OomKillDisable": True,
        "CpuShares": 512, "CpuPeriod": 50000, "CpuQuota": 25000, "CpusetCpus": "0", "CpusetMems": "0", "PidsLimit": 50}


@pytest.mark.parametrize("flags, told", [
    (["--memory-swap", "1g"], "You should always set the Memory limit when using Memoryswap limit, see usage"),
    (["-m", "1g", "--memory-swap", "1m"], "Minimum memoryswap limit should be larger than memory limit, see usage"),
    (["-m", "1g", "--memory-reservation", "2g"], "Minimum memory limit can not be less than memory reservation limit, see usage"),
    (["--memory-swappiness", "101"], "invalid value: 101. Valid memory swappiness range is 0-100"),
    (["--cpus", "1", "--cpu-quota", "1000"], "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    (["--cpus", "1", "--cpu-period", "1000"], "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
    (["--cpus", "1000"], "Range of CPUs is from 0.01 to"),
    (["--cpu-period", "5"], "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
    (["--cpu-quota", "5"], "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    (["--cpuset-cpus", "x"], "Invalid value x for cpuset cpus"),
    (["--cpuset-cpus", "4000"], "Requested CPUs are not available - requested 4000, available: "),
    (["--cpuset-mems", "99"], "Requested memory nodes are not available - requested 99, available: 0"),
    (["--blkio-weight", "5"], "Range of blkio weight is from 10 to 1000"),
    (["--blkio-weight-device", "/dev/x:5"], "invalid weight for device: /dev/x:5"),
    (["--device-read-bps", "/dev/no-such-disk:1mb"], "/dev/no-such-disk: No such file or directory"),
    (["--device-read-bps", "/dev/x"], 'invalid argument "/dev/x" for "--device-read-bps" flag: bad format: /dev/x'),
    (["--device-write-iops", "/dev/x:y"], "invalid rate for device: /dev/x:y. The correct format is <device-path>:<number>"),
    (["--ulimit", "bogus=1"], "invalid ulimit type: bogus"),
    (["--ulimit", "nofile=2:1"], "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
    (["--shm-size", "-1"], "SHM size can not be less than 0"),
    (["--oom-score-adj", "1001"], "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
    (["--cgroup-parent", "/../x"], "invalid cgroup parent: /../x"),
    (["--cpu-shares", "many"], 'invalid argument "many" for "-c, --cpu-shares" flag'),
])
def test_refusals_are_dockers(engine, busybox, flags, told):
    done = engine.run("run", "--rm", *flags, busybox, "true", code=125)
    assert told in done.stderr, done.stderr


def test_what_no_kernel_has_is_warned_about(engine, busybox):
    done = engine.run("run", "--rm", "--kernel-memory", "1g", busybox, "true")
    assert "WARNING: Your kernel does not support kernel memory limit capabilities" in done.stderr
    done = engine.run("run", "--rm", "--oom-kill-disable", busybox, "true")
    assert "WARNING: " in done.stderr and "OOM" in done.stderr.upper()


def test_every_ulimit(engine, busybox):
    names = {"as": "Max address space", "core": "Max core file size", "cpu": "Max cpu time", "data": "Max data size", "fsize": "Max file size",
             "locks": "Max file locks", "memlock": "Max locked memory", "msgqueue": "Max msgqueue size", "nice": "Max nice priority",
             "nofile": "Max open files", "nproc": "Max processes", "rss": "Max resident set", "rtprio": "Max realtime priority",
             "rttime": "Max realtime timeout", "sigpending": "Max pending signals", "stack": "Max stack size"}
    soft = {"as": 1 << 30, "data": 1 << 30, "stack": 1 << 23, "nice": 3, "rtprio": 4}
    flags = [f"--ulimit={name}={soft.get(name, 1000)}:{soft.get(name, 1000) + 1}" for name in names]
    out = engine.out("run", "--rm", *flags, busybox, "cat", "/proc/self/limits")
    ours = pathlib.Path("/proc/self/limits").read_text()
    may_raise = int(re.search(r"^CapEff:\s*(\S+)", pathlib.Path("/proc/self/status").read_text(), re.M)[1], 16) >> 24 & 1
    for name, title in names.items():
        values = lambda text: next(line for line in text.split("\n") if line.startswith(title))[len(title):].split()[:2]
        most = float("inf") if may_raise or values(ours)[1] == "unlimited" else int(values(ours)[1])
        assert values(out) == [str(min(soft.get(name, 1000) + more, most)) for more in (0, 1)], title
    assert "unlimited" in engine.out("run", "--rm", "--ulimit", "core=-1", busybox, "grep", "core", "/proc/self/limits")


@on_v1
def test_cgroup_parent(engine, busybox):
    parent = f"{engine.cgroup}-elsewhere"
    engine.run("run", "-d", "--name", "moved", "--cgroup-parent", parent, "-m", "64m", busybox, "sleep", "1000")
    assert parent in str(group(engine, "moved", "memory"))
    assert engine.inspect("moved", "{{.HostConfig.CgroupParent}}") == parent
    engine.run("rm", "-f", "moved")
    for path in pathlib.Path("/sys/fs/cgroup").glob("*" + parent):
        path.rmdir()


def test_cgroup_namespaces(engine, busybox):
    seen = lambda *flags: engine.out("run", "--rm", *flags, busybox, "cat", "/proc/self/cgroup")
    assert engine.cgroup not in seen() and engine.cgroup not in seen("--cgroupns", "private")
    assert engine.cgroup in seen("--cgroupns", "host")
    assert "--cgroupns: invalid CGROUP mode" in engine.run("create", "--cgroupns", "bogus", busybox, code=1).stderr


# Disks: a loop device of our own, since only a real block device is throttled.

@pytest.fixture
def disk(tmp_path):
    file = tmp_path / "disk"
    subprocess.run(["dd", "if=/dev/zero", f"of={file}", "bs=1M", "count=16"], check=True, stderr=subprocess.DEVNULL)
    loop = subprocess.run(["losetup", "-f", "--show", file], capture_output=True, text=True, check=True).stdout.strip()
    yield loop
    subprocess.run(["losetup", "-d", loop], check=True)


def timed(engine, busybox, disk, flags, words):
    start = time.monotonic()
    engine.run("run", "--rm", "--network", "none", "--device", disk, *flags, busybox, "dd", *words)
    return time.monotonic() - start


@on_v1
@pytest.mark.parametrize("flag, limit, words", [
    ("--device-read-bps", "1mb", ["if={disk}", "of=/dev/null", "bs=64k", "count=48", "iflag=direct"]),    # 3 MB
    ("--device-write-bps", "1mb", ["if=/dev/zero", "of={disk}", "bs=64k", "count=48", "oflag=direct"]),
    ("--device-read-iops", "10", ["if={disk}", "of=/dev/null", "bs=4k", "count=30", "iflag=direct"]),     # 30 operations
    ("--device-write-iops", "10", ["if=/dev/zero", "of={disk}", "bs=4k", "count=30", "oflag=direct"]),
])
def test_disk_limits_bite(engine, busybox, disk, flag, limit, words):
    """Each would take milliseconds and takes three seconds."""
    words = [word.format(disk=disk) for word in words]
    limited = timed(engine, busybox, disk, [flag, f"{disk}:{limit}"], words)
    assert 2 < limited < 15, limited
    wide = {"1mb": "1gb", "10": "1000000"}[limit]
    assert timed(engine, busybox, disk, [flag, f"{disk}:{wide}"], words) < limited - 1.5


@on_v1
def test_disk_limits_are_shown(engine, busybox, disk):
    engine.run("run", "-d", "--name", "slow", "--device-read-bps", f"{disk}:1mb", "--device-write-iops", f"{disk}:20", busybox, "sleep", "1000")
    number = os.stat(disk).st_rdev
    line = f"{os.major(number)}:{os.minor(number)}"
    assert f"{line} 1048576" in (group(engine, "slow", "blkio") / "blkio.throttle.read_bps_device").read_text()
    assert f"{line} 20" in (group(engine, "slow", "blkio") / "blkio.throttle.write_iops_device").read_text()
    config = json.loads(engine.out("inspect", "slow"))[0]["HostConfig"]
    assert config["BlkioDeviceReadBps"] == [{"Path": disk, "Rate": 1 << 20}]
    assert config["BlkioDeviceWriteIOps"] == [{"Path": disk, "Rate": 20}]
    out = engine.out("run", "--explain", "--device-read-bps", f"{disk}:1mb", busybox)
    assert "blkio.throttle.read_bps_device" in out


@on_v1
@pytest.mark.skipif(not os.path.exists("/sys/fs/cgroup/blkio/blkio.bfq.io_serviced"), reason="a kernel without BFQ's weights")
def test_block_io_weight(engine, busybox):
    engine.run("run", "-d", "--name", "heavy", "--blkio-weight", "300", busybox, "sleep", "1000")
    assert "300" in (group(engine, "heavy", "blkio") / "blkio.bfq.weight").read_text()
