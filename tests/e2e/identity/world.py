# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server among realms of Kerberos, and who somebody with a ticket is there: over NFS (RPCSEC_GSS through MIT's library),
SMB (smbclient) and REST (curl --negotiate). NFS and SMB are judged by the owner of what was made, REST by the audit line."""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path[:0] = [os.path.join(TESTS, "lib"), os.path.join(TESTS, "wire")]
from laresd import Laresd
from lares_server import call_verb

HOME, PARTNER, HOST = "LARES.TEST", "PARTNER.ORG", "nas.lares.test"
NOBODY = 65534
IDENTITY = """
[identity]
uid-min=610000
uid-max=610999
%s
[control]
readers=@kerberos-users
operators=@g39
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


DOOR = "door"  # the folder that is one group's


class Refused(Exception):
    """The server let nobody in, or nobody do anything; the text is the client's."""


class World:
    """Realms, and a server that is one's of them. Who makes it says in prepare() what the realms have to do with each other."""

    def __init__(self, work, realms, identity=""):
        self.work, self.folder, self.count = work, work / "share", 0
        self.folder.mkdir()
        os.chmod(self.folder, 0o777)
        self.realms = {realm.name: realm for realm in realms}
        self.identity = identity
        self.ccaches = {}

    def prepare(self):
        pass

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        for realm in self.realms.values():
            self.stack.enter_context(realm)
        self.prepare()
        home = self.realms[HOME]
        home.krb5_conf.write_text(home.krb5_conf.read_text().replace(
            "[libdefaults]\n", "[libdefaults]\n    ignore_acceptor_hostname = true\n", 1))
        server = self.work / "server"
        server.mkdir()
        self.d = Laresd({"auth-sys": {}, "store-posix": {}, "auth-krb5": {"keytab": home.service_keytab},
                         "proto-nfs4": {"listen": "127.0.0.1:@PORT@", "grace-time": "1s"},
                         "proto-smb2": {"listen": "127.0.0.1:@PORT2@"}, "proto-rest": {"http": "127.0.0.1:@PORT3@"}},
                        server={"host-name": HOST, "aliases": "localhost"}, raw=IDENTITY % self.identity, env=home.env(),
                        directory=str(server), keep=True)
        self.stack.enter_context(self.d)
        self.verb("share.create", name="share", path=str(self.folder), sec=["krb5", "krb5i", "krb5p"], squash="none")
        self.verb("share.create", name="trusting", path=str(self.folder), sec=["sys"], squash="none")
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

    def restrict(self, gid):
        """A folder for one group, in the share of tickets and in the one that believes its clients."""
        door = self.folder / DOOR
        door.mkdir(exist_ok=True)
        os.chown(door, 0, gid)
        os.chmod(door, 0o770)

    def have(self, name):
        return name in [u["name"] for u in self.verb("user.list")]

    def configure(self, extra):
        """Another [identity], while everybody is connected."""
        path = pathlib.Path(self.d.config)
        text = path.read_text()
        path.write_text(text[:text.index("\n[identity]")] + IDENTITY % (self.identity + extra))
        self.verb("server.reload")


# ---- The three protocols: enter() gives the uid somebody acts with, through_door() also what a group gives, live() a session
# whose works() can be asked again; one that comes back makes a new one of itself with its ticket. claims() is somebody
# with numbers that only the client knows, where there is such a thing.

class Nfs:
    comes_back = False

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

    def make(self, session, folder="", share="share"):
        from nfsgss import GssError
        from nfsraw import NfsError, RpcError
        name = os.path.join(folder, self.w.new_name())
        try:
            session.mkdir(session.walk(f"/{share}/{folder}"), os.path.basename(name))
        except (GssError, RpcError, NfsError, ConnectionError) as e:
            raise Refused(e) from None
        return self.w.owner(name)

    def enter(self, principal):
        return self.make(self.connect(principal))

    def through_door(self, principal):
        return self.make(self.connect(principal), DOOR)

    def claims(self, uid, gids):
        from nfsraw import Conn, Session, auth_sys
        with Conn("127.0.0.1", self.w.d.ports[1], auth_sys(uid, 4999, gids)) as conn:
            return self.make(Session(conn), DOOR, "trusting")

    def live(self, principal):
        session = self.connect(principal)
        return lambda: self.make(session)


class Smb:
    comes_back, claims = False, None

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

    def put(self, client, folder=""):
        """Told to a client that runs. It looks at a pipe once for each line, so it is given lines until the shell command
        behind the one that counts has answered."""
        name = self.w.new_name()
        done = self.dir / (name + ".done")
        end = time.monotonic() + 60
        name = os.path.join(folder, name)
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

    def enter(self, principal, folder=""):
        client = self.start(principal)
        try:
            return self.put(client, folder)
        finally:
            self.end(client)

    def through_door(self, principal):
        return self.enter(principal, DOOR)

    def live(self, principal):
        client = self.start(principal)
        self.put(client)
        self.w.stack.callback(self.end, client)
        return lambda: self.put(client)


class Rest:
    comes_back, claims = False, None

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

    def through_door(self, principal):
        """Who is in the operators' group may have the settings read again."""
        status, answer = self.curl(self.w.env(principal), "--negotiate", "-u", ":", "-X", "POST", "/reload")
        if status == 403:
            raise Refused(answer)
        assert status < 300, (status, answer)
        return self.w.user(principal.split("@")[0])["uid"]

    def live(self, principal):
        status, token = self.curl(self.w.env(principal), "--negotiate", "-u", ":", "-X", "POST", "/tokens")
        assert status == 201, token

        def works():
            status, answer = self.curl(os.environ, "-H", "Authorization: Bearer " + token["token"], "/status")
            if status != 200:
                raise Refused(answer)
            return self.w.user(principal.split("@")[0])["uid"]
        return works


# ---- Verdicts

def refused(ask, principal=None):
    try:
        uid = ask(principal) if principal else ask()
    except Refused as e:
        return str(e)
    raise AssertionError(f"{principal or 'the live session'} still gets in, as {uid}")


def at_last(ask, uid):
    """A client may have to find its way back."""
    end = time.monotonic() + 60
    while True:
        try:
            assert ask() == uid
            return
        except Refused:
            assert time.monotonic() < end
            time.sleep(0.2)
