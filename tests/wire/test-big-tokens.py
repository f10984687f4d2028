#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tickets with much authorization data in them, as users of many groups have: what is good up to 64 KiB logs in over NFS,
and over HTTP up to the 48,000 bytes that Windows gives out unless told otherwise (libsoup takes 64 KiB of header lines,
and a token has four letters for three bytes there). What is larger is refused and harms nothing. SMB, which cannot say
more than 64 KiB, is in tests/smb/test-kerberos.py. FORGE_TICKET: the program that makes the tickets.

Spec: RFC 2203 5.2.2, RFC 4559 4"""

import base64
import contextlib
import http.client
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from types import SimpleNamespace

from nfs4ops import *  # noqa: F403
from wirecheck import run, skip_unless
from laresd import Laresd, free_port  # wirecheck says where they are
from lares_server import call_verb
from realm import Realm

GOOD, LARGEST, TOO_LARGE, WINDOWS = 55000, 64500, 67000, 47000  # bytes of authorization data
LIMIT = 65536
gss = None  # nfsgss, when the environment names the realm


def forge(t, service, data):
    """From now on the environment's ticket is one of so much authorization data."""
    cache = str(t.s.work / "forged")
    r = subprocess.run([os.environ["FORGE_TICKET"], str(t.s.realm.service_keytab), "alice@LARES.TEST", service + "@LARES.TEST",
                        "FILE:" + cache, f"data={data}"], capture_output=True, text=True,
                       env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    assert r.returncode == 0, r.stderr
    os.environ["KRB5CCNAME"] = cache


def token(service, least, most):
    """The first token with the environment's ticket, and the context; its size is what the check is about."""
    context = gss.Context(service + "@localhost")
    first = context.step()
    assert least < len(first) <= most, len(first)
    return context, first


def gss_conn(t, **kw):
    c = gss.GssConn("127.0.0.1", t.s.port, **kw)
    t.open.append(c)
    return c


def check_nfs(t):
    """RPCSEC_GSS: a token of 55 and of 64 KB makes a context that works with each service"""
    for data, least in ((GOOD, GOOD), (LARGEST, LARGEST)):
        forge(t, "nfs/localhost", data)
        token("nfs", least, LIMIT)
        for service in (1, 2, 3):
            c = gss_conn(t, service=service)
            c.compound(0, putrootfh(), lookup("share"), getattr("type")).ok()


def check_nfs_too_large(t):
    """RPCSEC_GSS: a token beyond 64 KiB is GARBAGE_ARGS, no context, and the connection goes on"""
    forge(t, "nfs/localhost", TOO_LARGE)
    _, large = token("nfs", LIMIT, 1 << 17)
    c = t.conn()
    r = gss.send_token(c, large)
    assert r.verdict == "GARBAGE_ARGS" and r.body == b"", r
    forge(t, "nfs/localhost", GOOD)
    context, good = token("nfs", GOOD, LIMIT)
    r = gss.send_token(c, good)
    assert r.major == gss.COMPLETE, r
    context.step(r.token)
    context.verify_mic(r.window.to_bytes(4, "big"), r.verf[1])
    # Spoiled at its end it is none.
    r = gss.send_token(c, token("nfs", GOOD, LIMIT)[1][:-1] + b"\0")
    assert r.verdict == "SUCCESS" and r.major not in (0, 1) and r.handle == b"", r


def get(c, negotiate=None):
    """GET /status on a connection: the answer and its token."""
    headers = {"Authorization": "Negotiate " + base64.b64encode(negotiate).decode()} if negotiate else {}
    c.request("GET", "/api/v1/status", headers=headers)
    r = c.getresponse()
    r.read()
    _, _, back = (r.getheader("WWW-Authenticate") or "").partition("Negotiate ")
    return r.status, base64.b64decode(back)


def check_http(t):
    """HTTP Negotiate: a token of 48,000 bytes logs in, and the server proves itself"""
    c = http.client.HTTPConnection("localhost", t.s.http, timeout=30)
    forge(t, "HTTP/localhost", WINDOWS)
    context, first = token("HTTP", WINDOWS, 48000)
    status, back = get(c, first)
    assert status == 200, status
    context.step(back)
    assert context.done
    assert get(c, token("HTTP", WINDOWS, 48000)[1][:-1] + b"\0")[0] == 401
    c.close()


def check_http_too_large(t):
    """HTTP Negotiate: a token beyond 64 KiB is refused or its connection ended, and others go on"""
    other = http.client.HTTPConnection("localhost", t.s.http, timeout=30)
    assert get(other)[0] == 401
    for size in (TOO_LARGE, 1 << 17):
        forge(t, "HTTP/localhost", size)
        _, large = token("HTTP", LIMIT, 1 << 18)
        c = http.client.HTTPConnection("localhost", t.s.http, timeout=30)
        try:
            status, back = get(c, large)
            assert status in (400, 401, 431) and back == b"", status
        except (ConnectionError, http.client.RemoteDisconnected):
            pass
        c.close()
    forge(t, "HTTP/localhost", WINDOWS)
    assert get(other)[0] == 401
    assert get(other, token("HTTP", WINDOWS, 48000)[1])[0] == 200
    other.close()


@contextlib.contextmanager
def serving():
    work = pathlib.Path(tempfile.mkdtemp(prefix="big-tokens."))
    os.chmod(work, 0o755)
    (work / "share").mkdir()
    (work / "server").mkdir()
    nfs, web = free_port(), free_port()
    try:
        with Realm(work / "realm", users=["alice"], services=["nfs/localhost", "HTTP/localhost"]) as realm:
            os.environ.update(realm.env(ccache=work / "forged"))
            with Laresd({"auth-sys": {}, "store-posix": {}, "auth-krb5": {"keytab": realm.service_keytab},
                         "proto-nfs4": {"listen": f"127.0.0.1:{nfs}"}, "proto-rest": {"http": f"127.0.0.1:{web}"}},
                        server={"host-name": "localhost"}, raw=f"[identity]\nrealms={realm.name}\n[control]\nadmins=alice\n",
                        env={"KRB5_CONFIG": str(realm.krb5_conf)}, directory=str(work / "server"), start=False) as d:
                d.wait = [nfs, web, d.control]
                d.start()
                call_verb(d.control, "share.create", name="share", path=str(work / "share"), sec=["krb5", "krb5i", "krb5p"])
                yield SimpleNamespace(server=d, port=nfs, http=web, realm=realm, work=work, path="/share")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main():
    global gss
    skip_unless("lares")
    with serving() as s:
        import nfsgss
        gss = nfsgss
        return run(globals(), "lares", s)


if __name__ == "__main__":
    sys.exit(main())
