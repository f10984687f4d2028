#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Client ids of 4.0: SETCLIENTID, SETCLIENTID_CONFIRM, RENEW, and what happens when a lease ends."""

import os
import sys

from conform import *


def fresh_id():
    return b"client " + os.urandom(8).hex().encode()


def introduce(c, owner, verifier=b"verifier", **kw):
    r = c.compound(0, setclientid(owner, verifier, **kw)).ok().last
    return r.clientid, r.verifier


def known(c, owner, verifier=b"verifier"):
    clientid, confirm = introduce(c, owner, verifier)
    expect(c.compound(0, setclientid_confirm(clientid, confirm)), "OK")
    return clientid, confirm


def opened(t, c, clientid, owner=b"o", name="f", deny=0, access=BOTH):
    """An open of a client, confirmed: file handle and stateid."""
    fh = t.dir(t.client(0))
    r = c.compound(0, putfh(fh), open_(name, access, deny, clientid, owner, 1, how="unchecked"), getfh()).ok()
    o = r.op("OPEN")
    sid = c.compound(0, putfh(r.last.fh), open_confirm(o.stateid, 2)).ok().last.stateid
    return r.last.fh, sid


# ---- SETCLIENTID, by the cases of RFC 7530 16.33.5


def test_new_client(t):
    "RFC 7530 16.33.5: nothing known: a new unconfirmed record"
    c = t.conn()
    clientid, confirm = introduce(c, fresh_id())
    expect(c.compound(0, renew(clientid)), "STALE_CLIENTID")
    expect(c.compound(0, putfh(t.dir(t.client(0))), open_("f", BOTH, 0, clientid, b"o", 1, how="unchecked")),
           "STALE_CLIENTID")
    expect(c.compound(0, setclientid_confirm(clientid, confirm)), "OK")
    expect(c.compound(0, renew(clientid)), "OK")


def test_unconfirmed_again(t):
    "RFC 7530 16.33.5: an unconfirmed record is replaced; the first confirmation is STALE_CLIENTID"
    c, owner = t.conn(), fresh_id()
    a, ca = introduce(c, owner, b"verifone")
    b, cb = introduce(c, owner, b"veriftwo")
    need((a, ca) != (b, cb), "the same record")
    expect(c.compound(0, setclientid_confirm(a, ca)), "STALE_CLIENTID")
    expect(c.compound(0, setclientid_confirm(b, cb)), "OK")


def test_unconfirmed_again_same_verifier(t):
    "RFC 7530 16.33.5: also with the same verifier"
    c, owner = t.conn(), fresh_id()
    a, ca = introduce(c, owner)
    b, cb = introduce(c, owner)
    expect(c.compound(0, setclientid_confirm(b, cb)), "OK")
    if (a, ca) != (b, cb):
        expect(c.compound(0, setclientid_confirm(a, ca)), "STALE_CLIENTID", "OK")


def test_confirmed_again(t):
    "RFC 7530 16.33.5: same id and verifier: the same client id, a new confirmation, state stays"
    c, owner = t.conn(), fresh_id()
    clientid, confirm = known(c, owner)
    fh, sid = opened(t, c, clientid)
    again, confirm2 = introduce(c, owner)
    need(again == clientid, "another client id")
    need(confirm2 != confirm, "the confirmation is not a new one")
    c.compound(0, putfh(fh), read(sid, 0, 1)).ok()
    expect(c.compound(0, setclientid_confirm(again, confirm2)), "OK")
    c.compound(0, putfh(fh), read(sid, 0, 1)).ok()
    expect(c.compound(0, setclientid_confirm(again, confirm2)), "OK")


def test_restarted_client(t):
    "RFC 7530 16.33.5: another verifier: a new record; the old state ends with its confirmation"
    c, owner = t.conn(), fresh_id()
    old, _ = known(c, owner, b"verifone")
    fh, sid = opened(t, c, old)
    new, confirm = introduce(c, owner, b"veriftwo")
    need(new != old, "the same client id")
    c.compound(0, putfh(fh), read(sid, 0, 1)).ok()
    expect(c.compound(0, renew(old)), "OK")
    expect(c.compound(0, setclientid_confirm(new, confirm)), "OK")
    expect(c.compound(0, putfh(fh), read(sid, 0, 1)), "EXPIRED", "BAD_STATEID", "STALE_STATEID")
    expect(c.compound(0, renew(old)), "STALE_CLIENTID", "EXPIRED")
    expect(c.compound(0, renew(new)), "OK")


def test_restarted_client_frees_shares(t):
    "RFC 7530 9.6.3.3, 16.34.5: what the old incarnation had open and locked is free"
    c, owner = t.conn(), fresh_id()
    old, _ = known(c, owner, b"verifone")
    opened(t, c, old, deny=3)
    other = t.fresh(0)
    expect(other.call(putfh(t.dir(other)), open_("f", READ, 0, other.clientid, b"x", 1)), "SHARE_DENIED")
    known(c, owner, b"veriftwo")
    expect(other.call(putfh(t.dir(other)), open_("f", READ, 0, other.clientid, b"x", 2)), "OK")


def test_confirmed_and_unconfirmed(t):
    "RFC 7530 16.33.5: a confirmed and a newer unconfirmed record; a third replaces the second"
    c, owner = t.conn(), fresh_id()
    a, _ = known(c, owner, b"verifone")
    b, cb = introduce(c, owner, b"veriftwo")
    d, cd = introduce(c, owner, b"verifthr")
    expect(c.compound(0, setclientid_confirm(b, cb)), "STALE_CLIENTID")
    expect(c.compound(0, renew(a)), "OK")
    expect(c.compound(0, setclientid_confirm(d, cd)), "OK")
    expect(c.compound(0, renew(a)), "STALE_CLIENTID", "EXPIRED")


def test_back_to_the_first_verifier(t):
    "RFC 7530 16.33.5: an unconfirmed newer record, then the confirmed one's verifier again"
    c, owner = t.conn(), fresh_id()
    a, _ = known(c, owner, b"verifone")
    introduce(c, owner, b"veriftwo")
    b, cb = introduce(c, owner, b"verifone")
    need(b == a, "another client id")
    expect(c.compound(0, setclientid_confirm(b, cb)), "OK")
    expect(c.compound(0, renew(a)), "OK")


def test_in_use(t):
    "RFC 7530 16.33.5: another principal while there is state: CLID_INUSE, and the first stays"
    c, owner = t.conn(), fresh_id()
    clientid, _ = known(c, owner)
    fh, sid = opened(t, c, clientid)
    other = t.conn(cred=auth_sys(1234, 1234))
    r = expect(other.compound(0, setclientid(owner, b"veriftwo")), "CLID_INUSE")
    need(r.last.netid in ("tcp", "tcp6"), f"{r.last}")
    c.compound(0, putfh(fh), read(sid, 0, 1)).ok()


def test_not_in_use_any_more(t):
    "RFC 7530 16.33.5: without state another principal may take the id"
    c, owner = t.conn(), fresh_id()
    known(c, owner)
    other = t.conn(cred=auth_sys(1234, 1234))
    clientid, confirm = introduce(other, owner, b"veriftwo")
    expect(other.compound(0, setclientid_confirm(clientid, confirm)), "OK")


@over(size=(0, 1, 1024))
def test_id_sizes(t, size):
    "RFC 7530 16.33.3: an id of up to 1024 bytes"
    c = t.conn()
    known(c, os.urandom(size))


def test_id_too_long(t):
    "RFC 7530 3.3.12: NFS4_OPAQUE_LIMIT"
    try:
        expect(t.conn().compound(0, setclientid(b"x" * 1025)), "BADXDR", "INVAL")
    except RpcError as e:
        need("GARBAGE" in e.reply.verdict, e.reply.verdict)


@over(addr=("", "garbage", "1.2.3", "300.1.1.1.1.1", "127.0.0.1.8.1", "::1.8.1"))
def test_callback_addresses(t, addr):
    "RFC 7530 16.33.3: a callback that cannot work does not keep a client out"
    c = t.conn()
    clientid, confirm = introduce(c, fresh_id(), addr=addr)
    expect(c.compound(0, setclientid_confirm(clientid, confirm)), "OK")


# ---- SETCLIENTID_CONFIRM, by the cases of 16.34.5


def test_confirm_unknown(t):
    "RFC 7530 16.34.5: STALE_CLIENTID"
    c = t.conn()
    clientid, confirm = introduce(c, fresh_id())
    expect(c.compound(0, setclientid_confirm(clientid ^ 0xFFFF0000, confirm)), "STALE_CLIENTID")
    expect(c.compound(0, setclientid_confirm(clientid, b"wrongone")), "STALE_CLIENTID")
    expect(c.compound(0, setclientid_confirm(0, b"\0" * 8)), "STALE_CLIENTID")
    expect(c.compound(0, setclientid_confirm(clientid, confirm)), "OK")


def test_confirm_twice(t):
    "RFC 7530 16.34.5: a retransmission is OK and changes nothing"
    c = t.conn()
    clientid, confirm = known(c, fresh_id())
    fh, sid = opened(t, c, clientid)
    expect(c.compound(0, setclientid_confirm(clientid, confirm)), "OK")
    c.compound(0, putfh(fh), read(sid, 0, 1)).ok()


def test_confirm_by_another(t):
    "RFC 7530 16.34.5: by another principal: CLID_INUSE"
    c = t.conn()
    clientid, confirm = introduce(c, fresh_id())
    other = t.conn(cred=auth_sys(1234, 1234))
    expect(other.compound(0, setclientid_confirm(clientid, confirm)), "CLID_INUSE", "STALE_CLIENTID")


def test_confirmed_for_another_version(t):
    "RFC 8881 2.4: client ids of 4.0 and 4.1 are apart"
    c = t.client(1)
    expect(t.conn().compound(0, renew(c.clientid)), "STALE_CLIENTID")
    expect(t.conn().compound(0, setclientid_confirm(c.clientid, b"\0" * 8)), "STALE_CLIENTID")
    expect(t.conn().compound(1, create_session(t.client(0).clientid, 1)), "STALE_CLIENTID")
    expect(t.conn().compound(1, destroy_clientid(t.client(0).clientid)), "STALE_CLIENTID")


# ---- RENEW and leases


@over(clientid=(0, 1, 0xFFFFFFFFFFFFFFFF))
def test_renew_unknown(t, clientid):
    "RFC 7530 16.29.5: STALE_CLIENTID"
    expect(t.conn().compound(0, renew(clientid)), "STALE_CLIENTID")


def test_delegpurge_and_delegreturn(t):
    "RFC 7530 16.5, 16.6: NOTSUPP or what fits when no delegation was ever given"
    c = t.client(0)
    expect(c.call(delegpurge(c.clientid)), "NOTSUPP", "OK")
    expect(c.call(putfh(t.fh(c, "file")), delegreturn(ANON)), "BAD_STATEID", "NOTSUPP")


def test_leases(t):
    """RFC 7530 9.5, 9.6.3: state of a silent client stays until somebody wants it; then it is gone.
    Any use of its stateids and RENEW keep a lease. One case, as each needs the same wait."""
    silent, reader, locker, renewer, gone = (t.conn() for _ in range(5))
    ids = {}
    for name, conn in (("silent", silent), ("reader", reader), ("locker", locker), ("renewer", renewer),
                       ("gone", gone)):
        ids[name], _ = known(conn, fresh_id())
        if name != "gone":
            ids[name + " open"] = opened(t, conn, ids[name], name=name, deny=3)
    fh, sid = ids["locker open"]
    r = locker.compound(0, putfh(fh), lock(WRITE_LT, 0, 10, sid, ids["locker"], b"l", 3, 1)).ok()
    lock_sid = r.last.stateid
    s41 = t.fresh(1)
    o41 = s41.open(t.dir(t.client(1)), "s41", access=BOTH, deny=3, how="unchecked")
    idle41 = t.fresh(1)
    taken40, taken41 = fresh_id(), t.fresh(1)
    opened(t, gone, known(gone, taken40)[0], name="taken40")
    taken41.open(t.dir(t.client(1)), "taken41", access=BOTH, how="unchecked")
    late = t.conn()
    late41 = late.compound(1, exchange_id(fresh_id())).ok().last
    late40 = introduce(late, fresh_id())
    deadline = time.monotonic() + LEASE + 4
    while time.monotonic() < deadline:
        time.sleep(LEASE / 4)
        expect(reader.compound(0, putfh(ids["reader open"][0]), read(ids["reader open"][1], 0, 1)), "OK")
        expect(renewer.compound(0, renew(ids["renewer"])), "OK")
        t.suite.refresh()
    # courtesy: nobody minded, so the state is still there
    expect(locker.compound(0, putfh(fh), read(lock_sid, 0, 1)), "OK", "EXPIRED")
    expect(gone.compound(0, renew(ids["gone"])), "STALE_CLIENTID", "EXPIRED")
    # another principal may take a name whose lease has run out, whatever state is kept for it
    other = t.conn(cred=auth_sys(1234, 1234))
    expect(other.compound(0, setclientid(taken40, b"veriftwo")), "OK")
    expect(other.compound(1, exchange_id(taken41.owner, b"veriftwo")), "OK")
    # nobody confirmed these in time
    expect(late.compound(1, create_session(late41.clientid, late41.sequence)), "STALE_CLIENTID")
    expect(late.compound(0, setclientid_confirm(*late40)), "STALE_CLIENTID")
    # somebody minds: expired clients give way, living ones do not
    c = t.client(0)
    top = t.dir(c)
    for name, wanted in (("silent", "OK"), ("reader", "SHARE_DENIED"), ("renewer", "SHARE_DENIED"), ("s41", "OK")):
        expect(c.call(putfh(top), open_(name, BOTH, 0, c.clientid, b"lease " + name.encode(), 1)), wanted)
    expect(silent.compound(0, putfh(ids["silent open"][0]), read(ids["silent open"][1], 0, 1)), "EXPIRED",
           "BAD_STATEID", "STALE_STATEID")
    expect(silent.compound(0, renew(ids["silent"])), "EXPIRED", "STALE_CLIENTID")
    expect(silent.compound(0, putfh(top), open_("z", READ, 0, ids["silent"], b"o", 3)), "EXPIRED", "STALE_CLIENTID")
    expect(s41.call(putfh(o41.fh), read(o41.stateid, 0, 1)), "BADSESSION", "BAD_STATEID", "EXPIRED")
    expect(idle41.call(putrootfh()), "BADSESSION", "OK")
    # and they may come back
    known(silent, fresh_id())


if __name__ == "__main__":
    sys.exit(main(globals()))
