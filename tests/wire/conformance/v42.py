#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What 4.2 adds: holes, space, copies, clones, and extended attributes."""

import os
import sys

from conform import *

END = (1 << 64) - 1
BLOCK = 65536  # larger than any block that a file system makes holes of


def sparse(t, name="s", layout="dhdh"):
    """A file of data (d) and holes (h) of BLOCK bytes each; its contents."""
    data = b"".join((b"D" if x == "d" else b"\0") * BLOCK for x in layout)
    with open(t.path / name, "wb") as f:
        for i, x in enumerate(layout):
            if x == "d":
                f.seek(i * BLOCK)
                f.write(b"D" * BLOCK)
        f.truncate(len(data))
    (t.path / name).chmod(0o666)
    return data


def both(t, c, name="f", owner=b"v42"):
    if not (t.path / name).exists():
        t.put(name)
    return c.open(t.dir(c), name, access=BOTH, owner=owner)


# ---- SEEK


@over(case=(("data at 0", 0, False, 0), ("hole at 0", 0, True, 1), ("data in a hole", BLOCK + 5, False, 2 * BLOCK),
            ("hole in a hole", BLOCK + 5, True, BLOCK + 5), ("hole in data", 2 * BLOCK + 1, True, 3 * BLOCK),
            ("data in data", 7, False, 7)))
def test_seek(t, case):
    "RFC 7862 15.11: the next data or hole"
    c = t.client(2)
    sparse(t)
    _, offset, hole, wanted = case
    r = c.call(putfh(t.fh(c, "s")), seek(ANON, offset, hole)).ok().last
    need(r.offset == (BLOCK if wanted == 1 else wanted) and not r.eof, f"{r}")


def test_seek_ends(t):
    "RFC 7862 15.11.3: the end is a hole; no data behind the last: eof or NXIO; beyond the end NXIO"
    c = t.client(2)
    data = sparse(t, layout="dd")
    fh = t.fh(c, "s")
    r = c.call(putfh(fh), seek(ANON, 5, True)).ok().last
    need(r.offset == len(data), f"{r}")
    expect(c.call(putfh(fh), seek(ANON, len(data), False)), "NXIO")
    expect(c.call(putfh(fh), seek(ANON, len(data) + 1, True)), "NXIO")
    sparse(t, "h", "hh")
    r = expect(c.call(putfh(t.fh(c, "h")), seek(ANON, 0, False)), "OK", "NXIO")
    need(r.status or r.last.eof, f"{r.last}")


def test_seek_refused(t):
    "RFC 7862 15.11.4: content types that there are not UNION_NOTSUPP; bad stateids"
    c = t.client(2)
    t.put("f")
    fh = t.fh(c, "f")
    expect(c.call(putfh(fh), seek(ANON, 0, 7)), "UNION_NOTSUPP", "BADXDR", "INVAL")
    expect(c.call(putfh(fh), seek(b"\0\0\0\1" + b"\x55" * 12, 0)), "BAD_STATEID")


# ---- READ_PLUS


@over(layout=("d", "h", "dhdh", "hdhd", "hhhh", "dddd"), span=((0, 4 * BLOCK), (10, 100), (BLOCK - 5, 10), (5, BLOCK * 2)))
def test_read_plus(t, layout, span):
    "RFC 7862 15.10: data and holes together are what READ gives"
    c = t.client(2)
    data = sparse(t, layout=layout)
    want, at, out = data[span[0]:sum(span)], span[0], b""
    while True:
        r = c.call(putfh(t.fh(c, "s")), read_plus(ANON, at, sum(span) - at)).ok().last
        for part in r.contents:
            need(part.offset == at or (part.hole and part.offset <= at), f"{part} at {at}")
            piece = b"\0" * (part.length - (at - part.offset)) if part.hole else part.data
            out += piece
            at += len(piece)
        if r.eof or at >= sum(span) or not r.contents:
            break
    need(out[:len(want)] == want and len(out) >= len(want), f"{len(out)} bytes of {len(want)}")
    need(r.eof or sum(span) < len(data), "eof missing")


def test_read_plus_beyond(t):
    "RFC 7862 15.10: beyond the end: nothing and eof"
    c = t.client(2)
    t.put("f")
    r = c.call(putfh(t.fh(c, "f")), read_plus(ANON, 10, 5)).ok().last
    need(r.eof and not any(x.hole or x.data for x in r.contents), f"{r}")


def test_read_plus_refused(t):
    "RFC 7862 15.10.4: OPENMODE or OK with a write-only open; BAD_STATEID"
    c = t.client(2)
    t.put("f")
    expect(c.call(putfh(t.fh(c, "f")), read_plus(b"\0\0\0\1" + b"\x55" * 12, 0, 5)), "BAD_STATEID")


# ---- ALLOCATE, DEALLOCATE


def test_allocate(t):
    "RFC 7862 15.1: the range is there; a file grows; bytes stay"
    c = t.client(2)
    o = both(t, c)
    expect(c.call(putfh(o.fh), allocate(o.stateid, 5, 1000)), "OK")
    need(os.stat(t.path / "f").st_size == 1005, "did not grow")
    need((t.path / "f").read_bytes()[:10] == b"0123456789", "other bytes")


def test_deallocate(t):
    "RFC 7862 15.4: zeros and no change of size"
    c = t.client(2)
    data = sparse(t, layout="dddd")
    o = both(t, c, "s")
    expect(c.call(putfh(o.fh), deallocate(o.stateid, BLOCK, 2 * BLOCK)), "OK")
    got = (t.path / "s").read_bytes()
    need(got == data[:BLOCK] + b"\0" * 2 * BLOCK + data[:BLOCK], "other bytes")
    expect(c.call(putfh(o.fh), deallocate(o.stateid, 4 * BLOCK - 10, 100)), "OK")
    need(os.stat(t.path / "s").st_size == len(data), "the size changed")
    need(c.call(putfh(o.fh), seek(ANON, BLOCK, True)).ok().last.offset == BLOCK, "no hole")


@over(op=("ALLOCATE", "DEALLOCATE"), span=((0, 0), (END, 2), (END - 5, 100)))
def test_allocate_bad_range(t, op, span):
    "RFC 7862 15.1.4, 15.4.4: length 0 or past 2^64: INVAL (FBIG)"
    c = t.client(2)
    o = both(t, c)
    f = allocate if op == "ALLOCATE" else deallocate
    expect(c.call(putfh(o.fh), f(o.stateid, *span)), "INVAL", "FBIG")


@over(op=("ALLOCATE", "DEALLOCATE"))
def test_allocate_refused(t, op):
    "RFC 7862 15.1.4: OPENMODE with a read-only open, LOCKED by others' deny, BAD_STATEID"
    c = t.client(2)
    t.put("f")
    f = allocate if op == "ALLOCATE" else deallocate
    o = c.open(t.dir(c), "f", access=READ, owner=b"ro")
    expect(c.call(putfh(o.fh), f(o.stateid, 0, 5)), "OPENMODE")
    expect(c.call(putfh(o.fh), f(b"\0\0\0\1" + b"\x55" * 12, 0, 5)), "BAD_STATEID")
    c.open(t.dir(c), "f", access=READ, deny=WRITE, owner=b"deny")
    expect(c.call(putfh(o.fh), f(ANON, 0, 5)), "LOCKED")


# ---- COPY and CLONE


def do(c, a, b, op):
    return c.call(putfh(a), savefh(), putfh(b), op)


@over(span=((0, 0, 10), (0, 0, 0), (3, 0, 4), (0, 5, 10), (5, 100, 100)))
def test_copy(t, span):
    "RFC 7862 15.2: a range, or with count 0 to the end; the answer tells how much and the verifier"
    c = t.client(2)
    t.put("a")
    t.put("b", b"xxxxxxxxxxxxxxxxxxxx")
    a, b = both(t, c, "a"), both(t, c, "b")
    src, dst, count = span
    r = do(c, a.fh, b.fh, copy(a.stateid, b.stateid, src, dst, count)).ok().last
    piece = b"0123456789"[src:][:count or 10]
    need(r.count == len(piece) and r.synchronous, f"{r}")
    want = bytearray(b"xxxxxxxxxxxxxxxxxxxx".ljust(dst + len(piece), b"\0"))
    want[dst:dst + len(piece)] = piece
    need((t.path / "b").read_bytes() == bytes(want), "other bytes")
    need(c.call(putfh(b.fh), commit()).ok().last.verifier == r.verifier, "another verifier")


def test_copy_within_a_file(t):
    "RFC 7862 15.2.3: one file is fine when the ranges are apart, INVAL when they overlap"
    c = t.client(2)
    t.put("f", b"0123456789" * 2)
    o = both(t, c)
    expect(do(c, o.fh, o.fh, copy(o.stateid, o.stateid, 0, 100, 10)), "OK")
    expect(do(c, o.fh, o.fh, copy(o.stateid, o.stateid, 0, 5, 10)), "INVAL")
    expect(do(c, o.fh, o.fh, copy(o.stateid, o.stateid, 5, 0, 10)), "INVAL")


def test_copy_refused(t):
    "RFC 7862 15.2.3: a source beyond its end INVAL; modes OPENMODE; stateids BAD_STATEID"
    c = t.client(2)
    a, b = both(t, c, "a"), both(t, c, "b")
    expect(do(c, a.fh, b.fh, copy(a.stateid, b.stateid, 1000, 0, 10)), "INVAL")
    expect(do(c, a.fh, b.fh, copy(a.stateid, b.stateid, END, 0, 10)), "INVAL")
    expect(do(c, a.fh, b.fh, copy(a.stateid, b.stateid, 0, END - 3, 10)), "INVAL", "FBIG")
    bad = b"\0\0\0\1" + b"\x55" * 12
    expect(do(c, a.fh, b.fh, copy(bad, b.stateid, 0, 0, 10)), "BAD_STATEID")
    expect(do(c, a.fh, b.fh, copy(a.stateid, bad, 0, 0, 10)), "BAD_STATEID")
    expect(do(c, a.fh, b.fh, copy(b.stateid, b.stateid, 0, 0, 10)), "BAD_STATEID")
    ro = c.open(t.dir(c), "b", access=READ, owner=b"ro")
    wo = c.open(t.dir(c), "a", access=WRITE, owner=b"wo")
    expect(do(c, a.fh, b.fh, copy(a.stateid, ro.stateid, 0, 0, 10)), "OPENMODE")
    expect(do(c, a.fh, b.fh, copy(wo.stateid, b.stateid, 0, 0, 10)), "OPENMODE", "OK")


@over(kind=NOT_FILE, side=("from", "to"), op=("COPY", "CLONE"))
def test_copy_types(t, kind, side, op):
    "RFC 7862 15.2.3, 15.13.3: regular files only: WRONG_TYPE or the type's error"
    c = t.client(2)
    t.put("f")
    f, other = t.fh(c, "f"), t.fh(c, kind)
    args = (ANON, ANON, 0, 0, 1)
    r = do(c, *((other, f) if side == "from" else (f, other)), (copy if op == "COPY" else clone)(*args))
    expect(r, "WRONG_TYPE", {"dir": "ISDIR", "link": "SYMLINK"}.get(kind, "WRONG_TYPE"))


def test_copy_across_shares(t):
    "RFC 7862 15.2: between file systems the server may copy (or XDEV)"
    c = t.client(2)
    a = both(t, c, "a")
    o = c.open(c.walk("/other"), "b", access=BOTH, how="unchecked")
    expect(do(c, a.fh, o.fh, copy(a.stateid, o.stateid, 0, 0, 10)), "OK", "XDEV", "NOTSUPP", "OFFLOAD_DENIED")


def test_copy_elsewhere(t):
    "RFC 7862 15.2: from another server is not offered"
    c = t.client(2)
    a, b = both(t, c, "a"), both(t, c, "b")
    args = copy(a.stateid, b.stateid, 0, 0, 10)[:-4] + bytes(Packer().u32(1, 1).opaque(b"server").data)
    expect(do(c, a.fh, b.fh, args), "NOTSUPP", "PARTNER_NOTSUPP")


def test_clone(t):
    "RFC 7862 15.13: shares blocks where the file system can, else NOTSUPP; bad ranges INVAL"
    c = t.client(2)
    t.put("a", b"x" * BLOCK)
    a, b = both(t, c, "a"), both(t, c, "b")
    size = c.attrs(a.fh, "clone_blksize").get("clone_blksize", 0)
    r = do(c, a.fh, b.fh, clone(a.stateid, b.stateid, 0, 0, BLOCK))
    expect(r, "OK" if size else "NOTSUPP", "NOTSUPP")
    expect(do(c, a.fh, b.fh, clone(b"\0\0\0\1" + b"\x55" * 12, b.stateid, 0, 0, BLOCK)), "BAD_STATEID")
    if size:
        expect(do(c, a.fh, b.fh, clone(a.stateid, b.stateid, 1, 0, 7)), "INVAL")


@over(op=(("OFFLOAD_STATUS", 67), ("OFFLOAD_CANCEL", 66), ("COPY_NOTIFY", 61), ("WRITE_SAME", 70),
          ("LAYOUTERROR", 64), ("LAYOUTSTATS", 65)))
def test_not_offered(t, op):
    "RFC 7862 13: optional operations that are not offered: NOTSUPP"
    c = t.client(2)
    expect(c.call(putfh(t.fh(c, "file")), raw(op[1], b"\0" * 64)), "NOTSUPP")


def test_io_advise(t):
    "RFC 7862 15.5: hints are taken or left"
    c = t.client(2)
    o = both(t, c)
    for hint in range(0, 9):
        expect(c.call(putfh(o.fh), io_advise(o.stateid, 0, 10, (hint,))), "OK")
    expect(c.call(putfh(o.fh), io_advise(b"\0\0\0\1" + b"\x55" * 12, 0, 10)), "BAD_STATEID")


def test_mode_umask(t):
    "RFC 8275 5: mode and umask at creation; not with SETATTR, not beside mode"
    c = t.client(2)
    c.call(putfh(t.dir(c)), create(NF4DIR, "d", {"mode_umask": (0o777, 0o027)})).ok()
    need(os.stat(t.path / "d").st_mode & 0o7777 == 0o750, "another mode")
    expect(c.call(putfh(t.fh(c, "d")), setattr(ANON, {"mode_umask": (0o777, 0o022)})), "INVAL")
    expect(c.call(putfh(t.dir(c)), create(NF4DIR, "e", {"mode": 0o755, "mode_umask": (0o777, 0o022)})), "INVAL")
    expect(c.call(putfh(t.fh(c, "d")), getattr("mode_umask")), "INVAL")


# ---- Extended attributes (RFC 8276)


def test_xattr_support(t):
    "RFC 8276 8.2: the attribute tells it"
    c = t.client(2)
    need(c.attrs(t.fh(c, "file"), "xattr_support")["xattr_support"], "not supported")


@over(kind=("file", "dir"))
def test_xattr(t, kind):
    "RFC 8276 8.4: set, get, list, remove; the change attribute moves, user.NAME on the disk"
    c = t.client(2)
    p = t.put("x") if kind == "file" else t.path / "x"
    p.is_file() or p.mkdir()
    fh = t.fh(c, "x")
    before = c.attrs(fh, "change")["change"]
    r = c.call(putfh(fh), setxattr("colour", b"blue"), getattr("change")).ok()
    need(r.last.attrs["change"] != before, "the change attribute stands still")
    need(r.op("SETXATTR").cinfo.before != r.op("SETXATTR").cinfo.after, "change_info stands still")
    need(os.getxattr(p, "user.colour") == b"blue", "not on the disk")
    need(c.call(putfh(fh), getxattr("colour")).ok().last.value == b"blue", "another value")
    need(c.call(putfh(fh), listxattrs()).ok().last.names == [b"colour"], "another list")
    r = c.call(putfh(fh), removexattr("colour")).ok().last
    need(r.cinfo.before != r.cinfo.after, "change_info stands still")
    expect(c.call(putfh(fh), getxattr("colour")), "NOXATTR")
    expect(c.call(putfh(fh), removexattr("colour")), "NOXATTR")
    need(c.call(putfh(fh), listxattrs()).ok().last.names == [], "still listed")


def test_xattr_create_and_replace(t):
    "RFC 8276 8.4.2: CREATE says EXIST, REPLACE NOXATTR; other options INVAL or BADXDR"
    c = t.client(2)
    t.put("x")
    fh = t.fh(c, "x")
    expect(c.call(putfh(fh), setxattr("a", b"1", 2)), "NOXATTR")
    expect(c.call(putfh(fh), setxattr("a", b"1", 1)), "OK")
    expect(c.call(putfh(fh), setxattr("a", b"2", 1)), "EXIST")
    expect(c.call(putfh(fh), setxattr("a", b"3", 2)), "OK")
    expect(c.call(putfh(fh), setxattr("a", b"4", 0)), "OK")
    expect(c.call(putfh(fh), setxattr("a", b"5", 3)), "INVAL", "BADXDR")
    need(c.call(putfh(fh), getxattr("a")).ok().last.value == b"4", "another value")


@over(size=(0, 1, 100, 3000))
def test_xattr_values(t, size):
    "RFC 8276 8.4: values of any bytes, also none"
    c = t.client(2)
    t.put("x")
    fh, value = t.fh(c, "x"), os.urandom(size)
    expect(c.call(putfh(fh), setxattr("v", value)), "OK")
    need(c.call(putfh(fh), getxattr("v")).ok().last.value == value, "another value")


def test_xattr_too_big(t):
    "RFC 8276 8.4.2: XATTR2BIG (NOSPC where the file system has less room)"
    c = t.client(2)
    t.put("x")
    fh = t.fh(c, "x")
    expect(c.call(putfh(fh), setxattr("v", b"x" * 65537)), "XATTR2BIG")
    expect(c.call(putfh(fh), setxattr("v", b"x" * 60000)), "OK", "XATTR2BIG", "NOSPC")


@over(op=("GET", "SET", "REMOVE"), name=(("empty", b"", ("INVAL",)), ("long", b"x" * 251, ("NAMETOOLONG",)),
                                         ("longer", b"x" * 3000, ("NAMETOOLONG",)), ("latin1", b"\xe9", ("INVAL",)),
                                         ("nul", b"a\0b", ("INVAL", "BADCHAR"))))
def test_xattr_bad_names(t, op, name):
    "RFC 8276 8.4, 8.6: names are as file names"
    c = t.client(2)
    f = {"GET": getxattr, "REMOVE": removexattr, "SET": lambda n: setxattr(n, b"1")}[op]
    expect(c.call(putfh(t.fh(c, "file")), f(name[1])), *name[2])


@over(name=("a", "x" * 200, "dotted.name", "ünïcode", "with space", "user.twice", "trusted.x", "security.selinux",
            "system.posix_acl_access"))
def test_xattr_good_names(t, name):
    "RFC 8276 8.1: only the user namespace: whatever the name says, it is user.NAME on the disk"
    c = t.client(2)
    p = t.put("x")
    fh = t.fh(c, "x")
    expect(c.call(putfh(fh), setxattr(name, b"1")), "OK")
    need(os.listxattr(p) == ["user." + name], f"{os.listxattr(p)}")
    need([n.decode() for n in c.call(putfh(fh), listxattrs()).ok().last.names] == [name], "another list")


def test_xattr_other_namespaces(t):
    "RFC 8276 8.1: what is not of users is not seen"
    c = t.client(2)
    p = t.put("x")
    os.setxattr(p, "trusted.secret", b"1")
    fh = t.fh(c, "x")
    need(c.call(putfh(fh), listxattrs()).ok().last.names == [], "seen")
    for name in ("secret", "trusted.secret"):
        expect(c.call(putfh(fh), getxattr(name)), "NOXATTR")


def test_xattr_list_in_pieces(t):
    "RFC 8276 8.4.3: cookies lead on; every name once; eof at the end; TOOSMALL when none fits"
    c = t.client(2)
    p = t.put("x")
    names = {f"name-{i:03}" for i in range(100)}
    for n in names:
        os.setxattr(p, "user." + n, b"")
    fh = t.fh(c, "x")
    got, cookie = [], 0
    while True:
        r = c.call(putfh(fh), listxattrs(cookie, 200)).ok().last
        need(r.names or r.eof, "neither names nor eof")
        got += [n.decode() for n in r.names]
        if r.eof:
            break
        cookie = r.cookie
    need(sorted(got) == sorted(names), f"{len(got)} names")
    for maxcount in (0, 8, 15, 17):
        expect(c.call(putfh(fh), listxattrs(0, maxcount)), "TOOSMALL")


def test_xattr_without_permission(t):
    "RFC 8276 8.4: ACCESS (PERM) for who may not read or write the file"
    p = t.put("x", mode=0o600)
    os.setxattr(p, "user.a", b"1")
    u = t.fresh(2, uid=1234)
    fh = t.fh(u, "x")
    expect(u.call(putfh(fh), getxattr("a")), "ACCESS", "PERM")
    expect(u.call(putfh(fh), setxattr("a", b"2")), "ACCESS", "PERM")
    expect(u.call(putfh(fh), removexattr("a")), "ACCESS", "PERM")
    need(os.getxattr(p, "user.a") == b"1", "changed all the same")


@over(kind=("link", "blk", "chr", "fifo", "sock"))
def test_xattr_on_others(t, kind):
    "RFC 8276 8.4: types that have none: an error, never a crash; listing may be empty"
    c = t.client(2)
    fh = t.fh(c, kind)
    expect(c.call(putfh(fh), setxattr("a", b"1")), "PERM", "WRONG_TYPE", "NOTSUPP", "ACCESS", "INVAL")
    expect(c.call(putfh(fh), getxattr("a")), "NOXATTR", "PERM", "WRONG_TYPE", "NOTSUPP", "ACCESS", "INVAL")
    expect(c.call(putfh(fh), listxattrs()), "OK", "PERM", "WRONG_TYPE", "NOTSUPP")


@over(minor=(0, 1), number=(72, 73, 74, 75))
def test_xattr_in_older_versions(t, minor, number):
    "RFC 8276 8: operations of 4.2"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "file")), raw(number, b"\0" * 32)), "OP_ILLEGAL")


def test_access_bits(t):
    "RFC 8276 8.4.5: three more rights"
    c = t.client(2)
    r = c.call(putfh(t.fh(c, "file")), access(0x1C0)).ok().last
    need(r.supported == 0x1C0 and r.access == 0x1C0, f"{r}")
    p = t.put("x", mode=0o644)
    u = t.fresh(2, uid=1234)
    r = u.call(putfh(t.fh(u, "x")), access(0x1C0)).ok().last
    need(r.access == 0x140, f"{r.access:#x}")  # reading and listing


if __name__ == "__main__":
    sys.exit(main(globals()))
