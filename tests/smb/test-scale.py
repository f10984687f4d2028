#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many opens on one session and many idle sessions: what each takes, and that it is given back in time.
LARES_SCALE=opens,sessions."""
import importlib.util
import os
import resource
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "wire")]
import tap  # noqa: E402
import smb2ops as ops  # noqa: E402
import smb2raw as smb  # noqa: E402

_spec = importlib.util.spec_from_file_location("stress", os.path.join(HERE, "test-stress.py"))
stress = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stress)
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # what the server may have; -1: any number
OPENS, SESSIONS = (int(n) for n in os.environ.get(
    "LARES_SCALE", "%d,1000" % (min(10000, FILES // 2) if FILES > 0 else 10000)).split(","))


def test_many_opens_end_at_once():
    with stress.serving(server={"max-opens": 2 * OPENS}) as s:
        ch = ops.Channel(s.port, credits=2000).login()
        tree, got = ch.connect_tree("data"), []
        ch.on_answer = lambda command, r: got.append(r.status)
        before = s.laresd.rss()
        for i in range(OPENS):
            ch.fire(smb.CREATE, ops.create("f%d" % (i % 50)), tree, limit=60)
        ch.idle(120)
        assert got.count(smb.SUCCESS) == OPENS, {hex(n): got.count(n) for n in set(got)}
        each = (s.laresd.rss() - before) // OPENS
        cpu = s.laresd.cpu()
        ch.close()
        stress.nothing_is_held(s)
        cpu = s.laresd.cpu() - cpu
        print("# %d bytes an open, %.2f s CPU to end them" % (each, cpu))
        assert each < 16384 and cpu < OPENS / 1000, (each, cpu)


def test_idle_sessions_are_small():
    with stress.serving() as s:
        before, conns = s.laresd.rss(), []
        for _ in range(SESSIONS):
            c = smb.Conn(s.port, timeout=60)
            c.negotiate()
            assert isinstance(c.login(), smb.Session)
            conns.append(c)
        each = (s.laresd.rss() - before) // SESSIONS
        cpu = s.laresd.cpu()
        for c in conns:
            c.close()
        time.sleep(1)
        cpu = s.laresd.cpu() - cpu
        print("# %d bytes an idle session, %.2f s CPU to end them" % (each, cpu))
        assert each < 65536 or "asan" in os.environ.get("LARES_BUILD", ""), each
        assert cpu < SESSIONS / 500, cpu


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    tap.main({n: f for n, f in globals().items() if n != "stress"})
