# SPDX-License-Identifier: LGPL-2.1-or-later
"""XDR, numbers and file attributes of NFSv4, for the raw client in nfsraw.py.

Spec: RFC 4506, RFC 7531, RFC 5662, RFC 7863, RFC 8276. Written from the protocol
descriptions, without the server's code: what both agree on was agreed on by two.
"""

import struct


class XdrError(Exception):
    """The bytes end too early or hold what the description does not allow."""


class Packer:
    """Appends XDR to .data; every method returns self."""

    def __init__(self):
        self.data = bytearray()

    def u32(self, *values):
        for v in values:
            self.data += struct.pack(">I", int(v) & 0xFFFFFFFF)
        return self

    def u64(self, *values):
        for v in values:
            self.data += struct.pack(">Q", int(v) & 0xFFFFFFFFFFFFFFFF)
        return self

    def fixed(self, b):
        self.data += bytes(b) + b"\0" * (-len(b) % 4)
        return self

    def opaque(self, b):
        if isinstance(b, str):
            b = b.encode()
        return self.u32(len(b)).fixed(b)

    def bitmap(self, bits):
        words = [0] * (max(bits) // 32 + 1) if bits else []
        for b in bits:
            words[b // 32] |= 1 << b % 32
        return self.u32(len(words), *words)

    def raw(self, b):
        self.data += b
        return self


class Unpacker:
    def __init__(self, data):
        self.data = bytes(data)
        self.pos = 0

    def fixed(self, n):
        end = self.pos + n + (-n % 4)
        if end > len(self.data):
            raise XdrError(f"{n} bytes wanted at {self.pos} of {len(self.data)}")
        b = self.data[self.pos:self.pos + n]
        if any(self.data[self.pos + n:end]):
            raise XdrError("padding is not zero")
        self.pos = end
        return b

    def u32(self):
        return struct.unpack(">I", self.fixed(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.fixed(8))[0]

    def s64(self):
        return struct.unpack(">q", self.fixed(8))[0]

    def bool(self):
        v = self.u32()
        if v > 1:
            raise XdrError(f"{v} is no bool")
        return v == 1

    def opaque(self):
        return self.fixed(self.u32())

    def text(self):
        return self.opaque().decode()

    def array(self, item):
        n = self.u32()
        if n * 4 > len(self.data) - self.pos:
            raise XdrError(f"an array of {n}")
        return [item() for _ in range(n)]

    def bitmap(self):
        words = self.array(self.u32)
        return [i * 32 + b for i, w in enumerate(words) for b in range(32) if w >> b & 1]

    def rest(self):
        b, self.pos = self.data[self.pos:], len(self.data)
        return b


def _numbers(text):
    pairs = [line.split() for line in text.strip().splitlines()]
    return {name: int(number) for line in pairs for number, name in zip(line[::2], line[1::2])}


OPS = _numbers("""
3 ACCESS 4 CLOSE 5 COMMIT 6 CREATE 7 DELEGPURGE 8 DELEGRETURN 9 GETATTR 10 GETFH 11 LINK
12 LOCK 13 LOCKT 14 LOCKU 15 LOOKUP 16 LOOKUPP 17 NVERIFY 18 OPEN 19 OPENATTR
20 OPEN_CONFIRM 21 OPEN_DOWNGRADE 22 PUTFH 23 PUTPUBFH 24 PUTROOTFH 25 READ 26 READDIR
27 READLINK 28 REMOVE 29 RENAME 30 RENEW 31 RESTOREFH 32 SAVEFH 33 SECINFO 34 SETATTR
35 SETCLIENTID 36 SETCLIENTID_CONFIRM 37 VERIFY 38 WRITE 39 RELEASE_LOCKOWNER
40 BACKCHANNEL_CTL 41 BIND_CONN_TO_SESSION 42 EXCHANGE_ID 43 CREATE_SESSION
44 DESTROY_SESSION 45 FREE_STATEID 46 GET_DIR_DELEGATION 47 GETDEVICEINFO 48 GETDEVICELIST
49 LAYOUTCOMMIT 50 LAYOUTGET 51 LAYOUTRETURN 52 SECINFO_NO_NAME 53 SEQUENCE 54 SET_SSV
55 TEST_STATEID 56 WANT_DELEGATION 57 DESTROY_CLIENTID 58 RECLAIM_COMPLETE
59 ALLOCATE 60 COPY 61 COPY_NOTIFY 62 DEALLOCATE 63 IO_ADVISE 64 LAYOUTERROR 65 LAYOUTSTATS
66 OFFLOAD_CANCEL 67 OFFLOAD_STATUS 68 READ_PLUS 69 SEEK 70 WRITE_SAME 71 CLONE
72 GETXATTR 73 SETXATTR 74 LISTXATTRS 75 REMOVEXATTR 10044 ILLEGAL
""")
OP_NAMES = {v: k for k, v in OPS.items()}

ERRORS = _numbers("""
0 OK 1 PERM 2 NOENT 5 IO 6 NXIO 13 ACCESS 17 EXIST 18 XDEV 20 NOTDIR 21 ISDIR 22 INVAL
27 FBIG 28 NOSPC 30 ROFS 31 MLINK 63 NAMETOOLONG 66 NOTEMPTY 69 DQUOT 70 STALE
10001 BADHANDLE 10003 BAD_COOKIE 10004 NOTSUPP 10005 TOOSMALL 10006 SERVERFAULT 10007 BADTYPE
10008 DELAY 10009 SAME 10010 DENIED 10011 EXPIRED 10012 LOCKED 10013 GRACE 10014 FHEXPIRED
10015 SHARE_DENIED 10016 WRONGSEC 10017 CLID_INUSE 10018 RESOURCE 10019 MOVED
10020 NOFILEHANDLE 10021 MINOR_VERS_MISMATCH 10022 STALE_CLIENTID 10023 STALE_STATEID
10024 OLD_STATEID 10025 BAD_STATEID 10026 BAD_SEQID 10027 NOT_SAME 10028 LOCK_RANGE
10029 SYMLINK 10030 RESTOREFH 10031 LEASE_MOVED 10032 ATTRNOTSUPP 10033 NO_GRACE
10034 RECLAIM_BAD 10035 RECLAIM_CONFLICT 10036 BADXDR 10037 LOCKS_HELD 10038 OPENMODE
10039 BADOWNER 10040 BADCHAR 10041 BADNAME 10042 BAD_RANGE 10043 LOCK_NOTSUPP
10044 OP_ILLEGAL 10045 DEADLOCK 10046 FILE_OPEN 10047 ADMIN_REVOKED 10048 CB_PATH_DOWN
10049 BADIOMODE 10050 BADLAYOUT 10051 BAD_SESSION_DIGEST 10052 BADSESSION 10053 BADSLOT
10054 COMPLETE_ALREADY 10055 CONN_NOT_BOUND_TO_SESSION 10056 DELEG_ALREADY_WANTED
10057 BACK_CHAN_BUSY 10058 LAYOUTTRYLATER 10059 LAYOUTUNAVAILABLE 10060 NOMATCHING_LAYOUT
10061 RECALLCONFLICT 10062 UNKNOWN_LAYOUTTYPE 10063 SEQ_MISORDERED 10064 SEQUENCE_POS
10065 REQ_TOO_BIG 10066 REP_TOO_BIG 10067 REP_TOO_BIG_TO_CACHE 10068 RETRY_UNCACHED_REP
10069 UNSAFE_COMPOUND 10070 TOO_MANY_OPS 10071 OP_NOT_IN_SESSION 10072 HASH_ALG_UNSUPP
10074 CLIENTID_BUSY 10075 PNFS_IO_HOLE 10076 SEQ_FALSE_RETRY 10077 BAD_HIGH_SLOT
10078 DEADSESSION 10079 ENCR_ALG_UNSUPP 10080 PNFS_NO_LAYOUT 10081 NOT_ONLY_OP
10082 WRONG_CRED 10083 WRONG_TYPE 10084 DIRDELEG_UNAVAIL 10085 REJECT_DELEG
10086 RETURNCONFLICT 10087 DELEG_REVOKED 10088 PARTNER_NOTSUPP 10089 PARTNER_NO_AUTH
10090 UNION_NOTSUPP 10091 OFFLOAD_DENIED 10092 WRONG_LFS 10093 BADLABEL
10094 OFFLOAD_NO_REQS 10095 NOXATTR 10096 XATTR2BIG
""")
ERROR_NAMES = {v: k for k, v in ERRORS.items()}

# name: (number, kind); the kinds are the keys of _GET and _PUT below
ATTRS = {}
for _line in """
0 supported_attrs bitmap 1 type u32 2 fh_expire_type u32 3 change u64 4 size u64
5 link_support bool 6 symlink_support bool 7 named_attr bool 8 fsid pair64
9 unique_handles bool 10 lease_time u32 11 rdattr_error u32 12 acl aces 13 aclsupport u32
14 archive bool 15 cansettime bool 16 case_insensitive bool 17 case_preserving bool
18 chown_restricted bool 19 filehandle opaque 20 fileid u64 21 files_avail u64
22 files_free u64 23 files_total u64 24 fs_locations locations 25 hidden bool
26 homogeneous bool 27 maxfilesize u64 28 maxlink u32 29 maxname u32 30 maxread u64
31 maxwrite u64 32 mimetype text 33 mode u32 34 no_trunc bool 35 numlinks u32 36 owner text
37 owner_group text 38 quota_avail_hard u64 39 quota_avail_soft u64 40 quota_used u64
41 rawdev pair32 42 space_avail u64 43 space_free u64 44 space_total u64 45 space_used u64
46 system bool 47 time_access time 48 time_access_set settime 49 time_backup time
50 time_create time 51 time_delta time 52 time_metadata time 53 time_modify time
54 time_modify_set settime 55 mounted_on_fileid u64 56 dir_notif_delay time
57 dirent_notif_delay time 58 dacl acl41 59 sacl acl41 60 change_policy pair64
62 fs_layout_types list32 64 layout_types list32 65 layout_blksize u32
66 layout_alignment u32 74 mode_set_masked pair32 75 suppattr_exclcreat bitmap
76 fs_charset_cap u32 77 clone_blksize u32 78 space_freed u64 79 change_attr_type u32
80 sec_label label 81 mode_umask pair32 82 xattr_support bool
""".strip().splitlines():
    _w = _line.split()
    for _i in range(0, len(_w), 3):
        ATTRS[_w[_i + 1]] = (int(_w[_i]), _w[_i + 2])
ATTR_NAMES = {number: name for name, (number, _) in ATTRS.items()}


def _put_aces(p, aces):
    p.u32(len(aces))
    for kind, flag, mask, who in aces:
        p.u32(kind, flag, mask).opaque(who)


def _put_settime(p, v):
    """None: the server's time; (seconds, nanoseconds): this one."""
    if v is None:
        p.u32(0)
    else:
        p.u32(1).u64(v[0]).u32(v[1])


_PUT = {
    "bitmap": lambda p, v: p.bitmap([attr_number(a) for a in v]),
    "u32": lambda p, v: p.u32(v),
    "u64": lambda p, v: p.u64(v),
    "bool": lambda p, v: p.u32(v),
    "opaque": lambda p, v: p.opaque(v),
    "text": lambda p, v: p.opaque(v),
    "pair32": lambda p, v: p.u32(*v),
    "pair64": lambda p, v: p.u64(*v),
    "list32": lambda p, v: p.u32(len(v), *v),
    "time": lambda p, v: p.u64(v[0]).u32(v[1]),
    "settime": _put_settime,
    "aces": _put_aces,
    "acl41": lambda p, v: _put_aces(p.u32(v[0]), v[1]),
    "label": lambda p, v: p.u32(v[0], v[1]).opaque(v[2]),
}


def get_ace(u):
    return (u.u32(), u.u32(), u.u32(), u.text())


def _get_locations(u):
    def path():
        return u.array(u.text)
    return (path(), u.array(lambda: (u.array(u.text), path())))


_GET = {
    "bitmap": lambda u: [ATTR_NAMES.get(n, n) for n in u.bitmap()],
    "u32": Unpacker.u32,
    "u64": Unpacker.u64,
    "bool": Unpacker.bool,
    "opaque": Unpacker.opaque,
    "text": Unpacker.text,
    "pair32": lambda u: (u.u32(), u.u32()),
    "pair64": lambda u: (u.u64(), u.u64()),
    "list32": lambda u: u.array(u.u32),
    "time": lambda u: (u.s64(), u.u32()),
    "settime": lambda u: (u.s64(), u.u32()) if u.u32() else None,
    "aces": lambda u: u.array(lambda: get_ace(u)),
    "acl41": lambda u: (u.u32(), u.array(lambda: get_ace(u))),
    "label": lambda u: (u.u32(), u.u32(), u.opaque()),
    "locations": _get_locations,
}


def attr_number(a):
    """Of a name, or the number itself (so that tests can ask for what does not exist)."""
    return a if isinstance(a, int) else ATTRS[a][0]


def pack_fattr(attrs):
    """fattr4 of {name: value}; bytes are taken as they are."""
    if isinstance(attrs, (bytes, bytearray)):
        return bytes(attrs)
    order = sorted(attrs, key=attr_number)
    values = Packer()
    for a in order:
        if isinstance(a, int):
            values.raw(attrs[a])
        else:
            _PUT[ATTRS[a][1]](values, attrs[a])
    return bytes(Packer().bitmap([attr_number(a) for a in order]).opaque(values.data).data)


def unpack_fattr(u):
    """{name: value}; raises when the values do not fill their opaque exactly."""
    bits = u.bitmap()
    v = Unpacker(u.opaque())
    out = {}
    for b in bits:
        name = ATTR_NAMES.get(b)
        if name is None:
            raise XdrError(f"attribute {b} came without being known")
        out[name] = _GET[ATTRS[name][1]](v)
    if v.pos != len(v.data):
        raise XdrError(f"{len(v.data) - v.pos} bytes after the last attribute")
    return out
