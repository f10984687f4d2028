# SPDX-License-Identifier: LGPL-2.1-or-later
"""A capture of the loopback of the test's own network (netns.py), and what Wireshark's dissectors say about it.

    with Capture(directory) as c:
        …                                     # c.keys.append(…), where what is encrypted shall be read
    c.complaints(ports={"smb": [445]})        # [] when nothing is malformed

An independent reader of every byte that the server sent: what a client lets pass does not get past it."""
import os
import re
import shutil
import signal
import struct
import subprocess
import time

# Dissectors that have nothing to say about the server, or that guess.
# On two processors, the loopback's packets may be captured in another order than they were sent in.
QUIET = ("-o", "tcp.check_checksum:FALSE", "-o", "ip.check_checksum:FALSE", "-o", "tcp.reassemble_out_of_order:TRUE")
WRONG = "_ws.malformed || _ws.expert.severity == error"


def missing():
    return next((t for t in ("dumpcap", "tshark") if not shutil.which(t)), None)


class Reader:
    """A finished capture."""

    def __init__(self, file, keytab=None, keys=()):
        self.file = file
        self.keytab = keytab
        self.keys = list(keys)  # (session id, session key, key of the server's messages, key of the client's), bytes

    def tshark(self, *more, ports=None, two_pass=True):
        """ports: {protocol: ports} where Wireshark would not look for it."""
        argv = ["tshark", "-n", "-r", self.file, *(["-2"] if two_pass else []), *QUIET]
        for protocol, numbers in (ports or {}).items():
            for port in numbers:
                argv += ["-d", f"tcp.port=={port},{protocol}"]
        for sid, *keys in dict.fromkeys(self.keys):
            argv += ["-o", 'uat:smb2_seskey_list:' + ",".join(k.hex() or '""' for k in (sid, *keys))]
        if self.keytab:
            argv += ["-o", "kerberos.decrypt:TRUE", "-o", f"kerberos.file:{self.keytab}"]
        r = subprocess.run([*argv, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                           env=dict(os.environ, LC_ALL="C.UTF-8", HOME="/nonexistent"), timeout=600)
        assert r.returncode == 0, r.stderr
        return r.stdout

    def count(self, display_filter, **more):
        """How many packets match."""
        return len(self.tshark("-Y", display_filter, "-T", "fields", "-e", "frame.number", **more).split())

    def table(self, *fields, **more):
        """Per packet the fields' values, each a list of words: what several questions need, read once."""
        names = [word for field in fields for word in ("-e", field)]
        lines = self.tshark("-T", "fields", "-E", "separator=\t", "-E", "aggregator=|", *names, **more).split("\n")
        return [[[word for word in value.split("|") if word] for value in line.split("\t")] for line in lines if line]

    def complaints(self, unless=None, **more):
        """Lines about packets that Wireshark finds malformed or in error. unless: a filter for those that are meant."""
        return self.tshark(*self._complaining(unless), **more).splitlines()

    def complaints_and_counts(self, *filters, unless=None, ports=None):
        """Both in one go: ([line], [how many packets match each filter; none has a comma])."""
        statistics = "io,stat,0," + ",".join(filters)
        lines = self.tshark("-z", statistics, *self._complaining(unless), ports=ports).splitlines()
        begin = next(i for i, line in enumerate(lines) if line.startswith("====="))
        # | 0.000 <> 1.234 | frames | bytes | frames | bytes | …
        row = next(line for line in lines[begin:] if "<>" in line)
        numbers = [int(word) for word in row.split("|")[2:] if word.strip()]
        return [line for line in lines[:begin] if line], numbers[::2]

    @staticmethod
    def _complaining(unless):
        fields = ("ip.addr", "frame.number", "tcp.srcport", "_ws.col.Protocol", "_ws.col.Info", "_ws.expert.message")
        return ("-Y", f"({WRONG}) && !({unless})" if unless else WRONG, "-T", "fields",
                *(word for field in fields for word in ("-e", field)))


class Capture(Reader):
    def __init__(self, directory, name="capture", keytab=None, buffer=128, only=None, most=None):
        """keytab: keys of the services, with which Kerberos tickets and what they protect are read. buffer: MiB that a burst
        of the loopback fits in. only: a capture filter. most: packets, then it ends."""
        super().__init__(os.path.join(str(directory), name + ".pcap"), keytab)
        self.argv = ["dumpcap", "-q", "-i", "lo", "-B", str(buffer), "-P", "-w", self.file]
        self.argv += (["-f", only] if only else []) + (["-c", str(most)] if most else [])
        self.process = None

    def __enter__(self):
        # A snap length that no record reaches.
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if line.startswith("File:"):
                return self
        raise OSError("dumpcap did not start")

    def __exit__(self, *_):
        time.sleep(0.3)  # what was sent last is on its way through the kernel's buffer
        self.process.send_signal(signal.SIGINT)
        said = self.process.stderr.read()
        self.process.wait(20)
        lost = re.search(r"dropped on interface.*?: \d+/(\d+)", said)
        if lost and int(lost.group(1)):
            raise OSError("packets were lost: " + said)


class Together(Reader):
    """Several finished captures in one: to start tshark takes longer than to read most of them. The addresses of the n-th
    one, from 1, become 127.n.x.x, so that its conversations stay its own; complaints begin with them."""

    def __init__(self, file, captures):
        super().__init__(file, captures[0].keytab, [key for c in captures for key in c.keys])
        assert len(captures) < 256 and {c.keytab for c in captures} == {self.keytab}
        parts = []
        for n, c in enumerate(captures, 1):
            with open(c.file, "rb") as f:
                data = bytearray(f.read())
            head, at = data[:24], 24
            while at < len(data):
                length, = struct.unpack_from("=I", data, at + 8)
                self._move(data, at + 16, n)
                at += 16 + length
            if len(data) > 24:
                parts.append((struct.unpack_from("=II", data, 24), n, memoryview(data)[24:]))
        with open(file, "wb") as out:
            out.write(head)
            for _, _, packets in sorted(parts):  # statistics take no packet from before the first one's time
                out.write(packets)

    @staticmethod
    def _move(data, frame, n):
        kind, = struct.unpack_from("!H", data, frame + 12)
        assert kind in (0x0800, 0x86DD), "neither IPv4 nor IPv6"
        for address in (26, 30) if kind == 0x0800 else (22, 38):
            data[frame + address + 1] = n


# At most 16 bytes, more space after the eighth; what they are as characters stands far behind them, and may look the same.
KEY_LINE = re.compile(r"^(?:(\w+ (?:Id|Key)) +)?\[([0-9A-F]{4})\] ((?:[0-9A-F]{2} {1,3}){1,16})")


def session_keys(text):
    """The keys that Samba's tools print with --option="debug encryption = yes": [(session id, session key, key of the
    server's messages, key of the client's)]."""
    found, name = [], None
    for line in text.splitlines():
        m = KEY_LINE.match(line)
        if not m:
            continue
        name = m.group(1) or (name if m.group(2) != "0000" else None)
        if name == "Session Id":
            found.append({})
        if found and name:
            found[-1][name] = found[-1].get(name, b"") + bytes.fromhex(m.group(3))
    # Wireshark takes no longer session keys, and does not need them where it has those made from them.
    return [(f["Session Id"], f["Session Key"] if len(f["Session Key"]) <= 16 else b"", f.get("ServerOut Key", b""),
             f.get("ServerIn Key", b"")) for f in found]
