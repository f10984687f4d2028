#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small things that jobs do inside the guest and the shell cannot.

    lock FILE START LEN [--wait] [--shared] [--said NAME] [--until NAME]   take a byte-range lock; 1 if it is held by another
    stream FILE MIB [--said NAME]          write a known pattern, sync, close; says NAME after the first 4 MiB
    verify FILE MIB                        compare with the pattern
    race DIR COUNT                         create COUNT names exclusively; prints how many were ours
    count DIR WANTED                       list completely; every name once; look some up

Names said and waited for are files in /job/out, as in guest.sh.
"""

import argparse
import fcntl
import hashlib
import os
import random
import sys
import time

OUT = "/job/out"
MIB = 1 << 20


def say(name):
    if name:
        open(f"{OUT}/{os.environ['VM_ID']}.said.{name}", "w", encoding="ascii").close()


def wait_for(name):
    path = f"{OUT}/{name}" if ".said." in name else f"{OUT}/host.{name}"
    deadline = time.monotonic() + 240
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            raise SystemExit(f"nobody said {name}")
        time.sleep(0.1)


def lock(options):
    fd = os.open(options.file, os.O_RDWR)
    kind = fcntl.LOCK_SH if options.shared else fcntl.LOCK_EX
    try:
        fcntl.lockf(fd, kind if options.wait else kind | fcntl.LOCK_NB, options.length, options.start)
    except (BlockingIOError, PermissionError) as error:
        print(f"held by another: {error}")
        return 1
    print(f"locked at {time.time():.1f}", flush=True)
    say(options.said)
    if options.until:
        wait_for(options.until)
        # The lock must be worth something: write and sync under it before it goes.
        os.pwrite(fd, f"{os.environ['VM_ID']} {options.start}\n".encode(), options.start)
        os.fsync(fd)
    os.close(fd)
    return 0


def part(number):
    return number.to_bytes(8, "big") + random.Random(number % 7).randbytes(MIB - 8)


def stream(options):
    fd = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    for number in range(options.mib):
        view = memoryview(part(number))
        while view:
            view = view[os.write(fd, view):]
        if number == 3:
            os.fsync(fd)
            say(options.said)
        if number % 4 == 3:
            time.sleep(0.1)
    os.fsync(fd)
    os.close(fd)
    return 0


def verify(options):
    with open(options.file, "rb", buffering=0) as source:
        for number in range(options.mib):
            wanted = part(number)
            found = b""
            while len(found) < MIB:
                more = source.read(MIB - len(found))
                if not more:
                    break
                found += more
            if found != wanted:
                print(f"differs in MiB {number}: {len(found)} bytes, {hashlib.sha256(found).hexdigest()}")
                return 1
        if source.read(1):
            print("longer than written")
            return 1
    return 0


def race(options):
    won = 0
    for number in range(options.count):
        try:
            os.close(os.open(f"{options.dir}/race-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            won += 1
        except FileExistsError:
            pass
    print(won)
    return 0


def count(options):
    names = os.listdir(options.dir)
    if len(names) != options.wanted or len(set(names)) != options.wanted:
        print(f"{len(names)} names, {len(set(names))} different, expected {options.wanted}")
        return 1
    for name in random.Random(1).sample(sorted(names), 200):
        os.lstat(os.path.join(options.dir, name))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(required=True)

    def command(function, *arguments):
        sub = commands.add_parser(function.__name__)
        for name, kind in arguments:
            sub.add_argument(name, type=kind)
        sub.set_defaults(function=function)
        return sub

    locker = command(lock, ("file", str), ("start", int), ("length", int))
    locker.add_argument("--wait", action="store_true")
    locker.add_argument("--shared", action="store_true")
    locker.add_argument("--said")
    locker.add_argument("--until")
    command(stream, ("file", str), ("mib", int)).add_argument("--said")
    command(verify, ("file", str), ("mib", int))
    command(race, ("dir", str), ("count", int))
    command(count, ("dir", str), ("wanted", int))
    options = parser.parse_args()
    return options.function(options)


if __name__ == "__main__":
    sys.exit(main())
