#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/user-guide.md quotes under "Over SMB" of "When something is wrong" is what the programs say: each row's trouble
is made, the quoted words are looked for in what came, and the cure helps. Exit 77 where Samba's client or a KDC is missing."""
import contextlib
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import netns
import tap
from realm import Realm, RealmError, tool
from smb_server import HOST, SERVICE, SmbServer, missing

PASSWORD = "correct horse"
OTHER = "files.lares.test"


def rows():
    """The first column of the table: what clients say."""
    with open(os.path.join(HERE, "..", "..", "docs", "user-guide.md")) as f:
        table = re.search(r"^### Over SMB\n.*?\n(\|.*?)\n\n", f.read(), re.M | re.S).group(1)
    return [q for line in table.splitlines()[2:] for q in re.findall(r"`([^`]+)`", line.split("|")[1])]


UNSEEN = set(rows())


@contextlib.contextmanager
def serving():
    work = pathlib.Path(tempfile.mkdtemp(prefix="smb-symptoms-"))
    os.chmod(work, 0o755)
    try:
        with Realm(work / "realm", users=["alice"], services=[SERVICE]) as realm, \
                SmbServer(work / "server", realm=realm, port=445) as s:
            s.work, s.cc = work, realm.kinit("alice", work / "cc")
            s.add_share("share", work / "share", ["krb5"])
            s.add_user("ada")
            yield s
    finally:
        shutil.rmtree(work, ignore_errors=True)


def says(s, start, *more, share="share", host=HOST, login=None, commands="ls", cc=None):
    """The client is refused, with the words of the row that begins so ("…" stands for anything)."""
    r = ask(s, *more, share=share, host=host, login=login, commands=commands, cc=cc)
    assert "NT_STATUS" in r.stdout, r.stdout
    quoted = next(q for q in rows() if start in q)
    assert re.search(".*".join(re.escape(p.strip()) for p in quoted.split("…")), r.stdout), (quoted, r.stdout)
    UNSEEN.discard(quoted)


def ask(s, *more, share="share", host=HOST, login=None, commands="ls", cc=None):
    return s.run(["smbclient", f"//{host}/{share}", "-s", s.conf, *(login or ["--use-kerberos=required", "-N"]), *more,
                  "-c", commands], cc or s.cc)


def works(s, *more, **kw):
    r = ask(s, *more, **kw)
    assert r.returncode == 0 and "NT_STATUS" not in r.stdout, r.stdout


def said(s, words):
    """The server's log has the reason, as the page says."""
    s.laresd.wait_log(words)


def test_the_way_there():
    with serving() as s:
        says(s, "NT_STATUS_CONNECTION_REFUSED", "-p", "4450")
        says(s, "NT_STATUS_CONNECTION_DISCONNECTED", "-m", "NT1", "--option=client min protocol=NT1")
        works(s)


def test_tickets():
    with serving() as s:
        says(s, "suitable mechtype", cc=s.work / "none")
        says(s, "Kerberos auth with", host="127.0.0.1")
        says(s, "creating NEG_TOKEN_INIT for cifs", host=OTHER)
        seen = len(s.laresd.log())
        s.realm.add_services([f"cifs/{OTHER}"])
        s.laresd.wait_log("keys from keytab", start=seen)
        works(s, host=OTHER)
        short = s.realm.kinit("alice", s.work / "short", life=1)
        time.sleep(2)
        says(s, "Matching credential not found", cc=short)
        works(s, cc=s.realm.kinit("alice", short))


def test_logins():
    with serving() as s:
        s.verb("share.security.set", name="share", sec=["ntlm", "krb5"])
        ada = ["--use-kerberos=off", "-U", "ada%" + PASSWORD]
        says(s, "NT_STATUS_LOGON_FAILURE", login=ada)
        said(s, "NTLM is not switched on for ada")
        s.verb("user.ntlm.enable", name="ada", password=PASSWORD)
        works(s, login=ada)
        says(s, "NT_STATUS_LOGON_FAILURE", login=["--use-kerberos=off", "-U", "ada%wrong"])
        said(s, "wrong password")
        s.verb("user.disable", name="ada")
        says(s, "NT_STATUS_LOGON_FAILURE", login=ada)
        said(s, "the user is disabled")
        s.verb("user.enable", name="ada")
        works(s, login=ada)


def test_shares():
    with serving() as s:
        says(s, "NT_STATUS_BAD_NETWORK_NAME", share="none")
        s.verb("share.disable", name="share")
        says(s, "NT_STATUS_BAD_NETWORK_NAME")
        s.verb("share.enable", name="share")
        works(s)
        s.verb("share.security.set", name="share", sec=["ntlm"])
        says(s, "tree connect failed: NT_STATUS_ACCESS_DENIED")
        said(s, "the share wants one of ntlm; this session has krb5")
        s.verb("share.security.set", name="share", sec=["krb5p"])
        says(s, "tree connect failed: NT_STATUS_ACCESS_DENIED", "-m", "SMB2_10")
        works(s)
        s.verb("share.security.set", name="share", hosts=["192.0.2.1"])
        says(s, "tree connect failed: NT_STATUS_ACCESS_DENIED")
        said(s, "the share is not for this host")


def test_files():
    with serving() as s:
        s.verb("share.set", name="share", **{"read-only": True})
        says(s, "NT_STATUS_MEDIA_WRITE_PROTECTED", commands="put /etc/hostname f")
        s.verb("share.set", name="share", **{"read-only": False})
        works(s, commands="put /etc/hostname f")
        os.chmod(s.work / "share", 0o755)
        says(s, "opening remote file", commands="put /etc/hostname g")


def test_every_row_was_seen():
    """(Last: it looks at what the others met.)"""
    if len(sys.argv) > 1:
        tap.skip("only with all the others")
    assert not UNSEEN, UNSEEN


if __name__ == "__main__":
    gone = missing("smbclient", "ip")
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit"):
            tool(name)
    except RealmError as e:
        gone = str(e)
    gone = gone or netns.enter({HOST: "127.0.0.1", OTHER: "127.0.0.1"})
    if gone:
        print("1..0 # SKIP needs root, a KDC and smbclient:", gone)
        sys.exit(77)
    tap.main(globals())
