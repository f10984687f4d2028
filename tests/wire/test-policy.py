#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a share's policy makes of the callers of AUTH_SYS, changed while they are there: test-policy.py [lares].

Squash and the anonymous ids decide whose files they make, the allowed hosts whether there is a share for them, and
read-only what they may still do. That flavors are refused is in test-wrongsec.py.

Spec: RFC 7530 13.1.6.1 (ROFS), 16.26 (what LOOKUP and READDIR of the pseudo-root show)"""

import contextlib
import os
import sys

from nfs4ops import *  # noqa: F403
from nfsraw import auth_sys
from wirecheck import expect, run, serving, skip_unless
from lares_server import ControlError  # wirecheck says where it is

ROOT, USER = auth_sys(0, 0, (0, 5)), auth_sys(1301, 1302, (1303,))
IDS = {"squash": "none", "anonymous-uid": 65534, "anonymous-gid": 65534}


@contextlib.contextmanager
def policy(t, share="share", **change):
    """The share's policy is another one for a while."""
    before = {"squash": "none", "anonymous-uid": 65534, "anonymous-gid": 65534, "hosts": [], "read-only": False}
    change = {k.replace("_", "-"): v for k, v in change.items()}
    t.s.server.verb("share.set", name=share, **change)
    try:
        yield
    finally:
        t.s.server.verb("share.set", name=share, **{k: before[k] for k in change})


def versions(t, **kw):
    """A client of each minor version; kw as for Conn."""
    return [t.client40(t.conn(**kw)), t.session(t.conn(**kw), minor=1), t.session(t.conn(**kw), minor=2)]


def on_disk(t, number, name):
    st = os.lstat(t.s.folder / f"check{number}" / name)
    return st.st_uid, st.st_gid


# ---- whose files


def makes(t, who):
    """(uid, gid) of what a caller makes by OPEN, by CREATE of a folder and of a link, with each version."""
    found = set()
    folder = t.s.folder / f"check{t.number}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    for i, c in enumerate(versions(t, cred=who)):
        top = c.walk(f"/share/check{t.number}")
        f = c.open(top, f"file{i}", access=BOTH, how="guarded", attrs={"mode": 0o644})
        c.close(f.fh, f.stateid).ok()
        c.mkdir(top, f"dir{i}")
        c.call(putfh(top), create(NF4LNK, f"link{i}", link=b"to")).ok()
        for name in ("file", "dir", "link"):
            found.add(on_disk(t, t.number, name + str(i)))
        for name in ("file", "dir", "link"):
            c.call(putfh(top), remove(name + str(i))).ok()
    assert len(found) == 1, found
    return found.pop()


def check_squash_none(t):
    """Squash none: everybody is who the call says, root too"""
    assert makes(t, ROOT) == (0, 0)
    assert makes(t, USER) == (1301, 1302)
    assert makes(t, auth_sys(1301, 0)) == (1301, 0)


def check_squash_root(t):
    """Squash root: root is the anonymous user and nobody has root's group, others are who the call says"""
    with policy(t, squash="root"):
        assert makes(t, ROOT) == (65534, 65534)
        assert makes(t, auth_sys(0, 1302)) == (65534, 65534)
        assert makes(t, USER) == (1301, 1302)
        assert makes(t, auth_sys(1301, 0, (0,))) == (1301, 65534)


def check_squash_all(t):
    """Squash all: everybody is the anonymous user"""
    with policy(t, squash="all"):
        assert makes(t, ROOT) == makes(t, USER) == (65534, 65534)


def check_anonymous_ids(t):
    """The anonymous ids are those that the administrator chose"""
    with policy(t, squash="all", anonymous_uid=1401, anonymous_gid=1402):
        assert makes(t, ROOT) == makes(t, USER) == (1401, 1402)
    with policy(t, squash="root", anonymous_uid=1401, anonymous_gid=1402):
        assert makes(t, ROOT) == (1401, 1402)
        assert makes(t, USER) == (1301, 1302)
        assert makes(t, auth_sys(1301, 0)) == (1301, 1402)


def check_squash_by_default(t):
    """A share that says nothing squashes root"""
    home = t.s.work / "default"
    home.mkdir()
    home.chmod(0o777)
    t.s.server.verb("share.create", name="default", path=str(home), sec=["sys"])
    try:
        said = t.s.server.verb("share.show", name="default")
        assert {k: said[k] for k in IDS} == {**IDS, "squash": "root"}, said
        for who, owner in ((ROOT, (65534, 65534)), (USER, (1301, 1302))):
            c = t.session(t.conn(cred=who))
            f = c.open(c.walk("/default"), "f", access=BOTH, how="guarded")
            c.close(f.fh, f.stateid).ok()
            st = os.stat(home / "f")
            assert (st.st_uid, st.st_gid) == owner
            os.unlink(home / "f")
    finally:
        t.s.server.verb("share.remove", name="default")


def check_squash_counts_for_rights(t):
    """Who is squashed has no rights of root: neither the mode of another's file nor a change of its owner"""
    private = t.s.folder / "private"
    private.write_text("of root")
    private.chmod(0o600)
    for c in versions(t, cred=ROOT):
        fh = c.walk("/share/private")
        c.call(putfh(fh), read(ANON, 0, 9)).ok()
        with policy(t, squash="root"):
            expect(c.call(putfh(fh), read(ANON, 0, 9)), "ACCESS")
            expect(c.call(putfh(fh), setattr(ANON, {"mode": 0o666})), "PERM", "ACCESS")
            expect(c.call(putfh(fh), setattr(ANON, {"owner": "1301"})), "PERM", "ACCESS")
            assert c.call(putfh(fh), access(1)).ok().last.access == 0
        assert c.call(putfh(fh), access(1)).ok().last.access == 1
    st = private.stat()
    assert (st.st_uid, st.st_mode & 0o777) == (0, 0o600)


def check_nonsense(t):
    """Nonsense as policy is refused, and what was there stays"""
    before = t.s.server.verb("share.show", name="share")
    for wrong in ({"squash": "some"}, {"hosts": ["10.0.0.0/33"]}, {"hosts": ["not a name"]}, {"anonymous-uid": -1},
                  {"anonymous-gid": 1 << 32}):
        try:
            t.s.server.verb("share.set", name="share", **wrong)
        except ControlError:
            continue
        raise AssertionError(f"{wrong} was taken")
    assert t.s.server.verb("share.show", name="share") == before


# ---- hosts


def names_of_root(c):
    return {n for n, _, _ in c.list(c.call(putrootfh(), getfh()).ok().last.fh)}


def refused(c, fh, inside):
    """The share is not for this client: neither its name nor its handles."""
    assert b"share" not in names_of_root(c)
    expect(c.call(putrootfh(), lookup("share")), "NOENT")
    expect(c.call(putrootfh(), secinfo("share")), "NOENT")
    for handle in (fh, inside):
        r = expect(c.call(putfh(handle), getattr("type")), "ACCESS")
        assert r.last.name == "PUTFH", r


def check_hosts(t):
    """A host that the list does not name finds no share: LOOKUP, READDIR of the pseudo-root, PUTFH"""
    c = t.session()
    inside = t.folder(c)
    top = c.walk("/share")
    for c in versions(t):
        for hosts in (["192.0.2.0/24"], ["127.0.0.2"], ["127.0.0.2/31"], ["::1"], ["no-such-host.invalid"]):
            with policy(t, hosts=hosts):
                refused(c, top, inside)
        for hosts in (["127.0.0.1"], ["127.0.0.0/8"], ["192.0.2.1", "127.0.0.0/31"], ["localhost"],
                      ["no-such-host.invalid", "localhost"]):
            with policy(t, hosts=hosts):
                assert b"share" in names_of_root(c), hosts
                assert c.walk("/share") == top
                c.call(putfh(inside), getattr("type")).ok()


def check_hosts_each_its_own(t):
    """Of two hosts the one that is named has the share, and the other's root is as if there were none"""
    one, two = (t.session(t.conn(source="127.0.0." + n), minor=2) for n in "12")
    inside, top = t.folder(one), one.walk("/share")
    for hosts, has, lacks in ((["127.0.0.1"], one, two), (["127.0.0.2/32"], two, one)):
        with policy(t, hosts=hosts):
            refused(lacks, top, inside)
            has.call(putfh(inside), getattr("type")).ok()
            assert b"share" in names_of_root(has)


def check_hosts_live(t):
    """What is open has no rights when its host leaves the list, and has them again when it comes back"""
    folder = t.folder(t.session())
    for c in versions(t):
        f = c.open(folder, "f", access=BOTH, how="unchecked")
        c.call(putfh(f.fh), write(f.stateid, 0, b"before")).ok()
        with policy(t, hosts=["192.0.2.0/24"]):
            for op in (write(f.stateid, 0, b"during"), read(f.stateid, 0, 9), lock(WRITE_LT, 0, 9, f.stateid, c.clientid, b"l", 3),
                       setattr(f.stateid, {"size": 0}), commit(), getattr("size"), remove("f"), close(f.stateid, 3)):
                r = expect(c.call(putfh(f.fh), op), "ACCESS")
                assert r.last.name == "PUTFH", r
        assert (t.s.folder / f"check{t.number}" / "f").read_bytes() == b"before"
        c.call(putfh(f.fh), write(f.stateid, 0, b"after!")).ok()
        assert c.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"after!"
        c.close(f.fh, f.stateid).ok()


def check_hosts_rename(t):
    """RENAME, LINK and COPY out of a share that is not for this host are refused at the handle"""
    c = t.session(minor=2)
    inside, other = t.folder(c), c.walk("/other")
    f = c.open(inside, "f", access=BOTH, how="unchecked")
    with policy(t, hosts=["192.0.2.0/24"]):
        for op in (rename("f", "g"), link("g")):
            expect(c.call(putfh(inside), savefh(), putfh(other), op), "ACCESS")
            expect(c.call(putfh(other), savefh(), putfh(inside), op), "ACCESS")
        g = c.open(other, "g", access=BOTH, how="unchecked", owner=b"g")
        expect(c.call(putfh(f.fh), savefh(), putfh(g.fh), copy(f.stateid, g.stateid, 0, 0, 0)), "ACCESS")
    assert os.listdir(t.s.folder / f"check{t.number}") == ["f"]


# ---- read-only


def changes(c, top, f):
    """Every operation that changes something, as a compound behind a handle."""
    ops = [("SETATTR mode", [putfh(f.fh), setattr(ANON, {"mode": 0o600})]),
           ("SETATTR size", [putfh(f.fh), setattr(f.stateid, {"size": 1})]),
           ("SETATTR time", [putfh(f.fh), setattr(ANON, {"time_modify_set": (1, 0)})]),
           ("SETATTR owner", [putfh(f.fh), setattr(ANON, {"owner": "1301"})]),
           ("SETATTR acl", [putfh(f.fh), setattr(ANON, {"acl": [(0, 0, 1, "EVERYONE@")]})]),
           ("WRITE", [putfh(f.fh), write(f.stateid, 0, b"x")]),
           ("WRITE without an open", [putfh(f.fh), write(ANON, 0, b"x")]),
           ("CREATE folder", [putfh(top), create(NF4DIR, "new")]),
           ("CREATE link", [putfh(top), create(NF4LNK, "new", link=b"to")]),
           ("CREATE fifo", [putfh(top), create(NF4FIFO, "new")]),
           ("REMOVE", [putfh(top), remove("f")]),
           ("REMOVE folder", [putfh(top), remove("d")]),
           ("RENAME", [putfh(top), savefh(), putfh(top), rename("f", "new")]),
           ("LINK", [putfh(f.fh), savefh(), putfh(top), link("new")])]
    if c.minor == 2:
        ops += [("SETXATTR", [putfh(f.fh), setxattr("new", b"x")]),
                ("REMOVEXATTR", [putfh(f.fh), removexattr("old")]),
                ("ALLOCATE", [putfh(f.fh), allocate(f.stateid, 0, 9000)]),
                ("DEALLOCATE", [putfh(f.fh), deallocate(f.stateid, 0, 2)]),
                ("COPY", [putfh(f.fh), savefh(), putfh(f.fh), copy(f.stateid, f.stateid, 0, 4096, 4)]),
                ("CLONE", [putfh(f.fh), savefh(), putfh(f.fh), clone(f.stateid, f.stateid, 0, 4096, 4096)])]
    return ops


def opens(c, top, seqid):
    """Every OPEN that would change something or allow to."""
    def op(name, access=BOTH, **kw):
        seqid[0] += 1
        return [putfh(top), open_(name, access, 0, c.clientid, b"w", seqid[0], **kw)]
    made = [("unchecked", {}), ("guarded", {}), ("exclusive41" if c.minor else "exclusive", {})]
    out = [("OPEN for writing", lambda: op("f", WRITE)), ("OPEN for both", lambda: op("f"))]
    out += [(f"OPEN {how}", lambda how=how: op("new", how=how)) for how, _ in made]
    out += [("OPEN truncating", lambda: op("f", how="unchecked", attrs={"size": 0}))]
    return out


def ready(t, c):
    """A folder with a file that is open for writing, and a folder in it."""
    top = t.folder(c)
    f = c.open(top, "f", access=BOTH, how="unchecked")
    c.call(putfh(f.fh), write(f.stateid, 0, b"before")).ok()
    c.mkdir(top, "d")
    if c.minor == 2:
        c.call(putfh(f.fh), setxattr("old", b"value")).ok()
    return top, f


def picture(t):
    """What is in the check's folder, for comparing."""
    folder = t.s.folder / f"check{t.number}"
    f = os.stat(folder / "f")
    return (sorted(os.listdir(folder)), (folder / "f").read_bytes(), f.st_mode, f.st_uid, f.st_nlink, f.st_mtime_ns, f.st_blocks,
            os.listxattr(folder / "f"))


def check_read_only(t):
    """A share that becomes read-only: ROFS for everything that would change it, reading goes on, and back again"""
    reader = t.client40()
    for c in versions(t, cred=ROOT):
        c.minor = c.__dict__.get("minor", 0)
        top, f = ready(t, c)
        before = picture(t)
        with policy(t, read_only=True):
            for what, compound in changes(c, top, f):
                r = c.call(*compound)
                assert r.error == "ROFS", f"4.{c.minor} {what}: {r}"
            seqid = [0]
            for what, build in opens(c, top, seqid):
                r = c.call(*build())
                assert r.error == "ROFS", f"4.{c.minor} {what}: {r}"
            assert c.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"before"
            assert c.call(putfh(f.fh), access(0x3f)).ok().last.access & 0x1c == 0, "ACCESS allows changes"
            g = reader.open(top, "f", access=READ)
            assert reader.call(putfh(g.fh), read(g.stateid, 0, 9)).ok().last.data == b"before"
            reader.close(g.fh, g.stateid).ok()
            assert {n for n, _, _ in c.list(top)} == {b"f", b"d"}
            assert picture(t) == before
        c.call(putfh(f.fh), write(f.stateid, 0, b"after!")).ok()
        c.call(putfh(top), remove("d")).ok()
        c.close(f.fh, f.stateid).ok()


def check_read_only_from_the_start(t):
    """A share that was made read-only: nothing comes into it, and out of it nothing moves"""
    c = t.session(minor=2)
    fixed, other = c.walk("/fixed"), c.walk("/other")
    f = c.open(fixed, "f")
    for compound in ([putfh(fixed), create(NF4DIR, "new")], [putfh(fixed), remove("f")],
                     [putfh(fixed), savefh(), rename("f", "g")],
                     [putfh(fixed), open_("new", BOTH, 0, c.clientid, how="guarded")],
                     [putfh(f.fh), setattr(ANON, {"mode": 0o777})]):
        expect(c.call(*compound), "ROFS")
    # Out of it can be copied, if not moved.
    expect(c.call(putfh(fixed), savefh(), putfh(other), rename("f", "moved")), "XDEV", "ROFS")
    assert c.call(putfh(f.fh), read(f.stateid, 0, 9)).ok().last.data == b"fixed"
    assert os.listdir(t.s.work / "fixed") == ["f"]


def share(s, name, text=None, **policy):
    folder = s.work / name
    folder.mkdir()
    folder.chmod(0o777)
    if text is not None:
        (folder / "f").write_text(text)
    s.server.verb("share.create", name=name, path=str(folder), sec=["sys"], squash="none", **policy)


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "lares"
    skip_unless(kind)
    with serving(kind, sec=["sys"]) as s:
        share(s, "other")
        share(s, "fixed", "fixed", **{"read-only": True})
        return run(globals(), kind, s)


if __name__ == "__main__":
    sys.exit(main())
