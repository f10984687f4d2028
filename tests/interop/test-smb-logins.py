#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""smbclient and rpcclient against laresd: who gets in, how, and what the pipes say. Exit 77 where Samba's clients or MIT's
KDC are not to be had."""
import contextlib
import os
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from realm import Realm, RealmError, tool
from smb_server import SERVICE, SmbServer, missing

PASSWORD = "correct horse"
ADA = "ada%" + PASSWORD
PROTOCOLS = ("SMB2_02", "SMB2_10", "SMB3_00", "SMB3_02", "SMB3_11")


@contextlib.contextmanager
def serving(**settings):
    """A server with a realm and four shares; .cc is alice's ticket."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="smb-logins-"))
    os.chmod(work, 0o755)
    try:
        with Realm(work / "realm", users=["alice"], services=[SERVICE]) as realm:
            cc = realm.kinit("alice", work / "cc")
            with SmbServer(work / "server", realm=realm, **settings) as s:
                s.cc, s.work = cc, work
                for name, sec in (("krb", ["krb5"]), ("signed", ["krb5i"]), ("sealed", ["krb5p"]), ("ntlm", ["ntlm"]),
                                  ("both", ["krb5", "ntlm"]), ("open", ["sys"])):
                    s.add_share(name, work / "shares" / name, sec)
                s.add_user("ada", PASSWORD)
                s.add_user("carol")
                yield s
    finally:
        shutil.rmtree(work, ignore_errors=True)


def transfers(s, share, **login):
    """A file goes there whole."""
    here, there = s.work / "here", s.work / "shares" / share / "f"
    here.write_bytes(os.urandom(100000))
    r = s.smbclient(share, f"put {here} f", **login)
    assert r.returncode == 0, r.stdout
    assert here.read_bytes() == there.read_bytes()
    os.unlink(there)


def refused(r, word):
    assert r.returncode != 0 and word in r.stdout, r.stdout


def test_kerberos():
    with serving() as s:
        for protocol in PROTOCOLS:
            transfers(s, "krb", ccache=s.cc, more=["-m", protocol])
        transfers(s, "signed", ccache=s.cc, more=["--client-protection=sign"])
        for protocol in PROTOCOLS[2:]:
            transfers(s, "sealed", ccache=s.cc, more=["-m", protocol, "--client-protection=encrypt"])
        refused(s.smbclient("sealed", "put /dev/null f", ccache=s.cc, more=["-m", "SMB2_10"]), "NT_STATUS_ACCESS_DENIED")
        refused(s.smbclient("ntlm", "put /dev/null f", ccache=s.cc), "NT_STATUS_ACCESS_DENIED")


def test_ntlm():
    with serving() as s:
        for protocol in PROTOCOLS:
            transfers(s, "ntlm", user=ADA, more=["-m", protocol])
        for protection in ("sign", "encrypt"):
            transfers(s, "both", user=ADA, more=[f"--client-protection={protection}"])
        transfers(s, "ntlm", user="ADA%" + PASSWORD)
        refused(s.smbclient("krb", "ls", user=ADA), "NT_STATUS_ACCESS_DENIED")


def test_ntlm_refusals():
    with serving() as s:
        refused(s.smbclient("ntlm", "ls", user="ada%wrong horse"), "NT_STATUS_LOGON_FAILURE")
        refused(s.smbclient("ntlm", "ls", user="ada%"), "NT_STATUS_LOGON_FAILURE")
        refused(s.smbclient("ntlm", "ls", user="carol%" + PASSWORD), "NT_STATUS_LOGON_FAILURE")
        refused(s.smbclient("ntlm", "ls", user=ADA, more=["--option=client ntlmv2 auth = no", "--option=client lanman auth = yes",
                                                         "--option=client use spnego = no"]), "NT_STATUS_")
        assert "not switched on for carol" in s.laresd.log()
        s.verb("user.ntlm.disable", name="ada")
        refused(s.smbclient("ntlm", "ls", user=ADA), "NT_STATUS_LOGON_FAILURE")


def test_disabled_user():
    with serving() as s:
        transfers(s, "ntlm", user=ADA)
        transfers(s, "krb", ccache=s.cc)
        s.verb("user.disable", name="ada")
        s.verb("user.disable", name="alice")
        refused(s.smbclient("ntlm", "ls", user=ADA), "NT_STATUS_")
        refused(s.smbclient("krb", "ls", ccache=s.cc), "NT_STATUS_")


def test_guests():
    with serving() as s:
        transfers(s, "open", guest=True)
        for share in ("krb", "ntlm", "sealed"):
            refused(s.smbclient(share, "ls", guest=True), "NT_STATUS_ACCESS_DENIED")
    with serving(ntlm={"guest": False}) as s:
        refused(s.smbclient("open", "ls", guest=True), "NT_STATUS_LOGON_FAILURE")


def shares_in(text):
    return set(re.findall(r"^\s*(\S+)\s+(?:Disk|IPC)", text, re.M))


def test_share_list():
    """Who asks sees what he could use."""
    with serving() as s:
        s.add_share("elsewhere", s.work / "shares" / "elsewhere", ["krb5", "sys", "ntlm"], hosts=["192.0.2.0/24"])
        for login, want in (({"guest": True}, {"open"}), ({"user": ADA}, {"ntlm", "both"}),
                            ({"ccache": s.cc}, {"krb", "signed", "sealed", "both"})):
            r = s.run(["smbclient", "-L", "//nas.lares.test", "-I", "127.0.0.1", "-s", s.conf, "-p", s.port,
                       *s.login(**login)], login.get("ccache"))
            assert r.returncode == 0, r.stdout
            assert shares_in(r.stdout) == want | {"IPC$"}, (login, r.stdout)


def test_server_sid():
    """Made once, before anybody comes, and the server's own: what was stored with it keeps its meaning."""
    with serving() as s:
        path = pathlib.Path(s.laresd.state, "machine.sid")
        made = path.stat()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o777, made.st_size) == (0, 0, 0o600, 12), made
        transfers(s, "ntlm", user=ADA)
        told = s.rpcclient("lookupnames ada", user=ADA).stdout
        assert re.match(r"ada S-1-5-21-\d+-\d+-\d+-\d+ ", told), told
        s.stop()
        s.start()
        assert s.rpcclient("lookupnames ada", user=ADA).stdout == told
        assert path.stat().st_mtime_ns == made.st_mtime_ns


def test_srvsvc():
    with serving() as s:
        r = s.rpcclient("srvinfo", user=ADA)
        assert r.returncode == 0 and "NAS" in r.stdout and "platform_id" in r.stdout, r.stdout
        for level in (0, 1, 2, 501, 502):
            r = s.rpcclient(f"netshareenum {level}", ccache=s.cc)
            assert r.returncode == 0, (level, r.stdout)
        for level in (1, 2, 502):
            r = s.rpcclient(f"netsharegetinfo both {level}", user=ADA)
            assert r.returncode == 0 and "both" in r.stdout, (level, r.stdout)
        assert "WERR_NERR_NETNAMENOTFOUND" in s.rpcclient("netsharegetinfo sealed 1", user=ADA).stdout
        assert "WERR_NERR_NETNAMENOTFOUND" in s.rpcclient("netsharegetinfo nothing 1", user=ADA).stdout
        r = s.rpcclient("netremotetod", user=ADA)
        assert r.returncode == 0, r.stdout
        assert s.rpcclient("wkssvc_wkstagetinfo 100", user=ADA).returncode == 0


def test_lsarpc():
    with serving() as s:
        transfers(s, "krb", ccache=s.cc)  # alice exists from her first login on
        r = s.rpcclient("lookupnames ada alice nosuchuser Everyone", user=ADA)
        sids = dict(re.findall(r"^(\S+) (S-1-\S+) \(", r.stdout, re.M))
        assert sids["ada"].startswith("S-1-5-21-") and sids["alice"] != sids["ada"], r.stdout
        r = s.rpcclient(f"lookupsids {sids['ada']} {sids['alice']} S-1-1-0 S-1-5-21-1-2-3-4", user=ADA)
        assert f"{sids['ada']} NAS\\ada (1)" in r.stdout and f"{sids['alice']} NAS\\alice (1)" in r.stdout, r.stdout
        assert "Everyone (5)" in r.stdout and "S-1-5-21-1-2-3-4 *unknown*" in r.stdout, r.stdout
        assert "ada" in s.rpcclient("getusername", user=ADA).stdout
        assert "alice" in s.rpcclient("getusername", ccache=s.cc).stdout
        r = s.rpcclient("lsaquery", user=ADA)
        assert "NAS" in r.stdout or "WORKGROUP" in r.stdout, r.stdout
        # A guest is told no names.
        r = s.rpcclient(f"lookupsids {sids['ada']}", guest=True)
        assert "ada" not in r.stdout, r.stdout
        assert sids["ada"] not in s.rpcclient("lookupnames ada", guest=True).stdout


def test_lsarpc_every_call():
    with serving() as s:
        transfers(s, "krb", ccache=s.cc)
        find = re.compile(r"^(\S.*?) (S-1-\S+) \(.*: (\d+)\)", re.M)
        r = s.rpcclient("lookupnames NAS\\\\ada nas.lares.test\\\\ada ELSEWHERE\\\\ada ada@elsewhere.test", user=ADA)
        assert len(find.findall(r.stdout)) == 2, r.stdout
        r = s.rpcclient("lookupnames NAS BUILTIN Administrators", user=ADA)
        assert [m[2] for m in find.findall(r.stdout)] == ["3", "3", "4"], r.stdout
        here = find.findall(r.stdout)[0][1]
        r = s.rpcclient(f"lookupsids {here} S-1-5-32-544 S-1-5-11", user=ADA)
        assert "NAS\\ (3)" in r.stdout.replace("*unknown*", "") or "NAS (3)" in r.stdout, r.stdout
        assert "BUILTIN\\Administrators (4)" in r.stdout and "NT AUTHORITY\\Authenticated Users (5)" in r.stdout, r.stdout
        r = s.rpcclient("lookupnames4 ada", user=ADA)
        assert f"ada {here}-" in r.stdout, r.stdout
        ada = re.search(r"ada (S-1-\S+)", r.stdout).group(1)
        r = s.rpcclient(f"lookupsids3 {ada}", user=ADA)
        assert f"{ada} ada (1)" in r.stdout, r.stdout
        for command in ("lookupnames4 ada", f"lookupsids3 {ada}"):
            r = s.rpcclient(command, guest=True)
            assert r.returncode != 0 and "ACCESS_DENIED" in r.stdout, r.stdout
        for level in (3, 5, 6, 12):
            r = s.rpcclient(f"lsaquery {level}", user=ADA)
            assert r.returncode == 0, (level, r.stdout)


def test_samr():
    with serving() as s:
        transfers(s, "krb", ccache=s.cc)
        s.verb("user.set", name="ada", **{"full-name": "Ada Byron"})
        s.verb("user.disable", name="carol")
        for login in ({"user": ADA}, {"ccache": s.cc}):
            r = s.rpcclient("enumdomusers", **login)
            users = dict(re.findall(r"user:\[(\w+)\] rid:\[(0x\w+)\]", r.stdout))
            assert r.returncode == 0 and {"ada", "alice", "carol"} <= set(users), r.stdout
            r = s.rpcclient(f"queryuser {users['ada']}", **login)
            assert "User Name   :\tada" in r.stdout and "Full Name   :\tAda Byron" in r.stdout, r.stdout
            assert re.search(r"acb_info :\s*0x00000210", r.stdout), r.stdout
        assert re.search(r"acb_info :\s*0x00000211", s.rpcclient("queryuser carol", user=ADA).stdout)
        for level in (1, 6, 7, 8, 9, 16):
            r = s.rpcclient(f"queryuser ada {level}", user=ADA)
            assert r.returncode == 0, (level, r.stdout)
        r = s.rpcclient("samlookupnames domain ada alice", user=ADA)
        assert f"name ada: {users['ada']} (1)" in r.stdout and f"alice: {users['alice']} (1)" in r.stdout, r.stdout
        assert "SOME_UNMAPPED" in s.rpcclient("samlookupnames domain ada nosuchuser", user=ADA).stdout
        assert "NONE_MAPPED" in s.rpcclient("samlookupnames domain NAS\\\\ada", user=ADA).stdout
        r = s.rpcclient(f"samlookuprids domain {users['ada']} {users['alice']}", user=ADA)
        assert f"rid {users['ada']}: ada (1)" in r.stdout and ": alice (1)" in r.stdout, r.stdout
        assert "name:[NAS]" in s.rpcclient("enumdomains", user=ADA).stdout
        assert re.search(r"S-1-5-21-\d+", s.rpcclient("lookupdomain NAS", user=ADA).stdout)
        assert "NO_SUCH_DOMAIN" in s.rpcclient("lookupdomain ELSEWHERE", user=ADA).stdout
        r = s.rpcclient("querydominfo", user=ADA)
        assert "Domain:\t\tNAS" in r.stdout and re.search(r"Total Users:\s*[1-9]", r.stdout), r.stdout
        assert s.rpcclient("enumdomgroups", user=ADA).returncode == 0
        assert s.rpcclient("enumalsgroups builtin", user=ADA).returncode == 0
        assert "group rid" in s.rpcclient(f"queryusergroups {users['ada']}", user=ADA).stdout
        # Nobody changes anything, and a guest sees nothing.
        assert s.rpcclient("createdomuser mallory", user=ADA).returncode != 0
        assert s.rpcclient(f"deletedomuser carol", user=ADA).returncode != 0
        for command in ("enumdomusers", "queryuser ada", "enumdomains"):
            r = s.rpcclient(command, guest=True)
            assert r.returncode != 0 and "ACCESS_DENIED" in r.stdout and "ada" not in r.stdout.replace("queryuser", ""), r.stdout


def test_many_users():
    """They are listed in parts."""
    with serving() as s:
        for i in range(900):
            s.verb("user.add", name=f"a-user-with-quite-a-long-name-{i:04}")
        r = s.rpcclient("enumdomusers", user=ADA)
        assert r.returncode == 0 and r.stdout.count("a-user-with-quite") == 900, r.stdout[-500:]


def test_what_srvsvc_tells_nobody():
    with serving() as s:
        for command in ("netsessenum", "netfileenum", "netconnenum"):
            r = s.rpcclient(command, user=ADA)
            assert "WERR_ACCESS_DENIED" in r.stdout or "command not found" in r.stdout, r.stdout


def test_many_shares():
    """The answer takes many fragments."""
    with serving() as s:
        for i in range(300):
            s.verb("share.create", name=f"share-number-{i:03}", path=str(s.work), sec=["ntlm"])
        r = s.rpcclient("netshareenumall", user=ADA)
        assert r.returncode == 0 and r.stdout.count("share-number-") == 300, r.stdout[-500:]


if __name__ == "__main__":
    gone = missing("smbclient", "rpcclient")
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit"):
            tool(name)
    except RealmError as e:
        gone = str(e)
    if gone or os.geteuid() != 0:
        print("1..0 # SKIP needs root, a KDC, smbclient and rpcclient:", gone)
        sys.exit(77)
    tap.main(globals())
