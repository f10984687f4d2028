#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Management over HTTP: curl with tickets and tokens, raw sockets for what curl would not send. Exit 77 without MIT's
KDC or a curl that can Negotiate."""
import contextlib
import json
import os
import pathlib
import re
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from laresd import Laresd
from restlab import reasons_to_skip, serving

# ---- who gets in

def test_tickets():
    with serving() as r:
        a = r.curl("GET", "/status", user="ada")
        assert a.status == 200 and a.json["host"] == "localhost", a.body
        assert a.headers["www-authenticate"].startswith("Negotiate "), a.headers  # the server proves itself too
        a = r.curl("GET", "/status")
        assert a.status == 401 and a.json["code"] == "login", a.body
        assert a.headers["www-authenticate"] == "Negotiate"
        a = r.curl("GET", "/status", user="eve")
        assert a.status == 403 and "eve@LARES.TEST" in a.json["detail"] and "[control]" in a.json["detail"], a.body
        assert r.curl("GET", "/status", user="bob").status == 200
        assert r.curl("POST", "/reload", user="bob").status == 403
        a = r.curl("POST", "/reload", user="olga")
        assert a.status == 204, a.body
        a = r.curl("POST", "/users", {"name": "x"}, user="olga")
        assert a.status == 403 and '"admin"' in a.json["detail"], a.body
        log = r.d.log()
        assert re.search(r'verb=user.add .*subject="?olga@LARES.TEST"?.* face=rest address=127.0.0.1 verdict=denied', log), log
        assert re.search(r'event=auth principal="?ada@LARES.TEST"?.*protocol=http verdict=accepted', log), log


def test_bad_tickets():
    with serving() as r:
        for letters in ("", "!!!!", "AAAA", "YII" + "A" * 400, "A" * 200000):
            a = r.curl("GET", "/status", headers=["Authorization: Negotiate " + letters] if len(letters) < 60000 else [])
            assert a.status in (400, 401), (letters[:10], a.status)
        for scheme in ("Basic YTpi", "Bearer", "Bearer x", "Bearer lares_", "Bearer lares_" + "A" * 43, "Digest x"):
            assert r.curl("GET", "/status", headers=["Authorization: " + scheme]).status == 401, scheme
        a = r.curl("GET", "/status", token="lares_" + "A" * 43)
        assert a.json["code"] == "invalid-token", a.body
        # The token of one login is of no use for another: a replay.
        raw = subprocess.run(["curl", "-s", "-v", "--negotiate", "-u", ":", r.url + "/status"],
                             env=r.realm.env(ccache=r.cc["ada"]), capture_output=True, text=True, timeout=60).stderr
        token = re.search(r"Authorization: (Negotiate \S+)", raw).group(1)
        a = r.curl("GET", "/status", headers=["Authorization: " + token])
        assert a.status == 401 and a.json["code"] == "login-failed", a.body


def test_disabled_user():
    with serving() as r:
        token = r.login("ada")
        assert r.curl("GET", "/status", token=token).status == 200
        r.verb("user.disable", name="ada")
        assert r.curl("GET", "/status", token=token).status == 401
        assert r.curl("GET", "/status", user="ada").status == 403
        r.verb("user.enable", name="ada")
        assert r.curl("GET", "/status", token=token).status == 200
        r.verb("user.delete", name="ada")
        assert r.curl("GET", "/status", token=token).status == 401


def test_tokens():
    with serving() as r:
        a = r.curl("POST", "/tokens", {"scope": "read", "lifetime": 600, "label": "laptop"}, user="ada")
        assert a.status == 201, a.body
        made = a.json
        assert made["scope"] == "read" and 500 < made["expires"] - time.time() <= 600 and made["subject"] == "ada@LARES.TEST"
        assert a.headers["location"] == "/api/v1/tokens/" + made["id"]
        token = made["token"]
        assert r.curl("GET", "/users", token=token).status == 200
        assert r.curl("POST", "/users", {"name": "x"}, token=token).status == 403  # beyond its scope
        a = r.curl("POST", "/tokens", {}, token=token)
        assert a.status == 403 and "Negotiate" in a.json["detail"], a.body
        assert r.curl("POST", "/tokens", {"scope": "admin"}, user="bob").status == 403
        assert r.curl("POST", "/tokens", {"service": "x"}, user="bob").status == 403
        assert r.curl("POST", "/tokens", {"scope": "king"}, user="ada").status == 400
        assert r.curl("POST", "/tokens", {"scope": "operator"}, user="ada").json["scope"] == "operate"  # another word for it
        assert r.curl("POST", "/tokens", {"scope": "operator"}, user="bob").status == 403
        assert r.curl("POST", "/tokens", {"lifetime": 5}, user="ada").status == 400
        # Never beyond the ticket, which this realm gives for ten hours.
        assert r.curl("POST", "/tokens", {"lifetime": 30 * 86400}, user="ada").json["expires"] <= time.time() + 36060
        # Hashed at rest, and still good after a restart.
        database = b"".join(p.read_bytes() for p in pathlib.Path(r.d.state).glob("lares.db*"))
        assert made["id"].encode() in database and token.encode() not in database
        assert token[6:].encode() not in database and token not in r.d.log()
        r.d.restart()
        assert r.curl("GET", "/users", token=token).status == 200
        # Others do not see or end it.
        assert r.curl("GET", "/tokens", user="bob").json["items"] == []
        assert r.curl("DELETE", "/tokens/" + made["id"], user="bob").status == 404
        assert r.curl("DELETE", "/tokens/" + made["id"], user="ada").status == 204
        assert r.curl("GET", "/users", token=token).status == 401
        # A program's, made by root at the control socket.
        service = r.verb("token.create", service="prometheus", scope="read", lifetime=86400)
        assert service["subject"] == "service:prometheus"
        assert r.curl("GET", "/users", token=service["token"]).status == 200
        assert re.search(r"verb=token.create object=\S+ owner=\"?service:prometheus", r.d.log())


def test_expired_token():
    with serving() as r:
        token = r.login("ada", lifetime=60)
        import sqlite3
        r.d.stop()
        with contextlib.closing(sqlite3.connect(os.path.join(r.d.state, "lares.db"))) as db, db:
            assert db.execute("UPDATE tokens SET expires = ?", (int(time.time()) - 1,)).rowcount == 1
        r.d.start()
        assert r.curl("GET", "/status", token=token).status == 401


# ---- resources

def test_resources():
    with serving() as r:
        t = r.login("ada")
        folder = str(r.work / "folder")
        a = r.curl("POST", "/shares", {"name": "music", "path": folder, "sec": ["krb5", "sys"]}, token=t)
        assert a.status == 201 and a.headers["location"] == "/api/v1/shares/music", a.body
        assert r.curl("POST", "/shares", {"name": "music", "path": folder}, token=t).status == 409
        a = r.curl("GET", "/shares/music", token=t)
        assert a.json["sec"] == ["krb5", "sys"] and a.headers["etag"], a.body
        tag = a.headers["etag"]
        assert r.curl("GET", "/shares/music", token=t, headers=["If-None-Match: " + tag]).status == 304
        assert r.curl("PATCH", "/shares/music", {"read-only": True}, token=t, headers=["If-Match: " + tag]).status == 200
        a = r.curl("PATCH", "/shares/music", {"read-only": False}, token=t, headers=["If-Match: " + tag])
        assert a.status == 412 and a.json["code"] == "changed", a.body
        assert r.curl("GET", "/shares/music", token=t).json["read-only"] is True
        assert r.curl("PATCH", "/shares/music/security", {"sec": ["krb5p"]}, token=t).status == 200
        assert r.curl("GET", "/shares/music/security", token=t).json["sec"] == ["krb5p"]
        assert r.verb("share.show", name="music")["sec"] == ["krb5p"]  # the same thing by another face
        assert r.curl("POST", "/shares/music/disable", token=t).status == 204
        assert r.curl("GET", "/shares/music", token=t).json["enabled"] is False
        assert r.curl("HEAD", "/shares/music", token=t).status == 200
        assert r.curl("DELETE", "/shares/music", token=t, headers=['If-Match: "old"']).status == 412
        assert r.curl("DELETE", "/shares/music", token=t).status == 204
        assert r.curl("GET", "/shares/music", token=t).status == 404
        assert re.search(r'verb=share.remove object=music subject="?ada@LARES.TEST"?', r.d.log())

        assert r.curl("POST", "/groups", {"name": "a/b c", "gid": 60123}, token=t).status in (201, 400)
        assert r.curl("POST", "/groups", {"name": "kids"}, token=t).status == 201
        assert r.curl("POST", "/users", {"name": "zoë", "full-name": "Zoë"}, token=t).status == 201
        assert r.curl("PUT", "/groups/kids/members/zo%C3%AB", token=t).status == 204
        assert r.curl("GET", "/groups/kids", token=t).json["members"] == ["zoë"]
        assert r.curl("DELETE", "/groups/kids/members/zo%C3%AB", token=t).status == 204
        assert r.curl("PUT", "/mappings/%2A%40PARTNER.ORG", {"user": "zoë"}, token=t).status == 204
        assert r.curl("GET", "/mappings", token=t).json["items"] == [{"principal": "*@PARTNER.ORG", "user": "zoë"}]
        assert r.curl("DELETE", "/mappings/%2A%40PARTNER.ORG", token=t).status == 204
        names = [m["name"] for m in r.curl("GET", "/modules", token=t).json["items"]]
        assert names == sorted(names) and "proto-rest" in names
        assert r.curl("GET", "/modules/proto-rest", token=t).json["state"] == "loaded"
        a = r.curl("GET", "/kerberos/status", token=t).json
        assert a["realms"] == ["LARES.TEST"] and "HTTP/localhost" in a["found"] and "cifs/localhost" in a["missing"], a
        assert a["accepted"] == 1 and a["refused"] == 0 and abs(a["last-accepted"] - time.time()) < 60, a
        assert {"HTTP/localhost@LARES.TEST"} < {k["principal"] for k in a["keys"]} and a["keys"][0]["kvno"] >= 1, a
        assert r.curl("GET", "/sessions", token=t).json == {"items": [], "total": 0}
        a = r.curl("GET", "/realm", token=t)
        assert a.status == 404 and a.json["code"] == "unknown-verb", a.body


def test_pages():
    with serving() as r:
        r.d.stop()
        with contextlib.closing(sqlite3.connect(os.path.join(r.d.state, "lares.db"))) as db, db:
            db.executemany("INSERT INTO mappings(pattern, user) VALUES(?, 'bob')", ((f"p{i:03}@X.ORG",) for i in range(60)))
            db.executemany("INSERT INTO users(name, uid, gid, source, created) VALUES(?, ?, 700000, 'local', 0)",
                           ((f"user{i:05}", 700000 + i) for i in range(10000)))
        r.start()
        t = r.login("ada")
        seen, after = [], ""
        while True:
            page = r.curl("GET", f"/mappings?limit=25{after}", token=t).json
            assert page["total"] == 60
            seen += [m["principal"] for m in page["items"]]
            if "next" not in page:
                break
            after = "&after=" + page["next"].replace("@", "%40")
        assert seen == [f"p{i:03}@X.ORG" for i in range(60)]
        assert len(r.curl("GET", "/mappings?limit=1000", token=t).json["items"]) == 60
        for bad in ("limit=0", "limit=1001", "limit=x", "limit=1&limt=2", "offset=3"):
            assert r.curl("GET", "/mappings?" + bad, token=t).status == 400, bad

        # A page of a long list costs about a page: the main thread's time for ten of them and for the whole.
        def pages():
            for i in range(10):
                page = r.curl("GET", f"/users?after=user0{i}499&limit=100", token=t).json
                assert page["items"][0]["name"] == f"user0{i}500" and page["next"] == f"user0{i}599", page
                assert page["total"] > 10000, page["total"]
        whole = r.spent(lambda: r.verb("user.list"))
        some = r.spent(pages)
        print(f"# ten pages {some:.1f} ms, the whole list {whole:.1f} ms")
        assert some < whole, (some, whole)


def test_strict_input():
    with serving() as r:
        t = r.login("ada")
        for body, word in (('{"name": "x", "pth": "/x"}', 'did you mean \\"path\\"'), ('{"name": 3}', "a string"), ("[1]", "one JSON object"),
                           ("{", "not JSON"), ('{"name": "x"} trailing', "not JSON"), ("[" * 100000, "brackets"),
                           ('{"name":' * 5000, "brackets"),
                           ("{'\"':" + "[" * 100000, "double quotes"), ('{/*"*/"a":' + "[" * 100000, "double quotes"), ('{"path": "/x"}', "missing")):
            a = r.curl("POST", "/shares", body, token=t)
            assert a.status == 400 and word.replace('\\"', '"') in a.json["detail"], (body[:30], a.body)
            assert a.headers["content-type"].startswith("application/problem+json")
        a = r.curl("PATCH", "/shares/music", {"name": "other"}, token=t)
        assert a.status == 400 and "path" in a.json["detail"]
        a = r.curl("POST", "/shares", token=t, more=["-H", "Content-Type: text/plain", "--data", '{"name":"x"}'])
        assert a.status == 415 and "application/json" in a.json["detail"]
        a = r.curl("POST", "/shares", "x" * 300000, token=t)
        assert a.status == 413, a.status
        assert r.curl("POST", "/shares", "x" * 2000).status == 413  # of somebody who does not say who they are
        for path in ("/..%2f..%2fetc/passwd", "/shares/../../status", "/shares/", "/shares//", "/nothing", "/shares/a/b/c", "/shares/%FF",
                     "/shares/%00", "/users/%2E%2E%2Fx"):
            assert r.curl("GET", path, token=t, more=["--path-as-is"]).status in (400, 404), path
        a = r.curl("PUT", "/shares", {}, token=t)
        assert a.status == 405 and a.headers["allow"] == "GET, HEAD, POST", a.headers
        assert r.curl("GET", "/shares", {}, token=t).status == 400


def test_cross_origin():
    with serving() as r:
        for header in ("Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"):
            a = r.curl("POST", "/reload", user="ada", headers=[header])
            assert a.status == 403 and a.json["code"] == "cross-origin", (header, a.body)
        assert r.curl("POST", "/reload", user="ada", headers=[f"Origin: http://localhost:{r.d.ports[2]}"]).status == 204
        a = r.curl("OPTIONS", "/reload", headers=["Origin: https://evil.example", "Access-Control-Request-Method: POST"])
        assert a.status in (403, 405) and "access-control-allow-origin" not in a.headers


# ---- the network

def test_https():
    with serving() as r:
        pem = os.path.join(r.d.state, "rest-certificate.pem")
        assert os.stat(pem).st_mode & 0o777 == 0o600
        a = r.curl("GET", "/status", user="ada", url=r.https, more=["--cacert", pem])
        assert a.status == 200, a.body
        rest = [p for p in a.json["protocols"] if p["name"] == "rest"][0]["details"]
        shown = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True).stdout
        assert rest["certificate-sha256"] in shown, (rest, shown)
        before = open(pem).read()
        r.d.restart()
        assert open(pem).read() == before  # the same after a restart: clients have pinned it
        with r.d.connect(r.d.ports[1]) as s:  # no TLS at all
            s.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                assert not s.recv(100).startswith(b"HTTP")
            except ConnectionError:
                pass
        assert r.curl("GET", "/health", url=r.https, more=["-k"]).json == {"status": "ok"}

        # A connection costs a handshake, and no look at every certificate that the host trusts (a tenfold).
        def visits(url):
            for _ in range(20):
                assert r.curl("GET", "/health", url=url, more=["-k"]).status == 200
        plain, tls = r.spent(lambda: visits(r.url)), r.spent(lambda: visits(r.https))
        print(f"# main thread: 20 plain requests {plain:.1f} ms, 20 with TLS {tls:.1f} ms")
        assert tls < 4 * plain, (plain, tls)
    with tempfile.TemporaryDirectory() as d, Laresd({"proto-rest": {"http": "0.0.0.0:@PORT@"}}, wait=[], directory=d) as l:
        l.wait_log("only loopback addresses")


class Dribbling:
    """A TLS client that sends a byte at a time and reads little at a time."""
    def __init__(self, sock, version=ssl.TLSVersion.TLSv1_3):
        self.sock, self.incoming, self.outgoing = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode, context.maximum_version = False, ssl.CERT_NONE, version
        self.tls = context.wrap_bio(self.incoming, self.outgoing)

    def hello(self):
        """The first message, which the server answers at once."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def run(self, step):
        while True:
            done = []
            with contextlib.suppress(ssl.SSLWantReadError):
                done.append(step())
            for byte in self.outgoing.read():
                self.sock.sendall(bytes([byte]))
            if done:
                return done[0]
            part = self.sock.recv(509)
            self.incoming.write(part) if part else self.incoming.write_eof()

    def get(self, path):
        self.run(self.tls.do_handshake)
        self.run(lambda: self.tls.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()))
        got = b""
        while part := self.run(lambda: self.tls.read(777)):  # an end that is not announced raises
            got += part
        return got.partition(b"\r\n\r\n")[2]


def test_tls_in_pieces():
    """Records that come by the byte, answers that are taken slowly, and what is no TLS of today."""
    with serving() as r:
        whole = r.curl("GET", "/openapi.json").body.encode()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.settimeout(60)
                s.connect(("127.0.0.1", r.d.ports[1]))
                client = Dribbling(s, version)
                got = client.get("/api/v1/openapi.json")
                assert got == whole, (version, len(got), len(whole))
                assert client.tls.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
        where = f"127.0.0.1:{r.d.ports[1]}"

        def openssl(words, say):
            return subprocess.run(["openssl", "s_client", "-connect", where, *words], input=say, capture_output=True, text=True, timeout=60)
        old = openssl(["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "")
        assert "alert protocol version" in old.stderr, old.stderr
        assert "no renegotiation" in openssl(["-tls1_2"], "R\n").stderr
        assert "Session-ID: \n" in openssl(["-tls1_2"], "Q\n").stdout  # nothing is kept that opens it later


def usual(r, token):
    """How long a request usually takes, in times of curl alone: what else the machine does slows both."""
    alone, asked = [], []
    for _ in range(15):
        began = time.monotonic()
        r.curl_nothing()
        alone.append(time.monotonic() - began)
        for url in (r.url, r.https):
            began = time.monotonic()
            assert r.curl("GET", "/status", token=token, url=url, more=["-k"]).status == 200
            asked.append(time.monotonic() - began)
    return statistics.median(asked) / statistics.median(alone)


def unfinished(r, token):
    """Peers that never finish: connections by what they wait with."""
    rest, https = r.d.ports[2], r.d.ports[1]
    peers = {what: [socket.create_connection(("127.0.0.1", port)) for _ in range(n)]
             for what, port, n in (("idle", rest, 150), ("head", rest, 150), ("body", rest, 30), ("unread", rest, 30),
                                   ("handshake", https, 30), ("hello", https, 100))}
    for s in peers["head"]:
        s.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    for s in peers["body"]:
        s.sendall(b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.encode() +
                  b"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    for s in peers["unread"]:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    for s in peers["handshake"]:
        s.sendall(b"\x16\x03\x01\x02\x00\x01")  # its first record's header
    for s in peers["hello"]:
        s.sendall(Dribbling(s).hello())
    return peers


def hang_up(peers):
    for sockets in peers.values():
        for s in sockets:
            s.close()


def test_slow_and_many():
    """Peers that never finish a request do not keep others out, and are let go."""
    with serving() as r:
        t = r.login("ada")
        port = r.d.ports[2]
        quiet, peers = usual(r, t), {}

        def crowded():
            hang_up(peers)
            peers.update(unfinished(r, t))
            return usual(r, t)
        print(f"# a request: {quiet:.2f} times of curl alone, {tap.in_time(3 * quiet, crowded):.2f} with peers that do not finish")
        got, failed = [], []

        def ask():
            try:
                with socket.create_connection(("127.0.0.1", port), 60) as s:
                    s.sendall(f"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                    text = b""
                    while chunk := s.recv(4096):
                        text += chunk
                    (got if text.startswith(b"HTTP/1.1 200") else failed).append(text)
            except OSError as e:
                failed.append(e)
        threads = [threading.Thread(target=ask) for _ in range(1000)]
        for th in threads:
            th.start()
        for th in threads:
            th.join()
        assert len(got) == 1000, failed[:3]
        for s in (peers[what][0] for what in ("head", "idle", "body", "handshake", "hello")):
            s.settimeout(60)
            try:
                while s.recv(4096):  # given up on, with words or without
                    pass
            except ConnectionError:
                pass
        end = time.monotonic() + 60  # what was sent to who does not read is not kept
        while (n := len(os.listdir(f"/proc/{r.d.pid}/fd"))) > 150:
            assert time.monotonic() < end, n
            time.sleep(0.2)
        hang_up(peers)


def test_openapi():
    """Each operation that the description names is there and asks for the arguments that it says."""
    with serving() as r:
        t = r.login("ada")
        api = r.curl("GET", "/openapi.json").json
        assert api["openapi"].startswith("3.1")
        n = 0
        verbs = {v["name"]: v for v in r.verb("verb.list")}
        for path, methods in api["paths"].items():
            for method, op in methods.items():
                n += 1
                verb = verbs[op["operationId"]]
                named = {p["name"] for p in op["parameters"] if p["in"] in ("path", "query")} - {"limit", "after"}
                body = op.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}).get("properties", {})
                assert named | set(body) == {p["name"] for p in verb["params"]} - {"limit", "after"}, (path, method)
                assert set(re.findall(r"{(\w+)}", path)) == {p["name"] for p in op["parameters"] if p["in"] == "path"}
                if method == "get" and "{" not in path:
                    a = r.curl("GET", path, token=t)
                    assert a.status == 200, (path, a.body)
                    content = op["responses"]["200"]["content"]
                    assert a.headers["content-type"].split(";")[0] in content, path
                    if "application/json" in content:
                        assert ("items" in a.json) == ("allOf" in content["application/json"]["schema"]), path
                elif method != "get":
                    # An argument that it does not name is refused, so the description has them all.
                    a = r.curl(method.upper(), re.sub("{.*?}", "nobody", path), {"no-such-argument": 1}, token=t)
                    assert a.status == 400, (method, path, a.body)
        assert n > 25
        refused = r.curl("POST", "/users/import", {"all": True, "uid-min": 1, "uid-max": 100}, token=t).json["refused"]
        assert refused and "system account" in refused[0]["reason"], refused
        the_judge_sees(r)


def the_judge_sees(r):
    """What an answer must not be."""
    good, kind = r.curl("GET", "/groups", user="ada").json, "application/json"
    group = good["items"][0]
    lacking = {k: v for k, v in group.items() if k != "gid"}
    for wrong in ({**good, "items": [lacking]}, {**good, "items": [{**group, "more": 1}]}, {**good, "items": [{**group, "gid": "1"}]},
                  {**good, "items": [{**group, "members": [1]}]}, {**good, "items": group}, {**good, "page": 1}, good["items"], {}):
        must_fail(r, "GET", "/groups", 200, kind, json.dumps(wrong))
    must_fail(r, "GET", "/groups", 201, kind, json.dumps(good))
    must_fail(r, "GET", "/groups", 200, "text/plain", json.dumps(good))
    must_fail(r, "DELETE", "/shares/x", 204, kind, "{}")
    must_fail(r, "GET", "/modules/x", 200, kind, '{"name": "x", "state": "well"}')
    must_fail(r, "GET", "/no-such-path", 200, kind, "{}")


def must_fail(r, *answer):
    try:
        r.described().check(*answer)
    except AssertionError:
        return
    raise Exception(("nobody minds", answer))


if __name__ == "__main__":
    gone = reasons_to_skip()
    if gone:
        print("1..0 # SKIP", gone)
        sys.exit(77)
    tap.main(globals())
