#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts what laresctl says about its commands in place of @COMMANDS@. Arguments: input, output, laresctl."""
import os
import subprocess
import sys

source, target, laresctl = sys.argv[1:4]
said = subprocess.run([laresctl, "__manual"], env=dict(os.environ, LC_ALL="C.UTF-8", LANGUAGE=""), check=True,
                      capture_output=True, text=True).stdout
with open(source, encoding="utf-8") as f:
    text = f.read()
with open(target, "w", encoding="utf-8") as f:
    f.write(text.replace("@COMMANDS@\n", said))
