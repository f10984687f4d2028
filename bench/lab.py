# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bench/run measures with: a private realm, the servers under test, /proc."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "lib"))
import realm  # noqa: E402  (the tests' own, found by the line above)

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def null_on(sock, xid=1, timeout=5.0):
    """One NFSv4 NULL call with AUTH_NONE; True when it is answered with success."""
    call = struct.pack(">10I", xid, 0, 2, 100003, 4, 0, 0, 0, 0, 0)
    sock.settimeout(timeout)
    sock.sendall(struct.pack(">I", 0x80000000 | len(call)) + call)
    data = b""
    while len(data) < 28:
        more = sock.recv(4096)
        if not more:
            return False
        data += more
    return struct.unpack(">7I", data[:28])[1:] == (xid, 1, 0, 0, 0, 0)


def null_call(port, timeout=5.0, host="127.0.0.1"):
    """The same over a connection of its own."""
    with socket.create_connection((host, port), timeout=timeout) as s:
        return null_on(s, timeout=timeout)


class Server:
    """One server process over one folder; start() measures the time to the first answer."""

    name = "?"
    answers = staticmethod(null_on)

    def __init__(self, work, exports, kerberos=None):
        """exports: {name: folder}; clients see /NAME."""
        self.work = work
        self.exports = exports
        self.kerberos = kerberos  # a Realm or None
        self.port = free_port()
        self.process = None
        self.start_ms = 0.0
        os.makedirs(work, exist_ok=True)

    def command(self):
        """Writes the configuration; returns (argv, environment)."""
        raise NotImplementedError

    def start(self, timeout=60.0):
        argv, env = self.command()
        log = open(os.path.join(self.work, "output.log"), "ab")
        t0 = time.monotonic()
        self.process = subprocess.Popen(argv, env=env, stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        log.close()
        while True:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                    if self.answers(s):
                        break
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at start, see {self.work}")
            if time.monotonic() - t0 > timeout:
                self.stop()
                raise RuntimeError(f"{self.name} does not answer, see {self.work}")
            time.sleep(0.002)
        self.start_ms = (time.monotonic() - t0) * 1000

    def cpu_exact(self):
        """CPU seconds of all its threads so far, to the nanosecond; of threads that ended, nothing."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                        total += int(f.read().split()[0])
        return total / 1e9

    def pin(self, cpus):
        """Binds all its threads to these processors."""
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(task), cpus)

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def pids(self):
        """The process and its descendants."""
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):  # some end while this looks at them
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children") as f:
                        found += [int(c) for c in f.read().split() if int(c) not in found]
        return found

    def rss(self):
        """Resident bytes of all its processes (shared pages counted once each)."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/status") as f:
                    for line in f:
                        if line.startswith("VmRSS:"):
                            total += int(line.split()[1]) * 1024
        return total

    def cpu(self):
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
        return total / TICK


class Ganesha(Server):
    """Debian's nfs-ganesha with FSAL VFS. It needs a running system D-Bus only for its
    administration, which is not used here."""

    name = "ganesha"

    def command(self):
        k = self.kerberos
        conf = os.path.join(self.work, "ganesha.conf")
        recovery = os.path.join(self.work, "recovery")
        os.makedirs(recovery, exist_ok=True)
        blocks = "".join(f"""EXPORT {{
    Export_Id = {number};
    Path = "{folder}";
    Pseudo = "/{name}";
    Access_Type = RW;
    Squash = No_Root_Squash;
    SecType = sys,krb5,krb5i,krb5p;
    Protocols = 4;
    Transports = TCP;
    FSAL {{ Name = VFS; }}
}}
""" for number, (name, folder) in enumerate(self.exports.items(), 77))
        with open(conf, "w") as f:
            f.write(f"""
NFS_CORE_PARAM {{
    Protocols = 4;
    NFS_Port = {self.port};
    Bind_addr = 127.0.0.1;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
    fsid_device = true;
    RPC_Max_Connections = 10000;
}}
NFSv4 {{
    Graceless = true;
    Lease_Lifetime = 20;
    Allow_Numeric_Owners = true;
    Only_Numeric_Owners = true;
    RecoveryRoot = "{recovery}";
    Minor_Versions = 0,1,2;
}}
{blocks}NFS_KRB5 {{
    PrincipalName = "nfs@{k.host if k else 'localhost'}";
    KeytabPath = "{k.service_keytab if k else '/nonexistent'}";
    CCacheDir = "{self.work}";
    Active_krb5 = {'true' if k else 'false'};
}}
LOG {{ Default_Log_Level = EVENT; }}
""")
        env = k.server_env() if k else dict(os.environ)
        env["KRB5RCACHENAME"] = "none:"  # as a busy site would; it only makes the peer faster
        return (["ganesha.nfsd", "-F", "-f", conf, "-L", os.path.join(self.work, "ganesha.log"),
                 "-p", os.path.join(self.work, "pid")], env)


class Lares(Server):
    """laresd of a build directory, with a configuration and a state directory of its own. Shares
    are made once over the control socket; the start that is measured is the one after that."""

    name = "lares"

    def __init__(self, work, exports, kerberos=None, build="build", preload=None):
        super().__init__(work, exports, kerberos)
        self.preload = preload
        os.environ["LARES_BUILD"] = os.path.abspath(build)
        from laresd import find_module  # after the environment: it names the build
        from lares_server import LaresServer
        self.lares = LaresServer(work, kerberos)
        for module in ("auth-ntlm", "realm-mit"):  # loaded as in an installation, though not used
            with contextlib.suppress(KeyError):
                if kerberos and find_module(module):
                    self.lares.laresd.modules[module] = {}
        self.lares.laresd.write_config()
        self.port = self.lares.port
        for name, folder in exports.items():
            self.lares.add_share(name, folder, ["sys", "krb5", "krb5i", "krb5p"] if kerberos else ["sys"])

    @staticmethod
    def available(build):
        return os.access(os.path.join(build, "core", "laresd"), os.X_OK)

    def command(self):
        if not os.path.exists(self.lares.laresd.state):
            with self.lares:
                pass
        env = self.lares.laresd.env
        return self.lares.laresd.argv(), dict(env, LD_PRELOAD=self.preload) if self.preload else env


class Realm(realm.Realm):
    """The tests' private realm with one user, whose ticket all clients use, and nfs/HOST."""

    def __init__(self, work, host="localhost", user="bench"):
        super().__init__(work, users=[user], services=[f"nfs/{host}"],
                         enctypes="aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96")
        self.host = host
        self.user = user
        self.ccache = os.path.join(work, "ccache")

    def __enter__(self):
        super().__enter__()
        self.kinit(self.user, self.ccache)
        return self

    def client_env(self):
        return self.env(ccache=self.ccache)

    def server_env(self):
        return self.env(keytab=self.service_keytab)


class Mount:
    """A loop-mounted ext4 with a journal, or a tmpfs; needs root."""

    def __init__(self, work, kind, size_mb=2048):
        self.point = os.path.join(work, "mnt-" + kind)
        self.image = os.path.join(work, "ext4.img")
        self.kind = kind
        os.makedirs(self.point)
        if kind == "ext4":
            with open(self.image, "wb") as f:
                f.truncate(size_mb << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "has_journal", self.image], check=True)
            subprocess.run(["mount", "-o", "loop", self.image, self.point], check=True)
        else:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", self.point],
                           check=True)
        shutil.rmtree(os.path.join(self.point, "lost+found"), ignore_errors=True)
        os.chmod(self.point, 0o777)

    def close(self):
        for _ in range(50):
            if subprocess.run(["umount", self.point], stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
