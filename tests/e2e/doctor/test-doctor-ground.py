#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the doctor says of the ground a server stands on: names, addresses, ports, file systems, files, keys, the realm's
programs. Each is broken for real, in name spaces of the server's own, and each command that mends is run."""
import contextlib
import re
import tempfile

from clinic import (REALM, bad, call_verb, ctl, entries, examine, found, hospital, key_entry, os, run_remedy, shutil, subprocess,
                    until, write_keytab)
import tap

HOST, ADDRESS = "files.home.lan", "10.77.0.1"
# The server's own: hosts, a network, and file systems where it keeps things. What it is told first is done in there.
OWN_WORLD = """set -e
ip link set lo up
ip link add eth0 type dummy 2> /dev/null || ip tuntap add eth0 mode tun
ip addr add %s/24 dev eth0
ip link set eth0 up
mkdir -p "$0/state" "$0/plain"
printf '127.0.0.1 localhost\\n%s %s\\n' > "$0/hosts"
mount --bind "$0/hosts" /etc/hosts
mount -t tmpfs -o size=96m,mode=700 none "$0/state"
mount -t ramfs -o mode=755 none "$0/plain"
exec "$@"
""" % (ADDRESS, ADDRESS, HOST)


@contextlib.contextmanager
def island(**more):
    """A server without a realm in a world of its own; inside(d, ...) is there too."""
    directory = tempfile.mkdtemp(prefix="laresd-")
    try:
        with hospital(realm=False, directory=directory, keep=True, server={"host-name": HOST},
                      wrapper=["unshare", "-m", "-n", "sh", "-c", OWN_WORLD, directory], **more) as d:
            yield d
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def inside(d, *command):
    return subprocess.run(["nsenter", "-m", "-n", "-t", str(d.pid), "--", *command], capture_output=True, text=True,
                          check=True, timeout=60).stdout


def mend(d, finding):
    """Its command, in the server's world."""
    inside(d, "sh", "-c", finding["remedy"])


def hosts(d, *lines):
    with open(d.dir + "/hosts", "w") as f:
        f.write("127.0.0.1 localhost\n" + "".join(line + "\n" for line in lines))


def absent(answer, id):
    assert not [f for f in answer["findings"] if f["id"] == id], answer["findings"]


def test_names():
    with island() as d:
        assert bad(examine(d, "names")) == []
        absent(examine(d, "names"), "names.loopback")
        hosts(d, f"{ADDRESS} other.home.lan {HOST}")
        one, = found(examine(d, "names"), "names.reverse", "warning")
        assert f"address {ADDRESS} of {HOST} leads back to the name other.home.lan" in one["text"], one
        assert "aliases=" in one["text"] and "rdns = false" in one["remedy"], one
        hosts(d, f"127.0.1.1 {HOST} files")
        answer = examine(d, "names")
        one, = found(answer, "names.loopback", "note")
        assert HOST in one["text"] and bad(answer) == [], answer
        hosts(d)
        one, = found(examine(d, "names"), "names.unknown", "error")
        mend(d, one)  # the address is the one that the machine has
        assert f"{ADDRESS} {HOST} files" in inside(d, "cat", "/etc/hosts")
        assert bad(examine(d, "names")) == []


def test_ports():
    with island(modules={"proto-nfs4": {"listen": "0.0.0.0:@PORT@"},
                         "proto-smb2": {"listen": "10.78.0.9:@PORT4@"}}) as d:
        answer = examine(d, "ports")
        one, = found(answer, "ports.stopped", "error")
        assert "smb" in one["text"] and f"10.78.0.9:{d.ports[4]}" in one["text"], one
        assert one["remedy"] == "laresctl module show proto-smb2", one
        ctl(d, *one["remedy"].split()[1:], code=0)
        assert {f["text"].split(" listens")[0] for f in found(answer, "ports.loopback", "note")} == {
            "REST over HTTP", "REST over HTTPS"}, answer
        inside(d, "ip", "addr", "add", "10.78.0.9/24", "dev", "eth0")
        call_verb(d.control, "server.reload")
        answer = examine(d, "ports")
        assert bad(answer) == [], bad(answer)
        # The way that others come is closed, and loopback is open.
        inside(d, "sh", "-c", "ip rule add pref 9 lookup local && ip rule del pref 0 && "
                              f"ip rule add pref 1 to {ADDRESS} unreachable")
        one, = found(examine(d, "ports"), "ports.unreachable", "error")
        assert f"cannot be reached at {ADDRESS} port {d.port}" in one["text"] and "unreachable" in one["text"], one
        assert one["remedy"] == f"nft list ruleset | grep -n {d.port}", one
        inside(d, "ip", "rule", "del", "pref", "1")
        assert bad(examine(d, "ports")) == []


def test_file_systems():
    with island() as d:
        plain = d.dir + "/plain"
        call_verb(d.control, "share.create", name="poor", path=plain, sec=["sys"])
        answer = examine(d, "shares")
        for id, severity in (("shares.xattr", "warning"), ("shares.handles", "note")):
            one, = found(answer, id, severity)
            assert f"The file system of {plain} (share poor)" in one["text"], one
        assert [b[1] for b in bad(answer)] == ["shares.xattr"], bad(answer)
        inside(d, "mount", "-o", "remount,ro", plain)
        one, = found(examine(d, "shares"), "shares.read-only", "warning")
        assert f"{plain} is mounted read-only, but the share poor is not" in one["text"], one
        mend(d, one)
        absent(examine(d, "shares"), "shares.read-only")
        inside(d, "mount", "-o", "remount,ro", plain)
        ctl(d, *one["remedy"].split("or: laresctl ")[1].split(), code=0)
        absent(examine(d, "shares"), "shares.read-only")
        full = d.dir + "/full"
        inside(d, "sh", "-c", f"mkdir {full} && mount -t tmpfs -o size=2m,mode=755 none {full}")
        call_verb(d.control, "share.create", name="full", path=full, sec=["sys"])
        absent(examine(d, "shares"), "shares.space")
        inside(d, "sh", "-c", f"head -c 2m /dev/zero > {full}/ballast")
        one, = found(examine(d, "shares"), "shares.space", "warning")
        assert f"{full} (share full) is full but for 0 MiB" in one["text"], one
        mend(d, one)  # it looks only
        inside(d, "rm", full + "/ballast")
        absent(examine(d, "shares"), "shares.space")


def test_what_it_keeps():
    with island() as d:
        assert bad(examine(d, "state")) == [], bad(examine(d, "state"))
        inside(d, "sh", "-c", f"head -c 40m /dev/zero > {d.state}/ballast; chmod 600 {d.state}/ballast")
        one, = found(examine(d, "state"), "state.space", "warning")
        assert re.search(re.escape(d.state) + r" has 5\d MiB left", one["text"]), one
        mend(d, one)  # it looks only
        inside(d, "mount", "-o", "remount,size=128m", d.state)
        assert bad(examine(d, "state")) == []
        os.chmod(d.config_dir, 0o775)
        one, = found(examine(d, "state"), "state.configuration", "error")
        assert f"{d.config_dir} has mode 0775" in one["text"], one
        run_remedy(one)
        assert bad(examine(d, "state")) == []
        # The folder under a server that runs: it is another one, or none.
        inside(d, "sh", "-c", f"mkdir {d.dir}/aside && mount --move {d.state} {d.dir}/aside && rmdir {d.state}")
        one, = found(examine(d, "state"), "state.gone", "error")
        assert d.state in one["text"] and "No such file" in one["text"] and one["remedy"] == "systemctl restart laresd", one
        inside(d, "sh", "-c", f"mkdir {d.state} && mount --move {d.dir}/aside {d.state}")
        assert bad(examine(d, "state")) == []


def test_folder_that_is_closed():
    """A server that may not pass by permissions, as in a unit with fewer capabilities."""
    with hospital(realm=False, wrapper=["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]) as d:
        folder = d.dir + "/media"
        os.chown(folder, 12345, 12345)
        os.chmod(folder, 0o755)
        call_verb(d.control, "share.create", name="closed", path=folder, sec=["sys"])
        os.chmod(folder, 0o700)
        d.restart()
        one, = found(examine(d, "shares"), "shares.store", "error")
        assert folder in one["text"] and "share closed" in one["text"] and one["remedy"] == "laresctl reload", one
        assert folder in d.log() and "Permission denied" in d.log(), d.log()
        os.chmod(folder, 0o755)
        ctl(d, *one["remedy"].split()[1:], code=0)
        until(lambda: bad(examine(d, "shares")) == [])


def test_module_that_is_no_module():
    with hospital(realm=False) as d:
        path = d.modules_dir + "/auth-none.so"
        with open(path, "w") as f:
            f.write("\x7fELF and then nothing")
        d.write_module("auth-none", {})
        d.restart()
        one, = found(examine(d, "modules"), "modules.failed", "error")
        assert "The module auth-none cannot be used" in one["text"], one
        assert one["remedy"] == f"laresd --check-module {path}", one
        os.unlink(path)
        d.restart()
        found(examine(d, "modules"), "modules.missing", "warning")


def test_keys():
    with hospital() as d:
        # A copy of the keytab that lacks the type in which the KDC gives tickets out.
        keytab, nfs = d.dir + "/lares.keytab", f"nfs/localhost@{REALM}"
        write_keytab(keytab, [e for n, enctype, e in entries(d.state + "/realm/service.keytab") if (n, enctype) != (nfs, 18)])
        d.write_module("auth-krb5", {**d.modules["auth-krb5"], "keytab": keytab})
        call_verb(d.control, "server.reload")
        one, = found(examine(d, "kerberos"), "kerberos.enctype", "error")
        assert f"tickets for {nfs} of type aes256-cts-hmac-sha1-96" in one["text"], one
        assert f"{keytab} has key version 1, but not of that type" in one["text"], one
        assert one["remedy"] == "laresctl kerberos init --admin ADMIN/admin", one


def test_configuration_of_kerberos():
    with tempfile.TemporaryDirectory(prefix="laresd-") as work:
        conf, keytab = work + "/krb5.conf", work + "/lares.keytab"
        with open(conf, "w") as f:
            f.write(f"[libdefaults]\n    default_realm = {REALM}\n    dns_lookup_kdc = false\n")
        write_keytab(keytab, [key_entry("nfs/localhost", REALM, 1, 18, bytes(range(32)))])
        with hospital(realm=False, modules={"auth-krb5": {"keytab": keytab}, "realm-mit": None}, env={"KRB5_CONFIG": conf}) as d:
            absent(examine(d, "kerberos"), "kerberos.configuration")
            with open(conf, "a") as f:
                f.write("[realms\n")
            one, = found(examine(d, "kerberos"), "kerberos.configuration", "error")
            assert "krb5.conf" in one["text"] and "format" in one["text"], one
            assert one["remedy"] == "klist -V && cat /etc/krb5.conf", one
            with open(conf, "w") as f:
                f.write(f"[libdefaults]\n    default_realm = {REALM}\n    dns_lookup_kdc = false\n")
            absent(examine(d, "kerberos"), "kerberos.configuration")


def test_realm():
    with hospital(modules={"realm-mit": {"supervise": "true"}}) as d:
        assert not [b for b in bad(examine(d, "realm"))]
        pid = [x["pid"] for x in call_verb(d.control, "realm.status")["daemons"] if x["program"] == "krb5kdc"][0]
        os.kill(pid, 9)
        until(lambda: [f for f in examine(d, "realm")["findings"] if f["id"] == "realm.restarts"])
        one, = found(examine(d, "realm"), "realm.restarts", "warning")
        assert re.search(rf"krb5kdc of the realm {REALM} had to be started again 1 times", one["text"]), one
        database = d.state + "/realm/principal"
        os.rename(database, database + ".away")
        one, = found(examine(d, "realm"), "realm.database", "error")
        assert f"database {database} is not there" in one["text"] and one["remedy"] == "laresctl realm status", one
        os.rename(database + ".away", database)
        absent(examine(d, "realm"), "realm.database")
        # Keys that were to be new ten days ago.
        d.stop()
        conf = d.state + "/realm/realm.conf"
        with open(conf) as f:
            text = f.read()
        then = int(re.search(r"^rotated=(\d+)$", text, re.M).group(1)) - 40 * 86400 - 60
        with open(conf, "w") as f:
            f.write(re.sub(r"^rotated=\d+$", f"rotated={then}", text, flags=re.M))
        before = len(d.log())
        d.start()
        d.wait_log("kadmind: ready", start=before)
        one, = found(examine(d, "realm"), "realm.rotation", "warning")
        assert "40 days old, and were to be replaced every 30 days" in one["text"], one
        # The work that the realm does on its keys when it begins may be under way.
        until(lambda: ctl(d, *one["remedy"].split()[1:]).returncode == 0)
        until(lambda: bad(examine(d, "realm")) == [])


if __name__ == "__main__":
    gone = [t for t in ("krb5kdc", "kadmind", "unshare", "nsenter", "setpriv", "ip")
            if not shutil.which(t, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if gone or os.geteuid() != 0:
        print("1..0 # SKIP needs root", *gone)
        raise SystemExit(0)
    tap.main(globals())
