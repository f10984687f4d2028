#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""go-smb2, a client in Go that shares no code with Samba or impacket, in every dialect, signed and encrypted, with NTLM. All
is captured, and read once more by Wireshark. Exit 77 where one of them or the compiler is not installed."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import capture
import netns
import tap
from smb_server import SmbServer, missing

SOURCES = "/usr/share/gocode"
DIALECTS = ("0x202", "0x210", "0x300", "0x302", "0x311")
PASSWORD = "correct horse"


def build(folder):
    program = folder / "smb2-client"
    subprocess.run(["go", "build", "-o", str(program), str(HERE / "smb2-client.go")], check=True, timeout=170, cwd=folder,
                   env=dict(os.environ, GO111MODULE="off", GOPATH=SOURCES, GOCACHE=str(folder / "cache"), GOFLAGS="-p=1"))
    return program


@contextlib.contextmanager
def serving():
    work = pathlib.Path(tempfile.mkdtemp(prefix="go-smb2-"))
    os.chmod(work, 0o755)
    try:
        program = build(work)
        with SmbServer(work / "server", port=445) as s:
            s.add_share("signed", work / "signed", ["ntlm"])
            s.add_share("sealed", work / "sealed", ["ntlm"], **{"smb-encrypt": True})
            s.add_share("open", work / "open", ["sys"])  # for guests
            s.add_user("ada", PASSWORD)

            def client(share, dialect, password=PASSWORD):
                return subprocess.run([program, f"127.0.0.1:{s.port}", share, "ada", password, dialect], timeout=60, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            with capture.Capture(work) as c:
                yield client
        found = c.complaints()
        assert not found, "\n".join(found[:20])
        assert c.count("smb2.cmd == 5 && smb2.flags.response == 1") > 50
    finally:
        shutil.rmtree(work, ignore_errors=True)


def refused(done, why):
    assert done.returncode == 1 and why in done.stdout, done.stdout


def test_everything():
    with serving() as client:
        for dialect in DIALECTS:
            done = client("signed", dialect)
            assert done.returncode == 0 and done.stdout.split()[0] == "IPC$" and "signed" in done.stdout, (dialect, done.stdout)
            done = client("sealed", dialect)
            if dialect < "0x300":
                refused(done, "permission denied")
            else:
                assert done.returncode == 0, (dialect, done.stdout)
        refused(client("open", "0x311"), "permission denied")
        refused(client("elsewhere", "0x311"), "name")
        refused(client("signed", "0x311", "wrong horse"), "logon is invalid")


if __name__ == "__main__":
    gone = missing("go") or (None if os.path.isdir(SOURCES + "/src/github.com/hirochachacha/go-smb2") else "go-smb2")
    gone = gone or capture.missing() or netns.enter()
    if gone:
        print(f"1..0 # SKIP {gone}")
        sys.exit(77)
    tap.main(globals())
