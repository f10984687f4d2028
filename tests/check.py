# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the whole suite and counts: the engine of ./check.

Each stage builds what it needs in a folder of its own below build-check/ and reports single tests. The plain tests
come first and alone, since some of them measure time, and what they leave idle builds for the other stages; then the
address sanitizer's tests run beside the virtual machines, which compute and wait by turns, and all other stages. What
takes more than some seconds runs once: tests of suite `sanitized` (most of what is long) under the address sanitizer
only, tests of suite `plain` (time and peers are measured, or other programs take the time) with the plain build only;
all others run with both. A stage that cannot build counts as one failed test. The last line is "N passed, N failed, N
skipped"; the exit code is 0 only if none failed.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILDS = TOP / "build-check"
JOBS = str(os.cpu_count() or 2)


class Result:
    def __init__(self):
        self.passed, self.failed, self.skipped = [], [], []

    def note(self, verdict, name, seconds=None):
        """From any thread."""
        {"PASS": self.passed, "FAIL": self.failed, "SKIP": self.skipped}[verdict].append(name)
        took = f" ({seconds:.1f} s)" if seconds is not None else ""
        print(f"  {verdict} {name}{took}\n", end="", flush=True)


def run(command, log, env=None, timeout=2400):
    """True when the command succeeds; its output goes to the log file."""
    with open(log, "wb") as out:
        try:
            return subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                  env={**os.environ, **(env or {})}, timeout=timeout).returncode == 0
        except subprocess.TimeoutExpired:
            out.write(b"\n(timed out)\n")
            return False


def show_end(log, lines=40):
    text = pathlib.Path(log).read_text(errors="replace").splitlines()
    print("\n".join("    | " + line for line in text[-lines:]), flush=True)


DEBUG = "-Dc_args=-g1"  # lines and functions are all that a report shows; the rest takes a third of the compilers' time
SANITIZED = ["-Doptimization=1", "-Db_lundef=false"]


def suite_targets(suite):
    """What the tests of a suite need, and no more."""
    def targets(folder):
        def ask(what):
            return json.loads(subprocess.run(["meson", "introspect", what, str(folder)], check=True, capture_output=True,
                                             text=True).stdout)
        wanted = {target for test in ask("--tests") if f"lares:{suite}" in test["suite"] for target in test["depends"]}
        return [os.path.relpath(name, folder) for target in ask("--targets") if target["id"] in wanted
                for name in target["filename"]]
    return targets


class Build:
    """A build folder. What needs it calls ready(); the first call builds, and is what is reported."""

    def __init__(self, name, options, env=None, targets=lambda folder: [], werror=True):
        self.folder, self.name, self.log = BUILDS / name, name, BUILDS / f"{name}.log"
        self.options, self.env, self.targets, self.werror = options, env, targets, werror
        self.lock, self.outcome = threading.Lock(), None

    def _setup(self, priority):
        # A folder that meson gave up on half-way cannot be configured again.
        again = ["--reconfigure"] if (self.folder / "build.ninja").exists() else []
        return run([*priority, "meson", "setup", str(self.folder), f"-Dwerror={str(self.werror).lower()}", DEBUG,
                    *self.options, *again], self.log, self.env)

    def _ninja(self, priority):
        return [*priority, "ninja", "-C", str(self.folder), "-j", JOBS, *self.targets(self.folder)]

    def ahead(self, stop):
        """Builds with what others leave idle, until `stop` is set; ready() does the rest."""
        if not self._setup(["nice", "-n", "19"]):
            return
        with open(BUILDS / f"{self.name}-ahead.log", "wb") as out:
            ninja = subprocess.Popen(self._ninja(["chrt", "--idle", "0"]), cwd=TOP, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, env={**os.environ, **(self.env or {})})
            while ninja.poll() is None:
                if stop.wait(0.5):
                    ninja.terminate()
                    ninja.wait()

    def ready(self, result):
        """The folder, or None if it does not build. From any thread."""
        with self.lock:
            if self.outcome is None:
                started = time.monotonic()
                # Compilers let tests and guests that run meanwhile go first.
                self.outcome = self._setup([]) and run(self._ninja(["nice", "-n", "5"]), self.log, self.env)
                if not self.outcome:
                    show_end(self.log)
                result.note("PASS" if self.outcome else "FAIL", f"{self.name}: build", time.monotonic() - started)
            return self.folder if self.outcome else None


def meson_tests(result, folder, arguments, env=None):
    """Runs meson's tests of a build folder and reports each."""
    name = folder.name
    log = BUILDS / f"{name}-tests.log"
    records = folder / "meson-logs" / "testlog.json"
    records.unlink(missing_ok=True)
    run(["meson", "test", "-C", str(folder), "--no-rebuild", "--print-errorlogs", *arguments], log, env)
    if not records.exists():
        show_end(log)
        result.note("FAIL", f"{name}: tests did not run")
        return
    ran = 0
    for line in records.read_text().splitlines():
        record = json.loads(line)
        verdict = {"OK": "PASS", "EXPECTEDFAIL": "PASS", "SKIP": "SKIP"}.get(record["result"], "FAIL")
        ran += 1
        result.note(verdict, f"{name}: {record['name']}", record["duration"])
        if verdict == "FAIL":
            text = (record.get("stdout") or "") + (record.get("stderr") or "")
            print("\n".join("    | " + line for line in text.splitlines()[-40:]), flush=True)
    if not ran:
        result.note("FAIL", f"{name}: no test ran")


BUILT = {build.name: build for build in [
    Build("gcc", []),
    # Clang's, with its coverage: the fuzzers' build is the address sanitizer's too.
    # By lld: the usual linker takes half as long again, for some hundred programs.
    Build("asan", ["-Dfuzz=true", "-Db_sanitize=address,undefined", "-Dc_link_args=-fuse-ld=lld", *SANITIZED], {"CC": "clang"}),
    Build("tsan", ["-Db_sanitize=thread", *SANITIZED], targets=suite_targets("tsan"),
          werror=False),  # gcc warns of what the sanitizer adds
    Build("without-krb5", ["-Dkrb5=disabled", "-Dtests=false", "-Doptimization=0", "-Ddebug=false"])]}


def stage_gcc(result):
    folder = BUILT["gcc"].ready(result)
    if folder:
        meson_tests(result, folder, ["--num-processes", JOBS, "--timeout-multiplier", "4", "--no-suite", "sanitized"])


def stage_asan(result):
    """All with clang, without a warning; the fuzzers with their corpora run a fixed number of rounds."""
    folder = BUILT["asan"].ready(result)
    if folder:
        meson_tests(result, folder, ["--num-processes", JOBS, "--timeout-multiplier", "4", "--no-suite", "plain"],
                    {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:include_if_exists="
                     f"{TOP / 'tests' / 'lib' / 'asan' / '%b'}",
                     "LSAN_OPTIONS": f"suppressions={TOP / 'tests' / 'lib' / 'lsan.supp'}:print_suppressions=0",
                     "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
                     # GLib's other one is C++, whose exceptions clang's runtime in a program of C does not know.
                     "GIO_USE_PROXY_RESOLVER": "dummy"})


VERDICT = re.compile(r"^(PASS|FAIL|SKIP)\s+(.*)$")


def stage_vm(result):
    """A real Linux kernel as the client."""
    folder = BUILT["gcc"].ready(result)
    if not folder:
        return
    log = BUILDS / "vm.log"
    process = subprocess.Popen([str(TOP / "tests" / "vm" / "run"), "--build", str(folder), "--sizes", "quick",
                                "--jobs", str(int(JOBS) + 1)],  # one guest waits while others compute
                               cwd=TOP, env={**os.environ, "LARES_VM_PATIENCE": "4"},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ran = failed = 0
    with open(log, "w") as out:
        for line in process.stdout:
            out.write(line)
            match = VERDICT.match(line)
            if match:
                result.note(match[1], f"vm: {match[2]}")
                ran += 1
                failed += match[1] == "FAIL"
            elif line.startswith("    ") or line.startswith("#"):
                print("    | " + line.rstrip(), flush=True)
    if process.wait() != 0 and not failed:
        show_end(log)
        result.note("FAIL", "vm: the run itself")
    if not ran:
        show_end(log)
        result.note("FAIL", "vm: no check ran")


def stage_tsan(result):
    folder = BUILT["tsan"].ready(result)
    if folder:
        meson_tests(result, folder, ["--num-processes", "1", "--timeout-multiplier", "4", "--suite", "tsan"],
                    {"G_SLICE": "always-malloc",  # GLib's own allocator is invisible to it
                     "TSAN_OPTIONS": "halt_on_error=1:exitcode=99:second_deadlock_stack=1"})


def stage_without_krb5(result):
    """The server of a distribution that ships the krb5 module apart builds; suite e2e runs it without the module."""
    BUILT["without-krb5"].ready(result)


ALONE = "gcc"    # before everything else
LONGEST = "asan"  # after it, beside all others in turn


def run_stage(result, name):
    started = time.monotonic()
    print(f"== {name}\n", end="", flush=True)
    try:
        STAGES[name](result)
    except Exception as error:  # pylint: disable=broad-except
        result.note("FAIL", f"{name}: {error!r}")
    print(f"== {name}: {time.monotonic() - started:.0f} s\n", end="", flush=True)


def build_ahead(names, stop):
    for name in names:
        if name in BUILT and not stop.is_set():
            BUILT[name].ahead(stop)


def run_alone(result, others):
    """The plain tests; what they leave idle builds for the others."""
    stop = threading.Event()
    BUILT[ALONE].ready(result)
    ahead = threading.Thread(target=build_ahead, args=(others, stop))
    ahead.start()
    run_stage(result, ALONE)
    stop.set()
    ahead.join()


def run_in_turn(result, names):
    for name in names:
        run_stage(result, name)


def run_stages(result, names):
    if ALONE in names:
        run_alone(result, [name for name in names if name != ALONE])
    beside = threading.Thread(target=run_in_turn, args=(result, [name for name in names if name not in (ALONE, LONGEST)]))
    beside.start()
    run_in_turn(result, [name for name in names if name == LONGEST])
    beside.join()


STAGES = {name[len("stage_"):].replace("_", "-"): function for name, function in list(globals().items())
          if name.startswith("stage_")}


def main():
    wanted = sys.argv[1:] or list(STAGES)
    if wanted == ["--list"]:
        print("\n".join(STAGES))
        return 0
    unknown = [name for name in wanted if name not in STAGES]
    if unknown:
        print(f"no such stage: {', '.join(unknown)} (there are: {', '.join(STAGES)})", file=sys.stderr)
        return 2
    BUILDS.mkdir(exist_ok=True)
    result = Result()
    run_stages(result, wanted)
    if result.failed:
        print("\nFailed:")
        for name in result.failed:
            print(f"  {name}")
    print(f"{len(result.passed)} passed, {len(result.failed)} failed, {len(result.skipped)} skipped")
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
