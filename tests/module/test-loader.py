#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the loader refuses, with what words, and that everything else goes on."""
import os
import re
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from laresd import BUILD, Laresd, find_module, run_laresd

# Refused before any code of the module runs: laresd --check-module says the same.
REFUSED = {
    "broken-no-symbol": "not a Lares module (no symbol",
    "broken-magic": "not a Lares module (no magic number)",
    "broken-major": "built for module ABI 2.1, this server has 1.1",
    "broken-minor": "built for module ABI 1.2, this server has 1.1",
    "broken-size": "descriptor is too short (16 bytes)",
    "broken-kind": "of a kind this server does not know (99)",
    "broken-name": "has no valid name",
    "broken-null": "has no load function",
    "broken-default": "its own default is wrong",
}
FAILING = {
    "broken-load": "the frobnicator is not plugged in",
    "broken-silent": "did not say why",
    "broken-nothing": "registered no protocol",
    "broken-store": "a store type needs a name and a function",
    "broken-object": "this is not a protocol",
}


def check_module(path):
    r = subprocess.run([os.path.join(BUILD, "core", "laresd"), "--check-module", path], capture_output=True, text=True)
    return r.returncode, r.stdout + r.stderr


def echoes(d):
    with d.connect() as s:
        s.sendall(struct.pack(">III", 0x80000008, 1, 0))
        return len(s.recv(100)) == 12


def test_check_module_refuses():
    for name, words in REFUSED.items():
        code, out = check_module(find_module(name))
        assert code == 1 and words in out, (name, out)
    code, out = check_module(find_module("test-echo"))
    assert code == 0 and out == "test-echo 1 (protocol): Echoes records.\n", out


def test_broken_modules_cost_only_themselves():
    broken = dict(REFUSED, **FAILING)
    modules = {name: {} for name in broken}
    modules["test-echo"] = {"listen": "127.0.0.1:@PORT@"}
    with Laresd(modules) as d:
        log = d.log()
        for name, words in broken.items():
            lines = [line for line in log.splitlines() if re.search(r"module: %s: " % name, line)]
            assert len(lines) == 1 and "not loaded" in lines[0] and words in lines[0], (name, lines)
        assert echoes(d)


def test_untrusted_files():
    with Laresd({"test-echo": {"listen": "127.0.0.1:@PORT@"}}, start=False) as d:
        copy = os.path.join(d.dir, "copy.so")
        shutil.copy(find_module("test-echo"), copy)
        assert check_module(copy)[0] == 0
        for mode in (0o775, 0o757, 0o766):
            os.chmod(copy, mode)
            code, out = check_module(copy)
            assert code == 1 and "written by its group or by others" in out, out
        os.chmod(copy, 0o755)
        if os.geteuid() == 0:
            os.chown(copy, 4711, 0)
            code, out = check_module(copy)
            assert code == 1 and "belongs to uid 4711" in out, out
            os.chown(copy, 0, 0)
        os.chmod(d.dir, 0o777)
        code, out = check_module(copy)
        assert code == 1 and "its folder can be written" in out, out
        os.chmod(d.dir, 0o755)
        os.mkfifo(copy + ".fifo")
        code, out = check_module(copy + ".fifo")
        assert code == 1 and "not a regular file" in out, out
        code, out = check_module(copy + ".none")
        assert code == 1 and "No such file" in out, out
        with open(copy, "wb") as f:
            f.write(b"\x7fELF garbage")
        code, out = check_module(copy)
        assert code == 1 and "cannot be loaded" in out, out


def test_missing_disabled_and_misnamed():
    with Laresd({"test-echo": {"listen": "127.0.0.1:@PORT@"}}, start=False) as d:
        d.write_module("auth-gone", {})
        d.write_module("broken-load", {}, enabled=False)
        os.symlink(find_module("broken-load"), os.path.join(d.modules_dir, "broken-load.so"))
        os.symlink(find_module("test-echo"), os.path.join(d.modules_dir, "libother-name.so"))
        d.start()
        log = d.log()
        assert "auth-gone: not loaded: " in log and "has no auth-gone.so" in log, log
        assert "frobnicator" not in log
        assert 'calls itself "test-echo", not "other-name"' in log, log
        assert echoes(d)


def test_bad_settings_refuse_to_start():
    cases = {
        "[settings]\nlisten=127.0.0.1:0\nmax-recrod=5\n": 'test-echo.module: [settings] has an unknown key "max-recrod"; '
                                                         'did you mean "max-record"?',
        "[settings]\nmax-record=lots\n": "[settings] max-record = lots: must be a size like",
        "[module]\nenabled=perhaps\n": "[module] enabled = perhaps: must be true or false",
        "[modul]\n": "unknown group [modul]; valid are [module] and [settings]",
        "nonsense\n": "test-echo.module: ",
    }
    with Laresd({"test-echo": {}}, start=False) as d:
        for text, words in cases.items():
            with open(os.path.join(d.config_dir, "test-echo.module"), "w") as f:
                f.write(text)
            for more in ([], ["--check-config"]):
                code, out = run_laresd(d, *more)
                assert code == 1 and words in out, (text, out)


def test_module_without_a_file_gets_defaults():
    with Laresd({"test-echo": {}}, start=False, wait=[]) as d:
        os.unlink(os.path.join(d.config_dir, "test-echo.module"))
        d.start()
        assert "listening on 127.0.0.1:0" in d.log()


def test_reload():
    with Laresd({"test-echo": {"listen": "127.0.0.1:@PORT@"}}) as d:
        d.write_module("test-echo", {"listen": "127.0.0.1:@PORT@", "max-record": "1M"})
        d.reload()
        d.wait_log("take effect at the next start")
        d.write_module("test-echo", {"listen": "127.0.0.1:@PORT@", "max-recrod": "1M"})
        d.reload()
        d.wait_log("reload refused: ")
        assert echoes(d)
        d.write_module("test-echo", {"listen": "127.0.0.1:@PORT@", "max-record": "1M"}, enabled=False)
        d.reload()
        d.wait_log("test-echo: switched off")
        try:
            echoes(d)
            raise AssertionError("still there")
        except ConnectionError:
            pass
        d.write_module("test-echo", {"listen": "127.0.0.1:@PORT@", "max-record": "1M"})
        mark = len(d.log())
        d.reload()
        d.wait_log("listening on", start=mark)
        assert echoes(d)


if __name__ == "__main__":
    tap.main(globals())
