#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands that race each other: on one open, on one session over several connections, against ends of trees, sessions
and connections, and against NFS clients on the same files. Whatever the answers are: each request gets one, nothing
hangs, nothing stays held, and no sanitizer has anything to say (that is what it is for). LARES_STRESS=seconds each."""
import contextlib
import os
import pathlib
import random
import shutil
import struct
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "wire")]
import tap  # noqa: E402
from realm import Realm, RealmError, tool  # noqa: E402
from smb_server import SmbServer  # noqa: E402
import nfs4ops as nfs  # noqa: E402
import nfsraw  # noqa: E402
import smb2ops as ops  # noqa: E402
import smb2raw as smb  # noqa: E402

SECONDS = float(os.environ.get("LARES_STRESS", "2"))
NAMES = ["one", "two", "Three", "four.txt", "d\\five", "d\\six"]
FILES = NAMES + ["ONE", "three", "one:stream", "d"]
WRONG = (0xC00000E5, 0xC0000001)  # INTERNAL_ERROR, UNSUCCESSFUL
# What these say themselves: a watch in the middle of a chain, an answer to a break that was not asked for.
MEANT = ((15, 0xC00000E5), (18, 0xC0000001))


@contextlib.contextmanager
def serving(**kw):
    work = pathlib.Path(tempfile.mkdtemp(prefix="smb-stress-"))
    os.environ["TSAN_OPTIONS"] = ":".join((os.environ.get("TSAN_OPTIONS", ""), "suppressions=" + os.path.join(HERE, "tsan.supp")))
    os.chmod(work, 0o755)
    try:
        with Realm(work / "realm", users=["alice"], services=["cifs/nas.lares.test"]) as realm:
            os.environ["KRB5_CONFIG"] = str(realm.krb5_conf)
            os.environ["KRB5CCNAME"] = str(realm.kinit("alice", work / "cc"))
            with SmbServer(work / "server", realm=realm, nfs=True, **kw) as s:
                s.add_share("data", work / "data", ["krb5", "sys"])
                os.makedirs(work / "data" / "d", exist_ok=True)
                os.chmod(work / "data" / "d", 0o777)
                s.work = work
                yield s
    finally:
        shutil.rmtree(work, ignore_errors=True)


class Storm:
    """Threads that run until the time is over; the first that fails tells."""

    def __init__(self, seconds=SECONDS, seed=None):
        self.seed = seed or random.randrange(1 << 30)
        self.end = time.monotonic() + seconds
        self.threads, self.failed, self.counts = [], None, {}

    def on(self):
        return time.monotonic() < self.end and not self.failed

    def add(self, func, *args):
        rnd = random.Random("%d %d" % (self.seed, len(self.threads)))

        def run():
            try:
                func(self, rnd, *args)
            except Exception as e:  # noqa: BLE001  (told by join)
                self.failed = self.failed or e
        t = threading.Thread(target=run, daemon=True)
        self.threads.append(t)

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def join(self):
        for t in self.threads:
            t.start()
        for t in self.threads:
            t.join(self.end - time.monotonic() + 90)
            assert not t.is_alive(), "a client hangs (seed %d)" % self.seed
        print("# seed %d: %r" % (self.seed, self.counts), flush=True)
        if self.failed:
            raise self.failed


class Pool:
    """File ids that some channel of a session was given."""

    def __init__(self):
        self.ids = []

    def take(self, command, r):
        assert r.status not in WRONG or (command, r.status) in MEANT, (command, hex(r.status))
        if command == smb.CREATE and r.status == smb.SUCCESS:
            self.ids.append(r.body[64:80])

    def some(self, rnd):
        return rnd.choice(self.ids[-24:]) if self.ids else bytes(16)


def random_create(rnd):
    name = rnd.choice(FILES)
    contexts, oplock = [], rnd.choice((0, 0, 1, 8, 9, ops.LEASE))
    if oplock == ops.LEASE:
        contexts.append(ops.lease_context(rnd.choice((b"A", b"B", b"C")) * 16, rnd.choice((1, 3, 7))))
    if rnd.random() < 0.2:
        contexts.append(ops.context(b"DHnQ", bytes(16)))
    if rnd.random() < 0.2:
        contexts.append(ops.context(b"MxAc", b""))
    access = rnd.choice((ops.ALL_ACCESS, ops.ALL_ACCESS, 0x80, ops.READ_DATA, ops.WRITE_DATA | ops.DELETE))
    options = rnd.choice((0, 0, 0, 0, ops.DELETE_ON_CLOSE)) if name != "d" else 0
    return ops.create(name, access, rnd.choice((7, 7, 7, 3, 1)), rnd.choice((1, 3, 3, 3, 5, 0)), options, oplock, contexts)


def random_request(rnd, fid):
    """(command, body) on an open."""
    offset = rnd.randrange(0, 40000)
    kind = rnd.randrange(15)
    if kind <= 1:
        return smb.READ, ops.read(fid, offset, rnd.choice((1, 4096, 65536)))
    if kind <= 3:
        return smb.WRITE, ops.write(fid, offset, bytes(rnd.choice((1, 512, 8192))))
    if kind == 4:
        return smb.CLOSE, ops.close(fid, rnd.random() < 0.5)
    if kind == 5:
        now = rnd.choice((0, 0, ops.LOCK_NOW))
        return smb.LOCK, ops.lock(fid, (rnd.randrange(8), rnd.randrange(1, 4), rnd.choice((1, 2)) | now))
    if kind == 6:
        return smb.LOCK, ops.lock(fid, (rnd.randrange(8), rnd.randrange(1, 4), ops.LOCK_UNLOCK))
    if kind == 7:
        return smb.SET_INFO, rnd.choice((
            ops.rename(fid, rnd.choice(NAMES), rnd.random() < 0.7), ops.set_size(fid, offset),
            ops.set_delete(fid, rnd.random() < 0.5), ops.set_basic(fid, written=132000000000000000 + offset),
            ops.hard_link(fid, rnd.choice(NAMES)), ops.set_ea(fid, "mark", b"x"), ops.rename(fid, ":other")))
    if kind <= 9:
        level = rnd.choice((4, 5, 6, 7, 8, 9, 14, 16, 18, 22, 34, 35))
        return smb.QUERY_INFO, rnd.choice((ops.query_info(fid, 1, level), ops.query_info(fid, 2, rnd.choice((1, 3, 5, 7))),
                                           ops.query_info(fid, 3, 0, more=7)))
    if kind == 10:
        return smb.QUERY_DIRECTORY, ops.query_directory(fid, rnd.choice((1, 3, 0x25)), rnd.choice((0, 1, 2)))
    if kind == 11:
        return smb.CHANGE_NOTIFY, ops.notify(fid, tree=rnd.random() < 0.5)
    if kind == 12:
        return smb.FLUSH, ops.flush(fid)
    if kind == 13:
        return smb.IOCTL, ops.ioctl(fid, rnd.choice((0x00140078, 0x900C4, 0x940CF, 0x980C8)), struct.pack("<QQ", 0, 65536))
    return smb.ECHO, ops.EMPTY


def play(storm, rnd, channel, tree, pool):
    """One channel's random requests, several in flight, until the time is over or its connection is."""
    try:
        while storm.on():
            what = rnd.random()
            if what < 0.18:
                channel.fire(smb.CREATE, random_create(rnd), tree)
            elif what < 0.22:
                channel.compound(tree, (smb.CREATE, random_create(rnd)), random_request(rnd, ops.FOREVER),
                                 (smb.CLOSE, ops.close(ops.FOREVER)))
            elif what < 0.27:
                with channel.lock:
                    waiting = [m for m, w in channel.waiting.items() if w[2]]
                if waiting:
                    channel.cancel(rnd.choice(waiting))
            else:
                command, body = random_request(rnd, pool.some(rnd))
                channel.fire(command, body, tree)
            storm.count("smb")
            with channel.lock:
                busy = len(channel.waiting)
            if busy > 40:
                with channel.lock:
                    old = [m for m, w in channel.waiting.items() if w[2]]
                for m in old[:20]:
                    channel.cancel(m)
                time.sleep(0.002)
    except (smb.Closed, OSError):
        return
    channel.idle()


def nfs_client(storm, rnd, port, root):
    """The same files over NFS 4.2."""
    conn = nfsraw.Conn(port=port, cred=nfsraw.auth_sys(rnd.choice((0, 1000)), 0), timeout=60)
    c = nfsraw.Session(conn, minor=2)
    fh = c.walk(root)
    d = c.walk(root + "/d")
    opens = []
    while storm.on():
        name = rnd.choice(NAMES)
        where, leaf = (d, name[2:].encode()) if name.startswith("d\\") else (fh, name.encode())
        kind = rnd.randrange(9)
        storm.count("nfs")
        if kind <= 2 and len(opens) < 8:
            how = rnd.choice((None, "unchecked"))
            r = c.call(nfs.putfh(where), nfs.open_(leaf, rnd.choice((1, 2, 3)) | nfs.WANT_NO_DELEG, rnd.choice((0, 0, 0, 1, 2)),
                                                   c.clientid, b"o%d" % rnd.randrange(4), how=how, attrs={"mode": 0o666}
                                                   if how else None), nfs.getfh())
            if r.error is None:
                opens.append((r.last.fh, r.op("OPEN").stateid))
        elif kind == 3 and opens:
            f, s = opens.pop(rnd.randrange(len(opens)))
            c.call(nfs.putfh(f), nfs.close(s))
        elif kind == 4 and opens:
            f, s = rnd.choice(opens)
            c.call(nfs.putfh(f), nfs.write(s, rnd.randrange(20000), bytes(512)))
        elif kind == 5 and opens:
            f, s = rnd.choice(opens)
            c.call(nfs.putfh(f), nfs.read(s, 0, 4096), nfs.setattr(s, {"size": rnd.randrange(9000)}))
        elif kind == 6:
            c.call(nfs.putfh(where), nfs.remove(leaf))
        elif kind == 7:
            other = rnd.choice(NAMES)
            to, new = (d, other[2:].encode()) if other.startswith("d\\") else (fh, other.encode())
            c.call(nfs.putfh(where), nfs.savefh(), nfs.putfh(to), nfs.rename(leaf, new))
        elif opens:
            f, s = rnd.choice(opens)
            c.call(nfs.putfh(f), nfs.lock(rnd.choice((1, 2)), rnd.randrange(8), 3, s, c.clientid, b"lo%d" % rnd.randrange(1 << 30)))
    for f, s in opens:
        c.call(nfs.putfh(f), nfs.close(s))
    nfsraw.Session(conn, minor=2, owner=c.owner)  # the client restarted: what locks kept from being closed goes
    conn.close()


def nothing_is_held(s):
    """Every file can be had for oneself alone again."""
    ch = ops.Channel(s.port).login()
    tree = ch.connect_tree("data")
    for name in NAMES:
        end = time.monotonic() + 60
        while True:
            r = ch.ask(smb.CREATE, ops.create(name, ops.READ_DATA | ops.WRITE_DATA, 0, ops.OPEN_IF), tree, limit=60)
            if r.status == smb.SUCCESS or time.monotonic() > end:
                break
            time.sleep(0.3)
        assert r.status == smb.SUCCESS, (name, hex(r.status), s.verb("open.list"), s.verb("session.list"))
        assert ch.ask(smb.LOCK, ops.lock(r.file, (0, 1 << 20, ops.LOCK_EXCLUSIVE | ops.LOCK_NOW)), tree).status == smb.SUCCESS
        assert ch.ask(smb.CLOSE, ops.close(r.file), tree).status == smb.SUCCESS
    ch.close()


def test_one_open_many_commands():
    """Everything at once on one open, which is closed under it again and again."""
    def run(storm, rnd, channels, tree, pool):
        while storm.on():
            fid = channels[0].ask(smb.CREATE, ops.create("one", oplock=rnd.choice((0, 9))), tree).file
            for _ in range(rnd.randrange(1, 25)):
                rnd.choice(channels).fire(*random_request(rnd, fid), tree)
            for ch in rnd.sample(channels, 2):
                ch.fire(smb.CLOSE, ops.close(fid), tree)
            storm.count("opens")
            for ch in channels:
                ch.idle()
    with serving() as s:
        first = ops.Channel(s.port).login()
        channels = [first] + [ops.Channel(s.port, guid=first.conn.guid) for _ in range(2)]
        tree = first.connect_tree("data")
        for ch in channels[1:]:
            assert ch.bind(first) == smb.SUCCESS
            ch.tree = tree
        storm = Storm()
        storm.add(run, channels, tree, Pool())
        storm.join()
        for ch in channels:
            ch.close()
        nothing_is_held(s)


def test_one_session_many_channels_and_nfs():
    with serving() as s:
        storm, channels = Storm(), []
        for _ in range(2):
            pool = Pool()
            first = ops.Channel(s.port).login()
            tree = first.connect_tree("data")
            mine = [first] + [ops.Channel(s.port, guid=first.conn.guid) for _ in range(2)]
            for ch in mine[1:]:
                assert ch.bind(first) == smb.SUCCESS
                ch.tree = tree
            for ch in mine:
                ch.on_answer = pool.take
                storm.add(play, ch, tree, pool)
            channels += mine
        for _ in range(2):
            storm.add(nfs_client, s.nfs_port, "data")
        storm.join()
        for ch in channels:
            ch.close()
        nothing_is_held(s)


def churn(storm, rnd, port):
    """Sessions that end in every way while their requests are under way."""
    while storm.on():
        pool = Pool()
        try:
            first = ops.Channel(port, dialect=rnd.choice((0x0311, 0x0311, 0x0210))).login()
            tree = first.connect_tree("data")
        except (smb.Closed, OSError):
            continue
        channels = [first]
        if first.conn.dialect == 0x0311 and rnd.random() < 0.5:
            second = ops.Channel(port, guid=first.conn.guid)
            second.tree = tree
            if second.bind(first) == smb.SUCCESS:
                channels.append(second)
        for ch in channels:
            ch.on_answer = pool.take
        try:
            for _ in range(rnd.randrange(1, 4)):
                for _ in range(rnd.randrange(5, 30)):
                    ch = rnd.choice(channels)
                    if rnd.random() < 0.4:
                        ch.fire(smb.CREATE, random_create(rnd), tree)
                    else:
                        ch.fire(*random_request(rnd, pool.some(rnd)), tree)
                end = rnd.randrange(5)
                if end == 0:
                    channels[-1].fire(smb.TREE_DISCONNECT, ops.EMPTY, tree)
                elif end == 1:
                    channels[-1].fire(smb.LOGOFF, ops.EMPTY)
                elif end == 2:
                    again = ops.Channel(port)
                    again.session = again.conn.login(previous=first.session.id)
                    again.conn.close()
                elif end == 3:
                    first.conn.sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER 0: a reset
                    break
        except (smb.Closed, OSError):
            pass
        storm.count("sessions")
        for ch in channels:
            try:
                ch.conn.sock.shutdown(2)
            except OSError:
                pass
        for ch in channels:
            ch.close()


def test_ends_of_sessions_trees_and_connections():
    with serving() as s:
        storm = Storm()
        for _ in range(3):
            storm.add(churn, s.port)
        storm.add(nfs_client, s.nfs_port, "data")
        storm.join()
        nothing_is_held(s)


def test_a_share_that_goes_meanwhile():
    def control(storm, rnd):
        while storm.on():
            storm.count("changes")
            s.verb("share.set", name="data", sec=["krb5", "sys"], **{"read-only": rnd.random() < 0.3})
            time.sleep(rnd.random() * 0.2)
            if rnd.random() < 0.3:
                s.verb("share.remove", name="data")
                time.sleep(rnd.random() * 0.1)
                s.add_share("data", s.work / "data", ["krb5", "sys"])
        s.verb("share.set", name="data", **{"read-only": False})

    def clients(storm, rnd):
        while storm.on():
            try:
                ch = ops.Channel(s.port).login()
                tree, pool = ch.connect_tree("data"), Pool()
                ch.on_answer = pool.take
                for _ in range(60):
                    if rnd.random() < 0.4:
                        ch.fire(smb.CREATE, random_create(rnd), tree)
                    else:
                        ch.fire(*random_request(rnd, pool.some(rnd)), tree)
                ch.idle()
            except (smb.Closed, OSError, AssertionError):
                pass
            ch.close()
            storm.count("rounds")
    with serving() as s:
        storm = Storm()
        storm.add(control)
        for _ in range(3):
            storm.add(clients)
        storm.join()
        nothing_is_held(s)


if __name__ == "__main__":
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit"):
            tool(name)
    except RealmError as e:
        print("1..0 # SKIP", e)
        sys.exit(77)
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    tap.main(globals())
