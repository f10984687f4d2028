#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts the tables of docs/configuration.md, which the server itself printed, in place of @SETTINGS@. Arguments: input, output,
configuration.md, and what the headings of the wanted sections begin or end with."""
import re
import sys

source, target, page, wanted = sys.argv[1:5]


def roff(text):
    text = text.replace("\\|", "|").replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", text)
    return "\\&" + text if text[:1] in ".'" else text


def section(title, text):
    lines = [".SS \"%s\"" % roff(title)]
    for line in text.splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0].startswith("`"):
            name, kind, default, meaning = cells
            lines += [".TP", "%s (%s; %s)" % (roff(name), roff(kind), "unset" if default == "unset" else "default " + roff(default)), roff(meaning)]
        elif line.strip() and not line.startswith("|"):
            lines += [".PP", roff(line.strip())]
    return "\n".join(lines)


with open(page, encoding="utf-8") as f:
    parts = re.split(r"^## (.*)\n", f.read(), flags=re.M)
chosen = [section(title, text) for title, text in zip(parts[1::2], parts[2::2])
          if title.startswith(wanted) or title.endswith(wanted) or (wanted == ".module" and title.startswith("Every .module"))]
if not chosen:
    sys.exit("no section of %s is about %s" % (page, wanted))
with open(source, encoding="utf-8") as f:
    text = f.read()
with open(target, "w", encoding="utf-8") as f:
    f.write(text.replace("@SETTINGS@\n", "\n".join(chosen) + "\n"))
