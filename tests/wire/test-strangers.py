#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""State of one user in the hands of another, on the wire: test-strangers.py [lares].

Numbers that a stranger could see on the network or guess (client ids, stateids, sessions, owners, sequence numbers) are
no permission: what a request may do is decided by who sends it."""

import sys

from nfs4ops import *  # noqa: F403
from nfsraw import auth_sys
from wirecheck import expect, main

ADA, BOB = 1201, 1202


def users(t):
    """A connection of each, and a folder where both may make files."""
    folder = t.folder(t.session())
    return folder, t.conn(cred=auth_sys(ADA, ADA)), t.conn(cred=auth_sys(BOB, BOB))


def secret(client, folder, mode=0o600):
    f = client.open(folder, "f", access=BOTH, how="unchecked", attrs={"mode": mode})
    client.call(putfh(f.fh), write(f.stateid, 0, b"secret")).ok()
    return f


def check_stateid_40(t):
    """In 4.0 another user's stateid neither reads nor writes a file that its mode keeps closed."""
    folder, ada, bob = users(t)
    f = secret(t.client40(ada), folder)
    expect(bob.compound(0, putfh(f.fh), read(f.stateid, 0, 9)), "ACCESS")
    expect(bob.compound(0, putfh(f.fh), write(f.stateid, 0, b"x")), "ACCESS")
    expect(bob.compound(0, putfh(f.fh), setattr(f.stateid, {"size": 0})), "ACCESS")
    assert ada.compound(0, putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"secret"


def check_stateid_41(t):
    """Nor in 4.1, through the session of its owner."""
    folder, ada, bob = users(t)
    s = t.session(ada, minor=2)
    f = secret(s, folder)
    for op in (read(f.stateid, 0, 9), write(f.stateid, 0, b"x"), setattr(f.stateid, {"size": 0}),
               allocate(f.stateid, 0, 4096), deallocate(f.stateid, 0, 4096), seek(f.stateid, 0)):
        expect(s.call(putfh(f.fh), op, conn=bob), "ACCESS")
    assert s.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"secret"


def check_open_mode_stays(t):
    """Who opened a file goes on after a chmod that shuts them out; others do what the mode lets them do."""
    folder, ada, bob = users(t)
    c = t.client40(ada)
    f = secret(c, folder, 0o644)
    assert bob.compound(0, putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"secret"
    expect(bob.compound(0, putfh(f.fh), write(f.stateid, 0, b"x")), "ACCESS")
    c.call(putfh(f.fh), setattr(ANON, {"mode": 0})).ok()
    assert c.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"secret"
    expect(bob.compound(0, putfh(f.fh), read(f.stateid, 0, 9)), "ACCESS")


def check_join_open(t):
    """An OPEN under somebody else's owner gives no more than an open of one's own."""
    folder, ada, bob = users(t)
    s = t.session(ada)
    f = secret(s, folder)
    expect(s.call(putfh(folder), open_("f", READ, 0, s.clientid, b"owner"), conn=bob), "ACCESS")
    assert s.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"secret"


if __name__ == "__main__":
    sys.exit(main(globals()))
