#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""laresd with its own realm: the KDC lives and dies with it, comes back when killed, and gives tickets for the
server's names. Arguments: test-realm, lares-realm-helper."""
import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from laresd import Laresd  # noqa: E402

MAKER, HELPER = map(os.path.abspath, sys.argv[1:3])
REALM = "LARES.TEST"
PASSWORD = "correct horse"


def wait_until(what, timeout=60):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def state_of(pid):
    """Letter of the process's state; "" when it is gone."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def gone(pid):
    return state_of(pid) in ("", "Z")


class RealmDaemon(unittest.TestCase):
    def setUp(self):
        self.d = Laresd({"realm-mit": {"listen": "127.0.0.1", "kdc-port": "@PORT@", "kadmin-port": "@PORT2@",
                                       "kpasswd-port": "@PORT3@", "helper": HELPER}}, start=False)
        self.addCleanup(self.d.cleanup)
        subprocess.run([MAKER, "--create", self.d.state], check=True, env=dict(os.environ, LARES_REALM_HELPER=HELPER))
        self.realm = os.path.join(self.d.state, "realm")

    def env(self):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                "KRB5_CONFIG": os.path.join(self.realm, "krb5.conf"),
                "KRB5_KDC_PROFILE": os.path.join(self.realm, "kdc.conf"),
                "KRB5CCNAME": "FILE:" + os.path.join(self.d.dir, "cc")}

    def helper(self, op, secret="", **args):
        line = json.dumps({"op": op, "realm": REALM, "dir": self.realm, "args": args})
        done = subprocess.run([HELPER], input=line + "\n" + secret, env=self.env(), capture_output=True, text=True,
                              check=True)
        answer = json.loads(done.stdout)
        self.assertTrue(answer["ok"], answer)
        return answer["result"]

    def kinit(self):
        return subprocess.run(["kinit", "anna"], input=PASSWORD + "\n", env=self.env(), capture_output=True,
                              text=True).returncode == 0

    def children(self):
        """{name: pid} of the daemon's children."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    head, _, tail = f.read().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, parent = tail.split()[:2]
            if int(parent) == self.d.pid and state != "Z":
                found[head.partition("(")[2]] = int(pid)
        return found

    def kdc_pair(self):
        return {k: v for k, v in self.children().items() if k in ("krb5kdc", "kadmind")}

    def test_life(self):
        self.d.start()
        self.helper("user-add", PASSWORD, name="anna")
        self.assertTrue(wait_until(self.kinit, 5), self.d.log())
        # The server's name of lares.conf has got its principals and keys.
        self.assertTrue(wait_until(lambda: b"nas.home.lan" in
                                   open(os.path.join(self.realm, "service.keytab"), "rb").read()))
        kvno = subprocess.run(["kvno", "nfs/nas.home.lan", "cifs/nas.home.lan", "HTTP/nas.home.lan"],
                              env=self.env(), capture_output=True, text=True)
        self.assertEqual(kvno.returncode, 0, kvno.stderr)

        # Killed children come back.
        old = self.kdc_pair()
        self.assertEqual(len(old), 2, old)
        for pid in old.values():
            os.kill(pid, 9)
        self.assertTrue(wait_until(lambda: len(self.kdc_pair()) == 2 and
                                   not set(old.values()) & set(self.kdc_pair().values())), self.d.log())
        self.assertTrue(wait_until(self.kinit, 5), self.d.log())

        # A reload keeps the realm, with the same ports and fresh daemons.
        self.d.reload()
        self.assertTrue(wait_until(self.kinit, 5), self.d.log())

        # Killed without a chance to clean up: the kernel ends the children.
        self.assertTrue(wait_until(lambda: len(self.kdc_pair()) == 2))
        pair = self.kdc_pair()
        self.d.kill()
        for pid in pair.values():
            self.assertTrue(wait_until(lambda: gone(pid), 5))

        # And the next start has everything again; a clean stop leaves nobody behind.
        self.d.start()
        self.assertTrue(wait_until(self.kinit, 5), self.d.log())
        pair = self.kdc_pair()
        self.assertEqual(self.d.stop(), 0)
        for pid in pair.values():
            self.assertTrue(gone(pid))
        self.assertNotIn(PASSWORD, self.d.log())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
