#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/KERBEROS.md quotes under "Troubleshooting by symptom" is what the programs say: each row's trouble is made,
the quoted words are looked for in what came, the cure is applied and helps. test-symptoms.py [TIRPC-GSS]"""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "..", "lib"))
import tap
from laresd import BUILD, Laresd, free_port
from lares_server import ControlError, LaresServer, call_verb
from realm import Realm, tool

TIRPC_GSS = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1].endswith("tirpc-gss") else None
if TIRPC_GSS and not os.path.exists(TIRPC_GSS):
    TIRPC_GSS = None
PASSWORD = "correct horse"


def rows():
    """The quoted symptoms of both tables, as they stand in the page."""
    with open(os.path.join(TOP, "docs", "KERBEROS.md")) as f:
        text = f.read()
    tables = re.findall(r"^### Troubleshooting by .*?\n\n(\|.*?)\n\n?(?:[^|]|\Z)", text, re.M | re.S)
    assert len(tables) == 2, len(tables)
    return [q for table in tables for line in table.splitlines()[2:] for q in re.findall(r"`([^`]+)`", line.split("|")[1])]


QUOTED = rows()


def documented(said, start):
    """The page has a row that begins so, and its words are what was said ("…" stands for anything)."""
    found = [q for q in QUOTED if q.startswith(start)]
    assert found, (start, QUOTED)
    for q in found:
        assert re.search(".*".join(re.escape(p.strip()) for p in q.split("…")), said), (q, said.replace(" info ", " "))


@contextlib.contextmanager
def home(**more):
    """A laresd with its own realm and the user anna."""
    ports = {k: free_port() for k in ("kdc-port", "kadmin-port", "kpasswd-port")}
    with Laresd({"auth-krb5": {}, "store-posix": {}, "proto-rest": {},
                 "realm-mit": {"listen": "127.0.0.1", "helper": BUILD + "/modules/realm-mit/lares-realm-helper",
                               **ports, **more}}, start=False) as d:
        d.wait = [d.control]
        d.start()
        d.kdc = ports["kdc-port"]
        call_verb(d.control, "realm.create", name="HOME.LAN")
        call_verb(d.control, "realm.user.add", name="anna", password=PASSWORD)
        d.wait_log("krb5kdc: ready")
        yield d


def client(d, *command, text=PASSWORD + "\n", conf=None):
    env = dict(os.environ, KRB5_CONFIG=conf or d.state + "/realm/krb5.conf", KRB5CCNAME="FILE:" + d.dir + "/cc",
               LC_ALL="C.UTF-8")
    return subprocess.run([tool(command[0]), *command[1:]], env=env, input=text, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)


def works(d):
    r = client(d, "kinit", "anna")
    assert r.returncode == 0, r.stdout
    return r


def test_port_is_taken():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = s.getsockname()[1]
        with Laresd({"proto-rest": {}, "realm-mit": {"listen": "127.0.0.1", "kdc-port": taken}}, start=False) as d:
            d.wait = [d.control]
            d.start()
            try:
                call_verb(d.control, "realm.create", name="HOME.LAN")
                raise AssertionError("made")
            except ControlError as e:
                documented(str(e).replace(str(taken), "88"), "port 88")
                assert "stop it or choose other ports" in str(e), e


def test_no_kdc_there():
    with home() as d:
        conf = d.dir + "/wrong.conf"
        with open(d.state + "/realm/krb5.conf") as f, open(conf, "w") as to:
            to.write(f.read().replace(":%d" % d.kdc, ":%d" % free_port()))
        documented(client(d, "kinit", "anna", conf=conf).stdout, "kinit: Cannot contact any KDC")
        works(d)


def test_unknown_user():
    with home() as d:
        documented(client(d, "kinit", "ana").stdout, "kinit: Client … not found")
        assert "ana" not in [u["name"] for u in call_verb(d.control, "realm.user.list")]


def test_disabled_user():
    with home() as d:
        call_verb(d.control, "realm.user.disable", name="anna")
        documented(client(d, "kinit", "anna").stdout, "kinit: … credentials have been revoked")
        call_verb(d.control, "realm.user.enable", name="anna")
        works(d)


def test_wrong_password():
    with home() as d:
        documented(client(d, "kinit", "anna", text="wrong horse\n").stdout, "kinit: Password incorrect")
        call_verb(d.control, "realm.user.passwd", name="anna", password="another horse")
        assert client(d, "kinit", "anna", text="another horse\n").returncode == 0


def test_name_the_server_does_not_know():
    with home() as d:
        works(d)
        documented(client(d, "kvno", "nfs/files.home.lan").stdout, "Server nfs/… not found")
        d.write_module("realm-mit", {**d.modules["realm-mit"], "aliases": "files.home.lan"})
        d.reload()
        d.wait_log("reloading")
        call_verb(d.control, "status")
        for _ in range(50):
            r = client(d, "kvno", "nfs/files.home.lan")
            if r.returncode == 0:
                break
            subprocess.run(["sleep", "0.1"], check=True)
        assert r.returncode == 0, r.stdout


def test_damaged_keytab():
    with home() as d:
        keytab = d.state + "/realm/service.keytab"
        before = client(d, "klist", "-ekt", keytab).stdout.count("@HOME.LAN")
        d.stop()
        with open(keytab, "w") as f:
            f.write("what a power cut left")
        os.unlink(keytab)
        d.start()
        d.wait_log("krb5kdc: ready", start=len(d.log()) // 2)
        for _ in range(50):
            if os.path.exists(keytab):
                break
            subprocess.run(["sleep", "0.1"], check=True)
        assert client(d, "klist", "-ekt", keytab).stdout.count("@HOME.LAN") == before > 0
        works(d)


# ---- By the reason in the audit line ---------------------------------------------------------------------------------

@contextlib.contextmanager
def external(**more):
    if not TIRPC_GSS:
        tap.skip("libtirpc was built without RPCSEC_GSS")
    with tempfile.TemporaryDirectory(prefix="symptoms-") as d:
        os.chmod(d, 0o755)
        os.mkdir(d + "/share")
        with Realm(d + "/realm", users=["alice"], services=["nfs/localhost"]) as realm:
            server = LaresServer(d + "/server", realm, **more)
            server.add_share("share", d + "/share", ["krb5p", "krb5i", "krb5"])
            with server:
                yield d, realm, server


def log_in(d, realm, server, cc="cc"):
    env = realm.env(ccache=realm.kinit("alice", d + "/" + cc))
    done = subprocess.run([TIRPC_GSS, "127.0.0.1", str(server.port), "localhost"], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode == 0


def reason(server):
    refused = [x for x in server.laresd.log().splitlines() if "verdict=refused" in x]
    assert refused, server.laresd.log()
    return refused[-1]


def test_keytab_of_yesterday():
    with external() as (d, realm, server):
        fresh = d + "/fresh.keytab"
        realm.rekey("nfs/localhost", fresh, keep_old=False)
        assert not log_in(d, realm, server)
        documented(reason(server), "… not found in keytab")
        assert "the ticket is for a principal or key version" in reason(server), reason(server)
        shutil.copy(fresh, realm.service_keytab)
        server.laresd.wait_log("4 keys from keytab", start=server.laresd.log().index("verdict=refused"))
        assert log_in(d, realm, server, "cc2"), server.laresd.log()


def test_key_that_is_not_the_kdcs():
    with external() as (d, realm, server):
        # The same kvno with another key, as a keytab made from a guessed password has it.
        other = d + "/other.keytab"
        text = "addent -password -p nfs/localhost@%s -k 1 -e aes256-cts-hmac-sha1-96\nwrong\nwkt %s\nq\n" % (realm.name, other)
        subprocess.run([tool("ktutil")], input=text, text=True, env=realm.env(), check=True, capture_output=True)
        size = len(server.laresd.log())
        shutil.copy(other, realm.service_keytab)
        server.laresd.wait_log("1 keys from keytab", start=size)
        assert not log_in(d, realm, server)
        documented(reason(server), "… found in keytab but")
        assert "write the keytab again" in reason(server), reason(server)


def test_every_reason_of_ours_is_documented():
    """A sentence of our own that refuses a login is in the page."""
    with open(os.path.join(TOP, "modules", "auth-krb5", "krb5-context.c")) as f:
        source = f.read()
    for ours in ("the client did not ask for mutual authentication", "the same authenticator came a second time",
                 "the ticket has ended", "anonymous Kerberos tickets are not accepted"):
        assert ours in source and any(q in ours for q in QUOTED), (ours, QUOTED)
    for name in ("directory-resolve.c", "directory.h"):
        with open(os.path.join(TOP, "core", "identity", name)) as f:
            source += f.read()
    for ours in ("the user is disabled", "a system account of the host", "the realm is not ours"):
        assert '"%s"' % ours in source and ours in QUOTED, ours
    assert "the ticket is for %s, not for the service %s" in source
    assert "the ticket is for …, not for the service …" in QUOTED


if __name__ == "__main__":
    missing = [t for t in ("krb5kdc", "kadmind", "kinit", "kvno", "ktutil")
               if not shutil.which(t, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0 or missing:
        print("1..0 # SKIP " + " ".join(["needs root", *missing]))
        sys.exit(0)
    tap.main(globals())
