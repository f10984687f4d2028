#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon with some of its modules: what is there works, what is missing or broken costs its own feature and says so.
And how it listens: on sockets that were passed to it, on both families at once."""
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", d) for d in ("lib", "wire")]
import tap
from laresd import BUILD, Laresd, find_module
from lares_server import call_verb
from nfsraw import Conn, auth_sys
import nfs4ops as ops

LISTEN = {"listen": "127.0.0.1:@PORT@"}
BASE = {"auth-sys": {}, "store-posix": {}, "proto-nfs4": LISTEN}
ALL = {**BASE, "proto-rest": {}}
try:
    KRB5 = find_module("auth-krb5")
except KeyError:
    KRB5 = None


class Server:
    """A daemon with a share "s" over a folder that all may write."""

    def __init__(self, modules=None, prepare=None, **more):
        self.d = Laresd(ALL if modules is None else modules, start=False, **more)
        self.folder = os.path.join(self.d.dir, "files")
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o777)
        self.prepare = prepare

    def __enter__(self):
        self.d.__enter__()
        # Shares are made with all that it takes; the test's own set of modules comes afterwards.
        kept = self.d.modules
        if self.d.modules != ALL:
            self.d.modules = ALL
            self.d.write_config()
        self.d.wait = [self.d.port, self.d.control]
        if kept != ALL or self.prepare:
            self.d.start()
            self.share()
            self.d.stop()
            self.d.modules = kept
            self.d.write_config()
            self.d.wait = [self.d.port] + ([self.d.control] if "proto-rest" in kept else [])
            os.truncate(self.d.log_path, 0)
            if self.prepare:
                self.prepare(self.d)
            self.d.start()
        else:
            self.d.start()
            self.share()
        return self

    def share(self):
        call_verb(self.d.control, "share.create", name="s", path=self.folder, sec=["sys"], squash="none")

    def __exit__(self, *what):
        return self.d.__exit__(*what)

    def serves(self, host="127.0.0.1", name="made"):
        with Conn(host, self.d.port, cred=auth_sys(uid=4711, gid=4711)) as c:
            c.compound(0, ops.putrootfh(), ops.lookup("s"), ops.create(2, name)).ok()
        return os.stat(os.path.join(self.folder, name)).st_uid == 4711

    def module(self, name):
        return next(m for m in call_verb(self.d.control, "module.list") if m["name"] == name)

    def maps(self):
        with open("/proc/%d/maps" % self.d.pid) as f:
            return f.read()


def one_line(d, name, words):
    lines = [line for line in d.log().splitlines() if "%s: not loaded: " % name in line]
    assert len(lines) == 1 and words in lines[0], (name, lines)


def test_no_kerberos_at_all():
    with Server(BASE) as s:
        assert s.serves()
        mapped = set(re.findall(r"/\S*(?:krb5|gssapi|com_err|auth-)\S*", s.maps()))
        assert {os.path.basename(m) for m in mapped} == {"auth-sys.so"}, mapped
    # The control socket's HTTP library brings GSS along; none of our Kerberos is there.
    with Server(ALL) as s:
        assert s.serves() and "auth-krb5" not in s.maps() and "libkadm5" not in s.maps()
        shown = call_verb(s.d.control, "share.security.show", name="s")
        assert shown["usable-sec"] == ["sys"], shown


def broken_krb5(make, words):
    """With a bad auth-krb5.so the share goes on, one line says why, and so does module.list."""
    def prepare(d):
        make(os.path.join(d.modules_dir, "auth-krb5.so"))

    with Server(ALL, prepare=prepare) as s:
        assert s.serves()
        one_line(s.d, "auth-krb5", words)
        m = s.module("auth-krb5")
        assert m["state"] == "failed" and words in m["reason"], m
        assert s.module("auth-sys")["state"] == "loaded"
        if os.path.exists(os.path.join(BUILD, "cli", "laresctl")):
            out = subprocess.run([os.path.join(BUILD, "cli", "laresctl"), "--socket", s.d.control, "module", "list"],
                                 capture_output=True, text=True, check=True).stdout
            line = next(line for line in out.splitlines() if "auth-krb5" in line)
            assert "failed" in line and words.split("\n")[0][:20] in " ".join(out.split()), out


def test_garbage():
    def make(path):
        with open(path, "wb") as f:
            f.write(b"\x7fELF but nothing else" * 100)
    broken_krb5(make, "cannot be loaded")


def test_empty_file():
    broken_krb5(lambda path: open(path, "wb").close(), "cannot be loaded")


def test_cut_short():
    """An interrupted copy, wherever it stopped."""
    with open(KRB5 or find_module("auth-sys"), "rb") as f:
        data = f.read()
    for size in (40, 64, 100, 5000, 20000):
        def make(path):
            with open(path, "wb") as out:
                out.write(data[:size])
        broken_krb5(make, "cannot be loaded")


def test_writable_by_others():
    def make(path):
        shutil.copy(KRB5 or find_module("auth-sys"), path)
        os.chmod(path, 0o666)
    broken_krb5(make, "written by its group or by others")


def test_newer_abi():
    broken_krb5(lambda path: os.symlink(find_module("broken-minor"), path), "built for module ABI 1.2")


def test_another_library_is_no_module():
    def copy(path):
        shutil.copy(os.path.realpath(os.path.join(BUILD, "core", "liblares.so")), path)
    # Two libraries with the same variables are what is tried here, and not what a sanitizer should stop at.
    options = os.environ.get("ASAN_OPTIONS", "")
    os.environ["ASAN_OPTIONS"] = options + ":detect_odr_violation=0"
    try:
        broken_krb5(copy, "not a Lares module")
    finally:
        os.environ["ASAN_OPTIONS"] = options


def test_missing_file():
    def prepare(d):
        d.write_module("auth-krb5", {})
    with Server(ALL, prepare=prepare) as s:
        assert s.serves()
        one_line(s.d, "auth-krb5", "has no auth-krb5.so")
        assert s.module("auth-krb5")["state"] == "missing"


def test_krb5_without_keys():
    """There, but with nothing to do: it waits for keys and nobody is refused."""
    if not KRB5:
        tap.skip("built without krb5")
    with Server({**ALL, "auth-krb5": {"keytab": "@DIR@/none.keytab"}}) as s:
        assert s.serves() and s.module("auth-krb5")["state"] == "loaded"


def test_no_auth_sys():
    """Nobody can log in, and the server stays."""
    with Server({k: v for k, v in ALL.items() if k != "auth-sys"}) as s:
        try:
            s.serves()
            raise AssertionError("served without a way to log in")
        except AssertionError:
            raise
        except Exception as e:
            assert "AUTH" in str(e) or "REJECTED" in str(e).upper() or "WRONGSEC" in str(e), repr(e)
        assert call_verb(s.d.control, "share.security.show", name="s")["usable-sec"] == []


def test_no_store():
    """Shares of a missing store are not there, the rest is; they come back with it."""
    with Server({k: v for k, v in ALL.items() if k != "store-posix"}) as s:
        with Conn("127.0.0.1", s.d.port, cred=auth_sys(uid=4711, gid=4711)) as c:
            c.compound(0, ops.putrootfh(), ops.getattr("fileid")).ok()
            assert c.compound(0, ops.putrootfh(), ops.lookup("s")).error in ("NOENT", "IO", "DELAY", "ACCESS", "STALE")
        shares = call_verb(s.d.control, "share.list")
        assert [x["name"] for x in shares] == ["s"], shares
        assert "posix" in s.d.log(), s.d.log()
        s.d.stop()
        s.d.modules = ALL
        s.d.write_config()
        s.d.start()
        assert s.serves()


def test_only_the_control_socket():
    with Laresd({"proto-rest": {}}, start=False) as d:
        d.wait = [d.control]
        d.start()
        assert [m["name"] for m in call_verb(d.control, "module.list")] == ["proto-rest"]


def test_no_module():
    with Laresd({}, wait=[]) as d:
        assert "there is no module in" in d.log()


def test_socket_activation():
    """Sockets by name; the order and what else is passed do not matter."""
    with socket.socket() as other, socket.socket() as nfs, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, \
            tempfile.TemporaryDirectory() as where:
        for s in (other, nfs):
            s.bind(("127.0.0.1", 0))
            s.listen()
        notify.bind(where + "/notify")
        notify.settimeout(60)
        wrapper = ["bash", "-c", 'exec 3<&%d 4<&%d; LISTEN_PID=$$ exec "$@"' % (other.fileno(), nfs.fileno()), "bash"]
        modules = {**ALL, "proto-nfs4": {"listen": "fd:nfs"}}
        with Laresd(modules, start=False, wrapper=wrapper, pass_fds=(other.fileno(), nfs.fileno()),
                    env={"LISTEN_FDS": "2", "LISTEN_FDNAMES": "other:nfs", "NOTIFY_SOCKET": where + "/notify"}) as d:
            d.wait = [d.control]
            d.start()
            assert notify.recv(100) == b"READY=1"
            folder = os.path.join(d.dir, "files")
            os.mkdir(folder)
            call_verb(d.control, "share.create", name="s", path=folder, sec=["sys"])
            for _ in range(2):  # the second time after a restart: the port was never closed
                with Conn("127.0.0.1", nfs.getsockname()[1], cred=auth_sys(uid=4711, gid=4711)) as c:
                    c.compound(0, ops.putrootfh(), ops.lookup("s")).ok()
                d.restart()
            # The environment is not handed on, nor is a name that was not passed taken for something else.
            with open("/proc/%d/environ" % d.pid) as f:
                assert "LISTEN_FDNAMES" in f.read()
        with Laresd({**ALL, "proto-nfs4": {"listen": "fd:absent"}}, start=False) as d:
            d.wait = [d.control]
            d.start()
            assert "the service manager passed no socket of that name" in d.log()
            assert d.log().count("fd:absent") == 1, d.log()


def test_both_families_on_one_listener():
    with Server({**ALL, "proto-nfs4": {"listen": "[::]:@PORT@"}}) as s:
        assert s.serves("127.0.0.1", "four")
        if not socket.has_dualstack_ipv6():
            tap.skip("no IPv6 here")
        assert s.serves("::1", "six")
        assert "client=127.0.0.1 " in s.d.log() and "client=::1 " in s.d.log(), s.d.log()
    with Server({**ALL, "proto-nfs4": {"listen": "127.0.0.1:@PORT@, [::1]:@PORT@"}}) as s:
        assert s.serves("127.0.0.1", "four") and s.serves("::1", "six")


def as_somebody_else(path, work):
    """Runs work(connect) in a child with another uid, which then waits. Gives what it returned, a number, and a function
    that ends it."""
    r, w = os.pipe()
    go_r, go_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_w)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        kept = []

        def connect():
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(60)
            c.connect(path)
            kept.append(c)
            return c
        try:
            os.write(w, b"%d" % work(connect))
            os.read(go_r, 1)
        finally:
            os._exit(0)
    os.close(go_r)
    os.close(w)
    result = int(os.read(r, 100))
    os.close(r)

    def end():
        os.close(go_w)
        os.waitpid(pid, 0)
    return result, end


def take_all(connect):
    """Half a request over each of many connections; how many of them stay open."""
    many = []
    for _ in range(300):
        try:
            c = connect()
            many.append(c)
            c.sendall(b"GET /api/v1/verbs HTTP/1.1\r\nHo")
        except OSError:
            pass
    time.sleep(0.5)
    return sum(not select.select([c], [], [], 0)[0] for c in many)


def ask(times):
    def work(connect):
        refused = 0
        for _ in range(times):
            c = connect()
            c.sendall(b"GET /api/v1/verbs HTTP/1.1\r\nHost: x\r\n\r\n")
            refused += b" 403 " in c.recv(100)
        return refused
    return work


def test_nobody_takes_all_of_the_control_socket():
    if os.geteuid() != 0:
        tap.skip("needs root, to become somebody else")
    with Server() as s:
        os.chmod(s.d.run, 0o755)
        left, end = as_somebody_else(s.d.control, take_all)
        assert 0 < left <= 16, left
        assert call_verb(s.d.control, "share.list")  # who may, is served beside them
        end()
        time.sleep(0.3)
        refused, end = as_somebody_else(s.d.control, ask(3))  # and they are not shut out for ever
        end()
        assert refused == 3, refused
        lines = [x for x in s.d.log().splitlines() if "event=auth" in x and "uid:65534" in x]
        assert lines and "verdict=refused" in lines[0] and "protocol=control" in lines[0], lines


def test_refused_logins_do_not_fill_the_log():
    if os.geteuid() != 0:
        tap.skip("needs root, to become somebody else")
    with Server() as s:
        os.chmod(s.d.run, 0o755)
        refused, end = as_somebody_else(s.d.control, ask(100))
        end()
        assert refused == 100, refused
        lines = [x for x in s.d.log().splitlines() if "event=auth" in x and "uid:65534" in x]
        assert 5 <= len(lines) <= 40, len(lines)


def test_modules_are_changed_by_verbs():
    """The file is written and true at once; what the module would refuse is not, and an administrator's lines stay."""
    with Laresd({"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "1s"}}) as d:
        file = os.path.join(d.config_dir, "proto-nfs4.module")
        text = "# ours\n[module]\n# on\nenabled=true\n[settings]\n#max-kept-replies=8M\nlisten=127.0.0.1:%d\n" % d.port
        with open(file, "w") as f:
            f.write(text)

        def verb(verb, **args):
            try:
                return call_verb(d.control, "module." + verb, **args)
            except Exception as e:
                return str(e)

        def setting(key):
            return [x for x in verb("show", name="proto-nfs4")["settings"] if x["key"] == key][0].get("value")
        assert setting("max-kept-replies") == "4M"
        verb("set", name="proto-nfs4", set=["max-kept-replies=9M"])
        assert setting("max-kept-replies") == "9M"
        assert "# ours" in open(file).read() and "#max-kept-replies=8M" in open(file).read() and "max-kept-replies=9M" in open(file).read()
        before = open(file).read()
        for args, words in (({"set": ["max-kept-replies=1"]}, "max-kept-replies"), ({"set": ["max-kept-repiles=9M"]}, "did you mean"),
                            ({"set": ["no equals"]}, "KEY=VALUE"), ({"set": ["a=b\nc=d"]}, "KEY=VALUE"), ({"set": ["=x"]}, "KEY=VALUE"),
                            ({"unset": ["workers"]}, "is not set"), ({}, "nothing to change")):
            answer = verb("set", name="proto-nfs4", **args)
            assert isinstance(answer, str) and words in answer, (args, answer)
            assert open(file).read() == before, args
        assert "no module" in verb("set", name="proto-nsf4", set=["a=b"])
        assert "no module" in verb("enable", name="../../etc/passwd")
        verb("set", name="proto-nfs4", unset=["max-kept-replies"])
        assert setting("max-kept-replies") == "4M"
        # Off: nobody listens any more. On again: somebody does.
        d.connect().close()
        verb("disable", name="proto-nfs4")
        try:
            d.connect(timeout=1).close()
            raise AssertionError("still listening")
        except OSError:
            pass
        assert "enabled=false" in open(file).read()
        verb("enable", name="proto-nfs4")
        d.connect().close()
        assert "is what you are talking to" in verb("disable", name="proto-rest")
        # A module without a file of its own gets one.
        os.unlink(os.path.join(d.config_dir, "auth-sys.module"))
        verb("enable", name="auth-sys")
        assert os.stat(os.path.join(d.config_dir, "auth-sys.module")).st_mode & 0o777 == 0o644
        assert re.search(r"verb=module.set object=proto-nfs4 subject=uid:0 face=socket .*verdict=done", d.log())


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    tap.main(globals())
