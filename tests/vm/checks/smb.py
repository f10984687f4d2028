# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the battery does on an SMB mount (cifs.ko): checks of its own, and those of the NFS battery that hold there.

The rest of the NFS battery asks for what this client does not do over SMB 2 and 3 (6.1), whoever serves: modes and owners
(they come from the mount's options), FIFOs and device nodes, nanoseconds, empty extended attributes and
XATTR_CREATE, names with a backslash; unlocking a part of a range, turning a lock from exclusive to shared, dropping
locks when another descriptor of the file is closed, locks of one process against its own other descriptors (SMB locks
belong to a handle and are mandatory, which is also why SQLite needs "nobrl"); stat() of a name that was removed
while open; st_blocks of what it wrote itself; replacing a folder that is not empty says EACCES.
"""

import ctypes
import errno
import fcntl
import filecmp
import mmap
import os
import re
import shutil
import struct
import subprocess
import time

from . import check, expect, pattern, read_file, refused, write_file
from .data import MIB
from .locks import BUSY, EX, NB, SH, UN, Peer, busy
from .programs import make_tree

FS_IOC_FIEMAP = 0xC020660B

# Of the NFS battery.
WHOLE = """inode/stable data/odd-sizes data/large data/random-operations data/truncate data/append data/mmap data/direct data/sync
data/close-to-open data/two-writers holes/punch holes/read-sparse copy/clone lock/high-offsets lock/blocking lock/died lock/mode
dir/make-remove dir/list rename/basic rename/same-file rename/while-open link/hard link/symbolic open/removed-elsewhere names/length
tree/tar tree/many-files program/git program/editor""".split()
# What each version and flavor shows in a few seconds; of this file too.
QUICK = """smb/tree smb/rename-folders smb/locks smb/seek smb/copy smb/xattr smb/acl data/mmap rename/while-open""".split()


def stats(name):
    """The sum of one count over all SMB mounts, from the kernel."""
    with open("/proc/fs/cifs/Stats", encoding="ascii", errors="replace") as text:
        return sum(int(n) for n in re.findall(rf"^{name}: (\d+) total", text.read(), re.M))


def describe(top):
    """{path: kind, link or size, times as fine as SMB has them, number of names} of a tree."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            if os.path.islink(path):
                row = ["link", os.readlink(path)]
            elif os.path.isdir(path):
                row = ["folder"]
            else:
                row = ["file", info.st_size, info.st_mtime_ns // 100, info.st_nlink]
            found[os.path.relpath(path, top)] = row
    return found


@check("smb/tree", limit=120, smb=True)
def tree(ctx):
    local = f"/tmp/tree.{os.getpid()}"
    make_tree(local, 12 if ctx.quick else 100)
    try:
        subprocess.run(["cp", "-a", local, ctx.path("tree")], check=True)
        ctx.drop_caches()
        wanted, found = describe(local), describe(ctx.path("tree"))
        expect(sorted(found), sorted(wanted), "names")
        for path, row in wanted.items():
            expect(found[path], row, path)
            if row[0] == "file":
                expect(filecmp.cmp(os.path.join(local, path), ctx.path("tree", path), shallow=False), True, path)
        expect(describe(ctx.other("tree")), wanted, "through the second mount")
        subprocess.run(["rm", "-r", ctx.path("tree")], check=True)
        expect(os.listdir(ctx.other()), [])
    finally:
        shutil.rmtree(local)


@check("smb/rename-folders", smb=True)
def rename_folders(ctx):
    for name in ("from/sub", "to", "full/x"):
        os.makedirs(ctx.path(name))
    write_file(ctx.path("from/f"), b"in")
    write_file(ctx.path("one"), b"1")
    write_file(ctx.path("two"), b"2")
    os.rename(ctx.path("one"), ctx.path("two"))
    expect((read_file(ctx.other("two")), os.path.exists(ctx.other("one"))), (b"1", False), "over a file")
    os.rename(ctx.path("from"), ctx.path("to"))
    expect(read_file(ctx.path("to/f")), b"in", "over an empty folder")
    refused((errno.ENOTEMPTY, errno.EEXIST, errno.EACCES), os.rename, ctx.path("to"), ctx.path("full"))
    refused(errno.EINVAL, os.rename, ctx.path("to"), ctx.path("to/sub/x"))
    os.rename(ctx.path("to"), ctx.path("full/to"))
    expect(read_file(ctx.other("full/to/f")), b"in", "into another folder")
    expect(sorted(os.listdir(ctx.other())), ["full", "two"])


@check("smb/locks", smb=True)
def locks(ctx):
    """Ranges and whole files, between two mounts that are two clients to the server."""
    write_file(ctx.path("f"), b"x" * 1000)
    fd = os.open(ctx.path("f"), os.O_RDWR)
    peer = Peer()
    expect(peer("open", "p", ctx.other("f"), os.O_RDWR), 0)
    fcntl.lockf(fd, EX | NB, 100, 100)
    busy(peer("lock", "p", EX | NB, 100, 100), "same range")
    busy(peer("lock", "p", SH | NB, 1, 199), "last byte, shared")
    expect(peer("lock", "p", EX | NB, 100, 0), 0, "range before")
    refused(BUSY, fcntl.lockf, fd, SH | NB, 1, 99)
    fcntl.lockf(fd, UN, 100, 100)
    expect(peer("lock", "p", EX | NB, 100, 100), 0, "after it was given back")
    expect(peer("lock", "p", UN, 0, 0), 0)
    fcntl.lockf(fd, SH | NB, 50, 0)
    expect(peer("lock", "p", SH | NB, 50, 0), 0, "two readers")
    busy(peer("lock", "p", EX | NB, 50, 0), "a writer among readers")
    expect(peer("lock", "p", UN, 0, 0), 0)
    fcntl.lockf(fd, UN, 0, 0)
    fcntl.flock(fd, EX | NB)
    busy(peer("flock", "p", EX | NB), "flock")
    busy(peer("flock", "p", SH | NB), "shared flock")
    fcntl.flock(fd, UN)
    expect(peer("flock", "p", EX | NB), 0, "flock after it was given back")
    peer.end()
    fcntl.flock(fd, EX | NB)


@check("smb/seek", smb=True)
def seek(ctx):
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, pattern(65536), 0)
    os.pwrite(fd, pattern(65536), 4 * MIB)
    os.ftruncate(fd, 8 * MIB)
    os.fsync(fd)
    expect(os.lseek(fd, 0, os.SEEK_DATA), 0)
    hole = os.lseek(fd, 0, os.SEEK_HOLE)
    expect(65536 <= hole <= MIB, True, f"first hole at {hole}")
    data = os.lseek(fd, hole, os.SEEK_DATA)
    expect(hole < data <= 4 * MIB, True, f"second data at {data}")
    last = os.lseek(fd, 4 * MIB, os.SEEK_HOLE)
    expect(4 * MIB + 65536 <= last < 8 * MIB, True, f"last hole at {last}")
    refused(errno.ENXIO, os.lseek, fd, last, os.SEEK_DATA)
    refused(errno.ENXIO, os.lseek, fd, 8 * MIB, os.SEEK_HOLE)
    os.close(fd)
    expect(os.stat(ctx.other("f")).st_blocks * 512 < 4 * MIB, True, "space used by a file of holes")


def extents(fd, room):
    """[(offset, length)] that FIEMAP tells, asked in one call with room for that many."""
    head = struct.Struct("=QQIIII")
    row = struct.Struct("=QQQQQIIII")
    area = bytearray(head.size + room * row.size)
    head.pack_into(area, 0, 0, 2**64 - 1, 0, 0, room, 0)
    fcntl.ioctl(fd, FS_IOC_FIEMAP, area)
    mapped = head.unpack_from(area)[3]
    return [(r[0], r[2]) for r in (row.unpack_from(area, head.size + i * row.size) for i in range(mapped))]


@check("smb/many-extents", limit=120, smb=True)
def many_extents(ctx):
    """More ranges than one answer holds: the server gives the first ones and says that there are more."""
    count = 1300
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    page = mmap.mmap(-1, 4096)
    page[:] = b"d" * 4096
    os.ftruncate(fd, count * 65536)
    for number in range(count):
        os.pwritev(fd, [page], number * 65536)
    os.fsync(fd)
    found = extents(fd, 2 * count)
    expect(len(found), count, "ranges")
    expect([offset for offset, _ in found], [n * 65536 for n in range(count)], "where they begin")
    at = 0
    for number in range(40):
        at = os.lseek(fd, at, os.SEEK_HOLE)
        expect(at, number * 65536 + 4096)
        at = os.lseek(fd, at, os.SEEK_DATA)
        expect(at, (number + 1) * 65536)


@check("smb/copy", limit=90, smb=True)
def server_side_copy(ctx):
    data = pattern((1 if ctx.quick else 3) * MIB + 100_077)
    write_file(ctx.path("a"), data)
    ctx.drop_caches()
    source = os.open(ctx.path("a"), os.O_RDONLY)
    target = os.open(ctx.path("b"), os.O_RDWR | os.O_CREAT, 0o644)
    before = stats("Writes"), stats("Reads")
    done = 0
    while done < len(data):
        part = os.copy_file_range(source, target, len(data) - done)
        expect(part > 0, True, f"progress at {done}")
        done += part
    os.fsync(target)
    expect((stats("Writes"), stats("Reads")), before, "no data crossed the network")
    os.close(target)
    expect(read_file(ctx.path("b")) == data, True, "whole file")
    expect(read_file(ctx.other("b")) == data, True, "through the second mount")
    target = os.open(ctx.path("c"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(target, b"x" * 10000, 0)
    expect(os.copy_file_range(source, target, 5000, 700_003, 2_000), 5000)
    expect(os.pread(target, 20000, 0), b"x" * 2000 + data[700_003:705_003] + b"x" * 3000, "range into a file")


@check("smb/xattr", smb=True)
def xattr(ctx):
    os.mkdir(ctx.path("d"))
    write_file(ctx.path("f"), b"x")
    for name in ("f", "d"):
        path, other = ctx.path(name), ctx.other(name)
        os.setxattr(path, "user.one", b"first")
        os.setxattr(path, "user.two", b"\0binary\xff")
        os.setxattr(path, "user.big", b"v" * 3000)
        expect(os.getxattr(path, "user.one"), b"first")
        expect(os.getxattr(other, "user.two"), b"\0binary\xff", "through the second mount")
        expect(os.getxattr(other, "user.big"), b"v" * 3000)
        os.setxattr(path, "user.one", b"replaced")
        expect(os.getxattr(other, "user.one"), b"replaced")
        os.removexattr(path, "user.two")
        refused(errno.ENODATA, os.getxattr, path, "user.two")
        listed = [n.lower() for n in os.listxattr(other) if n.lower().startswith("user.")]
        expect(sorted(listed), ["user.big", "user.one"])


def acl_of(path):
    done = subprocess.run(["getcifsacl", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith(("OWNER", "GROUP", "ACL:"))]


@check("smb/acl", smb=True)
def acl(ctx):
    for name in ("f", "d"):
        path = ctx.path(name)
        if name == "d":
            os.mkdir(path)
        else:
            write_file(path, b"x")
        first = acl_of(path)
        expect([line.split(":")[0] for line in first[:2]], ["OWNER", "GROUP"])
        expect(len([line for line in first if line.startswith("ACL:")]) >= 1, True, f"{first}")
        extra = "ACL:S-1-5-11:ALLOWED/0x0/READ"  # authenticated users
        subprocess.run(["setcifsacl", "-a", extra, path], check=True)
        expect(sorted(acl_of(path)), sorted(first + [extra]), "with one more entry")
        expect(sorted(acl_of(ctx.other(name))), sorted(first + [extra]), "through the second mount")
        subprocess.run(["setcifsacl", "-M", "ACL:S-1-5-11:ALLOWED/0x0/CHANGE", path], check=True)
        expect([line for line in acl_of(path) if ":S-1-5-11:" in line], ["ACL:S-1-5-11:ALLOWED/0x0/CHANGE"], "changed")
        subprocess.run(["setcifsacl", "-D", "ACL:S-1-5-11:ALLOWED/0x0/CHANGE", path], check=True)
        expect(acl_of(path), first, "as before")
        # All of it as bytes.
        raw = os.getxattr(path, "system.cifs_acl")
        os.setxattr(path, "system.cifs_acl", raw)
        expect(acl_of(path), first, "written back")


@check("smb/names", smb=True)
def names(ctx):
    """Other scripts, and what Windows cannot show: characters, endings and devices' names."""
    made = ["Größe", "日本語ファイル", "e\u0301", "\u00e9", "emoji-\U0001f600", "with space", "MixedCase", "a:b", "*?", "<less>",
            "pipe|", 'quote"', "tab\there", "new\nline", "end.", "end ", "CON", "NUL.txt", "aux", "COM1", "-rf", "~tilde~1"]
    for name in made:
        write_file(ctx.path(name), name.encode())
    ctx.drop_caches()
    # The server lists devices' names so that Windows can show them too; both spellings open the file.
    listed = {"CON": "CON\uf02b", "NUL.txt": "NUL\uf02b.txt", "aux": "aux\uf02b", "COM1": "COM1\uf02b"}
    expect(sorted(os.listdir(ctx.dir)), sorted(listed.get(name, name) for name in made))
    for name in made:
        expect(read_file(ctx.other(name)), name.encode(), name)
        expect(read_file(ctx.path(listed.get(name, name))), name.encode(), name)
    expect(read_file(ctx.path("mixedCASE")), b"MixedCase", "whatever the case")
    os.rename(ctx.path("a:b"), ctx.path("c:d."))
    os.mkdir(ctx.path("folder:1 "))
    write_file(ctx.path("folder:1 ", "in?"), b"in")
    expect(sorted(os.listdir(ctx.other("folder:1 "))), ["in?"])
    expect(read_file(ctx.other("c:d.")), b"a:b")
    refused(errno.ENOENT, os.stat, ctx.path("a:b"))


def birth_time(path):
    out = subprocess.run(["stat", "-c", "%W", path], stdout=subprocess.PIPE, check=True, text=True).stdout
    return int(out)


@check("smb/times", smb=True)
def times(ctx):
    write_file(ctx.path("f"), b"x")
    born = birth_time(ctx.path("f"))
    expect(abs(born - time.time()) < 60, True, f"made at {born}")
    for nanos in (1_234_567_890_123_456_700, 4_102_444_800_000_000_100, -86_400_000_000_000, 1_000_000_000):
        os.utime(ctx.path("f"), ns=(nanos + 1_000_000_000, nanos))
        found = os.stat(ctx.other("f"))
        expect((found.st_atime_ns, found.st_mtime_ns), (nanos + 1_000_000_000, nanos))
    expect(birth_time(ctx.path("f")), born, "when it was made")
    os.mkdir(ctx.path("d"))
    os.utime(ctx.path("d"), ns=(5_000_000_000, 6_000_000_000))
    expect(os.stat(ctx.other("d")).st_mtime, 6, "of a folder")
    # Writing moves it.
    write_file(ctx.path("f"), b"new")
    ctx.drop_caches()
    expect(abs(os.stat(ctx.other("f")).st_mtime - time.time()) < 60, True)


@check("smb/statfs", smb=True)
def statfs(ctx):
    found = os.statvfs(ctx.dir)
    expect(found.f_blocks >= found.f_bfree >= found.f_bavail > 0, True, f"blocks {found}")
    expect(found.f_namemax, 255)
    write_file(ctx.path("f"), os.urandom(4 * MIB))
    expect(os.stat(ctx.other("f")).st_blocks * 512 >= 4 * MIB, True, "space used by the file")


@check("smb/fallocate", smb=True, since=2)
def fallocate(ctx):
    """The modes this client sends: zero range, and holes with the size kept (holes/punch)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    data = bytearray(pattern(MIB))
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, data, 0)
    os.fsync(fd)
    expect(libc.fallocate(fd, 0x10, 70_000, 200_000), 0, "zero range")
    data[70_000:270_000] = bytes(200_000)
    expect(os.pread(fd, MIB, 0) == data, True, "zeros")
    expect(libc.fallocate(fd, 0, MIB, MIB), 0, "to the end")
    expect(os.fstat(fd).st_size, 2 * MIB, "size grows")
    os.close(fd)
    ctx.drop_caches()
    expect(read_file(ctx.other("f")) == data + bytes(MIB), True, "through the second mount")


def fits(entry, quick):
    """Does the check belong on an SMB mount?"""
    if quick:
        return entry.name in QUICK
    return entry.smb or entry.name in WHOLE
