# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of REST share: a server with a realm, curl with tickets and tokens, and raw requests for what curl would
not send."""
import contextlib
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from described import Description, jsonschema
from laresd import Laresd
from realm import Realm, RealmError, tool

CONTROL = "[control]\nadmins = ada\noperators = @ops\nreaders = bob\n"


class Answer:
    def __init__(self, text):
        head, _, self.body = text.partition("\r\n\r\n")
        while head.startswith("HTTP/1.1 401") and self.body.startswith("HTTP/"):
            head, _, self.body = self.body.partition("\r\n\r\n")
        lines = head.split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.lower(), value.strip())

    @property
    def json(self):
        return json.loads(self.body)


class Rest:
    """One server with a realm: ada may do all, olga (of ops) operate, bob look, eve nothing."""

    def __init__(self, work, realm):
        self.work, self.realm = work, realm
        self.cc = {u: realm.kinit(u, work / ("cc-" + u)) for u in ("ada", "bob", "eve", "olga")}
        self.d = Laresd({"auth-sys": {}, "store-posix": {}, "auth-krb5": {"keytab": realm.service_keytab},
                         "proto-rest": {"https": "127.0.0.1:@PORT@", "http": "127.0.0.1:@PORT2@"}},
                        server={"host-name": "localhost"}, raw=CONTROL, env=realm.env(), directory=str(work / "server"))
        self.url = self.description = None

    def start(self):
        self.d.start()
        self.url = f"http://localhost:{self.d.ports[2]}/api/v1"
        self.https = f"https://localhost:{self.d.ports[1]}/api/v1"
        return self

    def curl(self, method, path, body=None, user=None, token=None, headers=(), url=None, more=()):
        command = ["curl", "-s", "-i", "-X", method, *more]
        if method == "HEAD":
            command = ["curl", "-s", "-I", *more]
        if user:
            command += ["--negotiate", "-u", ":"]
        if token:
            command += ["-H", "Authorization: Bearer " + token]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
        for h in headers:
            command += ["-H", h]
        env = self.realm.env(ccache=self.cc[user] if user else "/nonexistent")
        r = subprocess.run(command + [(url or self.url) + path], env=env, capture_output=True, timeout=60,
                           input=(body if isinstance(body, str) else json.dumps(body)).encode() if body is not None else b"")
        assert r.returncode == 0, r
        answer = Answer(r.stdout.decode())
        if method != "HEAD" and not more:
            self.described().check(method, path, answer.status, answer.headers.get("content-type", ""), answer.body)
        return answer

    def described(self):
        """What the server says of itself; every answer here is held against it."""
        if self.description is None:
            r = subprocess.run(["curl", "-s", "--unix-socket", self.d.control, "http://x/api/v1/openapi.json"], capture_output=True, timeout=60)
            self.description = Description(json.loads(r.stdout))
        return self.description

    def curl_nothing(self):
        """What curl takes without a server."""
        subprocess.run(["curl", "-s", "-i", "file:///dev/null"], capture_output=True, timeout=60, check=True)

    def login(self, user, **terms):
        a = self.curl("POST", "/tokens", terms, user=user)
        assert a.status == 201, a.body
        return a.json["token"]

    def spent(self, what):
        """Milliseconds of the server's main thread for what()."""
        main = pathlib.Path(f"/proc/{self.d.pid}/task/{self.d.pid}/schedstat")
        before = int(main.read_text().split()[0])
        what()
        return (int(main.read_text().split()[0]) - before) / 1e6

    def verb(self, verb, **args):
        r = subprocess.run(["curl", "-s", "--unix-socket", self.d.control, "--data-binary", json.dumps(args),
                            "http://x/api/v1/verbs/" + verb], capture_output=True, timeout=60)
        answer = json.loads(r.stdout)
        assert not isinstance(answer, dict) or "code" not in answer, answer
        return answer


@contextlib.contextmanager
def serving():
    work = pathlib.Path(tempfile.mkdtemp(prefix="rest-"))
    os.chmod(work, 0o755)
    (work / "server").mkdir()
    (work / "folder").mkdir()
    try:
        with Realm(work / "realm", users=["ada", "bob", "eve", "olga"], services=["HTTP/localhost", "nfs/localhost"]) as realm:
            rest = Rest(work, realm).start()
            try:
                rest.verb("group.add", name="ops")
                rest.verb("user.add", name="olga")
                rest.verb("group.add-member", name="ops", member="olga")
                yield rest
            finally:
                rest.d.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def exchange(sock, *parts, timeout=60):
    """Sends bytes and gives what comes back until the peer has done, or b"" when it just ends the connection."""
    sock.settimeout(timeout)
    got = b""
    try:
        for part in parts:
            sock.sendall(part)
        while chunk := sock.recv(65536):
            got += chunk
    except (ConnectionError, BrokenPipeError, ssl.SSLError):
        pass
    finally:
        sock.close()
    return got


def statuses(text):
    """The status of each answer in what came back."""
    return [int(line.split()[1]) for line in text.split(b"\r\n") if line.startswith(b"HTTP/1.")]


def reasons_to_skip():
    try:
        for name in ("krb5kdc", "kinit", "curl", "openssl"):
            tool(name)
    except RealmError as e:
        return str(e)
    if jsonschema is None:
        return "there is no python3-jsonschema"
    if "SPNEGO" not in subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout:
        return "this curl cannot Negotiate"
    return None
