#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What SMB must refuse before any file is touched: signatures, encryption, sequence, sessions, shapes, compounds."""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from smb2rig import Rig, run  # noqa: E402
import smb2ops as ops  # noqa: E402
import smb2raw as smb  # noqa: E402


FILE_CLOSED, NOTIFY_CLEANUP = 0xC0000128, 0x10B


class Checks(Rig):
    # ---- signatures

    def check_echo_signed_and_sealed(self):
        for dialect in (0x0202, 0x0210, 0x0311):
            c, s = self.session(dialect)
            r = c.call(smb.ECHO, smb.ECHO_BODY, session=s)
            assert r.status == smb.SUCCESS and r.flags & smb.SIGNED
        r = c.call(smb.ECHO, smb.ECHO_BODY, session=s, seal=True)
        assert r.status == smb.SUCCESS and not r.flags & smb.SIGNED

    def check_bad_signature(self):
        c, s = self.session()
        for at in (4, 30, 50, 63, 66):  # header, message id is another matter, signature, body
            if at == 30:
                continue
            try:
                r = c.call(smb.TREE_CONNECT, struct.pack("<HHHH", 9, 0, 72, 0), session=s, tamper=at)
                assert r.status == smb.ACCESS_DENIED, (at, hex(r.status))
                # Who signs hears signed answers (3.3.4.1.1), with the right key whatever his was.
                assert not r.flags & smb.SIGNED or s.sign(r.data)[48:64] == r.signature
            except smb.Closed:
                c, s = self.session()  # a broken header ends the connection

    def check_unsigned_request(self):
        c, s = self.session()
        r = c.call(smb.TREE_CONNECT, struct.pack("<HHHH", 9, 0, 72, 0), session=s, sign=False)
        assert r.status == smb.ACCESS_DENIED

    def check_stripped_signature_flag(self):
        c, s = self.session()
        t = s.tree("share")
        r = c.call(smb.TREE_DISCONNECT, struct.pack("<HH", 4, 0), session=s, tree=t, sign=False)
        assert r.status == smb.ACCESS_DENIED
        r = c.call(smb.TREE_DISCONNECT, struct.pack("<HH", 4, 0), session=s, tree=t)
        assert r.status == smb.SUCCESS, "the unsigned one did something"

    # ---- encryption

    def check_tampered_ciphertext(self):
        for at in (4, 25, 60, 100, 48):  # tag, nonce, header, body, session id
            c, s = self.session()
            message = smb.header(smb.ECHO, c.next_mid(), s.id) + smb.ECHO_BODY + bytes(40)
            c.send(s.seal(message, tamper=at))
            assert c.closed(), at

    def check_ciphertext_of_another_session(self):
        c, s = self.session()
        other = c.login()
        c.send(s.seal(smb.header(smb.ECHO, c.next_mid(), other.id) + smb.ECHO_BODY))
        assert c.closed()

    def check_transform_of_nobody(self):
        c, s = self.session()
        c.send(s.seal(smb.header(smb.ECHO, c.next_mid(), s.id) + smb.ECHO_BODY, sid=s.id ^ 1))
        assert c.closed()

    def check_short_transforms(self):
        for n in (4, 16, 52, 60, 116):
            c, s = self.session()
            c.send(s.seal(bytes(64))[:n])
            assert c.closed(), n

    def check_share_that_wants_encryption(self):
        c, s = self.session()
        t = s.tree("sealed")
        r = c.call(smb.TREE_DISCONNECT, struct.pack("<HH", 4, 0), session=s, tree=t)
        assert r.status == smb.ACCESS_DENIED
        r = c.call(smb.TREE_DISCONNECT, struct.pack("<HH", 4, 0), session=s, tree=t, seal=True)
        assert r.status == smb.SUCCESS
        c, s = self.session(0x0210)
        assert s.tree("sealed").status == smb.ACCESS_DENIED

    # ---- getting in

    def check_share_of_guests_only(self):
        c, s = self.session()
        assert s.tree("guests").status == smb.ACCESS_DENIED
        assert s.tree("no such share").status == smb.BAD_NETWORK_NAME
        assert "wants one of sys" in self.laresd.wait_log("wants one of sys")

    def check_replayed_session_setup(self):
        kept = []
        c = self.conn()
        s = c.login(keep=kept)
        again = self.conn()
        again.next_mid()
        again.send(kept[0][:24] + struct.pack("<Q", 1) + kept[0][32:])
        r = again.recv()[0]
        assert r.status == smb.LOGON_FAILURE, hex(r.status)
        assert c.call(smb.ECHO, smb.ECHO_BODY, session=s).status == smb.SUCCESS

    # ---- a second login of the same session

    def again(self, c, s, who, **kw):
        """SESSION_SETUP of an established session as this Kerberos user, or as nobody (NTLM): the last response."""
        if who:
            import nfsgss
            os.environ["KRB5CCNAME"], kept = self.ccache(who), os.environ["KRB5CCNAME"]
            try:
                token = nfsgss.Context("cifs@nas.lares.test").step()
            finally:
                os.environ["KRB5CCNAME"] = kept
            return c.call(smb.SESSION_SETUP, c.setup_body(token), session=s, **kw)
        flags = 0x62088215
        r = c.call(smb.SESSION_SETUP, c.setup_body(b"NTLMSSP\0" + struct.pack("<II16s", 1, flags, b"")), session=s, **kw)
        assert r.status == smb.MORE, hex(r.status)
        token = b"NTLMSSP\0" + struct.pack("<I", 3) + struct.pack("<HHI", 0, 0, 64) * 6 + struct.pack("<I", flags | 0x800)
        if s is None:
            kw["sid"] = r.session
        return c.call(smb.SESSION_SETUP, c.setup_body(token), session=s, **kw)

    def ended(self, c, s, **kw):
        r = c.call(smb.TREE_CONNECT, struct.pack("<HHHH", 9, 0, 72, 0), session=s, **kw)
        assert r.status == smb.USER_SESSION_DELETED, hex(r.status)

    def check_another_user_takes_no_session_over(self):
        c, s = self.session()
        t = s.tree("share")
        assert self.again(c, s, "alice").status == smb.SUCCESS
        assert c.call(smb.TREE_DISCONNECT, struct.pack("<HH", 4, 0), session=s, tree=t).status == smb.SUCCESS
        r = self.again(c, s, "bob")
        assert r.status == smb.LOGON_FAILURE, hex(r.status)
        self.ended(c, s)
        why = "another user than the session's first"
        lines = [x for x in self.laresd.wait_log(why).splitlines() if why in x]
        assert any("bob" in x for x in lines), lines

    def check_nobody_in_a_session_has_no_rights(self):
        c, s = self.session()
        t = s.tree("share")
        assert self.again(c, s, None).status == smb.SUCCESS
        assert s.tree("share").status == smb.ACCESS_DENIED
        r = c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, bytes(16)), session=s, tree=t)
        assert r.status == smb.NETWORK_NAME_DELETED, hex(r.status)
        assert self.again(c, s, "alice").status == smb.SUCCESS
        assert isinstance(s.tree("share"), int)
        assert self.again(c, s, None).status == smb.SUCCESS
        assert self.again(c, s, "bob").status == smb.LOGON_FAILURE
        self.ended(c, s)

    def check_a_guest_becomes_nobody_else(self):
        c = self.conn()
        r = self.again(c, None, None)
        assert r.status == smb.SUCCESS and struct.unpack_from("<H", r.body, 2)[0] & 1, hex(r.status)
        sid = r.session
        r = self.again(c, None, "alice", sid=sid)
        assert r.status == smb.LOGON_FAILURE, hex(r.status)
        self.ended(c, None, sid=sid)

    def check_nonsense_tokens(self):
        for token in (b"", b"x", b"\x60\x82\xff\xff", b"NTLMSSP\0" + bytes(4), os.urandom(300), b"\x60" + bytes(60000)):
            c = self.conn()
            r = c.call(smb.SESSION_SETUP, c.setup_body(token))
            assert r.status == smb.INVALID_PARAMETER, (token[:8], hex(r.status))

    def check_forged_session_and_tree_ids(self):
        c, s = self.session()
        t = s.tree("share")
        d, other = self.session()
        body = struct.pack("<HH", 4, 0)
        assert d.call(smb.TREE_DISCONNECT, body, session=other, sid=s.id, tree=t).status == smb.USER_SESSION_DELETED
        assert d.call(smb.TREE_DISCONNECT, body, session=other, tree=t + 1000).status == smb.NETWORK_NAME_DELETED
        for sid in (1, 0xFFFFFFFFFFFFFFFF, s.id ^ 1):
            r = d.call(smb.LOGOFF, body, session=other, sid=sid)
            assert r.status == smb.USER_SESSION_DELETED, hex(r.status)
        assert d.call(smb.SESSION_SETUP, d.setup_body(b"x"), sid=s.id).status == smb.USER_SESSION_DELETED
        assert c.call(smb.TREE_DISCONNECT, body, session=s, tree=t).status == smb.SUCCESS

    def check_binding_without_the_key(self):
        c, s = self.session()
        d = smb.Conn(self.port)
        d.guid = c.guid
        d.negotiate()
        import nfsgss
        token = nfsgss.Context("cifs@nas.lares.test").step()
        r = d.call(smb.SESSION_SETUP, d.setup_body(token, flags=1), sid=s.id)
        assert r.status == smb.INVALID_PARAMETER, hex(r.status)  # not signed
        wrong = smb.Session(d, s.id, os.urandom(16), bytes(64))
        r = d.call(smb.SESSION_SETUP, d.setup_body(token, flags=1), session=wrong)
        assert r.status == smb.ACCESS_DENIED, hex(r.status)
        assert c.call(smb.ECHO, smb.ECHO_BODY, session=s).status == smb.SUCCESS

    def check_previous_session_of_the_same_user(self):
        c, s = self.session()
        d = self.conn()
        again = d.login(previous=s.id)
        assert isinstance(again, smb.Session)
        assert c.call(smb.TREE_CONNECT, struct.pack("<HHHH", 9, 0, 72, 0),
                      session=s).status == smb.USER_SESSION_DELETED

    def check_logoff(self):
        c, s = self.session()
        assert c.call(smb.LOGOFF, struct.pack("<HH", 4, 0), session=s).status == smb.SUCCESS
        assert c.call(smb.LOGOFF, struct.pack("<HH", 4, 0), session=s).status == smb.USER_SESSION_DELETED

    # ---- NEGOTIATE

    def check_downgraded_negotiate(self):
        for spoil in ("dialects", "caps", "guid", "mode", "none"):
            c, s = self.session(0x0302)
            t = s.tree("IPC$")
            caps, guid, mode, dialects = c.offered
            if spoil == "dialects":
                dialects = [0x0302, 0x0311]  # what the client really offered, and somebody took away
            caps ^= spoil == "caps"
            mode ^= 2 * (spoil == "mode")
            guid = bytes(16) if spoil == "guid" else guid
            data = struct.pack("<I16sHH", caps, guid, mode, len(dialects))
            data += b"".join(struct.pack("<H", d) for d in dialects)
            body = struct.pack("<HHI16sIIIIIIII", 57, 0, smb.VALIDATE_NEGOTIATE_INFO, b"\xff" * 16, 120, len(data), 0,
                               0, 0, 24, 1, 0) + data
            try:
                r = c.call(smb.IOCTL, body, session=s, tree=t)
                assert spoil == "none" and r.status == smb.SUCCESS, (spoil, hex(r.status))
                assert r.body[-2:] == struct.pack("<H", 0x0302)
            except smb.Closed:
                assert spoil != "none"

    def check_preauth_hash_covers_negotiate(self):
        """A byte of NEGOTIATE that the server saw differently gives other keys on both sides."""
        c = self.conn()
        c.hash = bytes(64)
        try:
            c.login()
            assert False, "the same keys without the same NEGOTIATE"
        except AssertionError as e:
            assert "not signed" in str(e)

    def check_negotiate_twice(self):
        c = self.conn()
        c.send(smb.header(smb.NEGOTIATE, c.next_mid()) + struct.pack("<HHHHI16sQH", 36, 1, 1, 0, 0, c.guid, 0, 0x0210))
        assert c.closed()

    def check_negotiate_contexts(self):
        preauth = (1, struct.pack("<HHH", 1, 4, 1) + bytes(4))
        for contexts, status in (([], smb.INVALID_PARAMETER), ([preauth, preauth], smb.INVALID_PARAMETER),
                                 ([(1, struct.pack("<HHH", 1, 0, 77))], 0xC05D0000),
                                 ([(1, b"\x01")], smb.INVALID_PARAMETER),
                                 ([preauth, (2, struct.pack("<H", 9))], smb.INVALID_PARAMETER),
                                 ([preauth, (2, struct.pack("<HH", 1, 77))], smb.SUCCESS),
                                 ([preauth, (8, struct.pack("<HH", 1, 77))], smb.SUCCESS),
                                 ([preauth, (3, bytes(10)), (7, b""), (5, b"x"), (0x100, bytes(16))], smb.SUCCESS)):
            c = smb.Conn(self.port)
            r = c.negotiate(contexts=contexts, check=False)
            assert r.status == status, (contexts, hex(r.status))

    def check_no_dialect(self):
        c = smb.Conn(self.port)
        assert c.negotiate(dialects=(0x0999,), check=False).status == smb.NOT_SUPPORTED
        c = smb.Conn(self.port)
        assert c.negotiate(dialects=(), check=False).status == smb.INVALID_PARAMETER

    def check_credits_before_negotiate(self):
        c = smb.Conn(self.port)
        for _ in range(3):
            r = c.negotiate(dialects=(0x0999,), check=False)
            assert r.status == smb.NOT_SUPPORTED and r.credits == 1, (hex(r.status), r.credits)
        c.hash = bytes(64)  # the server keeps that of the one that succeeds
        assert c.negotiate().credits > 1
        assert isinstance(c.login(), smb.Session)

    def check_commands_before_negotiate(self):
        for command in range(1, 19):
            c = smb.Conn(self.port)
            c.send(smb.header(command, 0) + bytes(64))
            assert c.closed(), command

    def check_smb1(self):
        def record(*names):
            strings = b"".join(b"\x02" + n + b"\0" for n in names)
            return b"\xffSMBr" + bytes(27) + b"\0" + struct.pack("<H", len(strings)) + strings
        for names, dialect in (((b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???"), 0x02FF), ((b"SMB 2.002",), 0x0202)):
            c = smb.Conn(self.port)
            c.send(record(*names))
            r = c.recv()[0]
            assert struct.unpack_from("<H", r.body, 4)[0] == dialect
            c.next_mid()
            if dialect == 0x02FF:
                c.negotiate(dialects=(0x0311,))
                assert isinstance(c.login(), smb.Session)
        for bad in (record(b"NT LM 0.12"), record()[:35], b"\xffSMB", record(b"SMB 2.???")[:-3], b"\xffSMB\x25" + bytes(60)):
            c = smb.Conn(self.port)
            c.send(bad)
            assert c.closed(), bad

    # ---- shapes

    def check_truncated_and_oversize(self):
        for n in range(1, 64, 7):
            c = self.conn()
            c.send((smb.header(smb.ECHO, c.next_mid()) + smb.ECHO_BODY)[:n])
            assert c.closed(), n
        c, s = self.session()
        t = s.tree("share")
        for command in range(1, 19):
            if command in (smb.CANCEL, smb.LOGOFF, smb.TREE_DISCONNECT):
                continue
            r = c.call(command, b"\x01", session=s, tree=t)
            assert r.status in (smb.INVALID_PARAMETER, smb.NOT_SUPPORTED), (command, hex(r.status))
        c = self.conn()
        c.sock.sendall(struct.pack(">I", 0xFFFFFF))
        try:
            c.sock.sendall(bytes(1 << 20))
        except OSError:
            pass
        assert c.closed()

    def check_offsets_outside(self):
        c, s = self.session()
        for at, n in ((72, 0xFFFF), (0xFFFF, 4), (0, 4), (63, 4), (74, 2)):
            r = c.call(smb.TREE_CONNECT, struct.pack("<HHHH", 9, 0, at, n) + b"\\\0", session=s)
            assert r.status in (smb.INVALID_PARAMETER, smb.BAD_NETWORK_NAME), (at, n, hex(r.status))

    def check_unknown_command(self):
        c, s = self.session()
        for command in (19, 255, 0xFFFF):
            assert c.call(command, struct.pack("<HH", 4, 0), session=s).status == smb.INVALID_PARAMETER

    # ---- sequence

    def check_message_ids(self):
        for mid in (0, 5000, 1 << 40, 0xFFFFFFFFFFFFFFFF):
            c, s = self.session()
            c.send(s.sign(smb.header(smb.ECHO, mid, s.id, flags=smb.SIGNED) + smb.ECHO_BODY))
            assert c.closed(), mid

    def check_credits(self):
        c, s = self.session()
        for _ in range(3):
            c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=0xFFFF)
        total = c.credits
        assert 64 <= total <= 8192, total
        # A charge that the window does not cover, although the first id is there.
        c.send(s.sign(smb.header(smb.ECHO, c.mid, s.id, flags=smb.SIGNED, charge=9000) + smb.ECHO_BODY))
        assert c.closed()
        c, s = self.session()
        t = s.tree("IPC$")
        body = struct.pack("<HHI16sIIIIIIII", 57, 0, 0x60194, b"\xff" * 16, 120, 0, 0, 0, 0, 1 << 20, 1, 0)
        r = c.call(smb.IOCTL, body, session=s, tree=t)
        assert r.status == smb.INVALID_PARAMETER, hex(r.status)  # a megabyte for one credit

    # ---- compounds

    def compound(self, c, s, parts, related=True, n=None):
        record = b""
        for i, (command, body) in enumerate(parts):
            last = i == len(parts) - 1
            body += bytes(-len(body) % 8) if not last else b""
            flags = smb.SIGNED | (smb.RELATED if related and i else 0)
            record += s.sign(smb.header(command, c.next_mid(), s.id, flags=flags,
                                        next_=0 if last else 64 + len(body)) + body)
        c.send(record)
        return c.recv(s)

    def check_compounds(self):
        c, s = self.session()
        c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=500)
        for related in (False, True):
            replies = self.compound(c, s, [(smb.ECHO, smb.ECHO_BODY)] * 5, related)
            assert [r.status for r in replies] == [0] * 5
            for r in replies:
                assert s.sign(r.data)[48:64] == r.signature, "each response has its own signature, padding and all"
                assert bool(r.flags & smb.RELATED) == (related and r is not replies[0])

    def check_related_without_a_first(self):
        c, s = self.session()
        c.send(s.sign(smb.header(smb.ECHO, c.next_mid(), s.id, flags=smb.SIGNED | smb.RELATED) + smb.ECHO_BODY))
        assert c.recv(s)[0].status == smb.INVALID_PARAMETER

    def check_compound_bombs(self):
        c, s = self.session()
        c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=8000)
        record = b""
        for i in range(2000):
            record += smb.header(smb.ECHO, c.next_mid(), s.id, next_=72) + smb.ECHO_BODY + bytes(4)
        c.send(record + smb.header(smb.ECHO, c.next_mid(), s.id) + smb.ECHO_BODY)
        assert c.closed()
        for next_ in (1, 8, 63, 65, 0xFFFFFFF8, 1 << 31, 1000):
            c, s = self.session()
            c.send(smb.header(smb.ECHO, c.next_mid(), s.id, next_=next_) + smb.ECHO_BODY + bytes(60))
            assert c.closed(), next_

    # ---- opens, and what waits on them

    def check_a_file_renamed_while_it_is_asked_about(self):
        c, s = self.session()
        c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=2000)
        t = s.tree("share")
        f = self.create(c, s, t, "renamed-0")
        assert isinstance(f, bytes), hex(f.status)
        for i in range(1, 60):
            name = ("renamed-%d" % i).encode("utf-16-le")
            info = struct.pack("<QQI", 0, 0, len(name)) + name
            c.send(self.signed(c, s, t, smb.SET_INFO, struct.pack("<HBBIHHI16s", 33, 1, 10, len(info), 96, 0, 0, f) + info))
            for _ in range(3):
                c.send(self.signed(c, s, t, smb.QUERY_INFO,
                                   struct.pack("<HBBIHHIII16s", 41, 1, 18, 4096, 104, 0, 0, 0, 0, f)))
        for _ in range(59 * 4):
            r = c.recv(s)[0]
            assert r.status in (smb.SUCCESS, smb.SHARING_VIOLATION) or r.command == smb.SET_INFO, hex(r.status)
        assert c.call(smb.ECHO, smb.ECHO_BODY, session=s).status == smb.SUCCESS

    def check_what_waits_keeps_no_more_than_it_may(self):
        c, s = self.session()
        c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=2000)
        t = s.tree("share")
        d = self.create(c, s, t, "", access=1, disposition=1, options=1)
        holder, waiter = self.create(c, s, t, "waits"), self.create(c, s, t, "waits")
        assert all(isinstance(f, bytes) for f in (d, holder, waiter))
        notify, large = struct.pack("<HHI16sII", 32, 0, 1000, d, 1, 0), smb.ECHO_BODY + bytes((7 << 20) - 4)

        def lock(f):  # exclusively, and waits for it
            return struct.pack("<HHI16sQQII", 48, 1, 0, f, 0, 1, 2, 0)

        assert c.call(smb.LOCK, lock(holder), session=s, tree=t).status == smb.SUCCESS
        # Who waits to be told of changes does so at the end of a chain, or the rest would wait for ever.
        c.send(self.signed(c, s, t, smb.CHANGE_NOTIFY, notify, next_=96) + self.signed(c, s, t, smb.ECHO, smb.ECHO_BODY))
        assert [r.status for r in c.recv(s)] == [0xC00000E5, smb.SUCCESS]
        for _ in range(4):  # what stands before a command that waits is over: it is not kept
            c.send(self.signed(c, s, t, smb.ECHO, large, next_=64 + len(large)) +
                   self.signed(c, s, t, smb.CHANGE_NOTIFY, notify))
            # An interim response is never part of a chain: Linux drops the whole record if it is encrypted.
            assert [[r.status for r in c.recv(s)] for _ in range(2)] == [[smb.SUCCESS], [smb.PENDING]]
        waits = []
        for want in (smb.PENDING, smb.PENDING, smb.INSUFFICIENT_RESOURCES):
            c.send(self.signed(c, s, t, smb.LOCK, lock(waiter), next_=112) + self.signed(c, s, t, smb.ECHO, large))
            r = c.recv(s)[0]
            assert r.status == want, hex(r.status)
            waits.append(r)
        for r in waits[:2]:  # what is over makes room
            cancel = bytearray(smb.header(smb.CANCEL, r.mid, s.id, flags=smb.SIGNED | smb.ASYNC) + smb.ECHO_BODY)
            cancel[32:40] = struct.pack("<Q", r.async_id)
            c.send(s.sign(bytes(cancel)))
            answers = c.recv(s)
            while len(answers) < 2:
                answers += c.recv(s)
            assert [a.status for a in answers] == [smb.CANCELLED, smb.SUCCESS], [hex(a.status) for a in answers]
        c.send(self.signed(c, s, t, smb.LOCK, lock(waiter), next_=112) + self.signed(c, s, t, smb.ECHO, large))
        assert c.recv(s)[0].status == smb.PENDING

    def check_change_notify_ends_in_the_order_it_was_sent(self):
        """Requests of one connection run side by side: here those that were sent later come first."""
        c, s = self.session()
        t = s.tree("share")

        def directory():
            return self.create(c, s, t, "", access=1, disposition=1, options=1)

        d = directory()
        first, second = c.next_mid(), c.next_mid()
        for mid in (second, first):
            c.send(s.sign(smb.header(smb.CHANGE_NOTIFY, mid, s.id, t, smb.SIGNED) + ops.notify(d, 1)))
            r = c.recv(s)[0]
            assert r.status == smb.PENDING and r.mid == mid, (hex(r.status), r.mid)
        body = ops.create("for the first", disposition=2)
        create = c.next_mid()
        c.send(s.sign(smb.header(smb.CREATE, create, s.id, t, smb.SIGNED) + body))
        got = {r.mid: r.status for r in (c.recv(s)[0], c.recv(s)[0])}
        assert got == {first: smb.SUCCESS, create: smb.SUCCESS}, got
        e = directory()
        wait, close = c.next_mid(), c.next_mid()
        assert c.call(smb.CLOSE, ops.close(e), session=s, tree=t, mid=close).status == smb.SUCCESS
        assert c.call(smb.CHANGE_NOTIFY, ops.notify(e), session=s, tree=t, mid=wait).status == NOTIFY_CLEANUP
        assert c.call(smb.CHANGE_NOTIFY, ops.notify(e), session=s, tree=t).status == FILE_CLOSED  # it was sent too late

    def check_cancel_overtakes_its_request(self):
        """Requests of one connection run side by side: the worker that has the CANCEL may be the faster one."""
        c, s = self.session()
        t = s.tree("share")
        d = self.create(c, s, t, "", access=1, disposition=1, options=1)

        def message(command, mid, body, flags=smb.SIGNED):
            data = s.sign(smb.header(command, mid, s.id, t, flags, credits=0 if command == smb.CANCEL else 64) + body)
            return struct.pack(">I", len(data)) + data

        def ends(mids):
            """All were cancelled, whether they waited before or not."""
            got = {}
            while len(got) < len(mids):
                for r in c.recv(s):
                    if r.status != smb.PENDING:
                        got[r.mid] = r.status
            assert got == {mid: smb.CANCELLED for mid in mids}, {m: hex(status) for m, status in got.items()}

        while c.credits < 64:
            c.call(smb.ECHO, smb.ECHO_BODY, session=s)
        for _ in range(8):  # CANCELs of what is over mean nothing, and push nothing out of what is remembered
            mids = [c.next_mid() for _ in range(24)]
            over = c.next_mid()
            assert c.call(smb.ECHO, smb.ECHO_BODY, session=s, mid=over).status == smb.SUCCESS
            for mid in mids:
                c.sock.sendall(message(smb.CANCEL, mid, smb.ECHO_BODY))
            c.sock.sendall(message(smb.CANCEL, over, smb.ECHO_BODY) * 8)
            assert c.call(smb.ECHO, smb.ECHO_BODY, session=s).status == smb.SUCCESS
            for mid in mids:
                c.sock.sendall(message(smb.CHANGE_NOTIFY, mid, ops.notify(d)))
            ends(mids)
        for _ in range(16):  # in the order that was meant, at once
            mids = [c.next_mid() for _ in range(24)]
            c.sock.sendall(b"".join(message(smb.CHANGE_NOTIFY, mid, ops.notify(d)) + message(smb.CANCEL, mid, smb.ECHO_BODY)
                                for mid in mids))
            ends(mids)

    # ---- Macs

    def apple(self, asked=7, capabilities=7):
        """A session that asked as Macs do: connection, session, tree, root, and the server's capabilities."""
        c, s = self.session()
        t = s.tree("share")
        query = ops.context(b"AAPL", struct.pack("<IIQQ", 1, 0, asked, capabilities))
        r = c.call(smb.CREATE, ops.create("", 0x80 | 1, disposition=1, options=1, contexts=(query,)), session=s, tree=t)
        at, n = struct.unpack_from("<II", r.body, 80)
        answer = r.body[at - 64:at - 64 + n]
        assert r.status == smb.SUCCESS and answer[16:20] == b"AAPL", (hex(r.status), answer)
        data = answer[struct.unpack_from("<H", answer, 10)[0]:]
        assert struct.unpack_from("<IIQ", data) == (1, 0, asked & 7)
        return c, s, t, r.body[64:80], struct.unpack_from("<Q", data, 16)[0] if asked & 1 else None

    @staticmethod
    def listing(c, s, t, root, pattern="*", kind=0x25):
        """{name: (EaSize, ShortNameLength, ShortName, Reserved2, FileId)}."""
        r = c.call(smb.QUERY_DIRECTORY, ops.query_directory(root, kind, pattern=pattern), session=s, tree=t)
        assert r.status == smb.SUCCESS, hex(r.status)
        found, data = {}, r.body[8:]
        while True:
            n, ea, short, name, mode, fid = struct.unpack_from("<II H24sHQ", data, 60)
            found[data[104:104 + n].decode("utf-16-le")] = ea, short, name, mode, fid
            step = struct.unpack_from("<I", data)[0]
            if not step:
                return found
            data = data[step:]

    def check_listings_of_a_mac(self):
        finder = b"TEXTttxt" + b"\x12\x34" + bytes(14) + b"\x56\x78" + bytes(6)
        afp = struct.pack(">IIII", 0x41465000, 0x10000, 0, 0) + finder + bytes(12)
        c, s, t, root, caps = self.apple()
        assert caps == 5  # it lists so, and UNIX is behind it
        for name, data in (("mac a", b"data"), ("mac a:AFP_Resource", bytes(1234)), ("mac a:AFP_AfpInfo", afp),
                           ("mac wrong:AFP_AfpInfo", b"x" + afp[1:]), ("mac short:AFP_AfpInfo", afp[:40])):
            f = self.create(c, s, t, name)
            assert c.call(smb.WRITE, ops.write(f, 0, data), session=s, tree=t).status == smb.SUCCESS, name
            assert c.call(smb.CLOSE, ops.close(f), session=s, tree=t).status == smb.SUCCESS
        folder = os.path.join(self.home, "share")
        with open(os.path.join(folder, "mac b"), "wb"):  # root's, for others to read
            os.chmod(os.path.join(folder, "mac b"), 0o644)
        os.mkdir(os.path.join(folder, "mac d"), 0o700)
        f = self.create(c, s, t, "mac b", 0x80, 1)
        r = c.call(smb.CREATE, ops.create("mac b", 0x80, disposition=1, contexts=(ops.context(b"MxAc", b""),)), session=s, tree=t)
        at, = struct.unpack_from("<I", r.body, 80)
        maximal, = struct.unpack_from("<I", r.body, at - 64 + 24 + 4)
        assert not maximal & 2 and maximal & 1, hex(maximal)
        got = self.listing(c, s, t, root)
        assert got["mac b"][0] == maximal and got["mac b"][1:4] == (24, bytes(24), 0o100644), got["mac b"]
        assert got["mac a"][0] & 0x1F01FF == 0x1F01FF, got["mac a"]
        fork, info = struct.unpack("<Q16s", got["mac a"][2])
        added = struct.unpack(">i", info[12:])[0] + 946684800
        assert fork == 1234 and info[:12] == b"TEXTttxt\x12\x34\x56\x78" and abs(added - time.time()) < 600, (fork, info, added)
        assert got["mac wrong"][2] == got["mac short"][2] == bytes(24)
        assert got["mac d"][3] == 0o40700 and not got["mac d"][0] & 3, got["mac d"]
        assert got["."][3] & 0o170000 == 0o40000 and got["."][1] == 24
        assert self.listing(c, s, t, root, "mac a")["mac a"] == got["mac a"]
        # Who did not ask so, or cannot, is told what everybody is.
        for asked, capabilities, caps in ((7, 6, 4), (6, 7, None)):
            c, s, t, root, server = self.apple(asked, capabilities)
            assert server == caps
            other = self.listing(c, s, t, root)
            assert other["mac a"] == (0, 0, bytes(24), 0, got["mac a"][4]), other["mac a"]

    def check_many_extended_attributes_at_once(self):
        c, s = self.session()
        c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=2000)
        t = s.tree("share")
        f = self.create(c, s, t, "attributes")
        for n, status in ((1000, smb.SUCCESS), (2000, smb.INSUFFICIENT_RESOURCES)):
            wanted = b"".join(struct.pack("<IB2s", 8 if i + 1 < n else 0, 1, b"x\0") + b"\0" for i in range(n))
            r = c.call(smb.QUERY_INFO, struct.pack("<HBBIHHIII16s", 41, 1, 15, 65536, 104, 0, len(wanted), 0, 0, f) + wanted,
                       session=s, tree=t)
            assert r.status == status, (n, hex(r.status))

    def check_an_empty_file_takes_no_storage(self):
        """Also where its extended attributes take a block of their own, which the file system counts as the file's."""
        c, s = self.session()
        t = s.tree("share")
        f = self.create(c, s, t, "empty")
        assert c.call(smb.SET_INFO, ops.set_ea(f, "LARGE", b"x" * 3000), session=s, tree=t).status == smb.SUCCESS

        def storage():
            r = c.call(smb.QUERY_INFO, ops.query_info(f, level=5), session=s, tree=t)  # FileStandardInformation
            assert r.status == smb.SUCCESS, hex(r.status)
            return struct.unpack_from("<QQ", r.body, 8)

        assert storage() == (0, 0)
        assert self.write(c, s, t, f, b"a byte or two") == smb.SUCCESS
        allocated, size = storage()
        assert size == 13 and allocated >= 13, (allocated, size)

    def check_pipes_of_one_session(self):
        c, s = self.session()
        c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=2000)
        t = s.tree("IPC$")
        pipes = [self.create(c, s, t, "srvsvc", disposition=1) for _ in range(64)]
        assert all(isinstance(p, bytes) for p in pipes)
        assert self.create(c, s, t, "srvsvc", disposition=1).status == smb.INSUFFICIENT_RESOURCES
        r = c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, pipes.pop()), session=s, tree=t)
        assert r.status == smb.SUCCESS
        assert isinstance(self.create(c, s, t, "srvsvc", disposition=1), bytes)

    def check_answers_that_nobody_reads(self):
        c, s = self.session()
        c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=2000)
        t = s.tree("IPC$")
        p = self.create(c, s, t, "srvsvc", disposition=1)
        srvsvc = bytes.fromhex("c84f324b7016d30112785a47bf6ee188")
        ndr = bytes.fromhex("045d888aeb1cc9119fe808002b10486002000000")
        bind = struct.pack("<HHIBBHHBB16sI20s", 4280, 4280, 0, 1, 0, 0, 0, 1, 0, srvsvc, 3, ndr)
        call = struct.pack("<IHH", 0, 0, 999)  # no such operation: a fault

        def pdu(kind, body):
            return struct.pack("<BBBB4sHHI", 5, 0, kind, 3, b"\x10\0\0\0", 16 + len(body), 0, 1) + body

        def write(data):
            return c.call(smb.WRITE, struct.pack("<HHIQ16sIIHHI", 49, 112, len(data), 0, p, 0, 0, 0, 0, 0) + data,
                          session=s, tree=t).status
        assert write(pdu(11, bind)) == smb.SUCCESS
        assert write(pdu(0, call) * 2000) == smb.SUCCESS
        assert [write(pdu(0, call) * 2000) for _ in range(2)][-1] == 0xC00000B0

    def check_a_directory_that_fits_by_a_hair(self):
        c, s = self.session()
        t = s.tree("share")
        star = "*".encode("utf-16-le")
        for limit, names in ((14, 1), (29, 1), (30, 1), (31, 1), (32, 2)):
            d = self.create(c, s, t, "", access=1, disposition=1, options=1)
            r = c.call(smb.QUERY_DIRECTORY, struct.pack("<HBBI16sHHI", 33, 12, 0, 0, d, 96, len(star), limit) + star,
                       session=s, tree=t)
            assert r.status == smb.SUCCESS, (limit, hex(r.status))
            n = struct.unpack_from("<I", r.body, 4)[0]
            entries = r.body[8:8 + n]
            next_ = struct.unpack_from("<I", entries)[0]
            assert n <= limit and next_ == (0 if names == 1 else 16), (limit, n, next_)

    # ---- ids of others

    def uses(self, c, s, t, f):
        """The statuses of all that a file id can be used for."""
        name = "x".encode("utf-16-le")
        info = struct.pack("<QQI", 0, 0, len(name)) + name
        star = "*".encode("utf-16-le")
        bodies = ((smb.READ, struct.pack("<HBBIQ16sIIIHH", 49, 0, 0, 16, 0, f, 0, 0, 0, 0, 0) + b"\0"),
                  (smb.WRITE, struct.pack("<HHIQ16sIIHHI", 49, 112, 4, 0, f, 0, 0, 0, 0, 0) + b"evil"),
                  (smb.FLUSH, struct.pack("<HHI16s", 24, 0, 0, f)),
                  (smb.LOCK, struct.pack("<HHI16sQQII", 48, 1, 0, f, 0, 1, 18, 0)),
                  (smb.IOCTL, struct.pack("<HHI16sIIIIIIII", 57, 0, 0x140078, f, 120, 0, 0, 0, 0, 64, 1, 0)),
                  (smb.QUERY_DIRECTORY, struct.pack("<HBBI16sHHI", 33, 12, 0, 0, f, 96, len(star), 999) + star),
                  (smb.CHANGE_NOTIFY, struct.pack("<HHI16sII", 32, 0, 1000, f, 1, 0)),
                  (smb.QUERY_INFO, struct.pack("<HBBIHHIII16s", 41, 1, 18, 4096, 104, 0, 0, 0, 0, f)),
                  (smb.SET_INFO, struct.pack("<HBBIHHI16s", 33, 1, 10, len(info), 96, 0, 0, f) + info),
                  (smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, f)))
        return {command: c.call(command, body, session=s, tree=t).status for command, body in bodies}

    def check_forged_file_ids(self):
        c, s = self.session()
        t = s.tree("share")
        f = self.create(c, s, t, "forged")
        p = self.create(c, s, s.tree("IPC$"), "srvsvc", disposition=1)
        assert self.write(c, s, t, f, b"mine") == smb.SUCCESS
        d, other = self.session()
        os.environ["KRB5CCNAME"], kept = self.ccache("bob"), os.environ["KRB5CCNAME"]
        try:
            e, bob = self.session()
        finally:
            os.environ["KRB5CCNAME"] = kept
        here = [(d, other, other.tree("share")), (e, bob, bob.tree("share")), (c, s, s.tree("share")), (c, s, s.tree("IPC$"))]
        near = [f[:8] + bytes([f[8] ^ 1]) + f[9:], bytes([f[0] ^ 1]) + f[1:], f[8:] + f[:8], b"\xff" * 16, bytes(16)]
        for conn, session, tree in here:
            for fid in [f] + ([p] if session is not s else []):
                wrong = {k: hex(v) for k, v in self.uses(conn, session, tree, fid).items() if v != FILE_CLOSED}
                assert not wrong, wrong
        for fid in near:
            wrong = {k: hex(v) for k, v in self.uses(c, s, t, fid).items() if v not in (FILE_CLOSED, smb.INVALID_PARAMETER)}
            assert not wrong, (fid, wrong)
        assert self.read(c, s, t, f).body[16:20] == b"mine"

    def check_a_request_that_comes_twice(self):
        c, s = self.session()
        t = s.tree("share")
        f = self.create(c, s, t, "twice")
        body = struct.pack("<HHIQ16sIIHHI", 49, 112, 4, 0, f, 0, 0, 0, 0, 0) + b"once"
        message = self.signed(c, s, t, smb.WRITE, body)
        c.send(message)
        assert c.recv(s)[0].status == smb.SUCCESS
        c.send(message)
        assert c.closed()

    def check_a_request_of_another_connection(self):
        """Signed rightly, for a session that is not on this connection."""
        c, s = self.session()
        t = s.tree("share")
        d, other = self.session()
        d.send(s.sign(smb.header(smb.TREE_DISCONNECT, d.next_mid(), s.id, t, smb.SIGNED) + struct.pack("<HH", 4, 0)))
        assert d.recv(s)[0].status == smb.USER_SESSION_DELETED
        assert isinstance(self.create(c, s, t, "here"), bytes)

    def check_validate_negotiate_where_there_is_nothing_to_validate(self):
        c, s = self.session(0x0311)
        t = s.tree("IPC$")
        caps, guid, mode, dialects = c.offered
        data = struct.pack("<I16sHHH", caps, guid, mode, 1, 0x0311)
        body = struct.pack("<HHI16sIIIIIIII", 57, 0, smb.VALIDATE_NEGOTIATE_INFO, b"\xff" * 16, 120, len(data), 0, 0, 0, 24, 1,
                           0) + data
        try:
            assert c.call(smb.IOCTL, body, session=s, tree=t).status not in (smb.SUCCESS, smb.PENDING)
        except smb.Closed:
            pass

    def check_credits_that_do_not_pay(self):
        c, s = self.session()
        c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=500)
        t = s.tree("share")
        f = self.create(c, s, t, "paid")
        large = bytes(70000)
        read = struct.pack("<HBBIQ16sIIIHH", 49, 0, 0, 70000, 0, f, 0, 0, 0, 0, 0) + b"\0"
        write = struct.pack("<HHIQ16sIIHHI", 49, 112, len(large), 0, f, 0, 0, 0, 0, 0) + large
        info = struct.pack("<HBBIHHIII16s", 41, 1, 18, 70000, 104, 0, 0, 0, 0, f)
        for command, body in ((smb.READ, read), (smb.WRITE, write), (smb.QUERY_INFO, info)):
            r = c.call(command, body, session=s, tree=t)
            assert r.status == smb.INVALID_PARAMETER, (command, hex(r.status))
        mid = c.next_mid(2)
        c.send(s.sign(smb.header(smb.WRITE, mid, s.id, t, smb.SIGNED, charge=2) + write))
        assert c.recv(s)[0].status == smb.SUCCESS
        # The second id that was paid with is used up.
        c.send(s.sign(smb.header(smb.ECHO, mid + 1, s.id, flags=smb.SIGNED) + smb.ECHO_BODY))
        assert c.closed()

    def check_lengths_beyond_the_largest(self):
        c, s = self.session()
        for _ in range(3):
            c.call(smb.ECHO, smb.ECHO_BODY, session=s, credits=8000)
        t = s.tree("share")
        f = self.create(c, s, t, "large")
        n = 9 << 20
        for length, charge in ((n, n // 65536), (0xFFFFFFFF, 1000), (0x80000000, 1000)):
            read = struct.pack("<HBBIQ16sIIIHH", 49, 0, 0, length, 0, f, 0, 0, 0, 0, 0) + b"\0"
            c.send(s.sign(smb.header(smb.READ, c.next_mid(charge), s.id, t, smb.SIGNED, charge=charge) + read))
            r = c.recv(s)[0]
            assert r.status == smb.INVALID_PARAMETER, (hex(length), hex(r.status))
        write = struct.pack("<HHIQ16sIIHHI", 49, 112, 0xFFFFFFF0, 0, f, 0, 0, 0, 0, 0) + b"x"
        assert c.call(smb.WRITE, write, session=s, tree=t).status == smb.INVALID_PARAMETER
        for offset in (1 << 63, (1 << 64) - 1, (1 << 63) - 1):
            write = struct.pack("<HHIQ16sIIHHI", 49, 112, 4, offset, f, 0, 0, 0, 0, 0) + b"evil"
            assert c.call(smb.WRITE, write, session=s, tree=t).status != smb.SUCCESS, hex(offset)
        assert os.stat(self.home + "/share/large").st_size == 0

    # ---- live policy

    def check_a_disabled_user_is_out_at_once(self):
        c, s = self.session()
        t = s.tree("share")
        body = struct.pack("<HH", 4, 0)
        self.verb("user.disable", name="alice")
        try:
            r = c.call(smb.TREE_DISCONNECT, body, session=s, tree=t)
            assert r.status == smb.USER_SESSION_DELETED, hex(r.status)
            assert self.conn().login().status == smb.LOGON_FAILURE
        finally:
            self.verb("user.enable", name="alice")

    def check_a_flavor_taken_away_ends_the_tree(self):
        c, s = self.session()
        t = s.tree("share")
        self.verb("share.security.set", name="share", sec=["krb5p"])
        try:
            r = c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, bytes(16)), session=s, tree=t)
            assert r.status == smb.NETWORK_NAME_DELETED, hex(r.status)
        finally:
            self.verb("share.security.set", name="share", sec=["krb5"])
        assert isinstance(s.tree("share"), int)

    def check_a_removed_share_ends_the_tree(self):
        c, s = self.session()
        os.makedirs(self.laresd.dir + "/gone", exist_ok=True)
        self.verb("share.create", name="gone", path=self.laresd.dir + "/gone", sec=["krb5"])
        t = s.tree("gone")
        self.verb("share.remove", name="gone")
        time.sleep(1)  # nobody asks: it ends all the same
        r = c.call(smb.CLOSE, struct.pack("<HHI16s", 24, 0, 0, bytes(16)), session=s, tree=t)
        assert r.status == smb.NETWORK_NAME_DELETED, hex(r.status)

    def check_sessions_are_listed_and_ended(self):
        c, s = self.session()
        mine = [x for x in self.verb("session.list") if x["id"] == "%016x" % s.id]
        assert mine and mine[0]["user"] == "alice" and mine[0]["flavor"] == "krb5", mine
        self.verb("session.end", id="%016x" % s.id)
        r = c.call(smb.ECHO, smb.ECHO_BODY, session=s)
        assert r.status == smb.USER_SESSION_DELETED, hex(r.status)


if __name__ == "__main__":
    sys.exit(run(Checks))
