#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `meson install` puts down works from where it lies: the daemon accepts its own configuration, examples are true,
the systemd units are right, and the rights they leave the daemon are enough."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..", "..")
sys.path[:0] = [os.path.join(HERE, "..", "..", "lib"), os.path.join(HERE, "..", "..", "wire")]
import tap
from laresd import BUILD, Laresd
from lares_server import call_verb
from nfsraw import Conn, auth_sys
import nfs4ops as ops

STAGE = None


def stage():
    """Everything installed below one folder, once."""
    global STAGE
    if not STAGE:
        STAGE = tempfile.mkdtemp(prefix="lares-install-")
        os.chmod(STAGE, 0o755)
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", STAGE], check=True,
                       stdout=subprocess.DEVNULL)
    return STAGE


def find(name):
    found = [os.path.join(base, f) for base, _, files in os.walk(stage()) for f in files if f == name]
    assert len(found) == 1, (name, found)
    return found[0]


def laresd(*args, config_dir=None):
    etc = config_dir or os.path.dirname(find("lares.conf"))
    lib = os.path.dirname(find("liblares.so.1.0.0"))
    return subprocess.run([find("laresd"), "--config", etc + "/lares.conf", "--module-config-dir", etc + "/modules.d",
                           "--modules-dir", os.path.dirname(find("store-posix.so")), *args], text=True,
                          env=dict(os.environ, LD_LIBRARY_PATH=lib), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_installed_daemon_checks_its_configuration():
    r = laresd("--check-config")
    assert r.returncode == 0 and "the configuration is good" in r.stdout, r.stdout
    assert "not loaded" not in r.stdout, r.stdout
    for name in ("lares.conf", "proto-nfs4.module", "proto-smb2.module", "laresd.service", "laresd.socket", "laresd-smb.socket",
                 "lares.xml", "laresd.8", "lares.conf.5", "lares.module.5", "org.lares.Lares1.conf", "org.lares.Lares1.service",
                 "org.lares.Lares1.xml", "org.lares.lares1.policy"):
        assert os.stat(find(name)).st_mode & 0o777 == 0o644, name


def test_examples_are_true():
    """What stands behind a # as an example is valid as well."""
    etc = os.path.join(stage(), "examples")
    shutil.copytree(os.path.dirname(find("lares.conf")), etc)
    changed = 0
    for base, _, files in os.walk(etc):
        for f in files:
            path = os.path.join(base, f)
            with open(path) as stream:
                text = stream.read()
            text, n = re.subn(r"^#(?=[a-z-]+=)", "", text, flags=re.M)
            changed += n
            with open(path, "w") as stream:
                stream.write(text)
    try:
        assert changed > 8, changed
        r = laresd("--check-config", config_dir=etc)
        assert r.returncode == 0, r.stdout
    finally:
        shutil.rmtree(etc)


def test_manual_pages():
    """They are there and well formed, and know every key that the server knows."""
    if not shutil.which("man"):
        tap.skip("man is not installed")
    r = laresd("--describe-settings")
    assert r.returncode == 0, r.stdout
    pages = ["laresd.8", "lares.conf.5", "lares.module.5"] + (["laresctl.1"] if os.path.exists(os.path.join(BUILD, "cli", "laresctl")) else [])
    shown = {}
    for page in pages:
        done = subprocess.run(["man", "--warnings", "-l", find(page)], capture_output=True, text=True,
                              env=dict(os.environ, MANWIDTH="500", LC_ALL="C.UTF-8", MANPAGER="cat"))
        assert done.returncode == 0 and not done.stderr, (page, done.stderr)
        shown[page] = re.sub(".\b", "", done.stdout).replace("\u2010", "-")
    for title, text in re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", r.stdout, re.M):
        page = "lares.conf.5" if title.startswith("lares.conf") else "lares.module.5"
        for key in re.findall(r"^\| `([\w-]+)` \|", text, re.M):
            assert re.search(r"^ +%s \(" % re.escape(key), shown[page], re.M), (page, key)


def unit(name):
    with open(find(name)) as f:
        return f.read()


def test_units():
    text = unit("laresd.service")
    program = re.search(r"^ExecStart=(\S+)$", text, re.M).group(1)
    assert os.path.exists(stage() + program), program
    assert re.search(r"^FileDescriptorName=nfs$", unit("laresd.socket"), re.M)
    assert re.search(r"^FileDescriptorName=smb$", unit("laresd-smb.socket"), re.M)
    if not shutil.which("systemd-analyze"):
        tap.skip("systemd-analyze is not installed")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("laresd.service", "laresd.socket", "laresd-smb.socket"):
            with open(os.path.join(folder, name), "w") as f:
                f.write(unit(name).replace(program, stage() + program))
        r = subprocess.run(["systemd-analyze", "verify", "--man=no", os.path.join(folder, "laresd.service"),
                            os.path.join(folder, "laresd.socket"), os.path.join(folder, "laresd-smb.socket")], capture_output=True, text=True)
    ours = [line for line in r.stderr.splitlines() if "lares" in line]
    assert not ours, r.stderr


BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth><servicedir>%s</servicedir>
<policy context="default"><allow user="*"/><deny own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_sender="*"/></policy>
<policy user="root"><allow own="org.freedesktop.systemd1"/></policy><includedir>%s</includedir></busconfig>"""
# In systemd's place on that bus: tells which unit it is asked for.
INIT = """import sys, dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib
bus = dbus.bus.BusConnection(sys.argv[1], mainloop=DBusGMainLoop())
bus.add_signal_receiver(lambda unit: print(unit, flush=True), "ActivationRequest", "org.freedesktop.systemd1.Activator")
assert bus.request_name("org.freedesktop.systemd1") == dbus.bus.REQUEST_NAME_REPLY_PRIMARY_OWNER
print("ready", flush=True)
GLib.MainLoop().run()
"""


def test_the_bus_starts_the_unit():
    """Whoever calls org.lares.Lares1 while it is not there has the bus ask systemd for a unit that is installed; only root
    may be org.lares.Lares1."""
    text = unit("org.lares.Lares1.service")
    name = re.search(r"^SystemdService=(\S+)$", text, re.M).group(1)
    assert re.search(r"^ExecStart=\S+/laresd\b", unit(name), re.M), name
    assert re.search(r"^Exec=/bin/false$", text, re.M) and re.search(r"^User=root$", text, re.M), text
    if not shutil.which("dbus-daemon") or not shutil.which("busctl") or os.geteuid() != 0 or subprocess.run(
            ["/usr/bin/python3", "-c", "import dbus, gi"], capture_output=True).returncode:
        tap.skip("needs root, dbus-daemon, busctl, python3-dbus and python3-gi")
    with tempfile.TemporaryDirectory(prefix="lares-bus-") as work, contextlib.ExitStack() as running:
        os.chmod(work, 0o755)
        with open(work + "/conf", "w") as f:
            f.write(BUS % (work, os.path.dirname(find("org.lares.Lares1.service")), os.path.dirname(find("org.lares.Lares1.conf"))))

        def start(*command):
            p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            running.callback(p.wait)
            running.callback(p.terminate)
            return p.stdout

        def call(method, *words, **more):
            return subprocess.run(["busctl", "--address", address, "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                   "org.freedesktop.DBus", method, *words], capture_output=True, text=True, timeout=60, **more)
        address = start("dbus-daemon", "--config-file", work + "/conf", "--nofork", "--nopidfile", "--systemd-activation",
                        "--print-address").readline().strip()
        assert '"org.lares.Lares1"' in call("ListActivatableNames").stdout
        said = start("/usr/bin/python3", "-c", INIT, address)
        assert said.readline() == "ready\n"
        caller = subprocess.Popen(["busctl", "--address", address, "introspect", "org.lares.Lares1", "/org/lares/Lares1"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.callback(caller.wait)
        running.callback(caller.kill)
        assert said.readline() == name + "\n"
        r = call("RequestName", "su", "org.lares.Lares1", "0", user=65534)
        assert r.returncode != 0 and "Access denied" in r.stderr, r
        r = call("RequestName", "su", "org.lares.Lares1", "0")
        assert r.returncode == 0 and r.stdout == "u 1\n", r


def test_the_firewall_knows_the_ports():
    ports = set(re.findall(r'<port protocol="(\w+)" port="(\d+)"/>', unit("lares.xml")))
    assert ports == {("tcp", p) for p in ("2049", "445", "88", "464", "749")} | {("udp", "88"), ("udp", "464")}, ports
    xml.dom.minidom.parse(find("lares.xml"))


def test_smb_is_on_as_shipped():
    with open(find("proto-smb2.module")) as f:
        assert re.search(r"^enabled=true$", f.read(), re.M)


def nfs(d, uid, *more):
    with Conn("127.0.0.1", d.port, cred=auth_sys(uid=uid, gid=uid)) as c:
        return c.compound(0, ops.putrootfh(), ops.lookup("s"), *more)


def test_rights_of_the_unit_are_enough():
    """As root with only the unit's capabilities, the server acts as its users and keeps their ACLs."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        tap.skip("needs root and setpriv")
    bound = " ".join(re.findall(r"^CapabilityBoundingSet=(.*)$", unit("laresd.service"), re.M)).split()
    bound = ",".join("+" + c.removeprefix("CAP_").lower() for c in bound)
    wrapper = ["setpriv", "--bounding-set", "-all," + bound, "--inh-caps", "-all", "--no-new-privs"]
    modules = {"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@"}}
    with Laresd(modules, wrapper=wrapper, start=False) as d, tempfile.TemporaryDirectory() as folder:
        d.wait = [d.port, d.control]
        d.start()
        with open("/proc/%d/status" % d.pid) as f:
            caps = int(re.search(r"^CapEff:\s*(\w+)", f.read(), re.M).group(1), 16)
        assert caps != 0 and not caps >> 16 & 1, hex(caps)  # CAP_SYS_MODULE
        os.chmod(folder, 0o777)
        call_verb(d.control, "share.create", name="s", path=folder, sec=["sys"], squash="none")
        nfs(d, 4711, ops.create(2, "dir")).ok()
        made = os.stat(os.path.join(folder, "dir"))
        assert (made.st_uid, made.st_gid) == (4711, 4711), made
        assert nfs(d, 4712, ops.lookup("dir"), ops.create(2, "no")).error == "ACCESS"
        os.chmod(os.path.join(folder, "dir"), 0o700)
        nfs(d, 4711, ops.lookup("dir"), ops.create(2, "sub")).ok()
        acl = [(0, 0, 0x1601bf, "OWNER@"), (0, 0, 0x1200a9, "4712")]
        nfs(d, 4711, ops.lookup("dir"), ops.setattr(ops.ANON, {"acl": acl})).ok()
        assert nfs(d, 4712, ops.lookup("dir"), ops.lookup("sub")).status == 0
        assert nfs(d, 4713, ops.lookup("dir"), ops.lookup("sub")).error == "ACCESS"
        nfs(d, 0, ops.lookup("dir"), ops.setattr(ops.ANON, {"owner": "4712"})).ok()
        assert os.stat(os.path.join(folder, "dir")).st_uid == 4712


if __name__ == "__main__":
    try:
        tap.main(globals())
    finally:
        if STAGE:
            shutil.rmtree(STAGE, ignore_errors=True)
