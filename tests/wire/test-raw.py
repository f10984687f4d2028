#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The raw client's own checks against a server by name: test-raw.py [ganesha|lares]. TAP."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
from serving import serving, skip_unless  # noqa: E402
from nfsraw_selftest import run  # noqa: E402


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "ganesha"
    skip_unless(kind)
    with serving(kind, sec=["sys"]) as s:
        return run("127.0.0.1", s.port, s.path)


if __name__ == "__main__":
    sys.exit(main())
