#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/configuration.md has every setting as the server itself describes it: `test-configuration.py --write` renews it.

The server prints the tables that it checks settings against, so what stands there is what is true."""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("LARES_BUILD", os.path.join(TOP, "build")))
PAGE = os.path.join(TOP, "docs", "configuration.md")
BEGIN = "<!-- Printed by laresd --describe-settings from here to the end. -->\n"


def described():
    """The server's own words, from the modules of the build folder."""
    with tempfile.TemporaryDirectory() as modules:
        for name in sorted(os.listdir(os.path.join(TOP, "modules"))):
            built = os.path.join(BUILD, "modules", name, name + ".so")
            if os.path.exists(built):
                os.symlink(built, os.path.join(modules, name + ".so"))
        r = subprocess.run([os.path.join(BUILD, "core", "laresd"), "--describe-settings", "--modules-dir", modules],
                           capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return r.stdout.rstrip("\n") + "\n"


def sections(text):
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    return dict(zip(parts[1::2], [p.strip() for p in parts[2::2]]))


def keys(text):
    return set(re.findall(r"^\| `([\w-]+)` \|", text, re.M))


def main():
    with open(PAGE) as f:
        page = f.read()
    now = described()
    if "--write" in sys.argv:
        with open(PAGE, "w") as f:
            f.write(page[:page.index(BEGIN) + len(BEGIN)] + "\n" + now)
        return 0
    there, wanted = sections(page[page.index(BEGIN):]), sections(now)
    count = failed = 0
    for name, text in wanted.items():
        count += 1
        if there.get(name) == text:
            print("ok %d - %s" % (count, name))
            continue
        failed += 1
        print("# docs/configuration.md is not what laresd --describe-settings prints; tests/lint/test-configuration.py "
              "--write renews it")
        for key in sorted(keys(text) ^ keys(there.get(name, ""))):
            print("#   " + key)
        print("not ok %d - %s" % (count, name))
    # What is not built here has a section too, and nothing else has.
    modules = {d + ".module" for d in os.listdir(os.path.join(TOP, "modules")) if d != "meson.build"}
    own = {s for s in there if s.endswith(".module")}
    count += 1
    failed += own != modules
    print("%s %d - a section for each module%s" % ("ok" if own == modules else "not ok", count,
                                                   "" if own == modules else " # " + ", ".join(own ^ modules)))
    # Keys must be said to mean something.
    mute = [line for line in now.splitlines() if re.match(r"\| `", line) and re.search(r"\|\s*\|$", line)]
    count += 1
    failed += bool(mute)
    print("%s %d - every key has its sentence%s" % ("not ok" if mute else "ok", count, " # " + "; ".join(mute) if mute else ""))
    print("1..%d" % count)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
