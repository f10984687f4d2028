# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private Heimdal realm for tests: its KDC, database and tools, from Debian's packages but not installed.

Heimdal's packages and MIT's exclude each other on one machine, so they are unpacked below the build folder, once.

    with HeimdalRealm(directory, fetch(), users=["alice"], services=["nfs/localhost"]) as realm:
        realm.kinit("alice", ccache)                   # MIT's kinit; heimdal=True: Heimdal's own
        subprocess.run([...], env=realm.env(ccache=ccache))

The attributes dir, name, krb5_conf, service_keytab and user_keytab() are those of realm.Realm."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from laresd import BUILD
from realm import RealmError, die_with_parent, free_port, tool

WANTED = ("heimdal-kdc", "heimdal-clients")


def _run(args, **more):
    done = subprocess.run(args, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300,
                          **more)
    if done.returncode:
        raise RealmError(f"{' '.join(map(str, args))}: {done.stdout.strip()}")
    return done.stdout


def _packages():
    """The two packages and Heimdal's own libraries; everything else they need, MIT's packages need, too."""
    text = _run(["apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
                 "--no-replaces", "--no-enhances", *WANTED])
    return [*WANTED, *sorted(set(re.findall(r"^(lib\S+-heimdal)$", text, re.M)))]


def fetch():
    """The folder with Heimdal's files; RealmError where the packages cannot be had."""
    root = pathlib.Path(BUILD) / "heimdal"
    if (root / "usr").exists():
        return root
    if not all(shutil.which(t) for t in ("apt-get", "apt-cache", "dpkg")):
        raise RealmError("no apt and dpkg here to get Heimdal's packages with")
    with tempfile.TemporaryDirectory(prefix="heimdal-") as scratch:
        # apt drops to an unprivileged user for downloads when it may write to the folder.
        os.chmod(scratch, 0o777)
        _run(["apt-get", "-q", "download", *_packages()], cwd=scratch)
        fresh = pathlib.Path(tempfile.mkdtemp(prefix="heimdal.", dir=BUILD))
        for deb in pathlib.Path(scratch).glob("*.deb"):
            _run(["dpkg", "-x", str(deb), str(fresh)])
    try:
        fresh.rename(root)
    except OSError:  # another test was faster
        shutil.rmtree(fresh)
    return root


def libraries(root):
    """LD_LIBRARY_PATH for the programs below root."""
    return ":".join(str(p) for pattern in ("*-linux-*", "*-linux-*/heimdal") for p in root.glob("usr/lib/" + pattern))


class HeimdalRealm:
    def __init__(self, directory, root, name="HEIMDAL.TEST", users=(), services=()):
        self.dir = pathlib.Path(directory).absolute()
        self.root = pathlib.Path(root)
        self.name = name
        self.users = list(users)
        self.services = list(services)
        self.port = free_port()
        self.process = None
        self.krb5_conf = self.dir / "krb5.conf"
        self.service_keytab = self.dir / "service.keytab"

    # -- configuration

    def _config(self):
        """One file that both implementations read; each skips the sections of the other."""
        return f"""[libdefaults]
    default_realm = {self.name}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    forwardable = true

[realms]
    {self.name} = {{
        kdc = tcp/127.0.0.1:{self.port}
        kdc = 127.0.0.1:{self.port}
    }}

[domain_realm]
    localhost = {self.name}

[kdc]
    database = {{
        realm = {self.name}
        dbname = {self.dir}/db
        mkey_file = {self.dir}/mkey
        acl_file = {self.dir}/acl
        log_file = {self.dir}/log
    }}

[logging]
    default = FILE:{self.dir}/kdc.log
"""

    def env(self, keytab=None, ccache=None):
        env = dict(os.environ, KRB5_CONFIG=str(self.krb5_conf))
        if keytab:
            env["KRB5_KTNAME"] = f"FILE:{keytab}"
        if ccache:
            env["KRB5CCNAME"] = f"FILE:{ccache}"
        return env

    def _heimdal_env(self, ccache=None):
        return dict(self.env(ccache=ccache), LD_LIBRARY_PATH=libraries(self.root))

    # -- life

    def create(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        self.krb5_conf.write_text(self._config())
        (self.dir / "acl").write_text("")
        _run([str(self.root / "usr/sbin/kstash"), "--random-key", f"--key-file={self.dir}/mkey"], env=self._heimdal_env())
        self.kadmin("init", "--realm-max-ticket-life=1d", "--realm-max-renewable-life=1w", self.name)
        for user in self.users:
            self.kadmin("add", "--password=password", "--use-defaults", user)
            self.kadmin("ext_keytab", f"--keytab={self.user_keytab(user)}", user)
        for service in self.services:
            self.kadmin("add", "--random-key", "--use-defaults", service)
            self.kadmin("ext_keytab", f"--keytab={self.service_keytab}", service)
        return self

    def start(self):
        with open(self.dir / "kdc.out", "ab") as out:
            self.process = subprocess.Popen([str(self.root / "usr/lib/heimdal-servers/kdc"), "--addresses=127.0.0.1",
                                             f"--ports={self.port}", f"--config-file={self.krb5_conf}"],
                                            env=self._heimdal_env(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=die_with_parent)
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    raise RealmError("Heimdal's kdc does not listen: " + (self.dir / "kdc.out").read_text()) from None
                time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self):
        return self.create().start()

    def __exit__(self, *_):
        self.stop()

    # -- principals

    def kadmin(self, *args):
        """One command of Heimdal's kadmin on the database itself."""
        return _run([str(self.root / "usr/bin/kadmin.heimdal"), "-l", "-r", self.name, *args], env=self._heimdal_env())

    def user_keytab(self, name):
        return self.dir / (name + ".keytab")

    def kinit(self, principal, ccache, heimdal=False):
        """A TGT into a ccache file by the user's keytab, asked for by MIT's kinit or by Heimdal's."""
        if heimdal:
            _run([str(self.root / "usr/bin/kinit.heimdal"), "--cache=FILE:" + str(ccache),
                  f"--keytab={self.user_keytab(principal)}", "--use-keytab", principal], env=self._heimdal_env())
        else:
            _run([tool("kinit"), "-k", "-t", str(self.user_keytab(principal)), principal], env=self.env(ccache=ccache))
        return ccache
