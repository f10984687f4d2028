#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many opens on one session and many idle sessions: what each takes, and that it is given back in time.
LARES_SCALE=opens,sessions."""
import importlib.util
import os
import resource
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "wire")]
import tap  # noqa: E402
import smb2ops as ops  # noqa: E402
import smb2raw as smb  # noqa: E402
from laresd import sanitized  # noqa: E402

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


class Guests:
    """One connection with many sessions of nobody's, each with a tree, asked for some at a time."""
    AT_ONCE = 16  # half-open ones that a connection may have

    def __init__(self, port):
        self.conn = smb.Conn(port, timeout=60)
        self.conn.negotiate()
        self.sessions = []
        self.login(1)
        while self.conn.credits < self.AT_ONCE:
            assert self.conn.call(smb.ECHO, smb.ECHO_BODY, sid=self.sessions[0]).status == smb.SUCCESS

    def together(self, command, messages, want):
        """messages: (session id, body); their responses, in the order of the requests."""
        out, got = b"", {}
        first = self.conn.mid
        for sid, body in messages:
            data = smb.header(command, self.conn.next_mid(), sid) + body
            out += struct.pack(">I", len(data)) + data
        self.conn.sock.sendall(out)
        while len(got) < len(messages):
            for r in self.conn.recv():
                assert r.status == want, hex(r.status)
                got[r.mid] = r
        return [got[first + i] for i in range(len(messages))]

    def login(self, n):
        hello = self.conn.setup_body(b"NTLMSSP\0" + struct.pack("<II16s", 1, 0x22088215, b""))
        half = self.together(smb.SESSION_SETUP, [(0, hello)] * n, smb.MORE)
        at, size = struct.unpack_from("<HH", half[0].body, 4)
        token, _ = smb.ntlm_answer(half[0].data[at:at + size], "nobody here", "", 0x22088215)
        whole = self.together(smb.SESSION_SETUP, [(r.session, self.conn.setup_body(token)) for r in half], smb.SUCCESS)
        assert all(r.body[2] & 1 for r in whole)  # SMB2_SESSION_FLAG_IS_GUEST
        path = "\\\\nas.lares.test\\data".encode("utf-16-le")
        tree = struct.pack("<HHHH", 9, 0, 72, len(path)) + path
        self.together(smb.TREE_CONNECT, [(r.session, tree) for r in whole], smb.SUCCESS)
        self.sessions += [r.session for r in whole]


def sessions(s):
    return next(p for p in s.verb("status")["protocols"] if p["name"] == "smb2")["details"]["sessions"]


def test_ten_thousand_sessions_of_guests():
    """Many on each connection; what they took is used again by those that come after them, and given back when hardly any do."""
    want, each = int(os.environ.get("LARES_GUESTS", "10000")), 400
    with stress.serving(server={"stall-timeout": 4}) as s:
        before, took = s.laresd.rss(), []
        for _ in range(2):
            conns = []
            while (n := want - sum(len(c.sessions) for c in conns)) > 0:
                conns.append(Guests(s.port))
                while (n := min(n, each) - len(conns[-1].sessions)) > 0:
                    conns[-1].login(min(n, Guests.AT_ONCE))
            assert sessions(s) == len({sid for c in conns for sid in c.sessions}) == want
            for c in conns:  # all of them live
                r = c.conn.call(smb.ECHO, smb.ECHO_BODY, sid=c.sessions[len(c.sessions) // 2])
                assert r.status == smb.SUCCESS, hex(r.status)
            took.append(s.laresd.rss() - before)
            cpu = s.laresd.cpu()
            for c in conns:
                c.conn.close()
            end = time.monotonic() + 60
            while sessions(s) and time.monotonic() < end:
                time.sleep(0.05)
            assert sessions(s) == 0
            cpu = s.laresd.cpu() - cpu
        # A few requests a second are none to speak of.
        end, other = time.monotonic() + 60, Guests(s.port)
        while (left := s.laresd.rss() - before) > 0.7 * took[0] and time.monotonic() < end:
            time.sleep(0.4)
            assert other.conn.call(smb.ECHO, smb.ECHO_BODY, sid=other.sessions[0]).status == smb.SUCCESS
        print("# %d bytes each, %d the second time, %d of them kept; %.2f s CPU to end all" % (
            took[0] // want, took[1] // want, left // want, cpu))
        assert took[0] < 65536 * want and cpu < want / 500, (took, cpu)
        assert took[1] < 1.2 * took[0] + (4 << 20), took
        assert left <= 0.7 * took[0] or sanitized(), (took, left)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    tap.main({n: f for n, f in globals().items() if n != "stress"})
