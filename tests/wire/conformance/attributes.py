#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attributes: GETATTR, SETATTR, VERIFY and NVERIFY on every type of object."""

import os
import struct
import sys

from conform import *

# RFC 7530 5.6 (with 4.1's suppattr_exclcreat)
MANDATORY = ("supported_attrs", "type", "fh_expire_type", "change", "size", "link_support",
             "symlink_support", "named_attr", "fsid", "unique_handles", "lease_time",
             "rdattr_error", "filehandle")
# RFC 7530 5.7: those that any server with POSIX files should have
RECOMMENDED = ("aclsupport", "cansettime", "case_insensitive", "case_preserving",
               "chown_restricted", "fileid", "files_avail", "files_free", "files_total",
               "homogeneous", "maxfilesize", "maxlink", "maxname", "maxread", "maxwrite", "mode",
               "no_trunc", "numlinks", "owner", "owner_group", "rawdev", "space_avail",
               "space_free", "space_total", "space_used", "time_access", "time_delta",
               "time_metadata", "time_modify", "mounted_on_fileid")
READ_ONLY = {"supported_attrs": ["type"], "type": 1, "fh_expire_type": 0, "change": 1,
             "link_support": True, "symlink_support": True, "named_attr": False, "fsid": (1, 2),
             "unique_handles": True, "lease_time": 10, "rdattr_error": 0, "filehandle": b"x",
             "aclsupport": 1, "cansettime": True, "case_insensitive": False,
             "case_preserving": True, "chown_restricted": True, "fileid": 1, "files_avail": 1,
             "files_free": 1, "files_total": 1, "homogeneous": True, "maxfilesize": 1,
             "maxlink": 1, "maxname": 1, "maxread": 1, "maxwrite": 1, "no_trunc": True,
             "numlinks": 1, "rawdev": (1, 2), "space_avail": 1, "space_free": 1,
             "space_total": 1, "space_used": 1, "time_access": (1, 0), "time_delta": (0, 1),
             "time_metadata": (1, 0), "time_modify": (1, 0), "mounted_on_fileid": 1}


@over(minor=MINORS, kind=TYPES)
def test_mandatory(t, minor, kind):
    "RFC 7530 5.6, RFC 8881 5.6: mandatory attributes are there for each type, alone and together"
    c = t.client(minor)
    fh = t.fh(c, kind)
    names = MANDATORY + (("suppattr_exclcreat",) if minor else ())
    got = c.attrs(fh, *names)
    need(set(got) == set(names), f"missing: {set(names) - set(got)}")
    need(set(names) <= set(got["supported_attrs"]), "mandatory but not in supported_attrs")
    for name in names:
        need(set(c.attrs(fh, name)) == {name}, f"{name} alone")


@over(minor=MINORS, kind=TYPES)
def test_recommended(t, minor, kind):
    "RFC 7530 5.7: recommended attributes of a POSIX server"
    c = t.client(minor)
    got = c.attrs(t.fh(c, kind), *RECOMMENDED)
    need(set(got) == set(RECOMMENDED), f"missing: {set(RECOMMENDED) - set(got)}")


@over(minor=MINORS, kind=TYPES)
def test_all_supported_readable(t, minor, kind):
    "RFC 7530 5.3: everything in supported_attrs that can be read is answered when asked together"
    c = t.client(minor)
    fh = t.fh(c, kind)
    names = [n for n in c.attrs(fh, "supported_attrs")["supported_attrs"]
             if not str(n).endswith("_set") and n != "mode_umask"]
    got = c.attrs(fh, *names)
    absent = set(names) - set(got)
    need(absent <= {"acl", "time_create"}, f"absent: {absent}")  # what this object may lack


@over(minor=MINORS, kind=TYPES)
def test_values_match_disk(t, minor, kind):
    "RFC 7530 5.8: type, mode, links, size, owner, fileid and device as on the server's disk"
    c = t.client(minor)
    st = os.lstat(t.suite.folder / "types" / kind)
    a = c.attrs(t.fh(c, kind), "type", "mode", "numlinks", "size", "fileid", "rawdev", "time_modify")
    need(a["type"] == NUMBER[kind], f"type {a['type']}")
    need(a["mode"] == st.st_mode & 0o7777, f"mode {a['mode']:o}")
    need(a["numlinks"] == st.st_nlink and a["size"] == st.st_size, f"{a}")
    need(a["fileid"] == st.st_ino, f"fileid {a['fileid']}")
    need(a["time_modify"] == divmod(st.st_mtime_ns, 10**9), f"time {a['time_modify']}")
    if kind in ("blk", "chr"):
        need(a["rawdev"] == (os.major(st.st_rdev), os.minor(st.st_rdev)), f"{a['rawdev']}")


@over(minor=MINORS, kind=TYPES)
def test_no_attributes(t, minor, kind):
    "RFC 7530 16.7: an empty bitmap gives no attributes"
    c = t.client(minor)
    need(c.attrs(t.fh(c, kind)) == {}, "attributes came unasked")


@over(minor=MINORS, kind=TYPES, number=(61, 90, 200, 1000))
def test_unknown_attributes(t, minor, kind, number):
    "RFC 7530 16.7.4: what the server does not know is left out of the answer"
    c = t.client(minor)
    got = c.attrs(t.fh(c, kind), "type", number)
    need(set(got) == {"type"}, f"{got}")


@over(minor=MINORS, kind=TYPES, name=("time_access_set", "time_modify_set"))
def test_write_only_read(t, minor, kind, name):
    "RFC 7530 5.5, 16.7.4: GETATTR of a write-only attribute is INVAL"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, kind)), getattr(name)), "INVAL")
    expect(c.call(putfh(t.fh(c, kind)), getattr("type", name)), "INVAL")


@over(minor=MINORS, name=("time_access_set", "time_modify_set"))
def test_write_only_in_readdir(t, minor, name):
    "RFC 7530 16.24.5: likewise in READDIR"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "dir")), readdir(attrs=(name,))), "INVAL")


@over(minor=MINORS, name=("time_access_set", "time_modify_set"), op=("VERIFY", "NVERIFY"))
def test_write_only_compared(t, minor, name, op):
    "RFC 7530 16.15.4, 16.35.4: INVAL"
    c = t.client(minor)
    f = verify if op == "VERIFY" else nverify
    expect(c.call(putfh(t.fh(c, "file")), f({name: None})), "INVAL")


@over(minor=MINORS, name=tuple(READ_ONLY))
def test_read_only_set(t, minor, name):
    "RFC 7530 5.5, 16.32.4: SETATTR of a read-only attribute is INVAL, with an empty bitmap"
    c = t.client(minor)
    r = expect(c.call(putfh(t.fh(c, "file")), setattr(ANON, {name: READ_ONLY[name]})), "INVAL")
    need(r.last.attrset == [], f"{r.last.attrset}")


@over(minor=MINORS, kind=TYPES)
def test_read_only_set_on(t, minor, kind):
    "RFC 7530 5.5: likewise for each type"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, kind)), setattr(ANON, {"lease_time": 1})), "INVAL")


@over(minor=MINORS, kind=TYPES, number=(61, 90, 200))
def test_unsupported_set(t, minor, kind, number):
    "RFC 7530 16.32.4: SETATTR of an unknown attribute is ATTRNOTSUPP"
    c = t.client(minor)
    r = expect(c.call(putfh(t.fh(c, kind)), setattr(ANON, {number: b"\0\0\0\1"})), "ATTRNOTSUPP")
    need(r.last.attrset == [], f"{r.last.attrset}")


@over(minor=MINORS, name=("archive", "hidden", "system", "mimetype", "time_backup"))
def test_unsupported_recommended_set(t, minor, name):
    "RFC 7530 16.32.4: a recommended attribute that is not in supported_attrs: ATTRNOTSUPP"
    c = t.client(minor)
    fh = t.fh(c, "file")
    if name in c.attrs(fh, "supported_attrs")["supported_attrs"]:
        return
    value = {"mimetype": "text/plain", "time_backup": (1, 0)}.get(name, True)
    expect(c.call(putfh(fh), setattr(ANON, {name: value})), "ATTRNOTSUPP")
    expect(c.call(putfh(fh), verify({name: value})), "ATTRNOTSUPP")


@over(minor=MINORS, kind=("file", "dir"))
def test_no_fs_locations(t, minor, kind):
    "RFC 7530 8.1, 5.3: nothing here has moved: fs_locations is not supported, GETATTR leaves it out, VERIFY says so"
    c = t.client(minor)
    locations = {24: struct.pack(">II", 0, 0)}  # the root itself, and nowhere else
    for fh in (t.fh(c, kind), c.walk("/"), c.walk("/share")):
        need("fs_locations" not in c.attrs(fh, "supported_attrs")["supported_attrs"], "supported")
        need(c.attrs(fh, "type", "fs_locations").keys() == {"type"}, "answered")
        need(c.attrs(fh, "fs_locations") == {}, "answered alone")
        for op in (verify, nverify):
            expect(c.call(putfh(fh), op(locations)), "ATTRNOTSUPP")
    expect(c.call(putfh(t.fh(c, kind)), setattr(ANON, locations)), "ATTRNOTSUPP", "INVAL")
    got = c.call(putfh(c.walk("/share/types")), readdir(attrs=("type", "fs_locations", "rdattr_error"))).ok().last
    need(got.entries and all("fs_locations" not in e.attrs for e in got.entries), "READDIR has it")


@over(minor=(0, 1), name=("suppattr_exclcreat", "clone_blksize", "xattr_support", "mode_umask"))
def test_attribute_of_later_version(t, minor, name):
    "RFC 7862 12.2: attributes of later minor versions are not known"
    if minor == 1 and name == "suppattr_exclcreat":
        return
    c = t.client(minor)
    need(c.attrs(t.fh(c, "file"), "type", name).keys() == {"type"}, "known too early")


# ---- SETATTR

SETTABLE = [k for k in TYPES if k != "link"]


@over(minor=MINORS, kind=SETTABLE, mode=(0, 0o644, 0o7777, 0o1777, 0o4755))
def test_set_mode(t, minor, kind, mode):
    "RFC 7530 16.32: mode on each type; the change attribute moves"
    c = t.client(minor)
    fh = t.fh(c, kind)
    before = c.attrs(fh, "change", "mode")
    r = c.call(putfh(fh), setattr(ANON, {"mode": mode}), getattr("mode", "change")).ok()
    c.call(putfh(fh), setattr(ANON, {"mode": before["mode"]})).ok()
    need(r.op("SETATTR").attrset == [33], f"{r.op('SETATTR').attrset}")
    need(r.last.attrs["mode"] == mode, f"{r.last.attrs['mode']:o}")
    need(r.last.attrs["change"] != before["change"], "the change attribute stands still")


@over(minor=MINORS, kind=SETTABLE, mode=(0o10000, 0o100644, 0xFFFFFFFF))
def test_bad_mode(t, minor, kind, mode):
    "RFC 8881 6.2.4: other bits of mode are INVAL"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, kind)), setattr(ANON, {"mode": mode})), "INVAL")


@over(minor=MINORS, kind=SETTABLE, name=("time_access", "time_modify"),
      value=(None, (0, 0), (1, 999999999), (1 << 31, 5), (4000000000, 123456789)))
def test_set_time(t, minor, kind, name, value):
    "RFC 7530 5.8.2.40, 5.8.2.46: set to the client's time or the server's"
    c = t.client(minor)
    fh = t.fh(c, kind)
    now = time.time()
    r = c.call(putfh(fh), setattr(ANON, {name + "_set": value}), getattr(name)).ok()
    got = r.last.attrs[name]
    need(got == value if value else abs(got[0] - now) < 30, f"{got}")


@over(minor=MINORS, kind=("file", "dir"))
def test_set_time_create(t, minor, kind):
    "RFC 7530 5.8.2.36: macOS sets it with every exclusive create, alone and beside other times; everybody sees it then"
    c = t.client(minor)
    fh = t.fh(c, kind)
    for attrs in ({"time_create": (1234567890, 5000)}, {"time_create": (1000000000, 0), "mode": 0o700}):
        before = c.attrs(fh, "change", "time_modify")
        r = c.call(putfh(fh), setattr(ANON, attrs), getattr("time_create", "change", "time_modify")).ok()
        need(sorted(r.op("SETATTR").attrset) == sorted([50] + ([33] if "mode" in attrs else [])),
             f"{r.op('SETATTR').attrset}")
        need(r.last.attrs["time_create"] == attrs["time_create"], f"{r.last.attrs}")
        need(r.last.attrs["change"] != before["change"], "the change attribute stands still")
        need(r.last.attrs["time_modify"] == before["time_modify"], "another time moved")
    need(c.attrs(fh, "time_create")["time_create"] == (1000000000, 0), "it does not stay")


@over(minor=MINORS)
def test_time_create_elsewhere(t, minor):
    "RFC 7530 5.8.2.36: time_create given when something is made, in a listing, and refused to strangers"
    c = t.client(minor)
    top = t.dir(c)
    born = (1111111111, 700)
    c.call(putfh(top), create(NF4DIR, "born", {"time_create": born, "mode": 0o755})).ok()
    got = {name: attrs for name, _, attrs in c.list(top, ("type", "time_create"))}
    need(got[b"born"]["time_create"] == born, f"{got}")
    expect(t.fresh(minor, uid=1234).call(putfh(top), lookup("born"), setattr(ANON, {"time_create": born})),
           "PERM", "ACCESS")
    r = c.call(putfh(top), lookup("born"), setattr(ANON, {"time_create": (1, 1000000000)}))
    need(r.error == "INVAL", r.error)


def test_exclusive_create_of_macos(t):
    "RFC 7530 16.16: what macOS sends after an exclusive create: mode, owner and all three times in one SETATTR"
    c = t.client(0)
    o = c.open(t.dir(c), "new", access=3, owner=b"mac", how="exclusive")
    times = {"time_access_set": (1500000001, 0), "time_modify_set": (1500000002, 0), "time_create": (1500000000, 9000)}
    r = c.call(putfh(o.fh), setattr(o.stateid, {"mode": 0o640, **times}), getattr("time_create", "time_modify", "mode")).ok()
    got = r.last.attrs
    need(got == {"time_create": (1500000000, 9000), "time_modify": (1500000002, 0), "mode": 0o640}, f"{got}")


@over(minor=MINORS, kind=SETTABLE, name=("time_access_set", "time_modify_set"),
      nsec=(1000000000, 0xFFFFFFFF))
def test_bad_time(t, minor, kind, name, nsec):
    "RFC 7530 2.1 (nfstime4): nanoseconds above 999999999 are INVAL"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, kind)), setattr(ANON, {name: (1, nsec)})), "INVAL")


@over(minor=MINORS)
def test_bad_settime_choice(t, minor):
    "RFC 7530 5.8.2: time_how4 has two values: BADXDR (or INVAL)"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "file")), setattr(ANON, {48: b"\0\0\0\2"})), "BADXDR", "INVAL")


@over(minor=MINORS, name=("owner", "owner_group"), value=("", "no-such-user@lares.test", "x@elsewhere.invalid",
                                                          "@", "a b@c d", b"\xff\xfe"))
def test_bad_owner(t, minor, name, value):
    "RFC 7530 5.9: what cannot be translated is BADOWNER; an empty or non-UTF-8 string INVAL"
    c = t.client(minor)
    bad = Packer().opaque(value).data
    expect(c.call(putfh(t.fh(c, "file")), setattr(ANON, {ATTRS[name][0]: bytes(bad)})),
           "BADOWNER", "INVAL")


@over(minor=MINORS, name=("owner", "owner_group"))
def test_set_owner_to_itself(t, minor, name):
    "RFC 7530 5.9: what GETATTR tells can be set; a numeric string works too"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    for value in (c.attrs(fh, name)[name], "1234"):
        c.call(putfh(fh), setattr(ANON, {name: value})).ok()
    st = os.stat(t.path / "f")
    need((st.st_uid if name == "owner" else st.st_gid) == 1234, f"{st}")


@over(minor=MINORS, size=(0, 1, 5, 10, 4096, 1 << 31, (1 << 32) + 7))
def test_set_size(t, minor, size):
    "RFC 7530 16.32: truncation and extension; new bytes are zero"
    c = t.client(minor)
    p = t.put("f")
    fh = t.fh(c, "f")
    c.call(putfh(fh), setattr(ANON, {"size": size})).ok()
    need(c.attrs(fh, "size")["size"] == size == p.stat().st_size, "another size")
    with open(p, "rb") as f:
        need(f.read(20) == (b"0123456789" + b"\0" * 20)[:min(size, 20)], "other bytes")


@over(minor=MINORS, size=(1 << 63, (1 << 64) - 1))
def test_set_impossible_size(t, minor, size):
    "RFC 7530 16.32.5: FBIG or INVAL"
    c = t.client(minor)
    t.put("f")
    expect(c.call(putfh(t.fh(c, "f")), setattr(ANON, {"size": size})), "FBIG", "INVAL")


@over(minor=MINORS)
def test_set_several(t, minor):
    "RFC 7530 16.32: several attributes at once; the bitmap tells all"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f")
    want = {"size": 3, "mode": 0o600, "time_modify_set": (5, 6), "time_access_set": (7, 8)}
    r = c.call(putfh(fh), setattr(ANON, want)).ok()
    need(sorted(r.last.attrset) == [4, 33, 48, 54], f"{r.last.attrset}")
    a = c.attrs(fh, "size", "mode", "time_modify", "time_access")
    need(a == {"size": 3, "mode": 0o600, "time_modify": (5, 6), "time_access": (7, 8)}, f"{a}")


@over(minor=MINORS)
def test_set_nothing(t, minor):
    "RFC 7530 16.32: an empty set is fine"
    c = t.client(minor)
    need(c.call(putfh(t.fh(c, "file")), setattr(ANON, {})).ok().last.attrset == [], "not empty")


@over(minor=MINORS)
def test_set_by_others(t, minor):
    "RFC 7530 16.32.5: PERM or ACCESS for who does not own the file"
    t.put("f", mode=0o644)
    u = t.fresh(minor, uid=1234)
    fh = t.fh(u, "f")
    expect(u.call(putfh(fh), setattr(ANON, {"mode": 0o777})), "PERM", "ACCESS")
    expect(u.call(putfh(fh), setattr(ANON, {"owner": "1234"})), "PERM", "ACCESS")
    expect(u.call(putfh(fh), setattr(ANON, {"size": 0})), "PERM", "ACCESS")
    expect(u.call(putfh(fh), setattr(ANON, {"time_modify_set": (1, 0)})), "PERM", "ACCESS")


@over(minor=MINORS)
def test_set_trailing_bytes(t, minor):
    "RFC 7530 15.1.1.1: attribute values longer or shorter than the bitmap says: BADXDR"
    c = t.client(minor)
    fh = t.fh(c, "file")
    long = Packer().bitmap([33]).opaque(Packer().u32(0o777, 1).data).data
    short = Packer().bitmap([33, 36]).opaque(Packer().u32(0o777).data).data
    expect(c.call(putfh(fh), setattr(ANON, bytes(long))), "BADXDR")
    expect(c.call(putfh(fh), setattr(ANON, bytes(short))), "BADXDR")


@over(minor=MINORS)
def test_size_needs_write_open(t, minor):
    "RFC 7530 16.32.4: size with the stateid of a read-only open is OPENMODE"
    c = t.client(minor)
    t.put("f")
    o = c.open(t.dir(c), "f", access=READ, owner=b"size-ro")
    expect(c.call(putfh(o.fh), setattr(o.stateid, {"size": 0})), "OPENMODE")
    need((t.path / "f").stat().st_size == 10, "truncated all the same")


# ---- VERIFY and NVERIFY


@over(minor=MINORS, kind=TYPES)
def test_verify_each(t, minor, kind):
    "RFC 7530 16.15, 16.35: OK and SAME for equal values, of each attribute that can be compared"
    c = t.client(minor)
    fh = t.fh(c, kind)
    names = [n for n in MANDATORY + ("mode", "fileid", "numlinks", "owner", "owner_group", "maxname",
                                     "time_modify", "rawdev", "space_used") if n != "rdattr_error"]
    for name in names:
        value = c.attrs(fh, name)
        expect(c.call(putfh(fh), verify(value)), "OK")
        expect(c.call(putfh(fh), nverify(value)), "SAME")


OTHER_VALUES = {"type": 99, "fh_expire_type": 77, "change": 1, "size": 987654321, "link_support": False,
                "named_attr": True, "fsid": (9, 9), "lease_time": 12345, "filehandle": b"other",
                "mode": 0o321, "fileid": 1, "numlinks": 99, "owner": "other@nowhere", "maxname": 7,
                "time_modify": (1, 2), "rawdev": (99, 99)}


@over(minor=MINORS, kind=TYPES)
def test_verify_other(t, minor, kind):
    "RFC 7530 16.15, 16.35: NOT_SAME and OK for other values"
    c = t.client(minor)
    fh = t.fh(c, kind)
    for name, value in OTHER_VALUES.items():
        expect(c.call(putfh(fh), verify({name: value})), "NOT_SAME")
        expect(c.call(putfh(fh), nverify({name: value})), "OK")


@over(minor=MINORS, kind=TYPES, op=("VERIFY", "NVERIFY"))
def test_compare_refused(t, minor, kind, op):
    "RFC 7530 16.15.4, 16.35.4: rdattr_error is INVAL, an unknown attribute ATTRNOTSUPP"
    c = t.client(minor)
    f = verify if op == "VERIFY" else nverify
    fh = t.fh(c, kind)
    expect(c.call(putfh(fh), f({"rdattr_error": 0})), "INVAL")
    expect(c.call(putfh(fh), f({90: b"\0\0\0\1"})), "ATTRNOTSUPP")
    expect(c.call(putfh(fh), f({200: b"\0\0\0\1"})), "ATTRNOTSUPP")


@over(minor=MINORS)
def test_change_moves(t, minor):
    "RFC 7530 5.8.1.4: every change of data or attributes moves the change attribute"
    c = t.client(minor)
    t.put("f")
    fh, top, last = t.fh(c, "f"), t.dir(c), None
    for op in ([write(ANON, 0, b"x")], [setattr(ANON, {"mode": 0o640})], [setattr(ANON, {"size": 2})],
               [setattr(ANON, {"time_modify_set": (1, 1)})], [write(ANON, 0, b"x")],
               [savefh(), putfh(top), link("second"), putfh(fh)]):
        a, b = c.attrs(fh, "change"), c.call(putfh(fh), *op, getattr("change")).ok().last.attrs
        need(b["change"] > a["change"], f"{a} to {b}")


@over(minor=MINORS)
def test_directory_change_moves(t, minor):
    "RFC 7530 5.8.1.4: likewise of a directory, and change_info4 tells before and after"
    c = t.client(minor)
    top = t.dir(c)
    for op in (create(NF4DIR, "a"), remove("a"), create(NF4LNK, "l", link="x"), remove("l")):
        r = c.call(putfh(top), getattr("change"), op, putfh(top), getattr("change")).ok()
        before, after = [x.attrs["change"] for x in r.results if x.name == "GETATTR"]
        info = next(x.cinfo for x in r.results if hasattr(x, "cinfo"))
        need(after > before, "stands still")
        need(info.before <= info.after, f"{info}")
        if info.atomic:
            need((info.before, info.after) == (before, after), f"{info} but {before} {after}")


if __name__ == "__main__":
    sys.exit(main(globals()))
