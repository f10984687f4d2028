#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""CREATE, READDIR, REMOVE, RENAME and LINK."""

import os
import sys

from conform import *

SPECIAL = ("dir", "link", "blk", "chr", "fifo", "sock")


def make(kind, name, attrs=None):
    return create(NUMBER[kind], name, attrs, link="target", dev=(1, 3))


# ---- CREATE


@over(minor=MINORS, kind=SPECIAL)
def test_create(t, minor, kind):
    "RFC 7530 16.4: each type but regular files; it becomes the current file handle"
    c = t.client(minor)
    top = t.dir(c)
    r = c.call(putfh(top), make(kind, "new", {"mode": 0o740} if kind != "link" else None), getfh(),
               getattr("type", "mode", "fileid")).ok()
    need(r.last.attrs["type"] == NUMBER[kind], f"{r.last.attrs}")
    if kind != "link":
        need(r.last.attrs["mode"] == 0o740, f"{r.last.attrs['mode']:o}")
        need(33 in r.op("CREATE").attrset, f"{r.op('CREATE').attrset}")
    need(c.walk(f"/share/case{t.number}/new") == r.op("GETFH").fh, "LOOKUP gives another handle")
    st = os.lstat(t.path / "new")
    need(st.st_ino == r.last.attrs["fileid"], "another file on the disk")
    if kind in ("blk", "chr"):
        need(st.st_rdev == os.makedev(1, 3), "another device")
    if kind == "link":
        need(os.readlink(t.path / "new") == "target", "another target")


@over(minor=MINORS, kind=SPECIAL)
def test_create_existing(t, minor, kind):
    "RFC 7530 16.4.5: EXIST, whatever is there"
    c = t.client(minor)
    top = t.dir(c)
    t.put("file")
    (t.path / "folder").mkdir()
    (t.path / "link").symlink_to("absent")
    for name in ("file", "folder", "link"):
        expect(c.call(putfh(top), make(kind, name)), "EXIST")


@over(minor=MINORS, kind=(NF4REG, 8, 9, 0, 99))
def test_create_bad_type(t, minor, kind):
    "RFC 7530 16.4.5: BADTYPE for regular files, attribute directories and unknown types"
    c = t.client(minor)
    expect(c.call(putfh(t.dir(c)), create(kind, "x")), "BADTYPE")


@over(minor=MINORS, kind=SPECIAL, attr=(("size", 0), ("fileid", 1), ("lease_time", 5), ("type", 2)))
def test_create_bad_attribute(t, minor, kind, attr):
    "RFC 7530 16.4.5: attributes that cannot be set: INVAL, and nothing is made"
    c = t.client(minor)
    expect(c.call(putfh(t.dir(c)), make(kind, "x", {attr[0]: attr[1]})), "INVAL")
    need(os.listdir(t.path) == [], "made all the same")


@over(minor=MINORS, kind=SPECIAL)
def test_create_unsupported_attribute(t, minor, kind):
    "RFC 7530 16.4.5: ATTRNOTSUPP, and nothing is made"
    c = t.client(minor)
    expect(c.call(putfh(t.dir(c)), make(kind, "x", {90: b"\0\0\0\1"})), "ATTRNOTSUPP")
    need(os.listdir(t.path) == [], "made all the same")


@over(minor=MINORS, target=("", "x" * 5000))
def test_create_bad_link(t, minor, target):
    "RFC 7530 16.4.5: an empty target is INVAL (or NOENT), one too long NAMETOOLONG"
    c = t.client(minor)
    expect(c.call(putfh(t.dir(c)), create(NF4LNK, "x", link=target)),
           *(("NAMETOOLONG",) if target else ("INVAL", "NOENT")))


@over(minor=MINORS, target=("a", "/abs/olute", "../../..", "x" * 1000, "ünïcode", "a//b/", " "))
def test_create_link(t, minor, target):
    "RFC 7530 16.25: READLINK gives the target back as it came"
    c = t.client(minor)
    r = c.call(putfh(t.dir(c)), create(NF4LNK, "x", link=target), readlink(), getattr("size")).ok()
    need(r.op("READLINK").link.decode() == target, f"{r.op('READLINK').link}")
    need(r.last.attrs["size"] == len(target.encode()), f"{r.last.attrs}")


@over(minor=MINORS)
def test_create_without_permission(t, minor):
    "RFC 7530 16.4.5: ACCESS; devices PERM (or ACCESS)"
    (t.path / "closed").mkdir(mode=0o755)
    u = t.fresh(minor, uid=1234)
    expect(u.call(putfh(t.fh(u, "closed")), make("dir", "x")), "ACCESS")
    expect(u.call(putfh(t.dir(u)), make("blk", "x")), "PERM", "ACCESS")
    expect(u.call(putfh(t.dir(u)), make("dir", "mine")), "OK")
    need((t.path / "mine").stat().st_uid == 1234, "another owner")


# ---- READDIR


@over(minor=MINORS)
def test_readdir_empty(t, minor):
    "RFC 7530 16.24: neither . nor .., eof at once"
    c = t.client(minor)
    r = c.call(putfh(t.dir(c)), readdir()).ok().last
    need(r.entries == [] and r.eof, f"{r}")


@over(minor=MINORS, count=(1, 5, 300))
def test_readdir_all(t, minor, count):
    "RFC 7530 16.24: every entry once, also in small pieces; cookies are neither 0, 1 nor 2"
    c = t.client(minor)
    names = {f"name-{i:04}" for i in range(count)}
    for n in names:
        (t.path / n).write_bytes(b"")
    top = t.dir(c)
    for maxcount in (32768, 700):
        got = c.list(top, ("fileid", "type", "filehandle"), maxcount)
        need(sorted(e[0].decode() for e in got) == sorted(names), f"{len(got)} entries")
        need(len({e[1] for e in got}) == count and not {0, 1, 2} & {e[1] for e in got}, "cookies")


@over(minor=MINORS)
def test_readdir_types(t, minor):
    "RFC 7530 16.24: attributes of each entry as GETATTR gives them"
    c = t.client(minor)
    names = ("type", "fileid", "size", "mode", "numlinks", "filehandle", "owner", "rdattr_error")
    got = {n.decode(): a for n, _, a in c.list(c.walk("/share/types"), names)}
    for kind in TYPES:
        a = c.attrs(t.fh(c, kind), *names)
        need(got[kind] == a, f"{kind}: {got[kind]} {a}")


@over(minor=MINORS)
def test_readdir_no_attributes(t, minor):
    "RFC 7530 16.24: names alone"
    c = t.client(minor)
    need({n for n, _, a in c.list(c.walk("/share/types"), ()) if a == {}} >= {k.encode() for k in TYPES},
         "attributes or fewer names")


@over(minor=MINORS, maxcount=(0, 1, 15, 16, 20, 32))
def test_readdir_too_small(t, minor, maxcount):
    "RFC 7530 16.24.5: TOOSMALL when not even one entry fits in maxcount"
    c = t.client(minor)
    expect(c.call(putfh(c.walk("/share/types")), readdir(maxcount=maxcount)), "TOOSMALL")


@over(minor=MINORS, dircount=(0, 1, 20, 1 << 31))
def test_readdir_dircount(t, minor, dircount):
    "RFC 7530 16.24.4: dircount is a hint; some entries come all the same"
    c = t.client(minor)
    r = c.call(putfh(c.walk("/share/types")), readdir(dircount=dircount)).ok().last
    need(r.entries, "no entries")


@over(minor=MINORS, maxcount=(4096, 32768))
def test_readdir_dircount_counts(t, minor, maxcount):
    "RFC 7530 16.24.4: under one maxcount a small dircount gives fewer entries than a large one"
    c = t.client(minor)
    for i in range(40):
        t.put(f"entry-{i:02}", b"")
    top = t.dir(c)
    # A cookie and a name of eight bytes are 20 bytes: what is counted, whatever the attributes are.
    counts = [len(c.call(putfh(top), readdir(dircount=d, maxcount=maxcount, attrs=("fileid", "type", "mode"))).ok().last.entries)
              for d in (1, 100, 200, 1 << 20)]
    need(counts[0] == 1 and counts[1] == 5 and counts[2] == 10, f"{counts}")
    need(counts[3] == 40, f"{counts}")
    need({e[0] for e in c.list(top)} == {b"entry-%02d" % i for i in range(40)}, "not all of them at last")


@over(minor=MINORS, maxcount=(200, 400, 800))
def test_readdir_keeps_to_maxcount(t, minor, maxcount):
    "RFC 7530 16.24.4: the whole READDIR4resok is not larger than maxcount"
    c = t.client(minor)
    for i in range(30):
        t.put(f"entry-{i}", b"")
    top = t.dir(c)
    base = len(c.call(putfh(top)).ok().body)
    r = c.call(putfh(top), readdir(maxcount=maxcount, attrs=("fileid", "type", "mode", "filehandle"))).ok()
    need(len(r.body) - base - 8 <= maxcount, f"{len(r.body) - base - 8} of {maxcount}")
    need(r.last.entries and not r.last.eof, f"{r.last}")


@over(minor=MINORS, cookie=(1, 2))
def test_readdir_reserved_cookie(t, minor, cookie):
    "RFC 7530 16.24.4: cookies 1 and 2 are never given out: BAD_COOKIE"
    c = t.client(minor)
    expect(c.call(putfh(c.walk("/share/types")), readdir(cookie)), "BAD_COOKIE")


@over(minor=MINORS)
def test_readdir_bad_verifier(t, minor):
    "RFC 7530 16.24.5: a verifier that was never given: NOT_SAME (BAD_COOKIE from the start)"
    c = t.client(minor)
    top = c.walk("/share/types")
    r = c.call(putfh(top), readdir(maxcount=300)).ok().last
    expect(c.call(putfh(top), readdir(r.entries[0].cookie, b"othrverf")), "NOT_SAME", "BAD_COOKIE")


@over(minor=MINORS)
def test_readdir_unreadable(t, minor):
    "RFC 7530 16.24.5: ACCESS"
    (t.path / "closed").mkdir(mode=0o711)
    u = t.fresh(minor, uid=1234)
    expect(u.call(putfh(t.fh(u, "closed")), readdir()), "ACCESS")


@over(minor=MINORS)
def test_readdir_without_search(t, minor):
    "RFC 7530 16.24.4: attributes that cannot be had: rdattr_error, when it was asked for"
    t.put("in")
    u = t.fresh(minor, uid=1234)
    fh = t.dir(u)
    t.path.chmod(0o744)
    try:
        r = u.call(putfh(fh), readdir(attrs=("rdattr_error", "size"))).ok().last
        need(r.entries[0].attrs.get("rdattr_error") in (0, ERRORS["ACCESS"]), f"{r.entries}")
        expect(u.call(putfh(fh), readdir(attrs=("size",))), "ACCESS", "OK")
    finally:
        t.path.chmod(0o777)


@over(minor=MINORS)
def test_readdir_continues_after_changes(t, minor):
    "RFC 7530 16.24.4: entries that stay are listed once although others come and go"
    c = t.client(minor)
    stay = {f"stay-{i}" for i in range(40)}
    for n in stay:
        t.put(n, b"")
    top, seen, cookie, verifier, i = t.dir(c), [], 0, b"\0" * 8, 0
    while True:
        r = c.call(putfh(top), readdir(cookie, verifier, maxcount=400)).ok().last
        seen += [e.name.decode() for e in r.entries]
        if r.eof:
            break
        cookie, verifier, i = r.entries[-1].cookie, r.verifier, i + 1
        t.put(f"new-{i}", b"")
        if i > 2:
            (t.path / f"new-{i - 2}").unlink(missing_ok=True)
    need(sorted(n for n in seen if n in stay) == sorted(stay), "lost or doubled")


@over(minor=MINORS)
def test_readdir_root(t, minor):
    "RFC 7530 7.4: the pseudo file system lists the shares, whose fsid differs"
    c = t.client(minor)
    root = c.walk("/")
    got = {n.decode(): a for n, _, a in c.list(root, ("type", "fsid", "mounted_on_fileid", "fileid"))}
    need(set(got) == {"share", "other"}, f"{got}")
    need(all(a["type"] == NF4DIR for a in got.values()), "no directories")
    need(got["share"]["fsid"] != c.attrs(root, "fsid")["fsid"], "the share's fsid is the root's")


# ---- REMOVE


@over(minor=MINORS, kind=TYPES)
def test_remove(t, minor, kind):
    "RFC 7530 16.26: each type; the name is gone"
    c = t.client(minor)
    top = t.dir(c)
    if kind == "file":
        t.put("x")
    else:
        c.call(putfh(top), make(kind, "x")).ok()
    r = c.call(putfh(top), remove("x")).ok().last
    need(r.cinfo.after != r.cinfo.before, "change_info stands still")
    expect(c.call(putfh(top), remove("x")), "NOENT")
    need(os.listdir(t.path) == [], "still there")


@over(minor=MINORS)
def test_remove_not_empty(t, minor):
    "RFC 7530 16.26.4: NOTEMPTY"
    c = t.client(minor)
    (t.path / "d" / "e").mkdir(parents=True)
    expect(c.call(putfh(t.dir(c)), remove("d")), "NOTEMPTY")


@over(minor=MINORS)
def test_remove_without_permission(t, minor):
    "RFC 7530 16.26.5: ACCESS (or PERM) in a directory that cannot be written"
    (t.path / "closed").mkdir(mode=0o755)
    (t.path / "closed" / "f").write_bytes(b"")
    u = t.fresh(minor, uid=1234)
    expect(u.call(putfh(t.fh(u, "closed")), remove("f")), "ACCESS", "PERM")


@over(minor=MINORS)
def test_remove_in_root(t, minor):
    "RFC 7530 16.26.5: the pseudo file system cannot be changed"
    c = t.client(minor)
    for op in (remove("share"), create(NF4DIR, "x")):
        expect(c.call(putrootfh(), op), "ROFS", "ACCESS", "PERM", "NOTEMPTY", "EXIST")
    expect(c.call(putrootfh(), savefh(), rename("share", "y")), "ROFS", "ACCESS", "PERM", "XDEV")
    need(set(os.listdir(t.suite.folder)), "the share was emptied")


@over(minor=MINORS)
def test_remove_open_file(t, minor):
    "RFC 7530 16.26.4: an open file may be removed (or FILE_OPEN); the open stays usable"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", access=BOTH, owner=b"remove-open", how="unchecked")
    expect(c.call(putfh(t.dir(c)), remove("f")), "OK")
    c.call(putfh(o.fh), write(o.stateid, 0, b"still here", FILE_SYNC)).ok()
    need(c.call(putfh(o.fh), read(o.stateid, 0, 20)).ok().last.data == b"still here", "lost")
    expect(c.close(o.fh, o.stateid, *([b"remove-open"] if minor == 0 else [])), "OK")


# ---- RENAME


def mv(a, old, b, new):
    return [putfh(a), savefh(), putfh(b), rename(old, new)]


@over(minor=MINORS, kind=TYPES)
def test_rename(t, minor, kind):
    "RFC 7530 16.27: each type, from one directory to another; the handle stays good"
    c = t.client(minor)
    (t.path / "a").mkdir()
    (t.path / "b").mkdir()
    a, b = t.fh(c, "a"), t.fh(c, "b")
    if kind == "file":
        (t.path / "a" / "x").write_bytes(b"1")
        fh = t.fh(c, "a/x")
    else:
        fh = c.call(putfh(a), make(kind, "x"), getfh()).ok().last.fh
    r = c.call(*mv(a, "x", b, "y")).ok().last
    need(r.source.after != r.source.before and r.target.after != r.target.before, f"{r}")
    need(c.attrs(fh, "type")["type"] == NUMBER[kind], "the handle is not good any more")
    need(t.fh(c, "b/y") == fh, "another handle")
    expect(c.call(putfh(a), lookup("x")), "NOENT")


TARGETS = ("absent", "file", "dir", "full")
RENAMES = {  # source, target: the answer
    ("file", "absent"): ("OK",), ("file", "file"): ("OK",), ("file", "dir"): ("EXIST", "ISDIR"),
    ("file", "full"): ("EXIST", "ISDIR", "NOTEMPTY"), ("dir", "absent"): ("OK",),
    ("dir", "file"): ("EXIST", "NOTDIR"), ("dir", "dir"): ("OK",),
    ("dir", "full"): ("EXIST", "NOTEMPTY"), ("link", "file"): ("OK",), ("link", "dir"): ("EXIST", "ISDIR"),
    ("fifo", "file"): ("OK",), ("fifo", "dir"): ("EXIST", "ISDIR"), ("sock", "file"): ("OK",),
}


@over(minor=MINORS, pair=tuple((f"{a}-over-{b}", a, b) for a, b in RENAMES))
def test_rename_over(t, minor, pair):
    "RFC 7530 16.27.4: compatible targets are replaced, others EXIST or NOTEMPTY"
    c = t.client(minor)
    _, source, target = pair
    top = t.dir(c)
    if source == "file":
        t.put("s")
    else:
        c.call(putfh(top), make(source, "s")).ok()
    if target == "file":
        t.put("t")
    elif target in ("dir", "full"):
        (t.path / "t").mkdir()
    if target == "full":
        (t.path / "t" / "in").mkdir()
    ino = os.lstat(t.path / "s").st_ino
    r = expect(c.call(*mv(top, "s", top, "t")), *RENAMES[source, target])
    where = "t" if r.error == "OK" else "s"
    need(os.lstat(t.path / where).st_ino == ino, "not where it should be")


@over(minor=MINORS)
def test_rename_absent(t, minor):
    "RFC 7530 16.27.5: NOENT"
    c = t.client(minor)
    top = t.dir(c)
    expect(c.call(*mv(top, "absent", top, "x")), "NOENT")


@over(minor=MINORS, kind=("file", "dir"))
def test_rename_to_itself(t, minor, kind):
    "RFC 7530 16.27.4: same file, nothing to do: OK and nothing changes"
    c = t.client(minor)
    t.put("x") if kind == "file" else (t.path / "x").mkdir()
    top = t.dir(c)
    before = c.attrs(top, "change")
    r = c.call(*mv(top, "x", top, "x")).ok().last
    need(os.listdir(t.path) == ["x"], "changed")
    need(r.source.before == r.source.after, "change_info says that something changed")
    need(c.attrs(top, "change") == before, "the directory's change attribute moved")


@over(minor=MINORS)
def test_rename_to_hard_link(t, minor):
    "RFC 7530 16.27.4: old and new are names of one file: OK, both stay"
    c = t.client(minor)
    os.link(t.put("x"), t.path / "y")
    top = t.dir(c)
    c.call(*mv(top, "x", top, "y")).ok()
    need(sorted(os.listdir(t.path)) == ["x", "y"], f"{os.listdir(t.path)}")


@over(minor=MINORS)
def test_rename_into_itself(t, minor):
    "RFC 7530 16.27.4: a directory into its own subtree: INVAL"
    c = t.client(minor)
    (t.path / "a" / "b").mkdir(parents=True)
    top = t.dir(c)
    expect(c.call(*mv(top, "a", t.fh(c, "a"), "x")), "INVAL")
    expect(c.call(*mv(top, "a", t.fh(c, "a/b"), "x")), "INVAL")


@over(minor=MINORS)
def test_rename_over_ancestor(t, minor):
    "RFC 7530 16.27.4: onto a directory that it lies in: NOTEMPTY or EXIST"
    c = t.client(minor)
    (t.path / "a" / "b").mkdir(parents=True)
    expect(c.call(*mv(t.fh(c, "a"), "b", t.dir(c), "a")), "NOTEMPTY", "EXIST", "INVAL")


@over(minor=MINORS)
def test_rename_across_shares(t, minor):
    "RFC 7530 16.27.5: XDEV"
    c = t.client(minor)
    t.put("x")
    expect(c.call(*mv(t.dir(c), "x", c.walk("/other"), "x")), "XDEV")


@over(minor=MINORS)
def test_rename_without_permission(t, minor):
    "RFC 7530 16.27.5: ACCESS on either side"
    (t.path / "closed").mkdir(mode=0o755)
    (t.path / "closed" / "f").write_bytes(b"")
    u = t.fresh(minor, uid=1234)
    t.put("mine").chmod(0o666)
    closed, top = t.fh(u, "closed"), t.dir(u)
    expect(u.call(*mv(closed, "f", top, "g")), "ACCESS", "PERM")
    expect(u.call(*mv(top, "mine", closed, "g")), "ACCESS", "PERM")


# ---- LINK


@over(minor=MINORS, kind=[k for k in TYPES if k != "dir"])
def test_link(t, minor, kind):
    "RFC 7530 16.9: each type but directories; numlinks and change move"
    c = t.client(minor)
    top = t.dir(c)
    if kind == "file":
        t.put("x")
        fh = t.fh(c, "x")
    else:
        fh = c.call(putfh(top), make(kind, "x"), getfh()).ok().last.fh
    before = c.attrs(fh, "numlinks", "change", "fileid")
    r = c.call(putfh(fh), savefh(), putfh(top), link("y"), getfh()).ok()
    need(r.last.fh == top, "the current file handle moved")
    after = c.attrs(fh, "numlinks", "change", "fileid")
    need(after["numlinks"] == before["numlinks"] + 1 and after["change"] != before["change"], f"{after}")
    need(c.attrs(t.fh(c, "y"), "fileid")["fileid"] == before["fileid"], "another file")


@over(minor=MINORS)
def test_link_refused(t, minor):
    "RFC 7530 16.9.5: a directory ISDIR, a name that is there EXIST, another share XDEV"
    c = t.client(minor)
    t.put("x")
    (t.path / "d").mkdir()
    fh, top = t.fh(c, "x"), t.dir(c)
    expect(c.call(putfh(t.fh(c, "d")), savefh(), putfh(top), link("y")), "ISDIR", "PERM")
    expect(c.call(putfh(fh), savefh(), putfh(top), link("d")), "EXIST")
    expect(c.call(putfh(fh), savefh(), putfh(top), link("x")), "EXIST")
    expect(c.call(putfh(fh), savefh(), putfh(c.walk("/other")), link("y")), "XDEV")


@over(minor=MINORS)
def test_link_without_permission(t, minor):
    "RFC 7530 16.9.5: ACCESS"
    t.put("x")
    (t.path / "closed").mkdir(mode=0o755)
    u = t.fresh(minor, uid=1234)
    expect(u.call(putfh(t.fh(u, "x")), savefh(), putfh(t.fh(u, "closed")), link("y")), "ACCESS", "PERM")


if __name__ == "__main__":
    sys.exit(main(globals()))
