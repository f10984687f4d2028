#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A raw NFSv4 client for tests: nothing is done unless asked, anything can be sent.

    s = Session(Conn("127.0.0.1", 2049))                # 4.1 or 4.2 (minor=2), ready to use
    fh = s.walk("/export")
    f = s.open(fh, "name", how="unchecked", access=BOTH)
    s.call(putfh(f.fh), write(f.stateid, 0, b"text")).ok()
    r = s.call(putfh(fh), lookup("absent"))
    assert r.error == "NOENT", r

    c = Client40(Conn(...)); c.call(putrootfh(), getfh()).ok()

Below that: Conn.compound(minor, *ops), Conn.call(), Conn.send_record(), Conn.send_raw().
Standard library only. Run as a program it proves itself against a server:

    nfsraw.py --host 127.0.0.1 --port 2049 --path /export
"""

import argparse
import contextlib
import os
import resource
import socket
import struct
import sys
import time
from types import SimpleNamespace

from nfs4xdr import *  # noqa: F401,F403
from nfs4xdr import ERROR_NAMES, Packer, Unpacker, XdrError
from nfs4ops import *  # noqa: F401,F403
import nfs4ops as ops

AUTH_NONE, AUTH_SYS, RPCSEC_GSS = 0, 1, 6
ACCEPT = {0: "SUCCESS", 1: "PROG_UNAVAIL", 2: "PROG_MISMATCH", 3: "PROC_UNAVAIL",
          4: "GARBAGE_ARGS", 5: "SYSTEM_ERR"}
AUTH_STAT = {1: "BADCRED", 2: "REJECTEDCRED", 3: "BADVERF", 4: "REJECTEDVERF", 5: "TOOWEAK",
             6: "INVALIDRESP", 7: "FAILED", 13: "CREDPROBLEM", 14: "CTXPROBLEM"}


class RpcError(Exception):
    """The call was rejected or not accepted; .reply tells how."""

    def __init__(self, reply):
        super().__init__(f"{reply.verdict}")
        self.reply = reply


class NfsError(Exception):
    """A compound that had to succeed did not."""


def auth_none():
    return (AUTH_NONE, b"")


def auth_sys(uid=0, gid=0, gids=(), machine="nfsraw", stamp=0):
    p = Packer().u32(stamp).opaque(machine).u32(uid, gid, len(gids), *gids)
    return (AUTH_SYS, bytes(p.data))


def auth_gss(gss_proc=0, seq=1, service=1, handle=b"", version=1):
    """An RPCSEC_GSS credential with any contents, for what a server must refuse."""
    return (RPCSEC_GSS, bytes(Packer().u32(version, gss_proc, seq, service).opaque(handle).data))


class Reply(SimpleNamespace):
    """xid; verdict (SUCCESS, an accept_stat's name, "RPC_MISMATCH" or "AUTH_ERROR:..."); verf
    as (flavor, bytes); body: the bytes of the results; low, high of a mismatch."""


class Result:
    """A compound's answer: status, error (its name), tag, results (with fields by name)."""

    def __init__(self, body):
        u = Unpacker(body)
        self.body = bytes(body)
        self.status = u.u32()
        self.error = ERROR_NAMES.get(self.status, str(self.status))
        self.tag = u.opaque()
        self.results = u.array(lambda: ops.decode_result(u))
        if u.pos != len(u.data):
            raise XdrError(f"{len(u.data) - u.pos} bytes after the last result")

    def __getitem__(self, i):
        return self.results[i]

    def __len__(self):
        return len(self.results)

    def __repr__(self):
        steps = " ".join(f"{r.name}:{ERROR_NAMES.get(r.status, r.status)}" for r in self.results)
        return f"<{self.error} {steps}>"

    @property
    def last(self):
        return self.results[-1]

    def op(self, name):
        """The first result of an operation by its name, as "OPEN"."""
        return next(r for r in self.results if r.name == name)

    def ok(self):
        if self.status != 0:
            raise NfsError(repr(self))
        return self


class Conn:
    """One TCP connection. cred and verf are used by every call that gives none."""

    def __init__(self, host="127.0.0.1", port=2049, cred=None, timeout=60.0, source=None):
        self.address = (host, port)
        self.sock = socket.create_connection(self.address, timeout, source and (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.cred = cred or auth_sys()
        self.xid = int.from_bytes(os.urandom(3), "big")
        self.early = {}  # replies that came while another one was awaited
        self.callbacks = []  # decoded calls from the server
        self.on_callback = None  # called with (conn, xid, body) instead of the default answer

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fileno(self):
        return self.sock.fileno()

    # -- bytes

    def send_raw(self, data):
        self.sock.sendall(data)

    def send_record(self, data, fragments=1, last=True):
        """One record in so many fragments; last=False leaves it open."""
        size = max(1, -(-len(data) // fragments))
        pieces = [data[i:i + size] for i in range(0, len(data), size)] or [b""]
        for i, piece in enumerate(pieces):
            mark = len(piece) | (0x80000000 if last and i == len(pieces) - 1 else 0)
            self.send_raw(struct.pack(">I", mark) + piece)

    def _read(self, n, deadline):
        data = bytearray()
        while len(data) < n:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            more = self.sock.recv(min(n - len(data), 1 << 20))
            if not more:
                raise EOFError("the server closed the connection")
            data += more
        return bytes(data)

    def recv_record(self, timeout=None):
        """The next record; EOFError when the server closed, TimeoutError when it is silent."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        data, last = b"", False
        while not last:
            mark = struct.unpack(">I", self._read(4, deadline))[0]
            last = bool(mark & 0x80000000)
            data += self._read(mark & 0x7FFFFFFF, deadline)
        return data

    def is_closed(self, timeout=60.0):
        """True when the server closes (or resets) within the time, whatever it sends before."""
        deadline = time.monotonic() + timeout
        with contextlib.suppress(TimeoutError):
            while True:
                self.sock.settimeout(max(0.001, deadline - time.monotonic()))
                try:
                    if not self.sock.recv(65536):
                        return True
                except ConnectionError:
                    return True
        return False

    # -- calls

    def next_xid(self):
        self.xid = (self.xid + 1) & 0xFFFFFFFF
        return self.xid

    def pack_call(self, proc, args=b"", cred=None, verf=None, xid=None, program=100003, version=4,
                  rpcvers=2, direction=0):
        flavor, body = cred or self.cred
        vflavor, vbody = verf or auth_none()
        p = Packer().u32(self.next_xid() if xid is None else xid, direction, rpcvers, program)
        p.u32(version, proc, flavor).opaque(body).u32(vflavor).opaque(vbody)
        return bytes(p.raw(args).data)

    def send_call(self, proc, args=b"", **kw):
        """Sends without waiting; returns the xid for wait()."""
        record = self.pack_call(proc, args, **kw)
        self.send_record(record)
        return struct.unpack(">I", record[:4])[0]

    def wait(self, xid, timeout=None):
        """The reply to an xid; calls from the server on the way are answered."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while xid not in self.early:
            record = self.recv_record(deadline - time.monotonic())
            u = Unpacker(record)
            got, direction = u.u32(), u.u32()
            if direction == 0:
                self._serve(got, u)
            else:
                self.early[got] = self.unpack_reply(record)
        return self.early.pop(xid)

    @staticmethod
    def unpack_reply(record):
        u = Unpacker(record)
        r = Reply(xid=u.u32(), verdict="", verf=None, body=b"", low=None, high=None)
        if u.u32() != 1:
            raise XdrError("not a reply")
        if u.u32() == 1:
            if u.u32() == 0:
                r.verdict, r.low, r.high = "RPC_MISMATCH", u.u32(), u.u32()
            else:
                why = u.u32()
                r.verdict = "AUTH_ERROR:" + AUTH_STAT.get(why, str(why))
            return r
        r.verf = (u.u32(), u.opaque())
        stat = u.u32()
        r.verdict = ACCEPT.get(stat, f"accept_stat {stat}")
        if stat == 2:
            r.low, r.high = u.u32(), u.u32()
        r.body = u.rest()
        return r

    def call(self, proc, args=b"", timeout=None, **kw):
        """One call and its Reply, whatever it says."""
        return self.wait(self.send_call(proc, args, **kw), timeout)

    def null(self, **kw):
        return self.call(0, **kw)

    # -- callbacks

    def _serve(self, xid, u):
        u.u32(), u.u32(), u.u32()
        proc = u.u32()
        cred, verf = (u.u32(), u.opaque()), (u.u32(), u.opaque())
        call = SimpleNamespace(xid=xid, proc=proc, cred=cred, verf=verf, ops=[])
        self.callbacks.append(call)
        out = Packer().u32(xid, 1, 0, 0, 0, 0)
        if proc == 1:
            call.tag, call.minor, call.ident = u.opaque(), u.u32(), u.u32()
            call.count = u.u32()
            results = Packer()
            for i in range(call.count):
                n = u.u32()
                if n == 11:  # CB_SEQUENCE
                    s = SimpleNamespace(op="CB_SEQUENCE", sessionid=u.fixed(16), seqid=u.u32(),
                                        slot=u.u32(), highest=u.u32(), cachethis=u.bool())
                    u.array(lambda: (u.fixed(16), u.array(lambda: (u.u32(), u.u32()))))
                    results.u32(11, 0).fixed(s.sessionid).u32(s.seqid, s.slot, s.highest, s.highest)
                    call.ops.append(s)
                elif n == 4:  # CB_RECALL
                    call.ops.append(SimpleNamespace(op="CB_RECALL", stateid=u.fixed(16),
                                                    truncate=u.bool(), fh=u.opaque()))
                    results.u32(4, 0)
                else:
                    call.ops.append(SimpleNamespace(op=n, rest=u.rest()))
                    results.u32(n, 10004)
                    break
            out.u32(0).opaque(call.tag).u32(len(call.ops)).raw(results.data)
        if self.on_callback:
            self.on_callback(self, call, bytes(out.data))
        else:
            self.send_record(bytes(out.data))

    def wait_callback(self, timeout=60.0):
        """Serves calls from the server until one CB_COMPOUND has come; returns it."""
        deadline = time.monotonic() + timeout
        seen = len(self.callbacks)
        while True:
            for call in self.callbacks[seen:]:
                if call.proc == 1:
                    return call
            seen = len(self.callbacks)
            record = self.recv_record(deadline - time.monotonic())
            u = Unpacker(record)
            xid, direction = u.u32(), u.u32()
            if direction == 0:
                self._serve(xid, u)
            else:
                self.early[xid] = self.unpack_reply(record)

    # -- compounds

    @staticmethod
    def pack_compound(minor, operations, tag=b"", count=None):
        p = Packer().opaque(tag).u32(minor, len(operations) if count is None else count)
        return bytes(p.raw(b"".join(operations)).data)

    def compound(self, minor, *operations, tag=b"", count=None, timeout=None, **kw):
        """A Result; RpcError when the RPC layer refused. count lies about the operations."""
        args = self.pack_compound(minor, operations, tag, count)
        reply = self.call(1, args, timeout=timeout, **kw)
        if reply.verdict != "SUCCESS":
            raise RpcError(reply)
        return Result(reply.body)


class Files:
    """Comforts over call(), for 4.0 and 4.1 alike."""

    def walk(self, path, **kw):
        """The file handle of a path from the root."""
        names = [n for n in path.split("/") if n]
        r = self.call(ops.putrootfh(), *[ops.lookup(n) for n in names], ops.getfh(), **kw).ok()
        return r.last.fh

    def attrs(self, fh, *names, **kw):
        return self.call(ops.putfh(fh), ops.getattr(*names), **kw).ok().last.attrs

    @staticmethod
    def after_grace(attempt, seconds=120):
        """Repeats an attempt while the server answers that it is in its grace period."""
        deadline = time.monotonic() + seconds
        while True:
            r = attempt()
            if r.error != "GRACE" or time.monotonic() > deadline:
                return r.ok()
            time.sleep(0.25)

    def mkdir(self, dirfh, name, mode=0o755, **kw):
        r = self.call(ops.putfh(dirfh), ops.create(ops.NF4DIR, name, {"mode": mode}), ops.getfh(),
                      **kw)
        return r.ok().last.fh

    def list(self, fh, attrs=("fileid", "type"), maxcount=32768, **kw):
        """All entries of a folder: [(name, cookie, attrs)]."""
        out, cookie, verifier = [], 0, b"\0" * 8
        while True:
            r = self.call(ops.putfh(fh), ops.readdir(cookie, verifier, maxcount, maxcount, attrs),
                          **kw).ok().last
            out += [(e.name, e.cookie, e.attrs) for e in r.entries]
            if r.eof:
                return out
            if not r.entries:
                raise NfsError("READDIR gives neither entries nor eof")
            cookie, verifier = r.entries[-1].cookie, r.verifier

    def remove_tree(self, dirfh, name, **kw):
        """Removes a name and what is below it; absent is fine."""
        r = self.call(ops.putfh(dirfh), ops.lookup(name), ops.getfh(), ops.getattr("type"), **kw)
        if r.error == "NOENT":
            return
        r.ok()
        if r.last.attrs["type"] == ops.NF4DIR:
            fh = r.op("GETFH").fh
            for child, _, _ in self.list(fh, **kw):
                self.remove_tree(fh, child, **kw)
        self.call(ops.putfh(dirfh), ops.remove(name), **kw).ok()


class Session(Files):
    """A 4.1 or 4.2 client with one session. Each slot counts its own sequence id."""

    def __init__(self, conn, minor=1, owner=None, verifier=None, slots=16, flags=0, eid_flags=0,
                 fore=None, back=None, reclaim=True, eid=None):
        self.conn = conn
        self.minor = minor
        self.owner = owner or b"nfsraw " + os.urandom(8).hex().encode()
        self.verifier = verifier or os.urandom(8)
        if eid is None:
            eid = conn.compound(minor, ops.exchange_id(self.owner, self.verifier, eid_flags)).ok()[0]
        self.eid = eid
        self.clientid = eid.clientid
        self.created = conn.compound(minor, ops.create_session(
            self.clientid, eid.sequence, flags, fore or ops.channel(maxreqs=slots), back)).ok()[0]
        self.sessionid = self.created.sessionid
        self.slots = self.created.fore.maxreqs
        self.seqids = {}
        if reclaim:
            self.call(ops.reclaim_complete()).ok()

    def sequence(self, slot=0, seqid=None, cachethis=False):
        if seqid is None:
            seqid = self.seqids.get(slot, 0) + 1
        return ops.sequence(self.sessionid, seqid, slot, self.slots - 1, cachethis)

    def call(self, *operations, slot=0, seqid=None, cachethis=False, conn=None, **kw):
        """SEQUENCE and the operations; with seqid given (replays) nothing is counted."""
        seq = self.sequence(slot, seqid, cachethis)
        r = (conn or self.conn).compound(self.minor, seq, *operations, **kw)
        if seqid is None and r.results and r[0].name == "SEQUENCE" and r[0].status == 0:
            self.seqids[slot] = self.seqids.get(slot, 0) + 1
        return r

    def open(self, dirfh, name, access=ops.READ, deny=0, owner=b"owner", **kw):
        """OPEN by name, after any grace period; returns its result with .fh. Asks for no
        delegation."""
        r = self.after_grace(lambda: self.call(
            ops.putfh(dirfh), ops.open_(name, access | ops.WANT_NO_DELEG, deny, self.clientid,
                                        owner, **kw), ops.getfh()))
        out = r.op("OPEN")
        out.fh = r.last.fh
        return out

    def close(self, fh, stateid):
        return self.call(ops.putfh(fh), ops.close(stateid))

    def destroy(self):
        """Session and client id; returns both statuses."""
        a = self.conn.compound(self.minor, ops.destroy_session(self.sessionid))
        b = self.conn.compound(self.minor, ops.destroy_clientid(self.clientid))
        return a.error, b.error


class Client40(Files):
    """A confirmed 4.0 client; open owners with their seqids are counted here."""

    def __init__(self, conn, owner=None, verifier=None, program=0x40000000, netid="tcp",
                 addr="0.0.0.0.0.0"):
        self.conn = conn
        self.owner = owner or b"nfsraw " + os.urandom(8).hex().encode()
        self.verifier = verifier or os.urandom(8)
        r = conn.compound(0, ops.setclientid(self.owner, self.verifier, program, netid, addr)).ok()
        self.clientid = r[0].clientid
        conn.compound(0, ops.setclientid_confirm(self.clientid, r[0].verifier)).ok()
        self.seqids = {}

    def call(self, *operations, conn=None, **kw):
        return (conn or self.conn).compound(0, *operations, **kw)

    def seqid(self, owner):
        """The next sequence id of an open or lock owner; counts it as used."""
        self.seqids[owner] = self.seqids.get(owner, 0) + 1
        return self.seqids[owner]

    def open(self, dirfh, name, access=ops.READ, deny=0, owner=b"owner", **kw):
        """OPEN by name, after any grace period, confirmed where the server asks for it; returns
        its result with .fh."""
        r = self.after_grace(lambda: self.call(
            ops.putfh(dirfh), ops.open_(name, access, deny, self.clientid, owner,
                                        self.seqid(owner), **kw), ops.getfh()))
        out = r.op("OPEN")
        out.fh = r.last.fh
        if out.rflags & 2:  # OPEN4_RESULT_CONFIRM
            c = self.call(ops.putfh(out.fh), ops.open_confirm(out.stateid, self.seqid(owner))).ok()
            out.stateid = c.last.stateid
        return out

    def close(self, fh, stateid, owner=b"owner"):
        return self.call(ops.putfh(fh), ops.close(stateid, self.seqid(owner)))


def open_many(count, host="127.0.0.1", port=2049, timeout=60.0):
    """So many connections that say nothing (the process's limit is raised where it may be)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = count + 64
    if soft < want:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(want, hard), hard))
    socks = []
    try:
        for _ in range(count):
            socks.append(socket.create_connection((host, port), timeout))
    except OSError:
        for s in socks:
            s.close()
        raise
    return socks


def main():
    from nfsraw_selftest import run
    parser = argparse.ArgumentParser(description="Prove the raw client against a server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2049)
    parser.add_argument("--path", default="/", help="a folder of the server where root may write")
    options = parser.parse_args()
    return run(options.host, options.port, options.path)


if __name__ == "__main__":
    sys.exit(main())
