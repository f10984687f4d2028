#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The systemd units: sockets handed over by systemd's own program, the sandbox of the service as far as it can be had
without systemd, and what systemd-analyze thinks of it."""
import contextlib
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
sys.path[:0] = [os.path.join(HERE, "..", "..", "lib"), os.path.join(HERE, "..", "..", "wire")]
import tap
from laresd import BUILD, Laresd, free_port
from lares_server import call_verb
from nfsraw import Conn, auth_sys
import nfs4ops as ops

SANDBOX = os.path.join(HERE, "..", "..", "lib", "sandbox.py")
UNITS = os.path.join(TOP, "data", "systemd")
# Of 10, which is no protection at all. What is left is root's right to act as its users, and the network.
EXPOSURE = 3.4
MODULES = {"auth-sys": {}, "auth-krb5": {}, "store-posix": {}, "proto-rest": {}}


@contextlib.contextmanager
def unit(name):
    """A unit as it is installed, as a file."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "laresd.service" if name.startswith("laresd.service") else name)
        with open(os.path.join(UNITS, name)) as f:
            text = f.read().replace("@sbindir@", os.path.join(BUILD, "core"))
        with open(path, "w") as f:
            f.write(text)
        yield path


def test_exposure():
    if not shutil.which("systemd-analyze"):
        tap.skip("systemd-analyze is not installed")
    with unit("laresd.service.in") as path:
        r = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", path], capture_output=True,
                           text=True)
    found = re.search(r"Overall exposure level for laresd.service: ([\d.]+)", r.stdout)
    if not found:
        tap.skip("systemd-analyze here knows no --offline: " + r.stderr.strip()[:100])
    print("# exposure level %s of 10" % found.group(1))
    assert float(found.group(1)) <= EXPOSURE, r.stdout


# ---- Socket activation -----------------------------------------------------------------------------------------------

def null(port):
    """A NULL call, answered."""
    with Conn("127.0.0.1", port) as c:
        c.null()


def activated(d, ports, names):
    """laresd below systemd-socket-activate, which starts it at the first connection; the process."""
    argv = ["systemd-socket-activate", *["--listen=127.0.0.1:%d" % p for p in ports], "--fdname=" + ":".join(names),
            *["--setenv=%s=%s" % (k, v) for k, v in d.env.items() if k.startswith(("LD_", "ASAN", "LSAN", "UBSAN", "TSAN"))],
            *d.argv()]
    d.log_file = open(d.log_path, "ab")
    d.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=d.log_file, stderr=d.log_file, env=d.env,
                                 cwd=d.dir)
    end = time.monotonic() + 60
    while "Listening on" not in d.log() and time.monotonic() < end and d.process.poll() is None:
        time.sleep(0.01)
    return d.process


def test_systemd_starts_it_at_the_first_connection():
    if not shutil.which("systemd-socket-activate"):
        tap.skip("systemd-socket-activate is not installed")
    port = free_port()
    with Laresd({**MODULES, "proto-nfs4": {"listen": "fd:nfs"}}, start=False) as d:
        activated(d, [port], ["nfs"])
        assert "is ready as" not in d.log(), d.log()
        began = time.monotonic()
        null(port)
        print("# first answer after %.0f ms" % (1000 * (time.monotonic() - began)))
        d.wait_log("is ready as")
        null(port)
        # A reload keeps the socket: it cannot be had a second time.
        d.reload()
        d.wait_log("reloading")
        assert call_verb(d.control, "status")
        null(port)


def test_two_sockets_by_name():
    """Each listener takes its own; one that nobody asked for is not given to children and not closed under them."""
    if not shutil.which("systemd-socket-activate"):
        tap.skip("systemd-socket-activate is not installed")
    ports = [free_port() for _ in range(3)]
    with Laresd({**MODULES, "proto-nfs4": {"listen": "fd:second,fd:first"}}, start=False) as d:
        activated(d, ports, ["first", "second", "spare"])
        for port in (ports[1], ports[0]):
            null(port)
        for name, port in (("first", ports[0]), ("second", ports[1])):
            assert re.search(r"listening on fd:%s .*port %d" % (name, port), d.wait_log("is ready as")), d.log()
        assert d.log().count('a socket "spare" that no listen= takes') == 1 and '"first" that' not in d.log(), d.log()
        # Every inherited descriptor is closed on exec, the spare one, too.
        for fd in (3, 4, 5):
            with open("/proc/%d/fdinfo/%d" % (d.pid, fd)) as f:
                flags = int(re.search(r"^flags:\s*(\d+)", f.read(), re.M).group(1), 8)
            assert flags & os.O_CLOEXEC, (fd, oct(flags))


def test_two_sockets_of_one_name():
    """As systemd names all those of one unit."""
    if not shutil.which("systemd-socket-activate"):
        tap.skip("systemd-socket-activate is not installed")
    ports = [free_port() for _ in range(2)]
    with Laresd({**MODULES, "proto-nfs4": {"listen": "fd:nfs,fd:nfs"}}, start=False) as d:
        activated(d, ports, ["nfs", "nfs"])
        for port in ports:
            null(port)
        d.reload()
        d.wait_log("reloading")
        assert call_verb(d.control, "status")
        for port in ports:
            null(port)


def test_a_socket_that_cannot_serve():
    """A datagram socket by that name is refused in words, and the rest works."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        wrapper = ["bash", "-c", 'exec 3<&%d; LISTEN_PID=$$ exec "$@"' % s.fileno(), "bash"]
        with Laresd({**MODULES, "proto-nfs4": {"listen": "fd:nfs"}}, start=False, wrapper=wrapper, pass_fds=(s.fileno(),),
                    env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "nfs"}) as d:
            d.wait = [d.control]
            d.start()
            assert "fd:nfs" in d.log() and "it is not a listening stream socket" in d.log(), d.log()
            assert call_verb(d.control, "status")


# ---- The sandbox -----------------------------------------------------------------------------------------------------

def need_sandbox():
    missing = [t for t in ("setpriv", "mount", "cc", "systemd-analyze", "krb5kdc", "kadmind", "kinit", "kvno")
               if not shutil.which(t, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0 or platform.machine() != "x86_64" or missing:
        tap.skip(" ".join(["needs root and x86-64", *missing]))


@contextlib.contextmanager
def folder():
    """A place that PrivateTmp leaves alone."""
    d = tempfile.mkdtemp(prefix="lares-sandbox-", dir="/var/lib")
    os.chmod(d, 0o755)
    try:
        yield d
    finally:
        shutil.rmtree(d, ignore_errors=True)


def in_sandbox(path, *command):
    return subprocess.run([sys.executable, SANDBOX, path, *command], capture_output=True, text=True)


def test_the_sandbox_is_one():
    """What the other test passes in, others do not: each restriction is seen to work."""
    need_sandbox()
    with unit("laresd.service.in") as path, folder() as d:
        copy = shutil.copy(path, d)
        r = in_sandbox(copy, "sh", "-c", "touch %s/x && python3 -c 'import socket; socket.socket()' && ls /dev/null" % d)
        assert r.returncode == 0, r.stderr
        tries = ["touch /usr/x", "touch /etc/x", "echo 1 >/proc/sys/vm/drop_caches", "ls /dev/kmsg",
                 "mount -t tmpfs none " + d, "unshare -m true", "ls " + path, "chroot / true", "cat /proc/1/environ",
                 "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
                 "python3 -c 'import os; os.mknod(\"%s/x\", 0o20666, os.makedev(1, 3))'" % d]
        script = "".join("(%s) >/dev/null 2>&1 && echo %d\n" % (t, i) for i, t in enumerate(tries))
        done = in_sandbox(copy, "sh", "-c", script + "echo end").stdout.split()
        assert done == ["end"], [tries[int(i)] for i in done[:-1]]
        status = in_sandbox(copy, "grep", "-E", "^(CapBnd|NoNewPrivs|Seccomp):", "/proc/self/status").stdout
        assert re.search(r"NoNewPrivs:\s1", status) and re.search(r"Seccomp:\s2", status), status


def kerberos(d, realm, *command, text=None):
    env = dict(os.environ, KRB5_CONFIG=realm + "/krb5.conf", KRB5CCNAME="FILE:" + d + "/cc")
    return subprocess.run(command, input=text, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=30)


def nfs(port, uid, *more):
    with Conn("127.0.0.1", port, cred=auth_sys(uid=uid, gid=uid)) as c:
        return c.compound(0, ops.putrootfh(), ops.lookup("s"), *more)


def pid_of(status, program):
    return next(x["pid"] for x in status["daemons"] if x["program"] == program)


def use_realm(d, laresd, ports):
    """A realm is made, used, its KDC killed and started again, its keys rotated."""
    call_verb(laresd.control, "realm.create", name="HOME.LAN", listen=["127.0.0.1"], **ports)
    call_verb(laresd.control, "realm.user.add", name="ada", password="correct horse")
    realm = laresd.state + "/realm"

    def ready():
        end = time.monotonic() + 60
        while time.monotonic() < end:
            status = call_verb(laresd.control, "realm.status")
            if status["running"]:
                return status
            time.sleep(0.05)
        raise AssertionError(str(status) + laresd.log())
    status = ready()
    r = kerberos(d, realm, "kinit", "ada@HOME.LAN", text="correct horse\n")
    assert r.returncode == 0, r.stdout + laresd.log()
    r = kerberos(d, realm, "kvno", "nfs/nas.home.lan")
    assert r.returncode == 0, r.stdout
    # The children are in it, too.
    kdc = pid_of(status, "krb5kdc")
    with open("/proc/%d/status" % kdc) as f:
        text = f.read()
    assert re.search(r"Seccomp:\s2", text) and re.search(r"NoNewPrivs:\s1", text), text
    os.kill(kdc, signal.SIGKILL)
    laresd.wait_log("krb5kdc: ended by signal 9")
    end = time.monotonic() + 60
    while pid_of(ready(), "krb5kdc") == kdc and time.monotonic() < end:
        time.sleep(0.05)
    r = kerberos(d, realm, "kinit", "ada@HOME.LAN", text="correct horse\n")
    assert r.returncode == 0, r.stdout + laresd.log()
    call_verb(laresd.control, "realm.rotate")
    laresd.wait_log("new service keys in use", timeout=60)
    r = kerberos(d, realm, "kvno", "nfs/nas.home.lan")
    assert "kvno = 2" in r.stdout, r.stdout
    assert "Operation not permitted" not in laresd.log(), laresd.log()


def use_smb(d, laresd, share):
    """Streams, attributes, ACLs, a copy by the server: what SMB keeps beside files, by a ticket and by NTLM."""
    if not shutil.which("smbclient"):
        return
    call_verb(laresd.control, "share.set", name="s", sec=["krb5p", "ntlm", "sys"])
    call_verb(laresd.control, "user.add", name="bob")
    call_verb(laresd.control, "user.ntlm.enable", name="bob", password="secret words")
    os.makedirs(share + "/smb")
    os.chmod(share + "/smb", 0o777)
    for login in (["--use-kerberos=required"], ["--use-kerberos=off", "-U", "bob%secret words"]):
        r = kerberos(d, laresd.state + "/realm", "smbclient", "//nas.home.lan/s", "-I", "127.0.0.1", "-p", str(laresd.ports[2]),
                     "-s", "/dev/null", *login, "-c", "cd smb; put /etc/hostname f; put /etc/hostname f:stream; setea f a b; "
                     "setmode f +h; allinfo f; scopy f g; rename g h; showacls; ls; deltree h; del f")
        assert r.returncode == 0 and "NT_STATUS" not in r.stdout, r.stdout + laresd.log()
        assert "stream: [:stream:$DATA]" in r.stdout and "attributes: HA" in r.stdout, r.stdout
    assert os.listdir(share + "/smb") == [], os.listdir(share + "/smb")


def test_realm_and_store_in_the_units_sandbox():
    need_sandbox()
    if os.environ.get("LARES_SANITIZE", "none") != "none":
        tap.skip("a sanitizer needs system calls that the unit forbids")
    if BUILD.startswith(("/tmp/", "/var/tmp/")):
        tap.skip("the build folder is below /tmp, which the unit replaces")
    ports = {k: p for k, p in zip(("kdc-port", "kadmin-port", "kpasswd-port"), (free_port() for _ in range(3)))}
    modules = {**MODULES, "auth-ntlm": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@"},
               "proto-smb2": {"listen": "127.0.0.1:@PORT2@"},
               "realm-mit": {"rotate-grace": "1s", "helper": os.path.join(BUILD, "modules/realm-mit/lares-realm-helper")}}
    with unit("laresd.service.in") as path, folder() as d:
        wrapper = [sys.executable, SANDBOX, shutil.copy(path, d)]
        os.mkdir(d + "/lares")
        with Laresd(modules, wrapper=wrapper, start=False, directory=d + "/lares") as laresd:
            laresd.wait = [*laresd.ports.values(), laresd.control]
            laresd.start()
            share = d + "/share"
            os.mkdir(share)
            os.chmod(share, 0o777)
            call_verb(laresd.control, "share.create", name="s", path=share, sec=["sys"], squash="none")
            # As each user, with their rights and no others; ACLs; handles that outlive the server.
            nfs(laresd.port, 4711, ops.create(2, "dir")).ok()
            made = os.stat(share + "/dir")
            assert (made.st_uid, made.st_gid) == (4711, 4711), made
            os.chmod(share + "/dir", 0o700)
            assert nfs(laresd.port, 4712, ops.lookup("dir"), ops.create(2, "no")).error == "ACCESS"
            acl = [(0, 0, 0x1601bf, "OWNER@"), (0, 0, 0x1200a9, "4712")]
            nfs(laresd.port, 4711, ops.lookup("dir"), ops.setattr(ops.ANON, {"acl": acl})).ok()
            nfs(laresd.port, 4711, ops.lookup("dir"), ops.create(2, "sub")).ok()
            assert nfs(laresd.port, 4712, ops.lookup("dir"), ops.lookup("sub")).status == 0
            assert nfs(laresd.port, 4713, ops.lookup("dir"), ops.lookup("sub")).error == "ACCESS"
            nfs(laresd.port, 0, ops.lookup("dir"), ops.setattr(ops.ANON, {"owner": "4712"})).ok()
            use_realm(d, laresd, ports)
            use_smb(d, laresd, share)
            log = laresd.log()
            for word in ("not permitted", "ermission denied", "cannot"):
                assert word not in log, log


if __name__ == "__main__":
    tap.main(globals())
