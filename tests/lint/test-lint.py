#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The checkers pass over the tree, and refuse each file made to be refused."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
REJECT = os.path.join(HERE, "reject")
count = 0
failed = 0


def run(script, *args):
    return subprocess.run([sys.executable, os.path.join(HERE, script), *args], capture_output=True, text=True)


def result(ok, name, output=""):
    global count, failed
    count += 1
    failed += not ok
    print("%s %d - %s" % ("ok" if ok else "not ok", count, name))
    if not ok:
        for line in output.splitlines():
            print("# " + line)


r = run("layers.py", TOP)
result(r.returncode == 0, "layers", r.stdout + r.stderr)
r = run("style.py", TOP)
result(r.returncode == 0, "style", r.stdout + r.stderr)

r = run("layers.py", os.path.join(REJECT, "layers"))
for name in ("core/base/up.c:3", "modules/bad/bad.c:3", "modules/bad/bad.c:4", "include/lares/bad.h:3"):
    result(r.returncode == 1 and name + ":" in r.stdout, "layers refuses " + name, r.stdout + r.stderr)
for name in sorted(os.listdir(os.path.join(REJECT, "style"))):
    r = run("style.py", os.path.join(REJECT, "style"), name)
    result(r.returncode == 1 and name in r.stdout, "style refuses " + name, r.stdout + r.stderr)
print("1..%d" % count)
sys.exit(failed != 0)
