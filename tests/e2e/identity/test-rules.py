#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who a principal is: one table of rules, and each rule over NFS (RPCSEC_GSS through MIT's library), SMB (smbclient) and
REST (curl --negotiate), with tickets of two realms. NFS and SMB are judged by the owner of what was made, REST by the
audit line. A session that lives stays open while the administrator changes his mind. Exit 77 without the programs."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(TESTS, "lib"), os.path.join(TESTS, "wire")]
import tap
from laresd import Laresd
from lares_server import call_verb
from realm import Realm, RealmError, tool

HOME, PARTNER, HOST = "LARES.TEST", "PARTNER.ORG", "nas.lares.test"
NOBODY = 65534
IDENTITY = """
[identity]
realms=%s
uid-min=610000
uid-max=610999
%s
[control]
readers=@kerberos-users
"""
SMB_CONF = """[global]
    workgroup = WORKGROUP
    client min protocol = SMB3_11
    name resolve order = host
    private dir = %(dir)s
    lock directory = %(dir)s
    state directory = %(dir)s
    cache directory = %(dir)s
    pid directory = %(dir)s
    log file = %(dir)s/log
    gensec_gssapi:requested_life_time = 0
"""


class Refused(Exception):
    """The server let nobody in, or nobody do anything; the text is the client's."""


class World:
    """Two realms and a server that holds keys of both; one of them is its own."""

    def __init__(self, work):
        self.work, self.folder, self.count = work, work / "share", 0
        self.folder.mkdir()
        os.chmod(self.folder, 0o777)
        services = [f"{s}/{h}" for s in ("nfs", "cifs", "HTTP") for h in (HOST, "localhost")]
        self.realms = {HOME: Realm(work / "home", name=HOME, services=services,
                                   users=["ada", "ben", "ada/admin", "daemon", "host/pad." + HOST, "nfs/pad." + HOST, "PAD$"]),
                       PARTNER: Realm(work / "partner", name=PARTNER, users=["ada", "pat"])}
        self.ccaches = {}

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        for realm in self.realms.values():
            self.stack.enter_context(realm)
        home, partner = self.realms[HOME], self.realms[PARTNER]
        partner.add_services([s for s in home.services], keytab=home.service_keytab)
        conf = partner.krb5_conf.read_text()
        partner.krb5_conf.write_text(conf.replace("[domain_realm]\n", f"[domain_realm]\n    {HOST} = {PARTNER}\n"))
        home.krb5_conf.write_text(home.krb5_conf.read_text().replace(
            "[libdefaults]\n", "[libdefaults]\n    ignore_acceptor_hostname = true\n", 1))
        server = self.work / "server"
        server.mkdir()
        self.d = Laresd({"auth-sys": {}, "store-posix": {}, "auth-krb5": {"keytab": home.service_keytab},
                         "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "1s"},
                         "proto-smb2": {"listen": "127.0.0.1:@PORT2@"}, "proto-rest": {"http": "127.0.0.1:@PORT3@"}},
                        server={"host-name": HOST, "aliases": "localhost"}, raw=IDENTITY % (HOME, ""), env=home.env(),
                        directory=str(server), keep=True)
        self.stack.enter_context(self.d)
        self.verb("share.create", name="share", path=str(self.folder), sec=["krb5", "krb5i", "krb5p"], squash="none")
        return self

    def __exit__(self, *what):
        self.stack.__exit__(*what)

    def verb(self, verb, **args):
        return call_verb(self.d.control, verb, **args)

    def env(self, principal):
        """The environment of a client with a ticket of the principal."""
        name, realm = principal.rsplit("@", 1)
        if principal not in self.ccaches:
            self.ccaches[principal] = self.realms[realm].kinit(name, self.work / f"cc-{len(self.ccaches)}")
        return self.realms[realm].env(ccache=self.ccaches[principal])

    def new_name(self):
        self.count += 1
        return f"made{self.count}"

    def owner(self, name):
        return os.stat(self.folder / name).st_uid

    def user(self, name):
        return self.verb("user.show", name=name)

    def have(self, name):
        return name in [u["name"] for u in self.verb("user.list")]

    def configure(self, extra):
        """Another [identity], while everybody is connected."""
        path = pathlib.Path(self.d.config)
        text = path.read_text()
        path.write_text(text[:text.index("\n[identity]")] + IDENTITY % (HOME, extra))
        self.verb("server.reload")


# ---- The three protocols: enter() gives the uid somebody acts with, live() a session whose works() can be asked again.

class Nfs:
    def __init__(self, world):
        self.w = world

    def connect(self, principal):
        import nfsgss
        from nfsraw import RpcError, NfsError, Session
        os.environ.update({k: v for k, v in self.w.env(principal).items() if k.startswith("KRB5")})
        try:
            conn = nfsgss.GssConn("127.0.0.1", self.w.d.ports[1], spn="nfs@localhost", service=nfsgss.PRIVACY)
            return Session(conn)
        except (nfsgss.GssError, RpcError, NfsError) as e:
            raise Refused(e) from None

    def make(self, session):
        from nfsgss import GssError
        from nfsraw import NfsError, RpcError
        name = self.w.new_name()
        try:
            session.mkdir(session.walk("/share"), name)
        except (GssError, RpcError, NfsError, ConnectionError) as e:
            raise Refused(e) from None
        return self.w.owner(name)

    def enter(self, principal):
        return self.make(self.connect(principal))

    def live(self, principal):
        session = self.connect(principal)
        return lambda: self.make(session)


class Smb:
    def __init__(self, world):
        self.w = world
        self.dir = world.work / "smb"
        self.dir.mkdir(exist_ok=True)
        (self.dir / "smb.conf").write_text(SMB_CONF % {"dir": self.dir})
        (self.dir / "some").write_text("bytes")

    def start(self, principal):
        env = self.w.env(principal)
        ccache = env["KRB5CCNAME"]
        return subprocess.Popen(["smbclient", f"//{HOST}/share", "-I", "127.0.0.1", "-s", self.dir / "smb.conf", "-p",
                                 str(self.w.d.ports[2]), "--use-kerberos=required", f"--use-krb5-ccache={ccache}"],
                                env=dict(env, LC_ALL="C.UTF-8"), cwd=self.dir, stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, text=True)

    def put(self, client):
        """Told to a client that runs. It looks at a pipe once for each line, so it is given lines until the shell command
        behind the one that counts has answered."""
        name = self.w.new_name()
        done = self.dir / (name + ".done")
        end = time.monotonic() + 40
        line = f"put some {name}\n"
        while not done.exists():
            assert time.monotonic() < end, "smbclient does not go on"
            try:
                client.stdin.write(line)
                client.stdin.flush()
                client.wait(0.05)
            except (BrokenPipeError, subprocess.TimeoutExpired) as e:
                if isinstance(e, BrokenPipeError):
                    break
            else:
                break
            line = f"!touch {done}\n"
        if not (self.w.folder / name).exists():
            raise Refused("smbclient could not write")
        return self.w.owner(name)

    def end(self, client):
        with contextlib.suppress(BrokenPipeError):
            client.stdin.close()
        client.wait(20)

    def enter(self, principal):
        client = self.start(principal)
        try:
            return self.put(client)
        finally:
            self.end(client)

    def live(self, principal):
        client = self.start(principal)
        self.put(client)
        self.w.stack.callback(self.end, client)
        return lambda: self.put(client)


class Rest:
    def __init__(self, world):
        self.w = world

    def curl(self, env, *words):
        url = f"http://localhost:{self.w.d.ports[3]}/api/v1"
        # An address of its own: of one peer so many refusals are written in ten seconds, and SMB has had some of them.
        r = subprocess.run(["curl", "-s", "--interface", "127.0.0.2", "-w", "\n%{http_code}", *words[:-1], url + words[-1]],
                           env=env, capture_output=True, text=True, timeout=60)
        body, _, status = r.stdout.rpartition("\n")
        return int(status), json.loads(body) if body else {}

    def enter(self, principal):
        start = len(self.w.d.log())
        self.curl(self.w.env(principal), "--negotiate", "-u", ":", "/status")
        line = re.search(r'event=auth principal="?%s"?.* protocol=http verdict=.*' % re.escape(principal),
                         self.w.d.wait_log("protocol=http verdict", start=start)).group(0)
        if "verdict=accepted" not in line:
            raise Refused(line)
        user = re.search(r' user="?([^" ]+)', line).group(1)
        return NOBODY if user == "nobody" else self.w.user(user)["uid"]

    def live(self, principal):
        status, token = self.curl(self.w.env(principal), "--negotiate", "-u", ":", "-X", "POST", "/tokens")
        assert status == 201, token

        def works():
            status, answer = self.curl(os.environ, "-H", "Authorization: Bearer " + token["token"], "/status")
            if status != 200:
                raise Refused(answer)
            return self.w.user(principal.split("@")[0])["uid"]
        return works


# ---- The rules

def refused(ask, principal=None):
    try:
        uid = ask(principal) if principal else ask()
    except Refused as e:
        return str(e)
    raise AssertionError(f"{principal or 'the live session'} still gets in, as {uid}")


def at_last(ask, uid):
    """A client may have to find its way back."""
    end = time.monotonic() + 20
    while True:
        try:
            assert ask() == uid
            return
        except Refused:
            assert time.monotonic() < end
            time.sleep(0.2)


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
    refused(works)  # what was open does not make anybody
    assert not w.have("ada")
    told = w.verb("mapping.test", principal="ada@" + HOME)
    assert (told["new"], told["uid"]) == (True, uid) and not w.have("ada"), told
    at_last(lambda: p.enter("ada@" + HOME), uid)
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


RULES = [(name[5:], rule) for name, rule in sorted(globals().items(), key=lambda x: getattr(
    getattr(x[1], "__code__", None), "co_firstlineno", 0)) if name.startswith("rule_")]


WORLD, FAILED = [], []


def through(protocol):
    """All rules, in their order: each finds what those before it left. Users start anew, their numbers are kept."""
    w = WORLD[0]
    for user in w.verb("user.list"):
        w.verb("user.delete", name=user["name"])
    p = protocol(w)
    for name, rule in RULES:
        began = time.monotonic()
        try:
            rule(w, p)
        except Exception:
            FAILED.append(name)
            print(f"# the rule that failed: {name}")
            raise
        print(f"# {name}: {time.monotonic() - began:.1f} s", flush=True)


def test_nfs():
    through(Nfs)


def test_smb():
    if not shutil.which("smbclient"):
        tap.skip("smbclient is not installed")
    through(Smb)


def test_rest():
    through(Rest)


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
    work = pathlib.Path(tempfile.mkdtemp(prefix="rules-"))
    os.chmod(work, 0o755)
    try:
        with World(work) as w:
            WORLD.append(w)
            with contextlib.suppress(SystemExit):
                tap.main(globals())
            if FAILED:
                print("# " + w.d.log()[-6000:].replace("\n", "\n# "))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(bool(FAILED))


if __name__ == "__main__":
    main()
