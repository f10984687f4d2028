#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A room looks down, never up; a module sees the contract and its own folder.

usage: layers.py TREE"""
import os
import re
import sys

# From the ground up. A room may include itself and those before it.
ROOMS = ["base", "metrics", "identity", "auth", "store", "state", "share", "files", "net", "module", "control", "server"]
INCLUDE = re.compile(r'^[ \t]*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
# What stands above the rooms it serves although it is listed below them, each with its reason.
ALLOWED = {}


def sources(top, folder):
    for base, _, files in os.walk(os.path.join(top, folder)):
        for f in sorted(files):
            if f.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(base, f), top)


def includes(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), f.read(), flags=re.S)
    for m in INCLUDE.finditer(text):
        yield text.count("\n", 0, m.start()) + 1, m.group(1), m.group(2)


def check_core(top, bad):
    for path in sources(top, "core"):
        room = path.split(os.sep)[1]
        if room not in ROOMS:
            bad.append("%s: core has no room \"%s\"" % (path, room))
            continue
        for line, kind, name in includes(top, path):
            first = name.split("/")[0]
            if kind == "<" or name == "lares-config.h":
                if first in ROOMS and os.path.exists(os.path.join(top, "core", name)):
                    bad.append("%s:%d: write \"%s\", it is not a public header" % (path, line, name))
                continue
            if first not in ROOMS or "/" not in name:
                bad.append("%s:%d: \"%s\" does not name its room" % (path, line, name))
            elif ROOMS.index(first) > ROOMS.index(room) and (path, name) not in ALLOWED:
                bad.append("%s:%d: %s looks up to %s (\"%s\")" % (path, line, room, first, name))


def check_public(top, bad):
    for path in sources(top, "include"):
        for line, kind, name in includes(top, path):
            if kind == '"' or name.split("/")[0] in ROOMS or name == "lares-config.h":
                bad.append("%s:%d: a public header includes \"%s\"" % (path, line, name))


def check_modules(top, bad):
    for path in sources(top, "modules"):
        module = os.path.join(top, *path.split(os.sep)[:2])
        for line, kind, name in includes(top, path):
            first = name.split("/")[0]
            inside = any(os.path.exists(os.path.join(base, name)) for base, _, _ in os.walk(module))
            made = name in ("lares-config.h", "org.lares.Lares1.h")  # by the build
            if kind == '"' and not inside and not made:
                bad.append("%s:%d: \"%s\" is neither the module's own nor the contract's" % (path, line, name))
            elif kind == "<" and first in ROOMS and os.path.exists(os.path.join(top, "core", name)):
                bad.append("%s:%d: a module includes the core's <%s>" % (path, line, name))


def main():
    top = sys.argv[1]
    bad = []
    check_core(top, bad)
    check_public(top, bad)
    check_modules(top, bad)
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
