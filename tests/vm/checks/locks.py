# SPDX-License-Identifier: LGPL-2.1-or-later
"""Byte-range and whole-file locks, within one mount and between two mounts that share no state."""

import errno
import fcntl
import multiprocessing
import os
import struct
import time

from . import check, expect, refused, write_file

F_OFD_SETLK = 37


def holder(connection):
    """A second process that opens, locks and closes on command."""
    slots = {}
    while True:
        try:
            verb, *args = connection.recv()
        except EOFError:
            return
        try:
            if verb == "open":
                slots[args[0]] = os.open(args[1], args[2])
                answer = 0
            elif verb == "close":
                os.close(slots.pop(args[0]))
                answer = 0
            elif verb == "lock":
                fcntl.lockf(slots[args[0]], *args[1:])
                answer = 0
            elif verb == "flock":
                fcntl.flock(slots[args[0]], args[1])
                answer = 0
            else:
                answer = get_lock(slots[args[0]], *args[1:])
        except OSError as error:
            answer = error.errno
        connection.send(answer)


class Peer:
    """Drives a holder process; each method returns 0 or an errno."""

    def __init__(self):
        context = multiprocessing.get_context("fork")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=holder, args=(there,), daemon=True)
        self.process.start()
        there.close()

    def __call__(self, *command):
        self.start(*command)
        return self.finish()

    def start(self, *command):
        self.connection.send(command)

    def end(self):
        self.process.kill()
        self.process.join()

    def finish(self, seconds=30):
        if not self.connection.poll(seconds):
            raise AssertionError(f"no answer within {seconds} s")
        return self.connection.recv()


def get_lock(fd, kind, length, start):
    """F_GETLK: (type, start, length) of the conflicting lock, or None."""
    raw = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack("hhqqi0q", kind, 0, start, length, 0))
    found, _, start, length, _ = struct.unpack("hhqqi0q", raw)
    return None if found == fcntl.F_UNLCK else (found, start, length)


EX, SH, UN, NB = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN, fcntl.LOCK_NB
BUSY = (errno.EAGAIN, errno.EACCES)


def busy(answer, what):
    expect(answer in BUSY, True, f"{what}: {answer}")


def conflicts(ctx, path):
    """The same table of conflicts for both arrangements."""
    write_file(ctx.path("f"), b"x" * 1000)
    fd = os.open(ctx.path("f"), os.O_RDWR)
    peer = Peer()
    expect(peer("open", "p", path, os.O_RDWR), 0)
    fcntl.lockf(fd, EX | NB, 100, 100)
    busy(peer("lock", "p", EX | NB, 100, 100), "same range")
    busy(peer("lock", "p", SH | NB, 1, 199), "last byte, shared")
    expect(peer("lock", "p", EX | NB, 100, 0), 0, "range before")
    expect(peer("lock", "p", EX | NB, 100, 200), 0, "range after")
    busy(peer("lock", "p", EX | NB, 0, 0), "to the end of the file")
    expect(peer("get", "p", fcntl.F_WRLCK, 0, 150), (fcntl.F_WRLCK, 100, 100), "who holds it")
    expect(peer("get", "p", fcntl.F_WRLCK, 10, 300), None, "nobody holds that")
    # Unlocking the middle splits the lock.
    fcntl.lockf(fd, UN, 20, 140)
    expect(peer("lock", "p", EX | NB, 20, 140), 0, "freed middle")
    busy(peer("lock", "p", EX | NB, 1, 139), "left half")
    busy(peer("lock", "p", EX | NB, 1, 160), "right half")
    fcntl.lockf(fd, UN, 0, 0)
    expect(peer("lock", "p", UN, 0, 0), 0)
    # Shared locks go together; upgrading waits for the others to leave.
    fcntl.lockf(fd, SH | NB, 50, 0)
    expect(peer("lock", "p", SH | NB, 50, 0), 0, "two readers")
    refused(BUSY, fcntl.lockf, fd, EX | NB, 50, 0)
    expect(peer("lock", "p", UN, 50, 0), 0)
    fcntl.lockf(fd, EX | NB, 50, 0)
    busy(peer("lock", "p", SH | NB, 50, 0), "after the upgrade")
    fcntl.lockf(fd, SH | NB, 50, 0)
    expect(peer("lock", "p", SH | NB, 50, 0), 0, "after the downgrade")
    os.close(fd)
    expect(peer("lock", "p", EX | NB, 50, 0), 0, "close releases")


@check("lock/fcntl-local")
def fcntl_local(ctx):
    conflicts(ctx, ctx.path("f"))


@check("lock/fcntl-server")
def fcntl_server(ctx):
    conflicts(ctx, ctx.other("f"))


@check("lock/high-offsets")
def high_offsets(ctx):
    write_file(ctx.path("f"), b"")
    fd = os.open(ctx.path("f"), os.O_RDWR)
    peer = Peer()
    expect(peer("open", "p", ctx.other("f"), os.O_RDWR), 0)
    far = 1 << 62
    fcntl.lockf(fd, EX | NB, 1, far)
    busy(peer("lock", "p", EX | NB, 10, far - 5), "far away")
    expect(peer("lock", "p", EX | NB, 10, far + 1), 0)
    fcntl.lockf(fd, EX | NB, 1, (1 << 63) - 2)
    busy(peer("lock", "p", EX | NB, 0, far + 100), "to the end of everything")


@check("lock/blocking", limit=90)
def blocking(ctx):
    for path in (ctx.path("f"), ctx.other("f")):
        write_file(ctx.path("f"), b"x")
        fd = os.open(ctx.path("f"), os.O_RDWR)
        peer = Peer()
        expect(peer("open", "p", path, os.O_RDWR), 0)
        fcntl.lockf(fd, EX)
        peer.start("lock", "p", EX, 0, 0)
        time.sleep(0.5)
        expect(peer.connection.poll(0), False, "it waits")
        fcntl.lockf(fd, UN)
        expect(peer.finish(35), 0, "it gets the lock")
        refused(BUSY, fcntl.lockf, fd, SH | NB)
        os.close(fd)
        peer.end()


@check("lock/close-any")
def close_any(ctx):
    """POSIX: closing any descriptor of the file drops the process's locks."""
    write_file(ctx.path("f"), b"x")
    first = os.open(ctx.path("f"), os.O_RDWR)
    second = os.open(ctx.path("f"), os.O_RDONLY)
    peer = Peer()
    expect(peer("open", "p", ctx.other("f"), os.O_RDWR), 0)
    fcntl.lockf(first, EX | NB)
    busy(peer("lock", "p", EX | NB), "held")
    os.close(second)
    expect(peer("lock", "p", EX | NB), 0, "dropped by the other descriptor")


@check("lock/died")
def died(ctx):
    write_file(ctx.path("f"), b"x")
    fd = os.open(ctx.path("f"), os.O_RDWR)
    peer = Peer()
    expect(peer("open", "p", ctx.other("f"), os.O_RDWR), 0)
    expect(peer("lock", "p", EX | NB), 0)
    refused(BUSY, fcntl.lockf, fd, EX | NB)
    peer.end()
    fcntl.lockf(fd, EX | NB)


@check("lock/mode")
def lock_mode(ctx):
    write_file(ctx.path("f"), b"x")
    fd = os.open(ctx.path("f"), os.O_RDONLY)
    refused(errno.EBADF, fcntl.lockf, fd, EX | NB)
    fcntl.lockf(fd, SH | NB)


@check("lock/ofd")
def open_file_locks(ctx):
    write_file(ctx.path("f"), b"x")
    first = os.open(ctx.path("f"), os.O_RDWR)
    second = os.open(ctx.path("f"), os.O_RDWR)
    request = struct.pack("hhqqi0q", fcntl.F_WRLCK, 0, 0, 10, 0)
    fcntl.fcntl(first, F_OFD_SETLK, request)
    refused(BUSY, fcntl.fcntl, second, F_OFD_SETLK, request)
    third = os.open(ctx.other("f"), os.O_RDWR)
    refused(BUSY, fcntl.fcntl, third, F_OFD_SETLK, request)
    os.close(first)
    fcntl.fcntl(third, F_OFD_SETLK, request)


@check("lock/flock")
def flock(ctx):
    write_file(ctx.path("f"), b"x")
    fd = os.open(ctx.path("f"), os.O_RDWR)
    for path in (ctx.path("f"), ctx.other("f")):
        peer = Peer()
        expect(peer("open", "p", path, os.O_RDWR), 0)
        fcntl.flock(fd, EX | NB)
        busy(peer("flock", "p", EX | NB), "exclusive")
        busy(peer("flock", "p", SH | NB), "shared against exclusive")
        fcntl.flock(fd, SH)
        expect(peer("flock", "p", SH | NB), 0, "shared together")
        busy(peer("flock", "p", EX | NB), "upgrade while shared")
        fcntl.flock(fd, UN)
        expect(peer("flock", "p", EX | NB), 0)
        expect(peer("close", "p"), 0)


@check("lock/many", limit=120)
def many_locks(ctx):
    count = 60 if ctx.quick else 200
    write_file(ctx.path("f"), b"x" * 4096)
    fd = os.open(ctx.path("f"), os.O_RDWR)
    peer = Peer()
    expect(peer("open", "p", ctx.other("f"), os.O_RDWR), 0)
    for number in range(count):
        fcntl.lockf(fd, EX | NB, 1, number * 2)
        expect(peer("lock", "p", EX | NB, 1, number * 2 + 1), 0)
    for number in (0, count // 2, count - 1):
        busy(peer("lock", "p", EX | NB, 1, number * 2), f"byte {number * 2}")
    fcntl.lockf(fd, UN)
    expect(peer("lock", "p", EX | NB), 0)
