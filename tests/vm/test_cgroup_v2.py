"""sampan-oci on a kernel with cgroup v2 alone: boots a virtual machine once and reads what its script says. See machine.py."""

import os
import re
import shutil
import subprocess

import machine
import pytest

NAMES = re.findall(r"^(test_\w+)\(\)", machine.GUEST.read_text(), re.M)


@pytest.fixture(scope="module")
def said(tmp_path_factory, busybox):
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("needs qemu-system-x86")
    found = machine.find_kernel()
    assert found, "no kernel: run scripts/fetch-kernel first (./run-tests vm does)"
    kernel, modules = found
    folder = tmp_path_factory.mktemp("vm")
    image = machine.build(folder, modules)
    # sampan's own store with an image, as `pull` leaves it.
    subprocess.run([machine.BIN / "sampan", "--root", folder / "store", "--state", folder / "state", "pull", "-q", busybox], check=True)
    image.tree("t/store", folder / "store")
    image.file("t/image", busybox.encode())
    image.finish(folder / "initramfs.gz")
    output = machine.boot(kernel, folder / "initramfs.gz")
    (folder / "console").write_text(output)
    lines = re.findall(r"^RESULT (ok|failed) (test_\w+)(.*)$", output.replace("\r", ""), re.M)
    return {name: (word, reason) for word, name, reason in lines}, output


@pytest.mark.parametrize("name", os.environ.get("VM_TESTS", "").split() or NAMES)
def test_in_the_guest(said, name):
    results, output = said
    assert name in results, "the guest said nothing of it: " + output[-3000:]
    word, reason = results[name]
    assert word == "ok", name + reason
