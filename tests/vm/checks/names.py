# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names and directories: create, rename, link, symlink, list, remove."""

import errno
import os
import socket
import stat
import threading

from . import Skip, check, expect, read_file, refused, write_file


@check("dir/make-remove")
def make_remove(ctx):
    os.mkdir(ctx.path("d"))
    os.mkdir(ctx.path("d/sub"))
    refused(errno.EEXIST, os.mkdir, ctx.path("d"))
    refused((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, ctx.path("d"))
    write_file(ctx.path("f"), b"x")
    refused(errno.ENOTDIR, os.rmdir, ctx.path("f"))
    refused(errno.EEXIST, os.mkdir, ctx.path("f"))
    refused(errno.ENOTDIR, os.mkdir, ctx.path("f/x"))
    refused(errno.ENOENT, os.mkdir, ctx.path("none/x"))
    refused((errno.EISDIR, errno.EPERM), os.unlink, ctx.path("d"))
    refused(errno.EISDIR, os.open, ctx.path("d"), os.O_WRONLY)
    os.rmdir(ctx.path("d/sub"))
    os.rmdir(ctx.path("d"))
    refused(errno.ENOENT, os.stat, ctx.path("d"))
    refused(errno.ENOENT, os.stat, ctx.other("d"))


@check("dir/deep")
def deep(ctx):
    here = ctx.dir
    for level in range(40):
        here = os.path.join(here, f"level-{level}")
        os.mkdir(here)
    write_file(os.path.join(here, "f"), b"deep")
    ctx.drop_caches()
    expect(read_file(os.path.join(here, "f")), b"deep")
    up = os.path.join(here, *[".."] * 40)
    expect(os.stat(up).st_ino, os.stat(ctx.dir).st_ino, "inode through ..")
    expect(os.stat(ctx.path("level-0")).st_nlink, 3, "links of a folder with one subfolder")


@check("dir/list", limit=120)
def listing(ctx):
    count = 120 if ctx.quick else 1000
    names = {f"entry-{i:05d}-{'x' * (i % 60)}" for i in range(count)}
    for name in names:
        os.close(os.open(ctx.path(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    expect(sorted(os.listdir(ctx.dir)), sorted(names), "names")
    ctx.drop_caches()
    with os.scandir(ctx.other()) as entries:
        seen = [(e.name, e.is_file(follow_symlinks=False)) for e in entries]
    expect(len(seen), count, "entries through the second mount")
    expect({n for n, good in seen if good}, names)
    # Removing what was just listed must not hide what was not listed yet.
    left = set()
    with os.scandir(ctx.dir) as entries:
        for number, entry in enumerate(entries):
            if number % 2:
                os.unlink(entry.path)
            else:
                left.add(entry.name)
    expect(sorted(os.listdir(ctx.other())), sorted(left), "after removing every second one")


@check("dir/mixed-types")
def mixed_types(ctx):
    write_file(ctx.path("file"), b"")
    os.mkdir(ctx.path("dir"))
    os.symlink("file", ctx.path("link"))
    os.mkfifo(ctx.path("fifo"))
    ctx.drop_caches()
    with os.scandir(ctx.dir) as entries:
        kinds = {e.name: stat.S_IFMT(e.stat(follow_symlinks=False).st_mode) for e in entries}
    expect(kinds, {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK, "fifo": stat.S_IFIFO})


@check("rename/basic")
def rename_basic(ctx):
    a, b = ctx.path("a"), ctx.path("b")
    write_file(a, b"one")
    inode = os.stat(a).st_ino
    os.rename(a, b)
    refused(errno.ENOENT, os.stat, a)
    expect((os.stat(b).st_ino, read_file(b)), (inode, b"one"))
    write_file(a, b"two")
    os.rename(a, b)
    expect(read_file(b), b"two", "over an existing file")
    expect(os.listdir(ctx.dir), ["b"])
    expect(read_file(ctx.other("b")), b"two", "through the second mount")
    os.mkdir(ctx.path("d"))
    os.rename(b, ctx.path("d/c"))
    expect(read_file(ctx.path("d/c")), b"two", "into another folder")
    refused(errno.ENOENT, os.rename, a, b)


@check("rename/folders")
def rename_folders(ctx):
    for name in ("from/sub", "to", "full/x"):
        os.makedirs(ctx.path(name))
    write_file(ctx.path("from/f"), b"in")
    write_file(ctx.path("file"), b"f")
    os.rename(ctx.path("from"), ctx.path("to"))
    expect(read_file(ctx.path("to/f")), b"in", "over an empty folder")
    refused((errno.ENOTEMPTY, errno.EEXIST), os.rename, ctx.path("to"), ctx.path("full"))
    refused(errno.EISDIR, os.rename, ctx.path("file"), ctx.path("full"))
    refused(errno.ENOTDIR, os.rename, ctx.path("full"), ctx.path("file"))
    refused(errno.EINVAL, os.rename, ctx.path("to"), ctx.path("to/sub/x"))
    os.rename(ctx.path("to"), ctx.path("full/to"))
    expect(os.stat(ctx.path("full/to/..")).st_ino, os.stat(ctx.path("full")).st_ino, ".. after a move")
    expect(os.stat(ctx.dir).st_nlink, os.stat(ctx.other()).st_nlink, "links of the parent")


@check("rename/same-file")
def rename_same(ctx):
    write_file(ctx.path("a"), b"x")
    os.link(ctx.path("a"), ctx.path("b"))
    os.rename(ctx.path("a"), ctx.path("b"))
    expect(sorted(os.listdir(ctx.other())), ["a", "b"], "POSIX: nothing happens")


@check("rename/while-open")
def rename_open(ctx):
    write_file(ctx.path("target"), b"old")
    old = os.open(ctx.path("target"), os.O_RDONLY)
    new = os.open(ctx.path("new"), os.O_RDWR | os.O_CREAT, 0o644)
    os.write(new, b"new")
    os.rename(ctx.path("new"), ctx.path("target"))
    os.write(new, b"er")
    expect(os.pread(old, 10, 0), b"old", "the replaced file through its descriptor")
    os.close(old)
    os.close(new)
    expect(read_file(ctx.other("target")), b"newer")
    expect([n for n in os.listdir(ctx.other()) if n != "target"], [], "nothing is left over")


@check("link/hard")
def hard_links(ctx):
    write_file(ctx.path("a"), b"data")
    os.mkdir(ctx.path("d"))
    os.link(ctx.path("a"), ctx.path("d/b"))
    first, second = os.stat(ctx.path("a")), os.stat(ctx.path("d/b"))
    expect((first.st_ino, first.st_nlink), (second.st_ino, 2))
    refused(errno.EEXIST, os.link, ctx.path("a"), ctx.path("d/b"))
    refused((errno.EPERM, errno.EISDIR), os.link, ctx.path("d"), ctx.path("e"))
    write_file(ctx.path("d/b"), b"changed")
    expect(read_file(ctx.path("a")), b"changed")
    os.unlink(ctx.path("a"))
    expect(os.stat(ctx.other("d/b")).st_nlink, 1, "links left")


@check("link/symbolic")
def symlinks(ctx):
    write_file(ctx.path("f"), b"there")
    os.mkdir(ctx.path("d"))
    os.symlink("../f", ctx.path("d/rel"))
    os.symlink(ctx.path("f"), ctx.path("abs"))
    os.symlink("nowhere/at all", ctx.path("dangling"))
    long = "x/" * 500 + "end"
    os.symlink(long, ctx.path("long"))
    os.symlink("loop", ctx.path("loop"))
    ctx.drop_caches()
    expect(read_file(ctx.path("d/rel")), b"there")
    expect(read_file(ctx.path("abs")), b"there")
    expect(os.readlink(ctx.path("long")), long)
    expect(os.lstat(ctx.path("long")).st_size, len(long), "size of a link")
    expect(os.readlink(ctx.other("dangling")), "nowhere/at all")
    refused(errno.ENOENT, os.stat, ctx.path("dangling"))
    refused(errno.ELOOP, os.stat, ctx.path("loop"))
    refused(errno.EINVAL, os.readlink, ctx.path("f"))
    refused(errno.EEXIST, os.symlink, "x", ctx.path("f"))


@check("open/exclusive")
def exclusive(ctx):
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(ctx.path("f"), flags, 0o640))
    expect(stat.S_IMODE(os.stat(ctx.path("f")).st_mode), 0o640, "mode of an exclusive create")
    refused(errno.EEXIST, os.open, ctx.path("f"), flags)
    os.symlink("none", ctx.path("l"))
    refused(errno.EEXIST, os.open, ctx.path("l"), flags)
    # Nine runners for one name, half of them through a mount that shares no cache.
    for turn in range(4):
        wins = []

        def race(base, turn=turn, wins=wins):
            try:
                os.close(os.open(os.path.join(base, f"race{turn}"), flags, 0o600))
                wins.append(base)
            except FileExistsError:
                pass

        runners = [threading.Thread(target=race, args=((ctx.dir, ctx.other())[i % 2],)) for i in range(9)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
        expect(len(wins), 1, "winners of an exclusive create")


@check("open/unlinked")
def unlinked(ctx):
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"before ")
    os.unlink(ctx.path("f"))
    refused(errno.ENOENT, os.stat, ctx.path("f"))
    os.write(fd, b"after")
    os.fsync(fd)
    expect(os.pread(fd, 100, 0), b"before after")
    os.ftruncate(fd, 3)
    expect(os.fstat(fd).st_size, 3)
    os.close(fd)
    expect(os.listdir(ctx.other()), [], "nothing is left over")


@check("open/removed-elsewhere")
def removed_elsewhere(ctx):
    write_file(ctx.path("f"), b"x")
    fd = os.open(ctx.path("f"), os.O_RDONLY)
    os.unlink(ctx.other("f"))
    os.close(fd)
    refused(errno.ENOENT, os.open, ctx.path("f"), os.O_RDONLY)
    write_file(ctx.other("f"), b"second")
    ctx.drop_caches()  # the client may remember for a while that the name is gone
    expect(read_file(ctx.path("f")), b"second", "a new file under the old name")


@check("names/utf8")
def utf8_names(ctx):
    names = ["Größe", "日本語ファイル", "e\u0301", "\u00e9", "emoji-\U0001f600", "with space", "tab\there",
             "new\nline", "back\\slash", "*?[", "-rf", "UPPER", "upper", "ends."]
    for name in names:
        write_file(ctx.path(name), name.encode())
    ctx.drop_caches()
    expect(sorted(os.listdir(ctx.dir)), sorted(names))
    for name in names:
        expect(read_file(ctx.other(name)), name.encode())


@check("names/length")
def name_length(ctx):
    longest = "n" * 255
    write_file(ctx.path(longest), b"x")
    expect(os.listdir(ctx.other()), [longest])
    refused(errno.ENAMETOOLONG, os.open, ctx.path("n" * 256), os.O_CREAT | os.O_WRONLY)
    refused(errno.ENAMETOOLONG, os.mkdir, ctx.path("n" * 256))
    wide = "ü" * 127
    os.mkdir(ctx.path(wide))
    expect(sorted(os.listdir(ctx.dir)), sorted([longest, wide]))


@check("names/invalid-utf8")
def invalid_names(ctx):
    name = os.path.join(os.fsencode(ctx.dir), b"bad-\xff\xfe-\xc3")
    try:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644))
    except OSError as error:
        # Refusing is right (RFC 8881 14.5), hanging or another error is not.
        if error.errno in (errno.EINVAL, errno.EILSEQ, errno.EIO):
            expect(error.errno != errno.EIO, True, "refused with EIO")
            return
        raise
    expect(os.listdir(os.fsencode(ctx.dir)), [b"bad-\xff\xfe-\xc3"], "accepted, so it must come back")


@check("special/fifo-socket")
def special_files(ctx):
    os.mkfifo(ctx.path("fifo"), 0o600)
    expect(stat.S_ISFIFO(os.stat(ctx.other("fifo")).st_mode), True)
    reader = os.open(ctx.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(ctx.path("fifo"), os.O_WRONLY)
    os.write(writer, b"through")
    expect(os.read(reader, 10), b"through")
    os.chdir(ctx.dir)  # a socket address holds 108 bytes only
    server = socket.socket(socket.AF_UNIX)
    server.bind("sock")
    server.listen(1)
    client = socket.socket(socket.AF_UNIX)
    client.connect("sock")
    expect(stat.S_ISSOCK(os.stat(ctx.other("sock")).st_mode), True)
    refused(errno.EPERM, os.mknod, ctx.path("null"), stat.S_IFCHR | 0o600, os.makedev(1, 3))


@check("special/device", root=True)
def device_nodes(ctx):
    if ctx.sec != "sys":
        raise Skip("root is the machine here")
    ctx.run_as("alice", os.chmod, ctx.dir, 0o777)
    try:
        os.mknod(ctx.path("null"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        raise Skip("root is squashed") from None
    found = os.stat(ctx.other("null"))
    expect((stat.S_ISCHR(found.st_mode), found.st_rdev), (True, os.makedev(1, 3)))
