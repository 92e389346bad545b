"""What an image's file system is, by the image specification (layer.md): a model in memory, independent of our unpacker.

A layer is read on its own first (entries in order, the last of a name wins), then laid over what is below it: whiteouts and
opaque marks hide lower layers only. Where the specification is silent, ../../storage/unpack/README.md decides:
  - a directory that a layer implies keeps the attributes and the time of the one below (a root its time only where that has others than root's 0755);
  - a symbolic link of a lower layer in the way of an entry is replaced by a directory, one of the same layer is followed;
  - a hard link to a file of a lower layer is a copy of it, and links of one layer to one such file share the copy.
"""

import dataclasses

OPAQUE = b".wh..wh..opq"
WHITEOUT = b".wh."
AUFS = b".wh..wh."


class Invalid(Exception):
    """An entry that no layer may have (here)."""


@dataclasses.dataclass
class Entry:
    """One entry of a layer's tar. Kinds: file dir symlink link char block fifo."""
    name: bytes
    kind: str = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0  # nanoseconds
    data: bytes = b""
    pieces: list = None  # of a sparse file: (offset, bytes); `size` is its length
    size: int = 0
    link: bytes = b""
    device: tuple = (0, 0)
    xattrs: dict = dataclasses.field(default_factory=dict)

    def content(self):
        if self.pieces is None:
            return self.data
        whole = bytearray(self.size)
        for offset, data in self.pieces:
            whole[offset:offset + len(data)] = data
        return bytes(whole)


@dataclasses.dataclass(eq=False)
class Node:
    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    data: bytes = b""  # content, or a symbolic link's target
    device: tuple = (0, 0)
    xattrs: dict = dataclasses.field(default_factory=dict)
    children: dict = dataclasses.field(default_factory=dict)
    # Of a directory while its layer is read:
    described: bool = False  # it has an entry of its own
    opaque: bool = False
    deleted: set = dataclasses.field(default_factory=set)
    time_below: int = None  # of an implied one: that of the last entry below
    marks: set = dataclasses.field(default_factory=set)  # where other engines may do otherwise: implied recreated copied

    def attributes(self):
        return (self.mode, self.uid, self.gid, self.xattrs)


@dataclasses.dataclass(eq=False)
class LowerLink:
    """A hard link whose target is not in its own layer."""
    target: tuple
    kind: str = "lower-link"
    children = {}


IMPLIED = (0o755, 0, 0, {})


def split(name):
    """Components without empty ones and "."; ".." is refused."""
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise Invalid("..")
    return parts


class NotADirectory(Invalid):
    pass


class Layer:
    """One layer, read entry by entry."""

    def __init__(self):
        self.root = Node("dir")

    def add(self, entry):
        path = split(entry.name)
        if not self.root.described and not self.root.mtime:
            self.root.mtime = entry.mtime
        if not path:
            if entry.kind != "dir":
                raise Invalid("the root is not a directory")
            self.describe(self.root, entry)
        elif not any(part.startswith(WHITEOUT) for part in path[:-1]):
            self.add_below(path, entry)

    def add_below(self, path, entry):
        name = path[-1]
        if name == OPAQUE:
            self.directory(path[:-1], entry.mtime, replace_last=True).opaque = True
        elif name.startswith(AUFS):
            return
        elif name.startswith(WHITEOUT):
            name = name[len(WHITEOUT):]
            if name in (b"", b".", b".."):
                raise Invalid("whiteout of nothing")
            self.delete(path[:-1], name, entry.mtime)
        else:
            self.put(self.directory(path[:-1], entry.mtime), name, entry)

    def delete(self, above, name, mtime):
        """A whiteout hides what is below this layer, whatever else the layer has under that name."""
        def imply(parent, step):
            if step in parent.deleted:
                raise NotADirectory("deleted itself")
            return self.imply(parent, step, mtime)
        try:
            parent = self.walk(above, imply, False)
        except NotADirectory:
            return  # there is nothing to delete below a file
        parent.deleted.add(name)
        if name in parent.children and is_only_whiteouts(parent.children[name]):
            del parent.children[name]

    def put(self, parent, name, entry):
        old = parent.children.get(name)
        if entry.kind == "dir":
            if old is None or old.kind != "dir":
                old = parent.children[name] = Node("dir")
            self.describe(old, entry)
        elif entry.kind == "link":
            self.put_link(parent, name, split(entry.link))
        elif entry.kind == "char" and entry.device == (0, 0):
            return  # would be a whiteout
        else:
            data = entry.link if entry.kind == "symlink" else entry.content() if entry.kind == "file" else b""
            mode = 0o777 if entry.kind == "symlink" else entry.mode
            parent.children[name] = Node(entry.kind, mode, entry.uid, entry.gid, entry.mtime, data, entry.device, self.kept(entry))

    def put_link(self, parent, name, target):
        if not target:
            raise Invalid("link to the root")
        above = self.find(target[:-1])
        if above is parent and target[-1] == name:
            raise Invalid("link to itself")
        old = parent.children.get(name)
        if above is not None and old is not None and old.kind == "dir" and self.holds(old, above):
            raise Invalid("link out of the directory that it replaces")
        node = above.children.get(target[-1]) if above else None
        if node is None:
            if above is not None and target[-1] in above.deleted:
                raise Invalid("link to what the layer deletes")
            parent.children[name] = LowerLink((*self.path_of(above), target[-1]) if above else target)
            return
        if node.kind == "lower-link":  # a link to a link of this layer
            parent.children[name] = LowerLink(node.target)
            return
        if node.kind == "dir":
            raise Invalid("link to a directory")
        parent.children[name] = node

    def path_of(self, wanted):
        """Of a directory of this layer: the names that lead there without links."""
        def search(node, path):
            if node is wanted:
                return path
            return next((found for name, child in node.children.items() if child.kind == "dir" and (found := search(child, (*path, name))) is not None),
                        None)
        return search(self.root, ())

    @staticmethod
    def kept(entry):
        """xattr(7): user attributes exist on files and directories only; trusted.* is nobody's but the kernel's overlay."""
        user = entry.kind in ("file", "dir")
        return {key: value for key, value in entry.xattrs.items()
                if (key.startswith(b"user.") and user) or (key == b"security.capability" and entry.kind == "file")}

    def describe(self, node, entry):
        node.mode, node.uid, node.gid, node.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
        node.xattrs, node.described = self.kept(entry), True

    def holds(self, node, wanted):
        return node is wanted or any(child.kind == "dir" and self.holds(child, wanted) for child in node.children.values())

    def directory(self, path, mtime, replace_last=False):
        """The directory at `path`; missing ones are implied, links of this layer are followed below its root."""
        return self.walk(path, lambda parent, name: self.imply(parent, name, mtime), replace_last)

    def find(self, path):
        try:
            return self.walk(path, lambda parent, name: None, False)
        except NotADirectory:
            return None

    @staticmethod
    def imply(parent, name, mtime):
        node = parent.children[name] = Node("dir", mtime=mtime)
        return node

    def walk(self, path, make, replace_last):
        way, rest, links = [self.root], list(reversed(path)), 0
        while rest:
            name = rest.pop()
            if name == b"..":
                if len(way) > 1:
                    way.pop()
                continue
            node = way[-1].children.get(name)
            if node is not None and node.kind == "symlink":
                links += 1
                if links > 40:
                    raise Invalid("too many links")
                if node.data.startswith(b"/"):
                    del way[1:]
                rest += [part for part in reversed(node.data.split(b"/")) if part not in (b"", b".")]
                continue
            if node is None or (node.kind != "dir" and replace_last and not rest) or node.kind == "lower-link":
                node = make(way[-1], name)
                if node is None:
                    return None
            if node.kind != "dir":
                raise NotADirectory("a parent is not a directory")
            way.append(node)
        return way[-1]


def is_only_whiteouts(node):
    """A directory that nothing describes and that has nothing: ".wh.foo" beside "foo/.wh.bar" comes from real tools."""
    return (node.kind == "dir" and not node.described and not node.opaque
            and all(is_only_whiteouts(child) for child in node.children.values()))


class Merger:
    """Lays one layer over the tree below it. Lower trees are never changed."""

    def __init__(self, lower, layer):
        self.lower, self.layer = lower, layer
        self.copies = {}  # of files of lower layers
        self.notes = set()

    def merge(self):
        return self.directory(self.lower, self.lower, self.layer.root)

    def directory(self, lower, attributes_of, own):
        """`lower`: whose children are merged, `attributes_of`: whose attributes an implied one keeps (None: hidden)."""
        made = Node("dir", *own.attributes()[:3], own.mtime, xattrs=own.xattrs)
        if not own.described:
            made.marks.add("implied")
        if not own.described and attributes_of is not None:
            made.time_below = attributes_of.time_below if "implied" in attributes_of.marks else attributes_of.mtime
            if attributes_of.attributes() != IMPLIED or own is not self.layer.root:
                made.mode, made.uid, made.gid, made.xattrs = attributes_of.attributes()
                made.mtime = attributes_of.mtime
        below = {}
        if lower is not None and not own.opaque:
            below = {name: node for name, node in lower.children.items() if name not in own.deleted}
        made.children = dict(below)
        for name, node in own.children.items():
            under = below.get(name)
            if name in own.deleted:
                self.notes.add("recreated")
            if node.kind == "dir":
                under = under if under is not None and under.kind == "dir" else None
                made.children[name] = self.directory(under, under, node)
                if name in own.deleted:
                    made.children[name].marks.add("recreated")
            elif node.kind == "lower-link":
                self.notes.add("link to a lower layer")
                made.children[name] = self.copy(node.target)
            else:
                made.children[name] = node
        return made

    def copy(self, target):
        """What the target's name leads to in what this layer leaves of those below."""
        node, own = self.lower, self.layer.root
        for name in target:
            if node is None or node.kind != "dir" or (own is not None and (own.opaque or name in own.deleted)):
                raise Invalid("link to a hidden file")
            node = node.children.get(name)
            own = own.children.get(name) if own is not None else None
            if own is not None and own.kind != "dir":
                raise Invalid("link to a replaced file")
        if node is None or node.kind == "dir" or own is not None:
            raise Invalid("link to nothing, or to a later entry of its own layer")
        if id(node) not in self.copies:
            self.copies[id(node)] = dataclasses.replace(node, marks={"copied"})
        return self.copies[id(node)]


def empty_root():
    return Node("dir")


def apply(lower, entries, notes):
    """The tree with one more layer on it; `notes` gets what other engines may refuse."""
    layer = Layer()
    for entry in entries:
        layer.add(entry)
    merger = Merger(lower, layer)
    merged = merger.merge()
    notes |= merger.notes
    return merged


def flatten(root):
    """{path: (node, paths of the same file)}; the root is b""."""
    found, groups = {}, {}

    def visit(node, path):
        found[path] = node
        groups.setdefault(id(node), []).append(path)
        for name, child in node.children.items():
            visit(child, path + b"/" + name if path else name)
    visit(root, b"")
    return {path: (node, sorted(groups[id(node)])) for path, node in found.items()}
