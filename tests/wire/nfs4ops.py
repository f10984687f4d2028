# SPDX-License-Identifier: LGPL-2.1-or-later
"""The operations of NFSv4.0, 4.1 and 4.2: one function each that returns the encoded
arguments (bytes that begin with the operation's number), and one decoder of results.

Stateids are 16 bytes (ANON, BYPASS and CURRENT are here), names str or bytes, file
handles bytes, attributes {name: value} as in nfs4xdr.ATTRS.
"""

from types import SimpleNamespace

from nfs4xdr import OPS, OP_NAMES, Packer, XdrError, attr_number, get_ace, pack_fattr, unpack_fattr

ANON = b"\0" * 16
BYPASS = b"\xff" * 16
CURRENT = b"\0\0\0\1" + b"\0" * 12

READ, WRITE, BOTH = 1, 2, 3  # share access and deny bits
WANT_NO_DELEG = 0x0400
READ_LT, WRITE_LT, READW_LT, WRITEW_LT = 1, 2, 3, 4
NF4REG, NF4DIR, NF4BLK, NF4CHR, NF4LNK, NF4SOCK, NF4FIFO = 1, 2, 3, 4, 5, 6, 7
UNSTABLE, DATA_SYNC, FILE_SYNC = 0, 1, 2


def _op(name):
    return Packer().u32(OPS[name])


def _plain(name):
    def build():
        return bytes(_op(name).data)
    build.__doc__ = f"{name}, without arguments."
    return build


getfh, lookupp = _plain("GETFH"), _plain("LOOKUPP")
putpubfh, putrootfh = _plain("PUTPUBFH"), _plain("PUTROOTFH")
readlink, restorefh, savefh = _plain("READLINK"), _plain("RESTOREFH"), _plain("SAVEFH")
illegal = _plain("ILLEGAL")


def raw(number, args=b""):
    """Any operation with any bytes behind it."""
    return bytes(Packer().u32(number).raw(args).data)


def access(mask):
    return bytes(_op("ACCESS").u32(mask).data)


def close(stateid, seqid=0):
    return bytes(_op("CLOSE").u32(seqid).fixed(stateid).data)


def commit(offset=0, count=0):
    return bytes(_op("COMMIT").u64(offset).u32(count).data)


def create(kind, name, attrs=None, link=None, dev=(0, 0)):
    p = _op("CREATE").u32(kind)
    if kind == NF4LNK:
        p.opaque(link)
    elif kind in (NF4BLK, NF4CHR):
        p.u32(*dev)
    return bytes(p.opaque(name).raw(pack_fattr(attrs or {})).data)


def delegpurge(clientid):
    return bytes(_op("DELEGPURGE").u64(clientid).data)


def delegreturn(stateid):
    return bytes(_op("DELEGRETURN").fixed(stateid).data)


def getattr(*attrs):  # noqa: A001  (the operation's name)
    return bytes(_op("GETATTR").bitmap([attr_number(a) for a in attrs]).data)


def link(name):
    return bytes(_op("LINK").opaque(name).data)


def lock(kind, offset, length, stateid, clientid=0, owner=None, open_seqid=0, lock_seqid=0,
         reclaim=False):
    """With owner: stateid is the open's and a lock owner begins; without: the lock's own."""
    p = _op("LOCK").u32(kind, reclaim).u64(offset, length).u32(owner is not None)
    if owner is not None:
        p.u32(open_seqid).fixed(stateid).u32(lock_seqid).u64(clientid).opaque(owner)
    else:
        p.fixed(stateid).u32(lock_seqid)
    return bytes(p.data)


def lockt(kind, offset, length, clientid, owner):
    return bytes(_op("LOCKT").u32(kind).u64(offset, length, clientid).opaque(owner).data)


def locku(kind, offset, length, stateid, seqid=0):
    return bytes(_op("LOCKU").u32(kind, seqid).fixed(stateid).u64(offset, length).data)


def lookup(name):
    return bytes(_op("LOOKUP").opaque(name).data)


def nverify(attrs):
    return bytes(_op("NVERIFY").raw(pack_fattr(attrs)).data)


def verify(attrs):
    return bytes(_op("VERIFY").raw(pack_fattr(attrs)).data)


def open_(name=None, access=READ, deny=0, clientid=0, owner=b"owner", seqid=0, how=None,
          attrs=None, verifier=None, claim=None, claim_args=b""):
    """how: None (no create), "unchecked", "guarded", "exclusive" (4.0) or "exclusive41".
    claim: 0 CLAIM_NULL by default; others get their encoded claim_args."""
    p = _op("OPEN").u32(seqid, access, deny).u64(clientid).opaque(owner)
    modes = {"unchecked": 0, "guarded": 1, "exclusive": 2, "exclusive41": 3}
    if how is None:
        p.u32(0)
    else:
        p.u32(1, modes[how])
        if how.startswith("exclusive"):
            p.fixed(verifier or b"verifier")
        if how != "exclusive":
            p.raw(pack_fattr(attrs or {}))
    p.u32(claim or 0)
    if not claim:
        p.opaque(name)
    return bytes(p.raw(claim_args).data)


def openattr(createdir=False):
    return bytes(_op("OPENATTR").u32(createdir).data)


def open_confirm(stateid, seqid):
    return bytes(_op("OPEN_CONFIRM").fixed(stateid).u32(seqid).data)


def open_downgrade(stateid, access, deny=0, seqid=0):
    return bytes(_op("OPEN_DOWNGRADE").fixed(stateid).u32(seqid, access, deny).data)


def putfh(fh):
    return bytes(_op("PUTFH").opaque(fh).data)


def read(stateid, offset, count):
    return bytes(_op("READ").fixed(stateid).u64(offset).u32(count).data)


def readdir(cookie=0, verifier=b"\0" * 8, dircount=4096, maxcount=32768, attrs=("fileid", "type")):
    p = _op("READDIR").u64(cookie).fixed(verifier).u32(dircount, maxcount)
    return bytes(p.bitmap([attr_number(a) for a in attrs]).data)


def remove(name):
    return bytes(_op("REMOVE").opaque(name).data)


def rename(old, new):
    return bytes(_op("RENAME").opaque(old).opaque(new).data)


def renew(clientid):
    return bytes(_op("RENEW").u64(clientid).data)


def secinfo(name):
    return bytes(_op("SECINFO").opaque(name).data)


def setattr(stateid, attrs):  # noqa: A001
    return bytes(_op("SETATTR").fixed(stateid).raw(pack_fattr(attrs)).data)


def setclientid(owner, verifier=b"verifier", program=0x40000000, netid="tcp", addr="0.0.0.0.0.0",
                ident=0):
    p = _op("SETCLIENTID").fixed(verifier).opaque(owner).u32(program)
    return bytes(p.opaque(netid).opaque(addr).u32(ident).data)


def setclientid_confirm(clientid, verifier):
    return bytes(_op("SETCLIENTID_CONFIRM").u64(clientid).fixed(verifier).data)


def write(stateid, offset, data, stable=UNSTABLE):
    return bytes(_op("WRITE").fixed(stateid).u64(offset).u32(stable).opaque(data).data)


def release_lockowner(clientid, owner):
    return bytes(_op("RELEASE_LOCKOWNER").u64(clientid).opaque(owner).data)


# 4.1


def backchannel_ctl(program=0x40000000, flavors=(0,)):
    return bytes(_op("BACKCHANNEL_CTL").u32(program).raw(_sec_parms(flavors)).data)


def _sec_parms(flavors):
    p = Packer().u32(len(flavors))
    for f in flavors:
        p.u32(f)
        if f == 1:
            p.u32(0).opaque("nfsraw").u32(0, 0, 0)
    return p.data


def bind_conn_to_session(sessionid, direction=3):
    return bytes(_op("BIND_CONN_TO_SESSION").fixed(sessionid).u32(direction, 0).data)


def exchange_id(owner, verifier=b"verifier", flags=0, protect=b"\0\0\0\0", impl=b"\0\0\0\0"):
    p = _op("EXCHANGE_ID").fixed(verifier).opaque(owner).u32(flags)
    return bytes(p.raw(protect).raw(impl).data)


def channel(headerpad=0, maxreq=1 << 20, maxresp=1 << 20, cached=8192, maxops=64, maxreqs=16):
    return bytes(Packer().u32(headerpad, maxreq, maxresp, cached, maxops, maxreqs, 0).data)


def create_session(clientid, sequence, flags=0, fore=None, back=None, program=0x40000000,
                   flavors=(0,)):
    p = _op("CREATE_SESSION").u64(clientid).u32(sequence, flags)
    p.raw(fore or channel()).raw(back or channel(maxreq=4096, maxresp=4096, maxops=8, maxreqs=4))
    return bytes(p.u32(program).raw(_sec_parms(flavors)).data)


def destroy_session(sessionid):
    return bytes(_op("DESTROY_SESSION").fixed(sessionid).data)


def destroy_clientid(clientid):
    return bytes(_op("DESTROY_CLIENTID").u64(clientid).data)


def free_stateid(stateid):
    return bytes(_op("FREE_STATEID").fixed(stateid).data)


def test_stateid(*stateids):
    p = _op("TEST_STATEID").u32(len(stateids))
    for s in stateids:
        p.fixed(s)
    return bytes(p.data)


def secinfo_no_name(style=0):
    return bytes(_op("SECINFO_NO_NAME").u32(style).data)


def sequence(sessionid, seqid, slot=0, highest=0, cachethis=False):
    return bytes(_op("SEQUENCE").fixed(sessionid).u32(seqid, slot, highest, cachethis).data)


def reclaim_complete(one_fs=False):
    return bytes(_op("RECLAIM_COMPLETE").u32(one_fs).data)


# 4.2 and extended attributes


def allocate(stateid, offset, length):
    return bytes(_op("ALLOCATE").fixed(stateid).u64(offset, length).data)


def deallocate(stateid, offset, length):
    return bytes(_op("DEALLOCATE").fixed(stateid).u64(offset, length).data)


def copy(src, dst, src_offset, dst_offset, count, consecutive=True, synchronous=True):
    p = _op("COPY").fixed(src).fixed(dst).u64(src_offset, dst_offset, count)
    return bytes(p.u32(consecutive, synchronous, 0).data)


def clone(src, dst, src_offset, dst_offset, count):
    return bytes(_op("CLONE").fixed(src).fixed(dst).u64(src_offset, dst_offset, count).data)


def io_advise(stateid, offset, count, hints=(0,)):
    return bytes(_op("IO_ADVISE").fixed(stateid).u64(offset, count).bitmap(list(hints)).data)


def offload_status(stateid):
    return bytes(_op("OFFLOAD_STATUS").fixed(stateid).data)


def offload_cancel(stateid):
    return bytes(_op("OFFLOAD_CANCEL").fixed(stateid).data)


def read_plus(stateid, offset, count):
    return bytes(_op("READ_PLUS").fixed(stateid).u64(offset).u32(count).data)


def seek(stateid, offset, hole=False):
    return bytes(_op("SEEK").fixed(stateid).u64(offset).u32(hole).data)


def getxattr(name):
    return bytes(_op("GETXATTR").opaque(name).data)


def setxattr(name, value, option=0):
    """option: 0 either, 1 create, 2 replace."""
    return bytes(_op("SETXATTR").u32(option).opaque(name).opaque(value).data)


def listxattrs(cookie=0, maxcount=4096):
    return bytes(_op("LISTXATTRS").u64(cookie).u32(maxcount).data)


def removexattr(name):
    return bytes(_op("REMOVEXATTR").opaque(name).data)


# results


def _cinfo(u):
    return SimpleNamespace(atomic=u.bool(), before=u.u64(), after=u.u64())


def _open_result(u):
    r = SimpleNamespace(stateid=u.fixed(16), cinfo=_cinfo(u), rflags=u.u32(), attrset=u.bitmap(),
                        delegation=u.u32(), deleg_stateid=None, recall=None, why=None)
    if r.delegation in (1, 2):
        r.deleg_stateid, r.recall = u.fixed(16), u.bool()
        if r.delegation == 2:
            r.limit = (u.u32(), u.u64())
        r.ace = get_ace(u)
    elif r.delegation == 3:
        r.why = u.u32()
        if r.why in (1, 2):
            r.will_signal = u.bool()
    elif r.delegation != 0:
        raise XdrError(f"delegation type {r.delegation}")
    return r


def _entries(u):
    r = SimpleNamespace(verifier=u.fixed(8), entries=[])
    while u.bool():
        r.entries.append(SimpleNamespace(cookie=u.u64(), name=u.opaque(), attrs=unpack_fattr(u)))
    r.eof = u.bool()
    return r


def _secinfo_entry(u):
    flavor = u.u32()
    if flavor != 6:
        return SimpleNamespace(flavor=flavor, oid=None, qop=None, service=None)
    return SimpleNamespace(flavor=6, oid=u.opaque(), qop=u.u32(), service=u.u32())


def _exchange_id_result(u):
    r = SimpleNamespace(clientid=u.u64(), sequence=u.u32(), flags=u.u32(), protect=u.u32())
    if r.protect == 1:
        r.must_enforce, r.must_allow = u.bitmap(), u.bitmap()
    elif r.protect != 0:
        raise XdrError(f"state protection {r.protect}")
    r.minor_id, r.major_id, r.scope = u.u64(), u.opaque(), u.opaque()
    r.impl = u.array(lambda: (u.text(), u.text(), (u.s64(), u.u32())))
    return r


def _channel_result(u):
    keys = ("headerpad", "maxreq", "maxresp", "cached", "maxops", "maxreqs")
    c = SimpleNamespace(**{k: u.u32() for k in keys})
    c.rdma_ird = u.array(u.u32)
    return c


def _denied(u):
    return SimpleNamespace(offset=u.u64(), length=u.u64(), kind=u.u32(), clientid=u.u64(),
                           owner=u.opaque())


def _contents(u):
    kind = u.u32()
    if kind == 0:
        return SimpleNamespace(hole=False, offset=u.u64(), data=u.opaque())
    if kind == 1:
        return SimpleNamespace(hole=True, offset=u.u64(), length=u.u64())
    raise XdrError(f"content type {kind}")


def _copy_result(u):
    return SimpleNamespace(callback=u.array(lambda: u.fixed(16)), count=u.u64(),
                           committed=u.u32(), verifier=u.fixed(8), consecutive=u.bool(),
                           synchronous=u.bool())


def _fields(**kinds):
    """A decoder of fields in order; a kind is an Unpacker method's name or a function."""
    def decode(u):
        out = SimpleNamespace()
        for key, kind in kinds.items():
            setattr_(out, key, kind(u) if callable(kind) else u.__getattribute__(kind)())
        return out
    return decode


setattr_ = SimpleNamespace.__setattr__


def _sid(u):
    return u.fixed(16)


def _verf(u):
    return u.fixed(8)


_stateid_only = _fields(stateid=_sid)
_cinfo_only = _fields(cinfo=_cinfo)

RESULTS = {
    "ACCESS": _fields(supported="u32", access="u32"),
    "CLOSE": _stateid_only,
    "COMMIT": _fields(verifier=_verf),
    "CREATE": _fields(cinfo=_cinfo, attrset="bitmap"),
    "GETATTR": _fields(attrs=unpack_fattr),
    "GETFH": _fields(fh="opaque"),
    "LINK": _cinfo_only,
    "LOCK": _stateid_only,
    "LOCKU": _stateid_only,
    "OPEN": _open_result,
    "OPEN_CONFIRM": _stateid_only,
    "OPEN_DOWNGRADE": _stateid_only,
    "READ": _fields(eof="bool", data="opaque"),
    "READDIR": _entries,
    "READLINK": _fields(link="opaque"),
    "REMOVE": _cinfo_only,
    "RENAME": _fields(source=_cinfo, target=_cinfo),
    "SECINFO": _fields(flavors=lambda u: u.array(lambda: _secinfo_entry(u))),
    "SECINFO_NO_NAME": _fields(flavors=lambda u: u.array(lambda: _secinfo_entry(u))),
    "SETCLIENTID": _fields(clientid="u64", verifier=_verf),
    "WRITE": _fields(count="u32", committed="u32", verifier=_verf),
    "BIND_CONN_TO_SESSION": _fields(sessionid=_sid, direction="u32", rdma="bool"),
    "EXCHANGE_ID": _exchange_id_result,
    "CREATE_SESSION": _fields(sessionid=_sid, sequence="u32", flags="u32", fore=_channel_result,
                              back=_channel_result),
    "SEQUENCE": _fields(sessionid=_sid, seqid="u32", slot="u32", highest="u32", target="u32",
                        flags="u32"),
    "TEST_STATEID": _fields(codes=lambda u: u.array(u.u32)),
    "COPY": _copy_result,
    "IO_ADVISE": _fields(hints="bitmap"),
    "OFFLOAD_STATUS": _fields(count="u64", complete=lambda u: u.array(u.u32)),
    "READ_PLUS": _fields(eof="bool", contents=lambda u: u.array(lambda: _contents(u))),
    "SEEK": _fields(eof="bool", offset="u64"),
    "GETXATTR": _fields(value="opaque"),
    "SETXATTR": _cinfo_only,
    "LISTXATTRS": _fields(cookie="u64", names=lambda u: u.array(u.opaque), eof="bool"),
    "REMOVEXATTR": _cinfo_only,
}
# What follows a status other than OK, where anything does; None: any status.
FAILURES = {
    ("LOCK", 10010): _denied,
    ("LOCKT", 10010): _denied,
    ("SETCLIENTID", 10017): _fields(netid="text", addr="text"),
    ("COPY", 10094): _fields(consecutive="bool", synchronous="bool"),
}


def decode_result(u):
    """One result of a compound: a namespace with op, name, status and the fields."""
    op, status = u.u32(), u.u32()
    name = OP_NAMES.get(op, str(op))
    out = SimpleNamespace()
    if name == "SETATTR":
        out.attrset = u.bitmap()
    elif status == 0 and name in RESULTS:
        out = RESULTS[name](u)
    elif (name, status) in FAILURES:
        out = FAILURES[name, status](u)
    out.op, out.name, out.status = op, name, status
    return out
