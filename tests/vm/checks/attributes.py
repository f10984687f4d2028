# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attributes and who may do what: modes, owners, times, ACLs, extended attributes, several users."""

import errno
import os
import shutil
import stat
import subprocess
import time

from . import NotOffered, Skip, check, expect, read_file, refused, write_file

TEAM = 4200
DOMAIN = "lares.test"


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@check("mode/chmod")
def chmod(ctx):
    write_file(ctx.path("f"), b"x")
    for mode in (0o600, 0o644, 0o444, 0o777, 0o4755, 0o2755, 0o1777, 0o000, 0o640):
        os.chmod(ctx.path("f"), mode)
        expect(oct(mode_of(ctx.path("f"))), oct(mode))
        expect(oct(mode_of(ctx.other("f"))), oct(mode), "through the second mount")
    os.mkdir(ctx.path("d"))
    os.chmod(ctx.path("d"), 0o3770)
    expect(oct(mode_of(ctx.other("d"))), oct(0o3770))


@check("mode/umask")
def umask(ctx):
    for mask in (0o022, 0o077, 0o002, 0o027, 0o000):
        os.umask(mask)
        os.close(os.open(ctx.path(f"f{mask}"), os.O_CREAT | os.O_WRONLY, 0o666))
        os.close(os.open(ctx.path(f"x{mask}"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o777))
        os.mkdir(ctx.path(f"d{mask}"), 0o777)
        os.mkfifo(ctx.path(f"p{mask}"), 0o666)
        found = [oct(mode_of(ctx.other(f"{kind}{mask}"))) for kind in "fxdp"]
        expect(found, [oct(m & ~mask) for m in (0o666, 0o777, 0o777, 0o666)], f"umask {mask:o}")


@check("mode/access")
def access(ctx):
    write_file(ctx.path("f"), b"x")
    os.chmod(ctx.path("f"), 0o400)
    expect((os.access(ctx.path("f"), os.R_OK), os.access(ctx.path("f"), os.W_OK), os.access(ctx.path("f"), os.X_OK)),
           (True, False, False))
    refused(errno.EACCES, os.open, ctx.path("f"), os.O_WRONLY)
    os.chmod(ctx.path("f"), 0o000)
    refused(errno.EACCES, os.open, ctx.path("f"), os.O_RDONLY)
    os.chmod(ctx.path("f"), 0o200)
    fd = os.open(ctx.path("f"), os.O_WRONLY)
    os.write(fd, b"only write")
    os.close(fd)
    os.mkdir(ctx.path("d"))
    write_file(ctx.path("d/in"), b"")
    os.chmod(ctx.path("d"), 0o500)
    refused(errno.EACCES, os.open, ctx.path("d/new"), os.O_CREAT | os.O_WRONLY)
    refused(errno.EACCES, os.unlink, ctx.path("d/in"))
    os.chmod(ctx.path("d"), 0o600)
    refused(errno.EACCES, os.stat, ctx.path("d/in"))
    os.chmod(ctx.path("d"), 0o700)
    # The creator may write through the descriptor that made the file, whatever its mode.
    fd = os.open(ctx.path("ro"), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o400)
    os.write(fd, b"still")
    os.close(fd)
    expect(read_file(ctx.path("ro")), b"still")


@check("mode/exec")
def execute(ctx):
    shutil.copy("/bin/busybox", ctx.path("busybox"))
    os.chmod(ctx.path("busybox"), 0o755)
    ctx.drop_caches()
    expect(subprocess.run([ctx.path("busybox"), "echo", "ran"], stdout=subprocess.PIPE, check=True).stdout, b"ran\n")
    os.chmod(ctx.path("busybox"), 0o644)
    refused(errno.EACCES, subprocess.run, [ctx.path("busybox"), "true"], check=False)


@check("owner/self")
def owner_self(ctx):
    write_file(ctx.path("f"), b"x")
    found = os.stat(ctx.other("f"))
    expect((found.st_uid, found.st_gid), (os.getuid(), os.getgid()), "owner of a new file")
    os.chown(ctx.path("f"), -1, TEAM)
    expect(os.stat(ctx.other("f")).st_gid, TEAM, "own second group")
    os.chown(ctx.path("f"), os.getuid(), -1)
    refused(errno.EPERM, os.chown, ctx.path("f"), 4102, -1)
    refused(errno.EPERM, os.chown, ctx.path("f"), -1, 4102)
    os.chmod(ctx.path("f"), 0o6755)
    os.chown(ctx.path("f"), -1, os.getgid())
    expect(mode_of(ctx.other("f")) & 0o4000, 0, "set-user-id is cleared by chown")


@check("owner/root", root=True)
def owner_root(ctx):
    if ctx.sec != "sys":
        raise Skip("root is the machine here")
    ctx.run_as("alice", write_file, ctx.path("f"), b"x")
    try:
        os.chown(ctx.path("f"), 4102, TEAM)
    except PermissionError:
        raise Skip("root is squashed") from None
    found = os.stat(ctx.other("f"))
    expect((found.st_uid, found.st_gid), (4102, TEAM))
    ctx.run_as("bob", os.chmod, ctx.path("f"), 0o600)
    ctx.run_as("alice", refused, errno.EACCES, os.open, ctx.path("f"), os.O_RDONLY)


@check("users/private", root=True)
def users_private(ctx):
    def make():
        os.mkdir(ctx.path("d"), 0o700)
        write_file(ctx.path("d/f"), b"secret")
        write_file(ctx.path("readable"), b"open")
        write_file(ctx.path("hidden"), b"closed")
        os.chmod(ctx.path("hidden"), 0o600)
        # What alice has in her cache must not open a door for bob.
        read_file(ctx.path("hidden"))

    def look():
        refused(errno.EACCES, os.listdir, ctx.path("d"))
        refused(errno.EACCES, os.stat, ctx.path("d/f"))
        refused(errno.EACCES, os.open, ctx.path("hidden"), os.O_RDONLY)
        expect(read_file(ctx.path("readable")), b"open")
        refused(errno.EACCES, os.open, ctx.path("readable"), os.O_WRONLY)
        refused(errno.EPERM, os.chmod, ctx.path("readable"), 0o777)
        refused((errno.EPERM, errno.EACCES), os.utime, ctx.path("readable"), ns=(1, 1))
        refused(errno.EACCES, os.unlink, ctx.path("readable"))

    ctx.run_as("alice", make)
    ctx.run_as("bob", look)


@check("users/group", root=True)
def users_group(ctx):
    def make():
        os.mkdir(ctx.path("shared"))
        os.chown(ctx.path("shared"), -1, TEAM)
        os.chmod(ctx.path("shared"), 0o2770)
        os.umask(0o007)
        os.close(os.open(ctx.path("shared/f"), os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir(ctx.path("shared/sub"))

    def work():
        for path in ("shared/f", "shared/sub"):
            expect(os.stat(ctx.path(path)).st_gid, TEAM, "group comes from the folder")
        expect(mode_of(ctx.path("shared/sub")) & 0o2000, 0o2000, "and so does set-group-id")
        write_file(ctx.path("shared/f"), b"bob was here")
        os.rename(ctx.path("shared/f"), ctx.path("shared/sub/f"))

    ctx.run_as("alice", make)
    ctx.run_as("bob", work)
    expect(ctx.run_as("alice", read_file, ctx.path("shared/sub/f")), b"bob was here")


@check("users/sticky", root=True)
def users_sticky(ctx):
    def make():
        os.mkdir(ctx.path("tmp"))
        os.chmod(ctx.path("tmp"), 0o1777)
        write_file(ctx.path("tmp/alice"), b"")

    def work():
        write_file(ctx.path("tmp/bob"), b"")
        refused((errno.EPERM, errno.EACCES), os.unlink, ctx.path("tmp/alice"))
        refused((errno.EPERM, errno.EACCES), os.rename, ctx.path("tmp/alice"), ctx.path("tmp/mine"))
        os.unlink(ctx.path("tmp/bob"))

    ctx.run_as("alice", make)
    ctx.run_as("bob", work)


@check("times/set")
def set_times(ctx):
    write_file(ctx.path("f"), b"x")
    for nanos in (1_234_567_890_123_456_789, 0, 4_102_444_800_000_000_001, -86_400_000_000_000):
        os.utime(ctx.path("f"), ns=(nanos + 1_000_000_000, nanos))
        found = os.stat(ctx.other("f"))
        expect((found.st_atime_ns, found.st_mtime_ns), (nanos + 1_000_000_000, nanos))
    before = time.time()
    os.utime(ctx.path("f"))
    found = os.stat(ctx.other("f"))
    expect(abs(found.st_mtime - before) < 30 and abs(found.st_atime - before) < 30, True, f"now: {found.st_mtime}, {before}")
    os.mkdir(ctx.path("d"))
    os.utime(ctx.path("d"), ns=(5, 6))
    expect(os.stat(ctx.other("d")).st_mtime_ns, 6, "of a folder")


@check("times/symlink")
def symlink_times(ctx):
    os.symlink("f", ctx.path("l"))
    os.utime(ctx.path("l"), ns=(7_000_000_000, 8_000_000_000), follow_symlinks=False)
    expect(os.lstat(ctx.other("l")).st_mtime_ns, 8_000_000_000)


@check("statfs")
def statfs(ctx):
    found = os.statvfs(ctx.dir)
    expect(found.f_blocks >= found.f_bfree >= found.f_bavail > 0, True, f"blocks {found}")
    expect(found.f_files >= found.f_ffree > 0, True, f"files {found}")
    expect(found.f_namemax, 255)
    before = found.f_bfree * found.f_frsize
    size = (2 if ctx.quick else 8) << 20
    write_file(ctx.path("f"), os.urandom(size))
    expect(os.stat(ctx.other("f")).st_blocks * 512 >= size, True, "space used by the file")
    expect(before > size, True)


@check("inode/stable")
def inodes(ctx):
    for name in ("a", "b"):
        write_file(ctx.path(name), b"x")
    first = {n: os.stat(ctx.path(n)).st_ino for n in ("a", "b")}
    expect(first["a"] != first["b"], True)
    ctx.drop_caches()
    expect({e.name: e.inode() for e in os.scandir(ctx.dir)}, first, "READDIR")
    expect({n: os.stat(ctx.other(n)).st_ino for n in ("a", "b")}, first, "LOOKUP")
    expect(os.stat(ctx.path("a")).st_dev, os.stat(ctx.dir).st_dev)


def acl_tool(*args):
    if not shutil.which("nfs4_getfacl"):
        raise Skip("nfs4-acl-tools is not installed")
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if "not supported" in done.stdout:
        raise NotOffered("ACLs")
    expect(done.returncode, 0, f"{' '.join(args)}: {done.stdout.strip()}")
    return done.stdout.split("\n")


@check("acl/read")
def acl_read(ctx):
    write_file(ctx.path("f"), b"x")
    os.chmod(ctx.path("f"), 0o640)
    entries = [e for e in acl_tool("nfs4_getfacl", ctx.path("f")) if e and not e.startswith("#")]
    def rights(who):
        return set("".join(e.split(":")[3] for e in entries if e.startswith("A:") and e.split(":")[2] == who))
    expect({"r", "w"} <= rights("OWNER@"), True, f"owner of 0640: {entries}")
    expect(rights("GROUP@") & set("rwx"), {"r"}, f"group of 0640: {entries}")
    expect(rights("EVERYONE@") & set("rwx"), set(), f"others of 0640: {entries}")


@check("acl/write", root=True)
def acl_write(ctx):
    def grant():
        write_file(ctx.path("f"), b"for bob")
        os.chmod(ctx.path("f"), 0o600)
        acl_tool("nfs4_setfacl", "-a", f"A::bob@{DOMAIN}:r", ctx.path("f"))
        entries = acl_tool("nfs4_getfacl", ctx.path("f"))
        expect(any(e.startswith(("A::bob@", "A::4102:")) and "r" in e.split(":")[3] for e in entries), True, f"{entries}")
        expect(os.stat(ctx.path("f")).st_mode & 0o007, 0, "others still have nothing")

    def revoke():
        os.chmod(ctx.path("f"), 0o600)

    ctx.run_as("alice", grant)
    expect(ctx.run_as("bob", read_file, ctx.path("f")), b"for bob")
    ctx.run_as("bob", refused, errno.EACCES, os.open, ctx.path("f"), os.O_WRONLY)
    ctx.run_as("alice", revoke)
    ctx.run_as("bob", refused, errno.EACCES, os.open, ctx.other("f"), os.O_RDONLY)


@check("acl/inherit")
def acl_inherit(ctx):
    os.mkdir(ctx.path("d"))
    acl_tool("nfs4_setfacl", "-a", f"A:fd:bob@{DOMAIN}:rx", ctx.path("d"))
    write_file(ctx.path("d/f"), b"")
    os.mkdir(ctx.path("d/sub"))
    for name in ("d/f", "d/sub"):
        entries = acl_tool("nfs4_getfacl", ctx.path(name))
        expect(any(("bob@" in e or ":4102:" in e) and e.startswith("A") for e in entries), True, f"{name}: {entries}")


def xattr(function, *args):
    try:
        return function(*args)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise NotOffered("extended attributes (RFC 8276)") from None
        raise


def user_names(path):
    return sorted(n for n in os.listxattr(path) if n.startswith("user."))


@check("xattr/basic", since=2)
def xattr_basic(ctx):
    write_file(ctx.path("f"), b"x")
    xattr(os.setxattr, ctx.path("f"), "user.one", b"first")
    os.setxattr(ctx.path("f"), "user.two", b"\0binary\xff")
    os.setxattr(ctx.path("f"), "user.empty", b"")
    expect(os.getxattr(ctx.path("f"), "user.one"), b"first")
    expect(os.getxattr(ctx.other("f"), "user.two"), b"\0binary\xff", "through the second mount")
    expect(os.getxattr(ctx.other("f"), "user.empty"), b"")
    expect(user_names(ctx.other("f")), ["user.empty", "user.one", "user.two"])
    os.setxattr(ctx.path("f"), "user.one", b"replaced")
    expect(os.getxattr(ctx.other("f"), "user.one"), b"replaced")
    os.removexattr(ctx.path("f"), "user.two")
    refused(errno.ENODATA, os.getxattr, ctx.path("f"), "user.two")
    refused(errno.ENODATA, os.removexattr, ctx.path("f"), "user.two")
    expect(user_names(ctx.other("f")), ["user.empty", "user.one"])


@check("xattr/flags-limits", since=2)
def xattr_flags(ctx):
    os.mkdir(ctx.path("d"))
    xattr(os.setxattr, ctx.path("d"), "user.a", b"1", os.XATTR_CREATE)
    refused(errno.EEXIST, os.setxattr, ctx.path("d"), "user.a", b"2", os.XATTR_CREATE)
    refused(errno.ENODATA, os.setxattr, ctx.path("d"), "user.b", b"2", os.XATTR_REPLACE)
    os.setxattr(ctx.path("d"), "user.a", b"3", os.XATTR_REPLACE)
    expect(os.getxattr(ctx.other("d"), "user.a"), b"3")
    os.setxattr(ctx.path("d"), "user.big", b"v" * 2000)
    expect(os.getxattr(ctx.other("d"), "user.big"), b"v" * 2000)
    refused((errno.E2BIG, errno.ENOSPC, errno.ERANGE), os.setxattr, ctx.path("d"), "user.huge", b"v" * 65537)
    names = [f"user.many-{i:03d}" for i in range(40)]
    for name in names:
        os.setxattr(ctx.path("d"), name, b"")
    expect(user_names(ctx.other("d")), sorted(names + ["user.a", "user.big"]))


@check("xattr/rights", since=2, root=True)
def xattr_rights(ctx):
    def make():
        write_file(ctx.path("f"), b"x")
        xattr(os.setxattr, ctx.path("f"), "user.a", b"1")
        os.chmod(ctx.path("f"), 0o644)

    ctx.run_as("alice", make)
    expect(ctx.run_as("bob", os.getxattr, ctx.path("f"), "user.a"), b"1")
    ctx.run_as("bob", refused, errno.EACCES, os.setxattr, ctx.path("f"), "user.a", b"2")
