# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the whole suite and counts: the engine of ./check.

Each stage builds what it needs in a folder of its own below build-check/ and reports single tests. The plain tests come
first and alone, since some of them measure time; then the virtual machines, which compute and wait by turns, run beside
all other stages. What takes more than some seconds runs once: tests of suite `sanitized` (most of what is long) under
the address sanitizer only, tests of suite `plain` (time and peers are measured, or other programs take the time) with
the plain build only; all others run with both. A stage that cannot build counts as one failed test. The last line is "N passed, N failed, N skipped";
the exit code is 0 only if none failed.
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


def run(command, log, env=None, timeout=1500):
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


def all_targets(_folder):
    return []


def what_is_installed(folder):
    """Targets that are not for tests only."""
    told = subprocess.run(["meson", "introspect", "--targets", str(folder)], check=True, capture_output=True, text=True).stdout
    return [os.path.relpath(name, folder) for target in json.loads(told) for name in target["filename"]
            if target["build_by_default"] and TOP / "tests" not in pathlib.Path(target["defined_in"]).parents]


def build(result, name, options, env=None, targets=all_targets, werror=True):
    """Configures and builds the targets that targets(folder) names (None: configures, and the tests build what they
    need); returns the folder, None if that fails."""
    folder = BUILDS / name
    log = BUILDS / f"{name}.log"
    started = time.monotonic()
    # A folder that meson gave up on half-way cannot be configured again.
    ready = (folder / "build.ninja").exists()
    setup = ["meson", "setup", str(folder), f"-Dwerror={str(werror).lower()}", DEBUG, *options] + (["--reconfigure"] if ready else [])
    # Compilers let tests and guests that run meanwhile go first.
    ninja = ["nice", "-n", "5", "ninja", "-C", str(folder), "-j", JOBS]
    if run(setup, log, env) and (targets is None or run(ninja + targets(folder), log, env)):
        result.note("PASS", f"{name}: build", time.monotonic() - started)
        return folder
    show_end(log)
    result.note("FAIL", f"{name}: build", time.monotonic() - started)
    return None


def meson_tests(result, folder, arguments, env=None, rebuild=False):
    """Runs meson's tests of a build folder and reports each."""
    name = folder.name
    log = BUILDS / f"{name}-tests.log"
    records = folder / "meson-logs" / "testlog.json"
    records.unlink(missing_ok=True)
    no_rebuild = [] if rebuild else ["--no-rebuild"]
    run(["meson", "test", "-C", str(folder), *no_rebuild, "--print-errorlogs", *arguments], log, env)
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


def stage_gcc(result):
    folder = build(result, "gcc", [])
    if folder:
        meson_tests(result, folder, ["--num-processes", JOBS, "--no-suite", "sanitized"])


def stage_asan(result):
    folder = build(result, "asan", ["-Db_sanitize=address,undefined", *SANITIZED],
                   werror=False)  # gcc warns of what the sanitizers add
    if folder:
        meson_tests(result, folder, ["--num-processes", JOBS, "--timeout-multiplier", "4", "--no-suite", "plain"],
                    {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
                     "LSAN_OPTIONS": f"suppressions={TOP / 'tests' / 'lib' / 'lsan.supp'}:print_suppressions=0",
                     "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99"})


def stage_tsan(result):
    folder = build(result, "tsan", ["-Db_sanitize=thread", *SANITIZED], targets=None, werror=False)
    if folder:
        meson_tests(result, folder, ["--num-processes", "1", "--timeout-multiplier", "4", "--suite", "tsan"],
                    {"G_SLICE": "always-malloc",  # GLib's own allocator is invisible to it
                     "TSAN_OPTIONS": "halt_on_error=1:exitcode=99:second_deadlock_stack=1"}, rebuild=True)


def stage_clang(result):
    """Everything that is installed builds with clang and no warning; the fuzzers with their corpora, a fixed number of
    rounds, with clang's coverage."""
    folder = build(result, "clang", ["-Dfuzz=true", "-Db_sanitize=address,undefined", *SANITIZED],
                   {"CC": "clang"}, targets=what_is_installed)
    if folder:
        meson_tests(result, folder, ["--num-processes", JOBS, "--suite", "fuzz"], rebuild=True)


def stage_without_krb5(result):
    """The server of a distribution that ships the krb5 module apart builds; suite e2e runs it without the module."""
    build(result, "without-krb5", ["-Dkrb5=disabled", "-Dtests=false", "-Doptimization=0", "-Ddebug=false"])


VERDICT = re.compile(r"^(PASS|FAIL|SKIP)\s+(.*)$")


def stage_vm(result):
    """A real Linux kernel as the client."""
    folder = build(result, "gcc", [])
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


# What runs beside one another: the thread sanitizer's tests mostly wait.
TOGETHER = [{"tsan", "clang", "without-krb5"}]
ALONE = {"gcc"}  # before everything else
BESIDE = {"vm"}  # all the time


def run_stage(result, name):
    started = time.monotonic()
    print(f"== {name}\n", end="", flush=True)
    try:
        STAGES[name](result)
    except Exception as error:  # pylint: disable=broad-except
        result.note("FAIL", f"{name}: {error!r}")
    print(f"== {name}: {time.monotonic() - started:.0f} s\n", end="", flush=True)


def run_at_once(result, names):
    threads = [threading.Thread(target=run_stage, args=(result, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_in_turn(result, names):
    left = list(names)
    while left:
        group = next((g for g in TOGETHER if left[0] in g), {left[0]})
        run_at_once(result, [name for name in left if name in group])
        left = [name for name in left if name not in group]


def run_stages(result, names):
    run_in_turn(result, [name for name in names if name in ALONE])
    beside = threading.Thread(target=run_at_once, args=(result, [name for name in names if name in BESIDE]))
    beside.start()
    run_in_turn(result, [name for name in names if name not in ALONE | BESIDE])
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
