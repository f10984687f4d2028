# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running server with its own realm and one writable share, for the time of a test.

    with serving("lares") as s:          # or a peer: "ganesha"
        Conn("127.0.0.1", s.port); s.realm; s.environ; s.server; s.path; s.folder

Call skip_unless(kind) first: it ends the test with exit code 77 where something is missing.
"""

import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
from types import SimpleNamespace

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "vm")]
from realm import Realm, RealmError, tool  # noqa: E402
import servers  # noqa: E402
from lares_server import LaresServer  # noqa: E402

FLAVORS = ("sys", "krb5", "krb5i", "krb5p")


def skip_unless(kind):
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit") + (
                ("ganesha.nfsd",) if kind == "ganesha" else ()):
            tool(name)
        if os.geteuid() != 0:
            raise RealmError("needs root (the server's private user table)")
    except RealmError as e:
        print(f"1..0 # SKIP {e}")
        sys.exit(77)


def make(kind, directory, realm):
    return LaresServer(directory, realm) if kind == "lares" else \
        servers.make_server(kind, directory, realm)


@contextlib.contextmanager
def serving(kind, sec=FLAVORS, user="alice"):
    """The user has a ticket in the ccache that .environ names; service nfs/localhost."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="serving."))
    os.chmod(work, 0o755)
    folder = work / "share"
    folder.mkdir()
    os.chmod(folder, 0o777)
    try:
        with Realm(work / "realm", users=[user], services=["nfs/localhost"]) as realm:
            # MIT's acceptor takes the host's own name unless told otherwise.
            realm.krb5_conf.write_text(realm.krb5_conf.read_text().replace(
                "[libdefaults]\n", "[libdefaults]\n    ignore_acceptor_hostname = true\n", 1))
            environ = realm.env(ccache=realm.kinit(user, work / "ccache"))
            server = make(kind, work / "server", realm)
            server.add_share("share", folder, list(sec))
            with server:
                yield SimpleNamespace(server=server, port=server.port, realm=realm, folder=folder,
                                      environ=environ, path=server.export("share"), work=work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
