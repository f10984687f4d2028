# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the doctor's tests share: a server with its own realm and every protocol, and laresctl."""
import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "lib"))
from laresd import BUILD, Laresd, free_port  # noqa: E402
from lares_server import call_verb  # noqa: E402
from realm import tool  # noqa: E402

LARESCTL = os.path.join(BUILD, "cli", "laresctl")
REALM_HELPER = os.path.join(BUILD, "modules", "realm-mit", "lares-realm-helper")
KEYTAB_HELPER = os.path.join(BUILD, "modules", "auth-krb5", "lares-keytab-helper")
WARNINGS, ERRORS = 8, 9
REALM = "HOME.LAN"


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            assert value, "waited in vain"
            return value
        time.sleep(0.05)


def ctl(d, *args, text="", code=None, **env):
    done = subprocess.run([LARESCTL, "--socket", d.control, *args], input=text, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "", **env})
    assert code is None or done.returncode == code, (args, done.returncode, done.stdout, done.stderr, d.log()[-3000:])
    return done


def examine(d, *only):
    """A whole run over the control socket: the answer of doctor.show."""
    call_verb(d.control, "doctor", **({"only": list(only)} if only else {}))

    def ended():
        answer = call_verb(d.control, "doctor.show")
        return answer if answer["state"] == "done" else None
    return until(ended, 120)


def found(answer, id, severity=None):
    """The findings of that name."""
    all_of_it = [f for f in answer["findings"] if f["id"] == id and severity in (None, f["severity"])]
    assert all_of_it, (id, severity, [(f["severity"], f["id"], f["text"]) for f in answer["findings"]])
    return all_of_it


def bad(answer):
    return [(f["severity"], f["id"], f["text"]) for f in answer["findings"] if f["severity"] in ("error", "warning")]


def run_remedy(finding):
    """The command of a finding, as it stands there."""
    done = subprocess.run(finding["remedy"], shell=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (finding, done)


@contextlib.contextmanager
def hospital(realm=True, modules=None, server=None, users=(), **more):
    """A laresd that goes by a name of its own, which /etc/hosts of nobody has: in a private mount namespace it would be
    too slow for what it shows, so the name is localhost where names do not matter."""
    ports = {k: free_port() for k in ("kdc-port", "kadmin-port", "kpasswd-port")}
    parts = {"auth-sys": {}, "auth-krb5": {"helper": KEYTAB_HELPER}, "store-posix": {},
             "proto-rest": {"http": "127.0.0.1:@PORT2@", "https": "127.0.0.1:@PORT3@"},
             "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "1s"}, "proto-smb2": {"listen": "127.0.0.1:@PORT4@"},
             "realm-mit": {"listen": "127.0.0.1", "helper": REALM_HELPER, "rotate-grace": "1s", **ports}}
    for name, settings in (modules or {}).items():
        if settings is None:
            parts.pop(name)
        else:
            parts[name] = {**parts.get(name, {}), **settings}
    with Laresd(parts, server={"host-name": "localhost", **(server or {})}, start=False, **more) as d:
        d.wait = [d.control]
        d.start()
        d.kdc = ports["kdc-port"]
        os.mkdir(d.dir + "/media")
        if realm:
            call_verb(d.control, "realm.create", name=REALM)
            for name, password in dict(users).items():
                call_verb(d.control, "realm.user.add", name=name, password=password)
            d.wait_log("kadmind: ready")
            d.wait_log("keys from keytab")
            # The last step of the work that the realm does on its keys when it begins: nobody mends them after it.
            until(lambda: os.path.exists(d.state + "/realm/backup.dump"))
            call_verb(d.control, "share.create", name="media", path=d.dir + "/media", sec=["krb5p"])
        yield d


def realm_env(d, **more):
    return dict(os.environ, KRB5_CONFIG=d.state + "/realm/krb5.conf", KRB5_KDC_PROFILE=d.state + "/realm/kdc.conf",
                LC_ALL="C.UTF-8", **more)


def kadmin_local(d, query):
    done = subprocess.run([tool("kadmin.local"), "-r", REALM, "-q", query], env=realm_env(d),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def key_entry(name, realm, kvno, enctype, key):
    """An entry of a keytab file, version 2."""
    def counted(b):
        return struct.pack(">H", len(b)) + b
    parts = name.split("/")
    body = struct.pack(">H", len(parts)) + counted(realm.encode()) + b"".join(counted(p.encode()) for p in parts)
    body += struct.pack(">IIB", 1, int(time.time()), kvno) + struct.pack(">H", enctype) + counted(key)
    return struct.pack(">i", len(body)) + body


def entries(path):
    """The entries of a keytab file: (principal, enctype, bytes)."""
    with open(path, "rb") as f:
        data = f.read()
    at = 2
    while at < len(data):
        size, parts = struct.unpack_from(">iH", data, at)
        words, p = [], at + 6
        for _ in range(parts + 1):
            length, = struct.unpack_from(">H", data, p)
            words.append(data[p + 2:p + 2 + length].decode())
            p += 2 + length
        enctype, = struct.unpack_from(">H", data, p + 9)
        yield "/".join(words[1:]) + "@" + words[0], enctype, data[at:at + 4 + size]
        at += 4 + size


def write_keytab(path, keys):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
        f.write(b"\5\2" + b"".join(keys))


__all__ = ["ERRORS", "KEYTAB_HELPER", "REALM", "WARNINGS", "bad", "call_verb", "ctl", "entries", "examine", "found", "free_port",
           "hospital", "json", "kadmin_local", "key_entry", "os", "realm_env", "run_remedy", "shutil", "socket", "subprocess",
           "tool", "until", "write_keytab"]
