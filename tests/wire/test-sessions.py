#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients, sessions and exactly-once of NFSv4.1, on the wire: test-sessions.py [ganesha|lares].

Spec: RFC 8881 2.10, 18.35 (EXCHANGE_ID), 18.36 (CREATE_SESSION), 18.46 (SEQUENCE)."""

import os
import sys

from nfsraw import RpcError, Session
from nfs4ops import *  # noqa: F403
import nfs4ops as ops
from wirecheck import differs, expect, main

CONFIRMED_R, UPD_CONFIRMED = 0x80000000, 0x40000000


def owner():
    return b"sessions " + os.urandom(8).hex().encode()


def check_new_client(t):
    """EXCHANGE_ID of a new owner is unconfirmed and names a role."""
    e = t.conn().compound(1, exchange_id(owner())).ok()[0]
    assert not e.flags & CONFIRMED_R and e.flags & 0x00070000, hex(e.flags)
    assert e.scope and e.major_id


def check_known_client(t):
    """EXCHANGE_ID of a confirmed owner gives the same client id and says confirmed."""
    s = t.session()
    e = s.conn.compound(1, exchange_id(s.owner, s.verifier)).ok()[0]
    assert e.clientid == s.clientid and e.flags & CONFIRMED_R


def check_unknown_flags(t):
    """EXCHANGE_ID with flags that do not exist is refused."""
    expect(t.conn().compound(1, exchange_id(owner(), flags=0x00000800)), "INVAL")


def check_update_absent(t):
    """An update of a client that is not there."""
    expect(t.conn().compound(1, exchange_id(owner(), flags=UPD_CONFIRMED)), "NOENT")


def check_update_other_verifier(t):
    """An update with another verifier."""
    s = t.session()
    expect(s.conn.compound(1, exchange_id(s.owner, b"another!", UPD_CONFIRMED)), "NOT_SAME")


def check_reboot(t):
    """A client that comes back with another verifier takes the place of its old self, but not
    before its new session."""
    s = t.session()
    e = s.conn.compound(1, exchange_id(s.owner, b"reborn!!")).ok()[0]
    assert e.clientid != s.clientid and not e.flags & CONFIRMED_R
    s.call(putrootfh()).ok()
    n = Session(t.conn(), owner=s.owner, eid=e)
    n.call(putrootfh()).ok()
    expect(s.call(putrootfh()), "BADSESSION", "DEADSESSION")


def check_create_session_stale(t):
    """CREATE_SESSION for a client id that is unknown."""
    expect(t.conn().compound(1, create_session(0x1234567890, 1)), "STALE_CLIENTID")


def check_create_session_misordered(t):
    """CREATE_SESSION with the wrong sequence."""
    c = t.conn()
    e = c.compound(1, exchange_id(owner())).ok()[0]
    expect(c.compound(1, create_session(e.clientid, e.sequence + 3)), "SEQ_MISORDERED")


def check_create_session_replay(t):
    """A repeated CREATE_SESSION gives the same session, not a second one."""
    c = t.conn()
    e = c.compound(1, exchange_id(owner())).ok()[0]
    a = c.compound(1, create_session(e.clientid, e.sequence)).ok()
    b = c.compound(1, create_session(e.clientid, e.sequence)).ok()
    assert a.body == b.body


def check_create_session_flags(t):
    """CREATE_SESSION with flags that do not exist."""
    c = t.conn()
    e = c.compound(1, exchange_id(owner())).ok()[0]
    expect(c.compound(1, create_session(e.clientid, e.sequence, flags=0x100)), "INVAL")


def check_create_session_small(t):
    """A channel too small to say anything."""
    c = t.conn()
    e = c.compound(1, exchange_id(owner())).ok()[0]
    expect(c.compound(1, create_session(e.clientid, e.sequence,
                                        fore=channel(maxreq=20, maxresp=20))), "TOOSMALL")


def check_not_only_op(t):
    """EXCHANGE_ID outside a session must be alone."""
    expect(t.conn().compound(1, exchange_id(owner()), putrootfh()), "NOT_ONLY_OP")


def check_two_sessions(t):
    """A client may have several sessions."""
    s = t.session()
    e = type(s.eid)(**vars(s.eid))
    e.sequence = s.eid.sequence + 1
    n = Session(t.conn(), owner=s.owner, eid=e, reclaim=False)
    assert n.sessionid != s.sessionid
    n.call(putrootfh()).ok()
    s.call(putrootfh()).ok()


def check_bad_session(t):
    """SEQUENCE with a session that does not exist."""
    expect(t.conn().compound(1, sequence(b"no such session!", 1), putrootfh()), "BADSESSION")


def check_bad_slot(t):
    """A slot beyond the table."""
    s = t.session()
    expect(s.conn.compound(1, sequence(s.sessionid, 1, slot=s.slots + 5, highest=s.slots - 1)),
           "BADSLOT", "BAD_HIGH_SLOT")


def check_bad_high_slot(t):
    """A highest slot beyond the table is refused or lowered."""
    s = t.session()
    r = expect(s.conn.compound(1, sequence(s.sessionid, 1, 1, s.slots + 100)), "BAD_HIGH_SLOT",
               "OK")
    assert r.error != "OK" or r.last.highest < s.slots, r.last
    s.seqids[1] = int(r.error == "OK")
    s.call(putrootfh(), slot=1).ok()


def check_misordered(t):
    """Sequence ids that skip or go back."""
    s = t.session()
    n = s.seqids[0]
    for seqid in (n + 2, n + 100, n - 1, n + 0x7FFFFFFF):
        expect(s.call(putrootfh(), seqid=seqid), "SEQ_MISORDERED")
    s.call(putrootfh()).ok()


def check_sequence_first(t):
    """Operations outside a session, and SEQUENCE in the middle."""
    s = t.session()
    expect(s.conn.compound(1, putrootfh()), "OP_NOT_IN_SESSION")
    expect(s.conn.compound(1, putrootfh(), s.sequence()), "OP_NOT_IN_SESSION", "SEQUENCE_POS")
    expect(s.call(putrootfh(), s.sequence(slot=1)), "SEQUENCE_POS")


def check_replay_cached(t):
    """A repeated request that was to be kept is answered with the same bytes."""
    s = t.session()
    d = t.folder(s)
    a = s.call(putfh(d), create(NF4DIR, "once", {"mode": 0o755}), getfh(), cachethis=True).ok()
    for _ in range(3):
        b = s.call(putfh(d), create(NF4DIR, "once", {"mode": 0o755}), getfh(),
                   seqid=s.seqids[0], cachethis=True)
        assert a.body == b.body, b
    expect(s.call(putfh(d), create(NF4DIR, "once", {"mode": 0o755})), "EXIST")


def check_replay_error(t):
    """An error is kept like a success."""
    s = t.session()
    d = t.folder(s)
    a = expect(s.call(putfh(d), lookup("absent"), cachethis=True), "NOENT")
    s.conn.compound(1)
    b = s.call(putfh(d), lookup("absent"), cachethis=True, seqid=s.seqids[0])
    assert a.body == b.body


def check_replay_uncached(t):
    """A repeated request that was not to be kept: told so, or answered from memory."""
    s = t.session()
    d = t.folder(s)
    a = s.call(putfh(d), create(NF4DIR, "once", {"mode": 0o755})).ok()
    b = s.call(putfh(d), create(NF4DIR, "once", {"mode": 0o755}), seqid=s.seqids[0])
    assert b.error == "RETRY_UNCACHED_REP" or a.body == b.body, b


def check_replay_other_connection(t):
    """A repeat may come over another connection, after the first one is gone."""
    s = t.session()
    d = t.folder(s)
    a = s.call(putfh(d), create(NF4DIR, "once", {"mode": 0o755}), cachethis=True).ok()
    s.conn.close()
    s.conn = t.conn()
    b = s.call(putfh(d), create(NF4DIR, "once", {"mode": 0o755}), cachethis=True,
               seqid=s.seqids[0])
    assert a.body == b.body, b


def check_false_retry(t):
    """A used sequence id with another request is told, or answered with the old reply; the new
    request is never done."""
    s = t.session()
    d = t.folder(s)
    s.call(putfh(d), create(NF4DIR, "a", {"mode": 0o755}), cachethis=True).ok()
    s.call(putfh(d), create(NF4DIR, "b", {"mode": 0o755}), cachethis=True, seqid=s.seqids[0])
    expect(s.call(putfh(d), lookup("b")), "NOENT")


def check_pipelined_slots(t):
    """All slots at once, many times."""
    s = t.session(slots=16)
    body = [putrootfh(), getattr("type")]
    for _ in range(10):
        xids = []
        for slot in range(s.slots):
            seq = s.sequence(slot)
            s.seqids[slot] = s.seqids.get(slot, 0) + 1
            xids.append(s.conn.send_call(1, s.conn.pack_compound(1, [seq] + body)))
        for x in xids:
            reply = s.conn.wait(x)
            assert reply.verdict == "SUCCESS" and reply.body[:4] == b"\0\0\0\0"


def check_too_many_operations(t):
    """More operations than the session allows."""
    s = t.session(fore=channel(maxops=8))
    n = s.created.fore.maxops
    expect(s.call(*[putrootfh()] * n), "TOO_MANY_OPS")


@differs(ganesha="does not bound requests by the session")
def check_request_too_big(t):
    """A request above the session's bound."""
    s = t.session(fore=channel(maxreq=2048))
    n = s.created.fore.maxreq
    expect(s.call(putrootfh(), lookup("x" * n)), "REQ_TOO_BIG")


def check_reply_too_big(t):
    """A reply above the session's bound is refused before it is made."""
    s = t.session(fore=channel(maxresp=4096, cached=1024))
    d = t.folder(s)
    f = s.open(d, "f", access=BOTH, how="unchecked", attrs={"mode": 0o644})
    s.call(putfh(f.fh), write(f.stateid, 0, b"x" * 100000)).ok()
    r = s.call(putfh(f.fh), read(f.stateid, 0, 100000))
    assert r.error == "REP_TOO_BIG" or (r.error == "OK" and len(r.last.data) < 4096), r


def check_reply_too_big_to_keep(t):
    """A reply that cannot be kept although the client asked for it."""
    s = t.session(fore=channel(cached=512))
    d = t.folder(s)
    f = s.open(d, "f", access=BOTH, how="unchecked", attrs={"mode": 0o644})
    s.call(putfh(f.fh), write(f.stateid, 0, b"x" * 100000)).ok()
    expect(s.call(putfh(f.fh), read(f.stateid, 0, 100000), cachethis=True),
           "REP_TOO_BIG_TO_CACHE")


def check_destroy(t):
    """Sessions and clients end once, in order."""
    s = t.session()
    expect(s.conn.compound(1, destroy_clientid(s.clientid)), "CLIENTID_BUSY")
    expect(s.conn.compound(1, destroy_session(s.sessionid)), "OK")
    expect(s.conn.compound(1, destroy_session(s.sessionid)), "BADSESSION")
    expect(s.conn.compound(1, destroy_clientid(s.clientid)), "OK")
    expect(s.conn.compound(1, destroy_clientid(s.clientid)), "STALE_CLIENTID")


def check_destroy_own_session(t):
    """A session may end itself as the last operation."""
    s = t.session()
    expect(s.call(destroy_session(s.sessionid)), "OK")
    expect(s.call(putrootfh()), "BADSESSION")


@differs(ganesha="destroys a client with opens")
def check_busy_with_opens(t):
    """A client with opens is busy even without a session."""
    s = t.session()
    d = t.folder(s)
    s.open(d, "f", access=BOTH, how="unchecked", attrs={"mode": 0o644})
    expect(s.conn.compound(1, destroy_session(s.sessionid)), "OK")
    expect(s.conn.compound(1, destroy_clientid(s.clientid)), "CLIENTID_BUSY")


def check_second_connection(t):
    """A session works on a connection that was not bound explicitly."""
    s = t.session()
    s.call(putrootfh(), conn=t.conn()).ok()


def check_bind(t):
    """BIND_CONN_TO_SESSION, alone in its compound."""
    s = t.session()
    c = t.conn()
    r = c.compound(1, bind_conn_to_session(s.sessionid, 3)).ok()[0]
    assert r.sessionid == s.sessionid and r.direction in (1, 2, 3) and not r.rdma
    expect(c.compound(1, bind_conn_to_session(b"no such session!", 1)), "BADSESSION")
    expect(c.compound(1, bind_conn_to_session(s.sessionid, 1), putrootfh()), "NOT_ONLY_OP")


def check_reclaim_complete_twice(t):
    """RECLAIM_COMPLETE only once."""
    s = t.session()
    expect(s.call(reclaim_complete()), "COMPLETE_ALREADY")


def check_open_before_reclaim_complete(t):
    """No new open before RECLAIM_COMPLETE."""
    s = t.session(reclaim=False)
    d = t.folder(t.session())
    expect(s.call(putfh(d), open_("f", BOTH, 0, s.clientid, how="unchecked",
                                  attrs={"mode": 0o644})), "GRACE")


def check_minor_versions(t):
    """A minor version that does not exist."""
    r = expect(t.conn().compound(9, putrootfh()), "MINOR_VERS_MISMATCH")
    assert len(r) == 0


def check_illegal(t):
    """Operations that do not exist, or not in this minor version."""
    s = t.session()
    r = expect(s.call(putrootfh(), raw(9999)), "OP_ILLEGAL")
    assert r.last.name == "ILLEGAL"
    r = expect(s.call(putrootfh(), raw(2)), "OP_ILLEGAL")
    r = expect(s.call(putrootfh(), seek(ANON, 0)), "OP_ILLEGAL")
    r = expect(s.call(renew(s.clientid)), "NOTSUPP")
    r = expect(s.call(putrootfh(), open_confirm(ANON, 1)), "NOTSUPP")
    expect(t.conn().compound(0, putrootfh(), sequence(s.sessionid, 1)), "OP_ILLEGAL")


def check_short_arguments(t):
    """Arguments that end too early."""
    s = t.session()
    try:
        expect(s.call(putrootfh(), raw(ops.OPS["LOOKUP"], b"\0\0\1\0ab")), "BADXDR")
    except RpcError as e:
        assert e.reply.verdict == "GARBAGE_ARGS", e.reply


def check_no_operations(t):
    """An empty compound."""
    r = t.conn().compound(1).ok()
    assert len(r) == 0


def check_tag(t):
    """The tag comes back."""
    s = t.session()
    assert s.call(putrootfh(), tag=b"a tag").ok().tag == b"a tag"
    assert t.conn().compound(0, putrootfh(), tag="žluť".encode()).ok().tag == "žluť".encode()


def check_current_stateid(t):
    """OPEN, WRITE and CLOSE in one compound with the current stateid."""
    s = t.session()
    d = t.folder(s)
    s.call(putfh(d), open_("f", BOTH | WANT_NO_DELEG, 0, s.clientid, how="unchecked",
                           attrs={"mode": 0o644}),
           write(CURRENT, 0, b"current"), read(CURRENT, 0, 100), close(CURRENT)).ok()
    expect(s.call(putfh(d), lookup("f"), close(CURRENT)), "BAD_STATEID")


def check_stateids(t):
    """TEST_STATEID and FREE_STATEID."""
    s = t.session()
    d = t.folder(s)
    f = s.open(d, "f", access=BOTH, how="unchecked", attrs={"mode": 0o644})
    lk = s.call(putfh(f.fh), lock(WRITE_LT, 0, 10, f.stateid, s.clientid, b"lo")).ok().last.stateid
    bad = b"\0\0\0\1" + b"\x77" * 12
    r = s.call(test_stateid(f.stateid, lk, bad)).ok().last.codes
    assert r[:2] == [0, 0] and r[2] in (10025, 10023), r
    expect(s.call(free_stateid(f.stateid)), "LOCKS_HELD")
    expect(s.call(free_stateid(lk)), "LOCKS_HELD")
    u = s.call(putfh(f.fh), locku(WRITE_LT, 0, 10, lk)).ok().last.stateid
    expect(s.call(free_stateid(u)), "OK")
    expect(s.call(free_stateid(bad)), "BAD_STATEID", "STALE_STATEID")
    s.close(f.fh, f.stateid).ok()


if __name__ == "__main__":
    sys.exit(main(globals()))
