"""Pulls that end badly: killed anywhere, on a full disk, cut off. The store is as before or as after, a later pull goes on, nothing grows.

SAMPAN_CRASH_ROUNDS sets the rounds; SAMPAN_CRASH_SEED repeats a run.
"""

import base64
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

import image as images
from conftest import SOURCE, wait_until

ROUNDS = int(os.environ.get("SAMPAN_CRASH_ROUNDS", "12"))
SEED = int(os.environ.get("SAMPAN_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))


@pytest.fixture(scope="module")
def liar():
    """tests/fakes/registry.py."""
    process = subprocess.Popen([sys.executable, str(SOURCE / "tests/fakes/registry.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ports = json.loads(process.stdout.readline())

    class Liar:
        host = f"127.0.0.1:{ports['main']}"

        @staticmethod
        def say(command):
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        @classmethod
        def serve(cls, image, **more):
            body, media_type = image.manifest()
            blobs = {digest: base64.b64encode(data).decode() for digest, data in image.blobs.items()}
            cls.say({"set": {"repositories": {"x": {"manifests": {"latest": {"body": body.decode(), "type": media_type}}, "blobs": blobs}}, **more}})
            return json.loads(body)
    yield Liar
    process.stdin.close()
    process.wait(20)


def make_image(rng, layers=3, size=1 << 20):
    tars = [images.busybox_layer()]
    for number in range(layers):
        layer = images.LayerTar().directory(f"d{number}/", mode=0o711)
        for part in range(8):
            layer.add(f"d{number}/f{part}", rng.randbytes(size // 8))
        tars.append(layer.bytes())
    return images.Image(tars, config={"Cmd": ["sh"]})


def used(path):
    return int(subprocess.run(["du", "-sk", str(path)], check=True, capture_output=True, text=True).stdout.split()[0])


def check_whole(store, name, layers=3):
    assert store.out("run", "--rm", name, "sh", "-c", "cat /d[0-9]/f* | wc -c") == str(layers << 20)


def helpers(store):
    """Processes of this store's commands, whatever program they are."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if os.fsencode(store.root) in words and b"__monitor" not in words:
            found.append(int(entry.name))
    return found


def children_of(pid):
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def family(pid):
    members = [pid]
    for member in members:
        members += children_of(member)
    return members


@pytest.mark.parametrize("victim", ["command", "helper", "all"])
def test_killed_at_any_moment(sampan, liar, victim):
    print(f"SAMPAN_CRASH_SEED={SEED}")
    rng = random.Random(f"{SEED}/{victim}")
    name = f"{liar.host}/x"
    manifest = liar.serve(make_image(rng))
    # Blobs drip a little, so that every moment of the download can be hit.
    liar.serve(make_image(random.Random(f"{SEED}/{victim}")), faults=[
        {"path": layer["digest"], "action": "drip", "size": 150_000, "pause": 0.01} for layer in manifest["layers"]])
    begin = time.monotonic()
    sampan.run("pull", "-q", name)
    longest = (time.monotonic() - begin) * 1.1
    before = None
    for _ in range(ROUNDS):
        sampan.run("rmi", "-f", name, code=None)
        process = sampan.start("pull", "-q", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.random() * longest)
        members = family(process.pid)
        chosen = {"command": members[:1], "helper": [rng.choice(members[1:] or members)], "all": members}[victim]
        for pid in chosen:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(30)
        # Whole or absent, and the store answers at once.
        if sampan.out("images", "-q", name):
            check_whole(sampan, name)
        wait_until(lambda: not [pid for pid in helpers(sampan) if pid not in (os.getpid(),)], seconds=20, what="the end of the helpers")
        before = used(sampan.root) if before is None else before
    sampan.run("pull", "-q", name)
    check_whole(sampan, name)
    sampan.run("rmi", "-f", name)
    wait_until(lambda: not list((sampan.root / "trash").iterdir()) and not list((sampan.root / "staging").iterdir()), what="the sweep")
    wait_until(lambda: not list((sampan.root / "layers").iterdir()), what="the layers' end")


@pytest.mark.parametrize("action", [{"action": "truncate"}, {"action": "stall"}], ids=["hang-up", "stall"])
def test_a_connection_that_is_cut_is_resumed_by_the_next_pull(sampan, liar, action):
    """The registry is gone in the middle of a layer; when it is back, what had come is not sent again."""
    layer = images.LayerTar().add("big", random.Random(SEED).randbytes(2 << 20)).bytes()
    image = images.Image([images.busybox_layer(), layer], config={"Cmd": ["sh"]})
    manifest = liar.serve(image)
    path, size = manifest["layers"][1]["digest"], manifest["layers"][1]["size"]
    name = f"{liar.host}/x"
    faults = [{"path": path, "after": 1_500_000, "times": 1, **action}, {"path": path, "action": "close", "skip": 1}]
    liar.serve(image, faults=faults)
    process = sampan.start("pull", "-q", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if action["action"] == "stall":  # nobody waits for it: interrupted as a user would
        wait_until(lambda: any(path in request["path"] for request in liar.say({"log": True})["requests"]), seconds=30, what="the request")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
    assert process.wait(120) != 0
    liar.serve(image)
    sampan.run("pull", "-q", name)
    ranges = [request["headers"].get("range", "") for request in liar.say({"log": True})["requests"] if path in request["path"]]
    assert ranges and ranges[0].startswith("bytes="), f"of {size} bytes, all were sent again: {ranges}"
    assert int(ranges[0][6:].rstrip("-")) >= 500_000
    assert sampan.out("run", "--rm", name, "sh", "-c", "wc -c < /big") == str(2 << 20)


@pytest.mark.parametrize("room", [1, 2, 3, 4, 6, 8, 10])
def test_a_full_disk_anywhere(sampan, liar, room):
    """A store on a small file system: the pull fails in one line, or fits; with more room the same command succeeds."""
    rng = random.Random(SEED)
    liar.serve(make_image(rng))
    name = f"{liar.host}/x"
    sampan.root.mkdir()
    disk = sampan.folder / "disk"
    with open(disk, "wb") as file:
        file.truncate(room << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0", "-N", "2000", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(sampan.root)], check=True)
    try:
        done = sampan.run("pull", "-q", name, code=None)
        if done.returncode:
            assert done.stderr.count("\n") == 1 and ("no space" in done.stderr.lower() or "full" in done.stderr.lower()), done.stderr
            listed = sampan.run("images", "-q", code=None)
            assert listed.stdout == ""
        else:
            check_whole(sampan, name)
        left = os.statvfs(sampan.root)
        if done.returncode and room > 1:
            staging = sampan.root / "staging"
            assert not staging.exists() or not list(staging.iterdir())
            assert left.f_bavail > 0
        # The janitor behind a command may still stand in it.
        wait_until(lambda: subprocess.run(["umount", str(sampan.root)], capture_output=True, check=False).returncode == 0, what="umount")
        with open(disk, "r+b") as file:
            file.truncate(40 << 20)
        subprocess.run(["e2fsck", "-fp", str(disk)], check=False, capture_output=True)
        subprocess.run(["resize2fs", str(disk)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(disk), str(sampan.root)], check=True)
        sampan.run("pull", "-q", name)
        check_whole(sampan, name)
        sampan.run("rmi", "-f", name)
    finally:
        subprocess.run(["umount", "-l", str(sampan.root)], check=False)


def test_a_hundred_failures_leave_no_growth(sampan, liar):
    rng = random.Random(SEED)
    image = make_image(rng)
    manifest = liar.serve(image)
    name = f"{liar.host}/x"
    last = manifest["layers"][-1]["digest"]
    faults = [[{"path": last, "action": "swap"}], [{"path": last, "action": "status", "status": 404, "body": "{}"}],
              [{"path": "/manifests/", "action": "status", "status": 404, "body": "{}"}], [{"path": manifest["config"]["digest"], "action": "swap"}]]
    sizes, rows = [], []
    for number in range(100):
        liar.serve(image, faults=faults[number % len(faults)])
        sampan.run("pull", "-q", name, code=1)
        if number % 20 == 19:
            wait_until(lambda: not list((sampan.root / "staging").iterdir()), what="empty staging")
            sizes.append(used(sampan.root))
            rows.append(sum(1 for _ in sampan.root.rglob("*")))
    assert sizes[-1] <= sizes[0] + 64 and rows[-1] <= rows[0], f"kB: {sizes}, files: {rows}"
    liar.serve(image)
    sampan.run("pull", "-q", name)
    check_whole(sampan, name)
