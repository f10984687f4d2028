# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers that the SMB part of bench/run compares: laresd and Debian's smbd, each with private folders and ports."""

import os
import struct
import sys

import lab

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "lib"))


def negotiate_on(sock, timeout=5.0):
    """One NEGOTIATE for SMB 2.1; True when it is answered with success."""
    header = struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, bytes(16))
    body = struct.pack("<HHHHI16sQH", 36, 1, 1, 0, 0, os.urandom(16), 0, 0x0210)
    sock.settimeout(timeout)
    sock.sendall(struct.pack(">I", len(header + body)) + header + body)
    data = b""
    while len(data) < 76:
        more = sock.recv(4096)
        if not more:
            return False
        data += more
    return data[4:8] == b"\xfeSMB" and data[12:16] == bytes(4)


class SmbServer(lab.Server):
    """start() measures the time to the first answered NEGOTIATE."""

    answers = staticmethod(negotiate_on)


class SmbLares(SmbServer):
    """laresd with SMB only; the start that is measured is over a state directory that is there."""

    name = "lares"

    def __init__(self, work, exports, kerberos, build="build"):
        super().__init__(work, exports, kerberos)
        os.environ["LARES_BUILD"] = os.path.abspath(build)
        from smb_server import SmbServer as TestServer  # after the environment: it names the build
        self.lares = TestServer(work, realm=kerberos, smb={"signing-required": False})
        self.port = self.lares.port
        with self.lares:
            self.lares.add_user("bench", uid=20001)  # accounts of the system are not let in just by name
            self.lares.verb("mapping.set", principal=f"{kerberos.user}@{kerberos.name}", user="bench")
            for name, folder in exports.items():
                self.lares.add_share(name, folder, ["sys", "krb5", "krb5i", "krb5p"])

    def command(self):
        return self.lares.laresd.argv(), self.lares.laresd.env


class Samba(SmbServer):
    """Debian's smbd as its packages configure it, but for what keeps it private: a standalone server with Kerberos."""

    name = "samba"
    tuning = ""

    def command(self):
        conf = os.path.join(self.work, "smb.conf")
        shares = "".join(f"[{name}]\n  path = {folder}\n  read only = no\n  guest ok = yes\n"
                         f"  create mask = 0666\n  directory mask = 0777\n"
                         for name, folder in self.exports.items())
        with open(conf, "w") as f:
            f.write(f"""[global]
  server role = standalone server
  workgroup = WORKGROUP
  realm = {self.kerberos.name}
  security = user
  kerberos method = dedicated keytab
  dedicated keytab file = {self.kerberos.service_keytab}
  map to guest = bad user
  guest account = nobody
  bind interfaces only = yes
  interfaces = 127.0.0.1
  smb ports = {self.port}
  disable netbios = yes
  load printers = no
  printing = bsd
  printcap name = /dev/null
  log level = 0
  log file = {self.work}/log
  private dir = {self.work}
  lock directory = {self.work}
  state directory = {self.work}
  cache directory = {self.work}
  pid directory = {self.work}
  ncalrpc dir = {self.work}/ncalrpc
{self.tuning}
{shares}""")
        return ["smbd", "-F", "--no-process-group", "-s", conf], self.kerberos.server_env()


class TunedSamba(Samba):
    """The same without its thread pool and with sendfile, case-sensitive where that spares it a search."""

    name = "tuned"
    tuning = """  aio read size = 0
  aio write size = 0
  use sendfile = yes
  case sensitive = yes
  store dos attributes = no
  ea support = no
  strict locking = no
  kernel oplocks = no
  getwd cache = yes
  socket options = TCP_NODELAY"""


class Realm(lab.Realm):
    """Without PACs: a standalone smbd takes no ticket with one. The user is one that any system has, for smbd wants it."""

    def __init__(self, work, host="localhost", user="daemon"):
        super().__init__(work, host, user)
        self.services = [f"cifs/{host}", f"nfs/{host}"]

    def _kdc_config(self):
        return super()._kdc_config().replace("        max_life =", "        disable_pac = true\n        max_life =", 1)
