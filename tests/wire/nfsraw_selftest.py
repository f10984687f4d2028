# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proves nfsraw.py against any NFSv4 server: each check says what it saw; a server may
differ in what it offers, but the client must be able to say and to understand all of it."""

import os
import struct
import traceback

from nfsraw import *  # noqa: F403
from nfsraw import Client40, Conn, Session, auth_gss, auth_none, open_many
from nfs4ops import *  # noqa: F403
import nfs4ops as ops


def transport(host, port, path):
    with Conn(host, port) as c:
        assert c.null().verdict == "SUCCESS"
        assert c.null(cred=auth_none()).verdict == "SUCCESS"
        r = c.null(version=9)
        assert r.verdict == "PROG_MISMATCH" and r.low <= 4 <= r.high, r
        assert c.null(program=100999).verdict == "PROG_UNAVAIL"
        assert c.call(99).verdict == "PROC_UNAVAIL"
        xids = [c.send_call(0) for _ in range(20)]
        for x in reversed(xids):
            assert c.wait(x).verdict == "SUCCESS"


def fragments(host, port, path):
    with Conn(host, port) as c:
        # In words of four bytes: nfs-ganesha 4.3 drops a connection that splits one.
        record = c.pack_call(0, xid=77, cred=auth_none())
        c.send_record(record, fragments=5)
        assert c.wait(77).verdict == "SUCCESS"


def forged_gss(host, port, path):
    with Conn(host, port) as c:
        r = c.null(cred=auth_gss(handle=b"forged!!"))
        assert r.verdict.startswith("AUTH_ERROR:"), r


def garbage(host, port, path):
    with Conn(host, port) as c:
        c.send_raw(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(4096))
    with Conn(host, port) as c:
        c.send_raw(struct.pack(">I", 0x7FFFFFFF) + os.urandom(1000))
    with Conn(host, port) as c:
        c.send_record(c.pack_call(1, b"\0\0\0\5ab"))
    with Conn(host, port) as c:
        assert c.null().verdict == "SUCCESS"


def many(host, port, path):
    socks = open_many(200, host, port)
    with Conn(host, port) as c:
        assert c.null().verdict == "SUCCESS"
    for s in socks:
        s.close()


def work(client, path):
    """The same life of files for all minor versions."""
    top = client.walk(path)
    client.remove_tree(top, "nfsraw")
    d = client.mkdir(top, "nfsraw")
    f = client.open(d, "f", access=BOTH, how="unchecked", attrs={"mode": 0o640})
    fh, st = f.fh, f.stateid
    w = client.call(putfh(fh), write(st, 0, b"hello, world")).ok().last
    assert w.count == 12
    client.call(putfh(fh), commit()).ok()
    r = client.call(putfh(fh), read(st, 0, 100)).ok().last
    assert r.eof and r.data == b"hello, world", r
    a = client.attrs(fh, "type", "size", "mode", "numlinks", "change", "fileid", "owner",
                     "time_modify", "fsid")
    assert a["size"] == 12 and a["mode"] & 0o777 == 0o640 and a["type"] == NF4REG, a
    supported = client.attrs(fh, "supported_attrs")["supported_attrs"]
    known = [n for n in supported if isinstance(n, str) and not n.endswith("_set") and
             n not in ("mode_set_masked", "mode_umask")]
    client.attrs(fh, *known)
    client.call(putfh(fh), ops.setattr(st, {"size": 5, "mode": 0o600,
                                            "time_modify_set": (1000000000, 5)})).ok()
    a = client.attrs(fh, "size", "mode", "time_modify")
    assert a == {"size": 5, "mode": 0o600, "time_modify": (1000000000, 5)}, a
    client.call(putfh(fh), savefh(), putfh(d), link("g")).ok()
    client.call(putfh(d), savefh(), rename("g", "h")).ok()
    client.call(putfh(d), create(NF4LNK, "l", {}, link="h")).ok()
    assert client.call(putfh(d), lookup("l"), readlink()).ok().last.link == b"h"
    names = sorted(n for n, _, _ in client.list(d))
    assert names == [b"f", b"h", b"l"], names
    assert client.call(putfh(d), lookup("absent")).error == "NOENT"
    assert client.call(putfh(d), access(0x3F)).ok().last.access & 1
    assert client.call(putfh(d), secinfo("f")).ok().last.flavors
    r = client.call(putfh(fh), verify({"size": 5}), nverify({"size": 6}), getfh()).ok()
    assert r.last.fh == fh
    return top, d, fh, st


def locks(client, d, fh, st, clientid, open_seqid=0):
    r = client.call(putfh(fh), lock(WRITE_LT, 0, 10, st, clientid, b"locker",
                                    open_seqid, 0)).ok()
    mine = r.last.stateid
    r = client.call(putfh(fh), lockt(WRITE_LT, 5, 1, clientid, b"other"))
    assert r.error == "DENIED" and r.last.owner == b"locker", r
    client.call(putfh(fh), locku(WRITE_LT, 0, 10, mine, 1)).ok()


def version40(host, port, path):
    with Conn(host, port) as conn:
        c = Client40(conn)
        top, d, fh, st = work(c, path)
        locks(c, d, fh, st, c.clientid, c.seqid(b"owner"))
        c.call(renew(c.clientid)).ok()
        c.close(fh, st).ok()
        c.remove_tree(top, "nfsraw")


def version41(host, port, path, minor=1):
    with Conn(host, port) as conn:
        s = Session(conn, minor=minor)
        top, d, fh, st = work(s, path)
        locks(s, d, fh, st, s.clientid)
        assert s.call(test_stateid(st, b"\7" * 16)).ok().last.codes[0] == 0
        # A replay of a cached request is answered with the same bytes.
        first = s.call(putrootfh(), getfh(), cachethis=True).ok()
        again = s.call(putrootfh(), getfh(), seqid=s.seqids[0], cachethis=True).ok()
        assert first.body == again.body
        assert s.call(putrootfh(), seqid=s.seqids[0] + 5).error == "SEQ_MISORDERED"
        assert conn.compound(minor, putrootfh()).error == "OP_NOT_IN_SESSION"
        if minor == 2:
            version42(s, fh, st)
        s.close(fh, st).ok()
        s.remove_tree(top, "nfsraw")
        assert s.destroy() == ("OK", "OK")


def version42(s, fh, st):
    # Without IO_ADVISE: nfs-ganesha 4.3 dies at the CLOSE that follows one.
    seen = []
    for what, operation in (("ALLOCATE", allocate(st, 0, 65536)), ("SEEK", seek(st, 0)),
                            ("DEALLOCATE", deallocate(st, 4096, 4096)),
                            ("READ_PLUS", read_plus(st, 0, 8192)),
                            ("SETXATTR", setxattr("user.t", b"v")),
                            ("GETXATTR", getxattr("user.t")), ("LISTXATTRS", listxattrs()),
                            ("REMOVEXATTR", removexattr("user.t"))):
        seen.append(f"{what} {s.call(putfh(fh), operation).error}")
    r = s.call(putfh(fh), savefh(), copy(st, st, 0, 1 << 20, 5))
    seen.append(f"COPY {r.error}")
    print("# " + ", ".join(seen))


CHECKS = [("transport", transport), ("fragments", fragments), ("forged RPCSEC_GSS", forged_gss),
          ("garbage", garbage), ("200 connections", many), ("4.0", version40),
          ("4.1", version41), ("4.2", lambda h, p, q: version41(h, p, q, 2))]


def run(host, port, path):
    """All checks, as TAP."""
    failed = 0
    print(f"1..{len(CHECKS)}")
    for number, (name, check) in enumerate(CHECKS, 1):
        try:
            check(host, port, path)
            print(f"ok {number} - {name}", flush=True)
        except Exception:  # noqa: BLE001  (each check is told on its own)
            failed += 1
            text = traceback.format_exc().replace("\n", "\n# ")
            print(f"not ok {number} - {name}\n# {text}", flush=True)
    return 1 if failed else 0
