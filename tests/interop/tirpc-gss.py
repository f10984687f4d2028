#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs tirpc-gss in a private realm against a server: tirpc-gss.py PROGRAM [ganesha|lares].

Exit 77 (skipped) where the server or the Kerberos tools are not installed."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT / "vm")]
from realm import Realm, RealmError, tool  # noqa: E402
import servers  # noqa: E402


def main():
    program, kind = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "ganesha"
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit"):
            tool(name)
        if kind == "ganesha":
            tool("ganesha.nfsd")
    except RealmError as e:
        print(f"1..0 # SKIP {e}")
        return 77
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root (the server's private user table)")
        return 77
    work = pathlib.Path(tempfile.mkdtemp(prefix="tirpc-gss."))
    os.chmod(work, 0o755)
    share = work / "share"
    share.mkdir()
    try:
        with Realm(work / "realm", users=["alice"], services=["nfs/localhost"]) as realm:
            # MIT's acceptor takes the host's own name unless told otherwise.
            realm.krb5_conf.write_text(realm.krb5_conf.read_text().replace(
                "[libdefaults]\n", "[libdefaults]\n    ignore_acceptor_hostname = true\n", 1))
            ccache = realm.kinit("alice", work / "ccache")
            server = servers.make_server(kind, work / "server", realm)
            server.add_share("share", share, ["sys", "krb5", "krb5i", "krb5p"])
            with server:
                return subprocess.run([program, "127.0.0.1", str(server.port), "localhost"],
                                      env=realm.env(ccache=ccache), check=False,
                                      timeout=60).returncode
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
