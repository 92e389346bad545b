"""podman's and umoci's view of the same images, and where it is known to differ from the specification.

A deviation is one rule: which difference it explains, and the value that the engine must show there. What no rule explains fails.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile
import typing

import view


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="backslashreplace", timeout=120, **more)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


class Podman:
    """containers/storage's overlay driver: each layer in a directory of its own, as ours are."""
    name = "podman"

    def __init__(self, corpus):
        self.folder, self.corpus = pathlib.Path(tempfile.mkdtemp(prefix="sampan-o-", dir="/tmp")), corpus  # podman wants it short

    def command(self, *words):
        return run("podman", "--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "overlay", *words)

    def look(self, name):
        """What is seen of the image, or the text of a refusal."""
        code, image, error = self.command("pull", "-q", f"oci:{self.corpus}:{name}")
        if code:
            return error
        code, path, error = self.command("image", "mount", image)
        assert code == 0, error
        try:
            return view.look(os.fsencode(path))
        finally:
            self.command("image", "unmount", image)
            self.command("rmi", "-f", image)

    def close(self):
        self.command("rmi", "-af")
        for mount in ("overlay", ""):
            subprocess.run(["umount", "-l", self.folder / "root" / mount], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Umoci:
    """Applies every layer to one tree."""
    name = "umoci"

    def __init__(self, corpus):
        self.folder, self.corpus = pathlib.Path(tempfile.mkdtemp(prefix="sampan-o-", dir="/tmp")), corpus

    def look(self, name):
        bundle = self.folder / name
        code, _, error = run("umoci", "unpack", "--image", f"{self.corpus}:{name}", bundle)
        try:
            return error if code else view.look(os.fsencode(bundle / "rootfs"))
        finally:
            shutil.rmtree(bundle, ignore_errors=True)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclasses.dataclass
class Seen:
    """One difference: what the model wants and what the engine shows."""
    path: bytes
    field: str
    wanted: object
    seen: object
    node: object  # of the model; None where it has no such name
    above: object  # the nearest directory above that the model has
    begin: int  # nanoseconds: nothing was unpacked before


@dataclasses.dataclass
class Rule:
    engine: str
    what: str
    explains: typing.Callable


def is_now(seen):
    return seen.field == "mtime" and seen.seen >= seen.begin


def is_implied(seen):
    return seen.node is not None and "implied" in seen.node.marks


def inherits_group(seen):
    return is_implied(seen) and (seen.field, seen.seen) in (("mode", 0o2755), ("gid", 50), ("gid", 1000))


DEVIATIONS = [
    Rule("podman", "a directory that a layer implies is root's with mode 0755, of now, whatever lies below",
         lambda seen: is_implied(seen) and (is_now(seen) or (seen.field, seen.seen) in (("mode", 0o755), ("uid", 0), ("gid", 0), ("xattrs", {})))),
    Rule("podman", "a directory that a layer implies inherits from what is a setgid directory at that moment", inherits_group),
    Rule("podman", "the root is its own or one of a layer below, not the image's",
         lambda seen: seen.path == b"" and (is_now(seen) or seen.field in ("mode", "uid", "gid") or (seen.field, seen.seen) == ("xattrs", {}))),
    Rule("podman", "what a layer deletes shines through the directory that it makes there anew",
         lambda seen: seen.field == "name" and seen.seen and "recreated" in seen.above.marks),
    Rule("podman", "a whiteout in a directory that no layer below has is listed, though it can't be opened",
         lambda seen: seen.field == "name" and seen.seen == "ghost"),
    Rule("podman", "an extended attribute without a value is taken for a deleted record",
         lambda seen: seen.field == "xattrs" and seen.wanted == {**seen.seen, b"user.empty": b""}),
    Rule("umoci", "an extended attribute without a value is taken for a deleted record",
         lambda seen: seen.field == "xattrs" and seen.wanted == {**seen.seen, b"user.empty": b""}),
    Rule("umoci", "a directory that a layer implies keeps its time, or is of now where it is new",
         lambda seen: is_implied(seen) and (is_now(seen) or (seen.field == "mtime" and seen.seen == seen.node.time_below))),
    Rule("umoci", "a new directory that a layer implies changes the time of the one that it is made in",
         lambda seen: is_now(seen) and any("implied" in child.marks for child in seen.node.children.values())),
    Rule("umoci", "a new directory that a layer implies inherits from what is a setgid directory at that moment",
         lambda seen: inherits_group(seen) and (seen.wanted in (0o755, 0))),
    Rule("umoci", "a directory that a layer implies by a whiteout alone is not made",
         lambda seen: seen.field == "name" and not seen.seen and is_implied(seen) and not seen.node.children),
    Rule("umoci", "a hard link to a file of a lower layer is one more name of that file, not a copy",
         lambda seen: seen.field == "links" and set(seen.wanted) < set(seen.seen)),
]

# Of a whole image: the engine's words, and what the stack has that explains them.
REFUSALS = [
    ("podman", "no such file or directory", "link to a lower layer"),
    ("podman", "not a directory", "recreated"),
]


def explain(engine, model, difference, begin):
    """The rules that explain a difference."""
    path, field, wanted, shown = difference
    above = path
    while True:
        above = above.rpartition(b"/")[0]
        if above in model:
            break
    seen = Seen(path, field, wanted, shown, model[path][0] if path in model else None, model[above][0], begin)
    return [rule.what for rule in DEVIATIONS if rule.engine == engine and rule.explains(seen)]
