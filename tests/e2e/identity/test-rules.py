#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who a principal is: each rule of rules.py over NFS (RPCSEC_GSS through MIT's library), SMB (smbclient) and
REST (curl --negotiate), with tickets of two realms. NFS and SMB are judged by the owner of what was made, REST by the
audit line. A session that lives stays open while the administrator changes his mind. Exit 77 without the programs."""
import contextlib
import os
import pathlib
import shutil
import sys
import tempfile

from world import Nfs, Rest, Smb
from rules import RULES, Rules, through
import tap
from realm import RealmError, tool

WORLD, FAILED = [], []


def over(protocol):
    w = WORLD[0]
    FAILED.append(protocol)
    kept = list(through(w, protocol(w)))
    assert kept == [name for name, _ in RULES] and len(kept) > 12
    FAILED.remove(protocol)


def test_nfs():
    over(Nfs)


def test_smb():
    if not shutil.which("smbclient"):
        tap.skip("smbclient is not installed")
    over(Smb)


def test_rest():
    over(Rest)


def main():
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit", "curl"):
            tool(name)
    except RealmError as e:
        print(f"1..0 # SKIP {e}")
        sys.exit(77)
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    work = pathlib.Path(tempfile.mkdtemp(prefix="rules-"))
    os.chmod(work, 0o755)
    try:
        with Rules(work) as w:
            WORLD.append(w)
            with contextlib.suppress(SystemExit):
                tap.main(globals())
            if FAILED:
                print("# " + w.d.log()[-6000:].replace("\n", "\n# "))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(bool(FAILED))


if __name__ == "__main__":
    main()
