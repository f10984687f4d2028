#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Management over D-Bus on private buses: busctl and gdbus as clients, python-dbusmock as polkit. Exit 77 without them."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from bus import NAME, ROOT, Bus
from laresd import Laresd
from lares_server import call_verb

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
NOBODY = 65534


@contextlib.contextmanager
def serving(polkit=None, **more):
    work = pathlib.Path(tempfile.mkdtemp(prefix="dbus-"))
    os.chmod(work, 0o755)
    (work / "folder").mkdir()
    bus = Bus(work)
    try:
        if polkit is not None:
            bus.start_polkit(*polkit)
        with Laresd({"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-dbus": {"bus": "system"}}, wait=[],
                    env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address}, **more) as d:
            d.wait_log("org.lares.Lares1 is on the bus")
            bus.d = d
            yield bus
    finally:
        bus.stop()
        shutil.rmtree(work, ignore_errors=True)


def created(bus, name, *values):
    answer, error = bus.call("/Server", "Server", "CreateShare", "ssa{sv}", name, str(bus.work / "folder"), *(values or ("0",)))
    assert not error, error
    return answer


def test_objects_and_properties():
    with serving() as bus:
        assert bus.prop("/Server", "Server", "Host") == "nas.home.lan"
        created(bus, "music", "2", "read-only", "b", "true", "sec", "as", "1", "sys")
        bus.wait(lambda: "/Share/music" in bus.objects())
        assert bus.prop("/Share/music", "Share", "ReadOnly") is True
        assert bus.prop("/Share/music", "Share", "Sec") == ["sys"]
        created(bus, "odd name-ü")
        bus.wait(lambda: "/Share/odd_20name_2d_c3_bc" in bus.objects())
        assert bus.prop("/Share/odd_20name_2d_c3_bc", "Share", "Name") == "odd name-ü"
        assert {"/Module/proto_2ddbus", "/Module/auth_2dsys"} <= bus.objects()
        # A change by another face is seen here.
        call_verb(bus.d.control, "user.add", name="ada", **{"full-name": "Ada Lovelace"})
        bus.wait(lambda: "/User/ada" in bus.objects())
        assert bus.prop("/User/ada", "User", "FullName") == "Ada Lovelace"
        call_verb(bus.d.control, "user.disable", name="ada")
        bus.wait(lambda: bus.prop("/User/ada", "User", "Disabled") is True)
        for path, method, *words in (("/User/ada", "Delete", "a{sv}", "0"), ("/Share/music", "Remove")):
            answer, error = bus.call(path, path.split("/")[1], method, *words)
            assert not error, error
            bus.wait(lambda: path not in bus.objects())
        assert "is not loaded" not in bus.d.log()


def test_people():
    """The life of a user and a group, and who a principal is."""
    with serving() as bus:
        answer, error = bus.call("/Server", "Server", "AddUser", "sa{sv}", "eve", "1", "password", "s", "long enough")
        assert "realm create" in error and "ntlm" in error, error  # there is no realm to keep it
        answer, error = bus.call("/Server", "Server", "AddUser", "sa{sv}", "eve", "0")
        bus.wait(lambda: "/User/eve" in bus.objects())
        assert bus.prop("/User/eve", "User", "PrimaryGroup") == "kerberos-users"
        _, error = bus.call("/User/eve", "User", "SetPassword", "s", "long enough")
        assert "realm create" in error, error
        assert bus.call("/Server", "Server", "AddGroup", "sa{sv}", "family", "0")[1] is None
        assert bus.call("/Group/family", "Group", "AddMember", "s", "eve")[1] is None
        answer, error = bus.call("/Group/family", "Group", "Set", "a{sv}", "1", "new-name", "s", "home")
        assert answer["data"][0]["name"]["data"] == "home", (answer, error)
        bus.wait(lambda: {"/Group/home"} == {o for o in bus.objects() if o.startswith("/Group/") and "kerberos" not in o})
        bus.wait(lambda: bus.prop("/User/eve", "User", "Groups") == ["home"])
        answer, _ = bus.call("/Server", "Server", "ListUsers", "a{sv}", "1", "group", "s", "home")
        assert [u["name"]["data"] for u in answer["data"][0]] == ["eve"], answer
        answer, _ = bus.call("/Server", "Server", "TestMapping", "s", "host/x@ANY")
        assert answer["data"][0]["rule"]["data"] == "machine", answer
        answer, error = bus.call("/Server", "Server", "ImportUsers", "a{sv}", "1", "names", "as", "1", "no-such-account")
        assert "nothing was imported" in error, error
        _, error = bus.call("/Group/kerberos_2dusers", "Group", "Delete")
        assert "default-group" in error, error


def test_signals():
    with serving() as bus:
        created(bus, "music")
        bus.wait(lambda: "/Share/music" in bus.objects())
        out = open(bus.work / "monitor", "w+")
        monitor = subprocess.Popen(["gdbus", "monitor", "--address", bus.address, "--dest", NAME], stdout=out)
        try:
            text = lambda: (bus.work / "monitor").read_text()
            bus.wait(lambda: "The name" in text())
            call_verb(bus.d.control, "share.set", name="music", **{"read-only": True})
            bus.wait(lambda: "/Share/music" in text() and "'ReadOnly': <true>" in text())
            line = [l for l in text().splitlines() if "PropertiesChanged" in l][0]
            assert "'Path'" not in line, line  # what did not change is not told
            created(bus, "films")
            bus.wait(lambda: "InterfacesAdded" in text() and "/Share/films" in text())
            call_verb(bus.d.control, "share.remove", name="films")
            bus.wait(lambda: "InterfacesRemoved" in text())
        finally:
            monitor.terminate()
            monitor.wait()


def test_methods_are_verbs():
    """Every method names a verb of the server and gives it arguments that it knows, of its types."""
    import xml.etree.ElementTree as ET
    with serving() as bus:
        answer, _ = bus.call("/Server", "Server", "ListVerbs")
        verbs = {v["name"]["data"]: {p["name"]["data"]: p["type"]["data"] for p in v["params"]["data"]} for v in answer["data"][0]}
        n = 0
        for interface in ET.parse(os.path.join(TOP, "data", "dbus", NAME + ".xml")).getroot().iter("interface"):
            notes = {a.get("name"): a.get("value") for a in interface.findall("annotation")}
            for method in interface.findall("method"):
                verb = [a.get("value") for a in method.findall("annotation")]
                if not verb or verb[0].startswith(("realm.", "kerberos.")) or verb[0].startswith("user.ntlm"):
                    continue  # of modules that are not loaded here
                params = dict(verbs[verb[0]])
                if "org.lares.Key" in notes:
                    assert params.pop(notes["org.lares.Key"]) == "s", method.get("name")
                ins = {a.get("name"): a.get("type") for a in method.findall("arg") if a.get("direction") == "in"}
                rest = ins.pop("values", None)
                for name, kind in ins.items():
                    assert params.pop(name) == kind, (method.get("name"), name)
                assert not params or rest, (method.get("name"), params)
                n += 1
        assert n > 20
        answer, _ = bus.call("/Server", "Server", "Call", "sa{sv}", "share.list", "0")
        assert answer["data"][0]["type"] == "aa{sv}", answer
        _, error = bus.call("/Server", "Server", "Call", "sa{sv}", "share.lst", "0")
        assert "no verb" in error, error


def test_errors():
    with serving() as bus:
        _, error = bus.call("/Server", "Server", "CreateShare", "ssa{sv}", "x", "not/absolute", "0")
        assert error and "not/absolute" in error, error
        _, error = bus.call("/Server", "Server", "CreateShare", "ssa{sv}", "x", str(bus.work), "1", "read-onyl", "b", "true")
        assert 'did you mean "read-only"' in error, error
        _, error = bus.call("/Server", "Server", "CreateShare", "ssa{sv}", "x", str(bus.work), "1", "read-only", "s", "yes")
        assert "true or false" in error, error
        created(bus, "music")
        bus.wait(lambda: "/Share/music" in bus.objects())
        _, error = bus.call("/Share/music", "Share", "Set", "a{sv}", "1", "name", "s", "other")
        assert "twice" in error, error
        r = subprocess.run(["gdbus", "call", "--address", bus.address, "--dest", NAME, "--object-path", ROOT + "/Server", "--method",
                            NAME + ".Server.EndSession", "nobody's"], capture_output=True, text=True)
        assert "org.lares.Lares1.Error.NotFound" in r.stderr, r.stderr


def test_doctor():
    with serving(polkit=["org.lares.lares1.view"]) as bus:
        answer, error = bus.call("/Server", "Server", "StartDoctor", "as", "2", "state", "shares")
        assert not error and answer["data"][0]["state"]["data"] in ("running", "done"), (answer, error)
        shown = lambda: bus.call("/Server", "Server", "ShowDoctor")[0]["data"][0]
        bus.wait(lambda: shown()["state"]["data"] == "done", 60)
        found = {f["id"]["data"]: f for f in shown()["findings"]["data"]}
        assert {"state.modes", "shares.none"} <= set(found) and found["shares.none"]["severity"]["data"] == "note", found
        _, error = bus.call("/Server", "Server", "StartDoctor", "as", "1", "nonsense")
        assert 'no area "nonsense"' in error, error
        _, error = bus.call("/Server", "Server", "StartDoctor", "as", "0", user=NOBODY)
        assert "org.lares.lares1.manage-other" in error, error
        assert bus.call("/Server", "Server", "ShowDoctor", user=NOBODY)[0]["data"], "to look is allowed"


def test_authorization():
    with serving(polkit=["org.lares.lares1.view", "org.lares.lares1.manage-shares"]) as bus:
        created(bus, "music")
        bus.wait(lambda: "/Share/music" in bus.objects())
        assert bus.call("/Server", "Server", "Status", user=NOBODY)[0]["data"]
        assert bus.call("/Share/music", "Share", "Disable", user=NOBODY) == ({}, None)
        assert call_verb(bus.d.control, "share.show", name="music")["enabled"] is False
        _, error = bus.call("/Server", "Server", "AddUser", "sa{sv}", "eve", "0", user=NOBODY)
        assert "org.lares.lares1.manage-users" in error, error
        # By the general method just as little.
        _, error = bus.call("/Server", "Server", "Call", "sa{sv}", "user.add", "1", "name", "s", "eve", user=NOBODY)
        assert "org.lares.lares1.manage-users" in error, error
        _, error = bus.call("/Server", "Server", "CreateToken", "a{sv}", "2", "service", "s", "x", "scope", "s", "admin", user=NOBODY)
        assert "org.lares.lares1.manage-tokens" in error, error
        assert not [u for u in call_verb(bus.d.control, "user.list") if u["name"] == "eve"]
        log = bus.d.log()
        assert re.search(r"verb=share.disable object=music subject=uid:65534 face=dbus address=unix verdict=done", log), log
        assert re.search(r"verb=user.add object=eve subject=uid:65534 face=dbus address=unix verdict=denied reason=polkit", log), log
    with serving() as bus:  # without polkit: root, and nobody else
        created(bus, "music")
        _, error = bus.call("/Server", "Server", "Status", user=NOBODY)
        assert "polkit cannot be asked" in error, error


def test_refusals_do_not_fill_the_log():
    with serving(polkit=["org.lares.lares1.view"]) as bus:
        script = "for i in $(seq 60); do busctl --address %s call %s %s/Server %s.Server AddGroup 'sa{sv}' g 0; done" % (
            bus.address, NAME, ROOT, NAME)
        subprocess.run(["sh", "-c", script], capture_output=True, user=NOBODY, timeout=60)
        lines = [x for x in bus.d.log().splitlines() if "verb=group.add" in x and "verdict=denied" in x]
        assert 5 <= len(lines) <= 40, len(lines)


def test_session_bus_without_root():
    """A server of somebody who is not root is on the bus of their session, and does what they say."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="dbus-"))
    os.chown(work, NOBODY, NOBODY)
    (work / "folder").mkdir()
    os.chown(work / "folder", NOBODY, NOBODY)
    address = f"unix:path={work}/session"
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    daemon = subprocess.Popen(["dbus-daemon", "--session", "--address", address, "--nofork", "--nopidfile"],
                              stderr=subprocess.DEVNULL, **who)

    def busctl(*words):
        r = subprocess.run(["busctl", "--address", address, *words], capture_output=True, text=True, timeout=60, **who)
        assert r.returncode == 0, r.stderr
        return r.stdout
    try:
        with Laresd({"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-dbus": {}}, wait=[], start=False,
                    wrapper=["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"],
                    env={"DBUS_SESSION_BUS_ADDRESS": address, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={work}/none"}) as d:
            for folder, _, files in os.walk(d.dir):
                for path in [folder] + [os.path.join(folder, f) for f in files]:
                    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            end = time.monotonic() + 60
            while not (work / "session").exists() and time.monotonic() < end:
                time.sleep(0.02)
            d.start()
            d.wait_log("org.lares.Lares1 is on the bus")
            busctl("call", NAME, ROOT + "/Server", NAME + ".Server", "CreateShare", "ssa{sv}", "mine", str(work / "folder"), "0")
            assert '"mine"' in busctl("get-property", NAME, ROOT + "/Share/mine", NAME + ".Share", "Name")
            assert f"verb=share.create object=mine subject=uid:{NOBODY} face=dbus" in d.log()
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(work, ignore_errors=True)


def test_policy_names():
    """What is asked of polkit is what is installed."""
    policy = open(os.path.join(TOP, "data", "polkit", "org.lares.lares1.policy")).read()
    installed = set(re.findall(r'action id="org\.lares\.lares1\.([\w-]+)"', policy))
    code = open(os.path.join(TOP, "modules", "proto-dbus", "dbus-call.c")).read()
    asked = set(re.findall(r'"(view|manage-[\w-]+)"', code))
    assert asked == installed, asked ^ installed


def test_no_bus():
    with tempfile.TemporaryDirectory() as work, Laresd(
            {"proto-rest": {}, "proto-dbus": {"bus": "system"}}, wait=[], directory=work,
            env={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={work}/none"}) as d:
        d.wait_log("no bus")
        assert [p for p in call_verb(d.control, "status")["protocols"] if p["name"] == "dbus"][0]["details"]["problem"].startswith("no bus")


if __name__ == "__main__":
    gone = [p for p in ("dbus-daemon", "busctl", "gdbus") if not shutil.which(p)]
    if subprocess.run(["/usr/bin/python3", "-c", "import dbusmock"], capture_output=True).returncode:
        gone.append("python3-dbusmock")
    if gone or os.geteuid() != 0:
        print("1..0 # SKIP needs root and", *gone)
        sys.exit(77)
    tap.main(globals())
