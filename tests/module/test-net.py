#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The data plane through the echo protocol: whole records in, replies out, whatever the peer does."""
import os
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from laresd import Laresd, sanitized

ECHO, SLEEP, BYTES, FILE, SILENT, LATER, CLOSE, SPIN, COUNT, UNSPLICED, UNREADABLE = range(1, 12)
SANITIZED = sanitized() or os.environ.get("LARES_SLOW")
FILE_SIZE = 1 << 20


def record(what, much=0, data=b"", direct=False):
    body = struct.pack(">II", what, much) + data
    return struct.pack(">I", (0 if direct else 0x80000000) | len(body)) + body


def exactly(s, n):
    got = bytearray()
    while len(got) < n:
        b = s.recv(min(n - len(got), 1 << 20))
        if not b:
            raise EOFError("closed after %d of %d bytes" % (len(got), n))
        got += b
    return bytes(got)


def reply(s):
    n = struct.unpack(">I", exactly(s, 4))[0] & 0x7fffffff
    return exactly(s, n)


def ended(s, timeout=60):
    """Whether the server closes the connection (reads what is left)."""
    s.settimeout(timeout)
    try:
        while s.recv(1 << 16):
            pass
        return True
    except ConnectionResetError:
        return True
    except socket.timeout:
        return False


def daemon(server=None, **settings):
    settings.setdefault("listen", "127.0.0.1:@PORT@")
    settings.setdefault("file", "@DIR@/data")
    return Laresd({"test-echo": settings}, server=server, files={"data": "0123456789abcdef" * (FILE_SIZE // 16)})


def counters(d):
    with d.connect() as s:
        s.sendall(record(COUNT))
        return struct.unpack(">III", reply(s)[8:])


def test_echo_of_all_sizes():
    sizes = [0, 1, 2, 3, 4, 5, 100, 4095, 4096, 4097, 65519, 65524, 65528, 65529, 65536, 70001, 200000, 1 << 20]
    with daemon() as d, d.connect() as s:
        for n in sizes:
            data = os.urandom(n)
            s.sendall(record(ECHO, 0, data))
            assert reply(s)[8:] == data, n


def test_records_in_pieces():
    rng = random.Random(7)
    with daemon() as d, d.connect() as s:
        for n in (0, 5, 300, 5000, 66000, 300000):
            data = rng.randbytes(n)
            stream = record(ECHO, 0, data) * 2
            at = 0
            while at < len(stream):
                step = rng.choice((1, 2, 3, 7, 100, 3000, 70000)) if at < 20 else rng.choice((700, 3000, 70000))
                s.sendall(stream[at:at + step])
                at += step
                time.sleep(0.0005)
            assert reply(s)[8:] == data
            assert reply(s)[8:] == data


def test_fragments():
    with daemon() as d, d.connect() as s:
        data = os.urandom(100001)
        body = struct.pack(">II", ECHO, 0) + data
        stream = b""
        rng = random.Random(3)
        at = 0
        while at < len(body):
            n = rng.choice((0, 1, 3, 4, 1000, 30000))
            part = body[at:at + n]
            at += n
            stream += struct.pack(">I", len(part) | (0x80000000 if at >= len(body) else 0)) + part
        s.sendall(stream)
        assert reply(s) == body
        # one byte per fragment
        body = body[:3000]
        s.sendall(b"".join(struct.pack(">IB", 1 | (0x80000000 if i == len(body) - 1 else 0), b)
                           for i, b in enumerate(body)))
        assert reply(s) == body


def test_direct_tcp_framing():
    with daemon(**{"direct-tcp": True}) as d, d.connect() as s:
        for n in (0, 3, 70000, 1 << 20):
            data = os.urandom(n)
            s.sendall(record(ECHO, 0, data, direct=True))
            assert reply(s)[8:] == data
        s.sendall(struct.pack(">I", 0x81000004) + b"abcd")
        assert ended(s)


def test_pipelining_loses_nothing():
    with daemon() as d, d.connect() as s:
        total, sent, got = 30000 if not SANITIZED else 6000, 0, set()
        rng = random.Random(1)
        s.setblocking(False)
        out, buf = b"", b""
        while len(got) < total:
            if len(out) < 65536 and sent < total:
                n = min(500, total - sent)
                out += b"".join(record(ECHO, 0, struct.pack(">I", sent + i) + b"x" * rng.randrange(60))
                                for i in range(n))
                sent += n
            r, w, _ = select.select([s], [s] if out else [], [], 20)
            assert r or w
            if w:
                out = out[s.send(out):]
            if r:
                buf += s.recv(1 << 20)
                while len(buf) >= 4:
                    n = struct.unpack_from(">I", buf)[0] & 0x7fffffff
                    if len(buf) < 4 + n:
                        break
                    number = struct.unpack_from(">I", buf, 12)[0]
                    assert number not in got
                    got.add(number)
                    buf = buf[4 + n:]


def test_one_connection_uses_several_workers():
    with daemon({"workers": 4}) as d, d.connect() as s:
        def all_slow():
            began = time.monotonic()
            for i in range(8):
                s.sendall(record(SLEEP, 200, struct.pack(">I", i)))
            numbers = sorted(struct.unpack(">I", reply(s)[8:])[0] for _ in range(8))
            assert numbers == list(range(8))
            return time.monotonic() - began
        tap.in_time(1.0, all_slow)  # 1.6 s one after the other


def test_burst_in_one_write_uses_several_workers():
    with daemon({"workers": 4}) as d, d.connect() as s:
        for _ in range(200):  # known to be cheap
            s.sendall(record(ECHO))
            reply(s)

        def cheap_and_slow():
            began = time.monotonic()
            s.sendall(b"".join(record(SLEEP, 200) for i in range(4)) + record(ECHO, 9))
            first = struct.unpack_from(">I", reply(s))[0]
            cheap = time.monotonic() - began
            for _ in range(4):
                reply(s)
            # All are late where the cheap one waited for the slow ones, or these for each other.
            return time.monotonic() - began if first == ECHO and cheap < 0.15 else 1
        tap.in_time(0.6, cheap_and_slow)


def segments_in(s):
    """How many segments with data came so far (tcpi_data_segs_in)."""
    return struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 152)[0]


def test_small_replies_leave_together():
    """Those of requests that are there at the same time, and nothing is lost or out of order by it."""
    with daemon({"workers": 4}) as d, d.connect() as s:
        counts, lone = [], []
        for turn in range(20):
            for _ in range(20):  # known to be cheap, whatever else the machine does
                s.sendall(record(ECHO))
                reply(s)
            before, began = segments_in(s), time.monotonic()
            s.sendall(record(ECHO))
            reply(s)
            lone.append(time.monotonic() - began)
            assert segments_in(s) == before + 1
            before = segments_in(s)
            s.sendall(b"".join(record(ECHO, 0, struct.pack(">I", i)) for i in range(24)))
            assert sorted(struct.unpack_from(">I", reply(s), 8)[0] for _ in range(24)) == list(range(24))
            counts.append(segments_in(s) - before)
        print("# 24 replies in %s segments; one alone took %d us" % (sorted(counts), min(lone) * 1e6))
        assert min(counts) <= 4, counts
        assert sum(counts) < 20 * 16 or SANITIZED, counts


def test_replies_do_not_wait_for_a_request_that_hangs():
    """Replies that were held back to leave together must leave when the last of the batch hangs."""
    with daemon({"workers": 4}) as d, d.connect() as s:
        for _ in range(200):
            s.sendall(record(ECHO))
            reply(s)

        def beside_one_that_hangs():
            began = time.monotonic()
            s.sendall(b"".join(record(ECHO, i) for i in range(5)) + record(SLEEP, 700))
            for _ in range(5):
                assert struct.unpack_from(">I", reply(s))[0] == ECHO
            s.sendall(record(ECHO))  # nor is the connection left unread meanwhile
            assert struct.unpack_from(">I", reply(s))[0] == ECHO
            took = time.monotonic() - began
            reply(s)
            return took
        tap.in_time(0.5, beside_one_that_hangs)


def test_more_workers_while_all_hang():
    with daemon({"workers": 2, "max-workers": 32}) as d:
        slow = [d.connect() for _ in range(12)]

        def beside_all_that_hang():
            for s in slow:
                s.sendall(record(SLEEP, 1500))
            time.sleep(0.5)
            began = time.monotonic()
            with d.connect() as s:
                s.sendall(record(ECHO))
                reply(s)
            took = time.monotonic() - began
            for s in slow:
                reply(s)
            return took
        tap.in_time(0.6, beside_all_that_hang)
        for s in slow:
            s.close()


def workers(d):
    names = []
    for task in os.listdir("/proc/%d/task" % d.pid):
        with open("/proc/%d/task/%s/comm" % (d.pid, task)) as f:
            names.append(f.read())
    return sum(n.startswith("worker-") for n in names)


def test_no_more_workers_while_all_compute():
    """Threads beyond the processors do not make computing faster; they stand in each other's way."""
    n = os.cpu_count()
    with daemon({"workers": n, "max-workers": 32}) as d:
        busy = [d.connect() for _ in range(4 * n)]
        for s in busy:
            s.sendall(record(SPIN, 60000) * 2)
        most = 0
        for s in busy:
            for _ in range(2):
                reply(s)
            most = max(most, workers(d))
            s.close()
        assert most < 2 * n + 2, most


def test_files_as_replies():
    data = b"0123456789abcdef" * (FILE_SIZE // 16)
    with daemon() as d, d.connect() as s:
        sizes = (0, 1, 4096, 32768, 32769, 100003, FILE_SIZE, FILE_SIZE + 70001)
        for n in sizes:
            s.sendall(record(FILE, n))
            b = reply(s)
            want = data[:n] + bytes(max(0, n - FILE_SIZE)) + bytes(-n & 3)
            assert b[8:] == want, n
        assert counters(d)[2] == len(sizes)


def test_many_file_replies_in_flight():
    data = b"0123456789abcdef" * (FILE_SIZE // 16)
    with daemon() as d, d.connect() as s:
        rng = random.Random(5)
        sizes = [rng.choice((10, 5000, 40000, 300000, FILE_SIZE)) for _ in range(40)]
        s.sendall(b"".join(record(FILE, n) for n in sizes))
        got = []
        for _ in sizes:
            b = reply(s)
            n = struct.unpack_from(">I", b, 4)[0]
            assert b[8:8 + n] == data[:n]
            got.append(n)
        assert sorted(got) == sorted(sizes)


def test_files_that_cannot_be_spliced():
    """sendfile(2) refuses them: they are read instead, beside others, and a peer that is slow gets them whole."""
    with daemon() as d, d.connect() as s:
        sizes = (40000, 1 << 20, (1 << 20) + 1, 3 << 20)
        s.sendall(b"".join(record(UNSPLICED, n) + record(FILE, 40000) for n in sizes))
        time.sleep(0.3)
        got = {n: [] for n in sizes}
        for _ in range(2 * len(sizes)):
            b = reply(s)
            what, n = struct.unpack_from(">II", b)
            if what == UNSPLICED:
                got[n].append(b[8:] == (b"spliced" * (n // 7 + 1))[:n])
            else:
                assert b[8:] == b"0123456789abcdef" * 2500
        assert got == {n: [True] for n in sizes}, got
        assert counters(d)[2] == 2 * len(sizes)


def test_file_that_cannot_be_read():
    """Its reply has begun when that is found: the connection ends, and the log says why."""
    with daemon() as d, d.connect() as s:
        s.sendall(record(UNREADABLE, 100000))
        assert ended(s)
        d.wait_log("cannot read a file that is being sent to 127.0.0.1: Input/output error: connection closed")
        assert counters(d)[2] == 1


def congestion_control(port, peer):
    """Of the server's end of a connection, as the kernel tells it."""
    text = subprocess.run(["ss", "-tinH", "sport", "=", f":{port}", "and", "dport", "=", f":{peer}"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return text.split("\n")[1].split()[0] if text.strip() else ""


def test_no_pacing_on_this_machine():
    """A peer on the same machine by whichever address: no timer for each packet, whatever the system's default."""
    with daemon(listen="[::]:@PORT@") as d:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.77"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as s:
                s.connect((address, d.port))
                s.sendall(record(ECHO))
                reply(s)
                assert congestion_control(d.port, s.getsockname()[1]) == "reno", address


def test_later_and_silent():
    with daemon() as d, d.connect() as s:
        for i in range(50):
            s.sendall(record(SILENT) + record(LATER, 0, b"x%d" % i))
        got = sorted(reply(s)[8:] for _ in range(50))
        assert got == sorted(b"x%d" % i for i in range(50))
        s.sendall(record(CLOSE))
        assert ended(s)


def test_half_close_still_gets_answers():
    with daemon() as d, d.connect() as s:
        s.sendall(record(SLEEP, 100) + record(BYTES, 3 << 20))
        s.shutdown(socket.SHUT_WR)
        assert sorted((len(reply(s)), len(reply(s)))) == [8, 8 + (3 << 20)]
        assert ended(s)


def test_oversize_record_closes_only_its_connection():
    with daemon(**{"max-record": "1M"}) as d, d.connect() as good:
        for head in (0x80000000 | (1 << 20) + 1, 0xffffffff, 0x7fffffff):
            with d.connect() as s:
                s.sendall(struct.pack(">I", head) + b"x" * 100)
                assert ended(s)
        good.sendall(record(ECHO, 0, bytes((1 << 20) - 8)))
        assert len(reply(good)) == 1 << 20


def test_announced_but_never_sent_costs_nothing():
    with daemon() as d:
        before = d.rss()
        peers = [d.connect() for _ in range(500)]
        for s in peers:
            s.sendall(struct.pack(">I", 0x80000000 | (1 << 20)) + b"x" * 3000)
        time.sleep(0.3)
        each = (d.rss() - before) / len(peers)
        assert SANITIZED or each < 16384, each
        for s in peers:
            s.close()


def test_reader_that_never_reads():
    with daemon({"stall-timeout": "2s"}) as d:
        before = d.rss()
        peers = []
        for _ in range(4):
            s = d.connect()
            s.setblocking(False)
            peers.append(s)
        request = record(BYTES, 1 << 20) * 10
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            for s in peers:
                try:
                    s.send(request)
                except BlockingIOError:
                    pass
            time.sleep(0.01)
        cpu = d.cpu()
        time.sleep(0.5)
        spent, grown = d.cpu() - cpu, d.rss() - before
        assert spent < 0.1, "busy with peers that do not read: %.2f s" % spent
        assert SANITIZED or grown < 200 << 20, grown
        with d.connect() as s:  # others are served
            s.sendall(record(ECHO))
            reply(s)
        d.wait_log("makes no progress")
        asked = 0
        while counters(d)[1] < len(peers) + 2 + asked:  # all of them, the one above and start()'s, those that ask
            asked += 1
            assert asked < 200
            time.sleep(0.1)
        for s in peers:
            s.setblocking(True)
            assert ended(s)


def attack(d, n, first, host="127.0.0.2"):
    """n connections from another address, each with the first bytes of its record, or what went into the socket."""
    peers = []
    for _ in range(n):
        s = socket.socket()
        s.bind((host, 0))
        s.connect(("127.0.0.1", d.port))
        s.setblocking(False)
        peers.append([s, first])
    end = time.monotonic() + 60
    while any(p[1] for p in peers) and time.monotonic() < end:
        for p in peers:
            try:
                if p[1]:
                    p[1] = p[1][p[0].send(p[1]):]
            except BlockingIOError:
                pass
            except OSError:  # closed already
                p[1] = b""
        yield [p[0] for p in peers]


def test_half_records_of_many_are_bounded():
    """Not every connection a mebibyte, and the one that pays is not who has little."""
    with daemon({"peer-memory": "16M"}, **{"max-record": "1M"}) as d, d.connect() as good, d.connect() as busy:
        data = os.urandom(1 << 18)
        good.sendall(record(ECHO, 0, data)[:100000])  # older than all the others
        before = d.rss()
        most, peers = 0, []
        for peers in attack(d, 200, record(ECHO, 0, bytes((1 << 20) - 8))[:950000]):
            most = max(most, d.rss() - before)
        assert SANITIZED or most < 48 << 20, most
        d.wait_log("take more than peer-memory")
        busy.sendall(record(ECHO, 0, data))
        assert reply(busy)[8:] == data
        good.sendall(record(ECHO, 0, data)[100000:])
        assert reply(good)[8:] == data
        left = sum(not select.select([s], [], [], 0)[0] for s in peers)
        assert 5 <= left <= 60, left  # some may stay: what there is room for
        for s in peers:
            s.close()


def test_unread_answers_of_many_are_bounded():
    with daemon({"peer-memory": "16M", "stall-timeout": "60s"}, **{"max-in-flight": 4}) as d:
        before = d.rss()
        most, peers = 0, []
        for peers in attack(d, 60, record(BYTES, 1 << 20) * 20):
            most = max(most, d.rss() - before)
        d.wait_log("take more than peer-memory")
        end = time.monotonic() + 60
        while time.monotonic() < end and not SANITIZED and d.rss() - before > 60 << 20:
            time.sleep(0.1)
        assert SANITIZED or d.rss() - before < 60 << 20, (d.rss() - before, most)
        with d.connect() as s:  # and others are served, whatever their answers' size
            s.sendall(record(BYTES, 1 << 20) * 3)
            for _ in range(3):
                assert len(reply(s)) == 8 + (1 << 20)
        for s in peers:
            s.close()


def test_half_a_record_times_out():
    with daemon({"stall-timeout": "1s"}) as d:
        idle, half, header, slow = [d.connect() for _ in range(4)]
        half.sendall(record(ECHO, 0, bytes(100))[:50])
        header.sendall(b"\x80")
        began = time.monotonic()
        assert ended(half) and ended(header)
        assert time.monotonic() - began > 0.9
        idle.sendall(record(ECHO))  # who says nothing at all may stay
        reply(idle)
        # who is slow but moves may stay, too
        data = bytes(600000)
        stream = record(ECHO, 0, data)
        for at in range(0, len(stream), 60000):
            slow.sendall(stream[at:at + 60000])
            time.sleep(0.25)
        assert reply(slow)[8:] == data


def test_in_flight_limit():
    with daemon({"workers": 8}, **{"max-in-flight": 3}) as d, d.connect() as s:
        def twice_three():
            began = time.monotonic()
            s.sendall(b"".join(record(SLEEP, 200) for _ in range(6)))
            for _ in range(6):
                reply(s)
            return time.monotonic() - began
        assert tap.in_time(1.0, twice_three) > 0.38


def test_ten_thousand_idle_connections():
    want = 10000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < want + 200:
        tap.skip("only %d open files allowed" % hard)
    if SANITIZED:
        want = 1000
    with daemon() as d:
        with d.connect() as s:
            s.sendall(record(ECHO))
            reply(s)
        before = d.rss()
        peers = [d.connect() for _ in range(want)]
        for s in peers[::100]:
            s.sendall(record(ECHO))
            reply(s)
        time.sleep(0.2)
        each = (d.rss() - before) / want
        cpu = d.cpu()
        time.sleep(2)
        idle = d.cpu() - cpu
        assert SANITIZED or each < 6400, each
        assert idle < 0.02, idle
        cpu = d.cpu()
        for i in range(2000):
            peers[7].sendall(record(ECHO))
            reply(peers[7])
        print("# %.0f bytes each; %.1f us per request beside them" % (each, (d.cpu() - cpu) / 2000 * 1e6))
        for s in peers:
            s.close()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            opened, closed, _ = counters(d)
            if closed == opened - 1:
                break
            time.sleep(0.05)
        assert closed == opened - 1, (opened, closed)


def test_out_of_descriptors_does_not_spin():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with daemon() as d:
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (60, 60))
        peers = [d.connect() for _ in range(100)]
        d.wait_log("cannot take a new connection")
        cpu = d.cpu()
        time.sleep(1)
        assert d.cpu() - cpu < 0.05
        peers[0].sendall(record(ECHO))
        reply(peers[0])
        for s in peers[:90]:
            s.close()
        for s in peers[90:]:  # those that waited are served now
            s.sendall(record(ECHO))
            reply(s)
            s.close()
        with d.connect() as s:
            s.sendall(record(ECHO))
            reply(s)


def test_connections_that_come_and_go():
    with daemon() as d:
        rng = random.Random(2)
        for i in range(300 if not SANITIZED else 100):
            s = d.connect()
            kind = i % 5
            if kind == 0:
                s.sendall(record(ECHO) * 20)
            elif kind == 1:
                s.sendall(record(FILE, FILE_SIZE) * 5)
            elif kind == 2:
                s.sendall(record(LATER) * 20 + record(CLOSE) + record(LATER) * 20)
            elif kind == 3:
                s.sendall(record(SLEEP, 5) * 3 + b"\x80\x00")
            if rng.random() < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            opened, closed, released = counters(d)
            if closed == opened - 1:
                break
            time.sleep(0.05)
        assert closed == opened - 1, (opened, closed)


def test_addresses():
    with daemon(listen="[::]:@PORT@,unix:@DIR@/echo.sock") as d:
        for family, where in ((socket.AF_INET, ("127.0.0.1", d.port)), (socket.AF_INET6, ("::1", d.port)),
                              (socket.AF_UNIX, d.dir + "/echo.sock")):
            s = socket.socket(family)
            s.settimeout(10)
            s.connect(where)
            s.sendall(record(BYTES, 300000))
            assert len(reply(s)) == 300008
            s.close()
        d.kill()
        d.start()  # over the socket file that the killed one left
    for bad in ("nonsense", "127.0.0.1", "127.0.0.1:99999", "unix:" + "x" * 200, "fd:none", "192.0.2.1:1"):
        with Laresd({"test-echo": {"listen": bad}}, wait=[]) as d:
            assert "does not run: cannot listen on " + bad in d.log(), bad


def test_socket_activation():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        port = listener.getsockname()[1]
        # The shell stands where the service manager would: it knows its own pid.
        script = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=echo; exec \"$@\" 3<&%d" % listener.fileno()
        with Laresd({"test-echo": {"listen": "fd:echo"}}, wait=[port], wrapper=["/bin/sh", "-c", script, "sh"],
                    pass_fds=[listener.fileno()]) as d:
            with d.connect(port) as s:
                s.sendall(record(ECHO))
                reply(s)


def test_stop_with_work_in_flight():
    with daemon() as d:
        peers = [d.connect() for _ in range(20)]
        for s in peers:
            s.sendall(record(SLEEP, 300) * 2 + record(FILE, FILE_SIZE) * 10 + b"\x80")
        time.sleep(0.05)
        began = time.monotonic()
        d.stop()
        assert time.monotonic() - began < 10
        log = d.log()
        assert "echo: stopped: " in log
        opened, closed = [int(w) for w in log.split("echo: stopped: ")[1].replace(",", "").split() if w.isdigit()][:2]
        assert opened == closed, (opened, closed)


if __name__ == "__main__":
    tap.main(globals())
