#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A verb that waits for another program keeps nobody else waiting: the realm's helper is held at a gate, and meanwhile
the server answers, changes and lists; who waits has the right answer once the gate is open. Exit 77 without MIT's KDC."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from bus import Bus
from laresd import BUILD, Laresd
from lares_server import ControlError, ControlConnection, call_verb
from realm import RealmError, tool

HELPER = os.path.join(BUILD, "modules", "realm-mit", "lares-realm-helper")


class Server:
    def __init__(self, bus=None):
        modules = {"auth-sys": {}, "store-posix": {}, "proto-rest": {},
                   "realm-mit": {"listen": "127.0.0.1", "kdc-port": "@PORT@", "kadmin-port": "@PORT2@",
                                 "kpasswd-port": "@PORT3@", "helper": "@DIR@/helper"}}
        if bus:
            modules["proto-dbus"] = {"bus": "system"}
        self.d = Laresd(modules, server={"host-name": "localhost"}, raw="[identity]\nrealms = SLOW.TEST\n", start=False,
                        env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address} if bus else None)
        self.gate, self.asked = self.d.dir + "/gate", self.d.dir + "/asked"
        with open(self.d.dir + "/helper", "w") as f:
            f.write(f"#!/bin/sh\nif [ -e {self.gate} ]; then echo >> {self.asked}; fi\n"
                    f"while [ -e {self.gate} ]; do sleep 0.05; done\nexec {HELPER}\n")
        os.chmod(self.d.dir + "/helper", stat.S_IRWXU)
        self.d.wait = [self.d.control]
        self.d.start()
        self.verb("realm.create", name="SLOW.TEST")
        until(lambda: os.path.exists(self.d.state + "/realm/backup.dump"))  # nobody else asks the helper any more

    def verb(self, verb_name, **args):
        return call_verb(self.d.control, verb_name, **args)

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
def serving(bus=None):
    s = Server(bus)
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
