#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every NFSv4 version with every security flavor: the battery of checks, through the Linux kernel client.

    matrix.py [--kind lares|ganesha]     starts a realm and a server of that kind of its own
    matrix.py --server NAME:PORT --export PATH [--krb5-conf F --host-keytab F --keytab alice=F --keytab bob=F]

With --server the server must listen on the loopback address of this network namespace, know alice (4101) and bob (4102),
both in team (4200), and let everybody create folders in the export; NAME is the host part of its principal.
One line `PASS|FAIL|SKIP VERS-SEC/CHECK[: reason]` per check, then the total.
"""

import argparse
import concurrent.futures
import pathlib
import shlex
import sys
import tempfile

from lab import Lab, Report, make_job, vm

VERSIONS = ["4.0", "4.1", "4.2"]
FLAVORS = ["sys", "krb5", "krb5i", "krb5p"]
# Full sizes cost three minutes each; these combinations get them by default.
MIXED = {"4.2-sys", "4.2-krb5p", "4.0-krb5i"}
# With small sizes for all, these get only what they can break: the plainest and the strongest flavor get everything.
BETWEEN = ("krb5", "krb5i")

# While rpc.gssd runs, the client uses Kerberos for its leases even on sec=sys mounts: sys comes first and alone.
SCRIPT = r"""
combination() { # VERS SEC
    local quick
    PREFIX="$1-$2/"
    CHECK_TIMEOUT=90 check mount nfs_mount "$1" "$2" /mnt/nfs || return
    CHECK_TIMEOUT=90 check mount-second nfs_mount "$1" "$2" /mnt/second nosharecache,actimeo=0,lookupcache=none || { nfs_umount; return; }
    check flavor test "$(mounted_sec)" = "$2"
    case " $QUICK " in *" $1-$2 "*) quick=--quick ;; *) quick= ;; esac
    case " $PARTLY " in *" $2 "*) quick="$quick --by-flavor" ;; esac
    python3 -B "$TESTS/battery.py" $quick --dir /mnt/nfs --second /mnt/second --vers "$1" --sec "$2" --prefix "$PREFIX" --results "$RESULTS" $BATTERY
    nfs_umount /mnt/second
    # Last, because it leaves nothing: an unmount that hangs means state that the server does not release.
    check umount timeout -k 2 40 umount /mnt/nfs || nfs_umount
    PREFIX=
    echo "done $1-$2" >> "/job/out/$VM_ID.done"
}
krb5_ready=
for sec in $SECS; do
    for vers in $VERSIONS; do
        if [ "$sec" != sys ] && [ -z "$krb5_ready" ]; then
            setup_krb5 || exit 3
            krb5_ready=1
        fi
        combination "$vers" "$sec"
    done
done
exit 0
"""


def boots(options):
    """Lists of (versions, flavors), one per boot."""
    versions, flavors = options.vers.split(","), options.sec.split(",")
    flavors.sort(key=FLAVORS.index)
    if options.boots == "one":
        return [(versions, flavors)]
    if options.boots == "version":
        return [([v], flavors) for v in versions]
    return [([v], [f]) for v in versions for f in flavors]


def run_boot(options, name, versions, flavors, work, target):
    full = {"full": lambda c: True, "quick": lambda c: False, "mixed": MIXED.__contains__}[options.sizes]
    small = [f"{v}-{s}" for v in versions for s in flavors if not full(f"{v}-{s}")]
    battery = ["--only", options.only] if options.only else []
    battery += [f"--{flag}" for flag in ("strict", "times") if getattr(options, flag)]
    battery += ["--patience", str(options.patience * vm.PATIENCE)]
    partly = BETWEEN if options.sizes == "quick" else ()
    job = make_job(work / f"job-{name}", SCRIPT, target["krb5_conf"], target["keytabs"], SERVER=target["name"], PORT=target["port"],
                   EXPORT=target["export"], VERSIONS=" ".join(versions), SECS=" ".join(flavors), QUICK=" ".join(small),
                   PARTLY=" ".join(partly), BATTERY=shlex.join(battery))
    status = vm.run(job, timeout=options.timeout * len(versions) * len(flavors))["a"]
    return job, status


def run_all(options, work, target, report):
    plan = [("-".join(v + f), v, f) for v, f in boots(options)]
    with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
        running = [(name, v, f, pool.submit(run_boot, options, name, v, f, work, target)) for name, v, f in plan]
        for name, versions, flavors, future in running:
            job, status = future.result()
            report.guest(job, "a", status, name)
            done = job / "out" / "a.done"
            finished = done.read_text() if done.exists() else ""
            for vers in versions:
                for sec in flavors:
                    if f"done {vers}-{sec}\n" not in finished:
                        report.add(False, f"{vers}-{sec}", "did not come to its end")
            if options.verbose:
                print((job / "out" / "a.log").read_text(errors="replace"))


def own_lab(options, report):
    """The whole matrix against a server of its own."""
    with Lab(options.kind, options.keep) as lab:
        lab.share("share", FLAVORS)
        lab.server.start()
        target = {"name": "server.lares.test", "port": lab.server.port, "export": lab.server.export("share"),
                  "krb5_conf": lab.realm.client_config(), "keytabs": lab.keytabs()}
        run_all(options, lab.dir, target, report)


def make_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kind", default="lares", help="the server to start when none is given")
    parser.add_argument("--server", help="NAME:PORT of a running server on the loopback address")
    parser.add_argument("--export", default="/")
    parser.add_argument("--krb5-conf")
    parser.add_argument("--host-keytab")
    parser.add_argument("--keytab", action="append", default=[], help="USER=FILE")
    parser.add_argument("--vers", default=",".join(VERSIONS))
    parser.add_argument("--sec", default=",".join(FLAVORS))
    parser.add_argument("--only", default="", help="checks, by beginning of name")
    parser.add_argument("--sizes", choices=["quick", "mixed", "full"], default="mixed",
                        help="of files and folders; quick: krb5 and krb5i in part")
    parser.add_argument("--strict", action="store_true", help="what the server does not offer is a failure")
    parser.add_argument("--boots", choices=["one", "version", "each"], default="version", help="how many combinations share a guest")
    parser.add_argument("--parallel", type=int, default=1, help="guests at a time")
    parser.add_argument("--timeout", type=float, default=900, help="seconds per combination")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies each check's time limit")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--keep", help="work in this folder and leave it there")
    return parser


def defaults(**changes):
    """Options as if from an empty command line, with changes (None: unchanged)."""
    options = make_parser().parse_args([])
    for name, value in changes.items():
        if value is not None:
            setattr(options, name, value)
    return options


def main():
    options = make_parser().parse_args()
    report = Report()
    if not options.server:
        own_lab(options, report)
        return report.total()
    name, _, port = options.server.rpartition(":")
    keytabs = dict(item.split("=", 1) for item in options.keytab)
    if options.host_keytab:
        keytabs["host"] = options.host_keytab
    conf = pathlib.Path(options.krb5_conf).read_text() if options.krb5_conf else None
    target = {"name": name, "port": port, "export": options.export, "krb5_conf": conf, "keytabs": keytabs}
    with tempfile.TemporaryDirectory(prefix="lares-vm-") as scratch:
        run_all(options, pathlib.Path(options.keep or scratch), target, report)
    return report.total()


if __name__ == "__main__":
    sys.exit(main())
