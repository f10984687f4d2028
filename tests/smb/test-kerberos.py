#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tickets as KDCs make them, with and without a PAC, large and short-lived, and what is written when one is refused."""

import os
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from smb2rig import Rig, run  # noqa: E402
import pac  # noqa: E402
import smb2ops as ops  # noqa: E402
import smb2raw as smb  # noqa: E402

SERVICE = "cifs/nas.lares.test@LARES.TEST"
CLOSE = struct.pack("<HHI16s", 24, 0, 0, bytes(16))


class Checks(Rig):
    def forge(self, name="alice", **options):
        """A ccache with a ticket of alice's (or another's)."""
        cache = os.path.join(self.home, "cc-forged")
        r = subprocess.run([os.environ["FORGE_TICKET"], str(self.kdc.service_keytab), name + "@LARES.TEST", SERVICE,
                            "FILE:" + cache] + ["%s=%s" % o for o in options.items()], capture_output=True, text=True,
                           env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))  # the forger's leaks are nobody's
        assert r.returncode == 0, r.stderr
        return cache

    def login(self, cache, conn=None, keep=None):
        c = conn or self.conn()
        os.environ["KRB5CCNAME"], before = cache, os.environ["KRB5CCNAME"]
        try:
            return c, c.login(keep=keep)
        finally:
            os.environ["KRB5CCNAME"] = before

    def works(self, cache):
        kept = []
        c, s = self.login(cache, keep=kept)
        assert isinstance(s, smb.Session), hex(s.status)
        t = s.tree("share")
        assert isinstance(self.create(c, s, t, "f"), bytes)
        return len(kept[0])

    def refused(self, r, why):
        assert r.status == smb.LOGON_FAILURE, hex(r.status)
        assert why in self.laresd.wait_log(why)

    def again(self, c, s, cache):
        import nfsgss
        os.environ["KRB5CCNAME"], before = cache, os.environ["KRB5CCNAME"]
        try:
            token = nfsgss.Context("cifs@nas.lares.test").step()
        finally:
            os.environ["KRB5CCNAME"] = before
        return c.call(smb.SESSION_SETUP, c.setup_body(token), session=s)

    # ---- PACs

    def check_the_minimal_pac_of_a_kdc(self):
        with_pac = self.works(self.ccache("alice"))
        conf = self.kdc.kdc_conf.read_text()
        self.kdc.kdc_conf.write_text(conf.replace("database_name", "disable_pac = true\n        database_name"))
        self.kdc.stop()
        self.kdc.start()
        try:
            cache = os.path.join(self.home, "cc-plain")
            self.kdc.kinit("alice", cache)
            assert self.works(cache) < with_pac - 100, "the KDC's tickets are the same with and without disable_pac"
        finally:
            self.kdc.kdc_conf.write_text(conf)
            self.kdc.stop()
            self.kdc.start()

    def pac(self, **more):
        path = os.path.join(self.home, "logon-info")
        with open(path, "wb") as f:
            f.write(pac.logon_info(**more))
        return path

    def groups(self):
        return {a["sid"]: a for a in self.verb("sid.list")}

    def check_a_pac_as_of_active_directory(self):
        small = self.works(self.forge())
        assert self.works(self.forge(pac=self.pac())) > small + 300
        assert self.works(self.forge(pac=self.pac(), pad=12000)) > small + 12000
        (domain,) = self.verb("domain.list")
        assert domain == {"sid": "S-1-5-21-1-2-3", "realm": "LARES.TEST", "name": "CORP"}, domain

    def check_a_thousand_groups(self):
        self.works(self.forge(pac=self.pac(groups=range(5000, 6015))))
        assert sum(a["kind"] == "group" for a in self.groups().values()) >= 1015

    def check_groups_beside_the_domains(self):
        """Extra SIDs, and groups of the server's own domain."""
        self.works(self.forge(pac=self.pac(extra=[(9, 7001)], resource=(8, [7002]))))
        assert "S-1-5-21-9-2-3-7001" in self.groups() and "S-1-5-21-8-2-3-7002" in self.groups()

    def check_a_pac_that_the_kdc_did_not_sign(self):
        """Neither access nor a group, whatever is wrong with it."""
        for i, wrong in enumerate(({"signed": 0}, {"spoiled": 1}, {"of": "bob@LARES.TEST"}, {"kdc": 0})):
            start = len(self.laresd.log())
            _, r = self.login(self.forge(pac=self.pac(groups=[8010 + i]), **wrong))
            assert not isinstance(r, smb.Session), wrong
            assert r.status == smb.LOGON_FAILURE, (wrong, hex(r.status))
            assert "does not have the KDC's signature" in self.laresd.wait_log("verdict=refused", start=start), wrong
            assert "S-1-5-21-1-2-3-%d" % (8010 + i) not in self.groups(), wrong
        # What kdc=0 refuses is the missing checksum of the KDC's, not the way in which the other one was made.
        self.works(self.forge(pac=self.pac(groups=[8010]), kdc=1))
        assert "S-1-5-21-1-2-3-8010" in self.groups()
        self.works(self.forge(pad=100, signed=0))  # without logon information it says nothing

    def check_a_pac_that_is_cut_off(self):
        whole = pac.logon_info(groups=[8002])
        path = os.path.join(self.home, "logon-info")
        for n in (0, 1, 20, 200, len(whole) - 12):
            with open(path, "wb") as f:
                f.write(whole[:n])
            start = len(self.laresd.log())
            _, r = self.login(self.forge(pac=path))
            assert r.status == smb.LOGON_FAILURE, (n, hex(r.status))
            assert "cannot be read" in self.laresd.wait_log("verdict=refused", start=start), n
        assert "S-1-5-21-1-2-3-8002" not in self.groups()

    def check_authorization_data_of_other_kinds(self):
        self.works(self.forge(data=500))
        self.works(self.forge(data=500, pac=self.pac()))

    def check_tokens_up_to_64_kib(self):
        n = self.works(self.forge(pad=30000, data=30000))
        assert 60000 < n < 65536, n
        assert self.works(self.forge(pad=63000, pac=self.pac())) > 63000

    # ---- time

    def check_a_session_ends_with_its_ticket_and_goes_on_with_a_new_one(self):
        c, s = self.login(self.forge(life=3))
        t = s.tree("share")
        f = self.create(c, s, t, "expiring")
        assert self.write(c, s, t, f) == smb.SUCCESS
        time.sleep(3.2)
        assert self.write(c, s, t, f) == smb.SESSION_EXPIRED
        r = s.tree("share")
        assert r.status == smb.SESSION_EXPIRED and r.flags & smb.SIGNED, hex(r.status)
        r = self.again(c, s, self.ccache("alice"))
        assert r.status == smb.SUCCESS and r.flags & smb.SIGNED, hex(r.status)
        assert self.write(c, s, t, f) == smb.SUCCESS  # tree and open are what they were
        assert isinstance(s.tree("share"), int)

    def check_an_ended_session_may_only_end(self):
        c, s = self.login(self.forge(life=2))
        t = s.tree("share")
        f = self.create(c, s, t, "expiring")
        first, second = (0, 10, 0x12), (20, 10, 0x12)  # exclusive, at once
        assert c.call(smb.LOCK, ops.lock(f, first), session=s, tree=t).status == smb.SUCCESS
        time.sleep(2.2)
        assert self.create(c, s, t, "another").status == smb.SESSION_EXPIRED
        assert c.call(smb.LOCK, ops.lock(f, second), session=s, tree=t).status == smb.SESSION_EXPIRED
        assert c.call(smb.LOCK, ops.lock(f, (0, 10, 4)), session=s, tree=t).status == smb.SUCCESS  # given back
        breaking = struct.pack("<HBBI16s", 24, 0, 0, 0, f)
        assert c.call(smb.OPLOCK_BREAK, breaking, session=s, tree=t).status == smb.SESSION_EXPIRED
        leaving = struct.pack("<HH", 4, 0)
        assert c.call(smb.TREE_DISCONNECT, leaving, session=s, tree=t).status == smb.SESSION_EXPIRED
        r = c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, f), session=s, tree=t)
        assert r.status == smb.SUCCESS, hex(r.status)
        assert c.call(smb.LOGOFF, struct.pack("<HH", 4, 0), session=s).status == smb.SUCCESS

    def check_nobody_else_takes_an_expired_session_over(self):
        c, s = self.login(self.forge(life=2))
        time.sleep(2.2)
        self.refused(self.again(c, s, self.ccache("bob")), "another user than the session's first")
        r = c.call(smb.TREE_CONNECT, struct.pack("<HHHH", 9, 0, 72, 0), session=s)
        assert r.status == smb.USER_SESSION_DELETED, hex(r.status)

    def check_a_session_that_is_renewed_in_time_does_not_end(self):
        c, s = self.login(self.forge(life=3))
        t = s.tree("share")
        assert self.again(c, s, self.ccache("alice")).status == smb.SUCCESS
        time.sleep(3.2)
        assert isinstance(self.create(c, s, t, "f"), bytes)

    def check_an_ended_ticket(self):
        """The library forgives what clocks may differ by; the ticket's end is its end all the same."""
        import nfsgss
        os.environ["KRB5CCNAME"], before = self.forge(life=2), os.environ["KRB5CCNAME"]
        try:
            token = nfsgss.Context("cifs@nas.lares.test").step()
        finally:
            os.environ["KRB5CCNAME"] = before
        time.sleep(2.2)
        c = self.conn()
        self.refused(c.call(smb.SESSION_SETUP, c.setup_body(token)), "the ticket has ended")

    def check_clocks_that_are_apart(self):
        for skew in (3600, -3600):
            c, r = self.login(self.forge(skew=skew, life=7200))
            self.refused(r, "Clock skew too great")
        assert "set the clocks of client and server" in self.laresd.log()
        self.works(self.forge(skew=100))

    # ---- refusals say why

    def check_every_refusal_is_written(self):
        def written(why, go):
            before = self.laresd.log().count(why)
            go()
            end = time.monotonic() + 60
            while self.laresd.log().count(why) <= before:
                assert time.monotonic() < end, "not in the log: " + why
                time.sleep(0.05)

        def setup(token, **kw):
            c = self.conn()
            return lambda: c.call(smb.SESSION_SETUP, c.setup_body(token), **kw)
        written("neither SPNEGO nor a mechanism's own token", setup(b"x"))
        written("a malformed NTLM", setup(b"NTLMSSP\0" + bytes(2)))
        written("wrong password (user ada)", lambda: self.conn().login_ntlm("ada", "wrong horse"))
        self.verb("user.add", name="dora")
        written("NTLM is not switched on for dora", lambda: self.conn().login_ntlm("dora", "some words"))
        self.login(self.ccache("bob"))
        self.verb("user.disable", name="bob")
        try:
            written("disabled", lambda: self.login(self.ccache("bob")))
        finally:
            self.verb("user.enable", name="bob")
        kept = []
        self.login(self.ccache("alice"), keep=kept)
        again = self.conn()
        again.next_mid()
        written("the same authenticator came a second time",
                lambda: (again.send(kept[0][:24] + struct.pack("<Q", 1) + kept[0][32:]), again.recv()))
        c, s = self.session()
        written("the share wants one of sys", lambda: s.tree("guests"))
        written("no share of this name", lambda: s.tree("no-such-share"))
        d = smb.Conn(self.port)
        d.guid = c.guid
        d.negotiate()
        written("may not join the session: STATUS_ACCESS_DENIED", lambda: d.bind(smb.Session(d, s.id, os.urandom(16), bytes(64))))


if __name__ == "__main__":
    if "FORGE_TICKET" not in os.environ:
        print("1..0 # SKIP FORGE_TICKET is not set")
        sys.exit(77)
    sys.exit(run(Checks))
