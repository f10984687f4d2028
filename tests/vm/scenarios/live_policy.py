# SPDX-License-Identifier: LGPL-2.1-or-later
"""The administrator changes the policy while clients work: a user is disabled, mapped to another, deleted; a share
loses a flavor."""

from lab import Lab, vm

NAME = "live-policy"

SCRIPT = r"""
CHECK_TIMEOUT=100
setup_krb5
PREFIX="live-policy/"
check mount nfs_mount 4.2 krb5i /mnt/4.2 "" /share || exit 1
check mount-4.0 nfs_mount 4.0 krb5p /mnt/4.0 "" /share || exit 1
check mount-sys nfs_mount 4.1 sys /mnt/sys "" /flavors || exit 1
works() { as $1 timeout -k 2 30 sh -c "echo $RANDOM > $2/$1 && sync -d $2/$1 && cat $2/$1 && touch $2/$1.new && rm $2/$1.new"; }
stopped() { # USER MOUNT: no access and no hang
    drop_caches
    works $1 $2 && { echo "still has access"; return 1; }
    [ $? != 124 ]
}
check alice-works works alice /mnt/4.2
check alice-works-4.0 works alice /mnt/4.0
check bob-works works bob /mnt/4.2
as alice sh -c 'exec 5> /mnt/4.2/held; echo open >&5; while [ ! -e /job/out/host.disabled ]; do sleep 0.3; done; sleep 2; echo late >&5; sync -d /mnt/4.2/held' > /tmp/held 2>&1 &
held=$!
tell disable
wait_for disabled 60 || exit 1
check disabled-user-is-out stopped alice /mnt/4.2
check disabled-user-is-out-4.0 stopped alice /mnt/4.0
open_ended() { wait_held=0; for i in $(seq 1 40); do kill -0 $held 2> /dev/null || break; pause 0.5; done; ! kill -0 $held 2> /dev/null; }
check open-file-does-not-hang open_ended
check others-unharmed works bob /mnt/4.2
tell enable
wait_for enabled 60 || exit 1
back() { local i; for i in 1 2 3 4 5 6 7 8; do works alice $1 && return 0; pause 2; done; return 1; }
check enabled-user-is-back back /mnt/4.2
check enabled-user-is-back-4.0 back /mnt/4.0
# Who owns what alice makes, beside what she and bob made before.
owner_is() { drop_caches; as alice timeout -k 2 30 touch /mnt/4.2/$1 && [ "$(stat -c %u /mnt/4.2/$1)" = "$(stat -c %u /mnt/4.2/$2)" ]; }
owner_will_be() { local i; for i in 1 2 3 4 5 6 7 8; do owner_is $1.$i $2 && return 0; pause 2; done; return 1; }
not_the_same() { [ "$(stat -c %u /mnt/4.2/alice)" != "$(stat -c %u /mnt/4.2/bob)" ]; }
check users-are-two not_the_same
if [ -n "$WITH_MAPPINGS" ]; then
    tell map
    wait_for mapped 60 || exit 1
    check mapped-user-is-the-other owner_will_be mapped bob
    tell unmap
    wait_for unmapped 60 || exit 1
    check unmapped-user-is-back owner_will_be unmapped alice
    tell delete
    wait_for deleted 60 || exit 1
    check deleted-user-has-the-number-again owner_will_be deleted alice
fi
check sys-works works bob /mnt/sys
tell harden
wait_for hardened 60 || exit 1
check share-without-sys-is-closed stopped bob /mnt/sys
check mount-with-new-flavor nfs_mount 4.2 - /mnt/new "" /flavors
check new-flavor-works works bob /mnt/new
new_flavor() { [ "$(mounted_sec /mnt/new)" = krb5p ]; }
check new-flavor-is-krb5p new_flavor
for dir in 4.2 4.0 sys new; do nfs_umount /mnt/$dir; done
exit 0
"""


def run(kind, report, keep=None):
    with Lab(kind, keep) as lab:
        if not {"disable", "live-sec"} <= lab.server.offers:
            report.skip(NAME, f"{lab.server.name} has no way to do that")
            return
        lab.share("share", ["krb5p", "krb5i"])
        lab.share("flavors", ["sys"])
        lab.server.start()
        mappings = "mapping" in lab.server.offers
        job = lab.job("live", ("WITH_MAPPINGS=yes\n" if mappings else "WITH_MAPPINGS=\n") + SCRIPT)
        guest = vm.Guest(job)
        try:
            guest.start()
            people = (("map", "mapped", lambda: lab.server.map_principal("alice", "bob")),
                      ("unmap", "unmapped", lambda: lab.server.unmap_principal("alice")),
                      ("delete", "deleted", lambda: lab.server.delete_user("alice")))
            for name, answer, action in (("disable", "disabled", lambda: lab.server.disable_user("alice")),
                                         ("enable", "enabled", lambda: lab.server.enable_user("alice")),
                                         *(people if mappings else ()),
                                         ("harden", "hardened", lambda: lab.server.set_sec("flavors", ["krb5p"]))):
                if not guest.heard(name, 300):
                    break
                action()
                guest.say(answer)
            status = guest.wait(400)
        finally:
            guest.stop()
        report.guest(job, "a", status, NAME)
