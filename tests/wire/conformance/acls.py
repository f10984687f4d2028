#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The acl attribute: kept as it came, in step with the mode, and obeyed."""

import os
import sys

from conform import *

ALLOW, DENY, AUDIT, ALARM = 0, 1, 2, 3
READ_DATA, WRITE_DATA, APPEND, EXECUTE = 1, 2, 4, 0x20
READ_ATTRS, WRITE_ATTRS, READ_ACL, WRITE_ACL = 0x80, 0x100, 0x20000, 0x40000
FILE_INHERIT, DIR_INHERIT, GROUP = 1, 2, 0x40
OWNER_ALL = (ALLOW, 0, 0x1601FF, "OWNER@")
OTHERS_READ = (ALLOW, 0, READ_DATA | READ_ATTRS | READ_ACL, "EVERYONE@")


def put_acl(c, fh, acl):
    return c.call(putfh(fh), setattr(ANON, {"acl": acl}))


def get_acl(c, fh):
    return c.attrs(fh, "acl")["acl"]


@over(minor=MINORS, kind=("file", "dir"))
def test_supported(t, minor, kind):
    "RFC 7530 6.2.1.1: aclsupport tells of ALLOW and DENY; an ACL can be read of files and directories"
    c = t.client(minor)
    a = c.attrs(t.fh(c, kind), "aclsupport", "supported_attrs", "acl")
    need(a["aclsupport"] & 3 == 3, f"aclsupport {a['aclsupport']}")
    need("acl" in a["supported_attrs"] and a.get("acl"), "no ACL")


@over(minor=MINORS, kind=("file", "dir"))
def test_from_mode(t, minor, kind):
    "RFC 7530 6.3.2: without an ACL of its own, what the mode says"
    c = t.client(minor)
    p = t.put("x") if kind == "file" else t.path / "x"
    p.is_file() or p.mkdir()
    p.chmod(0o640)
    whos = {a[3]: a for a in get_acl(c, t.fh(c, "x")) if a[0] == ALLOW}
    need({"OWNER@", "GROUP@", "EVERYONE@"} >= set(whos), f"{whos}")
    need(whos["OWNER@"][2] & 3 == 3, f"{whos}")
    need(not whos.get("EVERYONE@", (0, 0, 0))[2] & 3, f"{whos}")


@over(minor=MINORS, kind=("file", "dir"), acl=(
    ("plain", [OWNER_ALL, OTHERS_READ]), ("deny", [(DENY, 0, WRITE_DATA, "EVERYONE@"), OWNER_ALL]),
    ("group", [OWNER_ALL, (ALLOW, GROUP, READ_DATA, "GROUP@")]), ("numeric user", [OWNER_ALL, (ALLOW, 0, READ_DATA, "1234")]),
    ("numeric group", [OWNER_ALL, (ALLOW, GROUP, READ_DATA, "1234")]),
    ("many", [OWNER_ALL] + [(ALLOW, 0, READ_DATA, str(2000 + i)) for i in range(60)])))
def test_round_trip(t, minor, kind, acl):
    "RFC 7530 6.2.1: what is set comes back, entry by entry"
    c = t.client(minor)
    p = t.put("x") if kind == "file" else t.path / "x"
    p.is_file() or p.mkdir()
    fh = t.fh(c, "x")
    r = put_acl(c, fh, acl[1]).ok()
    need(12 in r.last.attrset, f"{r.last.attrset}")
    got = get_acl(c, fh)
    need([(a[0], a[2] & 0x1F) for a in got] == [(a[0], a[2] & 0x1F) for a in acl[1]], f"{got}")
    need([a[3].partition("@")[0] for a in got] == [a[3].partition("@")[0] for a in acl[1]], f"{got}")


@over(minor=MINORS)
def test_change_moves(t, minor):
    "RFC 7530 5.8.1.4: setting an ACL moves the change attribute"
    c = t.client(minor)
    t.put("x")
    fh = t.fh(c, "x")
    before = c.attrs(fh, "change")
    put_acl(c, fh, [OWNER_ALL]).ok()
    need(c.attrs(fh, "change") != before, "stands still")


@over(minor=MINORS)
def test_mode_follows(t, minor):
    "RFC 8881 6.4.1.2: setting an ACL sets the nine bits of the mode by it"
    c = t.client(minor)
    t.put("x", mode=0o777)
    fh = t.fh(c, "x")
    put_acl(c, fh, [OWNER_ALL, OTHERS_READ]).ok()
    mode = c.attrs(fh, "mode")["mode"]
    need(mode & 0o777 == 0o744, f"{mode:o}")


@over(minor=MINORS)
def test_acl_follows_mode(t, minor):
    "RFC 8881 6.4.1.1: setting the mode takes rights away from the ACL"
    c = t.client(minor)
    t.put("x")
    fh = t.fh(c, "x")
    put_acl(c, fh, [OWNER_ALL, OTHERS_READ]).ok()
    c.call(putfh(fh), setattr(ANON, {"mode": 0o600})).ok()
    need(c.attrs(fh, "mode")["mode"] == 0o600, "another mode")
    u = t.fresh(minor, uid=1234)
    expect(u.call(putfh(fh), read(ANON, 0, 1)), "ACCESS")


@over(minor=MINORS)
def test_obeyed(t, minor):
    "RFC 7530 6.2.1: entries are judged in order, for READ, WRITE, OPEN and ACCESS"
    c = t.client(minor)
    t.put("x", mode=0o600)
    fh = t.fh(c, "x")
    put_acl(c, fh, [(DENY, 0, WRITE_DATA | APPEND, "1234"), OWNER_ALL,
                    (ALLOW, 0, READ_DATA | WRITE_DATA | READ_ATTRS, "EVERYONE@")]).ok()
    u, v = t.fresh(minor, uid=1234), t.fresh(minor, uid=1235)
    expect(u.call(putfh(fh), read(ANON, 0, 1)), "OK")
    expect(u.call(putfh(fh), write(ANON, 0, b"x")), "ACCESS")
    expect(v.call(putfh(fh), write(ANON, 0, b"x")), "OK")
    need(u.call(putfh(fh), access(0x3F)).ok().last.access & 0x0D == 1, "ACCESS tells otherwise")
    for client, wanted in ((u, "ACCESS"), (v, "OK")):
        expect(client.call(putfh(t.dir(client)), open_("x", BOTH, 0, client.clientid, b"o", 1)), wanted)


@over(minor=MINORS, ace=(("audit", (AUDIT, 0x10, 1, "EVERYONE@"), ("ATTRNOTSUPP", "INVAL")),
                         ("alarm", (ALARM, 0x10, 1, "EVERYONE@"), ("ATTRNOTSUPP", "INVAL")),
                         ("type", (4, 0, 1, "EVERYONE@"), ("INVAL", "ATTRNOTSUPP", "BADXDR")),
                         ("flag", (ALLOW, 0x8000, 1, "EVERYONE@"), ("INVAL", "ATTRNOTSUPP")),
                         ("who", (ALLOW, 0, 1, "nobody@elsewhere.invalid"), ("BADOWNER",)),
                         ("no who", (ALLOW, 0, 1, ""), ("INVAL", "BADOWNER")),
                         ("special", (ALLOW, 0, 1, "BATCH@"), ("BADOWNER", "INVAL", "ATTRNOTSUPP"))))
def test_refused(t, minor, ace):
    "RFC 7530 6.2.1, 5.9: entries that mean nothing here are refused, and nothing changes"
    c = t.client(minor)
    t.put("x")
    fh = t.fh(c, "x")
    before = get_acl(c, fh)
    r = expect(put_acl(c, fh, [OWNER_ALL, ace[1]]), *ace[2])
    need(r.last.attrset == [], f"{r.last.attrset}")
    need(get_acl(c, fh) == before, "changed")


@over(minor=MINORS)
def test_too_long(t, minor):
    "RFC 7530 6.2.1: far more entries than any file system keeps: an error"
    c = t.client(minor)
    t.put("x")
    r = put_acl(c, t.fh(c, "x"), [(ALLOW, 0, 1, str(i)) for i in range(8000)])
    expect(r, "FBIG", "INVAL", "NOSPC", "RESOURCE", "REQ_TOO_BIG")


@over(minor=MINORS)
def test_lying_count(t, minor):
    "RFC 7530 15.1.1.1: more entries announced than there are: BADXDR"
    c = t.client(minor)
    t.put("x")
    for n in (1, 5, 0x10000000, 0xFFFFFFFF):
        value = bytes(Packer().u32(n).data)
        expect(c.call(putfh(t.fh(c, "x")), setattr(ANON, {12: value})), "BADXDR", "FBIG")


@over(minor=MINORS)
def test_by_others(t, minor):
    "RFC 7530 6.2.1.3.1: only who may write the ACL: PERM or ACCESS"
    t.put("x")
    u = t.fresh(minor, uid=1234)
    expect(put_acl(u, t.fh(u, "x"), [OWNER_ALL]), "PERM", "ACCESS")


@over(minor=MINORS)
def test_verify(t, minor):
    "RFC 7530 16.35: ACLs can be compared"
    c = t.client(minor)
    t.put("x")
    fh = t.fh(c, "x")
    acl = get_acl(c, fh)
    expect(c.call(putfh(fh), verify({"acl": acl})), "OK")
    expect(c.call(putfh(fh), nverify({"acl": acl})), "SAME")
    expect(c.call(putfh(fh), verify({"acl": acl[:-1]})), "NOT_SAME")


@over(minor=MINORS)
def test_inherited(t, minor):
    "RFC 8881 6.4.3: new files and directories inherit the entries that say so"
    c = t.client(minor)
    top = c.mkdir(t.dir(c), "d")
    put_acl(c, top, [(ALLOW, 0, 0x1601FF, "OWNER@"), (ALLOW, FILE_INHERIT | DIR_INHERIT, READ_DATA | EXECUTE, "1234"),
                     (ALLOW, FILE_INHERIT | DIR_INHERIT, 0x1601FF, "OWNER@")]).ok()
    for name in ("f", "sub"):
        if name == "f":
            fh = c.open(top, "f", access=BOTH, owner=b"inherit", how="unchecked").fh
        else:
            fh = c.call(putfh(top), create(NF4DIR, "sub"), getfh()).ok().last.fh
        got = [a for a in get_acl(c, fh) if a[3].partition("@")[0] == "1234"]
        need(got and got[0][2] & READ_DATA, f"{name}: {get_acl(c, fh)}")
        need(bool(got[0][1] & DIR_INHERIT) == (name == "sub"), f"flags {got[0][1]:#x}")
    # A mode that comes with the request limits what is inherited (6.4.3, 6.4.1.1).
    fh = c.open(top, "g", access=BOTH, owner=b"inherit2", how="unchecked", attrs={"mode": 0o600}).fh
    need(c.attrs(fh, "mode")["mode"] == 0o600, "another mode")
    u = t.fresh(minor, uid=1234)
    expect(u.call(putfh(fh), read(ANON, 0, 1)), "ACCESS")


@over(minor=(1, 2), name=("dacl", "sacl"))
def test_4_1_acls(t, minor, name):
    "RFC 8881 6.2.2, 6.2.3: when they are not offered, setting them is ATTRNOTSUPP"
    c = t.client(minor)
    fh = t.fh(c, "file")
    if name not in c.attrs(fh, "supported_attrs")["supported_attrs"]:
        expect(c.call(putfh(fh), setattr(ANON, {name: (0, [OWNER_ALL])})), "ATTRNOTSUPP")


if __name__ == "__main__":
    sys.exit(main(globals()))
