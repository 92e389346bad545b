"""Random operations, then every invariant.

SAMPAN_RANDOM_SECONDS sets how long (default 30; 300 for a thorough round), SAMPAN_RANDOM_SEED repeats a sequence,
SAMPAN_RANDOM_STEPS ends it after so many steps, SAMPAN_RANDOM_LOG names a file for what was done and answered.
"""

import os
import random
import re
import signal
import subprocess
import tempfile
import time

import invariants
from conftest import wait_until
from operations import Sequence

SECONDS = float(os.environ.get("SAMPAN_RANDOM_SECONDS", "30"))
SEED = int(os.environ.get("SAMPAN_RANDOM_SEED", str(random.SystemRandom().randrange(1 << 32))))
STEPS = int(os.environ.get("SAMPAN_RANDOM_STEPS", str(1 << 30)))
BETWEEN_CHECKS = 20  # steps
PATIENCE = 30  # seconds for a command, and for the store to come to rest

# Nothing that a user does may lead to one of these.
FAULTS = re.compile(r"std::|[Aa]ssert|terminate called|damaged|kept the database busy|nlohmann|json\.exception|bad_|Bad file descriptor|SQL")


class Drive:
    """Carries out steps and keeps a log of them."""

    def __init__(self, store):
        self.store, self.log = store, []
        path = os.environ.get("SAMPAN_RANDOM_LOG")
        self.file = open(path, "a") if path else None

    def note(self, text):
        self.log.append(text)
        if self.file:
            print(f"{time.monotonic():.3f} {text}", file=self.file, flush=True)

    def fail(self, why):
        tail = "\n".join(self.log[-40:])
        raise AssertionError(f"{why}\nSAMPAN_RANDOM_SEED={SEED}, after {len(self.log)} lines:\n{tail}")

    def carry_out(self, number, step):
        self.note(f"{number}: {step}")
        if step.kill_monitor >= 0:
            monitors = sorted(self.store.monitors())
            if monitors:
                self.end(monitors[step.kill_monitor % len(monitors)])
            return
        running = []
        for command in step.commands:
            told = tempfile.TemporaryFile()
            process = self.store.start(*command.words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=told)
            running.append((command, process, told))
        for command, process, _ in running:
            if command.killed_after:
                time.sleep(command.killed_after)
                process.kill()
        for command, process, told in running:
            self.judge(command, process, told)

    @staticmethod
    def end(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def await_end(self, command, process):
        """An exec that came while its container was being paused goes on when that is over, as docker's does."""
        if command.words[0] == "exec":
            try:
                return process.wait(2)
            except subprocess.TimeoutExpired:
                for name in self.store.out("ps", "-q", "--filter", "status=paused", timeout=PATIENCE).split():
                    self.note(f"    unpause {name}, in which an exec waits")
                    self.store.run("unpause", name, code=None, timeout=PATIENCE)
        return process.wait(PATIENCE)

    def judge(self, command, process, file):
        words = " ".join(command.words)
        try:
            self.await_end(command, process)
        except subprocess.TimeoutExpired:
            self.note("hangs: " + subprocess.run(["ps", "-eo", "pid,ppid,stat,wchan:20,args"], capture_output=True, text=True).stdout)
            process.kill()
            process.wait()
            self.fail(f"'{words}' did not end within {PATIENCE} s")
        with file:
            file.seek(0)
            told = file.read().decode(errors="replace")
        self.note(f"    {process.returncode} {words}: {told.strip()}")
        if process.returncode < 0 and not command.killed_after:
            self.fail(f"'{words}' died of signal {-process.returncode}")
        if FAULTS.search(told):
            self.fail(f"'{words}' says: {told}")

    def check(self):
        """The store comes to rest, and then everything fits together."""
        end = time.monotonic() + PATIENCE
        while True:
            shown = self.store.out("ps", "-a", "--format", "{{.Names}}", timeout=PATIENCE).split()
            problems = invariants.Snapshot(self.store).problems() or list(invariants.check_inside(self.store))
            if not problems and sorted(shown) == sorted(row["name"] for row in invariants.rows_of(self.store, "containers")):
                return
            if time.monotonic() > end:
                self.fail("what does not fit together: " + "\n".join(problems))
            time.sleep(0.2)

    def check_end(self):
        """Everything is removed, and nothing is left."""
        for name in invariants.interrupted_removals(self.store):
            self.store.run("volume", "rm", name, code=None)
        found = self.store.run("system", "check", code=None)
        if found.returncode != 0 or found.stdout.strip() != "Everything is as it should be.":
            self.fail(f"system check: {found.stdout}{found.stderr}")
        self.store.remove_all()
        self.store.run("network", "prune", "-f")
        self.store.run("volume", "prune", "-f", "-a")
        self.check()
        self.store.check_clean()
        wait_until(lambda: not invariants.names_in(self.store.root / "trash"), what="an empty trash")
        assert invariants.names_in(self.store.root / "volumes") == set()
        for table in ("containers", "options", "leases", "hosts", "volumes"):
            assert invariants.rows_of(self.store, table) == []
        assert sorted(row["name"] for row in invariants.rows_of(self.store, "networks")) in ([], ["bridge", "host", "none"])


def test_random_operations(engine, busybox):
    print(f"SAMPAN_RANDOM_SEED={SEED}")
    drive = Drive(engine)
    end = time.monotonic() + SECONDS
    for number, step in enumerate(Sequence(SEED, busybox), 1):
        drive.carry_out(number, step)
        if number % BETWEEN_CHECKS == 0:
            drive.check()
        if number >= STEPS or time.monotonic() > end:
            break
    drive.check()
    drive.check_end()
    print(f"{number} steps")
