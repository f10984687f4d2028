#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The load generator of bench/ as a second client with cryptography of its own: every login, every protection, every
workload for a moment, with many requests in flight and each answer checked. Exit 77 where there is no KDC."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from laresd import BUILD
from realm import Realm, RealmError, tool
from smb_server import SmbServer

WORKLOADS = ("echo", "read", "write", "randread", "randwrite", "open", "stat", "create", "unlink", "readdir", "tree")


@contextlib.contextmanager
def serving():
    work = pathlib.Path(tempfile.mkdtemp(prefix="smb-load-"))
    os.chmod(work, 0o755)
    try:
        with Realm(work / "realm", users=["alice"], services=["cifs/localhost"]) as realm:
            cc = realm.kinit("alice", work / "cc")
            with SmbServer(work / "server", realm=realm, smb={"signing-required": False}) as s:
                s.add_share("data", work / "data", ["sys", "ntlm", "krb5", "krb5i", "krb5p"])
                s.add_share("sealed", work / "data", ["krb5p"])
                s.add_user("ada", "correct horse")
                s.client = realm.env(ccache=cc)
                yield s
    finally:
        shutil.rmtree(work, ignore_errors=True)


def load(s, workload, *options, share="data", rc=0):
    done = subprocess.run([os.path.join(BUILD, "bench", "smbload"), f"--port={s.port}", f"--share={share}", "--spn=localhost",
                           "--filesize=4m", "--entries=20", "--inflight=8", "--count=60", "--stall=60", *options, workload],
                          env=s.client, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == rc, (workload, options, done.returncode, done.stdout, done.stderr)
    r = json.loads(done.stdout) if done.stdout else {}
    assert rc or (r["ops"] >= 60 and not r["errors"] and not r["lost"] and not r["strays"]), r
    return r


def test_every_workload():
    with serving() as s:
        for workload in WORKLOADS:
            load(s, workload)
        load(s, "login", "--inflight=4")
        r = load(s, "readdir", "--count=60")
        assert r["entries"] == 60 * 22, r


def test_every_protection():
    with serving() as s:
        for sec in ("plain", "gmac", "cmac", "gcm"):
            load(s, "read", f"--sec={sec}", "--check-data")
            load(s, "write", f"--sec={sec}")
            load(s, "randread", f"--sec={sec}", "--check-data", "--size=100k")
            load(s, "stat", f"--sec={sec}")
            load(s, "create", f"--sec={sec}")


def test_every_login():
    with serving() as s:
        for auth in ("krb5", "ntlm"):
            for sec in ("plain", "gmac", "cmac", "gcm"):
                load(s, "open", f"--auth={auth}", f"--sec={sec}", "--user=ada", "--password=correct horse")
        load(s, "open", "--auth=guest")
        load(s, "open", "--auth=ntlm", "--user=ada", "--password=wrong horse", rc=2)


def test_an_encrypted_share_refuses_what_is_not():
    with serving() as s:
        load(s, "open", "--sec=gcm", share="sealed")
        for sec in ("plain", "gmac", "cmac"):
            load(s, "open", f"--sec={sec}", share="sealed", rc=2)


def test_many_connections():
    with serving() as s:
        r = load(s, "connect", "--connections=60", "--inflight=1")
        assert r["ops"] == 60, r
        load(s, "stat", "--connections=4", "--sec=gmac")


if __name__ == "__main__":
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit"):
            tool(name)
    except RealmError as e:
        print("1..0 # SKIP", e)
        sys.exit(77)
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    tap.main(globals())
