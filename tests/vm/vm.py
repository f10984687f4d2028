#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs jobs inside a real Linux kernel: Debian's own, in qemu without hardware virtualisation.

The guest sees the host's whole file tree read-only below a throw-away overlay, so every program of
the host is there and nothing that the guest does lasts. It sees the job folder read-write as /job.
10.0.2.2 in the guest is the loopback of the network namespace in which this program runs.

    vm.py prepare                     fetch the kernel and build the initramfs (cached)
    vm.py run JOBDIR [--timeout S] [--vms a,b]

runs JOBDIR/job.sh (bash, root, cwd /job, VM_ID set) in one guest per id, at the same time, on the same
folder. Each guest leaves out/ID.log (output), out/ID.status (exit status) and out/ID.console.
The exit status is the highest of the guests', or 124 after a timeout (the guests are ended then).

$LARES_VM_PATIENCE (1) multiplies every time limit, also in the guests: for machines busy with something else.
The cache is $LARES_VM_CACHE, by default ${XDG_CACHE_HOME:-~/.cache}/lares-vm.
"""

import argparse
import ctypes
import fcntl
import gzip
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = int(os.environ.get("LARES_VM_PATIENCE", "1"))

# No wide vector registers: the emulator would save them at every switch of processes. AES, since krb5p is mostly that.
CPU = "Nehalem-v1,+aes,+pclmulqdq,+rdrand"
# norandmaps: the emulator keeps what it translated by address, so with randomized addresses each program that starts would
# be translated anew (exec takes three times as long).
COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off norandmaps random.trust_cpu=on"

# What must be loaded before the host's tree and the module folder can be mounted.
BOOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_net", "virtio_rng"]

INIT = """#!/bin/sh
/bin/busybox mkdir -p /proc /sys /dev /bin /low /up /root
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
die() { echo "vm: $*"; echo o > /proc/sysrq-trigger; sleep 100; }
while read m; do insmod /mods/$m || echo "vm: cannot load $m"; done < /mods/order
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /low || die "no host tree"
mount -t tmpfs -o mode=755,size=80% tmpfs /up
mkdir /up/u /up/w
mount -t overlay -o lowerdir=/low,upperdir=/up/u,workdir=/up/w overlay /root || die "no overlay"
mkdir -p /root/job /root/usr/lib/modules /root/mnt
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none jobdir /root/job || die "no job folder"
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro mods /root/usr/lib/modules || die "no modules"
for d in tmp run; do mount -t tmpfs -o mode=1777 tmpfs /root/$d; done
for d in proc sys dev; do mount -o move /$d /root/$d; done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
cp /guest-main /root/guest-main
exec switch_root /root /bin/bash /guest-main
"""

MAIN = r"""export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 LC_ALL=C.UTF-8 TERM=dumb
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
cd /job
VM_ID=$(sed -n 's/.*vmid=\([^ ]*\).*/\1/p' /proc/cmdline)
export VM_ID
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
echo "client-$VM_ID" > /proc/sys/kernel/hostname
ulimit -c 0
mkdir -p out
# What nearly every process opens comes into memory (a change of owner, even to the same, copies a file up): through the host's
# folder each start asks the host some twenty times, a third of its cost.
cd /usr/lib/x86_64-linux-gnu
chown -h 0:0 ld-linux-x86-64.so.2 libc.so.6 libtinfo.so.6.? libselinux.so.1 libpcre2-8.so.0.*.? /etc/ld.so.cache \
    /usr/bin/bash /usr/bin/env /usr/bin/setpriv /usr/bin/cat
cd /job
bash ./job.sh > "out/$VM_ID.log" 2>&1 < /dev/null
echo $? > "out/.$VM_ID.status"
dmesg > "out/$VM_ID.dmesg" 2>&1
mv "out/.$VM_ID.status" "out/$VM_ID.status"
# Not a plain sync: it would wait for mounts whose server is gone.
sync -f /job
echo o > /proc/sysrq-trigger
sleep 100
"""


class VmError(Exception):
    """The machine cannot be made or started; the text says why."""


def cache_dir():
    base = os.environ.get("LARES_VM_CACHE")
    if base:
        return pathlib.Path(base)
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "lares-vm"


def command(*args, cwd=None):
    done = subprocess.run(args, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise VmError(f"{' '.join(map(str, args))}: {done.stdout.strip()}")
    return done.stdout


def find_tool(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise VmError(f"{name} is not installed (Debian package {package})")
    return path


def kernel_package():
    """The real kernel package behind Debian's metapackage."""
    text = command("apt-cache", "depends", "linux-image-amd64")
    found = re.search(r"Depends: (linux-image-\S+)", text)
    if not found:
        raise VmError("apt knows no linux-image-amd64; run apt-get update")
    return found.group(1)


def fetch_kernel(where):
    """Unpack the kernel package below where/ without installing it."""
    package = kernel_package()
    with tempfile.TemporaryDirectory(dir=where) as scratch:
        # apt drops to an unprivileged user for downloads when it may write to the folder.
        os.chmod(scratch, 0o777)
        command("apt-get", "-q", "download", package, cwd=scratch)
        deb = next(pathlib.Path(scratch).glob("*.deb"))
        command("dpkg", "-x", str(deb), str(where / "root"))
    version = next((where / "root/lib/modules").iterdir()).name
    command(find_tool("depmod", "kmod"), "-b", str(where / "root"), version)
    return version


def module_order(modules):
    """Paths (relative to the module folder) of BOOT_MODULES and what they need, in loading order."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, deps = line.partition(":")
        needs[path] = deps.split()
    by_name = {pathlib.Path(p).name.split(".ko")[0].replace("-", "_"): p for p in needs}
    order = []

    def add(path):
        for dep in reversed(needs[path]):
            add(dep)
        if path not in order:
            order.append(path)

    for name in BOOT_MODULES:
        if name in by_name:  # otherwise it is built in
            add(by_name[name])
    return order


def cpio(entries):
    """A newc archive of (name, mode, bytes), as the kernel reads it."""
    out = bytearray()
    for number, (name, mode, data) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        raw = name.encode() + b"\0"
        head = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0]
        out += b"070701" + b"".join(b"%08X" % v for v in head) + raw
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def build_initramfs(where, version):
    modules = where / "root/lib/modules" / version
    busybox = pathlib.Path(find_tool("busybox", "busybox-static"))
    order = module_order(modules)
    entries = [(d, 0o40755, b"") for d in ("bin", "mods")]
    entries += [("init", 0o100755, INIT.encode()), ("guest-main", 0o100755, MAIN.encode()),
                ("bin/busybox", 0o100755, busybox.read_bytes()), ("bin/sh", 0o120777, b"busybox"),
                ("mods/order", 0o100644, "".join(pathlib.Path(p).name + "\n" for p in order).encode())]
    entries += [("mods/" + pathlib.Path(p).name, 0o100644, (modules / p).read_bytes()) for p in order]
    (where / "initramfs.new").write_bytes(gzip.compress(cpio(entries), 1))
    os.replace(where / "initramfs.new", where / "initramfs")


def prepare():
    """Make the machine if the cache has none; returns (kernel, initramfs, module folder)."""
    where = cache_dir()
    where.mkdir(parents=True, exist_ok=True)
    with open(where / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kernels = list((where / "root/boot").glob("vmlinuz-*"))
        if not kernels or not (where / "complete").exists():
            shutil.rmtree(where / "root", ignore_errors=True)
            version = fetch_kernel(where)
            (where / "complete").write_text(version)
            kernels = list((where / "root/boot").glob("vmlinuz-*"))
        version = (where / "complete").read_text()
        # The initramfs holds text of this file; it is rebuilt whenever this file is newer.
        image = where / "initramfs"
        if not image.exists() or image.stat().st_mtime < pathlib.Path(__file__).stat().st_mtime:
            build_initramfs(where, version)
    return kernels[0], image, where / "root/lib/modules"


class Guest:
    """One virtual machine. Start it, exchange files in the job folder, wait for its end."""

    def __init__(self, jobdir, ident="a", memory=1536):
        self.jobdir = pathlib.Path(jobdir).absolute()
        self.ident = ident
        self.memory = memory
        self.process = None
        self.started = 0.0
        self.out = self.jobdir / "out"

    def start(self):
        if not (self.jobdir / "job.sh").is_file():
            raise VmError(f"{self.jobdir}/job.sh is missing")
        kernel, image, modules = prepare()
        self.out.mkdir(exist_ok=True)
        self.out.chmod(0o1777)  # users of the guest say things here too
        for old in (f"{self.ident}.status", f"{self.ident}.log", f"{self.ident}.results"):
            (self.out / old).unlink(missing_ok=True)
        args = [
            find_tool("qemu-system-x86_64", "qemu-system-x86"), "-accel", "tcg", "-cpu", CPU, "-m", str(self.memory),
            "-smp", "1", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(image),
            "-append", f"{COMMAND_LINE} vmid={self.ident}",
            "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
            "-virtfs", f"local,path={self.jobdir},mount_tag=jobdir,security_model=none,multidevs=remap",
            "-virtfs", f"local,path={modules},mount_tag=mods,security_model=none,readonly=on",
            "-netdev", "user,id=n0,ipv6=off", "-device", "virtio-net-pci,netdev=n0,romfile=", "-device", "virtio-rng-pci",
        ]
        with open(self.out / f"{self.ident}.console", "wb") as console:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                                            preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))
        self.started = time.monotonic()
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, timeout):
        """The job's exit status; 124 if it had to be ended, 125 if the machine died without one."""
        try:
            self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.stop()
            return 124
        try:
            return int((self.out / f"{self.ident}.status").read_text())
        except (OSError, ValueError):
            return 125

    def stop(self):
        if self.running():
            self.process.kill()
            self.process.wait()

    # -- talking with the job while it runs: it waits for files, and so do we

    def say(self, name):
        """Let `wait_for NAME` in the guest go on."""
        (self.out / f"host.{name}").write_text("")

    def heard(self, name, timeout):
        """Wait until the guest did `tell NAME`; False if it ended or took too long."""
        deadline = time.monotonic() + timeout * PATIENCE
        path = self.out / f"{self.ident}.said.{name}"
        while time.monotonic() < deadline:
            if path.exists():
                return True
            if not self.running():
                return path.exists()
            time.sleep(0.1)
        return False


def run(jobdir, idents=("a",), timeout=300):
    """Run the job in one guest per id; returns {id: status}."""
    guests = [Guest(jobdir, ident) for ident in idents]
    try:
        for guest in guests:
            guest.start()
        end = time.monotonic() + timeout
        return {g.ident: g.wait(max(0.1, end - time.monotonic())) for g in guests}
    finally:
        for guest in guests:
            guest.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="fetch the kernel and build the initramfs")
    runner = commands.add_parser("run", help="run JOBDIR/job.sh in a guest")
    runner.add_argument("jobdir")
    runner.add_argument("--timeout", type=float, default=300)
    runner.add_argument("--vms", default="a", help="ids of the guests, for example a,b")
    options = parser.parse_args()
    if options.command == "prepare":
        print(*prepare(), sep="\n")
        return 0
    results = run(options.jobdir, options.vms.split(","), options.timeout)
    for ident in results:
        log = pathlib.Path(options.jobdir) / "out" / f"{ident}.log"
        sys.stdout.write(log.read_text(errors="replace") if log.exists() else f"guest {ident} said nothing\n")
    return max(results.values())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VmError as error:
        sys.exit(f"vm: {error}")
