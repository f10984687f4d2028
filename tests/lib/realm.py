#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private MIT Kerberos realm for tests: own database, KDC, ports and configuration.

Everything lives under one directory; nothing outside it is read or written, so that any
number of realms can run side by side. AES only, no DNS, no reverse lookups.

In Python:

    with Realm(directory, users=["alice"], services=["nfs/localhost"]) as realm:
        subprocess.run([...], env=realm.env(keytab=realm.service_keytab))
        realm.kinit("alice", ccache="/tmp/x/cc")

From a shell, for the time that one command runs:

    realm.py --dir D --user alice --service nfs/localhost run -- COMMAND ...

Files made in the directory: krb5.conf, kdc.conf, service.keytab, USER.keytab, kdc.log, db/.
"""

import argparse
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

AES_TYPES = ("aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96 "
             "aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128")


class RealmError(Exception):
    """A Kerberos tool refused; the text holds its output."""


def free_port():
    """A port that is free for both TCP and UDP on the loopback address."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RealmError("no free port")


def die_with_parent():
    """In a child before exec: be ended when the test that started it ends in any way."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def tool(name):
    """Full path of a program; the sbin folders are not in every user's PATH."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if not path:
        raise RealmError(f"{name} is not installed (Debian: krb5-kdc krb5-admin-server krb5-user)")
    return path


class Realm:
    """One realm. Lives are in seconds; enctypes are MIT names, the first is preferred.

    max_life bounds every ticket; service_life, if given, bounds tickets for the services
    only (then a long TGT renews them). clockskew is what servers forgive: keep it small
    where a test waits for an expiry.
    """

    def __init__(self, directory, name="LARES.TEST", users=(), services=(), max_life=36000,
                 service_life=None, clockskew=300, enctypes=AES_TYPES, port=None):
        self.dir = pathlib.Path(directory).absolute()
        self.name = name
        self.users = list(users)
        self.services = list(services)
        self.max_life = int(max_life)
        self.service_life = service_life
        self.clockskew = int(clockskew)
        self.enctypes = enctypes
        self.port = port or free_port()
        self.process = None
        self.krb5_conf = self.dir / "krb5.conf"
        self.kdc_conf = self.dir / "kdc.conf"
        self.service_keytab = self.dir / "service.keytab"

    # -- configuration

    def client_config(self, kdc_address="127.0.0.1", ticket_life=None):
        """krb5.conf text for a client that reaches the KDC at kdc_address."""
        domain = self.name.lower()
        return f"""[libdefaults]
    default_realm = {self.name}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    dns_uri_lookup = false
    rdns = false
    udp_preference_limit = 1
    clockskew = {self.clockskew}
    ticket_lifetime = {ticket_life or self.max_life}
    forwardable = true
    permitted_enctypes = {self.enctypes}
    default_tkt_enctypes = {self.enctypes}
    default_tgs_enctypes = {self.enctypes}

[realms]
    {self.name} = {{
        kdc = {kdc_address}:{self.port}
    }}

[domain_realm]
    .{domain} = {self.name}
    {domain} = {self.name}
    localhost = {self.name}
"""

    def _kdc_config(self):
        db = self.dir / "db"
        types = " ".join(t + ":normal" for t in self.enctypes.split())
        return f"""[kdcdefaults]
    kdc_listen = 127.0.0.1:{self.port}
    kdc_tcp_listen = 127.0.0.1:{self.port}

[realms]
    {self.name} = {{
        database_name = {db}/principal
        key_stash_file = {db}/stash
        acl_file = {db}/kadm5.acl
        master_key_type = aes256-cts-hmac-sha1-96
        supported_enctypes = {types}
        max_life = {self.max_life}s
        max_renewable_life = {max(self.max_life, 86400)}s
        default_principal_flags = +forwardable
    }}

[logging]
    kdc = FILE:{self.dir}/kdc.log
    default = FILE:{self.dir}/kdc.log
"""

    def env(self, keytab=None, ccache=None, base=None):
        """Environment in which programs use this realm, with optional keytab and ccache."""
        env = dict(os.environ if base is None else base)
        env["KRB5_CONFIG"] = str(self.krb5_conf)
        env["KRB5_KDC_PROFILE"] = str(self.kdc_conf)
        if keytab:
            env["KRB5_KTNAME"] = f"FILE:{keytab}"
        if ccache:
            env["KRB5CCNAME"] = f"FILE:{ccache}"
        return env

    # -- life

    def create(self):
        """Make the database, the configuration, the principals and the keytabs."""
        db = self.dir / "db"
        db.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.krb5_conf.write_text(self.client_config())
        self.kdc_conf.write_text(self._kdc_config())
        self._run([tool("kdb5_util"), "create", "-s", "-r", self.name, "-P", "test-master-key"])
        for user in self.users:
            self.add_user(user)
        if self.services:
            self.add_services(self.services)
        return self

    def start(self):
        """Start the KDC; returns when it accepts connections."""
        with open(self.dir / "kdc.out", "ab") as out:
            self.process = subprocess.Popen([tool("krb5kdc"), "-n", "-r", self.name],
                                            env=self.env(), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, preexec_fn=die_with_parent)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise RealmError("krb5kdc does not answer: " + (self.dir / "kdc.out").read_text())

    def stop(self):
        """End the KDC (idempotent). The database stays and can be started again."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def __enter__(self):
        if not self.kdc_conf.exists():
            self.create()
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # -- principals

    def kadmin(self, *commands):
        """Run kadmin.local commands, one string each; returns the output. Raises on any error."""
        text = "".join(c + "\n" for c in commands)
        out = self._run([tool("kadmin.local"), "-r", self.name], text)
        bad = re.search(r"^(kadmin\.local: (?!\s*$).*(?:while|invalid|unknown).*|.*: .* while .*)$", out, re.M | re.I)
        if bad:
            raise RealmError(bad.group(0) + "\n" + out)
        return out

    def add_user(self, name, password=None, life=None):
        """A user principal and its keytab DIR/NAME.keytab (returned); the password is 'password'."""
        self.kadmin(f'addprinc -pw "{password or "password"}" {self._life(life)} {name}')
        return self.extract(name, self.user_keytab(name))

    def add_services(self, names, keytab=None, life=None):
        """Service principals with random keys, added to the keytab (default service.keytab)."""
        life = life or self.service_life
        self.kadmin(*[f"addprinc -randkey {self._life(life)} {n}" for n in names])
        return self.extract(names, keytab or self.service_keytab)

    def extract(self, names, keytab):
        """Append the current keys of principals to a keytab without changing them."""
        names = [names] if isinstance(names, str) else list(names)
        self.kadmin(*[f"ktadd -norandkey -k {keytab} {n}" for n in names])
        return pathlib.Path(keytab)

    def rekey(self, name, keytab, keep_old=True):
        """New random keys (next kvno), appended to the keytab; old keys stay valid if keep_old."""
        keep = "-keepold " if keep_old else ""
        self.kadmin(f"cpw -randkey {keep}{name}")
        return self.extract(name, keytab)

    def set_life(self, name, seconds):
        """Bound the life of tickets of or for a principal from now on."""
        self.kadmin(f'modprinc -maxlife "{int(seconds)} seconds" {name}')

    def disable(self, name):
        """The KDC gives no more tickets to or for the principal."""
        self.kadmin(f"modprinc -allow_tix {name}")

    def remove(self, name):
        self.kadmin(f"delprinc -force {name}")

    def user_keytab(self, name):
        return self.dir / (name.replace("/", "_") + ".keytab")

    def kinit(self, principal, ccache, life=None, keytab=None):
        """Get a TGT into a ccache file from the principal's keytab."""
        args = [tool("kinit"), "-k", "-t", str(keytab or self.user_keytab(principal))]
        if life:
            args += ["-l", f"{int(life)}s"]
        self._run(args + [principal], ccache=ccache)
        return ccache

    @staticmethod
    def _life(seconds):
        return f'-maxlife "{int(seconds)} seconds"' if seconds else ""

    def _run(self, args, text=None, ccache=None):
        done = subprocess.run(args, env=self.env(ccache=ccache), input=text or "", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise RealmError(f"{' '.join(map(str, args))}: {done.stdout.strip()}")
        return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dir", required=True, help="directory of the realm; made if it is missing")
    parser.add_argument("--realm", default="LARES.TEST")
    parser.add_argument("--user", action="append", default=[], help="user principal (repeatable)")
    parser.add_argument("--service", action="append", default=[], help="service principal (repeatable)")
    parser.add_argument("--port", type=int)
    parser.add_argument("--max-life", type=int, default=36000, help="longest ticket, seconds")
    parser.add_argument("--service-life", type=int, help="longest service ticket, seconds")
    parser.add_argument("--clockskew", type=int, default=300)
    parser.add_argument("--enctypes", default=AES_TYPES)
    parser.add_argument("command", choices=["run"], help="run the command that follows -- in the realm")
    parser.add_argument("args", nargs="+")
    options = parser.parse_args()
    realm = Realm(options.dir, options.realm, options.user, options.service, options.max_life,
                  options.service_life, options.clockskew, options.enctypes, options.port)
    with realm:
        env = realm.env(keytab=realm.service_keytab)
        env["REALM_DIR"] = str(realm.dir)
        env["REALM_PORT"] = str(realm.port)
        return subprocess.run(options.args, env=env, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RealmError as error:
        sys.exit(f"realm: {error}")
