#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""libnfs, an independent client in user space, against laresd: its tools, and libnfs-ops for everything else.

test-libnfs.py [LIBNFS-OPS]. Exit 77 (skipped) where neither the tools nor the program are to be had."""
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from laresd import Laresd
from lares_server import call_verb

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 and os.path.isfile(sys.argv[1]) else None
MODULES = {"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@"}}


class Server:
    def __enter__(self):
        self.d = Laresd(MODULES, raw="[identity]\nowner-names=numeric\n", start=False)  # all that libnfs reads
        self.d.wait = [self.d.port, self.d.control]
        self.d.__enter__()
        self.d.start()
        self.folder = tempfile.mkdtemp(prefix="share-", dir=self.d.dir)
        os.chmod(self.folder, 0o777)
        call_verb(self.d.control, "share.create", name="share", path=self.folder, sec=["sys"], squash="none")
        return self

    def __exit__(self, *what):
        return self.d.__exit__(*what)

    def url(self, path="", uid=1000):
        return "nfs://127.0.0.1/share/%s?version=4&nfsport=%d&uid=%d&gid=%d" % (path, self.d.port, uid, uid)


def run(*args, code=0):
    r = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert r.returncode == code, (args, r.returncode, r.stdout[-500:], r.stderr[-500:])
    return r.stdout


def tool(name):
    if not shutil.which(name):
        tap.skip("%s is not installed (Debian: libnfs-utils)" % name)
    return name


def test_ls():
    with Server() as s:
        os.mkdir(s.folder + "/inner")
        for name, size in (("one", 1), ("inner/two", 22), ("gr\u00fc\u00df e", 333)):
            with open(os.path.join(s.folder, name), "wb") as f:
                f.write(b"x" * size)
            os.chown(os.path.join(s.folder, name), 1000, 1000)
        out = run(tool("nfs-ls"), s.url()).decode()
        lines = {line.split(None, 5)[5].strip(): line.split() for line in out.splitlines()}
        assert set(lines) == {"one", "inner", "gr\u00fc\u00df e"}, out
        assert lines["one"][0] == "-rw-r--r--" and lines["one"][2:5] == ["1000", "1000", "1"], out
        assert lines["inner"][0].startswith("d"), out
        out = run(tool("nfs-ls"), "-R", s.url()).decode()
        assert "two" in out, out


def test_cp_and_cat():
    with Server() as s:
        source, back = os.path.join(s.d.dir, "source"), os.path.join(s.d.dir, "back")
        data = random.Random(5).randbytes(5 * 1024 * 1024 + 3)
        with open(source, "wb") as f:
            f.write(data[:3000])  # libnfs 4.0.0 cannot encode longer calls of version 4
        run(tool("nfs-cp"), source, s.url("sent"))
        with open(s.folder + "/sent", "rb") as f:
            assert f.read() == data[:3000]
        assert os.stat(s.folder + "/sent").st_uid == 1000
        with open(s.folder + "/copy", "wb") as f:
            f.write(data)
        run("nfs-cp", s.url("copy"), back)
        with open(back, "rb") as f:
            assert f.read() == data
        assert run(tool("nfs-cat"), s.url("copy")) == data


def test_permissions_are_the_servers():
    with Server() as s:
        with open(s.folder + "/secret", "w") as f:
            f.write("for 1000 only")
        os.chown(s.folder + "/secret", 1000, 1000)
        os.chmod(s.folder + "/secret", 0o600)
        assert run(tool("nfs-cat"), s.url("secret")) == b"for 1000 only"
        r = subprocess.run(["nfs-cat", s.url("secret", uid=1001)], capture_output=True, timeout=60)
        assert b"for 1000" not in r.stdout and r.returncode != 0, r
        # What was just read is gone with the share.
        call_verb(s.d.control, "share.disable", name="share")
        r = subprocess.run(["nfs-ls", s.url()], capture_output=True, timeout=60)
        assert b"secret" not in r.stdout and r.returncode != 0, r


def test_program():
    if not PROGRAM:
        tap.skip("built without libnfs (Debian: libnfs-dev)")
    with Server() as s:
        # libnfs leaks its client's name, and the handles of files that it cannot close after a lock.
        env = dict(os.environ, LIBNFS_URL=s.url(), ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
        out = subprocess.run([PROGRAM, "--tap"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=55)
        print("# " + out.stdout.rstrip().replace("\n", "\n# "))
        assert out.returncode == 0, out.returncode
        assert os.listdir(s.folder) == ["data"], os.listdir(s.folder)


if __name__ == "__main__":
    if not PROGRAM and not shutil.which("nfs-ls") or os.geteuid() != 0:
        print("1..0 # SKIP needs root and libnfs (Debian: libnfs-utils, libnfs-dev)")
        sys.exit(77)
    tap.main(globals())
