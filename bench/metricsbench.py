# SPDX-License-Identifier: LGPL-2.1-or-later
"""What counting costs a request: the same server with it, and with functions that count nothing (no-metrics.c), in turn."""
import lab
import report

WORKLOADS = ("null", "getattr", "randread")


class MetricsBench:
    def __init__(self, bench):
        self.bench = bench

    def servers(self):
        b = self.bench
        for name, preload in (("with", None), ("without", str(b.build / "bench" / "no-metrics.so"))):
            server = lab.Lares(str(b.work / f"metrics-{name}"), b.exports, None, str(b.build), preload)
            server.name = f"lares, {name} metrics"
            server.start()
            b.stack.callback(server.stop)
            yield server

    def check(self, counting, silent):
        """A comparison of two servers that count, or of none, would say nothing."""
        def counted(server):
            text = server.lares.verb("metrics")["text"]
            return any(line.startswith("lares_operations_total{") and '"nfs4"' in line for line in text.splitlines())
        if not counted(counting) or counted(silent):
            raise RuntimeError("the server without metrics counts, or the one with them does not")

    def run(self):
        b = self.bench
        counting, silent = self.servers()
        table = report.Table("What counting costs", ["request", "CPU us with metrics", "without", "ratio"],
                             "NFS 4.1, AUTH_SYS; CPU: microseconds of the server per operation, the best of rounds in turn: the "
                             "difference is smaller than what other work adds to most of them.")
        for workload in WORKLOADS:
            cost = {counting: [], silent: []}
            for server in cost:  # what is in the caches afterwards is there for both
                b.load(server, workload, "sys", "data", b.options.inflight, ["--seconds=0.3"], measured=False)
            for _ in range(2 * b.options.rounds + 1):
                for server, costs in cost.items():
                    r = b.load(server, workload, "sys", "data", b.options.inflight, b.extra(workload, "sys"))
                    costs.append(r["server_cpu"] / r["ops"] * 1e6)
            ours, without = (min(c) for c in cost.values())
            table.add(workload, ours, without, report.ratio(ours, without))
        self.check(counting, silent)
        b.tables.append(table)
        print("\n" + table.text(), flush=True)
