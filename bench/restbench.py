# SPDX-License-Identifier: LGPL-2.1-or-later
"""The REST part of bench/run: requests by ticket and by token, beside Apache with mod_auth_gssapi for tickets; long lists,
page by page; the main thread beside a busy data plane is tests/e2e/rest's business."""

import json
import os
import pathlib
import shutil
import sqlite3
import ssl
import statistics
import subprocess
import sys
import time

import goals
import lab
import report

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "lib"))

MODULES = pathlib.Path("/usr/lib/apache2/modules")
TICKETS, REQUESTS, MADE = 120, 400, 50
ENABLED = 1000  # of the shares: each that is holds open files


def say(text):
    print(text, flush=True)


def http_answers(sock, timeout=5.0):
    sock.settimeout(timeout)
    sock.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return sock.recv(12).startswith(b"HTTP/1.1")


class Apache(lab.Server):
    """One small file behind `Require valid-user`: what any program pays for HTTP Negotiate."""

    name = "apache"
    answers = staticmethod(http_answers)

    @staticmethod
    def available():
        return bool(shutil.which("apache2")) and (MODULES / "mod_auth_gssapi.so").exists()

    def command(self):
        work = pathlib.Path(self.work)
        (work / "html").mkdir(exist_ok=True)
        (work / "html" / "status").write_text("{}\n")
        keytab = work / "http.keytab"  # its children are no longer root
        shutil.copy(self.kerberos.service_keytab, keytab)
        for path, mode in ((work, 0o755), (work / "html", 0o755), (work / "html" / "status", 0o644), (keytab, 0o644)):
            os.chmod(path, mode)
        loads = "\n".join(f"LoadModule {m}_module {MODULES}/mod_{m}.so"
                          for m in ("mpm_event", "authn_core", "authz_core", "authz_user", "auth_gssapi"))
        (work / "apache.conf").write_text(f"""ServerRoot {work}
{loads}
ServerName localhost
PidFile {work}/pid
DefaultRuntimeDir {work}
Listen 127.0.0.1:{self.port}
User nobody
Group nogroup
ErrorLog {work}/error.log
KeepAlive Off
DocumentRoot {work}/html
<Directory {work}/html>
  AuthType GSSAPI
  AuthName bench
  GssapiCredStore keytab:{keytab}
  Require valid-user
</Directory>
""")
        env = self.kerberos.server_env()
        env["KRB5RCACHENAME"] = "none:"  # as for the other peers: it only makes them faster
        return ["apache2", "-f", str(work / "apache.conf"), "-DFOREGROUND"], env


class Lares(lab.Server):
    name = "lares"
    answers = staticmethod(http_answers)

    def __init__(self, work, kerberos, build):
        super().__init__(work, {}, kerberos)
        os.environ["LARES_BUILD"] = os.path.abspath(build)
        from laresd import Laresd  # after the environment: it names the build
        self.https = lab.free_port()
        self.laresd = Laresd({"auth-sys": {}, "store-posix": {}, "auth-krb5": {"keytab": kerberos.service_keytab},
                              "proto-rest": {"http": f"127.0.0.1:{self.port}", "https": f"127.0.0.1:{self.https}"}},
                             server={"host-name": "localhost"}, raw=f"[control]\nadmins = {kerberos.user}\n",
                             env=kerberos.server_env(), directory=work, keep=True, start=False)

    def command(self):
        return self.laresd.argv(), self.laresd.env

    def verb(self, verb, **args):
        from lares_server import call_verb
        return call_verb(self.laresd.control, verb, **args)


class RestBench:
    """bench: the run this is a part of; it keeps tables, goals and notes."""

    def __init__(self, bench):
        self.bench = bench
        self.options = bench.options
        self.work = bench.work / "rest"
        self.work.mkdir()
        os.chmod(self.work, 0o755)

    def run(self):
        realm = lab.Realm(str(self.work / "realm"))
        realm.services = ["HTTP/localhost"]
        with realm:
            self.realm = realm
            self.lares = Lares(str(self.work / "lares"), realm, str(self.bench.build))
            servers = [self.lares]
            if Apache.available():
                servers.insert(0, Apache(str(self.work / "apache"), {}, realm))
            else:
                self.bench.note("libapache2-mod-auth-gssapi is not installed: REST has nothing to be compared with")
            try:
                for server in servers:
                    server.start()
                self.requests(servers)
                self.lists()
            finally:
                for server in servers:
                    server.stop()

    # -- requests

    def cost(self, server, work, count):
        """CPU seconds of the server per request of work(), which does `count` of them; the median of the rounds."""
        costs = []
        for _ in range(self.options.rounds):
            before = server.cpu_exact()
            work()
            costs.append((server.cpu_exact() - before) / count)
        return statistics.median(costs)

    def by_ticket(self, server, path):
        """Each request with a ticket and a connection of its own, as curl does it."""
        urls = self.work / f"urls-{server.name}"
        urls.write_text(f'url = "http://localhost:{server.port}{path}"\noutput = "/dev/null"\n' * TICKETS)
        done = subprocess.run(["curl", "-s", "--fail", "--negotiate", "-u", ":", "-w", "%{http_code}\n", "-K", str(urls)],
                              env=self.realm.client_env(), capture_output=True, text=True, check=False)
        if done.stdout.split() != ["200"] * TICKETS:
            raise RuntimeError(f"{server.name}: {done.stdout[:200]} {done.stderr[:200]}")

    def get(self, path, token=None, tls=None):
        """One answer over a connection of its own, whole."""
        import socket
        sock = socket.create_connection(("127.0.0.1", self.lares.https if tls else self.lares.port), 60)
        if tls:
            sock = tls.wrap_socket(sock)
        with sock:
            proof = f"Authorization: Bearer {token}\r\n" if token else ""
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n".encode())
            text = b""
            while chunk := sock.recv(1 << 20):
                text += chunk
        if not text.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {text[:200]}")
        return text.partition(b"\r\n\r\n")[2]

    def token(self):
        done = subprocess.run(["curl", "-s", "--negotiate", "-u", ":", "-X", "POST",
                               f"http://localhost:{self.lares.port}/api/v1/tokens"], env=self.realm.client_env(),
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["token"]

    def requests(self, servers):
        table = report.Table("REST: requests", ["request", "server", "requests per CPU s", "CPU ms each"],
                             "CPU is that of all processes of the server; each request has a connection of its own. Apache's is a "
                             "file of two bytes behind `Require valid-user`; that of Lares the answer of `status`.")
        tickets = {}
        for server in servers:
            path = "/status" if server.name == "apache" else "/api/v1/status"
            tickets[server.name] = self.cost(server, lambda s=server, p=path: self.by_ticket(s, p), TICKETS)
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        token = self.token()
        rows = [("by ticket, HTTP", name, each) for name, each in tickets.items()]
        for what, args in (("by token, HTTP", (token,)), ("by token, HTTPS", (token, tls)), ("health, HTTP", ())):
            path = "/api/v1/health" if not args else "/api/v1/status"

            def work(path=path, args=args):
                for _ in range(REQUESTS):
                    self.get(path, *args)
            rows.append((what, "lares", self.cost(self.lares, work, REQUESTS)))
        for what, name, each in rows:
            table.add(what, name, 1 / each, each * 1e3)
        if "apache" in tickets:
            self.bench.goals.most("REST: a request by ticket, CPU of Apache's", goals.REST_TICKET,
                                  tickets["lares"] / tickets["apache"])
        self.show(table)

    # -- lists

    def fill(self, many):
        """So many users and shares, as if they had been made one by one; the server is stopped."""
        folder = self.work / "shared"
        folder.mkdir()
        with sqlite3.connect(os.path.join(self.lares.laresd.state, "lares.db")) as db:
            db.executemany("INSERT INTO users(name, uid, gid, source, disabled, full_name, principal, created)"
                           " VALUES(?, ?, 700000, 'local', 0, 'A person', '', 0)",
                           ((f"user{i:05}", 700000 + i) for i in range(many)))
            db.executemany("INSERT INTO shares(name, folded, pseudo, path, store, enabled, read_only, sync_metadata, sec, squash,"
                           " anonymous_uid, anonymous_gid, hosts) VALUES(?1, ?1, '/' || ?1, ?2, 'posix', ?3, 0, 0, 'sys', 'root',"
                           " 65534, 65534, '')", ((f"share{i:05}", str(folder), int(i < ENABLED)) for i in range(many)))
        db.close()

    def pages(self, kind, token, limit, most):
        """(items, pages, wall s, CPU s, longest page in ms) of so many pages at most."""
        items, pages, after, longest = 0, 0, "", 0.0
        began, cpu = time.monotonic(), self.lares.cpu_exact()
        while True:
            at = time.monotonic()
            page = json.loads(self.get(f"/api/v1/{kind}?limit={limit}{after}", token))
            longest = max(longest, time.monotonic() - at)
            items += len(page["items"])
            pages += 1
            if "next" not in page or pages == most:
                break
            after = "&after=" + page["next"]
        return items, pages, time.monotonic() - began, self.lares.cpu_exact() - cpu, longest * 1e3

    def lists(self):
        many = self.options.rest_items
        self.lares.stop()
        self.fill(many)
        self.lares.start(120)
        say(f"REST: {many:,} users and shares, first answer after {self.lares.start_ms:.0f} ms")
        table = report.Table("REST: long lists", ["list", "items of a page", "pages", "these s", "CPU ms of a page",
                                                  "longest page ms", "memory MB"],
                             f"{many:,} users and as many shares ({ENABLED:,} of them enabled), page after page; memory is VmRSS behind it. The rows of "
                             f"one more tell what a change costs among so many.")
        token = self.token()
        for kind in ("users", "shares"):
            for limit, most in ((100, 5), (1000, many)):
                items, pages, wall, cpu, longest = self.pages(kind, token, limit, most)
                if most == many and items < many:
                    self.bench.note(f"REST: {items} of {many} {kind} were listed")
                table.add(kind, f"{limit:,}", f"{pages}", wall, cpu / pages * 1e3, longest, self.lares.rss() / 1e6)
                if limit == 100:
                    self.bench.goals.most(f"REST: a page of 100 of {many:,} {kind}", goals.REST_PAGE_MS, cpu / pages * 1e3, " ms")
        for kind, args in (("user", {}), ("share", {"path": str(self.work / "shared")})):
            verb = "user.add" if kind == "user" else "share.create"
            began, cpu = time.monotonic(), self.lares.cpu_exact()
            for i in range(MADE):
                self.lares.verb(verb, name=f"more{i}", **args)
            table.add(f"one more {kind}", "-", "-", (time.monotonic() - began) / MADE, (self.lares.cpu_exact() - cpu) / MADE * 1e3,
                      None, self.lares.rss() / 1e6)
        self.show(table)

    def show(self, table):
        self.bench.tables.append(table)
        say("\n" + table.text())
