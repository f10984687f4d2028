#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many shares and few descriptors: a share costs one, and those for which there is no room are refused by name before
connections and files would be. The limit of open files is set by prlimit(1)."""
import http.client
import os
import pathlib
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from lares_server import call_verb
from laresd import Laresd

LIMIT = 1024  # of a process, unless somebody raises it
ROOM = LIMIT // 4


def descriptors(d):
    return len(os.listdir(f"/proc/{d.process.pid}/fd"))


def answers(d):
    """A new connection is served; 503 is the answer while shares are not available."""
    c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=60)
    c.request("GET", "/api/v1/health")
    status, text = (r := c.getresponse()).status, r.read()
    c.close()
    return status in (200, 503) and b"status" in text


def test_more_shares_than_descriptors():
    d = Laresd({"auth-sys": {}, "store-posix": {}, "proto-rest": {"http": "127.0.0.1:@PORT@"}},
               wrapper=["prlimit", f"--nofile={LIMIT}:{LIMIT}"], start=False)
    d.wait = [d.port, d.control]
    d.start()
    try:
        def verb(verb_name, **args):
            return call_verb(d.control, verb_name, **args)

        def make(i):
            folder = pathlib.Path(d.dir) / f"folder{i}"
            folder.mkdir()
            return verb("share.create", name=f"share{i}", path=str(folder), sec=["sys"])

        make(0)
        before = descriptors(d)
        for i in range(1, ROOM):
            made = make(i)
            assert made["available"] and "problem" not in made and "warnings" not in made, made
        # One each; connections come and go beside them.
        assert ROOM - 4 < descriptors(d) - before < ROOM + 4, (before, descriptors(d))
        for i in range(ROOM, ROOM + 3):
            made = make(i)
            assert not made["available"], made
            for words in (made["problem"], *made["warnings"]):
                assert f"limit of {LIMIT} open files" in words and "LimitNOFILE=" in words, made
        assert answers(d)
        listed = {s["name"]: s["available"] for s in verb("share.list")}
        assert sum(listed.values()) == ROOM and len(listed) == ROOM + 3, listed
        # The next one gets the room of one that goes, and the others are tried again in silence.
        verb("share.disable", name="share7")
        end = time.monotonic() + 60
        waiting = [f"share{i}" for i in range(ROOM, ROOM + 3)]
        while not (there := [n for n in waiting if verb("share.show", name=n)["available"]]):
            assert time.monotonic() < end, d.log()
            time.sleep(0.1)
        assert len(there) == 1, there
        assert [d.log().count(f"share {n}: {ROOM} shares are open") for n in waiting] == [1, 1, 1], d.log()
        assert answers(d)
        # And the server starts again with all of them in its tables: nothing is lost, and who has no room says so again.
        before = {s["name"]: s["path"] for s in verb("share.list")}
        d.stop()
        d.start()
        after = verb("share.list")
        assert {s["name"]: s["path"] for s in after} == before and len(before) == ROOM + 3
        assert sum(s["available"] for s in after) == ROOM and answers(d)
        without = [s for s in after if s["enabled"] and not s["available"]]
        assert len(without) == 2 and all(f"limit of {LIMIT} open files" in s["problem"] for s in without), without
    finally:
        d.stop()


if __name__ == "__main__":
    tap.main(globals())
