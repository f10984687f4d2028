#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server with few descriptors and a client that takes what it can get, on the wire: test-limits.py.

Whatever one client has open, another one goes on working: opens, reads, lists, connects. Nothing is said of bounds until
one is met, and then once, with the setting's name."""

import os
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
from laresd import Laresd  # noqa: E402
from lares_server import call_verb  # noqa: E402
from nfsraw import Client40, Conn, Session  # noqa: E402
from nfs4ops import *  # noqa: E402,F403
from wirecheck import expect  # noqa: E402

DESCRIPTORS = 320
ALL = DESCRIPTORS // 4  # max-opens of the server, by default
ONE = ALL - ALL // 4
FILES = 400


def opens(client, top, names, **kw):
    """Opens one after the other until it is refused: what it has, and the last result."""
    have = []
    for i, name in enumerate(names):
        seqid = client.seqid(b"o%d" % i) if isinstance(client, Client40) else 0
        r = client.call(putfh(top), open_(name, READ, 0, client.clientid, b"o%d" % i, seqid, **kw), getfh())
        if r.error != "OK":
            return have, r
        have.append((r.last.fh, r.op("OPEN").stateid))
    return have, None


def main():
    if not shutil.which("prlimit"):
        print("1..0 # SKIP prlimit is not installed")
        return 77
    work = tempfile.mkdtemp(prefix="limits.")
    folder = os.path.join(work, "share")
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    names = [f"f{i}" for i in range(FILES)]
    for name in names:
        with open(os.path.join(folder, name), "w") as f:
            f.write(name)
    modules = {"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@"}}
    number = 0

    def ok(text):
        nonlocal number
        number += 1
        print(f"ok {number} - {text}", flush=True)

    try:
        print("1..6")
        with Laresd(modules, wrapper=["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]) as d:
            call_verb(d.control, "share.create", name="share", path=folder, sec=["sys"], squash="none")
            greedy = Session(Conn("127.0.0.1", d.port))
            top = greedy.walk("/share")
            have, refused = opens(greedy, top, names)
            assert len(have) == ONE, len(have)
            expect(refused, "DELAY")
            ok("4.1: three quarters of what there is for everybody, then DELAY")

            old = Client40(Conn("127.0.0.1", d.port))
            theirs, refused = opens(old, top, names)
            assert len(theirs) == ALL - ONE, len(theirs)
            expect(refused, "RESOURCE")
            ok("4.0: the rest, then RESOURCE")

            others = [Session(Conn("127.0.0.1", d.port)) for _ in range(8)]
            for i, name in enumerate(names):
                s = others[i % len(others)]
                fh = s.call(putfh(top), lookup(name), getfh()).ok().last.fh
                assert s.call(putfh(fh), read(ANON, 0, 99)).ok().last.data == name.encode()
            assert len(others[0].list(top)) == FILES
            others[0].call(putfh(top), create(NF4DIR, "made")).ok()
            ok("others connect, look at every file, read, list and make meanwhile")

            for i in range(4):
                greedy.close(*have.pop()).ok()
            more, refused = opens(others[0], top, names)
            assert len(more) == 4, len(more)
            expect(refused, "DELAY")
            ok("what is given back can be had at once by another one")

            greedy.conn.close()
            for fh, stateid in have:
                expect(others[1].call(putfh(fh), read(stateid, 0, 9)), "BAD_STATEID")
            ok("its stateids are nobody else's")
            log = d.log()
            assert log.count("max-opens") >= 1, log
            assert "Too many open files" not in log, log
            ok("the log names the setting, and no descriptor was missing")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
