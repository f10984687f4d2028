# SPDX-License-Identifier: LGPL-2.1-or-later
"""./quickstart on this host, and a client that knows nothing but what was printed: it mounts with Kerberos and works; the
server is killed while it writes and quickstart is run again; Ctrl-C leaves nothing behind."""

import json
import os
import pathlib
import re
import shutil
import tempfile
import time

from lab import make_job, vm
from quickstart import Quickstart, QuickstartError
from realm import free_port

NAME = "quickstart"
SERVER = "nas.home.lan"

SCRIPT = r"""
CHECK_TIMEOUT=200
PREFIX=quickstart/
T="python3 -B $TESTS/nfstool.py"
# 1. to 3. of what was printed.
sed -i "s/$(hostname).lares.test/$(hostname).home.lan/" /etc/hosts
(cd /job/kit && cp --parents -r . /)
install -m 600 /job/host.keytab /etc/krb5.keytab
modprobe rpcsec_gss_krb5
mkdir -p /run/rpc_pipefs
mount -t rpc_pipefs sunrpc /run/rpc_pipefs
rpc.gssd -f -p /run/rpc_pipefs -vv > "/job/out/$VM_ID.gssd" 2>&1 &
for ((i = 0; i < 50; i++)); do [ -d /run/rpc_pipefs/gssd/clntXX ] && break; pause 0.1; done
login() { echo "$PASSWORD" | as alice $KINIT; }
check kinit-with-the-printed-password login || { cat /etc/krb5.conf; exit 1; }
wrong() { ! echo "not it" | as alice kinit -c /tmp/none "${KINIT##* }"; }
check another-password-is-refused wrong
# 4. the line as it stands there.
check mount $MOUNT || { tail -n 40 "/job/out/$VM_ID.gssd"; exit 1; }
grep -q ' /mnt nfs4 .*sec=krb5p' /proc/mounts
check mount-is-private test $? = 0
check read as alice grep -q 'Served by Lares' /mnt/hello.txt
work() {
    as alice sh -ec 'cd /mnt; mkdir d; echo text > d/a; mv d/a d/b; ln -s b d/l; test "$(cat d/l)" = text; chmod 600 d/b'
}
check work work
check owner-has-a-name test "$(stat -c %U /mnt/d/b)" = alice
stranger() { ! as bob cat /mnt/d/b; }
check no-ticket-no-access stranger
as alice env VM_ID=$VM_ID $T stream /mnt/stream 24 --said kill > /tmp/stream 2>&1 &
writer=$!
check server-was-killed wait_for back 120
wait $writer
check write-goes-on test $? = 0
[ -s /tmp/stream ] && cat /tmp/stream
drop_caches
check write-is-whole as alice $T verify /mnt/stream 24
check files-are-the-same as alice grep -q text /mnt/d/b
again() { as alice kdestroy; login && as alice touch /mnt/d/c; }
check the-password-is-the-same again
umount /mnt || umount -f -l /mnt
exit 0
"""


def client_files(q, where):
    """What client-config prints, where it says, below a folder."""
    kit = json.loads(q.ctl("realm", "client-config", "linux", "--json"))
    for entry in kit["files"]:
        if entry["path"] == "/etc/fstab":
            continue
        path = where / entry["path"].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry["content"])
        path.chmod(0o644)


def run(kind, report, keep=None):
    if kind != "lares":
        return
    directory = pathlib.Path(keep or tempfile.mkdtemp(prefix="lares-quickstart-"))
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    ports = {f"LARES_{name}_PORT": str(free_port()) for name in ("NFS", "KDC", "KPASSWD", "KADMIN")}
    q = Quickstart(directory, str(directory / "films"), LARES_USER="alice", LARES_HOST_NAME=SERVER, **ports)
    try:
        with q:
            first = q.said
            q.ctl("realm", "host", "add", "client-a.home.lan", "--keytab", str(directory / "host.keytab"))
            mount = re.search(r"^ *Linux +(mount .*)$", q.output, re.M).group(1)
            kinit = re.search(r"^ *3\. .*?(kinit \S+)$", q.output, re.M).group(1)
            job = make_job(directory / "job", SCRIPT, keytabs={"host": directory / "host.keytab"}, SERVER=SERVER,
                           PASSWORD=q.said["Password"], MOUNT=mount, KINIT=kinit)
            client_files(q, job / "kit")
            guest = vm.Guest(job, "a")
            try:
                guest.start()
                if guest.heard("kill", 300):
                    os.kill(q.daemon(), 9)
                    ended = q.wait(30)
                    report.add(ended == 137 and not q.processes(), "quickstart/ends-with-its-server",
                               f"status {ended}, left: {q.processes()}")
                    time.sleep(1)
                    q.start()
                    report.add(q.said == first, "quickstart/goes-on-with-the-same", f"{first}, then {q.said}")
                    guest.say("back")
                status = guest.wait(400)
            finally:
                guest.stop()
            report.guest(job, "a", status, NAME)
            ended = q.interrupt()
            end = time.monotonic() + 60
            while q.processes() and time.monotonic() < end:
                time.sleep(0.05)
            report.add(ended == 0 and not q.processes(), "quickstart/ctrl-c-leaves-nothing",
                       f"status {ended}, left: {q.processes()}")
    except QuickstartError as error:
        report.add(False, NAME, str(error)[-2000:])
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
