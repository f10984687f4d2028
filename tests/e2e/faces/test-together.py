#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The faces of one server beside one another: a change through one is seen by the others at once; every change and every
refusal is written with who, what, from where and verdict; a reload through any of them leaves clients alone. REST by curl
with tickets, D-Bus by busctl and gdbus, laresctl over the socket and over the network, an NFS and an SMB client that stay
connected. Exit 77 without what that takes."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", d) for d in ("lib", "wire")]
import tap
from bus import NAME, ROOT, Bus
from laresd import BUILD, Laresd
from lares_server import call_verb
from nfsraw import Conn, auth_sys
from realm import Realm, RealmError, tool
from sanitizers import for_tls
import nfs4ops as ops

LARESCTL = os.path.join(BUILD, "cli", "laresctl")
NOBODY = 65534


class Faces:
    """ada may do all and bob look, over REST and by laresctl; on the bus everybody may look and change shares."""

    def __init__(self, work, realm, bus):
        self.work, self.realm, self.bus = work, realm, bus
        self.cc = {u: realm.kinit(u, work / ("cc-" + u)) for u in ("ada", "bob")}
        self.d = Laresd({"auth-sys": {}, "auth-ntlm": {}, "auth-krb5": {"keytab": realm.service_keytab}, "store-posix": {},
                         "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "0"},
                         "proto-smb2": {"listen": "127.0.0.1:@PORT2@"}, "proto-rest": {"https": "127.0.0.1:@PORT3@"},
                         "proto-dbus": {"bus": "system"}}, server={"host-name": "localhost"},
                        raw="[control]\nadmins = ada\nreaders = bob\n", directory=str(work / "server"), start=False,
                        env=realm.env(base=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=bus.address)))
        self.url = f"https://localhost:{self.d.ports[3]}"

    def rest(self, method, path, body=None, user="ada"):
        """(status, answer)"""
        command = ["curl", "-s", "-k", "-X", method, "--negotiate", "-u", ":", "-w", "\n%{http_code}", self.url + "/api/v1" + path]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "--data-binary", json.dumps(body)]
        r = subprocess.run(command, env=self.realm.env(ccache=self.cc[user]), capture_output=True, text=True, timeout=60)
        text, _, status = r.stdout.rpartition("\n")
        return int(status), json.loads(text) if text.strip() else None

    def ctl(self, *args, user=None, uid=0):
        """laresctl at the socket, as some account, or over the network as a user who logged in."""
        env = self.realm.env(ccache=self.cc[user] if user else "/nonexistent")
        env.update(XDG_CONFIG_HOME=str(self.work / f"config-{user}"), LC_ALL="C.UTF-8", LANGUAGE="")
        where = ["--server", self.url] if user else ["--socket", self.d.control]
        return subprocess.run([LARESCTL, *args, *where], env=for_tls(env), capture_output=True, text=True, timeout=60, user=uid,
                              stdin=subprocess.DEVNULL)

    def shown(self):
        return json.loads(self.ctl("share", "show", "media", "--json").stdout)

    def login(self, user):
        pin = [p for p in call_verb(self.d.control, "status")["protocols"] if p["name"] == "rest"][0]["details"]["certificate-sha256"]
        r = self.ctl("login", "--fingerprint", pin, user=user)
        assert r.returncode == 0, r


@contextlib.contextmanager
def serving():
    work = pathlib.Path(tempfile.mkdtemp(prefix="faces-"))
    os.chmod(work, 0o755)
    (work / "server").mkdir()
    (work / "folder").mkdir()
    os.chmod(work / "folder", 0o777)
    bus = Bus(work)
    try:
        bus.start_polkit("org.lares.lares1.view", "org.lares.lares1.manage-shares")
        with Realm(work / "realm", users=["ada", "bob"], services=["HTTP/localhost"]) as realm:
            f = Faces(work, realm, bus)
            try:
                f.d.start()
                os.chmod(f.d.run, 0o755)
                f.d.wait_log("org.lares.Lares1 is on the bus")
                call_verb(f.d.control, "share.create", name="media", path=str(work / "folder"), sec=["sys"], squash="none")
                bus.wait(lambda: "/Share/media" in bus.objects())
                yield f
            finally:
                f.d.stop()
    finally:
        bus.stop()
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def monitored(bus):
    """What the bus tells everybody, as a function that gives the text so far."""
    path = bus.work / "monitor"
    with open(path, "w") as out:
        p = subprocess.Popen(["gdbus", "monitor", "--address", bus.address, "--dest", NAME], stdout=out)
        try:
            bus.wait(lambda: "The name" in path.read_text())
            yield path.read_text
        finally:
            p.terminate()
            p.wait()


def test_a_change_is_seen_by_the_others():
    with serving() as f, monitored(f.bus) as told:
        # REST changes: the bus is told without being asked, laresctl sees it.
        assert f.rest("PATCH", "/shares/media", {"read-only": True})[0] == 200
        assert f.shown()["read-only"] is True
        f.bus.wait(lambda: "'ReadOnly': <true>" in told())
        line = next(x for x in told().splitlines() if "'ReadOnly': <true>" in x)
        assert ROOT + "/Share/media" in line and "PropertiesChanged" in line and f"{NAME}.Share" in line, line
        # The bus changes.
        assert f.bus.call("/Share/media", "Share", "Disable") == ({}, None)
        assert f.rest("GET", "/shares/media")[1]["enabled"] is False and f.shown()["enabled"] is False
        # laresctl changes, at the socket and over the network.
        assert f.ctl("share", "enable", "media").returncode == 0
        assert f.rest("GET", "/shares/media")[1]["enabled"] is True
        f.bus.wait(lambda: f.bus.prop("/Share/media", "Share", "Enabled") is True)
        f.login("ada")
        assert f.ctl("share", "set", "media", "--hosts", "127.0.0.1", "--read-only", "no", user="ada").returncode == 0
        assert f.rest("GET", "/shares/media")[1]["hosts"] == ["127.0.0.1"] and f.shown()["read-only"] is False
        f.bus.wait(lambda: f.bus.prop("/Share/media", "Share", "Hosts") == ["127.0.0.1"])
        # What is made and what goes is told, too.
        assert f.rest("POST", "/users", {"name": "zoe"})[0] == 201
        f.bus.wait(lambda: "/User/zoe" in told() and "InterfacesAdded" in told())
        assert f.ctl("user", "delete", "zoe", user="ada").returncode == 0
        f.bus.wait(lambda: "InterfacesRemoved" in told())
        assert f.rest("GET", "/users/zoe")[0] == 404


def test_every_face_writes_who_what_whence_and_verdict():
    with serving() as f:
        f.login("ada")
        f.login("bob")
        uid = dict(subject="uid:0", address="unix")
        rows = [
            # (what is done, the line that it leaves)
            (lambda: f.rest("PATCH", "/shares/media", {"squash": "all"}),
             dict(verb="share.set", object="media", subject="ada@LARES.TEST", face="rest", address="127.0.0.1", verdict="done")),
            (lambda: f.rest("PATCH", "/shares/media", {"squash": "none"}, user="bob"),
             dict(verb="share.set", object="media", subject="bob@LARES.TEST", face="rest", address="127.0.0.1", verdict="denied")),
            (lambda: f.rest("PATCH", "/shares/media", {"sec": ["krb6"]}),
             dict(verb="share.set", object="media", subject="ada@LARES.TEST", face="rest", verdict="failed", reason="krb6")),
            (lambda: f.bus.call("/Share/media", "Share", "Disable"),
             dict(verb="share.disable", object="media", face="dbus", verdict="done", **uid)),
            (lambda: f.bus.call("/Share/media", "Share", "Enable", user=NOBODY),
             dict(verb="share.enable", object="media", subject="uid:65534", face="dbus", address="unix", verdict="done")),
            (lambda: f.bus.call("/Server", "Server", "AddUser", "sa{sv}", "eve", "0", user=NOBODY),
             dict(verb="user.add", object="eve", subject="uid:65534", face="dbus", address="unix", verdict="denied", reason="polkit")),
            (lambda: f.ctl("share", "set", "media", "--squash", "root"),
             dict(verb="share.set", object="media", face="socket", verdict="done", **uid)),
            (lambda: f.ctl("share", "set", "nothing", "--squash", "root"),
             dict(verb="share.set", object="nothing", face="socket", verdict="failed", **uid)),
            (lambda: f.ctl("user", "add", "zoe", user="ada"),
             dict(verb="user.add", object="zoe", subject="ada@LARES.TEST", face="rest", address="127.0.0.1", verdict="done")),
            (lambda: f.ctl("user", "delete", "zoe", user="bob"),
             dict(verb="user.delete", object="zoe", subject="bob@LARES.TEST", face="rest", verdict="denied")),
            # Who may not use the socket at all is refused before there is a verb; the path says what it was to be.
            (lambda: f.ctl("share", "remove", "media", uid=NOBODY),
             dict(event="auth", client="uid:65534", protocol="control", verdict="refused", reason="/api/v1/verbs/share.remove")),
        ]
        for do, wanted in rows:
            mark = len(f.d.log())
            do()
            lines = [x for x in f.d.log()[mark:].splitlines() if " audit: " in x and f"verdict={wanted['verdict']}" in x]
            # A login comes before what it is for.
            lines = [x for x in lines if ("event=auth" in x) == (wanted.get("event") == "auth")]
            assert len(lines) == 1, (wanted, f.d.log()[mark:])
            for key, value in wanted.items():
                word = re.search(rf' {key}=("(?:\\.|[^"\\])*"|\S+)', lines[0])
                assert word and value in word.group(1), (key, value, lines[0])


@contextlib.contextmanager
def smb_client(f):
    """smbclient, connected as a guest; a function that has it run one command."""
    conf = f.work / "smb.conf"
    conf.write_text(f"[global]\nprivate dir = {f.work}\nlock directory = {f.work}\nlog file = {f.work}/smb.log\n")
    with open(f.work / "smb.out", "w") as out:
        p = subprocess.Popen(["smbclient", "//127.0.0.1/media", "-p", str(f.d.ports[2]), "-s", str(conf), "-N", "-U", "%"],
                             stdin=subprocess.PIPE, stdout=out, stderr=out, text=True)

    def run(command):
        p.stdin.write(command + "\n")
        p.stdin.flush()
    try:
        yield run
    finally:
        p.stdin.close()
        p.wait(10)


def smb_sessions(f):
    return {s["id"] for s in call_verb(f.d.control, "session.list") if s["protocol"].startswith("smb")}


def test_a_reload_leaves_clients_alone():
    """By SIGHUP, on the bus, over REST and by laresctl, each with settings that changed: the same connections go on."""
    if not shutil.which("smbclient"):
        tap.skip("smbclient is not installed")
    with serving() as f, smb_client(f) as smb, Conn("127.0.0.1", f.d.port, cred=auth_sys(uid=4711, gid=4711)) as nfs:
        def works(name):
            nfs.compound(0, ops.putrootfh(), ops.lookup("media"), ops.create(2, "nfs-" + name)).ok()
            smb(f"mkdir smb-{name}")
            f.bus.wait(lambda: {"nfs-" + name, "smb-" + name} <= set(os.listdir(f.work / "folder")))
        works("first")
        sessions = smb_sessions(f)
        assert len(sessions) == 1, sessions
        logins = f.d.log().count("protocol=smb")
        clock = [100]

        def change_settings():
            clock[0] += 1
            f.d.write_module("auth-krb5", {"keytab": f.realm.service_keytab, "clock-skew": clock[0]})
            f.d.write_module("proto-nfs4", {"listen": "127.0.0.1:@PORT@", "grace-time": "0", "max-clients": 5000 + clock[0]})

        def setting(module, key):
            return [s["value"] for s in call_verb(f.d.control, "module.show", name=module)["settings"] if s["key"] == key][0]
        ways = {"signal": lambda: f.d.process.send_signal(signal.SIGHUP),
                "bus": lambda: f.bus.call("/Server", "Server", "Reload"),
                "rest": lambda: f.rest("POST", "/reload"),
                "laresctl": lambda: f.ctl("reload")}
        for name, reload in ways.items():
            change_settings()
            reload()
            f.bus.wait(lambda: setting("auth-krb5", "clock-skew") == str(clock[0]))
            assert setting("proto-nfs4", "max-clients") == str(5000 + clock[0])
            works(name)
        # A part that nobody of them needs is switched off and on again.
        for words in (("module", "disable", "proto-dbus"), ("module", "enable", "proto-dbus"), ("module", "set", "auth-krb5", "clock-skew=90")):
            r = f.ctl(*words)
            assert r.returncode == 0, r
            works("-".join(words[1:3]))
        # A file that is wrong changes nothing either.
        f.d.write_module("auth-krb5", {"clock-skw": 5})
        assert 'did you mean "clock-skew"' in f.ctl("reload").stderr
        works("refused")
        assert smb_sessions(f) == sessions and f.d.log().count("protocol=smb") == logins


if __name__ == "__main__":
    gone = [p for p in ("dbus-daemon", "busctl", "gdbus", "curl") if not shutil.which(p)]
    if subprocess.run(["/usr/bin/python3", "-c", "import dbusmock"], capture_output=True).returncode:
        gone.append("python3-dbusmock")
    try:
        tool("krb5kdc")
    except RealmError as e:
        gone.append(str(e))
    if gone or os.geteuid() != 0:
        print("1..0 # SKIP needs root and", *gone)
        sys.exit(77)
    tap.main(globals())
