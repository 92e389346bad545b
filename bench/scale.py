"""Many containers at once: what each costs in time, and in memory beside its own program."""

import concurrent.futures
import os
import pathlib
import subprocess
import time

AT_ONCE = 8  # commands


def engine_processes():
    """Everything in our network namespace but ourselves: daemons, monitors, shims; containers have namespaces of their own."""
    ours = os.readlink("/proc/self/ns/net")
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if os.readlink(entry / "ns/net") == ours:
                yield entry
        except OSError:
            continue


def memory():
    """Kilobytes: each page counts for as much of it as is theirs (PSS, proc(5))."""
    total = 0
    for process in engine_processes():
        try:
            lines = (process / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss:", "SwapPss:")))
    return total


def run_all(commands):
    """Seconds until all have ended, so many at once."""
    def one(words):
        done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.returncode}: {done.stderr.decode()[-500:]}")
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, commands))
    return time.perf_counter() - start


def scale_of(engine, image, count):
    """What `count` containers on a bridge cost: seconds and kilobytes, each."""
    names = [f"scale{number}" for number in range(count)]
    run_all([engine.run_idle(image, "warm")])
    run_all([engine.remove("warm")])
    time.sleep(1)
    before = memory()
    try:
        start = run_all([engine.run_idle(image, name) for name in names]) / count
        time.sleep(1)
        each = (memory() - before) / count
        listed = min(run_all([engine.ps()]) for _ in range(3))
    finally:
        remove = run_all([engine.remove(name) for name in names]) / count
    return {"start": start, "ps": listed, "remove": remove, "memory": each}


def bench_scale(engines, image, count):
    results = {engine.name: scale_of(engine, image, count) for engine in engines if hasattr(engine, "run_idle")}
    ours = results["sampan"]
    print(f"{count} containers on a bridge, {AT_ONCE} commands at once")
    print(f"{'engine':<12} {'run -d, each':>20} {'rm -f, each':>20} {'memory, each':>22} {'ps -a':>20}")
    for name, found in results.items():
        cells = [f"{found[key] * factor:9.1f} {unit} ({found[key] / ours[key]:5.1f})"
                 for key, factor, unit in (("start", 1e3, "ms"), ("remove", 1e3, "ms"), ("memory", 1, "KB"), ("ps", 1e3, "ms"))]
        print(f"{name:<12} {cells[0]:>20} {cells[1]:>20} {cells[2]:>22} {cells[3]:>20}", flush=True)
