#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers that misbehave, against a server by name: test-abuse.py [ganesha|lares]. TAP.

After each abuse the server still answers, is the same process, and has not grown beyond a
bound. The bounds are generous: they find what is unbounded, not what is large.
"""

import contextlib
import os
import pathlib
import random
import resource
import socket
import struct
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
from serving import serving, skip_unless  # noqa: E402
from nfsraw import Conn, RpcError, Session, XdrError, open_many  # noqa: E402
import nfs4ops as ops  # noqa: E402

MB = 1 << 20
SEED = 20260101


class Abuse:
    def __init__(self, s, connections):
        self.port = s.port
        self.path = s.path
        self.process = s.server.process
        self.connections = connections
        self.random = random.Random(SEED)

    def conn(self, **kw):
        return Conn("127.0.0.1", self.port, **kw)

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:"))

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self):
        assert self.process.poll() is None, f"the server ended: {self.process.returncode}"
        with self.conn(timeout=20) as c:
            assert c.null().verdict == "SUCCESS"

    # -- abuses; each returns how many bytes the server may have grown

    def garbage(self):
        for i in range(60):
            with self.conn() as c, contextlib.suppress(OSError):
                c.send_raw(self.random.randbytes(1 + i * 211))
        for text in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01",
                     b"\0\0\0\x90\xfeSMB" + b"\0" * 140, b"\n" * 5000):
            with self.conn() as c, contextlib.suppress(OSError):
                c.send_raw(text)
        return 64 * MB

    def records(self):
        """Marks that promise too much, too little, nothing, and never an end."""
        for mark in (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000 | 64 * MB, 0x80000001, 0x80000000, 0):
            with self.conn() as c, contextlib.suppress(OSError):
                c.send_raw(struct.pack(">I", mark) + self.random.randbytes(4000))
        with self.conn() as c, contextlib.suppress(OSError):
            for _ in range(20000):
                c.send_raw(struct.pack(">I", 0) * 64)  # empty fragments without end
        return 64 * MB

    def endless(self):
        """One record of fragments that never ends must be cut off, not collected."""
        sent = 0
        with self.conn() as c:
            c.sock.settimeout(10)
            try:
                for _ in range(1024):
                    c.send_raw(struct.pack(">I", MB // 4) + b"\0" * (MB // 4))
                    sent += MB // 4
            except OSError:
                pass
            grown = self.rss()
        assert sent < 256 * MB, f"{sent} bytes of one record were taken (RSS {grown})"
        return 64 * MB

    def truncated(self):
        """A good record cut at each length, and with its length made to fit the cut."""
        with self.conn() as c:
            record = c.pack_call(1, c.pack_compound(1, [
                ops.exchange_id(b"abuse"), ops.putrootfh(), ops.lookup("x"), ops.getattr("type")]))
        for n in range(0, len(record), 3):
            with self.conn() as c, contextlib.suppress(OSError):
                c.send_record(record[:n])
                if n % 2:
                    c.send_raw(struct.pack(">I", 0x80000000 | len(record)) + record[:n])
        return 64 * MB

    def mutated(self):
        """Good compounds with bytes changed; any answer is right except none at all."""
        base = [ops.putrootfh(), ops.lookup("share"), ops.getfh(), ops.getattr("type", "size"),
                ops.readdir(), ops.open_("n", how="unchecked", attrs={"mode": 0o600}),
                ops.secinfo("share"), ops.access(63), ops.create(ops.NF4DIR, "d", {"mode": 0o755})]
        for _ in range(600):
            self.random.shuffle(base)
            with self.conn(timeout=2) as c:
                body = bytearray(c.pack_compound(self.random.choice((0, 1, 2)), base))
                for _ in range(self.random.randrange(1, 6)):
                    at = self.random.randrange(len(body))
                    body[at] = self.random.choice((0, 1, 0x7F, 0x80, 0xFF, body[at] ^ 1))
                with contextlib.suppress(OSError, EOFError, XdrError, RpcError):
                    c.call(1, bytes(body))
        return 64 * MB

    def counts(self):
        """Counts and lengths that no message can hold."""
        huge = struct.pack(">I", 0xFFFFFFFF)
        with self.conn(timeout=5) as c:
            for args in (huge, b"\0\0\0\0" + b"\0\0\0\1" + huge, struct.pack(">I", 0x7FFFFFFF),
                         b"\0\0\0\0\0\0\0\1\0\0\0\1" + struct.pack(">I", 22) + huge):
                with contextlib.suppress(OSError, EOFError, XdrError):
                    c.call(1, args)
        return 64 * MB

    def silent(self):
        """Connections that never speak: answered meanwhile, little memory, no CPU."""
        before = self.rss()
        socks = open_many(self.connections, port=self.port)
        try:
            self.alive()
            time.sleep(0.5)
            t, cpu = time.monotonic(), self.cpu()
            time.sleep(2)
            used = (self.cpu() - cpu) / (time.monotonic() - t)
            grown = self.rss() - before
        finally:
            for s in socks:
                s.close()
        print(f"# {self.connections} connections: {grown / MB:.1f} MB more, "
              f"{used * 100:.1f} % CPU", flush=True)
        assert grown < 8192 * self.connections + 16 * MB, f"{grown} bytes more"
        assert used < 0.05, f"{used:.2f} of a core while nobody speaks"
        return 128 * MB

    def half(self):
        """Connections that stop in the middle of a record."""
        socks = open_many(min(500, self.connections), port=self.port)
        for s in socks:
            s.sendall(struct.pack(">I", 0x80000000 | MB) + b"\0" * 100)
        self.alive()
        time.sleep(0.5)
        for s in socks:
            s.close()
        return 128 * MB

    def deaf(self):
        """Clients that ask and never read: others are answered, replies do not pile up."""
        with self.conn() as c:
            s = Session(c)
            fh = s.walk(self.path)
            f = s.open(fh, "deaf", access=ops.BOTH, how="unchecked", attrs={"mode": 0o666})
            s.call(ops.putfh(f.fh), ops.write(f.stateid, 0, b"x" * (MB // 2))).ok()
            args = c.pack_compound(0, [ops.putfh(f.fh)] + [ops.read(ops.ANON, 0, MB // 2)])
            deaf = []
            before = self.rss()
            for _ in range(8):
                d = self.conn()
                d.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                d.sock.setblocking(False)
                record = d.pack_call(1, args)
                with contextlib.suppress(OSError):
                    for _ in range(2000):
                        d.sock.send(struct.pack(">I", 0x80000000 | len(record)) + record)
                deaf.append(d)
            t = time.monotonic()
            self.alive()
            for _ in range(20):
                s.call(ops.putfh(f.fh), ops.getattr("size")).ok()
            waited = time.monotonic() - t
            time.sleep(1)
            grown = self.rss() - before
            print(f"# 8 deaf clients: {grown / MB:.1f} MB more, others waited {waited:.2f} s",
                  flush=True)
            for d in deaf:
                d.close()
            s.close(f.fh, f.stateid)
            s.call(ops.putfh(fh), ops.remove("deaf"))
            assert grown < 256 * MB, f"{grown} bytes of replies"
            assert waited < 10, f"{waited} s"
        return 256 * MB

    def reset(self):
        """Connections reset while their calls are being answered."""
        for _ in range(200):
            with self.conn() as c:
                for _ in range(10):
                    c.send_call(0)
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return 64 * MB

    def list(self):
        return [("garbage on the port", self.garbage), ("record marks that lie", self.records),
                ("a record without end", self.endless), ("records cut short", self.truncated),
                ("counts that cannot be", self.counts), ("mutated compounds", self.mutated),
                ("connections reset in the middle", self.reset),
                ("half a record and silence", self.half),
                (f"{self.connections} connections that never speak", self.silent),
                ("clients that never read", self.deaf)]


def run(s, connections):
    failed = 0
    a = Abuse(s, connections)
    a.alive()
    checks = a.list()
    print(f"1..{len(checks)}")
    for number, (name, check) in enumerate(checks, 1):
        try:
            before = a.rss()
            allowed = check()
            a.alive()
            time.sleep(0.3)
            grown = a.rss() - before
            assert grown < allowed, f"the server keeps {grown} bytes more"
            print(f"ok {number} - {name}", flush=True)
        except Exception:  # noqa: BLE001  (each check is told on its own)
            failed += 1
            text = traceback.format_exc().replace("\n", "\n# ")
            print(f"not ok {number} - {name}\n# {text}", flush=True)
            if s.server.process.poll() is not None:
                print(f"Bail out! the server ended with {s.server.process.returncode}")
                return 1
    return 1 if failed else 0


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "ganesha"
    skip_unless(kind)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = min(int(sys.argv[2]) if len(sys.argv) > 2 else 10000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it
    with serving(kind, sec=["sys"]) as s:
        return run(s, connections)


if __name__ == "__main__":
    sys.exit(main())
