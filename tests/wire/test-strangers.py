#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""State of one user in the hands of another, on the wire: test-strangers.py [lares].

Numbers that a stranger could see on the network or guess (client ids, stateids, sessions, owners, sequence numbers) are
no permission: what a request may do is decided by who sends it."""

import itertools
import struct
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


def distance(numbers):
    """The fewest bits in which two of them differ."""
    return min(bin(int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).count("1")
               for a, b in itertools.combinations(numbers, 2))


def check_numbers(t):
    """Sessions and stateids cannot be guessed from others."""
    folder, ada, _ = users(t)
    s = t.session(ada)
    assert distance([t.session().sessionid[8:] for _ in range(4)]) > 8
    # A counter's neighbours differ in one bit, random words of 32 bits in about 16.
    opened = [s.open(folder, f"f{i}", how="unchecked", attrs={"mode": 0o600}) for i in range(8)]
    assert distance([f.stateid[4:] for f in opened]) > 1


def check_owner_replay(t):
    """In 4.0 the kept answer of an open owner is given to nobody else, nor is the file it opened."""
    folder, ada, bob = users(t)
    c = t.client40(ada)
    c.open(folder, "f", access=BOTH, how="unchecked", attrs={"mode": 0o600})
    again = (putfh(folder), open_("f", READ, 0, c.clientid, b"owner", c.seqid(b"owner")), getfh())
    first = ada.compound(0, *again).ok()
    expect(bob.compound(0, *again), "BAD_SEQID")
    assert ada.compound(0, *again).ok()[2].fh == first[2].fh


MASK = (1 << 64) - 1


def plain_digest(seed, data):
    """A digest without a secret, as a server may use it to tell a false retry."""
    h = (seed ^ len(data)) * 0x9E3779B97F4A7C15 & MASK
    data = data[:256]
    for i in range(0, len(data), 8):
        h = (h ^ int.from_bytes(data[i:i + 8], "little")) * 0xFF51AFD7ED558CCD & MASK
        h ^= h >> 32
    return h


def forged_tag(n_ops, victim, forger, tag, length):
    """A tag for the forger's request under which such a digest is that of the victim's."""
    def before_last(who, text):
        h = (plain_digest(n_ops, who) ^ length) * 0x9E3779B97F4A7C15 & MASK
        head = struct.pack(">I", len(tag)) + text
        for i in range(0, len(head), 8):
            h = (h ^ int.from_bytes(head[i:i + 8], "little")) * 0xFF51AFD7ED558CCD & MASK
            h ^= h >> 32
        return h
    want = before_last(victim, tag[:12]) ^ int.from_bytes(tag[12:], "little")
    for n in range(1 << 16):
        text = f"{n:012x}"[::-1].encode()
        last = (before_last(forger, text) ^ want).to_bytes(8, "little")
        if max(last) < 128:
            return text + last
    raise AssertionError("no tag found")


def check_slot_replay(t):
    """A reply kept in a slot is given to nobody but who caused it, whatever tag the stranger makes up."""
    folder, ada, bob = users(t)
    s = t.session(ada)
    f = secret(s, folder)
    request = (s.sequence(0, None, True), putfh(f.fh), read(f.stateid, 0, 9))
    tag = b"0123456789abcdefghij"
    first = ada.compound(1, *request, tag=tag).ok()
    assert first.last.data == b"secret" and ada.compound(1, *request, tag=tag).body == first.body
    size = len(ada.pack_compound(1, request, tag))
    forged = forged_tag(3, f"sys:{ADA}:{ADA}".encode(), f"sys:{BOB}:{BOB}".encode(), tag, size)
    for other in (tag, forged):
        expect(bob.compound(1, *request, tag=other), "SEQ_FALSE_RETRY")


def check_renew(t):
    """RENEW and RELEASE_LOCKOWNER are for those who have something there: the client's own principal and its users."""
    folder, ada, bob = users(t)
    c = t.client40()
    expect(bob.compound(0, renew(c.clientid)), "ACCESS")
    ada_too = c.call(putfh(folder), open_("f", BOTH, 0, c.clientid, b"ada's", 1, how="unchecked"), getfh(), conn=ada).ok()
    fh, stateid = ada_too.last.fh, ada_too.op("OPEN").stateid
    stateid = c.call(putfh(fh), open_confirm(stateid, 2), conn=ada).ok().last.stateid
    c.call(putfh(fh), lock(2, 0, 10, stateid, c.clientid, b"ada's lock", 3, 1), conn=ada).ok()
    ada.compound(0, renew(c.clientid)).ok()
    c.call(renew(c.clientid)).ok()
    expect(bob.compound(0, renew(c.clientid)), "ACCESS")
    expect(bob.compound(0, release_lockowner(c.clientid, b"ada's lock")), "ACCESS")
    expect(ada.compound(0, release_lockowner(c.clientid, b"ada's lock")), "LOCKS_HELD")


def check_owner(t):
    """An open owner's sequence is its user's: another one is told to take an owner of its own and disturbs nothing."""
    folder, ada, bob = users(t)
    c = t.client40(ada)
    first = c.call(putfh(folder), open_("f", BOTH, 0, c.clientid, b"o", 7, how="unchecked", attrs={"mode": 0o666}),
                   getfh()).ok()
    fh, stateid = first.last.fh, first.op("OPEN").stateid
    for seqid in (8, 1, 7):  # it is not confirmed yet: what starts again would be void
        expect(bob.compound(0, putfh(folder), open_("f", BOTH, 0, c.clientid, b"o", seqid)), "BAD_SEQID")
    stateid = c.call(putfh(fh), open_confirm(stateid, 8)).ok().last.stateid
    expect(bob.compound(0, putfh(folder), open_("f", BOTH, 0, c.clientid, b"o", 9)), "BAD_SEQID")
    c.call(putfh(fh), close(stateid, 9)).ok()
    # With nothing open it is anybody's again.
    theirs = bob.compound(0, putfh(folder), open_("f", BOTH, 0, c.clientid, b"o", 1)).ok().last
    bob.compound(0, putfh(fh), open_confirm(theirs.stateid, 2)).ok()
    expect(c.call(putfh(folder), open_("f", BOTH, 0, c.clientid, b"o", 10)), "BAD_SEQID")


def check_client_ids(t):
    """The id of one client does not tell that of the next, and LOCKT takes none of 4.1's."""
    folder, ada, _ = users(t)
    ids = sorted(t.client40(ada).clientid & 0xffffffff for _ in range(8))
    assert all(b - a > 100 for a, b in zip(ids, ids[1:])), ids
    s = t.session(ada)
    f = secret(s, folder)
    expect(ada.compound(0, putfh(f.fh), lockt(2, 0, 10, s.clientid, b"l")), "STALE_CLIENTID")
    expect(ada.compound(0, renew(s.clientid)), "STALE_CLIENTID")


if __name__ == "__main__":
    sys.exit(main(globals()))
