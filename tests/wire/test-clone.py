#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""CLONE on file systems that share blocks (btrfs, xfs: a loop mount each, in a mount namespace of this test's own), and
on one that does not: test-clone.py [lares].

Spec: RFC 7862 15.13, 12.2.1"""

import os
import shutil
import subprocess
import sys
import tempfile

from nfs4ops import *  # noqa: F403
from wirecheck import expect, run, serving, skip_unless  # first: it finds tests/lib
from reflink import KINDS, mounts

BLOCK = 4096


def files(s, share):
    """A source of three blocks and a bit, and an empty target, both open."""
    top = s.walk("/" + share)
    for name in ("from", "to"):
        s.remove_tree(top, name)
    a = s.open(top, "from", access=BOTH, how="unchecked", attrs={"mode": 0o600})
    b = s.open(top, "to", access=BOTH, how="unchecked", attrs={"mode": 0o600})
    data = b"".join(bytes([c]) * BLOCK for c in b"abc") + b"tail"
    s.call(putfh(a.fh), write(a.stateid, 0, data, FILE_SYNC)).ok()
    return a, b, data


def clone_call(s, a, b, *args):
    return s.call(putfh(a.fh), savefh(), putfh(b.fh), clone(a.stateid, b.stateid, *args))


def content(s, f):
    return s.call(putfh(f.fh), read(f.stateid, 0, 1 << 16)).ok().last.data


def checks_for(kind):
    def check_whole(t):
        s = t.session(minor=2)
        a, b, data = files(s, kind)
        assert s.attrs(b.fh, "clone_blksize")["clone_blksize"] == BLOCK
        clone_call(s, a, b, 0, 0, 0).ok()  # count 0: to the end of the source
        assert content(s, b) == data
        # The blocks are shared until one side is written to.
        s.call(putfh(b.fh), write(b.stateid, 0, b"other", FILE_SYNC)).ok()
        assert content(s, a) == data and content(s, b) == b"other" + data[5:]

    def check_range(t):
        s = t.session(minor=2)
        a, b, data = files(s, kind)
        clone_call(s, a, b, BLOCK, 2 * BLOCK, BLOCK).ok()
        assert content(s, b) == bytes(2 * BLOCK) + b"b" * BLOCK
        clone_call(s, a, a, 0, 4 * BLOCK, BLOCK).ok()  # within one file
        assert content(s, a)[4 * BLOCK:] == b"a" * BLOCK

    def check_refused(t):
        s = t.session(minor=2)
        a, b, data = files(s, kind)
        expect(clone_call(s, a, b, 1, 0, BLOCK), "INVAL")  # not at a block
        expect(clone_call(s, a, b, 0, 100, BLOCK), "INVAL")
        expect(clone_call(s, a, b, 16 * BLOCK, 0, BLOCK), "INVAL")  # behind the end
        expect(clone_call(s, a, a, 0, BLOCK, 2 * BLOCK), "INVAL")  # onto itself
        assert content(s, b) == b"" and content(s, a) == data
        r = s.open(s.walk("/" + kind), "to", access=READ, owner=b"reader")
        expect(s.call(putfh(a.fh), savefh(), putfh(r.fh), clone(a.stateid, r.stateid, 0, 0, 0)), "OPENMODE")

    check_whole.__doc__ = f"{kind}: a whole file, whose blocks are then its own"
    check_range.__doc__ = f"{kind}: a part to another place, and within one file"
    check_refused.__doc__ = f"{kind}: what is no block, overlaps or is not open for it is refused and changes nothing"
    return [check_whole, check_range, check_refused]


def check_elsewhere(t):
    """CLONE where the file system shares no blocks, and between two file systems, is refused"""
    s = t.session(minor=2)
    a, b, _ = files(s, "share")
    expect(clone_call(s, a, b, 0, 0, 0), "NOTSUPP")
    for kind in t.s.kinds:
        c, _, _ = files(s, kind)
        expect(clone_call(s, c, b, 0, 0, 0), "XDEV", "NOTSUPP")


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "lares"
    skip_unless(kind)
    work = tempfile.mkdtemp(prefix="clone.")
    have, lack = mounts(work)
    try:
        with serving(kind, sec=["sys"]) as s:
            s.kinds = have
            checks = {}
            for name in KINDS:
                for i, check in enumerate(checks_for(name)):
                    checks[f"check_{name}_{i}"] = check if name in have else skipped(check, lack[name])
            for name, folder in have.items():
                s.server.add_share(name, folder, ["sys"])
            checks["check_elsewhere"] = check_elsewhere
            return run(checks, kind, s)
    finally:
        for folder in have.values():
            subprocess.run(["umount", folder], capture_output=True)
        shutil.rmtree(work, ignore_errors=True)


def skipped(check, why):
    def nothing(t):
        pass
    nothing.__doc__ = f"{check.__doc__} # SKIP {why}"
    return nothing


if __name__ == "__main__":
    sys.exit(main())
