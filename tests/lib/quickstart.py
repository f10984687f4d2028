# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs ./quickstart with private folders, from a build folder that is ready, and reads what it prints.

    with Quickstart(directory, LARES_USER="ada") as q:
        q.said["Password"]; q.ctl("share", "list"); q.interrupt()
"""
import os
import re
import select
import signal
import subprocess
import time

from laresd import BUILD, TOP

END = "Ctrl-C stops the server."


class QuickstartError(Exception):
    """It did not come up; the text is what it said."""


class Quickstart:
    def __init__(self, directory, folder=None, preexec=None, **environ):
        """folder: DIR on the command line. environ: further LARES_… variables."""
        self.dir = str(directory)
        self.folder = folder
        self.preexec = preexec
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("LARES_", "SUDO_", "LISTEN_", "NOTIFY_"))}
        self.env.update({"LC_ALL": "C.UTF-8", "LARES_BUILD": BUILD, "LARES_SKIP_PACKAGES": "1",
                         "LARES_STATE_DIR": self.dir + "/state", "LARES_RUN_DIR": self.dir + "/run", **environ})
        self.more = ()  # further words on the command line
        self.process = None
        self.status = None  # with which it ended before it came up
        self.output = ""
        self.said = {}

    def start(self, timeout=90):
        self.output = ""
        self.process = subprocess.Popen([os.path.join(TOP, "quickstart"), *([self.folder] if self.folder else []), *self.more],
                                        cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=self.before_exec)
        os.set_blocking(self.process.stdout.fileno(), False)
        end = time.monotonic() + timeout
        while END not in self.output:
            self.read(0.1)
            if self.process.poll() is not None or time.monotonic() > end:
                self.read(0)
                self.status = self.process.poll()
                self.kill()
                raise QuickstartError(self.output)
        self.said = {k: v.strip() for k, v in re.findall(r"^  (Share|Server|Realm|User|Password) +(.*)$", self.output, re.M)}
        return self

    def before_exec(self):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored, and no shell could trap it
        if self.preexec:
            self.preexec()

    def read(self, seconds):
        """Takes over what it has said by now."""
        stream = self.process.stdout
        while select.select([stream], [], [], seconds)[0]:
            data = stream.read()
            if not data:
                break
            self.output += data.decode(errors="replace")
            seconds = 0

    def port(self, what):
        """The number in "NFS port 2049", "KDC port 88"."""
        return int(re.search(r"%s port (\d+)" % what, self.output).group(1))

    def ctl(self, *args, text=None):
        return subprocess.run([os.path.join(BUILD, "cli", "laresctl"), "--socket", self.dir + "/run/control.sock", *args],
                              check=True, capture_output=True, text=True, env=self.env, timeout=60, input=text).stdout

    def processes(self):
        """{pid: command line} of all that belongs to it: of its session, or with its state folder in the arguments."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    state, _, _, session = f.read().rpartition(")")[2].split()[:4]
                with open("/proc/%s/cmdline" % pid) as f:
                    line = f.read().replace("\0", " ").strip()
                with open("/proc/%s/environ" % pid) as f:
                    environ = f.read()
            except OSError:
                continue
            if state != "Z" and int(pid) != os.getpid() and (
                    self.process and int(session) == self.process.pid or self.dir + "/state" in line + environ):
                found[int(pid)] = line
        return found

    def daemon(self):
        """laresd's pid."""
        return next(pid for pid, line in self.processes().items() if line.split()[0].endswith("/laresd"))

    def wait(self, timeout=60):
        end = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        self.read(0)
        return self.process.poll()

    def interrupt(self, timeout=60):
        """Ctrl-C in its terminal; its exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.wait(timeout)

    def kill(self):
        """Ends whatever is left, by pid."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process:
            self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind:
            print("# " + self.output[-6000:].replace("\n", "\n# "))
        if self.process.poll() is None:
            self.interrupt()
        self.kill()
