"""Many commands at once on one store: none is told that the database is locked, and every result is right.

SAMPAN_STRESS_SECONDS sets how long it goes on; SAMPAN_STRESS_SEED repeats the choice of commands.
"""

import collections
import os
import random
import re
import threading
import time

from image import Image, LayerTar, busybox_layer

SECONDS = float(os.environ.get("SAMPAN_STRESS_SECONDS", "12"))
SEED = int(os.environ.get("SAMPAN_STRESS_SEED", str(random.SystemRandom().randrange(1 << 32))))
WORKERS = 20
ARCHIVES = 6

# What a command may say when another one was faster; everything else is a defect.
FAIR = re.compile(
    "No such image|is being used by|image is referenced in multiple repositories|was removed by another command|"
    "is using its referenced image|No such container")


def make_archives(sampan, registry, folder):
    """docker's archives of images on one base, whose upper layers say which one it is."""
    for number in range(ARCHIVES):
        layer = LayerTar().add("which", f"image {number}\n".encode()).add("bulk", random.Random(number).randbytes(400_000))
        registry.push(f"stress{number}", "v1", Image([busybox_layer(), layer.bytes()], config={"Cmd": ["cat", "/which"]}))
        name = f"{registry.host}/stress{number}:v1"
        sampan.run("pull", "-q", name)
        sampan.run("tag", name, f"stress{number}:v1")
        sampan.run("save", "-o", folder / f"{number}.tar", f"stress{number}:v1")
    sampan.run("rmi", "-f", *sampan.out("images", "-q").split())
    assert sampan.out("images", "-q") == "" and list((sampan.root / "layers").iterdir()) == []


class Worker(threading.Thread):
    def __init__(self, sampan, folder, number, end):
        super().__init__()
        self.sampan, self.folder, self.end = sampan, folder, end
        self.rng = random.Random(SEED * 1000 + number)
        self.done, self.defects = collections.Counter(), []

    def run(self):
        while time.monotonic() < self.end and not self.defects:
            getattr(self, self.rng.choice(["load", "load", "pull", "run_image", "run_image", "tag", "remove", "prune", "images", "ps", "df"]))()

    def command(self, *words, judge=lambda out: True):
        result = self.sampan.run(*words, code=None, timeout=300)
        said = f"{' '.join(map(str, words))}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        if "locked" in said or "busy" in said:
            self.defects.append(said)
        elif result.returncode == 0:
            self.done[words[0]] += 1
            if not judge(result.stdout):
                self.defects.append("wrong: " + said)
        elif not FAIR.search(result.stderr):
            self.defects.append(said)

    def load(self):
        number = self.rng.randrange(ARCHIVES)
        self.command("load", "-q", "-i", self.folder / f"{number}.tar", judge=lambda out: out == f"Loaded image: stress{number}:v1\n")

    def pull(self):
        self.command("pull", "-q", f"docker-archive:{self.folder}/{self.rng.randrange(ARCHIVES)}.tar", judge=lambda out: out.startswith("sha256:"))

    def run_image(self):
        number = self.rng.randrange(ARCHIVES)
        self.command("run", "--rm", "--network", "none", f"docker-archive:{self.folder}/{number}.tar", judge=lambda out: out == f"image {number}\n")

    def tag(self):
        number = self.rng.randrange(ARCHIVES)
        self.command("tag", f"stress{number}:v1", f"other{self.rng.randrange(3)}:{number}")

    def remove(self):
        name = self.rng.choice([f"stress{self.rng.randrange(ARCHIVES)}:v1", f"other{self.rng.randrange(3)}:{self.rng.randrange(ARCHIVES)}"])
        self.command("rmi", *self.rng.choice([[], ["-f"]]), name)

    def prune(self):
        self.command(*self.rng.choice([["image", "prune", "-f"], ["image", "prune", "-af"], ["container", "prune", "-f"], ["system", "prune", "-f"]]))

    def images(self):
        self.command("images", judge=lambda out: out.startswith("REPOSITORY"))

    def ps(self):
        self.command("ps", "-a", judge=lambda out: out.startswith("CONTAINER ID"))

    def df(self):
        self.command("system", "df", judge=lambda out: out.startswith("TYPE"))


def test_twenty_commands_at_once(sampan, registry, tmp_path):
    print(f"SAMPAN_STRESS_SEED={SEED}")
    make_archives(sampan, registry, tmp_path)
    end = time.monotonic() + SECONDS
    workers = [Worker(sampan, tmp_path, number, end) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    defects = [defect for worker in workers for defect in worker.defects]
    assert not defects, "\n".join(defects[:5])
    done = sum((worker.done for worker in workers), collections.Counter())
    print(f"{sum(done.values())} commands: {dict(done)}")
    assert {"load", "pull", "run", "images"} <= set(done)
    # The store is whole, and each image is what it was.
    assert sampan.run("system", "check").stdout == "Everything is as it should be.\n"
    for number in range(ARCHIVES):
        assert sampan.out("run", "--rm", "--network", "none", f"docker-archive:{tmp_path}/{number}.tar") == f"image {number}"
    sampan.run("rmi", "-f", *sampan.out("images", "-q").split())
    sampan.run("system", "prune", "-f")
    assert list((sampan.root / "layers").iterdir()) == [] and list((sampan.root / "staging").iterdir()) == []
