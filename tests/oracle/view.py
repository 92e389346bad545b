"""What a directory shows, name by name, and how it differs from the model."""

import ctypes
import hashlib
import os
import stat

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket"}
LIBC = ctypes.CDLL(None, use_errno=True)


def mount_overlay(lower, target):
    """A read-only view of the directories, topmost first, mounted as a container's root is."""
    options = b"lowerdir=" + b":".join(lower) + b",index=off,metacopy=off,redirect_dir=nofollow"
    if LIBC.mount(b"overlay", target, b"overlay", 1, options) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), options)


def unmount(target):
    if LIBC.umount2(target, 2) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def read(path):
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            hasher.update(data)
    return hasher.hexdigest()


def describe(path):
    info = os.lstat(path)
    kind = KINDS[stat.S_IFMT(info.st_mode)]
    found = {"kind": kind, "mode": stat.S_IMODE(info.st_mode), "uid": info.st_uid, "gid": info.st_gid, "mtime": info.st_mtime_ns}
    if kind == "file":
        found.update(size=info.st_size, content=read(path))
    elif kind == "symlink":
        found["content"] = os.readlink(path)
    elif kind in ("char", "block"):
        found["device"] = (os.major(info.st_rdev), os.minor(info.st_rdev))
    found["xattrs"] = {name.encode(): os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}
    return found, (info.st_dev, info.st_ino)


def look(root, skip=()):
    """{path: what is to be seen there}; the root is b""."""
    shown, groups = {}, {}

    def visit(path, name):
        if name in skip:
            return
        try:
            shown[name], inode = describe(path)
        except FileNotFoundError:  # overlayfs lists whiteouts of a directory that it does not merge
            shown[name] = {"kind": "ghost"}
            return
        if shown[name]["kind"] == "dir":
            for child in os.listdir(path):
                visit(path + b"/" + child, name + b"/" + child if name else child)
        else:
            groups.setdefault(inode, []).append(name)
    visit(root, b"")
    for names in groups.values():
        for name in names:
            shown[name]["links"] = sorted(names)
    return shown


def expect(node, names):
    """What look() gives for a node of the model."""
    wanted = {"kind": node.kind, "mode": node.mode, "uid": node.uid, "gid": node.gid, "mtime": node.mtime, "xattrs": node.xattrs}
    if node.kind == "file":
        wanted.update(size=len(node.data), content=hashlib.sha256(node.data).hexdigest())
    elif node.kind == "symlink":
        wanted["content"] = node.data
    elif node.kind in ("char", "block"):
        wanted["device"] = node.device
    if node.kind != "dir":
        wanted["links"] = names
    return wanted


def differences(model, shown):
    """[(path, field, expected, seen)]; a missing or unexpected name has the field "name", and is seen as a kind or None."""
    found = []
    for path in sorted({*model, *shown}):
        if path not in shown or path not in model:
            found.append((path, "name", path in model, shown[path]["kind"] if path in shown else None))
            continue
        wanted = expect(*model[path])
        for field in sorted({*wanted, *shown[path]}):
            if wanted.get(field) != shown[path].get(field):
                found.append((path, field, wanted.get(field), shown[path].get(field)))
    return found


def story(stack):
    """A stack as text, for a failure's report."""
    lines = []
    for number, (layer, style) in enumerate(zip(stack.layers, stack.styles), 1):
        lines.append(f"layer {number} ({style}):")
        for entry in layer:
            extra = "".join(f" {key}={value!r}" for key, value in (("link", entry.link), ("xattrs", entry.xattrs), ("device", entry.device)) if value and value != (0, 0))
            lines.append(f"  {entry.kind:8} {entry.name!r} {entry.mode:o} {entry.uid}:{entry.gid} {entry.mtime}{extra}")
    return "\n".join(lines)
