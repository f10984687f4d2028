#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""laresd as a server of a real Active Directory (Samba's domain controller): users, nested groups, numbers that stay, the
same groups over NFS with Kerberos, over SMB and over REST, and names for what has a SID. Needs root for a network of its own."""
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "wire")]
import netns
import samba_ad
import tap
from lares_server import ControlError
from smb_server import HOST, SmbServer, missing

ACCOUNTS = f"""
user ada
user ben
user many
user gone
group staff
group outer universal
group local domainlocal
group other
member staff ada
member outer staff
member local outer
member other ben
groups grp 300
member grp* many
service nas nfs/{HOST} cifs/{HOST} HTTP/{HOST}
"""
ad = server = work = None
caches, logged_in = {}, []


# ---- Clients --------------------------------------------------------------------------------------------------------

def ccache(user, **more):
    key = (user, *more.items())
    if key not in caches:
        caches[key] = ad.kinit(user, work / f"cc-{len(caches)}", **more)
    return caches[key]


def smb(user, commands, share="share"):
    return server.smbclient(share, commands, ccache=ccache(user), more=["--client-protection=encrypt"])


def nfs(user, service=3, **more):
    """An NFS 4.1 session of the user's, protected by krb5p."""
    import nfsgss
    import nfsraw
    os.environ["KRB5_CONFIG"] = str(ad.krb5_conf)
    os.environ["KRB5CCNAME"] = "FILE:" + str(ccache(user, **more))
    return nfsraw.Session(nfsgss.GssConn("127.0.0.1", server.nfs_port, spn="nfs@" + HOST, service=service))


def may_list(session, path):
    import nfs4ops as ops
    fh = session.walk(path)
    return session.call(ops.putfh(fh), ops.readdir()).status == 0


def accounts():
    return server.verb("sid.list")


def by_rid(rid):
    return next((a for a in accounts() if a["sid"].endswith(f"-{rid}")), None)


def sid_of(name):
    """The domain's own word for it."""
    return ad.sids[name]


def group(name):
    """What the server knows of a group of the domain's; somebody who is in it has logged in."""
    sid = sid_of(name)
    return next(a for a in accounts() if a["sid"] == sid)


def folder(name, gid, mode=0o750):
    path = work / "shares" / "share" / name
    path.mkdir(exist_ok=True)
    os.chown(path, 0, gid)
    os.chmod(path, mode)
    (path / "inside").write_text("for the group only")
    return path


def log_in_all():
    """What the server knows of the domain it has from its users' tickets."""
    while len(logged_in) < 2:
        user = ("ada", "ben")[len(logged_in)]
        r = smb(user, "ls")
        assert r.returncode == 0, r.stdout
        logged_in.append(user)


# ---- Users ----------------------------------------------------------------------------------------------------------

def test_a_user_is_the_same_over_nfs_and_smb():
    (work / "here").write_text("some words")
    r = smb("ada", f"put {work}/here by-smb")
    assert r.returncode == 0, r.stdout
    s = nfs("ada")
    s.mkdir(s.walk("/share"), "by-nfs")
    user = server.verb("user.show", name="ada")
    assert user["source"] == "kerberos" and user["principal"] == "ada@" + ad.name, user
    assert user["uid"] == os.stat(work / "shares/share/by-smb").st_uid >= 600000, user
    assert os.stat(work / "shares/share/by-nfs").st_uid == user["uid"]
    known = next(a for a in accounts() if a["kind"] == "user" and a["name"] == "ada")
    assert known["sid"] == sid_of("ada") and known["id"] == user["uid"], known


def test_domains_are_known_by_their_users():
    log_in_all()
    (domain,) = server.verb("domain.list")
    assert domain["realm"] == ad.name and domain["name"] == ad.domain, domain
    assert sid_of("ada").startswith(domain["sid"] + "-"), domain


def test_groups_have_names_or_sids():
    log_in_all()
    assert by_rid(513)["name"] == "CORP.TEST/Domain Users"
    names = {g["name"]: g for g in server.verb("group.list")}
    staff = group("staff")
    assert staff["kind"] == "group" and staff["name"] == sid_of("staff") and names[staff["name"]]["gid"] == staff["id"]


# ---- Groups decide --------------------------------------------------------------------------------------------------

def only_for(name, yes, no):
    log_in_all()
    folder(name, group(name)["id"])
    for user, may in ((yes, True), (no, False)):
        assert may_list(nfs(user), "/share/" + name) == may, (user, may)
        r = smb(user, f"cd {name}; get inside {work}/got-{user}")
        assert (r.returncode == 0) == may, r.stdout
        assert ("NT_STATUS_ACCESS_DENIED" in r.stdout) != may, r.stdout


def test_a_group():
    only_for("other", yes="ben", no="ada")


def test_a_group_of_a_group():
    only_for("outer", yes="ada", no="ben")


def test_a_local_group_of_the_domain_with_a_nested_group():
    """Domain local groups come as resource groups or beside the others: [MS-PAC] 2.5."""
    only_for("local", yes="ada", no="ben")


def test_without_a_pac_there_are_no_groups():
    log_in_all()
    folder("outer", group("outer")["id"])
    try:
        cc = ccache("ada", pac=False)
    except samba_ad.RealmError as e:
        tap.skip("the KDC gives no ticket without a PAC: " + str(e)[:100])
    r = server.smbclient("share", "ls", ccache=cc)
    if r.returncode and "NT_STATUS_" in r.stdout and "verdict=accepted" not in server.laresd.log()[-2000:]:
        tap.skip("the KDC gives no service ticket to who has no PAC")
    assert r.returncode == 0, r.stdout
    assert not may_list(nfs("ada", pac=False), "/share/outer")
    assert may_list(nfs("ada"), "/share/outer")


def test_hundreds_of_groups():
    s = nfs("many")
    known = [a for a in accounts() if a["kind"] == "group"]
    assert len(known) >= 301, len(known)
    last = group("grp299")
    folder("last", last["id"])
    assert may_list(s, "/share/last")
    r = smb("many", f"cd last; get inside {work}/got")
    assert r.returncode == 0, r.stdout
    r = smb("ben", "cd last; ls")
    assert "NT_STATUS_ACCESS_DENIED" in r.stdout, r.stdout


def test_numbers_stay_over_a_restart():
    log_in_all()
    before = accounts()
    server.laresd.restart()
    assert accounts() == before
    logged_in.clear()
    log_in_all()
    assert accounts() == before


# ---- Lists of access ------------------------------------------------------------------------------------------------

def smbcacls(name, *args, user="ada"):
    r = server.run(["smbcacls", f"//{HOST}/share", name, "-s", server.conf,
                    *server.login(ccache=ccache(user)), *args], ccache(user))
    assert r.returncode == 0, r.stdout
    return r.stdout


def mine(name):
    r = smb("ada", f"put {work}/here {name}")
    assert r.returncode == 0, r.stdout


def test_descriptors_have_the_domains_sids():
    (work / "here").write_text("some words")
    mine("owned")
    log_in_all()
    raw = smbcacls("owned", "--numeric")
    assert f"OWNER:{sid_of('ada')}" in raw, raw
    text = smbcacls("owned")
    assert re.search(r"OWNER:CORP\\ada", text), text


def test_an_entry_for_a_group_by_its_sid():
    """Set over SMB by its SID, it counts on both protocols and comes back as it was."""
    (work / "here").write_text("some words")
    log_in_all()
    mine("entry")
    os.chmod(work / "shares/share/entry", 0o600)
    r = smb("ben", f"get entry {work}/got")
    assert "NT_STATUS_ACCESS_DENIED" in r.stdout, r.stdout
    smbcacls("entry", "--add", f"ACL:{sid_of('other')}:ALLOWED/0x0/READ")
    text = smbcacls("entry", "--numeric")
    assert f"ACL:{sid_of('other')}:0/0x0/0x" in text, text  # 0: allowed
    r = smb("ben", f"get entry {work}/got")
    assert r.returncode == 0, r.stdout
    s = nfs("ada")
    entries = s.attrs(s.walk("/share/entry"), "acl")["acl"]
    assert any(group("other")["name"] in str(e) for e in entries), entries


def test_names_of_groups():
    log_in_all()
    sid = sid_of("other")
    server.verb("sid.name", sid=sid, name="Other people")
    assert group("other")["name"] == "CORP.TEST/Other people"
    assert server.verb("group.show", name="CORP.TEST/Other people")["gid"] == group("other")["id"]
    r = server.rpcclient("lookupsids " + sid, ccache=ccache("ada"))
    assert "CORP\\Other people (2)" in r.stdout, r.stdout
    r = server.rpcclient("lookupsids " + by_rid(513)["sid"], ccache=ccache("ada"))
    assert "CORP\\Domain Users (2)" in r.stdout, r.stdout
    for name in ("CORP\\\\ada", "ada@CORP.TEST", "ada"):
        r = server.rpcclient("lookupnames " + name, ccache=ccache("ada"))
        assert sid_of("ada") in r.stdout, (name, r.stdout)
    r = server.rpcclient("lookupnames 'corp\\other people'", ccache=ccache("ada"))
    assert sid in r.stdout, r.stdout
    try:
        server.verb("sid.name", sid=sid_of("staff"), name="Other people")
        raise AssertionError("two groups of one name")
    except ControlError as e:
        assert "exists already" in str(e), e


# ---- REST -----------------------------------------------------------------------------------------------------------

def rest(user, method, path, body=None, token=None):
    """(status, JSON) by the ticket of a user of the domain, or by a token."""
    command = ["curl", "-s", "-X", method, "-w", "\n%{http_code}", f"http://{HOST}:{server.http_port}/api/v1{path}"]
    command += ["-H", "Authorization: Bearer " + token] if token else ["--negotiate", "-u", ":"]
    if body is not None:
        command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    r = server.run(command, ccache(user) if user else "/nonexistent")
    text, _, status = r.stdout.rpartition("\n")
    return int(status), json.loads(text) if text else None


def test_rights_over_rest_by_user_and_by_group():
    """ada administers by her name, everybody of the domain may look: a group that only the PAC tells of."""
    status, users = rest("ada", "GET", "/users")
    assert status == 200 and "ada" in [u["name"] for u in users["items"]], (status, users)
    assert rest("ada", "POST", "/groups", {"name": "made-over-rest"})[0] == 201
    status, answer = rest("ben", "GET", "/groups/made-over-rest")
    assert status == 200 and answer["members"] == [], (status, answer)
    status, answer = rest("ben", "DELETE", "/groups/made-over-rest")
    assert status == 403 and "right" in answer["detail"], (status, answer)
    status, made = rest("ben", "POST", "/tokens", {})
    assert status == 201, (status, made)
    # The token keeps what only the ticket could tell, over a restart, too; and makes no more of it.
    for again in (False, True):
        if again:
            server.laresd.restart()
        assert rest(None, "GET", "/status", token=made["token"])[0] == 200, again
        assert rest(None, "POST", "/reload", token=made["token"])[0] == 403, again
    server.verb("user.disable", name="ben")
    try:
        assert rest(None, "GET", "/status", token=made["token"])[0] == 401
        assert rest("ben", "GET", "/status")[0] in (401, 403)
    finally:
        server.verb("user.enable", name="ben")
    assert rest(None, "GET", "/status")[0] == 401
    assert "verb=group.add object=made-over-rest subject=ada@CORP.TEST face=rest" in server.laresd.log()


# ---- Ends -----------------------------------------------------------------------------------------------------------

def test_a_disabled_user():
    r = smb("gone", "ls")
    assert r.returncode == 0, r.stdout
    s = nfs("gone")
    assert may_list(s, "/share")
    server.verb("user.disable", name="gone")
    r = smb("gone", "ls")
    assert r.returncode != 0 and "NT_STATUS_" in r.stdout, r.stdout
    try:
        assert not may_list(s, "/share")
    except Exception as e:
        assert "AUTH" in str(e) or "CRED" in str(e), e
    server.verb("user.enable", name="gone")
    assert smb("gone", "ls").returncode == 0


def test_a_mapping_goes_before_the_name():
    log_in_all()
    server.verb("user.add", name="shared")
    server.verb("mapping.set", principal="ben@CORP.TEST", user="shared")
    try:
        (work / "here").write_text("some words")
        r = smb("ben", f"put {work}/here mapped")
        assert r.returncode == 0, r.stdout
        uid = server.verb("user.show", name="shared")["uid"]
        assert os.stat(work / "shares/share/mapped").st_uid == uid
        folder("other", group("other")["id"])
        assert may_list(nfs("ben"), "/share/other")  # the groups are the principal's
        assert not [a for a in accounts() if a["name"] == "shared"]
    finally:
        server.verb("mapping.delete", principal="ben@CORP.TEST")


def main():
    global ad, server, work
    why = samba_ad.missing() or (missing("smbclient", "rpcclient", "smbcacls", "curl") and "needs smbclient and curl") or \
        netns.enter({"dc1.corp.test": samba_ad.ADDRESS, HOST: "127.0.0.1"})
    if why:
        print("1..0 # SKIP " + why)
        return
    work = pathlib.Path(tempfile.mkdtemp(prefix="ad-"))
    os.chmod(work, 0o755)
    try:
        with samba_ad.SambaAd(work / "ad", ACCOUNTS, host_domain=HOST.split(".", 1)[1]) as ad, \
                SmbServer(work / "server", realm=ad, nfs=True, port=445, http=True,
                          control="admins=ada\nreaders=@CORP.TEST/Domain Users") as server:
            server.add_share("share", work / "shares" / "share", ["krb5p", "krb5"])
            try:
                tap.main(globals())
            except SystemExit as e:
                if e.code:
                    raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
