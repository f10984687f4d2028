# SPDX-License-Identifier: LGPL-2.1-or-later
"""A network of a test's own: there the usual ports are free and nobody else's, names are what the test says, and a capture
of its loopback holds nothing but the test's own traffic. Needs root, `ip` and `mount`."""
import ctypes
import os
import pathlib
import subprocess
import tempfile

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000


def enter(hosts=None):
    """Moves this process, and with it all that it starts, to a network with a loopback only. hosts: {name: address},
    which is then all that name look-ups know. Returns why it cannot, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        return "needs network and mount namespaces"
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if hosts is not None:
        put_file("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"
                 + "".join(f"{address} {name}\n" for name, address in hosts.items()))
    return None


def put_file(path, text):
    """Other contents of a file of the system, for this process and those it starts only."""
    if not os.path.exists(path):
        overlay_folder(os.path.dirname(path))
        pathlib.Path(path).write_text(text)
        return
    with tempfile.NamedTemporaryFile("w", delete=False) as f:
        f.write(text)
    os.chmod(f.name, 0o644)
    subprocess.run(["mount", "--bind", f.name, path], check=True)
    os.unlink(f.name)  # the mount keeps it


def overlay_folder(path):
    """What is written below a folder of the system from now on stays with this process and those it starts."""
    upper = tempfile.mkdtemp(prefix="netns-")
    subprocess.run(["mount", "-t", "tmpfs", "none", upper], check=True)
    os.mkdir(upper + "/up")
    os.mkdir(upper + "/work")
    subprocess.run(["mount", "-t", "overlay", "none", "-o", f"lowerdir={path},upperdir={upper}/up,workdir={upper}/work",
                    path], check=True)
    subprocess.run(["umount", "-l", upper], check=True)
    os.rmdir(upper)
