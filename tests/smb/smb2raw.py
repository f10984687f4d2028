# SPDX-License-Identifier: LGPL-2.1-or-later
"""SMB 2 and 3 by hand, for tests of refusals: every byte of a request can be made wrong.

    c = Conn(port); c.negotiate(dialects=[0x0210])
    s = c.login("cifs@nas.lares.test")            # Kerberos of KRB5_CONFIG and KRB5CCNAME
    t = s.tree("share")
    r = c.call(ECHO, b"\\x04\\0\\0\\0", session=s)   # r.status, r.body

Spec: [MS-SMB2] 2.2, 3.1.4."""

import ctypes
import ctypes.util
import hashlib
import hmac
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))

(NEGOTIATE, SESSION_SETUP, LOGOFF, TREE_CONNECT, TREE_DISCONNECT, CREATE, CLOSE, FLUSH, READ, WRITE, LOCK, IOCTL,
 CANCEL, ECHO, QUERY_DIRECTORY, CHANGE_NOTIFY, QUERY_INFO, SET_INFO, OPLOCK_BREAK) = range(19)
RESPONSE, ASYNC, RELATED, SIGNED = 1, 2, 4, 8
SUCCESS, PENDING, MORE = 0, 0x103, 0xC0000016
INVALID_PARAMETER, ACCESS_DENIED, NOT_SUPPORTED = 0xC000000D, 0xC0000022, 0xC00000BB
LOGON_FAILURE, BAD_NETWORK_NAME, NETWORK_NAME_DELETED = 0xC000006D, 0xC00000CC, 0xC00000C9
USER_SESSION_DELETED, REQUEST_NOT_ACCEPTED = 0xC0000203, 0xC00000D0
SESSION_EXPIRED = 0xC000035C
INSUFFICIENT_RESOURCES, CANCELLED, SHARING_VIOLATION = 0xC000009A, 0xC0000120, 0xC0000043
ECHO_BODY = struct.pack("<HH", 4, 0)
VALIDATE_NEGOTIATE_INFO = 0x00140204

_crypto = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_aes_128_cbc"):
    getattr(_crypto, _name).restype = ctypes.c_void_p


def gcm(key, nonce, aad, data, tag=None):
    """Seals (ciphertext, tag), or opens with a tag: plaintext, None when it is wrong."""
    ctx, n = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new()), ctypes.c_int()
    out, end = ctypes.create_string_buffer(len(data) + 16), ctypes.create_string_buffer(16)
    try:
        seal = int(tag is None)
        _crypto.EVP_CipherInit_ex(ctx, ctypes.c_void_p(_crypto.EVP_aes_128_gcm()), None, key, nonce, seal)
        _crypto.EVP_CipherUpdate(ctx, None, ctypes.byref(n), aad, len(aad))
        _crypto.EVP_CipherUpdate(ctx, out, ctypes.byref(n), data, len(data))
        if not seal:
            _crypto.EVP_CIPHER_CTX_ctrl(ctx, 0x11, 16, ctypes.create_string_buffer(tag, 16))
        ok = _crypto.EVP_CipherFinal_ex(ctx, end, ctypes.byref(n))
        if not seal:
            return out.raw[:len(data)] if ok == 1 else None
        _crypto.EVP_CIPHER_CTX_ctrl(ctx, 0x10, 16, end)
        return out.raw[:len(data)], end.raw
    finally:
        _crypto.EVP_CIPHER_CTX_free(ctx)


def cmac(key, data):
    """RFC 4493."""
    def cbc(data):
        ctx, n = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new()), ctypes.c_int()
        out = ctypes.create_string_buffer(len(data) + 32)
        _crypto.EVP_CipherInit_ex(ctx, ctypes.c_void_p(_crypto.EVP_aes_128_cbc()), None, key, bytes(16), 1)
        _crypto.EVP_CipherUpdate(ctx, out, ctypes.byref(n), data, len(data))
        _crypto.EVP_CIPHER_CTX_free(ctx)
        return out.raw[:n.value]

    def double(block):
        v = int.from_bytes(block, "big") << 1
        return ((v ^ 0x87 if v >> 128 else v) & (1 << 128) - 1).to_bytes(16, "big")
    k1 = double(cbc(bytes(16)))
    last = data[-(len(data) % 16 or 16):]
    whole = len(last) == 16
    last = last if whole else last + b"\x80" + bytes(15 - len(last))
    last = bytes(a ^ b for a, b in zip(last, k1 if whole else double(k1)))
    return cbc(data[:len(data) - (len(data) % 16 or 16)] + last)[-16:]


def kdf(key, label, context):
    """SP 800-108 in counter mode, 128 bits."""
    return hmac.new(key, struct.pack(">I", 1) + label + b"\0" + context + struct.pack(">I", 128),
                    hashlib.sha256).digest()[:16]


class Closed(Exception):
    """The server closed the connection."""


class Reply:
    def __init__(self, data):
        (self.protocol, self.size, self.charge, self.status, self.command, self.credits, self.flags, self.next,
         self.mid, self.async_id, self.session, self.signature) = struct.unpack("<IHHIHHIIQQQ16s", data[:64])
        self.tree = self.async_id >> 32
        self.body, self.data = data[64:], data


def header(command, mid, session=0, tree=0, flags=0, credits=31, charge=1, next_=0, status=0):
    return struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, charge, status, command, credits, flags, next_, mid,
                       0xFEFF, tree, session, bytes(16))


class Session:
    def __init__(self, conn, sid, key, hashed):
        self.conn, self.id, self.key = conn, sid, key
        if conn.dialect == 0x0311:
            self.sign_key = kdf(key, b"SMBSigningKey\0", hashed)
            self.out_key = kdf(key, b"SMBC2SCipherKey\0", hashed)
            self.in_key = kdf(key, b"SMBS2CCipherKey\0", hashed)
        elif conn.dialect >= 0x0300:
            self.sign_key = kdf(key, b"SMB2AESCMAC\0", b"SmbSign\0")
        elif key:
            self.sign_key = key
        self.nonce = 0

    def sign(self, message):
        message = message[:48] + bytes(16) + message[64:]
        if self.conn.dialect in (0x0300, 0x0302):
            return message[:48] + cmac(self.sign_key, message) + message[64:]
        return message[:48] + hmac.new(self.sign_key, message, hashlib.sha256).digest()[:16] + message[64:]

    def seal(self, message, sid=None, tamper=None):
        self.nonce += 1
        head = struct.pack("<QII", self.nonce, 0, 0) + struct.pack("<IHHQ", len(message), 0, 1, sid or self.id)
        sealed, tag = gcm(self.out_key, head[:12], head, message)
        record = bytearray(b"\xfdSMB" + tag + head + sealed)
        if tamper is not None:
            record[tamper] ^= 1
        return bytes(record)

    def open(self, record):
        plain = gcm(self.in_key, record[20:32], record[20:52], record[52:], record[4:20])
        assert plain is not None, "the server's encryption is wrong"
        return plain

    def tree(self, name, **kw):
        path = ("\\\\nas.lares.test\\" + name).encode("utf-16-le")
        r = self.conn.call(TREE_CONNECT, struct.pack("<HHHH", 9, 0, 72, len(path)) + path, session=self, **kw)
        return r.tree if r.status == SUCCESS else r


class Conn:
    def __init__(self, port, timeout=60, source=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout, (source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.mid = 0
        self.dialect = 0
        self.hash = bytes(64)
        self.guid = os.urandom(16)
        self.credits = 1

    def close(self):
        self.sock.close()

    # ---- records

    def send(self, record):
        self.sock.sendall(struct.pack(">I", len(record)) + record)

    def _exactly(self, n):
        out = b""
        while len(out) < n:
            try:
                more = self.sock.recv(n - len(out))
            except ConnectionError:
                more = b""
            if not more:
                raise Closed()
            out += more
        return out

    def recv_record(self):
        return self._exactly(struct.unpack(">I", self._exactly(4))[0])

    def recv(self, session=None):
        """All responses of the next record."""
        data = self.recv_record()
        if data[:4] == b"\xfdSMB":
            data = session.open(data)
        out = []
        while True:
            r = Reply(data)
            r.data = data[:r.next or len(data)]
            out.append(r)
            self.credits += r.credits
            if not r.next:
                return out
            data = data[r.next:]

    def closed(self):
        """Whether the server ends the connection instead of answering."""
        try:
            self.recv_record()
            return False
        except Closed:
            return True

    def next_mid(self, n=1):
        self.mid += n
        self.credits -= n
        return self.mid - n

    def call(self, command, body, session=None, tree=0, flags=0, sign=None, seal=False, sid=None, mid=None,
             tamper=None, **kw):
        mid = self.next_mid() if mid is None else mid
        sign = (session is not None and session.key is not None and not seal) if sign is None else sign
        sid = sid if sid is not None else session.id if session else 0
        message = header(command, mid, sid, tree, flags | (SIGNED if sign else 0), **kw) + body
        if sign:
            message = session.sign(message)
        if tamper is not None:
            message = message[:tamper] + bytes([message[tamper] ^ 1]) + message[tamper + 1:]
        self.send(session.seal(message) if seal else message)
        r = self.recv(session)[0]
        if sign and r.flags & SIGNED:
            assert session.sign(r.data)[48:64] == r.signature, "the server's signature is wrong"
        return r

    # ---- getting in

    def negotiate(self, dialects=(0x0311,), mode=1, caps=0x7F, contexts=None, check=True):
        self.offered = (caps, self.guid, mode, list(dialects))
        body = struct.pack("<HHHHI16s", 36, len(dialects), mode, 0, caps, self.guid)
        tail = b"".join(struct.pack("<H", d) for d in dialects)
        if 0x0311 in dialects:
            if contexts is None:
                contexts = [(1, struct.pack("<HHH", 1, 16, 1) + os.urandom(16)), (2, struct.pack("<HH", 1, 2)),
                            (8, struct.pack("<HH", 1, 0))]
            pad = -(100 + len(tail)) % 8
            at = 100 + len(tail) + pad
            tail += bytes(pad)
            for i, (kind, data) in enumerate(contexts):
                entry = struct.pack("<HHI", kind, len(data), 0) + data
                tail += entry + (bytes(-len(entry) % 8) if i + 1 < len(contexts) else b"")
            body += struct.pack("<IHH", at, len(contexts), 0)
        else:
            body += bytes(8)
        message = header(NEGOTIATE, self.next_mid(), charge=0) + body + tail
        self.hash = hashlib.sha512(self.hash + message).digest()
        self.send(message)
        r = self.recv()[0]
        if check:
            assert r.status == SUCCESS, hex(r.status)
            self.dialect = struct.unpack_from("<H", r.body, 4)[0]
            self.hash = hashlib.sha512(self.hash + r.data).digest()
        return r

    def setup_body(self, token, flags=0, previous=0):
        return struct.pack("<HBBIIHHQ", 25, flags, 1, 0, 0, 88, len(token), previous) + token

    def login(self, spn="cifs@nas.lares.test", previous=0, keep=None):
        """Kerberos in its GSS frame, without SPNEGO around it. keep: a list that gets the request's bytes."""
        import nfsgss
        context = nfsgss.Context(spn)
        token = context.step()
        message = header(SESSION_SETUP, self.next_mid()) + self.setup_body(token, previous=previous)
        if keep is not None:
            keep.append(message)
        hashed = hashlib.sha512(self.hash + message).digest()
        self.send(message)
        r = self.recv()[0]
        if r.status != SUCCESS:
            return r
        at, n = struct.unpack_from("<HH", r.body, 4)
        context.step(r.data[at:at + n])
        s = Session(self, r.session, session_key(nfsgss, context), hashed)
        assert r.flags & SIGNED and s.sign(r.data)[48:64] == r.signature, "the last response is not signed"
        return s

    def login_ntlm(self, user, password, legs=2):
        """NTLMv2 without SPNEGO around it and without a key exchange; the response where it is refused, or after one leg."""
        flags = 0x22088215
        message = header(SESSION_SETUP, self.next_mid()) + self.setup_body(
            b"NTLMSSP\0" + struct.pack("<II16s", 1, flags, b""))
        hashed = hashlib.sha512(self.hash + message).digest()
        self.send(message)
        r = self.recv()[0]
        if r.status != MORE or legs == 1:
            return r
        hashed = hashlib.sha512(hashed + r.data).digest()
        at, n = struct.unpack_from("<HH", r.body, 4)
        token, key = ntlm_answer(r.data[at:at + n], user, password, flags)
        message = header(SESSION_SETUP, self.next_mid(), r.session) + self.setup_body(token)
        hashed = hashlib.sha512(hashed + message).digest()
        self.send(message)
        r = self.recv()[0]
        if r.status != SUCCESS:
            return r
        s = Session(self, r.session, key, hashed)
        assert r.flags & SIGNED and s.sign(r.data)[48:64] == r.signature, "the last response is not signed"
        return s

    def bind(self, session, spn="cifs@nas.lares.test"):
        """Joins a session of another connection (same guid): its session here, or the response that refuses."""
        import nfsgss
        context = nfsgss.Context(spn)
        token = context.step()
        message = session.sign(header(SESSION_SETUP, self.next_mid(), session.id, flags=SIGNED) +
                               self.setup_body(token, flags=1))
        hashed = hashlib.sha512(self.hash + message).digest()
        self.send(message)
        r = self.recv()[0]
        if r.status != SUCCESS:
            return r
        at, n = struct.unpack_from("<HH", r.body, 4)
        context.step(r.data[at:at + n])
        s = Session(self, session.id, session_key(nfsgss, context), hashed)
        assert r.flags & SIGNED and s.sign(r.data)[48:64] == r.signature, "the last response is not signed"
        return s


def md4(data):
    """RFC 1320; hashlib has it no more."""
    def rol(x, n):
        x &= 0xFFFFFFFF
        return x << n & 0xFFFFFFFF | x >> 32 - n
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    data += b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack("<Q", 8 * len(data))
    rounds = (
        (lambda b, c, d: b & c | ~b & d, 0, (3, 7, 11, 19), range(16)),
        (lambda b, c, d: b & c | b & d | c & d, 0x5A827999, (3, 5, 9, 13), [i // 4 + i % 4 * 4 for i in range(16)]),
        (lambda b, c, d: b ^ c ^ d, 0x6ED9EBA1, (3, 9, 11, 15), (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)))
    for block in range(0, len(data), 64):
        x = struct.unpack_from("<16I", data, block)
        a, b, c, d = state
        for f, constant, shifts, order in rounds:
            for i, k in enumerate(order):
                a, b, c, d = d, rol(a + f(b, c, d) + x[k] + constant, shifts[i % 4]), b, c
        state = [(v + w) & 0xFFFFFFFF for v, w in zip(state, (a, b, c, d))]
    return struct.pack("<4I", *state)


def ntlm_answer(challenge, user, password, flags):
    """AUTHENTICATE for a CHALLENGE, and the session key ([MS-NLMP] 3.3.2)."""
    def mac(key, data):
        return hmac.new(key, data, hashlib.md5).digest()
    n, _, at = struct.unpack_from("<HHI", challenge, 40)
    pairs, nonce = challenge[at:at + n], os.urandom(8)
    key = mac(md4(password.encode("utf-16-le")), user.upper().encode("utf-16-le"))
    blob = b"\x01\x01" + bytes(6) + struct.pack("<Q", 133000000000000000) + nonce + bytes(4) + pairs + bytes(4)
    proof = mac(key, challenge[24:32] + blob)
    name, nt, head = user.encode("utf-16-le"), proof + blob, b"NTLMSSP\0" + struct.pack("<I", 3)
    at = 64
    for part in (b"", nt, b"", name, b"", b""):  # LM, NT, domain, user, machine, key
        head += struct.pack("<HHI", len(part), len(part), at)
        at += len(part)
    return head + struct.pack("<I", flags) + nt + name, mac(key, proof)


def session_key(gss, context):
    """GSS_C_INQ_SSPI_SESSION_KEY, its first 16 bytes."""
    class Set(ctypes.Structure):
        _fields_ = [("count", ctypes.c_size_t), ("elements", ctypes.POINTER(gss._Buffer))]
    found = ctypes.POINTER(Set)()
    gss._call("gss_inquire_sec_context_by_oid", context.handle,
              ctypes.byref(gss._Oid(11, b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05")), ctypes.byref(found))
    first = found.contents.elements[0]
    return ctypes.string_at(first.value, first.length)[:16].ljust(16, b"\0")
