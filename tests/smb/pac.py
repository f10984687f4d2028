# SPDX-License-Identifier: LGPL-2.1-or-later
"""The logon information of a PAC, as Active Directory writes it: KERB_VALIDATION_INFO, [MS-PAC] 2.5. Domains are S-1-5-21-N-2-3, the
user's N is 1."""
import struct


class _Ndr:
    def __init__(self):
        self.out = bytearray()

    def put(self, *numbers):
        self.out += bytes(-len(self.out) % 4)
        self.out += struct.pack("<%dI" % len(numbers), *numbers)

    def head(self, text):
        self.out += struct.pack("<HHI", 2 * len(text), 2 * len(text), 0x20004)

    def text(self, text):
        self.put(len(text), 0, len(text))
        self.out += text.encode("utf-16-le")

    def sid(self, domain, *rid):
        sub = (21, domain, 2, 3, *rid)
        self.put(len(sub))
        self.out += struct.pack("<BB6s%dI" % len(sub), 1, len(sub), bytes((0, 0, 0, 0, 0, 5)), *sub)

    def members(self, rids):
        self.put(len(rids))
        for rid in rids:
            self.put(rid, 7)


def logon_info(account="alice", rid=1104, groups=(513,), extra=(), resource=(0, ())):
    """extra: (N, RID) of other domains; resource: N and RIDs of the server's."""
    n = _Ndr()
    domain, local = resource
    n.put(0x20000)
    n.out += bytes(48)
    for text in (account, "", "", "", "", ""):
        n.head(text)
    n.put(0, rid, 513, len(groups), 0x20008, 0x220)
    n.out += bytes(16)
    n.head("DC1")
    n.head("CORP")
    n.put(0x2000C)
    n.out += bytes(40)
    n.put(len(extra), 0x20010 if extra else 0, 0x20014 if local else 0, len(local), 0x20018 if local else 0)
    for text in (account, "", "", "", "", ""):
        n.text(text)
    n.members(groups)
    n.text("DC1")
    n.text("CORP")
    n.sid(1)
    if extra:
        n.put(len(extra))
        for _ in extra:
            n.put(0x30000, 7)
        for one in extra:
            n.sid(*one)
    if local:
        n.sid(domain)
        n.members(local)
    n.out += bytes(-len(n.out) % 8)
    return struct.pack("<BBH4sII", 1, 0x10, 8, b"\xcc" * 4, len(n.out), 0) + bytes(n.out)
