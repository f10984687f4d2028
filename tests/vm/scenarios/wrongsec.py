# SPDX-License-Identifier: LGPL-2.1-or-later
"""Security negotiation: WRONGSEC, SECINFO, and what a mount without sec= gets.

Spec: RFC 7530 3.3.3, 16.31; RFC 8881 2.6, 18.29, 18.45. The Linux client walks down from the root with a
flavor of its choice (4.0) or the first of SECINFO_NO_NAME (4.1) and asks SECINFO where that is refused; so a
mount without sec= gets the root's flavor where the share allows it, else the first that the share allows.
"""

from lab import Lab, vm

NAME = "wrongsec"

# The share with sys comes first, so that the union at the root starts with it too.
SHARES = {"open": ["sys"], "privacy": ["krb5p", "krb5i"], "integrity": ["krb5i", "krb5"],
          "weak": ["krb5", "krb5i"], "plain": ["krb5"], "mixed": ["sys", "krb5p"]}

SCRIPT = r"""
CHECK_TIMEOUT=90
setup_krb5
negotiated() { # VERS SHARE ALLOWED...
    local vers=$1 share=$2 got allowed
    shift 2
    nfs_mount "$vers" - /mnt/nfs "" "/$share" || return
    got=$(mounted_sec)
    as alice sh -c "echo $vers > /mnt/nfs/by-$vers && cat /mnt/nfs/by-$vers" || { nfs_umount; return 1; }
    nfs_umount
    echo "got $got of $*, the root has $root"
    for allowed; do [ "$root" = "$allowed" ] && { [ "$got" = "$root" ]; return; }; done
    [ "$got" = "$1" ]
}
root_flavor() { # VERS: what the client finds at the root
    nfs_mount "$1" - /mnt/nfs "" / || return
    mounted_sec > /tmp/root-flavor
    nfs_umount
}
refused() { # VERS SHARE SEC
    if nfs_mount "$1" "$3" /mnt/nfs "" "/$2"; then
        as alice ls /mnt/nfs && { nfs_umount; echo "mounted and listed"; return 1; }
        nfs_umount
    fi
    return 0
}
browse() { # VERS: from the root into every share, flavors found on the way
    local share sec
    nfs_mount "$1" - /mnt/nfs "" / || return
    ls /mnt/nfs
    for share in open privacy integrity weak plain mixed; do
        as alice sh -c "cat /mnt/nfs/$share/file" || { echo "cannot enter $share"; nfs_umount; return 1; }
    done
    sec=$(mounted_sec /mnt/nfs/privacy)
    umount -R /mnt/nfs || umount -l /mnt/nfs
    echo "privacy entered with $sec"
    [ "$sec" = krb5p ] || [ "$sec" = krb5i ]
}
fixed() { # VERS: a mount that insists on sys may not enter a Kerberos share
    nfs_mount "$1" sys /mnt/nfs "" / || return
    as alice cat /mnt/nfs/open/file || { nfs_umount; return 1; }
    as alice cat /mnt/nfs/privacy/file && { nfs_umount; echo "entered with sys"; return 1; }
    umount -R /mnt/nfs || umount -l /mnt/nfs
    return 0
}
for vers in 4.2 4.1 4.0; do
    PREFIX="wrongsec/$vers/"
    check root root_flavor $vers || continue
    root=$(cat /tmp/root-flavor)
    check first-of-sys negotiated $vers open sys
    check first-of-krb5p-krb5i negotiated $vers privacy krb5p krb5i
    check first-of-krb5i-krb5 negotiated $vers integrity krb5i krb5
    check first-of-krb5-krb5i negotiated $vers weak krb5 krb5i
    check first-of-krb5 negotiated $vers plain krb5
    check first-of-sys-krb5p negotiated $vers mixed sys krb5p
    check refuses-sys refused $vers privacy sys
    check refuses-weaker refused $vers privacy krb5
    check refuses-stronger refused $vers open krb5p
    check browse-from-root browse $vers
    check sys-stays-out fixed $vers
done
exit 0
"""


def run(kind, report, keep=None):
    with Lab(kind, keep) as lab:
        for name, sec in SHARES.items():
            folder = lab.share(name, sec)
            (folder / "file").write_text(name + "\n")
        lab.server.start()
        job = lab.job("wrongsec", SCRIPT, share="open")
        report.guest(job, "a", vm.run(job, timeout=900)["a"], NAME)
