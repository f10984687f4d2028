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
import subprocess
import time

# Dissectors that have nothing to say about the server, or that guess.
# On two processors, the loopback's packets may be captured in another order than they were sent in.
QUIET = ("-o", "tcp.check_checksum:FALSE", "-o", "ip.check_checksum:FALSE", "-o", "tcp.reassemble_out_of_order:TRUE")
WRONG = "_ws.malformed || _ws.expert.severity == error"


def missing():
    return next((t for t in ("dumpcap", "tshark") if not shutil.which(t)), None)


class Capture:
    def __init__(self, directory, name="capture", keytab=None, buffer=128, only=None, most=None):
        """keytab: keys of the services, with which Kerberos tickets and what they protect are read. buffer: MiB that a burst
        of the loopback fits in. only: a capture filter. most: packets, then it ends."""
        self.file = os.path.join(str(directory), name + ".pcapng")
        self.keytab = keytab
        self.argv = ["dumpcap", "-q", "-i", "lo", "-B", str(buffer), "-w", self.file]
        self.argv += (["-f", only] if only else []) + (["-c", str(most)] if most else [])
        self.keys = []  # (session id, session key, key of the server's messages, key of the client's), bytes
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

    def tshark(self, *more, ports=None, two_pass=True):
        """ports: {protocol: ports} where Wireshark would not look for it."""
        argv = ["tshark", "-n", "-r", self.file, *(["-2"] if two_pass else []), *QUIET]
        for protocol, numbers in (ports or {}).items():
            for port in numbers:
                argv += ["-d", f"tcp.port=={port},{protocol}"]
        for sid, *keys in self.keys:
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
        wrong = f"({WRONG}) && !({unless})" if unless else WRONG
        text = self.tshark("-Y", wrong, "-T", "fields", "-e", "frame.number", "-e", "tcp.srcport", "-e", "_ws.col.Protocol",
                           "-e", "_ws.col.Info", "-e", "_ws.expert.message", **more)
        return text.splitlines()


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
