#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is left after the server was killed: reclaims, the grace period and its end."""

import os
import sys

from conform import *

PREVIOUS = dict(claim=1, claim_args=b"\0\0\0\0")


def restart(t):
    t.s.kill()
    t.s.start()


def reconnect(t, c):
    """The same client (id and verifier) after a restart; without RECLAIM_COMPLETE."""
    conn = t.conn()
    if c.minor == 0:
        n = Client40(conn, owner=c.owner, verifier=c.verifier)
    else:
        n = Session(conn, minor=c.minor, owner=c.owner, verifier=c.verifier, reclaim=False)
    n.minor = c.minor
    return n


def reclaim(c, fh, access=BOTH, deny=0, owner=b"owner"):
    """The answer to a reclaiming OPEN, confirmed in 4.0."""
    seqid = c.seqid(owner) if c.minor == 0 else 0
    r = c.call(putfh(fh), open_(None, access, deny, c.clientid, owner, seqid, **PREVIOUS), getfh())
    if r.status == 0:
        o = r.op("OPEN")
        r.stateid = o.stateid
        if o.rflags & 2:
            r.stateid = c.call(putfh(fh), open_confirm(o.stateid, c.seqid(owner))).ok().last.stateid
    return r


def leave(t, c):
    """A 4.1 client's state ends: it comes as a new incarnation and says good-bye."""
    Session(t.conn(), minor=c.minor, owner=c.owner, verifier=os.urandom(8)).destroy()


def relock(c, fh, sid, owner=b"l", offset=0, length=10, reclaim=True, kind=WRITE_LT):
    return c.call(putfh(fh), lock(kind, offset, length, sid, c.clientid, owner,
                                  c.seqid(b"owner") if c.minor == 0 else 0, 1, reclaim))


def wait_no_grace(t):
    """Ends the grace period, whoever was waited for."""
    c = t.fresh(1)
    fh = t.dir(c)
    c.after_grace(lambda: c.call(putfh(fh), open_("grace", BOTH, 0, 0, b"g", how="unchecked")), LEASE + 10)
    leave(t, c)


def case_of_reclaim(t, minor):
    wait_no_grace(t)
    c = t.fresh(minor)
    top = t.dir(c)
    t.put("g")
    o = c.open(top, "f", access=BOTH, deny=WRITE, how="unchecked")
    k = relock(c, o.fh, o.stateid, reclaim=False).ok().last.stateid
    c.call(putfh(o.fh), write(k, 0, b"before", FILE_SYNC)).ok()
    stranger = t.fresh(minor)  # known, with nothing open: nothing to reclaim
    g = t.fh(c, "g")

    restart(t)
    # What the old process gave is told to be so.
    fresh = t.conn()
    if minor == 0:
        expect(fresh.compound(0, putfh(o.fh), read(o.stateid, 0, 1)), "STALE_STATEID")
        expect(fresh.compound(0, putfh(o.fh), close(o.stateid, 9)), "STALE_STATEID")
        expect(fresh.compound(0, renew(c.clientid)), "STALE_CLIENTID")
        expect(fresh.compound(0, putfh(top), open_("f", READ, 0, c.clientid, b"x", 1)), "STALE_CLIENTID")
    else:
        expect(fresh.compound(minor, sequence(c.sessionid, 5), putrootfh()), "BADSESSION")
        expect(fresh.compound(minor, create_session(c.clientid, 2)), "STALE_CLIENTID")

    s = reconnect(t, stranger)
    expect(s.call(putfh(g), open_(None, READ, 0, s.clientid, b"s", 1, **PREVIOUS)), "RECLAIM_BAD", "NO_GRACE")
    n = reconnect(t, c)
    # In the grace period: nothing new, for nobody.
    expect(n.call(putfh(top), open_("g", READ, 0, n.clientid, b"new", 1)), "GRACE")
    expect(n.call(putfh(g), lockt(WRITE_LT, 0, 1, n.clientid, b"new")), "GRACE")
    r = reclaim(n, o.fh, BOTH, WRITE).ok()
    expect(relock(n, o.fh, r.stateid, b"other", 50, reclaim=False), "GRACE")
    k = expect(relock(n, o.fh, r.stateid), "OK").last.stateid
    need(n.call(putfh(o.fh), read(k, 0, 6)).ok().last.data == b"before", "other bytes")
    expect(n.call(putfh(o.fh), write(k, 0, b"after!")), "OK")
    if minor:
        expect(n.call(reclaim_complete()), "OK")
        expect(n.call(putfh(o.fh), open_(None, READ, 0, 0, b"late", **PREVIOUS)), "NO_GRACE")
    if minor:
        # Everybody who had something is back: the grace period ends before its time.
        begun = time.monotonic()
        wait_no_grace(t)
        need(time.monotonic() - begun < LEASE / 2, "the grace period lasts on")
    else:
        deadline = time.monotonic() + LEASE + 6
        while time.monotonic() < deadline and n.call(putfh(g), lockt(WRITE_LT, 0, 1, n.clientid, b"new")).error == "GRACE":
            time.sleep(0.5)
            n.call(renew(n.clientid)).ok()
        expect(n.call(putfh(o.fh), open_(None, READ, 0, n.clientid, b"late", 1, **PREVIOUS)), "NO_GRACE")
    # What was reclaimed holds.
    u = t.fresh(minor)
    if minor == 0:
        expect(u.call(putfh(top), open_("f", WRITE, 0, u.clientid, b"u", 1)), "SHARE_DENIED")
    else:
        expect(u.call(putfh(top), open_("f", WRITE, 0, u.clientid, b"u")), "SHARE_DENIED")
    expect(u.call(putfh(o.fh), lockt(WRITE_LT, 0, 10, u.clientid, b"u")), "DENIED")
    if minor:
        leave(t, n)


@over(minor=(1, 2))
def test_reclaim(t, minor):
    """RFC 8881 8.4.2: after kill -9 opens and locks are reclaimed; stale ids are told; new opens and
    locks wait (GRACE); reclaims of strangers RECLAIM_BAD, after the end NO_GRACE; it ends early"""
    case_of_reclaim(t, minor)


def test_nobody_to_wait_for(t):
    "RFC 8881 8.4.2.1: when no client had anything open, there is no grace period"
    wait_no_grace(t)
    for c in t.suite.clients.values():
        c.conn.close()
    t.suite.clients.clear()
    c = t.fresh(1)
    o = c.open(t.dir(c), "f", access=BOTH, how="unchecked")
    expect(c.close(o.fh, o.stateid), "OK")
    c.destroy()
    restart(t)
    c = t.fresh(1)
    expect(c.call(putfh(t.dir(c)), open_("f", READ, 0, 0, b"o")), "OK")


@over(minor=(1,))
def test_second_restart(t, minor):
    "RFC 8881 8.4.3: a client that did not reclaim in time may not do so after a second restart"
    wait_no_grace(t)
    a = t.fresh(minor)
    oa = a.open(t.dir(a), "a", access=BOTH, how="unchecked")
    restart(t)
    # nobody comes; others get in when the grace period is over
    wait_no_grace(t)
    b = t.fresh(minor)
    b.open(t.dir(b), "a", access=BOTH, deny=0)
    restart(t)
    n = reconnect(t, a)
    expect(n.call(putfh(oa.fh), open_(None, BOTH, 0, 0, b"owner", **PREVIOUS)), "RECLAIM_BAD", "NO_GRACE")
    leave(t, b)
    leave(t, a)


@over(minor=(1, 2))
def test_restarted_client_does_not_reclaim(t, minor):
    "RFC 8881 8.4.2.1: RECLAIM_COMPLETE without reclaims frees what was held"
    wait_no_grace(t)
    a = t.fresh(minor)
    a.open(t.dir(a), "a", access=BOTH, deny=3, how="unchecked")
    restart(t)
    n = t.fresh(minor, owner=a.owner, verifier=os.urandom(8))  # says RECLAIM_COMPLETE
    begun = time.monotonic()
    wait_no_grace(t)
    need(time.monotonic() - begun < LEASE / 2, "the grace period lasts on")
    n.open(t.dir(n), "a", access=BOTH, deny=3)
    leave(t, n)


def test_handles_and_cookies_survive(t):
    "RFC 7530 4.2.1: persistent handles; READDIR cookies and verifier go on after a restart"
    wait_no_grace(t)
    for i in range(50):
        t.put(f"n{i}", b"")
    c = t.fresh(0)
    top = t.dir(c)
    r = c.call(putfh(top), readdir(maxcount=700)).ok().last
    change = c.attrs(top, "change")
    restart(t)
    c = t.fresh(0)
    need(c.attrs(top, "change")["change"] == change["change"], "the change attribute moved without a change")
    names = [e.name for e in r.entries]
    while not r.eof:
        r = c.call(putfh(top), readdir(r.entries[-1].cookie, r.verifier, maxcount=700)).ok().last
        names += [e.name for e in r.entries]
    need(len(names) == len(set(names)) and len(names) >= 50, f"{len(names)} names")


def test_write_verifier_moves(t):
    "RFC 7530 16.36.4: another write verifier after a restart"
    wait_no_grace(t)
    c = t.fresh(0)
    t.put("f")
    fh = t.fh(c, "f")
    a = c.call(putfh(fh), write(ANON, 0, b"x")).ok().last.verifier
    restart(t)
    c = t.fresh(0)
    need(c.call(putfh(fh), commit()).ok().last.verifier != a, "the same verifier")


def test_reclaim_4_0(t):
    """RFC 7530 9.6.2: likewise in 4.0, where the grace period lasts its time. The last case: what
    this client holds would be waited for."""
    case_of_reclaim(t, 0)


if __name__ == "__main__":
    sys.exit(main(globals()))
