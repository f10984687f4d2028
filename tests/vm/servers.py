# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers that the real-client tests can run against, behind one small interface.

A server has: port, smb_port (None where it speaks NFS only), start(), stop(), kill() (SIGKILL), add_share(name, directory, sec), set_sec(name, sec),
disable_user(user), enable_user(user), offers (a set of what the tests may ask for). All of them give alice, bob and the group team
the numbers of the guests (see guest.sh) and map alice@REALM to alice.
"""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from realm import free_port, tool  # noqa: E402

ALICE, BOB, TEAM = 4101, 4102, 4200
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


class ServerError(Exception):
    """The server did not start or refused a command; the text holds its log."""


def wait_port(port, process, timeout=20):
    """True when the port accepts connections; False if the process ended or time ran out."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def private_users(directory):
    """A function for preexec: in a mount namespace of its own, the process sees our users in /etc."""
    passwd = pathlib.Path(directory) / "passwd"
    group = pathlib.Path(directory) / "group"
    own = ("alice:", "bob:", "team:")
    keep = [l for l in pathlib.Path("/etc/passwd").read_text().splitlines() if not l.startswith(own)]
    passwd.write_text("\n".join(keep + [f"alice:x:{ALICE}:{ALICE}::/:/bin/sh", f"bob:x:{BOB}:{BOB}::/:/bin/sh"]) + "\n")
    keep = [l for l in pathlib.Path("/etc/group").read_text().splitlines() if not l.startswith(own)]
    group.write_text("\n".join(keep + [f"alice:x:{ALICE}:", f"bob:x:{BOB}:", f"team:x:{TEAM}:alice,bob"]) + "\n")
    idmapd = pathlib.Path(directory) / "idmapd.conf"
    idmapd.write_text("[General]\nDomain = lares.test\nLocal-Realms = LARES.TEST\n[Translation]\nMethod = nsswitch\n")
    libc = ctypes.CDLL(None, use_errno=True)
    binds = [(str(passwd).encode(), b"/etc/passwd"), (str(group).encode(), b"/etc/group"),
             (str(idmapd).encode(), b"/etc/idmapd.conf")]

    def enter():
        libc.prctl(1, signal.SIGKILL)
        if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
            os._exit(120)
        for source, target in binds:
            if os.path.exists(target) and libc.mount(source, target, None, MS_BIND, None):
                os._exit(121)

    return enter


class Server:
    """What all servers share. directory holds configuration, state and logs; realm may be None."""

    name = "server"
    offers = frozenset()

    def __init__(self, directory, realm=None):
        self.dir = pathlib.Path(directory).absolute()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.realm = realm
        self.port = free_port()
        self.smb_port = None
        self.process = None
        self.shares = {}

    def export(self, share):
        """The path that clients mount."""
        return "/" + share

    def add_share(self, name, directory, sec):
        self.shares[name] = (pathlib.Path(directory).absolute(), list(sec))

    def spawn(self, args, env):
        log = open(self.dir / "server.out", "ab")
        self.process = subprocess.Popen(args, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        preexec_fn=private_users(self.dir))
        log.close()
        if not wait_port(self.port, self.process):
            self.kill()
            raise ServerError(f"{self.name} does not answer: " + (self.dir / "server.out").read_text()[-2000:])

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


class Ganesha(Server):
    """Debian's nfs-ganesha, the peer against which the tests themselves are proved."""

    name = "ganesha"
    offers = frozenset(["holes", "copy", "acl"])
    grace = 10
    lease = 8

    def start(self):
        conf = self.dir / "ganesha.conf"
        state = self.dir / "recovery"
        state.mkdir(exist_ok=True)
        krb5 = ""
        if self.realm:
            krb5 = f'NFS_KRB5 {{ Active_krb5 = true; PrincipalName = "nfs"; KeytabPath = "{self.realm.service_keytab}"; CCacheDir = "{self.dir}/cc"; }}\n'
        text = f"""NFS_CORE_PARAM {{ NFS_Port = {self.port}; NFS_Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false;
  Bind_addr = 127.0.0.1; MNT_Port = {free_port()}; Enable_UDP = false; fsid_device = true; }}
NFSv4 {{ Grace_Period = {self.grace}; Lease_Lifetime = {self.lease}; RecoveryBackend = fs; RecoveryRoot = "{state}"; DomainName = "lares.test";
  Minor_Versions = 0,1,2; Only_Numeric_Owners = false; Allow_Numeric_Owners = true; Delegations = false; }}
{krb5}LOG {{ Default_Log_Level = WARN; }}
"""
        for number, (name, (directory, sec)) in enumerate(self.shares.items(), 10):
            text += f"""EXPORT {{ Export_Id = {number}; Path = "{directory}"; Pseudo = "/{name}"; Access_Type = RW; Protocols = 4; Transports = TCP;
  Squash = No_Root_Squash; SecType = {", ".join(sec)}; FSAL {{ Name = VFS; }} PrivilegedPort = false; Disable_ACL = false; }}
"""
        conf.write_text(text)
        env = self.realm.env(keytab=self.realm.service_keytab) if self.realm else dict(os.environ)
        env["KRB5RCACHENAME"] = "none:"
        self.spawn([tool("ganesha.nfsd"), "-F", "-f", str(conf), "-L", str(self.dir / "server.log"), "-p", str(self.dir / "pid")], env)


class Lares(Server):
    """Our own laresd from the build folder ($LARES_BUILD or `build`)."""

    name = "lares"
    offers = frozenset(["holes", "copy", "clone", "acl", "xattr", "disable", "live-sec", "live-share", "btime", "mapping"])
    grace = 12
    lease = 10

    MODULES = ("auth-sys", "auth-krb5", "store-posix", "proto-nfs4", "proto-rest")
    SMB_MODULES = ("auth-ntlm", "proto-smb2")

    def __init__(self, directory, realm=None):
        super().__init__(directory, realm)
        self.build = pathlib.Path(os.environ.get("LARES_BUILD") or
                                  pathlib.Path(__file__).resolve().parent.parent.parent / "build").absolute()
        self.control = self.dir / "run" / "control.sock"
        self.made = set()

    def speak_smb(self):
        """Before the first start: SMB as well as NFS."""
        self.smb_port = free_port()

    def write_config(self):
        modules, config = self.dir / "modules", self.dir / "modules.d"
        for folder in (modules, config):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        for name in self.MODULES + (self.SMB_MODULES if self.smb_port else ()):
            if name == "auth-krb5" and not self.realm:
                continue
            (modules / f"{name}.so").symlink_to(self.build / "modules" / name / f"{name}.so")
        settings = {"proto-nfs4": f"listen=127.0.0.1:{self.port}\nlease-time={self.lease}\ngrace-time={self.grace}\n"}
        if self.smb_port:
            settings["proto-smb2"] = f"listen=127.0.0.1:{self.smb_port}\n"
        if self.realm:
            settings["auth-krb5"] = f"keytab={self.realm.service_keytab}\nclock-skew={self.realm.clockskew}\n"
        for name, text in settings.items():
            (config / f"{name}.module").write_text(f"[module]\nenabled=true\n[settings]\n{text}")
        realms = f"[identity]\nrealms={self.realm.name}\n" if self.realm else ""
        (self.dir / "lares.conf").write_text(f"[server]\nhost-name=server.lares.test\ndomain=lares.test\n{realms}")

    def start(self):
        self.write_config()
        env = self.realm.env(keytab=self.realm.service_keytab) if self.realm else dict(os.environ)
        self.spawn([str(self.build / "core" / "laresd"), "--config", str(self.dir / "lares.conf"),
                    "--modules-dir", str(self.dir / "modules"), "--module-config-dir", str(self.dir / "modules.d"),
                    "--state-dir", str(self.dir / "state"), "--run-dir", str(self.dir / "run")], env)
        if self.smb_port and not wait_port(self.smb_port, self.process):
            raise ServerError("no SMB: " + (self.dir / "server.out").read_text()[-2000:])
        for name, (directory, sec) in self.shares.items():
            if name not in self.made:
                self.verb("share.create", name=name, path=str(directory), sec=sec, squash="none")
                self.made.add(name)

    def add_share(self, name, directory, sec):
        super().add_share(name, directory, sec)
        if self.process:
            self.verb("share.create", name=name, path=str(directory), sec=list(sec), squash="none")
            self.made.add(name)

    def verb(self, verb, /, **arguments):
        """Runs a management verb over the control socket."""
        body = json.dumps(arguments).encode()
        deadline = time.monotonic() + 60
        while True:
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.connect(str(self.control))
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
                    continue
                s.settimeout(30)
                s.sendall(b"POST /api/v1/verbs/%s HTTP/1.1\r\nHost: lares\r\nConnection: close\r\n"
                          b"Content-Length: %d\r\n\r\n%s" % (verb.encode(), len(body), body))
                answer = b"".join(iter(lambda: s.recv(65536), b""))
                break
        head, _, text = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise ServerError(f"{verb} {arguments}: {text.decode(errors='replace')}")
        return json.loads(text)

    def set_sec(self, name, sec):
        self.verb("share.security.set", name=name, sec=list(sec))

    def disable_user(self, user):
        self.verb("user.disable", name=user)

    def enable_user(self, user):
        self.verb("user.enable", name=user)

    def delete_user(self, user):
        self.verb("user.delete", name=user)

    def map_principal(self, name, user):
        """Whoever comes with a ticket of `name` is `user` from now on."""
        self.verb("mapping.set", principal=f"{name}@{self.realm.name}", user=user)

    def unmap_principal(self, name):
        self.verb("mapping.delete", principal=f"{name}@{self.realm.name}")


def make_server(name, directory, realm=None):
    """A server by name: lares or a peer, ganesha."""
    kinds = {"lares": Lares, "ganesha": Ganesha}
    if name not in kinds:
        raise ServerError(f"no server named {name}")
    return kinds[name](directory, realm)
