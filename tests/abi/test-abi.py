#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The module ABI only grows: what was compiled against the frozen headers of any version still fits.

Per version below this folder: every struct keeps its offsets (tables of functions may grow at their end, all else keeps
its size), every enumerator its value, every function its type and its symbol, and modules built then load and work. That
a newer minor version is refused stands in tests/module/test-loader.py."""
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "wire")]
import tap
from laresd import BUILD, Laresd, find_module
from lares_server import call_verb
from nfsraw import Conn
import nfs4ops as ops

VERSIONS = sorted(d for d in os.listdir(HERE) if re.fullmatch(r"\d+\.\d+", d))
NOW = os.path.join(TOP, "include")
# Made by one side, read by the other with its size or NULL in mind; a LaresControlCaller is made by the faces, which are
# all in this tree as long as nothing was released; a LaresRequest is made by the core and handed out by its address.
GROWING = re.compile(r"Interface$|^LaresModule$|^LaresControlCaller$|^LaresRequest$")


def headers(folder):
    """All public headers' text without comments and preprocessor lines."""
    text = ""
    for name in sorted(os.listdir(os.path.join(folder, "lares"))):
        with open(os.path.join(folder, "lares", name)) as f:
            text += f.read() + "\n"
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.M)


def split(body, mark):
    """Cuts at `mark` outside of brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(body):
        depth += (c in "({[") - (c in ")}]")
        if c == mark and depth == 0:
            parts.append(body[start:i].strip())
            start = i + 1
    parts.append(body[start:].strip())
    return [p for p in parts if p]


def blocks(text, start):
    """(head match, body, what follows) of each braced block whose head matches."""
    for m in re.finditer(start + r"\s*\{", text):
        depth, i = 1, m.end()
        while depth:
            depth += (text[i] == "{") - (text[i] == "}")
            i += 1
        yield m, text[m.end():i - 1], text[i:i + 200]


def fields(body):
    names = []
    for declaration in split(body, ";"):
        pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)", declaration)
        if pointer:
            names.append(pointer.group(1))
        elif "{" in declaration:
            names += re.findall(r"\}\s*(\w+)$", declaration) or fields(declaration[declaration.index("{") + 1:
                                                                                  declaration.rindex("}")])
        else:
            for one in split(declaration, ","):
                if ":" not in one:  # a bit field has no offset
                    names.append(re.findall(r"(\w+(?:\[\](?=$))?)\s*(?:\[[^]]*\]\s*)*$", one)[0])
    return names


def structs(text):
    found = {}
    for m, body, rest in blocks(text, r"typedef\s+struct(?:\s+\w+)?"):
        found[re.match(r"\s*(\w+)\s*;", rest).group(1)] = fields(body)
    for m, body, rest in blocks(text, r"(?<!typedef )\bstruct\s+_(\w+)"):
        found[m.group(1)] = fields(body)
    return found


def enumerators(text):
    names = []
    for m, body, rest in blocks(text, r"\benum(?:\s+\w+)?"):
        names += [re.match(r"\w+", one).group(0) for one in split(body, ",")]
    return names


def functions(text):
    """name -> declaration."""
    found = {}
    for m in re.finditer(r"\bLARES_API\s+([^;{]*?\b(\w+)\s*\([^;{]*\))\s*(G_GNUC_\w+(?:\([^)]*\))?\s*)*;", text):
        found[m.group(2)] = " ".join(m.group(1).split())
    return found


def compile_c(work, name, text, include, link=True):
    flags = subprocess.run(["pkg-config", "--cflags", "gobject-2.0", "gmodule-2.0", "gio-2.0"], check=True,
                           capture_output=True, text=True).stdout.split()
    source, out = os.path.join(work, name + ".c"), os.path.join(work, name)
    with open(source, "w") as f:
        f.write(text)
    r = subprocess.run(["cc", "-w", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-I" + include, *flags,
                        *([] if link else ["-fsyntax-only"]), "-o", out, source], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return out


def layout(work, name, text, include):
    """What the compiler makes of the structs and enumerators named in `text`, as lines."""
    code = "#include <lares/lares.h>\n#include <stdio.h>\nint main(void) {\n"
    for s, names in structs(text).items():
        code += 'printf("size %s %%zu\\n", sizeof(%s));\n' % (s, s)
        for f in names:
            size = "sizeof(((%s *)0)->%s)" % (s, f) if not f.endswith("[]") else "(size_t)0"
            f = f.removesuffix("[]")
            code += 'printf("field %s.%s %%zu+%%zu\\n", offsetof(%s, %s), %s);\n' % (s, f, s, f, size)
    for e in enumerators(text):
        code += 'printf("value %s %%lld\\n", (long long)%s);\n' % (e, e)
    program = compile_c(work, name, "#include <stddef.h>\n" + code + "return 0; }\n", include)
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return dict(line.rsplit(" ", 1) for line in out.splitlines())


def test_layout_and_values():
    for version in VERSIONS:
        frozen = os.path.join(HERE, version)
        text = headers(frozen)
        assert len(structs(text)) > 30 and len(enumerators(text)) > 100, (len(structs(text)), len(enumerators(text)))
        with tempfile.TemporaryDirectory() as work:
            then, now = layout(work, "then", text, frozen), layout(work, "now", text, NOW)
        wrong = []
        for key, value in then.items():
            grown = key.startswith("size ") and GROWING.search(key[5:]) and int(now[key]) > int(value)
            last = re.match(r"value \w+_LAST$", key)  # the end of a list that grows
            if now[key] != value and not grown and not last:
                wrong.append("%s: was %s, is %s" % (key, value, now[key]))
        assert not wrong, "ABI %s is broken (see tests/abi/meson.build):\n%s" % (version, "\n".join(wrong))


def test_what_grows_has_its_own_minor():
    """A minor version whose headers are frozen is over: who changes the contract then begins the next one."""
    with open(os.path.join(NOW, "lares", "module.h")) as f:
        text = f.read()
    version = ".".join(re.search(r"define LARES_ABI_%s +(\d+)" % part, text).group(1) for part in ("MAJOR", "MINOR"))
    newest = max(VERSIONS, key=lambda v: [int(n) for n in v.split(".")])
    assert [int(n) for n in version.split(".")] >= [int(n) for n in newest.split(".")], (version, newest)
    if version == newest:
        assert headers(NOW).split() == headers(os.path.join(HERE, newest)).split(), "include/lares is not %s any more" % newest


def test_functions():
    exported = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, "core", "liblares.so")], check=True,
                              capture_output=True, text=True).stdout
    exported = {line.split()[-1] for line in exported.splitlines()}
    for version in VERSIONS:
        known = functions(headers(os.path.join(HERE, version)))
        assert len(known) > 150, len(known)
        # Interfaces' get_type functions come from a macro.
        gone = sorted(set(known) - exported)
        assert not gone, "liblares lost functions of ABI %s: %s" % (version, ", ".join(gone))
        # Declared a second time: another type is an error.
        with tempfile.TemporaryDirectory() as work:
            compile_c(work, "functions", "#include <lares/lares.h>\n" + "".join(d + ";\n" for d in known.values()), NOW,
                      link=False)


def test_the_checker_sees():
    """A changed contract is refused."""
    with tempfile.TemporaryDirectory() as work:
        changed = os.path.join(work, "include")
        shutil.copytree(NOW, changed)
        path = os.path.join(changed, "lares", "net.h")
        with open(path) as f:
            text = f.read()
        with open(path, "w") as f:
            f.write(text.replace("    size_t max_record;", "    gint64 added;\n    size_t max_record;", 1)
                    .replace("guint16 lares_listener_get_port", "gint64 lares_listener_get_port", 1))
        old = headers(NOW)
        assert layout(work, "a", old, NOW) != layout(work, "b", old, changed)
        declared = functions(old)["lares_listener_get_port"]
        try:
            compile_c(work, "c", "#include <lares/lares.h>\n" + declared + ";\n", changed, link=False)
            raise AssertionError("another type was not seen")
        except AssertionError as e:
            assert "conflicting types" in str(e), e


def old_module(version, name):
    return find_module("abi-%s-%s" % (version, name))


def test_old_protocol_module():
    for version in VERSIONS:
        with Laresd({}, start=False) as d:
            os.symlink(old_module(version, "test-echo"), os.path.join(d.modules_dir, "test-echo.so"))
            d.write_module("test-echo", {"listen": "127.0.0.1:@PORT@"})
            d.start()
            with d.connect() as s:
                for body in (struct.pack(">II", 1, 7) + b"abcd", struct.pack(">II", 6, 0) + b"later"):
                    s.sendall(struct.pack(">I", 0x80000000 | len(body)) + body)
                    answer = b""
                    while len(answer) < 4 + len(body):
                        more = s.recv(1000)
                        assert more, (version, answer)
                        answer += more
                    assert answer[4:] == body, (version, answer)


def test_old_auth_module():
    """Settings, registry, login, directory and share policy through the old contract."""
    if os.geteuid() != 0:
        tap.skip("needs root")
    modules = {"auth-sys": {}, "store-posix": {}, "proto-rest": {}, "proto-nfs4": {"listen": "127.0.0.1:@PORT@"}}
    for version in VERSIONS:
        with Laresd(modules, start=False) as d, tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            os.symlink(old_module(version, "example"), os.path.join(d.modules_dir, "example.so"))
            d.write_module("example", {"tokens": "sesame=ada"})
            d.wait = [d.port, d.control]
            d.start()
            call_verb(d.control, "share.create", name="s", path=folder, sec=["example"])
            with Conn("127.0.0.1", d.port, cred=(0x4c415245, b"sesame")) as c:
                c.compound(0, ops.putrootfh(), ops.lookup("s"), ops.create(2, "made")).ok()
            users = {u["name"]: u for u in call_verb(d.control, "user.list")}
            assert os.stat(os.path.join(folder, "made")).st_uid == users["ada"]["uid"], users


if __name__ == "__main__":
    if not shutil.which("cc") or not shutil.which("pkg-config"):
        print("1..0 # SKIP needs a compiler and pkg-config")
        sys.exit(0)
    tap.main(globals())
