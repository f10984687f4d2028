# SPDX-License-Identifier: LGPL-2.1-or-later
"""The server is killed (SIGKILL) while clients write and hold locks, and comes back: nothing acknowledged is lost.

Spec: RFC 7530 9.6, RFC 8881 8.4.2 (grace period, reclaim), 18.3 (COMMIT and the write verifier).
"""

import time

from lab import Lab, vm

NAME = "kill-server"

SCRIPT = r"""
CHECK_TIMEOUT=200
setup_krb5
T="python3 -B $TESTS/nfstool.py"
number=0
for combination in 4.2/krb5p 4.1/krb5 4.0/sys; do
    vers=${combination%/*} sec=${combination#*/}
    number=$((number + 1))
    PREFIX="kill-server/$vers-$sec/"
    dmesg -C
    if [ "$VM_ID" = a ]; then
        check mount nfs_mount $vers $sec || exit 1
        as alice sh -c "umask 0; echo 0123456789 > /mnt/nfs/locked$number; mkdir -p /mnt/nfs/d$number/e; echo deep > /mnt/nfs/d$number/e/f"
        as alice env VM_ID=a $T lock /mnt/nfs/locked$number 0 10 --said locked$number --until b.said.tried$number > /tmp/lock 2>&1 &
        locker=$!
        wait_for a.said.locked$number 60
        exec 8< /mnt/nfs/d$number/e/f 9> /tmp/null
        before=$(stat -c %i /mnt/nfs/d$number/e/f)
        as alice env VM_ID=a $T stream /mnt/nfs/stream$number 24 --said kill$number > /tmp/stream 2>&1 &
        writer=$!
        check server-was-killed wait_for back$number 120
        finished() { wait $1; }
        wait $writer
        check write-goes-on test $? = 0
        [ -s /tmp/stream ] && cat /tmp/stream
        drop_caches
        check write-is-whole as alice $T verify /mnt/nfs/stream$number 24
        check handles-survive test "$(stat -c %i /mnt/nfs/d$number/e/f)" = "$before"
        open_survives() { [ "$(cat <&8)" = deep ]; }
        check open-file-survives open_survives
        exec 8<&-
        wait $locker
        check lock-was-reclaimed test $? = 0
        cat /tmp/lock
        tell released$number
        wait_for b.said.done$number 120
        lost() { ! dmesg | grep -iE "lost [0-9]+ locks|reclaim.*failed|state recovery failed|unhandled error"; }
        check nothing-lost lost
        nfs_umount
    else
        wait_for a.said.locked$number 300 || exit 1
        nfs_mount $vers $sec /mnt/nfs || exit 1
        tell ready$number
        wait_for back$number 200 || exit 1
        # Asked at once, in the grace period: the owner must get it back before anyone else.
        stranger() { ! as bob $T lock /mnt/nfs/locked$number 0 10; }
        check lock-is-not-given-away stranger
        tell tried$number
        check lock-comes-after-release as bob $T lock /mnt/nfs/locked$number 0 10 --wait
        tell done$number
        nfs_umount
    fi
done
exit 0
"""


def run(kind, report, keep=None):
    with Lab(kind, keep) as lab:
        lab.share("share", ["sys", "krb5", "krb5i", "krb5p"])
        # A slow guest that waits between attempts to connect needs time to come back.
        lab.server.grace = 30
        lab.server.start()
        job = lab.job("kill", SCRIPT)
        guests = {i: vm.Guest(job, i) for i in ("a", "b")}
        try:
            for guest in guests.values():
                guest.start()
            for number in (1, 2, 3):
                if not (guests["a"].heard(f"kill{number}", 300) and guests["b"].heard(f"ready{number}", 120)):
                    break
                lab.server.kill()
                time.sleep(1)
                lab.server.start()
                guests["a"].say(f"back{number}")
            status = guests["a"].wait(400)
            other = guests["b"].wait(60)
        finally:
            for guest in guests.values():
                guest.stop()
        report.guest(job, "a", status, NAME)
        report.guest(job, "b", other, NAME + "/second")
