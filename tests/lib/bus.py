# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private system bus with our policy for it, busctl and gdbus as its clients, python-dbusmock as polkit."""
import json
import os
import re
import subprocess
import time

from laresd import TOP

NAME, ROOT = "org.lares.Lares1", "/org/lares/Lares1"
# A system bus as Debian has it: everything is forbidden that no policy file allows.
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/><allow send_destination="org.freedesktop.DBus"/></policy>
<policy user="root"><allow own="org.freedesktop.PolicyKit1"/></policy>
<policy context="default"><allow send_destination="org.freedesktop.PolicyKit1"/></policy>
<include>%s</include></busconfig>"""


ASKS = os.path.join(TOP, "tests", "lib", "polkit_asks.py")


class Bus:
    def __init__(self, work):
        self.work = work
        (work / "bus.conf").write_text(BUS % (work, os.path.join(TOP, "data", "dbus", "org.lares.Lares1.conf")))
        self.address = f"unix:path={work}/bus"
        self.daemon = subprocess.Popen(["dbus-daemon", "--config-file", work / "bus.conf", "--nofork", "--nopidfile"], stderr=subprocess.DEVNULL)
        self.polkit = None
        self.wait(lambda: (work / "bus").exists())
        self.env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.address, LC_ALL="C.UTF-8")

    def wait(self, ready, seconds=30):
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    def start_polkit(self, *allowed, template="polkitd"):
        with open(self.work / "polkit.log", "w") as log:
            self.polkit = subprocess.Popen(["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", template],
                                           env=self.env, stdout=log)
        self.wait(lambda: self.allow(*allowed))

    def allow(self, *actions, how="SetAllowed"):
        """What polkit says yes to from now on. how="SetWithPassword" (polkit_asks.py): to who gives a password."""
        return subprocess.run(["busctl", "--address", self.address, "call", "org.freedesktop.PolicyKit1",
                               "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.DBus.Mock", how, "as",
                               str(len(actions)), *actions], capture_output=True).returncode == 0

    def asked(self):
        """How often polkit was asked."""
        return (self.work / "polkit.log").read_text().count("CheckAuthorization")

    def stop(self):
        for p in (self.polkit, self.daemon):
            if p:
                p.terminate()
                p.wait()

    def call(self, path, interface, method, *words, user=0):
        """busctl as some user: (answer, None) or (None, error)."""
        r = subprocess.run(["busctl", "--address", self.address, "--json=short", "call", NAME, ROOT + path,
                            f"{NAME}.{interface}", method, *words], capture_output=True, text=True, user=user, timeout=60)
        return (json.loads(r.stdout) if r.stdout.strip() else {}, None) if r.returncode == 0 else (None, r.stderr)

    def prop(self, path, interface, name):
        r = subprocess.run(["busctl", "--address", self.address, "--json=short", "get-property", NAME, ROOT + path,
                            f"{NAME}.{interface}", name], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)["data"]

    def objects(self):
        r = subprocess.run(["gdbus", "call", "--address", self.address, "--dest", NAME, "--object-path", ROOT, "--method",
                            "org.freedesktop.DBus.ObjectManager.GetManagedObjects"], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return set(re.findall(r"'" + ROOT + r"(/[\w/]+)'", r.stdout))
