#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""laresctl against a private server: tables, blocks, JSON, exit codes, messages."""
import os
import subprocess
import unittest

from climate import (CONFLICT, DENIED, LARESCTL, NOT_FOUND, OK, UNAVAILABLE, UNREACHABLE, USAGE, Served, block, have,
                     rows, run_ctl)


class Shares(Served):
    def tearDown(self):
        for share in self.json("share", "list"):
            self.ok("share", "remove", share["name"])

    def create(self, *more, name="media"):
        return self.ok("share", "create", name, self.path("media"), *more)

    def test_a_new_share_is_shown_and_offers_sys_only(self):
        shown = block(self.create())
        self.assertEqual((shown["Name"], shown["Security"], shown["Read only"], shown["Hosts"], shown["Path for NFS"]),
                         ("media", "sys", "no", "all", "/media"))
        self.assertEqual(block(self.ok("share", "show", "media")), shown)

    def test_options_reach_the_share(self):
        self.create("--read-only", "yes", "--squash=all", "--anonymous-uid", "1000", "--anonymous-gid", "1001", "--hosts",
                    "192.168.1.0/24,laptop.home.lan", "--hosts", "::1", "--pseudo", "/films", "--sync-metadata", "yes",
                    "--access-based", "yes", "--smb-encrypt", "yes", "--smb-bypass-traverse", "yes",
                    "--smb-short-names", "yes")
        s = self.json("share", "show", "media")
        self.assertEqual((s["read-only"], s["squash"], s["anonymous-uid"], s["anonymous-gid"], s["pseudo"],
                          s["sync-metadata"], s["access-based"], s["smb-encrypt"], s["smb-bypass-traverse"],
                          s["smb-short-names"]),
                         (True, "all", 1000, 1001, "/films", True, True, True, True, True))
        self.assertEqual(s["hosts"], ["192.168.1.0/24", "laptop.home.lan", "::1"])

    def test_the_list_is_an_aligned_table(self):
        self.assertIn("share create", self.ok("share", "list"))
        self.create()
        self.ok("share", "create", "a", self.path("docs"))
        text = self.ok("share", "list")
        table = rows(text)
        self.assertEqual([r["NAME"] for r in table], ["a", "media"])
        self.assertEqual(len({line.index(self.d.dir) for line in text.splitlines()[1:]}), 1)
        self.assertEqual(self.json("share", "list")[1]["path"], self.path("media"))

    def test_wide_names_stay_aligned(self):
        os.makedirs(self.path("映画"), exist_ok=True)
        os.makedirs(self.path("e\u0301te\u0301"), exist_ok=True)
        self.ok("share", "create", "wide", self.path("映画"))
        self.ok("share", "create", "marks", self.path("e\u0301te\u0301"))
        lines = self.ok("share", "list").splitlines()
        wide, marks = [next(li for li in lines if li.startswith(n)) for n in ("wide", "marks")]
        # Two characters of two columns each; two letters that take no column of their own.
        self.assertEqual(wide.index("sys") + 2, marks.index("sys") - 2)

    def test_relative_paths_are_those_of_the_shell(self):
        shown = self.json("share", "create", "media", "./media", cwd=self.d.dir)
        self.assertEqual(shown["path"], self.path("media"))

    def test_set_changes_only_what_is_said(self):
        self.create("--read-only", "yes")
        self.ok("share", "set", "media", "--hosts", "10.0.0.0/8")
        self.assertEqual(block(self.ok("share", "set", "media", "--squash", "none"))["Squash"], "none")
        s = self.json("share", "show", "media")
        self.assertEqual((s["read-only"], s["hosts"], s["squash"]), (True, ["10.0.0.0/8"], "none"))
        self.ok("share", "set", "media", "--hosts", "")
        self.assertEqual(self.json("share", "show", "media")["hosts"], [])

    def test_disable_enable_remove(self):
        self.create()
        self.assertIn("disabled", self.ok("share", "disable", "media"))
        self.assertEqual(rows(self.ok("share", "list"))[0]["ENABLED"], "no")
        self.assertIn("enabled", self.ok("share", "enable", "media"))
        self.assertEqual(rows(self.ok("share", "list"))[0]["ENABLED"], "yes")
        self.assertIn("untouched", self.ok("share", "remove", "media"))
        self.assertTrue(os.path.isdir(self.path("media")))
        self.create()

    @unittest.skipUnless(have("auth-krb5"), "built without Kerberos")
    def test_the_order_of_flavors_is_kept(self):
        self.create("--sec", "krb5p,krb5i")
        self.assertEqual(self.json("share", "security", "show", "media")["sec"], ["krb5p", "krb5i"])
        self.ok("share", "security", "set", "media", "krb5i", "sys", "krb5p")
        self.assertEqual(self.json("share", "security", "show", "media")["sec"], ["krb5i", "sys", "krb5p"])
        self.ok("share", "security", "set", "media", "--sec", "sys,krb5", "--squash", "all")
        s = self.json("share", "show", "media")
        self.assertEqual((s["sec"], s["squash"]), (["sys", "krb5"], "all"))

    def test_an_unknown_flavor_is_refused_and_changes_nothing(self):
        self.create()
        self.assertIn("foo", self.refused(USAGE, "share", "security", "set", "media", "sys", "foo"))
        self.assertEqual(self.json("share", "show", "media")["sec"], ["sys"])
        self.refused(USAGE, "share", "create", "docs", self.path("docs"), "--sec", "krb6")
        self.refused(NOT_FOUND, "share", "show", "docs")

    def test_names_that_are_taken_or_missing(self):
        self.create()
        self.assertIn("media", self.refused(CONFLICT, "share", "create", "media", self.path("docs")))
        for command in (["show"], ["set", "--read-only", "yes"], ["remove"], ["enable"], ["disable"],
                        ["security", "show"], ["security", "set", "sys"]):
            words = [w for w in command if w in ("show", "set", "remove", "enable", "disable", "security")]
            rest = command[len(words):]
            self.assertIn("nix", self.refused(NOT_FOUND, "share", *words, "nix", *rest))

    def test_a_name_like_an_option_after_two_dashes(self):
        self.refused(NOT_FOUND, "share", "show", "--", "--json")


class Directory(Served):
    def test_users(self):
        self.assertEqual(block(self.ok("user", "add", "zoe", "--uid", "4711", "--full-name", "Zoë Ünal"))["Uid"], "4711")
        self.assertEqual(self.json("user", "show", "zoe")["full-name"], "Zoë Ünal")
        self.ok("user", "set", "zoe", "--full-name", "Zoë")
        self.assertEqual(rows(self.ok("user", "list"))[0]["FULL NAME"], "Zoë")
        self.assertIn("refused", self.ok("user", "disable", "zoe"))
        self.assertTrue(self.json("user", "show", "zoe")["disabled"])
        self.ok("user", "enable", "zoe")
        self.assertFalse(self.json("user", "show", "zoe")["disabled"])
        self.refused(CONFLICT, "user", "add", "zoe")
        self.ok("user", "delete", "zoe")
        self.refused(NOT_FOUND, "user", "show", "zoe")

    def test_groups(self):
        self.ok("user", "add", "yan")
        self.assertIn("family", self.ok("group", "add", "family", "--gid", "4712"))
        self.ok("group", "add-member", "family", "yan")
        mine = next(g for g in self.json("group", "list") if g["name"] == "family")
        self.assertEqual((mine["gid"], mine["members"]), (4712, ["yan"]))
        self.assertEqual(block(self.ok("user", "show", "yan"))["Groups"], "family")
        self.ok("group", "remove-member", "family", "yan")
        self.ok("group", "delete", "family")
        self.refused(NOT_FOUND, "group", "delete", "family")
        self.ok("user", "delete", "yan")

    def test_mappings(self):
        self.assertIn("no mappings", self.ok("mapping", "list"))
        self.ok("mapping", "set", "*@PARTNER.ORG", "guest")
        self.assertEqual(rows(self.ok("mapping", "list")), [{"PRINCIPAL": "*@PARTNER.ORG", "USER": "guest"}])
        self.ok("mapping", "delete", "*@PARTNER.ORG")
        self.refused(NOT_FOUND, "mapping", "delete", "*@PARTNER.ORG")


class Server(Served):
    def test_status(self):
        shown = block(self.ok("status"))
        self.assertEqual((shown["Host"], shown["Process"]), ("nas.home.lan", str(self.d.pid)))
        self.assertEqual(self.json("status")["pid"], self.d.pid)

    def test_modules(self):
        table = {r["NAME"]: r for r in rows(self.ok("module", "list"))}
        self.assertEqual((table["proto-nfs4"]["KIND"], table["proto-nfs4"]["STATE"]), ("protocol", "loaded"))
        text = self.ok("module", "show", "proto-nfs4")
        self.assertIn("lease-time", text)
        self.refused(NOT_FOUND, "module", "show", "nix")

    def test_sessions(self):
        self.assertIn("Nobody", self.ok("session", "list"))
        self.assertEqual(self.json("session", "list"), [])
        self.refused(NOT_FOUND, "session", "end", "12345")

    def test_verbs_and_reload(self):
        names = [r["NAME"] for r in rows(self.ok("verbs"))]
        self.assertEqual(names, [v["name"] for v in self.json("verbs")])
        self.assertIn("share.security.set", names)
        self.assertIn("again", self.ok("reload"))

    def test_every_verb_has_a_command(self):
        help_texts = run_ctl("__manual").stdout.replace("\\-", "-")
        for verb in self.json("verbs"):
            words = {"server.reload": "reload", "verb.list": "verbs"}.get(verb["name"], verb["name"].replace(".", " "))
            self.assertIn('.SS "laresctl %s' % words, help_texts, verb["name"])
            if words in ("reload", "verbs", "status"):
                continue
            shown = run_ctl(*words.split(), "--help").stdout
            for p in verb["params"]:
                if not p["required"] and (words, p["name"]) not in (
                        ("module set", "set"), ("user import", "names"),  # words of their own
                        ("user add", "password")):  # never on the command line
                    self.assertIn("--" + p["name"].rstrip("s"), shown, (verb["name"], p["name"]))

    def test_without_its_module_a_command_is_unavailable(self):
        self.assertIn("module list", self.refused(UNAVAILABLE, "realm", "status"))

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_other_users_are_refused(self):
        said = self.refused(DENIED, "status", user=65534, group=65534, extra_groups=[])
        self.assertRegex(said, "root|socket")

    def test_environment_names_the_socket(self):
        done = run_ctl("status", env={"LARES_SOCKET": self.d.control})
        self.assertEqual(done.returncode, OK)
        done = run_ctl("status", "--socket", self.d.control, env={"LARES_SOCKET": "/nowhere"})
        self.assertEqual(done.returncode, OK)

    def test_names_complete(self):
        self.ok("share", "create", "movies", self.path("media"))

        def complete(*words):
            done = run_ctl("__complete", *words, env={"LARES_SOCKET": self.d.control})
            return [li.split("\t")[0] for li in done.stdout.splitlines()]
        self.assertEqual(complete("sh"), ["share"])
        self.assertIn("security", complete("share", ""))
        self.assertEqual(complete("share", "show", "m"), ["movies"])
        self.assertEqual(complete("share", "set", "movies", "--read"), ["--read-only"])
        self.assertEqual(complete("share", "set", "movies", "--read-only", "y"), ["yes"])
        self.assertEqual(complete("share", "set", "movies", "--sec", "krb5p,krb5"),
                         ["krb5p,krb5", "krb5p,krb5i", "krb5p,krb5p"])
        self.assertEqual(complete("share", "create", "x", "/"), [":folders"])
        self.assertEqual(complete("realm", "client-config", "l"), ["linux"])
        done = run_ctl("__complete", "share", "show", "", env={"LARES_SOCKET": "/nowhere"})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (OK, "", ""))
        self.ok("share", "remove", "movies")

    def test_bash_completes_with_the_script(self):
        script = run_ctl("completion", "bash").stdout
        test = script + '\nCOMP_WORDS=(laresctl share security s); COMP_CWORD=3; _laresctl; printf "%s\\n" "${COMPREPLY[@]}"'
        test = "laresctl() { %s \"$@\"; }\n" % LARESCTL + test
        done = subprocess.run(["bash", "--norc", "-c", test], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.stdout.split(), done.stderr), (["show", "set"], ""))


class WithoutServer(unittest.TestCase):
    def check(self, code, part, *args, env=None):
        done = run_ctl(*args, env=env)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Alaresctl: [^\n]+\n\Z")
        self.assertIn(part, done.stderr)

    def test_no_server(self):
        self.check(UNREACHABLE, "/nowhere/control.sock", "status", "--socket", "/nowhere/control.sock")
        self.check(UNREACHABLE, "systemctl start", "share", "list", env={"LARES_SOCKET": "/nowhere/control.sock"})

    def test_wrong_words(self):
        self.check(USAGE, 'did you mean "share"', "sahre")
        self.check(USAGE, 'did you mean "share list"', "share", "lits")
        self.check(USAGE, 'did you mean "--read-only"', "share", "set", "x", "--readonly", "yes")
        self.check(USAGE, "PATH is missing", "share", "create", "x")
        self.check(USAGE, "too much", "share", "show", "x", "y")
        self.check(USAGE, "neither yes nor no", "share", "set", "x", "--read-only", "perhaps")
        self.check(USAGE, "not a whole number", "user", "add", "x", "--uid", "12x")
        self.check(USAGE, "root all none", "share", "set", "x", "--squash", "some")
        self.check(USAGE, "needs a value", "share", "set", "x", "--squash")
        self.check(USAGE, "takes no value", "status", "--json=yes")
        self.check(USAGE, "linux macos windows", "realm", "client-config", "amiga")

    def test_help_at_every_level(self):
        for words in ([], ["share"], ["share", "security"], ["realm"], ["realm", "user"]):
            done = run_ctl(*words, "--help")
            self.assertEqual((done.returncode, done.stderr), (OK, ""))
            self.assertTrue(done.stdout.startswith("Usage: laresctl"), done.stdout)
        self.assertEqual(run_ctl("share", "create", "-h").stdout, run_ctl("help", "share", "create").stdout)
        self.assertIn("Exit codes", run_ctl("--help").stdout)
        self.assertEqual(run_ctl("share").returncode, USAGE)

    def test_every_command_has_help_with_an_example(self):
        def walk(prefix):
            done = run_ctl("__complete", *prefix, "")
            for line in done.stdout.splitlines():
                word, doc = line.split("\t")
                shown = run_ctl(*prefix, word, "--help").stdout
                self.assertTrue(doc, prefix + [word])
                if "COMMAND [WORD...]" in shown:
                    yield from walk(prefix + [word])
                else:
                    yield prefix + [word], shown
        commands = list(walk([]))
        self.assertGreater(len(commands), 40)
        for words, shown in commands:
            self.assertIn("Examples:\n", shown, words)
            self.assertIn("laresctl " + " ".join(words), shown)

    def test_version(self):
        self.assertRegex(run_ctl("--version").stdout, r"\Alaresctl \d+\.\d+")

    def test_completion_scripts(self):
        for shell, part in (("bash", "complete -F"), ("zsh", "#compdef laresctl"), ("fish", "complete -c laresctl")):
            done = run_ctl("completion", shell)
            self.assertIn(part, done.stdout)
        self.check(USAGE, "bash zsh fish", "completion", "csh")

    def test_full_disk_is_a_failure(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([LARESCTL, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
