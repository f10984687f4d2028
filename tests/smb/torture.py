#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Samba's smbtorture against laresd, a few tests at a time on an empty share and with a time-out, several side by side.

    tests/smb/torture.py                    all of the classes core, durable and fs
    tests/smb/torture.py smb2.lock …        the tests whose names begin so, of any class
    tests/smb/torture.py --quick …          of those classes (and names) all that do not sleep
    tests/smb/torture.py --group sessions   a part of those classes; the parts, which ./check runs, are all of them
    tests/smb/torture.py --write-failures   renews the list of failures: reasons stay, new rows wait for theirs

As root, each server has a network of its own, where what is said is captured and read once more by Wireshark: no answer
may be malformed.

What is known to fail stands in tests/interop/smbtorture-expected-failures.tsv, each with its reason. The run fails when
another test fails, or when one of the list passes or has no reason. LARES_BUILD names the build folder."""
import argparse
import contextlib
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import capture  # noqa: E402
import netns  # noqa: E402
import reflink  # noqa: E402
from laresd import LaresdError  # noqa: E402
from realm import Realm  # noqa: E402
from smb_server import HOST, SERVICE, SmbServer, missing  # noqa: E402

LIST = HERE / "torture.tsv"
FAILURES = HERE.parent / "interop" / "smbtorture-expected-failures.tsv"
UNEXPLAINED = "?"
GATING = ("core", "durable", "fs")
PATIENCE = 4  # times what the list says that a test takes
PASSWORD = "correct horse"
# The parts of the gating classes. Tests that the list has a time for are "sleepers", suites that stand in none of these
# "files": nothing is left out.
GROUPS = {
    "sessions": ("session", "session-id", "tcon", "connect", "multichannel"),
    "durable": ("durable-open", "durable-v2-open", "durable-v2-delay", "replay"),
    "leases": ("lease", "oplock"),
    "locks": ("lock", "notify", "notify-inotify"),
}
# A part of their own: smbtorture skips them where files cannot share blocks.
EXTENTS = "smb2.ioctl.dup_extents"
# Settings of modules, and of the share, that a test takes for granted, as Samba's own are when nobody sets them.
SETTINGS = {
    # They send one request and at once the next, and count on the first one to be done, or to wait, before the second one
    # begins: requests of a connection run side by side here, unless there is one worker only.
    "smb2.lease.rename_wait": {"server": {"workers": 1, "max-workers": 1}},
    "smb2.notify": {"server": {"workers": 1, "max-workers": 1}},
    "smb2.session.expire2s": {"server": {"workers": 1, "max-workers": 1}},
    "smb2.session.expire2e": {"server": {"workers": 1, "max-workers": 1}},
    # As Windows 2016 has it, which they are about; their newer namesakes want it as Windows has it since.
    **{"smb2.timestamps.delayed-" + t: {"smb": {"late-write-times": "true"}}
       for t in ("1write", "2write", "write-vs-flush", "write-vs-setbasic", "write-vs-seteof")},
    # A directory whose ACL lets nobody pass lets everybody pass on Windows, by SeChangeNotifyPrivilege.
    "smb2.acls.DYNAMIC": {"share": {"smb-bypass-traverse": True}},
    **{"smb2." + t: {"share": {"smb-short-names": True}} for t in ("getinfo.getinfo_access", "getinfo.complex")},
    "smb2.secleak": {"ntlm": {"guest": "false"}},  # a name that nobody has is refused
}
# These log in with tickets that end soon; they need the server by its name, which only a network of its own gives them.
WITH_TICKETS = "smb2.session.expire"
REALMS = 4  # workers that have a realm
# Which server smbtorture is to take this one for, where servers differ and both are right.
TARGETS = {
    "smb2.rw.invalid": "samba3",  # the volume keeps holes: a far write does not fill it
}
RESULT = re.compile(r"^(success|failure|error|skip|skip-testsuite|xfail): (.*?)(?: \[)?$", re.M)


def rows(path):
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


class Test:
    def __init__(self, name, category, seconds=0):
        self.name, self.category, self.seconds = name, category, int(seconds)
        self.suite = name.split(".")[1]
        self.gating = category in GATING
        part = "extents" if name.startswith(EXTENTS) else next((g for g, suites in GROUPS.items() if self.suite in suites), "files")
        self.group = "sleepers" if self.seconds else part


def settings_of(name):
    return next((s for t, s in SETTINGS.items() if name == t or name.startswith(t + ".")), {})


# How it loses a connection for a while: by the packet filter of a network of its own.
BLOCKING = []
# In a network of its own the server is where everybody looks for it: one test connects there whatever it is told, and
# Wireshark takes only what comes from there for a server's half of SPNEGO ([MS-SPNG] 2.2.1).
PORT = 445
# These do the same few things a hundred thousand times: Wireshark reads the beginning. They have a port of their own.
BUSY = ("smb2.create.bench-path-contention-shared", "smb2.secleak")
BUSY_PORT = 446
BUSY_PACKETS = 10000


def own_network():
    """Starts this over in a network of its own, where it may filter packets; without the means for that, as it is."""
    iptables = shutil.which("iptables", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if os.environ.get("LARES_TORTURE_NETWORK"):
        BLOCKING.extend(["--option=torture:use_iptables=yes", f"--option=torture:iptables_command={iptables} -w"])
    elif os.geteuid() == 0 and iptables and not missing("unshare", "ip"):
        if subprocess.run(["unshare", "-n", iptables, "-L", "-n"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0:
            os.environ["LARES_TORTURE_NETWORK"] = "1"
            os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])


def own_blocks(stack):
    """All that is made from now on is on a file system whose files can share blocks; a reason if there is none."""
    work = stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True))
    os.chmod(work, 0o755)
    have, lack = reflink.mounts(work, ["xfs"])
    for folder in have.values():
        stack.callback(subprocess.run, ["umount", folder], check=False)
        stack.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
        tempfile.tempdir = folder
    return lack.get("xfs")


def own_network_of_a_thread():
    """The calling thread and what it starts get a network: tests that filter packets clear the filter of all."""
    why = netns.enter(hosts={HOST: "127.0.0.1"}) if BLOCKING else None
    if why:
        raise OSError(why)


class Torture:
    """A server that lives as long as it can, and an empty share for each test."""

    starting = threading.Lock()

    def __init__(self, seconds, takes):
        self.seconds = seconds
        self.takes = takes
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="torture-"))
        os.chmod(self.work, 0o755)
        self.server = None
        self.settings = None
        self.realm = None
        self.n = 0
        self.keys = []  # of what is captured

    def start(self, settings, tickets, port):
        self.n += 1
        if tickets and not self.realm:
            self.realm = Realm(self.work / "realm", users=["ada"], services=[SERVICE], clockskew=5)
            self.realm.__enter__()
        # Signing as smbd has it by default: smbtorture takes "the session is gone" only unsigned, as it must be where the
        # key is gone with the session, and refuses whatever is unsigned where the server requires signing.
        self.settings = settings, tickets, port
        modules = {m: s for m, s in settings.items() if m != "share"}
        modules["smb"] = {"encryption": "offered", "signing-required": "false", **settings.get("smb", {})}
        with Torture.starting:
            self.server = SmbServer(self.work / f"server{self.n}", realm=self.realm if tickets else None,
                                    port=port, **modules)
            self.server.start()
        self.server.add_user("ada", PASSWORD, uid=20001)

    def end(self, died=False):
        if self.server:
            try:
                self.server.laresd.kill() if died else self.server.stop()
            finally:
                self.server = None

    def share(self):
        folder = self.work / "share"
        folder.mkdir(exist_ok=True)
        for child in folder.iterdir():  # the folder itself stays: the server has it open
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child, ignore_errors=True)
            else:
                child.unlink()
        names = {s["name"] for s in self.server.verb("share.list")}
        if "torture" not in names:
            self.server.add_share("torture", folder, [*(["krb5"] if self.server.realm else []), "ntlm", "sys"],
                                  **self.settings[0].get("share", {}))
        os.chown(folder, 20001, -1)
        os.chmod(folder, 0o777)

    def run(self, tests):
        """Yields of each test (name, verdict, what was said); verdicts are pass, fail, skip, timeout, crash."""
        if len(tests) == 1:
            end, code, text = self.smbtorture(tests)
            yield tests[0], end or verdict_of(code, text), text
            return
        # Starting smbtorture costs more than most tests. Who does not pass among others has another go alone.
        end, _, text = self.smbtorture(tests)
        passed = passed_of(tests, text)
        rest = [t for t in tests if t not in passed]
        for test in passed:
            yield test, passed[test], text
        if end == "crash":
            yield (rest.pop(0) if rest else tests[-1]), end, text
        for test in rest:
            yield from self.run([test])

    def smbtorture(self, tests):
        """Runs them one after the other on one share. ("timeout", "crash" of the server or None; exit code; output)."""
        name = tests[0]
        settings, tickets = settings_of(name), bool(BLOCKING) and name.startswith(WITH_TICKETS)
        port = (BUSY_PORT if name in BUSY else PORT) if BLOCKING else None
        if self.server and self.settings != (settings, tickets, port):
            self.end()
        if not self.server:
            self.start(settings, tickets, port)
        self.share()
        s = self.server
        target = ["--target=" + TARGETS[name]] if name in TARGETS else []
        login = [f"//{HOST}/torture", "-U", f"ada@{s.realm.name}%password", "--use-kerberos=required"] if tickets else \
            ["//127.0.0.1/torture", "-U", "ada%" + PASSWORD, "--use-kerberos=off"]
        argv = ["smbtorture", *login, "-s", s.conf, "-p", s.port, "--option=torture:progress=no",
                "--option=debug encryption=yes", *BLOCKING, *target, *tests]
        with open(self.work / "said", "w+", errors="replace") as said:
            p = subprocess.Popen([str(a) for a in argv], env=s.environ(), stdin=subprocess.DEVNULL, stdout=said,
                                 stderr=subprocess.STDOUT, cwd=s.client_dir, start_new_session=True)
            try:
                p.wait(max(self.seconds, PATIENCE * self.takes.get(name, 0)))
                end = None
            except subprocess.TimeoutExpired:
                end = "timeout"
            try:
                os.killpg(p.pid, signal.SIGKILL)  # it forks for some tests
            except ProcessLookupError:
                pass
            p.wait()
            said.seek(0)
            text = said.read()
        self.keys += capture.session_keys(text)
        log = s.laresd.log()[-4000:] if s.laresd.process.poll() is not None else ""
        try:
            s.laresd.check_log()
        except LaresdError as e:
            log = str(e)
        if log:
            self.end(died=True)
            return "crash", p.returncode, text + log
        return end, p.returncode, text


def verdict_of(code, text):
    verdicts = {m.group(1) for m in RESULT.finditer(text)}
    if code == 0 and "success" in verdicts and not verdicts & {"failure", "error"}:
        return "pass"
    return "skip" if verdicts and verdicts <= {"skip", "skip-testsuite"} else "fail"


def passed_of(tests, text):
    """Of several tests those that passed or were skipped, as far as the output's verdicts are those tests', in order."""
    passed = {}
    for test, m in zip(tests, RESULT.finditer(text)):
        if not test.endswith("." + m.group(2)):
            break
        if m.group(1) in ("success", "skip"):
            passed[test] = {"success": "pass", "skip": "skip"}[m.group(1)]
    return passed


def why(text):
    """The line of smbtorture's that says what was wrong, for a row without a reason."""
    m = re.search(r"^(?:failure|error): .*?\[\n(.*?)\n\]", text, re.M | re.S)
    lines = (m.group(1) if m else text).strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""


def wanted(args):
    """Those that take longest first, so that none of them is left alone at the end; then those with the same settings."""
    tests = [Test(*r) for r in rows(LIST)]
    if args.group:
        tests = [t for t in tests if t.gating and t.group == args.group]
    elif args.tests:
        tests = [t for t in tests if any(t.name == n or t.name.startswith(n + ".") for n in args.tests)]
    if args.quick or not (args.group or args.tests):
        tests = [t for t in tests if (t.gating or args.all) and not (args.quick and t.seconds)]
    return sorted(tests, key=lambda t: (-t.seconds, str(settings_of(t.name))))


def write_failures(failed, old):
    """`failed`: test -> what was wrong, of the tests that ran; `old`: test -> reason, of those that did not fail now."""
    head = [line for line in FAILURES.read_text().splitlines() if line.startswith("#")]
    known = dict(rows(FAILURES))
    table = {**old, **{t: known.get(t, f"{UNEXPLAINED} {text}") for t, text in failed.items()}}
    FAILURES.write_text("\n".join(head + [f"{t}\t{table[t]}" for t in sorted(table)]) + "\n")


def batches(tests, most):
    """Names of tests that can be one smbtorture's: those that sleep, or are known to fail, or want something, stay alone."""
    failing, out, last = dict(rows(FAILURES)), [], None
    for t in tests:
        alone = t.seconds or t.name in failing or t.name in TARGETS or t.name in SETTINGS or \
            t.name.startswith(WITH_TICKETS)
        kind = None if alone else (t.group, settings_of(t.name))
        if kind is None or kind != last or len(out[-1]) == most:
            out.append([])
        out[-1].append(t.name)
        last = kind
    return out


def next_of(todo):
    try:
        return todo.get_nowait()
    except queue.Empty:
        return None


class Run:
    """Workers that take tests from one queue; what they find out is noted and printed under a lock."""

    def __init__(self, tests, args):
        self.args = args
        self.takes = {t.name: t.seconds for t in tests}
        self.todo, self.with_tickets = queue.SimpleQueue(), queue.SimpleQueue()
        for together in batches(tests, args.batch):
            (self.with_tickets if together[0].startswith(WITH_TICKETS) else self.todo).put(together)
        self.workers = [threading.Thread(target=self.work, args=[[self.with_tickets] * (i < REALMS) + [self.todo]])
                        for i in range(min(args.jobs, len(tests)))]
        self.expected = dict(rows(FAILURES))
        self.lock = threading.Lock()
        self.count, self.failed, self.bad, self.errors = {}, {}, [], []
        self.captures = not capture.missing() and bool(BLOCKING)
        self.ports = [("all", PORT, None)] + [("busy", BUSY_PORT, BUSY_PACKETS)] * any(t.name in BUSY for t in tests)
        self.captured, self.read = pathlib.Path(tempfile.mkdtemp(prefix="torture-")), []

    def note(self, test, verdict, text, seconds):
        with self.lock:
            self.count[verdict] = self.count.get(verdict, 0) + 1
            known = test in self.expected
            fine = verdict == "skip" or (verdict == "pass") != known
            if verdict not in ("pass", "skip"):
                self.failed[test] = f"{verdict}: {why(text)}"
            if known and self.expected[test].startswith(UNEXPLAINED):
                fine = fine and self.args.write_failures
            if not fine:
                self.bad.append(test)
            note = {"skip": " # SKIP", "pass": f" # passes: take it out of {FAILURES.name}" if known else ""}.get(
                verdict, f" # {'TODO ' + self.expected[test] if known else verdict + ': ' + why(text)}")
            ok = "ok" if verdict in ("pass", "skip") and fine else "not ok"
            print(f"{ok} {sum(self.count.values())} {test}{note} # {seconds:.1f} s", flush=True)
            if self.args.show and verdict not in ("pass", "skip"):
                print("# " + text.replace("\n", "\n# "), flush=True)

    def tell_of_captures(self, n):
        """The last line of the plan: what Wireshark says about what the servers sent; smbtorture's requests are often wrong
        on purpose."""
        # What does not fit into the client's buffer is cut off, wherever that is ([MS-SMB2] 3.3.5.20). What is encrypted
        # and no answer was deciphered by a guess: most of these programs do not tell their keys.
        all_of_them = capture.Together(self.captured / "all", self.read)
        malformed, (answers,) = all_of_them.complaints_and_counts(
            "smb2.flags.response == 1", ports={"nbss": [BUSY_PORT]},
            unless=f"!(tcp.srcport in {{{PORT}, {BUSY_PORT}}}) || smb2.nt_status == 0x80000005"
            " || (smb2.header.transform.signature && !(smb2.flags.response == 1))")
        fine = answers and not malformed
        print(f"{'ok' if fine else 'not ok'} {n} none of {answers} records with answers is malformed", flush=True)
        for line in malformed[:50]:
            print("# " + line)
        if not fine:
            self.bad.append("what was captured")

    def work(self, queues):
        torture = Torture(self.args.seconds, self.takes)
        try:
            own_network_of_a_thread()
            with contextlib.ExitStack() as stack:
                me = threading.get_native_id()
                captures = [stack.enter_context(capture.Capture(self.captured, f"{name}-{me}", buffer=32,
                                                                only=f"tcp port {port}", most=most))
                            for name, port, most in self.ports if self.captures]
                for todo in queues:
                    while (tests := next_of(todo)):
                        began = time.monotonic()
                        for test, verdict, text in torture.run(tests):
                            self.note(test, verdict, text, time.monotonic() - began)
                            began = time.monotonic()
                torture.end()
            for captured in captures:
                captured.keys = torture.keys
            with self.lock:
                self.read += captures
        except Exception as e:  # a worker that ends without a word would look like a pass
            self.errors.append(e)
            raise
        finally:
            torture.end(died=True)
            if torture.realm:
                torture.realm.stop()
            shutil.rmtree(torture.work, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("tests", nargs="*")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--group", choices=[*GROUPS, "extents", "files", "sleepers"])
    p.add_argument("--all", action="store_true", help="every class")
    p.add_argument("--list", action="store_true")
    p.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="tests at a time: they mostly wait")
    p.add_argument("--batch", type=int, default=8, help="tests that one smbtorture may run; 1: each on an empty share")
    p.add_argument("--seconds", type=float, default=60, help="for each test")
    p.add_argument("--show", action="store_true", help="what smbtorture says about a failure")
    p.add_argument("--write-failures", action="store_true")
    args = p.parse_args()
    tests = wanted(args)
    if args.list:
        print("\n".join(t.name for t in tests))
        return 0
    if missing("smbtorture"):
        print("1..0 # SKIP smbtorture is not installed (Debian: samba-testsuite)")
        return 77
    own_network()
    with contextlib.ExitStack() as stack:
        why_not = own_blocks(stack) if args.group == "extents" else None
        if why_not:
            print(f"1..0 # SKIP {why_not}")
            return 77
        return run_all(tests, args)


def run_all(tests, args):
    run = Run(tests, args)
    print(f"1..{len(tests) + run.captures}", flush=True)
    for w in run.workers:
        w.start()
    for w in run.workers:
        w.join()
    try:
        if run.captures:
            run.tell_of_captures(len(tests) + 1)
    finally:
        shutil.rmtree(run.captured, ignore_errors=True)
    print("# " + ", ".join(f"{n} {v}" for v, n in sorted(run.count.items())))
    for test in run.bad:
        print(f"# see {test}")
    if args.write_failures:
        write_failures(run.failed, {t: r for t, r in run.expected.items() if t not in run.takes})
        return 0
    return 1 if run.bad or run.errors else 0


if __name__ == "__main__":
    sys.exit(main())
