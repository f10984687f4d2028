# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real programs at work: copying trees, git, tar, SQLite, thousands of files."""

import filecmp
import os
import shutil
import sqlite3
import stat
import subprocess

from . import Skip, check, expect, pattern, read_file, write_file


def run(*args, cwd=None):
    done = subprocess.run(args, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(args)}: {done.stdout.strip()[-300:]}")
    return done.stdout


def make_tree(top, files):
    """A tree with many sizes, modes, times, links and names; the same in every run."""
    os.makedirs(top)
    for number in range(files):
        folder = os.path.join(top, f"d{number % 7}", f"e{number % 3}")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"file {number:04d}.txt")
        write_file(path, pattern((number * number * 13) % 20_000, number))
        os.chmod(path, (0o644, 0o600, 0o755, 0o444)[number % 4])
        os.utime(path, ns=(1_500_000_000_000_000_000 + number * 1_000_000_007,) * 2)
        if number % 10 == 0:
            os.symlink(f"file {number:04d}.txt", os.path.join(folder, f"link{number}"))
        if number % 25 == 0:
            os.link(path, os.path.join(top, f"hard{number}"))
    os.mkdir(os.path.join(top, "empty"))


def describe(top):
    """{path: what matters} of a tree."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            row = [stat.filemode(info.st_mode)]
            if stat.S_ISLNK(info.st_mode):
                row.append(os.readlink(path))
            elif stat.S_ISREG(info.st_mode):
                row += [info.st_size, info.st_mtime_ns, info.st_nlink]
            found[os.path.relpath(path, top)] = row
    return found


def compare(one, two):
    left, right = describe(one), describe(two)
    expect(sorted(left), sorted(right), "names")
    for path, row in left.items():
        expect(right[path], row, path)
        if row[0].startswith("-"):
            expect(filecmp.cmp(os.path.join(one, path), os.path.join(two, path), shallow=False), True, f"contents of {path}")


@check("tree/copy", limit=180)
def tree_copy(ctx):
    local = f"/tmp/tree.{os.getpid()}"
    make_tree(local, 40 if ctx.quick else 250)
    try:
        run("cp", "-a", local, ctx.path("tree"))
        ctx.drop_caches()
        compare(local, ctx.path("tree"))
        run("cp", "-a", ctx.path("tree"), ctx.path("again"))
        compare(local, ctx.other("again"))
        run("rm", "-r", ctx.path("tree"))
        expect(os.listdir(ctx.other()), ["again"])
    finally:
        shutil.rmtree(local)


@check("tree/tar", limit=120)
def tree_tar(ctx):
    make_tree(ctx.path("tree"), 26 if ctx.quick else 40)
    run("tar", "-C", ctx.dir, "--format=posix", "-cf", ctx.path("a.tar"), "tree")
    os.mkdir(ctx.path("out"))
    run("tar", "-C", ctx.path("out"), "-xpf", ctx.path("a.tar"))
    compare(ctx.path("tree"), ctx.path("out/tree"))


@check("tree/many-files", limit=300)
def many_files(ctx):
    count = 150 if ctx.quick else 2000
    for number in range(count):
        folder = ctx.path(f"{number % 10}")
        if number < 10:
            os.mkdir(folder)
        write_file(os.path.join(folder, str(number)), str(number).encode())
    ctx.drop_caches()
    seen = 0
    for folder, _, files in os.walk(ctx.dir):
        for name in files:
            seen += 1
            expect(os.stat(os.path.join(folder, name)).st_size, len(name), "size")
            if seen % 10 == 0:
                expect(read_file(os.path.join(folder, name)), name.encode())
    expect(seen, count, "files found")
    run("rm", "-rf", *[ctx.path(str(n)) for n in range(10)])
    expect(os.listdir(ctx.other()), [])


@check("program/git", limit=180)
def git(ctx):
    if not shutil.which("git"):
        raise Skip("git is not installed")
    for key, value in {"GIT_AUTHOR_NAME": "Alice", "GIT_AUTHOR_EMAIL": "alice@lares.test", "GIT_COMMITTER_NAME": "Alice",
                       "GIT_COMMITTER_EMAIL": "alice@lares.test", "GIT_CONFIG_NOSYSTEM": "1"}.items():
        os.environ[key] = value
    work = ctx.path("work")
    run("git", "init", "-q", "-b", "main", work)
    make_tree(os.path.join(work, "tree"), 12 if ctx.quick else 80)
    run("git", "add", "-A", cwd=work)
    run("git", "commit", "-q", "-m", "first", cwd=work)
    # Once per version is enough for what starts ten more programs: they are the same to the server with every flavor.
    if ctx.sec == "sys" or not ctx.quick:
        write_file(os.path.join(work, "new"), b"second")
        run("git", "add", "new", cwd=work)
        run("git", "commit", "-q", "-m", "second", cwd=work)
        run("git", "gc", "-q", cwd=work)
    run("git", "clone", "-q", work, ctx.path("clone"))
    run("git", "fsck", "--full", "--strict", cwd=ctx.path("clone"))
    expect(run("git", "status", "--porcelain", cwd=ctx.path("clone")), "", "changes in the clone")
    expect(run("git", "rev-parse", "HEAD", cwd=work), run("git", "rev-parse", "HEAD", cwd=ctx.path("clone")))


@check("program/sqlite", limit=180)
def sqlite(ctx):
    rows = 8 if ctx.quick else 25
    base = sqlite3.connect(ctx.path("db"))
    base.execute("create table t (writer text, number integer, data blob)")
    base.commit()
    base.close()
    children = []
    # Two writers with caches of their own: the locks and the fsyncs must hold on the server.
    for letter, path in (("a", ctx.path("db")), ("b", ctx.other("db"))):
        pid = os.fork()
        if pid == 0:
            try:
                mine = sqlite3.connect(path, timeout=120)
                for number in range(rows):
                    mine.execute("begin immediate")
                    mine.execute("insert into t values (?, ?, ?)", (letter, number, pattern(3000, number)))
                    mine.commit()
                mine.close()
                os._exit(0)
            except sqlite3.Error as error:
                print(error, flush=True)
            finally:
                os._exit(1)
        children.append(pid)
    expect([os.waitpid(p, 0)[1] for p in children], [0, 0], "writers")
    ctx.drop_caches()
    base = sqlite3.connect(ctx.path("db"))
    expect(base.execute("pragma integrity_check").fetchone(), ("ok",))
    expect(base.execute("select writer, count(*), sum(length(data)) from t group by writer").fetchall(),
           [("a", rows, 3000 * rows), ("b", rows, 3000 * rows)])


@check("program/editor")
def editor(ctx):
    """What editors do on saving: write aside, sync, rename over, keep a backup link."""
    write_file(ctx.path("doc"), b"version 0")
    for number in range(1, 15):
        backup = ctx.path("doc~")
        if os.path.exists(backup):
            os.unlink(backup)
        os.link(ctx.path("doc"), backup)
        with open(ctx.path(".doc.swp"), "wb") as stream:
            stream.write(f"version {number}".encode())
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(ctx.path(".doc.swp"), ctx.path("doc"))
        expect(read_file(ctx.other("doc")), f"version {number}".encode())
        expect(read_file(ctx.other("doc~")), f"version {number - 1}".encode())
