# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the drivers of the real-client tests share: the lab (realm, server, share), job folders, results.

Host side only. A driver makes a Lab, writes the guest's part as a shell script, runs it in one or more
guests and prints what they found.
"""

import ctypes
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
import vm  # noqa: E402
from realm import Realm  # noqa: E402
from servers import make_server  # noqa: E402

SERVER_NAME = "server.lares.test"
VMS = ("a", "b")


class Report:
    """Counts verdicts and prints them as they come."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def line(self, text):
        verdict = text.split(" ", 1)[0]
        self.passed += verdict == "PASS"
        self.failed += verdict == "FAIL"
        self.skipped += verdict == "SKIP"
        print(text, flush=True)

    def add(self, good, name, reason=""):
        self.line(f"{'PASS' if good else 'FAIL'} {name}{': ' + reason if reason and not good else ''}")
        return good

    def skip(self, name, reason):
        self.line(f"SKIP {name}: {reason}")

    def guest(self, job, ident="a", status=0, name="job", whole=True):
        """Take over a guest's results; whole: its script must have come to its end."""
        path = job / "out" / f"{ident}.results"
        if path.exists():
            for text in path.read_text(errors="replace").splitlines():
                self.line(text)
        if whole and status != 0:
            why = {124: "took too long", 125: "the guest died"}.get(status, f"status {status}")
            self.line(f"FAIL {name}: {why}; see {job / 'out'}")

    def total(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0


def make_job(directory, script, krb5_conf=None, keytabs=None, **variables):
    """A job folder: script after the common beginning, env.sh from variables, krb5 files. keytabs: {name: path}."""
    job = pathlib.Path(directory)
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir(parents=True)
    # The guest has a /tmp and a /run of its own: a source tree there would not be seen, so the tests travel along.
    shutil.copytree(HERE, job / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    variables = {"TESTS": "/tmp/lares-tests", "SERVER": SERVER_NAME, "PATIENCE": vm.PATIENCE, **variables}
    (job / "env.sh").write_text("".join(f"{k}={shlex.quote(str(v))}\n" for k, v in variables.items()))
    (job / "job.sh").write_text('. ./env.sh\ncp -r tests "$TESTS" && chmod -R a+rX "$TESTS"\n. "$TESTS/guest.sh"\nsetup_basics\n' + script)
    if krb5_conf:
        # The loopback of this namespace has another name in the guest.
        text = re.sub(r"\b(127\.0\.0\.1|localhost)(:\d+)", r"10.0.2.2\2", krb5_conf)
        (job / "krb5.conf").write_text(text)
    for name, path in (keytabs or {}).items():
        shutil.copy(path, job / f"{name}.keytab")
        os.chmod(job / f"{name}.keytab", 0o600)
    return job


class Lab:
    """A realm, a server of the given kind, and a folder for shares, all below one directory.

    smb: the server speaks SMB too. Realm options (max_life, service_life, clockskew) are passed on. keep leaves the directory for inspection.
    """

    def __init__(self, kind, keep=None, krb5=True, smb=False, **realm_options):
        self.kind = kind
        self.smb = smb
        self.keep = keep
        self.dir = pathlib.Path(keep or tempfile.mkdtemp(prefix="lares-vm-"))
        if keep:
            shutil.rmtree(self.dir, ignore_errors=True)
            self.dir.mkdir(parents=True)
        os.chmod(self.dir, 0o755)
        self.realm = None
        if krb5:
            self.realm = Realm(self.dir / "realm", users=["alice", "bob"], **realm_options,
                               services=[f"nfs/{SERVER_NAME}", "nfs/localhost", f"host/{SERVER_NAME}"] +
                               ([f"cifs/{SERVER_NAME}"] if smb else []))
        self.server = None
        self.mounted = False

    def __enter__(self):
        # `timeout` and the like: leave through __exit__.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self.make_file_system()
            if self.realm:
                self.realm.__enter__()
                machines = [f"host/client-{i}.lares.test" for i in VMS]
                # Only services of the server live shortly; the machines' own keys are like users'.
                self.realm.add_services(machines, keytab=self.dir / "host.keytab", life=self.realm.max_life)
            self.server = make_server(self.kind, self.dir / "server", self.realm)
            if self.smb:
                self.server.speak_smb()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.stop()
        if self.realm:
            self.realm.stop()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.dir / "shares")], stderr=subprocess.DEVNULL, check=False)
            self.mounted = False
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def make_file_system(self):
        """An ext4 with a journal for the shares, where loop devices are to be had: the machine's own file system may
        be slow with metadata or lack extended attributes."""
        shares = self.dir / "shares"
        shares.mkdir()
        image = self.dir / "shares.img"
        with open(image, "wb") as stream:
            stream.truncate(4 << 30)
        # In a mount namespace of our own, so that nothing stays mounted however this process ends.
        libc = ctypes.CDLL(None)
        if libc.unshare(0x00020000) == 0:  # CLONE_NEWNS
            libc.mount(b"none", b"/", None, 16384 | (1 << 18), None)  # MS_REC | MS_PRIVATE
        made = subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", str(image)], stdin=subprocess.DEVNULL, check=False)
        if made.returncode == 0:
            self.mounted = subprocess.run(["mount", "-o", "loop", str(image), str(shares)], check=False).returncode == 0

    def folder(self, name, mode=0o1777):
        """A folder to share, writable by all users."""
        path = self.dir / "shares" / name
        path.mkdir(parents=True, exist_ok=True)
        os.chmod(path, mode)
        return path

    def share(self, name, sec):
        """Share a new folder of that name; returns it. Before the server starts, or while it runs if it can."""
        path = self.folder(name)
        self.server.add_share(name, path, sec)
        return path

    def job(self, name, script, share="share", **variables):
        return make_job(self.dir / f"job-{name}", script, self.realm and self.realm.client_config(),
                        self.keytabs(), PORT=self.server.port, SMB_PORT=self.server.smb_port or "", EXPORT=self.server.export(share), **variables)

    def keytabs(self):
        if not self.realm:
            return {}
        return {"host": self.dir / "host.keytab", "alice": self.realm.user_keytab("alice"), "bob": self.realm.user_keytab("bob")}


__all__ = ["HERE", "Lab", "Report", "make_job", "vm"]
