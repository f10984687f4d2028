#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What those see who watch a server: /metrics moves as the traffic does, health names what is wrong, and lists of opens
and locks show both protocols. One server, real clients: RPC and SMB by hand, curl, laresctl. Exit 77 without MIT's KDC.

Spec: https://prometheus.io/docs/instrumenting/exposition_formats"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[2]
sys.path[:0] = [str(TOP / "tests" / d) for d in ("lib", "wire", "smb")]
import tap  # noqa: E402
from lares_server import ControlError, call_verb  # noqa: E402
from laresd import BUILD, Laresd  # noqa: E402
from realm import Realm, RealmError, tool  # noqa: E402
import nfs4ops as nfs  # noqa: E402
import nfsraw  # noqa: E402

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None

LARESCTL = os.path.join(BUILD, "cli", "laresctl")
SAMPLE = re.compile(r'^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z0-9_]+)="((?:[^"\\]|\\.)*)"(?:,|$)')
S = None  # the one server


class Server:
    def __init__(self, work, realm):
        self.work, self.realm = work, realm
        keytab = work / "service.keytab"
        shutil.copy(realm.service_keytab, keytab)
        os.chmod(keytab, 0o600)
        self.keytab = keytab
        self.cc = {u: str(realm.kinit(u, work / ("cc-" + u))) for u in ("ada", "bob")}
        os.environ["KRB5_CONFIG"] = str(realm.krb5_conf)
        os.environ["KRB5CCNAME"] = self.cc["ada"]
        (work / "server").mkdir()
        self.d = Laresd({"auth-sys": {}, "store-posix": {}, "auth-krb5": {"keytab": str(keytab)},
                         "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "0", "max-contexts": "16"},
                         "proto-smb2": {"listen": "127.0.0.1:@PORT2@"}, "proto-rest": {"http": "127.0.0.1:@PORT3@"},
                         "realm-mit": {"helper": os.path.join(BUILD, "modules", "realm-mit", "lares-realm-helper")}},
                        server={"host-name": "localhost"}, env=realm.env(), directory=str(work / "server"),
                        raw=f"[identity]\nrealms={realm.name}\n[control]\nadmins=ada\nreaders=bob\n").start()
        self.url = f"http://localhost:{self.d.ports[3]}"
        self.folder = work / "folder"
        self.folder.mkdir()
        os.chmod(self.folder, 0o777)
        self.verb("share.create", name="data", path=str(self.folder), sec=["sys", "krb5", "krb5i", "krb5p"])
        self.token = self.verb("token.create", service="prometheus", scope="read", lifetime=3600)["token"]

    def verb(self, verb_, **args):
        return call_verb(self.d.control, verb_, **args)

    def curl(self, path, *more, token=None):
        """(status, content type, body)"""
        r = subprocess.run(["curl", "-s", "-w", "\n%{http_code} %{content_type}", *(["-H", "Authorization: Bearer " + token] if token else []),
                            *more, self.url + path], capture_output=True, text=True, timeout=60)
        body, _, last = r.stdout.rpartition("\n")
        code, _, kind = last.partition(" ")
        return int(code), kind, body

    def ctl(self, *words, code=0):
        r = subprocess.run([LARESCTL, "--socket", self.d.control, *words], capture_output=True, text=True, timeout=60,
                           env=dict(os.environ, LC_ALL="C.UTF-8"))
        assert r.returncode == code, r
        return r.stdout

    def keys(self):
        """What MIT's klist sees in the keytab: {(principal, encryption type)}."""
        text = subprocess.run(["klist", "-k", "-e", str(self.keytab)], capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"^ *\d+ (\S+) \(([\w-]+)\)", text, re.M))

    def text(self):
        code, kind, body = self.curl("/metrics", token=self.token)
        assert code == 200 and kind == "text/plain; version=0.0.4; charset=utf-8", (code, kind)
        return body

    def read(self):
        return Metrics(self.text())

    def nfs_conn(self):
        return nfsraw.Conn(port=self.d.ports[1], cred=nfsraw.auth_sys(os.stat(self.folder).st_uid, 0), timeout=60)

    def gss_conn(self, service):
        import nfsgss
        return nfsgss.GssConn("127.0.0.1", self.d.ports[1], spn="nfs@localhost", service=service, timeout=60)

    def smb(self):
        import smb2ops
        return smb2ops.Channel(self.d.ports[2]).login(spn="cifs@localhost")


class Metrics:
    """The text, read as strictly as its specification allows."""

    def __init__(self, text):
        self.kind, self.values, self.labels = {}, {}, {}
        assert text.endswith("\n") and "\n\n" not in text
        helped, current = set(), None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                current = line.split()[2]
                assert current not in helped, "twice: " + current
                helped.add(current)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                assert name == current and kind in ("counter", "gauge", "histogram"), line
                self.kind[name] = kind
            else:
                self.sample(line, current)

    def sample(self, line, family):
        m = SAMPLE.match(line)
        assert m, line
        name, inside, value = m.groups()
        suffix = name[len(family):]
        assert name.startswith(family) and suffix in (("_bucket", "_sum", "_count") if self.kind[family] == "histogram" else ("",)), line
        labels = tuple(LABEL.findall(inside or ""))
        assert not inside or "".join('%s="%s",' % x for x in labels) == inside + ",", line
        assert (name, labels) not in self.values, "twice: " + line
        self.values[name, labels] = float(value)
        self.labels.setdefault(family, set()).add(tuple(k for k, _ in labels if k != "le"))

    def get(self, name, **labels):
        found = [v for (n, have), v in self.values.items() if n == name and dict(have).items() >= labels.items()]
        return sum(found)

    def count(self, operation, protocol="nfs4", **more):
        return self.get("lares_operations_total", protocol=protocol, operation=operation, **more)

    def times(self, operation, protocol="nfs4"):
        return self.get("lares_request_duration_seconds_count", protocol=protocol, operation=operation)


# ---- the text

def test_format_and_document():
    c = S.nfs_conn()
    c.compound(0, nfs.putrootfh(), nfs.getattr("type")).ok()
    c.close()
    text = S.text()
    m = Metrics(text)
    assert all(n.startswith("lares_") and (k == "counter") == n.endswith("_total") for n, k in m.kind.items()), m.kind
    rows = {}
    with open(TOP / "docs" / "metrics.md") as f:
        for row in re.findall(r"^\| `(lares_\w+)` \| (\w+) \|([^|]*)\|", f.read(), re.M):
            assert row[0] not in rows, row
            rows[row[0]] = (row[1], tuple(re.findall(r"`(\w+)`", row[2])))
    assert {n: rows[n][0] for n in rows} == m.kind, set(rows) ^ set(m.kind)
    for name, seen in m.labels.items():
        assert seen == {rows[name][1]}, (name, seen, rows[name])
    # The same over the control socket, as a verb, and to HEAD.
    assert Metrics(S.verb("metrics")["text"]).kind == m.kind
    assert Metrics(S.ctl("metrics")).kind == m.kind
    assert S.curl("/api/v1/metrics", token=S.token)[0] == 200
    assert S.curl("/metrics", "-I", token=S.token)[0] == 200


def test_format_by_another_reader():
    if not text_string_to_metric_families:
        tap.skip("python3-prometheus-client is not installed")
    text = S.text()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    kinds = Metrics(text).kind
    assert {n.removesuffix("_total") for n in kinds} == set(families)
    for name, kind in kinds.items():
        assert families[name.removesuffix("_total")].type == kind, name
        assert families[name.removesuffix("_total")].documentation, name


def test_who_may_read():
    assert S.curl("/metrics")[0] == 401
    assert S.curl("/metrics", token="lares_" + "x" * 43)[0] == 401
    gone = S.verb("token.create", service="old", scope="read", lifetime=3600)
    assert S.curl("/metrics", token=gone["token"])[0] == 200
    S.verb("token.revoke", id=gone["id"])
    assert S.curl("/metrics", token=gone["token"])[0] == 401
    assert S.curl("/metrics", "-X", "POST", token=S.token)[0] == 405
    assert S.curl("/metrics/x", token=S.token)[0] == 404
    m = S.read()
    assert m.get("lares_auth_failures_total", protocol="http", flavor="token", reason="credential") >= 2


# ---- counts

def test_nfs_operations_and_bytes():
    a = S.read()
    s = nfsraw.Session(S.nfs_conn(), minor=2)
    root = s.walk("data")
    f = s.open(root, b"counted", access=3, how="unchecked", attrs={"mode": 0o600})
    data = b"z" * 50000
    for at in range(4):
        s.call(nfs.putfh(f.fh), nfs.write(f.stateid, at * len(data), data)).ok()
    got = s.call(nfs.putfh(f.fh), nfs.read(f.stateid, 0, 100000)).ok().last
    for _ in range(137):
        s.call(nfs.putfh(f.fh), nfs.getattr("size")).ok()
    for _ in range(5):
        assert s.call(nfs.putfh(root), nfs.lookup("not there")).error == "NOENT"
    b = S.read()

    def moved(fetch):
        return fetch(b) - fetch(a)
    assert moved(lambda m: m.count("GETATTR", outcome="ok")) == 137
    assert moved(lambda m: m.times("GETATTR")) == 137
    assert moved(lambda m: m.count("LOOKUP", outcome="client")) == 5
    assert moved(lambda m: m.count("WRITE")) == moved(lambda m: m.times("WRITE")) == 4
    assert moved(lambda m: m.count("READ")) == 1
    # Each request but those of another operation is a SEQUENCE, and each is timed under one name.
    requests = moved(lambda m: m.count("SEQUENCE"))
    assert moved(lambda m: m.get("lares_request_duration_seconds_count", protocol="nfs4")) == requests + 2  # EXCHANGE_ID, CREATE_SESSION
    assert moved(lambda m: m.get("lares_file_bytes_total", protocol="nfs4", direction="written")) == 4 * len(data)
    assert moved(lambda m: m.get("lares_file_bytes_total", protocol="nfs4", direction="read")) == len(got.data) == 100000
    assert moved(lambda m: m.get("lares_network_bytes_total", protocol="nfs4", direction="received")) > 4 * len(data)
    assert moved(lambda m: m.get("lares_network_bytes_total", protocol="nfs4", direction="sent")) > 100000
    assert moved(lambda m: m.get("lares_connections", protocol="nfs4")) == 1
    assert moved(lambda m: m.get("lares_connections_accepted_total", protocol="nfs4")) == 1
    assert moved(lambda m: m.get("lares_opens", protocol="nfs4")) == 1
    assert moved(lambda m: m.get("lares_sessions", protocol="nfs4")) == 1
    assert b.get("lares_sessions") == len(S.verb("session.list"))
    s.close(f.fh, f.stateid).ok()
    s.destroy()
    s.conn.close()
    end = time.monotonic() + 60
    while S.read().get("lares_connections", protocol="nfs4") > a.get("lares_connections", protocol="nfs4"):
        assert time.monotonic() < end
    c = S.read()
    assert c.get("lares_opens", protocol="nfs4") == a.get("lares_opens", protocol="nfs4")
    assert c.count("CLOSE") - a.count("CLOSE") == 1


def test_histograms_add_up():
    m = S.read()
    by_series = {}
    for (name, labels), value in m.values.items():
        if name == "lares_request_duration_seconds_bucket":
            plain = tuple(x for x in labels if x[0] != "le")
            by_series.setdefault(plain, []).append((float(dict(labels)["le"]), value))
    assert by_series
    for labels, buckets in by_series.items():
        assert [b for b, _ in buckets] == sorted(b for b, _ in buckets) and buckets[-1][0] == float("inf"), labels
        counts = [n for _, n in buckets]
        assert counts == sorted(counts), labels
        assert counts[-1] == m.values["lares_request_duration_seconds_count", labels]
        total = m.values["lares_request_duration_seconds_sum", labels]
        assert 0 < total < 30 * counts[-1], (labels, total)
    assert m.get("lares_auth_attempts_total") == m.get("lares_auth_successes_total") + m.get("lares_auth_failures_total")
    assert sum(m.get("lares_workers", state=s) for s in ("idle", "busy", "blocked")) == S.verb("status")["workers"]


def test_rest_operations():
    a = S.read()
    for _ in range(3):
        assert S.curl("/api/v1/shares/data", token=S.token)[0] == 200
    assert S.curl("/api/v1/shares/nothing", token=S.token)[0] == 404
    for i in range(4):  # addresses that somebody makes up are no labels
        S.curl(f"/api/v1/shares/made-up-{i}/x/y", token=S.token)
    assert S.curl("/api/v1/shares/data", "-X", "DELETE", token=S.token)[0] == 403
    b = S.read()
    assert b.count("GET /shares/{name}", "rest", outcome="ok") - a.count("GET /shares/{name}", "rest", outcome="ok") == 3
    assert b.count("GET /shares/{name}", "rest", outcome="client") - a.count("GET /shares/{name}", "rest", outcome="client") == 1
    assert b.count("DELETE /shares/{name}", "rest", outcome="denied") - a.count("DELETE /shares/{name}", "rest", outcome="denied") == 1
    assert b.count("other", "rest") - a.count("other", "rest") == 4
    assert b.times("GET /metrics", "rest") - a.times("GET /metrics", "rest") == 1
    assert "made-up" not in S.text()
    assert b.get("lares_auth_successes_total", protocol="http", flavor="token") > a.get("lares_auth_successes_total", protocol="http", flavor="token")


def test_logins_that_fail():
    def failures(m, flavor, reason):
        return m.get("lares_auth_failures_total", protocol="nfs4", flavor=flavor, reason=reason)
    a = S.read()
    with S.gss_conn(2) as c:  # a wrong checksum of the header, then one of the arguments
        c.compound(0, nfs.putrootfh()).ok()
        assert c.gss_call(0, tamper="header").verdict == "AUTH_ERROR:CREDPROBLEM"
        assert c.gss_call(1, c.pack_compound(0, [nfs.putrootfh()]), tamper="body").verdict == "GARBAGE_ARGS"
        b = S.read()
        assert failures(b, "krb5i", "credential") - failures(a, "krb5i", "credential") == 2
        assert b.get("lares_security_contexts", protocol="nfs4") - a.get("lares_security_contexts", protocol="nfs4") == 1
        assert time.time() < b.get("lares_ticket_expiry_timestamp_seconds", protocol="nfs4") < time.time() + 100000
        S.verb("user.disable", name="ada")  # while she is there
        try:
            assert c.null().verdict == "AUTH_ERROR:CREDPROBLEM"
            assert failures(S.read(), "krb5i", "disabled") - failures(b, "krb5i", "disabled") == 1
            try:
                S.gss_conn(1)
                raise AssertionError("a disabled user got a context")
            except Exception as e:
                assert not isinstance(e, AssertionError), e
            assert failures(S.read(), "krb5", "disabled") - failures(b, "krb5", "disabled") == 1
        finally:
            S.verb("user.enable", name="ada")
    # A ticket that ends while its context is in use.
    short = str(S.realm.kinit("bob", S.work / "cc-short", life=3))
    b = S.read()
    os.environ["KRB5CCNAME"] = short
    try:
        with S.gss_conn(1) as c:
            end = time.monotonic() + 60
            while c.null().verdict == "SUCCESS":
                assert time.monotonic() < end
                time.sleep(0.1)
    finally:
        os.environ["KRB5CCNAME"] = S.cc["ada"]
    assert failures(S.read(), "krb5", "expired") - failures(b, "krb5", "expired") == 1
    # A token that is none.
    b = S.read()
    with S.nfs_conn() as c:
        assert c.call(1, c.pack_compound(0, [nfs.putrootfh()]), cred=(1, b"\0" * 5)).verdict.startswith("AUTH_ERROR")
    assert failures(S.read(), "sys", "malformed") - failures(b, "sys", "malformed") == 1


def test_kerberos_status():
    """The keys, when they were read, and how many contexts are in use: one more with a login, and less with its end."""
    def contexts(n):
        end = time.monotonic() + 60
        while (now := S.verb("kerberos.status")["contexts"]) != n:
            assert time.monotonic() < end, (now, n)
            time.sleep(0.05)
        assert S.read().get("lares_kerberos_contexts") == n
    a = S.verb("kerberos.status")
    assert a["keytab"] == str(S.keytab) and 0 <= time.time() - a["loaded"] < 3600 and "problem" not in a, a
    assert {(k["principal"], k["enctype"]) for k in a["keys"]} == S.keys(), a["keys"]
    with S.gss_conn(1) as c:
        c.compound(0, nfs.putrootfh()).ok()
        contexts(a["contexts"] + 1)
        assert f"Contexts in use: {a['contexts'] + 1}\n" in re.sub(" +", " ", S.ctl("kerberos", "status"))
        c.destroy()
        contexts(a["contexts"])
    # A refused login is none.
    S.verb("user.disable", name="ada")
    try:
        S.gss_conn(1)
        raise AssertionError("a disabled user got a context")
    except Exception as e:
        assert not isinstance(e, AssertionError), e
    finally:
        S.verb("user.enable", name="ada")
    contexts(a["contexts"])
    # The keytab is read anew.
    while time.time() < a["loaded"] + 1:
        time.sleep(0.05)
    keys, began = S.keytab.read_bytes(), int(time.time())
    S.keytab.write_bytes(keys + b"\0\0\0\0")
    end = time.monotonic() + 60
    while S.verb("kerberos.status")["loaded"] == a["loaded"]:
        assert time.monotonic() < end, S.d.log()[-2000:]
        time.sleep(0.05)
    assert began <= S.verb("kerberos.status")["loaded"] <= time.time()


def test_contexts_make_room():
    """max-contexts is 16 here."""
    a = S.read()
    conns = [S.gss_conn(1) for _ in range(20)]
    b = S.read()
    assert b.get("lares_security_contexts", protocol="nfs4") == 16
    gone = b.get("lares_security_context_evictions_total", protocol="nfs4") - a.get("lares_security_context_evictions_total", protocol="nfs4")
    assert gone == a.get("lares_security_contexts", protocol="nfs4") + 20 - 16, gone
    assert b.get("lares_auth_successes_total", protocol="nfs4", flavor="krb5") - a.get("lares_auth_successes_total", protocol="nfs4", flavor="krb5") == 20
    for c in conns:
        c.close()


def test_keytab():
    a = S.read()
    names = {dict(k)["principal"] for (n, k) in a.values if n == "lares_keytab_key_version"}
    assert f"nfs/localhost@{S.realm.name}" in names, names
    assert 0 <= time.time() - a.get("lares_keytab_loaded_timestamp_seconds") < 3600
    keys = S.keytab.read_bytes()
    S.keytab.write_bytes(b"nonsense")
    end = time.monotonic() + 60
    while S.read().get("lares_keytab_reload_failures_total") == a.get("lares_keytab_reload_failures_total"):
        assert time.monotonic() < end, S.d.log()[-2000:]
        time.sleep(0.05)
    b = S.read()
    assert b.get("lares_keytab_reloads_total") == a.get("lares_keytab_reloads_total")
    assert b.get("lares_keytab_keys") == a.get("lares_keytab_keys")  # the old ones stay in use
    # The data share asks for krb5: now the server is not well, and says why to those who may know.
    code, _, body = S.curl("/api/v1/health", token=S.token)
    assert code == 503 and json.loads(body)["status"] == "failing", body
    assert [p for p in json.loads(body)["problems"] if p.startswith("login krb5:") and "keytab" in p], body
    assert json.loads(S.curl("/api/v1/health")[2]) == {"status": "failing"}
    S.keytab.write_bytes(keys + b"\0\0\0\0")
    while S.read().get("lares_keytab_reloads_total") == a.get("lares_keytab_reloads_total"):
        assert time.monotonic() < end, S.d.log()[-2000:]
        time.sleep(0.05)
    assert S.curl("/api/v1/health", token=S.token)[0] == 200


def test_smb_commands():
    import smb2ops as ops
    import smb2raw as smb
    a = S.read()
    c = S.smb()
    tree = c.connect_tree("data")
    fid = c.ask(smb.CREATE, ops.create("counted.txt"), tree).file
    for _ in range(9):
        assert c.ask(smb.WRITE, ops.write(fid, 0, b"0123456789"), tree).status == smb.SUCCESS
    assert c.ask(smb.READ, ops.read(fid, 0, 10), tree).status == smb.SUCCESS
    other = c.ask(smb.CREATE, ops.create("not/there.txt"), tree)
    assert other.status != smb.SUCCESS
    b = S.read()

    def moved(command, **more):
        return b.count(command, "smb2", **more) - a.count(command, "smb2", **more)
    assert moved("WRITE", outcome="ok") == 9 and moved("READ", outcome="ok") == 1
    assert moved("CREATE", outcome="ok") == 1 and moved("CREATE", outcome="client") == 1
    assert b.times("WRITE", "smb2") - a.times("WRITE", "smb2") == 9
    assert moved("SESSION_SETUP") >= 1 and moved("TREE_CONNECT") == 1
    assert b.get("lares_file_bytes_total", protocol="smb2", direction="written") - a.get("lares_file_bytes_total", protocol="smb2", direction="written") == 90
    assert b.get("lares_sessions", protocol="smb2") - a.get("lares_sessions", protocol="smb2") == 1
    assert b.get("lares_auth_successes_total", protocol="smb2", flavor="krb5") - a.get("lares_auth_successes_total", protocol="smb2", flavor="krb5") == 1
    c.ask(smb.CLOSE, ops.close(fid), tree)
    c.close()


# ---- opens and locks

def test_opens_and_locks_of_both():
    import smb2ops as ops
    import smb2raw as smb
    c, s = S.smb(), nfsraw.Session(S.nfs_conn(), minor=1)
    tree, root = c.connect_tree("data"), s.walk("data")
    f = s.open(root, b"both.txt", access=3, owner=b"opener", how="unchecked", attrs={"mode": 0o666})
    fid = c.ask(smb.CREATE, ops.create("both.txt", access=3), tree).file
    assert c.ask(smb.LOCK, ops.lock(fid, (10, 10, ops.LOCK_EXCLUSIVE | ops.LOCK_NOW)), tree).status == smb.SUCCESS
    s.call(nfs.putfh(f.fh), nfs.lock(1, 100, 50, f.stateid, s.clientid, b"locker")).ok()
    s.call(nfs.putfh(f.fh), nfs.lock(1, 200, 2**64 - 1, f.stateid, s.clientid, b"other\xff")).ok()
    opens = [o for o in S.verb("open.list", share="data")["items"] if o.get("path") == "both.txt"]
    assert sorted(o["protocol"] for o in opens) == ["nfs4", "smb2"], opens
    sessions = {x["id"]: x for x in S.verb("session.list")}
    by = {o["protocol"]: o for o in opens}
    assert by["nfs4"]["access"] == ["read", "write"] and by["nfs4"]["deny"] == [] and by["nfs4"]["locks"] == 2, by
    assert by["smb2"]["user"] == "ada" and by["smb2"]["locks"] == 1 and by["smb2"]["type"] == "file", by
    assert all(o["session"] in sessions and o["client"] == "127.0.0.1" for o in opens), (opens, sessions)
    locks = {(x["kind"], x.get("start")): x for x in S.verb("lock.list", share="data")["items"] if x.get("path") == "both.txt"}
    win, one, rest = locks["mandatory", 10], locks["posix", 100], locks["posix", 200]
    assert (win["length"], win["mode"], win["protocol"], win["open"]) == (10, "exclusive", "smb2", by["smb2"]["id"]), win
    assert (one["length"], one["mode"], one["owner"], one["open"]) == (50, "shared", "locker", by["nfs4"]["id"]), one
    assert "length" not in rest and rest["owner"] == "0x" + b"other\xff".hex(), rest
    # Each by its user, over REST and in a table.
    code, _, body = S.curl("/api/v1/opens?user=ada&share=data", token=S.token)
    assert code == 200 and [o["protocol"] for o in json.loads(body)["items"] if o.get("path") == "both.txt"] == ["smb2"], body
    code, _, body = S.curl("/api/v1/locks?user=ada", token=S.token)
    assert code == 200 and json.loads(body)["total"] == 1 and json.loads(body)["items"][0] == win, body
    shown = S.ctl("open", "list", "--share", "data")
    assert "both.txt" in shown and by["smb2"]["session"] in shown, shown
    assert S.ctl("lock", "list", "--user", "ada").count("both.txt") == 1
    m = S.read()
    assert m.get("lares_locks", protocol="nfs4", kind="posix") == 2 and m.get("lares_locks", protocol="smb2", kind="mandatory") == 1
    # A page at a time, and by id: nothing twice, nothing left out.
    seen, after = [], {}
    while True:
        page = S.verb("lock.list", limit=1, **after)
        assert page["total"] == 3 and len(page["items"]) == 1
        seen += page["items"]
        if "next" not in page:
            break
        after = {"after": page["next"]}
    assert seen == sorted([win, one, rest], key=lambda x: int(x["id"]))
    assert len(json.loads(S.ctl("lock", "list", "--limit", "2", "--json"))) == 3
    # What is given back is gone.
    c.ask(smb.CLOSE, ops.close(fid), tree)
    s.close(f.fh, f.stateid)
    s.call(nfs.putfh(f.fh), nfs.locku(1, 0, 2**64 - 1, f.stateid))
    c.close()
    s.conn.close()


def test_leases_are_listed():
    import smb2ops as ops
    import smb2raw as smb
    c = S.smb()
    tree = c.connect_tree("data")
    key = os.urandom(16)
    r = c.ask(smb.CREATE, ops.create("leased.txt", oplock=ops.LEASE, contexts=[ops.lease_context(key, ops.R | ops.W | ops.H)]), tree)
    twice = c.ask(smb.CREATE, ops.create("leased.txt", oplock=ops.LEASE, contexts=[ops.lease_context(key, ops.R | ops.W | ops.H)]), tree)
    found = [x for x in S.verb("lock.list", share="data")["items"] if x.get("path") == "leased.txt"]
    assert len(found) == 1 and found[0]["kind"] == "lease" and found[0]["lease"] == ["read", "write", "handle"], found
    assert S.read().get("lares_leases", protocol="smb2", kind="lease") == 1
    assert [o["lease"] for o in S.verb("open.list")["items"] if o.get("path") == "leased.txt"] == [["read", "write", "handle"]] * 2
    for fid in (r.file, twice.file):
        c.ask(smb.CLOSE, ops.close(fid), tree)
    assert not [x for x in S.verb("lock.list")["items"] if x.get("path") == "leased.txt"]
    c.close()


def test_lists_refuse_nonsense():
    for args in ({"limit": 0}, {"limit": 1001}, {"after": "x"}, {"after": "-1"}, {"shares": "data"}):
        for verb in ("open.list", "lock.list"):
            try:
                S.verb(verb, **args)
                raise AssertionError((verb, args))
            except ControlError as e:
                assert ": 400:" in str(e), e
    for args in ({"share": "nothing"}, {"user": "nobody-at-all"}):
        try:
            S.verb("open.list", **args)
            raise AssertionError(args)
        except ControlError as e:
            assert ": 404:" in str(e), e
    assert S.curl("/api/v1/opens")[0] == 401 and S.curl("/api/v1/locks")[0] == 401
    assert S.curl("/api/v1/opens?limit=0", token=S.token)[0] == 400


# ---- health and version

def test_health():
    assert S.curl("/api/v1/health") == (200, "application/json", '{"status":"ok"}')  # nothing more for nobody
    code, _, body = S.curl("/api/v1/health", token=S.token)
    health = json.loads(body)
    assert code == 200 and health["status"] == "ok" and health["problems"] == [], body
    assert {m["name"]: m["state"] for m in health["modules"]}["proto-nfs4"] == "loaded", health
    assert health["keytab"]["keytab"] == str(S.keytab) and "keys" not in health["keytab"], health
    assert S.curl("/api/v1/health", token="wrong")[0] == 401  # who shows something must show the right thing
    assert "ok" in S.ctl("health")
    (S.folder / "sub").mkdir()
    S.verb("share.create", name="gone", path=str(S.folder / "sub"))
    os.rmdir(S.folder / "sub")
    S.d.restart()
    try:
        code, _, body = S.curl("/api/v1/health", token=S.token)
        assert code == 503 and [p for p in json.loads(body)["problems"] if p.startswith("share gone:")], body
        assert S.curl("/api/v1/health")[2] == '{"status":"failing"}'
        assert S.curl("/api/v1/health", "-I")[0] == 503
        assert "share gone" in S.ctl("health", code=1)
        assert json.loads(S.ctl("health", "--json", code=1))["status"] == "failing"
        assert S.read().get("lares_shares", state="unavailable") == 1
    finally:
        S.verb("share.remove", name="gone")
    assert "ok" in S.ctl("health")
    assert S.curl("/api/v1/healthy", token=S.token)[0] == 404


def test_version():
    assert S.curl("/api/v1/version")[0] == 401
    code, _, body = S.curl("/api/v1/version", token=S.token)
    version = json.loads(body)
    assert code == 200 and version["api"] == "v1" and re.fullmatch(r"\d+\.\d+", version["module-abi"]), body
    assert version["version"] in S.ctl("version")
    assert f'lares_build_info{{version="{version["version"]}",abi="{version["module-abi"]}"}} 1\n' in S.text()


def run():
    global S
    try:
        for name in ("krb5kdc", "kinit", "curl"):
            tool(name)
    except RealmError as e:
        print("1..0 # SKIP", e)
        sys.exit(77)
    work = pathlib.Path(tempfile.mkdtemp(prefix="watch-"))
    os.chmod(work, 0o755)
    try:
        with Realm(work / "realm", users=["ada", "bob"], services=["nfs/localhost", "cifs/localhost", "HTTP/localhost"]) as realm:
            S = Server(work, realm)
            try:
                tap.main(globals())
            finally:
                S.d.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    run()
