# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who a principal is, over a mount of the kernel: every rule of tests/e2e/identity/rules.py, with tickets of two realms.

The rules run here, beside the server. The guest has one mount; each login is a user of its own there, with a ticket that was
fetched here, and does what a queue in the job folder says. Who it was is told by the owner of what it made."""
import itertools
import pathlib
import shutil
import sys
import time

from lab import Lab, make_job, vm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "e2e" / "identity"))
from world import DOOR, HOME, HOST, PARTNER, Refused  # noqa: E402
import rules  # noqa: E402

NAME = "identity"
FIRST_UID = 5101  # in the guest; the server has other numbers
MACHINE = "host/client-a.lares.test"

# The queue: N.do has "UID --groups=GIDS|--clear-groups FOLDER", N.cc the ticket when the user is new; the answer is the
# status in N.done.
SCRIPT = r"""
CHECK_TIMEOUT=100
PREFIX="identity/"
setup_krb5
check mount nfs_mount 4.2 krb5 /mnt/nfs "" /share || exit 1
check mount-sys nfs_mount 4.2 sys /mnt/sys "" /trusting || exit 1
tell mounted
for ((n = 1; ; n++)); do
    until [ -e out/$n.do ]; do pause 0.05; done
    read -r uid groups folder < out/$n.do
    [ "$uid" != end ] || break
    [ ! -e out/$n.cc ] || install -m 600 -o $uid out/$n.cc /tmp/krb5cc_$uid
    timeout -k 2 $((40 * PATIENCE)) setpriv --reuid $uid --regid $uid $groups mkdir "$folder"
    echo $? > out/$n.new
    mv out/$n.new out/$n.done
done
for dir in nfs sys; do nfs_umount /mnt/$dir; done
exit 0
"""


class Rules(rules.Rules):
    """One server's key serves both realms: the partner's users come through a trust."""

    def prepare(self):
        home, partner = self.realms[HOME], self.realms[PARTNER]
        for realm in (home, partner):
            realm.kadmin(f'addprinc -pw "a key of both" krbtgt/{HOME}@{PARTNER}')
        home.add_services([MACHINE], keytab=self.work / "host.keytab")

    def client_config(self):
        kdc = f"[realms]\n    {PARTNER} = {{\n        kdc = 127.0.0.1:{self.realms[PARTNER].port}\n    }}\n"
        names = f"[domain_realm]\n    {HOST} = {HOME}\n"
        text = self.realms[HOME].client_config()
        return text.replace("[realms]\n", kdc, 1).replace("[domain_realm]\n", names, 1)


class Kernel:
    """What the rules ask, done by the guest's users."""

    comes_back = True

    def __init__(self, world, guest):
        self.w, self.guest = world, guest
        self.uids = itertools.count(FIRST_UID)
        self.steps = itertools.count(1)

    def do(self, what, ccache=None):
        step = self.guest.out / str(next(self.steps))
        if ccache:
            shutil.copy(ccache, step.with_suffix(".cc"))
        new = step.with_suffix(".write")
        new.write_text(what + "\n")
        new.rename(step.with_suffix(".do"))
        return step.with_suffix(".done")

    def make(self, uid, mount="nfs", folder="", ccache=None, gids=()):
        name = str(pathlib.Path(folder) / self.w.new_name())
        groups = "--groups=" + ",".join(map(str, gids)) if gids else "--clear-groups"
        answer = self.do(f"{uid} {groups} /mnt/{mount}/{name}", ccache)
        end = time.monotonic() + 60 * vm.PATIENCE
        while not answer.exists():
            assert self.guest.running() and time.monotonic() < end, "the guest does not answer"
            time.sleep(0.02)
        status = int(answer.read_text())
        assert status < 124, "the client hangs"
        if status:
            raise Refused(f"mkdir ended with {status}")
        return self.w.owner(name)

    def enter(self, principal, folder=""):
        ccache = self.w.env(principal)["KRB5CCNAME"].removeprefix("FILE:")
        return self.make(next(self.uids), folder=folder, ccache=ccache)

    def through_door(self, principal):
        return self.enter(principal, DOOR)

    def live(self, principal):
        uid = next(self.uids)
        ccache = self.w.env(principal)["KRB5CCNAME"].removeprefix("FILE:")
        self.make(uid, ccache=ccache)
        return lambda: self.make(uid)

    def claims(self, uid, gids):
        return self.make(uid, "sys", DOOR, gids=gids)


def run(kind, report, keep=None):
    if kind != "lares":
        report.skip(NAME, f"these are rules of lares, not of {kind}")
        return
    with Lab(kind, keep, krb5=False) as lab, Rules(lab.folder("world")) as world:
        job = make_job(lab.dir / "job-identity", SCRIPT, world.client_config(), {"host": world.work / "host.keytab"},
                       SERVER=HOST, PORT=world.d.ports[1])
        guest = vm.Guest(job)
        try:
            guest.start()
            if guest.heard("mounted", 200):
                kernel = Kernel(world, guest)
                kept = []
                try:
                    for name in rules.through(world, kernel):
                        report.add(True, f"{NAME}/{name}")
                        kept.append(name)
                except (AssertionError, Refused) as error:
                    print("# " + world.d.log()[-4000:].replace("\n", "\n# "))
                    report.add(False, f"{NAME}/{rules.RULES[len(kept)][0]}", f"{type(error).__name__}: {error}")
                kernel.do("end")
            status = guest.wait(100)
        finally:
            guest.stop()
        report.guest(job, "a", status, NAME)
