# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of laresctl share: a private server with every module, and laresctl run against it."""
import json
import os
import pty
import select
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from laresd import BUILD, Laresd, find_module  # noqa: E402
from sanitizers import for_command, look_for_leaks  # noqa: E402

LARESCTL = os.environ.get("LARESCTL", os.path.join(BUILD, "cli", "laresctl"))
OK, FAILED, USAGE, NOT_FOUND, DENIED, UNREACHABLE, CONFLICT, UNAVAILABLE = range(8)
REALM = "HOME.LAN"


def have(module):
    try:
        find_module(module)
        return True
    except KeyError:
        return False


def server_modules(realm=False):
    modules = {"auth-sys": {}, "store-posix": {}, "proto-rest": {},
               "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "1s"}}
    for name in ("auth-krb5", "auth-ntlm"):
        if have(name):
            modules[name] = {}
    if realm:
        modules["realm-mit"] = {"helper": os.path.join(BUILD, "modules", "realm-mit", "lares-realm-helper"),
                                "rotate-grace": "1s"}
    return modules


def run_ctl(*args, stdin="", env=None, code=None, **more):
    """Runs laresctl; returns the finished process with stdout and stderr as text. code: the exit status it shall have."""
    env = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "", "TZ": "UTC", **(env or {})}
    return subprocess.run([LARESCTL, *args], input=stdin, capture_output=True, text=True, timeout=60,
                          env=for_command(env, args[2 * (args[0] == "--socket"):], code), **more)


class Served(unittest.TestCase):
    """One server for all tests of a class; each test leaves it as it found it, or uses names of its own."""
    realm = False

    @classmethod
    def setUpClass(cls):
        cls.d = Laresd(server_modules(cls.realm), env=look_for_leaks(dict(os.environ)) if cls.realm else None)
        cls.d.wait = [cls.d.port, cls.d.control]
        cls.d.start()
        cls.addClassCleanup(cls.end)
        for name in ("media", "docs"):
            os.makedirs(os.path.join(cls.d.dir, name), exist_ok=True)

    @classmethod
    def end(cls):
        try:
            cls.d.stop()
        finally:
            cls.d.cleanup()

    def path(self, name):
        return os.path.join(self.d.dir, name)

    def run_ctl(self, *args, **more):
        return run_ctl("--socket", self.d.control, *args, **more)

    def ok(self, *args, **more):
        """Must succeed; returns stdout."""
        done = self.run_ctl(*args, code=OK, **more)
        self.assertEqual((done.returncode, done.stderr), (OK, ""), (args, done.stdout))
        return done.stdout

    def json(self, *args, **more):
        return json.loads(self.ok(*args, "--json", **more))

    def refused(self, code, *args, **more):
        """Must fail with the code, say one sentence on stderr and nothing on stdout; returns the sentence."""
        done = self.run_ctl(*args, code=code, **more)
        self.assertEqual((done.returncode, done.stdout), (code, ""), (args, done.stderr))
        self.assertRegex(done.stderr, r"\Alaresctl: [^\n]+\n\Z")
        return done.stderr[len("laresctl: "):-1]


def rows(text):
    """A table as a list of dicts; columns are where the titles begin (two blanks or more apart)."""
    lines = text.splitlines()
    heads, starts, at = [], [], 0
    for part in lines[0].split("  "):
        if part.strip():
            starts.append(lines[0].index(part.strip(), at))
            at = starts[-1] + len(part.strip())
            heads.append(part.strip())
    out = []
    for line in lines[1:]:
        cells = [c.strip() for c in line.split("  ") if c.strip()]
        out.append(dict(zip(heads, cells)))
    return out


def block(text):
    """A block as a dict."""
    out = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            out[key] = value.strip()
    return out


def on_terminal(args, answers, timeout=60):
    """Runs laresctl on a terminal of its own; `answers` are (prompt part, text to type). Returns (code, all output)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(LC_ALL="C.UTF-8", LANGUAGE="")
        os.execv(LARESCTL, [LARESCTL, *args])
    seen, at, answers = b"", 0, list(answers)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if answers and answers[0][0].encode() in seen[at:]:
            at = len(seen)
            os.write(fd, answers.pop(0)[1].encode())
        if not select.select([fd], [], [], 0.05)[0]:
            continue
        try:
            more = os.read(fd, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()
