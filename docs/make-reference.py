#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes docs/rest.md from the description that a server of this build gives of its routes (OpenAPI), and docs/dbus.md from
data/dbus/org.lares.Lares1.xml. Without arguments it writes them; --check says what is not up to date. The server runs from
the build folder, $LARES_BUILD."""
import json
import os
import re
import sys
import xml.etree.ElementTree as ET

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
XML = os.path.join(TOP, "data", "dbus", "org.lares.Lares1.xml")
MADE = "<!-- Made by docs/make-reference.py; do not edit. -->\n"


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# ---- REST

def description():
    """The OpenAPI document of a server with every module of the build."""
    import http.client
    import laresd
    modules = {"proto-rest": {"http": "127.0.0.1:@PORT@"}, "auth-krb5": {"keytab": "@DIR@/none.keytab"},
               "proto-nfs4": {"listen": "127.0.0.1:@PORT2@"}, "proto-smb2": {"listen": "127.0.0.1:@PORT3@"},
               "proto-dbus": {"bus": "session"},
               "realm-mit": {"helper": os.path.join(laresd.BUILD, "modules", "realm-mit", "lares-realm-helper")}}
    for name in sorted(os.listdir(os.path.join(TOP, "modules"))):
        if os.path.isdir(os.path.join(TOP, "modules", name)):
            modules.setdefault(name, {})
    with laresd.Laresd(modules, env={"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}) as d:
        c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=30)
        c.request("GET", "/api/v1/openapi.json")
        api = json.loads(c.getresponse().read())
        c.close()
    return api


# What goes wrong, by its code, and what it means for who asked.
PROBLEMS = {
    "invalid": (400, "an argument, a word of the address or the body is not as it must be; `detail` names it"),
    "login": (401, "nobody has logged in, or the login ended while the request waited for its turn"),
    "continue": (401, "the login by ticket goes on: send the next token"),
    "bad-token": (401, "what came with `Negotiate` is no token"),
    "login-failed": (401, "the ticket is not accepted; the server's log says why"),
    "invalid-token": (401, "the bearer token is unknown, has ended or was revoked"),
    "denied": (403, "whoever asks may not do this"),
    "cross-origin": (403, "a page of another site asks"),
    "not-found": (404, "there is no such thing, or no such address"),
    "unknown-verb": (404, "the module that does this is not loaded"),
    "method": (405, "the address does not take this method; `Allow` has those that it takes"),
    "exists": (409, "there is one of that name already"),
    "conflict": (409, "something else is in the way; `detail` names it"),
    "changed": (412, "somebody changed it since it was seen (`If-Match`)"),
    "too-large": ("413, 414", "the body or the address is too large"),
    "media-type": (415, "a body must be `application/json`"),
    "misdirected": (421, "without TLS, the name in the address is not one of this server's"),
    "failed": (500, "the server could not do it; `detail` and its log say why"),
    "unavailable": (503, "what is asked for is not set up, or too much waits already"),
}


def problems():
    """The table, of exactly those codes that the sources have."""
    found = {"failed"}
    folder = os.path.join(TOP, "modules", "proto-rest")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".c"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                found |= set(re.findall(r'(?:SOUP_STATUS_[A-Z_]+|unauthorized\(\w+),\s*"([a-z]+(?:-[a-z]+)*)"', f.read()))
    if found != set(PROBLEMS):
        sys.exit("codes of problems that are not in the sources, or not described: %s" % ", ".join(sorted(found ^ set(PROBLEMS))))
    return table(("code", "status", "meaning"), [("`%s`" % code, *rest) for code, rest in PROBLEMS.items()])


def thing(place, several=False):
    name = place.rsplit("/", 1)[1]
    return "%s[%s](#%s)" % ("list of " if several else "", name, name.lower() + "-members")


def type_of(schema):
    if "$ref" in schema:
        return thing(schema["$ref"])
    if "$ref" in schema.get("items", {}):
        return thing(schema["items"]["$ref"], True)
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = " or ".join(kind)
    if kind == "array":
        return "list of " + {"string": "strings", "integer": "numbers"}.get(schema.get("items", {}).get("type"), "objects")
    if "enum" in schema:
        return " or ".join("`%s`" % e for e in schema["enum"])
    return {"boolean": "true or false", "integer": "number"}.get(kind, kind)


def arguments(op):
    rows = []
    for p in op.get("parameters", []):
        if "$ref" not in p:
            rows.append(("`%s`" % p["name"], p["in"], type_of(p.get("schema", {})), "yes" if p.get("required") else "", p.get("description", "")))
    for kind, content in op.get("requestBody", {}).get("content", {}).items():
        schema = content.get("schema", {})
        for name, one in schema.get("properties", {}).items():
            rows.append(("`%s`" % name, "body", type_of(one), "yes" if name in schema.get("required", []) else "", one.get("description", "")))
        break
    return rows


def body_of(answer):
    """What an answer has in it: a thing, a page of things, or nothing that needs words."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    if "allOf" in schema:
        return thing(schema["allOf"][0]["$ref"]) + " of " + thing(schema["allOf"][1]["properties"]["items"]["items"]["$ref"])
    return thing(schema["$ref"]) if "$ref" in schema else ""


def answers(op):
    text = []
    for status, answer in op.get("responses", {}).items():
        if status != "default" and "$ref" not in answer:
            body = body_of(answer)
            text.append("%s: %s" % (status, answer.get("description", "").rstrip(".")) + (", %s" % body if body else ""))
    return "; ".join(text)


def things(api):
    """Every kind of thing in answers, with its members."""
    out = ["\n## Members of answers\n\nTimes are seconds since 1970. A member that is not always there may be missing; no other ones come, "
           "unless it is said.\n"]
    for name, schema in api["components"]["schemas"].items():
        out.append("\n### %s members\n\n" % name)
        if "description" in schema:
            out.append(schema["description"] + "\n\n")
        rows = [("`%s`" % member, type_of(one), "yes" if member in schema.get("required", []) else "", one.get("description", ""))
                for member, one in schema.get("properties", {}).items()]
        if rows:
            out.append(table(["member", "type", "always", "meaning"], rows))
    return "".join(out)


def sentence(text):
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else text + "."


def rest_page(api):
    base = api["servers"][0]["url"]
    out = ["# REST reference\n\n" + MADE + "\n",
           sentence(api["info"].get("description", "")) + " Paths are below `%s`; how to get in is in the "
           "[user guide](user-guide.md#over-the-network-rest), and `GET %s/openapi.json` has all of this for programs.\n\n" % (base, base),
           "Each operation is a verb, which `POST %s/verbs/NAME` runs as well; `GET %s/verbs` lists them. Bodies are JSON objects; an "
           "argument that is not named here is refused. What goes wrong is a problem (RFC 9457) with the members `status`, `code` "
           "(for programs) and `detail` (what to do). A change can be tied to what was seen with `If-Match`.\n" % (base, base),
           "\n## What goes wrong\n\nTo every operation these may be the answer:\n\n" + problems()]
    part = None
    for path, methods in api["paths"].items():
        if path.split("/")[1] != part:
            part = path.split("/")[1]
            out.append("\n## %s\n" % part)
        for method, op in methods.items():
            out.append("\n### %s %s\n\n" % (method.upper(), path))
            right = op.get("x-lares-right")
            out.append("%s Verb `%s`%s.\n" % (sentence(op.get("summary", "")), op.get("operationId", ""),
                                              ", right `%s`" % right if right else ""))
            rows = arguments(op)
            if rows:
                out.append("\n" + table(["argument", "in", "type", "required", "meaning"], rows))
            if answers(op):
                out.append("\nAnswers %s.\n" % answers(op))
    out.append(things(api))
    return re.sub("\n{3,}", "\n\n", "".join(out))


# ---- D-Bus

TYPES = {"s": "string", "b": "boolean", "x": "number", "u": "number", "as": "list of strings", "a{sv}": "dictionary", "aa{sv}": "list of dictionaries", "v": "any"}


def comments():
    """{(interface, member): (text, {argument: text})} from the comments before each of them."""
    with open(XML) as f:
        text = f.read()
    found, interface = {}, None
    for comment, tag, name in re.findall(r"(?:<!--((?:(?!-->).)*)-->\s*)?<(interface|method|property|signal) name=\"([^\"]+)\"", text, re.S):
        if tag == "interface":
            interface, name = name, None
        words, args, last = [], {}, None
        for line in comment.strip().splitlines():
            line = line.strip()
            if not words and not args and re.match(r"[\w.]+:(\s|$)", line):
                line = line.split(":", 1)[1].strip()
            match = re.match(r"@(\w+): *(.*)", line)
            if match:
                last = match.group(1)
                args[last] = match.group(2)
            elif line:
                words.append(line)
        found[interface, name] = (" ".join(words), args)
    return found


def typed(arg):
    return "%s (`%s`)" % (TYPES.get(arg.get("type"), ""), arg.get("type"))


def dbus_page():
    said = comments()
    out = ["# D-Bus reference\n\n" + MADE + "\n",
           "The name is `org.lares.Lares1`, on the system bus as root and else on the session's. `/org/lares/Lares1` is an "
           "`org.freedesktop.DBus.ObjectManager`: it lists all objects and tells when one comes or goes; each object tells of its "
           "changes by `PropertiesChanged`. In paths, bytes other than letters and digits are `_` and two hexadecimal digits.\n\n"
           "Each method is a verb, the same as over REST and in laresctl. polkit is asked who may (`pkaction | grep lares`); root and "
           "the server's own user may. Errors are `org.lares.Lares1.Error.` and `Invalid`, `NotFound`, `Exists`, `Denied`, `Conflict`, "
           "`Unavailable` or `Failed`. How to look around is in the [user guide](user-guide.md#on-the-desktop-d-bus).\n"]
    for interface in ET.parse(XML).getroot().iter("interface"):
        name = interface.get("name")
        text, args = said[name, None]
        notes = {a.get("name"): a.get("value") for a in interface.findall("annotation")}
        out.append("\n## %s\n\n%s. The objects are what `%s` lists.%s\n" % (
            name, args.get("short_description", ""), notes.get("org.lares.List"), " " + text if text else ""))
        rows = [("`%s`" % p.get("name"), typed(p), said[name, p.get("name")][0]) for p in interface.findall("property")]
        if rows:
            out.append("\n" + table(["property", "type", "meaning"], rows))
        for method in interface.findall("method"):
            text, docs = said[name, method.get("name")]
            verb = [a.get("value") for a in method.findall("annotation") if a.get("name") == "org.lares.Verb"]
            out.append("\n### %s.%s\n\n" % (name.rsplit(".", 1)[1], method.get("name")))
            out.append(" ".join(([sentence(text)] if text else []) + (["Verb `%s`." % verb[0]] if verb else [])) + "\n")
            rows = [("`%s`" % a.get("name"), a.get("direction"), typed(a), docs.get(a.get("name"), "")) for a in method.findall("arg")]
            if rows:
                out.append("\n" + table(["argument", "direction", "type", "meaning"], rows))
    return "".join(out)


def mute():
    """What the XML says nothing about."""
    said = comments()
    return ["%s.%s" % (i, m) for (i, m), (text, args) in said.items() if not text and not args]


def main():
    check = "--check" in sys.argv
    pages = {"rest.md": lambda: rest_page(description()), "dbus.md": dbus_page}
    count = failed = 0
    for name, make in pages.items():
        path = os.path.join(TOP, "docs", name)
        text = make()
        if not check:
            with open(path, "w") as f:
                f.write(text)
            continue
        count += 1
        there = ""
        if os.path.exists(path):
            with open(path) as f:
                there = f.read()
        if text != there:
            failed += 1
            for line in sorted(set(text.splitlines()) ^ set(there.splitlines()))[:20]:
                print("# " + line)
            print("# docs/%s is not up to date; docs/make-reference.py writes it (ninja reference)" % name)
        print("%s %d - docs/%s" % ("not ok" if text != there else "ok", count, name))
    if check:
        silent = mute()
        print("%s %d - everything on the bus is explained%s" % ("not ok" if silent else "ok", count + 1, " # " + ", ".join(silent) if silent else ""))
        print("1..%d" % (count + 1))
        return failed + len(silent) != 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
