#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""laresctl kerberos init against a real kadmind: the realm of another server, MIT's own programs."""
import contextlib
import re
import signal

from clinic import (KEYTAB_HELPER, REALM, bad, call_verb, ctl, entries, examine, found, hospital, key_entry, os, realm_env, shutil, subprocess,
                    tool, until, write_keytab)
import tap
from laresd import Laresd
from lares_server import ControlError

PASSWORD = "correct horse"
ADMIN = f"ada/admin@{REALM}"


@contextlib.contextmanager
def two(**krb5):
    """The realm's server, and one that is to be a member of the realm."""
    with hospital(users={"ada/admin": PASSWORD, "bob": PASSWORD}) as kdc:
        env = {"KRB5_CONFIG": kdc.state + "/realm/krb5.conf"}
        with Laresd({"auth-sys": {}, "auth-krb5": {"helper": KEYTAB_HELPER, **(krb5 or {"keytab": "@DIR@/lares.keytab"})}, "store-posix": {},
                     "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "1s"}}, env=env, wait=[],
                    server={"host-name": "files.home.lan", "aliases": "localhost"}) as d:
            d.keytab = d.dir + "/lares.keytab"
            yield kdc, d


def keys(path):
    """{principal: set of key versions} as MIT's klist reads it."""
    done = subprocess.run([tool("klist"), "-k", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    out = {}
    for kvno, name in re.findall(r"^\s*(\d+) (\S+)@", done.stdout, re.M):
        out.setdefault(name, set()).add(int(kvno))
    return out


def init(d, *more, password=PASSWORD, admin=ADMIN, code=0):
    return ctl(d, "kerberos", "init", "--admin", admin, "--password-stdin", *more, text=password + "\n", code=code)


ALL = {f"{s}/{h}" for s in ("nfs", "cifs", "HTTP", "host") for h in ("files.home.lan", "localhost")}
OWN = {n for n in ALL if n.endswith("files.home.lan")}


def may_extract(kdc):
    """The realm's administrators may read keys from now on."""
    with open(kdc.state + "/realm/kadm5.acl", "w") as f:
        f.write(f"*/admin@{REALM} *e\n")
    daemons = call_verb(kdc.control, "realm.status")["daemons"]
    pid = [x["pid"] for x in daemons if x["program"] == "kadmind"][0]
    os.kill(pid, signal.SIGHUP)
    log = len(kdc.log())
    os.kill(pid, signal.SIGTERM)
    kdc.wait_log("kadmind: ready", start=log, timeout=60)


def test_all_of_it():
    with two() as (kdc, d):
        # The localhost principals are the realm's own server's: nobody takes their keys away.
        said = init(d, code=1)
        assert "LEFT ALONE (key version 1)" in said.stdout and "--rotate" in said.stderr and "extract-keys" in said.stderr, said
        assert keys(d.keytab) == {n: {2} for n in OWN}, keys(d.keytab)
        assert os.stat(d.keytab).st_mode & 0o777 == 0o600
        assert not [f for f in os.listdir(d.dir) if "lares.keytab." in f], os.listdir(d.dir)
        d.wait_log("8 keys from keytab")
        assert [b for b in bad(examine(kdc, "kerberos"))] == []
        # Again: they are there.
        before = keys(d.keytab)
        said = init(d, code=1).stdout
        assert said.count("was there (key version 2)") == 4 and said.count("LEFT ALONE") == 4, said
        assert keys(d.keytab) == before
        # Where they may be read, they are copied as they are.
        may_extract(kdc)
        said = init(d).stdout
        assert said.count("keys copied (key version 1)") == 4 and f"The keys are in {d.keytab}" in said, said
        assert set(keys(d.keytab)) == ALL
        until(lambda: "16 keys from keytab" in d.log() or "24 keys from keytab" in d.log())
        assert bad(examine(kdc, "kerberos")) == []  # its keys were not changed
        report = examine(d, "kerberos")
        assert bad(report) == [], bad(report)
        found(report, "kerberos.login", "ok")
        # A ticket of a person opens it: the proof of the keytab.
        assert re.search(r"event=auth principal=\S+@HOME.LAN .*protocol=nfs4 verdict=accepted", d.log()), d.log()
        # A keytab that lacks the type in which the KDC gives tickets out, though it has the version.
        nfs = f"nfs/files.home.lan@{REALM}"
        everything = list(entries(d.keytab))
        assert len({(n, enctype) for n, enctype, _ in everything}) == len(everything), "keys twice"
        write_keytab(d.keytab, [e for n, enctype, e in everything if (n, enctype) != (nfs, 18)])
        until(lambda: "kerberos.enctype" in {b[1] for b in bad(examine(d, "kerberos"))})
        one, = found(examine(d, "kerberos"), "kerberos.enctype", "error")
        assert nfs in one["text"] and one["remedy"] == "laresctl kerberos init --admin ADMIN/admin", one
        assert init(d).stdout.count("keys copied") == 1
        assert sorted(e[:2] for e in entries(d.keytab)) == sorted(e[:2] for e in everything)
        until(lambda: bad(examine(d, "kerberos")) == [])
        # Keys of the last century are told about, and the server's are gone with the next new ones.
        with open(d.keytab, "ab") as f:
            f.write(key_entry("nfs/files.home.lan", REALM, 1, 23, bytes(16)))
            f.write(key_entry("backup/files.home.lan", REALM, 1, 23, bytes(16)))
        until(lambda: "kerberos.weak" in {b[1] for b in bad(examine(d, "kerberos"))})
        one, other = found(examine(d, "kerberos"), "kerberos.weak", "warning")
        assert "backup/files.home.lan" in other["text"]
        assert f"the key of {nfs} (kvno 1) has encryption type arcfour-hmac (23)" in one["text"], one
        assert one["remedy"] == "laresctl kerberos init --admin ADMIN/admin --rotate", one
        # New keys on demand: old ones stay beside them.
        said = init(d, "--rotate").stdout
        assert said.count("new keys (key version 3)") == 4 and said.count("new keys (key version 2)") == 4, said
        assert all(v == ({2, 3} if n in OWN else {1, 2}) for n, v in keys(d.keytab).items() if n in ALL), keys(d.keytab)
        until(lambda: [b[1] for b in bad(examine(d, "kerberos"))] == ["kerberos.weak"])
        # Another program's key is its own business.
        assert [name for name, enctype, _ in entries(d.keytab) if enctype == 23] == [f"backup/files.home.lan@{REALM}"]
        assert "kerberos.ticket" in {b[1] for b in bad(examine(kdc, "kerberos"))}  # as it was said
        audit = [x for x in d.log().splitlines() if "event=control verb=kerberos.init " in x]
        assert len(audit) >= 8 and PASSWORD not in d.log() and PASSWORD not in kdc.log(), audit


def test_refusals():
    with two() as (kdc, d):
        said = init(d, password="wrong horse", code=1)
        assert re.search(r"Password incorrect|Preauthentication failed", said.stderr), said
        said = init(d, admin=f"nobody/admin@{REALM}", code=1)
        assert "not found" in said.stderr, said
        # Somebody who is no administrator.
        said = init(d, admin=f"bob@{REALM}", code=1)
        assert "privilege" in said.stderr, said
        assert not os.path.exists(d.keytab) and not [f for f in os.listdir(d.dir) if "keytab." in f], os.listdir(d.dir)
        for args, words in (({"admin": "a b", "password": "x"}, "no principal"), ({"admin": "a/admin", "password": "x"}, "realm"),
                            ({"admin": ADMIN, "password": ""}, "password"), ({"admin": "a\nb", "password": "x"}, "no principal"),
                            ({"admin": ADMIN, "password": "x", "realm": "A\nB"}, "no realm"),
                            ({"admin": ADMIN, "password": "x" * ((256 << 10) - 170)}, "too long together")):
            try:
                call_verb(d.control, "kerberos.init", **args)
                raise AssertionError(args)
            except ControlError as e:
                assert "400" in str(e) and words in str(e), e
        assert "--admin" in ctl(d, "kerberos", "init", code=2).stderr
        assert "realm rotate" in ctl(d, "kerberos", "init", "--rotate", code=2).stderr


def test_where_no_keytab_is_named():
    with two(services="nfs,HTTP") as (kdc, d):
        said = init(d, code=1)
        assert said.stdout.count("made") == 2, said
        d.wait_log("4 keys from keytab %s/lares.keytab" % d.state)
        assert set(keys(d.state + "/lares.keytab")) == {"nfs/files.home.lan", "HTTP/files.home.lan"}


def test_kadmind_that_is_not_there():
    with two() as (kdc, d):
        kdc.stop()
        said = init(d, code=1)
        assert re.search(r"Cannot contact any KDC|Cannot resolve|communication failure", said.stderr), said
        assert not os.path.exists(d.keytab)
        kdc.start()


def test_broken_helper():
    with hospital(realm=False, modules={"auth-krb5": {"helper": "/bin/false"}}) as d:
        said = init(d, code=1)
        assert "the keytab helper broke off" in said.stderr, said
        assert call_verb(d.control, "kerberos.init.show")["state"] == "failed"


def test_nothing_blocks_the_helper():
    """The server's threads block all signals (base/thread.h); a child that inherited that could not be ended."""
    with hospital(realm=False, modules={"auth-krb5": {"helper": "@DIR@/helper"}, "realm-mit": {}}) as d:
        with open(os.open(d.dir + "/helper", os.O_WRONLY | os.O_CREAT, 0o755), "w") as f:
            f.write("#!/bin/sh\ngrep ^Sig /proc/self/status > \"${0%/*}/signals\"; echo done\n")
        init(d, code=0)
        with open(d.dir + "/signals") as f:
            mask = dict(line.split() for line in f)
        # What this test ignores itself, a shell's job in the background for example, the server does not undo.
        inherited = next(int(line.split()[1], 16) for line in open("/proc/self/status") if line.startswith("SigIgn:"))
        assert int(mask["SigBlk:"], 16) == 0 and int(mask["SigIgn:"], 16) & ~inherited == 0, mask


def test_active_directory():
    with hospital(realm=False, server={"host-name": "nas.corp.test"}) as d:
        said = ctl(d, "kerberos", "init", "--active-directory", code=0).stdout
        for line in ("setspn -S nfs/nas.corp.test NAS", "samba-tool spn add cifs/nas.corp.test NAS",
                     "samba-tool domain exportkeytab lares.keytab --principal=HTTP/nas.corp.test"):
            assert line in said, said


if __name__ == "__main__":
    gone = [t for t in ("krb5kdc", "kadmind", "kinit", "klist")
            if not shutil.which(t, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if gone or os.geteuid() != 0:
        print("1..0 # SKIP needs root", *gone)
        raise SystemExit(0)
    tap.main(globals())
