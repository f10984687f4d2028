#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Opens, share reservations and byte-range locks on the wire: test-state.py [ganesha|lares].

Spec: RFC 7530 9 and 16, RFC 8881 8, 9, 18. Checks that hold for both run over 4.0 and 4.1."""

import sys

from nfs4ops import *  # noqa: F403
from wirecheck import differs, expect, main

MODE = {"mode": 0o666}


def clients(t):
    return (t.client40(), t.session())


def opened(c, d, name="f", access=BOTH, deny=0, owner=b"owner"):
    return c.open(d, name, access=access, deny=deny, owner=owner, how="unchecked", attrs=MODE)


def try_open(c, d, name, access, deny=0, owner=b"second", **kw):
    """The bare result of an OPEN; a 4.0 owner's seqid is counted."""
    seqid = c.seqid(owner) if hasattr(c, "seqid") else 0
    return c.call(putfh(d), open_(name, access, deny, c.clientid, owner, seqid, **kw))


def check_share_deny(t):
    """Deny modes keep others out, both ways."""
    for c in clients(t):
        d = t.folder(c)
        opened(c, d, access=BOTH, deny=WRITE)
        expect(try_open(c, d, "f", WRITE), "SHARE_DENIED")
        expect(try_open(c, d, "f", READ, deny=READ), "SHARE_DENIED")
        expect(try_open(c, d, "f", READ, owner=b"third"), "OK")


def check_deny_between_versions(t):
    """A deny mode of a 4.1 client holds for a 4.0 client, also for writes without an open."""
    a, b = t.session(), t.client40()
    d = t.folder(a)
    f = opened(a, d, deny=BOTH)
    expect(try_open(b, d, "f", READ), "SHARE_DENIED")
    expect(b.call(putfh(f.fh), write(ANON, 0, b"x")), "LOCKED", "SHARE_DENIED")
    expect(b.call(putfh(f.fh), read(ANON, 0, 1)), "LOCKED", "SHARE_DENIED")
    a.close(f.fh, f.stateid).ok()
    expect(b.call(putfh(f.fh), write(ANON, 0, b"x")), "OK")


@differs(ganesha="writes with an open that was downgraded to reading")
def check_upgrade_downgrade(t):
    """The same owner opens more and gives back; OPEN_DOWNGRADE below what it has only."""
    for c in clients(t):
        d = t.folder(c)
        f = opened(c, d, access=READ)
        expect(c.call(putfh(f.fh), write(f.stateid, 0, b"x")), "OPENMODE")
        g = opened(c, d, access=WRITE)
        assert g.stateid[4:] == f.stateid[4:] and g.stateid[:4] > f.stateid[:4]
        c.call(putfh(f.fh), write(g.stateid, 0, b"x")).ok()
        seq = c.seqid(b"owner") if hasattr(c, "seqid") else 0
        r = c.call(putfh(f.fh), open_downgrade(g.stateid, READ, 0, seq)).ok()
        expect(c.call(putfh(f.fh), write(r.last.stateid, 0, b"x")), "OPENMODE")


def check_stateid_generations(t):
    """Old, future, foreign and closed stateids."""
    for c in clients(t):
        d = t.folder(c)
        f = opened(c, d, access=READ)
        g = opened(c, d, access=WRITE)
        expect(c.call(putfh(f.fh), read(f.stateid, 0, 1)), "OLD_STATEID")
        future = b"\0\0\1\0" + g.stateid[4:]
        expect(c.call(putfh(f.fh), read(future, 0, 1)), "BAD_STATEID")
        other = opened(c, d, "g")
        expect(c.call(putfh(f.fh), read(other.stateid, 0, 1)), "BAD_STATEID")
        c.close(f.fh, g.stateid).ok()
        expect(c.call(putfh(f.fh), read(g.stateid, 0, 1)), "BAD_STATEID", "OLD_STATEID",
               "EXPIRED", "STALE_STATEID")


def check_zero_seqid(t):
    """In 4.1 a stateid with sequence 0 means the latest."""
    s = t.session()
    d = t.folder(s)
    f = opened(s, d, access=READ)
    opened(s, d, access=WRITE)
    s.call(putfh(f.fh), write(b"\0\0\0\0" + f.stateid[4:], 0, b"x")).ok()


def check_special_stateids(t):
    """The anonymous stateid reads and writes without an open; bypass reads."""
    for c in clients(t):
        d = t.folder(c)
        f = opened(c, d)
        c.close(f.fh, f.stateid).ok()
        c.call(putfh(f.fh), write(ANON, 0, b"hello")).ok()
        assert c.call(putfh(f.fh), read(ANON, 0, 9)).ok().last.data == b"hello"
        assert c.call(putfh(f.fh), read(BYPASS, 0, 9)).ok().last.data == b"hello"


def check_open_modes(t):
    """unchecked, guarded and exclusive creation."""
    for c in clients(t):
        d = t.folder(c)
        expect(try_open(c, d, "absent", READ), "NOENT")
        expect(try_open(c, d, "g", BOTH, how="guarded", attrs=MODE), "OK")
        expect(try_open(c, d, "g", BOTH, how="guarded", attrs=MODE), "EXIST")
        expect(try_open(c, d, "g", BOTH, how="unchecked", attrs={"size": 0}), "OK")
        how = "exclusive41" if hasattr(c, "sessionid") else "exclusive"
        expect(try_open(c, d, "x", BOTH, how=how, verifier=b"verify-1"), "OK")
        expect(try_open(c, d, "x", BOTH, how=how, verifier=b"verify-1"), "OK")
        expect(try_open(c, d, "x", BOTH, how=how, verifier=b"verify-2"), "EXIST")


def check_unchecked_truncates(t):
    """OPEN unchecked of a file that is there sets its size to 0 and no other attribute."""
    for c in clients(t):
        d = t.folder(c)
        f = opened(c, d)
        c.call(putfh(f.fh), write(f.stateid, 0, b"12345")).ok()
        expect(try_open(c, d, "f", BOTH, how="unchecked", attrs={"size": 0, "mode": 0o600}), "OK")
        assert c.attrs(f.fh, "size", "mode") == {"size": 0, "mode": 0o666}


def check_open_types(t):
    """OPEN of what is no file."""
    for c in clients(t):
        d = t.folder(c)
        c.mkdir(d, "dir")
        c.call(putfh(d), create(NF4LNK, "link", {}, link="dir")).ok()
        expect(try_open(c, d, "dir", READ), "ISDIR")
        expect(try_open(c, d, "link", READ), "SYMLINK")
        f = opened(c, d)
        expect(try_open(c, f.fh, "x", READ), "NOTDIR")


def check_locks(t):
    """Locks conflict between owners, not within one; they shrink, split and end."""
    s = t.session()
    d = t.folder(s)
    f = opened(s, d)
    st = s.call(putfh(f.fh), lock(WRITE_LT, 0, 100, f.stateid, s.clientid, b"a")).ok().last.stateid
    r = expect(s.call(putfh(f.fh), lock(READ_LT, 50, 10, f.stateid, s.clientid, b"b")), "DENIED")
    assert (r.last.offset, r.last.length, r.last.kind) == (0, 100, WRITE_LT)
    assert r.last.owner == b"a" and r.last.clientid == s.clientid
    st = s.call(putfh(f.fh), locku(WRITE_LT, 40, 20, st)).ok().last.stateid
    expect(s.call(putfh(f.fh), lockt(WRITE_LT, 45, 10, s.clientid, b"b")), "OK")
    expect(s.call(putfh(f.fh), lockt(WRITE_LT, 39, 1, s.clientid, b"b")), "DENIED")
    expect(s.call(putfh(f.fh), lockt(WRITE_LT, 60, 1, s.clientid, b"b")), "DENIED")
    expect(s.call(putfh(f.fh), lockt(WRITE_LT, 0, 100, s.clientid, b"a")), "OK")
    st = s.call(putfh(f.fh), lock(READ_LT, 0, 40, st)).ok().last.stateid
    expect(s.call(putfh(f.fh), lockt(READ_LT, 0, 40, s.clientid, b"b")), "OK")
    s.call(putfh(f.fh), locku(WRITE_LT, 0, 0xFFFFFFFFFFFFFFFF, st)).ok()
    expect(s.call(putfh(f.fh), lockt(WRITE_LT, 0, 0xFFFFFFFFFFFFFFFF, s.clientid, b"b")), "OK")


def check_lock_ranges(t):
    """Ranges that cannot be."""
    s = t.session()
    d = t.folder(s)
    f = opened(s, d)
    for offset, length in ((0, 0), (10, 0xFFFFFFFFFFFFFFFE), (0xFFFFFFFFFFFFFFFF, 2)):
        expect(s.call(putfh(f.fh), lock(WRITE_LT, offset, length, f.stateid, s.clientid, b"a")),
               "INVAL", "BAD_RANGE")
    expect(s.call(putfh(f.fh), lockt(WRITE_LT, 0, 0, s.clientid, b"a")), "INVAL")


def check_lock_open_mode(t):
    """A write lock needs an open for writing."""
    for c in clients(t):
        d = t.folder(c)
        f = opened(c, d)
        c.close(f.fh, f.stateid).ok()
        r = opened_for(c, d, READ)
        seq = c.seqid(b"reader") if hasattr(c, "seqid") else 0
        expect(c.call(putfh(r.fh), lock(WRITE_LT, 0, 1, r.stateid, c.clientid, b"l", seq, 0)),
               "OPENMODE")


def opened_for(c, d, access):
    return c.open(d, "f", access=access, owner=b"reader")


def check_locks_between_versions(t):
    """A lock of a 4.0 client holds for a 4.1 client."""
    a, b = t.client40(), t.session()
    d = t.folder(b)
    f, g = opened(a, d), opened(b, d)
    st = a.call(putfh(f.fh), lock(WRITE_LT, 0, 10, f.stateid, a.clientid, b"l",
                                  a.seqid(b"owner"), 0)).ok().last.stateid
    expect(b.call(putfh(g.fh), lock(WRITE_LT, 0, 10, g.stateid, b.clientid, b"l")), "DENIED")
    a.call(putfh(f.fh), locku(WRITE_LT, 0, 10, st, 1)).ok()
    expect(b.call(putfh(g.fh), lock(WRITE_LT, 0, 10, g.stateid, b.clientid, b"l")), "OK")


def check_close_with_locks(t):
    """CLOSE gives back the locks of the open, or says that they are held."""
    s = t.session()
    d = t.folder(s)
    f = opened(s, d)
    s.call(putfh(f.fh), lock(WRITE_LT, 0, 10, f.stateid, s.clientid, b"l")).ok()
    r = expect(s.close(f.fh, f.stateid), "OK", "LOCKS_HELD")
    if r.error == "OK":
        g = opened(s, d, owner=b"other")
        expect(s.call(putfh(g.fh), lock(WRITE_LT, 0, 10, g.stateid, s.clientid, b"m")), "OK")


def check_open_seqids(t):
    """In 4.0 an owner's sequence: a repeat is answered from memory, a jump is refused."""
    c = t.client40()
    d = t.folder(c)
    f = opened(c, d)
    used = c.seqids[b"owner"]
    a = c.call(putfh(f.fh), close(f.stateid, used + 1)).ok()
    b = c.call(putfh(f.fh), close(f.stateid, used + 1)).ok()
    assert a.last.stateid == b.last.stateid
    c.seqids[b"owner"] = used + 1
    f = opened(c, d)
    expect(c.call(putfh(f.fh), close(f.stateid, c.seqids[b"owner"] + 7)), "BAD_SEQID")
    c.close(f.fh, f.stateid).ok()


@differs(ganesha="says EXPIRED")
def check_unconfirmed_client(t):
    """In 4.0 nothing works with a client id that was not confirmed."""
    c = t.conn()
    r = c.compound(0, setclientid(b"unconfirmed client")).ok()[0]
    expect(c.compound(0, renew(r.clientid)), "STALE_CLIENTID")
    expect(c.compound(0, setclientid_confirm(r.clientid, b"wrong!!!")), "STALE_CLIENTID")
    expect(c.compound(0, renew(0x1234)), "STALE_CLIENTID")


def check_release_lockowner(t):
    """RELEASE_LOCKOWNER of an owner with and without locks."""
    c = t.client40()
    d = t.folder(c)
    f = opened(c, d)
    st = c.call(putfh(f.fh), lock(WRITE_LT, 0, 10, f.stateid, c.clientid, b"l",
                                  c.seqid(b"owner"), 0)).ok().last.stateid
    expect(c.call(release_lockowner(c.clientid, b"l")), "LOCKS_HELD")
    c.call(putfh(f.fh), locku(WRITE_LT, 0, 10, st, 1)).ok()
    expect(c.call(release_lockowner(c.clientid, b"l")), "OK")


def check_removed_while_open(t):
    """A file that is removed while open can be read until it is closed."""
    for c in clients(t):
        d = t.folder(c)
        f = opened(c, d)
        c.call(putfh(f.fh), write(f.stateid, 0, b"still here")).ok()
        c.call(putfh(d), remove("f")).ok()
        assert c.call(putfh(f.fh), read(f.stateid, 0, 100)).ok().last.data == b"still here"
        assert c.attrs(f.fh, "numlinks")["numlinks"] == 0
        c.close(f.fh, f.stateid).ok()
        expect(c.call(putfh(d), lookup("f")), "NOENT")


def check_rename_while_open(t):
    """A file keeps its handle and its opens through a rename."""
    for c in clients(t):
        d = t.folder(c)
        f = opened(c, d)
        c.call(putfh(d), savefh(), rename("f", "g")).ok()
        c.call(putfh(f.fh), write(f.stateid, 0, b"x")).ok()
        assert c.call(putfh(d), lookup("g"), getfh()).ok().last.fh == f.fh


def check_claim_fh(t):
    """OPEN by file handle (4.1)."""
    s = t.session()
    d = t.folder(s)
    f = opened(s, d)
    s.close(f.fh, f.stateid).ok()
    r = s.call(putfh(f.fh), open_(None, BOTH | WANT_NO_DELEG, 0, s.clientid, claim=4)).ok().last
    s.call(putfh(f.fh), write(r.stateid, 0, b"x")).ok()
    expect(s.call(putfh(d), open_(None, READ, 0, s.clientid, claim=4)), "ISDIR", "INVAL",
           "WRONG_TYPE")


def check_access_bits(t):
    """OPEN with no access, or with bits that do not exist."""
    s = t.session()
    d = t.folder(s)
    opened(s, d)
    expect(try_open(s, d, "f", 0), "INVAL")
    expect(try_open(s, d, "f", READ, deny=9), "INVAL", "BADXDR")


if __name__ == "__main__":
    sys.exit(main(globals()))
