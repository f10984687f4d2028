#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chromium as a client of REST: it logs in by ticket, over HTTPS and on loopback, and no page of somebody else's does
anything with that. Exit 77 without it."""
import contextlib
import http.server
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from browser import Browser, chromium
from restlab import reasons_to_skip, serving

# What a page can have a browser send: fetch() with what needs no leave and with what does, a form, a picture.
PAGE = """<!DOCTYPE html><title>elsewhere</title><iframe name=hidden></iframe><script>
const api = new URLSearchParams(location.search).get("api");
async function attempt(method, path, type, body) {
  try {
    const r = await fetch(api + path, {method, body, credentials: "include", headers: type ? {"Content-Type": type} : {}});
    return `${method} ${path} ${type}: ${r.status} ${await r.text()}`;
  } catch (e) { return null; }
}
async function blind(method, path, type, body) {
  try { await fetch(api + path, {method, body, mode: "no-cors", credentials: "include", headers: type ? {"Content-Type": type} : {}}); }
  catch (e) { }
}
function form(path, type, fields) {
  const f = Object.assign(document.createElement("form"), {method: "POST", action: api + path, enctype: type, target: "hidden"});
  for (const [name, value] of Object.entries(fields)) f.append(Object.assign(document.createElement("input"), {name, value}));
  document.body.append(f);
  const loaded = new Promise(done => document.querySelector("iframe").onload = done);
  f.submit();
  return loaded;
}
const user = name => JSON.stringify({name});
async function all() {
  const seen = [await attempt("GET", "/users", "", undefined), await attempt("POST", "/users", "text/plain", user("e1")),
    await attempt("POST", "/users", "application/json", user("e2")), await attempt("PUT", "/groups/ops/members/bob", "", undefined),
    await attempt("DELETE", "/users/olga", "", undefined), await attempt("POST", "/verbs/user.add", "", user("e3"))];
  await blind("POST", "/users", "text/plain", user("e4"));
  await blind("POST", "/verbs/user.add", "text/plain", user("e5"));
  await blind("POST", "/reload", "", undefined);  // a change that needs no body, and so no type
  await form("/users", "text/plain", {'{"name":"e6","x':'":1}'});
  await form("/reload", "application/x-www-form-urlencoded", {});
  const img = new Image(), shown = new Promise(done => img.onload = img.onerror = done);
  img.src = api + "/users";
  await shown;
  return seen.filter(s => s !== null);
}
</script>"""


class Elsewhere(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def elsewhere():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield s.server_address[1]
        s.shutdown()


def pin(port):
    """What a certificate's key is known by."""
    openssl = lambda text, *words: subprocess.run(["openssl", *words], input=text, capture_output=True, check=True).stdout
    key = openssl(ssl.get_server_certificate(("localhost", port)).encode(), "x509", "-noout", "-pubkey")
    return openssl(openssl(openssl(key, "pkey", "-pubin", "-outform", "der"), "dgst", "-sha256", "-binary"), "base64").decode().strip()


def names(r, kind):
    return sorted(u["name"] for u in r.verb(kind + ".list"))


def check_tickets(r, b):
    for url in (r.url, r.https):
        text = b.open(url + "/status")
        assert json.loads(text)["host"] == "localhost", text
    log = re.findall(r"event=auth principal=ada@LARES.TEST .*protocol=http verdict=(\w+)", r.d.log())
    assert log == ["accepted"] * len(log) and len(log) >= 2, log
    # What is no JSON, and what a browser asks for unasked.
    assert "lares_build_info" in b.open(r.url + "/metrics") and "404" in b.open(r.url.removesuffix("/api/v1") + "/favicon.ico")
    assert json.loads(b.open(r.url + "/users/nobody"))["code"] == "not-found"
    # A name that the browser was not told to give tickets to, and no ticket at all.
    text = b.open(r.url.replace("localhost", "127.0.0.1") + "/status")
    assert json.loads(text)["code"] == "login", text
    os.rename(r.cc["ada"], str(r.cc["ada"]) + ".away")
    for url in (r.url, r.https):
        text = b.open(url + "/status")
        assert json.loads(text)["code"] == "login", text
    os.rename(str(r.cc["ada"]) + ".away", r.cc["ada"])


def check_own_page(r, b):
    """What the pages below must not do works from the server's own."""
    b.open(r.https + "/status")
    fetch = """fetch("/api/v1/users", {method: "%s", headers: {"Content-Type": "application/json"}, body: %s}).then(r => r.status)"""
    assert b.run(fetch % ("POST", json.dumps('{"name": "own"}'))) == 201
    assert "own" in names(r, "user")


def check_other_pages(r, b, port):
    users = names(r, "user"), names(r, "group"), r.verb("group.show", name="ops")["members"]
    foreign = lambda: sum(int(n) for n in re.findall(r'lares_operations_total\{.*"rest".*outcome="denied".*\} (\d+)', r.verb("metrics")["text"]))
    # Another site; the same site, but another origin.
    for host, api in (("127.0.0.1", r.url), ("127.0.0.1", r.https), ("localhost", r.url)):
        mark = len(r.d.log())
        before = foreign()
        b.open(f"http://{host}:{port}/?api={api}")
        seen = b.run("all()")
        assert seen == [], seen  # nothing of any answer can be read there
        assert foreign() - before >= 8, (foreign(), before)  # but it was asked
        assert "face=rest" not in r.d.log()[mark:], r.d.log()[mark:]
    assert (names(r, "user"), names(r, "group"), r.verb("group.show", name="ops")["members"]) == users


def test_browser():
    with serving() as r, elsewhere() as port, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        b = Browser(pathlib.Path(profile) / "p", r.realm.env(ccache=r.cc["ada"]), "localhost", [pin(r.d.ports[1])])
        try:
            check_tickets(r, b)
            check_own_page(r, b)
            check_other_pages(r, b, port)
        finally:
            b.close()


if __name__ == "__main__":
    reason = reasons_to_skip() or (None if chromium() else "chromium is not installed")
    if reason:
        print("1..0 # SKIP", reason)
        sys.exit(77)
    tap.main(globals())
