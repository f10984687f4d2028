#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""impacket, a client in Python that shares no code with Samba: its own SMB, Kerberos, NTLM and RPC against laresd. Its login
by ticket has neither a subkey nor a sequence number, and no checksum. All is captured, and read once more by Wireshark. Exit
77 where one of them is not to be had, or MIT's KDC."""
import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture
import netns
import tap
from realm import Realm, RealmError, tool
from smb_server import HOST, SERVICE, SmbServer
try:
    from impacket.dcerpc.v5 import lsad, lsat, samr, srvs, transport, wkst
    from impacket.dcerpc.v5.dtypes import MAXIMUM_ALLOWED, NULL
    from impacket.dcerpc.v5.rpcrt import DCERPCException
    from impacket.smbconnection import SessionError, SMBConnection
except ImportError as error:
    print(f"1..0 # SKIP {error}")
    sys.exit(77)

PASSWORD = "correct horse"
DIALECTS = {"2.0.2": 0x202, "2.1": 0x210, "3.0": 0x300, "3.1.1": 0x311}
KEPT = []  # what was captured of each server
CAPTURES = tempfile.TemporaryDirectory(prefix="impacket-captures-")
ALL = ("both", "krb", "ntlm", "open", "sealed", "signed")


@contextlib.contextmanager
def serving():
    work = pathlib.Path(tempfile.mkdtemp(prefix="impacket-"))
    os.chmod(work, 0o755)
    kept = {name: os.environ.get(name) for name in ("KRB5CCNAME", "KRB5_CONFIG")}
    try:
        with Realm(work / "realm", users=["alice"], services=[SERVICE]) as realm:
            cc = realm.kinit("alice", work / "cc")
            realm._run([tool("kvno"), SERVICE], ccache=cc)  # impacket asks KDCs on port 88 only
            os.environ.update(KRB5CCNAME=str(cc), KRB5_CONFIG=str(realm.krb5_conf))
            with SmbServer(work / "server", realm=realm, port=445) as s:
                for name, sec in (("krb", ["krb5"]), ("signed", ["krb5i"]), ("sealed", ["krb5p"]), ("ntlm", ["ntlm"]),
                                  ("both", ["krb5", "ntlm"]), ("open", ["sys"])):
                    s.add_share(name, work / name, sec)
                s.work = work
                s.add_user("ada", PASSWORD)
                s.add_user("carol")
                with capture.Capture(CAPTURES.name, str(len(KEPT))) as c:
                    s.keys = c.keys
                    yield s
                KEPT.append(c)
    finally:
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(work, ignore_errors=True)


def connect(s, login, dialect="3.0", user="ada", password=PASSWORD):
    c = SMBConnection(HOST, "127.0.0.1", sess_port=s.port, preferredDialect=DIALECTS[dialect], timeout=30)
    assert c.getDialect() == DIALECTS[dialect] and c.isSigningRequired()
    if login == "krb":
        c.kerberosLogin("alice", "", s.realm.name, useCache=True)
    elif login == "ntlm":
        c.login(user, password)
    else:
        c.login("", "")
    session = c.getSMBServer()._Session  # impacket has no other way to its keys
    s.keys.append((session["SessionID"].to_bytes(8, "little"), bytes(session["SessionKey"]), b"", b""))
    return c


@contextlib.contextmanager
def refused(status):
    """status: a part of its name."""
    try:
        yield
    except (SessionError, DCERPCException) as e:
        assert status in str(e), e
    else:
        raise AssertionError("not refused")


def names(c, share, pattern="*"):
    return sorted(f.get_longname() for f in c.listPath(share, pattern) if f.get_longname() not in (".", ".."))


def passes(c, s, share):
    """A file goes there and comes back, is renamed and removed."""
    data = os.urandom(200_000)  # several credits; impacket's own cryptography is slow
    c.createDirectory(share, "Folder")
    c.putFile(share, "Folder\\Größe.bin", io.BytesIO(data).read)
    assert (s.work / share / "Folder" / "Größe.bin").read_bytes() == data
    back = io.BytesIO()
    c.getFile(share, "folder\\GRÖSSE.BIN".replace("SS", "ß"), back.write)  # case is the server's to fold
    assert back.getvalue() == data
    c.rename(share, "Folder\\Größe.bin", "plain.bin")
    assert names(c, share) == ["Folder", "plain.bin"] and names(c, share, "*.bin") == ["plain.bin"], names(c, share)
    with refused("STATUS_OBJECT_NAME_NOT_FOUND"):
        c.deleteFile(share, "Folder\\Größe.bin")
    c.deleteFile(share, "plain.bin")
    c.deleteDirectory(share, "Folder")
    assert names(c, share) == []


def test_logins():
    """Every dialect, and one ticket for many logins. impacket 0.10 forgets to start its hash for 3.1.1 with NTLM."""
    with serving() as s:
        for dialect in DIALECTS:
            for login, shares in (("krb", ("both", "krb", "signed")), ("ntlm", ("both", "ntlm")), ("guest", ("open",))):
                if (login, dialect) == ("ntlm", "3.1.1"):
                    continue
                c = connect(s, login, dialect)
                for share in shares:
                    passes(c, s, share)
                for share in set(ALL) - set(shares) - {"sealed"}:
                    with refused("STATUS_ACCESS_DENIED"):
                        c.connectTree(share)
                c.logoff()
        assert s.laresd.log().count("principal=alice@LARES.TEST realm=LARES.TEST user=alice") == len(DIALECTS)


def test_sealed():
    """impacket encrypts with AES-128-CCM in 3.0, and nothing in 2.1 and 3.1.1."""
    with serving() as s:
        passes(connect(s, "krb"), s, "sealed")
        with refused("STATUS_ACCESS_DENIED"):
            connect(s, "krb", "2.1").connectTree("sealed")
        c = connect(s, "krb", "3.1.1")
        tree = c.connectTree("sealed")  # it is told there that it has to
        with refused("STATUS_ACCESS_DENIED"):
            c.createFile(tree, "open")
        assert not list((s.work / "sealed").iterdir())


def test_refusals():
    with serving() as s:
        for user, password in (("ada", "wrong horse"), ("ada", ""), ("carol", PASSWORD)):
            with refused("STATUS_LOGON_FAILURE"):
                connect(s, "ntlm", user=user, password=password)
        c = connect(s, "ntlm", user="nobody-here")  # a name that nobody has is a guest's
        assert c.isGuestSession() and [row["shi1_netname"] for row in c.listShares()] == ["open\0", "IPC$\0"]
        c = connect(s, "krb")
        passes(c, s, "krb")
        s.verb("user.disable", name="alice")
        with refused("STATUS_"):
            connect(s, "krb")
        try:
            c.listPath("krb", "*")
        except Exception:  # whichever way: at once
            return
        raise AssertionError("a disabled user goes on")


def test_large_folder():
    with serving() as s:
        want = ["entry %04d with a name that is not short" % i for i in range(3000)]
        for name in want:
            (s.work / "krb" / name).touch()
        assert names(connect(s, "krb"), "krb") == want


# ---- RPC ------------------------------------------------------------------------------------------------------------

def pipe(c, name, interface):
    rpc = transport.SMBTransport(HOST, filename="\\" + name, smb_connection=c).get_dce_rpc()
    rpc.connect()
    rpc.bind(interface)
    return rpc


def test_srvsvc():
    with serving() as s:
        for login, want in (("krb", {"both", "krb", "sealed", "signed"}), ("ntlm", {"both", "ntlm"}), ("guest", {"open"})):
            rpc = pipe(connect(s, login), "srvsvc", srvs.MSRPC_UUID_SRVS)
            for level in (0, 1, 2, 501, 502):
                info = srvs.hNetrShareEnum(rpc, level)["InfoStruct"]["ShareInfo"]["Level%d" % level]
                assert {row["shi%d_netname" % level][:-1] for row in info["Buffer"]} == want | {"IPC$"}, (login, level)
            for share in ALL:
                if share in want:
                    info = srvs.hNetrShareGetInfo(rpc, share + "\0", 1)["InfoStruct"]["ShareInfo1"]
                    assert (info["shi1_netname"], info["shi1_type"]) == (share + "\0", 0)
                else:
                    with refused("0x906"):  # as if it were not there
                        srvs.hNetrShareGetInfo(rpc, share + "\0", 1)
            for level in (100, 101, 102):
                info = srvs.hNetrServerGetInfo(rpc, level)["InfoStruct"]["ServerInfo%d" % level]
                assert info["sv%d_name" % level] == "NAS\0", (level, info["sv%d_name" % level])
            assert srvs.hNetrRemoteTOD(rpc)["BufferPtr"]["tod_year"] >= 2024
            # Who else is here is not told, however the empty container looks.
            for ask in (lambda: srvs.hNetrSessionEnum(rpc, NULL, NULL, 10), lambda: srvs.hNetrFileEnum(rpc, NULL, NULL, 3),
                        lambda: srvs.hNetrConnectionEnum(rpc, "both\0", 1)):
                with refused("rpc_s_access_denied"):  # so impacket calls ERROR_ACCESS_DENIED
                    ask()
            for entries, tag in ((1, 3), (0, 2)):  # a container that is not empty, or of another level
                request = srvs.NetrFileEnum()
                request["ServerName"] = request["BasePath"] = request["UserName"] = NULL
                request["InfoStruct"]["Level"], request["InfoStruct"]["FileInfo"]["tag"] = 3, tag
                request["InfoStruct"]["FileInfo"]["Level%d" % tag]["EntriesRead"] = entries
                request["PreferedMaximumLength"], request["ResumeHandle"] = 0xffffffff, 0
                with refused("rpc_x_bad_stub_data"):
                    rpc.request(request)


def test_wkssvc():
    with serving() as s:
        for login in ("krb", "guest"):
            rpc = pipe(connect(s, login), "wkssvc", wkst.MSRPC_UUID_WKST)
            info = wkst.hNetrWkstaGetInfo(rpc, 100)["WkstaInfo"]["WkstaInfo100"]
            assert info["wki100_computername"] == "NAS\0", info["wki100_computername"]


def test_names_and_sids():
    """lsarpc and samr say the same of a user, to who has proven who he is."""
    with serving() as s:
        c = connect(s, "krb")
        rpc = pipe(c, "lsarpc", lsat.MSRPC_UUID_LSAT)
        policy = lsad.hLsarOpenPolicy2(rpc, MAXIMUM_ALLOWED | lsat.POLICY_LOOKUP_NAMES)["PolicyHandle"]
        account = lsad.POLICY_INFORMATION_CLASS.PolicyAccountDomainInformation
        domain = lsad.hLsarQueryInformationPolicy2(rpc, policy, account)["PolicyInformation"]["PolicyAccountDomainInfo"]
        sid = domain["DomainSid"].formatCanonical()
        found = lsat.hLsarLookupNames3(rpc, policy, ["ada", "alice"])["TranslatedSids"]["Sids"]
        sids = [f["Sid"].formatCanonical() for f in found]
        assert all(x.startswith(sid + "-") for x in sids) and len(set(sids)) == 2, sids
        back = lsat.hLsarLookupSids(rpc, policy, sids + ["S-1-1-0"])["TranslatedNames"]["Names"]
        assert [n["Name"] for n in back] == ["ada", "alice", "Everyone"], [n["Name"] for n in back]
        assert lsat.hLsarGetUserName(rpc)["UserName"] == "alice"
        lsad.hLsarClose(rpc, policy)

        rpc = pipe(c, "samr", samr.MSRPC_UUID_SAMR)
        server = samr.hSamrConnect(rpc)["ServerHandle"]
        there = samr.hSamrLookupDomainInSamServer(rpc, server, domain["DomainName"])["DomainId"]
        assert there.formatCanonical() == sid
        handle = samr.hSamrOpenDomain(rpc, server, domainId=there)["DomainHandle"]
        users = samr.hSamrEnumerateUsersInDomain(rpc, handle)["Buffer"]["Buffer"]
        rids = {u["Name"]: u["RelativeId"] for u in users}
        assert [f"{sid}-{rids[name]}" for name in ("ada", "alice")] == sids, rids


def test_strangers():
    """A guest is told no names, and nobody opens a pipe that is not there."""
    with serving() as s:
        c = connect(s, "guest")
        with refused("STATUS_ACCESS_DENIED"):
            samr.hSamrConnect(pipe(c, "samr", samr.MSRPC_UUID_SAMR))
        rpc = pipe(c, "lsarpc", lsat.MSRPC_UUID_LSAT)
        policy = lsad.hLsarOpenPolicy2(rpc, MAXIMUM_ALLOWED | lsat.POLICY_LOOKUP_NAMES)["PolicyHandle"]
        with refused("STATUS_NONE_MAPPED"):
            lsat.hLsarLookupNames3(rpc, policy, ["ada"])
        for name in ("svcctl", "winreg", "spoolss", "netlogon"):
            with refused("STATUS_OBJECT_NAME_NOT_FOUND"):
                pipe(c, name, srvs.MSRPC_UUID_SRVS)


def test_what_was_captured():
    """What was encrypted is deciphered with impacket's keys."""
    together = capture.Together(CAPTURES.name + "/all", KEPT)
    found, (opened, sealed) = together.complaints_and_counts("smb2.flags.signature == 1",
                                                             "smb2.header.transform.signature && smb2.cmd")
    assert not found, "\n".join(found[:20])
    assert opened > 0 and sealed > 0, (opened, sealed)


if __name__ == "__main__":
    gone = capture.missing()
    try:
        tool("krb5kdc")
    except RealmError as e:
        gone = e
    gone = gone or netns.enter({HOST: "127.0.0.1"})
    if gone:
        print(f"1..0 # SKIP {gone}")
        sys.exit(77)
    if len(sys.argv) > 1:
        sys.argv.append("what_was_captured")
    with CAPTURES:
        tap.main(globals())
