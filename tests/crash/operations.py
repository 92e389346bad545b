"""Commands drawn from a seed: what people and their scripts do to a store, in any order, two at once, and killed half-way.

A sequence depends on its seed alone, never on what its commands did, so that a seed repeats it.
"""

import random
from dataclasses import dataclass

BOXES = [f"box{number}" for number in range(5)]
NETWORKS = ["net0", "net1", "net2"]
VOLUMES = ["vol0", "vol1"]
PORTS = range(18000, 18006)


@dataclass
class Command:
    words: list
    killed_after: float = 0  # seconds; 0: it may end by itself


@dataclass
class Step:
    commands: list = ()  # all at once
    kill_monitor: int = -1  # the one at this place, modulo how many there are

    def __str__(self):
        if self.kill_monitor >= 0:
            return f"kill -9 monitor {self.kill_monitor}"
        return "  &  ".join(" ".join(command.words) + (f" (killed after {command.killed_after:.3f} s)" if command.killed_after else "")
                            for command in self.commands)


class Sequence:
    """An endless iterator of steps."""

    def __init__(self, seed, image):
        self.rng, self.image = random.Random(seed), image
        kinds = {self.run: 34, self.create: 6, self.start: 10, self.restart: 4, self.stop: 8, self.kill: 8, self.pause: 4, self.unpause: 4,
                 self.remove: 12, self.execute: 8, self.update: 4, self.rename: 3, self.connect: 6, self.disconnect: 6,
                 self.network_create: 4, self.network_remove: 3, self.volume_create: 2, self.volume_remove: 2, self.prune: 2,
                 self.look: 5, self.copy: 2, self.commit: 1}
        self.kinds, self.weights = list(kinds), list(kinds.values())

    def __iter__(self):
        return self

    def __next__(self):
        dice = self.rng.random()
        if dice < 0.06:
            return Step(kill_monitor=self.rng.randrange(100))
        if dice < 0.16:
            return Step([Command(self.draw(), 0.001 + self.rng.random() ** 2 * 0.15)])
        if dice < 0.22:
            return Step([Command(self.draw(), 0.001 + self.rng.random() ** 2 * 0.15), Command(self.draw())])
        if dice < 0.50:
            return Step([Command(self.draw()), Command(self.draw())])
        return Step([Command(self.draw())])

    def draw(self):
        (kind,) = self.rng.choices(self.kinds, self.weights)
        return kind()

    def box(self):
        return self.rng.choice(BOXES)

    def one(self, *choices):
        return self.rng.choice(choices)

    def often(self, probability, *words):
        return list(words) if self.rng.random() < probability else []

    # Containers.

    def program(self):
        return self.one(["sleep", "1000"], ["sleep", "1000"], ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], ["true"],
                        ["sh", "-c", "sleep 0.3; exit 3"], ["sh", "-c", "yes | head -c 200000; sleep 1000"], ["/no/such/program"])

    def flags(self):
        words = ["--name", self.box()]
        network = self.rng.random()
        if network < 0.15:
            words += ["--network", self.one("none", "host", f"container:{self.box()}")]
        else:
            if network < 0.6:
                words += ["--network", self.one(*NETWORKS)] + self.often(0.3, "--network-alias", self.one("db", "web"))
            for _ in range(self.one(0, 0, 1, 2)):
                port = self.one(*PORTS)
                words += ["-p", self.one(f"{port}:80", f"{port}:53/udp", f"127.0.0.1:{port}:80", "80", f"{port}-{port + 1}:80-81")]
        words += self.often(0.2, "-v", f"{self.one(*VOLUMES)}:/data") + self.often(0.1, "-v", "/anonymous")
        words += self.often(0.1, "--tmpfs", "/tmp") + self.often(0.2, "--memory", "64m") + self.often(0.1, "--init")
        words += self.often(0.1, "--health-cmd", self.one("true", "false"), "--health-interval", "300ms")
        words += self.often(0.1, "--pid", f"container:{self.box()}") + self.often(0.1, "--read-only")
        restart = self.one("", "", "", "on-failure:2", "always", "unless-stopped")
        words += ["--restart", restart] if restart else self.often(0.2, "--rm")
        return words + [self.image]

    def run(self):
        return ["run", "-d", *self.flags(), *self.program()]

    def create(self):
        return ["create", *self.flags(), *self.program()]

    def start(self):
        return ["start", self.box()]

    def restart(self):
        return ["restart", "-t", self.one("0", "1"), self.box()]

    def stop(self):
        return ["stop", "-t", self.one("0", "0", "1"), self.box(), *self.often(0.3, self.box())]

    def kill(self):
        return ["kill", *self.often(0.3, "-s", self.one("TERM", "HUP", "USR1")), self.box()]

    def pause(self):
        return ["pause", self.box()]

    def unpause(self):
        return ["unpause", self.box()]

    def remove(self):
        return ["rm", *self.often(0.8, "-f"), *self.often(0.3, "-v"), self.box(), *self.often(0.2, self.box())]

    def execute(self):
        return ["exec", *self.often(0.2, "-d"), self.box(), *self.one(["true"], ["sleep", "0.1"], ["sh", "-c", "echo x > /data/x"], ["no-such"])]

    def update(self):
        return ["update", *self.one(["--memory", "96m", "--memory-swap", "192m"], ["--cpu-shares", "512"], ["--restart", "no"], ["--restart", "always"],
                                    ["--publish-add", f"{self.one(*PORTS)}:80"], ["--publish-rm", "80"]), self.box()]

    def rename(self):
        return ["rename", self.box(), self.box()]

    def copy(self):
        return self.one(["cp", "/etc/hostname", f"{self.box()}:/tmp/"], ["cp", f"{self.box()}:/bin/sh", "/dev/null"])

    def commit(self):
        return ["commit", self.box(), "random:latest"]

    # The rest.

    def connect(self):
        return ["network", "connect", self.one(*NETWORKS, "bridge"), self.box()]

    def disconnect(self):
        return ["network", "disconnect", *self.often(0.2, "-f"), self.one(*NETWORKS, "bridge"), self.box()]

    def network_create(self):
        return ["network", "create", *self.often(0.3, "--internal"), *self.often(0.3, "--ipv6"), self.one(*NETWORKS)]

    def network_remove(self):
        return ["network", "rm", self.one(*NETWORKS)]

    def volume_create(self):
        return ["volume", "create", self.one(*VOLUMES)]

    def volume_remove(self):
        return ["volume", "rm", self.one(*VOLUMES)]

    def prune(self):
        return self.one(["container", "prune", "-f"], ["network", "prune", "-f"], ["volume", "prune", "-f"], ["image", "prune", "-f"])

    def look(self):
        return self.one(["ps", "-a"], ["inspect", self.box()], ["logs", self.box()], ["top", self.box()], ["port", self.box()], ["diff", self.box()],
                        ["network", "inspect", self.one(*NETWORKS)], ["stats", "--no-stream", "-a"], ["system", "df"])
