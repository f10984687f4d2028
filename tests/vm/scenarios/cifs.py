# SPDX-License-Identifier: LGPL-2.1-or-later
"""SMB with the kernel's own client: each version with each way to log in, the whole battery once, a part of it for the rest.

SMB 2.1 has no encryption: a sealed mount must be refused there, and on a share that wants encryption every mount that has
none. What the first two combinations send, signed and readable, goes through Wireshark's dissectors too, which want the
protocol's own port: the lab has a network namespace of its own.
"""

import os

from lab import Lab, vm  # first: it knows where the others are
import netns
from capture import Capture, missing

NAME = "cifs"
PASSWORD = "correct horse battery"
LARGE = 20_000

SCRIPT = r"""
CHECK_TIMEOUT=60
setup_krb5 || exit 3
setup_smb || exit 3

combination() { # VERS SEC SHARE [battery options]
    local vers=$1 sec=$2 share=$3
    shift 3
    PREFIX="cifs/$vers-$sec/"
    check mount smb_mount $vers $sec /mnt/smb "" $share || return
    check mount-second smb_mount $vers $sec /mnt/second nosharesock,actimeo=0 $share || { smb_umount; return; }
    python3 -B "$TESTS/battery.py" --smb "$@" --times --patience $PATIENCE --dir /mnt/smb --second /mnt/second --vers $vers --sec $sec \
        --prefix "$PREFIX" --results "$RESULTS"
    smb_umount /mnt/second
    check umount timeout -k 2 $((40 * PATIENCE)) umount /mnt/smb || smb_umount
}

combination 3.1.1 krb5 share --quick
combination 2.1 krb5i share --quick

# A connection is cut while a file is open and locked: the client comes back to the handle that the server kept.
PREFIX="cifs/"
cat > /tmp/kept.py << 'END'
import fcntl, os, sys, time
kept = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.write(kept, b"before ")
os.fsync(kept)
fcntl.lockf(kept, fcntl.LOCK_EX, 100, 1000)
open("/tmp/kept.open", "w").close()
while not os.path.exists("/tmp/kept.cut"):
    time.sleep(0.1)
os.write(kept, b"after")
os.fsync(kept)
assert os.pread(kept, 100, 0) == b"before after"
END
durable() {
    local try i
    smb_mount 3.1.1 krb5 /mnt/smb "" share && modprobe tcp_diag || return
    as alice python3 -B /tmp/kept.py /mnt/smb/kept > /tmp/kept.log 2>&1 &
    for ((i = 0; i < 100 * PATIENCE; i++)); do [ -e /tmp/kept.open ] && break; pause 0.2; done
    ss -K dst 10.0.2.2 dport = "$SMB_PORT" | grep -q ESTAB || { echo "nothing was cut"; return 1; }
    : > /tmp/kept.cut
    wait $! || { cat /tmp/kept.log; return 1; }
}
check durable-handle durable
smb_umount
tell captured
combination 3.1.1 krb5i share --quick --every

PREFIX="cifs/"
large() {
    local many=/mnt/smb/large
    smb_mount 3.1.1 krb5 /mnt/smb actimeo=60 share || return
    as alice python3 -B - $many $LARGE << 'END' || return
import os, sys
with os.scandir(sys.argv[1]) as entries:
    found = {e.name: e.stat().st_size for e in entries}
wanted = {f"entry-{i:05d}": i % 7 for i in range(int(sys.argv[2]))}
assert found == wanted, f"{len(found)} entries, {len(set(found.items()) ^ set(wanted.items()))} differ"
END
    [ "$(as alice ls -l $many | wc -l)" = $((LARGE + 1)) ]
}
check large-folder large
smb_umount

combination 3.1.1 krb5,seal sealed --quick
combination 3.1.1 ntlmssp share --quick
combination 3.1.1 ntlmsspi share --quick
combination 3.1.1 ntlmssp,seal share --quick
combination 3.0 krb5i share --quick
combination 3.0 krb5,seal sealed --quick
combination 3.0 krb5 share --quick
combination 3.0 ntlmssp share --quick
combination 2.1 krb5 share --quick
combination 2.1 ntlmssp share --quick

PREFIX="cifs/"
refused() { ! smb_mount "$@" || { smb_umount; return 1; }; }
check 2.1-cannot-be-sealed refused 2.1 krb5,seal /mnt/smb "" share
check 2.1-on-encrypted-share-is-refused refused 2.1 krb5i /mnt/smb "" sealed
check ntlm-without-its-flavor-is-refused refused 3.1.1 ntlmssp /mnt/smb "" sealed
wrong_password() { sed -i s/password=.*/password=wrong/ /tmp/alice.ntlm; refused 3.1.1 ntlmssp /mnt/smb "" share; }
check wrong-password-is-refused wrong_password
exit 0
"""


def watched(lab, guest, report):
    """Runs the guest until it has done what is captured."""
    name = f"{NAME}/wireshark-finds-nothing-wrong"
    if missing():
        report.skip(name, f"{missing()} is not installed")
        guest.start()
        return
    with Capture(lab.dir) as capture:
        guest.start()
        guest.heard("captured", 300)
    os.chmod(capture.file, 0o644)
    found, (trees,) = capture.complaints_and_counts("smb2.cmd == 5 && smb2.flags.response == 1")
    report.add(not found, name, "; ".join(" ".join(line.split()) for line in found[:5]))
    asked = capture.tshark("-Y", 'smb2.flags.response == 0 && smb2.tag == "DHnC"', "-T", "fields", "-e", "smb2.response_in").split()
    kept = capture.count("smb2.nt_status == 0 && frame.number in {%s}" % ", ".join(asked)) if asked else 0
    report.add(kept > 0, f"{NAME}/durable-handle-was-kept", f"{len(asked)} asked for")
    report.add(trees > 100, f"{NAME}/wireshark-saw-it")


def run(kind, report, keep=None):
    why = netns.enter()
    if why:
        report.skip(NAME, why)
        return
    with Lab(kind, keep, smb=True) as lab:
        lab.server.smb_port = 445
        folder = lab.share("share", ["krb5i", "krb5", "ntlm"])
        lab.share("sealed", ["krb5p"])
        many = folder / "large"
        many.mkdir()
        for number in range(LARGE):
            (many / f"entry-{number:05d}").write_bytes(b"x" * (number % 7))
        lab.server.start()
        lab.server.verb("user.ntlm.enable", name="alice", password=PASSWORD)
        job = lab.job("cifs", SCRIPT, NTLM_PASSWORD=PASSWORD, LARGE=LARGE)
        guest = vm.Guest(job)
        try:
            watched(lab, guest, report)
            status = guest.wait(600)
        finally:
            guest.stop()
        report.guest(job, "a", status, NAME)
