# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real Active Directory for tests: a Samba domain controller with a folder of its own, in the network namespace of the
test (netns.enter() first).

    with SambaAd(directory, accounts) as ad:
        ad.kinit("ada", ccache)

accounts is text for the helper below, one account a line, made before the controller starts:

    user NAME                  password PASSWORD, and its key in users.keytab
    group NAME [universal|domainlocal]
    groups PREFIX COUNT        PREFIX0, PREFIX1, …
    member GROUP NAME...       a GROUP ending in * is all of a prefix
    service NAME SPN...        an account with these names; their AES keys in service.keytab

sids is what the domain calls each user and group, by its name. The attributes name, krb5_conf, service_keytab and env() are those of realm.Realm."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

from realm import RealmError, die_with_parent, tool

PASSWORD = "Correct.Horse.7"
ADDRESS = "10.53.0.1"
PYTHON = "/usr/bin/python3"  # Debian's, which has Samba's modules

MAKE_ACCOUNTS = r"""
import json, sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
from samba.ndr import ndr_unpack
from samba.dcerpc.security import dom_sid
from samba import dckeytab  # gives Net its export_keytab
from samba.net import Net
from samba.dsdb import GTYPE_SECURITY_GLOBAL_GROUP, GTYPE_SECURITY_UNIVERSAL_GROUP, GTYPE_SECURITY_DOMAIN_LOCAL_GROUP
conf, sam, password, realm, folder = sys.argv[1:]
lp = LoadParm()
lp.load(conf)
db = SamDB(url=sam, session_info=system_session(), lp=lp)
kinds = {"global": GTYPE_SECURITY_GLOBAL_GROUP, "universal": GTYPE_SECURITY_UNIVERSAL_GROUP,
         "domainlocal": GTYPE_SECURITY_DOMAIN_LOCAL_GROUP}
groups, exports = [], []


def make_group(name, kind="global"):
    db.newgroup(name, grouptype=kinds[kind])
    groups.append(name)


def aes_then_password(name):
    dn = str(db.search(expression="(samAccountName=%s)" % name, attrs=[])[0].dn)
    db.modify_ldif("dn: %s\nchangetype: modify\nreplace: msDS-SupportedEncryptionTypes\n"
                   "msDS-SupportedEncryptionTypes: 24\n" % dn)
    db.setpassword("(samAccountName=%s)" % name, password)
    return dn


for line in sys.stdin:
    what, *words = line.split() or ["#"]
    if what == "user":
        db.newuser(words[0], password)
        exports.append(("users.keytab", words[0]))
    elif what == "group":
        make_group(*words)
    elif what == "groups":
        db.transaction_start()
        for i in range(int(words[1])):
            make_group(words[0] + str(i))
        db.transaction_commit()
    elif what == "member":
        db.transaction_start()
        for g in [g for g in groups if g == words[0] or words[0][-1] == "*" and g.startswith(words[0][:-1])]:
            db.add_remove_group_members(g, words[1:], add_members_operation=True)
        db.transaction_commit()
    elif what == "service":
        db.newuser(words[0], password)
        dn = aes_then_password(words[0])
        db.modify_ldif("dn: %s\nchangetype: modify\nadd: servicePrincipalName\n%s" % (
            dn, "".join("servicePrincipalName: %s\n" % spn for spn in words[1:])))
        exports += [("service.keytab", spn) for spn in words[1:]]
net = Net(None, lp)
for keytab, principal in exports:
    net.export_keytab(keytab=folder + "/" + keytab, principal=principal + "@" + realm)
found = db.search(expression="(|(objectClass=user)(objectClass=group))", attrs=["samAccountName", "objectSid"])
print(json.dumps({str(a["samAccountName"]): str(ndr_unpack(dom_sid, a["objectSid"][0])) for a in found}))
"""


def missing():
    """Why there can be none here, or None."""
    if not shutil.which("samba-tool") or not shutil.which("samba", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        return "needs Samba's domain controller (Debian: samba-ad-dc samba-ad-provision)"
    if subprocess.run([PYTHON, "-c", "import samba.samdb, samba.net, samba.provision"], capture_output=True).returncode:
        return "needs Samba's Python modules (Debian: python3-samba samba-dsdb-modules)"
    return None


class SambaAd:
    def __init__(self, directory, accounts, name="CORP.TEST", domain="CORP", host_domain=None):
        """host_domain: of the servers, where their names are not below the realm's."""
        self.dir = pathlib.Path(directory).absolute()
        self.accounts = accounts
        self.name = name
        self.domain = domain
        self.conf = self.dir / "etc" / "smb.conf"
        self.krb5_conf = self.dir / "krb5.conf"
        self.service_keytab = self.dir / "service.keytab"
        self.users_keytab = self.dir / "users.keytab"
        self.host_domain = host_domain or name.lower()
        self.sids = {}
        self.process = None

    def env(self, ccache=None):
        env = dict(os.environ, KRB5_CONFIG=str(self.krb5_conf))
        if ccache:
            env["KRB5CCNAME"] = f"FILE:{ccache}"
        return env

    def _run(self, args, text=None, ccache=None, check=True):
        r = subprocess.run([str(a) for a in args], env=self.env(ccache), input=text, text=True, timeout=300,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and r.returncode:
            raise RealmError(f"{args[0]}: {r.stdout[-3000:]}")
        return r.stdout

    def create(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        # On the loopback of the namespace: not every kernel has dummy interfaces.
        subprocess.run(["ip", "addr", "add", ADDRESS + "/24", "dev", "lo"], check=True)
        self.krb5_conf.write_text(f"""[libdefaults]
    default_realm = {self.name}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1

[realms]
    {self.name} = {{
        kdc = {ADDRESS}
    }}

[domain_realm]
    .{self.name.lower()} = {self.name}
    .{self.host_domain} = {self.name}
""")
        for d in ("ncalrpc", "winbindd", "log", "ntp", "cache"):
            (self.dir / d).mkdir()
        options = {"interfaces": ADDRESS, "bind interfaces only": "yes", "pid directory": self.dir,
                   "ncalrpc dir": self.dir / "ncalrpc", "winbindd socket directory": self.dir / "winbindd",
                   "log file": self.dir / "log" / "log", "cache directory": self.dir / "cache",
                   "ntp signd socket directory": self.dir / "ntp", "disable spoolss": "yes", "load printers": "no",
                   "server services": "-dnsupdate -nbt -ntp_signd -wrepl -kcc -drepl -dns -winbindd -s3fs"}
        self._run(["samba-tool", "domain", "provision", f"--targetdir={self.dir}", f"--realm={self.name}",
                   f"--domain={self.domain}", "--server-role=dc", "--host-name=dc1", f"--host-ip={ADDRESS}",
                   "--dns-backend=NONE", f"--adminpass={PASSWORD}", *(f"--option={k}={v}" for k, v in options.items())])
        out = self._run([PYTHON, "-c", MAKE_ACCOUNTS, self.conf, self.dir / "private" / "sam.ldb", PASSWORD, self.name,
                         self.dir], self.accounts)
        self.sids = json.loads(out.splitlines()[-1])
        return self

    def start(self):
        with open(self.dir / "out", "ab") as out:
            self.process = subprocess.Popen([tool("samba"), "-i", "-M", "single", "-s", str(self.conf)], stdin=subprocess.PIPE,
                                            stdout=out, stderr=out, env=self.env(), preexec_fn=die_with_parent)
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((ADDRESS, 88), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    text = (self.dir / "out").read_text()[-3000:]
                    self.stop()
                    raise RealmError("Samba's KDC does not listen: " + text) from None
                time.sleep(0.1)

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self):
        return self.create().start()

    def __exit__(self, *_):
        self.stop()

    def kinit(self, user, ccache, pac=True):
        """A ticket-granting ticket; without a PAC where that is asked for."""
        self._run([tool("kinit"), *([] if pac else ["--no-request-pac"]), "-k", "-t", self.users_keytab,
                   f"{user}@{self.name}"], ccache=ccache)
        return ccache


if __name__ == "__main__":
    sys.exit("a library")
