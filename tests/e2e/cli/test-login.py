#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""laresctl against servers elsewhere: login with tickets of a real KDC, contexts, certificates, what ends a login. Every
command runs as somebody who is not root, with a folder of their own for configuration. Exit 77 without MIT's KDC."""
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from climate import CONFLICT, DENIED, LARESCTL, NOT_FOUND, OK, UNREACHABLE, USAGE
from laresd import Laresd
from lares_server import call_verb
from realm import Realm, RealmError, tool
from sanitizers import for_command, for_tls

SOMEBODY = 65534


class World:
    """Two servers of one realm: ada may do all, bob look, eve nothing."""

    def __init__(self, work, realm, servers):
        self.work, self.realm = work, realm
        self.config = work / "config"
        self.config.mkdir()
        os.chown(self.config, SOMEBODY, SOMEBODY)
        self.servers = [self.server(i) for i in range(servers)]
        self.files = self.config / "lares" / "contexts"

    def server(self, i):
        (self.work / f"server{i}").mkdir()
        return Laresd({"auth-sys": {}, "store-posix": {}, "auth-krb5": {"keytab": self.realm.service_keytab},
                       "proto-rest": {"https": "127.0.0.1:@PORT@"}}, server={"host-name": "localhost"},
                      raw="[control]\nadmins = ada\nreaders = bob\n", env=self.realm.env(), start=False,
                      directory=str(self.work / f"server{i}"))

    def begin(self):
        """As if nobody had ever been here: no login, no tokens, all users let in."""
        shutil.rmtree(self.config)
        self.config.mkdir()
        os.chown(self.config, SOMEBODY, SOMEBODY)
        for d in self.servers:
            if d.process is None:
                d.start()
            for token in call_verb(d.control, "token.list"):
                call_verb(d.control, "token.revoke", id=token["id"])
            for user in call_verb(d.control, "user.list"):
                call_verb(d.control, "user.delete", name=user["name"])
        self.seen = [len(d.log()) for d in self.servers]

    def log(self, i=0):
        """Of this test."""
        return self.servers[i].log()[self.seen[i]:]

    def url(self, i=0):
        return f"https://localhost:{self.servers[i].port}"

    def fingerprint(self, i=0):
        status = call_verb(self.servers[i].control, "status")
        return [p for p in status["protocols"] if p["name"] == "rest"][0]["details"]["certificate-sha256"]

    def env(self, user=None, **more):
        env = self.realm.env(ccache=self.work / f"cc-{user}" if user else self.work / "no-cc")
        for name in ("LARES_SOCKET", "LARES_CONTEXT"):
            env.pop(name, None)
        env = dict(env, XDG_CONFIG_HOME=str(self.config), LC_ALL="C.UTF-8", LANGUAGE="", HOME=str(self.work), **more)
        return for_tls(env)

    def kinit(self, user, realm=None, **more):
        cc = (realm or self.realm).kinit(user, self.work / f"cc-{user}", **more)
        os.chown(cc, SOMEBODY, SOMEBODY)

    def ctl(self, *args, user=None, root=False, env=None, code=None):
        who = {} if root else {"user": SOMEBODY, "group": SOMEBODY, "extra_groups": []}
        return subprocess.run([LARESCTL, *args], env=for_command(self.env(user, **(env or {})), args, code),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, start_new_session=True, **who)

    def ok(self, *args, **more):
        r = self.ctl(*args, code=OK, **more)
        assert (r.returncode, r.stderr) == (OK, ""), (args, r)
        return r.stdout

    def json(self, *args, **more):
        return json.loads(self.ok(*args, "--json", **more))

    def refused(self, code, *args, **more):
        """The sentence that stands on stderr."""
        r = self.ctl(*args, code=code, **more)
        assert r.returncode == code and not r.stdout and re.fullmatch(r"laresctl: [^\n]+\n", r.stderr), (args, r)
        return r.stderr

    def login(self, user, *more, i=0):
        self.kinit(user)
        return self.json("login", "--server", self.url(i), "--fingerprint", self.fingerprint(i), *more, user=user)

    def set_expiry(self, i, when):
        d = self.servers[i]
        d.stop()
        with contextlib.closing(sqlite3.connect(os.path.join(d.state, "lares.db"))) as db, db:
            assert db.execute("UPDATE tokens SET expires = ?", (int(when),)).rowcount
        d.start()


_world = None


def world():
    """One realm and two servers for all tests, each of which finds them as if it were the first."""
    _world.begin()
    return contextlib.nullcontext(_world)


@contextlib.contextmanager
def make_world():
    global _world
    work = pathlib.Path(tempfile.mkdtemp(prefix="login-"))
    os.chmod(work, 0o755)
    try:
        with Realm(work / "realm", users=["ada", "bob", "eve"], services=["HTTP/localhost"]) as realm:
            _world = World(work, realm, 2)
            try:
                for d in _world.servers:
                    d.start()
                yield
            finally:
                for d in _world.servers:
                    d.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)


# ---- in and out

def test_login_works_from_then_on():
    with world() as w:
        (w.work / "folder").mkdir()
        made = w.login("ada", "--kerberos")
        name = f"localhost-{w.servers[0].port}"
        assert (made["name"], made["user"], made["rights"], made["logged-in"]) == (name, "ada@LARES.TEST", "admin", True), made
        assert made["fingerprint"] == w.fingerprint() and made["current"] is True, made
        assert 0 < made["expires"] - time.time() <= 36060, made  # never beyond the ticket
        assert "token" not in made
        # No ticket is needed any more, and every command goes there.
        assert w.json("status")["pid"] == w.servers[0].pid
        w.ok("share", "create", "media", str(w.work / "folder"), "--read-only", "yes")
        assert "media" in w.ok("share", "list")
        assert call_verb(w.servers[0].control, "share.show", name="media")["read-only"] is True
        assert "full path" in w.refused(USAGE, "share", "create", "other", "folder")
        w.ok("share", "remove", "media")
        log = w.log()
        assert re.search(r'verb=share.create object=media subject="?ada@LARES.TEST"? face=rest address=127.0.0.1 verdict=done', log), log
        # What is kept is the owner's alone, and the log has no token.
        token = re.search(r"^token=(.*)$", w.files.read_text(), re.M).group(1)
        assert token.startswith("lares_") and token not in log
        assert w.files.stat().st_mode & 0o777 == 0o600 and w.files.parent.stat().st_mode & 0o777 == 0o700
        assert os.listdir(w.files.parent) == ["contexts"]  # nothing is left of writing it
        os.chmod(w.files, 0o644)
        assert "read or written by others" in w.refused(1, "status")
        os.chmod(w.files, 0o600)
        assert w.json("token", "list")[0]["label"].startswith("laresctl on ")


def test_rights_are_no_more_than_asked_for():
    with world() as w:
        assert w.login("ada", "--rights", "read")["rights"] == "read"
        assert w.ok("user", "list")
        assert '"admin"' in w.refused(DENIED, "user", "add", "zoe")
        w.kinit("bob")
        assert '"read" only' in w.refused(DENIED, "login", "--rights", "admin", user="bob")
        assert w.login("ada", "--lifetime", "600")["expires"] - time.time() <= 600
        # The one before was ended with the new login.
        assert len(call_verb(w.servers[0].control, "token.list")) == 1
        w.kinit("eve")
        assert "eve@LARES.TEST may not manage this server" in w.refused(DENIED, "login", user="eve")


def test_logout_revokes():
    with world() as w:
        w.login("ada")
        token = re.search(r"^token=(.*)$", w.files.read_text(), re.M).group(1)
        assert "logged out" in w.ok("logout")
        assert token not in w.files.read_text() and not call_verb(w.servers[0].control, "token.list")
        log = w.log()
        assert re.search(r'verb=token.revoke .*subject="?ada@LARES.TEST"? face=rest address=127.0.0.1 verdict=done', log), log
        assert "logged out of" in w.refused(DENIED, "status")
        # The certificate is remembered: no question at the next login, and no fingerprint to give.
        w.ok("login", user="ada")
        # Where the server cannot be told, it is said how long the token is good.
        w.servers[0].stop()
        assert "could not be told" in w.refused(UNREACHABLE, "logout")
        assert "token=" not in w.files.read_text()
        w.servers[0].start()
        assert "say which" in w.refused(NOT_FOUND, "logout", "--context", "local")
        w.ok("context", "remove", w.json("context", "list")[0]["name"])
        assert "not logged in anywhere" in w.refused(NOT_FOUND, "logout")


def test_what_ends_a_login():
    with world() as w:
        w.login("ada")
        w.set_expiry(0, time.time() - 1)
        assert "has ended" in w.refused(DENIED, "status")  # the server says so
        text = w.files.read_text()
        w.ok("login", user="ada")
        w.ok("token", "revoke", w.json("token", "list")[0]["id"])
        said = w.refused(DENIED, "status")
        assert "has ended" in said and "laresctl login --context localhost-" in said, said
        w.ok("login", user="ada")
        call_verb(w.servers[0].control, "user.disable", name="ada")
        assert "has ended" in w.refused(DENIED, "status")
        # One that ran out is not even sent.
        w.files.write_text(re.sub(r"expires=\d+", "expires=%d" % (time.time() - 5), text))
        w.servers[0].stop()
        assert "has ended" in w.refused(DENIED, "status")
        w.servers[0].start()


# ---- several servers

def test_contexts():
    with world() as w:
        first, second = (w.login("ada", "--name", n, i=i) for i, n in enumerate(("one", "two")))
        pids = [d.pid for d in w.servers]
        assert [c["name"] for c in w.json("context", "list")] == ["one", "two"]
        assert [c["current"] for c in w.json("context", "list")] == [False, True]
        assert w.json("status")["pid"] == pids[1]
        assert "one" in w.ok("context", "use", "one") and w.json("status")["pid"] == pids[0]
        assert w.json("status", "--context", "two")["pid"] == pids[1]
        assert w.json("status", "--server", w.url(1))["pid"] == pids[1]
        assert w.json("status", env={"LARES_CONTEXT": "two"})["pid"] == pids[1]
        assert w.json("context", "show", "two")["server"] == second["server"] == w.url(1)
        assert "did you mean" in w.refused(NOT_FOUND, "status", "--context", "onne")
        assert "not logged in to" in w.refused(DENIED, "status", "--server", "nowhere.lan")
        assert "exclude" in w.refused(USAGE, "status", "--context", "one", "--socket", "/x")
        assert "another name" in w.refused(CONFLICT, "login", "--server", w.url(1), "--name", "one", user="ada")
        assert "cannot name a context" in w.refused(USAGE, "login", "--server", w.url(1), "--name", "a b", user="ada")
        # The socket is still there by its name, by LARES_SOCKET, and for root whatever is logged in.
        assert "control.sock" in w.refused(UNREACHABLE, "status", "--context", "local")
        assert "/nowhere" in w.refused(UNREACHABLE, "status", env={"LARES_SOCKET": "/nowhere"})
        assert w.json("status", "--context", "two", env={"LARES_SOCKET": "/nowhere"})["pid"] == pids[1]
        assert w.json("status", "--context", "two", root=True)["pid"] == pids[1]
        r = w.ctl("status", root=True)
        assert not r.stdout.startswith("{") and str(pids[0]) not in r.stdout, r
        w.ok("context", "use", "local")
        assert [c["current"] for c in w.json("context", "list")] == [False, False]
        words = [x.split("\t")[0] for x in w.ok("__complete", "status", "--context", "").splitlines()]
        assert words == ["one", "two", "local"], words
        assert "forgotten" in w.ok("context", "remove", "one")
        assert [c["name"] for c in w.json("context", "list")] == ["two"]
        assert not call_verb(w.servers[0].control, "token.list") and call_verb(w.servers[1].control, "token.list")
        w.login("ada", "--name", "one")
        assert w.ok("logout", "--all").count("logged out") == 2
        assert not any(call_verb(d.control, "token.list") for d in w.servers)
        assert first["server"] == w.url(0)


def test_two_at_once_lose_nothing():
    with world() as w:
        w.kinit("ada")
        pin = w.fingerprint()
        running = [subprocess.Popen([LARESCTL, "login", "--server", w.url(), "--fingerprint", pin, "--name", f"n{i}"],
                                    env=w.env("ada"), stdout=subprocess.DEVNULL, user=SOMEBODY, group=SOMEBODY,
                                    extra_groups=[]) for i in range(6)]
        assert [p.wait(60) for p in running] == [0] * 6
        assert sorted(c["name"] for c in w.json("context", "list")) == [f"n{i}" for i in range(6)]


# ---- certificates

def answer_on_terminal(w, user, word, *args):
    pid, fd = pty.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(SOMEBODY)
        os.setuid(SOMEBODY)
        os.execve(LARESCTL, [LARESCTL, *args], w.env(user))
    seen = b""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.05)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                break
        if word and b"(yes or no)" in seen:
            os.write(fd, word.encode() + b"\n")
            word = None
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_first_use_is_asked_about():
    with world() as w:
        w.kinit("ada")
        said = w.refused(DENIED, "login", "--server", w.url(), user="ada")  # nobody to ask
        assert w.fingerprint() in said and "--fingerprint" in said, said
        assert not w.files.exists() and "event=auth" not in w.log()  # and no ticket was shown to it
        code, seen = answer_on_terminal(w, "ada", "no", "login", "--server", w.url())
        assert code == DENIED and w.fingerprint() in seen and not w.files.exists(), seen
        code, seen = answer_on_terminal(w, "ada", "yes", "login", "--server", w.url())
        assert code == OK and w.fingerprint() in seen, seen
        assert w.json("status")["pid"] == w.servers[0].pid
        code, seen = answer_on_terminal(w, "ada", None, "login", "--server", w.url())
        assert code == OK and "yes or no" not in seen, seen


def test_wrong_and_changed_certificates():
    with world() as w:
        w.kinit("ada")
        wrong = "AB" * 32
        said = w.refused(DENIED, "login", "--server", w.url(), "--fingerprint", wrong, user="ada")
        assert "HAS CHANGED" in said and w.fingerprint() in said and ":".join(["AB"] * 32) in said, said
        assert "event=auth" not in w.log()
        assert "is not a SHA-256" in w.refused(USAGE, "login", "--server", w.url(), "--fingerprint", "AB:CD", user="ada")
        w.ok("login", "--server", w.url(), "--fingerprint", w.fingerprint().lower().replace(":", ""), user="ada")
        before = w.fingerprint()
        w.servers[0].stop()
        os.unlink(os.path.join(w.servers[0].state, "rest-certificate.pem"))
        w.servers[0].start()
        assert w.fingerprint() != before
        for words in (["status"], ["login"], ["login", "--server", w.url()]):
            said = w.refused(DENIED, *words, user="ada")
            assert "HAS CHANGED" in said and "Nothing was sent" in said, said
        assert "event=auth" not in w.log().split("is ready as")[-1]  # neither token nor ticket
        w.ok("login", "--server", w.url(), "--fingerprint", w.fingerprint(), user="ada")
        assert w.json("status")["pid"] == w.servers[0].pid


def test_a_certificate_that_the_system_trusts_needs_no_pin():
    """As an authority would: the server's certificate is made known to GnuTLS by its own variable."""
    with world() as w:
        w.kinit("ada")
        assert "--fingerprint" in w.refused(DENIED, "login", "--server", w.url(), user="ada")
        with world_trusts(w):
            made = w.json("login", "--server", w.url(), user="ada")
            assert "fingerprint" not in made, made
            assert w.json("status")["pid"] == w.servers[0].pid
        said = w.refused(DENIED, "status")  # and is asked each time
        assert "not trusted by this system any more" in said, said


@contextlib.contextmanager
def world_trusts(w):
    """The system's list of authorities, for this test in a namespace of its own."""
    import ctypes
    if ctypes.CDLL(None).unshare(0x00020000) != 0:
        tap.skip("needs namespaces")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    if not os.path.exists(bundle):
        tap.skip("no list of authorities here")
    own = w.work / "bundle.crt"
    pem = pathlib.Path(w.servers[0].state, "rest-certificate.pem").read_text()
    own.write_text(pem[pem.index("-----BEGIN CERTIFICATE"):])
    own.chmod(0o644)
    subprocess.run(["mount", "--bind", str(own), bundle], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", bundle], check=True)


# ---- tickets

def test_no_ticket():
    with world() as w:
        pin = ["--server", w.url(), "--fingerprint", w.fingerprint()]
        said = w.refused(DENIED, "login", *pin)
        assert 'run "kinit USER@REALM"' in said, said
        w.kinit("ada", life=1)
        time.sleep(1.5)
        said = w.refused(DENIED, "login", *pin, user="ada")
        assert "your ticket has ended" in said and "kinit" in said, said
        assert not w.files.exists()


def test_ticket_of_another_realm():
    with world() as w, tempfile.TemporaryDirectory(prefix="other-") as other:
        os.chmod(other, 0o755)
        with Realm(other + "/realm", name="OTHER.TEST", users=["mallory"], services=["HTTP/localhost"]) as realm:
            cc = realm.kinit("mallory", w.work / "cc-mallory")
            os.chown(cc, SOMEBODY, SOMEBODY)
            env = dict(KRB5_CONFIG=str(realm.krb5_conf))
            said = w.refused(DENIED, "login", "--server", w.url(), "--fingerprint", w.fingerprint(), user="mallory", env=env)
            assert "could not accept this ticket" in said, said  # its realm knows such a service, with another key
            realm.remove("HTTP/localhost")
            w.kinit("mallory", realm=realm)
            said = w.refused(DENIED, "login", "--server", w.url(), "--fingerprint", w.fingerprint(), user="mallory", env=env)
            assert "your ticket is not good for HTTP/localhost" in said and "kinit" in said, said
        assert not w.files.exists()


def test_wrong_words():
    with world() as w:
        assert "--server https://" in w.refused(USAGE, "login")
        for bad in ("http://localhost:1", "ftp://x", "https://u@x", "https://x/y", "https://", "https://x?y"):
            assert "is not the address of a server" in w.refused(USAGE, "login", "--server", bad), bad
        assert "no server listens" in w.refused(UNREACHABLE, "login", "--server", "https://localhost:1")
        assert "none of" in w.refused(USAGE, "login", "--server", w.url(), "--rights", "king")
        assert w.refused(NOT_FOUND, "context", "use", "nothing")
        assert w.refused(NOT_FOUND, "context", "remove", "nothing")
        assert "no other server" in w.ok("context", "list")


if __name__ == "__main__":
    try:
        for program in ("krb5kdc", "kinit", "kadmin.local"):
            tool(program)
    except RealmError as e:
        print("1..0 # SKIP", e)
        sys.exit(77)
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    with make_world():
        tap.main(globals())
