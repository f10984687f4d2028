# SPDX-License-Identifier: LGPL-2.1-or-later
"""The checks of the battery: what they are given and how they are registered.

A check is a function of one Context. It returns (passed), raises (failed; the last line of the
exception is the reason), or raises Skip or NotOffered. It runs in a process of its own as alice, in
a fresh folder of hers (ctx.dir), unless it is registered with root=True: then it starts as root and
uses ctx.run_as for each user.
"""

import ctypes
import errno
import os
import pickle
import traceback

CHECKS = []
# What the flavor of an NFS mount can break: who somebody is, and messages of every length, in all directions. The other checks
# are the same calls in another envelope.
BY_FLAVOR = """data/odd-sizes data/large data/random-operations data/mmap data/direct data/two-writers holes/read-sparse
copy/range dir/list names/length users/private users/group owner/self owner/root mode/access acl/read acl/write acl/inherit xattr/basic
xattr/flags-limits lock/fcntl-server lock/blocking lock/died rename/while-open open/upgrade-downgrade open/removed-elsewhere
link/symbolic tree/copy program/git""".split()


class Skip(Exception):
    """Does not apply here; the text says why."""


class NotOffered(Exception):
    """The server or its file system lacks an optional feature: SKIP, or FAIL where it is demanded."""


class Entry:
    """One row: name, function, first minor version that has it, needs root, seconds it may take, for SMB mounts only."""

    def __init__(self, name, function, since, root, limit, smb):
        self.name, self.function, self.since, self.root, self.limit, self.smb = name, function, since, root, limit, smb


def check(name, since=0, root=False, limit=60, smb=False):
    """Register a check. since: the lowest NFSv4 minor version in which it makes sense (SMB: 2 is 3.0)."""
    def register(function):
        CHECKS.append(Entry(name, function, since, root, limit, smb))
        return function
    return register


class Context:
    """What a check works with.

    dir: its folder; second: the same folder through a second mount that shares no cache with the first (other
    open and lock owners, so conflicts are decided by the server), or None; minor: 0, 1 or 2; sec: flavor;
    quick: use small sizes.
    """

    def __init__(self, directory, second, minor, sec, quick, users, control):
        self.dir, self.second = directory, second
        self.minor, self.sec, self.quick = minor, sec, quick
        self.users = users
        self._control = control

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def other(self, *parts):
        """The same path through the second mount."""
        if not self.second:
            raise Skip("no second mount")
        return os.path.join(self.second, *parts)

    def drop_caches(self):
        """Empty the page cache and the dentries (done by the runner, which is root)."""
        send, receive = self._control
        os.write(send, b"d")
        os.read(receive, 1)

    def operations(self, name):
        """(calls, errors) of one NFS operation on this mount so far, from the kernel's own count."""
        found = None
        with open("/proc/self/mountstats", encoding="ascii", errors="replace") as stats:
            for line in stats:
                words = line.split()
                if line.startswith("device "):
                    mount = words[4]
                    inside = self.dir.startswith(mount + "/") and words[7] == "nfs4"
                elif words and words[0] == name + ":" and inside:
                    found = (int(words[1]), int(words[9]) if len(words) > 9 else 0)
        return found or (0, 0)

    def become(self, user):
        """Turn this process into the user for good."""
        uid, groups = self.users[user]
        os.setgroups(groups)
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.environ["HOME"] = f"/tmp/home.{user}"
        # Changing users hides /proc/self from the process itself; PR_SET_DUMPABLE opens it again.
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)

    def run_as(self, user, function, *args):
        """function(*args) in a child process as the user ("root": as it is); its value or exception comes back."""
        receive, send = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                if user != "root":
                    self.become(user)
                os.umask(0o022)
                answer = (True, function(*args))
            except BaseException as error:  # pylint: disable=broad-except
                traceback.print_exc()
                answer = (False, error)
            try:
                raw = pickle.dumps(answer)
            except Exception:  # pylint: disable=broad-except
                raw = pickle.dumps((False, RuntimeError(repr(answer[1]))))
            with os.fdopen(send, "wb") as stream:
                stream.write(raw)
            os._exit(0)
        os.close(send)
        with os.fdopen(receive, "rb") as stream:
            raw = stream.read()
        os.waitpid(pid, 0)
        good, value = pickle.loads(raw)
        if good:
            return value
        raise value


def expect(value, wanted, what=""):
    """Fail with both values when they differ."""
    if value != wanted:
        raise AssertionError(f"{what + ': ' if what else ''}got {value!r:.300}, expected {wanted!r:.300}")


def refused(codes, function, *args, **kwargs):
    """function must raise OSError with one of the codes."""
    codes = codes if isinstance(codes, tuple) else (codes,)
    try:
        function(*args, **kwargs)
    except OSError as error:
        if error.errno not in codes:
            wanted = "/".join(errno.errorcode[c] for c in codes)
            raise AssertionError(f"got {errno.errorcode.get(error.errno, error.errno)}, expected {wanted}") from error
        return error.errno
    raise AssertionError("not refused, expected " + "/".join(errno.errorcode[c] for c in codes))


def write_file(path, data, flags=0):
    """Write a whole file through a new open; data is bytes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view):]
    finally:
        os.close(descriptor)


def read_file(path):
    with open(path, "rb", buffering=0) as stream:
        return stream.read()


def pattern(size, seed=1):
    """Bytes that look random, differ at every offset, and are the same in every run."""
    import random
    return random.Random(seed).randbytes(size)
