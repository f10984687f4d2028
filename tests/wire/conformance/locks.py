#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""LOCK, LOCKT, LOCKU and RELEASE_LOCKOWNER."""

import random
import sys

from conform import *

END = (1 << 64) - 1


class Locker:
    """One lock owner with one open of its own; counts the seqids that 4.0 needs."""

    def __init__(self, t, c, name="f", who=b"A", access=BOTH, size=100):
        self.c, self.who, self.sid = c, b"lock-" + who, None
        self.owner = b"open-" + who
        if not (t.path / name).exists():
            t.put(name, b"x" * size)
        self.o = c.open(t.dir(c), name, access=access, owner=self.owner)
        self.fh = self.o.fh
        self.n = 0

    def _seq(self):
        if self.c.minor:
            return 0
        self.n += 1
        return self.n

    def lock(self, offset=0, length=10, kind=WRITE_LT, reclaim=False):
        c = self.c
        if self.sid is None:
            seqid = c.seqid(self.owner) if c.minor == 0 else 0
            r = c.call(putfh(self.fh), lock(kind, offset, length, self.o.stateid, c.clientid, self.who, seqid,
                                            self._seq(), reclaim))
            if r.status in (ERRORS["BAD_STATEID"], ERRORS["BAD_SEQID"]) and c.minor == 0:
                c.seqids[self.owner] -= 1
        else:
            r = c.call(putfh(self.fh), lock(kind, offset, length, self.sid, lock_seqid=self._seq(), reclaim=reclaim))
        if r.status == 0:
            self.sid = r.last.stateid
        return r

    def unlock(self, offset=0, length=10, kind=WRITE_LT, sid=None):
        r = self.c.call(putfh(self.fh), locku(kind, offset, length, sid or self.sid, self._seq()))
        if r.status == 0:
            self.sid = r.last.stateid
        return r

    def test(self, offset=0, length=10, kind=WRITE_LT):
        return self.c.call(putfh(self.fh), lockt(kind, offset, length, self.c.clientid, self.who))

    def close(self):
        r = self.c.close(self.fh, self.o.stateid, *([self.owner] if self.c.minor == 0 else []))
        self.sid = None
        return r


def pair(t, minor, **kw):
    c = t.client(minor)
    tag = b"%d-%d-" % (t.number, minor)
    return Locker(t, c, who=tag + b"A", **kw), Locker(t, c, who=tag + b"B", **kw)


RANGES = ((0, 10), (5, 10), (0, 1), (50, END), (0, END), (END - 1, 1), (END, END), (1 << 63, 1 << 62))


@over(minor=MINORS, span=RANGES, kind=(READ_LT, WRITE_LT, READW_LT, WRITEW_LT))
def test_lock(t, minor, span, kind):
    "RFC 7530 16.10: any range and kind; LOCKT of another owner tells of it; LOCKU gives it back"
    a, b = pair(t, minor)
    expect(a.lock(*span, kind), "OK")
    expect(a.test(*span), "OK")
    r = expect(b.test(*span), "DENIED")
    held = r.last
    need(held.owner == a.who and held.offset == span[0], f"{held}")
    need(held.kind == (READ_LT if kind in (READ_LT, READW_LT) else WRITE_LT), f"kind {held.kind}")
    need(held.length == span[1] or (held.length == END), f"length {held.length}")
    need(held.clientid == a.c.clientid, "another client")
    expect(b.test(*span, READ_LT), "OK" if kind in (READ_LT, READW_LT) else "DENIED")
    expect(a.unlock(*span), "OK")
    expect(b.test(*span), "OK")


@over(minor=MINORS, first=(READ_LT, WRITE_LT), second=(READ_LT, WRITE_LT), span=((0, 10), (9, 1), (10, 1), (5, END), (0, 5)))
def test_conflicts(t, minor, first, second, span):
    "RFC 7530 16.10.4: readers share, a writer is alone; DENIED with the holder"
    a, b = pair(t, minor)
    expect(a.lock(0, 10, first), "OK")
    fits = (first, second) == (READ_LT, READ_LT) or span == (10, 1)
    r = expect(b.lock(*span, second), "OK" if fits else "DENIED")
    if not fits:
        need(r.last.owner == a.who and (r.last.offset, r.last.length) == (0, 10), f"{r.last}")
        expect(a.unlock(0, 10), "OK")
        expect(b.lock(*span, second), "OK")


@over(minor=MINORS, span=((0, 0), (5, 0), (END, 0)))
def test_length_zero(t, minor, span):
    "RFC 7530 16.10.4, 16.11.4, 16.12.4: length 0 is INVAL"
    a, _ = pair(t, minor)
    expect(a.lock(*span), "INVAL")
    expect(a.test(*span), "INVAL")
    expect(a.lock(0, 1), "OK")
    expect(a.unlock(*span), "INVAL")
    expect(a.unlock(0, 1), "OK")


@over(minor=MINORS, span=((END, 2), (2, END - 1), (1 << 63, (1 << 63) + 1), (100, END - 50)))
def test_overflow(t, minor, span):
    "RFC 7530 16.10.4: offset and length past 2^64: INVAL (or BAD_RANGE)"
    a, _ = pair(t, minor)
    expect(a.lock(*span), "INVAL", "BAD_RANGE")
    expect(a.test(*span), "INVAL", "BAD_RANGE")
    expect(a.lock(0, 1), "OK")
    expect(a.unlock(*span), "INVAL", "BAD_RANGE")


@over(minor=MINORS, access=(READ, WRITE))
def test_open_mode(t, minor, access):
    "RFC 7530 16.10.5: the open must allow what is locked: OPENMODE"
    a, _ = pair(t, minor, access=access)
    expect(a.lock(0, 1, READ_LT if access == WRITE else WRITE_LT), "OPENMODE")
    expect(a.lock(0, 1, WRITE_LT if access == WRITE else READ_LT), "OK")


@over(minor=MINORS)
def test_split(t, minor):
    "RFC 7530 9.1.3, 16.12.4: unlocking the middle leaves both ends (or LOCK_RANGE)"
    a, b = pair(t, minor)
    expect(a.lock(0, 100), "OK")
    expect(a.unlock(40, 20), "OK")
    for offset, wanted in ((0, "DENIED"), (39, "DENIED"), (40, "OK"), (59, "OK"), (60, "DENIED"), (99, "DENIED")):
        expect(b.test(offset, 1), wanted)
    expect(b.lock(40, 20), "OK")


@over(minor=MINORS)
def test_merge(t, minor):
    "RFC 7530 9.1.3: neighbours and overlaps of one owner are one range"
    a, b = pair(t, minor)
    for span in ((0, 10), (10, 10), (25, 10), (15, 15)):
        expect(a.lock(*span), "OK")
    r = expect(b.test(0, 1), "DENIED")
    need((r.last.offset, r.last.length) in ((0, 35), (0, 10)), f"{r.last}")
    expect(a.unlock(0, 35), "OK")
    expect(b.lock(0, 100), "OK")


@over(minor=MINORS)
def test_upgrade_and_downgrade(t, minor):
    "RFC 7530 9.3: a lock changes its kind in place, whole or in part; conflicts are DENIED"
    a, b = pair(t, minor)
    expect(a.lock(0, 100, READ_LT), "OK")
    expect(a.lock(20, 10, WRITE_LT), "OK")
    expect(b.test(0, 20, READ_LT), "OK")
    expect(b.test(25, 1, READ_LT), "DENIED")
    expect(a.lock(20, 10, READ_LT), "OK")
    expect(b.lock(0, 100, READ_LT), "OK")
    expect(a.lock(0, 1, WRITE_LT), "DENIED")
    expect(b.unlock(0, 100), "OK")
    expect(a.lock(0, 1, WRITE_LT), "OK")


@over(minor=MINORS)
def test_unlock_what_is_not_locked(t, minor):
    "RFC 7530 16.12.4: OK (or LOCK_RANGE)"
    a, b = pair(t, minor)
    expect(a.lock(0, 10), "OK")
    expect(a.unlock(50, 10), "OK", "LOCK_RANGE")
    expect(a.unlock(5, 100), "OK", "LOCK_RANGE")
    expect(b.test(0, 5), "DENIED")


@over(minor=MINORS)
def test_stateid_moves(t, minor):
    "RFC 7530 9.1.4, RFC 8881 8.2.2: each LOCK and LOCKU moves the seqid by one; old ones are OLD_STATEID"
    a, _ = pair(t, minor)
    expect(a.lock(0, 10), "OK")
    one = a.sid
    expect(a.lock(20, 10), "OK")
    need(a.sid[4:] == one[4:] and int.from_bytes(a.sid[:4], "big") == int.from_bytes(one[:4], "big") + 1, "seqid")
    two = a.sid
    expect(a.unlock(20, 10, sid=one), "OLD_STATEID")
    expect(a.unlock(20, 10, sid=two), "OK")
    need(int.from_bytes(a.sid[:4], "big") == int.from_bytes(two[:4], "big") + 1, "seqid of LOCKU")


@over(minor=MINORS)
def test_io_with_lock_stateid(t, minor):
    "RFC 7530 9.1.4: READ and WRITE take the lock's stateid"
    a, _ = pair(t, minor)
    expect(a.lock(0, 10), "OK")
    expect(a.c.call(putfh(a.fh), write(a.sid, 0, b"abc")), "OK")
    expect(a.c.call(putfh(a.fh), read(a.sid, 0, 3)), "OK")
    expect(a.c.call(putfh(a.fh), setattr(a.sid, {"size": 50})), "OK")


@over(minor=MINORS)
def test_close_with_locks(t, minor):
    "RFC 7530 16.2.4, RFC 8881 18.2.3: LOCKS_HELD, or the locks end with the open"
    a, b = pair(t, minor)
    expect(a.lock(0, 10), "OK")
    sid = a.sid
    r = expect(a.close(), "OK", "LOCKS_HELD")
    if r.error == "OK":
        expect(b.lock(0, 10), "OK")
        expect(a.c.call(putfh(a.fh), read(sid, 0, 1)), "BAD_STATEID", "OLD_STATEID", "EXPIRED")
        a.sid = sid
        expect(a.unlock(0, 10), "BAD_STATEID", "OLD_STATEID")


@over(minor=MINORS)
def test_lock_after_close(t, minor):
    "RFC 7530 16.10.5: with the stateid of an open that was closed: BAD_STATEID"
    a, _ = pair(t, minor)
    expect(a.close(), "OK")
    expect(a.lock(0, 10), "BAD_STATEID", "OLD_STATEID")


@over(minor=MINORS)
def test_wrong_stateids(t, minor):
    "RFC 7530 16.10.5, 16.12.5: special, unknown and open stateids where a lock's is wanted"
    a, _ = pair(t, minor)
    c = a.c
    for sid in (ANON, BYPASS, b"\0\0\0\1" + b"\x33" * 12):
        expect(c.call(putfh(a.fh), lock(WRITE_LT, 0, 1, sid, lock_seqid=1)), "BAD_STATEID", "STALE_STATEID")
        expect(c.call(putfh(a.fh), locku(WRITE_LT, 0, 1, sid, 1)), "BAD_STATEID", "STALE_STATEID")
    expect(c.call(putfh(a.fh), lock(WRITE_LT, 0, 1, a.o.stateid, lock_seqid=1)), "BAD_STATEID")
    expect(c.call(putfh(a.fh), locku(WRITE_LT, 0, 1, a.o.stateid, 1)), "BAD_STATEID")
    expect(a.lock(0, 1), "OK")
    t.put("g")
    expect(c.call(putfh(t.fh(c, "g")), locku(WRITE_LT, 0, 1, a.sid, 2)), "BAD_STATEID")


@over(minor=MINORS)
def test_owners_are_apart(t, minor):
    "RFC 7530 9.1.2: two owners of one client conflict; the same owner never with itself"
    a, b = pair(t, minor)
    expect(a.lock(0, 10), "OK")
    expect(a.lock(5, 10), "OK")
    expect(b.lock(5, 10), "DENIED")


@over(minor=MINORS)
def test_clients_are_apart(t, minor):
    "RFC 7530 9.1.2: the same owner's bytes of another client are another owner"
    a = Locker(t, t.client(minor), who=b"same")
    b = Locker(t, t.fresh(minor), who=b"same")
    expect(a.lock(0, 10), "OK")
    expect(b.lock(0, 10), "DENIED")
    expect(b.test(0, 10), "DENIED")


@over(minor=(1, 2))
def test_versions_meet(t, minor):
    "RFC 7530 9.1: locks and share reservations hold between minor versions"
    a, b = Locker(t, t.client(0), who=b"vm%d" % minor), Locker(t, t.client(minor), who=b"vm")
    expect(a.lock(0, 10), "OK")
    expect(b.lock(0, 10), "DENIED")
    expect(a.unlock(0, 10), "OK")
    expect(b.lock(0, 10), "OK")
    expect(a.lock(0, 10), "DENIED")


@over(minor=MINORS)
def test_long_owner(t, minor):
    "RFC 7530 3.3.12: owners of up to 1024 bytes; DENIED names the owner (long ones by their first bytes)"
    a = Locker(t, t.client(minor), who=b"L" * 1019)
    b = Locker(t, t.client(minor), who=b"M" * 59)
    expect(a.lock(0, 10), "OK")
    expect(b.lock(20, 10), "OK")
    held = expect(b.lock(0, 10), "DENIED").last.owner
    need(len(held) >= 64 and a.who.startswith(held), "another owner")
    need(expect(a.test(20, 10), "DENIED").last.owner == b.who, "another owner")
    expect(a.lock(20, 10), "DENIED")


@over(minor=MINORS)
def test_empty_owners(t, minor):
    "RFC 7530 3.3.12: owners of no bytes are owners too"
    c = t.client(minor)
    t.put("f")
    one, two = (c.seqid(b"") if minor == 0 else 0 for _ in range(2))
    r = c.call(putfh(t.dir(c)), open_("f", BOTH, 0, c.clientid, b"", one), getfh()).ok()
    fh, sid = r.last.fh, r.op("OPEN").stateid
    if minor == 0:
        sid = c.call(putfh(fh), open_confirm(sid, two)).ok().last.stateid
    next_seq = c.seqid(b"") if minor == 0 else 0
    k = c.call(putfh(fh), lock(WRITE_LT, 0, 5, sid, c.clientid, b"", next_seq, 1)).ok().last.stateid
    need(expect(Locker(t, c, who=b"not empty").test(0, 5), "DENIED").last.owner == b"", "another owner")
    expect(c.call(putfh(fh), lockt(WRITE_LT, 0, 5, c.clientid, b"")), "OK")
    expect(c.call(putfh(fh), locku(WRITE_LT, 0, 5, k, 2)), "OK")


@over(minor=MINORS, seed=range(4))
def test_against_model(t, minor, seed):
    "RFC 7530 9.1.3: many random locks and unlocks give what a byte map says"
    rng = random.Random(seed)
    a, b = pair(t, minor)
    held = {a: [0] * 64, b: [0] * 64}
    for _ in range(60):
        me, other = rng.choice(((a, b), (b, a)))
        start = rng.randrange(60)
        length = rng.randrange(1, 64 - start)
        what = rng.choice((0, READ_LT, WRITE_LT))
        span = range(start, start + length)
        if what == 0:
            if me.sid is None:
                continue
            expect(me.unlock(start, length), "OK")
        else:
            free = all(held[other][i] == 0 or (held[other][i] == READ_LT and what == READ_LT) for i in span)
            expect(me.lock(start, length, what), "OK" if free else "DENIED")
            if not free:
                continue
        for i in span:
            held[me][i] = what
    for i in range(64):
        expect(a.test(i, 1, WRITE_LT), "DENIED" if held[b][i] else "OK")
        expect(a.test(i, 1, READ_LT), "DENIED" if held[b][i] == WRITE_LT else "OK")


@over(clientid=(0, 5, END))
def test_lockt_stale_clientid(t, clientid):
    "RFC 7530 16.11.5: STALE_CLIENTID"
    c = t.client(0)
    expect(c.call(putfh(t.fh(c, "file")), lockt(WRITE_LT, 0, 1, clientid, b"o")), "STALE_CLIENTID")


@over(kind=(0, 5, 99))
def test_lock_kind(t, kind):
    "RFC 7530 16.10: nfs_lock_type4 has four values"
    a, _ = pair(t, 0)
    expect(a.test(0, 1, kind), "BADXDR", "INVAL")


# ---- The sequence of requests of a lock owner (4.0)


def raw_lock(a, seq, sid=None, offset=0, length=10, open_seq=None):
    c = a.c
    if open_seq is not None:
        return c.call(putfh(a.fh), lock(WRITE_LT, offset, length, a.o.stateid, c.clientid, a.who, open_seq, seq))
    return c.call(putfh(a.fh), lock(WRITE_LT, offset, length, sid or a.sid, lock_seqid=seq))


def test_replays(t):
    "RFC 7530 9.1.9: the same LOCK or LOCKU again gets the same answer"
    a, b = pair(t, 0)
    first = a.c.seqids[a.owner] + 1
    one = raw_lock(a, 40, open_seq=first).ok()
    need(raw_lock(a, 40, open_seq=first).ok().body == one.body, "first LOCK")
    a.c.seqids[a.owner] = first
    two = raw_lock(a, 41, one.last.stateid, 20).ok()
    need(raw_lock(a, 41, one.last.stateid, 20).ok().body == two.body, "second LOCK")
    u = a.c.call(putfh(a.fh), locku(WRITE_LT, 0, 5, two.last.stateid, 42)).ok()
    again = a.c.call(putfh(a.fh), locku(WRITE_LT, 0, 5, two.last.stateid, 42)).ok()
    need(u.body == again.body, "LOCKU")
    expect(raw_lock(a, 43, u.last.stateid, 50), "OK")


def test_denied_replay(t):
    "RFC 7530 9.1.9: DENIED is repeated with its holder, also when the lock is free by now"
    a, b = pair(t, 0)
    expect(a.lock(0, 10), "OK")
    expect(b.lock(50, 1), "OK")
    seq, sid = b.n + 1, b.sid
    one = expect(raw_lock(b, seq, sid), "DENIED")
    expect(a.unlock(0, 10), "OK")
    two = expect(raw_lock(b, seq, sid), "DENIED")
    need(one.body == two.body, "another answer")
    expect(raw_lock(b, seq + 1, sid), "OK")


@over(off=(-2, 2, 10, 1000))
def test_bad_seqid(t, off):
    "RFC 7530 9.1.7: BAD_SEQID for LOCK and LOCKU of a known owner"
    a, _ = pair(t, 0)
    for i in range(4):
        expect(a.lock(i * 10, 5), "OK")
    expect(raw_lock(a, a.n + off), "BAD_SEQID")
    expect(a.c.call(putfh(a.fh), locku(WRITE_LT, 0, 5, a.sid, a.n + off)), "BAD_SEQID")
    expect(a.lock(70, 5), "OK")


@over(off=(0, 2, 100))
def test_new_lock_owner_bad_open_seqid(t, off):
    "RFC 7530 16.10.5: the open owner's seqid is judged for a new lock owner"
    a, _ = pair(t, 0)
    expect(raw_lock(a, 1, open_seq=a.c.seqids[a.owner] + off), "BAD_SEQID")


def test_known_owner_as_new(t):
    "RFC 7530 16.10.5: an owner that has a stateid for the file already: BAD_SEQID"
    a, _ = pair(t, 0)
    expect(a.lock(0, 10), "OK")
    a.c.seqids[a.owner] += 1
    expect(raw_lock(a, 2, open_seq=a.c.seqids[a.owner], offset=50), "BAD_SEQID", "OK")


def test_invalid_moves_seqid(t):
    "RFC 7530 9.1.7: INVAL and DENIED move the seqid, BAD_STATEID does not"
    a, b = pair(t, 0)
    expect(a.lock(0, 10), "OK")
    expect(a.lock(0, 0), "INVAL")
    expect(a.lock(20, 1), "OK")
    expect(a.unlock(0, 0), "INVAL")
    expect(a.unlock(20, 1), "OK")


def test_two_files_one_lock_owner(t):
    "RFC 7530 9.1.7: one lock owner's seqid counts across its files"
    c = t.client(0)
    a = Locker(t, c, "f", b"two")
    b = Locker(t, c, "g", b"two")
    expect(a.lock(0, 10), "OK")
    b.n = a.n
    expect(b.lock(0, 10), "OK")
    a.n = b.n
    expect(a.unlock(0, 10), "OK")
    b.n = a.n
    expect(b.unlock(0, 10), "OK")


# ---- RELEASE_LOCKOWNER (4.0)


def test_release_lockowner(t):
    "RFC 7530 16.37: LOCKS_HELD with locks; else the owner and its stateids are gone"
    a, _ = pair(t, 0)
    expect(a.lock(0, 10), "OK")
    expect(a.c.call(release_lockowner(a.c.clientid, a.who)), "LOCKS_HELD")
    expect(a.unlock(0, 10), "OK")
    sid = a.sid
    expect(a.c.call(release_lockowner(a.c.clientid, a.who)), "OK")
    expect(a.c.call(putfh(a.fh), locku(WRITE_LT, 0, 10, sid, a.n + 1)), "BAD_STATEID", "EXPIRED")
    a.sid, a.n = None, 98
    expect(a.lock(0, 10), "OK")


def test_release_unknown_lockowner(t):
    "RFC 7530 16.37: an owner that is not known: OK; a client that is not: STALE_CLIENTID"
    c = t.client(0)
    expect(c.call(release_lockowner(c.clientid, b"never seen")), "OK")
    expect(c.call(release_lockowner(12345, b"x")), "STALE_CLIENTID")


if __name__ == "__main__":
    sys.exit(main(globals()))
