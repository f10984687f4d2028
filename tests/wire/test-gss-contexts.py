#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How RPCSEC_GSS contexts come to be and how they end: test-gss-contexts.py [lares].

Spec: RFC 2203 5.2 and 5.3.3.3"""

import contextlib
import os
import sys
import time

from nfs4ops import *  # noqa: F403
from nfsraw import auth_gss
from wirecheck import run, serving, skip_unless

SERVICES = (1, 2, 3)
gss = None  # nfsgss, when the environment names the realm


def conn(t, **kw):
    c = gss.GssConn("127.0.0.1", t.s.port, **kw)
    t.open.append(c)
    return c


@contextlib.contextmanager
def ticket(ccache):
    """Another ticket than alice's for a while."""
    before = os.environ["KRB5CCNAME"]
    os.environ["KRB5CCNAME"] = str(ccache)
    try:
        yield
    finally:
        os.environ["KRB5CCNAME"] = before


def verdict(reply, wanted):
    assert reply.verdict == wanted, f"{reply.verdict}, not {wanted}"


def works(c):
    for service in SERVICES:
        c.service = service
        c.compound(0, putrootfh(), getattr("type")).ok()


# ---- contexts that end with their ticket


def check_expired(t):
    """A context ends with its ticket: CTXPROBLEM, then CREDPROBLEM, and a new one on the same connection goes on"""
    with ticket(t.s.realm.kinit("alice", t.s.work / "cc-short", life=3)):
        begun = time.monotonic()
        conns = [conn(t, service=service) for service in SERVICES]
        sessions = [t.session(c, minor=2) for c in conns]
        late = gss.Context("nfs@localhost").step()
    for c in conns:
        verdict(c.null(), "SUCCESS")
    t.s.server.laresd.wait_log("verdict=accepted")
    for c, s in zip(conns, sessions):
        while (r := c.null()).verdict == "SUCCESS":
            assert time.monotonic() < begun + 20, "the context outlives its ticket"
            time.sleep(0.05)
        verdict(r, "AUTH_ERROR:CTXPROBLEM")
        assert r.verf is None and r.body == b"", "more than a refusal"
        verdict(c.null(), "AUTH_ERROR:CREDPROBLEM")  # it is gone by now
        c.renew()
        s.call(putrootfh(), getattr("type")).ok()
    # A token that was made in time, and comes too late.
    r = gss.send_token(t.conn(), late)
    verdict(r, "SUCCESS")
    assert r.major not in (0, 1) and r.handle == b"" and r.token != late, r


# ---- contexts of three legs


def begin(t):
    """Two legs of three: the connection, the initiator, its last token, and the handle."""
    c, context = t.conn(), gss.Context("nfs@localhost", gss.FLAG_MUTUAL | gss.FLAG_DCE_STYLE)
    r = gss.send_token(c, context.step())
    verdict(r, "SUCCESS")
    assert r.major == gss.CONTINUE_NEEDED and r.handle and r.token, r
    assert r.verf == (0, b""), "a verifier before there is a context"
    last = context.step(r.token)
    assert last and context.done
    return c, context, last, r.handle


def go_on(c, handle, token, **kw):
    return gss.send_token(c, token, gss.CONTINUE_INIT, handle=handle, **kw)


def check_three_legs(t):
    """A context of three legs (CONTINUE_INIT), then calls with each service"""
    c = conn(t, flags=gss.FLAG_MUTUAL | gss.FLAG_DCE_STYLE)
    works(c)
    for service in SERVICES:
        c = conn(t, flags=gss.FLAG_MUTUAL | gss.FLAG_DCE_STYLE, service=service)
        s = t.session(c, minor=2)
        f = s.open(s.walk("/share"), f"legs{service}", access=BOTH, how="unchecked")
        s.call(putfh(f.fh), write(f.stateid, 0, bytes(range(256)) * 40)).ok()
        assert s.call(putfh(f.fh), read(f.stateid, 0, 20000)).ok().last.data == bytes(range(256)) * 40
        args = c.pack_compound(0, [putrootfh()])
        if service > 1:
            verdict(c.gss_call(1, args, tamper="body"), "GARBAGE_ARGS")
        verdict(c.gss_call(1, args, tamper="header"), "AUTH_ERROR:CREDPROBLEM")
        c.service = gss.NONE
        verdict(c.destroy(), "SUCCESS")
        verdict(c.null(), "AUTH_ERROR:CREDPROBLEM")


def check_legs_on_two_connections(t):
    """The last leg may come on another connection"""
    _, context, last, handle = begin(t)
    r = go_on(t.conn(), handle, last)
    verdict(r, "SUCCESS")
    assert r.major == gss.COMPLETE and r.handle == handle
    assert r.verf[0] == 6
    context.verify_mic(r.window.to_bytes(4, "big"), r.verf[1])


def check_half_a_context(t):
    """Nothing can be done in a context that lacks its last leg"""
    c, context, last, handle = begin(t)
    for proc, service in ((gss.DATA, 1), (gss.DATA, 2), (gss.DATA, 3), (gss.DESTROY, 1)):
        for verf in (None, (6, context.get_mic(b"anything"))):
            verdict(c.call(0, cred=auth_gss(proc, 1, service, handle), verf=verf), "AUTH_ERROR:CREDPROBLEM")
    r = go_on(c, handle, last)
    assert r.major == gss.COMPLETE, r


def check_unknown_handle(t):
    """CONTINUE_INIT of a context that is not under way: CREDPROBLEM"""
    c, _, last, handle = begin(t)
    for wrong in (b"", b"not a handle", handle[:-1], handle + b"\0", handle[:-1] + bytes([handle[-1] ^ 1]), bytes(len(handle)),
                  os.urandom(len(handle))):
        verdict(go_on(c, wrong, last), "AUTH_ERROR:CREDPROBLEM")
    assert go_on(c, handle, last).major == gss.COMPLETE


def check_continue_twice(t):
    """CONTINUE_INIT again, or in a context that is complete: CREDPROBLEM, and the context goes on"""
    c, _, last, handle = begin(t)
    assert go_on(c, handle, last).major == gss.COMPLETE
    verdict(go_on(c, handle, last), "AUTH_ERROR:CREDPROBLEM")
    verdict(go_on(t.conn(), handle, last), "AUTH_ERROR:CREDPROBLEM")
    for flags in (gss.FLAG_MUTUAL, gss.FLAG_MUTUAL | gss.FLAG_DCE_STYLE):
        g = conn(t, flags=flags)
        works(g)
        for token in (last, b"", b"x" * 100):
            verdict(go_on(c, g.state["handle"], token), "AUTH_ERROR:CREDPROBLEM")
        works(g)


def check_continue_with_garbage(t):
    """A last token that is none ends the context, and a new one can be made on the connection"""
    others = begin(t)[2]
    for build in (lambda last: b"", lambda last: b"\0" * 100, lambda last: os.urandom(3000), lambda last: last[:-1],
                  lambda last: last[:-4] + os.urandom(4), lambda last: others):
        c, _, last, handle = begin(t)
        r = go_on(c, handle, build(last))
        verdict(r, "SUCCESS")
        assert r.major not in (gss.COMPLETE, gss.CONTINUE_NEEDED) and r.handle == b"" and r.verf == (0, b""), r
        verdict(go_on(c, handle, last), "AUTH_ERROR:CREDPROBLEM")
        g = conn(t, flags=gss.FLAG_MUTUAL | gss.FLAG_DCE_STYLE)
        works(g)


def check_continue_elsewhere(t):
    """CONTINUE_INIT with another procedure than NULL is refused and takes nothing away"""
    c, _, last, handle = begin(t)
    verdict(go_on(c, handle, last, rpc_proc=1), "AUTH_ERROR:BADCRED")
    assert go_on(c, handle, last).major == gss.COMPLETE


def main():
    global gss
    kind = sys.argv[1] if len(sys.argv) > 1 else "lares"
    skip_unless(kind)
    with serving(kind) as s:
        os.environ.update(s.environ)
        import nfsgss
        gss = nfsgss
        return run(globals(), kind, s)


if __name__ == "__main__":
    sys.exit(main())
