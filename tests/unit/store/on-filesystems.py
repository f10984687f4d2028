#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs test programs on tmpfs and on loop-mounted ext4, xfs and btrfs, in a mount namespace of its own."""
import os
import shutil
import subprocess
import sys
import tempfile

MAKE = {
    'ext4': ['mkfs.ext4', '-q', '-F'],
    'xfs': ['mkfs.xfs', '-q', '-f'],
    'btrfs': ['mkfs.btrfs', '-q', '-f'],
}
SIZE = 400 << 20


def mount(kind, work):
    """Mounts a fresh file system of this kind; returns its folder, or None with a reason."""
    where = os.path.join(work, kind)
    os.mkdir(where)
    if kind == 'tmpfs':
        command = ['mount', '-t', 'tmpfs', '-o', 'size=256m', 'none', where]
    else:
        if not shutil.which(MAKE[kind][0]):
            return None, MAKE[kind][0] + ' is not installed'
        image = where + '.img'
        with open(image, 'wb') as f:
            f.truncate(SIZE)
        made = subprocess.run(MAKE[kind] + [image], capture_output=True, text=True)
        if made.returncode:
            return None, made.stderr.strip().replace('\n', ' ')
        command = ['mount', '-o', 'loop', image, where]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip().replace('\n', ' ')
    os.chmod(where, 0o755)
    return where, None


def main():
    if os.geteuid() != 0 or not shutil.which('unshare'):
        print('1..0 # SKIP needs root')
        return 0
    if os.environ.get('LARES_OWN_MOUNTS') != '1':
        os.environ['LARES_OWN_MOUNTS'] = '1'
        os.execvp('unshare', ['unshare', '-m', '--propagation', 'private', sys.executable] + sys.argv)
    programs = sys.argv[1:]
    kinds = ['tmpfs'] + sorted(MAKE)
    print('1..%d' % (len(kinds) * len(programs)), flush=True)
    number, failed = 0, 0
    with tempfile.TemporaryDirectory(prefix='lares-fs-') as work:
        os.chmod(work, 0o755)
        for kind in kinds:
            where, reason = mount(kind, work)
            for program in programs:
                number += 1
                name = '%s on %s' % (os.path.basename(program), kind)
                if not where:
                    print('ok %d %s # SKIP %s' % (number, name, reason), flush=True)
                    continue
                run = subprocess.run([program, where], capture_output=True, text=True)
                failed += run.returncode != 0
                print('%sok %d %s' % ('not ' if run.returncode else '', number, name), flush=True)
                if run.returncode:
                    for line in (run.stdout + run.stderr).splitlines()[-15:]:
                        print('# ' + line, flush=True)
            if where:
                subprocess.run(['umount', where], check=False)
    return 1 if failed else 0


sys.exit(main())
