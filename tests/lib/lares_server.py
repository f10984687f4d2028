# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private laresd with shares and Kerberos, behind the interface that the peers have too
(tests/vm/servers.py): port, start(), stop(), kill(), add_share(), set_sec(), export().

Shares are made over the control socket, as an administrator would."""

import http.client
import json
import pathlib
import socket
import time

from laresd import Laresd, LaresdError, free_port


class ControlError(Exception):
    """A verb was refused; the text is the server's."""


class ControlConnection(http.client.HTTPConnection):
    """HTTP over the control socket. It may not be there yet: a server listens on its other ports a moment earlier, and on
    a busy disk a moment is long."""

    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        end = time.monotonic() + self.timeout
        while True:
            try:
                self.sock.connect(self.path)
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)


def call_verb(control, verb, **args):
    """Runs one verb of the server that listens on a control socket; its answer as objects."""
    c = ControlConnection(control)
    try:
        c.request("POST", "/api/v1/verbs/" + verb, json.dumps(args),
                  {"Content-Type": "application/json"})
        r = c.getresponse()
        text = r.read().decode()
    finally:
        c.close()
    if r.status != 200:
        raise ControlError(f"{verb}: {r.status}: {text}")
    return json.loads(text) if text else None


class LaresServer:
    """realm: a realm.Realm or None. nfs, krb5: further settings of proto-nfs4 and auth-krb5."""

    name = "lares"
    offers = frozenset(["holes", "copy", "acl", "xattr", "set_sec", "disable", "reclaim"])

    def __init__(self, directory, realm=None, nfs=None, krb5=None, server=None):
        self.dir = pathlib.Path(directory).absolute()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.realm = realm
        self.port = free_port()
        self.shares = {}
        modules = {"auth-sys": {}, "store-posix": {}, "proto-rest": {},
                   "proto-nfs4": {"listen": f"127.0.0.1:{self.port}", **(nfs or {})}}
        env = {}
        if realm:
            modules["auth-krb5"] = {"keytab": str(realm.service_keytab), **(krb5 or {})}
            env["KRB5_CONFIG"] = str(realm.krb5_conf)
        self.laresd = Laresd(modules, server={"host-name": "localhost", "aliases": "lares.test",
                                              **(server or {})},
                             raw=f"[identity]\nrealms={realm.name}\n" if realm else "",
                             env=env, directory=str(self.dir), keep=True, start=False)
        self.laresd.wait = [self.port, self.laresd.control]

    @property
    def process(self):
        return self.laresd.process

    def export(self, share):
        """The path that clients mount."""
        return "/" + share

    def verb(self, verb, **args):
        return call_verb(self.laresd.control, verb, **args)

    def add_share(self, name, directory, sec):
        """Before start() or while it runs."""
        self.shares[name] = {"name": name, "path": str(pathlib.Path(directory).absolute()),
                             "sec": list(sec), "squash": "none"}
        if self.process:
            self.verb("share.create", **self.shares[name])

    def set_sec(self, name, sec):
        self.verb("share.security.set", name=name, sec=list(sec))

    def disable_user(self, user):
        self.verb("user.disable", name=user)

    def enable_user(self, user):
        self.verb("user.enable", name=user)

    def start(self):
        self.laresd.start()
        have = {s["name"] for s in self.verb("share.list")}
        for share in self.shares.values():
            if share["name"] not in have:
                self.verb("share.create", **share)

    def stop(self):
        self.laresd.stop()

    def kill(self):
        self.laresd.kill()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()
            print("# " + self.laresd.log()[-6000:].replace("\n", "\n# "))


__all__ = ["ControlError", "LaresServer", "LaresdError", "call_verb"]
