#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""SP4_MACH_CRED over Kerberos: a client and its sessions are managed with the credentials that made it, protected, and
with nobody else's: test-mach-cred.py [lares].

Spec: RFC 8881 2.10.8.3, 18.35.3"""

import os
import sys

from nfs4ops import *  # noqa: F403
from nfs4xdr import OPS, Packer
from nfsraw import Session
from wirecheck import expect, run, serving, skip_unless

NO_PROTECTION, INTEGRITY, PRIVACY = 1, 2, 3
WANTED = ("BIND_CONN_TO_SESSION", "EXCHANGE_ID", "CREATE_SESSION", "DESTROY_SESSION", "DESTROY_CLIENTID",
          "BACKCHANNEL_CTL")
UPDATE = 0x40000000


def bitmap(names):
    bits = sum(1 << OPS[n] for n in names)
    return Packer().u32(2, bits & 0xffffffff, bits >> 32)


def mach_cred(names=WANTED):
    return bytes(Packer().u32(1).raw(bitmap(names).data).u32(0).data)


def as_user(t, user, service=INTEGRITY):
    """A connection with a Kerberos context of this user."""
    import nfsgss  # after the environment: it names the realm
    os.environ["KRB5CCNAME"] = t.ccache[user]
    c = nfsgss.GssConn("127.0.0.1", t.s.port, service=service, timeout=30)
    t.open.append(c)
    return c


def introduced(t, conn, owner=None, **kw):
    owner = owner or b"mach " + os.urandom(6).hex().encode()
    return owner, conn.compound(1, exchange_id(owner, b"verifier", protect=mach_cred(), **kw))


def protected_session(t):
    alice = as_user(t, "alice")
    owner, r = introduced(t, alice)
    return alice, owner, Session(alice, eid=r.ok()[0], owner=owner)


def strangers(t):
    """Callers without the client's protected credentials."""
    return [as_user(t, "bob"), as_user(t, "bob", PRIVACY), as_user(t, "alice", NO_PROTECTION), t.conn()]


def check_exchange_id(t):
    """EXCHANGE_ID agrees on what is enforced, and only under protection"""
    _, r = introduced(t, as_user(t, "alice"))
    r.ok()
    assert r[0].protect == 1
    assert set(r[0].must_enforce) == {OPS[n] for n in WANTED}, r[0].must_enforce
    introduced(t, as_user(t, "alice", PRIVACY))[1].ok()
    expect(introduced(t, as_user(t, "alice", NO_PROTECTION))[1], "INVAL")
    expect(introduced(t, t.conn())[1], "INVAL")


def check_create_session(t):
    """CREATE_SESSION with the same principal, protected"""
    alice = as_user(t, "alice")
    _, r = introduced(t, alice)
    eid = r.ok()[0]
    for c in strangers(t):
        expect(c.compound(1, create_session(eid.clientid, eid.sequence)), "CLID_INUSE", "WRONG_CRED")
    Session(alice, eid=eid).call(putrootfh(), getattr("type")).ok()


def check_bind_conn(t):
    """BIND_CONN_TO_SESSION likewise; a connection that is refused leaves the session as it was"""
    alice, _, session = protected_session(t)
    for c in strangers(t):
        expect(c.compound(1, bind_conn_to_session(session.sessionid)), "WRONG_CRED")
    as_user(t, "alice", PRIVACY).compound(1, bind_conn_to_session(session.sessionid)).ok()
    alice.compound(1, bind_conn_to_session(session.sessionid)).ok()
    session.call(putrootfh(), getattr("type")).ok()


def check_backchannel(t):
    """BACKCHANNEL_CTL likewise, in the session"""
    _, _, session = protected_session(t)
    for c in strangers(t):
        expect(session.call(backchannel_ctl(), conn=c), "WRONG_CRED")
    session.call(backchannel_ctl()).ok()


def check_users(t):
    """Files in the session are everybody's with their own credentials"""
    _, _, session = protected_session(t)
    session.call(putrootfh(), getattr("type"), conn=as_user(t, "bob")).ok()
    session.call(putrootfh(), getattr("type"), conn=t.conn()).ok()


def check_update(t):
    """An update of the record is the principal's, protected; another principal's introduction does not replace it"""
    alice, owner, session = protected_session(t)
    expect(introduced(t, as_user(t, "bob"), owner, flags=UPDATE)[1], "PERM")
    expect(alice_plain(t).compound(1, exchange_id(owner, b"verifier", UPDATE)), "WRONG_CRED")
    introduced(t, alice, owner, flags=UPDATE)[1].ok()
    folder = session.walk(t.s.path)
    f = session.open(folder, "kept", access=BOTH, how="unchecked", attrs={"mode": 0o600})
    expect(introduced(t, as_user(t, "bob"), owner)[1], "CLID_INUSE")
    session.close(f.fh, f.stateid).ok()


def alice_plain(t):
    return as_user(t, "alice", NO_PROTECTION)


def check_destroy(t):
    """DESTROY_SESSION and DESTROY_CLIENTID likewise"""
    alice, _, session = protected_session(t)
    for c in strangers(t):
        expect(c.compound(1, destroy_session(session.sessionid)), "WRONG_CRED")
        session.call(putrootfh(), getattr("type")).ok()
    as_user(t, "alice").compound(1, destroy_session(session.sessionid)).ok()
    for c in strangers(t):
        expect(c.compound(1, destroy_clientid(session.clientid)), "WRONG_CRED")
    alice.compound(1, destroy_clientid(session.clientid)).ok()
    expect(alice.compound(1, destroy_clientid(session.clientid)), "STALE_CLIENTID")


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "lares"
    skip_unless(kind)
    with serving(kind) as s:
        s.realm.add_user("bob")
        os.environ.update(s.environ)
        ccache = {"alice": s.environ["KRB5CCNAME"], "bob": str(s.realm.kinit("bob", s.work / "bob.ccache"))}

        def with_ccache(check):
            def checked(t):
                t.ccache = ccache
                check(t)
            checked.__doc__ = check.__doc__
            return checked
        checks = {n: with_ccache(f) for n, f in globals().items() if n.startswith("check_")}
        return run(checks, kind, s)


if __name__ == "__main__":
    sys.exit(main())
