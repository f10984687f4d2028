# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unusual ways to mount: several connections, tiny transfers, soft, uncached, a folder below the export, read-only."""

from lab import Lab, vm

NAME = "mount-options"

SCRIPT = r"""
CHECK_TIMEOUT=200
setup_krb5
T="python3 -B $TESTS/nfstool.py"
data() { # NAME VERS SEC OPTIONS
    PREFIX="mount-options/$1/"
    check mount nfs_mount $2 $3 /mnt/nfs "$4" || return
    check mount-second nfs_mount $2 $3 /mnt/second "nosharecache,actimeo=0,lookupcache=none"
    python3 -B "$TESTS/battery.py" --quick --dir /mnt/nfs --second /mnt/second --vers $2 --sec $3 --prefix "$PREFIX" --results "$RESULTS" \
        --only data/,dir/list,tree/tar --patience $((2 * PATIENCE))
    nfs_umount /mnt/second
    check umount timeout -k 2 40 umount /mnt/nfs || nfs_umount
}
data four-connections-krb5p 4.1 krb5p nconnect=4
data tiny-transfers 4.0 krb5i rsize=4096,wsize=4096
data uncached 4.2 sys noac,sync
PREFIX="mount-options/"
inner() {
    as alice true
    nfs_mount 4.2 krb5 /mnt/nfs "" || return
    as alice sh -c 'mkdir -p /mnt/nfs/one/two; echo in > /mnt/nfs/one/two/f'
    nfs_umount
    nfs_mount "$1" krb5 /mnt/nfs "" "$EXPORT/one/two" || return
    [ "$(as alice cat /mnt/nfs/f)" = in ] && [ "$(ls -a /mnt/nfs | wc -l)" = 3 ]
    local status=$?
    nfs_umount
    return $status
}
check folder-below-export-4.2 inner 4.2
check folder-below-export-4.0 inner 4.0
missing() { ! nfs_mount 4.2 sys /mnt/nfs "" /no/such/share; }
check missing-export missing
read_only() {
    nfs_mount 4.2 krb5 /mnt/nfs ro || return
    ! as alice touch /mnt/nfs/x && as alice ls /mnt/nfs > /dev/null
    local status=$?
    nfs_umount
    return $status
}
check read-only read_only
machine() { # root with a machine's ticket is somebody harmless, not an error
    nfs_mount 4.2 krb5 || return
    ls -la /mnt/nfs && stat -f /mnt/nfs
    local status=$?
    nfs_umount
    return $status
}
check machine-credential machine
nobody() { # a user without a ticket
    nfs_mount 4.2 krb5 || return
    timeout -k 2 40 setpriv --reuid 4999 --regid 4999 --clear-groups ls /mnt/nfs
    local status=$?
    nfs_umount
    [ $status != 0 ] && [ $status != 124 ] && [ $status != 137 ]
}
check no-ticket nobody
exit 0
"""


def run(kind, report, keep=None):
    with Lab(kind, keep) as lab:
        lab.share("share", ["sys", "krb5", "krb5i", "krb5p"])
        lab.server.start()
        job = lab.job("options", SCRIPT)
        report.guest(job, "a", vm.run(job, timeout=1200)["a"], NAME)
