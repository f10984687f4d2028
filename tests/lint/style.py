#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What machines can judge of STYLE: clang-format, the SPDX line, the sentence on what a room does, tabs, length, leftovers.

usage: style.py TREE [FILE…]      (without files: everything git knows in TREE, or every file below it)"""
import os
import re
import shutil
import subprocess
import sys

SPDX = "SPDX-License-Identifier: LGPL-2.1-or-later"
LONGEST = 700
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
PATHS = re.compile(r"/w[o]rk/(wt|main|shared)|/home/somebody/")
OURS = (".c", ".h", ".py", ".sh", ".build", ".service", ".service.in", ".socket", ".8", ".1.in", ".5.in", ".po")


def known_files(top):
    r = subprocess.run(["git", "-C", top, "ls-files"], capture_output=True, text=True)
    names = r.stdout.split("\n") if r.returncode == 0 else []
    if not names:
        names = [os.path.relpath(os.path.join(b, f), top) for b, _, fs in os.walk(top) for f in fs]
    return [n for n in names if os.path.isfile(os.path.join(top, n))
            and not n.startswith(os.path.join("tests", "lint", "reject") + os.sep)]


def is_source(name, text):
    """Scripts have no suffix; units and manual pages are as much ours as C is."""
    return name.endswith(OURS) or text.startswith("#!")


def check_text(name, text, bad):
    lines = text.split("\n")
    if is_source(name, text) and not any(SPDX in line for line in lines[:3]):
        bad.append("%s: no SPDX line" % name)
    if name.endswith((".c", ".h")):
        if len(lines) < 2 or not lines[1].startswith("/*"):
            bad.append("%s:2: say in a sentence what this file does" % name)
        if "\t" in text:
            bad.append("%s: tabs" % name)
        if len(lines) > LONGEST:
            bad.append("%s: %d lines; cut it" % (name, len(lines)))
    for n, line in enumerate(lines, 1):
        found = name.endswith((".c", ".h")) and LEFTOVER.search(line)
        found = found or not name.endswith("style.py") and PATHS.search(line)
        if found:
            bad.append("%s:%d: \"%s\" has no place here" % (name, n, found.group(0)))


def check_format(top, names, bad):
    if not shutil.which("clang-format"):
        print("clang-format is not installed: layout not checked", file=sys.stderr)
        return
    config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".clang-format")
    for i in range(0, len(names), 40):
        r = subprocess.run(["clang-format", "--style=file:" + config, "--dry-run", "-Werror", *names[i:i + 40]], cwd=top,
                           capture_output=True, text=True)
        for found in sorted(set(re.findall(r"^([^:\n]+):\d+:\d+: error", r.stderr, re.M))):
            bad.append("%s: not as clang-format lays it out" % found)


def main():
    top, names = sys.argv[1], sys.argv[2:]
    names = names or known_files(top)
    bad = []
    for name in names:
        with open(os.path.join(top, name), "rb") as f:
            data = f.read()
        try:
            check_text(name, data.decode(), bad)
        except UnicodeDecodeError:
            if name.endswith(OURS):
                bad.append("%s: not UTF-8" % name)
    check_format(top, [n for n in names if n.endswith((".c", ".h"))], bad)
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
