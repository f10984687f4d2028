# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the numbers are to reach, and whether they did. Ratios are Lares to ganesha of the same run."""

import report

# (workload, flavor, folder): the server's CPU per GB or per operation, as a part of ganesha's, at most.
CPU = {
    ("read", "sys", "data"): 0.4,
    ("write", "sys", "data"): 0.7,
    ("randread", "sys", "data"): 1 / 2.5,
    ("getattr", "sys", "data"): 1 / 2.5,
    ("create", "sys", "ext4"): 1 / 5,
    ("unlink", "sys", "ext4"): 1 / 3,
    ("read", "krb5i", "data"): 0.5,
    ("write", "krb5i", "data"): 0.5,
    ("read", "krb5p", "data"): 0.33,
    ("write", "krb5p", "data"): 0.25,
}
SEALING_PERCENT = 80  # of AES-256-CBC and SHA-1 one after the other, aes256-cts-hmac-sha1-96
SCALING = 1.7         # one connection, krb5p reads, two cores to one
START_MS = 100
IDLE_RSS_MB = 20
IDLE_CONNECTIONS = (10000, 64)  # so many take so many MB more

# The server's CPU per GB or per operation, as a part of smbd's as Debian configures it, at most.
SMB_CPU = {
    "read plain": 0.5,
    "write plain": 0.8,
    **{f"{w} {sec}": 0.75 for w in ("read", "write") for sec in ("gmac", "cmac", "gcm")},
    "randread plain": 1 / 2.5,
    "open plain": 1 / 2.5,
    "stat plain": 1 / 2.5,
    "create in 500": 1 / 8,
    "create in 5,000": 1 / 8,
    "unlink in 500": 1 / 3,
    "connect": 1 / 10,
}
SMB_NAMES = {"connect": "connecting with Kerberos (TCP to TREE_CONNECT)"}
REST_TICKET = 3    # a request by ticket, CPU of Apache's with mod_auth_gssapi, which needs no directory and no JSON
REST_PAGE_MS = 20  # CPU of a page of 100 of a list of 10,000
SMB_FLAT = 1.3   # create in ten times the entries
SMB_STORM_S = 3  # until 500 clients that come at once are served
SMB_IDLE_KB = 64


class Goals:
    def __init__(self):
        self.rows = []

    def most(self, what, limit, value, unit=""):
        self._add(what, f"at most {limit:.3g}{unit}", value, value is not None and value <= limit)

    def least(self, what, limit, value, unit=""):
        self._add(what, f"at least {limit:.3g}{unit}", value, value is not None and value >= limit)

    def _add(self, what, wanted, value, reached):
        verdict = "not measured" if value is None else "reached" if reached else "NOT REACHED"
        self.rows.append((what, wanted, value, verdict))

    def cpu(self, workload, sec, folder, ratio):
        limit = CPU.get((workload, sec, folder))
        if limit is not None:
            where = "" if folder == "data" else f", {folder} with a journal"
            self.most(f"CPU of {workload} {sec}{where}, of ganesha's", limit, ratio)

    def smb_cpu(self, what, ratio):
        limit = SMB_CPU.get(what)
        if limit is not None:
            self.most(f"SMB: CPU of {SMB_NAMES.get(what, what)}, of smbd's", limit, ratio)

    def table(self):
        table = report.Table("Goals", ["goal", "wanted", "measured", "verdict"],
                             "CPU ratios are per GB or per operation, so 0.2 is five times the "
                             "operations of a CPU second.")
        for what, wanted, value, verdict in self.rows:
            table.add(what, wanted, value, verdict)
        return table
