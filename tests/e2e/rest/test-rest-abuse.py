#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What REST must refuse: strangers, too few rights, other sites, odd paths, bodies and requests. Raw sockets, and curl
where it sends what is wanted. Exit 77 without MIT's KDC or a curl that can Negotiate."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from laresd import Laresd
from lares_server import call_verb
from realm import Realm
from restlab import exchange, reasons_to_skip, serving, statuses

R = None  # the server that the tests share
TOKENS = {}


def token(user="ada", scope="admin"):
    if (user, scope) not in TOKENS:
        TOKENS[user, scope] = R.login(user, scope=scope)
    return TOKENS[user, scope]


def raw(*parts, tls=False, port=None, timeout=60):
    s = R.d.connect(port or R.d.ports[1 if tls else 2])
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        s = context.wrap_socket(s)
    return exchange(s, *parts, timeout=timeout)


def request(method, path, body=b"", *headers, host="localhost", auth=True, version="1.1", kind="application/json", length=None):
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/{version}"] + ([f"Host: {host}"] if host is not None else [])
    if auth:
        lines.append("Authorization: Bearer " + (auth if isinstance(auth, str) else token()))
    if body or length is not None:
        lines += [f"Content-Type: {kind}"] * bool(kind) + [f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(lines + list(headers)).encode() + b"\r\n\r\n" + body


def ask(*words, tls=False, **more):
    """(status, problem or answer) of one request."""
    got = raw(request(*words, **more), tls=tls)
    status = statuses(got)
    assert status, (words, got[:200])
    body = got.partition(b"\r\n\r\n")[2]
    return status[0], json.loads(body) if body.startswith(b"{") else body


def verb(verb_, **args):
    """Like R.verb(), without a curl each."""
    return call_verb(R.d.control, verb_, **args)


def alive():
    status, answer = ask("GET", "/api/v1/status")
    assert status == 200, answer


def api():
    return json.loads(raw(request("GET", "/api/v1/openapi.json", auth=False)).partition(b"\r\n\r\n")[2])["paths"]


# ---- who

def test_a_ticket_of_another_realm():
    work = pathlib.Path(tempfile.mkdtemp(prefix="rest-other-"))
    try:
        with Realm(work / "realm", name="OTHER.TEST", users=["ada"], services=["HTTP/localhost"]) as other:
            cc = other.kinit("ada", work / "cc")
            before = len(R.d.log())
            r = subprocess.run(["curl", "-s", "-i", "--negotiate", "-u", ":", R.url + "/status"], env=other.env(ccache=cc),
                               capture_output=True, text=True, timeout=60)
            found = [line.split()[1] for line in r.stdout.splitlines() if line.startswith("HTTP/1.1")]
            assert found[-1] == "401" and "200" not in found, r.stdout
            R.d.wait_log("verdict=refused", start=before)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def test_every_path_asks_who_it_is():
    n = 0
    for path, methods in api().items():
        for method, op in methods.items():
            n += 1
            for auth in (False, "lares_" + "A" * 43):
                status, answer = ask(method.upper(), "/api/v1" + re.sub("{.*?}", "x", path), auth=auth)
                if {} in op.get("security", []) and not auth:  # for anybody, who gets the bare word (tests/e2e/watch)
                    assert path == "/health" and set(answer) == {"status"}, (path, answer)
                    continue
                assert status == 401 and answer["code"] in ("login", "invalid-token"), (method, path, status, answer)
    assert n > 30, n
    for path in ("/api/v1/verbs", "/api/v1/verbs/status", "/api/v1/nothing"):
        assert ask("GET", path, auth=False)[0] == 401, path
    assert ask("GET", "/api/v1/status", auth=False, tls=True)[0] == 401


def test_each_verb_wants_its_right():
    """An argument that no verb has: who may run the verb is told so, who may not is told that first."""
    order = ["read", "operate", "admin"]
    verbs = R.verb("verb.list")
    assert {v["right"] for v in verbs} == set(order)
    body = b'{"no-such-argument": 1}'
    for scope in order:
        mine = token("ada", scope)
        for v in verbs:
            status, answer = ask("POST", "/api/v1/verbs/" + v["name"], body, auth=mine)
            may = order.index(v["right"]) <= order.index(scope)
            assert status == (400 if may else 403), (scope, v["name"], status, answer)
            assert may or v["right"] in answer["detail"], answer
    for user, most in (("bob", "read"), ("olga", "operate")):
        status, answer = ask("POST", "/api/v1/verbs/user.add", b'{"name":"x"}', auth=token(user, most))
        assert status == 403, answer
        a = R.curl("POST", "/tokens", {"scope": "admin"}, user=user)
        assert a.status == 403 and a.json["code"] == "denied", a.body


def test_rights_that_are_taken_away_are_gone_at_once():
    theirs = token("olga", "operate")
    assert ask("POST", "/api/v1/reload", auth=theirs)[0] == 204
    R.verb("group.remove-member", name="ops", member="olga")
    status, answer = ask("POST", "/api/v1/reload", auth=theirs)
    assert status == 401, answer
    R.verb("group.add-member", name="ops", member="olga")
    assert ask("POST", "/api/v1/reload", auth=theirs)[0] == 204
    text = open(R.d.config).read()
    try:
        with open(R.d.config, "w") as f:
            f.write(text.replace("readers = bob", "readers ="))
        assert ask("GET", "/api/v1/status", auth=token("bob", "read"))[0] == 200
        R.verb("server.reload")
        assert ask("GET", "/api/v1/status", auth=token("bob", "read"))[0] == 401
        assert R.curl("GET", "/status", user="bob").status == 403
    finally:
        with open(R.d.config, "w") as f:
            f.write(text)
        R.verb("server.reload")
    assert ask("GET", "/api/v1/status", auth=token("bob", "read"))[0] == 200


def test_guessing_tokens():
    """Each guess costs a refusal; the log does not fill, and who has a token is served meanwhile."""
    good = token()
    lines = R.d.log().count("\n")
    for i in range(400):
        guess = good[:-6] + "%06d" % i if i % 2 else "lares_" + "A" * (i % 60)
        assert ask("GET", "/api/v1/status", auth=guess)[0] == 401, guess
        if i % 50 == 0:
            alive()
    assert R.d.log().count("\n") - lines < 150, "a guess must not be a line"
    assert good not in R.d.log() and good[6:] not in R.d.log()


# ---- from where

def test_other_sites():
    spoofed = ("Origin: https://evil.example", "Origin: null", "Origin: http://localhost.evil.example", "Origin: http://localhost:1",
               "Origin: http://localhost\r\nOrigin: http://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
               "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site", "Origin: localhost", "Origin: file://")
    for header in spoofed:
        for method, path in (("POST", "/api/v1/reload"), ("GET", "/api/v1/shares"), ("POST", "/api/v1/verbs/server.reload")):
            status, answer = ask(method, path, b"", header)
            assert status == 403 and answer["code"] == "cross-origin", (header, method, status, answer)
    # What a page can make a browser send without asking first: never taken, not even with a ticket.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16",
                 "application/jsonp", "text/plain; application/json"):
        for path in ("/api/v1/users", "/api/v1/verbs/user.add"):
            status, answer = ask("POST", path, b'{"name":"csrf"}', kind=kind)
            assert status == 415 and "application/json" in answer["detail"], (kind, path, status, answer)
        status, answer = ask("POST", "/api/v1/reload", b"", "Content-Type: " + kind, length=0, kind=None)
        assert status == 415, (kind, status, answer)
    a = R.curl("POST", "/users", user="ada", more=["-H", "Content-Type: text/plain", "--data", '{"name":"csrf"}'])
    assert a.status == 415, a.body
    assert ask("POST", "/api/v1/users", b'{"name":"csrf"}', kind=None)[0] == 415
    assert not [u for u in R.verb("user.list") if u["name"] == "csrf"]
    assert ask("POST", "/api/v1/reload", b"", "Origin: http://localhost", "Sec-Fetch-Site: same-origin")[0] == 204
    # The question that a browser asks before: nothing in the answer allows anything.
    for auth in (False, True):
        got = raw(request("OPTIONS", "/api/v1/users", b"", "Origin: https://evil.example", "Access-Control-Request-Method: POST",
                          "Access-Control-Request-Headers: authorization,content-type", auth=auth))
        assert statuses(got)[0] == 403 and b"access-control-allow" not in got.lower(), got


def test_names_that_were_made_to_lead_here():
    for host in ("evil.example", "localhost.evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil.example",
                 "xlocalhost", "localhostx", "127.0.0.1x", "0x7f.1"):
        status, answer = ask("GET", "/api/v1/status", host=host)
        assert status in (400, 421) and status == 400 or answer["code"] == "misdirected", (host, status, answer)
    for host in ("localhost", "LOCALHOST", "localhost.", f"localhost:{R.d.ports[2]}", "127.0.0.1", "[::1]:80", "127.0.0.1:80"):
        assert ask("GET", "/api/v1/status", host=host)[0] == 200, host
    # With TLS the certificate says which name it is.
    assert ask("GET", "/api/v1/status", host="another.example", tls=True)[0] == 200


# ---- paths

def test_paths():
    verb("user.add", name="ab")
    assert ask("GET", "/api/v1/users/a%62")[0] == 200
    # A slash in a name is a letter when it is escaped, once: twice is another name.
    verb("user.add", name="ab/host")
    status, answer = ask("GET", "/api/v1/users/ab%2Fhost")
    assert status == 200 and answer["name"] == "ab/host", answer
    for path in ("ab/host", "ab%252fhost", "ab%5chost"):
        assert ask("GET", "/api/v1/users/" + path)[0] == 404, path
    assert ask("DELETE", "/api/v1/users/ab%2fhost")[0] in (200, 204)
    for path in ("/api/v1/users/..%2fshares", "/api/v1/users/%2e%2e%2fshares", 
                 "/api/v1/users/ab%00", "/api/v1/users/%00", "/api/v1//users", "//api/v1/users", "/api/v1/users//", "/api/v1/users/ab/",
                 "/api/v1/users/%ff%fe", "/api/v1/users/%c0%af", "/api/v1/users/%zz", "/api/v1/users/%", "/api/v1/users/a%2fb", "/api/v1/users/a%252fb", "/api/v1/%75sers/..",
                 "/api%2fv1/users", "/API/V1/users", "/api/v1/users;a=b", "/api/v1/users%3flimit=1", "/api/v1/verbs/status/",
                 "/api/v1/verbs//status", "/api/v1", "/api/v1/", "/api/v12/users", "/", "/../../etc/passwd", "/api/v1/users/" + "x/" * 500):
        status, answer = ask("GET" if "verbs" not in path else "POST", path)
        assert status in (400, 404), (path, status, answer)
    # Segments of dots are resolved first (RFC 3986 6.2.2.3), and then it is the path that counts.
    for path in ("/api/v1/users/../status", "/api/v1/./status", "/api/v1/verbs/%2e%2e/status"):
        status, answer = ask("GET", path)
        assert status in (400, 404) or (status == 200 and answer["version"]), (path, status, answer)
        assert ask("GET", path, auth=False)[0] in (400, 401, 404)
    for n in (255, 1000, 3900):
        assert ask("GET", "/api/v1/users/" + "x" * n)[0] == 404, n
    for path in ("/api/v1/users/" + "x" * 5000, "/api/v1/users?after=" + "x" * 5000, "/api/v1/users/" + "%41" * 5000):
        status, answer = ask("GET", path)
        assert status == 414 and answer["code"] == "too-large", (path[:30], status)
    for target in ("http://localhost/api/v1/status", "http://evil.example/api/v1/status", "*", "localhost:80", "api/v1/status", "/api/v1/status#x"):
        got = statuses(raw(request("GET", target)))
        assert got == [] or got[0] in (200, 400, 404, 421), (target, got)
        assert "evil" not in target or 200 not in got, target
    verb("user.delete", name="ab")
    alive()


def test_queries():
    for query, word in (("limit=1&limit=2", "twice"), ("limit=1&li%6dit=2", "twice"), ("limit", "NAME=VALUE"), ("=1", "NAME=VALUE"), ("limit=1&&", "NAME=VALUE"),
                        ("limit=%zz", "NAME=VALUE"), ("after=%ff", "NAME=VALUE"), ("after=a%00b", "NAME=VALUE"), ("limit=+5", "limit"), ("limit=5x", "limit"),
                        ("limit=99999999999999999999", "limit"), ("limit=-1", "limit"), ("limit=0x10", "limit"), ("Limit=1", "Limit"), ("name=x", "name")):
        status, answer = ask("GET", "/api/v1/users?" + query)
        # What is no address at all is refused before it comes to us, without words.
        assert status == 400 and (answer == b"" or word in answer["detail"]), (query, status, answer)
    for path in ("/api/v1/status?x=1", "/api/v1/users/ada?limit=1", "/api/v1/verbs?x=1"):
        status, answer = ask("GET", path)
        assert status == 400, (path, answer)
    status, answer = ask("POST", "/api/v1/verbs/user.add?name=x", b"{}")
    assert status == 400 and "body" in answer["detail"], answer
    status, answer = ask("POST", "/api/v1/users?name=x", b'{"name": "y"}')
    assert status == 400 and "twice" in answer["detail"], answer


# ---- bodies

def test_bodies():
    for body, word in ((b'{"name":"x","name":"y"}', "twice"), (b'{"name":"x","n\\u0061me":"y"}', "twice"), (b'{"name":"x","uid":9223372036854775808}', "64 bits"),
                       (b'{"name":"x","uid":18446744073709551615}', "64 bits"), (b'{"name":"x","uid":-9223372036854775809}', "64 bits"),
                       (b'{"name":"x","uid":1e3}', "whole number"), (b'{"name":"x","uid":1.0}', "whole number"), (b'{"name":"x","uid":1e999}', "too large"),
                       (b'{"name":"x","uid":01}', "JSON"), (b'{"name":"x","uid":+1}', "JSON"), (b'{"name":"x","uid":0x10}', "JSON"), (b'{"name":"x","uid":NaN}', "JSON"),
                       (b'{"name":"x","uid":.5}', "JSON"), (b'{"name":"x","uid":-}', "JSON"), (b'{"name":"x","uid":"1"}', "whole number"), (b'{"name":"x","uid":null}', "whole number"),
                       (b'{"name":"x","uid":true}', "whole number"), (b'{"name":"x","uid":[1]}', "whole number"), (b'{"name":"x","uid":0}', "uid"), (b'{"name":"x","uid":-1}', "uid"),
                       (b'{"name":"x","uid":4294967296}', "uid"), (b'{"name":"\xff"}', "UTF-8"), (b'{"name":"\xed\xa0\x80"}', "UTF-8"), (b'{"name":"\\ud800"}', "surrogate"),
                       (b'{"name":"\\udc00\\ud800"}', "surrogate"), (b'{"name":"a\\u0000b"}', "NUL"), (b'{"name":"a\0b"}', "NUL"), (b'{"name":"a\nb"}', "escaped"),
                       (b'{"name":"\\x41"}', "escape"), (b"{'name':'x'}", "quotes"), (b'{name:"x"}', "quotes"), (b'{"name":"x",}', "quotes"), (b'{"name":"x"/*c*/}', "JSON"),
                       (b'{"name":"x"}{}', "follows"), (b'{"name":"x"', "comma"), (b'\xef\xbb\xbf{"name":"x"}', "JSON"), (b"null", "one JSON object"), (b'"x"', "one JSON object"),
                       (b'{"name":"x","groups":{"a":1}}', "groups"), (b'{"name":' + b"[" * 40 + b"]" * 40 + b"}", "deep"), (b" " * 100, "early"), (b'{"":1,"name":"x"}', "no argument")):
        status, answer = ask("POST", "/api/v1/users", body)
        assert status == 400 and word in answer["detail"], (body[:60], status, answer)
    status, answer = ask("POST", "/api/v1/verbs/user.add", b'{"name":"x","name":"y"}')
    assert status == 400 and "twice" in answer["detail"], answer
    assert not [u for u in R.verb("user.list") if u["name"] in ("x", "y", "a", "")]
    for name in ("", "x" * 300, "a:b", "a b", "a\tb"):
        status, answer = ask("POST", "/api/v1/users", json.dumps({"name": name}).encode())
        assert status == 400, (name, status, answer)
    status, answer = ask("POST", "/api/v1/users", json.dumps({"name": "x" * 100000}).encode())
    assert status == 400, status


def test_sizes():
    big = b'{"name":"' + b"x" * 300000 + b'"}'
    for body in (big, b"[" * 300000):
        got = raw(request("POST", "/api/v1/users", length=len(body)), body)
        assert statuses(got) == [413], got[:200]
    got = raw(request("POST", "/api/v1/users", b"", "Expect: 100-continue", length=10 ** 15))
    assert statuses(got) == [413], got[:200]
    assert statuses(raw(request("POST", "/api/v1/users", auth=False, length=5000), b"x" * 5000)) == [413]
    # Chunks without end.
    s = R.d.connect(R.d.ports[2])
    s.sendall(request("POST", "/api/v1/users", b"", "Transfer-Encoding: chunked", "Content-Type: application/json"))
    chunk, sent = b"1000\r\n" + b" " * 4096 + b"\r\n", 0
    s.settimeout(3)
    with contextlib.suppress(OSError):  # it ends, or nobody takes anything any more
        while sent < 64 << 20:
            s.sendall(chunk)
            sent += len(chunk)
    s.close()
    assert sent < 16 << 20, sent
    # Headers: many, long.
    for headers in ([f"X-{i}: y" for i in range(20000)], ["X-Long: " + "y" * 500000], ["Authorization: Negotiate " + "A" * 500000]):
        got = raw(request("GET", "/api/v1/status", b"", *headers, auth=False))
        assert [s for s in statuses(got) if s < 400] == [], got[:200]
    alive()
    assert R.d.rss() < 400e6 or "asan" in os.environ.get("LARES_BUILD", ""), R.d.rss()


# ---- requests

def test_two_lengths():
    """A proxy and this server must never see two requests in one another's places."""
    inner = request("POST", "/api/v1/users", b'{"name":"smuggled"}')
    chunked = b"0\r\n\r\n"
    for headers in (["Content-Length: %d" % len(chunked + inner), "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 4"],
                    ["Content-Length: 4", "Content-Length: 5"], ["Content-Length: 4, 4"], ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
                    ["Transfer-Encoding: xchunked"], ["Transfer-Encoding : chunked"], ["Transfer-Encoding: chunked, gzip"], ["Content-Length: -1"],
                    ["Content-Length: +4"], ["Content-Length: 0x4"], ["Content-Length: 99999999999999999999"], ["Content-Length: 4\0"], ["X: y", " Content-Length: 4"]):
        with contextlib.suppress(TimeoutError):
            got = raw(request("GET", "/api/v1/status", b"", *headers, auth=False) + chunked + inner, timeout=1)
            assert len(statuses(got)) <= 1, (headers, got[:500])
    # One after the other on one connection: who is second is not the first, and at most as many are answered as were sent.
    got = raw(request("GET", "/api/v1/status") + request("GET", "/api/v1/status", auth=False))
    assert statuses(got) in ([200], [200, 401]), got[:300]
    got = raw(request("GET", "/api/v1/health", b"", auth=False) * 50)
    assert set(statuses(got)) == {200} and len(statuses(got)) <= 50
    assert not [u for u in R.verb("user.list") if u["name"] == "smuggled"]
    alive()


def test_odd_requests():
    assert statuses(raw(request("GET", "/api/v1/status", version="1.0", host=None))) == [200]
    assert statuses(raw(request("GET", "/api/v1/status", version="1.0"))) == [200]
    assert statuses(raw(request("GET", "/api/v1/status", host=None))) in ([400], [])
    for method in ("TRACE", "CONNECT", "PROPFIND", "get", "G" * 1000, "OPTIONS", "PUT", "DELETE"):
        got = statuses(raw(request(method, "/api/v1/status")))
        assert not got or got[0] in (400, 403, 404, 405, 501), (method, got)
    for text in (b"\r\n\r\n", b"\0" * 1000, b"\x16\x03\x01\x02\0" + b"A" * 512, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /api/v1/status\r\n\r\n",
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /api/v1/status HTTP/1.1\nHost: localhost\n\n", b"\xff\xfe" * 100, b"GET  /api/v1/status  HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        with contextlib.suppress(TimeoutError):
            got = statuses(raw(text, timeout=1))
            assert 200 not in got, (text[:40], got)
    with contextlib.suppress(TimeoutError):  # no TLS where TLS is spoken, and the other way round
        assert b"200" not in exchange(R.d.connect(R.d.ports[1]), request("GET", "/api/v1/status"), timeout=2)
    alive()


def test_preconditions():
    """A change tied to what was seen is refused when somebody else was faster; one that is not tied is made."""
    os.makedirs(R.work / "folder", exist_ok=True)
    R.verb("share.create", name="etag", path=str(R.work / "folder"))
    path = "/api/v1/shares/etag"

    def tag(text):
        return re.search(rb'(?mi)^ETag: ("[0-9a-f]+")', text).group(1).decode()
    first = tag(raw(request("GET", path)))
    assert tag(raw(request("GET", path))) == first
    changed = raw(request("PATCH", path, b'{"read-only":true}', "If-Match: " + first))
    assert statuses(changed) == [200], changed
    assert tag(changed) == tag(raw(request("GET", path))) != first  # a client can go on from the answer
    for wrong in (first, f'W/"{first[1:]}', '"x"', first.strip('"'), '"a", "b"', "", "W/*"):
        status, answer = ask("PATCH", path, b'{"read-only":false}', "If-Match: " + wrong)
        assert status == 412 and answer["code"] == "changed" and "again" in answer["detail"], (wrong, status, answer)
        assert ask("DELETE", path, b"", "If-Match: " + wrong)[0] == 412
    assert R.verb("share.show", name="etag")["read-only"] is True
    for good in ("*", f'"x", {tag(raw(request("GET", path)))}'):
        assert ask("PATCH", path, b'{"read-only":true}', "If-Match: " + good)[0] == 200, good
    assert ask("POST", path + "/disable", b"", "If-Match: " + first)[0] == 412
    assert ask("PATCH", path, b'{"read-only":false}')[0] == 200  # untied
    status, answer = ask("PUT", "/api/v1/mappings/x%40Y.ORG", b'{"user":"bob"}', 'If-Match: "x"')
    assert status == 400 and "If-Match" in answer["detail"], answer
    assert ask("DELETE", path, b"", "If-Match: *")[0] == 204
    assert ask("DELETE", path, b"", "If-Match: *")[0] == 404


def test_pages_while_things_change():
    """What is there all the time is seen once, whatever comes and goes between two pages."""
    stay = [f"stay{i:03}@X.ORG" for i in range(40)]
    for name in stay:
        verb("mapping.set", principal=name, user="bob")
    seen, after, n = [], "", 0
    while True:
        status, page = ask("GET", "/api/v1/mappings?limit=7" + after)
        assert status == 200, page
        seen += [m["principal"] for m in page["items"]]
        # One before and one behind where the reader is, and the one that the cursor names.
        for name in (f"stay{n:03}+@X.ORG", f"stay{n + 20:03}+@X.ORG"):
            verb("mapping.set", principal=name, user="bob")
        if n % 2:
            verb("mapping.delete", principal=page["items"][-1]["principal"])
            stay = [s for s in stay if s != page["items"][-1]["principal"] or s in seen]
        n += 1
        if "next" not in page:
            break
        after = "&after=" + page["next"].replace("@", "%40").replace("+", "%2B")
    assert len(seen) == len(set(seen)) and seen == sorted(seen)
    assert set(stay) <= set(seen), set(stay) - set(seen)
    for m in verb("mapping.list"):
        verb("mapping.delete", principal=m["principal"])


# ---- limits of the process

def test_out_of_descriptors():
    """At the limit of open files nobody is accepted, the log and the processor stay quiet, and later it goes on."""
    with tempfile.TemporaryDirectory() as work, \
            Laresd({"proto-rest": {"http": "127.0.0.1:@PORT@"}}, directory=work, wrapper=["prlimit", "--nofile=200:200"]) as d:
        d.wait = []
        held = []
        for _ in range(400):
            held.append(d.connect())
        time.sleep(0.5)
        lines, cpu = d.log().count("\n"), d.cpu()
        time.sleep(1.5)
        assert d.cpu() - cpu < 0.5, d.cpu() - cpu
        assert d.log().count("\n") - lines < 20, d.log()[-2000:]
        assert "cannot accept a connection" in d.log(), d.log()
        for s in held:
            s.close()
        end = time.monotonic() + 60
        while True:
            got = exchange(d.connect(), b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if statuses(got) == [200]:
                break
            assert time.monotonic() < end, got
            time.sleep(0.1)
        assert call_verb(d.control, "status")["version"]


# ---- certificates

def make_certificate(folder, name, key=None):
    cert, key = str(folder / (name + ".pem")), key or str(folder / (name + ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def shown(port):
    """SHA-256 of the certificate that is shown to clients."""
    text = ssl.get_server_certificate(("127.0.0.1", port))
    return subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256"], input=text, capture_output=True, text=True, check=True).stdout.split("=")[1].strip()


def test_certificates():
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work)
        one, two = make_certificate(folder, "one"), make_certificate(folder, "two")
        (folder / "text.pem").write_text("no certificate\n")
        for cert, key, words in ((one[0], two[1], "is not the key"), (str(folder / "none.pem"), one[1], "none.pem"), (str(folder / "text.pem"), one[1], "text.pem"),
                                 (one[0], str(folder / "text.pem"), ""), (one[1], one[0], "")):
            with Laresd({"proto-rest": {"https": "127.0.0.1:@PORT@", "certificate": cert, "certificate-key": key}}, wait=[]) as d:
                d.wait_log("not served over the network")
                rest = [p for p in call_verb(d.control, "status")["protocols"] if p["name"] == "rest"][0]
                assert words in rest["details"]["problem"], rest
                with contextlib.suppress(OSError):
                    d.connect(timeout=1).close()
                    raise AssertionError("it listens")
        live = [str(folder / "live.pem"), str(folder / "live.key")]
        for a, b in zip(one, live):
            shutil.copy(a, b)
        with Laresd({"proto-rest": {"https": "127.0.0.1:@PORT@", "certificate": live[0], "certificate-key": live[1]}}) as d:
            first = shown(d.port)
            # The first half of a renewal: the pair does not fit, and the old one stays.
            shutil.copy(two[0], live[0] + ".new")
            os.replace(live[0] + ".new", live[0])
            d.wait_log("stays in use")
            assert shown(d.port) == first
            shutil.copy(two[1], live[1] + ".new")
            os.replace(live[1] + ".new", live[1])
            d.wait_log("is a new one")
            assert shown(d.port) != first
            rest = [p for p in call_verb(d.control, "status")["protocols"] if p["name"] == "rest"][0]
            assert rest["details"]["certificate-sha256"] == shown(d.port)


if __name__ == "__main__":
    gone = reasons_to_skip()
    if gone:
        print("1..0 # SKIP", gone)
        sys.exit(77)
    if "ASAN_OPTIONS" in os.environ:  # libsoup has no frame pointers, and what it leaks itself must be told from ours
        os.environ["ASAN_OPTIONS"] += ":fast_unwind_on_malloc=0"
    with serving() as R:
        tap.main(globals())
