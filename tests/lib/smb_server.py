# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private laresd that speaks SMB (and NFS, on request), for smbclient and its kin.

    with SmbServer(directory, realm=realm) as s:
        s.add_share("share", folder, ["krb5", "ntlm", "sys"]); s.add_user("ada", "secret words", ntlm=True)
        s.smbclient("share", "ls", user="ada%secret words")

Shares and users are made over the control socket, as an administrator would."""
import os
import pathlib
import shutil
import subprocess

from laresd import Laresd, free_port
from lares_server import call_verb

# What Samba's tools read: nothing of the machine's, and no other way to look for names.
SMB_CONF = """[global]
    workgroup = WORKGROUP
    client min protocol = SMB2_02
    client max protocol = SMB3_11
    name resolve order = host
    private dir = %(dir)s
    lock directory = %(dir)s
    state directory = %(dir)s
    cache directory = %(dir)s
    pid directory = %(dir)s
    log file = %(dir)s/log
    gensec_gssapi:requested_life_time = 0
"""


# Samba's tools try no Kerberos with "localhost" or an address, so the server has a name, and they are told where it is.
HOST = "nas.lares.test"
SERVICE = "cifs/" + HOST


class SmbServer:
    """smb, krb5, ntlm: further settings of the modules; server: of the server itself; control: lines of [control]; http: REST
    over HTTP, too, at http_port."""

    def __init__(self, directory, realm=None, nfs=False, smb=None, krb5=None, ntlm=None, address="127.0.0.1", port=None,
                 server=None, http=False, control=""):
        self.dir = pathlib.Path(directory).absolute()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.realm = realm
        self.port = port or free_port()
        self.nfs_port = free_port() if nfs else None
        self.http_port = free_port() if http else None
        modules = {"auth-sys": {}, "auth-ntlm": ntlm or {}, "store-posix": {},
                   "proto-rest": {"http": f"{address}:{self.http_port}"} if http else {},
                   "proto-smb2": {"listen": f"{address}:{self.port}", **(smb or {})}}
        env = {}
        if nfs:
            modules["proto-nfs4"] = {"listen": f"{address}:{self.nfs_port}"}
        if realm:
            modules["auth-krb5"] = {"keytab": str(realm.service_keytab), **(krb5 or {})}
            env["KRB5_CONFIG"] = str(realm.krb5_conf)
        (self.dir / "laresd").mkdir(exist_ok=True)
        self.laresd = Laresd(modules, server={"host-name": HOST, "aliases": "localhost", **(server or {})},
                             raw=(f"[identity]\nrealms={realm.name}\n" if realm else "") +
                             (f"[control]\n{control}\n" if control else ""),
                             env=env, directory=str(self.dir / "laresd"), keep=True, start=False)
        self.laresd.wait = [self.port, self.laresd.control] + [p for p in (self.nfs_port, self.http_port) if p]
        self.client_dir = self.dir / "client"
        self.client_dir.mkdir(exist_ok=True)
        self.conf = self.client_dir / "smb.conf"
        self.conf.write_text(SMB_CONF % {"dir": self.client_dir})

    def verb(self, verb, **args):
        return call_verb(self.laresd.control, verb, **args)

    def add_share(self, name, folder, sec, **more):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o777)
        self.verb("share.create", name=name, path=str(folder.absolute()), sec=list(sec), **{"squash": "none", **more})

    def add_user(self, name, password=None, **more):
        self.verb("user.add", name=name, **more)
        if password:
            self.verb("user.ntlm.enable", name=name, password=password)

    def start(self):
        self.laresd.start()

    def stop(self):
        self.laresd.stop()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            print("# " + self.laresd.log()[-8000:].replace("\n", "\n# "))
            self.laresd.kill()

    # ---- clients

    def environ(self, ccache=None):
        env = dict(os.environ, LC_ALL="C.UTF-8", SMB_CONF_PATH=str(self.conf))
        if self.realm:
            env["KRB5_CONFIG"] = str(self.realm.krb5_conf)
        if ccache:
            env["KRB5CCNAME"] = str(ccache)
        return env

    def login(self, user=None, ccache=None, guest=False):
        """The options with which Samba's tools log in: "name%password", a ticket, or nobody."""
        if ccache:
            return ["--use-kerberos=required", f"--use-krb5-ccache={ccache}"]
        return ["-N", "-U", "%"] if guest or not user else ["--use-kerberos=off", "-U", user]

    def run(self, argv, ccache=None, timeout=40, text=None):
        return subprocess.run([str(a) for a in argv], env=self.environ(ccache), input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              cwd=self.client_dir, errors="replace")

    def smbclient(self, share, commands, user=None, ccache=None, guest=False, more=()):
        """Runs commands in a share; the finished process with its output."""
        return self.run(["smbclient", f"//{HOST}/{share}", "-I", "127.0.0.1", "-s", self.conf, "-p", self.port,
                         *self.login(user, ccache, guest), *more, "-c", commands], ccache)

    def rpcclient(self, command, user=None, ccache=None, guest=False, more=()):
        return self.run(["rpcclient", HOST, "-I", "127.0.0.1", "-s", self.conf, "-p", self.port, *self.login(user, ccache, guest),
                         *more, "-c", command], ccache)


def missing(*tools):
    """The first of the tools that is not installed, or None."""
    return next((t for t in tools if not shutil.which(t)), None)
