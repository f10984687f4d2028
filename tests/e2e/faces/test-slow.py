#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A verb that waits for another program keeps nobody else waiting: the realm's helper is held at a gate, and meanwhile
the server answers, changes and lists; who waits has the right answer once the gate is open, if they still may. Exit 77
without MIT's KDC."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(TESTS, folder) for folder in ("lib", "smb", "wire")]
import nfsraw
import smb2raw
import tap
from bus import ASKS, Bus
from laresd import BUILD, Laresd
from lares_server import ControlError, ControlConnection, call_verb
from realm import RealmError, tool

HELPER = os.path.join(BUILD, "modules", "realm-mit", "lares-realm-helper")


# With an /etc/group of its own.
IN_ITS_WORLD = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/group && exec "$@"']


class Server:
    def __init__(self, bus=None, realm=True, group=None, more=()):
        """more: names of further modules that the test needs."""
        further = {"auth-krb5": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT5@"}, "proto-smb2": {"listen": "127.0.0.1:@PORT6@"}}
        modules = {"auth-sys": {}, "store-posix": {}, **{name: further[name] for name in more},
                   "proto-rest": {"http": "127.0.0.1:@PORT4@", "admin-group": "keepers"},
                   "realm-mit": {"listen": "127.0.0.1", "kdc-port": "@PORT@", "kadmin-port": "@PORT2@",
                                 "kpasswd-port": "@PORT3@", "rotate-grace": "1s", "helper": "@DIR@/helper", "kdb5-util": "@DIR@/kdb5_util"}}
        if bus:
            modules["proto-dbus"] = {"bus": "system"}
        self.d = Laresd(modules, server={"host-name": "localhost"}, raw="[identity]\nrealms = SLOW.TEST\n[control]\nadmins = @admins\n", start=False,
                        wrapper=IN_ITS_WORLD + [group] if group else (), env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address} if bus else None)
        self.gate, self.asked = self.d.dir + "/gate", self.d.dir + "/asked"
        for name, program in (("helper", HELPER), ("kdb5_util", tool("kdb5_util"))):
            with open(f"{self.d.dir}/{name}", "w") as f:
                f.write(f"#!/bin/sh\nif [ -e {self.gate} ]; then echo >> {self.asked}; fi\n"
                        f"while [ -e {self.gate} ]; do sleep 0.05; done\nexec {program} \"$@\"\n")
            os.chmod(f"{self.d.dir}/{name}", stat.S_IRWXU)
        self.d.wait = [self.d.control]
        self.d.start()
        if realm:
            self.create()

    def create(self):
        self.verb("realm.create", name="SLOW.TEST")
        self.quiet()

    def reload_realm(self, hours):
        """With another setting: the module looks for its realm anew."""
        self.d.write_module("realm-mit", {**self.d.modules["realm-mit"], "max-life": f"{hours}h"})
        self.verb("server.reload")

    def quiet(self):
        """Nobody else asks the helper any more."""
        until(lambda: os.path.exists(self.d.state + "/realm/backup.dump"))

    def verb(self, verb_name, **args):
        return call_verb(self.d.control, verb_name, **args)

    def count(self, flavor):
        """Logins over HTTP that were accepted."""
        line = re.search(rf'^lares_auth_successes_total\{{.*flavor="{flavor}".*\}} (\d+)', self.verb("metrics")["text"], re.M)
        return int(line[1]) if line else 0

    def kinit(self, user):
        env = dict(os.environ, KRB5_CONFIG=self.d.state + "/realm/krb5.conf", KRB5CCNAME=f"FILE:{self.d.dir}/cc-{user}")
        until(lambda: subprocess.run(["kinit", user], input="correct horse\n", env=env, capture_output=True,
                                     text=True).returncode == 0)
        return env

    def ask(self, path, *words, env=None, flavor="token"):
        """A request that is in the queue when this returns."""
        before = self.count(flavor)
        command = ["curl", "-s", "-w", "\n%{http_code}\n%header{www-authenticate}", *words,
                   f"http://localhost:{self.d.ports[4]}/api/v1{path}"]
        later = Later(lambda: subprocess.run(command, env=env, capture_output=True, text=True, timeout=60).stdout.split("\n"))
        until(lambda: self.count(flavor) > before)
        return later

    def close(self):
        with open(self.gate, "w"):
            pass
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.asked)

    def open(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.gate)

    def rest(self, method, path, body=None):
        c = ControlConnection(self.d.control)
        c.request(method, "/api/v1" + path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, json.loads(text) if text else None


def until(what, timeout=60):
    end = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


class Later(threading.Thread):
    """A request that somebody waits for."""

    def __init__(self, what):
        super().__init__(daemon=True)
        self.what, self.result, self.error = what, None, None
        self.start()

    def run(self):
        try:
            self.result = self.what()
        except Exception as e:
            self.error = e

    def done(self):
        self.join(60)
        assert not self.is_alive()
        return self.result


@contextlib.contextmanager
def serving(*args, **more):
    s = Server(*args, **more)
    try:
        yield s
    finally:
        s.open()
        s.d.cleanup()


def check_that_others_go_on(s):
    """While somebody waits at the gate."""
    assert s.rest("GET", "/health")[1]["status"] in ("ok", "failing", "degraded"), s.rest("GET", "/health")
    assert s.verb("realm.status")["name"] == "SLOW.TEST"
    s.verb("group.add", name="meanwhile")
    assert "meanwhile" in [g["name"] for g in s.rest("GET", "/groups")[1]["items"]]
    s.verb("group.delete", name="meanwhile")


def test_others_go_on():
    with serving() as s:
        s.close()
        first = Later(lambda: s.rest("POST", "/realm/users", {"name": "ada", "password": "correct horse"}))
        until(lambda: os.path.exists(s.asked))
        second = Later(lambda: s.rest("GET", "/realm/users?limit=1"))
        third = Later(lambda: s.verb("user.add", name="ben", password="correct horse"))
        gone = ControlConnection(s.d.control)  # and somebody who does not wait for the answer
        gone.request("POST", "/api/v1/verbs/realm.user.list", "{}")
        gone.close()
        check_that_others_go_on(s)
        time.sleep(0.2)
        assert first.is_alive() and second.is_alive() and third.is_alive()
        s.open()
        status, made = first.done()
        assert status == 201, made
        status, page = second.done()
        assert status == 200 and len(page["items"]) == 1 and page["total"] >= 1, page
        third.done()
        assert third.error is None and third.result["name"] == "ben", (third.error, third.result)
        assert {"ada", "ben"} <= {u["name"] for u in s.verb("user.list")}
        assert {"ada", "ben"} <= {u["name"] for u in s.verb("realm.user.list")}
        # Errors come back as they are.
        status, problem = s.rest("POST", "/realm/users", {"name": "ada", "password": "correct horse"})
        assert status == 409 and problem["code"] == "exists", problem
        try:
            s.verb("realm.user.show", name="nobody")
            raise AssertionError("nobody is there")
        except ControlError as e:
            assert "nobody" in str(e), e
        log = s.d.log()
        assert log.count("verb=realm.user.add object=ada") >= 2 and "verb=user.add object=ben" in log, log


def check_that_everybody_is_served(s):
    """While somebody waits at the gate: were the main thread held there, none of this would come back."""
    assert s.rest("GET", "/health")[1]["status"] in ("ok", "failing", "degraded")
    assert s.rest("GET", "/version")[0] == 200 and "lares_build_info" in s.verb("metrics")["text"]
    with nfsraw.Conn(port=s.d.ports[5]) as nfs:
        nfs.null()
    smb = smb2raw.Conn(s.d.ports[6])
    smb.negotiate()
    assert smb.call(13, struct.pack("<HH", 4, 0)).status == 0  # ECHO
    smb.close()


def test_the_realm_itself():
    """Making it, new keys, its keytab and its end: all of them wait, and only who asked waits with them."""
    with serving(realm=False, more=["proto-nfs4", "proto-smb2"]) as s:
        s.close()
        made = Later(lambda: s.verb("realm.create", name="SLOW.TEST"))
        until(lambda: os.path.exists(s.asked))
        check_that_everybody_is_served(s)
        assert s.rest("GET", "/realm")[0] == 404 and not os.path.exists(s.d.state + "/realm")  # whole or not there
        s.reload_realm(20)
        assert made.is_alive()
        s.open()
        assert made.done()["created"] is True, made.error
        until(lambda: s.verb("realm.status")["running"])
        s.quiet()
        daemons = {d["program"]: d["pid"] for d in s.verb("realm.status")["daemons"]}
        for verb in ("realm.keytab", "realm.rotate"):
            s.close()
            asked = Later(lambda: s.verb(verb))
            until(lambda: os.path.exists(s.asked))
            check_that_everybody_is_served(s)
            assert asked.is_alive()
            s.open()
            asked.done()
            assert asked.error is None and asked.result, (verb, asked.error)
        # The thread of the verb that had the daemons started is long gone; they are not.
        status = s.verb("realm.status")
        assert status["running"] and {d["program"]: d["pid"] for d in status["daemons"]} == daemons, status
        assert not any(d["restarts"] for d in status["daemons"])
        s.close()  # before the second step of the rotation: a job that the end must wait for
        until(lambda: os.path.exists(s.asked))
        gone = Later(lambda: s.verb("realm.remove", name="SLOW.TEST", confirm=True))
        until(lambda: s.rest("GET", "/realm")[0] == 404)
        check_that_everybody_is_served(s)
        s.reload_realm(21)  # does not take what is going for a realm
        assert gone.is_alive() and s.rest("GET", "/realm")[0] == 404
        s.open()
        gone.done()
        assert gone.error is None and not os.path.exists(s.d.state + "/realm"), gone.error
        for pid in daemons.values():
            assert not os.path.exists(f"/proc/{pid}"), daemons
        s.create()


def test_a_stop_waits_for_who_is_at_work():
    with serving() as s:
        s.close()
        first = Later(lambda: s.rest("POST", "/realm/users", {"name": "ada", "password": "correct horse"}))
        until(lambda: os.path.exists(s.asked))
        second = Later(lambda: s.rest("GET", "/realm/users"))
        until(lambda: s.rest("GET", "/health")[0] in (200, 503))
        s.d.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        s.open()
        s.d.stop()
        first.done(), second.done()
        assert "subject=uid:0 face=socket" in s.d.log() or os.geteuid() != 0
        assert "verb=realm.user.add object=ada" in s.d.log() and "verdict=done" in s.d.log()


def made_by(name):
    """Words for curl: make a user of the realm."""
    return "-H", "Content-Type: application/json", "-d", json.dumps({"name": name, "password": "correct horse"})


def refused(later, status, code, words):
    problem, got, challenge = later.done()
    problem = json.loads(problem)
    assert got == str(status) and problem["status"] == status and problem["code"] == code, (got, problem)
    assert words in problem["detail"], problem
    assert status != 401 or challenge == "Negotiate", challenge


def test_rights_end_while_a_verb_waits():
    """A token is revoked, a user disabled, a group left, a scope of the socket taken away: what waits is not done."""
    if "SPNEGO" not in subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout:
        tap.skip("this curl cannot Negotiate")
    with tempfile.NamedTemporaryFile("w") as group, serving(
            group=group.name if os.geteuid() == 0 else None, more=["auth-krb5"]) as s:
        s.verb("group.add", name="admins")
        for user in ("ada", "ben", "eve"):
            s.verb("user.add", name=user, password="correct horse")
            s.verb("group.add-member", name="admins", member=user)
        env = {user: s.kinit(user) for user in ("ada", "ben", "eve")}
        robot, other = (s.verb("token.create", service=name, scope="admin", lifetime=600) for name in ("robot", "other"))
        own = json.loads(s.ask("/tokens", "-X", "POST", "--negotiate", "-u", ":", env=env["eve"], flavor="krb5").done()[0])
        bearer = lambda token: ("-H", "Authorization: Bearer " + token["token"])
        ticket = ("--negotiate", "-u", ":")
        s.close()
        first = Later(lambda: s.rest("GET", "/realm/users"))
        until(lambda: os.path.exists(s.asked))
        disable = Later(lambda: s.verb("user.disable", name="ada"))  # waits its turn, too, and comes before her own
        until(lambda: s.verb("health"))
        waiting = {"robot": s.ask("/realm/users", *made_by("robot"), *bearer(robot)),
                   "other": s.ask("/realm/users", *made_by("other"), *bearer(other)),
                   "own": s.ask("/realm/users", *made_by("own"), *bearer(own)),
                   "ada": s.ask("/realm/users", *made_by("ticket"), *ticket, env=env["ada"], flavor="krb5"),
                   "ben": s.ask("/realm/users", *made_by("member"), *ticket, env=env["ben"], flavor="krb5"),
                   "eve": s.ask("/realm/users", *made_by("good"), *ticket, env=env["eve"], flavor="krb5")}
        nobody = None
        if os.geteuid() == 0:
            group.write("keepers:x:4711:nobody\n")
            group.flush()
            command = ["curl", "-s", "-w", "\n%{http_code}\n%header{www-authenticate}", "--unix-socket", s.d.control,
                       *made_by("nobody"), "http://x/api/v1/realm/users"]
            nobody = Later(lambda: subprocess.run(command, user=65534, capture_output=True, text=True,
                                                  timeout=60).stdout.split("\n"))
            time.sleep(0.5)  # nothing tells that it is in the queue; were it late, it would be refused all the same
        s.verb("token.revoke", id=robot["id"])
        s.verb("token.revoke", id=own["id"])
        s.verb("group.remove-member", name="admins", member="ben")
        group.truncate(0)
        s.open()
        first.done(), disable.done()
        assert disable.error is None, disable.error
        refused(waiting["robot"], 401, "login", "revoked")
        refused(waiting["own"], 401, "login", "revoked")
        refused(waiting["ada"], 403, "denied", "ada@SLOW.TEST may not manage this server any more")
        refused(waiting["ben"], 403, "denied", "ben@SLOW.TEST")
        if nobody:
            refused(nobody, 403, "denied", "uid:65534")
        for name in ("other", "eve"):  # who lost nothing has what they asked for
            assert waiting[name].done()[1] == "201", waiting[name].result
        users = {u["name"] for u in s.verb("realm.user.list")}
        assert {"other", "good"} <= users and not users & {"robot", "own", "ticket", "member", "nobody"}, users
        for name, subject in (("robot", "service:robot"), ("own", "eve@SLOW.TEST"), ("ticket", "ada@SLOW.TEST"),
                              ("member", "ben@SLOW.TEST")):
            assert re.search(rf'verb=realm.user.add object={name} subject="?{subject}"? face=rest address=127.0.0.1 '
                             r'verdict=denied reason=".*while the request waited', s.d.log()), (name, s.d.log())


def add_while_waiting(s, bus, name, meanwhile, questions=1):
    """A user of the realm is added over D-Bus by somebody, behind a verb that lasts, and polkit changes its mind: the answer."""
    s.close()
    first = Later(lambda: s.rest("GET", "/realm/users"))
    until(lambda: os.path.exists(s.asked))
    asked = bus.asked()
    later = Later(lambda: bus.call("/Realm", "Realm", "AddUser", "ss", name, "correct horse", user=65534))
    until(lambda: bus.asked() == asked + questions)  # and it has answered
    meanwhile()
    s.open()
    first.done()
    return later.done()[1]


def test_polkit_changes_its_mind():
    if not shutil.which("busctl") or not shutil.which("dbus-daemon") or os.geteuid() != 0:
        tap.skip("needs busctl, dbus-daemon and root")
    action, password = "org.lares.lares1.manage-realm", "SetWithPassword"
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        bus = Bus(pathlib.Path(work))
        try:
            bus.start_polkit(action, template=ASKS)
            with serving(bus) as s:
                s.d.wait_log("org.lares.Lares1 is on the bus")
                assert add_while_waiting(s, bus, "one", lambda: bus.allow(action)) is None
                no = "uid:65534 may not manage this server any more"
                assert no in add_while_waiting(s, bus, "two", bus.allow)
                # Who gave a password is not asked for it again; who needed none, and would need one now, has not given it.
                bus.allow(action, how=password)
                assert add_while_waiting(s, bus, "three", lambda: None, 2) is None
                assert no in add_while_waiting(s, bus, "four", bus.allow, 2)
                bus.allow(action)
                assert no in add_while_waiting(s, bus, "five", lambda: bus.allow(action, how=password))
                users = {u["name"] for u in s.verb("realm.user.list")}
                assert {"one", "three"} <= users and not users & {"two", "four", "five"}, users
                assert re.search(r"verb=realm.user.add object=two subject=uid:65534 face=dbus .*verdict=denied", s.d.log())
        finally:
            bus.stop()


def test_on_the_bus():
    if not shutil.which("busctl") or not shutil.which("dbus-daemon"):
        tap.skip("needs busctl and dbus-daemon")
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        bus = Bus(pathlib.Path(work))
        try:
            with serving(bus) as s:
                s.d.wait_log("org.lares.Lares1 is on the bus")
                s.close()
                first = Later(lambda: bus.call("/Realm", "Realm", "AddUser", "ss", "ada", "correct horse"))
                until(lambda: os.path.exists(s.asked))
                check_that_others_go_on(s)
                assert first.is_alive()
                s.open()
                assert first.done()[1] is None, first.result
                assert "ada" in {u["name"] for u in s.verb("realm.user.list")}
        finally:
            bus.stop()


if __name__ == "__main__":
    try:
        tool("krb5kdc")
    except RealmError as e:
        print("1..0 # SKIP", e)
        sys.exit(77)
    tap.main(globals())
