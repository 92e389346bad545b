"""A tar writer that writes exactly what it is told: PAX, GNU and old headers, sparse files, names of any bytes."""

TYPES = {"file": b"0", "link": b"1", "symlink": b"2", "char": b"3", "block": b"4", "dir": b"5", "fifo": b"6"}
NANOSECONDS = 1_000_000_000


def number(value, width):
    """Octal where it fits, else base-256 as GNU tar writes it."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")


def header(name, kind, size=0, mode=0o644, uid=0, gid=0, mtime=0, link=b"", device=(0, 0)):
    block = bytearray(512)

    def put(at, data):
        block[at:at + len(data)] = data
    put(0, name[:100])
    put(100, number(mode, 8))
    put(108, number(uid, 8))
    put(116, number(gid, 8))
    put(124, number(size, 12))
    put(136, number(mtime, 12))
    put(148, b" " * 8)
    put(156, kind)
    put(157, link[:100])
    put(257, b"ustar\x0000")
    put(329, number(device[0], 8))
    put(337, number(device[1], 8))
    put(148, b"%06o\0" % sum(block))
    return bytes(block)


def padded(data):
    return data + bytes(-len(data) % 512)


def pax_record(key, value):
    rest = len(key) + len(value) + 3
    size = rest + 1
    while size != rest + len(str(size)):
        size = rest + len(str(size))
    return b"%d %s=%s\n" % (size, key, value)


def extended(records, kind=b"x"):
    body = b"".join(pax_record(key, value) for key, value in records)
    return header(b"pax", kind, len(body)) + padded(body) if records else b""


def decimal(nanoseconds):
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return b"%d.%09d" % (seconds, rest) if rest else b"%d" % seconds


def sparse_pax(entry, records):
    """GNU's sparse format 1.0: the map stands in front of the data."""
    text = b"%d\n" % len(entry.pieces) + b"".join(b"%d\n%d\n" % (at, len(data)) for at, data in entry.pieces)
    body = padded(text) + b"".join(data for _, data in entry.pieces)
    records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", entry.name),
                (b"GNU.sparse.realsize", b"%d" % entry.size)]
    return body


def sparse_old(entry, **more):
    """GNU's old sparse format: four regions in the header."""
    block = bytearray(header(entry.name, b"S", sum(len(data) for _, data in entry.pieces), **more))
    block[257:265] = b"ustar  \0"
    block[345:512] = bytes(167)
    pieces = entry.pieces + [(entry.size, b"")]
    assert len(pieces) <= 4
    for index, (at, data) in enumerate(pieces):
        block[386 + 24 * index:410 + 24 * index] = number(at, 12) + number(len(data), 12)
    block[483:495] = number(entry.size, 12)
    block[148:156] = b" " * 8
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block) + padded(b"".join(data for _, data in entry.pieces))


def write(entries, style="pax"):
    """The layer's tar. `style`: how long names and what ustar can't say are written: "pax" or "gnu" (no xattrs, whole seconds)."""
    out = b""
    for entry in entries:
        name, kind, data = entry.name, TYPES[entry.kind], entry.data
        more = dict(mode=entry.mode, uid=entry.uid, gid=entry.gid, mtime=entry.mtime // NANOSECONDS)
        if style == "gnu":
            for long, letter in ((name, b"L"), (entry.link, b"K")):
                if len(long) > 100:
                    out += header(b"././@LongLink", letter, len(long) + 1) + padded(long + b"\0")
            if entry.pieces is not None:
                out += sparse_old(entry, **more)
                continue
            out += header(name, kind, len(data), link=entry.link, device=entry.device, **more) + padded(data)
            continue
        records = [(b"SCHILY.xattr." + key, value) for key, value in entry.xattrs.items()]
        if entry.mtime % NANOSECONDS:
            records.append((b"mtime", decimal(entry.mtime)))
        if entry.pieces is not None:
            data = sparse_pax(entry, records)
        elif len(name) > 100:
            records.append((b"path", name))
        if len(entry.link) > 100:
            records.append((b"linkpath", entry.link))
        out += extended(records)
        out += header(name, kind, len(data), link=entry.link, device=entry.device, **more) + padded(data)
    return out + bytes(1024)
