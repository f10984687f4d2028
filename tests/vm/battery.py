#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the checks of checks/ in a mounted folder, inside the guest, as root.

    battery.py --dir MOUNT [--second MOUNT2] --vers 4.2 --sec krb5p [--results FILE] [--only WORDS] [--quick]
    battery.py --by-flavor …                       only what the flavor of a mount can break
    battery.py --smb … --vers 3.1.1 --sec krb5i …      on mounts of cifs.ko; --quick also leaves checks out

MOUNT must let alice create folders. MOUNT2 is the same export mounted with nosharecache. Each check runs in a
process of its own with a time limit; one that hangs costs that check only. One `PASS|FAIL|SKIP name[: reason]`
line per check goes to the result file as soon as it is known, the details of failures to the output.
"""

import argparse
import os
import select
import signal
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from checks import BY_FLAVOR, CHECKS, Context, NotOffered, Skip  # noqa: E402
from checks import attributes, data, locks, names, programs, smb  # noqa: E402,F401 pylint: disable=unused-import

USERS = {"alice": (4101, [4101, 4200]), "bob": (4102, [4102, 4200])}


class Runner:
    """Runs one check after the other and keeps the score."""

    def __init__(self, options):
        self.options = options
        self.minor = {"2.1": 1}.get(options.vers, 2) if options.smb else int(options.vers.split(".")[1])
        self.top = f"battery-{options.vers}-{options.sec}-{os.getpid()}-{time.time_ns() % 1000}"
        self.score = {"PASS": 0, "FAIL": 0, "SKIP": 0}

    def report(self, verdict, name, reason=""):
        self.score[verdict] += 1
        reason = " ".join(reason.split())[:300]
        line = f"{verdict} {self.options.prefix}{name}{': ' + reason if reason else ''}"
        print(line, flush=True)
        if self.options.results:
            with open(self.options.results, "a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    def child(self, entry, log, control):
        """In the check's own process; never returns."""
        status = 1
        try:
            os.setsid()
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            os.umask(0o022)
            where = os.path.join(self.top, entry.name.replace("/", "-"))
            directory = os.path.join(self.options.dir, where)
            second = os.path.join(self.options.second, where) if self.options.second else None
            ctx = Context(directory, second, self.minor, self.options.sec, self.options.quick, USERS, control)
            if entry.root:
                ctx.run_as("alice", os.makedirs, directory)
            else:
                ctx.become("alice")
                os.makedirs(directory)
            entry.function(ctx)
            status = 0
        except Skip as why:
            print(why)
            status = 77
        except NotOffered as why:
            print(f"not offered: {why}")
            status = 1 if self.options.strict else 77
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def run(self, entry):
        started = time.monotonic()
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            ask_read, ask_write = os.pipe()
            answer_read, answer_write = os.pipe()
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                self.child(entry, log, (ask_write, answer_read))
            status = None
            deadline = started + entry.limit * self.options.patience
            while status is None and time.monotonic() < deadline:
                ready, _, _ = select.select([ask_read], [], [], 0.02)
                if ready and os.read(ask_read, 1):
                    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as stream:
                        stream.write("3")
                    os.write(answer_write, b"k")
                done, code = os.waitpid(pid, os.WNOHANG)
                if done:
                    status = os.waitstatus_to_exitcode(code)
            for descriptor in (ask_read, ask_write, answer_read, answer_write):
                os.close(descriptor)
            stack = ""
            if status is None:
                stack = self.stack(pid)
            try:
                os.killpg(pid, signal.SIGKILL)  # also helpers that it left behind
            except (ProcessLookupError, PermissionError):
                pass
            log.seek(0)
            text = log.read()
        seconds = time.monotonic() - started
        last = text.strip().splitlines()[-1] if text.strip() else ""
        if status is None:
            print(text + stack)
            self.report("FAIL", entry.name, f"no end within {entry.limit * self.options.patience:.0f} s")
        elif status == 0:
            self.report("PASS", entry.name)
        elif status == 77:
            self.report("SKIP", entry.name, last)
        else:
            print(text)
            self.report("FAIL", entry.name, last or f"status {status}")
        if self.options.times:
            print(f"# {entry.name} {seconds:.1f} s", flush=True)

    @staticmethod
    def stack(pid):
        """Where in the kernel a hanging check is."""
        try:
            with open(f"/proc/{pid}/stack", encoding="ascii", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""


def fits(entry, options):
    if options.smb:
        return smb.fits(entry, options.quick and not options.every)
    return not entry.smb and (entry.name in BY_FLAVOR or not options.by_flavor)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--dir", required=True)
    parser.add_argument("--second")
    parser.add_argument("--vers", required=True, choices=["4.0", "4.1", "4.2", "2.1", "3.0", "3.1.1"])
    parser.add_argument("--smb", action="store_true", help="the mounts are SMB")
    parser.add_argument("--every", action="store_true", help="with --smb --quick: leave no check out")
    parser.add_argument("--by-flavor", action="store_true", help="with NFS: leave out what a flavor cannot break")
    parser.add_argument("--sec", required=True)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--results")
    parser.add_argument("--only", default="", help="names or beginnings of names, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--strict", action="store_true", help="what the server does not offer is a failure")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies every time limit")
    parser.add_argument("--times", action="store_true")
    options = parser.parse_args()
    runner = Runner(options)
    wanted = tuple(w for w in options.only.split(",") if w)
    for entry in CHECKS:
        if fits(entry, options) and entry.since <= runner.minor and (not wanted or entry.name.startswith(wanted)):
            runner.run(entry)
    print(f"# {options.vers} {options.sec}: " + ", ".join(f"{n} {v}" for v, n in runner.score.items()))
    return 1 if runner.score["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
