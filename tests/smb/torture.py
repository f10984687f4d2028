#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Samba's smbtorture against laresd, one test at a time, each on an empty share and with a time-out.

    tests/smb/torture.py                    all of the classes core, durable and fs
    tests/smb/torture.py smb2.lock …        the tests whose names begin so, of any class
    tests/smb/torture.py --quick            the handful that ./check runs
    tests/smb/torture.py --write-failures   renews expected-failures.tsv: reasons stay, new rows wait for theirs

What is known to fail stands in expected-failures.tsv, each with its reason. The run fails when another test fails, or when
one of the list passes or has no reason. LARES_BUILD names the build folder."""
import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from laresd import LaresdError  # noqa: E402
from smb_server import SmbServer, missing  # noqa: E402

LIST = HERE / "torture.tsv"
FAILURES = HERE / "expected-failures.tsv"
UNEXPLAINED = "?"
GATING = ("core", "durable", "fs")
PASSWORD = "correct horse"
# One or two of each room, none of them slow.
QUICK = """smb2.connect smb2.tcon smb2.read.position smb2.rw.rw1 smb2.lock.valid-request smb2.lock.rw-exclusive
smb2.session.reconnect1 smb2.session.reauth1 smb2.create.gentest smb2.create.open smb2.compound.related1
smb2.compound.unrelated1 smb2.credits.session_setup_credits_granted smb2.dir.find smb2.rename.simple
smb2.oplock.exclusive1 smb2.lease.request smb2.durable-open.open-oplock smb2.notify.valid-req smb2.streams.io
smb2.getinfo.qfile_buffercheck smb2.setinfo smb2.acls.CREATOR smb2.ioctl.req_resume_key
smb2.sharemode.sharemode-access smb2.delete-on-close-perms.CREATE smb2.maximum_allowed.maximum_allowed""".split()
RESULT = re.compile(r"^(success|failure|error|skip|skip-testsuite|xfail): (.*?)(?: \[)?$", re.M)


def rows(path):
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


class Torture:
    """A server that lives as long as it can, and an empty share for each test."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="torture-"))
        os.chmod(self.work, 0o755)
        self.server = None
        self.n = 0

    def start(self):
        self.n += 1
        self.server = SmbServer(self.work / f"server{self.n}", smb={"encryption": "offered"})
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
            self.server.add_share("torture", folder, ["ntlm"])
        os.chown(folder, 20001, -1)
        os.chmod(folder, 0o777)

    def run(self, test):
        """(verdict, what was said): pass, fail, skip, timeout, crash."""
        if not self.server:
            self.start()
        self.share()
        s = self.server
        argv = ["smbtorture", "//127.0.0.1/torture", "-s", s.conf, "-p", s.port, "-U", "ada%" + PASSWORD,
                "--use-kerberos=off", "--option=torture:progress=no", test]
        with open(self.work / "said", "w+", errors="replace") as said:
            p = subprocess.Popen([str(a) for a in argv], env=s.environ(), stdin=subprocess.DEVNULL, stdout=said,
                                 stderr=subprocess.STDOUT, cwd=s.client_dir, start_new_session=True)
            try:
                p.wait(self.seconds)
                late = False
            except subprocess.TimeoutExpired:
                late = True
            try:
                os.killpg(p.pid, signal.SIGKILL)  # it forks for some tests
            except ProcessLookupError:
                pass
            p.wait()
            said.seek(0)
            text = said.read()
        if s.laresd.process.poll() is not None:
            log = s.laresd.log()[-4000:]
            self.end(died=True)
            return "crash", text + log
        try:
            s.laresd.check_log()
        except LaresdError as e:
            self.end(died=True)
            return "crash", text + str(e)
        if late:
            return "timeout", text
        verdicts = {m.group(1) for m in RESULT.finditer(text)}
        if p.returncode == 0 and "success" in verdicts and not verdicts & {"failure", "error"}:
            return "pass", text
        return ("skip" if verdicts and verdicts <= {"skip", "skip-testsuite"} else "fail"), text


def why(text):
    """The line of smbtorture's that says what was wrong, for a row without a reason."""
    m = re.search(r"^(?:failure|error): .*?\[\n(.*?)\n\]", text, re.M | re.S)
    lines = (m.group(1) if m else text).strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""


def wanted(args):
    tests = [(r[0], r[1]) for r in rows(LIST)]
    if args.quick:
        known = {name for name, _ in tests}
        return [t for t in QUICK if t in known]
    if args.tests:
        return [name for name, _ in tests if any(name == t or name.startswith(t + ".") for t in args.tests)]
    return [name for name, group in tests if group in GATING or args.all]


def write_failures(failed, old):
    """`failed`: test -> what was wrong, of the tests that ran; `old`: test -> reason, of those that did not fail now."""
    head = [line for line in FAILURES.read_text().splitlines() if line.startswith("#")]
    known = dict(rows(FAILURES))
    table = {**old, **{t: known.get(t, f"{UNEXPLAINED} {text}") for t, text in failed.items()}}
    FAILURES.write_text("\n".join(head + [f"{t}\t{table[t]}" for t in sorted(table)]) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("tests", nargs="*")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--all", action="store_true", help="every class")
    p.add_argument("--list", action="store_true")
    p.add_argument("--seconds", type=float, default=60, help="for each test")
    p.add_argument("--show", action="store_true", help="what smbtorture says about a failure")
    p.add_argument("--write-failures", action="store_true")
    args = p.parse_args()
    tests = wanted(args)
    if args.list:
        print("\n".join(tests))
        return 0
    if missing("smbtorture"):
        print("1..0 # SKIP smbtorture is not installed (Debian: samba-testsuite)")
        return 77
    expected = dict(rows(FAILURES))
    count, failed, bad = {}, {}, []
    torture = Torture(args.seconds)
    print(f"1..{len(tests)}", flush=True)
    try:
        for i, test in enumerate(tests, 1):
            began = time.monotonic()
            verdict, text = torture.run(test)
            count[verdict] = count.get(verdict, 0) + 1
            known = test in expected
            fine = verdict == "skip" or (verdict == "pass") != known
            if verdict not in ("pass", "skip"):
                failed[test] = f"{verdict}: {why(text)}"
            if known and expected[test].startswith(UNEXPLAINED):
                fine = fine and args.write_failures
            if not fine:
                bad.append(test)
            note = {"skip": " # SKIP", "pass": " # passes: take it out of expected-failures.tsv" if known else ""}.get(
                verdict, f" # {'TODO ' + expected[test] if known else verdict + ': ' + why(text)}")
            ok = "ok" if verdict in ("pass", "skip") and fine else "not ok"
            print(f"{ok} {i} {test}{note} # {time.monotonic() - began:.1f} s", flush=True)
            if args.show and verdict not in ("pass", "skip"):
                print("# " + text.replace("\n", "\n# "), flush=True)
        torture.end()
    finally:
        torture.end(died=True)
        shutil.rmtree(torture.work, ignore_errors=True)
    print("# " + ", ".join(f"{n} {v}" for v, n in sorted(count.items())))
    if args.write_failures:
        write_failures(failed, {t: r for t, r in expected.items() if t not in tests})
        return 0
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
