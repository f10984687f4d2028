#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A third party's auth module: built against what `make install` gives, loaded by the daemon, negotiated per share."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "wire")]
import tap
from laresd import BUILD, Laresd
from lares_server import ControlError, call_verb
from nfsraw import Conn, RpcError, auth_sys
import nfs4ops as ops

EXAMPLE = 0x4c415245
SYS = 1
MODULES = {"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@"}}


def build(work):
    """The module's shared object, made the way its author would: installed headers, pkg-config, a compiler."""
    stage = os.path.join(work, "stage")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", stage], check=True,
                   stdout=subprocess.DEVNULL)
    found = [os.path.join(base, f) for base, _, files in os.walk(stage) for f in files if f == "lares-1.pc"]
    assert len(found) == 1, found
    with open(found[0]) as f:
        text = f.read()
    prefix = next(line[7:] for line in text.splitlines() if line.startswith("prefix="))
    pkgconfig = os.path.join(work, "pkgconfig")
    os.mkdir(pkgconfig)
    with open(os.path.join(pkgconfig, "lares-1.pc"), "w") as f:
        f.write(text.replace("prefix=" + prefix, "prefix=" + stage + prefix, 1))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "lares-1"], check=True, stdout=subprocess.PIPE, text=True,
                           env=dict(os.environ, PKG_CONFIG_PATH=pkgconfig)).stdout.split()
    top = os.path.dirname(os.path.dirname(HERE))
    assert not [x for x in flags if x.startswith("-I" + top) and not x.startswith("-I" + stage)], flags
    out = os.path.join(work, "example.so")
    # Outside the tree, so that nothing of it can be found by accident.
    source = shutil.copy(os.path.join(HERE, "example", "example.c"), work)
    sanitize = ["-shared-libasan"] if "sanitize" in BUILD and os.environ.get("CC", "").startswith("clang") else []
    subprocess.run([os.environ.get("CC", "cc").split()[-1], "-Wall", "-Wextra", "-Wno-unused-parameter",
                    "-Wno-missing-field-initializers", "-Werror", "-O1", "-fPIC", "-shared", *sanitize, "-o", out, source,
                    *flags], check=True, cwd=work)
    return out


class Server:
    """A daemon with the module (or without) and three shares."""

    def __init__(self, module, folder):
        self.d = Laresd(MODULES, start=False)
        self.d.wait = [self.d.port, self.d.control]
        self.module = module
        self.add_module()
        os.chmod(folder, 0o777)
        self.folder = folder

    def add_module(self):
        os.symlink(self.module, os.path.join(self.d.modules_dir, "example.so"))
        self.d.write_module("example", {"tokens": "sesame=ada, xyzzy=ben"})

    def __enter__(self):
        self.d.__enter__()
        self.d.start()
        return self

    def __exit__(self, *what):
        return self.d.__exit__(*what)

    def verb(self, verb_, **args):
        return call_verb(self.d.control, verb_, **args)

    def conn(self, cred):
        return Conn("127.0.0.1", self.d.port, cred=cred)


def token(text):
    return (EXAMPLE, text)


def flavors(c, name):
    return [f.flavor for f in c.compound(0, ops.putrootfh(), ops.secinfo(name)).ok().last.flavors]


def look(c, share):
    return c.compound(0, ops.putrootfh(), ops.lookup(share), ops.getattr("fileid"))


def refused(c):
    try:
        look(c, "tokens")
    except RpcError as e:
        return e.reply.verdict.startswith("AUTH_ERROR")
    return False


def test_negotiation():
    with tempfile.TemporaryDirectory(prefix="lares-example-") as work:
        os.chmod(work, 0o755)
        folder = os.path.join(work, "share")
        os.mkdir(folder)
        with Server(build(work), folder) as s:
            assert "example" in str(s.verb("module.list")), s.verb("module.list")
            s.verb("share.create", name="tokens", path=folder, sec=["example"])
            s.verb("share.create", name="plain", path=folder)
            s.verb("share.create", name="both", path=folder, sec=["sys", "example"])
            with s.conn(token(b"sesame")) as ada, s.conn(auth_sys(uid=1000, gid=1000)) as sys_:
                # Every share tells its own list, in its own order, to whoever asks.
                for c in (ada, sys_):
                    assert flavors(c, "tokens") == [EXAMPLE], flavors(c, "tokens")
                    assert flavors(c, "plain") == [SYS]
                    assert flavors(c, "both") == [SYS, EXAMPLE]
                assert look(ada, "tokens").status == 0 and look(ada, "both").status == 0
                assert look(ada, "plain").error == "WRONGSEC"
                assert look(sys_, "plain").status == 0 and look(sys_, "both").status == 0
                assert look(sys_, "tokens").error == "WRONGSEC"

                # A handle that was good under one flavor is no way around the list.
                fh = ada.compound(0, ops.putrootfh(), ops.lookup("tokens"), ops.getfh()).ok().last.fh
                assert sys_.compound(0, ops.putfh(fh), ops.getattr("fileid")).error == "WRONGSEC"

                # The user the token stands for owns what they make.
                ada.compound(0, ops.putrootfh(), ops.lookup("tokens"), ops.create(2, "made")).ok()
                users = {u["name"]: u for u in s.verb("user.list")}
                assert os.stat(os.path.join(folder, "made")).st_uid == users["ada"]["uid"], users

                # A change is true at once, on connections that are there.
                s.verb("share.security.set", name="tokens", sec=["sys"])
                assert look(ada, "tokens").error == "WRONGSEC"
                assert look(sys_, "tokens").status == 0
                s.verb("share.security.set", name="tokens", sec=["example"])
                assert look(ada, "tokens").status == 0

                # So is the end of a user.
                s.verb("user.disable", name="ada")
                assert refused(ada)
            with s.conn(token(b"sesame")) as again:
                assert refused(again)
            for bad in (b"", b"wrong", b"sesam", b"sesame ", b"sesame=ada", bytes(400)):
                with s.conn(token(bad)) as c:
                    assert refused(c), bad
            # What it counts of its own stands beside what the server counts.
            text = s.verb("metrics")["text"]
            assert "# TYPE lares_example_tokens_total counter\n" in text, text
            assert re.search(r'^lares_example_tokens_total\{result="wrong"\} 6$', text, re.M), text
            assert re.search(r'^lares_example_tokens_total\{result="known"\} [1-9]', text, re.M), text
            assert re.search(r'^lares_auth_failures_total\{protocol="nfs4",flavor="example",reason="other"\} 6$', text, re.M), text
            log = s.d.log()
            assert "event=auth principal=ada user=ada client=127.0.0.1 flavor=example protocol=nfs4 verdict=accepted" \
                in log, log
            assert 'flavor=example protocol=nfs4 verdict=refused reason="not a known token"' in log
            assert 'principal=ada client=127.0.0.1 flavor=example protocol=nfs4 verdict=refused ' \
                'reason="the user is disabled"' in log, log

            # Without the module the list stays, nobody gets in, and the other shares do not notice.
            s.d.stop()
            os.unlink(os.path.join(s.d.modules_dir, "example.so"))
            os.unlink(os.path.join(s.d.config_dir, "example.module"))
            s.d.start()
            shown = s.verb("share.security.show", name="tokens")
            assert shown["sec"] == ["example"] and shown["usable-sec"] == [], shown
            with s.conn(auth_sys(uid=1000, gid=1000)) as sys_, s.conn(token(b"xyzzy")) as ben:
                assert look(sys_, "tokens").error == "WRONGSEC"
                assert look(sys_, "both").status == 0
                assert refused(ben)
            try:
                s.verb("share.security.set", name="plain", sec=["example"])
                raise AssertionError("an unknown flavor was taken")
            except ControlError as e:
                assert "example" in str(e)

            # It comes back while the server runs, and the share with it.
            s.add_module()
            s.d.reload()
            s.d.wait_log("server: reloading")
            for _ in range(200):
                if s.verb("share.security.show", name="tokens")["usable-sec"]:
                    break
                time.sleep(0.02)
            with s.conn(token(b"xyzzy")) as ben:
                assert look(ben, "tokens").status == 0


if __name__ == "__main__":
    missing = [tool for tool in ("meson", "pkg-config", "cc") if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        print("1..0 # SKIP needs root, meson, pkg-config and a compiler")
        sys.exit(0)
    tap.main(globals())
