"""What a container sees and may do: namespaces, capabilities, seccomp, devices, mounts, limits."""

import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from conftest import wait_until

DOCKER_CAPABILITIES = 0x00000000A80425FB  # docker's default set of 14


def status_field(text, name):
    return re.search(rf"^{name}:\s*(\S+)", text, re.M)[1]


def test_namespaces_are_its_own(engine, busybox):
    out = engine.out("run", "--rm", busybox, "sh", "-c", "for n in mnt pid net uts ipc cgroup; do readlink /proc/self/ns/$n; done")
    host = {os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "pid", "net", "uts", "ipc", "cgroup")}
    assert len(set(out.split())) == 6 and not host & set(out.split())


def test_processes_of_the_host_are_invisible(engine, busybox):
    out = engine.out("run", "--rm", busybox, "sh", "-c", "echo /proc/[0-9]*")
    assert out == "/proc/1"


def test_default_capabilities_are_dockers(engine, busybox):
    status = engine.out("run", "--rm", busybox, "cat", "/proc/self/status")
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status_field(status, name), 16) == DOCKER_CAPABILITIES
    for name in ("CapInh", "CapAmb"):
        assert int(status_field(status, name), 16) == 0
    assert status_field(status, "Seccomp") == "2"
    assert status_field(status, "NoNewPrivs") == "0"


def test_capabilities_of_another_user_are_none(engine, busybox):
    status = engine.out("run", "--rm", "-u", "app", busybox, "cat", "/proc/self/status")
    assert int(status_field(status, "CapEff"), 16) == 0
    assert int(status_field(status, "CapBnd"), 16) == DOCKER_CAPABILITIES


def test_capabilities_added_and_dropped(engine, busybox):
    bounding = lambda *flags: int(status_field(engine.out("run", "--rm", *flags, busybox, "cat", "/proc/self/status"), "CapBnd"), 16)
    assert bounding("--cap-drop", "ALL") == 0
    assert bounding("--cap-drop", "ALL", "--cap-add", "CHOWN") == 1
    assert bounding("--cap-add", "SYS_ADMIN") == DOCKER_CAPABILITIES | 1 << 21
    assert bounding("--cap-drop", "CAP_NET_RAW") == DOCKER_CAPABILITIES & ~(1 << 13)
    assert "BOGUS" in engine.run("run", "--rm", "--cap-add", "BOGUS", busybox, "true", code=125).stderr


def test_seccomp_refuses_what_docker_refuses(engine, busybox):
    # unshare(CLONE_NEWUSER) needs CAP_SYS_ADMIN in docker's profile.
    mount = "mount -t tmpfs none /tmp"
    assert engine.run("run", "--rm", busybox, "sh", "-c", mount, code=None).returncode != 0
    assert engine.run("run", "--rm", "--cap-add", "SYS_ADMIN", busybox, "sh", "-c", mount).returncode == 0
    status = engine.out("run", "--rm", "--security-opt", "seccomp=unconfined", busybox, "cat", "/proc/self/status")
    assert status_field(status, "Seccomp") == "0"


def test_no_new_privileges(engine, busybox):
    status = engine.out("run", "--rm", "--security-opt", "no-new-privileges", busybox, "cat", "/proc/self/status")
    assert status_field(status, "NoNewPrivs") == "1"
    assert "bogus" in engine.run("run", "--rm", "--security-opt", "bogus=1", busybox, "true", code=125).stderr


def test_no_new_privileges_takes_a_switch(engine, busybox):
    flag = lambda option: status_field(
        engine.out("run", "--rm", "--security-opt", option, busybox, "cat", "/proc/self/status"), "NoNewPrivs")
    assert flag("no-new-privileges:true") == flag("no-new-privileges=T") == "1"
    assert flag("no-new-privileges:false") == flag("no-new-privileges=0") == "0"


@pytest.mark.parametrize("option, told", [
    ("bogus", 'Invalid --security-opt: "bogus"'),
    ("bogus=1", 'invalid --security-opt 2: "bogus=1"'),
    ("no-new-privileges=maybe", 'invalid --security-opt 2: "no-new-privileges=maybe"'),
    ("systempaths=all", 'invalid --security-opt 2: "systempaths=all"'),
    ("seccomp=/nowhere.json", "opening seccomp profile (/nowhere.json) failed: "),
])
def test_unknown_security_options_are_refused_as_docker_words_it(engine, busybox, option, told):
    refused = engine.run("run", "--rm", "--security-opt", option, busybox, "true", code=125)
    assert told in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.skipif(os.path.exists("/sys/module/apparmor"), reason="a kernel with AppArmor")
def test_apparmor_profiles_are_applied_or_refused(engine, busybox):
    quiet = engine.run("run", "--rm", "--security-opt", "apparmor=unconfined", busybox, "true")
    assert quiet.stderr == ""
    engine.run("create", "--name", "confined", "--security-opt", "apparmor=mine", busybox, "true")
    refused = engine.run("start", "confined", code=1)
    assert 'apparmor profile "mine": AppArmor is not enabled on this host' in refused.stderr
    assert engine.inspect("confined", "{{.State.Status}}") == "created"
    engine.run("rm", "confined")
    assert "AppArmor" in engine.run("run", "--rm", "--security-opt", "apparmor=mine", busybox, "true", code=125).stderr


@pytest.mark.skipif(os.path.exists("/sys/fs/selinux/enforce"), reason="a kernel with SELinux")
def test_labels_without_selinux_have_no_effect_and_that_is_told(engine, busybox):
    assert engine.run("run", "--rm", "--security-opt", "label=disable", busybox, "true").stderr == ""
    warned = engine.run("run", "--rm", "--security-opt", "label=type:x_t", busybox, "echo", "on")
    assert warned.stdout == "on\n"
    assert warned.stderr == "WARNING: --security-opt label=type:x_t has no effect: SELinux is not enabled on this host\n"


def test_a_seccomp_profile_of_ones_own(engine, busybox, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW",
                                   "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
    # The name counts where the command stands, and the file only until the container is there.
    made = subprocess.run(engine.command("create", "--name", "filtered", "--security-opt", "seccomp=profile.json", busybox,
                                         "sh", "-c", "mkdir /new || unshare -U echo free"), cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    profile.unlink()
    assert "free" in engine.out("start", "-a", "filtered")
    engine.run("rm", "filtered")
    profile.write_text("{")
    assert "opening seccomp profile" in engine.run("create", "--security-opt", f"seccomp={profile}", busybox, code=1).stderr
    builtin = engine.out("run", "--rm", "--security-opt", "seccomp=builtin", busybox, "cat", "/proc/self/status")
    assert status_field(builtin, "Seccomp") == "2"


def test_system_paths_unconfined(engine, busybox):
    mounts = lambda *flags: engine.out("run", "--rm", *flags, busybox, "sh", "-c", "grep -c ' /proc/' /proc/mounts || true")
    assert int(mounts()) > 5 and mounts("--security-opt", "systempaths=unconfined") == "0"


def test_dev_is_as_docker_makes_it(engine, busybox):
    out = engine.out("run", "--rm", busybox, "ls", "/dev").split()
    assert set(out) == {"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
                        "urandom", "zero"}
    assert engine.out("run", "--rm", busybox, "stat", "-c", "%t:%T %a", "/dev/null") == "1:3 666"


def test_device_list_is_enforced(engine, busybox):
    # With CAP_MKNOD a node can be made, but the control group refuses to open it.
    make = "mknod /disk b 254 0 && head -c 1 /disk"
    done = engine.run("run", "--rm", busybox, "sh", "-c", make, code=None)
    assert done.returncode != 0 and "Operation not permitted" in done.stderr
    done = engine.run("run", "--rm", busybox, "sh", "-c", "mknod /kmsg c 1 11 && head -c 1 /kmsg", code=None)
    assert done.returncode != 0 and "Operation not permitted" in done.stderr


def test_a_device_may_be_added(engine, busybox):
    out = engine.out("run", "--rm", "--device", "/dev/loop-control:/dev/mine:r", busybox, "stat", "-c", "%F %t:%T", "/dev/mine")
    assert out.startswith("character special file a:ed")


def test_masked_and_read_only_paths(engine, busybox):
    masked = [path for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts") if os.path.exists(path)]
    assert masked
    out = engine.run("run", "--rm", busybox, "sh", "-c", f"cat {' '.join(masked)} | wc -c; ls /sys/firmware | wc -l;"
                     "echo 1 > /proc/sys/kernel/hostname; touch /sys/x", code=None)
    assert out.stdout.split() == ["0", "0"]
    assert out.stderr.count("Read-only file system") == 2


def test_sys_and_cgroup_are_read_only(engine, busybox):
    mounts = engine.out("run", "--rm", busybox, "cat", "/proc/mounts")
    targets = ["/sys", "/sys/fs/cgroup", "/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"]
    for target in filter(os.path.exists, targets):
        line = next(line for line in mounts.split("\n") if line.split()[1] == target)
        assert re.search(r"\bro\b", line.split()[3]), line
    assert " / overlay " in mounts


def test_privileged(engine, busybox):
    out = engine.out("run", "--rm", "--privileged", busybox, "sh", "-c", "cat /proc/self/status; ls /dev; mount -t tmpfs none /tmp && echo mounted")
    assert "mounted" in out and "loop-control" in out
    assert status_field(out, "Seccomp") == "0"
    assert int(status_field(out, "CapBnd"), 16) & (1 << 21)


def test_read_only_root(engine, busybox):
    done = engine.run("run", "--rm", "--read-only", "--tmpfs", "/scratch", busybox, "sh", "-c", "touch /scratch/ok && touch /no", code=1)
    assert "/no: Read-only file system" in done.stderr


def test_ulimits(engine, busybox):
    assert engine.out("run", "--rm", "--ulimit", "nofile=123:456", busybox, "sh", "-c", "ulimit -n; ulimit -Hn") == "123\n456"


def test_nothing_of_the_hosts_descriptors_is_inherited(engine, busybox):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    out = subprocess.run(engine.command("run", "--rm", busybox, "ls", "/proc/self/fd"), capture_output=True, text=True,
                         pass_fds=[writer], check=True).stdout.split()
    os.close(reader)
    os.close(writer)
    assert set(out) <= {"0", "1", "2", "3"}  # 3 is ls's own


def test_the_engine_cannot_be_written_from_inside(engine, busybox):
    """CVE-2019-5736: the interpreter of a script is /proc/self/exe, which is then opened for writing."""
    engine.run("run", "--name", "trap", busybox, "sh", "-c",
               "printf '#!/proc/self/exe\\n' > /evil; chmod +x /evil; "
               "(while :; do for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || echo X 2>/dev/null >> $p/exe; done; done) & sleep 2 ; true", timeout=30)
    from conftest import BIN
    before = (BIN / "sampan").stat()
    engine.run("create", "--name", "evil", "--entrypoint", "/evil", busybox)
    engine.run("start", "-a", "evil", code=None, timeout=30)
    after = (BIN / "sampan").stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


# Limits.

def test_memory_limit_kills_and_says_so(engine, busybox):
    """5 MB for a process that takes 10 MB: 137 and OOMKilled."""
    engine.run("run", "--name", "hog", "-m", "5m", busybox, "sh", "-c",
               "x=$(head -c 10485760 /dev/zero | tr '\\0' x); echo ${#x}", code=137)
    assert engine.inspect("hog", "{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137"


def test_cpu_limit_holds_a_busy_loop_at_ten_percent(engine, busybox):
    engine.run("run", "-d", "--name", "spin", "--cpus", "0.1", busybox, "sh", "-c", "while :; do :; done")
    pid = engine.inspect("spin", "{{.State.Pid}}")

    def cpu():
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(0.5)
    start, begun = time.monotonic(), cpu()
    time.sleep(5)
    share = (cpu() - begun) / (time.monotonic() - start)
    assert 0.08 <= share <= 0.12, share


def test_pids_limit(engine, busybox):
    done = engine.run("run", "--rm", "--pids-limit", "5", busybox, "sh", "-c",
                      "for i in 1 2 3 4 5 6 7 8; do sleep 2 & done; wait", code=None)
    assert "can't fork" in done.stderr


# Mounts.

def test_bind_mounts(engine, busybox, tmp_path):
    (tmp_path / "file").write_text("from outside")
    assert engine.out("run", "--rm", "-v", f"{tmp_path}:/data", busybox, "sh", "-c", "cat /data/file; echo new > /data/made") == "from outside"
    assert (tmp_path / "made").read_text() == "new\n"
    done = engine.run("run", "--rm", "-v", f"{tmp_path}:/data:ro", busybox, "touch", "/data/x", code=1)
    assert "Read-only file system" in done.stderr
    assert engine.out("run", "--rm", "-v", f"{tmp_path}/file:/etc/one", busybox, "cat", "/etc/one") == "from outside"
    assert engine.out("run", "--rm", "--mount", f"type=bind,source={tmp_path},target=/m,readonly", busybox, "cat", "/m/file") == "from outside"


def test_v_makes_a_missing_host_folder_but_mount_does_not(engine, busybox, tmp_path):
    engine.run("run", "--rm", "-v", f"{tmp_path}/made:/data", busybox, "true")
    assert (tmp_path / "made").is_dir()
    done = engine.run("run", "--rm", "--mount", f"type=bind,source={tmp_path}/none,target=/data", busybox, "true", code=125)
    assert "does not exist" in done.stderr


def test_named_volumes_outlive_containers(engine, busybox):
    engine.run("run", "--rm", "-v", "kept:/data", busybox, "sh", "-c", "echo 1 > /data/file")
    assert engine.out("run", "--rm", "-v", "kept:/data", busybox, "cat", "/data/file") == "1"


def test_a_new_volume_starts_with_the_images_files(engine, busybox):
    assert engine.out("run", "--rm", "-v", "www:/var/www", busybox, "cat", "/var/www/index.html") == "<h1>sampan</h1>"
    assert engine.out("run", "--rm", "-v", "bare:/var/www:nocopy", busybox, "ls", "/var/www") == ""


def test_tmpfs(engine, busybox):
    out = engine.out("run", "--rm", "--tmpfs", "/scratch:size=1m", busybox, "sh", "-c", "grep /scratch /proc/mounts; df -k /scratch | tail -1")
    assert "tmpfs" in out and "1024" in out


def test_shm_size(engine, busybox):
    assert "8192" in engine.out("run", "--rm", "--shm-size", "8m", busybox, "df", "-k", "/dev/shm")
    assert "65536" in engine.out("run", "--rm", "--shm-size", "0", busybox, "df", "-k", "/dev/shm")  # docker's; tmpfs: no limit


def test_sysctl(engine, busybox):
    assert engine.out("run", "--rm", "--sysctl", "net.ipv4.ip_unprivileged_port_start=80", busybox,
                      "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "80"
    for bad in ("kernel.core_pattern=|/evil", "kernel.shm_rmid_forced=1+kernel.core_pattern=x", "vm.swappiness=1", "net.core.somaxconn"):
        engine.run("run", "--rm", "--sysctl", bad, busybox, "true", code=125)


def test_managed_etc_files(engine, busybox):
    out = engine.out("run", "--rm", "--dns", "192.0.2.53", "--dns-search", "example.org", "--add-host", "db:192.0.2.9", busybox,
                     "sh", "-c", "cat /etc/resolv.conf /etc/hosts; hostname -i")
    assert "nameserver 192.0.2.53" in out and "search example.org" in out and re.search(r"192.0.2.9\s+db", out)
    assert re.search(r"127.0.0.1\s+localhost", out)


def test_explain_prints_the_plan_and_does_nothing(engine, busybox, tmp_path):
    out = engine.out("run", "--explain", "--rm", "-p", "8090:80", "-m", "64m", "-v", f"{tmp_path}/never:/x", busybox, "echo", "never")
    for word in ("overlay", "/proc", "pivot", "memory", "67108864", "veth", "8090", "CAP_CHOWN", "seccomp", "pid"):
        assert word in out, word
    assert "never\n" not in out.split("\n")[-1:]
    assert engine.out("ps", "-aq") == "" and not (tmp_path / "never").exists()


def test_trace_does_it_and_says_what_each_step_took(engine, busybox):
    done = engine.run("run", "--rm", "--trace", busybox, "echo", "done")
    assert done.stdout == "done\n"
    rooms = {match[1] for match in re.finditer(r"^\s*\d+ us\s+(\w+): ", done.stderr, re.M)}
    assert {"engine", "network", "runtime"} <= rooms


@pytest.mark.parametrize("runtime", ["runc", "crun"])
@pytest.mark.parametrize("what", ["image", "container"])
def test_an_exported_bundle_runs_elsewhere(engine, busybox, tmp_path, runtime, what):
    name = busybox
    if what == "container":
        engine.run("run", "--name", "source", "-e", "A=exported", busybox, "sh", "-c", "echo $A > /made")
        name = "source"
    engine.run("bundle", "export", name, tmp_path / "bundle")
    config = json.loads((tmp_path / "bundle/config.json").read_text())
    config["process"]["args"] = ["sh", "-c", "cat /made 2>/dev/null; echo ran"]
    config["process"]["terminal"] = False
    (tmp_path / "bundle/config.json").write_text(json.dumps(config))
    words = [runtime, "--root", str(tmp_path / "state"), "run", "--bundle", str(tmp_path / "bundle"), f"sampan-test-{os.getpid()}"]
    if runtime == "crun":  # crun 1.8.1 refuses hybrid hierarchies: it gets a view without the v2 one
        words = ["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh", *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    for group in pathlib.Path("/sys/fs/cgroup").glob(f"*/sampan-test-{os.getpid()}"):  # what a runtime made above its own
        group.rmdir()
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("exported\nran\n" if what == "container" else "ran\n")


def test_in_a_chroot_exec_sees_the_container_too(sampan, busybox, tmp_path):
    """setns(2) leads to the root of a mount namespace: in a chroot that is not where a process's root was pivoted away."""
    script = f"""set -e
mkdir {tmp_path}/host && mount --rbind / {tmp_path}/host && mount --make-rslave {tmp_path}/host
in_chroot() {{ chroot {tmp_path}/host {' '.join(sampan.command())} "$@"; }}
in_chroot pull -q {busybox} > /dev/null
name=$(in_chroot run -d --network none {busybox} sleep 1000)
in_chroot exec $name sh -c 'hostname; cat /etc/hostname; ls -d /root /sys/fs/cgroup; cat /proc/self/mountinfo | wc -l'
grep -c . /proc/$(in_chroot inspect --format '{{{{.State.Pid}}}}' $name)/mountinfo
in_chroot rm -f $name > /dev/null
"""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert lines[0] == lines[1] and len(lines[0]) == 12, done.stdout
