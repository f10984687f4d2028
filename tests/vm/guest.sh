# SPDX-License-Identifier: LGPL-2.1-or-later
# What jobs share inside the guest: `. ./env.sh; . "$TESTS/guest.sh"`.
#
# env.sh comes from the driver: TESTS (this folder), SERVER (the server's name), PORT, EXPORT, and for Kerberos
# REALM, with krb5.conf, host.keytab and USER.keytab in the job folder. Results go to out/$VM_ID.results,
# one `PASS|FAIL|SKIP name[: reason]` line per check, written when the check ends.

RESULTS=/job/out/$VM_ID.results
CHECK_TIMEOUT=${CHECK_TIMEOUT:-60}
PATIENCE=${PATIENCE:-1} # multiplies every limit, for machines that are busy with something else
SERVER=${SERVER:-server.lares.test}
PREFIX=

# The users of every job; the server's side gives the same numbers to the same names.
ALICE=4101 BOB=4102 TEAM=4200

result() { # PASS|FAIL|SKIP name [reason]
    echo "$1 $PREFIX$2${3:+: $3}" | tee -a "$RESULTS"
}

# check NAME COMMAND...: the command's status decides (77: skipped). After CHECK_TIMEOUT seconds it is killed and
# left behind: a process that hangs in the kernel cannot be waited for. Its end is told by a file: a shell that missed a
# SIGCHLD takes the dead child for a living one.
check() {
    local name=$1 log pid i status
    shift
    log=$(mktemp /tmp/check.XXXXXX)
    set -m
    (set +m; trap ': > "$log.ended"' EXIT; "$@") > "$log" 2>&1 < /dev/null &
    pid=$!
    set +m
    for ((i = 0; i < CHECK_TIMEOUT * 5 * PATIENCE; i++)); do
        [ -e "$log.ended" ] && break
        kill -0 "$pid" 2> /dev/null || break
        pause 0.2
    done
    if [ ! -e "$log.ended" ] && kill -0 "$pid" 2> /dev/null; then
        # Where it hangs, before it is gone.
        ps -o pid,stat,wchan:32,args -g "$pid" >> "$log" 2>&1
        kill -9 -- "-$pid" 2> /dev/null
        disown "$pid" 2> /dev/null
        cat "$log"
        result FAIL "$name" "no end within $((CHECK_TIMEOUT * PATIENCE)) s"
        return 1
    fi
    wait "$pid"
    status=$?
    case $status in
        0) result PASS "$name" ;;
        77) result SKIP "$name" "$(tail -n 1 "$log")" ;;
        *) cat "$log"; result FAIL "$name" "$(grep -v '^+' "$log" | tail -n 1 | cut -c 1-200) (status $status)" ;;
    esac
    rm -f "$log" "$log.ended"
    return $status
}

skip() { echo "$*"; exit 77; } # inside a check

# Sleeping without a process: starting one costs 20 ms here.
mkfifo "/tmp/pause.$$"
exec {PAUSE_FD}<> "/tmp/pause.$$"
pause() { read -rt "$1" -u "$PAUSE_FD" _; true; }

# -- talking with the driver

tell() { : > "/job/out/$VM_ID.said.$1"; }

wait_for() { # NAME [SECONDS]: until the driver said it, or the other guest with `wait_for b.said.NAME`
    local i file=/job/out/host.$1
    case $1 in *.said.*) file=/job/out/$1 ;; esac
    for ((i = 0; i < ${2:-60} * 5 * PATIENCE; i++)); do
        [ -e "$file" ] && return 0
        pause 0.2
    done
    echo "nobody said $1"
    return 1
}

# -- users

as() { # USER COMMAND...
    local user=$1
    shift
    setpriv --reuid "$user" --regid "$user" --init-groups env HOME="/tmp/home.$user" KRB5CCNAME="FILE:/tmp/krb5cc_$(id -u "$user")" "$@"
}

setup_basics() {
    local user
    sed -i '/^alice:/d;/^bob:/d' /etc/passwd
    sed -i '/^alice:/d;/^bob:/d;/^team:/d' /etc/group
    printf 'alice:x:%d:%d::/tmp/home.alice:/bin/sh\nbob:x:%d:%d::/tmp/home.bob:/bin/sh\n' $ALICE $ALICE $BOB $BOB >> /etc/passwd
    printf 'alice:x:%d:\nbob:x:%d:\nteam:x:%d:alice,bob\n' $ALICE $BOB $TEAM >> /etc/group
    for user in alice bob; do
        mkdir -p "/tmp/home.$user"
        chown $user:$user "/tmp/home.$user"
    done
    printf '127.0.0.1 localhost\n10.0.2.2 %s\n10.0.2.15 %s.lares.test %s\n' "$SERVER" "$(hostname)" "$(hostname)" > /etc/hosts
    printf 'hosts: files\npasswd: files\ngroup: files\nservices: files\nprotocols: files\n' > /etc/nsswitch.conf
    printf '[General]\nDomain = lares.test\n[Mapping]\nNobody-User = nobody\nNobody-Group = nogroup\n' > /etc/idmapd.conf
    # The library writes its warnings to syslog, where nobody listens.
    modprobe nfsv4
    mkdir -p /mnt/nfs /mnt/second
}

# krb5.conf, keytabs, rpc.gssd and a ticket for each user who has a keytab in the job folder.
setup_krb5() {
    local user i
    cp /job/krb5.conf /etc/krb5.conf
    install -m 600 /job/host.keytab /etc/krb5.keytab
    modprobe rpcsec_gss_krb5
    mkdir -p /run/rpc_pipefs
    mountpoint -q /run/rpc_pipefs || mount -t rpc_pipefs sunrpc /run/rpc_pipefs
    rpc.gssd -f -p /run/rpc_pipefs -vv ${GSSD_OPTIONS:-} > "/job/out/$VM_ID.gssd" 2>&1 &
    GSSD_PID=$!
    for user in alice bob; do
        [ -e "/job/$user.keytab" ] || continue
        install -m 600 -o $user "/job/$user.keytab" "/tmp/$user.keytab"
        ticket $user || return 1
    done
    for ((i = 0; i < 50; i++)); do
        [ -d /run/rpc_pipefs/gssd/clntXX ] && break
        pause 0.1
    done
}

ticket() { # USER [kinit options]
    local user=$1
    shift
    as "$user" kinit "$@" -k -t "/tmp/$user.keytab" "$user"
}

# -- mounts

# rpc.gssd may look at a new client's pipes before the kernel has made all of them, takes the old one for good, and then
# every context fails: nothing to do with the server. Such a mount is made again, with new pipes.
lost_race() {
    local now
    now=$(grep -c handle_krb5_upcall "/job/out/$VM_ID.gssd" 2> /dev/null)
    [ "${now:-0}" -gt "${LOST_RACES:-0}" ] && LOST_RACES=$now
}

nfs_mount() { # VERS SEC [DIR [OPTIONS [EXPORT]]]; SEC may be "-": let the client negotiate
    local vers=$1 sec=$2 dir=${3:-/mnt/nfs} options=${4:-} export=${5:-$EXPORT} try status
    mkdir -p "$dir"
    [ "$sec" = - ] || options="sec=$sec${options:+,$options}"
    for try in 1 2 3 4; do
        timeout -k 5 $((60 * PATIENCE)) mount -t nfs4 -o "vers=$vers,port=$PORT,proto=tcp${options:+,$options}" "$SERVER:$export" "$dir"
        status=$?
        [ $status != 0 ] && lost_race || break
        pause 1
    done
    return $status
}

nfs_umount() { # [DIR]: forced and lazy if it must be
    local dir=${1:-/mnt/nfs}
    timeout -k 2 $((30 * PATIENCE)) umount "$dir" 2> /dev/null || umount -f -l "$dir"
}

mounted_sec() { # [DIR]: the flavor that the kernel uses
    sed -n "s|^[^ ]* ${1:-/mnt/nfs} nfs4 [^ ]*\bsec=\([^, ]*\).*|\1|p" /proc/mounts | tail -n 1
}

drop_caches() { echo 3 > /proc/sys/vm/drop_caches; }

# -- SMB

# cifs.ko with its upcall for tickets (request-key runs cifs.upcall by /etc/request-key.d/cifs.spnego.conf), and alice's
# NTLM password as the driver gave it to the server.
setup_smb() {
    modprobe cifs || return
    printf 'username=alice\npassword=%s\n' "$NTLM_PASSWORD" > /tmp/alice.ntlm
    chmod 600 /tmp/alice.ntlm
}

# As alice, for alice; SEC as in mount.cifs, with ",seal" for encryption. With option "multiuser" as the machine (its key is
# in /etc/krb5.keytab), for all users with tickets of their own.
smb_mount() { # VERS SEC [DIR [OPTIONS [SHARE]]]
    local vers=$1 sec=$2 dir=${3:-/mnt/smb} login=cruid=$ALICE,username=alice owner=alice
    case $sec in ntlm*) login=credentials=/tmp/alice.ntlm ;; esac
    case ,${4:-}, in *,multiuser,*) login=username=host/$(hostname).lares.test owner=root ;; esac
    mkdir -p "$dir"
    timeout -k 5 $((60 * PATIENCE)) mount -t cifs -o "vers=$vers,sec=$sec,$login,uid=$owner,gid=$owner,mfsymlinks,port=$SMB_PORT${4:+,$4}" \
        "//$SERVER/${5:-share}" "$dir"
}

smb_umount() { # [DIR]
    timeout -k 2 $((30 * PATIENCE)) umount "${1:-/mnt/smb}" 2> /dev/null || umount -f -l "${1:-/mnt/smb}"
}
