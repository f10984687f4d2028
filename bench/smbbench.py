# SPDX-License-Identifier: LGPL-2.1-or-later
"""The SMB part of bench/run: laresd beside smbd as Debian configures it, and beside smbd as its friends tune it."""

import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import goals
import lab
import report
import smblab

SERVERS = ("samba", "tuned", "lares")
PROTECTIONS = ("plain", "gmac", "cmac", "gcm")
BULK = [(w, sec) for w in ("read", "write") for sec in PROTECTIONS]
# workload, protection, further options
OPERATIONS = [("randread", "plain", []), ("randread", "gcm", []), ("open", "plain", []), ("stat", "plain", []),
              ("readdir", "plain", []), ("tree", "plain", []), ("login", "plain", ["--inflight=4"])]
SIZES = (500, 5000)  # of the folder in which files are created
CREATES = 200
SHORT_RUNS = 3  # of Lares in a round: 200 files are over in some 20 ms
STORM, STORM_SAMBA = 500, 100


def say(text):
    print(text, flush=True)


def available(names, build, note):
    """Those of the servers that can be started here."""
    out = []
    for name in names:
        if name == "lares" and not lab.Lares.available(build):
            note(f"no laresd in {build}")
        elif name != "lares" and not shutil.which("smbd"):
            note("smbd is not installed: there is nothing to compare SMB with")
        else:
            out.append(name)
    return out


class SmbBench:
    """bench: the run this is a part of; it keeps tables, goals and notes."""

    def __init__(self, bench):
        self.bench = bench
        self.options = bench.options
        self.work = bench.work / "smb"
        self.work.mkdir()
        os.chmod(self.work, 0o755)
        self.smbload = str(bench.build / "bench" / "smbload")
        self.stack = contextlib.ExitStack()
        self.worst = (0.0, "nothing")  # of all ratios to the tuned smbd
        self.servers = {}
        self.began = time.monotonic()

    # -- set-up

    def run(self):
        with self.stack:
            names = available(self.options.smb_servers, str(self.bench.build), self.bench.note)
            if not names:
                return
            self.realm = self.stack.enter_context(smblab.Realm(str(self.work / "realm")))
            self.folder = self.make_folder()
            for name in names:
                self.servers[name] = self.make(name)
            self.starts()
            for server in self.servers.values():
                server.start()
                self.stack.callback(server.stop)
            self.cross_check()
            self.bulk()
            self.operations()
            self.storm()
            if {"lares", "tuned"} <= set(self.servers):
                self.bench.goals.most(f"SMB: the worst ratio to tuned smbd ({self.worst[1]})", 1, self.worst[0])

    def make_folder(self):
        """On the journaled file system where there is one; with the folders that have entries."""
        kind = next((k for k in self.options.metadata if k in self.bench.exports), "data")
        folder = pathlib.Path(self.bench.exports[kind]) / "smb"
        folder.mkdir()
        os.chmod(folder, 0o777)
        for n in SIZES:
            (folder / f"e{n}").mkdir()
            os.chmod(folder / f"e{n}", 0o777)
            for i in range(n):
                path = folder / f"e{n}" / f"e{i:09}"
                path.touch()
                os.chmod(path, 0o666)
        self.stack.callback(shutil.rmtree, folder, True)
        self.kind = kind
        return folder

    def make(self, name):
        work = str(self.work / name)
        exports = {"data": str(self.folder)}
        if name == "lares":
            return smblab.SmbLares(work, exports, self.realm, str(self.bench.build))
        return (smblab.Samba if name == "samba" else smblab.TunedSamba)(work, exports, self.realm)

    # -- one run

    def load(self, server, workload, sec, extra=(), measured=True):
        argv = [self.smbload, f"--port={server.port}", "--share=data", f"--spn={self.realm.host}", f"--sec={sec}",
                f"--inflight={self.options.inflight}", f"--file=data.{server.name}", "--filesize=128m", "--stall=20",
                f"--server-pid={server.process.pid}", *extra, workload]
        done = subprocess.run(argv, env=self.realm.client_env(), capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            raise RuntimeError(f"smbload: {done.stderr.strip()[-400:]}")
        r = json.loads(done.stdout)
        r.update(server="smb " + server.name, rc=done.returncode, stderr=done.stderr.strip()[-400:])
        r["busy"] = r["other_cpu"] / max(r["seconds"], 0.01) / os.cpu_count()
        if measured:
            self.bench.results.append(r)
        if r["errors"] or r["lost"] or r["failed_connections"]:
            self.bench.note(f"SMB, {server.name}: {workload} {sec}: {r['errors']} errors, {r['lost']} lost, "
                            f"{r['failed_connections']} connections failed: {r['stderr']}")
        return r

    def cross_check(self):
        """Before anything is timed: what was written is what is read, with every answer decrypted or its signature
        checked."""
        for server in self.servers.values():
            for sec in PROTECTIONS:
                r = self.load(server, "read", sec, ["--seconds=0.2", "--check-data", "--inflight=4"], False)
                if r["errors"] or r["lost"] or not r["ops"]:
                    self.bench.note(f"SMB, {server.name}, {sec}: reads do not check out")

    def count(self):
        return self.bench.rounds(self.began, self.options.smb_minutes)

    def rounds(self, workload, sec, extra):
        """Interleaved; {server: its runs}."""
        out = {name: [] for name in self.servers}
        for _ in range(self.count()):
            for name, server in self.servers.items():
                r = self.load(server, workload, sec, extra)
                if r["ops"] and not r["errors"]:
                    out[name].append(r)
        return out

    # -- tables

    def columns(self, *first):
        names = list(self.servers)
        others = [n for n in names if n != "lares"] if "lares" in names else []
        return [*first, *(f"{n} CPU" for n in names), *(f"to {n}" for n in others), *(f"{n} speed" for n in names),
                *(f"{n} p99 us" for n in names)]

    def add_row(self, table, label, unit, runs, key=None):
        """key: of the goal against smbd as it comes."""
        got = {name: self.bench.median(unit, r, 0) for name, r in runs.items() if r}

        def column(what):
            return [got[n][what] if n in got else None for n in self.servers]

        others = [n for n in self.servers if n != "lares"] if "lares" in self.servers else []
        ratios = {n: got["lares"]["cpu"] / got[n]["cpu"] for n in others if n in got and "lares" in got}
        busy = any(g["busy"] > 0.1 for g in got.values())
        row = [label + (" *" if busy else ""), *column("cpu"), *(report.ratio(ratios.get(n), 1) for n in others),
               *column("speed"), *column("p99")]
        table.add(*row)
        say("  " + "  ".join(c if isinstance(c, str) else report.figure(c) for c in row))
        if ratios.get("tuned", 0) > self.worst[0]:
            self.worst = (ratios["tuned"], label)
        if "lares" in got:
            self.bench.goals.smb_cpu(key or label, ratios.get("samba"))
        return got

    def show(self, table):
        self.bench.tables.append(table)
        say("\n" + table.text())

    def bulk(self):
        table = report.Table("SMB: bulk data", self.columns("workload"),
                             f"3.1.1, 1 MiB each, {self.options.inflight} in flight on one connection, on "
                             f"{self.kind}. CPU: seconds of the server's processes per GB (10^9 bytes); speed: MB/s; "
                             f"\"to\": the CPU of Lares as a part of the other's.")
        for workload, sec in BULK:
            runs = self.rounds(workload, sec, [f"--seconds={self.seconds()}", "--no-verify"])
            self.add_row(table, f"{workload} {sec}", "GB", runs)
        self.show(table)

    def seconds(self):
        return min(self.options.seconds, 1.0)

    def operations(self):
        table = report.Table("SMB: operations", self.columns("workload"),
                             f"CPU: microseconds of the server's processes per operation; speed: operations per "
                             f"second; on {self.kind}. open and create are CREATE and CLOSE in two messages, unlink the "
                             f"same with delete-on-close, stat is CREATE, QUERY_INFO and CLOSE in one; readdir lists a folder of "
                             f"{SIZES[0]:,}; tree is TREE_CONNECT and TREE_DISCONNECT; login a further session with a "
                             f"Kerberos ticket, and its end, on a connection that is there.")
        for workload, sec, extra in OPERATIONS:
            runs = self.rounds(workload, sec, [f"--seconds={self.seconds()}", f"--folder=e{SIZES[0]}",
                                               f"--entries={SIZES[0]}", *extra])
            self.add_row(table, f"{workload} {sec}", "op", runs)
        flat = []
        for n in SIZES:
            created = {name: [] for name in self.servers}
            unlinked = {name: [] for name in self.servers}
            for _ in range(self.count()):
                for name, server in self.servers.items():
                    extra = [f"--count={CREATES}", f"--folder=e{n}", f"--entries={n}"]
                    for _ in range(SHORT_RUNS if name == "lares" else 1):
                        created[name].append(self.load(server, "create", "plain", extra))
                        unlinked[name].append(self.load(server, "unlink", "plain", extra))
            got = self.add_row(table, f"create in {n:,}", "op", created)
            self.add_row(table, f"unlink in {n:,}", "op", unlinked)
            flat.append(got.get("lares", {}).get("cpu"))
        if all(flat):
            self.bench.goals.most(f"SMB: create in {SIZES[1]:,} entries to {SIZES[0]:,}, Lares alone",
                                  goals.SMB_FLAT, flat[1] / flat[0])
        self.show(table)

    # -- start, memory, many at once

    def starts(self):
        table = report.Table("SMB: start", ["server", "first NEGOTIATE ms", "CPU ms until then"],
                             "From exec to the first answered NEGOTIATE, medians; a state directory is there.")
        got = {}
        ways = {name: ([], []) for name in self.servers}
        for _ in range(max(3, self.options.starts // 2)):
            for name, server in self.servers.items():
                server.start()
                ways[name][0].append(server.start_ms)
                ways[name][1].append(server.cpu_exact() * 1000)
                server.stop()
        for name, (ms, cpu) in ways.items():
            got[name] = statistics.median(ms)
            table.add(name, got[name], statistics.median(cpu))
        if {"lares", "samba"} <= set(got):
            self.bench.goals.most("SMB: start to the first NEGOTIATE, of smbd's", 1, got["lares"] / got["samba"])
        self.show(table)

    def storm(self):
        table = report.Table("SMB: many clients at once",
                             ["server", "clients", "all served after s", "CPU ms each", "p99 ms",
                              "memory each, idle, KB"],
                             "Each client is a connection of its own: TCP, NEGOTIATE, SESSION_SETUP with a Kerberos "
                             "ticket, TREE_CONNECT. Memory is that of all processes (PSS) one second later, less what "
                             "it was before.")
        cpu = {}
        for name, server in self.servers.items():
            for clients in ([STORM_SAMBA, STORM] if name == "lares" else [STORM_SAMBA]):
                server.stop()  # so that no memory is there that earlier clients needed
                server.start()
                r = self.load(server, "connect", "plain", [f"--connections={clients}", "--inflight=1"])
                if not r["ops"]:
                    continue
                each = (r["memory_after"] - r["memory_before"]) / r["ops"] / 1024
                table.add(name, f"{clients:,}", r["seconds"], r["server_cpu"] / r["ops"] * 1e3, r["p99_us"] / 1e3,
                          each)
                cpu.setdefault(name, r["server_cpu"] / r["ops"])
                if clients == STORM:
                    served = r["seconds"] if r["ops"] == STORM else None
                    self.bench.goals.most(f"SMB: {STORM} clients at once, all served", goals.SMB_STORM_S, served, " s")
                    self.bench.goals.most("SMB: an idle session", goals.SMB_IDLE_KB, each, " KB")
        if {"lares", "samba"} <= set(cpu):
            self.bench.goals.smb_cpu("connect", cpu["lares"] / cpu["samba"])
        self.show(table)
