# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two machines on the same files: locks, freshness, races, and one of them dying with a lock."""

import time

from lab import Lab, vm

NAME = "two-clients"

# Both guests run this; what they do depends on VM_ID. Steps are numbered so that every barrier has its own name.
SCRIPT = r"""
CHECK_TIMEOUT=120
setup_krb5
T="python3 -B $TESTS/nfstool.py"
F=/mnt/nfs/f
other=$([ "$VM_ID" = a ] && echo b || echo a)
meet() { tell "$1"; wait_for "$other.said.$1" 200; }
mine() { [ "$VM_ID" = "$1" ]; }

for combination in 4.2/krb5p 4.1/krb5i 4.0/sys; do
    vers=${combination%/*} sec=${combination#*/}
    PREFIX="two-clients/$vers-$sec/"
    V=v$vers
    check $VM_ID-mount nfs_mount $vers $sec || { meet $V.mounted; break; }
    mine a && { rm -f $F; as alice sh -c "umask 0; echo 0123456789 > $F; mkdir -m 777 -p /mnt/nfs/$V"; }
    meet $V.mounted

    # -- locks
    if mine a; then
        as alice env VM_ID=a $T lock $F 0 5 --said $V.held --until b.said.$V.tried > /tmp/hold 2>&1 &
        holder=$!
        check a-lock wait_for a.said.$V.held
    else
        wait_for a.said.$V.held 60
        conflict() { ! as alice $T lock $F 0 5; }
        check b-conflict conflict
        check b-other-range as alice $T lock $F 5 5
        tell $V.tried
        check b-gets-it-after-release as alice $T lock $F 0 5 --wait
    fi
    meet $V.locks
    if mine a; then
        wait "$holder"
        check a-wrote-under-lock test $? = 0
        as alice env VM_ID=a $T lock $F 0 0 --said $V.again --until b.said.$V.waiting > /tmp/hold 2>&1 &
        holder=$!
        meet $V.blocked
        wait $holder
    else
        wait_for a.said.$V.again 60
        waits() {
            as alice $T lock $F 0 0 --wait > /tmp/waiter 2>&1 &
            pause 3
            kill -0 $! || { echo "did not wait"; return 1; }
            tell $V.waiting
            wait $!
        }
        check b-waits-and-gets-it waits
        meet $V.blocked
    fi

    # -- freshness: whoever opens after a close sees what was written
    fresh() {
        local i text
        for i in 1 2 3 4 5 6; do
            if mine a; then
                as alice sh -c "echo a$i > /mnt/nfs/$V/fresh$1"
                tell $V.w$1$i
                wait_for b.said.$V.w$1$i 60 || return
                text=$(as alice cat "/mnt/nfs/$V/fresh$1")
                [ "$text" = "b$i" ] || { echo "a saw '$text' in round $i"; return 1; }
                tell $V.r$1$i
            else
                wait_for a.said.$V.w$1$i 60 || return
                text=$(as alice cat "/mnt/nfs/$V/fresh$1")
                [ "$text" = "a$i" ] || { echo "b saw '$text' in round $i"; return 1; }
                as alice sh -c "echo b$i > /mnt/nfs/$V/fresh$1"
                tell $V.w$1$i
                wait_for a.said.$V.r$1$i 60 || return
            fi
        done
    }
    umask 0
    mine a && as alice sh -c "umask 0; : > /mnt/nfs/$V/fresh1"
    meet $V.fresh
    check $VM_ID-close-to-open fresh 1
    meet $V.races

    # -- one winner per name
    races() {
        local won theirs
        mkdir -p /job/out/race
        won=$(as alice $T race /mnt/nfs/$V 60) || return
        echo "$won" > "/job/out/race/$V.$VM_ID"
        meet $V.raced
        theirs=$(cat "/job/out/race/$V.$other")
        echo "won $won, the other $theirs"
        [ $((won + theirs)) = 60 ]
    }
    check $VM_ID-exclusive-create races

    # -- a name that goes away while the other one has it open
    gone() {
        if mine a; then
            as alice sh -c "echo keep > /mnt/nfs/$V/gone"
            tell $V.made
            wait_for b.said.$V.open 60 || return
            as alice mv /mnt/nfs/$V/gone /mnt/nfs/$V/moved
            tell $V.moved
            wait_for b.said.$V.readmoved 60
        else
            wait_for a.said.$V.made 60 || return
            exec 7< /mnt/nfs/$V/gone || return
            tell $V.open
            wait_for a.said.$V.moved 60 || return
            [ "$(cat <&7)" = keep ] || return
            exec 7<&-
            tell $V.readmoved
            drop_caches
            [ "$(cat /mnt/nfs/$V/moved)" = keep ] && [ ! -e /mnt/nfs/$V/gone ]
        fi
    }
    check $VM_ID-renamed-while-open gone
    meet $V.end
    nfs_umount
done

# -- a machine dies with a lock: after its lease the other one gets it
PREFIX="two-clients/"
nfs_mount 4.2 krb5 || exit 1
if mine b; then
    as alice sh -c "umask 0; echo x > /mnt/nfs/dying"
    as alice env VM_ID=b $T lock /mnt/nfs/dying 0 0 --said dying --until never
else
    wait_for b.said.dying 120
    conflict() { ! as alice $T lock /mnt/nfs/dying 0 0; }
    check a-held-by-the-dying conflict
    tell kill-b
    wait_for killed 60
    check a-gets-lock-of-dead as alice $T lock /mnt/nfs/dying 0 0 --wait
    nfs_umount
fi
exit 0
"""


def run(kind, report, keep=None):
    with Lab(kind, keep) as lab:
        lab.share("share", ["sys", "krb5", "krb5i", "krb5p"])
        lab.server.start()
        job = lab.job("two", SCRIPT)
        guests = {i: vm.Guest(job, i) for i in ("a", "b")}
        try:
            for guest in guests.values():
                guest.start()
            if guests["a"].heard("kill-b", 900):
                guests["b"].stop()
                time.sleep(0.5)
                guests["a"].say("killed")
            status = guests["a"].wait(300)
        finally:
            for guest in guests.values():
                guest.stop()
        report.guest(job, "a", status, NAME)
        report.guest(job, "b", 0, NAME)
