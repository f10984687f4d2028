# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who a principal is: the rules, each as a function of the world and of a protocol with enter() and live() (world.py). They
are kept by test-rules.py for programs of this machine, and by tests/vm/scenarios/identity.py for a kernel's mount."""
import os
import time

from world import HOME, HOST, NOBODY, PARTNER, World, at_last, refused
from realm import Realm


class Rules(World):
    """Two realms and a server that holds keys of both; one of them is its own."""

    def __init__(self, work):
        services = [f"{s}/{h}" for s in ("nfs", "cifs", "HTTP") for h in (HOST, "localhost")]
        super().__init__(work, [
            Realm(work / "home", name=HOME, services=services,
                  users=["ada", "ben", "ada/admin", "daemon", "host/pad." + HOST, "nfs/pad." + HOST, "PAD$"]),
            Realm(work / "partner", name=PARTNER, users=["ada", "pat"])], f"realms={HOME}\n")

    def prepare(self):
        home, partner = self.realms[HOME], self.realms[PARTNER]
        partner.add_services(home.services, keytab=home.service_keytab)
        conf = partner.krb5_conf.read_text()
        partner.krb5_conf.write_text(conf.replace("[domain_realm]\n", f"[domain_realm]\n    {HOST} = {PARTNER}\n"))


# ---- The rules, in their order: each finds what those before it left

def rule_first_login_makes_the_user(w, p):
    uid = p.enter("ada@" + HOME)
    shown = w.user("ada")
    assert 610000 <= uid <= 610999 and uid == shown["uid"], (uid, shown)
    assert (shown["source"], shown["primary-group"], shown["principal"]) == ("kerberos", "kerberos-users", "ada@" + HOME), shown
    told = w.verb("mapping.test", principal="ada@" + HOME)
    assert (told["rule"], told["uid"], told["new"]) == ("name", uid, False), told


def rule_instances_are_others(w, p):
    assert p.enter("ada/admin@" + HOME) == w.user("ada/admin")["uid"] != w.user("ada")["uid"]


def rule_explicit_mapping_comes_first(w, p):
    ben = p.enter("ben@" + HOME)
    assert ben not in (w.user("ada")["uid"], NOBODY)
    w.verb("mapping.set", principal="ben@" + HOME, user="ada")
    assert p.enter("ben@" + HOME) == w.user("ada")["uid"]
    assert w.verb("mapping.test", principal="ben@" + HOME)["rule"] == "mapping"
    w.verb("mapping.delete", principal="ben@" + HOME)
    assert p.enter("ben@" + HOME) == ben


def rule_mapping_to_nobody_known_is_refused(w, p):
    w.verb("mapping.set", principal="ben@" + HOME, user="no-such-user")
    refused(p.enter, "ben@" + HOME)
    assert not w.have("no-such-user")
    w.verb("mapping.delete", principal="ben@" + HOME)


def rule_other_realms_are_refused(w, p):
    for name in ("pat", "ada"):
        refused(p.enter, f"{name}@{PARTNER}")
        assert w.verb("mapping.test", principal=f"{name}@{PARTNER}")["reason"] == "the realm is not ours"
    assert not w.have("pat") and not w.have("pat@" + PARTNER)


def rule_pattern_lets_another_realm_in(w, p):
    w.verb("mapping.set", principal="*@" + PARTNER, user="*")
    assert p.enter("pat@" + PARTNER) == w.user("pat")["uid"]
    assert p.enter("ada@" + PARTNER) == w.user("ada")["uid"]
    w.verb("mapping.set", principal="pat@" + PARTNER, user="ben")  # one of them by name
    assert p.enter("pat@" + PARTNER) == w.user("ben")["uid"]
    for principal in ("*@" + PARTNER, "pat@" + PARTNER):
        w.verb("mapping.delete", principal=principal)
    refused(p.enter, "pat@" + PARTNER)


def rule_mapping_taken_away_ends_live_sessions(w, p):
    w.verb("mapping.set", principal="*@" + PARTNER, user="*")
    works = p.live("pat@" + PARTNER)
    assert works() == w.user("pat")["uid"]
    w.verb("mapping.delete", principal="*@" + PARTNER)
    refused(works)


def rule_disabled_is_out_now_and_not_made_again(w, p):
    uid = w.user("ada")["uid"]
    works = p.live("ada@" + HOME)
    assert works() == uid
    w.verb("user.disable", name="ada")
    refused(works)
    refused(p.enter, "ada@" + HOME)
    shown = w.user("ada")
    assert shown["disabled"] and shown["uid"] == uid and shown["source"] == "kerberos", shown
    assert w.verb("mapping.test", principal="ada@" + HOME)["reason"] == "the user is disabled"
    assert p.enter("ben@" + HOME) == w.user("ben")["uid"]
    w.verb("user.enable", name="ada")
    at_last(lambda: p.enter("ada@" + HOME), uid)


def rule_deleted_comes_back_with_the_number(w, p):
    uid = w.user("ada")["uid"]
    works = p.live("ada@" + HOME)
    w.verb("user.delete", name="ada")
    if not p.comes_back:
        refused(works)  # what was open does not make anybody
    assert not w.have("ada")
    told = w.verb("mapping.test", principal="ada@" + HOME)
    assert (told["new"], told["uid"]) == (True, uid) and not w.have("ada"), told
    at_last(works if p.comes_back else lambda: p.enter("ada@" + HOME), uid)
    assert w.user("ada")["source"] == "kerberos"


def rule_user_of_the_directory_is_taken(w, p):
    w.verb("user.delete", name="ben")
    w.verb("user.add", name="ben", uid=5005)
    assert p.enter("ben@" + HOME) == 5005
    assert w.user("ben")["source"] == "local"
    w.verb("user.set", name="ben", uid=610700)


def rule_system_accounts_are_nobodys(w, p):
    refused(p.enter, "daemon@" + HOME)
    assert w.verb("mapping.test", principal="daemon@" + HOME)["reason"] == "a system account of the host"
    assert not w.have("daemon")


def rule_machines_are_no_error(w, p):
    for name in ("host/pad." + HOST, "nfs/pad." + HOST, "PAD$"):
        assert p.enter(f"{name}@{HOME}") == NOBODY, name
    assert not w.have("PAD$")
    w.configure("machine-account=ben")
    for name in ("host/pad." + HOST, "PAD$"):
        assert p.enter(f"{name}@{HOME}") == w.user("ben")["uid"], name
    w.verb("user.disable", name="ben")  # an account that cannot be used is no error, either
    assert p.enter("PAD$@" + HOME) == NOBODY
    w.verb("user.enable", name="ben")
    w.configure("")
    assert p.enter("PAD$@" + HOME) == NOBODY


def rule_without_provisioning_only_who_is_known(w, p):
    ben = w.user("ben")["uid"]
    w.verb("user.delete", name="ada/admin")
    w.configure("provision=false")
    refused(p.enter, "ada/admin@" + HOME)
    assert p.enter("ben@" + HOME) == ben
    w.configure("")
    at_last(lambda: p.enter("ada/admin@" + HOME), w.verb("mapping.test", principal="ada/admin@" + HOME)["uid"])


def rule_groups_are_the_servers(w, p):
    """Of 40 groups the last opens the door, the moment somebody is in it, and no group that a client names does."""
    uid = p.enter("ada@" + HOME)
    have = [g["name"] for g in w.verb("group.list")]
    for name in [f"g{i}" for i in range(40)]:
        if name not in have:
            w.verb("group.add", name=name)
        w.verb("group.add-member", name=name, member="ada")
    w.restrict(w.verb("group.show", name="g39")["gid"])
    assert p.through_door("ada@" + HOME) == uid
    refused(p.through_door, "ben@" + HOME)
    if p.claims:  # AUTH_SYS: who is known here is in the groups that are known here
        gid = w.verb("group.show", name="g39")["gid"]
        assert p.claims(uid, []) == uid
        assert p.claims(uid, [4711, 4712]) == uid
        refused(lambda: p.claims(w.user("ben")["uid"], [gid]))
        stranger = 4999
        assert not [u for u in w.verb("user.list") if u["uid"] == stranger]
        assert p.claims(stranger, [gid]) == stranger  # nobody's: a client of a share for sys is believed
        refused(lambda: p.claims(stranger, []))
    w.verb("group.remove-member", name="g39", member="ada")
    refused(p.through_door, "ada@" + HOME)
    w.verb("group.add-member", name="g39", member="ben")
    assert p.through_door("ben@" + HOME) == w.user("ben")["uid"]


RULES = [(name[5:], rule) for name, rule in sorted(globals().items(), key=lambda x: getattr(
    getattr(x[1], "__code__", None), "co_firstlineno", 0)) if name.startswith("rule_")]


def through(w, p):
    """All rules over one protocol; gives the name of each as it is kept. Users start anew, their numbers are kept."""
    for user in w.verb("user.list"):
        w.verb("user.delete", name=user["name"])
    for name, rule in RULES:
        began = time.monotonic()
        try:
            rule(w, p)
        except Exception:
            print(f"# the rule that failed: {name}")
            raise
        print(f"# {name}: {time.monotonic() - began:.1f} s", flush=True)
        yield name
