#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command with what a systemd unit leaves it, where no systemd runs: sandbox.py UNIT COMMAND …

Done as systemd.exec(5) says, from the unit's own lines: CapabilityBoundingSet, NoNewPrivileges, MemoryDenyWriteExecute,
ProtectSystem=full, PrivateTmp, PrivateDevices, ProtectProc, ProtectKernelTunables, ProtectControlGroups,
RestrictAddressFamilies, RestrictNamespaces, SystemCallFilter and SystemCallErrorNumber. Needs root, setpriv, mount and
systemd-analyze (for the names in a group of system calls); x86-64 only.
"""
import ctypes
import os
import re
import struct
import subprocess
import sys
import tempfile

CLONE_NEWNS = 0x00020000
ALL_NAMESPACES = 0x7E020080
EPERM = 1
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 22, 38, 65
LIBC = ctypes.CDLL(None, use_errno=True)
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


def settings(path):
    """{key: all its words}, empty lines of a list are not special here."""
    found = {}
    with open(path) as f:
        for key, value in re.findall(r"^(\w+)=(.*)$", f.read(), re.M):
            found.setdefault(key, []).extend(value.split())
    return found


def run(*args):
    subprocess.run(args, check=True, stdin=subprocess.DEVNULL)


def yes(unit, key):
    return unit.get(key) == ["yes"]


# ---- The file system -------------------------------------------------------------------------------------------------

def read_only(*paths):
    for path in paths:
        if os.path.isdir(path):
            run("mount", "--rbind", path, path)
            run("mount", "-o", "remount,bind,ro", path)


def private_devices():
    kept = ("null", "zero", "full", "random", "urandom", "tty")
    made = tempfile.mkdtemp(prefix="lares-sandbox-", dir="/run")  # one's own: removing it ends mounts of others on it
    run("mount", "-t", "tmpfs", "-o", "mode=755,nosuid,noexec", "none", made)
    for name in kept:
        open(made + "/" + name, "w").close()
        run("mount", "--bind", "/dev/" + name, made + "/" + name)
    run("mount", "--move", made, "/dev")
    os.rmdir(made)


def restrict_files(unit):
    if LIBC.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    run("mount", "--make-rprivate", "/")
    if unit.get("ProtectSystem") == ["full"]:
        read_only("/usr", "/boot", "/efi", "/etc")
    if yes(unit, "PrivateTmp"):
        for path in ("/tmp", "/var/tmp"):
            run("mount", "-t", "tmpfs", "-o", "mode=1777", "none", path)
    if yes(unit, "PrivateDevices"):
        private_devices()
    if unit.get("ProtectProc") == ["invisible"]:
        run("mount", "-t", "proc", "-o", "nosuid,nodev,noexec,hidepid=invisible", "proc", "/proc")
    if yes(unit, "ProtectKernelTunables"):
        read_only("/proc/sys", "/sys")
    if yes(unit, "ProtectControlGroups"):
        read_only("/sys/fs/cgroup")


# ---- System calls ----------------------------------------------------------------------------------------------------

def numbers():
    """{name: number}, from the C library's headers."""
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-xc", "/dev/null"], check=True,
                          capture_output=True, text=True).stdout
    return {n: int(v) for n, v in re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.M)}


def group(name):
    """The system calls of one word of SystemCallFilter."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], check=True, capture_output=True,
                          text=True).stdout
    calls = set()
    for word in re.findall(r"^ +(@?\w[\w-]*|@[\w-]+)$", text, re.M):
        calls |= group(word)
    return calls


def statement(code, jt, jf, k):
    return struct.pack("HBBI", code, jt, jf, k)


def load(offset):
    return statement(0x20, 0, 0, offset)


def equal(k, skip):
    """Goes on when the loaded word is k, else skips so many."""
    return statement(0x15, 0, skip, k)


ALLOW, REFUSE = statement(0x06, 0, 0, 0x7FFF0000), statement(0x06, 0, 0, 0x00050000 | EPERM)


def program(unit):
    """The BPF program: the number is at 0, the architecture at 4, the low half of argument N at 16 + 8 N."""
    number = numbers()
    allowed = sorted(number[n] for word in unit["SystemCallFilter"] for n in group(word) if n in number)
    code = [load(4), equal(0xC000003E, 1), statement(0x05, 0, 0, 1), REFUSE, load(0)]
    if "RestrictAddressFamilies" in unit:
        families = [FAMILIES[f] for f in unit["RestrictAddressFamilies"]]
        code += [equal(number["socket"], 2 * len(families) + 2), load(16)]
        for f in families:
            code += [equal(f, 1), ALLOW]
        code += [REFUSE]
    if yes(unit, "RestrictNamespaces"):
        for call in ("clone", "unshare"):
            code += [equal(number[call], 4), load(16), statement(0x45, 0, 1, ALL_NAMESPACES & 0xFFFFFFFF), REFUSE, ALLOW]
        code += [equal(number["setns"], 1), REFUSE]
    for n in allowed:
        code += [equal(n, 1), ALLOW]
    return b"".join(code + [REFUSE])


def restrict_calls(code):
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
    if LIBC.prctl(PR_SET_SECCOMP, 2, ctypes.byref(filter_), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


# ---- Privileges ------------------------------------------------------------------------------------------------------

def capabilities(unit):
    """As setpriv takes them."""
    return "-all," + ",".join("+" + c.removeprefix("CAP_").lower() for c in unit["CapabilityBoundingSet"])


def main():
    unit, command = settings(sys.argv[1]), sys.argv[2:]
    code = program(unit)
    restrict_files(unit)
    if yes(unit, "MemoryDenyWriteExecute"):
        LIBC.prctl(PR_SET_MDWE, 1, 0, 0, 0)  # Linux 6.3; without it one restriction less is tried
    if yes(unit, "NoNewPrivileges"):
        LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # What setpriv itself needs: the filter comes first, so it is tried on it, too.
    restrict_calls(code)
    os.execvp("setpriv", ["setpriv", "--bounding-set", capabilities(unit), "--inh-caps", "-all", *command])


if __name__ == "__main__":
    main()
