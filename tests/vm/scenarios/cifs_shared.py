# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same folder by SMB and NFS at once, from one machine: data, names, locks, links, permissions; then several users on one
SMB mount, a user who is disabled, and a server that is killed while files are open.
"""

import time

from lab import Lab, vm

NAME = "cifs-shared"
PASSWORD = "correct horse battery"

SCRIPT = r"""
CHECK_TIMEOUT=100
setup_krb5 || exit 3
setup_smb || exit 3
PREFIX="cifs-shared/"
S=/mnt/smb N=/mnt/nfs M=/mnt/multi
check mount-smb smb_mount 3.1.1 krb5i $S actimeo=0 share || exit 1
check mount-nfs nfs_mount 4.2 krb5i $N actimeo=0,lookupcache=none /share || exit 1

# -- what one protocol does, the other sees
both() { # PREFIX DIR SECOND [options]
    local prefix=$1 dir=$2 second=$3
    shift 3
    python3 -B "$TESTS/battery.py" --quick --times --patience $PATIENCE --dir $dir --second $second --sec krb5i --prefix "$PREFIX$prefix/" --results "$RESULTS" "$@"
}
both smb-then-nfs $S $N --smb --every --vers 3.1.1 --only data/odd-sizes,data/truncate,data/close-to-open,data/two-writers,data/mmap,data/direct,data/sync,\
holes/punch,lock/blocking,lock/died,rename/basic,link/hard,open/removed-elsewhere,smb/locks,smb/names,smb/times,smb/copy,smb/seek,smb/fallocate,smb/xattr,smb/rename-folders
both nfs-then-smb $N $S --vers 4.2 --only data/odd-sizes,data/truncate,data/close-to-open,data/two-writers,data/mmap,data/direct,data/sync,holes/punch,\
lock/blocking,lock/died,rename/basic,link/hard,open/removed-elsewhere,dir/list

links() {
    as alice sh -c "cd $N && mkdir -p links/d && echo there > links/f && ln -s f links/rel && ln -s ../f links/d/up && ln -s no/where links/dangling && ln -s . links/here" || return
    [ "$(as alice readlink $S/links/rel)" = f ] && [ "$(as alice cat $S/links/rel)" = there ] && [ "$(as alice cat $S/links/d/up)" = there ] &&
        [ "$(as alice readlink $S/links/dangling)" = no/where ] && [ "$(as alice cat $S/links/here/here/f)" = there ]
}
check links-of-nfs links

# -- one mount for all users, each with their own ticket
check mount-multiuser smb_mount 3.1.1 krb5i $M multiuser,actimeo=0 share || exit 1
owners() {
    as alice sh -c "echo a > $M/of-alice" && as bob sh -c "echo b > $M/of-bob" && [ "$(stat -c %u $N/of-alice) $(stat -c %u $N/of-bob)" = "$ALICE $BOB" ]
}
check each-user-as-themselves owners
stranger() { ! setpriv --reuid nobody --regid nogroup --clear-groups cat $M/of-alice; }
check who-has-no-ticket-is-out stranger
modes() {
    as alice chmod 600 $N/of-alice && ! as bob cat $M/of-alice && ! as bob cat $N/of-alice && as alice chmod 644 $N/of-alice && [ "$(as bob cat $M/of-alice)" = a ] &&
        ! as bob sh -c "echo x >> $M/of-alice" && ! as bob rm -f $M/of-alice
}
check mode-of-nfs-holds-for-smb modes
sid() { as "$1" getcifsacl "$2" 2> /dev/null | sed -n 's/^OWNER://p'; }
acl_of_smb() {
    local bob
    bob=$(sid bob $M/of-bob)
    as alice sh -c "echo secret > $M/acl" && as alice chmod 600 $N/acl || return
    ! as bob cat $M/acl && ! as bob cat $N/acl || return
    as alice setcifsacl -a "ACL:$bob:ALLOWED/0x0/READ" $M/acl || return
    [ "$(as bob cat $M/acl)" = secret ] && [ "$(as bob cat $N/acl)" = secret ] || return
    as alice nfs4_getfacl $N/acl | tee /dev/stderr | grep -q '^A::bob@lares.test:r'
}
check acl-of-smb-holds-for-nfs acl_of_smb
acl_of_nfs() {
    local bob
    bob=$(sid bob $M/of-bob)
    as alice sh -c "echo secret > $N/acl2 && chmod 600 $N/acl2" && ! as bob cat $M/acl2 && as alice nfs4_setfacl -a A::bob@lares.test:R $N/acl2 || return
    [ "$(as bob cat $N/acl2)" = secret ] && [ "$(as bob cat $M/acl2)" = secret ] || return
    as alice getcifsacl $M/acl2 2> /dev/null | tee /dev/stderr | grep -q "^ACL:$bob:ALLOWED/0x0/"
}
check acl-of-nfs-holds-for-smb acl_of_nfs
smb_umount $M

# -- alice is disabled while she has a file open, and comes back
as alice sh -c "exec 5> $S/held; echo open >&5; sync -d $S/held; while [ ! -e /job/out/host.disabled ]; do sleep 0.3; done; echo late >&5 && sync -d $S/held && echo still" > /tmp/held 2>&1 &
held=$!
works() { as alice timeout -k 2 30 sh -c "echo $RANDOM > $S/works && sync -d $S/works && cat $S/works > /dev/null && rm $S/works"; }
check alice-works works
tell disable
wait_for disabled 60 || exit 1
stopped() {
    local before=$SECONDS
    works && { echo "still has access"; return 1; }
    as alice timeout -k 2 30 ls $S && { echo "still lists"; return 1; }
    [ $((SECONDS - before)) -lt $((20 * PATIENCE)) ]
}
check disabled-user-is-out stopped
ended() { for i in $(seq 1 $((60 * PATIENCE))); do kill -0 $held 2> /dev/null || break; pause 0.5; done; ! kill -0 $held 2> /dev/null && ! grep -q still /tmp/held; }
check open-file-is-closed-to-them ended
tell enable
wait_for enabled 60 || exit 1
back() { local i; for i in 1 2 3 4 5 6 7 8; do works && return 0; pause 2; done; return 1; }
check enabled-user-is-back back

# -- the server dies and comes back: a soft mount, with files open and a lock held
cat > /tmp/open.py << 'END'
import fcntl, os, sys, time
top, wait, out = sys.argv[1:]
kept = os.open(top + "/kept", os.O_RDWR | os.O_CREAT, 0o644)
os.write(kept, b"before ")
os.fsync(kept)
fcntl.lockf(kept, fcntl.LOCK_EX, 100, 1000)
open(out, "w").close()
while not os.path.exists(wait):
    time.sleep(0.2)
for attempt in range(30):
    try:
        os.write(kept, b"after")
        os.fsync(kept)
        break
    except OSError as error:
        print("attempt", attempt, error, flush=True)
        time.sleep(1)
else:
    sys.exit("the open file does not come back")
assert os.pread(kept, 100, 0) == b"before after", os.pread(kept, 100, 0)
while not os.path.exists(wait + ".done"):
    time.sleep(0.2)
END
as alice sh -c "mkdir -p $S/restart && echo deep > $S/restart/f"
as alice python3 -B /tmp/open.py $S /tmp/back /job/out/a.said.kill > /tmp/open.log 2>&1 &
open=$!
wait_for back 120 || { cat /tmp/open.log; exit 1; }
drop_caches
again() { local i; for i in 1 2 3 4 5 6 7 8 9 10; do [ "$(as alice cat $S/restart/f)" = deep ] && return 0; pause 1; done; return 1; }
check mount-comes-back again
: > /tmp/back
open_file() { local i; for i in $(seq 1 $((40 * PATIENCE))); do grep -q '^before after' $N/kept && return 0; pause 0.5; done; cat /tmp/open.log; return 1; }
check open-file-comes-back open_file
relocked() { ! as alice python3 -B $TESTS/nfstool.py lock $N/kept 1000 100; }
check lock-is-taken-again relocked
: > /tmp/back.done
wait $open
check program-ended-well test $? = 0
check umount timeout -k 2 $((40 * PATIENCE)) umount $S || smb_umount $S
nfs_umount $N
exit 0
"""


def run(kind, report, keep=None):
    with Lab(kind, keep, smb=True) as lab:
        lab.share("share", ["krb5i"])
        lab.server.start()
        job = lab.job("shared", SCRIPT, NTLM_PASSWORD=PASSWORD)
        guest = vm.Guest(job)

        def restart():
            lab.server.kill()
            time.sleep(1)
            lab.server.start()

        try:
            guest.start()
            for name, answer, action in (("disable", "disabled", lambda: lab.server.disable_user("alice")),
                                         ("enable", "enabled", lambda: lab.server.enable_user("alice")),
                                         ("kill", "back", restart)):
                if not guest.heard(name, 400):
                    break
                action()
                guest.say(answer)
            status = guest.wait(300)
        finally:
            guest.stop()
        report.guest(job, "a", status, NAME)
