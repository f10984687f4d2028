#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A directory of a million entries lists completely, every name once, also when the server is killed in the middle and the
client goes on with the cookie it had: test-huge.py. LARES_ENTRIES: another number.

Spec: RFC 7530 16.24, RFC 8881 18.23"""

import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
from laresd import Laresd  # noqa: E402
from lares_server import call_verb  # noqa: E402
from nfsraw import Client40, Conn  # noqa: E402
from nfs4ops import getfh, lookup, putfh, putrootfh, readdir  # noqa: E402

ENTRIES = int(os.environ.get("LARES_ENTRIES", "1000000"))
LINKS = 60000  # ext4 has 65,000 of one file at most
PLAIN = ("mounted_on_fileid",)  # what the directory itself knows
LOOKED = ("type", "fileid", "filehandle")
MODULES = {"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "0"}}


def fill(folder):
    """Names for few files: a link is made faster than a file. Their inodes by name are of the one that has the name."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for i in range(0, ENTRIES, LINKS):
        os.close(os.open(b"%08d" % i, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
        for k in range(i + 1, min(i + LINKS, ENTRIES)):
            os.link(b"%08d" % i, b"%08d" % k, src_dir_fd=fd, dst_dir_fd=fd)
    os.close(fd)
    os.sync()  # else whoever writes next, the server at its start, waits for all of it


def page(conn, fh, cookie, attrs):
    """One READDIR: [(name, cookie, attributes as they are)], the end? Taken apart here: a million objects would take longer
    than the server does."""
    r = conn.call(1, conn.pack_compound(0, [putfh(fh), readdir(cookie, maxcount=1 << 20, dircount=0, attrs=attrs)]))
    assert r.verdict == "SUCCESS", r
    body, out = r.body, []
    status, tag, n, *results = struct.unpack_from(">7I", body)
    assert (status, tag, n) == (0, 0, 2) and results == [22, 0, 26, 0], body[:40]
    at = 28 + 8  # behind the cookie verifier
    while body[at + 3]:
        cookie, n = struct.unpack_from(">QI", body, at + 4)
        name = body[at + 16:at + 16 + n]
        at += 16 + (n + 3 & ~3)
        words, = struct.unpack_from(">I", body, at)
        at += 4 + 4 * words
        size, = struct.unpack_from(">I", body, at)
        out.append((name, cookie, body[at + 4:at + 4 + size]))
        at += 4 + size
    return out, body[at + 7] == 1


class Listing:
    def __init__(self, server, fh):
        self.server, self.fh = server, fh
        self.names, self.cookie, self.eof, self.pages = set(), 0, False, 0

    def go(self, attrs, until=ENTRIES + 1, check=None):
        with Conn("127.0.0.1", self.server.port, timeout=60) as conn:
            while not self.eof and len(self.names) < until:
                entries, self.eof = page(conn, self.fh, self.cookie, attrs)
                before = len(self.names)
                self.names.update(e[0] for e in entries)
                assert len(self.names) == before + len(entries), "a name came twice"
                assert entries or self.eof, "neither entries nor the end"
                if check and entries:
                    check(entries[0])
                if entries:
                    self.cookie = entries[-1][1]
                self.pages += 1


def main():
    work = tempfile.mkdtemp(prefix="huge.")
    folder = os.path.join(work, "share")
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    began = time.monotonic()
    fill(folder)
    inode = {b"%08d" % i: os.stat(os.path.join(folder, "%08d" % i)).st_ino for i in range(0, ENTRIES, LINKS)}
    print("1..4\n# made in %.1f s" % (time.monotonic() - began), flush=True)
    try:
        with Laresd(MODULES) as d:
            call_verb(d.control, "share.create", name="share", path=folder, sec=["sys"], squash="none")
            with Conn("127.0.0.1", d.port) as c:
                fh = Client40(c).call(putrootfh(), lookup("share"), getfh()).ok().last.fh

            def right(entry):
                """type, the number that the name has, and a handle that begins as all do."""
                name, _, value = entry
                kind, length = struct.unpack_from(">II", value)
                number, = struct.unpack_from(">Q", value, 8 + (length + 3 & ~3))
                assert kind == 1 and number == inode[b"%08d" % (int(name) // LINKS * LINKS)], entry
                assert value[8:10] == b"\1\0", entry

            began = time.monotonic()
            whole = Listing(d, fh)
            whole.go(PLAIN)
            assert whole.eof and len(whole.names) == ENTRIES, len(whole.names)
            print("ok 1 - %d names, each once\n# %.1f s, %d pages" % (ENTRIES, time.monotonic() - began, whole.pages), flush=True)

            halves = Listing(d, fh)
            began = time.monotonic()
            halves.go(LOOKED, until=ENTRIES // 2, check=right)
            assert not halves.eof and ENTRIES // 2 <= len(halves.names) < ENTRIES, len(halves.names)
            print("ok 2 - half of them with attributes and handles\n# %.1f s" % (time.monotonic() - began), flush=True)
            d.kill()
            d.start()
            halves.go(LOOKED, check=right)
            assert halves.eof and halves.names == whole.names, len(halves.names)
            print("ok 3 - the rest after the server was killed and came back", flush=True)
            with open("/proc/%d/status" % d.pid) as f:
                rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
            print("# %d kB" % rss)
            assert rss < 128 * 1024, rss
            print("ok 4 - and nothing of it is kept in memory", flush=True)
    finally:
        subprocess.run(["rm", "-rf", work], check=False)
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
