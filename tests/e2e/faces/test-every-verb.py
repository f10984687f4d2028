#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every verb, carried out by every route of REST and by every method on D-Bus: the life of a server with a realm of its
own is told once through each of the two, what was done through the one is looked up through the other, and the audit log
says through which it was. Clients that are connected meanwhile speak NFS and SMB. The verbs, the routes and the methods are
those that the server and its descriptions name: a new one without a step in the story is an error. Exit 77 without MIT's KDC
or a bus."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import xml.etree.ElementTree as ET

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", folder) for folder in ("lib", "smb", "wire")]
import nfs4ops as ops
import nfsraw
import pac
import smb2raw
import tap
from bus import NAME, ROOT, Bus
from described import Description, jsonschema
from laresd import BUILD, TOP, Laresd
from lares_server import call_verb
from realm import RealmError, tool

try:
    from gi.repository import Gio, GLib
except ImportError:
    Gio = None

REALM, NOBODY = "HOME.LAN", 65534
SECRET, SECOND = "correct horse", "battery staple"
XML = os.path.join(TOP, "data", "dbus", "org.lares.Lares1.xml")
FORGE = os.path.join(BUILD, "tests", "lib", "forge-ticket")
ACTIONS = ["org.lares.lares1." + a for a in ("view", *("manage-" + k for k in (
    "shares", "users", "sessions", "modules", "realm", "tokens", "other")))]


class Refused(Exception):
    pass


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def rows(answer):
    """Of a page what stands on it: a list is a page over REST only."""
    return answer["items"] if isinstance(answer, dict) and "items" in answer and "total" in answer else answer


# ---- The faces -------------------------------------------------------------------------------------------------------

class Rest:
    """Over TCP with a token, by the routes of the description that the server gives of them, which each answer is held
    against."""
    face, subject = "rest", "service:story"

    def __init__(self, server, token):
        self.server, self.token, self.used, self.description = server, token, set(), None
        self.routes = {"verb.list": ("GET", "/verbs")}  # beside the resources
        api = self.request("GET", "/openapi.json")
        self.description = Description(api)
        for path, methods in api["paths"].items():
            for method, operation in methods.items():
                self.routes[operation["operationId"]] = (method.upper(), path.removeprefix("/api/v1"))

    def request(self, method, path, body=None, more=None):
        c = http.client.HTTPConnection("localhost", self.server.d.ports[4], timeout=120)
        try:
            c.request(method, "/api/v1" + path, json.dumps(body) if body else None,
                      {"Authorization": "Bearer " + self.token, "Content-Type": "application/json", **(more or {})})
            r = c.getresponse()
            text, kind = r.read().decode(), r.headers.get_content_type()
        finally:
            c.close()
        if self.description:
            self.description.check(method, path, r.status, kind, text)
        if r.status >= 300:
            raise Refused(f"{r.status} {text}")
        return None if not text else json.loads(text) if kind.endswith("json") else {"text": text}

    def __call__(self, verb, **args):
        method, path = self.routes[verb]
        self.used.add(verb)
        for name in re.findall(r"\{(\w+)\}", path):
            path = path.replace("{%s}" % name, urllib.parse.quote(args.pop(name), safe=""))
        if args and method in ("GET", "DELETE"):
            path += "?" + urllib.parse.urlencode({k: str(v).lower() if v is True else v for k, v in args.items()})
            args = None
        if verb == "token.create":  # a token makes no tokens: with a ticket
            answer = self.server.curl(method, path, args)
            self.description.check(method, path, 201, "application/json", json.dumps(answer))
            return answer
        return rows(self.request(method, path, args))


class Methods:
    """On the bus as somebody who is not root, whom polkit allows it, by the methods of the XML."""
    face, subject = "dbus", f"uid:{NOBODY}"

    def __init__(self, server):
        self.server, self.used, self.signals = server, set(), []
        self.types = {v["name"]: {p["name"]: p["type"] for p in v["params"]} for v in call_verb(server.d.control, "verb.list")}
        self.methods = {}  # verb: [(interface, method, arguments, the argument that the object's name is)]
        for interface in ET.parse(XML).getroot().iter("interface"):
            notes = {a.get("name"): a.get("value") for a in interface.findall("annotation")}
            for method in interface.findall("method"):
                verb = [a.get("value") for a in method.findall("annotation") if a.get("name") == "org.lares.Verb"]
                ins = [(a.get("name"), a.get("type")) for a in method.findall("arg") if a.get("direction") == "in"]
                self.methods.setdefault(verb[0] if verb else None, []).append(
                    (interface.get("name").split(".")[-1], method.get("name"), ins, notes.get("org.lares.Key")))
        try:
            os.seteuid(NOBODY)
            self.bus = Gio.DBusConnection.new_for_address_sync(
                server.bus.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
        finally:
            os.seteuid(0)
        for signal in ("InterfacesAdded", "InterfacesRemoved", "PropertiesChanged"):
            self.bus.signal_subscribe(NAME, None, signal, None, None, Gio.DBusSignalFlags.NONE, self.heard)

    def heard(self, bus, sender, path, interface, signal, values):
        at = values.unpack()
        if signal == "PropertiesChanged":
            self.signals.append((signal, path.removeprefix(ROOT), at[1]))
        else:
            self.signals.append((signal, at[0].removeprefix(ROOT), at[1]))

    def told(self, signal, path, **properties):
        """Whether the bus said so, unasked."""
        while GLib.MainContext.default().pending():
            GLib.MainContext.default().iteration(False)
        return any(s == signal and re.fullmatch(path, p) and all(v.get(k) == x for k, x in properties.items())
                   for s, p, v in self.signals)

    def send(self, path, interface, method, words):
        end = time.monotonic() + 60
        while True:
            try:
                r = self.bus.call_sync(NAME, ROOT + path, interface, method, words, None, Gio.DBusCallFlags.NONE, 120000).unpack()
                return rows(r[0]) if r else None
            except GLib.Error as e:
                # An object is there a moment after what it stands for.
                late = re.search(r"UnknownMethod|UnknownObject|UnknownInterface", e.message) and time.monotonic() < end
                if not late:
                    raise Refused(e.message) from None
            time.sleep(0.02)

    def prop(self, path, interface, name):
        return self.send(path, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (NAME + "." + interface, name)))

    def packed(self, verb, args):
        return {name: GLib.Variant(self.types[verb][name], value) for name, value in args.items()}

    def __call__(self, verb, where=None, **args):
        interface, method, ins, key = next(m for m in self.methods[verb] if where in (None, m[0]))
        self.used.add((interface, method))
        path = "/" + interface
        if key:
            path += "/" + re.sub(rb"[^A-Za-z0-9]", lambda m: b"_%02x" % m[0][0], args.pop(key).encode()).decode()
        words = []
        for name, kind in ins:
            words.append(GLib.Variant("a{sv}", self.packed(verb, args)) if name == "values" else GLib.Variant(kind, args.pop(name, [])))
        return self.send(path, NAME + "." + interface, method, GLib.Variant.new_tuple(*words))

    def call(self, verb, **args):
        """The general method."""
        self.used.add(("Server", "Call"))
        return self.send("/Server", NAME + ".Server", "Call", GLib.Variant("(sa{sv})", (verb, self.packed(verb, args))))


# ---- The server ------------------------------------------------------------------------------------------------------

class Server:
    def __init__(self, work, bus):
        self.work, self.bus = work, bus
        helper = lambda module, name: os.path.join(BUILD, "modules", module, name)
        self.d = Laresd({"auth-sys": {}, "auth-ntlm": {}, "store-posix": {}, "proto-dbus": {"bus": "system"},
                         "auth-krb5": {"helper": helper("auth-krb5", "lares-keytab-helper")},
                         "proto-rest": {"http": "127.0.0.1:@PORT4@"},
                         "proto-nfs4": {"listen": "127.0.0.1:@PORT5@", "grace-time": "0"},
                         "proto-smb2": {"listen": "127.0.0.1:@PORT6@"},
                         "realm-mit": {"listen": "127.0.0.1", "kdc-port": "@PORT@", "kadmin-port": "@PORT2@", "kpasswd-port": "@PORT3@",
                                       "rotate-grace": "1s", "helper": helper("realm-mit", "lares-realm-helper")}},
                        server={"host-name": "localhost"}, raw=f"[identity]\nrealms = {REALM}\nhost-uid-min = 1\n[control]\nadmins = ada\n",
                        env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address}, start=False)
        self.d.wait = [self.d.control, *(self.d.ports[n] for n in (4, 5, 6))]
        self.krb5_conf = self.d.state + "/realm/krb5.conf"
        (work / "music").mkdir()
        os.chmod(work / "music", 0o777)

    def verb(self, verb_name, **args):
        return call_verb(self.d.control, verb_name, **args)

    def env(self, user):
        return dict(os.environ, KRB5_CONFIG=self.krb5_conf, KRB5CCNAME=f"FILE:{self.work}/cc-{user.replace('/', '-')}")

    def kinit(self, user, password):
        """Whether the KDC takes the password; a KDC that has just begun may be asked again."""
        return subprocess.run(["kinit", f"{user}@{REALM}"], input=password + "\n", env=self.env(user), capture_output=True, text=True,
                              timeout=60).returncode == 0

    def curl(self, method, path, body):
        """As ada, with a ticket."""
        r = subprocess.run(["curl", "-s", "--negotiate", "-u", ":", "-X", method, "--json", json.dumps(body),
                            f"http://localhost:{self.d.ports[4]}/api/v1{path}"], env=self.env("ada"), capture_output=True, text=True, timeout=60)
        return json.loads(r.stdout)


@contextlib.contextmanager
def serving():
    work = pathlib.Path(tempfile.mkdtemp(prefix="verbs-"))
    os.chmod(work, 0o755)
    bus = Bus(work)
    try:
        bus.start_polkit("org.lares.lares1.view")
        s = Server(work, bus)
        with s.d:
            s.d.start()
            s.d.wait_log("org.lares.Lares1 is on the bus")
            yield s
    finally:
        bus.stop()
        shutil.rmtree(work, ignore_errors=True)


# ---- The story -------------------------------------------------------------------------------------------------------

class Story:
    """One round: done through one face, looked up through the other."""

    def __init__(self, server, me, other, bus, reader):
        self.s, self.me, self.see, self.bus, self.reader = server, me, other, bus, reader
        self.rights = {v["name"]: v["right"] for v in server.verb("verb.list")}
        bus.signals.clear()

    def do(self, verb_name, where=None, **args):
        """A change: refused to a reader, then done, and written down with the face that it came by."""
        if self.me.face == "rest" and self.rights[verb_name] != "read":
            with refused("403"):
                self.reader(verb_name, **args)
        mark = len(self.s.d.log())
        answer = self.me(verb_name, **args, **({"where": where} if where and self.me.face == "dbus" else {}))
        subject = f"ada@{REALM}" if (verb_name, self.me.face) == ("token.create", "rest") else self.me.subject
        until(lambda: re.search(rf"audit: event=control verb={re.escape(verb_name)} (?:.* )?subject={subject} face={self.me.face} "
                                r"address=\S+ verdict=done", self.s.d.log()[mark:]), 20)
        assert not re.search(SECRET + "|" + SECOND, self.s.d.log()[mark:])
        return answer

    def look(self, verb_name, **args):
        """What is read through the one is what the other says."""
        def alike(a):
            if verb_name == "metrics":  # over REST it is the text alone
                return set(re.findall("^# TYPE .*", a["text"], re.M))
            if verb_name in ("status", "health"):  # measured anew each time
                return set(a)
            return sorted(json.dumps(row, sort_keys=True) for row in a) if isinstance(a, list) else a
        end = time.monotonic() + 60  # meanwhile a second may have gone by
        while alike(mine := self.me(verb_name, **args)) != alike(its := self.see(verb_name, **args)):
            assert time.monotonic() < end, (mine, its)
            time.sleep(0.02)
        return mine

    def names(self, verb_name, key="name", **args):
        return {row[key] for row in self.see(verb_name, **args)}


@contextlib.contextmanager
def refused(*words):
    try:
        yield
    except Refused as e:
        assert any(w in str(e) for w in words), e
    else:
        raise AssertionError(f"not refused ({words})")


def realm_begins(t):
    t.do("realm.create", name=REALM)
    until(lambda: t.see("realm.status")["running"])
    until(lambda: t.bus.told("InterfacesAdded", "/Realm"))
    until(lambda: os.path.exists(t.s.d.state + "/realm/backup.dump"))  # the last step of its beginning
    assert t.look("realm.status")["name"] == REALM and t.bus.prop("/Realm", "Realm", "Name") == REALM


def realm_people(t):
    who = "ben/admin"  # a name that is more than one word of a path
    t.do("realm.user.add", name=who, password=SECRET)
    assert who in t.names("realm.user.list") and who in [u["name"] for u in t.look("realm.user.list")]
    until(lambda: t.s.kinit(who, SECRET))
    before = t.look("realm.user.show", name=who)["kvno"]
    t.do("realm.user.passwd", name=who, password=SECOND)
    assert t.see("realm.user.show", name=who)["kvno"] > before and t.s.kinit(who, SECOND) and not t.s.kinit(who, SECRET)
    t.do("realm.user.disable", name=who)
    assert t.see("realm.user.show", name=who)["disabled"] is True and not t.s.kinit(who, SECOND)
    t.do("realm.user.enable", name=who)
    assert t.see("realm.user.show", name=who)["disabled"] is False and t.s.kinit(who, SECOND)
    until(lambda: t.bus.prop("/Realm", "Realm", "Running"))


def realm_hosts(t):
    name = "laptop.home.lan"
    made = t.do("realm.host.add", name=name, services=["host", "nfs"])
    assert name in t.names("realm.host.list") and len(made["principals"]) == 2
    assert name in [h["name"] for h in t.look("realm.host.list")]
    assert t.do("realm.host.keytab", name=name)["keytab"] == t.see("realm.host.keytab", name=name)["keytab"]
    t.do("realm.host.remove", name=name)
    assert name not in t.names("realm.host.list")
    before = t.look("realm.status")["rotated"]
    time.sleep(max(0.0, before + 1 - time.time()))  # told in seconds
    t.do("realm.rotate")
    until(lambda: t.see("realm.status")["rotated"] > before)
    until(lambda: not t.see("realm.status")["rotating"])
    assert t.do("realm.keytab")["keytab"] == t.see("realm.status")["keytab"]
    files = t.look("realm.client-config", platform="linux")["files"]
    assert any(f"default_realm = {REALM}" in f["content"] for f in files), files


def people(t):
    t.do("user.add", name="ada", password=SECRET, **{"full-name": "Ada"})
    assert t.see("user.show", name="ada")["full-name"] == "Ada" and "ada" in t.names("realm.user.list")
    t.do("user.set", name="ada", **{"full-name": "Ada Lovelace"})
    assert t.look("user.show", name="ada")["full-name"] == t.see("user.show", name="ada")["full-name"] == "Ada Lovelace"
    until(lambda: t.bus.prop("/User/ada", "User", "FullName") == "Ada Lovelace")
    t.do("user.passwd", name="ada", password=SECOND)
    assert t.s.kinit("ada", SECOND) and not t.s.kinit("ada", SECRET)
    t.do("user.disable", name="ada")
    assert t.see("user.show", name="ada")["disabled"] is True and t.names("user.list", disabled=True) == {"ada"}
    until(lambda: t.bus.told("PropertiesChanged", "/User/ada", Disabled=True))
    t.do("user.enable", name="ada")
    assert t.see("user.show", name="ada")["disabled"] is False
    t.do("user.ntlm.enable", name="ada", password=SECRET)
    assert "ada" in t.names("user.ntlm.list") and "ada" in [u["name"] for u in t.look("user.ntlm.list")]
    assert isinstance(smb(t).login_ntlm("ada", SECRET), smb2raw.Session)
    t.do("user.ntlm.disable", name="ada")
    assert "ada" not in t.names("user.ntlm.list") and not isinstance(smb(t).login_ntlm("ada", SECRET), smb2raw.Session)
    assert t.do("user.import", names=["games"])["imported"] == ["games"]  # Debian's, on every host
    assert t.see("user.show", name="games")["source"] == "host" and "games" in [u["name"] for u in t.look("user.list")]


def groups(t):
    t.do("group.add", name="family")
    assert "family" in t.names("group.list")
    t.do("group.add-member", name="family", member="ada")
    assert t.look("group.show", name="family")["members"] == t.see("group.show", name="family")["members"] == ["ada"]
    t.do("group.set", name="family", **{"new-name": "home"})
    assert "family" not in t.names("group.list") and t.names("group.list", member="ada") == {"home"}
    until(lambda: t.bus.told("InterfacesAdded", "/Group/home") and t.bus.told("InterfacesRemoved", "/Group/family"))
    t.do("group.remove-member", name="home", member="ada")
    assert t.see("group.show", name="home")["members"] == []
    t.do("group.delete", name="home")
    assert "home" not in {g["name"] for g in t.look("group.list")}


def mappings(t):
    pattern = "a*/tv@OTHER.LAN"
    t.do("mapping.set", principal=pattern, user="ada")
    assert t.look("mapping.list") and t.names("mapping.list", "principal") == {pattern}
    assert t.look("mapping.test", principal="a1/tv@OTHER.LAN")["user"] == "ada"
    t.do("mapping.delete", principal=pattern)
    assert t.names("mapping.list", "principal") == set() and t.see("mapping.test", principal="a1/tv@OTHER.LAN")["verdict"] != "accepted"


def shares(t):
    t.do("share.create", name="music", path=str(t.s.work / "music"), sec=["sys", "krb5"], squash="none")
    assert t.see("share.show", name="music")["path"] == str(t.s.work / "music")
    until(lambda: t.bus.told("InterfacesAdded", "/Share/music"))
    t.do("share.set", name="music", **{"read-only": True})
    assert t.look("share.show", name="music")["read-only"] is True
    until(lambda: t.bus.told("PropertiesChanged", "/Share/music", ReadOnly=True))
    t.do("share.set", name="music", **{"read-only": False})
    assert t.see("share.show", name="music")["read-only"] is False
    t.do("share.security.set", name="music", hosts=["127.0.0.1"])
    assert t.look("share.security.show", name="music")["hosts"] == ["127.0.0.1"] == t.see("share.show", name="music")["hosts"]
    until(lambda: t.bus.told("PropertiesChanged", "/Share/music", Hosts=["127.0.0.1"]))
    t.do("share.disable", name="music")
    assert t.see("share.show", name="music")["enabled"] is False
    t.do("share.enable", name="music")
    assert [x["enabled"] for x in t.look("share.list")] == [True] == [x["enabled"] for x in t.see("share.list")]


def smb(t):
    c = smb2raw.Conn(t.s.d.ports[6])
    c.negotiate()
    return c


def ticket_of_a_domain(t):
    """As Active Directory's, with a PAC: who has it is in the domain CORP."""
    (t.s.work / "logon-info").write_bytes(pac.logon_info(account="alice", groups=(513, 7001)))
    cache = f"FILE:{t.s.work}/cc-alice"
    r = subprocess.run([FORGE, t.s.d.state + "/realm/service.keytab", f"alice@{REALM}", f"cifs/localhost@{REALM}", cache,
                        f"pac={t.s.work}/logon-info"], capture_output=True, text=True, env=dict(t.s.env("alice"), ASAN_OPTIONS="detect_leaks=0"))
    assert r.returncode == 0, r.stderr
    os.environ.update(KRB5_CONFIG=t.s.krb5_conf, KRB5CCNAME=cache)


def clients(t):
    """One by NFS that holds a file open and locked, one by SMB; both are shown, and both are ended."""
    with nfsraw.Conn("127.0.0.1", t.s.d.ports[5], cred=nfsraw.auth_sys(uid=4711, gid=4711)) as conn:
        nfs = nfsraw.Session(conn)
        made = nfs.open(nfs.walk("/music"), "held", ops.BOTH, how="unchecked")
        nfs.call(ops.putfh(made.fh), ops.lock(2, 0, 10, made.stateid, nfs.clientid, b"holder")).ok()
        opens, locks = t.look("open.list"), t.look("lock.list")
        assert len(opens) == len(locks) == 1 and opens[0]["share"] == locks[0]["share"] == "music", (opens, locks)
        ticket_of_a_domain(t)
        windows = smb(t)
        session = windows.login("cifs@localhost")
        assert isinstance(session, smb2raw.Session), hex(session.status)
        by = {x["protocol"][:3]: x for x in t.look("session.list")}
        assert set(by) == {"nfs", "smb"} and by["smb"]["user"] == "alice", by
        at = {k: "/Session/" + re.sub("[^A-Za-z0-9]", lambda m: "_%02x" % ord(m[0]), x["id"]) for k, x in by.items()}
        until(lambda: all(t.bus.told("InterfacesAdded", path) for path in at.values()))
        assert (t.bus.prop(at["nfs"], "Session", "Opens"), t.bus.prop(at["nfs"], "Session", "Locks")) == (1, 1)
        assert t.bus.prop(at["smb"], "Session", "User") == "alice"
        t.do("session.end", where="Session", id=by["smb"]["id"])
        assert by["smb"]["id"] not in t.names("session.list", "id")
        t.do("session.end", where="Server", id=by["nfs"]["id"])
        assert t.names("session.list", "id") == set() and t.look("open.list") == t.look("lock.list") == []
        until(lambda: all(t.bus.told("InterfacesRemoved", path) for path in at.values()))
        windows.close()


def domains(t):
    (domain,) = t.look("domain.list")
    sid = domain["sid"] + "-7001"
    assert domain["name"] == "CORP" and sid in {x["sid"] for x in t.look("sid.list")}
    name = f"Crew of {t.me.face}"
    t.do("sid.name", sid=sid, name=name)
    assert [x["name"] for x in t.see("sid.list") if x["sid"] == sid] == [f"{REALM}/{name}"]


def modules(t):
    def setting(module, key):
        return next(x["value"] for x in t.look("module.show", name=module)["settings"] if x["key"] == key)

    def running(protocol):
        return any(p["name"] == protocol and p["running"] for p in t.see("status")["protocols"])
    t.do("module.set", name="auth-krb5", set=["clock-skew=90s"])
    assert setting("auth-krb5", "clock-skew") == "90s"
    t.do("module.set", name="auth-krb5", unset=["clock-skew"])
    assert setting("auth-krb5", "clock-skew") == "5m"
    t.do("module.set", name="realm-mit", set=["aliases=films.home.lan"])
    until(lambda: t.bus.told("PropertiesChanged", "/Realm", Names=["localhost", "films.home.lan"]))
    t.do("module.set", name="realm-mit", unset=["aliases"])
    t.do("module.disable", name="proto-smb2")
    assert not running("smb2") and running("nfs4")
    with contextlib.suppress(ConnectionRefusedError):
        smb(t)
        raise AssertionError("SMB still answers")
    t.do("module.enable", name="proto-smb2")
    assert running("smb2") and {x["state"] for x in t.look("module.list")} == {"loaded"}
    until(lambda: t.bus.prop("/Module/proto_2dsmb2", "Module", "State") == "loaded")
    smb(t).close()
    t.s.d.write_module("auth-ntlm", {"guest": t.me.face == "dbus"})
    t.do("server.reload")
    assert setting("auth-ntlm", "guest") == ("true" if t.me.face == "dbus" else "false")


def tokens(t):
    made = t.do("token.create", scope="read", label="for the panel", **({"service": "panel"} if t.me.face == "dbus" else {}))
    assert made["id"] in t.names("token.list", "id")
    panel = Rest(t.s, made["token"])
    assert panel("version") == t.look("version")
    t.do("token.revoke", id=made["id"])
    assert made["id"] not in {x["id"] for x in t.see("token.list")}
    with refused("401"):
        panel("version")


def doctor_and_kerberos(t):
    ended = lambda: t.see("doctor.show")["state"] == "done"
    t.do("doctor", only=["shares"])
    until(ended)
    assert {f["area"] for f in t.look("doctor.show")["findings"]} == {"shares"}
    t.do("kerberos.test")
    until(ended)
    assert "kerberos" in {f["area"] for f in t.look("doctor.show")["findings"]}
    t.do("kerberos.init", admin=f"ben/admin@{REALM}", password=SECOND, rotate=True)
    until(lambda: t.see("kerberos.init.show")["state"] != "running")
    shown = t.look("kerberos.init.show")
    assert shown["state"] == "done" and {p["what"] for p in shown["principals"]} == {"rotated"}, shown
    assert "cifs/localhost" in [x.split("@")[0] for x in t.look("kerberos.status")["found"]]


def the_server(t):
    assert t.look("version")["module-abi"] and t.look("health")["status"] == "ok" and t.look("status")["host"] == "localhost"
    assert "lares_build_info" in t.look("metrics")["text"] and {v["name"] for v in t.look("verb.list")} == set(t.rights)
    assert t.bus.call("share.list") == t.look("share.list") != []


def all_of_it_goes(t):
    t.do("share.remove", name="music")
    assert t.names("share.list") == set()
    until(lambda: t.bus.told("InterfacesRemoved", "/Share/music"))
    t.do("user.delete", name="ada", **{"with-principal": True})
    assert "ada" not in t.names("user.list") | t.names("realm.user.list")
    t.do("user.delete", name="games")
    t.do("realm.user.remove", name="ben/admin")
    assert "ben/admin" not in t.names("realm.user.list")
    t.do("realm.remove", name=REALM, confirm=True, force=True)
    with refused("404", "NotFound"):
        (t.see if t.see.face == "rest" else t.see.call)("realm.status")
    until(lambda: t.bus.told("InterfacesRemoved", "/Realm"))
    assert not os.path.exists(t.s.krb5_conf)


CHAPTERS = (realm_begins, realm_people, realm_hosts, people, groups, mappings, shares, clients, domains, modules, tokens,
            doctor_and_kerberos, the_server, all_of_it_goes)


def check_that_polkit_is_asked(bus, rights):
    """Where it only lets people look, nothing else is done, whatever the verb is."""
    for verb, right in rights.items():
        if right != "read" or verb.startswith("token."):
            with refused("org.lares.lares1.manage-"):
                bus.call(verb)


def test_every_verb_through_each_face():
    with serving() as s:
        rights = {v["name"]: v["right"] for v in s.verb("verb.list")}
        rest = Rest(s, s.verb("token.create", service="story", scope="admin")["token"])
        reader = Rest(s, s.verb("token.create", service="reader", scope="read")["token"])
        bus = Methods(s)
        check_that_polkit_is_asked(bus, rights)
        s.bus.allow(*ACTIONS)
        for me, other in ((rest, bus), (bus, rest)):
            t = Story(s, me, other, bus, reader)
            for chapter in CHAPTERS:
                began = time.monotonic()
                chapter(t)
                print("# %s: %s, %.1f s" % (me.face, chapter.__name__.replace("_", " "), time.monotonic() - began), flush=True)
        # The story leaves nothing out.
        assert set(rights) == set(rest.routes) == rest.used, set(rights) ^ rest.used
        assert set(rights) == set(bus.methods) - {None}
        rest.description.all_told(but={"ImportRefusal"})  # tests/e2e/rest/test-rest.py has one
        methods = {(interface, method) for all_of_one in bus.methods.values() for interface, method, _, _ in all_of_one}
        assert methods == bus.used, methods ^ bus.used


if __name__ == "__main__":
    gone = [p for p in ("dbus-daemon", "busctl", "curl", "kinit") if not shutil.which(p)]
    if Gio is None:
        gone.append("python3-gi")
    if jsonschema is None:
        gone.append("python3-jsonschema")
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
