# SPDX-License-Identifier: LGPL-2.1-or-later
"""What programs under a sanitizer must be told.

In the folder asan are further options of programs by their names. To look for leaks takes twice the time of all else that a
short run of laresctl or of the realm's helper takes, and there are thousands: these do so in some tests only."""
COMMANDS = ("add", "create", "delete", "disable", "enable", "list", "passwd", "remove", "set", "show")

_looked = set()


def for_tls(env):
    """The environment of a program that loads GIO's TLS module: as it ends, LeakSanitizer crashes over thread-local
    blocks of libraries that came and went with it ("Tracer caught signal 11"), unless it leaves such blocks out."""
    options = env.get("ASAN_OPTIONS")
    return dict(env, ASAN_OPTIONS=f"{options}:intercept_tls_get_addr=0" if options else "intercept_tls_get_addr=0")


def for_command(env, args, code):
    """The environment of a run of laresctl, which shall end with `code`: leaks are looked for (asan/laresctl) once in a test
    for each command with the same options and the same end."""
    words = [a.split("=")[0] for i, a in enumerate(args) if a.startswith("-") or i < 2 or i == 2 and a in COMMANDS]
    shape = code, *words
    if "ASAN_OPTIONS" not in env or shape in _looked:
        return env
    _looked.add(shape)
    return look_for_leaks(env)


def look_for_leaks(env):
    """Also in programs whose file in the folder asan says that it is not done."""
    return dict(env, ASAN_OPTIONS=env["ASAN_OPTIONS"] + ":detect_leaks=1") if "ASAN_OPTIONS" in env else env
