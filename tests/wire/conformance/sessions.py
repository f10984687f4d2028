#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Client ids and sessions of 4.1: EXCHANGE_ID to DESTROY_CLIENTID, SEQUENCE and its slots."""

import os
import sys

from conform import *

BOTH_41 = (1, 2)
UPD, CONFIRMED = 0x40000000, 0x80000000
NON_PNFS, MDS, DS, PNFS_MASK = 0x10000, 0x20000, 0x40000, 0x70000


def fresh_id():
    return b"client " + os.urandom(8).hex().encode()


def eid(c, owner, verifier=b"verifier", flags=0, minor=1, **kw):
    return c.compound(minor, exchange_id(owner, verifier, flags, **kw))


def confirm(c, r, minor=1):
    """CREATE_SESSION after an EXCHANGE_ID's result."""
    return c.compound(minor, create_session(r.clientid, r.sequence))


def known(c, owner, verifier=b"verifier", minor=1):
    """A confirmed client: its EXCHANGE_ID result, its session's CREATE_SESSION result."""
    r = eid(c, owner, verifier, minor=minor).ok().last
    return r, confirm(c, r, minor).ok().last


# ---- EXCHANGE_ID, by the cases of RFC 8881 18.35.4


@over(minor=BOTH_41)
def test_case_1_new_owner(t, minor):
    "RFC 8881 18.35.4 case 1: an unconfirmed record; flags and server identity"
    c = t.conn()
    r = eid(c, fresh_id(), minor=minor).ok().last
    need(not r.flags & CONFIRMED and r.flags & PNFS_MASK, f"flags {r.flags:#x}")
    need(not r.flags & UPD, "UPD_CONFIRMED_REC_A in a result")
    need(r.major_id and r.scope, "no server owner or scope")
    expect(confirm(c, r, minor), "OK")


def test_case_2_same_again(t):
    "RFC 8881 18.35.4 case 2: confirmed, same verifier: the same client id, CONFIRMED_R"
    c, owner = t.conn(), fresh_id()
    a, _ = known(c, owner)
    b = eid(c, owner).ok().last
    need(b.clientid == a.clientid and b.flags & CONFIRMED, f"{b}")
    need(b.sequence == a.sequence + 1, f"sequence {b.sequence}")


def test_case_3_in_use(t):
    "RFC 8881 18.35.4 case 3: another principal while there is state: CLID_INUSE"
    owner = fresh_id()
    s = t.fresh(1, owner=owner)
    s.open(t.dir(s), "f", access=BOTH, how="unchecked")
    other = t.conn(cred=auth_sys(1234, 1234))
    expect(eid(other, owner, b"veriftwo"), "CLID_INUSE")
    expect(s.call(putrootfh()), "OK")


def test_case_3_no_state(t):
    "RFC 8881 18.35.4 case 3: without state another principal takes the name"
    c, owner = t.conn(), fresh_id()
    known(c, owner)
    other = t.conn(cred=auth_sys(1234, 1234))
    r = eid(other, owner, b"veriftwo").ok().last
    expect(confirm(other, r), "OK")


def test_case_4_unconfirmed_again(t):
    "RFC 8881 18.35.4 case 4: an unconfirmed record is replaced: its client id is STALE_CLIENTID"
    c, owner = t.conn(), fresh_id()
    a = eid(c, owner).ok().last
    b = eid(c, owner, b"veriftwo").ok().last
    need(a.clientid != b.clientid, "the same client id")
    expect(confirm(c, a), "STALE_CLIENTID")
    expect(confirm(c, b), "OK")


def test_case_5_restarted(t):
    "RFC 8881 18.35.4 case 5: another verifier: the old record stays until the new one is confirmed"
    owner = fresh_id()
    s = t.fresh(1, owner=owner, verifier=b"verifone")
    o = s.open(t.dir(s), "f", access=BOTH, deny=3, how="unchecked")
    c = t.conn()
    r = eid(c, owner, b"veriftwo").ok().last
    need(r.clientid != s.clientid and not r.flags & CONFIRMED, f"{r}")
    s.call(putfh(o.fh), read(o.stateid, 0, 1)).ok()
    expect(confirm(c, r), "OK")
    expect(s.call(putrootfh()), "BADSESSION", "DEADSESSION")
    u = t.fresh(1)
    u.open(t.dir(u), "f", access=BOTH)


def test_case_6_update(t):
    "RFC 8881 18.35.4 case 6: UPD_CONFIRMED_REC_A with the same verifier: OK, state stays"
    c, owner = t.conn(), fresh_id()
    a, _ = known(c, owner)
    b = eid(c, owner, flags=UPD).ok().last
    need(b.clientid == a.clientid and b.flags & CONFIRMED, f"{b}")


def test_case_7_update_nothing(t):
    "RFC 8881 18.35.4 case 7: nothing confirmed to update: NOENT"
    c, owner = t.conn(), fresh_id()
    expect(eid(c, owner, flags=UPD), "NOENT")
    eid(c, owner).ok()
    expect(eid(c, owner, flags=UPD), "NOENT")


def test_case_8_update_other_verifier(t):
    "RFC 8881 18.35.4 case 8: NOT_SAME"
    c, owner = t.conn(), fresh_id()
    known(c, owner)
    expect(eid(c, owner, b"veriftwo", UPD), "NOT_SAME")


def test_case_9_update_by_another(t):
    "RFC 8881 18.35.4 case 9: PERM"
    c, owner = t.conn(), fresh_id()
    known(c, owner)
    expect(eid(t.conn(cred=auth_sys(1234, 1234)), owner, flags=UPD), "PERM")
    expect(eid(t.conn(cred=auth_sys(1234, 1234)), owner, b"veriftwo", UPD), "PERM", "NOT_SAME")


@over(flags=(0x1, 0x2, 0x4, 0x100, NON_PNFS, MDS, DS, PNFS_MASK))
def test_flags(t, flags):
    "RFC 8881 18.35.3: known flags are taken"
    expect(eid(t.conn(), fresh_id(), flags=flags), "OK")


@over(flags=(0x8, 0x10, 0x1000, 0x80000, 0x08000000, CONFIRMED))
def test_bad_flags(t, flags):
    "RFC 8881 18.35.3: unknown flags, and CONFIRMED_R from a client: INVAL"
    expect(eid(t.conn(), fresh_id(), flags=flags), "INVAL")


def impl(n=1):
    p = Packer().u32(n)
    for _ in range(n):
        p.opaque("example.org").opaque("client 1").u64(5).u32(6)
    return bytes(p.data)


def test_implementation_id(t):
    "RFC 8881 18.35.1: one implementation id; two are BADXDR"
    expect(eid(t.conn(), fresh_id(), impl=impl(1)), "OK")
    expect(eid(t.conn(), fresh_id(), impl=impl(2)), "BADXDR")


@over(size=(0, 1, 1024))
def test_owner_sizes(t, size):
    "RFC 8881 3.3.12: an owner of up to 1024 bytes"
    expect(eid(t.conn(), os.urandom(size)), "OK")


def test_owner_too_long(t):
    "RFC 8881 3.3.12: NFS4_OPAQUE_LIMIT"
    expect(eid(t.conn(), b"x" * 1025), "BADXDR", "INVAL")


def test_state_protection(t):
    "RFC 8881 18.35.3: SP4_MACH_CRED needs RPCSEC_GSS (INVAL); SSV is not offered; others BADXDR"
    ops_bits = Packer().bitmap([41, 43, 44]).bitmap([]).data
    expect(eid(t.conn(), fresh_id(), protect=b"\0\0\0\1" + bytes(ops_bits)), "INVAL")
    ssv = Packer().u32(2).bitmap([]).bitmap([]).u32(1).opaque(b"\x60\x86").u32(1).opaque(b"\x60\x87").u32(1, 1).data
    expect(eid(t.conn(), fresh_id(), protect=bytes(ssv)), "ENCR_ALG_UNSUPP", "HASH_ALG_UNSUPP", "INVAL", "NOTSUPP")
    expect(eid(t.conn(), fresh_id(), protect=b"\0\0\0\7"), "BADXDR")


def test_not_only_operation(t):
    "RFC 8881 18.35.3, 2.10.6.2: without SEQUENCE it is alone: NOT_ONLY_OP; behind SEQUENCE it may be"
    expect(t.conn().compound(1, exchange_id(fresh_id()), putrootfh()), "NOT_ONLY_OP")
    expect(t.client(1).call(exchange_id(fresh_id())), "OK")


# ---- CREATE_SESSION


def test_create_stale(t):
    "RFC 8881 18.36.3: STALE_CLIENTID"
    for clientid in (0, 1, 0xFFFFFFFFFFFFFFFF):
        expect(t.conn().compound(1, create_session(clientid, 1)), "STALE_CLIENTID")


def test_create_replay(t):
    "RFC 8881 18.36.4: the same sequence id again: the same answer"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    a = c.compound(1, create_session(r.clientid, r.sequence)).ok()
    b = c.compound(1, create_session(r.clientid, r.sequence)).ok()
    need(a.body == b.body, "another session")


def test_create_error_replay(t):
    "RFC 8881 18.36.4: likewise an error"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    bad = create_session(r.clientid, r.sequence, flags=0x80)
    expect(c.compound(1, bad), "INVAL")
    expect(c.compound(1, bad), "INVAL")
    expect(c.compound(1, create_session(r.clientid, r.sequence + 1)), "OK")


@over(off=(-1, 1, 2, 1000))
def test_create_misordered(t, off):
    "RFC 8881 18.36.4: SEQ_MISORDERED, before and after the first session"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    expect(c.compound(1, create_session(r.clientid, r.sequence + off)), "SEQ_MISORDERED")
    confirm(c, r).ok()
    if off > 1:
        expect(c.compound(1, create_session(r.clientid, r.sequence + off)), "SEQ_MISORDERED")


def test_create_several(t):
    "RFC 8881 18.36: one client may have several sessions"
    c = t.conn()
    r, first = known(c, fresh_id())
    ids = {first.sessionid}
    for i in range(1, 6):
        ids.add(c.compound(1, create_session(r.clientid, r.sequence + i)).ok().last.sessionid)
    need(len(ids) == 6, "not six sessions")
    for i in ids:
        expect(c.compound(1, sequence(i, 1, 0, 0), putrootfh()), "OK")


def test_create_by_another(t):
    "RFC 8881 18.36.3: another principal's: CLID_INUSE"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    other = t.conn(cred=auth_sys(1234, 1234))
    expect(other.compound(1, create_session(r.clientid, r.sequence)), "CLID_INUSE")
    expect(confirm(c, r), "OK")


@over(flags=(0, 1, 2, 3, 4))
def test_create_flags(t, flags):
    "RFC 8881 18.36.3: only what was asked for comes back; RDMA never over TCP"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    s = c.compound(1, create_session(r.clientid, r.sequence, flags=flags)).ok().last
    need(s.flags & ~flags == 0 and not s.flags & 4, f"flags {s.flags}")


@over(flags=(8, 0x10, 0x80000000))
def test_create_bad_flags(t, flags):
    "RFC 8881 18.36.3: INVAL"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    expect(c.compound(1, create_session(r.clientid, r.sequence, flags=flags)), "INVAL")


@over(fore=(("requests", dict(maxreqs=0)), ("operations", dict(maxops=0))))
def test_create_zero(t, fore):
    "RFC 8881 18.36.3: no slot or no operation at all: INVAL or TOOSMALL"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    expect(c.compound(1, create_session(r.clientid, r.sequence, fore=channel(**fore[1]))), "INVAL", "TOOSMALL")


@over(fore=(("request", dict(maxreq=0)), ("request", dict(maxreq=20)), ("response", dict(maxresp=0)),
            ("response", dict(maxresp=20))))
def test_create_too_small(t, fore):
    "RFC 8881 18.36.3: not even a SEQUENCE fits: TOOSMALL"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    expect(c.compound(1, create_session(r.clientid, r.sequence, fore=channel(**fore[1]))), "TOOSMALL")


def test_create_huge(t):
    "RFC 8881 18.36.3: the server answers with what it can do, never more than asked"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    most = 0xFFFFFFFF
    s = c.compound(1, create_session(r.clientid, r.sequence,
                                     fore=channel(0, most, most, most, most, most))).ok().last
    for name in ("maxreq", "maxresp", "cached", "maxops", "maxreqs"):
        need(0 < vars(s.fore)[name] < most, f"{name} {vars(s.fore)[name]}")


@over(name=("maxreq", "maxresp", "cached", "maxops", "maxreqs"))
def test_create_never_more(t, name):
    "RFC 8881 18.36.3: never more than asked, in each value and both directions"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    ask = dict(maxreq=4096, maxresp=5000, cached=1000, maxops=7, maxreqs=3)
    s = c.compound(1, create_session(r.clientid, r.sequence, fore=channel(**ask), back=channel(**ask))).ok().last
    need(vars(s.fore)[name] <= ask[name] and vars(s.back)[name] <= ask[name], f"{s.fore} {s.back}")


@over(flavors=((), (0,), (1,), (0, 1)))
def test_create_callback_flavors(t, flavors):
    "RFC 8881 18.36.3: callback security parameters"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    expect(c.compound(1, create_session(r.clientid, r.sequence, flavors=flavors)), "OK", "INVAL")


def test_create_not_only_operation(t):
    "RFC 8881 18.36.3: NOT_ONLY_OP without SEQUENCE"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    expect(c.compound(1, create_session(r.clientid, r.sequence), putrootfh()), "NOT_ONLY_OP")


def test_create_confirms_and_purges(t):
    "RFC 8881 18.36.4 phase 3: confirmation ends the older record's sessions, opens and locks"
    owner = fresh_id()
    s = t.fresh(2, owner=owner, verifier=b"verifone")
    o = s.open(t.dir(s), "f", access=BOTH, deny=3, how="unchecked")
    s.call(putfh(o.fh), lock(WRITE_LT, 0, 10, o.stateid, 0, b"l")).ok()
    n = t.fresh(2, owner=owner, verifier=b"veriftwo")
    p = n.open(t.dir(n), "f", access=BOTH)
    expect(n.call(putfh(p.fh), lock(WRITE_LT, 0, 10, p.stateid, 0, b"l")), "OK")
    expect(s.call(putrootfh()), "BADSESSION", "DEADSESSION")


# ---- SEQUENCE


def small(t, **fore):
    return t.fresh(1, fore=channel(**fore), slots=fore.get("maxreqs", 16))


@over(minor=BOTH_41)
def test_no_sequence(t, minor):
    "RFC 8881 2.10.6.2: OP_NOT_IN_SESSION"
    for op in (putrootfh(), reclaim_complete(), ops.test_stateid(), free_stateid(ANON), secinfo_no_name()):
        expect(t.conn().compound(minor, op), "OP_NOT_IN_SESSION")


@over(minor=BOTH_41)
def test_sequence_not_first(t, minor):
    "RFC 8881 18.46.3: SEQUENCE_POS"
    c = t.client(minor)
    expect(c.call(c.sequence(3)), "SEQUENCE_POS")
    expect(c.call(putrootfh(), c.sequence(3)), "SEQUENCE_POS")


@over(sid=(b"\0" * 16, b"\xff" * 16, b"0123456789abcdef"))
def test_bad_session(t, sid):
    "RFC 8881 18.46.3: BADSESSION"
    expect(t.conn().compound(1, sequence(sid, 1), putrootfh()), "BADSESSION")


def test_bad_slot(t):
    "RFC 8881 18.46.3: BADSLOT"
    s = small(t, maxreqs=4)
    for slot in (s.slots, s.slots + 1, 0xFFFFFFFF):
        expect(s.conn.compound(1, sequence(s.sessionid, 1, slot, slot), putrootfh()), "BADSLOT")


@over(seqid=(0, 2, 3, 0xFFFFFFFF))
def test_misordered(t, seqid):
    "RFC 8881 2.10.6.1: a slot's first seqid is 1: SEQ_MISORDERED for others"
    s = t.fresh(1)
    expect(s.conn.compound(1, sequence(s.sessionid, seqid, 5, 15), putrootfh()), "SEQ_MISORDERED",
           *(["RETRY_UNCACHED_REP", "SEQ_FALSE_RETRY"] if seqid == 0 else []))
    expect(s.conn.compound(1, sequence(s.sessionid, 1, 5, 15), putrootfh()), "OK")


def test_skipped_and_late(t):
    "RFC 8881 2.10.6.1: two ahead or one behind: SEQ_MISORDERED, the slot stays usable"
    s = t.fresh(1)
    for n in (1, 2, 3):
        s.call(putrootfh(), seqid=n, slot=2).ok()
    for n in (1, 5, 100):
        expect(s.call(putrootfh(), seqid=n, slot=2), "SEQ_MISORDERED")
    expect(s.call(putrootfh(), seqid=4, slot=2), "OK")


def test_replay_cached(t):
    "RFC 8881 2.10.6.1.3: the same request again gets the kept reply and is not run again"
    s = t.fresh(1)
    top = t.dir(s)
    op = [putfh(top), create(NF4DIR, "made")]
    a = s.call(*op, seqid=1, slot=3, cachethis=True).ok()
    b = s.call(*op, seqid=1, slot=3, cachethis=True).ok()
    need(a.body == b.body, "another answer")
    expect(s.call(*op, seqid=2, slot=3, cachethis=True), "EXIST")
    r = s.call(*op, seqid=2, slot=3, cachethis=True)
    expect(r, "EXIST")


def test_replay_uncached(t):
    "RFC 8881 2.10.6.1.3: not asked to keep it: RETRY_UNCACHED_REP (or the reply)"
    s = t.fresh(1)
    for slot, n in ((3, 1), (4, 1)):
        s.call(putrootfh(), getattr("type"), seqid=n, slot=slot, cachethis=False).ok()
        expect(s.call(putrootfh(), getattr("type"), seqid=n, slot=slot, cachethis=False), "RETRY_UNCACHED_REP", "OK")
        expect(s.call(putrootfh(), seqid=n + 1, slot=slot), "OK")


def test_replay_of_lone_sequence(t):
    "RFC 8881 18.46.3: a SEQUENCE alone may be repeated"
    s = t.fresh(1)
    a = s.call(seqid=1, slot=3).ok()
    need(s.call(seqid=1, slot=3).ok().body == a.body, "another answer")


def test_replay_on_another_connection(t):
    "RFC 8881 2.10.6.1: exactly once also after a reconnect"
    s = t.fresh(1)
    top = t.dir(s)
    a = s.call(putfh(top), create(NF4DIR, "made"), seqid=1, slot=3, cachethis=True).ok()
    b = s.call(putfh(top), create(NF4DIR, "made"), seqid=1, slot=3, cachethis=True, conn=t.conn()).ok()
    need(a.body == b.body, "another answer")


@over(other=(("fewer", (putrootfh(),)), ("other-op", (putrootfh(), getfh())),
             ("same-length", (putpubfh(), getattr("type")))))
def test_false_retry(t, other):
    "RFC 8881 2.10.6.1.3.1: another request with an old seqid: SEQ_FALSE_RETRY, or what was kept"
    s = t.fresh(1)
    a = s.call(putrootfh(), getattr("type"), seqid=1, slot=3, cachethis=True).ok()
    expect(s.call(*other[1], seqid=1, slot=3, cachethis=True), "SEQ_FALSE_RETRY")
    need(s.call(putrootfh(), getattr("type"), seqid=1, slot=3, cachethis=True).ok().body == a.body, "lost the reply")


def test_false_retry_by_another(t):
    "RFC 8881 2.10.6.1.3.1: by another principal: SEQ_FALSE_RETRY, never the kept reply"
    s = t.fresh(1)
    s.call(putrootfh(), getattr("type"), seqid=1, slot=3, cachethis=True).ok()
    r = s.call(putrootfh(), getattr("type"), seqid=1, slot=3, cachethis=True, cred=auth_sys(1234, 1234))
    expect(r, "SEQ_FALSE_RETRY")


def test_slots_are_apart(t):
    "RFC 8881 18.46.3: each slot has its own seqid"
    s = t.fresh(1)
    for slot in range(1, s.slots):
        expect(s.call(putrootfh(), seqid=1, slot=slot), "OK")


def test_too_many_operations(t):
    "RFC 8881 18.46.3: TOO_MANY_OPS; the slot does not move"
    s = small(t, maxops=4)
    expect(s.call(*[putrootfh()] * 8, seqid=1, slot=2), "TOO_MANY_OPS")
    expect(s.call(*[putrootfh()] * 3, seqid=1, slot=2), "OK", "SEQ_FALSE_RETRY")


def test_request_too_big(t):
    "RFC 8881 18.46.3: REQ_TOO_BIG"
    s = small(t, maxreq=1024)
    expect(s.call(putrootfh(), lookup("x" * 200), seqid=1, slot=2), "NOENT")
    expect(s.call(putrootfh(), lookup("x" * 3000), seqid=2, slot=2), "REQ_TOO_BIG")


def test_reply_too_big(t):
    "RFC 8881 18.46.3, 2.10.6.4: REP_TOO_BIG"
    s = small(t, maxresp=600)
    t.put("f", b"x" * 5000)
    fh = t.fh(s, "f")
    expect(s.call(putfh(fh), read(ANON, 0, 100)), "OK")
    expect(s.call(putfh(fh), read(ANON, 0, 5000)), "REP_TOO_BIG")
    expect(s.call(putfh(fh), *[getfh()] * 50), "REP_TOO_BIG")


def test_reply_too_big_to_cache(t):
    "RFC 8881 18.46.3: REP_TOO_BIG_TO_CACHE, only with cachethis"
    s = small(t, cached=600)
    t.put("f", b"x" * 5000)
    fh = t.fh(s, "f")
    expect(s.call(putfh(fh), read(ANON, 0, 5000)), "OK")
    expect(s.call(putfh(fh), read(ANON, 0, 5000), cachethis=True), "REP_TOO_BIG_TO_CACHE")


def test_nothing_done_when_reply_cannot_fit(t):
    "RFC 8881 2.10.6.4: what changes something is not run when its reply could not be sent"
    s = small(t, maxresp=300)
    top = t.dir(s)
    r = s.call(putfh(top), *[getfh()] * 20, create(NF4DIR, "made"))
    expect(r, "REP_TOO_BIG")
    need(not (t.path / "made").exists(), "made all the same")


def test_sequence_result(t):
    "RFC 8881 18.46.3: the session, seqid and slot of the request; slots below what there are"
    s = t.fresh(1)
    r = s.call(seqid=1, slot=4).ok()[0]
    need((r.sessionid, r.seqid, r.slot) == (s.sessionid, 1, 4), f"{r}")
    need(r.highest < s.slots and r.target < s.slots, f"{r}")


def test_session_lives_across_connections(t):
    "RFC 8881 2.10.3.1: any connection may carry the session without state protection"
    s = t.fresh(1)
    for _ in range(3):
        expect(s.call(putrootfh(), conn=t.conn()), "OK")


# ---- BIND_CONN_TO_SESSION, BACKCHANNEL_CTL


@over(direction=((1, (1,)), (2, (2,)), (3, (1, 3)), (7, (2, 3))))
def test_bind(t, direction):
    "RFC 8881 18.34: the direction that was asked for or both"
    s, c = t.fresh(1), t.conn()
    r = c.compound(1, bind_conn_to_session(s.sessionid, direction[0])).ok().last
    need(r.direction in direction[1], f"{r}")
    need(r.sessionid == s.sessionid, "another session")
    expect(s.call(putrootfh(), conn=c), "OK")


def test_bind_refused(t):
    "RFC 8881 18.34.3: BADSESSION; NOT_ONLY_OP; directions that there are not"
    s = t.fresh(1)
    expect(t.conn().compound(1, bind_conn_to_session(b"\x11" * 16)), "BADSESSION")
    expect(t.conn().compound(1, bind_conn_to_session(s.sessionid), putrootfh()), "NOT_ONLY_OP")
    expect(t.conn().compound(1, bind_conn_to_session(s.sessionid, 9)), "BADXDR", "INVAL")
    expect(s.call(bind_conn_to_session(s.sessionid)), "NOT_ONLY_OP")


def test_backchannel_ctl(t):
    "RFC 8881 18.33: program and security of callbacks"
    s = t.fresh(1)
    expect(s.call(backchannel_ctl()), "OK")
    expect(t.conn().compound(1, backchannel_ctl()), "OP_NOT_IN_SESSION")


# ---- The end


def test_destroy_session(t):
    "RFC 8881 18.37: BADSESSION afterwards"
    s = t.fresh(1)
    expect(s.conn.compound(1, destroy_session(s.sessionid)), "OK")
    expect(s.conn.compound(1, destroy_session(s.sessionid)), "BADSESSION")
    expect(s.call(putrootfh()), "BADSESSION")


def test_destroy_session_inside(t):
    "RFC 8881 18.37.3: in its own SEQUENCE it is the last operation"
    s = t.fresh(1)
    expect(s.call(destroy_session(s.sessionid), putrootfh()), "NOT_ONLY_OP")
    expect(s.call(putrootfh(), destroy_session(s.sessionid)), "OK")
    expect(s.call(putrootfh()), "BADSESSION")


def test_destroy_another_session(t):
    "RFC 8881 18.37.3: another session of the client, from inside a session"
    s = t.fresh(1)
    other = s.conn.compound(1, create_session(s.clientid, s.eid.sequence + 1)).ok().last
    expect(s.call(destroy_session(other.sessionid), putrootfh()), "OK")
    expect(s.conn.compound(1, sequence(other.sessionid, 1), putrootfh()), "BADSESSION")


def test_destroy_not_first_alone(t):
    "RFC 8881 18.37.3: without SEQUENCE it is alone"
    s = t.fresh(1)
    expect(t.conn().compound(1, destroy_session(s.sessionid), putrootfh()), "NOT_ONLY_OP")


def test_destroy_clientid(t):
    "RFC 8881 18.50: CLIENTID_BUSY with a session; STALE_CLIENTID when it is gone"
    s = t.fresh(1)
    expect(s.conn.compound(1, destroy_clientid(s.clientid)), "CLIENTID_BUSY")
    expect(s.call(destroy_clientid(s.clientid)), "CLIENTID_BUSY")
    expect(s.conn.compound(1, destroy_session(s.sessionid)), "OK")
    expect(s.conn.compound(1, destroy_clientid(s.clientid)), "OK")
    expect(s.conn.compound(1, destroy_clientid(s.clientid)), "STALE_CLIENTID")


def test_destroy_clientid_with_opens(t):
    "RFC 8881 18.50.3: CLIENTID_BUSY with an open although no session is left"
    s = t.fresh(1)
    s.open(t.dir(s), "f", access=BOTH, how="unchecked")
    expect(s.conn.compound(1, destroy_session(s.sessionid)), "OK")
    expect(s.conn.compound(1, destroy_clientid(s.clientid)), "CLIENTID_BUSY")


def test_destroy_unconfirmed_clientid(t):
    "RFC 8881 18.50.3: an unconfirmed one may go"
    c = t.conn()
    r = eid(c, fresh_id()).ok().last
    expect(c.compound(1, destroy_clientid(r.clientid)), "OK")
    expect(confirm(c, r), "STALE_CLIENTID")


def test_destroy_unknown_clientid(t):
    "RFC 8881 18.50.3: STALE_CLIENTID; NOT_ONLY_OP"
    expect(t.conn().compound(1, destroy_clientid(0)), "STALE_CLIENTID")
    expect(t.conn().compound(1, destroy_clientid(0), putrootfh()), "NOT_ONLY_OP")


def test_open_survives_its_session(t):
    "RFC 8881 2.10.10.1: opens belong to the client, not to the session"
    s = t.fresh(1)
    o = s.open(t.dir(s), "f", access=BOTH, how="unchecked")
    expect(s.conn.compound(1, destroy_session(s.sessionid)), "OK")
    n = s.conn.compound(1, create_session(s.clientid, s.eid.sequence + 1)).ok().last
    expect(s.conn.compound(1, sequence(n.sessionid, 1), putfh(o.fh), read(o.stateid, 0, 1)), "OK")


# ---- RECLAIM_COMPLETE


def test_reclaim_complete(t):
    "RFC 8881 18.51.3: opens wait for it (GRACE); a second one is COMPLETE_ALREADY"
    s = t.fresh(1, reclaim=False)
    t.put("f")
    top = t.dir(s)
    expect(s.call(putfh(top), open_("f", READ, 0, 0, b"o")), "GRACE")
    expect(s.call(putfh(top), open_(None, READ, 0, 0, b"o", claim=1, claim_args=b"\0\0\0\0")), "NO_GRACE", "ISDIR")
    expect(s.call(reclaim_complete()), "OK")
    expect(s.call(reclaim_complete()), "COMPLETE_ALREADY")
    expect(s.call(putfh(top), open_("f", READ, 0, 0, b"o")), "OK")


def test_reclaim_complete_one_fs(t):
    "RFC 8881 18.51.3: for one file system: needs a file handle, changes nothing else"
    s = t.fresh(1, reclaim=False)
    expect(s.call(reclaim_complete(True)), "NOFILEHANDLE")
    expect(s.call(putrootfh(), reclaim_complete(True)), "OK")
    expect(s.call(reclaim_complete()), "OK")


def test_reclaim_after_complete(t):
    "RFC 8881 18.51.3: NO_GRACE"
    s = t.fresh(1)
    t.put("f")
    expect(s.call(putfh(t.fh(s, "f")), open_(None, READ, 0, 0, b"o", claim=1, claim_args=b"\0\0\0\0")), "NO_GRACE")


if __name__ == "__main__":
    sys.exit(main(globals()))
