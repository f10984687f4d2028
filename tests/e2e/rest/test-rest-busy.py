#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Managing and serving files do not keep one another waiting: REST answers while clients take all that the processor
has, and files are served while REST is asked without a pause. The limits are for machines with few processors, where
the programs that load the server compete with it."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from laresd import BUILD, Laresd
from lares_server import call_verb
from restlab import exchange, statuses

SECONDS = 2
WORST, USUAL = 3.0, 0.5  # an answer's seconds


def serving(work):
    os.makedirs(os.path.join(work, "data"))
    os.chmod(work, 0o755)
    os.chmod(os.path.join(work, "data"), 0o777)
    return Laresd({"auth-sys": {}, "store-posix": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@"},
                   "proto-rest": {"http": "127.0.0.1:@PORT2@"}}, directory=work)


def load(d, workload, *options, seconds=SECONDS):
    return subprocess.Popen([os.path.join(BUILD, "bench", "nfsload"), f"--port={d.ports[1]}", "--path=/data", "--filesize=8m",
                             "--files=200", f"--seconds={seconds}", "--stall=60", *options, workload],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (process.returncode, out, err)
    r = json.loads(out)
    assert r["ops"] > 0 and not r["errors"] and not r["lost"], r
    return r


def health(d):
    began = time.monotonic()
    got = exchange(d.connect(d.ports[2]), b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", timeout=60)
    assert statuses(got) == [200], got
    return time.monotonic() - began


def verb(d):
    began = time.monotonic()
    assert call_verb(d.control, "share.list")
    return time.monotonic() - began


def test_answers_while_files_are_served():
    with tempfile.TemporaryDirectory() as work, serving(work) as d:
        call_verb(d.control, "share.create", name="data", path=os.path.join(work, "data"), sec=["sys"])
        for workload, more in (("randread", ["--size=4k"]), ("getattr", []), ("create", [])):
            cpu = d.cpu()
            p = load(d, workload, "--connections=4", "--inflight=32", *more)
            time.sleep(0.3)  # it prepares its files
            times = []
            while p.poll() is None:
                times += [health(d), verb(d)]
                time.sleep(0.01)
            r = result(p)
            used = d.cpu() - cpu
            print("# %s: %d operations, %.1f s of processor; %d answers, usual %.1f ms, worst %.1f ms" % (
                workload, r["ops"], used, len(times), 1000 * statistics.median(times), 1000 * max(times)), flush=True)
            assert used > SECONDS * 0.3, "the server was not busy"
            assert len(times) > 10 and statistics.median(times) < USUAL and max(times) < WORST, sorted(times)[-5:]
            # A change is made meanwhile, too, and is there at once.
            assert call_verb(d.control, "share.set", name="data", **{"read-only": False})


def test_files_are_served_while_it_answers():
    with tempfile.TemporaryDirectory() as work, serving(work) as d:
        call_verb(d.control, "share.create", name="data", path=os.path.join(work, "data"), sec=["sys"])
        stop, counts, failed = threading.Event(), [], []

        def ask(what):
            n = 0
            try:
                while not stop.is_set():
                    what(d)
                    n += 1
            except Exception as e:  # noqa: BLE001  (told below)
                failed.append(e)
            counts.append(n)
        threads = [threading.Thread(target=ask, args=(what,)) for what in (health, health, verb, verb)]
        for t in threads:
            t.start()
        try:
            r = result(load(d, "getattr", "--connections=1", "--inflight=1"))
        finally:
            stop.set()
            for t in threads:
                t.join()
        assert not failed, failed
        print("# %d operations one after the other beside %d answers" % (r["ops"], sum(counts)), flush=True)
        assert sum(counts) > 50, counts
        assert r["ops"] > SECONDS * 50, r  # each in less than 20 ms


if __name__ == "__main__":
    if not os.path.exists(os.path.join(BUILD, "bench", "nfsload")):
        print("1..0 # SKIP the load generator was not built")
        sys.exit(77)
    tap.main(globals())
