#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that can be managed can be managed through every face: each verb of a server with all its modules has a
route of REST, a method on D-Bus and a command of laresctl, with the verb's name and arguments. What is left out on purpose
stands below with its reason; an exception that is none any more is an error as well."""
import http.client
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import tap
from laresd import BUILD, TOP, Laresd
from lares_server import call_verb

LARESCTL = os.path.join(BUILD, "cli", "laresctl")
XML = os.path.join(TOP, "data", "dbus", "org.lares.Lares1.xml")

# Verbs that a face leaves out, each with the reason.
REST_LACKS = {
    "verb.list": "is GET /api/v1/verbs, beside the routes and not one of the resources that the description lists",
}
DBUS_LACKS = {}
LARESCTL_LACKS = {}
# Commands that are called something else than their verb.
OTHER_WORDS = {
    "server.reload": ("reload", "typed every day, as with other daemons"),
    "verb.list": ("verbs", "a list of what there is to say, not a thing that is managed"),
}

_found = {}


def found():
    """What the server and its faces say, once."""
    if _found:
        return _found
    modules = {"auth-sys": {}, "auth-krb5": {"keytab": "@DIR@/none.keytab"}, "auth-ntlm": {}, "store-posix": {},
               "proto-nfs4": {"listen": "127.0.0.1:@PORT@"}, "proto-smb2": {"listen": "127.0.0.1:@PORT2@"},
               "proto-rest": {"http": "127.0.0.1:@PORT3@"}, "proto-dbus": {"bus": "system"},
               "realm-mit": {"helper": os.path.join(BUILD, "modules", "realm-mit", "lares-realm-helper")}}
    # Whatever modules the tree has by now.
    for name in sorted(os.listdir(os.path.join(TOP, "modules"))):
        if os.path.exists(os.path.join(BUILD, "modules", name, name + ".so")):
            modules.setdefault(name, {})
    with Laresd(modules, env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}) as d:
        refused = [m for m in call_verb(d.control, "module.list") if m["state"] != "loaded"]
        assert not refused, refused
        _found["verbs"] = {v["name"]: {p["name"]: (p["type"], p["required"]) for p in v["params"]}
                           for v in call_verb(d.control, "verb.list")}
        c = http.client.HTTPConnection("127.0.0.1", d.ports[3], timeout=60)
        c.request("GET", "/api/v1/openapi.json")
        _found["api"] = json.loads(c.getresponse().read())
        c.close()
    return _found


def routes():
    return {op["operationId"] for methods in found()["api"]["paths"].values() for op in methods.values()}


def methods():
    """[(where, verb, {argument: type}, whether it takes further ones)] of the bus."""
    result = []
    for interface in ET.parse(XML).getroot().iter("interface"):
        notes = {a.get("name"): a.get("value") for a in interface.findall("annotation")}
        for method in interface.findall("method"):
            verb = [a.get("value") for a in method.findall("annotation") if a.get("name") == "org.lares.Verb"]
            if not verb:
                assert method.get("name") == "Call", method.get("name")
                continue
            ins = {a.get("name"): a.get("type") for a in method.findall("arg") if a.get("direction") == "in"}
            further = ins.pop("values", None) is not None
            if "org.lares.Key" in notes:
                ins[notes["org.lares.Key"]] = "s"
            result.append((interface.get("name") + "." + method.get("name"), verb[0], ins, further))
    return result


def commands():
    said = subprocess.run([LARESCTL, "__verbs"], capture_output=True, text=True, check=True, timeout=60).stdout
    return [tuple(line.split("\t")) for line in said.splitlines()]


def compare(face, has, lacks):
    verbs = set(found()["verbs"])
    missing = sorted(verbs - set(has) - set(lacks))
    assert not missing, f"{face} lacks {', '.join(missing)}: add them, or say in {os.path.basename(__file__)} why not"
    needless = sorted(set(lacks) & set(has) | set(lacks) - verbs)
    assert not needless, f"{face}: {', '.join(needless)} need no exception"
    unknown = sorted(set(has) - verbs)
    assert not unknown, f"{face} has {', '.join(unknown)}, which no module offers"


def test_rest_has_every_verb():
    compare("REST (modules/proto-rest/rest-routes.c)", routes(), REST_LACKS)


def test_dbus_has_every_verb():
    compare("D-Bus (data/dbus/org.lares.Lares1.xml)", {verb for _, verb, _, _ in methods()}, DBUS_LACKS)


def test_laresctl_has_every_verb():
    compare("laresctl (cli/commands.c)", {verb for _, verb in commands()}, LARESCTL_LACKS)


def test_laresctl_says_it_in_the_words_of_the_verb():
    for words, verb in commands():
        wanted = OTHER_WORDS[verb][0] if verb in OTHER_WORDS else verb.replace(".", " ")
        assert words == wanted, (words, verb)


def test_arguments_on_the_bus_are_those_of_the_verb():
    for where, verb, ins, further in methods():
        params = dict(found()["verbs"][verb])
        for name, kind in ins.items():
            assert params.pop(name, (None,))[0] == kind, (where, name, kind)
        assert not params or further, (where, "has no way to say", sorted(params))


def test_options_of_laresctl_say_all_arguments():
    """Whatever a verb can be told, laresctl can tell it: a word, an option, or the password that it asks for."""
    with open(os.path.join(TOP, "cli", "commands.c")) as f:
        table = f.read().replace("\\\n", " ")  # macros
    # {"name", "param", … of options and {"param", N_("TITLE") … of words.
    sent = set(re.findall(r'\{\s*"[\w-]+",\s*"([\w-]+)",\s*CTL_', table)) | set(re.findall(r'\{"([\w-]+)", N_\("', table))
    for verb, params in found()["verbs"].items():
        for name in params:
            assert name in sent or name == "password", (verb, name)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    tap.main(globals())
