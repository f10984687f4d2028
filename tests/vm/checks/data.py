# SPDX-License-Identifier: LGPL-2.1-or-later
"""File contents: read, write, truncate, append, mmap, direct I/O, holes, server-side copies."""

import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import random
import time

from . import NotOffered, check, expect, pattern, read_file, refused, write_file

FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2
FICLONE = 0x40049409
MIB = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def fallocate(fd, mode, offset, length):
    if _libc.fallocate(fd, mode, offset, length):
        code = ctypes.get_errno()
        if code in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise NotOffered("ALLOCATE" if mode == 0 else "DEALLOCATE")
        raise OSError(code, "fallocate")


@check("data/large", limit=240)
def large(ctx):
    size = (4 if ctx.quick else 64) * MIB
    block = pattern(MIB)
    wanted = hashlib.sha256()
    with open(ctx.path("f"), "wb", buffering=0) as stream:
        for number in range(size // MIB):
            part = number.to_bytes(8, "big") + block[8:]
            wanted.update(part)
            expect(stream.write(part), MIB, "written")
        os.fsync(stream.fileno())
    expect(os.stat(ctx.path("f")).st_size, size)
    ctx.drop_caches()
    found = hashlib.sha256()
    with open(ctx.path("f"), "rb", buffering=0) as stream:
        while part := stream.read(MIB):
            found.update(part)
    expect(found.hexdigest(), wanted.hexdigest(), "contents after reading from the server")


@check("data/odd-sizes")
def odd_sizes(ctx):
    for size in (0, 1, 2, 3, 5, 4095, 4096, 4097, 65535, 131073):
        data = pattern(size, size)
        write_file(ctx.path("f"), data)
        ctx.drop_caches()
        expect(read_file(ctx.path("f")) == data, True, f"{size} bytes")
        expect(os.stat(ctx.other("f")).st_size, size)


@check("data/random-operations", limit=180)
def random_operations(ctx):
    """A model in memory and the file must agree after any mix of operations."""
    dice = random.Random(20)
    top = 300_000
    model = bytearray()
    path = ctx.path("f")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    kinds = ["write", "read", "truncate", "map", "reopen", "drop", "write", "read", "append"]
    if ctx.minor >= 2:
        kinds += ["punch", "allocate", "copy"]
    done = []
    for step in range(80 if ctx.quick else 300):
        kind = dice.choice(kinds)
        start = dice.randrange(top)
        length = dice.randrange(1, 40_000)
        done.append((kind, start, length))
        if kind == "write":
            data = dice.randbytes(length)
            model.extend(bytes(max(0, start - len(model))))
            model[start:start + length] = data
            os.pwrite(fd, data, start)
        elif kind == "append" and len(model) < top:
            data = dice.randbytes(length)
            os.pwrite(fd, data, len(model))
            model += data
        elif kind == "truncate":
            os.ftruncate(fd, start)
            del model[start:]
            model.extend(bytes(start - len(model)))
        elif kind == "map" and len(model) > start:
            page = start & ~4095
            data = dice.randbytes(min(length, len(model) - start))
            with mmap.mmap(fd, len(model) - page, offset=page) as area:
                area[start - page:start - page + len(data)] = data
                area.flush()
            model[start:start + len(data)] = data
        elif kind in ("reopen", "drop"):
            os.close(fd)
            if kind == "drop":
                ctx.drop_caches()
            fd = os.open(path, os.O_RDWR)
        elif kind == "punch" and len(model) > start:
            try:
                fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, start, length)
            except NotOffered:
                continue
            end = min(len(model), start + length)
            model[start:end] = bytes(end - start)
        elif kind == "allocate":
            try:
                fallocate(fd, 0, start, length)
            except NotOffered:
                continue
            model.extend(bytes(max(0, start + length - len(model))))
        elif kind == "copy" and len(model) > start:
            target = dice.randrange(top, 2 * top)
            length = min(length, len(model) - start)
            copied = os.copy_file_range(fd, fd, length, start, target)
            data = model[start:start + copied]
            model.extend(bytes(max(0, target - len(model))))
            model[target:target + copied] = data
        found = os.pread(fd, length, start)
        if found != bytes(model[start:start + length]):
            raise AssertionError(f"differs after step {step}: {done[-3:]}")
        expect(os.fstat(fd).st_size, len(model), f"size after step {step}: {done[-3:]}")
    os.close(fd)
    ctx.drop_caches()
    expect(read_file(path) == model, True, "whole file from the server")
    expect(read_file(ctx.other("f")) == model, True, "whole file through the second mount")


@check("data/truncate")
def truncate(ctx):
    path = ctx.path("f")
    write_file(path, pattern(10000))
    os.truncate(path, 5000)
    expect(read_file(path), pattern(10000)[:5000])
    os.truncate(path, 9000)
    ctx.drop_caches()
    expect(read_file(path), pattern(10000)[:5000] + bytes(4000), "grown part is zero")
    os.truncate(path, 3 << 30)
    expect(os.stat(ctx.other("f")).st_size, 3 << 30, "size over 2 GiB")
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"far", (3 << 30) + 7)
    os.fsync(fd)
    os.close(fd)
    ctx.drop_caches()
    fd = os.open(path, os.O_RDONLY)
    expect(os.pread(fd, 100, (3 << 30) - 2), bytes(9) + b"far")
    os.close(fd)
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    expect(os.stat(path).st_size, 0, "O_TRUNC")
    fd = os.open(path, os.O_RDONLY)
    refused((errno.EINVAL, errno.EBADF), os.ftruncate, fd, 1)


@check("data/append")
def append(ctx):
    def writer(letter):
        fd = os.open(ctx.path("log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for number in range(60):
            os.write(fd, f"{letter}{number:04d}{'.' * 44}\n".encode())
        os.close(fd)

    children = []
    for letter in "ab":
        pid = os.fork()
        if pid == 0:
            try:
                writer(letter)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    expect([os.waitpid(p, 0)[1] for p in children], [0, 0])
    lines = read_file(ctx.other("log")).decode().splitlines()
    expect(sorted(l[:5] for l in lines), sorted(f"{c}{n:04d}" for c in "ab" for n in range(60)))
    expect({len(l) for l in lines}, {49}, "whole lines")


@check("data/mmap")
def mapped(ctx):
    size = 1 * MIB + 1234
    data = pattern(size)
    write_file(ctx.path("f"), data)
    ctx.drop_caches()
    fd = os.open(ctx.path("f"), os.O_RDWR)
    with mmap.mmap(fd, size) as area:
        expect(hashlib.sha256(area).digest() == hashlib.sha256(data).digest(), True, "read through the map")
        area[100_000:100_010] = b"0123456789"
        area[size - 3:] = b"end"
        expect(os.pread(fd, 10, 100_000), b"0123456789", "read() sees the map")
        area.flush()
        os.pwrite(fd, b"written", 200_000)
        expect(area[200_000:200_007], b"written", "the map sees write()")
    os.close(fd)
    wanted = bytearray(data)
    wanted[100_000:100_010] = b"0123456789"
    wanted[200_000:200_007] = b"written"
    wanted[size - 3:] = b"end"
    expect(read_file(ctx.other("f")) == wanted, True, "through the second mount")


@check("data/direct")
def direct(ctx):
    area = mmap.mmap(-1, 65536)
    area[:] = pattern(65536)
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    expect(os.pwritev(fd, [area], 0), 65536)
    expect(os.pwritev(fd, [area], 65536), 65536)
    back = mmap.mmap(-1, 65536)
    expect(os.preadv(fd, [back], 65536), 65536)
    expect(back[:] == area[:], True)
    os.close(fd)
    expect(read_file(ctx.other("f")) == area[:] * 2, True)


@check("data/sync")
def synchronous(ctx):
    fd = os.open(ctx.path("f"), os.O_WRONLY | os.O_CREAT | os.O_SYNC, 0o644)
    os.write(fd, b"sync")
    expect(read_file(ctx.other("f")), b"sync", "O_SYNC is on the server at once")
    os.close(fd)
    fd = os.open(ctx.path("g"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"data")
    os.fdatasync(fd)
    expect(read_file(ctx.other("g")), b"data", "fdatasync")
    os.close(fd)


@check("data/close-to-open")
def close_to_open(ctx):
    """Whoever opens after another one closed sees what was written, also with the same size and in the same instant."""
    for turn in range(25):
        data = f"turn {turn:03d}".encode()
        here, there = (ctx.path("f"), ctx.other("f")) if turn % 2 else (ctx.other("f"), ctx.path("f"))
        fd = os.open(here, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, data)
        os.close(fd)
        expect(read_file(there), data)


@check("data/two-writers", limit=120)
def two_writers(ctx):
    block, count = 65536, 64
    os.close(os.open(ctx.path("f"), os.O_WRONLY | os.O_CREAT, 0o644))
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                fd = os.open((ctx.path, ctx.other)[number % 2]("f"), os.O_WRONLY)
                for index in range(number, count, 4):
                    os.pwrite(fd, pattern(block, index), index * block)
                os.close(fd)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    expect([os.waitpid(p, 0)[1] for p in children], [0] * 4)
    ctx.drop_caches()
    data = read_file(ctx.path("f"))
    for index in range(count):
        expect(data[index * block:(index + 1) * block] == pattern(block, index), True, f"block {index}")


@check("open/upgrade-downgrade")
def open_modes(ctx):
    write_file(ctx.path("f"), b"start")
    reader = os.open(ctx.path("f"), os.O_RDONLY)
    both = os.open(ctx.path("f"), os.O_RDWR)
    writer = os.open(ctx.path("f"), os.O_WRONLY)
    os.write(writer, b"S")
    os.close(both)
    os.pwrite(writer, b"T", 1)
    os.close(writer)
    expect(os.pread(reader, 10, 0), b"STart")
    refused(errno.EBADF, os.write, reader, b"x")
    os.fchmod(reader, 0)
    expect(os.pread(reader, 10, 0), b"STart", "open stays open after chmod 0")
    os.close(reader)
    refused(errno.EACCES, os.open, ctx.path("f"), os.O_RDONLY)


@check("holes/seek", since=2)
def seek_holes(ctx):
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, pattern(65536), 0)
    os.pwrite(fd, pattern(65536), 4 * MIB)
    os.ftruncate(fd, 8 * MIB)
    os.fsync(fd)
    expect(os.lseek(fd, 0, os.SEEK_DATA), 0)
    hole = os.lseek(fd, 0, os.SEEK_HOLE)
    if hole == 8 * MIB:
        raise NotOffered("SEEK reports no holes")
    expect(65536 <= hole <= MIB, True, f"first hole at {hole}")
    data = os.lseek(fd, hole, os.SEEK_DATA)
    expect(hole < data <= 4 * MIB, True, f"second data at {data}")
    last = os.lseek(fd, 4 * MIB, os.SEEK_HOLE)
    expect(4 * MIB + 65536 <= last < 8 * MIB, True, f"last hole at {last}")
    refused(errno.ENXIO, os.lseek, fd, last, os.SEEK_DATA)
    refused(errno.ENXIO, os.lseek, fd, 8 * MIB, os.SEEK_HOLE)
    expect(os.fstat(fd).st_blocks * 512 < 4 * MIB, True, "space used by a file of holes")
    expect(ctx.operations("SEEK")[0] > 0, True, "SEEK was sent")


@check("holes/punch", since=2)
def punch(ctx):
    data = bytearray(pattern(2 * MIB))
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, data, 0)
    os.fsync(fd)
    before = os.stat(ctx.other("f")).st_blocks
    fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 100_000, MIB)
    data[100_000:100_000 + MIB] = bytes(MIB)
    expect(os.fstat(fd).st_size, 2 * MIB, "size is kept")
    expect(os.pread(fd, 2 * MIB, 0) == data, True, "zeros in the hole")
    ctx.drop_caches()
    expect(read_file(ctx.other("f")) == data, True, "through the second mount")
    expect(os.stat(ctx.other("f")).st_blocks < before, True, "space was given back")


@check("holes/allocate", since=2)
def allocate(ctx):
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, b"here", 0)
    fallocate(fd, 0, 0, 3 * MIB)
    expect(os.fstat(fd).st_size, 3 * MIB, "size grows")
    expect(os.stat(ctx.other("f")).st_blocks * 512 >= 3 * MIB, True, "space is reserved")
    expect(os.pread(fd, 8, 0), b"here" + bytes(4))


@check("holes/read-sparse", since=2)
def read_sparse(ctx):
    """Reading holes and data mixed (READ_PLUS where the client uses it)."""
    wanted = bytearray(3 * MIB)
    fd = os.open(ctx.path("f"), os.O_RDWR | os.O_CREAT, 0o644)
    for offset in (0, 200_000, 1_000_001, 2 * MIB, 3 * MIB - 17):
        part = pattern(min(30_000, 3 * MIB - offset), offset)
        wanted[offset:offset + len(part)] = part
        os.pwrite(fd, part, offset)
    os.close(fd)
    ctx.drop_caches()
    expect(read_file(ctx.path("f")) == wanted, True)


@check("copy/range", since=2)
def copy_range(ctx):
    data = pattern(4 * MIB + 77)
    write_file(ctx.path("a"), data)
    before = ctx.operations("COPY")
    source = os.open(ctx.path("a"), os.O_RDONLY)
    target = os.open(ctx.path("b"), os.O_RDWR | os.O_CREAT, 0o644)
    done = 0
    while done < len(data):
        part = os.copy_file_range(source, target, len(data) - done)
        expect(part > 0, True, f"progress at {done}")
        done += part
    expect(os.copy_file_range(source, target, 100), 0, "at the end")
    os.close(target)
    expect(read_file(ctx.path("b")) == data, True, "whole file")
    expect(read_file(ctx.other("b")) == data, True, "through the second mount")
    target = os.open(ctx.path("c"), os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(target, b"x" * 10000, 0)
    expect(os.copy_file_range(source, target, 5000, 1_000_003, 2_000), 5000)
    expect(os.pread(target, 20000, 0), b"x" * 2000 + data[1_000_003:1_005_003] + b"x" * 3000, "range into a file")
    after = ctx.operations("COPY")
    if after[0] - before[0] <= after[1] - before[1]:
        raise NotOffered("COPY (the client copied by itself)")


@check("copy/clone", since=2)
def clone(ctx):
    data = pattern(256 * 1024)
    write_file(ctx.path("a"), data)
    write_file(ctx.path("b"), b"untouched")
    source = os.open(ctx.path("a"), os.O_RDONLY)
    target = os.open(ctx.path("b"), os.O_RDWR)
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        # A file system without reflinks: refused cleanly and nothing changed.
        expect(error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV), True, f"refused with {error}")
        os.close(target)
        expect(read_file(ctx.other("b")), b"untouched")
        return
    os.pwrite(target, b"changed", 0)
    os.close(target)
    expect(read_file(ctx.path("b")) == b"changed" + data[7:], True)
    expect(read_file(ctx.other("a")) == data, True, "the source is independent")


@check("data/timestamps-of-writes")
def write_times(ctx):
    write_file(ctx.path("f"), b"1")
    first = os.stat(ctx.path("f"))
    time.sleep(0.05)
    fd = os.open(ctx.path("f"), os.O_WRONLY)
    os.write(fd, b"2")
    os.close(fd)
    second = os.stat(ctx.other("f"))
    expect(second.st_mtime_ns > first.st_mtime_ns and second.st_ctime_ns > first.st_ctime_ns, True, "mtime and ctime after a write")
    folder = os.stat(ctx.other())
    time.sleep(0.05)
    write_file(ctx.path("g"), b"")
    expect(os.stat(ctx.other()).st_mtime_ns > folder.st_mtime_ns, True, "mtime of the folder after a create")
