# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a file's check_* functions against a server by name and tells TAP.

Each check gets a Ctx: fresh connections and sessions that end with it, and a folder of its
own. Its docstring is the behaviour's name. @differs(ganesha="...") marks what a peer is known
to do otherwise; for our own server there is no such mark.
"""

import os
import pathlib
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
from serving import serving, skip_unless  # noqa: E402
from nfsraw import Client40, Conn, Session  # noqa: E402
import nfs4ops as ops  # noqa: E402


class Ctx:
    def __init__(self, s, number):
        self.s = s
        self.number = number
        self.open = []

    def conn(self, **kw):
        c = Conn("127.0.0.1", self.s.port, **kw)
        self.open.append(c)
        return c

    def session(self, conn=None, **kw):
        return Session(conn or self.conn(), **kw)

    def client40(self, conn=None, **kw):
        return Client40(conn or self.conn(), **kw)

    def folder(self, client):
        """An empty folder of this check, made with the client's session; its file handle."""
        top = client.walk(self.s.path)
        name = f"check{self.number}"
        client.remove_tree(top, name)
        return client.mkdir(top, name, mode=0o777)

    def close(self):
        for c in self.open:
            c.close()


def differs(**peers):
    """Marks a check with what peers do otherwise: name="what"."""
    def mark(check):
        check.peers = peers
        return check
    return mark


def expect(result, *errors):
    """The compound ended with one of these errors (names without NFS4ERR_)."""
    assert result.error in errors, f"{result}, wanted {' or '.join(errors)}"
    return result


def run(namespace, kind, s):
    checks = [f for n, f in namespace.items() if n.startswith("check_")]
    failed = 0
    print(f"1..{len(checks)}")
    for number, check in enumerate(checks, 1):
        name = " ".join(check.__doc__.split()).rstrip(".")
        todo = getattr(check, "peers", {}).get(kind)
        ctx = Ctx(s, number)
        try:
            check(ctx)
            print(f"ok {number} - {name}" + (f" # TODO {todo}" if todo else ""), flush=True)
        except Exception as e:  # noqa: BLE001  (each check is told on its own)
            failed += todo is None
            print(f"not ok {number} - {name}" + (f" # TODO {todo}" if todo else ""), flush=True)
            print(f"# {type(e).__name__}: {e}")
            if todo is None:
                print("# " + traceback.format_exc().rstrip().replace("\n", "\n# "), flush=True)
        finally:
            ctx.close()
        if s.server.process.poll() is not None:
            print(f"Bail out! the server ended with {s.server.process.returncode}")
            return 1
    return 1 if failed else 0


def main(namespace):
    """The one argument: the server's name."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "ganesha"
    skip_unless(kind)
    with serving(kind, sec=["sys"]) as s:
        return run(namespace, kind, s)


__all__ = ["Ctx", "differs", "expect", "main", "os", "ops"]
