#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Folders of shares that go away under their clients: removed, renamed away, unmounted. And shares within shares, each
with its own policy: test-vanish.py.

Spec: RFC 7530 4.2.1 and 13.1.2.7 (STALE)"""

import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import time

from nfs4ops import *  # noqa: F403
from nfsraw import auth_none
from wirecheck import expect, run, serving, skip_unless

CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 1 << 18, 2
libc = ctypes.CDLL(None, use_errno=True)


class Share:
    """A share of its own, gone with the check."""

    def __init__(self, t, name, path, sec=("sys",), **policy):
        self.t, self.name, self.path = t, name, pathlib.Path(path)
        t.s.server.verb("share.create", name=name, path=str(path), sec=list(sec), squash="none", **policy)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.t.s.server.verb("share.remove", name=self.name)


def folder(t, name):
    path = t.s.work / name
    path.mkdir()
    path.chmod(0o777)
    return path


def filled(path, text="old"):
    (path / "f").write_text(text)
    (path / "f").chmod(0o666)
    (path / "d").mkdir()
    return path


class User:
    """A client of one version with a file open and written in a share, and one in another that stays."""

    def __init__(self, t, c, name):
        self.t, self.c = t, c
        self.top = c.walk("/" + name)
        self.dir = c.walk(f"/{name}/d")
        self.file = c.open(self.top, "f", access=BOTH)
        c.call(putfh(self.file.fh), write(self.file.stateid, 0, b"new")).ok()

    def ends(self, *errors):
        """What is asked of it now is answered with one of these at once, one way or another."""
        c = self.c
        for compound in ([putfh(self.top), getattr("type")], [putfh(self.top), lookup("f")], [putfh(self.top), readdir()],
                         [putfh(self.dir), getattr("type")], [putfh(self.top), create(NF4DIR, "new")],
                         [putfh(self.top), remove("f")]):
            began = time.monotonic()
            r = expect(c.call(*compound, timeout=20), *errors)
            assert time.monotonic() - began < 10, f"{r} took its time"

    def works(self):
        """The old handles are good, and so is what is open."""
        c, f = self.c, self.file
        c.call(putfh(self.top), lookup("d"), getattr("type")).ok()
        assert c.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"new"
        c.call(putfh(f.fh), write(f.stateid, 0, b"new")).ok()

    def leave(self):
        self.c.close(self.file.fh, self.file.stateid)


def versions(t):
    return [t.client40(), t.session(minor=1), t.session(minor=2)]


def until(true, what, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def others_work(t):
    """The share that stays is what it was."""
    c = t.session()
    f = c.open(c.walk("/share"), "stays", access=BOTH, how="unchecked")
    c.call(putfh(f.fh), write(f.stateid, 0, b"x")).ok()
    c.close(f.fh, f.stateid).ok()


def root_lists(t):
    c = t.session()
    return {n for n, _, _ in c.list(c.call(putrootfh(), getfh()).ok().last.fh)}


def check_removed(t):
    """A share's folder that is removed: STALE for what was in it, what is open can be used, and a new folder is found"""
    path = filled(folder(t, "removed"))
    with Share(t, "removed", path):
        users = [User(t, c, "removed") for c in versions(t)]
        shutil.rmtree(path)
        for u in users:
            u.ends("STALE", "NOENT")
            assert u.c.call(putfh(u.file.fh), read(u.file.stateid, 0, 9)).ok().last.data == b"new"
            expect(u.c.call(putrootfh(), lookup("removed"), getattr("type")), "STALE")
            expect(u.c.call(putrootfh(), lookup("removed"), lookup("f")), "NOENT", "STALE")
        assert b"removed" not in root_lists(t)
        others_work(t)
        filled(folder(t, "removed"), "another")
        c = t.session()
        until(lambda: c.call(putrootfh(), lookup("removed"), getattr("type")).error == "OK", "the new folder is not found")
        assert b"removed" in root_lists(t)
        for u in users:
            expect(u.c.call(putfh(u.top), getattr("type")), "STALE")
            expect(u.c.call(putfh(u.dir), getattr("type")), "STALE")
            expect(u.c.call(putfh(u.file.fh), read(u.file.stateid, 0, 9)), "STALE", "BAD_STATEID")
            f = u.c.open(u.c.walk("/removed"), "f", access=BOTH, owner=b"again")
            assert u.c.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"another"


def check_renamed(t):
    """A share's folder that is renamed: handles and opens go with it, and are good when it is back"""
    path = filled(folder(t, "renamed"))
    with Share(t, "renamed", path):
        users = [User(t, c, "renamed") for c in versions(t)]
        path.rename(t.s.work / "elsewhere")
        for u in users:
            u.works()
        others_work(t)
        (t.s.work / "elsewhere").rename(path)
        for u in users:
            u.works()
            u.c.call(putrootfh(), lookup("renamed"), lookup("f"), getattr("type")).ok()
            u.leave()


def check_unmounted(t):
    """A share whose file system is unmounted: STALE at once, and good handles when it is mounted again"""
    path, image = folder(t, "disk"), t.s.work / "image"
    with open(image, "wb") as f:
        f.truncate(2 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext2", str(image)], check=True)
    mount = ["mount", "-o", "loop", str(image), str(path)]
    r = subprocess.run(mount, capture_output=True, text=True)
    if r.returncode:
        print("# not tried, no loop devices: " + r.stderr.strip())
        return
    try:
        with Share(t, "disk", filled(path)):
            users = [User(t, c, "disk") for c in versions(t)]
            # In use, so lazily: the path leads to the empty folder below it.
            subprocess.run(["umount", "-l", str(path)], check=True)
            for u in users:
                until(lambda: u.c.call(putfh(u.top), getattr("type")).error == "STALE", "the disk is still there")
                u.ends("STALE")
                expect(u.c.call(putfh(u.file.fh), read(u.file.stateid, 0, 9)), "STALE")
                expect(u.c.call(putrootfh(), lookup("disk"), lookup("f")), "NOENT")
            others_work(t)
            subprocess.run(mount, check=True)
            for u in users:
                until(lambda: u.c.call(putfh(u.top), getattr("type")).error == "OK", "the disk does not come back")
                u.c.call(putfh(u.top), lookup("d"), getattr("type")).ok()
                u.c.call(putfh(u.dir), getattr("type")).ok()
                assert u.c.call(putfh(u.file.fh), read(ANON, 0, 9)).ok().last.data == b"new"
                # What was open rests on the mount that is gone.
                expect(u.c.call(putfh(u.file.fh), read(u.file.stateid, 0, 9)), "BAD_STATEID")
                f = u.c.open(u.top, "f", access=BOTH, owner=b"again")
                u.c.call(putfh(f.fh), write(f.stateid, 0, b"new")).ok()
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


# ---- shares within shares


def check_overlap(t):
    """Two shares over one folder with other flavors, squash and rights: each way in has its own policy"""
    path = folder(t, "outer")
    inner = path / "inner"
    inner.mkdir()
    inner.chmod(0o777)
    (inner / "f").write_text("both")
    (inner / "f").chmod(0o666)
    with Share(t, "outer", path), Share(t, "inner", inner, ["none"], **{"read-only": True}):
        for c in versions(t):
            through = c.walk("/outer/inner/f")
            expect(c.call(putrootfh(), lookup("inner"), getattr("type")), "WRONGSEC")
            c.call(putfh(through), write(ANON, 0, b"BOTH")).ok()
            own = c.call(putrootfh(), lookup("inner"), lookup("f"), getfh(), cred=auth_none()).ok().last.fh
            assert own != through, "one handle for two shares"
            expect(c.call(putfh(own), getattr("type")), "WRONGSEC")
            expect(c.call(putfh(own), write(ANON, 0, b"x")), "WRONGSEC")
            expect(c.call(putfh(own), write(ANON, 0, b"x"), cred=auth_none()), "ROFS")
            assert c.call(putfh(own), read(ANON, 0, 9), cred=auth_none()).ok().last.data == b"BOTH"
            expect(c.call(putfh(through), read(ANON, 0, 9), cred=auth_none()), "WRONGSEC")
            # Up from the inner share is the pseudo-root, not the outer share.
            top = c.call(putrootfh(), lookup("inner"), getfh(), cred=auth_none()).ok().last.fh
            up = c.call(putfh(top), lookupp(), getfh(), cred=auth_none()).ok().last.fh
            assert up == c.call(putrootfh(), getfh()).ok().last.fh
            # What is written through one is read through the other.
            f = c.open(c.walk("/outer/inner"), "f", access=BOTH)
            c.call(putfh(f.fh), write(f.stateid, 0, b"both")).ok()
            c.close(f.fh, f.stateid).ok()
            assert c.call(putfh(own), read(ANON, 0, 9), cred=auth_none()).ok().last.data == b"both"
        t.s.server.verb("share.set", name="outer", sec=["none"])
        t.s.server.verb("share.set", name="inner", sec=["sys"])
        for c in versions(t):
            expect(c.call(putfh(through), getattr("type")), "WRONGSEC")
            c.call(putfh(own), getattr("type")).ok()
            expect(c.call(putfh(own), write(ANON, 0, b"x")), "ROFS")


def main():
    skip_unless("lares")
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        print("1..0 # SKIP needs mount namespaces")
        return 77
    with serving("lares", sec=["sys"]) as s:
        return run(globals(), "lares", s)


if __name__ == "__main__":
    sys.exit(main())
