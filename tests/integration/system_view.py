"""A copy-on-write view of the machine's system, in mount, process and network namespaces of its own: what is done to it ends with
the test, and the machine never hears of it."""

import subprocess

# $work is a file system in memory, $root the view of the system in it; what follows sees the words after that in $@.
MAKE = r"""
set -eu
work=$1
shift
mount -t tmpfs none "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay none -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
for folder in /sys /dev; do mount --rbind "$folder" "$root$folder"; done
ip link set lo up
"""


def run_in_view(script, work, *words, timeout):
    """The bash script as root, with the view at `work`, an empty directory that nobody outside sees change."""
    work.mkdir()
    done = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--propagation", "private", "bash",
                           "-c", MAKE + script, "inside", work, *words],
                          capture_output=True, text=True, timeout=timeout)
    assert not list(work.iterdir()), "the system outside saw the mounts"
    return done
