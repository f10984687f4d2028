# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bodies of SMB 2 requests, and a channel that keeps many of them in flight.

    ch = Channel(port); ch.login(); tree = ch.connect_tree("share")
    fid = ch.ask(smb.CREATE, create("name"), tree).file
    ch.fire(smb.READ, read(fid, 0, 4096), tree)     # answered some time; ch.idle() waits for all

Spec: [MS-SMB2] 2.2."""
import hashlib
import struct
import threading
import time

import smb2raw as smb

FOREVER = bytes([0xff] * 16)  # in a related request: the file of the one before
ALL_ACCESS, READ_DATA, WRITE_DATA, DELETE = 0x001F01FF, 1, 2, 0x10000
SHARE_ALL = 7
OPEN, MAKE, OPEN_IF, OVERWRITE_IF, SUPERSEDE = 1, 2, 3, 5, 0
DIRECTORY, DELETE_ON_CLOSE = 1, 0x1000
LEASE = 0xff
R, H, W = 1, 2, 4
BREAK_MID = 0xffffffffffffffff
LOCK_SHARED, LOCK_EXCLUSIVE, LOCK_UNLOCK, LOCK_NOW = 1, 2, 4, 16


def context(name, data):
    return struct.pack("<HHHHI", 16, 4, 0, 24 if data else 0, len(data)) + name + bytes(4) + data


def lease_context(key, state):
    return context(b"RqLs", struct.pack("<16sIIQ", key, state, 0, 0))


def lease2_context(key, state, parent=None, epoch=0):
    return context(b"RqLs", struct.pack("<16sIIQ16sHH", key, state, 4 if parent else 0, 0, parent or bytes(16), epoch, 0))


def create(name, access=ALL_ACCESS, share=SHARE_ALL, disposition=OPEN_IF, options=0, oplock=0, contexts=(), attributes=0):
    path = name.encode("utf-16-le")
    body, at = path or b"\0", 0
    packed = b""
    if contexts:
        body += bytes(-(120 + len(body)) % 8)
        at = 120 + len(body)
        for i, c in enumerate(contexts):
            last = i + 1 == len(contexts)
            c += b"" if last else bytes(-(4 + len(c)) % 8)
            packed += struct.pack("<I", 0 if last else 4 + len(c)) + c
    return struct.pack("<HBBIQQIIIIIHHII", 57, 0, oplock, 2, 0, 0, access, attributes, share, disposition, options, 120,
                       len(path), at, len(packed)) + body + packed


def read(fid, offset, length):
    return struct.pack("<HBBIQ16sIIIHH", 49, 0, 0, length, offset, fid, 0, 0, 0, 0, 0) + b"\0"


def write(fid, offset, data):
    return struct.pack("<HHIQ16sIIHHI", 49, 112, len(data), offset, fid, 0, 0, 0, 0, 0) + data


def close(fid, attributes=False):
    return struct.pack("<HHI16s", 24, int(attributes), 0, fid)


def flush(fid):
    return struct.pack("<HHI16s", 24, 0, 0, fid)


def lock(fid, *ranges):
    """ranges: (offset, length, flags)."""
    return struct.pack("<HHI16s", 48, len(ranges), 0, fid) + b"".join(struct.pack("<QQII", *r, 0) for r in ranges)


def query_directory(fid, kind=0x25, flags=1, pattern="*", size=65536):
    p = pattern.encode("utf-16-le")
    return struct.pack("<HBBI16sHHI", 33, kind, flags, 0, fid, 96, len(p), size) + p


def notify(fid, filter_=0xfff, tree=False, size=4096):
    return struct.pack("<HHI16sII", 32, int(tree), size, fid, filter_, 0)


def query_info(fid, kind=1, level=18, size=4096, more=0):
    return struct.pack("<HBBIHHIII16s", 41, kind, level, size, 104, 0, 0, more, 0, fid)


def set_info(fid, level, data, kind=1, more=0):
    return struct.pack("<HBBIHHI16s", 33, kind, level, len(data), 96, 0, more, fid) + data


def rename(fid, name, replace=True):
    n = name.encode("utf-16-le")
    return set_info(fid, 10, struct.pack("<B7xQI", int(replace), 0, len(n)) + n)


def hard_link(fid, name, replace=True):
    n = name.encode("utf-16-le")
    return set_info(fid, 11, struct.pack("<B7xQI", int(replace), 0, len(n)) + n)


def set_size(fid, size):
    return set_info(fid, 20, struct.pack("<Q", size))


def set_delete(fid, on=True):
    return set_info(fid, 13, struct.pack("<B", int(on)))


def set_basic(fid, created=0, accessed=0, written=0, changed=0, attributes=0):
    return set_info(fid, 4, struct.pack("<QQQQII", created, accessed, written, changed, attributes, 0))


def set_ea(fid, name, value):
    n = name.encode()
    return set_info(fid, 15, struct.pack("<IBBH", 0, 0, len(n), len(value)) + n + b"\0" + value)


def ioctl(fid, code, data=b"", size=4096):
    return struct.pack("<HHI16sIIIIIIII", 57, 0, code, fid, 120, len(data), 0, 0, 0, size, 1, 0) + data


EMPTY = struct.pack("<HH", 4, 0)


def changes(body):
    """[(action, name)] of a CHANGE_NOTIFY response."""
    at, n = struct.unpack_from("<HI", body, 2)
    data, out = body[at - 64:at - 64 + n], []
    while data:
        step, action, length = struct.unpack_from("<III", data)
        out.append((action, data[12:12 + length].decode("utf-16-le")))
        data = data[step:] if step else b""
    return out


class Answer:
    def __init__(self, reply):
        self.status, self.body, self.reply = reply.status, reply.body, reply

    @property
    def file(self):
        assert self.status == smb.SUCCESS, hex(self.status)
        return self.body[64:80]

    @property
    def output(self):
        """Of QUERY_INFO and QUERY_DIRECTORY."""
        at, n = struct.unpack_from("<HI", self.body, 2)
        return self.reply.data[at:at + n]


class Channel:
    """One connection and its session; requests from any thread. Breaks of leases and oplocks are acknowledged unless
    `on_break` (kind, body) says otherwise by True."""

    def __init__(self, port, dialect=0x0311, guid=None, on_break=None, credits=500):
        self.conn = smb.Conn(port, timeout=60)
        if guid:
            self.conn.guid = guid
        self.conn.negotiate(dialects=(dialect,))
        self.session = None
        self.want = credits
        self.lock = threading.Condition()
        self.waiting = {}    # message id → [command, answer or None, async id, wanted]
        self.answers = {}
        self.closed = False
        self.on_break = on_break
        self.breaks = []
        self.tree = 0  # to acknowledge them in
        self.on_answer = None
        self.reader = None

    def start(self):
        self.conn.sock.settimeout(None)
        self.reader = threading.Thread(target=self.run, daemon=True)
        self.reader.start()
        return self

    def login(self, **kw):
        self.session = self.conn.login(**kw)
        assert isinstance(self.session, smb.Session), hex(self.session.status)
        return self.start()

    def bind(self, other):
        """To another channel's session."""
        import nfsgss
        c, old = self.conn, other.session
        gss = nfsgss.Context("cifs@nas.lares.test")
        message = smb.header(smb.SESSION_SETUP, c.next_mid(), old.id, flags=smb.SIGNED) + c.setup_body(gss.step(), flags=1)
        message = old.sign(message)
        hashed = hashlib.sha512(c.hash + message).digest()
        c.send(message)
        r = c.recv()[0]
        if r.status != smb.SUCCESS:
            return r.status
        at, n = struct.unpack_from("<HH", r.body, 4)
        gss.step(r.data[at:at + n])
        self.session = smb.Session(c, old.id, smb.session_key(nfsgss, gss), hashed)
        self.start()
        return smb.SUCCESS

    # ---- both ways

    def run(self):
        try:
            while True:
                for r in self.conn.recv(self.session):
                    self.take(r)
        except (smb.Closed, OSError, ValueError):
            pass
        with self.lock:
            self.closed = True
            self.lock.notify_all()

    def take(self, r):
        if r.command == smb.OPLOCK_BREAK and r.mid == BREAK_MID:
            self.breaks.append(r.body)
            if not (self.on_break and self.on_break(r.body)):
                self.acknowledge(r)
            return
        with self.lock:
            w = self.waiting.get(r.mid)
            if w and r.status == smb.PENDING:
                w[2] = r.async_id
                self.lock.notify_all()
                return
            self.waiting.pop(r.mid, None)
            if w and w[3]:
                self.answers[r.mid] = Answer(r)
            self.lock.notify_all()
        if w and self.on_answer:
            self.on_answer(w[0], r)

    def acknowledge(self, r, state=None):
        size = struct.unpack_from("<H", r.body)[0]
        if size == 44:
            flags, key, _, new = struct.unpack_from("<I16sII", r.body, 4)
            if flags & 1:
                threading.Thread(target=self.try_fire, args=(smb.OPLOCK_BREAK, struct.pack(
                    "<HHI16sIQ", 36, 0, 0, key, new if state is None else state, 0), self.tree), daemon=True).start()
        else:
            level, fid = struct.unpack_from("<B", r.body, 2)[0], r.body[8:24]
            threading.Thread(target=self.try_fire, args=(smb.OPLOCK_BREAK, struct.pack(
                "<HBBI16s", 24, level, 0, 0, fid), self.tree), daemon=True).start()

    def try_fire(self, *args, **kw):
        try:
            self.fire(*args, **kw)
        except (smb.Closed, OSError):
            pass

    def fire(self, command, body, tree=0, flags=0, wanted=False, limit=20):
        """Sends; the message id."""
        with self.lock:
            end = time.monotonic() + limit
            while self.conn.credits < 2 and not self.closed:
                if not self.lock.wait(end - time.monotonic()):
                    raise TimeoutError("no credits")
            if self.closed:
                raise smb.Closed()
            charge = max(1, (len(body) - 1) // 65536 + 1) if command == smb.WRITE else 1
            mid = self.conn.next_mid(charge)
            self.waiting[mid] = [command, None, None, wanted]
            message = smb.header(command, mid, self.session.id, tree, flags | smb.SIGNED, credits=self.want,
                                 charge=charge) + body
            self.conn.send(self.session.sign(message))
            return mid

    def compound(self, tree, *parts):
        """Related requests in one record; their message ids."""
        with self.lock:
            if self.closed or self.conn.credits < len(parts) + 1:
                raise smb.Closed()
            out, mids = b"", []
            for i, (command, body) in enumerate(parts):
                mid = self.conn.next_mid()
                mids.append(mid)
                self.waiting[mid] = [command, None, None, False]
                last = i + 1 == len(parts)
                body += b"" if last else bytes(-len(body) % 8)
                out += self.session.sign(smb.header(
                    command, mid, self.session.id, tree, smb.SIGNED | (smb.RELATED if i else 0), credits=self.want,
                    next_=0 if last else 64 + len(body)) + body)
            self.conn.send(out)
            return mids

    def wait(self, mid, limit=20):
        end = time.monotonic() + limit
        with self.lock:
            while mid not in self.answers:
                if self.closed:
                    raise smb.Closed()
                if not self.lock.wait(end - time.monotonic()) and mid not in self.answers:
                    raise TimeoutError("command %d was not answered" % self.waiting[mid][0])
            return self.answers.pop(mid)

    def ask(self, command, body, tree=0, limit=20):
        return self.wait(self.fire(command, body, tree, wanted=True), limit)

    def pending(self, mid, limit=10):
        """Waits until the server says that the request waits."""
        end = time.monotonic() + limit
        with self.lock:
            while mid in self.waiting and not self.waiting[mid][2]:
                assert self.lock.wait(end - time.monotonic()), "neither answered nor waiting"
            return mid in self.waiting

    def cancel(self, mid):
        with self.lock:
            w = self.waiting.get(mid)
            if self.closed or not w:
                return
            head = smb.header(smb.CANCEL, mid, self.session.id, 0, smb.SIGNED, credits=0, charge=0)
            if w[2]:
                head = smb.header(smb.CANCEL, mid, self.session.id, 0, smb.SIGNED | smb.ASYNC, credits=0, charge=0)
                head = head[:32] + struct.pack("<Q", w[2]) + head[40:]
            self.conn.send(self.session.sign(head + EMPTY))

    def idle(self, limit=30):
        """Everything was answered; what waits for others is cancelled."""
        end = time.monotonic() + limit
        while True:
            with self.lock:
                left = dict(self.waiting)
                if not left or self.closed:
                    return
            if time.monotonic() > end:
                raise TimeoutError("never answered: %r" % {m: w[0] for m, w in left.items()})
            for mid, w in left.items():
                if w[2]:
                    self.cancel(mid)
            time.sleep(0.05)

    def connect_tree(self, name):
        path = ("\\\\nas.lares.test\\" + name).encode("utf-16-le")
        r = self.ask(smb.TREE_CONNECT, struct.pack("<HHHH", 9, 0, 72, len(path)) + path)
        assert r.status == smb.SUCCESS, hex(r.status)
        self.tree = r.reply.tree
        return self.tree

    def close(self):
        try:
            self.conn.sock.shutdown(2)
        except OSError:
            pass
        if self.reader:
            self.reader.join(10)
        self.conn.close()

