# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tickets that end: access ends with them, goes on where they can be renewed, and comes back with a new one."""

from lab import Lab, vm

NAME = "tickets"

# The service tickets live SERVICE_LIFE seconds; alice's TGT is replaced by one of TGT_LIFE seconds.
SCRIPT = r"""
CHECK_TIMEOUT=200
setup_krb5
for vers in 4.2 4.0; do
    PREFIX="tickets/$vers/"
    check mount nfs_mount $vers krb5p /mnt/$vers || exit 1
done
ticket alice -l ${TGT_LIFE}s
born=$SECONDS
for vers in 4.2 4.0; do
    PREFIX="tickets/$vers/"
    check before as alice sh -c "echo before > /mnt/$vers/alice-$vers"
done
PREFIX="tickets/"
# bob's TGT is long: his service tickets end several times and work goes on.
touch_both() { as bob sh -c "echo $1 > /mnt/4.2/bob && cat /mnt/4.2/bob && echo $1 > /mnt/4.0/bob"; }
goes_on() {
    local i
    for i in $(seq 1 15); do
        # In the very second of the end the client itself answers EKEYEXPIRED; a moment later it must work.
        touch_both $i || { pause 3; touch_both $i; } || { echo "failed in round $i"; return 1; }
        pause $((SERVICE_LIFE / 5))
    done
}
check renewed-without-notice goes_on
while [ $((SECONDS - born)) -lt $((TGT_LIFE + 10)) ]; do pause 1; done
ended() { # MOUNT: an error in time, neither success nor a hang
    drop_caches
    timeout -k 2 $((40 * PATIENCE)) setpriv --reuid alice --regid alice --init-groups sh -c "echo after > /mnt/$1/alice-late && sync -d /mnt/$1/alice-late"
    case $? in 0) echo "still has access"; return 1 ;; 124 | 137) echo "hangs"; return 1 ;; esac
    return 0
}
check ended-4.2 ended 4.2
check ended-4.0 ended 4.0
check others-unharmed as bob sh -c "echo still > /mnt/4.2/bob"
ticket alice
again() { as alice sh -c "echo again > /mnt/$1/alice-$1 && cat /mnt/$1/alice-$1"; }
check again-4.2 again 4.2
check again-4.0 again 4.0
for vers in 4.2 4.0; do nfs_umount /mnt/$vers; done
exit 0
"""


def run(kind, report, keep=None):
    # Long enough for a mount and a write on a busy machine, and no longer, since most of this scenario waits for the ends.
    service, tgt = 25 * (vm.PATIENCE + 1) // 2, 40 * (vm.PATIENCE + 1) // 2
    with Lab(kind, keep, service_life=service, clockskew=3) as lab:
        lab.share("share", ["krb5p"])
        lab.server.start()
        job = lab.job("tickets", SCRIPT, SERVICE_LIFE=service, TGT_LIFE=tgt)
        report.guest(job, "a", vm.run(job, timeout=500)["a"], NAME)
