#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the server says over NFS, read by Wireshark: the clients and suites of this tree run in a network of the test's own,
all traffic is captured, and no answer of the server is malformed, in any version and flavor. What runs with krb5p is read
with the service's keys. test-nfs-capture.py [LIBNFS-OPS] [TIRPC-GSS]; exit 77 where Wireshark or root is missing."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import capture
import netns
import tap
from laresd import Laresd
from lares_server import call_verb
from realm import RealmError, tool
from serving import serving

PROGRAMS = {os.path.basename(a): a for a in sys.argv[1:] if os.path.isfile(a)}
sys.argv = [a for a in sys.argv if a not in PROGRAMS.values() or a == sys.argv[0]]
# Requests are the tests' own, and often wrong on purpose: the answers are what is judged.
REQUESTS = "rpc.msgtyp == 0"


EVERY_PORT = {"rpc": ["1024-65535"]}
FOLDER = tempfile.TemporaryDirectory(prefix="nfs-capture-")
KEPT = {}  # what was captured of each suite, and how many answers it holds at least: all is read together at the end


def suite_is_captured(name, at_least):
    c = capture.Capture(FOLDER.name, name)
    with c:
        r = subprocess.run([sys.executable, str(HERE.parent / "wire" / "conformance" / (name + ".py"))],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert r.returncode == 0, re.findall(r"^not ok.*(?:\n#.*)*", r.stdout, re.M) or r.stdout[-2000:]
    KEPT[name] = c, at_least


def test_acls():
    suite_is_captured("acls", 50)


def test_attributes():
    suite_is_captured("attributes", 100)


def test_basic():
    suite_is_captured("basic", 100)


def test_locks():
    suite_is_captured("locks", 100)


def test_named():
    suite_is_captured("named", 100)


def test_opens():
    suite_is_captured("opens", 100)


def test_sessions():
    suite_is_captured("sessions", 100)


def test_tree():
    suite_is_captured("tree", 100)


def test_v42():
    suite_is_captured("v42", 100)


def test_libnfs():
    if "libnfs-ops" not in PROGRAMS:
        tap.skip("built without libnfs")
    with Laresd({"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:2049"}},
                raw="[identity]\nowner-names=numeric\n", start=False) as d:
        d.wait = [2049, d.control]
        d.start()
        folder = tempfile.mkdtemp(prefix="share-", dir=d.dir)
        os.chmod(folder, 0o777)
        call_verb(d.control, "share.create", name="share", path=folder, sec=["sys"], squash="none")
        with capture.Capture(FOLDER.name, "libnfs") as c:
            env = dict(os.environ, LIBNFS_URL="nfs://127.0.0.1/share/?version=4&nfsport=2049&uid=1000&gid=1000",
                       ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
            r = subprocess.run([PROGRAMS["libnfs-ops"]], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, timeout=100)
        assert r.returncode == 0, r.stdout
        KEPT["libnfs"] = c, 30


def test_gss():
    """RPCSEC_GSS of libtirpc, with each service; sealed calls are opened with the keytab."""
    if "tirpc-gss" not in PROGRAMS:
        tap.skip("built without libtirpc's GSS")
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit"):
            tool(name)
    except RealmError as e:
        tap.skip(str(e))
    with serving("lares") as s:
        with capture.Capture(s.work, keytab=s.realm.service_keytab) as c:
            r = subprocess.run([PROGRAMS["tirpc-gss"], "127.0.0.1", str(s.port), "localhost"], env=s.environ,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert r.returncode == 0, r.stdout
        found, counts = c.complaints_and_counts(
            *(f"rpc.authgss.service == {service} && rpc.msgtyp == 0" for service in (1, 2, 3)), unless=REQUESTS,
            ports=EVERY_PORT)
        assert not found, "\n".join(found[:20])
        assert all(counts), counts


def test_what_was_captured():
    """No complaint about an answer, and there were some of each suite."""
    suites = list(KEPT)
    together = capture.Together(os.path.join(FOLDER.name, "all"), [KEPT[name][0] for name in suites])
    found, answers = together.complaints_and_counts(
        *(f"ip.addr == 127.{n}.0.1 && nfs && rpc.msgtyp == 1" for n in range(1, len(suites) + 1)), unless=REQUESTS,
        ports=EVERY_PORT)
    assert not found, "\n".join([str(suites), *found[:20]])
    for name, count in zip(suites, answers, strict=True):
        print(f"# {name}: {count} answers")
        assert count >= KEPT[name][1], (name, count)
    # The reader does read: what a test sends cut off is complained about.
    assert "basic" not in KEPT or KEPT["basic"][0].complaints(ports=EVERY_PORT)


if __name__ == "__main__":
    gone = capture.missing() or netns.enter({})
    if gone:
        print("1..0 # SKIP needs root, dumpcap and tshark:", gone)
        sys.exit(77)
    if len(sys.argv) > 1:
        sys.argv.append("what_was_captured")
    tap.main(globals())
