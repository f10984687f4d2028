#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Realms that are not ours: Heimdal's KDC, and MIT's with one kind of key only. Every service of RPCSEC_GSS is used by
libtirpc's client (test-external-realm.py TIRPC-GSS)."""
import base64
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from types import SimpleNamespace

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import heimdal
import tap
from lares_server import LaresServer
from realm import Realm, RealmError, tool

TIRPC_GSS = sys.argv.pop(1) if len(sys.argv) > 1 else None
SERVICE = "nfs/localhost"
KRB5 = ["krb5p", "krb5i", "krb5"]


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="external-") as d:
        os.chmod(d, 0o755)
        os.mkdir(d + "/share", 0o777)
        yield pathlib.Path(d)


@contextlib.contextmanager
def mit(d, enctypes, **more):
    """MIT's KDC with these types alone, for keys, tickets and sessions."""
    with Realm(d / "realm", users=["alice"], services=[SERVICE], enctypes=enctypes, **more) as realm:
        yield realm


@contextlib.contextmanager
def server(d, realm, **more):
    s = LaresServer(d / "server", realm, **more)
    s.add_share("share", d / "share", KRB5)
    with s:
        yield s


def log_in(realm, s, ccache):
    """All services of RPCSEC_GSS; the client's report."""
    r = subprocess.run([TIRPC_GSS, "127.0.0.1", str(s.port), "localhost"], env=realm.env(ccache=ccache), text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return SimpleNamespace(good=r.returncode == 0, text=r.stdout)


def assert_in(realm, s, ccache):
    report = log_in(realm, s, ccache)
    log = s.laresd.log()
    assert report.good, report.text + log
    assert re.search(r"auth principal=alice@%s .*user=alice .*verdict=accepted" % realm.name, log), log


def klist(realm, ccache):
    return subprocess.run([tool("klist"), "-e"], env=realm.env(ccache=ccache), capture_output=True, text=True).stdout


def need_client():
    if not TIRPC_GSS:
        tap.skip("libtirpc was built without RPCSEC_GSS")


# ---- Heimdal --------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def heimdal_realm(d):
    try:
        root = heimdal.fetch()
    except RealmError as e:
        tap.skip("Heimdal's packages cannot be had: " + str(e).replace("\n", " ")[:200])
    with heimdal.HeimdalRealm(d / "realm", root, users=["alice"], services=[SERVICE]) as realm:
        yield realm


def test_heimdal_with_mits_client():
    need_client()
    with folder() as d, heimdal_realm(d) as realm, server(d, realm) as s:
        assert_in(realm, s, realm.kinit("alice", d / "cc"))


def test_heimdal_with_heimdals_client():
    need_client()
    with folder() as d, heimdal_realm(d) as realm, server(d, realm) as s:
        assert_in(realm, s, realm.kinit("alice", d / "cc", heimdal=True))


def test_heimdal_keytab_loses_other_types():
    """Heimdal makes 3DES and RC4 keys of old habit: each is named, the AES keys serve."""
    with folder() as d, heimdal_realm(d) as realm:
        realm.kadmin("add_enctype", "-r", SERVICE, "arcfour-hmac-md5")
        os.unlink(realm.service_keytab)
        realm.kadmin("ext_keytab", f"--keytab={realm.service_keytab}", SERVICE)
        with server(d, realm) as s:
            log = s.laresd.log()
            assert "arcfour-hmac (23), only AES keys (17 to 20) are used" in log, log
            if TIRPC_GSS:
                assert_in(realm, s, realm.kinit("alice", d / "cc"))


# ---- MIT with one kind of key ---------------------------------------------------------------------------------------

def one_kind(enctypes, number):
    need_client()
    with folder() as d, mit(d, enctypes) as realm, server(d, realm) as s:
        cc = realm.kinit("alice", d / "cc")
        assert_in(realm, s, cc)
        tickets = klist(realm, cc)
        service = tickets[tickets.index(SERVICE):]
        types = set(re.findall(r"aes\d+-cts-[a-z0-9-]+", service))
        assert types and types <= set(enctypes.split()), tickets
        kinds = subprocess.run([tool("klist"), "-ekt", str(realm.service_keytab)], env=realm.env(), capture_output=True,
                               text=True).stdout
        assert kinds.count(SERVICE) == number, kinds


def test_mit_with_sha2_only():
    one_kind("aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128", 2)


def test_mit_with_aes256_sha384_only():
    one_kind("aes256-cts-hmac-sha384-192", 1)


def test_mit_with_aes128_sha256_only():
    one_kind("aes128-cts-hmac-sha256-128", 1)


def test_mit_with_aes128_sha1_only():
    one_kind("aes128-cts-hmac-sha1-96", 1)


def rc4_keytab(realm, path):
    """The service's RC4 key alone, as a forgotten old keytab has it."""
    text = "addent -password -p %s@%s -k 1 -e arcfour-hmac\npassword\nwkt %s\nq\n" % (SERVICE, realm.name, path)
    subprocess.run([tool("ktutil")], input=text, text=True, env=realm.env(), check=True, capture_output=True)
    assert os.path.getsize(path) > 10


def test_rc4_only_is_refused():
    with folder() as d, mit(d, "aes256-cts-hmac-sha1-96") as realm:
        os.unlink(realm.service_keytab)
        rc4_keytab(realm, realm.service_keytab)
        with server(d, realm) as s:
            log = s.laresd.log()
            line = next(x for x in log.splitlines() if "has no usable key" in x)
            for words in (str(realm.service_keytab), SERVICE, "arcfour-hmac (23)", "only AES keys", "ktadd -e aes256-cts"):
                assert words in line, line
            assert " error " in line, line
            if TIRPC_GSS:
                report = log_in(realm, s, realm.kinit("alice", d / "cc"))
                assert not report.good and "not ok 1" in report.text, report.text
                log = s.laresd.log()
                assert "verdict=accepted" not in log, log
            # The right keys, and it goes on without a restart.
            fresh = d / "fresh.keytab"
            realm.extract(SERVICE, fresh)
            os.rename(fresh, realm.service_keytab)
            s.laresd.wait_log("1 keys from keytab")
            if TIRPC_GSS:
                assert_in(realm, s, realm.kinit("alice", d / "cc2"))


# ---- Services and files ---------------------------------------------------------------------------------------------

def test_services_without_a_key_are_named():
    with folder() as d, mit(d, "aes256-cts-hmac-sha1-96") as realm, server(d, realm) as s:
        warned = re.findall(r" warning .*?keytab (\S+) has no key for (\S+): clients cannot log in to that service",
                            s.laresd.wait_log("has no key for host/localhost"))
        assert sorted(warned) == [(str(realm.service_keytab), n + "/localhost") for n in ("HTTP", "cifs", "host")], warned
        # With what is missing it is silent.
        size = len(s.laresd.log())
        realm.add_services(["HTTP/localhost", "cifs/localhost", "host/localhost"])
        log = s.laresd.wait_log("4 keys from keytab", start=size)
        s.verb("status")
        assert "has no key for" not in log[log.index("4 keys from keytab"):], log[size:]


def test_a_keytab_that_may_not_be_read():
    """By a daemon that is not root: the error names the file, the reason, and what to do; the rest is served."""
    with folder() as d, mit(d, "aes256-cts-hmac-sha1-96") as realm:
        os.chmod(realm.dir, 0o755)
        os.chmod(realm.service_keytab, 0o600)
        s = LaresServer(d / "server", realm)
        s.laresd.wrapper = ["setpriv", "--reuid=4711", "--regid=4711", "--clear-groups", "--bounding-set=-all",
                            "--inh-caps=-all", "--no-new-privs"]
        for base, dirs, files in os.walk(d / "server"):
            for name in [base] + [os.path.join(base, f) for f in dirs + files]:
                os.chown(name, 4711, 4711, follow_symlinks=False)
        s.add_share("share", d / "share", ["sys"])
        with s:
            log = s.laresd.wait_log("cannot be read")
            line = next(x for x in log.splitlines() if "cannot be read" in x)
            for words in (" error ", str(realm.service_keytab), "Permission denied", "let the user that runs laresd read it"):
                assert words in line, line
            assert s.verb("share.show", name="share")["available"] is True


# ---- The keytab of the environment ----------------------------------------------------------------------------------

def test_keytab_of_the_environment():
    with folder() as d, mit(d, "aes256-cts-hmac-sha1-96") as realm:
        text = base64.b64encode(realm.service_keytab.read_bytes()).decode()
        os.unlink(realm.service_keytab)
        s = LaresServer(d / "server", realm)
        s.laresd.write_module("auth-krb5", {})
        s.laresd.env["LARES_KERBEROS_KEYTAB_BASE64"] = text
        s.add_share("share", d / "share", KRB5)
        with s:
            log = s.laresd.wait_log("1 keys from keytab LARES_KERBEROS_KEYTAB_BASE64")
            environ = pathlib.Path("/proc/%d/environ" % s.laresd.pid).read_bytes()
            assert text.encode() not in environ and b"KRB5_CONFIG=" in environ, environ
            assert text not in log
            s.laresd.reload()
            s.laresd.wait_log("reloading", start=len(log))
            assert s.verb("status")  # answered when the reload is over
            assert "no Kerberos keys" not in s.laresd.log(), s.laresd.log()
            if TIRPC_GSS:
                assert_in(realm, s, realm.kinit("alice", d / "cc"))


if __name__ == "__main__":
    missing = [t for t in ("krb5kdc", "kadmin.local", "kinit", "ktutil")
               if not shutil.which(t, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0 or missing:
        print("1..0 # SKIP needs root" + (" and " + ", ".join(missing) if missing else ""))
        sys.exit(0)
    tap.main(globals())
