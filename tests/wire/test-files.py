#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names, attributes, folders and data on the wire: test-files.py [ganesha|lares].

Spec: RFC 7530 16, RFC 8881 5 and 18, RFC 7862, RFC 8276."""

import sys
import time

from nfs4ops import *  # noqa: F403
import nfs4ops as ops
from nfsraw import RpcError
from nfs4xdr import ATTRS
from wirecheck import differs, expect, main

MODE = {"mode": 0o666}


def made(s, d, name="f", data=b""):
    f = s.open(d, name, access=BOTH, how="unchecked", attrs=MODE)
    if data:
        s.call(putfh(f.fh), write(f.stateid, 0, data)).ok()
    return f


def check_no_filehandle(t):
    """Operations without a current file handle."""
    s = t.session()
    for op in (getfh(), getattr("type"), lookup("x"), lookupp(), readdir(), access(1), readlink(),
               remove("x"), read(ANON, 0, 1), write(ANON, 0, b"x"), savefh(), commit(),
               secinfo("x"), ops.setattr(ANON, MODE), verify({"type": 1})):
        expect(s.call(op), "NOFILEHANDLE")
    expect(s.call(putrootfh(), restorefh()), "NOFILEHANDLE", "RESTOREFH")
    d = t.folder(s)
    expect(s.call(putfh(d), link("x")), "NOFILEHANDLE")
    expect(s.call(putfh(d), rename("x", "y")), "NOFILEHANDLE")


def check_bad_handles(t):
    """File handles that were never given."""
    s = t.session()
    d = t.folder(s)
    for fh in (b"", b"x", b"\0" * 16, d[:-1], d + b"x", d[:-1] + bytes([d[-1] ^ 1]), b"z" * 128):
        expect(s.call(putfh(fh), getattr("type")), "BADHANDLE", "STALE")
    try:
        expect(s.call(putfh(b"z" * 129)), "BADHANDLE", "BADXDR", "STALE")
    except RpcError as e:
        assert e.reply.verdict == "GARBAGE_ARGS", e.reply


def check_stale(t):
    """The handle of a file that is gone."""
    s = t.session()
    d = t.folder(s)
    fh = s.mkdir(d, "gone")
    s.call(putfh(d), remove("gone")).ok()
    expect(s.call(putfh(fh), getattr("type")), "STALE")


@differs(ganesha="takes names with NUL or slash")
def check_names(t):
    """Names that are no names."""
    s = t.session()
    d = t.folder(s)
    for name, errors in ((b"", ("INVAL",)), (b".", ("BADNAME",)), (b"..", ("BADNAME",)),
                         (b"a/b", ("BADNAME", "BADCHAR", "INVAL")),
                         (b"a\0b", ("BADNAME", "BADCHAR", "INVAL")),
                         (b"x" * 300, ("NAMETOOLONG",))):
        errors = errors + ("NAMETOOLONG",) if len(name) > 255 else errors
        expect(s.call(putfh(d), create(NF4DIR, name, {"mode": 0o755})), *errors)
        expect(s.call(putfh(d), lookup(name)), "NOENT", *errors)
        expect(s.call(putfh(d), remove(name)), "NOENT", *errors)


@differs(ganesha="takes any bytes")
def check_utf8(t):
    """Names are UTF-8; what is not is refused."""
    s = t.session()
    d = t.folder(s)
    for name in (b"\xff\xfe", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80"):
        expect(s.call(putfh(d), create(NF4DIR, name, {"mode": 0o755})), "INVAL", "BADCHAR")
    for name in ("žluťoučký", "日本語", "e\u0301", "\U0001f600"):
        s.call(putfh(d), create(NF4DIR, name, {"mode": 0o755})).ok()
    assert len(s.list(d)) == 4


def check_lookup(t):
    """LOOKUP in what is no folder, through links and at the root's parent."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d)
    s.call(putfh(d), create(NF4LNK, "l", {}, link="f")).ok()
    expect(s.call(putfh(f.fh), lookup("x")), "NOTDIR")
    expect(s.call(putfh(d), lookup("l"), lookup("x")), "SYMLINK", "NOTDIR")
    expect(s.call(putfh(d), lookup("absent")), "NOENT")
    expect(s.call(putrootfh(), lookupp()), "NOENT")
    assert s.call(putfh(d), lookup("f"), getfh()).ok().last.fh == f.fh
    inner = s.mkdir(d, "inner")
    assert s.call(putfh(inner), lookupp(), getfh()).ok().last.fh == d


def check_escape(t):
    """LOOKUPP from the share's root stays in the server's own tree."""
    s = t.session()
    top = s.walk(t.s.path)
    root = s.walk("/")
    assert s.call(putfh(top), lookupp(), getfh()).ok().last.fh == root


def check_required_attributes(t):
    """The attributes that every server has, in the pseudo-root and in the share."""
    s = t.session()
    must = ["supported_attrs", "type", "fh_expire_type", "change", "size", "link_support",
            "symlink_support", "named_attr", "fsid", "unique_handles", "lease_time",
            "rdattr_error", "filehandle", "suppattr_exclcreat"]
    for fh in (s.walk("/"), s.walk(t.s.path)):
        a = s.attrs(fh, *must)
        assert set(a) == set(must), set(must) - set(a)
        assert a["type"] == NF4DIR and a["filehandle"] == fh
        assert set(must) <= set(a["supported_attrs"])


@differs(ganesha="promises fs_locations")
def check_all_attributes(t):
    """Every attribute that is said to be supported comes when it is asked for."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d, data=b"x")
    for fh in (d, f.fh):
        said = s.attrs(fh, "supported_attrs")["supported_attrs"]
        ask = [a for a in said if isinstance(a, str) and a in ATTRS and not a.endswith("_set")
               and a not in ("mode_set_masked", "mode_umask", "sacl", "dacl")]
        got = s.attrs(fh, *ask)
        assert set(got) == set(ask), set(ask) ^ set(got)


def check_write_only_attributes(t):
    """GETATTR of what can only be set."""
    s = t.session()
    expect(s.call(putrootfh(), getattr("time_modify_set")), "INVAL")


@differs(ganesha="says BADXDR")
def check_unknown_attributes(t):
    """Unknown attributes are left out of GETATTR and refused by SETATTR."""
    s = t.session()
    d = t.folder(s)
    r = s.call(putfh(d), getattr("type", 200)).ok()
    assert r.last.attrs == {"type": NF4DIR}
    expect(s.call(putfh(d), ops.setattr(ANON, {200: b"\0\0\0\0"})), "ATTRNOTSUPP")
    expect(s.call(putfh(d), ops.setattr(ANON, {"type": 1})), "INVAL")


def check_setattr(t):
    """Mode, size, times and owner are set and read back."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d, data=b"x" * 100)
    r = s.call(putfh(f.fh), ops.setattr(f.stateid, {
        "size": 10, "mode": 0o4751, "time_access_set": (1, 2), "time_modify_set": (3, 4)})).ok()
    assert sorted(r.last.attrset) == sorted(
        ATTRS[a][0] for a in ("size", "mode", "time_access_set", "time_modify_set"))
    a = s.attrs(f.fh, "size", "mode", "time_access", "time_modify")
    assert a == {"size": 10, "mode": 0o4751, "time_access": (1, 2), "time_modify": (3, 4)}, a
    s.call(putfh(f.fh), ops.setattr(ANON, {"owner": "1234", "owner_group": "4321"})).ok()
    a = s.attrs(f.fh, "owner", "owner_group")
    assert a == {"owner": "1234", "owner_group": "4321"}, a
    expect(s.call(putfh(d), ops.setattr(ANON, {"size": 5})), "ISDIR", "INVAL")
    expect(s.call(putfh(f.fh), ops.setattr(ANON, {"owner": "nobody at all"})), "BADOWNER")


def check_change_moves(t):
    """The change attribute moves with every change."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d)
    seen = [s.attrs(f.fh, "change")["change"]]
    for n in range(20):
        s.call(putfh(f.fh), write(f.stateid, n, b"x", FILE_SYNC)).ok()
        seen.append(s.attrs(f.fh, "change")["change"])
    assert len(set(seen)) == len(seen), seen
    seen = [s.attrs(d, "change")["change"]]
    for n in range(20):
        s.call(putfh(d), create(NF4DIR, f"d{n}", {"mode": 0o755})).ok()
        seen.append(s.attrs(d, "change")["change"])
    assert len(set(seen)) == len(seen), seen


def check_change_info(t):
    """What CREATE and REMOVE say about the folder is what GETATTR says."""
    s = t.session()
    d = t.folder(s)
    before = s.attrs(d, "change")["change"]
    i = s.call(putfh(d), create(NF4DIR, "x", {"mode": 0o755})).ok().last.cinfo
    after = s.attrs(d, "change")["change"]
    assert i.after == after and (not i.atomic or i.before == before), (before, vars(i), after)


def check_verify(t):
    """VERIFY and NVERIFY."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d, data=b"12345")
    expect(s.call(putfh(f.fh), verify({"size": 5, "type": 1})), "OK")
    expect(s.call(putfh(f.fh), verify({"size": 6})), "NOT_SAME")
    expect(s.call(putfh(f.fh), nverify({"size": 5})), "SAME")
    expect(s.call(putfh(f.fh), nverify({"size": 6})), "OK")


def check_readdir(t):
    """A folder of 500 names comes complete in pieces of any size, and cookies resume."""
    s = t.session(fore=channel(maxops=64))
    d = t.folder(s)
    names = {b"n%03d" % i for i in range(500)}
    for start in range(0, 500, 20):
        s.call(putfh(d), *[o for n in sorted(names)[start:start + 20]
                           for o in (savefh(), create(NF4DIR, n, {"mode": 0o755}),
                                     restorefh())]).ok()
    for size in (512, 1000, 4096, 65536):
        got = s.list(d, maxcount=size)
        assert {n for n, _, _ in got} == names and len(got) == 500, (size, len(got))
    first = s.call(putfh(d), readdir(0, maxcount=2000)).ok().last
    for e in first.entries[:-1]:
        r = s.call(putfh(d), readdir(e.cookie, first.verifier, maxcount=2000)).ok().last
        at = [x.name for x in first.entries].index(e.name)
        assert r.entries[0].name == first.entries[at + 1].name


@differs(ganesha="says SERVERFAULT")
def check_readdir_errors(t):
    """READDIR with too little room, wrong cookies, and of what is no folder."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d)
    expect(s.call(putfh(d), readdir(0, maxcount=16)), "TOOSMALL")
    expect(s.call(putfh(d), readdir(1)), "BAD_COOKIE", "OK")
    expect(s.call(putfh(f.fh), readdir()), "NOTDIR")
    expect(s.call(putfh(d), readdir(0, attrs=("time_modify_set",))), "INVAL")
    r = s.call(putfh(d), readdir(0, attrs=("rdattr_error", "type", "filehandle"))).ok().last
    assert r.eof and r.entries[0].name == b"f" and r.entries[0].attrs["filehandle"] == f.fh


def check_create_types(t):
    """Folders, links, pipes, sockets, devices; a file is not made by CREATE."""
    s = t.session()
    d = t.folder(s)
    for kind, name in ((NF4DIR, "d"), (NF4LNK, "l"), (NF4FIFO, "p"), (NF4SOCK, "s"),
                       (NF4CHR, "c"), (NF4BLK, "b")):
        s.call(putfh(d), create(kind, name, {"mode": 0o700}, link="to", dev=(1, 3))).ok()
        a = s.call(putfh(d), lookup(name), getattr("type", "rawdev")).ok().last.attrs
        assert a["type"] == kind
        if kind in (NF4CHR, NF4BLK):
            assert a["rawdev"] == (1, 3), a
        expect(s.call(putfh(d), create(kind, name, {"mode": 0o700}, link="to")), "EXIST")
    expect(s.call(putfh(d), raw(ops.OPS["CREATE"], b"\0\0\0\1" + b"\0\0\0\1x\0\0\0" + b"\0" * 8)),
           "BADTYPE", "BADXDR")


def check_links(t):
    """LINK, its counts, and to where it must not go."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d)
    sub = s.mkdir(d, "sub")
    s.call(putfh(f.fh), savefh(), putfh(sub), link("g")).ok()
    assert s.attrs(f.fh, "numlinks")["numlinks"] == 2
    assert s.call(putfh(sub), lookup("g"), getfh()).ok().last.fh == f.fh
    expect(s.call(putfh(f.fh), savefh(), putfh(sub), link("g")), "EXIST")
    expect(s.call(putfh(sub), savefh(), putfh(d), link("dirlink")), "ISDIR", "PERM")
    expect(s.call(putfh(f.fh), savefh(), link("x")), "NOTDIR")
    expect(s.call(putfh(f.fh), savefh(), putrootfh(), link("x")), "XDEV", "ROFS", "ACCESS",
           "PERM", "NOTSUPP")


def check_rename(t):
    """RENAME over files and folders, and what it refuses."""
    s = t.session()
    d = t.folder(s)
    made(s, d, "a", b"a")
    made(s, d, "b", b"b")
    s.mkdir(d, "x")
    y = s.mkdir(d, "y")
    s.mkdir(y, "inside")
    both = (putfh(d), savefh())
    expect(s.call(*both, rename("a", "b")), "OK")
    expect(s.call(*both, rename("b", "x")), "EXIST", "ISDIR")
    expect(s.call(*both, rename("x", "b")), "EXIST", "NOTDIR")
    expect(s.call(*both, rename("x", "y")), "EXIST", "NOTEMPTY")
    expect(s.call(*both, rename("absent", "z")), "NOENT")
    expect(s.call(putfh(d), savefh(), putfh(y), rename("y", "in")), "INVAL")
    expect(s.call(*both, rename("b", "b")), "OK")
    expect(s.call(*both, rename("b", "..")), "BADNAME", "INVAL")


def check_remove(t):
    """REMOVE of folders with and without contents."""
    s = t.session()
    d = t.folder(s)
    x = s.mkdir(d, "x")
    s.mkdir(x, "y")
    expect(s.call(putfh(d), remove("x")), "NOTEMPTY")
    s.call(putfh(x), remove("y")).ok()
    s.call(putfh(d), remove("x")).ok()
    expect(s.call(putfh(d), remove("x")), "NOENT")


def check_read_write(t):
    """Data at the ends of files: holes, past the end, zero bytes, the largest offsets."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d)
    s.call(putfh(f.fh), write(f.stateid, 1000, b"end")).ok()
    r = s.call(putfh(f.fh), read(f.stateid, 0, 5000)).ok().last
    assert r.data == b"\0" * 1000 + b"end" and r.eof
    r = s.call(putfh(f.fh), read(f.stateid, 0, 1003)).ok().last
    assert r.eof and len(r.data) == 1003
    r = s.call(putfh(f.fh), read(f.stateid, 0, 1002)).ok().last
    assert not r.eof and len(r.data) == 1002
    r = s.call(putfh(f.fh), read(f.stateid, 5000, 10)).ok().last
    assert r.eof and r.data == b""
    assert s.call(putfh(f.fh), write(f.stateid, 5000, b"")).ok().last.count == 0
    assert s.attrs(f.fh, "size")["size"] == 1003
    expect(s.call(putfh(f.fh), write(f.stateid, 0xFFFFFFFFFFFFFFF0, b"x" * 100)), "INVAL", "FBIG")
    expect(s.call(putfh(d), read(ANON, 0, 10)), "ISDIR")
    expect(s.call(putfh(d), write(ANON, 0, b"x")), "ISDIR")
    for n in (1, 2, 3, 5, 4095, 4097, 65537, 1000003):
        data = bytes(i * 7 & 0xFF for i in range(n))
        s.call(putfh(f.fh), write(f.stateid, 0, data)).ok()
        assert s.call(putfh(f.fh), read(f.stateid, 0, n)).ok().last.data == data


def check_stability(t):
    """Writes say how stable they are, with one verifier until the server restarts."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d)
    verifiers = set()
    for how in (UNSTABLE, DATA_SYNC, FILE_SYNC):
        r = s.call(putfh(f.fh), write(f.stateid, 0, b"x", how)).ok().last
        assert r.committed >= how
        verifiers.add(r.verifier)
    verifiers.add(s.call(putfh(f.fh), commit()).ok().last.verifier)
    assert len(verifiers) == 1


def check_access(t):
    """ACCESS knows what a user may do."""
    from nfsraw import auth_sys
    s = t.session()
    d = t.folder(s)
    f = made(s, d, data=b"x")
    s.call(putfh(f.fh), ops.setattr(ANON, {"mode": 0o640, "owner": "2001",
                                           "owner_group": "3001"})).ok()
    seen = []
    for cred in (auth_sys(2001, 2009), auth_sys(2009, 3001),
                 auth_sys(2009, 2009, [3001]), auth_sys(2009, 2009)):
        seen.append(s.call(putfh(f.fh), access(0x0D), cred=cred).ok().last.access)
    assert [x & 1 for x in seen] == [1, 1, 1, 0] and [bool(x & 4) for x in seen] == \
        [True, False, False, False], seen
    expect(s.call(putfh(f.fh), read(ANON, 0, 1), cred=auth_sys(2009, 2009)), "ACCESS")
    expect(s.call(putfh(f.fh), write(ANON, 0, b"x"), cred=auth_sys(2009, 3001)), "ACCESS")


def check_secinfo(t):
    """SECINFO by name and of the current handle; both take the handle away."""
    s = t.session()
    top = t.s.path.strip("/")
    r = s.call(putrootfh(), secinfo(top), getfh())
    assert r.op("SECINFO").status == 0 and r.op("SECINFO").flavors[0].flavor == 1
    expect(r, "NOFILEHANDLE")
    r = s.call(putfh(s.walk(t.s.path)), secinfo_no_name(0), getfh())
    assert [x.flavor for x in r.op("SECINFO_NO_NAME").flavors] == [1]
    expect(r, "NOFILEHANDLE")
    expect(s.call(putrootfh(), secinfo("absent")), "NOENT")
    expect(s.call(putrootfh(), secinfo_no_name(1)), "NOENT")


def check_holes(t):
    """SEEK, DEALLOCATE, ALLOCATE and READ_PLUS (4.2)."""
    s = t.session(minor=2)
    d = t.folder(s)
    f = made(s, d, data=b"x" * 200000)
    s.call(putfh(f.fh), deallocate(f.stateid, 65536, 65536)).ok()
    r = s.call(putfh(f.fh), read(f.stateid, 0, 200000)).ok().last
    assert r.data == b"x" * 65536 + b"\0" * 65536 + b"x" * (200000 - 131072)
    r = s.call(putfh(f.fh), seek(f.stateid, 200001))
    expect(r, "NXIO")
    hole = s.call(putfh(f.fh), seek(f.stateid, 0, hole=True)).ok().last
    assert hole.offset in (65536, 200000), hole
    s.call(putfh(f.fh), allocate(f.stateid, 0, 300000)).ok()
    assert s.attrs(f.fh, "size")["size"] == 300000
    r = s.call(putfh(f.fh), read_plus(f.stateid, 0, 300000))
    expect(r, "OK", "NOTSUPP")
    if r.error == "OK":
        whole = bytearray(300000)
        for part in r.last.contents:
            if not part.hole:
                whole[part.offset:part.offset + len(part.data)] = part.data
        end = max(p.offset + (p.length if p.hole else len(p.data)) for p in r.last.contents)
        want = b"x" * 65536 + b"\0" * 65536 + b"x" * (200000 - 131072) + b"\0" * 100000
        assert bytes(whole[:end]) == want[:end]


@differs(ganesha="has no COPY and no CLONE")
def check_copy(t):
    """COPY and CLONE on the server (4.2)."""
    s = t.session(minor=2)
    d = t.folder(s)
    data = bytes(i * 31 >> 3 & 0xFF for i in range(300000))
    f, g = made(s, d, "f", data), made(s, d, "g")
    r = s.call(putfh(f.fh), savefh(), putfh(g.fh), copy(f.stateid, g.stateid, 0, 0, 300000)).ok()
    n = r.last.count
    assert 0 < n <= 300000 and not r.last.callback
    assert s.call(putfh(g.fh), read(g.stateid, 0, n)).ok().last.data == data[:n]
    r = s.call(putfh(f.fh), savefh(), putfh(g.fh), copy(f.stateid, g.stateid, 100000, 5, 0)).ok()
    assert s.attrs(g.fh, "size")["size"] >= n
    expect(s.call(putfh(f.fh), savefh(), putfh(g.fh), clone(f.stateid, g.stateid, 0, 0, 0)), "OK",
           "NOTSUPP", "INVAL", "XDEV")


@differs(ganesha="has no extended attributes here")
def check_xattrs(t):
    """Extended attributes (RFC 8276)."""
    s = t.session(minor=2)
    d = t.folder(s)
    f = made(s, d)
    assert s.attrs(f.fh, "xattr_support")["xattr_support"]
    on = putfh(f.fh)
    s.call(on, setxattr("one", b"1", 1)).ok()
    expect(s.call(on, setxattr("one", b"1", 1)), "EXIST")
    expect(s.call(on, setxattr("two", b"2", 2)), "NOXATTR")
    s.call(on, setxattr("one", b"11", 2)).ok()
    s.call(on, setxattr("two", b"\0" * 1000)).ok()
    assert s.call(on, getxattr("one")).ok().last.value == b"11"
    r = s.call(on, listxattrs()).ok().last
    assert sorted(r.names) == [b"one", b"two"] and r.eof
    expect(s.call(on, listxattrs(0, 5)), "TOOSMALL")
    s.call(on, removexattr("one")).ok()
    expect(s.call(on, getxattr("one")), "NOXATTR")
    expect(s.call(on, removexattr("one")), "NOXATTR")


@differs(ganesha="has no ACL here")
def check_acl(t):
    """An ACL comes back as it was set, and the mode follows it."""
    s = t.session()
    d = t.folder(s)
    f = made(s, d)
    if "acl" not in s.attrs(f.fh, "supported_attrs")["supported_attrs"]:
        raise AssertionError("no ACL attribute")
    acl = [(0, 0, 0x1601BF, "OWNER@"), (0, 0x40, 0x120089, "GROUP@"), (0, 0, 0x120089, "EVERYONE@")]
    r = s.call(putfh(f.fh), ops.setattr(ANON, {"acl": acl}))
    expect(r, "OK")
    got = s.attrs(f.fh, "acl", "mode")
    whos = {a[3]: a[2] for a in got["acl"] if a[0] == 0}
    assert whos["OWNER@"] & 3 == 3 and whos["EVERYONE@"] & 3 == 1, got
    assert got["mode"] & 0o777 in (0o644, 0o744), oct(got["mode"])


def check_lease_fits(t):
    """The lease is a sensible time and the clock of the server moves times forward."""
    s = t.session()
    d = t.folder(s)
    assert 5 <= s.attrs(d, "lease_time")["lease_time"] <= 3600
    f = made(s, d, data=b"x")
    assert abs(s.attrs(f.fh, "time_modify")["time_modify"][0] - time.time()) < 5


if __name__ == "__main__":
    sys.exit(main(globals()))
