#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Named attributes: OPENATTR, the directory it gives, and what may be done with what is in it."""

import os
import sys

from conform import *

ATTRDIR, NAMEDATTR = 8, 9
REQUIRED = ("supported_attrs", "type", "fh_expire_type", "change", "size", "link_support", "symlink_support", "named_attr",
            "fsid", "unique_handles", "lease_time", "rdattr_error", "filehandle")
WRONG_TYPE = {0: "INVAL", 1: "WRONG_TYPE", 2: "WRONG_TYPE"}


def attrdir(c, fh, create=True):
    """The handle of an object's attribute directory."""
    return c.call(putfh(fh), openattr(create), getfh()).ok().last.fh


def store(c, fh, name, data=b"value", owner=b"store"):
    """A named attribute with this value: its handle."""
    o = c.open(attrdir(c, fh), name, access=BOTH, owner=owner, how="unchecked", attrs={"size": 0})
    c.call(putfh(o.fh), write(o.stateid, 0, data, FILE_SYNC)).ok()
    expect(close_it(c, o, owner), "OK")
    return o.fh


def close_it(c, o, owner):
    return c.close(o.fh, o.stateid, owner) if c.minor == 0 else c.close(o.fh, o.stateid)


def load(c, fh, name):
    return c.call(putfh(fh), openattr(), lookup(name), read(ANON, 0, 100000)).ok().last.data


def names(c, fh):
    """By READDIR, with everything that is asked of every entry."""
    return sorted(n if isinstance(n, str) else n.decode() for n, _, _ in c.list(attrdir(c, fh), ("type", "size")))


# ---- OPENATTR


@over(minor=MINORS, kind=("file", "dir"))
def test_openattr(t, minor, kind):
    "RFC 7530 16.17.4, RFC 8881 18.17.3: made when asked for; NOENT while there are none"
    c = t.client(minor)
    t.put("file")
    (t.path / "dir").mkdir()
    fh = c.walk(f"/share/case{t.number}/{kind}")
    expect(c.call(putfh(fh), openattr()), "NOENT")
    need(c.attrs(fh, "named_attr")["named_attr"] is False, "named_attr without any")
    d = attrdir(c, fh)
    need(attrdir(c, fh) == d and d != fh, "another directory")
    need(c.attrs(d, "type")["type"] == ATTRDIR, "type of the directory")
    # It is empty: none exist.
    expect(c.call(putfh(fh), openattr()), "NOENT")
    need(c.attrs(fh, "named_attr")["named_attr"] is False, "named_attr with an empty directory")
    a = store(c, fh, "x")
    expect(c.call(putfh(fh), openattr(), lookup("x"), getfh()), "OK")
    need(attrdir(c, fh, False) == d, "another directory")
    got = c.attrs(a, "type", "size", "named_attr")
    need(got["type"] == NAMEDATTR and got["size"] == 5 and got["named_attr"] is False, f"{got}")
    need(c.attrs(fh, "named_attr")["named_attr"] is True, "named_attr")
    need(c.attrs(fh, "type")["type"] == NUMBER[kind], "the object's own type")
    r = c.call(putfh(d), remove("x")).ok().last
    need(r.cinfo.after != r.cinfo.before, "change of the directory")
    need(c.attrs(fh, "named_attr")["named_attr"] is False, "named_attr after the last one went")


@over(minor=MINORS, kind=("link", "blk", "chr", "fifo", "sock"))
def test_openattr_of_others(t, minor, kind):
    "RFC 8881 18.17.4: NOTSUPP where there cannot be any"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, kind)), openattr(True)), "NOTSUPP")
    expect(c.call(putrootfh(), openattr(True)), "NOTSUPP")


@over(minor=MINORS)
def test_openattr_garbage(t, minor):
    "RFC 7530 13.1.1.1: a bool is 0 or 1; cut off: BADXDR"
    c = t.client(minor)
    t.put("f")
    for args in (b"", b"\0\0", b"\0\0\0\2", b"\xff" * 4):
        expect(c.call(putfh(t.fh(c, "f")), raw(19, args)), "BADXDR")
    expect(c.call(putfh(t.fh(c, "f")), openattr()), "NOENT")


@over(minor=MINORS)
def test_not_of_their_own(t, minor):
    "RFC 8881 18.17.3: WRONG_TYPE for an attribute or a directory of them; 4.0: NOTSUPP"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    a = store(c, fh, "x")
    for create in (False, True):
        for h in (a, attrdir(c, fh)):
            expect(c.call(putfh(h), openattr(create)), "NOTSUPP" if minor == 0 else "WRONG_TYPE")


# ---- Attributes of both


@over(minor=MINORS)
def test_attributes(t, minor):
    "RFC 7530 5.3, RFC 8881 5.3: each MUST have all required attributes; owner and mode are the object's"
    c = t.client(minor)
    p = t.put("f", mode=0o640)
    os.chown(p, 4711, 4712)
    fh = t.fh(c, "f")
    a = store(c, fh, "x", b"12345678")
    d = attrdir(c, fh)
    more = ("fileid", "mode", "owner", "owner_group", "numlinks", "space_used", "time_modify", "time_access", "time_metadata",
            "mounted_on_fileid", "acl")
    base = c.attrs(fh, *REQUIRED, *more)
    for h, kind, size, mode in ((d, ATTRDIR, None, 0o750), (a, NAMEDATTR, 8, 0o640)):
        got = c.attrs(h, *REQUIRED, *more)
        need(set(got) == set(base), f"{set(base) - set(got)} are missing")
        need(got["type"] == kind and got["filehandle"] == h and got["rdattr_error"] == 0, f"{got}")
        need(size is None or got["size"] == size, f"{got['size']}")
        need(got["mode"] == mode and got["owner"] == base["owner"] and got["owner_group"] == base["owner_group"], f"{got}")
        need(got["fsid"] == base["fsid"] and got["fileid"] != base["fileid"], f"{got}")
        need(got["acl"] == base["acl"], f"{got['acl']}")
        expect(c.call(putfh(h), verify({"type": kind})), "OK")
        expect(c.call(putfh(h), nverify({"type": kind})), "SAME")
        expect(c.call(putfh(h), verify({"type": NF4DIR})), "NOT_SAME")
    before = c.attrs(a, "change")["change"], c.attrs(d, "change")["change"]
    store(c, fh, "x", b"more than that")
    need(c.attrs(a, "change")["change"] != before[0], "change after a write")
    store(c, fh, "y")
    need(c.attrs(d, "change")["change"] != before[1], "change after a create")


@over(minor=MINORS)
def test_setattr(t, minor):
    "RFC 7530 16.32, RFC 8881 18.30: size and times; what is the object's is not set here: PERM"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    a = store(c, fh, "x", b"0123456789")
    expect(c.call(putfh(a), setattr(ANON, {"size": 3})), "OK")
    need(load(c, fh, "x") == b"012", "shorter")
    expect(c.call(putfh(a), setattr(ANON, {"time_modify_set": (1000, 5)})), "OK")
    need(c.attrs(a, "time_modify")["time_modify"] == (1000, 5), "time")
    for h in (a, attrdir(c, fh)):
        for attrs in ({"mode": 0o777}, {"owner": "0"}, {"owner_group": "0"}):
            expect(c.call(putfh(h), setattr(ANON, attrs)), "PERM")
    expect(c.call(putfh(attrdir(c, fh)), setattr(ANON, {"size": 0})), "ISDIR")
    need((t.path / "f").stat().st_mode & 0o7777 == 0o666, "the file's own mode")


# ---- The directory


@over(minor=MINORS, kind=("file", "dir"))
def test_lookupp(t, minor, kind):
    "RFC 8881 18.14.3: LOOKUPP of it gives the object; of an attribute NOTDIR"
    c = t.client(minor)
    t.put("file")
    (t.path / "dir").mkdir()
    fh = c.walk(f"/share/case{t.number}/{kind}")
    a = store(c, fh, "x")
    need(c.call(putfh(fh), openattr(), lookupp(), getfh()).ok().last.fh == fh, "another object")
    need(c.call(putfh(attrdir(c, fh)), lookupp(), getattr("type")).ok().last.attrs["type"] == NUMBER[kind], "type")
    expect(c.call(putfh(a), lookupp()), "NOTDIR")
    expect(c.call(putfh(a), lookup("x")), "NOTDIR")
    expect(c.call(putfh(a), readdir()), "NOTDIR")


@over(minor=MINORS)
def test_readdir(t, minor):
    "RFC 7530 16.24, RFC 8881 18.23: all of them, in pieces, with attributes"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    d = attrdir(c, fh)
    need(c.list(d) == [], "empty")
    want = {f"name{i}": i for i in range(20)}
    for n, size in want.items():
        store(c, fh, n, b"x" * size)
    small = c.list(d, ("type", "size", "filehandle", "fileid", "named_attr", "owner", "mode"), maxcount=600)
    need(len({cookie for _, cookie, _ in small}) == 20, "cookies")
    got = {n if isinstance(n, str) else n.decode(): a for n, _, a in small}
    need({n: a["size"] for n, a in got.items()} == want, f"{got}")
    for n, a in got.items():
        need(a["type"] == NAMEDATTR and not a["named_attr"], f"{a}")
        need(c.call(putfh(d), lookup(n), getfh()).ok().last.fh == a["filehandle"], "handle")
    # Only what the directory knows.
    need(sorted(n if isinstance(n, str) else n.decode() for n, _, _ in c.list(d, ("mounted_on_fileid",))) == sorted(want), "names")
    expect(c.call(putfh(d), readdir(0, b"\0" * 8, 4096, 20, ("type",))), "TOOSMALL")
    expect(c.call(putfh(d), readdir(2)), "BAD_COOKIE")
    # In the listing of the folder, the file has them and is alone.
    entries = c.list(t.dir(c), ("type", "named_attr", "size"))
    need([(bytes(n) if isinstance(n, bytes) else n.encode(), a["named_attr"]) for n, _, a in entries] == [(b"f", True)], f"{entries}")
    t.put("without")
    got = {(n if isinstance(n, str) else n.decode()): a["named_attr"] for n, _, a in c.list(t.dir(c), ("named_attr",))}
    need(got == {"f": True, "without": False}, f"{got}")


BAD = ((b"", "INVAL"), (b"a/b", "BADNAME"), (b"a\0b", "BADCHAR"), (b".", "BADNAME"), (b"..", "BADNAME"),
       (b"x:$DATA", "BADNAME"), (b":$DATA", "BADNAME"), (b"x:$INDEX_ALLOCATION", "BADNAME"), (b"\xff\xfe", "INVAL"),
       (b"n" * 256, "NAMETOOLONG"), (b":" * 100, "NAMETOOLONG"))


@over(minor=MINORS, bad=tuple((repr(n[:12]), n, e) for n, e in BAD))
def test_names(t, minor, bad):
    "RFC 7530 12.7, RFC 8881 14.5: names that SMB could not say of a stream are refused"
    c = t.client(minor)
    t.put("f")
    _, name, error = bad
    fh = t.fh(c, "f")
    store(c, fh, "x")
    d = attrdir(c, fh)
    owner = b"bad names"
    for attempt in (lambda: c.call(putfh(d), lookup(name)), lambda: c.call(putfh(d), remove(name)),
                    lambda: c.call(putfh(d), savefh(), rename(name, b"y")), lambda: c.call(putfh(d), savefh(), rename(b"x", name)),
                    lambda: c.call(putfh(d), secinfo(name)),
                    lambda: c.call(putfh(d), open_(name, BOTH, 0, c.clientid, owner, c.seqid(owner) if minor == 0 else 0,
                                                   how="guarded"))):
        expect(attempt(), error)
    need(names(c, fh) == ["x"], "something was made")


@over(minor=MINORS)
def test_names_of_macos(t, minor):
    "A ':' is kept as Apple's clients of SMB send it; case does not matter, as with streams"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    all_ = ["com.apple.FinderInfo", "com.apple.ResourceFork", "com.apple.metadata:_kMDItemUserTags", "back\\slash", "Zürich \u2603"]
    for n in all_:
        store(c, fh, n.encode(), n.encode())
    need(names(c, fh) == sorted(all_), f"{names(c, fh)}")
    for n in all_:
        need(load(c, fh, n.encode()) == n.encode(), n)
    need(load(c, fh, b"COM.apple.finderINFO") == b"com.apple.FinderInfo", "case")
    # As a client of SMB may have made it: what a ':' would make of it is refused, so it is listed as it is.
    odd = "x\uf022$DATA"
    store(c, fh, odd.encode(), b"odd")
    need(odd in names(c, fh) and load(c, fh, odd.encode()) == b"odd", f"{names(c, fh)}")
    expect(c.call(putfh(attrdir(c, fh)), remove(odd.encode())), "OK")
    expect(c.call(putfh(attrdir(c, fh)), remove(b"com.apple.metadata:_kMDItemUserTags")), "OK")
    need(len(names(c, fh)) == 4, "removed")


@over(minor=MINORS)
def test_rename(t, minor):
    "RFC 8881 18.26.3: within one directory; XDEV between two or with an ordinary one"
    c = t.client(minor)
    t.put("f")
    t.put("g")
    f, g, top = t.fh(c, "f"), t.fh(c, "g"), t.dir(c)
    store(c, f, "x", b"x")
    store(c, f, "y", b"y")
    store(c, g, "z", b"z")
    d, e = attrdir(c, f), attrdir(c, g)
    r = c.call(putfh(d), savefh(), rename("x", "new")).ok().last
    need(r.source.after != r.source.before and r.target.after != r.target.before, f"{r}")
    need(names(c, f) == ["new", "y"] and load(c, f, "new") == b"x", "renamed")
    expect(c.call(putfh(d), savefh(), rename("new", "y")), "OK")
    need(names(c, f) == ["y"] and load(c, f, "y") == b"x", "replaced")
    expect(c.call(putfh(d), savefh(), rename("y", "Y")), "OK")
    need(names(c, f) == ["Y"], "case")
    expect(c.call(putfh(d), savefh(), rename("gone", "there")), "NOENT")
    for source, old, target in ((d, "Y", e), (d, "Y", top), (top, "f", d)):
        expect(c.call(putfh(source), savefh(), putfh(target), rename(old, "moved")), "XDEV")
    need(names(c, f) == ["Y"] and names(c, g) == ["z"], "moved")
    a = c.call(putfh(d), lookup("Y"), getfh()).ok().last.fh
    expect(c.call(putfh(a), savefh(), putfh(d), rename("Y", "no")), "NOTDIR")


@over(minor=MINORS)
def test_link_and_create(t, minor):
    "RFC 8881 5.3, 18.4.3: no links, no CREATE, nothing but attributes"
    c = t.client(minor)
    t.put("f")
    f, top = t.fh(c, "f"), t.dir(c)
    a = store(c, f, "x")
    d = attrdir(c, f)
    for source, target in ((a, d), (a, top), (f, d)):
        expect(c.call(putfh(source), savefh(), putfh(target), link("linked")), "XDEV")
    expect(c.call(putfh(d), savefh(), putfh(top), link("linked")), "ISDIR")
    expect(c.call(putfh(f), savefh(), putfh(a), link("linked")), "NOTDIR")
    for kind, kw in ((NF4DIR, {}), (NF4LNK, {"link": b"target"}), (NF4FIFO, {}), (NF4BLK, {"dev": (1, 3)})):
        expect(c.call(putfh(d), create(kind, "made", {}, **kw)), WRONG_TYPE[minor])
    expect(c.call(putfh(a), readlink()), WRONG_TYPE[minor])
    need(names(c, f) == ["x"] and sorted(os.listdir(t.path)) == ["f"], "something was made")


@over(minor=(2,))
def test_no_xattrs(t, minor):
    "RFC 8276 8.4: extended attributes of named attributes: WRONG_TYPE, and the attribute says so"
    c = t.client(minor)
    t.put("f")
    a = store(c, t.fh(c, "f"), "x")
    for op in (setxattr("n", b"v"), getxattr("n"), listxattrs(), removexattr("n")):
        for h in (a, attrdir(c, t.fh(c, "f"))):
            expect(c.call(putfh(h), op), "WRONG_TYPE")
    need(c.attrs(a, "xattr_support")["xattr_support"] is False, "xattr_support")


# ---- Open, read, write, lock


@over(minor=MINORS, how=("unchecked", "guarded", "exclusive", "exclusive41"))
def test_create(t, minor, how):
    "RFC 7530 16.16.5, RFC 8881 18.16.3: each way of creating"
    if minor == 0 and how == "exclusive41":
        return
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    d = attrdir(c, fh)
    owner = b"named " + how.encode() + bytes([minor])
    kw = {"verifier": b"\1\2\3\4\5\6\7\10"} if how.startswith("exclusive") else {}
    o = c.open(d, "new", BOTH, 0, owner, how=how, **kw)
    need(c.attrs(o.fh, "type", "size") == {"type": NAMEDATTR, "size": 0}, "what was made")
    need(33 not in o.attrset, "the mode is the object's")
    need(o.cinfo.after != o.cinfo.before, "change of the directory")

    def again(name="new", how=how, **more):
        return c.call(putfh(d), open_(name, BOTH, 0, c.clientid, owner, c.seqid(owner) if minor == 0 else 0, how=how,
                                      **{**kw, **more}), getfh())
    if how == "guarded":
        expect(again(), "EXIST")
        expect(again("NEW"), "EXIST")
    elif how == "unchecked":
        c.call(putfh(o.fh), write(o.stateid, 0, b"12345")).ok()
        need(again().ok().last.fh == o.fh, "another file")
        need(c.attrs(o.fh, "size")["size"] == 5, "size")
        need(4 in again(attrs={"size": 2}).ok().op("OPEN").attrset, "size is set")
        need(c.attrs(o.fh, "size")["size"] == 2, "size")
    else:
        need(again().ok().last.fh == o.fh, "a retry with the same verifier is the same request")
        expect(again(verifier=b"another!"), "EXIST")
    expect(c.call(putfh(d), open_("absent", 1, 0, c.clientid, owner, c.seqid(owner) if minor == 0 else 0)), "NOENT")
    r = c.call(putfh(fh), openattr(), lookup("new"), getfh()).ok()
    need(r.last.fh == o.fh, "handle")


@over(minor=MINORS)
def test_truncated_through_an_open_that_denies_writing(t, minor):
    "RFC 7530 16.16.3: an UNCHECKED create of what is there sets its size, whatever it denies others"
    c = t.client(minor)
    t.put("f")
    t.put("plain")
    fh = t.fh(c, "f")
    a = store(c, fh, "x", b"0123456789")
    for where, name, h in ((attrdir(c, fh), "x", a), (t.dir(c), "plain", t.fh(c, "plain"))):
        owner = b"deny " + name.encode()
        o = c.open(where, name, BOTH, 3, owner, how="unchecked", attrs={"size": 0})
        need(c.attrs(h, "size")["size"] == 0, "size")
        expect(close_it(c, o, owner), "OK")


@over(minor=MINORS)
def test_read_write_commit(t, minor):
    "RFC 7530 16.3, 16.23, 16.36: as of any file; large ones, beyond the end, the verifier"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    owner = b"rw"
    o = c.open(attrdir(c, fh), "big", BOTH, 0, owner, how="guarded")
    data = os.urandom(200000)
    w = c.call(putfh(o.fh), write(o.stateid, 0, data[:100000])).ok().last
    c.call(putfh(o.fh), write(o.stateid, 100000, data[100000:])).ok()
    need(c.call(putfh(o.fh), commit()).ok().last.verifier == w.verifier, "verifier")
    got = b"".join(c.call(putfh(o.fh), read(o.stateid, i, 50000)).ok().last.data for i in range(0, 200000, 50000))
    need(got == data, "data")
    r = c.call(putfh(o.fh), read(o.stateid, 199999, 100)).ok().last
    need(r.eof and r.data == data[-1:], "end")
    expect(c.call(putfh(o.fh), setattr(o.stateid, {"size": 10})), "OK")
    expect(close_it(c, o, owner), "OK")
    need(load(c, fh, "big") == data[:10], "without an open")
    need((t.path / "f").read_bytes() == b"0123456789", "the file itself")
    expect(c.call(putfh(attrdir(c, fh)), read(ANON, 0, 1)), "ISDIR")
    expect(c.call(putfh(attrdir(c, fh)), write(ANON, 0, b"x")), "ISDIR")
    expect(c.call(putfh(attrdir(c, fh)), commit()), "ISDIR")


@over(minor=MINORS)
def test_share_reservations(t, minor):
    "RFC 7530 9.9, RFC 8881 9.7: deny modes hold, also against those who bring no open"
    c, other = t.client(minor), t.fresh(minor)
    t.put("f")
    fh = t.fh(c, "f")
    a = store(c, fh, "x")
    d = attrdir(c, fh)
    owner = b"deny"
    o = c.open(d, "x", READ, 2, owner)

    def attempt(access, deny):
        return other.call(putfh(d), open_("x", access, deny, other.clientid, b"o", other.seqid(b"o") if minor == 0 else 0))
    while attempt(READ, 0).error == "GRACE":
        pass
    expect(attempt(2, 0), "SHARE_DENIED")
    expect(attempt(READ, 1), "SHARE_DENIED")
    expect(other.call(putfh(a), write(ANON, 0, b"x")), "LOCKED", "SHARE_DENIED")
    expect(attempt(READ, 0), "OK")
    # Of the file itself nothing is denied.
    p = other.open(t.dir(other), "f", BOTH, 0, b"p")
    expect(close_it(other, p, b"p"), "OK")
    expect(close_it(c, o, owner), "OK")
    expect(attempt(2, 0), "OK")


@over(minor=MINORS)
def test_locks(t, minor):
    "RFC 7530 16.10 to 16.12, RFC 8881 18.10 to 18.12: byte ranges of a named attribute"
    c, other = t.client(minor), t.fresh(minor)
    t.put("f")
    fh = t.fh(c, "f")
    store(c, fh, "x")
    owner = b"lock"
    o = c.open(attrdir(c, fh), "x", BOTH, 0, owner)
    p = other.open(attrdir(other, fh), "x", BOTH, 0, owner)

    def set_lock(who, opened, start):
        return who.call(putfh(opened.fh), lock(2, start, 10, opened.stateid, who.clientid, b"l%d" % start,
                                               who.seqid(owner) if minor == 0 else 0, 1))
    s = set_lock(c, o, 0).ok().last.stateid
    expect(set_lock(other, p, 5), "DENIED")
    expect(set_lock(other, p, 10), "OK")
    expect(other.call(putfh(p.fh), lockt(2, 0, 5, other.clientid, b"t")), "DENIED")
    expect(other.call(putfh(fh), lockt(2, 0, 5, other.clientid, b"t")), "OK")
    expect(c.call(putfh(o.fh), locku(2, 0, 10, s, 2)), "OK")
    expect(other.call(putfh(p.fh), lockt(2, 0, 5, other.clientid, b"t")), "OK")


@over(minor=(1, 2))
def test_open_by_handle(t, minor):
    "RFC 8881 18.16.3: CLAIM_FH of a named attribute; of the directory ISDIR"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    a = store(c, fh, "x")
    r = c.call(putfh(a), open_(None, BOTH, 0, c.clientid, b"fh", claim=4), getfh(), getattr("type"))
    need(r.ok().op("GETFH").fh == a and r.last.attrs["type"] == NAMEDATTR, f"{r}")
    expect(c.close(a, r.op("OPEN").stateid), "OK")
    expect(c.call(putfh(attrdir(c, fh)), open_(None, READ, 0, c.clientid, b"fh", claim=4)), "ISDIR")
    s = c.open(attrdir(c, fh), "x", READ, 0, b"wide")
    expect(c.call(putfh(t.dir(c)), read(s.stateid, 0, 1)), "ISDIR")
    expect(c.call(putfh(fh), read(s.stateid, 0, 1)), "BAD_STATEID")


def test_replayed_open_4_0(t):
    "RFC 7530 9.1.9: a repeated OPEN makes the named attribute current, not a file of its own"
    c = t.client(0)
    t.put("f")
    fh = t.fh(c, "f")
    d = attrdir(c, fh)
    o = c.open(d, "x", BOTH, 0, b"again", how="guarded")
    expect(close_it(c, o, b"again"), "OK")
    n = c.seqid(b"again")
    first, second = (c.call(putfh(d), open_("y", BOTH, 0, c.clientid, b"again", n, how="guarded"), getfh(), getattr("type"))
                     for _ in range(2))
    need(first.ok().op("GETFH").fh == second.ok().op("GETFH").fh, "handle")
    need(second.last.attrs["type"] == NAMEDATTR, "type")


@over(minor=(2,))
def test_space(t, minor):
    "RFC 7862 15: ALLOCATE, DEALLOCATE, SEEK, READ_PLUS and COPY"
    c = t.client(minor)
    t.put("f", b"from the file")
    fh = t.fh(c, "f")
    store(c, fh, "x", b"1" * 100000)
    o = c.open(attrdir(c, fh), "x", BOTH, 0, b"space")
    expect(c.call(putfh(o.fh), allocate(o.stateid, 0, 200000)), "OK")
    need(c.attrs(o.fh, "size")["size"] == 200000, "size")
    expect(c.call(putfh(o.fh), seek(o.stateid, 0)), "OK")
    expect(c.call(putfh(o.fh), read_plus(o.stateid, 0, 100)), "OK")
    f = c.open(t.dir(c), "f", READ, 0, b"space")
    expect(c.call(putfh(fh), savefh(), putfh(o.fh), copy(f.stateid, o.stateid, 0, 0, 13)), "OK")
    need(load(c, fh, "x")[:14] == b"from the file1", "copied")


# ---- Who may


@over(minor=MINORS)
def test_rights(t, minor):
    "RFC 8881 6.2.1.3.1: who may read the object may read them, who may write it may write, make and remove them"
    c = t.client(minor)
    p = t.put("f", mode=0o644)
    os.chown(p, 0, 0)
    fh = t.fh(c, "f")
    a = store(c, fh, "x", b"secret")
    d = attrdir(c, fh)
    other = t.fresh(minor, uid=4711)
    o = b"stranger"

    def open_as(name, access, how=None):
        r = other.call(putfh(d), open_(name, access, 0, other.clientid, o, other.seqid(o) if minor == 0 else 0, how=how), getfh())
        if r.error == "GRACE":
            return open_as(name, access, how)
        return r
    need(load(other, fh, "x") == b"secret", "read")
    expect(open_as("x", READ), "OK")
    for access_, how in ((2, None), (BOTH, None), (BOTH, "unchecked")):
        expect(open_as("x", access_, how), "ACCESS")
    expect(open_as("y", BOTH, "guarded"), "ACCESS")
    expect(open_as("y", READ, "guarded"), "ACCESS")
    refused = (write(ANON, 0, b"x"), setattr(ANON, {"size": 0}), setattr(ANON, {"time_modify_set": (1, 0)}),
               setattr(ANON, {"mode": 0o777}))
    for op in refused:
        expect(other.call(putfh(a), op), "ACCESS", "PERM")
    expect(other.call(putfh(d), remove("x")), "ACCESS")
    expect(other.call(putfh(d), savefh(), rename("x", "y")), "ACCESS")
    r = other.call(putfh(a), access(0x3F)).ok().last
    need(r.access == 0x01, f"{r.access:#x}")
    r = other.call(putfh(d), access(0x3F)).ok().last
    need(r.access == 0x03, f"{r.access:#x}")
    # The handles are known already; the file is shut.
    os.chmod(p, 0o600)
    for op in (*refused, read(ANON, 0, 10)):
        expect(other.call(putfh(a), op), "ACCESS", "PERM")
    for op in (lookup("x"), readdir(), remove("x"), open_("x", READ, 0, other.clientid, b"shut", 1)):
        expect(other.call(putfh(d), op), "ACCESS")
    for create_ in (False, True):
        expect(other.call(putfh(fh), openattr(create_)), "ACCESS")
    need(other.call(putfh(a), access(0x3F)).ok().last.access == 0, "rights")
    # Who may write and not read.
    os.chmod(p, 0o602)
    expect(other.call(putfh(a), read(ANON, 0, 10)), "ACCESS")
    expect(other.call(putfh(a), write(ANON, 0, b"S")), "OK")
    need(load(c, fh, "x") == b"Secret", "written")
    # A file without any: its directory is made by who may write.
    q = t.put("g", mode=0o644)
    os.chown(q, 0, 0)
    expect(other.call(putfh(t.fh(other, "g")), openattr(True)), "ACCESS")
    expect(other.call(putfh(t.fh(other, "g")), openattr()), "NOENT")
    os.chmod(q, 0o646)
    expect(other.call(putfh(t.fh(other, "g")), openattr(True)), "OK")


@over(minor=MINORS)
def test_another_users_stateid(t, minor):
    "RFC 8881 18.16.4: READ and WRITE with somebody else's open are judged on their own"
    c = t.client(minor)
    p = t.put("f", mode=0o600)
    os.chown(p, 0, 0)
    fh = t.fh(c, "f")
    store(c, fh, "x", b"secret")
    o = c.open(attrdir(c, fh), "x", BOTH, 0, b"mine")
    stranger = dict(cred=auth_sys(4711, 4711, (), "guest"))
    expect(c.call(putfh(o.fh), read(o.stateid, 0, 10), **stranger), "ACCESS", "BAD_STATEID")
    expect(c.call(putfh(o.fh), write(o.stateid, 0, b"x"), **stranger), "ACCESS", "BAD_STATEID")
    # Who has it open goes on, whatever the mode says by now.
    os.chmod(p, 0)
    need(c.call(putfh(o.fh), read(o.stateid, 0, 10)).ok().last.data == b"secret", "data")


@over(minor=MINORS)
def test_read_only(t, minor):
    "ROFS on a share that is only read; what is there is read"
    c = t.client(minor)
    t.put("f")
    t.put("g")
    fh = t.fh(c, "f")
    a = store(c, fh, "x", b"kept")
    d = attrdir(c, fh)
    t.s.verb("share.set", name="share", **{"read-only": True})
    try:
        need(load(c, fh, "x") == b"kept", "read")
        expect(c.call(putfh(fh), openattr(True)), "OK")
        expect(c.call(putfh(t.fh(c, "g")), openattr(True)), "ROFS")
        for op in (write(ANON, 0, b"x"), setattr(ANON, {"size": 0}), setattr(ANON, {"time_modify_set": (1, 0)})):
            expect(c.call(putfh(a), op), "ROFS")
        expect(c.call(putfh(d), remove("x")), "ROFS")
        expect(c.call(putfh(d), savefh(), rename("x", "y")), "ROFS")
        for name, how in (("new", "guarded"), ("x", None)):
            expect(c.call(putfh(d), open_(name, BOTH, 0, c.clientid, b"ro", c.seqid(b"ro") if minor == 0 else 0, how=how)), "ROFS")
        need(c.call(putfh(d), access(0x3F)).ok().last.access == 0x03, "rights")
    finally:
        t.s.verb("share.set", name="share", **{"read-only": False})


@over(minor=MINORS)
def test_flavor_policy(t, minor):
    "RFC 7530 2.6, RFC 8881 2.6.3.1: WRONGSEC by handle, as for the object; SECINFO tells the share's flavors"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    a = store(c, fh, "x")
    d = attrdir(c, fh)
    r = c.call(putfh(d), secinfo("x")).ok()
    need(len(r.last.flavors) == 1, f"{r.last}")
    if minor:
        expect(c.call(putfh(d), secinfo_no_name(1)), "OK")
        expect(c.call(putfh(a), secinfo_no_name(0)), "OK")
        expect(c.call(putfh(a), secinfo_no_name(1)), "NOTDIR")
    t.s.set_sec("share", ["none"])
    try:
        expect(c.call(putfh(a), read(ANON, 0, 1)), "WRONGSEC")
        expect(c.call(putfh(a), getattr("type")), "WRONGSEC")
        expect(c.call(putfh(d), readdir()), "WRONGSEC")
        expect(c.call(putfh(d), lookup("x")), "WRONGSEC")
        expect(c.call(putfh(d), lookupp()), "WRONGSEC")
        expect(c.call(putfh(fh), openattr()), "WRONGSEC")
    finally:
        t.s.set_sec("share", ["sys"])


# ---- Handles


@over(minor=MINORS)
def test_forged_handles(t, minor):
    "A handle of one kind is not one of another; every byte is sealed"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    a, d = store(c, fh, "x"), attrdir(c, fh)
    for h in (a, d):
        for i in (0, 1, 2, 5, 6, 21, 22, 23, len(h) - 1):
            bad = bytearray(h)
            bad[i] ^= 3
            expect(c.call(putfh(bytes(bad)), getattr("type")), "BADHANDLE")
        expect(c.call(putfh(h[:-1]), getattr("type")), "BADHANDLE")
        for kind in (0, 1, 2, 3, 255):  # the kind alone
            if kind != h[1]:
                expect(c.call(putfh(h[:1] + bytes([kind]) + h[2:]), getattr("type")), "BADHANDLE")
    need(fh[1] == 0 and d[1] == 1 and a[1] == 2, "kinds")
    # The seal of the file is none for its attributes.
    expect(c.call(putfh(fh[:1] + b"\1" + fh[2:]), readdir()), "BADHANDLE")


@over(minor=MINORS)
def test_gone_with_the_file(t, minor):
    "They follow the file through rename and link, and go with its last name: STALE"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    a, d, top = store(c, fh, "x", b"kept"), attrdir(c, fh), t.dir(c)
    expect(c.call(putfh(fh), savefh(), putfh(top), link("g")), "OK")
    expect(c.call(putfh(top), savefh(), rename("f", "h")), "OK")
    expect(c.call(putfh(top), remove("h")), "OK")
    need(load(c, t.fh(c, "g"), "x") == b"kept" and attrdir(c, t.fh(c, "g")) == d, "by the other name")
    need(c.call(putfh(a), read(ANON, 0, 10)).ok().last.data == b"kept", "by handle")
    expect(c.call(putfh(top), remove("g")), "OK")
    for h in (a, d):
        expect(c.call(putfh(h), getattr("type")), "STALE")
    # One that is made under the old name has none.
    t.put("g")
    expect(c.call(putfh(t.fh(c, "g")), openattr()), "NOENT")


@over(minor=MINORS)
def test_open_while_the_file_goes(t, minor):
    "RFC 7530 16.26.5, RFC 8881 18.25.4: what is open is read and closed, as of a file that was removed"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    d = attrdir(c, fh)
    o = c.open(d, "x", BOTH, 0, b"going", how="guarded")
    c.call(putfh(o.fh), write(o.stateid, 0, b"still here")).ok()
    expect(c.call(putfh(t.dir(c)), remove("f")), "OK")
    need(c.call(putfh(o.fh), read(o.stateid, 0, 20)).ok().last.data == b"still here", "data")
    expect(c.call(putfh(d), readdir()), "STALE")
    expect(c.call(putfh(o.fh), openattr()), "NOTSUPP" if minor == 0 else "WRONG_TYPE")
    expect(close_it(c, o, b"going"), "OK")
    expect(c.call(putfh(o.fh), getattr("type")), "STALE")


@over(minor=MINORS)
def test_removed(t, minor):
    "RFC 7530 16.26: REMOVE; its handle is STALE, the others' stay"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    x, y, d = store(c, fh, "x"), store(c, fh, "y"), attrdir(c, fh)
    expect(c.call(putfh(d), remove("X")), "OK")
    expect(c.call(putfh(d), remove("x")), "NOENT")
    expect(c.call(putfh(x), getattr("size")), "STALE")
    expect(c.call(putfh(y), getattr("size")), "OK")
    expect(c.call(putfh(x), remove("y")), "STALE", "NOTDIR")
    expect(c.call(putfh(y), remove("y")), "NOTDIR")


@over(minor=MINORS)
def test_nothing_by_way_of_the_current_handle(t, minor):
    "SAVEFH, RESTOREFH and LOOKUPP keep what a handle belongs to; an ordinary PUTFH forgets it"
    c = t.client(minor)
    p = t.put("f", mode=0o600)
    os.chown(p, 0, 0)
    t.put("open to all")
    fh, pub = t.fh(c, "f"), t.fh(c, "open to all")
    a = store(c, fh, "x")
    store(c, pub, "y")
    r = c.call(putfh(a), savefh(), putfh(pub), getattr("type"), restorefh(), getattr("type"), getfh()).ok()
    need(r.last.fh == a and [x.attrs["type"] for x in r.results if x.name == "GETATTR"] == [NF4REG, NAMEDATTR], f"{r}")
    other = t.fresh(minor, uid=4711)
    expect(other.call(putfh(pub), openattr(), savefh(), putfh(a), read(ANON, 0, 1)), "ACCESS")
    expect(other.call(putfh(a), savefh(), putfh(pub), openattr(), lookup("y"), restorefh(), read(ANON, 0, 1)), "ACCESS")
    expect(other.call(putfh(pub), openattr(), putfh(a), write(ANON, 0, b"x")), "ACCESS")


def test_after_a_restart(t):
    "RFC 7530 4.2.2: the handles are persistent; an open of a named attribute is reclaimed"
    c = t.fresh(1)
    t.put("f")
    fh = t.fh(c, "f")
    a, d = store(c, fh, "x", b"kept"), attrdir(c, fh)
    o = c.open(d, "x", BOTH, 0, b"reclaim")
    cookie = c.list(d)[0][1]
    t.s.kill()
    t.s.start()
    again = _again(t, c)
    r = again.call(putfh(a), open_(None, BOTH, 0, again.clientid, b"reclaim", claim=1, claim_args=b"\0\0\0\0"), getfh(), getattr("type"))
    need(r.ok().op("GETFH").fh == o.fh == a and r.last.attrs["type"] == NAMEDATTR, f"{r}")
    need(again.call(putfh(a), read(r.op("OPEN").stateid, 0, 10)).ok().last.data == b"kept", "data")
    need(again.call(putfh(d), getattr("type")).ok().last.attrs["type"] == ATTRDIR, "directory")
    expect(again.call(putfh(d), readdir(cookie)), "OK")
    need(again.call(putfh(d), lookup("x"), getfh()).ok().last.fh == a, "handle")


def _again(t, old):
    """The same client, before it says that it has reclaimed all."""
    s = Session(t.conn(cred=auth_sys(0, 0, (), "guest")), minor=1, owner=old.owner, verifier=old.verifier, reclaim=False)
    s.minor = 1
    return s


if __name__ == "__main__":
    sys.exit(main(globals()))
