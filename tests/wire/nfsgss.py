# SPDX-License-Identifier: LGPL-2.1-or-later
"""RPCSEC_GSS for nfsraw.py over the system's MIT GSS-API, loaded with ctypes.

    c = GssConn("127.0.0.1", port, spn="nfs@localhost", service=PRIVACY)
    s = Session(c)                        # all of nfsraw works as with AUTH_SYS
    c.gss_call(0, tamper="header")        # and every part can be made wrong

The realm is what KRB5_CONFIG and KRB5CCNAME say in the environment. Spec: RFC 2203.
"""

import contextlib
import ctypes
import ctypes.util
import struct

from nfs4xdr import Packer, Unpacker, XdrError
from nfsraw import RPCSEC_GSS, Conn, auth_gss

NONE, INTEGRITY, PRIVACY = 1, 2, 3
DATA, INIT, CONTINUE_INIT, DESTROY = 0, 1, 2, 3
MAXSEQ = 0x80000000

_lib = ctypes.CDLL(ctypes.util.find_library("gssapi_krb5") or "libgssapi_krb5.so.2")
_u32p = ctypes.POINTER(ctypes.c_uint32)


class _Buffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]


class _Oid(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("elements", ctypes.c_char_p)]


_KRB5 = _Oid(9, b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02")
_HOST_SERVICE = _Oid(10, b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04")
COMPLETE, CONTINUE_NEEDED = 0, 1
FLAG_MUTUAL = 2
FLAG_DCE_STYLE = 0x1000  # three legs: the initiator answers the acceptor's token (MIT's extension)


class GssError(Exception):
    """A GSS call failed; the text is the library's."""


def _text(code, kind):
    minor, more, out = ctypes.c_uint32(), ctypes.c_uint32(), _Buffer()
    _lib.gss_display_status(ctypes.byref(minor), ctypes.c_uint32(code), kind, None,
                            ctypes.byref(more), ctypes.byref(out))
    return _take(out).decode(errors="replace")


def _take(buffer):
    data = ctypes.string_at(buffer.value, buffer.length) if buffer.value else b""
    minor = ctypes.c_uint32()
    _lib.gss_release_buffer(ctypes.byref(minor), ctypes.byref(buffer))
    return data


def _in(data):
    b = _Buffer(len(data), ctypes.cast(ctypes.c_char_p(bytes(data)), ctypes.c_void_p))
    b.keep = bytes(data)  # the memory lives as long as the structure
    b.value = ctypes.cast(ctypes.c_char_p(b.keep), ctypes.c_void_p)
    return b


def _check(what, major, minor):
    if major & 0xFFFF0000:
        raise GssError(f"{what}: {_text(major, 1)}: {_text(minor.value, 2)}")
    return major


def _call(name, *args):
    """Calls with a minor status in front; returns the major status."""
    minor = ctypes.c_uint32()
    function = getattr(_lib, name)
    function.restype = ctypes.c_uint32
    return _check(name, function(ctypes.byref(minor), *args), minor)


class Context:
    """An initiator's krb5 context. step(token) gives the token to send (or b"")."""

    def __init__(self, spn, flags=FLAG_MUTUAL):
        self.flags = flags
        self.handle = ctypes.c_void_p()
        self.name = ctypes.c_void_p()
        self.done = False
        _call("gss_import_name", ctypes.byref(_in(spn.encode())), ctypes.byref(_HOST_SERVICE),
              ctypes.byref(self.name))

    def step(self, token=b""):
        out, got = _Buffer(), _in(token)
        major = _call("gss_init_sec_context", None, ctypes.byref(self.handle), self.name,
                      ctypes.byref(_KRB5), ctypes.c_uint32(self.flags), ctypes.c_uint32(0), None,
                      ctypes.byref(got) if token else None, None, ctypes.byref(out), None, None)
        self.done = major == COMPLETE
        return _take(out)

    def get_mic(self, data):
        out = _Buffer()
        _call("gss_get_mic", self.handle, ctypes.c_uint32(0), ctypes.byref(_in(data)),
              ctypes.byref(out))
        return _take(out)

    def verify_mic(self, data, mic):
        """Raises GssError when it is wrong."""
        _call("gss_verify_mic", self.handle, ctypes.byref(_in(data)), ctypes.byref(_in(mic)), None)

    def wrap(self, data, seal=True):
        out, conf = _Buffer(), ctypes.c_int()
        _call("gss_wrap", self.handle, int(seal), ctypes.c_uint32(0), ctypes.byref(_in(data)),
              ctypes.byref(conf), ctypes.byref(out))
        return _take(out)

    def unwrap(self, data):
        out, conf = _Buffer(), ctypes.c_int()
        _call("gss_unwrap", self.handle, ctypes.byref(_in(data)), ctypes.byref(out),
              ctypes.byref(conf), None)
        if not conf.value:
            raise GssError("not sealed")
        return _take(out)

    def __del__(self):
        minor = ctypes.c_uint32()
        if self.handle:
            _lib.gss_delete_sec_context(ctypes.byref(minor), ctypes.byref(self.handle), None)
        if self.name:
            _lib.gss_release_name(ctypes.byref(minor), ctypes.byref(self.name))


def send_token(conn, token, proc=INIT, service=NONE, handle=b"", rpc_proc=0):
    """One leg of a context; the Reply, with handle, major, minor, window and token where it is a success."""
    reply = conn.call(rpc_proc, bytes(Packer().opaque(token).data), cred=auth_gss(proc, 0, service, handle))
    if reply.verdict == "SUCCESS":
        u = Unpacker(reply.body)
        reply.handle, reply.major, reply.minor = u.opaque(), u.u32(), u.u32()
        reply.window, reply.token = u.u32(), u.opaque()
    return reply


def _flip(data, at=-1):
    """The same bytes with one bit turned."""
    out = bytearray(data)
    out[at] ^= 1
    return bytes(out)


class GssConn(Conn):
    """A Conn whose calls are protected. service can be changed between calls; with another
    GssConn given as share, its context and handle are used on this connection too."""

    def __init__(self, host="127.0.0.1", port=2049, spn="nfs@localhost", service=PRIVACY,
                 share=None, flags=FLAG_MUTUAL, **kw):
        super().__init__(host, port, **kw)
        self.service = service
        self.spn, self.flags = spn, flags
        self.pending = {}  # xid: (seq, service) of calls without a reply yet
        if share is None:
            self.renew()
        else:
            self.state, self.context = share.state, share.context

    def renew(self):
        """A new context, with the ticket that the environment names now."""
        self.state = {"seq": 0, "handle": b"", "window": 0}
        self.context = Context(self.spn, self.flags)
        self.establish()

    def establish(self):
        token, step = self.context.step(), INIT
        while True:
            reply = send_token(super(), token, step, self.service, self.state["handle"])
            if reply.verdict != "SUCCESS":
                raise GssError(f"context refused: {reply.verdict}")
            major, minor, token = reply.major, reply.minor, reply.token
            self.state["handle"], self.state["window"] = reply.handle, reply.window
            if major not in (COMPLETE, CONTINUE_NEEDED):
                raise GssError(f"context refused: major {major:#x}, minor {minor:#x}")
            if not self.context.done:
                token = self.context.step(token)
            if major == COMPLETE:
                break
            step = CONTINUE_INIT
        self.context.verify_mic(struct.pack(">I", self.state["window"]), reply.verf[1])

    def next_seq(self):
        self.state["seq"] += 1
        return self.state["seq"]

    def protect(self, args, seq, service, tamper=None):
        """The body of a call; tamper "body" makes it wrong, "body-seq" carries another seq."""
        inner = struct.pack(">I", seq + (tamper == "body-seq")) + args
        if service == INTEGRITY:
            mic = self.context.get_mic(inner)
            if tamper == "body":
                mic = _flip(mic)
            return bytes(Packer().opaque(inner).opaque(mic).data)
        if service == PRIVACY:
            sealed = self.context.wrap(inner)
            if tamper == "body":
                sealed = _flip(sealed, len(sealed) // 2)
            return bytes(Packer().opaque(sealed).data)
        return args

    def pack_gss(self, proc, args=b"", seq=None, service=None, handle=None, gss_proc=DATA,
                 tamper=None, xid=None, version=1, tail=b""):
        """A whole call record. tamper: None, "header" (MIC), "body", "body-seq"; tail: bytes
        behind a correct body."""
        seq = self.next_seq() if seq is None else seq
        service = self.service if service is None else service
        xid = self.next_xid() if xid is None else xid
        flavor, cred = auth_gss(gss_proc, seq, service,
                                self.state["handle"] if handle is None else handle, version)
        head = Packer().u32(xid, 0, 2, 100003, 4, proc, flavor).opaque(cred)
        mic = self.context.get_mic(bytes(head.data))
        if tamper == "header":
            mic = _flip(mic)
        head.u32(RPCSEC_GSS).opaque(mic)
        self.pending[xid] = (seq, service)
        return bytes(head.raw(self.protect(args, seq, service, tamper)).raw(tail).data)

    def gss_call(self, proc, args=b"", timeout=None, **kw):
        """One call with anything wrong that pack_gss can make wrong; the plain Reply."""
        record = self.pack_gss(proc, args, **kw)
        self.send_record(record)
        return self.wait(struct.unpack(">I", record[:4])[0], timeout)

    def wait(self, xid, timeout=None):
        """The reply with its verifier checked and its body unprotected (for a success)."""
        reply = super().wait(xid, timeout)
        known = self.pending.pop(xid, None)
        if known is None or reply.verdict != "SUCCESS":
            return reply
        seq, service = known
        if reply.verf[0] != RPCSEC_GSS:
            raise XdrError(f"a reply with verifier flavor {reply.verf[0]}")
        self.context.verify_mic(struct.pack(">I", seq), reply.verf[1])
        if service in (INTEGRITY, PRIVACY):
            u = Unpacker(reply.body)
            inner = u.opaque()
            if service == INTEGRITY:
                self.context.verify_mic(inner, u.opaque())
            else:
                inner = self.context.unwrap(inner)
            if u.pos != len(u.data):
                raise XdrError("bytes after the protected body")
            if struct.unpack(">I", inner[:4])[0] != seq:
                raise XdrError("the protected body carries another sequence number")
            reply.body = inner[4:]
        return reply

    def call(self, proc, args=b"", timeout=None, **kw):
        """As Conn.call; a call that brings its own credential goes out unprotected."""
        if kw.get("cred"):
            return super().call(proc, args, timeout, **kw)
        return self.gss_call(proc, args, timeout, **kw)

    def silence(self, record, seconds=1.0):
        """True when the server answers nothing to a record (and keeps the connection)."""
        self.send_record(record)
        with contextlib.suppress(TimeoutError):
            self.recv_record(seconds)
            return False
        return True

    def destroy(self):
        return self.gss_call(0, gss_proc=DESTROY)
