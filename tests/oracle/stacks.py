"""Random stacks of layers over few names, so that everything happens to everything. A seed gives the same stacks everywhere."""

import dataclasses
import random

from model import OPAQUE, WHITEOUT, Entry, Invalid, Layer, apply, empty_root, flatten, split

NAMES = [b"a", b"b", b"c", b"d"]
ODD_NAMES = [b"\xc3\xbc", b"\xff\xfe", b"new\nline", b" ", b"-n", b"*", b"...", b".wh", b"a.wh.b", b"w" * 255, b"\xe2\x98\x83" * 40, b"a\\b", b"\x1b[31m",
             b"a=b", b"q:r,s"]
# A file capability of the second version: CAP_NET_BIND_SERVICE, effective.
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
EPOCH = 1_500_000_000


@dataclasses.dataclass
class Stack:
    layers: list  # of lists of entries
    styles: list  # of their tars
    root: object  # what is to be seen
    plain: bool
    notes: set


def is_plain(entry, style, below, entries, layer):
    """No name twice, no way through links, deletions only of what is there, nothing that a file system or Go's tar can't have."""
    try:
        path = split(entry.name)
    except Invalid:
        return False
    name = b"/".join(path)
    if name in {b"/".join(split(earlier.name)) for earlier in entries} or (entry.pieces is not None and style == "gnu"):
        return False
    own = flatten(layer.root)

    def at(where):
        node = own.get(where) or below.get(where)
        return node[0].kind if node else None
    if any(at(b"/".join(path[:end])) not in ("dir", None) for end in range(1, len(path))):
        return False
    if any(key.startswith(b"trusted") or key == b"security.selinux" for key in entry.xattrs) or Layer.kept(entry) != entry.xattrs:
        return False
    folder, last = b"/".join(path[:-1]), path[-1] if path else b""
    if last == OPAQUE:
        return entry.kind == "file" and folder in below and folder not in own
    if last.startswith(WHITEOUT) and last[3:4] == b".":
        hidden = folder + b"/" + last[4:] if folder else last[4:]
        return entry.kind == "file" and hidden in below and hidden not in own
    if entry.kind == "link":
        return at(b"/".join(split(entry.link))) not in ("dir", None) and name not in own
    return name not in own or not name


class Generator:
    """`plain`: only what every engine accepts, so that what they show can be compared."""

    def __init__(self, seed, index, plain=False):
        self.random = random.Random(f"{seed}/{index}")
        self.plain = plain

    def stack(self):
        root, layers, styles, notes = empty_root(), [], [], set()
        for _ in range(self.random.randint(2, 5)):
            if layers and not self.plain and self.chance(0.04):  # the same layer twice
                entries, style = self.random.choice(list(zip(layers, styles)))
            else:
                style = self.random.choice(["pax", "pax", "pax", "gnu"])
                entries = self.layer(root, style)
            while True:
                try:
                    root = apply(root, entries, notes)
                    break
                except Invalid:  # of a link to a lower layer, which is judged at the layer's end
                    links = [entry for entry in entries if entry.kind == "link"]
                    bad = self.random.choice(links)
                    entries = self.valid(entry for entry in entries if entry is not bad)
            layers.append(entries)
            styles.append(style)
        return Stack(layers, styles, root, self.plain, notes)

    def chance(self, probability):
        return self.random.random() < probability

    def layer(self, lower, style):
        below = flatten(lower)
        layer, entries = Layer(), []
        for _ in range(self.random.choice([0, 1, 3, 6, 10, 14, 20])):
            for entry in self.entries(below, layer, style):
                if self.plain and not is_plain(entry, style, below, entries, layer):
                    continue
                try:
                    layer.add(entry)
                    entries.append(entry)
                except Invalid:
                    layer = self.read(entries)  # what it had done until then
        return entries

    @staticmethod
    def read(entries):
        layer = Layer()
        for entry in entries:
            layer.add(entry)
        return layer

    def valid(self, entries):
        """Those that a layer may have after those before them."""
        kept = []
        for entry in entries:
            try:
                self.read([*kept, entry])
                kept.append(entry)
            except Invalid:
                pass
        return kept

    def entries(self, below, layer, style):
        """One entry, or a directory with those in it."""
        own = flatten(layer.root)
        paths = [path for path in {**below, **own} if path]
        choice = self.random.random()
        if choice < 0.12:
            return [self.whiteout(paths)]
        if choice < 0.17:
            folder = self.folder(below, own)
            return [self.make(self.join(folder, b".wh..wh..opq"), style)]
        if choice < 0.20:
            return [self.attributes(Entry(self.random.choice([b"./", b".", b"/"]), "dir"), style)]
        if choice < 0.30:
            return [self.hard_link(paths, below, own, style)]
        path = self.path(paths, below, own)
        kind = self.random.choices(["file", "dir", "symlink", "fifo", "char", "block", "sparse"], [34, 34, 14, 3, 3, 2, 4])[0]
        made = [self.make(path, style, kind)]
        if kind == "dir":
            made += [self.make(self.join(path, self.name()), style) for _ in range(self.random.randint(0, 3))]
        return made

    def name(self):
        return self.random.choice(ODD_NAMES if self.chance(0.08) else NAMES)

    @staticmethod
    def join(folder, name):
        return folder + b"/" + name if folder else name

    def folder(self, below, own):
        """Where a new name goes: an existing directory of this layer or below, or one that is implied."""
        known = [path for path, (node, _) in [*below.items(), *own.items()] if node.kind in ("dir", "symlink")]
        if self.chance(0.25):
            return self.join(self.random.choice(known), self.name())
        return self.random.choice(known)

    def path(self, paths, below, own):
        if paths and self.chance(0.4):
            return self.random.choice(paths)
        return self.join(self.folder(below, own), self.name())

    def whiteout(self, paths):
        if paths and self.chance(0.85):
            folder, _, name = self.random.choice(paths).rpartition(b"/")
        else:
            folder, name = b"", self.name()
        if len(name) > 200:
            name = b"a"
        kind = "dir" if self.chance(0.08) else "file"
        return self.attributes(Entry(self.join(folder, b".wh." + name), kind), "gnu")

    def hard_link(self, paths, below, own, style):
        files = [path for path, (node, _) in [*own.items(), *own.items(), *below.items()] if node.kind not in ("dir", "lower-link")]
        target = self.random.choice(files) if files else b"nothing"
        decoration = self.random.choice([b"", b"", b"/", b"./"])
        entry = self.attributes(Entry(self.path(paths, below, own), "link", link=decoration + target), style)
        if self.plain and files:  # real tars repeat the file's attributes
            node = (own.get(target) or below[target])[0]
            if node.kind == "lower-link":
                return Entry(b"..")  # refused
            entry.mode, entry.uid, entry.gid, entry.mtime, entry.xattrs = node.mode, node.uid, node.gid, node.mtime, dict(node.xattrs)
            if style == "gnu":  # which has no room for them
                entry.mtime, entry.xattrs = node.mtime // 1_000_000_000 * 1_000_000_000, {}
        return entry

    def make(self, path, style, kind=None):
        kind = kind or self.random.choice(["file", "file", "dir", "symlink"])
        entry = Entry(self.decorate(path, kind), "file" if kind == "sparse" else kind)
        if kind == "sparse":
            entry.size = self.random.randint(1, 9) * 65536 + self.random.randint(0, 700)
            entry.pieces = [(at * 65536, self.random.randbytes(512 * self.random.randint(1, 3)))
                            for at in sorted(self.random.sample(range(entry.size // 65536), min(2, entry.size // 65536)))]
        elif kind == "file":
            entry.data = self.random.randbytes(self.random.choice([0, 1, 10, 511, 512, 513, 9000]))
        elif kind == "symlink":
            entry.link = self.random.choice([b"a", b"b", b"../a", b"/c", b"nowhere", b"a/b", b"\xff\xfe", b"d/./..//a", b"t" * 150])
        elif kind in ("char", "block"):
            entry.device = self.random.choice([(1, 3), (5, 0), (259, 70000)])
        return self.attributes(entry, style)

    def decorate(self, path, kind):
        decorated = self.random.choice([b"", b"", b"", b"./", b"/", b".//"]) + path
        return decorated + b"/" if kind == "dir" and self.chance(0.5) else decorated

    def attributes(self, entry, style):
        entry.mode = self.random.choice([0o755, 0o644, 0o700, 0o4755, 0o2755, 0o1777, 0o000, 0o7777])
        entry.uid = self.random.choice([0, 0, 1000, 65534, 3_000_000_000])
        entry.gid = self.random.choice([0, 0, 1000, 50])
        entry.mtime = (EPOCH + self.random.randint(0, 100_000_000)) * 1_000_000_000
        if style == "pax":
            entry.mtime += self.random.choice([0, 0, 123_456_789])
            for name, value in ((b"user.a", b"1"), (b"user.b", b"\0\xff\n="), (b"security.capability", CAPABILITY), (b"trusted.overlay.opaque", b"y"),
                                (b"trusted.overlay.redirect", b"/a"), (b"security.selinux", b"x"), (b"user.empty", b"")):
                if self.chance(0.06):
                    entry.xattrs[name] = value
        return entry
