# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a file's test_* functions against one private server and tells TAP, a line per case.

    @over(minor=MINORS, kind=TYPES)          # one case per combination
    def test_read(t, minor, kind):
        "RFC 7530 16.23.4, RFC 8881 18.22.3: READ is for regular files"
        c = t.client(minor)
        expect(c.call(putfh(t.fh(c, kind)), read(ANON, 0, 10)), *WRONG_KIND[kind][minor])

The docstring's section is what the server is judged by. Cases share the server and a client per
minor version; each case has a folder of its own, made on the server's disk.
"""

import builtins
import itertools
import os
import pathlib
import shutil
import socket
import stat
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "lib")]
from lares_server import LaresServer  # noqa: E402
from nfsraw import *  # noqa: E402,F401,F403
from nfsraw import Client40, Conn, Session  # noqa: E402
import nfs4ops as ops  # noqa: E402
from nfs4ops import *  # noqa: E402,F401,F403
from nfs4xdr import ATTRS, ERRORS, OPS, Packer, Unpacker  # noqa: E402,F401

MINORS = (0, 1, 2)
TYPES = ("file", "dir", "link", "blk", "chr", "fifo", "sock")
NOT_DIR = tuple(k for k in TYPES if k != "dir")
NOT_FILE = tuple(k for k in TYPES if k != "file")
NUMBER = {"file": NF4REG, "dir": NF4DIR, "link": NF4LNK, "blk": NF4BLK, "chr": NF4CHR,
          "fifo": NF4FIFO, "sock": NF4SOCK}
LEASE = 10


def over(**axes):
    """One case for each combination of the values."""
    def mark(f):
        f.axes = axes
        return f
    return mark


def expect(result, *errors):
    """The compound ended with one of these (names without NFS4ERR_; "OK")."""
    assert result.error in errors, f"{result}, wanted {' or '.join(errors)}"
    return result


def need(condition, text):
    assert condition, text


def _client(minor, conn, **kw):
    c = Client40(conn, **kw) if minor == 0 else Session(conn, minor=minor, **kw)
    c.minor = minor
    return c


class Case:
    """What a case works with."""

    def __init__(self, suite, number):
        self.suite = suite
        self.s = suite.server
        self.number = number
        self.conns = []
        self._path = None

    def conn(self, **kw):
        c = Conn("127.0.0.1", self.s.port, timeout=20.0, **kw)
        self.conns.append(c)
        return c

    def client(self, minor):
        """The file's client for a minor version; its lease and session are shared by cases."""
        return self.suite.client(minor)

    def fresh(self, minor, uid=0, **kw):
        """A client of this case only, on a connection of its own."""
        return _client(minor, self.conn(cred=auth_sys(uid, uid, (), "guest")), **kw)

    @property
    def path(self):
        """The case's own folder on the server's disk."""
        if self._path is None:
            self._path = self.suite.folder / f"case{self.number}"
            self._path.mkdir()
            self._path.chmod(0o777)
        return self._path

    def dir(self, c):
        """The file handle of the case's folder."""
        self.path
        return c.walk(f"/share/case{self.number}")

    def put(self, name, data=b"0123456789", mode=0o666):
        """A file in the case's folder, made on the disk."""
        p = self.path / name
        p.write_bytes(data)
        p.chmod(mode)
        return p

    def fh(self, c, name):
        """The handle of one of TYPES, or of a name in the case's folder."""
        if name in TYPES:
            return c.walk("/share/types/" + name)
        return c.walk(f"/share/case{self.number}/{name}")

    def raw(self, minor, *operations, **kw):
        """A compound without a session on the file's connection."""
        return self.suite.client(minor).conn.compound(minor, *operations, **kw)

    def close(self):
        for c in self.conns:
            c.close()


class Suite:
    def __init__(self, nfs):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="conform."))
        self.work.chmod(0o755)
        self.folder = self.work / "share"
        self.other = self.work / "other"
        for p in (self.folder, self.other):
            p.mkdir()
            p.chmod(0o777)
        self.server = LaresServer(self.work / "server", None,
                                  nfs={"lease-time": LEASE, "grace-time": LEASE, **nfs})
        self.server.add_share("share", self.folder, ["sys"])
        self.server.add_share("other", self.other, ["sys"])
        self.clients = {}
        self.make_types()

    def make_types(self):
        top = self.folder / "types"
        top.mkdir()
        top.chmod(0o777)
        (top / "file").write_bytes(b"0123456789")
        (top / "dir").mkdir()
        (top / "link").symlink_to("file")
        os.mknod(top / "blk", stat.S_IFBLK | 0o666, os.makedev(7, 200))
        os.mknod(top / "chr", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mkfifo(top / "fifo", 0o666)
        with socket.socket(socket.AF_UNIX) as s:
            here = os.getcwd()
            os.chdir(top)
            s.bind("sock")
            os.chdir(here)
        for name in ("file", "dir", "blk", "chr", "fifo", "sock"):
            (top / name).chmod(0o777)

    def client(self, minor):
        if minor not in self.clients:
            self.clients[minor] = _client(minor, Conn("127.0.0.1", self.server.port, timeout=20.0))
        return self.clients[minor]

    def refresh(self):
        """Keeps the shared clients' leases; one that was lost is made again."""
        for minor, c in list(self.clients.items()):
            try:
                r = c.call(ops.renew(c.clientid)) if minor == 0 else c.call(ops.putrootfh())
                if r.status == 0:
                    continue
            except (OSError, EOFError):
                pass
            c.conn.close()
            del self.clients[minor]


def cases_of(namespace):
    for name, f in namespace.items():
        if not name.startswith("test_") or not callable(f) or f.__module__ != "__main__":
            continue
        title = name[5:].replace("_", " ")
        doc = " ".join((f.__doc__ or "").split())
        axes = builtins.getattr(f, "axes", {})
        for values in itertools.product(*axes.values()):
            kw = dict(zip(axes, values))
            label = " ".join(f"{k}={ascii(v[0] if isinstance(v, tuple) and v else v)}"
                             for k, v in kw.items()).replace("'", "")
            yield f"{title} {label}".strip().replace("#", "").replace("\\", ""), doc, f, kw


def main(namespace, **nfs):
    """Runs the cases whose title holds the first argument (all without one)."""
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root (device nodes, several users)")
        return 77
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    cases = [c for c in cases_of(namespace) if wanted in c[0]]
    suite = Suite(nfs)
    failed, begun, last = 0, time.monotonic(), time.monotonic()
    print(f"1..{len(cases)}")
    try:
        with suite.server:
            for number, (title, doc, f, kw) in enumerate(cases, 1):
                if time.monotonic() - last > LEASE / 4:
                    suite.refresh()
                    last = time.monotonic()
                t = Case(suite, number)
                try:
                    f(t, **kw)
                    print(f"ok {number} - {title}", flush=True)
                except Exception as e:  # noqa: BLE001  (each case is told on its own)
                    failed += 1
                    print(f"not ok {number} - {title}", flush=True)
                    print(f"# {doc}\n# {type(e).__name__}: {e}")
                    if not isinstance(e, AssertionError):
                        print("# " + traceback.format_exc().rstrip().replace("\n", "\n# "))
                    suite.refresh()
                finally:
                    t.close()
                if suite.server.process.poll() is not None:
                    print(f"Bail out! the server ended with {suite.server.process.returncode}")
                    return 1
        print(f"# {len(cases) - failed} passed, {failed} failed in {time.monotonic() - begun:.1f} s")
    finally:
        shutil.rmtree(suite.work, ignore_errors=True)
    return 1 if failed else 0
