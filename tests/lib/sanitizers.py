# SPDX-License-Identifier: LGPL-2.1-or-later
"""What programs under a sanitizer must be told."""


def for_tls(env):
    """The environment of a program that loads GIO's TLS module: as it ends, LeakSanitizer crashes over thread-local
    blocks of libraries that came and went with it ("Tracer caught signal 11"), unless it leaves such blocks out."""
    options = env.get("ASAN_OPTIONS")
    return dict(env, ASAN_OPTIONS=f"{options}:intercept_tls_get_addr=0" if options else "intercept_tls_get_addr=0")
