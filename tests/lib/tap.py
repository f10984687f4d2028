# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests as functions that start with `test_`, reported as TAP. Run alone: `test-x.py NAME…` (substrings)."""
import sys
import time
import traceback


class Skip(Exception):
    pass


def skip(reason):
    raise Skip(reason)


def in_time(limit, act, tries=5):
    """act() says how long it took, in seconds or as a multiple of something. Others' work on this machine makes that
    long at times; a fault does every time."""
    took = []
    while not took or took[-1] >= limit:
        assert len(took) < tries, took
        took.append(act())
    return took[-1]


def main(namespace):
    wanted = sys.argv[1:]
    tests = [(n, f) for n, f in namespace.items() if n.startswith("test_") and callable(f)
             and (not wanted or any(w in n for w in wanted))]
    failed = 0
    print("1..%d" % len(tests), flush=True)
    for i, (name, func) in enumerate(tests, 1):
        title = "%d - %s" % (i, name[5:].replace("_", "-"))
        began = time.monotonic()
        try:
            func()
            print("ok %s # %.1f s" % (title, time.monotonic() - began), flush=True)
        except Skip as e:
            print("ok %s # SKIP %s" % (title, e), flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print("not ok " + title, flush=True)
    sys.stdout.flush()
    sys.exit(failed != 0)
