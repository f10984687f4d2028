#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""laresd as an ordinary user, without any capability: it serves this user's files as this user, and nothing more.

What others may do is what the permissions give to others, never what they give to the server's user; handles are kept in
a table, because the kernel opens by handle for root only, and survive a restart; nothing outside of the share is reached.
"""
import contextlib
import os
import re
import shutil
import socket
import stat
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", d) for d in ("lib", "wire")]
import tap
from laresd import Laresd
from lares_server import ControlError, call_verb
from nfsraw import Conn, Session, auth_sys
import nfs4ops as ops
from nfs4ops import ANON, BOTH, getattr, getfh, lookup, lookupp, putfh, putrootfh, read, remove, rename, savefh, write

SELF, OTHER = 4711, 4712
MODULES = {"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "0"}}
AS_SELF = ["setpriv", "--reuid=%d" % SELF, "--regid=%d" % SELF, "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
           "--no-new-privs"]


class Home:
    """A daemon of user 4711 with the share "home" over their folder."""

    def __enter__(self):
        self.d = Laresd(MODULES, wrapper=AS_SELF, start=False)
        for base, dirs, files in os.walk(self.d.dir):
            for name in [base] + [os.path.join(base, f) for f in dirs + files]:
                os.chown(name, SELF, SELF, follow_symlinks=False)
        self.folder = self.made("home", 0o755)
        self.d.__enter__()
        self.d.wait = [self.d.port, self.d.control]
        self.d.start()
        call_verb(self.d.control, "share.create", name="home", path=self.folder, sec=["sys"], squash="none")
        return self

    def __exit__(self, *what):
        return self.d.__exit__(*what)

    def made(self, name, mode, data=None, owner=SELF):
        """A folder, or a file with data."""
        path = os.path.join(self.d.dir, name)
        if data is None:
            os.mkdir(path)
        else:
            with open(path, "wb") as f:
                f.write(data)
        os.chown(path, owner, owner)
        os.chmod(path, mode)
        return path

    @contextlib.contextmanager
    def session(self, uid=SELF):
        with Conn("127.0.0.1", self.d.port, cred=auth_sys(uid=uid, gid=uid)) as c:
            yield Session(c)


def root(s):
    return s.call(putrootfh(), lookup("home"), getfh()).ok().last.fh


def test_without_any_right():
    with Home() as h:
        with open("/proc/%d/status" % h.d.pid) as f:
            text = f.read()
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd"):
            assert int(re.search(r"^%s:\s*(\w+)" % kind, text, re.M).group(1), 16) == 0, kind
        assert re.search(r"^Uid:\t%d\t%d\t%d\t%d$" % ((SELF,) * 4), text, re.M), text
        assert call_verb(h.d.control, "status")["privileged"] is False
        assert stat.S_IMODE(os.stat(h.d.state).st_mode) == 0o700


def test_work():
    with Home() as h, h.session() as s:
        d = root(s)
        f = s.open(d, "file", access=BOTH, how="unchecked", attrs={"mode": 0o640})
        s.call(putfh(f.fh), write(f.stateid, 0, b"hello " * 1000)).ok()
        assert s.call(putfh(f.fh), read(f.stateid, 5994, 100)).ok().last.data == b"hello "
        s.close(f.fh, f.stateid)
        sub = s.mkdir(d, "sub")
        s.call(putfh(d), savefh(), putfh(sub), rename("file", "renamed")).ok()
        for i in range(300):
            with open(h.folder + "/sub/n%03d" % i, "w"):
                pass
        assert len(s.list(sub)) == 301
        st = os.stat(h.folder + "/sub/renamed")
        assert (st.st_uid, st.st_size, stat.S_IMODE(st.st_mode)) == (SELF, 6000, 0o640), st
        s.call(putfh(f.fh), ops.setattr(ANON, {"mode": 0o600})).ok()
        s.call(putfh(sub), remove("renamed")).ok()
        # Nothing can be given away, and no special file made.
        g = s.open(d, "mine", access=BOTH, how="unchecked", attrs={"mode": 0o600})
        assert s.call(putfh(g.fh), ops.setattr(ANON, {"owner": str(OTHER)})).error in ("PERM", "ACCESS")
        assert s.call(putfh(d), ops.create(3, "device", dev=(1, 3))).error in ("PERM", "ACCESS", "NOTSUPP", "BADTYPE")


def test_handles_survive_a_restart():
    with Home() as h:
        with h.session() as s:
            d = root(s)
            deep = s.mkdir(s.mkdir(d, "a"), "b")
            f = s.open(deep, "file", access=BOTH, how="unchecked", attrs={"mode": 0o600})
            s.call(putfh(f.fh), write(f.stateid, 0, b"still here", 2)).ok()
            fileid = s.attrs(f.fh, "fileid")
        h.d.restart()
        with h.session() as s:
            assert s.call(putfh(f.fh), read(ANON, 0, 100)).ok().last.data == b"still here"
            assert s.attrs(f.fh, "fileid") == fileid
            assert "file" in str(s.list(deep)) and root(s) == d
        # Also when the names above have changed meanwhile, or the server was killed.
        h.d.kill()
        os.rename(h.folder + "/a/b/file", h.folder + "/a/b/other")
        h.d.start()
        with h.session() as s:
            r = s.call(putfh(f.fh), read(ANON, 0, 100))
            assert r.status == 0 and r.last.data == b"still here" or r.error == "STALE", r
            new = s.call(putfh(deep), lookup("other"), getfh()).ok().last.fh
            assert s.call(putfh(new), read(ANON, 0, 100)).ok().last.data == b"still here"
            # Another file of the old name is not the old file.
            with open(h.folder + "/a/b/file", "w") as out:
                out.write("an impostor")
            os.chown(h.folder + "/a/b/file", SELF, SELF)
            r = s.call(putfh(f.fh), read(ANON, 0, 100))
            assert r.error == "STALE" or r.last.data == b"still here", r


def test_others_get_what_others_may():
    with Home() as h:
        h.made("home/secret", 0o600, b"mine")
        h.made("home/public", 0o644, b"ours")
        h.made("home/group", 0o640, b"group")
        h.made("home/closed", 0o700)
        h.made("home/closed/inside", 0o666, b"inside")
        h.made("home/open", 0o777)
        for uid in (OTHER, 0):
            with h.session(uid) as s:
                d = root(s)
                fh = {n: s.call(putfh(d), lookup(n), getfh()).ok().last.fh for n in ("secret", "public", "group", "open")}
                assert s.call(putfh(fh["public"]), read(ANON, 0, 9)).ok().last.data == b"ours"
                for name in ("secret", "group"):
                    assert s.call(putfh(fh[name]), read(ANON, 0, 9)).error == "ACCESS", name
                assert s.call(putfh(fh["public"]), write(ANON, 0, b"x")).error == "ACCESS"
                assert s.call(putfh(d), lookup("closed"), lookup("inside")).error == "ACCESS"
                assert s.call(putfh(d), remove("public")).error == "ACCESS"
                assert s.call(putfh(d), ops.create(2, "new")).error == "ACCESS"
                for attrs in ({"mode": 0o777}, {"size": 0}, {"owner": str(uid)}):
                    assert s.call(putfh(fh["public"]), ops.setattr(ANON, attrs)).error in ("PERM", "ACCESS"), attrs
        with open(h.folder + "/public", "rb") as f:
            assert f.read() == b"ours"


def test_no_way_out():
    with Home() as h:
        outside = h.made("outside", 0o777)
        h.made("outside/treasure", 0o666, b"treasure")
        os.symlink("../outside", h.folder + "/relative")
        os.symlink(outside + "/treasure", h.folder + "/absolute")
        h.made("home/sub", 0o755)
        with h.session() as s:
            d = root(s)
            for name in ("relative", "absolute"):
                fh = s.call(putfh(d), lookup(name), getfh()).ok().last.fh
                assert s.attrs(fh, "type")["type"] == 5, name  # a link is a link
                assert s.call(putfh(fh), lookup("treasure")).error in ("SYMLINK", "NOTDIR")
                assert s.call(putfh(fh), read(ANON, 0, 9)).error in ("SYMLINK", "INVAL", "WRONG_TYPE")
                assert s.call(putfh(fh), ops.create(2, "x")).error in ("SYMLINK", "NOTDIR")
            for name in ("..", ".", "../outside", "sub/../../outside", "", "/", "a/b"):
                for op in (lookup(name), remove(name), ops.create(2, name), ops.rename(name, "x"), ops.rename("sub", name)):
                    r = s.call(putfh(d), savefh(), op)
                    assert r.status != 0, (name, op)
            # Above a share is the list of shares.
            top = s.call(putfh(d), lookupp(), getfh()).ok().last.fh
            assert top == s.call(putrootfh(), getfh()).ok().last.fh
            # A folder that becomes a link between two steps.
            sub = s.call(putfh(d), lookup("sub"), getfh()).ok().last.fh
            os.rmdir(h.folder + "/sub")
            os.symlink(outside, h.folder + "/sub")
            assert s.call(putfh(sub), lookup("treasure")).error in ("STALE", "NOENT", "SYMLINK")
            assert s.call(putfh(d), lookup("sub"), lookup("treasure")).error in ("SYMLINK", "NOTDIR")
        assert os.listdir(outside) == ["treasure"]


def test_what_this_user_cannot_share():
    with Home() as h:
        closed = h.made("closed", 0o700, owner=0)
        try:
            call_verb(h.d.control, "share.create", name="closed", path=closed, sec=["sys"])
        except ControlError as e:
            assert closed in str(e), e
        else:
            with h.session() as s:
                assert s.call(putrootfh(), lookup("closed"), ops.readdir()).status != 0
        # The control socket is this user's (and root's).
        assert os.stat(h.d.control).st_uid == SELF
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setgid(OTHER)
            os.setuid(OTHER)
            try:
                with socket.socket(socket.AF_UNIX) as c:
                    c.connect(h.d.control)
                    c.sendall(b"POST /api/v1/verbs/share.list HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                              b"Connection: close\r\n\r\n{}")
                    os.write(w, c.recv(100)[:20])
            except OSError as e:
                os.write(w, str(e).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(w)
        answer = os.read(r, 200)
        os.close(r)
        assert b" 200 " not in answer, answer


if __name__ == "__main__":
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        print("1..0 # SKIP needs root, to become somebody else, and setpriv")
        sys.exit(0)
    tap.main(globals())
