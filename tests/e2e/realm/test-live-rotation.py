#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""New service keys while clients are connected: an NFS session under krb5p and one of SMB go on, and tickets of before
and of after both log on, with the server's own realm and with a keytab from elsewhere."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", p) for p in ("lib", "wire", "smb")]
import tap  # noqa: E402
from laresd import BUILD, Laresd, free_port  # noqa: E402
from lares_server import ControlError, call_verb  # noqa: E402
from nfs4ops import BOTH, putfh, read, write  # noqa: E402
from nfsraw import Session  # noqa: E402
from realm import Realm, RealmError, tool  # noqa: E402
from smb2rig import Rig  # noqa: E402
import smb2raw as smb  # noqa: E402

HOST, PASSWORD = "nas.home.lan", "correct horse"


class Clients:
    """One of NFS and one of SMB, each with a file open, that came with one ticket."""

    def __init__(self, d, ccache, name):
        import nfsgss  # after the environment: it names the realm
        os.environ["KRB5CCNAME"] = ccache
        self.rig = Rig(d.ports[2], d.control, d, d.dir, None)
        self.conn = nfsgss.GssConn("127.0.0.1", d.port, spn="nfs@" + HOST, service=nfsgss.PRIVACY)
        self.nfs = Session(self.conn, minor=2)
        self.file = self.nfs.open(self.nfs.walk("/share"), name, access=BOTH, how="unchecked", attrs={"mode": 0o666})
        self.smb = smb.Conn(d.ports[2])
        self.smb.negotiate()
        self.login = self.smb.login(spn="cifs@" + HOST)
        assert isinstance(self.login, smb.Session), hex(self.login.status)
        self.tree = self.login.tree("share")
        self.id = self.rig.create(self.smb, self.login, self.tree, name + ".smb")
        assert isinstance(self.id, bytes), hex(self.id.status)
        self.work()

    def work(self):
        """What is connected is good, and what is open."""
        text = os.urandom(8).hex().encode()
        self.nfs.call(putfh(self.file.fh), write(self.file.stateid, 0, text)).ok()
        assert self.nfs.call(putfh(self.file.fh), read(self.file.stateid, 0, 99)).ok().last.data == text
        assert self.rig.write(self.smb, self.login, self.tree, self.id, text) == smb.SUCCESS
        assert self.rig.read(self.smb, self.login, self.tree, self.id).status == smb.SUCCESS

    def close(self):
        self.conn.close()
        self.smb.close()


def version(ccache, service, env):
    """The key version of the ticket that a ccache gives for a service."""
    r = subprocess.run([tool("kvno"), f"{service}/{HOST}"], env={**env, "KRB5CCNAME": ccache}, capture_output=True, text=True,
                       timeout=30)
    assert r.returncode == 0, r.stderr
    return int(re.search(r"kvno = (\d+)", r.stdout).group(1))


@contextlib.contextmanager
def serving(krb5=None, more=None, raw="", env=None, work=None):
    share = work / "share"
    share.mkdir()
    share.chmod(0o777)
    (work / "laresd").mkdir()
    modules = {"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "auth-krb5": krb5 or {},
               "proto-nfs4": {"listen": "127.0.0.1:@PORT@"}, "proto-smb2": {"listen": "127.0.0.1:@PORT2@"}, **(more or {})}
    with Laresd(modules, server={"host-name": HOST}, raw=raw, env=env, directory=str(work / "laresd"), start=False) as d:
        d.wait = [d.port, d.ports[2], d.control]
        d.start()
        d.share = share
        yield d


def make_share(d):
    call_verb(d.control, "share.create", name="share", path=str(d.share), sec=["krb5p", "krb5i", "krb5"])


def rotate(d):
    """As soon as the making of the realm has ended, which rotates too."""
    end = time.monotonic() + 60
    while True:
        try:
            return call_verb(d.control, "realm.rotate")
        except ControlError as e:
            assert "is just ending" in str(e) and time.monotonic() < end, e
            time.sleep(0.1)


@contextlib.contextmanager
def folder():
    work = pathlib.Path(tempfile.mkdtemp(prefix="live-rotation."))
    work.chmod(0o755)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def test_rotation_of_the_own_realm():
    ports = {k: free_port() for k in ("kdc-port", "kadmin-port", "kpasswd-port")}
    helper = BUILD + "/modules/realm-mit/lares-realm-helper"
    with folder() as work, serving(more={"realm-mit": {"listen": "127.0.0.1", "helper": helper, "rotate-grace": "1s", **ports}},
                                   work=work) as d:
        call_verb(d.control, "realm.create", name="HOME.LAN")
        call_verb(d.control, "realm.user.add", name="anna", password=PASSWORD)
        d.wait_log("krb5kdc: ready")
        d.wait_log("keys from keytab")  # which is read when it has been quiet for a moment
        make_share(d)
        os.environ["KRB5_CONFIG"] = d.state + "/realm/krb5.conf"
        env = dict(os.environ, LC_ALL="C.UTF-8")

        def kinit(ccache):
            r = subprocess.run([tool("kinit"), "anna"], env={**env, "KRB5CCNAME": ccache}, input=PASSWORD + "\n", text=True,
                               capture_output=True, timeout=60)
            assert r.returncode == 0, r.stderr
            return ccache
        before = kinit(d.dir + "/cc-before")
        old = Clients(d, before, "old")
        first = {s: version(before, s, env) for s in ("nfs", "cifs")}
        seen = len(d.log())
        rotate(d)
        d.wait_log("new service keys in use", start=seen)
        old.work()
        after = kinit(d.dir + "/cc-after")
        for s in ("nfs", "cifs"):
            assert version(before, s, env) == first[s], "the old ticket is not old any more"
            assert version(after, s, env) > first[s], "the new ticket is under an old key"
        for i, ccache in enumerate((before, after)):
            client = Clients(d, ccache, f"later{i}")
            client.close()
        old.work()
        old.close()


def test_a_keytab_that_is_replaced():
    with folder() as work, Realm(work / "realm", users=["anna"], services=["nfs/" + HOST, "cifs/" + HOST]) as realm:
        keytab = work / "laresd.keytab"
        shutil.copy(realm.service_keytab, keytab)
        os.environ["KRB5_CONFIG"] = str(realm.krb5_conf)
        env = realm.env()
        with serving(krb5={"keytab": str(keytab)}, raw=f"[identity]\nrealms={realm.name}\n",
                     env={"KRB5_CONFIG": str(realm.krb5_conf)}, work=work) as d:
            make_share(d)
            before = str(realm.kinit("anna", work / "cc-before"))
            first = {s: version(before, s, env) for s in ("nfs", "cifs")}
            old = Clients(d, before, "old")

            def replace(keep):
                """Another file in its place: new keys, and with `keep` the old ones beside them."""
                fresh = work / "fresh"
                if keep:
                    shutil.copy(keytab, fresh)
                for s in ("nfs/", "cifs/"):
                    realm.rekey(s + HOST, fresh, keep_old=keep)
                seen = len(d.log())
                os.rename(fresh, keytab)
                d.wait_log("keys from keytab", start=seen)
            replace(True)
            old.work()
            after = str(realm.kinit("anna", work / "cc-after"))
            for s in ("nfs", "cifs"):
                assert version(before, s, env) == first[s], "the old ticket is not old any more"
                assert version(after, s, env) > first[s], "the new ticket is under an old key"
            for i, ccache in enumerate((before, after)):
                Clients(d, ccache, f"later{i}").close()
            # Without the keys of before their tickets are no good; who is connected stays.
            replace(False)
            old.work()
            last = str(realm.kinit("anna", work / "cc-last"))
            Clients(d, last, "last").close()
            for ccache in (before, after):
                try:
                    Clients(d, ccache, "refused")
                except Exception as e:  # the library's own kind, which is not there before the environment is
                    assert "context refused" in str(e), e
                else:
                    raise AssertionError("a ticket under a key that is gone logs on")
            old.work()
            old.close()


if __name__ == "__main__":
    try:
        for name in ("krb5kdc", "kadmind", "kinit", "kvno"):
            tool(name)
        if os.geteuid() != 0:
            raise RealmError("needs root")
    except RealmError as e:
        print(f"1..0 # SKIP {e}")
        sys.exit(77)
    tap.main(globals())
