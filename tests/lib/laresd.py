# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts a private laresd from the build folder: own state, own run folder, own modules, free ports.

    with Laresd({"test-echo": {"listen": "127.0.0.1:@PORT@"}}) as d:
        s = d.connect()

The build folder is $LARES_BUILD, or `build` at the top of the source tree. A module is found by name anywhere below it.
In settings "@PORT@" becomes a free port (d.port), "@PORT2@" another one (d.ports[2]), "@DIR@" the private folder.
On leaving, the daemon is stopped, and it is an error if it did not stop cleanly or a sanitizer had something to say."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from sanitizers import for_tls

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("LARES_BUILD", os.path.join(TOP, "build")))
TROUBLE = re.compile(r"(ERROR|WARNING): (Address|Thread|Leak|UndefinedBehavior|Memory)Sanitizer|runtime error:"
                     r"|LeakSanitizer has encountered a fatal error"
                     r"|GLib(-GObject)?-(CRITICAL|ERROR|WARNING)|\*\*.*(CRITICAL|ERROR)")


def sanitized():
    """Was the build made with a sanitizer? Then it is slower and larger than what is measured."""
    options = json.loads(pathlib.Path(BUILD, "meson-info", "intro-buildoptions.json").read_text())
    return next(o["value"] for o in options if o["name"] == "b_sanitize") != "none"


_modules = {}


def find_module(name):
    """The shared object of a module in the build folder."""
    if not _modules:
        for base, dirs, files in os.walk(BUILD):
            dirs[:] = [d for d in dirs if not d.endswith(".p")]
            for f in files:
                if f.endswith(".so"):
                    _modules.setdefault(f[:-3].removeprefix("lib"), os.path.join(base, f))
    return _modules[name]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class LaresdError(Exception):
    pass


class Laresd:
    def __init__(self, modules=None, server=None, raw=None, env=None, wait=None, directory=None, keep=False,
                 wrapper=(), files=None, start=True, pass_fds=()):
        """modules: {name: {key: value}} (value may be a bool, number, string); server: [server] keys; raw: text to
        append to lares.conf; wait: ports (or socket paths) that must accept before start() returns, by default every
        @PORT@ used, and then it must say that it is ready; files: {name: text} of further .module files or modules to
        copy into the modules folder."""
        self.modules = modules or {}
        self.server = server or {}
        self.raw = raw or ""
        self.env = for_tls({**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})
        self.dir = directory or tempfile.mkdtemp(prefix="laresd-")
        self.own_dir = directory is None and not keep
        self.wrapper = list(wrapper) or os.environ.get("LARES_WRAPPER", "").split()  # a debugger, for example
        self.files = files or {}
        self.ports = {}
        self.wait = wait
        self.process = None
        self.log_path = os.path.join(self.dir, "log")
        self.state = os.path.join(self.dir, "state")
        self.run = os.path.join(self.dir, "run")
        self.modules_dir = os.path.join(self.dir, "modules")
        self.config_dir = os.path.join(self.dir, "modules.d")
        self.control = os.path.join(self.run, "control.sock")
        self.autostart = start
        self.pass_fds = pass_fds
        self.started_in = None
        self.write_config()

    # ---- configuration

    def _fill(self, value):
        if isinstance(value, bool):
            return "true" if value else "false"
        value = str(value).replace("@DIR@", self.dir)

        def port(match):
            n = int(match.group(1) or 1)
            if n not in self.ports:
                self.ports[n] = free_port()
            return str(self.ports[n])
        return re.sub(r"@PORT(\d*)@", port, value)

    def write_module(self, name, settings, enabled=True):
        path = os.path.join(self.config_dir, name + ".module")
        with open(path, "w") as f:
            f.write("[module]\nenabled=%s\n[settings]\n" % ("true" if enabled else "false"))
            for k, v in settings.items():
                f.write("%s=%s\n" % (k, self._fill(v)))
        return path

    def write_config(self):
        os.chmod(self.dir, 0o755)
        for d in (self.modules_dir, self.config_dir):
            shutil.rmtree(d, ignore_errors=True)
            os.makedirs(d, 0o755)
        for name, settings in self.modules.items():
            os.symlink(find_module(name), os.path.join(self.modules_dir, name + ".so"))
            self.write_module(name, settings)
        for name, text in self.files.items():
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(self._fill(text))
        self.config = os.path.join(self.dir, "lares.conf")
        server = {"host-name": "nas.home.lan"}
        server.update(self.server)
        with open(self.config, "w") as f:
            f.write("[server]\n")
            for k, v in server.items():
                f.write("%s=%s\n" % (k, self._fill(v)))
            f.write(self._fill(self.raw))

    @property
    def port(self):
        return self.ports.get(1)

    def argv(self, *more):
        return self.wrapper + [os.path.join(BUILD, "core", "laresd"), "--config", self.config,
                               "--modules-dir", self.modules_dir, "--module-config-dir", self.config_dir,
                               "--state-dir", self.state, "--run-dir", self.run, *more]

    # ---- life

    def start(self, timeout=90):
        """Patient: on a busy disk the first start, which makes its databases and keys durable, may take long."""
        self.log_file = open(self.log_path, "ab")
        behind = os.path.getsize(self.log_path)
        began = time.monotonic()
        self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=self.log_file,
                                        stderr=self.log_file, env=self.env, cwd=self.dir,
                                        pass_fds=self.pass_fds)

        def wait(ready, what):
            while not ready():
                if self.process.poll() is not None:
                    raise LaresdError("laresd ended with %d:\n%s" % (self.process.returncode, self.log()))
                if time.monotonic() - began > timeout:
                    self.kill()
                    raise LaresdError("laresd %s:\n%s" % (what, self.log()))
                time.sleep(0.005)

        def all_started():
            with open(self.log_path, "rb") as f:
                f.seek(behind)
                return b" is ready as " in f.read()
        for where in self.wait if self.wait is not None else self.ports.values():
            wait(lambda: self._answers(where), "does not listen on %s" % where)
        if not self.wait:  # the control socket, for one, comes after the protocols' ports
            wait(all_started, "is not ready")
        self.started_in = time.monotonic() - began
        return self

    def _answers(self, where):
        try:
            self.connect(where, timeout=1).close()
            return True
        except OSError:
            return False

    def connect(self, where=None, timeout=30):
        """A connected socket: to a port of 127.0.0.1 (default d.port) or to the path of a UNIX socket."""
        where = self.port if where is None else where
        if isinstance(where, int):
            s = socket.create_connection(("127.0.0.1", where), timeout)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(where)
        return s

    def stop(self, timeout=90):
        """SIGTERM, then the exit code; raises on sanitizer reports, crashes and GLib criticals."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LaresdError("laresd does not stop:\n" + self.log())
        self.process = None
        self.log_file.close()
        self.check_log()
        if code != 0:
            raise LaresdError("laresd ended with %d:\n%s" % (code, self.log()))
        return code

    def kill(self):
        """kill -9: what a crash or power loss leaves behind."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.log_file.close()

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def wait_log(self, text, timeout=60, start=0):
        """Waits until the log has `text` behind offset `start`; returns the log."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            log = self.log()[start:]
            if text in log:
                return log
            time.sleep(0.01)
        raise LaresdError("no %r in the log:\n%s" % (text, self.log()))

    # ---- looking

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def check_log(self):
        log = self.log()
        found = TROUBLE.search(log)
        if found:
            raise LaresdError("laresd's log has %r:\n%s" % (found.group(0), log[found.start():][:20000]))

    @property
    def pid(self):
        return self.process.pid

    def cpu(self):
        """CPU seconds (user + system) of the daemon so far; 10 ms steps at best, so measure over many requests."""
        with open("/proc/%d/schedstat" % self.pid) as f:
            f.read()
        total = 0
        for task in os.listdir("/proc/%d/task" % self.pid):
            try:
                with open("/proc/%d/task/%s/schedstat" % (self.pid, task)) as f:
                    total += int(f.read().split()[0])
            except FileNotFoundError:
                pass
        return total / 1e9

    def rss(self):
        """Resident bytes."""
        with open("/proc/%d/statm" % self.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def __enter__(self):
        if self.autostart:
            try:
                self.start()
            except BaseException:
                self.cleanup()
                raise
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
            else:
                self.kill()
                print("---- laresd's log\n" + self.log()[-8000:])
        finally:
            self.cleanup()

    def cleanup(self):
        self.kill()
        if self.own_dir:
            shutil.rmtree(self.dir, ignore_errors=True)


def run_laresd(daemon, *more):
    """Runs laresd to its end (--check-config and the like): (exit code, output)."""
    r = subprocess.run(daemon.argv(*more), capture_output=True, text=True, timeout=60, env=daemon.env)
    return r.returncode, r.stdout + r.stderr
