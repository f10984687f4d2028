# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables of bench/run: on the terminal and in markdown for docs/performance.md."""

import os
import platform
import re
import subprocess


def first_line(*argv):
    try:
        out = subprocess.run(argv, check=False, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return (out.stdout or out.stderr).strip().splitlines()[0] if out.stdout or out.stderr else ""


def package(name):
    try:
        out = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], check=False,
                             capture_output=True, text=True).stdout
    except OSError:
        out = ""
    return out or "unknown"


def machine():
    """One paragraph on the machine and the versions."""
    with open("/proc/cpuinfo") as f:
        info = f.read()
    model = re.search(r"model name\s*:\s*(.*)", info)
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"MemTotal:\s*(\d+)", f.read()).group(1)) / 1024 / 1024
    flags = re.search(r"flags\s*:\s*(.*)", info)
    have = set(flags.group(1).split()) if flags else set()
    wanted = [f for f in ("aes", "sha_ni", "avx2", "vaes") if f in have]
    system = "unknown"
    if os.path.exists("/etc/os-release"):
        with open("/etc/os-release") as f:
            system = re.search(r'PRETTY_NAME="?([^"\n]*)', f.read()).group(1)
    return (f"{os.cpu_count()} processors ({model.group(1) if model else platform.machine()}; "
            f"{' '.join(wanted) or 'no AES instructions'}), {memory:.0f} GiB memory, {system}, "
            f"Linux {platform.release()}, {first_line('openssl', 'version')}, "
            f"MIT krb5 {package('libkrb5-3')}, nfs-ganesha {package('nfs-ganesha')}, samba {package('samba')}")


def figure(v):
    """Three significant digits."""
    if v is None:
        return "-"
    if v >= 100:
        return f"{v:,.0f}"
    return f"{v:.1f}" if v >= 10 else f"{v:.2f}"


def ratio(a, b):
    return "-" if a is None or not b else f"{a / b:.2f}"


class Table:
    def __init__(self, title, columns, note=""):
        self.title = title
        self.columns = columns
        self.note = note
        self.rows = []

    def add(self, *cells):
        self.rows.append([c if isinstance(c, str) else figure(c) for c in cells])

    def text(self):
        lines = [self.columns] + self.rows
        widths = [max(len(r[i]) for r in lines) for i in range(len(self.columns))]
        out = [self.title]
        for r in lines:
            cells = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))]
            out.append("  " + "  ".join(cells))
        return "\n".join(out) + ("\n  " + self.note if self.note else "") + "\n"

    def markdown(self):
        out = [f"### {self.title}", "", "| " + " | ".join(self.columns) + " |",
               "|---" + "|---:" * (len(self.columns) - 1) + "|"]
        out += ["| " + " | ".join(r) + " |" for r in self.rows]
        return "\n".join(out) + "\n" + ("\n" + self.note + "\n" if self.note else "")
