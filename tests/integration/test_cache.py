"""The local cache: what it takes, what prunes and budgets remove from it and what they leave, and its check."""

import json
import os
import pathlib
import random
import re
import resource
import signal
import sqlite3
import subprocess
import tempfile
import time

import pytest

import image as images
from conftest import Sampan, wait_until
from image import busybox_image, busybox_layer


def push_noise(registry, name, size=300_000, tag="latest", seed=0, **config):
    """An image with a layer of its own whose content does not compress, on top of busybox."""
    layer = images.LayerTar()
    layer.add("noise", random.Random(f"{name}{tag}{seed}").randbytes(size))
    registry.push(name, tag, images.Image([busybox_layer(), layer.bytes()], config={"Cmd": ["sh"], **config}))
    return f"{registry.host}/{name}:{tag}"


def du(path):
    return int(subprocess.run(["du", "-s", "--block-size=1", str(path)], capture_output=True, text=True, check=True).stdout.split()[0])


def parse_size(text):
    number, unit = re.fullmatch(r"([0-9.e+]+)([kMG]?B)", text).groups()
    return float(number) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]


def usage(sampan):
    rows = [json.loads(line) for line in sampan.out("system", "df", "--format", "json").splitlines()]
    return {row["Type"]: row for row in rows}


def blob_files(sampan):
    return sorted(path.name for path in (sampan.root / "blobs/sha256").iterdir())


def rows(sampan, sql):
    database = sqlite3.connect(sampan.root / "sampan.db")
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def check(sampan, *flags, code=0):
    return sampan.run("system", "check", *flags, code=code).stdout


def with_config(sampan, tmp_path, cache):
    """Commands of this store under a configuration of their own."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"cache": cache}))
    return lambda *words, **more: subprocess.run(
        [sampan.command()[0], "--config", str(path), *sampan.command(*words)[1:]], capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL, timeout=60, **more)


def test_df_agrees_with_du(sampan, registry, busybox):
    sampan.run("pull", "-q", busybox)
    noise = push_noise(registry, "df", 5_000_000)
    sampan.run("pull", "-q", noise)
    sampan.run("run", "--name", "one", "-v", "data:/data", busybox, "sh", "-c",
               "head -c 3000000 /dev/zero > /big; head -c 2000000 /dev/zero > /data/x")
    shown = usage(sampan)
    assert list(shown) == ["Images", "Containers", "Local Volumes", "Blobs"]
    for kind, folder in [("Images", "layers"), ("Containers", "containers"), ("Local Volumes", "volumes"), ("Blobs", "blobs")]:
        real = du(sampan.root / folder)
        assert abs(parse_size(shown[kind]["Size"]) - real) <= max(0.01 * real, 3 * 4096), f"{kind}: {shown[kind]['Size']}, du {real}"
    assert (shown["Images"]["TotalCount"], shown["Images"]["Active"]) == ("2", "1")
    assert (shown["Containers"]["TotalCount"], shown["Containers"]["Active"]) == ("1", "0")
    assert (shown["Local Volumes"]["TotalCount"], shown["Local Volumes"]["Active"]) == ("1", "1")
    assert 4.9e6 < parse_size(shown["Images"]["Reclaimable"].split(" ")[0]) < 5.2e6, "noise's own layer"
    table = sampan.out("system", "df").splitlines()
    assert re.split(r"\s{2,}", table[0]) == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"] and len(table) == 5
    details = sampan.out("system", "df", "-v")
    for line in ["Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Blobs usage:"]:
        assert line in details
    assert re.search(rf"{re.escape(registry.host)}/df\s+latest\s.*\s0\n", details)
    sampan.run("rm", "one")


def test_df_counts_the_files_of_a_copied_layer_once(sampan, registry):
    """A layer over another's private directory is a copy of hard links; one that only takes times is none."""
    bottom = images.LayerTar().directory("opt/", mode=0o711, mtime=1_500_000_000).directory("srv/", mtime=1_500_000_000).bytes()
    copied = images.LayerTar().add("opt/noise", random.Random(1).randbytes(4_000_000)).bytes()
    timed = images.LayerTar().add("srv/noise", random.Random(2).randbytes(2_000_000)).bytes()
    registry.push("copied", "1", images.Image([bottom, copied, timed], config={"Cmd": ["x"]}))
    sampan.run("pull", "-q", f"{registry.host}/copied:1")
    assert len(list((sampan.root / "layers").iterdir())) == 4
    real, shown = du(sampan.root / "layers"), parse_size(usage(sampan)["Images"]["Size"])
    assert 6e6 < real < 6.5e6 and abs(shown - real) <= max(0.01 * real, 3 * 4096), (shown, real)
    assert check(sampan) == "Everything is as it should be.\n"
    sampan.run("rmi", f"{registry.host}/copied:1")
    wait_until(lambda: not list((sampan.root / "layers").iterdir()), what="the layers' end")


def test_image_prune_removes_what_has_no_tag(sampan, registry, busybox):
    sampan.run("pull", "-q", busybox)
    old = push_noise(registry, "moved", 400_000, seed=1)
    sampan.run("pull", "-q", old)
    old_id = sampan.out("images", "-q", "--no-trunc", old)
    push_noise(registry, "moved", 400_000, seed=2)
    sampan.run("pull", "-q", old)
    assert sampan.out("images", "-q", "--no-trunc", old) != old_id
    dry = sampan.out("image", "prune", "--dry-run")
    assert f"deleted: {old_id}" in dry and "Total reclaimable space: 4" in dry
    assert len(sampan.out("images", "-q").splitlines()) == 3
    asked = sampan.run("image", "prune", input="n\n").stdout
    assert asked.startswith("WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] ")
    assert len(sampan.out("images", "-q").splitlines()) == 3
    done = sampan.run("image", "prune", input="y\n").stdout
    assert f"Deleted Images:\nuntagged: {registry.host}/moved@sha256:" in done and f"deleted: {old_id}\n" in done
    assert 400 <= parse_size(re.search("Total reclaimed space: (.*)", done)[1]) / 1e3 < 420
    assert len(sampan.out("images", "-q").splitlines()) == 2
    assert sampan.out("image", "prune", "-f") == "Total reclaimed space: 0B"
    assert check(sampan) == "Everything is as it should be.\n"


def test_image_prune_all_with_filters(sampan, registry, busybox):
    sampan.run("pull", "-q", busybox)
    stage = push_noise(registry, "stage", Labels={"stage": "test", "keep": "no"})
    keep = push_noise(registry, "keep", Labels={"keep": "yes"})
    for name in (stage, keep):
        sampan.run("pull", "-q", name)
    sampan.run("create", "--name", "user", busybox)
    assert "invalid filter 'dangling=maybe'" in sampan.run("image", "prune", "-f", "--filter", "dangling=maybe", code=1).stderr
    would = lambda *words: sampan.out("image", "prune", "--dry-run", *words)
    assert would("--filter", "dangling=false") == would("-a") != would() == would("--filter", "dangling=1")
    assert "invalid filter 'size'" in sampan.run("image", "prune", "-af", "--filter", "size=3", code=1).stderr
    assert "Deleted" not in sampan.out("image", "prune", "-af", "--filter", "label=stage=other")
    assert "Deleted" not in sampan.out("image", "prune", "-af", "--filter", "until=1970-01-02")
    assert "keep" not in sampan.out("image", "prune", "-a", "--dry-run", "--filter", "label!=keep=yes")
    assert stage.split(":")[-2] in sampan.out("image", "prune", "-af", "--filter", "label=stage=test")
    assert "Deleted" not in sampan.out("image", "prune", "-af", "--filter", "label!=keep")
    sampan.out("image", "prune", "-af")
    assert sampan.out("images", "--format", "{{.Repository}}") == busybox, "what a container uses stays"
    sampan.run("rm", "user")
    sampan.out("image", "prune", "-af")
    assert sampan.out("images", "-q") == ""


def test_container_and_volume_prune(sampan, busybox):
    sampan.run("pull", "-q", busybox)
    sampan.run("run", "--name", "ended", "--label", "a=b", "-v", "/anonymous", busybox, "sh", "-c", "head -c 1000000 /dev/zero > /big")
    sampan.run("create", "--name", "made", busybox)
    sampan.run("run", "-d", "--name", "lives", "-v", "named:/n", busybox, "sleep", "100")
    assert "Deleted" not in sampan.out("container", "prune", "-f", "--filter", "until=1h")
    ended, made = sampan.inspect("ended", "{{.Id}}"), sampan.inspect("made", "{{.Id}}")
    assert ended in sampan.out("container", "prune", "--dry-run", "--filter", "label=a")
    first = sampan.out("container", "prune", "-f", "--filter", "label!=a")
    assert first.startswith(f"Deleted Containers:\n{made}\n\nTotal reclaimed space: ")
    second = sampan.out("container", "prune", "-f")
    assert ended in second and parse_size(second.split(": ")[-1]) >= 1e6
    assert sampan.out("ps", "-a", "--format", "{{.Names}}") == "lives"
    assert len(list((sampan.root / "volumes").iterdir())) == 2
    assert "Deleted Volumes:\n" in sampan.out("volume", "prune", "-f")
    assert [path.name for path in (sampan.root / "volumes").iterdir()] == ["named"]
    assert "Deleted" not in sampan.out("volume", "prune", "-af"), "it is used"
    sampan.run("rm", "-f", "lives")
    assert "named" in sampan.out("volume", "prune", "-af")


def test_system_prune_takes_blobs_that_can_be_made_again(sampan, registry, busybox):
    sampan.run("pull", "-q", busybox)
    sampan.run("run", "--name", "ended", busybox, "true")
    kept = blob_files(sampan)
    assert kept, "a pull keeps the blobs"
    sizes = sum((sampan.root / "blobs/sha256" / name).stat().st_size for name in kept)
    dry = sampan.out("system", "prune", "--dry-run")
    assert f"sha256:{kept[0]}" in dry and blob_files(sampan) == kept
    asked = sampan.run("system", "prune", input="no\n").stdout
    assert "  - all stopped containers\n  - all networks not used" in asked and "  - all dangling images\n" in asked and sampan.out("ps", "-aq")
    done = sampan.out("system", "prune", "-f")
    assert blob_files(sampan) == [] and sampan.out("ps", "-aq") == ""
    assert parse_size(done.split(": ")[-1]) >= sizes
    recipes = dict(rows(sampan, "SELECT digest,recipe FROM blobs"))
    assert all(recipes[name].startswith(("zlib", "gzip")) for name in kept), recipes
    assert sampan.out("run", "--rm", busybox, "echo", "ok") == "ok"
    assert check(sampan) == "Everything is as it should be.\n"


def test_system_prune_takes_networks_and_volumes(sampan, busybox):
    sampan.run("pull", "-q", busybox)
    for name, label in [("unused", "stage=test"), ("labelled", "stage=other"), ("used", "stage=test")]:
        sampan.run("network", "create", "--label", label, name)
    sampan.run("run", "-d", "--name", "lives", "--network", "used", busybox, "sleep", "100")
    sampan.run("run", "--name", "ended", "-v", "/anonymous", "-v", "named:/n", busybox, "true")
    dry = sampan.out("system", "prune", "--dry-run", "--volumes")
    assert "Would delete Networks:\nlabelled\nunused\n" in dry
    assert len(sampan.out("network", "ls", "-q").split()) == 6
    asked = sampan.run("system", "prune", "--volumes", input="n\n").stdout
    assert "  - all networks not used by at least one container\n  - all anonymous volumes not used by at least one container\n" in asked
    filtered = sampan.out("system", "prune", "-f", "--filter", "label=stage=test")
    assert "Deleted Networks:\nunused\n" in filtered and "Containers" not in filtered
    assert "Deleted" not in sampan.out("system", "prune", "-f", "--filter", "until=10m")
    assert 'is not supported with "--volumes"' in sampan.run("system", "prune", "-f", "--volumes", "--filter", "until=1s", code=1).stderr
    done = sampan.out("system", "prune", "-f", "--volumes")
    assert "Deleted Networks:\nlabelled\n" in done and "Deleted Volumes:" in done and "Deleted Containers:" in done
    assert sampan.out("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none", "used"]
    assert [path.name for path in (sampan.root / "volumes").iterdir()] == ["named"]
    assert sampan.out("exec", "lives", "echo", "ok") == "ok"
    sampan.run("rm", "-f", "lives")
    sampan.run("network", "rm", "used")


def test_check_finds_damage_and_repair_lets_it_be_pulled_again(sampan, registry, busybox):
    sampan.run("pull", "-q", busybox)
    name = push_noise(registry, "damaged")
    sampan.run("pull", "-q", name)
    assert check(sampan, "--quick") == check(sampan) == "Everything is as it should be.\n"
    blob = sampan.root / "blobs/sha256" / blob_files(sampan)[0]
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert check(sampan, "--quick") == "Everything is as it should be.\n", "sizes are right"
    assert f"blob {blob.name[:12]}: " in check(sampan, code=1)
    assert "(removed)" in check(sampan, "--repair") and not blob.exists()
    assert check(sampan) == "Everything is as it should be.\n"

    noise = next(sampan.root.glob("layers/*/diff/noise"))
    layer = noise.parts[-3]
    noise.write_bytes(noise.read_bytes()[:-1] + b"!")
    assert "Everything" in check(sampan, "--quick")
    found = check(sampan, code=1)
    assert f"layer {layer[:12]}: " in found and "is damaged" in found
    os.truncate(noise, 10)
    assert "noise is shorter than it was" in check(sampan, "--quick", code=1)
    noise.unlink()
    assert "noise is missing" in check(sampan, "--quick", code=1)
    sampan.run("create", "--name", "user", name)
    assert "uses it" in check(sampan, "--repair", code=1), "a container's image is not taken away"
    sampan.run("rm", "user")
    assert "removed: pull it again" in check(sampan, "--repair")
    assert check(sampan) == "Everything is as it should be.\n"
    assert sampan.out("images", "--format", "{{.Repository}}") == busybox
    sampan.run("pull", "-q", name)
    assert sampan.out("run", "--rm", name, "wc", "-c", "/noise") == "300000 /noise"
    assert check(sampan) == "Everything is as it should be.\n"


def test_a_damaged_blob_that_is_missing_is_no_finding(sampan, busybox):
    sampan.run("pull", "-q", busybox)
    (sampan.root / "blobs/sha256" / blob_files(sampan)[0]).unlink()
    (sampan.root / "layers" / ("0" * 64)).mkdir()
    (sampan.root / "blobs/sha256" / ("1" * 64)).write_bytes(b"stray")
    assert check(sampan) == "Everything is as it should be.\n", "any command would have swept that"


def test_a_budget_evicts_blobs_then_images_without_a_tag(sampan, registry, busybox, tmp_path):
    sampan.run("pull", "-q", busybox)
    old = push_noise(registry, "budget", 3_000_000, seed=1)
    sampan.run("pull", "-q", old)
    push_noise(registry, "budget", 3_000_000, seed=2)
    sampan.run("pull", "-q", old)
    base = sum(size for size, in rows(sampan, "SELECT size FROM layers"))
    assert blob_files(sampan) and len(sampan.out("images", "-q").splitlines()) == 3
    # Room for all layers, not for the blobs.
    run = with_config(sampan, tmp_path, {"max-size": str(base + 10_000)})
    run("pull", "-q", busybox)
    wait_until(lambda: len(rows(sampan, "SELECT 1 FROM blobs WHERE kept AND size>2000000")) == 0, seconds=30, what="the eviction")
    assert len(sampan.out("images", "-q").splitlines()) == 3
    # Not for all layers: the image without a tag goes, and nothing more, although that is still too much.
    run = with_config(sampan, tmp_path, {"max-size": "100"})
    run("pull", "-q", busybox)
    wait_until(lambda: len(sampan.out("images", "-q").splitlines()) == 2, seconds=30, what="the end of the image without a tag")
    sampan.run("create", "--name", "user", busybox)
    run = with_config(sampan, tmp_path, {"max-size": "100", "remove-tagged-unused": True})
    run("pull", "-q", busybox)
    wait_until(lambda: len(sampan.out("images", "-q").splitlines()) == 1, seconds=30, what="the end of the tagged image")
    assert sampan.out("images", "--format", "{{.Repository}}") == busybox, "a container uses it"
    assert "Everything" in check(sampan)


def test_a_budget_has_an_age_too_and_words_are_checked(sampan, busybox, tmp_path):
    sampan.run("pull", "-q", busybox)
    assert blob_files(sampan)
    with_config(sampan, tmp_path, {"max-age": "720h"})("pull", "-q", busybox)
    time.sleep(1)
    assert blob_files(sampan), "they are young"
    with_config(sampan, tmp_path, {"max-age": "1ms"})("pull", "-q", busybox)
    wait_until(lambda: not blob_files(sampan), seconds=30, what="the eviction")
    assert sampan.out("images", "-q")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        with_config(sampan, tmp_path, {"max-sise": "1GB"})("images")
    assert 'unknown key "cache.max-sise"' in failed.value.stderr


def cpu_seconds(words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def archive_of_images(names):
    """docker's archive of images without layers, whose configs are as long as those of real ones."""
    tar = images.LayerTar()
    manifest = []
    for number, name in enumerate(names):
        tar.add(f"{number}.json", json.dumps({
            "architecture": images.host_architecture(), "os": "linux", "created": f"2024-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
            "config": {"Env": [f"NAME={name}", "LONG=" + "x" * 2500]}, "rootfs": {"type": "layers", "diff_ids": []}}).encode())
        manifest.append({"Config": f"{number}.json", "RepoTags": [name], "Layers": []})
    return tar.add("manifest.json", json.dumps(manifest).encode()).bytes()


@pytest.fixture
def store_in_memory():
    """An empty store where a sync costs nothing."""
    folder = tempfile.mkdtemp(prefix="sampan-store-", dir="/dev/shm")
    store = Sampan(folder, "memory")
    yield store
    store.forget()


def test_images_lists_ten_thousand(store_in_memory):
    sampan = store_in_memory
    for batch in range(10):
        names = [f"image{batch}-{number}:latest" for number in range(1000)]
        loaded = subprocess.run(sampan.command("load"), input=archive_of_images(names), capture_output=True, check=True, timeout=60)
        assert loaded.stdout.decode().splitlines() == [f"Loaded image: {name}" for name in names]
    lines = sampan.out("images").splitlines()
    assert len(lines) == 10_001 and lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert {line.split()[0] for line in lines[1:]} == {f"image{batch}-{number}" for batch in range(10) for number in range(1000)}
    assert len(set(sampan.out("images", "-q", "--no-trunc").splitlines())) == 10_000
    # 20 ms are what it takes at most on an idle machine; here others run beside it.
    spent = min(cpu_seconds(sampan.command("images")) for _ in range(20))
    print(f"images with 10,000 images: {spent * 1000:.0f} ms of processor time")
    assert spent < 0.06


def janitors(sampan):
    """Processes that empty this store's trash."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:2] == [b"__janitor"] and str(sampan.root).encode() in words:
            found.append(int(entry.parent.name))
    return found


def test_rmi_of_thirty_thousand_files_leaves_them_to_the_janitor(sampan, tmp_path):
    tar = images.LayerTar()
    for number in range(30_000):
        tar.add(f"{number // 100}/{number}", b"content")
    (tmp_path / "root.tar").write_bytes(tar.bytes())
    (tmp_path / "small.tar").write_bytes(images.LayerTar().add("file", b"content").bytes())
    spent = {}
    for name in ["small", "root"]:
        sampan.run("import", tmp_path / f"{name}.tar", f"{name}:v1", timeout=300)
        spent[name] = cpu_seconds(sampan.command("rmi", f"{name}:v1"))
    print("rmi: " + ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in spent.items()) + " of processor time")
    # It takes what a small one takes; 50 ms is what it may take on an idle machine.
    assert spent["root"] < 0.05
    assert sampan.out("images", "-q") == "" and list((sampan.root / "layers").iterdir()) == []
    for pid in janitors(sampan):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not janitors(sampan), what="the end of the janitor")
    # Somebody killed it: the next removal's goes on.
    sampan.run("import", tmp_path / "small.tar", "small:v1", timeout=300)
    sampan.run("rmi", "small:v1")
    wait_until(lambda: list((sampan.root / "trash").iterdir()) == [], seconds=120, what="an empty trash")
    assert check(sampan) == "Everything is as it should be.\n"


@pytest.mark.parametrize("seed", range(int(os.environ.get("SAMPAN_CRASH_ROUNDS", "12"))))
def test_a_killed_command_leaves_nothing_that_a_check_finds(engine, registry, busybox, seed):
    rng = random.Random(seed)
    name = push_noise(registry, "killed", 2_000_000, tag=f"t{seed % 4}")
    words = rng.choice([["pull", "-q", name], ["rmi", name], ["system", "prune", "-f"], ["image", "prune", "-af"]])
    if words[0] != "pull":
        engine.run("pull", "-q", name, code=None)
    process = engine.start(*words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(rng.random() * 0.3)
    os.killpg(process.pid, 9)
    process.wait()
    assert check(engine) == "Everything is as it should be.\n", words
    engine.run("pull", "-q", name)
    engine.run("pull", "-q", busybox)
    assert check(engine, "--quick") == "Everything is as it should be.\n"
