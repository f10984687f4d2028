# SPDX-License-Identifier: LGPL-2.1-or-later
"""File systems that share blocks: a loop mount each, in a mount namespace of the calling process's own."""
import ctypes
import os
import subprocess

KINDS = {"btrfs": ["mkfs.btrfs", "-q"], "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"]}
SIZES = {"btrfs": 200, "xfs": 320}  # MiB: less than which the tools refuse
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 1 << 18


def mounts(work, kinds=KINDS):
    """{kind: folder} of what could be mounted below work, {kind: why not} of the rest. It ends with this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    have, lack = {}, {}
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        return have, dict.fromkeys(kinds, "no mount namespace: " + os.strerror(ctypes.get_errno()))
    for kind in kinds:
        image, folder = os.path.join(work, kind + ".img"), os.path.join(work, kind)
        os.mkdir(folder)
        with open(image, "wb") as f:
            f.truncate(SIZES[kind] << 20)
        for command in ([*KINDS[kind], image], ["mount", "-o", "loop", image, folder]):
            try:
                r = subprocess.run(command, capture_output=True, text=True)
                error = r.stderr.strip() if r.returncode else None
            except FileNotFoundError:
                error = "not installed"
            if error is not None:
                lack[kind] = f"{command[0]}: {error}".replace("\n", " ")
                break
        else:
            have[kind] = folder
    return have, lack
