#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs tirpc-gss in a private realm against a server: tirpc-gss.py PROGRAM [ganesha|lares].

Exit 77 (skipped) where the server or the Kerberos tools are not installed."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from serving import serving, skip_unless  # noqa: E402


def main():
    program, kind = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "ganesha"
    skip_unless(kind)
    with serving(kind) as s:
        return subprocess.run([program, "127.0.0.1", str(s.port), "localhost"], env=s.environ,
                              check=False, timeout=60).returncode


if __name__ == "__main__":
    sys.exit(main())
