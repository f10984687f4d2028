#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""RPCSEC_GSS as it must be refused, against a server by name: test-gss-negative.py [ganesha|...].

Spec: RFC 2203 5.3.3 and 5.3.4. TAP; exit 77 where something is not installed.
"""

import os
import pathlib
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
from serving import serving, skip_unless  # noqa: E402
import nfs4ops as ops  # noqa: E402

def verdict(reply, *allowed):
    assert reply.verdict in allowed, f"{reply.verdict}, not {' or '.join(allowed)}"


class Checks:
    """One method per behaviour; each gets fresh connections of its own."""

    def __init__(self, gss, port):
        self.gss = gss
        self.port = port

    def conn(self, service, **kw):
        return self.gss.GssConn("127.0.0.1", self.port, service=service, timeout=30, **kw)

    def works(self, service):
        with self.conn(service) as c:
            for _ in range(3):
                verdict(c.null(), "SUCCESS")
            c.compound(0, ops.putrootfh(), ops.getattr("type", "fsid")).ok()

    def alive(self, c):
        verdict(c.null(), "SUCCESS")

    def header(self):
        with self.conn(1) as c:
            verdict(c.gss_call(0, tamper="header"), "AUTH_ERROR:CREDPROBLEM")
            self.alive(c)

    def body(self, service):
        with self.conn(service) as c:
            args = c.pack_compound(0, [ops.putrootfh()])
            verdict(c.gss_call(1, args, tamper="body"), "GARBAGE_ARGS")
            self.alive(c)

    def body_seq(self, service):
        with self.conn(service) as c:
            args = c.pack_compound(0, [ops.putrootfh()])
            verdict(c.gss_call(1, args, tamper="body-seq"), "GARBAGE_ARGS")
            self.alive(c)

    def replay(self):
        with self.conn(2) as c:
            record = c.pack_gss(0)
            c.send_record(record)
            c.wait(int.from_bytes(record[:4], "big"))
            assert c.silence(record), "a repeated call is answered"
            self.alive(c)

    def old(self):
        with self.conn(1) as c:
            far = c.state["window"] + 1000
            verdict(c.gss_call(0, seq=far), "SUCCESS")
            c.state["seq"] = far
            assert c.silence(c.pack_gss(0, seq=5)), "a number below the window is answered"
            self.alive(c)

    def reordered(self):
        with self.conn(1) as c:
            window = min(c.state["window"], 64)
            for seq in range(100 + window, 100, -1):
                verdict(c.gss_call(0, seq=seq), "SUCCESS")

    def beyond(self):
        with self.conn(1) as c:
            verdict(c.gss_call(0, seq=self.gss.MAXSEQ + 1), "AUTH_ERROR:CTXPROBLEM")

    def handle(self):
        with self.conn(1) as c:
            verdict(c.gss_call(0, handle=b"not a handle"), "AUTH_ERROR:CREDPROBLEM")
            real = c.state["handle"]
            verdict(c.gss_call(0, handle=real[:-1] + bytes([real[-1] ^ 0x40])),
                    "AUTH_ERROR:CREDPROBLEM")
            self.alive(c)

    def service(self):
        with self.conn(1) as c:
            verdict(c.gss_call(0, service=9), "AUTH_ERROR:BADCRED", "AUTH_ERROR:CREDPROBLEM")

    def procedure(self):
        with self.conn(1) as c:
            verdict(c.gss_call(0, gss_proc=9), "AUTH_ERROR:BADCRED", "AUTH_ERROR:CREDPROBLEM")

    def version(self):
        with self.conn(1) as c:
            verdict(c.gss_call(0, version=7), "AUTH_ERROR:BADCRED")

    def destroyed(self):
        with self.conn(1) as c:
            verdict(c.destroy(), "SUCCESS")
            verdict(c.gss_call(0), "AUTH_ERROR:CREDPROBLEM")

    def shared(self):
        """A context belongs to no connection."""
        with self.conn(3) as c, self.conn(3, share=c) as d:
            verdict(d.null(), "SUCCESS")
            verdict(c.null(), "SUCCESS")

    def token(self):
        from nfsraw import Conn, auth_gss
        from nfs4xdr import Packer, Unpacker
        for token in (b"", b"\0" * 100, os.urandom(3000)):
            with Conn("127.0.0.1", self.port, timeout=30) as c:
                r = c.call(0, bytes(Packer().opaque(token).data), cred=auth_gss(1, 0, 1, b""))
                if r.verdict == "SUCCESS":
                    u = Unpacker(r.body)
                    u.opaque()
                    assert u.u32() not in (0, 1), "a context out of garbage"
                else:
                    assert r.verdict.startswith("AUTH_ERROR:") or r.verdict == "GARBAGE_ARGS", r

    def downgrade(self):
        """Unprotected arguments under a credential that promises protection."""
        with self.conn(3) as c:
            head = c.pack_gss(1, service=3)
            cut = c.protect(b"", c.state["seq"], 3)
            c.send_record(head[:-len(cut)] + c.pack_compound(0, [ops.putrootfh()]))
            verdict(c.wait(int.from_bytes(head[:4], "big")), "GARBAGE_ARGS")

    def list(self):
        return [("service none works", lambda: self.works(1)),
                ("service integrity works", lambda: self.works(2)),
                ("service privacy works", lambda: self.works(3)),
                ("a context works on a second connection", self.shared),
                ("sequence numbers in any order within the window", self.reordered),
                ("wrong header checksum", self.header),
                ("wrong body, integrity", lambda: self.body(2)),
                ("wrong body, privacy", lambda: self.body(3)),
                ("other sequence number inside, integrity", lambda: self.body_seq(2)),
                ("other sequence number inside, privacy", lambda: self.body_seq(3)),
                ("plain body where privacy is promised", self.downgrade),
                ("repeated sequence number", self.replay),
                ("sequence number below the window", self.old),
                ("sequence number beyond the limit", self.beyond),
                ("forged handle", self.handle),
                ("service that does not exist", self.service),
                ("control procedure that does not exist", self.procedure),
                ("version that does not exist", self.version),
                ("destroyed context", self.destroyed),
                ("garbage as the first token", self.token)]


def run(gss, port):
    failed = 0
    checks = Checks(gss, port).list()
    print(f"1..{len(checks)}")
    for number, (name, check) in enumerate(checks, 1):
        try:
            check()
            print(f"ok {number} - {name}", flush=True)
        except Exception as e:  # noqa: BLE001  (each check is told on its own)
            failed += 1
            print(f"not ok {number} - {name}\n# {type(e).__name__}: {e}", flush=True)
            if not isinstance(e, AssertionError):
                print("# " + traceback.format_exc().replace("\n", "\n# "))
    return 1 if failed else 0


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "ganesha"
    skip_unless(kind)
    with serving(kind) as s:
        os.environ.update(s.environ)
        import nfsgss  # after the environment: it names the realm
        return run(nfsgss, s.port)


if __name__ == "__main__":
    sys.exit(main())
