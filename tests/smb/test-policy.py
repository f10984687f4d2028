#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the administrator changes is true at once: for sessions, connections, trees, opens, and opens whose client is away."""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from smb2rig import PASSWORD, Rig, run  # noqa: E402
import smb2ops as ops  # noqa: E402
import smb2raw as smb  # noqa: E402

CLOSE = struct.pack("<HHI16s", 24, 0, 0, bytes(16))
NAME_NOT_FOUND, OPEN_ACCESS, READ, OPEN = 0xC0000034, 0x12019F, 0x120089, 1


def until(true, what, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Checks(Rig):
    shares = (("share", ["krb5", "ntlm"]), ("other", ["krb5"]), ("guests", ["sys"]))
    smb = {"login-time": 2, "max-sessions": 16}

    def status(self):
        return next(p for p in self.verb("status")["protocols"] if p["name"] == "smb2")["details"]

    def using(self, name="share", file="f", source=None, **kw):
        c, s = self.session(source=source, **kw)
        t = s.tree(name)
        assert isinstance(t, int), hex(t.status)
        f = self.create(c, s, t, file)
        assert isinstance(f, bytes), hex(f.status)
        assert self.write(c, s, t, f) == smb.SUCCESS
        return c, s, t, f

    def changed(self, before, **change):
        """A share that is changed for the length of a `with`; `before` puts it back."""
        rig = self

        class Change:
            def __enter__(self):
                rig.verb("share.set", **change)

            def __exit__(self, *_):
                rig.verb("share.set", **before)
        return Change()

    def refused(self, why):
        assert why in self.laresd.wait_log(why)

    # ---- shares

    def listed(self, c, s, t, kind, pattern="*"):
        """{name: short name} of the share's root."""
        top = self.create(c, s, t, "", access=0x81, disposition=OPEN, options=1)
        r = c.call(smb.QUERY_DIRECTORY, ops.query_directory(top, kind, pattern=pattern), session=s, tree=t)
        assert c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, top), session=s, tree=t).status == smb.SUCCESS
        data, out = ops.Answer(r).output if r.status == smb.SUCCESS else b"", {}
        while data:
            head = 104 if kind == 0x25 else 94
            step, n = struct.unpack_from("<I", data)[0], struct.unpack_from("<I", data, 60)[0]
            out[data[head:head + n].decode("utf-16-le")] = data[70:70 + data[68]].decode("utf-16-le")
            assert not any(data[70 + data[68]:94])
            data = data[step:] if step else b""
        return out

    def check_short_names(self):
        def alternate(name):
            f = self.create(c, s, t, name, disposition=OPEN, access=0x80)
            r = c.call(smb.QUERY_INFO, ops.query_info(f, level=21), session=s, tree=t)
            c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, f), session=s, tree=t)
            return ops.Answer(r).output[4:].decode("utf-16-le") if r.status == smb.SUCCESS else r.status

        c, s = self.session()
        t = s.tree("share")
        long, home = "A rather long name.text", self.home + "/share/"
        for name in (long, "short.txt", "CON"):
            open(home + name, "w").write(name)
        assert alternate("short.txt") == "short.txt"
        assert alternate(long) == alternate("CON\uf02b") == NAME_NOT_FOUND
        assert not any(self.listed(c, s, t, 0x25).values())
        with self.changed({"name": "share", "smb-short-names": False}, name="share", **{"smb-short-names": True}):
            short = alternate(long)
            assert short[:2] == "A~" and len(short) == 12 and short.endswith(".TEX"), short
            assert alternate("short.txt") == "short.txt" and alternate("CON\uf02b") == NAME_NOT_FOUND
            for kind in (0x25, 3):
                names = self.listed(c, s, t, kind)
                assert names[long] == short and names["short.txt"] == names["."] == names["CON\uf02b"] == "", names
            # It finds the file: by listing, in any case, opened and not made, and taken as a name of something new.
            for pattern in (short, short.lower(), short[:5] + "*", "A~*.T?X"):
                assert self.listed(c, s, t, 0x25, pattern) == {long: short}, pattern
            assert self.listed(c, s, t, 0x25, "B" + short[1:]) == {}
            for name in (short, short.lower()):
                f = self.create(c, s, t, name, READ, disposition=3)
                assert self.read(c, s, t, f).data.endswith(long.encode())
            assert self.create(c, s, t, short, disposition=2).status == 0xC0000035  # STATUS_OBJECT_NAME_COLLISION
            assert self.create(c, s, t, "B" + short[1:], disposition=OPEN).status == NAME_NOT_FOUND
            assert self.create(c, s, t, short + "\\x", disposition=OPEN).status == 0xC000003A  # a path through it: no folder
            assert short not in os.listdir(home)
            # A file that really is called so comes first, and a name that does not find the file is not told.
            open(home + short, "w").write("itself")
            assert self.listed(c, s, t, 0x25)[long] == "" and alternate(long) == NAME_NOT_FOUND
            assert self.listed(c, s, t, 0x25, short) == {short: ""} == self.listed(c, s, t, 0x25, short[:7] + "*")
            assert self.read(c, s, t, self.create(c, s, t, short.lower(), READ, OPEN)).data.endswith(b"itself")
            os.unlink(home + short)
            assert self.read(c, s, t, self.create(c, s, t, short, READ, OPEN)).data.endswith(long.encode())
            # Two names that share it: neither is found. (Case is all that is different.)
            open(home + long.upper(), "w").write("another")
            assert self.create(c, s, t, short, disposition=OPEN).status == NAME_NOT_FOUND
            names = self.listed(c, s, t, 3)
            assert names[long] == names[long.upper()] == "", names
            assert alternate(long) == alternate(long.upper()) == NAME_NOT_FOUND
            assert self.listed(c, s, t, 0x25, short) == {} == self.listed(c, s, t, 0x25, "A~*")
            os.unlink(home + long.upper())
            assert self.listed(c, s, t, 3)[long] == short == alternate(long)
            self.refuses_short_names(c, s, t, 0xC0000061)  # STATUS_PRIVILEGE_NOT_HELD
        self.refuses_short_names(c, s, t, 0xC000019F)  # STATUS_SHORT_NAMES_NOT_ENABLED_ON_VOLUME
        assert self.create(c, s, t, short, disposition=OPEN).status == NAME_NOT_FOUND
        for name in (long, "short.txt", "CON"):
            os.unlink(home + name)

    def refuses_short_names(self, c, s, t, why):
        def put(data, file="mine.txt", access=0x100):
            f = self.create(c, s, t, file, access, 3 if file else OPEN)
            assert isinstance(f, bytes), hex(f.status)
            status = c.call(smb.SET_INFO, ops.set_info(f, 40, data), session=s, tree=t).status
            c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, f), session=s, tree=t)
            return status

        def text(name):
            return struct.pack("<I", 2 * len(name)) + name.encode("utf-16-le")

        assert put(text("OTHER.TXT")) == put(text("OTHER.TXT"), access=2) == put(text("")) == why
        for wrong in ("a longer name", "\\X", "A.", "x.y.z", "a:b"):
            assert put(text(wrong)) == 0xC000000D, wrong  # STATUS_INVALID_PARAMETER
        assert put(struct.pack("<I", 3) + b"A\0B") == put(text("X"), "", access=2) == 0xC000000D
        for wrong in (b"", b"\0\0\0", struct.pack("<I", 4) + b"A\0", struct.pack("<I", 0xFFFFFFFE)):
            assert put(wrong) == 0xC0000004, wrong  # STATUS_INFO_LENGTH_MISMATCH
        assert put(text("X"), access=0x80) == 0xC0000022  # STATUS_ACCESS_DENIED

    def check_read_only_ends_what_is_open(self):
        c, s, t, f = self.using()
        with self.changed({"name": "share", "read-only": False}, name="share", **{"read-only": True}):
            assert self.write(c, s, t, f) == smb.NETWORK_NAME_DELETED
            self.refused("the share is read-only now")
            t = s.tree("share")
            r = self.create(c, s, t, "f")
            assert r.status in (smb.ACCESS_DENIED, 0xC00000A2), hex(r.status)
            f = self.create(c, s, t, "f", access=0x120089, disposition=OPEN)
            assert self.read(c, s, t, f).status == smb.SUCCESS
        # Who came while it was read-only is not thrown out when it is not any more, and gets no more than was said then.
        assert self.read(c, s, t, f).status == smb.SUCCESS
        assert self.create(c, s, t, "f").status == smb.ACCESS_DENIED
        t = s.tree("share")
        assert isinstance(self.create(c, s, t, "f"), bytes)

    def check_read_only_ends_idle_opens(self):
        c, s, t, f = self.using(file="idle")
        opens = self.status()["opens"]
        with self.changed({"name": "share", "read-only": False}, name="share", **{"read-only": True}):
            until(lambda: self.status()["opens"] < opens, "the open stays")
        r = c.call(smb.CLOSE, CLOSE, session=s, tree=t)
        assert r.status == smb.NETWORK_NAME_DELETED, hex(r.status)

    def check_squash_ends_what_is_open(self):
        c, s, t, f = self.using()
        with self.changed({"name": "share", "squash": "root"}, name="share", squash="all"):
            assert self.write(c, s, t, f) == smb.NETWORK_NAME_DELETED
            self.refused("the share's squash has changed")
            t = s.tree("share")
            assert isinstance(self.create(c, s, t, "of-nobody"), bytes)
            assert os.stat(self.home + "/share/of-nobody").st_uid == 65534
        # A change that does not change whom this session acts as does not end it.
        t = s.tree("share")
        f = self.create(c, s, t, "f")
        with self.changed({"name": "share", "squash": "root"}, name="share", squash="none"):
            assert self.write(c, s, t, f) == smb.SUCCESS

    def check_hosts_end_what_is_open(self):
        c, s, t, f = self.using()
        with self.changed({"name": "share", "hosts": []}, name="share", hosts=["192.0.2.0/24"]):
            assert self.write(c, s, t, f) == smb.NETWORK_NAME_DELETED
            assert s.tree("share").status == smb.ACCESS_DENIED
        assert isinstance(s.tree("share"), int)

    def check_hosts_of_every_connection(self):
        c, s, t, f = self.using()
        d = smb.Conn(self.port, source="127.0.0.2")
        d.guid = c.guid
        d.negotiate()
        bound = d.bind(s)
        assert isinstance(bound, smb.Session), hex(bound.status)
        assert self.write(d, bound, t, f) == smb.SUCCESS
        for hosts in (["127.0.0.1"], ["127.0.0.2"]):
            with self.changed({"name": "share", "hosts": []}, name="share", hosts=hosts):
                assert self.write(c, s, t, f) == smb.NETWORK_NAME_DELETED, hosts
                assert s.tree("share").status == bound.tree("share").status == smb.ACCESS_DENIED
            t = s.tree("share")
            f = self.create(c, s, t, "f")
        # A third connection of a host that the share is not for does not join.
        with self.changed({"name": "other", "hosts": []}, name="other", hosts=["127.0.0.1", "127.0.0.2"]):
            assert isinstance(s.tree("other"), int)
            e = smb.Conn(self.port, source="127.0.0.3")
            e.guid = c.guid
            e.negotiate()
            r = e.bind(s)
            assert r.status == smb.ACCESS_DENIED, hex(r.status)
            self.refused("a share that is not for this host")
        assert self.write(c, s, t, f) == smb.SUCCESS

    def check_a_disabled_share(self):
        c, s, t, f = self.using()
        self.verb("share.disable", name="share")
        try:
            assert self.write(c, s, t, f) == smb.NETWORK_NAME_DELETED
            assert s.tree("share").status == smb.BAD_NETWORK_NAME
        finally:
            self.verb("share.enable", name="share")

    def check_what_was_reached_through_a_closed_folder(self):
        """`smb-bypass-traverse`: it ends with the share, the user and the session as everything does. When it is switched off,
        what is open stays (as with any other right: Windows and POSIX ask when it is opened), and nothing else is reached."""
        closed = self.home + "/share/closed"
        os.mkdir(closed, 0o700)
        open(closed + "/f", "w").write("some bytes")
        os.chmod(closed + "/f", 0o666)

        def reached():
            c, s = self.session()
            t = s.tree("share")
            f = self.create(c, s, t, "closed\\f", 0x12019F, OPEN)  # read, write
            assert isinstance(f, bytes), hex(f.status)
            return c, s, t, f

        def gone():
            until(lambda: self.status()["opens"] <= opens, "the open stays", 10)

        opens = self.status()["opens"]
        on = {"name": "share", "smb-bypass-traverse": True}
        with self.changed({"name": "share", "smb-bypass-traverse": False}, **on):
            for end, back in (("share.disable", "share.enable"), ("user.disable", "user.enable")):
                c, s, t, f = reached()
                idle = reached()
                self.verb(end, name="share" if "share" in end else "alice")
                try:
                    if end == "share.disable":
                        assert self.write(c, s, t, f) == smb.NETWORK_NAME_DELETED
                    else:
                        self.ended(c, s, t)
                    gone()  # those of the idle session, too
                finally:
                    self.verb(back, name="share" if "share" in end else "alice")
                c.close()
                idle[0].close()
            c, s, t, f = reached()
        assert self.write(c, s, t, f) == smb.SUCCESS and self.read(c, s, t, f).data.endswith(b"some bytes")
        for name in ("closed\\f", "closed\\F", "closed\\none"):
            assert self.create(c, s, t, name, READ, OPEN).status == smb.ACCESS_DENIED, name
        assert self.create(c, s, t, "closed\\new").status == smb.ACCESS_DENIED
        with self.changed({"name": "share", "smb-bypass-traverse": False}, **on):
            assert isinstance(self.create(c, s, t, "closed\\f", READ, OPEN), bytes)
        c.close()
        gone()
        os.unlink(closed + "/f")
        os.rmdir(closed)

    def check_another_folder(self):
        c, s, t, f = self.using()
        os.makedirs(self.home + "/second", exist_ok=True)
        with self.changed({"name": "share", "path": self.home + "/share"}, name="share", path=self.home + "/second"):
            assert self.write(c, s, t, f) == smb.NETWORK_NAME_DELETED
        self.refused("the share's folder has changed")

    def check_a_flavor_taken_away_from_some(self):
        c, s, t, f = self.using()
        d, n = self.ntlm()
        u = n.tree("share")
        with self.changed({"name": "share", "sec": ["krb5", "ntlm"]}, name="share", sec=["krb5"]):
            assert d.call(smb.CLOSE, CLOSE, session=n, tree=u).status == smb.NETWORK_NAME_DELETED
            assert n.tree("share").status == smb.ACCESS_DENIED
            assert self.write(c, s, t, f) == smb.SUCCESS

    # ---- opens whose client is away

    def durable(self, name):
        """A durable open, and its connection lost: (guid of the client, id of the session, file id)."""
        c, s = self.session()
        t = s.tree("share")
        path = name.encode("utf-16-le")
        pad = bytes(-len(path) % 8)
        context = struct.pack("<IHHHHI", 0, 16, 4, 0, 24, 16) + b"DHnQ" + bytes(4) + bytes(16)
        body = struct.pack("<HBBIQQIIIIIHHII", 57, 0, 9, 2, 0, 0, OPEN_ACCESS, 0, 7, 3, 0, 120, len(path),
                           120 + len(path + pad), len(context)) + path + pad + context
        r = c.call(smb.CREATE, body, session=s, tree=t)
        assert r.status == smb.SUCCESS and b"DHnQ" in r.body, hex(r.status)
        opens = self.status()["opens"]
        c.close()
        until(lambda: c.guid and s.id not in [int(x["id"], 16) for x in self.verb("session.list")], "the session stays")
        assert self.status()["opens"] == opens
        return c.guid, s.id, r.body[64:80]

    def reconnect(self, lost, name):
        guid, sid, f = lost
        c = smb.Conn(self.port)
        c.guid = guid
        c.negotiate()
        s = c.login(previous=sid)
        if not isinstance(s, smb.Session):
            return s
        t = s.tree("share")
        path = name.encode("utf-16-le")
        pad = bytes(-len(path) % 8)
        context = struct.pack("<IHHHHI", 0, 16, 4, 0, 24, 16) + b"DHnC" + bytes(4) + f
        body = struct.pack("<HBBIQQIIIIIHHII", 57, 0, 9, 2, 0, 0, OPEN_ACCESS, 0, 7, 3, 0, 120, len(path),
                           120 + len(path + pad), len(context)) + path + pad + context
        return c.call(smb.CREATE, body, session=s, tree=t)

    def check_a_durable_open_comes_back(self):
        assert self.reconnect(self.durable("d0"), "d0").status == smb.SUCCESS

    def check_a_durable_open_of_a_share_that_became_read_only(self):
        lost = self.durable("d1")
        opens = self.status()["opens"]
        with self.changed({"name": "share", "read-only": False}, name="share", **{"read-only": True}):
            assert self.reconnect(lost, "d1").status == NAME_NOT_FOUND
            until(lambda: self.status()["opens"] < opens, "the open stays")
        assert self.reconnect(lost, "d1").status == NAME_NOT_FOUND

    def check_durable_opens_end_with_what_they_rest_on(self):
        def without(verb, back, **args):
            opens = self.status()["opens"]
            lost = self.durable("d2")
            self.verb(verb, **args)
            try:
                until(lambda: self.status()["opens"] <= opens, verb)
            finally:
                self.verb(back[0], **back[1])
            assert self.reconnect(lost, "d2").status == NAME_NOT_FOUND, verb
        without("user.disable", ("user.enable", {"name": "alice"}), name="alice")
        without("share.disable", ("share.enable", {"name": "share"}), name="share")
        without("share.set", ("share.set", {"name": "share", "sec": ["krb5", "ntlm"]}), name="share", sec=["ntlm"])

    # ---- users

    def ended(self, c, s, t):
        until(lambda: s.id not in [int(x["id"], 16) for x in self.verb("session.list")], "the session is still listed")
        r = c.call(smb.CLOSE, CLOSE, session=s, tree=t)
        assert r.status == smb.USER_SESSION_DELETED, hex(r.status)

    def check_ntlm_switched_off_ends_its_sessions(self):
        self.verb("user.ntlm.enable", name="alice", password=PASSWORD)
        c, s, t, f = self.using()
        d, n = self.ntlm("alice")
        e, a = self.ntlm("ada")
        u, v = n.tree("share"), a.tree("share")
        self.verb("user.ntlm.disable", name="alice")
        r = d.call(smb.CLOSE, CLOSE, session=n, tree=u)
        assert r.status == smb.USER_SESSION_DELETED, hex(r.status)
        self.ended(d, n, u)
        assert d.login_ntlm("alice", PASSWORD).status == smb.LOGON_FAILURE
        # Her ticket is as good as ever, and so is another's password.
        assert self.write(c, s, t, f) == smb.SUCCESS
        assert isinstance(self.create(e, a, v, "g"), bytes)
        assert "was changed or switched off" in self.laresd.wait_log("was changed or switched off")

    def check_another_ntlm_password_ends_its_sessions(self):
        d, n = self.ntlm()
        u = n.tree("share")
        self.verb("user.ntlm.enable", name="ada", password=PASSWORD)  # the same: nothing has changed
        assert isinstance(self.create(d, n, u, "h"), bytes)
        self.verb("user.ntlm.enable", name="ada", password="another horse")
        try:
            self.ended(d, n, u)
            assert self.ntlm()[1].status == smb.LOGON_FAILURE
            assert isinstance(self.ntlm(password="another horse")[1], smb.Session)
        finally:
            self.verb("user.ntlm.enable", name="ada", password=PASSWORD)

    def check_a_deleted_user_is_out(self):
        self.verb("user.add", name="carol")
        self.verb("user.ntlm.enable", name="carol", password=PASSWORD)
        d, n = self.ntlm("carol")
        u = n.tree("share")
        c, s, t, f = self.using()
        self.verb("user.delete", name="carol")
        self.ended(d, n, u)
        assert self.write(c, s, t, f) == smb.SUCCESS
        self.verb("user.delete", name="alice")
        self.ended(c, s, t)

    def check_a_disabled_user_is_out_by_every_flavor(self):
        self.verb("user.ntlm.enable", name="alice", password=PASSWORD)
        d, n = self.ntlm("alice")
        u = n.tree("share")
        c, s, t, f = self.using()
        self.verb("user.disable", name="alice")
        try:
            self.ended(d, n, u)
            self.ended(c, s, t)
        finally:
            self.verb("user.enable", name="alice")
            self.verb("user.ntlm.disable", name="alice")

    # ---- logins that nobody ends

    def check_logins_under_way_take_no_sessions(self):
        until(lambda: self.status()["sessions"] == 0, "sessions of other checks", 10)
        began = time.monotonic()
        crowd = []
        for _ in range(4):
            c = self.conn()
            for i in range(17):
                r = c.login_ntlm("ada", PASSWORD, legs=1)
                assert r.status == (smb.MORE if i < 16 else smb.REQUEST_NOT_ACCEPTED), (i, hex(r.status))
            crowd.append(c)
        now = self.status()
        assert now["sessions"] == 0, now
        assert now["logins"] == 64 or time.monotonic() - began > 2, now  # login-time
        c, s, t, f = self.using()  # 16 sessions are all there may be
        assert isinstance(self.ntlm()[1], smb.Session)
        until(lambda: self.status()["logins"] == 0, "logins that nobody ends stay", 10)
        assert self.write(c, s, t, f) == smb.SUCCESS

    def check_no_more_sessions_than_there_may_be(self):
        until(lambda: self.status()["sessions"] == 0, "sessions of other checks", 10)
        kept = [self.session() for _ in range(16)]
        r = self.conn().login()
        assert r.status == smb.INSUFFICIENT_RESOURCES, hex(r.status)
        self.refused("there are too many sessions")
        kept.pop()[0].close()
        until(lambda: self.status()["sessions"] == 15, "the session stays")
        assert isinstance(self.conn().login(), smb.Session)

    def check_connections_that_nobody_logs_in_on(self):
        c, s = self.session()
        strangers = [smb.Conn(self.port), self.conn()]
        for stranger in strangers:
            assert stranger.closed()
        assert c.call(smb.ECHO, smb.ECHO_BODY, session=s).status == smb.SUCCESS

    # ---- what a change of a file must not lose

    def link(self, c, s, t, f, name, replace):
        name = name.encode("utf-16-le")
        info = struct.pack("<B7xQI", replace, 0, len(name)) + name
        return c.call(smb.SET_INFO, struct.pack("<HBBIHHI16s", 33, 1, 11, len(info), 96, 0, 0, f) + info, session=s, tree=t)

    def check_a_link_that_replaces(self):
        c, s, t, f = self.using(file="new")
        home = self.home + "/share/"
        with open(home + "old", "w") as old:
            old.write("what was there")
        os.chmod(home + "old", 0o666)
        assert self.link(c, s, t, f, "old", 0).status == 0xC0000035
        # Somebody has it open and does not share its deletion: it stays.
        path = "old".encode("utf-16-le")
        r = c.call(smb.CREATE, struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 1, 0, 3, 1, 0, 120, len(path), 0, 0) + path,
                   session=s, tree=t)
        assert r.status == smb.SUCCESS, hex(r.status)
        r2 = self.link(c, s, t, f, "old", 1)
        assert r2.status in (smb.ACCESS_DENIED, smb.SHARING_VIOLATION), hex(r2.status)
        assert open(home + "old").read() == "what was there"
        c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, r.body[64:80]), session=s, tree=t)
        r = self.link(c, s, t, f, "old", 1)
        assert r.status == smb.SUCCESS, hex(r.status)
        assert os.path.samefile(home + "old", home + "new") and os.stat(home + "new").st_nlink == 2
        assert self.link(c, s, t, f, "old", 1).status == smb.SUCCESS  # it is that already
        os.mkdir(home + "folder")
        assert self.link(c, s, t, f, "folder", 1).status == smb.ACCESS_DENIED
        assert not [n for n in os.listdir(home) if n.startswith(".lares-link")]


if __name__ == "__main__":
    sys.exit(run(Checks))
