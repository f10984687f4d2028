#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every path into a share that does not admit the caller's flavor, on the wire: test-wrongsec.py [lares].

Two shares: "share" admits sys, "closed" admits only none. Calls are made with sys unless they say otherwise. Which
operation of a COMPOUND says WRONGSEC is as important as that one does: clients ask SECINFO at that place.

Spec: RFC 7530 16.31 and 2.6, RFC 8881 2.6.3.1 and 18.29"""

import contextlib
import os
import struct
import sys

from nfs4ops import *  # noqa: F403
from nfsraw import Client40, auth_none, auth_sys
from wirecheck import expect, run, serving, skip_unless

NONE = auth_none()
SYS_FLAVOR, NONE_FLAVOR = 1, 0


def clients(t):
    """Of each version one, with sys."""
    return [t.client40(), t.session(minor=1), t.session(minor=2)]


def handles(t):
    """Of the share that admits sys, of the other one, and of a file there."""
    c = t.session(t.conn(cred=NONE))
    closed = c.walk("/closed")
    return t.session().walk("/share"), closed, c.walk("/closed/f")


def stops(result, error, name):
    """The compound ended with this error at this operation."""
    expect(result, error)
    assert result.last.name == name, f"{result}, wanted {error} at {name}"


def flavors(result):
    return [f.flavor for f in result.last.flavors]


@contextlib.contextmanager
def policy(t, share, *sec):
    """The share's flavors are others for a while."""
    before = {"share": ["sys"], "closed": ["none"]}[share]
    t.s.server.set_sec(share, list(sec))
    try:
        yield
    finally:
        t.s.server.set_sec(share, before)


def check_lookup(t):
    """LOOKUP into a share, and inside of one that a file handle leads to."""
    _, closed, _ = handles(t)
    for c in clients(t):
        stops(c.call(putrootfh(), lookup("closed"), getfh()), "WRONGSEC", "LOOKUP")
        stops(c.call(putfh(closed), lookup("f")), "WRONGSEC", "LOOKUP")
        c.call(putrootfh(), lookup("share"), getattr("type")).ok()
        c.call(putfh(closed), lookup("f"), getattr("type"), cred=NONE).ok()


def check_putfh(t):
    """PUTFH says it when what follows would use the file, and not before operations that judge themselves."""
    share, closed, f = handles(t)
    for c in clients(t):
        for fh in (closed, f):
            stops(c.call(putfh(fh), getattr("type")), "WRONGSEC", "PUTFH")
            stops(c.call(putfh(fh), getfh()), "WRONGSEC", "PUTFH")
        stops(c.call(putfh(f), read(ANON, 0, 10)), "WRONGSEC", "PUTFH")
        stops(c.call(putfh(f), write(ANON, 0, b"x")), "WRONGSEC", "PUTFH")
        stops(c.call(putfh(closed), readdir()), "WRONGSEC", "PUTFH")
        stops(c.call(putfh(closed), create(NF4DIR, "d")), "WRONGSEC", "PUTFH")
        stops(c.call(putfh(closed), remove("f")), "WRONGSEC", "PUTFH")
        # A second handle replaces it before anything looks at it.
        c.call(putfh(closed), putfh(share), getattr("type")).ok()
        c.call(putfh(closed), putrootfh(), getattr("type")).ok()
        c.call(putfh(f), getattr("type"), cred=NONE).ok()


def check_putfh_last(t):
    """A PUTFH that ends the compound succeeds: nothing was done with the file."""
    _, closed, _ = handles(t)
    for c in clients(t):
        c.call(putfh(closed)).ok()


def check_putrootfh(t):
    """PUTROOTFH, when no share below the root admits the flavor: as PUTFH."""
    with policy(t, "share", "none"):
        for c in [t.client40()]:
            stops(c.call(putrootfh(), getattr("type")), "WRONGSEC", "PUTROOTFH")
            stops(c.call(putrootfh(), readdir()), "WRONGSEC", "PUTROOTFH")
            stops(c.call(putrootfh(), lookup("share")), "WRONGSEC", "LOOKUP")
            assert flavors(c.call(putrootfh(), secinfo("share")).ok()) == [NONE_FLAVOR]
            c.call(putrootfh(), getattr("type"), cred=NONE).ok()
        c = t.session()
        stops(c.call(putrootfh(), getattr("type")), "WRONGSEC", "PUTROOTFH")
        assert flavors(c.call(putrootfh(), secinfo_no_name()).ok()) == [NONE_FLAVOR]
    t.client40().call(putrootfh(), getattr("type")).ok()


def check_open(t):
    """OPEN by name says it itself; by handle in 4.1 too; nothing is made."""
    _, closed, f = handles(t)
    for c in clients(t):
        for name, how in (("f", None), ("new", "unchecked"), ("new", "guarded")):
            stops(c.call(putfh(closed), open_(name, BOTH, 0, c.clientid, seqid=1, how=how)), "WRONGSEC", "OPEN")
        if minor_of(c):
            stops(c.call(putfh(f), open_(None, BOTH, 0, c.clientid, claim=4)), "WRONGSEC", "OPEN")
    assert sorted(os.listdir(t.closed)) == ["f"]


def check_restorefh(t):
    """RESTOREFH as PUTFH; SAVEFH asks nothing."""
    share, closed, _ = handles(t)
    for c in clients(t):
        stops(c.call(putfh(closed), savefh(), putfh(share), restorefh(), getattr("type")), "WRONGSEC", "RESTOREFH")
        c.call(putfh(closed), savefh(), putfh(share), getattr("type")).ok()
        stops(c.call(putfh(closed), savefh(), putfh(share), restorefh(), lookup("f")), "WRONGSEC", "LOOKUP")
        c.call(putfh(closed), savefh(), putfh(share), restorefh(), secinfo("f")).ok()


def check_link_rename(t):
    """LINK and RENAME: the saved handle counts as the current one does."""
    share, closed, f = handles(t)
    for c in clients(t):
        stops(c.call(putfh(f), savefh(), putfh(share), link("l")), "WRONGSEC", "LINK")
        stops(c.call(putfh(closed), savefh(), putfh(share), rename("f", "g")), "WRONGSEC", "RENAME")
        stops(c.call(putfh(share), savefh(), putfh(closed), rename("f", "g")), "WRONGSEC", "PUTFH")
        stops(c.call(putfh(share), savefh(), putfh(closed), link("l")), "WRONGSEC", "PUTFH")
        # With the right flavor it is two file systems.
        expect(c.call(putfh(f), savefh(), putfh(closed), link("f"), cred=NONE), "EXIST")
    assert os.listdir(t.closed) == ["f"]


def check_lookupp(t):
    """LOOKUPP leads out of the share without its flavor."""
    _, closed, _ = handles(t)
    for c in clients(t):
        c.call(putfh(closed), lookupp(), getattr("type")).ok()


def check_secinfo(t):
    """SECINFO answers behind every handle and leaves none in 4.1, the refused one in 4.0."""
    share, closed, f = handles(t)
    for c in clients(t):
        assert flavors(c.call(putrootfh(), secinfo("closed")).ok()) == [NONE_FLAVOR]
        assert flavors(c.call(putrootfh(), secinfo("share")).ok()) == [SYS_FLAVOR]
        assert flavors(c.call(putfh(closed), secinfo("f")).ok()) == [NONE_FLAVOR]
        assert flavors(c.call(putfh(share), lookupp(), secinfo("closed")).ok()) == [NONE_FLAVOR]
        expect(c.call(putfh(closed), secinfo("nothing")), "NOENT")
        expect(c.call(putfh(f), secinfo("f")), "NOTDIR")
        after = c.call(putfh(closed), secinfo("f"), getattr("type"))
        expect(after, "WRONGSEC" if minor_of(c) == 0 else "NOFILEHANDLE")


def minor_of(c):
    return 0 if isinstance(c, Client40) else c.minor


def check_secinfo_bytes(t):
    """SECINFO of Kerberos flavors to the byte (RFC 7531, RFC 5662: secinfo4, rpcsec_gss_info)"""
    oid = bytes.fromhex("00000009" "2a864886f712010202" "000000")
    qop = bytes(4)
    wanted = b"".join([struct.pack(">I", 4),
                       struct.pack(">I", 6), oid, qop, struct.pack(">I", 3),  # krb5p: rpc_gss_svc_privacy
                       struct.pack(">I", 1),  # sys
                       struct.pack(">I", 6), oid, qop, struct.pack(">I", 1),  # krb5: rpc_gss_svc_none
                       struct.pack(">I", 6), oid, qop, struct.pack(">I", 2)])  # krb5i: rpc_gss_svc_integrity
    with policy(t, "closed", "krb5p", "sys", "krb5", "krb5i"):
        for c in clients(t):
            r = c.call(putrootfh(), secinfo("closed")).ok()
            assert r.body.endswith(struct.pack(">II", 33, 0) + wanted), r.body.hex()
            if minor_of(c):
                r = c.call(putrootfh(), lookup("closed"), secinfo_no_name()).ok()
                assert r.body.endswith(struct.pack(">II", 52, 0) + wanted), r.body.hex()


def check_secinfo_no_name(t):
    """SECINFO_NO_NAME of the handle itself and of its parent."""
    share, closed, f = handles(t)
    for c in clients(t)[1:]:
        assert flavors(c.call(putfh(closed), secinfo_no_name()).ok()) == [NONE_FLAVOR]
        assert flavors(c.call(putfh(f), secinfo_no_name()).ok()) == [NONE_FLAVOR]
        assert set(flavors(c.call(putfh(closed), secinfo_no_name(1)).ok())) == {NONE_FLAVOR, SYS_FLAVOR}
        assert flavors(c.call(putfh(share), lookupp(), lookup("share"), secinfo_no_name()).ok()) == [SYS_FLAVOR]
        expect(c.call(putfh(closed), secinfo_no_name(), getattr("type")), "NOFILEHANDLE")
        stops(c.call(putfh(share), savefh(), putfh(closed), restorefh(), secinfo_no_name(2)), "INVAL",
              "SECINFO_NO_NAME")


def check_live(t):
    """A change of policy counts at once, for what is open too, and back again."""
    folder = t.folder(t.session())
    for c in clients(t):
        f = c.open(folder, "f", access=BOTH, how="unchecked")
        c.call(putfh(f.fh), write(f.stateid, 0, b"here")).ok()
        with policy(t, "share", "none"):
            stops(c.call(putfh(f.fh), read(f.stateid, 0, 9)), "WRONGSEC", "PUTFH")
            stops(c.call(putfh(f.fh), write(f.stateid, 0, b"gone")), "WRONGSEC", "PUTFH")
            stops(c.call(putrootfh(), lookup("share")), "WRONGSEC", "LOOKUP")
        assert c.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"here"
        c.close(f.fh, f.stateid).ok()


def check_open_replay(t):
    """4.0: an OPEN that comes again over a flavor that is not admitted any more is answered as it was, and what follows
    it may not use the file."""
    folder = t.folder(t.session())
    c = t.client40()
    compound = [putfh(folder), open_("f", BOTH, 0, c.clientid, b"o", 1, how="unchecked")]
    first = c.call(*compound, getfh()).ok()
    again = c.call(*compound, getfh()).ok()
    assert again.op("OPEN").stateid == first.op("OPEN").stateid and again.last.fh == first.last.fh
    with policy(t, "share", "none"):
        r = c.call(*compound)
        assert r.last.name == "OPEN" and r.error in ("OK", "WRONGSEC"), r
        for use in (getattr("size"), getfh(), read(ANON, 0, 9), write(ANON, 0, b"x"), setattr(ANON, {"size": 0})):
            r = c.call(*compound, use)
            expect(r, "WRONGSEC")
    # Nor does another caller get it.
    other = c.call(*compound, cred=auth_sys(1301, 1301))
    expect(other, "BAD_SEQID")
    c.call(*compound, getattr("size")).ok()


def check_readdir_of_the_root(t):
    """READDIR of the root tells of a share that does not admit the flavor what can be told without entering it, whether
    or not rdattr_error is asked for."""
    for c in clients(t):
        root = c.call(putrootfh(), getfh()).ok().last.fh
        plain = {n: a for n, _, a in c.list(root, attrs=("type", "fsid", "fileid", "mounted_on_fileid"))}
        assert set(plain) >= {b"share", b"closed"}, plain
        # An empty directory of the root's own: nothing of the share's shows.
        assert plain[b"closed"]["type"] == NF4DIR
        assert plain[b"closed"]["fileid"] == plain[b"closed"]["mounted_on_fileid"]
        assert plain[b"closed"]["fsid"] == c.attrs(root, "fsid")["fsid"] != plain[b"share"]["fsid"]
        stops(c.call(putrootfh(), lookup("closed")), "WRONGSEC", "LOOKUP")
        asked = {n: a for n, _, a in c.list(root, attrs=("rdattr_error", "type", "mounted_on_fileid"))}
        assert set(asked) == set(plain)
        assert asked[b"closed"]["mounted_on_fileid"] == plain[b"closed"]["mounted_on_fileid"]


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "lares"
    skip_unless(kind)
    with serving(kind, sec=["sys"]) as s:
        closed = s.work / "closed"
        closed.mkdir()
        os.chmod(closed, 0o777)
        (closed / "f").write_text("closed")
        os.chmod(closed / "f", 0o666)
        s.server.add_share("closed", closed, ["none"])
        checks = dict(globals())
        for name, check in list(checks.items()):
            if name.startswith("check_"):
                checks[name] = with_closed(check, str(closed))
        return run(checks, kind, s)


def with_closed(check, closed):
    def checked(t):
        t.closed = closed
        check(t)
    checked.__doc__ = check.__doc__
    return checked


if __name__ == "__main__":
    sys.exit(main())
