# SPDX-License-Identifier: LGPL-2.1-or-later
"""A realm, a laresd and some shares for tests that speak SMB by hand.

    class Checks(Rig):
        def check_something(self): ...
    sys.exit(run(Checks))          # the names of checks as arguments run only those; TRACE=1 shows where one failed"""

import os
import shutil
import struct
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "wire")]
from lares_server import call_verb  # noqa: E402
from laresd import Laresd, free_port  # noqa: E402
from realm import Realm  # noqa: E402
import smb2raw as smb  # noqa: E402

PASSWORD = "correct horse"


class Rig:
    """Users alice and bob have tickets, alice and ada NTLM passwords (PASSWORD)."""

    shares = (("share", ["krb5"]), ("sealed", ["krb5p"]), ("guests", ["sys"]))
    smb = {}    # settings of proto-smb2
    krb5 = {}   # and of auth-krb5
    realm = {}  # options of the realm

    def __init__(self, port, control, laresd, home, kdc):
        self.port, self.control, self.laresd, self.home, self.kdc = port, control, laresd, home, kdc

    def conn(self, dialect=0x0311, source=None, **kw):
        c = smb.Conn(self.port, source=source)
        c.negotiate(dialects=(dialect,), **kw)
        return c

    def session(self, dialect=0x0311, source=None, **kw):
        c = self.conn(dialect, source, **kw)
        s = c.login()
        assert isinstance(s, smb.Session), hex(s.status)
        return c, s

    def ntlm(self, user="ada", password=PASSWORD, dialect=0x0311):
        c = self.conn(dialect)
        s = c.login_ntlm(user, password)
        return c, s

    @staticmethod
    def ccache(user):
        return os.path.join(os.path.dirname(os.environ["KRB5CCNAME"]), "cc-" + user)

    def verb(self, verb, **args):
        return call_verb(self.control, verb, **args)

    def create(self, c, s, t, name, access=0x001F01FF, disposition=3, options=0):
        """The file id of `name` ("": the share's root), or the response that refuses it. 3: opens or makes."""
        path = name.encode("utf-16-le")
        body = struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, access, 0, 7, disposition, options, 120, len(path), 0,
                           0) + (path or b"\0")
        r = c.call(smb.CREATE, body, session=s, tree=t)
        return r.body[64:80] if r.status == smb.SUCCESS else r

    def signed(self, c, s, t, command, body, **kw):
        return s.sign(smb.header(command, c.next_mid(), s.id, t, smb.SIGNED, **kw) + body)

    def write(self, c, s, t, f, data=b"some bytes"):
        return c.call(smb.WRITE, struct.pack("<HHIQ16sIIHHI", 49, 112, len(data), 0, f, 0, 0, 0, 0, 0) + data,
                      session=s, tree=t).status

    def read(self, c, s, t, f, n=100):
        return c.call(smb.READ, struct.pack("<HBBIQ16sIIIHH", 49, 0, 0, n, 0, f, 0, 0, 0, 0, 0) + b"\0", session=s, tree=t)


def start(kind, directory, realm):
    os.environ["KRB5_CONFIG"] = str(realm.krb5_conf)
    os.environ["KRB5CCNAME"] = directory + "/cc-alice"
    for user in ("alice", "bob"):
        realm.kinit(user, directory + "/cc-" + user)
    port = free_port()
    modules = {"auth-sys": {}, "auth-ntlm": {}, "store-posix": {}, "proto-rest": {},
               "auth-krb5": {"keytab": str(realm.service_keytab), **kind.krb5},
               "proto-smb2": {"listen": "127.0.0.1:%d" % port, **kind.smb}}
    os.mkdir(directory + "/laresd")
    d = Laresd(modules, server={"host-name": "nas.lares.test"}, directory=directory + "/laresd", keep=True,
               raw="[identity]\nrealms=%s\n" % realm.name, env={"KRB5_CONFIG": str(realm.krb5_conf)}, start=False)
    d.wait = [port, d.control]
    d.start()
    for name, sec in kind.shares:
        os.mkdir(directory + "/" + name)
        os.chmod(directory + "/" + name, 0o777)
        call_verb(d.control, "share.create", name=name, path=directory + "/" + name, sec=sec)
    call_verb(d.control, "user.add", name="ada")
    call_verb(d.control, "user.ntlm.enable", name="ada", password=PASSWORD)
    return d, kind(port, d.control, d, directory, realm)


def run_checks(checks):
    names = [n for n in dir(checks) if n.startswith("check_")]
    only = sys.argv[1:]
    failed = 0
    print("1..%d" % len(names))
    for i, name in enumerate(names, 1):
        words = name[6:].replace("_", " ")
        if only and name[6:] not in only:
            continue
        try:
            getattr(checks, name)()
            print("ok %d - %s" % (i, words), flush=True)
        except Exception as e:  # the others are run all the same
            failed += 1
            print("not ok %d - %s\n# %s: %s" % (i, words, type(e).__name__, e), flush=True)
            if os.environ.get("TRACE"):
                traceback.print_exc()
    return failed


def run(kind):
    directory = tempfile.mkdtemp(prefix="smb-rig-")
    os.chmod(directory, 0o755)
    try:
        with Realm(directory + "/realm", users=["alice", "bob"], services=["cifs/nas.lares.test"], **kind.realm) as realm:
            d, checks = start(kind, directory, realm)
            failed = run_checks(checks)
            if failed and os.environ.get("SHOW"):
                print("# " + d.log()[-20000:].replace("\n", "\n# "))
            d.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return failed != 0
