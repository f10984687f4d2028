#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Users of realms that trust each other, with tickets that MIT's KDCs give across: PARTNER.ORG's users come to the services
of LARES.TEST, and get in where the server's settings say so. STRANGER.NET is trusted by the partner alone. Exit 77
without the programs."""
import os
import pathlib
import shutil
import sys
import tempfile

from world import HOME, HOST, PARTNER, Nfs, Rest, Smb, World, refused
import tap
from realm import Realm, RealmError, tool

STRANGER = "STRANGER.NET"
OURS = f"realms={HOME}"


def trust(realm, other, *where):
    """Users of `realm` are known in `other`: the key is in the databases of `where`."""
    for one in where:
        one.kadmin(f'addprinc -pw "a key of {realm.name} and {other.name}" krbtgt/{other.name}@{realm.name}')


class Trust(World):
    def __init__(self, work):
        services = [f"{s}/{h}" for s in ("nfs", "cifs", "HTTP") for h in (HOST, "localhost")]
        home = Realm(work / "home", name=HOME, services=services, users=["ada"])
        partner = Realm(work / "partner", name=PARTNER, users=["ada", "pat"])
        stranger = Realm(work / "stranger", name=STRANGER, users=["eve", "mallory"])
        super().__init__(work, [home, partner, stranger])
        for realm in self.realms.values():
            realm.create()
        # The KDC leaves it to the server to judge the way that a ticket came.
        home.kdc_conf.write_text(home.kdc_conf.read_text().replace(
            "database_name", "reject_bad_transit = false\n        database_name", 1))
        trust(partner, home, partner, home)
        trust(stranger, partner, stranger, partner)
        for realm in (partner, stranger):
            realm.krb5_conf.write_text(self.roads(realm))
        self.by_partner = work / "by-partner.conf"
        self.by_partner.write_text(self.roads(stranger) + f"[capaths]\n    {STRANGER} = {{\n        {HOME} = {PARTNER}\n    }}\n")

    def roads(self, realm):
        """krb5.conf of a realm's client that finds all KDCs, and the server in its own realm."""
        kdcs = "".join(f"    {r.name} = {{\n        kdc = 127.0.0.1:{r.port}\n    }}\n" for r in self.realms.values())
        text = self.realms[HOME].client_config().replace(f"default_realm = {HOME}", f"default_realm = {realm.name}")
        return text.replace("[realms]\n", "[realms]\n" + kdcs, 1)

    def env(self, principal):
        env = super().env(principal)
        return dict(env, KRB5_CONFIG=str(self.by_partner)) if principal.startswith("mallory") else env


WORLD = []


def everywhere(check):
    for protocol in WORLD[1:]:
        check(protocol)


def test_a_trusted_realms_users_are_not_ours():
    """The same name is not the same user."""
    w = WORLD[0]
    w.configure(OURS)
    refused(Nfs(w).enter, "pat@" + PARTNER)
    everywhere(lambda p: refused(p.enter, "ada@" + PARTNER))
    assert "the realm is not ours" in w.d.log()
    assert not w.verb("user.list"), w.verb("user.list")


def test_users_under_their_full_name():
    """provision-foreign: the realm is not taken away."""
    w = WORLD[0]
    w.configure(OURS + "\nprovision-foreign=true")
    everywhere(lambda p: assert_is(p.enter("ada@" + PARTNER), "ada@" + PARTNER))
    assert_is(Nfs(w).enter("ada@" + HOME), "ada")
    assert w.user("ada")["uid"] != w.user("ada@" + PARTNER)["uid"]
    w.verb("user.disable", name="ada@" + PARTNER)
    refused(Nfs(w).enter, "ada@" + PARTNER)
    assert_is(Nfs(w).enter("ada@" + HOME), "ada")
    w.verb("user.delete", name="ada@" + PARTNER)


def test_users_whose_realm_is_taken_away():
    """Both realms are the server's own: the same name is the same user."""
    w = WORLD[0]
    w.configure(f"realms={HOME},{PARTNER}")
    everywhere(lambda p: assert_is(p.enter("ada@" + PARTNER), "ada"))
    assert_is(Nfs(w).enter("pat@" + PARTNER), "pat")


def test_a_mapping_lets_one_in():
    w = WORLD[0]
    w.configure(OURS)
    w.verb("mapping.set", principal="pat@" + PARTNER, user="ada")
    for protocol in (Nfs(w), Rest(w)):
        assert_is(protocol.enter("pat@" + PARTNER), "ada")
        refused(protocol.enter, "ada@" + PARTNER)
    w.verb("mapping.delete", principal="pat@" + PARTNER)
    refused(Nfs(w).enter, "pat@" + PARTNER)


def test_a_friends_friend():
    """A ticket that came by way of the partner's realm, whom nobody here told that it may speak for others (RFC 4120 2.7)."""
    w = WORLD[0]
    w.configure(f"realms={HOME},{PARTNER},{STRANGER}")
    env = w.env("mallory@" + STRANGER)
    for protocol, go in (("nfs4", lambda: refused(Nfs(w).enter, "mallory@" + STRANGER)),
                         ("http", lambda: Rest(w).curl(env, "--negotiate", "-u", ":", "/status"))):
        start = len(w.d.log())
        go()
        w.d.wait_log(f"protocol={protocol} verdict=refused", start=start)
        assert "Illegal cross-realm ticket" in w.d.log()[start:], w.d.log()[start:]
        assert "verdict=accepted" not in w.d.log()[start:]


def test_a_realm_that_only_claims_to_be_trusted():
    """It has a key for our realm that our KDC does not have: there is no ticket, whatever the settings let in."""
    w = WORLD[0]
    w.configure(f"realms={HOME},{PARTNER},{STRANGER}")
    trust(w.realms[STRANGER], w.realms[HOME], w.realms[STRANGER])
    refused(Nfs(w).enter, "eve@" + STRANGER)
    assert "eve@" not in w.d.log()


def assert_is(uid, name):
    assert uid == WORLD[0].user(name)["uid"], (uid, WORLD[0].verb("user.list"))


def main():
    try:
        for name in ("krb5kdc", "kadmin.local", "kinit", "curl"):
            tool(name)
    except RealmError as e:
        print(f"1..0 # SKIP {e}")
        sys.exit(77)
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    work = pathlib.Path(tempfile.mkdtemp(prefix="cross-"))
    os.chmod(work, 0o755)
    try:
        with Trust(work) as w:
            WORLD[:] = [w, Nfs(w), Rest(w)] + ([Smb(w)] if shutil.which("smbclient") else [])
            status = 0
            try:
                tap.main(globals())
            except SystemExit as e:
                status = e.code
            if status:
                print("# " + w.d.log()[-6000:].replace("\n", "\n# "))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
