#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""OPEN, OPEN_CONFIRM, OPEN_DOWNGRADE, CLOSE, READ and WRITE with their stateids."""

import os
import sys

from conform import *

NONE = 0
DENY_NONE, DENY_READ, DENY_WRITE, DENY_BOTH = 0, 1, 2, 3
HOWS = ("unchecked", "guarded", "exclusive", "exclusive41")


def hows(minor):
    return HOWS[:3] if minor == 0 else HOWS


def attempt(c, fh, name, access=READ, deny=0, owner=b"o", seqid=None, **kw):
    """OPEN without any comfort. In 4.0 the owner's next seqid, counted."""
    if seqid is None:
        seqid = c.seqid(owner) if c.minor == 0 else 0
    else:
        c.minor == 0 and c.seqids.__setitem__(owner, seqid)
    return c.call(putfh(fh), open_(name, access, deny, c.clientid, owner, seqid, **kw), getfh())


def close_it(c, o, owner=b"o"):
    return c.close(o.fh, o.stateid, owner) if c.minor == 0 else c.close(o.fh, o.stateid)


def seq_of(stateid):
    return int.from_bytes(stateid[:4], "big")


def with_seq(stateid, n):
    return (n & 0xFFFFFFFF).to_bytes(4, "big") + stateid[4:]


# ---- Creating


@over(minor=MINORS, how=HOWS)
def test_create(t, minor, how):
    "RFC 7530 16.16.5, RFC 8881 18.16.3: a new file, with each way of creating"
    if how not in hows(minor):
        return
    c = t.client(minor)
    kw = {"attrs": {"mode": 0o640}} if how != "exclusive" else {}
    o = c.open(t.dir(c), "new", access=BOTH, owner=b"create-" + how.encode(), how=how, **kw)
    st = os.stat(t.path / "new")
    need(st.st_size == 0, "not empty")
    if kw:
        need(st.st_mode & 0o7777 == 0o640, f"{st.st_mode:o}")
        need(33 in o.attrset, f"{o.attrset}")
    need(seq_of(o.stateid) >= 1, "a new stateid's seqid")
    need(o.fh == t.fh(c, "new"), "another handle")
    expect(close_it(c, o, b"create-" + how.encode()), "OK")


@over(minor=MINORS, how=HOWS)
def test_create_existing(t, minor, how):
    "RFC 7530 16.16.5: UNCHECKED opens what is there, the others say EXIST"
    if how not in hows(minor):
        return
    c = t.client(minor)
    t.put("there")
    owner = b"exist-" + how.encode()
    r = attempt(c, t.dir(c), "there", BOTH, 0, owner, how=how, verifier=b"differnt")
    expect(r, "OK" if how == "unchecked" else "EXIST")
    need((t.path / "there").read_bytes() == b"0123456789", "the contents changed")


@over(minor=MINORS, how=HOWS)
def test_create_again(t, minor, how):
    "RFC 7530 16.16.5: the same verifier again is a retry: OK; another one EXIST"
    if how not in ("exclusive", "exclusive41") or how not in hows(minor):
        return
    c = t.client(minor)
    a, b, d = (b"again-%d-" % i + how.encode() for i in range(3))
    first = c.open(t.dir(c), "x", access=BOTH, owner=a, how=how, verifier=b"verifier")
    again = c.open(t.dir(c), "x", access=BOTH, owner=b, how=how, verifier=b"verifier")
    need(first.fh == again.fh, "another file")
    expect(attempt(c, t.dir(c), "x", BOTH, 0, d, how=how, verifier=b"VERIFIER"), "EXIST")


@over(minor=MINORS, kind=NOT_FILE, how=HOWS)
def test_create_over(t, minor, kind, how):
    "RFC 7530 16.16.5, RFC 8881 18.16.3: what is no regular file: EXIST, or the type's error"
    if how not in hows(minor):
        return
    c = t.client(minor)
    r = attempt(c, c.walk("/share/types"), kind, BOTH, 0, b"over" + kind.encode() + how.encode(), how=how)
    types = {"dir": ("ISDIR",), "link": ("SYMLINK",)}.get(kind, ("INVAL",) if minor == 0 else ("WRONG_TYPE",))
    expect(r, *types, *(() if how == "unchecked" else ("EXIST",)))


@over(minor=MINORS, size=(0, 5, 100))
def test_unchecked_with_size(t, minor, size):
    "RFC 7530 16.16.5: of an existing file only the size is set; anything is set of a new one"
    c = t.client(minor)
    t.put("there", mode=0o604)
    o = c.open(t.dir(c), "there", access=BOTH, owner=b"ucs-%d" % size, how="unchecked",
               attrs={"size": size, "mode": 0o777})
    st = os.stat(t.path / "there")
    need(st.st_size == (size if size == 0 else st.st_size), f"size {st.st_size}")
    if size == 0:
        need(4 in o.attrset, f"{o.attrset}")
    need(st.st_mode & 0o7777 == 0o604, "the mode was set of a file that was there")


@over(minor=MINORS, how=("unchecked", "guarded"),
      bad=(("read-only", {"fileid": 7}, "INVAL"), ("unknown", {90: b"\0\0\0\1"}, "ATTRNOTSUPP"),
           ("mode", {"mode": 0o10000}, "INVAL"), ("owner", {"owner": "nobody@elsewhere.invalid"}, "BADOWNER"),
           ("time", {"time_modify_set": (1, 1 << 31)}, "INVAL")))
def test_create_bad_attributes(t, minor, how, bad):
    "RFC 7530 16.16.5: refused as SETATTR refuses them, and nothing is made"
    c = t.client(minor)
    r = attempt(c, t.dir(c), "x", BOTH, 0, b"cba" + how.encode() + bad[0].encode(), how=how, attrs=bad[1])
    expect(r, bad[2])
    need(os.listdir(t.path) == [], "made all the same")


@over(minor=(1, 2))
def test_exclusive41_attributes(t, minor):
    "RFC 8881 18.16.3: attributes of suppattr_exclcreat are set, others are INVAL"
    c = t.client(minor)
    can = c.attrs(t.dir(c), "suppattr_exclcreat")["suppattr_exclcreat"]
    need("mode" in can and "time_access_set" not in can, f"{can}")
    o = c.open(t.dir(c), "x", access=BOTH, owner=b"e41", how="exclusive41", attrs={"mode": 0o604})
    need(os.stat(t.path / "x").st_mode & 0o7777 == 0o604 and 33 in o.attrset, "mode not set")
    r = attempt(c, t.dir(c), "y", BOTH, 0, b"e41b", how="exclusive41", attrs={"time_modify_set": (1, 1)})
    expect(r, "INVAL", "ATTRNOTSUPP")


@over(minor=MINORS)
def test_exclusive_in_4_0(t, minor):
    "RFC 7530 16.16: createmode 3 is not known to 4.0"
    if minor == 0:
        expect(attempt(t.client(0), t.dir(t.client(0)), "x", BOTH, 0, b"e40", how="exclusive41"), "BADXDR")


@over(minor=MINORS)
def test_create_without_permission(t, minor):
    "RFC 7530 16.16.5: ACCESS in a directory that cannot be written, and for files that cannot be read"
    (t.path / "closed").mkdir(mode=0o755)
    t.put("secret", mode=0o600)
    t.put("ro", mode=0o644)
    u = t.fresh(minor, uid=1234)
    expect(attempt(u, t.fh(u, "closed"), "x", BOTH, how="unchecked"), "ACCESS")
    expect(attempt(u, t.dir(u), "secret", READ, owner=b"p1"), "ACCESS")
    expect(attempt(u, t.dir(u), "ro", WRITE, owner=b"p2"), "ACCESS")
    expect(attempt(u, t.dir(u), "ro", READ, owner=b"p3"), "OK")


@over(minor=MINORS, mode=(0o000, 0o400, 0o444))
def test_create_mode_without_write(t, minor, mode):
    "RFC 7530 16.16.5: who makes a file may write it whatever its mode"
    u = t.fresh(minor, uid=1234)
    o = u.open(t.dir(u), "x", access=BOTH, how="unchecked", attrs={"mode": mode})
    u.call(putfh(o.fh), write(o.stateid, 0, b"text")).ok()
    need((t.path / "x").read_bytes() == b"text", "not written")


# ---- Arguments


@over(minor=MINORS, access=(0, 4, 7, 0x100000), deny=(0, 4))
def test_bad_modes(t, minor, access, deny):
    "RFC 7530 16.16.5: access must be 1 to 3, deny 0 to 3: INVAL"
    c = t.client(minor)
    t.put("f")
    expect(attempt(c, t.dir(c), "f", access, deny, b"bm%d-%d" % (access, deny)), "INVAL", "BADXDR")


@over(minor=MINORS, deny=(4, 5, 0xFFFFFFFF))
def test_bad_deny(t, minor, deny):
    "RFC 7530 16.16.5: INVAL"
    c = t.client(minor)
    t.put("f")
    expect(attempt(c, t.dir(c), "f", READ, deny, b"bd%d" % deny), "INVAL", "BADXDR")


@over(minor=MINORS)
def test_absent(t, minor):
    "RFC 7530 16.16.5: NOENT"
    c = t.client(minor)
    expect(attempt(c, t.dir(c), "absent", READ, 0, b"absent"), "NOENT")


@over(clientid=(0, 1, 0xFFFFFFFFFFFFFFFF))
def test_stale_clientid_4_0(t, clientid):
    "RFC 7530 16.16.5: STALE_CLIENTID"
    c = t.client(0)
    t.put("f")
    expect(c.call(putfh(t.dir(c)), open_("f", READ, 0, clientid, b"o", 1)), "STALE_CLIENTID")


@over(minor=(1, 2))
def test_clientid_is_ignored(t, minor):
    "RFC 8881 18.16.3: the session tells the client; the clientid field is ignored"
    c = t.client(minor)
    t.put("f")
    expect(c.call(putfh(t.dir(c)), open_("f", READ, 0, 12345, b"cii", 77)), "OK")


@over(minor=MINORS, claim=(("PREVIOUS", 1, b"\0\0\0\0", ("NO_GRACE",)),
                           ("DELEGATE_CUR", 2, b"\0" * 16 + b"\0\0\0\1f\0\0\0", ("BAD_STATEID", "STALE_STATEID", "NOTSUPP")),
                           ("DELEGATE_PREV", 3, b"\0\0\0\1f\0\0\0", ("NOTSUPP", "NO_GRACE", "RECLAIM_BAD")),
                           ("unknown", 99, b"", ("BADXDR", "INVAL"))))
def test_claims(t, minor, claim):
    "RFC 7530 16.16.5: reclaims outside of the grace period NO_GRACE; delegations were never given"
    c = t.client(minor)
    t.put("f")
    fh = t.fh(c, "f") if claim[1] == 1 else t.dir(c)
    r = c.call(putfh(fh), open_(None, READ, 0, c.clientid, b"cl" + claim[0].encode(), 1, claim=claim[1],
                                claim_args=claim[2]))
    expect(r, *claim[3])


@over(minor=(1, 2), kind=TYPES)
def test_claim_fh(t, minor, kind):
    "RFC 8881 18.16.3: CLAIM_FH opens the current file"
    c = t.client(minor)
    r = c.call(putfh(t.fh(c, kind)), open_(None, READ, 0, c.clientid, b"cfh", claim=4))
    expect(r, {"file": "OK", "dir": "ISDIR", "link": "SYMLINK"}.get(kind, "WRONG_TYPE"))


@over(minor=(1, 2))
def test_claim_fh_create(t, minor):
    "RFC 8881 18.16.3: CLAIM_FH cannot create: INVAL"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "file")), open_(None, READ, 0, c.clientid, b"cfhc", claim=4,
                                                how="unchecked")), "INVAL")


def test_claim_fh_4_0(t):
    "RFC 7530 16.16: CLAIM_FH is not known to 4.0"
    c = t.client(0)
    expect(c.call(putfh(t.fh(c, "file")), open_(None, READ, 0, c.clientid, b"cfh0", 1, claim=4)), "BADXDR", "INVAL")


@over(minor=(1, 2))
def test_no_confirm_wanted(t, minor):
    "RFC 8881 18.16.3: OPEN4_RESULT_CONFIRM MUST NOT be set"
    c = t.client(minor)
    t.put("f")
    need(not c.open(t.dir(c), "f", owner=b"new-%d" % minor).rflags & 2, "confirm wanted")


# ---- Share reservations


@over(minor=MINORS, access=(READ, WRITE, BOTH), deny=(0, 1, 2, 3))
def test_share_matrix(t, minor, access, deny):
    "RFC 7530 9.9: every second open is judged by access against deny, both ways"
    c = t.client(minor)
    top = t.dir(c)
    for a2 in (READ, WRITE, BOTH):
        for d2 in (0, 1, 2, 3):
            t.put("f")
            one, two = b"sm1", b"sm2-%d-%d" % (a2, d2)
            o = c.open(top, "f", access=access, deny=deny, owner=one)
            fits = not (access & d2 or a2 & deny)
            r = expect(attempt(c, top, "f", a2, d2, two), "OK" if fits else "SHARE_DENIED")
            if fits:
                p = r.op("OPEN")
                p.fh = r.last.fh
                if p.rflags & 2:
                    p.stateid = c.call(putfh(p.fh), open_confirm(p.stateid, c.seqid(two))).ok().last.stateid
                expect(close_it(c, p, two), "OK")
            expect(close_it(c, o, one), "OK")


@over(minor=MINORS, deny=(1, 2, 3))
def test_deny_anonymous_io(t, minor, deny):
    "RFC 7530 9.1.4.3, 16.23.4: READ and WRITE with special stateids meet share reservations: LOCKED"
    c = t.client(minor)
    t.put("f")
    o = c.open(t.dir(c), "f", access=BOTH, deny=deny, owner=b"deny%d" % deny)
    expect(c.call(putfh(o.fh), read(ANON, 0, 5)), "LOCKED" if deny & 1 else "OK")
    expect(c.call(putfh(o.fh), write(ANON, 0, b"x")), "LOCKED" if deny & 2 else "OK")
    expect(c.call(putfh(o.fh), setattr(ANON, {"size": 3})), "LOCKED" if deny & 2 else "OK")
    expect(close_it(c, o, b"deny%d" % deny), "OK")
    expect(c.call(putfh(o.fh), write(ANON, 0, b"x")), "OK")


@over(minor=MINORS)
def test_bypass_read(t, minor):
    "RFC 7530 9.1.4.3: the READ bypass stateid may pass share reservations; WRITE with it is as anonymous"
    c = t.client(minor)
    t.put("f")
    o = c.open(t.dir(c), "f", access=BOTH, deny=WRITE, owner=b"bypass")
    expect(c.call(putfh(o.fh), read(BYPASS, 0, 5)), "OK")
    expect(c.call(putfh(o.fh), write(BYPASS, 0, b"x")), "LOCKED")


@over(minor=MINORS)
def test_own_deny_does_not_stop_own_io(t, minor):
    "RFC 7530 9.9: an open's deny mode does not stop its own READ and WRITE"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", access=BOTH, deny=3, owner=b"own", how="unchecked")
    c.call(putfh(o.fh), write(o.stateid, 0, b"mine")).ok()
    need(c.call(putfh(o.fh), read(o.stateid, 0, 9)).ok().last.data == b"mine", "other bytes")


@over(minor=MINORS)
def test_remove_denied_file(t, minor):
    "RFC 7530 16.26.4: REMOVE of a file open with deny may be refused or not, RENAME likewise"
    c = t.client(minor)
    c.open(t.dir(c), "f", access=BOTH, deny=3, owner=b"rdf", how="unchecked")
    expect(c.call(putfh(t.dir(c)), savefh(), rename("f", "g")), "OK", "FILE_OPEN")
    expect(c.call(putfh(t.dir(c)), remove("g")), "OK", "FILE_OPEN")


@over(minor=MINORS)
def test_upgrade(t, minor):
    "RFC 7530 9.11: the same owner's second OPEN widens the first: one stateid, next seqid"
    c = t.client(minor)
    t.put("f")
    a = c.open(t.dir(c), "f", access=READ, owner=b"up")
    b = c.open(t.dir(c), "f", access=WRITE, owner=b"up")
    need(a.stateid[4:] == b.stateid[4:], "another stateid")
    need(seq_of(b.stateid) == seq_of(a.stateid) + 1, "seqid does not move by one")
    c.call(putfh(b.fh), write(b.stateid, 0, b"x")).ok()
    c.call(putfh(b.fh), read(b.stateid, 0, 1)).ok()
    expect(c.call(putfh(b.fh), read(a.stateid, 0, 1)), "OLD_STATEID")
    expect(close_it(c, b, b"up"), "OK")
    expect(c.call(putfh(b.fh), read(b.stateid, 0, 1)), "BAD_STATEID")


@over(minor=MINORS)
def test_upgrade_meets_others(t, minor):
    "RFC 7530 9.9, 9.11: an upgrade that conflicts is SHARE_DENIED and changes nothing"
    c = t.client(minor)
    t.put("f")
    a = c.open(t.dir(c), "f", access=READ, owner=b"um1")
    c.open(t.dir(c), "f", access=READ, deny=WRITE, owner=b"um2")
    expect(attempt(c, t.dir(c), "f", WRITE, 0, b"um1"), "SHARE_DENIED")
    c.call(putfh(a.fh), read(a.stateid, 0, 1)).ok()
    expect(c.call(putfh(a.fh), write(a.stateid, 0, b"x")), "OPENMODE")


@over(minor=MINORS)
def test_owners_are_apart(t, minor):
    "RFC 7530 9.1.2: each owner and each file has its own stateid"
    c = t.client(minor)
    t.put("f")
    t.put("g")
    ids = {c.open(t.dir(c), n, owner=o).stateid[4:] for n in "fg" for o in (b"oa1", b"oa2")}
    need(len(ids) == 4, "shared stateids")


# ---- OPEN_DOWNGRADE


def downgrade(c, o, access, deny=0, owner=b"o"):
    return c.call(putfh(o.fh), open_downgrade(o.stateid, access, deny, c.seqid(owner) if c.minor == 0 else 0))


@over(minor=MINORS, to=(READ, WRITE, BOTH))
def test_downgrade(t, minor, to):
    "RFC 7530 16.19: to a mode that was opened; what is left can be used, the rest OPENMODE"
    c = t.client(minor)
    t.put("f")
    w = b"dg%d" % to
    for access in (READ, WRITE, BOTH):
        o = c.open(t.dir(c), "f", access=access, owner=w)
    r = expect(downgrade(c, o, to, 0, w), "OK")
    sid = r.last.stateid
    need(sid[4:] == o.stateid[4:] and seq_of(sid) == seq_of(o.stateid) + 1, "seqid")
    expect(c.call(putfh(o.fh), write(sid, 0, b"x")), "OK" if to & WRITE else "OPENMODE")
    r = expect(c.call(putfh(o.fh), read(sid, 0, 1)), "OK" if to & READ else "OPENMODE", "OK")
    expect(attempt(c, t.dir(c), "f", READ, DENY_WRITE, b"dgx%d" % to), "OK" if not to & WRITE else "SHARE_DENIED")


@over(minor=MINORS)
def test_downgrade_refused(t, minor):
    "RFC 7530 16.19.4: not a mode that was opened, or more than there is: INVAL"
    c = t.client(minor)
    t.put("f")
    o = c.open(t.dir(c), "f", access=BOTH, owner=b"dr")
    for access, deny in ((READ, 0), (WRITE, 0), (BOTH, DENY_READ), (0, 0), (4, 0), (BOTH, 4)):
        expect(downgrade(c, o, access, deny, b"dr"), "INVAL", "BADXDR")
    expect(downgrade(c, o, BOTH, 0, b"dr"), "OK")


@over(minor=MINORS)
def test_downgrade_deny(t, minor):
    "RFC 7530 16.19: deny bits go the same way"
    c = t.client(minor)
    t.put("f")
    c.open(t.dir(c), "f", access=READ, deny=0, owner=b"dd")
    o = c.open(t.dir(c), "f", access=READ, deny=WRITE, owner=b"dd")
    expect(attempt(c, t.dir(c), "f", WRITE, 0, b"dd2"), "SHARE_DENIED")
    expect(downgrade(c, o, READ, 0, b"dd"), "OK")
    expect(attempt(c, t.dir(c), "f", WRITE, 0, b"dd2"), "OK")


@over(minor=MINORS)
def test_downgrade_stateids(t, minor):
    "RFC 7530 16.19.4: BAD_STATEID, OLD_STATEID; a stateid of another file"
    c = t.client(minor)
    t.put("f")
    t.put("g")
    o = c.open(t.dir(c), "f", access=READ, owner=b"ds")
    o2 = c.open(t.dir(c), "f", access=BOTH, owner=b"ds")
    s = (lambda: c.seqid(b"ds")) if minor == 0 else (lambda: 0)
    expect(c.call(putfh(o.fh), open_downgrade(o.stateid, READ, 0, s())), "OLD_STATEID")
    expect(c.call(putfh(t.fh(c, "g")), open_downgrade(o2.stateid, READ, 0, s())), "BAD_STATEID")
    if minor == 0:  # RFC 7530 9.1.7: BAD_STATEID does not move the seqid
        c.seqids[b"ds"] -= 1
    expect(c.call(putfh(o.fh), open_downgrade(ANON, READ, 0, s())), "BAD_STATEID")


# ---- CLOSE


@over(minor=MINORS)
def test_close(t, minor):
    "RFC 7530 16.2: after CLOSE the stateid is BAD_STATEID for everything"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", access=BOTH, owner=b"cl", how="unchecked")
    expect(close_it(c, o, b"cl"), "OK")
    for op in (read(o.stateid, 0, 1), write(o.stateid, 0, b"x"), setattr(o.stateid, {"size": 0})):
        expect(c.call(putfh(o.fh), op), "BAD_STATEID", "OLD_STATEID")
    expect(close_it(c, o, b"cl"), "BAD_STATEID", "OLD_STATEID")


@over(minor=MINORS)
def test_close_frees_the_share(t, minor):
    "RFC 7530 9.9: with CLOSE the deny mode ends"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", access=BOTH, deny=3, owner=b"cf", how="unchecked")
    expect(attempt(c, t.dir(c), "f", READ, 0, b"cf2"), "SHARE_DENIED")
    expect(close_it(c, o, b"cf"), "OK")
    expect(attempt(c, t.dir(c), "f", READ, 0, b"cf2"), "OK")


@over(minor=MINORS)
def test_close_wrong_file(t, minor):
    "RFC 7530 16.2.4: the current file must be the stateid's: BAD_STATEID"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", owner=b"cw", how="unchecked", access=BOTH)
    t.put("g")
    seqid = c.seqids[b"cw"] + 1 if minor == 0 else 0
    expect(c.call(putfh(t.fh(c, "g")), close(o.stateid, seqid)), "BAD_STATEID")
    expect(close_it(c, o, b"cw"), "OK")


@over(minor=(1, 2))
def test_close_answer(t, minor):
    "RFC 8881 18.2.4: the answer's stateid is a special one that nobody can use"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", owner=b"ca", how="unchecked", access=BOTH)
    r = c.close(o.fh, o.stateid).ok()
    need(r.last.stateid == b"\xff" * 4 + b"\0" * 12, f"{r.last.stateid}")


# ---- Stateids


@over(minor=MINORS, op=("READ", "WRITE", "SETATTR", "CLOSE", "LOCKU"))
def test_wrong_stateids(t, minor, op):
    "RFC 7530 9.1.4.4, RFC 8881 8.2.4: bad, old, future and stale stateids"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", access=READ, owner=b"ws" + op.encode(), how="unchecked")
    old = o.stateid
    o = c.open(t.dir(c), "f", access=BOTH, owner=b"ws" + op.encode())
    next_seq = c.seqids[b"ws" + op.encode()] + 1 if minor == 0 else 0

    def run(sid):
        return c.call(putfh(o.fh), {"READ": read(sid, 0, 1), "WRITE": write(sid, 0, b"x"),
                                    "SETATTR": setattr(sid, {"size": 1}), "CLOSE": close(sid, next_seq),
                                    "LOCKU": locku(1, 0, 1, sid, next_seq)}[op])

    garbage = b"\0\0\0\1" + b"\x77" * 12
    expect(run(garbage), "BAD_STATEID", "STALE_STATEID" if minor == 0 else "BAD_STATEID")
    other_boot = o.stateid[:4] + bytes([o.stateid[4] ^ 0xFF]) + o.stateid[5:]
    expect(run(other_boot), "STALE_STATEID" if minor == 0 else "BAD_STATEID")
    changed = o.stateid[:-1] + bytes([o.stateid[-1] ^ 0x7F])
    expect(run(changed), "BAD_STATEID", "EXPIRED")
    expect(run(b"\0\0\0\5" + b"\0" * 12), "BAD_STATEID")
    expect(run(b"\0\0\0\5" + b"\xff" * 12), "BAD_STATEID")
    if op != "LOCKU":
        expect(run(with_seq(o.stateid, seq_of(o.stateid) + 5)), "BAD_STATEID")
        if op != "CLOSE":
            expect(run(old), "OLD_STATEID")
    if minor and op in ("READ", "WRITE"):
        expect(run(with_seq(o.stateid, 0)), "OK")


@over(minor=(1, 2))
def test_stateid_of_another_client(t, minor):
    "RFC 8881 8.2.4: another client's stateid is BAD_STATEID"
    a, b = t.client(minor), t.fresh(minor)
    o = a.open(t.dir(a), "f", access=BOTH, owner=b"soc", how="unchecked")
    expect(b.call(putfh(o.fh), read(o.stateid, 0, 1)), "BAD_STATEID")
    expect(b.call(putfh(o.fh), close(o.stateid)), "BAD_STATEID")


@over(minor=(1, 2))
def test_current_stateid(t, minor):
    "RFC 8881 16.2.3.1.2: OPEN's stateid is the current one for READ, WRITE, LOCK and CLOSE"
    c = t.client(minor)
    top = t.dir(c)
    r = c.call(putfh(top), open_("f", BOTH, 0, c.clientid, b"cs", how="unchecked"), write(CURRENT, 0, b"hello"),
               read(CURRENT, 0, 5), setattr(CURRENT, {"size": 3}), close(CURRENT)).ok()
    need(r.op("READ").data == b"hello", f"{r.op('READ').data}")
    r = c.call(putfh(top), open_("f", BOTH, 0, c.clientid, b"cs"), lock(WRITE_LT, 0, 1, CURRENT, c.clientid, b"l"),
               locku(WRITE_LT, 0, 1, CURRENT), putrootfh()).ok()
    expect(c.call(putfh(top), read(CURRENT, 0, 1)), "BAD_STATEID", "ISDIR")
    expect(c.call(putfh(t.fh(c, "f")), close(CURRENT)), "BAD_STATEID")


@over(minor=(1, 2))
def test_current_stateid_saved(t, minor):
    "RFC 8881 16.2.3.1.2: SAVEFH and RESTOREFH keep the stateid too, other handles clear it"
    c = t.client(minor)
    top = t.dir(c)
    r = c.call(putfh(top), open_("f", BOTH, 0, c.clientid, b"css", how="unchecked"), savefh(), putrootfh(),
               restorefh(), write(CURRENT, 0, b"x"), close(CURRENT))
    expect(r, "OK")
    r = c.call(putfh(top), open_("f", BOTH, 0, c.clientid, b"css"), getfh()).ok()
    expect(c.call(putfh(top), open_("f", BOTH, 0, c.clientid, b"css"), putfh(r.last.fh), close(CURRENT)), "BAD_STATEID")


@over(minor=(1, 2), op=("READ", "WRITE", "SETATTR", "LOCK", "CLOSE", "OPEN_DOWNGRADE"))
def test_no_current_stateid(t, minor, op):
    "RFC 8881 8.2.3: BAD_STATEID when no operation of the compound has returned a stateid"
    c = t.client(minor)
    t.put("f")
    expect(c.call(putfh(t.fh(c, "f")), {
        "READ": read(CURRENT, 0, 1), "WRITE": write(CURRENT, 0, b"x"), "SETATTR": setattr(CURRENT, {"size": 1}),
        "LOCK": lock(WRITE_LT, 0, 1, CURRENT, c.clientid, b"l"), "CLOSE": close(CURRENT),
        "OPEN_DOWNGRADE": open_downgrade(CURRENT, READ)}[op]), "BAD_STATEID")


@over(minor=(1, 2))
def test_test_stateid(t, minor):
    "RFC 8881 18.48: one status for each stateid, in order"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", access=READ, owner=b"ts", how="unchecked")
    old, o = o.stateid, c.open(t.dir(c), "f", access=BOTH, owner=b"ts")
    r = c.call(ops.test_stateid(o.stateid, old, b"\0\0\0\1" + b"\x55" * 12, ANON, BYPASS)).ok().last
    status = next(v for v in vars(r).values() if isinstance(v, list))
    need(status[0] == 0 and status[1] == ERRORS["OLD_STATEID"], f"{status}")
    need(all(s == ERRORS["BAD_STATEID"] for s in status[2:]), f"{status}")
    expect(c.call(ops.test_stateid()), "OK")


@over(minor=(1, 2))
def test_free_stateid(t, minor):
    "RFC 8881 18.38: opens LOCKS_HELD, unknown ones BAD_STATEID, locks without ranges OK"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", access=BOTH, owner=b"fs", how="unchecked")
    expect(c.call(free_stateid(o.stateid)), "LOCKS_HELD")
    expect(c.call(free_stateid(b"\0\0\0\1" + b"\x55" * 12)), "BAD_STATEID")
    expect(c.call(free_stateid(ANON)), "BAD_STATEID")
    k = c.call(putfh(o.fh), lock(WRITE_LT, 0, 9, o.stateid, c.clientid, b"fsl")).ok().last.stateid
    expect(c.call(free_stateid(k)), "LOCKS_HELD")
    k = c.call(putfh(o.fh), locku(WRITE_LT, 0, 9, k)).ok().last.stateid
    expect(c.call(free_stateid(k)), "OK")
    expect(c.call(free_stateid(k)), "BAD_STATEID")


# ---- READ and WRITE


@over(minor=MINORS, offset=(0, 5, 9, 10, 11, 1 << 40, (1 << 63) - 1), count=(0, 1, 5, 10, 1000))
def test_read(t, minor, offset, count):
    "RFC 7530 16.23: the bytes there are; eof at the end and beyond"
    c = t.client(minor)
    r = c.call(putfh(t.fh(c, "file")), read(ANON, offset, count)).ok().last
    need(r.data == b"0123456789"[min(offset, 10):][:count], f"{r.data}")
    if count:
        need(r.eof == (offset + count >= 10), f"eof {r.eof}")


@over(minor=MINORS)
def test_read_beyond_64_bits(t, minor):
    "RFC 7530 16.23.4: the end of the range is past what there is: eof or INVAL"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "file")), read(ANON, (1 << 64) - 1, 10)), "OK", "INVAL")


@over(minor=MINORS, stable=(0, 1, 2))
def test_write(t, minor, stable):
    "RFC 7530 16.36: as durable as asked or more; COMMIT has the same verifier"
    c = t.client(minor)
    o = c.open(t.dir(c), "f", access=BOTH, owner=b"w%d" % stable, how="unchecked")
    r = c.call(putfh(o.fh), write(o.stateid, 3, b"text", stable)).ok().last
    need(r.count == 4 and r.committed >= stable, f"{r}")
    k = c.call(putfh(o.fh), commit(0, 0)).ok().last
    need(k.verifier == r.verifier, "another verifier")
    need((t.path / "f").read_bytes() == b"\0\0\0text", "other bytes")


@over(minor=MINORS)
def test_write_nothing(t, minor):
    "RFC 7530 16.36.4: zero bytes: OK, nothing changes"
    c = t.client(minor)
    t.put("f")
    need(c.call(putfh(t.fh(c, "f")), write(ANON, 1000, b"")).ok().last.count == 0, "wrote")
    need((t.path / "f").stat().st_size == 10, "grew")


@over(minor=MINORS, offset=((1 << 63) - 1, 1 << 63, (1 << 64) - 1))
def test_write_too_far(t, minor, offset):
    "RFC 7530 16.36.5: FBIG, INVAL or NOSPC"
    c = t.client(minor)
    t.put("f")
    expect(c.call(putfh(t.fh(c, "f")), write(ANON, offset, b"xx")), "FBIG", "INVAL", "NOSPC")


@over(minor=MINORS, size=(1, 4095, 65536, 1 << 20))
def test_large_write_and_read(t, minor, size):
    "RFC 7530 16.23, 16.36: up to maxread and maxwrite in one piece"
    c = t.fresh(minor, fore=channel(maxreq=1100000, maxresp=1100000)) if minor else t.fresh(0)
    o = c.open(t.dir(c), "f", access=BOTH, how="unchecked")
    data = os.urandom(size)
    need(c.call(putfh(o.fh), write(o.stateid, 7, data, FILE_SYNC)).ok().last.count == size, "short")
    need(c.call(putfh(o.fh), read(o.stateid, 7, size)).ok().last.data == data, "other bytes")


@over(minor=MINORS)
def test_io_modes(t, minor):
    "RFC 7530 9.1.4.3, 16.36.4: WRITE with a read-only open is OPENMODE; READ with a write-only one may be"
    c = t.client(minor)
    t.put("f")
    r = c.open(t.dir(c), "f", access=READ, owner=b"im1")
    w = c.open(t.dir(c), "f", access=WRITE, owner=b"im2")
    expect(c.call(putfh(r.fh), write(r.stateid, 0, b"x")), "OPENMODE")
    expect(c.call(putfh(w.fh), write(w.stateid, 0, b"x")), "OK")
    expect(c.call(putfh(w.fh), read(w.stateid, 0, 1)), "OK", "OPENMODE")


@over(minor=MINORS)
def test_io_without_permission(t, minor):
    "RFC 7530 16.23.5, 16.36.5: ACCESS with special stateids"
    t.put("f", mode=0o600)
    u = t.fresh(minor, uid=1234)
    fh = t.fh(u, "f")
    expect(u.call(putfh(fh), read(ANON, 0, 1)), "ACCESS")
    expect(u.call(putfh(fh), write(ANON, 0, b"x")), "ACCESS")


@over(minor=MINORS, args=((0, 0), (0, 5), (5, 1000), (1 << 40, 1)))
def test_commit(t, minor, args):
    "RFC 7530 16.3: any range of the file"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "file")), commit(*args)), "OK")


@over(minor=MINORS)
def test_commit_overflow(t, minor):
    "RFC 7530 16.3.4: offset and count past 2^64: INVAL"
    c = t.client(minor)
    expect(c.call(putfh(t.fh(c, "file")), commit((1 << 64) - 1, 10)), "INVAL")


# ---- The sequence of requests of an open owner (4.0)


def first_open(t, c, owner, seqid=7, access=READ, how="unchecked"):
    """An OPEN of a new owner that is not confirmed yet."""
    r = attempt(c, t.dir(c), "f", access, 0, owner, seqid, how=how).ok()
    o = r.op("OPEN")
    o.fh = r.last.fh
    return o


def confirmed(t, c, owner, access=BOTH):
    o = first_open(t, c, owner, access=access)
    need(o.rflags & 2, "no confirmation wanted")
    o.stateid = c.call(putfh(o.fh), open_confirm(o.stateid, 8)).ok().last.stateid
    return o


def test_confirm(t):
    "RFC 7530 16.18: a new owner's first OPEN has to be confirmed, once"
    c = t.client(0)
    o = first_open(t, c, b"cf1")
    need(o.rflags & 2, "no confirmation wanted")
    r = c.call(putfh(o.fh), open_confirm(o.stateid, 8)).ok().last
    need(r.stateid[4:] == o.stateid[4:] and seq_of(r.stateid) == seq_of(o.stateid) + 1, "seqid")
    o2 = attempt(c, t.dir(c), "f", READ, 0, b"cf1", 9).ok().op("OPEN")
    need(not o2.rflags & 2, "confirmation wanted again")


def test_confirm_twice(t):
    "RFC 7530 16.18.4: a second OPEN_CONFIRM with the next seqid: BAD_STATEID"
    c = t.client(0)
    o = confirmed(t, c, b"ct")
    expect(c.call(putfh(o.fh), open_confirm(o.stateid, 9)), "BAD_STATEID")


def test_confirm_replay(t):
    "RFC 7530 9.1.9: the same OPEN_CONFIRM again gets the same answer"
    c = t.client(0)
    o = first_open(t, c, b"crp")
    a = c.call(putfh(o.fh), open_confirm(o.stateid, 8)).ok()
    b = c.call(putfh(o.fh), open_confirm(o.stateid, 8)).ok()
    need(a.body == b.body, "another answer")


@over(seqid=(0, 5, 7, 9, 100))
def test_confirm_bad_seqid(t, seqid):
    "RFC 7530 16.18.5: BAD_SEQID"
    c = t.client(0)
    o = first_open(t, c, b"cbs%d" % seqid)
    expect(c.call(putfh(o.fh), open_confirm(o.stateid, seqid)), "BAD_SEQID")


def test_unconfirmed_stateid(t):
    "RFC 7530 16.18.5: before its confirmation the stateid is BAD_STATEID for CLOSE and downgrade"
    c = t.client(0)
    o = first_open(t, c, b"uc")
    expect(c.call(putfh(o.fh), close(o.stateid, 8)), "BAD_STATEID", "OK")


def test_confirm_wrong_stateids(t):
    "RFC 7530 16.18.5: BAD_STATEID, STALE_STATEID"
    c = t.client(0)
    o = first_open(t, c, b"cws")
    expect(c.call(putfh(o.fh), open_confirm(ANON, 8)), "BAD_STATEID")
    expect(c.call(putfh(o.fh), open_confirm(o.stateid[:4] + b"\x66" * 12, 8)), "STALE_STATEID", "BAD_STATEID")
    t.put("g")
    expect(c.call(putfh(t.fh(c, "g")), open_confirm(o.stateid, 8)), "BAD_STATEID")
    expect(c.call(putfh(t.dir(c)), open_confirm(o.stateid, 8)), "ISDIR")


def test_reopen_unconfirmed(t):
    "RFC 7530 16.18.5: an owner that never confirmed may begin again with any seqid"
    c = t.client(0)
    first_open(t, c, b"ru", 7)
    o = first_open(t, c, b"ru", 77)
    need(o.rflags & 2, "no confirmation wanted")
    expect(c.call(putfh(o.fh), open_confirm(o.stateid, 78)), "OK")


def test_open_replay(t):
    "RFC 7530 9.1.9: the same OPEN again gets the same answer, and the file handle"
    c = t.client(0)
    confirmed(t, c, b"orp")
    a = attempt(c, t.dir(c), "g", BOTH, 0, b"orp", 9, how="guarded").ok()
    b = attempt(c, t.dir(c), "g", BOTH, 0, b"orp", 9, how="guarded").ok()
    need(a.body == b.body, "another answer")


def test_open_error_replay(t):
    "RFC 7530 9.1.7: an error that moves the seqid is repeated too"
    c = t.client(0)
    confirmed(t, c, b"oer")
    expect(attempt(c, t.dir(c), "absent", READ, 0, b"oer", 9), "NOENT")
    t.put("absent")
    expect(attempt(c, t.dir(c), "absent", READ, 0, b"oer", 9), "NOENT")
    expect(attempt(c, t.dir(c), "absent", READ, 0, b"oer", 10), "OK")


@over(seqid=(0, 7, 11, 1000, 0xFFFFFFFF))
def test_open_bad_seqid(t, seqid):
    "RFC 7530 9.1.7: BAD_SEQID for a confirmed owner"
    c = t.client(0)
    owner = b"obs%d" % seqid
    confirmed(t, c, owner)
    attempt(c, t.dir(c), "f", READ, 0, owner, 9).ok()
    expect(attempt(c, t.dir(c), "f", READ, 0, owner, seqid), "BAD_SEQID")


def test_close_replay(t):
    "RFC 7530 9.1.9, 16.2.5: the same CLOSE again gets the same answer"
    c = t.client(0)
    o = confirmed(t, c, b"crl")
    a = c.call(putfh(o.fh), close(o.stateid, 9)).ok()
    b = c.call(putfh(o.fh), close(o.stateid, 9)).ok()
    need(a.body == b.body, "another answer")
    expect(attempt(c, t.dir(c), "f", READ, 0, b"crl", 10), "OK")


@over(seqid=(0, 7, 10, 1000))
def test_close_bad_seqid(t, seqid):
    "RFC 7530 16.2.5: BAD_SEQID, and the file stays open"
    c = t.client(0)
    o = confirmed(t, c, b"cbq%d" % seqid)
    expect(c.call(putfh(o.fh), close(o.stateid, seqid)), "BAD_SEQID")
    expect(c.call(putfh(o.fh), close(o.stateid, 9)), "OK")


def test_downgrade_replay(t):
    "RFC 7530 9.1.9: the same OPEN_DOWNGRADE again gets the same answer"
    c = t.client(0)
    confirmed(t, c, b"drp", access=READ)
    o2 = attempt(c, t.dir(c), "f", BOTH, 0, b"drp", 9).ok()
    sid, fh = o2.op("OPEN").stateid, o2.last.fh
    a = c.call(putfh(fh), open_downgrade(sid, READ, 0, 10)).ok()
    b = c.call(putfh(fh), open_downgrade(sid, READ, 0, 10)).ok()
    need(a.body == b.body, "another answer")
    expect(c.call(putfh(fh), open_downgrade(sid, READ, 0, 15)), "BAD_SEQID")


def test_seqid_wraps(t):
    "RFC 7530 9.1.7: after 2^32 - 1 comes 0"
    c = t.client(0)
    r = attempt(c, t.dir(c), "f", BOTH, 0, b"wrap", 0xFFFFFFFE, how="unchecked").ok()
    fh, sid = r.last.fh, r.op("OPEN").stateid
    sid = c.call(putfh(fh), open_confirm(sid, 0xFFFFFFFF)).ok().last.stateid
    expect(c.call(putfh(fh), close(sid, 0)), "OK")


def test_badxdr_leaves_seqid(t):
    "RFC 7530 9.1.7: BADXDR, BAD_STATEID, NOFILEHANDLE and their like do not move the seqid"
    c = t.client(0)
    o = confirmed(t, c, b"bls")
    op = close(o.stateid, 9)
    expect(c.call(putfh(o.fh), op[:-4]), "BADXDR")
    expect(c.call(op), "NOFILEHANDLE")
    expect(c.call(putfh(o.fh), close(b"\0\0\0\1" + b"\x44" * 12, 9)), "STALE_STATEID", "BAD_STATEID")
    expect(c.call(putfh(o.fh), op), "OK")


if __name__ == "__main__":
    sys.exit(main(globals()))
