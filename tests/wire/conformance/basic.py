#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What holds for all operations: compounds, file handles, object types, names."""

import sys
import time

from conform import *

# ---- COMPOUND


@over(minor=(3, 4, 1000, 0xFFFFFFFF))
def test_unknown_minor_version(t, minor):
    "RFC 7530 15.2.4, RFC 8881 16.2.3: MINOR_VERS_MISMATCH and no results"
    r = expect(t.conn().compound(minor, putrootfh()), "MINOR_VERS_MISMATCH")
    need(len(r) == 0, "results with MINOR_VERS_MISMATCH")


def test_empty_compound_4_0(t):
    "RFC 7530 15.2: a COMPOUND without operations is fine"
    need(len(expect(t.raw(0), "OK")) == 0, "results without operations")


@over(number=(0, 1, 2, 40, 72, 100, 9999, 0xFFFFFFFF))
def test_illegal_operation_4_0(t, number):
    "RFC 7530 15.2.4, 16.14: OP_ILLEGAL with the status, for numbers that 4.0 does not know"
    r = expect(t.client(0).call(raw(number)), "OP_ILLEGAL")
    need(r.last.op == 10044, f"answered as operation {r.last.op}")


@over(minor=(1, 2), number=(0, 1, 2, 76, 9999))
def test_illegal_operation_session(t, minor, number):
    "RFC 8881 16.2.3, 18.52: OP_ILLEGAL"
    r = expect(t.client(minor).call(raw(number)), "OP_ILLEGAL")
    need(r.last.op == 10044 and len(r) == 2, f"{r}")


@over(number=(59, 69, 71))
def test_operation_of_4_2_in_4_1(t, number):
    "RFC 7862 13: operations of 4.2 are illegal in 4.1"
    expect(t.client(1).call(putrootfh(), raw(number, b"\0" * 64)), "OP_ILLEGAL")


@over(minor=(1, 2), op=(("SETCLIENTID", setclientid(b"x")), ("SETCLIENTID_CONFIRM", setclientid_confirm(1, b"12345678")),
                        ("RENEW", renew(1)), ("OPEN_CONFIRM", open_confirm(ANON, 1)),
                        ("RELEASE_LOCKOWNER", release_lockowner(1, b"x"))))
def test_operation_of_4_0_later(t, minor, op):
    "RFC 8881 16.2.3, 17: these operations MUST NOT be in 4.1: NOTSUPP"
    expect(t.client(minor).call(putrootfh(), op[1]), "NOTSUPP")


@over(minor=MINORS)
def test_tag_is_echoed(t, minor):
    "RFC 7530 15.2.5, RFC 8881 16.2.4: the tag comes back"
    c = t.client(minor)
    for tag in (b"", b"a tag", "Zürich".encode(), b"x" * 255):
        need(c.call(putrootfh(), tag=tag).ok().tag == tag, f"tag {tag!r}")


@over(minor=MINORS)
def test_tag_not_utf8(t, minor):
    "RFC 7530 15.2.4, RFC 8881 16.2.3: INVAL or taken, never a crash"
    expect(t.client(minor).call(putrootfh(), tag=b"\xff\xfe\x80"), "INVAL", "OK")


def test_many_operations_4_0(t):
    "RFC 7530 15.2.4: as many as the server takes, else RESOURCE"
    expect(t.client(0).call(*[putrootfh()] * 100), "OK")
    expect(t.client(0).call(*[putrootfh()] * 1000), "RESOURCE")


@over(minor=(1, 2))
def test_many_operations_session(t, minor):
    "RFC 8881 18.46.3: more than ca_maxoperations is TOO_MANY_OPS"
    c = t.client(minor)
    n = c.created.fore.maxops
    expect(c.call(*[putrootfh()] * (n - 1)), "OK")
    r = t.raw(minor, c.sequence(5), *[putrootfh()] * n)
    expect(r, "TOO_MANY_OPS")


@over(minor=MINORS)
def test_stops_at_first_error(t, minor):
    "RFC 7530 15.2.4: results up to and including the one that failed"
    r = expect(t.client(minor).call(putrootfh(), lookup("absent-name"), getfh(), getfh()), "NOENT")
    need(len(r) == (2 if minor == 0 else 3), f"{r}")


@over(minor=MINORS, cut=(1, 3, 4, 7))
def test_garbage_arguments(t, minor, cut):
    "RFC 7530 15.2.4, RFC 8881 15.1.1.1: BADXDR for arguments that end too early"
    c = t.client(minor)
    op = lookup("a-name-of-17-bytes")
    expect(c.call(putrootfh(), op[:-cut * 4]), "BADXDR")


@over(minor=MINORS)
def test_more_operations_announced_than_sent(t, minor):
    "RFC 7530 15.2.4: BADXDR, or the RPC layer's GARBAGE_ARGS"
    c = t.client(minor)
    first = [] if minor == 0 else [c.sequence(6)]
    try:
        expect(t.raw(minor, *first, putrootfh(), count=9), "BADXDR")
    except RpcError as e:
        need("GARBAGE" in e.reply.verdict, e.reply.verdict)
    if minor:
        c.seqids[6] = c.seqids.get(6, 0) + 1


@over(minor=MINORS, op=(("LOCK", lock(9, 0, 1, ANON, 1, b"o")), ("CREATE", create(1, "x")),
                        ("CREATE", create(77, "x")), ("WRITE", write(ANON, 0, b"x", 7)),
                        ("OPEN", bytes(Packer().u32(18, 0, 1, 0).u64(0).opaque(b"o").u32(9).data))))
def test_values_outside_enumerations(t, minor, op):
    "RFC 7530 15.1.1.1 (BADXDR) and 16.4 (BADTYPE for CREATE): values that no enumeration has"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "dir" if op[0] in ("CREATE", "OPEN") else "file")), op[1]),
           "BADTYPE" if op[0] == "CREATE" else "BADXDR", *(["INVAL"] if op[0] == "WRITE" else []))


# ---- No current file handle

NO_FH = {
    "ACCESS": access(1), "CLOSE": close(ANON), "COMMIT": commit(), "CREATE": create(NF4DIR, "x"),
    "GETATTR": getattr("type"), "GETFH": getfh(), "LINK": link("x"),
    "LOCK": lock(1, 0, 1, ANON, 1, b"o"), "LOCKT": lockt(1, 0, 1, 1, b"o"),
    "LOCKU": locku(1, 0, 1, ANON), "LOOKUP": lookup("x"), "LOOKUPP": lookupp(),
    "NVERIFY": nverify({"type": 1}), "OPENATTR": openattr(), "OPEN_DOWNGRADE": open_downgrade(ANON, 1),
    "READ": read(ANON, 0, 1), "READDIR": readdir(), "READLINK": readlink(), "REMOVE": remove("x"),
    "RENAME": rename("x", "y"), "SAVEFH": savefh(), "SECINFO": secinfo("x"),
    "SETATTR": setattr(ANON, {"mode": 0o644}), "VERIFY": verify({"type": 1}),
    "WRITE": write(ANON, 0, b"x"), "DELEGRETURN": delegreturn(ANON),
}
NO_FH_40 = {"OPEN_CONFIRM": open_confirm(ANON, 1)}
NO_FH_41 = {"SECINFO_NO_NAME": secinfo_no_name(), "RECLAIM_COMPLETE": reclaim_complete(True)}
NO_FH_42 = {
    "ALLOCATE": allocate(ANON, 0, 1), "DEALLOCATE": deallocate(ANON, 0, 1), "SEEK": seek(ANON, 0),
    "READ_PLUS": read_plus(ANON, 0, 1), "COPY": copy(ANON, ANON, 0, 0, 1),
    "CLONE": clone(ANON, ANON, 0, 0, 1), "GETXATTR": getxattr("x"), "SETXATTR": setxattr("x", b"1"),
    "LISTXATTRS": listxattrs(), "REMOVEXATTR": removexattr("x"), "IO_ADVISE": io_advise(ANON, 0, 1),
}


def _no_fh(t, minor, op, args):
    c = t.client(minor)
    # OPENATTR is not offered: a server may say so first.
    expect(c.call(args), "NOFILEHANDLE", *(["NOTSUPP"] if op == "OPENATTR" else []))


@over(minor=MINORS, op=tuple(NO_FH.items()))
def test_without_file_handle(t, minor, op):
    "RFC 7530 15.2.4, RFC 8881 15.1.2.5: NOFILEHANDLE"
    _no_fh(t, minor, *op)


@over(minor=(0,), op=tuple(NO_FH_40.items()))
def test_without_file_handle_4_0(t, minor, op):
    "RFC 7530 13.1.2.5: NOFILEHANDLE"
    _no_fh(t, minor, *op)


@over(minor=(1, 2), op=tuple(NO_FH_41.items()))
def test_without_file_handle_4_1(t, minor, op):
    "RFC 8881 15.1.2.5: NOFILEHANDLE"
    _no_fh(t, minor, *op)


@over(minor=(2,), op=tuple(NO_FH_42.items()))
def test_without_file_handle_4_2(t, minor, op):
    "RFC 7862 15, RFC 8276 8.4: NOFILEHANDLE"
    _no_fh(t, minor, *op)


@over(minor=MINORS)
def test_open_without_file_handle(t, minor):
    "RFC 7530 16.16.5: NOFILEHANDLE, and the seqid does not move"
    c = t.client(minor)
    expect(c.call(open_("x", READ, 0, c.clientid, b"open-nofh", 1)), "NOFILEHANDLE")


@over(minor=MINORS, op=(("LINK", link("x")), ("RENAME", rename("x", "y"))))
def test_without_saved_file_handle(t, minor, op):
    "RFC 7530 16.9.4, 16.27.4: NOFILEHANDLE without a saved one"
    expect(t.client(minor).call(putrootfh(), op[1]), "NOFILEHANDLE")


@over(minor=MINORS)
def test_restorefh_without_saved(t, minor):
    "RFC 7530 16.30.4: RESTOREFH; RFC 8881 18.27.3: NOFILEHANDLE"
    expect(t.client(minor).call(restorefh()), "RESTOREFH" if minor == 0 else "NOFILEHANDLE")
    expect(t.client(minor).call(putrootfh(), restorefh()),
           "RESTOREFH" if minor == 0 else "NOFILEHANDLE")


# ---- File handles


@over(minor=MINORS, handle=(b"", b"\0", b"abc", b"x" * 128, b"\0" * 32, b"\xff" * 64))
def test_bad_handle(t, minor, handle):
    "RFC 7530 16.20.4: BADHANDLE for what was never a handle"
    expect(t.client(minor).call(putfh(handle)), "BADHANDLE")


@over(minor=MINORS)
def test_handle_too_long(t, minor):
    "RFC 7530 2.2.2: NFS4_FHSIZE is 128: BADXDR or BADHANDLE"
    expect(t.client(minor).call(putfh(b"x" * 129)), "BADXDR", "BADHANDLE")


@over(minor=MINORS, at=(0, 1, 2, 5, -1, -5))
def test_changed_handle(t, minor, at):
    "RFC 7530 16.20.4: a handle with a changed byte names nothing: BADHANDLE or STALE"
    c = t.client(minor)
    fh = bytearray(t.fh(c, "file"))
    fh[at] ^= 0x55
    r = expect(c.call(putfh(bytes(fh)), getattr("type")), "BADHANDLE", "STALE", "OK")
    need(r.error != "OK" or fh == bytearray(t.fh(c, "file")), "a changed handle was accepted")


@over(minor=MINORS, kind=TYPES)
def test_handle_round_trip(t, minor, kind):
    "RFC 7530 4.2.1: the handle of an object stays the same and names it, for each type"
    c = t.client(minor)
    fh = t.fh(c, kind)
    r = c.call(putfh(fh), getfh(), getattr("type", "filehandle", "fileid")).ok()
    need(r.op("GETFH").fh == fh == r.last.attrs["filehandle"], "another handle")
    need(r.last.attrs["type"] == NUMBER[kind], f"type {r.last.attrs['type']}")
    need(t.fh(c, kind) == fh, "a second LOOKUP gives another handle")


@over(minor=MINORS, how=("file", "dir"))
def test_stale_handle(t, minor, how):
    """RFC 7530 4.2.2, 13.1.2.7: the handle of a removed object is STALE (or FHEXPIRED). DELAY is no verdict: the kernel may need
    a moment to be rid of it."""
    c = t.client(minor)
    p = t.path / "gone"
    p.mkdir() if how == "dir" else p.write_bytes(b"x")
    fh = t.fh(c, "gone")
    c.call(putfh(t.dir(c)), remove("gone")).ok()
    for _ in range(100):
        r = c.call(putfh(fh), getattr("type"))
        if r.error != "DELAY":
            break
        time.sleep(0.01)
    expect(r, "STALE", "NOENT")


@over(minor=MINORS)
def test_root_and_public_handles(t, minor):
    "RFC 7530 16.21, 16.22: PUTROOTFH and PUTPUBFH give a directory"
    c = t.client(minor)
    for op in (putrootfh(), putpubfh()):
        need(c.call(op, getattr("type")).ok().last.attrs["type"] == NF4DIR, "no directory")


@over(minor=MINORS, kind=TYPES)
def test_save_and_restore(t, minor, kind):
    "RFC 7530 16.30, 16.31: SAVEFH and RESTOREFH for each type"
    c = t.client(minor)
    fh = t.fh(c, kind)
    r = c.call(putfh(fh), savefh(), putrootfh(), restorefh(), getfh()).ok()
    need(r.last.fh == fh, "another handle came back")


# ---- Operations on the wrong type of object

# What an operation for regular files answers for others: RFC 7530 16.23.4 and its kin; the
# errors of RFC 8881 15.2.
NOT_REGULAR = {
    "dir": (("ISDIR",), ("ISDIR",)), "link": (("INVAL",), ("SYMLINK", "WRONG_TYPE")),
    "blk": (("INVAL",), ("WRONG_TYPE",)), "chr": (("INVAL",), ("WRONG_TYPE",)),
    "fifo": (("INVAL",), ("WRONG_TYPE",)), "sock": (("INVAL",), ("WRONG_TYPE",)),
}
FOR_FILES = {"READ": read(ANON, 0, 10), "WRITE": write(ANON, 0, b"x"), "COMMIT": commit(),
             "SETATTR": setattr(ANON, {"size": 0})}


@over(minor=MINORS, op=tuple(FOR_FILES.items()), kind=NOT_FILE)
def test_for_regular_files(t, minor, op, kind):
    "RFC 7530 16.3, 16.23, 16.32, 16.36; RFC 8881 15.2: ISDIR, INVAL, SYMLINK, WRONG_TYPE"
    c = t.client(minor)
    wanted = NOT_REGULAR[kind][minor > 0]
    if op[0] == "SETATTR":  # RFC 7530 16.32.4: "may be INVAL or ISDIR"
        wanted += ("INVAL", "BAD_STATEID")
    expect(c.call(putfh(t.fh(c, kind)), op[1]), *wanted)


@over(minor=MINORS, kind=NOT_FILE)
def test_lock_on(t, minor, kind):
    "RFC 7530 16.10.5, 16.11.5: LOCK and LOCKT are for regular files"
    c = t.client(minor)
    wanted = NOT_REGULAR[kind][minor > 0]
    expect(c.call(putfh(t.fh(c, kind)), lockt(WRITE_LT, 0, 10, c.clientid, b"o")), *wanted)
    expect(c.call(putfh(t.fh(c, kind)), lock(WRITE_LT, 0, 10, ANON, c.clientid, b"o")), *wanted,
           "BAD_STATEID")


@over(kind=NOT_FILE, op=(("ALLOCATE", allocate(ANON, 0, 1)), ("DEALLOCATE", deallocate(ANON, 0, 1)),
                         ("SEEK", seek(ANON, 0)), ("READ_PLUS", read_plus(ANON, 0, 1))))
def test_for_regular_files_4_2(t, op, kind):
    "RFC 7862 11.2, 15: WRONG_TYPE or the type's own error"
    c = t.client(2)
    expect(c.call(putfh(t.fh(c, kind)), op[1]), *NOT_REGULAR[kind][1], "WRONG_TYPE")


FOR_DIRS = {"LOOKUP": lookup("x"), "LOOKUPP": lookupp(), "CREATE": create(NF4DIR, "x"),
            "REMOVE": remove("x"), "READDIR": readdir(), "SECINFO": secinfo("x")}


@over(minor=MINORS, op=tuple(FOR_DIRS.items()), kind=NOT_DIR)
def test_for_directories(t, minor, op, kind):
    "RFC 7530 16.4, 16.13, 16.14, 16.24, 16.25, 16.31: NOTDIR; SYMLINK for LOOKUP in a link"
    c = t.client(minor)
    wanted = ["NOTDIR"]
    if kind == "link":
        wanted = ["SYMLINK"] if op[0] == "LOOKUP" else ["NOTDIR", "SYMLINK"]
    expect(c.call(putfh(t.fh(c, kind)), op[1]), *wanted)


@over(minor=MINORS, kind=NOT_DIR)
def test_open_in(t, minor, kind):
    "RFC 7530 16.16.5: OPEN by name in what is no directory is NOTDIR"
    c = t.client(minor)
    owner = b"open-in-" + kind.encode()
    r = c.call(putfh(t.fh(c, kind)), open_("x", READ, 0, c.clientid, owner, 1))
    expect(r, "NOTDIR", *(["SYMLINK"] if kind == "link" else []))


@over(minor=MINORS, kind=NOT_FILE)
def test_open_of(t, minor, kind):
    "RFC 7530 16.16.5, RFC 8881 18.16.3: ISDIR, SYMLINK; others INVAL (4.0), WRONG_TYPE (4.1)"
    c = t.client(minor)
    owner = b"open-of-" + kind.encode()
    wanted = {"dir": ("ISDIR",), "link": ("SYMLINK",)}.get(
        kind, ("INVAL",) if minor == 0 else ("WRONG_TYPE",))
    top = c.walk("/share/types")
    expect(c.call(putfh(top), open_(kind, READ, 0, c.clientid, owner, 1)), *wanted)


@over(minor=MINORS, kind=NOT_DIR)
def test_link_into(t, minor, kind):
    "RFC 7530 16.9.4: LINK into what is no directory is NOTDIR"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "file")), savefh(), putfh(t.fh(c, kind)), link("x")), "NOTDIR",
           *(["SYMLINK"] if kind == "link" else []))


@over(minor=MINORS, kind=NOT_DIR, where=("from", "to"))
def test_rename_with(t, minor, kind, where):
    "RFC 7530 16.27.4: RENAME where one side is no directory is NOTDIR"
    c = t.client(minor)
    this, top = t.fh(c, kind), t.dir(c)
    t.put("old")
    a, b = (this, top) if where == "from" else (top, this)
    expect(c.call(putfh(a), savefh(), putfh(b), rename("old", "new")), "NOTDIR",
           *(["SYMLINK"] if kind == "link" else []))


@over(minor=MINORS, kind=TYPES)
def test_readlink(t, minor, kind):
    "RFC 7530 16.25.5: INVAL; RFC 8881 18.24.3: WRONG_TYPE (a directory may be ISDIR)"
    c = t.client(minor)
    r = c.call(putfh(t.fh(c, kind)), readlink())
    if kind == "link":
        need(r.ok().last.link == b"file", f"{r.last}")
    else:
        expect(r, "WRONG_TYPE" if minor else "INVAL", *(["ISDIR"] if kind == "dir" else []))


@over(minor=MINORS, kind=TYPES)
def test_access(t, minor, kind):
    "RFC 7530 16.1: ACCESS for each type; LOOKUP and DELETE mean something for directories only"
    c = t.client(minor)
    r = c.call(putfh(t.fh(c, kind)), access(0x3F)).ok().last
    need(r.access & ~r.supported == 0, "granted more than it knows")
    need(bool(r.supported & 2) == (kind == "dir"), f"LOOKUP in {r.supported:#x}")
    for bit in (1, 2, 4, 8, 16, 32):
        one = c.call(putfh(t.fh(c, kind)), access(bit)).ok().last
        need(one.supported & ~bit == 0 and one.access & ~bit == 0, "told more than was asked")


@over(minor=MINORS, bits=(0x40, 0x1000, 0x80000000))
def test_access_unknown_bits(t, minor, bits):
    "RFC 7530 16.1.4, RFC 8881 18.1.3: unknown bits are ignored or INVAL; RFC 8276 gives 4.2 three more"
    c = t.client(minor)
    r = expect(c.call(putfh(t.fh(c, "file")), access(bits)), "INVAL", "OK")
    if r.error == "OK" and not (minor == 2 and bits == 0x40):
        need(r.last.supported == 0, "claims to know an unknown right")


# ---- Names

BAD_NAMES = {
    "empty": (b"", ("INVAL",)), "too-long": (b"x" * 256, ("NAMETOOLONG",)),
    "far-too-long": (b"x" * 4096, ("NAMETOOLONG",)), "dot": (b".", ("BADNAME",)),
    "dotdot": (b"..", ("BADNAME",)), "slash": (b"a/b", ("BADCHAR", "BADNAME", "INVAL")),
    "only-slash": (b"/", ("BADCHAR", "BADNAME", "INVAL")),
    "nul": (b"a\0b", ("BADCHAR", "BADNAME", "INVAL")), "latin1": (b"caf\xe9", ("INVAL",)),
    "overlong": (b"\xc0\xaf", ("INVAL",)), "surrogate": (b"\xed\xa0\x80", ("INVAL",)),
    "beyond-unicode": (b"\xf4\x90\x80\x80", ("INVAL",)), "cut-off": (b"\xe2\x82", ("INVAL",)),
    "lone-continuation": (b"\x80", ("INVAL",)),
}
NAMED_OPS = ("LOOKUP", "CREATE", "REMOVE", "OPEN", "OPEN-CREATE", "SECINFO", "LINK", "RENAME-FROM",
             "RENAME-TO")


@over(minor=MINORS, op=NAMED_OPS, name=tuple(BAD_NAMES.items()))
def test_bad_name(t, minor, op, name):
    "RFC 7530 12.7, 13.1.7; RFC 8881 14.5: INVAL, NAMETOOLONG, BADNAME, BADCHAR"
    c = t.client(minor)
    bad, wanted = name[1]
    top = t.suite.__dict__.setdefault("names_top", {})
    if minor not in top:
        (t.suite.folder / "types" / "victim").write_bytes(b"x")
        top[minor] = (c.walk("/share/types"), t.fh(c, "file"))
    fh, file = top[minor]
    seq = {"LOOKUP": [lookup(bad)], "CREATE": [create(NF4DIR, bad)], "REMOVE": [remove(bad)],
           "SECINFO": [secinfo(bad)], "LINK": [savefh(), putfh(fh), link(bad)],
           "RENAME-FROM": [savefh(), rename(bad, "target")],
           "RENAME-TO": [savefh(), rename("victim", bad)],
           "OPEN": [open_(bad, READ, 0, c.clientid, b"bn" + op.encode() + name[0].encode(), 1)],
           "OPEN-CREATE": [open_(bad, BOTH, 0, c.clientid, b"bn" + op.encode() + name[0].encode(),
                                 1, how="unchecked")]}[op]
    r = expect(c.call(putfh(file if op == "LINK" else fh), *seq), *wanted)
    need(r.status, "accepted")


@over(minor=MINORS, name=("a" * 255, "ä" * 127, "日本語", "with space", "tab\there", "new\nline",
                          "...", ".hidden", "..x", "-rf", "*?[", "back\\slash", "emoji 🎈", "\x7f"))
def test_good_name(t, minor, name):
    "RFC 7530 12.2: any other UTF-8 name is kept as it is"
    c = t.client(minor)
    top = t.dir(c)
    c.call(putfh(top), create(NF4DIR, name, {"mode": 0o755})).ok()
    need(name in os.listdir(t.path), "another name on the disk")
    need([e[0].decode() for e in c.list(top)] == [name], "another name in READDIR")
    c.call(putfh(top), lookup(name), getfh()).ok()
    c.call(putfh(top), remove(name)).ok()


@over(minor=MINORS)
def test_lookup(t, minor):
    "RFC 7530 16.13: NOENT, ACCESS without search permission"
    c = t.client(minor)
    t.put("there")
    expect(c.call(putfh(t.dir(c)), lookup("absent")), "NOENT")
    (t.path / "closed").mkdir(mode=0o700)
    (t.path / "closed" / "in").write_bytes(b"")
    u = t.fresh(minor, uid=1234)
    expect(u.call(putfh(t.fh(u, "closed")), lookup("in")), "ACCESS")


@over(minor=MINORS)
def test_lookupp(t, minor):
    "RFC 7530 16.14: the parent; NOENT above the root"
    c = t.client(minor)
    fh = t.dir(c)
    need(c.call(putfh(fh), lookupp(), getfh()).ok().last.fh == c.walk("/share"), "another parent")
    need(c.call(putfh(fh), lookupp(), lookupp(), getfh()).ok().last.fh == c.walk("/"), "share's parent")
    expect(c.call(putrootfh(), lookupp()), "NOENT")


@over(minor=MINORS)
def test_secinfo(t, minor):
    "RFC 7530 16.31, RFC 8881 18.29.3: flavors; with 4.1 the current handle is consumed"
    c = t.client(minor)
    t.put("there")
    r = c.call(putfh(t.dir(c)), secinfo("there")).ok().last
    need([e.flavor for e in r.flavors] == [1], f"{r.flavors}")
    expect(c.call(putfh(t.dir(c)), secinfo("absent")), "NOENT")
    expect(c.call(putfh(t.dir(c)), secinfo("there"), getfh()), "OK" if minor == 0 else "NOFILEHANDLE")


@over(minor=(1, 2))
def test_secinfo_no_name(t, minor):
    "RFC 8881 18.45: current and parent; NOENT for the root's parent; the handle is consumed"
    c = t.client(minor)
    t.put("there")
    expect(c.call(putfh(t.fh(c, "there")), secinfo_no_name(0)), "OK")
    expect(c.call(putfh(t.fh(c, "there")), secinfo_no_name(1)), "NOTDIR")
    expect(c.call(putfh(t.dir(c)), secinfo_no_name(1)), "OK")
    expect(c.call(putrootfh(), secinfo_no_name(0), getfh()), "NOFILEHANDLE")
    expect(c.call(putrootfh(), secinfo_no_name(1)), "NOENT")
    expect(c.call(putrootfh(), secinfo_no_name(2)), "BADXDR", "INVAL")


@over(minor=(1, 2), op=(("GET_DIR_DELEGATION", 46), ("GETDEVICEINFO", 47), ("LAYOUTCOMMIT", 49), ("LAYOUTGET", 50),
                        ("LAYOUTRETURN", 51), ("SET_SSV", 54), ("WANT_DELEGATION", 56)))
def test_not_offered(t, minor, op):
    "RFC 8881 17: optional operations that are not offered: NOTSUPP"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "file")), raw(op[1], b"\0" * 96)), "NOTSUPP")


if __name__ == "__main__":
    sys.exit(main(globals()))
