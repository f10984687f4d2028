# SPDX-License-Identifier: LGPL-2.1-or-later
"""A folder with very many entries lists completely, every name once."""

import os

from lab import Lab, vm

NAME = "big-folder"
COUNT = int(os.environ.get("LARES_VM_ENTRIES", "200000"))

SCRIPT = r"""
CHECK_TIMEOUT=400
T="python3 -B $TESTS/nfstool.py"
for vers in 4.2 4.0; do
    PREFIX="big-folder/$vers/"
    check mount nfs_mount $vers sys || exit 1
    check list-$COUNT as alice $T count /mnt/nfs/big $COUNT
    nfs_umount
done
PREFIX="big-folder/4.1/"
check mount nfs_mount 4.1 sys || exit 1
# Removed in the middle of a listing, and listed in two goes.
shrink() {
    as alice python3 -B -c "
import os
seen = 0
with os.scandir('/mnt/nfs/small') as entries:
    for entry in entries:
        seen += 1
        if seen % 3 == 0: os.unlink(entry.path)
assert seen == 3000, seen
assert len(os.listdir('/mnt/nfs/small')) == 2000
"
}
check remove-while-listing shrink
# With the long form, which needs every entry's attributes.
long() { as alice sh -c 'ls -lf /mnt/nfs/small | wc -l'; }
check list-with-attributes long
nfs_umount
exit 0
"""


def fill(folder, count):
    folder.mkdir()
    for number in range(count):
        os.close(os.open(folder / f"entry number {number:07d}", os.O_CREAT | os.O_WRONLY, 0o644))
    os.chmod(folder, 0o777)


def run(kind, report, keep=None):
    with Lab(kind, keep, krb5=True) as lab:
        share = lab.share("share", ["sys"])
        fill(share / "big", COUNT)
        fill(share / "small", 3000)
        lab.server.start()
        job = lab.job("big", SCRIPT, COUNT=COUNT)
        report.guest(job, "a", vm.run(job, timeout=1300)["a"], NAME)
